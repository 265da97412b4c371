-- One pageview a request: a session of its own, a page, a user agent and an address out of a realistic mix.
-- LOAD_PATH is the path of the tracking endpoint, LOAD_HOST the website's domain. With LOAD_RATE (requests a
-- second, over all of LOAD_CONNECTIONS) every connection keeps a pace, otherwise it sends as fast as it is answered.
-- The parts of a request are made once: a hit costs wrk a concatenation, because it shares the cores with the server.

local path = os.getenv("LOAD_PATH")
local host = os.getenv("LOAD_HOST")
local rate = tonumber(os.getenv("LOAD_RATE") or "0")
local connections = tonumber(os.getenv("LOAD_CONNECTIONS"))

local agents = {
  { "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36", "desktop", "Chrome", "Windows" },
  { "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Mobile Safari/537.36", "mobile", "Chrome", "Android" },
  { "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.%d Mobile/15E148 Safari/604.1", "mobile", "Safari", "iOS" },
  { "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.%d Safari/605.1.15", "desktop", "Safari", "macOS" },
  { "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:%d.0) Gecko/20100101 Firefox/144.0", "desktop", "Firefox", "Windows" },
  { "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/%d.0.0.0", "desktop", "Edge", "Windows" },
  { "Mozilla/5.0 (Linux; Android 15; SM-S928B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/%d.0 Chrome/136.0.0.0 Mobile Safari/537.36", "mobile", "Samsung Internet", "Android" },
  { "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:%d.0) Gecko/20100101 Firefox/143.0", "desktop", "Firefox", "Linux" },
}
local weights = { 34, 22, 18, 8, 6, 7, 3, 2 }
local referrers = { "", "", "", "https://www.google.com/", "https://www.google.com/", "https://duckduckgo.com/", "https://t.co/abc", "https://news.ycombinator.com/item", "https://www.example.org/list" }

local parts = {}
local PARTS = 4096
local thread_number = 0
local sent = 0
local prefix

function setup(thread)
  thread:set("number", thread_number)
  thread_number = thread_number + 1
end

local function agent()
  local point = math.random(100)
  for index, weight in ipairs(weights) do
    point = point - weight
    if point <= 0 then return agents[index] end
  end
  return agents[1]
end

function init(args)
  -- Another run against the same server must not repeat the sessions of this one.
  math.randomseed(os.time() * 100 + number)
  prefix = string.format("%08x%02x", math.random(0, 2147483647), number)
  for index = 1, PARTS do
    local a = agent()
    local ua = string.format(a[1], 128 + math.random(0, 15))
    local body_head = '{"event_type":"pageview","session_id":"'
    local body_tail = string.format(
      '","url":"https://%s/section-%d/page-%d?utm_source=newsletter&ref=%d","referrer":"%s","title":"Page %d of the shop","user_agent":"%s","device_type":"%s","browser":"%s","os":"%s","screen_width":%d,"screen_height":1080,"language":"en-GB","timezone":"Europe/London"}',
      host, index % 12, index % 900, index, referrers[math.random(#referrers)], index % 900, ua, a[2], a[3], a[4], 360 + 8 * math.random(0, 200))
    local length = #body_head + 26 + #body_tail
    local head = string.format(
      "POST %s HTTP/1.1\r\nHost: %s\r\nOrigin: https://%s\r\nContent-Type: application/json\r\nUser-Agent: %s\r\nAccept-Language: en-GB,en;q=0.8\r\nX-Forwarded-For: %d.%d.%d.%d\r\nContent-Length: %d\r\n\r\n",
      path, host, host, ua, math.random(11, 99), math.random(0, 255), math.random(0, 255), math.random(1, 254), length)
    parts[index] = { head .. body_head, body_tail }
  end
end

function request()
  sent = sent + 1
  local part = parts[sent % PARTS + 1]
  return part[1] .. prefix .. string.format("%016x", sent) .. part[2]
end

if rate > 0 then
  function delay()
    return math.floor(connections / rate * 1000 * (0.5 + math.random()))
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"refused":%d,"broken":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"p9999_ms":%.3f,"max_ms":%.3f}\n',
    summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency:percentile(99.99) / 1e3, latency.max / 1e3))
end
