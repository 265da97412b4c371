-- How many events had a string of a column stored as "(other)", by UTC day (days since 1970).
CREATE TABLE folded_strings (
    website_id TEXT COLLATE "C" NOT NULL REFERENCES websites (id) ON DELETE CASCADE,
    field TEXT COLLATE "C" NOT NULL,
    day BIGINT NOT NULL,
    events BIGINT NOT NULL,
    PRIMARY KEY (website_id, field, day)
);
