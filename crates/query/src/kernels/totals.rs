//! Totals of more rows than anyone wants to hold at one time.
//!
//! The kernels of a [`crate::Dataset`] want codes that are dense over the whole website, and so its rows together. Totals
//! need less: rows are given section by section, each with codes of its own, and what two sections have in common
//! (visitors, and sessions that reach from one into the other) is found by id. Without a filter a section that lies in one
//! bucket whole needs no rows at all, only its [`Digest`].
//!
//! With a filter each section is a dataset of its own, and the rows of sessions that are in several sections make one more:
//! every session is whole in one of them, and totals of sets of sessions add up, but for the visitors.

use std::ops::ControlFlow;

use zenovay_domain::{Dimension, Event, EventKind, Interval, SessionId, TimeRange, Timestamp, VisitorId, Zone};

use super::counted::CountedSessions;
use super::ids::{DistinctIds, SharedIds};
use super::pageviews::count_pageviews;
use super::select::Scan;
use super::sessions::add_session;
use super::work::{Bits, Work};
use crate::derived::SessionMetrics;
use crate::needs::{has_visitor_level, session_window};
use crate::{
    Answer, Budget, Chunk, CodeSet, Dataset, DatasetBuilder, Derived, Dictionary, Filter, ListRef, MetricValues,
    NO_ROW, Overview, Query, QueryError, Question, Series, SeriesPoint, SessionPart,
};

/// The rows of one website in one place, such as a row group of a file. Codes are dense within the section and mean
/// nothing outside it.
#[derive(Debug, Clone, Default)]
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

/// Where a section lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    pub fn range_of(spans: &[Self]) -> Option<TimeRange> {
        let (first, last) = (spans.iter().map(|span| span.min_at).min()?, spans.iter().map(|span| span.max_at).max()?);
        Some(TimeRange::new(Timestamp::from_millis(first), Timestamp::from_millis(last).plus_millis(1)))
    }
}

