//! The rows of a website in sections: row groups and heads, read one at a time by questions about more rows than the cache shall
//! hold.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use zenovay_domain::{Dimension, SESSION_MAX_MS, TimeRange, WebsiteId};
use zenovay_query::engine::{
    ColumnSet, Dictionary, RowColumns, RowNeeds, Section, SectionDigest, Sections, Span, VisitNeeds, Visits,
};
use zenovay_query::{Budget, QueryError};

use crate::codes::{TEMPORARY_CODE_BYTES, TEMPORARY_CODES_MAX, TemporaryCodes};
use crate::head::{BLOCK_ROWS, Generation};
use crate::rows::{BaseRows, Ids};
use crate::segment::{Coded, ColumnId, Rows, Segment, SegmentError, SiteRange, StoredDigest, Texts, Values, damaged};
use crate::state::State;

/// About what a row takes while its row group is read.
const ROW_BYTES: usize = 96;
/// About what unpacking takes for a session while those of a row group are read.
const UNPACKING_BYTES: usize = 64;

/// Where the rows of a section are.
enum Source<'a> {
    Group(&'a Segment, &'a SiteRange),
    /// The first so many rows of the website in a generation, and the first so many visitors: those that there were when the query
    /// began.
    Head(&'a Generation, usize, usize),
}

/// The rows of one website in a state, as far as they can be near some time.
pub(crate) struct StoredSections<'a> {
    known: Arc<Known<'a>>,
    /// Strings that were met on one thread.
    strings: Mutex<Strings>,
}

/// What the sections are, the same on all threads.
struct Known<'a> {
    website: WebsiteId,
    state: &'a State,
    temporary: &'a TemporaryCodes,
    /// The codes of the visitors of sections without stored ones, by the number of the section; `None` when there are none.
    given: OnceLock<Option<HashMap<usize, Vec<u32>>>>,
    /// Rows before this time are in no answer.
    hidden_before: i64,
    sources: Vec<Source<'a>>,
    spans: Vec<Span>,
    /// Of each section whether no other one can have its sessions but row groups of the same segment, which its digest knows.
    is_isolated: Vec<bool>,
}

impl<'a> StoredSections<'a> {
    pub(crate) fn new(state: &'a State, temporary: &'a TemporaryCodes, website: WebsiteId, time: TimeRange) -> Self {
        let known = Known::new(state, temporary, website, time);
        Self { known: Arc::new(known), strings: Mutex::default() }
    }
}

impl<'a> Known<'a> {
    fn new(state: &'a State, temporary: &'a TemporaryCodes, website: WebsiteId, time: TimeRange) -> Self {
        let hidden_before = state.hidden_before(website);
        let mut sections = Self {
            website,
            state,
            temporary,
            given: OnceLock::new(),
            hidden_before,
            sources: Vec::new(),
            spans: Vec::new(),
            is_isolated: Vec::new(),
        };
        for (segment, range) in state.ranges_in(website, time) {
            let min_at = range.min_at.max(hidden_before);
            sections.spans.push(Span { min_at, max_at: range.max_at, rows: range.rows as usize });
            sections.sources.push(Source::Group(segment, range));
        }
        for generation in state.generations() {
            let Some(site) = generation.site(website) else { continue };
            let head = site.lock();
            let seen = || head.at.iter().copied().filter(|&at| at >= hidden_before);
            if let (Some(min_at), Some(max_at)) = (seen().min(), seen().max())
                && max_at >= time.from.as_millis()
                && min_at < time.to.as_millis()
            {
                sections.spans.push(Span { min_at, max_at, rows: head.len() });
                sections.sources.push(Source::Head(generation, head.len(), head.visitors.ids().len()));
            }
        }
        sections.is_isolated = (0..sections.sources.len()).map(|number| sections.is_isolated(number)).collect();
        sections
    }

    /// Whether no other source has rows near enough to be of a session in section `number`. Other row groups of the same
    /// segment do not count: the digest knows them.
    fn is_isolated(&self, number: usize) -> bool {
        let Source::Group(segment, _) = &self.sources[number] else { return false };
        let span = &self.spans[number];
        self.others(segment).all(|other| !is_near(other, span.min_at, span.max_at))
    }

    /// The spans of all sources but row groups of `segment`.
    fn others(&self, segment: &Segment) -> impl Iterator<Item = &Span> {
        let id = segment.meta.id;
        let is_other = move |source: &Source<'_>| !matches!(source, Source::Group(own, _) if own.meta.id == id);
        self.sources.iter().zip(&self.spans).filter(move |(source, _)| is_other(source)).map(|(_, span)| span)
    }

