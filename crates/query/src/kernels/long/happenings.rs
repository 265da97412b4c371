//! Pages and names of events, by sessions without their rows: what was viewed and what happened stands with each session.
//!
//! So a filter by fields of sessions chooses sessions, and no rows are read, put in order or looked at. Whoever has one visit alone is
//! counted there; of others pairs are kept, as of everybody.

use std::ops::Range;

use zenovay_domain::EventKind;

use super::super::distinct::NONE;
use super::super::work::{Bits, Work};
use super::breakdown::GroupTable;
use super::codes::{ALONE, NOT_COUNTED, Part};
use super::columns::{ByColumns, LEFT_OUT, LOOKED_AT, OfPlace, Waiting, WaitingRow};
use super::pairs::{DistinctPairs, SharedVisitors};
use super::visits::{VisitColumn, VisitNeeds, Visits};
use super::walk::{Counted, Long};
use crate::{Filter, QueryError, Question};

/// The events of the sessions of a section.
struct Happenings<'v> {
    visits: &'v Visits,
    /// `None` when no pageview has a value.
    entry: Option<&'v [u32]>,
    exit: &'v [u32],
    between: &'v [u32],
    others: &'v [u32],
}

/// Where the events of a session begin.
#[derive(Clone, Copy, Default)]
struct Places {
    exit: usize,
    between: usize,
    others: usize,
}

/// The events of one session.
#[derive(Clone, Copy)]
struct OfVisit<'v> {
    /// The entry page and 1; 0 and how many pageviews there are when none has a value.
    first: (u32, u32),
    /// The exit page of a session with several pageviews.
    exit: &'v [u32],
    between: &'v [u32],
    others: &'v [u32],
}

impl<'v> Happenings<'v> {
    fn new(visits: &'v Visits, asked: &ByColumns<'_>) -> Result<Self, QueryError> {
        let column = visits.columns.iter().find(|(own, _)| *own == asked.field).map(|(_, column)| column);
        let Some(VisitColumn::Events { entry, exit, between, others }) = column else {
            return Err(QueryError::damaged(format!("the events of {} were not loaded", asked.field)));
        };
        let sum = |counts: &[u32], of: fn(u32) -> u32| counts.iter().map(|&count| of(count) as usize).sum::<usize>();
        let (views, has_views) = (&visits.pageviews[..], !entry.is_empty());
        let of_views = [
            (entry.len(), views.len()),
            (exit.len(), sum(views, |views| u32::from(views > 1))),
            (between.len(), sum(views, |views| views.saturating_sub(2))),
        ];
        let fit = others.len() == sum(&visits.other_events, |others| others)
            && of_views.iter().all(|&(own, expected)| own == if has_views { expected } else { 0 });
        if !fit {
            return Err(QueryError::damaged("events of other sessions"));
        }
        Ok(Self { visits, entry: has_views.then_some(entry), exit, between, others })
    }

