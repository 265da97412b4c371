-- What is shown of a key has any length, because services have prefixes of their own.
ALTER TABLE api_keys DROP CONSTRAINT api_keys_prefix_check;
ALTER TABLE api_keys ADD CONSTRAINT api_keys_prefix_check CHECK (length(prefix) <= 64);
