-- Since when somebody is telling the owners, in milliseconds; NULL when nobody is. Whoever dies meanwhile does not take it along.
ALTER TABLE event_months ADD COLUMN telling_since BIGINT;
