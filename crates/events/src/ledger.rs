//! The ledger of retention: events that are not kept any longer are hidden first, and removed when they have been hidden for thirty days.
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

use serde::{Deserialize, Serialize};
use zenovay_domain::{Timestamp, WebsiteId};

use crate::head::Generation;

/// For how many days events are hidden before they are removed. Days on which the server ran on a believed clock count.
pub const RETENTION_GRACE_DAYS: i64 = 30;
const DAY_MS: i64 = 24 * 3_600_000;
/// A removal of more than one in so many rows of a website waits for a day.
const LARGE_PART: u64 = 10;

/// How far back the events of a website are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// Which.
    pub website: WebsiteId,
    /// Events before this instant are not kept; `None` keeps all.
    pub since: Option<Timestamp>,
}

impl Kept {
    /// Of `website` the events since this instant, or all.
    pub const fn new(website: WebsiteId, since: Option<Timestamp>) -> Self {
        Self { website, since }
    }
}

/// What retention did with the rows of one website, heartbeats among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hidden {
    pub(crate) before: i64,
    /// The day of [`Ledger::days`] on which they were hidden.
    pub(crate) day: i64,
    /// The day on which their removal was due and began to wait, because they are many.
    pub(crate) waits: Option<i64>,
}

/// What is hidden of all websites.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Days counted so far.
    pub(crate) days: i64,
    /// The day since 1970 that was counted last.
    pub(crate) date: Option<i64>,
    /// Without empty lists. Instants and days ascend.
    pub(crate) sites: HashMap<WebsiteId, Vec<Hidden>>,
}

/// A change of the ledger, as the catalog stores it: the whole list of each website that changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LedgerChange {
    pub(crate) days: i64,
    pub(crate) date: Option<i64>,
    pub(crate) sites: Vec<(WebsiteId, Vec<Hidden>)>,
}

/// What is to be removed of one website.
#[derive(Debug)]
pub struct Removal {
    /// What is before it.
    pub before: Timestamp,
    /// How many rows those are.
    pub rows: u64,
    /// The entries of the ledger that are done with it.
    pub(crate) entries: Vec<Hidden>,
}

impl Ledger {
    /// Before which instant the events of each website are hidden that has such.
    pub fn boundaries(&self) -> HashMap<WebsiteId, Timestamp> {
        let boundary = |website: &WebsiteId| Timestamp::from_millis(self.hidden_before(*website));
        self.sites.keys().map(|website| (*website, boundary(website))).collect()
    }

    /// Hides what each of `kept` keeps no longer, and shows again what it keeps longer than before. `now` is the time of a clock that is
    /// believed; without it nothing is hidden. `rows` counts the rows of a website in a range of milliseconds, `has_rows` may
    /// look less closely. Gives whose lists changed, and what is to be told.
    ///
    /// # Errors
    /// Those of `rows` and `has_rows`.
    pub fn keep<E>(
        &mut self,
        kept: &[Kept],
        now: Option<Timestamp>,
        has_rows: impl Fn(WebsiteId, Range<i64>) -> Result<bool, E>,
        rows: impl Fn(WebsiteId, Range<i64>) -> Result<u64, E>,
    ) -> Result<(BTreeSet<WebsiteId>, Vec<Retained>), E> {
        if let Some(now) = now {
            self.count_day(now);
        }
        let (mut changed, mut done) = (BTreeSet::new(), Vec::new());
        for &Kept { website, since } in kept {
            let wanted = since.map_or(i64::MIN, Timestamp::as_millis);
            let hidden = self.hidden_before(website);
            if wanted < hidden {
                self.show(website, wanted);
                done.push(Retained::Shown { website, since, rows: rows(website, wanted..hidden)? });
                changed.insert(website);
            } else if now.is_some() && wanted > hidden && has_rows(website, hidden..wanted)? {
                self.hide(website, wanted);
                let (before, rows) = (Timestamp::from_millis(wanted), rows(website, hidden..wanted)?);
                done.extend((rows > 0).then_some(Retained::Hidden { website, before, rows }));
                changed.insert(website);
            }
        }
        Ok((changed, done))
    }

