//! Other programs read the segments and find in them what the store answers: the commands of `docs/operations.md`, word
//! for word, and every count, sum and string with DuckDB and with pyarrow.
//!
//! `scripts/parquet-readers` installs both; where it cannot, the tests fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;
use zenovay_domain::{Dimension, DimensionLevel, Event, EventKind, ManualClock, Timestamp, VisitorId, WebsiteId};
use zenovay_events::conformance::{ask, event, ever, store_all, totals, values, website};
use zenovay_events::{EmbeddedConfig, EmbeddedStore, EventStore};
use zenovay_query::{Answer, GroupBy, Order, Question};

const NOW_MS: i64 = 1_774_746_000_000;

/// Above 2⁶³: a reader that takes ids for signed numbers tells other ids.
const HIGH_VISITOR: u64 = 0xffff_fff0_1234_5678;

const ERASED: VisitorId = VisitorId(0xd7a1_4be9_63f8_05c3);

/// Website 1 has row groups of its own, the others share one.
const SITES: [(u8, usize); 4] = [(1, 20_000), (2, 300), (3, 40), (4, 1)];

const TEXTS: [&str; 8] =
    ["", "plain", "päge", "日本語のページ", "🦀 & co", "quote \" and ' and \\", "line\nbreak\tand tab", "\u{202e}rtl"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The directory of `duckdb` and a `python3` with pyarrow.
fn readers() -> &'static Path {
    static BIN: OnceLock<PathBuf> = OnceLock::new();
    BIN.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("parquet-readers");
        let installed = Command::new(root().join("scripts/parquet-readers")).arg(&dir).output().unwrap();
        let said = String::from_utf8_lossy(&installed.stderr);
        assert!(installed.status.success(), "scripts/parquet-readers cannot install duckdb and pyarrow: {said}");
        dir.join("bin")
    })
}

/// Runs a command line beside the directory `data`, as a reader of the documents would.
fn shell(command: &str, beside: &Path) -> String {
    let path = format!("{}:{}", readers().display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh").args(["-euc", command]).current_dir(beside).env("PATH", path).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}\n{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands of the document that begin with `program`.
fn documented(program: &str) -> String {
    let document = std::fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let mut blocks = document.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("\n```"));
    let (block, _) = blocks.find(|(block, _)| block.starts_with(program)).expect("the command is in the document");
    block.to_owned()
}

struct Made {
    /// Holds `data`.
    dir: TempDir,
    store: EmbeddedStore,
    /// What is left in each website, heartbeats included.
    events: BTreeMap<u8, Vec<Event>>,
}

fn made_up(site: u8, number: usize) -> Event {
    let visitor = match number % 97 {
        0 => ERASED.0,
        1 => HIGH_VISITOR - u64::from(site),
        _ => (number % 53) as u64 | u64::from(site) << 32,
    };
    let session = visitor.rotate_left(17) ^ (number / 500) as u64;
    let kind = match number % 10 {
        0..7 => EventKind::Pageview,
        7 => EventKind::Custom,
        8 => EventKind::Goal,
        _ => EventKind::Heartbeat,
    };
    let at = NOW_MS + (number as i64 * 7_919 % 3_600_000);
    if kind == EventKind::Heartbeat {
        let mut beat = event(kind, at, visitor, session, &[]);
        (beat.engagement_ms, beat.scroll_percent) = (number as u32 % 30_000, (number % 101) as u8);
        return beat;
    }
    let mut event = event(kind, at, visitor, session, &[]);
    for (position, &dimension) in Dimension::ALL.iter().enumerate() {
        let text = match dimension {
            // Ten pages, page n viewed n times as often as page 1, so that their order has no ties; in the spelling that
            // ingest stores.
            Dimension::Path => {
                let page = (1..=10).find(|page| number % 55 < page * (page + 1) / 2).unwrap();
                format!("/{page}{}", if page == 7 { "/%C3%BC" } else { "" })
            }
            Dimension::Properties if number.is_multiple_of(3) => format!(r#"{{"n":{},"plan":"ü"}}"#, number % 5),
            Dimension::Properties => String::new(),
            _ => match TEXTS[(number / (position + 1)) % TEXTS.len()] {
                "" => String::new(),
                text => format!("{text}{}", number % (position + 2)),
            },
        };
        event.dimensions.set(dimension, &text);
    }
    event
}

/// A store with several websites, sealed four times, merged, and with an erased visitor.
fn make() -> Made {
    let dir = TempDir::new().unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW_MS)));
    let store = EmbeddedStore::open(EmbeddedConfig::new(dir.path().join("data")), clock).unwrap();
    let mut events = BTreeMap::new();
    for part in 0..5 {
        for (site, count) in SITES {
            let part: Vec<Event> = (0..count).filter(|n| n % 5 == part).map(|n| made_up(site, n)).collect();
            store_all(&store, website(site), &part);
            events.entry(site).or_insert_with(Vec::new).extend(part);
        }
        store.seal().unwrap();
        if part == 3 {
            while store.merge().unwrap() {}
            assert_eq!(store.stats().segments, 1, "merged");
        }
    }
    store.erase_visitor(website(1), ERASED).unwrap();
    events.get_mut(&1).unwrap().retain(|event| event.visitor != ERASED);
    assert_eq!((store.stats().segments, store.stats().head_rows), (2, 0));
    Made { dir, store, events }
}

