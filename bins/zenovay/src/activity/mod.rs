//! What the server did in the last hours, for whoever runs it: the differences of the counters that `/metrics` has, minute by
//! minute, and the slowest questions. All of it is in memory, within fixed bounds, and begins anew with the process; what is to
//! be kept for longer is read from `/metrics`.
//!
//! Nothing is counted here on the way of an event or a question: once a minute the page of metrics is read.
//!
//! | file | what is in it |
//! |---|---|
//! | `counts.rs` | which metrics are read, and what is made of them |
//! | `ring.rs` | the differences of an hour and of a day, and what grows |
//! | `slow.rs` | the slowest questions, and which route asked |

mod counts;
mod ring;
mod slow;

use parking_lot::Mutex;
use zenovay_domain::Timestamp;

pub use self::counts::{ClassCounts, Counts, Figures, Histogram, RequestClass};
use self::ring::Ring;
pub use self::ring::{Growth, Point};
pub use self::slow::{SlowEnd, SlowQuestion, SlowQuestions};
pub(crate) use self::slow::{asked_by, still_asked};
use crate::http::state::AppState;
use crate::process_figures;

/// How often the metrics are read.
const MINUTE_MS: i64 = 60_000;
/// How often the files of the data directory are measured, of which there may be many.
const MEASURED_EVERY_MS: i64 = 10 * MINUTE_MS;

/// How far back somebody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivityRange {
    /// An hour, minute by minute.
    Hour,
    /// A day, in steps of five minutes.
    Day,
}

impl ActivityRange {
    /// Every range.
    pub const ALL: [Self; 2] = [Self::Hour, Self::Day];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
        }
    }

    /// The length of a point in milliseconds.
    pub const fn step_ms(self) -> i64 {
        match self {
            Self::Hour => MINUTE_MS,
            Self::Day => 5 * MINUTE_MS,
        }
    }

    /// The most points.
    pub const fn points_max(self) -> usize {
        match self {
            Self::Hour => 60,
            Self::Day => 288,
        }
    }

    /// The length of the range in milliseconds.
    pub const fn length_ms(self) -> i64 {
        match self {
            Self::Hour => 60 * MINUTE_MS,
            Self::Day => 24 * 60 * MINUTE_MS,
        }
    }
}

/// What a range has.
#[derive(Debug, Clone)]
pub struct ActivityView {
    /// The points, the oldest first; none before the first minute is over.
    pub points: Vec<Point>,
    /// The figures that were read last, and when; `None` before they were.
    pub latest: Option<(Timestamp, Figures)>,
    /// What grows, by all that is known of the last day.
    pub growth: Growth,
}

impl ActivityView {
    /// The counts of the whole range.
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        for point in &self.points {
            total.add(&point.counts);
        }
        total
    }
}

/// The last hours of the server.
#[derive(Debug)]
pub struct Activity {
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    hour: Ring,
    day: Ring,
    /// What was read last, and when.
    latest: Option<(Timestamp, Counts, Figures)>,
    measured_at: Option<Timestamp>,
}

impl Default for Activity {
    fn default() -> Self {
        let ring = |range: ActivityRange| Ring::new(range.step_ms(), range.points_max());
        let (hour, day) = (ring(ActivityRange::Hour), ring(ActivityRange::Day));
        Self { known: Mutex::new(Known { hour, day, latest: None, measured_at: None }) }
    }
}

impl Activity {
    /// Reads the metrics, when a minute began since they were read last. To be called every few seconds, by one thread. Blocks.
    pub fn look(&self, state: &AppState) {
        let now = state.clock.reading().steady;
        let (is_due, must_measure, data_bytes) = {
            let known = self.known.lock();
            let (at, data_bytes) =
                known.latest.as_ref().map_or((None, None), |(at, _, figures)| (Some(*at), figures.data_bytes));
            let is_old = |at: Timestamp| !(0..MEASURED_EVERY_MS).contains(&now.millis_since(at));
            (at.is_none_or(|at| minute(at) != minute(now)), known.measured_at.is_none_or(is_old), data_bytes)
        };
        if !is_due {
            return;
        }
        let data_bytes = if must_measure { process_figures::bytes_below(&state.config.data_dir) } else { data_bytes };
        let page = state.metrics.render(&*state.events);
        let (counts, figures) = counts::read(&page, data_bytes);
        let mut known = self.known.lock();
        if must_measure {
            known.measured_at = Some(now);
        }
        known.note(now, counts, figures);
    }

    /// What is known of a range.
    pub fn view(&self, range: ActivityRange) -> ActivityView {
        let known = self.known.lock();
        let ring = match range {
            ActivityRange::Hour => &known.hour,
            ActivityRange::Day => &known.day,
        };
        ActivityView {
            points: ring.points().cloned().collect(),
            latest: known.latest.as_ref().map(|(at, _, figures)| (*at, *figures)),
            growth: Growth::of(known.day.points()),
        }
    }
}

impl Known {
    /// What was read at `now`: of the time since the last reading the counts are those that were added to it.
    fn note(&mut self, now: Timestamp, counts: Counts, figures: Figures) {
        if let Some((before, earlier, _)) = &self.latest {
            let point = Point::new(*before, now, counts.since(earlier), figures);
            self.hour.add(&point);
            self.day.add(&point);
        }
        self.latest = Some((now, counts, figures));
    }
}

const fn minute(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(MINUTE_MS)
}
