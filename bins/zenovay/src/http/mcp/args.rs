//! The arguments of a tool. What reads an argument describes it, so that the schema of a tool cannot tell other names, bounds
//! and defaults than those that hold.

use serde_json::{Map, Value, json};

use super::clean::{given, quoted};
use crate::http::params::Params;

/// The longest string among arguments, in bytes.
const STRING_MAX: usize = 2_000;
/// The most members of a list.
const LIST_MAX: usize = 32;

/// An argument as it is told.
#[derive(Debug)]
struct Declared {
    name: &'static str,
    schema: Value,
    is_required: bool,
}

/// The arguments of one call, and what is wrong with them so far.
#[derive(Debug)]
pub(in crate::http) struct Args {
    given: Map<String, Value>,
    /// Each with the name of the argument.
    problems: Vec<(String, String)>,
    declared: Vec<Declared>,
}

/// What is wrong with arguments: sentences.
pub(in crate::http) type Problems = Vec<String>;

impl Args {
    fn new(given: Map<String, Value>) -> Self {
        Self { given, problems: Vec::new(), declared: Vec::new() }
    }

    /// What `read` reads of `given`.
    ///
    /// # Errors
    /// Every problem: arguments that are wrong, missing or unknown.
    pub(in crate::http) fn read<T>(
        given: Map<String, Value>,
        read: impl FnOnce(&mut Self) -> T,
    ) -> Result<T, Problems> {
        let mut args = Self::new(given);
        let value = read(&mut args);
        let names: Vec<&str> = args.declared.iter().map(|declared| declared.name).collect();
        for name in args.given.keys().filter(|name| !names.contains(&name.as_str())) {
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let problem = format!("{} is not an argument of this tool; it takes {known}", quoted(name));
            args.problems.push((name.clone(), problem));
        }
        if args.problems.is_empty() {
            Ok(value)
        } else {
            Err(args.problems.into_iter().map(|(_, problem)| problem).collect())
        }
    }

    /// The schema of what `read` reads.
    pub(in crate::http) fn schema<T>(read: impl FnOnce(&mut Self) -> T) -> Map<String, Value> {
        let mut args = Self::new(Map::new());
        read(&mut args);
        let required: Vec<&str> =
            args.declared.iter().filter(|declared| declared.is_required).map(|declared| declared.name).collect();
        let mut schema = Map::new();
        schema.insert("type".to_owned(), json!("object"));
        let properties = args.declared.iter().map(|declared| (declared.name.to_owned(), declared.schema.clone()));
        schema.insert("properties".to_owned(), Value::Object(properties.collect()));
        if !required.is_empty() {
            schema.insert("required".to_owned(), json!(required));
        }
        schema.insert("additionalProperties".to_owned(), json!(false));
        schema
    }

    /// Notes a problem.
    pub(in crate::http) fn problem(&mut self, name: &str, problem: impl std::fmt::Display) {
        self.problems.push((name.to_owned(), format!("{name}: {problem}")));
    }

    /// Notes that an argument has to be there, unless it is and something else is wrong with it.
    pub(in crate::http) fn missing(&mut self, name: &str, problem: &str) {
        if !self.problems.iter().any(|(noted, _)| noted == name) {
            self.problem(name, problem);
        }
    }

    /// Notes that arguments do nothing `when`: whoever gives one would take the answer for another. Those that are absent are passed
    /// over.
    pub(in crate::http) fn without_effect(&mut self, names: &[&str], when: &str) {
        for name in names {
            if self.given.get(*name).is_some_and(|value| !value.is_null()) {
                self.problem(name, format_args!("does nothing {when}; leave it out"));
            }
        }
    }

    /// The value of an argument; null stands for an absent one.
    fn take(&mut self, name: &'static str, schema: Value, is_required: bool) -> Option<Value> {
        self.declared.push(Declared { name, schema, is_required });
        let value = self.given.get(name).filter(|value| !value.is_null()).cloned();
        if value.is_none() && is_required {
            self.problem(name, "is required");
        }
        value
    }

    fn string_of(&mut self, name: &str, value: &Value) -> Option<String> {
        match value {
            Value::String(string) if string.len() > STRING_MAX => {
                self.problem(name, format_args!("is longer than {STRING_MAX} bytes"));
                None
            }
            Value::String(string) => Some(string.clone()),
            _ => {
                self.problem(name, "must be a string");
                None
            }
        }
    }

    /// A string.
    pub(in crate::http) fn string(&mut self, name: &'static str, words: &str) -> Option<String> {
        let value = self.take(name, json!({ "type": "string", "description": words }), false)?;
        self.string_of(name, &value)
    }

    /// JSON in a string. A list as it is will do: that of all clients some write what the string would hold.
    pub(in crate::http) fn json(&mut self, name: &'static str, words: &str) -> Option<String> {
        let value = self.take(name, json!({ "type": "string", "description": words }), false)?;
        let value = if value.is_array() { Value::String(value.to_string()) } else { value };
        self.string_of(name, &value)
    }