    /// The events of the session at `position`, which begin at `places`. Those of the next one begin behind them.
    #[inline]
    fn of(&self, position: usize, places: &mut Places) -> OfVisit<'v> {
        fn take<'v>(list: &'v [u32], place: &mut usize, count: usize) -> &'v [u32] {
            let own = &list[*place..*place + count];
            *place += count;
            own
        }
        let views = self.visits.pageviews[position];
        let others = take(self.others, &mut places.others, self.visits.other_events[position] as usize);
        let Some(entry) = self.entry else { return OfVisit { first: (0, views), exit: &[], between: &[], others } };
        OfVisit {
            first: (entry[position], views.min(1)),
            exit: take(self.exit, &mut places.exit, usize::from(views > 1)),
            between: take(self.between, &mut places.between, views.saturating_sub(2) as usize),
            others,
        }
    }

    /// Passes by the sessions at `positions`.
    #[inline]
    fn pass(&self, positions: Range<usize>, places: &mut Places) {
        let sum = |counts: &[u32], of: fn(u32) -> u32| counts.iter().map(|&count| of(count)).sum::<u32>() as usize;
        places.others += sum(&self.visits.other_events[positions.clone()], |others| others);
        if self.entry.is_some() {
            let views = &self.visits.pageviews[positions];
            places.exit += sum(views, |views| u32::from(views > 1));
            places.between += sum(views, |views| views.saturating_sub(2));
        }
    }

    /// Calls `visit` with each session at `some` positions, ascending, of all with events when there are none, and with its events.
    fn for_each(
        &self,
        some: Option<&[u32]>,
        work: &Work<'_>,
        mut visit: impl FnMut(usize, OfVisit<'v>),
    ) -> Result<(), QueryError> {
        let (mut places, mut next) = (Places::default(), 0);
        match some {
            None => work.for_each_block(0..self.visits.with_events, |block| {
                block.for_each(|position| visit(position, self.of(position, &mut places)));
            }),
            Some(some) => work.for_each_block(0..some.len(), |block| {
                for position in some[block].iter().map(|&position| position as usize) {
                    self.pass(next..position, &mut places);
                    visit(position, self.of(position, &mut places));
                    next = position + 1;
                }
            }),
        }
    }
}

/// Sessions of one event, a pageview, that are counted without a branch: what a session is, and whether its visitor is alone, is as good as
/// chance.
struct Singles<'a> {
    codes: &'a [u32],
    places: &'a mut [OfView],
    /// How many who are alone there are at all places together.
    of_all: u64,
}

/// What is looked at of a place for each pageview: together, so that it is one place in memory.
#[derive(Clone, Copy)]
#[repr(align(16))]
struct OfView {
    /// Its group; [`LEFT_OUT`] when it is not counted.
    group: u32,
    /// The session that was met there last.
    met: u32,
    /// How many visitors were met there who are alone.
    alone: u32,
}

impl Happenings<'_> {
    /// Counts the events of all sessions, by their places.
    fn count_all(&self, work: &Work<'_>, events: &mut [Vec<u32>; 2]) -> Result<(), QueryError> {
        let Visits { pageviews, with_events, .. } = self.visits;
        match self.entry {
            None => events[0][0] += pageviews[..*with_events].iter().sum::<u32>(),
            Some(entry) => work.for_each_large_block(0..*with_events, |block| {
                for (&place, &views) in entry[block.clone()].iter().zip(&pageviews[block]) {
                    events[0][place as usize] += views.min(1);
                }
            })?,
        }
        for (places, kind) in [(self.exit, 0), (self.between, 0), (self.others, 1)] {
            let counts = &mut events[kind][..];
            work.for_each_large_block(0..places.len(), |block| {
                places[block].iter().for_each(|&place| counts[place as usize] += 1);
            })?;
        }
        Ok(())
    }

    /// Counts the sessions of one pageview and no other event, and gives `several` the positions of the others.
    fn count_singles(
        &self,
        work: &Work<'_>,
        singles: &mut Singles<'_>,
        several: &mut Vec<u32>,
        pairs: &mut DistinctPairs,
    ) -> Result<(), QueryError> {
        let (visits, entry) = (self.visits, self.entry.unwrap_or_default());
        several.resize(visits.with_events, 0);
        let mut of_several = 0;
        let mut to_add = [(0, 0); DistinctPairs::BLOCK];
        work.for_each_block(0..visits.with_events, |block| {
            let mut start = block.start;
            while start < block.end {
                let end = block.end.min(start + DistinctPairs::BLOCK);
                let mut count = 0;
                let counts = visits.pageviews[start..end].iter().zip(&visits.other_events[start..end]);
                let of_visits = counts.zip(entry[start..end].iter().zip(&visits.visitor[start..end]));
                for (position, ((&pageviews, &others), (&place, &visitor))) in (start..end).zip(of_visits) {
                    let is_single = (pageviews == 1) & (others == 0);
                    let code = singles.codes[visitor as usize];
                    let place = &mut singles.places[place as usize];
                    let (group, is_alone) = (place.group, code == ALONE);
                    let counts = is_single & (group != LEFT_OUT);
                    place.alone += u32::from(is_single & is_alone);
                    singles.of_all += u64::from(counts & is_alone);
                    to_add[count % DistinctPairs::BLOCK] = (group, code);
                    count += usize::from(counts & !is_alone);
                    several[of_several] = position as u32;
                    of_several += usize::from(!is_single);
                }
                to_add[..count].iter().for_each(|&(group, code)| pairs.add(group, code));
                start = end;
            }
        })?;
        several.truncate(of_several);
        Ok(())
    }
}

