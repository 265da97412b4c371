CREATE TABLE one_time_links_old (
    digest BLOB PRIMARY KEY NOT NULL CHECK (length(digest) = 32),
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose TEXT NOT NULL CHECK (purpose IN ('reset', 'welcome')),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
INSERT INTO one_time_links_old
SELECT digest, user_id, purpose, created_at, expires_at FROM one_time_links WHERE purpose != 'sign_in';
DROP TABLE one_time_links;
ALTER TABLE one_time_links_old RENAME TO one_time_links;
CREATE INDEX one_time_links_by_user ON one_time_links (user_id);
