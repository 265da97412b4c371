DROP TRIGGER invitations_of_revoked_keys;
DROP TRIGGER invitations_of_deleted_keys;
ALTER TABLE invitations DROP COLUMN key_id;
