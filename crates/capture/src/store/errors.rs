//! Questions about errors, and what is decided about their groups.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, ToSql, params};
use zenovay_domain::{SessionId, Timestamp, VisitorId, WebsiteId};

use super::apply::add_history;
use super::maps::{Maps, RawStack, sources};
use super::packed::{Counted, distinct, seen, visit};
use super::schema::{hidden_before, shown};
use super::{Captures, Filter, QUESTION_MAX_BYTES};
use crate::{Breadcrumb, CaptureError, Fingerprint, Frame, SourceLines};

/// What a visitor takes in a list.
const VISITOR_BYTES: usize = size_of::<i64>();
/// The most rows of a list in the detail of a group.
const PARTS_MAX: usize = 50;
/// The most variants that are told of a group.
const VARIANTS_TOLD: i64 = 20;
/// The most entries of a group's history that are told.
const HISTORY_TOLD: i64 = 100;

/// What was decided about a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Nothing yet, or it came back.
    Unresolved = 0,
    /// It is mended: when it happens again, it is unresolved again.
    Resolved = 1,
    /// Nobody wants to hear of it.
    Ignored = 2,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Unresolved, Self::Resolved, Self::Ignored];

    /// The name in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unresolved => "unresolved",
            Self::Resolved => "resolved",
            Self::Ignored => "ignored",
        }
    }

    /// The status with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    fn from_number(number: i64) -> Self {
        Self::ALL.into_iter().find(|status| *status as i64 == number).unwrap_or(Self::Unresolved)
    }
}

/// Names a group: `eg_` and a UUID. It is the same for the same errors of a website, whoever stores them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GroupId([u8; 16]);

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "eg_{}", hyphenated(self.0))
    }
}

/// A string that names no group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a group of errors")]
pub struct InvalidGroupId;

impl FromStr for GroupId {
    type Err = InvalidGroupId;

    fn from_str(text: &str) -> Result<Self, InvalidGroupId> {
        text.strip_prefix("eg_").and_then(unhyphenated).map(Self).ok_or(InvalidGroupId)
    }
}

impl GroupId {
    pub(super) const fn bytes(self) -> [u8; 16] {
        self.0
    }

    pub(super) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// The digits of a UUID.
pub(super) fn hyphenated(bytes: [u8; 16]) -> String {
    let n = u128::from_be_bytes(bytes);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        n >> 96,
        (n >> 80) & 0xffff,
        (n >> 64) & 0xffff,
        (n >> 48) & 0xffff,
        n & 0xffff_ffff_ffff
    )
}

/// What [`hyphenated`] wrote.
pub(super) fn unhyphenated(text: &str) -> Option<[u8; 16]> {
    let parts: Vec<&str> = text.split('-').collect();
    let is_right = parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]);
    let digits = parts.concat();
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'));
    if is_right && is_hex { u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes) } else { None }
}

/// Equal errors of a website.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorGroup {
    /// Names it.
    pub id: GroupId,
    /// What its errors have in common.
    pub fingerprint: Fingerprint,
    /// The type of its first error.
    pub kind: String,
    /// The message of its first error.
    pub message: String,
    /// The innermost frame of the app.
    pub culprit: Option<Frame>,
    /// The release of its newest stack; empty when the page does not say.
    pub release: String,
    /// What was decided about it.
    pub status: Status,
    /// How often it occurred, of all that is kept.
    pub occurrences: u64,
    /// Distinct visitors who met it, of all that is kept.
    pub visitors: u64,
    /// When it occurred first.
    pub first_at: Timestamp,
    /// When it occurred last.
    pub last_at: Timestamp,
}

/// What is asked about errors.
#[derive(Debug, Clone, Copy)]
pub struct GroupQuery<'a> {
    /// What counts.
    pub filter: Filter<'a>,
    /// Where buckets of the series begin, ascending; the first not after the range.
    pub buckets: &'a [Timestamp],
}

/// A group in what was asked about.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorsIn {
    /// The group.
    pub group: ErrorGroup,
    /// How often it occurred.
    pub occurrences: u64,
    /// Distinct visitors who met it.
    pub visitors: u64,
    /// Its last occurrence.
    pub last_at: Timestamp,
    /// How often it occurred in each bucket.
    pub series: Vec<u64>,
}

