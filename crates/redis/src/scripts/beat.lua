-- A node says that it is there, and hears what share of a limit it has when it is cut off.
-- KEYS: the epoch; the nodes; the secret that addresses are hidden with.
-- ARGV: the time, or '' as for a charge; the run of this server; the node; when it sends this, by this server's clock, at most;
--   for how long it lets nobody pass by itself then; the share that it has, as the number of which it is one part, or 0; the epoch
--   that it knows, '-' if it knows none, or '' if there was none; for how long a node that says nothing is remembered; how long new shares wait after an epoch began;
--   'stay' or 'leave'; the secret that it knows; then of each other node that it knows three: name, lease, share.
-- A node is 'lease away share gone': until when it lets nobody pass by itself, until when it last may have done so, its share,
--   and when it left, or 0.
-- Returns {time, epoch, share, secret, then of each other node: name, lease, share}.
local floor = math.floor
-- For so long after it may have let somebody pass by itself a node keeps its share, and what is held back for it stays: longer than
-- a minute.
local SOON = 120000
local now = tonumber(ARGV[1])
if not now then
  local clock = redis.call('TIME')
  now = tonumber(clock[1]) * 1000 + floor(tonumber(clock[2]) / 1000)
end
local run, me, sent, lease_ms, mine = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local known_epoch, memory_ms, settle_ms, leaves = ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10] == 'leave'

local DAY = 86400000
local function text(number) return string.format('%.0f', number) end

-- When counting began: at any time for the first node of an installation, before which nothing was counted, and otherwise now, for what was counted
-- before in the same minute is lost.
local epoch = redis.call('GET', KEYS[1])
local of, since = string.match(epoch or '', '^(%S+) (%S+)$')
local knows_other = known_epoch ~= '' and known_epoch ~= '-' and known_epoch ~= epoch
if of ~= run or (since == '0' and knows_other) then
  since = (known_epoch == '' and not epoch) and '0' or text(now)
  epoch = run .. ' ' .. since
  redis.call('SET', KEYS[1], epoch)
end
since = tonumber(since)
redis.call('SET', KEYS[3], ARGV[11], 'NX')
local secret = redis.call('GET', KEYS[3])

local nodes = {}
local stored = redis.call('HGETALL', KEYS[2])
for i = 1, #stored, 2 do
  local lease, away, share, gone = string.match(stored[i + 1], '^(%S+) (%S+) (%S+) (%S+)$')
  local node = {lease = tonumber(lease), away = tonumber(away), share = tonumber(share), gone = tonumber(gone)}
  local is_over = node.lease + memory_ms <= now or (node.gone > 0 and node.gone + SOON <= now)
  if is_over and stored[i] ~= me then
    redis.call('HDEL', KEYS[2], stored[i])
  else
    nodes[stored[i]] = node
  end
end

local function keep(name, node)
  nodes[name] = node
  redis.call('HSET', KEYS[2], name,
    text(node.lease) .. ' ' .. text(node.away) .. ' ' .. text(node.share) .. ' ' .. text(node.gone))
end

-- This server may have forgotten nodes that cannot reach it.
if known_epoch ~= epoch then
  for i = 12, #ARGV, 3 do
    local lease = tonumber(ARGV[i + 1])
    if not nodes[ARGV[i]] and lease + memory_ms > now then
      keep(ARGV[i], {lease = lease, away = 0, share = tonumber(ARGV[i + 2]), gone = 0})
    end
  end
end

local node = nodes[me]
local is_late = node and not leaves and sent + lease_ms < node.lease
if not is_late then
  local was_away = (not node and mine > 0) or (node and node.lease <= now and node.share > 0)
  local away = was_away and now or (node and node.away or 0)
  if leaves then
    if node then keep(me, {lease = node.lease, away = away, share = node.share, gone = now}) end
    return {text(now), epoch, '0', secret}
  end
  local count, taken = 1, 0
  for name, other in pairs(nodes) do
    if name ~= me then
      if other.gone == 0 then count = count + 1 end
      if other.share > 0 then taken = taken + 1 / other.share end
    end
  end
  local share = mine
  if away == 0 or away + SOON <= now then
    local has_room = now - since >= settle_ms and taken + 1 / count <= 1 + 1e-9
    if (mine > 0 and count > mine) or (count ~= mine and has_room) then share = count end
  end
  -- Until it says that it has the smaller share, it has the larger one.
  local counts = share
  if mine > 0 and mine < share then counts = mine end
  keep(me, {lease = math.max(sent + lease_ms, node and node.lease or 0), away = away, share = counts, gone = 0})
  mine = share
end

for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, DAY) end
local answer = {text(now), epoch, text(mine), secret}
for name, other in pairs(nodes) do
  if name ~= me and other.gone == 0 then
    answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = name, text(other.lease), text(other.share)
  end
end
return answer
