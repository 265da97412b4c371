//! Sessions, and the events of them that a filter chooses, as SQL that each shard runs for itself: all events of a visitor, and so of a
//! session, are on one shard.
//!
//! Everything is read in one pass over the rows from 26 hours before the range to 26 hours after it, grouped by session: a session
//! with an event in the range is in there whole. Of each session there are its totals, the values that stand for it, and, where
//! single events are asked for, an array of its events in their order with what is needed of each. Filters are expressions over these.

use zenovay_domain::{BOUNCE_ENGAGEMENT_MS, EventKind, SESSION_MAX_MS, TimeRange, Timestamp, WebsiteId};
use zenovay_query::{Condition, Field, Filter, FilterLevel, QueryError};

use crate::compare::Expressions;
use crate::sql::{Text, int64, uuid, within};

/// A place in the tuple of an event: these come first.
const AT: &str = "1";
const KIND: &str = "3";
const FIRST_SLOT: usize = 4;

/// An expression that is 0 or 1, and whether it looks at a single event.
struct Formula {
    sql: String,
    is_of_event: bool,
}

impl Formula {
    fn of_event(sql: String) -> Self {
        Self { sql, is_of_event: true }
    }

    fn of_session(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), is_of_event: false }
    }

    /// Several, joined by `AND` or `OR`.
    fn join(formulas: Vec<Self>, operator: &str, none: &str) -> Self {
        if formulas.is_empty() {
            return Self::of_session(none);
        }
        let is_of_event = formulas.iter().any(|formula| formula.is_of_event);
        let parts: Vec<String> = formulas.into_iter().map(|formula| formula.sql).collect();
        Self { sql: format!("({})", parts.join(operator)), is_of_event }
    }
}

/// Whose rows, and where they are.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) database: &'a str,
    pub(crate) cluster: Option<&'a str>,
    pub(crate) website: WebsiteId,
    /// Rows before this instant are hidden.
    pub(crate) since: Option<Timestamp>,
}

impl Source<'_> {
    /// The rows of the website that are not hidden, and for which `condition` holds.
    pub(crate) fn rows(&self, condition: &str) -> String {
        let since = self.since.map_or_else(String::new, |since| format!(" AND at >= {}", int64(since.as_millis())));
        format!("{}.events WHERE website = {}{since} AND {condition}", self.database, uuid(self.website))
    }

    /// What `statement` gives on each shard, one after the other.
    pub(crate) fn across(&self, statement: &str) -> String {
        match self.cluster {
            Some(cluster) => format!("cluster({}, view({statement}))", Text(cluster)),
            None => format!("({statement})"),
        }
    }
}

