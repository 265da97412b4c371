//! Distinct ids per group.

use std::borrow::Cow;

use super::work::Work;
use crate::QueryError;

/// Stands for no code.
pub(super) const NONE: u32 = u32::MAX;

/// Pairs of a group and an id: the group and the id of a row stand at the same place.
pub(super) struct Pairs<'a> {
    pub(super) groups: Cow<'a, [u32]>,
    pub(super) ids: Cow<'a, [u32]>,
}

/// How many distinct ids each group has, and all shown groups together.
pub(super) struct Distinct {
    pub(super) per_group: Vec<u32>,
    pub(super) total: u64,
}

/// Counts when an id is nearly always in one group only, such as the country of a visitor: remembers the first group of
/// each id, and counts the pairs with another one apart.
pub(super) fn count_mostly_single(
    work: &Work<'_>,
    pairs: &[Pairs<'_>],
    shown: &[bool],
    ids: usize,
) -> Result<Distinct, QueryError> {
    let mut per_group: Vec<u32> = work.filled(0, shown.len())?;
    let mut home: Vec<u32> = work.filled(NONE, ids)?;
    let mut total = 0;
    let mut other_groups: Vec<u32> = Vec::new();
    let mut other_ids: Vec<u32> = Vec::new();
    for pairs in pairs {
        work.for_each_block(0..pairs.ids.len(), |block| {
            // Whether an id is new, at home or elsewhere is as good as chance, so nothing here is a branch: every pair is
            // written behind the list, and stays there when the list grows over it.
            let mut others = other_ids.len();
            other_ids.resize(others + block.len(), 0);
            other_groups.resize(others + block.len(), 0);
            for (&group, &id) in pairs.groups[block.clone()].iter().zip(&pairs.ids[block]) {
                let home = &mut home[id as usize];
                let known = *home;
                let shown = shown[group as usize];
                let is_new = (known == NONE) & shown;
                *home = if is_new { group } else { known };
                per_group[group as usize] += u32::from(is_new);
                total += u64::from(is_new);
                other_ids[others] = id;
                other_groups[others] = group;
                others += usize::from((known != NONE) & (known != group) & shown);
            }
            other_ids.truncate(others);
            other_groups.truncate(others);
        })?;
    }
    drop(home);
    if !other_ids.is_empty() {
        work.reserve::<[u32; 2]>(other_ids.len())?;
        let others = [Pairs { groups: Cow::Owned(other_groups), ids: Cow::Owned(other_ids) }];
        let others = count(work, &others, shown, ids)?;
        for (count, other) in per_group.iter_mut().zip(others.per_group) {
            *count += other;
        }
    }
    Ok(Distinct { per_group, total })
}

/// Counts in general: sorts the ids by group, then stamps each id with the last group it was seen in.
pub(super) fn count(work: &Work<'_>, pairs: &[Pairs<'_>], shown: &[bool], ids: usize) -> Result<Distinct, QueryError> {
    let mut total = 0;
    let mut per_group: Vec<u32> = work.filled(0, shown.len())?;
    let mut stamps: Vec<u32> = work.filled(NONE, ids)?;
    for_each_group(work, pairs, shown, |group, ids| {
        let mut count = 0;
        for &id in ids {
            let stamp = &mut stamps[id as usize];
            count += u32::from(*stamp != group);
            total += u64::from(*stamp == NONE);
            *stamp = group;
        }
        per_group[group as usize] = count;
    })?;
    Ok(Distinct { per_group, total })
}

/// Calls `visit` with each shown group that has pairs, and with its ids, in which an id may stand several times.
pub(super) fn for_each_group(
    work: &Work<'_>,
    pairs: &[Pairs<'_>],
    shown: &[bool],
    mut visit: impl FnMut(u32, &[u32]),
) -> Result<(), QueryError> {
    let rows: usize = pairs.iter().map(|pairs| pairs.ids.len()).sum();
    let mut ends: Vec<u32> = work.filled(0, shown.len())?;
    for pairs in pairs {
        work.for_each_block(0..pairs.groups.len(), |block| {
            for &group in &pairs.groups[block] {
                ends[group as usize] += 1;
            }
        })?;
    }
    // Each group's place to write to starts where it begins and comes to stand where it ends.
    let mut start = 0;
    for end in &mut ends {
        start += std::mem::replace(end, start);
    }
    let mut sorted: Vec<u32> = work.filled(0, rows)?;
    for pairs in pairs {
        work.for_each_block(0..pairs.ids.len(), |block| {
            for (&group, &id) in pairs.groups[block.clone()].iter().zip(&pairs.ids[block]) {
                let end = &mut ends[group as usize];
                sorted[*end as usize] = id;
                *end += 1;
            }
        })?;
    }
    let mut start = 0;
    for (group, (&end, &shown)) in ends.iter().zip(shown).enumerate() {
        if shown && start < end {
            visit(group as u32, &sorted[start as usize..end as usize]);
        }
        start = end;
    }
    work.check()
}