    /// The ids of those sessions of section `number` that are near enough to others than row groups of the same segment to have rows
    /// there, when its visits tell.
    fn near_others(&self, number: usize) -> Result<Option<Vec<u64>>, QueryError> {
        let Source::Group(segment, range) = &self.sources[number] else { return Ok(None) };
        let span = &self.spans[number];
        let near: Vec<&Span> = self.others(segment).filter(|other| is_near(other, span.min_at, span.max_at)).collect();
        // Where others are all over it, as late events are, all ids are read.
        if near.iter().any(|other| other.min_at <= span.min_at && other.max_at >= span.max_at) {
            return Ok(None);
        }
        let needs = VisitNeeds { sessions: true, starts: true, metrics: true, ..VisitNeeds::default() };
        let codes = segment.with_visits(range.group, |visits| {
            let Visits { session, first_at, last_at, .. } =
                visits.read(needs).map_err(|error| segment.of_visits(error))?;
            let times = first_at.iter().zip(&last_at);
            let is_near_one = |(&first_at, &last_at): (&i64, &i64)| {
                near.iter().any(|other| is_near(other, first_at.min(last_at), last_at))
            };
            let of_near = session.iter().zip(times).filter(|(_, times)| is_near_one(*times));
            Ok(of_near.map(|(session, _)| *session).collect::<Vec<u32>>())
        });
        let Some(codes) = codes.map_err(damaged)? else { return Ok(None) };
        if codes.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let ids = segment.read_ids(range.group, ColumnId::Session).map_err(damaged)?;
        let near: Option<Vec<u64>> = codes.iter().map(|&code| ids.get(code as usize).copied()).collect();
        near.map(Some).ok_or_else(|| damaged(segment.error("visits of sessions that are not there")))
    }

    /// The digest of section `number`. It counts sessions that hidden rows may have a part of, and stands for none of them.
    fn stored_digest(&self, number: usize) -> Result<Option<StoredDigest>, QueryError> {
        match &self.sources[number] {
            Source::Group(segment, range) if range.min_at >= self.hidden_before.saturating_add(SESSION_MAX_MS) => {
                segment.read_digest(range.group).map_err(damaged)
            }
            Source::Group(..) | Source::Head(..) => Ok(None),
        }
    }

    fn ids(&self, number: usize, column: ColumnId) -> Result<Vec<u64>, QueryError> {
        match &self.sources[number] {
            Source::Group(segment, range) => segment.read_ids(range.group, column).map_err(damaged),
            &Source::Head(generation, _, visitors) => {
                let Some(site) = generation.site(self.website) else { return Ok(Vec::new()) };
                let head = site.lock();
                Ok(match column {
                    ColumnId::Visitor => head.visitors.ids()[..visitors].to_vec(),
                    _ => head.sessions.ids().to_vec(),
                })
            }
        }
    }

    /// Whether the visitors of section `number` have codes that are stored.
    fn has_codes(&self, number: usize) -> bool {
        matches!(&self.sources[number], Source::Group(segment, range) if segment.has_codes(range.group))
    }

    /// Codes of those sections that have none, for this query: those that their visitors have elsewhere, and others after the highest.
    /// `None` when they are too many, or take too much.
    fn codes_of_rest(&self, budget: &Budget) -> Result<Option<HashMap<usize, Vec<u32>>>, QueryError> {
        let (mut ids, mut count) = (HashMap::new(), 0);
        for number in (0..self.sources.len()).filter(|&number| !self.has_codes(number)) {
            budget.check()?;
            let own = self.ids(number, ColumnId::Visitor)?;
            count += own.len();
            if count > TEMPORARY_CODES_MAX || count * TEMPORARY_CODE_BYTES > budget.memory_bytes() / 2 {
                return Ok(None);
            }
            budget.check_memory(count * TEMPORARY_CODE_BYTES)?;
            ids.insert(number, own);
        }
        self.temporary.give(self.state, self.website, &ids, budget).map(Some)
    }
}

