//! Breakdowns by fields of events that ask for nothing of sessions but what chooses them: pages, events, pages of a country.
//!
//! Of the rows of a section one reads the kind, the visitor and the columns that are asked for, and makes no session table. Conditions on
//! fields of sessions are found by the sessions without their rows. Of a session that is in several sections the value is that of
//! its first event: its rows wait until all sections were seen.

use std::sync::Arc;

use zenovay_domain::{Dimension, EventKind};

use super::super::distinct::NONE;
use super::super::pageviews::PAGEVIEW;
use super::super::select::{RowsOf, Test, column};
use super::super::work::{Bits, Work};
use super::breakdown::{GroupTable, groups_of};
use super::codes::{ALONE, NOT_COUNTED, Part};
use super::pairs::DistinctPairs;
use super::threads::Queue;
use super::walk::{IdMap, Long, codes_of};
use super::{RowColumns, RowNeeds, Section, VisitNeeds, Visits};
use crate::matching::Matcher;
use crate::{
    Budget, ColumnSet, Condition, Dictionary, Field, Filter, FilterLevel, GroupBy, NO_ROW, Order, Query, QueryError,
    Question,
};

/// Conditions that are told from each other for rows that wait.
const CONDITIONS_MAX: usize = 32;

/// What such a question asks for.
pub(super) struct ByColumns<'q> {
    pub(super) group_by: &'q GroupBy,
    /// What it groups by.
    pub(super) field: Dimension,
    pub(super) filter: &'q Filter,
    /// Fields of the row.
    of_rows: ColumnSet,
    /// Those of them that choose the rows.
    choosing: ColumnSet,
    /// Whether kinds choose the rows together with something else: where all conditions must pass, they can be looked at last.
    kinds_choose: bool,
    /// Fields of the session.
    pub(super) of_sessions: ColumnSet,
    /// Whether the events that stand with sessions tell all of it: which of the other kinds they are is not known there.
    pub(super) is_told_by_visits: bool,
}

/// The sessions and rows that wait.
#[derive(Default)]
pub(super) struct Waiting {
    /// Of each session the first event that was met, its section, and which conditions its values pass there.
    sessions: IdMap<(i64, usize, u32)>,
    pub(super) rows: Vec<WaitingRow>,
}

pub(super) struct WaitingRow {
    pub(super) session: u64,
    /// Which conditions the row passes by itself.
    pub(super) passes: u32,
    pub(super) group: u32,
    pub(super) code: u32,
    pub(super) kind: u8,
}

/// Marks another event than a pageview beside its place. No section has as many strings.
const IS_OTHER: u32 = 1 << 31;
/// As many visitors are looked at together before their pairs are added.
pub(super) const LOOKED_AT: usize = 256;
/// Stands for the group of a place that is not counted.
pub(super) const LEFT_OUT: u32 = NONE - 1;

/// Where a condition looks.
enum Place {
    Row,
    Session,
}

impl<'q> ByColumns<'q> {
    /// What `filter` and `group_by` ask for; `None` when it is something else.
    pub(super) fn new(filter: &'q Filter, group_by: &'q GroupBy) -> Option<Self> {
        let Field::Dimension(field) = group_by.field else { return None };
        let asks_of_sessions = group_by.order == Order::Sessions || !group_by.metrics.is_empty();
        if group_by.field.level() != FilterLevel::Event || group_by.and.is_some() || asks_of_sessions {
            return None;
        }
        if filter.conditions().count() > CONDITIONS_MAX {
            return None;
        }
        let mut choosing = ColumnSet::EMPTY;
        if !group_by.include_empty {
            choosing = choosing.with(field);
        }
        let kinds_choose = match filter {
            Filter::All(filters) => {
                filters.iter().any(|filter| has_kind(filter, |_| true) && !matches!(filter, Filter::Kind(_)))
            }
            filter => has_kind(filter, |_| true),
        };
        let (of_rows, of_sessions) = (ColumnSet::EMPTY.with(field), ColumnSet::EMPTY);
        let is_told_by_visits = matches!(field, Dimension::Path | Dimension::EventName)
            && !has_kind(filter, |kind| kind != EventKind::Pageview);
        let mut asked =
            Self { group_by, field, filter, of_rows, choosing, kinds_choose, of_sessions, is_told_by_visits };
        if has_in_session(filter) {
            return None;
        }
        for condition in filter.conditions() {
            let Field::Dimension(dimension) = condition.field else { return None };
            match place_of(condition)? {
                Place::Row => {
                    asked.is_told_by_visits = false;
                    asked.of_rows = asked.of_rows.with(dimension);
                    asked.choosing = asked.choosing.with(dimension);
                }
                Place::Session => asked.of_sessions = asked.of_sessions.with(dimension),
            }
        }
        Some(asked)
    }

