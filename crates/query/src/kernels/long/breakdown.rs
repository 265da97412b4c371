//! Breakdowns section by section.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use zenovay_domain::{Dimension, EventKind};

use super::super::breakdown::Gathered;
use super::super::distinct::NONE;
use super::super::select::Scan;
use super::super::work::Work;
use super::codes::{ALONE, Part, Roles};
use super::columns::ByColumns;
use super::pairs::DistinctPairs;
use super::visits::VisitsPiece;
use super::walk::{IdMap, Long, Piece, Rows};
use crate::derived::SessionSums;
use crate::{Breakdown, BreakdownRow, Filter, FilterLevel, GroupBy, MetricValues, QueryError};

/// Up to this many pairs of values of a section, each pair has a place whether it occurs or not.
const DENSE_PAIRS: usize = 1 << 16;

/// Groups are parted by the high bits of their hash.
const GROUP_PARTS: u32 = 1 << 16;
/// About what a string takes beside its bytes, with its code.
const STRING_BYTES: usize = 120;
/// About what a group takes beside its strings.
const GROUP_BYTES: usize = size_of::<GroupTotals>() + 2 * size_of::<(u32, u32, u32)>() + 16;

/// The groups of those parts that are counted at one time.
pub(super) struct GroupTable {
    parts: Range<u32>,
    names: [Names; 2],
    has_second: bool,
    codes: HashMap<(u32, u32), u32>,
    keys: Vec<(u32, u32)>,
    totals: Vec<GroupTotals>,
    title_bytes: usize,
}

#[derive(Default)]
struct Names {
    codes: HashMap<Arc<str>, u32>,
    /// By where they are in memory: sections may share their strings.
    by_place: IdMap<u32>,
    texts: Vec<Arc<str>>,
    bytes: usize,
}

#[derive(Default)]
struct GroupTotals {
    metrics: MetricValues,
    title: Option<Title>,
    time_on_page_ms: u64,
    timed_pageviews: u64,
}

/// The last title, and the event that had it: its time, its section and its row there.
struct Title {
    place: (i64, usize, u32),
    text: Arc<str>,
}

impl Names {
    fn code(&mut self, text: &str) -> u32 {
        if let Some(&code) = self.codes.get(text) {
            return code;
        }
        self.insert(Arc::from(text))
    }

    fn code_of(&mut self, text: &Arc<str>) -> u32 {
        let place = text.as_ptr().addr() as u64;
        if let Some(&code) = self.by_place.get(&place) {
            return code;
        }
        if let Some(&code) = self.codes.get(text) {
            return code;
        }
        // It is kept, so nothing else comes to be at its place.
        self.by_place.insert(place, self.texts.len() as u32);
        self.insert(Arc::clone(text))
    }

    fn insert(&mut self, text: Arc<str>) -> u32 {
        let code = self.texts.len() as u32;
        self.bytes += text.len() + STRING_BYTES;
        self.texts.push(Arc::clone(&text));
        self.codes.insert(text, code);
        code
    }
}

impl GroupTable {
    fn new(parts: Range<u32>, has_second: bool) -> Self {
        Self {
            parts,
            names: Default::default(),
            has_second,
            codes: HashMap::new(),
            keys: Vec::new(),
            totals: Vec::new(),
            title_bytes: 0,
        }
    }

    /// The group of these values, when it is one of those that are counted.
    pub(super) fn group(&mut self, (first, second): (&str, Option<&str>)) -> Option<u32> {
        if self.parts != (0..GROUP_PARTS) {
            // The same for the same strings in every pass: nobody else sees it.
            let mut hasher = DefaultHasher::new();
            (first, second).hash(&mut hasher);
            if !self.parts.contains(&((hasher.finish() >> 32) as u32 % GROUP_PARTS)) {
                return None;
            }
        }
        let key = (self.names[0].code(first), second.map_or(0, |second| self.names[1].code(second)));
        if !self.has_second {
            self.add_group_of(key.0);
            return Some(key.0);
        }
        Some(self.group_of_key(key))
    }

