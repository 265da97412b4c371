//! Totals of more rows than the cache shall hold: from digests where they can stand for rows, and from the other rows one
//! row group at a time.

use std::borrow::Cow;
use std::sync::Arc;

use zenovay_domain::{Dimension, SESSION_MAX_MS, TimeRange, WebsiteId};
use zenovay_query::engine::{
    ColumnSet, Dictionary, Section, Span, TotalsJoin, columns_needed, time_needed, totals_answer, totals_buckets,
};
use zenovay_query::{Answer, Budget, Query, QueryError};

use crate::head::{BLOCK_ROWS, Generation};
use crate::intern::IdSet;
use crate::rows::{BaseRows, Ids, LoadedChunk};
use crate::segment::{Coded, ColumnId, Segment, SegmentError, SiteRange, StoredDigest, Values, damaged};
use crate::state::State;

/// About what a row takes while its row group is read.
const ROW_BYTES: usize = 96;

/// Where the rows of a section are.
enum SectionSource<'a> {
    Group(&'a Segment, &'a SiteRange),
    /// Read already: what the head had when the query began, because what comes later must not meet sections that were
    /// joined without it; and what is not hidden of a row group of which some is.
    Rows(Box<Section>),
}

/// The answer to `query`, for which [`zenovay_query::engine::is_totals`] holds.
pub(crate) fn totals(state: &State, website: WebsiteId, query: &Query, budget: &Budget) -> Result<Answer, QueryError> {
    let (time, columns) = (time_needed(query), columns_needed(query));
    let hidden_before = state.hidden_before(website);
    let mut sources: Vec<(SectionSource<'_>, Span)> = Vec::new();
    for (segment, range) in state.ranges_in(website, time) {
        if range.min_at < hidden_before {
            check_memory(segment, range, columns, budget)?;
            let (section, span) = read_group(segment, range, columns, hidden_before).map_err(damaged)?;
            sources.extend(near(section, span, time));
        } else {
            let span = Span { min_at: range.min_at, max_at: range.max_at, rows: range.rows as usize };
            sources.push((SectionSource::Group(segment, range), span));
        }
    }
    for generation in state.generations() {
        sources.extend(read_head(generation, website, time, columns, hidden_before, budget)?);
    }
    // A digest counts sessions that hidden rows may have a part of.
    let has_digest = |range: &SiteRange| range.min_at >= hidden_before.saturating_add(SESSION_MAX_MS);
    let spans: Vec<Span> = sources.iter().map(|(_, span)| *span).collect();
    let buckets = totals_buckets(query, Span::range_of(&spans), budget)?;
    // Of a section whose sessions no other source can have, the digest alone knows which of them to join.
    let is_isolated: Vec<bool> = (0..sources.len())
        .map(|number| match &sources[number].0 {
            SectionSource::Group(_, range) => has_digest(range) && is_isolated(&sources, number),
            SectionSource::Rows(_) => false,
        })
        .collect();
    let mut join = TotalsJoin::new(query, &buckets, &spans, budget)?;
    let mut sections = Vec::with_capacity(sources.len());
    for (number, (place, _)) in sources.into_iter().enumerate() {
        let mut isolated = None;
        match &place {
            SectionSource::Rows(section) => join.add_sessions(number, &section.session_ids)?,
            SectionSource::Group(segment, range) => {
                if is_isolated[number] {
                    isolated = segment.read_digest(range.group).map_err(damaged)?;
                }
                let ids = match &isolated {
                    Some(known) => open_ids(known),
                    None => segment.read_ids(range.group, ColumnId::Session).map_err(damaged)?,
                };
                join.add_sessions(number, &ids)?;
            }
        }
        sections.push((place, isolated, join.is_whole(number)));
    }

    let mut totals = join.join()?;
    budget.expect_parts(sections.len() as u64);
    for (number, (place, isolated, is_whole)) in sections.into_iter().enumerate() {
        let split = totals.split(number).to_vec();
        match place {
            SectionSource::Rows(section) => totals.add_rows(number, &section, &split)?,
            SectionSource::Group(segment, range) => {
                let split_codes = |section: &Section| match &isolated {
                    Some(known) => codes_of(known, &split, section),
                    None => split.clone(),
                };
                let digest = match &isolated {
                    _ if !is_whole || !has_digest(range) => None,
                    Some(known) => Some(known.clone()),
                    None => digest_of_all(segment, range.group, &split).map_err(damaged)?,
                };
                match digest {
                    Some(StoredDigest { digest, heartbeat_only }) => {
                        let ids = segment.read_ids(range.group, ColumnId::Visitor).map_err(damaged)?;
                        let mut heartbeat_only = heartbeat_only.into_iter().peekable();
                        let active_visitors =
                            (0..).zip(ids).filter(|(code, _)| heartbeat_only.next_if_eq(code).is_none());
                        totals.add_digest(number, &digest, active_visitors.map(|(_, id)| id))?;
                    }
                    None => {
                        check_memory(segment, range, columns, budget)?;
                        let (section, _) = read_group(segment, range, columns, hidden_before).map_err(damaged)?;
                        totals.add_rows(number, &section, &split_codes(&section))?;
                    }
                }
            }
        }
        budget.part_done();
    }
    Ok(totals_answer(query, &buckets, totals.finish()?))
}

fn open_ids(known: &StoredDigest) -> Vec<u64> {
    known.digest.open.iter().map(|share| share.session).collect()
}

/// The codes in `section` of the open sessions at the positions `split`.
fn codes_of(known: &StoredDigest, split: &[u32], section: &Section) -> Vec<u32> {
    let split: IdSet = split.iter().map(|&position| known.digest.open[position as usize].session).collect();
    (0..).zip(&section.session_ids).filter(|(_, id)| split.contains(id)).map(|(code, _)| code).collect()
}

/// Whether no other source has rows near enough to be of a session in section `number`. Other row groups of the same
/// segment do not count: the digest knows them.
fn is_isolated(sources: &[(SectionSource<'_>, Span)], number: usize) -> bool {
    let (SectionSource::Group(segment, _), span) = &sources[number] else { return false };
    sources.iter().all(|(place, other)| {
        let is_same = matches!(place, SectionSource::Group(other, _) if other.meta.id == segment.meta.id);
        is_same
            || other.min_at > span.max_at.saturating_add(SESSION_MAX_MS)
            || other.max_at < span.min_at.saturating_sub(SESSION_MAX_MS)
    })
}

/// The digest of a row group of whose sessions `split` are in other sections, when it knows all of these. Its open sessions
/// are among them: their other row groups are sections too, because no session reaches farther than the time needed.
fn digest_of_all(segment: &Segment, group: u32, split: &[u32]) -> Result<Option<StoredDigest>, SegmentError> {
    let digest = segment.read_digest(group)?;
    Ok(digest.filter(|known| known.digest.open.len() == split.len()))
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

/// The rows of `range` that are not before `since`.
#[expect(clippy::cast_possible_truncation, reason = "a row group has fewer than 2^32 strings")]
fn read_group(
    segment: &Segment,
    range: &SiteRange,
    columns: ColumnSet,
    since: i64,
) -> Result<(Section, Span), SegmentError> {
    let rows = range.start as usize..(range.start + range.rows) as usize;
    let (base, Ids { visitors, sessions }) = segment.read_base(range.group, rows.clone())?;
    let mut made = base.into_chunk(since);
    let mut dictionaries = Box::<[Dictionary; Dimension::COUNT]>::default();
    for dimension in columns.iter() {
        let Coded { mut codes, values } = segment.read(range.group, ColumnId::Dimension(dimension), rows.clone())?;
        let Values::Texts(texts) = values else { return Err(segment.error("texts are numbers")) };
        let mut dictionary = vec![Arc::from("")];
        // In a dataset the empty string is the first; in a file it is where it was met first.
        let names: Vec<u32> = (0..)
            .take(texts.len())
            .map(|code| match texts.get(code) {
                "" => 0,
                text => {
                    dictionary.push(Arc::from(&*dimension.normal(text)));
                    dictionary.len() as u32 - 1
                }
            })
            .collect();
        dictionaries[dimension as usize].texts = dictionary.into();
        codes.iter_mut().for_each(|code| *code = names[*code as usize]);
        made.set_column(dimension, &codes);
    }
    let span = span_of(&made);
    Ok((Section { chunk: made.chunk, dictionaries, visitor_ids: visitors, session_ids: sessions }, span))
}

fn span_of(made: &LoadedChunk) -> Span {
    Span { min_at: made.min_at, max_at: made.max_at, rows: made.chunk.at.len().max(made.chunk.sessions.len()) }
}

/// A section that was read, unless none of its rows is in `time`.
fn near(section: Section, span: Span, time: TimeRange) -> Option<(SectionSource<'static>, Span)> {
    let is_near = span.rows > 0 && span.max_at >= time.from.as_millis() && span.min_at < time.to.as_millis();
    is_near.then(|| (SectionSource::Rows(Box::new(section)), span))
}

/// The rows of `website` in a generation of the head that are not before `since`; `None` when they are not in `time`.
fn read_head(
    generation: &Generation,
    website: WebsiteId,
    time: TimeRange,
    columns: ColumnSet,
    since: i64,
    budget: &Budget,
) -> Result<Option<(SectionSource<'static>, Span)>, QueryError> {
    let Some(site) = generation.site(website) else { return Ok(None) };
    budget.check_memory(site.lock().len() * ROW_BYTES)?;
    let mut base = BaseRows::default();
    let mut codes: Vec<(Dimension, Vec<u32>)> = columns.iter().map(|dimension| (dimension, Vec::new())).collect();
    let mut dictionaries = Box::<[Dictionary; Dimension::COUNT]>::default();
    let ids = loop {
        // Under the lock a block at a time: the writer may be waiting.
        let head = site.lock();
        let rows = base.at.len()..(base.at.len() + BLOCK_ROWS).min(head.len());
        base.at.extend_from_slice(&head.at[rows.clone()]);
        base.kind.extend_from_slice(&head.kind[rows.clone()]);
        base.visitor.extend_from_slice(&head.visitor[rows.clone()]);
        base.session.extend_from_slice(&head.session[rows.clone()]);
        base.engagement_ms.extend_from_slice(&head.engagement_ms[rows.clone()]);
        for (dimension, codes) in &mut codes {
            codes.extend(head.dimension(*dimension, rows.clone()));
        }
        if rows.end == head.len() {
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
    let span = span_of(&made);
    let section = Section { chunk: made.chunk, dictionaries, visitor_ids: ids.visitors, session_ids: ids.sessions };
    Ok(near(section, span, time))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use zenovay_domain::{Event, EventKind, ManualClock, SessionId, TimeRange, Timestamp, VisitorId};
    use zenovay_query::{Answer, Question, oracle};

    use super::*;
    use crate::log::{Log, Opened, Purpose};
    use crate::segment::SegmentMeta;
    use crate::{EmbeddedConfig, EmbeddedStore, EventStore, NewEvent};

    const MINUTE_MS: i64 = 60_000;
    const ROWS: i64 = 1_000;

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
        let store = open(dir);
        let new = |event: Event| NewEvent::new(website(), event.at, event);
        assert!(store.append(events().into_iter().map(new).collect()).wait().is_ok());
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

    /// The digests and the dictionary pages of visitors: all that totals may read when everything is in the range.
    fn read_by_totals(meta: &SegmentMeta) -> Vec<std::ops::Range<u64>> {
        let of_group = |group: &crate::segment::GroupMeta| {
            let digest = group.digest.unwrap();
            let visitors = &group.chunks[3];
            assert_eq!(meta.columns.iter().nth(3), Some(ColumnId::Visitor));
            [
                digest.offset..digest.offset + u64::from(digest.bytes),
                visitors.offset..visitors.offset + u64::from(visitors.dictionary_bytes),
            ]
        };
        meta.groups.iter().flat_map(of_group).collect()
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

    /// Sabotage: leave the comparison of the checksum out of `Segment::bytes`.
    #[test]
    fn a_changed_byte_of_a_digest_is_an_error_and_never_another_number() {
        let dir = tempfile::tempdir().unwrap();
        let meta = fill(dir.path());
        let all = overview(0, ROWS * MINUTE_MS);
        for place in read_by_totals(&meta) {
            for byte in [place.start, (place.start + place.end) / 2, place.end - 1] {
                let copy = tempfile::tempdir().unwrap();
                std::fs::create_dir(copy.path().join("segments")).unwrap();
                for name in ["events.db", "events.db-wal"] {
                    std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
                }
                let file = format!("segments/{}", crate::segment::file_name(meta.id));
                std::fs::copy(dir.path().join(&file), copy.path().join(&file)).unwrap();
                damage_all_but(copy.path(), &[0..byte, byte + 1..meta.bytes]);
                assert!(matches!(ask(copy.path(), &all), Err(QueryError::Damaged(_))), "byte {byte}");
                assert_eq!(crate::verify(copy.path()).unwrap().damages.len(), 1, "byte {byte}");
            }
        }
    }
}
