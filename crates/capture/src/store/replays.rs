//! Recordings: the index of their chunks, and what is asked about them. Where the chunks are is the matter of [`super::places`].

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::Ordering;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use zenovay_domain::{SessionId, TimeRange, Timestamp, VisitorId, WebsiteId, normal_path};

use super::places::{self, BLOBS};
use super::schema::{hidden_before, shown};
use super::{Captures, DAY_MS, Filter, Row, Shared, mark};
use crate::record::ReplayCapture;
use crate::replay::{IDLE_MS, Mark, MarkKind, NewChunk, ReplayRefused, ReplaySummary, milliseconds_of};
use crate::{BlobError, BlobName, CaptureError, GroupId};

/// What is kept of one visit: bytes as they were sent, and from the first event to the last.
pub const SESSION_MAX_BYTES: u64 = 24 << 20;
/// The longest that a visit is recorded, in milliseconds, with what is on its way then.
pub const SESSION_MAX_MS: i64 = 2 * 3_600_000 + 10 * 60_000;
/// How far the times of an error and of a recording may be apart, in milliseconds.
const NEAR_MS: i64 = 10_000;
/// How far the end of a recording may be before what is said to be in it, in milliseconds: what is told by two requests is at times
/// that differ by how long these took. Nothing later is in it.
const ENDED_MS: i64 = 3_000;
/// The most markers of a recording that are told.
const MARKERS_MAX: i64 = 5_000;
/// How many clicks in a row are a rage click.
const RAGE_CLICKS: u32 = 3;
/// How soon after each other, in milliseconds, and how near to each other, in pixels, clicks are in a row.
const ROW_MS: i64 = 1_000;
const ROW_PIXELS: u32 = 30;
/// How many recordings are removed at a time when there are too many bytes.
const REMOVED_AT_ONCE: i64 = 64;

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS replays (
        id INTEGER PRIMARY KEY AUTOINCREMENT, website BLOB NOT NULL, digest BLOB NOT NULL, visitor INTEGER NOT NULL,
        session INTEGER NOT NULL, started INTEGER NOT NULL, ended INTEGER NOT NULL, first_ms INTEGER NOT NULL,
        last_ms INTEGER NOT NULL, clock INTEGER NOT NULL, path TEXT NOT NULL, device TEXT NOT NULL, browser TEXT NOT NULL,
        browser_version TEXT NOT NULL, os TEXT NOT NULL, country TEXT NOT NULL, masked INTEGER NOT NULL,
        chunks INTEGER NOT NULL, last_seq INTEGER NOT NULL, events INTEGER NOT NULL, clicks INTEGER NOT NULL,
        errors INTEGER NOT NULL, pages INTEGER NOT NULL, bytes INTEGER NOT NULL, sent INTEGER NOT NULL,
        loose INTEGER NOT NULL DEFAULT 0,
        UNIQUE (website, digest)
    );
    CREATE INDEX IF NOT EXISTS replays_by_time ON replays (website, started);
    CREATE INDEX IF NOT EXISTS replays_by_age ON replays (ended);
    CREATE INDEX IF NOT EXISTS replays_by_visitor ON replays (website, visitor);
    CREATE INDEX IF NOT EXISTS replays_by_session ON replays (website, session);
    CREATE INDEX IF NOT EXISTS replays_to_merge ON replays (ended) WHERE loose > 0;
    CREATE TABLE IF NOT EXISTS replay_chunks (
        replay INTEGER NOT NULL, seq INTEGER NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
        events INTEGER NOT NULL, bytes INTEGER NOT NULL, raw INTEGER NOT NULL, is_final INTEGER NOT NULL,
        blob TEXT NOT NULL UNIQUE, summary BLOB NOT NULL, object INTEGER, start INTEGER, PRIMARY KEY (replay, seq)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS replay_views (
        replay INTEGER NOT NULL, seq INTEGER NOT NULL, place INTEGER NOT NULL, website BLOB NOT NULL, at INTEGER NOT NULL,
        path TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, has_snapshot INTEGER NOT NULL,
        PRIMARY KEY (replay, seq, place)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS replay_views_by_path ON replay_views (website, path, at);";

/// Names a recording: `sr_` and a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplayId([u8; 16]);

impl fmt::Display for ReplayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sr_{}", super::errors::hyphenated(self.0))
    }
}

/// A string that names no recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a recording")]
pub struct InvalidReplayId;

impl FromStr for ReplayId {
    type Err = InvalidReplayId;

    fn from_str(text: &str) -> Result<Self, InvalidReplayId> {
        text.strip_prefix("sr_").and_then(super::errors::unhyphenated).map(Self).ok_or(InvalidReplayId)
    }
}

/// Which recordings had an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithErrors {
    /// Any.
    Any,
    /// One of this group.
    Of(GroupId),
}

/// What is asked about recordings.
#[derive(Debug, Clone, Copy)]
pub struct ReplayQuery<'a> {
    /// When they began, and what they have to be of: a recording is asked about with each of its pages until one counts.
    pub filter: Filter<'a>,
    /// Of this visitor alone.
    pub visitor: Option<VisitorId>,
    /// Of this visit alone.
    pub session: Option<SessionId>,
    /// With such errors alone.
    pub errors: Option<WithErrors>,
    /// Not shorter than this, in milliseconds.
    pub min_ms: i64,
    /// Not longer than this, in milliseconds.
    pub max_ms: i64,
    /// That go on at this moment.
    pub at: Option<Timestamp>,
}

