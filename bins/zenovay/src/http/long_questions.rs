//! Questions of the console that take long. Whoever asked is told after a moment where the answer will be, and the question goes
//! on without the request: until it is answered, or until whoever asked leaves.
//!
//! One registry for all: it holds what runs and what was answered, and what it holds is bounded, in number and in bytes, for
//! each who asks and for all of them.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};
use zenovay_domain::{ShareId, WebsiteId};
use zenovay_query::Progress;

use super::envelope::ApiError;
use super::errors::SOON_S;
use super::guard::Shown;

/// The most questions at a time of one who asks, running and answered.
const OF_ONE_MAX: usize = 24;
/// The most of all who have the same public link.
const OF_A_LINK_MAX: usize = 96;
/// The most of all.
const OF_ALL_MAX: usize = 512;
/// The bytes of answers that are held for one who asks.
const HELD_OF_ONE_MAX_BYTES: usize = 8 << 20;
/// The bytes of answers that are held for all.
const HELD_MAX_BYTES: usize = 64 << 20;
/// The most streams at a time that tell how far one question is.
const STREAMS_MAX: usize = 4;

/// How long things are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// A question that takes no longer is answered at once.
    pub at_once: Duration,
    /// So long a question goes on that nobody follows: without a stream, and without being asked how far it is.
    pub unfollowed: Duration,
    /// So long an answer is held that nobody fetches.
    pub held: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self { at_once: Duration::from_millis(500), unfollowed: Duration::from_secs(10), held: Duration::from_secs(30) }
    }
}

/// Who asked. Nobody else can know of the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asker {
    /// A session or a key.
    Known(Shown),
    /// Whoever has this public link.
    Link(ShareId),
}

impl Asker {
    const fn most(self) -> usize {
        match self {
            Self::Known(_) => OF_ONE_MAX,
            Self::Link(_) => OF_A_LINK_MAX,
        }
    }
}

/// The name of a question: 128 random bits, written as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct QuestionId(u128);

impl QuestionId {
    /// The id of these random bytes.
    pub const fn from_random_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// The id that `text` is, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_written_so =
            text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        is_written_so.then(|| u128::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl std::fmt::Display for QuestionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The body of an answer, or why there is none.
pub type Answer = Result<Bytes, ApiError>;

/// How far a question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Parts that are done.
    pub done: u64,
    /// Parts that are known until now.
    pub parts: u64,
    /// Whether it is answered.
    pub is_answered: bool,
}

/// How a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Its answer was fetched.
    Fetched,
    /// Whoever asked stopped it, or left.
    Stopped,
    /// Nobody followed it.
    Unfollowed,
    /// Nobody fetched its answer in time.
    NotFetched,
    /// Its answer made room for a later one of the same who asked.
    MadeRoom,
}

impl End {
    const ALL: [Self; 5] = [Self::Fetched, Self::Stopped, Self::Unfollowed, Self::NotFetched, Self::MadeRoom];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Fetched => "fetched",
            Self::Stopped => "stopped",
            Self::Unfollowed => "unfollowed",
            Self::NotFetched => "not_fetched",
            Self::MadeRoom => "made_room",
        }
    }
}

/// The values of the label `end` of `zenovay_long_questions_total`.
pub fn ends() -> impl Iterator<Item = &'static str> {
    End::ALL.into_iter().map(End::as_str)
}

/// A question that goes on, or whose answer waits.
#[derive(Debug)]
struct Entry {
    asker: Asker,
    website: Option<WebsiteId>,
    progress: Arc<Progress>,
    /// The higher, the later.
    number: u64,
    streams: usize,
    followed_at: Instant,
    answer: Option<Answer>,
    is_answered: watch::Sender<bool>,
    /// Dropped with the entry, which ends what still works on the question.
    _goes_on: oneshot::Sender<()>,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.answer.as_ref().and_then(|answer| answer.as_ref().ok()).map_or(0, Bytes::len)
    }

    fn standing(&self) -> Standing {
        let (done, parts) = self.progress.read();
        Standing { done, parts, is_answered: self.answer.is_some() }
    }
}

#[derive(Debug, Default)]
struct All {
    entries: HashMap<QuestionId, Entry>,
    next: u64,
}

