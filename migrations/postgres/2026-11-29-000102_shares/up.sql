-- Public links to the dashboards of websites. Whoever has the secret with `digest` may read the numbers, with the password if
-- there is one.
CREATE TABLE shares (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    website_id TEXT COLLATE "C" NOT NULL REFERENCES websites (id) ON DELETE CASCADE,
    digest BYTEA NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL,
    password_hash TEXT COLLATE "C",
    may_be_embedded BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE INDEX shares_by_website ON shares (website_id);

-- Whoever reads a stream by a link that ended is told to come anew.
CREATE TRIGGER shares_deleted AFTER DELETE ON shares REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION data_changed();
