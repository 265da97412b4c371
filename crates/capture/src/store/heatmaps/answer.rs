//! Questions about heatmaps.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

use rusqlite::{Connection, params};
use zenovay_domain::{TimeRange, Timestamp, VisitorId, WebsiteId, normal_path};

use super::cuts::{self, Choice};
use super::keep::{SELECT_ELEMENT, element, rows_of};
use super::rows::{DEPTHS, HEIGHT_UNIT, Rows, View, marks_of};
use super::tally::{Sums, Tally};
use super::{Group, OTHER_ELEMENTS, Result, damaged, distinct, find_page, read_view, visitors_of};
use crate::CaptureError;
use crate::heatmap::{DeviceClass, HEAT_BANDS, HEAT_BINS, PAGE_COLUMNS, PAGE_ROWS};
use crate::store::schema;
use crate::store::{Captures, Row};

/// The most structures of a page that are told.
const VERSIONS_MAX: usize = 20;

/// Which page views count.
#[derive(Clone, Copy)]
pub struct HeatFilter<'a> {
    /// From when to when.
    pub range: TimeRange,
    /// Whether one with such a page, device, browser, system and country counts; without it, all.
    pub keep: Option<&'a dyn Fn(&Row<'_>) -> bool>,
    /// Only those of these visitors.
    pub visitors: Option<&'a HashSet<VisitorId>>,
}

impl HeatFilter<'_> {
    /// All page views.
    pub const ALL: Self = Self { range: TimeRange::ALL, keep: None, visitors: None };
}

impl fmt::Debug for HeatFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeatFilter").field("range", &self.range).finish_non_exhaustive()
    }
}

/// What is asked about the pages that have a heatmap.
#[derive(Debug, Clone, Copy)]
pub struct HeatPagesQuery<'a> {
    /// In which order; pages that are equal in it are by their paths.
    pub sort: HeatSort,
    /// What counts.
    pub filter: HeatFilter<'a>,
    /// Only devices of this class.
    pub class: Option<DeviceClass>,
    /// Only pages with this in their path, in any case and any spelling of it.
    pub contains: &'a str,
    /// How many pages to skip.
    pub offset: usize,
    /// How many pages at most.
    pub limit: usize,
}

/// What pages that have a heatmap are sorted by, the greatest or latest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeatSort {
    /// By what.
    pub by: HeatSortBy,
    /// Whether the least or earliest is first.
    pub is_reversed: bool,
}

/// By what pages that have a heatmap are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeatSortBy {
    /// Clicks.
    #[default]
    Clicks,
    /// Clicks that were many in a short time.
    RageClicks,
    /// Clicks after which nothing happened.
    DeadClicks,
    /// Clicks, and recorded places of the pointer.
    Interactions,
    /// Page views.
    Views,
    /// How much of the height of the page a view saw on average.
    AverageDepth,
    /// When somebody looked at it last.
    LastAt,
}

impl HeatSort {
    fn compare(self, page: &HeatPage, other: &HeatPage) -> Ordering {
        let order = match self.by {
            HeatSortBy::Clicks => other.clicks.cmp(&page.clicks),
            HeatSortBy::RageClicks => other.rage_clicks.cmp(&page.rage_clicks),
            HeatSortBy::DeadClicks => other.dead_clicks.cmp(&page.dead_clicks),
            HeatSortBy::Interactions => (other.clicks + other.moves).cmp(&(page.clicks + page.moves)),
            HeatSortBy::Views => other.views.iter().sum::<u64>().cmp(&page.views.iter().sum()),
            // Pages without a view are last.
            HeatSortBy::AverageDepth => {
                let depth = |page: &HeatPage| page.average_depth().unwrap_or(-1.0);
                depth(other).total_cmp(&depth(page))
            }
            HeatSortBy::LastAt => other.last_at.cmp(&page.last_at),
        };
        let order = if self.is_reversed { order.reverse() } else { order };
        order.then_with(|| page.path.cmp(&other.path))
    }
}

