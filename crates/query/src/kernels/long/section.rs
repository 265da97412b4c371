//! Sections: the rows of one website in pieces, and what is known of a piece without its rows.

use zenovay_domain::{Dimension, TimeRange, Timestamp};

use super::super::sessions::add_session;
use super::{VisitNeeds, VisitTimes, Visits};
use crate::{Budget, Chunk, ColumnSet, Dictionary, MetricValues, NO_ROW, QueryError, SessionPart};

/// The rows of one website in one place, such as a row group of a file. Codes are dense within the section and mean
/// nothing outside it.
#[derive(Debug, Clone, Default)]
#[expect(clippy::exhaustive_structs, reason = "stores make it, member by member")]
pub struct Section {
    /// The rows, with the columns of [`crate::engine::columns_needed`].
    pub chunk: Chunk,
    /// The strings of the codes of these columns.
    pub dictionaries: Box<[Dictionary; Dimension::COUNT]>,
    /// The id of each visitor code, each once.
    pub visitor_ids: Vec<u64>,
    /// The id of each session code, each once.
    pub session_ids: Vec<u64>,
}

/// What a question reads of the rows of a section, when it asks for little of them.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "stores read it, member by member")]
pub struct RowNeeds<'a> {
    /// Of which rows, by their positions, ascending; of all of them when it is `None`.
    pub rows: Option<&'a [u32]>,
    /// [`RowColumns::columns`].
    pub columns: ColumnSet,
    /// Whether it needs [`RowColumns::kind`].
    pub kinds: bool,
    /// Whether it needs [`RowColumns::visitor`].
    pub visitors: bool,
    /// Whether it needs [`RowColumns::session`].
    pub sessions: bool,
    /// Whether it needs [`Section::session_ids`], and these.
    pub session_ids: bool,
    /// Whether it needs [`Section::visitor_ids`].
    pub visitor_ids: bool,
}

/// Single columns of the rows of a section, in their order, heartbeats among them. Lists have a number for each row, and none when
/// they are not needed.
#[derive(Debug, Clone, Default)]
#[expect(clippy::exhaustive_structs, reason = "stores make it, member by member")]
pub struct RowColumns {
    /// How many rows there are.
    pub rows: usize,
    /// The kind of each row, as `EventKind as u8`.
    pub kind: Vec<u8>,
    /// The visitor code of each row.
    pub visitor: Vec<u32>,
    /// The session code of each row.
    pub session: Vec<u32>,
    /// The codes of each row.
    pub columns: Vec<(Dimension, Vec<u32>)>,
    /// The dictionaries and the ids, and no rows.
    pub section: Section,
}

impl RowColumns {
    /// The codes of `dimension`.
    pub(in crate::kernels) fn column(&self, dimension: Dimension) -> Result<&[u32], QueryError> {
        let column = self.columns.iter().find(|(own, _)| *own == dimension);
        column
            .map(|(_, codes)| &codes[..])
            .ok_or_else(|| QueryError::damaged(format!("the column {dimension} was not loaded")))
    }

    /// What it takes in memory, bytes.
    pub(super) fn bytes(&self) -> usize {
        let columns = self.columns.iter().map(|(_, codes)| size_of_val(&**codes)).sum::<usize>();
        let lists = self.kind.len() + size_of_val(&*self.visitor) + size_of_val(&*self.session);
        lists + columns + self.section.bytes()
    }

    /// Keeps the rows at `positions` alone.
    pub(super) fn keep(&mut self, positions: &[u32]) {
        fn keep<T: Copy>(list: &mut Vec<T>, positions: &[u32]) {
            if !list.is_empty() {
                *list = positions.iter().map(|&position| list[position as usize]).collect();
            }
        }
        self.rows = positions.len();
        keep(&mut self.kind, positions);
        keep(&mut self.visitor, positions);
        keep(&mut self.session, positions);
        self.columns.iter_mut().for_each(|(_, codes)| keep(codes, positions));
    }

