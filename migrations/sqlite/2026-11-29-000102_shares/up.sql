-- Public links to the dashboards of websites. Whoever has the secret with `digest` may read the numbers, with the password if
-- there is one.
CREATE TABLE shares (
    id TEXT PRIMARY KEY NOT NULL,
    website_id TEXT NOT NULL REFERENCES websites (id) ON DELETE CASCADE,
    digest BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    password_hash TEXT,
    may_be_embedded BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE INDEX shares_by_website ON shares (website_id);

-- Whoever reads a stream by a link that ended is told to come anew.
CREATE TRIGGER shares_deleted AFTER DELETE ON shares BEGIN UPDATE data_version SET version = version + 1; END;
