//! Errors that visitors met, in groups, and what is decided about these.

use schemars::JsonSchema;
use serde::Serialize;
use zenovay_auth::{Action, ToolCategory};
use zenovay_capture::{ErrorDetail, ErrorGroup, ErrorsIn, Frame, HistoryEntry, Occurrence, Part, StackVariant, Status};
use zenovay_domain::Zone;

use super::manage::change;
use super::shown::{Open, Page, PageArgs, Period, Told, ViewArgs, website};
use super::{Effect, Tool};
use crate::http::console::error_groups;
use crate::http::mcp::args::Args;
use crate::http::mcp::call::{Call, ToolError};
use crate::http::mcp::clean::{clean, value};

/// The most that is told of one group: all of it fits into an answer, whatever visitors wrote.
const STACKS_MAX: usize = 3;
const FRAMES_MAX: usize = 15;
const PARTS_MAX: usize = 4;
const LAST_MAX: usize = 3;
const PROPERTIES_MAX: usize = 8;
const BREADCRUMBS_MAX: usize = 10;
const HISTORY_MAX: usize = 10;

/// What is said when there is more of a group than is told.
const MORE_OF_GROUP: &str = "Of long lists in the group the first members are told. Narrow the range or add a filter for others; the dashboard has all.";

const STATUSES: [&str; 3] = ["unresolved", "resolved", "ignored"];

/// A frame as one string, such as `total (src/cart.ts:43:30)`.
fn frame(frame: &Frame) -> String {
    let Frame { function, file, line, column, .. } = frame;
    let name = if function.is_empty() { "(no name)" } else { function };
    // The place is at the end, and what is too long is cut there: so each part is cut by itself.
    let (name, file) = (short(name, 100), short(file, 150));
    clean(&match (file.is_empty(), *line) {
        (true, _) => name,
        (false, 0) => format!("{name} ({file})"),
        (false, line) => format!("{name} ({file}:{line}:{column})"),
    })
}

/// The end of a string that is longer than `max` characters; of a path the end tells more.
fn short(text: &str, max: usize) -> String {
    let over = text.chars().count().saturating_sub(max);
    if over == 0 {
        clean(text)
    } else {
        format!("…{}", clean(text.chars().skip(over + 1).collect::<String>().as_str()))
    }
}

/// A group of equal errors.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Group {
    group_id: String,
    r#type: String,
    message: String,
    /// Where in the app: function (file:line:column).
    #[serde(skip_serializing_if = "Option::is_none")]
    culprit: Option<String>,
    status: String,
    /// In the range.
    occurrences: u64,
    /// In the range.
    visitors: u64,
    occurrences_total: u64,
    visitors_total: u64,
    first_seen_at: String,
    last_seen_at: String,
    /// With group_id: stacks, breakdown, last occurrences, history.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Open>")]
    detail: Option<Detail>,
}

impl Group {
    fn of(found: &ErrorsIn, zone: &Zone) -> Self {
        let ErrorsIn { group, occurrences, visitors, .. } = found;
        let ErrorGroup { id, kind, message, culprit, status, first_at, last_at, .. } = group;
        Self {
            group_id: id.to_string(),
            r#type: clean(kind),
            message: clean(message),
            culprit: culprit.as_ref().map(frame),
            status: status.as_str().to_owned(),
            occurrences: *occurrences,
            visitors: *visitors,
            occurrences_total: group.occurrences,
            visitors_total: group.visitors,
            first_seen_at: zone.format_with_offset(*first_at),
            last_seen_at: zone.format_with_offset(*last_at),
            detail: None,
        }
    }
}

/// All about a group.
#[derive(Debug, Serialize)]
pub(super) struct Detail {
    /// The newest.
    stacks: Vec<Stack>,
    /// The most frequent browsers, systems, releases, pages and devices.
    breakdown: Vec<Share>,
    /// The last occurrences.
    last: Vec<Met>,
    history: Vec<Decided>,
}

/// A stack.
#[derive(Debug, Serialize)]
pub(super) struct Stack {
    message: String,
    release: String,
    occurrences: u64,
    /// Whether the frames are of the sources.
    source_map: bool,
    /// Innermost first.
    frames: Vec<String>,
}

impl Stack {
    fn of(stack: &StackVariant) -> Self {
        Self {
            message: clean(&stack.message),
            release: clean(&stack.release),
            occurrences: stack.occurrences,
            source_map: stack.is_mapped,
            frames: stack.frames.iter().take(FRAMES_MAX).map(frame).collect(),
        }
    }
}

