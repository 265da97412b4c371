//! Comparing texts, and reading a property out of its JSON object.

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use zenovay_domain::matches_pattern;

use crate::Operator;

impl Operator {
    /// Whether `text` passes the comparison with `values`. Without values the positive operators match nothing and the
    /// negative ones everything.
    pub fn matches(self, text: &str, values: &[String]) -> bool {
        let any = |test: fn(&str, &str) -> bool| values.iter().any(|value| test(text, value));
        match self {
            Self::Is => any(|text, value| text == value),
            Self::IsNot => !any(|text, value| text == value),
            Self::Contains => any(|text, value| text.contains(value)),
            Self::DoesNotContain => !any(|text, value| text.contains(value)),
            Self::StartsWith => any(|text, value| text.starts_with(value)),
            Self::EndsWith => any(|text, value| text.ends_with(value)),
            Self::Matches => any(matches_pattern),
            Self::DoesNotMatch => !any(matches_pattern),
        }
    }
}

/// The text form of the property `name` of the JSON object `properties`: a string as it is, numbers and truth values as
/// JSON writes them; empty when absent, null, or when `properties` is not a JSON object.
pub(crate) fn property_text(properties: &str, name: &str) -> String {
    if properties.is_empty() {
        return String::new();
    }
    let mut json = serde_json::Deserializer::from_str(properties);
    json.deserialize_map(FindProperty { name }).and_then(|text| json.end().map(|()| text)).unwrap_or_default()
}

/// Reads one member of an object without keeping the others.
struct FindProperty<'a> {
    name: &'a str,
}

impl<'de> Visitor<'de> for FindProperty<'_> {
    type Value = String;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        let mut text = String::new();
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if key == self.name {
                text = match map.next_value::<serde_json::Value>()? {
                    serde_json::Value::Null => String::new(),
                    serde_json::Value::String(text) => text,
                    other => other.to_string(),
                };
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(values: &[&str]) -> Vec<String> {
        values.iter().map(|&value| value.to_owned()).collect()
    }

    #[test]
    fn without_values_positive_operators_match_nothing_and_negative_ones_everything() {
        for operator in [Operator::Is, Operator::Contains, Operator::StartsWith, Operator::EndsWith, Operator::Matches]
        {
            assert!(!operator.matches("a", &[]), "{operator:?}");
        }
        for operator in [Operator::IsNot, Operator::DoesNotContain, Operator::DoesNotMatch] {
            assert!(operator.matches("a", &[]), "{operator:?}");
        }
    }

    #[test]
    fn upper_and_lower_case_differ() {
        assert!(!Operator::Is.matches("/A", &values(&["/a"])));
        assert!(!Operator::Matches.matches("/A", &values(&["/a*"])));
    }

    #[test]
    fn negative_operators_match_when_no_value_does() {
        assert!(!Operator::IsNot.matches("b", &values(&["a", "b"])));
        assert!(Operator::IsNot.matches("c", &values(&["a", "b"])));
        assert!(!Operator::DoesNotContain.matches("abc", &values(&["x", "b"])));
        assert!(Operator::DoesNotMatch.matches("/docs", &values(&["/blog/*"])));
    }

    #[test]
    fn a_star_stands_for_any_run_also_an_empty_one() {
        for (text, pattern, expected) in [
            ("/blog/", "/blog/*", true),
            ("/blog/a/b", "/blog/*", true),
            ("/blo", "/blog*", false),
            ("aa", "a*a", true),
            ("a", "a*a", false),
            ("abcabd", "*ab*d", true),
            ("", "*", true),
            ("", "", true),
            ("x", "", false),
            ("äöü", "ä*ü", true),
        ] {
            assert_eq!(Operator::Matches.matches(text, &values(&[pattern])), expected, "{text:?} {pattern:?}");
        }
    }

    #[test]
    fn properties_have_a_text_form() {
        let json = r#"{"a":"x","b":1.5,"c":true,"d":null,"é\"":"y"}"#;
        for (name, text) in [("a", "x"), ("b", "1.5"), ("c", "true"), ("d", ""), ("é\"", "y"), ("missing", "")] {
            assert_eq!(property_text(json, name), text);
        }
    }

    #[test]
    fn what_is_no_object_has_no_properties() {
        for bad in ["", "[]", "{", r#"{"a":"x"}}"#, r#""a""#] {
            assert_eq!(property_text(bad, "a"), "", "{bad}");
        }
    }
}
