//! Steps that are taken in order.

use super::select::Scan;
use super::work::Bits;
use crate::{Filter, FunnelCounts, QueryError};

/// An event that is a step: its time, the position of its chunk and its row there, and which step. Chunks stand in the order
/// of arrival, and so do rows of the same time within one.
type Taken = (i64, u32, u32, u8);

impl Scan<'_> {
    /// How far sessions get. Only what is a step is looked at, once for all sessions in the order of time: taking a step as
    /// early as it can be taken never leads less far than taking it later.
    pub(super) fn funnel(&self, filter: &Filter, steps: &[Filter]) -> Result<FunnelCounts, QueryError> {
        let taken = self.steps_taken(filter, steps)?;
        let visitors = taken.iter().map(|(_, visitors)| visitors.len()).collect();
        Ok(FunnelCounts { visitors, sessions: taken.iter().map(|(sessions, _)| *sessions).collect() })
    }

    /// How many sessions take each step, and which visitors.
    pub(super) fn steps_taken(&self, filter: &Filter, steps: &[Filter]) -> Result<Vec<(u64, Bits)>, QueryError> {
        let mut taken: Vec<Taken> = Vec::new();
        let mut entered = self.session_bits()?;
        for (number, step) in steps.iter().enumerate() {
            let test = self.compile_for_some(&Filter::All(vec![filter.clone(), step.clone()]))?;
            for selected in self.select(&test)? {
                let sessions = selected.session();
                if number == 0 {
                    self.work.for_each_block(0..sessions.len(), |block| entered.insert_all(&sessions[block]))?;
                }
                self.work.reserve::<Taken>(sessions.len())?;
                self.work.for_each_block(0..sessions.len(), |block| {
                    for position in block.filter(|&position| entered.contains(sessions[position])) {
                        let row = selected.row(position);
                        taken.push((selected.chunk.at[row], selected.number, row as u32, number as u8));
                    }
                })?;
            }
        }
        self.work.sort_by(&mut taken, Taken::cmp)?;

        // The step that each session takes next.
        let mut next = self.work.filled(0u8, self.dataset.session_ids.len())?;
        let mut steps_taken = Vec::with_capacity(steps.len());
        for _ in steps {
            steps_taken.push((0, self.visitor_bits()?));
        }
        let mut last = None;
        self.work.for_each_block(0..taken.len(), |block| {
            for &(_, number, row, step) in &taken[block] {
                let (chunk, place) = (self.dataset.chunks[number as usize], (number, row));
                let next = &mut next[chunk.session[row as usize] as usize];
                // One event is one step, also when it could be several.
                if *next == step && last != Some(place) {
                    *next += 1;
                    let (sessions, visitors) = &mut steps_taken[step as usize];
                    *sessions += 1;
                    visitors.insert(chunk.visitor[row as usize]);
                    last = Some(place);
                }
            }
        })?;
        Ok(steps_taken)
    }
}
