//! Connections whose questions end in time, whatever the server does.
//!
//! libpq waits for an answer for as long as the connection stands, and a server that hangs, or a proxy that went silent, lets it
//! stand. So a thread looks at the time of each question, and ends the connection of one that takes too long: libpq tells whoever
//! waits on it that the connection was lost. Nobody who leaves the program waits for any of them (see [`end_all`]).

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::{ConnectionError, PgConnection};
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::address::{Address, Ends};
use super::failed::{Done, Failed};
use super::socket::{Socket, Sockets};
use crate::StoreError;

/// How often a connection is opened anew whose socket cannot be told from others that were opened at the same moment.
const ATTEMPTS: usize = 4;

/// For how long a connection waits until others to the same server are opened.
const TURN: Duration = Duration::from_secs(5);

/// For how long the end of the program waits for those who are told that their connection is lost.
const ENDING: Duration = Duration::from_secs(5);

/// A connection that was opened here.
pub(super) struct Bounded {
    /// There until it is dropped.
    conn: Option<PgConnection>,
    socket: Socket,
    /// Nothing more comes on it.
    is_lost: bool,
}

/// A question that runs, for whoever has it go on for longer as long as answers come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Running {
    id: u64,
    limit: Duration,
}

#[derive(Default)]
struct State {
    /// No connection is opened and none is asked any more: the program ends.
    is_ending: bool,
    /// How many threads are in libpq.
    inside: usize,
    next: u64,
    questions: BTreeMap<u64, Question>,
    /// The sockets there were before each connection that is being opened.
    opening: BTreeMap<u64, (Sockets, Ends)>,
}

struct Question {
    socket: Socket,
    until: Instant,
    /// Its connection was ended.
    is_ended: bool,
}

static STATE: Mutex<State> =
    Mutex::new(State { is_ending: false, inside: 0, next: 0, questions: BTreeMap::new(), opening: BTreeMap::new() });
/// There is a question with less time than the thread that looks at it waits for, or a thread left libpq.
static CHANGED: Condvar = Condvar::new();
static LEFT: Condvar = Condvar::new();
/// Whoever opens a connection holds that of its far end: of two that were opened at the same moment nobody could tell which socket is
/// whose. There are as many as databases.
static OPENING: Mutex<BTreeMap<String, Arc<Mutex<()>>>> = Mutex::new(BTreeMap::new());

impl State {
    /// A number that nothing has had.
    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// A thread in libpq, until this is dropped.
struct Inside;

impl Inside {
    /// `None` when the program ends.
    fn enter(state: &mut MutexGuard<'_, State>) -> Option<Self> {
        if state.is_ending {
            return None;
        }
        state.inside += 1;
        Some(Self)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        STATE.lock().inside -= 1;
        LEFT.notify_all();
    }
}

impl Bounded {
    /// Opens a connection. It takes as long as the `connect_timeout` of `address` for each server that the address names, as the machine
    /// looks for their names, and as [`TURN`].
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn open(address: &Address) -> ConnectionResult<Self> {
        let bad = |cause: &dyn std::fmt::Display| ConnectionError::BadConnection(cause.to_string());
        watch().map_err(|cause| bad(&cause))?;
        let far_end = Arc::clone(OPENING.lock().entry(format!("{:?}", address.ends)).or_default());
        let Some(_alone) = far_end.try_lock_for(TURN) else {
            return Err(bad(&"connections that were asked for before do not open"));
        };
        for _ in 0..ATTEMPTS {
            let before = Sockets::now().map_err(|cause| bad(&cause))?;
            let (id, inside) = {
                let mut state = STATE.lock();
                let inside = Inside::enter(&mut state).ok_or_else(|| bad(&ENDS))?;
                let id = state.next();
                state.opening.insert(id, (before, address.ends.clone()));
                (id, inside)
            };
            let opened = PgConnection::establish(&address.url);
            let before = STATE.lock().opening.remove(&id);
            drop(inside);
            let conn = opened?;
            let since = before.map_or_else(|| Ok(Vec::new()), |(before, ends)| before.opened_since(&ends));
            match since.map_err(|cause| bad(&cause))?[..] {
                [socket] => return Ok(Self { conn: Some(conn), socket, is_lost: false }),
                _ => leave(conn),
            }
        }
        Err(bad(&"the socket of the connection cannot be told from others that were opened at the same moment"))
    }

    /// Runs `work` on the connection, which ends when that takes longer than `limit`.
    pub(super) fn ask<T>(&mut self, limit: Duration, work: impl FnOnce(&mut PgConnection) -> Done<T>) -> Done<T> {
        self.ask_long(limit, |conn, _| work(conn))
    }

