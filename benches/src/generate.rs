//! The traffic that every benchmark runs on: made from a seed, the same on every machine, streamed a day at a time.
//!
//! The shape is that of the side-by-side harness: websites of zipf(0.85) sizes, sessions of 1 to 20 pageviews of which
//! 45 % have one, about 0.2 visitors a row, 5,000 paths, 500 referrers, 120 countries, 3,000 cities, 12 browsers,
//! 8 operating systems, sparse campaigns, random 64-bit ids. A session never crosses midnight UTC and all its texts but
//! the path are constant. Country, city, browser and system belong to the visitor; referrer and campaign to the session.

#![expect(clippy::cast_possible_truncation, reason = "made traffic stays far below the widths of its fields")]

use zenovay_domain::{Dimension, Dimensions, Event, EventKind, SessionId, Timestamp, VisitorId, WebsiteId};
use zenovay_events::NewEvent;

/// Milliseconds of a day in UTC.
pub const DAY_MS: i64 = 86_400_000;

const PATHS: usize = 5_000;
const REFERRERS: usize = 500;
const CITIES_PER_COUNTRY: usize = 25;
const CAMPAIGNS: usize = 40;
const EVENT_NAMES: u64 = 20;
const BROWSERS: [&str; 12] = [
    "Chrome",
    "Mobile Safari",
    "Safari",
    "Edge",
    "Firefox",
    "Chrome Mobile",
    "Samsung Internet",
    "Opera",
    "Brave",
    "Firefox Mobile",
    "Vivaldi",
    "DuckDuckGo Mobile",
];
const SYSTEMS: [&str; 8] = ["Windows", "Android", "iOS", "Mac OS X", "Linux", "Chrome OS", "Ubuntu", "FreeBSD"];
const MEDIA: [&str; 4] = ["cpc", "email", "social", "referral"];
const UTM_SOURCES: [&str; 10] = [
    "google",
    "newsletter",
    "facebook",
    "linkedin",
    "bing",
    "partner",
    "reddit",
    "podcast",
    "instagram",
    "producthunt",
];
/// ISO 3166-1 alpha-2 codes, roughly by the size of their traffic.
const COUNTRIES: [&str; 120] = [
    "US", "IN", "GB", "DE", "BR", "FR", "CA", "JP", "ES", "IT", "AU", "NL", "MX", "PL", "TR", "ID", "KR", "SE", "PH",
    "CH", "BE", "AR", "AT", "VN", "UA", "PT", "DK", "NO", "RO", "CZ", "IL", "FI", "TH", "MY", "SG", "ZA", "IE", "CL",
    "CO", "GR", "HU", "NZ", "PK", "BD", "EG", "NG", "SA", "AE", "KE", "TW", "HK", "PE", "BG", "RS", "SK", "HR", "LT",
    "SI", "LV", "EE", "MA", "DZ", "TN", "GH", "ET", "TZ", "UG", "LK", "NP", "KZ", "UZ", "GE", "AM", "AZ", "BY", "MD",
    "EC", "VE", "BO", "PY", "UY", "CR", "PA", "GT", "HN", "SV", "NI", "DO", "CU", "JM", "TT", "IS", "LU", "MT", "CY",
    "AL", "MK", "BA", "ME", "XK", "JO", "LB", "IQ", "KW", "QA", "BH", "OM", "YE", "SN", "CI", "CM", "AO", "MZ", "ZM",
    "ZW", "MG", "MU", "MM", "KH", "LA",
];

/// How much traffic, of how many websites, over which days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Events in all; exactly so many are made.
    pub rows: u64,
    /// Websites, at least 1. Number 0 is the largest.
    pub websites: u32,
    /// Days, at least 1.
    pub days: u32,
    /// The day after the last one, in days since 1970-01-01.
    pub end_day: i32,
    /// Other seeds give other traffic of the same shape.
    pub seed: u64,
    /// Whether one row in twenty, never the first of its session, is a custom event instead of a pageview. The rest of the
    /// traffic is the same either way.
    pub custom_events: bool,
}

/// One pageview or custom event, its texts as numbers into [`Texts`]. Within one day rows are in order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub at: i64,
    /// Random 64 bits, one number a visitor of a website.
    pub visitor: u64,
    /// Random 64 bits, one number a session.
    pub session: u64,
    /// 0 is the largest website.
    pub website: u16,
    /// 0 is the most common path.
    pub path: u16,
    /// 0 is none.
    pub referrer: u16,
    /// Among all cities.
    pub city: u16,
    /// 0 is the most common country.
    pub country: u8,
    /// 0 is the most common browser.
    pub browser: u8,
    /// 0 is the most common operating system.
    pub os: u8,
    /// 0 is none.
    pub campaign: u8,
    /// 0 is a pageview; others are custom events.
    pub event: u8,
}

