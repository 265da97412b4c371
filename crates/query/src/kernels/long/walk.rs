//! Going through sections one by one, so that every session is whole somewhere.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use zenovay_domain::{Dimension, Event, EventKind, SESSION_MAX_MS, SessionId, Timestamp, VisitorId};

use super::super::select::Scan;
use super::super::work::{Bits, Work};
use super::codes::{Keys, Limits, NOT_COUNTED, Part};
use super::columns::asks_of_events_alone;
use super::pairs::{DistinctPairs, Held, PARTS, SharedVisitors, part_of, spread};
use super::threads::{Done, Queue};
use super::visits::{SplitVisit, VisitNeeds, VisitTimes, Visits, VisitsPiece};
use super::{Section, Sections, SessionShare};
use crate::needs::{columns_needed, conditions_on_visitors, is_about_sessions, live_window, session_window};
use crate::{
    Budget, Chunk, CodeSet, Column, ColumnSet, Dataset, DatasetBuilder, Derived, ListRef, MemoryDataset, NO_ROW, Query,
    QueryError, Question, SessionPart,
};

/// About what a row of [`Rest`] takes.
pub(super) const REST_ROW_BYTES: usize = size_of::<RestRow>() + 128;
/// Rows of [`Rest`] that are worth looking at.
const REST_ROWS: usize = 1 << 12;

/// Sessions that are looked for in a table, and rows of [`Rest`] that are gone through, between two looks at the budget: each may wait for
/// memory.
const BETWEEN_LOOKS: usize = 1 << 12;

/// Ids that are spread by a multiplication already.
#[derive(Debug, Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(self.0 ^ u64::from(byte)));
    }

    fn write_u64(&mut self, id: u64) {
        let spread = spread(id);
        self.0 = spread ^ (spread >> 32);
    }
}

pub(super) type IdMap<V> = HashMap<u64, V, BuildHasherDefault<Spread>>;
pub(super) type IdSet = HashSet<u64, BuildHasherDefault<Spread>>;

/// One question about sections.
pub(super) struct Long<'a> {
    pub(super) source: &'a dyn Sections,
    pub(super) query: &'a Query,
    pub(super) budget: &'a Budget,
    /// The bytes that may stay from section to section: what is left is for one section and its kernels.
    pub(super) may_hold: usize,
    /// Whether sessions are enough, where all of their rows are in the range.
    pub(super) is_about_sessions: bool,
    /// Whether each visitor counts once in a group, and no condition asks for what they do elsewhere.
    pub(super) counts_distinct: bool,
    /// Above the codes that sections have; `None` when they do not.
    pub(super) stored_below: Option<u32>,
    /// The numbers of the sections, in the order of their earliest rows.
    pub(super) by_time: Vec<usize>,
    /// Of each section the ids of its sessions that are in others, too, in the order of ids. None where nobody asks about sessions.
    pub(super) split: Arc<[Box<[u64]>]>,
    pub(super) held: Held,
    /// `None` until it is needed.
    pub(super) shared: OnceCell<Arc<SharedVisitors>>,
    /// Visitors of sessions that are in several sections, by their keys: their rows come in several pieces, which may be counted on several
    /// threads.
    pub(super) split_visitors: Arc<RwLock<IdSet>>,
    /// Whether it was the groups that took too much.
    pub(super) has_too_many_groups: Cell<bool>,
    /// The sections for each of several threads; none when there is one.
    pub(super) forks: RefCell<Vec<Box<dyn Sections + Send + 'a>>>,
}

/// Where a part of a walk stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    /// No piece to come has a row before this time, milliseconds.
    pub(super) earliest: i64,
    /// Nor one after this.
    pub(super) latest: i64,
}

/// What is counted at one time.
pub(super) enum Piece<'a> {
    /// Rows in which every session is whole.
    Rows(Rows<'a>),
    /// Sessions without their rows.
    Visits(VisitsPiece<'a>),
}

/// Rows in which every session is whole: of a section, or of sessions that are in several.
pub(super) struct Rows<'a> {
    pub(super) dataset: Dataset<'a>,
    /// The code that each visitor has in all sections.
    pub(super) codes: &'a [u32],
    origins: &'a [Origin],
    /// The number of the section, when all rows are from one.
    pub(super) section: Option<usize>,
    part: &'a Part,
    /// For the kernels.
    pub(super) budget: Budget,
}

/// Where the rows of a chunk come from.
#[derive(Debug)]
struct Origin {
    section: usize,
    /// The row of the section that each row was; `None` when it is the same.
    rows: Option<Vec<u32>>,
}

