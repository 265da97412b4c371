//! Sets of codes, and memory taken within the budget.

use std::cell::Cell;
use std::cmp::Ordering;
use std::ops::Range;

use crate::{Budget, QueryError};

/// Rows between two looks at the budget.
const BLOCK_ROWS: usize = 1 << 13;
/// The same of loops that take a few nanoseconds for each.
const LARGE_BLOCK_ROWS: usize = 1 << 16;
/// As many items are sorted in one go, which cannot be left half done: some half a million comparisons.
const SORTED_AT_ONCE: usize = 1 << 15;

/// What one query has taken of its budget.
pub(super) struct Work<'a> {
    budget: &'a Budget,
    reserved_bytes: Cell<usize>,
}

impl<'a> Work<'a> {
    pub(super) fn new(budget: &'a Budget) -> Self {
        Self { budget, reserved_bytes: Cell::new(0) }
    }

    /// Looks at the budget before each block of `rows`, which is a part of the query.
    pub(super) fn for_each_block(&self, rows: Range<usize>, work: impl FnMut(Range<usize>)) -> Result<(), QueryError> {
        self.for_each_block_of(BLOCK_ROWS, rows, work)
    }

    /// The same for loops that do next to nothing for each of `visits`: a look would cost as much as a short block.
    pub(super) fn for_each_large_block(
        &self,
        visits: Range<usize>,
        work: impl FnMut(Range<usize>),
    ) -> Result<(), QueryError> {
        self.for_each_block_of(LARGE_BLOCK_ROWS, visits, work)
    }

    fn for_each_block_of(
        &self,
        block_rows: usize,
        rows: Range<usize>,
        mut work: impl FnMut(Range<usize>),
    ) -> Result<(), QueryError> {
        let mut start = rows.start;
        self.budget.expect_parts(rows.len().div_ceil(block_rows) as u64);
        while start < rows.end {
            self.budget.check()?;
            let end = rows.end.min(start + block_rows);
            work(start..end);
            self.budget.part_done();
            start = end;
        }
        Ok(())
    }

    /// Sorts `items`, which may be many, looking at the budget on the way. Items that are equal come in any order.
    ///
    /// A sort cannot be left half done, so many items are parted first, the lesser from the greater, until few are left: when
    /// the budget is used up, that is told after the part at which it was found out.
    pub(super) fn sort_by<T>(
        &self,
        items: &mut [T],
        mut compare: impl FnMut(&T, &T) -> Ordering,
    ) -> Result<(), QueryError> {
        let mut unsorted = vec![items];
        while let Some(items) = unsorted.pop() {
            let mut looks = Looks::new(self.budget)?;
            let mut compare = |a: &T, b: &T| {
                looks.count();
                compare(a, b)
            };
            if items.len() <= SORTED_AT_ONCE {
                items.sort_unstable_by(compare);
            } else {
                let (lesser, _, greater) = items.select_nth_unstable_by(items.len() / 2, &mut compare);
                unsorted.extend([greater, lesser]);
            }
            looks.outcome?;
        }
        Ok(())
    }

    /// Puts the first `count` of `items` in the order of `compare` in front, and drops the others. Looks at the budget like
    /// [`Work::sort_by`].
    pub(super) fn sort_first_by<T>(
        &self,
        items: &mut Vec<T>,
        count: usize,
        mut compare: impl FnMut(&T, &T) -> Ordering,
    ) -> Result<(), QueryError> {
        if count < items.len() {
            let mut looks = Looks::new(self.budget)?;
            items.select_nth_unstable_by(count, |a, b| {
                looks.count();
                compare(a, b)
            });
            looks.outcome?;
            items.truncate(count);
        }
        self.sort_by(items, compare)
    }

    /// Looks at the budget.
    pub(super) fn check(&self) -> Result<(), QueryError> {
        self.budget.check()
    }

    /// Asks for memory for `count` values of type `T`.
    pub(super) fn reserve<T>(&self, count: usize) -> Result<(), QueryError> {
        let bytes = self.reserved_bytes.get().saturating_add(count.saturating_mul(size_of::<T>()));
        self.budget.check_memory(bytes)?;
        self.reserved_bytes.set(bytes);
        Ok(())
    }

