ALTER TABLE event_months DROP COLUMN telling_since;
