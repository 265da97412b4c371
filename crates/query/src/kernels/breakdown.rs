//! Breakdowns: group by the codes of one or two fields.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use zenovay_domain::{Dimension, SESSION_MAX_MS};

use super::distinct::{Distinct, NONE, Pairs, count, count_mostly_single};
use super::pageviews::PAGEVIEW;
use super::select::{RowSet, Scan, Selected, SessionCodes, Test, column};
use super::sessions::Session;
use super::work::{Bits, Work};
use crate::derived::SessionMetrics;
use crate::matching::property_text;
use crate::{
    Breakdown, BreakdownRow, Field, FilterLevel, GroupBy, List, Metric, MetricValues, NO_ROW, Order, QueryError,
};

/// Up to this many pairs of values, each pair has a group of its own whether it occurs or not.
const DENSE_PAIRS: usize = 1 << 16;

/// Up to this many groups, counts are few enough to be kept twice.
const FEW_GROUPS: usize = 1_024;

/// What a breakdown finds in the rows of a dataset before it counts visitors.
pub(super) struct Gathered<'s> {
    pub(super) selected: Vec<Selected<'s>>,
    pub(super) groups: Groups<'s>,
    /// For fields of events one list of pairs for each selection, in the same order.
    pub(super) pairs: Vec<Pairs<'s>>,
    counts: GroupCounts,
    session_totals: SessionTotals,
    /// Whether all fields are of sessions: a visitor is nearly always in one group.
    pub(super) of_sessions: bool,
}

impl Gathered<'_> {
    /// What is known of a group without its visitors.
    pub(super) fn metrics_of(&self, group: usize) -> MetricValues {
        let (events, pageviews) = self.counts.get(group);
        let mut metrics = self.session_totals.of_groups.get(group).copied().unwrap_or_default();
        metrics.events = events;
        metrics.pageviews = pageviews;
        metrics
    }

    /// How many visitors there are in each group of `shown`, by `pairs`.
    pub(super) fn count(&self, scan: &Scan<'_>, pairs: &[Pairs<'_>], shown: &[bool]) -> Result<Distinct, QueryError> {
        let visitors = scan.dataset.visitor_ids.len();
        let count = if self.of_sessions { count_mostly_single } else { count };
        count(scan.work, pairs, shown, visitors)
    }
}

impl GroupBy {
    /// Whether the titles of pages are wanted.
    pub(super) fn wants_titles(&self) -> bool {
        self.field == Field::Dimension(Dimension::Path) && self.metrics.contains(&Metric::Title)
    }

    /// Whether the times on pages are wanted.
    pub(super) fn wants_times(&self) -> bool {
        self.field == Field::Dimension(Dimension::Path) && self.metrics.contains(&Metric::TimeOnPage)
    }

    /// Of the groups, given with what is known of each, those of the rows of the answer in their order, those to be skipped
    /// among them, and how many rows there are in all.
    pub(super) fn choose<'t>(
        &self,
        work: &Work<'_>,
        groups: usize,
        metrics_of: impl Fn(u32) -> MetricValues,
        texts: impl Fn(u32) -> (&'t str, Option<&'t str>),
    ) -> Result<(Vec<(u64, u32)>, usize), QueryError> {
        let after = self.after.as_ref().map(|after| (after.count, (after.value.as_str(), after.and.as_deref())));
        let is_after = |count: u64, group: u32| {
            after.is_none_or(|(after, place)| count < after || (count == after && texts(group) > place))
        };
        let wanted = match &self.values {
            Some(values) => {
                work.reserve::<(&str, Option<&str>)>(values.len())?;
                Some(values.iter().map(|(value, and)| (value.as_str(), and.as_deref())).collect::<HashSet<_>>())
            }
            None => None,
        };
        let mut total_rows = 0;
        let mut found: Vec<(u64, u32)> = Vec::new();
        work.for_each_block(0..groups, |block| {
            for group in block {
                let group = group as u32;
                let metrics = metrics_of(group);
                if metrics.events > 0 {
                    total_rows += 1;
                    let count = self.order.count(&metrics);
                    let is_wanted = wanted.as_ref().is_none_or(|wanted| wanted.contains(&texts(group)));
                    if is_wanted && is_after(count, group) {
                        found.push((count, group));
                    }
                }
            }
        })?;
        work.reserve::<(u64, u32)>(found.len())?;
        let in_order =
            |a: &(u64, u32), b: &(u64, u32)| -> Ordering { b.0.cmp(&a.0).then_with(|| texts(a.1).cmp(&texts(b.1))) };
        work.sort_first_by(&mut found, self.offset.saturating_add(self.limit), in_order)?;
        Ok((found, total_rows))
    }
}