/// What a section has of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    fn part(&self) -> SessionPart {
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

    fn merge(&mut self, other: &Self) {
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

/// Whether the answer to `query` is made of totals that can be computed section by section. A condition on visitors needs
/// all rows of the range before it chooses the first one.
pub fn is_totals(query: &Query) -> bool {
    matches!(query.question, Question::Overview | Question::Series { .. }) && !has_visitor_level(&query.filter)
}

/// The buckets whose totals are the answer to `query`, for which [`is_totals`] holds. `span` is where the events of the
/// website are, or more than that; `None` when there are none.
///
/// # Errors
/// When there are more buckets than the budget has memory or time for.
pub fn totals_buckets(query: &Query, span: Option<TimeRange>, budget: &Budget) -> Result<Vec<TimeRange>, QueryError> {
    match &query.question {
        Question::Series { interval, zone } => series_buckets(query.range, span, *interval, zone, &Work::new(budget)),
        _ => Ok(vec![query.range]),
    }
}

/// The answer to `query` that `totals` of the buckets of [`totals_buckets`] are.
pub fn totals_answer(query: &Query, buckets: &[TimeRange], totals: Vec<MetricValues>) -> Answer {
    match query.question {
        Question::Series { .. } => {
            let point = |(&bucket, metrics)| SeriesPoint { bucket, metrics };
            Answer::Series(series_of(query.range, buckets.iter().zip(totals).map(point).collect()))
        }
        _ => Answer::Overview(Overview { metrics: totals.first().copied().unwrap_or_default() }),
    }
}

/// Buckets between two looks at the budget.
const BUCKETS_PER_LOOK: usize = 1_024;

/// The buckets of a series, among which are all with an event. Where `range` has no end they reach as far as `span`.
pub(super) fn series_buckets(
    range: TimeRange,
    span: Option<TimeRange>,
    interval: Interval,
    zone: &Zone,
    work: &Work<'_>,
) -> Result<Vec<TimeRange>, QueryError> {
    let range = match span {
        Some(span) => TimeRange::new(
            if range.from == Timestamp::MIN { span.from } else { range.from },
            if range.to == Timestamp::MAX { span.to } else { range.to },
        ),
        None if range.from == Timestamp::MIN || range.to == Timestamp::MAX => return Ok(Vec::new()),
        None => range,
    };
    // Before the buckets are made: a range of ten thousand years has many hours.
    let count = usize::try_from(range.duration_ms() / interval.shortest_ms()).unwrap_or(usize::MAX);
    work.reserve::<(TimeRange, SeriesPoint)>(count.saturating_add(2))?;
    let (mut buckets, mut look) = (Vec::new(), Ok(()));
    zone.each_bucket(range, interval, |bucket| {
        if buckets.len().is_multiple_of(BUCKETS_PER_LOOK) {
            look = work.check();
        }
        buckets.push(bucket);
        if look.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    look.map(|()| buckets)
}

/// The series of `points` over `range`: where that has no end, from the first point with an event to the last.
pub(super) fn series_of(range: TimeRange, mut points: Vec<SeriesPoint>) -> Series {
    let has_events = |point: &SeriesPoint| point.metrics.events > 0;
    if range.to == Timestamp::MAX {
        points.truncate(points.iter().rposition(has_events).map_or(0, |last| last + 1));
    }
    if range.from == Timestamp::MIN {
        points.drain(..points.iter().position(has_events).unwrap_or(points.len()));
    }
    Series { points }
}

/// The first of two steps to totals: which sessions reach from one section into another.
pub struct TotalsJoin<'a> {
    totals: Totals<'a>,
    shared: SharedIds,
}

impl<'a> TotalsJoin<'a> {
    /// For the totals that `query` asks for, in the buckets of [`totals_buckets`], from sections with these `spans` in the
    /// order of the arrival of their rows. They must hold all rows of the website in [`crate::engine::time_needed`].
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn new(
        query: &'a Query,
        buckets: &[TimeRange],
        spans: &[Span],
        budget: &'a Budget,
    ) -> Result<Self, QueryError> {
        let range = query.range;
        let work = Work::new(budget);
        work.reserve::<Bucket>(buckets.len())?;
        let mut buckets: Vec<Bucket> = buckets
            .iter()
            .map(|bucket| Bucket {
                // At the ends only what is inside the range counts.
                range: TimeRange::new(bucket.from.max(range.from), bucket.to.min(range.to)),
                metrics: MetricValues::default(),
                sections: 0,
                rows: 0,
                visitors: None,
            })
            .collect();
        let mut spans = spans.to_vec();
        if query.filter != Filter::default() {
            spans.push(EVERYWHERE);
        }
        for span in &spans {
            let touched = touched(&buckets, span);
            for bucket in &mut buckets[touched] {
                bucket.sections += 1;
                bucket.rows += span.rows;
            }
        }
        let rows = spans.iter().map(|span| span.rows).sum();
        let split = vec![Vec::new(); spans.len()];
        Ok(Self {
            totals: Totals {
                work,
                query,
                buckets,
                spans,
                split,
                open: Vec::new(),
                seen_open: Vec::new(),
                rest: DatasetBuilder::default(),
            },
            shared: SharedIds::new(rows),
        })
    }

    /// Whether section `number` lies in one bucket whole and is not filtered, so that its digest can stand for it.
    pub fn is_whole(&self, number: usize) -> bool {
        self.totals.query.filter == Filter::default() && self.totals.bucket_holding(number).is_some()
    }

    /// Adds the sessions of section `number` that may be in other sections, each once.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn add_sessions(&mut self, number: usize, session_ids: &[u64]) -> Result<(), QueryError> {
        self.totals.work.check()?;
        self.shared.add(&self.totals.work, number as u32, session_ids)
    }

    /// Goes on to the second step.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn join(self) -> Result<Totals<'a>, QueryError> {
        let mut totals = self.totals;
        totals.split = self.shared.find(&totals.work, totals.spans.len())?;
        Ok(totals)
    }
}

/// The second of two steps to totals: every section, once and in order, by its rows or by its digest.
pub struct Totals<'a> {
    work: Work<'a>,
    query: &'a Query,
    buckets: Vec<Bucket>,
    spans: Vec<Span>,
    split: Vec<Vec<u32>>,
    open: Vec<SessionShare>,
    /// These sessions' ids, and the positions of buckets in which a section has an event of them.
    seen_open: Vec<(u64, u32)>,
    /// With a filter, the rows of sessions that are in several sections.
    rest: DatasetBuilder,
}

/// Where the rows are that [`Totals::rest`] gathers.
const EVERYWHERE: Span = Span { min_at: i64::MIN, max_at: i64::MAX, rows: 0 };

