ALTER TABLE api_keys DROP CONSTRAINT api_keys_prefix_check;
UPDATE api_keys SET prefix = substr(prefix || '       ', 1, 7);
ALTER TABLE api_keys ADD CONSTRAINT api_keys_prefix_check CHECK (length(prefix) = 7);
