//! The differences of a time in equal steps: the oldest go when there are too many, so that the memory is bounded.

use std::collections::VecDeque;

use zenovay_domain::Timestamp;

use super::counts::{Counts, Figures};

const DAY_MS: f64 = 24.0 * 3_600_000.0;
/// Of a shorter time no growth is told: files are merged and copied, and an hour of that says nothing of a day.
const GROWTH_KNOWN_AFTER_MS: i64 = 6 * 3_600_000;

/// What happened in a step of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// When the step began.
    pub at: Timestamp,
    /// For how much of it something is known, in milliseconds: 0 where nobody looked.
    pub measured_ms: i64,
    /// What was counted.
    pub counts: Counts,
    /// The figures at its end, and of the queue the longest that was seen.
    pub figures: Figures,
}

impl Point {
    /// What was counted from `from` to `to`, with the figures of `to`.
    pub(super) fn new(from: Timestamp, to: Timestamp, counts: Counts, figures: Figures) -> Self {
        Self { at: from, measured_ms: to.millis_since(from).max(0), counts, figures }
    }

    /// Whether somebody looked.
    pub fn is_measured(&self) -> bool {
        self.measured_ms > 0
    }

    fn empty(at: Timestamp) -> Self {
        Self { at, measured_ms: 0, counts: Counts::default(), figures: Figures::default() }
    }

    fn absorb(&mut self, later: &Self) {
        self.measured_ms += later.measured_ms;
        self.counts.add(&later.counts);
        self.figures = Figures { queue: self.figures.queue.max(later.figures.queue), ..later.figures };
    }
}

/// The last steps.
#[derive(Debug)]
pub(super) struct Ring {
    step_ms: i64,
    max: usize,
    points: VecDeque<Point>,
}

impl Ring {
    /// At most `max` steps of `step_ms` milliseconds.
    pub(super) fn new(step_ms: i64, max: usize) -> Self {
        Self { step_ms, max, points: VecDeque::new() }
    }

    /// Adds `point` to the step in which it began. Steps in between, in which nobody looked, are there and empty. What began
    /// before the last step, because the clock was set, counts to that.
    pub(super) fn add(&mut self, point: &Point) {
        let step = point.at.as_millis().div_euclid(self.step_ms) * self.step_ms;
        let at = Timestamp::from_millis(step);
        let kept_ms = self.step_ms.saturating_mul(i64::try_from(self.max).unwrap_or(i64::MAX));
        if self.points.back().is_some_and(|last| at.millis_since(last.at) >= kept_ms) {
            self.points.clear();
        }
        while let Some(last) = self.points.back().map(|last| last.at).filter(|last| *last < at) {
            self.points.push_back(Point::empty(last.plus_millis(self.step_ms)));
        }
        match self.points.back_mut() {
            Some(last) => last.absorb(point),
            None => self.points.push_back(Point { at, ..point.clone() }),
        }
        while self.points.len() > self.max {
            self.points.pop_front();
        }
    }

    /// The steps, the oldest first.
    pub(super) fn points(&self) -> impl Iterator<Item = &Point> + Clone {
        self.points.iter()
    }
}

/// What grows, and how fast. `None` where it is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Growth {
    /// By how many bytes the data directory grows in a day; below zero where it shrinks.
    pub data_bytes_per_day: Option<f64>,
    /// By how many bytes the free space of the disk shrinks in a day, whatever fills it; below zero where it grows.
    pub disk_bytes_per_day: Option<f64>,
}

impl Growth {
    /// By the straight line that is nearest to all of `points`, so that files that are there for minutes move it little.
    pub(super) fn of<'a>(points: impl Iterator<Item = &'a Point> + Clone) -> Self {
        let measured = points.filter(|point| point.is_measured());
        let of = |figure: fn(&Figures) -> Option<u64>| {
            slope_per_day(measured.clone().filter_map(|point| Some((point.at, figure(&point.figures)?))))
        };
        Self {
            data_bytes_per_day: of(|figures| figures.data_bytes),
            disk_bytes_per_day: of(|figures| figures.disk_free_bytes).map(|free| -free),
        }
    }
}

