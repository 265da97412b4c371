//! Distinct pairs of a group and a visitor, more than fit in memory.

use std::cell::Cell;
use std::ops::Range;

use crate::{Budget, QueryError};

/// Visitors are parted by the high bits of their spread ids. A pass holds a range of the parts.
pub(super) const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 10;

/// A bijection that spreads ids over their high bits, also the small numbers that tests use. The inverse is not needed.
#[inline]
pub(super) fn spread(id: u64) -> u64 {
    id.wrapping_mul(0x9e37_79b9_7f4a_7c15)
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
    /// Pairs of each part, each once.
    parts: Vec<Packed>,
    /// Those that came since, of all parts, in any order: the visitor, and in the lowest bits the group.
    new: Vec<u128>,
    /// What this pass holds.
    current: Range<usize>,
    /// What all passes come to hold.
    end: usize,
    /// What all of `parts` take.
    packed_bytes: usize,
    /// How many visitors each group has of those that are counted already.
    counts: Vec<u64>,
    /// How many visitors there are in any group, of those that are counted already.
    total: u64,
}

impl DistinctPairs {
    /// For the visitors in `parts`.
    pub(super) fn new(parts: Range<usize>) -> Self {
        Self {
            parts: (0..PARTS).map(|_| Packed::default()).collect(),
            new: Vec::new(),
            end: parts.end,
            current: parts,
            packed_bytes: 0,
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
        if self.new.len() == self.new.capacity() {
            // Half: what is reserved and not used would be memory that other pairs could have.
            self.new.reserve_exact((self.new.len() / 2).max(64));
        }
        self.new.push(pair(spread, group));
    }

    /// Counts `count` visitors of `group` who were found to be distinct elsewhere.
    pub(super) fn count_of_group(&mut self, group: u32, count: u64) {
        add_count(&mut self.counts, group, count);
    }

    /// Counts `count` visitors of any group who were found to be distinct elsewhere.
    pub(super) fn count_of_all(&mut self, count: u64) {
        self.total += count;
    }

    /// What the pairs take, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.new.capacity() * size_of::<u128>() + self.packed_bytes + self.counts.capacity() * size_of::<u64>()
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
        let mut new = self.take_new(budget)?;
        for number in self.current.clone() {
            budget.check()?;
            let part = std::mem::take(&mut self.parts[number]);
            let mut kept = Packed::with_capacity(part.bytes.len());
            part.for_each_visitor(new.of(number), |visitor, groups| {
                let is_alone = alone(visitor);
                let before = groups.len();
                let counts = &mut self.counts;
                groups.retain(|&group| {
                    let is_counted = is_alone || complete(group);
                    if is_counted {
                        add_count(counts, group, 1);
                    }
                    !is_counted
                });
                self.total += u64::from(groups.len() < before);
                kept.push(visitor, groups);
            });
            kept.bytes.shrink_to_fit();
            self.parts[number] = kept;
        }
        self.measure();
        Ok(())
    }

    /// Packs all, and lets parts go, which are left to the next pass, until the pairs take at most `bytes`.
    ///
    /// # Errors
    /// When one part takes more.
    pub(super) fn fit(&mut self, budget: &Budget, bytes: usize) -> Result<(), QueryError> {
        if !self.new.is_empty() {
            self.settle(budget, |_| false, |_| false)?;
        }
        while self.bytes() > bytes {
            if self.current.len() < 2 {
                return Err(QueryError::MemoryExceeded);
            }
            let middle = self.current.start + self.current.len() / 2;
            self.parts[middle..self.current.end].fill_with(Packed::default);
            self.current.end = middle;
            self.measure();
        }
        Ok(())
    }

