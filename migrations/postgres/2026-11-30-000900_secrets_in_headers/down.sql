ALTER TABLE oauth_clients DROP COLUMN secret_in_header;
