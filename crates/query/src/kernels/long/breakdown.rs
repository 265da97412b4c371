//! Breakdowns section by section.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use zenovay_domain::Dimension;

use super::super::breakdown::Gathered;
use super::super::distinct::NONE;
use super::super::select::Scan;
use super::super::work::Work;
use super::pairs::DistinctPairs;
use super::walk::{Long, Part, Piece};
use crate::{Breakdown, BreakdownRow, Filter, GroupBy, MetricValues, QueryError};

/// Groups are parted by the high bits of their hash.
const GROUP_PARTS: u32 = 1 << 16;
/// About what a string takes beside its bytes, with its code.
const STRING_BYTES: usize = 96;
/// About what a group takes beside its strings.
const GROUP_BYTES: usize = size_of::<GroupTotals>() + 2 * size_of::<(u32, u32, u32)>() + 16;

/// The groups of those parts that are counted at one time.
struct GroupTable {
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
        let (text, code) = (Arc::<str>::from(text), self.texts.len() as u32);
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
    fn group(&mut self, (first, second): (&str, Option<&str>)) -> Option<u32> {
        if self.parts != (0..GROUP_PARTS) {
            // The same for the same strings in every pass: nobody else sees it.
            let mut hasher = DefaultHasher::new();
            (first, second).hash(&mut hasher);
            if !self.parts.contains(&((hasher.finish() >> 32) as u32 % GROUP_PARTS)) {
                return None;
            }
        }
        let key = (self.names[0].code(first), second.map_or(0, |second| self.names[1].code(second)));
        Some(*self.codes.entry(key).or_insert_with(|| {
            self.keys.push(key);
            self.totals.push(GroupTotals::default());
            self.keys.len() as u32 - 1
        }))
    }

    fn texts(&self, group: u32) -> (&str, Option<&str>) {
        let (first, second) = self.keys[group as usize];
        (&self.names[0].texts[first as usize], self.has_second.then(|| &*self.names[1].texts[second as usize]))
    }

    fn bytes(&self) -> usize {
        self.keys.len() * GROUP_BYTES + self.names[0].bytes + self.names[1].bytes + self.title_bytes
    }

    fn set_title(&mut self, group: u32, title: Title) {
        let known = &mut self.totals[group as usize].title;
        if known.as_ref().is_none_or(|known| title.place > known.place) {
            self.title_bytes += title.text.len() + STRING_BYTES;
            self.title_bytes -= known.replace(title).map_or(0, |title| title.text.len() + STRING_BYTES);
        }
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
            let mut own = GroupTable::new(parts.clone(), group_by.and.is_some());
            visitors += self.count_groups(part, group_by, Some(&mut own), answer_bytes + table.bytes())?;
            if table.keys.is_empty() {
                table = own;
            } else {
                table.merge(own);
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
            visitors += self.count_groups(part, group_by, None, 0)?;
            Ok(part.parts.end)
        })?;
        Ok(visitors)
    }

    fn hold_groups(&self, bytes: usize) -> Result<(), QueryError> {
        // Half of it is for pairs.
        if bytes > self.may_hold / 2 {
            self.has_too_many_groups.set(true);
            return Err(QueryError::MemoryExceeded);
        }
        self.hold(&self.held.groups, bytes)
    }

    /// Counts what the visitors of `part` do for each group of `table`, and tells how many visitors there are in any of them;
    /// without a table, in any group.
    fn count_groups(
        &self,
        part: &Part,
        group_by: &GroupBy,
        mut table: Option<&mut GroupTable>,
        other_bytes: usize,
    ) -> Result<u64, QueryError> {
        if self.query.filter == Filter::default() && self.has_many_rows() {
            self.find_shared()?;
        }
        let visit = |piece: &Piece<'_>, pairs: &mut DistinctPairs, is_first_pass: bool| {
            self.with_scan(piece, Some(&part.limits), |scan| {
                self.count_piece(scan, piece, group_by, table.as_deref_mut(), pairs, is_first_pass)
            })?;
            self.hold_groups(other_bytes + table.as_ref().map_or(0, |table| table.bytes()))
        };
        let pairs = self.in_passes(part, visit, |_, _| false)?;
        if let Some(table) = table {
            for (totals, group) in table.totals.iter_mut().zip(0..) {
                totals.metrics.visitors = pairs.of_group(group);
            }
        }
        Ok(pairs.total())
    }

    fn count_piece(
        &self,
        scan: &Scan<'_>,
        piece: &Piece<'_>,
        group_by: &GroupBy,
        table: Option<&mut GroupTable>,
        pairs: &mut DistinctPairs,
        is_first_pass: bool,
    ) -> Result<(), QueryError> {
        let test = scan.compile_for_some(&self.query.filter)?;
        let gathered = scan.gather(&test, group_by, is_first_pass && group_by.wants_sessions())?;
        let shown = gathered.groups.shown(group_by.include_empty);
        let roles = self.roles(scan, pairs, is_first_pass);
        let Some(table) = table else {
            let whole = &mut |_| Ok(Some(0));
            return roles.add_lists(scan, pairs, &gathered.pairs, &shown, gathered.of_sessions, whole);
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
        roles.add_lists(scan, pairs, &gathered.pairs, &shown, gathered.of_sessions, &mut |group| Ok(whole(group)))?;
        if is_first_pass {
            let with_events = |group: &u32| shown[*group as usize] && gathered.metrics_of(*group as usize).events > 0;
            let groups: Vec<(u32, u32)> = (0..shown.len() as u32)
                .filter(with_events)
                .filter_map(|group| whole(group).map(|whole| (group, whole)))
                .collect();
            self.add_totals(scan, piece, group_by, &gathered, &groups, table)?;
        }
        Ok(())
    }

    /// Adds what a piece has of `groups`: each is its group in the piece and that in the table.
    fn add_totals(
        &self,
        scan: &Scan<'_>,
        piece: &Piece<'_>,
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

/// About what a row of an answer takes.
fn row_bytes(row: &BreakdownRow) -> usize {
    let strings = [Some(&row.value), row.and.as_ref(), row.title.as_ref()];
    size_of::<BreakdownRow>() + strings.into_iter().flatten().map(String::len).sum::<usize>()
}
