-- How each part of the server was, as it found by itself: from the first check with the same result until the last. While no
-- server ran nothing was checked, and there is no row.
CREATE TABLE status_spans (
    component TEXT NOT NULL,
    state TEXT NOT NULL,
    from_at BIGINT NOT NULL,
    until_at BIGINT NOT NULL,
    PRIMARY KEY (component, from_at)
);

-- What an operator wrote about it. `components` are names, separated by commas.
CREATE TABLE status_incidents (
    id TEXT PRIMARY KEY NOT NULL,
    title TEXT NOT NULL,
    state TEXT NOT NULL,
    components TEXT NOT NULL,
    began_at BIGINT NOT NULL,
    ends_at BIGINT,
    resolved_at BIGINT
);

CREATE TABLE status_updates (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    incident_id TEXT NOT NULL REFERENCES status_incidents (id) ON DELETE CASCADE,
    at BIGINT NOT NULL,
    phase TEXT NOT NULL,
    message TEXT NOT NULL
);

CREATE INDEX status_updates_by_incident ON status_updates (incident_id);
