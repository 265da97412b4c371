//! The codes of visitors that are the same in all sections, and what is done with the visitors of a piece.
//!
//! Where sections have codes, these are taken. Where they do not, ids get codes as they are met, in a table that takes some 20 bytes for
//! each; when it takes too much, only those visitors get one who may be in several sections, and then the question is answered for a part
//! of the visitors at a time.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::distinct::{NONE, Pairs, for_each_group};
use super::super::work::{Bits, Work};
use super::Section;
use super::pairs::{DistinctPairs, PARTS, SharedVisitors, part_of, spread};
use super::threads::Queue;
use super::walk::{IdMap, Long, is_everyone};
use crate::{Condition, QueryError};

/// Stands for the code of a visitor whom the answer is not about.
pub(super) const NOT_COUNTED: u32 = u32::MAX;
/// Stands for the code of a visitor with all there is to count in one piece.
pub(super) const ALONE: u32 = u32::MAX - 1;

/// The visitors that one attempt is about, and those whom conditions choose.
pub(in crate::kernels) struct Part {
    /// Their ids, or the codes where there are codes, are in these parts.
    pub(super) parts: Range<usize>,
    /// The codes that were given to ids; `None` where sections have codes, or nobody asks for them.
    given: Option<Mutex<IdMap<u32>>>,
    conditions: Vec<Condition>,
    /// By condition, whom it chooses, by code.
    pub(super) chosen: Vec<Bits>,
}

/// The [`Part`] in one piece.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Limits<'a> {
    pub(super) part: &'a Part,
    /// The code of each visitor of the piece.
    pub(super) codes: &'a [u32],
}

impl Part {
    pub(super) fn new(parts: Range<usize>, gives_codes: bool, conditions: Vec<Condition>) -> Self {
        let chosen = vec![Bits::new(0); conditions.len()];
        Self { parts, given: gives_codes.then(Default::default), conditions, chosen }
    }

    /// Whether nobody is left out.
    pub(super) fn is_about_all(&self) -> bool {
        is_everyone(&self.parts)
    }

    /// All visitors, who have no codes.
    pub(super) fn everyone() -> Self {
        Self::new(0..PARTS, false, Vec::new())
    }

    /// Whether the visitor with this code was chosen by `condition`.
    pub(super) fn chooses(&self, condition: &Condition, code: u32) -> bool {
        let known = self.conditions.iter().zip(&self.chosen).find(|(known, _)| *known == condition);
        known.is_some_and(|(_, chosen)| chosen.may_contain(code))
    }

    pub(super) fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    pub(super) fn bytes_of_chosen(&self) -> usize {
        self.chosen.iter().map(Bits::bytes).sum()
    }

    fn given(&self) -> Option<MutexGuard<'_, IdMap<u32>>> {
        self.given.as_ref().map(|given| given.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn bytes_of_codes(&self) -> usize {
        let entries = self.given().map_or(0, |given| given.capacity());
        entries * (size_of::<(u64, u32)>() + 1)
    }
}

impl Limits<'_> {
    pub(in crate::kernels) fn is_about_all(&self) -> bool {
        is_everyone(&self.part.parts)
    }

    /// Whether the answer is about the visitor.
    pub(in crate::kernels) fn holds(&self, visitor: u32) -> bool {
        self.codes[visitor as usize] != NOT_COUNTED
    }

    /// Whether one of the conditions on visitors chooses the visitor.
    pub(in crate::kernels) fn chooses(&self, condition: &Condition, visitor: u32) -> bool {
        self.part.chooses(condition, self.codes[visitor as usize])
    }
}

/// Who the visitors of a section are: by their codes in all sections, or by their ids where there are no codes.
pub(super) enum Keys<'a> {
    Codes(Vec<u32>),
    Ids(&'a [u64]),
}

impl Keys<'_> {
    pub(super) fn of(&self, visitor: u32) -> u64 {
        match self {
            Self::Codes(codes) => codes[visitor as usize].into(),
            Self::Ids(ids) => ids[visitor as usize],
        }
    }
}