    /// Asks for `bytes` of memory that are given back when what this returns is dropped.
    pub(super) fn lend(&self, bytes: usize) -> Result<Lent<'_>, QueryError> {
        self.reserve::<u8>(bytes)?;
        Ok(Lent { reserved_bytes: &self.reserved_bytes, bytes })
    }

    /// `count` times `value`.
    pub(super) fn filled<T: Clone>(&self, value: T, count: usize) -> Result<Vec<T>, QueryError> {
        self.reserve::<T>(count)?;
        Ok(vec![value; count])
    }

    /// An empty list with room for `count` values.
    pub(super) fn list<T>(&self, count: usize) -> Result<Vec<T>, QueryError> {
        self.reserve::<T>(count)?;
        Ok(Vec::with_capacity(count))
    }

    /// An empty set of codes below `count`.
    pub(super) fn bits(&self, count: usize) -> Result<Bits, QueryError> {
        self.reserve::<u64>(count.div_ceil(64))?;
        Ok(Bits::new(count))
    }
}

/// Memory that is given back.
pub(super) struct Lent<'a> {
    reserved_bytes: &'a Cell<usize>,
    bytes: usize,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.reserved_bytes.set(self.reserved_bytes.get() - self.bytes);
    }
}

/// Looks at a budget while things are compared.
struct Looks<'a> {
    budget: &'a Budget,
    comparisons: usize,
    outcome: Result<(), QueryError>,
}

impl<'a> Looks<'a> {
    fn new(budget: &'a Budget) -> Result<Self, QueryError> {
        budget.check()?;
        Ok(Self { budget, comparisons: 0, outcome: Ok(()) })
    }

    #[inline]
    fn count(&mut self) {
        self.comparisons += 1;
        if self.comparisons.is_multiple_of(BLOCK_ROWS) {
            // Also when it is used up: whoever waits for the core does not care why this goes on.
            let look = self.budget.check();
            self.outcome = std::mem::replace(&mut self.outcome, Ok(())).and(look);
        }
    }
}

