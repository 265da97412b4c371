-- What several servers tell each other: see docs/decisions/0043. Only here, as the tables of 001000.

-- What was erased, in the order of the numbers: each server leaves it out of what it has not delivered yet.
CREATE TABLE cluster_erasures (
    id BIGINT PRIMARY KEY,
    website BYTEA NOT NULL,
    -- Everybody of the website when it is null.
    visitor BIGINT
);

-- The secret that visitors are named with.
CREATE TABLE cluster_secret (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    secret BYTEA NOT NULL
);
