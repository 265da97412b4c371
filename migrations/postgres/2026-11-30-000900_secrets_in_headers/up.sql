-- Whether a client with a secret asked to show it in a header, which it is told again when it reads its registration.
ALTER TABLE oauth_clients ADD COLUMN secret_in_header BOOLEAN NOT NULL DEFAULT FALSE;