impl All {
    fn of(&self, asker: Asker) -> impl Iterator<Item = (&QuestionId, &Entry)> {
        self.entries.iter().filter(move |(_, entry)| entry.asker == asker)
    }

    fn end(&mut self, id: QuestionId, end: End) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        metrics::counter!("zenovay_long_questions_total", "end" => end.as_str()).increment(1);
        self.tell();
        Some(entry)
    }

    fn tell(&self) {
        metrics::gauge!("zenovay_long_questions").set(self.entries.len() as f64);
        let held: usize = self.entries.values().map(Entry::bytes).sum();
        metrics::gauge!("zenovay_long_answer_bytes").set(held as f64);
    }

    /// Makes room for an answer of `bytes` bytes to `asker`, by older answers to the same.
    fn make_room(&mut self, asker: Asker, bytes: usize) -> bool {
        loop {
            let own: usize = self.of(asker).map(|(_, entry)| entry.bytes()).sum();
            let all: usize = self.entries.values().map(Entry::bytes).sum();
            if own + bytes <= HELD_OF_ONE_MAX_BYTES && all + bytes <= HELD_MAX_BYTES {
                return true;
            }
            let oldest = self.of(asker).filter(|(_, entry)| entry.bytes() > 0).min_by_key(|(_, entry)| entry.number);
            let Some((&oldest, _)) = oldest else { return false };
            self.end(oldest, End::MadeRoom);
        }
    }
}

/// The questions that take long.
#[derive(Debug, Default)]
pub struct LongQuestions {
    waits: Waits,
    all: Mutex<All>,
}

impl LongQuestions {
    /// None yet.
    pub fn new(waits: Waits) -> Self {
        Self { waits, all: Mutex::default() }
    }

    /// How long a question may take that is answered at once.
    pub fn at_once(&self) -> Duration {
        self.waits.at_once
    }

