//! The store's side of `benches/peers/run`: generates, loads, and answers the queries as JSON lines.

mod export;

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Deserialize;
use serde_json::{Value, json};
use zenovay_benches::generate::{Columns, DAY_MS, Texts, Traffic, website_id};
use zenovay_domain::{Dimension, EventKind, Interval, SystemClock, TimeRange, Timestamp, WebsiteId, Zone};
use zenovay_events::{AppendError, AppendReceipt, EmbeddedConfig, EmbeddedStore, EventStore, OpenError};
use zenovay_query::{Answer, Breakdown, Budget, Condition, Field, Filter, GroupBy, Metric, Operator, Query, Question};

use self::export::write_parquet;

/// Events in one append, as a busy server's group commit has.
const APPEND_EVENTS: usize = 1_000;

/// Appends that wait for the disk at one time.
const APPENDS_IN_FLIGHT: usize = 16;

/// The head is given no more while it has this many rows; well below `EmbeddedConfig::head_rows_max`.
const HEAD_ROWS: u64 = 400_000;

/// The same allocator as the server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes the traffic as a Parquet file.
    Export {
        file: PathBuf,
        #[command(flatten)]
        traffic: TrafficArgs,
    },
    /// Appends the traffic to a new store, seals and merges it, and prints how long that took and what it occupies.
    Load {
        dir: PathBuf,
        #[command(flatten)]
        traffic: TrafficArgs,
        /// Which texts the events carry.
        #[arg(long, value_enum, default_value = "harness")]
        columns: ColumnsArg,
        /// NUMBER=UUID: the id of a website, instead of a generated one.
        #[arg(long)]
        website_id: Vec<String>,
    },
    /// Opens a store and answers questions from standard input, one JSON object a line.
    Serve {
        dir: PathBuf,
        #[command(flatten)]
        traffic: TrafficArgs,
        /// The memory that one query may take.
        #[arg(long, default_value_t = 2_048)]
        query_memory_mib: usize,
    },
}

#[derive(Args, Clone, Copy)]
struct TrafficArgs {
    #[arg(long, default_value_t = 10_000_000)]
    rows: u64,
    #[arg(long, default_value_t = 50)]
    websites: u32,
    #[arg(long, default_value_t = 90)]
    days: u32,
    /// The day after the last one, in days since 1970-01-01.
    #[arg(long)]
    end_day: i32,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One row in twenty is a custom event.
    #[arg(long)]
    custom_events: bool,
}

impl From<TrafficArgs> for Traffic {
    fn from(args: TrafficArgs) -> Self {
        let TrafficArgs { rows, websites, days, end_day, seed, custom_events } = args;
        Self { rows, websites, days, end_day, seed, custom_events }
    }
}

#[derive(ValueEnum, Clone, Copy)]
enum ColumnsArg {
    Harness,
    Product,
}

fn main() -> Result<(), Box<dyn Error>> {
    match Cli::parse().command {
        Command::Export { file, traffic } => Ok(write_parquet(traffic.into(), &file)?),
        Command::Load { dir, traffic, columns, website_id } => {
            let columns = match columns {
                ColumnsArg::Harness => Columns::Harness,
                ColumnsArg::Product => Columns::Product,
            };
            load(&dir, traffic.into(), columns, &website_id)
        }
        Command::Serve { dir, traffic, query_memory_mib } => serve(&dir, traffic.into(), query_memory_mib << 20),
    }
}

