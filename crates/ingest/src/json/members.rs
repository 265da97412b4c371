//! The members of a JSON object, read leniently, so that every wrong field can be named at once. A value of the wrong type is
//! not an error while it is read; the checks that follow name it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::names::MemberName;
use super::parse::{invalid, parse_any, utf8};
use super::scan::{MemberSink, scan_members};
use super::value::{JsonValue, MEMBERS_MAX};
use crate::Refusal;
use crate::outcome::{Mend, Mends};

/// What is wrong with each field, by its name.
pub(crate) type Problems = BTreeMap<String, String>;

/// Notes members that are there twice, under `prefix` and their name.
pub(crate) fn note_duplicates<'m>(
    prefix: &str,
    names: impl ExactSizeIterator<Item = &'m str> + Clone,
    problems: &mut Problems,
) {
    if names.len() <= 32 {
        for (index, name) in names.clone().enumerate() {
            if names.clone().take(index).any(|earlier| earlier == name) {
                note_duplicate(prefix, name, problems);
            }
        }
        return;
    }
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        if let [first, second] = pair
            && first == second
        {
            note_duplicate(prefix, first, problems);
        }
    }
}

fn note_duplicate(prefix: &str, name: &str, problems: &mut Problems) {
    // A name is the sender's: it is cut like everything else that is echoed.
    let name: String = name.chars().take(100).collect();
    problems.insert(format!("{prefix}{name}"), "Is given twice".to_owned());
}

/// A [`JsonValue`] that can be copied, so that nothing needs to be done when it goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum InlineValue<'a> {
    Absent,
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(&'a str),
    /// What is on the heap, by its place among the members' [`Members::large`].
    Large(usize),
}

/// The members of one object by their names, as far as these are [`MemberName`], and what is wrong with them. Where it is, it
/// stays: it has 1.3 KB.
#[derive(Debug, PartialEq)]
pub(crate) struct Members<'a, 'p> {
    prefix: &'p str,
    values: [InlineValue<'a>; MemberName::COUNT],
    large: Vec<JsonValue<'a>>,
    unknown: Vec<Cow<'a, str>>,
    /// How many were looked at, at most [`MEMBERS_MAX`].
    count: usize,
    /// Whether two spellings of one field that differ are wrong; else the documented one stands.
    is_strict: bool,
    /// What was mended so far.
    pub(crate) mends: Mends,
    /// What is wrong so far.
    pub(crate) problems: Problems,
}

/// The rule of a string member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StringRule {
    /// How messages call it.
    pub(crate) label: &'static str,
    pub(crate) required: bool,
    pub(crate) min_chars: usize,
    pub(crate) max_chars: usize,
    /// What it is to cut a string that is too long; `None`: it is refused.
    pub(crate) cut: Option<Mend>,
}

impl StringRule {
    /// Whether a string without NUL keeps the rule by its bytes: it has no more characters than those, and in ASCII as many.
    fn is_plainly_kept(&self, text: &str) -> bool {
        (self.min_chars..=self.max_chars).contains(&text.len()) && (self.min_chars <= 1 || text.is_ascii())
    }
}

impl<'a, 'p> Members<'a, 'p> {
    /// No members yet. `prefix` stands before their names in messages.
    pub(crate) fn empty(prefix: &'p str) -> Self {
        let (values, large) = ([InlineValue::Absent; MemberName::COUNT], Vec::new());
        let (unknown, mends, problems) = (Vec::new(), Mends::default(), Problems::new());
        Self { prefix, values, large, unknown, count: 0, is_strict: false, mends, problems }
    }

    /// Takes two spellings of one field that differ for wrong.
    pub(crate) fn strict(mut self) -> Self {
        self.is_strict = true;
        self
    }

    /// The members of an object that is read already.
    pub(crate) fn new(prefix: &'p str, object: Vec<(Cow<'a, str>, JsonValue<'a>)>) -> Self {
        let mut members = Self::empty(prefix);
        members.fill(object);
        members
    }

    fn fill(&mut self, object: Vec<(Cow<'a, str>, JsonValue<'a>)>) {
        for (name, value) in object {
            if let Some(name) = self.accept_any(name) {
                self.set(name, value);
            }
        }
        self.end();
    }

