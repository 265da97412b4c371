-- What assistants asked in a UTC day, by the account that they ask for (`user:` or `team:` and an id) and the plan that pays.
-- Days that are over are removed.
CREATE TABLE assistant_questions (
    account TEXT NOT NULL,
    plan TEXT NOT NULL,
    day BIGINT NOT NULL,
    used BIGINT NOT NULL,
    PRIMARY KEY (account, plan)
) WITHOUT ROWID;

CREATE TRIGGER assistant_questions_of_user AFTER DELETE ON users
BEGIN DELETE FROM assistant_questions WHERE account = 'user:' || OLD.id; END;
CREATE TRIGGER assistant_questions_of_team AFTER DELETE ON teams
BEGIN DELETE FROM assistant_questions WHERE account = 'team:' || OLD.id; END;
