//! How an answer came about: what was counted, what was left out, and why.

use serde::Serialize;
use utoipa::ToSchema;
use zenovay_domain::{Timestamp, WebsiteId};
use zenovay_query::{Filter, MetricValues, Query, QueryError, Question};
use zenovay_stats::{Ask, Metric, Property};
use zenovay_store::DroppedHits;

use super::answers::AnsweredRange;
use crate::http::queries::QuerySession;
use crate::http::values::Instant;

/// How an answer came about.
#[derive(Debug, Serialize, ToSchema)]
pub struct Explanation {
    /// What was counted.
    counted: Counted,
    /// What was not, and why.
    left_out: Vec<LeftOut>,
    /// The instants.
    range: AnsweredRange,
    /// The zone in which days were cut.
    #[schema(examples("UTC"))]
    timezone: String,
    /// `exact`: nothing was sampled or estimated.
    #[schema(examples("exact"))]
    exactness: &'static str,
    /// Which definition of each metric holds. A metric that is ever counted in another way gets another one.
    definitions: Vec<Definition>,
    /// When the answer was made: what was stored before is in it.
    as_of: Instant,
}

/// What was counted.
#[derive(Debug, Serialize, ToSchema)]
pub struct Counted {
    /// Events, but heartbeats.
    #[schema(examples(5310))]
    events: u64,
    /// Pageviews.
    #[schema(examples(4210))]
    pageviews: u64,
    /// Visits.
    #[schema(examples(1520))]
    visits: u64,
    /// Visitors.
    #[schema(examples(1204))]
    visitors: u64,
}

impl From<MetricValues> for Counted {
    fn from(metrics: MetricValues) -> Self {
        let MetricValues { visitors, pageviews, events, sessions, .. } = metrics;
        Self { events, pageviews, visits: sessions, visitors }
    }
}

/// Something that was not counted.
#[derive(Debug, Serialize, ToSchema)]
pub struct LeftOut {
    /// Why: `filters`, `not_a_page_view`, `told_by_a_person`, `no_value`, `other_pages`, `heartbeat`, `dropped`.
    #[schema(examples("filters"))]
    reason: &'static str,
    /// In words.
    #[schema(examples("Events in the range that the filters do not choose"))]
    because: String,
    /// How many events, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples(211))]
    events: Option<u64>,
    /// How many rows, where rows are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples(12))]
    rows: Option<u64>,
    /// Since when, where it is not of the range.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Instant>,
}

impl LeftOut {
    fn events(reason: &'static str, because: &str, events: u64) -> Self {
        Self { reason, because: because.to_owned(), events: Some(events), rows: None, since: None }
    }
}

/// The definition of a metric.
#[derive(Debug, Serialize, ToSchema)]
pub struct Definition {
    /// The metric.
    #[schema(examples("visitors"))]
    metric: &'static str,
    /// Names its definition.
    #[schema(examples("visitors.distinct.v1"))]
    id: &'static str,
}

/// What is counted at each step towards an answer.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    in_range: MetricValues,
    chosen: MetricValues,
    /// What rows may tell of.
    readable: MetricValues,
    /// Of rows: what those of the properties are about.
    of_rows: Option<MetricValues>,
    /// Of rows: what has a value, where others have no row.
    with_value: Option<u64>,
}

impl Counts {
    /// Counts for `ask`, and for rows by `properties`, if any.
    ///
    /// # Errors
    /// Those of queries.
    pub fn of(
        asker: &QuerySession<'_>,
        website: WebsiteId,
        ask: &Ask,
        properties: &[Property],
    ) -> Result<Self, QueryError> {
        let overview = |filter| -> Result<MetricValues, QueryError> {
            let query = Query::new(ask.range, Question::Overview).filter(filter);
            Ok(asker.any(website, &query)?.into_overview()?.metrics)
        };
        let in_range = overview(Filter::default())?;
        let chosen = overview(ask.filters.all())?;
        let Some(property) = properties.first() else {
            return Ok(Self { in_range, chosen, readable: chosen, of_rows: None, with_value: None });
        };
        let readable = match properties.iter().any(Property::is_custom) {
            true => overview(ask.readable(properties))?,
            false => chosen,
        };
        let filter = ask.filter_of_rows(properties);
        let of_rows = overview(filter.clone())?;
        let with_value = match property.has_no_empty_row() {
            true => Some(overview(Filter::All(vec![filter, property.has_value()]))?.events),
            false => None,
        };
        Ok(Self { in_range, chosen, readable, of_rows: Some(of_rows), with_value })
    }
}

/// What the answer says about itself.
pub struct About<'a> {
    /// What was counted on the way.
    pub counts: Counts,
    /// The question.
    pub ask: &'a Ask,
    /// Rows that are on other pages.
    pub other_rows: u64,
    /// The zone.
    pub timezone: String,
    /// What was dropped before it was stored.
    pub dropped: &'a [DroppedHits],
    /// When.
    pub now: Timestamp,
}

impl About<'_> {
    /// In the form of the answer.
    pub fn explanation(self) -> Explanation {
        let Self { counts, ask, other_rows, timezone, dropped, now } = self;
        let Counts { in_range, chosen, readable, of_rows, with_value } = counts;
        let mut left_out = vec![LeftOut::events(
            "filters",
            "Events in the range that the filters do not choose",
            in_range.events - chosen.events,
        )];
        let counted = of_rows.unwrap_or(chosen);
        if readable.events < chosen.events {
            let because = "Events in which somebody told about themselves: their properties have no rows";
            left_out.push(LeftOut::events("told_by_a_person", because, chosen.events - readable.events));
        }
        if counted.events < readable.events {
            let because = "Events that are not views of a page: a page has a row when it was viewed";
            left_out.push(LeftOut::events("not_a_page_view", because, readable.events - counted.events));
        }
        if let Some(with_value) = with_value {
            let because = "Events without a value of the property, which have no row";
            left_out.push(LeftOut::events("no_value", because, counted.events - with_value));
        }
        if other_rows > 0 {
            let because = "Rows that are on other pages".to_owned();
            let rows = Some(other_rows);
            left_out.push(LeftOut { reason: "other_pages", because, events: None, rows, since: None });
        }
        left_out.push(LeftOut {
            reason: "heartbeat",
            because: "Reports of activity: they make visits longer and count nowhere".to_owned(),
            events: None,
            rows: None,
            since: None,
        });
        let mut reasons: Vec<&str> = dropped.iter().map(|hits| hits.reason.as_str()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        for reason in reasons {
            let of_reason = || dropped.iter().filter(|hits| hits.reason == reason);
            left_out.push(LeftOut {
                reason: "dropped",
                because: format!("Hits of bots, dropped before they were stored: {reason}"),
                events: Some(of_reason().map(|hits| hits.hits).sum()),
                rows: None,
                since: of_reason().map(|hits| hits.first_at).min().map(Instant),
            });
        }
        Explanation {
            counted: counted.into(),
            left_out,
            range: ask.range.into(),
            timezone,
            exactness: "exact",
            definitions: definitions(&ask.metrics),
            as_of: Instant(now),
        }
    }
}

fn definitions(metrics: &[Metric]) -> Vec<Definition> {
    metrics.iter().map(|metric| Definition { metric: metric.as_str(), id: metric.definition() }).collect()
}
