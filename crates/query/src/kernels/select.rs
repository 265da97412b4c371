//! Filters: evaluated once per dictionary entry, session or visitor, then looked up per row.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use zenovay_domain::{Dimension, SESSION_MAX_MS, TimeRange, Timestamp};

use super::long::{Limits, RowColumns};
use super::pageviews::{PAGEVIEW, count_pageviews};
use super::sessions::{First, Session, Sessions};
use super::work::{Bits, Work};
use crate::derived::SessionMetrics;
use crate::matching::{Matcher, property_text};
use crate::{Chunk, Condition, Dataset, Field, Filter, FilterLevel, List, NO_ROW, QueryError};

/// Everything that a kernel of one query works with.
pub(super) struct Scan<'a> {
    pub(super) dataset: &'a Dataset<'a>,
    pub(super) range: TimeRange,
    /// The time of all activity of the sessions that touch the range.
    pub(super) window: TimeRange,
    pub(super) work: &'a Work<'a>,
    /// When other rows than these tell whom conditions on visitors choose.
    pub(super) limits: Option<Limits<'a>>,
    pub(super) sessions: OnceCell<Sessions<'a>>,
}

impl<'a> Scan<'a> {
    pub(super) fn new(dataset: &'a Dataset<'a>, range: TimeRange, window: TimeRange, work: &'a Work<'a>) -> Self {
        Self { dataset, range, window, work, limits: None, sessions: OnceCell::new() }
    }

