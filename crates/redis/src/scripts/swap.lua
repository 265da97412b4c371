-- Puts a value in the place of the one that the caller saw.
-- KEYS: its name; the number of what this asker had done last. ARGV: what was seen, '' for nothing; what is to be there; for how many
--   ms; the number of this change, larger than those of the asker before.
-- Returns false when it was done, otherwise what is there, '' for nothing.
local there = redis.call('GET', KEYS[1]) or ''
-- What was sent twice, in whichever order it comes, is done once.
if tonumber(ARGV[4]) <= tonumber(redis.call('GET', KEYS[2]) or 0) then return false end
if there ~= ARGV[1] then return there end
redis.call('SET', KEYS[2], ARGV[4], 'PX', 600000)
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return false