/// A set of codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// An empty set of codes below `count`.
    pub(super) fn new(count: usize) -> Self {
        Self { words: vec![0; count.div_ceil(64)] }
    }

    #[inline]
    pub(super) fn contains(&self, code: u32) -> bool {
        self.words[code as usize / 64] >> (code % 64) & 1 != 0
    }

    /// The same of a code that the set may not be able to hold.
    #[inline]
    pub(super) fn may_contain(&self, code: u32) -> bool {
        self.words.get(code as usize / 64).is_some_and(|word| word >> (code % 64) & 1 != 0)
    }

    #[inline]
    pub(super) fn insert(&mut self, code: u32) {
        self.words[code as usize / 64] |= 1 << (code % 64);
    }

    /// Adds `code`, and makes room for it when there is none.
    pub(super) fn grow_and_insert(&mut self, code: u32) {
        let word = code as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.insert(code);
    }

    /// Adds the codes below `count`, which the set can hold.
    pub(super) fn insert_below(&mut self, count: u32) {
        let whole = count as usize / 64;
        self.words[..whole].fill(u64::MAX);
        if !count.is_multiple_of(64) {
            self.words[whole] |= (1 << (count % 64)) - 1;
        }
    }

    /// What it takes, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }

    /// Takes `code` out when the set can hold it.
    #[inline]
    pub(super) fn remove_if_there(&mut self, code: u32) {
        if let Some(word) = self.words.get_mut(code as usize / 64) {
            *word &= !(1 << (code % 64));
        }
    }

    /// Adds `code` when `condition` holds, without a branch.
    #[inline]
    pub(super) fn insert_if(&mut self, code: u32, condition: bool) {
        self.words[code as usize / 64] |= u64::from(condition) << (code % 64);
    }

    /// Adds the places of those of `values` of which `is_one` holds. The first has the place `start`, a multiple of 64.
    pub(super) fn insert_where<T>(&mut self, start: usize, values: &[T], is_one: impl Fn(&T) -> bool) {
        for (word, values) in self.words[start / 64..].iter_mut().zip(values.chunks(64)) {
            *word |= values.iter().zip(0..).fold(0, |word, (value, bit)| word | u64::from(is_one(value)) << bit);
        }
    }

    pub(super) fn insert_all(&mut self, codes: &[u32]) {
        for &code in codes {
            self.insert(code);
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// The codes in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.words.iter().zip((0..).step_by(64)).flat_map(|(&word, first)| {
            std::iter::successors((word != 0).then_some(word), |rest| {
                let rest = rest & (rest - 1);
                (rest != 0).then_some(rest)
            })
            .map(move |rest| first + rest.trailing_zeros())
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    pub(super) fn intersect(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }

    pub(super) fn unite(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
    }

    /// Takes out what `other` has.
    pub(super) fn remove_all(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= !other;
        }
    }

    /// Calls `visit` once with each distinct code of `lists`. The set must be empty, and is empty afterwards.
    pub(super) fn for_each_distinct<'l>(
        &mut self,
        lists: impl IntoIterator<Item = &'l [u32], IntoIter: Clone>,
        mut visit: impl FnMut(u32),
    ) {
        let lists = lists.into_iter();
        for &code in lists.clone().flatten() {
            if !self.contains(code) {
                self.insert(code);
                visit(code);
            }
        }
        for &code in lists.flatten() {
            self.words[code as usize / 64] = 0;
        }
    }

    /// How many distinct codes there are in all `lists`. The set must be empty, and is empty afterwards.
    pub(super) fn count_distinct(&mut self, lists: &[&[u32]]) -> u64 {
        if lists.iter().map(|codes| codes.len()).sum::<usize>() >= self.words.len() {
            lists.iter().for_each(|codes| self.insert_all(codes));
            let count = self.len();
            self.words.fill(0);
            return count;
        }
        // Few codes: touch only their words.
        let mut count = 0;
        for &code in lists.iter().copied().flatten() {
            let word = &mut self.words[code as usize / 64];
            count += !*word >> (code % 64) & 1;
            *word |= 1 << (code % 64);
        }
        for &code in lists.iter().copied().flatten() {
            self.words[code as usize / 64] = 0;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cancelled while it sorts: only a look on the way finds out.
    #[test]
    fn a_long_sort_looks_at_the_budget() {
        let shuffled = || -> Vec<u32> { (0..20_000u32).map(|n| n.wrapping_mul(0x9e37_79b9)).collect() };
        let cancelling = |budget: &Budget| {
            let budget = budget.clone();
            move |a: &u32, b: &u32| {
                budget.cancel();
                a.cmp(b)
            }
        };
        let budget = Budget::unlimited();
        let mut items = shuffled();
        assert_eq!(Work::new(&budget).sort_by(&mut items, cancelling(&budget)), Err(QueryError::Cancelled));
        assert!(items.is_sorted(), "a sort is not left half done");

        let (budget, mut comparisons) = (Budget::unlimited(), 0);
        let mut many: Vec<u32> = (0..500_000u32).map(|n| n.wrapping_mul(0x9e37_79b9)).collect();
        let mut count = |a: &u32, b: &u32| {
            comparisons += 1;
            a.cmp(b)
        };
        Work::new(&budget).sort_by(&mut many, &mut count).unwrap();
        assert!(many.is_sorted());
        budget.cancel();
        many.reverse();
        assert_eq!(Work::new(&budget).sort_by(&mut many, &mut count), Err(QueryError::Cancelled));
        let sorted = comparisons;
        let budget = Budget::unlimited();
        let compare = cancelling(&budget);
        let mut count = |a: &u32, b: &u32| {
            comparisons += 1;
            compare(a, b)
        };
        assert_eq!(Work::new(&budget).sort_by(&mut many, &mut count), Err(QueryError::Cancelled));
        assert!(comparisons - sorted < 4 * many.len(), "it goes on for {} comparisons", comparisons - sorted);

        let budget = Budget::unlimited();
        let first = Work::new(&budget).sort_first_by(&mut shuffled(), 10, cancelling(&budget));
        assert_eq!(first, Err(QueryError::Cancelled));
    }

    #[test]
    fn the_first_items_are_those_of_the_whole_order() {
        let budget = Budget::unlimited();
        let work = Work::new(&budget);
        let all: Vec<u32> = (0..1_000u32).map(|n| n.wrapping_mul(0x9e37_79b9) >> 8).collect();
        let mut sorted = all.clone();
        sorted.sort_unstable();
        for count in [0, 1, 10, 999, 1_000, 2_000] {
            let mut items = all.clone();
            work.sort_first_by(&mut items, count, u32::cmp).unwrap();
            assert_eq!(items, sorted[..count.min(all.len())], "{count}");
        }
    }
}
