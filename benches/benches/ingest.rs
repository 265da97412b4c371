//! From the body of a hit to the bytes in the log: parse, validate, enrich, encode; whole and by step, beside `serde_json`
//! reading the same bodies into the same fields.
//!
//! The hits are a mix of the user agents, languages, referrers and addresses of a public website. Before the benches run,
//! the ratio of the whole way to bare parsing is printed, from rounds in which the two take turns, with the share of user
//! agents that the parser remembered and what a new one costs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]
#![allow(clippy::print_stdout)]

use std::borrow::Cow;
use std::collections::HashSet;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Deserialize;
use zenovay_benches::size;
use zenovay_domain::{EventKind, Timestamp, WebsiteId, WebsiteRules, WebsiteSettings};
use zenovay_events::NewEvent;
use zenovay_events::testing::BatchEncoder;
use zenovay_ingest::{
    GeoDatabase, HitFields, MemorySalts, MemorySessions, Pipeline, VisitorHasher, parse_agent, parse_hit,
};

/// The same allocator as the server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Hits in one round, which are the events of one commit: what a server that can take no more commits for some hundred
/// connections (`docs/performance.md`), and a batch of the batch API.
const COMMITS: [usize; 2] = [50, 1_000];

/// Hits that the ratio is made from.
const HITS: u64 = 100_000;

/// One visitor in so many has a user agent that was never seen before.
const NEW_AGENT_EVERY: u32 = 70;

const NOW: Timestamp = Timestamp::from_millis(1_781_308_800_000);

/// A hit as it arrives.
struct Arrival {
    body: String,
    user_agent: String,
    ip: IpAddr,
    accept_language: &'static str,
}

impl Arrival {
    fn arrival(&self) -> zenovay_ingest::Arrival<'_> {
        let mut arrival = zenovay_ingest::Arrival::from_address(self.ip, NOW);
        arrival.origin = Some("https://www.example.com");
        arrival.user_agent = Some(&self.user_agent);
        arrival.accept_language = Some(self.accept_language);
        arrival
    }
}

/// Agents with two places for version numbers, by how often they come, in percent; with device, browser and system.
const AGENTS: [(&str, u32, &str, &str, &str); 9] = [
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{a}.0.0.0 Safari/537.36",
        30,
        "desktop",
        "Chrome",
        "Windows",
    ),
    (
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{a}.0.0.0 Mobile Safari/537.36",
        22,
        "mobile",
        "Chrome",
        "Android",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_{b} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.{b} Mobile/15E148 Safari/604.1",
        18,
        "mobile",
        "Safari",
        "iOS",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.{b} Safari/605.1.15",
        8,
        "desktop",
        "Safari",
        "macOS",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{a}.0.0.0 Safari/537.36 Edg/{a}.0.0.0",
        7,
        "desktop",
        "Edge",
        "Windows",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:{a}.0) Gecko/20100101 Firefox/{a}.0",
        5,
        "desktop",
        "Firefox",
        "Windows",
    ),
    (
        "Mozilla/5.0 (Linux; Android 15; SM-S9{b}8B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/{a}.0.0.0 Mobile Safari/537.36",
        4,
        "mobile",
        "Samsung Internet",
        "Android",
    ),
    (
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:{a}.0) Gecko/20100101 Firefox/{a}.0",
        3,
        "desktop",
        "Firefox",
        "Linux",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_{b} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 3{a}.0.0.{b}",
        3,
        "mobile",
        "Instagram",
        "iOS",
    ),
];
const REFERRERS: [&str; 8] = [
    "",
    "",
    "https://www.google.com/",
    "https://www.google.com/",
    "https://www.bing.com/",
    "https://t.co/3kx9",
    "https://news.ycombinator.com/item?id=4242",
    "https://www.example.com/pricing",
];
const LANGUAGES: [&str; 5] = ["en-US,en;q=0.9", "de-DE,de;q=0.9,en;q=0.7", "fr-FR,fr;q=0.9", "en-GB", "pt-BR,pt;q=0.8"];

/// One in so many hits is a visitor's first.
const PAGES_PER_VISIT: u32 = 3;

/// Visits that go on at one time.
const VISITS: usize = 500;

/// What the hits of a visit share.
#[derive(Clone)]
struct Visit {
    user_agent: String,
    /// What the body says beside the page: ids, user agent, device, browser, system, screen, language, zone.
    members: String,
    ip: IpAddr,
    accept_language: &'static str,
}

