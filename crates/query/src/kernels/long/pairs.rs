//! Distinct pairs of a group and a visitor, more than fit in memory.

use std::cell::Cell;
use std::ops::Range;

use crate::{Budget, QueryError};

/// Visitors are parted by the high bits of their spread ids. A pass holds a range of the parts.
pub(super) const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 10;

/// What a pair takes.
const PAIR_BYTES: usize = size_of::<u64>() + size_of::<u32>();

/// A bijection that spreads ids over their high bits, also the small numbers that tests use. The inverse is not needed.
#[inline]
pub(super) fn spread(id: u64) -> u64 {
    id.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The bits of a table that is at most half full with `count` entries.
fn table_bits(count: usize) -> u32 {
    (2 * count).next_power_of_two().max(16).ilog2()
}

/// The part of a visitor.
#[inline]
pub(super) fn part_of(spread: u64) -> usize {
    (spread >> (64 - PART_BITS)) as usize
}

/// Pairs of a group and a visitor, those of a range of parts in one pass. When they take too much, the parts at the end of the
/// range are let go and are another pass's: more pairs take more passes and never more memory.
#[derive(Debug)]
pub(in crate::kernels) struct DistinctPairs {
    parts: Vec<Part>,
    /// What this pass holds.
    current: Range<usize>,
    /// What all passes come to hold.
    end: usize,
    bytes: usize,
    /// How many visitors each group has of those that are counted already.
    counts: Vec<u64>,
    /// How many visitors there are in any group, of those that are counted already.
    total: u64,
}

#[derive(Debug, Default)]
struct Part {
    visitors: Vec<u64>,
    groups: Vec<u32>,
    /// How many of the first are known to be distinct.
    distinct: usize,
}

impl DistinctPairs {
    /// For the visitors in `parts`.
    pub(super) fn new(parts: Range<usize>) -> Self {
        Self {
            parts: (0..PARTS).map(|_| Part::default()).collect(),
            end: parts.end,
            current: parts,
            bytes: 0,
            counts: Vec::new(),
            total: 0,
        }
    }

    /// Whether this pass holds the pairs of a visitor.
    #[inline]
    pub(super) fn holds(&self, spread: u64) -> bool {
        self.current.contains(&part_of(spread))
    }

    /// Adds a pair of a visitor that this pass holds.
    #[inline]
    pub(super) fn add(&mut self, group: u32, spread: u64) {
        let part = &mut self.parts[part_of(spread)];
        if part.visitors.len() == part.visitors.capacity() {
            self.bytes += part.grow();
        }
        part.visitors.push(spread);
        part.groups.push(group);
    }

    /// Counts `count` visitors of `group` who were found to be distinct elsewhere.
    pub(super) fn count_of_group(&mut self, group: u32, count: u64) {
        let group = group as usize;
        if self.counts.len() <= group {
            self.counts.resize(group + 1, 0);
        }
        self.counts[group] += count;
    }

    /// Counts `count` visitors of any group who were found to be distinct elsewhere.
    pub(super) fn count_of_all(&mut self, count: u64) {
        self.total += count;
    }

    /// What the pairs take, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.counts.capacity() * size_of::<u64>()
    }

    /// Counts those pairs at once and forgets them whose visitor or group no other pair will have: those of visitors who are
    /// `alone`, with all of their pairs here, and those of groups that are `complete`.
    ///
    /// # Errors
    /// When the budget is used up, like all methods with one.
    pub(super) fn settle(
        &mut self,
        budget: &Budget,
        alone: impl Fn(u64) -> bool,
        complete: impl Fn(u32) -> bool,
    ) -> Result<(), QueryError> {
        for number in self.current.clone() {
            budget.check()?;
            let mut part = std::mem::take(&mut self.parts[number]);
            part.make_distinct();
            let mut of_alone: Vec<u64> = Vec::new();
            let mut kept = 0;
            for position in 0..part.visitors.len() {
                let (visitor, group) = (part.visitors[position], part.groups[position]);
                if alone(visitor) || complete(group) {
                    of_alone.push(visitor);
                    self.count_of_group(group, 1);
                } else {
                    (part.visitors[kept], part.groups[kept]) = (visitor, group);
                    kept += 1;
                }
            }
            part.truncate(kept);
            of_alone.sort_unstable();
            of_alone.dedup();
            self.total += of_alone.len() as u64;
            part.shrink();
            self.parts[number] = part;
        }
        self.measure();
        Ok(())
    }

    /// Forgets what is there twice, and then, until the pairs take at most `bytes`, parts, which are left to the next pass.
    ///
    /// # Errors
    /// When one part takes more.
    pub(super) fn fit(&mut self, budget: &Budget, bytes: usize) -> Result<(), QueryError> {
        for part in &mut self.parts[self.current.clone()] {
            budget.check()?;
            part.make_distinct();
            part.shrink();
        }
        self.measure();
        while self.bytes() > bytes {
            if self.current.len() < 2 {
                return Err(QueryError::MemoryExceeded);
            }
            let middle = self.current.start + self.current.len() / 2;
            self.parts[middle..self.current.end].fill_with(Part::default);
            self.current.end = middle;
            self.measure();
        }
        Ok(())
    }

    /// Counts what this pass holds, and goes on to the next; `false` when there is none.
    pub(super) fn next_pass(&mut self, budget: &Budget) -> Result<bool, QueryError> {
        for number in self.current.clone() {
            budget.check()?;
            let mut part = std::mem::take(&mut self.parts[number]);
            part.make_distinct();
            for &group in &part.groups {
                self.count_of_group(group, 1);
            }
            part.groups.fill(0);
            part.distinct = 0;
            part.make_distinct();
            self.total += part.visitors.len() as u64;
        }
        self.bytes = 0;
        self.current = self.current.end..self.end;
        Ok(!self.current.is_empty())
    }

    /// The same when a visitor counts for one group at most: for the one that `group_of` tells from all groups of the visitor, in
    /// ascending order.
    pub(super) fn next_pass_of(
        &mut self,
        budget: &Budget,
        group_of: impl Fn(&[u32]) -> Option<u32>,
    ) -> Result<bool, QueryError> {
        for number in self.current.clone() {
            budget.check()?;
            let mut part = std::mem::take(&mut self.parts[number]);
            part.sort();
            let mut start = 0;
            for visitors in part.visitors.chunk_by(|a, b| a == b) {
                let groups = &part.groups[start..start + visitors.len()];
                start += visitors.len();
                if let Some(group) = group_of(groups) {
                    self.count_of_group(group, 1);
                }
            }
        }
        self.bytes = 0;
        self.current = self.current.end..self.end;
        Ok(!self.current.is_empty())
    }

    /// The parts of this pass, and ends it: what it holds is not to grow any more, and can be asked for.
    pub(super) fn close(&mut self, budget: &Budget) -> Result<Range<usize>, QueryError> {
        for part in &mut self.parts[self.current.clone()] {
            budget.check()?;
            part.sort();
        }
        Ok(self.current.clone())
    }

    /// Whether the pair is there. Asked after [`DistinctPairs::close`].
    pub(super) fn contains(&self, group: u32, spread: u64) -> bool {
        let part = &self.parts[part_of(spread)];
        let from = part.visitors.partition_point(|&visitor| visitor < spread);
        let same = part.visitors[from..].iter().take_while(|&&visitor| visitor == spread);
        same.zip(&part.groups[from..]).any(|(_, &other)| other == group)
    }

    /// How many visitors group `group` has.
    pub(super) fn of_group(&self, group: u32) -> u64 {
        self.counts.get(group as usize).copied().unwrap_or(0)
    }

    /// How many visitors all groups have together.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    fn measure(&mut self) {
        self.bytes = self.parts[self.current.clone()].iter().map(|part| part.visitors.capacity() * PAIR_BYTES).sum();
    }
}