    /// Adds the lists, the dictionaries and the ids of `other`, which has others of the same rows.
    pub(super) fn add(&mut self, other: Self) {
        fn add<T>(list: &mut Vec<T>, other: Vec<T>) {
            if list.is_empty() {
                *list = other;
            }
        }
        let Self { rows: _, kind, visitor, session, columns, section } = other;
        add(&mut self.kind, kind);
        add(&mut self.visitor, visitor);
        add(&mut self.session, session);
        add(&mut self.section.visitor_ids, section.visitor_ids);
        add(&mut self.section.session_ids, section.session_ids);
        let mut dictionaries = section.dictionaries;
        for (dimension, codes) in columns {
            self.section.dictionaries[dimension as usize] = std::mem::take(&mut dictionaries[dimension as usize]);
            self.columns.push((dimension, codes));
        }
    }
}

/// Where a section lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "stores make it, member by member")]
pub struct Span {
    /// The earliest time of its rows, heartbeats included, milliseconds.
    pub min_at: i64,
    /// The latest, milliseconds.
    pub max_at: i64,
    /// How many rows it has.
    pub rows: usize,
}

impl Span {
    /// From the first to the last row of sections with these spans; `None` without any.
    pub(super) fn range_of(spans: &[Self]) -> Option<TimeRange> {
        let (first, last) = (spans.iter().map(|span| span.min_at).min()?, spans.iter().map(|span| span.max_at).max()?);
        Some(TimeRange::new(Timestamp::from_millis(first), Timestamp::from_millis(last).plus_millis(1)))
    }
}

/// What is known of a section without its rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_structs, reason = "stores make it, member by member")]
pub struct SectionDigest {
    /// What totals need.
    pub digest: Digest,
    /// Positions in [`Sections::visitor_ids`] of visitors without an event, ascending.
    pub heartbeat_only: Vec<u32>,
    /// Of each of [`Digest::open`] its position among the [`Visits`] and when events of it were; empty when it is not known.
    pub open_places: Vec<(u32, VisitTimes)>,
}

impl Section {
    /// What it takes in memory, bytes.
    pub(super) fn bytes(&self) -> usize {
        let columns = self.chunk.columns.iter().flatten().count();
        let rows = self.chunk.at.len() * (17 + 4 * columns);
        let strings = self.dictionaries.iter().flat_map(|dictionary| dictionary.texts.iter());
        let strings: usize = strings.map(|string| string.len() + 40).sum();
        rows + 2 * size_of_val(&*self.chunk.sessions)
            + 12 * self.visitor_ids.len()
            + 8 * self.session_ids.len()
            + strings
    }
}

/// What a section has of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "stores make it, member by member")]
pub struct SessionShare {
    /// The session's id.
    pub session: u64,
    /// Its first event in the section, milliseconds; `i64::MAX` without events.
    pub first_at: i64,
    /// Its last activity in the section, heartbeats included, milliseconds.
    pub last_at: i64,
    /// Its pageviews in the section.
    pub pageviews: u32,
    /// Its other events in the section, without heartbeats.
    pub other_events: u32,
    /// The engagement reported in the section, milliseconds.
    pub engagement_ms: u64,
}

/// What totals need to know of a section that lies in a bucket whole, beside the ids of its visitors.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_structs, reason = "stores make it, member by member")]
pub struct Digest {
    /// The totals of the section, in which metrics of sessions leave out the open ones.
    pub metrics: MetricValues,
    /// Sessions that are in other sections, too. May hold some that are not.
    pub open: Vec<SessionShare>,
}

impl SessionShare {
    /// The share that is `part` of a chunk, in which session codes stand for `session_ids`.
    ///
    /// # Panics
    /// When the code of the part does not have an id.
    pub fn new(part: &SessionPart, session_ids: &[u64]) -> Self {
        Self {
            session: session_ids[part.session as usize],
            first_at: part.first_at,
            last_at: part.last_at,
            pageviews: part.pageviews,
            other_events: part.other_events,
            engagement_ms: part.engagement_ms,
        }
    }