impl<'a> ReplayQuery<'a> {
    /// All of `filter`.
    pub const fn of(filter: Filter<'a>) -> Self {
        Self { filter, visitor: None, session: None, errors: None, min_ms: 0, max_ms: i64::MAX, at: None }
    }
}

/// A recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// Names it.
    pub id: ReplayId,
    /// Whose it is.
    pub visitor: VisitorId,
    /// Of which visit.
    pub session: SessionId,
    /// When it began.
    pub started_at: Timestamp,
    /// When its last event was.
    pub ended_at: Timestamp,
    /// For how long somebody did something, in milliseconds.
    pub active_ms: i64,
    /// The path of its first page.
    pub entry_page: String,
    /// The path of its last page.
    pub exit_page: String,
    /// Views of pages.
    pub pages: u64,
    /// Clicks.
    pub clicks: u64,
    /// Errors.
    pub errors: u64,
    /// Events.
    pub events: u64,
    /// Chunks.
    pub chunks: u64,
    /// Chunks that did not come, of those before the last that came.
    pub missing: u64,
    /// Bytes that are kept of it.
    pub bytes: u64,
    /// `desktop`, `mobile` or `tablet`; empty when it is not known.
    pub device: String,
    /// The name of the browser.
    pub browser: String,
    /// Its version.
    pub browser_version: String,
    /// The name of the operating system.
    pub os: String,
    /// The country; empty when it is not known.
    pub country: String,
    /// The width of its first window, in pixels.
    pub width: u32,
    /// The height of its first window, in pixels.
    pub height: u32,
    /// Whether the values of all fields are masked.
    pub masks_inputs: bool,
    /// When it is removed for its age; without a limit of days, nothing.
    pub kept_until: Option<Timestamp>,
}

/// Some of the recordings that were asked about.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Replays {
    /// The one that began last first.
    pub replays: Vec<Replay>,
    /// How many there are.
    pub total: u64,
}

/// Something that is marked on the time line of a recording. Times are in milliseconds from its beginning.
#[derive(Debug, Clone, PartialEq)]
pub struct Marker {
    /// When.
    pub at_ms: i64,
    /// What.
    pub kind: MarkKind,
    /// Of clicks how many there were in a row at one place. Otherwise 1.
    pub count: u32,
    /// The group of an error, when it is known.
    pub group: Option<GroupId>,
}

impl Marker {
    /// Whether somebody clicked in a rage.
    pub const fn is_rage(&self) -> bool {
        self.count >= RAGE_CLICKS
    }
}

/// Chunks that did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// From when on, in milliseconds from the beginning.
    pub from_ms: i64,
    /// Until when.
    pub to_ms: i64,
    /// How many chunks.
    pub chunks: u32,
}

/// A chunk of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayChunk {
    /// Its number.
    pub seq: u32,
    /// When its first event was, in milliseconds from the beginning.
    pub from_ms: i64,
    /// When its last event was.
    pub to_ms: i64,
    /// Its events.
    pub events: u64,
    /// The bytes that are kept of it.
    pub bytes: u64,
    /// Whether a whole page is written down in it.
    pub has_snapshot: bool,
    /// Whether the page was left with it.
    pub is_final: bool,
}

/// All about a recording but its events.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayDetail {
    /// The recording.
    pub replay: Replay,
    /// The time of the browser's clock at which it begins, in milliseconds.
    pub clock_ms: i64,
    /// What happened, in the order of time.
    pub markers: Vec<Marker>,
    /// From when to when nobody did anything, in milliseconds from the beginning.
    pub idle: Vec<(i64, i64)>,
    /// What did not come.
    pub gaps: Vec<Gap>,
    /// Its chunks by their numbers.
    pub chunks: Vec<ReplayChunk>,
}

/// Events of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayEvents {
    /// The number of the chunk.
    pub seq: u32,
    /// A JSON array; empty when the chunk cannot be read.
    pub json: String,
    /// Why it cannot be read.
    pub damage: Option<String>,
}

/// The events of some chunks, in order, and the number of the chunk to go on with.
pub type EventsAndNext = (Vec<ReplayEvents>, Option<u32>);

/// A page as it was written down in a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageSnapshot {
    /// When.
    pub at: Timestamp,
    /// The width of the window, in pixels.
    pub width: u32,
    /// The height of the window, in pixels.
    pub height: u32,
    /// The document, JSON as the recorder writes a node.
    pub node: String,
}

/// What is kept of recordings at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayLimits {
    /// For how many days; 0 is without a limit of their own.
    pub days: u32,
    /// How many bytes of chunks, of all websites; the oldest recordings give way.
    pub bytes: u64,
}

impl Default for ReplayLimits {
    /// 30 days and 10 GiB.
    fn default() -> Self {
        Self { days: 30, bytes: 10 << 30 }
    }
}

type Sqlite<T> = Result<T, rusqlite::Error>;