    /// The group of this value and no second one.
    pub(super) fn group_of(&mut self, text: &Arc<str>) -> Option<u32> {
        if self.has_second || self.parts != (0..GROUP_PARTS) {
            return self.group((text, None));
        }
        let code = self.names[0].code_of(text);
        self.add_group_of(code);
        Some(code)
    }

    /// The group of these values.
    fn group_of_two(&mut self, first: &Arc<str>, second: &Arc<str>) -> Option<u32> {
        if self.parts != (0..GROUP_PARTS) {
            return self.group((first, Some(second)));
        }
        let key = (self.names[0].code_of(first), self.names[1].code_of(second));
        Some(self.group_of_key(key))
    }

    fn group_of_key(&mut self, key: (u32, u32)) -> u32 {
        *self.codes.entry(key).or_insert_with(|| {
            self.keys.push(key);
            self.totals.push(GroupTotals::default());
            self.keys.len() as u32 - 1
        })
    }

    /// Groups without a second value are the strings, each once.
    fn add_group_of(&mut self, code: u32) {
        if code as usize == self.keys.len() {
            self.keys.push((code, 0));
            self.totals.push(GroupTotals::default());
        }
    }

    /// Counts events of a group.
    pub(super) fn count_events(&mut self, group: u32, pageviews: u32, others: u32) {
        let metrics = &mut self.totals[group as usize].metrics;
        metrics.pageviews += u64::from(pageviews);
        metrics.events += u64::from(pageviews) + u64::from(others);
    }

    fn texts(&self, group: u32) -> (&str, Option<&str>) {
        let (first, second) = self.keys[group as usize];
        (&self.names[0].texts[first as usize], self.has_second.then(|| &*self.names[1].texts[second as usize]))
    }

    pub(super) fn bytes(&self) -> usize {
        self.keys.len() * GROUP_BYTES + self.names[0].bytes + self.names[1].bytes + self.title_bytes
    }

    fn set_title(&mut self, group: u32, title: Title) {
        let known = &mut self.totals[group as usize].title;
        if known.as_ref().is_none_or(|known| title.place > known.place) {
            self.title_bytes += title.text.len() + STRING_BYTES;
            self.title_bytes -= known.replace(title).map_or(0, |title| title.text.len() + STRING_BYTES);
        }
    }

    /// The group here of each group of a table of another thread.
    fn groups_of(&mut self, other: &Self) -> Vec<u32> {
        // Both tables count the groups of the same parts, so there is none that this one leaves out.
        (0..other.keys.len() as u32).map(|group| self.group(other.texts(group)).unwrap_or(NONE)).collect()
    }

    /// Counts what `other` counts of other visitors.
    fn merge(&mut self, other: Self) {
        for group in 0..other.keys.len() as u32 {
            let Some(own) = self.group(other.texts(group)) else { continue };
            let totals = &other.totals[group as usize];
            let known = &mut self.totals[own as usize];
            known.metrics.add(&totals.metrics);
            known.time_on_page_ms += totals.time_on_page_ms;
            known.timed_pageviews += totals.timed_pageviews;
        }
        for (group, totals) in (0..).zip(other.totals) {
            // The strings of the other table are gone with it only below.
            if let Some(title) = totals.title {
                let (first, second) = other.keys[group];
                let second = other.has_second.then(|| &*other.names[1].texts[second as usize]);
                if let Some(own) = self.group((&other.names[0].texts[first as usize], second)) {
                    self.set_title(own, title);
                }
            }
        }
    }

    fn row(&self, group: u32) -> BreakdownRow {
        let (value, and) = self.texts(group);
        let totals = &self.totals[group as usize];
        BreakdownRow {
            value: value.to_owned(),
            and: and.map(str::to_owned),
            metrics: totals.metrics,
            title: totals.title.as_ref().map(|title| title.text.to_string()),
            time_on_page_ms: totals.time_on_page_ms,
            timed_pageviews: totals.timed_pageviews,
        }
    }
}

