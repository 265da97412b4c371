//! The body of `POST /api/v2/query`, read.

use serde_json::{Map, Value};
use zenovay_domain::{Interval, TimeRange, Timestamp, Zone};
use zenovay_query::Baseline;
use zenovay_stats::{
    Dates, Dialect, Filters, Metric, Period, Problem, Property, PropertyError, filters_of_json, parse_date,
};

/// The most rows of a page.
pub const ROWS_MAX: usize = 10_000;
/// The most days of a range: ten years and their leap days.
const DAYS_MAX: i64 = 3_660;
/// The most names of a list: more than there are metrics, or dimensions.
const NAMES_MAX: usize = 32;

const DAY_MS: i64 = 86_400_000;

/// A metric of version 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// One of ours.
    Metric(Metric),
    /// Conversions of the row as a part of the visits of the row.
    GroupConversionRate,
}

impl Wanted {
    const METRICS: [Metric; 10] = [
        Metric::Visitors,
        Metric::Visits,
        Metric::Pageviews,
        Metric::ViewsPerVisit,
        Metric::BounceRate,
        Metric::VisitDuration,
        Metric::Events,
        Metric::Percentage,
        Metric::ConversionRate,
        Metric::TimeOnPage,
    ];

    fn parse(name: &str) -> Option<Self> {
        match name {
            "group_conversion_rate" => Some(Self::GroupConversionRate),
            name => name.parse().ok().filter(|metric| Self::METRICS.contains(metric)).map(Self::Metric),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Metric(metric) => metric.as_str(),
            Self::GroupConversionRate => "group_conversion_rate",
        }
    }

    /// Ours that it is computed from.
    pub fn metric(self) -> Metric {
        match self {
            Self::Metric(metric) => metric,
            Self::GroupConversionRate => Metric::ConversionRate,
        }
    }
}

/// A dimension of version 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dimension {
    /// Time.
    Time(Interval),
    /// A property.
    Property(Property),
}

/// What rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    /// The metric at this position.
    Metric(usize),
    /// The dimension at this position.
    Dimension(usize),
}

/// What is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Include {
    /// Whether data of others was asked for, of which there is none.
    pub imports: bool,
    /// Whether all buckets are to be named.
    pub time_labels: bool,
    /// Whether the rows are to be counted.
    pub total_rows: bool,
    /// What the range is compared with.
    pub comparisons: Option<Baseline>,
}

/// A question of version 2.
#[derive(Debug, Clone)]
pub struct QuestionV2 {
    /// What is wanted.
    pub metrics: Vec<Wanted>,
    /// The instants.
    pub range: TimeRange,
    /// What rows are of, in the order in which it was asked.
    pub dimensions: Vec<Dimension>,
    /// What counts.
    pub filters: Filters,
    /// What rows are sorted by, and whether ascending.
    pub order_by: Vec<(SortBy, bool)>,
    /// What else is wanted.
    pub include: Include,
    /// How many rows at most.
    pub limit: usize,
    /// How many to skip.
    pub offset: usize,
}

type Read<T> = Result<T, String>;

/// The website that a body names.
pub fn site_of(body: &Map<String, Value>) -> Option<&str> {
    body.get("site_id").and_then(Value::as_str)
}

impl QuestionV2 {
    /// Reads a body about a website with days in `zone`.
    ///
    /// # Errors
    /// What is wrong, and where, as a sentence.
    pub fn read(body: &Map<String, Value>, zone: &Zone, now: Timestamp) -> Read<Self> {
        const MEMBERS: [&str; 8] =
            ["site_id", "metrics", "date_range", "dimensions", "filters", "order_by", "include", "pagination"];
        unknown_member(body, &MEMBERS, "#")?;
        let metrics = metrics(body.get("metrics"))?;
        let range_member = body.get("date_range").ok_or("#: Required property date_range was not present.")?;
        let range = date_range(range_member, "#/date_range", zone, now)?;
        let dimensions = dimensions(body.get("dimensions"), range_member, range)?;
        let filters = match body.get("filters") {
            None | Some(Value::Null) => Filters::default(),
            Some(tree) => filters_of_json(tree, Dialect::Plausible).map_err(filters_problem)?,
        };
        let order_by = order_by(body.get("order_by"), body)?;
        let include = include(body.get("include"), zone, now)?;
        let (limit, offset) = pagination(body.get("pagination"))?;
        let question = Self { metrics, range, dimensions, filters, order_by, include, limit, offset };
        question.check()?;
        Ok(question)
    }