/// A page that has a heatmap.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatPage {
    /// Its path.
    pub path: String,
    /// Clicks.
    pub clicks: u64,
    /// Clicks that were many in a short time at one place.
    pub rage_clicks: u64,
    /// Clicks after which nothing happened.
    pub dead_clicks: u64,
    /// Recorded places of the pointer.
    pub moves: u64,
    /// Page views, in the order of [`DeviceClass::ALL`].
    pub views: [u64; 3],
    /// The sum of how much of the height of the page each view saw, 1 for the whole.
    pub depths: f64,
    /// When somebody looked at it last.
    pub last_at: Timestamp,
}

impl HeatPage {
    /// How much of the height of the page a view saw on average, 0 to 1; `None` without a view.
    pub fn average_depth(&self) -> Option<f64> {
        let views: u64 = self.views.iter().sum();
        (views > 0).then(|| self.depths / views as f64)
    }
}

/// The pages that have a heatmap.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatPages {
    /// In the order that was asked for.
    pub pages: Vec<HeatPage>,
    /// How many there are.
    pub total: u64,
}

/// What is asked about the heatmap of a page.
#[derive(Debug, Clone, Copy)]
pub struct HeatmapQuery<'a> {
    /// What counts.
    pub filter: HeatFilter<'a>,
    /// The path of the page, in any spelling of it.
    pub path: &'a str,
    /// Of which devices.
    pub class: DeviceClass,
    /// The most elements that are told, those with the most clicks first.
    pub elements: usize,
    /// The most cells of the page's grid that are told, of clicks and of moves each.
    pub spots: usize,
}

/// A cell of a grid: its column, its row, and how much is in it.
pub type Cell = (u16, u16, u64);

/// Clicks on an element.
#[derive(Debug, Clone, PartialEq)]
pub struct ElementHeat {
    /// By which it is found again.
    pub address: String,
    /// What it is called; empty when it has no name that may be known.
    pub label: String,
    /// Clicks.
    pub clicks: u64,
    /// Clicks that were many in a short time at one place.
    pub rage_clicks: u64,
    /// Clicks after which nothing happened.
    pub dead_clicks: u64,
    /// Where on the page they were on average: fractions of its width and height.
    pub at: [f64; 2],
    /// Where in the element they were, [`HEAT_BINS`] columns and rows.
    pub cells: Vec<Cell>,
}

/// A structure that a page had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageVersion {
    /// Names the structure; empty when pages did not tell it.
    pub dom: String,
    /// Page views.
    pub views: u64,
    /// The first of them.
    pub first_at: Timestamp,
    /// The last of them.
    pub last_at: Timestamp,
}

/// The heatmap of a page for one class of devices.
#[derive(Debug, Clone, PartialEq)]
pub struct Heatmap {
    /// Page views in each class, in the order of [`DeviceClass::ALL`].
    pub views_by_class: [u64; 3],
    /// Page views.
    pub views: u64,
    /// Distinct visitors.
    pub visitors: u64,
    /// Clicks.
    pub clicks: u64,
    /// Clicks that were many in a short time at one place.
    pub rage_clicks: u64,
    /// Clicks after which nothing happened.
    pub dead_clicks: u64,
    /// When somebody looked at the page last; `None` when nobody did.
    pub last_at: Option<Timestamp>,
    /// How much of the height of the page views saw on average, 0 to 1.
    pub average_depth: Option<f64>,
    /// How much of the height of the page half of the views saw at least.
    pub median_depth: Option<f64>,
    /// The median width and height of the window, in pixels.
    pub viewport: Option<[u32; 2]>,
    /// The median width and height of the page, in pixels.
    pub page: Option<[u32; 2]>,
    /// The elements with the most clicks.
    pub elements: Vec<ElementHeat>,
    /// How many elements were clicked.
    pub elements_total: u64,
    /// Clicks on elements that are not told from each other.
    pub other_clicks: u64,
    /// Clicks by their place on the page, [`PAGE_COLUMNS`] columns and [`PAGE_ROWS`] rows.
    pub spots: Vec<Cell>,
    /// Views that saw at least so many twentieths of the height of the page.
    pub reach: [u64; HEAT_BANDS + 1],
    /// For how many milliseconds each twentieth of the page was in the window.
    pub attention: [u64; HEAT_BANDS],
    /// Places of the pointer on the page.
    pub moves: Vec<Cell>,
    /// Structures that the page had, the one that was seen last first.
    pub versions: Vec<PageVersion>,
}

