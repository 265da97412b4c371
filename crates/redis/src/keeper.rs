//! A Redis server as one node sees it: whether it is there, and who else shares it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};
use rand::Rng;

use crate::link::{Away, AwayReason, Link, OpenError, Opened, Script};
use crate::membership::{Heard, LEASE_MS, MEMORY_MS, Membership, NoShare, Other};
use crate::redis_url::RedisUrl;

/// How long a charge waits for Redis before it is decided without it.
const DEADLINE: Duration = Duration::from_millis(40);
/// How often a node says that it is there.
const BEAT: Duration = Duration::from_secs(1);
/// How often it is looked for while it is away.
const PROBE: Duration = Duration::from_millis(100);
/// How long a beat waits for its answer, and a probe for each of its answers.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long the first connection may take.
const FIRST: Duration = Duration::from_secs(5);
/// How long after counting began anew nobody gets a larger share, in milliseconds: until all nodes have said that they are there.
const SETTLE_MS: i64 = 10_000;

/// Hears when Redis goes away and comes back. Called on whichever thread finds out.
pub trait Observer: Send + Sync {
    /// It is of no use from now on. `cause` has no password in it.
    fn away(&self, reason: AwayReason, cause: &str);

    /// It is of use again, after `time`.
    fn back(&self, time: Duration);

    /// It forgot what was counted, as when it was started again or flushed.
    fn forgot(&self);

    /// Which nodes there are and what share each has, this one first: to be kept for when it runs again ([`Before::Run`]). Whoever runs again
    /// while Redis has lost its data tells it of the others. Called when it changes; the text is for this crate alone.
    fn nodes(&self, nodes: &str);

    /// Whether it writes what it holds to a disk, by its own words; heard at each new connection to another run of it.
    fn persists(&self, persists: bool);
}

/// What there was before this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing else")]
pub enum Before<'a> {
    /// Nothing: the installation is new, and no node of it ever counted anything.
    Nothing,
    /// Perhaps other nodes.
    Others,
    /// An earlier run of this node, which is over, by what [`Observer::nodes`] heard last: it is no other node any more, and the others
    /// that it knew may be there.
    Run(&'a str),
}

/// How a Redis server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Why it is of no use; `None` when it is.
    pub away: Option<AwayReason>,
    /// How many nodes there are, this one among them, as was heard last.
    pub nodes: u32,
    /// Of a limit, this node has one part in so many when it is cut off; 0 for none.
    pub share: u32,
}

/// Times, for tests that move them.
#[derive(Clone)]
pub(crate) enum Times {
    /// The clock of Redis, and that of this machine which only goes on.
    Real(Instant),
    /// Both are this, in milliseconds since 1970.
    #[cfg(test)]
    Moved(Arc<std::sync::atomic::AtomicI64>),
}

impl Times {
    /// The time that scripts are told to go by, when a caller says that it is `now`; `None` for the clock of Redis.
    pub(crate) fn of_caller<T>(&self, now: T) -> Option<T> {
        let is_moved = match self {
            Self::Real(_) => false,
            #[cfg(test)]
            Self::Moved(_) => true,
        };
        is_moved.then_some(now)
    }

    pub(crate) fn tick(&self) -> Duration {
        match self {
            Self::Real(began) => began.elapsed(),
            #[cfg(test)]
            Self::Moved(at) => Duration::from_millis(at.load(Ordering::Relaxed).unsigned_abs()),
        }
    }
}

/// What is shared by all that use one server.
pub(crate) struct Shared {
    pub(crate) link: Link,
    /// How long a beat waits.
    patience: Duration,
    pub(crate) times: Times,
    /// What the names of all keys begin with.
    pub(crate) prefix: String,
    membership: Mutex<Membership>,
    /// What addresses are hidden with.
    pub(crate) secret: RwLock<String>,
    name: String,
    /// Nothing was counted before this node.
    is_first: bool,
    is_away: AtomicBool,
    state: Mutex<State>,
    woken: Condvar,
    observer: Box<dyn Observer>,
}