    pub(super) fn asks_of_sessions(&self) -> bool {
        self.of_sessions != ColumnSet::EMPTY
    }

    /// The group of a place with `text`, when it is one that is counted.
    pub(super) fn group_of(&self, place: u32, text: &Arc<str>, table: &mut Option<&mut GroupTable>) -> Option<u32> {
        match table {
            // Of rows that wait.
            _ if place == 0 && !self.group_by.include_empty => None,
            Some(table) => table.group_of(text),
            None => Some(0),
        }
    }
}

/// Whether `query` asks for nothing of sessions, not even what chooses the events.
pub(super) fn asks_of_events_alone(query: &Query) -> bool {
    match &query.question {
        Question::Breakdown(group_by) => {
            ByColumns::new(&query.filter, group_by).is_some_and(|asked| !asked.asks_of_sessions())
        }
        _ => false,
    }
}

/// Where `condition` on a dimension looks; `None` when neither at the row nor at the value of the session.
fn place_of(condition: &Condition) -> Option<Place> {
    match (condition.level, condition.field.level()) {
        (Some(FilterLevel::Event), _) | (None, FilterLevel::Event) => Some(Place::Row),
        (Some(FilterLevel::Session) | None, FilterLevel::Session) => Some(Place::Session),
        _ => None,
    }
}

fn has_in_session(filter: &Filter) -> bool {
    match filter {
        Filter::All(filters) | Filter::Any(filters) => filters.iter().any(has_in_session),
        Filter::Not(filter) => has_in_session(filter),
        Filter::InSession(_) => true,
        Filter::Is(_) | Filter::Kind(_) => false,
    }
}

/// Whether `filter` asks anywhere for one of the kinds that `which` holds of.
fn has_kind(filter: &Filter, which: fn(EventKind) -> bool) -> bool {
    match filter {
        Filter::All(filters) | Filter::Any(filters) => filters.iter().any(|filter| has_kind(filter, which)),
        Filter::Not(filter) | Filter::InSession(filter) => has_kind(filter, which),
        Filter::Is(_) => false,
        Filter::Kind(kind) => which(*kind),
    }
}

/// Whether an event with this kind passes, when `passes` has a bit for each condition in the order in which the filter has them.
fn passes(filter: &Filter, is_of_kind: &impl Fn(EventKind) -> bool, passing: &mut u32) -> bool {
    match filter {
        // Each condition takes its bit, whatever the others say.
        Filter::All(filters) => filters.iter().fold(true, |all, filter| passes(filter, is_of_kind, passing) & all),
        Filter::Any(filters) => filters.iter().fold(false, |any, filter| passes(filter, is_of_kind, passing) | any),
        Filter::Not(filter) => !passes(filter, is_of_kind, passing),
        Filter::InSession(filter) => passes(filter, is_of_kind, passing),
        Filter::Is(_) => {
            let own = *passing & 1 != 0;
            *passing >>= 1;
            own
        }
        Filter::Kind(kind) => is_of_kind(*kind),
    }
}

/// The codes of `dictionary` that pass `condition`.
fn passing_codes(condition: &Condition, dictionary: &Dictionary, work: &Work<'_>) -> Result<Bits, QueryError> {
    let values = condition.normal_values();
    let matcher = Matcher::new(condition.operator, &values);
    let mut passing = work.bits(dictionary.texts.len())?;
    work.for_each_block(0..dictionary.texts.len(), |block| {
        block.for_each(|code| passing.insert_if(code as u32, matcher.matches(&dictionary.texts[code])));
    })?;
    Ok(passing)
}