/// Page views that count: a block of them, what it was cut into, some of it, or one.
enum Part<'a> {
    /// A block, all of it.
    Block(Header),
    /// What a block was cut into, and the visitors of that.
    Cut(&'a Sums, &'a [u64]),
    /// Those of a block for which it is true.
    Rows(&'a Rows, &'a [bool]),
    /// One that is not in a block.
    View(&'a View),
}

/// What is known of a block without reading it.
struct Header {
    id: i64,
    to_ms: i64,
    counts: Counts,
}

/// Calls `each` with what of `group` counts.
fn visit(
    connection: &Connection,
    (page, class): Group,
    path: &str,
    filter: &HeatFilter<'_>,
    mut each: impl FnMut(Part<'_>) -> Result<()>,
) -> Result<()> {
    let (from, to) = (filter.range.from.as_millis(), filter.range.to.as_millis());
    let is_in = |at_ms: i64| (from..to).contains(&at_ms);
    let is_one_of = |visitor: u64| filter.visitors.is_none_or(|visitors| visitors.contains(&VisitorId(visitor)));
    let keeps = |row: &Row<'_>| filter.keep.is_none_or(|keep| keep(row));
    let mut select = connection.prepare(
        "SELECT id, from_at, to_at, views, clicks, rage, dead, moves, depths FROM heat_blocks
             WHERE page = ?1 AND class = ?2 AND to_at >= ?3 AND from_at < ?4",
    )?;
    let mut found = select.query(params![page, class, from, to])?;
    while let Some(row) = found.next()? {
        let (id, from_ms, to_ms): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let is_whole = is_in(from_ms) && is_in(to_ms) && filter.visitors.is_none();
        let choice = match filter.keep {
            _ if !is_whole => Choice::Some,
            None => Choice::All,
            Some(keep) => cuts::choose(connection, id, path, keep)?,
        };
        if let Choice::Cuts(dimension, values) = &choice {
            cuts::visit(connection, id, *dimension, values, |sums, visitors| each(Part::Cut(sums, visitors)))?;
        }
        if matches!(choice, Choice::All) {
            let number = |column: usize| row.get::<_, i64>(column).map(i64::cast_unsigned);
            let counts = Counts {
                views: number(3)?,
                clicks: number(4)?,
                rage: number(5)?,
                dead: number(6)?,
                moves: number(7)?,
                depths: number(8)?,
                last_ms: Some(to_ms),
            };
            each(Part::Block(Header { id, to_ms, counts }))?;
        }
        if !matches!(choice, Choice::Some) {
            continue;
        }
        let rows = rows_of(connection, id)?;
        let kept: Vec<bool> = rows.profiles.iter().map(|profile| keeps(&profile.row(path))).collect();
        let is_chosen =
            |at: usize| is_in(rows.at_ms[at]) && kept[usize::from(rows.profile[at])] && is_one_of(rows.visitor[at]);
        let chosen: Vec<bool> = (0..rows.len()).map(is_chosen).collect();
        each(Part::Rows(&rows, &chosen))?;
    }
    let mut select = connection.prepare(
        "SELECT at, visitor, told, view FROM heat_views WHERE page = ?1 AND class = ?2 AND at >= ?3 AND at < ?4",
    )?;
    let mut found = select.query(params![page, class, from, to])?;
    while let Some(row) = found.next()? {
        let view = read_view(row)?;
        if is_one_of(view.visitor) && keeps(&view.told.profile.row(path)) {
            each(Part::View(&view))?;
        }
    }
    Ok(())
}

/// The numbers of a page in a list.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    views: u64,
    clicks: u64,
    rage: u64,
    dead: u64,
    moves: u64,
    depths: u64,
    last_ms: Option<i64>,
}