struct State {
    away: Option<(AwayReason, Instant)>,
    run: String,
    ends: bool,
}

/// A Redis server that several nodes share. Cheap to clone; what is made of it holds on to it. A thread says every second that this
/// node is there and looks for the server while it is away, until [`stop`](Self::stop).
#[derive(Clone)]
pub struct Redis {
    pub(crate) shared: Arc<Shared>,
    keeper: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("status", &self.status()).finish_non_exhaustive()
    }
}

fn random_name(bytes: usize) -> String {
    (0..bytes).map(|_| format!("{:02x}", rand::rng().next_u32() & 0xff)).collect()
}

impl Redis {
    /// Connects to the server at `url`.
    ///
    /// # Errors
    /// When the server refuses what is asked of it: another password, or no right to do what is needed. One that cannot be reached yet is
    /// looked for.
    pub fn open(url: &RedisUrl, before: Before<'_>, observer: impl Observer + 'static) -> Result<Self, OpenError> {
        Self::open_within(DEADLINE, url, before, observer)
    }

    /// The same with another time for a charge.
    pub(crate) fn open_within(
        deadline: Duration,
        url: &RedisUrl,
        before: Before<'_>,
        observer: impl Observer + 'static,
    ) -> Result<Self, OpenError> {
        let times = Times::Real(Instant::now());
        let redis = Self::new(deadline, url, "zenovay:".to_owned(), times, before, Box::new(observer))?;
        let before = if let Before::Run(nodes) = before { nodes.split_whitespace().next() } else { None };
        match redis.shared.link.open(deadline.max(FIRST)) {
            Err(away) if matches!(away.reason, AwayReason::Access | AwayReason::Answer) => return Err(away.into()),
            Err(away) => redis.shared.lose(&away),
            Ok(mut opened) => {
                if let Err(away) = redis.shared.begin(&mut opened, before) {
                    redis.shared.lose(&away);
                }
            }
        }
        let (shared, before) = (Arc::clone(&redis.shared), before.map(str::to_owned));
        let keeper = std::thread::Builder::new()
            .name("redis".to_owned())
            .spawn(move || shared.keep(before.as_deref()))
            .map_err(|error| Away { reason: AwayReason::Connection, cause: error.to_string() })?;
        *redis.keeper.lock() = Some(keeper);
        Ok(redis)
    }

    pub(crate) fn new(
        deadline: Duration,
        url: &RedisUrl,
        prefix: String,
        times: Times,
        before: Before<'_>,
        observer: Box<dyn Observer>,
    ) -> Result<Self, Away> {
        let membership = match before {
            Before::Run(nodes) => Membership::after(nodes),
            Before::Nothing | Before::Others => Membership::default(),
        };
        let shared = Shared {
            link: Link::new(url, deadline)?,
            patience: deadline.max(PATIENCE),
            times,
            prefix,
            membership: Mutex::new(membership),
            secret: RwLock::new(random_name(32)),
            name: random_name(8),
            is_first: before == Before::Nothing,
            is_away: AtomicBool::new(false),
            state: Mutex::new(State { away: None, run: String::new(), ends: false }),
            woken: Condvar::new(),
            observer,
        };
        Ok(Self { shared: Arc::new(shared), keeper: Arc::default() })
    }

    /// What this node is called among the others: another name each time it is opened.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// How the server is.
    pub fn status(&self) -> Status {
        let membership = self.shared.membership.lock();
        let away = self.shared.state.lock().away.map(|(reason, _)| reason);
        Status { away, nodes: membership.nodes(), share: membership.share() }
    }

    /// Tells the others that this node counts nothing any more, and ends its thread. To be called when no request is answered any more.
    pub fn stop(&self) {
        self.shared.state.lock().ends = true;
        self.shared.woken.notify_all();
        if let Some(keeper) = self.keeper.lock().take() {
            // One that panicked has ended, too.
            let _ = keeper.join();
        }
    }
}

/// The two ways in which a beat ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Intent {
    Stay,
    Leave,
}

