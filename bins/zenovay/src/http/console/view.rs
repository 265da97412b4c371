//! What a view of the dashboard shows, as its address says: range, comparison, filters, interval. The same grammar stands in the
//! addresses of the page and in those of exports.

use serde_json::json;
use zenovay_domain::{ErrorCode, Goal, Interval, TimeRange, Timestamp, Zone};
use zenovay_stats::{
    Ask, Dates, Filters, Metric, Period, Problem, filters_of_view, goals_filter, is_no_day, parse_date, view_operators,
};

use crate::http::document::Parameter;
use crate::http::envelope::{ApiError, Details};
use crate::http::params::{Params, QueryParams};
use crate::http::values::Problems;

/// The ranges by name.
pub const RANGES: [&str; 12] =
    ["today", "yesterday", "24h", "7d", "28d", "30d", "90d", "1y", "month", "last-month", "year", "all"];
/// Those that are so many days of elapsed time up to now, as in the External API.
const ROLLING: [(&str, i64); 5] = [("24h", 1), ("7d", 7), ("30d", 30), ("90d", 90), ("1y", 365)];
/// The range when none is named.
pub const DEFAULT_RANGE: &str = "28d";
/// The most days of a range: ten years and their leap days.
const DAYS_MAX: i64 = 3_660;
/// The most buckets of a series.
const BUCKETS_MAX: i64 = 10_000;

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;

/// What is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compare {
    /// The period before.
    Previous,
    /// The same period a year before: of the same dates, or of the same weekdays.
    Year { by_weekday: bool },
    /// These days.
    Days(Dates),
}

/// The range as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Named(&'static str),
    Days(Dates),
}

/// What the address of a view says. Which instants and events that means depends on the website: [`ViewParams::of`].
#[derive(Debug, Clone, PartialEq)]
pub struct ViewParams {
    range: Asked,
    compare: Option<Compare>,
    interval: Option<Interval>,
    filters: Vec<String>,
    is_of_program: bool,
}

/// A view of a website at a time.
#[derive(Debug, Clone)]
pub struct View {
    /// The instants.
    pub range: TimeRange,
    /// Whether the range is over.
    pub is_complete: bool,
    /// The instants that it is compared with.
    pub earlier: Option<TimeRange>,
    /// The website's zone.
    pub zone: Zone,
    /// What counts.
    pub filters: Filters,
    /// The width of the buckets of a series.
    pub interval: Interval,
    /// The goals of the website.
    pub goals: Vec<Goal>,
}

/// What the instants and events of a view depend on.
#[derive(Debug)]
pub struct Facts {
    /// The website's zone.
    pub zone: Zone,
    /// The goals of the website.
    pub goals: Vec<Goal>,
    /// From the first to the last event of the website.
    pub span: Option<TimeRange>,
    /// The time.
    pub now: Timestamp,
}

impl QueryParams for ViewParams {
    fn read(params: &mut Params, now: Timestamp) -> Self {
        let range = range(params, now);
        let compare = compare(params);
        let words = "The width of the buckets of a series, cut in the website's zone. Without it by the length of the range: hours \
                     up to two days, days up to 92, weeks up to two years, months.";
        let interval = match params.one_of("interval", &["hour", "day", "week", "month"], None, words) {
            None => None,
            Some("hour") => Some(Interval::Hour),
            Some("day") => Some(Interval::Day),
            Some("week") => Some(Interval::Week),
            Some(_) => Some(Interval::Month),
        };
        params.declare(|| {
            let operators: Vec<&str> = view_operators().collect();
            let words = format!(
                "What counts: `dimension:operator:value|value`, any number of times; all must hold. Operators: {}. Dimensions: \
                 `page`, `entry_page`, `exit_page`, `hostname`, `channel`, `source`, `referrer`, `utm_source`, `utm_medium`, \
                 `utm_campaign`, `utm_term`, `utm_content`, `country`, `region`, `city`, `language`, `browser`, \
                 `browser_version`, `os`, `os_version`, `device`, `screen_class`, `event_name`, `event_type` (with `is` and \
                 `is_not`, such as `event_type:is:outbound_link`), `goal`, `prop.` and the name of a property. `\\|` and \
                 `\\\\` are those characters; an empty value is the missing one.",
                operators.join(", ")
            );
            let schema = json!({ "type": "array", "items": { "type": "string" }, "examples": [["country:is:DE|AT"]] });
            Parameter::query("f", words).schema(schema)
        });
        let filters = params.all("f");
        Self { range, compare, interval, filters, is_of_program: false }
    }
}

