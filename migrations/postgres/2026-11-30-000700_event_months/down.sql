DROP TRIGGER status_updates_inserted ON status_updates;
DROP TRIGGER status_incidents_deleted ON status_incidents;
DROP TRIGGER status_incidents_updated ON status_incidents;
DROP TRIGGER status_incidents_inserted ON status_incidents;
DROP TABLE event_months;
ALTER TABLE deleted_websites DROP COLUMN team_id;
