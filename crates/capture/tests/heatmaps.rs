//! Heatmaps from the log to their answers: bodies of a view are one view, blocks and what is not in one yet are counted
//! alike, and what is removed is gone from the files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

#[path = "recorder/disk.rs"]
mod disk;

use std::collections::{HashMap, HashSet};

use tempfile::TempDir;
use zenovay_capture::{
    Capture, CaptureOptions, Captures, Context, DeviceClass, HEAT_BANDS, HeatClick, HeatFilter, HeatPagesQuery,
    HeatSort, HeatSortBy, HeatTold, Heatmap, HeatmapCapture, HeatmapQuery, PAGE_COLUMNS, PAGE_ROWS, Row,
};
use zenovay_domain::{TimeRange, Timestamp, VisitorId, WebsiteId};
use zenovay_events::{AppendError, BatchName, CaptureSink, Kept};

use disk::is_on_disk;

const DAY_MS: i64 = 24 * 3_600_000;
const NOW_MS: i64 = 1_781_352_000_000;

fn site(n: u8) -> WebsiteId {
    WebsiteId::from_random_bytes([n; 16])
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn click(address: &str, cell: u16, spot: u16) -> HeatClick {
    HeatClick { address: address.into(), cell, spot, count: 1, ..HeatClick::default() }
}

/// The body `seq` of a page view on a desktop, whose window shows a quarter of the page.
fn body(view: u64, visitor: u64, at_ms: i64, seq: u32, clicks: Vec<HeatClick>) -> HeatmapCapture {
    HeatmapCapture {
        context: Context {
            at_ms,
            visitor,
            path: "/pricing".into(),
            browser: if visitor.is_multiple_of(2) { "Firefox" } else { "Chrome" }.into(),
            country: "DE".into(),
            ..Context::default()
        },
        view,
        seq,
        class: DeviceClass::Desktop.number(),
        told: HeatTold {
            viewport: [1_440, 900],
            page: [1_440, 3_600],
            dom: "9f2c".into(),
            reached: 900,
            clicks,
            ..HeatTold::default()
        },
    }
}

fn take(captures: &Captures, number: u64, of: WebsiteId, what: Vec<HeatmapCapture>) {
    let what = what.into_iter().map(|capture| (of, Capture::Heatmap(capture).pack()));
    captures.take(BatchName::new(7, number), what.collect());
}

fn open(directory: &TempDir) -> Captures {
    Captures::open(directory.path()).unwrap()
}

fn ask(captures: &Captures, filter: HeatFilter<'_>) -> Heatmap {
    let (path, class) = ("/pricing", DeviceClass::Desktop);
    captures.heatmap(site(1), &HeatmapQuery { filter, path, class, elements: 50, spots: 5_000 }).unwrap()
}

fn within(from: i64, to: i64) -> HeatFilter<'static> {
    HeatFilter { range: TimeRange::new(at(from), at(to)), ..HeatFilter::ALL }
}

/// A generator of numbers for what only has to differ.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// So many page views, a minute apart, of which the last is at `NOW_MS`.
fn many(count: u64) -> Vec<HeatmapCapture> {
    let mut numbers = Numbers(7);
    let view = |view: u64| {
        let clicks = (0..numbers.below(4)).map(|_| {
            let mut one = click(
                &format!("#list>li:nth-of-type({})", numbers.below(20)),
                numbers.below(1_024) as u16,
                numbers.below(16_384) as u16,
            );
            one.count = 1 + numbers.below(3) as u8;
            (one.is_rage, one.is_dead) = (numbers.below(9) == 0, numbers.below(9) == 0);
            one
        });
        let clicks = clicks.collect();
        let at_ms = NOW_MS - (count - 1 - view) as i64 * 60_000;
        let mut body = body(view, numbers.below(count / 3), at_ms, 0, clicks);
        body.told.reached = 900 + numbers.below(2_701) as u32;
        body.told.attention[numbers.below(20) as usize] = numbers.below(100) as u32 * 100;
        body.told.moves = vec![numbers.below(16_384) as u16; numbers.below(3) as usize];
        body.told.dom = format!("d{}", view / 500);
        body
    };
    (0..count).map(view).collect()
}