fn range(params: &mut Params, now: Timestamp) -> Asked {
    let words = "A range of time: `24h`, `7d`, `30d`, `90d` and `1y` are elapsed time up to now, the others days of the website's \
                 zone up to now.";
    let named = params.one_of("range", &RANGES, Some(DEFAULT_RANGE), words).unwrap_or(DEFAULT_RANGE);
    let from = day(params, "from", "The first day, in the website's zone. Wins over `range`.");
    let to = day(params, "to", "The last day, in the website's zone. Without it, today; without `from`, of 28 days.");
    let today = || zenovay_domain::Zone::utc().civil_day(now);
    match (from, to) {
        (None, None) => Asked::Named(named),
        (Some(first), Some(last)) => Asked::Days(checked(params, "to", Dates { first, last })),
        (Some(first), None) if params.get("to").is_none() => {
            // Today is a day later or earlier in other zones: `of` ends the range now.
            let last = today().max(first).saturating_add(1);
            Asked::Days(checked(params, "from", Dates { first, last }))
        }
        (None, Some(last)) => Asked::Days(Dates { first: last.saturating_sub(27), last }),
        _ => Asked::Named(named),
    }
}

fn day(params: &mut Params, name: &'static str, words: &str) -> Option<i32> {
    params.declare(|| {
        Parameter::query(name, words).schema(json!({ "type": "string", "format": "date" })).example("2026-06-01")
    });
    let text = params.get(name)?.to_owned();
    let day = parse_date(&text);
    if is_no_day(&text) {
        params.problem(name, format!("there is no day {text}"));
    } else if day.is_none() {
        params.problem(name, "use a date such as 2026-06-01");
    }
    day
}

fn checked(params: &mut Params, name: &str, dates: Dates) -> Dates {
    if dates.first > dates.last {
        params.problem(name, "the last day must not be before the first");
    } else if dates.count() > DAYS_MAX {
        params.problem(name, "the range must not be longer than ten years");
    }
    dates
}

fn compare(params: &mut Params) -> Option<Compare> {
    params.declare(|| {
        let words = "What the range is compared with: `previous`, `year`, or two days such as `2026-05-01..2026-05-31`. A range \
                     that is not over is compared with one in which as much time went by; where the clocks were changed in one of \
                     them it ends at another time of day. Days that are named are compared whole where there are not as many of \
                     them as in the range.";
        Parameter::query("compare", words).example("previous")
    });
    let words = "`weekday`: of `compare=year`, days are compared with those of the same weekday, 364 days before.";
    let by_weekday = params.one_of("align", &["weekday"], None, words).is_some();
    let text = params.get("compare")?.to_owned();
    match text.as_str() {
        "previous" => Some(Compare::Previous),
        "year" => Some(Compare::Year { by_weekday }),
        days => {
            let named = days.split_once("..");
            if let Some(missing) = named.and_then(|(first, last)| [first, last].into_iter().find(|day| is_no_day(day)))
            {
                params.problem("compare", format!("there is no day {missing}"));
                return None;
            }
            match named.map(|(first, last)| (parse_date(first), parse_date(last))) {
                Some((Some(first), Some(last))) => {
                    Some(Compare::Days(checked(params, "compare", Dates { first, last })))
                }
                _ => {
                    params.problem("compare", "use previous, year, or two days such as 2026-05-01..2026-05-31");
                    None
                }
            }
        }
    }
}