/// What is known of the sessions of a section.
struct SessionFacts {
    /// How many there are; 0 when nothing is asked of them.
    sessions: usize,
    /// By the number of a condition on sessions, those that pass it.
    passing: Vec<(u32, Bits)>,
    /// Those that are in several sections, with the first event that they have here.
    split: Vec<(u32, i64)>,
    is_split: Bits,
}

impl SessionFacts {
    /// Which conditions a session passes, a bit each.
    fn passes(&self, session: u32) -> u32 {
        self.passing.iter().fold(0, |passes, (bit, passing)| passes | u32::from(passing.contains(session)) << bit)
    }
}

/// The rows of a section that are asked about.
struct Asked {
    number: usize,
    rows: RowColumns,
    facts: SessionFacts,
    left: Budget,
}

impl Long<'_> {
    /// Counts the rows of all sections, on as many threads as there are `tables`, and gives these and the pairs.
    pub(super) fn in_column_passes(
        &self,
        part: &Part,
        asked: &ByColumns<'_>,
        mut tables: Vec<Option<GroupTable>>,
        other_bytes: usize,
    ) -> Result<(Vec<Option<GroupTable>>, DistinctPairs), QueryError> {
        let mut pairs: Vec<DistinctPairs> = tables.iter().map(|_| DistinctPairs::new(self.codes_below())).collect();
        let mut is_first_pass = true;
        loop {
            let queue = Queue::new(&self.by_time, self.source.spans(), false);
            self.budget.expect_parts(self.by_time.len() as u64);
            let inputs =
                tables.into_iter().zip(pairs).map(|(table, pairs)| (table, pairs, Waiting::default())).collect();
            let counted = self.on_threads(inputs, |long, mut counts| {
                let mut count = || {
                    while let Some(number) = queue.take() {
                        long.count_section(part, (number, asked), &mut counts, is_first_pass, other_bytes)?;
                    }
                    Ok(())
                };
                count().inspect_err(|_| queue.stop())?;
                Ok(counts)
            })?;
            let mut all_waiting = Waiting::default();
            (tables, pairs) = (Vec::new(), Vec::new());
            let mut groups = Vec::new();
            for (table, of_thread, waiting) in counted {
                let own = tables.first_mut().map(|first| groups_of(first, &table));
                all_waiting.absorb(waiting, own.as_ref().and_then(Option::as_deref));
                groups.extend(own);
                tables.push(table);
                pairs.push(of_thread);
            }
            self.hold(&self.held.sessions, self.split_bytes() + all_waiting.bytes())?;
            all_waiting.finish(asked, &mut tables[0].as_mut(), &mut pairs[0], is_first_pass);
            if let [pairs] = &mut pairs[..] {
                self.fit(pairs, |_| false)?;
            }
            self.hold(&self.held.sessions, self.split_bytes())?;
            is_first_pass = false;
            if !DistinctPairs::next_pass_of(&mut pairs, &groups, self.budget)? {
                return Ok((tables, pairs.swap_remove(0)));
            }
        }
    }

    /// Counts a section on one of the threads.
    fn count_section(
        &self,
        part: &Part,
        (number, asked): (usize, &ByColumns<'_>),
        (table, pairs, waiting): &mut (Option<GroupTable>, DistinctPairs, Waiting),
        is_first_pass: bool,
        other_bytes: usize,
    ) -> Result<(), QueryError> {
        self.budget.check()?;
        if self.is_asked(number, asked) {
            let (table, counts) = (&mut table.as_mut(), (&mut *pairs, &mut *waiting));
            match self.visits_with_events(number, asked)? {
                Some(visits) => {
                    self.count_events_of(part, (number, &visits), asked, table, counts, is_first_pass)?;
                }
                None => {
                    let section = self.asked(number, asked)?;
                    self.count_asked(part, &section, asked, table, counts, is_first_pass)?;
                }
            }
        }
        self.hold_groups(other_bytes + table.as_ref().map_or(0, GroupTable::bytes))?;
        self.hold(&self.held.sessions, self.split_bytes() + waiting.bytes())?;
        self.fit(pairs, |_| false)?;
        self.budget.part_done();
        Ok(())
    }

    /// Whether a section has rows that may count, or the first event of a session that goes on elsewhere.
    fn is_asked(&self, number: usize, asked: &ByColumns<'_>) -> bool {
        let (span, range) = (&self.source.spans()[number], self.query.range);
        let has_rows = span.max_at >= range.from.as_millis() && span.min_at < range.to.as_millis();
        has_rows || asked.asks_of_sessions() && !self.split_of(number).is_empty()
    }

    /// What is asked of a section.
    fn asked(&self, number: usize, asked: &ByColumns<'_>) -> Result<Asked, QueryError> {
        if self.is_in_range(number)
            && let Some(facts) = self.facts_by_visits(number, asked)?
        {
            let left = self.left().unreported();
            if let Some(rows) = self.asked_columns(number, asked, &facts, &left)? {
                let left = left.after(rows.bytes());
                return Ok(Asked { number, rows, facts, left });
            }
        }
        let columns = asked.of_sessions.iter().fold(asked.of_rows, ColumnSet::with);
        let (section, left) = self.rows(number, columns)?;
        let facts = self.facts_by_rows(number, &section, asked)?;
        let Section { chunk, dictionaries, visitor_ids, session_ids } = section;
        let range = chunk.rows_between(self.query.range.from, self.query.range.to);
        let picked = |dimension: Dimension| -> Result<(Dimension, Vec<u32>), QueryError> {
            let codes = column(&chunk, dimension)?;
            Ok((dimension, codes[range.clone()].to_vec()))
        };
        let rows = RowColumns {
            rows: range.len(),
            kind: chunk.kind[range.clone()].to_vec(),
            visitor: chunk.visitor[range.clone()].to_vec(),
            session: chunk.session[range.clone()].to_vec(),
            columns: asked.of_rows.iter().map(picked).collect::<Result<_, _>>()?,
            section: Section { dictionaries, visitor_ids, session_ids, ..Section::default() },
        };
        Ok(Asked { number, rows, facts, left })
    }

    /// The columns that are asked for, of those rows of a section that may count or wait; `None` when they cannot be had.
    ///
    /// What chooses rows is read first, and the rest of the chosen rows alone.
    fn asked_columns(
        &self,
        number: usize,
        asked: &ByColumns<'_>,
        facts: &SessionFacts,
        left: &Budget,
    ) -> Result<Option<RowColumns>, QueryError> {
        let all = RowNeeds {
            rows: None,
            columns: asked.of_rows,
            kinds: true,
            visitors: true,
            sessions: asked.asks_of_sessions(),
            session_ids: !facts.split.is_empty(),
            visitor_ids: self.stored_below.is_none(),
        };
        let has_choice = asked.choosing != ColumnSet::EMPTY || asked.kinds_choose || all.sessions;
        if !has_choice || self.chooses_most(asked.group_by) {
            return self.source.columns(number, all, left);
        }
        // Nearly all rows have no name of an event.
        let (mut positions, mut rows) = (None, RowColumns::default());
        if !asked.group_by.include_empty {
            let Some((with_value, of_them)) = self.source.rows_with(number, asked.field, left)? else {
                return Ok(None);
            };
            (positions, rows) = (Some(with_value), of_them);
        }
        let others = |columns: ColumnSet, rows: &RowColumns| {
            let are_read = |dimension: &Dimension| !rows.columns.iter().any(|(own, _)| own == dimension);
            columns.iter().filter(are_read).fold(ColumnSet::EMPTY, ColumnSet::with)
        };
        let choosing = RowNeeds {
            rows: positions.as_deref(),
            columns: others(asked.choosing, &rows),
            kinds: asked.kinds_choose,
            visitors: false,
            visitor_ids: false,
            ..all
        };
        let Some(choice) = self.source.columns(number, choosing, &left.after(rows.bytes()))? else { return Ok(None) };
        rows.rows = choice.rows;
        rows.add(choice);
        let left = left.after(rows.bytes());
        let work = Work::new(&left);
        let test = asked_of_rows(asked, &rows, facts, &work)?;
        let mut chosen = test.select_all(rows.rows, &RowsOf::columns(&rows), &work)?;
        if !facts.split.is_empty() {
            let waits = |(_, session): &(u32, &u32)| facts.is_split.contains(**session);
            chosen.extend((0..).zip(&rows.session).filter(waits).map(|(row, _)| row));
            chosen.sort_unstable();
            chosen.dedup();
        }
        rows.keep(&chosen);
        if let Some(positions) = &positions {
            chosen.iter_mut().for_each(|row| *row = positions[*row as usize]);
        }
        if chosen.is_empty() {
            return Ok(Some(rows));
        }
        let rest = RowNeeds {
            rows: Some(&chosen),
            columns: others(asked.of_rows, &rows),
            kinds: !choosing.kinds,
            sessions: false,
            session_ids: false,
            ..all
        };
        let Some(others) = self.source.columns(number, rest, &left)? else { return Ok(None) };
        rows.add(others);
        Ok(Some(rows))
    }

    /// What sessions without rows tell; `None` when there are none.
    fn facts_by_visits(&self, number: usize, asked: &ByColumns<'_>) -> Result<Option<SessionFacts>, QueryError> {
        let nothing = SessionFacts { sessions: 0, passing: Vec::new(), split: Vec::new(), is_split: Bits::new(0) };
        if !asked.asks_of_sessions() {
            return Ok(Some(nothing));
        }
        let needs = VisitNeeds {
            columns: asked.of_sessions,
            sessions: true,
            starts: !self.split_of(number).is_empty(),
            ..VisitNeeds::default()
        };
        let Some((visits, left)) = self.visits(number, needs)? else { return Ok(None) };
        let work = Work::new(&left);
        let Visits { session, sessions, first_at, section, with_events, .. } = &visits;
        let mut passing_sessions = Vec::new();
        for (condition, bit) in asked.filter.conditions().zip(0..) {
            if matches!(place_of(condition), Some(Place::Session)) {
                let passing =
                    passing_codes(condition, &section.dictionaries[condition.field.column() as usize], &work)?;
                let codes = visits.codes(&condition.field)?;
                let mut those = work.bits(*sessions)?;
                work.for_each_block(0..*with_events, |block| {
                    for (&session, &code) in session[block.clone()].iter().zip(&codes[block]) {
                        those.insert_if(session, passing.contains(code));
                    }
                })?;
                passing_sessions.push((bit, those));
            }
        }
        let is_split = codes_of(self.split_of(number), &section.session_ids);
        let starts = session.iter().copied().zip(first_at.iter().copied()).take(*with_events);
        let split = starts.filter(|(session, _)| is_split.contains(*session)).collect();
        Ok(Some(SessionFacts { sessions: *sessions, passing: passing_sessions, split, is_split }))
    }

    /// The same by the rows, also by those that are not in the range.
    fn facts_by_rows(
        &self,
        number: usize,
        section: &Section,
        asked: &ByColumns<'_>,
    ) -> Result<SessionFacts, QueryError> {
        let left = self.left().unreported();
        let work = Work::new(&left);
        let sessions = section.session_ids.len();
        let mut passing_sessions = Vec::new();
        let with_events = || section.chunk.sessions.iter().filter(|part| part.first_row != NO_ROW);
        for (condition, bit) in asked.filter.conditions().zip(0..) {
            if matches!(place_of(condition), Some(Place::Session)) {
                let dimension = condition.field.column();
                let passing = passing_codes(condition, &section.dictionaries[dimension as usize], &work)?;
                let codes = column(&section.chunk, dimension)?;
                let mut those = work.bits(sessions)?;
                for part in with_events() {
                    those.insert_if(part.session, passing.contains(codes[part.first_row as usize]));
                }
                passing_sessions.push((bit, those));
            }
        }
        let is_split = match asked.asks_of_sessions() {
            true => codes_of(self.split_of(number), &section.session_ids),
            false => Bits::new(0),
        };
        let is_open = |session: u32| asked.asks_of_sessions() && is_split.contains(session);
        let split = with_events().filter(|part| is_open(part.session)).map(|part| (part.session, part.first_at));
        Ok(SessionFacts { sessions, passing: passing_sessions, split: split.collect(), is_split })
    }

    fn count_asked(
        &self,
        part: &Part,
        section: &Asked,
        asked: &ByColumns<'_>,
        table: &mut Option<&mut GroupTable>,
        (pairs, waiting): (&mut DistinctPairs, &mut Waiting),
        is_first_pass: bool,
    ) -> Result<(), QueryError> {
        let Asked { number, rows, facts, left } = section;
        let work = Work::new(left);
        let waits = |session: u32| !facts.split.is_empty() && facts.is_split.contains(session);
        for &(session, first_at) in &facts.split {
            let id = rows.section.session_ids[session as usize];
            waiting.add_session(id, (first_at, *number, facts.passes(session)));
        }
        if rows.rows == 0 {
            return Ok(());
        }
        let keys = self.keys(*number, &rows.section)?;
        let mut split_visitors = self.split_visitors_to_change();
        for (_, &visitor) in rows.session.iter().zip(&rows.visitor).filter(|(session, _)| waits(**session)) {
            split_visitors.insert(keys.of(visitor));
        }
        drop(split_visitors);
        let codes = self.codes_of(&keys, part)?;
        let test = asked_of_rows(asked, rows, facts, &work)?;
        let selected = test.select_all(rows.rows, &RowsOf::columns(rows), &work)?;

        let places = rows.column(asked.field)?;
        let texts = &rows.section.dictionaries[asked.field as usize].texts;
        let group_of =
            |place: u32, table: &mut Option<&mut GroupTable>| asked.group_of(place, &texts[place as usize], table);
        let mut of_places: Vec<OfPlace> = work.filled(OfPlace::default(), texts.len())?;
        let mut alone_of_all = 0;
        let mut of_visitor: Vec<u32> = Vec::new();
        // Nobody is alone as long as nobody looked for those who are.
        if self.shared.get().is_none() && selected.len() < codes.len() / 4 {
            work.for_each_block(0..selected.len(), |block| {
                for &row in &selected[block] {
                    let (place, code) = (places[row as usize], codes[rows.visitor[row as usize] as usize]);
                    if code == NOT_COUNTED {
                        continue;
                    }
                    let known = &mut of_places[place as usize];
                    known.counts[usize::from(rows.kind[row as usize] != PAGEVIEW)] += 1;
                    if known.group == NONE {
                        known.group = group_of(place, table).unwrap_or(LEFT_OUT);
                    }
                    if known.group != LEFT_OUT {
                        pairs.add(known.group, code);
                    }
                }
            })?;
        } else {
            let by_visitor = ByVisitor::new(&selected, rows, places, codes.len(), &work)?;
            work.for_each_block(0..codes.len(), |block| {
                for visitor in block {
                    if visitor.is_multiple_of(LOOKED_AT) {
                        pairs.look_at(&codes[visitor..codes.len().min(visitor + LOOKED_AT)]);
                    }
                    let (code, entries) = (codes[visitor], by_visitor.of(visitor));
                    if code == NOT_COUNTED || entries.is_empty() {
                        continue;
                    }
                    of_visitor.clear();
                    for &entry in entries {
                        let place = entry & !IS_OTHER;
                        let known = &mut of_places[place as usize];
                        known.counts[usize::from(entry != place)] += 1;
                        if std::mem::replace(&mut known.met, visitor as u32) == visitor as u32 {
                            continue;
                        }
                        if known.group == NONE {
                            known.group = group_of(place, table).unwrap_or(LEFT_OUT);
                        }
                        if known.group == LEFT_OUT {
                            continue;
                        }
                        of_visitor.push(known.group);
                        known.alone += u32::from(code == ALONE);
                    }
                    match code {
                        ALONE => alone_of_all += u64::from(!of_visitor.is_empty()),
                        code => pairs.add_groups(&of_visitor, code),
                    }
                }
            })?;
        }
        if is_first_pass {
            pairs.count_of_all(alone_of_all);
            of_places.iter().for_each(|of_place| of_place.count(pairs, table));
        }
        if !facts.split.is_empty() {
            // Their rows wait.
            let of_conditions = row_conditions(asked, rows, &work)?;
            for (row, &session) in rows.session.iter().enumerate().filter(|(_, session)| waits(**session)) {
                let (code, kind) = (codes[rows.visitor[row] as usize], rows.kind[row]);
                if code == NOT_COUNTED || kind == EventKind::Heartbeat as u8 {
                    continue;
                }
                let passes = of_conditions
                    .iter()
                    .fold(0, |passes, (bit, codes, passing)| passes | u32::from(passing.contains(codes[row])) << bit);
                if let Some(group) = group_of(places[row], table) {
                    let session = rows.section.session_ids[session as usize];
                    waiting.rows.push(WaitingRow { session, passes, group, code, kind });
                }
            }
        }
        Ok(())
    }
}

