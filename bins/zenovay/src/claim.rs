//! The claim of a server on metadata that other machines can reach. Limits by the minute, sessions and events are of one process: of two
//! servers on one database each would allow what limits allow, and have the events that came to it.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use zenovay_store::StoreError;

use crate::backends::{self, HoldClaim};
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
#[derive(Debug, Default)]
pub struct Claim {
    other: Arc<Mutex<Option<String>>>,
    /// The thread that keeps it ends with this. One that waits for a database that does not answer is not waited for.
    _keeper: Option<Sender<()>>,
}

impl Claim {
    /// Makes the claim on the metadata of `config`.
    ///
    /// # Errors
    /// [`ServeError::Claimed`] when another server has it.
    pub fn make(config: &Config) -> Result<Self, ServeError> {
        let Some(mut hold) = backends::claim(config)? else { return Ok(Self::default()) };
        let began = Instant::now();
        while let Some(other) = hold()? {
            if began.elapsed() >= PATIENCE {
                return Err(ServeError::Claimed(other));
            }
            std::thread::sleep(RETRY);
        }
        let other = Arc::new(Mutex::new(None));
        let (stop, stopped) = channel();
        let found = Arc::clone(&other);
        let keep = move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                look(&mut hold, &found);
            }
        };
        std::thread::Builder::new().name("claim".to_owned()).spawn(keep)?;
        Ok(Self { other, _keeper: Some(stop) })
    }

    /// Whether another server took the metadata while they could not be reached.
    pub fn is_taken(&self) -> bool {
        self.other.lock().is_some()
    }
}

/// Makes the claim anew when it was lost. That the database cannot be reached is told by who needs it.
fn look(hold: &mut HoldClaim, found: &Mutex<Option<String>>) {
    let held: Result<Option<String>, StoreError> = hold();
    match held {
        Ok(other) => {
            let was_taken = std::mem::replace(&mut *found.lock(), other.clone()).is_some();
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

    /// Sabotage: forget that another server has it when the database is away.
    #[test]
    fn another_server_is_known_until_it_is_gone() {
        let said = [Ok(None), Ok(Some("b")), Err("away"), Ok(Some("b")), Ok(None)];
        let mut said = said.into_iter();
        let mut hold: HoldClaim = Box::new(move || match said.next().expect("as often as it is asked") {
            Ok(other) => Ok(other.map(str::to_owned)),
            Err(cause) => Err(StoreError::Unavailable(cause.into())),
        });
        let found = Mutex::new(None);
        let taken = [false, true, true, true, false].map(|_| {
            look(&mut hold, &found);
            found.lock().is_some()
        });
        assert_eq!(taken, [false, true, true, true, false]);
        assert!(!Claim::default().is_taken());
    }
}
