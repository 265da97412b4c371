//! The websites within reach.

use schemars::JsonSchema;
use serde::Serialize;
use zenovay_auth::{Action, Target, ToolCategory};
use zenovay_domain::Website;

use super::Tool;
use super::shown::{Page, PageArgs};
use crate::http::console::sites::{self, WebsiteState, zone_of};
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
    untrusted_fields: [&'static str; 1],
}

impl Tool for ListWebsites {
    const NAME: &'static str = "list_websites";
    const TITLE: &'static str = "List websites";
    const WORDS: &'static str = "Lists the websites you can ask about, with id, domain, time zone, currency, first and last event. Call it first: other tools need a website_id.";
    const CATEGORY: Option<ToolCategory> = None;
    const ACTION: Action = Action::ListWebsites;
    const LISTS: &'static [&'static str] = &["websites"];
    type Input = PageArgs;
    type Output = Websites;

    fn read(args: &mut Args) -> PageArgs {
        PageArgs::read(args, 50)
    }

    async fn run(call: Call, page: PageArgs) -> Result<Websites, ToolError> {
        call.blocking(move |call| {
            call.client.may(&call.state, Self::ACTION, &Target::Account)?;
            let (websites, page) = page.cut(sites::reachable(&call.state, call.client.principal())?);
            let websites = websites.iter().map(|website| Listed::of(call, website)).collect();
            let untrusted_fields = ["websites[].name"];
            Ok(Websites { now: call.now.to_string(), page, websites, untrusted_fields })
        })
        .await
    }
}