/// A part of the occurrences in the range.
#[derive(Debug, Serialize)]
pub(super) struct Share {
    by: &'static str,
    value: String,
    occurrences: u64,
}

/// One occurrence.
#[derive(Debug, Serialize)]
pub(super) struct Met {
    at: String,
    page: String,
    browser: String,
    os: String,
    device: String,
    country: String,
    /// What the page told: name=value.
    properties: Vec<String>,
    /// What happened before, oldest first: seconds before, kind, text.
    breadcrumbs: Vec<String>,
}

impl Met {
    fn of(occurrence: &Occurrence, zone: &Zone) -> Self {
        let Occurrence { at, path, browser, os, device, country, properties, breadcrumbs, .. } = occurrence;
        let told = properties.iter().take(PROPERTIES_MAX).map(|(name, value)| clean(&format!("{name}={value}")));
        let before = breadcrumbs.iter().skip(breadcrumbs.len().saturating_sub(BREADCRUMBS_MAX));
        let before = before.map(|crumb| {
            clean(&format!("-{:.1} s {}: {}", f64::from(crumb.before_ms) / 1_000.0, crumb.kind, crumb.text))
        });
        Self {
            at: zone.format_with_offset(*at),
            page: value(path),
            browser: value(browser),
            os: value(os),
            device: value(device),
            country: value(country),
            properties: told.collect(),
            breadcrumbs: before.collect(),
        }
    }
}

/// What was decided about a group, or happened to it.
#[derive(Debug, Serialize)]
pub(super) struct Decided {
    at: String,
    /// resolved, ignored, reopened, came_back, merged or split.
    what: String,
    /// In which it came back.
    release: String,
}

impl Decided {
    fn of(entry: &HistoryEntry, zone: &Zone) -> Self {
        Self { at: zone.format_with_offset(entry.at), what: clean(&entry.what), release: clean(&entry.release) }
    }
}

impl Detail {
    /// What is told of a group, and whether there is more of it.
    fn of(found: &ErrorDetail, zone: &Zone) -> (Self, bool) {
        let ErrorDetail { variants, browsers, systems, releases, pages, devices, last, history, .. } = found;
        let lists =
            [("browser", browsers), ("os", systems), ("release", releases), ("page", pages), ("device", devices)];
        let breakdown = lists.into_iter().flat_map(|(by, parts)| {
            let share = move |part: &Part| Share { by, value: value(&part.name), occurrences: part.count };
            parts.iter().take(PARTS_MAX).map(share)
        });
        let detail = Self {
            stacks: variants.iter().take(STACKS_MAX).map(Stack::of).collect(),
            breakdown: breakdown.collect(),
            last: last.iter().map(|occurrence| Met::of(occurrence, zone)).collect(),
            history: history.iter().take(HISTORY_MAX).map(|entry| Decided::of(entry, zone)).collect(),
        };
        let is_more = variants.len() > STACKS_MAX
            || variants.iter().take(STACKS_MAX).any(|stack| stack.frames.len() > FRAMES_MAX)
            || lists.iter().any(|(_, parts)| parts.len() > PARTS_MAX)
            || last.iter().any(|occurrence| occurrence.properties.len() > PROPERTIES_MAX)
            || last.iter().any(|occurrence| occurrence.breadcrumbs.len() > BREADCRUMBS_MAX)
            || history.len() > HISTORY_MAX;
        (detail, is_more)
    }
}

/// How many groups of the website have each status.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Counts {
    unresolved: u64,
    resolved: u64,
    ignored: u64,
}

/// Groups of errors.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Errors {
    period: Period,
    /// Of the website, whatever range and filters are.
    #[serde(skip_serializing_if = "Option::is_none")]
    groups_of_all_time: Option<Counts>,
    page: Page,
    groups: Vec<Group>,
    untrusted_fields: Vec<&'static str>,
}

/// Where visitors' words stand in every group.
const OF_GROUP: [&str; 3] = ["groups[].type", "groups[].message", "groups[].culprit"];
/// Where they stand in the detail of one, too.
const OF_DETAIL: [&str; 11] = [
    "groups[].detail.stacks[].message",
    "groups[].detail.stacks[].release",
    "groups[].detail.stacks[].frames",
    "groups[].detail.breakdown[].value",
    "groups[].detail.last[].page",
    "groups[].detail.last[].browser",
    "groups[].detail.last[].os",
    "groups[].detail.last[].device",
    "groups[].detail.last[].properties",
    "groups[].detail.last[].breadcrumbs",
    "groups[].detail.history[].release",
];

/// `get_errors`.
pub(super) struct GetErrors;

