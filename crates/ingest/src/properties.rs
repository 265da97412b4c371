//! The properties of an event: a flat JSON object of scalars.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::json::{Problems, Raw, longer_than, note_duplicates};

/// The most properties of an event (SPEC E1).
pub const PROPERTIES_MAX: usize = 50;

/// The most characters of a property's value (SPEC E1).
pub const PROPERTY_VALUE_MAX_CHARS: usize = 1000;

/// The most characters of a property's name.
pub const PROPERTY_NAME_MAX_CHARS: usize = 100;

/// The most bytes of all properties of an event as JSON text; keeps the texts of an event below their limit.
pub const PROPERTIES_MAX_BYTES: usize = 32 * 1024;

/// Names that the tracker sets itself; overriding them is ignored (SPEC E1).
const RESERVED: [&str; 7] = ["url", "referrer", "screen_size", "browser", "os", "country", "city"];

/// Collects properties from several members of a body; the first value of a name stands.
#[derive(Debug, Default)]
pub(crate) struct Properties<'a>(BTreeMap<Cow<'a, str>, Raw<'a>>);

impl<'a> Properties<'a> {
    /// Adds the scalars of `object`; `field` is the member's name in messages. Nested values and reserved names are left out.
    pub(crate) fn extend(&mut self, field: &str, object: Vec<(Cow<'a, str>, Raw<'a>)>, problems: &mut Problems) {
        if object.len() > 1 {
            note_duplicates(&format!("{field}."), object.iter().map(|(name, _)| &**name), problems);
        }
        for (name, value) in object {
            if RESERVED.contains(&&*name) {
                continue;
            }
            let problem = if name.is_empty() || longer_than(&name, PROPERTY_NAME_MAX_CHARS) {
                Some("Property names have 1 to 100 characters")
            } else if name.contains('\0') || value.has_nul() {
                Some("Must not contain NUL")
            } else {
                match &value {
                    text if text.as_text().is_some_and(|text| longer_than(text, PROPERTY_VALUE_MAX_CHARS)) => {
                        Some("Property value too long (max 1000 characters)")
                    }
                    Raw::Bool(_) | Raw::Int(_) | Raw::Float(_) | Raw::Text(_) | Raw::Escaped(_) => None,
                    Raw::Absent | Raw::Null | Raw::Array(_) | Raw::Object(_) => continue,
                }
            };
            match problem {
                Some(problem) => {
                    let name: String = name.chars().take(PROPERTY_NAME_MAX_CHARS).collect();
                    problems.insert(format!("{field}.{name}"), problem.to_owned());
                }
                None => {
                    self.0.entry(name).or_insert(value);
                }
            }
        }
    }

    /// Adds one property.
    pub(crate) fn set(&mut self, name: &'static str, value: Raw<'a>) {
        self.0.insert(Cow::Borrowed(name), value);
    }

    /// The properties as a JSON object with sorted names; empty when there are none. What is too much is noted under `field`.
    pub(crate) fn into_json(self, field: &str, problems: &mut Problems) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        if self.0.len() > PROPERTIES_MAX {
            problems.insert(field.to_owned(), "Too many properties (max 50)".to_owned());
            return String::new();
        }
        let mut json = String::with_capacity(self.0.len() * 24);
        for (name, value) in &self.0 {
            json.push(if json.is_empty() { '{' } else { ',' });
            push_string(&mut json, name);
            json.push(':');
            match value {
                Raw::Bool(value) => json.push_str(if *value { "true" } else { "false" }),
                Raw::Int(value) => json.push_str(&value.to_string()),
                Raw::Float(value) => {
                    json.push_str(
                        &serde_json::Number::from_f64(*value).map_or_else(|| "0".to_owned(), |n| n.to_string()),
                    );
                }
                Raw::Text(text) => push_string(&mut json, text),
                Raw::Escaped(text) => push_string(&mut json, text),
                Raw::Absent | Raw::Null | Raw::Array(_) | Raw::Object(_) => json.push_str("null"),
            }
        }
        json.push('}');
        if json.len() > PROPERTIES_MAX_BYTES {
            problems.insert(field.to_owned(), "Properties too large (max 32768 bytes)".to_owned());
            return String::new();
        }
        json
    }
}

fn push_string(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            c if u32::from(c) < 0x20 => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => json.push(c),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;
    use proptest::prelude::*;

    fn read(body: &str) -> (String, Problems) {
        let mut problems = Problems::new();
        let Raw::Object(object) = parse(body.as_bytes(), 1).unwrap() else { panic!() };
        let mut properties = Properties::default();
        properties.extend("event_data", object, &mut problems);
        let json = properties.into_json("event_data", &mut problems);
        (json, problems)
    }

    #[test]
    fn scalars_are_kept_sorted_and_the_rest_is_dropped() {
        let (json, problems) = read(
            r#"{"z":1,"a":"x\"\n","b":true,"f":1.5,"n":null,"o":{"q":1},"l":[1],"url":"x","country":"XX","__proto__":"p"}"#,
        );
        assert_eq!(json, r#"{"__proto__":"p","a":"x\"\n","b":true,"f":1.5,"z":1}"#);
        assert_eq!(problems, Problems::new());
    }

    #[test]
    fn too_much_is_refused_by_name() {
        let many: String = (0..51).map(|i| format!(r#""p{i}":1,"#)).collect();
        let (_, problems) = read(&format!("{{{}}}", many.trim_end_matches(',')));
        assert_eq!(problems["event_data"], "Too many properties (max 50)");
        let (_, problems) = read(&format!(r#"{{"a":"{}","b\u0000":1,"c":1,"c":2}}"#, "x".repeat(1001)));
        assert_eq!(problems.keys().collect::<Vec<_>>(), ["event_data.a", "event_data.b\0", "event_data.c"]);
        let large: String = (0..40).map(|i| format!(r#""p{i}":"{}","#, "x".repeat(1000))).collect();
        let (_, problems) = read(&format!("{{{}}}", large.trim_end_matches(',')));
        assert_eq!(problems["event_data"], "Properties too large (max 32768 bytes)");
    }

    proptest! {
        #[test]
        fn what_is_written_is_json(values in prop::collection::btree_map("[^\0]{1,9}", "[^\0]{0,20}", 0..8)) {
            let body = serde_json::to_string(&values).unwrap();
            let (json, problems) = read(&body);
            prop_assert_eq!(problems, Problems::new());
            let kept: BTreeMap<_, _> = values.into_iter().filter(|(name, _)| !RESERVED.contains(&name.as_str())).collect();
            if kept.is_empty() {
                prop_assert_eq!(json, "");
            } else {
                prop_assert_eq!(serde_json::from_str::<BTreeMap<String, String>>(&json).unwrap(), kept);
            }
        }
    }
}