impl Part {
    /// Makes room for some more, and tells how many bytes it is.
    fn grow(&mut self) -> usize {
        let before = self.visitors.capacity();
        // A quarter: what is reserved and not used would be memory that other pairs could have.
        let more = (before / 4).max(4);
        self.visitors.reserve_exact(more);
        self.groups.reserve_exact(more);
        (self.visitors.capacity() - before) * PAIR_BYTES
    }

    fn truncate(&mut self, count: usize) {
        self.visitors.truncate(count);
        self.groups.truncate(count);
        self.distinct = self.distinct.min(count);
    }

    fn shrink(&mut self) {
        if self.visitors.len() < self.visitors.capacity() / 2 {
            self.visitors.shrink_to_fit();
            self.groups.shrink_to_fit();
        }
    }

    /// Forgets what is there twice, and puts the rest in the order of visitors and groups.
    fn sort(&mut self) {
        self.make_distinct();
        let mut pairs: Vec<(u64, u32)> = self.visitors.iter().copied().zip(self.groups.iter().copied()).collect();
        pairs.sort_unstable();
        (self.visitors, self.groups) = pairs.into_iter().unzip();
    }

    /// Forgets what is there twice; what is left stays in its order.
    #[expect(clippy::cast_possible_truncation, reason = "a part has fewer than 2^32 pairs")]
    fn make_distinct(&mut self) {
        if self.distinct == self.visitors.len() {
            return;
        }
        let bits = table_bits(self.visitors.len());
        let mask = (1usize << bits) - 1;
        // Positions plus one; 0 is free.
        let mut table = vec![0u32; mask + 1];
        let mut kept = 0;
        for position in 0..self.visitors.len() {
            let (visitor, group) = (self.visitors[position], self.groups[position]);
            let mixed = spread((visitor << PART_BITS) ^ spread(u64::from(group) + 1));
            let mut slot = (mixed >> (64 - bits)) as usize;
            let is_new = loop {
                match table[slot] {
                    0 => break true,
                    other => {
                        let other = other as usize - 1;
                        if self.visitors[other] == visitor && self.groups[other] == group {
                            break false;
                        }
                        slot = (slot + 1) & mask;
                    }
                }
            };
            if is_new {
                (self.visitors[kept], self.groups[kept]) = (visitor, group);
                kept += 1;
                table[slot] = kept as u32;
            }
        }
        self.visitors.truncate(kept);
        self.groups.truncate(kept);
        self.distinct = kept;
    }
}

