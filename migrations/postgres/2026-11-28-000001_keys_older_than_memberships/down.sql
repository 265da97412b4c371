ALTER TABLE memberships DROP COLUMN admits_keys_since;
