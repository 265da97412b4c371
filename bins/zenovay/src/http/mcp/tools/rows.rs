//! Rows by a dimension.

use schemars::JsonSchema;
use serde::Serialize;
use zenovay_auth::{Action, ToolCategory};
use zenovay_stats::Property;

use super::Tool;
use super::shown::{OfRow, OfRowBefore, Open, Page, PageArgs, Period, Told, ViewArgs, website};
use crate::http::console::numbers::{self, ShownRow};
use crate::http::envelope::ApiError;
use crate::http::mcp::args::Args;
use crate::http::mcp::call::{Call, ToolError};
use crate::http::mcp::clean::value;

/// A row.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Row {
    /// Empty when unknown.
    value: String,
    /// Title of a page, name of a country.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(flatten)]
    numbers: OfRow,
    /// In the compared range.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Open>")]
    before: Option<OfRowBefore>,
}

impl From<ShownRow> for Row {
    fn from(row: ShownRow) -> Self {
        Self {
            value: value(&row.value),
            label: row.label.as_deref().map(value),
            numbers: row.numbers.into(),
            before: row.before.map(OfRowBefore::from),
        }
    }
}

/// Rows by a dimension, the most visitors first.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Rows {
    period: Period,
    dimension: String,
    page: Page,
    rows: Vec<Row>,
    untrusted_fields: Vec<&'static str>,
}

/// What all these tools take.
pub(super) struct Asked {
    website: String,
    dimension: &'static str,
    view: ViewArgs,
    page: PageArgs,
}

impl Asked {
    fn read(args: &mut Args, dimensions: &[&'static str]) -> Self {
        let website = website(args);
        let first = dimensions.first().copied();
        let dimension = args.choice("by", "", dimensions, first).or(first).unwrap_or_default();
        Self { website, dimension, view: ViewArgs::read(args, Told::Shortly), page: PageArgs::read(args, 20) }
    }
}

/// What whoever calls one of them must be allowed.
const ACTION: Action = Action::ReadAnalytics;

async fn rows(call: Call, asked: Asked) -> Result<Rows, ToolError> {
    let Asked { website, dimension, view, page } = asked;
    let property = Property::parse(dimension, true).map_err(|_| ToolError::from(ApiError::internal()))?;
    let question = call.question(&website, ACTION).await?;
    let view = view.view(&question).await?;
    let (id, period) = (question.id(), Period::of(&view, call.now));
    let PageArgs { limit, offset } = page;
    // Places and channels are this server's own words.
    let untrusted_fields = match dimension {
        "country" | "region" | "city" | "channel" | "device" | "screen" => Vec::new(),
        _ => vec!["rows[].value", "rows[].label"],
    };
    let list = numbers::Rows::by_visitors(view, property);
    let found = question.run(move |asker| list.page(limit, offset, &|query| asker.any(id, query))).await?;
    let rows: Vec<Row> = found.rows.into_iter().map(Row::from).collect();
    let page = page.page(rows.len(), found.total_rows);
    Ok(Rows { period, dimension: dimension.to_owned(), page, rows, untrusted_fields })
}

macro_rules! tools {
    ($($type:ident $name:literal $title:literal $words:literal by $($dimension:literal)+;)*) => { $(
        #[doc = concat!("`", $name, "`.")]
        pub(super) struct $type;

        impl Tool for $type {
            const NAME: &'static str = $name;
            const TITLE: &'static str = $title;
            const WORDS: &'static str = $words;
            const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Analytics);
            const ACTION: Action = ACTION;
            const LISTS: &'static [&'static str] = &["rows"];
            type Input = Asked;
            type Output = Rows;

            fn read(args: &mut Args) -> Asked {
                Asked::read(args, &[$($dimension),+])
            }

            async fn run(call: Call, asked: Asked) -> Result<Rows, ToolError> {
                rows(call, asked).await
            }
        }
    )* };
}

tools! {
    GetTopPages "get_top_pages" "Top pages"
        "The pages with the most visitors, with their titles; or the pages that sessions begin or end with."
        by "page" "entry_page" "exit_page" "title" "hostname";
    GetTrafficSources "get_traffic_sources" "Traffic sources"
        "Where visitors come from: sources, channels, referrers, or campaign tags."
        by "source" "channel" "referrer" "utm_source" "utm_medium" "utm_campaign" "utm_term" "utm_content";
    GetGeographicData "get_geographic_data" "Countries and cities"
        "Where visitors are: countries, regions or cities."
        by "country" "region" "city";
    GetTechnologyBreakdown "get_technology_breakdown" "Browsers and devices"
        "What visitors use: browsers, operating systems, devices, screens, languages."
        by "browser" "browser_version" "os" "os_version" "device" "screen" "language";
}
