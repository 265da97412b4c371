//! Errors as columns. A list of groups in a range counts every error in it, and read one by one from their rows they would take long.
//! So when a website has [`PACKED_MIN`] errors that are in no block, what is counted of them goes into `occurrence_blocks`
//! beside their rows: when, which variant, whom, how often, and apart from that what a filter asks about. A block has the same errors as the
//! rows that are marked as packed, always: what removes rows takes them out of their blocks in the same transaction. It knows
//! variants, not groups, so what moves a variant to another group needs nothing here.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use zenovay_domain::TimeRange;

use super::heatmaps::{compress, damaged, decompress};
use super::together::{Together, Writer};
use super::{Filter, Row};

/// The version of a block.
const VERSION: u8 = 1;
/// So many errors of a website are put into a block at once.
const PACKED_MIN: u32 = 1_024;
/// The most errors of a block.
const BLOCK_MAX: u32 = 8_192;
/// How much of an error a filter is asked about: see [`seen`].
const ABOUT: usize = 6;

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS occurrence_blocks (
        id INTEGER PRIMARY KEY AUTOINCREMENT, website BLOB NOT NULL, from_at INTEGER NOT NULL, to_at INTEGER NOT NULL,
        length INTEGER NOT NULL, counts BLOB NOT NULL, about BLOB NOT NULL
    );
    CREATE INDEX IF NOT EXISTS occurrence_blocks_by_time ON occurrence_blocks (website, to_at);
    CREATE INDEX IF NOT EXISTS occurrences_loose ON occurrences (website, at) WHERE packed = 0;";

type Result<T> = std::result::Result<T, rusqlite::Error>;

/// Brings the table of errors of an earlier format up: then none is in a block.
pub(super) fn bring_up(transaction: &Transaction<'_>) -> Result<()> {
    let is_marked: bool = transaction.query_row(
        "SELECT EXISTS (SELECT 1 FROM pragma_table_info('occurrences') WHERE name = 'packed')",
        [],
        |row| row.get(0),
    )?;
    if !is_marked {
        transaction.execute_batch("ALTER TABLE occurrences ADD COLUMN packed INTEGER NOT NULL DEFAULT 0")?;
    }
    transaction.execute_batch(TABLES)
}

/// How many errors are put into a block.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// When there are so many that are in none.
    least: u32,
    /// So many in one block.
    most: u32,
}

const SIZES: Sizes = Sizes { least: PACKED_MIN, most: BLOCK_MAX };

/// Puts errors of `website` that are in no block into one, when there are enough. Tells whether it did.
pub(super) fn pack(transaction: &Transaction<'_>, website: &[u8; 16]) -> Result<bool> {
    pack_some(transaction, website, SIZES)
}

/// The same of any website that has enough, as after an upgrade.
pub(super) fn pack_any(transaction: &Transaction<'_>) -> Result<bool> {
    let select = "SELECT website FROM occurrences INDEXED BY occurrences_loose WHERE packed = 0
                      GROUP BY website HAVING count(*) >= ?1 LIMIT 1";
    let found: Option<[u8; 16]> = transaction.query_row(select, [PACKED_MIN], |row| row.get(0)).optional()?;
    found.map_or(Ok(false), |website| pack(transaction, &website))
}

