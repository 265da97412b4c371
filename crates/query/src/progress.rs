//! How far a query is.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many parts of a query are done, of how many that are known. One may be shared by several queries that answer one
/// question together. Reading and counting never wait.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    parts: AtomicU64,
}

impl Progress {
    /// The parts that are done, and all that are known until now, which are never fewer. Both only grow.
    pub fn read(&self) -> (u64, u64) {
        let done = self.done.load(Ordering::Relaxed);
        (done, self.parts.load(Ordering::Relaxed).max(done))
    }

    pub(crate) fn expect(&self, parts: u64) {
        self.parts.fetch_add(parts, Ordering::Relaxed);
    }

    pub(crate) fn finish_part(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Budget;

    /// Sabotage: let clones of a budget count for themselves.
    #[test]
    fn all_clones_of_a_budget_tell_the_same_listener() {
        let progress = Arc::new(Progress::default());
        let budget = Budget::unlimited().reporting_to(Arc::clone(&progress));
        assert_eq!(progress.read(), (0, 0));
        budget.expect_parts(3);
        budget.after(10).part_done();
        budget.clone().part_done();
        assert_eq!(progress.read(), (2, 3));
        // Whoever does more than was said does not go beyond the end.
        (0..2).for_each(|_| budget.part_done());
        assert_eq!(progress.read(), (4, 4));
        // Nobody listens.
        Budget::unlimited().expect_parts(1);
        Budget::unlimited().part_done();
    }
}
