//! The properties of an event: a flat JSON object of scalars.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::json::{JsonValue, Problems, longer_than, note_duplicates};
use crate::outcome::{Mend, Mends};

/// The most properties of an event.
pub const PROPERTIES_MAX: usize = 50;

/// The most characters of a property's value.
pub const PROPERTY_VALUE_MAX_CHARS: usize = 1000;

/// The most characters of a property's name.
pub const PROPERTY_NAME_MAX_CHARS: usize = 100;

/// The most bytes of all properties of an event as JSON; keeps the strings of an event below their limit.
pub const PROPERTIES_MAX_BYTES: usize = 32 * 1024;

/// Names that the tracker sets itself; overriding them is ignored.
const RESERVED: [&str; 7] = ["url", "referrer", "screen_size", "browser", "os", "country", "city"];

/// Collects properties from several members of a body; the first value of a name stands, and of too many the first.
#[derive(Debug, Default)]
pub(crate) struct Properties<'a>(BTreeMap<Cow<'a, str>, JsonValue<'a>>);

impl<'a> Properties<'a> {
    /// Adds the scalars of `object`; `field` is the member's name in messages. Nested values and reserved names are left out,
    /// as is a property whose name is empty or too long, or for which there is no room; values that are too long are cut.
    pub(crate) fn extend(
        &mut self,
        field: &str,
        object: Vec<(Cow<'a, str>, JsonValue<'a>)>,
        problems: &mut Problems,
        mends: &mut Mends,
    ) {
        if object.len() > 1 {
            note_duplicates(&format!("{field}."), object.iter().map(|(name, _)| &**name), problems);
        }
        for (name, value) in object {
            if RESERVED.contains(&&*name)
                || matches!(value, JsonValue::Absent | JsonValue::Null | JsonValue::Array(_) | JsonValue::Object(_))
            {
                continue;
            }
            let is_named = !name.is_empty() && !longer_than(&name, PROPERTY_NAME_MAX_CHARS) && !name.contains('\0');
            let has_room = self.0.len() < PROPERTIES_MAX || self.0.contains_key(&name);
            if !is_named || !has_room {
                mends.insert(Mend::Property);
                continue;
            }
            let value = fit(value, mends);
            self.0.entry(name).or_insert(value);
        }
    }

    /// Adds one property, of which there are few, before others.
    pub(crate) fn set(&mut self, name: &'static str, value: JsonValue<'a>) {
        self.0.insert(Cow::Borrowed(name), value);
    }

    /// Makes what a revenue event says of money fit to be added up: amounts are numbers, also where they came as digits, and a
    /// currency is three capital letters. What is neither is left out.
    pub(crate) fn settle_money(&mut self, mends: &mut Mends) {
        for (name, settle) in
            [("value", amount as fn(&JsonValue<'a>) -> _), ("revenue", amount), ("currency", currency)]
        {
            let Some(value) = self.0.get_mut(name) else { continue };
            match settle(value) {
                Some(settled) => *value = settled,
                None => {
                    self.0.remove(name);
                    mends.insert(Mend::Property);
                }
            }
        }
    }

    /// The id of the order of a revenue event.
    pub(crate) fn order_id(&self) -> Option<String> {
        match self.0.get("order_id")? {
            JsonValue::Int(id) => Some(id.to_string()),
            value => value.as_str().filter(|id| !id.is_empty()).map(str::to_owned),
        }
    }

    /// The properties as a JSON object with sorted names; empty when there are none. Those are left out with which it would
    /// have more than [`PROPERTIES_MAX_BYTES`].
    pub(crate) fn into_json(self, mends: &mut Mends) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let mut json = String::with_capacity(self.0.len() * 24);
        for (name, value) in &self.0 {
            let before = json.len();
            json.push(if before == 0 { '{' } else { ',' });
            push_string(&mut json, name);
            json.push(':');
            match value {
                JsonValue::Bool(value) => json.push_str(if *value { "true" } else { "false" }),
                JsonValue::Int(value) => json.push_str(&value.to_string()),
                JsonValue::Float(value) => {
                    json.push_str(
                        &serde_json::Number::from_f64(*value).map_or_else(|| "0".to_owned(), |n| n.to_string()),
                    );
                }
                JsonValue::String(text) => push_string(&mut json, text),
                JsonValue::Escaped(text) => push_string(&mut json, text),
                JsonValue::Absent | JsonValue::Null | JsonValue::Array(_) | JsonValue::Object(_) => {
                    json.push_str("null");
                }
            }
            // With the brace at the end.
            if json.len() + 1 > PROPERTIES_MAX_BYTES {
                json.truncate(before);
                mends.insert(Mend::Property);
            }
        }
        json.push('}');
        json
    }
}

/// `value` without NUL, cut to [`PROPERTY_VALUE_MAX_CHARS`].
fn fit<'a>(value: JsonValue<'a>, mends: &mut Mends) -> JsonValue<'a> {
    let Some(text) = value.as_str() else { return value };
    let (has_nul, is_long) = (value.has_nul(), longer_than(text, PROPERTY_VALUE_MAX_CHARS));
    if !has_nul && !is_long {
        return value;
    }
    if has_nul {
        mends.insert(Mend::Characters);
    }
    if is_long {
        mends.insert(Mend::PropertyValue);
    }
    let kept: String = text.chars().filter(|&c| c != '\0').take(PROPERTY_VALUE_MAX_CHARS).collect();
    JsonValue::Escaped(kept.into())
}