struct Bucket {
    range: TimeRange,
    metrics: MetricValues,
    /// Sections to come that touch it.
    sections: usize,
    /// Their rows.
    rows: usize,
    /// Its visitors so far, once there was a section and others are to come.
    visitors: Option<DistinctIds>,
}

impl Bucket {
    /// Counts `count` distinct visitors of the section that comes next.
    fn add_visitors(
        &mut self,
        work: &Work<'_>,
        count: usize,
        ids: impl Iterator<Item = u64>,
    ) -> Result<(), QueryError> {
        if self.sections == 1 && self.visitors.is_none() {
            // No other section to have visitors in common with.
            self.metrics.visitors = count as u64;
            return Ok(());
        }
        if count > 0 {
            let expected = self.rows;
            self.visitors.get_or_insert_with(|| DistinctIds::new(expected)).extend(work, count, ids)?;
        }
        Ok(())
    }

    /// Notes that a section was added.
    fn end_section(&mut self, work: &Work<'_>) -> Result<(), QueryError> {
        self.sections -= 1;
        if self.sections == 0
            && let Some(visitors) = self.visitors.take()
        {
            self.metrics.visitors = visitors.count(work)?;
        }
        Ok(())
    }
}

/// The positions of the buckets with an instant of `span`.
fn touched(buckets: &[Bucket], span: &Span) -> std::ops::Range<usize> {
    let from = buckets.partition_point(|bucket| bucket.range.to.as_millis() <= span.min_at);
    let to = buckets.partition_point(|bucket| bucket.range.from.as_millis() <= span.max_at);
    from..to.max(from)
}

impl<'a> Totals<'a> {
    fn bucket_holding(&self, number: usize) -> Option<usize> {
        let span = &self.spans[number];
        let touched = touched(&self.buckets, span);
        let range = self.buckets.get(touched.start)?.range;
        let holds = range.from.as_millis() <= span.min_at && span.max_at < range.to.as_millis();
        holds.then_some(touched.start)
    }

    /// Of the sessions of section `number`, in the order of [`TotalsJoin::add_sessions`], the positions of those that are in
    /// other sections, too.
    pub fn split(&self, number: usize) -> &[u32] {
        &self.split[number]
    }

    /// Adds section `number` by its rows. `split` are the codes of its sessions that are in other sections, too.
    ///
    /// # Errors
    /// When the budget is used up.
    ///
    /// # Panics
    /// When codes of the section do not have an id.
    pub fn add_rows(&mut self, number: usize, section: &Section, split: &[u32]) -> Result<(), QueryError> {
        if self.query.filter != Filter::default() {
            return self.add_filtered_rows(number, section, split);
        }
        let Self { work, buckets, spans, open, seen_open, .. } = self;
        work.check()?;
        let Section { chunk, visitor_ids, session_ids, .. } = section;
        let mut is_split = Bits::new(session_ids.len());
        is_split.insert_all(split);
        let mut shares = vec![SessionMetrics::default(); session_ids.len()];
        for part in chunk.sessions.iter() {
            if is_split.contains(part.session) {
                open.push(SessionShare::new(part, session_ids));
            } else {
                shares[part.session as usize] = SessionMetrics::of(part);
            }
        }
        work.reserve::<SessionShare>(split.len())?;
        let touched = touched(buckets, &spans[number]);
        let mut seen = vec![0u64; visitor_ids.len().div_ceil(64)];
        let mut seen_sessions = Bits::new(session_ids.len());
        for (position, bucket) in touched.clone().zip(&mut buckets[touched]) {
            let open_before = seen_open.len();
            let rows = chunk.rows_between(bucket.range.from, bucket.range.to);
            bucket.metrics.events += rows.len() as u64;
            bucket.metrics.pageviews += count_pageviews(&chunk.kind[rows.clone()]);
            seen.fill(0);
            for &visitor in &chunk.visitor[rows.clone()] {
                seen[visitor as usize / 64] |= 1 << (visitor % 64);
            }
            seen_sessions.for_each_distinct([&chunk.session[rows]], |session| {
                // Nothing for one that is open.
                shares[session as usize].add_to(&mut bucket.metrics);
                if is_split.contains(session) {
                    seen_open.push((session_ids[session as usize], position as u32));
                }
            });
            work.reserve::<(u64, u32)>(seen_open.len() - open_before)?;
            let count = seen.iter().map(|word| word.count_ones() as usize).sum();
            let ids = ones(&seen).map(|code| visitor_ids[code]);
            bucket.add_visitors(work, count, ids)?;
            bucket.end_section(work)?;
        }
        Ok(())
    }