/// Which visitors may be in several sections: of others all there is to count of them is in one. Two bits for each of many places
/// that ids share: who is alone is known for certain, and of those who are not some are alone nevertheless.
#[derive(Debug)]
pub(super) struct SharedVisitors {
    once: Vec<u64>,
    twice: Vec<u64>,
    bits: u32,
}

impl SharedVisitors {
    /// For about `ids` ids, in at most `bytes` bytes.
    pub(super) fn new(ids: usize, bytes: usize) -> Self {
        let wanted = ids.saturating_mul(8).max(64).next_power_of_two();
        let at_most = 1usize << (bytes.saturating_mul(4).max(64)).ilog2();
        let places = wanted.min(at_most);
        let words = places / 64;
        Self { once: vec![0; words], twice: vec![0; words], bits: places.ilog2() }
    }

    /// Adds the ids of one section, each once.
    pub(super) fn add(&mut self, ids: &[u64]) {
        for &id in ids {
            let place = (spread(id) >> (64 - self.bits)) as usize;
            let (word, bit) = (place / 64, 1u64 << (place % 64));
            self.twice[word] |= self.once[word] & bit;
            self.once[word] |= bit;
        }
    }

    /// Whether the visitor may be in several sections.
    #[inline]
    pub(super) fn may_be_shared(&self, spread: u64) -> bool {
        let place = (spread >> (64 - self.bits)) as usize;
        self.twice[place / 64] >> (place % 64) & 1 != 0
    }

    /// What it takes, bytes.
    pub(super) fn bytes(&self) -> usize {
        2 * self.once.len() * size_of::<u64>()
    }
}