/// Which groups of the first table those of another thread's are. All are the same where nothing is counted by group.
pub(super) fn groups_of(first: &mut Option<GroupTable>, other: &Option<GroupTable>) -> Option<Vec<u32>> {
    first.as_mut().zip(other.as_ref()).map(|(first, other)| first.groups_of(other))
}

impl Long<'_> {
    pub(super) fn breakdown(&self, group_by: &GroupBy) -> Result<Breakdown, QueryError> {
        let end = group_by.offset.saturating_add(group_by.limit);
        let mut rows: Vec<BreakdownRow> = Vec::new();
        let (mut total_rows, mut total_visitors) = (0, None);
        let (mut first, mut count) = (0, GROUP_PARTS);
        while first < GROUP_PARTS {
            self.has_too_many_groups.set(false);
            let parts = first..first.saturating_add(count).min(GROUP_PARTS);
            let answer_bytes: usize = rows.iter().map(row_bytes).sum();
            match self.breakdown_of(group_by, parts.clone(), answer_bytes) {
                Ok((found, all, visitors)) => {
                    rows.extend(found);
                    total_rows += all;
                    total_visitors = (parts == (0..GROUP_PARTS)).then_some(visitors);
                    first = parts.end;
                }
                Err(QueryError::MemoryExceeded) if self.has_too_many_groups.get() && count > 1 => count /= 4,
                Err(error) => return Err(error),
            }
            self.forget();
            let key = |row: &BreakdownRow| group_by.order.count(&row.metrics);
            rows.sort_by(|a, b| key(b).cmp(&key(a)).then_with(|| (&a.value, &a.and).cmp(&(&b.value, &b.and))));
            rows.truncate(end);
            if rows.iter().map(row_bytes).sum::<usize>() > self.may_hold / 2 {
                return Err(QueryError::MemoryExceeded);
            }
        }
        let total_visitors = match total_visitors {
            Some(visitors) => visitors,
            None => self.visitors_of_all(group_by)?,
        };
        rows.drain(..group_by.offset.min(rows.len()));
        Ok(Breakdown { rows, total_rows, total_visitors })
    }

    /// The rows of the answer that are of groups in `parts`, those to be skipped among them, how many rows all of these groups
    /// have, and how many visitors there are in them.
    fn breakdown_of(
        &self,
        group_by: &GroupBy,
        parts: Range<u32>,
        answer_bytes: usize,
    ) -> Result<(Vec<BreakdownRow>, usize, u64), QueryError> {
        let mut table = GroupTable::new(parts.clone(), group_by.and.is_some());
        let mut visitors = 0;
        self.in_parts(|part| {
            let (own, more) = self.count_groups(part, group_by, Some(parts.clone()), answer_bytes + table.bytes())?;
            visitors += more;
            match own {
                Some(own) if table.keys.is_empty() => table = own,
                Some(own) => table.merge(own),
                None => {}
            }
            // What both took together was looked at.
            self.held.groups.set(answer_bytes + table.bytes());
            Ok(part.parts.end)
        })?;
        let left = self.left().unreported();
        let work = Work::new(&left);
        let metrics_of = |group: u32| table.totals[group as usize].metrics;
        let (found, total_rows) = group_by.choose(&work, table.keys.len(), metrics_of, |group| table.texts(group))?;
        let mut bytes = 0;
        let mut rows = Vec::new();
        for (_, group) in found {
            let row = table.row(group);
            bytes += row_bytes(&row);
            if bytes > self.may_hold / 2 {
                return Err(QueryError::MemoryExceeded);
            }
            rows.push(row);
        }
        Ok((rows, total_rows, visitors))
    }

    /// How many visitors all groups that are shown have together.
    fn visitors_of_all(&self, group_by: &GroupBy) -> Result<u64, QueryError> {
        let mut visitors = 0;
        self.in_parts(|part| {
            visitors += self.count_groups(part, group_by, None, 0)?.1;
            Ok(part.parts.end)
        })?;
        Ok(visitors)
    }

    /// Whether most events are counted, as far as can be told.
    pub(super) fn chooses_most(&self, group_by: &GroupBy) -> bool {
        let filter = &self.query.filter;
        let is_open = *filter == Filter::default() || matches!(filter, Filter::Kind(EventKind::Pageview));
        is_open && group_by.include_empty
    }

    pub(super) fn hold_groups(&self, bytes: usize) -> Result<(), QueryError> {
        // Half of it is for pairs.
        if bytes > self.may_hold / 2 {
            self.has_too_many_groups.set(true);
            return Err(QueryError::MemoryExceeded);
        }
        self.hold(&self.held.groups, bytes)
    }

    /// Counts what the visitors of `part` do for each group of the parts `groups`, and how many visitors there are in any of them; without
    /// parts, in any group, and no group by itself.
    fn count_groups(
        &self,
        part: &Part,
        group_by: &GroupBy,
        groups: Option<Range<u32>>,
        other_bytes: usize,
    ) -> Result<(Option<GroupTable>, u64), QueryError> {
        // It is worth it when most visitors need no code, or when a visitor has many groups.
        let is_of_events = group_by.field.level() == FilterLevel::Event;
        if self.counts_distinct
            && (self.has_many_rows() && self.stored_below.is_none() || is_of_events && self.chooses_most(group_by))
        {
            self.find_shared()?;
        }
        let visit = |long: &Long<'_>,
                     piece: &Piece<'_>,
                     table: &mut Option<GroupTable>,
                     pairs: &mut DistinctPairs,
                     is_first_pass: bool| {
            match piece {
                Piece::Rows(rows) => long.with_scan(rows, |scan| {
                    let roles = Roles { codes: rows.codes, is_first_pass };
                    long.count_rows(scan, rows, group_by, table.as_mut(), pairs, &roles)
                })?,
                Piece::Visits(visits) => {
                    let roles = Roles { codes: visits.codes, is_first_pass };
                    long.count_visits(visits, group_by, table.as_mut(), pairs, &roles)?;
                }
            }
            long.hold_groups(other_bytes + table.as_ref().map_or(0, GroupTable::bytes))
        };
        self.on_one_if_need_be(|threads| {
            let table = || groups.clone().map(|groups| GroupTable::new(groups, group_by.and.is_some()));
            let tables: Vec<Option<GroupTable>> = (0..threads.get()).map(|_| table()).collect();
            let (tables, pairs) = match ByColumns::new(&self.query.filter, group_by) {
                Some(asked) => self.in_column_passes(part, &asked, tables, other_bytes)?,
                None => self.in_passes(part, tables, visit, groups_of, |_, _| false)?,
            };
            let table = tables.into_iter().flatten().reduce(|mut table, other| {
                table.merge(other);
                table
            });
            let table = table.map(|mut table| {
                for (totals, group) in table.totals.iter_mut().zip(0..) {
                    totals.metrics.visitors = pairs.of_group(group);
                }
                table
            });
            Ok((table, pairs.total()))
        })
    }

    fn count_rows(
        &self,
        scan: &Scan<'_>,
        rows: &Rows<'_>,
        group_by: &GroupBy,
        table: Option<&mut GroupTable>,
        pairs: &mut DistinctPairs,
        roles: &Roles<'_>,
    ) -> Result<(), QueryError> {
        let test = scan.compile_for_some(&self.query.filter)?;
        let gathered = scan.gather(&test, group_by, roles.is_first_pass && group_by.wants_sessions())?;
        let shown = gathered.groups.shown(group_by.include_empty);
        let Some(table) = table else {
            return roles.add_lists(scan.work, pairs, &gathered.pairs, &shown, &mut |_| Some(0));
        };
        // The group in the table of each group that has been met.
        let of_table: Vec<Cell<u32>> = vec![Cell::new(NONE); shown.len()];
        let mut whole = |group: u32| {
            let known = &of_table[group as usize];
            if known.get() == NONE {
                // One that is not counted is remembered, too.
                known.set(table.group(gathered.groups.texts(group)).unwrap_or(NONE - 1));
            }
            (known.get() != NONE - 1).then_some(known.get())
        };
        roles.add_lists(scan.work, pairs, &gathered.pairs, &shown, &mut whole)?;
        if roles.is_first_pass {
            let with_events = |group: &u32| shown[*group as usize] && gathered.metrics_of(*group as usize).events > 0;
            let groups: Vec<(u32, u32)> = (0..shown.len() as u32)
                .filter(with_events)
                .filter_map(|group| whole(group).map(|whole| (group, whole)))
                .collect();
            self.add_totals(scan, rows, group_by, &gathered, &groups, table)?;
        }
        Ok(())
    }

    /// Counts sessions without their rows, by fields of sessions.
    fn count_visits(
        &self,
        piece: &VisitsPiece<'_>,
        group_by: &GroupBy,
        table: Option<&mut GroupTable>,
        pairs: &mut DistinctPairs,
        roles: &Roles<'_>,
    ) -> Result<(), QueryError> {
        let work = Work::new(piece.budget);
        let visits = piece.visits;
        let chosen = Chosen::new(piece, &self.query.filter, &work)?;
        let places = Places::new(piece, group_by, &chosen, &work)?;
        // The last place is of those that do not count.
        let mut counts: Vec<Counts> = work.filled(Counts::default(), places.len + 1)?;
        let of_chosen = &places.of_chosen[..];
        let (pageviews, other_events) =
            (chosen.pick(&visits.pageviews, &work)?, chosen.pick(&visits.other_events, &work)?);
        work.for_each_large_block(0..of_chosen.len(), |block| {
            let events = pageviews[block.clone()].iter().zip(&other_events[block.clone()]);
            for (&place, (&pageviews, &other_events)) in of_chosen[block].iter().zip(events) {
                let count = &mut counts[place as usize];
                // Neither half is more than the rows of a section.
                count.events += u64::from(pageviews) | u64::from(other_events) << 32;
            }
        })?;
        let is_with_sessions = table.is_some() && roles.is_first_pass && group_by.wants_sessions();
        if is_with_sessions {
            work.for_each_large_block(0..of_chosen.len(), |block| {
                for (&place, position) in of_chosen[block.clone()].iter().zip(block) {
                    counts[place as usize].sessions.add(visits.metrics(chosen.position(position)));
                }
            })?;
        }
        let mut groups: Vec<u32> = work.filled(NONE, places.len + 1)?;
        match table {
            None => {
                for place in (0..places.len as u32).filter(|&place| places.codes(place).0 > 0 || group_by.include_empty)
                {
                    groups[place as usize] = 0;
                }
            }
            Some(table) => {
                for (place, count) in (0..).zip(&counts[..places.len]).filter(|(_, count)| count.events > 0) {
                    let (first, second) = places.codes(place);
                    if first == 0 && !group_by.include_empty {
                        continue;
                    }
                    let first = visits.text(&group_by.field, first);
                    let group = match &group_by.and {
                        Some(field) => table.group_of_two(first, visits.text(field, second)),
                        None => table.group_of(first),
                    };
                    let Some(group) = group else { continue };
                    groups[place as usize] = group;
                    if roles.is_first_pass {
                        let metrics = &mut table.totals[group as usize].metrics;
                        let (pageviews, other_events) = (count.events & u64::from(u32::MAX), count.events >> 32);
                        metrics.pageviews += pageviews;
                        metrics.events += pageviews + other_events;
                        count.sessions.add_to(metrics);
                    }
                }
            }
        }
        let visitors = chosen.pick(&visits.visitor, &work)?;
        if piece.are_all_pairs() && pairs.holds_up_to(piece.highest_code) {
            return work.for_each_large_block(0..of_chosen.len(), |block| {
                pairs.add_places(&of_chosen[block.clone()], &groups, &visitors[block], roles.codes);
            });
        }
        // Visitors who are alone here, each with a group: some of them several times.
        let mut alone: Vec<u64> = Vec::new();
        work.for_each_large_block(0..of_chosen.len(), |block| {
            let (codes, groups) = (roles.codes, &groups[..]);
            let of_block = visitors[block.clone()].iter().zip(&of_chosen[block]);
            pairs.add_each(of_block.filter_map(|(&visitor, &place)| {
                let group = groups[place as usize];
                let code = codes[visitor as usize];
                if code == ALONE && group != NONE && roles.is_first_pass {
                    alone.push(u64::from(visitor) << 32 | u64::from(group));
                }
                (group != NONE && code != ALONE).then_some((group, code))
            }));
        })?;
        work.reserve::<u64>(alone.len())?;
        alone.sort_unstable();
        alone.dedup();
        let mut last = None;
        for pair in alone {
            let (visitor, group) = (pair >> 32, pair as u32);
            pairs.count_of_group(group, 1);
            pairs.count_of_all(u64::from(last.replace(visitor) != Some(visitor)));
        }
        Ok(())
    }

    /// Adds what a piece has of `groups`: each is its group in the piece and that in the table.
    fn add_totals(
        &self,
        scan: &Scan<'_>,
        piece: &Rows<'_>,
        group_by: &GroupBy,
        gathered: &Gathered<'_>,
        groups: &[(u32, u32)],
        table: &mut GroupTable,
    ) -> Result<(), QueryError> {
        for &(group, whole) in groups {
            table.totals[whole as usize].metrics.add(&gathered.metrics_of(group as usize));
        }
        let (titles, times) = (group_by.wants_titles(), group_by.wants_times());
        if !titles && !times {
            return Ok(());
        }
        let mut rows = scan.work.filled(NONE, gathered.groups.len())?;
        groups.iter().zip(0..).for_each(|((group, _), row)| rows[*group as usize] = row);
        let shown = scan.shown_rows(&gathered.pairs, &rows)?;
        if titles {
            let found = scan.last_titles(&gathered.selected, &shown, groups.len())?;
            for (&(_, whole), title) in groups.iter().zip(found) {
                let Some(title) = title else { continue };
                let (section, row) = piece.origin(title.chunk, title.row);
                let text = Arc::clone(&scan.texts(Dimension::Title)[title.code as usize]);
                table.set_title(whole, Title { place: (title.at, section, row), text });
            }
        }
        if times {
            let found = scan.times_on_page(&gathered.selected, &shown, groups.len())?;
            for (&(_, whole), [time_ms, pageviews]) in groups.iter().zip(found) {
                table.totals[whole as usize].time_on_page_ms += time_ms;
                table.totals[whole as usize].timed_pageviews += pageviews;
            }
        }
        Ok(())
    }
}