    /// The sessions of the window, put together when they are asked for first.
    pub(super) fn sessions(&self) -> Result<&Sessions<'a>, QueryError> {
        if let Some(sessions) = self.sessions.get() {
            return Ok(sessions);
        }
        let sessions = Sessions::new(self.dataset, self.window, self.work)?;
        Ok(self.sessions.get_or_init(|| sessions))
    }

    /// When the sessions begin that may have an event in the range.
    pub(super) fn starts(&self) -> TimeRange {
        TimeRange::new(self.range.from.plus_millis(-SESSION_MAX_MS), self.range.to)
    }

    /// The sessions that count: those with a selected event. `None` when `test` passes every event: they are those with an
    /// event in the range then.
    pub(super) fn counted_sessions(&self, test: &Test, selected: &[Selected<'_>]) -> Result<Option<Bits>, QueryError> {
        match test {
            Test::Always => Ok(None),
            _ => self.sessions_of(selected).map(Some),
        }
    }

    /// The sessions with a selected event.
    pub(super) fn sessions_of(&self, selected: &[Selected<'_>]) -> Result<Bits, QueryError> {
        let mut sessions = self.session_bits()?;
        for selected in selected {
            let session = selected.session();
            self.work.for_each_block(0..session.len(), |block| sessions.insert_all(&session[block]))?;
        }
        Ok(sessions)
    }

    /// Calls `visit` for each of the sessions that [`Scan::counted_sessions`] told.
    #[inline]
    pub(super) fn for_each_counted<'s>(
        &'s self,
        counted: Option<&Bits>,
        mut visit: impl FnMut(Session<'s>),
    ) -> Result<(), QueryError> {
        let sessions = self.sessions()?;
        if counted.is_none() {
            // Few: not worth a second copy of what is done with each.
            let visit: &mut dyn FnMut(Session<'s>) = &mut visit;
            sessions.for_each_reaching_into(self.range, self.work, visit)?;
        }
        let starts = if counted.is_none() { self.range } else { self.starts() };
        sessions.for_each_starting_in(starts, self.work, |session| {
            if counted.is_none_or(|counted| counted.contains(session.part.session)) {
                visit(session);
            }
        })
    }

    /// The same for whoever needs no more than the session's metrics and where its first event is.
    #[inline]
    pub(super) fn for_each_counted_first(
        &self,
        counted: Option<&Bits>,
        mut visit: impl FnMut(First),
    ) -> Result<(), QueryError> {
        let sessions = self.sessions()?;
        if counted.is_none() {
            let visit: &mut dyn FnMut(First) = &mut visit;
            sessions.for_each_reaching_into(self.range, self.work, |session| visit(session.first()))?;
        }
        let starts = if counted.is_none() { self.range } else { self.starts() };
        sessions.for_each_first(starts, self.work, |first| {
            if counted.is_none_or(|counted| counted.contains(first.session)) {
                visit(first);
            }
        })
    }

    /// What each session that may have an event in the range brings in when it counts, by its code.
    pub(super) fn session_shares(&self) -> Result<Vec<SessionMetrics>, QueryError> {
        let mut shares = self.work.filled(SessionMetrics::default(), self.dataset.session_ids.len())?;
        self.sessions()?
            .for_each_first(self.starts(), self.work, |first| shares[first.session as usize] = first.metrics)?;
        Ok(shares)
    }

    /// An empty set of sessions.
    pub(super) fn session_bits(&self) -> Result<Bits, QueryError> {
        self.work.bits(self.dataset.session_ids.len())
    }

    /// An empty set of visitors.
    pub(super) fn visitor_bits(&self) -> Result<Bits, QueryError> {
        self.work.bits(self.dataset.visitor_ids.len())
    }

    /// How many strings `dimension` has.
    pub(super) fn texts(&self, dimension: Dimension) -> &'a List<Arc<str>> {
        &self.dataset.dictionaries[dimension as usize].texts
    }

    /// Reads `field` of whole sessions.
    pub(super) fn session_codes<'f>(&self, field: &'f Field) -> Result<SessionCodes<'a, 'f>, QueryError> {
        Ok(SessionCodes { field, columns: self.columns(field.column())? })
    }

    /// The codes of `dimension` in each chunk.
    pub(super) fn columns(&self, dimension: Dimension) -> Result<Vec<&'a [u32]>, QueryError> {
        self.dataset.chunks.iter().map(|&chunk| column(chunk, dimension)).collect()
    }

    /// The codes of `dimension` that rows of the window have, or `None` when all strings are fewer than the rows.
    pub(super) fn codes_in_use(&self, dimension: Dimension) -> Result<Option<Bits>, QueryError> {
        let TimeRange { from, to } = self.window;
        let chunks = self.dataset.chunks;
        let rows: usize = chunks.iter().map(|chunk| chunk.rows_between(from, to).len()).sum();
        if self.texts(dimension).len() <= rows {
            return Ok(None);
        }
        let mut codes = self.work.bits(self.texts(dimension).len())?;
        // The empty string stands for sessions without a pageview, too.
        codes.insert(0);
        for chunk in chunks {
            codes.insert_all(&column(chunk, dimension)?[chunk.rows_between(from, to)]);
        }
        Ok(Some(codes))
    }

    /// The codes of the field's column that pass `condition`.
    fn passing_codes(&self, condition: &Condition) -> Result<Bits, QueryError> {
        let dimension = condition.field.column();
        let texts = self.texts(dimension);
        let in_use = self.codes_in_use(dimension)?;
        let values = condition.normal_values();
        let matcher = Matcher::new(condition.operator, &values);
        let mut passing = self.work.bits(texts.len())?;
        self.work.for_each_block(0..texts.len(), |block| {
            for code in block {
                let text = &texts[code];
                let code = code as u32;
                if in_use.as_ref().is_none_or(|in_use| in_use.contains(code)) {
                    let passes = match &condition.field {
                        Field::Property(name) => matcher.matches(&property_text(text, name)),
                        _ => matcher.matches(text),
                    };
                    passing.insert_if(code, passes);
                }
            }
        })?;
        Ok(passing)
    }

    /// What `filter` asks of a row.
    pub(super) fn compile(&self, filter: &Filter) -> Result<Test, QueryError> {
        filter.check_depth(Filter::DEPTH_MAX)?;
        self.compile_level(filter)
    }

    fn compile_level(&self, filter: &Filter) -> Result<Test, QueryError> {
        match filter {
            Filter::All(filters) => {
                let mut tests = Vec::new();
                for filter in filters {
                    match self.compile_level(filter)? {
                        Test::Always => {}
                        Test::Never => return Ok(Test::Never),
                        test => join(&mut tests, test, Bits::intersect),
                    }
                }
                Ok(match tests.len() {
                    0 => Test::Always,
                    1 => tests.remove(0),
                    _ => Test::All(tests),
                })
            }
            Filter::Any(filters) => {
                let mut tests = Vec::new();
                for filter in filters {
                    match self.compile_level(filter)? {
                        Test::Always => return Ok(Test::Always),
                        Test::Never => {}
                        test => join(&mut tests, test, Bits::unite),
                    }
                }
                Ok(match tests.len() {
                    0 => Test::Never,
                    1 => tests.remove(0),
                    _ => Test::Any(tests),
                })
            }
            Filter::Is(condition) => {
                let level = condition.level.unwrap_or(condition.field.level());
                self.compile_condition(condition, level)
            }
            Filter::Not(filter) => Ok(match self.compile_level(filter)? {
                Test::Always => Test::Never,
                Test::Never => Test::Always,
                Test::Not(test) => *test,
                test => Test::Not(Box::new(test)),
            }),
            Filter::InSession(filter) => Ok(match self.compile_level(filter)? {
                test @ (Test::Always | Test::Never | Test::Session(_)) => test,
                test => {
                    let events = self.select_between(self.window.from, self.window.to, &test)?;
                    Test::Session(self.sessions_of(&events)?)
                }
            }),
            Filter::Kind(kind) => Ok(Test::Kind(*kind as u8)),
        }
    }

    /// The visitors with an event in the range that passes `condition`.
    pub(super) fn chosen_by(&self, condition: &Condition) -> Result<Bits, QueryError> {
        let test = self.compile_condition(condition, condition.field.level())?;
        let mut visitors = self.visitor_bits()?;
        for selected in self.select(&test)? {
            visitors.insert_all(&selected.visitor());
        }
        Ok(visitors)
    }

    /// The visitors that the answer is about; `None` when it is about all.
    pub(super) fn visitors_in_parts(&self) -> Result<Option<Bits>, QueryError> {
        let some = self.limits.filter(|limits| !limits.is_about_all());
        some.map(|limits| self.visitors_of(|visitor| limits.holds(visitor))).transpose()
    }

    /// The visitors whose code passes.
    fn visitors_of(&self, passes: impl Fn(u32) -> bool) -> Result<Bits, QueryError> {
        let mut visitors = self.visitor_bits()?;
        for code in 0..self.dataset.visitor_ids.len() as u32 {
            visitors.insert_if(code, passes(code));
        }
        Ok(visitors)
    }

    /// What `filter` asks of a row, and that its visitor is one that the answer is about.
    pub(super) fn compile_for_some(&self, filter: &Filter) -> Result<Test, QueryError> {
        let test = self.compile(filter)?;
        let Some(visitors) = self.visitors_in_parts()? else { return Ok(test) };
        Ok(match test {
            Test::Never => Test::Never,
            Test::Always => Test::Visitor(visitors),
            test => Test::All(vec![Test::Visitor(visitors), test]),
        })
    }

    fn compile_condition(&self, condition: &Condition, level: FilterLevel) -> Result<Test, QueryError> {
        let field = &condition.field;
        if level == FilterLevel::Visitor {
            return Ok(Test::Visitor(match self.limits {
                Some(limits) => self.visitors_of(|visitor| limits.chooses(condition, visitor))?,
                None => self.chosen_by(condition)?,
            }));
        }
        let codes = self.passing_codes(condition)?;
        if codes.is_empty() {
            return Ok(Test::Never);
        }
        let of_session = matches!(field, Field::EntryPage | Field::ExitPage);
        if level == FilterLevel::Event && !of_session {
            return Ok(Test::Row(field.column(), codes));
        }
        let mut sessions = self.session_bits()?;
        if let (Field::Dimension(dimension), FilterLevel::Session) = (field, field.level()) {
            let columns = self.columns(*dimension)?;
            self.sessions()?.for_each_first(self.window, self.work, |first| {
                let code = columns[first.chunk as usize][first.row as usize];
                sessions.insert_if(first.session, codes.contains(code));
            })?;
        } else if field.level() == FilterLevel::Session {
            let of_session = self.session_codes(field)?;
            self.sessions()?.for_each_starting_in(self.window, self.work, |session| {
                sessions.insert_if(session.part.session, codes.contains(of_session.code(session)));
            })?;
        } else {
            for chunk in self.dataset.chunks {
                let column = column(chunk, field.column())?;
                self.work.for_each_block(chunk.rows_between(self.window.from, self.window.to), |block| {
                    for (&session, &code) in chunk.session[block.clone()].iter().zip(&column[block]) {
                        sessions.insert_if(session, codes.contains(code));
                    }
                })?;
            }
        }
        Ok(Test::Session(sessions))
    }

    /// The rows in the range that pass `test`, by chunk; chunks without any are left out.
    pub(super) fn select(&self, test: &Test) -> Result<Vec<Selected<'a>>, QueryError> {
        self.select_between(self.range.from, self.range.to, test)
    }

    /// The rows in `[from, to)` that pass `test`, by chunk; chunks without any are left out.
    pub(super) fn select_between(
        &self,
        from: Timestamp,
        to: Timestamp,
        test: &Test,
    ) -> Result<Vec<Selected<'a>>, QueryError> {
        let mut all = Vec::new();
        if matches!(test, Test::Never) {
            return Ok(all);
        }
        for (number, &chunk) in self.dataset.chunks.iter().enumerate() {
            let between = chunk.rows_between(from, to);
            if between.is_empty() {
                continue;
            }
            let rows = match test {
                Test::Always => RowSet::Between(between),
                // Many websites have nothing else.
                Test::Kind(PAGEVIEW) if count_pageviews(&chunk.kind[between.clone()]) == between.len() as u64 => {
                    RowSet::Between(between)
                }
                test => {
                    let test = test.on(&RowsOf::chunk(chunk))?;
                    self.work.reserve::<u32>(between.len())?;
                    let mut rows = Vec::new();
                    let mut block_rows = Vec::new();
                    self.work.for_each_block(between, |block| {
                        block_rows.clear();
                        test.select(block, &mut block_rows);
                        rows.extend_from_slice(&block_rows);
                    })?;
                    if rows.is_empty() {
                        continue;
                    }
                    RowSet::Listed(rows)
                }
            };
            all.push(Selected { number: number as u32, chunk, rows });
        }
        Ok(all)
    }
}

