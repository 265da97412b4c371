//! Counts of more addresses than there is room for.

use std::hash::{BuildHasher, RandomState};

const ROWS: usize = 4;

/// Counts by hash in fixed memory (a count-min sketch with conservative update). An estimate is never lower than the
/// true count, so a client that is over its limit stays over it; it may be higher when very many others are counted.
/// The memory is taken at the first count and given back when the window ends.
#[derive(Debug)]
pub(crate) struct Sketch {
    window: i64,
    width: usize,
    counts: Vec<u32>,
}

impl Sketch {
    /// A sketch of `width` counters in each of four rows.
    pub(crate) fn new(width: usize) -> Self {
        Self { window: i64::MIN, width, counts: Vec::new() }
    }

    /// The count of `item` in `window`, at least.
    pub(crate) fn estimate(&mut self, window: i64, item: u128, hasher: &RandomState) -> u32 {
        self.roll(window);
        if self.counts.is_empty() {
            return 0;
        }
        self.places(item, hasher).map(|place| self.counts[place]).into_iter().min().unwrap_or(0)
    }

    /// Makes the count of `item` in `window` at least `count`.
    pub(crate) fn raise(&mut self, window: i64, item: u128, count: u32, hasher: &RandomState) {
        self.roll(window);
        if self.counts.is_empty() {
            self.counts = vec![0; self.width * ROWS];
        }
        for place in self.places(item, hasher) {
            self.counts[place] = self.counts[place].max(count);
        }
    }

    /// How many counters are held.
    #[cfg(test)]
    pub(crate) fn counters(&self) -> usize {
        self.counts.capacity()
    }

    fn roll(&mut self, window: i64) {
        if self.window != window {
            self.window = window;
            self.counts = Vec::new();
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a hash is two numbers of 32 bits")]
    fn places(&self, item: u128, hasher: &RandomState) -> [usize; ROWS] {
        let hash = hasher.hash_one((item, "sketch"));
        let (low, high) = (hash as u32 as usize, (hash >> 32) as usize | 1);
        std::array::from_fn(|row| row * self.width + low.wrapping_add(row.wrapping_mul(high)) % self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_never_too_low_and_end_with_the_window() {
        let hasher = RandomState::new();
        let mut sketch = Sketch::new(256);
        for item in 0..2_000_u128 {
            let next = sketch.estimate(1, item, &hasher) + 1;
            sketch.raise(1, item, next, &hasher);
            if item % 10 == 0 {
                let next = sketch.estimate(1, item, &hasher) + 1;
                sketch.raise(1, item, next, &hasher);
            }
        }
        for item in 0..2_000_u128 {
            let truth = if item % 10 == 0 { 2 } else { 1 };
            assert!(sketch.estimate(1, item, &hasher) >= truth);
        }
        assert_eq!(sketch.estimate(2, 0, &hasher), 0);
        assert_eq!(sketch.counters(), 0, "the memory is given back");
    }
}
