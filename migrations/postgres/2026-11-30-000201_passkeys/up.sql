-- Passkeys are found by what the authenticator calls them, base64url. Nothing could write into the table before.
TRUNCATE passkeys;
ALTER TABLE passkeys ADD COLUMN credential_id TEXT COLLATE "C" NOT NULL UNIQUE;