    /// Reads `body`, which must be one JSON object, as [`parse`] reads it and [`Members::new`] takes it.
    pub(crate) fn read(&mut self, body: &'a [u8], depth: u8) -> Result<(), Refusal> {
        let mut mends = Mends::default();
        let text = utf8(body, &mut mends)?;
        if scan_members(text, depth, self).is_some() {
            self.end();
            // For the fuzz targets.
            debug_assert_eq!(Self::read_any(self.prefix, text, depth, &mut mends).as_ref(), Ok(&*self));
        } else {
            *self = Self::read_any(self.prefix, text, depth, &mut mends)?;
        }
        self.mends = mends;
        Ok(())
    }

    /// [`Members::read`] for any string.
    #[cold]
    fn read_any(prefix: &'p str, text: &'a str, depth: u8, mends: &mut Mends) -> Result<Self, Refusal> {
        match parse_any(text, depth, mends)? {
            JsonValue::Object(object) => Ok(Self::new(prefix, object)),
            other => Err(invalid(format!("The body must be a JSON object, not {}", other.kind()))),
        }
    }

    /// The name `string` when its value is wanted: not when nobody asks for it or it was there before, which is noted, nor
    /// behind [`MEMBERS_MAX`] others.
    #[inline]
    fn accept_any(&mut self, string: impl Into<Cow<'a, str>> + AsRef<str>) -> Option<MemberName> {
        if self.count == MEMBERS_MAX {
            return None;
        }
        self.count += 1;
        let Some(name) = MemberName::find(string.as_ref()) else {
            self.unknown.push(string.into());
            return None;
        };
        if !matches!(self.values[name as usize], InlineValue::Absent) {
            note_duplicate(self.prefix, name.as_str(), &mut self.problems);
            return None;
        }
        Some(name)
    }

    /// Puts in one member, in the place of the one that is there.
    pub(crate) fn put(&mut self, name: MemberName, value: JsonValue<'a>) {
        self.set(name, value);
    }

    /// There are no more members.
    fn end(&mut self) {
        if !self.unknown.is_empty() {
            note_duplicates(self.prefix, self.unknown.iter().map(|name| &**name), &mut self.problems);
        }
    }

    /// The string under the first of `names` that has one.
    pub(crate) fn first_string(&self, names: &[MemberName]) -> Option<&str> {
        names.iter().find_map(|&name| self.string_of(self.values[name as usize]))
    }

    /// Notes when several of `names` are there and differ.
    pub(crate) fn compare(&mut self, names: &[MemberName]) {
        self.find(names);
    }

    pub(crate) fn problem(&mut self, name: &str, problem: impl Into<String>) {
        self.problems.entry(format!("{}{name}", self.prefix)).or_insert_with(|| problem.into());
    }

    /// The first of `names` that is there: the name and its aliases.
    #[inline]
    fn find(&mut self, names: &[MemberName]) -> Option<(MemberName, InlineValue<'a>)> {
        let values = names.iter().map(|&name| (name, self.values[name as usize]));
        let mut values = values.filter(|(_, value)| !matches!(value, InlineValue::Absent));
        let first = values.next()?;
        if let Some(second) = values.next() {
            self.note_spelling(first, second);
        }
        Some(first)
    }

    #[cold]
    fn note_spelling(&mut self, first: (MemberName, InlineValue<'a>), second: (MemberName, InlineValue<'a>)) {
        let is_same = match (first.1, second.1) {
            (InlineValue::Null, _) | (_, InlineValue::Null) => true,
            (one, other) => {
                self.string_of(one).is_some() && self.string_of(one) == self.string_of(other) || one == other
            }
        };
        if is_same {
            return;
        }
        self.mends.insert(Mend::Spelling);
        if self.is_strict {
            self.problem(second.0.as_str(), format!("Differs from {}", first.0.as_str()));
        }
    }

    fn string_of(&self, value: InlineValue<'a>) -> Option<&str> {
        match value {
            InlineValue::String(text) => Some(text),
            InlineValue::Large(place) => self.large.get(place)?.as_str(),
            _ => None,
        }
    }

    /// Takes the first of `names` that is there.
    #[inline]
    pub(crate) fn remove(&mut self, names: &[MemberName]) -> (&'static str, JsonValue<'a>) {
        let Some((name, value)) = self.find(names) else {
            return (names.first().map_or("", |name| name.as_str()), JsonValue::Absent);
        };
        let value = match value {
            InlineValue::Absent => JsonValue::Absent,
            InlineValue::Null => JsonValue::Null,
            InlineValue::Bool(value) => JsonValue::Bool(value),
            InlineValue::Int(value) => JsonValue::Int(value),
            InlineValue::Float(value) => JsonValue::Float(value),
            InlineValue::String(value) => JsonValue::String(value),
            InlineValue::Large(place) => std::mem::take(&mut self.large[place]),
        };
        (name.as_str(), value)
    }