    /// Counts what this pass holds, and goes on to the next; `false` when there is none.
    pub(super) fn next_pass(&mut self, budget: &Budget) -> Result<bool, QueryError> {
        let mut new = self.take_new(budget)?;
        for number in self.current.clone() {
            budget.check()?;
            std::mem::take(&mut self.parts[number]).for_each_visitor(new.of(number), |_, groups| {
                groups.iter().for_each(|&group| add_count(&mut self.counts, group, 1));
                self.total += 1;
            });
        }
        self.packed_bytes = 0;
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
        let mut new = self.take_new(budget)?;
        for number in self.current.clone() {
            budget.check()?;
            std::mem::take(&mut self.parts[number]).for_each_visitor(new.of(number), |_, groups| {
                if let Some(group) = group_of(groups) {
                    add_count(&mut self.counts, group, 1);
                }
            });
        }
        self.packed_bytes = 0;
        self.current = self.current.end..self.end;
        Ok(!self.current.is_empty())
    }

    /// Ends the only pass, and gives what can be asked for.
    pub(super) fn close(mut self, budget: &Budget) -> Result<ClosedPairs, QueryError> {
        let mut new = self.take_new(budget)?;
        let mut closed = ClosedPairs { parts: self.current.clone(), pairs: Vec::new() };
        for number in self.current.clone() {
            budget.check()?;
            std::mem::take(&mut self.parts[number]).for_each_visitor(new.of(number), |visitor, groups| {
                closed.pairs.extend(groups.iter().map(|&group| pair(visitor, group)));
            });
        }
        Ok(closed)
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
        self.packed_bytes = self.parts[self.current.clone()].iter().map(|part| part.bytes.capacity()).sum();
    }

    /// What came since the parts were packed, by part.
    fn take_new(&mut self, budget: &Budget) -> Result<NewPairs, QueryError> {
        NewPairs::new(std::mem::take(&mut self.new), budget)
    }
}

fn pair(spread: u64, group: u32) -> u128 {
    u128::from(spread) << 64 | u128::from(group)
}

#[expect(clippy::cast_possible_truncation, reason = "a pair is of 64 and 32 bits")]
fn visitor_and_group(pair: u128) -> (u64, u32) {
    ((pair >> 64) as u64, pair as u32)
}

/// Pairs by part.
struct NewPairs {
    pairs: Vec<u128>,
    /// Where each part ends.
    ends: Vec<usize>,
}

impl NewPairs {
    /// Puts `pairs` in the order of their parts, in place and looking at the budget on the way.
    fn new(mut pairs: Vec<u128>, budget: &Budget) -> Result<Self, QueryError> {
        let part = |pair: u128| part_of(visitor_and_group(pair).0);
        let mut ends = vec![0; PARTS];
        pairs.iter().for_each(|&pair| ends[part(pair)] += 1);
        let mut next = ends.clone();
        let mut start = 0;
        for (next, end) in next.iter_mut().zip(&mut ends) {
            *next = start;
            start += *end;
            *end = start;
        }
        for number in 0..PARTS {
            budget.check()?;
            while next[number] < ends[number] {
                let from = next[number];
                let other = part(pairs[from]);
                pairs.swap(from, next[other]);
                next[other] += 1;
            }
        }
        Ok(Self { pairs, ends })
    }

    /// Those of part `number`, in order.
    fn of(&mut self, number: usize) -> &[u128] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        let pairs = &mut self.pairs[start..self.ends[number]];
        pairs.sort_unstable();
        pairs
    }
}

/// Pairs that do not grow any more, and can be asked for.
#[derive(Debug)]
pub(in crate::kernels) struct ClosedPairs {
    /// The parts of the visitors.
    pub(super) parts: Range<usize>,
    /// In order.
    pairs: Vec<u128>,
}

impl ClosedPairs {
    /// Whether the pair is there.
    pub(super) fn contains(&self, group: u32, spread: u64) -> bool {
        self.pairs.binary_search(&pair(spread, group)).is_ok()
    }

    /// What the pairs take, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.pairs.capacity() * size_of::<u128>()
    }
}

/// Visitors with their groups, both ascending: of each visitor how much higher than the one before it is, how many groups it has, and
/// of each group how much higher than the one before that is. Numbers take 7 bits a byte, the highest bit of all bytes but the last
/// is set. Some 3 bytes for each pair of a visitor with several groups.
#[derive(Debug, Default)]
struct Packed {
    bytes: Vec<u8>,
    /// The last visitor.
    last: u64,
}