    /// Adds section `number` by its digest. The sessions of [`Totals::split`] must be open in the digest, and the section
    /// must be one for which [`TotalsJoin::is_whole`] holds. `visitor_ids` are `digest.metrics.visitors` different ids.
    ///
    /// # Errors
    /// When the budget is used up.
    ///
    /// # Panics
    /// When the section does not lie in one bucket.
    pub fn add_digest(
        &mut self,
        number: usize,
        digest: &Digest,
        visitor_ids: impl Iterator<Item = u64>,
    ) -> Result<(), QueryError> {
        self.work.check()?;
        let holding = self.bucket_holding(number);
        assert!(holding.is_some(), "a digest counts for one bucket");
        let position = holding.unwrap_or(0);
        let bucket = &mut self.buckets[position];
        let visitors = digest.metrics.visitors as usize;
        bucket.metrics = MetricValues {
            visitors: bucket.metrics.visitors,
            pageviews: bucket.metrics.pageviews + digest.metrics.pageviews,
            events: bucket.metrics.events + digest.metrics.events,
            sessions: bucket.metrics.sessions + digest.metrics.sessions,
            bounces: bucket.metrics.bounces + digest.metrics.bounces,
            duration_ms: bucket.metrics.duration_ms + digest.metrics.duration_ms,
            value_score: bucket.metrics.value_score + digest.metrics.value_score,
        };
        bucket.add_visitors(&self.work, visitors, visitor_ids)?;
        bucket.end_section(&self.work)?;
        self.open.extend_from_slice(&digest.open);
        let with_events = digest.open.iter().filter(|share| share.first_at != i64::MAX);
        self.seen_open.extend(with_events.map(|share| (share.session, position as u32)));
        self.work.reserve::<(SessionShare, (u64, u32))>(digest.open.len())
    }

    /// The same with a filter: rows of sessions that are in other sections, too, are put aside.
    fn add_filtered_rows(&mut self, number: usize, section: &Section, split: &[u32]) -> Result<(), QueryError> {
        let mut is_split = Bits::new(section.session_ids.len());
        is_split.insert_all(split);
        let own;
        let chunk = match split {
            [] => &section.chunk,
            _ => {
                let taken = section.give_rows(&is_split, &mut self.rest);
                self.work.reserve::<[u32; Dimension::COUNT + 8]>(taken)?;
                own = section.chunk.without(&is_split);
                &own
            }
        };
        let dataset = Dataset {
            chunks: &[chunk],
            dictionaries: &section.dictionaries,
            visitor_ids: ListRef::from(&section.visitor_ids[..]),
            session_ids: ListRef::from(&section.session_ids[..]),
            split_sessions: CodeSet::EMPTY,
        };
        self.add_filtered(number, &dataset)
    }

    /// Adds section `number` by rows that are one chunk at most, in which every session is whole.
    fn add_filtered(&mut self, number: usize, dataset: &Dataset<'_>) -> Result<(), QueryError> {
        let Self { work, query, buckets, spans, .. } = self;
        // Given back when the section is done.
        let own = work.anew();
        let scan = Scan::new(dataset, query.range, session_window(query.range), &own);
        let test = scan.compile(&query.filter)?;
        let selected = scan.select(&test)?;
        let mut counted = CountedSessions::new(&scan)?;
        let columns = selected.first().map(|selected| (selected, selected.visitor(), selected.kind()));
        let mut seen = vec![0u64; dataset.visitor_ids.len().div_ceil(64)];
        let touched = touched(buckets, &spans[number]);
        for bucket in &mut buckets[touched] {
            seen.fill(0);
            if let Some((selected, visitor, kind)) = &columns {
                let rows = selected.positions_between(bucket.range);
                bucket.metrics.events += rows.len() as u64;
                bucket.metrics.pageviews += count_pageviews(&kind[rows.clone()]);
                counted.add([&*selected.session_at(rows.clone())], &mut bucket.metrics);
                for &visitor in &visitor[rows] {
                    seen[visitor as usize / 64] |= 1 << (visitor % 64);
                }
            }
            let count = seen.iter().map(|word| word.count_ones() as usize).sum();
            bucket.add_visitors(work, count, ones(&seen).map(|code| dataset.visitor_ids[code]))?;
            bucket.end_section(work)?;
        }
        Ok(())
    }

