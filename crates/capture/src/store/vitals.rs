//! Questions about web vitals. Percentiles are exact: all values are counted, none is estimated.

use std::collections::BTreeMap;
use std::collections::HashMap;

use rusqlite::{Connection, params};
use zenovay_domain::{Timestamp, WebsiteId};

use super::apply::{scale, stored};
use super::schema::shown;
use super::{Captures, Filter, QUESTION_MAX_BYTES, Row};
use crate::CaptureError;
use crate::vitals::{Rating, Vital};

/// What is asked about vitals.
#[derive(Debug, Clone, Copy)]
pub struct VitalsQuery<'a> {
    /// What counts.
    pub filter: Filter<'a>,
    /// Where buckets of the series begin, ascending; the first not after the range.
    pub buckets: &'a [Timestamp],
    /// The most pages that are told, those with the most views first.
    pub pages: usize,
}

/// What a metric was like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MetricSummary {
    /// How many page views have a value.
    pub count: u64,
    /// The value that three quarters of them do not exceed: the least value of which that is true.
    pub p75: f64,
    /// How that is.
    pub rating: Rating,
    /// How many were good, in need of improvement, and poor.
    pub ratings: [u64; 3],
}

/// The metrics of something, in the order of [`Vital::ALL`]; `None` without a value.
pub type Metrics = [Option<MetricSummary>; 5];

/// The vitals of a page, or of a kind of device.
#[derive(Debug, Clone, PartialEq)]
pub struct PageVitals {
    /// The path, or the kind of device.
    pub name: String,
    /// How many page views there are.
    pub views: u64,
    /// Its metrics.
    pub metrics: Metrics,
}

/// The vitals of a bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucketed {
    /// Where it begins.
    pub at: Timestamp,
    /// How many page views there are.
    pub views: u64,
    /// The 75th percentiles, in the order of [`Vital::ALL`].
    pub p75: [Option<f64>; 5],
}

/// What was asked about vitals.
#[derive(Debug, Clone, PartialEq)]
pub struct VitalsReport {
    /// How many page views there are.
    pub views: u64,
    /// All together.
    pub metrics: Metrics,
    /// By the kind of device, the one with the most views first.
    pub devices: Vec<PageVitals>,
    /// By page, the one with the most views first.
    pub pages: Vec<PageVitals>,
    /// How many pages there are.
    pub pages_total: u64,
    /// Over time.
    pub series: Vec<Bucketed>,
}

/// How often each value occurred, of each metric.
#[derive(Default)]
struct Counts {
    views: u64,
    values: [BTreeMap<i64, u32>; 5],
}

/// What an entry of a map takes, about.
const ENTRY_BYTES: usize = 24;

impl Counts {
    /// Adds the values of a view, and tells how much memory that took.
    fn add(&mut self, values: [Option<i64>; 5]) -> usize {
        self.views += 1;
        let mut bytes = 0;
        for (counts, value) in self.values.iter_mut().zip(values) {
            if let Some(value) = value {
                let count = counts.entry(value).or_insert_with(|| {
                    bytes += ENTRY_BYTES;
                    0
                });
                *count += 1;
            }
        }
        bytes
    }

    fn metrics(&self) -> Metrics {
        Vital::ALL.map(|vital| summary(vital, &self.values[vital as usize]))
    }
}

fn summary(vital: Vital, counts: &BTreeMap<i64, u32>) -> Option<MetricSummary> {
    let count: u64 = counts.values().map(|count| u64::from(*count)).sum();
    // Nearest rank: the value in place ⌈¾ n⌉.
    let rank = (count * 3).div_ceil(4);
    let mut before = 0;
    let value = counts.iter().find_map(|(value, count)| {
        before += u64::from(*count);
        (before >= rank).then_some(*value)
    })?;
    let (good, poor) = vital.bounds();
    let up_to = |bound: f64| -> u64 { counts.range(..=stored(vital, bound)).map(|(_, count)| u64::from(*count)).sum() };
    let (good, not_poor) = (up_to(good), up_to(poor));
    let p75 = value_of(vital, value);
    Some(MetricSummary { count, p75, rating: vital.rate(p75), ratings: [good, not_poor - good, count - not_poor] })
}

pub(super) fn value_of(vital: Vital, stored: i64) -> f64 {
    stored as f64 / scale(vital)
}

