//! Filters, as a string or as a tree.

use serde_json::Value;
use zenovay_domain::{Dimension, EventKind};
use zenovay_query::{Condition, Field, Filter, FilterLevel, Operator, check_regex, regex_ignoring_case};

use crate::conflict::{self, Part};
use crate::countries::{countries, places};
use crate::join::and;
use crate::names::{CUSTOM, CUSTOM_NAME_MAX, CUSTOM_OF_VIEW, bare};
use crate::{Problem, Property, PropertyError, traits};

/// The longest string with filters, in bytes.
const FILTERS_MAX_BYTES: usize = 16_384;
/// The most conditions.
const CONDITIONS_MAX: usize = 64;
/// The most values of all conditions together.
const VALUES_MAX: usize = 1_000;
/// The most regular expressions of all conditions together: each may take a megabyte.
const EXPRESSIONS_MAX: usize = 16;
/// The most patterns with a `*` of all conditions together: each is tried on every different string.
const PATTERNS_MAX: usize = 32;
/// How deep a tree of filters may be.
const DEPTH_MAX: usize = 10;
/// The longest value, in bytes.
const VALUE_MAX_BYTES: usize = 2_048;

/// The names of the kind of an event, which only filters know: no rows are by it.
pub(crate) const KIND: [&str; 3] = ["event:type", "event_type", "type"];

/// The operators of conditions in a tree.
const OPERATORS: [(&str, Operator); 10] = [
    ("is", Operator::Is),
    ("is_not", Operator::IsNot),
    ("contains", Operator::Contains),
    ("contains_not", Operator::DoesNotContain),
    ("matches", Operator::MatchesRegex),
    ("matches_not", Operator::DoesNotMatchRegex),
    ("matches_wildcard", Operator::Matches),
    ("matches_wildcard_not", Operator::DoesNotMatch),
    ("starts_with", Operator::StartsWith),
    ("ends_with", Operator::EndsWith),
];

/// Codes that are no country's, and those that are meant by them, in small letters.
const MISTAKEN_FOR: [(&str, &str); 2] = [("uk", "gb"), ("el", "gr")];

/// What the absence of a source is called elsewhere.
const NO_SOURCE: [&str; 5] = ["Direct", "Direct / None", "(Direct / None)", "(direct)", "(none)"];

/// What stands for the pages beyond the most of which captures keep the paths.
const OTHER_PAGES: &str = "(other)";

/// The operators that join other filters.
const JOINING: [&str; 5] = ["and", "or", "not", "has_done", "has_not_done"];

/// In whose words something is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// Ours: property names also without prefix, values as they are stored, `level` as a modifier.
    Own,
    /// Ours, in the words of the dashboard and its address: names are told without prefix, those of custom properties with `prop.`,
    /// which is also read; a tree alone. A value that no event can have, where all are known or their form, is refused: the name of a
    /// country, which has a code, a device or channel that there is not, a page with its host or query. Otherwise the answer would be
    /// taken for one about visitors. In the other dialects such a value chooses nothing, as with the product whose words they are. `is`
    /// and `is_not` take names of sources, browsers, systems, regions and cities in any case.
    View,
    /// Plausible's: values as that product shows them, such as `Desktop` and `(Direct / None)`.
    Plausible,
}

/// A goal: what makes a visit a conversion.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Goal {
    /// An event with this name.
    Event(String),
    /// A view of a page whose path matches this pattern, in which `*` stands for any run of characters.
    Page(String),
}

impl Goal {
    /// Reads `Visit /path` as a page and everything else as the name of an event.
    pub fn parse(value: &str) -> Self {
        match value.strip_prefix("Visit ") {
            Some(path) if path.starts_with('/') || path.starts_with('*') => Self::Page(path.to_owned()),
            _ => Self::Event(value.to_owned()),
        }
    }

    fn filter(&self) -> Filter {
        let is = |dimension, operator, value: &str| {
            condition(Field::Dimension(dimension), operator, vec![value.to_owned()], None)
        };
        match self {
            Self::Event(name) => is(Dimension::EventName, Operator::Is, name),
            Self::Page(path) => {
                Filter::All(vec![Filter::Kind(EventKind::Pageview), is(Dimension::Path, Operator::Matches, path)])
            }
        }
    }
}

/// Filters, with those by goals apart: they say what a conversion is. Two are equal when they choose the same, in whatever words.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Filters {
    /// The events that are conversions; `None` when no goal is named.
    pub goals: Option<Filter>,
    /// Everything else.
    pub rest: Filter,
    /// Whether a condition is about the pages of events.
    pub names_page: bool,
    /// Whether a condition is about what an event was: its kind, its name or a property of it.
    pub names_event: bool,
    /// What was asked for.
    parts: Vec<Part>,
}

impl PartialEq for Filters {
    fn eq(&self, other: &Self) -> bool {
        let choice = |filters: &Self| (filters.names_page, filters.names_event);
        self.goals == other.goals && self.rest == other.rest && choice(self) == choice(other)
    }
}

impl Filters {
    /// What both ask for together.
    pub fn all(&self) -> Filter {
        match &self.goals {
            None => self.rest.clone(),
            Some(goals) => and(vec![goals.clone(), self.rest.clone()]),
        }
    }

    /// What these and `others` ask for together. Where both name goals, a conversion is an event of both.
    ///
    /// # Errors
    /// When no event or no visit has what some of these and some of the others ask for; where is that of the last of the latter.
    pub fn with(self, others: Self) -> Result<Self, Problem> {
        let mut parts = self.parts;
        let of_each = others.parts.iter().try_for_each(|part| conflict::check_with(&parts, part));
        parts.extend(others.parts);
        // Places in what was parsed apart would be taken for those of one text.
        of_each
            .and_then(|()| conflict::check_together(&parts))
            .map_err(|problem| Problem { never: None, ..problem })?;
        let goals = match (self.goals, others.goals) {
            (Some(goals), Some(others)) => Some(and(vec![goals, others])),
            (goals, others) => goals.or(others),
        };
        Ok(Self {
            goals,
            rest: and(vec![self.rest, others.rest]),
            names_page: self.names_page || others.names_page,
            names_event: self.names_event || others.names_event,
            parts,
        })
    }
}

fn condition(field: Field, operator: Operator, values: Vec<String>, level: Option<FilterLevel>) -> Filter {
    Filter::Is(Condition::new(field, operator, values).at(level))
}

/// Reads filters: a string such as `visit:country==DE|AT;event:page!=/blog/*`, or a tree as JSON, see [`filters_of_json`].
///
/// In the string `;` joins conditions that must all hold, `|` joins values of which one must match, `\|` and `\;` are those
/// characters themselves, and `*` stands for any run of characters. A goal is the name of an event, or `Visit` and a path.
///
/// ```
/// use zenovay_stats::{Dialect, parse_filters};
///
/// let filters = parse_filters("event:goal==Signup;visit:country==DE|AT", Dialect::Own)?;
/// assert!(filters.goals.is_some());
/// let problem = parse_filters("visit:contry==DE", Dialect::Own).unwrap_err();
/// assert!(problem.to_string().contains("visit:contry"), "{problem}");
/// # Ok::<(), zenovay_stats::Problem>(())
/// ```
///
/// # Errors
/// What is wrong, and where. In our own dialects that is also when no event or no visit has what two filters ask for: two pages, or
/// two goals.
pub fn parse_filters(text: &str, dialect: Dialect) -> Result<Filters, Problem> {
    if text.len() > FILTERS_MAX_BYTES {
        return Err(Problem::new(format!("more than {FILTERS_MAX_BYTES} bytes")));
    }
    if dialect == Dialect::View || text.trim_start().starts_with('[') {
        let tree: Value = serde_json::from_str(text).map_err(|error| Problem::new(not_json(&error)))?;
        return filters_of_json(&tree, dialect);
    }
    let mut reader = Reader::new(dialect);
    for part in split(text, ';').iter().map(|part| part.trim()).filter(|part| !part.is_empty()) {
        reader.expression(part)?;
    }
    reader.finish()
}

