//! What visitors' sessions looked like: recordings, and what happened in one.

use schemars::JsonSchema;
use serde::Serialize;
use zenovay_auth::{Action, ToolCategory};
use zenovay_capture::{Replay, ReplayDetail, Replays, WithErrors};
use zenovay_domain::{TimeRange, WebsiteId, Zone};

use super::Tool;
use super::shown::{Open, Page, PageArgs, Period, Told, ViewArgs, website};
use crate::http::console::error_groups;
use crate::http::console::session_replays::{self as recordings, ReplayParams, ShownMarker};
use crate::http::console::sites::zone_of;
use crate::http::mcp::args::Args;
use crate::http::mcp::call::{Call, ToolError};
use crate::http::mcp::clean::{clean, value};

/// A recording.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Recording {
    replay_id: String,
    /// For people: plays it.
    url: String,
    started_at: String,
    duration_seconds: f64,
    active_seconds: f64,
    entry_page: String,
    exit_page: String,
    pageviews: u64,
    clicks: u64,
    errors: u64,
    country: String,
    device: String,
    browser: String,
    os: String,
}

/// Milliseconds as seconds with one decimal.
fn seconds(millis: i64) -> f64 {
    // A recording is shorter than 2^52 milliseconds.
    (millis as f64 / 100.0).round() / 10.0
}

/// Where people see recordings of a website.
fn address(call: &Call, website: WebsiteId) -> String {
    format!("{}/websites/{website}/replays", call.state.issuer)
}

impl Recording {
    fn of(replay: &Replay, address: &str, zone: &Zone) -> Self {
        Self {
            replay_id: replay.id.to_string(),
            url: format!("{address}/{}", replay.id),
            started_at: zone.format_with_offset(replay.started_at),
            duration_seconds: seconds(replay.ended_at.as_millis() - replay.started_at.as_millis()),
            active_seconds: seconds(replay.active_ms),
            entry_page: value(&replay.entry_page),
            exit_page: value(&replay.exit_page),
            pageviews: replay.pages,
            clicks: replay.clicks,
            errors: replay.errors,
            country: value(&replay.country),
            device: value(&replay.device),
            browser: value(&replay.browser),
            os: value(&replay.os),
        }
    }
}

/// Something that happened in a recording.
#[derive(Debug, Serialize)]
pub(super) struct Moment {
    at_seconds: f64,
    /// page, click, rage, error, pause or resume.
    kind: &'static str,
    /// The path of a page, the type and message of an error.
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    /// How many clicks in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    clicks: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_id: Option<String>,
    /// Plays the recording from there.
    url: String,
}

impl Moment {
    fn of(marker: ShownMarker, recording: &str) -> Self {
        Self {
            at_seconds: seconds(marker.at_ms),
            kind: marker.kind,
            text: clean(&marker.text),
            clicks: Some(marker.count).filter(|count| *count > 1),
            group_id: marker.group,
            url: format!("{recording}?t={}", marker.at_ms / 1_000),
        }
    }
}

/// Recordings, or what happened in one.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Recordings {
    period: Period,
    /// Whether more are recorded.
    enabled: bool,
    page: Page,
    /// Latest first.
    replays: Vec<Recording>,
    /// With replay_id; page is of them: at_seconds, kind, text, url.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Open>>")]
    moments: Option<Vec<Moment>>,
    untrusted_fields: Vec<&'static str>,
}

/// Where visitors' words stand in every recording.
const OF_RECORDING: [&str; 5] =
    ["replays[].entry_page", "replays[].exit_page", "replays[].device", "replays[].browser", "replays[].os"];

/// `get_session_replays`.
pub(super) struct GetSessionReplays;

/// Which recordings are asked for.
pub(super) struct Asked {
    website: String,
    replay: Option<String>,
    group: Option<String>,
    view: ViewArgs,
    page: PageArgs,
}

impl Tool for GetSessionReplays {
    const NAME: &'static str = "get_session_replays";
    const TITLE: &'static str = "Session replays";
    const WORDS: &'static str = "Recorded sessions with pages, clicks, errors and links to watch them; with replay_id, that one moment by moment.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Advanced);
    const ACTION: Action = Action::ReadReplays;
    const LISTS: &'static [&'static str] = &["replays", "moments"];
    type Input = Asked;
    type Output = Recordings;

    fn read(args: &mut Args) -> Asked {
        let (website, replay) = (website(args), args.string("replay_id", "From this tool without it."));
        let group = args.string("group_id", "With this error, from get_errors.");
        if replay.is_some() && group.is_some() {
            args.problem("group_id", "give either replay_id or group_id");
        }
        let mut params = ViewArgs::range(args);
        ViewArgs::filters(args, &mut params, Told::Captured);
        if replay.is_some() {
            args.without_effect(&["range", "from", "to", "filters"], "with replay_id");
        }
        Asked { website, replay, group, view: ViewArgs::of(params), page: PageArgs::read(args, 20) }
    }

    async fn run(call: Call, Asked { website, replay, group, view, page }: Asked) -> Result<Recordings, ToolError> {
        let question = call.question(&website, Self::ACTION).await?;
        let (address, enabled) = (address(&call, question.id()), recordings::is_recording(&question.website));
        let mut untrusted_fields = OF_RECORDING.to_vec();
        if let Some(id) = replay {
            let id = recordings::replay_id(&id)?;
            let ReplayDetail { replay, markers, .. } = recordings::replay_of(&call.state, question.id(), id).await?;
            let zone = zone_of(&question.website);
            let range = TimeRange::new(replay.started_at, replay.ended_at.plus_millis(1));
            let recording = Recording::of(&replay, &address, &zone);
            let (markers, page) = page.cut(markers);
            let moments = markers.into_iter().map(|marker| Moment::of(marker.into(), &recording.url)).collect();
            untrusted_fields.push("moments[].text");
            let period = Period::between(range, &zone, call.now);
            let (replays, moments) = (vec![recording], Some(moments));
            return Ok(Recordings { period, enabled, page, replays, moments, untrusted_fields });
        }
        let group = group.map(|id| error_groups::group_id(&id)).transpose()?;
        if let Some(id) = group {
            // No recordings would be taken for an answer.
            error_groups::known(&call.state, question.id(), id).await?;
        }
        let errors = group.map(WithErrors::Of);
        let view = view.view(&question).await?;
        let (period, zone) = (Period::of(&view, call.now), view.zone.clone());
        let asked = ReplayParams::with_errors(errors);
        let found = recordings::replays_in(&question, view, asked, page.offset, page.limit).await?;
        let Replays { replays, total } = found;
        let replays: Vec<_> = replays.iter().map(|replay| Recording::of(replay, &address, &zone)).collect();
        let page = page.page(replays.len(), usize::try_from(total).unwrap_or(usize::MAX));
        Ok(Recordings { period, enabled, page, replays, moments: None, untrusted_fields })
    }
}
