//! From when to when websites have events, remembered for a time: it is asked for often, and this process adds most of the events. Others
//! add some, too.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use zenovay_domain::{TimeRange, Timestamp, WebsiteId};

/// How long it is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);
/// The same that there are none: somebody may wait for the first one.
const NONE_REMEMBERED: Duration = Duration::from_secs(2);

/// What is remembered.
#[derive(Default)]
pub(crate) struct Spans(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Of each website that somebody asked for, from its first to its last event, `None` when it has none; and when it was asked.
    of: HashMap<WebsiteId, (Option<TimeRange>, Instant)>,
    /// How often something was changed.
    changes: u64,
}

impl Spans {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered of `website` at `now`, or else what `ask` says, which is remembered when nothing changed meanwhile.
    pub(crate) fn get<E>(
        &self,
        website: WebsiteId,
        now: Instant,
        ask: impl FnOnce() -> Result<Option<TimeRange>, E>,
    ) -> Result<Option<TimeRange>, E> {
        let changes = {
            let known = self.known();
            if let Some((span, asked)) = known.of.get(&website)
                && now.saturating_duration_since(*asked) < if span.is_some() { REMEMBERED } else { NONE_REMEMBERED }
            {
                return Ok(*span);
            }
            known.changes
        };
        let span = ask()?;
        let mut known = self.known();
        if known.changes == changes {
            known.of.insert(website, (span, now));
        }
        Ok(span)
    }

    /// Takes in events that are stored now.
    pub(crate) fn add(&self, events: impl Iterator<Item = (WebsiteId, Timestamp)>) {
        let mut known = self.known();
        known.changes += 1;
        for (website, at) in events {
            if let Some((span, _)) = known.of.get_mut(&website) {
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

    /// Sabotage: remember what was asked before something was added, or for ever.
    #[test]
    fn what_is_remembered_is_what_is_stored() {
        let at = Timestamp::from_millis;
        let range = |from, to| Some(TimeRange::new(at(from), at(to)));
        let (spans, site) = (Spans::default(), WebsiteId::from_random_bytes([7; 16]));
        let begun = Instant::now();
        let asked = |answer| spans.get(site, begun, || Ok::<_, ()>(answer)).unwrap();
        // Added while it was asked.
        let during = spans.get(site, begun, || {
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
        assert_eq!(spans.get(site, begun, || Err(())), Err(()));
        // Others add events.
        let later =
            |seconds, answer| spans.get(site, begun + Duration::from_secs(seconds), || Ok::<_, ()>(answer)).unwrap();
        assert_eq!((asked(None), later(1, range(1, 2)), later(2, range(1, 2))), (None, None, range(1, 2)));
        assert_eq!((later(61, range(1, 3)), later(62, range(1, 3))), (range(1, 2), range(1, 3)));
    }
}