impl Shared {
    /// Whether Redis is not asked at the moment.
    pub(crate) fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }

    /// Asks Redis, unless it is away; one that does not answer is away from then on.
    pub(crate) fn ask<T>(&self, ask: impl FnMut(&mut Opened) -> redis::RedisResult<T>) -> Result<T, Away> {
        if self.is_away() {
            return Err(Away { reason: AwayReason::Connection, cause: "it is looked for".to_owned() });
        }
        self.link.ask(ask).inspect_err(|away| self.lose(away))
    }

    pub(crate) fn nodes(&self) -> u32 {
        self.membership.lock().nodes()
    }

    pub(crate) fn own_share(&self, window_ms: i64) -> Result<(u32, i64), NoShare> {
        self.membership.lock().own_share(self.times.tick(), window_ms)
    }

    pub(crate) fn key(&self, name: &str) -> Vec<u8> {
        [self.prefix.as_bytes(), name.as_bytes()].concat()
    }

    /// Where Redis remembers the number of what was done last on this connection, for what must not be done twice.
    pub(crate) fn asker(&self, opened: &Opened) -> Vec<u8> {
        self.key(&format!("asked:{}:{}", self.name, opened.seat))
    }

    /// Redis is of no use.
    pub(crate) fn lose(&self, away: &Away) {
        let mut state = self.state.lock();
        if state.away.is_none() {
            state.away = Some((away.reason, Instant::now()));
            self.is_away.store(true, Ordering::Relaxed);
            drop(state);
            self.link.clear();
            self.observer.away(away.reason, &away.cause);
            self.woken.notify_all();
        } else if let Some((reason, _)) = &mut state.away {
            *reason = away.reason;
        }
    }

    fn find(&self) {
        let found = self.state.lock().away.take();
        if let Some((_, since)) = found {
            self.is_away.store(false, Ordering::Relaxed);
            self.observer.back(since.elapsed());
        }
    }

    /// The first words on a new connection: what time is it, and this node is there.
    fn begin(&self, opened: &mut Opened, before: Option<&str>) -> Result<(), Away> {
        if self.state.lock().run != opened.run {
            if let Some(persists) = opened.persists() {
                self.observer.persists(persists);
            }
            self.state.lock().run.clone_from(&opened.run);
        }
        let asked = self.times.tick();
        let time = opened.time()?;
        self.membership.lock().read(self.moved_time(asked).unwrap_or(time), asked, self.times.tick());
        if let Some(before) = before {
            self.say(opened, before, Intent::Leave)?;
        }
        self.beat(opened)
    }

    /// This node is there.
    pub(crate) fn beat(&self, opened: &mut Opened) -> Result<(), Away> {
        let asked = self.times.tick();
        let heard = self.say(opened, &self.name, Intent::Stay)?;
        let mut membership = self.membership.lock();
        membership.read(heard.time, asked, self.times.tick());
        let forgot = !membership.epoch().is_empty() && membership.epoch() != heard.epoch;
        let before = membership.written(&self.name);
        membership.end_beat(heard);
        let nodes = Some(membership.written(&self.name)).filter(|nodes| membership.is_first_beat() || *nodes != before);
        drop(membership);
        if let Some(nodes) = nodes {
            self.observer.nodes(&nodes);
        }
        if forgot {
            self.observer.forgot();
        }
        self.find();
        Ok(())
    }

    /// This node counts nothing any more.
    pub(crate) fn leave(&self, opened: &mut Opened) -> Result<(), Away> {
        self.say(opened, &self.name, Intent::Leave).map(|_| ())
    }

    #[cfg(test)]
    pub(crate) fn written(&self) -> String {
        self.membership.lock().written(&self.name)
    }

    /// A beat whose answer nobody hears.
    #[cfg(test)]
    pub(crate) fn beat_unheard(&self, opened: &mut Opened) {
        let _ = self.say(opened, &self.name, Intent::Stay);
        self.lose(&Away { reason: AwayReason::Timeout, cause: "the answer was lost".to_owned() });
    }

    fn say(&self, opened: &mut Opened, name: &str, intent: Intent) -> Result<Heard, Away> {
        let keys = ["epoch", "nodes", "secret"].map(|key| self.key(key));
        let number = |number: i64| number.to_string();
        let mut arguments = {
            let mut membership = self.membership.lock();
            let sent = match intent {
                Intent::Stay => membership.begin_beat(self.times.tick()),
                Intent::Leave => Some(0),
            };
            // The clock was read before.
            let sent = sent.unwrap_or_default();
            let is_mine = intent == Intent::Stay;
            let mut arguments = vec![
                self.moved_time(self.times.tick()).map(number).unwrap_or_default(),
                opened.run.clone(),
                name.to_owned(),
                number(sent),
                number(LEASE_MS),
                if is_mine { membership.share().to_string() } else { "0".to_owned() },
                if membership.epoch().is_empty() && !self.is_first {
                    "-".to_owned()
                } else {
                    membership.epoch().to_owned()
                },
                number(MEMORY_MS),
                number(SETTLE_MS),
                if is_mine { "stay" } else { "leave" }.to_owned(),
            ];
            arguments.push(self.secret.read().clone());
            for other in membership.others() {
                arguments.extend([other.name.clone(), number(other.lease), other.share.to_string()]);
            }
            arguments
        };
        opened.answer_by(Instant::now() + self.patience)?;
        let answer: Vec<String> = opened.run(Script::Beat, &keys, std::mem::take(&mut arguments))?;
        let heard = Heard::read(&answer);
        let (heard, secret) = heard.ok_or_else(|| Away::answer("a beat was answered otherwise"))?;
        if *self.secret.read() != secret {
            *self.secret.write() = secret;
        }
        Ok(heard)
    }

    /// The time for scripts at `tick`, in tests.
    fn moved_time(&self, tick: Duration) -> Option<i64> {
        self.times.of_caller(i64::try_from(tick.as_millis()).unwrap_or(i64::MAX))
    }

    /// Connects and says that this node is there.
    pub(crate) fn connect(&self, before: Option<&str>) -> Result<Opened, Away> {
        let mut opened = self.link.open(self.patience)?;
        self.begin(&mut opened, before)?;
        Ok(opened)
    }

    /// Says every second that this node is there, and looks for the server while it is away.
    fn keep(&self, before: Option<&str>) {
        let mut opened: Option<Opened> = None;
        loop {
            let beaten = match &mut opened {
                Some(opened) if !self.is_away() => self.beat(opened),
                opened => self.connect(before).map(|new| *opened = Some(new)),
            };
            if let Err(away) = beaten {
                opened = None;
                self.lose(&away);
            }
            let mut state = self.state.lock();
            if !state.ends {
                let (pause, is_away) = if state.away.is_some() { (PROBE, true) } else { (BEAT, false) };
                let until = Instant::now() + pause;
                while !state.ends
                    && state.away.is_some() == is_away
                    && !self.woken.wait_until(&mut state, until).timed_out()
                {}
            }
            if state.ends {
                break;
            }
        }
        if let Some(opened) = &mut opened {
            // A node that cannot say so is forgotten after an hour.
            let _ = self.leave(opened);
        }
    }
}

impl Heard {
    /// The answer to a beat, and the secret in it.
    fn read(answer: &[String]) -> Option<(Self, String)> {
        let [time, epoch, share, secret, others @ ..] = answer else { return None };
        let (others, rest) = others.as_chunks::<3>();
        if !rest.is_empty() {
            return None;
        }
        let other = |[name, lease, share]: &[String; 3]| {
            Some(Other { name: name.clone(), lease: lease.parse().ok()?, share: share.parse().ok()? })
        };
        let others = others.iter().map(other).collect::<Option<Vec<_>>>()?;
        Some((
            Self { time: time.parse().ok()?, epoch: epoch.clone(), share: share.parse().ok()?, others },
            secret.clone(),
        ))
    }
}
