-- Goals: what a website counts as a success. `target` is JSON.
CREATE TABLE goals (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    website_id TEXT COLLATE "C" NOT NULL REFERENCES websites (id) ON DELETE CASCADE,
    name TEXT COLLATE "C" NOT NULL,
    target TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (website_id, name)
);

-- Funnels: steps that visitors take in order. `steps` is JSON.
CREATE TABLE funnels (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    website_id TEXT COLLATE "C" NOT NULL REFERENCES websites (id) ON DELETE CASCADE,
    name TEXT COLLATE "C" NOT NULL,
    steps TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (website_id, name)
);
