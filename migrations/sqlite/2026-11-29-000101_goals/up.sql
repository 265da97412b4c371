-- Goals: what a website counts as a success. `target` is JSON.
CREATE TABLE goals (
    id TEXT PRIMARY KEY NOT NULL,
    website_id TEXT NOT NULL REFERENCES websites (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    target TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (website_id, name)
);

-- Funnels: steps that visitors take in order. `steps` is JSON.
CREATE TABLE funnels (
    id TEXT PRIMARY KEY NOT NULL,
    website_id TEXT NOT NULL REFERENCES websites (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    steps TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (website_id, name)
);
