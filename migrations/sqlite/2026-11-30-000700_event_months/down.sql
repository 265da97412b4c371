DROP TRIGGER status_updates_inserted;
DROP TRIGGER status_incidents_deleted;
DROP TRIGGER status_incidents_updated;
DROP TRIGGER status_incidents_inserted;
DROP TABLE event_months;
ALTER TABLE deleted_websites DROP COLUMN team_id;