/// Which texts an event of the store carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// Those of the side-by-side comparison: page, referrer, country, city, browser, system and the campaign.
    Harness,
    /// All that the product fills for a pageview.
    Product,
}

impl Traffic {
    /// The days in order, each with its rows in order of time. Only one day is in memory.
    pub fn days(self) -> impl Iterator<Item = Vec<Row>> {
        let shape = Shape::new(self);
        let mut random = Random(self.seed);
        (0..self.days).map(move |day| shape.day(day, &mut random))
    }

    /// The first instant of the traffic, milliseconds.
    pub fn start_ms(self) -> i64 {
        self.end_ms() - i64::from(self.days) * DAY_MS
    }

    /// The first instant after the traffic, milliseconds.
    pub fn end_ms(self) -> i64 {
        i64::from(self.end_day) * DAY_MS
    }

    /// The number of the website whose share of the rows is nearest to `share`, 0 to 1.
    pub fn website_with_share(self, share: f64) -> u16 {
        let cumulative = zipf(self.websites as usize, 0.85);
        let distance = |number: usize| {
            let before = if number == 0 { 0.0 } else { cumulative[number - 1] };
            (cumulative[number] - before - share).abs()
        };
        let nearest = (0..cumulative.len()).min_by(|&a, &b| distance(a).total_cmp(&distance(b)));
        nearest.unwrap_or(0) as u16
    }
}

/// The id of website `number`: the same in every run, so that stores can be compared and reopened.
pub fn website_id(number: u16) -> WebsiteId {
    let high = mix(0x5eed_0000 + u64::from(number));
    let low = mix(high);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&high.to_be_bytes());
    bytes[8..].copy_from_slice(&low.to_be_bytes());
    WebsiteId::from_random_bytes(bytes)
}

struct Shape {
    traffic: Traffic,
    websites: Vec<f64>,
    visitors_per_website: Vec<u64>,
    paths: Vec<f64>,
    referrers: Vec<f64>,
    countries: Vec<f64>,
    browsers: Vec<f64>,
    systems: Vec<f64>,
}

impl Shape {
    fn new(traffic: Traffic) -> Self {
        let websites = zipf(traffic.websites as usize, 0.85);
        // Sessions are 0.375 a row and each picks a visitor at random; 0.7 visitors a session leave 0.2 a row seen.
        let visitors_per_website = (0..websites.len())
            .map(|number| {
                let before = if number == 0 { 0.0 } else { websites[number - 1] };
                ((websites[number] - before) * traffic.rows as f64 * 0.375 * 0.7).ceil() as u64
            })
            .collect();
        Self {
            traffic,
            websites,
            visitors_per_website,
            paths: zipf(PATHS, 1.0),
            referrers: zipf(REFERRERS, 1.1),
            countries: zipf(COUNTRIES.len(), 1.2),
            browsers: zipf(BROWSERS.len(), 1.1),
            systems: zipf(SYSTEMS.len(), 1.0),
        }
    }

    fn day(&self, day: u32, random: &mut Random) -> Vec<Row> {
        let Traffic { rows, days, .. } = self.traffic;
        let upto = |day: u32| (u128::from(rows) * u128::from(day) / u128::from(days)) as u64;
        let count = (upto(day + 1) - upto(day)) as usize;
        let day_start = self.traffic.start_ms() + i64::from(day) * DAY_MS;
        let mut day_rows = Vec::with_capacity(count);
        while day_rows.len() < count {
            let left = count - day_rows.len();
            self.session(day_start, left, random, &mut day_rows);
        }
        day_rows.sort_unstable_by_key(|row| (row.at, row.session));
        day_rows
    }

