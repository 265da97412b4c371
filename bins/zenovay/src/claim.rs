//! The claim of a server on metadata that other machines can reach. Where limits by the minute, sessions or events are of one process, it claims
//! them for itself: of two servers on one database each would allow what limits allow, and have the events that came to it. Servers that share
//! all of that hold the claim together, and one of them leads: it does what is to be done once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use zenovay_store::StoreError;

use crate::backends::{self, Held, HoldClaim};
use crate::causes::with_causes;
use crate::config::Config;
use crate::runtime::ServeError;

/// How often is looked whether it is held still.
const INTERVAL: Duration = Duration::from_secs(2);

/// How long a server that starts waits for one that ended just now: its database sees that a little later.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it tries meanwhile.
const RETRY: Duration = Duration::from_millis(250);

/// A claim, which ends with this. Metadata in the data directory need none: the default, which nobody takes.
#[derive(Debug)]
pub struct Claim {
    state: Arc<State>,
    /// The thread that keeps it ends with this. One that waits for a database that does not answer is not waited for.
    _keeper: Option<Sender<()>>,
}

/// What was seen last.
#[derive(Debug)]
struct State {
    /// Where the server is that took the metadata.
    other: Mutex<Option<String>>,
    leads: AtomicBool,
    /// Whether others may lead.
    is_together: bool,
}

impl State {
    fn new(is_together: bool, leads: bool) -> Self {
        Self { other: Mutex::default(), leads: AtomicBool::new(leads), is_together }
    }

    fn tell(&self) {
        metrics::gauge!("zenovay_leads").set(if self.leads.load(Ordering::Relaxed) { 1.0 } else { 0.0 });
    }
}

impl Default for Claim {
    fn default() -> Self {
        Self { state: Arc::new(State::new(false, true)), _keeper: None }
    }
}

impl Claim {
    /// Makes the claim on the metadata of `config`.
    ///
    /// # Errors
    /// [`ServeError::Claimed`] when another server has it.
    pub fn make(config: &Config) -> Result<Self, ServeError> {
        let Some(mut hold) = backends::claim(config)? else { return Ok(Self::default()) };
        let began = Instant::now();
        let leads = loop {
            match hold()? {
                Held::Here { leads } => break leads,
                Held::By(other) if began.elapsed() >= PATIENCE => {
                    return Err(ServeError::Claimed { other, missing: config.missing_for_several() });
                }
                Held::By(_) => std::thread::sleep(RETRY),
            }
        };
        let state = Arc::new(State::new(config.is_of_several(), leads));
        let (stop, stopped) = channel();
        let seen = Arc::clone(&state);
        let keep = move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                look(&mut hold, &seen);
            }
        };
        std::thread::Builder::new().name("claim".to_owned()).spawn(keep)?;
        Ok(Self { state, _keeper: Some(stop) })
    }

    /// Whether another server took the metadata while they could not be reached.
    pub fn is_taken(&self) -> bool {
        self.state.other.lock().is_some()
    }

    /// Says on the page of metrics whether this server leads. To be called once, when there is such a page.
    pub fn tell(&self) {
        self.state.tell();
    }

    /// Whether this server does what one of several does: always when it is alone. Of several, none does while the database cannot be asked.
    pub fn leads(&self) -> bool {
        self.state.leads.load(Ordering::Relaxed)
    }
}

/// Makes the claim anew when it was lost. That the database cannot be reached is told by who needs it.
fn look(hold: &mut HoldClaim, seen: &State) {
    let held: Result<Held, StoreError> = hold();
    let leads = match &held {
        Ok(Held::Here { leads }) => *leads,
        Ok(Held::By(_)) => false,
        // Of several another one may lead by now.
        Err(_) => !seen.is_together && seen.leads.load(Ordering::Relaxed),
    };
    if !seen.leads.swap(leads, Ordering::Relaxed) && leads {
        tracing::info!("this server does now what one of several does: mail, retention, and what is deleted");
    }
    seen.tell();
    match held {
        Ok(held) => {
            let other = match held {
                Held::Here { .. } => None,
                Held::By(other) => Some(other),
            };
            let was_taken = std::mem::replace(&mut *seen.other.lock(), other.clone()).is_some();
            match other {
                Some(other) if !was_taken => {
                    tracing::error!(
                        other,
                        "another server uses the PostgreSQL database: stop one of the two, for limits do not hold"
                    );
                }
                None if was_taken => tracing::info!("this server has the PostgreSQL database for itself again"),
                _ => {}
            }
        }
        Err(error) => tracing::debug!(cause = with_causes(&error), "the claim on the database cannot be looked at"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: forget that another server has it when the database is away, or lead on meanwhile where others may.
    #[test]
    fn another_server_is_known_until_it_is_gone() {
        for is_together in [false, true] {
            let held = |leads| Ok(Held::Here { leads });
            let by = || Ok(Held::By("b".to_owned()));
            let said = [held(true), by(), Err("away"), held(!is_together), held(true), Err("away")];
            let mut said = said.into_iter();
            let mut hold: HoldClaim = Box::new(move || {
                let said = said.next().expect("as often as it is asked");
                said.map_err(|cause: &str| StoreError::Unavailable(cause.into()))
            });
            let state = State::new(is_together, true);
            let seen = [(); 6].map(|()| {
                look(&mut hold, &state);
                (state.other.lock().is_some(), state.leads.load(Ordering::Relaxed))
            });
            let expected = [
                (false, true),
                (true, false),
                (true, false),
                (false, !is_together),
                (false, true),
                (false, !is_together),
            ];
            assert_eq!(seen, expected);
        }
        assert!(Claim::default().leads() && !Claim::default().is_taken());
    }
}