/// What is counted of a place in a section: together, for each row looks at all of it.
#[derive(Clone)]
pub(super) struct OfPlace {
    /// Its group, when that was asked for.
    pub(super) group: u32,
    /// The visitor who was met there last.
    pub(super) met: u32,
    /// How many visitors were met there who are in this section alone.
    pub(super) alone: u32,
    /// Its pageviews and its other events.
    pub(super) counts: [u32; 2],
}

impl OfPlace {
    /// Counts its events, and the visitors who are alone.
    pub(super) fn count(&self, pairs: &mut DistinctPairs, table: &mut Option<&mut GroupTable>) {
        let Self { group, counts: [pageviews, others], alone, .. } = *self;
        if group < LEFT_OUT {
            pairs.count_of_group(group, alone.into());
            if let Some(table) = table {
                table.count_events(group, pageviews, others);
            }
        }
    }
}

impl Default for OfPlace {
    fn default() -> Self {
        Self { group: NONE, met: NONE, alone: 0, counts: [0; 2] }
    }
}

/// The rows of a section that are counted, one visitor after the other: those of one stand near each other, and what is asked of a visitor
/// is asked once.
struct ByVisitor {
    /// Of each row its place, and whether it is another event than a pageview.
    entries: Vec<u32>,
    /// Where those of each visitor end.
    ends: Vec<u32>,
}

