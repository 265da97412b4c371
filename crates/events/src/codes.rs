//! Who gives visitors their codes, how it is checked that they agree, and codes for rows that have none yet.
//!
//! A code is given once and stays: the number stands behind the row group that has the id in its dictionary (`segment/codes.rs`), and
//! is copied with the rows when segments are merged or rewritten. There is no table of ids beside the files, and so nothing to keep
//! in step with them: which code a visitor has, and which one is the next to give, is found in the segments themselves.
//!
//! - **One at a time gives codes**: whoever holds the lock under which registered segments are replaced. A head that is sealed
//!   meanwhile gets none; the merge that takes its segment gives them.
//! - **What gets a code is compared with all that have one**: the dictionary pages of the row groups with codes are gone through. An id
//!   that is in none of them gets the next code, one more than the highest of any of them.
//! - **Nothing is given that is not registered.** Codes are durable with the transaction that registers their segment; a death before
//!   it leaves a file that nobody names, and its codes are given again.
//! - **A damaged segment** may have ids that others have, too. As long as one of a website is damaged, what has no codes gets none.
//!
//! They are given by `segment/coder.rs`. Rows without codes, of a head or a segment that came by itself, are numbered for a query where
//! they are few: see [`TemporaryCodes`] and `sections.rs`.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use zenovay_domain::WebsiteId;
use zenovay_query::{Budget, QueryError};

use crate::intern::IdMap;
use crate::segment::{CodeMap, ColumnId, Segment, SegmentError, UNKNOWN, coded_groups, end_of_codes, spread};
use crate::state::State;

/// Ids that are compared at a time when codes are checked, about: 16 MB.
const CHECKED_IDS: usize = 1 << 20;

/// A query gives codes to no more ids than these: a head, and the segments that came while others were merged. With more it does
/// without codes.
pub(crate) const TEMPORARY_CODES_MAX: usize = 1 << 20;
/// What an id with a code that a query gave takes, about, with what is read to give it.
pub(crate) const TEMPORARY_CODE_BYTES: usize = 48;
/// What it takes when it is kept.
const KEPT_CODE_BYTES: usize = 20;
/// How often a query that waits for another to give codes looks whether it was cancelled.
const PATIENCE: Duration = Duration::from_millis(20);

/// Codes of visitors in rows that have none yet, so that queries can count those as all others. They are kept between queries, so that
/// of a head that grows only what is new is looked for.
#[derive(Default)]
pub(crate) struct TemporaryCodes(Mutex<HashMap<WebsiteId, Arc<Entry>>>);

#[derive(Default)]
struct Entry {
    given: Mutex<Given>,
    /// How many codes there are.
    codes: AtomicUsize,
}

/// What was given to visitors of a website.
#[derive(Default)]
struct Given {
    /// The segments whose codes were looked for. With others all is given anew.
    segments: Vec<u64>,
    codes: IdMap<u32>,
    /// The next one.
    next: u32,
}

impl TemporaryCodes {
    /// The codes of the ids in `sections`: those of the row groups of `website` that have codes, or others.
    pub(crate) fn give(
        &self,
        state: &State,
        website: WebsiteId,
        sections: &HashMap<usize, Vec<u64>>,
        budget: &Budget,
    ) -> Result<HashMap<usize, Vec<u32>>, QueryError> {
        if sections.is_empty() {
            return Ok(HashMap::new());
        }
        let entry = Arc::clone(self.0.lock().entry(website).or_default());
        let mut given = loop {
            budget.check()?;
            if let Some(given) = entry.given.try_lock_for(PATIENCE) {
                break given;
            }
        };
        let result = given.give(state, website, sections, budget);
        entry.codes.store(given.codes.len(), Ordering::Relaxed);
        drop(given);
        if self.count() > TEMPORARY_CODES_MAX {
            self.0.lock().retain(|other, _| *other == website);
        }
        result
    }

