//! The connections of a store, lent by r2d2. One that was lost is found when it is lent, and replaced.

use std::panic::catch_unwind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::PgConnection;
use diesel::prelude::QueryResult;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, PooledConnection};
use scheduled_thread_pool::{OnPoolDropBehavior, ScheduledThreadPool};

use super::errors::explained;
use super::failed::Done;
use super::reach::{Reach, Told};
use crate::{Result, StoreError};

type SetUp = fn(&mut PgConnection) -> QueryResult<()>;

/// How long is waited before it is looked whether the server refused meanwhile.
const STEP: Duration = Duration::from_millis(50);

/// While the server cannot be reached it is tried at intervals that grow to half of this.
const OPENING: Duration = Duration::from_secs(2);

pub(super) struct Pool {
    connections: diesel::r2d2::Pool<ConnectionManager<PgConnection>>,
    reach: Arc<Reach>,
    /// How long a caller waits for a connection.
    wait: Duration,
}

/// The threads on which the connections of a store are opened.
///
/// # Errors
/// When there is none.
pub(super) fn opener() -> Result<Arc<ScheduledThreadPool>> {
    let builder = ScheduledThreadPool::builder()
        .num_threads(2)
        .thread_name_pattern("store-opener")
        .on_drop_behavior(OnPoolDropBehavior::DiscardPendingScheduled);
    // It panics when the machine gives it no thread.
    let started = catch_unwind(|| builder.build());
    Ok(Arc::new(started.map_err(|_panic| StoreError::Unavailable("no thread can be started".into()))?))
}

impl Pool {
    /// A pool of at most so many connections to `address`, each made ready by `set_up`, for which a caller waits as long as `wait`.
    /// Opens none yet.
    pub(super) fn new(
        opener: &Arc<ScheduledThreadPool>,
        address: &str,
        connections: u32,
        wait: Duration,
        set_up: SetUp,
    ) -> Self {
        let reach = Arc::new(Reach::default());
        let pool = diesel::r2d2::Pool::builder()
            .thread_pool(Arc::clone(opener))
            .max_size(connections)
            .min_idle(Some(0))
            .test_on_check_out(true)
            .connection_timeout(OPENING)
            .connection_customizer(Box::new(Settings(set_up)))
            // Who waits for the connection is told.
            .error_handler(Box::new(Told(Arc::clone(&reach))))
            .build_unchecked(ConnectionManager::new(address));
        Self { connections: pool, reach, wait }
    }

    /// Runs `work` on a connection, when one is free. One whose transaction could not be ended, or that `work` panicked on, is
    /// closed.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut PgConnection) -> Done<T>) -> Done<T> {
        work(&mut *self.lend()?)
    }

    /// A connection. Where the last callers got none, the next ones take what is free and do not wait, but for one now and then.
    fn lend(&self) -> Done<PooledConnection<ConnectionManager<PgConnection>>> {
        let started = Instant::now();
        if let Some(cause) = self.reach.refusal(started) {
            let free = self.connections.try_get().inspect(|_| self.reach.is_there());
            return free.ok_or_else(|| explained(cause).into());
        }
        let failures = self.reach.failures();
        loop {
            match self.connections.get_timeout(STEP) {
                Ok(connection) => {
                    self.reach.is_there();
                    return Ok(connection);
                }
                Err(_) if self.reach.failures() == failures && started.elapsed() < self.wait => {}
                Err(_) => return Err(explained(self.reach.is_away(failures, Instant::now())).into()),
            }
        }
    }
}

#[derive(Debug)]
struct Settings(SetUp);

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for Settings {
    fn on_acquire(&self, conn: &mut PgConnection) -> std::result::Result<(), diesel::r2d2::Error> {
        Ok((self.0)(conn)?)
    }
}
