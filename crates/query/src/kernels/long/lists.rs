//! Other questions section by section: lists of visitors and events, funnels, who is live.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use zenovay_domain::{Dimension, EventKind, SESSION_MAX_MS, SessionId, TimeRange, Timestamp, VisitorId};

use super::super::newcomers::{First, inside};
use super::super::select::Scan;
use super::super::work::{Bits, Work};
use super::codes::{ALONE, NOT_COUNTED, Part, Roles};
use super::pairs::{DistinctPairs, part_of, spread};
use super::threads::Queue;
use super::walk::{IdMap, IdSet, Long, Piece};
use crate::answer::ColumnWriter;
use crate::needs::columns_needed;
use crate::{EventTable, Filter, FunnelCounts, NO_ROW, Query, QueryError, Question, VisitorPage, VisitorRecord};

/// The visitor's place in the list: when the newest visit began, and who.
type ListPlace = (Reverse<i64>, u64);

/// A visitor by the newest visit that was met.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed {
    place: ListPlace,
    session: u64,
    /// The section that has the session whole; `None` when several have it.
    section: Option<u32>,
}

/// One event: its time, its section, and its row there. Sections stand in the order of arrival, and so do rows of the same time
/// within one.
pub(super) type Place = (i64, u32, u32);

/// About what a record of a visitor takes.
const RECORD_BYTES: usize = size_of::<VisitorRecord>() + 256;