    /// Whether rows are by time, and how.
    pub fn time(&self) -> Option<(usize, Interval)> {
        self.dimensions.iter().enumerate().find_map(|(position, dimension)| match dimension {
            Dimension::Time(interval) => Some((position, *interval)),
            Dimension::Property(_) => None,
        })
    }

    /// The properties that rows are by, with their positions.
    pub fn properties(&self) -> impl Iterator<Item = (usize, &Property)> {
        self.dimensions.iter().enumerate().filter_map(|(position, dimension)| match dimension {
            Dimension::Time(_) => None,
            Dimension::Property(property) => Some((position, property)),
        })
    }

    /// Whether a metric is wanted.
    pub fn wants(&self, metric: Metric) -> bool {
        self.metrics.iter().any(|wanted| wanted.metric() == metric)
    }

    fn check(&self) -> Read<()> {
        let is_by = |wanted: fn(&Property) -> bool| self.properties().any(|(_, property)| wanted(property));
        let of_visits: Vec<String> = self
            .metrics
            .iter()
            .filter(|wanted| wanted.metric().is_of_visits())
            .map(|wanted| format!("`{}`", wanted.name()))
            .collect();
        for wanted in &self.metrics {
            let name = wanted.name();
            match wanted.metric() {
                Metric::ConversionRate
                    if self.filters.goals.is_none() && !is_by(|property| *property == Property::Goal) =>
                {
                    return Err(format!("Metric `{name}` can only be queried with event:goal filters or dimensions"));
                }
                Metric::ViewsPerVisit if self.filters.names_page => {
                    return Err(format!("Metric `{name}` cannot be queried with a filter on `event:page`"));
                }
                Metric::ViewsPerVisit if self.properties().next().is_some() => {
                    return Err(format!("Metric `{name}` cannot be queried with `dimensions`"));
                }
                Metric::TimeOnPage if !is_by(Property::is_page) => {
                    let is_total = self.dimensions.is_empty() && self.filters.names_page;
                    if !is_total {
                        return Err(format!(
                            "Metric `{name}` can only be queried with event:page filters or dimensions"
                        ));
                    }
                }
                Metric::Percentage if self.properties().next().is_none() => {
                    return Err(format!("Metric `{name}` can only be queried with `dimensions`"));
                }
                _ => {}
            }
        }
        if !of_visits.is_empty() && is_by(Property::is_of_events_only) {
            return Err(format!(
                "Session metric(s) {} cannot be queried along with event dimensions. Ask for them without these dimensions",
                of_visits.join(", ")
            ));
        }
        if self.properties().count() > 2 {
            return Err("#/dimensions: At most two dimensions beside time can be queried together.".to_owned());
        }
        if self.dimensions.iter().filter(|dimension| matches!(dimension, Dimension::Time(_))).count() > 1 {
            return Err("#/dimensions: Only one time dimension can be queried.".to_owned());
        }
        if self.include.time_labels && self.time().is_none() {
            return Err("Invalid include.time_labels: requires a time dimension.".to_owned());
        }
        Ok(())
    }
}

fn filters_problem(problem: Problem) -> String {
    match problem.at.as_str() {
        // A rule that this API tells in its own words.
        _ if problem.problem.starts_with("Invalid visit:country") => problem.problem,
        at => format!("#/filters{at}: Invalid filter: {}", problem.problem),
    }
}

/// A string as it stands in a message.
fn quoted(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn unknown_member(members: &Map<String, Value>, known: &[&str], at: &str) -> Read<()> {
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => {
            let name: String = name.chars().take(60).collect();
            Err(format!("{at}/{name}: Schema does not allow additional properties."))
        }
        None => Ok(()),
    }
}

