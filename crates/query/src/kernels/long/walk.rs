//! Going through sections one by one, so that every session is whole somewhere.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::{ControlFlow, Range};

use zenovay_domain::{Dimension, Event, EventKind, SESSION_MAX_MS, SessionId, Timestamp, VisitorId};

use super::super::select::{Limits, Scan};
use super::super::work::{Bits, Work};
use super::pairs::{ClosedPairs, DistinctPairs, Held, PARTS, SharedVisitors, part_of, spread};
use super::visits::Visits;
use super::{Section, Sections};
use crate::needs::{columns_needed, conditions_on_visitors, is_about_sessions, live_window, session_window};
use crate::{
    Budget, Chunk, CodeSet, Column, ColumnSet, Condition, Dataset, DatasetBuilder, Derived, ListRef, MemoryDataset,
    NO_ROW, Query, QueryError, Question, SessionPart,
};

/// About what a row of [`Rest`] takes.
const REST_ROW_BYTES: usize = size_of::<RestRow>() + 128;
/// Rows of [`Rest`] that are worth looking at.
const REST_ROWS: usize = 1 << 12;

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
    is_about_sessions: bool,
    /// The numbers of the sections, in the order of their earliest rows.
    pub(super) by_time: Vec<usize>,
    /// Of each section the ids of its sessions that are in others, too, in the order of ids.
    split: Vec<Box<[u64]>>,
    pub(super) held: Held,
    /// `None` until it is needed.
    shared: OnceCell<SharedVisitors>,
    /// Visitors of sessions that are in several sections, spread: their rows come in several pieces.
    split_visitors: RefCell<IdSet>,
    /// Whether it was the groups that took too much.
    pub(super) has_too_many_groups: Cell<bool>,
}

/// Where a part of a walk stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    /// No piece to come has a row before this time, milliseconds.
    pub(super) earliest: i64,
    /// Nor one after this.
    pub(super) latest: i64,
}

/// The visitors that one attempt is about, and those whom conditions choose.
pub(super) struct Part {
    pub(super) limits: Limits,
    pub(super) parts: Range<usize>,
}

/// Rows in which every session is whole: of a section, or of sessions that are in several.
pub(super) struct Piece<'a> {
    pub(super) dataset: Dataset<'a>,
    origins: &'a [Origin],
    /// The number of the section, when all rows are from one.
    pub(super) section: Option<usize>,
    /// Whether rows stand for sessions.
    has_visits: bool,
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