/// Reads a list of filters that must all hold. Each is `[operator, property, [values]]`, with an object of modifiers as a
/// fourth member if need be, or `["and", [filters]]`, `["or", [filters]]`, `["not", filter]`, `["has_done", filter]` (visits
/// with an event that the filter chooses) or `["has_not_done", filter]`.
///
/// Operators are `is`, `contains`, `matches` (a regular expression), `matches_wildcard`, `starts_with`, `ends_with`, and
/// `is_not`, `contains_not`, `matches_not`, `matches_wildcard_not`. Modifiers are `case_sensitive` and, in our own dialect,
/// `level`: `event`, `visit` or, but for custom properties, `visitor`. Goals stand at the top, or in `has_done`.
/// Conditions on custom properties are of events in which nobody told about themselves. Beside the properties that rows can be
/// by, our own dialect has `event:type`, the kind of an event such as `outbound_link`, with `is` and `is_not`.
///
/// ```
/// use zenovay_stats::serde_json::json;
/// use zenovay_stats::{Dialect, filters_of_json};
///
/// let tree = json!([["is", "visit:country", ["DE"]], ["not", ["contains", "event:page", ["/blog"]]]]);
/// assert!(filters_of_json(&tree, Dialect::Own)?.names_page);
/// # Ok::<(), zenovay_stats::Problem>(())
/// ```
///
/// # Errors
/// What is wrong, and where, as for [`parse_filters`].
pub fn filters_of_json(tree: &Value, dialect: Dialect) -> Result<Filters, Problem> {
    let mut reader = Reader::new(dialect);
    let Value::Array(filters) = tree else { return Err(Problem::new("must be an array of filters")) };
    if filters.first().is_some_and(Value::is_string) {
        let example = reader.example();
        return Err(Problem::new(format!("must be an array of filters, also where it is one: [{example}]")));
    }
    for (number, filter) in filters.iter().enumerate() {
        reader.at = format!("/{number}");
        reader.top(filter, filter.to_string())?;
    }
    reader.finish()
}

/// Whether a name is, or was meant to be, that of a property that a website gives its events.
fn is_custom(name: &str) -> bool {
    [CUSTOM, CUSTOM_OF_VIEW, "props:"].iter().any(|prefix| name.starts_with(prefix))
}

/// Why a string is not JSON, in plain words.
fn not_json(error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "not JSON: it ends before all its brackets and quotes are closed".to_owned();
    }
    format!("not JSON: line {}, character {} is not what may stand there", error.line(), error.column())
}

/// Parts of `text` between `separator`s that have no backslash before them. Backslashes stay.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut is_escaped) = (0, false);
    for (position, character) in text.char_indices() {
        if character == separator && !is_escaped {
            parts.push(&text[start..position]);
            start = position + character.len_utf8();
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    parts.push(&text[start..]);
    parts
}

pub(crate) struct Reader {
    dialect: Dialect,
    /// Where what is read now stands.
    pub(crate) at: String,
    goals: Vec<Filter>,
    rest: Vec<Filter>,
    names_page: bool,
    names_event: bool,
    conditions: usize,
    values: usize,
    expressions: usize,
    patterns: usize,
    parts: Vec<Part>,
}

/// Where in a tree a filter stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    /// Below `and`, `or` and `not`.
    Nested,
    /// In `has_done`.
    Done,
}

