-- What assistants asked in a UTC day, by the account that they ask for (`user:` or `team:` and an id) and the plan that pays.
-- Days that are over are removed.
CREATE TABLE assistant_questions (
    account TEXT COLLATE "C" NOT NULL,
    plan TEXT COLLATE "C" NOT NULL,
    day BIGINT NOT NULL,
    used BIGINT NOT NULL,
    PRIMARY KEY (account, plan)
);

CREATE FUNCTION forget_assistant_questions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM assistant_questions WHERE account = TG_ARGV[0] || OLD.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER assistant_questions_of_user AFTER DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION forget_assistant_questions('user:');
CREATE TRIGGER assistant_questions_of_team AFTER DELETE ON teams
    FOR EACH ROW EXECUTE FUNCTION forget_assistant_questions('team:');