/// Sabotage: leave the files that a merge or an erasure replaced.
#[test]
fn the_documented_duckdb_command_tells_what_the_store_answers() {
    let made = make();
    let told = shell(&documented("duckdb"), made.dir.path());
    // A box: lines with cells between bars, the first two of them the names and the types of the columns.
    let rows: Vec<(String, u64, u64)> = told
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.split('│').map(str::trim).collect();
            let [_, page, views, visitors, _] = cells[..] else { return None };
            Some((page.to_owned(), views.parse().ok()?, visitors.parse().ok()?))
        })
        .collect();
    assert_eq!(rows, pages_by_views(&made), "{told}");
}

/// Sabotage: the same.
#[test]
fn the_documented_pyarrow_command_tells_what_the_store_answers() {
    let made = make();
    let told = shell(&documented("python3 -c \"import pyarrow"), made.dir.path());
    let expected: Vec<String> = pages_by_views(&made)
        .iter()
        .map(|(page, views, _)| format!("{{'page': '{page}', 'count_all': {views}}}"))
        .collect();
    assert_eq!(told.trim(), format!("[{}]", expected.join(", ")));
}

/// The most viewed pages of all websites together: their views as the store answers, and their viewers.
fn pages_by_views(made: &Made) -> Vec<(String, u64, u64)> {
    let mut views: BTreeMap<String, u64> = BTreeMap::new();
    let mut viewers: BTreeMap<&str, BTreeSet<VisitorId>> = BTreeMap::new();
    for (&site, events) in &made.events {
        for (page, pageviews) in values(&made.store, website(site), Dimension::Path) {
            *views.entry(page).or_default() += pageviews;
        }
        for event in events.iter().filter(|event| event.kind == EventKind::Pageview) {
            viewers.entry(event.dimensions.get(Dimension::Path)).or_default().insert(event.visitor);
        }
    }
    let count = |page: &str| viewers[page].len() as u64;
    let mut rows: Vec<_> = views.iter().map(|(page, &views)| (page.clone(), views, count(page))).collect();
    rows.sort_by_key(|&(_, views, _)| std::cmp::Reverse(views));
    assert!(rows.len() == 10 && rows.windows(2).all(|pair| pair[0].1 > pair[1].1), "ten without ties: {rows:?}");
    rows
}

const PYTHON: &str = r#"
import collections, json, pyarrow.dataset, uuid
rows = pyarrow.dataset.dataset("data/segments", format="parquet").to_table().to_pylist()
texts, totals = collections.defaultdict(lambda: [0, set()]), {}
for row in rows:
    site = str(uuid.UUID(bytes=row["website_id"]))
    total = totals.setdefault(site, dict(rows=0, events=0, visitors=set(), sessions=set(), engagement=0, scroll=0,
                                         highest=0, first=None, last=None))
    total["rows"] += 1
    total["engagement"] += row["engagement_ms"]
    total["scroll"] = max(total["scroll"], row["scroll_percent"])
    total["highest"] = max(total["highest"], row["visitor_id"])
    if row["event_type"] == "heartbeat":
        continue
    at = round(row["occurred_at"].timestamp() * 1000)
    total["events"] += 1
    total["visitors"].add(row["visitor_id"])
    total["sessions"].add(row["session_id"])
    total["first"], total["last"] = min(total["first"] or at, at), max(total["last"] or at, at)
    for name in DIMENSIONS:
        assert row[name] is not None
        text = texts[site, name, row[name]]
        text[0] += 1
        text[1].add(row["visitor_id"])
for site, total in totals.items():
    total.update(site=site, visitors=len(total["visitors"]), sessions=len(total["sessions"]))
print(json.dumps(dict(totals=list(totals.values()), texts=[
    dict(site=site, name=name, text=text, events=count, visitors=len(visitors))
    for (site, name, text), (count, visitors) in texts.items()])))
"#;