impl ViewParams {
    /// The same, asked by a program that can ask more than a page: of what is refused it is told what that is.
    #[must_use]
    pub fn of_program(self) -> Self {
        Self { is_of_program: true, ..self }
    }

    /// The refusal of a filter. A page is told the place of each of those that never hold together, which it has words of its own for.
    fn refusal(&self, problem: &Problem) -> ApiError {
        let number = |place: &str| place.split('/').nth(1).and_then(|number| number.parse().ok()).unwrap_or(0_usize);
        if let Some(never) = problem.never.as_ref().filter(|_| !self.is_of_program) {
            let each = never.places.iter().map(|place| (format!("f[{}]", number(place)), never.problem.clone()));
            let words = format!("These filters never hold together: {}.", never.problem);
            let error = ApiError::new(ErrorCode::ValidationError, words);
            return error.with_details(Details::Fields(Problems(each.collect())));
        }
        let text = self.filters.get(number(&problem.at)).map_or("", String::as_str);
        let text: String = text.chars().take(60).collect();
        ApiError::invalid("f", format!("{text:?}: {}", problem.problem))
    }

    /// The view of a website.
    ///
    /// # Errors
    /// A 400 that says which filter is not understood, or that there would be too many hours.
    pub fn of(&self, facts: Facts) -> Result<View, ApiError> {
        let Facts { zone, goals, span, now } = facts;
        let until_now = now.plus_millis(1);
        let days = self.days(&zone, span, now);
        let (range, is_complete) = self.range(days, &zone, until_now);
        let earlier = self.compare.map(|compare| earlier(compare, (range, days), &zone, until_now));
        let filters = filters_of_view(self.filters.iter().map(String::as_str), &goals);
        let filters = filters.map_err(|problem| self.refusal(&problem))?;
        let days = i64::from(zone.civil_day(range.to.plus_millis(-1))) - i64::from(zone.civil_day(range.from)) + 1;
        let interval = self.interval.unwrap_or(match days {
            ..=2 => Interval::Hour,
            3..=92 => Interval::Day,
            93..=731 => Interval::Week,
            _ => Interval::Month,
        });
        if interval == Interval::Hour && range.duration_ms() / HOUR_MS > BUCKETS_MAX {
            return Err(ApiError::invalid("interval", format!("more than {BUCKETS_MAX} hours; use days")));
        }
        Ok(View { range, is_complete, earlier, zone, filters, interval, goals })
    }

    /// The days that are shown; `None` where it is elapsed time up to now.
    fn days(&self, zone: &Zone, span: Option<TimeRange>, now: Timestamp) -> Option<Dates> {
        let today = zone.civil_day(now);
        let month = |day| Period::Month.dates(day).unwrap_or(Dates { first: day, last: day });
        let name = match self.range {
            Asked::Days(dates) => return Some(dates),
            Asked::Named(name) => name,
        };
        Some(match name {
            "today" => Dates { first: today, last: today },
            "yesterday" => Dates { first: today - 1, last: today - 1 },
            "month" => month(today),
            "last-month" => month(month(today).first - 1),
            "year" => Period::Year.dates(today).unwrap_or(Dates { first: today, last: today }),
            "all" => {
                let first = span.map_or(today, |span| zone.civil_day(span.from));
                let longest = today - i32::try_from(DAYS_MAX).unwrap_or(i32::MAX) + 1;
                Dates { first: first.clamp(longest, today), last: today }
            }
            rolling if ROLLING.iter().any(|(name, _)| *name == rolling) => return None,
            _ => Dates { first: today - 27, last: today },
        })
    }

