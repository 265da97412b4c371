//! Outages of what the server asks: one line in the log when one begins and one when it ends, however many requests it costs.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use parking_lot::Mutex;

use crate::http::state::AppState;

/// How often is looked whether an outage is over.
const INTERVAL: Duration = Duration::from_secs(1);

/// What may be away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependency {
    /// Where users, teams, websites and keys are.
    Metadata,
    /// Where events are asked for.
    Events,
}

impl Dependency {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Metadata, Self::Events];

    /// The name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Events => "events",
        }
    }

    /// Requests that were refused because it was away.
    pub fn refusals(self) -> metrics::Counter {
        metrics::counter!("zenovay_outage_refusals_total", "dependency" => self.as_str())
    }

    const fn outages(self) -> &'static Outages {
        static METADATA: Outages = Outages::new();
        static EVENTS: Outages = Outages::new();
        match self {
            Self::Metadata => &METADATA,
            Self::Events => &EVENTS,
        }
    }

    /// A request is refused because this is away; `cause` says why.
    pub fn refused(self, cause: impl FnOnce() -> String) {
        self.refusals().increment(1);
        if self.outages().refused() {
            let cause = cause();
            match self {
                Self::Metadata => tracing::error!(
                    cause,
                    "the metadata store cannot be used: requests that need it are answered with 503 until it can"
                ),
                Self::Events => tracing::error!(
                    cause,
                    "the event store cannot be asked: questions are answered with 503 until it can"
                ),
            }
        }
    }

    /// It was found to be well.
    fn is_well(self) {
        if let Some(refused) = self.outages().ended() {
            match self {
                Self::Metadata => tracing::info!(refused, "the metadata store can be used again"),
                Self::Events => tracing::info!(refused, "the event store can be asked again"),
            }
        }
    }
}

/// The outage that goes on, if one does.
struct Outages(Mutex<Option<u64>>);

impl Outages {
    const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Counts a refusal. `true` when an outage begins with it.
    fn refused(&self) -> bool {
        let mut refused = self.0.lock();
        let begins = refused.is_none();
        *refused = Some(refused.unwrap_or(0).saturating_add(1));
        begins
    }

    fn goes_on(&self) -> bool {
        self.0.lock().is_some()
    }

    /// Ends the outage: how many requests were refused in it.
    fn ended(&self) -> Option<u64> {
        self.0.lock().take()
    }
}

/// Looks for the end of outages, for ever.
pub async fn watch(state: Arc<AppState>) {
    let state = web::Data::from(state);
    loop {
        tokio::time::sleep(INTERVAL).await;
        let going_on = Dependency::ALL.into_iter().filter(|one| one.outages().goes_on());
        for dependency in going_on {
            let state = state.clone();
            // A panic is told where it happens.
            let asked = web::block(move || is_there(dependency, &state)).await;
            if asked.unwrap_or(false) {
                dependency.is_well();
            }
        }
    }
}

/// Whether it answers now. Blocks.
fn is_there(dependency: Dependency, state: &AppState) -> bool {
    match dependency {
        Dependency::Metadata => state.store.data_version().is_ok() && state.store.user_by_email("").is_ok(),
        Dependency::Events => state.events.stats().delivery.is_none_or(|delivery| delivery.is_reachable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: tell each refusal, or forget how many there were.
    #[test]
    fn an_outage_is_told_when_it_begins_and_when_it_ends() {
        let outages = Outages::new();
        assert_eq!((outages.goes_on(), outages.ended()), (false, None));
        assert_eq!([outages.refused(), outages.refused(), outages.refused()], [true, false, false]);
        assert!(outages.goes_on());
        assert_eq!((outages.ended(), outages.ended()), (Some(3), None));
        assert!(outages.refused(), "the next one");
    }
}