/// The slope of the line of least squares through `values`.
fn slope_per_day(values: impl Iterator<Item = (Timestamp, u64)> + Clone) -> Option<f64> {
    let (first, _) = values.clone().next()?;
    let (last, _) = values.clone().last()?;
    if last.millis_since(first) < GROWTH_KNOWN_AFTER_MS {
        return None;
    }
    let days = values.map(|(at, value)| (at.millis_since(first) as f64 / DAY_MS, value as f64));
    let count = days.clone().count() as f64;
    let (sum_day, sum_value) =
        days.clone().fold((0.0, 0.0), |(days, values), (day, value)| (days + day, values + value));
    let (mean_day, mean_value) = (sum_day / count, sum_value / count);
    let (both, squares) = days.fold((0.0, 0.0), |(both, squares), (day, value)| {
        (both + (day - mean_day) * (value - mean_value), squares + (day - mean_day).powi(2))
    });
    Some(both / squares)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 60_000;

    /// So many minutes after an hour began.
    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(1_781_352_000_000 + minutes * MINUTE_MS)
    }

    fn point(from: i64, to: i64, slow_questions: u64, queue: u64, bytes: u64) -> Point {
        let counts = Counts::of_slow(slow_questions);
        let figures =
            Figures { queue, data_bytes: Some(bytes), disk_free_bytes: Some(1_000_000 - bytes), ..Figures::default() };
        Point::new(at(from), at(to), counts, figures)
    }

    fn told(ring: &Ring) -> Vec<(i64, i64, u64, u64)> {
        let minutes = |ms: i64| ms / MINUTE_MS;
        let tell = |point: &Point| {
            let from = minutes(point.at.millis_since(at(0)));
            (from, minutes(point.measured_ms), point.counts.slow_questions, point.figures.queue)
        };
        ring.points().map(tell).collect()
    }

    /// Sabotage: keep one step more, take the last queue for the longest, or leave steps out in which nobody looked.
    #[test]
    fn minutes_are_put_together_and_the_oldest_go() {
        let mut ring = Ring::new(5 * MINUTE_MS, 3);
        for minute in 0..7 {
            ring.add(&point(minute, minute + 1, 1, if minute == 1 { 9 } else { 2 }, 0));
        }
        assert_eq!(told(&ring), [(0, 5, 5, 9), (5, 2, 2, 2)]);
        assert_eq!(ring.points().next().unwrap().figures.data_bytes, Some(0));
        ring.add(&point(16, 17, 4, 0, 0));
        assert_eq!(told(&ring), [(5, 2, 2, 2), (10, 0, 0, 0), (15, 1, 4, 0)]);
        // A clock that was set back.
        ring.add(&point(3, 4, 1, 0, 0));
        assert_eq!(told(&ring).last(), Some(&(15, 2, 5, 0)));
        // A machine that slept for longer than anything is kept.
        ring.add(&point(1_000, 1_001, 1, 0, 0));
        assert_eq!(told(&ring), [(1_000, 1, 1, 0)]);
    }

    /// Sabotage: tell the growth of an hour, or of the first and last point alone.
    #[test]
    fn growth_is_that_of_the_whole_time() {
        let of = |hours: i64, bytes: fn(i64) -> u64| {
            let points: Vec<Point> =
                (0..=hours).map(|hour| point(hour * 60, hour * 60 + 1, 0, 0, bytes(hour))).collect();
            Growth::of(points.iter())
        };
        let per_day =
            |growth: Growth| (growth.data_bytes_per_day.map(f64::round), growth.disk_bytes_per_day.map(f64::round));
        assert_eq!(per_day(of(5, |hour| 100 * u64::try_from(hour).unwrap())), (None, None));
        assert_eq!(per_day(of(6, |hour| 100 * u64::try_from(hour).unwrap())), (Some(2_400.0), Some(2_400.0)));
        assert_eq!(per_day(of(23, |_| 5)), (Some(0.0), Some(0.0)));
        // A copy that was made in the last hour.
        let (copy, _) = per_day(of(23, |hour| if hour == 23 { 2_400 } else { 0 }));
        assert!(copy.is_some_and(|copy| copy < 1_000.0), "{copy:?}");
        assert_eq!(per_day(Growth::of([].iter())), (None, None));
    }
}