/// A value and how often it occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The value; empty when it is not known.
    pub name: String,
    /// Occurrences.
    pub count: u64,
}

/// A message with its stack, as a group has several.
#[derive(Debug, Clone, PartialEq)]
pub struct StackVariant {
    /// Names it in its group.
    pub id: i64,
    /// The type.
    pub kind: String,
    /// The message.
    pub message: String,
    /// `uncaught`, `rejection` or `manual`.
    pub source: String,
    /// The release; empty when the page does not say.
    pub release: String,
    /// The stack, the innermost frame first: of the sources, as far as there are source maps.
    pub frames: Vec<Frame>,
    /// The source around each of the innermost frames, as far as there are source maps that have it.
    pub sources: Vec<Option<SourceLines>>,
    /// Whether a source map was used.
    pub is_mapped: bool,
    /// How often it occurred, of all that is kept.
    pub occurrences: u64,
}

/// One occurrence of an error.
#[derive(Debug, Clone, PartialEq)]
pub struct Occurrence {
    /// When.
    pub at: Timestamp,
    /// Which variant.
    pub variant: i64,
    /// Who met it.
    pub visitor: VisitorId,
    /// In which visit.
    pub session: SessionId,
    /// How often at that moment.
    pub count: u64,
    /// On which page.
    pub path: String,
    /// On which kind of device.
    pub device: String,
    /// The browser, with its version.
    pub browser: String,
    /// The operating system.
    pub os: String,
    /// The country.
    pub country: String,
    /// What the page told beside it.
    pub properties: Vec<(String, String)>,
    /// What happened before, the oldest first.
    pub breadcrumbs: Vec<Breadcrumb>,
}

/// What was decided about a group, or happened to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// When.
    pub at: Timestamp,
    /// `resolved`, `ignored`, `reopened` or `came_back`.
    pub what: String,
    /// Who decided it; empty when nobody did.
    pub who: String,
    /// The release in which it came back; empty when the page does not say.
    pub release: String,
}

/// All about a group.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorDetail {
    /// The group in what was asked about.
    pub found: ErrorsIn,
    /// Its different messages and stacks, the newest first.
    pub variants: Vec<StackVariant>,
    /// By browser with its version, the most frequent first.
    pub browsers: Vec<Part>,
    /// By operating system.
    pub systems: Vec<Part>,
    /// By release.
    pub releases: Vec<Part>,
    /// By page.
    pub pages: Vec<Part>,
    /// By kind of device.
    pub devices: Vec<Part>,
    /// The last occurrences, the newest first.
    pub last: Vec<Occurrence>,
    /// What was decided, the newest first.
    pub history: Vec<HistoryEntry>,
}

/// Groups with the first and the last of their variants.
const SELECT_GROUPS: &str = "SELECT g.uuid, g.fingerprint, g.status, g.occurrences, g.visitors, g.first_at, g.last_at, g.id,
    v.kind, v.message, coalesce(v.mapped, v.frames), (SELECT release FROM variants WHERE grp = g.id ORDER BY id DESC LIMIT 1)
    FROM groups g LEFT JOIN variants v ON v.id = (SELECT id FROM variants WHERE grp = g.id ORDER BY id LIMIT 1)";

/// A group, and its number in the database.
fn group(row: &rusqlite::Row<'_>) -> Result<(i64, ErrorGroup), rusqlite::Error> {
    let frames: Option<String> = row.get(10)?;
    let frames = frames_of(frames.as_deref().unwrap_or(""));
    let culprit = frames.iter().position(|frame| frame.in_app && !frame.function.is_empty());
    let culprit = culprit.or_else(|| frames.iter().position(|frame| frame.in_app)).or(Some(0));
    let group = ErrorGroup {
        id: GroupId(row.get(0)?),
        fingerprint: Fingerprint(row.get::<_, i64>(1)?.cast_unsigned()),
        status: Status::from_number(row.get(2)?),
        occurrences: row.get::<_, i64>(3)?.cast_unsigned(),
        visitors: row.get::<_, i64>(4)?.cast_unsigned(),
        first_at: Timestamp::from_millis(row.get(5)?),
        last_at: Timestamp::from_millis(row.get(6)?),
        kind: row.get::<_, Option<String>>(8)?.unwrap_or_default(),
        message: row.get::<_, Option<String>>(9)?.unwrap_or_default(),
        culprit: culprit.and_then(|at| frames.into_iter().nth(at)),
        release: row.get::<_, Option<String>>(11)?.unwrap_or_default(),
    };
    Ok((row.get(7)?, group))
}

