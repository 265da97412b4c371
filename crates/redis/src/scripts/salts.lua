-- The salts of some days; those of other days are destroyed.
-- KEYS: the set of days.
-- ARGV: what the names of salts begin with; the first day; the last day; how long a salt lives after its day; then of each
--   salt that the caller has three: day, salt, and 'new' when it never was here. One that is there already stays as it is; one that
--   was here and is not any more was destroyed, unless this server lost everything.
-- Returns of each salt, the oldest first: day, salt.
local prefix, first, last, after = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local HOUR, DAY = 3600000, 86400000
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000

local is_lost = redis.call('SISMEMBER', KEYS[1], '-') == 0
for i = 5, #ARGV, 3 do
  if is_lost or ARGV[i + 2] == 'new' then
    -- By the clock of this server a day may be over, or far away: no salt is there for less than an hour or more than two days.
    local left = math.min(math.max((tonumber(ARGV[i]) + 1) * DAY + after - now, HOUR), 2 * DAY)
    redis.call('SET', prefix .. ARGV[i], ARGV[i + 1], 'NX', 'PX', string.format('%.0f', left))
    redis.call('SADD', KEYS[1], ARGV[i])
  end
end
redis.call('SADD', KEYS[1], '-')

local days = {}
for _, day in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local number = tonumber(day)
  if number and (number < first or number > last) then
    redis.call('DEL', prefix .. day)
    redis.call('SREM', KEYS[1], day)
  elseif number then
    days[#days + 1] = number
  end
end
redis.call('PEXPIRE', KEYS[1], 3 * DAY)
table.sort(days)

local answer = {}
for _, day in ipairs(days) do
  local name = string.format('%.0f', day)
  local salt = redis.call('GET', prefix .. name)
  if salt then
    answer[#answer + 1], answer[#answer + 2] = name, salt
  else
    redis.call('SREM', KEYS[1], name)
  end
end
return answer
