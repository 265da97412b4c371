//! The stream that the HTTP library reads from and writes to.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::framing::{Framer, Pieces, Refused};
use super::link::{Answer, Link};
use super::pace::{Pace, Turn};
use super::{Admission, Connections};
use crate::telemetry::Ending;

/// What a client must take of an answer in each [`Patience::write`](super::Patience::write), if it does not take all.
pub(super) const WRITE_STEP_BYTES: usize = 16 * 1_024;
/// How long a connection waits for the next request when the server is about to stop.
const DRAIN_IDLE: Duration = Duration::from_millis(500);
/// How long a client that takes nothing is waited for when the server is about to stop.
const DRAIN_WRITE: Duration = Duration::from_secs(5);
/// How long what a client still sends is read and thrown away after the last answer. Closing a connection with something
/// unread in it resets it, and the client may lose the answer.
const LINGER: Duration = Duration::from_secs(1);
/// And how much of it.
const LINGER_BYTES: usize = 1 << 20;

/// One connection.
pub struct Stream {
    io: TcpStream,
    link: Rc<Link>,
    connections: Arc<Connections>,
    framer: Framer,
    /// What was read and not handed on: the beginning of a head, or what came behind a request.
    held: Vec<u8>,
    /// How many bytes of `held` may be handed on.
    passed: usize,
    /// Whether `held` has bytes that the framer has not seen.
    unseen: bool,
    /// Whether the library works on a piece of a body before it is given more. It would read all that the kernel has into
    /// one buffer, which grows with it and is kept as long as the connection.
    is_sated: bool,
    /// What of the body is handed on at once, when it is chunked.
    pieces: Option<Pieces>,
    pace: Pace,
    /// While bytes that came ahead of their time wait to be looked at.
    turn: Option<Turn>,
    /// Since when a head is waited for.
    waiting_since: Instant,
    /// How long it is waited for.
    patience: Duration,
    /// While a client does not take what is written.
    blocked: Option<Blocked>,
    /// Set when nothing more is handed on.
    ended: Option<Ended>,
    closing: Closing,
    timer: Pin<Box<Sleep>>,
    drain: Pin<Box<dyn Future<Output = ()>>>,
    draining_since: Option<Instant>,
    _admission: Admission,
}

/// Since when a client takes nothing, and how much it took before that.
#[derive(Debug, Clone, Copy)]
struct Blocked {
    since: Instant,
    taken: usize,
}

impl Blocked {
    fn since(now: Instant) -> Self {
        Self { since: now, taken: 0 }
    }

    /// The client took so many bytes: with each step its time begins anew.
    fn took(&mut self, bytes: usize, now: Instant) {
        self.taken += bytes;
        if self.taken >= WRITE_STEP_BYTES {
            *self = Self::since(now);
        }
    }
}

/// Why nothing more is read for the application.
#[derive(Debug, Clone, Copy)]
enum Ended {
    /// The client was waited for long enough, or closed its end.
    Quietly,
    /// An answer was complete before the body of its request.
    Unread,
    /// What came next is not a request, or not one in time.
    Refused(Refused),
}

/// The steps to the end of a connection.
#[derive(Debug)]
enum Closing {
    /// Not yet.
    Not,
    /// Telling why.
    Telling { answer: Vec<u8>, told: usize, until: Instant },
    /// Closing our end.
    Ending { until: Instant },
    /// Reading what the client still sends.
    Lingering { until: Instant, left: usize },
    /// Done.
    Closed,
}

impl Stream {
    /// A connection that was just accepted.
    pub(super) fn new(io: TcpStream, connections: &Arc<Connections>, pace: &Pace, admission: Admission) -> Self {
        let now = Instant::now();
        let mut draining = connections.draining.subscribe();
        let drain = async move {
            // An error means that the server is gone.
            let _gone = draining.wait_for(|draining| *draining).await;
        };
        Self {
            io,
            link: Rc::new(Link::new(Arc::clone(connections))),
            connections: Arc::clone(connections),
            framer: Framer::default(),
            held: Vec::new(),
            passed: 0,
            unseen: false,
            is_sated: false,
            pieces: None,
            pace: pace.clone(),
            turn: None,
            waiting_since: now,
            patience: connections.patience.head,
            blocked: None,
            ended: None,
            closing: Closing::Not,
            timer: Box::pin(sleep_until(now + connections.patience.head)),
            drain: Box::pin(drain),
            draining_since: None,
            _admission: admission,
        }
    }

