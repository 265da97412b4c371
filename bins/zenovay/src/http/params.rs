//! Query parameters (SPEC B2): each at most once, each problem named by its parameter, all problems in one answer. What
//! reads a parameter describes it, too, so that the API document cannot tell other bounds than those that hold.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::future::{Ready, ready};
use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde_json::json;
use zenovay_domain::ErrorCode;

use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};
use zenovay_domain::{TimeRange, Timestamp, Zone};

use super::document::{Operation, Parameter};
use super::envelope::ApiError;
use super::handler::Argument;
use super::values::{Day, Instant, one_of};

/// Query parameters that are read together.
pub trait QueryParams: Sized + 'static {
    /// Reads them from `params` at `now`. Each is read in every case, so that a wrong one is always refused, and
    /// described: what this asks of `params` is what the API document says.
    fn read(params: &mut Params, now: Timestamp) -> Self;
}

/// The query of a request. Read by the handler, and not on the way to it: who may ask is decided first.
#[derive(Debug)]
#[must_use = "parameters are checked when they are read"]
pub struct Query<T> {
    query: String,
    params: PhantomData<T>,
}

impl<T: QueryParams> Query<T> {
    /// Reads the parameters at `now`.
    ///
    /// # Errors
    /// A 400 whose details name each parameter with a problem.
    pub fn read(&self, now: Timestamp) -> Result<T, ApiError> {
        let mut params = Params::parse(&self.query);
        let read = T::read(&mut params, now);
        params.finish()?;
        Ok(read)
    }
}

impl<T: QueryParams> FromRequest for Query<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self { query: req.query_string().to_owned(), params: PhantomData }))
    }
}

impl<T: QueryParams> Argument for Query<T> {
    fn describe(operation: &mut Operation) {
        let mut params = Params { declared: Some(Vec::new()), ..Params::parse("") };
        T::read(&mut params, Timestamp::from_millis(0));
        operation.reads(params.declared.unwrap_or_default());
        operation.refuses([ErrorCode::ValidationError]);
    }
}

impl<A: QueryParams, B: QueryParams> QueryParams for (A, B) {
    fn read(params: &mut Params, now: Timestamp) -> Self {
        (A::read(params, now), B::read(params, now))
    }
}

/// The decoded parameters of one request, and the problems found with them so far.
#[derive(Debug)]
pub struct Params {
    values: BTreeMap<String, String>,
    /// Further values of parameters that came more than once.
    repeated: BTreeMap<String, Vec<String>>,
    problems: BTreeMap<String, String>,
    /// What was asked for, when that is all that is wanted.
    declared: Option<Vec<Parameter>>,
}

/// More parameters than any route takes; a request with more is refused before they are stored.
const MAX_PARAMS: usize = 64;

impl Params {
    /// Decodes `query`, the string after `?`. A parameter that comes twice is a problem, unless it is read with
    /// [`all`](Self::all): guard and handler must never read different values (SECURITY I18).
    pub fn parse(query: &str) -> Self {
        let mut params = Self::empty();
        for (count, (name, value)) in form_pairs(query).enumerate() {
            if count >= MAX_PARAMS {
                params.problem("query", format!("more than {MAX_PARAMS} parameters"));
                break;
            }
            let (Some(name), Some(value)) = (name, value) else {
                params.problem("query", "not valid percent-encoded UTF-8");
                continue;
            };
            params.add(name, value);
        }
        params
    }

    /// These parameters, as [`parse`](Self::parse) decodes them.
    pub fn of(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut params = Self::empty();
        for (name, value) in pairs {
            params.add(name, value);
        }
        params
    }

    fn empty() -> Self {
        Self { values: BTreeMap::new(), repeated: BTreeMap::new(), problems: BTreeMap::new(), declared: None }
    }