/// What the parts of one question take that stay from section to section, bytes.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Rows and shares of sessions that go on in other sections, and which these are.
    pub(super) sessions: Cell<usize>,
    /// Which visitors are shared.
    pub(super) shared: Cell<usize>,
    /// Visitors chosen by conditions.
    pub(super) chosen: Cell<usize>,
    /// Groups with their totals.
    pub(super) groups: Cell<usize>,
    /// Pairs, or places of a list.
    pub(super) pairs: Cell<usize>,
}

impl Held {
    pub(super) fn total(&self) -> usize {
        [&self.sessions, &self.shared, &self.chosen, &self.groups, &self.pairs].iter().map(|bytes| bytes.get()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Sabotage: keep `current.end` in `fit`, count pairs that are settled again in `next_pass`, or leave the group out of the
        /// comparison in `make_distinct`.
        #[test]
        fn pairs_are_counted_in_as_many_passes_as_memory_wants(
            pairs in prop::collection::vec((0u32..6, 0u64..40), 0..300),
            bytes in prop::sample::select(vec![200usize, 800, 5_000]),
            every in 1usize..50,
        ) {
            let mut distinct = DistinctPairs::new(0..PARTS);
            let mut passes = 0;
            loop {
                passes += 1;
                for (number, &(group, id)) in pairs.iter().enumerate() {
                    let spread = spread(id);
                    if distinct.holds(spread) {
                        distinct.add(group, spread);
                    }
                    if number % every == 0 && distinct.bytes() > bytes {
                        distinct.fit(&Budget::unlimited(), bytes / 2 + 200).unwrap();
                    }
                }
                if !distinct.next_pass(&Budget::unlimited()).unwrap() {
                    break;
                }
            }
            prop_assert!(passes <= PARTS);
            let mut expected: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
            for &(group, id) in &pairs {
                expected.entry(group).or_default().insert(id);
            }
            for group in 0..6 {
                prop_assert_eq!(distinct.of_group(group), expected.get(&group).map_or(0, |ids| ids.len() as u64));
            }
            let all: BTreeSet<u64> = pairs.iter().map(|(_, id)| *id).collect();
            prop_assert_eq!(distinct.total(), all.len() as u64);
        }

        #[test]
        fn what_is_settled_is_counted_once(pairs in prop::collection::vec((0u32..6, 0u64..40), 0..300), at in 0usize..300) {
            let mut distinct = DistinctPairs::new(0..PARTS);
            // All pairs of odd visitors come before the others.
            let (odd, even): (Vec<_>, Vec<_>) = pairs.iter().copied().partition(|(_, id)| id % 2 == 1);
            odd.iter().chain(&even[..at.min(even.len())]).for_each(|&(group, id)| distinct.add(group, spread(id)));
            let is_odd: BTreeSet<u64> = (0..40u64).filter(|id| id % 2 == 1).map(spread).collect();
            distinct.settle(&Budget::unlimited(), |visitor| is_odd.contains(&visitor), |_| false).unwrap();
            even.iter().for_each(|&(group, id)| distinct.add(group, spread(id)));
            prop_assert!(!distinct.next_pass(&Budget::unlimited()).unwrap());
            for group in 0..6 {
                let ids: BTreeSet<u64> = pairs.iter().filter(|pair| pair.0 == group).map(|pair| pair.1).collect();
                prop_assert_eq!(distinct.of_group(group), ids.len() as u64);
            }
            let all: BTreeSet<u64> = pairs.iter().map(|(_, id)| *id).collect();
            prop_assert_eq!(distinct.total(), all.len() as u64);
        }

        #[test]
        fn who_is_in_two_sections_may_be_shared(
            sections in prop::collection::vec(prop::collection::btree_set(0u64..200, 0..60), 0..6),
            bytes in prop::sample::select(vec![0usize, 64, 4_096]),
        ) {
            let mut shared = SharedVisitors::new(200, bytes);
            prop_assert!(shared.bytes() <= bytes.max(16));
            sections.iter().for_each(|ids| shared.add(&ids.iter().copied().collect::<Vec<_>>()));
            for id in 0..200 {
                let holders = sections.iter().filter(|ids| ids.contains(&id)).count();
                prop_assert!(holders < 2 || shared.may_be_shared(spread(id)), "{id}");
            }
        }
    }
}
