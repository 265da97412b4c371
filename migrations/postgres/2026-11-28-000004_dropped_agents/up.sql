-- User agents whose hits were dropped as a bot's, the most frequent of each website. Hits of others are under one name.
CREATE TABLE dropped_agents (
    website_id TEXT COLLATE "C" NOT NULL REFERENCES websites (id) ON DELETE CASCADE,
    reason TEXT COLLATE "C" NOT NULL,
    agent TEXT COLLATE "C" NOT NULL,
    rule TEXT COLLATE "C" NOT NULL,
    hits BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (website_id, reason, agent)
);
