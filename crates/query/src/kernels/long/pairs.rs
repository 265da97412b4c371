//! Distinct pairs of a group and a visitor, more than fit in memory.

use std::cell::Cell;
use std::ops::Range;

use super::codes::ALONE;
use super::threads::{PIECES_OF_THREAD, together};
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

/// Pairs of a group and the code of a visitor, those of a range of codes in one pass. When they take too much, the codes at the end of
/// the range are let go and are another pass's: more pairs take more passes and never more memory.
///
/// The first group of each visitor is a byte, found by the code. Only what has other groups, or one with a high number, is a pair.
#[derive(Debug)]
pub(super) struct DistinctPairs {
    /// The first group of each code from the start of `current` on, as far as codes were met.
    first: Vec<u8>,
    /// Pairs of each part. A part are the codes with the same high bits.
    parts: Vec<PartPairs>,
    /// The low bits of codes that are in one part.
    part_bits: u32,
    /// What this pass holds.
    current: Range<u32>,
    /// Above all codes that were met.
    end: u32,
    /// What all of `parts` take.
    part_bytes: usize,
    /// How many visitors each group has of those that are counted already.
    counts: Vec<u64>,
    /// How many visitors there are in any group, of those that are counted already.
    total: u64,
}

/// Pairs of one part: in the high bits the visitor, and in the low ones the group.
#[derive(Debug, Default)]
struct PartPairs {
    /// Of 32 bits, as nearly all are: those bits of the code that tell it from others of the part, and the group in what is left.
    short: ShortPairs,
    /// Of 32 and 32 bits, where a group has a higher number, or a code is above what was expected.
    long: LongPairs,
}

#[derive(Debug, Default)]
struct ShortPairs {
    /// Those that came since the others were put in order.
    fresh: Vec<u32>,
    settled: PackedPairs,
}

/// Short pairs in order, each once, as what each is more than the one before it: some two bytes.
#[derive(Debug, Default)]
struct PackedPairs {
    bytes: Vec<u8>,
    /// All groups are below. What a pair is more is told as if there were no others.
    groups: u32,
}

/// Adds `item`, and tells how many bytes more all of them take.
#[inline]
fn push<T>(items: &mut Vec<T>, item: T) -> usize {
    #[cold]
    fn grow<T>(items: &mut Vec<T>) -> usize {
        let before = items.capacity();
        items.reserve_exact((items.len() / 4).max(16));
        (items.capacity() - before) * size_of::<T>()
    }
    let more = if items.len() == items.capacity() { grow(items) } else { 0 };
    items.push(item);
    more
}

impl PackedPairs {
    /// Packs `pairs`, which stand in order, each once. Groups have `group_bits` bits, and are below `groups`.
    fn new(pairs: impl Iterator<Item = u32>, group_bits: u32, groups: u32) -> Self {
        let (mut bytes, mut before) = (Vec::new(), 0);
        let group_of = group_of_short(group_bits);
        for pair in pairs {
            let number = (pair >> group_bits) * groups + group_of(pair);
            let mut more = number - before;
            before = number;
            while more >= 1 << 7 {
                bytes.push(more.to_le_bytes()[0] | 1 << 7);
                more >>= 7;
            }
            bytes.push(more.to_le_bytes()[0]);
        }
        bytes.shrink_to_fit();
        Self { bytes, groups }
    }

    fn iter(&self, group_bits: u32) -> impl Iterator<Item = u32> {
        let (mut rest, mut visitor, mut group) = (self.bytes.iter(), 0, 0);
        std::iter::from_fn(move || {
            let (mut more, mut shift) = (0, 0);
            loop {
                let byte = *rest.next()?;
                more |= u32::from(byte & 0x7f) << shift;
                if byte < 1 << 7 {
                    break;
                }
                shift += 7;
            }
            group += more;
            if group >= self.groups {
                visitor += group / self.groups;
                group %= self.groups;
            }
            Some(visitor << group_bits | group)
        })
    }
}

