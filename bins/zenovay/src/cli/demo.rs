//! `zenovay demo`: a server on a temporary directory that has been busy for a month, and still is.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use zenovay_domain::{
    Clock, Dimension, Dimensions, Event, EventKind, SessionId, SystemClock, Timestamp, VisitorId, Website, WebsiteId,
};
use zenovay_events::{AppendError, EventStore, NewEvent};

use super::output::Failure;
use crate::bootstrap;
use crate::config::Config;
use crate::data_dir::ServerLock;
use crate::runtime::{self, ServeError, Stores};
use crate::telemetry;

/// Domain, name, and sessions on an ordinary day.
const WEBSITES: [(&str, &str, u32); 3] =
    [("shop.example", "Shop", 220), ("blog.example", "Blog", 120), ("docs.example", "Documentation", 70)];
const DAYS: i64 = 30;
const DAY_MS: i64 = 24 * 3_600_000;
/// Events a commit.
const BATCH: usize = 4_000;

/// Path, title and weight.
const PAGES: [(&str, &str, u32); 12] = [
    ("/", "Home", 30),
    ("/pricing", "Pricing", 14),
    ("/features", "Features", 11),
    ("/blog", "Blog", 9),
    ("/blog/counting-without-cookies", "Counting without cookies", 7),
    ("/blog/what-is-a-bounce", "What is a bounce?", 5),
    ("/docs", "Documentation", 8),
    ("/docs/getting-started", "Getting started", 6),
    ("/docs/api", "API", 4),
    ("/about", "About us", 3),
    ("/contact", "Contact", 2),
    ("/signup", "Sign up", 5),
];
/// Referrer, source, channel and weight.
const SOURCES: [(&str, &str, &str, u32); 8] = [
    ("", "", "Direct", 34),
    ("https://www.google.com/", "Google", "Organic Search", 30),
    ("https://duckduckgo.com/", "DuckDuckGo", "Organic Search", 5),
    ("https://www.bing.com/", "Bing", "Organic Search", 4),
    ("https://news.ycombinator.com/", "Hacker News", "Organic Social", 8),
    ("https://www.linkedin.com/", "LinkedIn", "Organic Social", 6),
    ("https://github.com/", "GitHub", "Referral", 8),
    ("", "newsletter", "Email", 5),
];
/// Country and weight.
const COUNTRIES: [(&str, u32); 12] = [
    ("US", 30),
    ("DE", 14),
    ("GB", 10),
    ("FR", 8),
    ("IN", 9),
    ("NL", 5),
    ("CA", 6),
    ("BR", 5),
    ("JP", 4),
    ("SE", 3),
    ("PL", 3),
    ("AU", 3),
];
/// Browser, version, operating system, version, device, screen class and weight.
const CLIENTS: [(&str, &str, &str, &str, &str, &str, u32); 7] = [
    ("Chrome", "143", "Windows", "11", "desktop", "lg", 30),
    ("Safari", "26.1", "iOS", "26", "mobile", "xs", 22),
    ("Chrome", "143", "Android", "16", "mobile", "xs", 20),
    ("Safari", "26.1", "macOS", "26", "desktop", "lg", 10),
    ("Firefox", "145", "Linux", "", "desktop", "xl", 7),
    ("Edge", "143", "Windows", "11", "desktop", "lg", 7),
    ("Safari", "26.1", "iOS", "26", "tablet", "md", 4),
];

/// What the names of the temporary directories begin with.
const PREFIX: &str = "zenovay-demo-";

