-- What the last server knew of its clock; one row. A change of it is none that a cache must see.
CREATE TABLE server_clock (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    -- The last reading that was believed.
    trusted_at BIGINT,
    -- The last reading that was not, while there is doubt, and for how long it has gone on without a step.
    doubted_at BIGINT,
    confirmed_ms BIGINT NOT NULL
);