    /// The instants of `days`, and whether they are over.
    fn range(&self, days: Option<Dates>, zone: &Zone, until_now: Timestamp) -> (TimeRange, bool) {
        let Some(days) = days else {
            let named = ROLLING.iter().find(|(name, _)| self.range == Asked::Named(name));
            let length_ms = named.map_or(0, |(_, days)| days * DAY_MS);
            return (TimeRange::new(until_now.plus_millis(-length_ms - 1), until_now), false);
        };
        let whole = days.range(zone);
        let is_complete = whole.to <= until_now;
        // What lies in the future whole stays as it is: nothing is in it.
        let to = if whole.from < until_now { whole.to.min(until_now) } else { whole.to };
        (TimeRange::new(whole.from, to), is_complete)
    }
}

/// The range that `range`, which is of these days if of any, is compared with.
fn earlier(
    compare: Compare,
    (range, days): (TimeRange, Option<Dates>),
    zone: &Zone,
    until_now: Timestamp,
) -> TimeRange {
    match compare {
        Compare::Previous => zone.period_before(range),
        Compare::Year { by_weekday: false } => zone.year_before(range),
        Compare::Year { by_weekday: true } => {
            let shifted = |at: Timestamp| same_time_of_day(zone, at, zone.civil_day(at) - 364);
            TimeRange::new(shifted(range.from), shifted(range.to))
        }
        Compare::Days(dates) => {
            let whole = dates.range(zone);
            // Days that are named are meant whole. Of as many as there are in a range that goes on, only as much went by.
            let days = days.filter(|days| days.count() == dates.count() && range.to == until_now);
            let Some(days) = days else { return whole };
            let today = dates.first.saturating_add(zone.civil_day(until_now).saturating_sub(days.first));
            TimeRange::new(whole.from, same_time_of_day(zone, until_now, today).clamp(whole.from, whole.to))
        }
    }
}

/// The instant of `day` that is as long after its beginning as `at` is after that of its own day.
fn same_time_of_day(zone: &Zone, at: Timestamp, day: i32) -> Timestamp {
    let begun = zone.day_start(zone.civil_day(at));
    zone.day_start(day).plus_millis(at.millis_since(begun)).min(zone.day_start(day + 1))
}

impl View {
    /// A view that is compared with nothing and whose filters name no goal by its id.
    pub(in crate::http) fn plain(range: TimeRange, zone: Zone, filters: Filters, interval: Interval) -> Self {
        // Whoever asks for it tells nobody whether it is over.
        Self { range, is_complete: false, earlier: None, zone, filters, interval, goals: Vec::new() }
    }

    /// A question about what the view shows.
    pub fn ask(&self, metrics: &[Metric]) -> Ask {
        Ask::new(self.range, self.filters.clone(), metrics)
    }

    /// The question whose conversion rate is that of the view: of the goals that its filters name, or else of all goals of the
    /// website; `None` when there are none. It is the one place that says what a conversion on the dashboard is.
    pub fn ask_conversions(&self) -> Option<Ask> {
        let mut ask = self.ask(&[Metric::ConversionRate]);
        if ask.filters.goals.is_none() {
            ask.filters.goals = Some(goals_filter(self.goals.iter().map(|goal| &goal.target))?);
        }
        Some(ask)
    }