    fn add(&mut self, name: String, value: String) {
        match self.values.entry(name) {
            Entry::Occupied(known) => self.repeated.entry(known.key().clone()).or_default().push(value),
            Entry::Vacant(place) => _ = place.insert(value),
        }
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// All values of `name`, which may come more than once, in their order.
    pub fn all(&mut self, name: &str) -> Vec<String> {
        let further = self.repeated.remove(name).unwrap_or_default();
        self.values.get(name).cloned().into_iter().chain(further).collect()
    }

    /// Notes a problem with `name`. The first problem of a parameter stands.
    pub fn problem(&mut self, name: &str, problem: impl Into<String>) {
        self.problems.entry(name.to_owned()).or_insert_with(|| problem.into());
    }

    /// Says that `parameter` is read here. Everything that reads a parameter in a way of its own says so.
    pub fn declare(&mut self, parameter: impl FnOnce() -> Parameter) {
        if let Some(declared) = &mut self.declared {
            declared.push(parameter());
        }
    }

    /// A whole number.
    pub fn number(&mut self, rule: &Number) -> usize {
        let Number { name, default, min, max, description } = *rule;
        self.declare(|| {
            let schema = json!({ "type": "integer", "minimum": min, "default": default, "x-lowered-to": max });
            Parameter::query(name, format!("{description} A larger number than {max} counts as {max}.")).schema(schema)
        });
        let Some(value) = self.get(name) else { return default };
        match parse_number(value) {
            Some(number) if number >= min => number.min(max),
            _ => {
                self.problem(name, format!("use a whole number from {min}"));
                default
            }
        }
    }

    /// One of `allowed`, or `None` when absent. `default` is what then counts, if anything does.
    pub fn one_of(
        &mut self,
        name: &'static str,
        allowed: &[&'static str],
        default: Option<&'static str>,
        description: &str,
    ) -> Option<&'static str> {
        self.declare(|| {
            let mut schema = json!({ "type": "string", "enum": allowed });
            if let Some(default) = default {
                schema["default"] = default.into();
            }
            Parameter::query(name, description).schema(schema)
        });
        let value = self.get(name)?;
        let found = allowed.iter().copied().find(|allowed| *allowed == value);
        if found.is_none() {
            self.problem(name, format!("use one of {}", allowed.join(", ")));
        }
        found
    }

    /// `limit` and `offset`, or their aliases `per_page` and `page` where the former are absent (SPEC B2).
    pub fn page(&mut self, default_limit: usize, max_limit: usize) -> Page {
        let limit = self.limit(default_limit, max_limit);
        let offset = self.number(&Number {
            name: "offset",
            default: 0,
            min: 0,
            max: MAX_OFFSET,
            description: "How many rows to skip.",
        });
        let per_page = self.number(&Number {
            name: "per_page",
            default: default_limit,
            min: 1,
            max: max_limit.min(100),
            description: "Another name of `limit`, used where neither `limit` nor `offset` is there.",
        });
        let page = self.number(&Number {
            name: "page",
            default: 1,
            min: 1,
            max: MAX_OFFSET,
            description: "The page, from 1, where neither `limit` nor `offset` is there.",
        });
        let by_alias = self.get("limit").is_none() && self.get("offset").is_none();
        if by_alias && (self.get("page").is_some() || self.get("per_page").is_some()) {
            return Page { limit: per_page, offset: (page - 1).saturating_mul(per_page).min(MAX_OFFSET) };
        }
        Page { limit, offset }
    }

    /// `limit` alone, for endpoints without pages.
    pub fn limit(&mut self, default_limit: usize, max_limit: usize) -> usize {
        self.number(&Number {
            name: "limit",
            default: default_limit,
            min: 1,
            max: max_limit,
            description: "How many rows at most.",
        })
    }

    /// The range of instants: `from`/`to` before `range` before `timeRange`, the last seven days when none is given.
    pub fn range(&mut self, now: Timestamp) -> Window {
        let (from, to) = (
            self.date("from", "The first day, in UTC; wins over `range`. A time of the day counts as its day."),
            self.date("to", "The last day, in UTC; without it, until now. Without `from`, the range has seven days."),
        );
        let names = RANGES.map(|(range, _)| range);
        let range = self.one_of("range", &names, Some(DEFAULT_RANGE), "A range of time up to now.");
        let alias = self.one_of("timeRange", &names, None, "Another name of `range`, used where that is absent.");
        if self.get("from").is_some() || self.get("to").is_some() {
            return self.dates(from, to, now);
        }
        let named = range.or(alias).unwrap_or(DEFAULT_RANGE);
        let days = RANGES.iter().find(|(range, _)| *range == named).map_or(7, |(_, days)| *days);
        // Half-open, so an event of this very millisecond needs the next one as the end.
        Window { label: RangeName(named), range: TimeRange::new(now.plus_millis(-days * DAY_MS), now.plus_millis(1)) }
    }

    fn dates(&mut self, from: Option<Timestamp>, to: Option<Timestamp>, now: Timestamp) -> Window {
        // `to` names a day that belongs to the range.
        let end = to.map_or(now.plus_millis(1), |day| day.plus_millis(DAY_MS));
        // Without `from`, the default window before `to`.
        let start = from.unwrap_or(end.plus_millis(-7 * DAY_MS));
        if self.get("from").is_some() && self.get("to").is_some() && to < from {
            self.problem("to", "must not be before from");
        } else if start >= end {
            self.problem("from", "must not be in the future");
        } else if TimeRange::new(start, end).duration_ms() > MAX_RANGE_MS {
            self.problem("from", "the range must not be longer than ten years");
        }
        Window { label: RangeName::CUSTOM, range: TimeRange::new(start, end) }
    }

    /// The first instant of the UTC day `name`.
    fn date(&mut self, name: &'static str, description: &str) -> Option<Timestamp> {
        self.declare(|| {
            let schema = json!({
                "anyOf": [{ "type": "string", "format": "date" }, { "type": "string", "format": "date-time" }],
            });
            Parameter::query(name, description).schema(schema).example("2026-06-01")
        });
        let text = self.get(name)?;
        let parsed = parse_date(text);
        if parsed.is_none() {
            self.problem(name, "use a date such as 2026-06-01");
        }
        parsed
    }

    /// The problems so far, also of parameters that came more than once and were read as if they had not.
    fn problems(&self) -> BTreeMap<String, String> {
        let mut problems = self.problems.clone();
        for name in self.repeated.keys() {
            problems.entry(name.clone()).or_insert_with(|| "given more than once".to_owned());
        }
        problems
    }

    /// Refuses the request when there was any problem so far.
    ///
    /// # Errors
    /// As [`Params::finish`].
    pub fn check(&self) -> Result<(), ApiError> {
        let problems = self.problems();
        if problems.is_empty() { Ok(()) } else { Err(ApiError::invalid_fields(problems)) }
    }

    /// Ends reading: refuses the request when there was any problem.
    ///
    /// # Errors
    /// A 400 whose details name each parameter with a problem.
    pub fn finish(self) -> Result<(), ApiError> {
        self.check()
    }
}

/// The rule of a whole number: one above `max` is taken as `max` (SPEC B2), one below `min` is a problem.
#[derive(Debug, Clone, Copy)]
pub struct Number {
    /// The name of the parameter.
    pub name: &'static str,
    /// What counts when it is absent.
    pub default: usize,
    /// The smallest.
    pub min: usize,
    /// The largest that counts as itself.
    pub max: usize,
    /// What it means: a sentence.
    pub description: &'static str,
}

/// `limit` of a list without pages: `DEFAULT` when it is absent, `MAX` at most.
#[derive(Debug, Clone, Copy)]
pub struct Limit<const DEFAULT: usize, const MAX: usize>(pub usize);

impl<const DEFAULT: usize, const MAX: usize> QueryParams for Limit<DEFAULT, MAX> {
    fn read(params: &mut Params, _: Timestamp) -> Self {
        Self(params.limit(DEFAULT, MAX))
    }
}

/// A page of a list: `limit` is `DEFAULT` when it is absent, and `MAX` at most.
#[derive(Debug, Clone, Copy)]
pub struct Paged<const DEFAULT: usize, const MAX: usize>(pub Page);

impl<const DEFAULT: usize, const MAX: usize> QueryParams for Paged<DEFAULT, MAX> {
    fn read(params: &mut Params, _: Timestamp) -> Self {
        Self(params.page(DEFAULT, MAX))
    }
}

impl QueryParams for Window {
    fn read(params: &mut Params, now: Timestamp) -> Self {
        params.range(now)
    }
}

/// Which rows of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many at most.
    pub limit: usize,
    /// How many to skip.
    pub offset: usize,
}

