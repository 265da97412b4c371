//! Each question as SQL, and the answer out of its rows.

use std::collections::HashMap;
use std::sync::Arc;

use clickhouse::Row;
use serde::Deserialize;
use zenovay_domain::{Dimension, Interval, LIVE_WINDOW_MS, SessionId, TimeRange, Timestamp, VisitorId, Zone};
use zenovay_query::{
    Answer, Breakdown, BreakdownRow, Budget, EventTable, Field, Filter, FilterLevel, FunnelCounts, GroupBy, LiveCount,
    Metric, MetricValues, NewVisitors, Order, Overview, Query, QueryError, Question, RowPlace, Series, SeriesPoint,
    StringColumn, VisitorPage, VisitorRecord,
};

use crate::compare::{Expressions, conditions};
use crate::plan::{IS_EVENT, Plan, Source};
use crate::row::StoredRow;
use crate::server::Servers;
use crate::sql::{Text, int64, list, within};

/// So many buckets are asked for at once.
const BUCKETS_AT_ONCE: usize = 10_000;

/// One question, while it is answered.
pub(crate) struct Asked<'a> {
    pub(crate) servers: &'a Servers,
    pub(crate) source: Source<'a>,
    pub(crate) query: &'a Query,
    pub(crate) budget: &'a Budget,
}

/// Totals as they are computed.
#[derive(Debug, Row, Deserialize)]
struct TotalsRow {
    visitors: u64,
    pageviews: u64,
    events: u64,
    sessions: u64,
    bounces: u64,
    duration_ms: u64,
    value_score: u64,
}

const TOTALS: [&str; 7] = ["visitors", "pageviews", "events", "sessions", "bounces", "duration_ms", "value_score"];

impl TotalsRow {
    fn metrics(&self) -> MetricValues {
        let mut metrics = MetricValues::default();
        metrics.visitors = self.visitors;
        metrics.pageviews = self.pageviews;
        metrics.events = self.events;
        metrics.sessions = self.sessions;
        metrics.bounces = self.bounces;
        metrics.duration_ms = self.duration_ms;
        metrics.value_score = self.value_score;
        metrics
    }
}

#[derive(Debug, Row, Deserialize)]
struct BucketRow {
    bucket: i64,
    visitors: u64,
    pageviews: u64,
    events: u64,
    sessions: u64,
    bounces: u64,
    duration_ms: u64,
    value_score: u64,
}

#[derive(Debug, Row, Deserialize)]
struct EndsRow {
    events: u64,
    first_at: i64,
    last_at: i64,
}

#[derive(Debug, Row, Deserialize)]
struct GroupRow {
    is_total: u8,
    value: String,
    and_value: String,
    visitors: u64,
    pageviews: u64,
    events: u64,
    sessions: u64,
    bounces: u64,
    duration_ms: u64,
    value_score: u64,
    title: String,
    time_on_page_ms: u64,
    timed_pageviews: u64,
    total_rows: u64,
}

#[derive(Debug, Row, Deserialize)]
struct StepRow {
    step: u64,
    visitors: u64,
    sessions: u64,
}

#[derive(Debug, Row, Deserialize)]
struct NewcomersRow {
    bucket: i64,
    visitors: u64,
}

#[derive(Debug, Row, Deserialize)]
struct VisitorRow {
    visitor: u64,
    visited_at: i64,
    landing_page: String,
    referrer: String,
    country: String,
    city: String,
    device: String,
    browser: String,
    os: String,
    pageviews: u64,
    duration_ms: u64,
    had_interaction: u8,
    value_score: u64,
}

/// The sums of columns of the shards: nobody is on two of them.
fn sums<'a>(columns: impl IntoIterator<Item = &'a &'a str>) -> String {
    list(columns.into_iter().map(|column| format!("sum({column}) AS {column}")))
}

