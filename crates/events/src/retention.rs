//! Retention: events that are not kept any longer are hidden first, and removed when they have been hidden for thirty days.
//!
//! The ledger has, for each website with hidden events, instants in ascending order and the day on which the events before
//! each were hidden. An event before the last of them is in no answer, as if it were removed: a session that the instant
//! cuts begins with its first event behind it. Days are counted, not subtracted: one is added when the date of a believed
//! clock changes, so that a server that was off, or whose clock was wrong, removes nothing earlier.
//!
//! What is kept longer again before the thirty days are over is back at once. An event that arrives although it is older
//! than what is hidden begins the thirty days of its website anew, when it is sealed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use zenovay_domain::{Timestamp, WebsiteId};

use crate::embedded::Inner;
use crate::head::Generation;
use crate::log::CatalogChange;
use crate::maintenance::MaintenanceError;
use crate::segment::{Keep, Segment, WriteError, ranges_of};
use crate::state::State;

/// For how many days events are hidden before they are removed. Days on which the server ran on a believed clock count.
pub const RETENTION_GRACE_DAYS: i64 = 30;
/// A removal of more than one in so many rows of a website waits for a day.
const LARGE_PART: u64 = 10;
const DAY_MS: i64 = 24 * 3_600_000;

/// How far back the events of a website are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub website: WebsiteId,
    /// Events before this instant are not kept; `None` keeps all.
    pub since: Option<Timestamp>,
}

/// What retention did with the rows of one website, heartbeats among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retained {
    /// `rows` rows before `before`, which were in answers until now, are hidden.
    Hidden {
        /// Whose.
        website: WebsiteId,
        /// The instant.
        before: Timestamp,
        /// How many.
        rows: u64,
    },
    /// `rows` rows that were hidden are in answers again, because more is kept.
    Shown {
        /// Whose.
        website: WebsiteId,
        /// What is kept now; `None` for all.
        since: Option<Timestamp>,
        /// How many.
        rows: u64,
    },
    /// `rows` hidden rows before `before` would be removed now, but that is more than a tenth of `of`, all rows of the
    /// website: the removal waits for a day.
    Waiting {
        /// Whose.
        website: WebsiteId,
        /// The instant.
        before: Timestamp,
        /// How many.
        rows: u64,
        /// How many rows the website has, hidden ones included.
        of: u64,
    },
    /// `rows` hidden rows before `before` are removed for good.
    Removed {
        /// Whose.
        website: WebsiteId,
        /// The instant.
        before: Timestamp,
        /// How many.
        rows: u64,
    },
}

/// Rows before an instant, and not before that of the entry before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hidden {
    pub(crate) before: i64,
    /// The day of [`Ledger::days`] on which they were hidden.
    pub(crate) day: i64,
    /// The day on which their removal was due and began to wait, because they are many.
    pub(crate) waits: Option<i64>,
}

/// What is hidden of all websites.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// Days counted so far.
    pub(crate) days: i64,
    /// The day since 1970 that was counted last.
    pub(crate) date: Option<i64>,
    /// Without empty lists. Instants and days ascend.
    sites: HashMap<WebsiteId, Vec<Hidden>>,
}

/// A change of the ledger, as the catalog stores it: the whole list of each website that changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LedgerChange {
    pub(crate) days: i64,
    pub(crate) date: Option<i64>,
    pub(crate) sites: Vec<(WebsiteId, Vec<Hidden>)>,
}

impl Ledger {
    /// Where rows of `website` begin to be visible.
    pub(crate) fn hidden_before(&self, website: WebsiteId) -> i64 {
        self.sites.get(&website).and_then(|list| list.last()).map_or(i64::MIN, |last| last.before)
    }

    /// Adds an entry that was read from the catalog, in the order of instants.
    pub(crate) fn read(&mut self, website: WebsiteId, hidden: Hidden) {
        self.sites.entry(website).or_default().push(hidden);
    }

    pub(crate) fn apply(&mut self, change: &LedgerChange) {
        (self.days, self.date) = (change.days, change.date);
        for (website, list) in &change.sites {
            self.set(*website, list.clone());
        }
    }

    /// Forgets a website.
    pub(crate) fn forget(&mut self, website: WebsiteId) {
        self.sites.remove(&website);
    }

