//! Totals of more rows than the cache shall hold: from digests where they can stand for rows, and from the other rows one
//! row group at a time.

use std::collections::HashSet;

use zenovay_domain::{SESSION_MAX_MS, TimeRange, WebsiteId};
use zenovay_query::kernels::{Section, Span, TotalsJoin, totals_answer, totals_buckets};
use zenovay_query::{Answer, Budget, Query, QueryError, time_needed};

use crate::head::{BLOCK_ROWS, Generation};
use crate::rows::{BaseRows, Ids};
use crate::segment::{ColumnId, Segment, SegmentError, SiteRange, StoredDigest};
use crate::state::State;
use crate::view::{damaged, ranges_in};

/// About what a row takes while its row group is read.
const ROW_BYTES: usize = 96;

/// Where the rows of a section are.
enum Place<'a> {
    Group(&'a Segment, &'a SiteRange),
    /// What the head had when the query began: what comes later must not meet sections that were joined without it.
    Head(Section),
}

/// The answer to `query`, for which [`zenovay_query::kernels::is_totals`] holds.
pub(crate) fn totals(state: &State, website: WebsiteId, query: &Query, budget: &Budget) -> Result<Answer, QueryError> {
    let time = time_needed(query);
    let buckets = totals_buckets(query, budget)?;
    let mut places: Vec<(Place<'_>, Span)> = ranges_in(state, website, time)
        .map(|(segment, range)| {
            let span = Span { min_at: range.min_at, max_at: range.max_at, rows: range.rows as usize };
            (Place::Group(segment, range), span)
        })
        .collect();
    for generation in state.generations() {
        budget.check_memory(generation.rows() as usize * ROW_BYTES)?;
        places.extend(read_head(generation, website, time));
    }
    let spans: Vec<Span> = places.iter().map(|(_, span)| *span).collect();
    let mut join = TotalsJoin::new(query.range, &buckets, &spans, budget)?;

    // The digests of sections whose sessions no other source can have: they alone know which of them to join.
    let mut lonely: Vec<Option<StoredDigest>> = Vec::with_capacity(places.len());
    let mut is_whole: Vec<bool> = Vec::with_capacity(places.len());
    for (number, (place, _)) in places.iter().enumerate() {
        let mut digest = None;
        match place {
            Place::Head(section) => join.add_sessions(number, &section.session_ids)?,
            Place::Group(segment, range) => {
                if is_lonely(&places, number) {
                    digest = segment.read_digest(range.group).map_err(damaged)?;
                }
                let ids = match &digest {
                    Some(known) => open_ids(known),
                    None => segment.read_ids(range.group, ColumnId::Session).map_err(damaged)?,
                };
                join.add_sessions(number, &ids)?;
            }
        }
        is_whole.push(join.is_whole(number));
        lonely.push(digest);
    }

    let mut totals = join.join()?;
    for (number, (place, span)) in places.iter().enumerate() {
        let split = totals.split(number).to_vec();
        match place {
            Place::Head(section) => totals.add_rows(number, section, &split)?,
            Place::Group(segment, range) => {
                let known = lonely[number].take();
                if is_whole[number]
                    && let Some(StoredDigest { digest, silent }) = match &known {
                        Some(known) => Some(known.clone()),
                        None => digest_of_all(segment, range.group, &split).map_err(damaged)?,
                    }
                {
                    let ids = segment.read_ids(range.group, ColumnId::Visitor).map_err(damaged)?;
                    let mut silent = silent.into_iter().peekable();
                    let loud = (0..).zip(ids).filter(|(code, _)| silent.next_if_eq(code).is_none());
                    totals.add_digest(number, &digest, loud.map(|(_, id)| id))?;
                    continue;
                }
                budget.check_memory(span.rows * ROW_BYTES)?;
                let section = read_group(segment, range).map_err(damaged)?;
                match &known {
                    Some(known) => totals.add_rows(number, &section, &codes_of(known, &split, &section))?,
                    None => totals.add_rows(number, &section, &split)?,
                }
            }
        }
    }
    Ok(totals_answer(&query.question, &buckets, totals.finish()))
}

fn open_ids(known: &StoredDigest) -> Vec<u64> {
    known.digest.open.iter().map(|share| share.session).collect()
}

/// The codes in `section` of the open sessions at the positions `split`.
fn codes_of(known: &StoredDigest, split: &[u32], section: &Section) -> Vec<u32> {
    let split: HashSet<u64> = split.iter().map(|&position| known.digest.open[position as usize].session).collect();
    (0..).zip(&section.session_ids).filter(|(_, id)| split.contains(id)).map(|(code, _)| code).collect()
}

/// Whether no other source has rows near enough to be of a session in section `number`. Other row groups of the same
/// segment do not count: the digest knows them.
fn is_lonely(places: &[(Place<'_>, Span)], number: usize) -> bool {
    let (Place::Group(segment, _), span) = &places[number] else { return false };
    places.iter().all(|(place, other)| {
        let is_same = matches!(place, Place::Group(other, _) if other.meta.id == segment.meta.id);
        is_same
            || other.min_at > span.max_at.saturating_add(SESSION_MAX_MS)
            || other.max_at < span.min_at.saturating_sub(SESSION_MAX_MS)
    })
}

/// The digest of a row group, when the sessions that are in other sections, which have the codes `split`, are all open in
/// it.
fn digest_of_all(segment: &Segment, group: u32, split: &[u32]) -> Result<Option<StoredDigest>, SegmentError> {
    let Some(digest) = segment.read_digest(group)? else { return Ok(None) };
    if split.len() > digest.digest.open.len() {
        return Ok(None);
    }
    let open: HashSet<u64> = open_ids(&digest).into_iter().collect();
    let ids = if split.is_empty() { Vec::new() } else { segment.read_ids(group, ColumnId::Session)? };
    Ok(split.iter().all(|&code| open.contains(&ids[code as usize])).then_some(digest))
}

fn read_group(segment: &Segment, range: &SiteRange) -> Result<Section, SegmentError> {
    let rows = range.start as usize..(range.start + range.rows) as usize;
    let (base, Ids { visitors, sessions }) = BaseRows::read(segment, range.group, rows)?;
    Ok(Section { chunk: base.into_rows().chunk, visitor_ids: visitors, session_ids: sessions })
}

/// The rows of `website` in a generation of the head; `None` when they are not in `time`.
fn read_head(generation: &Generation, website: WebsiteId, time: TimeRange) -> Option<(Place<'static>, Span)> {
    let site = generation.site(website)?;
    let mut base = BaseRows::default();
    let ids = loop {
        // Under the lock a block at a time: the writer may be waiting.
        let head = site.lock();
        let rows = base.at.len()..(base.at.len() + BLOCK_ROWS).min(head.len());
        base.at.extend_from_slice(&head.at[rows.clone()]);
        base.kind.extend_from_slice(&head.kind[rows.clone()]);
        base.visitor.extend_from_slice(&head.visitor[rows.clone()]);
        base.session.extend_from_slice(&head.session[rows.clone()]);
        base.engagement_ms.extend_from_slice(&head.engagement_ms[rows.clone()]);
        if rows.end == head.len() {
            break Ids { visitors: head.visitors.ids().to_vec(), sessions: head.sessions.ids().to_vec() };
        }
    };
    let rows = base.at.len();
    let made = base.into_rows();
    let span = Span { min_at: made.min_at, max_at: made.max_at, rows };
    let is_near = rows > 0 && span.max_at >= time.from.as_millis() && span.min_at < time.to.as_millis();
    let section = Section { chunk: made.chunk, visitor_ids: ids.visitors, session_ids: ids.sessions };
    is_near.then_some((Place::Head(section), span))
}