impl ShortPairs {
    /// Puts all in order, each once, and keeps those for which `keep` holds.
    fn settle(&mut self, group_bits: u32, mut keep: impl FnMut(u32) -> bool) {
        let Self { mut fresh, settled } = std::mem::take(self);
        fresh.sort_unstable();
        fresh.dedup();
        let group_of = group_of_short(group_bits);
        let groups = fresh.iter().map(|&pair| group_of(pair) + 1).max().unwrap_or(0).max(settled.groups);
        let (mut fresh, mut known) = (fresh.into_iter().peekable(), settled.iter(group_bits).peekable());
        let merged = std::iter::from_fn(|| match (known.peek(), fresh.peek()) {
            (Some(own), Some(new)) if own == new => {
                fresh.next();
                known.next()
            }
            (Some(own), Some(new)) if own > new => fresh.next(),
            (None, _) => fresh.next(),
            _ => known.next(),
        });
        self.settled = PackedPairs::new(merged.filter(|&pair| keep(pair)), group_bits, groups);
    }

    /// All of them, in any order, some several times.
    fn into_pairs(self, group_bits: u32) -> Vec<u32> {
        let Self { mut fresh, settled } = self;
        fresh.extend(settled.iter(group_bits));
        fresh
    }

    fn bytes(&self) -> usize {
        self.fresh.capacity() * size_of::<u32>() + self.settled.bytes.capacity()
    }
}

/// Numbers of which the first are in order, each once.
#[derive(Debug, Default)]
struct LongPairs {
    numbers: Vec<u64>,
    in_order: usize,
}

impl LongPairs {
    /// Puts all in order, each once, and keeps those for which `keep` holds.
    fn settle(&mut self, mut keep: impl FnMut(u64) -> bool) {
        if self.in_order < self.numbers.len() {
            self.numbers[self.in_order..].sort_unstable();
            if self.in_order > 0 {
                // Two runs, which are merged.
                self.numbers.sort();
            }
            self.numbers.dedup();
        }
        self.numbers.retain(|&number| keep(number));
        self.in_order = self.numbers.len();
        self.numbers.shrink_to(self.in_order + self.in_order / 8);
    }

    fn bytes(&self) -> usize {
        self.numbers.capacity() * size_of::<u64>()
    }
}

/// Finds out which short pairs of a part are different without putting them in order: those of one visitor are put together, and each
/// group is stamped with the visitor who was met in it last.
#[derive(Debug, Default)]
struct Counting {
    /// Where the pairs of each visitor end.
    ends: Vec<u32>,
    /// The pairs, visitor by visitor.
    pairs: Vec<u32>,
    /// By group, the last visitor who was met in it, of all parts.
    stamps: Vec<u32>,
    stamp: u32,
}

impl Counting {
    /// Fewer pairs than this are sorted.
    const FEW: usize = 256;
    /// Stamps are for groups below this.
    const GROUPS_MAX: u32 = 1 << 20;

