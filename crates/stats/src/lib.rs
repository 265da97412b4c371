#![doc = include_str!("../README.md")]
// What may grow can grow without breaking who uses it; what cannot says why.
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod ask;
mod conflict;
mod conversions;
mod countries;
mod cursor;
mod filters;
mod join;
mod names;
mod period;
mod traits;
mod view;

pub use ask::{Ask, Asked, Bucket, Group, Groups, Number, Rows, Totals};
pub use conversions::{
    CodeFunnel, CodeStep, FUNNEL_EVENT, code_step_filter, goal_filter, goals_filter, is_reached_by, step_filter,
};
pub use countries::{country_name, places};
pub use cursor::{CURSOR_MAX_BYTES, Cursor};
pub use filters::{Dialect, Filters, Goal, filters_of_json, parse_filters};
pub use names::{Metric, Property, PropertyError, UnknownName};
pub use period::{Dates, Period, is_no_day, parse_date};
#[doc(no_inline)]
pub use serde_json;
pub use view::{filters_of_view, view_dimensions, view_operators};
#[doc(no_inline)]
pub use zenovay_domain as domain;
#[doc(no_inline)]
pub use zenovay_query as query;

/// What is wrong with something that was asked, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("{problem}")]
pub struct Problem {
    /// Where, within what was parsed, such as `/0/2` for the third member of the first filter; empty for all of it.
    pub at: String,
    /// What is wrong, for people.
    pub problem: String,
    /// The filters that never hold together, when it is that.
    pub never: Option<NeverTogether>,
}

/// Filters that no event, or no visit, meets all of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NeverTogether {
    /// Where each of them stands, in their order; the last is where the problem is.
    pub places: Vec<String>,
    /// What is wrong, and what whoever has these filters on a page can do about it. The problem itself also tells what a program can
    /// ask instead.
    pub problem: String,
}

impl Problem {
    /// A problem with all of it.
    pub fn new(problem: impl Into<String>) -> Self {
        Self::at("", problem)
    }

    /// A problem with what stands at `place`.
    pub(crate) fn at(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { at: place.into(), problem: problem.into(), never: None }
    }
}
