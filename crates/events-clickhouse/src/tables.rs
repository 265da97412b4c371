//! The tables of all shards, as one.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::time::{Duration, Instant};

use clickhouse::{Row, RowOwned, RowRead};
use serde::Deserialize;
use zenovay_domain::{
    Event, EventFlags, SESSION_MAX_MS, SessionId, SessionSpan, TimeRange, Timestamp, VisitorId, WebsiteId,
};
use zenovay_events::engine::Spool;
use zenovay_events::{NewEvent, RecentSession};
use zenovay_query::{Answer, Budget, Query, QueryError};

use crate::answers::Asked;
use crate::plan::{IS_EVENT, Source};
use crate::row::{NewRow, StoredRow, website_of};
use crate::schema::migrate;
use crate::server::Servers;
use crate::sql::{Text, int64, uuid, within};
use crate::{Config, OpenError, ServerError};

/// How often is looked whether rows are removed.
pub(crate) const LOOK: Duration = Duration::from_millis(20);
/// So many visitors are erased by one statement.
const ERASED_AT_ONCE: usize = 1_000;
/// So many of the last rows are read at most to find the sessions that had an event last.
const ROWS_READ: u64 = 1 << 20;

/// The mark of a database that events move into, with the id of the move.
const MOVING: &str = "moving";
/// The mark of a database that a server uses.
const SERVED: &str = "served";

/// Whether a database is taken for a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// For this one.
    Here,
    /// For another one, which stays so.
    ByAnother,
    /// A server uses it.
    Served,
}

#[derive(Debug, Row, Deserialize)]
struct SpanRow {
    rows: u64,
    first_at: i64,
    last_at: i64,
}

#[derive(Debug, Row, Deserialize)]
struct WebsiteRow {
    website: (u64, u64),
    rows: u64,
}

#[derive(Debug, Row, Deserialize)]
struct SessionRow {
    website: (u64, u64),
    session: u64,
    visitor: u64,
    first_at: i64,
    last_at: i64,
}

#[derive(Debug, Row, Deserialize)]
struct RecentRow {
    website: (u64, u64),
    session: u64,
    visitor: u64,
    first_flags: u8,
    began_at: i64,
    last_at: i64,
    campaign: String,
    first_referrer: String,
    first_channel: String,
}

/// The events of all websites on the servers of ClickHouse: batches go in, answers come out.
pub struct Tables {
    servers: Servers,
}

impl Tables {
    /// Makes the database and its tables where they are not there yet, and changes those of an older program. Blocks.
    ///
    /// # Errors
    /// When the configuration cannot be, a server does not answer, or a newer program made the tables.
    pub fn open(config: Config) -> Result<Self, OpenError> {
        let tables = Self::new(config)?;
        tables.prepare()?;
        Ok(tables)
    }

    /// The tables of `config`, which may not be there yet. Speaks to nobody.
    pub(crate) fn new(config: Config) -> Result<Self, OpenError> {
        Ok(Self { servers: Servers::new(config)? })
    }

    /// The first server that does not answer in time, if there is one.
    pub(crate) fn silence(&self) -> Option<OpenError> {
        let urls = self.servers.config.shards.iter().enumerate();
        urls.filter_map(|(shard, url)| {
            let source = self.servers.rows::<u8>(shard, "SELECT 1", &[("database", "system")]).err()?;
            source.code.is_none().then(|| OpenError::Server { server: url.clone(), source })
        })
        .next()
    }

    /// Makes what is missing, and changes what is of an older program.
    pub(crate) fn prepare(&self) -> Result<(), OpenError> {
        migrate(&self.servers)
    }

    /// The same for a server, which notes that the database is used: from then on no move begins into it.
    ///
    /// # Errors
    /// As [`Tables::open`]; when events are moving into the database.
    pub(crate) fn prepare_to_serve(&self) -> Result<(), OpenError> {
        self.prepare()?;
        let each = |what: &dyn Fn(usize) -> Result<bool, ServerError>| {
            (0..self.servers.shards()).try_fold(false, |is_so, shard| {
                let server = || self.servers.config.shards.get(shard).cloned().unwrap_or_default();
                what(shard).map(|so| is_so | so).map_err(|source| OpenError::Server { server: server(), source })
            })
        };
        let is_moving = || each(&|shard| Ok(self.mark(shard, MOVING)?.is_some()));
        let refused = || OpenError::Moving { database: self.servers.config.database.clone() };
        if is_moving()? {
            return Err(refused());
        }
        if each(&|shard| Ok(self.mark(shard, SERVED)?.is_none()))? {
            each(&|shard| self.set_mark(shard, SERVED, "").map(|()| true))?;
            // A move that began at the same moment has seen this, or is seen.
            if is_moving()? {
                each(&|shard| self.remove_mark(shard, SERVED).map(|()| true))?;
                return Err(refused());
            }
        }
        Ok(())
    }