fn pack_some(transaction: &Transaction<'_>, website: &[u8; 16], sizes: Sizes) -> Result<bool> {
    let count = "SELECT count(*) FROM
                     (SELECT 1 FROM occurrences INDEXED BY occurrences_loose WHERE website = ?1 AND packed = 0 LIMIT ?2)";
    let count: u32 = transaction.prepare(count)?.query_row(params![website, sizes.least], |row| row.get(0))?;
    if count < sizes.least {
        return Ok(false);
    }
    let (block, mut met) = last_block(transaction, website, sizes.most)?;
    let room = sizes.most.saturating_sub(u32::try_from(met.len()).unwrap_or(u32::MAX));
    let mut select = transaction.prepare(
        "SELECT path, device, browser, browser_version, os, country, at, variant, visitor, count, id FROM occurrences
             INDEXED BY occurrences_loose WHERE website = ?1 AND packed = 0 ORDER BY at LIMIT ?2",
    )?;
    let found = select.query_map(params![website, room.max(1)], |row| Ok((Met::read(row)?, row.get::<_, i64>(10)?)))?;
    let found = found.collect::<Result<Vec<_>>>()?;
    let mut mark = transaction.prepare("UPDATE occurrences SET packed = 1 WHERE id = ?1")?;
    for (one, id) in found {
        met.push(one);
        mark.execute([id])?;
    }
    // Those of a variant one after another, so that who counts finds its group once.
    met.sort_unstable_by_key(|one| (one.variant, one.at_ms));
    write_block(transaction, website, block, &met)?;
    Ok(true)
}

/// The block of `website` that was written last, with what is in it, while it has room; else a new one.
fn last_block(transaction: &Transaction<'_>, website: &[u8; 16], most: u32) -> Result<(Option<i64>, Vec<Met>)> {
    let select = "SELECT id, counts, about, length FROM occurrence_blocks WHERE website = ?1 ORDER BY id DESC LIMIT 1";
    let found = transaction.prepare(select)?.query_row(params![website], |row| {
        let has_room = row.get::<_, u32>(3)? < most;
        Ok(if has_room { Some((Some(row.get(0)?), read_block(row)?)) } else { None })
    });
    Ok(found.optional()?.flatten().unwrap_or_default())
}

/// Writes a block in the place of the one with the number `id`, or as a new one. One of nothing is none.
fn write_block(transaction: &Transaction<'_>, website: &[u8; 16], id: Option<i64>, met: &[Met]) -> Result<()> {
    let times = || met.iter().map(|one| one.at_ms);
    let (Some(from), Some(to)) = (times().min(), times().max()) else {
        transaction.execute("DELETE FROM occurrence_blocks WHERE id = ?1", [id])?;
        return Ok(());
    };
    transaction.prepare("INSERT OR REPLACE INTO occurrence_blocks VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(
        params![id, website, from, to, (met.len() as u64).cast_signed(), Counts::of(met).pack(), pack_about(met)],
    )?;
    Ok(())
}

/// Everything that is in a block: of the columns 1 and 2 of `row`.
fn read_block(row: &rusqlite::Row<'_>) -> Result<Vec<Met>> {
    let counts = Counts::unpack(row.get_ref(1)?.as_blob()?)?;
    let about = decompress(row.get_ref(2)?.as_blob()?).ok_or_else(|| damaged(Damaged))?;
    let about = About::unpack(&about, counts.at_ms.len())?;
    let values: Vec<[&str; ABOUT]> = about.all.all().collect();
    let met = (0..counts.at_ms.len()).map(|at| Met {
        at_ms: counts.at_ms[at],
        visitor: counts.visitor[at],
        variant: counts.variant[at],
        count: counts.count[at],
        about: values[about.of[at]].map(str::to_owned),
    });
    Ok(met.collect())
}

/// Takes out of the blocks of `website` what is from before `before_ms`.
pub(super) fn remove_before(transaction: &Transaction<'_>, website: &[u8; 16], before_ms: i64) -> Result<()> {
    transaction
        .execute("DELETE FROM occurrence_blocks WHERE website = ?1 AND to_at < ?2", params![website, before_ms])?;
    rewrite(transaction, website, [before_ms, before_ms.saturating_sub(1)], |met| met.at_ms >= before_ms)
}