fn names<'a>(list: &'a Value, at: &str) -> Read<Vec<&'a str>> {
    let Value::Array(values) = list else { return Err(format!("{at}: Type mismatch. Expected Array.")) };
    if values.len() > NAMES_MAX {
        return Err(format!("{at}: Expected a maximum of {NAMES_MAX} items."));
    }
    let name = |(number, value): (usize, &'a Value)| {
        value.as_str().ok_or_else(|| format!("{at}/{number}: Type mismatch. Expected String."))
    };
    let names: Vec<&str> = values.iter().enumerate().map(name).collect::<Read<_>>()?;
    let mut sorted = names.clone();
    sorted.sort_unstable();
    match sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        true => Err(format!("{at}: Expected items to be unique but they were not.")),
        false => Ok(names),
    }
}

fn metrics(list: Option<&Value>) -> Read<Vec<Wanted>> {
    let list = list.ok_or("#: Required property metrics was not present.")?;
    // A wrong name is told before a repeated one.
    if let Value::Array(values) = list {
        for (number, value) in values.iter().enumerate() {
            if value.as_str().and_then(Wanted::parse).is_none() {
                return Err(format!("#/metrics/{number}: Invalid metric {}", quoted(value)));
            }
        }
    }
    let metrics: Vec<Wanted> = names(list, "#/metrics")?.into_iter().filter_map(Wanted::parse).collect();
    if metrics.is_empty() { Err("#/metrics: Expected a minimum of 1 items but got 0.".to_owned()) } else { Ok(metrics) }
}

fn dimensions(list: Option<&Value>, range_member: &Value, range: TimeRange) -> Read<Vec<Dimension>> {
    let Some(list) = list else { return Ok(Vec::new()) };
    let parse = |(number, name): (usize, &str)| {
        let interval = match name {
            "time" => automatic(range_member, range),
            "time:hour" => Interval::Hour,
            "time:day" => Interval::Day,
            "time:week" => Interval::Week,
            "time:month" => Interval::Month,
            name => {
                return Property::parse(name, false).map(Dimension::Property).map_err(|error| {
                    let name = quoted(&Value::from(name));
                    match error {
                        PropertyError::Unknown => format!("#/dimensions/{number}: Invalid dimension {name}"),
                        _ => format!("#/dimensions/{number}: Dimension {name} {error}"),
                    }
                });
            }
        };
        Ok(Dimension::Time(interval))
    };
    names(list, "#/dimensions")?.into_iter().enumerate().map(parse).collect()
}

/// The buckets of `time`, by the range.
fn automatic(range_member: &Value, range: TimeRange) -> Interval {
    match range_member.as_str() {
        Some("day" | "24h") => Interval::Hour,
        Some("6mo" | "12mo" | "year" | "all") => Interval::Month,
        _ if range.duration_ms() <= DAY_MS + 3_600_000 => Interval::Hour,
        _ if range.duration_ms() > 190 * DAY_MS => Interval::Month,
        _ => Interval::Day,
    }
}

fn date_range(member: &Value, at: &str, zone: &Zone, now: Timestamp) -> Read<TimeRange> {
    let invalid = || format!("{at}: Invalid date range {}", quoted(member));
    let checked = |range: TimeRange| match range.duration_ms() {
        0 => Err(invalid()),
        length if length > DAYS_MAX * DAY_MS => Err(invalid()),
        _ => Ok(range),
    };
    match member {
        Value::String(name) if name == "24h" => Ok(TimeRange::new(now.plus_millis(-DAY_MS), now.plus_millis(1))),
        Value::String(name) => {
            let dates = Period::parse(name).and_then(|period| period.dates_at(now, zone)).ok_or_else(invalid)?;
            Ok(dates.range(zone))
        }
        Value::Array(ends) => {
            let [Value::String(first), Value::String(last)] = &ends[..] else { return Err(invalid()) };
            if let (Some(first), Some(last)) = (parse_date(first), parse_date(last)) {
                return checked(if first <= last {
                    Dates { first, last }.range(zone)
                } else {
                    TimeRange::new(now, now)
                });
            }
            let at = |text: &str| text.parse::<Timestamp>().map_err(|_| invalid());
            // The second that is named last is in the range.
            checked(TimeRange::new(at(first)?, at(last)?.plus_millis(1_000)))
        }
        _ => Err(invalid()),
    }
}

