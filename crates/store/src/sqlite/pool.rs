//! A few connections that callers take in turns. No thread stands behind it: connections are opened when they are needed,
//! and all are closed when the pool is dropped.

use std::time::Instant;

use diesel::connection::TransactionManager;
use diesel::prelude::*;
use parking_lot::{Condvar, Mutex};

use super::errors::Done;
use super::{WAIT, connect};
use crate::{Result, StoreError};

/// The most that are open.
const CONNECTIONS: usize = 4;

pub(super) struct Pool {
    /// The name of the database, as SQLite takes it.
    name: String,
    connections: Mutex<Connections>,
    freed: Condvar,
}

struct Connections {
    idle: Vec<SqliteConnection>,
    /// How many are idle, at work, or about to be opened.
    open: usize,
}

impl Pool {
    pub(super) fn new(name: &str) -> Self {
        let connections = Mutex::new(Connections { idle: Vec::new(), open: 0 });
        Self { name: name.to_owned(), connections, freed: Condvar::new() }
    }

    /// Runs `work` on a connection, when one is free.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut SqliteConnection) -> Done<T>) -> Done<T> {
        let (place, idle) = self.take()?;
        let mut connection = match idle {
            Some(connection) => connection,
            None => connect(&self.name)?,
        };
        let result = work(&mut connection);
        place.give_back(connection);
        result
    }

    /// A place for a connection at work, with an idle one if there is any.
    fn take(&self) -> Result<(Place<'_>, Option<SqliteConnection>)> {
        let deadline = Instant::now() + WAIT;
        let mut connections = self.connections.lock();
        loop {
            if let Some(connection) = connections.idle.pop() {
                return Ok((Place(self), Some(connection)));
            }
            if connections.open < CONNECTIONS {
                connections.open += 1;
                return Ok((Place(self), None));
            }
            if self.freed.wait_until(&mut connections, deadline).timed_out() {
                return Err(StoreError::Unavailable(format!("no connection was free for {WAIT:?}").into()));
            }
        }
    }
}

/// The right to one of the connections. It is free again when this is dropped, also after a panic.
struct Place<'a>(&'a Pool);

impl Place<'_> {
    fn give_back(self, mut connection: SqliteConnection) {
        let status =
            <SqliteConnection as Connection>::TransactionManager::transaction_manager_status_mut(&mut connection);
        // One whose transaction could not be ended is closed.
        if matches!(status.transaction_depth(), Ok(None)) {
            let mut connections = self.0.connections.lock();
            connections.idle.push(connection);
            connections.open += 1;
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.connections.lock().open -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn no_more_work_at_a_time_than_there_are_connections() {
        let pool = Pool::new(":memory:");
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 * CONNECTIONS {
                scope.spawn(|| {
                    for _ in 0..50 {
                        pool.with(|_| {
                            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            std::thread::yield_now();
                            now.fetch_sub(1, Ordering::SeqCst);
                            Ok(())
                        })
                        .unwrap();
                    }
                });
            }
        });
        assert!(most.into_inner() <= CONNECTIONS);
        let connections = pool.connections.lock();
        assert_eq!(connections.open, connections.idle.len(), "all are given back");
    }

    /// Sabotage: keep the place of work that panicked, or its connection.
    #[test]
    fn a_panic_takes_no_connection_for_good() {
        let pool = Pool::new(":memory:");
        for _ in 0..3 * CONNECTIONS {
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                pool.with(|conn| conn.transaction(|_| -> Done<()> { panic!("in the middle of a transaction") }))
            }));
            assert!(panicked.is_err());
        }
        pool.with(|conn| conn.immediate_transaction(|_| Ok(()))).unwrap();
    }

    #[test]
    fn what_cannot_be_opened_takes_no_place() {
        let pool = Pool::new("/nonexistent/z.db");
        for _ in 0..3 * CONNECTIONS {
            let refused: StoreError = pool.with(|_| Ok(())).unwrap_err().into();
            assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
        }
        assert_eq!(pool.connections.lock().open, 0);
    }
}
