//! Totals section by section.
//!
//! Without a filter a section that lies in one bucket whole needs no rows at all, only its [`Digest`].

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::ops::{ControlFlow, Range};

use zenovay_domain::{Interval, SESSION_MAX_MS, TimeRange, Timestamp, Zone};

use super::super::counted::CountedSessions;
use super::super::newcomers::inside;
use super::super::pageviews::count_pageviews;
use super::super::sessions::add_session;
use super::super::work::{Bits, Work};
use super::codes::{ALONE, NOT_COUNTED, Part, Roles};
use super::pairs::{DistinctPairs, PARTS};
use super::threads::Queue;
use super::visits::SplitVisit;
use super::walk::{Counted, IdMap, Long, Piece, Rest, Rows, codes_of};
use super::{Digest, Section, SectionDigest, SessionShare, Span, VisitNeeds, Visits};
use crate::derived::SessionMetrics;
use crate::needs::columns_needed;
use crate::{Answer, MetricValues, Overview, Query, QueryError, Question, Series, SeriesPoint};

/// Buckets between two looks at the budget.
const BUCKETS_PER_LOOK: usize = 1_024;

/// The buckets of a series, among which are all with an event. Where `range` has no end they reach as far as `span`.
pub(in crate::kernels) fn series_buckets(
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
pub(in crate::kernels) fn series_of(range: TimeRange, mut points: Vec<SeriesPoint>) -> Series {
    let has_events = |point: &SeriesPoint| point.metrics.events > 0;
    if range.to == Timestamp::MAX {
        points.truncate(points.iter().rposition(has_events).map_or(0, |last| last + 1));
    }
    if range.from == Timestamp::MIN {
        points.drain(..points.iter().position(has_events).unwrap_or(points.len()));
    }
    Series { points }
}

/// The buckets that the answer to `query` has a number for each of. `span` is where the events of the website are, or more than
/// that; `None` when there are none.
pub(in crate::kernels) fn buckets_of(
    query: &Query,
    span: Option<TimeRange>,
    work: &Work<'_>,
) -> Result<Vec<TimeRange>, QueryError> {
    match &query.question {
        Question::Series { interval, zone } | Question::NewVisitors { interval: Some(interval), zone } => {
            series_buckets(query.range, span, *interval, zone, work)
        }
        Question::Overview | Question::NewVisitors { interval: None, .. } => Ok(vec![query.range]),
        _ => Ok(Vec::new()),
    }
}

/// The answer that `totals` of the buckets of [`buckets_of`] are.
pub(super) fn answer_of(query: &Query, buckets: &[TimeRange], totals: &[MetricValues]) -> Answer {
    match query.question {
        Question::Series { .. } => {
            let point = |(&bucket, &metrics)| SeriesPoint { bucket, metrics };
            Answer::Series(series_of(query.range, buckets.iter().zip(totals).map(point).collect()))
        }
        _ => Answer::Overview(Overview { metrics: totals.first().copied().unwrap_or_default() }),
    }
}

/// The positions of the buckets with an instant of `span`.
fn touched(buckets: &[TimeRange], span: &Span) -> Range<usize> {
    let from = buckets.partition_point(|bucket| bucket.to.as_millis() <= span.min_at);
    let to = buckets.partition_point(|bucket| bucket.from.as_millis() <= span.max_at);
    from..to.max(from)
}

/// The buckets of totals of all rows, without a filter.
pub(super) struct Unfiltered {
    /// What of each bucket is in the range.
    inside: Vec<TimeRange>,
    /// How many sections touch each bucket.
    touching: Vec<u32>,
    part: Part,
}

/// What one thread counts of them.
struct Counting<'l> {
    of: &'l Unfiltered,
    metrics: Vec<MetricValues>,
    /// The shares of sessions that are in several sections, until there are all of a session.
    open: Vec<SessionShare>,
    /// These sessions' ids, and the positions of buckets in which a section has an event of them.
    seen_open: Vec<(u64, u32)>,
    pairs: DistinctPairs,
    is_first_pass: bool,
    /// Whether no other thread counts.
    is_alone: bool,
}

impl Unfiltered {
    pub(super) fn new(long: &Long<'_>, buckets: &[TimeRange]) -> Self {
        // At the ends only what is inside the range counts.
        let inside = inside(buckets, long.query.range);
        let mut touching = vec![0; buckets.len()];
        for span in long.source.spans() {
            touching[touched(&inside, span)].iter_mut().for_each(|count| *count += 1);
        }
        Self { touching, inside, part: Part::new(0..PARTS, long.stored_below.is_none(), Vec::new()) }
    }

