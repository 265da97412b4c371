//! Which segments are merged next.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::EmbeddedConfig;
use crate::segment::Segment;

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) rows: u64,
    /// Its strings, unpacked.
    pub(crate) bytes: u64,
}

/// Of segments of these sizes, in the order of arrival, a run of neighbours to merge: at least `merge_fan_in` of them, the
/// smallest size classes first, together at most `merge_rows_max` rows and `merge_bytes_max` bytes, and none larger than the
/// others together, so that no row is rewritten before its segment at least doubles. Neighbours only, so that rows of the
/// same time keep the order of their arrival; `None` stands for one that is set aside.
pub(crate) fn merge_run(sizes: &[Option<Size>], config: &EmbeddedConfig) -> Option<std::ops::Range<usize>> {
    let fan_in = config.merge_fan_in.max(2);
    let class = |size: Size| size.rows.max(1).ilog(fan_in as u64);
    let mut classes: Vec<u32> = sizes.iter().flatten().map(|&size| class(size)).collect();
    classes.sort_unstable();
    classes.dedup();
    for highest in classes {
        for start in 0..sizes.len() {
            let (mut run, mut rows, mut bytes, mut largest) = (0, 0u64, 0u64, 0);
            for size in sizes[start..].iter().take(fan_in.saturating_mul(2)) {
                let Some(size) = size.filter(|&size| class(size) <= highest) else { break };
                let more = (rows.saturating_add(size.rows), bytes.saturating_add(size.bytes));
                if more.0 > config.merge_rows_max || more.1 > config.merge_bytes_max {
                    break;
                }
                ((rows, bytes), run, largest) = (more, run + 1, largest.max(size.rows));
            }
            if run >= fan_in && largest <= rows - largest {
                return Some(start..start + run);
            }
        }
    }
    None
}

/// Segments that are not merged for a while, because that failed.
#[derive(Default)]
pub(crate) struct SetAside(HashMap<u64, Failure>);

struct Failure {
    times: u32,
    until: Instant,
}

impl SetAside {
    /// The pause after the first failure; doubled by each further one, up to about a day.
    const PAUSE: Duration = Duration::from_secs(60);
    const DOUBLINGS_MAX: u32 = 10;

    pub(crate) fn add(&mut self, ids: &[u64], now: Instant) {
        for &id in ids {
            let failed = self.0.entry(id).or_insert(Failure { times: 0, until: now });
            failed.until = now + Self::PAUSE * (1 << failed.times.min(Self::DOUBLINGS_MAX));
            failed.times += 1;
        }
    }

    pub(crate) fn holds(&self, id: u64, now: Instant) -> bool {
        self.0.get(&id).is_some_and(|failed| now < failed.until)
    }

    pub(crate) fn forget_all_but(&mut self, segments: &[Arc<Segment>]) {
        self.0.retain(|id, _| segments.iter().any(|segment| segment.meta.id == *id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge_run(rows: &[u64], merge_fan_in: usize, merge_rows_max: u64) -> Option<std::ops::Range<usize>> {
        let config = EmbeddedConfig::new("").with(|config| {
            config.merge_fan_in = merge_fan_in;
            config.merge_rows_max = merge_rows_max;
        });
        let size = |&rows: &u64| (rows < u64::MAX).then_some(Size { rows, bytes: 100 });
        let sizes: Vec<_> = rows.iter().map(size).collect();
        super::merge_run(&sizes, &config)
    }

    /// Sabotage: count rows alone.
    #[test]
    fn long_strings_end_a_run_and_what_is_set_aside_is_passed_over() {
        let config = EmbeddedConfig::new("").with(|config| config.merge_bytes_max = 1_000);
        let size = |bytes| Some(Size { rows: 10, bytes });
        assert_eq!(super::merge_run(&[size(250); 8], &config), Some(0..4));
        assert_eq!(super::merge_run(&[size(251); 8], &config), None);
        let sizes = [size(600), size(600), size(1), size(1), size(1), size(1)];
        assert_eq!(super::merge_run(&sizes, &config), Some(1..6));
        assert_eq!(super::merge_run(&[size(1), size(1), None, size(1), size(1), size(1)], &config), None);
        let sizes = [size(1), None, size(1), size(1), size(1), size(1)];
        assert_eq!(super::merge_run(&sizes, &config), Some(2..6));
    }

    #[test]
    fn a_pause_grows_with_each_failure_and_has_an_end() {
        let (mut aside, start) = (SetAside::default(), Instant::now());
        let minutes = |minutes: u64| start + Duration::from_secs(60 * minutes);
        aside.add(&[7], start);
        assert!(aside.holds(7, minutes(0)) && !aside.holds(7, minutes(1)) && !aside.holds(8, minutes(0)));
        aside.add(&[7, 8], minutes(1));
        assert!(aside.holds(7, minutes(2)) && !aside.holds(7, minutes(3)) && !aside.holds(8, minutes(2)));
        for _ in 0..100 {
            aside.add(&[7], start);
        }
        assert!(aside.holds(7, minutes(1_023)) && !aside.holds(7, minutes(1_024)));
        aside.forget_all_but(&[]);
        assert!(!aside.holds(7, start));
    }

    #[test]
    fn neighbours_of_one_size_are_merged() {
        assert_eq!(merge_run(&[], 4, 1_000_000), None);
        assert_eq!(merge_run(&[100; 3], 4, 1_000_000), None);
        assert_eq!(merge_run(&[100; 4], 4, 1_000_000), Some(0..4));
        assert_eq!(merge_run(&[90_000, 100, 100, 100, 100], 4, 1_000_000), Some(1..5));
        assert_eq!(merge_run(&[90_000, 100, 100, 100], 4, 1_000_000), None);
        // A small one between large ones does not keep them apart for ever.
        assert_eq!(merge_run(&[90_000, 100, 90_000, 90_000], 4, 1_000_000), Some(0..4));
    }

    #[test]
    fn segments_stop_growing_at_the_limit() {
        assert_eq!(merge_run(&[300_000; 4], 4, 1_000_000), None);
        assert_eq!(merge_run(&[300_000, 300_000, 10, 10, 10, 10], 4, 500_000), Some(2..6));
        // What cannot be merged with anything parts its neighbours.
        assert_eq!(merge_run(&[10, 10, u64::MAX, 10, 10], 3, 500_000), None);
        assert_eq!(merge_run(&[10, u64::MAX, 10, 10, 10], 3, 500_000), Some(2..5));
    }
}