fn load(dir: &Path, traffic: Traffic, columns: Columns, ids: &[String]) -> Result<(), Box<dyn Error>> {
    let mut websites: Vec<WebsiteId> = (0..u16::try_from(traffic.websites)?).map(website_id).collect();
    for id in ids {
        let (number, id) = id.split_once('=').ok_or("--website-id wants NUMBER=UUID")?;
        *websites.get_mut(number.parse::<usize>()?).ok_or("no such website")? = id.parse()?;
    }
    let texts = Texts::new();
    let store = open(dir)?;
    let started = Instant::now();
    let mut waiting: std::collections::VecDeque<AppendReceipt> = std::collections::VecDeque::new();
    for day in traffic.days() {
        for rows in day.chunks(APPEND_EVENTS) {
            let mut events: Vec<_> =
                rows.iter().map(|row| texts.event(row, websites[usize::from(row.website)], columns)).collect();
            waiting.push_back(loop {
                // What a full head or a full queue refuses is tried again, as a client of the server would.
                if store.stats().head_rows <= HEAD_ROWS {
                    match store.try_append(events) {
                        Err(refused) if refused.reason == AppendError::QueueFull => events = refused.events,
                        appended => break appended?,
                    }
                }
                std::thread::sleep(Duration::from_millis(2));
            });
            if waiting.len() == APPENDS_IN_FLIGHT {
                finish(waiting.pop_front())?;
            }
        }
    }
    while !waiting.is_empty() {
        finish(waiting.pop_front())?;
    }
    let append_s = started.elapsed().as_secs_f64();
    let started = Instant::now();
    store.seal()?;
    while store.merge()? {}
    store.shutdown();
    drop(store);
    let settle_s = started.elapsed().as_secs_f64();
    let store = open(dir)?;
    let stats = store.stats();
    print_line(&json!({
        "rows": traffic.rows,
        "append_s": append_s,
        "settle_s": settle_s,
        "bytes": bytes_below(&dir.join("segments"))? + log_bytes(dir)?,
        "segments": stats.segments,
        "segment_rows": stats.segment_rows,
    }))
}

fn open(dir: &Path) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open(EmbeddedConfig::new(dir), Arc::new(SystemClock))
}

fn finish(receipt: Option<AppendReceipt>) -> Result<(), Box<dyn Error>> {
    if let Some(receipt) = receipt {
        receipt.wait()?;
    }
    Ok(())
}

fn bytes_below(dir: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

/// The log with its side files.
fn log_bytes(dir: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("events.db") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

/// A line of standard input.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Ask(Ask),
    Append { append: MoreTraffic },
}

/// One question: a query's name, the website's number, and a half-open range in milliseconds since the epoch.
#[derive(Deserialize)]
struct Ask {
    query: String,
    website: u16,
    from: i64,
    to: i64,
    #[serde(default)]
    country: String,
    #[serde(default)]
    browser: String,
    #[serde(default)]
    campaign: String,
}

/// More traffic of website 0, on one day.
#[derive(Deserialize)]
struct MoreTraffic {
    rows: u64,
    end_day: i32,
    seed: u64,
}

fn serve(dir: &Path, traffic: Traffic, query_memory_bytes: usize) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let store = open(dir)?;
    print_line(&json!({
        "open_ms": millis(started.elapsed()),
        "largest": 0,
        "one_percent": traffic.website_with_share(0.01),
    }))?;
    for line in std::io::stdin().lock().lines() {
        match serde_json::from_str(&line?)? {
            Line::Ask(ask) => {
                let query = query(&ask)?;
                let budget = Budget::new(Duration::from_secs(600), query_memory_bytes);
                let started = Instant::now();
                let answer = store.query(website_id(ask.website), &query, &budget)?;
                let elapsed = started.elapsed();
                print_line(&json!({ "ms": millis(elapsed), "rows": rows(&ask.query, &answer) }))?;
            }
            Line::Append { append: MoreTraffic { rows, end_day, seed } } => {
                let more = Traffic { rows, websites: 1, days: 1, end_day, seed, ..traffic };
                let texts = Texts::new();
                let event = |row: &_| texts.event(row, website_id(0), Columns::Harness);
                for day in more.days() {
                    store.try_append(day.iter().map(event).collect())?.wait()?;
                }
                print_line(&json!({ "appended": rows }))?;
            }
        }
    }
    store.shutdown();
    Ok(())
}