/// Makes hits without end.
struct Visitors {
    random: StdRng,
    made: u64,
    visits: Vec<Visit>,
}

impl Visitors {
    fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), made: 0, visits: Vec::new() }
    }

    fn batch(&mut self, hits: usize) -> Vec<Arrival> {
        (0..hits).map(|_| self.arrival()).collect()
    }

    fn arrival(&mut self) -> Arrival {
        if self.visits.len() < VISITS {
            let visit = self.visit();
            self.visits.push(visit);
        }
        let place = self.random.random_range(0..self.visits.len());
        if self.random.random_range(0..PAGES_PER_VISIT) == 0 {
            self.visits[place] = self.visit();
        }
        let Visit { user_agent, members, ip, accept_language } = self.visits[place].clone();
        let random = &mut self.random;
        // One hit in ten has a campaign in its address, one in ten has properties.
        let query = if random.random_range(0..10) == 0 {
            "?utm_source=newsletter&utm_medium=email&utm_campaign=june"
        } else {
            ""
        };
        let properties = if random.random_range(0..10) == 0 { r#","event_data":{"plan":"pro","seats":5}"# } else { "" };
        let page = random.random_range(0..2_000);
        let referrer = REFERRERS[random.random_range(0..REFERRERS.len())];
        let body = format!(
            r#"{{"event_type":"pageview","url":"https://www.example.com/articles/page-{page}{query}","referrer":"{referrer}","title":"Page {page} of the example",{members}{properties}}}"#,
        );
        Arrival { body, user_agent, ip, accept_language }
    }

    fn visit(&mut self) -> Visit {
        self.made += 1;
        let number = self.made;
        let random = &mut self.random;
        let mut point = random.random_range(0..100);
        let &(agent, _, device, browser, os) = AGENTS
            .iter()
            .find(|(_, percent, ..)| {
                let found = point < *percent;
                point = point.saturating_sub(*percent);
                found
            })
            .unwrap_or(&AGENTS[0]);
        let mut user_agent = agent
            .replace("{a}", &random.random_range(128..145).to_string())
            .replace("{b}", &random.random_range(0..8).to_string());
        if random.random_range(0..NEW_AGENT_EVERY) == 0 {
            user_agent.push_str(&format!(" Build/{number:x}"));
        }
        let members = format!(
            r#""session_id":"s-{number:016x}","visitor_id":"v-{:016x}","user_agent":"{user_agent}","device_type":"{device}","browser":"{browser}","os":"{os}","screen_width":{},"screen_height":1080,"language":"{}","timezone":"Europe/Berlin""#,
            random.random_range(0..u64::MAX / 2),
            [390, 412, 768, 1440, 1920, 2560][random.random_range(0..6)],
            ["en-US", "de-DE", "fr-FR", "en-GB"][random.random_range(0..4)],
        );
        // A quarter over IPv6.
        let ip = if random.random_range(0..4) == 0 {
            let network =
                0x2001_0000_0000_0000_0000_0000_0000_0000u128 | u128::from(random.random_range(0..0x0fff_u32)) << 96;
            Ipv6Addr::from(network | u128::from(random.random_range(0..u64::MAX))).into()
        } else {
            Ipv4Addr::from(random.random_range(0x0b00_0000..0xdf00_0000_u32)).into()
        };
        Visit { user_agent, members, ip, accept_language: LANGUAGES[random.random_range(0..LANGUAGES.len())] }
    }
}

/// The fields that a hit of the mix has, borrowed where JSON allows it, as [`HitFields`] borrows them.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only the parsing is measured")]
struct SameFields<'a> {
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    session_id: Cow<'a, str>,
    #[serde(borrow)]
    visitor_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    url: Cow<'a, str>,
    #[serde(borrow)]
    referrer: Option<Cow<'a, str>>,
    #[serde(borrow)]
    title: Option<Cow<'a, str>>,
    #[serde(borrow)]
    user_agent: Cow<'a, str>,
    #[serde(borrow)]
    device_type: Cow<'a, str>,
    #[serde(borrow)]
    browser: Cow<'a, str>,
    #[serde(borrow)]
    os: Cow<'a, str>,
    screen_width: Option<f64>,
    screen_height: Option<f64>,
    #[serde(borrow)]
    language: Option<Cow<'a, str>>,
    #[serde(borrow)]
    timezone: Option<Cow<'a, str>>,
    event_data: Option<std::collections::HashMap<String, serde_json::Value>>,
}