    /// Goes on with `work`, the rest of a question of `asker` about `website`, under the name `id`. To be called on the thread of
    /// a request.
    ///
    /// # Errors
    /// `work`, when there is no room for it.
    pub fn go_on<W: Future<Output = Answer> + 'static>(
        self: &Arc<Self>,
        id: QuestionId,
        asker: Asker,
        website: Option<WebsiteId>,
        progress: Arc<Progress>,
        work: W,
    ) -> Result<Standing, W> {
        let (goes_on, stopped) = oneshot::channel();
        let (number, standing) = {
            let mut all = self.all.lock();
            if all.entries.len() >= OF_ALL_MAX || all.of(asker).count() >= asker.most() {
                return Err(work);
            }
            all.next += 1;
            let entry = Entry {
                asker,
                website,
                progress,
                number: all.next,
                streams: 0,
                followed_at: Instant::now(),
                answer: None,
                is_answered: watch::Sender::new(false),
                _goes_on: goes_on,
            };
            let standing = entry.standing();
            let number = entry.number;
            all.entries.insert(id, entry);
            all.tell();
            (number, standing)
        };
        let running = Running { questions: Arc::clone(self), id, number };
        actix_web::rt::spawn(running.until_the_end(work, stopped));
        Ok(standing)
    }

    /// The website that a question is about; the outer `None` when there is no such question.
    pub fn website(&self, id: QuestionId) -> Option<Option<WebsiteId>> {
        self.all.lock().entries.get(&id).map(|entry| entry.website)
    }

    /// How far a question of `asker` is, or its answer, which is given once.
    pub fn fetch(&self, id: QuestionId, asker: Asker) -> Option<Result<Answer, Standing>> {
        let mut all = self.all.lock();
        let entry = all.entries.get_mut(&id).filter(|entry| entry.asker == asker)?;
        entry.followed_at = Instant::now();
        let Some(answer) = entry.answer.take() else { return Some(Err(entry.standing())) };
        all.end(id, End::Fetched);
        Some(Ok(answer))
    }

    /// How far a question of `asker` is.
    pub fn look(&self, id: QuestionId, asker: Asker) -> Option<Standing> {
        let all = self.all.lock();
        all.entries.get(&id).filter(|entry| entry.asker == asker).map(Entry::standing)
    }

    /// Ends a question of `asker`, whether it is answered or not. `false` when there is none.
    pub fn stop(&self, id: QuestionId, asker: Asker) -> bool {
        let mut all = self.all.lock();
        let is_theirs = all.entries.get(&id).is_some_and(|entry| entry.asker == asker);
        is_theirs && all.end(id, End::Stopped).is_some()
    }

    /// Follows a question of `asker`.
    ///
    /// # Errors
    /// A 404 when there is none, a 503 when too many follow it.
    pub fn follow(self: &Arc<Self>, id: QuestionId, asker: Asker) -> Result<Following, ApiError> {
        let mut all = self.all.lock();
        let entry = all.entries.get_mut(&id).filter(|entry| entry.asker == asker).ok_or_else(not_there)?;
        if entry.streams >= STREAMS_MAX {
            return Err(ApiError::unavailable("Too many follow this question", SOON_S));
        }
        entry.streams += 1;
        Ok(Following { questions: Arc::clone(self), id, is_answered: entry.is_answered.subscribe() })
    }

    /// `None` when the question has ended.
    fn standing(&self, id: QuestionId) -> Option<Standing> {
        self.all.lock().entries.get(&id).map(Entry::standing)
    }

    /// Until when the question goes on if nobody follows it; `None` when it has ended.
    fn followed_until(&self, id: QuestionId) -> Option<Instant> {
        let all = self.all.lock();
        let entry = all.entries.get(&id)?;
        let from = if entry.streams > 0 { Instant::now() } else { entry.followed_at };
        Some(from + self.waits.unfollowed)
    }

    fn answered(&self, id: QuestionId, answer: Answer) {
        let mut all = self.all.lock();
        let Some(asker) = all.entries.get(&id).map(|entry| entry.asker) else { return };
        let has_room = all.make_room(asker, answer.as_ref().map_or(0, Bytes::len));
        if let Some(entry) = all.entries.get_mut(&id) {
            entry.answer = Some(match answer {
                Ok(_) if !has_room => Err(ApiError::unavailable("Too many answers wait to be fetched", SOON_S)),
                answer => answer,
            });
            // Nobody may follow it.
            entry.is_answered.send_replace(true);
        }
        all.tell();
    }
}

/// What there is for whoever asks for a question that is not theirs, has ended, or never was.
pub fn not_there() -> ApiError {
    ApiError::not_found("There is no such question, or its answer was fetched")
}

/// A question while something works on it, or while its answer waits. It is forgotten with this, however that ends: also when the
/// thread stops because the server does.
struct Running {
    questions: Arc<LongQuestions>,
    id: QuestionId,
    number: u64,
}

impl Running {
    async fn until_the_end(self, work: impl Future<Output = Answer>, mut stopped: oneshot::Receiver<()>) {
        let Self { questions, id, .. } = &self;
        tokio::select! {
            // Dropped by the others, which cancels it.
            answer = work => questions.answered(*id, answer),
            () = self.is_unfollowed() => {
                questions.all.lock().end(*id, End::Unfollowed);
                return;
            }
            _ = &mut stopped => return,
        }
        tokio::select! {
            () = sleep(questions.waits.held) => {}
            _ = stopped => {}
        }
    }

    async fn is_unfollowed(&self) {
        while let Some(until) = self.questions.followed_until(self.id) {
            if Instant::now() >= until {
                return;
            }
            sleep_until(until).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut all = self.questions.all.lock();
        if all.entries.get(&self.id).is_some_and(|entry| entry.number == self.number) {
            all.end(self.id, End::NotFetched);
        }
    }
}

/// Somebody who waits for a question. When the last of them leaves before it is answered, it ends.
#[derive(Debug)]
pub struct Following {
    questions: Arc<LongQuestions>,
    id: QuestionId,
    is_answered: watch::Receiver<bool>,
}

impl Following {
    /// How far it is; `None` when it has ended.
    pub fn standing(&self) -> Option<Standing> {
        self.questions.standing(self.id)
    }