    /// As far as metrics need it.
    pub(super) fn part(&self) -> SessionPart {
        SessionPart {
            session: 0,
            visitor: 0,
            first_at: self.first_at,
            last_at: self.last_at,
            first_row: NO_ROW,
            last_row: NO_ROW,
            entry_row: NO_ROW,
            exit_row: NO_ROW,
            pageviews: self.pageviews,
            other_events: self.other_events,
            engagement_ms: self.engagement_ms,
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.first_at = self.first_at.min(other.first_at);
        self.last_at = self.last_at.max(other.last_at);
        self.pageviews += other.pageviews;
        self.other_events += other.other_events;
        self.engagement_ms += other.engagement_ms;
    }
}

impl Digest {
    /// The digest of a section with events of `visitors` visitors, and with all of its sessions.
    pub fn new(
        visitors: u64,
        sessions: impl IntoIterator<Item = SessionShare>,
        is_open: impl Fn(&SessionShare) -> bool,
    ) -> Self {
        let mut digest = Self::default();
        let metrics = &mut digest.metrics;
        metrics.visitors = visitors;
        for share in sessions {
            metrics.pageviews += u64::from(share.pageviews);
            metrics.events += u64::from(share.pageviews) + u64::from(share.other_events);
            if is_open(&share) {
                digest.open.push(share);
            } else if share.first_at != i64::MAX {
                add_session(metrics, &share.part());
            }
        }
        digest
    }
}

/// All rows of one website in [`crate::engine::time_needed`], in sections that are read when they are needed and as often as
/// they are.
pub trait Sections {
    /// Where each section lies, in the order of the arrival of their rows.
    fn spans(&self) -> &[Span];

    /// The same sections for another thread, at the same time as these and others; `None` when one thread alone reads them. Asked after
    /// [`Sections::codes_below`], which it need not be asked again.
    fn fork(&self) -> Option<Box<dyn Sections + Send + '_>> {
        None
    }

    /// The ids of the sessions of section `number`, or of those of them that may be in other sections, too. Other ids among them
    /// change no answer.
    ///
    /// # Errors
    /// When they cannot be read.
    fn session_ids(&self, number: usize) -> Result<Vec<u64>, QueryError>;

    /// The ids of the visitors of section `number`, each once. Other ids among them change no answer.
    ///
    /// # Errors
    /// When they cannot be read.
    fn visitor_ids(&self, number: usize) -> Result<Vec<u64>, QueryError>;

    /// Above the codes that visitors have, the same in all sections and each visitor another; `None` when not all of them have one.
    /// Asked once, before [`Sections::visitor_codes`].
    ///
    /// # Errors
    /// When they cannot be read, or `budget` is used up.
    fn codes_below(&self, budget: &Budget) -> Result<Option<u32>, QueryError> {
        let _ = budget;
        Ok(None)
    }

    /// The codes of [`Sections::visitor_ids`], when there are codes: those of ids that are not in `Sections` may be anything.
    ///
    /// # Errors
    /// When they cannot be read.
    fn visitor_codes(&self, number: usize) -> Result<Vec<u32>, QueryError> {
        let _ = number;
        Ok(Vec::new())
    }

    /// What is known of section `number` without its rows, when something is. With a digest its visitors are exactly those of
    /// [`Sections::visitor_ids`].
    ///
    /// # Errors
    /// When it cannot be read.
    fn digest(&self, number: usize) -> Result<Option<SectionDigest>, QueryError>;

    /// The sessions of section `number` without their rows, when they are known, with what is needed of them: of columns those that are
    /// of sessions, and of paths the entry and the exit page. `None` also when a session has several values in one of the columns.
    ///
    /// # Errors
    /// When they cannot be read, or `budget` does not have the memory for them.
    fn visits(&self, number: usize, needs: VisitNeeds, budget: &Budget) -> Result<Option<Visits>, QueryError>;

    /// Single columns of the rows of section `number`, when they can be had without the others.
    ///
    /// # Errors
    /// When they cannot be read, or `budget` does not have the memory for them.
    fn columns(&self, number: usize, needs: RowNeeds<'_>, budget: &Budget) -> Result<Option<RowColumns>, QueryError>;

    /// The positions of the rows of section `number` that have a value in `dimension`, ascending, and of [`RowColumns`] this column alone,
    /// when they can be had without other columns.
    ///
    /// # Errors
    /// When they cannot be read, or `budget` does not have the memory for them.
    fn rows_with(
        &self,
        number: usize,
        dimension: Dimension,
        budget: &Budget,
    ) -> Result<Option<(Vec<u32>, RowColumns)>, QueryError>;

    /// The rows of section `number` with `columns`.
    ///
    /// # Errors
    /// When they cannot be read, or `budget` does not have the memory for them.
    fn rows(&self, number: usize, columns: ColumnSet, budget: &Budget) -> Result<Section, QueryError>;
}