impl Sections for StoredSections<'_> {
    fn spans(&self) -> &[Span] {
        &self.known.spans
    }

    fn fork(&self) -> Option<Box<dyn Sections + Send + '_>> {
        Some(Box::new(Self { known: Arc::clone(&self.known), strings: Mutex::default() }))
    }

    fn session_ids(&self, number: usize) -> Result<Vec<u64>, QueryError> {
        let Some(known) = self.known.stored_digest(number)? else { return self.known.ids(number, ColumnId::Session) };
        let mut ids: Vec<u64> = known.digest.open.iter().map(|share| share.session).collect();
        if !self.known.is_isolated[number] {
            match self.known.near_others(number)? {
                Some(near) => ids.extend(near),
                None => return self.known.ids(number, ColumnId::Session),
            }
        }
        Ok(ids)
    }

    fn visitor_ids(&self, number: usize) -> Result<Vec<u64>, QueryError> {
        self.known.ids(number, ColumnId::Visitor)
    }

    fn codes_below(&self, budget: &Budget) -> Result<Option<u32>, QueryError> {
        let given = match self.known.given.get() {
            Some(given) => given,
            None => {
                let codes = self.known.codes_of_rest(budget)?;
                self.known.given.get_or_init(|| codes)
            }
        };
        let Some(given) = given else { return Ok(None) };
        let stored = self.known.sources.iter().map(|source| match source {
            Source::Group(segment, range) => segment.end_of_codes(range.group),
            Source::Head(..) => 0,
        });
        let given = given.values().flatten().map(|&code| code.saturating_add(1));
        Ok(Some(stored.chain(given).max().unwrap_or(0)))
    }

    fn visitor_codes(&self, number: usize) -> Result<Vec<u32>, QueryError> {
        if let Source::Group(segment, range) = &self.known.sources[number]
            && let Some(codes) = segment.read_codes(range.group)?
        {
            return Ok(codes);
        }
        let given = self.known.given.get().and_then(|given| given.as_ref()?.get(&number));
        Ok(given.cloned().unwrap_or_default())
    }

    fn digest(&self, number: usize) -> Result<Option<SectionDigest>, QueryError> {
        let known = self.known.stored_digest(number)?;
        Ok(known.map(|known| {
            let StoredDigest { digest, heartbeat_only, open_places } = known;
            SectionDigest { digest, heartbeat_only, open_places }
        }))
    }

    fn visits(&self, number: usize, needs: VisitNeeds, budget: &Budget) -> Result<Option<Visits>, QueryError> {
        match &self.known.sources[number] {
            Source::Group(segment, range) if range.min_at >= self.known.hidden_before => {
                read_visits(segment, range.group, needs, &mut self.strings.lock(), budget)
            }
            Source::Group(..) | Source::Head(..) => Ok(None),
        }
    }

    fn columns(&self, number: usize, needs: RowNeeds<'_>, budget: &Budget) -> Result<Option<RowColumns>, QueryError> {
        match &self.known.sources[number] {
            Source::Group(segment, range) if range.min_at >= self.known.hidden_before => {
                check_memory(segment, range, needs.columns, budget)?;
                read_columns(segment, range, needs, &mut self.strings.lock()).map(Some).map_err(damaged)
            }
            Source::Group(..) | Source::Head(..) => Ok(None),
        }
    }

    fn rows_with(
        &self,
        number: usize,
        dimension: Dimension,
        budget: &Budget,
    ) -> Result<Option<(Vec<u32>, RowColumns)>, QueryError> {
        match &self.known.sources[number] {
            Source::Group(segment, range) if range.min_at >= self.known.hidden_before => {
                check_memory(segment, range, ColumnSet::EMPTY.with(dimension), budget)?;
                let rows = range.start as usize..(range.start + range.rows) as usize;
                let column = ColumnId::Dimension(dimension);
                let (positions, coded) = segment.read_with_text(range.group, column, rows).map_err(damaged)?;
                let mut read = RowColumns { rows: positions.len(), ..RowColumns::default() };
                let known = &mut self.strings.lock();
                add_column(&mut read, dimension, coded, known).ok_or_else(|| segment.error("texts are numbers"))?;
                Ok(Some((positions, read)))
            }
            Source::Group(..) | Source::Head(..) => Ok(None),
        }
    }

    fn rows(&self, number: usize, columns: ColumnSet, budget: &Budget) -> Result<Section, QueryError> {
        match &self.known.sources[number] {
            Source::Group(segment, range) => {
                check_memory(segment, range, columns, budget)?;
                read_group(segment, range, columns, &mut self.strings.lock(), self.known.hidden_before, budget)
            }
            Source::Head(generation, rows, _) => {
                budget.check_memory(rows * ROW_BYTES)?;
                Ok(read_head(generation, self.known.website, *rows, columns, self.known.hidden_before))
            }
        }
    }
}

/// Whether a source at `span` can have rows of a session that was there from `first_at` to `last_at`.
fn is_near(span: &Span, first_at: i64, last_at: i64) -> bool {
    span.min_at <= last_at.saturating_add(SESSION_MAX_MS) && span.max_at >= first_at.saturating_sub(SESSION_MAX_MS)
}

/// Asks for the memory that the rows of `range` take with their strings.
fn check_memory(segment: &Segment, range: &SiteRange, columns: ColumnSet, budget: &Budget) -> Result<(), QueryError> {
    let mut bytes = range.rows as usize * ROW_BYTES;
    for dimension in columns.iter() {
        let texts = segment.unpacked_bytes(range.group, ColumnId::Dimension(dimension));
        bytes = bytes.saturating_add(texts.map_err(damaged)?);
    }
    budget.check_memory(bytes)
}

/// About what a session takes with what is needed of it.
fn visit_bytes(needs: VisitNeeds) -> usize {
    let has_counts = needs.counts || needs.metrics || needs.times || needs.columns.contains(Dimension::Path);
    let of_needs = [
        (needs.sessions, 4),
        (needs.session_ids, 16),
        (needs.visitor_ids, 16),
        (has_counts, 8),
        (needs.metrics, 24),
        (needs.starts, 8),
        (needs.times, 24),
    ];
    let lists: usize = of_needs.iter().filter(|(is_needed, _)| *is_needed).map(|(_, bytes)| bytes).sum();
    UNPACKING_BYTES + 4 + lists + 8 * needs.columns.iter().count()
}

