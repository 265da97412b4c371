//! Connections to a Redis server: few, with a deadline for whatever is asked, and given up together when the server does not answer.

use std::io;
use std::sync::Arc;
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
            _ if error.is_timeout() => AwayReason::Timeout,
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

/// Whether the process was stopped while it waited, and went on: the system ends a read with a timeout then.
fn is_interrupted(error: &RedisError) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>())
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| error.kind() == io::ErrorKind::Interrupted)
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

/// The time until then, for timeouts, which are never nothing.
fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

/// A connection whose server has the scripts.
pub(crate) struct Opened {
    connection: Connection,
    /// The run of the server: another one after it was started again, and of another server.
    pub(crate) run: String,
    hashes: [String; Script::ALL.len()],
    deadline: Instant,
    /// Whose connection it is among those of its link.
    pub(crate) seat: usize,
    /// The number of what is asked: a larger one each time, and the same when it is asked once more.
    pub(crate) number: u64,
}

impl Opened {
    fn open(client: &redis::Client, deadline: Instant) -> Result<Self, RedisError> {
        let connection = loop {
            match client.get_connection_with_timeout(left(deadline)) {
                Err(error) if is_interrupted(&error) && Instant::now() < deadline => {}
                connection => break connection?,
            }
        };
        let mut opened =
            Self { connection, run: String::new(), hashes: Default::default(), deadline, seat: 0, number: 0 };
        opened.answer_by(deadline)?;
        let info: String = opened.query(redis::cmd("INFO").arg("server"))?;
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
            self.hashes[script as usize] = self.query(redis::cmd("SCRIPT").arg("LOAD").arg(script.source()))?;
        }
        Ok(())
    }

    /// Whatever is asked from now on is answered by then, or fails.
    pub(crate) fn answer_by(&mut self, deadline: Instant) -> Result<(), RedisError> {
        self.deadline = deadline;
        self.connection.set_read_timeout(Some(left(deadline)))?;
        self.connection.set_write_timeout(Some(left(deadline)))
    }

    /// The answer to a command. One whose answer was interrupted is sent again and may run twice, so each is such that this changes nothing. The
    /// first answer is passed over.
    fn query<T: FromRedisValue>(&mut self, command: &redis::Cmd) -> Result<T, RedisError> {
        loop {
            match command.query(&mut self.connection) {
                Err(error) if is_interrupted(&error) && Instant::now() < self.deadline => {
                    self.answer_by(self.deadline)?;
                }
                result => return result,
            }
        }
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
            match self.query(&command) {
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
        self.query(redis::cmd("GET").arg(name))
    }

    /// The clock of the server, in milliseconds since 1970.
    pub(crate) fn time(&mut self) -> Result<i64, RedisError> {
        let (seconds, micros): (i64, i64) = self.query(&redis::cmd("TIME"))?;
        Ok(seconds * 1_000 + micros / 1_000)
    }

    /// Whether the server writes what it holds to a disk; `None` when it does not say.
    pub(crate) fn persists(&mut self) -> Option<bool> {
        let mut setting = |name: &str| {
            let answer: Result<Vec<String>, _> = self.query(redis::cmd("CONFIG").arg("GET").arg(name));
            answer.ok()?.into_iter().nth(1)
        };
        Some(!setting("save")?.is_empty() || setting("appendonly")? != "no")
    }
}

/// The right to one connection, and the connection when there is one.
struct Seat {
    place: usize,
    asked: u64,
    opened: Option<Opened>,
}

/// The connections to one server.
pub(crate) struct Link {
    client: redis::Client,
    deadline: Duration,
    /// Those that nobody uses.
    idle: Mutex<Vec<Seat>>,
    returned: Condvar,
    /// Tests cut it.
    #[cfg(test)]
    pub(crate) is_cut: std::sync::atomic::AtomicBool,
    /// How often it was asked.
    #[cfg(test)]
    pub(crate) asked: std::sync::atomic::AtomicU64,
}

impl Link {
    pub(crate) fn new(url: &RedisUrl, deadline: Duration) -> Result<Self, Away> {
        Ok(Self {
            client: url.client()?,
            deadline,
            idle: Mutex::new((0..CONNECTIONS_MAX).map(|place| Seat { place, asked: 0, opened: None }).collect()),
            returned: Condvar::new(),
            #[cfg(test)]
            is_cut: false.into(),
            #[cfg(test)]
            asked: 0.into(),
        })
    }

    /// A connection of one's own.
    pub(crate) fn open(&self, patience: Duration) -> Result<Opened, Away> {
        #[cfg(test)]
        if self.is_cut.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Away::timeout());
        }
        let mut opened = Opened::open(&self.client, Instant::now() + patience)?;
        opened.answer_by(Instant::now() + patience)?;
        Ok(opened)
    }

    /// Asks on one of the connections. What fails because the connection was cut, which nobody used, is asked once more on a new one: it may run
    /// twice, so it has the same [`Opened::number`].
    pub(crate) fn ask<T>(&self, mut ask: impl FnMut(&mut Opened) -> Result<T, RedisError>) -> Result<T, Away> {
        #[cfg(test)]
        {
            self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if self.is_cut.load(std::sync::atomic::Ordering::Relaxed) {
                return Err(Away::timeout());
            }
        }
        let deadline = Instant::now() + self.deadline;
        let mut seat = self.take(deadline)?;
        seat.asked += 1;
        let was_idle = seat.opened.is_some();
        let mut result = self.ask_on(&mut seat, deadline, &mut ask);
        if let Err(error) = &result
            && was_idle
            && error.kind() == ErrorKind::Io
            && !error.is_timeout()
            && !is_interrupted(error)
        {
            // The server was started again, most likely: the others are of no use either.
            self.clear();
            result = self.ask_on(&mut seat, deadline, &mut ask);
        }
        self.idle.lock().push(seat);
        self.returned.notify_one();
        Ok(result?)
    }

    /// Asks on the connection of a seat, or on a new one, which it keeps when it was answered.
    fn ask_on<T>(
        &self,
        seat: &mut Seat,
        deadline: Instant,
        ask: &mut impl FnMut(&mut Opened) -> Result<T, RedisError>,
    ) -> Result<T, RedisError> {
        let mut opened = match seat.opened.take() {
            Some(opened) => opened,
            None => Opened::open(&self.client, deadline)?,
        };
        opened.answer_by(deadline)?;
        (opened.seat, opened.number) = (seat.place, seat.asked);
        let answer = ask(&mut opened)?;
        seat.opened = Some(opened);
        Ok(answer)
    }

    /// A seat that nobody uses, with a connection if there is one.
    fn take(&self, deadline: Instant) -> Result<Seat, Away> {
        let mut idle = self.idle.lock();
        loop {
            if let Some(place) = idle.iter().rposition(|seat| seat.opened.is_some()).or(idle.len().checked_sub(1)) {
                return Ok(idle.swap_remove(place));
            }
            if self.returned.wait_until(&mut idle, deadline).timed_out() {
                return Err(Away::timeout());
            }
        }
    }

    /// Gives up the connections that nobody uses.
    pub(crate) fn clear(&self) {
        self.idle.lock().iter_mut().for_each(|seat| seat.opened = None);
    }
}