impl Captures {
    /// The vitals of `website`.
    ///
    /// # Errors
    /// [`CaptureError::TooLarge`] when there are too many different pages and values; or when it cannot be read.
    pub fn vitals(&self, website: WebsiteId, query: &VitalsQuery<'_>) -> Result<VitalsReport, CaptureError> {
        self.catch_up()?;
        self.read(|connection| gather(connection, website.as_bytes(), query))?.ok_or(CaptureError::TooLarge)
    }
}

/// `None` when it is too much.
fn gather(
    connection: &Connection,
    website: &[u8; 16],
    query: &VitalsQuery<'_>,
) -> Result<Option<VitalsReport>, rusqlite::Error> {
    let range = shown(connection, website, query.filter.range)?;
    let mut statement = connection.prepare(
        "SELECT at, path, device, browser, browser_version, os, country, lcp, cls, inp, fcp, ttfb FROM vitals
             WHERE website = ?1 AND at >= ?2 AND at < ?3",
    )?;
    let mut rows = statement.query(params![website, range.from.as_millis(), range.to.as_millis()])?;
    let mut all = Counts::default();
    let (mut devices, mut pages): (HashMap<String, Counts>, HashMap<String, Counts>) = Default::default();
    let mut series: Vec<Counts> = query.buckets.iter().map(|_| Counts::default()).collect();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let text = |column: usize| row.get_ref(column).and_then(|value| Ok(value.as_str()?));
        let seen = Row {
            path: text(1)?,
            device: text(2)?,
            browser: text(3)?,
            browser_version: text(4)?,
            os: text(5)?,
            country: text(6)?,
        };
        if !query.filter.keeps(&seen) {
            continue;
        }
        let values: [Option<i64>; 5] = [row.get(7)?, row.get(8)?, row.get(9)?, row.get(10)?, row.get(11)?];
        bytes += all.add(values);
        let at: i64 = row.get(0)?;
        let bucket = query.buckets.partition_point(|start| start.as_millis() <= at);
        if let Some(counts) = bucket.checked_sub(1).and_then(|bucket| series.get_mut(bucket)) {
            bytes += counts.add(values);
        }
        for (map, name) in [(&mut devices, seen.device), (&mut pages, seen.path)] {
            let counts = match map.get_mut(name) {
                Some(counts) => counts,
                None => {
                    bytes += size_of::<Counts>() + name.len() + 64;
                    map.entry(name.to_owned()).or_default()
                }
            };
            bytes += counts.add(values);
        }
        if bytes > QUESTION_MAX_BYTES {
            return Ok(None);
        }
    }
    let pages_total = pages.len() as u64;
    let series = query.buckets.iter().zip(&series).map(|(at, counts)| Bucketed {
        at: *at,
        views: counts.views,
        p75: counts.metrics().map(|metric| metric.map(|metric| metric.p75)),
    });
    Ok(Some(VitalsReport {
        views: all.views,
        metrics: all.metrics(),
        devices: ranked(devices, usize::MAX),
        pages: ranked(pages, query.pages),
        pages_total,
        series: series.collect(),
    }))
}

/// The `most` entries with the most views.
fn ranked(counts: HashMap<String, Counts>, most: usize) -> Vec<PageVitals> {
    let mut ranked: Vec<(String, Counts)> = counts.into_iter().collect();
    ranked.sort_by(|(name, counts), (other, more)| more.views.cmp(&counts.views).then_with(|| name.cmp(other)));
    ranked.truncate(most);
    let told = |(name, counts): (String, Counts)| PageVitals { name, views: counts.views, metrics: counts.metrics() };
    ranked.into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Sabotage: take the rank one lower.
        #[test]
        fn the_percentile_is_that_of_the_sorted_values(values in prop::collection::vec(0..50_000_i64, 1..200)) {
            let mut counts = Counts::default();
            for value in &values {
                counts.add([Some(*value), None, None, None, None]);
            }
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let expected = sorted[(values.len() * 3).div_ceil(4) - 1];
            let found = counts.metrics()[0].unwrap();
            prop_assert_eq!(found.p75, value_of(Vital::Lcp, expected));
            let rate = |rating| values.iter().filter(|v| Vital::Lcp.rate(value_of(Vital::Lcp, **v)) == rating).count() as u64;
            prop_assert_eq!(found.ratings, [Rating::Good, Rating::NeedsImprovement, Rating::Poor].map(rate));
            prop_assert_eq!((found.count, counts.metrics()[1]), (values.len() as u64, None));
        }
    }
}