    /// A string. `None` when it is absent, null or wrong; what is wrong is noted.
    #[inline]
    pub(crate) fn string(&mut self, names: &[MemberName], rule: StringRule) -> Option<Cow<'a, str>> {
        match self.find(names) {
            // Nearly every string, read where it stands.
            Some((_, InlineValue::String(text))) if rule.is_plainly_kept(text) && !may_begin_with_mark(text) => {
                Some(Cow::Borrowed(text))
            }
            None if !rule.required => None,
            _ => self.checked_string(names, rule),
        }
    }

    #[cold]
    fn checked_string(&mut self, names: &[MemberName], rule: StringRule) -> Option<Cow<'a, str>> {
        let (name, value) = self.remove(names);
        let has_nul = value.has_nul();
        let problem = match value.into_string().map(|text| self.without_mark(text)) {
            Ok(text) if rule.cut.is_some() && (has_nul || longer_than(&text, rule.max_chars)) => {
                let kept = text.chars().filter(|&c| c != '\0').take(rule.max_chars).collect();
                if has_nul {
                    self.mends.insert(Mend::Characters);
                }
                if longer_than(&text, rule.max_chars) {
                    self.mends.extend(rule.cut.map_or(Mends::default(), Mends::of));
                }
                return Some(Cow::Owned(kept));
            }
            Ok(_) if has_nul => "Must not contain NUL".to_owned(),
            Ok(text) if text.is_empty() && rule.required && rule.min_chars == 1 => "Is required".to_owned(),
            Ok(text) if shorter_than(&text, rule.min_chars) => {
                format!("{} too short (min {} characters)", rule.label, rule.min_chars)
            }
            Ok(text) if longer_than(&text, rule.max_chars) => {
                format!("{} too long (max {} characters)", rule.label, rule.max_chars)
            }
            Ok(text) => return Some(text),
            Err(JsonValue::Absent | JsonValue::Null) if rule.required => "Is required".to_owned(),
            Err(JsonValue::Absent | JsonValue::Null) => return None,
            Err(other) => format!("Must be a string, not {}", other.kind()),
        };
        self.problem(name, problem);
        None
    }

    /// `text` without byte order marks before it, which the lines of some files begin with.
    fn without_mark(&mut self, text: Cow<'a, str>) -> Cow<'a, str> {
        let kept = text.trim_start_matches('\u{feff}');
        if kept.len() == text.len() {
            return text;
        }
        self.mends.insert(Mend::Characters);
        Cow::Owned(kept.to_owned())
    }

    /// True or false; `false` when absent.
    pub(crate) fn flag(&mut self, name: MemberName) -> bool {
        match self.remove(&[name]).1 {
            JsonValue::Bool(value) => value,
            JsonValue::Absent | JsonValue::Null => false,
            other => {
                self.problem(name.as_str(), format!("Must be true or false, not {}", other.kind()));
                false
            }
        }
    }

    /// A number from `min` to `max`. `None` when it is absent, null or wrong, and when it is out of range, which costs nothing
    /// but the number.
    pub(crate) fn number(&mut self, name: MemberName, min: f64, max: f64) -> Option<f64> {
        let value = match self.remove(&[name]).1 {
            JsonValue::Int(value) => value as f64,
            JsonValue::Float(value) => value,
            JsonValue::Absent | JsonValue::Null => return None,
            other => {
                self.problem(name.as_str(), format!("Must be a number, not {}", other.kind()));
                return None;
            }
        };
        if (min..=max).contains(&value) {
            return Some(value);
        }
        self.mends.insert(Mend::Value);
        None
    }

    /// An object's members; empty when absent.
    pub(crate) fn object(&mut self, names: &[MemberName]) -> (&'static str, Vec<(Cow<'a, str>, JsonValue<'a>)>) {
        let (name, value) = self.remove(names);
        match value {
            JsonValue::Object(members) => return (name, members),
            JsonValue::Absent | JsonValue::Null => {}
            other => self.problem(name, format!("Must be an object, not {}", other.kind())),
        }
        (name, Vec::new())
    }
}

impl<'a> MemberSink<'a> for Members<'a, '_> {
    type Name = MemberName;

