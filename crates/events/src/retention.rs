//! Retention: hides what is not kept any longer, and removes what has been hidden for long enough, by the ledger.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use zenovay_domain::{Timestamp, WebsiteId};

use crate::inner::Inner;
use crate::ledger::{Hidden, Kept, Ledger, LedgerChange, Retained};
use crate::log::CatalogChange;
use crate::maintenance::MaintenanceError;
use crate::queue::Task;
use crate::segment::{Retain, Segment, WriteError, ranges_of};
use crate::state::State;

/// A removal of more than one in so many rows of a website waits for a day.
const LARGE_PART: u64 = 10;

/// What is to be removed of one website.
struct Removal {
    before: i64,
    rows: u64,
    /// The entries of the ledger that are done with it.
    entries: Vec<Hidden>,
}

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
        if let Some(now) = now {
            ledger.count_day(now);
        }
        let (mut changed, mut done) = (BTreeSet::new(), Vec::new());
        for &Kept { website, since } in kept {
            let wanted = since.map_or(i64::MIN, Timestamp::as_millis);
            let hidden = ledger.hidden_before(website);
            if wanted < hidden {
                ledger.show(website, wanted);
                done.push(Retained::Shown { website, since, rows: count_rows(&state, website, wanted..hidden) });
                changed.insert(website);
            } else if now.is_some() && wanted > hidden && has_rows(&state, website, hidden..wanted) {
                ledger.hide(website, wanted);
                let (before, rows) = (Timestamp::from_millis(wanted), count_rows(&state, website, hidden..wanted));
                done.extend((rows > 0).then_some(Retained::Hidden { website, before, rows }));
                changed.insert(website);
            }
        }
        self.note(ledger.change(&state.ledger, &changed))?;
        done.into_iter().for_each(tell);
        Ok(())
    }

    /// See [`crate::EventStore::remove_hidden`].
    pub(crate) fn remove_hidden(&self, now: Timestamp, tell: &mut dyn FnMut(Retained)) -> Result<(), MaintenanceError> {
        let _rewriting = self.rewriting.lock();
        let (removals, segments) = {
            let _sealing = self.sealing.lock();
            let state = self.state();
            let mut ledger = Ledger::clone(&state.ledger);
            ledger.count_day(now);
            let (removals, waiting, changed) = due_removals(&state, &mut ledger);
            self.note(ledger.change(&state.ledger, &changed))?;
            waiting.into_iter().for_each(&mut *tell);
            // What is sealed from here on has begun its thirty days anew.
            (removals, state.segments.clone())
        };
        if removals.is_empty() {
            return Ok(());
        }
        let since: HashMap<WebsiteId, i64> =
            removals.iter().map(|(website, removal)| (*website, removal.before)).collect();
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
            if head_rows(&state, *website, &(i64::MIN..removal.before)) > 0 {
                // They came late and are in no file yet.
                ledger.restart(*website);
            } else {
                let list = ledger.sites.get(website).cloned().unwrap_or_default();
                ledger.set(*website, list.into_iter().filter(|hidden| !removal.entries.contains(hidden)).collect());
            }
            changed.insert(*website);
        }
        self.note(ledger.change(&state.ledger, &changed))?;
        for (website, Removal { before, rows, .. }) in done.into_iter().filter(|(_, removal)| removal.rows > 0) {
            tell(Retained::Removed { website, before: Timestamp::from_millis(before), rows });
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

type Due = (BTreeMap<WebsiteId, Removal>, Vec<Retained>, BTreeSet<WebsiteId>);

/// What is to be removed now, what began to wait, and whose lists in `ledger` that changed.
fn due_removals(state: &State, ledger: &mut Ledger) -> Due {
    let (mut removals, mut waiting, mut changed) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
    let days = ledger.days;
    let lists: Vec<(WebsiteId, Vec<Hidden>)> =
        ledger.sites.iter().map(|(website, list)| (*website, list.clone())).collect();
    for (website, mut list) in lists {
        let due = ledger.due(&list);
        let Some(&last) = list[..due].last() else { continue };
        let rows_before = |before| count_rows(state, website, i64::MIN..before);
        let rows = rows_before(last.before);
        let of = count_rows(state, website, i64::MIN..i64::MAX);
        let waited = list[..due].iter().rposition(|hidden| hidden.waits.is_some_and(|since| since < days));
        let count = if rows.saturating_mul(LARGE_PART) <= of { due } else { waited.map_or(0, |last| last + 1) };
        match list[..count].last() {
            Some(&Hidden { before, .. }) => {
                let rows = if count == due { rows } else { rows_before(before) };
                removals.insert(website, Removal { before, rows, entries: list[..count].to_vec() });
            }
            None if list[..due].iter().all(|hidden| hidden.waits.is_none()) => {
                let before = Timestamp::from_millis(last.before);
                waiting.push(Retained::Waiting { website, before, rows, of });
                list[due - 1].waits = Some(days);
                ledger.set(website, list);
                changed.insert(website);
            }
            None => {}
        }
    }
    (removals, waiting, changed)
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
