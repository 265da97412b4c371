//! Totals, series, comparisons, and who is here.

use schemars::JsonSchema;
use serde::Serialize;
use zenovay_auth::{Action, ToolCategory};
use zenovay_domain::{Interval, LIVE_WINDOW_MS, TimeRange};
use zenovay_query::GroupBy;

use super::Tool;
use super::shown::{
    ChangePercent, Numbers, OF_BUCKET, Open, Page, PageArgs, Period, Told, ViewArgs, bucket_name, partly, website,
};
use crate::http::console::numbers::{Tiles, tiles};
use crate::http::mcp::args::Args;
use crate::http::mcp::call::{Call, ToolError};
use crate::http::mcp::clean::value;

/// `get_visitors`.
pub(super) struct GetVisitors;

/// A bucket of a series.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Bucket {
    date: String,
    /// False when it was not counted whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    complete: Option<bool>,
    #[serde(flatten)]
    numbers: Numbers,
}

/// Totals and a series.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Visitors {
    period: Period,
    totals: Numbers,
    /// As totals, of the range that is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Open>")]
    before: Option<Numbers>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change_percent: Option<ChangePercent>,
    interval: String,
    page: Page,
    series: Vec<Bucket>,
}

impl Tool for GetVisitors {
    const NAME: &'static str = "get_visitors";
    const TITLE: &'static str = "Visitors over time";
    const WORDS: &'static str = "Visitors, sessions, pageviews, bounce rate and duration of a range: totals and a series, optionally compared with another range.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Analytics);
    const ACTION: Action = Action::ReadAnalytics;
    const LISTS: &'static [&'static str] = &["series"];
    type Input = (String, ViewArgs, PageArgs);
    type Output = Visitors;

    fn read(args: &mut Args) -> Self::Input {
        let (website, view) = (website(args), ViewArgs::read(args, Told::Grammar));
        let interval = args.choice("interval", "", &["hour", "day", "week", "month"], None);
        (website, view.with_interval(interval), PageArgs::read(args, 50))
    }

    async fn run(call: Call, (website, view, page): Self::Input) -> Result<Visitors, ToolError> {
        let question = call.question(&website, Self::ACTION).await?;
        let view = view.view(&question).await?;
        let (id, asked) = (question.id(), view.clone());
        let found = question.run(move |asker| {
            let ask = |query: &_| asker.any(id, query);
            let now = tiles(&asked, asked.range, &ask)?;
            let before = asked.earlier.map(|range| tiles(&asked, range, &ask)).transpose()?;
            Ok((now, before, asked.ask(&OF_BUCKET).timeseries(asked.interval, &asked.zone, ask)?))
        });
        let (now, before, series) = found.await?;
        let (series, page) = page.cut(series);
        let is_hour = view.interval == Interval::Hour;
        let bucket = |bucket: zenovay_stats::Bucket| Bucket {
            date: bucket_name(&view.zone, bucket.bucket.from, is_hour),
            complete: partly(&view, bucket.bucket, call.now),
            numbers: Tiles::of(&bucket.totals, None).into(),
        };
        Ok(Visitors {
            period: Period::of(&view, call.now),
            change_percent: before.as_ref().map(|before| ChangePercent::between(&now, before)),
            totals: now.into(),
            before: before.map(Numbers::from),
            interval: view.interval.as_str().to_owned(),
            page,
            series: series.into_iter().map(bucket).collect(),
        })
    }
}

/// `compare_periods`.
pub(super) struct ComparePeriods;

/// Two ranges beside each other.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Compared {
    period: Period,
    current: Numbers,
    /// As current.
    #[schemars(with = "Open")]
    earlier: Numbers,
    change_percent: ChangePercent,
}

impl Tool for ComparePeriods {
    const NAME: &'static str = "compare_periods";
    const TITLE: &'static str = "Compare periods";
    const WORDS: &'static str = "The totals of a range beside those of the period before, of a year before, or of other days, with the change in percent.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Analytics);
    const ACTION: Action = Action::ReadAnalytics;
    type Input = (String, ViewArgs);
    type Output = Compared;

    fn read(args: &mut Args) -> Self::Input {
        let (website, mut params) = (website(args), ViewArgs::range(args));
        ViewArgs::comparison(args, &mut params, Some("previous"));
        ViewArgs::filters(args, &mut params, Told::Shortly);
        (website, ViewArgs::of(params))
    }

    async fn run(call: Call, (website, view): Self::Input) -> Result<Compared, ToolError> {
        let question = call.question(&website, Self::ACTION).await?;
        let view = view.view(&question).await?;
        let (id, asked) = (question.id(), view.clone());
        let earlier = view.earlier.unwrap_or(view.range);
        let found = question.run(move |asker| {
            let ask = |query: &_| asker.any(id, query);
            Ok((tiles(&asked, asked.range, &ask)?, tiles(&asked, earlier, &ask)?))
        });
        let (current, earlier) = found.await?;
        Ok(Compared {
            period: Period::of(&view, call.now),
            change_percent: ChangePercent::between(&current, &earlier),
            current: current.into(),
            earlier: earlier.into(),
        })
    }
}

/// `get_realtime_visitors`.
pub(super) struct GetRealtimeVisitors;

/// A page that is being viewed.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LivePage {
    page: String,
    visitors: u64,
}

/// Who is here.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Realtime {
    now: String,
    timezone: String,
    window_seconds: u64,
    visitors: u64,
    page: Page,
    pages: Vec<LivePage>,
    untrusted_fields: [&'static str; 1],
}

impl Tool for GetRealtimeVisitors {
    const NAME: &'static str = "get_realtime_visitors";
    const TITLE: &'static str = "Visitors right now";
    const WORDS: &'static str = "How many visitors were active in the last five minutes, and the pages they viewed.";
    const CATEGORY: Option<ToolCategory> = Some(ToolCategory::Analytics);
    const ACTION: Action = Action::ReadAnalytics;
    const LISTS: &'static [&'static str] = &["pages"];
    type Input = (String, PageArgs);
    type Output = Realtime;

    fn read(args: &mut Args) -> Self::Input {
        (website(args), PageArgs::read(args, 20))
    }

    async fn run(call: Call, (website, page): Self::Input) -> Result<Realtime, ToolError> {
        let question = call.question(&website, Self::ACTION).await?;
        let (id, now) = (question.id(), question.now);
        let range = TimeRange::new(now.plus_millis(-LIVE_WINDOW_MS), now.plus_millis(1));
        let PageArgs { limit, offset } = page;
        let found = question.at_once(move |asker| {
            let by = GroupBy::by(zenovay_domain::Dimension::Path).limit(limit).offset(offset).without_empty();
            Ok((asker.live(id, now)?, asker.pages(id, range, by)?))
        });
        let (visitors, found) = found.await?;
        let zone = crate::http::console::sites::zone_of(&question.website);
        let pages: Vec<LivePage> =
            found.rows.iter().map(|row| LivePage { page: value(&row.value), visitors: row.metrics.visitors }).collect();
        Ok(Realtime {
            now: zone.format_with_offset(now),
            timezone: zone.name().to_owned(),
            window_seconds: LIVE_WINDOW_MS.unsigned_abs() / 1_000,
            visitors,
            page: page.page(pages.len(), found.total_rows),
            pages,
            untrusted_fields: ["pages[].page"],
        })
    }
}
