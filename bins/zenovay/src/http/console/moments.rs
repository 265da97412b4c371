//! What went wrong in the visits of a visitor: the errors they met, and where they clicked in a rage. It comes from captures, each
//! for those alone who may read these.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;
use zenovay_capture::{CaptureError, MarkKind, ReplayDetail, ReplayId, VisitorError, VisitorRage};
use zenovay_domain::{SessionId, TimeRange, Timestamp, VisitorId, WebsiteId};

use super::error_groups::MomentOfReplay;
use crate::http::state::AppState;
use crate::http::values::Instant;

/// The most errors that are told of a visitor, and the most rage clicks: the latest.
const MOMENTS_MAX: usize = 500;
/// What is told of a page may come so long before or after the page view is counted, in milliseconds.
const NEAR_MS: i64 = 15_000;

/// What the caller may read of the website, apart from its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MayRead {
    pub(super) errors: bool,
    pub(super) heatmaps: bool,
    pub(super) replays: bool,
}

/// Something that went wrong in a visit.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VisitMoment {
    /// When. Of a rage click that no recording has, when its page was opened.
    at: Instant,
    /// `error` or `rage_click`.
    #[schema(examples("error"))]
    r#type: &'static str,
    /// On which page.
    #[schema(examples("/pricing"))]
    page: String,
    /// Of an error its type and message; of a rage click what was clicked, empty when that is not known.
    #[schema(examples("TypeError: cart.plan is undefined"))]
    text: String,
    /// How often the error happened at that moment, or how many clicks these were.
    #[schema(examples(1))]
    count: u64,
    /// The group of an error; null for rage clicks.
    #[schema(required = true, examples("eg_0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
    group: Option<String>,
    /// The recording of the moment; null when there is none.
    #[schema(required = true)]
    replay: Option<MomentOfReplay>,
}

/// A visit: which, and from when to when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) session: SessionId,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

/// A rage click in a recording.
struct Recorded {
    at: Timestamp,
    count: u64,
    replay: (ReplayId, i64),
}

/// What went wrong in each of `visits` of a visitor, in their order; of each in the order of time. Blocks.
///
/// # Errors
/// When captures cannot be read.
pub(super) fn of_visits(
    state: &AppState,
    website: WebsiteId,
    visitor: VisitorId,
    visits: &[Span],
    may: MayRead,
) -> Result<Vec<Vec<VisitMoment>>, CaptureError> {
    let mut told: Vec<Vec<VisitMoment>> = visits.iter().map(|_| Vec::new()).collect();
    let (Some(from), Some(to)) = (visits.iter().map(|v| v.from).min(), visits.iter().map(|v| v.to).max()) else {
        return Ok(told);
    };
    let range = TimeRange::new(from.plus_millis(-NEAR_MS), to.plus_millis(NEAR_MS));
    let captures = &state.captures;
    let replays = if may.replays { captures.visitor_replays(website, visitor, range)? } else { Vec::new() };
    let errors = if may.errors { captures.visitor_errors(website, visitor, range, MOMENTS_MAX)? } else { Vec::new() };
    for error in errors {
        let Some(visit) = visits.iter().position(|visit| visit.session == error.session) else { continue };
        let is_recorded = replays.iter().any(|detail| detail.replay.session == error.session);
        let replay = if is_recorded { captures.replay_at(website, error.session, error.at)? } else { None };
        told[visit].push(VisitMoment::error(error, replay));
    }
    let mut heat = if may.heatmaps { captures.visitor_rage_clicks(website, visitor, range)? } else { Vec::new() };
    heat.drain(..heat.len().saturating_sub(MOMENTS_MAX));
    let mut of_heat: Vec<Vec<VisitorRage>> = visits.iter().map(|_| Vec::new()).collect();
    for rage in heat {
        // Heatmaps do not keep the visit: it is the last that had begun.
        let begun = |visit: &Span| visit.from.plus_millis(-NEAR_MS) <= rage.at;
        let last = (0..visits.len()).filter(|at| begun(&visits[*at])).max_by_key(|at| visits[*at].from);
        if let Some(visit) = last {
            of_heat[visit].push(rage);
        }
    }
    for ((visit, moments), heat) in visits.iter().zip(&mut told).zip(of_heat) {
        let recorded = replays.iter().filter(|detail| detail.replay.session == visit.session);
        moments.extend(rage_clicks(recorded, heat));
        moments.sort_by_key(|moment| moment.at.0);
    }
    Ok(told)
}

/// The rage clicks of a visit. A recording knows when they were, a heatmap on what: where both have as many on a page, they are the
/// same in the same order. Otherwise it is those of the recording, without what was clicked, and without a recording those of the
/// heatmap.
fn rage_clicks<'a>(replays: impl Iterator<Item = &'a ReplayDetail>, heat: Vec<VisitorRage>) -> Vec<VisitMoment> {
    let mut pages: BTreeMap<String, (Vec<Recorded>, Vec<VisitorRage>)> = BTreeMap::new();
    for detail in replays {
        let mut page = detail.replay.entry_page.clone();
        for marker in &detail.markers {
            match &marker.kind {
                MarkKind::Page { path } => page.clone_from(path),
                MarkKind::Click { .. } if marker.is_rage() => {
                    pages.entry(page.clone()).or_default().0.push(Recorded {
                        at: detail.replay.started_at.plus_millis(marker.at_ms),
                        count: u64::from(marker.count),
                        replay: (detail.replay.id, marker.at_ms),
                    });
                }
                _ => {}
            }
        }
    }
    for rage in heat {
        pages.entry(rage.path.clone()).or_default().1.push(rage);
    }
    let of_page = |(page, (recorded, heat)): (String, (Vec<Recorded>, Vec<VisitorRage>))| {
        if recorded.is_empty() {
            return heat.into_iter().map(VisitMoment::heat).collect::<Vec<_>>();
        }
        let labels: Vec<String> = match heat.len() == recorded.len() {
            true => heat.into_iter().map(|rage| rage.label).collect(),
            false => vec![String::new(); recorded.len()],
        };
        let pairs = recorded.into_iter().zip(labels);
        pairs.map(|(recorded, label)| VisitMoment::recorded(recorded, page.clone(), label)).collect()
    };
    pages.into_iter().flat_map(of_page).collect()
}

impl VisitMoment {
    fn error(error: VisitorError, replay: Option<(ReplayId, i64)>) -> Self {
        let VisitorError { at, path, group, kind, message, count, .. } = error;
        Self {
            at: Instant(at),
            r#type: "error",
            page: path,
            text: format!("{kind}: {message}"),
            count,
            group: Some(group.to_string()),
            replay: replay.map(MomentOfReplay::from),
        }
    }

    fn recorded(Recorded { at, count, replay }: Recorded, page: String, text: String) -> Self {
        let replay = Some(MomentOfReplay::from(replay));
        Self { at: Instant(at), r#type: "rage_click", page, text, count, group: None, replay }
    }

    fn heat(VisitorRage { at, path, label, count }: VisitorRage) -> Self {
        Self { at: Instant(at), r#type: "rage_click", page: path, text: label, count, group: None, replay: None }
    }
}
