//! Sets of 64-bit ids that have no dense codes: too many to give codes to for one question.
//!
//! Ids are spread over parts by a multiplication, so that each part's table stays in the processor's cache: about a
//! tenth of what one large table costs.

use super::work::Work;
use crate::QueryError;

/// Ids of one part, about: their table of 64 KB stays in a second-level cache.
const PART_IDS: usize = 4_096;
const PARTS_MAX: usize = 1_024;

/// A bijection that spreads ids over their high bits, also the small numbers that tests use. The inverse is not needed.
#[inline]
fn spread(id: u64) -> u64 {
    id.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Where the search for `spread` begins in a table of `2^table_bits`, when its part was chosen by `part_bits` bits.
#[inline]
fn first_slot(spread: u64, part_bits: u32, table_bits: u32) -> usize {
    ((spread << part_bits) >> (64 - table_bits)) as usize
}

/// The bits of a table that is at most half full with `count` ids.
fn table_bits(count: usize) -> u32 {
    (2 * count).next_power_of_two().max(16).ilog2()
}

/// What is kept of ids, in parts by their high bits.
#[derive(Debug)]
struct Parts<T> {
    /// How many high bits choose the part: at least 1.
    bits: u32,
    parts: Vec<Vec<T>>,
}

impl<T: Clone> Parts<T> {
    /// Nothing yet; works best when about `expected` ids are added.
    fn new(expected: usize) -> Self {
        let bits = (expected / PART_IDS).next_power_of_two().clamp(2, PARTS_MAX).ilog2();
        Self { bits, parts: vec![Vec::new(); 1 << bits] }
    }

    #[inline]
    fn push(&mut self, spread: u64, kept: T) {
        self.parts[(spread >> (64 - self.bits)) as usize].push(kept);
    }
}

/// Counts the distinct among many ids.
pub(super) struct DistinctIds(Parts<u64>);

impl DistinctIds {
    /// Nothing yet; works best when about `expected` ids are added.
    pub(super) fn new(expected: usize) -> Self {
        Self(Parts::new(expected))
    }

    /// Adds `ids`, `count` of them.
    pub(super) fn extend(
        &mut self,
        work: &Work<'_>,
        count: usize,
        ids: impl Iterator<Item = u64>,
    ) -> Result<(), QueryError> {
        work.reserve::<u64>(count)?;
        for id in ids {
            let spread = spread(id);
            self.0.push(spread, spread);
        }
        Ok(())
    }

    /// How many distinct ids were added.
    pub(super) fn count(self, work: &Work<'_>) -> Result<u64, QueryError> {
        let mut table: Vec<u64> = Vec::new();
        let mut count = 0;
        let Parts { bits, parts } = self.0;
        for part in parts {
            work.check()?;
            let table_bits = table_bits(part.len());
            let mask = (1 << table_bits) - 1;
            table.clear();
            table.resize(mask + 1, 0);
            // A free slot holds 0, so the id 0 is counted apart.
            count += u64::from(part.contains(&0));
            for spread in part.into_iter().filter(|&spread| spread != 0) {
                let mut slot = first_slot(spread, bits, table_bits);
                while table[slot] != spread {
                    if table[slot] == 0 {
                        table[slot] = spread;
                        count += 1;
                        break;
                    }
                    slot = (slot + 1) & mask;
                }
            }
        }
        Ok(count)
    }
}

/// Finds the ids that several sections hold.
#[derive(Debug)]
pub(super) struct SharedIds(Parts<Holder>);

/// A section that holds an id, and the code that the section has for it.
#[derive(Debug, Clone, Copy)]
struct Holder {
    spread: u64,
    section: u32,
    code: u32,
}

impl SharedIds {
    /// Nothing yet; works best when about `expected` ids are added.
    pub(super) fn new(expected: usize) -> Self {
        Self(Parts::new(expected))
    }

    /// Adds the ids of `section`, each once; codes are their positions.
    pub(super) fn add(&mut self, work: &Work<'_>, section: u32, ids: &[u64]) -> Result<(), QueryError> {
        work.reserve::<Holder>(ids.len())?;
        for (&id, code) in ids.iter().zip(0..) {
            let spread = spread(id);
            self.0.push(spread, Holder { spread, section, code });
        }
        Ok(())
    }

    /// For each of `sections` sections the codes of its ids that another one holds, too.
    pub(super) fn find(self, work: &Work<'_>, sections: usize) -> Result<Vec<Vec<u32>>, QueryError> {
        let mut shared: Vec<Vec<u32>> = vec![Vec::new(); sections];
        // A holder's position plus one; 0 is free.
        let mut table: Vec<u32> = Vec::new();
        let Parts { bits, parts } = self.0;
        for part in parts {
            work.check()?;
            let table_bits = table_bits(part.len());
            let mask = (1 << table_bits) - 1;
            table.clear();
            table.resize(mask + 1, 0);
            let mut is_noted = vec![false; part.len()];
            for (position, holder) in part.iter().enumerate() {
                let mut slot = first_slot(holder.spread, bits, table_bits);
                let first = loop {
                    match table[slot] {
                        0 => {
                            table[slot] = position as u32 + 1;
                            break None;
                        }
                        other if part[other as usize - 1].spread == holder.spread => break Some(other as usize - 1),
                        _ => slot = (slot + 1) & mask,
                    }
                };
                if let Some(first) = first {
                    shared[holder.section as usize].push(holder.code);
                    if !std::mem::replace(&mut is_noted[first], true) {
                        shared[part[first].section as usize].push(part[first].code);
                    }
                }
            }
        }
        Ok(shared)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::Budget;

    fn any_id() -> impl Strategy<Value = u64> {
        prop_oneof![0..40u64, Just(u64::MAX), any::<u64>()]
    }

    proptest! {
        #[test]
        fn distinct_ids_are_counted(ids in prop::collection::vec(any_id(), 0..400), expected in 0..100_000usize) {
            let budget = Budget::unlimited();
            let work = Work::new(&budget);
            let mut distinct = DistinctIds::new(expected);
            let (first, second) = ids.split_at(ids.len() / 3);
            for ids in [first, second] {
                distinct.extend(&work, ids.len(), ids.iter().copied()).unwrap();
            }
            prop_assert_eq!(distinct.count(&work).unwrap(), ids.iter().collect::<BTreeSet<_>>().len() as u64);
        }

        #[test]
        fn shared_ids_are_found(
            sections in prop::collection::vec(prop::collection::btree_set(any_id(), 0..60), 0..6),
            expected in 0..100_000usize,
        ) {
            let budget = Budget::unlimited();
            let work = Work::new(&budget);
            let mut holders: BTreeMap<u64, usize> = BTreeMap::new();
            let mut shared = SharedIds::new(expected);
            for (section, ids) in sections.iter().enumerate() {
                ids.iter().for_each(|&id| *holders.entry(id).or_default() += 1);
                shared.add(&work, section as u32, &ids.iter().copied().collect::<Vec<_>>()).unwrap();
            }
            let found = shared.find(&work, sections.len()).unwrap();
            for (ids, mut codes) in sections.iter().zip(found) {
                codes.sort_unstable();
                let several = ids.iter().zip(0u32..).filter(|(id, _)| holders[id] > 1).map(|(_, code)| code);
                prop_assert_eq!(codes, several.collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn ids_are_taken_from_the_budget() {
        let budget = Budget::new(std::time::Duration::from_secs(3_600), 8_000);
        let work = Work::new(&budget);
        let mut distinct = DistinctIds::new(10);
        assert_eq!(distinct.extend(&work, 1_001, 0..1_001), Err(QueryError::MemoryExceeded));
        assert_eq!(SharedIds::new(10).add(&work, 0, &[1; 501]), Err(QueryError::MemoryExceeded));
    }
}
