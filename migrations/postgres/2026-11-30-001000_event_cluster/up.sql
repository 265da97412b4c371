-- What nodes share whose events are in ClickHouse, which has no transactions: see docs/decisions/0041. Only here: with SQLite there is one
-- node, and its events are in its directory.

-- The number of the next event, of all nodes.
CREATE TABLE cluster_arrivals (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    next BIGINT NOT NULL
);
INSERT INTO cluster_arrivals (id, next) VALUES (1, 0);

-- Idempotency keys, each with the number of the event that has it.
CREATE TABLE cluster_keys (
    website BYTEA NOT NULL,
    key BYTEA NOT NULL,
    arrival BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (website, key)
);
CREATE INDEX cluster_keys_by_arrival_time ON cluster_keys (received_at);

-- The ledger of retention, as JSON.
CREATE TABLE cluster_ledger (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    ledger TEXT NOT NULL
);