/// Takes out of the blocks of `website` what is of `visitor`, while its rows are there.
pub(super) fn erase_visitor(transaction: &Transaction<'_>, website: &[u8; 16], visitor: i64) -> Result<()> {
    let select = "SELECT min(at), max(at) FROM occurrences WHERE website = ?1 AND visitor = ?2";
    let (first, last): (Option<i64>, Option<i64>) =
        transaction.query_row(select, params![website, visitor], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some(times) = first.zip(last) else { return Ok(()) };
    rewrite(transaction, website, times.into(), |met| met.visitor != visitor)
}

/// Writes the blocks of `website` that have something between two instants, both in milliseconds and within, with what `keeps` keeps.
fn rewrite(
    transaction: &Transaction<'_>,
    website: &[u8; 16],
    [first, last]: [i64; 2],
    keeps: impl Fn(&Met) -> bool,
) -> Result<()> {
    let mut select =
        transaction.prepare("SELECT id FROM occurrence_blocks WHERE website = ?1 AND to_at >= ?2 AND from_at <= ?3")?;
    let blocks = select.query_map(params![website, first, last], |row| row.get(0))?.collect::<Result<Vec<i64>>>()?;
    for id in blocks {
        let mut met = transaction
            .prepare("SELECT id, counts, about FROM occurrence_blocks WHERE id = ?1")?
            .query_row([id], read_block)?;
        let before = met.len();
        met.retain(&keeps);
        if met.len() < before {
            write_block(transaction, website, Some(id), &met)?;
        }
    }
    Ok(())
}

/// Removes the blocks of `website`.
pub(super) fn delete_website(transaction: &Transaction<'_>, website: &[u8; 16]) -> Result<()> {
    transaction.execute("DELETE FROM occurrence_blocks WHERE website = ?1", params![website]).map(drop)
}

/// What is counted of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) at_ms: i64,
    pub(super) visitor: i64,
    pub(super) variant: i64,
    pub(super) count: u64,
}

impl Counted {
    /// Reads the columns 6 to 9 of a row, after those of [`seen`].
    pub(super) fn read(row: &rusqlite::Row<'_>) -> Result<Self> {
        let count = row.get::<_, i64>(9)?.cast_unsigned();
        Ok(Self { at_ms: row.get(6)?, variant: row.get(7)?, visitor: row.get(8)?, count })
    }
}

/// Calls `each` with the errors of `website` in `range` that `filter` keeps, in no order, until it says no.
pub(super) fn visit(
    connection: &Connection,
    website: &[u8; 16],
    range: TimeRange,
    filter: &Filter<'_>,
    mut each: impl FnMut(Counted) -> bool,
) -> Result<()> {
    let (from, to) = (range.from.as_millis(), range.to.as_millis());
    // What is selected is read, whether it is looked at or not.
    let about = if filter.keep.is_some() { "about" } else { "NULL" };
    let mut select = connection.prepare(&format!(
        "SELECT counts, {about} FROM occurrence_blocks WHERE website = ?1 AND to_at >= ?2 AND from_at < ?3"
    ))?;
    let mut blocks = select.query(params![website, from, to])?;
    while let Some(block) = blocks.next()? {
        let counts = Counts::unpack(block.get_ref(0)?.as_blob()?)?;
        let length = counts.at_ms.len();
        let kept = match filter.keep {
            None => None,
            Some(_) => {
                let about = decompress(block.get_ref(1)?.as_blob()?).ok_or_else(|| damaged(Damaged))?;
                let about = About::unpack(&about, length)?;
                let kept: Vec<bool> = about.all.all().map(|values| filter.keeps(&row(values))).collect();
                Some(about.of.iter().map(|place| kept[*place]).collect::<Vec<bool>>())
            }
        };
        for at in 0..length {
            let at_ms = counts.at_ms[at];
            if (from..to).contains(&at_ms) && kept.as_ref().is_none_or(|kept| kept[at]) {
                let (visitor, variant, count) = (counts.visitor[at], counts.variant[at], counts.count[at]);
                if !each(Counted { at_ms, visitor, variant, count: count.cast_unsigned() }) {
                    return Ok(());
                }
            }
        }
    }
    let mut select = connection.prepare(
        "SELECT path, device, browser, browser_version, os, country, at, variant, visitor, count FROM occurrences
             INDEXED BY occurrences_loose WHERE website = ?1 AND packed = 0 AND at >= ?2 AND at < ?3",
    )?;
    let mut rows = select.query(params![website, from, to])?;
    while let Some(row) = rows.next()? {
        if filter.keeps(&seen(row)?) && !each(Counted::read(row)?) {
            break;
        }
    }
    Ok(())
}