impl ByVisitor {
    fn new(
        selected: &[u32],
        rows: &RowColumns,
        places: &[u32],
        visitors: usize,
        work: &Work<'_>,
    ) -> Result<Self, QueryError> {
        let mut ends: Vec<u32> = work.filled(0, visitors)?;
        work.for_each_block(0..selected.len(), |block| {
            for &row in &selected[block] {
                ends[rows.visitor[row as usize] as usize] += 1;
            }
        })?;
        // Each visitor's place to write to starts where it begins and comes to stand where it ends.
        let mut start = 0;
        for end in &mut ends {
            start += std::mem::replace(end, start);
        }
        let mut entries: Vec<u32> = work.filled(0, selected.len())?;
        work.for_each_block(0..selected.len(), |block| {
            for &row in &selected[block] {
                let row = row as usize;
                let end = &mut ends[rows.visitor[row] as usize];
                entries[*end as usize] = places[row] | if rows.kind[row] == PAGEVIEW { 0 } else { IS_OTHER };
                *end += 1;
            }
        })?;
        Ok(Self { entries, ends })
    }

    /// The rows of a visitor.
    #[inline]
    fn of(&self, visitor: usize) -> &[u32] {
        let start = visitor.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.entries[start as usize..self.ends[visitor] as usize]
    }
}