/// Sabotage: count each body as a view, or take the depth of the first one.
#[test]
fn bodies_of_a_view_are_one_view_in_whatever_order_they_come() {
    let directory = tempfile::tempdir().unwrap();
    let captures = open(&directory);
    let mut last = body(1, 1, NOW_MS + 20_000, 2, vec![click("#buy", 5, 64)]);
    // More was loaded meanwhile.
    (last.told.reached, last.told.page, last.told.dom) = (3_600, [1_440, 7_200], "new".into());
    let mut first = body(1, 1, NOW_MS, 0, vec![click("#buy", 5, 64), click("#top", 1_023, 16_383)]);
    first.told.attention[0] = 1_500;
    last.told.attention[0] = 500;
    first.told.clicks[1].label = "Top".into();
    take(&captures, 1, site(1), vec![last, first]);
    take(&captures, 2, site(1), vec![body(2, 2, NOW_MS + 1_000, 0, Vec::new())]);
    let heat = ask(&captures, HeatFilter::ALL);
    assert_eq!((heat.views, heat.visitors, heat.clicks, heat.elements_total), (2, 2, 3, 2));
    assert_eq!(heat.views_by_class, [2, 0, 0]);
    assert_eq!((heat.average_depth, heat.median_depth), (Some(0.375), Some(0.5)));
    assert_eq!(heat.reach[..6], [2, 2, 2, 2, 2, 2]);
    assert_eq!((heat.reach[6], heat.reach[10], heat.reach[11]), (1, 1, 0));
    assert_eq!((heat.attention[0], heat.viewport, heat.page), (2_000, Some([1_440, 900]), Some([1_440, 3_600])));
    let told: Vec<_> = heat.elements.iter().map(|e| (e.address.as_str(), e.label.as_str(), e.clicks)).collect();
    assert_eq!(told, [("#buy", "", 2), ("#top", "Top", 1)]);
    assert_eq!(
        (heat.elements[0].cells.as_slice(), heat.elements[1].cells.as_slice()),
        (&[(5, 0, 2)][..], &[(31, 31, 1)][..])
    );
    assert_eq!(heat.elements[1].at, [63.5 / 64.0, 255.5 / 256.0]);
    assert_eq!(heat.spots, [(0, 1, 2), (63, 255, 1)]);
    let doms: Vec<_> = heat.versions.iter().map(|version| (version.dom.as_str(), version.views)).collect();
    assert_eq!(doms, [("9f2c", 1), ("new", 1)]);
    assert_eq!(ask(&captures, within(NOW_MS + 1, NOW_MS + 2_000)).views, 1, "a view is of the time of its first body");
}

/// What [`Captures::heatmap`] must say of `bodies`, counted one by one.
fn count_one_by_one(bodies: &[HeatmapCapture], heat: &Heatmap) {
    let clicks = || bodies.iter().flat_map(|body| &body.told.clicks);
    let sum = |is_one: fn(&HeatClick) -> bool| -> u64 {
        clicks().filter(|click| is_one(click)).map(|click| u64::from(click.count)).sum()
    };
    assert_eq!((heat.views, heat.clicks), (bodies.len() as u64, sum(|_| true)));
    assert_eq!((heat.rage_clicks, heat.dead_clicks), (sum(|click| click.is_rage), sum(|click| click.is_dead)));
    let visitors: HashSet<u64> = bodies.iter().map(|body| body.context.visitor).collect();
    assert_eq!(heat.visitors, visitors.len() as u64);
    let mut cells: HashMap<(&str, u16), u64> = HashMap::new();
    let (mut spots, mut moves) = (vec![0; 16_384], vec![0; 16_384]);
    for click in clicks() {
        *cells.entry((&click.address, click.cell)).or_default() += u64::from(click.count);
        spots[usize::from(click.spot)] += u64::from(click.count);
    }
    bodies.iter().flat_map(|body| &body.told.moves).for_each(|spot| moves[usize::from(*spot)] += 1);
    let told =
        heat.elements.iter().flat_map(|element| element.cells.iter().map(|cell| (element.address.as_str(), *cell)));
    let told: HashMap<(&str, u16), u64> =
        told.map(|(address, (column, row, count))| ((address, row * 32 + column), count)).collect();
    assert_eq!(told, cells);
    for (expected, found) in [(spots, &heat.spots), (moves, &heat.moves)] {
        let mut grid = vec![0; usize::from(PAGE_COLUMNS * PAGE_ROWS)];
        found.iter().for_each(|(column, row, count)| grid[usize::from(row * PAGE_COLUMNS + column)] = *count);
        // At most 5,000 cells are told.
        assert!(found.len() == 5_000 || grid == expected);
    }
    let attention: [u64; HEAT_BANDS] =
        std::array::from_fn(|band| bodies.iter().map(|body| u64::from(body.told.attention[band])).sum());
    assert_eq!(heat.attention, attention);
    let seen =
        |part: u64| bodies.iter().filter(|body| u64::from(body.told.reached) * 200 / 3_600 >= part * 10).count() as u64;
    assert_eq!(heat.reach, std::array::from_fn(|part| seen(part as u64)));
}

