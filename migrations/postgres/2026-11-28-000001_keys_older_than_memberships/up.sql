-- Personal keys that the member created before this instant do not reach the team; NULL admits all. It is set when somebody
-- joins a team whose key policy does not let them create keys, and taken away when the policy or their role lets them.
ALTER TABLE memberships ADD COLUMN admits_keys_since BIGINT;