/// Adds a chunk, of which sums are numbers, to the index. One that is there already stays as it is.
pub(super) fn add(transaction: &Transaction<'_>, website: &[u8; 16], capture: &ReplayCapture) -> Sqlite<()> {
    let ReplayCapture { context, digest, seq, summary, clock_ms, .. } = capture;
    let found: Option<i64> = transaction
        .prepare("SELECT id FROM replays WHERE website = ?1 AND digest = ?2")?
        .query_row(params![website, digest], |row| row.get(0))
        .optional()?;
    let replay = match found {
        Some(replay) => replay,
        None => {
            let started = summary.first_ms + clock_ms;
            transaction
                .prepare(
                    "INSERT INTO replays (website, digest, visitor, session, started, ended, first_ms, last_ms, clock, path, device,
                        browser, browser_version, os, country, masked, chunks, last_seq, events, clicks, errors, pages, bytes,
                        sent)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 1, 0, 0, 0, 0, 0, 0, 0, 0)",
                )?
                .execute(params![
                    website,
                    digest,
                    context.visitor.cast_signed(),
                    context.session.cast_signed(),
                    started,
                    summary.first_ms,
                    clock_ms,
                    context.path,
                    context.device,
                    context.browser,
                    context.browser_version,
                    context.os,
                    context.country,
                ])?;
            transaction.last_insert_rowid()
        }
    };
    // Serialising into memory cannot fail; were it to, the chunk would have no marks.
    let packed = postcard::to_stdvec(summary).unwrap_or_default();
    let added = transaction
        .prepare("INSERT OR IGNORE INTO replay_chunks VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, NULL, NULL)")?
        .execute(params![
            replay,
            seq,
            summary.first_ms,
            summary.last_ms,
            summary.events,
            capture.bytes.cast_signed(),
            capture.raw_bytes.cast_signed(),
            capture.is_final,
            capture.blob,
            packed,
        ])?;
    if added == 0 {
        // Sent twice at a time: nothing knows of the second.
        return places::doom_stray(transaction, &capture.blob);
    }
    mark::learn(transaction)?;
    places::keep(transaction, &capture.blob, capture.bytes)?;
    for (place, view) in summary.views.iter().enumerate() {
        transaction.prepare("INSERT INTO replay_views VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?.execute(
            params![
                replay,
                seq,
                i64::try_from(place).unwrap_or(i64::MAX),
                website,
                view.at_ms + clock_ms,
                view.path,
                view.width,
                view.height,
                view.has_snapshot
            ],
        )?;
    }
    // The clocks are as far apart as they seem to be when a chunk is on its way for the shortest time.
    transaction
        .prepare(
            "UPDATE replays SET first_ms = min(first_ms, ?2), last_ms = max(last_ms, ?3), clock = min(clock, ?4),
                started = min(first_ms, ?2) + min(clock, ?4), ended = max(last_ms, ?3) + min(clock, ?4),
                masked = masked AND ?5, chunks = chunks + 1, last_seq = max(last_seq, ?6), events = events + ?7,
                clicks = clicks + ?8, errors = errors + ?9, pages = pages + ?10, bytes = bytes + ?11, sent = sent + ?12,
                loose = loose + 1
             WHERE id = ?1",
        )?
        .execute(params![
            replay,
            summary.first_ms,
            summary.last_ms,
            clock_ms,
            capture.masks_inputs,
            seq,
            summary.events,
            summary.clicks,
            summary.errors,
            summary.pages,
            capture.bytes.cast_signed(),
            capture.sent_bytes.cast_signed(),
        ])?;
    transaction
        .execute("UPDATE meta SET value = value + ?1 WHERE name = 'replay_bytes'", [capture.bytes.cast_signed()])?;
    Ok(())
}

/// Removes the recordings of which `condition` is true, and dooms their blobs. `?1` is `website`, `?2` is `value`.
fn remove_where(transaction: &Transaction<'_>, condition: &str, website: &[u8; 16], value: i64) -> Sqlite<u64> {
    let select = format!("SELECT id FROM replays WHERE {condition}");
    let ids: Vec<i64> = transaction
        .prepare(&select)?
        .query_map(params![website, value], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    remove(transaction, &ids)
}

fn remove(transaction: &Transaction<'_>, ids: &[i64]) -> Sqlite<u64> {
    for id in ids {
        places::doom(transaction, *id)?;
        for change in [
            "UPDATE meta SET value = value - (SELECT bytes FROM replays WHERE id = ?1) WHERE name = 'replay_bytes'",
            "DELETE FROM replay_chunks WHERE replay = ?1",
            "DELETE FROM replay_views WHERE replay = ?1",
            "DELETE FROM replays WHERE id = ?1",
        ] {
            transaction.prepare(change)?.execute([id])?;
        }
    }
    Ok(ids.len() as u64)
}

/// Whether a recording of `website` began from `from_ms` on and before `before_ms`.
pub(super) fn has_between(connection: &Connection, website: &[u8; 16], from_ms: i64, before_ms: i64) -> Sqlite<bool> {
    connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM replays WHERE website = ?1 AND started >= ?2 AND started < ?3)",
        params![website, from_ms, before_ms],
        |row| row.get(0),
    )
}

pub(super) fn remove_before(transaction: &Transaction<'_>, website: &[u8; 16], before_ms: i64) -> Sqlite<u64> {
    remove_where(transaction, "website = ?1 AND started < ?2", website, before_ms)
}

pub(super) fn erase_visitor(transaction: &Transaction<'_>, website: &[u8; 16], visitor: i64) -> Sqlite<u64> {
    remove_where(transaction, "website = ?1 AND visitor = ?2", website, visitor)
}

pub(super) fn delete_website(transaction: &Transaction<'_>, website: &[u8; 16]) -> Sqlite<u64> {
    remove_where(transaction, "website = ?1 AND ?2 = 0", website, 0)
}

