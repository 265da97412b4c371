//! The websites within reach.

use schemars::JsonSchema;
use serde::Serialize;
use zenovay_auth::{AccessLevel, Action, Target, ToolCategory};
use zenovay_domain::Website;

use super::Tool;
use super::manage::Site;
use super::shown::{Open, Page, PageArgs};
use crate::http::console::sites::{self, WebsiteState, zone_of};
use crate::http::guard::Assistant;
use crate::http::mcp::args::Args;
use crate::http::mcp::call::{Call, ToolError};
use crate::http::mcp::clean::clean;

/// `list_websites`.
pub(super) struct ListWebsites;

/// A website.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Listed {
    website_id: String,
    domain: String,
    name: String,
    team_id: String,
    timezone: String,
    currency: String,
    /// live, silent (no events for two days), paused or no_events.
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_event_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_event_at: Option<String>,
    /// With website_id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Open>")]
    settings: Option<Site>,
}

impl Listed {
    fn of(call: &Call, website: &Website) -> Self {
        let span = call.state.events.span(website.id);
        let zone = zone_of(website);
        Self {
            website_id: website.id.to_string(),
            domain: website.domain.clone(),
            name: clean(&website.name),
            team_id: website.team_id.to_string(),
            timezone: website.settings.time_zone.clone(),
            currency: website.settings.currency.clone(),
            state: WebsiteState::of(website, span, call.now).as_str().to_owned(),
            first_event_at: span.map(|span| zone.format_with_offset(span.from)),
            last_event_at: span.map(|span| zone.format_with_offset(span.to.plus_millis(-1))),
            settings: None,
        }
    }
}

/// Websites.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Websites {
    /// The time, in UTC.
    now: String,
    page: Page,
    websites: Vec<Listed>,
    untrusted_fields: [&'static str; 4],
}

/// Where people's words stand.
const UNTRUSTED: [&str; 4] = [
    "websites[].name",
    "websites[].settings.name",
    "websites[].settings.allowed_bots",
    "websites[].settings.excluded_paths",
];

/// Settings are for those who may change some: people are not asked whether they may be read.
fn check_may_see_settings(call: &Call) -> Result<(), ToolError> {
    let Assistant::Granted(access) = &*call.client else { return Ok(()) };
    let categories = [ToolCategory::Management, ToolCategory::Settings];
    if categories.iter().any(|category| access.scopes.allows(*category, AccessLevel::Read)) {
        return Ok(());
    }
    let words = "management:write or settings:write is missing: settings are for clients that may change some";
    Err(ToolError::MissingWrite(words.to_owned()))
}

impl Tool for ListWebsites {
    const NAME: &'static str = "list_websites";
    const TITLE: &'static str = "List websites";
    const WORDS: &'static str = "Lists the websites you can ask about, with id, domain, time zone, currency, first and last event. Call it first: other tools need a website_id.";
    const CATEGORY: Option<ToolCategory> = None;
    const ACTION: Action = Action::ListWebsites;
    const LISTS: &'static [&'static str] = &["websites"];
    type Input = (Option<String>, PageArgs);
    type Output = Websites;

    fn read(args: &mut Args) -> Self::Input {
        let website = args.string("website_id", "That one, with settings and exclusions.");
        let page = PageArgs::read(args, 50);
        if website.is_some() {
            args.without_effect(&["limit", "offset"], "with website_id");
        }
        (website, page)
    }

    async fn run(call: Call, (website, page): Self::Input) -> Result<Websites, ToolError> {
        if let Some(named) = website {
            check_may_see_settings(&call)?;
            let website = call.website(&named, Action::ReadWebsite).await?;
            let settings = Some(Site::from((*website).clone()));
            let websites = vec![Listed { settings, ..Listed::of(&call, &website) }];
            let page = PageArgs { limit: 1, offset: 0 }.page(1, 1);
            return Ok(Websites { now: call.now.to_string(), page, websites, untrusted_fields: UNTRUSTED });
        }
        call.blocking(move |call| {
            call.client.may(&call.state, Self::ACTION, &Target::Account)?;
            let (websites, page) = page.cut(sites::reachable(&call.state, call.client.principal())?);
            let websites = websites.iter().map(|website| Listed::of(call, website)).collect();
            Ok(Websites { now: call.now.to_string(), page, websites, untrusted_fields: UNTRUSTED })
        })
        .await
    }
}