/// The sessions of row group `group`, when they stand in the file with `columns` and there is memory for them: for the rows there may
/// be.
fn read_visits(
    segment: &Segment,
    group: u32,
    needs: VisitNeeds,
    known: &mut Strings,
    budget: &Budget,
) -> Result<Option<Visits>, QueryError> {
    let mut string_bytes = 0;
    for dimension in needs.columns.iter() {
        string_bytes += segment.unpacked_bytes(group, ColumnId::Dimension(dimension)).map_err(damaged)?;
    }
    budget.check_memory(string_bytes)?;
    let made = segment.with_visits(group, |visits| {
        let event_bytes = if needs.events { segment.group_rows(group) * size_of::<u32>() } else { 0 };
        let bytes = visits.len().saturating_mul(visit_bytes(needs)).saturating_add(string_bytes + event_bytes);
        if budget.check_memory(bytes).is_err() {
            return Ok(None);
        }
        let error = |error| segment.of_visits(error);
        let mut read = visits.read(needs).map_err(error)?;
        let mut dictionaries = Box::<[Dictionary; Dimension::COUNT]>::default();
        let mut coded = Vec::new();
        for dimension in needs.columns.iter() {
            let hash = visits.dictionary_hash(dimension);
            let texts = segment.read_strings(group, ColumnId::Dimension(dimension), hash)?;
            let Some(texts) = texts else { return Ok(None) };
            let column = match dimension {
                Dimension::Path | Dimension::EventName if needs.events => visits.events(dimension, texts.len(), &read),
                _ => visits.column(dimension, texts.len()),
            };
            let Some(mut column) = column.map_err(error)? else { return Ok(None) };
            let (dictionary, names) = dictionary_of(dimension, &texts, |_| true, known);
            column.lists().for_each(|codes| names.rename(codes));
            dictionaries[dimension as usize] = dictionary;
            coded.push((dimension, column));
        }
        read.columns = coded;
        read.section.dictionaries = dictionaries;
        let ids = |column: ColumnId, codes: &[u32], is_needed: bool| -> Result<(Vec<u64>, usize), SegmentError> {
            let ids = if is_needed { segment.read_ids(group, column)? } else { Vec::new() };
            let count = if is_needed { ids.len() } else { segment.unpacked_bytes(group, column)? / size_of::<u64>() };
            match codes.iter().copied().max().is_some_and(|highest| highest as usize >= count) {
                true => Err(segment.error("visits of sessions that are not there")),
                false => Ok((ids, count)),
            }
        };
        (read.section.visitor_ids, _) = ids(ColumnId::Visitor, &read.visitor, needs.visitor_ids)?;
        if needs.sessions {
            (read.section.session_ids, read.sessions) = ids(ColumnId::Session, &read.session, needs.session_ids)?;
        }
        Ok(Some(read))
    });
    Ok(made.map_err(damaged)?.flatten())
}

/// The dictionary of `texts`, and the code in it of each of them. In a dataset the empty string is the first; in a file it is where it
/// was met first. Strings that are one in their normal form have one code. Those whose codes are not used are not looked at.
#[expect(clippy::cast_possible_truncation, reason = "a row group has fewer than 2^32 strings")]
fn dictionary_of(
    dimension: Dimension,
    texts: &Texts,
    is_used: impl Fn(u32) -> bool,
    known: &mut Strings,
) -> (Dictionary, Names) {
    let mut dictionary = Vec::with_capacity(texts.len() + 1);
    dictionary.push(Arc::from(""));
    let mut names: Vec<u32> = Vec::with_capacity(texts.len());
    let mut are_normal = true;
    for code in (0..).take(texts.len()) {
        let text = if is_used(code) { texts.get(code) } else { "" };
        names.push(if text.is_empty() { 0 } else { dictionary.len() as u32 });
        if !text.is_empty() {
            let (text, is_normal) = known.normal(dimension, text);
            are_normal &= is_normal;
            dictionary.push(text);
        }
    }
    if !are_normal {
        // Of an earlier version.
        let mut once: Vec<Arc<str>> = vec![Arc::from("")];
        let mut codes: HashMap<Arc<str>, u32> = HashMap::from([(Arc::clone(&once[0]), 0)]);
        for name in &mut names {
            let text = &dictionary[*name as usize];
            *name = *codes.entry(Arc::clone(text)).or_insert_with(|| {
                once.push(Arc::clone(text));
                once.len() as u32 - 1
            });
        }
        dictionary = once;
    }
    (Dictionary { texts: dictionary.into() }, Names::new(names))
}

/// Strings of row groups, most of which are in many: each is looked at and kept once.
#[derive(Default)]
struct Strings([HashSet<Arc<str>, RandomState>; Dimension::COUNT]);

impl Strings {
    /// No more strings of a dimension are kept, and no longer ones: together they take some megabyte.
    const STRINGS_MAX: usize = 1 << 13;
    const BYTES_MAX: usize = 128;

    /// The normal form of `text`, and whether it is `text` itself.
    fn normal(&mut self, dimension: Dimension, text: &str) -> (Arc<str>, bool) {
        let strings = &mut self.0[dimension as usize];
        // Those that are kept are in their normal form.
        if let Some(known) = strings.get(text) {
            return (Arc::clone(known), true);
        }
        let (normal, is_normal) = match dimension.normal(text) {
            Cow::Borrowed(text) => (Arc::from(text), true),
            Cow::Owned(text) => (Arc::from(text), false),
        };
        if is_normal && text.len() <= Self::BYTES_MAX && strings.len() < Self::STRINGS_MAX {
            strings.insert(Arc::clone(&normal));
        }
        (normal, is_normal)
    }
}

/// The code in a dictionary of each string of a file.
struct Names {
    codes: Vec<u32>,
    /// Whether each is one more than its place: nothing but the empty string, which is not in the file, is in another place.
    are_shifted: bool,
}

impl Names {
    fn new(codes: Vec<u32>) -> Self {
        let are_shifted = codes.iter().zip(1..).all(|(&code, shifted)| code == shifted);
        Self { codes, are_shifted }
    }

    /// Has the code here instead of each code of the file.
    fn rename(&self, codes: &mut [u32]) {
        if self.are_shifted {
            codes.iter_mut().for_each(|code| *code += 1);
        } else {
            codes.iter_mut().for_each(|code| *code = self.codes[*code as usize]);
        }
    }
}