    /// Returns when it is answered or has ended.
    pub async fn ended(&mut self) {
        // An error: the entry is gone.
        let _ = self.is_answered.wait_for(|is_answered| *is_answered).await;
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut all = self.questions.all.lock();
        let Some(entry) = all.entries.get_mut(&self.id) else { return };
        entry.streams -= 1;
        entry.followed_at = Instant::now();
        if entry.streams == 0 && entry.answer.is_none() {
            all.end(self.id, End::Stopped);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use zenovay_domain::KeyId;

    use super::*;

    const NEVER: Duration = Duration::from_secs(3_600);
    const PATIENT: Waits = Waits { at_once: Duration::ZERO, unfollowed: NEVER, held: NEVER };

    fn id(n: u8) -> QuestionId {
        QuestionId::from_random_bytes([n; 16])
    }

    fn key(n: u8) -> Asker {
        Asker::Known(Shown::Key(KeyId::from_random_bytes([n; 16])))
    }

    fn link() -> Asker {
        Asker::Link(ShareId::from_random_bytes([1; 16]))
    }

    fn questions(waits: Waits) -> Arc<LongQuestions> {
        Arc::new(LongQuestions::new(waits))
    }

    /// Whether it was taken.
    fn ask(
        questions: &Arc<LongQuestions>,
        id: QuestionId,
        asker: Asker,
        work: impl Future<Output = Answer> + 'static,
    ) -> bool {
        questions.go_on(id, asker, None, Arc::default(), work).is_ok()
    }

    /// A question that is never answered, and tells when it is dropped.
    fn endless() -> (impl Future<Output = Answer>, oneshot::Receiver<()>) {
        let (sender, dropped) = oneshot::channel::<()>();
        let work = async move {
            let _sender = sender;
            pending().await
        };
        (work, dropped)
    }

    fn bytes(length: usize) -> Answer {
        Ok(vec![b'x'; length].into())
    }

    async fn answered(questions: &Arc<LongQuestions>, id: QuestionId, asker: Asker) {
        questions.follow(id, asker).unwrap().ended().await;
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        let text = id(0xa5).to_string();
        assert_eq!(QuestionId::parse(&text), Some(id(0xa5)));
        assert_eq!(text.len(), 32);
        for wrong in ["", "A5", &text[1..], &text.to_uppercase(), &format!("+{}", &text[1..]), &format!("{text}0")] {
            assert_eq!(QuestionId::parse(wrong), None, "{wrong}");
        }
    }

    /// Sabotage: do not compare who asks, or keep an answer that was fetched.
    #[actix_web::test]
    async fn an_answer_is_for_whoever_asked_and_once() {
        let questions = questions(PATIENT);
        assert!(ask(&questions, id(1), key(1), ready(bytes(3))));
        answered(&questions, id(1), key(1)).await;
        assert!(questions.fetch(id(1), key(2)).is_none() && questions.fetch(id(1), link()).is_none());
        assert!(questions.follow(id(1), key(2)).is_err() && !questions.stop(id(1), key(2)));
        assert_eq!(questions.fetch(id(1), key(1)), Some(Ok(bytes(3))));
        assert_eq!(questions.fetch(id(1), key(1)), None);
        assert_eq!(questions.website(id(1)), None);
    }

    /// Sabotage: go on without anybody who follows, or end with the first that leaves.
    #[actix_web::test]
    async fn a_question_ends_when_it_is_stopped_or_the_last_follower_leaves() {
        let questions = questions(PATIENT);
        let (work, dropped) = endless();
        assert!(ask(&questions, id(1), key(1), work));
        let (one, other) = (questions.follow(id(1), key(1)).unwrap(), questions.follow(id(1), key(1)).unwrap());
        drop(one);
        assert!(matches!(questions.fetch(id(1), key(1)), Some(Err(Standing { is_answered: false, .. }))));
        drop(other);
        assert!(dropped.await.is_err(), "the work is dropped");
        assert_eq!(questions.fetch(id(1), key(1)), None);

        let (work, dropped) = endless();
        assert!(ask(&questions, id(2), key(1), work));
        let mut following = questions.follow(id(2), key(1)).unwrap();
        assert!(questions.stop(id(2), key(1)) && !questions.stop(id(2), key(1)));
        assert!(dropped.await.is_err());
        following.ended().await;
        assert_eq!(following.standing(), None);
        // Of one that is answered nothing is lost when who followed it closes the stream.
        assert!(ask(&questions, id(3), key(1), ready(bytes(1))));
        answered(&questions, id(3), key(1)).await;
        assert_eq!(questions.fetch(id(3), key(1)), Some(Ok(bytes(1))));
        assert!(questions.all.lock().entries.is_empty());
    }

    /// Sabotage: wait for ever for whoever left before they followed, or for whoever does not fetch.
    #[actix_web::test]
    async fn nothing_is_held_for_those_who_do_not_come_back() {
        let hasty = questions(Waits { unfollowed: Duration::ZERO, ..PATIENT });
        let (work, dropped) = endless();
        assert!(ask(&hasty, id(1), key(1), work));
        assert!(dropped.await.is_err());
        assert_eq!(hasty.fetch(id(1), key(1)), None);

        let forgetful = questions(Waits { held: Duration::ZERO, ..PATIENT });
        assert!(ask(&forgetful, id(1), key(1), ready(bytes(1))));
        let mut following = forgetful.follow(id(1), key(1)).unwrap();
        following.ended().await;
        while following.standing().is_some() {
            tokio::task::yield_now().await;
        }
        assert_eq!(forgetful.fetch(id(1), key(1)), None);
    }

    /// Sabotage: no bound, or one for all alone.
    #[actix_web::test]
    async fn questions_and_answers_are_bounded_for_each_and_for_all() {
        let questions = questions(PATIENT);
        let mut next = 0_u128;
        let mut fill = |asker: Asker| {
            let mut taken = 0;
            loop {
                next += 1;
                if !ask(&questions, QuestionId(next), asker, pending()) {
                    return taken;
                }
                taken += 1;
            }
        };
        assert_eq!((fill(key(1)), fill(key(2)), fill(link())), (OF_ONE_MAX, OF_ONE_MAX, OF_A_LINK_MAX));
        let rest: usize = (3..=255).map(|n| fill(key(n))).sum();
        assert_eq!(rest, OF_ALL_MAX - 2 * OF_ONE_MAX - OF_A_LINK_MAX);
        for number in 1..next {
            for asker in (1..=255).map(key).chain([link()]) {
                if questions.stop(QuestionId(number), asker) {
                    break;
                }
            }
        }
        assert!(questions.all.lock().entries.is_empty());

        // The oldest answers to the same make room, never those to others.
        let half = HELD_OF_ONE_MAX_BYTES / 2;
        for n in 1..=3 {
            assert!(ask(&questions, id(n), key(1), ready(bytes(half))));
            answered(&questions, id(n), key(1)).await;
        }
        let held = |n| matches!(questions.fetch(id(n), key(1)), Some(Ok(Ok(_))));
        assert_eq!((held(1), held(2), held(3)), (false, true, true));
        assert!(ask(&questions, id(4), key(1), ready(bytes(HELD_OF_ONE_MAX_BYTES + 1))));
        answered(&questions, id(4), key(1)).await;
        assert!(matches!(questions.fetch(id(4), key(1)), Some(Ok(Err(_)))), "more than anybody may have");
        let askers = HELD_MAX_BYTES / HELD_OF_ONE_MAX_BYTES;
        for n in 1..=u8::try_from(askers).unwrap() + 1 {
            assert!(ask(&questions, id(n), key(n), ready(bytes(HELD_OF_ONE_MAX_BYTES))));
            answered(&questions, id(n), key(n)).await;
        }
        let last = u8::try_from(askers).unwrap() + 1;
        assert!(matches!(questions.fetch(id(last), key(last)), Some(Ok(Err(_)))), "all is taken");
        assert!(matches!(questions.fetch(id(1), key(1)), Some(Ok(Ok(_)))), "others keep what they have");

        assert!(ask(&questions, id(100), key(100), pending()));
        let streams: Vec<Following> = (0..STREAMS_MAX).map(|_| questions.follow(id(100), key(100)).unwrap()).collect();
        assert!(questions.follow(id(100), key(100)).is_err());
        drop(streams);
    }
}
