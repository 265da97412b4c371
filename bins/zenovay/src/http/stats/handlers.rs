//! `GET /stats/aggregate`, `/stats/timeseries`, `/stats/breakdown`.

use std::sync::Arc;

use actix_web::web;
use serde_json::Value;
use zenovay_domain::{TimeRange, Timestamp, Website, WebsiteId};
use zenovay_query::{Compared, Comparison, QueryError, RowPlace};
use zenovay_stats::{Ask, Bucket, Cursor, Group, Groups, Property, Rows, Totals};

use super::answers::{
    About, Aggregate, AggregateResults, Breakdown, Changes, Metrics, Point, Row, RowsPage, Timeseries, WithResults,
    bucket_date, metric_columns, shown_value,
};
use super::explain::{self, Counts, Explanation};
use super::params::{AggregateParams, BreakdownParams, Common, TimeseriesParams, read};
use crate::http::envelope::ApiError;
use crate::http::export::sheets::{Accept, Format, Listed, PAGE_ROWS, SheetName};
use crate::http::external::analytics::{GEO_NOTICE, WebsiteName};
use crate::http::guard::{Authorized, ReadStats};
use crate::http::lookups::blocking;
use crate::http::params::Query;
use crate::http::queries::QuerySession;
use crate::http::state::AppState;
use crate::http::turns::Asking;

impl Common {
    /// The question.
    fn ask(&self) -> Ask {
        Ask::new(self.range, self.filters.clone(), self.metrics.clone())
    }

    /// The range that it is compared with.
    fn earlier(&self) -> Option<TimeRange> {
        Some(Comparison::new(self.range, self.compare?, self.zone.clone()).earlier_range())
    }

    fn about(&self, website: &Website) -> About {
        About {
            website: WebsiteName::of(website),
            range: self.range.into(),
            comparison_range: self.earlier().map(Into::into),
            timezone: self.zone.name().to_owned(),
        }
    }
}

/// Who asks about which website.
struct Question {
    state: web::Data<AppState>,
    website: Arc<Website>,
    asking: Asking,
    now: Timestamp,
}

impl Question {
    /// Finds the website that is asked about, if the key reaches it.
    async fn about(
        key: &Authorized<ReadStats>,
        state: &web::Data<AppState>,
        site: String,
        now: Timestamp,
    ) -> Result<Self, ApiError> {
        let (website, asking) = key.website(state, site).await?;
        Ok(Self { state: state.clone(), website, asking, now })
    }

    fn id(&self) -> WebsiteId {
        self.website.id
    }

    async fn run<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&QuerySession<'_>) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.state.queries.run(self.asking, ask).await
    }

    async fn explain(
        &self,
        common: &Common,
        properties: Vec<Property>,
        other_rows: usize,
    ) -> Result<Option<Explanation>, ApiError> {
        if !common.explain {
            return Ok(None);
        }
        let (id, now, ask) = (self.id(), self.now, common.ask());
        let dropped = blocking(&self.state, move |state| state.store.dropped_agents(id, now)).await?;
        let counted = ask.clone();
        let counts = self.run(move |asker| Counts::of(asker, id, &counted, &properties)).await?;
        let about = explain::About {
            counts,
            ask: &ask,
            other_rows: u64::try_from(other_rows).unwrap_or(u64::MAX),
            timezone: common.zone.name().to_owned(),
            dropped: &dropped,
            now,
        };
        Ok(Some(about.explanation()))
    }
}

/// The totals of a range.
pub async fn aggregate(
    key: Authorized<ReadStats>,
    state: web::Data<AppState>,
    query: Query<AggregateParams>,
) -> Result<WithResults<Aggregate>, ApiError> {
    let now = state.clock.now();
    let AggregateParams(common) = read(&query, now)?;
    let question = Question::about(&key, &state, common.site.clone(), now).await?;
    let (id, ask, earlier) = (question.id(), common.ask(), common.earlier());
    let totals = question.run(move |asker| {
        let current = ask.aggregate(|query| asker.any(id, query))?;
        let earlier = match earlier {
            Some(range) => Some(ask.in_range(range).aggregate(|query| asker.any(id, query))?),
            None => None,
        };
        Ok((current, earlier))
    });
    let (current, earlier) = totals.await?;
    let explain = question.explain(&common, Vec::new(), 0).await?;
    let results = AggregateResults::of(&current, earlier.as_ref(), &common.metrics);
    Ok(WithResults::new(Aggregate { about: common.about(&question.website), results, explain }, now))
}