const COLUMNS: &str = "r.id, r.digest, r.visitor, r.session, r.started, r.ended, r.first_ms, r.last_ms, r.path, r.device, r.browser,
    r.browser_version, r.os, r.country, r.masked, r.chunks, r.last_seq, r.events, r.clicks, r.errors, r.pages, r.bytes, r.clock";

/// A row of the index, with what is read of its chunks.
struct Found {
    key: i64,
    first_ms: i64,
    last_ms: i64,
    clock_ms: i64,
    replay: Replay,
}

fn found(row: &rusqlite::Row<'_>, limits: ReplayLimits) -> Sqlite<Found> {
    let number = |column: usize| row.get::<_, i64>(column).map(|number| u64::try_from(number).unwrap_or(0));
    let at = |column: usize| row.get(column).map(Timestamp::from_millis);
    let (chunks, last_seq) = (number(15)?, number(16)?);
    let ended_at: Timestamp = at(5)?;
    let path: String = row.get(8)?;
    Ok(Found {
        key: row.get(0)?,
        first_ms: row.get(6)?,
        last_ms: row.get(7)?,
        clock_ms: row.get(22)?,
        replay: Replay {
            id: ReplayId(row.get(1)?),
            visitor: VisitorId(row.get::<_, i64>(2)?.cast_unsigned()),
            session: SessionId(row.get::<_, i64>(3)?.cast_unsigned()),
            started_at: at(4)?,
            ended_at,
            active_ms: 0,
            entry_page: path.clone(),
            exit_page: path,
            pages: number(20)?.max(1),
            clicks: number(18)?,
            errors: number(19)?,
            events: number(17)?,
            chunks,
            missing: (last_seq + 1).saturating_sub(chunks),
            bytes: number(21)?,
            device: row.get(9)?,
            browser: row.get(10)?,
            browser_version: row.get(11)?,
            os: row.get(12)?,
            country: row.get(13)?,
            width: 0,
            height: 0,
            masks_inputs: row.get(14)?,
            kept_until: (limits.days > 0).then(|| ended_at.plus_millis(i64::from(limits.days) * DAY_MS)),
        },
    })
}

/// The summaries of the chunks of a recording, by their numbers.
fn summaries(connection: &Connection, key: i64) -> Sqlite<Vec<(ReplayChunk, ReplaySummary)>> {
    let mut statement = connection.prepare(
        "SELECT seq, first_ms, last_ms, events, bytes, is_final, summary FROM replay_chunks WHERE replay = ?1 ORDER BY seq",
    )?;
    let rows = statement.query_map([key], |row| {
        let summary = postcard::from_bytes::<ReplaySummary>(row.get_ref(6)?.as_blob()?).unwrap_or_default();
        let number = |column: usize| row.get::<_, i64>(column).map(|number| u64::try_from(number).unwrap_or(0));
        let chunk = ReplayChunk {
            seq: row.get(0)?,
            from_ms: row.get(1)?,
            to_ms: row.get(2)?,
            events: number(3)?,
            bytes: number(4)?,
            has_snapshot: summary.has_snapshot,
            is_final: row.get(5)?,
        };
        Ok((chunk, summary))
    })?;
    rows.collect()
}

/// From when to when nobody did anything, by the browser's clock.
fn idle_times(found: &Found, chunks: &[(ReplayChunk, ReplaySummary)]) -> Vec<(i64, i64)> {
    let mut spans = Vec::new();
    let mut last = found.first_ms;
    let mut until = |last: i64, at: i64| {
        if at.saturating_sub(last) >= IDLE_MS {
            spans.push((last, at));
        }
    };
    let mut inside: Vec<(i64, i64)> = Vec::new();
    for (_, summary) in chunks {
        if let (Some(first), Some(end)) = (summary.first_active_ms, summary.last_active_ms) {
            until(last, first);
            inside.extend(&summary.idle);
            last = last.max(end);
        }
    }
    until(last, found.last_ms);
    spans.extend(inside);
    spans.sort_unstable();
    spans
}