impl Page {
    /// What the answer says of the page.
    pub fn answer(self, has_more: bool) -> Pagination {
        Pagination { limit: self.limit, offset: self.offset, has_more }
    }
}

/// Which rows of a list an answer has (SPEC B3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Pagination {
    /// How many rows at most.
    #[schema(examples(20))]
    limit: usize,
    /// How many rows were skipped.
    #[schema(examples(0))]
    offset: usize,
    /// Whether there are rows after these.
    has_more: bool,
}

/// The name of a range of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RangeName(&'static str);

impl RangeName {
    const CUSTOM: Self = Self("custom");
}

impl PartialSchema for RangeName {
    fn schema() -> RefOr<Schema> {
        let names = RANGES.map(|(name, _)| name).into_iter().chain([Self::CUSTOM.0]);
        one_of("A range of time up to now, or `custom` for dates", names)
    }
}

impl ToSchema for RangeName {}

/// A range of instants and the name it was asked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The name it was asked by.
    pub label: RangeName,
    /// The instants.
    pub range: TimeRange,
}

impl Window {
    /// The calendar days of both ends in UTC, and the ends themselves.
    pub fn dates(self) -> DateRange {
        // The last instant in the range, not the first one after it.
        let (from, last) = (self.range.from, self.range.to.plus_millis(-1));
        DateRange { start: Day(from), end: Day(last), start_date_time: Instant(from), end_date_time: Instant(last) }
    }
}