    /// The other end, for the data of the connection.
    pub fn link(&self) -> Rc<Link> {
        Rc::clone(&self.link)
    }

    /// Until when the client may take for what it is at; `None` while it is our turn.
    fn deadline(&self) -> Option<Instant> {
        if let Some(blocked) = self.blocked {
            let regular = blocked.since + self.connections.patience.write;
            return Some(match self.draining_since {
                Some(since) => regular.min(since.max(blocked.since) + DRAIN_WRITE),
                None => regular,
            });
        }
        if !self.framer.expects_head() || self.passed > 0 || self.unseen {
            return None;
        }
        let regular = self.waiting_since + self.patience;
        Some(match self.draining_since {
            Some(since) if self.held.is_empty() => regular.min(since.max(self.waiting_since) + DRAIN_IDLE),
            _ => regular,
        })
    }

    /// Ready when the client took too long. Otherwise the task is woken when it will have, or when the server is about to
    /// stop.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.draining_since.is_none() && self.drain.as_mut().poll(cx).is_ready() {
            self.draining_since = Some(Instant::now());
        }
        let Some(deadline) = self.deadline() else { return Poll::Pending };
        self.poll_timer(cx, deadline)
    }

    /// The one timer is moved to a later time only when it has run out: a request costs no work on timers.
    fn poll_timer(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        loop {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            if self.timer.is_elapsed() || self.timer.deadline() > deadline {
                self.timer.as_mut().reset(deadline);
            }
            ready!(self.timer.as_mut().poll(cx));
        }
    }

    /// Ends the connection when the client does not take what is written.
    fn check_blocked(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.blocked.is_some() && self.poll_deadline(cx).is_ready() {
            Ending::AnswerNotTaken.happened();
            tracing::info!("a client does not take its answer; its connection is closed");
            // What waits in the kernel is thrown away with it.
            let _best_effort = self.io.set_zero_linger();
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    /// Nothing is handed on any more.
    fn end(&mut self, ended: Ended) {
        self.ended = Some(ended);
        self.passed = 0;
    }

    /// Waits for a head from now on, or goes on with what came of it already.
    fn expect_request(&mut self, patience: Duration) {
        self.framer.next();
        self.waiting_since = Instant::now();
        // What was passed belongs to the request before.
        self.unseen = self.held.len() > self.passed;
        self.patience = if self.unseen { self.connections.patience.head } else { patience };
    }

    /// Ready when it is the turn of a request that came before the answer to the one before was taken.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let pace = &self.pace;
        ready!(self.turn.get_or_insert_with(|| pace.turn()).as_mut().poll(cx));
        self.turn = None;
        self.waiting_since = Instant::now();
        Poll::Ready(())
    }

    /// Looks at what is held and decides how much of it may be handed on.
    fn look(&mut self) {
        self.unseen = false;
        match self.framer.head(&mut self.held) {
            Ok(Some(head)) => {
                self.begin(head);
                self.passed = head + self.body_of_held(head);
            }
            Ok(None) => {}
            Err(refused) => self.end(Ended::Refused(refused)),
        }
    }

    /// A head is complete; so many bytes of it are held.
    fn begin(&mut self, held: usize) {
        self.link.answer.set(Answer::Open);
        self.link.arrived.set(false);
        self.pieces = self.framer.expects_chunks().then(|| Pieces::behind(held));
    }

    /// How many of `bytes`, which belong to the request, are handed on at once.
    fn piece(pieces: &mut Option<Pieces>, bytes: &[u8]) -> usize {
        pieces.as_mut().map_or(bytes.len(), |pieces| pieces.next(bytes))
    }

    /// How much of what is held behind `from` belongs to the body.
    fn body_of_held(&mut self, from: usize) -> usize {
        let body = self.framer.body(&self.held[from..]);
        self.body_seen(body)
    }

    /// Takes note of what the framer says about the body.
    fn body_seen(&mut self, body: Result<usize, usize>) -> usize {
        body.unwrap_or_else(|good| {
            self.link.malformed.set(true);
            good
        })
    }

    /// Hands on what may be of what is held.
    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) {
        let here = Self::piece(&mut self.pieces, &self.held[..self.passed.min(buf.remaining())]);
        buf.put_slice(&self.held[..here]);
        self.passed -= here;
        self.handed();
        if here == self.held.len() {
            // Most connections never hold anything again.
            self.held = Vec::new();
        } else {
            self.held.drain(..here);
        }
    }

    /// Moves what `buf` has behind `from` to what is held.
    fn hold(&mut self, buf: &mut ReadBuf<'_>, from: usize) {
        self.held.extend_from_slice(&buf.filled()[from..]);
        buf.set_filled(from);
    }

    /// Leaves in `buf`, of which the bytes from `from` to `end` are of a body, one piece of it. The rest is held and handed on
    /// later, what is behind `end` when its time comes.
    fn hold_all_but_a_piece(&mut self, buf: &mut ReadBuf<'_>, from: usize, end: usize) {
        let here = from + Self::piece(&mut self.pieces, &buf.filled()[from..end]);
        self.passed = end - here;
        self.handed();
        self.hold(buf, here);
    }

    /// Takes note of how far the request is handed on.
    fn handed(&mut self) {
        let all = self.passed == 0 && self.framer.is_complete();
        self.link.arrived.set(all);
        self.is_sated = !all;
    }

    /// Reads a head into `buf`, or as much of it as there is into what is held.
    fn read_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let from = buf.filled().len();
        if Pin::new(&mut self.io).poll_read(cx, buf)?.is_pending() {
            ready!(self.poll_deadline(cx));
            self.end(if self.held.is_empty() { Ended::Quietly } else { Ended::Refused(Refused::HeadTooSlow) });
            return Poll::Ready(Ok(()));
        }
        if buf.filled().len() == from {
            self.end(Ended::Quietly);
            return Poll::Ready(Ok(()));
        }
        if self.held.is_empty() {
            self.waiting_since = Instant::now();
            self.patience = self.connections.patience.head;
            match self.framer.head(&mut buf.filled_mut()[from..]) {
                Ok(Some(head)) => {
                    self.begin(0);
                    let body = self.framer.body(&buf.filled()[from + head..]);
                    let end = from + head + self.body_seen(body);
                    self.hold_all_but_a_piece(buf, from + head, end);
                }
                Ok(None) => self.hold(buf, from),
                Err(refused) => {
                    buf.set_filled(from);
                    self.end(Ended::Refused(refused));
                }
            }
        } else {
            self.hold(buf, from);
            self.look();
        }
        Poll::Ready(Ok(()))
    }

    /// Reads a piece of a body into `buf`.
    fn read_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let from = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if buf.filled().len() == from {
            self.end(Ended::Quietly);
            return Poll::Ready(Ok(()));
        }
        let body = self.framer.body(&buf.filled()[from..]);
        let end = from + self.body_seen(body);
        self.hold_all_but_a_piece(buf, from, end);
        Poll::Ready(Ok(()))
    }

    /// Looks whether a client goes away while it waits for its answer. What it sends is held until it has it; then nothing
    /// more is read.
    fn watch(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let from = buf.filled().len();
        if !self.held.is_empty() || Pin::new(&mut self.io).poll_read(cx, buf)?.is_pending() {
            // Nothing is due while it is our turn; but the task must know when the server is about to stop.
            let _not_due = self.poll_deadline(cx);
            return Poll::Pending;
        }
        if buf.filled().len() == from {
            self.end(Ended::Quietly);
        } else {
            self.hold(buf, from);
        }
        Poll::Ready(Ok(()))
    }

    /// What is said to a client whose connection ends: only those who got no answer are told why.
    fn begin_closing(&mut self) {
        let until = Instant::now() + LINGER;
        let answered = self.link.answer.get() != Answer::Open;
        let refused = match self.ended {
            Some(Ended::Refused(refused)) => Some(refused),
            _ if self.link.malformed.get() && !answered => Some(Refused::Chunks),
            _ => None,
        };
        self.closing = match refused {
            Some(refused) => Closing::Telling { answer: self.connections.refusal(refused), told: 0, until },
            None => Closing::Ending { until },
        };
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.check_blocked(cx)?;
        let from = buf.filled().len();
        if std::mem::take(&mut this.is_sated) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if this.passed > 0 {
                this.hand_on(buf);
            } else if this.ended.is_some() {
                return Poll::Ready(Ok(()));
            } else if this.link.malformed.get() {
                this.end(Ended::Unread);
            } else if this.framer.is_complete() {
                ready!(this.watch(cx, buf))?;
            } else if !this.framer.expects_head() {
                ready!(this.read_body(cx, buf))?;
            } else if this.unseen {
                ready!(this.poll_turn(cx));
                this.look();
            } else {
                ready!(this.read_head(cx, buf))?;
            }
            if buf.filled().len() > from {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        match Pin::new(&mut this.io).poll_write(cx, bytes) {
            Poll::Ready(Ok(taken)) => {
                if let Some(blocked) = &mut this.blocked {
                    blocked.took(taken, Instant::now());
                }
                Poll::Ready(Ok(taken))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                this.blocked.get_or_insert_with(|| Blocked::since(Instant::now()));
                this.check_blocked(cx)?;
                Poll::Pending
            }
        }
    }

    /// The library flushes when it has written all that it has.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.blocked = None;
        if this.link.answer.get() == Answer::Complete && this.ended.is_none() {
            if this.framer.is_complete() {
                this.link.answer.set(Answer::Open);
                this.expect_request(this.connections.patience.idle);
                // The library does not read now: the timer must be set here.
                let _not_due = this.poll_deadline(cx);
                if this.unseen {
                    cx.waker().wake_by_ref();
                }
            } else if !this.framer.expects_head() {
                this.end(Ended::Unread);
                cx.waker().wake_by_ref();
            }
        }
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.closing {
                Closing::Not => this.begin_closing(),
                Closing::Telling { answer, told, until } => {
                    let until = *until;
                    match Pin::new(&mut this.io).poll_write(cx, &answer[*told..]) {
                        Poll::Ready(Ok(taken)) => {
                            *told += taken;
                            if *told == answer.len() {
                                this.closing = Closing::Ending { until };
                            }
                        }
                        Poll::Ready(Err(_gone)) => this.closing = Closing::Closed,
                        Poll::Pending => {
                            ready!(this.poll_timer(cx, until));
                            this.closing = Closing::Closed;
                        }
                    }
                }
                Closing::Ending { until } => {
                    let until = *until;
                    ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
                    let unread = matches!(this.ended, Some(Ended::Unread | Ended::Refused(_))) || !this.held.is_empty();
                    this.closing =
                        if unread { Closing::Lingering { until, left: LINGER_BYTES } } else { Closing::Closed };
                }
                Closing::Lingering { until, left } => {
                    let until = *until;
                    let mut space = [0; 4_096];
                    let mut rest = ReadBuf::new(&mut space);
                    match Pin::new(&mut this.io).poll_read(cx, &mut rest) {
                        Poll::Ready(Ok(())) if !rest.filled().is_empty() && *left > 0 => {
                            *left = left.saturating_sub(rest.filled().len());
                        }
                        Poll::Ready(_) => this.closing = Closing::Closed,
                        Poll::Pending => {
                            ready!(this.poll_timer(cx, until));
                            this.closing = Closing::Closed;
                        }
                    }
                }
                Closing::Closed => return Poll::Ready(Ok(())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A long download lives as long as its client takes a step in each time. Sabotage: never begin anew, or with each byte.
    #[test]
    fn a_client_that_takes_its_answer_has_its_time_anew_with_each_step() {
        let begun = Instant::now();
        let mut blocked = Blocked::since(begun);
        for second in 1..=10 {
            let now = begun + Duration::from_secs(second);
            let before = blocked.since;
            blocked.took(WRITE_STEP_BYTES - 1, now);
            assert_eq!(blocked.since, before, "less than a step");
            blocked.took(1, now);
            assert_eq!((blocked.since, blocked.taken), (now, 0));
        }
    }
}
