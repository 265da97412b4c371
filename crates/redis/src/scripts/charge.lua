-- Charges or takes back one request of a key, by all of its rules at once.
-- KEYS: the counts of the key; those of keys that find no room; the epoch; the nodes; the number of what this asker had counted last.
-- ARGV: the time in ms since 1970, or '' for the clock of this server; how many ms longer than needed counts are kept;
--   how many keys find room, or 0 for any number; the run of this server for exact counts, or '' for others; how long
--   before a window the epoch must have begun; 'charge' or 'refund'; the number of this charge, larger than those of the asker
--   before; then five of each rule: method (1 in windows, 2 sliding,
--   3 bucket), ms (0: months of the calendar), which of the rules of this method and time, requests, burst.
-- Returns {1 passes | 0 is refused, time, then of each rule: room, when all of it is back, when the next passes}, or
--   {-1, time} when what was counted in the window is not known.
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min
local DAY, MONTH, TOLERANCE, NEVER, EXACT, REMEMBERED = 86400000, 2678400000, 600000, 4e15, 32, 600000

local now = tonumber(ARGV[1])
if not now then
  local clock = redis.call('TIME')
  now = tonumber(clock[1]) * 1000 + floor(tonumber(clock[2]) / 1000)
end
local slack, keys_max, run, settle_ms = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local takes_back, number = ARGV[6] == 'refund', tonumber(ARGV[7])
-- What was sent twice, in whichever order it comes, is counted once.
local is_known = number <= tonumber(redis.call('GET', KEYS[5]) or 0)

local function month_end(at)
  local days = floor(at / DAY) + 719468
  local era = floor(days / 146097)
  local day = days - era * 146097
  local year = floor((day - floor(day / 1460) + floor(day / 36524) - floor(day / 146096)) / 365)
  local month = floor((5 * (day - (365 * year + floor(year / 4) - floor(year / 100))) + 2) / 153)
  local following = month + 1
  if month == 11 then year, following = year + 1, 0 end
  local first = 365 * year + floor(year / 4) - floor(year / 100) + floor(year / 400) + floor((153 * following + 2) / 5)
  return (era * 146097 + first - 719468) * DAY
end

local function window_end(ms, at)
  if ms == 0 then return month_end(at) end
  return (floor(at / ms) + 1) * ms
end

-- What nodes that may not reach this server let pass by themselves in the window that began at `began`; nil when it is not
-- known what was counted in it.
local function held_back(requests, began)
  local epoch = redis.call('GET', KEYS[3])
  local of, since = string.match(epoch or '', '^(%S+) (%S+)$')
  if of ~= run or tonumber(since) + settle_ms > began then return nil end
  local held = 0
  for _, node in ipairs(redis.call('HVALS', KEYS[4])) do
    local lease, away, share, gone = string.match(node, '^(%S+) (%S+) (%S+) (%S+)$')
    lease, away, share = tonumber(lease), tonumber(away), tonumber(share)
    if share > 0 and (away >= began or (gone == '0' and lease <= began)) then held = held + floor(requests / share) end
  end
  return held
end

local place = KEYS[1]
local stored = redis.call('HGETALL', place)
if #stored == 0 then
  if takes_back then return {1, now} end
  if keys_max > 0 and (redis.call('EXISTS', KEYS[2]) == 1 or redis.call('DBSIZE') >= keys_max) then
    place = KEYS[2]
    stored = redis.call('HGETALL', place)
  end
end
local state = {}
for i = 1, #stored, 2 do state[stored[i]] = stored[i + 1] end

-- Time stands still when the clock goes back a little; when it goes back further, what was counted goes on as if it were new.
local latest = tonumber(state.t or now)
if now >= latest or latest - now > TOLERANCE then latest = now end