/// The two ends of a range, both in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct DateRange {
    /// The day of the first instant.
    start: Day,
    /// The day of the last instant.
    end: Day,
    /// The first instant.
    #[serde(rename = "startDateTime")]
    start_date_time: Instant,
    /// The last instant.
    #[serde(rename = "endDateTime")]
    end_date_time: Instant,
}

const DAY_MS: i64 = 86_400_000;

/// SPEC B2. A year is 365 days.
const RANGES: [(&str, i64); 5] = [("24h", 1), ("7d", 7), ("30d", 30), ("90d", 90), ("1y", 365)];

/// The range when none is named.
const DEFAULT_RANGE: &str = "7d";

/// Ten years and their leap days; the series of days then stays below 4,000 rows.
const MAX_RANGE_MS: i64 = 3_660 * DAY_MS;

/// Skipping more rows than any list can have.
const MAX_OFFSET: usize = 1_000_000_000;

fn parse_number(text: &str) -> Option<usize> {
    // `parse` also takes `+5`, which a decoded `%2B5` would become.
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().unwrap_or(usize::MAX))
}

/// A date, or a date and time of which the date counts, in four-digit years.
fn parse_date(text: &str) -> Option<Timestamp> {
    let utc = Zone::utc();
    let day = zenovay_domain::parse_date(text).or_else(|_| text.parse().map(|at| utc.civil_day(at)));
    day.ok().map(|day| utc.day_start(day))
}

/// The pairs of an `application/x-www-form-urlencoded` string; `None` for a part that is not UTF-8 once decoded.
fn form_pairs(query: &str) -> impl Iterator<Item = (Option<String>, Option<String>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (form_decode(name), form_decode(value))
    })
}