/// Reads the columns 0 to 5 of a row as what a filter is asked about.
pub(super) fn seen<'a>(of: &'a rusqlite::Row<'_>) -> Result<Row<'a>> {
    let mut about = [""; ABOUT];
    for (column, value) in about.iter_mut().enumerate() {
        *value = of.get_ref(column)?.as_str()?;
    }
    Ok(row(about))
}

fn row([path, device, browser, browser_version, os, country]: [&str; ABOUT]) -> Row<'_> {
    Row { path, device, browser, browser_version, os, country }
}

/// An error as a block has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Met {
    at_ms: i64,
    visitor: i64,
    variant: i64,
    count: i64,
    /// In the order of [`seen`].
    about: [String; ABOUT],
}

impl Met {
    /// Reads the columns 0 to 9 of a row.
    fn read(of: &rusqlite::Row<'_>) -> Result<Self> {
        let Row { path, device, browser, browser_version, os, country } = seen(of)?;
        let about = [path, device, browser, browser_version, os, country].map(str::to_owned);
        let Counted { at_ms, visitor, variant, count } = Counted::read(of)?;
        Ok(Self { at_ms, visitor, variant, count: count.cast_signed(), about })
    }
}

/// Damaged bytes of a block.
#[derive(Debug, thiserror::Error)]
#[error("a damaged block of errors")]
struct Damaged;

/// What is counted of the errors of a block: columns of one length.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    at_ms: Vec<i64>,
    visitor: Vec<i64>,
    variant: Vec<i64>,
    count: Vec<i64>,
}

impl Counts {
    fn of(met: &[Met]) -> Self {
        let column = |value: fn(&Met) -> i64| met.iter().map(value).collect();
        Self {
            at_ms: column(|met| met.at_ms),
            visitor: column(|met| met.visitor),
            variant: column(|met| met.variant),
            count: column(|met| met.count),
        }
    }

    /// Not compressed: times and visitors hardly become shorter by it, and reading would take longer.
    fn pack(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend((self.at_ms.len() as u64).to_le_bytes());
        for column in [&self.at_ms, &self.visitor, &self.variant, &self.count] {
            put(&mut bytes, column);
        }
        bytes
    }

    /// Reads what [`pack`](Self::pack) wrote.
    fn unpack(bytes: &[u8]) -> Result<Self> {
        Self::read(bytes).ok_or_else(|| damaged(Damaged))
    }

    fn read(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        if *bytes.split_off_first()? != VERSION {
            return None;
        }
        let length = usize::try_from(u64::from_le_bytes(bytes.split_off(..8)?.try_into().ok()?)).ok()?;
        let mut next = || take(bytes, length);
        let read = Self { at_ms: next()?, visitor: next()?, variant: next()?, count: next()? };
        bytes.is_empty().then_some(read)
    }
}

/// What a filter asks about, of the errors of a block.
struct About<'a> {
    all: Together<'a, ABOUT>,
    /// Of each error, the place of its own.
    of: Vec<usize>,
}

fn pack_about(met: &[Met]) -> Vec<u8> {
    let mut all = Writer::new();
    let of: Vec<i64> =
        met.iter().map(|one| (all.add(one.about.each_ref().map(String::as_str)) as u64).cast_signed()).collect();
    let mut bytes = all.pack();
    put(&mut bytes, &of);
    compress(&bytes)
}

impl<'a> About<'a> {
    /// Reads what [`pack_about`] wrote of `length` errors, decompressed.
    fn unpack(bytes: &'a [u8], length: usize) -> Result<Self> {
        Self::read(bytes, length).ok_or_else(|| damaged(Damaged))
    }

