//! `zenovay demo`: a server on a temporary directory that has been busy for two months, and still is.

mod captures;
mod recordings;
mod site;

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use zenovay_auth::{ApiKeyToken, KeyFormat, KeyKind};
use zenovay_domain::{
    Clock, Dimension, Dimensions, Event, EventKind, Funnel, FunnelId, FunnelStep, Goal, GoalId, GoalTarget, KeyId,
    MatchType, PageMatch, Scope, Scopes, SessionId, SystemClock, Timestamp, VisitorId, Website, WebsiteId,
};
use zenovay_events::{AppendError, EventStore, NewEvent};
use zenovay_store::{Metadata, NewKey, StoreError};

use self::captures::{Pages, Reported, context_of};
use self::recordings::{Recorder, Recording, Viewed};
use super::output::Failure;
use crate::bootstrap;
use crate::config::Config;
use crate::data_dir::ServerLock;
use crate::runtime::{self, ServeError, Stores};
use crate::telemetry;

/// Domain, name, and sessions on an ordinary day.
const WEBSITES: [(&str, &str, u32); 3] =
    [("shop.example", "Shop", 150), ("blog.example", "Blog", 85), ("docs.example", "Documentation", 60)];
/// Twice what is looked at first, so that the period before it has visits, too.
const DAYS: i64 = 60;
/// Pages report beside events what they did for no longer than this: nothing of it is compared with earlier days.
const REPORTED_DAYS: i64 = 30;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Events a commit.
const BATCH: usize = 4_000;

/// How many visits of 24 begin in each hour of the day, UTC: few at night.
const HOURS: [u32; 24] = [3, 2, 1, 1, 1, 2, 4, 8, 13, 16, 17, 16, 15, 16, 17, 16, 15, 14, 13, 12, 11, 9, 7, 5];