local function numbers(text)
  local found = {}
  for number in string.gmatch(text or '', '[^ ]+') do found[#found + 1] = tonumber(number) end
  return found
end

local function fill(missing, requests)
  if requests == 0 then return NEVER end
  return min(ceil(missing / requests), NEVER)
end

-- Each method: `load` reads the count and forgets what is over at `t`, `look` says how it stands, `add` counts one more, `back`
-- takes one back, `save` says how it is stored and when nothing of it is left.
local methods = {}

methods[1] = {
  load = function(rule, text)
    local n = numbers(text)
    local at, left, used = n[1] or 0, n[2] or 0, n[3] or 0
    if at <= rule.t and at + left <= rule.t then used = 0 end
    rule.used, rule.over = used, window_end(rule.ms, rule.t)
  end,
  look = function(rule)
    return rule.requests - (rule.held or 0) - rule.used, rule.over, rule.over
  end,
  add = function(rule) rule.used = rule.used + 1 end,
  back = function(rule) rule.used = max(0, rule.used - 1) end,
  save = function(rule)
    return string.format('%.0f %.0f %.0f', rule.t, rule.over - rule.t, rule.used), rule.over
  end,
}

methods[2] = {
  load = function(rule, text)
    local n, moments, stamp = numbers(text), {}, rule.t
    if rule.requests > EXACT then
      local step = ceil(rule.length / EXACT)
      stamp = floor(rule.t / step) * step + step - 1
    end
    for i = 1, #n, 2 do
      local at, last = min(n[i], stamp), moments[#moments]
      if at > rule.t - rule.length then
        if last and last[1] == at then last[2] = last[2] + n[i + 1] else moments[#moments + 1] = {at, n[i + 1]} end
      end
    end
    rule.stamp, rule.moments = stamp, moments
  end,
  look = function(rule)
    local total = 0
    for _, moment in ipairs(rule.moments) do total = total + moment[2] end
    local last = rule.moments[#rule.moments]
    local resets, passes, rest = (last and last[1] or rule.t) + rule.length, rule.t, total
    if rule.requests > 0 then
      for _, moment in ipairs(rule.moments) do
        passes, rest = moment[1], rest - moment[2]
        if rest < rule.requests then break end
      end
    end
    return rule.requests - total, resets, passes + rule.length
  end,
  add = function(rule)
    local moments = rule.moments
    local last = moments[#moments]
    if last and last[1] >= rule.stamp then
      last[2] = last[2] + 1
      return
    end
    if #moments > EXACT then
      local oldest = table.remove(moments, 1)
      moments[1][2] = moments[1][2] + oldest[2]
    end
    moments[#moments + 1] = {rule.stamp, 1}
  end,
  back = function(rule)
    local last = rule.moments[#rule.moments]
    if not last then return end
    last[2] = last[2] - 1
    if last[2] <= 0 then table.remove(rule.moments) end
  end,
  save = function(rule)
    local parts, over = {}, rule.t
    for _, moment in ipairs(rule.moments) do
      parts[#parts + 1] = string.format('%.0f %.0f', moment[1], moment[2])
      over = moment[1] + rule.length
    end
    return table.concat(parts, ' '), over
  end,
}

methods[3] = {
  load = function(rule, text)
    local n = numbers(text)
    local at, missing = n[1] or rule.t, n[2] or 0
    rule.missing = max(0, missing - max(0, rule.t - at) * rule.requests)
  end,
  look = function(rule)
    local limit = rule.requests == 0 and 0 or rule.burst
    if limit == 0 then return 0, rule.t + rule.length, rule.t + rule.length end
    local room = floor((limit * rule.length - rule.missing) / rule.length)
    local short = max(0, rule.missing - (limit - 1) * rule.length)
    return room, rule.t + fill(rule.missing, rule.requests), rule.t + fill(short, rule.requests)
  end,
  add = function(rule) rule.missing = rule.missing + rule.length end,
  back = function(rule) rule.missing = max(0, rule.missing - rule.length) end,
  save = function(rule)
    return string.format('%.0f %.0f', rule.t, rule.missing), rule.t + fill(rule.missing, rule.requests)
  end,
}

local rules, passes = {}, true
for i = 8, #ARGV, 5 do
  local rule = {method = methods[tonumber(ARGV[i])], ms = tonumber(ARGV[i + 1]), requests = tonumber(ARGV[i + 3])}
  rule.burst, rule.length = tonumber(ARGV[i + 4]), rule.ms == 0 and MONTH or rule.ms
  rule.t = latest - now <= min(floor(rule.length / 6), TOLERANCE) and latest or now
  if run ~= '' and rule.method == methods[1] and rule.ms > 0 then
    rule.held = held_back(rule.requests, floor(rule.t / rule.ms) * rule.ms)
    if not rule.held then return {-1, now} end
  end
  rule.field = ARGV[i] .. ':' .. ARGV[i + 1] .. ':' .. ARGV[i + 2]
  rule.method.load(rule, state[rule.field])
  rules[#rules + 1] = rule
  if rule.method.look(rule) <= 0 and not is_known then passes = false end
end

-- What is refused changes nothing, unless the clock went back: then it is remembered from when on counts are as if they were new.
local went_back = state.t and tonumber(state.t) > now
if #rules > 0 and not is_known and (passes or takes_back or went_back) then
  local kept, over = {'t', string.format('%.0f', latest)}, now
  for _, rule in ipairs(rules) do
    if takes_back then rule.method.back(rule) elseif passes then rule.method.add(rule) end
    local text, ends = rule.method.save(rule)
    kept[#kept + 1], kept[#kept + 2], over = rule.field, text, max(over, ends)
  end
  redis.call('HSET', place, unpack(kept))
  if passes or takes_back then redis.call('SET', KEYS[5], ARGV[7], 'PX', REMEMBERED) end
  local keep_ms = min(over - now + slack, NEVER)
  if keep_ms > redis.call('PTTL', place) then redis.call('PEXPIRE', place, string.format('%.0f', keep_ms)) end
end

local answer = {passes and 1 or 0, now}
for _, rule in ipairs(rules) do
  local room, resets, next = rule.method.look(rule)
  answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = max(0, room), min(resets, NEVER), min(next, NEVER)
end
return answer