impl Long<'_> {
    /// Above all codes, or hardly below some.
    pub(super) fn codes_below(&self) -> u32 {
        self.stored_below.unwrap_or_else(|| self.rows_of_all().min(ALONE as usize) as u32)
    }

    pub(super) fn rows_of_all(&self) -> usize {
        self.source.spans().iter().map(|span| span.rows).sum()
    }

    /// Who the visitors of section `number` are.
    pub(super) fn keys<'s>(&self, number: usize, section: &'s Section) -> Result<Keys<'s>, QueryError> {
        if self.stored_below.is_none() {
            return Ok(Keys::Ids(&section.visitor_ids));
        }
        let mut codes = self.source.visitor_codes(number)?;
        // A head may have got visitors since, of rows that are not in the section.
        codes.resize(codes.len().max(section.visitor_ids.len()), NOT_COUNTED);
        Ok(Keys::Codes(codes))
    }

    /// The codes of the visitors of a section.
    pub(super) fn codes_of<'k>(&self, keys: &'k Keys<'_>, part: &Part) -> Result<Cow<'k, [u32]>, QueryError> {
        match keys {
            // Nobody is left out.
            Keys::Codes(codes) if is_everyone(&part.parts) && self.shared.get().is_none() => Ok(Cow::Borrowed(codes)),
            Keys::Codes(codes)
                if is_everyone(&part.parts)
                    && part.conditions.is_empty()
                    && let Some(shared) = self.shared.get() =>
            {
                let split = self.split_visitors();
                let is_alone = |code: u32| !shared.may_be_shared(code.into()) && !split.contains(&code.into());
                Ok(codes.iter().map(|&code| if is_alone(code) { ALONE } else { code }).collect())
            }
            Keys::Codes(codes) => self.codes_of_keys(codes.iter().map(|&code| code.into()), part).map(Cow::Owned),
            Keys::Ids(ids) => self.codes_of_keys(ids.iter().copied(), part).map(Cow::Owned),
        }
    }

    /// The codes of the visitors with these keys.
    pub(super) fn codes_of_keys(&self, keys: impl Iterator<Item = u64>, part: &Part) -> Result<Vec<u32>, QueryError> {
        let is_everyone = is_everyone(&part.parts);
        let has_codes = self.stored_below.is_some();
        let mut given = part.given();
        let code = |key: u64| {
            if !is_everyone && !part.parts.contains(&part_of(spread(key))) {
                return NOT_COUNTED;
            }
            if part.conditions.is_empty() && self.is_alone(key) {
                return ALONE;
            }
            match &mut given {
                _ if has_codes => key as u32,
                Some(given) => {
                    let next = given.len() as u32;
                    *given.entry(key).or_insert(next)
                }
                None => 0,
            }
        };
        let codes = keys.map(code).collect();
        drop(given);
        self.hold(&self.held.codes, part.bytes_of_codes())?;
        Ok(codes)
    }

    /// Whether all that there is of the visitor with this key is in one piece, as far as is known.
    fn is_alone(&self, key: u64) -> bool {
        self.is_in_one_section(key) && !self.split_visitors().contains(&key)
    }

    /// Whether the visitor with this key is in one section only, as far as is known.
    pub(super) fn is_in_one_section(&self, key: u64) -> bool {
        self.shared.get().is_some_and(|shared| !shared.may_be_shared(key))
    }

    /// The codes of the visitors of section `number`, of which nothing else is read.
    pub(super) fn codes_of_section(&self, number: usize, part: &Part) -> Result<Vec<u32>, QueryError> {
        match self.stored_below {
            Some(_) if part.is_about_all() && self.shared.get().is_none() => self.source.visitor_codes(number),
            Some(_) => Ok(self.codes_of(&Keys::Codes(self.source.visitor_codes(number)?), part)?.into_owned()),
            None => Ok(self.codes_of(&Keys::Ids(&self.source.visitor_ids(number)?), part)?.into_owned()),
        }
    }

    /// Finds out which visitors are in several sections, when there is memory for it: `false` when there is not, or when it is known.
    pub(super) fn find_shared(&self) -> Result<bool, QueryError> {
        if self.shared.get().is_some() {
            return Ok(false);
        }
        let shared = match self.stored_below {
            Some(below) => SharedVisitors::of_codes(below),
            None => SharedVisitors::of_ids(self.rows_of_all() / 2, self.may_hold / 5),
        };
        let threads = self.threads().get();
        if self.held.total() + shared.bytes() * threads > self.may_hold {
            return Ok(false);
        }
        self.hold(&self.held.shared, shared.bytes() * threads)?;
        self.budget.expect_parts(self.by_time.len() as u64);
        let is_told_by_visits = self.is_told_by_visits();
        let queue = Queue::new(&self.by_time, self.source.spans(), false);
        let mut parts = vec![shared];
        if let Some(below) = self.stored_below {
            parts.extend((1..threads).map(|_| SharedVisitors::of_codes(below)));
        }
        let share = |long: &Long<'_>, shared: &mut SharedVisitors| {
            while let Some(number) = queue.take() {
                long.budget.check()?;
                match long.stored_below {
                    _ if is_told_by_visits => long.share_by_visits(number, shared)?,
                    Some(_) => shared.add(long.source.visitor_codes(number)?.into_iter().map(u64::from)),
                    None => shared.add(long.source.visitor_ids(number)?.into_iter()),
                }
                long.budget.part_done();
            }
            Ok(())
        };
        let parts = self.on_threads(parts, |long, mut shared| {
            share(long, &mut shared).inspect_err(|_| queue.stop())?;
            Ok(shared)
        })?;
        let shared = parts.into_iter().reduce(|shared, other| shared.with(&other));
        let Some(shared) = shared.map(Arc::new) else { return Ok(false) };
        self.hold(&self.held.shared, shared.bytes())?;
        self.shared.get_or_init(|| shared);
        Ok(true)
    }
}