    /// Whether the bucket was counted whole.
    pub fn has_whole(&self, range: TimeRange, bucket: TimeRange, now: Timestamp) -> bool {
        range.from <= bucket.from && bucket.to <= range.to && bucket.to <= now.plus_millis(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Saturday, noon in UTC, 14:00 in Berlin.
    const NOW: &str = "2026-06-13T12:00:00Z";

    fn view(query: &str) -> Result<View, ApiError> {
        view_of(query, "Europe/Berlin", Some("2025-01-15T10:00:00Z"))
    }

    fn view_of(query: &str, zone: &str, first: Option<&str>) -> Result<View, ApiError> {
        let mut params = Params::parse(query);
        let read = ViewParams::read(&mut params, at(NOW));
        params.finish()?;
        let span = first.map(|first| TimeRange::new(at(first), at(NOW)));
        read.of(facts(zone, span))
    }

    fn facts(zone: &str, span: Option<TimeRange>) -> Facts {
        Facts { zone: zone.parse().unwrap(), goals: Vec::new(), span, now: at(NOW) }
    }

    fn shown(range: TimeRange) -> String {
        format!("{} {}", range.from, range.to)
    }

    /// Sabotage: take days of UTC, or a rolling window for the 28 days.
    #[test]
    fn ranges_are_windows_of_the_api_or_days_of_the_zone() {
        let until_now = "2026-06-13T12:00:00.001Z";
        for (query, from, to, complete, interval) in [
            ("", "2026-05-16T22:00:00.000Z", until_now, false, Interval::Day),
            ("range=24h", "2026-06-12T12:00:00.000Z", until_now, false, Interval::Hour),
            ("range=7d", "2026-06-06T12:00:00.000Z", until_now, false, Interval::Day),
            ("range=90d", "2026-03-15T12:00:00.000Z", until_now, false, Interval::Day),
            ("range=1y", "2025-06-13T12:00:00.000Z", until_now, false, Interval::Week),
            ("range=today", "2026-06-12T22:00:00.000Z", until_now, false, Interval::Hour),
            ("range=yesterday", "2026-06-11T22:00:00.000Z", "2026-06-12T22:00:00.000Z", true, Interval::Hour),
            ("range=month", "2026-05-31T22:00:00.000Z", until_now, false, Interval::Day),
            ("range=last-month", "2026-04-30T22:00:00.000Z", "2026-05-31T22:00:00.000Z", true, Interval::Day),
            ("range=year", "2025-12-31T23:00:00.000Z", until_now, false, Interval::Week),
            ("range=all", "2025-01-14T23:00:00.000Z", until_now, false, Interval::Week),
            (
                "from=2026-06-01&to=2026-06-03",
                "2026-05-31T22:00:00.000Z",
                "2026-06-03T22:00:00.000Z",
                true,
                Interval::Day,
            ),
            ("from=2026-06-12&to=2026-06-20", "2026-06-11T22:00:00.000Z", until_now, false, Interval::Hour),
            (
                "from=2026-07-01&to=2026-07-01",
                "2026-06-30T22:00:00.000Z",
                "2026-07-01T22:00:00.000Z",
                false,
                Interval::Hour,
            ),
        ] {
            let view = view(query).unwrap();
            assert_eq!(shown(view.range), format!("{from} {to}"), "{query}");
            assert_eq!((view.is_complete, view.interval, view.earlier), (complete, interval, None), "{query}");
        }
        let new = view_of("range=all", "UTC", None).unwrap();
        assert_eq!(shown(new.range), format!("2026-06-13T00:00:00.000Z {until_now}"));
        let old = view_of("range=all", "UTC", Some("1999-01-01T00:00:00Z")).unwrap();
        assert_eq!((old.range.from, old.interval), (at("2016-06-06T00:00:00Z"), Interval::Month));
    }

    /// Sabotage: end at the end of the day.
    #[test]
    fn a_comparison_ends_at_the_same_time_of_day() {
        for (query, earlier) in [
            ("range=today&compare=previous", "2026-06-11T22:00:00.000Z 2026-06-12T12:00:00.001Z"),
            ("range=28d&compare=previous", "2026-04-18T22:00:00.000Z 2026-05-16T12:00:00.001Z"),
            ("range=7d&compare=previous", "2026-05-30T11:59:59.999Z 2026-06-06T12:00:00.000Z"),
            ("range=today&compare=year", "2025-06-12T22:00:00.000Z 2025-06-13T12:00:00.001Z"),
            ("range=today&compare=year&align=weekday", "2025-06-13T22:00:00.000Z 2025-06-14T12:00:00.001Z"),
            // Days that are named are compared whole, unless there are as many of them and the range goes on.
            ("range=today&compare=2026-05-01..2026-05-02", "2026-04-30T22:00:00.000Z 2026-05-02T22:00:00.000Z"),
            ("range=7d&compare=2026-05-01..2026-05-07", "2026-04-30T22:00:00.000Z 2026-05-07T22:00:00.000Z"),
            ("range=month&compare=2026-05-01..2026-05-31", "2026-04-30T22:00:00.000Z 2026-05-31T22:00:00.000Z"),
            ("range=today&compare=2026-05-01..2026-05-01", "2026-04-30T22:00:00.000Z 2026-05-01T12:00:00.001Z"),
            (
                "from=2026-06-12&to=2026-06-20&compare=2026-05-01..2026-05-09",
                "2026-04-30T22:00:00.000Z 2026-05-02T12:00:00.001Z",
            ),
            (
                "from=2026-07-01&to=2026-07-01&compare=2026-05-01..2026-05-01",
                "2026-04-30T22:00:00.000Z 2026-05-01T22:00:00.000Z",
            ),
            ("range=yesterday&compare=2026-05-01..2026-05-02", "2026-04-30T22:00:00.000Z 2026-05-02T22:00:00.000Z"),
            ("range=last-month&compare=previous", "2026-03-31T22:00:00.000Z 2026-04-30T22:00:00.000Z"),
        ] {
            let view = view(query).unwrap();
            assert_eq!(shown(view.earlier.unwrap()), earlier, "{query}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (query, name) in [
            ("range=fortnight", "range"),
            ("from=2026-06-02&to=2026-06-01", "to"),
            ("from=2026-06-31&to=2026-07-01", "from"),
            ("from=2000-01-01&to=2026-06-01", "to"),
            ("compare=before", "compare"),
            ("compare=2026-05-02..2026-05-01", "compare"),
            ("interval=minute", "interval"),
            ("range=1y&interval=hour&range=1y", "range"),
            ("f=country", "f"),
            ("f=country:is:DE&f=nothing:is:x", "f"),
        ] {
            let error = view(query).unwrap_err();
            assert!(error.problem_of(name).is_some(), "{query}: {error}");
        }
        for (query, name) in [("from=2026-02-29", "from"), ("compare=2026-02-01..2026-02-29", "compare")] {
            let error = view(query).unwrap_err();
            assert_eq!(error.problem_of(name), Some("there is no day 2026-02-29"), "{query}: {error}");
        }
        assert!(view("range=1y&interval=hour").is_ok());
        assert!(view_of("range=all&interval=hour", "UTC", Some("1999-01-01T00:00:00Z")).is_err());
        let two = view("f=country:is:DE&f=device:is_not:mobile&tab.src=source&show=pages").unwrap();
        assert_ne!(two.filters.rest, Filters::default().rest);
    }

    /// Sabotage: tell pages what programs are told, or the place of the last filter alone.
    #[test]
    fn pages_and_programs_are_told_of_filters_that_never_hold_together_what_they_can_ask() {
        let mut params = Params::parse("f=page:is:/a&f=country:is:DE&f=page:is:/b");
        let read = ViewParams::read(&mut params, at(NOW));
        let of_page = read.clone().of(facts("UTC", None)).unwrap_err();
        let said = "no event is both page:is:/a and page:is:/b. For one or the other give one filter with both values, or remove one of them";
        assert_eq!(of_page.message(), format!("These filters never hold together: {said}."));
        assert_eq!(
            ["f", "f[0]", "f[1]", "f[2]"].map(|name| of_page.problem_of(name)),
            [None, Some(said), None, Some(said)]
        );
        let of_program = read.of_program().of(facts("UTC", None)).unwrap_err();
        let told = of_program.problem_of("f").unwrap();
        assert!(told.starts_with("\"page:is:/b\": no event is both page:is:/a and page:is:/b. "), "{told}");
        assert!(told.contains("has_done, in where of query_analytics"), "{told}");
    }
}