    /// Forgets the codes of `website`.
    pub(crate) fn forget(&self, website: WebsiteId) {
        self.0.lock().remove(&website);
    }

    fn count(&self) -> usize {
        self.0.lock().values().map(|entry| entry.codes.load(Ordering::Relaxed)).sum()
    }

    /// What is kept, bytes, about.
    pub(crate) fn bytes(&self) -> usize {
        self.count() * KEPT_CODE_BYTES
    }
}

impl Given {
    fn give(
        &mut self,
        state: &State,
        website: WebsiteId,
        sections: &HashMap<usize, Vec<u64>>,
        budget: &Budget,
    ) -> Result<HashMap<usize, Vec<u32>>, QueryError> {
        let mut segments: Vec<u64> =
            coded_groups(&state.segments, website).map(|(segment, _)| segment.meta.id).collect();
        segments.dedup();
        if segments != self.segments || self.codes.len() > TEMPORARY_CODES_MAX {
            *self = Self { segments, codes: IdMap::default(), next: end_of_codes(&state.segments, website) };
        }
        let is_new = |id: &u64| !self.codes.contains_key(id);
        let mut new = CodeMap::new(sections.values().flatten().copied().filter(is_new).collect());
        if new.len() > 0 {
            new.find(coded_groups(state.segments.iter().rev(), website), || budget.check())?;
            self.next = new.give_rest(self.next);
            self.codes.extend(new.iter());
        }
        let code = |id: &u64| self.codes.get(id).copied().unwrap_or(UNKNOWN);
        Ok(sections.iter().map(|(number, ids)| (*number, ids.iter().map(code).collect())).collect())
    }
}

/// Whether each visitor of `website` has one code in all of `segments`, and no other visitor has it. A segment that cannot be read is
/// the error.
pub(crate) fn agree(segments: &[Arc<Segment>], website: WebsiteId) -> Result<bool, SegmentError> {
    let groups: Vec<_> = coded_groups(segments, website).collect();
    let mut ids = 0;
    for (segment, range) in &groups {
        ids += segment.unpacked_bytes(range.group, ColumnId::Visitor)? / size_of::<u64>();
    }
    let bits = (ids / CHECKED_IDS).next_power_of_two().trailing_zeros();
    let mut is_used = vec![0_u64; (end_of_codes(segments, website) as usize).div_ceil(64)];
    for part in 0..1_u64 << bits {
        let mut pairs: Vec<(u64, u32)> = Vec::new();
        for (segment, range) in &groups {
            let Some(codes) = segment.read_codes(range.group)? else { continue };
            let ids = segment.read_ids(range.group, ColumnId::Visitor)?;
            let spread = ids.into_iter().map(spread).zip(codes);
            pairs.extend(spread.filter(|(id, _)| id.checked_shr(u64::BITS - bits).unwrap_or(0) == part));
        }
        pairs.sort_unstable();
        pairs.dedup();
        if pairs.array_windows().any(|[one, other]| one.0 == other.0) {
            return Ok(false);
        }
        for (_, code) in pairs {
            let (word, bit) = (&mut is_used[code as usize / 64], 1 << (code % 64));
            if *word & bit != 0 {
                return Ok(false);
            }
            *word |= bit;
        }
    }
    Ok(true)
}

/// A website of which [`agree`] does not hold, in words.
pub(crate) fn disagreement(website: WebsiteId) -> String {
    format!("the segments of website {website} have different codes for a visitor, or one code for two")
}

/// The websites that have codes in `segments`.
pub(crate) fn websites_with_codes(segments: &[Arc<Segment>]) -> BTreeSet<WebsiteId> {
    let sites = segments.iter().flat_map(|segment| segment.meta.sites.iter().map(move |range| (segment, range)));
    sites.filter(|(segment, range)| segment.has_codes(range.group)).map(|(_, range)| range.website).collect()
}

#[cfg(test)]
mod tests;
