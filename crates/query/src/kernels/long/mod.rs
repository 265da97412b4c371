//! Answers from more rows than anyone wants to hold at one time.
//!
//! The kernels of a [`crate::Dataset`] want codes that are dense over the whole website, and so its rows together. Here rows are
//! read section by section, each with codes of its own, counted and let go. Sessions that reach from one section into another are
//! taken out of both and make small datasets of their own, so that every session is whole somewhere, and all that is counted of
//! events and sessions adds up. Visitors do not: whoever is in one section alone is counted there, of others pairs of a group and
//! an id are kept, and when these are too many, the sections are gone through once more for each part of the visitors. So more
//! rows make a question slower, never wrong, and never refused.

mod breakdown;
mod codes;
mod columns;
mod happenings;
mod lists;
mod pairs;
mod section;
#[cfg(test)]
mod tests;
mod threads;
mod totals;
mod visits;
mod walk;

use std::ops::Range;

pub(in crate::kernels) use self::codes::Limits;
use self::codes::Part;
use self::lists::{Listed, Place};
use self::pairs::PARTS;
pub use self::section::{Digest, RowColumns, RowNeeds, Section, SectionDigest, Sections, SessionShare, Span};
use self::totals::{Unfiltered, answer_of};
pub(in crate::kernels) use self::totals::{buckets_of, series_buckets, series_of};
pub use self::visits::{VisitColumn, VisitNeeds, VisitTimes, Visits};
use self::walk::{Long, is_everyone};
use super::work::Work;
use crate::derived::SessionMetrics;
use crate::{
    Answer, Budget, Filter, FunnelCounts, LiveCount, MetricValues, NewVisitors, Query, QueryError, Question,
    SessionPart,
};

/// The answer to `query` about the website whose rows are in `sections`. Takes the memory of the largest section, and
/// beside it what there is: with less it takes more time.
///
/// # Errors
/// When the budget is used up or cancelled, when its memory is not enough for a section or the answer, and when rows cannot be
/// read.
pub fn answer_by_sections(sections: &dyn Sections, query: &Query, budget: &Budget) -> Result<Answer, QueryError> {
    answer_holding(sections, query, budget, budget.memory_bytes() / 8 * 5)
}

/// The same with at most `may_hold` bytes that stay from section to section.
fn answer_holding(
    sections: &dyn Sections,
    query: &Query,
    budget: &Budget,
    may_hold: usize,
) -> Result<Answer, QueryError> {
    query.check_depth()?;
    let buckets = buckets_of(query, Span::range_of(sections.spans()), &Work::new(budget))?;
    let budget = &budget.after(buckets.len() * size_of::<[MetricValues; 2]>());
    let long = Long::new(sections, query, budget, may_hold)?;
    match &query.question {
        Question::Overview | Question::Series { .. } => {
            if query.filter == Filter::default() {
                let unfiltered = Unfiltered::new(&long, &buckets);
                match long.on_one_if_need_be(|threads| unfiltered.totals(&long, threads)) {
                    Err(QueryError::MemoryExceeded) => long.forget(),
                    totals => return Ok(answer_of(query, &buckets, &totals?)),
                }
            }
            let mut totals = vec![MetricValues::default(); buckets.len()];
            long.in_parts(|part| {
                let more = long.filtered_totals(part, &buckets)?;
                totals.iter_mut().zip(&more).for_each(|(totals, more)| totals.add(more));
                Ok(part.parts.end)
            })?;
            Ok(answer_of(query, &buckets, &totals))
        }
        Question::Breakdown(group_by) => Ok(Answer::Breakdown(long.breakdown(group_by)?)),
        Question::Live => {
            let mut visitors = 0;
            long.in_parts(|part| {
                visitors += long.live(part)?;
                Ok(part.parts.end)
            })?;
            Ok(Answer::Live(LiveCount { visitors }))
        }
        Question::Funnel { steps } => {
            let mut counts = FunnelCounts { visitors: vec![0; steps.len()], sessions: vec![0; steps.len()] };
            long.in_parts(|part| {
                let more = long.funnel(part, steps)?;
                counts.visitors.iter_mut().zip(more.visitors).for_each(|(count, more)| *count += more);
                counts.sessions.iter_mut().zip(more.sessions).for_each(|(count, more)| *count += more);
                Ok(part.parts.end)
            })?;
            Ok(Answer::Funnel(counts))
        }
        Question::NewVisitors { .. } => {
            let mut visitors = vec![0; buckets.len()];
            long.in_parts(|part| {
                let more = long.new_visitors(part, &buckets)?;
                visitors.iter_mut().zip(more).for_each(|(visitors, more)| *visitors += more);
                Ok(part.parts.end)
            })?;
            Ok(Answer::NewVisitors(NewVisitors::new(query.cut(), &buckets, &visitors)))
        }
        &Question::Visitors { limit, offset, after } => {
            let mut listed: Vec<Listed> = Vec::new();
            long.in_parts(|part| {
                let (more, reached) = long.list_visitors(part, limit.saturating_add(offset), after)?;
                listed.extend(more);
                Ok(reached)
            })?;
            Ok(Answer::Visitors(long.page(listed, (limit, offset))?))
        }
        &Question::Events { limit, offset } => {
            let mut places: Vec<Place> = Vec::new();
            let mut is_in_one = true;
            long.in_parts(|part| {
                is_in_one = is_everyone(&part.parts);
                let skipped = if is_in_one { offset } else { 0 };
                let wanted = if is_in_one { limit } else { limit.saturating_add(offset) };
                places.extend(long.list_events(part, wanted, skipped)?);
                Ok(part.parts.end)
            })?;
            places.sort_unstable();
            places.drain(..if is_in_one { 0 } else { offset.min(places.len()) });
            places.truncate(limit);
            Ok(Answer::Events(Box::new(long.table(&places)?)))
        }
    }
}

impl Long<'_> {
    /// Calls `answer` for the visitors of one part after the other, of all together when there is memory for it. It tells up to where
    /// it came. What it counted of a part before it ran out of memory must not count.
    fn in_parts(&self, mut answer: impl FnMut(&Part) -> Result<usize, QueryError>) -> Result<(), QueryError> {
        let (mut first, mut count) = (0, PARTS);
        while first < PARTS {
            let parts: Range<usize> = first..(first + count).min(PARTS);
            match self.part(parts).and_then(|part| answer(&part)) {
                Ok(reached) => first = reached,
                Err(QueryError::MemoryExceeded) if !self.has_too_many_groups.get() => {
                    self.forget();
                    // Who is in one section alone needs no code and no pairs.
                    if !self.counts_distinct || !self.find_shared()? {
                        if count < 2 {
                            return Err(QueryError::MemoryExceeded);
                        }
                        count /= 2;
                    }
                    continue;
                }
                Err(error) => return Err(error),
            }
            self.forget();
        }
        Ok(())
    }
}

impl MetricValues {
    /// Counts what `other` counts of other visitors.
    fn add(&mut self, other: &Self) {
        self.visitors += other.visitors;
        self.pageviews += other.pageviews;
        self.events += other.events;
        self.add_sessions(other);
    }

    /// Counts a whole session with its events, but not its visitor.
    #[inline]
    fn add_part(&mut self, part: &SessionPart) {
        self.add_events(part);
        SessionMetrics::of(part).add_to(self);
    }

    /// Counts the events of a session.
    #[inline]
    fn add_events(&mut self, part: &SessionPart) {
        self.pageviews += u64::from(part.pageviews);
        self.events += u64::from(part.pageviews) + u64::from(part.other_events);
    }
}