    /// A string that must be there; empty when it is not.
    pub(in crate::http) fn required(&mut self, name: &'static str, words: &str) -> String {
        let value = self.take(name, json!({ "type": "string", "description": words }), true);
        value.and_then(|value| self.string_of(name, &value)).unwrap_or_default()
    }

    /// A string that an answer may have told, see [`given`].
    pub(in crate::http) fn told(&mut self, name: &'static str, words: &str) -> Option<String> {
        let text = self.string(name, words)?;
        self.meant(name, &text)
    }

    /// The same, which must be there; empty when it is not.
    pub(in crate::http) fn required_told(&mut self, name: &'static str, words: &str) -> String {
        let text = self.required(name, words);
        self.meant(name, &text).unwrap_or_default()
    }

    /// What `text` stands for, which is given for `name`.
    pub(in crate::http) fn meant(&mut self, name: &str, text: &str) -> Option<String> {
        given(text).map_err(|problem| self.problem(name, problem)).ok()
    }

    /// A day, written like 2026-06-01.
    pub(in crate::http) fn day(&mut self, name: &'static str, words: &str) -> Option<String> {
        let value = self.take(name, json!({ "type": "string", "description": words }), false)?;
        match value {
            Value::String(day) if zenovay_stats::parse_date(&day).is_some() => Some(day),
            Value::String(day) if zenovay_stats::is_no_day(&day) => {
                self.problem(name, format_args!("there is no day {day}"));
                None
            }
            _ => {
                self.problem(name, "write the date as YYYY-MM-DD in the website's time zone, such as \"2026-06-01\"");
                None
            }
        }
    }

    /// One of `allowed`; `default` when it is absent.
    pub(in crate::http) fn choice(
        &mut self,
        name: &'static str,
        words: &str,
        allowed: &[&'static str],
        default: Option<&'static str>,
    ) -> Option<&'static str> {
        let mut schema = json!({ "type": "string", "enum": allowed });
        if let Some(default) = default {
            schema["default"] = json!(default);
        }
        if !words.is_empty() {
            schema["description"] = json!(words);
        }
        let Some(value) = self.take(name, schema, false) else { return default };
        self.one_of(name, &value, allowed)
    }

    /// One of `allowed`, which must be there; the first of them when it is not.
    pub(in crate::http) fn required_choice(
        &mut self,
        name: &'static str,
        words: &str,
        allowed: &[&'static str],
    ) -> &'static str {
        let schema = json!({ "type": "string", "enum": allowed, "description": words });
        let value = self.take(name, schema, true);
        let chosen = value.and_then(|value| self.one_of(name, &value, allowed));
        chosen.or_else(|| allowed.first().copied()).unwrap_or_default()
    }