fn order_by(list: Option<&Value>, body: &Map<String, Value>) -> Read<Vec<(SortBy, bool)>> {
    let Some(list) = list else { return Ok(Vec::new()) };
    let Value::Array(entries) = list else { return Err("#/order_by: Type mismatch. Expected Array.".to_owned()) };
    if entries.len() > NAMES_MAX {
        return Err(format!("#/order_by: Expected a maximum of {NAMES_MAX} items."));
    }
    let position = |member: &str, name: &str| {
        body.get(member).and_then(Value::as_array).and_then(|list| list.iter().position(|value| value == name))
    };
    let entry = |(number, entry): (usize, &Value)| {
        let invalid = || format!("#/order_by/{number}: Invalid value in order_by {}", quoted(entry));
        let Some([Value::String(name), Value::String(direction)]) = entry.as_array().map(Vec::as_slice) else {
            return Err(invalid());
        };
        let is_ascending = match direction.as_str() {
            "asc" => true,
            "desc" => false,
            _ => return Err(invalid()),
        };
        let by = position("metrics", name)
            .map(SortBy::Metric)
            .or_else(|| position("dimensions", name).map(SortBy::Dimension));
        let by = by.ok_or_else(|| {
            format!("Invalid order_by entry {}. Entry is not a queried metric or dimension.", quoted(entry))
        })?;
        Ok((by, is_ascending))
    };
    entries.iter().enumerate().map(entry).collect()
}

fn include(member: Option<&Value>, zone: &Zone, now: Timestamp) -> Read<Include> {
    let mut include = Include { imports: false, time_labels: false, total_rows: false, comparisons: None };
    let Some(member) = member else { return Ok(include) };
    let Value::Object(members) = member else { return Err("#/include: Type mismatch. Expected Object.".to_owned()) };
    unknown_member(members, &["imports", "time_labels", "total_rows", "comparisons"], "#/include")?;
    for (name, flag) in [
        ("imports", &mut include.imports),
        ("time_labels", &mut include.time_labels),
        ("total_rows", &mut include.total_rows),
    ] {
        *flag = match members.get(name) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => return Err(format!("#/include/{name}: Type mismatch. Expected Boolean.")),
        };
    }
    include.comparisons = match members.get("comparisons") {
        None | Some(Value::Null) => None,
        Some(Value::Object(comparisons)) => {
            const AT: &str = "#/include/comparisons";
            unknown_member(comparisons, &["mode", "date_range"], AT)?;
            Some(match comparisons.get("mode").and_then(Value::as_str) {
                Some("previous_period") => Baseline::PreviousPeriod,
                Some("year_over_year") => Baseline::PreviousYear,
                Some("custom") => {
                    let range = comparisons
                        .get("date_range")
                        .ok_or(format!("{AT}: Required property date_range was not present."))?;
                    Baseline::Range(date_range(range, "#/include/comparisons/date_range", zone, now)?)
                }
                _ => return Err(format!("{AT}/mode: Value is not allowed in enum.")),
            })
        }
        Some(_) => return Err("#/include/comparisons: Type mismatch. Expected Object.".to_owned()),
    };
    Ok(include)
}