/// One field of whole sessions.
pub(super) struct SessionCodes<'a, 'f> {
    field: &'f Field,
    columns: Vec<&'a [u32]>,
}

impl SessionCodes<'_, '_> {
    /// The code that `session` has in the dictionary of the field's column.
    #[inline]
    pub(super) fn code(&self, session: Session<'_>) -> u32 {
        let (chunk, row) = match self.field {
            Field::EntryPage => (session.entry_chunk, session.part.entry_row),
            Field::ExitPage => (session.exit_chunk, session.part.exit_row),
            Field::Dimension(_) | Field::Property(_) => (session.first_chunk, session.part.first_row),
        };
        if row == NO_ROW { 0 } else { self.columns[chunk as usize][row as usize] }
    }
}

/// The codes of `dimension` in `chunk`.
pub(super) fn column(chunk: &Chunk, dimension: Dimension) -> Result<&[u32], QueryError> {
    chunk.columns[dimension as usize]
        .as_deref()
        .ok_or_else(|| QueryError::damaged(format!("the column {dimension} was not loaded")))
}

/// A filter, ready to look rows up.
#[derive(Debug)]
pub(super) enum Test {
    Always,
    Never,
    /// The row is of this kind.
    Kind(u8),
    /// The row is of another kind.
    NotKind(u8),
    /// The row's own code is in the set.
    Row(Dimension, Bits),
    /// The row's session is in the set.
    Session(Bits),
    /// The row's visitor is in the set.
    Visitor(Bits),
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
}