impl<'v> OfVisit<'v> {
    /// The places of its pageviews.
    #[inline]
    fn views(self) -> impl Iterator<Item = u32> + 'v {
        let (first, count) = self.first;
        std::iter::repeat_n(first, count as usize).chain(self.exit.iter().chain(self.between).copied())
    }

    /// Without its pageviews, or without its other events, when these do not count.
    #[inline]
    fn counted(mut self, views: bool, others: bool) -> Self {
        if !views {
            self = Self { first: (0, 0), exit: &[], between: &[], ..self };
        }
        if !others {
            self.others = &[];
        }
        self
    }
}

/// Which sessions pass, by the position of each; `None` when all do.
type Passing = Option<Bits>;

/// The sessions whose pageviews pass `filter`, or whose other events do, when `known` has those that pass each of its conditions.
fn passing(filter: &Filter, next: &mut usize, known: &[Bits], is_view: bool, all: &Bits) -> Bits {
    match filter {
        Filter::All(filters) => filters.iter().fold(all.clone(), |mut passing_all, filter| {
            passing_all.intersect(&passing(filter, next, known, is_view, all));
            passing_all
        }),
        Filter::Any(filters) => {
            let mut passing_any = all.clone();
            passing_any.remove_all(all);
            filters.iter().for_each(|filter| passing_any.unite(&passing(filter, next, known, is_view, all)));
            passing_any
        }
        Filter::Not(filter) => {
            let mut others = all.clone();
            others.remove_all(&passing(filter, next, known, is_view, all));
            others
        }
        Filter::InSession(filter) => passing(filter, next, known, is_view, all),
        Filter::Is(_) => {
            *next += 1;
            known[*next - 1].clone()
        }
        // Of other kinds nobody asks.
        Filter::Kind(_) => {
            let mut those = all.clone();
            if !is_view {
                those.remove_all(all);
            }
            those
        }
    }
}

