-- The key that made it; it ends with the key.
ALTER TABLE invitations ADD COLUMN key_id TEXT COLLATE "C";

-- What teams' own keys invited before belongs to nobody who could be asked.
DELETE FROM invitations WHERE invited_by NOT IN (SELECT email FROM users);

CREATE FUNCTION end_invitations_of_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM invitations WHERE key_id = OLD.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER invitations_of_revoked_keys AFTER UPDATE OF revoked_at ON api_keys
    FOR EACH ROW WHEN (NEW.revoked_at IS NOT NULL) EXECUTE FUNCTION end_invitations_of_key();

CREATE TRIGGER invitations_of_deleted_keys AFTER DELETE ON api_keys
    FOR EACH ROW EXECUTE FUNCTION end_invitations_of_key();