/// The totals of each hour, day, week or month of a range.
pub async fn timeseries(
    key: Authorized<ReadStats>,
    state: web::Data<AppState>,
    query: Query<TimeseriesParams>,
    accept: Accept,
) -> Result<Listed<WithResults<Timeseries>>, ApiError> {
    let now = state.clock.now();
    let TimeseriesParams { common, interval, format } = read(&query, now)?;
    let question = Question::about(&key, &state, common.site.clone(), now).await?;
    let (id, ask, earlier, zone) = (question.id(), common.ask(), common.earlier(), common.zone.clone());
    let series = question.run(move |asker| {
        let current = ask.timeseries(interval, &zone, |query| asker.any(id, query))?;
        let earlier = match earlier {
            Some(range) => Some(ask.in_range(range).timeseries(interval, &zone, |query| asker.any(id, query))?),
            None => None,
        };
        Ok((current, earlier))
    });
    let (current, earlier) = series.await?;
    let point = |(number, bucket): (usize, &Bucket)| {
        // Buckets pair up by their place; one without a partner is compared with nothing.
        let partner = earlier.as_ref().map(|earlier| earlier.get(number).map(|earlier| earlier.totals));
        let compared = partner.map(|earlier| Compared { current: bucket.totals, earlier: earlier.unwrap_or_default() });
        Point {
            date: bucket_date(&common.zone, bucket.bucket.from, interval),
            from: crate::http::values::Instant(bucket.bucket.from),
            metrics: Metrics::of(&bucket.totals, &common.metrics),
            comparison: compared.map(|compared| Metrics::of(&compared.earlier, &common.metrics)),
            change: compared.map(|compared| Changes::of(&compared, &common.metrics)),
        }
    };
    let results: Vec<Point> = current.iter().enumerate().map(point).collect();
    let format = accept.or(format);
    if format != Format::Json {
        let head = ["date", "from"].map(str::to_owned).into_iter();
        let columns = head.chain(metric_columns(&common.metrics, common.compare.is_some())).collect();
        let rows: Vec<Value> = results.iter().map(Point::flat).collect();
        let name = SheetName::of(&question.website, "timeseries", common.range);
        return Ok(Listed::sheet(format, &name, columns, &rows));
    }
    let explain = question.explain(&common, Vec::new(), 0).await?;
    let about = common.about(&question.website);
    Ok(Listed::Json(WithResults::new(Timeseries { about, interval: interval.as_str(), results, explain }, now)))
}

/// The totals of each value of a property, or of each pair of values of two.
pub async fn breakdown(
    key: Authorized<ReadStats>,
    state: web::Data<AppState>,
    query: Query<BreakdownParams>,
    accept: Accept,
) -> Result<Listed<WithResults<Breakdown>>, ApiError> {
    let now = state.clock.now();
    let params = read(&query, now)?;
    let question = Question::about(&key, &state, params.common.site.clone(), now).await?;
    let list = List::new(&params, question.id());
    // The licence of the embedded country database asks for it.
    let is_of_places = params.properties.iter().any(|(_, property)| property.is_place());
    let link = is_of_places.then_some(GEO_NOTICE);
    let asking = question.asking;
    let format = accept.or(params.format);
    if format != Format::Json {
        let name = SheetName::of(&question.website, "breakdown", params.common.range);
        let file = list.sheet(&question.state, asking, format, &name, params.offset, params.file_rows).await?;
        return Ok(file.with_link(link));
    }
    let Page { rows, total_rows, next } = list
        .page(&question.state, asking, params.limit, params.offset, params.cursor.map(|cursor| cursor.after))
        .await?;
    let properties = params.properties.iter().map(|(_, property)| property.clone()).collect();
    let other_rows = total_rows - rows.len();
    let explain = question.explain(&params.common, properties, other_rows).await?;
    let next_cursor = next.map(|after| Cursor::new(params.common.range, after).encode(&params.question));
    let pagination = RowsPage { limit: params.limit, total_rows, has_more: next_cursor.is_some(), next_cursor };
    let about = params.common.about(&question.website);
    let answer = WithResults::new(Breakdown { about, results: rows, pagination, explain }, now);
    Ok(Listed::Json(answer.with_link(link)))
}

/// A list of rows, read page by page.
#[derive(Clone)]
struct List {
    id: WebsiteId,
    ask: Ask,
    earlier: Option<TimeRange>,
    groups: Groups,
    names: Vec<String>,
}

