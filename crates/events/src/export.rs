//! Stored rows as the events that they were: all of one visitor, or all of a part of a file.

use std::ops::Range;

use zenovay_domain::{
    Dimension, Dimensions, Event, EventFlags, EventKind, SessionId, TimeRange, Timestamp, VisitorId, WebsiteId,
};
use zenovay_query::{Budget, Cause, QueryError};

use crate::ChangeError;
use crate::head::SiteHead;
use crate::segment::{Coded, ColumnId, Rows, Segment, SegmentError, SiteRange, Values, damaged};
use crate::state::State;
use crate::store::Piece;

/// What a row of a row group takes while its columns are read, about.
const ROW_BYTES: usize = 8;

/// See [`crate::EventStore::visitor_events`].
pub(crate) fn visitor_events(
    state: &State,
    website: WebsiteId,
    visitor: VisitorId,
    budget: &Budget,
) -> Result<Vec<Event>, QueryError> {
    let ever = TimeRange::new(Timestamp::from_millis(i64::MIN), Timestamp::from_millis(i64::MAX));
    let since = state.hidden_before(website);
    let mut found = Found { events: Vec::new(), bytes: 0, budget };
    for (segment, range) in state.ranges_in(website, ever) {
        budget.check()?;
        let rows = range.start as usize..(range.start + range.rows) as usize;
        let places = places_of(segment, range.group, rows.clone(), visitor).map_err(damaged)?;
        if !places.is_empty() {
            read_group(segment, range.group, &rows, &places, &|_| visitor, since, &mut found)?;
        }
    }
    for generation in state.generations() {
        if let Some(site) = generation.site(website) {
            read_head(&site.lock(), visitor, since, &mut found)?;
        }
    }
    // Stable: rows of the same time keep the order of their arrival.
    found.events.sort_by_key(|event| event.at);
    Ok(found.events)
}

struct Found<'a> {
    events: Vec<Event>,
    bytes: usize,
    budget: &'a Budget,
}

impl Found<'_> {
    fn add(&mut self, event: Event) -> Result<(), QueryError> {
        self.bytes += size_of::<Event>() + event.dimensions.text_bytes();
        self.budget.check_memory(self.bytes)?;
        self.events.push(event);
        Ok(())
    }
}

/// Which of the rows `rows` of a row group are of `visitor`, counted from the first of them.
fn places_of(
    segment: &Segment,
    group: u32,
    rows: Range<usize>,
    visitor: VisitorId,
) -> Result<Vec<usize>, SegmentError> {
    let ids = segment.read_ids(group, ColumnId::Visitor)?;
    let Some(code) = (0..).zip(&ids).find_map(|(code, id)| (*id == visitor.0).then_some(code)) else {
        return Ok(Vec::new());
    };
    let Coded { codes, .. } = segment.read(group, ColumnId::Visitor, rows)?;
    Ok((0..).zip(codes).filter(|(_, other)| *other == code).map(|(place, _)| place).collect())
}

/// The rows `rows` of a row group as they stand, with their websites.
pub(crate) fn piece(segment: &Segment, group: u32, rows: Range<usize>) -> Result<Piece, ChangeError> {
    let failed = |error: SegmentError| ChangeError::Damaged(Cause::new(error.to_string(), error));
    let Coded { codes, values: Values::Ids(ids) } =
        segment.read(group, ColumnId::Visitor, rows.clone()).map_err(failed)?
    else {
        return Err(failed(segment.error("ids are not numbers")));
    };
    let places: Vec<usize> = (0..rows.len()).collect();
    let visitor_at = |place: usize| VisitorId(ids[codes[place] as usize]);
    let mut found = Found { events: Vec::with_capacity(rows.len()), bytes: 0, budget: &Budget::unlimited() };
    read_group(segment, group, &rows, &places, &visitor_at, i64::MIN, &mut found)
        .map_err(|error| ChangeError::Damaged(Cause::new(error.to_string(), error)))?;
    let mut ranges: Vec<&SiteRange> = segment.meta.sites.iter().filter(|range| range.group == group).collect();
    ranges.sort_by_key(|range| range.start);
    let website_at = |row: usize| {
        let at = ranges.partition_point(|range| range.start as usize <= row);
        ranges[..at].last().filter(|range| row < (range.start + range.rows) as usize).map(|range| range.website)
    };
    let events: Piece =
        rows.clone().zip(found.events).filter_map(|(row, event)| Some((website_at(row)?, event))).collect();
    if events.len() < rows.len() {
        return Err(failed(segment.error("has rows of no website, or of kinds that this version does not know")));
    }
    Ok(events)
}