impl Long<'_> {
    /// How many visitors of `part` are live.
    pub(super) fn live(&self, part: &Part) -> Result<u64, QueryError> {
        let filter = &self.query.filter;
        self.count_sets(part, |scan| {
            let mut live = match *filter == Filter::default() {
                true => scan.live_visitors(None)?,
                false => scan.live_visitors(Some(&scan.compile(filter)?))?,
            };
            if let Some(visitors) = scan.visitors_in_parts()? {
                live.intersect(&visitors);
            }
            Ok(vec![(0, live)])
        })
        .map(|counts| counts.first().map_or(0, |(visitors, _)| *visitors))
    }

    pub(super) fn funnel(&self, part: &Part, steps: &[Filter]) -> Result<FunnelCounts, QueryError> {
        let filter = &self.query.filter;
        let mut counts = self.count_sets(part, |scan| scan.steps_taken(filter, steps))?;
        counts.resize(steps.len(), (0, 0));
        let (visitors, sessions) = counts.into_iter().unzip();
        Ok(FunnelCounts { visitors, sessions })
    }

    /// The visitors and the sums of several sets that `sets` tells of each piece.
    fn count_sets(
        &self,
        part: &Part,
        sets: impl Fn(&Scan<'_>) -> Result<Vec<(u64, Bits)>, QueryError> + Sync,
    ) -> Result<Vec<(u64, u64)>, QueryError> {
        let visit = |long: &Long<'_>,
                     piece: &Piece<'_>,
                     sums: &mut Vec<u64>,
                     pairs: &mut DistinctPairs,
                     is_first_pass: bool| {
            let rows = piece.rows()?;
            long.with_scan(rows, |scan| {
                let roles = Roles { codes: rows.codes, is_first_pass };
                let found = sets(scan)?;
                sums.resize(found.len(), 0);
                for ((number, (sum, visitors)), total) in (0..).zip(found).zip(sums) {
                    *total += if is_first_pass { sum } else { 0 };
                    roles.add_set(pairs, &visitors, number);
                }
                Ok(())
            })
        };
        self.on_one_if_need_be(|threads| {
            let (sums, pairs) =
                self.in_passes(part, vec![Vec::new(); threads.get()], visit, |_, _| None, |_, _| false)?;
            let count = sums.iter().map(Vec::len).max().unwrap_or(0);
            let sum = |number: usize| sums.iter().filter_map(|sums| sums.get(number)).sum();
            Ok((0..count).zip(0..).map(|(number, group)| (pairs.of_group(group), sum(number))).collect())
        })
    }

    /// How many visitors of `part` are new in each of `buckets`.
    pub(super) fn new_visitors(&self, part: &Part, buckets: &[TimeRange]) -> Result<Vec<u64>, QueryError> {
        let inside = inside(buckets, self.query.range);
        let mut counts = Vec::with_capacity(buckets.len());
        let is_short = inside.len() <= u8::BUCKETS;
        // As many buckets at a time as there are numbers.
        for (slice, start) in inside.chunks(u16::BUCKETS).zip((0..).step_by(u16::BUCKETS)) {
            let slice = start..start + slice.len() as u32;
            let mut of_slice = vec![0; slice.len()];
            let mut from = Some(0);
            while let Some(code) = from {
                from = match is_short {
                    true => self.count_firsts::<u8>(part, &inside, slice.clone(), code, &mut of_slice)?,
                    false => self.count_firsts::<u16>(part, &inside, slice.clone(), code, &mut of_slice)?,
                };
            }
            counts.append(&mut of_slice);
        }
        Ok(counts)
    }

    /// Counts those with codes from `from` on, as many as there is memory for, and gives where the next ones begin.
    fn count_firsts<N: BucketNumber>(
        &self,
        part: &Part,
        inside: &[TimeRange],
        slice: Range<u32>,
        from: u32,
        counts: &mut [u64],
    ) -> Result<Option<u32>, QueryError> {
        let firsts = self.first_buckets::<N>(part, inside, slice, from)?;
        firsts.count(counts);
        Ok(firsts.next())
    }

    /// Where visitors with codes from `from` on came first, among the buckets at `slice`: as many visitors as there is memory for.
    fn first_buckets<N: BucketNumber>(
        &self,
        part: &Part,
        inside: &[TimeRange],
        slice: Range<u32>,
        from: u32,
    ) -> Result<Firsts<N>, QueryError> {
        // Of rows so far before the range that no session of them reaches it, the visitors are enough.
        let spans = self.source.spans();
        let early = self.query.range.from.plus_millis(-SESSION_MAX_MS).as_millis();
        let (mut numbers, mut before) = (Vec::new(), Vec::new());
        for &number in &self.by_time {
            match spans[number].max_at < early && self.source.digest(number)?.is_some() {
                true => before.push(number),
                false => numbers.push(number),
            }
        }
        self.on_one_if_need_be(|threads| {
            let queues = [&before, &numbers].map(|numbers| Queue::new(numbers, spans, false));
            self.budget.expect_parts(numbers.len() as u64);
            let firsts = (0..threads.get()).map(|_| Firsts::new(from, slice.clone())).collect();
            let found = self.on_threads(firsts, |long, mut firsts| {
                let found = long.add_early(part, &queues[0], &mut firsts);
                let found = found.and_then(|()| long.add_firsts(part, inside, &queues[1], &mut firsts));
                found.inspect_err(|_| queues.iter().for_each(Queue::stop))?;
                Ok(firsts)
            })?;
            let found = found.into_iter().reduce(Firsts::with);
            found.ok_or_else(|| QueryError::damaged("nobody counted new visitors"))
        })
    }

    /// Makes the numbers take less when they take too much.
    fn hold_firsts<N: BucketNumber>(&self, firsts: &mut Firsts<N>) -> Result<(), QueryError> {
        firsts.fit(self.may_hold.saturating_sub(self.held.total() - self.held.pairs.get()))?;
        self.hold(&self.held.pairs, firsts.bytes())
    }

    /// Adds who was there in sections before the range.
    fn add_early<N: BucketNumber>(
        &self,
        part: &Part,
        queue: &Queue<'_>,
        firsts: &mut Firsts<N>,
    ) -> Result<(), QueryError> {
        while let Some(number) = queue.take() {
            self.budget.check()?;
            let known = self.source.digest(number)?;
            let known = known.ok_or_else(|| QueryError::damaged("a section has its digest no more"))?;
            let mut heartbeat_only = known.heartbeat_only.into_iter().peekable();
            for (visitor, code) in (0..).zip(self.codes_of_section(number, part)?) {
                if heartbeat_only.next_if_eq(&visitor).is_none() {
                    firsts.add(code, Some(N::of(0)));
                }
            }
            self.hold_firsts(firsts)?;
        }
        Ok(())
    }

    /// Adds those who come first in sections, or later.
    fn add_firsts<N: BucketNumber>(
        &self,
        part: &Part,
        inside: &[TimeRange],
        queue: &Queue<'_>,
        firsts: &mut Firsts<N>,
    ) -> Result<(), QueryError> {
        self.walk_queue(
            queue,
            part,
            columns_needed(self.query),
            &mut |piece| {
                match piece {
                    Piece::Rows(rows) => self.with_scan(rows, |scan| {
                        let newcomers = scan.newcomers()?;
                        let mut chosen = scan.visitor_bits()?;
                        let test = scan.compile_for_some(&self.query.filter)?;
                        scan.for_each_new(&test, &newcomers, inside, |visitor, _| chosen.insert(visitor))?;
                        for (visitor, &code) in (0..).zip(rows.codes) {
                            firsts.add(code, firsts.number(newcomers.first(visitor, inside), chosen.contains(visitor)));
                        }
                        Ok(())
                    })?,
                    Piece::Visits(piece) => {
                        let work = Work::new(piece.budget);
                        let visits = piece.visits;
                        let is_open = self.query.filter == Filter::default();
                        let mut is_chosen = work.bits(visits.with_events)?;
                        if !is_open {
                            let chosen = piece.chosen(&self.query.filter, &work)?;
                            chosen.into_iter().for_each(|place| is_chosen.insert(place));
                        }
                        let (codes, visitors) = (piece.codes, &visits.visitor[..]);
                        // They come in the order of time.
                        for mut rest in piece.whole() {
                            while let Some(first) = rest.next() {
                                work.check()?;
                                let at = visits.first_at[first];
                                let bucket = inside.partition_point(|bucket| bucket.to.as_millis() <= at);
                                let end =
                                    inside.get(bucket).map_or(i64::MAX, |bucket| match at < bucket.from.as_millis() {
                                        true => bucket.from.as_millis(),
                                        false => bucket.to.as_millis(),
                                    });
                                let count = visits.first_at[rest.clone()].partition_point(|&at| at < end);
                                let of_bucket = first..rest.start + count;
                                rest.start = of_bucket.end;
                                let first = First::at(at, bucket, inside);
                                let [others, chosen] = [false, true].map(|is_chosen| firsts.number(first, is_chosen));
                                if is_open {
                                    firsts.add_all(&visitors[of_bucket], codes, chosen);
                                    continue;
                                }
                                for place in of_bucket {
                                    let number = if is_chosen.contains(place as u32) { chosen } else { others };
                                    firsts.add(codes[visitors[place] as usize], number);
                                }
                            }
                        }
                    }
                }
                self.hold_firsts(firsts)
            },
            &mut |_| Ok(ControlFlow::Continue(())),
        )
    }

    /// The first `wanted` visitors after a place in the list, and one more, in any order: of those in a range of parts that begins
    /// as that of `part`, and where it ends.
    pub(super) fn list_visitors(
        &self,
        part: &Part,
        wanted: usize,
        after: Option<(Timestamp, VisitorId)>,
    ) -> Result<(Vec<Listed>, usize), QueryError> {
        let after = after.map(|(visited_at, visitor)| (Reverse(visited_at.as_millis()), visitor.0));
        let is_after = |listed: &Listed| after.is_none_or(|after| listed.place > after);
        let mut parts: Range<usize> = part.parts.clone();
        let mut newest: IdMap<Listed> = IdMap::default();
        let mut by_latest: Vec<usize> = (0..self.source.spans().len()).collect();
        by_latest.sort_by_key(|&number| Reverse(self.source.spans()[number].max_at));
        let columns =
            columns_needed(&Query::new(self.query.range, Question::Overview).filter(self.query.filter.clone()));
        // Both look at the list in turn.
        let newest_cell = std::cell::RefCell::new(&mut newest);
        self.walk(
            &by_latest,
            true,
            part,
            columns,
            &mut |piece| {
                let rows = piece.rows()?;
                let mut newest = newest_cell.borrow_mut();
                self.with_scan(rows, |scan| {
                    let test = scan.compile_for_some(&self.query.filter)?;
                    let selected = scan.select(&test)?;
                    if selected.is_empty() {
                        return Ok(());
                    }
                    let counted = scan.counted_sessions(&test, &selected)?;
                    scan.for_each_counted(counted.as_ref(), |session| {
                        let visitor = session.part.visitor;
                        let id = rows.dataset.visitor_ids[visitor as usize];
                        let key = if self.stored_below.is_some() { rows.codes[visitor as usize].into() } else { id };
                        if !parts.contains(&part_of(spread(key))) {
                            return;
                        }
                        let listed = Listed {
                            place: (Reverse(session.part.first_at), id),
                            session: rows.dataset.session_ids[session.part.session as usize],
                            section: rows.section.map(|number| number as u32),
                        };
                        // Of two sessions of a visitor that began together, the one with the lower id tells of the visitor.
                        let known = newest.entry(key).or_insert(listed);
                        if (listed.place, listed.session) < (known.place, known.session) {
                            *known = listed;
                        }
                    })
                })?;
                let bytes = |newest: &IdMap<Listed>| newest.capacity() * (size_of::<(u64, Listed)>() + 1);
                let room = self.may_hold.saturating_sub(self.held.total() - self.held.pairs.get());
                while bytes(&newest) > room {
                    if parts.len() < 2 {
                        return Err(QueryError::MemoryExceeded);
                    }
                    parts.end = parts.start + parts.len() / 2;
                    newest.retain(|key, _| parts.contains(&part_of(spread(*key))));
                    newest.shrink_to_fit();
                }
                self.hold(&self.held.pairs, bytes(&newest))
            },
            &mut |ahead| {
                let is_settled = |listed: &&Listed| is_after(listed) && listed.place.0.0 > ahead.latest;
                let is_full = newest_cell.borrow().values().filter(is_settled).count() > wanted;
                Ok(if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            },
        )?;
        let mut listed: Vec<Listed> = newest.into_values().filter(is_after).collect();
        if wanted < listed.len() {
            listed.select_nth_unstable_by_key(wanted, |listed| listed.place);
            listed.truncate(wanted + 1);
        }
        Ok((listed, parts.end))
    }

    /// The records of a page of `listed`.
    pub(super) fn page(
        &self,
        mut listed: Vec<Listed>,
        (limit, offset): (usize, usize),
    ) -> Result<VisitorPage, QueryError> {
        listed.sort_unstable_by_key(|listed| listed.place);
        let has_more = listed.len() > limit.saturating_add(offset);
        listed.drain(..offset.min(listed.len()));
        listed.truncate(limit);
        self.hold(&self.held.pairs, listed.len() * RECORD_BYTES)?;
        let spans = self.source.spans();
        let mut numbers: BTreeSet<usize> = BTreeSet::new();
        for listed in &listed {
            let first_at = listed.place.0.0;
            let may_have = |number: &usize| {
                spans[*number].max_at >= first_at && spans[*number].min_at <= first_at.saturating_add(SESSION_MAX_MS)
            };
            match listed.section {
                Some(section) => drop(numbers.insert(section as usize)),
                None => numbers.extend((0..spans.len()).filter(may_have)),
            }
        }
        let numbers: Vec<usize> = self.by_time.iter().copied().filter(|number| numbers.contains(number)).collect();
        let wanted: IdSet = listed.iter().map(|listed| listed.session).collect();
        let mut records: IdMap<VisitorRecord> = IdMap::default();
        self.walk(
            &numbers,
            false,
            &Part::everyone(),
            columns_needed(self.query),
            &mut |piece| {
                let rows = piece.rows()?;
                self.with_scan(rows, |scan| {
                    let mut sessions = Vec::new();
                    scan.sessions()?.for_each_starting_in(scan.window, scan.work, |session| {
                        if wanted.contains(&rows.dataset.session_ids[session.part.session as usize]) {
                            sessions.push(session);
                        }
                    })?;
                    for session in sessions {
                        let id = rows.dataset.session_ids[session.part.session as usize];
                        records.insert(id, scan.record(session)?);
                    }
                    Ok(())
                })
            },
            &mut |_| Ok(ControlFlow::Continue(())),
        )?;
        let visitors = listed.iter().map(|listed| records.remove(&listed.session)).collect::<Option<Vec<_>>>();
        let visitors = visitors.ok_or_else(|| QueryError::damaged("rows were different when they were read again"))?;
        Ok(VisitorPage { visitors, has_more })
    }

    /// The places of the first `limit` events after the first `offset`.
    pub(super) fn list_events(&self, part: &Part, limit: usize, offset: usize) -> Result<Vec<Place>, QueryError> {
        let mut skipped = 0;
        let mut chosen: Vec<Place> = Vec::new();
        let pending = std::cell::RefCell::new(Vec::<Place>::new());
        let columns =
            columns_needed(&Query::new(self.query.range, Question::Overview).filter(self.query.filter.clone()));
        self.walk(
            &self.by_time,
            false,
            part,
            columns,
            &mut |piece| {
                let rows = piece.rows()?;
                let mut pending = pending.borrow_mut();
                self.with_scan(rows, |scan| {
                    let test = scan.compile_for_some(&self.query.filter)?;
                    for selected in scan.select(&test)? {
                        scan.work.reserve::<Place>(selected.len())?;
                        scan.work.for_each_block(0..selected.len(), |block| {
                            pending.extend(block.map(|position| {
                                let row = selected.row(position);
                                let (section, place) = rows.origin(selected.number, row as u32);
                                (selected.chunk.at[row], section as u32, place)
                            }));
                        })?;
                    }
                    Ok(())
                })
            },
            &mut |ahead| {
                let mut pending = pending.borrow_mut();
                pending.sort_unstable();
                let whole = pending.partition_point(|place| place.0 < ahead.earliest);
                for place in pending.drain(..whole) {
                    if skipped < offset {
                        skipped += 1;
                    } else if chosen.len() < limit {
                        chosen.push(place);
                    }
                }
                self.hold(&self.held.pairs, (pending.capacity() + chosen.capacity()) * size_of::<Place>())?;
                Ok(if chosen.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            },
        )?;
        Ok(chosen)
    }

    /// The events at `places`, in their order.
    pub(super) fn table(&self, places: &[Place]) -> Result<EventTable, QueryError> {
        let mut table = EventTable::default();
        // A code and a count for each column, and about two codes in the table.
        self.hold(&self.held.pairs, places.len() * Dimension::COUNT * 2 * size_of::<u32>())?;
        let mut codes: Vec<[u32; Dimension::COUNT]> = vec![[0; Dimension::COUNT]; places.len()];
        let mut strings: [HashMap<Arc<str>, u32>; Dimension::COUNT] = std::array::from_fn(|_| HashMap::new());
        let mut texts: [Vec<Arc<str>>; Dimension::COUNT] = std::array::from_fn(|_| Vec::new());
        let mut text_bytes = 0;
        table.at = vec![Timestamp::from_millis(0); places.len()];
        table.kind = vec![EventKind::Custom; places.len()];
        table.visitor = vec![VisitorId(0); places.len()];
        table.session = vec![SessionId(0); places.len()];
        let mut by_section: Vec<usize> = (0..places.len()).collect();
        by_section.sort_by_key(|&position| places[position].1);
        for positions in by_section.chunk_by(|&a, &b| places[a].1 == places[b].1) {
            self.budget.check()?;
            let number = places[positions[0]].1 as usize;
            let (section, _) = self.rows(number, columns_needed(self.query))?;
            for &position in positions {
                let row = places[position].2 as usize;
                if row as u32 == NO_ROW {
                    continue;
                }
                let chunk = &section.chunk;
                table.at[position] = Timestamp::from_millis(chunk.at[row]);
                table.kind[position] = EventKind::from_code(chunk.kind[row]).unwrap_or(EventKind::Custom);
                table.visitor[position] = VisitorId(section.visitor_ids[chunk.visitor[row] as usize]);
                table.session[position] = SessionId(section.session_ids[chunk.session[row] as usize]);
                for &dimension in Dimension::ALL {
                    let number = dimension as usize;
                    let code = super::super::select::column(chunk, dimension)?[row];
                    let text = &section.dictionaries[number].texts[code as usize];
                    codes[position][number] = match strings[number].get(text) {
                        Some(&code) => code,
                        None => {
                            let code = texts[number].len() as u32;
                            text_bytes += text.len() + 96;
                            texts[number].push(Arc::clone(text));
                            strings[number].insert(Arc::clone(text), code);
                            code
                        }
                    };
                }
            }
            self.hold(&self.held.groups, text_bytes)?;
        }
        for &dimension in Dimension::ALL {
            let number = dimension as usize;
            let mut writer = ColumnWriter::default();
            codes.iter().for_each(|codes| writer.push(codes[number], &texts[number][codes[number] as usize]));
            table.columns[number] = writer.column;
        }
        Ok(table)
    }
}

/// A number of [`Firsts`]: of few buckets a byte, so that those of all visitors stay in the cache.
trait BucketNumber: Copy + Ord + Into<u16> + Send {
    /// As many buckets have numbers.
    const BUCKETS: usize;
    /// Stands for nothing yet. Odd, as the numbers are of buckets without a chosen event.
    const NOTHING: Self;

    /// This one, which is not above the last one.
    fn of(number: u16) -> Self;
}

impl BucketNumber for u8 {
    const BUCKETS: usize = 120;
    const NOTHING: Self = Self::MAX;

    fn of(number: u16) -> Self {
        number as Self
    }
}

impl BucketNumber for u16 {
    const BUCKETS: usize = 32_000;
    const NOTHING: Self = Self::MAX;

    fn of(number: u16) -> Self {
        number
    }
}

/// Where the visitors came first whose codes are in a range, as numbers: 0 when the first event is before a slice of the buckets, else
/// twice the bucket it is in, of those of the slice from 1 on, and one more without a chosen event in it: the lowest number that is
/// met is a visitor's. The range ends where memory does.
struct Firsts<N> {
    codes: Range<u32>,
    slice: Range<u32>,
    /// By code from the start of the range on.
    numbers: Vec<N>,
    /// Above all codes that were met.
    end: u32,
}

impl<N: BucketNumber> Firsts<N> {
    fn new(from: u32, slice: Range<u32>) -> Self {
        Self { codes: from..ALONE, slice, numbers: Vec::new(), end: 0 }
    }

    /// The number of a visitor who came first there; `None` of one who did not come yet.
    fn number(&self, first: First, is_chosen: bool) -> Option<N> {
        match first {
            First::In(bucket) if bucket < self.slice.start => Some(N::of(0)),
            First::In(bucket) if self.slice.contains(&bucket) => {
                Some(N::of(2 * (bucket - self.slice.start + 1) as u16 + u16::from(!is_chosen)))
            }
            First::Before => Some(N::of(0)),
            First::In(_) | First::Never => None,
        }
    }

    #[inline]
    fn add(&mut self, code: u32, number: Option<N>) {
        let Some(number) = number.filter(|_| code != NOT_COUNTED) else { return };
        self.end = self.end.max(code + 1);
        if !self.codes.contains(&code) {
            return;
        }
        let place = (code - self.codes.start) as usize;
        if place >= self.numbers.len() {
            let more = place + 1 - self.numbers.len();
            self.numbers.reserve_exact(more.max(self.numbers.len() / 4).max(64));
            self.numbers.resize(self.numbers.capacity(), N::NOTHING);
        }
        let known = &mut self.numbers[place];
        *known = number.min(*known);
    }

    /// The same of each of `visitors`, who have `codes`.
    fn add_all(&mut self, visitors: &[u32], codes: &[u32], number: Option<N>) {
        let Some(own) = number else { return };
        let highest = visitors.iter().map(|&visitor| codes[visitor as usize]).max();
        match highest {
            // Then there is room for all of them.
            Some(highest) if self.codes.start == 0 && self.codes.contains(&highest) => self.add(highest, number),
            _ => return visitors.iter().for_each(|&visitor| self.add(codes[visitor as usize], number)),
        }
        let numbers = &mut self.numbers[..];
        for &visitor in visitors {
            let known = &mut numbers[codes[visitor as usize] as usize];
            *known = own.min(*known);
        }
    }

    fn bytes(&self) -> usize {
        self.numbers.capacity() * size_of::<N>()
    }

    /// Lets codes at the end of the range go when all take more than `bytes`.
    fn fit(&mut self, bytes: usize) -> Result<(), QueryError> {
        if self.bytes() > bytes {
            let count = bytes / size_of::<N>() / 2;
            if count == 0 {
                return Err(QueryError::MemoryExceeded);
            }
            self.numbers.truncate(count);
            self.numbers.shrink_to_fit();
            self.codes.end = self.codes.start + self.numbers.len() as u32;
        }
        Ok(())
    }

    /// The same with what another thread found of the same buckets.
    fn with(mut self, other: Self) -> Self {
        // Both have all codes below the lesser end.
        self.codes.end = self.codes.end.min(other.codes.end);
        self.end = self.end.max(other.end);
        let (mut own, mut more) = (self.numbers, other.numbers);
        if own.len() < more.len() {
            std::mem::swap(&mut own, &mut more);
        }
        own.iter_mut().zip(more).for_each(|(own, more)| *own = more.min(*own));
        own.truncate((self.codes.end - self.codes.start) as usize);
        Self { numbers: own, ..self }
    }

    /// Adds who is new to the counts of the buckets.
    fn count(&self, counts: &mut [u64]) {
        let numbers = self.numbers.iter().map(|&number| number.into());
        for number in numbers.filter(|&number| number > 0 && number % 2 == 0) {
            counts[usize::from(number / 2) - 1] += 1;
        }
    }

    /// Where the next range begins; `None` when all codes were in this one.
    fn next(&self) -> Option<u32> {
        (self.end > self.codes.end).then_some(self.codes.end)
    }
}
