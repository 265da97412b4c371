//! What the writer remembers of sessions, so that none gets a second visitor or lasts too long: every number of sessions
//! would be wrong, and nobody would see it.

use std::collections::HashMap;
use std::mem;

use foldhash::fast::RandomState;
use zenovay_domain::{SessionId, SessionSpan, Timestamp, VisitorId, WebsiteId};

use crate::head::SiteHead;
use crate::segment::{ColumnId, Segment, SegmentError, SiteRange, Values};
use crate::state::State;
use crate::{EventFault, NewEvent};

/// So many of the sessions that had an event last are remembered at least; twice as many are at most, and take 6 MiB.
pub(crate) const SESSIONS_KNOWN: usize = 57_344;
/// So many rows of segments are read at most to find the sessions of before the start.
pub(crate) const ROWS_READ: usize = 1 << 20;

type Key = (WebsiteId, u64);
type Spans = HashMap<Key, SessionSpan, RandomState>;

/// The sessions that had an event last.
#[derive(Default)]
pub(crate) struct Sessions {
    /// Those with an event since the older ones were put aside.
    young: Spans,
    old: Spans,
    /// What `young` was before the present commit, in the order of the changes.
    changes: Vec<(Key, Option<SessionSpan>)>,
    /// Whether what is stored was looked through.
    is_known: bool,
}

impl Sessions {
    /// Before each commit. The first time what is stored is looked through, the newest first: the head, and of the segments as
    /// much as is remembered.
    pub(crate) fn begin(&mut self, state: &State) {
        self.changes.clear();
        if !mem::replace(&mut self.is_known, true) {
            self.read(state);
        }
        self.put_aside();
    }

    /// The same where nothing is stored but what [`Self::learn`] was told.
    pub(crate) fn begin_without_state(&mut self) {
        self.changes.clear();
        self.put_aside();
    }

    /// Adds what is stored of a session elsewhere. One that has another visitor here is left as it is.
    pub(crate) fn learn(&mut self, website: WebsiteId, session: SessionId, span: SessionSpan) {
        let key = (website, session.0);
        let known = self.young.get_mut(&key).or_else(|| self.old.get_mut(&key));
        match known {
            Some(known) if known.visitor == span.visitor => *known = known.with(span.first_at).with(span.last_at),
            Some(_) => {}
            None => {
                self.old.insert(key, span);
            }
        }
    }

    /// How many are known.
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Forgets the sessions of `visitor` of `website`, or of the whole website.
    pub(crate) fn forget_of(&mut self, website: WebsiteId, visitor: Option<VisitorId>) {
        self.changes.clear();
        let is_other = |key: &Key, span: &mut SessionSpan| {
            key.0 != website || visitor.is_some_and(|visitor| span.visitor != visitor)
        };
        self.young.retain(is_other);
        self.old.retain(is_other);
    }

    /// Forgets those put aside before when there are as many new ones.
    fn put_aside(&mut self) {
        if self.young.len() >= SESSIONS_KNOWN {
            self.old = mem::take(&mut self.young);
        }
    }

    /// Forgets everything: something that was stored is not any more.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Takes in the events of one append, unless some of them cannot belong to their sessions: then none, and those are told.
    pub(crate) fn add(&mut self, events: &[NewEvent]) -> Vec<EventFault> {
        let before = self.changes.len();
        let faults: Vec<EventFault> = (0..)
            .zip(events)
            .filter_map(|(number, new)| {
                let fault = self.add_event(new)?;
                Some(EventFault { event: number, fault })
            })
            .collect();
        if !faults.is_empty() {
            self.undo(before);
        }
        faults
    }