    /// Calls `visit` once with each of the pairs of one part, whose low `group_bits` bits are the group.
    fn each_once(&mut self, pairs: ShortPairs, group_bits: u32, mut visit: impl FnMut(u32)) {
        let mut numbers = pairs.into_pairs(group_bits);
        let group_of = group_of_short(group_bits);
        let (least, highest) = numbers.iter().fold((u32::MAX, 0), |(least, highest), &pair| {
            (least.min(pair >> group_bits), highest.max(pair >> group_bits))
        });
        let visitors = highest.saturating_sub(least) as usize + 1;
        let groups = numbers.iter().map(|&pair| group_of(pair)).max().map_or(0, |group| group + 1);
        if numbers.len() < Self::FEW || visitors > 4 * numbers.len() || groups > Self::GROUPS_MAX {
            numbers.sort_unstable();
            numbers.dedup();
            numbers.into_iter().for_each(visit);
            return;
        }
        if self.stamp > u32::MAX / 2 {
            *self = Self::default();
        }
        self.ends.clear();
        self.ends.resize(visitors, 0);
        let visitor_of = |pair: u32| ((pair >> group_bits) - least) as usize;
        numbers.iter().for_each(|&pair| self.ends[visitor_of(pair)] += 1);
        // Each visitor's place to write to starts where it begins and comes to stand where it ends.
        let mut start = 0;
        for end in &mut self.ends {
            start += std::mem::replace(end, start);
        }
        self.pairs.resize(numbers.len(), 0);
        for &pair in &numbers {
            let end = &mut self.ends[visitor_of(pair)];
            self.pairs[*end as usize] = pair;
            *end += 1;
        }
        if self.stamps.len() < groups as usize {
            self.stamps.resize(groups as usize, 0);
        }
        let mut start = 0;
        for &end in &self.ends {
            self.stamp += 1;
            for &pair in &self.pairs[start..end as usize] {
                let stamp = &mut self.stamps[group_of(pair) as usize];
                if std::mem::replace(stamp, self.stamp) != self.stamp {
                    visit(pair);
                }
            }
            start = end as usize;
        }
    }
}

impl DistinctPairs {
    /// So many pairs are added in one go.
    pub(super) const BLOCK: usize = 1_024;

