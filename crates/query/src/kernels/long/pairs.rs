//! Distinct pairs of a group and a visitor, more than fit in memory.

use std::cell::Cell;
use std::ops::Range;

use crate::{Budget, QueryError};

/// Ids are parted by the high bits of their spread, codes by their own.
pub(super) const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 10;

/// A bijection that spreads ids over their high bits, also the small numbers that tests use. The inverse is not needed.
#[inline]
pub(super) fn spread(id: u64) -> u64 {
    id.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The part of an id.
#[inline]
pub(super) fn part_of(spread: u64) -> usize {
    (spread >> (64 - PART_BITS)) as usize
}

/// A visitor without a group yet.
const NONE: u8 = u8::MAX;
/// A visitor whose first group is among the pairs: groups from this one on are.
const LISTED: u8 = u8::MAX - 1;
/// Pairs that one block of new ones has at most.
const BLOCK_PAIRS: usize = 1 << 15;

/// Pairs of a group and the code of a visitor, those of a range of codes in one pass. When they take too much, the codes at the end of
/// the range are let go and are another pass's: more pairs take more passes and never more memory.
///
/// The first group of each visitor is a byte, found by the code. Only what has other groups, or one with a high number, is a pair.
#[derive(Debug)]
pub(super) struct DistinctPairs {
    /// The first group of each code from the start of `current` on, as far as codes were met.
    first: Vec<u8>,
    /// Pairs of each part, each once. A part are the codes with the same high bits.
    parts: Vec<Packed>,
    /// Those that came since, of all parts, in any order: in the high half the visitor, and in the low half the group.
    new: Vec<Vec<u64>>,
    /// The low bits of codes that are in one part.
    part_bits: u32,
    /// What this pass holds.
    current: Range<u32>,
    /// Above all codes that were met.
    end: u32,
    /// What all of `parts` take.
    packed_bytes: usize,
    /// How many visitors each group has of those that are counted already.
    counts: Vec<u64>,
    /// How many visitors there are in any group, of those that are counted already.
    total: u64,
}

impl DistinctPairs {
    /// For visitors whose codes are below `below`, or hardly above it.
    pub(super) fn new(below: u32) -> Self {
        Self {
            first: Vec::new(),
            parts: (0..PARTS).map(|_| Packed::default()).collect(),
            new: Vec::new(),
            part_bits: (u32::BITS - below.leading_zeros()).saturating_sub(PART_BITS),
            current: 0..u32::MAX,
            end: 0,
            packed_bytes: 0,
            counts: Vec::new(),
            total: 0,
        }
    }

    /// Adds a pair, when this pass holds the visitor.
    #[inline]
    pub(super) fn add(&mut self, group: u32, code: u32) {
        let place = code.wrapping_sub(self.current.start) as usize;
        if place >= self.first.len() && !self.make_room(code) {
            return;
        }
        let known = self.first[place];
        if known == NONE {
            self.first[place] = group.min(LISTED.into()) as u8;
            if group < LISTED.into() {
                return;
            }
        } else if u32::from(known) == group && known != LISTED {
            return;
        }
        self.list(group, code);
    }

    #[inline]
    fn list(&mut self, group: u32, code: u32) {
        if self.new.last().is_none_or(|block| block.len() == block.capacity()) {
            // Each block is as long as all before it: little is reserved that is not used.
            let pairs: usize = self.new.iter().map(Vec::len).sum();
            self.new.push(Vec::with_capacity(pairs.clamp(16, BLOCK_PAIRS)));
        }
        if let Some(block) = self.new.last_mut() {
            block.push(pair(code, group));
        }
    }

    /// Makes room for the first group of `code`; `false` when this pass does not hold it.
    #[cold]
    fn make_room(&mut self, code: u32) -> bool {
        self.end = self.end.max(code + 1);
        if !self.current.contains(&code) {
            return false;
        }
        let more = (code - self.current.start) as usize + 1 - self.first.len();
        self.first.reserve_exact(more.max(self.first.len() / 4).max(64));
        let room = self.first.capacity().min((self.current.end - self.current.start) as usize);
        self.first.resize(room, NONE);
        self.end = self.end.max(self.current.start + room as u32);
        true
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
        let new: usize = self.new.iter().map(Vec::capacity).sum();
        self.first.capacity() + new * size_of::<u64>() + self.packed_bytes + self.counts.capacity() * size_of::<u64>()
    }

    /// Packs the pairs. Those of groups that are `complete`, which no other pair will have, are counted at once and forgotten.
    ///
    /// # Errors
    /// When the budget is used up, like all methods with one.
    pub(super) fn settle(&mut self, budget: &Budget, complete: impl Fn(u32) -> bool) -> Result<(), QueryError> {
        let mut new = self.take_new(budget)?;
        for number in self.held_parts() {
            budget.check()?;
            let part = std::mem::take(&mut self.parts[number]);
            let mut kept = Packed::with_capacity(part.bytes.len());
            part.for_each_visitor(new.of(number), |visitor, groups| {
                let counts = &mut self.counts;
                groups.retain(|&group| {
                    let is_counted = complete(group);
                    if is_counted {
                        add_count(counts, group, 1);
                    }
                    !is_counted
                });
                kept.push(visitor, groups);
            });
            kept.bytes.shrink_to_fit();
            self.parts[number] = kept;
        }
        self.measure();
        Ok(())
    }

    /// Lets codes go, which are left to the next pass, until the pairs take at most `bytes`.
    ///
    /// # Errors
    /// When one part takes more.
    pub(super) fn fit(&mut self, budget: &Budget, bytes: usize) -> Result<(), QueryError> {
        if !self.new.is_empty() {
            self.settle(budget, |_| false)?;
        }
        while self.bytes() > bytes {
            let parts = self.held_parts();
            if parts.len() < 2 {
                return Err(QueryError::MemoryExceeded);
            }
            let middle = parts.start + parts.len() / 2;
            self.parts[middle..parts.end].fill_with(Packed::default);
            self.current.end = (middle as u32) << self.part_bits;
            self.first.truncate((self.current.end - self.current.start) as usize);
            self.first.shrink_to_fit();
            self.measure();
        }
        Ok(())
    }

    /// Counts what this pass holds, and goes on to the next; `false` when there is none.
    pub(super) fn next_pass(&mut self, budget: &Budget) -> Result<bool, QueryError> {
        let mut new = self.take_new(budget)?;
        let mut firsts = [0_u64; 256];
        for block in self.first.chunks(1 << 16) {
            budget.check()?;
            block.iter().for_each(|&group| firsts[usize::from(group)] += 1);
        }
        self.total += firsts[..usize::from(NONE)].iter().sum::<u64>();
        for (group, &count) in (0..LISTED.into()).zip(&firsts).filter(|(_, count)| **count > 0) {
            add_count(&mut self.counts, group, count);
        }
        for number in self.held_parts() {
            budget.check()?;
            std::mem::take(&mut self.parts[number]).for_each_visitor(new.of(number), |_, groups| {
                groups.iter().for_each(|&group| add_count(&mut self.counts, group, 1));
            });
        }
        self.packed_bytes = 0;
        self.first = Vec::new();
        self.current = self.current.end..self.end;
        Ok(!self.current.is_empty())
    }

    /// How many visitors group `group` has.
    pub(super) fn of_group(&self, group: u32) -> u64 {
        self.counts.get(group as usize).copied().unwrap_or(0)
    }

    /// How many visitors all groups have together.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The parts of the codes that this pass holds and has met.
    fn held_parts(&self) -> Range<usize> {
        let (start, end) = (self.current.start, self.current.end.min(self.end));
        let first = part_of_code(start, self.part_bits);
        first..if end > start { part_of_code(end - 1, self.part_bits) + 1 } else { first }
    }

    fn measure(&mut self) {
        self.packed_bytes = self.parts.iter().map(|part| part.bytes.capacity()).sum();
    }

    /// What came since the parts were packed, by part.
    fn take_new(&mut self, budget: &Budget) -> Result<NewPairs, QueryError> {
        NewPairs::new(std::mem::take(&mut self.new), self.part_bits, budget)
    }
}

/// The part of a code. Codes above what was expected are in the last one.
fn part_of_code(code: u32, part_bits: u32) -> usize {
    ((code >> part_bits) as usize).min(PARTS - 1)
}

fn pair(code: u32, group: u32) -> u64 {
    u64::from(code) << 32 | u64::from(group)
}

#[expect(clippy::cast_possible_truncation, reason = "a pair is of 32 and 32 bits")]
fn visitor_and_group(pair: u64) -> (u32, u32) {
    ((pair >> 32) as u32, pair as u32)
}

/// Pairs by part.
struct NewPairs {
    /// Each with the end of each part in it.
    blocks: Vec<(Vec<u64>, Vec<u32>)>,
    /// Those of one part.
    part: Vec<u64>,
}

impl NewPairs {
    /// Puts the pairs of each of `blocks` in the order of their parts, in place and looking at the budget on the way.
    fn new(blocks: Vec<Vec<u64>>, part_bits: u32, budget: &Budget) -> Result<Self, QueryError> {
        let part = |pair: u64| part_of_code(visitor_and_group(pair).0, part_bits);
        let mut parted = Vec::with_capacity(blocks.len());
        for mut pairs in blocks {
            budget.check()?;
            let mut ends = vec![0_u32; PARTS];
            pairs.iter().for_each(|&pair| ends[part(pair)] += 1);
            let mut next = ends.clone();
            let mut start = 0;
            for (next, end) in next.iter_mut().zip(&mut ends) {
                *next = start;
                start += *end;
                *end = start;
            }
            for number in 0..PARTS {
                while next[number] < ends[number] {
                    let from = next[number] as usize;
                    let other = part(pairs[from]);
                    pairs.swap(from, next[other] as usize);
                    next[other] += 1;
                }
            }
            parted.push((pairs, ends));
        }
        Ok(Self { blocks: parted, part: Vec::new() })
    }

    /// Those of part `number`, in order.
    fn of(&mut self, number: usize) -> &[u64] {
        self.part.clear();
        for (pairs, ends) in &self.blocks {
            let start = number.checked_sub(1).map_or(0, |before| ends[before]);
            self.part.extend_from_slice(&pairs[start as usize..ends[number] as usize]);
        }
        self.part.sort_unstable();
        &self.part
    }
}

/// Visitors with their groups, both ascending: of each visitor how much higher than the one before it is, how many groups it has, and
/// of each group how much higher than the one before that is. Numbers take 7 bits a byte, the highest bit of all bytes but the last
/// is set. Some 3 bytes for each pair of a visitor with several groups.
#[derive(Debug, Default)]
struct Packed {
    bytes: Vec<u8>,
    /// The last visitor.
    last: u32,
}

impl Packed {
    fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), last: 0 }
    }

    /// Adds a visitor that is higher than all, with its groups, if there are some.
    fn push(&mut self, visitor: u32, groups: &[u32]) {
        if groups.is_empty() {
            return;
        }
        self.number(u64::from(visitor - self.last));
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
    fn for_each_visitor(self, new: &[u64], mut visit: impl FnMut(u32, &mut Vec<u32>)) {
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
    last: u32,
}

impl Reader<'_> {
    #[expect(clippy::cast_possible_truncation, reason = "they were codes of 32 bits")]
    fn next_visitor(&mut self) -> Option<u32> {
        self.last += self.number()? as u32;
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

/// Which visitors may be in several sections: of others all there is to count of them is in one. Two bits for each code, or for each
/// of many places that ids share: who is alone is known for certain, and of those who are not some are alone nevertheless.
#[derive(Debug)]
pub(super) struct SharedVisitors {
    /// Of 64 places each those that were met, and those that were met again.
    words: Vec<[u64; 2]>,
    /// How many bits of the spread of an id are its place; `None` when codes are places.
    id_bits: Option<u32>,
}

impl SharedVisitors {
    /// For about `ids` ids, in at most `bytes` bytes.
    pub(super) fn of_ids(ids: usize, bytes: usize) -> Self {
        let wanted = ids.saturating_mul(8).max(64).next_power_of_two();
        let at_most = 1usize << (bytes.saturating_mul(4).max(64)).ilog2();
        let places = wanted.min(at_most);
        Self { words: vec![[0; 2]; places / 64], id_bits: Some(places.ilog2()) }
    }

    /// For codes below `below`.
    pub(super) fn of_codes(below: u32) -> Self {
        Self { words: vec![[0; 2]; (below as usize).div_ceil(64)], id_bits: None }
    }

    #[inline]
    fn place(&self, visitor: u64) -> usize {
        match self.id_bits {
            Some(bits) => (spread(visitor) >> (64 - bits)) as usize,
            None => visitor as usize,
        }
    }

    /// Adds the ids or the codes of one section, each once.
    pub(super) fn add(&mut self, visitors: impl Iterator<Item = u64>) {
        for visitor in visitors {
            let place = self.place(visitor);
            let bit = 1u64 << (place % 64);
            if let Some([once, twice]) = self.words.get_mut(place / 64) {
                *twice |= *once & bit;
                *once |= bit;
            }
        }
    }

    /// Whether the visitor may be in several sections.
    #[inline]
    pub(super) fn may_be_shared(&self, visitor: u64) -> bool {
        let place = self.place(visitor);
        self.words.get(place / 64).is_none_or(|[_, twice]| twice >> (place % 64) & 1 != 0)
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
    /// Codes that were given to ids.
    pub(super) codes: Cell<usize>,
    /// Visitors chosen by conditions.
    pub(super) chosen: Cell<usize>,
    /// Groups with their totals.
    pub(super) groups: Cell<usize>,
    /// Pairs, or places of a list.
    pub(super) pairs: Cell<usize>,
}

impl Held {
    pub(super) fn total(&self) -> usize {
        let Self { sessions, shared, codes, chosen, groups, pairs } = self;
        [sessions, shared, codes, chosen, groups, pairs].iter().map(|bytes| bytes.get()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Sabotage: keep `current.end` in `fit`, count pairs that are settled again in `next_pass`, list the first group of a visitor
        /// that is listed already as if it were its only one, or forget the codes that a pass does not hold in `end`.
        #[test]
        fn pairs_are_counted_in_as_many_passes_as_memory_wants(
            pairs in prop::collection::vec((prop_oneof![0u32..6, 250u32..258], 0u32..40_000), 0..300),
            below in prop::sample::select(vec![40_000u32, 1 << 20]),
            bytes in prop::sample::select(vec![6_000usize, 8_000, 20_000]),
            every in 1usize..50,
        ) {
            let mut distinct = DistinctPairs::new(below);
            let mut passes = 0;
            loop {
                passes += 1;
                for (number, &(group, code)) in pairs.iter().enumerate() {
                    distinct.add(group, code);
                    if number % every == 0 && distinct.bytes() > bytes {
                        distinct.fit(&Budget::unlimited(), bytes / 2 + 5_000).unwrap();
                    }
                }
                if !distinct.next_pass(&Budget::unlimited()).unwrap() {
                    break;
                }
            }
            prop_assert!(passes <= PARTS);
            let mut expected: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
            for &(group, code) in &pairs {
                expected.entry(group).or_default().insert(code);
            }
            for group in 0..260 {
                prop_assert_eq!(distinct.of_group(group), expected.get(&group).map_or(0, |ids| ids.len() as u64));
            }
            let all: BTreeSet<u32> = pairs.iter().map(|(_, code)| *code).collect();
            prop_assert_eq!(distinct.total(), all.len() as u64);
        }

        #[test]
        fn what_is_settled_is_counted_once(pairs in prop::collection::vec((0u32..6, 0u32..40), 0..300), at in 0usize..300) {
            let mut distinct = DistinctPairs::new(40);
            // All pairs of odd groups come before the others.
            let (odd, even): (Vec<_>, Vec<_>) = pairs.iter().copied().partition(|(group, _)| group % 2 == 1);
            odd.iter().chain(&even[..at.min(even.len())]).for_each(|&(group, code)| distinct.add(group, code));
            distinct.settle(&Budget::unlimited(), |group| group % 2 == 1).unwrap();
            even.iter().for_each(|&(group, code)| distinct.add(group, code));
            prop_assert!(!distinct.next_pass(&Budget::unlimited()).unwrap());
            for group in 0..6 {
                let codes: BTreeSet<u32> = pairs.iter().filter(|pair| pair.0 == group).map(|pair| pair.1).collect();
                prop_assert_eq!(distinct.of_group(group), codes.len() as u64);
            }
            let all: BTreeSet<u32> = pairs.iter().map(|(_, code)| *code).collect();
            prop_assert_eq!(distinct.total(), all.len() as u64);
        }

        #[test]
        fn who_is_in_two_sections_may_be_shared(
            sections in prop::collection::vec(prop::collection::btree_set(0u64..200, 0..60), 0..6),
            bytes in prop::sample::select(vec![0usize, 64, 4_096]),
        ) {
            let mut by_id = SharedVisitors::of_ids(200, bytes);
            let mut by_code = SharedVisitors::of_codes(200);
            prop_assert!(by_id.bytes() <= bytes.max(16));
            for shared in [&mut by_id, &mut by_code] {
                sections.iter().for_each(|ids| shared.add(ids.iter().copied()));
            }
            for id in 0..200 {
                let holders = sections.iter().filter(|ids| ids.contains(&id)).count();
                prop_assert!(holders < 2 || by_id.may_be_shared(id), "{id}");
                prop_assert_eq!(holders > 1, by_code.may_be_shared(id), "{}", id);
            }
        }
    }
}