    /// Takes the database for the move `id`: no server uses it until [`Tables::release`]. The same again does no harm.
    ///
    /// # Errors
    /// When a server does not answer.
    pub(crate) fn claim(&self, id: &str) -> Result<Claimed, ServerError> {
        let shards = 0..self.servers.shards();
        shards.clone().try_for_each(|shard| self.set_mark(shard, MOVING, id))?;
        if !self.is_claimed(id)? {
            self.release(id)?;
            return Ok(Claimed::ByAnother);
        }
        for shard in shards {
            if self.mark(shard, SERVED)?.is_some() {
                self.release(id)?;
                return Ok(Claimed::Served);
            }
        }
        Ok(Claimed::Here)
    }

    /// Whether the database is taken for the move `id`.
    ///
    /// # Errors
    /// When a server does not answer.
    pub(crate) fn is_claimed(&self, id: &str) -> Result<bool, ServerError> {
        for shard in 0..self.servers.shards() {
            if self.mark(shard, MOVING)?.as_deref() != Some(id) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Lets servers use a database that was taken for the move `id`.
    ///
    /// # Errors
    /// When a server does not do it.
    pub(crate) fn release(&self, id: &str) -> Result<(), ServerError> {
        for shard in 0..self.servers.shards() {
            if self.mark(shard, MOVING)?.as_deref() == Some(id) {
                self.remove_mark(shard, MOVING)?;
            }
        }
        Ok(())
    }

    /// What a mark on a shard says; `None` when it is not there. A mark is a table without rows, of which one is made by one alone.
    fn mark(&self, shard: usize, name: &str) -> Result<Option<String>, ServerError> {
        let database = Text(&self.servers.config.database);
        let asked = format!("SELECT comment FROM system.tables WHERE database = {database} AND name = '{name}'");
        Ok(self.servers.rows(shard, &asked, &[])?.pop())
    }

    fn set_mark(&self, shard: usize, name: &str, words: &str) -> Result<(), ServerError> {
        let (database, words) = (&self.servers.config.database, Text(words));
        let make =
            format!("CREATE TABLE IF NOT EXISTS {database}.{name} (nothing UInt8) ENGINE = Null COMMENT {words}");
        self.servers.execute(shard, &make, &[])
    }

    fn remove_mark(&self, shard: usize, name: &str) -> Result<(), ServerError> {
        self.servers.execute(shard, &format!("DROP TABLE IF EXISTS {}.{name}", self.servers.config.database), &[])
    }

    /// Writes `events` as one batch, each to the shard of its visitor, and returns when all shards have it on their disks. The first
    /// of them is the `first_arrival`-th event of all, and the others follow. Blocks.
    ///
    /// The same batch with the same `token` may be written again, and must be when it is not known what became of it: a shard that
    /// has it does nothing, up to 10,000 batches later.
    ///
    /// # Errors
    /// When a server refuses it or does not answer: then some shards may have it.
    pub fn write(&self, token: &str, first_arrival: u64, events: &[NewEvent]) -> Result<(), ServerError> {
        self.write_rows(token, (first_arrival..).zip(events).map(|(arrival, new)| NewRow::new(new, arrival)).collect())
    }

    /// Writes `events`, each with its number, as [`Tables::write`] does.
    ///
    /// # Errors
    /// As [`Tables::write`].
    pub(crate) fn write_numbered(&self, token: &str, events: &[(u64, NewEvent)]) -> Result<(), ServerError> {
        self.write_rows(token, events.iter().map(|(arrival, new)| NewRow::new(new, *arrival)).collect())
    }

    pub(crate) fn write_rows(&self, token: &str, rows: Vec<NewRow>) -> Result<(), ServerError> {
        if rows.is_empty() {
            return Ok(());
        }
        let table = if self.servers.config.cluster.is_some() { "events_all" } else { "events" };
        self.servers.insert(table, token, rows)
    }

    /// Answers `query` about `website`, without the events before `since`. Blocks.
    ///
    /// The servers are given the time and the memory that the budget has left, 64 MiB at least, and end the question when it is cancelled.
    ///
    /// # Errors
    /// When the budget is used up or cancelled, or the servers do not answer: never a smaller number.
    pub fn query(
        &self,
        website: WebsiteId,
        since: Option<Timestamp>,
        query: &Query,
        budget: &Budget,
    ) -> Result<Answer, QueryError> {
        Asked { servers: &self.servers, source: self.source(website, since), query, budget }.answer()
    }

    /// The events and heartbeats of `visitor` of `website` that are not before `since`, in the order of time. Blocks.
    ///
    /// # Errors
    /// As [`Tables::query`].
    pub fn visitor_events(
        &self,
        website: WebsiteId,
        visitor: VisitorId,
        since: Option<Timestamp>,
        budget: &Budget,
    ) -> Result<Vec<Event>, QueryError> {
        let source = self.source(website, since);
        let rows = source.rows(&format!("visitor = {}", visitor.0));
        let inner = format!("SELECT {}, arrival FROM {rows}", StoredRow::COLUMNS);
        let statement = format!("SELECT {} FROM {} ORDER BY at, arrival", StoredRow::NAMES, source.across(&inner));
        let rows = self.servers.ask(&statement, budget, StoredRow::text_bytes)?;
        rows.iter().map(StoredRow::event).collect()
    }

    /// From the first to the last event or heartbeat of `website` that is not before `since`; `None` when there is none. Blocks.
    ///
    /// # Errors
    /// As [`Tables::query`].
    pub fn span(&self, website: WebsiteId, since: Option<Timestamp>) -> Result<Option<TimeRange>, QueryError> {
        let source = self.source(website, since);
        let inner = format!("SELECT count() AS counted, min(at) AS first, max(at) AS last FROM {}", source.rows("1"));
        let statement = format!(
            "SELECT sum(counted) AS rows, min(first) AS first_at, max(last) AS last_at FROM {} WHERE counted > 0",
            source.across(&inner)
        );
        let rows: Vec<SpanRow> = self.servers.ask(&statement, &self.in_time(), |_| 0)?;
        let span = |row: &SpanRow| {
            TimeRange::new(Timestamp::from_millis(row.first_at), Timestamp::from_millis(row.last_at).plus_millis(1))
        };
        Ok(rows.first().filter(|row| row.rows > 0).map(span))
    }

    /// How many events and heartbeats of `website` are in `range`. Blocks.
    ///
    /// # Errors
    /// As [`Tables::query`].
    pub fn count(&self, website: WebsiteId, range: TimeRange) -> Result<u64, QueryError> {
        let source = self.source(website, None);
        let inner = format!("SELECT count() AS rows FROM {}", source.rows(&within("at", range)));
        let statement = format!("SELECT sum(rows) AS rows FROM {}", source.across(&inner));
        self.servers.ask_one(&statement, &self.in_time())
    }

    /// Removes every event of `visitor` of `website`. Returns when it is in no answer any more; ClickHouse deletes the files that had it
    /// a minute later. The same again does no harm. Blocks: files are rewritten.
    ///
    /// # Errors
    /// When a server does not do it, or not in time: then some shards may have done it, or do it yet.
    pub fn erase_visitor(&self, website: WebsiteId, visitor: VisitorId) -> Result<(), ServerError> {
        self.remove(website, &format!("visitor = {}", visitor.0))
    }

    /// Removes every event of `website`, as [`Tables::erase_visitor`] does.
    ///
    /// # Errors
    /// As [`Tables::erase_visitor`].
    pub fn delete_website(&self, website: WebsiteId) -> Result<(), ServerError> {
        self.remove(website, "1")
    }

    /// Removes the events of `website` before `instant`, as [`Tables::erase_visitor`] does.
    ///
    /// # Errors
    /// As [`Tables::erase_visitor`].
    pub fn remove_before(&self, website: WebsiteId, instant: Timestamp) -> Result<(), ServerError> {
        self.remove(website, &format!("at < {}", int64(instant.as_millis())))
    }

    /// Removes of `website` the events of each of `visitors` that have numbers below the one beside it, as [`Tables::erase_visitor`] does.
    ///
    /// # Errors
    /// As [`Tables::erase_visitor`].
    pub(crate) fn erase_below(&self, website: WebsiteId, visitors: &[(VisitorId, u64)]) -> Result<(), ServerError> {
        let condition =
            |(visitor, below): &(VisitorId, u64)| format!("(visitor = {} AND arrival < {below})", visitor.0);
        visitors.chunks(ERASED_AT_ONCE).try_for_each(|some| {
            let some: Vec<String> = some.iter().map(condition).collect();
            self.remove(website, &format!("({})", some.join(" OR ")))
        })
    }

    /// Removes the events with these numbers, whosever they are, as [`Tables::erase_visitor`] does.
    ///
    /// # Errors
    /// As [`Tables::erase_visitor`].
    pub(crate) fn remove_numbers(&self, numbers: Range<u64>) -> Result<(), ServerError> {
        let Range { start, end } = numbers;
        self.remove_where(&format!("arrival >= {start} AND arrival < {end}"), &format!("arrival >= {start}"))
    }

    /// Each website with events, and how many it has.
    pub(crate) fn websites(&self) -> Result<Vec<(WebsiteId, u64)>, QueryError> {
        let statement = format!("SELECT website, count() AS rows FROM {} GROUP BY website", self.all());
        let rows: Vec<WebsiteRow> = self.servers.ask(&statement, &self.in_time(), |_| 0)?;
        Ok(rows.into_iter().map(|row| (website_of(row.website), row.rows)).collect())
    }

    /// Begins to remove the events of `visitor` of `website`, or all of the website: see [`Tables::is_removed`].
    pub(crate) fn begin_erasure(&self, website: WebsiteId, visitor: Option<VisitorId>) -> Result<(), ServerError> {
        let condition = visitor.map_or_else(|| "1".to_owned(), |visitor| format!("visitor = {}", visitor.0));
        self.begin_removal(&of_website(website, &condition))
    }

    /// Whether nothing of `website` is being removed any more.
    ///
    /// # Errors
    /// When that cannot be told, or a server says why it cannot remove it.
    pub(crate) fn is_removed(&self, website: WebsiteId) -> Result<bool, ServerError> {
        self.has_ended(&website.to_string())
    }

    /// Whether no removal with `name` in its condition is under way.
    fn has_ended(&self, name: &str) -> Result<bool, ServerError> {
        // The words of the condition are the server's, but what it compares with is in them.
        let asked = format!(
            "SELECT count(), anyIf(latest_fail_reason, latest_fail_reason != '') FROM system.mutations \
             WHERE database = {} AND table = 'events' AND NOT is_done AND position(command, {}) > 0",
            Text(&self.servers.config.database),
            Text(name)
        );
        for shard in 0..self.servers.shards() {
            let found: Vec<(u64, String)> = self.servers.rows(shard, &asked, &[])?;
            match found.into_iter().next() {
                Some((1.., reason)) if !reason.is_empty() => return Err(ServerError::silent(reason)),
                Some((1.., _)) => return Ok(false),
                _ => {}
            }
        }
        Ok(true)
    }

    /// Removes the rows of a website for which `condition` holds, and waits for it. What is removed of it already is not begun again.
    fn remove(&self, website: WebsiteId, condition: &str) -> Result<(), ServerError> {
        self.remove_where(&of_website(website, condition), &website.to_string())
    }

    /// The same of all websites; `name` tells the condition from others.
    fn remove_where(&self, condition: &str, name: &str) -> Result<(), ServerError> {
        self.wait_for_removal(name)?;
        self.begin_removal(condition)?;
        self.wait_for_removal(name)
    }

    fn wait_for_removal(&self, name: &str) -> Result<(), ServerError> {
        let until = Instant::now() + self.patience();
        while !self.has_ended(name)? {
            if Instant::now() >= until {
                let words = format!("rows are being removed for longer than {} s", self.patience().as_secs_f64());
                return Err(ServerError::silent(words));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Shard by shard: a table over all of them refuses it. The servers do it by themselves.
    fn begin_removal(&self, condition: &str) -> Result<(), ServerError> {
        let database = &self.servers.config.database;
        let statement = format!("ALTER TABLE {database}.events DELETE WHERE {condition}");
        (0..self.servers.shards())
            .try_for_each(|shard| self.servers.execute(shard, &statement, &[("mutations_sync", "0")]))
    }

    /// The sessions of which something was written last, each with what is known of it.
    pub(crate) fn known_sessions(&self) -> Result<Vec<(WebsiteId, SessionId, SessionSpan)>, QueryError> {
        let statement = format!(
            "SELECT website, session, any(visitor) AS visitor, min(at) AS first_at, max(at) AS last_at FROM {table} \
             WHERE arrival + {ROWS_READ} > (SELECT max(arrival) FROM {table}) GROUP BY website, session \
             ORDER BY max(arrival) DESC LIMIT {known}",
            table = self.all(),
            known = Spool::SESSIONS,
        );
        let rows: Vec<SessionRow> = self.servers.ask(&statement, &self.in_time(), |_| 0)?;
        let session = |row: SessionRow| {
            let span = SessionSpan::at(VisitorId(row.visitor), Timestamp::from_millis(row.first_at));
            (website_of(row.website), SessionId(row.session), span.with(Timestamp::from_millis(row.last_at)))
        };
        Ok(rows.into_iter().map(session).collect())
    }

    /// Those of `arrivals` that are stored, each with its visitor and its time.
    pub(crate) fn stored_arrivals(&self, arrivals: RangeInclusive<u64>) -> Result<Vec<(u64, u64, i64)>, QueryError> {
        let (first, last) = arrivals.into_inner();
        let statement = format!(
            "SELECT DISTINCT arrival, visitor, at FROM {} WHERE arrival >= {first} AND arrival <= {last}",
            self.all()
        );
        self.servers.ask(&statement, &self.in_time(), |_| 0)
    }

    /// A number that is greater than those of all events.
    pub(crate) fn next_arrival(&self) -> Result<u64, QueryError> {
        let statement = format!("SELECT max(arrival) + 1 FROM {} HAVING count() > 0", self.all());
        let next: Vec<u64> = self.servers.ask(&statement, &self.in_time(), |_| 0)?;
        Ok(next.first().copied().unwrap_or(0))
    }

    /// See [`EventStore::recent_sessions`](zenovay_events::EventStore::recent_sessions); the events of `hidden` websites before their
    /// instants are left out.
    pub(crate) fn recent_sessions(
        &self,
        since: Timestamp,
        hidden: &[(WebsiteId, Timestamp)],
    ) -> Result<Vec<RecentSession>, QueryError> {
        let hidden: String = hidden
            .iter()
            .map(|(website, since)| {
                format!(" AND NOT (website = {} AND at < {})", uuid(*website), int64(since.as_millis()))
            })
            .collect();
        let first = |column: &str| format!("CAST(argMinIf({column}, (at, arrival), {IS_EVENT}) AS String)");
        let statement = format!(
            "SELECT website, session, any(visitor) AS visitor, argMinIf(flags, (at, arrival), {IS_EVENT}) AS first_flags, \
             minIf(at, {IS_EVENT}) AS began_at, max(at) AS last_at, concat({}, '\u{1f}', {}, '\u{1f}', {}) AS campaign, \
             {} AS first_referrer, {} AS first_channel FROM {} WHERE at >= {}{hidden} GROUP BY website, session \
             HAVING countIf({IS_EVENT}) > 0 AND last_at >= {}",
            first("utm_source"),
            first("utm_medium"),
            first("utm_campaign"),
            first("referrer"),
            first("channel"),
            self.all(),
            int64(since.plus_millis(-SESSION_MAX_MS).as_millis()),
            int64(since.as_millis()),
        );
        let rows: Vec<RecentRow> = self.servers.ask(&statement, &self.in_time(), |_| 0)?;
        let session = |row: RecentRow| {
            let (website, visitor) = (website_of(row.website), VisitorId(row.visitor));
            let began_at = Timestamp::from_millis(row.began_at);
            let mut recent = RecentSession::new(website, visitor, SessionId(row.session), began_at);
            recent.flags = EventFlags::from_bits(row.first_flags);
            recent.last_at = Timestamp::from_millis(row.last_at);
            recent.campaign = row.campaign;
            recent.referrer = row.first_referrer;
            recent.channel = row.first_channel;
            recent
        };
        Ok(rows.into_iter().map(session).collect())
    }

    /// The time of the newest event.
    pub(crate) fn newest(&self) -> Result<Option<Timestamp>, QueryError> {
        let statement = format!("SELECT max(at) FROM {} HAVING count() > 0", self.all());
        let rows: Vec<i64> = self.servers.ask(&statement, &self.in_time(), |_| 0)?;
        Ok(rows.first().map(|&at| Timestamp::from_millis(at)))
    }

    /// All rows of all websites.
    pub(crate) fn rows(&self) -> Result<u64, QueryError> {
        self.servers.ask_one(&format!("SELECT count() FROM {}", self.all()), &self.in_time())
    }

    /// The rows of a statement on one server, which needs no database.
    pub(crate) fn rows_of<T>(&self, shard: usize, statement: &str) -> Result<Vec<T>, ServerError>
    where
        T: RowOwned + RowRead + Send + 'static,
    {
        self.servers.rows(shard, statement, &[("database", "default")])
    }

    /// Runs a statement on one server.
    pub(crate) fn execute(&self, shard: usize, statement: &str, options: &[(&str, &str)]) -> Result<(), ServerError> {
        self.servers.execute(shard, statement, options)
    }

    pub(crate) fn config(&self) -> &Config {
        &self.servers.config
    }

    pub(crate) fn patience(&self) -> Duration {
        self.servers.config.patience
    }

    /// The table with the rows of all shards.
    fn all(&self) -> String {
        let table = if self.servers.config.cluster.is_some() { "events_all" } else { "events" };
        format!("{}.{table}", self.servers.config.database)
    }

    /// What a question may cost that is not a user's.
    fn in_time(&self) -> Budget {
        Budget::new(self.servers.config.patience, usize::MAX)
    }

    fn source(&self, website: WebsiteId, since: Option<Timestamp>) -> Source<'_> {
        let config = &self.servers.config;
        Source { database: &config.database, cluster: config.cluster.as_deref(), website, since }
    }
}

/// The rows of a website for which `condition` holds.
fn of_website(website: WebsiteId, condition: &str) -> String {
    format!("website = {} AND {condition}", uuid(website))
}

/// How many events and heartbeats of all websites are on the servers of `config`; `None` when the tables are not made yet. Changes nothing. Blocks.
///
/// # Errors
/// When the configuration cannot be, or a server does not answer.
pub fn count_all(config: Config) -> Result<Option<u64>, OpenError> {
    let servers = Servers::new(config)?;
    let mut rows = None;
    for shard in 0..servers.shards() {
        let database = &servers.config.database;
        let failed = |source| OpenError::Server { server: servers.config.shards[shard].clone(), source };
        let asked = format!(
            "SELECT sum(ifNull(total_rows, 0)) FROM system.tables WHERE database = {} AND name = 'events' HAVING count() > 0",
            Text(database)
        );
        let counted: Vec<u64> = servers.rows(shard, &asked, &[("database", "default")]).map_err(failed)?;
        rows = counted.first().map(|counted| rows.unwrap_or(0) + counted).or(rows);
    }
    Ok(rows)
}

/// How many events and heartbeats of each website are on the servers of `config`; `None` when the tables are not made yet. Changes nothing.
/// Blocks.
///
/// # Errors
/// As [`count_all`].
pub fn count_by_website(config: Config) -> Result<Option<Vec<(WebsiteId, u64)>>, OpenError> {
    if count_all(config.clone())?.is_none() {
        return Ok(None);
    }
    let servers = Servers::new(config)?;
    let mut counted: BTreeMap<WebsiteId, u64> = BTreeMap::new();
    for shard in 0..servers.shards() {
        let failed = |source| OpenError::Server { server: servers.config.shards[shard].clone(), source };
        let asked = format!("SELECT website, count() AS rows FROM {}.events GROUP BY website", servers.config.database);
        let rows: Vec<WebsiteRow> = servers.rows(shard, &asked, &[]).map_err(failed)?;
        rows.iter().for_each(|row| *counted.entry(website_of(row.website)).or_default() += row.rows);
    }
    Ok(Some(counted.into_iter().collect()))
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables").field("config", &self.servers.config).finish_non_exhaustive()
    }
}