    fn read(bytes: &'a [u8], length: usize) -> Option<Self> {
        let (all, mut rest) = Together::read(bytes)?;
        let of = take(&mut rest, length)?;
        let of = of.into_iter().map(|place| usize::try_from(place).ok().filter(|place| *place < all.len()));
        let of = of.collect::<Option<Vec<usize>>>()?;
        rest.is_empty().then_some(Self { all, of })
    }
}

/// Adds a column: its least number, and how much each is above it, in as many bytes as the greatest of these needs.
fn put(bytes: &mut Vec<u8>, column: &[i64]) {
    let least = column.iter().min().copied().unwrap_or_default();
    let above = column.iter().map(|value| value.wrapping_sub(least).cast_unsigned());
    let width = match above.clone().max().unwrap_or_default() {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    };
    bytes.extend(least.to_le_bytes());
    bytes.push(width);
    for value in above {
        bytes.extend_from_slice(&value.to_le_bytes()[..usize::from(width)]);
    }
}

/// Takes a column of `length` numbers off `bytes`, as [`put`] added it.
fn take(bytes: &mut &[u8], length: usize) -> Option<Vec<i64>> {
    let least = i64::from_le_bytes(bytes.split_off(..8)?.try_into().ok()?);
    let width = *bytes.split_off_first()?;
    let column = bytes.split_off(..length.checked_mul(usize::from(width))?)?;
    match width {
        1 => Some(widened::<1>(column, least)),
        2 => Some(widened::<2>(column, least)),
        4 => Some(widened::<4>(column, least)),
        8 => Some(widened::<8>(column, least)),
        _ => None,
    }
}

fn widened<const N: usize>(column: &[u8], least: i64) -> Vec<i64> {
    let widen = |value: &[u8; N]| {
        let mut wide = [0; 8];
        wide[..N].copy_from_slice(value);
        least.wrapping_add(i64::from_le_bytes(wide))
    };
    column.as_chunks().0.iter().map(widen).collect()
}

