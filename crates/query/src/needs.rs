//! What a store must load before a kernel can answer.

use zenovay_domain::{Dimension, LIVE_WINDOW_MS, SESSION_MAX_MS, TimeRange, Timestamp};

use crate::{ColumnSet, Condition, Field, Filter, FilterLevel, Metric, Query, Question};

/// The string columns that `query` reads.
pub fn columns_needed(query: &Query) -> ColumnSet {
    let mut columns = ColumnSet::default();
    add_filter(&query.filter, &mut columns);
    match &query.question {
        Question::Overview | Question::Series { .. } | Question::Live | Question::NewVisitors { .. } => {}
        Question::Breakdown(group_by) => {
            add_field(&group_by.field, &mut columns);
            if let Some(field) = &group_by.and {
                add_field(field, &mut columns);
            }
            if group_by.metrics.contains(&Metric::Title) && group_by.field == Field::Dimension(Dimension::Path) {
                columns = columns.with(Dimension::Title);
            }
        }
        Question::Funnel { steps } => steps.iter().for_each(|step| add_filter(step, &mut columns)),
        Question::Events { .. } => {
            for &dimension in Dimension::ALL {
                columns = columns.with(dimension);
            }
        }
        Question::Visitors { .. } => {
            for dimension in [
                Dimension::Path,
                Dimension::Referrer,
                Dimension::Country,
                Dimension::City,
                Dimension::Device,
                Dimension::Browser,
                Dimension::Os,
            ] {
                columns = columns.with(dimension);
            }
        }
    }
    columns
}

/// The instants of the events and heartbeats that `query` depends on: its range, and as much before and after it as a
/// session that touches it can reach.
pub fn time_needed(query: &Query) -> TimeRange {
    match query.question {
        Question::Live => live_window(query.range, &query.filter),
        // Who came before the range is not new in it.
        Question::NewVisitors { .. } => {
            TimeRange::new(Timestamp::from_millis(i64::MIN), session_window(query.range).to)
        }
        _ => session_window(query.range),
    }
}

/// `range`, and as much before and after it as a session that touches it can reach.
pub(crate) fn session_window(range: TimeRange) -> TimeRange {
    TimeRange::new(range.from.plus_millis(-SESSION_MAX_MS), range.to.plus_millis(SESSION_MAX_MS))
}

/// The same for [`Question::Live`].
pub(crate) fn live_window(range: TimeRange, filter: &Filter) -> TimeRange {
    let live_from = range.to.plus_millis(-LIVE_WINDOW_MS);
    let from = if has_visitor_level(filter) { live_from.min(range.from) } else { live_from };
    session_window(TimeRange::new(from, range.to.plus_millis(LIVE_WINDOW_MS)))
}

fn add_filter(filter: &Filter, columns: &mut ColumnSet) {
    filter.conditions().for_each(|condition| add_field(&condition.field, columns));
}

fn add_field(field: &Field, columns: &mut ColumnSet) {
    *columns = columns.with(field.column());
}

/// The conditions of `query` that choose visitors, each once.
pub(crate) fn conditions_on_visitors(query: &Query) -> Vec<Condition> {
    let steps = match &query.question {
        Question::Funnel { steps } => &steps[..],
        _ => &[],
    };
    let mut conditions: Vec<Condition> = Vec::new();
    for condition in std::iter::once(&query.filter).chain(steps).flat_map(Filter::conditions) {
        if condition.level == Some(FilterLevel::Visitor) && !conditions.contains(condition) {
            conditions.push(condition.clone());
        }
    }
    conditions
}

/// Whether what is known of whole sessions is enough to answer `query`, where all of their events are in its range: it asks for
/// no event by what only that event has.
pub(crate) fn is_about_sessions(query: &Query) -> bool {
    let of_session = |field: &Field| field.level() == FilterLevel::Session;
    let is_asked = match &query.question {
        Question::Overview | Question::NewVisitors { .. } => true,
        Question::Breakdown(group_by) => of_session(&group_by.field) && group_by.and.as_ref().is_none_or(of_session),
        _ => false,
    };
    is_asked && !query.filter.has_kind() && query.filter.conditions().all(|condition| of_session(&condition.field))
}

/// Whether a condition of `filter` chooses visitors.
pub(crate) fn has_visitor_level(filter: &Filter) -> bool {
    filter.conditions().any(|condition| condition.level == Some(FilterLevel::Visitor))
}