    fn set(&mut self, website: WebsiteId, list: Vec<Hidden>) {
        if list.is_empty() {
            self.sites.remove(&website);
        } else {
            self.sites.insert(website, list);
        }
    }

    fn count_day(&mut self, now: Timestamp) {
        let date = now.as_millis().div_euclid(DAY_MS);
        // A clock that is set back a little at midnight, again and again, counts a day once.
        if self.date.is_none_or(|counted| date != counted && date != counted - 1) {
            self.days += 1;
            self.date = Some(date);
        }
    }

    fn hide(&mut self, website: WebsiteId, before: i64) {
        let hidden = Hidden { before, day: self.days, waits: None };
        self.sites.entry(website).or_default().push(hidden);
    }

    /// Rows at and after `since` are visible again; those before it keep the day on which they were hidden.
    fn show(&mut self, website: WebsiteId, since: i64) {
        let Some(list) = self.sites.get_mut(&website) else { return };
        let kept = list.partition_point(|hidden| hidden.before <= since);
        let cut = list.get(kept).map(|hidden| Hidden { before: since, ..*hidden });
        list.truncate(kept);
        // Nothing is before the beginning of time.
        let cut = cut.filter(|cut| cut.before != i64::MIN && list.last().is_none_or(|last| last.before < cut.before));
        list.extend(cut);
        if list.is_empty() {
            self.sites.remove(&website);
        }
    }

    /// Begins the thirty days of a website anew.
    fn restart(&mut self, website: WebsiteId) {
        let before = self.hidden_before(website);
        if before != i64::MIN {
            self.set(website, vec![Hidden { before, day: self.days, waits: None }]);
        }
    }

    /// Of the list of a website the entries whose time is over.
    fn due(&self, list: &[Hidden]) -> usize {
        list.partition_point(|hidden| self.days.saturating_sub(hidden.day) >= RETENTION_GRACE_DAYS)
    }

    /// What must be written so that `before` becomes this ledger, whose lists of `websites` differ.
    fn change(&self, before: &Self, websites: &BTreeSet<WebsiteId>) -> Option<LedgerChange> {
        let is_new_day = self.date != before.date && !self.sites.is_empty();
        if websites.is_empty() && !is_new_day {
            return None;
        }
        let list = |website: &WebsiteId| self.sites.get(website).cloned().unwrap_or_default();
        let sites = websites.iter().map(|website| (*website, list(website))).collect();
        Some(LedgerChange { days: self.days, date: self.date, sites })
    }

    /// Begins the thirty days of all websites of which `generation` has rows that are hidden already.
    pub(crate) fn restart_late(&self, generation: &Generation) -> Option<LedgerChange> {
        let mut ledger = self.clone();
        let mut late = BTreeSet::new();
        for &website in self.sites.keys() {
            let before = self.hidden_before(website);
            let is_late = generation.site(website).is_some_and(|site| site.lock().at.iter().any(|&at| at < before));
            if is_late {
                ledger.restart(website);
                late.insert(website);
            }
        }
        ledger.change(self, &late)
    }
}

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
            match self.remove_from(&segment, Keep::Since(&since)) {
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

    fn remove_from(&self, segment: &Arc<Segment>, keep: Keep<'_>) -> Result<(), MaintenanceError> {
        if keep.concerns(segment).map_err(WriteError::from)? {
            self.rewrite(std::slice::from_ref(segment), keep, &|| self.is_stopping())?;
        }
        Ok(())
    }

    fn note(&self, retention: Option<LedgerChange>) -> Result<(), MaintenanceError> {
        if retention.is_some() {
            let change = CatalogChange { retention, ..CatalogChange::default() };
            self.on_writer(move |writer| writer.register(&change, None))??;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: count every date that is another one than the last.
    #[test]
    fn a_clock_that_steps_over_midnight_again_and_again_counts_its_days_once() {
        let mut ledger = Ledger::default();
        let midnight = 20_000 * DAY_MS;
        let mut count = |ms: i64| {
            ledger.count_day(Timestamp::from_millis(midnight + ms));
            ledger.days
        };
        assert_eq!(count(-1), 1);
        for _ in 0..60 {
            assert_eq!((count(0), count(-1)), (2, 2));
        }
        assert_eq!(count(DAY_MS), 3);
        // A clock that was years ahead until it was set counts on.
        assert_eq!((count(3_000 * DAY_MS), count(DAY_MS), count(2 * DAY_MS)), (4, 5, 6));
    }
}