fn form_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (high, low) = (hex(*rest.first()?)?, hex(*rest.get(1)?)?);
                bytes.push(high << 4 | low);
                rest = &rest[2..];
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn now() -> Timestamp {
        at("2026-06-13T12:30:00Z")
    }

    fn problem_of(query: &str, read: impl FnOnce(&mut Params)) -> serde_json::Value {
        let mut params = Params::parse(query);
        read(&mut params);
        serde_json::to_value(params.problems()).unwrap()
    }

    /// Sabotage: take the last value of a parameter.
    #[test]
    fn some_parameters_come_more_than_once() {
        let mut params = Params::parse("f=b&f=a&f=&x=1");
        assert_eq!(params.all("f"), ["b", "a", ""]);
        assert_eq!((params.all("x"), params.all("y")), (vec!["1".to_owned()], vec![]));
        assert!(params.finish().is_ok());
    }

    #[test]
    fn a_parameter_given_twice_is_refused() {
        assert_eq!(problem_of("range=7d&range=1y", |_| ()), serde_json::json!({"range": "given more than once"}));
        assert_eq!(problem_of("a=1&%61=1", |_| ()), serde_json::json!({"a": "given more than once"}));
    }

    #[test]
    fn bad_encodings_are_refused() {
        for query in ["a=%", "a=%4", "a=%zz", "a=%ff", "%c3%28=1"] {
            assert!(Params::parse(query).finish().is_err(), "{query}");
        }
        assert_eq!(Params::parse("a=x%20y+z&b&=c").get("a"), Some("x y z"));
    }

    #[test]
    fn numbers_are_whole_and_in_range() {
        for bad in ["limit=0", "limit=-1", "limit=abc", "limit=1.5", "limit=", "limit=%2B5", "offset=-1", "limit=1e3"] {
            let mut params = Params::parse(bad);
            params.page(20, 100);
            assert!(params.finish().is_err(), "{bad}");
        }
        let page = |query| Params::parse(query).page(20, 100);
        assert_eq!(page(""), Page { limit: 20, offset: 0 });
        assert_eq!(page("limit=101&offset=7"), Page { limit: 100, offset: 7 });
        assert_eq!(page("limit=99999999999999999999999"), Page { limit: 100, offset: 0 });
    }

    #[test]
    fn the_aliases_serve_only_where_the_names_are_absent() {
        let page = |query| Params::parse(query).page(20, 1_000);
        assert_eq!(page("page=3&per_page=10"), Page { limit: 10, offset: 20 });
        assert_eq!(page("per_page=500"), Page { limit: 100, offset: 0 });
        assert_eq!(page("page=3&per_page=10&limit=5"), Page { limit: 5, offset: 0 });
    }

    #[test]
    fn named_ranges_are_rolling_and_include_this_millisecond() {
        let window = |query| Params::parse(query).range(now());
        assert_eq!(window("").label, RangeName("7d"));
        assert_eq!(window("timeRange=30d").label, RangeName("30d"));
        assert_eq!(window("range=24h&timeRange=30d").label, RangeName("24h"));
        let range = window("range=24h").range;
        assert_eq!(range.from, at("2026-06-12T12:30:00Z"));
        assert!(range.contains(now()));
        assert_eq!(
            problem_of("range=2w", |params| {
                params.range(now());
            }),
            serde_json::json!({"range": "use one of 24h, 7d, 30d, 90d, 1y"})
        );
    }

    #[test]
    fn the_day_of_to_belongs_to_the_range() {
        let window = Params::parse("from=2026-06-01&to=2026-06-13&range=1y").range(now());
        assert_eq!(window.label, RangeName::CUSTOM);
        assert_eq!(window.range, TimeRange::new(at("2026-06-01T00:00:00Z"), at("2026-06-14T00:00:00Z")));
        let dates = serde_json::to_value(window.dates()).unwrap();
        assert_eq!((dates["start"].as_str(), dates["end"].as_str()), (Some("2026-06-01"), Some("2026-06-13")));
        assert_eq!(Params::parse("from=2026-06-10").range(now()).range.to, now().plus_millis(1));
        assert_eq!(Params::parse("to=2026-06-10").range(now()).range.from, at("2026-06-04T00:00:00Z"));
    }

    #[test]
    fn texts_that_are_no_dates_are_refused_by_name() {
        for bad in ["yesterday", "2026-13-01", "2026-02-30", "2026-6-1", "20260601", "2026/06/01", "+2026-06-1", ""] {
            let details = problem_of(&format!("from={bad}"), |params| {
                params.range(now());
            });
            assert_eq!(details["from"], "use a date such as 2026-06-01", "{bad}");
        }
        for bad in ["from=2026-06-02&to=2026-06-01", "from=2027-01-01", "from=1970-01-01"] {
            let mut params = Params::parse(bad);
            params.range(now());
            assert!(params.finish().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_wrong_parameter_is_named() {
        let details = problem_of("range=x&limit=0&offset=z", |params| {
            params.range(now());
            params.page(20, 100);
        });
        assert_eq!(details.as_object().unwrap().len(), 3, "{details}");
    }
}
