-- The key that made it; it ends with the key.
ALTER TABLE invitations ADD COLUMN key_id TEXT;

-- What teams' own keys invited before belongs to nobody who could be asked.
DELETE FROM invitations WHERE invited_by NOT IN (SELECT email FROM users);

CREATE TRIGGER invitations_of_revoked_keys AFTER UPDATE OF revoked_at ON api_keys WHEN NEW.revoked_at IS NOT NULL
BEGIN DELETE FROM invitations WHERE key_id = NEW.id; END;

CREATE TRIGGER invitations_of_deleted_keys AFTER DELETE ON api_keys
BEGIN DELETE FROM invitations WHERE key_id = OLD.id; END;