    /// For visitors whose codes are below `below`, or hardly above it.
    pub(super) fn new(below: u32) -> Self {
        Self {
            first: Vec::new(),
            parts: (0..PARTS).map(|_| PartPairs::default()).collect(),
            part_bits: (u32::BITS - below.leading_zeros()).saturating_sub(PART_BITS).max(1),
            current: 0..u32::MAX,
            end: 0,
            part_bytes: 0,
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
        // Whether somebody is met first is as good as chance, so it is not a branch.
        let own = group.min(LISTED.into()) as u8;
        let first = &mut self.first[place];
        let known = *first;
        *first = if known == NONE { own } else { known };
        if (known == NONE || known == own) && own != LISTED {
            return;
        }
        self.list(group, code);
    }

    /// Looks at what is known of `codes`, of which pairs come next: together, so that none waits for another that is far away in memory.
    pub(super) fn look_at(&self, codes: &[u32]) {
        let known =
            |code: &u32| self.first.get(code.wrapping_sub(self.current.start) as usize).copied().unwrap_or(NONE);
        std::hint::black_box(codes.iter().map(known).fold(0, |all, known| all | known));
    }

    /// Adds pairs of each of `groups` and one code.
    #[inline]
    pub(super) fn add_groups(&mut self, groups: &[u32], code: u32) {
        let Some(&own) = groups.first() else { return };
        let place = code.wrapping_sub(self.current.start) as usize;
        if place >= self.first.len() && !self.make_room(code) {
            return;
        }
        let (group_bits, part) = (self.group_bits(), (code >> self.part_bits) as usize);
        let first = &mut self.first[place];
        if *first == NONE {
            *first = own.min(LISTED.into()) as u8;
        }
        // That of `LISTED` is among the others.
        let known = if *first == LISTED { u32::MAX } else { (*first).into() };
        let listed = groups.iter().copied().filter(|&group| group != known);
        if part >= PARTS || groups.iter().any(|group| group >> group_bits != 0) {
            listed.for_each(|group| self.list(group, code));
            return;
        }
        let pairs = &mut self.parts[part].short.fresh;
        let more: usize = listed.map(|group| push(pairs, code << group_bits | group)).sum();
        self.part_bytes += more;
    }

    /// Adds many pairs of a group and a code.
    #[inline]
    pub(super) fn add_each(&mut self, mut pairs: impl Iterator<Item = (u32, u32)>) {
        loop {
            // What the loop looks at again and again is at hand, and is no part of `self` that a write could change.
            let (start, first) = (self.current.start, &mut self.first[..]);
            let left = pairs.find(|&(group, code)| {
                let own = group.min(LISTED.into()) as u8;
                let Some(first) = first.get_mut(code.wrapping_sub(start) as usize) else { return true };
                let known = *first;
                *first = if known == NONE { own } else { known };
                (known != NONE && known != own) || own == LISTED
            });
            let Some((group, code)) = left else { return };
            self.add(group, code);
        }
    }

    /// Adds pairs of `group` and each of `codes`, when all are such as this pass holds.
    pub(super) fn add_all_of(&mut self, group: u32, codes: &[u32]) -> bool {
        let highest = codes.iter().copied().max().unwrap_or(0);
        if group >= LISTED.into() || !self.holds_up_to(highest) {
            return false;
        }
        let (own, start) = (group as u8, self.current.start);
        let mut others = [0; Self::BLOCK];
        for block in codes.chunks(Self::BLOCK) {
            let (first, mut count) = (&mut self.first[..], 0);
            for &code in block {
                let first = &mut first[(code - start) as usize];
                let known = *first;
                *first = if known == NONE { own } else { known };
                others[count % Self::BLOCK] = code;
                count += usize::from((known != NONE) & (known != own));
            }
            others[..count].iter().for_each(|&code| self.list(group, code));
        }
        true
    }

    /// Adds pairs of the group of each of `places`, in `groups`, and the code of each of `visitors`, in `codes`, which all are such as
    /// this pass holds. Places whose group is `u32::MAX` are passed by.
    pub(super) fn add_places(&mut self, places: &[u32], groups: &[u32], visitors: &[u32], codes: &[u32]) {
        let start = self.current.start;
        let mut others = [(0, 0); Self::BLOCK];
        for (places, visitors) in places.chunks(Self::BLOCK).zip(visitors.chunks(Self::BLOCK)) {
            let (first, mut count) = (&mut self.first[..], 0);
            for (&place, &visitor) in places.iter().zip(visitors) {
                let (group, code) = (groups[place as usize], codes[visitor as usize]);
                let own = group.min(LISTED.into()) as u8;
                let first = &mut first[(code - start) as usize];
                // Whether somebody is met first, or elsewhere, is as good as chance, so nothing of it is a branch.
                let (known, is_counted) = (*first, group != u32::MAX);
                *first = if is_counted & (known == NONE) { own } else { known };
                others[count % Self::BLOCK] = (group, code);
                count += usize::from(is_counted & ((known != NONE) & (known != own) | (own == LISTED)));
            }
            others[..count].iter().for_each(|&(group, code)| self.list(group, code));
        }
    }

    /// Whether `code` is one of a visitor whom this pass holds.
    pub(super) fn holds(&self, code: u32) -> bool {
        code < ALONE && self.current.contains(&code)
    }

    /// Whether this pass holds all codes up to `highest`; then there is room for them.
    pub(super) fn holds_up_to(&mut self, highest: u32) -> bool {
        let is_held = self.current.start == 0 && self.current.end == u32::MAX && highest < ALONE;
        if is_held && highest as usize >= self.first.len() {
            self.make_room(highest);
        }
        is_held
    }

    #[inline]
    fn list(&mut self, group: u32, code: u32) {
        let group_bits = self.group_bits();
        let part = (code >> self.part_bits) as usize;
        self.part_bytes += if part < PARTS && group >> group_bits == 0 {
            // The bits of the part fall off.
            push(&mut self.parts[part].short.fresh, code << group_bits | group)
        } else {
            push(&mut self.parts[part.min(PARTS - 1)].long.numbers, u64::from(code) << 32 | u64::from(group))
        };
    }

    /// How many bits a short pair has for the group.
    #[inline]
    fn group_bits(&self) -> u32 {
        u32::BITS - self.part_bits
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
        self.first.capacity() + self.part_bytes + self.counts.capacity() * size_of::<u64>()
    }

    /// Keeps each pair once. Those of groups that are `complete`, which no other pair will have, are counted at once and forgotten.
    ///
    /// # Errors
    /// When the budget is used up, like all methods with one.
    pub(super) fn settle(&mut self, budget: &Budget, complete: impl Fn(u32) -> bool) -> Result<(), QueryError> {
        let (group_bits, group_of) = (self.group_bits(), group_of_short(self.group_bits()));
        for number in self.held_parts() {
            budget.check()?;
            let PartPairs { short, long } = &mut self.parts[number];
            let counts = &mut self.counts;
            let mut is_kept = |group: u32| {
                let is_counted = complete(group);
                if is_counted {
                    add_count(counts, group, 1);
                }
                !is_counted
            };
            short.settle(group_bits, |pair| is_kept(group_of(pair)));
            long.settle(|pair| is_kept(group_of_long(pair)));
        }
        self.measure();
        Ok(())
    }

    /// Lets codes go, which are left to the next pass, until the pairs take at most `bytes`. They were settled before.
    ///
    /// # Errors
    /// When one part takes more.
    pub(super) fn fit(&mut self, bytes: usize) -> Result<(), QueryError> {
        while self.bytes() > bytes {
            let parts = self.held_parts();
            if parts.len() < 2 {
                return Err(QueryError::MemoryExceeded);
            }
            self.let_go_from(((parts.start + parts.len() / 2) as u32) << self.part_bits);
        }
        Ok(())
    }

    /// Lets the codes from `end` on go, where a part begins. Nothing happens when this pass does not hold them.
    fn let_go_from(&mut self, end: u32) {
        if end >= self.current.end {
            return;
        }
        let parts = self.held_parts();
        let first = part_of_code(end, self.part_bits);
        self.parts[first.min(parts.end)..parts.end].fill_with(PartPairs::default);
        self.current.end = end;
        self.first.truncate((self.current.end - self.current.start) as usize);
        self.first.shrink_to_fit();
        self.measure();
    }

    /// Counts what this pass holds, and goes on to the next; `false` when there is none.
    pub(super) fn next_pass(&mut self, budget: &Budget) -> Result<bool, QueryError> {
        // Four lists, because most have the same group, and none need wait for the one before it.
        let mut lists = [[0_u64; 256]; 4];
        for block in self.first.chunks(1 << 16) {
            budget.check()?;
            let (fours, rest) = block.as_chunks::<4>();
            for four in fours {
                lists.iter_mut().zip(four).for_each(|(firsts, &group)| firsts[usize::from(group)] += 1);
            }
            rest.iter().for_each(|&group| lists[0][usize::from(group)] += 1);
        }
        let firsts: [u64; 256] = std::array::from_fn(|group| lists.iter().map(|firsts| firsts[group]).sum());
        self.total += firsts[..usize::from(NONE)].iter().sum::<u64>();
        for (group, &count) in (0..LISTED.into()).zip(&firsts).filter(|(_, count)| **count > 0) {
            add_count(&mut self.counts, group, count);
        }
        // With these all of them are counted and forgotten.
        self.count_parts(budget)?;
        self.first = Vec::new();
        self.current = self.current.end..self.end;
        Ok(!self.current.is_empty())
    }

    /// Counts what several threads hold, which become one, the first, and goes on to the next pass, the same for all; `false` when there is
    /// none. `groups` has of each of the others the number in the first of each of its groups; without groups these are the same.
    pub(super) fn next_pass_of(
        all: &mut [Self],
        groups: &[Option<Vec<u32>>],
        budget: &Budget,
    ) -> Result<bool, QueryError> {
        if let [one] = all {
            return one.next_pass(budget);
        }
        let Some(first) = all.first() else { return Ok(false) };
        let start = first.current.start;
        let end = all.iter().map(|pairs| pairs.current.end).min().unwrap_or(start);
        let met = all.iter().map(|pairs| pairs.end).max().unwrap_or(start);
        for pairs in &mut *all {
            pairs.let_go_from(end);
            pairs.end = met;
        }
        let held = all[0].held_parts();
        let pieces = (all.len() * PIECES_OF_THREAD).min(held.len());
        let mut places = Vec::with_capacity(pieces);
        for piece in 0..pieces {
            let place = |piece: usize| held.start + held.len() * piece / pieces;
            let parts = place(piece)..place(piece + 1);
            places.push(all.iter_mut().map(|pairs| pairs.take_parts(parts.clone())).collect::<Vec<_>>());
        }
        let of_groups = |other: usize, group: u32| match &groups[other] {
            Some(groups) => groups[group as usize],
            None => group,
        };
        let counted = together(budget, all.len(), places, |mut piece| {
            let others = piece.split_off(1);
            let mut own = piece.pop().unwrap_or_else(|| Self::new(0));
            for (number, other) in others.into_iter().enumerate() {
                own.absorb(other, |group| of_groups(number, group), budget)?;
            }
            own.next_pass(budget)?;
            Ok((own.counts, own.total))
        })?;
        let (own, others) = all.split_at_mut(1);
        for (counts, total) in counted {
            (0..).zip(counts).for_each(|(group, count)| own[0].count_of_group(group, count));
            own[0].count_of_all(total);
        }
        for (number, other) in others.iter_mut().enumerate() {
            for (group, count) in (0..).zip(std::mem::take(&mut other.counts)).filter(|(_, count)| *count > 0) {
                own[0].count_of_group(of_groups(number, group), count);
            }
            own[0].count_of_all(std::mem::take(&mut other.total));
        }
        for pairs in &mut *all {
            pairs.first = Vec::new();
            pairs.current = end..met;
            pairs.measure();
        }
        Ok(end < met)
    }

    /// The pairs of some of the parts that this holds, which it does not have any more, without what is counted already.
    fn take_parts(&mut self, parts: Range<usize>) -> Self {
        let from = (parts.start as u32) << self.part_bits;
        let to =
            if parts.end < self.held_parts().end { (parts.end as u32) << self.part_bits } else { self.current.end };
        let place = |code: u32| (code.max(self.current.start) - self.current.start) as usize;
        let mut taken = Self::new(0);
        taken.part_bits = self.part_bits;
        taken.current = from.max(self.current.start)..to;
        taken.first = self.first[place(from).min(self.first.len())..place(to).min(self.first.len())].to_vec();
        taken.end = self.end.min(to);
        for number in parts {
            taken.parts[number] = std::mem::take(&mut self.parts[number]);
        }
        taken
    }

    /// Adds the pairs that another thread has of the same codes.
    fn absorb(&mut self, mut other: Self, group_of: impl Fn(u32) -> u32, budget: &Budget) -> Result<(), QueryError> {
        for (code, &own) in (other.current.start..).zip(&other.first) {
            // Groups of one that is listed are among the pairs.
            if own < LISTED {
                self.add(group_of(own.into()), code);
            }
        }
        let (group_bits, group_of_pair) = (self.group_bits(), group_of_short(self.group_bits()));
        for number in other.held_parts() {
            budget.check()?;
            let PartPairs { short, long } = std::mem::take(&mut other.parts[number]);
            for pair in short.fresh.iter().copied().chain(short.settled.iter(group_bits)) {
                let code = (number as u32) << self.part_bits | pair >> group_bits;
                self.add(group_of(group_of_pair(pair)), code);
            }
            for pair in long.numbers {
                self.add(group_of(group_of_long(pair)), (pair >> 32) as u32);
            }
        }
        Ok(())
    }

    /// Counts the pairs of all parts, and forgets them.
    fn count_parts(&mut self, budget: &Budget) -> Result<(), QueryError> {
        let (group_bits, group_of) = (self.group_bits(), group_of_short(self.group_bits()));
        let mut counting = Counting::default();
        for number in self.held_parts() {
            budget.check()?;
            let PartPairs { short, mut long } = std::mem::take(&mut self.parts[number]);
            let counts = &mut self.counts;
            counting.each_once(short, group_bits, |pair| add_count(counts, group_of(pair), 1));
            long.settle(|pair| {
                add_count(counts, group_of_long(pair), 1);
                false
            });
        }
        self.measure();
        Ok(())
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
        self.part_bytes = self.parts.iter().map(|PartPairs { short, long }| short.bytes() + long.bytes()).sum();
    }
}

/// The part of a code. Codes above what was expected are in the last one.
fn part_of_code(code: u32, part_bits: u32) -> usize {
    ((code >> part_bits) as usize).min(PARTS - 1)
}

#[expect(clippy::cast_possible_truncation, reason = "the group is the low half")]
fn group_of_long(pair: u64) -> u32 {
    pair as u32
}

/// The group of a short pair.
fn group_of_short(group_bits: u32) -> impl Fn(u32) -> u32 {
    let mask = (1 << group_bits) - 1;
    move |pair| pair & mask
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

    /// The same with what another thread met in other sections.
    pub(super) fn with(mut self, other: &Self) -> Self {
        for ([once, twice], [other_once, other_twice]) in self.words.iter_mut().zip(&other.words) {
            *twice |= other_twice | *once & other_once;
            *once |= other_once;
        }
        self
    }

    /// What it takes, bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.words)
    }
}

