//! Heatmaps at rest. Page views come body by body and are put together in `heat_views`; when there are enough of one page and
//! class of devices, those that are over go into blocks of columns ([`rows`]), each with what it adds up to ([`tally`]). A
//! question reads the sums of the blocks that count as a whole or by one of their [`cuts`], and the columns of the others.

mod answer;
mod cuts;
mod keep;
mod rows;
mod tally;

pub use answer::{
    Cell, ElementHeat, HeatFilter, HeatPage, HeatPages, HeatPagesQuery, HeatSort, HeatSortBy, Heatmap, HeatmapQuery,
    PageVersion,
};
pub use keep::{VisitorHeat, VisitorRage};
pub(super) use keep::{delete_website, erase_visitor, has_between, of_visitor, rage_of_visitor, remove_before};

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use self::rows::{ATTENTION_UNIT_MS, Builder, Click, DEPTHS, HEIGHT_UNIT, Profile, Rows, Told, View, mark_of};
pub(super) use self::rows::{VERSION, compress, decompress};
use self::tally::{CELLS, SPOTS, Tally};
use crate::heatmap::HeatClick;
use crate::record::HeatmapCapture;

type Result<T> = std::result::Result<T, rusqlite::Error>;

/// The most pages of a website: the views of further ones are of one page, [`OTHER_PAGES`].
pub(super) const PAGES_MAX: i64 = 5_000;
/// The path of the page that stands for further ones.
pub const OTHER_PAGES: &str = "(other)";
/// The most different elements of a page: clicks on further ones are not told from each other.
pub(super) const ELEMENTS_MAX: i64 = 4_000;
/// The most elements of a page that are new on one day, so that no day takes the room of all.
pub(super) const NEW_ELEMENTS_MAX: i64 = 1_000;
/// The number that stands for elements that are not told from each other.
const OTHER_ELEMENTS: i64 = 0;
/// The most clicks, and the most moves, of a page view.
const ENTRIES_PER_VIEW: usize = 2_000;
/// So many page views are put into a block at once.
const PACKED_MIN: u32 = 256;
/// A page view of which nothing came for so long is over. When something comes later, it is taken out of its block again.
const OVER_MS: i64 = 10 * 60_000;
/// A page view goes on for no longer than this. What comes later is another row of it.
const GOES_ON_MS: i64 = DAY_MS;
const DAY_MS: i64 = 24 * 3_600_000;

/// `heat_views.told` and the blobs of `heat_blocks` are written and read in [`rows`] and [`tally`].
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS heat_pages (
        id INTEGER PRIMARY KEY AUTOINCREMENT, website BLOB NOT NULL, path TEXT NOT NULL, UNIQUE (website, path)
    );
    CREATE TABLE IF NOT EXISTS heat_elements (
        id INTEGER PRIMARY KEY AUTOINCREMENT, page INTEGER NOT NULL, day INTEGER NOT NULL, address TEXT NOT NULL,
        label TEXT NOT NULL, UNIQUE (page, address)
    );
    CREATE INDEX IF NOT EXISTS heat_elements_by_day ON heat_elements (page, day);
    CREATE TABLE IF NOT EXISTS heat_views (
        page INTEGER NOT NULL, class INTEGER NOT NULL, view INTEGER NOT NULL, at INTEGER NOT NULL,
        last_at INTEGER NOT NULL, visitor INTEGER NOT NULL, last_seq INTEGER NOT NULL, reached INTEGER NOT NULL,
        told BLOB NOT NULL, PRIMARY KEY (page, class, view)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS heat_views_by_visitor ON heat_views (visitor);
    CREATE TABLE IF NOT EXISTS heat_blocks (
        id INTEGER PRIMARY KEY AUTOINCREMENT, page INTEGER NOT NULL, class INTEGER NOT NULL, from_at INTEGER NOT NULL,
        to_at INTEGER NOT NULL, views INTEGER NOT NULL, clicks INTEGER NOT NULL, rage INTEGER NOT NULL,
        dead INTEGER NOT NULL, moves INTEGER NOT NULL, depths INTEGER NOT NULL, sums BLOB NOT NULL, visitors BLOB NOT NULL, rows BLOB NOT NULL
    );
    CREATE INDEX IF NOT EXISTS heat_blocks_by_page ON heat_blocks (page, class, to_at);";

/// A page and a class of devices.
pub(super) type Group = (i64, u8);

/// Bytes of the database that are not what was written.
pub(super) fn damaged(what: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, Box::new(what))
}

/// What was told of a page view that is not in a block.
fn told_of(bytes: &[u8]) -> Result<Told> {
    postcard::from_bytes(bytes).map_err(damaged)
}

