//! Lists of visitors.

use std::cmp::Reverse;

use zenovay_domain::{Dimension, SESSION_MAX_MS, TimeRange, Timestamp, VisitorId};

use super::distinct::NONE;
use super::select::{Scan, Test, column};
use super::sessions::{Session, duration_ms, score};
use crate::{NO_ROW, QueryError, VisitorPage, VisitorRecord};

/// Where a record stands in the list.
type Place = (Reverse<i64>, u64);

impl Scan<'_> {
    pub(super) fn visitors(
        &self,
        test: &Test,
        (limit, offset): (usize, usize),
        after: Option<(Timestamp, VisitorId)>,
    ) -> Result<VisitorPage, QueryError> {
        let chosen = self.sessions_of(&self.select(test)?)?;
        // For each visitor the newest session, as its place in the order of `for_each_starting_in`, which is fixed.
        let mut newest: Vec<u32> = self.work.filled(NONE, self.dataset.visitor_ids.len())?;
        let mut candidates: Vec<(i64, u32, u32)> = Vec::new();
        // A session that touches the range begins before its end.
        let starts = TimeRange::new(self.range.from.plus_millis(-SESSION_MAX_MS), self.range.to);
        let mut number = 0;
        self.sessions()?.for_each_starting_in(starts, self.work, |session| {
            let part = session.part;
            if chosen.contains(part.session) {
                let newest = &mut newest[part.visitor as usize];
                let this = (part.first_at, part.session, number);
                match candidates.get_mut(*newest as usize) {
                    None => {
                        *newest = candidates.len() as u32;
                        candidates.push(this);
                    }
                    Some(other) => {
                        let id = |session: u32| self.dataset.session_ids[session as usize];
                        if (this.0, Reverse(id(this.1))) > (other.0, Reverse(id(other.1))) {
                            *other = this;
                        }
                    }
                }
            }
            number += 1;
        })?;
        self.work.take::<(i64, u32, u32)>(candidates.len())?;
        self.work.take::<(Place, u32)>(candidates.len())?;
        let mut places: Vec<(Place, u32)> = Vec::with_capacity(candidates.len());
        for (visitor, &newest) in newest.iter().enumerate() {
            if let Some(&(first_at, _, number)) = candidates.get(newest as usize) {
                places.push(((Reverse(first_at), self.dataset.visitor_ids[visitor]), number));
            }
        }
        if let Some((visited_at, visitor)) = after {
            places.retain(|&(place, _)| place > (Reverse(visited_at.as_millis()), visitor.0));
        }
        let end = offset.saturating_add(limit);
        let has_more = places.len() > end;
        if has_more {
            places.select_nth_unstable(end);
            places.truncate(end);
        }
        places.sort_unstable();
        places.drain(..offset.min(places.len()));

        let mut wanted: Vec<(u32, usize)> =
            places.iter().enumerate().map(|(position, &(_, number))| (number, position)).collect();
        wanted.sort_unstable();
        let mut records: Vec<Result<VisitorRecord, QueryError>> = Vec::with_capacity(wanted.len());
        let mut wanted_numbers = wanted.iter().map(|&(number, _)| number).peekable();
        let mut number = 0;
        self.sessions()?.for_each_starting_in(starts, self.work, |session| {
            if wanted_numbers.next_if_eq(&number).is_some() {
                records.push(self.record(session));
            }
            number += 1;
        })?;
        let mut ordered: Vec<(usize, VisitorRecord)> = Vec::with_capacity(records.len());
        for (record, &(_, position)) in records.into_iter().zip(&wanted) {
            ordered.push((position, record?));
        }
        ordered.sort_unstable_by_key(|&(position, _)| position);
        Ok(VisitorPage { visitors: ordered.into_iter().map(|(_, record)| record).collect(), has_more })
    }

    fn record(&self, session: Session<'_>) -> Result<VisitorRecord, QueryError> {
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
            duration_ms: duration_ms(part) as u64,
            had_interaction: part.other_events > 0,
            value_score: score(part),
        })
    }
}