impl Scan<'_> {
    /// Counts what a breakdown counts but the visitors. The totals of sessions by a field of events are counted with
    /// `all_sessions` only: for few rows there is a shorter way.
    pub(super) fn gather<'s>(
        &'s self,
        test: &Test,
        group_by: &'s GroupBy,
        all_sessions: bool,
    ) -> Result<Gathered<'s>, QueryError> {
        let selected = self.select(test)?;
        let mut groups = Groups::new(self, group_by)?;
        let of_sessions = groups.fields.iter().all(|codes| codes.field.level() == FilterLevel::Session);
        let by_session = groups.fields.iter().all(|codes| matches!(codes.field, Field::EntryPage | Field::ExitPage));
        let whole_sessions = by_session && matches!(test, Test::Always | Test::Session(_));

        let mut pairs: Vec<Pairs<'s>> = Vec::new();
        let mut counts = GroupCounts::default();
        let mut session_totals = SessionTotals::default();
        if whole_sessions {
            let session_totals = group_by.wants_sessions().then_some(&mut session_totals);
            self.count_whole_sessions(test, &mut groups, &mut pairs, &mut counts, session_totals)?;
        } else {
            groups.load_sessions(self, None)?;
            for selected in &selected {
                let codes = groups.of_rows(self, selected)?;
                counts.add_rows(self, &codes, &selected.kind(), groups.len())?;
                match of_sessions.then(|| groups.visitor_ranges(selected)).flatten() {
                    None => pairs.push(Pairs { groups: codes, ids: selected.visitor() }),
                    Some((positions, first_rows, visitors)) => {
                        let groups_of_parts = groups.of_rows(self, &first_rows)?;
                        self.work.reserve::<[u32; 2]>(positions.len() + visitors.len())?;
                        let ids = Cow::Owned(selected.visitor()[positions.clone()].to_vec());
                        pairs.push(Pairs { groups: Cow::Owned(codes[positions].to_vec()), ids });
                        pairs.push(Pairs { groups: groups_of_parts, ids: Cow::Borrowed(visitors) });
                    }
                }
            }
        }

        if group_by.wants_sessions() && of_sessions && !whole_sessions {
            let counted = self.counted_sessions(test, &selected)?;
            match groups.columns_of_one(self)? {
                Some(columns) => self.for_each_counted_first(counted.as_ref(), |first| {
                    session_totals.add(columns[first.chunk as usize][first.row as usize], first.metrics);
                })?,
                None => self.for_each_counted(counted.as_ref(), |session| {
                    session_totals.add(groups.of_session(session), SessionMetrics::of(session.part));
                })?,
            }
        }
        if all_sessions && !of_sessions {
            let every_group: Vec<u32> = (0..groups.len() as u32).collect();
            self.work.reserve::<u32>(every_group.len())?;
            let shown = self.shown_rows(&pairs, &every_group)?;
            session_totals.of_groups = self.sessions_by_rows(&selected, &shown, groups.len())?;
        }
        Ok(Gathered { selected, groups, pairs, counts, session_totals, of_sessions })
    }

    pub(super) fn breakdown(&self, test: &Test, group_by: &GroupBy) -> Result<Breakdown, QueryError> {
        let mut gathered = self.gather(test, group_by, group_by.order == Order::Sessions)?;
        let shown = gathered.groups.shown(group_by.include_empty);
        let Distinct { per_group, total: total_visitors } = gathered.count(self, &gathered.pairs, &shown)?;
        let metrics_of = |group: u32| match shown[group as usize] {
            true => {
                MetricValues { visitors: u64::from(per_group[group as usize]), ..gathered.metrics_of(group as usize) }
            }
            false => MetricValues::default(),
        };
        let groups = &gathered.groups;
        let (mut found, total_rows) =
            group_by.choose(self.work, shown.len(), metrics_of, |group| groups.texts(group))?;
        found.drain(..group_by.offset.min(found.len()));
        self.work.reserve::<BreakdownRow>(found.len())?;

        let mut rows: Vec<BreakdownRow> = found
            .iter()
            .map(|&(_, group)| {
                let (value, and) = groups.texts(group);
                BreakdownRow {
                    value: value.to_owned(),
                    and: and.map(str::to_owned),
                    metrics: metrics_of(group),
                    ..BreakdownRow::default()
                }
            })
            .collect();
        // What only the rows that are shown need.
        let (titles, times) = (group_by.wants_titles(), group_by.wants_times());
        let sessions = group_by.wants_sessions() && !gathered.of_sessions && group_by.order != Order::Sessions;
        if !rows.is_empty() && (titles || times || sessions) {
            let mut row_of_group: Vec<u32> = self.work.filled(NONE, shown.len())?;
            for (row, &(_, group)) in found.iter().enumerate() {
                row_of_group[group as usize] = row as u32;
            }
            let shown = self.shown_rows(&gathered.pairs, &row_of_group)?;
            gathered.pairs.clear();
            let selected = &gathered.selected;
            if sessions {
                let totals = self.sessions_by_rows(selected, &shown, rows.len())?;
                for (row, totals) in rows.iter_mut().zip(totals) {
                    let MetricValues { visitors, pageviews, events, .. } = row.metrics;
                    row.metrics = MetricValues { visitors, pageviews, events, ..totals };
                }
            }
            if titles {
                let titles = self.last_titles(selected, &shown, rows.len())?;
                for (row, title) in rows.iter_mut().zip(titles) {
                    row.title = title.map(|title| self.texts(Dimension::Title)[title.code as usize].to_string());
                }
            }
            if times {
                let times = self.times_on_page(selected, &shown, rows.len())?;
                for (row, [time_ms, pageviews]) in rows.iter_mut().zip(times) {
                    row.time_on_page_ms = time_ms;
                    row.timed_pageviews = pageviews;
                }
            }
        }
        Ok(Breakdown { rows, total_rows, total_visitors })
    }

    /// Counts by entry or exit page without looking at rows, but for sessions that reach over an end of the range.
    fn count_whole_sessions<'a>(
        &'a self,
        test: &Test,
        groups: &mut Groups<'_>,
        pairs: &mut Vec<Pairs<'a>>,
        counts: &mut GroupCounts,
        mut session_totals: Option<&mut SessionTotals>,
    ) -> Result<(), QueryError> {
        let range = self.range;
        let chosen = match test {
            Test::Session(sessions) => Some(sessions),
            _ => None,
        };
        let is_chosen = |session: u32| chosen.is_none_or(|chosen| chosen.contains(session));
        // Of sessions that begin before the range, which have an event in it.
        let mut reaching_into = self.session_bits()?;
        if session_totals.is_some() {
            self.sessions()?.for_each_reaching_into(range, self.work, |session| {
                reaching_into.insert(session.part.session);
            })?;
        }
        let mut reaching_over = self.session_bits()?;
        let mut codes: Vec<u32> = Vec::new();
        let mut visitors: Vec<u32> = Vec::new();
        self.sessions()?.for_each_starting_in(self.starts(), self.work, |session| {
            let part = session.part;
            if !is_chosen(part.session) {
                return;
            }
            let starts_in_range = part.first_at >= range.from.as_millis();
            let group = groups.of_session(session);
            if let Some(totals) = &mut session_totals
                && (starts_in_range || reaching_into.contains(part.session))
            {
                totals.add(group, SessionMetrics::of(part));
            }
            if starts_in_range && part.last_at < range.to.as_millis() {
                codes.push(group);
                visitors.push(part.visitor);
                counts.add(group, part.pageviews + part.other_events, part.pageviews);
            } else if part.last_at >= range.from.as_millis() {
                reaching_over.insert(part.session);
            }
        })?;
        self.work.reserve::<[u32; 2]>(codes.len())?;
        pairs.push(Pairs { groups: Cow::Owned(codes), ids: Cow::Owned(visitors) });
        if reaching_over.is_empty() {
            return Ok(());
        }
        groups.load_sessions(self, Some(&reaching_over))?;
        let reaching_over = Test::Session(reaching_over);
        // Such a session is within its greatest length of an end of the range.
        let early_end = range.from.plus_millis(SESSION_MAX_MS).min(range.to);
        let late_start = range.to.plus_millis(-SESSION_MAX_MS).max(early_end);
        for (from, to) in [(range.from, early_end), (late_start, range.to)] {
            for selected in self.select_between(from, to, &reaching_over)? {
                let codes = groups.of_rows(self, &selected)?.into_owned();
                counts.add_rows(self, &codes, &selected.kind(), groups.len())?;
                pairs.push(Pairs { groups: Cow::Owned(codes), ids: Cow::Owned(selected.visitor().into_owned()) });
            }
        }
        Ok(())
    }
}