/// The same, with texts of their own.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only the parsing is measured")]
struct OwnedFields {
    event_type: String,
    session_id: String,
    visitor_id: Option<String>,
    url: String,
    referrer: Option<String>,
    title: Option<String>,
    user_agent: String,
    device_type: String,
    browser: String,
    os: String,
    screen_width: Option<f64>,
    screen_height: Option<f64>,
    language: Option<String>,
    timezone: Option<String>,
    event_data: Option<std::collections::HashMap<String, serde_json::Value>>,
}

fn bare(batch: &[Arrival]) {
    for arrival in batch {
        let fields: SameFields<'_> = serde_json::from_slice(arrival.body.as_bytes()).expect("valid JSON");
        black_box(&fields);
    }
}

fn bare_owned(batch: &[Arrival]) {
    for arrival in batch {
        let fields: OwnedFields = serde_json::from_slice(arrival.body.as_bytes()).expect("valid JSON");
        black_box(&fields);
    }
}

fn parse(batch: &[Arrival]) {
    for arrival in batch {
        black_box(parse_hit(arrival.body.as_bytes()).expect("valid JSON"));
    }
}

fn parse_and_validate(batch: &[Arrival]) -> Vec<HitFields<'_>> {
    batch
        .iter()
        .map(|arrival| {
            let mut fields = HitFields::empty(EventKind::Pageview);
            let mut parsed = parse_hit(arrival.body.as_bytes()).expect("valid JSON");
            parsed.validate(&mut fields).expect("valid");
            fields
        })
        .collect()
}

struct Whole {
    pipeline: Pipeline,
    rules: WebsiteRules,
    encoder: BatchEncoder,
}

impl Whole {
    fn new() -> Self {
        let hasher = VisitorHasher::with_rng(MemorySalts::default(), NOW, StdRng::seed_from_u64(1)).expect("a hasher");
        let settings = WebsiteSettings::default().with(|s| s.cookieless = false);
        let rules = WebsiteRules::new(WebsiteId::from_bytes([7; 16]), "example.com", &settings);
        Self {
            pipeline: Pipeline::new(
                hasher,
                MemorySessions::default(),
                GeoDatabase::embedded().expect("the embedded database"),
            ),
            rules: rules.expect("valid settings"),
            encoder: BatchEncoder::new().expect("a compressor"),
        }
    }

    fn new_event(&self, accepted: zenovay_ingest::Accepted) -> NewEvent {
        NewEvent::new(self.rules.website(), NOW, accepted.event)
    }

    fn events(&self, batch: &[Arrival]) -> Vec<NewEvent> {
        batch
            .iter()
            .map(|hit| {
                let accepted = self.pipeline.track(&hit.arrival(), hit.body.as_bytes(), &self.rules);
                self.new_event(accepted.expect("an event"))
            })
            .collect()
    }

    fn enrich(&self, batch: &[Arrival], fields: Vec<HitFields<'_>>) -> Vec<NewEvent> {
        let enriched = batch.iter().zip(fields).map(|(arrival, fields)| {
            self.new_event(self.pipeline.accept(&arrival.arrival(), &fields, &self.rules).expect("an event"))
        });
        enriched.collect()
    }

    fn encode(&mut self, events: &[NewEvent]) -> Vec<u8> {
        self.encoder.encode(events.iter()).expect("a payload")
    }

    fn whole(&mut self, batch: &[Arrival]) -> Vec<u8> {
        let events = self.events(batch);
        self.encode(&events)
    }
}

