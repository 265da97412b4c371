//! Memory that queries share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::QueryError;

/// A query that holds at most this part of the pool asks nobody.
const SMALL: usize = 8;
/// How often a query that waits looks whether it was cancelled.
const PATIENCE: Duration = Duration::from_millis(20);

/// The memory that all queries of a process may hold together.
///
/// A query that needs little, at most an eighth of it, never waits. Of those that need more one runs at a time, and may have
/// all of it; the others wait on their way until it is through. So what they hold together is at most the pool and an eighth
/// of it for each further query that runs.
#[derive(Debug)]
pub struct MemoryPool {
    bytes: usize,
    taken: AtomicUsize,
    has_large: Mutex<bool>,
    freed: Condvar,
}

impl MemoryPool {
    /// A pool of `bytes` bytes.
    pub fn new(bytes: usize) -> Self {
        Self { bytes, taken: AtomicUsize::new(0), has_large: Mutex::new(false), freed: Condvar::new() }
    }

    /// How many bytes one query may hold.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is left for a cache beside what the running queries hold.
    pub fn spare_bytes(&self) -> usize {
        self.bytes.saturating_sub(self.taken.load(Ordering::Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.has_large.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one query holds of a pool, until this is dropped.
#[derive(Debug)]
pub(crate) struct Holding {
    pool: Arc<MemoryPool>,
    bytes: AtomicUsize,
    /// Whether it may hold more than an eighth.
    is_large: AtomicBool,
    /// Whether it may do so whoever else does.
    is_privileged: bool,
}

impl Holding {
    pub(crate) fn new(pool: Arc<MemoryPool>, is_privileged: bool) -> Self {
        Self { pool, bytes: AtomicUsize::new(0), is_large: AtomicBool::new(is_privileged), is_privileged }
    }

    /// For another thread of the same query, which may hold more than others.
    pub(crate) fn beside(&self) -> Self {
        Self::new(Arc::clone(&self.pool), true)
    }

    pub(crate) fn pool(&self) -> &MemoryPool {
        &self.pool
    }

    /// Holds `bytes` in all from now on, if it does not hold more already. Whoever must not wait is told when it would have
    /// to; whoever waits is asked whether to `go_on`.
    pub(crate) fn hold(
        &self,
        bytes: usize,
        go_on: &dyn Fn() -> Result<(), QueryError>,
        may_wait: bool,
    ) -> Result<(), QueryError> {
        if bytes > self.pool.bytes / SMALL {
            self.become_large(go_on, may_wait)?;
        }
        // One thread holds this: others of the query have their own.
        let before = self.bytes.fetch_max(bytes, Ordering::Relaxed);
        self.pool.taken.fetch_add(bytes.saturating_sub(before), Ordering::Relaxed);
        Ok(())
    }

    /// Waits until this may hold more than others.
    pub(crate) fn become_large(
        &self,
        go_on: &dyn Fn() -> Result<(), QueryError>,
        may_wait: bool,
    ) -> Result<(), QueryError> {
        if self.is_large.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut has_large = self.pool.lock();
        while *has_large {
            if !may_wait {
                return Err(QueryError::MemoryInUse);
            }
            let woken = self.pool.freed.wait_timeout(has_large, PATIENCE);
            has_large = woken.unwrap_or_else(PoisonError::into_inner).0;
            if *has_large {
                go_on()?;
            }
        }
        *has_large = true;
        self.is_large.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.pool.taken.fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
        if *self.is_large.get_mut() && !self.is_privileged {
            *self.pool.lock() = false;
            self.pool.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::Budget;

    const TIME: Duration = Duration::from_secs(3_600);

    fn pool() -> Arc<MemoryPool> {
        Arc::new(MemoryPool::new(800))
    }

    /// Sabotage: let each query have all.
    #[test]
    fn one_large_query_at_a_time_holds_more_than_an_eighth() {
        let pool = pool();
        let [large, other, small] = [(); 3].map(|()| Budget::sharing(TIME, &pool));
        large.check_memory(101).unwrap();
        large.check_memory(800).unwrap();
        assert_eq!(large.check_memory(801), Err(QueryError::MemoryExceeded));
        small.check_memory(100).unwrap();
        assert_eq!(other.check_memory_at_once(101), Err(QueryError::MemoryInUse));
        assert_eq!(pool.spare_bytes(), 0);

        let (sender, order) = mpsc::channel();
        let waiting = std::thread::spawn({
            let (sender, other) = (sender.clone(), other.clone());
            move || {
                sender.send("waits").unwrap();
                other.check_memory(500).unwrap();
                sender.send("has it").unwrap();
            }
        });
        assert_eq!(order.recv().unwrap(), "waits");
        sender.send("the large one ends").unwrap();
        drop(large);
        waiting.join().unwrap();
        assert_eq!(order.try_iter().collect::<Vec<_>>(), ["the large one ends", "has it"]);
        assert_eq!(pool.spare_bytes(), 200);
        drop((other, small));
        assert_eq!(pool.spare_bytes(), 800);
    }

    /// What one part of a query took stays taken for the next. Sabotage: count each part alone.
    #[test]
    fn parts_of_a_query_hold_together() {
        let pool = pool();
        let query = Budget::sharing(TIME, &pool);
        query.check_memory(300).unwrap();
        let rest = query.after(300);
        assert_eq!(rest.check_memory(501), Err(QueryError::MemoryExceeded));
        rest.check_memory(400).unwrap();
        rest.check_memory(10).unwrap();
        assert_eq!(pool.spare_bytes(), 100, "the most it held");
        drop(query);
        assert_eq!(pool.spare_bytes(), 100, "a part of it runs");
        drop(rest);
        assert_eq!(pool.spare_bytes(), 800);
    }

    /// Sabotage: let it wait, or give back what it never had.
    #[test]
    fn one_that_never_waits_holds_what_it_needs_beside_the_large_one() {
        let pool = pool();
        let large = Budget::sharing(TIME, &pool);
        large.check_memory(500).unwrap();
        let live = Budget::never_waiting(TIME, &pool);
        live.check_memory_at_once(200).unwrap();
        assert_eq!(live.check_memory(801), Err(QueryError::MemoryExceeded));
        assert_eq!(pool.spare_bytes(), 100);
        drop(live);
        assert_eq!(pool.spare_bytes(), 300);
        assert_eq!(Budget::sharing(TIME, &pool).check_memory_at_once(101), Err(QueryError::MemoryInUse));
    }

    #[test]
    fn who_waits_can_be_cancelled() {
        let pool = pool();
        let [large, other] = [(); 2].map(|()| Budget::sharing(TIME, &pool));
        large.check_memory(800).unwrap();
        other.cancel();
        assert_eq!(other.check_memory(800), Err(QueryError::Cancelled));
        let late = Budget::sharing(Duration::ZERO, &pool);
        assert_eq!(late.check_memory(800), Err(QueryError::TimeExceeded));
    }
}