    #[inline]
    fn accept(&mut self, string: &'a str) -> Option<MemberName> {
        self.accept_any(string)
    }

    #[inline]
    fn set_string(&mut self, name: MemberName, string: &'a str) {
        self.values[name as usize] = InlineValue::String(string);
    }

    #[inline]
    fn set(&mut self, name: MemberName, value: JsonValue<'a>) {
        self.values[name as usize] = match value {
            JsonValue::Absent => InlineValue::Absent,
            JsonValue::Null => InlineValue::Null,
            JsonValue::Bool(value) => InlineValue::Bool(value),
            JsonValue::Int(value) => InlineValue::Int(value),
            JsonValue::Float(value) => InlineValue::Float(value),
            JsonValue::String(value) => InlineValue::String(value),
            JsonValue::Escaped(_) | JsonValue::Array(_) | JsonValue::Object(_) => {
                self.large.push(value);
                InlineValue::Large(self.large.len() - 1)
            }
        };
    }
}

/// Whether the first byte of `text` is that of a byte order mark.
fn may_begin_with_mark(text: &str) -> bool {
    text.as_bytes().first() == Some(&0xef)
}

/// Whether `text` has fewer than `chars` characters. A string has at least a fourth as many characters as bytes.
fn shorter_than(text: &str, chars: usize) -> bool {
    text.len() < chars || (text.len() < chars * 4 && text.chars().count() < chars)
}

/// Whether `text` has more than `chars` characters.
pub(crate) fn longer_than(text: &str, chars: usize) -> bool {
    text.len() > chars && text.chars().nth(chars).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse::parse;
    use crate::json::scan::tests::json;
    use crate::json::value::MaxDepth;
    use proptest::prelude::*;

    /// Hundreds of thousands of members, each there twice, are read like few. Sabotage: keep or note all of them.
    #[test]
    fn many_members_take_little_memory() {
        let many: String = (0..MEMBERS_MAX).map(|n| format!(r#""{n}":1,"{n}":1,"#)).collect();
        for name in ["a", "\\u0061"] {
            let body = format!(r#"{{"{name}":1,{many}"url":"/"}}"#);
            let JsonValue::Object(members) = parse(body.as_bytes(), 2, &mut Mends::default()).unwrap() else {
                panic!()
            };
            assert_eq!(members.len(), MEMBERS_MAX, "{name}");
            let mut members = Members::empty("");
            members.read(body.as_bytes(), 2).unwrap();
            assert_eq!((members.unknown.len(), members.problems.len()), (MEMBERS_MAX, MEMBERS_MAX / 2 - 1), "{name}");
            assert_eq!(members.remove(&[MemberName::Url]).1, JsonValue::Absent, "what is behind them is not looked at");
        }
    }

    #[test]
    fn members_given_twice_are_noted() {
        for extra in [0, 40] {
            let more: String = (0..extra).map(|i| format!(r#""x{i}":1,"#)).collect();
            let body = format!(r#"{{{more}"a":1,"b":2,"a":3}}"#);
            let JsonValue::Object(members) = parse(body.as_bytes(), 1, &mut Mends::default()).unwrap() else {
                panic!()
            };
            let problems = Members::new("p.", members).problems;
            assert_eq!(problems.into_keys().collect::<Vec<_>>(), ["p.a"]);
        }
    }

    proptest! {
        #[test]
        fn members_are_those_of_the_object(
            members in prop::collection::vec((r#""(url|title|code|tracking_code|x|y)(\\\\n)?"|x"#, json()), 0..9),
            depth in 1u8..4,
            tail in "|}|,",
        ) {
            let members: Vec<_> = members.into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
            let text = format!("{{{}}}{tail}", members.join(","));
            let mut read = Members::empty("p.");
            match (read.read(text.as_bytes(), depth), MaxDepth(depth).read(&text)) {
                (Ok(()), Some(JsonValue::Object(object))) => prop_assert_eq!(read, Members::new("p.", object)),
                (Err(_), None) => {}
                (Ok(()), None) if read.mends != Mends::default() => {}
                other => prop_assert!(false, "{:?}", other),
            }
        }

        #[test]
        fn lengths_count_characters(text in "[aé€😀]{0,12}", limit in 0usize..14) {
            prop_assert_eq!(longer_than(&text, limit), text.chars().count() > limit);
            prop_assert_eq!(shorter_than(&text, limit), text.chars().count() < limit);
        }
    }
}
