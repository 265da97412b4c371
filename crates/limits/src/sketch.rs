//! Counts of more keys than there is room for.

use crate::rule::Period;

const ROWS: usize = 4;
/// Bytes of one counter in each row, for this window and the last.
pub(crate) const BYTES_OF_WIDTH: usize = 2 * ROWS * size_of::<u32>();

/// Counts by hash in fixed memory (a count-min sketch with conservative update), in this window and in the last. An
/// estimate is never lower than the true count, so a key that is over its limit stays over it; it may be higher when very
/// many others are counted. The memory is taken at the first count and given back when the window ends.
#[derive(Debug)]
pub(crate) struct Sketch {
    period: Period,
    width: usize,
    /// When the window ends.
    ends: i64,
    counts: Vec<u32>,
    /// Those of the window before, if any count asks for them.
    last: Vec<u32>,
    keeps_last: bool,
}

impl Sketch {
    /// A sketch of `width` counters in each of four rows.
    pub(crate) const fn new(period: Period, width: usize) -> Self {
        Self { period, width, ends: i64::MIN, counts: Vec::new(), last: Vec::new(), keeps_last: false }
    }

    pub(crate) const fn period(&self) -> Period {
        self.period
    }

    /// The count of a key at `t`, at least: in this window, and in the one before if `with_last`.
    pub(crate) fn estimate(&mut self, hash: u64, with_last: bool, t: i64) -> u32 {
        self.roll(t);
        self.keeps_last |= with_last;
        let places = self.places(hash);
        let of = |counts: &Vec<u32>| {
            places.map(|place| counts.get(place).copied().unwrap_or(0)).into_iter().min().unwrap_or(0)
        };
        of(&self.counts).saturating_add(if with_last { of(&self.last) } else { 0 })
    }

    /// Counts one more request of a key at `t`.
    pub(crate) fn add(&mut self, hash: u64, t: i64) {
        let count = self.estimate(hash, false, t).saturating_add(1);
        if self.counts.is_empty() {
            self.counts = vec![0; self.width * ROWS];
        }
        for place in self.places(hash) {
            self.counts[place] = self.counts[place].max(count);
        }
    }

    /// Whether it still counts anything at `t`.
    pub(crate) fn is_live(&mut self, t: i64) -> bool {
        self.roll(t);
        !self.counts.is_empty() || !self.last.is_empty()
    }

    /// Bytes of the heap.
    pub(crate) const fn heap_bytes(&self) -> usize {
        (self.counts.capacity() + self.last.capacity()) * size_of::<u32>()
    }

    fn roll(&mut self, t: i64) {
        if t >= self.ends {
            let is_next = t < self.ends.saturating_add(self.period.length_ms());
            let counts = std::mem::take(&mut self.counts);
            self.last = if is_next && self.keeps_last { counts } else { Vec::new() };
        }
        self.ends = self.period.end_of_window(t);
    }

    #[expect(clippy::cast_possible_truncation, reason = "a hash is two numbers of 32 bits")]
    fn places(&self, hash: u64) -> [usize; ROWS] {
        let (low, high) = (hash as u32 as usize, (hash >> 32) as usize | 1);
        std::array::from_fn(|row| row * self.width + low.wrapping_add(row.wrapping_mul(high)) % self.width)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;
    use crate::Rule;

    #[test]
    fn estimates_are_never_too_low_and_end_with_the_window() {
        let hasher = RandomState::new();
        let hash = |item: u32| hasher.hash_one(item);
        let truth = |item| if item % 10 == 0 { 2 } else { 1 };
        let mut sketch = Sketch::new(Rule::per_second(1).period, 256);
        for item in 0..2_000 {
            (0..truth(item)).for_each(|_| sketch.add(hash(item), 500));
        }
        assert!((0..2_000).all(|item| sketch.estimate(hash(item), true, 999) >= truth(item)));
        assert!((0..2_000).all(|item| sketch.estimate(hash(item), false, 1_000) == 0), "a new window");
        assert!((0..2_000).all(|item| sketch.estimate(hash(item), true, 1_999) >= truth(item)), "and the one before");
        assert!(!sketch.is_live(2_000));
        assert_eq!(sketch.heap_bytes(), 0, "the memory is given back");
    }

    #[test]
    fn a_clock_that_goes_back_forgets_nothing() {
        let mut sketch = Sketch::new(Rule::per_minute(1).period, 16);
        sketch.add(7, 10_000_000);
        assert_eq!(sketch.estimate(7, false, 5_000_000), 1);
        assert_eq!(sketch.estimate(7, false, 5_100_000), 0, "a minute later it is over");
    }
}
