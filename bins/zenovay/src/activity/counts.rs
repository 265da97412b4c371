//! Which metrics are read for the last hours, and what is made of their lines. No other place knows.

use std::collections::HashMap;
use std::sync::LazyLock;

use zenovay_ingest::Outcome;

use crate::http::EVENT_ROUTES;
use crate::http::cors::Origins;
use crate::http::routes;
use crate::telemetry::{ROUTE_SECONDS, Sample};

/// What requests are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestClass {
    /// They bring events, or what pages tell beside events. Such a request is answered when what it brought is safe.
    Events,
    /// They ask or change something: people in the console, keys, assistants.
    Api,
    /// Pages, files and checks whether the server is well.
    Pages,
}

impl RequestClass {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Events, Self::Api, Self::Pages];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Api => "api",
            Self::Pages => "pages",
        }
    }

    /// That of a route.
    fn of(pattern: &str) -> Self {
        /// The routes that are for events.
        static EVENTS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
            let brings =
                routes::all().filter(|route| route.origins == Origins::Asking || EVENT_ROUTES.contains(&route.path));
            brings.map(|route| route.path).collect()
        });
        if EVENTS.contains(&pattern) {
            Self::Events
        } else if (pattern.starts_with("/api/") && !pattern.starts_with(routes::FIRST_PARTY)) || pattern == "/mcp" {
            Self::Api
        } else {
            Self::Pages
        }
    }
}

/// How many requests took how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Histogram([u64; ROUTE_SECONDS.len() + 1]);

impl Histogram {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The milliseconds that `part` of them, 0 to 1, did not exceed, as Prometheus estimates it: evenly between the bounds of a
    /// bucket, and no more than the highest bound. `None` where there were none.
    pub fn quantile_ms(&self, part: f64) -> Option<f64> {
        let count = self.count();
        let rank = part * count as f64;
        let (mut below, mut from) = (0_u64, 0.0);
        for (&inside, &to) in self.0.iter().zip(ROUTE_SECONDS) {
            if inside > 0 && (below + inside) as f64 >= rank {
                let share = ((rank - below as f64) / inside as f64).clamp(0.0, 1.0);
                return Some((from + (to - from) * share) * 1_000.0);
            }
            (below, from) = (below + inside, to);
        }
        (count > 0).then_some(from * 1_000.0)
    }

    fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(own, other)| *own += other);
    }

    fn since(&self, earlier: &Self) -> Self {
        let mut since = *self;
        since.0.iter_mut().zip(earlier.0).for_each(|(now, before)| *now = now.saturating_sub(before));
        since
    }
}

/// The requests of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClassCounts {
    /// All of them, by how long they took.
    pub times: Histogram,
    /// Those that were answered with 4xx.
    pub client_errors: u64,
    /// Those that were answered with 5xx.
    pub server_errors: u64,
}

/// What was counted, until a moment or in some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// How many requests and rows ended in each of [`Outcome::all`].
    outcomes: Box<[u64]>,
    classes: [ClassCounts; RequestClass::ALL.len()],
    /// Slow questions.
    pub slow_questions: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self { outcomes: Outcome::all().map(|_| 0).collect(), classes: Default::default(), slow_questions: 0 }
    }
}

impl Counts {
    #[cfg(test)]
    pub(super) fn of_slow(slow_questions: u64) -> Self {
        Self { slow_questions, ..Self::default() }
    }

    /// Each outcome with how often it was.
    pub fn outcomes(&self) -> impl Iterator<Item = (Outcome, u64)> {
        Outcome::all().zip(self.outcomes.iter().copied())
    }

    /// How many requests and rows ended in an outcome of the kind `kind`: `stored`, `dropped` or `refused`.
    pub fn of_kind(&self, kind: &str) -> u64 {
        self.outcomes().filter(|(outcome, _)| outcome.as_str() == kind).map(|(_, count)| count).sum()
    }

    /// The requests of a class.
    pub fn class(&self, class: RequestClass) -> &ClassCounts {
        &self.classes[class as usize]
    }

    /// Adds what was counted in another time.
    pub fn add(&mut self, other: &Self) {
        self.outcomes.iter_mut().zip(&other.outcomes).for_each(|(own, other)| *own += other);
        for (own, other) in self.classes.iter_mut().zip(&other.classes) {
            own.times.add(&other.times);
            own.client_errors += other.client_errors;
            own.server_errors += other.server_errors;
        }
        self.slow_questions += other.slow_questions;
    }