/// The way to an answer.
pub(crate) struct Plan<'a> {
    source: Source<'a>,
    expressions: &'a Expressions,
    /// The range of the question: conditions on visitors look at all of it.
    range: TimeRange,
    /// Expressions over a row that are in the array of events.
    slots: Vec<String>,
    /// Aggregates over a session, each called `value_` and its place.
    values: Vec<String>,
    has_events: bool,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(source: Source<'a>, expressions: &'a Expressions, range: TimeRange) -> Self {
        Self { source, expressions, range, slots: Vec::new(), values: Vec::new(), has_events: false }
    }

    /// The time of which all rows are read, so that sessions with an event in `range` are whole.
    pub(crate) fn window(range: TimeRange) -> TimeRange {
        let to = range.to.plus_millis(SESSION_MAX_MS);
        TimeRange::new(range.from.plus_millis(-SESSION_MAX_MS), to)
    }

    /// The place of `expression` over a row in the tuple of an event.
    fn slot(&mut self, expression: String) -> usize {
        self.has_events = true;
        let known = self.slots.iter().position(|slot| *slot == expression);
        FIRST_SLOT
            + known.unwrap_or_else(|| {
                self.slots.push(expression);
                self.slots.len() - 1
            })
    }

    /// The name of an aggregate over a session.
    fn value(&mut self, aggregate: String) -> String {
        let known = self.values.iter().position(|value| *value == aggregate);
        let place = known.unwrap_or_else(|| {
            self.values.push(aggregate);
            self.values.len() - 1
        });
        format!("value_{place}")
    }

    /// The name of the value of `field` that stands for the whole session.
    pub(crate) fn session_value(&mut self, field: &Field) -> String {
        self.value(session_value(field))
    }

    /// The value of `field` of the event that is called `event`, for fields of sessions that of its session.
    pub(crate) fn key(&mut self, field: &Field, event: &str) -> String {
        match field.level() {
            FilterLevel::Session => self.session_value(field),
            _ => self.string(field, event),
        }
    }

    /// The event's own value of `field`.
    pub(crate) fn string(&mut self, field: &Field, event: &str) -> String {
        let slot = self.slot(format!("CAST({} AS String)", own_value(field)));
        format!("{event}.{slot}")
    }

    /// Whether `filter` chooses the event that is called `event`.
    ///
    /// # Errors
    /// When there is a filter of a kind that this program does not know.
    pub(crate) fn chooses(&mut self, filter: &Filter, event: &str) -> Result<String, QueryError> {
        self.formula(filter, event).map(|formula| formula.sql)
    }

    fn formula(&mut self, filter: &Filter, event: &str) -> Result<Formula, QueryError> {
        Ok(match filter {
            Filter::All(filters) => Formula::join(self.formulas(filters, event)?, " AND ", "1"),
            Filter::Any(filters) => Formula::join(self.formulas(filters, event)?, " OR ", "0"),
            Filter::Not(filter) => {
                let formula = self.formula(filter, event)?;
                Formula { sql: format!("(NOT {})", formula.sql), ..formula }
            }
            Filter::InSession(filter) => {
                // Its own name for each depth: what is inside looks at its own event alone.
                let inner = format!("{event}_");
                let formula = self.formula(filter, &inner)?;
                if formula.is_of_event { self.any_event(&inner, &formula.sql) } else { formula }
            }
            Filter::Kind(kind) => Formula::of_event(format!("({event}.{KIND} = {})", *kind as u8)),
            Filter::Is(condition) => {
                let level = condition.level.unwrap_or(condition.field.level());
                self.condition(condition, level, event)
            }
            other => return Err(unknown(format!("{other:?}"))),
        })
    }

    fn formulas(&mut self, filters: &[Filter], event: &str) -> Result<Vec<Formula>, QueryError> {
        filters.iter().map(|filter| self.formula(filter, event)).collect()
    }

    fn any_event(&mut self, event: &str, formula: &str) -> Formula {
        self.has_events = true;
        Formula::of_session(format!("arrayExists({event} -> {formula}, events)"))
    }

    fn condition(&mut self, condition: &Condition, level: FilterLevel, event: &str) -> Formula {
        let field = &condition.field;
        let is_of_pages = matches!(field, Field::EntryPage | Field::ExitPage);
        match level {
            FilterLevel::Visitor => Formula::of_session(format!("who IN ({})", self.visitors(condition))),
            FilterLevel::Session if field.level() == FilterLevel::Event => {
                let passes = self.slot(self.row_predicate(condition));
                let inner = format!("{event}_");
                self.any_event(&inner, &format!("{inner}.{passes}"))
            }
            FilterLevel::Event if !is_of_pages => {
                let passes = self.slot(self.row_predicate(condition));
                Formula::of_event(format!("{event}.{passes}"))
            }
            _ => {
                let passes = self.expressions.predicate(condition, &session_value(field));
                Formula::of_session(self.value(format!("CAST({passes} AS UInt8)")))
            }
        }
    }

    /// Whether a row's own value passes.
    fn row_predicate(&self, condition: &Condition) -> String {
        format!("CAST({} AS UInt8)", self.expressions.predicate(condition, &own_value(&condition.field)))
    }

    /// The visitors with an event in the range that the condition chooses at the level of its field.
    fn visitors(&self, condition: &Condition) -> String {
        let field = &condition.field;
        if field.level() == FilterLevel::Event {
            let passes = self.expressions.predicate(condition, &own_value(field));
            let chosen = format!("{} AND {IS_EVENT} AND {passes}", within("at", self.range));
            return format!("SELECT visitor FROM {}", self.source.rows(&chosen));
        }
        let rows = self.source.rows(&within("at", Self::window(self.range)));
        let passes = self.expressions.predicate(condition, &session_value(field));
        format!(
            "SELECT any(visitor) FROM {rows} GROUP BY session HAVING countIf({IS_EVENT} AND {}) > 0 AND {passes}",
            within("at", self.range)
        )
    }

    /// One row a session that has rows in `window`.
    fn sessions(&self, window: TimeRange, more: &str) -> String {
        let mut columns = vec![
            "any(visitor) AS who".to_owned(),
            "session".to_owned(),
            format!("minIf(at, {IS_EVENT}) AS first_at"),
            "max(at) AS last_at".to_owned(),
            format!("countIf({IS_PAGEVIEW}) AS all_pageviews"),
            format!("countIf({IS_EVENT} AND NOT {IS_PAGEVIEW}) AS all_others"),
            "sum(engagement_ms) AS engagement".to_owned(),
        ];
        columns.extend(self.values.iter().enumerate().map(|(place, value)| format!("{value} AS value_{place}")));
        if self.has_events {
            let slots: String = self.slots.iter().map(|slot| format!(", {slot}")).collect();
            // In order of time, ties in the order of arrival, of which each has its own number.
            columns.push(format!("arraySort(groupArrayIf(tuple(at, arrival, kind{slots}), {IS_EVENT})) AS events"));
        }
        let rows = self.source.rows(&within("at", window));
        format!("SELECT {}{more} FROM {rows} GROUP BY session", columns.join(", "))
    }

    /// One row a session with an event in `range`, a part of the range of the question, that `filter` chooses: `who`, `session`,
    /// `chosen_events` and `chosen_pageviews`, what counts for the whole session, and with `wants_array` those events in
    /// order as `chosen`.
    ///
    /// # Errors
    /// When there is a filter of a kind that this program does not know.
    pub(crate) fn chosen(
        &mut self,
        filter: &Filter,
        range: TimeRange,
        wants_array: bool,
    ) -> Result<String, QueryError> {
        let formula = self.formula(filter, "e")?;
        let is_by_event = wants_array || formula.is_of_event;
        self.has_events |= is_by_event;
        let inside = within("at", range);
        let (counts, chosen, condition) = if is_by_event {
            let chosen = format!(
                "arrayFilter(e -> {} AND {}, events) AS chosen",
                within(&format!("e.{AT}"), range),
                formula.sql
            );
            let counted = format!("arrayCount(e -> e.{KIND} = {}, chosen)", EventKind::Pageview as u8);
            let columns =
                format!("{chosen}, toUInt64(length(chosen)) AS chosen_events, toUInt64({counted}) AS chosen_pageviews");
            (String::new(), columns, "chosen_events > 0".to_owned())
        } else {
            let counts = format!(
                ", countIf({IS_EVENT} AND {inside}) AS chosen_events, countIf({IS_PAGEVIEW} AND {inside}) AS chosen_pageviews"
            );
            (counts, "chosen_events, chosen_pageviews".to_owned(), format!("chosen_events > 0 AND {}", formula.sql))
        };
        let sessions = self.sessions(Self::window(range), &counts);
        let mut columns =
            vec!["who, session, first_at, last_at, all_pageviews, all_others".to_owned(), whole_session(), chosen];
        columns.extend((0..self.values.len()).map(|place| format!("value_{place}")));
        if self.has_events {
            columns.push("events".to_owned());
        }
        Ok(format!("SELECT {} FROM ({sessions}) WHERE {condition}", columns.join(", ")))
    }

    /// The visitors of sessions whose last activity is in `active`, and of which `filter` chooses an event, when there is one.
    ///
    /// # Errors
    /// When there is a filter of a kind that this program does not know.
    pub(crate) fn active(&mut self, filter: &Filter, active: TimeRange) -> Result<String, QueryError> {
        let passes = if *filter == Filter::default() {
            "1".to_owned()
        } else {
            let formula = self.formula(filter, "e")?;
            self.has_events = true;
            format!("arrayExists(e -> {}, events)", formula.sql)
        };
        let sessions = self.sessions(Self::window(active), "");
        Ok(format!("SELECT who FROM ({sessions}) WHERE {} AND {passes}", within("last_at", active)))
    }
}

