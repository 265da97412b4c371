DROP TRIGGER assistant_questions_of_team;
DROP TRIGGER assistant_questions_of_user;
DROP TABLE assistant_questions;
