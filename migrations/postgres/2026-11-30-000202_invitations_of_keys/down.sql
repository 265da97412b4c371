DROP TRIGGER invitations_of_revoked_keys ON api_keys;
DROP TRIGGER invitations_of_deleted_keys ON api_keys;
DROP FUNCTION end_invitations_of_key();
ALTER TABLE invitations DROP COLUMN key_id;