/// Sabotage: give the id columns a signed type, or leave the files that were replaced.
#[test]
fn duckdb_and_pyarrow_find_every_count_sum_and_text_that_the_store_answers() {
    let made = make();
    let files = "FROM 'data/segments/*.parquet'";
    let totals_sql = format!(
        "SELECT website_id::VARCHAR AS site, count(*) AS rows, count(*) FILTER (event_type <> 'heartbeat') AS events,
           count(DISTINCT visitor_id) FILTER (event_type <> 'heartbeat') AS visitors,
           count(DISTINCT session_id) FILTER (event_type <> 'heartbeat') AS sessions,
           sum(engagement_ms)::BIGINT AS engagement, max(scroll_percent) AS scroll, max(visitor_id) AS highest,
           epoch_ms(min(occurred_at) FILTER (event_type <> 'heartbeat')) AS first,
           epoch_ms(max(occurred_at) FILTER (event_type <> 'heartbeat')) AS last {files} GROUP BY ALL"
    );
    let mut texts_sql = String::new();
    for (number, dimension) in Dimension::ALL.iter().enumerate() {
        let union = if number > 0 { "UNION ALL " } else { "" };
        write!(
            texts_sql,
            "{union}SELECT website_id::VARCHAR AS site, '{dimension}' AS name, \"{dimension}\" AS text,
               count(*) AS events, count(DISTINCT visitor_id) AS visitors {files}
             WHERE event_type <> 'heartbeat' GROUP BY ALL "
        )
        .unwrap();
    }
    let duckdb = |sql: &str| -> Value {
        let mut duckdb = Command::new(readers().join("duckdb"));
        let output = duckdb.args(["-json", "-c", sql]).current_dir(made.dir.path()).output().unwrap();
        assert!(output.status.success(), "{sql}\n{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    check(&made, "duckdb", &duckdb(&totals_sql), &duckdb(&texts_sql));

    let names: Vec<&str> = Dimension::ALL.iter().map(|dimension| dimension.as_str()).collect();
    let script = format!("DIMENSIONS = {names:?}\n{PYTHON}");
    let output =
        Command::new(readers().join("python3")).args(["-c", &script]).current_dir(made.dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    check(&made, "pyarrow", &told["totals"], &told["texts"]);
}

fn check(made: &Made, program: &str, told_totals: &Value, told_texts: &Value) {
    let rows = |told: &Value, site: WebsiteId| -> Vec<Value> {
        told.as_array().unwrap().iter().filter(|row| row["site"] == site.to_string()).cloned().collect()
    };
    for (&site, events) in &made.events {
        let site = website(site);
        let metrics = totals(&made.store, site);
        let [told] = &rows(told_totals, site)[..] else { panic!("{program}: one row a website") };
        // DuckDB writes numbers that a double cannot hold as strings.
        let is = |name: &str, expected: u64| {
            assert_eq!(told[name].to_string().trim_matches('"'), expected.to_string(), "{program}: {name}: {told}");
        };
        is("events", metrics.events);
        is("visitors", metrics.visitors);
        is("sessions", metrics.sessions);
        // What no question asks for comes from the events themselves.
        is("engagement", events.iter().map(|event| u64::from(event.engagement_ms)).sum());
        is("scroll", events.iter().map(|event| u64::from(event.scroll_percent)).max().unwrap());
        is("highest", events.iter().map(|event| event.visitor.0).max().unwrap());
        let times = || events.iter().filter(|event| event.kind.is_event()).map(|event| event.at.as_millis());
        is("first", times().min().unwrap().cast_unsigned());
        is("last", times().max().unwrap().cast_unsigned());

        let texts = rows(told_texts, site);
        for &dimension in Dimension::ALL {
            let told: BTreeMap<&str, (u64, u64)> = texts
                .iter()
                .filter(|row| row["name"] == dimension.as_str())
                .map(|row| {
                    let count = |name: &str| row[name].as_u64().unwrap();
                    (row["text"].as_str().unwrap(), (count("events"), count("visitors")))
                })
                .collect();
            let group_by = GroupBy::by(dimension).order(Order::Events);
            let Answer::Breakdown(breakdown) = ask(&made.store, site, &ever(Question::Breakdown(group_by))) else {
                panic!("a breakdown")
            };
            // The store groups by fields of sessions by the first event of each; in the files every event has its own value.
            let mut own: BTreeMap<&str, (u64, BTreeSet<VisitorId>)> = BTreeMap::new();
            for event in events.iter().filter(|event| event.kind.is_event()) {
                let (count, visitors) = own.entry(event.dimensions.get(dimension)).or_default();
                *count += 1;
                visitors.insert(event.visitor);
            }
            let own = own.into_iter().map(|(text, (count, visitors))| (text, (count, visitors.len() as u64)));
            let own: BTreeMap<&str, (u64, u64)> = own.collect();
            assert_eq!(told, own, "{program}: {dimension}");
            let of_store: BTreeMap<&str, (u64, u64)> =
                breakdown.rows.iter().map(|row| (&*row.value, (row.metrics.events, row.metrics.visitors))).collect();
            if dimension.level() == DimensionLevel::Event {
                assert_eq!(told, of_store, "{program}: {dimension}");
            }
            let sum = |texts: &BTreeMap<&str, (u64, u64)>| texts.values().map(|(events, _)| events).sum::<u64>();
            assert_eq!(sum(&told), sum(&of_store), "{program}: {dimension}");
        }
    }
}