/// The metrics of sessions of each group.
#[derive(Default)]
struct SessionTotals {
    of_groups: Vec<MetricValues>,
}

impl SessionTotals {
    #[inline]
    fn add(&mut self, group: u32, session: SessionMetrics) {
        let group = group as usize;
        if self.of_groups.len() <= group {
            self.of_groups.resize(group + 1, MetricValues::default());
        }
        session.add_to(&mut self.of_groups[group]);
    }
}

/// Events and pageviews of each group.
#[derive(Default)]
struct GroupCounts {
    /// Pageviews and other events.
    counts: Vec<[u32; 2]>,
}

impl GroupCounts {
    fn add_rows(&mut self, scan: &Scan<'_>, codes: &[u32], kinds: &[u8], groups: usize) -> Result<(), QueryError> {
        if self.counts.len() < groups {
            scan.work.reserve::<[u32; 2]>(groups - self.counts.len())?;
            self.counts.resize(groups, [0; 2]);
        }
        let counts = &mut self.counts;
        if groups > FEW_GROUPS {
            return scan.work.for_each_block(0..codes.len(), |block| {
                for (&code, &kind) in codes[block.clone()].iter().zip(&kinds[block]) {
                    counts[code as usize][usize::from(kind != PAGEVIEW)] += 1;
                }
            });
        }
        // Neighbours are often in the same group, and an addition waits for the one before to the same place: odd rows
        // are counted apart.
        let mut odd = [[0; 2]; FEW_GROUPS];
        scan.work.for_each_block(0..codes.len(), |block| {
            let (code_pairs, last_code) = codes[block.clone()].as_chunks::<2>();
            let (kind_pairs, last_kind) = kinds[block].as_chunks::<2>();
            for (code, kind) in code_pairs.iter().zip(kind_pairs) {
                counts[code[0] as usize][usize::from(kind[0] != PAGEVIEW)] += 1;
                odd[code[1] as usize][usize::from(kind[1] != PAGEVIEW)] += 1;
            }
            for (&code, &kind) in last_code.iter().zip(last_kind) {
                counts[code as usize][usize::from(kind != PAGEVIEW)] += 1;
            }
        })?;
        for (count, odd) in counts.iter_mut().zip(odd) {
            count[0] += odd[0];
            count[1] += odd[1];
        }
        Ok(())
    }