    /// The totals of each bucket.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn finish(mut self) -> Result<Vec<MetricValues>, QueryError> {
        if self.query.filter != Filter::default() {
            let rest = std::mem::take(&mut self.rest).finish();
            self.add_filtered(self.spans.len() - 1, &rest.dataset(&rest.chunks()))?;
        }
        let Self { mut buckets, mut open, mut seen_open, .. } = self;
        open.sort_unstable_by_key(|share| share.session);
        seen_open.sort_unstable();
        seen_open.dedup();
        let mut seen = seen_open.into_iter().peekable();
        for shares in open.chunk_by(|a, b| a.session == b.session) {
            let mut whole = shares[0];
            shares[1..].iter().for_each(|share| whole.merge(share));
            while let Some((_, bucket)) = seen.next_if(|(session, _)| *session == whole.session) {
                add_session(&mut buckets[bucket as usize].metrics, &whole.part());
            }
        }
        Ok(buckets.into_iter().map(|bucket| bucket.metrics).collect())
    }
}

impl Section {
    /// Gives the rows of the sessions `which` to `rest` and tells how many they are. Of heartbeats one a session is enough:
    /// it has the last activity and the engagement of all rows.
    fn give_rows(&self, which: &Bits, rest: &mut DatasetBuilder) -> usize {
        let Self { chunk, dictionaries, visitor_ids, session_ids } = self;
        let event = |kind, at, visitor: u32, session: u32| {
            let ids = (VisitorId(visitor_ids[visitor as usize]), SessionId(session_ids[session as usize]));
            Event::new(kind, Timestamp::from_millis(at), ids.0, ids.1)
        };
        let mut taken = 0;
        for row in (0..chunk.at.len()).filter(|&row| which.contains(chunk.session[row])) {
            let kind = EventKind::from_code(chunk.kind[row]).unwrap_or(EventKind::Custom);
            let mut event = event(kind, chunk.at[row], chunk.visitor[row], chunk.session[row]);
            for &dimension in Dimension::ALL {
                if let Some(column) = &chunk.columns[dimension as usize] {
                    event.dimensions.set(dimension, &dictionaries[dimension as usize].texts[column[row] as usize]);
                }
            }
            rest.push(&event);
            taken += 1;
        }
        for part in chunk.sessions.iter().filter(|part| which.contains(part.session)) {
            let mut beat = event(EventKind::Heartbeat, part.last_at, part.visitor, part.session);
            beat.engagement_ms = u32::try_from(part.engagement_ms).unwrap_or(u32::MAX);
            rest.push(&beat);
            taken += 1;
        }
        taken
    }
}

impl Chunk {
    /// The chunk without the sessions `which`.
    fn without(&self, which: &Bits) -> Self {
        let kept: Vec<usize> = (0..self.at.len()).filter(|&row| !which.contains(self.session[row])).collect();
        let mut new_rows = vec![NO_ROW; self.at.len()];
        for (&row, new) in kept.iter().zip(0..) {
            new_rows[row] = new;
        }
        let new_row = |row: u32| new_rows.get(row as usize).copied().unwrap_or(NO_ROW);
        let pick = |column: &[u32]| kept.iter().map(|&row| column[row]).collect();
        let parts = self.sessions.iter().filter(|part| !which.contains(part.session));
        Self {
            at: kept.iter().map(|&row| self.at[row]).collect(),
            kind: kept.iter().map(|&row| self.kind[row]).collect(),
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
        }
    }
}

/// The positions of the bits that are set.
fn ones(words: &[u64]) -> impl Iterator<Item = usize> {
    words.iter().enumerate().flat_map(|(number, &word)| {
        std::iter::successors((word != 0).then_some(word), |rest| {
            let rest = rest & (rest - 1);
            (rest != 0).then_some(rest)
        })
        .map(move |rest| 64 * number + rest.trailing_zeros() as usize)
    })
}
