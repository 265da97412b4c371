//! The store's side of `benches/peers/captures`: makes up errors of a website, stores them as they come from the log, and answers
//! questions about their groups as JSON lines.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufWriter, Write};
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use serde::Deserialize;
use serde_json::{Value, json};
use zenovay_benches::dice::Dice;
use zenovay_capture::{Capture, Captures, Context, ErrorCapture, Filter, Frame, GroupQuery};
use zenovay_domain::{TimeRange, Timestamp, WebsiteId};
use zenovay_events::{BatchName, CaptureSink};

/// The same allocator as the server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Errors in one batch of the log.
const BATCH: u64 = 1_000;
const GROUPS: u64 = 400;
const VISITORS: u64 = 200_000;
const PAGES: u64 = 300;
const DAY_MS: i64 = 86_400_000;
const DAYS: i64 = 60;
/// The end of the last day.
const END_MS: i64 = 20_000 * DAY_MS;
const BROWSERS: [&str; 4] = ["Chrome", "Safari", "Firefox", "Edge"];
const COUNTRIES: [&str; 5] = ["US", "DE", "GB", "FR", "IN"];

#[derive(Parser)]
struct Cli {
    /// Where the store goes, and `errors.csv`. What is there already is asked.
    directory: PathBuf,
    /// How many errors.
    occurrences: u64,
}

/// A question.
#[derive(Deserialize)]
struct Ask {
    /// `list`, or `range` with bounds.
    query: String,
    #[serde(default)]
    from: i64,
    #[serde(default)]
    to: i64,
    limit: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Cli { directory, occurrences } = Cli::parse();
    let website = WebsiteId::from_bytes([7; 16]);
    let is_stored = directory.join("captures").exists();
    let captures = Captures::open(&directory.join("captures"))?;
    let started = Instant::now();
    if !is_stored {
        load(&captures, website, &directory, occurrences)?;
    }
    let load_s = started.elapsed().as_secs_f64();
    let ready = json!({ "load_s": load_s, "from": END_MS - 28 * DAY_MS, "to": END_MS });
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{ready}")?;
    stdout.flush()?;
    for line in std::io::stdin().lock().lines() {
        let ask: Ask = serde_json::from_str(&line?)?;
        let started = Instant::now();
        let rows = answer(&captures, website, &ask)?;
        let ms = started.elapsed().as_secs_f64() * 1_000.0;
        writeln!(stdout, "{}", json!({ "ms": ms, "rows": rows }))?;
        stdout.flush()?;
    }
    Ok(())
}

fn load(
    captures: &Captures,
    website: WebsiteId,
    directory: &std::path::Path,
    occurrences: u64,
) -> Result<(), Box<dyn Error>> {
    let mut csv = BufWriter::new(File::create(directory.join("errors.csv"))?);
    writeln!(csv, "at,grp,visitor,count,path,browser,country")?;
    let step = u64::try_from(DAYS * DAY_MS)? / occurrences.max(1);
    let mut dice = Dice(1);
    let mut batch = Vec::new();
    for number in 0..occurrences {
        // No two at the same moment: the order of the list is then the same everywhere.
        let at_ms = END_MS - DAYS * DAY_MS + i64::try_from(number * step + dice.throw(step.max(1)))?;
        let (group, visitor, page) = (dice.skewed(GROUPS), dice.throw(VISITORS), dice.skewed(PAGES));
        let browser = BROWSERS[usize::try_from(dice.skewed(4))?];
        let country = COUNTRIES[usize::try_from(dice.skewed(5))?];
        let context = Context {
            at_ms,
            visitor,
            session: visitor ^ number,
            path: format!("/page-{page}"),
            device: "desktop".to_owned(),
            browser: browser.to_owned(),
            browser_version: "145.0".to_owned(),
            os: "Linux".to_owned(),
            country: country.to_owned(),
        };
        let name = name_of(group);
        writeln!(csv, "{at_ms},{name},{visitor},1,{},{browser},{country}", context.path)?;
        let frame = Frame { function: name.clone(), file: "src/app.ts".to_owned(), line: 1, column: 1, in_app: true };
        let error = ErrorCapture {
            context,
            kind: "TypeError".to_owned(),
            message: name,
            frames: vec![frame],
            source: "uncaught".to_owned(),
            release: format!("2.{}.0", number * 6 / occurrences.max(1)),
            count: 1,
            ..ErrorCapture::default()
        };
        batch.push((website, Capture::Error(error).pack()));
        if u64::try_from(batch.len())? == BATCH || number + 1 == occurrences {
            captures.take(BatchName::new(1, number / BATCH + 1), std::mem::take(&mut batch));
            // As the log does, which takes no more while there is no room.
            captures.catch_up()?;
        }
    }
    captures.sync()?;
    Ok(csv.flush()?)
}

/// Letters alone: what varies in messages makes no group.
fn name_of(group: u64) -> String {
    let letter = |number: u64| char::from(b'a' + u8::try_from(number % 26).unwrap_or(0));
    ["mistake", &String::from_iter([letter(group / 676), letter(group / 26), letter(group)])].concat()
}

fn answer(captures: &Captures, website: WebsiteId, ask: &Ask) -> Result<Vec<Value>, Box<dyn Error>> {
    if ask.query == "list" {
        let groups = captures.error_groups(website, None, ask.limit)?;
        return Ok(groups.iter().map(|group| json!([group.message, group.occurrences, group.visitors])).collect());
    }
    let range = TimeRange { from: Timestamp::from_millis(ask.from), to: Timestamp::from_millis(ask.to) };
    let days = (ask.to - ask.from) / DAY_MS;
    let buckets: Vec<Timestamp> = (0..days).map(|day| Timestamp::from_millis(ask.from + day * DAY_MS)).collect();
    let filter = Filter { range, keep: None };
    let found = captures.errors_in(website, None, &GroupQuery { filter, buckets: &buckets })?;
    let row = |found: &zenovay_capture::ErrorsIn| json!([found.group.message, found.occurrences, found.visitors]);
    Ok(found.iter().take(ask.limit).map(row).collect())
}