/// Adds what the pages and the chunks of a recording tell.
fn complete(connection: &Connection, found: &mut Found, chunks: &[(ReplayChunk, ReplaySummary)]) -> Sqlite<()> {
    let idle = milliseconds_of(&idle_times(found, chunks));
    let replay = &mut found.replay;
    replay.active_ms = found.last_ms.saturating_sub(found.first_ms).saturating_sub(idle).max(0);
    let page = |order: &str| -> Sqlite<Option<String>> {
        let select =
            format!("SELECT path FROM replay_views WHERE replay = ?1 ORDER BY at {order}, seq {order}, place {order}");
        connection.prepare(&select)?.query_row([found.key], |row| row.get(0)).optional()
    };
    if let (Some(entry), Some(exit)) = (page("ASC")?, page("DESC")?) {
        (replay.entry_page, replay.exit_page) = (entry, exit);
    }
    let size = connection
        .prepare("SELECT width, height FROM replay_views WHERE replay = ?1 AND width > 0 ORDER BY at, seq, place")?
        .query_row([found.key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    (replay.width, replay.height) = size.unwrap_or_default();
    Ok(())
}

impl Captures {
    /// Keeps a chunk of a recording, and gives what has to be in the log then.
    ///
    /// # Errors
    /// [`ReplayRefused`].
    pub fn keep_replay(&self, chunk: &NewChunk<'_>) -> Result<Option<ReplayCapture>, ReplayRefused> {
        let digest = chunk.digest();
        let (is_kept, sent, started, waiting) = self.read(|connection| {
            let (website, session) = (chunk.website.as_bytes(), chunk.context.session.cast_signed());
            let is_kept: bool = connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM replay_chunks WHERE seq = ?3 AND replay =
                    (SELECT id FROM replays WHERE website = ?1 AND digest = ?2))",
                params![website, digest, chunk.seq],
                |row| row.get(0),
            )?;
            let (sent, started): (Option<i64>, Option<i64>) = connection.query_row(
                "SELECT sum(sent), min(started) FROM replays WHERE website = ?1 AND session = ?2",
                params![website, session],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let waiting = places::waiting_bytes(connection)?;
            Ok((is_kept, u64::try_from(sent.unwrap_or(0)).unwrap_or(0), started, waiting))
        })?;
        if is_kept {
            return Err(ReplayRefused::Duplicate);
        }
        let is_long = started.is_some_and(|started| chunk.received_ms.saturating_sub(started) > SESSION_MAX_MS);
        if is_long || sent.saturating_add(chunk.sent_bytes) > SESSION_MAX_BYTES {
            return Err(ReplayRefused::SessionFull);
        }
        if self.shared.places.is_full(waiting) {
            return Err(ReplayRefused::TooMuchWaits);
        }
        let packed = chunk.pack(&self.shared.fields)?;
        if packed.summary.events == 0 {
            return Ok(None);
        }
        let content = xxhash_rust::xxh3::xxh3_64(&packed.bytes);
        let name = format!("{BLOBS}/{}/{}/{}-{content:016x}", chunk.website, hex(&digest), chunk.seq);
        let name = BlobName::new(name)
            .map_err(|error| BlobError::Unavailable { name: BLOBS.to_owned(), problem: error.to_string() })?;
        self.shared.places.here.put(&name, &packed.bytes)?;
        self.make_room_here();
        Ok(Some(ReplayCapture {
            context: chunk.context.clone(),
            digest,
            seq: chunk.seq,
            is_final: chunk.is_final,
            masks_inputs: chunk.masks_inputs,
            clock_ms: packed.offset_ms,
            blob: name.to_string(),
            bytes: packed.bytes.len() as u64,
            raw_bytes: packed.raw_bytes,
            sent_bytes: chunk.sent_bytes,
            summary: packed.summary,
        }))
    }

    /// The recordings of `website`, from the `offset`th on, `limit` of them.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn replays(
        &self,
        website: WebsiteId,
        query: &ReplayQuery<'_>,
        offset: usize,
        limit: usize,
    ) -> Result<Replays, CaptureError> {
        self.catch_up()?;
        let limits = self.shared.limits;
        self.read(|connection| list(connection, website.as_bytes(), query, limits, offset, limit))
    }

    /// All about a recording but its events.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn replay(&self, website: WebsiteId, id: ReplayId) -> Result<Option<ReplayDetail>, CaptureError> {
        self.catch_up()?;
        let limits = self.shared.limits;
        self.read(|connection| {
            let Some(mut found) = find(connection, website.as_bytes(), id, limits)? else { return Ok(None) };
            let chunks = summaries(connection, found.key)?;
            complete(connection, &mut found, &chunks)?;
            detail(connection, website.as_bytes(), found, &chunks).map(Some)
        })
    }

    /// The events of the chunks of a recording from the number `from` on: at most `limit`, and about `max_bytes` of JSON, but one at
    /// least. `None` when there is no such recording. With them the number to go on with.
    ///
    /// # Errors
    /// When the index, or where chunks are kept, cannot be read. A chunk that is damaged or gone is told as one.
    pub fn replay_events(
        &self,
        website: WebsiteId,
        id: ReplayId,
        from: u32,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Option<EventsAndNext>, CaptureError> {
        self.catch_up()?;
        let limits = self.shared.limits;
        let parts = self.read(|connection| {
            let Some(found) = find(connection, website.as_bytes(), id, limits)? else { return Ok(None) };
            places::parts(connection, found.key, from, limit.saturating_add(1)).map(Some)
        })?;
        let Some(mut parts) = parts else { return Ok(None) };
        let mut bytes = 0;
        let fit = parts.iter().take(limit.max(1)).take_while(|part| {
            let fits = bytes < max_bytes.max(1);
            bytes += usize::try_from(part.raw_bytes).unwrap_or(usize::MAX);
            fits
        });
        let fit = fit.count();
        let next = parts.get(fit).map(|part| part.seq);
        parts.truncate(fit);
        let found = self.read_parts(&parts)?;
        let events = parts.iter().zip(found).map(|(part, found)| match found {
            Ok(json) => ReplayEvents { seq: part.seq, json, damage: None },
            Err(damage) => {
                tracing::error!(chunk = part.blob, damage, "a chunk of a recording cannot be read");
                ReplayEvents { seq: part.seq, json: "[]".to_owned(), damage: Some(damage) }
            }
        });
        Ok(Some((events.collect(), next)))
    }

    /// Which recording was going on in `session` at `at`, or began not long after, and how many milliseconds after its
    /// beginning that is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn replay_at(
        &self,
        website: WebsiteId,
        session: SessionId,
        at: Timestamp,
    ) -> Result<Option<(ReplayId, i64)>, CaptureError> {
        self.catch_up()?;
        self.read(|connection| {
            let before = hidden_before(connection, website.as_bytes())?;
            connection
                .prepare(
                    "SELECT digest, started, ended FROM replays WHERE website = ?1 AND session = ?2 AND started >= ?3
                        AND started - ?5 <= ?4 AND ended + ?6 >= ?4
                        ORDER BY max(started - ?4, ?4 - ended, 0), started DESC LIMIT 1",
                )?
                .query_row(
                    params![website.as_bytes(), session.0.cast_signed(), before, at.as_millis(), NEAR_MS, ENDED_MS],
                    |row| {
                        let (started, ended): (i64, i64) = (row.get(1)?, row.get(2)?);
                        Ok((ReplayId(row.get(0)?), (at.as_millis() - started).clamp(0, ended - started)))
                    },
                )
                .optional()
        })
    }

    /// The page `path`, in any spelling of it, as it was written down last in a window whose width is one of `widths`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn page_snapshot(
        &self,
        website: WebsiteId,
        path: &str,
        widths: std::ops::Range<u32>,
    ) -> Result<Option<PageSnapshot>, CaptureError> {
        let path = &*normal_path(path);
        self.catch_up()?;
        let found = self.read(|connection| {
            let before = hidden_before(connection, website.as_bytes())?;
            connection
                .prepare(
                    "SELECT v.at, v.width, v.height, v.replay, v.seq FROM replay_views v JOIN replays r ON r.id = v.replay
                     WHERE v.website = ?1 AND v.path = ?2 AND v.has_snapshot AND v.width >= ?3 AND v.width < ?4
                        AND r.started >= ?5 ORDER BY v.at DESC LIMIT 1",
                )?
                .query_row(params![website.as_bytes(), path, widths.start, widths.end, before], |row| {
                    let part = places::parts(connection, row.get(3)?, row.get(4)?, 1)?;
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, part))
                })
                .optional()
        })?;
        let Some((at, width, height, part)) = found else { return Ok(None) };
        let Some(Ok(events)) = self.read_parts(&part)?.pop() else { return Ok(None) };
        let node = crate::replay::snapshot_of(&events, path);
        Ok(node.map(|node| PageSnapshot { at: Timestamp::from_millis(at), width, height, node }))
    }

    /// Deletes a recording. `false` when there is none of that name.
    ///
    /// # Errors
    /// When it cannot be written. [`CaptureError::NotYetDeleted`]: it is in no answer any more, and the rest is tried again.
    pub fn delete_replay(&self, website: WebsiteId, id: ReplayId) -> Result<bool, CaptureError> {
        self.catch_up()?;
        let removed = self.write(|transaction| {
            let select = "SELECT id FROM replays WHERE website = ?1 AND digest = ?2";
            let key: Option<i64> =
                transaction.query_row(select, params![website.as_bytes(), id.0], |row| row.get(0)).optional()?;
            remove(transaction, key.as_slice())
        })?;
        self.settle_removed(removed)?;
        Ok(removed > 0)
    }

    /// Deletes all recordings of a website, and tells how many that were.
    ///
    /// # Errors
    /// Those of [`delete_replay`](Self::delete_replay).
    pub fn delete_replays(&self, website: WebsiteId) -> Result<u64, CaptureError> {
        self.catch_up()?;
        let removed = self.write(|transaction| delete_website(transaction, website.as_bytes()))?;
        self.settle_removed(removed)?;
        Ok(removed)
    }

    /// Sees that what was removed from the index is gone from where it was. What is in the database comes first, which always can be.
    pub(super) fn settle_removed(&self, removed: u64) -> Result<(), CaptureError> {
        let deleted = self.remove_doomed();
        if removed > 0 {
            self.forget_deleted()?;
        }
        deleted
    }

    /// Removes recordings that are too old by `now`, a clock that is believed, or too many, the oldest first. Gives how many.
    ///
    /// # Errors
    /// Those of [`delete_replay`](Self::delete_replay).
    pub fn limit_replays(&self, now: Option<Timestamp>) -> Result<u64, CaptureError> {
        let ReplayLimits { days, bytes } = self.shared.limits;
        let mut removed = 0;
        let oldest = now.filter(|_| days > 0).map(|now| now.plus_millis(-i64::from(days) * DAY_MS).as_millis());
        while let Some(oldest) = oldest {
            let select = "SELECT id FROM replays WHERE ended < ?1 ORDER BY ended LIMIT ?2";
            let due: Vec<i64> = self.read(|connection| ids(connection, select, oldest))?;
            if due.is_empty() {
                break;
            }
            removed += self.write(|transaction| remove(transaction, &due))?;
        }
        let kept = self.read(replay_bytes)?;
        if kept > bytes {
            removed += self.write(|transaction| make_room(transaction, bytes))?;
        }
        self.remove_doomed_here()?;
        Ok(removed)
    }

    /// How many bytes of chunks are kept.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn replay_bytes(&self) -> Result<u64, CaptureError> {
        self.read(replay_bytes)
    }
}

