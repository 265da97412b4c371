DROP TRIGGER assistant_questions_of_team ON teams;
DROP TRIGGER assistant_questions_of_user ON users;
DROP FUNCTION forget_assistant_questions();
DROP TABLE assistant_questions;