impl Long<'_> {
    /// The sessions of a section with their events, when these tell what is asked for.
    pub(super) fn visits_with_events(
        &self,
        number: usize,
        asked: &ByColumns<'_>,
    ) -> Result<Option<Counted>, QueryError> {
        if !asked.is_told_by_visits {
            return Ok(None);
        }
        let columns = asked.of_sessions.with(asked.field);
        self.visits_with_split(number, VisitNeeds { columns, counts: true, events: true, ..VisitNeeds::default() })
    }

    /// Counts the events of the sessions of a section, and adds pairs.
    pub(super) fn count_events_of(
        &self,
        part: &Part,
        (number, counted): (usize, &Counted),
        asked: &ByColumns<'_>,
        table: &mut Option<&mut GroupTable>,
        (pairs, waiting): (&mut DistinctPairs, &mut Waiting),
        is_first_pass: bool,
    ) -> Result<(), QueryError> {
        let Counted { visits, split, left } = counted;
        let work = Work::new(left);
        let count = visits.with_events;
        let mut conditions = Vec::new();
        for condition in asked.filter.conditions() {
            conditions.push(visits.with_value(condition, &work)?);
        }
        let keys = self.keys(number, &visits.section)?;
        let mut waits = work.bits(count)?;
        if asked.asks_of_sessions() {
            let mut split_visitors = self.split_visitors_to_change();
            for visit in split.iter().filter(|visit| (visit.position as usize) < count) {
                let bit = |(passing, bit): (&Bits, u32)| u32::from(passing.contains(visit.position)) << bit;
                let passes = conditions.iter().zip(0..).map(bit).sum();
                waiting.add_session(visit.id, (visit.part.first_at, number, passes));
                waits.insert(visit.position);
                split_visitors.insert(keys.of(visit.part.visitor));
            }
        }
        let codes = self.codes_of(&keys, part)?;
        let happenings = Happenings::new(visits, asked)?;
        let mut all = work.bits(count)?;
        all.insert_below(count as u32);
        let [views, others]: [Passing; 2] = [true, false].map(|is_view| {
            let those = passing(asked.filter, &mut 0, &conditions, is_view, &all);
            (those.len() < count as u64).then_some(those)
        });
        let takes = |passing: &Passing, position: usize| match passing {
            None => true,
            Some(passing) => passing.contains(position as u32),
        };
        // Those that are looked at.
        let mut chosen = all.clone();
        if let (Some(views), Some(others)) = (&views, &others) {
            chosen.intersect(views);
            chosen.unite(others);
        }
        if happenings.entry.is_none() && !asked.group_by.include_empty {
            // Few sessions have other events.
            let mut with_others = work.bits(count)?;
            work.for_each_large_block(0..count, |block| {
                with_others.insert_where(block.start, &visits.other_events[block], |&others| others > 0);
            })?;
            chosen.intersect(&with_others);
            waits.intersect(&with_others);
        }
        if codes.contains(&NOT_COUNTED) {
            let visitors = (0..).zip(&visits.visitor[..count]);
            for (position, _) in visitors.filter(|(_, visitor)| codes[**visitor as usize] == NOT_COUNTED) {
                chosen.remove_if_there(position);
                waits.remove_if_there(position);
            }
        }
        if !is_first_pass {
            // Who is alone was counted, and others are of one pass each.
            let visitors = (0..).zip(&visits.visitor[..count]);
            for (position, _) in visitors.filter(|(_, visitor)| !pairs.holds(codes[**visitor as usize])) {
                chosen.remove_if_there(position);
            }
        }
        let texts = &visits.section.dictionaries[asked.field as usize].texts;
        if !waits.is_empty() {
            chosen.remove_all(&waits);
            // Their events wait: which of the other kinds they are nobody asks.
            let positions: Vec<u32> = waits.iter().collect();
            happenings.for_each(Some(&positions), &work, |position, own| {
                let Ok(at) = split.binary_search_by_key(&position, |visit| visit.position as usize) else { return };
                let (session, code) = (split[at].id, codes[visits.visitor[position] as usize]);
                let mut wait = |place: u32, kind: EventKind| {
                    if let Some(group) = asked.group_of(place, &texts[place as usize], table) {
                        waiting.rows.push(WaitingRow { session, passes: 0, group, code, kind: kind as u8 });
                    }
                };
                own.views().for_each(|place| wait(place, EventKind::Pageview));
                own.others.iter().for_each(|&place| wait(place, EventKind::Custom));
            })?;
        }

        // First how many events there are of each place, and its group, then who they are of.
        let are_all = chosen.len() == count as u64;
        let mut events: [Vec<u32>; 2] = [work.filled(0, texts.len())?, work.filled(0, texts.len())?];
        let add = |counts: &mut [u32], places: &[u32]| places.iter().for_each(|&place| counts[place as usize] += 1);
        let mut some: Option<Vec<u32>> = None;
        if are_all && views.is_none() && others.is_none() {
            happenings.count_all(&work, &mut events)?;
        } else {
            work.reserve::<u32>(chosen.len() as usize)?;
            let positions = some.insert(chosen.iter().collect());
            happenings.for_each(Some(positions), &work, |position, all| {
                let own = all.counted(takes(&views, position), takes(&others, position));
                events[0][own.first.0 as usize] += own.first.1;
                add(&mut events[0], own.exit);
                add(&mut events[0], own.between);
                add(&mut events[1], own.others);
            })?;
        }
        let mut places: Vec<OfView> = work.filled(OfView { group: LEFT_OUT, met: NONE, alone: 0 }, texts.len())?;
        for (place, (&views, &others)) in (0..).zip(events[0].iter().zip(&events[1])) {
            if (views > 0 || others > 0)
                && let Some(group) = asked.group_of(place, &texts[place as usize], table)
            {
                places[place as usize].group = group;
            }
        }
        let (mut alone_of_all, mut of_visit) = (0, Vec::new());
        if some.is_none() && happenings.entry.is_some() {
            let several = &mut some.insert(work.list(count)?);
            let mut singles = Singles { codes: &codes, places: &mut places, of_all: 0 };
            happenings.count_singles(&work, &mut singles, several, pairs)?;
            alone_of_all = singles.of_all;
        }
        let (mut looked_at, mut of_ahead) = (0, [0; LOOKED_AT]);
        happenings.for_each(some.as_deref(), &work, |position, all| {
            if looked_at % LOOKED_AT == 0 {
                let ahead =
                    some.as_deref().map_or(&[][..], |some| &some[looked_at..some.len().min(looked_at + LOOKED_AT)]);
                let code = |&position: &u32| codes[visits.visitor[position as usize] as usize];
                of_ahead.iter_mut().zip(ahead).for_each(|(ahead, position)| *ahead = code(position));
                pairs.look_at(&of_ahead[..ahead.len()]);
            }
            looked_at += 1;
            let own = all.counted(takes(&views, position), takes(&others, position));
            let code = codes[visits.visitor[position] as usize];
            let is_alone = code == ALONE;
            of_visit.clear();
            let mut view = |&place: &u32| {
                let place = &mut places[place as usize];
                let is_new = std::mem::replace(&mut place.met, position as u32) != position as u32;
                place.alone += u32::from(is_new & is_alone);
                if is_new && place.group != LEFT_OUT {
                    of_visit.push(place.group);
                }
            };
            let (first, count) = own.first;
            if count > 0 {
                view(&first);
            }
            [own.exit, own.between, own.others].into_iter().for_each(|places| places.iter().for_each(&mut view));
            match is_alone {
                true => alone_of_all += u64::from(!of_visit.is_empty()),
                false => pairs.add_groups(&of_visit, code),
            }
        })?;
        if is_first_pass {
            pairs.count_of_all(alone_of_all);
            for (&OfView { group, met, alone }, (&views, &others)) in
                places.iter().zip(events[0].iter().zip(&events[1]))
            {
                OfPlace { group, met, alone, counts: [views, others] }.count(pairs, table);
            }
        }
        Ok(())
    }

    /// Whether the question is told by the events of sessions where there are such.
    pub(super) fn is_told_by_visits(&self) -> bool {
        match &self.query.question {
            Question::Breakdown(group_by) => {
                ByColumns::new(&self.query.filter, group_by).is_some_and(|asked| asked.is_told_by_visits)
            }
            _ => false,
        }
    }

    /// Adds the visitors of a section to `shared`, once for each visit: who has one alone is counted in it. Where visits are not known,
    /// nobody is alone.
    pub(super) fn share_by_visits(&self, number: usize, shared: &mut SharedVisitors) -> Result<(), QueryError> {
        let left = self.left().unreported();
        let visits = self.source.visits(number, VisitNeeds::default(), &left)?;
        let mut add = |keys: &[u64]| match &visits {
            Some(visits) => shared.add(visits.visitor.iter().map(|&visitor| keys[visitor as usize])),
            None => (0..2).for_each(|_| shared.add(keys.iter().copied())),
        };
        match self.stored_below {
            Some(_) => add(&self.source.visitor_codes(number)?.into_iter().map(u64::from).collect::<Vec<_>>()),
            None => add(&self.source.visitor_ids(number)?),
        }
        Ok(())
    }
}