impl Waiting {
    /// Adds what a section has of a session: its first event there, the section, and which conditions its values pass.
    pub(super) fn add_session(&mut self, id: u64, own: (i64, usize, u32)) {
        self.sessions.entry(id).and_modify(|known| *known = own.min(*known)).or_insert(own);
    }

    /// Takes what waits on another thread, whose groups have these numbers; the same without.
    fn absorb(&mut self, other: Self, groups: Option<&[u32]>) {
        other.sessions.into_iter().for_each(|(id, own)| self.add_session(id, own));
        let group_of = |group: u32| groups.map_or(group, |groups| groups[group as usize]);
        self.rows.extend(other.rows.into_iter().map(|row| WaitingRow { group: group_of(row.group), ..row }));
    }

    fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<WaitingRow>()
            + self.sessions.capacity() * (size_of::<(u64, (i64, usize, u32))>() + 1)
    }

    /// Counts the rows that pass, now that all is known of their sessions.
    fn finish(
        self,
        asked: &ByColumns<'_>,
        table: &mut Option<&mut GroupTable>,
        pairs: &mut DistinctPairs,
        is_first_pass: bool,
    ) {
        for WaitingRow { session, passes: of_row, group, code, kind } in self.rows {
            let Some((_, _, of_session)) = self.sessions.get(&session) else { continue };
            let is_of_kind = |wanted: EventKind| wanted as u8 == kind;
            if !passes(asked.filter, &is_of_kind, &mut (of_row | of_session)) {
                continue;
            }
            pairs.add(group, code);
            if is_first_pass && let Some(table) = table {
                let is_pageview = kind == EventKind::Pageview as u8;
                table.count_events(group, u32::from(is_pageview), u32::from(!is_pageview));
            }
        }
    }
}