/// Removes the directories that earlier demos left behind when they were killed: those of this user that no server holds.
fn remove_left_behind(directory: &Path) -> io::Result<()> {
    let user = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && fs::symlink_metadata(entry.path()).is_ok_and(|file| file.is_dir() && file.uid() == user);
        // One that is just being made has no lock file yet.
        if ours && entry.path().join("events.db").exists() && ServerLock::acquire(&entry.path()).is_ok() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

pub(super) fn run(mut config: Config, json: bool) -> Result<(), Failure> {
    telemetry::start_log(config.log_format, config.log_level);
    if let Err(error) = remove_left_behind(&std::env::temp_dir()) {
        tracing::warn!(%error, "what earlier demos left behind cannot be removed");
    }
    let mine = std::fs::Permissions::from_mode(0o700);
    let directory = tempfile::Builder::new().prefix(PREFIX).permissions(mine).tempdir().map_err(Failure::new)?;
    directory.path().clone_into(&mut config.data_dir);
    config.database_url = None;
    let stores = Stores::open(&config).map_err(Failure::new)?;
    let mut live = None;
    let served = runtime::run(&config, stores, json, |stores, url| {
        let (text, visitors) = fill(&config, stores, url, json)?;
        live = Some(visitors);
        Ok(text)
    });
    if let Some(live) = live {
        live.stop();
    }
    served.map_err(Failure::new)
}

/// Creates the account, the websites and their month; returns what to print and the visitors that keep coming.
fn fill(config: &Config, stores: &Stores, url: &str, json: bool) -> Result<(String, LiveVisitors), ServeError> {
    let (mut rng, now) = (rand::rng(), SystemClock.now());
    let account = bootstrap::create_account(&*stores.metadata, &mut rng, now)?
        .ok_or_else(|| std::io::Error::other("the temporary directory is not empty"))?;
    let mut websites = Vec::new();
    for (domain, name, sessions) in WEBSITES {
        let website =
            bootstrap::create_website(&*stores.metadata, &account, domain, name, &config.plans, &mut rng, now)?;
        websites.push((website, sessions));
    }
    let mut stored = 0;
    let mut batch = Vec::new();
    for (website, sessions) in &websites {
        month(&mut batch, website, *sessions, now, &mut rng);
    }
    batch.sort_by_key(|new| new.event.at);
    while !batch.is_empty() {
        let rest = batch.split_off(batch.len().min(BATCH));
        stored += batch.len();
        append(&*stores.events, std::mem::replace(&mut batch, rest)).map_err(std::io::Error::other)?;
    }
    let live = LiveVisitors::start(stores.events.clone(), websites.iter().map(|(website, _)| website.id).collect())?;
    if json {
        return Ok((bootstrap::welcome_json(&account, &websites[0].0, url), live));
    }
    let mut text = bootstrap::welcome(&account, &websites[0].0, url);
    text.push_str(&format!(
        "Demo: {stored} events of {DAYS} days on three websites; deleted when the server stops.\n\n"
    ));
    for (website, _) in &websites {
        text.push_str(&format!("  {}  {}  {}\n", website.id, website.tracking_code, website.domain));
    }
    text.push('\n');
    Ok((text, live))
}

fn append(events: &dyn EventStore, batch: Vec<NewEvent>) -> Result<(), AppendError> {
    events.append(batch).wait()?;
    Ok(())
}

/// The sessions of the last [`DAYS`] days: more in the evening than at night, more on weekdays, growing a little.
#[expect(clippy::cast_possible_truncation, reason = "a number of sessions is made whole")]
fn month(batch: &mut Vec<NewEvent>, website: &Website, sessions_a_day: u32, now: Timestamp, rng: &mut impl Rng) {
    for days_ago in (0..DAYS).rev() {
        let day = now.plus_millis(-(days_ago + 1) * DAY_MS);
        let weekend = day.as_millis().div_euclid(DAY_MS).rem_euclid(7) == 2
            || day.as_millis().div_euclid(DAY_MS).rem_euclid(7) == 3;
        let growth = 1.0 - days_ago as f64 / 100.0;
        let expected = f64::from(sessions_a_day) * growth * if weekend { 0.6 } else { 1.0 };
        for _ in 0..(expected * rng.random_range(0.85..1.15)) as u32 {
            // The mean of two uniform moments is likelier around the middle of the 24 hours.
            let at = day.plus_millis((rng.random_range(0..DAY_MS) + rng.random_range(0..DAY_MS)) / 2);
            session(batch, website.id, at, now, rng);
        }
    }
}

/// One visit: pages, now and then a sign-up, and a heartbeat a page. Nothing after `end`.
#[expect(clippy::cast_possible_truncation, reason = "at most eight pages, made whole")]
fn session(batch: &mut Vec<NewEvent>, website: WebsiteId, start: Timestamp, end: Timestamp, rng: &mut impl Rng) {
    // A third of the visitors come again: few ids make repetitions likely.
    let visitor = VisitorId(if rng.random_bool(0.33) { rng.random_range(1..400) } else { rng.random() });
    let session = SessionId(rng.random());
    let visit = visit(visitor, rng);
    let mut at = start;
    let pages = 1 + (rng.random_range(0.0_f64..1.0).powi(3) * 8.0) as u32;
    for _ in 0..pages {
        let (path, title, _) = pick(&PAGES, |page| page.2, rng);
        let stay_ms = rng.random_range(4_000..90_000_u32);
        let mut page = Event::new(EventKind::Pageview, at, visitor, session);
        page.dimensions = visit.clone();
        page.dimensions.set(Dimension::Path, path);
        page.dimensions.set(Dimension::Title, title);
        let mut heartbeat = Event::new(EventKind::Heartbeat, at.plus_millis(i64::from(stay_ms)), visitor, session);
        heartbeat.engagement_ms = stay_ms;
        heartbeat.scroll_percent = rng.random_range(10..=100);
        heartbeat.dimensions = page.dimensions.clone();
        let mut events = vec![page, heartbeat];
        if *path == "/signup" && rng.random_bool(0.4) {
            let mut signup = Event::new(EventKind::Custom, at.plus_millis(i64::from(stay_ms) / 2), visitor, session);
            signup.dimensions = events[0].dimensions.clone();
            signup.dimensions.set(Dimension::EventName, "signup");
            events.push(signup);
        }
        for event in events.into_iter().filter(|event| event.at < end) {
            batch.push(NewEvent::new(website, event.at, event));
        }
        at = at.plus_millis(i64::from(stay_ms) + rng.random_range(200..2_000));
    }
}

/// What all events of a visit have in common. A visitor who comes again does so from the same country with the same device.
fn visit(visitor: VisitorId, rng: &mut impl Rng) -> Dimensions {
    let (referrer, source, channel, _) = pick(&SOURCES, |source| source.3, rng);
    let rng = &mut StdRng::seed_from_u64(visitor.0);
    let (country, _) = pick(&COUNTRIES, |country| country.1, rng);
    let (browser, browser_version, os, os_version, device, screen, _) = pick(&CLIENTS, |client| client.6, rng);
    let mut dimensions = Dimensions::default();
    for (dimension, value) in [
        (Dimension::Referrer, *referrer),
        (Dimension::Source, source),
        (Dimension::Channel, channel),
        (Dimension::Country, country),
        (Dimension::Browser, browser),
        (Dimension::BrowserVersion, browser_version),
        (Dimension::Os, os),
        (Dimension::OsVersion, os_version),
        (Dimension::Device, device),
        (Dimension::ScreenClass, screen),
        (Dimension::Language, "en"),
    ] {
        dimensions.set(dimension, value);
    }
    if *channel == "Email" {
        dimensions.set(Dimension::UtmSource, "newsletter");
        dimensions.set(Dimension::UtmMedium, "email");
        dimensions.set(Dimension::UtmCampaign, "monthly");
    }
    dimensions
}

fn pick<'a, T>(items: &'a [T], weight: impl Fn(&T) -> u32, rng: &mut impl Rng) -> &'a T {
    // Fails only for weights that are all 0.
    items.choose_weighted(rng, weight).unwrap_or(&items[0])
}