impl Counts {
    fn add(&mut self, part: &Part<'_>) {
        match part {
            Part::Block(Header { counts, .. }) => self.add_all(counts),
            Part::Cut(sums, _) => self.add_all(&Self::of(sums)),
            Part::View(view) => self.add_view(view),
            Part::Rows(rows, chosen) => self.add_rows(rows, chosen),
        }
    }

    fn of(sums: &Sums) -> Self {
        let [clicks, rage, dead] = sums.clicks();
        Self {
            views: sums.views,
            clicks,
            rage,
            dead,
            moves: sums.moves.iter().map(|(_, count)| count).sum(),
            depths: sums.depths.iter().map(|(depth, views)| u64::from(*depth) * views).sum(),
            last_ms: Some(sums.last_ms),
        }
    }

    fn add_rows(&mut self, rows: &Rows, chosen: &[bool]) {
        let mut click = 0;
        for (at, is_chosen) in chosen.iter().enumerate() {
            let clicks = click..click + usize::from(rows.clicks[at]);
            click = clicks.end;
            if !is_chosen {
                continue;
            }
            let is_begun = rows.is_begun[at] != 0;
            self.views += u64::from(is_begun);
            self.depths += if is_begun { u64::from(rows.depth[at]) } else { 0 };
            self.moves += u64::from(rows.moves[at]);
            self.last_ms = self.last_ms.max(Some(rows.at_ms[at]));
            for place in clicks {
                let count = u64::from(rows.count[place]);
                let (is_rage, is_dead) = marks_of(rows.cell[place]);
                self.clicks += count;
                self.rage += if is_rage { count } else { 0 };
                self.dead += if is_dead { count } else { 0 };
            }
        }
    }

    fn add_view(&mut self, view: &View) {
        let told = &view.told;
        let clicks = |is_one: fn(&super::Click) -> bool| -> u64 {
            told.clicks.iter().filter(|click| is_one(click)).map(|click| u64::from(click.count)).sum()
        };
        self.add_all(&Self {
            views: u64::from(told.is_begun),
            clicks: clicks(|_| true),
            rage: clicks(|click| click.is_rage),
            dead: clicks(|click| click.is_dead),
            moves: told.moves.len() as u64,
            depths: if told.is_begun { u64::from(told.depth) } else { 0 },
            last_ms: Some(view.at_ms),
        });
    }

    fn add_all(&mut self, more: &Self) {
        self.views += more.views;
        self.clicks += more.clicks;
        self.rage += more.rage;
        self.dead += more.dead;
        self.moves += more.moves;
        self.depths += more.depths;
        self.last_ms = self.last_ms.max(more.last_ms);
    }
}

impl Captures {
    /// The pages of `website` that have a heatmap.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn heat_pages(
        &self,
        website: WebsiteId,
        query: &HeatPagesQuery<'_>,
    ) -> std::result::Result<HeatPages, CaptureError> {
        self.catch_up()?;
        self.read(|connection| list(connection, website.as_bytes(), query))
    }

    /// The heatmap of a page of `website`; an empty one when nothing is known of the page.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn heatmap(&self, website: WebsiteId, query: &HeatmapQuery<'_>) -> std::result::Result<Heatmap, CaptureError> {
        self.catch_up()?;
        self.read(|connection| draw(connection, website.as_bytes(), query))
    }
}

/// `filter` without what is hidden.
fn shown<'a>(connection: &Connection, website: &[u8; 16], filter: &HeatFilter<'a>) -> Result<HeatFilter<'a>> {
    Ok(HeatFilter { range: schema::shown(connection, website, filter.range)?, ..*filter })
}

