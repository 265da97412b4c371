//! What is remembered of sessions, so that none gets a second visitor or lasts too long.

use std::collections::HashMap;
use std::mem;

use zenovay_domain::{SessionId, SessionSpan, WebsiteId};
use zenovay_events::{EventFault, NewEvent};

/// So many of the sessions that had an event last are remembered at least; twice as many are at most.
pub(crate) const SESSIONS_KNOWN: usize = 57_344;
/// So many of the last rows are read at most to find the sessions of before the start.
pub(crate) const ROWS_READ: u64 = 1 << 20;

type Key = (WebsiteId, SessionId);

/// The sessions that had an event last.
#[derive(Default)]
pub(crate) struct Sessions {
    /// Those with an event since the older ones were put aside.
    young: HashMap<Key, SessionSpan>,
    old: HashMap<Key, SessionSpan>,
}

impl Sessions {
    /// Adds one that is stored already.
    pub(crate) fn know(&mut self, website: WebsiteId, session: SessionId, span: SessionSpan) {
        self.old.insert((website, session), span);
    }

    /// Takes in the events of one append, unless some of them cannot belong to their sessions: then none, and those are told.
    pub(crate) fn add(&mut self, events: &[NewEvent]) -> Vec<EventFault> {
        if self.young.len() >= SESSIONS_KNOWN {
            self.old = mem::take(&mut self.young);
        }
        let mut changed: HashMap<Key, SessionSpan> = HashMap::new();
        let mut faults = Vec::new();
        for (number, new) in events.iter().enumerate() {
            let key = (new.website, new.event.session);
            let known = changed.get(&key).or_else(|| self.young.get(&key)).or_else(|| self.old.get(&key));
            let mut span = known.copied().unwrap_or_else(|| SessionSpan::of(&new.event));
            match span.add(&new.event) {
                Ok(()) => {
                    changed.insert(key, span);
                }
                Err(fault) => faults.push(EventFault::new(number, fault)),
            }
        }
        if faults.is_empty() {
            self.young.extend(changed);
        }
        faults
    }
}
