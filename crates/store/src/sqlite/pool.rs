//! The connections of a store, lent by r2d2. It opens connections on threads of their own, as a rule three for each pool, and
//! leaves it open when these are done with them. Here all stores share one thread, which ends with the last of them, and a
//! pool that is dropped has closed its files.

use std::panic::catch_unwind;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Weak};
use std::time::Duration;

use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, NopErrorHandler};
use parking_lot::Mutex;
use scheduled_thread_pool::{OnPoolDropBehavior, ScheduledThreadPool};

use super::errors::explained;
use super::failed::Done;
use super::set_up;
use crate::{Result, StoreError};

/// The most that are open.
const CONNECTIONS: u32 = 4;

pub(super) struct Pool {
    /// `None` only while it is dropped.
    connections: Option<diesel::r2d2::Pool<ConnectionManager<SqliteConnection>>>,
    opener: Arc<ScheduledThreadPool>,
    wait: Duration,
}

impl Pool {
    /// A pool for the database that SQLite knows by `name`. Its callers wait so long for a connection. Opens none yet.
    ///
    /// # Errors
    /// When there is no thread that opens connections.
    pub(super) fn new(name: &str, wait: Duration) -> Result<Self> {
        let opener = opener()?;
        let connections = diesel::r2d2::Pool::builder()
            .thread_pool(Arc::clone(&opener))
            .max_size(CONNECTIONS)
            .min_idle(Some(0))
            // A file does not go away like a server: none is tried before it is lent, none is closed for its age.
            .test_on_check_out(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connection_timeout(wait)
            .connection_customizer(Box::new(Settings))
            // Who waits for the connection is told.
            .error_handler(Box::new(NopErrorHandler))
            .build_unchecked(ConnectionManager::new(name));
        Ok(Self { connections: Some(connections), opener, wait })
    }

    /// Runs `work` on a connection, when one is free. One whose transaction could not be ended, or that `work` panicked on, is
    /// closed.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut SqliteConnection) -> Done<T>) -> Done<T> {
        let Some(connections) = &self.connections else { return Err(explained("the store is closed").into()) };
        work(&mut *connections.get().map_err(explained)?)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.connections = None;
        // The thread may be about to open a connection that nobody waits for any more, and closes it then. It does one thing
        // after the other: when it does this, it is done with that.
        let (done, is_done) = sync_channel(1);
        self.opener.execute(move || {
            let _ = done.send(());
        });
        let _ = is_done.recv_timeout(self.wait);
    }
}

#[derive(Debug)]
struct Settings;

impl CustomizeConnection<SqliteConnection, diesel::r2d2::Error> for Settings {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> std::result::Result<(), diesel::r2d2::Error> {
        Ok(set_up(conn)?)
    }
}

/// The one thread on which connections are opened, as long as there is a store.
fn opener() -> Result<Arc<ScheduledThreadPool>> {
    static OPENER: Mutex<Weak<ScheduledThreadPool>> = Mutex::new(Weak::new());
    let mut opener = OPENER.lock();
    if let Some(running) = opener.upgrade() {
        return Ok(running);
    }
    let builder = ScheduledThreadPool::builder()
        .num_threads(1)
        .thread_name_pattern("store-opener")
        .on_drop_behavior(OnPoolDropBehavior::DiscardPendingScheduled);
    // It panics when the machine gives it no thread.
    let started = catch_unwind(|| builder.build());
    let started = Arc::new(started.map_err(|_panic| StoreError::Unavailable("no thread can be started".into()))?);
    *opener = Arc::downgrade(&started);
    Ok(started)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::WAIT;
    use super::*;

    #[test]
    fn no_more_work_at_a_time_than_there_are_connections() {
        let pool = Pool::new(":memory:", WAIT).unwrap();
        let (now, most) = (AtomicU32::new(0), AtomicU32::new(0));
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
        let state = pool.connections.as_ref().unwrap().state();
        assert_eq!(state.connections, state.idle_connections, "all are given back");
    }

    /// Sabotage: give the connection of work that panicked back.
    #[test]
    fn a_panic_takes_no_connection_for_good() {
        let pool = Pool::new(":memory:", WAIT).unwrap();
        for _ in 0..3 * CONNECTIONS {
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                pool.with(|conn| conn.transaction(|_| -> Done<()> { panic!("in the middle of a transaction") }))
            }));
            assert!(panicked.is_err());
        }
        pool.with(|conn| conn.immediate_transaction(|_| Ok(()))).unwrap();
    }

    #[test]
    fn what_cannot_be_opened_is_told() {
        // Each try takes all of it, and the thread that opens connections is that of other tests too.
        let pool = Pool::new("/nonexistent/z.db", Duration::from_secs(1)).unwrap();
        for _ in 0..=CONNECTIONS {
            let refused: StoreError = pool.with(|_| Ok(())).unwrap_err().into();
            let cause = std::error::Error::source(&refused).unwrap().to_string();
            assert!(matches!(refused, StoreError::Unavailable(_)) && cause.contains("unable to open"), "{cause}");
        }
    }

    /// More connections are asked for than are waited for, and the pool is dropped while they are being opened. Sabotage: do
    /// not wait for the thread in `drop`.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_pool_that_is_dropped_has_closed_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("z.db");
        for round in 0..200 {
            let pool = Pool::new(path.to_str().unwrap(), WAIT).unwrap();
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| pool.with(|_| Ok(())).unwrap());
                }
            });
            drop(pool);
            let links = std::fs::read_dir("/proc/self/fd").unwrap();
            let links = links.filter_map(|entry| entry.ok()?.path().read_link().ok());
            assert_eq!(links.filter(|file| file.starts_with(dir.path())).count(), 0, "round {round}");
        }
    }
}