    /// What is to be removed now, what began to wait, and whose lists changed. `rows` counts as in [`Ledger::keep`].
    ///
    /// # Errors
    /// Those of `rows`.
    #[expect(clippy::type_complexity, reason = "three things come of it")]
    pub fn due_removals<E>(
        &mut self,
        rows: impl Fn(WebsiteId, Range<i64>) -> Result<u64, E>,
    ) -> Result<(BTreeMap<WebsiteId, Removal>, Vec<Retained>, BTreeSet<WebsiteId>), E> {
        let (mut removals, mut waiting, mut changed) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        let days = self.days;
        let lists: Vec<(WebsiteId, Vec<Hidden>)> =
            self.sites.iter().map(|(website, list)| (*website, list.clone())).collect();
        for (website, mut list) in lists {
            let due = self.due(&list);
            let Some(&last) = list[..due].last() else { continue };
            let all = rows(website, i64::MIN..last.before)?;
            let of = rows(website, i64::MIN..i64::MAX)?;
            let waited = list[..due].iter().rposition(|hidden| hidden.waits.is_some_and(|since| since < days));
            let count = if all.saturating_mul(LARGE_PART) <= of { due } else { waited.map_or(0, |last| last + 1) };
            match list[..count].last() {
                Some(&Hidden { before, .. }) => {
                    let rows = if count == due { all } else { rows(website, i64::MIN..before)? };
                    let before = Timestamp::from_millis(before);
                    removals.insert(website, Removal { before, rows, entries: list[..count].to_vec() });
                }
                None if list[..due].iter().all(|hidden| hidden.waits.is_none()) => {
                    let before = Timestamp::from_millis(last.before);
                    waiting.push(Retained::Waiting { website, before, rows: all, of });
                    list[due - 1].waits = Some(days);
                    self.set(website, list);
                    changed.insert(website);
                }
                None => {}
            }
        }
        Ok((removals, waiting, changed))
    }

    /// `removal` is done.
    pub fn removed(&mut self, website: WebsiteId, removal: &Removal) {
        let list = self.sites.get(&website).cloned().unwrap_or_default();
        self.set(website, list.into_iter().filter(|hidden| !removal.entries.contains(hidden)).collect());
    }

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
    pub fn forget(&mut self, website: WebsiteId) {
        self.sites.remove(&website);
    }

    pub(crate) fn set(&mut self, website: WebsiteId, list: Vec<Hidden>) {
        if list.is_empty() {
            self.sites.remove(&website);
        } else {
            self.sites.insert(website, list);
        }
    }

    /// Counts the day of `now`, the time of a clock that is believed, when it was not counted yet.
    pub fn count_day(&mut self, now: Timestamp) {
        let date = now.as_millis().div_euclid(DAY_MS);
        // A clock that is set back a little at midnight, again and again, counts a day once.
        if self.date.is_none_or(|counted| date != counted && date != counted - 1) {
            self.days += 1;
            self.date = Some(date);
        }
    }

    pub(crate) fn hide(&mut self, website: WebsiteId, before: i64) {
        let hidden = Hidden { before, day: self.days, waits: None };
        self.sites.entry(website).or_default().push(hidden);
    }

    /// Rows at and after `since` are visible again; those before it keep the day on which they were hidden.
    pub(crate) fn show(&mut self, website: WebsiteId, since: i64) {
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
    pub fn restart(&mut self, website: WebsiteId) {
        let before = self.hidden_before(website);
        if before != i64::MIN {
            self.set(website, vec![Hidden { before, day: self.days, waits: None }]);
        }
    }

    /// Of the list of a website the entries whose time is over.
    pub(crate) fn due(&self, list: &[Hidden]) -> usize {
        list.partition_point(|hidden| self.days.saturating_sub(hidden.day) >= RETENTION_GRACE_DAYS)
    }

    /// What must be written so that `before` becomes this ledger, whose lists of `websites` differ.
    pub(crate) fn change(&self, before: &Self, websites: &BTreeSet<WebsiteId>) -> Option<LedgerChange> {
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