/// Reads one column after the other, so that no more than one is held beside the events.
fn read_group(
    segment: &Segment,
    group: u32,
    rows: &Range<usize>,
    places: &[usize],
    visitor_at: &dyn Fn(usize) -> VisitorId,
    since: i64,
    found: &mut Found<'_>,
) -> Result<(), QueryError> {
    let column_bytes = |column| -> Result<usize, QueryError> {
        Ok(rows.len() * ROW_BYTES + segment.unpacked_bytes(group, column).map_err(damaged)?)
    };
    let read = |column| -> Result<Coded, QueryError> {
        found.budget.check()?;
        found.budget.check_memory(found.bytes.saturating_add(column_bytes(column)?))?;
        segment.read(group, column, rows.clone()).map_err(damaged)
    };
    let numbers = |column| -> Result<Vec<u32>, QueryError> {
        let Coded { codes, values: Values::Numbers(numbers) } = read(column)? else {
            return Err(damaged(segment.error("a column of numbers has none")));
        };
        Ok(places.iter().map(|&place| numbers[codes[place] as usize]).collect())
    };
    let times = segment.read_at(group, rows.clone()).map_err(damaged)?;
    let kinds = segment.read_kinds(group, &Rows::all(rows.clone())).map_err(damaged)?;
    let Coded { codes: sessions, values: Values::Ids(session_ids) } = read(ColumnId::Session)? else {
        return Err(damaged(segment.error("ids are not numbers")));
    };
    let (flags, engagement) = (numbers(ColumnId::Flags)?, numbers(ColumnId::EngagementMs)?);
    let scroll = numbers(ColumnId::ScrollPercent)?;
    let mut dimensions = vec![Dimensions::default(); places.len()];
    for &dimension in Dimension::ALL {
        let Coded { codes, values: Values::Texts(texts) } = read(ColumnId::Dimension(dimension))? else {
            return Err(damaged(segment.error("strings are numbers")));
        };
        for (values, &place) in dimensions.iter_mut().zip(places) {
            let text = texts.get(codes[place]);
            if !text.is_empty() {
                values.set(dimension, &dimension.normal(text));
            }
        }
    }
    for ((number, &place), dimensions) in places.iter().enumerate().zip(dimensions) {
        let Some(kind) = EventKind::from_code(kinds[place]) else { continue };
        if times[place] >= since {
            let session = SessionId(session_ids[sessions[place] as usize]);
            let mut event = Event::new(kind, Timestamp::from_millis(times[place]), visitor_at(place), session);
            event.flags = EventFlags::from_bits(u8::try_from(flags[number]).unwrap_or_default());
            event.engagement_ms = engagement[number];
            event.scroll_percent = u8::try_from(scroll[number]).unwrap_or(u8::MAX);
            event.dimensions = dimensions;
            found.add(event)?;
        }
    }
    Ok(())
}

fn read_head(head: &SiteHead, visitor: VisitorId, since: i64, found: &mut Found<'_>) -> Result<(), QueryError> {
    let code = (0..).zip(head.visitors.ids()).find_map(|(code, id)| (*id == visitor.0).then_some(code));
    let Some(code) = code else { return Ok(()) };
    let rows = (0..head.len()).filter(|&row| head.visitor[row] == code && head.at[row] >= since);
    for row in rows {
        let Some(kind) = EventKind::from_code(head.kind[row]) else { continue };
        let mut dimensions = Dimensions::default();
        for &dimension in Dimension::ALL {
            let code = head.dimensions[dimension as usize].get(row).copied().unwrap_or(0);
            let text = &head.texts[dimension as usize].texts()[code as usize];
            if !text.is_empty() {
                dimensions.set(dimension, &dimension.normal(text));
            }
        }
        let session = SessionId(head.sessions.ids()[head.session[row] as usize]);
        let mut event = Event::new(kind, Timestamp::from_millis(head.at[row]), visitor, session);
        event.flags = EventFlags::from_bits(head.flags[row]);
        event.engagement_ms = head.engagement_ms[row];
        event.scroll_percent = head.scroll_percent[row];
        event.dimensions = dimensions;
        found.add(event)?;
    }
    Ok(())
}