fn ids(connection: &Connection, select: &str, value: i64) -> Sqlite<Vec<i64>> {
    connection.prepare(select)?.query_map(params![value, REMOVED_AT_ONCE], |row| row.get(0))?.collect()
}

fn replay_bytes(connection: &Connection) -> Sqlite<u64> {
    let bytes: Option<i64> =
        connection.query_row("SELECT value FROM meta WHERE name = 'replay_bytes'", [], |row| row.get(0)).optional()?;
    Ok(u64::try_from(bytes.unwrap_or(0)).unwrap_or(0))
}

/// Removes the oldest recordings until no more than `bytes` are kept, and tells how many.
pub(super) fn make_room(transaction: &Transaction<'_>, bytes: u64) -> Sqlite<u64> {
    let mut removed = 0;
    while replay_bytes(transaction)? > bytes {
        let oldest = ids(transaction, "SELECT id FROM replays WHERE ended >= ?1 ORDER BY ended LIMIT ?2", i64::MIN)?;
        if oldest.is_empty() {
            break;
        }
        for id in oldest {
            if replay_bytes(transaction)? <= bytes {
                break;
            }
            removed += remove(transaction, &[id])?;
        }
    }
    Ok(removed)
}

fn find(connection: &Connection, website: &[u8; 16], id: ReplayId, limits: ReplayLimits) -> Sqlite<Option<Found>> {
    let before = hidden_before(connection, website)?;
    let select = format!("SELECT {COLUMNS} FROM replays r WHERE r.website = ?1 AND r.digest = ?2 AND r.started >= ?3");
    connection.prepare(&select)?.query_row(params![website, id.0, before], |row| found(row, limits)).optional()
}

