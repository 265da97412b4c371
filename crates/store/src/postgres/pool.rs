//! The connections of a store, lent by r2d2. One that was lost is found when it is lent, and replaced.

use std::panic::catch_unwind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::PgConnection;
use diesel::prelude::QueryResult;
use diesel::r2d2::{ManageConnection, PooledConnection};
use scheduled_thread_pool::{OnPoolDropBehavior, ScheduledThreadPool};

use super::address::Address;
use super::bounded::Bounded;
use super::errors::{cause_of, explained};
use super::failed::Done;
use super::reach::{Reach, Refusal, Told};
use super::{ANSWER, SETTING_UP};
use crate::{Result, StoreError};

type SetUp = fn(&mut PgConnection) -> QueryResult<()>;

/// How long is waited before it is looked whether the server refused meanwhile.
const STEP: Duration = Duration::from_millis(50);

/// While the server cannot be reached it is tried at intervals that grow to half of this.
const OPENING: Duration = Duration::from_secs(2);

pub(super) struct Pool {
    connections: diesel::r2d2::Pool<Opens>,
    reach: Arc<Reach>,
    /// How long a caller waits for a connection.
    wait: Duration,
    /// How long what a caller does on a connection may take.
    limit: Duration,
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
    /// A pool of at most so many connections to `address`, each made ready by `set_up`, for which a caller waits as long as `wait`, and
    /// on each of which a caller's work takes `limit` at most. Opens none yet.
    pub(super) fn new(
        opener: &Arc<ScheduledThreadPool>,
        address: &Address,
        connections: u32,
        wait: Duration,
        limit: Duration,
        set_up: SetUp,
    ) -> Self {
        let reach = Arc::new(Reach::default());
        let pool = diesel::r2d2::Pool::builder()
            .thread_pool(Arc::clone(opener))
            .max_size(connections)
            .min_idle(Some(0))
            // It is looked at below: after one that hangs no second one is tried.
            .test_on_check_out(false)
            .connection_timeout(OPENING)
            // Who waits for the connection is told.
            .error_handler(Box::new(Told(Arc::clone(&reach))))
            .build_unchecked(Opens { address: address.clone(), set_up });
        Self { connections: pool, reach, wait, limit }
    }

    /// Runs `work` on a connection, when one is free. One whose transaction could not be ended, or that `work` panicked on, is
    /// closed.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut PgConnection) -> Done<T>) -> Done<T> {
        self.lend()?.ask(self.limit, work)
    }

    /// A connection. Where the last callers got none, the next ones take what is free and do not wait, but for one now and then, and that
    /// a moment only: who opens connections goes on without them.
    fn lend(&self) -> Done<PooledConnection<Opens>> {
        let started = Instant::now();
        let away = self.reach.refusal(started);
        let wait = match &away {
            None => self.wait,
            Some(Refusal { tries: true, .. }) => STEP,
            Some(Refusal { tries: false, .. }) => Duration::ZERO,
        };
        let failures = self.reach.failures();
        loop {
            let free = self.connections.try_get().or_else(|| {
                let rest = wait.saturating_sub(started.elapsed()).min(STEP);
                if rest.is_zero() { None } else { self.connections.get_timeout(rest).ok() }
            });
            let Some(mut connection) = free else {
                if let Some(Refusal { cause, .. }) = away {
                    return Err(explained(cause).into());
                }
                if self.reach.failures() == failures && started.elapsed() < wait {
                    continue;
                }
                return Err(explained(self.reach.is_away(failures, Instant::now())).into());
            };
            let asked = Instant::now();
            match connection.ping(ANSWER) {
                Ok(()) => {
                    self.reach.is_there();
                    return Ok(connection);
                }
                // It hangs, and so do the others, most likely.
                Err(error) if asked.elapsed() >= ANSWER => {
                    while let Some(mut other) = self.connections.try_get() {
                        other.give_up();
                    }
                    let cause = cause_of(&error);
                    return Err(explained(self.reach.hangs(cause, Instant::now())).into());
                }
                // It was lost: the next one may be whole.
                Err(_) => {}
            }
        }
    }
}

/// Opens connections, and makes them ready.
struct Opens {
    address: Address,
    set_up: SetUp,
}

impl ManageConnection for Opens {
    type Connection = Bounded;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> std::result::Result<Bounded, diesel::r2d2::Error> {
        let mut connection = Bounded::open(&self.address).map_err(diesel::r2d2::Error::ConnectionError)?;
        let failed = |error: StoreError| {
            let cause = cause_of(&error);
            diesel::r2d2::Error::ConnectionError(diesel::ConnectionError::BadConnection(cause))
        };
        connection.ask(SETTING_UP, |conn| Ok((self.set_up)(conn)?)).map_err(|error| failed(error.into()))?;
        Ok(connection)
    }

    fn is_valid(&self, connection: &mut Bounded) -> std::result::Result<(), diesel::r2d2::Error> {
        if self.has_broken(connection) { Err(diesel::result::Error::BrokenTransactionManager.into()) } else { Ok(()) }
    }

    fn has_broken(&self, connection: &mut Bounded) -> bool {
        std::thread::panicking() || connection.is_broken()
    }
}
