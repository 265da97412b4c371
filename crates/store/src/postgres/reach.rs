//! Whether a server gives connections. Whoever asks one that does not would wait for nothing, and hold a thread meanwhile; so while
//! the last callers got no connection, the next ones are told so at once, and one now and then tries.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::r2d2::{Error, HandleError};
use parking_lot::Mutex;

use super::errors::told;

/// How often a caller tries and waits while the others are refused.
const TRIED_EVERY: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub(super) struct Reach(Mutex<State>);

/// Why a caller waits for no connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) cause: String,
    /// It sees to it that one is opened, when none is being opened.
    pub(super) tries: bool,
}

#[derive(Debug, Default)]
struct State {
    /// How often no connection could be opened.
    failures: u64,
    /// Why the last one could not.
    last: String,
    /// Why callers are refused, and when the next one tries.
    away: Option<(String, Instant)>,
}

impl Reach {
    /// Why a caller at `now` is refused when no connection is free; `None` when it is to wait for one.
    pub(super) fn refusal(&self, now: Instant) -> Option<Refusal> {
        let mut state = self.0.lock();
        let (cause, next) = state.away.as_mut()?;
        let tries = now >= *next;
        if tries {
            *next = now + TRIED_EVERY;
        }
        Some(Refusal { cause: cause.clone(), tries })
    }

    /// How often no connection could be opened.
    pub(super) fn failures(&self) -> u64 {
        self.0.lock().failures
    }

    /// A caller got a connection.
    pub(super) fn is_there(&self) {
        self.0.lock().away = None;
    }

    /// A caller that began when `failures` connections could not be opened got none until `now`; why.
    pub(super) fn is_away(&self, failures: u64, now: Instant) -> String {
        let mut state = self.0.lock();
        let cause = if state.failures == failures {
            "no connection to the server was free in time".to_owned()
        } else {
            state.last.clone()
        };
        state.away = Some((cause.clone(), now + TRIED_EVERY));
        cause
    }
}

impl Reach {
    /// A connection was ended because the server did not answer on it; `cause` says so.
    pub(super) fn hangs(&self, cause: String, now: Instant) -> String {
        self.0.lock().away = Some((cause.clone(), now + TRIED_EVERY));
        cause
    }
}

/// Is told what r2d2 cannot do.
#[derive(Debug)]
pub(super) struct Told(pub(super) Arc<Reach>);

impl HandleError<Error> for Told {
    fn handle_error(&self, error: Error) {
        // That a connection was lost says nothing of the next one.
        if let Error::ConnectionError(error) = error {
            let mut state = self.0.0.lock();
            state.failures += 1;
            state.last = told(&error.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use diesel::ConnectionError;

    use super::*;

    /// Sabotage: let every caller wait, or none try again.
    #[test]
    fn while_a_server_is_away_one_caller_now_and_then_tries() {
        let (reach, start) = (Arc::new(Reach::default()), Instant::now());
        assert_eq!(reach.refusal(start), None);
        Told(Arc::clone(&reach))
            .handle_error(Error::ConnectionError(ConnectionError::BadConnection("gone".to_owned())));
        assert_eq!(reach.refusal(start), None, "nobody has waited in vain");
        assert_eq!(reach.is_away(0, start), "gone");
        let refused = |tries| Some(Refusal { cause: "gone".to_owned(), tries });
        assert_eq!(reach.refusal(start), refused(false));
        let later = start + TRIED_EVERY;
        assert_eq!((reach.refusal(later), reach.refusal(later)), (refused(true), refused(false)));
        reach.is_there();
        assert_eq!(reach.refusal(later), None);
        assert_eq!(reach.hangs("hangs".to_owned(), later), "hangs");
        assert_eq!(reach.refusal(later).map(|refused| refused.cause).as_deref(), Some("hangs"));
        reach.is_there();
        assert!(reach.is_away(reach.failures(), later).contains("free"));
    }
}