/// Visitors that come while the server runs.
struct LiveVisitors {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl LiveVisitors {
    fn start(events: Arc<dyn EventStore>, websites: Vec<WebsiteId>) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("demo".to_owned())
            .spawn(move || keep_coming(&*events, &websites, &stopped))?;
        Ok(Self { stop, thread })
    }

    fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the demo's visitors stopped before");
        }
    }
}

fn keep_coming(events: &dyn EventStore, websites: &[WebsiteId], stopped: &Receiver<()>) {
    let mut rng = rand::rng();
    while stopped.recv_timeout(Duration::from_millis(rng.random_range(500..4_000))) == Err(RecvTimeoutError::Timeout) {
        let Some(&website) = websites.choose(&mut rng) else { return };
        let now = SystemClock.now();
        let mut batch = Vec::new();
        session(&mut batch, website, now.plus_millis(-1), now, &mut rng);
        if let Err(error) = append(events, batch) {
            tracing::warn!(%error, "a demo visit was not stored");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_ends_now_and_has_every_day() {
        let now = Timestamp::from_millis(1_781_308_800_000);
        let mut batch = Vec::new();
        let (id, team) = (WebsiteId::from_bytes([1; 16]), zenovay_domain::TeamId::from_bytes([2; 16]));
        let code = zenovay_domain::TrackingCode::from_random_bytes([3; 11]);
        let website = Website::new(id, team, "shop.example", code, now);
        month(&mut batch, &website, 100, now, &mut rand::rng());
        assert!(batch.iter().all(|new| new.event.at < now));
        let mut devices = std::collections::HashMap::new();
        for NewEvent { event, .. } in &batch {
            let device =
                [Dimension::Browser, Dimension::Os, Dimension::Country].map(|field| event.dimensions.get(field));
            assert_eq!(*devices.entry(event.visitor).or_insert(device), device, "a visitor has one device");
        }
        for day in 0..DAYS {
            let from = now.plus_millis(-(day + 1) * DAY_MS);
            let to = now.plus_millis(-day * DAY_MS);
            assert!(batch.iter().any(|new| from <= new.event.at && new.event.at < to), "day {day}");
        }
    }
}