/// Single columns of rows of `range`.
fn read_columns(
    segment: &Segment,
    range: &SiteRange,
    needs: RowNeeds<'_>,
    known: &mut Strings,
) -> Result<RowColumns, SegmentError> {
    let group = range.group;
    let rows = Rows::some(range.start as usize..(range.start + range.rows) as usize, needs.rows);
    let ids = |column: ColumnId| match segment.read_some(group, column, &rows)? {
        Coded { codes, values: Values::Ids(ids) } => Ok((codes, ids)),
        _ => Err(segment.error("ids are not numbers")),
    };
    let mut read = RowColumns { rows: rows.len(), ..RowColumns::default() };
    if needs.kinds {
        read.kind = segment.read_kinds(group, &rows)?;
    }
    match (needs.visitors, needs.visitor_ids) {
        (_, true) => (read.visitor, read.section.visitor_ids) = ids(ColumnId::Visitor)?,
        (true, false) => read.visitor = segment.read_row_codes(group, ColumnId::Visitor, &rows)?,
        (false, false) => {}
    }
    match (needs.sessions, needs.session_ids) {
        (_, true) => (read.session, read.section.session_ids) = ids(ColumnId::Session)?,
        (true, false) => read.session = segment.read_row_codes(group, ColumnId::Session, &rows)?,
        (false, false) => {}
    }
    for dimension in needs.columns.iter() {
        let coded = segment.read_some(group, ColumnId::Dimension(dimension), &rows)?;
        add_column(&mut read, dimension, coded, known).ok_or_else(|| segment.error("texts are numbers"))?;
    }
    Ok(read)
}

/// Adds a column to `read`; `None` when it is not one of strings.
fn add_column(read: &mut RowColumns, dimension: Dimension, coded: Coded, known: &mut Strings) -> Option<()> {
    let Coded { mut codes, values: Values::Texts(texts) } = coded else { return None };
    // Of few rows not all strings are looked at.
    let used = (codes.len() < texts.len()).then(|| {
        let mut used = vec![false; texts.len()];
        codes.iter().for_each(|&code| used[code as usize] = true);
        used
    });
    let is_used = |code: u32| used.as_ref().is_none_or(|used| used[code as usize]);
    let (dictionary, names) = dictionary_of(dimension, &texts, is_used, known);
    read.section.dictionaries[dimension as usize] = dictionary;
    names.rename(&mut codes);
    read.columns.push((dimension, codes));
    Some(())
}

/// The rows of `range` that are not before `since`. Looks at the budget between columns.
fn read_group(
    segment: &Segment,
    range: &SiteRange,
    columns: ColumnSet,
    known: &mut Strings,
    since: i64,
    budget: &Budget,
) -> Result<Section, QueryError> {
    let rows = range.start as usize..(range.start + range.rows) as usize;
    let (base, Ids { visitors, sessions }) = segment.read_base(range.group, rows.clone(), || budget.check())?;
    budget.check()?;
    let mut made = base.into_chunk(since);
    let mut dictionaries = Box::<[Dictionary; Dimension::COUNT]>::default();
    for dimension in columns.iter() {
        budget.check()?;
        let column = ColumnId::Dimension(dimension);
        let Coded { mut codes, values } = segment.read(range.group, column, rows.clone()).map_err(damaged)?;
        let Values::Texts(texts) = values else { return Err(damaged(segment.error("texts are numbers"))) };
        let (dictionary, names) = dictionary_of(dimension, &texts, |_| true, known);
        dictionaries[dimension as usize] = dictionary;
        names.rename(&mut codes);
        made.set_column(dimension, &codes);
    }
    Ok(Section { chunk: made.chunk, dictionaries, visitor_ids: visitors, session_ids: sessions })
}