fn list(connection: &Connection, website: &[u8; 16], query: &HeatPagesQuery<'_>) -> Result<HeatPages> {
    let filter = shown(connection, website, &query.filter)?;
    let contains = normal_path(query.contains).to_lowercase();
    let mut select = connection.prepare("SELECT id, path FROM heat_pages WHERE website = ?1")?;
    let found = select.query_map(params![website], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut pages = Vec::new();
    for page in found {
        let (page, path): (i64, String) = page?;
        if !path.to_lowercase().contains(&contains) {
            continue;
        }
        let mut of_page = Counts::default();
        let mut views = [0; 3];
        for class in DeviceClass::ALL.into_iter().filter(|class| query.class.is_none_or(|only| only == *class)) {
            let mut counts = Counts::default();
            visit(connection, (page, class.number()), &path, &filter, |part| {
                counts.add(&part);
                Ok(())
            })?;
            views[class as usize] = counts.views;
            of_page.add_all(&counts);
        }
        let Counts { clicks, rage, dead, moves, depths, last_ms, .. } = of_page;
        if let Some(last_ms) = last_ms {
            pages.push(HeatPage {
                path,
                clicks,
                rage_clicks: rage,
                dead_clicks: dead,
                moves,
                views,
                depths: depths as f64 / f64::from(DEPTHS),
                last_at: Timestamp::from_millis(last_ms),
            });
        }
    }
    pages.sort_unstable_by(|page, other| query.sort.compare(page, other));
    let total = pages.len() as u64;
    let pages = pages.into_iter().skip(query.offset).take(query.limit).collect();
    Ok(HeatPages { pages, total })
}

fn draw(connection: &Connection, website: &[u8; 16], query: &HeatmapQuery<'_>) -> Result<Heatmap> {
    let (filter, path) = (shown(connection, website, &query.filter)?, normal_path(query.path));
    let (mut tally, mut visitors, mut views_by_class) = (Tally::default(), Vec::new(), [0; 3]);
    if let Some(page) = find_page(connection, website, &path)? {
        for class in DeviceClass::ALL {
            let group = (page, class.number());
            if class == query.class {
                visit(connection, group, &path, &filter, |part| gather(connection, part, &mut tally, &mut visitors))?;
                views_by_class[class as usize] = tally.views;
            } else {
                let mut counts = Counts::default();
                visit(connection, group, &path, &filter, |part| {
                    counts.add(&part);
                    Ok(())
                })?;
                views_by_class[class as usize] = counts.views;
            }
        }
    }
    let visitors = distinct(visitors).len() as u64;
    told(connection, query, &tally, visitors, views_by_class)
}

/// Adds a part to what is drawn.
fn gather(connection: &Connection, part: Part<'_>, tally: &mut Tally, visitors: &mut Vec<u64>) -> Result<()> {
    match part {
        Part::Block(Header { id, to_ms, .. }) => {
            let mut select = connection.prepare("SELECT sums, visitors FROM heat_blocks WHERE id = ?1")?;
            select.query_row([id], |row| {
                let sums = Sums::unpack(row.get_ref(0)?.as_blob()?).ok_or_else(|| damaged(super::rows::Damaged))?;
                tally.add_sums(&sums);
                tally.last_ms = tally.last_ms.max(to_ms);
                visitors.extend(visitors_of(row.get_ref(1)?.as_blob()?));
                Ok(())
            })?;
        }
        Part::Cut(sums, who) => {
            tally.add_sums(sums);
            visitors.extend(who);
        }
        Part::Rows(rows, chosen) => {
            tally.add_rows(rows, chosen);
            visitors.extend(rows.visitor.iter().zip(chosen).filter(|(_, is_chosen)| **is_chosen).map(|(one, _)| *one));
        }
        Part::View(view) => {
            tally.add_view(view);
            visitors.push(view.visitor);
        }
    }
    Ok(())
}

/// What is told of what was added up.
fn told(
    connection: &Connection,
    query: &HeatmapQuery<'_>,
    tally: &Tally,
    visitors: u64,
    views_by_class: [u64; 3],
) -> Result<Heatmap> {
    let [clicks, rage_clicks, dead_clicks] = tally.clicks();
    let mut numbers: Vec<i64> = tally.elements.keys().copied().filter(|number| *number != OTHER_ELEMENTS).collect();
    numbers.sort_unstable_by_key(|number| (std::cmp::Reverse(tally.elements[number].clicks), *number));
    let elements_total = numbers.len() as u64;
    numbers.truncate(query.elements);
    let mut select = connection.prepare(SELECT_ELEMENT)?;
    let elements = numbers.into_iter().map(|number| {
        let found = &tally.elements[&number];
        let (address, label) = element(&mut select, number)?;
        let mean = |sum: u64, cells: u16| (sum as f64 / found.clicks.max(1) as f64 + 0.5) / f64::from(cells);
        Ok(ElementHeat {
            address,
            label,
            clicks: found.clicks,
            rage_clicks: found.rage,
            dead_clicks: found.dead,
            at: [mean(found.places[0], PAGE_COLUMNS), mean(found.places[1], PAGE_ROWS)],
            cells: cells(found.cells.iter().map(|count| u64::from(*count)), HEAT_BINS, usize::MAX),
        })
    });
    let elements = elements.collect::<Result<_>>()?;
    let sides = tally.sizes.each_ref().map(median);
    let both = |width: Option<u16>, height: Option<u32>| Some([u32::from(width?), height?]);
    let mut versions: Vec<PageVersion> = tally
        .doms
        .iter()
        .map(|(dom, found)| PageVersion {
            dom: dom.clone(),
            views: found.views,
            first_at: Timestamp::from_millis(found.first_ms),
            last_at: Timestamp::from_millis(found.last_ms),
        })
        .collect();
    versions.sort_unstable_by(|one, other| other.last_at.cmp(&one.last_at).then_with(|| one.dom.cmp(&other.dom)));
    versions.truncate(VERSIONS_MAX);
    let step = usize::from(DEPTHS) / HEAT_BANDS;
    Ok(Heatmap {
        views_by_class,
        views: tally.views,
        visitors,
        clicks,
        rage_clicks,
        dead_clicks,
        last_at: (visitors > 0).then(|| Timestamp::from_millis(tally.last_ms)),
        average_depth: (tally.views > 0).then(|| tally.depth_sum() as f64 / tally.views as f64 / f64::from(DEPTHS)),
        median_depth: median_depth(tally),
        viewport: both(sides[0], sides[1].map(u32::from)),
        page: both(sides[2], sides[3].map(|height| u32::from(height) * u32::from(HEIGHT_UNIT))),
        elements,
        elements_total,
        other_clicks: tally.elements.get(&OTHER_ELEMENTS).map_or(0, |others| others.clicks),
        spots: cells(tally.spots.iter().copied(), PAGE_COLUMNS, query.spots),
        reach: std::array::from_fn(|part| tally.depths[part * step..].iter().sum()),
        attention: tally.attention,
        moves: cells(tally.moves.iter().copied(), PAGE_COLUMNS, query.spots),
        versions,
    })
}

/// The cells of a grid that are not empty: the `most` fullest ones, row by row.
fn cells(counts: impl Iterator<Item = u64>, columns: u16, most: usize) -> Vec<Cell> {
    let mut cells: Vec<Cell> = (0..)
        .zip(counts)
        .filter(|(_, count)| *count > 0)
        .map(|(place, count): (u16, u64)| (place % columns, place / columns, count))
        .collect();
    if cells.len() > most {
        cells.sort_unstable_by_key(|(column, row, count)| (std::cmp::Reverse(*count), *row, *column));
        cells.truncate(most);
        cells.sort_unstable_by_key(|(column, row, _)| (*row, *column));
    }
    cells
}

/// The value in place ⌈n / 2⌉.
fn median(counts: &BTreeMap<u16, u64>) -> Option<u16> {
    let rank = counts.values().sum::<u64>().div_ceil(2);
    let mut before = 0;
    counts.iter().find_map(|(value, count)| {
        before += count;
        (before >= rank).then_some(*value)
    })
}

/// The greatest depth that at least half of the views saw.
fn median_depth(tally: &Tally) -> Option<f64> {
    let half = tally.views.div_ceil(2);
    let mut seen = 0;
    let depth = (0..=DEPTHS).rev().find(|depth| {
        seen += tally.depths[usize::from(*depth)];
        seen >= half
    });
    depth.filter(|_| tally.views > 0).map(|depth| f64::from(depth) / f64::from(DEPTHS))
}
