-- Puts a value in the place of the one that the caller saw.
-- KEYS: its name. ARGV: what was seen, '' for nothing; what is to be there; for how many ms.
-- Returns false when it was done, otherwise what is there, '' for nothing.
local there = redis.call('GET', KEYS[1]) or ''
if there ~= ARGV[1] then return there end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return false
