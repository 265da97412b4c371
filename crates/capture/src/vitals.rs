//! Core web vitals: what they are, when they are good, and how they are read from a body.

use std::fmt;

use serde_json::{Map, Value};

use crate::Problems;
use crate::members::Members;

/// The most milliseconds that a page is believed to take.
const TIME_MAX_MS: f64 = 600_000.0;
/// The most that a layout is believed to shift.
const SHIFT_MAX: f64 = 100.0;

/// One of the web vitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vital {
    /// Largest contentful paint, in milliseconds.
    Lcp,
    /// Cumulative layout shift, without a unit.
    Cls,
    /// Interaction to next paint, in milliseconds.
    Inp,
    /// First contentful paint, in milliseconds.
    Fcp,
    /// Time to first byte, in milliseconds.
    Ttfb,
}

impl Vital {
    /// All of them, in the order of [`Vitals::values`].
    pub const ALL: [Self; 5] = [Self::Lcp, Self::Cls, Self::Inp, Self::Fcp, Self::Ttfb];

    /// The name in bodies and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lcp => "lcp",
            Self::Cls => "cls",
            Self::Inp => "inp",
            Self::Fcp => "fcp",
            Self::Ttfb => "ttfb",
        }
    }

    /// Up to which value it is good, and above which it is poor.
    pub const fn bounds(self) -> (f64, f64) {
        match self {
            Self::Lcp => (2_500.0, 4_000.0),
            Self::Cls => (0.1, 0.25),
            Self::Inp => (200.0, 500.0),
            Self::Fcp => (1_800.0, 3_000.0),
            Self::Ttfb => (800.0, 1_800.0),
        }
    }

    /// How `value` is.
    pub fn rate(self, value: f64) -> Rating {
        let (good, poor) = self.bounds();
        if value <= good {
            Rating::Good
        } else if value <= poor {
            Rating::NeedsImprovement
        } else {
            Rating::Poor
        }
    }

    const fn largest(self) -> f64 {
        match self {
            Self::Cls => SHIFT_MAX,
            _ => TIME_MAX_MS,
        }
    }
}

impl fmt::Display for Vital {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How good a value is, by the bounds that browsers' makers agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rating {
    /// As it should be.
    Good,
    /// Between good and poor.
    NeedsImprovement,
    /// Many visitors notice.
    Poor,
}

impl Rating {
    /// The name in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::NeedsImprovement => "needs_improvement",
            Self::Poor => "poor",
        }
    }
}

/// The vitals of one page view.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Vitals {
    /// What the page calls the view.
    pub view_id: String,
    /// In the order of [`Vital::ALL`]; `None` where the browser did not measure.
    pub values: [Option<f64>; 5],
    /// The kind of connection, `slow-2g` to `4g`; empty when it is not known.
    pub connection: &'static str,
}

impl Vitals {
    /// Reads the members of a body.
    ///
    /// # Errors
    /// When there is no view or no value that can be believed, or a member is of another type.
    pub fn read(members: &Map<String, Value>) -> Result<Self, Problems> {
        let view_id = view_id(members)?;
        let mut problems = Problems::default();
        let mut read = Members::of_body(members, &mut problems);
        let values =
            Vital::ALL.map(|vital| read.number(vital.as_str()).filter(|value| (0.0..=vital.largest()).contains(value)));
        let said = read.string("connection");
        if !problems.0.is_empty() {
            return Err(problems);
        }
        if values.iter().all(Option::is_none) {
            return Err(Problems::one("lcp", "One of lcp, cls, inp, fcp and ttfb must be a number that can be"));
        }
        let connection = ["slow-2g", "2g", "3g", "4g"].into_iter().find(|known| *known == said).unwrap_or("");
        Ok(Self { view_id, values, connection })
    }
}

/// The `view_id` of a body.
///
/// # Errors
/// When it is missing, or not an id.
pub(crate) fn view_id(members: &Map<String, Value>) -> Result<String, Problems> {
    id(members, "view_id", "").map_err(|problem| Problems::one("view_id", problem))
}

/// The id `name` in `members`: 8 to 64 letters, digits, `_` and `-`.
pub(crate) fn id(members: &Map<String, Value>, name: &str, default: &str) -> Result<String, &'static str> {
    let said = members.get(name).and_then(Value::as_str).unwrap_or(default);
    let is_id = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if (8..=64).contains(&said.len()) && is_id(said) {
        Ok(said.to_owned())
    } else {
        Err("Must be 8 to 64 letters, digits, _ and -")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: Value) -> Result<Vitals, Problems> {
        Vitals::read(body.as_object().unwrap())
    }

    #[test]
    fn what_can_be_believed_is_kept_and_the_rest_left_out() {
        let body = json!({ "view_id": "view-0001", "lcp": 1843.5, "cls": 0, "inp": -1, "fcp": null, "ttfb": 1e9,
            "connection": "4g" });
        let vitals = read(body).unwrap();
        assert_eq!(vitals.values, [Some(1843.5), Some(0.0), None, None, None]);
        assert_eq!(vitals.connection, "4g");
        assert!(read(json!({ "view_id": "view-0001", "lcp": null })).unwrap_err().0.contains_key("lcp"));
        for (name, value) in [("fcp", json!("900")), ("cls", json!([0])), ("connection", json!(4))] {
            let mut body = json!({ "view_id": "view-0001", "lcp": 1 });
            body[name] = value;
            assert_eq!(read(body).unwrap_err().0.keys().collect::<Vec<_>>(), [name]);
        }
        for wrong in ["", "short", "no spaces!", &"x".repeat(65)] {
            assert!(read(json!({ "view_id": wrong, "lcp": 1 })).unwrap_err().0.contains_key("view_id"), "{wrong}");
        }
    }

    #[test]
    fn the_bounds_belong_to_the_better_rating() {
        for vital in Vital::ALL {
            let (good, poor) = vital.bounds();
            let rated = [good, good * 1.001, poor, poor * 1.001].map(|value| vital.rate(value));
            use Rating::{Good, NeedsImprovement, Poor};
            assert_eq!(rated, [Good, NeedsImprovement, NeedsImprovement, Poor], "{vital}");
        }
    }
}
