-- Ids are UUIDs as text, compared by their bytes whatever the language of the database; instants are milliseconds since 1970 in UTC, lists and settings are JSON.

CREATE TABLE users (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    email TEXT COLLATE "C" NOT NULL,
    -- The address in lower case: one account per address, however it is written.
    email_folded TEXT COLLATE "C" NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL,
    password_hash TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE teams (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    plan TEXT COLLATE "C" NOT NULL CHECK (plan IN ('free', 'pro', 'scale', 'enterprise')),
    key_policy TEXT COLLATE "C" NOT NULL CHECK (key_policy IN ('all_members', 'owners_and_admins', 'no_one')),
    created_at BIGINT NOT NULL
);

CREATE TABLE memberships (
    team_id TEXT COLLATE "C" NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role TEXT COLLATE "C" NOT NULL CHECK (role IN ('owner', 'admin', 'editor', 'viewer')),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (team_id, user_id)
);

CREATE INDEX memberships_by_user ON memberships (user_id);

CREATE TABLE websites (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    team_id TEXT COLLATE "C" NOT NULL REFERENCES teams (id),
    user_id TEXT COLLATE "C" REFERENCES users (id) ON DELETE SET NULL,
    domain TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    tracking_code TEXT COLLATE "C" NOT NULL UNIQUE,
    settings TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE INDEX websites_by_team ON websites (team_id);

-- Websites that are gone but whose events are not all deleted yet.
CREATE TABLE deleted_websites (
    website_id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    deleted_at BIGINT NOT NULL
);

CREATE TABLE api_keys (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    digest BYTEA NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    prefix TEXT COLLATE "C" NOT NULL CHECK (length(prefix) = 7),
    name TEXT COLLATE "C" NOT NULL,
    -- The owner of a personal key, or the team of a workspace key: exactly one of the two.
    user_id TEXT COLLATE "C" REFERENCES users (id) ON DELETE CASCADE,
    team_id TEXT COLLATE "C" REFERENCES teams (id) ON DELETE CASCADE,
    scopes TEXT COLLATE "C" NOT NULL,
    team_ids TEXT COLLATE "C",
    website_ids TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    revoked_at BIGINT,
    CHECK ((user_id IS NULL) <> (team_id IS NULL))
);

CREATE INDEX api_keys_by_user ON api_keys (user_id);

-- One row per key, made with the key; `month` is year * 12 + month of the year from 0.
CREATE TABLE key_usage (
    key_id TEXT COLLATE "C" PRIMARY KEY NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    month INTEGER NOT NULL,
    monthly_used BIGINT NOT NULL,
    total_used BIGINT NOT NULL,
    last_used_at BIGINT
);

-- `hour` is hours since 1970.
CREATE TABLE key_activity (
    key_id TEXT COLLATE "C" NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    hour BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    accepted_events BIGINT NOT NULL,
    PRIMARY KEY (key_id, hour)
);

-- Moves with every change that a cache of credentials or websites must see, whoever makes it. Counting requests does not
-- move it.
CREATE TABLE data_version (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    version BIGINT NOT NULL
);

INSERT INTO data_version (id, version) VALUES (1, 1);

-- A statement that changes no row is no change.
CREATE FUNCTION data_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM changed) THEN
        UPDATE data_version SET version = version + 1;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER teams_updated AFTER UPDATE ON teams REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION data_changed();
CREATE TRIGGER teams_deleted AFTER DELETE ON teams REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION data_changed();
CREATE TRIGGER memberships_inserted AFTER INSERT ON memberships REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION data_changed();
CREATE TRIGGER memberships_updated AFTER UPDATE ON memberships REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION data_changed();
CREATE TRIGGER memberships_deleted AFTER DELETE ON memberships REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION data_changed();
CREATE TRIGGER websites_inserted AFTER INSERT ON websites REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION data_changed();
CREATE TRIGGER websites_updated AFTER UPDATE ON websites REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION data_changed();
CREATE TRIGGER websites_deleted AFTER DELETE ON websites REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION data_changed();
CREATE TRIGGER api_keys_inserted AFTER INSERT ON api_keys REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION data_changed();
CREATE TRIGGER api_keys_updated AFTER UPDATE ON api_keys REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION data_changed();
CREATE TRIGGER api_keys_deleted AFTER DELETE ON api_keys REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION data_changed();
