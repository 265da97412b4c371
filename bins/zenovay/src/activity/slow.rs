//! The slowest questions of the event store: which route asked, of which website, and how long it took. Never what was asked:
//! paths, filters and names of visitors are those of the people who ask.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::futures::TaskLocalFuture;
use zenovay_domain::{Clock, Timestamp, WebsiteId};
use zenovay_query::QueryError;

/// A question that took longer is slow, its wait for a turn included.
const SLOW: Duration = Duration::from_millis(500);
/// The most questions that are kept; the quickest of them goes first.
const KEPT_MAX: usize = 500;
/// How long they are kept.
const KEPT_MS: i64 = 24 * 3_600_000;

tokio::task_local! {
    /// The pattern of the route whose request this task answers.
    static ROUTE: Option<&'static str>;
}

/// `answering`, which asks questions for the route `pattern`.
pub(crate) fn asked_by<F: Future>(pattern: &'static str, answering: F) -> TaskLocalFuture<Option<&'static str>, F> {
    ROUTE.scope(Some(pattern), answering)
}

/// `work`, which goes on for the route of this task wherever it is polled later.
pub(crate) fn still_asked<F: Future>(work: F) -> TaskLocalFuture<Option<&'static str>, F> {
    ROUTE.scope(route(), work)
}

/// The route that asks, if one does.
fn route() -> Option<&'static str> {
    ROUTE.try_with(|route| *route).ok().flatten()
}

/// How a slow question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowEnd {
    /// With an answer.
    Answered,
    /// Whoever asked left, or stopped it.
    Cancelled,
    /// It took longer than it may.
    TimeExceeded,
    /// It needed more memory than it may have, or than there was.
    MemoryExceeded,
    /// Without an answer for another reason, which is in the log.
    Failed,
}

impl SlowEnd {
    /// Every end.
    pub const ALL: [Self; 5] =
        [Self::Answered, Self::Cancelled, Self::TimeExceeded, Self::MemoryExceeded, Self::Failed];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Cancelled => "cancelled",
            Self::TimeExceeded => "time_exceeded",
            Self::MemoryExceeded => "memory_exceeded",
            Self::Failed => "failed",
        }
    }

    fn of<T>(answer: &Result<T, QueryError>) -> Self {
        match answer {
            Ok(_) => Self::Answered,
            Err(QueryError::Cancelled) => Self::Cancelled,
            Err(QueryError::TimeExceeded) => Self::TimeExceeded,
            Err(QueryError::MemoryExceeded | QueryError::MemoryInUse) => Self::MemoryExceeded,
            Err(_) => Self::Failed,
        }
    }
}

/// A question that took long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowQuestion {
    /// When it ended.
    pub at: Timestamp,
    /// The pattern of the route that asked; `None` where the server asked by itself, or sends a file.
    pub route: Option<&'static str>,
    /// The website that it read; `None` where it was several.
    pub website: Option<WebsiteId>,
    /// How long it waited for its turn.
    pub waited: Duration,
    /// How long it was worked on.
    pub took: Duration,
    /// How it ended.
    pub end: SlowEnd,
}

impl SlowQuestion {
    fn whole(&self) -> Duration {
        self.waited + self.took
    }
}

/// The slowest questions of a day.
pub struct SlowQuestions {
    clock: Arc<dyn Clock>,
    over: Duration,
    /// Locked by slow questions alone, and by who reads them.
    kept: Mutex<Vec<SlowQuestion>>,
}

impl std::fmt::Debug for SlowQuestions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlowQuestions").field("over", &self.over).finish_non_exhaustive()
    }
}

impl SlowQuestions {
    /// None yet, by this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, over: SLOW, kept: Mutex::default() }
    }

    /// The same, where a question is slow that takes longer than `over`.
    #[must_use]
    pub fn over(self, over: Duration) -> Self {
        Self { over, ..self }
    }

    /// A question that took longer is slow.
    pub fn threshold(&self) -> Duration {
        self.over
    }

    /// A question that begins now, asked by the route of this task.
    pub(crate) fn begin(self: &Arc<Self>, website: Option<WebsiteId>) -> Begun {
        Begun { all: Arc::clone(self), route: route(), website }
    }

    fn note(&self, question: SlowQuestion) {
        metrics::counter!("zenovay_slow_questions_total").increment(1);
        let mut kept = self.kept.lock();
        let oldest = question.at.plus_millis(-KEPT_MS);
        kept.retain(|known| known.at > oldest);
        kept.push(question);
        if kept.len() > KEPT_MAX {
            let quickest = kept.iter().enumerate().min_by_key(|(_, known)| known.whole()).map(|(place, _)| place);
            if let Some(place) = quickest {
                kept.swap_remove(place);
            }
        }
    }

    /// At most `max` of those that ended after `since`, the slowest first.
    pub fn slowest(&self, since: Timestamp, max: usize) -> Vec<SlowQuestion> {
        let mut found: Vec<SlowQuestion> = self.kept.lock().iter().filter(|known| known.at > since).cloned().collect();
        found.sort_by_key(|known| std::cmp::Reverse((known.whole(), known.at)));
        found.truncate(max);
        found
    }
}