impl Asked<'_> {
    /// The answer.
    ///
    /// # Errors
    /// When the budget is used up, the servers give no answer, or the question cannot be answered.
    pub(crate) fn answer(&self) -> Result<Answer, QueryError> {
        self.budget.check()?;
        self.query.check_depth()?;
        let expressions = self.expressions()?;
        let plan = Plan::new(self.source, &expressions, self.query.range);
        match &self.query.question {
            Question::Overview => self.overview(plan),
            Question::Series { interval, zone } => self.series(&expressions, *interval, zone),
            Question::Breakdown(group_by) => self.breakdown(plan, group_by),
            Question::Live => self.live(plan),
            Question::Visitors { limit, offset, after } => self.visitors(plan, *limit, *offset, *after),
            Question::Funnel { steps } => self.funnel(plan, steps),
            Question::NewVisitors { interval, zone } => self.new_visitors(&expressions, *interval, zone),
            Question::Events { limit, offset } => self.events(plan, *limit, *offset),
            other => Err(QueryError::unavailable(format!("this store does not know the question {other:?}"))),
        }
    }

    /// Compares the regular expressions of all filters with the values that their columns have.
    fn expressions(&self) -> Result<Expressions, QueryError> {
        let mut filters = vec![&self.query.filter];
        if let Question::Funnel { steps } = &self.query.question {
            filters.extend(steps);
        }
        let mut expressions = Expressions::default();
        for condition in filters.into_iter().flat_map(conditions) {
            if expressions.has(condition) {
                continue;
            }
            let value = match &condition.field {
                Field::Property(name) => format!("property_values[{}]", Text(name)),
                field => format!("CAST({} AS String)", field.column().as_str()),
            };
            // Of live sessions the range is not what is looked at.
            let rows = match &self.query.question {
                Question::Live => "1".to_owned(),
                _ => within("at", Plan::window(self.query.range)),
            };
            let inner = format!("SELECT DISTINCT {value} AS value FROM {}", self.source.rows(&rows));
            let statement = format!("SELECT DISTINCT value FROM {}", self.source.across(&inner));
            let values = self.servers.ask(&statement, self.budget, |value: &String| value.len())?;
            expressions.add(condition, values);
        }
        Ok(expressions)
    }

    fn overview(&self, mut plan: Plan<'_>) -> Result<Answer, QueryError> {
        let chosen = plan.chosen(&self.query.filter, self.query.range, false)?;
        let inner = format!(
            "SELECT uniqExact(who) AS visitors, sum(chosen_pageviews) AS pageviews, sum(chosen_events) AS events, \
             count() AS sessions, countIf(is_bounce) AS bounces, sum(duration) AS duration_ms, sum(score) AS value_score \
             FROM ({chosen})"
        );
        let statement = format!("SELECT {} FROM {}", sums(&TOTALS), self.source.across(&inner));
        let totals: TotalsRow = self.servers.ask_one(&statement, self.budget)?;
        let mut overview = Overview::default();
        overview.metrics = totals.metrics();
        Ok(Answer::Overview(overview))
    }

    /// The range, where it has no end from the first or to the last event that is chosen.
    fn closed(&self, expressions: &Expressions) -> Result<TimeRange, QueryError> {
        let range = self.query.range;
        if range.from != Timestamp::MIN && range.to != Timestamp::MAX {
            return Ok(range);
        }
        let mut plan = Plan::new(self.source, expressions, range);
        let chosen = plan.chosen(&self.query.filter, range, true)?;
        let inner = format!(
            "SELECT count() AS events, min(chosen[1].1) AS first_at, max(chosen[-1].1) AS last_at FROM ({chosen}) HAVING events > 0"
        );
        let statement = format!(
            "SELECT sum(events) AS events, min(first_at) AS first_at, max(last_at) AS last_at FROM {}",
            self.source.across(&inner)
        );
        let rows: Vec<EndsRow> = self.servers.ask(&statement, self.budget, |_| 0)?;
        let ends = rows.first().filter(|row| row.events > 0);
        let first = ends.map(|row| Timestamp::from_millis(row.first_at));
        let last = ends.map(|row| Timestamp::from_millis(row.last_at).plus_millis(1));
        Ok(TimeRange::new(
            if range.from == Timestamp::MIN { first.unwrap_or(range.to) } else { range.from },
            if range.to == Timestamp::MAX { last.unwrap_or(range.from) } else { range.to },
        ))
    }

    /// The buckets of the range, as many as there is memory for.
    fn buckets(&self, range: TimeRange, interval: Interval, zone: &Zone) -> Result<Vec<TimeRange>, QueryError> {
        let most = (self.budget.memory_bytes() / size_of::<SeriesPoint>()).saturating_add(1);
        let buckets = zone.buckets(range, interval, most);
        self.budget.check_memory(buckets.len().saturating_mul(size_of::<SeriesPoint>()))?;
        Ok(buckets)
    }

    /// The part of the range that is in `buckets`, which follow each other.
    fn inside(&self, buckets: &[TimeRange]) -> TimeRange {
        let range = self.query.range;
        let from = buckets.first().map_or(range.from, |first| first.from.max(range.from));
        let to = buckets.last().map_or(range.from, |last| last.to.min(range.to));
        TimeRange::new(from, to)
    }

    fn series(&self, expressions: &Expressions, interval: Interval, zone: &Zone) -> Result<Answer, QueryError> {
        let buckets = self.buckets(self.closed(expressions)?, interval, zone)?;
        let mut series = Series::default();
        for buckets in buckets.chunks(BUCKETS_AT_ONCE) {
            let mut plan = Plan::new(self.source, expressions, self.query.range);
            let chosen = plan.chosen(&self.query.filter, self.inside(buckets), true)?;
            let by_session = format!(
                "SELECT any(who) AS visitor, {} AS bucket, countIf(e.3 = 0) AS views, count() AS happened, any(is_bounce) AS bounce, \
                 any(duration) AS lasted, any(score) AS scored FROM ({chosen}) ARRAY JOIN chosen AS e GROUP BY session, bucket",
                bucket_of("e.1", buckets)
            );
            let inner = format!(
                "SELECT bucket, uniqExact(visitor) AS visitors, sum(views) AS pageviews, sum(happened) AS events, \
                 count() AS sessions, countIf(bounce) AS bounces, sum(lasted) AS duration_ms, sum(scored) AS value_score \
                 FROM ({by_session}) GROUP BY bucket"
            );
            let statement =
                format!("SELECT bucket, {} FROM {} GROUP BY bucket", sums(&TOTALS), self.source.across(&inner));
            let rows: Vec<BucketRow> = self.servers.ask(&statement, self.budget, |_| 0)?;
            let mut found: HashMap<i64, MetricValues> = HashMap::with_capacity(rows.len());
            for BucketRow { bucket, visitors, pageviews, events, sessions, bounces, duration_ms, value_score } in rows {
                let row = TotalsRow { visitors, pageviews, events, sessions, bounces, duration_ms, value_score };
                found.insert(bucket, row.metrics());
            }
            series.points.extend(buckets.iter().map(|&bucket| {
                SeriesPoint::new(bucket, found.get(&bucket.from.as_millis()).copied().unwrap_or_default())
            }));
        }
        Ok(Answer::Series(series))
    }

    fn breakdown(&self, mut plan: Plan<'_>, group_by: &GroupBy) -> Result<Answer, QueryError> {
        let is_path = group_by.field == Field::Dimension(Dimension::Path);
        let wants = |metric: &Metric| is_path && group_by.metrics.contains(metric);
        let (wants_title, wants_time) = (wants(&Metric::Title), wants(&Metric::TimeOnPage));
        let fields: Vec<&Field> = [Some(&group_by.field), group_by.and.as_ref()].into_iter().flatten().collect();
        let is_by_event = fields.iter().any(|field| field.level() != FilterLevel::Session);
        let keys: Vec<String> = fields.iter().map(|field| plan.key(field, "e")).collect();
        let title = wants_title.then(|| plan.string(&Field::Dimension(Dimension::Title), "e"));
        let chosen = plan.chosen(&self.query.filter, self.query.range, is_by_event || wants_time)?;
        let keys: String =
            keys.iter().enumerate().map(|(place, key)| format!("{key} AS key_{place}, ")).collect::<String>();
        let names = if fields.len() == 1 { "key_0" } else { "key_0, key_1" };
        let shown = if group_by.include_empty { "1" } else { "key_0 != ''" };
        // Sessions, or sessions in the rows in which they have events.
        let by_session = if is_by_event {
            let (from, time) = match wants_time {
                true => (with_pages(&chosen), TIME_ON_PAGE),
                false => (format!("({chosen})"), "toInt64(-1)"),
            };
            let title = title.map_or_else(
                || "'' AS last_title, (toInt64(0), toUInt64(0)) AS title_at, ".to_owned(),
                |title| {
                    format!(
                        "argMaxIf({title}, (e.1, e.2), {title} != '') AS last_title, \
                     argMaxIf((e.1, e.2), (e.1, e.2), {title} != '') AS title_at, "
                    )
                },
            );
            format!(
                "SELECT any(who) AS visitor, {keys}countIf(e.3 = 0) AS views, count() AS happened, any(is_bounce) AS bounce, \
                 any(duration) AS lasted, any(score) AS scored, {title}\
                 toUInt64(sumIf({time}, {time} >= 0)) AS timed_ms, countIf({time} >= 0) AS timed \
                 FROM {from} ARRAY JOIN chosen AS e WHERE {shown} GROUP BY session, {names}"
            )
        } else {
            format!(
                "SELECT who AS visitor, {keys}chosen_pageviews AS views, chosen_events AS happened, is_bounce AS bounce, \
                 duration AS lasted, score AS scored, '' AS last_title, (toInt64(0), toUInt64(0)) AS title_at, \
                 toUInt64(0) AS timed_ms, toUInt64(0) AS timed FROM ({chosen}) WHERE {shown}"
            )
        };
        let inner = format!(
            "SELECT toUInt8(grouping(key_0)) AS is_total, {names}, uniqExact(visitor) AS visitors, sum(views) AS pageviews, sum(happened) AS events, \
             count() AS sessions, countIf(bounce) AS bounces, sum(lasted) AS duration_ms, sum(scored) AS value_score, \
             argMaxIf(last_title, title_at, last_title != '') AS title, argMaxIf(title_at, title_at, last_title != '') AS titled_at, \
             sum(timed_ms) AS time_on_page_ms, sum(timed) AS timed_pageviews \
             FROM ({by_session}) GROUP BY GROUPING SETS (({names}), ())"
        );
        let order = match group_by.order {
            Order::Pageviews => "pageviews",
            Order::Sessions => "sessions",
            Order::Events => "events",
            _ => "visitors",
        };
        let merged = format!(
            "SELECT is_total, key_0 AS value, {} AS and_value, {}, argMaxIf(title, titled_at, title != '') AS title, \
             sum(time_on_page_ms) AS time_on_page_ms, sum(timed_pageviews) AS timed_pageviews \
             FROM {} GROUP BY is_total, {names}",
            if fields.len() == 1 { "''" } else { "key_1" },
            sums(&TOTALS),
            self.source.across(&inner)
        );
        let counted = format!("SELECT *, countIf(is_total = 0) OVER () AS total_rows FROM ({merged})");
        let placed = format!(
            "SELECT *, row_number() OVER (PARTITION BY is_total ORDER BY {order} DESC, value, and_value) AS place \
             FROM ({counted}) WHERE is_total = 1 OR ({})",
            wanted_rows(group_by, order)
        );
        let last = group_by.offset.saturating_add(group_by.limit);
        let statement = format!(
            "SELECT is_total, value, and_value, {}, title, time_on_page_ms, timed_pageviews, total_rows FROM ({placed}) \
             WHERE is_total = 1 OR (place > {} AND place <= {last}) ORDER BY is_total DESC, place",
            list(TOTALS),
            group_by.offset
        );
        let rows: Vec<GroupRow> = self
            .servers
            .ask(&statement, self.budget, |row: &GroupRow| row.value.len() + row.and_value.len() + row.title.len())?;
        let mut breakdown = Breakdown::default();
        for row in rows {
            if row.is_total == 1 {
                breakdown.total_visitors = row.visitors;
                breakdown.total_rows = usize::try_from(row.total_rows).unwrap_or(usize::MAX);
                continue;
            }
            let mut answered = BreakdownRow::default();
            answered.metrics.visitors = row.visitors;
            answered.metrics.pageviews = row.pageviews;
            answered.metrics.events = row.events;
            if group_by.wants_sessions() {
                answered.metrics.sessions = row.sessions;
                answered.metrics.bounces = row.bounces;
                answered.metrics.duration_ms = row.duration_ms;
                answered.metrics.value_score = row.value_score;
            }
            answered.value = row.value;
            answered.and = group_by.and.is_some().then_some(row.and_value);
            answered.title = Some(row.title).filter(|title| !title.is_empty());
            answered.time_on_page_ms = row.time_on_page_ms;
            answered.timed_pageviews = row.timed_pageviews;
            breakdown.rows.push(answered);
        }
        Ok(Answer::Breakdown(breakdown))
    }

    fn live(&self, mut plan: Plan<'_>) -> Result<Answer, QueryError> {
        let now = self.query.range.to;
        // Nobody is live whose last activity is exactly that far away.
        let active = TimeRange::new(now.plus_millis(1 - LIVE_WINDOW_MS), now.plus_millis(LIVE_WINDOW_MS));
        let active = plan.active(&self.query.filter, active)?;
        let inner = format!("SELECT uniqExact(who) AS visitors FROM ({active})");
        let statement = format!("SELECT sum(visitors) AS visitors FROM {}", self.source.across(&inner));
        let mut count = LiveCount::default();
        count.visitors = self.servers.ask_one(&statement, self.budget)?;
        Ok(Answer::Live(count))
    }

    fn visitors(
        &self,
        mut plan: Plan<'_>,
        limit: usize,
        offset: usize,
        after: Option<(Timestamp, VisitorId)>,
    ) -> Result<Answer, QueryError> {
        let mut told = vec![format!("{} AS landing_page", plan.session_value(&Field::EntryPage))];
        let shown = [
            Dimension::Referrer,
            Dimension::Country,
            Dimension::City,
            Dimension::Device,
            Dimension::Browser,
            Dimension::Os,
        ];
        for dimension in shown {
            told.push(format!("{} AS {}", plan.session_value(&Field::Dimension(dimension)), dimension.as_str()));
        }
        let chosen = plan.chosen(&self.query.filter, self.query.range, false)?;
        let names = "landing_page, referrer, country, city, device, browser, os";
        let after = after.map_or_else(String::new, |(at, visitor)| {
            let at = int64(at.as_millis());
            format!("WHERE visited_at < {at} OR (visited_at = {at} AND visitor > {})", visitor.0)
        });
        let last = offset.saturating_add(limit).saturating_add(1);
        let limited = if last == usize::MAX { String::new() } else { format!("LIMIT {last}") };
        // Of each visitor the newest session; of two that began together the one with the lower id.
        let newest = format!(
            "SELECT who AS visitor, first_at AS visited_at, {}, all_pageviews AS pageviews, duration AS duration_ms, \
             toUInt8(all_others > 0) AS had_interaction, score AS value_score FROM ({chosen}) \
             ORDER BY who, first_at DESC, session LIMIT 1 BY who",
            told.join(", ")
        );
        let columns = format!("visitor, visited_at, {names}, pageviews, duration_ms, had_interaction, value_score");
        let order = "ORDER BY visited_at DESC, visitor";
        let inner = format!("SELECT {columns} FROM ({newest}) {after} {order} {limited}");
        let statement =
            format!("SELECT {columns} FROM {} {order} {limited} OFFSET {offset}", self.source.across(&inner));
        let mut rows: Vec<VisitorRow> = self.servers.ask(&statement, self.budget, |row: &VisitorRow| {
            row.landing_page.len() + row.referrer.len() + row.city.len() + row.browser.len() + row.os.len()
        })?;
        let mut page = VisitorPage::default();
        page.has_more = rows.len() > limit;
        rows.truncate(limit);
        page.visitors = rows.into_iter().map(record).collect();
        Ok(Answer::Visitors(page))
    }

    fn funnel(&self, mut plan: Plan<'_>, steps: &[Filter]) -> Result<Answer, QueryError> {
        let mut counts = FunnelCounts::default();
        (counts.visitors, counts.sessions) = (vec![0; steps.len()], vec![0; steps.len()]);
        if steps.is_empty() {
            return Ok(Answer::Funnel(counts));
        }
        let takes: Vec<String> = steps.iter().map(|step| plan.chooses(step, "e")).collect::<Result<_, _>>()?;
        let takes = list(takes.iter().map(|step| format!("CAST({step} AS UInt8)")));
        let chosen = plan.chosen(&self.query.filter, self.query.range, true)?;
        // Each event takes the next step when it can: nobody gets further in another way.
        let reached = format!(
            "SELECT who, arrayFold((taken, takes) -> toUInt16(taken + takes[taken + 1]), \
             arrayMap(e -> [{takes}], chosen), toUInt16(0)) AS reached FROM ({chosen})"
        );
        let inner = format!(
            "SELECT step, uniqExact(who) AS visitors, count() AS sessions FROM ({reached}) \
             ARRAY JOIN range(1, toUInt64(reached) + 1) AS step GROUP BY step"
        );
        let statement = format!(
            "SELECT toUInt64(step) AS step, sum(visitors) AS visitors, sum(sessions) AS sessions FROM {} GROUP BY step",
            self.source.across(&inner)
        );
        let rows: Vec<StepRow> = self.servers.ask(&statement, self.budget, |_| 0)?;
        for row in rows {
            let place = usize::try_from(row.step).unwrap_or(0).wrapping_sub(1);
            if let (Some(visitors), Some(sessions)) = (counts.visitors.get_mut(place), counts.sessions.get_mut(place)) {
                (*visitors, *sessions) = (row.visitors, row.sessions);
            }
        }
        Ok(Answer::Funnel(counts))
    }

    fn new_visitors(
        &self,
        expressions: &Expressions,
        interval: Option<Interval>,
        zone: &Zone,
    ) -> Result<Answer, QueryError> {
        let buckets = match interval {
            Some(interval) => self.buckets(self.closed(expressions)?, interval, zone)?,
            None => vec![self.query.range],
        };
        let mut counts = Vec::with_capacity(buckets.len());
        for buckets in buckets.chunks(BUCKETS_AT_ONCE) {
            let inside = self.inside(buckets);
            let mut plan = Plan::new(self.source, expressions, self.query.range);
            let chosen = plan.chosen(&self.query.filter, inside, true)?;
            // Bucket by bucket: a visitor who is there later than in the bucket of the first event is not new then.
            let seen = format!(
                "SELECT DISTINCT who AS visitor, {} AS bucket FROM ({chosen}) ARRAY JOIN chosen AS e",
                bucket_of("e.1", buckets)
            );
            let firsts = format!(
                "SELECT visitor, {} AS bucket FROM (SELECT visitor, min(at) AS first FROM {} GROUP BY visitor) WHERE {}",
                bucket_of("first", buckets),
                self.source.rows(IS_EVENT),
                within("first", inside)
            );
            let inner = format!(
                "SELECT bucket, count() AS visitors FROM ({seen}) WHERE (visitor, bucket) IN ({firsts}) GROUP BY bucket"
            );
            let statement =
                format!("SELECT bucket, sum(visitors) AS visitors FROM {} GROUP BY bucket", self.source.across(&inner));
            let rows: Vec<NewcomersRow> = self.servers.ask(&statement, self.budget, |_| 0)?;
            let found: HashMap<i64, u64> = rows.into_iter().map(|row| (row.bucket, row.visitors)).collect();
            counts
                .extend(buckets.iter().map(|bucket| found.get(&bucket.from.as_millis()).copied().unwrap_or_default()));
        }
        Ok(Answer::NewVisitors(NewVisitors::new(self.query.cut(), &buckets, &counts)))
    }

    fn events(&self, mut plan: Plan<'_>, limit: usize, offset: usize) -> Result<Answer, QueryError> {
        let inside = within("at", self.query.range);
        let chosen = if self.query.filter == Filter::default() {
            String::new()
        } else {
            let chosen = plan.chosen(&self.query.filter, self.query.range, true)?;
            format!(" AND arrival IN (SELECT e.2 FROM ({chosen}) ARRAY JOIN chosen AS e)")
        };
        let last = offset.saturating_add(limit);
        let limited = if last == usize::MAX { String::new() } else { format!("LIMIT {last}") };
        let order = "ORDER BY at, arrival";
        let inner = format!(
            "SELECT {}, arrival FROM {} {order} {limited}",
            StoredRow::COLUMNS,
            self.source.rows(&format!("{inside} AND {IS_EVENT}{chosen}"))
        );
        let statement = format!(
            "SELECT {} FROM {} {order} {} OFFSET {offset}",
            StoredRow::NAMES,
            self.source.across(&inner),
            if limit == usize::MAX { String::new() } else { format!("LIMIT {limit}") }
        );
        let rows = self.servers.ask(&statement, self.budget, StoredRow::text_bytes)?;
        let mut table = Box::new(EventTable::default());
        let mut columns: Vec<Strings> = Dimension::ALL.iter().map(|_| Strings::default()).collect();
        for row in &rows {
            table.at.push(Timestamp::from_millis(row.at));
            table.kind.push(row.kind()?);
            table.visitor.push(VisitorId(row.visitor));
            table.session.push(SessionId(row.session));
            for (column, &dimension) in columns.iter_mut().zip(Dimension::ALL) {
                column.push(row.text(dimension));
            }
        }
        for (column, strings) in table.columns.iter_mut().zip(columns) {
            *column = strings.column;
        }
        Ok(Answer::Events(table))
    }
}