    fn session(&self, day_start: i64, at_most: usize, random: &mut Random, rows: &mut Vec<Row>) {
        let website = random.pick(&self.websites);
        // 45 % have one pageview; the others 2 and more, 4 in the mean.
        let mut pages = 1;
        if random.unit() >= 0.45 {
            pages = 2;
            while pages < 20 && random.unit() < 0.68 {
                pages += 1;
            }
        }
        let pages = pages.min(at_most);
        let number = random.below(self.visitors_per_website[website]);
        let visitor = mix(mix(self.traffic.seed ^ 0x0076_6973 ^ ((website as u64) << 48)) ^ number);
        let mut of_visitor = Random(visitor);
        let country = of_visitor.pick(&self.countries);
        let city = country * CITIES_PER_COUNTRY + of_visitor.below(CITIES_PER_COUNTRY as u64) as usize;
        let template = Row {
            at: 0,
            visitor,
            session: random.next(),
            website: website as u16,
            path: 0,
            referrer: if random.unit() < 0.4 { 0 } else { 1 + random.pick(&self.referrers) as u16 },
            city: city as u16,
            country: country as u8,
            browser: of_visitor.pick(&self.browsers) as u8,
            os: of_visitor.pick(&self.systems) as u8,
            campaign: if random.unit() < 0.94 { 0 } else { 1 + random.below(CAMPAIGNS as u64) as u8 },
            event: 0,
        };
        let mut offset = 0;
        let mut offsets = [0; 20];
        for slot in &mut offsets[..pages] {
            *slot = offset;
            // Reading times: 1 s at least, 45 s in the mean, 29 minutes at most.
            offset += (1_000.0 - 44_000.0 * (1.0 - random.unit()).ln()).min(1_740_000.0) as i64;
        }
        let duration = offsets[pages - 1];
        let start = day_start + random.below((DAY_MS - duration) as u64) as i64;
        // Every website has the same paths, in an order of its own.
        let rotation = website * 37;
        for (place, offset) in offsets[..pages].iter().enumerate() {
            let path = ((random.pick(&self.paths) + rotation) % PATHS) as u16;
            let event = if self.traffic.custom_events && place > 0 { custom_event(template.session, place) } else { 0 };
            rows.push(Row { at: start + offset, path, event, ..template });
        }
    }
}

/// The custom event of a session's row at `place`; 0, a pageview, for 19 of 20.
fn custom_event(session: u64, place: usize) -> u8 {
    let random = mix(session ^ place as u64);
    if random.is_multiple_of(20) { 1 + ((random >> 32) % EVENT_NAMES) as u8 } else { 0 }
}

/// The texts that the numbers of a [`Row`] stand for.
#[derive(Debug)]
pub struct Texts {
    paths: Vec<String>,
    titles: Vec<String>,
    referrers: Vec<String>,
    referrer_hosts: Vec<String>,
    cities: Vec<String>,
    hostnames: Vec<String>,
}

impl Texts {
    /// The texts for traffic of any size.
    pub fn new() -> Self {
        let sections = ["blog", "docs", "products", "pricing", "help", "guides", "about", "news"];
        let words: Vec<String> = (0..PATHS as u64).map(|number| word(mix(number), 2 + number as usize % 3)).collect();
        let paths = words
            .iter()
            .enumerate()
            .map(|(number, word)| match number {
                0 => "/".to_owned(),
                _ => format!("/{}/{word}-{number}", sections[number % sections.len()]),
            })
            .collect();
        let titles = words
            .iter()
            .enumerate()
            .map(|(number, word)| format!("{} {word} {number} | Example", sections[number % sections.len()]))
            .collect();
        let mut referrers = vec![String::new()];
        let mut referrer_hosts = vec![String::new()];
        for number in 0..REFERRERS as u64 {
            let host = format!("www.{}{number}.example", word(mix(number ^ 0x0072_6566), 3));
            referrers.push(format!("https://{host}/{}", word(mix(number ^ 0x0070_6167), 2)));
            referrer_hosts.push(host);
        }
        let cities = (0..(COUNTRIES.len() * CITIES_PER_COUNTRY) as u64)
            .map(|number| format!("{}{number}", word(mix(number ^ 0x6369_7479), 3)))
            .collect();
        let hostnames = (0..1_000).map(|number| format!("site{number}.example")).collect();
        Self { paths, titles, referrers, referrer_hosts, cities, hostnames }
    }

    /// The path of the page.
    pub fn path(&self, row: &Row) -> &str {
        &self.paths[usize::from(row.path)]
    }

    /// The referring URL; empty for none.
    pub fn referrer(&self, row: &Row) -> &str {
        &self.referrers[usize::from(row.referrer)]
    }