impl Reader {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            at: String::new(),
            goals: Vec::new(),
            rest: Vec::new(),
            names_page: false,
            names_event: false,
            conditions: 0,
            values: 0,
            expressions: 0,
            patterns: 0,
            parts: Vec::new(),
        }
    }

    /// All that was read.
    ///
    /// # Errors
    /// When two of our own filters never hold together. In the other dialect they choose nothing, as with the product whose words they are.
    pub(crate) fn finish(self) -> Result<Filters, Problem> {
        if self.is_own() {
            conflict::check(&self.parts)?;
        }
        let Self { goals, rest, names_page, names_event, parts, .. } = self;
        let goals = if goals.is_empty() { None } else { Some(and(goals)) };
        Ok(Filters { goals, rest: and(rest), names_page, names_event, parts })
    }

    fn problem<T>(&self, problem: impl Into<String>) -> Result<T, Problem> {
        Err(Problem::at(self.at.clone(), problem))
    }

    fn is_own(&self) -> bool {
        self.dialect != Dialect::Plausible
    }

    /// A property by the name that it has in the dialect.
    fn named(&self, name: &'static str) -> &'static str {
        match (self.dialect, name) {
            (Dialect::View, CUSTOM) => CUSTOM_OF_VIEW,
            (Dialect::View, name) => bare(name),
            _ => name,
        }
    }

    /// A filter in the words of the dialect.
    fn example(&self) -> String {
        format!("[\"is\", \"{}\", [\"/\"]]", self.named("event:page"))
    }

    fn subject(&self, name: &str) -> Result<Subject, Problem> {
        if self.is_own() && KIND.contains(&name) {
            return Ok(Subject::Kind);
        }
        let is_view = self.dialect == Dialect::View;
        let custom = name.strip_prefix(CUSTOM_OF_VIEW).filter(|_| is_view);
        let custom = custom.map(|name| format!("{CUSTOM}{name}"));
        match Property::parse(custom.as_deref().unwrap_or(name), self.is_own()) {
            // Which goals there are is not known here: those of a view are read before.
            Ok(Property::Goal) if is_view => {
                self.problem("goal is not known here; give goal:is: and the name of a goal as a filter".to_owned())
            }
            Ok(property) => Ok(Subject::Property(property)),
            Err(PropertyError::Unknown) if is_view && is_custom(name) => {
                let custom = self.named(CUSTOM);
                self.problem(format!("write {custom} and the name of a property, of 1 to {CUSTOM_NAME_MAX} characters"))
            }
            Err(PropertyError::Unknown) => {
                let of_dialect = Property::names().filter(|name| !is_view || *name != "event:goal");
                let mut known: Vec<&str> = of_dialect.map(|name| self.named(name)).collect();
                if self.is_own() {
                    known.push(self.named("event:type"));
                }
                let (known, custom) = (known.join(", "), self.named(CUSTOM));
                let what = if is_view { "dimension" } else { "property" };
                self.problem(format!("unknown {what} {name:?}; use {known}, or {custom} and a name"))
            }
            Err(error @ PropertyError::Withheld) => {
                let name = if is_view { name.replacen(CUSTOM, CUSTOM_OF_VIEW, 1) } else { name.to_owned() };
                self.problem(format!("{name} {error}"))
            }
        }
    }

    /// `property==value|value`, or with `!=`.
    fn expression(&mut self, text: &str) -> Result<(), Problem> {
        let found = ["==", "!="].iter().filter_map(|sign| Some((text.find(sign)?, *sign))).min();
        let Some((position, sign)) = found else {
            return self.problem(format!("{text:?} has neither == nor !="));
        };
        let subject = self.subject(text[..position].trim())?;
        let values: Vec<String> = split(&text[position + sign.len()..], '|')
            .iter()
            .map(|value| value.replace("\\|", "|").replace("\\;", ";"))
            .collect();
        let is_pattern = values.iter().any(|value| value.contains('*'));
        let operator = match (sign, is_pattern) {
            ("==", false) => Operator::Is,
            ("==", true) => Operator::Matches,
            (_, false) => Operator::IsNot,
            (_, true) => Operator::DoesNotMatch,
        };
        let leaf = Leaf { subject, operator, values, ignores_case: false, level: None };
        self.add_top(leaf, text.to_owned(), text[..position + sign.len()].to_owned())
    }

    /// A filter that must hold with all others; `text` is how it was asked.
    pub(crate) fn top(&mut self, filter: &Value, text: String) -> Result<(), Problem> {
        match self.leaf(filter)? {
            Some(leaf) => {
                let subject = format!("{} {}", filter[0], filter[1]);
                self.add_top(leaf, text, subject)
            }
            None => {
                let filter = self.tree(filter, Place::Top, 0)?;
                self.note(text, None, false, filter.clone());
                self.rest.push(filter);
                Ok(())
            }
        }
    }

    fn add_top(&mut self, leaf: Leaf, text: String, subject: String) -> Result<(), Problem> {
        let is_goal = leaf.subject == Subject::GOAL;
        let plain = self.plain(&leaf);
        let filter = self.condition(leaf)?;
        self.note(text, Some(subject), is_goal, plain.unwrap_or_else(|| filter.clone()));
        if is_goal {
            self.goals.push(filter);
        } else {
            self.rest.push(filter);
        }
        Ok(())
    }

    /// Notes a filter that must hold with all others.
    fn note(&mut self, text: String, subject: Option<String>, is_goal: bool, filter: Filter) {
        self.parts.push(Part { at: self.at.clone(), text, subject, is_goal, filter });
    }

    /// Adds what conversions are; `text` is how it was asked, `subject` what is compared and how.
    pub(crate) fn add_conversions(&mut self, conversions: Filter, text: String, subject: String) {
        self.note(text, Some(subject), true, conversions.clone());
        self.goals.push(conversions);
        self.names_event = true;
    }

    /// Adds what visits are; `text` is how it was asked.
    pub(crate) fn add_visits(&mut self, visits: Filter, text: String) {
        self.note(text, None, false, visits.clone());
        self.rest.push(visits);
    }

    /// The condition on a field as it was asked; `None` when it is of something else, or in any case.
    fn plain(&self, leaf: &Leaf) -> Option<Filter> {
        let Leaf { subject: Subject::Property(Property::Field(field)), operator, values, ignores_case: false, level } =
            leaf
        else {
            return None;
        };
        let values = values.iter().map(|value| self.stored(field, *operator, value.clone())).collect();
        Some(condition(field.clone(), *operator, values, *level))
    }

    /// A filter with an operator that joins others.
    fn tree(&mut self, filter: &Value, place: Place, depth: usize) -> Result<Filter, Problem> {
        if depth > DEPTH_MAX {
            return self.problem(format!("filters are nested deeper than {DEPTH_MAX}"));
        }
        if let Some(leaf) = self.leaf(filter)? {
            if leaf.subject == Subject::GOAL && place == Place::Nested {
                let goal = self.named("event:goal");
                return self
                    .problem(format!("{goal} can only be filtered at the top, or in has_done and has_not_done"));
            }
            return self.condition(leaf);
        }
        let Some([Value::String(operator), inner @ ..]) = filter.as_array().map(Vec::as_slice) else {
            return self.problem(format!("a filter is an array such as {}", self.example()));
        };
        let inner = match inner {
            [inner] if JOINING.contains(&operator.as_str()) => inner,
            _ if JOINING.contains(&operator.as_str()) => {
                return self.problem(format!("{operator} takes one member after it"));
            }
            _ => {
                let known: Vec<&str> = OPERATORS.iter().map(|(name, _)| *name).chain(JOINING).collect();
                return self.problem(format!("unknown operator {operator:?}; use {}", known.join(", ")));
            }
        };
        let nested = if place == Place::Done { Place::Done } else { Place::Nested };
        match operator.as_str() {
            "and" => Ok(Filter::All(self.list(inner, nested, depth)?)),
            "or" => Ok(Filter::Any(self.list(inner, nested, depth)?)),
            "not" => Ok(Filter::Not(Box::new(self.member(inner, 1, nested, depth)?))),
            "has_done" => Ok(Filter::InSession(Box::new(self.done(inner, place, depth)?))),
            // What is left is `has_not_done`.
            _ => {
                let done = Filter::InSession(Box::new(self.done(inner, place, depth)?));
                Ok(Filter::Not(Box::new(done)))
            }
        }
    }

    fn done(&mut self, inner: &Value, place: Place, depth: usize) -> Result<Filter, Problem> {
        if place == Place::Done {
            return self.problem("has_done and has_not_done cannot be nested");
        }
        // What was done elsewhere in a visit is not a condition on the events that are counted.
        let (names_page, names_event) = (self.names_page, self.names_event);
        let filter = self.member(inner, 1, Place::Done, depth)?;
        (self.names_page, self.names_event) = (names_page, names_event);
        Ok(filter)
    }

    fn list(&mut self, filters: &Value, place: Place, depth: usize) -> Result<Vec<Filter>, Problem> {
        let Value::Array(filters) = filters else { return self.problem("and and or take an array of filters") };
        if filters.is_empty() {
            return self.problem("and and or take at least one filter");
        }
        let at = std::mem::take(&mut self.at);
        let read = filters.iter().enumerate().map(|(number, filter)| {
            self.at = format!("{at}/1/{number}");
            self.tree(filter, place, depth + 1)
        });
        let read = read.collect::<Result<_, _>>()?;
        self.at = at;
        Ok(read)
    }

    fn member(&mut self, filter: &Value, number: usize, place: Place, depth: usize) -> Result<Filter, Problem> {
        let at = self.at.clone();
        self.at = format!("{at}/{number}");
        let filter = self.tree(filter, place, depth + 1)?;
        self.at = at;
        Ok(filter)
    }

    /// The condition that `filter` is; `None` when its operator joins others or it is not a filter.
    fn leaf(&self, filter: &Value) -> Result<Option<Leaf>, Problem> {
        let Some([Value::String(operator), rest @ ..]) = filter.as_array().map(Vec::as_slice) else { return Ok(None) };
        let Some((_, operator)) = OPERATORS.iter().find(|(name, _)| name == operator) else { return Ok(None) };
        let operator = *operator;
        let [Value::String(name), Value::Array(values), modifiers @ ..] = rest else {
            return self.problem("a condition is an operator, a property and an array of values");
        };
        let subject = self.subject(name)?;
        if values.is_empty() {
            return self.problem("a condition has at least one value");
        }
        let texts = values.iter().map(|value| value.as_str().map(str::to_owned));
        let Some(values) = texts.collect::<Option<Vec<String>>>() else {
            return self.problem("the values of a condition are strings");
        };
        let mut leaf = Leaf { subject, operator, values, ignores_case: false, level: None };
        match modifiers {
            [] => {}
            [Value::Object(modifiers)] => {
                for (name, value) in modifiers {
                    self.modify(&mut leaf, name, value)?;
                }
            }
            _ => return self.problem("the modifiers of a condition are one object"),
        }
        Ok(Some(leaf))
    }

    fn modify(&self, leaf: &mut Leaf, name: &str, value: &Value) -> Result<(), Problem> {
        match (name, value) {
            ("case_sensitive", Value::Bool(is_sensitive)) => leaf.ignores_case = !is_sensitive,
            ("level", Value::String(level)) if self.is_own() => {
                leaf.level = match level.as_str() {
                    "event" => Some(FilterLevel::Event),
                    "visit" => Some(FilterLevel::Session),
                    "visitor" => Some(FilterLevel::Visitor),
                    _ => return self.problem("level is event, visit or visitor"),
                };
            }
            ("case_sensitive", _) => return self.problem("case_sensitive is true or false"),
            _ => {
                let known = if self.is_own() { "case_sensitive or level" } else { "case_sensitive" };
                return self.problem(format!("unknown modifier {name:?}; use {known}"));
            }
        }
        Ok(())
    }

    /// Counts what `leaf` takes, and makes a filter of it.
    fn condition(&mut self, leaf: Leaf) -> Result<Filter, Problem> {
        self.conditions += 1;
        self.values += leaf.values.len();
        if self.conditions > CONDITIONS_MAX {
            return self.problem(format!("more than {CONDITIONS_MAX} conditions"));
        }
        if self.values > VALUES_MAX {
            return self.problem(format!("more than {VALUES_MAX} values"));
        }
        if matches!(leaf.operator, Operator::Matches | Operator::DoesNotMatch) {
            self.patterns += leaf.values.iter().filter(|value| value.contains('*')).count();
        }
        if self.patterns > PATTERNS_MAX {
            return self.problem(format!("more than {PATTERNS_MAX} patterns with a *"));
        }
        if leaf.values.iter().any(|value| value.len() > VALUE_MAX_BYTES) {
            return self.problem(format!("a value of more than {VALUE_MAX_BYTES} bytes"));
        }
        let Leaf { subject, operator, values, ignores_case, level } = leaf;
        let Subject::Property(property) = subject else {
            self.names_event = true;
            return self.kind(operator, &values, ignores_case, level);
        };
        let is_country = property == Property::Field(Field::Dimension(Dimension::Country));
        let is_exact = matches!(operator, Operator::Is | Operator::IsNot) && !ignores_case;
        if self.dialect == Dialect::Plausible && is_country && is_exact && values.iter().any(|code| code.len() != 2) {
            let rule = "Invalid visit:country filter, visit:country needs to be a valid 2-letter country code";
            return Err(Problem::new(rule));
        }
        if self.dialect == Dialect::View
            && let Property::Field(field) = &property
        {
            self.check_values(field, operator, &values, ignores_case)?;
        }
        self.names_page |= property.is_page();
        self.names_event |= property.is_of_events_only();
        match property {
            Property::Goal => self.goal(operator, values, ignores_case, level),
            Property::CountryName if operator.is_regex() => {
                let (name, code) = (self.named("visit:country_name"), self.named("visit:country"));
                self.problem(format!("{name} does not go with matches; use {code}, or contains"))
            }
            Property::CountryName => {
                let is_view = self.dialect == Dialect::View;
                // Names are taken as people write them, see `as_names`.
                let ignores_case = ignores_case || (is_view && matches!(operator, Operator::Is | Operator::IsNot));
                if is_view {
                    self.check_country_names(operator, &values, ignores_case)?;
                }
                Ok(condition_on_country(operator, &values, ignores_case, level))
            }
            Property::Field(field) => {
                let values: Vec<String> =
                    values.into_iter().map(|value| self.stored(&field, operator, value)).collect();
                let as_names = if ignores_case { None } else { self.as_names(&field, operator, &values) };
                let (operator, values) = as_names.unwrap_or((operator, values));
                self.field(field, operator, values, ignores_case, level)
            }
        }
    }

    /// Whether each of `values` can hold for an event, where all that events have are known, or their form. A regular expression is passed
    /// over.
    fn check_values(
        &self,
        field: &Field,
        operator: Operator,
        values: &[String],
        ignores_case: bool,
    ) -> Result<(), Problem> {
        if operator.is_regex() {
            return Ok(());
        }
        let (operator, _) = positive(operator);
        let values = values.iter().filter(|value| !value.is_empty());
        match field {
            Field::EntryPage | Field::ExitPage | Field::Dimension(Dimension::Path) => {
                self.check_pages(operator, values)
            }
            Field::Dimension(Dimension::Hostname) => self.check_hosts(operator, values),
            Field::Dimension(Dimension::Country) => self.check_countries(operator, values, ignores_case),
            Field::Dimension(Dimension::Source) if operator == Operator::Is => self.check_sources(values),
            Field::Dimension(dimension) => {
                let Some(known) = dimension.known_values() else { return Ok(()) };
                let mut values = values;
                match values.find(|value| !is_of(known.iter().copied(), operator, value, ignores_case)) {
                    Some(wrong) => self.problem(format!("{wrong:?} is unknown; use {}", known.join(", "))),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Pages are told by their paths alone.
    fn check_pages<'v>(&self, operator: Operator, values: impl Iterator<Item = &'v String>) -> Result<(), Problem> {
        let begins = |value: &str| match operator {
            Operator::Is | Operator::StartsWith => value.starts_with('/'),
            Operator::Matches => value.starts_with(['/', '*']),
            _ => true,
        };
        let is_wrong = |value: &&String| *value != OTHER_PAGES && (!begins(value) || value.contains(['?', '#']));
        let Some((place, wrong)) = values.enumerate().find(|(_, value)| is_wrong(value)) else { return Ok(()) };
        let meant = path_of(wrong);
        let words = format!("pages are paths that begin with /, without host and query, such as {meant:?}");
        // A second one may be what follows a `|` of the first.
        let mark = if place > 0 { r"; a | within a path is written \| or %7C" } else { "" };
        self.problem(words + mark)
    }

    /// Hosts are told as browsers send them.
    fn check_hosts<'v>(&self, operator: Operator, mut values: impl Iterator<Item = &'v String>) -> Result<(), Problem> {
        let is_wrong = |value: &&String| {
            let has_port = operator == Operator::Is && without_port(value).len() < value.len();
            has_port || !value.is_ascii() || value.contains(['/', '?', '#', '@', ' '])
        };
        let Some(wrong) = values.find(is_wrong) else { return Ok(()) };
        let meant = host_of(wrong);
        self.problem(format!("hosts are told as browsers send them, without scheme, port and path, such as {meant:?}"))
    }

    fn check_countries<'v>(
        &self,
        operator: Operator,
        mut values: impl Iterator<Item = &'v String>,
        ignores_case: bool,
    ) -> Result<(), Problem> {
        let is_code = |value: &str| value.len() == 2 && value.bytes().all(|byte| byte.is_ascii_uppercase());
        let can_hold = |value: &String| is_of(places().map(|(code, _)| code), operator, value, ignores_case);
        let Some(wrong) = values.find(|value| !can_hold(value)) else { return Ok(()) };
        let (code, name) = country_meant(wrong);
        let such = format!("such as {code} for {name}");
        if is_code(wrong) {
            return self.problem(format!("{wrong:?} is the code of no country; use those of ISO 3166-1, {such}"));
        }
        self.problem(format!("countries are codes of two capital letters, {such}"))
    }

    fn check_country_names(&self, operator: Operator, values: &[String], ignores_case: bool) -> Result<(), Problem> {
        let (operator, _) = positive(operator);
        let can_hold = |value: &&String| is_of(places().map(|(_, name)| name), operator, value, ignores_case);
        let Some(wrong) = values.iter().find(|value| !can_hold(value)) else { return Ok(()) };
        let (code, name) = country_meant(wrong);
        let by_code = self.named("visit:country");
        self.problem(format!(
            "{wrong:?} is the name of no country; use English names, such as {name}, or {by_code} with codes, such as {code}"
        ))
    }

    /// A visit that came from nowhere has no source. Others call that by a name.
    fn check_sources<'v>(&self, mut values: impl Iterator<Item = &'v String>) -> Result<(), Problem> {
        let is_none = |value: &str| NO_SOURCE.iter().any(|name| name.eq_ignore_ascii_case(value));
        let Some(wrong) = values.find(|value| is_none(value)) else { return Ok(()) };
        let (source, channel, tag) =
            (self.named("visit:source"), self.named("visit:channel"), self.named("visit:utm_source"));
        self.problem(format!(
            "direct visits have no source: give {channel} the value Direct, or {source} an empty value, for all visits without a source; a tag {wrong:?} is a value of {tag}"
        ))
    }

    /// The comparison of names that people write in capitals or in small letters, in one expression. `None` where they are compared as they
    /// are.
    fn as_names(&self, field: &Field, operator: Operator, values: &[String]) -> Option<(Operator, Vec<String>)> {
        let compared = match operator {
            Operator::Is => Operator::MatchesRegex,
            Operator::IsNot => Operator::DoesNotMatchRegex,
            _ => return None,
        };
        let is_named = self.dialect == Dialect::View && conflict::ignores_case(field);
        if !is_named || values.iter().all(String::is_empty) {
            return None;
        }
        let expressions: Vec<String> = values.iter().map(|value| regex_ignoring_case(value, true)).collect();
        let expression = expressions.join("|");
        // One that is too long compares as it is.
        check_regex(&expression).is_ok().then(|| (compared, vec![expression]))
    }

    fn field(
        &mut self,
        field: Field,
        operator: Operator,
        values: Vec<String>,
        ignores_case: bool,
        level: Option<FilterLevel>,
    ) -> Result<Filter, Problem> {
        let (operator, values) =
            if ignores_case { self.ignoring_case(&field, operator, values)? } else { (operator, values) };
        if operator.is_regex() {
            self.expressions += values.len();
            if self.expressions > EXPRESSIONS_MAX {
                return self.problem(format!("more than {EXPRESSIONS_MAX} regular expressions"));
            }
            for value in &values {
                check_regex(value).or_else(|problem| self.problem(problem.to_string()))?;
            }
        }
        if !matches!(field, Field::Property(_)) {
            return Ok(condition(field, operator, values, level));
        }
        match traits::of_readable(Condition::new(field, operator, values).at(level)) {
            Some(filter) => Ok(filter),
            None => self.problem(format!("{} takes the levels event and visit only", self.named(CUSTOM))),
        }
    }

    fn ignoring_case(
        &self,
        field: &Field,
        operator: Operator,
        values: Vec<String>,
    ) -> Result<(Operator, Vec<String>), Problem> {
        let (operator, is_whole) = match operator {
            Operator::Is => (Operator::MatchesRegex, true),
            Operator::IsNot => (Operator::DoesNotMatchRegex, true),
            Operator::Contains => (Operator::MatchesRegex, false),
            Operator::DoesNotContain => (Operator::DoesNotMatchRegex, false),
            _ => return self.problem("case_sensitive goes with is, is_not, contains and contains_not"),
        };
        let expression = |value: String| regex_ignoring_case(&field.column().normal(&value), is_whole);
        Ok((operator, values.into_iter().map(expression).collect()))
    }

    /// Events of the kinds, or of all others; by `level` visits with such an event.
    fn kind(
        &self,
        operator: Operator,
        names: &[String],
        ignores_case: bool,
        level: Option<FilterLevel>,
    ) -> Result<Filter, Problem> {
        if ignores_case || !matches!(operator, Operator::Is | Operator::IsNot) {
            return self.problem(format!("{} goes with is and is_not only", self.named("event:type")));
        }
        let known = || EventKind::ALL.iter().filter(|kind| kind.is_event());
        let mut kinds = Vec::new();
        for name in names {
            let Some(kind) = known().find(|kind| kind.as_str() == name) else {
                let names: Vec<&str> = known().map(|kind| kind.as_str()).collect();
                return self.problem(format!("{name:?} is not a type of event: use {}", names.join(", ")));
            };
            kinds.push(Filter::Kind(*kind));
        }
        let any = if kinds.len() == 1 { kinds.swap_remove(0) } else { Filter::Any(kinds) };
        let chosen = if operator == Operator::Is { any } else { Filter::Not(Box::new(any)) };
        match level {
            None | Some(FilterLevel::Event) => Ok(chosen),
            Some(FilterLevel::Session) => Ok(Filter::InSession(Box::new(chosen))),
            Some(FilterLevel::Visitor) => {
                self.problem(format!("{} takes the levels event and visit only", self.named("event:type")))
            }
        }
    }

    fn goal(
        &self,
        operator: Operator,
        values: Vec<String>,
        ignores_case: bool,
        level: Option<FilterLevel>,
    ) -> Result<Filter, Problem> {
        if ignores_case || level.is_some() {
            return self.problem(format!("{} takes no modifiers", self.named("event:goal")));
        }
        let goal = |value: String| match operator {
            // A pattern in the string form: of pages as it stands, of names of events too.
            Operator::Is | Operator::Matches => Some(match Goal::parse(&value) {
                Goal::Event(name) if operator == Operator::Matches => {
                    condition(Field::Dimension(Dimension::EventName), Operator::Matches, vec![name], None)
                }
                goal => goal.filter(),
            }),
            Operator::Contains => {
                let named = |dimension, value: &str| {
                    condition(Field::Dimension(dimension), Operator::Contains, vec![value.to_owned()], None)
                };
                Some(named(Dimension::EventName, &value))
            }
            _ => None,
        };
        match values.into_iter().map(goal).collect::<Option<Vec<_>>>() {
            Some(mut goals) if goals.len() == 1 => Ok(goals.swap_remove(0)),
            Some(goals) => Ok(Filter::Any(goals)),
            None => self.problem(format!("{} goes with is and contains only", self.named("event:goal"))),
        }
    }

    /// A value as it is stored.
    fn stored(&self, field: &Field, operator: Operator, value: String) -> String {
        if self.is_own() || operator.is_regex() {
            return value;
        }
        match (field, value.as_str()) {
            (Field::Dimension(Dimension::Source | Dimension::Referrer), "Direct / None" | "(Direct / None)") => {
                String::new()
            }
            (Field::Dimension(Dimension::Device), _) => value.to_lowercase(),
            (_, "(none)" | "(not set)") if matches!(operator, Operator::Is | Operator::IsNot) => String::new(),
            _ => value,
        }
    }
}