/// Which groups are asked for.
pub(super) struct Asked {
    website: String,
    group: Option<String>,
    status: Option<Status>,
    view: ViewArgs,
    page: PageArgs,
}

impl Tool for GetErrors {
    const NAME: &'static str = "get_errors";
    const TITLE: &'static str = "Errors";
    const WORDS: &'static str = "JavaScript errors that visitors met, in groups, the latest first; with group_id, that one with stacks, releases, browsers, last occurrences and history.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Advanced);
    const ACTION: Action = Action::ReadErrors;
    const LISTS: &'static [&'static str] = &["groups"];
    type Input = Asked;
    type Output = Errors;

    fn read(args: &mut Args) -> Asked {
        let (website, group) = (website(args), args.string("group_id", "From this tool without it."));
        let status = args.choice("status", "", &STATUSES, None).and_then(Status::from_name);
        let mut params = ViewArgs::range(args);
        ViewArgs::filters(args, &mut params, Told::Captured);
        let page = PageArgs::read(args, 20);
        if group.is_some() {
            args.without_effect(&["status", "limit", "offset"], "with group_id");
        }
        Asked { website, group, status, view: ViewArgs::of(params), page }
    }

    async fn run(call: Call, Asked { website, group, status, view, page }: Asked) -> Result<Errors, ToolError> {
        let question = call.question(&website, Self::ACTION).await?;
        let view = view.view(&question).await?;
        let (period, zone) = (Period::of(&view, call.now), view.zone.clone());
        let mut untrusted_fields = OF_GROUP.to_vec();
        if let Some(id) = group {
            let id = error_groups::group_id(&id)?;
            let found = error_groups::detail_in(&question, view, id, LAST_MAX).await?;
            let (detail, is_more) = Detail::of(&found, &zone);
            let group = Group { detail: Some(detail), ..Group::of(&found.found, &zone) };
            untrusted_fields.extend(OF_DETAIL);
            let page = PageArgs { limit: 1, offset: 0 }.page(1, 1);
            let page = if is_more { page.cut_short(MORE_OF_GROUP) } else { page };
            return Ok(Errors { period, groups_of_all_time: None, page, groups: vec![group], untrusted_fields });
        }
        let (found, [unresolved, resolved, ignored]) = error_groups::groups_in(&question, view, status).await?;
        let (found, page) = page.cut(found);
        let groups = found.iter().map(|found| Group::of(found, &zone)).collect();
        let groups_of_all_time = Some(Counts { unresolved, resolved, ignored });
        Ok(Errors { period, groups_of_all_time, page, groups, untrusted_fields })
    }
}

/// `update_error_status`.
pub(super) struct UpdateErrorStatus;

/// A group with its new status.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct StatusChanged {
    group_id: String,
    status: String,
}

impl Tool for UpdateErrorStatus {
    const NAME: &'static str = "update_error_status";
    const TITLE: &'static str = "Resolve or ignore errors";
    const WORDS: &'static str =
        "Resolves, ignores or reopens a group of errors. A resolved one is unresolved again when it happens again.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Advanced);
    const ACTION: Action = Action::EditErrors;
    const EFFECT: Effect = Effect::Sets;
    type Input = (String, String, &'static str);
    type Output = StatusChanged;

    fn read(args: &mut Args) -> Self::Input {
        let (website, group) = (website(args), args.required("group_id", "From get_errors."));
        (website, group, args.required_choice("status", "", &STATUSES))
    }

    async fn run(call: Call, (website, group, status): Self::Input) -> Result<StatusChanged, ToolError> {
        // It is one of those that there are.
        let status = Status::from_name(status).unwrap_or(Status::Unresolved);
        change(&call, &website, (Self::ACTION, "error_groups.change"), async |website, store| {
            let (id, who) = (error_groups::group_id(&group)?, call.client.audit_actor().words);
            error_groups::decide(&call.state, store, who, (website.id, id), status).await?;
            Ok(StatusChanged { group_id: id.to_string(), status: status.as_str().to_owned() })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_frame_the_place_is_told() {
        let long = Frame {
            function: "f".repeat(500),
            file: format!("https://shop.example/{}/cart.ts", "deep/".repeat(100)),
            line: 43,
            column: 30,
            in_app: true,
        };
        let told = frame(&long);
        assert!(told.ends_with("/cart.ts:43:30)") && told.chars().count() <= 300, "{told}");
        assert_eq!(frame(&Frame { function: "total".to_owned(), ..Frame::default() }), "total");
        let bare = Frame { file: "a.js".to_owned(), line: 1, column: 2, ..Frame::default() };
        assert_eq!(frame(&bare), "(no name) (a.js:1:2)");
    }
}
