//! Connections to a Redis server: few, with a deadline for whatever is asked, and given up together when the server does not answer.

use std::io;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use redis::{Connection, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, ToRedisArgs};

use crate::redis_url::RedisUrl;

/// Connections at most; who finds none waits for one, no longer than the deadline.
const CONNECTIONS_MAX: usize = 32;

/// Why a Redis server is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AwayReason {
    /// Nobody listens at its address, the connection was cut, or TLS failed.
    Connection,
    /// It did not answer in time.
    Timeout,
    /// User and password are not those of the server, or the user may not do what is needed.
    Access,
    /// It is a replica, which takes no changes.
    ReadOnly,
    /// It has no more memory, reads its data, or runs somebody's long script.
    Busy,
    /// It answers what is not understood.
    Answer,
}

impl AwayReason {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Connection, Self::Timeout, Self::Access, Self::ReadOnly, Self::Busy, Self::Answer];

    /// One word, for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::Access => "access",
            Self::ReadOnly => "read_only",
            Self::Busy => "busy",
            Self::Answer => "answer",
        }
    }
}

/// Why a Redis server cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", told(.cause))]
#[non_exhaustive]
pub struct OpenError {
    /// In one word.
    pub reason: AwayReason,
    cause: String,
}

fn told(cause: &str) -> String {
    format!("the Redis server cannot be used: {cause}")
}

/// The server does not answer, or not what was asked.
#[derive(Debug, Clone)]
pub(crate) struct Away {
    pub(crate) reason: AwayReason,
    pub(crate) cause: String,
}

impl Away {
    /// It answered what is not understood.
    pub(crate) fn answer(cause: &str) -> Self {
        Self { reason: AwayReason::Answer, cause: cause.to_owned() }
    }

    fn timeout() -> Self {
        Self { reason: AwayReason::Timeout, cause: "it does not answer in time".to_owned() }
    }
}

impl From<Away> for OpenError {
    fn from(away: Away) -> Self {
        Self { reason: away.reason, cause: away.cause }
    }
}

impl From<RedisError> for Away {
    fn from(error: RedisError) -> Self {
        let code = error.code().unwrap_or_default();
        let reason = match error.kind() {
            _ if error.is_timeout() || is_would_block(&error) => AwayReason::Timeout,
            ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm) => AwayReason::Access,
            ErrorKind::Server(ServerErrorKind::ReadOnly) => AwayReason::ReadOnly,
            ErrorKind::Server(ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown) => AwayReason::Busy,
            _ if matches!(code, "OOM" | "BUSY" | "MISCONF") => AwayReason::Busy,
            _ if matches!(code, "NOAUTH" | "WRONGPASS" | "NOPERM") => AwayReason::Access,
            ErrorKind::Io => AwayReason::Connection,
            _ => AwayReason::Answer,
        };
        match reason {
            // The system says of it that a resource is unavailable for the moment.
            AwayReason::Timeout => Self::timeout(),
            reason => Self { reason, cause: error.to_string() },
        }
    }
}

/// What the system says of a read that took longer than its timeout.
fn is_would_block(error: &RedisError) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// What runs in the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    Charge,
    Beat,
    Salts,
    Swap,
}

impl Script {
    const ALL: [Self; 4] = [Self::Charge, Self::Beat, Self::Salts, Self::Swap];

    const fn source(self) -> &'static str {
        match self {
            Self::Charge => include_str!("scripts/charge.lua"),
            Self::Beat => include_str!("scripts/beat.lua"),
            Self::Salts => include_str!("scripts/salts.lua"),
            Self::Swap => include_str!("scripts/swap.lua"),
        }
    }
}

/// A connection whose server has the scripts.
pub(crate) struct Opened {
    connection: Connection,
    /// The run of the server: another one after it was started again, and of another server.
    pub(crate) run: String,
    hashes: [String; Script::ALL.len()],
}

impl Opened {
    fn open(client: &redis::Client, deadline: Instant) -> Result<Self, RedisError> {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let connection = client.get_connection_with_timeout(left)?;
        let mut opened = Self { connection, run: String::new(), hashes: Default::default() };
        opened.answer_by(deadline)?;
        let info: String = redis::cmd("INFO").arg("server").query(&mut opened.connection)?;
        let run = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default();
        if run.is_empty() {
            return Err(RedisError::from((ErrorKind::Extension, "INFO server says no run_id")));
        }
        opened.run = run.to_owned();
        opened.load()?;
        Ok(opened)
    }

    fn load(&mut self) -> Result<(), RedisError> {
        for script in Script::ALL {
            self.hashes[script as usize] =
                redis::cmd("SCRIPT").arg("LOAD").arg(script.source()).query(&mut self.connection)?;
        }
        Ok(())
    }

    /// Whatever is asked from now on is answered by then, or fails.
    fn answer_by(&self, deadline: Instant) -> Result<(), RedisError> {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.connection.set_read_timeout(Some(left))?;
        self.connection.set_write_timeout(Some(left))
    }