fn pagination(member: Option<&Value>) -> Read<(usize, usize)> {
    let Some(member) = member else { return Ok((ROWS_MAX, 0)) };
    let Value::Object(members) = member else { return Err("#/pagination: Type mismatch. Expected Object.".to_owned()) };
    unknown_member(members, &["limit", "offset"], "#/pagination")?;
    let number = |name: &str, default: usize, min: usize, max: usize| match members.get(name) {
        None => Ok(default),
        Some(value) => {
            let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
            number
                .filter(|number| (min..=max).contains(number))
                .ok_or_else(|| format!("#/pagination/{name}: Expected a whole number from {min} to {max}."))
        }
    };
    Ok((number("limit", ROWS_MAX, 1, ROWS_MAX)?, number("offset", 0, 0, 1_000_000_000)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(body: Value) -> Read<QuestionV2> {
        let now = Timestamp::from_millis(1_781_352_000_000);
        QuestionV2::read(body.as_object().unwrap(), &"Europe/Berlin".parse().unwrap(), now)
    }

    fn with(member: &str, value: Value) -> Value {
        let mut body = json!({ "site_id": "x", "metrics": ["visitors"], "date_range": "7d" });
        body[member] = value;
        body
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (member, value, expected) in [
            ("metrics", json!(["visitors", "baa"]), "#/metrics/1: Invalid metric \"baa\""),
            ("metrics", json!(["visitors", "visitors"]), "#/metrics: Expected items to be unique but they were not."),
            ("metrics", json!([]), "#/metrics: Expected a minimum of 1 items but got 0."),
            ("dimensions", json!(["badproperty"]), "#/dimensions/0: Invalid dimension \"badproperty\""),
            ("dimensions", json!(["event:props:"]), "#/dimensions/0: Invalid dimension \"event:props:\""),
            ("date_range", json!("bad_period"), "#/date_range: Invalid date range \"bad_period\""),
            (
                "date_range",
                json!(["2026-06-02", "2026-06-01"]),
                "#/date_range: Invalid date range [\"2026-06-02\",\"2026-06-01\"]",
            ),
            (
                "metrics",
                json!(["conversion_rate"]),
                "Metric `conversion_rate` can only be queried with event:goal filters or dimensions",
            ),
            (
                "order_by",
                json!([["events", "desc"]]),
                "Invalid order_by entry [\"events\",\"desc\"]. Entry is not a queried metric or dimension.",
            ),
            ("pagination", json!({ "limit": 0 }), "#/pagination/limit: Expected a whole number from 1 to 10000."),
            ("include", json!({ "time_labels": true }), "Invalid include.time_labels: requires a time dimension."),
            ("more", json!(1), "#/more: Schema does not allow additional properties."),
            (
                "filters",
                json!([["is", "visit:country", ["USA"]]]),
                "Invalid visit:country filter, visit:country needs to be a valid 2-letter country code",
            ),
        ] {
            assert_eq!(read(with(member, value)).unwrap_err(), expected);
        }
        let mut body = with("metrics", json!(["visitors", "bounce_rate"]));
        body["dimensions"] = json!(["event:name"]);
        let error = read(body).unwrap_err();
        assert!(
            error.starts_with("Session metric(s) `bounce_rate` cannot be queried along with event dimensions"),
            "{error}"
        );
    }

    #[test]
    fn ranges_are_days_of_the_website_or_instants() {
        let range = |value| read(with("date_range", value)).unwrap().range;
        let at = |text: &str| text.parse().unwrap();
        assert_eq!(range(json!("day")), TimeRange::new(at("2026-06-12T22:00:00Z"), at("2026-06-13T22:00:00Z")));
        assert_eq!(
            range(json!(["2026-06-01", "2026-06-01"])),
            TimeRange::new(at("2026-05-31T22:00:00Z"), at("2026-06-01T22:00:00Z"))
        );
        assert_eq!(
            range(json!(["2024-01-01T12:00:00+02:00", "2024-01-01T15:59:59+02:00"])),
            TimeRange::new(at("2024-01-01T10:00:00Z"), at("2024-01-01T14:00:00Z"))
        );
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}|visitors|7d|event:page|is|and|asc|limit|mode".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("limit|offset|mode|imports|\\PC{0,4}", inner), 0..3)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_member_is_read_or_refused(
            member in "metrics|date_range|dimensions|filters|order_by|include|pagination",
            value in any_json(),
        ) {
            if let Err(error) = read(with(&member, value)) {
                prop_assert!(!error.is_empty() && error.len() < 20_000);
            }
        }
    }
}
