-- The tables of several nodes are in PostgreSQL alone.
SELECT 1;