/// Sabotage: take the sums of a block that is not all in the range, or forget a filter.
#[test]
fn blocks_and_single_views_are_counted_alike_with_every_filter() {
    let directory = tempfile::tempdir().unwrap();
    let captures = open(&directory);
    let bodies = many(1_500);
    for (number, part) in (0..).zip(bodies.chunks(100)) {
        take(&captures, number, site(1), part.to_vec());
        captures.catch_up().unwrap();
    }
    let blocks = rusqlite::Connection::open(directory.path().join("captures.db")).unwrap();
    let count = |table: &str| -> i64 {
        blocks.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert!(count("heat_blocks") >= 1 && (1..600).contains(&count("heat_views")), "{}", count("heat_views"));
    let chosen = |choose: &dyn Fn(&HeatmapCapture) -> bool| -> Vec<HeatmapCapture> {
        bodies.iter().filter(|body| choose(body)).cloned().collect()
    };
    count_one_by_one(&bodies, &ask(&captures, HeatFilter::ALL));
    let (from, to) = (NOW_MS - 900 * 60_000, NOW_MS - 30 * 60_000);
    let is_in = |body: &HeatmapCapture| (from..to).contains(&body.context.at_ms);
    count_one_by_one(&chosen(&is_in), &ask(&captures, within(from, to)));
    let is_firefox = |row: &Row<'_>| row.browser == "Firefox" && row.path == "/pricing";
    let filter = HeatFilter { keep: Some(&is_firefox), ..within(from, to) };
    count_one_by_one(&chosen(&|body| is_in(body) && body.context.browser == "Firefox"), &ask(&captures, filter));
    let visitors: HashSet<VisitorId> = (0..200).map(VisitorId).collect();
    let filter = HeatFilter { visitors: Some(&visitors), ..HeatFilter::ALL };
    count_one_by_one(&chosen(&|body| body.context.visitor < 200), &ask(&captures, filter));

    for filter in [HeatFilter::ALL, filter, within(from, to)] {
        let (contains, offset, limit) = ("PRIC", 0, 9);
        let query = HeatPagesQuery { sort: HeatSort::default(), filter, class: None, contains, offset, limit };
        let (listed, heat) = (captures.heat_pages(site(1), &query).unwrap(), ask(&captures, filter));
        assert_eq!((listed.total, listed.pages.len()), (1, 1));
        let page = &listed.pages[0];
        assert_eq!(
            (page.clicks, page.rage_clicks, page.dead_clicks),
            (heat.clicks, heat.rage_clicks, heat.dead_clicks)
        );
        assert_eq!((page.views, Some(page.last_at)), ([heat.views, 0, 0], heat.last_at));
        assert!((page.average_depth().unwrap() - heat.average_depth.unwrap()).abs() < 1e-9);
        let counts = |body: &&HeatmapCapture| {
            let Context { at_ms, visitor, .. } = &body.context;
            filter.range.contains(at(*at_ms)) && (filter.visitors.is_none() || *visitor < 200)
        };
        assert_eq!(page.moves, bodies.iter().filter(counts).map(|body| body.told.moves.len() as u64).sum::<u64>());
    }
    let none = HeatPagesQuery {
        sort: HeatSort::default(),
        filter: HeatFilter::ALL,
        class: Some(DeviceClass::Phone),
        contains: "",
        offset: 0,
        limit: 9,
    };
    assert_eq!(captures.heat_pages(site(1), &none).unwrap().total, 0);
    assert_eq!(captures.heat_pages(site(2), &HeatPagesQuery { class: None, ..none }).unwrap().total, 0);
    assert_eq!(captures.damages().unwrap(), [] as [String; 0]);
}

/// Sabotage: count what comes of a view that is in a block already as another row of it.
#[test]
fn a_view_that_goes_on_after_it_was_put_into_a_block_is_one_view() {
    let directory = tempfile::tempdir().unwrap();
    let captures = open(&directory);
    let mut bodies = many(900);
    for (number, part) in (0..).zip(bodies.chunks(100)) {
        take(&captures, number, site(1), part.to_vec());
    }
    captures.catch_up().unwrap();
    let database = rusqlite::Connection::open(directory.path().join("captures.db")).unwrap();
    let select = "SELECT count(*) FROM heat_views WHERE view IN (100, 200)";
    let waiting: i64 = database.query_row(select, [], |row| row.get(0)).unwrap();
    assert_eq!(waiting, 0, "both are in a block");
    for (number, view) in [(100, 100_usize), (101, 200)] {
        let first = &bodies[view].context;
        // Nobody did anything for a quarter of an hour.
        let mut more = body(view as u64, first.visitor, first.at_ms + 15 * 60_000, 1, vec![click("#late", 5, 64)]);
        more.context.browser.clone_from(&first.browser);
        (more.told.reached, more.told.attention[3], more.told.dom) = (3_600, 700, bodies[view].told.dom.clone());
        take(&captures, number, site(1), vec![more.clone()]);
        let told = &mut bodies[view].told;
        (told.reached, told.attention[3]) = (3_600, told.attention[3] + 700);
        told.clicks.extend(more.told.clicks);
    }
    // A body of which the first of its view is lost is of no other view of its visitor.
    let mut alone = body(77_777, bodies[300].context.visitor, bodies[300].context.at_ms + 60_000, 1, Vec::new());
    alone.told.reached = 3_600;
    take(&captures, 102, site(1), vec![alone]);
    count_one_by_one(&bodies, &ask(&captures, HeatFilter::ALL));
    let (from, to) = (bodies[50].context.at_ms, bodies[150].context.at_ms);
    count_one_by_one(&bodies[50..150], &ask(&captures, within(from, to)));
}

/// Sabotage: leave a block as it is, or an element that only the visitor clicked.
#[test]
fn an_erased_visitor_is_in_no_file_and_no_block() {
    let directory = tempfile::tempdir().unwrap();
    let captures = open(&directory);
    let mut bodies = many(900);
    let mine = |body: &HeatmapCapture| body.context.visitor == 7;
    assert!(bodies.iter().filter(|body| mine(body)).count() > 1);
    for body in bodies.iter_mut().filter(|body| mine(body)) {
        body.told.clicks.push(HeatClick { label: "label4711".into(), ..click("#canary4711", 0, 0) });
    }
    for (number, part) in (0..).zip(bodies.chunks(100)) {
        take(&captures, number, site(1), part.to_vec());
    }
    let mut alone = body(9_999, 7, NOW_MS, 0, vec![click("#alone4711", 0, 0)]);
    alone.context.path = "/path4711".into();
    take(&captures, 99, site(1), vec![alone]);
    captures.sync().unwrap();
    let canaries = ["#canary4711", "label4711", "#alone4711", "/path4711"];
    assert!(canaries.iter().all(|canary| is_on_disk(directory.path(), canary)));
    let told = captures.visitor(site(1), VisitorId(7)).unwrap().heatmaps;
    assert_eq!(told.len(), 1 + bodies.iter().filter(|body| mine(body)).count());
    assert!(told.iter().any(|view| view.path == "/path4711" && view.clicks[0].0 == "#alone4711"));
    assert!(
        told.iter().flat_map(|view| &view.clicks).any(|click| click == &("#canary4711".into(), "label4711".into(), 1))
    );
    assert!(captures.erase_visitor(site(1), VisitorId(7)).unwrap() > 0);
    for canary in canaries {
        assert!(!is_on_disk(directory.path(), canary), "{canary}");
    }
    let left: Vec<HeatmapCapture> = bodies.into_iter().filter(|body| !mine(body)).collect();
    count_one_by_one(&left, &ask(&captures, HeatFilter::ALL));
    assert_eq!(captures.erase_visitor(site(1), VisitorId(7)).unwrap(), 0, "nothing is left");
    assert_eq!(captures.visitor(site(1), VisitorId(7)).unwrap().heatmaps, []);
    assert!(is_on_disk(directory.path(), "#list>li"));
    captures.delete_website(site(1)).unwrap();
    assert!(!is_on_disk(directory.path(), "#list>li"));
    assert_eq!(ask(&captures, HeatFilter::ALL).views, 0);
}

/// Sabotage: count what is hidden, or keep a block that is older.
#[test]
fn what_is_kept_no_longer_is_hidden_and_then_removed() {
    let directory = tempfile::tempdir().unwrap();
    let captures = open(&directory);
    let mut bodies = many(900);
    bodies[3].told.clicks.push(click("#old4711", 0, 0));
    for (number, part) in (0..).zip(bodies.chunks(100)) {
        take(&captures, number, site(1), part.to_vec());
    }
    let since = bodies[700].context.at_ms;
    let left = &bodies[700..];
    let kept = [Kept::new(site(1), Some(at(since)))];
    // What waits is looked at by the next pass.
    captures.catch_up().unwrap();
    captures.retain(&kept, Some(at(NOW_MS))).unwrap();
    count_one_by_one(left, &ask(&captures, HeatFilter::ALL));
    let first = captures.visitor(site(1), VisitorId(bodies[0].context.visitor)).unwrap().heatmaps;
    assert!(first.iter().all(|view| view.at >= at(since)));
    assert!(is_on_disk(directory.path(), "#old4711"));
    for day in 1..32 {
        captures.retain(&kept, Some(at(NOW_MS + day * DAY_MS))).unwrap();
    }
    assert_eq!(captures.remove_hidden().unwrap(), 700);
    assert_eq!(captures.remove_hidden().unwrap(), 0);
    assert!(!is_on_disk(directory.path(), "#old4711"));
    captures.retain(&[Kept::new(site(1), None)], Some(at(NOW_MS + 40 * DAY_MS))).unwrap();
    count_one_by_one(left, &ask(&captures, HeatFilter::ALL));
}

/// Sabotage: leave out a bound.
#[test]
fn pages_and_elements_beyond_the_bounds_are_one() {
    let directory = tempfile::tempdir().unwrap();
    let captures = open(&directory);
    let clicks = |from: u64| (from..from + 500).map(|n| click(&format!("#e{n}"), 0, 0)).collect::<Vec<_>>();
    let views = (0..3).map(|view| body(view, 1, NOW_MS, 0, clicks(view * 500)));
    take(&captures, 1, site(1), views.collect());
    let heat = ask(&captures, HeatFilter::ALL);
    assert_eq!((heat.clicks, heat.elements_total, heat.other_clicks), (1_500, 1_000, 500), "new ones of a day");
    assert_eq!(heat.elements.len(), 50);
    for day in 1..5 {
        let views = (0..2)
            .map(|view| body(day * 10 + view, 1, NOW_MS + day as i64 * DAY_MS, 0, clicks(day * 10_000 + view * 500)));
        take(&captures, 1 + day, site(1), views.collect());
    }
    let heat = ask(&captures, HeatFilter::ALL);
    assert_eq!((heat.clicks, heat.elements_total, heat.other_clicks), (5_500, 4_000, 1_500));
    let pages = (0..5_010).map(|page| {
        let mut body = body(page, 1, NOW_MS, 0, Vec::new());
        body.context.path = format!("/page/{page}");
        body
    });
    take(&captures, 9, site(2), pages.collect());
    while captures.catch_up().is_err() {
        std::thread::yield_now();
    }
    let query = HeatPagesQuery {
        sort: HeatSort::default(),
        filter: HeatFilter::ALL,
        class: None,
        contains: "",
        offset: 0,
        limit: 9_999,
    };
    let listed = captures.heat_pages(site(2), &query).unwrap();
    assert_eq!(listed.total, 5_001);
    assert_eq!(listed.pages.iter().find(|page| page.path == "(other)").unwrap().views, [10, 0, 0]);
    let query = HeatPagesQuery { offset: 5_000, ..query };
    assert_eq!(captures.heat_pages(site(2), &query).unwrap().pages.len(), 1);
}

/// Sabotage: drop what could not be applied.
#[test]
fn a_full_disk_refuses_and_recovers() {
    let directory = tempfile::tempdir().unwrap();
    let captures =
        Captures::open_with(directory.path(), CaptureOptions { pages_max: Some(96), ..CaptureOptions::default() })
            .unwrap();
    let mut taken = 0;
    while captures.room().is_ok() && taken < 5_000 {
        taken += 1;
        let clicks = (0..20).map(|n| click(&format!("#list>li:nth-of-type({taken})>a{n}"), 0, 0)).collect();
        take(&captures, taken, site(1), vec![body(taken, taken, NOW_MS, 0, clicks)]);
        let _ = captures.catch_up();
    }
    assert_eq!(captures.room(), Err(AppendError::DiskFull));
    captures.set_pages_max(100_000).unwrap();
    while captures.catch_up().is_err() {
        std::thread::yield_now();
    }
    assert_eq!(captures.room(), Ok(()));
    assert_eq!(ask(&captures, HeatFilter::ALL).views, taken);
}

/// Sabotage: refuse the format before.
#[test]
fn a_database_of_the_version_before_is_brought_up() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(&directory));
    let database = rusqlite::Connection::open(directory.path().join("captures.db")).unwrap();
    for table in ["heat_pages", "heat_elements", "heat_views", "heat_blocks"] {
        database.execute(&format!("DROP TABLE {table}"), []).unwrap();
    }
    database.execute("UPDATE meta SET value = 1 WHERE name = 'format'", []).unwrap();
    drop(database);
    let captures = open(&directory);
    take(&captures, 1, site(1), vec![body(1, 1, NOW_MS, 0, vec![click("#buy", 0, 0)])]);
    assert_eq!(ask(&captures, HeatFilter::ALL).clicks, 1);
}