    /// The totals of each bucket, counted on several threads.
    pub(super) fn totals(&self, long: &Long<'_>, threads: NonZeroUsize) -> Result<Vec<MetricValues>, QueryError> {
        let counting = |_| Counting {
            of: self,
            metrics: vec![MetricValues::default(); self.inside.len()],
            open: Vec::new(),
            seen_open: Vec::new(),
            pairs: DistinctPairs::new(long.codes_below()),
            is_first_pass: true,
            is_alone: threads == NonZeroUsize::MIN,
        };
        let mut counts: Vec<Counting<'_>> = (0..threads.get()).map(counting).collect();
        loop {
            let queue = Queue::new(&long.by_time, long.source.spans(), false);
            long.budget.expect_parts(long.by_time.len() as u64);
            counts = long.on_threads(counts, |long, mut counting| {
                counting.pass(long, &queue).inspect_err(|_| queue.stop())?;
                Ok(counting)
            })?;
            let (first, others) = counts.split_at_mut(1);
            others.iter_mut().for_each(|other| first[0].take_sessions_of(other));
            first[0].merge_open(long, i64::MAX)?;
            let mut pairs: Vec<DistinctPairs> = Vec::with_capacity(counts.len());
            for counting in &mut counts {
                counting.is_first_pass = false;
                pairs.push(std::mem::replace(&mut counting.pairs, DistinctPairs::new(0)));
            }
            let is_over = !DistinctPairs::next_pass_of(&mut pairs, &vec![None; counts.len() - 1], long.budget)?;
            counts.iter_mut().zip(pairs).for_each(|(counting, pairs)| counting.pairs = pairs);
            if is_over {
                break;
            }
        }
        let Counting { mut metrics, pairs, .. } = counts.swap_remove(0);
        for (metrics, bucket) in metrics.iter_mut().zip(0..) {
            metrics.visitors = pairs.of_group(bucket);
        }
        Ok(metrics)
    }
}