/// Whether one of `known` passes the comparison with `value`.
fn is_of<'k>(mut known: impl Iterator<Item = &'k str>, operator: Operator, value: &str, ignores_case: bool) -> bool {
    let fold = |text: &str| if ignores_case { text.to_lowercase() } else { text.to_owned() };
    let value = [fold(value)];
    known.any(|known| operator.matches(&fold(known), &value))
}

/// The operator without what turns it round, and whether that is there.
fn positive(operator: Operator) -> (Operator, bool) {
    match operator {
        Operator::IsNot => (Operator::Is, true),
        Operator::DoesNotContain => (Operator::Contains, true),
        Operator::DoesNotMatch => (Operator::Matches, true),
        other => (other, false),
    }
}

/// The country that somebody means who writes `wrong`, by code and name; one as an example when none is seen.
fn country_meant(wrong: &str) -> (&'static str, &'static str) {
    let bare = wrong.trim_matches('*').to_lowercase();
    let meant = MISTAKEN_FOR.iter().find(|(mistaken, _)| *mistaken == bare).map_or(bare.as_str(), |(_, code)| *code);
    let is_meant = |(code, name): &(&str, &str)| [code, name].iter().any(|known| known.to_lowercase() == meant);
    countries().find(is_meant).unwrap_or(("DE", "Germany"))
}