impl<'a> Piece<'a> {
    /// The rows: sessions without rows are given to those alone who ask about sessions.
    pub(super) fn rows(&self) -> Result<&Rows<'a>, QueryError> {
        match self {
            Self::Rows(rows) => Ok(rows),
            Self::Visits(_) => Err(QueryError::damaged("sessions without rows where rows are needed")),
        }
    }
}

impl Rows<'_> {
    /// The section that a row comes from, and its row there.
    pub(super) fn origin(&self, chunk: u32, row: u32) -> (usize, u32) {
        let origin = &self.origins[chunk as usize];
        (origin.section, origin.rows.as_ref().map_or(row, |rows| rows[row as usize]))
    }
}

impl<'a> Long<'a> {
    pub(super) fn new(
        source: &'a dyn Sections,
        query: &'a Query,
        budget: &'a Budget,
        may_hold: usize,
    ) -> Result<Self, QueryError> {
        let mut by_time: Vec<usize> = (0..source.spans().len()).collect();
        by_time.sort_by_key(|&number| source.spans()[number].min_at);
        let mut long = Self {
            source,
            query,
            budget,
            may_hold,
            is_about_sessions: is_about_sessions(query),
            stored_below: source.codes_below(budget)?,
            counts_distinct: !is_list(query)
                && !matches!(query.question, Question::NewVisitors { .. })
                && conditions_on_visitors(query).is_empty(),
            by_time,
            split: Arc::default(),
            held: Held::default(),
            shared: OnceCell::new(),
            split_visitors: Arc::default(),
            has_too_many_groups: Cell::new(false),
            forks: RefCell::default(),
        };
        long.split = match asks_of_events_alone(query) {
            true => vec![Box::default(); long.source.spans().len()].into(),
            false => long.find_split_sessions()?.into(),
        };
        long.hold(&long.held.sessions, long.split_bytes())?;
        long.forks.replace(long.fork());
        Ok(long)
    }

    /// Notes that `what` takes `bytes`.
    pub(super) fn hold(&self, what: &Cell<usize>, bytes: usize) -> Result<(), QueryError> {
        what.set(bytes);
        let total = self.held.total();
        if total > self.may_hold {
            return Err(QueryError::MemoryExceeded);
        }
        self.budget.check_memory(total)
    }

    /// The sessions that are in several sections: of all session ids together, or of a part of them at a time.
    fn find_split_sessions(&self) -> Result<Vec<Box<[u64]>>, QueryError> {
        let mut split: Vec<Vec<u64>> = vec![Vec::new(); self.source.spans().len()];
        let (mut first, mut count) = (0, PARTS);
        while first < PARTS {
            match self.compare_sessions(first..(first + count).min(PARTS), &mut split) {
                Ok(()) => first += count,
                Err(QueryError::MemoryExceeded) if count > 1 => count /= 2,
                Err(error) => return Err(error),
            }
        }
        let work = Work::new(self.budget);
        let in_order = |mut ids: Vec<u64>| -> Result<Box<[u64]>, QueryError> {
            work.sort_by(&mut ids, u64::cmp)?;
            ids.dedup();
            Ok(ids.into_boxed_slice())
        };
        split.into_iter().map(in_order).collect()
    }

    /// Adds those sessions of `parts` to `split` that are in several sections, some several times. Sections within the length of a
    /// session are compared, in the order of time.
    fn compare_sessions(&self, parts: Range<usize>, split: &mut [Vec<u64>]) -> Result<(), QueryError> {
        struct Holder {
            section: u32,
            is_noted: bool,
        }
        let spans = self.source.spans();
        let mut holders: IdMap<Holder> = IdMap::default();
        let mut since_retained = 0;
        self.budget.expect_parts(self.by_time.len() as u64);
        for &number in &self.by_time {
            self.budget.check()?;
            let is_over = |holder: &Holder| {
                spans[holder.section as usize].max_at.saturating_add(SESSION_MAX_MS) < spans[number].min_at
            };
            let mut ids = self.source.session_ids(number)?;
            if !is_everyone(&parts) {
                ids.retain(|&id| parts.contains(&part_of(spread(id))));
            }
            self.budget.check()?;
            since_retained += ids.len();
            if since_retained > holders.capacity() / 2 {
                holders.retain(|_, holder| !is_over(holder));
                since_retained = ids.len();
            }
            for ids in ids.chunks(BETWEEN_LOOKS) {
                self.budget.check()?;
                for &id in ids {
                    match holders.get_mut(&id) {
                        Some(holder) if holder.section as usize != number && !is_over(holder) => {
                            split[number].push(id);
                            if !std::mem::replace(&mut holder.is_noted, true) {
                                split[holder.section as usize].push(id);
                            }
                        }
                        _ => drop(holders.insert(id, Holder { section: number as u32, is_noted: false })),
                    }
                }
            }
            let noted: usize = split.iter().map(|ids| ids.capacity() * size_of::<u64>()).sum();
            self.hold(&self.held.sessions, holders.capacity() * (size_of::<(u64, Holder)>() + 1) + noted)?;
            self.budget.part_done();
        }
        Ok(())
    }