    /// The same of work of many questions: `limit` is for each, when [`Running::goes_on`] is called after each.
    pub(super) fn ask_long<T, E: From<StoreError>>(
        &mut self,
        limit: Duration,
        work: impl FnOnce(&mut PgConnection, Running) -> Result<T, E>,
    ) -> Result<T, E> {
        let unavailable = |cause: &str| Err(StoreError::Unavailable(cause.into()).into());
        let Some(conn) = self.conn.as_mut() else { return unavailable(ENDS) };
        let (running, _inside) = {
            let mut state = STATE.lock();
            let Some(inside) = Inside::enter(&mut state) else { return unavailable(ENDS) };
            (Running::begin(&mut state, self.socket, limit), inside)
        };
        let ended = Ended(running);
        let done = work(conn, running);
        match done {
            Err(_) if ended.is_so() => {
                self.is_lost = true;
                unavailable(&format!("PostgreSQL did not answer within {} s", limit.as_secs_f32()))
            }
            done => done,
        }
    }

    /// Whether it is of no more use.
    pub(super) fn is_broken(&mut self) -> bool {
        use diesel::r2d2::R2D2Connection as _;
        self.is_lost || self.conn.as_mut().is_none_or(|conn| conn.is_broken())
    }

    /// It is of no more use.
    pub(super) fn give_up(&mut self) {
        self.is_lost = true;
    }

    /// Asks for nothing. Where there is no answer the connection is of no more use.
    pub(super) fn ping(&mut self, limit: Duration) -> Result<(), StoreError> {
        use diesel::r2d2::R2D2Connection as _;
        let answered = self.ask(limit, |conn| conn.ping().map_err(Failed::from));
        self.is_lost |= answered.is_err();
        answered.map_err(StoreError::from)
    }
}

impl Drop for Bounded {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            leave(conn);
        }
    }
}

/// Closes a connection. When the program ends the system does.
fn leave(conn: PgConnection) {
    let inside = Inside::enter(&mut STATE.lock());
    match inside {
        Some(_inside) => drop(conn),
        None => std::mem::forget(conn),
    }
}

const ENDS: &str = "the program ends";

impl Running {
    fn begin(state: &mut State, socket: Socket, limit: Duration) -> Self {
        let id = state.next();
        let until = Instant::now() + limit;
        let first = state.questions.values().filter(|question| !question.is_ended).map(|question| question.until).min();
        state.questions.insert(id, Question { socket, until, is_ended: false });
        if first.is_none_or(|first| until < first) {
            CHANGED.notify_one();
        }
        Self { id, limit }
    }

    /// An answer came: the next one has as much time.
    pub(super) fn goes_on(self) {
        if let Some(question) = STATE.lock().questions.get_mut(&self.id) {
            question.until = Instant::now() + self.limit;
        }
    }
}

/// Forgets a question when it is dropped, also by a panic.
struct Ended(Running);

impl Ended {
    fn is_so(&self) -> bool {
        STATE.lock().questions.get(&self.0.id).is_some_and(|question| question.is_ended)
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        STATE.lock().questions.remove(&self.0.id);
    }
}

/// Starts the thread that ends what takes too long, when it does not run yet.
fn watch() -> Result<(), &'static str> {
    static STARTED: OnceLock<bool> = OnceLock::new();
    let start = || std::thread::Builder::new().name("store-watch".to_owned()).spawn(look).is_ok();
    if *STARTED.get_or_init(start) { Ok(()) } else { Err("no thread can be started") }
}

fn look() {
    let mut state = STATE.lock();
    loop {
        let now = Instant::now();
        let mut first = None;
        for question in state.questions.values_mut().filter(|question| !question.is_ended) {
            if question.until <= now {
                // Whoever asks forgets the question under the same lock, before the connection is closed.
                question.is_ended = true;
                question.socket.end();
            } else if first.is_none_or(|first| question.until < first) {
                first = Some(question.until);
            }
        }
        match first {
            Some(first) => drop(CHANGED.wait_until(&mut state, first)),
            None => CHANGED.wait(&mut state),
        }
    }
}

/// Ends all connections to PostgreSQL of this process, also those that are being opened, and opens no more: whoever waits for an answer is
/// told that there is none. To be called when nothing else is left to do: handlers that a process runs when it exits take away what
/// libpq uses, under the feet of threads that are in it.
pub fn end_all() {
    let mut state = STATE.lock();
    state.is_ending = true;
    let until = Instant::now() + ENDING;
    while state.inside > 0 {
        for question in state.questions.values_mut() {
            question.is_ended = true;
            question.socket.end();
        }
        // One that was opened in this moment is found the next time.
        for (before, ends) in state.opening.values() {
            before.opened_since(ends).unwrap_or_default().into_iter().for_each(Socket::end);
        }
        let next = until.min(Instant::now() + Duration::from_millis(20));
        if LEFT.wait_until(&mut state, next).timed_out() && Instant::now() >= until {
            return;
        }
    }
}