fn frames_of(text: &str) -> Vec<Frame> {
    serde_json::from_str(text).unwrap_or_default()
}

/// What is counted of a group.
#[derive(Default)]
struct Counts {
    occurrences: u64,
    /// Who met them, once for each time until they are too many.
    visitors: Vec<i64>,
    last_at: i64,
    series: Vec<u64>,
}

impl Counts {
    fn of_nothing(buckets: usize) -> Self {
        Self { series: vec![0; buckets], ..Self::default() }
    }
}

/// Errors, counted by their groups.
struct Tally<'a> {
    /// Where the group of each variant is in `groups`.
    variants: HashMap<i64, usize>,
    /// The groups, and what is counted of them; their series are empty until there is something.
    groups: Vec<(i64, Counts)>,
    buckets: &'a [Timestamp],
    /// The variant that was found last, and where its group is: what comes next is mostly of it.
    last: Option<(i64, usize)>,
    /// The bucket that was found last, and its bounds: what comes next is mostly in it.
    bucket: (Option<usize>, Range<i64>),
    bytes: usize,
    is_too_much: bool,
}

impl<'a> Tally<'a> {
    /// One of the groups of the variants with `value` in the column `column`.
    fn new(
        connection: &Connection,
        column: &str,
        value: impl ToSql,
        buckets: &'a [Timestamp],
    ) -> Result<Self, rusqlite::Error> {
        let (mut variants, mut groups, mut places) = (HashMap::new(), Vec::new(), HashMap::new());
        let mut select = connection.prepare(&format!("SELECT id, grp FROM variants WHERE {column} = ?1"))?;
        let mut rows = select.query([value])?;
        while let Some(row) = rows.next()? {
            let group: i64 = row.get(1)?;
            let place = *places.entry(group).or_insert_with(|| {
                groups.push((group, Counts::default()));
                groups.len() - 1
            });
            variants.insert(row.get(0)?, place);
        }
        Ok(Self { variants, groups, buckets, last: None, bucket: (None, 0..0), bytes: 0, is_too_much: false })
    }

    /// Adds an error. `false` when that is too much.
    fn add(&mut self, error: Counted) -> bool {
        let Counted { at_ms, visitor, variant, count } = error;
        let place = match self.last {
            Some((last, place)) if last == variant => place,
            _ => {
                let Some(&place) = self.variants.get(&variant) else { return true };
                self.last = Some((variant, place));
                place
            }
        };
        if !self.bucket.1.contains(&at_ms) {
            let next = self.buckets.partition_point(|start| start.as_millis() <= at_ms);
            let bound = |place: usize, end: i64| self.buckets.get(place).map_or(end, |start| start.as_millis());
            let bucket = next.checked_sub(1);
            self.bucket = (bucket, bucket.map_or(i64::MIN, |bucket| bound(bucket, i64::MIN))..bound(next, i64::MAX));
        }
        let counts = &mut self.groups[place].1;
        if counts.visitors.is_empty() {
            self.bytes += 128 + 8 * self.buckets.len();
            *counts = Counts { last_at: at_ms, ..Counts::of_nothing(self.buckets.len()) };
        }
        counts.occurrences += count;
        counts.last_at = counts.last_at.max(at_ms);
        counts.visitors.push(visitor);
        self.bytes += VISITOR_BYTES;
        if let Some(bucket) = self.bucket.0 {
            counts.series[bucket] += count;
        }
        self.bytes <= QUESTION_MAX_BYTES || self.shorten()
    }

    /// Leaves each visitor once. `false` when they are too many then, too.
    fn shorten(&mut self) -> bool {
        for (_, counts) in &mut self.groups {
            self.bytes -= counts.visitors.len() * VISITOR_BYTES;
            counts.visitors.sort_unstable();
            counts.visitors.dedup();
            self.bytes += counts.visitors.len() * VISITOR_BYTES;
        }
        // With room for as many more, so that they are not shortened again and again.
        self.is_too_much = self.bytes > QUESTION_MAX_BYTES / 2;
        !self.is_too_much
    }