    pub(super) fn split_bytes(&self) -> usize {
        self.split.iter().map(|ids| size_of_val(&**ids)).sum::<usize>() + self.split_visitors().capacity() * 9
    }

    pub(super) fn split_visitors(&self) -> RwLockReadGuard<'_, IdSet> {
        self.split_visitors.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn split_visitors_to_change(&self) -> RwLockWriteGuard<'_, IdSet> {
        self.split_visitors.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ids of those sessions of a section that are in others, too, in the order of ids.
    pub(super) fn split_of(&self, number: usize) -> &[u64] {
        &self.split[number]
    }

    /// What is left of the budget for a section.
    pub(super) fn left(&self) -> Budget {
        self.budget.after(self.held.total())
    }

    /// The rows of a section, and what is left for the kernels beside them.
    pub(super) fn rows(&self, number: usize, columns: ColumnSet) -> Result<(Section, Budget), QueryError> {
        let left = self.left().unreported();
        let section = self.source.rows(number, columns, &left)?;
        let left = left.after(section.bytes());
        Ok((section, left))
    }

    /// Whether all rows of a section are in the range.
    pub(super) fn is_in_range(&self, number: usize) -> bool {
        let (span, range) = (&self.source.spans()[number], self.query.range);
        span.min_at >= range.from.as_millis() && span.max_at < range.to.as_millis()
    }

    /// The sessions of a section without their rows, when they are known and all rows are in the range, and what is left for the
    /// kernels beside them.
    pub(super) fn visits(&self, number: usize, needs: VisitNeeds) -> Result<Option<(Visits, Budget)>, QueryError> {
        if !self.is_in_range(number) {
            return Ok(None);
        }
        let needs = VisitNeeds {
            sessions: needs.sessions || !self.split[number].is_empty(),
            session_ids: !self.split[number].is_empty(),
            visitor_ids: self.stored_below.is_none(),
            ..needs
        };
        let left = self.left().unreported();
        let Some(visits) = self.source.visits(number, needs, &left)? else { return Ok(None) };
        let left = left.after(visits.bytes());
        Ok(Some((visits, left)))
    }

    /// The sessions of a section without their rows, for [`Long::visit_visits`]: with what the question asks of each, and what must
    /// be known of those that are in other sections, too.
    fn visits_to_count(&self, number: usize, columns: ColumnSet) -> Result<Option<Counted>, QueryError> {
        let needs = VisitNeeds { columns, ..VisitNeeds::default() };
        let needs = match &self.query.question {
            Question::Breakdown(group_by) => VisitNeeds { counts: true, metrics: group_by.wants_sessions(), ..needs },
            Question::NewVisitors { .. } => VisitNeeds { starts: true, ..needs },
            _ => VisitNeeds { metrics: true, ..needs },
        };
        self.visits_with_split(number, needs)
    }

    /// The sessions of a section without their rows, when they are known and all rows are in the range, with those that are in other
    /// sections, too.
    pub(super) fn visits_with_split(&self, number: usize, needs: VisitNeeds) -> Result<Option<Counted>, QueryError> {
        if !self.is_in_range(number) {
            return Ok(None);
        }
        let mut needs = VisitNeeds { visitor_ids: self.stored_below.is_none(), ..needs };
        let known = self.split_by_digest(number)?;
        if known.is_none() {
            (needs.sessions, needs.session_ids, needs.metrics, needs.starts) = (true, true, true, true);
            needs.times |= needs.columns.contains(Dimension::Path);
        }
        let left = self.left().unreported();
        let Some(visits) = self.source.visits(number, needs, &left)? else { return Ok(None) };
        let split = match known {
            Some(mut split) => {
                for visit in &mut split {
                    let visitor = visits.visitor.get(visit.position as usize);
                    visit.part.visitor = *visitor.ok_or_else(|| QueryError::damaged("a digest of other visits"))?;
                }
                split
            }
            None => {
                let ids = &visits.section.session_ids;
                let is_split = codes_of(&self.split[number], ids);
                let positions = (0..).zip(&visits.session).filter(|(_, session)| is_split.contains(**session));
                let visit = |(position, &session): (u32, &u32)| SplitVisit {
                    id: ids[session as usize],
                    position,
                    part: visits.part(position as usize),
                    times: visits.times.get(position as usize).copied().unwrap_or_default(),
                };
                positions.map(visit).collect()
            }
        };
        let left = left.after(visits.bytes() + split.capacity() * size_of::<SplitVisit>());
        Ok(Some(Counted { visits, split, left }))
    }