/// A condition on rows: its bit, the code of each row in its column, and the codes that pass.
type RowCondition<'r> = (u32, &'r [u32], Bits);

/// The conditions on rows.
fn row_conditions<'r>(
    asked: &ByColumns<'_>,
    rows: &'r RowColumns,
    work: &Work<'_>,
) -> Result<Vec<RowCondition<'r>>, QueryError> {
    let mut found = Vec::new();
    for (condition, bit) in asked.filter.conditions().zip(0..) {
        if matches!(place_of(condition), Some(Place::Row)) {
            let dimension = condition.field.column();
            let passing = passing_codes(condition, &rows.section.dictionaries[dimension as usize], work)?;
            found.push((bit, rows.column(dimension)?, passing));
        }
    }
    Ok(found)
}

/// What is asked of a row of a section whose session is whole there.
fn asked_of_rows(
    asked: &ByColumns<'_>,
    rows: &RowColumns,
    facts: &SessionFacts,
    work: &Work<'_>,
) -> Result<Test, QueryError> {
    let mut tests = Vec::new();
    if !asked.group_by.include_empty {
        // First, for nearly all rows have no name of an event.
        let strings = rows.section.dictionaries[asked.field as usize].texts.len();
        let mut shown = work.bits(strings)?;
        shown.insert_below(strings as u32);
        shown.remove_if_there(0);
        tests.push(Test::Row(asked.field, shown));
    }
    match test_of(asked.filter, &mut 0, rows, facts, work)? {
        Test::Always => {}
        Test::All(all) => tests.extend(all),
        test => tests.push(test),
    }
    if rows.kind.contains(&(EventKind::Heartbeat as u8)) {
        tests.push(Test::NotKind(EventKind::Heartbeat as u8));
    }
    if !facts.split.is_empty() {
        let mut whole = work.bits(facts.sessions)?;
        whole.insert_below(facts.sessions as u32);
        whole.remove_all(&facts.is_split);
        tests.push(Test::Session(whole));
    }
    Ok(match tests.len() {
        0 => Test::Always,
        _ => Test::All(tests),
    })
}