    #[inline]
    fn add(&mut self, group: u32, events: u32, pageviews: u32) {
        let group = group as usize;
        if self.counts.len() <= group {
            self.counts.resize(group + 1, [0; 2]);
        }
        self.counts[group][0] += pageviews;
        self.counts[group][1] += events - pageviews;
    }

    /// Events and pageviews.
    fn get(&self, group: usize) -> (u64, u64) {
        let [pageviews, others] = self.counts.get(group).copied().unwrap_or_default();
        (u64::from(pageviews) + u64::from(others), u64::from(pageviews))
    }
}

/// The groups of a breakdown, as dense codes.
pub(super) struct Groups<'a> {
    fields: Vec<FieldCodes<'a>>,
    /// For pairs with too many combinations: the group of each that was seen, and the pair of each group.
    sparse: Option<SparsePairs>,
}

#[derive(Default)]
struct SparsePairs {
    groups: HashMap<(u32, u32), u32>,
    pairs: Vec<(u32, u32)>,
}

/// The codes of one field; code 0 stands for the empty string.
struct FieldCodes<'a> {
    field: &'a Field,
    texts: Cow<'a, List<Arc<str>>>,
    /// For a property: its code for each code of the properties.
    of_properties: Vec<u32>,
    sessions: SessionCodes<'a, 'a>,
    /// For other fields of sessions than entry and exit page, by chunk: whether each row has its session's code.
    has_session_codes: Vec<bool>,
    /// For fields of sessions, where rows do not have them: the code for each session that was asked for.
    of_sessions: Vec<u32>,
}

impl<'a> Groups<'a> {
    fn new(scan: &'a Scan<'_>, group_by: &'a GroupBy) -> Result<Self, QueryError> {
        let mut fields = vec![FieldCodes::new(scan, &group_by.field)?];
        if let Some(field) = &group_by.and {
            fields.push(FieldCodes::new(scan, field)?);
        }
        let combinations = fields.iter().fold(1usize, |product, codes| product.saturating_mul(codes.texts.len()));
        let is_sparse = fields.len() > 1 && combinations > DENSE_PAIRS;
        Ok(Self { fields, sparse: is_sparse.then(Default::default) })
    }