/// The path of a page that is told by its address, or without the `/` that it begins with.
fn path_of(text: &str) -> String {
    let from_path = match text.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |start| &rest[start..]),
        None => text,
    };
    let path = from_path.split(['?', '#']).next().unwrap_or("");
    format!("/{}", path.strip_prefix('/').unwrap_or(path))
}

/// The host of a page that is told by its address; one as an example when it is written in letters that no browser sends.
fn host_of(text: &str) -> String {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or("").rsplit('@').next().unwrap_or("");
    let host = without_port(host).trim().to_lowercase();
    if host.is_ascii() && !host.is_empty() { host } else { "xn--bcher-kva.example".to_owned() }
}

/// A host without what follows the last `:`, if that is a port.
fn without_port(text: &str) -> &str {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match text.rsplit_once(':') {
        Some((host, port)) if is_port(port) && (!host.contains(':') || host.ends_with(']')) => host,
        _ => text,
    }
}

/// What a condition is about.
#[derive(PartialEq)]
enum Subject {
    Property(Property),
    /// The kind of an event.
    Kind,
}

impl Subject {
    const GOAL: Self = Self::Property(Property::Goal);
}

/// One condition as it was asked.
struct Leaf {
    subject: Subject,
    operator: Operator,
    values: Vec<String>,
    ignores_case: bool,
    level: Option<FilterLevel>,
}