fn amount<'a>(value: &JsonValue<'a>) -> Option<JsonValue<'a>> {
    match value {
        JsonValue::Int(_) | JsonValue::Float(_) => Some(value.clone()),
        other => {
            let text = other.as_str()?.trim();
            let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.".contains(&byte));
            text.parse().ok().filter(|amount: &f64| is_decimal && amount.is_finite()).map(JsonValue::Float)
        }
    }
}

fn currency<'a>(value: &JsonValue<'a>) -> Option<JsonValue<'a>> {
    let code = value.as_str()?.trim();
    let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_code.then(|| JsonValue::Escaped(code.to_ascii_uppercase().into()))
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

    fn read(body: &str) -> (String, Problems, Vec<Mend>) {
        let (mut problems, mut mends) = (Problems::new(), Mends::default());
        let JsonValue::Object(object) = parse(body.as_bytes(), 1, &mut mends).unwrap() else { panic!() };
        let mut properties = Properties::default();
        properties.extend("event_data", object, &mut problems, &mut mends);
        let json = properties.into_json(&mut mends);
        (json, problems, mends.iter().collect())
    }

    #[test]
    fn scalars_are_kept_sorted_and_the_rest_is_dropped() {
        let (json, problems, mends) = read(
            r#"{"z":1,"a":"x\"\n","b":true,"f":1.5,"n":null,"o":{"q":1},"l":[1],"url":"x","country":"XX","__proto__":"p"}"#,
        );
        assert_eq!(json, r#"{"__proto__":"p","a":"x\"\n","b":true,"f":1.5,"z":1}"#);
        assert_eq!((problems, mends), (Problems::new(), Vec::new()));
    }

    #[test]
    fn single_properties_are_cut_or_lost_and_the_others_stay() {
        let members: Vec<String> = (0..60).map(|i| format!(r#""p{i:02}":{i}"#)).collect();
        let (json, problems, mends) = read(&format!("{{{}}}", members.join(",")));
        assert_eq!(json, format!("{{{}}}", members[..PROPERTIES_MAX].join(",")));
        assert_eq!((problems, mends), (Problems::new(), vec![Mend::Property]));

        let (json, problems, mends) = read(&format!(r#"{{"a":"{}","b\u0000":1,"":1,"c":1}}"#, "€".repeat(1001)));
        assert_eq!(json, format!(r#"{{"a":"{}","c":1}}"#, "€".repeat(1000)));
        assert_eq!((problems, mends), (Problems::new(), vec![Mend::PropertyValue, Mend::Property]));

        let large: Vec<String> = (10..50).map(|i| format!(r#""p{i}":"{}""#, "x".repeat(1000))).collect();
        let (json, _, mends) = read(&format!("{{{}}}", large.join(",")));
        assert!((PROPERTIES_MAX_BYTES - 1_100..=PROPERTIES_MAX_BYTES).contains(&json.len()), "{}", json.len());
        assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
        assert_eq!(mends, [Mend::Property]);

        let (_, problems, _) = read(r#"{"c":1,"c":2}"#);
        assert_eq!(problems.keys().collect::<Vec<_>>(), ["event_data.c"]);
    }

    #[test]
    fn money_is_a_number_and_three_letters_or_is_left_out() {
        for (body, expected, is_mended) in [
            (
                r#"{"value":12.5,"currency":"EUR","order_id":"o"}"#,
                r#"{"currency":"EUR","order_id":"o","value":12.5}"#,
                false,
            ),
            (r#"{"value":"12.50","currency":" eur"}"#, r#"{"currency":"EUR","value":12.5}"#, false),
            (r#"{"value":-3,"revenue":"+4"}"#, r#"{"revenue":4.0,"value":-3}"#, false),
            (r#"{"value":"abc","currency":"EUR"}"#, r#"{"currency":"EUR"}"#, true),
            (r#"{"value":"1e999"}"#, "", true),
            (r#"{"value":"inf"}"#, "", true),
            (r#"{"value":"12,50"}"#, "", true),
            (r#"{"value":true,"revenue":"","currency":"euro"}"#, "", true),
            (r#"{"value":1,"currency":978}"#, r#"{"value":1}"#, true),
        ] {
            let (mut problems, mut mends) = (Problems::new(), Mends::default());
            let JsonValue::Object(object) = parse(body.as_bytes(), 1, &mut mends).unwrap() else { panic!() };
            let mut properties = Properties::default();
            properties.extend("event_data", object, &mut problems, &mut mends);
            properties.settle_money(&mut mends);
            assert_eq!(properties.into_json(&mut mends), expected, "{body}");
            assert_eq!(mends != Mends::default(), is_mended, "{body}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_json(values in prop::collection::btree_map("[^\0]{1,9}", "[^\0]{0,20}", 0..8)) {
            let body = serde_json::to_string(&values).unwrap();
            let (json, problems, mends) = read(&body);
            prop_assert_eq!((problems, mends), (Problems::new(), Vec::new()));
            let kept: BTreeMap<_, _> = values.into_iter().filter(|(name, _)| !RESERVED.contains(&name.as_str())).collect();
            if kept.is_empty() {
                prop_assert_eq!(json, "");
            } else {
                prop_assert_eq!(serde_json::from_str::<BTreeMap<String, String>>(&json).unwrap(), kept);
            }
        }
    }
}