/// Sabotage: leave an order out, or sort before what is asked for is counted.
#[test]
fn pages_come_in_the_order_that_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let captures = open(&directory);
    let page = |number: u64, path: &str, reached: u32, clicks: Vec<HeatClick>| {
        let mut body = body(number, number, NOW_MS + number as i64, 0, clicks);
        (body.context.path, body.told.reached) = (path.into(), reached);
        body
    };
    let marked = |is_rage: bool, is_dead: bool| HeatClick { is_rage, is_dead, ..click("#a", 0, 0) };
    let (none, rage, dead) = (marked(false, false), marked(true, false), marked(false, true));
    let mut moved = page(4, "/d", 1_800, Vec::new());
    moved.told.moves = vec![1, 2, 3, 4, 5];
    let bodies = vec![
        page(1, "/a", 900, vec![none.clone(), none.clone(), none]),
        page(2, "/b", 3_600, vec![rage, dead.clone()]),
        page(3, "/c", 2_700, vec![dead.clone(), dead]),
        page(5, "/c", 2_700, Vec::new()),
        moved,
    ];
    take(&captures, 1, site(1), bodies);
    for (by, expected) in [
        (HeatSortBy::Clicks, ["/a", "/b", "/c", "/d"]),
        (HeatSortBy::RageClicks, ["/b", "/a", "/c", "/d"]),
        (HeatSortBy::DeadClicks, ["/c", "/b", "/a", "/d"]),
        (HeatSortBy::Interactions, ["/d", "/a", "/b", "/c"]),
        (HeatSortBy::Views, ["/c", "/a", "/b", "/d"]),
        (HeatSortBy::AverageDepth, ["/b", "/c", "/d", "/a"]),
        (HeatSortBy::LastAt, ["/c", "/d", "/b", "/a"]),
    ] {
        let ask = |is_reversed: bool, offset: usize, limit: usize| {
            let (sort, filter) = (HeatSort { by, is_reversed }, HeatFilter::ALL);
            let query = HeatPagesQuery { sort, filter, class: None, contains: "", offset, limit };
            let found = captures.heat_pages(site(1), &query).unwrap().pages;
            found.into_iter().map(|page| page.path).collect::<Vec<_>>()
        };
        assert_eq!(ask(false, 0, 9), expected, "{by:?}");
        assert_eq!(ask(false, 1, 2), expected[1..3], "{by:?}");
        assert_eq!(ask(true, 0, 9).last().map(String::as_str), Some(expected[0]), "{by:?}");
    }
}