/// Makes the tables.
pub(super) fn make_tables(transaction: &Transaction<'_>) -> Result<()> {
    transaction.execute_batch(TABLES)?;
    transaction.execute_batch(cuts::TABLES)
}

/// Cuts one of the blocks that a version before wrote. Tells whether there was one.
pub(super) fn cut_any(transaction: &Transaction<'_>) -> Result<bool> {
    cuts::write_any(transaction)
}

/// Adds what a body told, and gives what it is of.
pub(super) fn add(transaction: &Transaction<'_>, website: &[u8; 16], capture: &HeatmapCapture) -> Result<Group> {
    let context = &capture.context;
    let page = page_of(transaction, website, &context.path)?;
    let group = (page, capture.class);
    let view = capture.view.cast_signed();
    let mut find = transaction.prepare(
        "SELECT at, last_at, last_seq, reached, told FROM heat_views WHERE page = ?1 AND class = ?2 AND view = ?3",
    )?;
    let found = find.query_row(params![page, capture.class, view], |row| {
        let told = row.get_ref(4)?.as_blob()?;
        Ok(Gathered {
            at_ms: row.get(0)?,
            last_ms: row.get(1)?,
            last_seq: row.get(2)?,
            reached: row.get(3)?,
            told: told_of(told)?,
        })
    });
    let mut gathered = match found.optional()? {
        Some(gathered) => gathered,
        None => take_back(transaction, group, capture)?.map_or_else(|| Gathered::new(capture), Gathered::of),
    };
    gathered.add(capture);
    // How many there are is counted once a body at most.
    let mut is_full = false;
    let is_on_grid = |click: &&HeatClick| usize::from(click.cell) < CELLS && usize::from(click.spot) < SPOTS;
    for click in capture.told.clicks.iter().filter(is_on_grid) {
        if gathered.told.clicks.len() >= ENTRIES_PER_VIEW {
            break;
        }
        let element = element_of(transaction, page, context.at_ms.div_euclid(DAY_MS), click, &mut is_full)?;
        let HeatClick { cell, spot, count, is_rage, is_dead, .. } = *click;
        gathered.told.clicks.push(Click { element, cell, spot, count, is_rage, is_dead });
    }
    let Gathered { at_ms, last_ms, last_seq, reached, told } = &gathered;
    // Serialising into memory cannot fail; were it to, what is written would be read as damaged.
    let told = postcard::to_allocvec(told).unwrap_or_default();
    let visitor = context.visitor.cast_signed();
    transaction
        .prepare("INSERT OR REPLACE INTO heat_views VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
        .execute(params![page, capture.class, view, at_ms, last_ms, visitor, last_seq, reached, told])?;
    Ok(group)
}

/// What came of a page view so far.
struct Gathered {
    at_ms: i64,
    last_ms: i64,
    last_seq: u32,
    reached: u32,
    told: Told,
}

impl Gathered {
    fn new(capture: &HeatmapCapture) -> Self {
        let context = &capture.context;
        let profile = Profile {
            device: context.device.clone(),
            browser: context.browser.clone(),
            browser_version: context.browser_version.clone(),
            os: context.os.clone(),
            country: context.country.clone(),
        };
        let told = Told { profile, ..Told::default() };
        Self { at_ms: context.at_ms, last_ms: context.at_ms, last_seq: 0, reached: 0, told }
    }

    /// One that was in a block.
    fn of(view: View) -> Self {
        let View { at_ms, told, .. } = view;
        // The fewest pixels that are as deep.
        let height = u32::from(told.page[1]) * u32::from(HEIGHT_UNIT);
        let reached = (u32::from(told.depth) * height).div_ceil(u32::from(DEPTHS));
        Self { at_ms, last_ms: at_ms, last_seq: 0, reached, told }
    }

    /// Adds everything but the clicks.
    fn add(&mut self, capture: &HeatmapCapture) {
        let told = &mut self.told;
        self.at_ms = self.at_ms.min(capture.context.at_ms);
        self.last_ms = self.last_ms.max(capture.context.at_ms);
        self.reached = self.reached.max(capture.told.reached);
        told.is_begun |= capture.seq == 0;
        // The last body knows best how the page is by now.
        if capture.seq >= self.last_seq {
            self.last_seq = capture.seq;
            let side = |pixels: u32| u16::try_from(pixels).unwrap_or(u16::MAX);
            told.viewport = capture.told.viewport.map(side);
            told.page = [side(capture.told.page[0]), side(capture.told.page[1].div_ceil(u32::from(HEIGHT_UNIT)))];
            told.dom.clone_from(&capture.told.dom);
        }
        let height = u64::from(told.page[1]) * u64::from(HEIGHT_UNIT);
        let depth = u64::from(self.reached) * u64::from(DEPTHS) / height.max(1);
        told.depth = u8::try_from(depth).map_or(DEPTHS, |depth| depth.min(DEPTHS));
        for (sum, ms) in told.attention.iter_mut().zip(capture.told.attention) {
            let units = ms.saturating_add(ATTENTION_UNIT_MS / 2) / ATTENTION_UNIT_MS;
            *sum = sum.saturating_add(u16::try_from(units).unwrap_or(u16::MAX));
        }
        let room = ENTRIES_PER_VIEW.saturating_sub(told.moves.len());
        let moves = capture.told.moves.iter().copied().filter(|spot| usize::from(*spot) < SPOTS);
        told.moves.extend(moves.take(room));
    }
}

/// The page of `website` with this path; made when it is new.
fn page_of(transaction: &Transaction<'_>, website: &[u8; 16], path: &str) -> Result<i64> {
    if let Some(page) = find_page(transaction, website, path)? {
        return Ok(page);
    }
    let count: i64 =
        transaction
            .query_row("SELECT count(*) FROM heat_pages WHERE website = ?1", params![website], |row| row.get(0))?;
    let path = if count < PAGES_MAX { path } else { OTHER_PAGES };
    if let Some(page) = find_page(transaction, website, path)? {
        return Ok(page);
    }
    transaction.execute("INSERT INTO heat_pages (website, path) VALUES (?1, ?2)", params![website, path])?;
    Ok(transaction.last_insert_rowid())
}

fn find_page(connection: &Connection, website: &[u8; 16], path: &str) -> Result<Option<i64>> {
    connection
        .prepare("SELECT id FROM heat_pages WHERE website = ?1 AND path = ?2")?
        .query_row(params![website, path], |row| row.get(0))
        .optional()
}

/// The element of `page` that was clicked, on the day `day`; made when it is new and there is room. `is_full` says that there is
/// none.
fn element_of(
    transaction: &Transaction<'_>,
    page: i64,
    day: i64,
    click: &HeatClick,
    is_full: &mut bool,
) -> Result<i64> {
    let found: Option<(i64, bool)> = transaction
        .prepare("SELECT id, label = '' FROM heat_elements WHERE page = ?1 AND address = ?2")?
        .query_row(params![page, click.address], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((element, has_no_label)) = found {
        if has_no_label && !click.label.is_empty() {
            transaction
                .prepare("UPDATE heat_elements SET label = ?2 WHERE id = ?1")?
                .execute(params![element, click.label])?;
        }
        return Ok(element);
    }
    if *is_full {
        return Ok(OTHER_ELEMENTS);
    }
    let counts = "SELECT (SELECT count(*) FROM heat_elements WHERE page = ?1),
                         (SELECT count(*) FROM heat_elements WHERE page = ?1 AND day = ?2)";
    let (all, new): (i64, i64) =
        transaction.prepare(counts)?.query_row(params![page, day], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if all >= ELEMENTS_MAX || new >= NEW_ELEMENTS_MAX {
        *is_full = true;
        return Ok(OTHER_ELEMENTS);
    }
    transaction
        .prepare("INSERT INTO heat_elements (page, day, address, label) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![page, day, click.address, click.label])?;
    Ok(transaction.last_insert_rowid())
}

/// Puts page views of `groups` that are over into blocks, where there are enough of them.
pub(super) fn pack(transaction: &Transaction<'_>, groups: &BTreeSet<Group>) -> Result<()> {
    for &(page, class) in groups {
        let over = "SELECT count(*) >= ?3, coalesce(max(last_at), 0) FROM heat_views WHERE page = ?1 AND class = ?2";
        let (is_enough, newest): (bool, i64) = transaction
            .prepare(over)?
            .query_row(params![page, class, PACKED_MIN], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if !is_enough {
            continue;
        }
        let select = "SELECT at, visitor, told, view FROM heat_views
                          WHERE page = ?1 AND class = ?2 AND last_at < ?3 ORDER BY at";
        let mut select = transaction.prepare(select)?;
        let rows =
            select.query_map(params![page, class, newest - OVER_MS], |row| Ok((read_view(row)?, row.get(3)?)))?;
        let views = rows.collect::<Result<Vec<(View, i64)>>>()?;
        if views.len() < PACKED_MIN as usize {
            continue;
        }
        let mut block = last_block(transaction, page, class)?;
        for (view, id) in &views {
            if block.builder.is_full() {
                std::mem::take(&mut block).write(transaction, page, class)?;
            }
            block.builder.push(view);
            transaction
                .prepare("DELETE FROM heat_views WHERE page = ?1 AND class = ?2 AND view = ?3")?
                .execute(params![page, class, id])?;
        }
        block.write(transaction, page, class)?;
    }
    Ok(())
}

/// Takes the page view that `capture` is more of out of its block; `None` when it is the first of its view, or the view is in none.
fn take_back(transaction: &Transaction<'_>, (page, class): Group, capture: &HeatmapCapture) -> Result<Option<View>> {
    if capture.seq == 0 {
        return Ok(None);
    }
    let (at_ms, visitor, mark) = (capture.context.at_ms, capture.context.visitor, mark_of(capture.view));
    let mut select = transaction.prepare(
        "SELECT id, visitors FROM heat_blocks WHERE page = ?1 AND class = ?2 AND to_at >= ?3 AND from_at <= ?4
             ORDER BY id DESC",
    )?;
    let mut blocks = select.query(params![page, class, at_ms.saturating_sub(GOES_ON_MS), at_ms])?;
    while let Some(block) = blocks.next()? {
        if !visitors_of(block.get_ref(1)?.as_blob()?).any(|one| one == visitor) {
            continue;
        }
        let id: i64 = block.get(0)?;
        let rows = keep::rows_of(transaction, id)?;
        let is_it = |at: usize| rows.visitor[at] == visitor && rows.mark[at] == mark && mark != 0;
        let Some(place) = (0..rows.len()).find(|at| is_it(*at)) else { continue };
        let mut left = Builder::of(Rows::default());
        let mut taken = None;
        for (at, view) in rows.views().enumerate() {
            if at == place {
                taken = Some(view);
            } else {
                left.push(&view);
            }
        }
        write_block(transaction, Some(id), page, class, &left.finish())?;
        return Ok(taken);
    }
    Ok(None)
}

/// The columns `at`, `visitor`, `told` and `view` of a page view that is not in a block.
fn read_view(row: &rusqlite::Row<'_>) -> Result<View> {
    let (visitor, view): (i64, i64) = (row.get(1)?, row.get(3)?);
    let told = told_of(row.get_ref(2)?.as_blob()?)?;
    Ok(View { at_ms: row.get(0)?, visitor: visitor.cast_unsigned(), mark: mark_of(view.cast_unsigned()), told })
}

/// A block that is added to.
struct Block {
    /// The row whose place it takes.
    id: Option<i64>,
    builder: Builder,
}

impl Default for Block {
    fn default() -> Self {
        Self { id: None, builder: Builder::of(Rows::default()) }
    }
}

impl Block {
    fn write(self, transaction: &Transaction<'_>, page: i64, class: u8) -> Result<()> {
        write_block(transaction, self.id, page, class, &self.builder.finish())
    }
}

/// The block of a page and class that was written last.
fn last_block(transaction: &Transaction<'_>, page: i64, class: u8) -> Result<Block> {
    let select = "SELECT id, rows FROM heat_blocks WHERE page = ?1 AND class = ?2 ORDER BY id DESC LIMIT 1";
    let found = transaction.prepare(select)?.query_row(params![page, class], |row| {
        let rows = Rows::unpack(row.get_ref(1)?.as_blob()?).map_err(damaged)?;
        Ok(Block { id: Some(row.get(0)?), builder: Builder::of(rows) })
    });
    let block = found.optional()?.unwrap_or_default();
    Ok(if block.builder.is_full() { Block::default() } else { block })
}

/// Writes a block in the place of the one with the number `id`, or as a new one. One without views is none.
fn write_block(transaction: &Transaction<'_>, id: Option<i64>, page: i64, class: u8, rows: &Rows) -> Result<()> {
    if let Some(id) = id {
        cuts::remove(transaction, id)?;
    }
    let (Some(from), Some(to)) = (rows.at_ms.iter().min(), rows.at_ms.iter().max()) else {
        transaction.prepare("DELETE FROM heat_blocks WHERE id = ?1")?.execute([id])?;
        return Ok(());
    };
    let mut tally = Tally::default();
    tally.add_rows(rows, &vec![true; rows.len()]);
    let [clicks, rage, dead] = tally.clicks().map(u64::cast_signed);
    let (views, depths) = (tally.views.cast_signed(), tally.depth_sum().cast_signed());
    let moves = (rows.moved.len() as u64).cast_signed();
    let visitors = distinct(rows.visitor.clone());
    transaction
        .prepare(
            "INSERT OR REPLACE INTO heat_blocks VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            id,
            page,
            class,
            from,
            to,
            views,
            clicks,
            rage,
            dead,
            moves,
            depths,
            tally.pack(),
            visitors.iter().flat_map(|visitor| visitor.to_le_bytes()).collect::<Vec<u8>>(),
            rows.pack()
        ])?;
    let id = transaction.last_insert_rowid();
    // One to which something is added is written often.
    let select = "SELECT EXISTS (SELECT 1 FROM heat_blocks WHERE page = ?1 AND class = ?2 AND id > ?3)";
    let is_over =
        rows.is_full() || transaction.prepare(select)?.query_row(params![page, class, id], |row| row.get(0))?;
    if is_over { cuts::write(transaction, id, rows, &visitors) } else { Ok(()) }
}

/// The different ones of `visitors`, in their order.
fn distinct(mut visitors: Vec<u64>) -> Vec<u64> {
    // They come in runs that are sorted already, which this sort knows.
    visitors.sort();
    visitors.dedup();
    visitors
}

/// The visitors of a block.
fn visitors_of(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks().0.iter().map(|visitor| u64::from_le_bytes(*visitor))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zenovay_domain::{TimeRange, Timestamp, VisitorId, WebsiteId};

    use super::rows::tests::{any_view, rows_of};
    use super::*;
    use crate::store::Row;
    use crate::{Captures, DeviceClass};

    const SITE: WebsiteId = WebsiteId::from_bytes([1; 16]);

    type Keep<'a> = &'a dyn Fn(&Row<'_>) -> bool;

    /// The heatmap and the numbers in the list, of what `keep` and `range` choose.
    fn answers(captures: &Captures, range: TimeRange, keep: Keep<'_>) -> String {
        let filter = HeatFilter { range, keep: Some(keep), visitors: None };
        let query = HeatmapQuery { filter, path: "/p", class: DeviceClass::Desktop, elements: 9, spots: 20_000 };
        let (sort, contains) = (HeatSort::default(), "");
        let list = HeatPagesQuery { sort, filter, class: None, contains, offset: 0, limit: 9 };
        format!("{:?} {:?}", captures.heatmap(SITE, &query).unwrap(), captures.heat_pages(SITE, &list).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Sabotage: take the sums of all values of a dimension, those of another one, or leave the cuts as they were when a visitor is
        /// erased.
        #[test]
        fn cuts_of_blocks_say_what_their_columns_say(
            blocks in prop::collection::vec(prop::collection::vec((any_view(), 0..3_u8, 0..2_u8), 1..20), 1..4),
            from in 0..500_000_i64,
            erased in 0..6_u64,
        ) {
            let directory = tempfile::tempdir().unwrap();
            let captures = Captures::open(directory.path()).unwrap();
            let class = DeviceClass::Desktop.number();
            let write = |transaction: &Transaction<'_>| {
                let page = page_of(transaction, SITE.as_bytes(), "/p")?;
                for views in &blocks {
                    let views = views.iter().cloned().map(|(mut view, browser, os)| {
                        view.told.profile.browser = format!("b{browser}");
                        view.told.profile.os = format!("o{os}");
                        view
                    });
                    write_block(transaction, None, page, class, &rows_of(&views.collect::<Vec<_>>()))?;
                }
                while cut_any(transaction)? {}
                Ok(())
            };
            captures.write(write).unwrap();
            let count = |table: &str| -> i64 {
                let select = format!("SELECT count(*) FROM {table}");
                captures.read(|connection| connection.query_row(&select, [], |row| row.get(0))).unwrap()
            };
            prop_assert_eq!(count("heat_profiles"), blocks.len() as i64 - 1, "all but the one to which something is added");
            captures.erase_visitor(SITE, VisitorId(erased)).unwrap();
            let keeps: [Keep<'_>; 6] = [
                &|row| row.browser == "b1",
                &|row| row.os == "o0",
                &|row| ["DE", ""].contains(&row.country),
                &|row| row.browser == "b1" && row.os == "o1",
                &|row| row.path == "/p",
                &|_| false,
            ];
            let some = TimeRange::new(Timestamp::from_millis(from), Timestamp::from_millis(1_000_000));
            let ask = || -> Vec<String> {
                [TimeRange::ALL, some].iter().flat_map(|range| keeps.map(|keep| answers(&captures, *range, keep))).collect()
            };
            let with_cuts = ask();
            captures.write(|transaction| transaction.execute_batch("DELETE FROM heat_profiles")).unwrap();
            prop_assert_eq!(with_cuts, ask());
            captures.delete_website(SITE).unwrap();
            prop_assert_eq!((count("heat_cuts"), count("heat_blocks")), (0, 0));
        }
    }
}