/// What the sessions at one place come to.
#[derive(Clone, Copy, Default)]
struct Counts {
    /// Pageviews in the low half, other events in the high one. A session has events.
    events: u64,
    /// When sessions are asked for.
    sessions: SessionSums,
}

/// The sessions that are chosen.
enum Chosen<'a> {
    /// The first so many, but for those at some positions.
    AllBut(usize, &'a [u32]),
    /// Those at these positions.
    These(Vec<u32>),
}

impl<'a> Chosen<'a> {
    fn new(piece: &VisitsPiece<'a>, filter: &Filter, work: &Work<'_>) -> Result<Self, QueryError> {
        if *filter == Filter::default() && piece.counts_everyone() {
            return Ok(Self::AllBut(piece.visits.with_events, piece.split));
        }
        piece.chosen(filter, work).map(Self::These)
    }

    /// What `values` has of each.
    fn pick<'v>(&self, values: &'v [u32], work: &Work<'_>) -> Result<Cow<'v, [u32]>, QueryError> {
        match self {
            Self::AllBut(count, _) => Ok(Cow::Borrowed(&values[..*count])),
            Self::These(positions) => {
                work.reserve::<u32>(positions.len())?;
                Ok(positions.iter().map(|&position| values[position as usize]).collect())
            }
        }
    }