fn test_of(
    filter: &Filter,
    number: &mut u32,
    rows: &RowColumns,
    facts: &SessionFacts,
    work: &Work<'_>,
) -> Result<Test, QueryError> {
    let mut each = |filters: &[Filter]| -> Result<Vec<Test>, QueryError> {
        filters.iter().map(|filter| test_of(filter, number, rows, facts, work)).collect()
    };
    Ok(match filter {
        Filter::All(filters) if filters.is_empty() => Test::Always,
        // Kinds that were not read are asked for later.
        Filter::All(filters) if rows.kind.is_empty() => {
            let others = filters.iter().filter(|filter| !matches!(filter, Filter::Kind(_)));
            let others = others.map(|filter| test_of(filter, number, rows, facts, work));
            Test::All(others.collect::<Result<_, _>>()?)
        }
        Filter::All(filters) => Test::All(each(filters)?),
        Filter::Any(filters) => Test::Any(each(filters)?),
        Filter::Not(filter) => Test::Not(Box::new(test_of(filter, number, rows, facts, work)?)),
        Filter::InSession(filter) => test_of(filter, number, rows, facts, work)?,
        Filter::Kind(kind) => Test::Kind(*kind as u8),
        Filter::Is(condition) => {
            let bit = *number;
            *number += 1;
            let dimension = condition.field.column();
            match place_of(condition) {
                Some(Place::Session) => {
                    let passing = facts.passing.iter().find(|(own, _)| *own == bit).map(|(_, passing)| passing.clone());
                    Test::Session(passing.ok_or_else(|| QueryError::damaged("a condition that was not looked at"))?)
                }
                _ => {
                    let dictionary = &rows.section.dictionaries[dimension as usize];
                    Test::Row(dimension, passing_codes(condition, dictionary, work)?)
                }
            }
        }
    })
}
