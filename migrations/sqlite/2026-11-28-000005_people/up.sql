-- Who is signed in, or half way there. Of every secret here only the SHA-256 is kept.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    -- That of the secret before the present one.
    previous_digest BLOB UNIQUE CHECK (length(previous_digest) = 32),
    stage TEXT NOT NULL CHECK (stage IN ('second_factor', 'complete')),
    -- The user agent, to tell one's sessions apart.
    agent TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    rotated_at BIGINT NOT NULL,
    -- When the present secret came back for the first time.
    confirmed_at BIGINT
);

CREATE INDEX sessions_by_user ON sessions (user_id);

-- Links that work once: a new password, and the first account.
CREATE TABLE one_time_links (
    digest BLOB PRIMARY KEY NOT NULL CHECK (length(digest) = 32),
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose TEXT NOT NULL CHECK (purpose IN ('reset', 'welcome')),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX one_time_links_by_user ON one_time_links (user_id);

-- Failed tries in a row, by the SHA-256 of what was tried: it need not exist.
CREATE TABLE sign_in_failures (
    subject BLOB PRIMARY KEY NOT NULL CHECK (length(subject) = 32),
    failures INTEGER NOT NULL,
    last_at BIGINT NOT NULL
);

CREATE INDEX sign_in_failures_by_time ON sign_in_failures (last_at);

CREATE TABLE second_factors (
    user_id TEXT PRIMARY KEY NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    secret BLOB NOT NULL,
    -- NULL until the first code was right.
    enabled_at BIGINT,
    -- The latest step of 30 seconds whose code was used.
    last_step BIGINT NOT NULL
);

CREATE TABLE backup_codes (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    PRIMARY KEY (user_id, digest)
);

CREATE TABLE passkeys (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- What the authenticator gave, as JSON.
    credential TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT
);

CREATE INDEX passkeys_by_user ON passkeys (user_id);

-- What people set for themselves; without a row all is as it comes.
CREATE TABLE profiles (
    user_id TEXT PRIMARY KEY NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    locale TEXT,
    theme TEXT NOT NULL CHECK (theme IN ('system', 'light', 'dark')),
    time_zone TEXT,
    single_keys INTEGER NOT NULL CHECK (single_keys IN (0, 1))
);

CREATE TABLE invitations (
    id TEXT PRIMARY KEY NOT NULL,
    team_id TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    -- NULL: for whoever has the link.
    email TEXT,
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'editor', 'viewer')),
    -- Whose invitation it is, in words.
    invited_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX invitations_by_team ON invitations (team_id);

-- What people and keys changed. `actor` says who that was in words, also when they are gone.
CREATE TABLE audit_entries (
    id INTEGER PRIMARY KEY NOT NULL,
    at BIGINT NOT NULL,
    team_id TEXT REFERENCES teams (id) ON DELETE CASCADE,
    user_id TEXT,
    key_id TEXT,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    details TEXT NOT NULL
);

CREATE INDEX audit_entries_by_team ON audit_entries (team_id, id);
CREATE INDEX audit_entries_by_user ON audit_entries (user_id, id);

-- The latest requests of each key.
CREATE TABLE key_requests (
    id INTEGER PRIMARY KEY NOT NULL,
    key_id TEXT NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    at BIGINT NOT NULL,
    method TEXT NOT NULL,
    route TEXT NOT NULL,
    status INTEGER NOT NULL,
    duration_ms BIGINT NOT NULL,
    accepted BIGINT,
    rejected BIGINT
);

CREATE INDEX key_requests_by_key ON key_requests (key_id, id);
