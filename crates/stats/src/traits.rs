//! What people told about themselves, and what a reader of numbers sees of it: nothing.
//!
//! The properties of `identify` events, and of events that carry the id of a person, are theirs. An export gives them
//! to admins who ask for them; here nobody can. Rows and conditions look at the custom properties of all other events
//! only: a condition would tell as much as a row, one guess at a time.

use zenovay_domain::{Dimension, EventKind};
use zenovay_query::{Condition, Field, Filter, FilterLevel, Operator};

use crate::join::and;

/// The property that holds the id of a person.
const PERSON: &str = "user_id";

/// How [`PERSON`] begins in the properties of an event, which are stored as JSON without spaces. In a string within it
/// the quotes have backslashes.
const PERSON_MEMBER: &str = "\"user_id\":";

/// Whether the custom property `name` is never shown: it says who somebody is.
pub(crate) fn is_withheld(name: &str) -> bool {
    name == PERSON
}

/// The events whose custom properties may be seen.
pub(crate) fn readable() -> Filter {
    let names_nobody = Filter::Is(Condition::new(
        Field::Dimension(Dimension::Properties),
        Operator::DoesNotContain,
        vec![PERSON_MEMBER.to_owned()],
    ));
    Filter::All(vec![Filter::Not(Box::new(Filter::Kind(EventKind::Identify))), names_nobody])
}

/// A condition on a custom property, of readable events alone: any other event fails it, whatever the operator. `None`
/// for whole visitors, whose events cannot be told apart there.
pub(crate) fn of_readable(condition: Condition) -> Option<Filter> {
    let level = condition.level.unwrap_or(condition.field.level());
    let of_event = and(vec![readable(), Filter::Is(condition.at(None))]);
    match level {
        FilterLevel::Event => Some(of_event),
        FilterLevel::Session => Some(Filter::InSession(Box::new(of_event))),
        FilterLevel::Visitor => None,
    }
}