    /// The position of the one at a place.
    #[inline]
    fn position(&self, place: usize) -> usize {
        match self {
            Self::AllBut(..) => place,
            Self::These(positions) => positions[place] as usize,
        }
    }
}

/// The values, or pairs of values, of the sessions of a section that are chosen, as numbers.
struct Places {
    /// How many numbers there are.
    len: usize,
    /// That of each of the chosen sessions; `len` of one that does not count.
    of_chosen: Vec<u32>,
    /// How many second values there are: a pair is the first times this and the second. `None` with `pairs`.
    seconds: Option<u32>,
    /// The pairs that occur, when not every one has a number.
    pairs: Vec<(u32, u32)>,
}

impl Places {
    fn new(
        piece: &VisitsPiece<'_>,
        group_by: &GroupBy,
        chosen: &Chosen<'_>,
        work: &Work<'_>,
    ) -> Result<Self, QueryError> {
        let mut places = Self::of_values(piece, group_by, chosen, work)?;
        if let Chosen::AllBut(count, positions) = *chosen {
            let ends = places.len as u32;
            for &position in positions.iter().filter(|&&position| (position as usize) < count) {
                places.of_chosen[position as usize] = ends;
            }
        }
        Ok(places)
    }

    fn of_values(
        piece: &VisitsPiece<'_>,
        group_by: &GroupBy,
        chosen: &Chosen<'_>,
        work: &Work<'_>,
    ) -> Result<Self, QueryError> {
        let visits = piece.visits;
        let codes = visits.codes(&group_by.field)?;
        let first = chosen.pick(&codes, work)?;
        let firsts = visits.values(&group_by.field);
        let Some(field) = &group_by.and else {
            work.reserve::<u32>(first.len())?;
            return Ok(Self { len: firsts, of_chosen: first.into_owned(), seconds: Some(1), pairs: Vec::new() });
        };
        let (codes, seconds) = (visits.codes(field)?, visits.values(field));
        let second = chosen.pick(&codes, work)?;
        let mut of_chosen: Vec<u32> = work.list(first.len())?;
        let both = |block: Range<usize>| first[block.clone()].iter().copied().zip(second[block].iter().copied());
        if firsts.saturating_mul(seconds) <= DENSE_PAIRS {
            work.for_each_large_block(0..first.len(), |block| {
                of_chosen.extend(both(block).map(|(first, second)| first * seconds as u32 + second));
            })?;
            return Ok(Self { len: firsts * seconds, of_chosen, seconds: Some(seconds as u32), pairs: Vec::new() });
        }
        let mut numbers: HashMap<(u32, u32), u32> = HashMap::new();
        let mut pairs = Vec::new();
        work.for_each_large_block(0..first.len(), |block| {
            of_chosen.extend(both(block).map(|pair| {
                *numbers.entry(pair).or_insert_with(|| {
                    pairs.push(pair);
                    pairs.len() as u32 - 1
                })
            }));
        })?;
        work.reserve::<[u32; 4]>(pairs.len())?;
        Ok(Self { len: pairs.len(), of_chosen, seconds: None, pairs })
    }

    /// The codes of both values at a place.
    fn codes(&self, place: u32) -> (u32, u32) {
        match self.seconds {
            Some(seconds) => (place / seconds, place % seconds),
            None => self.pairs[place as usize],
        }
    }
}

/// About what a row of an answer takes.
fn row_bytes(row: &BreakdownRow) -> usize {
    let strings = [Some(&row.value), row.and.as_ref(), row.title.as_ref()];
    size_of::<BreakdownRow>() + strings.into_iter().flatten().map(String::len).sum::<usize>()
}