struct Page {
    rows: Vec<Row>,
    total_rows: usize,
    /// The place to go on after; nothing on the last page.
    next: Option<RowPlace>,
}

impl List {
    fn new(params: &BreakdownParams, id: WebsiteId) -> Self {
        let mut properties = params.properties.iter().map(|(_, property)| property.clone());
        // There is one: otherwise the parameters were refused.
        let property = properties.next().unwrap_or(Property::Goal);
        let groups = Groups::by(property).and(properties.next()).order(params.order);
        let names: Vec<&str> = params.properties.iter().map(|(name, _)| name.as_str()).collect();
        let names = Property::keys_of(&names);
        Self { id, ask: params.common.ask(), earlier: params.common.earlier(), groups, names }
    }

    async fn page(
        &self,
        state: &AppState,
        asking: Asking,
        limit: usize,
        offset: usize,
        after: Option<RowPlace>,
    ) -> Result<Page, ApiError> {
        let list = self.clone();
        let pages = state.queries.run(asking, move |asker| {
            let ask = |query: &_| asker.any(list.id, query);
            // One more than is shown tells whether there are more.
            let groups = list.groups.clone().limit(limit.saturating_add(1)).offset(offset).after(after);
            let mut current = list.ask.breakdown(&groups, ask)?;
            let has_more = current.rows.len() > limit;
            current.rows.truncate(limit);
            let earlier = match list.earlier {
                None => None,
                Some(range) => {
                    let values = current.rows.iter().map(|row| (row.value.clone(), row.and.clone())).collect();
                    let partners = list.groups.clone().values(values);
                    Some(list.ask.in_range(range).breakdown(&partners, ask)?)
                }
            };
            Ok((current, has_more, earlier))
        });
        let (current, has_more, earlier) = pages.await?;
        let next = current.rows.last().filter(|_| has_more).map(|row| row.place.clone());
        let rows = current.rows.iter().map(|row| self.row(row, earlier.as_ref())).collect();
        Ok(Page { rows, total_rows: current.total_rows, next })
    }

    fn row(&self, row: &Group, earlier: Option<&Rows>) -> Row {
        let wanted = &self.ask.metrics;
        let properties =
            [Some((&self.groups.property, row.value.as_str())), self.groups.and.as_ref().zip(row.and.as_deref())];
        let shown = properties.into_iter().flatten().map(|(property, value)| shown_value(property, value));
        let comparison = earlier.map(|earlier| {
            let partner = earlier.rows.iter().find(|partner| (&partner.value, &partner.and) == (&row.value, &row.and));
            let earlier = partner.map_or_else(Totals::default, |partner| partner.totals);
            let compared = Compared { current: row.totals, earlier };
            (Metrics::of(&compared.earlier, wanted), Changes::of(&compared, wanted))
        });
        Row {
            values: self.names.iter().cloned().zip(shown).collect(),
            title: row.title.clone().filter(|title| !title.is_empty()),
            metrics: Metrics::of(&row.totals, wanted),
            comparison,
        }
    }

    fn columns(&self) -> Vec<String> {
        let mut columns = self.names.clone();
        if self.groups.property.is_page() && !columns.iter().any(|name| name == "title") {
            columns.push("title".to_owned());
        }
        columns.extend(metric_columns(&self.ask.metrics, self.earlier.is_some()));
        columns
    }

    /// All rows, or the first `rows_max` after `offset`, as a file.
    async fn sheet<T>(
        self,
        state: &web::Data<AppState>,
        asking: Asking,
        format: Format,
        name: &SheetName,
        offset: usize,
        rows_max: usize,
    ) -> Result<Listed<T>, ApiError> {
        let columns = self.columns();
        let state = state.clone();
        let next_page = move |place: Option<(RowPlace, usize)>| {
            let (list, state) = (self.clone(), state.clone());
            async move {
                let (offset, left, after) = match place {
                    None => (offset, rows_max, None),
                    Some((after, left)) => (0, left, Some(after)),
                };
                let page = list.page(&state, asking, left.min(PAGE_ROWS), offset, after).await?;
                let left = left.saturating_sub(page.rows.len());
                let rows: Vec<Value> = page.rows.iter().map(Row::flat).collect();
                Ok((rows, page.next.filter(|_| left > 0).map(|after| (after, left))))
            }
        };
        Listed::stream(format, name, columns, next_page).await
    }
}
