//! What a page's row shows beside counts: its title and the time people stay.

use super::PAGEVIEW;
use super::distinct::NONE;
use super::select::{Scan, Selected, column};
use crate::{BreakdownRow, QueryError};

impl Scan<'_> {
    /// Sets the title of each row to the last one of its events. `codes` holds the group of each selected row,
    /// `row_of_group` the place of its row in `rows`.
    pub(super) fn add_titles(
        &self,
        selected: &[Selected<'_>],
        codes: &[&[u32]],
        row_of_group: &[u32],
        rows: &mut [BreakdownRow],
    ) -> Result<(), QueryError> {
        let mut latest: Vec<(i64, u32)> = vec![(i64::MIN, 0); rows.len()];
        for (selected, codes) in selected.iter().zip(codes) {
            let titles = selected.values(column(selected.chunk, zenovay_domain::Dimension::Title)?);
            self.work.for_each_block(0..codes.len(), |block| {
                for position in block {
                    let (row, title) = (row_of_group[codes[position] as usize], titles[position]);
                    if row == NONE || title == 0 {
                        continue;
                    }
                    // Rows and chunks come in the order of time and arrival: of equal times the later one stays.
                    let at = selected.chunk.at[selected.row(position)];
                    let latest = &mut latest[row as usize];
                    if at >= latest.0 {
                        *latest = (at, title);
                    }
                }
            })?;
        }
        for (row, (_, title)) in rows.iter_mut().zip(latest) {
            row.title = (title != 0).then(|| self.texts(zenovay_domain::Dimension::Title)[title as usize].to_string());
        }
        Ok(())
    }

    /// Adds the time on page of each selected pageview to its row. Parameters are those of [`Scan::add_titles`].
    pub(super) fn add_times_on_page(
        &self,
        selected: &[Selected<'_>],
        codes: &[&[u32]],
        row_of_group: &[u32],
        rows: &mut [BreakdownRow],
    ) -> Result<(), QueryError> {
        // By session: its next pageview in the walk backwards, or at first its last activity.
        let mut next_at: Vec<i64> = self.work.filled(0, self.dataset.session_ids.len())?;
        let mut has_later_pageview = self.session_bits()?;
        self.sessions.for_each_starting_in(self.window, |session| {
            next_at[session.part.session as usize] = session.part.last_at;
        });
        let mut stay = |session: u32, at: i64, row: u32| {
            let next = std::mem::replace(&mut next_at[session as usize], at);
            let is_timed = has_later_pageview.contains(session) || next > at;
            has_later_pageview.insert(session);
            if row != NONE && is_timed {
                rows[row as usize].time_on_page_ms += next.saturating_sub(at).max(0) as u64;
                rows[row as usize].timed_pageviews += 1;
            }
        };
        // Pageviews of sessions in several chunks: session, time, chunk, row of the chunk, row of the answer.
        let mut split: Vec<(u32, i64, u32, u32, u32)> = Vec::new();
        for (number, chunk) in self.dataset.chunks.iter().enumerate() {
            let number = number as u32;
            let (selected, codes) = match selected.iter().zip(codes).find(|(selected, _)| selected.number == number) {
                Some((selected, &codes)) => (Some(selected), codes),
                None => (None, &[][..]),
            };
            let mut position = codes.len();
            for row in chunk.rows_between(self.range.from, self.window.to).rev() {
                if row % 65_536 == 0 {
                    self.work.check()?;
                }
                let mut answer_row = NONE;
                if let Some(selected) = selected {
                    while position > 0 && selected.row(position - 1) > row {
                        position -= 1;
                    }
                    if position > 0 && selected.row(position - 1) == row {
                        answer_row = row_of_group[codes[position - 1] as usize];
                    }
                }
                if chunk.kind[row] != PAGEVIEW {
                    continue;
                }
                let (session, at) = (chunk.session[row], chunk.at[row]);
                if self.sessions.is_split(session) {
                    split.push((session, at, number, row as u32, answer_row));
                } else {
                    stay(session, at, answer_row);
                }
            }
        }
        self.work.take::<(u32, i64, u32, u32, u32)>(split.len())?;
        split.sort_unstable();
        for &(session, at, _, _, row) in split.iter().rev() {
            stay(session, at, row);
        }
        Ok(())
    }
}
