//! A store that does not answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use zenovay_domain::{Event, Timestamp, VisitorId, WebsiteId};
use zenovay_events::{
    Append, AppendReceipt, AppendRefused, ChangeError, EventStore, Kept, NewEvent, RecentSession, Retained, StoreStats,
};
use zenovay_query::{Answer, Budget, Query, QueryError, Question};

use super::running::PATIENCE;

/// A store whose queries, but for live counts, last until their budget ends them, or until it is let go on.
pub struct Endless {
    inner: Arc<dyn EventStore>,
    began: Mutex<Sender<WebsiteId>>,
    ended: Mutex<Sender<QueryError>>,
    goes_on: AtomicBool,
}

impl Endless {
    pub fn new(inner: &Arc<dyn EventStore>) -> (Arc<Self>, Receiver<WebsiteId>, Receiver<QueryError>) {
        let ((began, has_begun), (ended, has_ended)) = (channel(), channel());
        let store = Self {
            inner: Arc::clone(inner),
            began: Mutex::new(began),
            ended: Mutex::new(ended),
            goes_on: AtomicBool::new(false),
        };
        (Arc::new(store), has_begun, has_ended)
    }

    /// From now on queries are answered.
    pub fn go_on(&self) {
        self.goes_on.store(true, Ordering::Relaxed);
    }
}

impl EventStore for Endless {
    fn query(&self, website: WebsiteId, query: &Query, budget: &Budget) -> Result<Answer, QueryError> {
        if query.question == Question::Live {
            return self.inner.query(website, query, budget);
        }
        let started = Instant::now();
        self.began.lock().send(website).unwrap();
        // Two parts, of which the first is done.
        budget.expect_parts(2);
        budget.part_done();
        loop {
            if self.goes_on.load(Ordering::Relaxed) {
                return self.inner.query(website, query, budget);
            }
            // What kernels do once per 65,536 rows.
            if let Err(error) = budget.check() {
                self.ended.lock().send(error.clone()).unwrap();
                return Err(error);
            }
            assert!(started.elapsed() < PATIENCE, "nothing ends the query");
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    fn append(&self, events: Vec<NewEvent>) -> Append<'_> {
        self.inner.append(events)
    }

    fn try_append(&self, events: Vec<NewEvent>) -> Result<AppendReceipt, AppendRefused> {
        self.inner.try_append(events)
    }

    fn try_capture(
        &self,
        captures: Vec<zenovay_events::NewCapture>,
    ) -> Result<AppendReceipt, zenovay_events::AppendError> {
        self.inner.try_capture(captures)
    }

    fn recent_sessions(&self, since: Timestamp) -> Vec<RecentSession> {
        self.inner.recent_sessions(since)
    }

    fn damages(&self) -> Vec<String> {
        self.inner.damages()
    }

    fn visitor_events(&self, site: WebsiteId, visitor: VisitorId, budget: &Budget) -> Result<Vec<Event>, QueryError> {
        self.inner.visitor_events(site, visitor, budget)
    }

    fn erase_visitor(&self, website: WebsiteId, visitor: VisitorId) -> Result<(), ChangeError> {
        self.inner.erase_visitor(website, visitor)
    }

    fn delete_website(&self, website: WebsiteId) -> Result<(), ChangeError> {
        self.inner.delete_website(website)
    }

    fn retain(&self, kept: &[Kept], now: Option<Timestamp>, tell: &mut dyn FnMut(Retained)) -> Result<(), ChangeError> {
        self.inner.retain(kept, now, tell)
    }

    fn remove_hidden(&self, now: Timestamp, tell: &mut dyn FnMut(Retained)) -> Result<(), ChangeError> {
        self.inner.remove_hidden(now, tell)
    }

    fn newest(&self) -> Option<Timestamp> {
        self.inner.newest()
    }

    fn span(&self, website: WebsiteId) -> Option<zenovay_domain::TimeRange> {
        self.inner.span(website)
    }

    fn stats(&self) -> StoreStats {
        self.inner.stats()
    }

    fn seal(&self) -> Result<bool, ChangeError> {
        self.inner.seal()
    }

    fn shutdown(&self) {
        self.inner.shutdown();
    }
}
