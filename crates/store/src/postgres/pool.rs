//! The connections of a store, lent by r2d2. One that was lost is found when it is lent, and replaced.

use std::panic::catch_unwind;
use std::sync::Arc;

use diesel::PgConnection;
use diesel::prelude::QueryResult;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, NopErrorHandler};
use scheduled_thread_pool::{OnPoolDropBehavior, ScheduledThreadPool};

use super::WAIT;
use super::errors::explained;
use super::failed::Done;
use crate::{Result, StoreError};

type SetUp = fn(&mut PgConnection) -> QueryResult<()>;

pub(super) struct Pool(diesel::r2d2::Pool<ConnectionManager<PgConnection>>);

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
    /// A pool of at most so many connections to `address`, each made ready by `set_up`. Opens none yet.
    pub(super) fn new(opener: &Arc<ScheduledThreadPool>, address: &str, connections: u32, set_up: SetUp) -> Self {
        let pool = diesel::r2d2::Pool::builder()
            .thread_pool(Arc::clone(opener))
            .max_size(connections)
            .min_idle(Some(0))
            .test_on_check_out(true)
            .connection_timeout(WAIT)
            .connection_customizer(Box::new(Settings(set_up)))
            // Who waits for the connection is told.
            .error_handler(Box::new(NopErrorHandler))
            .build_unchecked(ConnectionManager::new(address));
        Self(pool)
    }

    /// Runs `work` on a connection, when one is free. One whose transaction could not be ended, or that `work` panicked on, is
    /// closed.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut PgConnection) -> Done<T>) -> Done<T> {
        work(&mut *self.0.get().map_err(explained)?)
    }
}

#[derive(Debug)]
struct Settings(SetUp);

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for Settings {
    fn on_acquire(&self, conn: &mut PgConnection) -> std::result::Result<(), diesel::r2d2::Error> {
        Ok((self.0)(conn)?)
    }
}
