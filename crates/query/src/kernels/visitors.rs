//! Lists of visitors.

use std::cmp::Reverse;

use zenovay_domain::{Dimension, SESSION_MAX_MS, TimeRange, Timestamp, VisitorId};

use super::select::{Scan, Test, column};
use super::sessions::Session;
use super::work::Bits;
use crate::{NO_ROW, QueryError, VisitorPage, VisitorRecord};

/// How many sessions are put in order at a time, at first and later on: the first page of a list needs few.
const SLICE_SESSIONS: [usize; 2] = [8, 1_024];

/// Where a record stands in the list.
type PageCursor = (Reverse<i64>, u64);

/// The page that is being filled, from sessions that come newest first.
struct Page {
    visitors: Vec<VisitorRecord>,
    /// Visitors whose newest session was met, shown or not.
    seen: Bits,
    after: Option<PageCursor>,
    /// Records still to be skipped.
    skip: usize,
    limit: usize,
    has_more: bool,
}

impl Scan<'_> {
    /// Sessions are gone through from the newest to the oldest, as far as the page needs.
    pub(super) fn visitors(
        &self,
        test: &Test,
        (limit, offset): (usize, usize),
        after: Option<(Timestamp, VisitorId)>,
    ) -> Result<VisitorPage, QueryError> {
        if matches!(test, Test::Never) {
            return Ok(VisitorPage::default());
        }
        let after = after.map(|(visited_at, visitor)| (Reverse(visited_at.as_millis()), visitor.0));
        let seen = self.visitor_bits()?;
        let mut page = Page { visitors: Vec::new(), seen, after, skip: offset, limit, has_more: false };
        let range = self.range;
        // Of a session that starts in the range, the first event is in the range.
        let all = match test {
            Test::Always | Test::Session(_) => None,
            test => Some(self.sessions_of(&self.select(test)?)?),
        };
        let starting = match test {
            Test::Session(sessions) => Some(sessions),
            _ => all.as_ref(),
        };
        self.add_visitors(&mut page, range, starting)?;
        if !page.has_more {
            // Of one that began before, any event may be.
            let reached_by = TimeRange::new(range.from, range.from.plus_millis(SESSION_MAX_MS).min(range.to));
            let reaching_in = match all {
                Some(sessions) => sessions,
                None => self.sessions_of(&self.select_between(reached_by.from, reached_by.to, test)?)?,
            };
            let starts = TimeRange::new(range.from.plus_millis(-SESSION_MAX_MS), range.from);
            self.add_visitors(&mut page, starts, Some(&reaching_in))?;
        }
        Ok(VisitorPage { visitors: page.visitors, has_more: page.has_more })
    }

    /// Adds the visitors of those of `sessions` (`None`: of all) that begin in `starts`, until there is one more than the
    /// page holds. All sessions that begin later must have been added.
    fn add_visitors(&self, page: &mut Page, starts: TimeRange, sessions: Option<&Bits>) -> Result<(), QueryError> {
        let is_chosen = |session: u32| sessions.is_none_or(|sessions| sessions.contains(session));
        let whole = self.sessions()?;
        let mut starts = starts;
        if let Some((Reverse(after), _)) = page.after {
            let shown_before = TimeRange::new(starts.from.max(Timestamp::from_millis(after).plus_millis(1)), starts.to);
            whole.for_each_starting_in(shown_before, self.work, |session| {
                page.seen.insert_if(session.part.visitor, is_chosen(session.part.session));
            })?;
            starts.to = starts.to.min(shown_before.from);
        }
        let mut slice: Vec<(PageCursor, u64, Session<'_>)> = Vec::new();
        // Times to go through, the latest last. Those with too many sessions to be put in order at once are cut in two.
        let mut times = vec![starts];
        let [mut many, at_most] = SLICE_SESSIONS;
        while let Some(time) = times.pop() {
            self.work.check()?;
            let count = whole.count_starting_in(time);
            if count > many && time.duration_ms() > 1 {
                let middle = time.from.plus_millis(time.duration_ms() / 2);
                times.extend([TimeRange::new(time.from, middle), TimeRange::new(middle, time.to)]);
                continue;
            }
            many = at_most.min(2 * many);
            slice.clear();
            if count > slice.capacity() {
                self.work.reserve::<(PageCursor, u64, Session<'_>)>(count - slice.capacity())?;
                slice.reserve_exact(count);
            }
            whole.for_each_starting_in(time, self.work, |session| {
                let part = session.part;
                if is_chosen(part.session) && !page.seen.contains(part.visitor) {
                    let place = (Reverse(part.first_at), self.dataset.visitor_ids[part.visitor as usize]);
                    slice.push((place, self.dataset.session_ids[part.session as usize], session));
                }
            })?;
            // Of two sessions of a visitor that began together, the one with the lower id tells of the visitor.
            self.work.sort_by(&mut slice, |a, b| (a.0, a.1).cmp(&(b.0, b.1)))?;
            for &(place, _, session) in &slice {
                if page.seen.contains(session.part.visitor) {
                    continue;
                }
                page.seen.insert(session.part.visitor);
                if page.after.is_some_and(|after| place <= after) {
                    continue;
                }
                if page.skip > 0 {
                    page.skip -= 1;
                } else if page.visitors.len() < page.limit {
                    page.visitors.push(self.record(session)?);
                } else {
                    page.has_more = true;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    pub(super) fn record(&self, session: Session<'_>) -> Result<VisitorRecord, QueryError> {
        let part = session.part;
        let text = |chunk: u32, row: u32, dimension: Dimension| -> Result<String, QueryError> {
            if row == NO_ROW {
                return Ok(String::new());
            }
            let code = column(self.dataset.chunks[chunk as usize], dimension)?[row as usize];
            Ok(self.texts(dimension)[code as usize].to_string())
        };
        let first = |dimension| text(session.first_chunk, part.first_row, dimension);
        Ok(VisitorRecord {
            visitor: VisitorId(self.dataset.visitor_ids[part.visitor as usize]),
            visited_at: Timestamp::from_millis(part.first_at),
            landing_page: text(session.entry_chunk, part.entry_row, Dimension::Path)?,
            referrer: first(Dimension::Referrer)?,
            country: first(Dimension::Country)?,
            city: first(Dimension::City)?,
            device: first(Dimension::Device)?,
            browser: first(Dimension::Browser)?,
            os: first(Dimension::Os)?,
            pageviews: u64::from(part.pageviews),
            duration_ms: part.duration_ms() as u64,
            had_interaction: part.other_events > 0,
            value_score: part.value_score(),
        })
    }
}