/// A column of strings while it is filled.
#[derive(Default)]
struct Strings {
    column: StringColumn,
    codes: HashMap<Arc<str>, u32>,
}

impl Strings {
    fn push(&mut self, text: &str) {
        let code = match self.codes.get(text) {
            Some(&code) => code,
            None => {
                let code = u32::try_from(self.column.strings.len()).unwrap_or(u32::MAX);
                let text: Arc<str> = text.into();
                self.column.strings.push(Arc::clone(&text));
                self.codes.insert(text, code);
                code
            }
        };
        self.column.codes.push(code);
    }
}

fn record(row: VisitorRow) -> VisitorRecord {
    let mut record = VisitorRecord::new(VisitorId(row.visitor), Timestamp::from_millis(row.visited_at));
    record.landing_page = row.landing_page;
    record.referrer = row.referrer;
    record.country = row.country;
    record.city = row.city;
    record.device = row.device;
    record.browser = row.browser;
    record.os = row.os;
    record.pageviews = row.pageviews;
    record.duration_ms = row.duration_ms;
    record.had_interaction = row.had_interaction != 0;
    record.value_score = u8::try_from(row.value_score).unwrap_or(u8::MAX);
    record
}

/// The beginning of the bucket that the time `at` is in.
fn bucket_of(at: &str, buckets: &[TimeRange]) -> String {
    match buckets {
        [only] => format!("{} + 0 * {at}", int64(only.from.as_millis())),
        buckets => {
            // The first one begins at or before what is counted.
            format!(
                "roundDown({at}, CAST([{}] AS Array(Int64)))",
                list(buckets.iter().map(|bucket| bucket.from.as_millis()))
            )
        }
    }
}

