//! Which events a segment was made of, so that two files are known to have the same ones without comparing rows.
//!
//! Each run of a store, from one opening to the next, has a number that SQLite draws. A batch of the log is named by the
//! run that committed it and by its place in the log. Copies of a store that go on apart have different runs, so no two
//! batches ever have the same name. Segments carry the names of their batches as ranges: what is sealed has those of the
//! log, what is merged those of all its sources, what is rewritten keeps them, whatever it leaves out.

use serde::{Deserialize, Serialize};

/// The batches of one run of which a segment has the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Batches {
    /// The run; 0 for segments of format 2, which did not know their batches: each counts as one batch with its id.
    pub(crate) run: u64,
    pub(crate) first: u64,
    /// The last one, included.
    pub(crate) last: u64,
}

/// All batches of which a segment has the rows: sorted, no two ranges touch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Origin(Vec<Batches>);

impl Origin {
    /// The batches of `ranges`, given in any order.
    pub(crate) fn new(ranges: impl IntoIterator<Item = Batches>) -> Self {
        let mut ranges: Vec<Batches> = ranges.into_iter().filter(|range| range.first <= range.last).collect();
        ranges.sort_unstable();
        let mut joined: Vec<Batches> = Vec::new();
        for range in ranges {
            match joined.last_mut() {
                Some(last) if last.run == range.run && range.first <= last.last.saturating_add(1) => {
                    last.last = last.last.max(range.last);
                }
                _ => joined.push(range),
            }
        }
        Self(joined)
    }

    /// The origin of a segment of format 2.
    pub(crate) fn of_old(id: u64) -> Self {
        Self(vec![Batches { run: 0, first: id, last: id }])
    }

    /// The batches of all `origins`.
    pub(crate) fn union<'a>(origins: impl IntoIterator<Item = &'a Self>) -> Self {
        Self::new(origins.into_iter().flat_map(|origin| origin.0.iter().copied()))
    }

    /// The ranges.
    pub(crate) fn ranges(&self) -> &[Batches] {
        &self.0
    }

    /// Whether it has a batch of `other`.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        let is_met = |range: &Batches| {
            // The first range that does not end before this one begins.
            let at = self.0.partition_point(|own| (own.run, own.last) < (range.run, range.first));
            self.0.get(at).is_some_and(|own| own.run == range.run && own.first <= range.last)
        };
        other.0.iter().any(is_met)
    }

    /// Whether it has every batch of `other`.
    pub(crate) fn has_all(&self, other: &Self) -> bool {
        let is_in = |range: &Batches| {
            let at = self.0.partition_point(|own| (own.run, own.last) < (range.run, range.first));
            self.0.get(at).is_some_and(|own| own.run == range.run && own.first <= range.first && range.last <= own.last)
        };
        other.0.iter().all(is_in)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn any_ranges() -> impl Strategy<Value = Vec<Batches>> {
        let range = (0..3_u64, 0..20_u64, 0..6_u64);
        let range = range.prop_map(|(run, first, more)| Batches { run, first, last: first + more });
        prop::collection::vec(range, 0..6)
    }

    fn all(ranges: &[Batches]) -> BTreeSet<(u64, u64)> {
        ranges.iter().flat_map(|range| (range.first..=range.last).map(|batch| (range.run, batch))).collect()
    }

    proptest! {
        #[test]
        fn ranges_are_what_sets_of_batches_are(a in any_ranges(), b in any_ranges()) {
            let (one, other) = (Origin::new(a.clone()), Origin::new(b.clone()));
            prop_assert_eq!(all(one.ranges()), all(&a));
            prop_assert!(one.ranges().windows(2).all(|w| w[0].run < w[1].run || w[0].last + 1 < w[1].first));
            prop_assert_eq!(one.meets(&other), !all(&a).is_disjoint(&all(&b)));
            prop_assert_eq!(one.has_all(&other), all(&a).is_superset(&all(&b)));
            let both = Origin::union([&one, &other]);
            prop_assert_eq!(all(both.ranges()), &all(&a) | &all(&b));
        }
    }
}