impl Packed {
    fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), last: 0 }
    }

    /// Adds a visitor that is higher than all, with its groups, if there are some.
    fn push(&mut self, visitor: u64, groups: &[u32]) {
        if groups.is_empty() {
            return;
        }
        self.number(visitor - self.last);
        self.last = visitor;
        self.number(groups.len() as u64);
        let mut before = 0;
        for &group in groups {
            self.number(u64::from(group - before));
            before = group;
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
    #[inline]
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    fn reader(&self) -> Reader<'_> {
        Reader { rest: &self.bytes, last: 0 }
    }

    /// Calls `visit` with each visitor of these and of `new` in ascending order, and with its groups, each once and in ascending order.
    fn for_each_visitor(self, new: &[u128], mut visit: impl FnMut(u64, &mut Vec<u32>)) {
        let mut new = new.iter().map(|&pair| visitor_and_group(pair)).peekable();
        let mut old = self.reader();
        let mut next_old = old.next_visitor();
        let mut its_groups = Vec::new();
        loop {
            its_groups.clear();
            let visitor = match (next_old, new.peek()) {
                (Some(old), Some(&(new, _))) => old.min(new),
                (Some(visitor), None) | (None, Some(&(visitor, _))) => visitor,
                (None, None) => break,
            };
            if next_old == Some(visitor) {
                old.groups(&mut its_groups);
                next_old = old.next_visitor();
            }
            let of_old = its_groups.len();
            while let Some((_, group)) = new.next_if(|(other, _)| *other == visitor) {
                its_groups.push(group);
            }
            if of_old > 0 && its_groups.len() > of_old {
                its_groups.sort_unstable();
            }
            its_groups.dedup();
            visit(visitor, &mut its_groups);
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    last: u64,
}

impl Reader<'_> {
    fn next_visitor(&mut self) -> Option<u64> {
        self.last += self.number()?;
        Some(self.last)
    }

    /// The groups of the visitor that was told last.
    #[expect(clippy::cast_possible_truncation, reason = "they were groups of 32 bits")]
    fn groups(&mut self, groups: &mut Vec<u32>) {
        let count = self.number().unwrap_or(0);
        let mut group = 0;
        for _ in 0..count {
            group += self.number().unwrap_or(0) as u32;
            groups.push(group);
        }
    }

    #[inline]
    fn number(&mut self) -> Option<u64> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
            shift += 7;
        }
    }
}

/// Counts `count` visitors of `group`.
#[inline]
fn add_count(counts: &mut Vec<u64>, group: u32, count: u64) {
    let group = group as usize;
    if counts.len() <= group {
        counts.resize(group + 1, 0);
    }
    counts[group] += count;
}

/// Which visitors may be in several sections: of others all there is to count of them is in one. Two bits for each of many places
/// that ids share: who is alone is known for certain, and of those who are not some are alone nevertheless.
#[derive(Debug)]
pub(super) struct SharedVisitors {
    /// Of 64 places each those that were met, and those that were met again.
    words: Vec<[u64; 2]>,
    bits: u32,
}

impl SharedVisitors {
    /// For about `ids` ids, in at most `bytes` bytes.
    pub(super) fn new(ids: usize, bytes: usize) -> Self {
        let wanted = ids.saturating_mul(8).max(64).next_power_of_two();
        let at_most = 1usize << (bytes.saturating_mul(4).max(64)).ilog2();
        let places = wanted.min(at_most);
        Self { words: vec![[0; 2]; places / 64], bits: places.ilog2() }
    }

    /// Adds the ids of one section, each once.
    pub(super) fn add(&mut self, ids: &[u64]) {
        for &id in ids {
            let place = (spread(id) >> (64 - self.bits)) as usize;
            let bit = 1u64 << (place % 64);
            let [once, twice] = &mut self.words[place / 64];
            *twice |= *once & bit;
            *once |= bit;
        }
    }

    /// Whether the visitor may be in several sections.
    #[inline]
    pub(super) fn may_be_shared(&self, spread: u64) -> bool {
        let place = (spread >> (64 - self.bits)) as usize;
        self.words[place / 64][1] >> (place % 64) & 1 != 0
    }

    /// What it takes, bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.words)
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