    /// Runs a script with these keys and arguments.
    pub(crate) fn run<T: FromRedisValue>(
        &mut self,
        script: Script,
        keys: &[impl ToRedisArgs],
        arguments: impl ToRedisArgs,
    ) -> Result<T, RedisError> {
        let mut again = false;
        loop {
            let mut command = redis::cmd("EVALSHA");
            command.arg(&self.hashes[script as usize]).arg(keys.len()).arg(keys).arg(&arguments);
            match command.query(&mut self.connection) {
                // Somebody had it forget its scripts; nothing was run.
                Err(error) if !again && error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    self.load()?;
                    again = true;
                }
                result => return result,
            }
        }
    }

    /// What is there under a name.
    pub(crate) fn get(&mut self, name: &[u8]) -> Result<Option<Vec<u8>>, RedisError> {
        redis::cmd("GET").arg(name).query(&mut self.connection)
    }

    /// The clock of the server, in milliseconds since 1970.
    pub(crate) fn time(&mut self) -> Result<i64, RedisError> {
        let (seconds, micros): (i64, i64) = redis::cmd("TIME").query(&mut self.connection)?;
        Ok(seconds * 1_000 + micros / 1_000)
    }

    /// Whether the server writes what it holds to a disk; `None` when it does not say.
    pub(crate) fn persists(&mut self) -> Option<bool> {
        let mut setting = |name: &str| {
            let answer: Result<Vec<String>, _> = redis::cmd("CONFIG").arg("GET").arg(name).query(&mut self.connection);
            answer.ok()?.into_iter().nth(1)
        };
        Some(!setting("save")?.is_empty() || setting("appendonly")? != "no")
    }
}

struct Pool {
    idle: Vec<Opened>,
    open: usize,
}

/// The connections to one server.
pub(crate) struct Link {
    client: redis::Client,
    deadline: Duration,
    pool: Mutex<Pool>,
    returned: Condvar,
    /// Tests cut it.
    #[cfg(test)]
    pub(crate) is_cut: std::sync::atomic::AtomicBool,
}

impl Link {
    pub(crate) fn new(url: &RedisUrl, deadline: Duration) -> Result<Self, Away> {
        Ok(Self {
            client: url.client()?,
            deadline,
            pool: Mutex::new(Pool { idle: Vec::new(), open: 0 }),
            returned: Condvar::new(),
            #[cfg(test)]
            is_cut: false.into(),
        })
    }

    /// A connection of one's own.
    pub(crate) fn open(&self, patience: Duration) -> Result<Opened, Away> {
        #[cfg(test)]
        if self.is_cut.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Away::timeout());
        }
        let opened = Opened::open(&self.client, Instant::now() + patience)?;
        opened.answer_by(Instant::now() + patience)?;
        Ok(opened)
    }

    /// Asks on one of the connections. What fails because the connection was cut is asked once more on a new one: it may have been done
    /// twice.
    pub(crate) fn ask<T>(&self, mut ask: impl FnMut(&mut Opened) -> Result<T, RedisError>) -> Result<T, Away> {
        #[cfg(test)]
        if self.is_cut.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Away::timeout());
        }
        let deadline = Instant::now() + self.deadline;
        let idle = self.take(deadline)?;
        let was_idle = idle.is_some();
        let mut result = self.ask_on(idle, deadline, &mut ask);
        if let Err(error) = &result
            && was_idle
            && error.kind() == ErrorKind::Io
            && !error.is_timeout()
            && !is_would_block(error)
        {
            // The server was started again, most likely: the others are of no use either.
            let mut pool = self.pool.lock();
            pool.open -= pool.idle.len();
            pool.idle.clear();
            pool.open += 1;
            drop(pool);
            result = self.ask_on(None, deadline, &mut ask);
        }
        Ok(result?)
    }

    /// Asks on this connection, or on a new one that was counted already, and puts it back.
    fn ask_on<T>(
        &self,
        idle: Option<Opened>,
        deadline: Instant,
        ask: &mut impl FnMut(&mut Opened) -> Result<T, RedisError>,
    ) -> Result<T, RedisError> {
        let opened = match idle {
            Some(opened) => opened.answer_by(deadline).map(|()| opened),
            None => Opened::open(&self.client, deadline),
        };
        let asked = opened.and_then(|mut opened| ask(&mut opened).map(|answer| (answer, opened)));
        let mut pool = self.pool.lock();
        let result = match asked {
            Ok((answer, opened)) => {
                pool.idle.push(opened);
                Ok(answer)
            }
            Err(error) => {
                pool.open -= 1;
                Err(error)
            }
        };
        drop(pool);
        self.returned.notify_one();
        result
    }

    /// A connection that nobody uses, or the right to open one.
    fn take(&self, deadline: Instant) -> Result<Option<Opened>, Away> {
        let mut pool = self.pool.lock();
        loop {
            if let Some(opened) = pool.idle.pop() {
                return Ok(Some(opened));
            }
            if pool.open < CONNECTIONS_MAX {
                pool.open += 1;
                return Ok(None);
            }
            if self.returned.wait_until(&mut pool, deadline).timed_out() {
                return Err(Away::timeout());
            }
        }
    }

    /// Gives up the connections that nobody uses.
    pub(crate) fn clear(&self) {
        let mut pool = self.pool.lock();
        pool.open -= pool.idle.len();
        pool.idle.clear();
    }
}
