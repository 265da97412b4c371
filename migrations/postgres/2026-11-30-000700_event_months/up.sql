-- Of which team a deleted website was, until its events are counted, so that they stay in the months of the team.
ALTER TABLE deleted_websites ADD COLUMN team_id TEXT COLLATE "C";

-- What a UTC month of a team has beside the events that are stored of its websites. `month` is year * 12 + month of the year
-- from 0.
CREATE TABLE event_months (
    team_id TEXT COLLATE "C" NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    month INTEGER NOT NULL,
    -- Events of websites that were deleted.
    removed BIGINT NOT NULL DEFAULT 0,
    -- The highest part of what the plan includes, in percent, that owners were told of.
    told INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (team_id, month)
);

-- What a status page says is kept in memory until one of these moves.
CREATE TRIGGER status_incidents_inserted AFTER INSERT ON status_incidents REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION data_changed();
CREATE TRIGGER status_incidents_updated AFTER UPDATE ON status_incidents REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION data_changed();
CREATE TRIGGER status_incidents_deleted AFTER DELETE ON status_incidents REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION data_changed();
CREATE TRIGGER status_updates_inserted AFTER INSERT ON status_updates REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION data_changed();