fn query(ask: &Ask) -> Result<Query, Box<dyn Error>> {
    let top = |field: Field, limit: usize| GroupBy::by(field).limit(limit);
    let page = Field::Dimension(Dimension::Path);
    let is = |dimension: Dimension, value: &str| {
        Filter::Is(Condition::new(Field::Dimension(dimension), Operator::Is, [value]))
    };
    let country_and_browser = || vec![is(Dimension::Country, &ask.country), is(Dimension::Browser, &ask.browser)];
    let by_dimension =
        |dimension: Dimension, limit: usize| Question::Breakdown(top(Field::Dimension(dimension), limit));
    let mut filter = Filter::default();
    let question = match ask.query.as_str() {
        "Q1" | "Q7" => Question::Overview,
        "Q2" => Question::Series { interval: Interval::Day, zone: Zone::utc() },
        "Q3" => Question::Breakdown(top(page, 10)),
        "Q4" => by_dimension(Dimension::Country, 20),
        "Q5" => Question::Breakdown(top(Field::Dimension(Dimension::Browser), 100).and(Dimension::Os)),
        "Q6" => {
            filter = Filter::All(country_and_browser());
            Question::Breakdown(top(page, 10))
        }
        "Q8" => Question::Breakdown(top(Field::EntryPage, 10).metrics([Metric::Sessions])),
        "Y3" => {
            filter = Filter::Kind(EventKind::Pageview);
            Question::Breakdown(top(page, 10))
        }
        // Those that have one.
        "Y7" => Question::Breakdown(top(Field::Dimension(Dimension::Referrer), 10).without_empty()),
        "Y8" => Question::Breakdown(top(Field::Dimension(Dimension::EventName), 20).without_empty()),
        "Y9" => {
            let mut all = country_and_browser();
            all.push(Filter::Kind(EventKind::Pageview));
            filter = Filter::All(all);
            Question::Breakdown(top(page, 10))
        }
        "Y10" => {
            filter = is(Dimension::UtmCampaign, &ask.campaign);
            Question::Overview
        }
        "Y11" => Question::NewVisitors { interval: Some(Interval::Week), zone: Zone::utc() },
        "Y12" => Question::Visitors { limit: 50, offset: 0, after: None },
        other => return Err(format!("no query {other}").into()),
    };
    let range = TimeRange::new(Timestamp::from_millis(ask.from), Timestamp::from_millis(ask.to));
    Ok(Query::new(range, question).filter(filter))
}

/// The answer in the rows that the other engines' SQL gives.
fn rows(query: &str, answer: &Answer) -> Value {
    let of_breakdown = |breakdown: &Breakdown, second: fn(&zenovay_query::BreakdownRow) -> u64| -> Value {
        let row = |row: &zenovay_query::BreakdownRow| {
            let mut cells = vec![json!(row.value)];
            cells.extend(row.and.as_ref().map(|and| json!(and)));
            cells.extend([json!(row.metrics.visitors), json!(second(row))]);
            Value::Array(cells)
        };
        breakdown.rows.iter().map(row).collect()
    };
    match answer {
        Answer::Overview(overview) if query == "Q7" => json!([[overview.metrics.visitors]]),
        Answer::Overview(overview) => {
            let metrics = overview.metrics;
            json!([[metrics.pageviews, metrics.visitors, metrics.sessions, metrics.bounces, metrics.duration_ms]])
        }
        // The engines have no rows for buckets without events.
        Answer::Series(series) => series
            .points
            .iter()
            .filter(|point| point.metrics.visitors > 0)
            .map(|point| {
                let day = point.bucket.from.as_millis() / DAY_MS;
                json!([day, point.metrics.visitors, point.metrics.pageviews])
            })
            .collect(),
        Answer::NewVisitors(new) => new
            .points
            .iter()
            .filter(|point| point.visitors > 0)
            .map(|point| json!([point.bucket.from.as_millis() / DAY_MS, point.visitors]))
            .collect(),
        Answer::Breakdown(breakdown) => of_breakdown(
            breakdown,
            match query {
                "Q8" => |row| row.metrics.sessions,
                "Y8" => |row| row.metrics.events,
                _ => |row| row.metrics.pageviews,
            },
        ),
        Answer::Live(live) => json!([[live.visitors]]),
        Answer::Visitors(page) => {
            page.visitors.iter().map(|record| json!([record.visitor.0, record.visited_at.as_millis()])).collect()
        }
        Answer::Events(events) => json!([[events.len()]]),
        _ => Value::Null,
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn print_line(line: &Value) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