impl Counting<'_> {
    fn pass(&mut self, long: &Long<'_>, queue: &Queue<'_>) -> Result<(), QueryError> {
        while let Some(number) = queue.take() {
            long.budget.check()?;
            match self.digest_for(long, number)? {
                Some((bucket, digest)) => self.add_digest(long, number, bucket, &digest)?,
                None if self.add_visits(long, number)? => {}
                None => self.add_rows(long, number)?,
            }
            // Of sessions and visitors another thread may have a part: it is found out at the end.
            let ahead = if self.is_alone { queue.done(number, Rest::default(), 0).ahead.earliest } else { i64::MIN };
            self.merge_open(long, ahead)?;
            let (inside, is_alone) = (&self.of.inside, self.is_alone);
            long.fit(&mut self.pairs, |bucket| is_alone && inside[bucket as usize].to.as_millis() <= ahead)?;
            long.budget.part_done();
        }
        Ok(())
    }

    /// Takes what another thread counted, but for visitors.
    fn take_sessions_of(&mut self, other: &mut Self) {
        for (metrics, other) in self.metrics.iter_mut().zip(&mut other.metrics) {
            metrics.add(&std::mem::take(other));
        }
        self.open.append(&mut other.open);
        self.seen_open.append(&mut other.seen_open);
    }

    /// The digest of a section that lies in one bucket whole, when it knows which sessions are in others, too.
    fn digest_for(&self, long: &Long<'_>, number: usize) -> Result<Option<(usize, SectionDigest)>, QueryError> {
        let span = &long.source.spans()[number];
        let touched = touched(&self.of.inside, span);
        let Some(range) = self.of.inside.get(touched.start) else { return Ok(None) };
        if span.min_at < range.from.as_millis() || span.max_at >= range.to.as_millis() {
            return Ok(None);
        }
        let Some(digest) = long.source.digest(number)? else { return Ok(None) };
        let split = long.split_of(number);
        if !split.is_empty() {
            let open: HashSet<u64> = digest.digest.open.iter().map(|share| share.session).collect();
            if !split.iter().all(|id| open.contains(id)) {
                return Ok(None);
            }
        }
        Ok(Some((touched.start, digest)))
    }

    fn add_digest(
        &mut self,
        long: &Long<'_>,
        number: usize,
        bucket: usize,
        known: &SectionDigest,
    ) -> Result<(), QueryError> {
        let Digest { metrics, open } = &known.digest;
        if self.is_first_pass {
            let totals = &mut self.metrics[bucket];
            totals.pageviews += metrics.pageviews;
            totals.events += metrics.events;
            totals.add_sessions(metrics);
            self.open.extend_from_slice(open);
            let with_events = open.iter().filter(|share| share.first_at != i64::MAX);
            self.seen_open.extend(with_events.map(|share| (share.session, bucket as u32)));
        }
        if self.of.touching[bucket] == 1 {
            if self.is_first_pass {
                self.pairs.count_of_group(bucket as u32, metrics.visitors);
            }
            return Ok(());
        }
        let mut codes = long.codes_of_section(number, &self.of.part)?;
        for &visitor in &known.heartbeat_only {
            if let Some(code) = codes.get_mut(visitor as usize) {
                *code = NOT_COUNTED;
            }
        }
        if known.heartbeat_only.is_empty() && self.pairs.add_all_of(bucket as u32, &codes) {
            return Ok(());
        }
        self.add_visitors(bucket, metrics.visitors, codes.into_iter());
        Ok(())
    }

    /// Counts `count` visitors of a bucket, each of whom comes once from a section.
    fn add_visitors(&mut self, bucket: usize, count: u64, codes: impl Iterator<Item = u32>) {
        let is_only_one = self.of.touching[bucket] == 1;
        if is_only_one && self.of.part.is_about_all() {
            self.pairs.count_of_group(bucket as u32, if self.is_first_pass { count } else { 0 });
            return;
        }
        let mut alone = 0;
        self.pairs.add_each(codes.filter_map(|code| {
            let is_alone = code != NOT_COUNTED && (code == ALONE || is_only_one);
            alone += u64::from(is_alone);
            (code != NOT_COUNTED && !is_alone).then_some((bucket as u32, code))
        }));
        if self.is_first_pass {
            self.pairs.count_of_group(bucket as u32, alone);
        }
    }

    /// Counts a section by its sessions, when they are known and each lies in one bucket whole.
    fn add_visits(&mut self, long: &Long<'_>, number: usize) -> Result<bool, QueryError> {
        let mut needs = VisitNeeds { starts: true, metrics: true, ..VisitNeeds::default() };
        let Some(mut counted) = long.visits_with_split(number, needs)? else { return Ok(false) };
        let mut by_bucket = self.by_bucket(long, number, &counted.visits);
        if by_bucket.is_none() {
            // Heartbeats may be all that reaches over an end.
            drop(counted);
            needs.times = true;
            let Some(with_times) = long.visits_with_split(number, needs)? else { return Ok(false) };
            counted = with_times;
            by_bucket = self.by_bucket(long, number, &counted.visits);
        }
        let Some(by_bucket) = by_bucket else { return Ok(false) };
        let Counted { visits, split, left } = &counted;
        let work = Work::new(left);
        if self.is_first_pass {
            let mut split = &split[..];
            for (bucket, positions) in &by_bucket {
                work.check()?;
                let mut sums = visits.sums(positions.clone());
                let own = split.partition_point(|visit| (visit.position as usize) < positions.end);
                let (of_bucket, later) = split.split_at(own);
                split = later;
                for visit in of_bucket {
                    let mut open = MetricValues::default();
                    open.add_part(&visit.part);
                    sums.subtract_sessions(&open);
                    self.open.push(visit.share());
                    self.seen_open.push((visit.id, *bucket as u32));
                }
                let metrics = &mut self.metrics[*bucket];
                metrics.pageviews += sums.pageviews;
                metrics.events += sums.events;
                metrics.add_sessions(&sums);
            }
            // Heartbeats of sessions that have events elsewhere.
            self.open.extend(split.iter().map(SplitVisit::share));
        }
        let keys = long.keys(number, &visits.section)?;
        let codes = long.codes_of(&keys, &self.of.part)?;
        for (bucket, positions) in by_bucket {
            work.check()?;
            let mut seen = Bits::new(codes.len());
            seen.insert_all(&visits.visitor[positions]);
            self.add_visitors(bucket, seen.len(), seen.iter().map(|visitor| codes[visitor as usize]));
        }
        Ok(true)
    }

    /// The positions of the sessions of each bucket; `None` when one reaches over an end, as far as is known.
    fn by_bucket(&self, long: &Long<'_>, number: usize, visits: &Visits) -> Option<Vec<(usize, Range<usize>)>> {
        let Visits { first_at, last_at, times, with_events, .. } = visits;
        let last_event_at = |positions: Range<usize>| match times.is_empty() {
            true => last_at[positions].iter().copied().max(),
            false => {
                let starts = first_at[positions.clone()].iter().zip(&times[positions]);
                starts.map(|(first_at, times)| first_at.saturating_add(times.last_event_ms.into())).max()
            }
        };
        let mut by_bucket = Vec::new();
        let mut start = 0;
        for bucket in touched(&self.of.inside, &long.source.spans()[number]) {
            let to = self.of.inside[bucket].to.as_millis();
            let end = start + first_at[start..*with_events].partition_point(|&first_at| first_at < to);
            if last_event_at(start..end).is_some_and(|last_at| last_at >= to) {
                return None;
            }
            by_bucket.push((bucket, start..end));
            start = end;
        }
        Some(by_bucket)
    }

    fn add_rows(&mut self, long: &Long<'_>, number: usize) -> Result<(), QueryError> {
        let touched = touched(&self.of.inside, &long.source.spans()[number]);
        let (section, budget) = long.rows(number, columns_needed(long.query))?;
        let Section { chunk, session_ids, .. } = &section;
        let keys = long.keys(number, &section)?;
        let codes = long.codes_of(&keys, &self.of.part)?;
        let work = Work::new(&budget);
        let split = if self.is_first_pass { long.split_of(number) } else { &[] };
        let is_split = codes_of(split, session_ids);
        let mut shares = work.filled(SessionMetrics::default(), session_ids.len())?;
        if self.is_first_pass {
            for part in chunk.sessions.iter() {
                if is_split.contains(part.session) {
                    self.open.push(SessionShare::new(part, session_ids));
                } else {
                    shares[part.session as usize] = SessionMetrics::of(part);
                }
            }
        }
        let mut seen_sessions = work.bits(session_ids.len())?;
        for bucket in touched {
            work.check()?;
            let rows = chunk.rows_between(self.of.inside[bucket].from, self.of.inside[bucket].to);
            if self.is_first_pass {
                let metrics = &mut self.metrics[bucket];
                metrics.events += rows.len() as u64;
                metrics.pageviews += count_pageviews(&chunk.kind[rows.clone()]);
                seen_sessions.for_each_distinct([&chunk.session[rows.clone()]], |session| {
                    // Nothing for one that is open.
                    shares[session as usize].add_to(metrics);
                    if is_split.contains(session) {
                        self.seen_open.push((session_ids[session as usize], bucket as u32));
                    }
                });
            }
            let mut seen = Bits::new(codes.len());
            seen.insert_all(&chunk.visitor[rows]);
            self.add_visitors(bucket, seen.len(), seen.iter().map(|visitor| codes[visitor as usize]));
        }
        Ok(())
    }

    /// Counts the open sessions of which there is nothing at `ahead` or later.
    fn merge_open(&mut self, long: &Long<'_>, ahead: i64) -> Result<(), QueryError> {
        let bytes = |totals: &Self| {
            totals.open.capacity() * size_of::<SessionShare>() + totals.seen_open.capacity() * size_of::<(u64, u32)>()
        };
        if ahead != i64::MAX && bytes(self) < long.may_hold / 16 {
            return Ok(());
        }
        let mut whole: IdMap<SessionShare> = IdMap::default();
        let is_over = |share: &SessionShare| share.last_at < ahead.saturating_sub(SESSION_MAX_MS);
        for share in self.open.iter().filter(|share| is_over(share)) {
            whole.insert(share.session, *share);
        }
        // Shares that ended later may be of sessions of which one ended early enough.
        let mut merged: IdMap<SessionShare> = IdMap::default();
        for share in self.open.extract_if(.., |share| whole.contains_key(&share.session)) {
            merged.entry(share.session).and_modify(|known| known.merge(&share)).or_insert(share);
        }
        drop(whole);
        self.seen_open.sort_unstable();
        self.seen_open.dedup();
        let metrics = &mut self.metrics;
        self.seen_open.retain(|(session, bucket)| match merged.get(session) {
            Some(share) => {
                add_session(&mut metrics[*bucket as usize], &share.part());
                false
            }
            None => true,
        });
        self.open.shrink_to(2 * self.open.len());
        self.seen_open.shrink_to(2 * self.seen_open.len());
        let held = bytes(self);
        long.hold(&long.held.groups, held)
    }
}

