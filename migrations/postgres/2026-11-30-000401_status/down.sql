DROP TABLE status_updates;
DROP TABLE status_incidents;
DROP TABLE status_spans;
