-- Passkeys are found by what the authenticator calls them. Nothing could write into the table before.
DROP TABLE passkeys;

CREATE TABLE passkeys (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- What the authenticator calls it, base64url.
    credential_id TEXT NOT NULL UNIQUE,
    -- What its signatures are checked with, as JSON.
    credential TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT
);

CREATE INDEX passkeys_by_user ON passkeys (user_id);
