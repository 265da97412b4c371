//! Retention: hides what is not kept any longer, and removes what has been hidden for long enough, by the ledger.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use zenovay_domain::{Timestamp, WebsiteId};

use crate::inner::Inner;
use crate::ledger::{Kept, Ledger, LedgerChange, Removal, Retained};
use crate::log::CatalogChange;
use crate::maintenance::MaintenanceError;
use crate::queue::Task;
use crate::segment::{Retain, Segment, WriteError, ranges_of};
use crate::state::State;

impl Inner {
    /// See [`crate::EventStore::retain`].
    pub(crate) fn retain(
        &self,
        kept: &[Kept],
        now: Option<Timestamp>,
        tell: &mut dyn FnMut(Retained),
    ) -> Result<(), MaintenanceError> {
        // Who seals or removes changes the ledger, too.
        let _sealing = self.sealing.lock();
        let state = self.state();
        let mut ledger = Ledger::clone(&state.ledger);
        let Ok((changed, done)) = ledger.keep::<Infallible>(
            kept,
            now,
            |website, times| Ok(has_rows(&state, website, times)),
            |website, times| Ok(count_rows(&state, website, times)),
        );
        self.note(ledger.change(&state.ledger, &changed))?;
        done.into_iter().for_each(tell);
        Ok(())
    }

    /// See [`crate::EventStore::remove_hidden`].
    pub(crate) fn remove_hidden(&self, now: Timestamp, tell: &mut dyn FnMut(Retained)) -> Result<(), MaintenanceError> {
        let _rewriting = self.rewriting.lock();
        if self.keeps_segments.load(Ordering::SeqCst) {
            return Ok(());
        }
        let (removals, segments) = {
            let _sealing = self.sealing.lock();
            let state = self.state();
            let mut ledger = Ledger::clone(&state.ledger);
            ledger.count_day(now);
            let rows = |website, times| Ok::<_, Infallible>(count_rows(&state, website, times));
            let Ok((removals, waiting, changed)) = ledger.due_removals(rows);
            self.note(ledger.change(&state.ledger, &changed))?;
            waiting.into_iter().for_each(&mut *tell);
            // What is sealed from here on has begun its thirty days anew.
            (removals, state.segments.clone())
        };
        if removals.is_empty() {
            return Ok(());
        }
        let since: HashMap<WebsiteId, i64> =
            removals.iter().map(|(website, removal)| (*website, removal.before.as_millis())).collect();
        let mut damaged: BTreeSet<WebsiteId> = BTreeSet::new();
        for segment in segments {
            match self.remove_from(&segment, Retain::Since(&since)) {
                // It is named in the log by whoever read it, and stays; so does what the ledger has of its websites.
                Err(MaintenanceError::Write(WriteError::Source(_))) => {
                    damaged.extend(segment.meta.sites.iter().map(|range| range.website));
                }
                removed => removed?,
            }
        }
        let _sealing = self.sealing.lock();
        let state = self.state();
        let mut ledger = Ledger::clone(&state.ledger);
        let mut changed = BTreeSet::new();
        let done: Vec<(WebsiteId, Removal)> =
            removals.into_iter().filter(|(website, _)| !damaged.contains(website)).collect();
        for (website, removal) in &done {
            if head_rows(&state, *website, &(i64::MIN..removal.before.as_millis())) > 0 {
                // They came late and are in no file yet.
                ledger.restart(*website);
            } else {
                ledger.removed(*website, removal);
            }
            changed.insert(*website);
        }
        self.note(ledger.change(&state.ledger, &changed))?;
        for (website, Removal { before, rows, .. }) in done.into_iter().filter(|(_, removal)| removal.rows > 0) {
            tell(Retained::Removed { website, before, rows });
        }
        Ok(())
    }

    fn remove_from(&self, segment: &Arc<Segment>, retain: Retain<'_>) -> Result<(), MaintenanceError> {
        if retain.concerns(segment).map_err(WriteError::from)? {
            self.rewrite(std::slice::from_ref(segment), retain, &|| self.is_stopping())?;
        }
        Ok(())
    }

    fn note(&self, retention: Option<LedgerChange>) -> Result<(), MaintenanceError> {
        if retention.is_some() {
            let change = CatalogChange { retention, ..CatalogChange::default() };
            self.queue.run(Task::Register { change: Box::new(change), sealed: None })?;
        }
        Ok(())
    }
}

/// Whether there may be rows of `website` in `times`. Reads no file.
fn has_rows(state: &State, website: WebsiteId, times: Range<i64>) -> bool {
    let in_segments = state
        .segments
        .iter()
        .flat_map(|segment| ranges_of(&segment.meta.sites, website))
        .any(|range| range.max_at >= times.start && range.min_at < times.end);
    in_segments || head_rows(state, website, &times) > 0
}

/// The rows of `website` in `times`; of a row group that cannot be read, all.
fn count_rows(state: &State, website: WebsiteId, times: Range<i64>) -> u64 {
    let mut count = head_rows(state, website, &times);
    for segment in &state.segments {
        for range in ranges_of(&segment.meta.sites, website) {
            if range.max_at < times.start || range.min_at >= times.end {
                continue;
            }
            let rows = range.start as usize..(range.start + range.rows) as usize;
            count += if times.contains(&range.min_at) && times.contains(&range.max_at) {
                u64::from(range.rows)
            } else {
                let at = segment.read_at(range.group, rows);
                at.map_or(range.rows.into(), |at| at.iter().filter(|at| times.contains(at)).count() as u64)
            };
        }
    }
    count
}

fn head_rows(state: &State, website: WebsiteId, times: &Range<i64>) -> u64 {
    let sites = state.generations().filter_map(|generation| generation.site(website));
    sites.map(|site| site.lock().at.iter().filter(|at| times.contains(at)).count() as u64).sum()
}
