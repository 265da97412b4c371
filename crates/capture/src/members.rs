//! The members of an object in a body, read by their types: what is of another type is a problem of the member. What is null is
//! absent.

use serde_json::{Map, Value};

use crate::Problems;

/// An object in a body.
pub(crate) struct Members<'a, 'p> {
    of: &'a Map<String, Value>,
    /// What its members are called in problems, before their names; empty for the body itself.
    place: String,
    problems: &'p mut Problems,
}

impl<'a, 'p> Members<'a, 'p> {
    /// The members of a body.
    pub(crate) fn of_body(of: &'a Map<String, Value>, problems: &'p mut Problems) -> Self {
        Self { of, place: String::new(), problems }
    }

    /// The members of the object in `place`.
    pub(crate) fn at(place: impl Into<String>, of: &'a Map<String, Value>, problems: &'p mut Problems) -> Self {
        Self { of, place: format!("{}.", place.into()), problems }
    }

    /// Notes what is wrong with a member.
    pub(crate) fn problem(&mut self, name: &str, problem: &str) {
        self.problems.0.insert(format!("{}{name}", self.place), problem.to_owned());
    }

    /// What `read` makes of a member that is there.
    fn read<T>(&mut self, name: &str, must_be: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Option<T> {
        let value = self.of.get(name).filter(|value| !value.is_null())?;
        let read = read(value);
        if read.is_none() {
            self.problem(name, must_be);
        }
        read
    }

    /// A string; empty when it is absent.
    pub(crate) fn string(&mut self, name: &str) -> &'a str {
        self.read(name, "Must be a string", Value::as_str).unwrap_or("")
    }

    /// A number.
    pub(crate) fn number(&mut self, name: &str) -> Option<f64> {
        self.read(name, "Must be a number", Value::as_f64)
    }

    /// A whole number.
    pub(crate) fn whole(&mut self, name: &str) -> Option<f64> {
        self.read(name, "Must be a whole number", |value| value.as_f64().filter(|number| number.fract() == 0.0))
    }

    /// An object.
    pub(crate) fn object(&mut self, name: &str) -> Option<&'a Map<String, Value>> {
        self.read(name, "Must be an object", Value::as_object)
    }

    /// An array; empty when it is absent.
    pub(crate) fn array(&mut self, name: &str) -> &'a [Value] {
        self.read(name, "Must be an array", Value::as_array).map_or(&[], Vec::as_slice)
    }
}