    /// The sessions of a section that are in others, too, in the order of their positions, as its digest tells; `None` when it does not
    /// know where all of them stand.
    fn split_by_digest(&self, number: usize) -> Result<Option<Vec<SplitVisit>>, QueryError> {
        let ids = &self.split[number];
        if ids.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let Some(known) = self.source.digest(number)? else { return Ok(None) };
        let open = known.digest.open.iter().zip(&known.open_places);
        let split = open.filter(|(share, _)| ids.binary_search(&share.session).is_ok());
        let visit = |(share, &(position, times)): (&SessionShare, &(u32, VisitTimes))| SplitVisit {
            id: share.session,
            position,
            part: share.part(),
            times,
        };
        let mut split: Vec<SplitVisit> = split.map(visit).collect();
        split.sort_unstable_by_key(|visit| visit.position);
        Ok((split.len() == ids.len()).then_some(split))
    }

    /// Calls `visit` with pieces that have each row of the sections `numbers` once, which must stand in the order of their earliest
    /// rows, or from the latest backwards. Rows of visitors outside of `part` may be left out. After each section `next` is told what is to come.
    pub(super) fn walk(
        &self,
        numbers: &[usize],
        backwards: bool,
        part: &Part,
        columns: ColumnSet,
        visit: &mut dyn FnMut(&Piece<'_>) -> Result<(), QueryError>,
        next: &mut dyn FnMut(Ahead) -> Result<ControlFlow<()>, QueryError>,
    ) -> Result<(), QueryError> {
        let queue = Queue::new(numbers, self.source.spans(), backwards);
        self.budget.expect_parts(numbers.len() as u64);
        self.walk_queue(&queue, part, columns, visit, next)
    }

    /// The same of those sections of a walk that this thread takes. Of other threads' sections it may get rows of sessions that are in several.
    pub(super) fn walk_queue(
        &self,
        queue: &Queue<'_>,
        part: &Part,
        columns: ColumnSet,
        visit: &mut dyn FnMut(&Piece<'_>) -> Result<(), QueryError>,
        next: &mut dyn FnMut(Ahead) -> Result<ControlFlow<()>, QueryError>,
    ) -> Result<(), QueryError> {
        let worth = REST_ROWS.min(self.may_hold / 32 / REST_ROW_BYTES);
        while let Some(number) = queue.take() {
            self.budget.check()?;
            let mut rest = Rest::default();
            let visits = if self.is_about_sessions { self.visits_to_count(number, columns)? } else { None };
            match visits {
                Some(counted) => self.visit_visits(number, &counted, part, &mut rest, visit)?,
                None => {
                    let (section, left) = self.rows(number, columns)?;
                    self.visit_section(number, &section, left, part, &mut rest, visit)?;
                }
            }
            let Done { whole, ahead, rest_bytes } = queue.done(number, rest, worth);
            self.held.sessions.set(self.split_bytes());
            self.held.rest.set(rest_bytes);
            self.visit_rest(whole, part, visit)?;
            self.hold(&self.held.rest, rest_bytes)?;
            self.budget.part_done();
            if next(ahead)?.is_break() {
                break;
            }
        }
        self.held.rest.set(0);
        self.hold(&self.held.sessions, self.split_bytes())
    }

    fn visit_section(
        &self,
        number: usize,
        section: &Section,
        budget: Budget,
        part: &Part,
        rest: &mut Rest,
        visit: &mut dyn FnMut(&Piece<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let mut origin = Origin { section: number, rows: None };
        let own;
        let mut chunk = &section.chunk;
        // Each of the steps goes through all rows, visitors or sessions of the section.
        self.budget.check()?;
        let keys = self.keys(number, section)?;
        if !self.split[number].is_empty() {
            let visitors = chunk.sessions.iter().map(|part| (part.session, part.visitor));
            let (is_split, given) = self.split_codes(number, section, &keys, visitors, part);
            self.budget.check()?;
            section.give_rows(number, &given, (&keys, self.is_about_sessions), rest);
            self.hold_rest(rest)?;
            self.budget.check()?;
            let (without, kept) = chunk.without(&is_split);
            own = without;
            origin.rows = Some(kept);
            chunk = &own;
        }
        if chunk.sessions.is_empty() {
            return Ok(());
        }
        let dataset = Dataset {
            chunks: &[chunk],
            dictionaries: &section.dictionaries,
            visitor_ids: ListRef::from(&section.visitor_ids[..]),
            session_ids: ListRef::from(&section.session_ids[..]),
            split_sessions: CodeSet::EMPTY,
        };
        self.budget.check()?;
        let codes = self.codes_of(&keys, part)?;
        visit(&Piece::Rows(Rows { dataset, codes: &codes, origins: &[origin], section: Some(number), part, budget }))
    }

    /// The same of sessions without their rows.
    fn visit_visits(
        &self,
        number: usize,
        counted: &Counted,
        part: &Part,
        rest: &mut Rest,
        visit: &mut dyn FnMut(&Piece<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let Counted { visits, split, left } = counted;
        let keys = self.keys(number, &visits.section)?;
        let mut row = 0;
        for visit in split {
            let key = keys.of(visit.part.visitor);
            self.split_visitors_to_change().insert(key);
            if part.parts.contains(&part_of(spread(key))) {
                visits.give_events(number, visit, &mut row, key, rest);
            }
        }
        self.hold_rest(rest)?;
        let codes = self.codes_of(&keys, part)?;
        let split: Vec<u32> = split.iter().map(|visit| visit.position).collect();
        let highest_code = codes.iter().copied().max().unwrap_or(0);
        visit(&Piece::Visits(VisitsPiece { visits, codes: &codes, highest_code, split: &split, part, budget: left }))
    }

    /// The codes of those sessions of a section that are in others, too, and of those of them whose visitors are in `part`. `visitors`
    /// has the codes of all sessions and of their visitors.
    fn split_codes(
        &self,
        number: usize,
        section: &Section,
        keys: &Keys<'_>,
        visitors: impl Iterator<Item = (u32, u32)>,
        part: &Part,
    ) -> (Bits, Bits) {
        let is_split = codes_of(&self.split[number], &section.session_ids);
        let mut given = Bits::new(section.session_ids.len());
        let mut split_visitors = self.split_visitors_to_change();
        for (session, visitor) in visitors.filter(|(session, _)| is_split.contains(*session)) {
            let key = keys.of(visitor);
            given.insert_if(session, part.parts.contains(&part_of(spread(key))));
            split_visitors.insert(key);
        }
        (is_split, given)
    }

    /// Notes what rows take that a section leaves.
    fn hold_rest(&self, rest: &Rest) -> Result<(), QueryError> {
        self.hold(&self.held.sessions, self.split_bytes() + rest.rows.capacity() * REST_ROW_BYTES)
    }

    fn visit_rest(
        &self,
        mut rows: Vec<RestRow>,
        part: &Part,
        visit: &mut dyn FnMut(&Piece<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        if rows.is_empty() {
            return Ok(());
        }
        // Chunks stand in the order of the arrival of their rows. What is in order in parts is put together in a fraction of the time.
        let place = |row: &RestRow| (row.section, row.row);
        for rows in rows.chunks_mut(BETWEEN_LOOKS) {
            self.budget.check()?;
            rows.sort_by_key(place);
        }
        self.budget.check()?;
        rows.sort_by_key(place);
        self.budget.check()?;
        let budget = self.left().unreported().after(rows.len() * REST_ROW_BYTES);
        let mut builder = DatasetBuilder::default();
        let mut origins = Vec::new();
        let mut keys: IdMap<u64> = IdMap::default();
        for rows in rows.chunk_by(|a, b| a.section == b.section) {
            for rows in rows.chunks(BETWEEN_LOOKS) {
                self.budget.check()?;
                for row in rows {
                    builder.push(&row.event);
                    keys.insert(row.event.visitor.0, row.visitor_key);
                }
            }
            builder.end_chunk();
            let events = rows.iter().filter(|row| row.row != NO_ROW).map(|row| row.row);
            origins.push(Origin { section: rows[0].section, rows: Some(events.collect()) });
        }
        drop(rows);
        let data: MemoryDataset = builder.finish();
        let chunks = data.chunks();
        let dataset = data.dataset(&chunks);
        let codes = self.codes_of_keys(dataset.visitor_ids.iter().map(|id| keys[id]), part)?;
        visit(&Piece::Rows(Rows { dataset, codes: &codes, origins: &origins, section: None, part, budget }))
    }

    /// Hands a scan of `rows` to `kernel`: of the visitors of the part that is answered for.
    pub(super) fn with_scan<T>(
        &self,
        rows: &Rows<'_>,
        kernel: impl FnOnce(&Scan<'_>) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        let Query { range, ref filter, .. } = *self.query;
        let window = match self.query.question {
            Question::Live => live_window(range, filter),
            _ => session_window(range),
        };
        let work = Work::new(&rows.budget);
        let limits = Some(Limits { part: rows.part, codes: rows.codes });
        kernel(&Scan { limits, ..Scan::new(&rows.dataset, range, window, &work) })
    }

    /// Goes through the rows of the visitors of `part` as often as there are passes, on as many threads as there are `counts`, and gives these
    /// and the pairs when all are counted. `visit` gets each piece, what is counted on its thread, and whether it is the first pass. `groups`
    /// tells which groups of the first thread those of another are. `complete` tells whether a group has no other pair when no row to come is
    /// before a time: with one thread alone that is known.
    pub(super) fn in_passes<T: Send>(
        &self,
        part: &Part,
        mut counts: Vec<T>,
        visit: impl Fn(&Long<'_>, &Piece<'_>, &mut T, &mut DistinctPairs, bool) -> Result<(), QueryError> + Sync,
        mut groups: impl FnMut(&mut T, &T) -> Option<Vec<u32>>,
        complete: impl Fn(u32, i64) -> bool + Sync,
    ) -> Result<(Vec<T>, DistinctPairs), QueryError> {
        let is_one = counts.len() == 1;
        let mut pairs: Vec<DistinctPairs> = counts.iter().map(|_| DistinctPairs::new(self.codes_below())).collect();
        let mut is_first_pass = true;
        loop {
            let queue = Queue::new(&self.by_time, self.source.spans(), false);
            self.budget.expect_parts(self.by_time.len() as u64);
            let inputs = counts.into_iter().zip(pairs).collect();
            let counted = self.on_threads(inputs, |long, (mut counts, mut pairs)| {
                let ahead = Cell::new(i64::MIN);
                let walked = long.walk_queue(
                    &queue,
                    part,
                    columns_needed(long.query),
                    &mut |piece| {
                        visit(long, piece, &mut counts, &mut pairs, is_first_pass)?;
                        long.fit(&mut pairs, |group| is_one && complete(group, ahead.get()))
                    },
                    &mut |next| {
                        ahead.set(next.earliest);
                        Ok(ControlFlow::Continue(()))
                    },
                );
                walked.inspect_err(|_| queue.stop())?;
                Ok((counts, pairs))
            })?;
            (counts, pairs) = counted.into_iter().unzip();
            is_first_pass = false;
            let (first, others) = counts.split_at_mut(1);
            let groups: Vec<_> = others.iter().map(|other| groups(&mut first[0], other)).collect();
            if !DistinctPairs::next_pass_of(&mut pairs, &groups, self.budget)? {
                return Ok((counts, pairs.swap_remove(0)));
            }
        }
    }

    /// The visitors in `parts`, with those whom the conditions on visitors choose.
    pub(super) fn part(&self, parts: Range<usize>) -> Result<Part, QueryError> {
        let conditions = conditions_on_visitors(self.query);
        let has_codes = self.stored_below.is_some();
        let mut part = Part::new(parts, !(has_codes || is_list(self.query) && conditions.is_empty()), conditions);
        if part.conditions().is_empty() {
            return Ok(part);
        }
        let columns =
            part.conditions().iter().fold(ColumnSet::default(), |set, condition| set.with(condition.field.column()));
        let mut chosen = std::mem::take(&mut part.chosen);
        self.walk(
            &self.by_time,
            false,
            &part,
            columns,
            &mut |piece| {
                let mut add = |codes: &[u32], number: usize, visitors: &Bits| {
                    let codes = visitors.iter().map(|visitor| codes[visitor as usize]);
                    codes.filter(|&code| code != NOT_COUNTED).for_each(|code| chosen[number].grow_and_insert(code));
                };
                for (condition, number) in part.conditions().iter().zip(0..) {
                    match piece {
                        Piece::Rows(rows) => {
                            let visitors = self.with_scan(rows, |scan| scan.chosen_by(condition))?;
                            add(rows.codes, number, &visitors);
                        }
                        Piece::Visits(visits) => {
                            let visitors = visits.visitors_of(condition, &Work::new(visits.budget))?;
                            add(visits.codes, number, &visitors);
                        }
                    }
                }
                self.hold(&self.held.chosen, chosen.iter().map(Bits::bytes).sum())
            },
            &mut |_| Ok(ControlFlow::Continue(())),
        )?;
        part.chosen = chosen;
        self.hold(&self.held.chosen, part.bytes_of_chosen())?;
        Ok(part)
    }

    /// Whether there are so many rows that it is worth knowing the shared visitors before the first one is counted.
    pub(super) fn has_many_rows(&self) -> bool {
        self.rows_of_all().saturating_mul(4) > self.may_hold
    }

    /// Nothing is held any more of what an attempt held.
    pub(super) fn forget(&self) {
        self.held.codes.set(0);
        self.held.chosen.set(0);
        self.held.groups.set(0);
        self.held.pairs.set(0);
        self.held.rest.set(0);
        self.held.sessions.set(self.split_bytes());
    }

    /// Makes the pairs take less when they take too much. Groups that are `complete` will have no other pair.
    pub(super) fn fit(&self, pairs: &mut DistinctPairs, complete: impl Fn(u32) -> bool) -> Result<(), QueryError> {
        let room = |long: &Self| {
            long.may_hold.saturating_sub(long.held.total() - long.held.pairs.get()).max(long.may_hold / 16)
        };
        if pairs.bytes() > room(self) / 8 * 7 {
            pairs.settle(self.budget, complete)?;
            // Pairs in order take about half of what they took before.
            let most = room(self) / 8 * 6;
            if pairs.bytes() > most {
                pairs.fit(most)?;
            }
        }
        self.hold(&self.held.pairs, pairs.bytes())
    }
}

/// Rows of sessions that are in several sections, until there are all of a session.
#[derive(Debug, Default)]
pub(super) struct Rest {
    pub(super) rows: Vec<RestRow>,
}

#[derive(Debug)]
pub(super) struct RestRow {
    section: usize,
    /// Its row there; [`NO_ROW`] of a heartbeat.
    row: u32,
    pub(super) at: i64,
    event: Event,
    /// Who the visitor is in all sections: ids may not have been read.
    visitor_key: u64,
}

impl Rest {
    /// Takes the rows of the sessions of which `is_whole` holds for one row's time.
    pub(super) fn take_whole(&mut self, is_whole: impl Fn(i64) -> bool) -> Vec<RestRow> {
        let whole: IdSet = self.rows.iter().filter(|row| is_whole(row.at)).map(|row| row.event.session.0).collect();
        if whole.is_empty() {
            return Vec::new();
        }
        self.rows.extract_if(.., |row| whole.contains(&row.event.session.0)).collect()
    }

    /// Of heartbeats one a session is enough: it has the last activity and the engagement of all rows.
    fn give_heartbeat(&mut self, number: usize, session: u64, part: &SessionPart, (name, visitor_key): (u64, u64)) {
        let at = Timestamp::from_millis(part.last_at);
        let mut event = Event::new(EventKind::Heartbeat, at, VisitorId(name), SessionId(session));
        event.engagement_ms = u32::try_from(part.engagement_ms).unwrap_or(u32::MAX);
        self.rows.push(RestRow { section: number, row: NO_ROW, at: part.last_at, event, visitor_key });
    }
}

impl Section {
    /// Gives the rows of the sessions `which` to `rest`. Visitors are named by their keys where sessions without rows are, too.
    fn give_rows(&self, number: usize, which: &Bits, (keys, by_key): (&Keys<'_>, bool), rest: &mut Rest) {
        let chunk = &self.chunk;
        for row in (0..chunk.at.len()).filter(|&row| which.contains(chunk.session[row])) {
            let kind = EventKind::from_code(chunk.kind[row]).unwrap_or(EventKind::Custom);
            let visitor_key = keys.of(chunk.visitor[row]);
            let name = if by_key { visitor_key } else { self.visitor_ids[chunk.visitor[row] as usize] };
            let session = SessionId(self.session_ids[chunk.session[row] as usize]);
            let mut event = Event::new(kind, Timestamp::from_millis(chunk.at[row]), VisitorId(name), session);
            for &dimension in Dimension::ALL {
                if let Some(column) = &chunk.columns[dimension as usize] {
                    event.dimensions.set(dimension, &self.dictionaries[dimension as usize].texts[column[row] as usize]);
                }
            }
            rest.rows.push(RestRow { section: number, row: row as u32, at: chunk.at[row], event, visitor_key });
        }
        for part in chunk.sessions.iter().filter(|part| which.contains(part.session)) {
            let visitor_key = keys.of(part.visitor);
            let name = if by_key { visitor_key } else { self.visitor_ids[part.visitor as usize] };
            rest.give_heartbeat(number, self.session_ids[part.session as usize], part, (name, visitor_key));
        }
    }
}

/// Sessions without their rows, and those of them that are in other sections, too.
pub(super) struct Counted {
    pub(super) visits: Visits,
    /// In the order of their positions.
    pub(super) split: Vec<SplitVisit>,
    /// What is left for the kernels.
    pub(super) left: Budget,
}

impl Visits {
    /// Gives events of a session to `rest`, as far as its numbers tell: as rows from `row` on.
    fn give_events(&self, number: usize, visit: &SplitVisit, row: &mut u32, visitor_key: u64, rest: &mut Rest) {
        if (visit.position as usize) < self.with_events {
            for event in self.events(visit, visitor_key) {
                rest.rows.push(RestRow { section: number, row: *row, at: event.at.as_millis(), event, visitor_key });
                *row += 1;
            }
        }
        rest.give_heartbeat(number, visit.id, &visit.part, (visitor_key, visitor_key));
    }
}

impl Chunk {
    /// The chunk without the sessions `which`, and the row that each of its rows was.
    fn without(&self, which: &Bits) -> (Self, Vec<u32>) {
        // Runs of rows that stay: few sessions are taken out.
        let mut runs: Vec<Range<usize>> = Vec::new();
        let mut start = 0;
        for (row, &session) in self.session.iter().enumerate() {
            if which.contains(session) {
                runs.push(start..row);
                start = row + 1;
            }
        }
        runs.push(start..self.at.len());
        let mut kept: Vec<u32> = Vec::with_capacity(self.at.len());
        let mut new_rows = vec![NO_ROW; self.at.len()];
        for run in &runs {
            let first = kept.len() as u32;
            kept.extend(run.start as u32..run.end as u32);
            new_rows[run.clone()].iter_mut().zip(first..).for_each(|(new, number)| *new = number);
        }
        let new_row = |row: u32| new_rows.get(row as usize).copied().unwrap_or(NO_ROW);
        let pick = |column: &[u32]| -> Column { stay(column, &runs).into() };
        let parts = self.sessions.iter().filter(|part| !which.contains(part.session));
        let chunk = Self {
            at: stay(&self.at, &runs).into(),
            kind: stay(&self.kind, &runs).into(),
            visitor: pick(&self.visitor),
            session: pick(&self.session),
            columns: std::array::from_fn(|number| self.columns[number].as_deref().map(pick)),
            sessions: parts
                .map(|part| SessionPart {
                    first_row: new_row(part.first_row),
                    last_row: new_row(part.last_row),
                    entry_row: new_row(part.entry_row),
                    exit_row: new_row(part.exit_row),
                    ..*part
                })
                .collect(),
            derived: Derived::default(),
        };
        (chunk, kept)
    }
}

/// The values in `runs`.
fn stay<T: Copy>(values: &[T], runs: &[Range<usize>]) -> Vec<T> {
    let mut kept = Vec::with_capacity(values.len());
    runs.iter().for_each(|run| kept.extend_from_slice(&values[run.clone()]));
    kept
}

/// The codes of those ids that are among `some`, which stand in their order. `ids` has the id of each code.
pub(super) fn codes_of(some: &[u64], ids: &[u64]) -> Bits {
    let place = |id: u64| (spread(id) >> 48) as u32;
    // Nearly all are not, and a bit tells that they are not.
    let mut may_be = Bits::new(1 << 16);
    some.iter().for_each(|&id| may_be.insert(place(id)));
    let mut codes = Bits::new(ids.len());
    for (&id, code) in ids.iter().zip(0..) {
        if may_be.contains(place(id)) {
            codes.insert_if(code, some.binary_search(&id).is_ok());
        }
    }
    codes
}

/// Whether `query` asks for a list, which does not count who is distinct.
fn is_list(query: &Query) -> bool {
    matches!(query.question, Question::Visitors { .. } | Question::Events { .. })
}

/// Whether all parts are meant.
pub(super) fn is_everyone(parts: &Range<usize>) -> bool {
    *parts == (0..PARTS)
}