    /// What was counted since `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        since.outcomes.iter_mut().zip(&earlier.outcomes).for_each(|(now, before)| *now = now.saturating_sub(*before));
        for (now, before) in since.classes.iter_mut().zip(&earlier.classes) {
            now.times = now.times.since(&before.times);
            now.client_errors = now.client_errors.saturating_sub(before.client_errors);
            now.server_errors = now.server_errors.saturating_sub(before.server_errors);
        }
        since.slow_questions = since.slow_questions.saturating_sub(earlier.slow_questions);
        since
    }
}

/// Figures of a moment. What the machine does not tell is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Appends that wait for the writer.
    pub queue: u64,
    /// Space left on the disk of the data directory, in bytes.
    pub disk_free_bytes: Option<u64>,
    /// Size of that disk in bytes.
    pub disk_size_bytes: Option<u64>,
    /// What the files of the data directory occupy, in bytes.
    pub data_bytes: Option<u64>,
    /// Memory that the process occupies, in bytes.
    pub memory_bytes: Option<u64>,
}

/// Reads the page of metrics `page`. What the data directory occupies is not on it.
pub(super) fn read(page: &str, data_bytes: Option<u64>) -> (Counts, Figures) {
    let places: HashMap<(&str, &str), usize> =
        Outcome::all().enumerate().map(|(place, outcome)| ((outcome.as_str(), outcome.reason()), place)).collect();
    let (mut counts, mut figures) = (Counts::default(), Figures { data_bytes, ..Figures::default() });
    for sample in page.lines().filter_map(Sample::read) {
        let Ok(value) = sample.value.parse::<u64>() else { continue };
        let class = || Some(RequestClass::of(sample.label("route")?) as usize);
        match sample.name {
            "zenovay_ingest_outcomes_total" => {
                let outcome = sample.label("outcome").zip(sample.label("reason"));
                if let Some(&place) = outcome.and_then(|outcome| places.get(&outcome)) {
                    counts.outcomes[place] += value;
                }
            }
            "zenovay_http_request_duration_seconds_bucket" => {
                let bound = sample.label("le").and_then(|le| le.parse::<f64>().ok());
                let (Some(class), Some(bound)) = (class(), bound) else { continue };
                let place = ROUTE_SECONDS.iter().position(|known| *known == bound).unwrap_or(ROUTE_SECONDS.len());
                counts.classes[class].times.0[place] += value;
            }
            "zenovay_http_requests_total" => {
                let (Some(class), Some(status)) = (class(), sample.label("status")) else { continue };
                let class = &mut counts.classes[class];
                match status.as_bytes().first() {
                    Some(b'4') => class.client_errors += value,
                    Some(b'5') => class.server_errors += value,
                    _ => {}
                }
            }
            "zenovay_slow_questions_total" => counts.slow_questions = value,
            "zenovay_write_queue_depth" => figures.queue = value,
            "zenovay_disk_free_bytes" => figures.disk_free_bytes = Some(value),
            "zenovay_disk_size_bytes" => figures.disk_size_bytes = Some(value),
            "process_resident_memory_bytes" => figures.memory_bytes = Some(value),
            _ => {}
        }
    }
    // On the page each bucket has those before it.
    for class in &mut counts.classes {
        let mut before = 0;
        for bucket in &mut class.times.0 {
            before = std::mem::replace(bucket, bucket.saturating_sub(before));
        }
    }
    (counts, figures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenovay_ingest::{DropReason, RefusalReason};

    /// The lines of a route that answered `within` requests in at most 2.5 ms and `beyond` more in at most 100 ms.
    fn route(pattern: &str, within: u64, beyond: u64) -> String {
        let mut page = String::new();
        for bound in ROUTE_SECONDS {
            let count = if *bound < 0.0025 {
                0
            } else if *bound < 0.1 {
                within
            } else {
                within + beyond
            };
            page += &format!(
                "zenovay_http_request_duration_seconds_bucket{{route=\"{pattern}\",le=\"{bound}\"}} {count}\n"
            );
        }
        page + &format!(
            "zenovay_http_request_duration_seconds_bucket{{route=\"{pattern}\",le=\"+Inf\"}} {0}\n\
             zenovay_http_request_duration_seconds_sum{{route=\"{pattern}\"}} 1.5\n\
             zenovay_http_request_duration_seconds_count{{route=\"{pattern}\"}} {0}\n",
            within + beyond
        )
    }

    /// Sabotage: take the buckets of the page as they are, or count routes of events among the others.
    #[test]
    fn what_is_counted_is_read_from_the_page_of_metrics() {
        let page = [
            "# HELP zenovay_write_queue_depth Appends that wait for the writer. 7",
            "zenovay_ingest_outcomes_total{outcome=\"stored\",reason=\"\"} 12",
            "zenovay_ingest_outcomes_total{outcome=\"dropped\",reason=\"gpc_opted_out\"} 3",
            "zenovay_ingest_outcomes_total{outcome=\"refused\",reason=\"gpc_opted_out\"} 4",
            "zenovay_ingest_outcomes_total{outcome=\"refused\",reason=\"of_tomorrow\"} 5",
            "zenovay_http_requests_total{route=\"/e/{code}\",status=\"2xx\"} 90",
            "zenovay_http_requests_total{route=\"/e/{code}\",status=\"429\"} 10",
            "zenovay_http_requests_total{route=\"/api/_z/e/{code}\",status=\"503\"} 2",
            "zenovay_slow_questions_total 6",
            "zenovay_write_queue_depth 7",
            "zenovay_disk_free_bytes 1000000000000",
            "process_resident_memory_bytes 52428800",
        ]
        .join("\n")
            + "\n"
            + &route("/e/{code}", 90, 10)
            + &route("/api/_z/e/{code}", 0, 2)
            + &route("/api/v1/events", 1, 0)
            + &route("/api/websites/{website_id}/totals", 0, 4)
            + &route("unmatched", 5, 0)
            + &route("/api/_z/z.js", 1, 0);
        let (counts, figures) = read(&page, Some(9));
        let of = |outcome| counts.outcomes().find(|(known, _)| *known == outcome).map(|(_, count)| count);
        assert_eq!(of(Outcome::Stored), Some(12));
        assert_eq!(of(Outcome::Dropped(DropReason::GpcOptedOut)), Some(3));
        assert_eq!(of(Outcome::Refused(RefusalReason::GpcOptedOut)), Some(4));
        assert_eq!(["stored", "dropped", "refused"].map(|kind| counts.of_kind(kind)), [12, 3, 4]);
        let counted = RequestClass::ALL.map(|class| counts.class(class).times.count());
        assert_eq!(counted, [103, 4, 6]);
        let events = counts.class(RequestClass::Events);
        assert_eq!((events.client_errors, events.server_errors), (10, 2));
        assert_eq!(counts.slow_questions, 6);
        let free = Some(1_000_000_000_000);
        let expected = Figures {
            queue: 7,
            disk_free_bytes: free,
            disk_size_bytes: None,
            data_bytes: Some(9),
            memory_bytes: Some(52_428_800),
        };
        assert_eq!(figures, expected);
    }

    /// Sabotage: begin each bucket at zero.
    #[test]
    fn times_are_estimated_within_their_bucket() {
        let (counts, _) = read(&route("/e/{code}", 90, 10), None);
        let times = &counts.class(RequestClass::Events).times;
        // 90 of 100 between 1 and 2.5 ms, 10 between 50 and 100 ms.
        assert_eq!(times.quantile_ms(0.5).map(|ms| (ms * 1_000.0).round()), Some(1_833.0));
        assert_eq!(times.quantile_ms(0.95).map(|ms| (ms * 1_000.0).round()), Some(75_000.0));
        assert_eq!(times.quantile_ms(1.0), Some(100.0));
        assert_eq!(Histogram::default().quantile_ms(0.5), None);
        let mut endless = Histogram::default();
        endless.0[ROUTE_SECONDS.len()] = 1;
        assert_eq!(endless.quantile_ms(0.5), Some(30_000.0), "no more is known than that it took longer");
    }

    /// Sabotage: add where something is taken away.
    #[test]
    fn what_was_counted_in_a_time_is_the_difference() {
        let (early, _) = read(&route("/mcp", 1, 1), None);
        let (late, _) = read(&route("/mcp", 4, 3), None);
        let mut whole = early.clone();
        whole.add(&late.since(&early));
        assert_eq!(whole, late);
        assert_eq!(late.since(&early).class(RequestClass::Api).times.count(), 5);
        assert_eq!(early.since(&late), Counts::default(), "counters that began anew count nothing");
    }
}