impl Long<'_> {
    /// The totals of each bucket, of what the filter chooses.
    pub(super) fn filtered_totals(&self, part: &Part, buckets: &[TimeRange]) -> Result<Vec<MetricValues>, QueryError> {
        let inside = inside(buckets, self.query.range);
        let none = vec![MetricValues::default(); buckets.len()];
        let visit = |long: &Long<'_>,
                     piece: &Piece<'_>,
                     totals: &mut Vec<MetricValues>,
                     pairs: &mut DistinctPairs,
                     is_first_pass: bool| match piece {
            Piece::Rows(rows) => {
                let roles = Roles { codes: rows.codes, is_first_pass };
                long.add_filtered(rows, &inside, &roles, totals, pairs)
            }
            // They are not asked for by questions with several buckets.
            Piece::Visits(visits) => {
                let work = Work::new(visits.budget);
                let roles = Roles { codes: visits.codes, is_first_pass };
                let mut seen = work.bits(visits.codes.len())?;
                let chosen = visits.chosen(&long.query.filter, &work)?;
                for &position in &chosen {
                    seen.insert(visits.visits.visitor[position as usize]);
                }
                if is_first_pass {
                    let mut sums = MetricValues::default();
                    chosen.iter().for_each(|&position| sums.add_part(&visits.visits.part(position as usize)));
                    totals[0].add(&sums);
                }
                roles.add_set(pairs, &seen, 0);
                Ok(())
            }
        };
        let is_complete = |bucket: u32, ahead: i64| inside[bucket as usize].to.as_millis() <= ahead;
        self.on_one_if_need_be(|threads| {
            // Many buckets are worth being counted at once when they are complete.
            let threads = if buckets.len() > 1 { NonZeroUsize::MIN } else { threads };
            let counts = vec![none.clone(); threads.get()];
            let (counts, pairs) = self.in_passes(part, counts, visit, |_, _| None, is_complete)?;
            let mut totals = none.clone();
            for more in &counts {
                totals.iter_mut().zip(more).for_each(|(metrics, more)| metrics.add(more));
            }
            for (metrics, bucket) in totals.iter_mut().zip(0..) {
                metrics.visitors = pairs.of_group(bucket);
            }
            Ok(totals)
        })
    }

    fn add_filtered(
        &self,
        rows: &Rows<'_>,
        inside: &[TimeRange],
        roles: &Roles<'_>,
        totals: &mut [MetricValues],
        pairs: &mut DistinctPairs,
    ) -> Result<(), QueryError> {
        let is_first_pass = roles.is_first_pass;
        self.with_scan(rows, |scan| {
            let test = scan.compile_for_some(&self.query.filter)?;
            let selected = scan.select(&test)?;
            if selected.is_empty() {
                return Ok(());
            }
            let mut counted = if is_first_pass { Some(CountedSessions::new(scan)?) } else { None };
            let columns: Vec<_> =
                selected.iter().map(|selected| (selected, selected.visitor(), selected.kind())).collect();
            let times = || selected.iter().map(|selected| &selected.chunk.at);
            let span = Span {
                min_at: times().filter_map(|at| at.first()).min().copied().unwrap_or(0),
                max_at: times().filter_map(|at| at.last()).max().copied().unwrap_or(0),
                rows: 0,
            };
            for bucket in touched(inside, &span) {
                scan.work.check()?;
                let mut visitors = Bits::new(scan.dataset.visitor_ids.len());
                let mut sessions = Vec::new();
                for (selected, visitor, kind) in &columns {
                    let positions = selected.positions_between(inside[bucket]);
                    visitors.insert_all(&visitor[positions.clone()]);
                    if is_first_pass {
                        totals[bucket].events += positions.len() as u64;
                        totals[bucket].pageviews += count_pageviews(&kind[positions.clone()]);
                        sessions.push(selected.session_at(positions));
                    }
                }
                if let Some(counted) = &mut counted {
                    counted.add(sessions.iter().map(|sessions| &**sessions), &mut totals[bucket]);
                }
                roles.add_set(pairs, &visitors, bucket as u32);
            }
            Ok(())
        })
    }
}
