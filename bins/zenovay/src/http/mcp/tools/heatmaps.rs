//! Where visitors click and how far they scroll.

use schemars::JsonSchema;
use serde::Serialize;
use zenovay_auth::{Action, ToolCategory};
use zenovay_capture::{DeviceClass, ElementHeat, HeatPage, Heatmap};
use zenovay_domain::Zone;

use super::Tool;
use super::shown::{Open, Page, PageArgs, Period, Told, ViewArgs, website};
use crate::http::console::heatmaps::{self, PagesAsked};
use crate::http::mcp::args::Args;
use crate::http::mcp::call::{Call, ToolError};
use crate::http::mcp::clean::{clean, whole};
use crate::http::values::rounded;

/// A page, or an element of one.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Row {
    value: String,
    /// Of an element.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    clicks: u64,
    /// Many in a row.
    rage_clicks: u64,
    /// Nothing followed.
    dead_clicks: u64,
    /// Of a page.
    #[serde(skip_serializing_if = "Option::is_none")]
    views: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    average_depth_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_at: Option<String>,
}

fn percent(part: Option<f64>) -> Option<f64> {
    rounded(part.map(|part| part * 100.0), 2)
}

impl Row {
    fn of_page(page: &HeatPage, zone: &Zone) -> Self {
        Self {
            // The argument that asks for it takes it as it is.
            value: whole(&page.path),
            label: None,
            clicks: page.clicks,
            rage_clicks: page.rage_clicks,
            dead_clicks: page.dead_clicks,
            views: Some(page.views.iter().sum()),
            average_depth_percent: percent(page.average_depth()),
            last_at: Some(zone.format_with_offset(page.last_at)),
        }
    }

    fn of_element(element: &ElementHeat) -> Self {
        // What follows is for finding it again.
        let path = element.address.split(['|']).next().unwrap_or("");
        Self {
            value: clean(path),
            label: Some(clean(&element.label)).filter(|label| !label.is_empty()),
            clicks: element.clicks,
            rage_clicks: element.rage_clicks,
            dead_clicks: element.dead_clicks,
            views: None,
            average_depth_percent: None,
            last_at: None,
        }
    }
}

/// All of one page.
#[derive(Debug, Serialize)]
pub(super) struct OfPage {
    device: &'static str,
    views: u64,
    visitors: u64,
    clicks: u64,
    rage_clicks: u64,
    dead_clicks: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    average_depth_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    median_depth_percent: Option<f64>,
    /// Views that saw so many twentieths of the height, from none to all.
    views_by_twentieth_reached: Vec<u64>,
    /// By twentieth of the height.
    attention_seconds: Vec<f64>,
}

impl OfPage {
    fn of(heat: &Heatmap, device: &'static str) -> Self {
        let seconds = |ms: &u64| (*ms as f64 / 100.0).round() / 10.0;
        Self {
            device,
            views: heat.views,
            visitors: heat.visitors,
            clicks: heat.clicks,
            rage_clicks: heat.rage_clicks,
            dead_clicks: heat.dead_clicks,
            average_depth_percent: percent(heat.average_depth),
            median_depth_percent: percent(heat.median_depth),
            views_by_twentieth_reached: heat.reach.to_vec(),
            attention_seconds: heat.attention.iter().map(seconds).collect(),
        }
    }
}

/// Pages with their clicks, or one page with its elements.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Heatmaps {
    period: Period,
    /// Whether pages report.
    enabled: bool,
    /// With path: its views, clicks, scroll depth and attention.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Open>")]
    of_page: Option<OfPage>,
    page: Page,
    /// Most clicks first.
    rows: Vec<Row>,
    untrusted_fields: [&'static str; 2],
}

/// `get_heatmap_data`.
pub(super) struct GetHeatmapData;

const CLASSES: [&str; 3] = ["desktop", "tablet", "phone"];

impl Tool for GetHeatmapData {
    const NAME: &'static str = "get_heatmap_data";
    const TITLE: &'static str = "Heatmaps";
    const WORDS: &'static str = "Pages with clicks, rage and dead clicks and scroll depth; with path, the clicked elements of that page for one class of devices.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Advanced);
    const ACTION: Action = Action::ReadHeatmaps;
    const LISTS: &'static [&'static str] = &["rows"];
    type Input = (String, Option<String>, Option<&'static str>, ViewArgs, PageArgs);
    type Output = Heatmaps;

    fn read(args: &mut Args) -> Self::Input {
        let (website, path) = (website(args), args.told("path", "Such as /pricing."));
        if let Some(problem) = path.as_deref().and_then(heatmaps::path_problem) {
            args.problem("path", problem);
        }
        let device = args.choice("device", "Of a path desktop when absent.", &CLASSES, None);
        let mut params = ViewArgs::range(args);
        ViewArgs::filters(args, &mut params, Told::OfVisitors);
        (website, path, device, ViewArgs::of(params), PageArgs::read(args, 20))
    }

    async fn run(call: Call, (website, path, device, view, page): Self::Input) -> Result<Heatmaps, ToolError> {
        let question = call.question(&website, Self::ACTION).await?;
        let view = view.view(&question).await?;
        let (period, zone, enabled) =
            (Period::of(&view, call.now), view.zone.clone(), question.website.settings.heatmaps);
        let class = device.map(|device| match device {
            "tablet" => DeviceClass::Tablet,
            "phone" => DeviceClass::Phone,
            _ => DeviceClass::Desktop,
        });
        let untrusted_fields = ["rows[].value", "rows[].label"];
        let whole = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let Some(path) = path else {
            let asked = PagesAsked { class, ..PagesAsked::default() };
            let found = heatmaps::pages_in(&question, view, asked, page.offset, page.limit).await?;
            let rows: Vec<Row> = found.pages.iter().map(|page| Row::of_page(page, &zone)).collect();
            let page = page.page(rows.len(), whole(found.total));
            return Ok(Heatmaps { period, enabled, of_page: None, page, rows, untrusted_fields });
        };
        let class = class.unwrap_or(DeviceClass::Desktop);
        let elements = page.offset.saturating_add(page.limit);
        let found = heatmaps::heatmap_in(&question, view, path, class, elements).await?;
        let of_page = Some(OfPage::of(&found, device.unwrap_or("desktop")));
        let rows: Vec<Row> = found.elements.iter().skip(page.offset).map(Row::of_element).collect();
        let page = page.page(rows.len(), whole(found.elements_total));
        Ok(Heatmaps { period, enabled, of_page, page, rows, untrusted_fields })
    }
}