    /// How many groups there are by now.
    pub(super) fn len(&self) -> usize {
        match &self.sparse {
            Some(sparse) => sparse.pairs.len(),
            None => self.fields.iter().map(|codes| codes.texts.len()).product(),
        }
    }

    /// Finds the codes of the fields that are read from whole sessions, of all sessions or of some.
    fn load_sessions(&mut self, scan: &Scan<'_>, some: Option<&Bits>) -> Result<(), QueryError> {
        self.fields.iter_mut().try_for_each(|codes| codes.load_sessions(scan, some))
    }

    fn of_pair(&mut self, first: u32, second: u32) -> u32 {
        let seconds = self.fields[1].texts.len() as u32;
        match &mut self.sparse {
            None => first * seconds + second,
            Some(SparsePairs { groups, pairs }) => *groups.entry((first, second)).or_insert_with(|| {
                pairs.push((first, second));
                pairs.len() as u32 - 1
            }),
        }
    }

    /// The group of each selected row.
    fn of_rows<'r>(&mut self, scan: &Scan<'_>, selected: &Selected<'r>) -> Result<Cow<'r, [u32]>, QueryError> {
        let first = self.fields[0].of_rows(scan, selected)?;
        let Some(second) = self.fields.get(1) else {
            return Ok(first);
        };
        let second = second.of_rows(scan, selected)?;
        let mut groups = scan.work.list(first.len())?;
        scan.work.for_each_block(0..first.len(), |block| {
            let pairs = first[block.clone()].iter().zip(&second[block]);
            if self.sparse.is_some() {
                groups.extend(pairs.map(|(&first, &second)| self.of_pair(first, second)));
            } else {
                let seconds = self.fields[1].texts.len() as u32;
                groups.extend(pairs.map(|(&first, &second)| first * seconds + second));
            }
        })?;
        Ok(Cow::Owned(groups))
    }

    /// When rows have the group of their session and all rows of a time are selected, where the visitors of each group are:
    /// at these positions, and beside the rows that are selected here.
    fn visitor_ranges<'r>(&self, selected: &Selected<'r>) -> Option<(Range<usize>, Selected<'r>, &'r [u32])> {
        let chunk = selected.chunk;
        let of_sessions = |codes: &FieldCodes<'_>| codes.has_session_codes.get(selected.number as usize) == Some(&true);
        let (rows, parts) =
            selected.visitor_ranges(0..selected.len()).filter(|_| self.fields.iter().all(of_sessions))?;
        let first_rows = chunk.session_index().first_row[parts.clone()].to_vec();
        let visitors = &chunk.session_index().visitor[parts];
        Some((rows, Selected { rows: RowSet::Listed(first_rows), ..*selected }, visitors))
    }

    /// For one field of events' strings, its codes in each chunk, which are the groups.
    fn columns_of_one<'r>(&self, scan: &'r Scan<'_>) -> Result<Option<Vec<&'r [u32]>>, QueryError> {
        match &self.fields[..] {
            [FieldCodes { field: Field::Dimension(dimension), .. }] => Ok(Some(scan.columns(*dimension)?)),
            _ => Ok(None),
        }
    }

    #[inline]
    fn of_session(&mut self, session: Session<'_>) -> u32 {
        let first = self.fields[0].of_session(session);
        match self.fields.get(1).map(|codes| codes.of_session(session)) {
            None => first,
            Some(second) => self.of_pair(first, second),
        }
    }

    fn pair(&self, group: u32) -> (u32, u32) {
        match (&self.sparse, self.fields.get(1)) {
            (Some(sparse), _) => sparse.pairs[group as usize],
            (None, None) => (group, 0),
            (None, Some(second)) => (group / second.texts.len() as u32, group % second.texts.len() as u32),
        }
    }

    pub(super) fn texts(&self, group: u32) -> (&str, Option<&str>) {
        let (first, second) = self.pair(group);
        (&self.fields[0].texts[first as usize], self.fields.get(1).map(|codes| codes.texts[second as usize].as_ref()))
    }

    /// Which groups may be in the answer.
    pub(super) fn shown(&self, include_empty: bool) -> Vec<bool> {
        (0..self.len() as u32).map(|group| include_empty || self.pair(group).0 != 0).collect()
    }
}