/// A condition on names of countries is one on the codes of those that pass.
fn condition_on_country(
    operator: Operator,
    values: &[String],
    ignores_case: bool,
    level: Option<FilterLevel>,
) -> Filter {
    let (positive, negated) = positive(operator);
    let fold = |text: &str| if ignores_case { text.to_lowercase() } else { text.to_owned() };
    let values: Vec<String> = values.iter().map(|value| fold(value)).collect();
    let passing = places().filter(|(_, name)| positive.matches(&fold(name), &values));
    let codes = passing.map(|(code, _)| code.to_owned()).collect();
    let operator = if negated { Operator::IsNot } else { Operator::Is };
    condition(Field::Dimension(Dimension::Country), operator, codes, level)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn own(text: &str) -> Filters {
        parse_filters(text, Dialect::Own).unwrap()
    }

    fn of_custom(field: Field, operator: Operator, values: &[&str]) -> Filter {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Filter::All(vec![traits::readable(), condition(field, operator, values, None)])
    }

    fn is(dimension: Dimension, operator: Operator, values: &[&str]) -> Filter {
        condition(Field::Dimension(dimension), operator, values.iter().map(|value| (*value).to_owned()).collect(), None)
    }

    #[test]
    fn conditions_are_joined_and_values_are_alternatives() {
        let filters = own("visit:country==DE|AT;event:page!=/blog/*");
        assert_eq!(
            filters.rest,
            Filter::All(vec![
                is(Dimension::Country, Operator::Is, &["DE", "AT"]),
                is(Dimension::Path, Operator::DoesNotMatch, &["/blog/*"]),
            ])
        );
        assert!(filters.names_page && !filters.names_event && filters.goals.is_none());
        assert_eq!(own("").all(), Filter::default());
        assert_eq!(own("country==DE").rest, is(Dimension::Country, Operator::Is, &["DE"]));
    }

    #[test]
    fn filters_are_joined_with_others() {
        let (country, page) = (own("country==DE;event:goal==Signup"), own("event:page==/a"));
        let together = || country.clone().with(page.clone()).unwrap();
        assert_eq!(together(), own("country==DE;event:goal==Signup;event:page==/a"));
        assert_eq!(page.clone().with(country.clone()).unwrap().goals, country.goals);
        let two = country.clone().with(own("event:goal==Sign*")).unwrap();
        assert_eq!(two.goals, own("event:goal==Signup;event:goal==Sign*").goals);
        assert_eq!(Filters::default().with(page.clone()), Ok(page.clone()));
        let problem = together().with(own(r#"[["is","country",["DE"]],["is","page",["/b"]]]"#)).unwrap_err();
        assert_eq!((problem.at.as_str(), &problem.never), ("/1", &None));
        assert!(problem.problem.contains(r#"no event is both event:page==/a and ["is","page",["/b"]]"#), "{problem}");
        let two = own("event:page==/a|/b;event:page==/b|/c");
        let problem = two.with(own(r#"[["is","page",["/c","/a"]]]"#)).unwrap_err();
        assert_eq!(problem.at, "/0");
        assert!(problem.problem.contains("no event is all of event:page==/a|/b, event:page==/b|/c and"), "{problem}");
    }

    #[test]
    fn separators_can_be_values() {
        let filters = own(r"visit:utm_campaign==a\|b|c\;d;event:props:plan: x==y==z");
        let plan = Field::Property("plan: x".to_owned());
        assert_eq!(
            filters.rest,
            Filter::All(vec![
                is(Dimension::UtmCampaign, Operator::Is, &["a|b", "c;d"]),
                of_custom(plan, Operator::Is, &["y==z"]),
            ])
        );
    }

    #[test]
    fn goals_are_events_or_views_of_pages() {
        let filters = own("event:goal==Signup|Visit /thanks*;visit:country==DE");
        let page =
            Filter::All(vec![Filter::Kind(EventKind::Pageview), is(Dimension::Path, Operator::Matches, &["/thanks*"])]);
        let name = is(Dimension::EventName, Operator::Matches, &["Signup"]);
        assert_eq!(filters.goals, Some(Filter::Any(vec![name, page])));
        assert_eq!(filters.rest, is(Dimension::Country, Operator::Is, &["DE"]));
        assert_eq!(Goal::parse("Visit us"), Goal::Event("Visit us".to_owned()));
        assert!(parse_filters("event:goal!=Signup", Dialect::Own).is_err());
    }

    #[test]
    fn trees_are_read_with_their_operators() {
        let tree = json!([
            ["or", [["is", "visit:country", ["DE"]], ["not", ["contains", "event:page", ["/blog"]]]]],
            ["has_not_done", ["is", "event:goal", ["Signup"]]],
            ["matches", "event:page", [r"^/user/\d+$"]],
            ["is", "visit:browser", ["chrome"], { "case_sensitive": false }],
            ["is", "event:page", ["/"], { "level": "visitor" }],
        ]);
        let filters = filters_of_json(&tree, Dialect::Own).unwrap();
        let blog = is(Dimension::Path, Operator::Contains, &["/blog"]);
        let signup = is(Dimension::EventName, Operator::Is, &["Signup"]);
        let root =
            Filter::Is(Condition::new(Field::Dimension(Dimension::Path), Operator::Is, ["/"]).at(FilterLevel::Visitor));
        assert_eq!(
            filters.rest,
            Filter::All(vec![
                Filter::Any(vec![is(Dimension::Country, Operator::Is, &["DE"]), Filter::Not(Box::new(blog)),]),
                Filter::Not(Box::new(Filter::InSession(Box::new(signup)))),
                is(Dimension::Path, Operator::MatchesRegex, &[r"^/user/\d+$"]),
                is(Dimension::Browser, Operator::MatchesRegex, &[r"(?i)\Achrome\z"]),
                root,
            ])
        );
        assert!(filters.goals.is_none());
    }

    #[test]
    fn the_kind_of_an_event_is_asked_by_its_name_on_the_wire() {
        let link = || Filter::Kind(EventKind::OutboundLink);
        let both = || Filter::Any(vec![link(), Filter::Kind(EventKind::FileDownload)]);
        for (text, expected) in [
            ("event:type==outbound_link", link()),
            ("event_type==outbound_link|file_download", both()),
            ("type!=outbound_link|file_download", Filter::Not(Box::new(both()))),
            (r#"[["is","event:type",["outbound_link"],{"level":"visit"}]]"#, Filter::InSession(Box::new(link()))),
            (r#"[["has_done",["is","event:type",["outbound_link"]]]]"#, Filter::InSession(Box::new(link()))),
        ] {
            assert_eq!(own(text).rest, expected, "{text}");
        }
        assert!(own("event:type==click").names_event && !own(r#"[["has_done",["is","type",["click"]]]]"#).names_event);
        for &kind in EventKind::ALL {
            let read = parse_filters(&format!("event:type=={kind}"), Dialect::Own);
            assert_eq!(read.is_ok(), kind.is_event(), "{kind}");
            assert!(parse_filters(&format!("event:type=={kind}"), Dialect::Plausible).is_err(), "{kind}");
        }
    }

    #[test]
    fn plausible_s_words_are_those_that_are_stored() {
        let read = |text| parse_filters(text, Dialect::Plausible).unwrap().rest;
        assert_eq!(read("visit:source==(Direct / None)"), is(Dimension::Source, Operator::Is, &[""]));
        assert_eq!(read("visit:device==Desktop"), is(Dimension::Device, Operator::Is, &["desktop"]));
        assert_eq!(read("visit:utm_medium!=(none)"), is(Dimension::UtmMedium, Operator::IsNot, &[""]));
        assert_eq!(read("visit:country_name==Germany|Poland"), is(Dimension::Country, Operator::Is, &["DE", "PL"]));
        let tree = json!([["contains_not", "visit:country_name", ["GERM"], { "case_sensitive": false }]]);
        let filters = filters_of_json(&tree, Dialect::Plausible).unwrap();
        assert_eq!(filters.rest, is(Dimension::Country, Operator::IsNot, &["DE"]));
    }

    /// Sabotage: look for names of countries alone, or compare names as they are written in the words of the dashboard.
    #[test]
    fn a_row_by_the_name_of_a_country_is_found_by_it() {
        let is_country = |operator, codes: &[&str]| is(Dimension::Country, operator, codes);
        for (filter, codes) in [
            (r#"[["is","visit:country_name",["","ZZ","Germany"]]]"#, is_country(Operator::Is, &["DE", "ZZ", ""])),
            (r#"[["is_not","visit:country_name",[""]]]"#, is_country(Operator::IsNot, &[""])),
            (
                r#"[["starts_with","visit:country_name",["Germ","Z"]]]"#,
                is_country(Operator::Is, &["DE", "ZM", "ZW", "ZZ"]),
            ),
        ] {
            for dialect in [Dialect::Own, Dialect::View, Dialect::Plausible] {
                assert_eq!(parse_filters(filter, dialect).unwrap().rest, codes, "{filter} {dialect:?}");
            }
        }
        assert_eq!(own("visit:country_name==").rest, is_country(Operator::Is, &[""]));
        let view = parse_filters(r#"[["is_not","country_name",["united kingdom"]]]"#, Dialect::View).unwrap();
        assert_eq!(view.rest, is_country(Operator::IsNot, &["GB"]));
        assert_eq!(own("visit:country_name==united kingdom").rest, is_country(Operator::Is, &[]));
    }

    /// Sabotage: tell the names of the Stats API, or take a country by its name for a code that nobody has.
    #[test]
    fn in_words_of_the_dashboard_names_have_no_prefix() {
        let view = |text: &str| parse_filters(text, Dialect::View);
        for (text, expected) in [
            (r#"[["is","page",["/a"]]]"#, "page==/a"),
            (r#"[["is","event:page",["/a"]]]"#, "page==/a"),
            (
                r#"[["is","prop.plan",["pro"],{"level":"visit"}]]"#,
                r#"[["is","event:props:plan",["pro"],{"level":"visit"}]]"#,
            ),
            (r#"[["is","country",["DE",""]]]"#, "country==DE|"),
            (r#"[["contains","country_name",["land"]]]"#, r#"[["contains","country_name",["land"]]]"#),
        ] {
            assert_eq!(view(text).unwrap(), own(expected), "{text}");
        }
        for (text, told) in [
            ("country==DE", "not JSON"),
            (r#"{"page":"/a"}"#, "must be an array of filters"),
            (r#"["is","page",["/a"]]"#, r#"also where it is one: [["is", "page", ["/"]]]"#),
            (r#"[["is","moon",["x"]]]"#, "unknown dimension \"moon\"; use page, title, "),
            (r#"[["is","moon",["x"]]]"#, "language, event_type, or prop. and a name"),
            (r#"[["is","goal",["x"]]]"#, "goal is not known here"),
            (r#"[["not",["is","goal",["x"]]]]"#, "goal is not known here"),
            (r#"[["has_done",["is","goal",["x"]]]]"#, "goal is not known here"),
            (r#"[["contains","type",["page"]]]"#, "event_type goes with"),
            (r#"[["is","prop.plan",["x"],{"level":"visitor"}]]"#, "prop. takes"),
            (r#"[["is","country",["germany"]]]"#, "such as DE for Germany"),
            (r#"[["is_not","country",["at"]]]"#, "such as AT for Austria"),
            (r#"[["is","country",["Atlantis"]]]"#, "such as DE for Germany"),
            (r#"[["contains","country",["France"]]]"#, "such as FR for France"),
            (r#"[["contains_not","country",["DE","austria"]]]"#, "such as AT for Austria"),
            (r#"[["matches_wildcard","country",["Germ*"]]]"#, "such as DE for Germany"),
            (r#"[["is","country",["Spain"],{"case_sensitive":false}]]"#, "such as ES for Spain"),
            (r#"[["is","device",["desktop","phone"]]]"#, "\"phone\" is unknown; use desktop, mobile, tablet"),
            (r#"[["contains_not","device",["Mobile"]]]"#, "use desktop, mobile, tablet"),
            (r#"[["not",["is","channel",["Social"]]]]"#, "use Direct, Organic Search, Organic Social, "),
            (r#"[["starts_with","screen_class",["x-"]]]"#, "use xs, sm, md, lg, xl"),
            (
                r#"[["is","country",["UK"]]]"#,
                "\"UK\" is the code of no country; use those of ISO 3166-1, such as GB for United",
            ),
            (r#"[["is_not","country",["DE","JJ"]]]"#, "\"JJ\" is the code of no country"),
            (r#"[["is","country",["uk"]]]"#, "such as GB for United Kingdom"),
            (
                r#"[["is","page",["/","pricing"]]]"#,
                "pages are paths that begin with /, without host and query, such as \"/pricing\"",
            ),
            (r#"[["is","page",["/pri","cing"]]]"#, r#"such as "/cing"; a | within a path is written \| or %7C"#),
            (r#"[["is_not","page",["/pricing?plan=pro"]]]"#, "such as \"/pricing\""),
            (r#"[["contains","page",["?plan"]]]"#, "without host and query"),
            (r#"[["starts_with","entry_page",["blog"]]]"#, "such as \"/blog\""),
            (r#"[["matches_wildcard","exit_page",["blog/*"]]]"#, "such as \"/blog/*\""),
            (r#"[["is","page",["https://shop.example/a/b#c"]]]"#, "such as \"/a/b\""),
            (r#"[["is","page",["https://shop.example"]]]"#, "such as \"/\""),
            (
                r#"[["is","country_name",["UK"]]]"#,
                "\"UK\" is the name of no country; use English names, such as United Kingdom",
            ),
            (r#"[["is_not","country_name",["France","de"]]]"#, "such as Germany, or country with codes, such as DE"),
            (r#"[["matches_wildcard_not","country_name",["Utop*"]]]"#, "name of no country"),
            (r#"[["contains","country_name",["utopia"]]]"#, "\"utopia\" is the name of no country"),
            (
                r#"[["is","hostname",["https://Shop.example/a"]]]"#,
                "without scheme, port and path, such as \"shop.example\"",
            ),
            (r#"[["is_not","hostname",["shop.example:3000"]]]"#, "such as \"shop.example\""),
            (r#"[["ends_with","hostname",["bücher.example"]]]"#, "such as \"xn--bcher-kva.example\""),
            (r#"[["is","source",["Google","direct"]]]"#, "give channel the value Direct, or source an empty value"),
        ] {
            let problem = view(text).unwrap_err().problem;
            assert!(problem.contains(told), "{text}: {problem}");
            for foreign in ["event:", "visit:"] {
                assert!(!problem.contains(foreign), "{text}: {problem}");
            }
        }
        for held in [
            r#"[["is","country",["ZZ",""]]]"#,
            r#"[["is","country",["XK","EU","QZ"]]]"#,
            r#"[["is","page",["","/a%3Fb"]],["contains","entry_page",["pric"]],["matches_wildcard","exit_page",["*ing"]]]"#,
            r#"[["is","source",[""]]]"#,
            r#"[["is","country_name",["","united kingdom","ZZ"]],["contains","country_name",["Kingdom"]]]"#,
            r#"[["is","hostname",["Shop.EXAMPLE","localhost","[::1]",""]],["contains","hostname",["shop."]]]"#,
            r#"[["matches","page",["^/a?$"]],["contains","source",["Direct"]]]"#,
            r#"[["contains","country",["D"]]]"#,
            r#"[["is","country",["de"],{"case_sensitive":false}]]"#,
            r#"[["matches","country",["^Germany$"]]]"#,
            r#"[["contains","device",["top"]],["is_not","device",[""]]]"#,
            r#"[["is","channel",["organic search"],{"case_sensitive":false}]]"#,
            r#"[["matches_wildcard","channel",["Organic*"]],["ends_with","screen_class",["l"]]]"#,
        ] {
            assert!(parse_filters(held, Dialect::View).is_ok(), "{held}");
        }
        for passed in
            ["country==Germany", "device==phone", "channel==Social", "country==UK", "page==pricing", "source==Direct"]
        {
            assert!(parse_filters(passed, Dialect::Own).is_ok(), "{passed}");
        }
    }

    /// Sabotage: look at filters of Plausible's dialect, or not into what was done.
    #[test]
    fn what_never_holds_is_refused_in_our_own_words_alone() {
        for (text, at, told) in [
            (
                "event:page==/a;event:page==/b",
                "",
                "no event is both event:page==/a and event:page==/b. For one or the other",
            ),
            ("event:goal==A;event:goal==B|C", "", "no event is both event:goal==A and event:goal==B|C"),
            ("event:goal==Visit /a;event:page==/b", "", "no event is both"),
            ("visit:country==DE;visit:country!=DE|FR", "", "no visit is both"),
            (r#"[["is","event:page",["/a"]],["is","event:page",["/b"]]]"#, "/1", "has_done"),
            (r#"[["and",[["is","event:page",["/a"]],["is","event:page",["/b"]]]]]"#, "/0", "no event is all of"),
            (
                r#"[["has_done",["and",[["is","event:page",["/a"]],["is","event:page",["/b"]]]]]]"#,
                "/0",
                "no event is all of",
            ),
        ] {
            let problem = parse_filters(text, Dialect::Own).unwrap_err();
            assert_eq!(problem.at, at, "{text}: {problem}");
            assert!(problem.problem.contains(told), "{text}: {problem}");
            assert!(parse_filters(text, Dialect::Plausible).is_ok(), "{text}");
        }
        for text in [
            "event:goal==Signup;event:page==/a",
            "event:page==/a|/b;event:page!=/b",
            "event:page==/a;visit:entry_page==/b",
            r#"[["has_done",["is","event:page",["/a"]]],["has_done",["is","event:page",["/b"]]]]"#,
            r#"[["is","event:page",["/a"]],["is","event:page",["/b"],{"level":"visit"}]]"#,
            r#"[["is","event:page",["/a"]],["is","event:page",["/A"],{"case_sensitive":false}]]"#,
            r#"[["or",[["is","event:page",["/a"]],["is","event:name",["x"]]]],["is","event:page",["/b"]]]"#,
            r#"[["or",[["is","event:name",["x"]],["is","event:page",["/a"]]]],["is","event:page",["/b"]]]"#,
        ] {
            assert!(parse_filters(text, Dialect::Own).is_ok(), "{text}: {:?}", parse_filters(text, Dialect::Own));
        }
    }

    /// Sabotage: look at any number of alternatives, or tell a filter whole.
    #[test]
    fn of_long_filters_little_is_looked_at_and_told() {
        let long = "x".repeat(100);
        let problem = parse_filters(&format!("event:page==/{long};event:page==/b"), Dialect::Own).unwrap_err();
        assert!(
            problem.problem.contains(&format!("both event:page==/{}… and event:page==/b. ", &long[..47])),
            "{problem}"
        );
        // Five of ten are a hundred thousand.
        let any = |name: &str| {
            let each = (0..10).map(|n| json!(["is", name, [format!("/{n}")]])).collect::<Vec<_>>();
            json!(["or", each])
        };
        let names = ["event:page", "visit:entry_page", "visit:exit_page", "visit:source", "visit:city"];
        let all = json!(["and", names.map(any)]);
        assert!(filters_of_json(&json!([["is", "event:page", ["/x"]], all]), Dialect::Own).is_ok());
        assert!(filters_of_json(&json!([["is", "event:page", ["/x"]], any("event:page")]), Dialect::Own).is_err());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (tree, at, part) in [
            (json!({}), "", "array of filters"),
            (
                json!([["is", "event:page", ["/"]], ["is", "nothing", ["x"]]]),
                "/1",
                "unknown property \"nothing\"; use event:goal, ",
            ),
            (json!([["and", [["is", "event:page", []]]]]), "/0/1/0", "at least one value"),
            (json!([["or", []]]), "/0", "at least one filter"),
            (json!([["not", ["is", "event:goal", ["x"]]]]), "/0/1", "at the top"),
            (json!([["is", "event:page", [1]]]), "/0", "strings"),
            (json!([["is", "event:page", ["x"], { "level": "team" }]]), "/0", "level"),
            (json!([["is", "event:props:plan", ["x"], { "level": "visitor" }]]), "/0", "event and visit only"),
            (json!([["not", ["is", "event:props:user_id", ["x"]]]]), "/0/1", "is not available"),
            (json!([["is", "event:page", ["x"], { "case_sensitive": 1 }]]), "/0", "true or false"),
            (json!([["matches", "event:page", ["("]]]), "/0", "regular expression"),
            (json!([["is"]]), "/0", "a condition is"),
            (json!(["is", "event:page", ["x"]]), "", "also where it is one: [[\"is\", \"event:page\""),
            (json!([[["is"]]]), "/0", "is an array such as [\"is\", \"event:page\""),
            (json!([["equals", "event:page", ["x"]]]), "/0", "use is, is_not, contains, "),
            (json!([["and", [], []]]), "/0", "one member"),
            (json!([["is", "event:page", ["x"], { "case": true }]]), "/0", "use case_sensitive or level"),
            (json!([["matches", "visit:country_name", ["a"]]]), "/0", "does not go with matches"),
            (json!([["is", "event:type", ["heartbeat"]]]), "/0", "use pageview, custom, "),
            (json!([["contains", "event:type", ["page"]]]), "/0", "is and is_not only"),
            (json!([["is", "event:type", ["custom"], { "case_sensitive": false }]]), "/0", "is and is_not only"),
            (json!([["is", "event:type", ["custom"], { "level": "visitor" }]]), "/0", "event and visit only"),
            (json!([["xor", []]]), "/0", "unknown operator"),
            (json!([["is_not", "event:goal", ["x"]]]), "/0", "is and contains only"),
            (json!([["has_done", ["has_done", ["is", "event:page", ["x"]]]]]), "/0/1", "nested"),
            (json!([["is", "event:page", vec!["x"; 1_001]]]), "/0", "more than 1000 values"),
            (json!([["matches_wildcard", "event:page", vec!["/*"; 33]]]), "/0", "more than 32 patterns with a *"),
        ] {
            let problem = filters_of_json(&tree, Dialect::Own).unwrap_err();
            assert_eq!(problem.at, at, "{tree}: {problem}");
            assert!(problem.problem.contains(part), "{tree}: {problem}");
        }
        let patterns = |count| format!("event:page=={}|/plain;event:goal==Visit /b*", vec!["/a*"; count].join("|"));
        assert!(parse_filters(&patterns(31), Dialect::Own).is_ok());
        assert!(parse_filters(&patterns(32), Dialect::Own).unwrap_err().problem.contains("patterns"));
        for text in ["visit:country", "nothing==x", "[", "[1,", "event:type==page*", &"x".repeat(20_000)] {
            assert!(parse_filters(text, Dialect::Own).is_err(), "{text}");
        }
        // In plain words, not in those of a parser.
        for (text, told) in [("[[\"is\"", "ends before"), ("[,]", "line 1, character 2"), ("[1] x", "character 5")] {
            let problem = parse_filters(text, Dialect::Own).unwrap_err().problem;
            assert!(problem.contains(told) && problem.starts_with("not JSON: "), "{text}: {problem}");
        }
        let mut deep = json!(["is", "event:page", ["/"]]);
        (0..12).for_each(|_| deep = json!(["not", deep]));
        assert!(filters_of_json(&json!([deep]), Dialect::Own).unwrap_err().problem.contains("deeper"));
    }

    proptest! {
        #[test]
        fn any_string_is_filters_or_a_problem(text in "(\\PC|[;|=!*\\\\\\[\\]\",]|event:page|visit:os|==){0,40}") {
            for dialect in [Dialect::Own, Dialect::Plausible] {
                if let Err(problem) = parse_filters(&text, dialect) {
                    prop_assert!(!problem.problem.is_empty());
                }
            }
        }

        #[test]
        fn what_is_escaped_is_read_back(values in prop::collection::vec("[a-z|;/= ]{1,8}", 1..4)) {
            let escaped: Vec<String> =
                values.iter().map(|value| value.replace('|', "\\|").replace(';', "\\;")).collect();
            let read = own(&format!("visit:utm_term=={}", escaped.join("|")));
            // Spaces around conditions mean nothing.
            let mut values = values;
            if let Some(last) = values.last_mut() {
                *last = last.trim_end().to_owned();
            }
            let expected: Vec<&str> = values.iter().map(String::as_str).collect();
            prop_assert_eq!(read.rest, is(Dimension::UtmTerm, Operator::Is, &expected));
        }
    }
}
