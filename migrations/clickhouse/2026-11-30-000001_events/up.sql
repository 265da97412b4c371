-- Run on each shard, statement by statement. `{database}` and `{events}` are put in by the program: `{events}` is the engine of
-- the table, replicated where the servers are. Each statement does nothing when it was run before, for two nodes may run it at once.

-- One row an event or heartbeat. Times are milliseconds since 1970, as everywhere in zenovay; `happened_at` is for people.
-- `arrival` numbers the rows in the order in which they were accepted, over all shards: of events of one time the lower is the earlier.
-- `property_values` has the members of `properties` as strings, in the one spelling in which questions compare them.
CREATE TABLE IF NOT EXISTS {database}.events (
  website UUID,
  at Int64 CODEC(DoubleDelta, ZSTD(1)),
  happened_at DateTime64(3, 'UTC') ALIAS fromUnixTimestamp64Milli(at, 'UTC'),
  visitor UInt64,
  session UInt64,
  arrival UInt64 CODEC(Delta, ZSTD(1)),
  received_at Int64 CODEC(DoubleDelta, ZSTD(1)),
  kind UInt8,
  flags UInt8,
  engagement_ms UInt32,
  scroll_percent UInt8,
  page LowCardinality(String),
  title String,
  hostname LowCardinality(String),
  event_name LowCardinality(String),
  properties String CODEC(ZSTD(3)),
  property_values Map(String, String) CODEC(ZSTD(3)),
  referrer String,
  source LowCardinality(String),
  channel LowCardinality(String),
  utm_source LowCardinality(String),
  utm_medium LowCardinality(String),
  utm_campaign LowCardinality(String),
  utm_term LowCardinality(String),
  utm_content LowCardinality(String),
  country LowCardinality(String),
  region LowCardinality(String),
  city LowCardinality(String),
  browser LowCardinality(String),
  browser_version LowCardinality(String),
  os LowCardinality(String),
  os_version LowCardinality(String),
  device LowCardinality(String),
  screen_class LowCardinality(String),
  language LowCardinality(String),
  INDEX arrivals arrival TYPE minmax GRANULARITY 1
) ENGINE = {events}
PARTITION BY toYYYYMM(toDateTime(intDiv(at, 1000), 'UTC'))
ORDER BY (website, intDiv(at, 3600000), visitor, session, at, arrival)
-- What is written, merged and rewritten is on the disk before it counts, so that the files it replaces need not stay for long.
SETTINGS {settings}fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, old_parts_lifetime = 60;