/// Prints what the whole way costs in commits of so many events, beside bare parsing: medians of rounds in which they take
/// turns. The hits of a round were just made, as those of a server have just arrived.
fn ratio(commit: usize) {
    let rounds = (size(HITS) as usize).div_ceil(commit);
    let mut whole = Whole::new();
    let mut visitors = Visitors::new(1);
    let mut seen = HashSet::new();
    for _ in 0..rounds.div_ceil(2) {
        // Agents are remembered from before, as in a server that has run for a while.
        let batch = visitors.batch(commit);
        seen.extend(batch.iter().map(|arrival| arrival.user_agent.clone()));
        whole.whole(&batch);
    }
    let (mut all, mut known, mut known_address) = (0u32, 0u32, 0u32);
    let mut addresses = HashSet::new();
    let mut times = [const { Vec::new() }; 3];
    let (mut bytes, mut logged) = (0, 0);
    for _ in 0..rounds {
        let batch = visitors.batch(commit);
        for arrival in &batch {
            all += 1;
            known += u32::from(!seen.insert(arrival.user_agent.clone()));
            known_address += u32::from(!addresses.insert(arrival.ip));
        }
        bytes += batch.iter().map(|arrival| arrival.body.len()).sum::<usize>();
        for (slot, times) in times.iter_mut().enumerate() {
            let started = Instant::now();
            match slot {
                0 => bare(&batch),
                1 => bare_owned(&batch),
                _ => logged += black_box(whole.whole(&batch)).len(),
            }
            times.push(started.elapsed());
        }
    }
    let [bare, owned, whole] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e9 / commit as f64
    });
    let all_bytes = |bytes: usize| bytes / all as usize;
    println!("\nin commits of {commit}:");
    println!("bodies of {} bytes in the mean, {} bytes an event in the log", all_bytes(bytes), all_bytes(logged));
    let percent = |part: u32| f64::from(part) * 100.0 / f64::from(all);
    println!("of {all}: user agents seen before {:.2} %, addresses {:.2} %", percent(known), percent(known_address));
    println!("serde_json into the same fields, borrowed: {bare:.0} ns; with texts of their own: {owned:.0} ns");
    println!("parse, validate, enrich, encode: {whole:.0} ns an event");
    println!("ratio: {:.2} to borrowed, {:.2} to owned", whole / bare, whole / owned);
}

/// Prints what a user agent costs that the parser does not remember.
fn miss() {
    let mut new_agents = Visitors::new(2);
    let agents: Vec<String> = (0..size(2_000)).map(|_| new_agents.arrival().user_agent).collect();
    let started = Instant::now();
    for agent in &agents {
        black_box(parse_agent(agent));
    }
    let miss = started.elapsed().as_secs_f64() * 1e9 / agents.len() as f64;
    println!("a user agent not seen before costs {:.1} µs more", miss / 1e3);
}

fn benches(c: &mut Criterion) {
    COMMITS.into_iter().for_each(ratio);
    miss();
    let mut whole = Whole::new();
    let mut visitors = Visitors::new(3);
    let mut batch = || visitors.batch(1_000);
    for _ in 0..size(50) {
        whole.whole(&batch());
    }
    let mut group = c.benchmark_group("1,000 hits");
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("serde_json, borrowed", |b| {
        b.iter_batched(&mut batch, |batch| bare(&batch), BatchSize::LargeInput);
    });
    group.bench_function("serde_json, owned", |b| {
        b.iter_batched(&mut batch, |batch| bare_owned(&batch), BatchSize::LargeInput);
    });
    group.bench_function("parse", |b| {
        b.iter_batched(&mut batch, |batch| parse(&batch), BatchSize::LargeInput);
    });
    group.bench_function("parse and validate", |b| {
        b.iter_batched_ref(&mut batch, |batch| drop(black_box(parse_and_validate(batch))), BatchSize::LargeInput);
    });
    group.bench_function("enrich", |b| {
        // So many that networks are forgotten before they come round again.
        let batches: Vec<_> = (0..size(32)).map(|_| batch()).collect();
        let mut next = batches.iter().cycle();
        let parsed = || {
            let batch = next.next().expect("batches without end");
            (batch, parse_and_validate(batch))
        };
        b.iter_batched(parsed, |(batch, fields)| whole.enrich(batch, fields), BatchSize::LargeInput);
    });
    group.bench_function("encode", |b| {
        let events = whole.events(&batch());
        b.iter(|| whole.encode(&events));
    });
    group.bench_function("whole", |b| {
        b.iter_batched(&mut batch, |batch| whole.whole(&batch), BatchSize::LargeInput);
    });
    group.finish();

    let mut visitors = Visitors::new(4);
    let mut group = c.benchmark_group("a user agent");
    group.bench_function("never seen before", |b| {
        b.iter_batched(|| visitors.arrival().user_agent, |agent| parse_agent(&agent), BatchSize::SmallInput);
    });
    group.finish();
}

criterion_group! {
    name = ingest;
    // Here and not in the groups, so that the options of the command line win.
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2));
    targets = benches
}
criterion_main!(ingest);