/// The sessions of `chosen` with the numbers and times of all their pageviews.
fn with_pages(chosen: &str) -> String {
    format!(
        "(SELECT *, arrayFilter(page -> page.3 = 0, events) AS pages, arrayMap(page -> page.2, pages) AS page_arrivals, \
         arrayMap(page -> page.1, pages) AS page_times FROM ({chosen}))"
    )
}

/// From a pageview to the next one of its session, or from the last one to a later last activity; -1 of what has no such time.
const TIME_ON_PAGE: &str = "multiIf(e.3 != 0, toInt64(-1), indexOf(page_arrivals, e.2) < length(page_arrivals), \
     page_times[indexOf(page_arrivals, e.2) + 1] - e.1, last_at > e.1, last_at - e.1, toInt64(-1))";

/// Which rows of a breakdown are wanted.
fn wanted_rows(group_by: &GroupBy, order: &str) -> String {
    let mut conditions = vec!["1".to_owned()];
    if let Some(values) = &group_by.values {
        // One with a second value is no row of a breakdown by one field, nor the other way about.
        let fitting = values.iter().filter(|(_, and)| and.is_some() == group_by.and.is_some());
        let pairs: Vec<String> =
            fitting.map(|(value, and)| format!("({}, {})", Text(value), Text(and.as_deref().unwrap_or("")))).collect();
        conditions.push(match pairs.is_empty() {
            true => "0".to_owned(),
            false => format!("(value, and_value) IN ({})", pairs.join(", ")),
        });
    }
    if let Some(after) = group_by.after.as_deref() {
        let RowPlace { count, value, and, .. } = after;
        let value = Text(value);
        let later = match (and, &group_by.and) {
            (Some(and), Some(_)) => format!("and_value > {}", Text(and)),
            // A row with a second value comes after one without.
            (None, Some(_)) => "1".to_owned(),
            (_, None) => "0".to_owned(),
        };
        conditions.push(format!(
            "({order} < {count} OR ({order} = {count} AND (value > {value} OR (value = {value} AND {later}))))"
        ));
    }
    conditions.join(" AND ")
}