    /// The groups that have something; `None` when it was too much.
    fn found(self) -> Option<impl Iterator<Item = (i64, Counts)>> {
        let groups = self.groups.into_iter().filter(|(_, counts)| !counts.visitors.is_empty());
        (!self.is_too_much).then_some(groups)
    }
}

impl Captures {
    /// The groups of `website` with this status, or with any, the one that occurred last first; at most `limit` of them. They are
    /// counted already, so it does not matter how many errors there are.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn error_groups(
        &self,
        website: WebsiteId,
        status: Option<Status>,
        limit: usize,
    ) -> Result<Vec<ErrorGroup>, CaptureError> {
        self.catch_up()?;
        self.read(|connection| {
            let before = hidden_before(connection, website.as_bytes())?;
            let select = format!(
                "{SELECT_GROUPS} WHERE g.website = ?1 AND g.last_at >= ?2 AND (?3 IS NULL OR g.status = ?3)
                     ORDER BY g.last_at DESC, g.id DESC LIMIT ?4"
            );
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let status = status.map(|status| status as i64);
            let mut statement = connection.prepare(&select)?;
            let rows = statement.query_map(params![website.as_bytes(), before, status, limit], group)?;
            rows.map(|row| row.map(|(_, group)| group)).collect()
        })
    }

    /// How many groups of `website` have each status, in the order of [`Status::ALL`].
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn error_counts(&self, website: WebsiteId) -> Result<[u64; 3], CaptureError> {
        self.catch_up()?;
        self.read(|connection| {
            let before = hidden_before(connection, website.as_bytes())?;
            let mut statement = connection
                .prepare("SELECT status, count(*) FROM groups WHERE website = ?1 AND last_at >= ?2 GROUP BY status")?;
            let mut rows = statement.query(params![website.as_bytes(), before])?;
            let mut counts = [0; 3];
            while let Some(row) = rows.next()? {
                counts[Status::from_number(row.get(0)?) as usize] = row.get::<_, i64>(1)?.cast_unsigned();
            }
            Ok(counts)
        })
    }

    /// The groups of `website` with an occurrence in what is asked about and with this status, or with any, the one that
    /// occurred last first.
    ///
    /// # Errors
    /// [`CaptureError::TooLarge`] when too many visitors met them; or when they cannot be read.
    pub fn errors_in(
        &self,
        website: WebsiteId,
        status: Option<Status>,
        query: &GroupQuery<'_>,
    ) -> Result<Vec<ErrorsIn>, CaptureError> {
        self.catch_up()?;
        let found = self.read(|connection| {
            let mut tally = Tally::new(connection, "website", website.as_bytes(), query.buckets)?;
            let range = shown(connection, website.as_bytes(), query.filter.range)?;
            visit(connection, website.as_bytes(), range, &query.filter, |error| tally.add(error))?;
            let Some(counted) = tally.found() else { return Ok(None) };
            let mut find = connection.prepare(&format!("{SELECT_GROUPS} WHERE g.id = ?1"))?;
            let (mut found, mut table) = (Vec::new(), Vec::new());
            for (id, counts) in counted {
                let (_, group) = find.query_row([id], group)?;
                if status.is_none_or(|status| group.status == status) {
                    found.push(errors_in(group, counts, &mut table));
                }
            }
            Ok(Some(found))
        })?;
        let mut found = found.ok_or(CaptureError::TooLarge)?;
        found.sort_by(|one, other| other.last_at.cmp(&one.last_at).then_with(|| one.group.id.0.cmp(&other.group.id.0)));
        Ok(found)
    }

    /// All about the group `id` of `website`; `None` when it has no such group. `last` is how many of its last occurrences are
    /// told.
    ///
    /// # Errors
    /// As [`Captures::errors_in`].
    pub fn error_detail(
        &self,
        website: WebsiteId,
        id: GroupId,
        query: &GroupQuery<'_>,
        last: usize,
    ) -> Result<Option<ErrorDetail>, CaptureError> {
        self.catch_up()?;
        let detail = self.read(|connection| {
            let Some(found) = find(connection, website.as_bytes(), id)? else { return Ok(Some(None)) };
            let detail = detail(connection, &self.shared.maps, website.as_bytes(), found, query, last)?;
            Ok(detail.map(Some))
        })?;
        detail.ok_or(CaptureError::TooLarge)
    }

    /// Whether `website` has the group `id`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn has_error_group(&self, website: WebsiteId, id: GroupId) -> Result<bool, CaptureError> {
        self.catch_up()?;
        self.read(|connection| Ok(find(connection, website.as_bytes(), id)?.is_some()))
    }

    /// Gives the group `id` of `website` another status. `who` is remembered with it. `false` when there is no such group.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_error_status(
        &self,
        website: WebsiteId,
        id: GroupId,
        status: Status,
        who: &str,
        now: Timestamp,
    ) -> Result<bool, CaptureError> {
        self.catch_up()?;
        self.write(|transaction| {
            let Some((number, group)) = find(transaction, website.as_bytes(), id)? else { return Ok(false) };
            if group.status != status {
                transaction.execute(
                    "UPDATE groups SET status = ?2, changed_at = ?3 WHERE id = ?1",
                    params![number, status as i64, now.as_millis()],
                )?;
                let what = match status {
                    Status::Unresolved => "reopened",
                    Status::Resolved => "resolved",
                    Status::Ignored => "ignored",
                };
                add_history(transaction, number, now.as_millis(), what, who, "")?;
            }
            Ok(true)
        })
    }
}