/// Adds `test` to the members of an `All` or `Any`; sets of the same kind become one.
fn join(tests: &mut Vec<Test>, test: Test, combine: fn(&mut Bits, &Bits)) {
    for other in tests.iter_mut() {
        match (other, &test) {
            (Test::Session(set), Test::Session(other)) | (Test::Visitor(set), Test::Visitor(other)) => {
                return combine(set, other);
            }
            (Test::Row(dimension, set), Test::Row(other_dimension, other)) if dimension == other_dimension => {
                return combine(set, other);
            }
            _ => {}
        }
    }
    tests.push(test);
}

/// A [`Test`] with the columns of one chunk.
enum ChunkTest<'a> {
    Always,
    Never,
    Kind(&'a [u8], u8),
    NotKind(&'a [u8], u8),
    Codes(&'a [u32], &'a Bits),
    All(Vec<ChunkTest<'a>>),
    Any(Vec<ChunkTest<'a>>),
    Not(Box<ChunkTest<'a>>),
}

impl Test {
    fn on<'a>(&'a self, rows: &RowsOf<'a>) -> Result<ChunkTest<'a>, QueryError> {
        let each = |tests: &'a [Test]| tests.iter().map(|test| test.on(rows)).collect::<Result<Vec<_>, _>>();
        Ok(match self {
            Self::Always => ChunkTest::Always,
            Self::Never => ChunkTest::Never,
            Self::Kind(kind) => ChunkTest::Kind(rows.kind, *kind),
            Self::NotKind(kind) => ChunkTest::NotKind(rows.kind, *kind),
            Self::Row(dimension, codes) => ChunkTest::Codes(rows.column(*dimension)?, codes),
            Self::Session(sessions) => ChunkTest::Codes(rows.session, sessions),
            Self::Visitor(visitors) => ChunkTest::Codes(rows.visitor, visitors),
            Self::All(tests) => ChunkTest::All(each(tests)?),
            Self::Any(tests) => ChunkTest::Any(each(tests)?),
            Self::Not(test) => ChunkTest::Not(Box::new(test.on(rows)?)),
        })
    }

    /// Those of the first `count` of `rows` that pass.
    pub(super) fn select_all(&self, count: usize, rows: &RowsOf<'_>, work: &Work<'_>) -> Result<Vec<u32>, QueryError> {
        let test = self.on(rows)?;
        let mut selected = Vec::new();
        let mut of_block = Vec::new();
        work.for_each_block(0..count, |block| {
            of_block.clear();
            test.select(block, &mut of_block);
            selected.extend_from_slice(&of_block);
        })?;
        work.reserve::<u32>(selected.len())?;
        Ok(selected)
    }
}

/// The columns of rows that tests look at.
pub(super) struct RowsOf<'a> {
    kind: &'a [u8],
    visitor: &'a [u32],
    session: &'a [u32],
    columns: ColumnsOf<'a>,
}

#[derive(Clone, Copy)]
enum ColumnsOf<'a> {
    Chunk(&'a Chunk),
    Columns(&'a RowColumns),
}

impl<'a> RowsOf<'a> {
    fn chunk(chunk: &'a Chunk) -> Self {
        Self { kind: &chunk.kind, visitor: &chunk.visitor, session: &chunk.session, columns: ColumnsOf::Chunk(chunk) }
    }

    pub(super) fn columns(rows: &'a RowColumns) -> Self {
        Self { kind: &rows.kind, visitor: &rows.visitor, session: &rows.session, columns: ColumnsOf::Columns(rows) }
    }

    fn column(&self, dimension: Dimension) -> Result<&'a [u32], QueryError> {
        match self.columns {
            ColumnsOf::Chunk(chunk) => column(chunk, dimension),
            ColumnsOf::Columns(rows) => rows.column(dimension),
        }
    }
}

impl ChunkTest<'_> {
    /// Appends the rows of `block` that pass, in ascending order.
    fn select(&self, block: Range<usize>, rows: &mut Vec<u32>) {
        match self {
            Self::Always => rows.extend(block.map(|row| row as u32)),
            Self::Never => {}
            Self::Kind(kinds, wanted) => select_values(kinds, block, rows, |kind| kind == *wanted),
            Self::NotKind(kinds, other) => select_values(kinds, block, rows, |kind| kind != *other),
            Self::Codes(column, codes) => select_values(column, block, rows, |code| codes.contains(code)),
            Self::All(tests) => {
                if let Some((first, rest)) = tests.split_first() {
                    first.select(block, rows);
                    for test in rest {
                        test.keep(rows);
                    }
                }
            }
            Self::Any(_) | Self::Not(_) => {
                rows.extend(block.map(|row| row as u32));
                self.keep(rows);
            }
        }
    }

    /// Removes the rows that do not pass.
    fn keep(&self, rows: &mut Vec<u32>) {
        match self {
            Self::Always => {}
            Self::Never => rows.clear(),
            Self::Kind(kinds, wanted) => keep_values(kinds, rows, |kind| kind == *wanted),
            Self::NotKind(kinds, other) => keep_values(kinds, rows, |kind| kind != *other),
            Self::Codes(column, codes) => keep_values(column, rows, |code| codes.contains(code)),
            Self::All(tests) => {
                for test in tests {
                    test.keep(rows);
                }
            }
            Self::Any(tests) => {
                let mut passed = Vec::new();
                for test in tests {
                    let mut passing = rows.clone();
                    test.keep(&mut passing);
                    // What passed one alternative is not asked again.
                    let mut next = passing.iter().peekable();
                    rows.retain(|row| next.next_if_eq(&row).is_none());
                    passed.append(&mut passing);
                }
                passed.sort_unstable();
                *rows = passed;
            }
            Self::Not(test) => {
                let mut passing = rows.clone();
                test.keep(&mut passing);
                let mut next = passing.iter().peekable();
                rows.retain(|row| next.next_if_eq(&row).is_none());
            }
        }
    }
}

/// Appends those of the rows in `block` whose value in `column` passes, in ascending order.
#[inline]
fn select_values<T: Copy>(column: &[T], block: Range<usize>, rows: &mut Vec<u32>, passes: impl Fn(T) -> bool) {
    // Every row is written, and kept by moving on: no branch to guess wrong.
    let start = rows.len();
    rows.resize(start + block.len(), 0);
    let mut kept = start;
    for (&value, row) in column[block.clone()].iter().zip(block.start as u32..) {
        rows[kept] = row;
        kept += usize::from(passes(value));
    }
    rows.truncate(kept);
}

/// Keeps those of `rows` whose value in `column` passes.
#[inline]
fn keep_values<T: Copy>(column: &[T], rows: &mut Vec<u32>, passes: impl Fn(T) -> bool) {
    let mut kept = 0;
    for position in 0..rows.len() {
        let row = rows[position];
        rows[kept] = row;
        kept += usize::from(passes(column[row as usize]));
    }
    rows.truncate(kept);
}

/// The selected rows of one chunk.
#[derive(Debug)]
pub(super) struct Selected<'a> {
    /// The position of the chunk in the dataset.
    pub(super) number: u32,
    pub(super) chunk: &'a Chunk,
    pub(super) rows: RowSet,
}

/// Rows in ascending order.
#[derive(Debug)]
pub(super) enum RowSet {
    Between(Range<usize>),
    Listed(Vec<u32>),
}

impl<'a> Selected<'a> {
    pub(super) fn len(&self) -> usize {
        match &self.rows {
            RowSet::Between(rows) => rows.len(),
            RowSet::Listed(rows) => rows.len(),
        }
    }

    /// The row at `position` of the selection.
    pub(super) fn row(&self, position: usize) -> usize {
        match &self.rows {
            RowSet::Between(rows) => rows.start + position,
            RowSet::Listed(rows) => rows[position] as usize,
        }
    }

    /// The positions of the selected rows whose time is in `range`.
    pub(super) fn positions_between(&self, range: TimeRange) -> Range<usize> {
        let bounds = self.chunk.rows_between(range.from, range.to);
        match &self.rows {
            RowSet::Between(rows) => {
                let clamp = |row: usize| row.clamp(rows.start, rows.end) - rows.start;
                clamp(bounds.start)..clamp(bounds.end)
            }
            RowSet::Listed(rows) => {
                let position = |bound: usize| rows.partition_point(|&row| (row as usize) < bound);
                position(bounds.start)..position(bounds.end)
            }
        }
    }

    /// The values of a column in the selected rows.
    pub(super) fn values<T: Copy>(&self, column: &'a [T]) -> Cow<'a, [T]> {
        match &self.rows {
            RowSet::Between(rows) => Cow::Borrowed(&column[rows.clone()]),
            RowSet::Listed(rows) => Cow::Owned(rows.iter().map(|&row| column[row as usize]).collect()),
        }
    }

    /// When all rows of a time are selected, where the visitors of those at `positions` are: at the first positions, and in
    /// the parts of sessions at the second.
    pub(super) fn visitor_ranges(&self, positions: Range<usize>) -> Option<(Range<usize>, Range<usize>)> {
        let RowSet::Between(all) = &self.rows else { return None };
        let (rows, parts) = self.chunk.visitor_ranges(all.start + positions.start..all.start + positions.end);
        Some((rows.start - all.start..rows.end - all.start, parts))
    }

    /// Codes of all visitors of the selected rows and of no others, some several times.
    pub(super) fn visitors(&self) -> [Cow<'a, [u32]>; 2] {
        let visitor = self.visitor();
        match (visitor, self.visitor_ranges(0..self.len())) {
            (Cow::Borrowed(visitor), Some((rows, parts))) => {
                [Cow::Borrowed(&visitor[rows]), Cow::Borrowed(&self.chunk.session_index().visitor[parts])]
            }
            (visitor, _) => [visitor, Cow::default()],
        }
    }

    pub(super) fn visitor(&self) -> Cow<'a, [u32]> {
        self.values(&self.chunk.visitor)
    }

    pub(super) fn session(&self) -> Cow<'a, [u32]> {
        self.values(&self.chunk.session)
    }

    /// The sessions of the selected rows at `positions`.
    pub(super) fn session_at(&self, positions: Range<usize>) -> Cow<'a, [u32]> {
        match &self.rows {
            RowSet::Between(rows) => {
                Cow::Borrowed(&self.chunk.session[rows.start + positions.start..rows.start + positions.end])
            }
            RowSet::Listed(rows) => rows[positions].iter().map(|&row| self.chunk.session[row as usize]).collect(),
        }
    }

    pub(super) fn kind(&self) -> Cow<'a, [u8]> {
        self.values(&self.chunk.kind)
    }
}
