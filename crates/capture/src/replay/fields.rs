//! Which fields of a recorded page may show what is in them. Only where not all fields are masked it matters: a chunk says that
//! something was typed into a node, and what that node is may have been said in a chunk before.

use std::collections::{HashMap, HashSet, VecDeque};

use parking_lot::Mutex;

/// The most fields of a page that are known; what is typed into others is masked.
const FIELDS_MAX: usize = 5_000;
/// The most recordings of which fields are remembered; after more, and after a restart, what is typed is masked until the next
/// snapshot of the page.
const RECORDINGS_MAX: usize = 4_096;
/// The most fields that are remembered of all recordings, 16 bytes each.
const REMEMBERED_MAX: usize = 500_000;

/// Fields of one page, by the numbers of their nodes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(HashSet<u64>);

impl Fields {
    /// Whether what is typed into the node `id` may be shown.
    pub(crate) fn is_shown(&self, id: u64) -> bool {
        self.0.contains(&id)
    }

    pub(crate) fn show(&mut self, id: u64) {
        if self.0.len() < FIELDS_MAX {
            self.0.insert(id);
        }
    }

    pub(crate) fn hide(&mut self, id: u64) {
        self.0.remove(&id);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The fields of recordings that go on.
#[derive(Debug, Default)]
pub(crate) struct FieldMemory(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    recordings: HashMap<[u8; 16], (u32, Fields)>,
    /// The recordings, the one that was remembered first in front.
    order: VecDeque<[u8; 16]>,
    fields: usize,
}

impl FieldMemory {
    /// What was known after the chunk before `seq` of a recording; nothing when that did not come right before.
    pub(crate) fn before(&self, replay: [u8; 16], seq: u32) -> Fields {
        let remembered = self.0.lock();
        match remembered.recordings.get(&replay) {
            Some((last, fields)) if *last == seq || last.checked_add(1) == Some(seq) => fields.clone(),
            _ => Fields::default(),
        }
    }

    /// Remembers what is known after the chunk `seq`.
    pub(crate) fn remember(&self, replay: [u8; 16], seq: u32, fields: Fields) {
        let mut remembered = self.0.lock();
        remembered.fields += fields.0.len();
        match remembered.recordings.insert(replay, (seq, fields)) {
            Some((_, before)) => remembered.fields -= before.0.len(),
            None => remembered.order.push_back(replay),
        }
        while remembered.order.len() > RECORDINGS_MAX || remembered.fields > REMEMBERED_MAX {
            let Some(oldest) = remembered.order.pop_front() else { break };
            if let Some((_, before)) = remembered.recordings.remove(&oldest) {
                remembered.fields -= before.0.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(ids: impl IntoIterator<Item = u64>) -> Fields {
        Fields(ids.into_iter().collect())
    }

    /// Sabotage: give what is known whatever the number.
    #[test]
    fn what_was_known_long_before_is_not_believed() {
        let memory = FieldMemory::default();
        memory.remember([1; 16], 4, fields([7]));
        for (seq, is_known) in [(4, true), (5, true), (6, false), (3, false), (0, false)] {
            assert_eq!(memory.before([1; 16], seq).is_shown(7), is_known, "{seq}");
        }
        assert!(!memory.before([2; 16], 5).is_shown(7));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let memory = FieldMemory::default();
        let name = |n: usize| u128::try_from(n).unwrap().to_le_bytes();
        for n in 0..=RECORDINGS_MAX {
            memory.remember(name(n), 0, fields([7]));
        }
        assert!(!memory.before(name(0), 1).is_shown(7) && memory.before(name(1), 1).is_shown(7));
        for n in 0..=REMEMBERED_MAX / FIELDS_MAX {
            memory.remember(name(n), 1, fields(0..FIELDS_MAX as u64));
        }
        let kept = memory.0.lock();
        assert!(kept.fields <= REMEMBERED_MAX && kept.recordings.len() == kept.order.len());
        assert_eq!(kept.fields, kept.recordings.values().map(|(_, fields)| fields.0.len()).sum::<usize>());
    }
}
