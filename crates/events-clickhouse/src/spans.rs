//! From when to when websites have events, remembered: it is asked for often, and one process at a time adds events.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use zenovay_domain::{TimeRange, Timestamp, WebsiteId};

/// What is remembered.
#[derive(Default)]
pub(crate) struct Spans(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Of each website that somebody asked for, from its first to its last event; `None` when it has none.
    of: HashMap<WebsiteId, Option<TimeRange>>,
    /// How often something was changed.
    changes: u64,
}

impl Spans {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered of `website`, or else what `ask` says, which is remembered when nothing changed meanwhile.
    pub(crate) fn get<E>(
        &self,
        website: WebsiteId,
        ask: impl FnOnce() -> Result<Option<TimeRange>, E>,
    ) -> Result<Option<TimeRange>, E> {
        let changes = {
            let known = self.known();
            if let Some(span) = known.of.get(&website) {
                return Ok(*span);
            }
            known.changes
        };
        let span = ask()?;
        let mut known = self.known();
        if known.changes == changes {
            known.of.insert(website, span);
        }
        Ok(span)
    }

    /// Takes in events that are stored now.
    pub(crate) fn add(&self, events: impl Iterator<Item = (WebsiteId, Timestamp)>) {
        let mut known = self.known();
        known.changes += 1;
        for (website, at) in events {
            if let Some(span) = known.of.get_mut(&website) {
                let (from, to) =
                    span.map_or((at, at.plus_millis(1)), |span| (span.from.min(at), span.to.max(at.plus_millis(1))));
                *span = Some(TimeRange::new(from, to));
            }
        }
    }

    /// Forgets what is known of `website`: some of its events are removed.
    pub(crate) fn forget(&self, website: WebsiteId) {
        let mut known = self.known();
        known.changes += 1;
        known.of.remove(&website);
    }
}

/// The part of `span` that is not before `since`.
pub(crate) fn visible(span: TimeRange, since: Option<Timestamp>) -> Option<TimeRange> {
    let from = since.map_or(span.from, |since| span.from.max(since));
    (from < span.to).then(|| TimeRange::new(from, span.to))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: remember what was asked before something was added.
    #[test]
    fn what_is_remembered_is_what_is_stored() {
        let at = Timestamp::from_millis;
        let range = |from, to| Some(TimeRange::new(at(from), at(to)));
        let (spans, site) = (Spans::default(), WebsiteId::from_random_bytes([7; 16]));
        let asked = |answer| spans.get(site, || Ok::<_, ()>(answer)).unwrap();
        // Added while it was asked.
        let during = spans.get(site, || {
            spans.add([(site, at(50))].into_iter());
            Ok::<_, ()>(None)
        });
        assert_eq!((during, asked(range(50, 51)), asked(None)), (Ok(None), range(50, 51), range(50, 51)));
        spans.add([(site, at(10)), (site, at(70))].into_iter());
        assert_eq!(asked(None), range(10, 71));
        spans.forget(site);
        assert_eq!(asked(None), None);
        spans.add([(site, at(5))].into_iter());
        assert_eq!(asked(None), range(5, 6));
        assert_eq!(visible(TimeRange::new(at(5), at(9)), Some(at(7))), range(7, 9));
        assert_eq!(visible(TimeRange::new(at(5), at(9)), Some(at(9))), None);
        spans.forget(site);
        assert_eq!(spans.get(site, || Err(())), Err(()));
    }
}
