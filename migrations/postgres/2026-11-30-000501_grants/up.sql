-- Programs that registered themselves as clients over which people reach their numbers. Of every secret here and below only the
-- SHA-256 is kept.
CREATE TABLE oauth_clients (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    -- A JSON array of strings.
    redirect_uris TEXT COLLATE "C" NOT NULL,
    -- NULL: it has no secret.
    secret_digest BYTEA CHECK (octet_length(secret_digest) = 32),
    -- Of what it reads and deletes its registration with.
    management_digest BYTEA NOT NULL CHECK (octet_length(management_digest) = 32),
    may_refresh BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE INDEX oauth_clients_by_time ON oauth_clients (created_at);

-- What a person lets a client do in one team. It goes with the membership.
CREATE TABLE oauth_grants (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    team_id TEXT COLLATE "C" NOT NULL,
    client_id TEXT COLLATE "C" NOT NULL,
    client_name TEXT COLLATE "C" NOT NULL,
    -- The host of the client's metadata document; NULL when it registered itself.
    client_host TEXT COLLATE "C",
    redirect_host TEXT COLLATE "C" NOT NULL,
    may_refresh BOOLEAN NOT NULL,
    scopes TEXT COLLATE "C" NOT NULL,
    resource TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    last_used_at BIGINT,
    -- The UTC day, since 1970, in which `calls` were made.
    calls_day BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    FOREIGN KEY (team_id, user_id) REFERENCES memberships (team_id, user_id) ON DELETE CASCADE
);

CREATE INDEX oauth_grants_by_member ON oauth_grants (team_id, user_id);
CREATE INDEX oauth_grants_by_user ON oauth_grants (user_id);
CREATE INDEX oauth_grants_by_client ON oauth_grants (client_id);

-- Codes that a client exchanges for tokens, once.
CREATE TABLE oauth_codes (
    digest BYTEA PRIMARY KEY NOT NULL CHECK (octet_length(digest) = 32),
    user_id TEXT COLLATE "C" NOT NULL,
    team_id TEXT COLLATE "C" NOT NULL,
    client_id TEXT COLLATE "C" NOT NULL,
    client_name TEXT COLLATE "C" NOT NULL,
    client_host TEXT COLLATE "C",
    redirect_host TEXT COLLATE "C" NOT NULL,
    may_refresh BOOLEAN NOT NULL,
    scopes TEXT COLLATE "C" NOT NULL,
    resource TEXT COLLATE "C" NOT NULL,
    redirect_uri TEXT COLLATE "C" NOT NULL,
    -- The SHA-256 of the verifier that the client has to know (RFC 7636).
    challenge BYTEA NOT NULL CHECK (octet_length(challenge) = 32),
    created_at BIGINT NOT NULL,
    -- The grant that it became; NULL until it is exchanged.
    grant_id TEXT COLLATE "C",
    FOREIGN KEY (team_id, user_id) REFERENCES memberships (team_id, user_id) ON DELETE CASCADE
);

CREATE INDEX oauth_codes_by_member ON oauth_codes (team_id, user_id);
CREATE INDEX oauth_codes_by_time ON oauth_codes (created_at);

CREATE TABLE oauth_tokens (
    digest BYTEA PRIMARY KEY NOT NULL CHECK (octet_length(digest) = 32),
    grant_id TEXT COLLATE "C" NOT NULL REFERENCES oauth_grants (id) ON DELETE CASCADE,
    kind TEXT COLLATE "C" NOT NULL CHECK (kind IN ('access', 'refresh')),
    scopes TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- When a refresh token was used for the first time.
    replaced_at BIGINT
);

CREATE INDEX oauth_tokens_by_grant ON oauth_tokens (grant_id, kind, created_at);
