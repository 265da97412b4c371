//! Lists and sets that grow while others read them.

use std::ops::Index;
use std::sync::Arc;

/// Values that are shared or copied together.
const BLOCK_VALUES: usize = 1_024;

/// A list that only grows. A clone costs two counts and stays what it is while the original grows, which then copies at
/// most 1,024 values and the places of the blocks before them, however long the list is.
#[derive(Debug, Clone)]
pub struct List<T> {
    /// Blocks of [`BLOCK_VALUES`].
    blocks: Arc<Vec<Arc<[T]>>>,
    /// What comes after them: less than a block, unless the list was made from a [`Vec`] and did not grow since.
    tail: Arc<Vec<T>>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self::from(Vec::new())
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(values: Vec<T>) -> Self {
        Self { blocks: Arc::default(), tail: Arc::new(values) }
    }
}

impl<T> List<T> {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.as_ref().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values in their order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.as_ref().iter()
    }

    /// The same values, borrowed.
    pub fn as_ref(&self) -> ListRef<'_, T> {
        ListRef { blocks: &self.blocks, tail: &self.tail }
    }
}

impl<T: Clone> List<T> {
    /// Adds a value.
    pub fn push(&mut self, value: T) {
        self.extend_from_slice(std::slice::from_ref(&value));
    }

    /// Adds values.
    pub fn extend_from_slice(&mut self, values: &[T]) {
        let tail = Arc::make_mut(&mut self.tail);
        let mut rest = values;
        loop {
            let (fitting, more) = rest.split_at(rest.len().min(BLOCK_VALUES.saturating_sub(tail.len())));
            tail.extend_from_slice(fitting);
            if more.is_empty() {
                return;
            }
            let whole = tail.len() / BLOCK_VALUES * BLOCK_VALUES;
            Arc::make_mut(&mut self.blocks).extend(tail[..whole].chunks(BLOCK_VALUES).map(Arc::from));
            tail.drain(..whole);
            rest = more;
        }
    }
}

impl<T> Index<usize> for List<T> {
    type Output = T;

    #[inline]
    fn index(&self, position: usize) -> &T {
        self.as_ref().value(position)
    }
}

/// The values of a [`List`], or of a slice.
#[derive(Debug)]
pub struct ListRef<'a, T> {
    blocks: &'a [Arc<[T]>],
    tail: &'a [T],
}

impl<T> Clone for ListRef<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ListRef<'_, T> {}

impl<'a, T> From<&'a [T]> for ListRef<'a, T> {
    fn from(values: &'a [T]) -> Self {
        Self { blocks: &[], tail: values }
    }
}

impl<'a, T> ListRef<'a, T> {
    /// How many values there are.
    #[inline]
    pub fn len(self) -> usize {
        self.blocks.len() * BLOCK_VALUES + self.tail.len()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The values in their order.
    pub fn iter(self) -> impl Iterator<Item = &'a T> {
        self.blocks.iter().flat_map(|block| block.iter()).chain(self.tail)
    }

    #[inline]
    fn value(self, position: usize) -> &'a T {
        match self.blocks.get(position / BLOCK_VALUES) {
            Some(block) => &block[position % BLOCK_VALUES],
            None => &self.tail[position - self.blocks.len() * BLOCK_VALUES],
        }
    }
}

impl<T> Index<usize> for ListRef<'_, T> {
    type Output = T;

    #[inline]
    fn index(&self, position: usize) -> &T {
        self.value(position)
    }
}

/// A set of codes: one bit for each code up to the highest that was ever in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CodeSet {
    words: Vec<u64>,
}

impl CodeSet {
    /// Nothing.
    pub const EMPTY: &'static Self = &Self { words: Vec::new() };

    /// Whether no code ever was in the set.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Whether `code` is in the set.
    #[inline]
    pub fn contains(&self, code: u32) -> bool {
        self.words.get(code as usize / 64).is_some_and(|word| word >> (code % 64) & 1 != 0)
    }

    /// Whether a code in the 64 codes around `lowest` to `highest`, or between them, is in the set: a look at a few words
    /// that spares looks at many codes.
    #[inline]
    pub(crate) fn may_contain_any(&self, lowest: u32, highest: u32) -> bool {
        let end = (highest as usize / 64 + 1).min(self.words.len());
        self.words.get(lowest as usize / 64..end).is_some_and(|words| words.iter().any(|&word| word != 0))
    }

    /// Puts `code` into the set or takes it out.
    pub fn set(&mut self, code: u32, is_in: bool) {
        let word = code as usize / 64;
        if is_in && self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        if let Some(word) = self.words.get_mut(word) {
            *word = *word & !(1 << (code % 64)) | u64::from(is_in) << (code % 64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Also from a vector longer than a block, and in steps that end anywhere.
        #[test]
        fn a_list_is_the_vector_of_its_values_and_clones_stay(
            start in 0usize..3_000,
            steps in prop::collection::vec(0usize..1_500, 0..8),
        ) {
            let mut values: Vec<usize> = (0..start).collect();
            let mut list = List::from(values.clone());
            let mut clones = Vec::new();
            for step in steps {
                clones.push((list.clone(), values.len()));
                let more = values.len()..values.len() + step;
                values.extend(more.clone());
                list.extend_from_slice(&more.collect::<Vec<_>>());
            }
            clones.push((list, values.len()));
            for (list, len) in &clones {
                prop_assert_eq!((list.len(), list.as_ref().len(), list.is_empty()), (*len, *len, *len == 0));
                prop_assert_eq!(list.iter().copied().collect::<Vec<_>>(), &values[..*len]);
                prop_assert!((0..*len).all(|position| list[position] == values[position]));
                prop_assert!((0..*len).all(|position| list.as_ref()[position] == values[position]));
            }
        }

        #[test]
        fn a_set_has_the_codes_that_were_put_in_last(changes in prop::collection::vec((0u32..300, any::<bool>()), 0..200)) {
            let (mut set, mut expected) = (CodeSet::default(), std::collections::BTreeSet::new());
            for (code, is_in) in changes {
                set.set(code, is_in);
                if is_in { expected.insert(code); } else { expected.remove(&code); }
            }
            prop_assert!((0..400).all(|code| set.contains(code) == expected.contains(&code)));
            for (lowest, highest) in [(0, 400), (0, 0), (63, 64), (70, 130), (250, 399), (320, 390)] {
                let near = lowest / 64 * 64..=highest / 64 * 64 + 63;
                prop_assert_eq!(set.may_contain_any(lowest, highest), expected.range(near).next().is_some());
            }
        }
    }

    /// What a query holds on to is not copied when the website grows.
    #[test]
    fn a_list_that_grows_shares_all_but_its_last_block() {
        let mut list: List<u64> = List::default();
        list.extend_from_slice(&(0..100_000).collect::<Vec<_>>());
        let held = list.clone();
        list.extend_from_slice(&[0; 1_000]);
        let places = |list: &List<u64>| list.blocks.iter().map(|block| block.as_ptr()).collect::<Vec<_>>();
        assert_eq!(held.blocks.len(), 100_000 / BLOCK_VALUES);
        assert_eq!(places(&list)[..held.blocks.len()], places(&held));
        assert!(list.tail.len() <= BLOCK_VALUES && held.tail.len() <= BLOCK_VALUES);
    }
}