/// How many different ones there are of `numbers`, which this program gave, such as visitors: nobody chooses them, so they are mixed
/// faster than what withstands chosen ones. `table` is room to work in, to be used again.
pub(super) fn distinct(numbers: &[i64], table: &mut Vec<i64>) -> u64 {
    let mask = (2 * numbers.len()).next_power_of_two() - 1;
    table.clear();
    table.resize(mask + 1, 0);
    // Zero is a free place.
    let mut count = u64::from(numbers.contains(&0));
    for &number in numbers.iter().filter(|number| **number != 0) {
        let mixed = number.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut place = usize::try_from(mixed >> 32).unwrap_or(0) & mask;
        while table[place] != 0 && table[place] != number {
            place = (place + 1) & mask;
        }
        count += u64::from(table[place] == 0);
        table[place] = number;
    }
    count
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};
    use std::sync::atomic::{AtomicU64, Ordering};

    use proptest::prelude::*;
    use zenovay_domain::{Timestamp, VisitorId, WebsiteId};
    use zenovay_events::{BatchName, CaptureSink, Kept};

    use super::*;
    use crate::store::apply;
    use crate::store::schema::shown;
    use crate::{Capture, Captures, Context, ErrorCapture, GroupId, GroupQuery, NewSourceMap, parse_stack};

    const NOW_MS: i64 = 1_781_352_000_000;
    const HOUR_MS: i64 = 3_600_000;
    const SITE: WebsiteId = WebsiteId::from_bytes([1; 16]);
    const OTHER_SITE: WebsiteId = WebsiteId::from_bytes([2; 16]);
    const BUILDS: [&str; 2] = ["one", "two"];

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn in_hours(hours: i64) -> i64 {
        NOW_MS + hours * HOUR_MS
    }

    /// Something that happens to the errors of a website.
    #[derive(Debug, Clone)]
    enum Step {
        /// Errors come: the function, the build, the visitor, the hour, the browser, and how often.
        Take(Vec<(u8, u8, u64, i64, u8, u32)>),
        Pack(Sizes),
        Erase(u64),
        Merge(usize, usize),
        Split(usize),
        SendMap(u8),
        Hide(i64),
        Remove(i64),
        /// As a version before left them.
        Unpack,
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let error = (0..4_u8, 0..2_u8, 0..9_u64, 0..96_i64, 0..3_u8, 1..4_u32);
        prop_oneof![
            8 => prop::collection::vec(error, 1..12).prop_map(Step::Take),
            6 => (1..9_u32, 1..20_u32).prop_map(|(least, most)| Step::Pack(Sizes { least, most })),
            2 => (0..9_u64).prop_map(Step::Erase),
            2 => (0..6_usize, 0..6_usize).prop_map(|(into, from)| Step::Merge(into, from)),
            2 => (0..6_usize).prop_map(Step::Split),
            1 => (0..2_u8).prop_map(Step::SendMap),
            1 => (0..96_i64).prop_map(Step::Hide),
            1 => (0..60_i64).prop_map(Step::Remove),
            1 => Just(Step::Unpack),
        ]
    }

    static BATCHES: AtomicU64 = AtomicU64::new(1);

    fn take(captures: &Captures, errors: &[(u8, u8, u64, i64, u8, u32)]) {
        let captured = errors.iter().flat_map(|&(function, build, visitor, hour, browser, count)| {
            let build = BUILDS[usize::from(build)];
            let context = Context {
                at_ms: in_hours(hour),
                visitor,
                session: visitor,
                path: format!("/p{}", visitor % 3),
                browser: format!("b{browser}"),
                ..Context::default()
            };
            let stack = format!("at run{function} (https://example.com/app-{build}.js:1:1)");
            let error = ErrorCapture {
                context,
                kind: "TypeError".to_owned(),
                message: format!("no {}", ["a", "b"][usize::from(function / 2)]),
                frames: parse_stack(&stack),
                release: build.to_owned(),
                count,
                ..ErrorCapture::default()
            };
            // The same on another website, of which nothing may be seen.
            [SITE, OTHER_SITE].map(|website| (website, Capture::Error(error.clone()).pack()))
        });
        let number = BATCHES.fetch_add(1, Ordering::Relaxed);
        captures.take(BatchName::new(7, number), captured.collect());
        captures.catch_up().unwrap();
    }

    fn ids(captures: &Captures) -> Vec<GroupId> {
        captures.error_groups(SITE, None, 100).unwrap().iter().map(|group| group.id).collect()
    }

    fn change(captures: &Captures, step: &Step) {
        let now = at(in_hours(100));
        let ids = ids(captures);
        match step {
            Step::Take(errors) => take(captures, errors),
            Step::Pack(sizes) => {
                captures.write(|transaction| pack_some(transaction, SITE.as_bytes(), *sizes)).unwrap();
            }
            Step::Erase(visitor) => {
                captures.erase_visitor(SITE, VisitorId(*visitor)).unwrap();
            }
            Step::Merge(into, from) if ids.len() > 1 => {
                let (into, from) = (ids[into % ids.len()], ids[from % ids.len()]);
                captures.merge_error_groups(SITE, into, &[from], "me", now).unwrap();
            }
            Step::Split(place) if !ids.is_empty() => {
                let id = ids[place % ids.len()];
                let query = GroupQuery { filter: Filter { range: TimeRange::ALL, keep: None }, buckets: &[] };
                let variant = captures.error_detail(SITE, id, &query, 1).unwrap().unwrap().variants[0].id;
                captures.split_error_group(SITE, id, &[variant], "me", now).unwrap();
            }
            Step::SendMap(build) => {
                let build = BUILDS[usize::from(*build)];
                let json = serde_json::json!({ "version": 3, "sources": ["src/total.ts"], "names": [], "mappings": "AACA",
                    "sourcesContent": ["export function total(cart) {\n  return cart.plan.price;\n}\n"] });
                let (file_name, file_url) = (format!("app-{build}.js"), format!("https://example.com/app-{build}.js"));
                let json = json.to_string();
                let new = NewSourceMap { file_name: &file_name, file_url: &file_url, release: build, json: &json };
                captures.add_source_map(SITE, new, now).unwrap();
            }
            Step::Hide(hour) => {
                captures.retain(&[Kept::new(SITE, Some(at(in_hours(*hour))))], Some(now)).unwrap();
            }
            Step::Remove(hour) => {
                captures
                    .write(|transaction| apply::remove_before(transaction, SITE.as_bytes(), in_hours(*hour)))
                    .unwrap();
            }
            Step::Unpack => {
                let unpack = "DELETE FROM occurrence_blocks; UPDATE occurrences SET packed = 0";
                captures.write(|transaction| transaction.execute_batch(unpack)).unwrap();
            }
            Step::Merge(..) | Step::Split(_) => {}
        }
    }

    /// What is told of a group: how often, how many visitors, when last, and over time.
    type Told = ([u8; 16], u64, u64, i64, Vec<u64>);

    fn told(captures: &Captures, query: &GroupQuery<'_>) -> Vec<Told> {
        let found = captures.errors_in(SITE, None, query).unwrap().into_iter();
        let told =
            found.map(|of| (of.group.id.bytes(), of.occurrences, of.visitors, of.last_at.as_millis(), of.series));
        told.collect()
    }

    /// Of a group: how often, which visitors, when last, and over time.
    type Sums = (u64, HashSet<i64>, i64, Vec<u64>);

    /// The same, row by row.
    fn told_by_rows(captures: &Captures, query: &GroupQuery<'_>) -> Vec<Told> {
        captures
            .read(|connection| {
                let range = shown(connection, SITE.as_bytes(), query.filter.range)?;
                let mut select = connection.prepare(
                    "SELECT path, device, browser, browser_version, os, country, at, variant, visitor, count, g.uuid
                         FROM occurrences o JOIN variants v ON v.id = o.variant JOIN groups g ON g.id = v.grp
                         WHERE o.website = ?1",
                )?;
                let mut rows = select.query([SITE.as_bytes()])?;
                let mut groups: BTreeMap<[u8; 16], Sums> = BTreeMap::new();
                while let Some(row) = rows.next()? {
                    let Counted { at_ms, visitor, count, .. } = Counted::read(row)?;
                    if !range.contains(at(at_ms)) || !query.filter.keeps(&seen(row)?) {
                        continue;
                    }
                    let empty = || (0, HashSet::new(), at_ms, vec![0; query.buckets.len()]);
                    let (sum, visitors, last, series) = groups.entry(row.get(10)?).or_insert_with(empty);
                    *sum += count;
                    visitors.insert(visitor);
                    *last = at_ms.max(*last);
                    if let Some(bucket) = query.buckets.iter().rposition(|start| *start <= at(at_ms)) {
                        series[bucket] += count;
                    }
                }
                let told = groups.into_iter();
                let told =
                    told.map(|(id, (sum, visitors, last, series))| (id, sum, visitors.len() as u64, last, series));
                let mut told: Vec<Told> = told.collect();
                told.sort_by_key(|(id, _, _, last, _)| (std::cmp::Reverse(*last), *id));
                Ok(told)
            })
            .unwrap()
    }

    /// Packed rows, and what is in blocks.
    fn lengths(captures: &Captures) -> (i64, i64) {
        captures
            .read(|connection| {
                connection.query_row(
                    "SELECT (SELECT count(*) FROM occurrences WHERE packed = 1),
                            (SELECT coalesce(sum(length), 0) FROM occurrence_blocks)",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
            })
            .unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Sabotage: leave a visitor in a block, pack an error twice or not at all, or count one before the range.
        #[test]
        fn blocks_and_rows_say_the_same_whatever_happened(
            steps in prop::collection::vec(any_step(), 1..24),
            bounds in [0..97_i64, 0..97_i64],
        ) {
            let directory = tempfile::tempdir().unwrap();
            let captures = Captures::open(directory.path()).unwrap();
            let [from, to] = [bounds[0].min(bounds[1]), bounds[0].max(bounds[1])].map(in_hours);
            let days: Vec<Timestamp> = (0..5).map(|day| at(in_hours(day * 24))).collect();
            let of_one = |row: &Row<'_>| row.browser == "b1" && row.path != "/p0";
            for step in &steps {
                change(&captures, step);
                for range in [TimeRange::ALL, TimeRange::new(at(from), at(to))] {
                    for keep in [None, Some(&of_one as &dyn Fn(&Row<'_>) -> bool)] {
                        let query = GroupQuery { filter: Filter { range, keep }, buckets: &days };
                        prop_assert_eq!(told(&captures, &query), told_by_rows(&captures, &query), "{:?}", step);
                    }
                }
                let query = GroupQuery { filter: Filter { range: TimeRange::ALL, keep: None }, buckets: &days };
                for found in captures.errors_in(SITE, None, &query).unwrap().into_iter().take(2) {
                    let detail = captures.error_detail(SITE, found.group.id, &query, 1).unwrap().unwrap();
                    prop_assert_eq!(detail.found, found, "{:?}", step);
                }
                let (rows, in_blocks) = lengths(&captures);
                prop_assert_eq!(rows, in_blocks, "{:?}", step);
            }
            captures.delete_website(SITE).unwrap();
            prop_assert_eq!(lengths(&captures), (0, 0));
        }

        /// Sabotage: take zero for a number like others.
        #[test]
        fn different_numbers_are_counted(numbers in prop::collection::vec(-20..20_i64, 0..60), wide: Vec<i64>) {
            let mut table = Vec::new();
            for numbers in [numbers, wide] {
                let expected = numbers.iter().collect::<HashSet<_>>().len() as u64;
                prop_assert_eq!(distinct(&numbers, &mut table), expected);
            }
        }

        /// Sabotage: take a column for wider than it is.
        #[test]
        fn a_block_comes_back_as_it_was_and_damaged_bytes_are_an_error(
            numbers in prop::collection::vec(any::<[i64; 4]>(), 0..40),
            narrow in any::<u16>(),
            at: prop::sample::Index,
            value: u8,
        ) {
            let of = |[at_ms, visitor, variant, count]: [i64; 4]| {
                let about = [0, 1, 2, 3, 4, 5].map(|place| format!("{}", visitor.rotate_left(place) % 4));
                Met { at_ms, visitor, variant: variant % (i64::from(narrow) + 1), count, about }
            };
            let met: Vec<Met> = numbers.into_iter().map(of).collect();
            let (mut counts, mut about) = (Counts::of(&met).pack(), decompress(&pack_about(&met)).unwrap());
            prop_assert_eq!(Counts::unpack(&counts).unwrap(), Counts::of(&met));
            prop_assert!(Counts::unpack(&counts[..counts.len() - 1]).is_err());
            let read = About::unpack(&about, met.len()).unwrap();
            let values: Vec<[&str; ABOUT]> = read.all.all().collect();
            for (one, place) in met.iter().zip(&read.of) {
                prop_assert_eq!(values[*place], one.about.each_ref().map(String::as_str));
            }
            for bytes in [&mut counts, &mut about] {
                let place = at.index(bytes.len());
                bytes[place] = value;
            }
            let _ = Counts::unpack(&counts);
            if let Ok(read) = About::unpack(&about, met.len()) {
                let values: Vec<[&str; ABOUT]> = read.all.all().collect();
                prop_assert!(read.of.iter().all(|place| *place < values.len()));
            }
        }
    }
}
