//! Comparing strings, and reading a property out of its JSON object.

use std::collections::{BTreeSet, HashSet};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex::{Regex, RegexBuilder};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use zenovay_domain::matches_pattern;

use crate::Operator;

/// The longest regular expression, in bytes.
const REGEX_MAX_BYTES: usize = 1_000;

/// How much memory one compiled regular expression may take, and as much again while it is used.
const REGEX_MAX_MEMORY: usize = 1 << 20;

/// A string that cannot be used as a regular expression. As a string it says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRegex(String);

/// Whether `pattern` can be used with [`Operator::MatchesRegex`]: it is a regular expression in the syntax of the `regex`
/// crate (without look-around and back references, so that the time is linear), of at most 1,000 bytes, and takes at most 1 MiB.
///
/// # Errors
/// [`InvalidRegex`]: it is none, or costs too much.
pub fn check_regex(pattern: &str) -> Result<(), InvalidRegex> {
    compile(pattern).map(drop)
}

/// A regular expression that matches `value` in any case: as the whole string, or as a part of it.
pub fn regex_ignoring_case(value: &str, is_whole: bool) -> String {
    let value = regex::escape(value);
    if is_whole { format!(r"(?i)\A{value}\z") } else { format!("(?i){value}") }
}

fn compile(pattern: &str) -> Result<Regex, InvalidRegex> {
    if pattern.len() > REGEX_MAX_BYTES {
        return Err(InvalidRegex(format!("a regular expression has at most {REGEX_MAX_BYTES} bytes")));
    }
    let mut builder = RegexBuilder::new(pattern);
    let built = builder.size_limit(REGEX_MAX_MEMORY).dfa_size_limit(REGEX_MAX_MEMORY).nest_limit(50).build();
    built.map_err(|error| {
        InvalidRegex(match error {
            regex::Error::CompiledTooBig(_) => "the regular expression is too large when compiled".to_owned(),
            // The first lines draw where it is; the last one says what.
            error => format!("not a regular expression: {}", error.to_string().lines().last().unwrap_or("").trim()),
        })
    })
}

/// A comparison, ready to look at many strings.
pub(crate) struct Matcher<'a> {
    test: Test<'a>,
    is_negative: bool,
}

