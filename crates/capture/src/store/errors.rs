//! Questions about errors, and what is decided about their groups.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use zenovay_domain::{SessionId, Timestamp, VisitorId, WebsiteId};

use super::apply::add_history;
use super::maps::{Maps, RawStack, sources};
use super::schema::{hidden_before, shown};
use super::{Captures, Filter, QUESTION_MAX_BYTES, Row};
use crate::{Breadcrumb, CaptureError, Fingerprint, Frame, SourceLines};

/// What a visitor takes in a set, about.
const VISITOR_BYTES: usize = 16;
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

const GROUP_COLUMNS: &str = "g.uuid, g.fingerprint, g.status, g.occurrences, g.visitors, g.first_at, g.last_at, g.id,
    (SELECT kind FROM variants WHERE grp = g.id ORDER BY id LIMIT 1),
    (SELECT message FROM variants WHERE grp = g.id ORDER BY id LIMIT 1),
    (SELECT coalesce(mapped, frames) FROM variants WHERE grp = g.id ORDER BY id LIMIT 1),
    (SELECT release FROM variants WHERE grp = g.id ORDER BY id DESC LIMIT 1)";

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
struct Counted {
    occurrences: u64,
    visitors: HashSet<i64>,
    last_at: i64,
    series: Vec<u64>,
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
                "SELECT {GROUP_COLUMNS} FROM groups g WHERE g.website = ?1 AND g.last_at >= ?2 AND (?3 IS NULL OR g.status = ?3)
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
            let Some(counted) = count(connection, website.as_bytes(), None, query)? else { return Ok(None) };
            let mut find = connection.prepare(&format!("SELECT {GROUP_COLUMNS} FROM groups g WHERE g.id = ?1"))?;
            let mut found = Vec::with_capacity(counted.len());
            for (id, counted) in counted {
                let (_, group) = find.query_row([id], group)?;
                if status.is_none_or(|status| group.status == status) {
                    found.push(errors_in(group, counted));
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
            let Some((number, group)) = find(connection, website.as_bytes(), id)? else { return Ok(Some(None)) };
            let Some(mut counted) = count(connection, website.as_bytes(), Some(number), query)? else {
                return Ok(None);
            };
            let empty = Counted { series: vec![0; query.buckets.len()], ..Counted::default() };
            let found = errors_in(group, counted.remove(&number).unwrap_or(empty));
            detail(connection, &self.shared.maps, website.as_bytes(), number, found, query, last)
                .map(|detail| Some(Some(detail)))
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
    let select =
        format!("SELECT {GROUP_COLUMNS} FROM groups g WHERE g.uuid = ?1 AND g.website = ?2 AND g.last_at >= ?3");
    connection.prepare(&select)?.query_row(params![id.0, website, before], group).optional()
}

fn errors_in(group: ErrorGroup, counted: Counted) -> ErrorsIn {
    let Counted { occurrences, visitors, last_at, series } = counted;
    ErrorsIn { group, occurrences, visitors: visitors.len() as u64, last_at: Timestamp::from_millis(last_at), series }
}

/// Reads the columns 0 to 5 of a row as what a filter is asked about.
fn seen<'a>(row: &'a rusqlite::Row<'_>) -> Result<Row<'a>, rusqlite::Error> {
    let text = |column: usize| row.get_ref(column).and_then(|value| Ok(value.as_str()?));
    Ok(Row {
        path: text(0)?,
        device: text(1)?,
        browser: text(2)?,
        browser_version: text(3)?,
        os: text(4)?,
        country: text(5)?,
    })
}

/// Counts by group, or of the group `only`. `None` when it is too much.
fn count(
    connection: &Connection,
    website: &[u8; 16],
    only: Option<i64>,
    query: &GroupQuery<'_>,
) -> Result<Option<HashMap<i64, Counted>>, rusqlite::Error> {
    let mut groups =
        connection.prepare("SELECT id, grp FROM variants WHERE website = ?1 AND (?2 IS NULL OR grp = ?2)")?;
    let groups = groups.query_map(params![website, only], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let groups: HashMap<i64, i64> = groups.collect::<Result<_, _>>()?;
    let of_group = "variant IN (SELECT id FROM variants WHERE grp = ?4)";
    let select = format!(
        "SELECT path, device, browser, browser_version, os, country, at, variant, visitor, count FROM occurrences
             WHERE website = ?1 AND at >= ?2 AND at < ?3 AND {}",
        if only.is_some() { of_group } else { "?4 IS NULL" }
    );
    let range = shown(connection, website, query.filter.range)?;
    let mut statement = connection.prepare(&select)?;
    let mut rows = statement.query(params![website, range.from.as_millis(), range.to.as_millis(), only])?;
    let mut counted: HashMap<i64, Counted> = HashMap::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        if !(query.filter.keep)(&seen(row)?) {
            continue;
        }
        let Some(&group) = groups.get(&row.get::<_, i64>(7)?) else { continue };
        let counts = counted.entry(group).or_insert_with(|| {
            bytes += 128 + 8 * query.buckets.len();
            Counted { series: vec![0; query.buckets.len()], ..Counted::default() }
        });
        let (at, count): (i64, u64) = (row.get(6)?, row.get::<_, i64>(9)?.cast_unsigned());
        counts.occurrences += count;
        counts.last_at = counts.last_at.max(at);
        bytes += if counts.visitors.insert(row.get(8)?) { VISITOR_BYTES } else { 0 };
        let bucket = query.buckets.partition_point(|start| start.as_millis() <= at);
        if let Some(bucket) = bucket.checked_sub(1).and_then(|bucket| counts.series.get_mut(bucket)) {
            *bucket += count;
        }
        if bytes > QUESTION_MAX_BYTES {
            return Ok(None);
        }
    }
    Ok(Some(counted))
}

fn detail(
    connection: &Connection,
    maps: &Mutex<Maps>,
    website: &[u8; 16],
    number: i64,
    found: ErrorsIn,
    query: &GroupQuery<'_>,
    last: usize,
) -> Result<ErrorDetail, rusqlite::Error> {
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
        if !(query.filter.keep)(&seen) {
            continue;
        }
        let count = row.get::<_, i64>(9)?.cast_unsigned();
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
                at: Timestamp::from_millis(row.get(6)?),
                variant: row.get(7)?,
                visitor: VisitorId(row.get::<_, i64>(8)?.cast_unsigned()),
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
    let [browsers, systems, releases, pages, devices] = parts.map(ranked);
    Ok(ErrorDetail { found, variants, browsers, systems, releases, pages, devices, last: occurrences, history })
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