/// The pages of a visit in their order, and weight.
const JOURNEYS: [(&[&str], u32); 15] = [
    (&["/"], 30),
    (&["/", "/features"], 9),
    (&["/", "/pricing"], 9),
    (&["/", "/features", "/pricing"], 6),
    (&["/", "/pricing", "/signup"], 7),
    (&["/", "/features", "/pricing", "/signup"], 5),
    (&["/pricing"], 6),
    (&["/pricing", "/signup"], 4),
    (&["/blog/counting-without-cookies"], 18),
    (&["/docs/getting-started"], 8),
    (&["/blog/what-is-a-bounce", "/blog"], 6),
    (&["/blog/counting-without-cookies", "/", "/pricing"], 3),
    (&["/docs", "/docs/getting-started"], 6),
    (&["/docs/getting-started", "/docs/api", "/docs", "/pricing"], 3),
    (&["/about", "/contact"], 3),
];
/// How likely it is that whoever sees one page leaves within seconds.
const LEAVES_SOON: f64 = 0.85;
/// Path and title.
const TITLES: [(&str, &str); 12] = [
    ("/", "Home"),
    ("/pricing", "Pricing"),
    ("/features", "Features"),
    ("/blog", "Blog"),
    ("/blog/counting-without-cookies", "Counting without cookies"),
    ("/blog/what-is-a-bounce", "What is a bounce?"),
    ("/docs", "Documentation"),
    ("/docs/getting-started", "Getting started"),
    ("/docs/api", "API"),
    ("/about", "About us"),
    ("/contact", "Contact"),
    ("/signup", "Sign up"),
];
/// What the plans are called that people sign up for, and weight.
const OFFERS: [(&str, u32); 3] = [("free", 6), ("pro", 3), ("scale", 1)];
/// Source, medium, campaign, channel and weight: of a visit in five.
const CAMPAIGNS: [(&str, &str, &str, &str, u32); 4] = [
    ("newsletter", "email", "monthly", "Email", 5),
    ("google", "cpc", "launch", "Paid", 4),
    ("facebook", "paid", "launch", "Paid Social", 3),
    ("partner", "referral", "spring-sale", "Referral", 2),
];
/// Referrer, source, channel and weight.
const SOURCES: [(&str, &str, &str, u32); 7] = [
    ("", "", "Direct", 34),
    ("https://www.google.com/", "Google", "Organic Search", 30),
    ("https://duckduckgo.com/", "DuckDuckGo", "Organic Search", 5),
    ("https://www.bing.com/", "Bing", "Organic Search", 4),
    ("https://news.ycombinator.com/", "Hacker News", "Organic Social", 8),
    ("https://www.linkedin.com/", "LinkedIn", "Organic Social", 6),
    ("https://github.com/", "GitHub", "Referral", 8),
];
/// Country, region, city, language and weight.
const PLACES: [(&str, &str, &str, &str, u32); 14] = [
    ("US", "New York", "New York", "en", 16),
    ("US", "California", "San Francisco", "en", 14),
    ("DE", "Berlin", "Berlin", "de", 9),
    ("DE", "Bavaria", "Munich", "de", 5),
    ("GB", "England", "London", "en", 10),
    ("FR", "Île-de-France", "Paris", "fr", 8),
    ("IN", "Karnataka", "Bengaluru", "en", 9),
    ("NL", "North Holland", "Amsterdam", "nl", 5),
    ("CA", "Ontario", "Toronto", "en", 6),
    ("BR", "São Paulo", "São Paulo", "pt", 5),
    ("JP", "Tokyo", "Tokyo", "ja", 4),
    ("SE", "Stockholm", "Stockholm", "sv", 3),
    ("PL", "Mazovia", "Warsaw", "pl", 3),
    ("AU", "New South Wales", "Sydney", "en", 3),
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
    // A line for each visit of the demo's own visitors would push the link out of sight.
    let level = if config.log_level == tracing::Level::INFO { tracing::Level::WARN } else { config.log_level };
    telemetry::start_log(config.log_format, level);
    if let Err(error) = remove_left_behind(&std::env::temp_dir()) {
        tracing::warn!(%error, "what earlier demos left behind cannot be removed");
    }
    let mine = std::fs::Permissions::from_mode(0o700);
    let directory = tempfile::Builder::new().prefix(PREFIX).permissions(mine).tempdir().map_err(Failure::new)?;
    directory.path().clone_into(&mut config.data_dir);
    (config.database_url, config.events_url) = (None, None);
    runtime::take_short_slices();
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

/// Creates the account, the websites and their past; returns what to print and the visitors that keep coming.
fn fill(config: &Config, stores: &Stores, url: &str, json: bool) -> Result<(String, LiveVisitors), ServeError> {
    let (mut rng, now) = (rand::rng(), SystemClock.now());
    let account = bootstrap::create_account(&*stores.metadata, &mut rng, now)?
        .ok_or_else(|| std::io::Error::other("the temporary directory is not empty"))?;
    let mut websites = Vec::new();
    for (domain, name, sessions) in WEBSITES {
        let website =
            bootstrap::create_website(&*stores.metadata, &account, domain, name, &config.plans, &mut rng, now)?;
        // The visitors that keep coming all have the address of this machine: their own ids tell them apart.
        stores.metadata.edit_website(website.id, &mut |website| {
            website.settings.cookieless = false;
            website.settings.heatmaps = true;
            website.settings.session_replay = true;
            Ok(())
        })?;
        goals(&*stores.metadata, website.id, now, &mut rng)?;
        websites.push((website, sessions));
    }
    let mut stored = 0;
    let mut past = Past::default();
    for (website, sessions) in &websites {
        captures::send_maps(&stores.captures, website, now).map_err(std::io::Error::other)?;
        past.add(website, *sessions, now, &mut rng);
    }
    let Past { events: mut batch, mut reported, recordings } = past;
    for recording in &recordings {
        reported.extend(recording.keep(&stores.captures).map_err(std::io::Error::other)?);
    }
    batch.sort_by_key(|new| new.event.at);
    while !batch.is_empty() {
        let rest = batch.split_off(batch.len().min(BATCH));
        stored += batch.len();
        append(&*stores.events, std::mem::replace(&mut batch, rest)).map_err(std::io::Error::other)?;
    }
    let ids = websites.iter().map(|(website, _)| website.id);
    captures::keep((&*stores.events, &*stores.captures), ids, reported, now).map_err(std::io::Error::other)?;
    let of = |(website, _): &(Website, u32)| (website.tracking_code.to_string(), website.domain.clone());
    let key = KeyFormat::ZENOVAY.generate_with(&mut rng);
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    let kind = KeyKind::Workspace(account.team_id);
    let scopes = Scopes::new([Scope::Write]).unwrap_or(Scopes::FULL_ACCESS);
    let new = NewKey::new(KeyId::from_random_bytes(bytes), &key, kind, "Visitors of the demo", scopes);
    stores.metadata.create_key(&new, now)?;
    let live = LiveVisitors::start(url, key, websites.iter().map(of).collect())?;
    let link = bootstrap::sign_in_url(&*stores.metadata, &account, url, &mut rng, now)?;
    if json {
        let facts = bootstrap::welcome_json(&account, &websites[0].0, url);
        return Ok((format!("{facts}{}\n", serde_json::json!({ "demo": { "sign_in_url": link } })), live));
    }
    let mut text = format!(
        "\nDemo: {stored} events of {DAYS} days on three websites; deleted when the server stops.\n\n\
         Open this address to see them. It signs you in, once:\n\n  {link}\n\nOr use them as they are:\n\n{}\n",
        bootstrap::login(&account, url)
    );
    for (website, _) in &websites {
        text.push_str(&format!("  website       {}  {}  {}\n", website.id, website.tracking_code, website.domain));
    }
    text.push('\n');
    Ok((text, live))
}

/// What each website counts as a success, and the way to it.
fn goals(store: &dyn Metadata, website: WebsiteId, now: Timestamp, rng: &mut impl Rng) -> Result<(), StoreError> {
    let id = |rng: &mut dyn Rng| {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        bytes
    };
    let event = |name: &str| name.to_owned();
    let page = |value: &str| PageMatch::new(MatchType::Exact, value);
    let targets = [
        ("Signed up", GoalTarget::Event { name: event("signup_completed") }),
        ("Pricing seen", GoalTarget::Page(page("/pricing"))),
        ("Newsletter", GoalTarget::Event { name: event("newsletter_joined") }),
    ];
    for (name, target) in targets {
        let id = GoalId::from_random_bytes(id(rng));
        store.create_goal(&Goal::new(id, website, name, target, now))?;
    }
    let steps = vec![
        FunnelStep::Page(page("/pricing")),
        FunnelStep::Event { name: event("signup_started") },
        FunnelStep::Event { name: event("signup_completed") },
    ];
    let id = FunnelId::from_random_bytes(id(rng));
    store.create_funnel(&Funnel::new(id, website, "From the price to an account", steps, now))
}

fn append(events: &dyn EventStore, batch: Vec<NewEvent>) -> Result<(), AppendError> {
    events.append(batch).wait()?;
    Ok(())
}

/// What happened in the last [`DAYS`] days.
#[derive(Default)]
struct Past {
    events: Vec<NewEvent>,
    /// What pages reported beside events, in the last [`REPORTED_DAYS`] days.
    reported: Vec<Reported>,
    recordings: Vec<Recording>,
}

impl Past {
    /// Adds the sessions of a website: more by day than at night, more on weekdays, growing a little.
    #[expect(clippy::cast_possible_truncation, reason = "a number of sessions is made whole")]
    fn add(&mut self, website: &Website, sessions_a_day: u32, now: Timestamp, rng: &mut impl Rng) {
        let hours: Vec<i64> = (0..24).collect();
        let (mut pages, mut recorder) = (Pages::of(website), Recorder::of(sessions_a_day));
        for days_ago in 0..=DAYS {
            let day = Timestamp::from_millis((now.as_millis().div_euclid(DAY_MS) - days_ago) * DAY_MS);
            let weekend = matches!(day.as_millis().div_euclid(DAY_MS).rem_euclid(7), 2 | 3);
            let growth = 1.0 - days_ago as f64 / 200.0;
            let expected = f64::from(sessions_a_day) * growth * if weekend { 0.6 } else { 1.0 };
            for _ in 0..(expected * rng.random_range(0.85..1.15)) as u32 {
                let hour = *pick(&hours, |hour| usize::try_from(*hour).map_or(1, |hour| HOURS[hour]), rng);
                let at = day.plus_millis(hour * HOUR_MS + rng.random_range(0..HOUR_MS));
                // The first day begins in the middle, so that there is its last moment and no more than all days.
                if now.plus_millis(-DAYS * DAY_MS) <= at && at < now {
                    self.add_session((&mut pages, &mut recorder), at, now, rng);
                }
            }
        }
    }

    /// Adds one visit: pages in their order, a sign-up where they lead to it, a heartbeat a page, and what pages report. Nothing
    /// after `end`.
    fn add_session(
        &mut self,
        (pages, recorder): (&mut Pages<'_>, &mut Recorder),
        start: Timestamp,
        end: Timestamp,
        rng: &mut impl Rng,
    ) {
        // A third of the visitors come again: few ids make repetitions likely.
        let visitor = VisitorId(if rng.random_bool(0.33) { regular(rng.random_range(1..400)) } else { rng.random() });
        let (session, website) = (SessionId(rng.random()), pages.website);
        let visit = visit(visitor, rng);
        let (mut at, mut seen, mut views, mut context) = (start, Vec::new(), Vec::new(), None);
        let journey = pick(&JOURNEYS, |journey| journey.1, rng).0;
        let leaves_soon = journey.len() == 1 && rng.random_bool(LEAVES_SOON);
        let is_reported = start >= end.plus_millis(-REPORTED_DAYS * DAY_MS);
        for path in journey {
            let stay_ms = rng.random_range(if leaves_soon { 3_000..9_500_u32 } else { 10_000..90_000 });
            let mut page = Event::new(EventKind::Pageview, at, visitor, session);
            page.dimensions = visit.clone();
            page.dimensions.set(Dimension::Hostname, &website.domain);
            page.dimensions.set(Dimension::Path, path);
            page.dimensions.set(Dimension::Title, title(path));
            if is_reported && at < end {
                let (reported, failed) = pages.report(&page, &seen, end, rng);
                self.reported.extend(reported);
                views.push(Viewed { at, stay_ms: i64::from(stay_ms), path, failed });
                context = context.or_else(|| Some(context_of(&page)));
            }
            seen.push((at, *path));
            let mut heartbeat = Event::new(EventKind::Heartbeat, at.plus_millis(i64::from(stay_ms)), visitor, session);
            heartbeat.engagement_ms = stay_ms;
            heartbeat.scroll_percent = rng.random_range(10..=100);
            heartbeat.dimensions = page.dimensions.clone();
            let mut events = vec![page, heartbeat];
            for (at, name, properties) in happenings(path, stay_ms, rng) {
                let mut event = Event::new(EventKind::Custom, start_of(&events).plus_millis(at), visitor, session);
                event.dimensions = events[0].dimensions.clone();
                event.dimensions.set(Dimension::EventName, name);
                event.dimensions.set(Dimension::Properties, &properties);
                events.push(event);
            }
            for event in events.into_iter().filter(|event| event.at < end) {
                self.events.push(NewEvent::new(website.id, event.at, event));
            }
            at = at.plus_millis(i64::from(stay_ms) + rng.random_range(200..2_000));
        }
        let recorded =
            context.and_then(|context| Recording::of(recorder, (website, &pages.site), &context, &views, end, rng));
        self.recordings.extend(recorded);
    }
}

/// The id of one of those who come again and again: no two look alike.
fn regular(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn start_of(events: &[Event]) -> Timestamp {
    events.first().map_or(Timestamp::from_millis(0), |event| event.at)
}

fn title(path: &str) -> &'static str {
    TITLES.iter().find(|(known, _)| *known == path).map_or("", |(_, title)| *title)
}

/// What somebody does on a page that they stay on for so long: when, its name, and its properties as JSON.
fn happenings(path: &str, stay_ms: u32, rng: &mut impl Rng) -> Vec<(i64, &'static str, String)> {
    let (soon, late) = (i64::from(stay_ms) / 4, i64::from(stay_ms) / 2);
    match path {
        "/signup" if rng.random_bool(0.8) => {
            let offer = format!(r#"{{"plan":"{}"}}"#, pick(&OFFERS, |offer| offer.1, rng).0);
            let mut done = vec![(soon, "signup_started", offer.clone())];
            if rng.random_bool(0.6) {
                done.push((late, "signup_completed", offer));
            }
            done
        }
        "/docs/api" if rng.random_bool(0.3) => vec![(soon, "code_copied", r#"{"language":"curl"}"#.to_owned())],
        "/blog/counting-without-cookies" if rng.random_bool(0.1) => {
            vec![(late, "newsletter_joined", r#"{"place":"article"}"#.to_owned())]
        }
        _ => Vec::new(),
    }
}

/// What all events of a visit have in common. A visitor who comes again does so from the same place with the same device.
fn visit(visitor: VisitorId, rng: &mut impl Rng) -> Dimensions {
    let campaign = rng.random_bool(0.2).then(|| pick(&CAMPAIGNS, |campaign| campaign.4, rng));
    let (referrer, source, channel) = match campaign {
        Some((source, _, _, channel, _)) => ("", *source, *channel),
        None => {
            let (referrer, source, channel, _) = pick(&SOURCES, |source| source.3, rng);
            (*referrer, *source, *channel)
        }
    };
    let rng = &mut StdRng::seed_from_u64(visitor.0);
    let (country, region, city, language, _) = pick(&PLACES, |place| place.4, rng);
    let (browser, browser_version, os, os_version, device, screen, _) = pick(&CLIENTS, |client| client.6, rng);
    let mut dimensions = Dimensions::default();
    for (dimension, value) in [
        (Dimension::Referrer, referrer),
        (Dimension::Source, source),
        (Dimension::Channel, channel),
        (Dimension::Country, country),
        (Dimension::Region, region),
        (Dimension::City, city),
        (Dimension::Browser, browser),
        (Dimension::BrowserVersion, browser_version),
        (Dimension::Os, os),
        (Dimension::OsVersion, os_version),
        (Dimension::Device, device),
        (Dimension::ScreenClass, screen),
        (Dimension::Language, language),
    ] {
        dimensions.set(dimension, value);
    }
    if let Some((source, medium, name, _, _)) = campaign {
        dimensions.set(Dimension::UtmSource, source);
        dimensions.set(Dimension::UtmMedium, medium);
        dimensions.set(Dimension::UtmCampaign, name);
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

/// The most that are there at a time.
const LIVE_MAX: usize = 14;

/// Somebody who looks at one page after the other.
struct LiveVisitor {
    website: usize,
    id: String,
    agent: &'static str,
    address: &'static str,
    referrer: &'static str,
    /// What comes, the next last.
    steps: Vec<Step>,
}

/// What a visitor does: a pageview, or an event with this name and these properties, on a page.
struct Step {
    page: &'static str,
    event: Option<(&'static str, String)>,
}

/// Addresses that visitors come from, of well-known servers, and weight.
const ADDRESSES: [(&str, u32); 12] = [
    ("128.32.0.1", 30),
    ("193.99.144.80", 14),
    ("81.2.69.142", 10),
    ("80.67.169.12", 8),
    ("1.6.1.1", 9),
    ("145.97.0.1", 5),
    ("24.48.0.1", 6),
    ("200.160.0.1", 5),
    ("210.130.1.1", 4),
    ("130.237.0.1", 3),
    ("150.254.0.1", 3),
    ("139.130.4.4", 3),
];

/// User agents.
const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 \
     Mobile/15E148 Safari/604.1",
];

/// The server, and what visitors come to.
struct Stage {
    /// Its address, with the port.
    address: String,
    /// A key that stores events.
    key: ApiKeyToken,
    /// Tracking code and domain of each website.
    websites: Vec<(String, String)>,
}

impl LiveVisitor {
    /// Somebody who comes to `website`.
    fn new(website: usize, rng: &mut impl Rng) -> Self {
        let mut steps = Vec::new();
        for page in pick(&JOURNEYS, |journey| journey.1, rng).0 {
            steps.push(Step { page, event: None });
            let done = happenings(page, 0, rng).into_iter();
            steps.extend(done.map(|(_, name, properties)| Step { page, event: Some((name, properties)) }));
        }
        steps.reverse();
        Self {
            website,
            id: format!("live-{:016x}", rng.random::<u64>()),
            agent: AGENTS.choose(rng).copied().unwrap_or(AGENTS[0]),
            address: pick(&ADDRESSES, |address| address.1, rng).0,
            referrer: pick(&SOURCES, |source| source.3, rng).0,
            steps,
        }
    }
}

impl LiveVisitors {
    /// Has visitors come to the websites by the server that listens on the port of `url`.
    fn start(url: &str, key: ApiKeyToken, websites: Vec<(String, String)>) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let address = url.rsplit_once(':').map_or_else(String::new, |(_, port)| format!("localhost:{port}"));
        let stage = Stage { address, key, websites };
        let thread =
            std::thread::Builder::new().name("demo".to_owned()).spawn(move || keep_coming(&stage, &stopped))?;
        Ok(Self { stop, thread })
    }

    fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the demo's visitors stopped before");
        }
    }
}

/// One step after the other is reported to the server itself, as a server of the website does: so each has a place.
fn keep_coming(stage: &Stage, stopped: &Receiver<()>) {
    let mut rng = rand::rng();
    let mut here: Vec<LiveVisitor> = Vec::new();
    while stopped.recv_timeout(Duration::from_millis(rng.random_range(300..1_500))) == Err(RecvTimeoutError::Timeout) {
        if here.len() < LIVE_MAX && (here.len() < LIVE_MAX / 2 || rng.random_bool(0.4)) {
            here.push(LiveVisitor::new(rng.random_range(0..stage.websites.len()), &mut rng));
        }
        if here.is_empty() {
            continue;
        }
        let at = rng.random_range(0..here.len());
        match here[at].steps.pop() {
            None => {
                here.swap_remove(at);
            }
            Some(step) => {
                if let Err(error) = report(stage, &here[at], &step, SystemClock.now()) {
                    tracing::warn!(%error, "a visit of the demo was not reported");
                }
            }
        }
    }
}

/// Reports what a visitor does.
fn report(stage: &Stage, visitor: &LiveVisitor, step: &Step, now: Timestamp) -> io::Result<()> {
    let LiveVisitor { website, id, agent, address, referrer, .. } = visitor;
    let Some((code, domain)) = stage.websites.get(*website) else { return Ok(()) };
    let mut props = serde_json::json!({
        "url": format!("https://{domain}{}", step.page), "title": title(step.page), "referrer": referrer,
    });
    let mut kind = "pageview";
    if let Some((name, properties)) = &step.event {
        kind = name;
        let own: serde_json::Map<_, _> = serde_json::from_str(properties)?;
        props.as_object_mut().into_iter().for_each(|props| props.extend(own.clone()));
    }
    let body = serde_json::json!({ "trackingCode": code, "events": [{
        "type": kind, "ts": now.as_millis(), "visitorId": id, "sessionId": id, "props": props,
        "serverContext": { "clientIp": address, "userAgent": agent, "acceptLanguage": "en" },
    }] })
    .to_string();
    let head = format!(
        "POST /api/v1/events HTTP/1.1\r\nHost: {}\r\nX-API-Key: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        stage.address,
        stage.key.expose(),
        body.len()
    );
    let mut stream = TcpStream::connect(&stage.address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let is_stored = answer.starts_with("HTTP/1.1 200") && answer.contains("\"accepted\":1");
    if is_stored { Ok(()) } else { Err(io::Error::other("the server refused it")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_visitors_have_a_country_and_do_something() {
        let countries = zenovay_ingest::GeoDatabase::embedded().unwrap();
        for (address, _) in ADDRESSES {
            let place = countries.lookup(address.parse().unwrap());
            assert!(!place.country.is_empty(), "{address}");
        }
        let mut rng = StdRng::seed_from_u64(1);
        let all: Vec<LiveVisitor> = (0..200).map(|_| LiveVisitor::new(0, &mut rng)).collect();
        assert!(all.iter().all(|visitor| visitor.steps.last().is_some_and(|step| step.event.is_none())));
        for wanted in ["signup_started", "signup_completed", "newsletter_joined"] {
            let mut steps = all.iter().flat_map(|visitor| &visitor.steps);
            assert!(steps.any(|step| step.event.as_ref().is_some_and(|(name, _)| *name == wanted)), "{wanted}");
        }
    }

    #[test]
    fn the_past_ends_now_and_has_every_day() {
        let now = Timestamp::from_millis(1_781_308_800_000);
        let (id, team) = (WebsiteId::from_bytes([1; 16]), zenovay_domain::TeamId::from_bytes([2; 16]));
        let code = zenovay_domain::TrackingCode::from_random_bytes([3; 11]);
        let website = Website::new(id, team, "shop.example", code, now);
        let mut past = Past::default();
        past.add(&website, 100, now, &mut rand::rng());
        let Past { events: batch, reported, recordings } = past;
        assert!(recordings.len() > 10, "{}", recordings.len());
        let reports_since = now.plus_millis(-REPORTED_DAYS * DAY_MS);
        assert!(!reported.is_empty());
        assert!(reported.iter().all(|reported| reports_since <= reported.at && reported.at < now));
        assert!(batch.iter().all(|new| new.event.at < now));
        let mut devices = std::collections::HashMap::new();
        for NewEvent { event, .. } in &batch {
            let device =
                [Dimension::Browser, Dimension::Os, Dimension::Country].map(|field| event.dimensions.get(field));
            assert_eq!(*devices.entry(event.visitor).or_insert(device), device, "a visitor has one device");
        }
        // Pages, other events, and engagement of each visit.
        let mut visits = std::collections::HashMap::<_, (u32, u32, i64)>::new();
        for NewEvent { event, .. } in &batch {
            let (pages, others, engagement_ms) = visits.entry(event.session).or_default();
            *pages += u32::from(event.kind == EventKind::Pageview);
            *others += u32::from(event.kind == EventKind::Custom);
            *engagement_ms += i64::from(event.engagement_ms);
        }
        let is_bounce =
            |visit: &&(u32, u32, i64)| visit.0 == 1 && visit.1 == 0 && visit.2 < zenovay_domain::BOUNCE_ENGAGEMENT_MS;
        let bounces = visits.values().filter(is_bounce).count() * 100 / visits.len();
        assert!((35..=60).contains(&bounces), "{bounces} % of the visits bounce, as on real websites");
        for day in 0..DAYS {
            let from = now.plus_millis(-(day + 1) * DAY_MS);
            let to = now.plus_millis(-day * DAY_MS);
            assert!(batch.iter().any(|new| from <= new.event.at && new.event.at < to), "day {day}");
        }
    }
}