impl Piece<'_> {
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
            by_time,
            split: Vec::new(),
            held: Held::default(),
            shared: OnceCell::new(),
            split_visitors: RefCell::default(),
            has_too_many_groups: Cell::new(false),
        };
        long.split = long.find_split_sessions()?;
        long.hold(&long.held.sessions, long.split_bytes())?;
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
        let split = split.into_iter().map(|mut ids| {
            ids.sort_unstable();
            ids.dedup();
            ids.into_boxed_slice()
        });
        Ok(split.collect())
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
            since_retained += ids.len();
            if since_retained > holders.capacity() / 2 {
                holders.retain(|_, holder| !is_over(holder));
                since_retained = ids.len();
            }
            for id in ids {
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
            let noted: usize = split.iter().map(|ids| ids.capacity() * size_of::<u64>()).sum();
            self.hold(&self.held.sessions, holders.capacity() * (size_of::<(u64, Holder)>() + 1) + noted)?;
            self.budget.part_done();
        }
        Ok(())
    }

    fn split_bytes(&self) -> usize {
        self.split.iter().map(|ids| size_of_val(&**ids)).sum::<usize>() + self.split_visitors.borrow().capacity() * 9
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

    /// The sessions of a section without their rows, when they are known and all rows are in the range, and what is left for the
    /// kernels beside them.
    pub(super) fn visits(&self, number: usize, columns: ColumnSet) -> Result<Option<(Visits, Budget)>, QueryError> {
        let (span, range) = (&self.source.spans()[number], self.query.range);
        if span.min_at < range.from.as_millis() || span.max_at >= range.to.as_millis() {
            return Ok(None);
        }
        let left = self.left().unreported();
        let Some(visits) = self.source.visits(number, columns, &left)? else { return Ok(None) };
        let left = left.after(visits.bytes());
        Ok(Some((visits, left)))
    }

    /// Calls `visit` with pieces that have each row of the sections `numbers` once, which must stand in the order of their earliest
    /// rows, or from the latest backwards. Rows of visitors outside of `parts` may be left out. After each section `next` is told what is to come.
    pub(super) fn walk(
        &self,
        numbers: &[usize],
        backwards: bool,
        parts: &Range<usize>,
        columns: ColumnSet,
        visit: &mut dyn FnMut(&Piece<'_>) -> Result<(), QueryError>,
        next: &mut dyn FnMut(Ahead) -> Result<ControlFlow<()>, QueryError>,
    ) -> Result<(), QueryError> {
        let spans = self.source.spans();
        // The earliest and the latest row of the sections behind each.
        let mut behind = vec![(i64::MAX, i64::MIN)];
        for &number in numbers.iter().rev() {
            let (earliest, latest) = behind[behind.len() - 1];
            behind.push((earliest.min(spans[number].min_at), latest.max(spans[number].max_at)));
        }
        behind.pop();
        self.budget.expect_parts(numbers.len() as u64);
        let mut rest = Rest::default();
        for &number in numbers {
            self.budget.check()?;
            let visits = if self.is_about_sessions { self.visits(number, columns)? } else { None };
            match visits {
                Some((visits, left)) => self.visit_visits(number, &visits, left, parts, &mut rest, visit)?,
                None => {
                    let (section, left) = self.rows(number, columns)?;
                    self.visit_section(number, &section, left, parts, &mut rest, visit)?;
                }
            }
            let (earliest, latest) = behind.pop().unwrap_or((i64::MAX, i64::MIN));
            let is_whole = |at: i64| {
                if backwards {
                    at > latest.saturating_add(SESSION_MAX_MS)
                } else {
                    at < earliest.saturating_sub(SESSION_MAX_MS)
                }
            };
            let is_worth_it = rest.rows.len() >= REST_ROWS.min(self.may_hold / 32 / REST_ROW_BYTES);
            if backwards || is_worth_it || behind.is_empty() {
                let whole = rest.take_whole(is_whole);
                self.visit_rest(whole, visit)?;
            }
            self.hold_rest(&rest)?;
            self.budget.part_done();
            let times = || rest.rows.iter().map(|row| row.at);
            let ahead = Ahead {
                earliest: times().min().unwrap_or(i64::MAX).min(earliest),
                latest: times().max().unwrap_or(i64::MIN).max(latest),
            };
            if next(ahead)?.is_break() {
                break;
            }
        }
        self.hold(&self.held.sessions, self.split_bytes())
    }

    fn visit_section(
        &self,
        number: usize,
        section: &Section,
        budget: Budget,
        parts: &Range<usize>,
        rest: &mut Rest,
        visit: &mut dyn FnMut(&Piece<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let mut origin = Origin { section: number, rows: None };
        let own;
        let mut chunk = &section.chunk;
        let (is_split, given) = self.split_codes(number, section, &chunk.sessions, parts);
        if !self.split[number].is_empty() {
            section.give_rows(number, &given, rest);
            self.hold_rest(rest)?;
            let (without, kept) = chunk.without(&is_split);
            own = without;
            origin.rows = Some(kept);
            chunk = &own;
        }
        self.visit_chunk(section, chunk, false, origin, budget, visit)
    }

    /// The same of sessions without their rows.
    fn visit_visits(
        &self,
        number: usize,
        visits: &Visits,
        budget: Budget,
        parts: &Range<usize>,
        rest: &mut Rest,
        visit: &mut dyn FnMut(&Piece<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let (is_split, given) = self.split_codes(number, &visits.section, &visits.parts, parts);
        if !self.split[number].is_empty() {
            visits.give_events(number, &given, rest);
            self.hold_rest(rest)?;
        }
        let origin = Origin { section: number, rows: None };
        self.visit_chunk(&visits.section, &visits.chunk(&is_split), true, origin, budget, visit)
    }

    fn visit_chunk(
        &self,
        section: &Section,
        chunk: &Chunk,
        has_visits: bool,
        origin: Origin,
        budget: Budget,
        visit: &mut dyn FnMut(&Piece<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
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
        let number = origin.section;
        visit(&Piece { dataset, origins: &[origin], section: Some(number), has_visits, budget })
    }

    /// The codes of those sessions of a section that are in others, too, and of those of them whose visitors are in `parts`.
    fn split_codes(
        &self,
        number: usize,
        section: &Section,
        sessions: &[SessionPart],
        parts: &Range<usize>,
    ) -> (Bits, Bits) {
        let is_split = codes_of(&self.split[number], &section.session_ids);
        let mut given = Bits::new(section.session_ids.len());
        if !self.split[number].is_empty() {
            let mut split_visitors = self.split_visitors.borrow_mut();
            for part in sessions.iter().filter(|part| is_split.contains(part.session)) {
                let visitor = spread(section.visitor_ids[part.visitor as usize]);
                given.insert_if(part.session, parts.contains(&part_of(visitor)));
                split_visitors.insert(visitor);
            }
        }
        (is_split, given)
    }

    fn hold_rest(&self, rest: &Rest) -> Result<(), QueryError> {
        self.hold(&self.held.sessions, self.split_bytes() + rest.rows.capacity() * REST_ROW_BYTES)
    }

    fn visit_rest(
        &self,
        mut rows: Vec<RestRow>,
        visit: &mut dyn FnMut(&Piece<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        if rows.is_empty() {
            return Ok(());
        }
        // Chunks stand in the order of the arrival of their rows.
        rows.sort_by_key(|row| (row.section, row.row));
        let budget = self.left().unreported().after(rows.len() * REST_ROW_BYTES);
        let mut builder = DatasetBuilder::default();
        let mut origins = Vec::new();
        for rows in rows.chunk_by(|a, b| a.section == b.section) {
            rows.iter().for_each(|row| builder.push(&row.event));
            builder.end_chunk();
            let events = rows.iter().filter(|row| row.row != NO_ROW).map(|row| row.row);
            origins.push(Origin { section: rows[0].section, rows: Some(events.collect()) });
        }
        drop(rows);
        let data: MemoryDataset = builder.finish();
        visit(&Piece {
            dataset: data.dataset(&data.chunks()),
            origins: &origins,
            section: None,
            has_visits: false,
            budget,
        })
    }

    /// Hands a scan of `piece` to `kernel`.
    pub(super) fn with_scan<T>(
        &self,
        piece: &Piece<'_>,
        limits: Option<&Limits>,
        kernel: impl FnOnce(&Scan<'_>) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        let Query { range, ref filter, .. } = *self.query;
        let window = match self.query.question {
            Question::Live => live_window(range, filter),
            _ => session_window(range),
        };
        let work = Work::new(&piece.budget);
        kernel(&Scan { limits, has_visits: piece.has_visits, ..Scan::new(&piece.dataset, range, window, &work) })
    }

    /// Goes through the rows of the visitors of `part` as often as there are passes, and gives the pairs when all are counted. `visit`
    /// gets each piece, the pairs to add to, and whether it is the first pass. `complete` tells whether a group has no other pair when
    /// no row to come is before a time.
    pub(super) fn in_passes(
        &self,
        part: &Part,
        mut visit: impl FnMut(&Piece<'_>, &mut DistinctPairs, bool) -> Result<(), QueryError>,
        complete: impl Fn(u32, i64) -> bool,
    ) -> Result<DistinctPairs, QueryError> {
        let mut pairs = DistinctPairs::new(part.parts.clone());
        let mut is_first_pass = true;
        loop {
            let ahead = Cell::new(i64::MIN);
            self.walk(
                &self.by_time,
                false,
                &part.parts,
                columns_needed(self.query),
                &mut |piece| {
                    visit(piece, &mut pairs, is_first_pass)?;
                    self.fit(&mut pairs, |group| complete(group, ahead.get()))
                },
                &mut |next| {
                    ahead.set(next.earliest);
                    Ok(ControlFlow::Continue(()))
                },
            )?;
            is_first_pass = false;
            if !pairs.next_pass(self.budget)? {
                return Ok(pairs);
            }
        }
    }

    /// Finds whom the conditions on visitors choose, of the visitors in `parts` or of fewer of them, from the first on.
    pub(super) fn part(&self, parts: Range<usize>) -> Result<Part, QueryError> {
        let conditions = conditions_on_visitors(self.query);
        if conditions.is_empty() {
            return Ok(Part { limits: Limits::new(parts.clone(), Vec::new(), None), parts });
        }
        let mut chosen = DistinctPairs::new(parts.clone());
        let columns = conditions.iter().fold(ColumnSet::default(), |set, condition| set.with(condition.field.column()));
        let at_most = self.may_hold / 2;
        self.walk(
            &self.by_time,
            false,
            &parts,
            columns,
            &mut |piece| {
                self.with_scan(piece, None, |scan| {
                    for (condition, number) in conditions.iter().zip(0..) {
                        let visitors = scan.chosen_by(condition)?;
                        for code in visitors.iter() {
                            let spread = spread(piece.dataset.visitor_ids[code as usize]);
                            if chosen.holds(spread) {
                                chosen.add(number, spread);
                            }
                        }
                    }
                    Ok(())
                })?;
                if chosen.bytes() > at_most {
                    chosen.fit(self.budget, at_most / 2)?;
                }
                self.hold(&self.held.chosen, chosen.bytes())
            },
            &mut |_| Ok(ControlFlow::Continue(())),
        )?;
        let chosen = chosen.close(self.budget)?;
        self.hold(&self.held.chosen, chosen.bytes())?;
        let parts = chosen.parts.clone();
        Ok(Part { limits: Limits::new(parts.clone(), conditions, Some(chosen)), parts })
    }

    /// Finds out which visitors are in several sections, when it is not known and there is memory for it.
    pub(super) fn find_shared(&self) -> Result<(), QueryError> {
        if self.shared.get().is_some() {
            return Ok(());
        }
        let rows: usize = self.source.spans().iter().map(|span| span.rows).sum();
        let mut shared = SharedVisitors::new(rows / 2, self.may_hold / 5);
        if self.held.total() + shared.bytes() > self.may_hold {
            return Ok(());
        }
        self.hold(&self.held.shared, shared.bytes())?;
        self.budget.expect_parts(self.by_time.len() as u64);
        for &number in &self.by_time {
            self.budget.check()?;
            shared.add(&self.source.visitor_ids(number)?);
            self.budget.part_done();
        }
        self.shared.get_or_init(|| shared);
        Ok(())
    }

    /// Whether there are so many rows that it is worth knowing the shared visitors before the first one is counted.
    pub(super) fn has_many_rows(&self) -> bool {
        let rows: usize = self.source.spans().iter().map(|span| span.rows).sum();
        rows.saturating_mul(4) > self.may_hold
    }

    /// Whether all that there is of a visitor is in one piece, as far as is known.
    pub(super) fn is_alone(&self, spread: u64) -> bool {
        self.is_in_one_section(spread) && !self.split_visitors.borrow().contains(&spread)
    }

    /// Whether a visitor is in one section only, as far as is known.
    pub(super) fn is_in_one_section(&self, spread: u64) -> bool {
        self.shared.get().is_some_and(|shared| !shared.may_be_shared(spread))
    }

    /// Nothing is held any more of what an attempt held.
    pub(super) fn forget(&self) {
        self.held.chosen.set(0);
        self.held.groups.set(0);
        self.held.pairs.set(0);
        self.held.sessions.set(self.split_bytes());
    }

    /// Makes the pairs take less when they take too much. Groups that are `complete` will have no other pair.
    pub(super) fn fit(&self, pairs: &mut DistinctPairs, complete: impl Fn(u32) -> bool) -> Result<(), QueryError> {
        let room = |long: &Self| {
            long.may_hold.saturating_sub(long.held.total() - long.held.pairs.get()).max(long.may_hold / 16)
        };
        if pairs.bytes() > room(self) / 8 * 7 {
            self.find_shared()?;
            pairs.settle(self.budget, |visitor| self.is_alone(visitor), complete)?;
            let most = room(self) / 8 * 5;
            if pairs.bytes() > most {
                pairs.fit(self.budget, most)?;
            }
        }
        self.hold(&self.held.pairs, pairs.bytes())
    }
}

/// Rows of sessions that are in several sections, until there are all of a session.
#[derive(Debug, Default)]
pub(super) struct Rest {
    rows: Vec<RestRow>,
}

#[derive(Debug)]
struct RestRow {
    section: usize,
    /// Its row there; [`NO_ROW`] of a heartbeat.
    row: u32,
    at: i64,
    event: Event,
}

impl Rest {
    /// Takes the rows of the sessions of which `is_whole` holds for one row's time.
    fn take_whole(&mut self, is_whole: impl Fn(i64) -> bool) -> Vec<RestRow> {
        let whole: IdSet = self.rows.iter().filter(|row| is_whole(row.at)).map(|row| row.event.session.0).collect();
        if whole.is_empty() {
            return Vec::new();
        }
        self.rows.extract_if(.., |row| whole.contains(&row.event.session.0)).collect()
    }
}

impl Section {
    /// Gives the rows of the sessions `which` to `rest`.
    fn give_rows(&self, number: usize, which: &Bits, rest: &mut Rest) {
        let chunk = &self.chunk;
        for row in (0..chunk.at.len()).filter(|&row| which.contains(chunk.session[row])) {
            let kind = EventKind::from_code(chunk.kind[row]).unwrap_or(EventKind::Custom);
            let mut event = self.event(kind, chunk.at[row], (chunk.visitor[row], chunk.session[row]));
            for &dimension in Dimension::ALL {
                if let Some(column) = &chunk.columns[dimension as usize] {
                    event.dimensions.set(dimension, &self.dictionaries[dimension as usize].texts[column[row] as usize]);
                }
            }
            rest.rows.push(RestRow { section: number, row: row as u32, at: chunk.at[row], event });
        }
        self.give_heartbeats(number, &chunk.sessions, which, rest);
    }

    /// Of heartbeats one a session is enough: it has the last activity and the engagement of all rows.
    fn give_heartbeats(&self, number: usize, sessions: &[SessionPart], which: &Bits, rest: &mut Rest) {
        for part in sessions.iter().filter(|part| which.contains(part.session)) {
            let mut event = self.event(EventKind::Heartbeat, part.last_at, (part.visitor, part.session));
            event.engagement_ms = u32::try_from(part.engagement_ms).unwrap_or(u32::MAX);
            rest.rows.push(RestRow { section: number, row: NO_ROW, at: part.last_at, event });
        }
    }

    /// An event of a visitor and a session with these codes, without strings.
    fn event(&self, kind: EventKind, at: i64, (visitor, session): (u32, u32)) -> Event {
        let visitor = VisitorId(self.visitor_ids[visitor as usize]);
        let session = SessionId(self.session_ids[session as usize]);
        Event::new(kind, Timestamp::from_millis(at), visitor, session)
    }
}

impl Visits {
    /// Gives events of the sessions `which` to `rest`, as far as their numbers tell.
    fn give_events(&self, number: usize, which: &Bits, rest: &mut Rest) {
        let mut row = 0;
        for position in (0..self.parts.len()).filter(|&position| which.contains(self.parts[position].session)) {
            for event in self.events(position) {
                rest.rows.push(RestRow { section: number, row, at: event.at.as_millis(), event });
                row += 1;
            }
        }
        self.section.give_heartbeats(number, &self.parts, which, rest);
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

/// Whether all parts are meant.
pub(super) fn is_everyone(parts: &Range<usize>) -> bool {
    *parts == (0..PARTS)
}

impl Limits {
    fn new(parts: Range<usize>, conditions: Vec<Condition>, chosen: Option<ClosedPairs>) -> Self {
        Self { parts, conditions, chosen }
    }

    pub(in crate::kernels) fn is_about_all(&self) -> bool {
        is_everyone(&self.parts)
    }

    pub(in crate::kernels) fn holds(&self, id: u64) -> bool {
        self.parts.contains(&part_of(spread(id)))
    }

    /// Whether one of the conditions on visitors chooses `id`.
    pub(in crate::kernels) fn chooses(&self, condition: &Condition, id: u64) -> bool {
        let number = self.conditions.iter().zip(0..).find(|(known, _)| *known == condition).map(|(_, number)| number);
        number.zip(self.chosen.as_ref()).is_some_and(|(number, chosen)| chosen.contains(number, spread(id)))
    }
}