/// A question that goes on.
pub(crate) struct Begun {
    all: Arc<SlowQuestions>,
    route: Option<&'static str>,
    website: Option<WebsiteId>,
}

impl Begun {
    /// It ended with `answer`. It is noted when it was slow; a quick one costs a comparison.
    pub(crate) fn ended<T>(self, waited: Duration, took: Duration, answer: &Result<T, QueryError>) {
        let Self { all, route, website } = self;
        if waited + took <= all.over {
            return;
        }
        let at = all.clock.reading().steady;
        all.note(SlowQuestion { at, route, website, waited, took, end: SlowEnd::of(answer) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenovay_domain::ManualClock;

    const ANSWER: Result<(), QueryError> = Ok(());

    fn begin() -> (Arc<ManualClock>, Arc<SlowQuestions>) {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_781_352_000_000)));
        (Arc::clone(&clock), Arc::new(SlowQuestions::new(clock)))
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn took(slow: &SlowQuestions, since: Timestamp, max: usize) -> Vec<u128> {
        slow.slowest(since, max).iter().map(|question| question.whole().as_millis()).collect()
    }

    /// Sabotage: leave the wait out, or keep those that took as long as they may.
    #[test]
    fn what_took_long_is_kept_with_its_wait_and_its_end() {
        let (clock, slow) = begin();
        let since = clock.now().plus_millis(-1);
        slow.begin(None).ended(ms(0), ms(500), &ANSWER);
        slow.begin(None).ended(ms(1), ms(500), &Err::<(), _>(QueryError::Cancelled));
        slow.begin(None).ended(ms(0), ms(30_000), &Err::<(), _>(QueryError::TimeExceeded));
        slow.begin(None).ended(ms(0), ms(700), &Err::<(), _>(QueryError::damaged("a file")));
        assert_eq!(took(&slow, since, 9), [30_000, 700, 501]);
        let ends: Vec<SlowEnd> = slow.slowest(since, 9).iter().map(|question| question.end).collect();
        assert_eq!(ends, [SlowEnd::TimeExceeded, SlowEnd::Failed, SlowEnd::Cancelled]);
        assert_eq!(took(&slow, since, 1), [30_000]);
        assert_eq!(took(&slow, clock.now(), 9), [] as [u128; 0]);
    }

    /// Sabotage: let the oldest go, or keep more.
    #[test]
    fn the_quickest_goes_and_nothing_is_older_than_a_day() {
        let (clock, slow) = begin();
        let since = clock.now().plus_millis(-1);
        for more in 0..1_000_u64 {
            slow.begin(None).ended(ms(0), ms(10_000 - more), &ANSWER);
        }
        let kept = took(&slow, since, usize::MAX);
        assert_eq!((kept.len(), kept[0], kept[499]), (KEPT_MAX, 10_000, 9_501));
        clock.advance_ms(KEPT_MS);
        slow.begin(None).ended(ms(0), ms(600), &ANSWER);
        assert_eq!(took(&slow, since, usize::MAX), [600]);
    }

    /// Sabotage: look up the route where the work is polled.
    #[actix_web::test]
    async fn work_that_goes_on_elsewhere_is_still_of_its_route() {
        let (_, slow) = begin();
        let since = Timestamp::from_millis(0);
        let asks = Arc::clone(&slow);
        let rest = async move {
            tokio::task::yield_now().await;
            asks.begin(None).ended(ms(0), ms(501), &ANSWER);
        };
        asked_by("/api/a", async { actix_web::rt::spawn(still_asked(rest)).await }).await.unwrap();
        slow.begin(None).ended(ms(0), ms(502), &ANSWER);
        let routes: Vec<_> = slow.slowest(since, 9).iter().map(|question| question.route).collect();
        assert_eq!(routes, [None, Some("/api/a")]);
    }
}