/// The first `rows` rows of `website` in a generation of the head, of those that are not before `since`.
fn read_head(generation: &Generation, website: WebsiteId, rows: usize, columns: ColumnSet, since: i64) -> Section {
    let Some(site) = generation.site(website) else { return Section::default() };
    let mut base = BaseRows::default();
    let mut codes: Vec<(Dimension, Vec<u32>)> = columns.iter().map(|dimension| (dimension, Vec::new())).collect();
    let mut dictionaries = Box::<[Dictionary; Dimension::COUNT]>::default();
    let ids = loop {
        // Under the lock a block at a time: the writer may be waiting.
        let head = site.lock();
        let block = base.at.len()..(base.at.len() + BLOCK_ROWS).min(rows);
        base.at.extend_from_slice(&head.at[block.clone()]);
        base.kind.extend_from_slice(&head.kind[block.clone()]);
        base.visitor.extend_from_slice(&head.visitor[block.clone()]);
        base.session.extend_from_slice(&head.session[block.clone()]);
        base.engagement_ms.extend_from_slice(&head.engagement_ms[block.clone()]);
        for (dimension, codes) in &mut codes {
            codes.extend(head.dimension(*dimension, block.clone()));
        }
        if block.end == rows {
            for (dimension, _) in &codes {
                let normal = |text: &Arc<str>| match dimension.normal(text) {
                    Cow::Borrowed(_) => Arc::clone(text),
                    Cow::Owned(normal) => Arc::from(normal),
                };
                let texts: Vec<_> = head.texts[*dimension as usize].texts().iter().map(normal).collect();
                dictionaries[*dimension as usize].texts = texts.into();
            }
            break Ids { visitors: head.visitors.ids().to_vec(), sessions: head.sessions.ids().to_vec() };
        }
    };
    let mut made = base.into_chunk(since);
    codes.iter().for_each(|(dimension, codes)| made.set_column(*dimension, codes));
    Section { chunk: made.chunk, dictionaries, visitor_ids: ids.visitors, session_ids: ids.sessions }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use zenovay_domain::{Event, EventKind, ManualClock, SessionId, TimeRange, Timestamp, VisitorId};
    use zenovay_query::{Answer, Condition, Field, Filter, GroupBy, Operator, Query, Question, oracle};

    use super::*;
    use crate::log::{Log, Opened, Purpose};
    use crate::segment::SegmentMeta;
    use crate::{EmbeddedConfig, EmbeddedStore, EventStore, NewEvent};

    const MINUTE_MS: i64 = 60_000;
    const ROWS: i64 = 1_000;

    /// Sabotage: keep the strings of an earlier version apart, or keep its spellings among the known ones.
    #[test]
    fn spellings_of_a_path_have_one_code() {
        let mut known = Strings::default();
        let mut read = |texts: &[&str]| {
            let texts = Texts::Owned(texts.iter().map(|&text| Arc::from(text)).collect());
            let (dictionary, names) = dictionary_of(Dimension::Path, &texts, |_| true, &mut known);
            let mut codes: Vec<u32> = (0..texts.len() as u32).collect();
            names.rename(&mut codes);
            let texts: Vec<String> = dictionary.texts.iter().map(|text| text.to_string()).collect();
            (texts, codes)
        };
        let own = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        for _ in 0..2 {
            assert_eq!(read(&["/%61", "", "/b", "/a"]), (own(&["", "/a", "/b"]), vec![1, 0, 2, 1]));
            assert_eq!(read(&["/b", "/a"]), (own(&["", "/b", "/a"]), vec![1, 2]));
            assert_eq!(read(&["", "/b"]), (own(&["", "/b"]), vec![0, 1]));
        }
    }

    fn website() -> WebsiteId {
        WebsiteId::from_random_bytes([1; 16])
    }

    fn open(dir: &Path) -> EmbeddedStore {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let config = EmbeddedConfig::new(dir).with(|config| {
            config.group_rows = 128;
            config.scan_rows_max = 0;
        });
        EmbeddedStore::open(config, clock).unwrap()
    }

    /// A pageview a minute, each session of seven, and a visitor with one heartbeat only.
    fn events() -> Vec<Event> {
        let event = |number: i64| {
            let at = Timestamp::from_millis(number * MINUTE_MS);
            let session = number as u64 / 7;
            Event::new(EventKind::Pageview, at, VisitorId(session % 50), SessionId(session))
        };
        let mut events: Vec<Event> = (0..ROWS).map(event).collect();
        let at = Timestamp::from_millis(MINUTE_MS);
        events.push(Event::new(EventKind::Heartbeat, at, VisitorId(999), SessionId(999)));
        events
    }

    /// A store with one segment, and what its catalog says of that.
    fn fill(dir: &Path) -> SegmentMeta {
        fill_with(dir, events())
    }

    fn fill_with(dir: &Path, events: Vec<Event>) -> SegmentMeta {
        let store = open(dir);
        let new = |event: Event| NewEvent::new(website(), event.at, event);
        assert!(store.append(events.into_iter().map(new).collect()).wait().is_ok());
        store.seal().unwrap();
        drop(store);
        let Opened { named, .. } = Log::open(dir, Purpose::Look).unwrap();
        named.segments[0].clone()
    }

    fn overview(from_ms: i64, to_ms: i64) -> Query {
        let range = TimeRange::new(Timestamp::from_millis(from_ms), Timestamp::from_millis(to_ms));
        Query::new(range, Question::Overview)
    }

    fn ask(dir: &Path, query: &Query) -> Result<Answer, QueryError> {
        open(dir).query(website(), query, &Budget::unlimited())
    }

    /// Changes every byte of the only segment file at the sources that `keep` does not hold.
    fn damage_all_but(dir: &Path, keep: &[std::ops::Range<u64>]) {
        let path = std::fs::read_dir(dir.join("segments")).unwrap().next().unwrap().unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte ^= u8::from(!keep.iter().any(|keep| keep.contains(&(place as u64))));
        }
        std::fs::write(path, bytes).unwrap();
    }

    /// The digests and the codes of visitors: all that totals may read when everything is in the range.
    fn read_by_totals(meta: &SegmentMeta) -> Vec<std::ops::Range<u64>> {
        let of_group = |group: &crate::segment::GroupMeta| {
            let digest = group.digest.unwrap();
            [digest.offset..digest.offset + u64::from(digest.bytes), visitors_of(meta, group)]
        };
        meta.groups.iter().flat_map(of_group).collect()
    }

    /// Where the codes of visitors are; of an earlier version the dictionary page of their ids.
    fn visitors_of(meta: &SegmentMeta, group: &crate::segment::GroupMeta) -> std::ops::Range<u64> {
        let ids = &group.chunks[3];
        assert_eq!(meta.columns.iter().nth(3), Some(ColumnId::Visitor));
        match group.codes {
            Some(codes) => codes.offset..codes.offset + u64::from(codes.bytes),
            None => ids.offset..ids.offset + u64::from(ids.dictionary_bytes),
        }
    }

    /// Sabotage: read the rows of every section.
    #[test]
    fn rows_of_whole_row_groups_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let meta = fill(dir.path());
        assert_eq!(meta.groups.len(), 8);
        let all = overview(0, ROWS * MINUTE_MS);
        let cut = overview(0, ROWS * MINUTE_MS - 1);
        let expected = oracle::answer(&events(), &all);
        assert_eq!(ask(dir.path(), &all), Ok(expected.clone()));
        assert_eq!(ask(dir.path(), &cut), Ok(oracle::answer(&events(), &cut)));
        damage_all_but(dir.path(), &read_by_totals(&meta));
        assert_eq!(ask(dir.path(), &all), Ok(expected));
        let damaged = overview(1, ROWS * MINUTE_MS);
        assert!(matches!(ask(dir.path(), &damaged), Err(QueryError::Damaged(_))), "this one needs rows");
    }

    /// The digests, the visits, the codes of visitors, and the dictionary pages of `dimension`.
    fn read_by_visits(meta: &SegmentMeta, dimension: Dimension) -> Vec<std::ops::Range<u64>> {
        let of_group = |group: &crate::segment::GroupMeta| {
            let (digest, visits) = (group.digest.unwrap(), group.visits.unwrap());
            let column = ColumnId::Dimension(dimension);
            let strings = &group.chunks[meta.columns.iter().position(|own| own == column).unwrap()];
            [
                digest.offset..digest.offset + u64::from(digest.bytes),
                visits.offset..visits.offset + u64::from(visits.bytes),
                visitors_of(meta, group),
                strings.offset..strings.offset + u64::from(strings.dictionary_bytes),
            ]
        };
        meta.groups.iter().flat_map(of_group).collect()
    }

    /// Sabotage: read the rows of sections that have visits, the whole column for its strings, or ids of sessions though digests know who
    /// goes on in another section.
    #[test]
    fn questions_about_sessions_read_no_rows() {
        let dir = tempfile::tempdir().unwrap();
        let meta = fill(dir.path());
        let countries = |to_ms: i64| {
            let range = TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(to_ms));
            Query::new(range, Question::Breakdown(GroupBy::by(Dimension::Country)))
        };
        let (all, cut) = (countries(ROWS * MINUTE_MS), countries(ROWS * MINUTE_MS - MINUTE_MS));
        let expected = oracle::answer(&events(), &all);
        assert!(matches!(&expected, Answer::Breakdown(countries) if countries.rows[0].metrics.visitors == 50));
        assert_eq!(ask(dir.path(), &all), Ok(expected.clone()));
        assert_eq!(ask(dir.path(), &cut), Ok(oracle::answer(&events(), &cut)));
        damage_all_but(dir.path(), &read_by_visits(&meta, Dimension::Country));
        assert_eq!(ask(dir.path(), &all), Ok(expected));
        assert!(matches!(ask(dir.path(), &cut), Err(QueryError::Damaged(_))), "this one needs rows");
    }

    /// The codes of visitors, kinds, visitors and `column`.
    fn read_by_breakdown(meta: &SegmentMeta, column: ColumnId) -> Vec<std::ops::Range<u64>> {
        let of_group = |group: &crate::segment::GroupMeta| {
            let whole = |column: ColumnId| {
                let chunk = &group.chunks[meta.columns.iter().position(|own| own == column).unwrap()];
                chunk.offset..chunk.offset + u64::from(chunk.bytes)
            };
            [visitors_of(meta, group), whole(ColumnId::Kind), whole(ColumnId::Visitor), whole(column)]
        };
        meta.groups.iter().flat_map(of_group).collect()
    }

    /// Sabotage: read times or session codes of row groups in which every row counts, look for sessions that go on elsewhere, or read rows
    /// for pages.
    #[test]
    fn questions_about_events_read_what_they_ask_for() {
        for dimension in [Dimension::Path, Dimension::Title] {
            let dir = tempfile::tempdir().unwrap();
            let meta = fill(dir.path());
            let of_events = |to_ms: i64| {
                let range = TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(to_ms));
                Query::new(range, Question::Breakdown(GroupBy::by(dimension)))
            };
            let (all, cut) = (of_events(ROWS * MINUTE_MS), of_events(ROWS * MINUTE_MS - MINUTE_MS));
            let expected = oracle::answer(&events(), &all);
            assert_eq!(ask(dir.path(), &all), Ok(expected.clone()));
            assert_eq!(ask(dir.path(), &cut), Ok(oracle::answer(&events(), &cut)));
            let read = match dimension {
                Dimension::Path => read_by_visits(&meta, dimension),
                _ => read_by_breakdown(&meta, ColumnId::Dimension(dimension)),
            };
            damage_all_but(dir.path(), &read);
            assert_eq!(ask(dir.path(), &all), Ok(expected));
            assert!(matches!(ask(dir.path(), &cut), Err(QueryError::Damaged(_))), "this one needs times");
        }
    }

    /// In the first row groups all rows have a name, in the next none, then some. Sabotage: have the places of `codes_at` begin
    /// with each row group's first page, or tell `hybrid::decode_others` no first place.
    #[test]
    fn few_rows_are_read_where_they_stand() {
        let named = |(number, mut event): (usize, Event)| {
            let is_named = event.kind == EventKind::Pageview && (number < 200 || number > 600 && number % 9 == 0);
            if is_named {
                event.kind = EventKind::Custom;
                event.dimensions.set(Dimension::EventName, &format!("event {}", number % 4));
            }
            event.dimensions.set(Dimension::Path, &format!("/{}", number % 11));
            event.dimensions.set(Dimension::Country, if number / 70 % 5 == 0 { "DE" } else { "FR" });
            event
        };
        let events: Vec<Event> = events().into_iter().enumerate().map(named).collect();
        let dir = tempfile::tempdir().unwrap();
        let meta = fill_with(dir.path(), events.clone());
        let ask_for = |group_by: GroupBy, filter: Filter| {
            Query::new(overview(0, ROWS * MINUTE_MS).range, Question::Breakdown(group_by)).filter(filter)
        };
        let is = |dimension: Dimension, value: &str| {
            Filter::Is(Condition::new(Field::Dimension(dimension), Operator::Is, [value]))
        };
        // Which kinds events are is not known without rows.
        let names = ask_for(GroupBy::by(Dimension::EventName).without_empty(), Filter::Kind(EventKind::Custom));
        let views = Filter::Kind(EventKind::Pageview);
        let filters = [
            Filter::All(vec![is(Dimension::Country, "DE"), views.clone()]),
            Filter::Any(vec![is(Dimension::Country, "DE"), views]),
            Filter::Not(Box::new(Filter::All(vec![is(Dimension::Country, "DE"), Filter::Kind(EventKind::Custom)]))),
            is(Dimension::EventName, "event 1"),
        ];
        for filter in filters {
            for group_by in [GroupBy::by(Dimension::Path), GroupBy::by(Dimension::EventName).without_empty()] {
                let query = ask_for(group_by, filter.clone());
                assert_eq!(ask(dir.path(), &query), Ok(oracle::answer(&events, &query)), "{query:?}");
            }
        }
        damage_all_but(dir.path(), &read_by_breakdown(&meta, ColumnId::Dimension(Dimension::EventName)));
        assert_eq!(ask(dir.path(), &names), Ok(oracle::answer(&events, &names)));
    }

    /// A store that was written when sessions counted where they begin, and digests did not tell their version.
    ///
    /// Sabotage: read digests of version 2 only, or count in `Totals::finish` by `first_at`.
    #[test]
    fn digests_of_904fc4c_are_read_and_count_like_rows() {
        const DAY_MS: i64 = 86_400_000;
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("segments")).unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/digests-904fc4c");
        for (name, place) in
            [("events.db", "events.db"), ("0000000000000001.parquet", "segments/0000000000000001.parquet")]
        {
            std::fs::copy(fixture.join(name), dir.path().join(place)).unwrap();
        }
        let Opened { log, named, .. } = Log::open(dir.path(), Purpose::Look).unwrap();
        drop(log);
        let segment = Segment::new(&dir.path().join("segments"), named.segments[0].clone());
        let digests = (0..8).map(|group| segment.read_digest(group).unwrap().unwrap());
        assert!(digests.map(|known| known.digest.open.len()).sum::<usize>() > 7, "sessions reach over row groups");

        // Most of these cut sessions of seven minutes; some hold row groups whole.
        let cuts = [0, 3, 128, 300, 512, 640, 901, ROWS].map(|minute| minute * MINUTE_MS);
        for from in cuts {
            for to in cuts.into_iter().filter(|to| *to > from) {
                let query = overview(from, to);
                assert_eq!(ask(dir.path(), &query), Ok(oracle::answer(&events(), &query)), "{from} to {to}");
            }
        }
        let hours = Question::Series { interval: zenovay_domain::Interval::Hour, zone: zenovay_domain::Zone::utc() };
        let query = Query::new(overview(0, DAY_MS).range, hours);
        assert_eq!(ask(dir.path(), &query), Ok(oracle::answer(&events(), &query)));
        damage_all_but(dir.path(), &read_by_totals(&named.segments[0]));
        let all = overview(0, ROWS * MINUTE_MS);
        assert_eq!(ask(dir.path(), &all), Ok(oracle::answer(&events(), &all)), "without a look at rows");
    }

    /// Sabotage: leave the comparison of the checksum out of `Segment::fill`.
    #[test]
    fn a_changed_byte_is_an_error_and_never_another_number() {
        let dir = tempfile::tempdir().unwrap();
        let meta = fill(dir.path());
        let all = overview(0, ROWS * MINUTE_MS);
        let countries = Query::new(all.range, Question::Breakdown(GroupBy::by(Dimension::Country)));
        let expected = oracle::answer(&events(), &countries);
        let visits = meta.groups[3].visits.unwrap();
        // Of visits every column is read alone.
        let of_visits = (visits.offset..visits.offset + u64::from(visits.bytes)).step_by(37);
        let of_totals = read_by_totals(&meta);
        let of_totals = of_totals.iter().flat_map(|place| [place.start, (place.start + place.end) / 2, place.end - 1]);
        let (mut refused, mut answered) = (0, 0);
        for (byte, is_of_totals) in of_totals.map(|byte| (byte, true)).chain(of_visits.map(|byte| (byte, false))) {
            let copy = tempfile::tempdir().unwrap();
            std::fs::create_dir(copy.path().join("segments")).unwrap();
            for name in ["events.db", "events.db-wal"] {
                std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
            }
            let file = format!("segments/{}", crate::segment::file_name(meta.id));
            std::fs::copy(dir.path().join(&file), copy.path().join(&file)).unwrap();
            damage_all_but(copy.path(), &[0..byte, byte + 1..meta.bytes]);
            if is_of_totals {
                assert!(matches!(ask(copy.path(), &all), Err(QueryError::Damaged(_))), "byte {byte}");
            } else {
                match ask(copy.path(), &countries) {
                    Err(QueryError::Damaged(_)) => refused += 1,
                    answer => {
                        assert_eq!(answer, Ok(expected.clone()), "byte {byte}");
                        answered += 1;
                    }
                }
            }
            assert_eq!(crate::verify(copy.path()).unwrap().damages.len(), 1, "byte {byte}");
        }
        assert!(refused > 2 && answered > 2, "of a column that is not asked for nobody knows: {refused} {answered}");
    }
}