    /// The country, ISO 3166-1 alpha-2.
    pub fn country(&self, row: &Row) -> &'static str {
        COUNTRIES[usize::from(row.country)]
    }

    /// The city.
    pub fn city(&self, row: &Row) -> &str {
        &self.cities[usize::from(row.city)]
    }

    /// The browser.
    pub fn browser(&self, row: &Row) -> &'static str {
        BROWSERS[usize::from(row.browser)]
    }

    /// The operating system.
    pub fn os(&self, row: &Row) -> &'static str {
        SYSTEMS[usize::from(row.os)]
    }

    /// `utm_source`, `utm_medium` and `utm_campaign`; empty without a campaign.
    pub fn campaign(&self, row: &Row) -> (&'static str, &'static str, String) {
        match row.campaign {
            0 => ("", "", String::new()),
            number => {
                let index = usize::from(number - 1);
                (UTM_SOURCES[index % UTM_SOURCES.len()], MEDIA[index % MEDIA.len()], format!("campaign-{number}"))
            }
        }
    }

    /// The name of a custom event; empty for a pageview.
    pub fn event_name(&self, row: &Row) -> String {
        if row.event == 0 { String::new() } else { format!("event-{}", row.event) }
    }

    /// The row as the event that a store is given: it arrived when it happened.
    pub fn event(&self, row: &Row, website: WebsiteId, columns: Columns) -> NewEvent {
        let at = Timestamp::from_millis(row.at);
        let kind = if row.event == 0 { EventKind::Pageview } else { EventKind::Custom };
        let mut event = Event::new(kind, at, VisitorId(row.visitor), SessionId(row.session));
        let mut texts = Dimensions::with_capacity(match columns {
            Columns::Harness => 96,
            Columns::Product => 224,
        });
        texts.set(Dimension::Path, self.path(row));
        texts.set(Dimension::EventName, &self.event_name(row));
        texts.set(Dimension::Referrer, self.referrer(row));
        texts.set(Dimension::Country, self.country(row));
        texts.set(Dimension::City, self.city(row));
        texts.set(Dimension::Browser, self.browser(row));
        texts.set(Dimension::Os, self.os(row));
        let (source, medium, campaign) = self.campaign(row);
        texts.set(Dimension::UtmSource, source);
        texts.set(Dimension::UtmMedium, medium);
        texts.set(Dimension::UtmCampaign, &campaign);
        if columns == Columns::Product {
            self.set_product_texts(row, &mut texts);
        }
        event.dimensions = texts;
        NewEvent::new(website, at, event)
    }

    fn set_product_texts(&self, row: &Row, texts: &mut Dimensions) {
        let mut of_visitor = Random(mix(row.visitor));
        texts.set(Dimension::Title, &self.titles[usize::from(row.path)]);
        texts.set(Dimension::Hostname, &self.hostnames[usize::from(row.website) % self.hostnames.len()]);
        texts.set(Dimension::Source, &self.referrer_hosts[usize::from(row.referrer)]);
        texts.set(
            Dimension::Channel,
            match (row.campaign, row.referrer) {
                (0, 0) => "Direct",
                (0, 1..50) => "Organic Search",
                (0, 50..150) => "Organic Social",
                (0, _) => "Referral",
                _ => "Paid Search",
            },
        );
        texts.set(Dimension::Region, &self.cities[usize::from(row.city) / 5 * 5]);
        texts
            .set(Dimension::BrowserVersion, ["141", "142", "140", "26.1", "18.6", "139"][of_visitor.below(6) as usize]);
        texts.set(Dimension::OsVersion, ["10", "11", "15", "26.1", "18.6", "14"][of_visitor.below(6) as usize]);
        let (device, screen) = match row.os {
            1 | 2 if of_visitor.below(8) == 0 => ("tablet", "md"),
            1 | 2 => ("mobile", "xs"),
            _ => ("desktop", ["lg", "xl", "md"][of_visitor.below(3) as usize]),
        };
        texts.set(Dimension::Device, device);
        texts.set(Dimension::ScreenClass, screen);
        texts.set(
            Dimension::Language,
            ["en-US", "en-GB", "de-DE", "fr-FR", "es-ES", "pt-BR", "ja-JP", "it-IT"][of_visitor.below(8) as usize],
        );
    }
}

impl Default for Texts {
    fn default() -> Self {
        Self::new()
    }
}

/// A pronounceable word of `syllables` syllables.
fn word(seed: u64, syllables: usize) -> String {
    const SYLLABLES: [&str; 32] = [
        "ba", "be", "co", "da", "del", "fi", "ga", "go", "ha", "in", "ka", "la", "le", "lo", "ma", "mi", "na", "nor",
        "or", "pa", "pe", "ra", "ri", "sa", "sen", "ta", "ti", "to", "ul", "va", "we", "zu",
    ];
    let mut random = Random(seed);
    (0..syllables).map(|_| SYLLABLES[random.below(32) as usize]).collect()
}