    /// After a commit that did not store all of what was added: what was not is taken back.
    pub(crate) fn keep_only<'a>(&mut self, stored: impl Iterator<Item = &'a NewEvent>) {
        self.undo(0);
        for new in stored {
            // It could belong to its session beside more events than these.
            let _ = self.add_event(new);
        }
    }

    fn undo(&mut self, count: usize) {
        for (key, before) in self.changes.drain(count..).rev() {
            match before {
                Some(span) => self.young.insert(key, span),
                None => self.young.remove(&key),
            };
        }
    }

    fn add_event(&mut self, new: &NewEvent) -> Option<zenovay_domain::SessionFault> {
        let key = (new.website, new.event.session.0);
        let young = self.young.get(&key).copied();
        let mut span = match young.or_else(|| self.old.get(&key).copied()) {
            Some(span) => span,
            None => SessionSpan::of(&new.event),
        };
        if let Err(fault) = span.add(&new.event) {
            return Some(fault);
        }
        if young != Some(span) {
            self.young.insert(key, span);
            self.changes.push((key, young));
        }
        None
    }

    fn read(&mut self, state: &State) {
        for generation in state.generations() {
            for website in generation.websites() {
                if let Some(site) = generation.site(website) {
                    self.read_head(website, &site.lock(), state.hidden_before(website));
                }
            }
        }
        let mut newest: Vec<(i64, &Segment)> = state
            .segments
            .iter()
            .filter(|segment| !segment.is_damaged())
            .map(|segment| (segment.meta.sites.iter().map(|range| range.max_at).max().unwrap_or(i64::MIN), &**segment))
            .collect();
        newest.sort_by_key(|(max_at, _)| std::cmp::Reverse(*max_at));
        let mut rows = 0;
        for (_, segment) in newest {
            let mut ranges: Vec<&SiteRange> = segment.meta.sites.iter().collect();
            // Websites that share a row group are read together.
            ranges.sort_by_key(|range| (std::cmp::Reverse(range.group), range.start));
            for ranges in ranges.chunk_by(|a, b| a.group == b.group) {
                rows += ranges.iter().map(|range| range.rows as usize).sum::<usize>();
                if rows > ROWS_READ || self.young.len() + self.old.len() >= SESSIONS_KNOWN {
                    return;
                }
                // What is damaged is known to be from now on, and its sessions are not.
                let _ = self.read_group(segment, ranges, state);
            }
        }
    }

    fn read_head(&mut self, website: WebsiteId, head: &SiteHead, visible_from: i64) {
        for row in (0..head.len()).filter(|&row| head.at[row] >= visible_from) {
            let session = head.sessions.ids()[head.session[row] as usize];
            self.note((website, session), head.visitors.ids()[head.visitor[row] as usize], head.at[row]);
        }
    }

    fn read_group(&mut self, segment: &Segment, ranges: &[&SiteRange], state: &State) -> Result<(), SegmentError> {
        let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else { return Ok(()) };
        let (group, start) = (first.group, first.start as usize);
        let rows = start..(last.start + last.rows) as usize;
        let at = segment.read_at(group, rows.clone())?;
        let visitors = segment.read(group, ColumnId::Visitor, rows.clone())?;
        let sessions = segment.read(group, ColumnId::Session, rows)?;
        let (Values::Ids(visitor_ids), Values::Ids(session_ids)) = (&visitors.values, &sessions.values) else {
            return Err(segment.error("ids are not numbers"));
        };
        for range in ranges {
            let visible_from = state.hidden_before(range.website);
            let first = range.start as usize - start;
            for row in (first..first + range.rows as usize).filter(|&row| at[row] >= visible_from) {
                let session = session_ids[sessions.codes[row] as usize];
                self.note((range.website, session), visitor_ids[visitors.codes[row] as usize], at[row]);
            }
        }
        Ok(())
    }

    /// Notes a row that is stored, whatever it is.
    fn note(&mut self, key: Key, visitor: u64, at: i64) {
        let at = Timestamp::from_millis(at);
        let span = self.old.entry(key).or_insert_with(|| SessionSpan::at(VisitorId(visitor), at));
        *span = span.with(at);
    }
}

#[cfg(test)]
mod tests {
    use zenovay_domain::{Event, EventKind};

    use super::*;

    /// Sabotage: forget the older sessions in `put_aside`, or leave what was put aside there when it has an event again.
    #[test]
    fn the_sessions_with_the_last_events_are_known() {
        let mut sessions = Sessions::default();
        let mut is_taken = |session: u64, visitor: u64| {
            let at = Timestamp::from_millis(0);
            let event = Event::new(EventKind::Pageview, at, VisitorId(visitor), SessionId(session));
            sessions.put_aside();
            sessions.add(&[NewEvent::new(WebsiteId::from_bytes([1; 16]), at, event)]).is_empty()
        };
        let known = SESSIONS_KNOWN as u64;
        assert!((0..known + 10).all(|session| is_taken(session, 1)));
        assert!(!is_taken(5, 2) && !is_taken(known, 2), "both are known");
        assert!(is_taken(5, 1), "it has an event again");
        assert!((known + 10..2 * known + 20).all(|session| is_taken(session, 1)));
        assert!(!is_taken(5, 2), "its last event is one of the last");
        assert!(is_taken(6, 2), "as many others had events since");
    }
}