/// The id of the group with this number.
pub(super) fn id_of(connection: &Connection, number: i64) -> Result<GroupId, rusqlite::Error> {
    connection.query_row("SELECT uuid FROM groups WHERE id = ?1", [number], |row| row.get(0)).map(GroupId)
}

/// The group `id` of `website`, unless all of it is hidden.
pub(super) fn find(
    connection: &Connection,
    website: &[u8; 16],
    id: GroupId,
) -> Result<Option<(i64, ErrorGroup)>, rusqlite::Error> {
    let before = hidden_before(connection, website)?;
    let select = format!("{SELECT_GROUPS} WHERE g.uuid = ?1 AND g.website = ?2 AND g.last_at >= ?3");
    connection.prepare(&select)?.query_row(params![id.0, website, before], group).optional()
}

/// `table` is room to count in.
fn errors_in(group: ErrorGroup, counts: Counts, table: &mut Vec<i64>) -> ErrorsIn {
    let Counts { occurrences, visitors, last_at, series } = counts;
    let visitors = distinct(&visitors, table);
    ErrorsIn { group, occurrences, visitors, last_at: Timestamp::from_millis(last_at), series }
}

/// All about a group; `None` when it is too much.
fn detail(
    connection: &Connection,
    maps: &Mutex<Maps>,
    website: &[u8; 16],
    (number, group): (i64, ErrorGroup),
    query: &GroupQuery<'_>,
    last: usize,
) -> Result<Option<ErrorDetail>, rusqlite::Error> {
    let mut variants = connection.prepare(
        "SELECT id, kind, message, source, release, coalesce(mapped, frames), (SELECT sum(count) FROM occurrences WHERE variant = v.id),
             mapped IS NOT NULL, frames, debug_ids FROM variants v WHERE grp = ?1 ORDER BY id DESC LIMIT ?2",
    )?;
    let variants = variants.query_map(params![number, VARIANTS_TOLD], |row| {
        let variant = StackVariant {
            id: row.get(0)?,
            kind: row.get(1)?,
            message: row.get(2)?,
            source: row.get(3)?,
            release: row.get(4)?,
            frames: frames_of(&row.get::<_, String>(5)?),
            occurrences: row.get::<_, Option<i64>>(6)?.unwrap_or(0).cast_unsigned(),
            is_mapped: row.get(7)?,
            sources: Vec::new(),
        };
        Ok((variant, row.get::<_, String>(8)?, row.get::<_, String>(9)?))
    })?;
    let variants = variants.collect::<Result<Vec<_>, _>>()?.into_iter().map(|(mut variant, frames, debug_ids)| {
        if variant.is_mapped {
            let debug_ids: Vec<(String, String)> = serde_json::from_str(&debug_ids).unwrap_or_default();
            let frames = frames_of(&frames);
            let stack = RawStack { website, release: &variant.release, debug_ids: &debug_ids, frames: &frames };
            variant.sources = sources(connection, &mut maps.lock(), stack)?;
        }
        Ok(variant)
    });
    let variants = variants.collect::<Result<Vec<_>, rusqlite::Error>>()?;
    let mut history = connection
        .prepare("SELECT at, what, who, release FROM history WHERE grp = ?1 ORDER BY at DESC, id DESC LIMIT ?2")?;
    let history = history.query_map(params![number, HISTORY_TOLD], |row| {
        Ok(HistoryEntry {
            at: Timestamp::from_millis(row.get(0)?),
            what: row.get(1)?,
            who: row.get(2)?,
            release: row.get(3)?,
        })
    })?;
    let history = history.collect::<Result<Vec<_>, _>>()?;

    // Row by row, found by its variants: it may be one of many groups, with few errors among many.
    let mut tally = Tally::new(connection, "grp", number, query.buckets)?;
    let mut parts: [HashMap<String, u64>; 5] = Default::default();
    let mut occurrences = Vec::new();
    let range = shown(connection, website, query.filter.range)?;
    let mut statement = connection.prepare(
        "SELECT o.path, o.device, o.browser, o.browser_version, o.os, o.country, o.at, o.variant, o.visitor, o.count,
             o.session, o.told, v.release FROM occurrences o JOIN variants v ON v.id = o.variant
             WHERE v.grp = ?1 AND o.at >= ?2 AND o.at < ?3 ORDER BY o.at DESC, o.id DESC",
    )?;
    let mut rows = statement.query(params![number, range.from.as_millis(), range.to.as_millis()])?;
    while let Some(row) = rows.next()? {
        let seen = seen(row)?;
        if !query.filter.keeps(&seen) {
            continue;
        }
        let counted = Counted::read(row)?;
        if !tally.add(counted) {
            return Ok(None);
        }
        let count = counted.count;
        let browser = format!("{} {}", seen.browser, seen.browser_version).trim().to_owned();
        let release = row.get_ref(12)?.as_str()?;
        let names = [browser.as_str(), seen.os, release, seen.path, seen.device];
        for (part, name) in parts.iter_mut().zip(names) {
            match part.get_mut(name) {
                Some(counted) => *counted += count,
                None => {
                    part.insert(name.to_owned(), count);
                }
            }
        }
        if occurrences.len() < last {
            let told: Option<String> = row.get(11)?;
            let (properties, breadcrumbs) = told.and_then(|told| serde_json::from_str(&told).ok()).unwrap_or_default();
            occurrences.push(Occurrence {
                at: Timestamp::from_millis(counted.at_ms),
                variant: counted.variant,
                visitor: VisitorId(counted.visitor.cast_unsigned()),
                session: SessionId(row.get::<_, i64>(10)?.cast_unsigned()),
                count,
                path: seen.path.to_owned(),
                device: seen.device.to_owned(),
                browser,
                os: seen.os.to_owned(),
                country: seen.country.to_owned(),
                properties,
                breadcrumbs,
            });
        }
    }
    let counts = tally.found().and_then(|mut found| found.next()).map(|(_, counts)| counts);
    let found = errors_in(group, counts.unwrap_or_else(|| Counts::of_nothing(query.buckets.len())), &mut Vec::new());
    let [browsers, systems, releases, pages, devices] = parts.map(ranked);
    Ok(Some(ErrorDetail { found, variants, browsers, systems, releases, pages, devices, last: occurrences, history }))
}

/// The most frequent first.
fn ranked(counts: HashMap<String, u64>) -> Vec<Part> {
    let mut parts: Vec<Part> = counts.into_iter().map(|(name, count)| Part { name, count }).collect();
    parts.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.name.cmp(&other.name)));
    parts.truncate(PARTS_MAX);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_are_read_as_they_are_written(bytes: [u8; 16], text in "\\PC{0,50}") {
            let id = GroupId(bytes);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            let _ = text.parse::<GroupId>();
        }
    }
}
