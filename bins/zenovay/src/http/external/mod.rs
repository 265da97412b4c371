//! The External API, `/api/external/v1` (S0, SPEC B4): reading numbers with a key. Each handler is guard, parameters,
//! question, shape.

pub mod analytics;
pub mod pending;
pub mod usage;
pub mod websites;

use serde_json::Value;

/// `text`, or null when it is empty: an unknown country, a visit without referrer.
fn or_null(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}

/// `value` to `digits` decimal places; null over an empty set, never 0 or 1 (DESIGN §3).
pub(super) fn rounded(value: Option<f64>, digits: i32) -> Value {
    let scale = 10_f64.powi(digits);
    value.map_or(Value::Null, |value| ((value * scale).round() / scale).into())
}

/// Milliseconds as seconds with up to three decimal places.
fn seconds(millis: Option<f64>) -> Value {
    rounded(millis.map(|millis| millis / 1_000.0), 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_sets_have_no_rate() {
        assert_eq!(rounded(None, 2), Value::Null);
        assert_eq!(rounded(Some(1.0 / 3.0), 4), serde_json::json!(0.3333));
        assert_eq!(seconds(Some(12_345.6)), serde_json::json!(12.346));
        assert_eq!(or_null(""), Value::Null);
    }
}
