//! What only the rows of a breakdown need that are shown: metrics of sessions, titles, and the time people stay.

use std::borrow::Cow;

use zenovay_domain::Dimension;

use super::distinct::{NONE, Pairs, for_each_group};
use super::pageviews::PAGEVIEW;
use super::select::{Scan, Selected, column};
use crate::chunk::UNTIMED;
use crate::{MetricValues, QueryError};

/// The selected rows of one chunk whose group is shown.
pub(super) struct Shown {
    /// Positions in the selection, ascending.
    positions: Vec<u32>,
    /// The row of the answer that each belongs to.
    rows: Vec<u32>,
}

/// An event with a title: the last one of a row of the answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastTitle {
    pub(super) at: i64,
    pub(super) chunk: u32,
    pub(super) row: u32,
    /// The code of its title.
    pub(super) code: u32,
}

impl Shown {
    fn iter(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> {
        self.positions.iter().zip(&self.rows).map(|(&position, &row)| (position as usize, row as usize))
    }
}

impl Scan<'_> {
    /// Of each selection the rows whose group is shown. `pairs` hold the group of each selected row, `row_of_group` the place
    /// of the group in the answer or [`NONE`].
    pub(super) fn shown_rows(&self, pairs: &[Pairs<'_>], row_of_group: &[u32]) -> Result<Vec<Shown>, QueryError> {
        let mut all = Vec::with_capacity(pairs.len());
        for Pairs { groups: codes, .. } in pairs {
            let (mut positions, mut rows) = (Vec::new(), Vec::new());
            self.work.for_each_block(0..codes.len(), |block| {
                // Every row is written, and kept by moving on: no branch to guess wrong.
                let mut kept = rows.len();
                positions.resize(kept + block.len(), 0);
                rows.resize(kept + block.len(), 0);
                for (&code, position) in codes[block.clone()].iter().zip(block.start as u32..) {
                    let row = row_of_group[code as usize];
                    positions[kept] = position;
                    rows[kept] = row;
                    kept += usize::from(row != NONE);
                }
                positions.truncate(kept);
                rows.truncate(kept);
            })?;
            self.work.reserve::<[u32; 2]>(rows.len())?;
            all.push(Shown { positions, rows });
        }
        Ok(all)
    }

    /// The totals of the sessions with a selected event, for each of `count` rows of the answer in which they have one.
    pub(super) fn sessions_by_rows(
        &self,
        selected: &[Selected<'_>],
        shown: &[Shown],
        count: usize,
    ) -> Result<Vec<MetricValues>, QueryError> {
        let shares = self.session_shares()?;
        let mut sessions: Vec<Pairs<'_>> = Vec::with_capacity(shown.len());
        for (selected, shown) in selected.iter().zip(shown) {
            let session = &selected.chunk.session;
            let ids = shown.iter().map(|(position, _)| session[selected.row(position)]).collect();
            self.work.reserve::<u32>(shown.rows.len())?;
            sessions.push(Pairs { groups: Cow::Borrowed(&shown.rows), ids: Cow::Owned(ids) });
        }
        let mut totals: Vec<MetricValues> = self.work.filled(MetricValues::default(), count)?;
        let mut stamps: Vec<u32> = self.work.filled(NONE, shares.len())?;
        let all: Vec<bool> = self.work.filled(true, count)?;
        for_each_group(self.work, &sessions, &all, |row, sessions| {
            let total = &mut totals[row as usize];
            for &session in sessions {
                let stamp = &mut stamps[session as usize];
                if *stamp != row {
                    *stamp = row;
                    shares[session as usize].add_to(total);
                }
            }
        })?;
        Ok(totals)
    }

    /// The last title of the events of each of `count` rows of the answer.
    pub(super) fn last_titles(
        &self,
        selected: &[Selected<'_>],
        shown: &[Shown],
        count: usize,
    ) -> Result<Vec<Option<LastTitle>>, QueryError> {
        let mut latest: Vec<Option<LastTitle>> = vec![None; count];
        let mut found_in: Vec<usize> = vec![usize::MAX; count];
        for (number, (selected, shown)) in selected.iter().zip(shown).enumerate() {
            self.work.check()?;
            let titles = column(selected.chunk, Dimension::Title)?;
            let mut missing = count;
            for (position, row) in shown.iter().rev() {
                if missing == 0 {
                    break;
                }
                let event = selected.row(position);
                if titles[event] == 0 || found_in[row] == number {
                    continue;
                }
                // Rows and chunks come in the order of time and arrival: of equal times the later one stays.
                found_in[row] = number;
                missing -= 1;
                let title = LastTitle {
                    at: selected.chunk.at[event],
                    chunk: selected.number,
                    row: event as u32,
                    code: titles[event],
                };
                if latest[row].is_none_or(|latest| title.at >= latest.at) {
                    latest[row] = Some(title);
                }
            }
        }
        Ok(latest)
    }

    /// The time on page of all selected pageviews of each of `count` rows of the answer, in milliseconds, and how many have one.
    pub(super) fn times_on_page(
        &self,
        selected: &[Selected<'_>],
        shown: &[Shown],
        count: usize,
    ) -> Result<Vec<[u64; 2]>, QueryError> {
        let sessions = self.sessions()?;
        // Milliseconds and pageviews of each row.
        let mut timed = vec![[0u64; 2]; count];
        // Pageviews of sessions in several chunks: the chunk, its row, and the row of the answer.
        let mut split: Vec<(u32, u32, u32)> = Vec::new();
        for (selected, shown) in selected.iter().zip(shown) {
            let chunk = selected.chunk;
            let times = chunk.times_on_page();
            self.work.for_each_block(0..shown.rows.len(), |block| {
                for (&position, &row) in shown.positions[block.clone()].iter().zip(&shown.rows[block]) {
                    let event = selected.row(position as usize);
                    if sessions.is_split(chunk.session[event]) {
                        split.push((selected.number, event as u32, row));
                        continue;
                    }
                    // Every second pageview is the last one: no branch to guess wrong.
                    let is_timed = u64::from(times[event] != UNTIMED);
                    let [time_ms, pageviews] = &mut timed[row as usize];
                    *time_ms += u64::from(times[event]) * is_timed;
                    *pageviews += is_timed;
                }
            })?;
        }
        if split.is_empty() {
            return Ok(timed);
        }
        // All pageviews of these sessions by session, time, chunk and row.
        let mut pageviews: Vec<(u32, i64, u32, u32)> = Vec::new();
        for (number, events) in sessions.split_pageviews() {
            self.work.check()?;
            let chunk = self.dataset.chunks[number as usize];
            for event in events {
                let session = chunk.session[event];
                if chunk.kind[event] == PAGEVIEW && sessions.is_split(session) {
                    pageviews.push((session, chunk.at[event], number, event as u32));
                }
            }
        }
        self.work.reserve::<(u32, i64, u32, u32)>(pageviews.len())?;
        self.work.reserve::<(u32, u32, u32)>(split.len())?;
        pageviews.sort_unstable();
        let last_activity = sessions.last_activity_of_split();
        for pageviews in pageviews.chunk_by(|a, b| a.0 == b.0) {
            for (number, &(session, at, chunk, event)) in pageviews.iter().enumerate() {
                let Ok(shown) = split.binary_search_by_key(&(chunk, event), |&(chunk, event, _)| (chunk, event)) else {
                    continue;
                };
                let [time_ms, timed_pageviews] = &mut timed[split[shown].2 as usize];
                let next = pageviews.get(number + 1).map(|next| next.1);
                let last_at = last_activity.get(&session).copied().filter(|&last_at| last_at > at);
                if let Some(next) = next.or(last_at) {
                    *time_ms += next.saturating_sub(at) as u64;
                    *timed_pageviews += 1;
                }
            }
        }
        Ok(timed)
    }
}