/// Whether a row is an event.
pub(crate) const IS_EVENT: &str = "(kind != 1)";
/// Whether a row is a pageview.
const IS_PAGEVIEW: &str = "(kind = 0)";
const _: () = assert!(EventKind::Heartbeat as u8 == 1 && EventKind::Pageview as u8 == 0);

/// What every number of a session is made of.
fn whole_session() -> String {
    format!(
        "(all_pageviews = 1 AND all_others = 0 AND engagement < {BOUNCE_ENGAGEMENT_MS}) AS is_bounce, \
         toUInt64(greatest(last_at - first_at, 0)) AS duration, \
         toUInt64(least(all_pageviews, 4) * 10 + least(intDiv(duration, 6000), 30) + if(all_others > 0, 30, 0)) AS score"
    )
}

/// A row's own value.
fn own_value(field: &Field) -> String {
    match field {
        Field::Property(name) => format!("property_values[{}]", Text(name)),
        field => field.column().as_str().to_owned(),
    }
}

/// The value that stands for the whole session.
fn session_value(field: &Field) -> String {
    match field {
        Field::EntryPage => format!("CAST(argMinIf(page, (at, arrival), {IS_PAGEVIEW}) AS String)"),
        Field::ExitPage => format!("CAST(argMaxIf(page, (at, arrival), {IS_PAGEVIEW}) AS String)"),
        field => format!("CAST(argMinIf({}, (at, arrival), {IS_EVENT}) AS String)", own_value(field)),
    }
}

fn unknown(what: String) -> QueryError {
    QueryError::unavailable(format!("this store does not know {what}"))
}
