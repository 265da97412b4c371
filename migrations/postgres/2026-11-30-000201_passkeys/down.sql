TRUNCATE passkeys;
ALTER TABLE passkeys DROP COLUMN credential_id;
