//! Sessions that may still go on, read once at start.

use std::collections::HashMap;

use zenovay_domain::{Dimension, EventFlags, EventKind, SESSION_MAX_MS, SessionId, Timestamp, VisitorId, WebsiteId};

use crate::RecentSession;
use crate::head::SiteHead;
use crate::segment::{Coded, ColumnId, Rows, Segment, SegmentError, SiteRange, Values};
use crate::state::State;

/// What is read of the first event: what another visit is told by.
const TEXTS: [Dimension; 5] =
    [Dimension::UtmSource, Dimension::UtmMedium, Dimension::UtmCampaign, Dimension::Referrer, Dimension::Channel];

/// What is known of a session.
struct Found {
    visitor: u64,
    last_at: i64,
    /// `None`: only heartbeats so far.
    first: Option<First>,
}

/// The first event of a session.
struct First {
    at: i64,
    flags: EventFlags,
    texts: [String; TEXTS.len()],
}

type Sessions = HashMap<(WebsiteId, u64), Found>;

/// See [`crate::EventStore::recent_sessions`]. Sorted by website, visitor and session.
pub(crate) fn recent_sessions(state: &State, since: Timestamp) -> Vec<RecentSession> {
    let since_ms = since.as_millis();
    // A session that is active now may have begun, with what led to it, this long ago.
    let begun_ms = since.plus_millis(-SESSION_MAX_MS).as_millis();
    let visible = |website, at: i64| at >= state.hidden_before(website);
    let mut sessions = Sessions::new();
    for segment in &state.segments {
        let mut ranges: Vec<&SiteRange> = segment.meta.sites.iter().filter(|range| range.max_at >= begun_ms).collect();
        // Websites that share a row group are read together.
        ranges.sort_by_key(|range| (range.group, range.start));
        for ranges in ranges.chunk_by(|a, b| a.group == b.group) {
            if let Err(error) = read_group(segment, ranges, begun_ms, &visible, &mut sessions) {
                tracing::error!(%error, "sessions that were in it begin anew");
            }
        }
    }
    for generation in state.generations() {
        for website in generation.websites() {
            if let Some(site) = generation.site(website) {
                read_head(website, &site.lock(), begun_ms.max(state.hidden_before(website)), &mut sessions);
            }
        }
    }
    with_events(sessions, since_ms)
}

fn with_events(sessions: Sessions, since_ms: i64) -> Vec<RecentSession> {
    let recent = sessions.into_iter().filter(|(_, found)| found.last_at >= since_ms);
    let mut recent: Vec<RecentSession> = recent
        .filter_map(|((website, session), found)| {
            let First { at, flags, texts: [source, medium, campaign, referrer, channel] } = found.first?;
            Some(RecentSession {
                website,
                visitor: VisitorId(found.visitor),
                session: SessionId(session),
                flags,
                began_at: Timestamp::from_millis(at),
                last_at: Timestamp::from_millis(found.last_at),
                campaign: [source, medium, campaign].join("\u{1f}"),
                referrer,
                channel,
            })
        })
        .collect();
    recent.sort_by_key(|session| (session.website, session.visitor, session.session));
    recent
}

fn note(
    sessions: &mut Sessions,
    key: (WebsiteId, u64),
    visitor: u64,
    at: i64,
    event: Option<(u32, impl FnOnce() -> [String; TEXTS.len()])>,
) {
    let found = sessions.entry(key).or_insert(Found { visitor, last_at: at, first: None });
    found.last_at = found.last_at.max(at);
    if let Some((flags, texts)) = event
        && found.first.as_ref().is_none_or(|first| at < first.at)
    {
        found.first = Some(First { at, flags: EventFlags::from_bits((flags & 0xff) as u8), texts: texts() });
        found.visitor = visitor;
    }
}

/// Reads `ranges` of one row group.
fn read_group(
    segment: &Segment,
    ranges: &[&SiteRange],
    begun_ms: i64,
    visible: &dyn Fn(WebsiteId, i64) -> bool,
    sessions: &mut Sessions,
) -> Result<(), SegmentError> {
    let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else { return Ok(()) };
    let (group, mut start) = (first.group, first.start as usize);
    let end = (last.start + last.rows) as usize;
    let mut at = segment.read_at(group, start..end)?;
    // Of a website with a row group of its own, only the last pages are unpacked.
    if ranges.len() == 1 {
        let old = at.partition_point(|&at| at < begun_ms);
        at.drain(..old);
        start += old;
    }
    let rows = start..end;
    let kinds = segment.read_kinds(group, &Rows::all(rows.clone()))?;
    let visitors = segment.read(group, ColumnId::Visitor, rows.clone())?;
    let ids = segment.read(group, ColumnId::Session, rows.clone())?;
    let flags = segment.read(group, ColumnId::Flags, rows.clone())?;
    let mut columns = Vec::new();
    for dimension in TEXTS {
        columns.push(segment.read(group, ColumnId::Dimension(dimension), rows.clone())?);
    }
    let (Values::Ids(visitor_ids), Values::Ids(session_ids)) = (&visitors.values, &ids.values) else {
        return Err(segment.error("ids are not numbers"));
    };
    let Values::Numbers(flag_bits) = &flags.values else { return Err(segment.error("flags are not numbers")) };
    for range in ranges {
        let rows = (range.start as usize).saturating_sub(start)..(range.start + range.rows) as usize - start;
        for row in rows.filter(|&row| at[row] >= begun_ms && visible(range.website, at[row])) {
            let texts = || {
                std::array::from_fn(|place| match columns.get(place) {
                    Some(Coded { codes, values: Values::Texts(texts) }) => texts.get(codes[row]).to_owned(),
                    _ => String::new(),
                })
            };
            let key = (range.website, session_ids[ids.codes[row] as usize]);
            let visitor = visitor_ids[visitors.codes[row] as usize];
            let is_event = kinds[row] != EventKind::Heartbeat as u8;
            let event = is_event.then_some((flag_bits[flags.codes[row] as usize], texts));
            note(sessions, key, visitor, at[row], event);
        }
    }
    Ok(())
}

fn read_head(website: WebsiteId, head: &SiteHead, begun_ms: i64, sessions: &mut Sessions) {
    for row in (0..head.len()).filter(|&row| head.at[row] >= begun_ms) {
        let texts = || {
            TEXTS.map(|dimension| {
                let code = head.dimensions[dimension as usize].get(row).copied().unwrap_or(0);
                head.texts[dimension as usize].texts()[code as usize].to_string()
            })
        };
        let key = (website, head.sessions.ids()[head.session[row] as usize]);
        let visitor = head.visitors.ids()[head.visitor[row] as usize];
        let is_event = head.kind[row] != EventKind::Heartbeat as u8;
        note(sessions, key, visitor, head.at[row], is_event.then_some((u32::from(head.flags[row]), texts)));
    }
}
