//! The events themselves.

use zenovay_domain::{Dimension, EventKind, SessionId, Timestamp, VisitorId};

use super::select::{Scan, Test, column};
use crate::answer::ColumnWriter;
use crate::{EventTable, QueryError};

/// One chosen event: its time, the position of its chunk, and its row there. Chunks stand in the order of arrival, and so do
/// rows of the same time within one.
type Place = (i64, u32, u32);

impl Scan<'_> {
    pub(super) fn events(&self, test: &Test, (limit, offset): (usize, usize)) -> Result<EventTable, QueryError> {
        let selected = self.select(test)?;
        let count = selected.iter().map(|selected| selected.len()).sum();
        let mut places: Vec<Place> = self.work.list(count)?;
        for selected in &selected {
            self.work.for_each_block(0..selected.len(), |block| {
                places.extend(block.map(|position| {
                    let row = selected.row(position);
                    (selected.chunk.at[row], selected.number, row as u32)
                }));
            })?;
        }
        self.work.sort_first_by(&mut places, offset.saturating_add(limit), Place::cmp)?;
        places.drain(..offset.min(places.len()));

        self.work.reserve::<[u64; 4]>(places.len())?;
        let mut table = EventTable::default();
        for &(at, number, row) in &places {
            let (chunk, row) = (self.dataset.chunks[number as usize], row as usize);
            table.at.push(Timestamp::from_millis(at));
            table.kind.push(EventKind::from_code(chunk.kind[row]).unwrap_or(EventKind::Custom));
            table.visitor.push(VisitorId(self.dataset.visitor_ids[chunk.visitor[row] as usize]));
            table.session.push(SessionId(self.dataset.session_ids[chunk.session[row] as usize]));
        }
        for &dimension in Dimension::ALL {
            self.work.reserve::<[u32; 4]>(places.len())?;
            let strings = self.texts(dimension);
            let columns = self.dataset.chunks.iter().map(|chunk| column(chunk, dimension));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            let mut writer = ColumnWriter::default();
            self.work.for_each_block(0..places.len(), |block| {
                for &(_, number, row) in &places[block] {
                    let code = columns[number as usize][row as usize];
                    writer.push(code, &strings[code as usize]);
                }
            })?;
            table.columns[dimension as usize] = writer.column;
        }
        Ok(table)
    }
}