/// The recordings of a visitor that began in `range`.
pub(super) fn of_visitor(
    connection: &Connection,
    website: &[u8; 16],
    visitor: i64,
    range: TimeRange,
    limits: ReplayLimits,
) -> Sqlite<Vec<ReplayDetail>> {
    let select = format!(
        "SELECT {COLUMNS} FROM replays r WHERE r.website = ?1 AND r.visitor = ?2 AND r.started >= ?3 AND r.started < ?4
             ORDER BY r.started"
    );
    let mut statement = connection.prepare(&select)?;
    let mut rows = statement.query(params![website, visitor, range.from.as_millis(), range.to.as_millis()])?;
    let mut details = Vec::new();
    while let Some(row) = rows.next()? {
        let mut found = found(row, limits)?;
        let chunks = summaries(connection, found.key)?;
        complete(connection, &mut found, &chunks)?;
        details.push(detail(connection, website, found, &chunks)?);
    }
    Ok(details)
}

fn list(
    connection: &Connection,
    website: &[u8; 16],
    query: &ReplayQuery<'_>,
    limits: ReplayLimits,
    offset: usize,
    limit: usize,
) -> Sqlite<Replays> {
    let range = shown(connection, website, query.filter.range)?;
    let mut select =
        format!("SELECT {COLUMNS} FROM replays r WHERE r.website = ?1 AND r.started >= ?2 AND r.started < ?3");
    // Numbers, which need no quotes.
    if let Some(visitor) = query.visitor {
        select += &format!(" AND r.visitor = {}", visitor.0.cast_signed());
    }
    if let Some(session) = query.session {
        select += &format!(" AND r.session = {}", session.0.cast_signed());
    }
    if query.errors == Some(WithErrors::Any) {
        select += " AND r.errors > 0";
    }
    if let Some(at) = query.at {
        let at = at.as_millis();
        select +=
            &format!(" AND r.started <= {} AND r.ended >= {}", at.saturating_add(NEAR_MS), at.saturating_sub(ENDED_MS));
    }
    select += &format!(" AND r.ended - r.started BETWEEN {} AND {}", query.min_ms, query.max_ms);
    let group = match query.errors {
        Some(WithErrors::Of(group)) => {
            let found = connection.query_row(
                "SELECT id FROM groups WHERE website = ?1 AND uuid = ?2",
                params![website, group.bytes()],
                |row| row.get::<_, i64>(0),
            );
            match found.optional()? {
                Some(group) => Some(group),
                None => return Ok(Replays::default()),
            }
        }
        _ => None,
    };
    if let Some(group) = group {
        select += &format!(
            " AND EXISTS (SELECT 1 FROM occurrences o JOIN variants v ON v.id = o.variant WHERE o.website = r.website
                AND o.visitor = r.visitor AND v.grp = {group} AND o.session = r.session
                AND o.at BETWEEN r.started - {NEAR_MS} AND r.ended + {ENDED_MS})"
        );
    }
    select += " ORDER BY r.started DESC, r.id DESC";
    let mut statement = connection.prepare(&select)?;
    let mut rows = statement.query(params![website, range.from.as_millis(), range.to.as_millis()])?;
    let mut listed = Replays::default();
    while let Some(row) = rows.next()? {
        let mut next = found(row, limits)?;
        if !counts(connection, &next, &query.filter)? {
            continue;
        }
        let place = usize::try_from(listed.total).unwrap_or(usize::MAX);
        listed.total += 1;
        if (offset..offset.saturating_add(limit)).contains(&place) {
            let chunks = summaries(connection, next.key)?;
            complete(connection, &mut next, &chunks)?;
            listed.replays.push(next.replay);
        }
    }
    Ok(listed)
}