/// What one of the values has to do.
enum Test<'a> {
    Equal(HashSet<&'a str>),
    /// Finds all values in one pass over a string.
    ContainAny(AhoCorasick),
    Contain(&'a [String]),
    Start(&'a [String]),
    End(&'a [String]),
    /// Each pattern once, with no stars in a row.
    Pattern(BTreeSet<String>),
    Expression(Vec<Regex>),
}

impl<'a> Matcher<'a> {
    pub(crate) fn new(operator: Operator, values: &'a [String]) -> Self {
        let (test, is_negative) = match operator {
            Operator::Is => (Test::equal(values), false),
            Operator::IsNot => (Test::equal(values), true),
            Operator::Contains => (Test::contain(values), false),
            Operator::DoesNotContain => (Test::contain(values), true),
            Operator::StartsWith => (Test::Start(values), false),
            Operator::EndsWith => (Test::End(values), false),
            Operator::Matches => (Test::pattern(values), false),
            Operator::DoesNotMatch => (Test::pattern(values), true),
            Operator::MatchesRegex => (Test::expression(values), false),
            Operator::DoesNotMatchRegex => (Test::expression(values), true),
        };
        Self { test, is_negative }
    }

    /// Whether `text` passes.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.test.is_met(text) != self.is_negative
    }
}

impl<'a> Test<'a> {
    fn equal(values: &'a [String]) -> Self {
        Self::Equal(values.iter().map(String::as_str).collect())
    }

    /// An automaton that takes memory in proportion to the values; one value, or values too large for
    /// it, are looked for as they are.
    fn contain(values: &'a [String]) -> Self {
        if values.len() < 2 {
            return Self::Contain(values);
        }
        let built = AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(values);
        built.map_or(Self::Contain(values), Self::ContainAny)
    }

    fn pattern(values: &[String]) -> Self {
        Self::Pattern(values.iter().map(|value| one_star(value)).collect())
    }

    fn expression(values: &[String]) -> Self {
        Self::Expression(values.iter().filter_map(|value| compile(value).ok()).collect())
    }

    fn is_met(&self, text: &str) -> bool {
        match self {
            Self::Equal(values) => values.contains(text),
            Self::ContainAny(values) => values.is_match(text),
            Self::Contain(values) => values.iter().any(|value| text.contains(value)),
            Self::Start(values) => values.iter().any(|value| text.starts_with(value)),
            Self::End(values) => values.iter().any(|value| text.ends_with(value)),
            Self::Pattern(patterns) => patterns.iter().any(|pattern| matches_pattern(text, pattern)),
            Self::Expression(expressions) => expressions.iter().any(|expression| expression.is_match(text)),
        }
    }
}

/// `pattern` with one star for each run of them, which stands for the same.
fn one_star(pattern: &str) -> String {
    let mut short = String::with_capacity(pattern.len());
    for letter in pattern.chars() {
        if letter != '*' || !short.ends_with('*') {
            short.push(letter);
        }
    }
    short
}

impl Operator {
    /// Whether `text` passes the comparison with `values` as they are. Without values the positive operators match nothing and the
    /// negative ones everything. What is a value of a field is compared by [`Condition::matches`](crate::Condition::matches).
    pub fn matches(self, text: &str, values: &[String]) -> bool {
        Matcher::new(self, values).matches(text)
    }
}

/// The property `name` of the JSON object `properties`, as a string: a string as it is, numbers and truth values as
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However the values are kept, each is compared as if it were alone.
        #[test]
        fn many_values_match_as_each_of_them(
            text in "[abAä*]{0,8}",
            values in prop::collection::vec("[abAä*]{0,3}", 0..6),
        ) {
            type Compare = fn(&str, &str) -> bool;
            let all: [(Operator, Option<Operator>, Compare); 5] = [
                (Operator::Is, Some(Operator::IsNot), |text, value| text == value),
                (Operator::Contains, Some(Operator::DoesNotContain), |text, value| text.contains(value)),
                (Operator::StartsWith, None, |text, value| text.starts_with(value)),
                (Operator::EndsWith, None, |text, value| text.ends_with(value)),
                (Operator::Matches, Some(Operator::DoesNotMatch), matches_pattern),
            ];
            for (positive, negative, compare) in all {
                let expected = values.iter().any(|value| compare(&text, value));
                prop_assert_eq!(positive.matches(&text, &values), expected, "{:?}", positive);
                if let Some(negative) = negative {
                    prop_assert_eq!(negative.matches(&text, &values), !expected, "{:?}", negative);
                }
            }
        }
    }

    #[test]
    fn stars_in_a_row_are_one() {
        assert_eq!(one_star("**a***b*"), "*a*b*");
        assert_eq!(one_star("ab"), "ab");
    }

    fn values(values: &[&str]) -> Vec<String> {
        values.iter().map(|&value| value.to_owned()).collect()
    }

    #[test]
    fn without_values_positive_operators_match_nothing_and_negative_ones_everything() {
        for operator in [Operator::Is, Operator::Contains, Operator::StartsWith, Operator::EndsWith, Operator::Matches]
        {
            assert!(!operator.matches("a", &[]), "{operator:?}");
        }
        for operator in [Operator::IsNot, Operator::DoesNotContain, Operator::DoesNotMatch, Operator::DoesNotMatchRegex]
        {
            assert!(operator.matches("a", &[]), "{operator:?}");
        }
    }

    #[test]
    fn many_values_are_compared_as_few_are() {
        let many: Vec<String> = (0..1_000).map(|n| format!("/a.{n}(")).collect();
        for operator in [Operator::Is, Operator::IsNot, Operator::Contains, Operator::DoesNotContain] {
            let together = Matcher::new(operator, &many);
            for text in ["/a.7(", "/ab7(", "x/a.999(y", "/A.7(", "", "/a.1000("] {
                let mut alone = many.iter().map(|value| operator.matches(text, std::slice::from_ref(value)));
                let is_negative = matches!(operator, Operator::IsNot | Operator::DoesNotContain);
                let expected = if is_negative { alone.all(|is| is) } else { alone.any(|is| is) };
                assert_eq!(together.matches(text), expected, "{operator:?} {text:?}");
            }
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
    fn a_regular_expression_matches_a_part_unless_anchored() {
        for (text, pattern, expected) in [
            ("/user/12", r"^/user/\d+$", true),
            ("/user/12/edit", r"^/user/\d+$", false),
            ("/user/12/edit", r"/\d+", true),
            ("Berlin", "(?i)^berlin$", true),
            ("anything", "", true),
            ("anything", "(", false),
        ] {
            assert_eq!(Operator::MatchesRegex.matches(text, &values(&[pattern])), expected, "{text:?} {pattern:?}");
            assert_eq!(
                Operator::DoesNotMatchRegex.matches(text, &values(&[pattern])),
                !expected,
                "{text:?} {pattern:?}"
            );
        }
    }

    #[test]
    fn expressions_that_cost_too_much_are_refused() {
        assert_eq!(check_regex("^/a|b$"), Ok(()));
        for bad in ["(", "a{2000}{2000}", r"\p{L}{1000}", "(?=a)", r"(a)\1", &"a".repeat(1_001), &"(".repeat(60)] {
            let problem = check_regex(bad).unwrap_err().to_string();
            assert!(!problem.is_empty() && !problem.contains('\n'), "{problem}");
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