/// What is done with the visitors of a piece.
pub(super) struct Roles<'a> {
    pub(super) codes: &'a [u32],
    /// In later passes those who are alone were counted.
    pub(super) is_first_pass: bool,
}

impl Roles<'_> {
    /// Counts `visitors`, or adds pairs of them, for `group`.
    pub(super) fn add_set(&self, pairs: &mut DistinctPairs, visitors: &Bits, group: u32) {
        visitors.iter().for_each(|visitor| self.add_one(pairs, visitor, group));
    }

    /// Counts a visitor, or adds a pair, for `group`.
    #[inline]
    pub(super) fn add_one(&self, pairs: &mut DistinctPairs, visitor: u32, group: u32) {
        match self.codes[visitor as usize] {
            NOT_COUNTED => {}
            ALONE => pairs.count_of_group(group, u64::from(self.is_first_pass)),
            code => pairs.add(group, code),
        }
    }

    /// Counts the visitors of groups, or adds pairs of them. Groups that are not `shown` do not count; `whole` tells what the
    /// group of a piece is in the whole answer, `None` when it is not to be counted.
    pub(super) fn add_lists(
        &self,
        work: &Work<'_>,
        pairs: &mut DistinctPairs,
        lists: &[Pairs<'_>],
        shown: &[bool],
        whole: &mut dyn FnMut(u32) -> Option<u32>,
    ) -> Result<(), QueryError> {
        let mut stamps: Vec<u32> = work.filled(NONE, self.codes.len())?;
        for_each_group(work, lists, shown, |group, visitors| {
            let Some(whole) = whole(group) else { return };
            for &visitor in visitors {
                let stamp = &mut stamps[visitor as usize];
                if *stamp != group {
                    let is_new = *stamp == NONE;
                    *stamp = group;
                    self.add_one(pairs, visitor, whole);
                    let is_alone = self.codes[visitor as usize] == ALONE;
                    pairs.count_of_all(u64::from(is_alone & is_new & self.is_first_pass));
                }
            }
        })
    }
}