impl<'a> FieldCodes<'a> {
    fn new(scan: &'a Scan<'_>, field: &'a Field) -> Result<Self, QueryError> {
        let dimension = field.column();
        let dictionary = scan.texts(dimension);
        let mut codes = Self {
            field,
            texts: Cow::Borrowed(dictionary),
            of_properties: Vec::new(),
            sessions: scan.session_codes(field)?,
            has_session_codes: Vec::new(),
            of_sessions: Vec::new(),
        };
        if let Field::Property(name) = field {
            let in_use = scan.codes_in_use(dimension)?;
            let mut by_text: HashMap<Arc<str>, u32> = HashMap::from([(Arc::from(""), 0)]);
            let mut texts = vec![Arc::from("")];
            let mut of_properties = scan.work.filled(0, dictionary.len())?;
            scan.work.for_each_block(0..dictionary.len(), |block| {
                for code in block {
                    if in_use.as_ref().is_none_or(|in_use| in_use.contains(code as u32)) {
                        let text = property_text(&dictionary[code], name);
                        of_properties[code] = match by_text.get(text.as_str()) {
                            Some(&code) => code,
                            None => {
                                let (text, code) = (Arc::<str>::from(text), texts.len() as u32);
                                texts.push(Arc::clone(&text));
                                by_text.insert(text, code);
                                code
                            }
                        };
                    }
                }
            })?;
            codes.texts = Cow::Owned(List::from(texts));
            codes.of_properties = of_properties;
        }
        Ok(codes)
    }

    fn load_sessions(&mut self, scan: &Scan<'_>, some: Option<&Bits>) -> Result<(), QueryError> {
        match self.field {
            Field::Dimension(dimension) if self.field.level() == FilterLevel::Session => {
                self.has_session_codes = self.find_session_codes(scan, *dimension)?;
                if self.has_session_codes.iter().all(|has_them| *has_them) {
                    return Ok(());
                }
            }
            Field::EntryPage | Field::ExitPage => {}
            Field::Dimension(_) | Field::Property(_) => return Ok(()),
        }
        self.of_sessions = scan.work.filled(0, scan.dataset.session_ids.len())?;
        scan.sessions()?.for_each_starting_in(scan.window, scan.work, |session| {
            if some.is_none_or(|some| some.contains(session.part.session)) {
                self.of_sessions[session.part.session as usize] = self.sessions.code(session);
            }
        })?;
        Ok(())
    }

    /// In which chunks each row has the code of its session's first event, wherever that is.
    fn find_session_codes(&self, scan: &Scan<'_>, dimension: Dimension) -> Result<Vec<bool>, QueryError> {
        let columns = scan.columns(dimension)?;
        let chunks = scan.dataset.chunks.iter().zip(&columns);
        let mut have_them: Vec<bool> =
            chunks.map(|(chunk, column)| chunk.is_constant_per_session(dimension, column)).collect();
        let sessions = scan.sessions()?;
        let mut codes: Vec<(u32, u32)> =
            sessions.merged().map(|session| (session.part.session, self.sessions.code(session))).collect();
        scan.work.reserve::<(u32, u32)>(codes.len())?;
        codes.sort_unstable();
        sessions.for_each_split_part(|number, part| {
            if part.first_row != NO_ROW
                && let Ok(place) = codes.binary_search_by_key(&part.session, |(session, _)| *session)
            {
                have_them[number as usize] &= columns[number as usize][part.first_row as usize] == codes[place].1;
            }
        });
        Ok(have_them)
    }

    #[inline]
    fn of_session(&self, session: Session<'_>) -> u32 {
        let code = self.sessions.code(session);
        match self.field {
            Field::Property(_) => self.of_properties[code as usize],
            _ => code,
        }
    }

    fn of_rows<'r>(&self, scan: &Scan<'_>, selected: &Selected<'r>) -> Result<Cow<'r, [u32]>, QueryError> {
        let (codes, map) = match self.field {
            Field::Dimension(dimension)
                if self.has_session_codes.get(selected.number as usize).is_none_or(|has_them| *has_them) =>
            {
                return Ok(selected.values(column(selected.chunk, *dimension)?));
            }
            Field::Property(_) => {
                (selected.values(column(selected.chunk, Dimension::Properties)?), &self.of_properties)
            }
            Field::Dimension(_) | Field::EntryPage | Field::ExitPage => (selected.session(), &self.of_sessions),
        };
        let mut mapped = scan.work.list(codes.len())?;
        scan.work.for_each_block(0..codes.len(), |block| {
            mapped.extend(codes[block].iter().map(|&code| map[code as usize]));
        })?;
        Ok(Cow::Owned(mapped))
    }
}
