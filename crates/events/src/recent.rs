//! Sessions that may still go on, read once at start.

use std::collections::HashMap;

use zenovay_domain::{Dimension, EventKind, SESSION_MAX_MS, SessionId, Timestamp, VisitorId, WebsiteId};

use crate::RecentSession;
use crate::head::SiteHead;
use crate::rows::kinds_of;
use crate::segment::{ColumnId, Segment, SegmentError, SiteRange, Values};
use crate::state::State;

const UTM: [Dimension; 3] = [Dimension::UtmSource, Dimension::UtmMedium, Dimension::UtmCampaign];

/// What is known of a session.
struct Found {
    visitor: u64,
    last_at: i64,
    /// The first event's time and campaign.
    first: Option<(i64, String)>,
}

type Sessions = HashMap<(WebsiteId, u64), Found>;

/// See [`crate::EventStore::recent_sessions`]. Sorted by website and visitor.
pub(crate) fn recent_sessions(state: &State, since: Timestamp) -> Vec<RecentSession> {
    let since_ms = since.as_millis();
    // A session that is active now may have begun, with its campaign, this long ago.
    let begun_ms = since.plus_millis(-SESSION_MAX_MS).as_millis();
    let mut sessions = Sessions::new();
    for segment in &state.segments {
        let mut ranges: Vec<&SiteRange> = segment.meta.sites.iter().filter(|range| range.max_at >= begun_ms).collect();
        // Websites that share a row group are read together.
        ranges.sort_by_key(|range| (range.group, range.start));
        for ranges in ranges.chunk_by(|a, b| a.group == b.group) {
            if let Err(error) = read_group(segment, ranges, begun_ms, &mut sessions) {
                tracing::error!(%error, "sessions that were in it begin anew");
            }
        }
    }
    for generation in state.generations() {
        for website in generation.websites() {
            if let Some(site) = generation.site(website) {
                read_head(website, &site.lock(), begun_ms, &mut sessions);
            }
        }
    }
    latest_of_each_visitor(sessions, since_ms)
}

fn latest_of_each_visitor(sessions: Sessions, since_ms: i64) -> Vec<RecentSession> {
    let mut latest: HashMap<(WebsiteId, u64), RecentSession> = HashMap::new();
    for ((website, session), found) in sessions.into_iter().filter(|(_, found)| found.last_at >= since_ms) {
        let recent = RecentSession {
            website,
            visitor: VisitorId(found.visitor),
            session: SessionId(session),
            last_at: Timestamp::from_millis(found.last_at),
            campaign: found.first.map_or_else(|| UTM.map(|_| "").join("\u{1f}"), |(_, campaign)| campaign),
        };
        latest
            .entry((website, found.visitor))
            .and_modify(|known| {
                if (recent.last_at, recent.session) > (known.last_at, known.session) {
                    *known = recent.clone();
                }
            })
            .or_insert(recent);
    }
    let mut recent: Vec<RecentSession> = latest.into_values().collect();
    recent.sort_by_key(|session| (session.website, session.visitor));
    recent
}

fn note(
    sessions: &mut Sessions,
    key: (WebsiteId, u64),
    visitor: u64,
    at: i64,
    campaign: Option<impl FnOnce() -> String>,
) {
    let found = sessions.entry(key).or_insert(Found { visitor, last_at: at, first: None });
    found.last_at = found.last_at.max(at);
    if let Some(campaign) = campaign
        && found.first.as_ref().is_none_or(|(first_at, _)| at < *first_at)
    {
        found.first = Some((at, campaign()));
        found.visitor = visitor;
    }
}

/// Reads `ranges` of one row group.
fn read_group(
    segment: &Segment,
    ranges: &[&SiteRange],
    begun_ms: i64,
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
    let kinds = kinds_of(segment, &segment.read(group, ColumnId::Kind, rows.clone())?)?;
    let visitors = segment.read(group, ColumnId::Visitor, rows.clone())?;
    let ids = segment.read(group, ColumnId::Session, rows.clone())?;
    let mut utm = Vec::new();
    for dimension in UTM {
        utm.push(segment.read(group, ColumnId::Dimension(dimension), rows.clone())?);
    }
    let (Values::Ids(visitor_ids), Values::Ids(session_ids)) = (&visitors.values, &ids.values) else {
        return Err(segment.error("ids are not numbers"));
    };
    for range in ranges {
        let rows = (range.start as usize).saturating_sub(start)..(range.start + range.rows) as usize - start;
        for row in rows.filter(|&row| at[row] >= begun_ms) {
            let campaign = || {
                utm.iter()
                    .map(|column| match &column.values {
                        Values::Texts(texts) => texts.get(column.codes[row]),
                        _ => "",
                    })
                    .collect::<Vec<_>>()
                    .join("\u{1f}")
            };
            let key = (range.website, session_ids[ids.codes[row] as usize]);
            let visitor = visitor_ids[visitors.codes[row] as usize];
            note(sessions, key, visitor, at[row], (kinds[row] != EventKind::Heartbeat as u8).then_some(campaign));
        }
    }
    Ok(())
}

fn read_head(website: WebsiteId, head: &SiteHead, begun_ms: i64, sessions: &mut Sessions) {
    for row in (0..head.len()).filter(|&row| head.at[row] >= begun_ms) {
        let campaign = || {
            UTM.map(|dimension| {
                let code = head.dimensions[dimension as usize].get(row).copied().unwrap_or(0);
                head.texts[dimension as usize].texts()[code as usize].to_string()
            })
            .join("\u{1f}")
        };
        let key = (website, head.sessions.ids()[head.session[row] as usize]);
        let visitor = head.visitors.ids()[head.visitor[row] as usize];
        let is_event = head.kind[row] != EventKind::Heartbeat as u8;
        note(sessions, key, visitor, head.at[row], is_event.then_some(campaign));
    }
}