/// The cumulative shares of `count` values of which the n-th has a weight of n^-`exponent`.
fn zipf(count: usize, exponent: f64) -> Vec<f64> {
    let mut sum = 0.0;
    let mut cumulative: Vec<f64> = (1..=count)
        .map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        })
        .collect();
    for share in &mut cumulative {
        *share /= sum;
    }
    cumulative
}

/// Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014: SplitMix64. Written out because the
/// traffic must be the same in every version of every library.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        finish(self.0)
    }

    /// 0 ≤ x < 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    fn pick(&mut self, cumulative: &[f64]) -> usize {
        let point = self.unit();
        cumulative.partition_point(|&share| share <= point).min(cumulative.len() - 1)
    }
}

fn mix(value: u64) -> u64 {
    finish(value.wrapping_add(0x9e37_79b9_7f4a_7c15))
}

fn finish(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    const TRAFFIC: Traffic =
        Traffic { rows: 100_000, websites: 50, days: 90, end_day: 20_000, seed: 7, custom_events: false };

    fn rows() -> Vec<Row> {
        TRAFFIC.days().flatten().collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_rows_and_another_seed_others() {
        assert_eq!(rows(), rows());
        let other: Vec<Row> = Traffic { seed: 8, ..TRAFFIC }.days().flatten().collect();
        assert_ne!(rows(), other);
    }

    #[test]
    fn the_shape_is_the_one_that_the_comparison_is_about() {
        let rows = rows();
        assert_eq!(rows.len() as u64, TRAFFIC.rows);
        assert!(rows.is_sorted_by_key(|row| row.at), "days follow each other and are sorted");
        assert!(rows[0].at >= TRAFFIC.start_ms() && rows[rows.len() - 1].at < TRAFFIC.end_ms());

        let mut sessions: HashMap<u64, Vec<&Row>> = HashMap::new();
        for row in &rows {
            sessions.entry(row.session).or_default().push(row);
        }
        let per_row = sessions.len() as f64 / rows.len() as f64;
        assert!((0.35..0.40).contains(&per_row), "{per_row} sessions a row");
        let single = sessions.values().filter(|rows| rows.len() == 1).count() as f64 / sessions.len() as f64;
        assert!((0.43..0.47).contains(&single), "{single} of the sessions have one pageview");
        for session in sessions.values() {
            let first = session[0];
            assert!(session.len() <= 20);
            for row in session {
                assert_eq!(row.at / DAY_MS, first.at / DAY_MS, "a session stays within its day");
                assert_eq!(Row { at: first.at, path: first.path, ..**row }, *first, "only time and path change");
            }
        }

        let visitors: HashSet<u64> = rows.iter().map(|row| row.visitor).collect();
        let per_row = visitors.len() as f64 / rows.len() as f64;
        assert!((0.18..0.22).contains(&per_row), "{per_row} visitors a row");
        let largest = rows.iter().filter(|row| row.website == 0).count() as f64 / rows.len() as f64;
        assert!((0.12..0.20).contains(&largest), "the largest website has {largest} of the rows");
        let small = TRAFFIC.website_with_share(0.01);
        let share = rows.iter().filter(|row| row.website == small).count() as f64 / rows.len() as f64;
        assert!((0.007..0.013).contains(&share), "website {small} has {share} of the rows");
    }

    #[test]
    fn custom_events_change_nothing_else() {
        let with: Vec<Row> = Traffic { custom_events: true, ..TRAFFIC }.days().flatten().collect();
        let share = with.iter().filter(|row| row.event != 0).count() as f64 / with.len() as f64;
        assert!((0.025..0.04).contains(&share), "{share} of the rows are custom events");
        assert!(with.into_iter().map(|row| Row { event: 0, ..row }).eq(rows()));
    }

    #[test]
    fn every_text_is_named_once() {
        let texts = Texts::new();
        for list in [&texts.paths, &texts.referrers, &texts.cities] {
            assert_eq!(list.iter().collect::<HashSet<_>>().len(), list.len());
        }
        assert_eq!(COUNTRIES.iter().collect::<HashSet<_>>().len(), COUNTRIES.len());
        assert_eq!(texts.cities.len(), 3_000);
    }
}