    fn one_of(&mut self, name: &str, value: &Value, allowed: &[&'static str]) -> Option<&'static str> {
        let found = value.as_str().and_then(|value| allowed.iter().copied().find(|allowed| *allowed == value));
        if found.is_none() {
            let given = value.as_str().map_or_else(String::new, |value| format!("{} is unknown; ", quoted(value)));
            self.problem(name, format_args!("{given}use one of {}", allowed.join(", ")));
        }
        found
    }

    /// A list of some of `allowed`, each at most once; empty when it is absent.
    pub(in crate::http) fn choices(
        &mut self,
        name: &'static str,
        words: &str,
        allowed: &[&'static str],
    ) -> Vec<&'static str> {
        let items = json!({ "type": "string", "enum": allowed });
        let Some(value) = self.take(name, json!({ "type": "array", "items": items, "description": words }), false)
        else {
            return Vec::new();
        };
        let Value::Array(members) = value else {
            self.problem(name, format_args!("must be a list of some of {}", allowed.join(", ")));
            return Vec::new();
        };
        let mut chosen = Vec::new();
        for member in members.iter().take(LIST_MAX) {
            match self.one_of(name, member, allowed) {
                Some(one) if chosen.contains(&one) => self.problem(name, format_args!("{one} is there twice")),
                one => chosen.extend(one),
            }
        }
        chosen
    }

    /// A whole number from `min` to `max`.
    pub(in crate::http) fn count(
        &mut self,
        name: &'static str,
        words: &str,
        [min, max]: [usize; 2],
        default: usize,
    ) -> usize {
        let mut schema = json!({ "type": "integer", "minimum": min, "maximum": max, "default": default });
        if !words.is_empty() {
            schema["description"] = json!(words);
        }
        let Some(value) = self.take(name, schema, false) else { return default };
        // Programs that know no whole numbers write 20.0.
        let whole = value.as_f64().filter(|number| number.fract() == 0.0).map(|number| format!("{number:.0}"));
        match whole.and_then(|digits| digits.parse::<usize>().ok()).filter(|number| (min..=max).contains(number)) {
            Some(number) => number,
            None => {
                self.problem(name, format_args!("use a whole number from {min} to {max}"));
                default
            }
        }
    }

    /// True or false.
    pub(in crate::http) fn flag(&mut self, name: &'static str, words: &str) -> Option<bool> {
        let value = self.take(name, json!({ "type": "boolean", "description": words }), false)?;
        if value.as_bool().is_none() {
            self.problem(name, "must be true or false");
        }
        value.as_bool()
    }

    /// True or false, which must be there.
    pub(in crate::http) fn required_flag(&mut self, name: &'static str, words: &str) -> bool {
        let value = self.take(name, json!({ "type": "boolean", "description": words }), true);
        if value.as_ref().is_some_and(|value| !value.is_boolean()) {
            self.problem(name, "must be true or false");
        }
        value.and_then(|value| value.as_bool()).unwrap_or_default()
    }

    /// A list of strings.
    pub(in crate::http) fn strings(&mut self, name: &'static str, words: &str) -> Option<Vec<String>> {
        let schema = json!({ "type": "array", "items": { "type": "string" }, "description": words });
        let value = self.take(name, schema, false)?;
        let Value::Array(members) = value else {
            self.problem(name, format_args!("must be a list of strings. {}", words.trim_end_matches('.')));
            return None;
        };
        if members.len() > LIST_MAX {
            self.problem(name, format_args!("has more than {LIST_MAX} members"));
            return None;
        }
        members.iter().map(|member| self.string_of(name, member)).collect()
    }

    /// A list of objects with these members, all of which are strings: their names, what they mean, whether they must be there.
    pub(in crate::http) fn objects(
        &mut self,
        name: &'static str,
        words: &str,
        members: &[(&'static str, &'static str, bool)],
    ) -> Option<Vec<Map<String, Value>>> {
        let properties: Map<String, Value> = members
            .iter()
            .map(|(name, words, _)| ((*name).to_owned(), json!({ "type": "string", "description": words })))
            .collect();
        let required: Vec<&str> = members.iter().filter(|member| member.2).map(|member| member.0).collect();
        let items = json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        });
        let value = self.take(name, json!({ "type": "array", "items": items, "description": words }), false)?;
        let shape = || format!("must be a list of objects with {}", names_of(members));
        let Value::Array(list) = value else {
            self.problem(name, shape());
            return None;
        };
        let mut objects = Vec::new();
        for object in list.into_iter().take(LIST_MAX) {
            let Value::Object(object) = object else {
                self.problem(name, shape());
                return None;
            };
            let is_known = |(key, value): (&String, &Value)| {
                members.iter().any(|member| member.0 == key) && (value.is_string() || value.is_null())
            };
            let is_whole = required.iter().all(|member| object.get(*member).is_some_and(Value::is_string));
            if !is_whole || !object.iter().all(is_known) {
                self.problem(name, shape());
                return None;
            }
            objects.push(object);
        }
        Some(objects)
    }
}

/// The names of members, for people.
fn names_of(members: &[(&'static str, &'static str, bool)]) -> String {
    members.iter().map(|member| member.0).collect::<Vec<_>>().join(", ")
}

/// Arguments in the words of the parameters of other routes, which have the same meaning there.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct AsParams(Vec<(&'static str, String)>);

impl AsParams {
    /// Adds a parameter.
    pub(in crate::http) fn add(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.push((name, value.into()));
    }

    /// The parameters.
    pub(in crate::http) fn params(&self) -> Params {
        Params::of(self.0.iter().map(|(name, value)| ((*name).to_owned(), value.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: Value) -> Result<(String, Option<&'static str>, usize), Problems> {
        let Value::Object(given) = given else { panic!("an object") };
        Args::read(given, reading)
    }

    fn reading(args: &mut Args) -> (String, Option<&'static str>, usize) {
        let name = args.required("name", "A name.");
        let by = args.choice("by", "", &["page", "source"], Some("page"));
        (name, by, args.count("limit", "", [1, 100], 20))
    }

    #[test]
    fn what_is_wrong_is_told_all_at_once_with_what_would_be_right() {
        assert_eq!(read(json!({ "name": "x" })), Ok(("x".to_owned(), Some("page"), 20)));
        assert_eq!(read(json!({ "name": "x", "by": null, "limit": 7.0 })), Ok(("x".to_owned(), Some("page"), 7)));
        let problems = read(json!({ "by": "x", "limit": 0, "days": 3 })).unwrap_err();
        assert_eq!(
            problems,
            [
                "name: is required",
                "by: \"x\" is unknown; use one of page, source",
                "limit: use a whole number from 1 to 100",
                "\"days\" is not an argument of this tool; it takes name, by, limit",
            ]
        );
        for limit in [json!(101), json!(-1), json!(1.5), json!("20"), json!(1e300), json!(true)] {
            assert!(read(json!({ "name": "x", "limit": limit })).is_err(), "{limit}");
        }
    }

    #[test]
    fn the_schema_tells_what_is_read() {
        let schema = Value::Object(Args::schema(reading));
        assert_eq!(
            schema,
            json!({
                "type": "object",
                "properties": {
                    "name": { "type": "string", "description": "A name." },
                    "by": { "type": "string", "enum": ["page", "source"], "default": "page" },
                    "limit": { "type": "integer", "minimum": 1, "maximum": 100, "default": 20 },
                },
                "required": ["name"],
                "additionalProperties": false,
            })
        );
    }
}
