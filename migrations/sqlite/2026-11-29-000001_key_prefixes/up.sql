-- What is shown of a key has any length, because services have prefixes of their own. A check goes only with its column.
ALTER TABLE api_keys ADD COLUMN shown TEXT NOT NULL DEFAULT '' CHECK (length(shown) <= 64);
UPDATE api_keys SET shown = prefix;
ALTER TABLE api_keys DROP COLUMN prefix;
ALTER TABLE api_keys RENAME COLUMN shown TO prefix;