/// What the parts of one question take that stay from section to section, bytes.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Shares of sessions that go on in other sections, which these are, and rows of them in the section that is counted.
    pub(super) sessions: Cell<usize>,
    /// Rows of sessions that wait for others.
    pub(super) rest: Cell<usize>,
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
        let Self { sessions, rest, shared, codes, chosen, groups, pairs } = self;
        [sessions, rest, shared, codes, chosen, groups, pairs].iter().map(|bytes| bytes.get()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Sabotage: keep `current.end` in `fit`, count pairs that are settled again in `next_pass`, list the first group of a visitor
        /// that is listed already as if it were its only one, forget the codes that a pass does not hold in `end`, make every pair short, or
        /// sort in `LongPairs::settle` the new numbers alone, or leave what was settled before
        /// out in `ShortPairs::settle`.
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
                        distinct.settle(&Budget::unlimited(), |_| false).unwrap();
                        distinct.fit(bytes / 2 + 5_000).unwrap();
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

        /// As many as are counted without being sorted. Sabotage: start each visitor of `Counting` with the stamp of the one before, or
        /// forget that stamps outlive a part.
        #[test]
        fn many_pairs_of_a_part_are_counted_once(
            pairs in prop::collection::vec((prop_oneof![0u32..30, 250u32..300], 0u32..400, 0u32..3), 300..2_000),
        ) {
            // Three parts of 2,048 codes.
            let pairs: Vec<(u32, u32)> = pairs.into_iter().map(|(group, code, part)| (group, part << 11 | code)).collect();
            let mut distinct = DistinctPairs::new((1 << 21) - 1);
            let (one_by_one, together) = pairs.split_at(pairs.len() / 2);
            one_by_one.iter().for_each(|&(group, code)| distinct.add(group, code));
            let (in_turn, by_code) = together.split_at(together.len() / 2);
            distinct.add_each(in_turn.iter().copied());
            let mut of_code: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
            by_code.iter().for_each(|&(group, code)| of_code.entry(code).or_default().push(group));
            of_code.iter().for_each(|(&code, groups)| distinct.add_groups(groups, code));
            prop_assert!(!distinct.next_pass(&Budget::unlimited()).unwrap());
            for group in (0..30).chain(250..300) {
                let codes: BTreeSet<u32> = pairs.iter().filter(|pair| pair.0 == group).map(|pair| pair.1).collect();
                prop_assert_eq!(distinct.of_group(group), codes.len() as u64);
            }
            let all: BTreeSet<u32> = pairs.iter().map(|(_, code)| *code).collect();
            prop_assert_eq!(distinct.total(), all.len() as u64);
        }

        /// Sabotage: keep the higher end of what threads hold in `next_pass_of`, leave out the pairs of another thread that are this one's first
        /// or listed in `absorb`, or what was counted at once on other threads.
        #[test]
        fn what_threads_hold_is_counted_once(
            pairs in prop::collection::vec((prop_oneof![0u32..6, 250u32..258], 0u32..40_000, 0usize..3), 0..300),
            threads in 1usize..4,
            below in prop::sample::select(vec![40_000u32, 1 << 20]),
            bytes in prop::sample::select(vec![6_000usize, 20_000]),
            alone in prop::collection::vec((0u32..258, 0usize..3), 0..5),
        ) {
            let of_thread = |thread: usize| thread % threads;
            // Each thread has its own numbers of the groups.
            let number = |thread: usize, group: u32| (group + 100 * of_thread(thread) as u32) % 300;
            let groups: Vec<Option<Vec<u32>>> = (1..threads)
                .map(|thread| Some((0..300).map(|own| (own + 300 - 100 * thread as u32) % 300).collect()))
                .collect();
            let mut all: Vec<DistinctPairs> = (0..threads).map(|_| DistinctPairs::new(below)).collect();
            for &(group, thread) in &alone {
                all[of_thread(thread)].count_of_group(number(thread, group), 1);
                all[of_thread(thread)].count_of_all(1);
            }
            let mut passes = 0;
            loop {
                for (at, &(group, code, thread)) in pairs.iter().enumerate() {
                    let own = &mut all[of_thread(thread)];
                    own.add(number(thread, group), code);
                    if at % 50 == 7 && own.bytes() > bytes {
                        own.settle(&Budget::unlimited(), |_| false).unwrap();
                        let _ = own.fit(bytes);
                    }
                }
                passes += 1;
                prop_assert!(passes < 1_000);
                if !DistinctPairs::next_pass_of(&mut all, &groups, &Budget::unlimited()).unwrap() {
                    break;
                }
            }
            for group in (0..6).chain(250..258) {
                let codes: BTreeSet<u32> = pairs.iter().filter(|pair| pair.0 == group).map(|pair| pair.1).collect();
                let more = alone.iter().filter(|(own, _)| *own == group).count();
                prop_assert_eq!(all[0].of_group(group), (codes.len() + more) as u64);
            }
            let codes: BTreeSet<u32> = pairs.iter().map(|pair| pair.1).collect();
            prop_assert_eq!(all[0].total(), (codes.len() + alone.len()) as u64);
        }

        #[test]
        fn what_is_settled_is_counted_once(
            pairs in prop::collection::vec((prop_oneof![0u32..6, 2_046u32..2_050], 0u32..4_000), 0..300),
            // Codes above it, pairs that are short, and groups too high for them.
            below in prop::sample::select(vec![1_000u32, 4_000, 1 << 31]),
            at in 0usize..300,
        ) {
            let mut distinct = DistinctPairs::new(below);
            // All pairs of odd groups come before the others.
            let (odd, even): (Vec<_>, Vec<_>) = pairs.iter().copied().partition(|(group, _)| group % 2 == 1);
            odd.iter().chain(&even[..at.min(even.len())]).for_each(|&(group, code)| distinct.add(group, code));
            distinct.settle(&Budget::unlimited(), |group| group % 2 == 1).unwrap();
            even.iter().for_each(|&(group, code)| distinct.add(group, code));
            prop_assert!(!distinct.next_pass(&Budget::unlimited()).unwrap());
            for group in (0..6).chain(2_046..2_050) {
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
