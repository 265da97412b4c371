ALTER TABLE api_keys ADD COLUMN shown TEXT NOT NULL DEFAULT '       ' CHECK (length(shown) = 7);
UPDATE api_keys SET shown = substr(prefix || '       ', 1, 7);
ALTER TABLE api_keys DROP COLUMN prefix;
ALTER TABLE api_keys RENAME COLUMN shown TO prefix;
