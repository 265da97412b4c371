//! Whose visitors are counted at once, and of whom pairs are kept.

use std::borrow::Cow;

use super::super::distinct::{NONE, Pairs, count, count_mostly_single, for_each_group};
use super::super::select::Scan;
use super::super::work::Bits;
use super::pairs::{DistinctPairs, spread};
use super::walk::Long;
use crate::QueryError;

/// What is done with the visitors of a piece.
pub(super) struct Roles {
    /// Nothing of them is in another piece: they are counted here.
    alone: Bits,
    /// Of these pairs are kept.
    kept: Bits,
    has_alone: bool,
    /// Whether pairs of all are kept.
    is_all_kept: bool,
}

impl Long<'_> {
    pub(super) fn roles(&self, scan: &Scan<'_>, pairs: &DistinctPairs, is_first_pass: bool) -> Roles {
        let ids = scan.dataset.visitor_ids;
        let (mut alone, mut kept) = (Bits::new(ids.len()), Bits::new(ids.len()));
        let mut is_all_kept = true;
        for (code, &id) in (0..).zip(ids.iter()) {
            let spread = spread(id);
            let is_alone = self.is_alone(spread);
            let is_kept = !is_alone && pairs.holds(spread);
            // They were counted in the first pass.
            alone.insert_if(code, is_alone && is_first_pass);
            kept.insert_if(code, is_kept);
            is_all_kept &= is_kept;
        }
        Roles { has_alone: !alone.is_empty(), alone, kept, is_all_kept }
    }
}

impl Roles {
    /// Counts `visitors`, or keeps pairs of them, for `group`.
    pub(super) fn add_set(&self, scan: &Scan<'_>, pairs: &mut DistinctPairs, visitors: &Bits, group: u32) {
        let mut alone = 0;
        for code in visitors.iter() {
            if self.kept.contains(code) {
                pairs.add(group, spread(scan.dataset.visitor_ids[code as usize]));
            } else {
                alone += u64::from(self.alone.contains(code));
            }
        }
        pairs.count_of_group(group, alone);
    }

    /// Counts a visitor, or keeps a pair, for `group`.
    pub(super) fn add_one(&self, scan: &Scan<'_>, pairs: &mut DistinctPairs, visitor: u32, group: u32) {
        if self.kept.contains(visitor) {
            pairs.add(group, spread(scan.dataset.visitor_ids[visitor as usize]));
        } else {
            pairs.count_of_group(group, u64::from(self.alone.contains(visitor)));
        }
    }

    /// Counts the visitors of groups, or keeps pairs of them. Groups that are not `shown` do not count; `whole` tells what the
    /// group of a piece is in the whole answer, `None` when it is not to be counted.
    pub(super) fn add_lists(
        &self,
        scan: &Scan<'_>,
        pairs: &mut DistinctPairs,
        lists: &[Pairs<'_>],
        shown: &[bool],
        is_mostly_single: bool,
        whole: &mut dyn FnMut(u32) -> Result<Option<u32>, QueryError>,
    ) -> Result<(), QueryError> {
        let visitors = scan.dataset.visitor_ids.len();
        if self.has_alone {
            let own = only(scan, lists, &self.alone)?;
            let count = if is_mostly_single { count_mostly_single } else { count };
            let found = count(scan.work, &own, shown, visitors)?;
            for (group, &count) in (0..).zip(&found.per_group) {
                if count > 0
                    && let Some(group) = whole(group)?
                {
                    pairs.count_of_group(group, u64::from(count));
                }
            }
            pairs.count_of_all(found.total);
        }
        let own;
        let kept = match self.is_all_kept {
            true => lists,
            false => {
                own = only(scan, lists, &self.kept)?;
                &own
            }
        };
        let mut stamps: Vec<u32> = scan.work.filled(NONE, visitors)?;
        let mut outcome = Ok(());
        for_each_group(scan.work, kept, shown, |group, codes| match whole(group) {
            Ok(Some(whole)) => {
                for &code in codes {
                    let stamp = &mut stamps[code as usize];
                    if *stamp != group {
                        *stamp = group;
                        pairs.add(whole, spread(scan.dataset.visitor_ids[code as usize]));
                    }
                }
            }
            Ok(None) => {}
            Err(error) => outcome = Err(error),
        })?;
        outcome
    }
}

/// The pairs of the visitors `which`.
fn only<'p>(scan: &Scan<'_>, lists: &[Pairs<'_>], which: &Bits) -> Result<Vec<Pairs<'p>>, QueryError> {
    let mut all = Vec::with_capacity(lists.len());
    for list in lists {
        let (mut groups, mut ids) = (Vec::new(), Vec::new());
        scan.work.for_each_block(0..list.ids.len(), |block| {
            // Every pair is written, and kept by moving on: no branch to guess wrong.
            let mut kept = ids.len();
            groups.resize(kept + block.len(), 0);
            ids.resize(kept + block.len(), 0);
            for (&group, &id) in list.groups[block.clone()].iter().zip(&list.ids[block]) {
                groups[kept] = group;
                ids[kept] = id;
                kept += usize::from(which.contains(id));
            }
            groups.truncate(kept);
            ids.truncate(kept);
        })?;
        scan.work.reserve::<[u32; 2]>(ids.len())?;
        all.push(Pairs { groups: Cow::Owned(groups), ids: Cow::Owned(ids) });
    }
    Ok(all)
}