/// Whether a recording counts with one of its pages.
fn counts(connection: &Connection, found: &Found, filter: &Filter<'_>) -> Sqlite<bool> {
    if filter.keep.is_none() {
        return Ok(true);
    }
    let replay = &found.replay;
    let row = |path: &str| {
        filter.keeps(&Row {
            path,
            device: &replay.device,
            browser: &replay.browser,
            browser_version: &replay.browser_version,
            os: &replay.os,
            country: &replay.country,
        })
    };
    if row(&replay.entry_page) {
        return Ok(true);
    }
    let mut statement = connection.prepare("SELECT DISTINCT path FROM replay_views WHERE replay = ?1")?;
    let mut paths = statement.query([found.key])?;
    while let Some(path) = paths.next()? {
        if row(path.get_ref(0)?.as_str()?) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn detail(
    connection: &Connection,
    website: &[u8; 16],
    found: Found,
    chunks: &[(ReplayChunk, ReplaySummary)],
) -> Sqlite<ReplayDetail> {
    let from_start = |ms: i64| ms.saturating_sub(found.first_ms).max(0);
    let mut marks: Vec<Mark> = chunks.iter().flat_map(|(_, summary)| summary.marks.iter().cloned()).collect();
    marks.sort_by_key(|mark| mark.at_ms);
    marks.truncate(usize::try_from(MARKERS_MAX).unwrap_or(usize::MAX));
    let errors = errors_in(connection, website, &found)?;
    let mut markers: Vec<Marker> = Vec::with_capacity(marks.len());
    let mut last_click: Option<Mark> = None;
    for mark in marks {
        let at_ms = from_start(mark.at_ms);
        if let MarkKind::Click { x, y, .. } = mark.kind {
            let goes_on = last_click.as_ref().is_some_and(|last| match last.kind {
                MarkKind::Click { x: before_x, y: before_y, .. } => {
                    mark.at_ms.saturating_sub(last.at_ms) <= ROW_MS
                        && x.abs_diff(before_x) <= ROW_PIXELS
                        && y.abs_diff(before_y) <= ROW_PIXELS
                }
                _ => false,
            });
            last_click = Some(mark.clone());
            if let Some(before) =
                markers.last_mut().filter(|before| goes_on && matches!(before.kind, MarkKind::Click { .. }))
            {
                before.count += 1;
                continue;
            }
        }
        let group = match &mark.kind {
            MarkKind::Error { kind, message } => {
                group_of(&errors, kind, message, mark.at_ms.saturating_add(found.clock_ms))
            }
            _ => None,
        };
        markers.push(Marker { at_ms, kind: mark.kind, count: 1, group });
    }
    let mut gaps = Vec::new();
    let (mut expected, mut until) = (0_u32, found.first_ms);
    for (chunk, _) in chunks {
        if chunk.seq > expected {
            let gap = Gap {
                from_ms: from_start(until),
                to_ms: from_start(chunk.from_ms.max(until)),
                chunks: chunk.seq - expected,
            };
            gaps.push(gap);
        }
        (expected, until) = (chunk.seq.saturating_add(1), chunk.to_ms);
    }
    let idle = idle_times(&found, chunks);
    let shown = |chunk: &ReplayChunk| ReplayChunk {
        from_ms: from_start(chunk.from_ms),
        to_ms: from_start(chunk.to_ms),
        ..*chunk
    };
    Ok(ReplayDetail {
        clock_ms: found.first_ms,
        markers,
        idle: idle.into_iter().map(|(from, to)| (from_start(from), from_start(to))).collect(),
        gaps,
        chunks: chunks.iter().map(|(chunk, _)| shown(chunk)).collect(),
        replay: found.replay,
    })
}

/// An error of the visit while it was recorded: when, of which type, with which message, in which group.
type Met = (i64, String, String, GroupId);

fn errors_in(connection: &Connection, website: &[u8; 16], found: &Found) -> Sqlite<Vec<Met>> {
    let replay = &found.replay;
    let mut statement = connection.prepare(
        "SELECT o.at, v.kind, v.message, g.uuid FROM occurrences o JOIN variants v ON v.id = o.variant
            JOIN groups g ON g.id = v.grp
         WHERE o.website = ?1 AND o.visitor = ?2 AND o.session = ?3 AND o.at BETWEEN ?4 AND ?5 LIMIT ?6",
    )?;
    let rows = statement.query_map(
        params![
            website,
            replay.visitor.0.cast_signed(),
            replay.session.0.cast_signed(),
            replay.started_at.plus_millis(-NEAR_MS).as_millis(),
            replay.ended_at.plus_millis(NEAR_MS).as_millis(),
            MARKERS_MAX,
        ],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, GroupId::from_bytes(row.get(3)?))),
    )?;
    rows.collect()
}

/// The group of the error that is most like one that was recorded at `at_ms`.
fn group_of(errors: &[Met], kind: &str, message: &str, at_ms: i64) -> Option<GroupId> {
    let is_like = |theirs: &str| theirs.starts_with(message) || message.starts_with(theirs);
    let near = errors.iter().filter(|(at, theirs, text, _)| {
        at.abs_diff(at_ms) <= NEAR_MS.unsigned_abs() && theirs == kind && is_like(text)
    });
    near.min_by_key(|(at, ..)| at.abs_diff(at_ms)).map(|(.., group)| *group)
}

/// The digits of `bytes`.
fn hex(bytes: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*bytes))
}

/// Makes room where too much is kept.
pub(super) fn keep_within(shared: &Shared, transaction: &Transaction<'_>) -> Sqlite<()> {
    if replay_bytes(transaction)? > shared.limits.bytes && make_room(transaction, shared.limits.bytes)? > 0 {
        shared.places.is_doomed.store(true, Ordering::Relaxed);
    }
    Ok(())
}
