//! Reading JSON objects leniently, so that every wrong field can be named at once. A value of the wrong type is not an
//! error here; the checks that follow name it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::batch::BATCH_MAX_EVENTS;
use crate::mend::mend;
use crate::names::Known;
use crate::outcome::{Mend, Mends};
use crate::scan::{scan, scan_members};
use crate::{Refusal, RefusalReason};

/// What is wrong with each field, by its name.
pub(crate) type Problems = BTreeMap<String, String>;

/// One value of a JSON object. Kept small, and apart what is on the heap: a body has many.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Raw<'a> {
    /// The member is not there.
    #[default]
    Absent,
    Null,
    Bool(bool),
    Int(i64),
    /// Any number that is no `i64`.
    Float(f64),
    /// A text as it stands in the body.
    Text(&'a str),
    /// A text that has escapes in the body.
    Escaped(Box<str>),
    Array(Box<[Raw<'a>]>),
    Object(Vec<(Cow<'a, str>, Raw<'a>)>),
}

impl<'a> From<Cow<'a, str>> for Raw<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::Text(text),
            Cow::Owned(text) => Self::Escaped(text.into()),
        }
    }
}

impl<'a> Raw<'a> {
    /// The text that it is, else itself.
    fn into_text(self) -> Result<Cow<'a, str>, Self> {
        match self {
            Self::Text(text) => Ok(Cow::Borrowed(text)),
            Self::Escaped(text) => Ok(Cow::Owned(text.into())),
            other => Err(other),
        }
    }

    /// A copy that needs no body.
    fn into_owned<'b>(self) -> Raw<'b> {
        match self {
            Self::Absent => Raw::Absent,
            Self::Null => Raw::Null,
            Self::Bool(value) => Raw::Bool(value),
            Self::Int(value) => Raw::Int(value),
            Self::Float(value) => Raw::Float(value),
            Self::Text(text) => Raw::Escaped(text.into()),
            Self::Escaped(text) => Raw::Escaped(text),
            Self::Array(items) => Raw::Array(items.into_iter().map(Raw::into_owned).collect()),
            Self::Object(members) => Raw::Object(
                members.into_iter().map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned())).collect(),
            ),
        }
    }

    /// The text that it is.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Escaped(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is a text with a NUL: JSON has control characters as escapes only.
    pub(crate) fn has_nul(&self) -> bool {
        matches!(self, Self::Escaped(text) if text.contains('\0'))
    }

    /// The type in words.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Absent => "nothing",
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) | Self::Escaped(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

/// How many items of an array are kept: one more than any array that is read may have, so that too many are noticed.
pub(crate) const ITEMS_MAX: usize = BATCH_MAX_EVENTS + 1;

/// How many members of an object are kept: twenty times as many as are used. The names of more are not noted, not even
/// when they are given twice: a batch has room for 700,000.
pub(crate) const MEMBERS_MAX: usize = 1_000;

/// Parses `body` as one JSON value, in which `depth` levels of arrays and objects are kept; what is nested deeper is read
/// and left out, as are items of arrays beyond [`ITEMS_MAX`] and members of objects beyond [`MEMBERS_MAX`].
/// What had to be mended for that is added to `mends`.
pub(crate) fn parse<'a>(body: &'a [u8], depth: u8, mends: &mut Mends) -> Result<Raw<'a>, Refusal> {
    let text = utf8(body, mends)?;
    if let Some(raw) = scan(text, depth) {
        // For the fuzz targets.
        debug_assert_eq!(Keep(depth).read(text).as_ref(), Some(&raw));
        return Ok(raw);
    }
    parse_any(text, depth, mends)
}

fn invalid(message: String) -> Refusal {
    Refusal::new(RefusalReason::InvalidJson, message)
}

/// `body` as text without a byte order mark.
fn utf8<'a>(body: &'a [u8], mends: &mut Mends) -> Result<&'a str, Refusal> {
    let text = simdutf8::basic::from_utf8(body).map_err(|_| {
        let valid = std::str::from_utf8(body).map_or_else(|error| error.valid_up_to(), str::len);
        invalid(format!("The body is not UTF-8: byte {valid} is wrong"))
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => {
            mends.insert(Mend::Characters);
            rest
        }
        None => text,
    })
}

/// [`parse`] for any text.
fn parse_any<'a>(text: &'a str, depth: u8, mends: &mut Mends) -> Result<Raw<'a>, Refusal> {
    let error = match Keep(depth).deserialize_all(text) {
        Ok(raw) => return Ok(raw),
        Err(error) => error,
    };
    // One value that cannot be read must not take the whole body along.
    if let Some(mended) = mend(text)
        && let Some(raw) = Keep(depth).read(&mended)
    {
        mends.insert(Mend::Characters);
        return Ok(raw.into_owned());
    }
    Err(invalid(match error.classify() {
        serde_json::error::Category::Eof if text.trim().is_empty() => {
            "The body is empty; send a JSON object".to_owned()
        }
        serde_json::error::Category::Eof => format!("The JSON ends too early: {error}"),
        _ if error.to_string().starts_with("recursion limit") => "The JSON is nested too deep".to_owned(),
        _ => format!("The body is not valid JSON: {error}"),
    }))
}

/// Keeps this many levels of arrays and objects. serde_json itself refuses more than 127 levels, before recursion matters.
#[derive(Clone, Copy)]
pub(crate) struct Keep(pub(crate) u8);

impl Keep {
    fn deserialize_all(self, text: &str) -> Result<Raw<'_>, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        self.deserialize(&mut deserializer).and_then(|raw| deserializer.end().map(|()| raw))
    }

    /// `text` as `serde_json` reads it.
    pub(crate) fn read(self, text: &str) -> Option<Raw<'_>> {
        self.deserialize_all(text).ok()
    }
}

impl<'de> DeserializeSeed<'de> for Keep {
    type Value = Raw<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keep {
    type Value = Raw<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Raw<'de>, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw<'de>, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw<'de>, E> {
        Ok(Raw::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw<'de>, E> {
        Ok(i64::try_from(value).map_or(Raw::Float(value as f64), Raw::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw<'de>, E> {
        Ok(Raw::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Raw<'de>, E> {
        Ok(Raw::Text(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw<'de>, E> {
        Ok(Raw::Escaped(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw<'de>, A::Error> {
        let mut kept = Vec::new();
        let inner = Self(self.0.saturating_sub(1));
        while let Some(item) = items.next_element_seed(inner)? {
            if self.0 > 0 && kept.len() < ITEMS_MAX {
                kept.push(item);
            }
        }
        Ok(Raw::Array(kept.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Raw<'de>, A::Error> {
        // Grows with its members: a body may have a million empty objects.
        let mut kept = Vec::new();
        let inner = Self(self.0.saturating_sub(1));
        while let Some(name) = members.next_key_seed(Self(0))? {
            let Ok(name) = name.into_text() else { return Err(A::Error::custom("member names are strings")) };
            let value = members.next_value_seed(inner)?;
            if self.0 > 0 && kept.len() < MEMBERS_MAX {
                kept.push((name, value));
            }
        }
        Ok(Raw::Object(kept))
    }
}

/// Notes members that are there twice, under `prefix` and their name (SECURITY I8).
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

/// A [`Raw`] that can be copied, so that nothing needs to be done when it goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Plain<'a> {
    Absent,
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    /// What is on the heap, by its place among the members' [`Members::large`].
    Large(usize),
}

/// The members of one object by their names, as far as these are [`Known`], and what is wrong with them. Where it is, it
/// stays: it has 1.3 KB.
#[derive(Debug, PartialEq)]
pub(crate) struct Members<'a, 'p> {
    prefix: &'p str,
    values: [Plain<'a>; Known::COUNT],
    large: Vec<Raw<'a>>,
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

/// The rule of a text member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextRule {
    /// How messages call it.
    pub(crate) label: &'static str,
    pub(crate) required: bool,
    pub(crate) min_chars: usize,
    pub(crate) max_chars: usize,
    /// What it is to cut a text that is too long; `None`: it is refused.
    pub(crate) cut: Option<Mend>,
}

impl TextRule {
    /// Whether a text without NUL keeps the rule by its bytes: it has no more characters than those, and in ASCII as many.
    fn is_plainly_kept(&self, text: &str) -> bool {
        (self.min_chars..=self.max_chars).contains(&text.len()) && (self.min_chars <= 1 || text.is_ascii())
    }
}

impl<'a, 'p> Members<'a, 'p> {
    /// No members yet. `prefix` stands before their names in messages.
    pub(crate) fn empty(prefix: &'p str) -> Self {
        let (values, large) = ([Plain::Absent; Known::COUNT], Vec::new());
        let (unknown, mends, problems) = (Vec::new(), Mends::default(), Problems::new());
        Self { prefix, values, large, unknown, count: 0, is_strict: false, mends, problems }
    }

    /// Takes two spellings of one field that differ for wrong.
    pub(crate) fn strict(mut self) -> Self {
        self.is_strict = true;
        self
    }

    /// The members of an object that is read already.
    pub(crate) fn new(prefix: &'p str, object: Vec<(Cow<'a, str>, Raw<'a>)>) -> Self {
        let mut members = Self::empty(prefix);
        members.fill(object);
        members
    }

    fn fill(&mut self, object: Vec<(Cow<'a, str>, Raw<'a>)>) {
        for (name, value) in object {
            if let Some(name) = self.wants(name) {
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

    /// [`Members::read`] for any text.
    #[cold]
    fn read_any(prefix: &'p str, text: &'a str, depth: u8, mends: &mut Mends) -> Result<Self, Refusal> {
        match parse_any(text, depth, mends)? {
            Raw::Object(object) => Ok(Self::new(prefix, object)),
            other => Err(invalid(format!("The body must be a JSON object, not {}", other.kind()))),
        }
    }

    /// The name `text` when its value is wanted: not when nobody asks for it or it was there before, which is noted, nor
    /// behind [`MEMBERS_MAX`] others.
    #[inline]
    pub(crate) fn wants(&mut self, text: impl Into<Cow<'a, str>> + AsRef<str>) -> Option<Known> {
        if self.count == MEMBERS_MAX {
            return None;
        }
        self.count += 1;
        let Some(name) = Known::of(text.as_ref()) else {
            self.unknown.push(text.into());
            return None;
        };
        if !matches!(self.values[name as usize], Plain::Absent) {
            note_duplicate(self.prefix, name.as_str(), &mut self.problems);
            return None;
        }
        Some(name)
    }

    #[inline]
    pub(crate) fn set_text(&mut self, name: Known, text: &'a str) {
        self.values[name as usize] = Plain::Text(text);
    }

    #[inline]
    pub(crate) fn set(&mut self, name: Known, value: Raw<'a>) {
        self.values[name as usize] = match value {
            Raw::Absent => Plain::Absent,
            Raw::Null => Plain::Null,
            Raw::Bool(value) => Plain::Bool(value),
            Raw::Int(value) => Plain::Int(value),
            Raw::Float(value) => Plain::Float(value),
            Raw::Text(value) => Plain::Text(value),
            Raw::Escaped(_) | Raw::Array(_) | Raw::Object(_) => {
                self.large.push(value);
                Plain::Large(self.large.len() - 1)
            }
        };
    }

    /// There are no more members.
    fn end(&mut self) {
        if !self.unknown.is_empty() {
            note_duplicates(self.prefix, self.unknown.iter().map(|name| &**name), &mut self.problems);
        }
    }

    /// The text under the first of `names` that has one.
    pub(crate) fn first_text(&self, names: &[Known]) -> Option<&str> {
        names.iter().find_map(|&name| self.text_of(self.values[name as usize]))
    }

    /// Notes when several of `names` are there and differ.
    pub(crate) fn compare(&mut self, names: &[Known]) {
        self.find(names);
    }

    pub(crate) fn problem(&mut self, name: &str, problem: impl Into<String>) {
        self.problems.entry(format!("{}{name}", self.prefix)).or_insert_with(|| problem.into());
    }

    /// The first of `names` that is there: the name and its aliases.
    #[inline]
    fn find(&mut self, names: &[Known]) -> Option<(Known, Plain<'a>)> {
        let values = names.iter().map(|&name| (name, self.values[name as usize]));
        let mut values = values.filter(|(_, value)| !matches!(value, Plain::Absent));
        let first = values.next()?;
        if let Some(second) = values.next() {
            self.note_spelling(first, second);
        }
        Some(first)
    }

    #[cold]
    fn note_spelling(&mut self, first: (Known, Plain<'a>), second: (Known, Plain<'a>)) {
        let is_same = match (first.1, second.1) {
            (Plain::Null, _) | (_, Plain::Null) => true,
            (one, other) => self.text_of(one).is_some() && self.text_of(one) == self.text_of(other) || one == other,
        };
        if is_same {
            return;
        }
        self.mends.insert(Mend::Spelling);
        if self.is_strict {
            self.problem(second.0.as_str(), format!("Differs from {}", first.0.as_str()));
        }
    }

    fn text_of(&self, value: Plain<'a>) -> Option<&str> {
        match value {
            Plain::Text(text) => Some(text),
            Plain::Large(place) => self.large.get(place)?.as_text(),
            _ => None,
        }
    }

    /// Takes the first of `names` that is there.
    #[inline]
    pub(crate) fn take(&mut self, names: &[Known]) -> (&'static str, Raw<'a>) {
        let Some((name, value)) = self.find(names) else {
            return (names.first().map_or("", |name| name.as_str()), Raw::Absent);
        };
        let value = match value {
            Plain::Absent => Raw::Absent,
            Plain::Null => Raw::Null,
            Plain::Bool(value) => Raw::Bool(value),
            Plain::Int(value) => Raw::Int(value),
            Plain::Float(value) => Raw::Float(value),
            Plain::Text(value) => Raw::Text(value),
            Plain::Large(place) => std::mem::take(&mut self.large[place]),
        };
        (name.as_str(), value)
    }

    /// A text. `None` when it is absent, null or wrong; what is wrong is noted.
    #[inline]
    pub(crate) fn text(&mut self, names: &[Known], rule: TextRule) -> Option<Cow<'a, str>> {
        match self.find(names) {
            // Nearly every text, read where it stands.
            Some((_, Plain::Text(text))) if rule.is_plainly_kept(text) && !may_begin_with_mark(text) => {
                Some(Cow::Borrowed(text))
            }
            None if !rule.required => None,
            _ => self.checked_text(names, rule),
        }
    }

    #[cold]
    fn checked_text(&mut self, names: &[Known], rule: TextRule) -> Option<Cow<'a, str>> {
        let (name, value) = self.take(names);
        let has_nul = value.has_nul();
        let problem = match value.into_text().map(|text| self.without_mark(text)) {
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
            Err(Raw::Absent | Raw::Null) if rule.required => "Is required".to_owned(),
            Err(Raw::Absent | Raw::Null) => return None,
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
    pub(crate) fn flag(&mut self, name: Known) -> bool {
        match self.take(&[name]).1 {
            Raw::Bool(value) => value,
            Raw::Absent | Raw::Null => false,
            other => {
                self.problem(name.as_str(), format!("Must be true or false, not {}", other.kind()));
                false
            }
        }
    }

    /// A number from `min` to `max`. `None` when it is absent, null or wrong, and when it is out of range, which costs nothing
    /// but the number.
    pub(crate) fn number(&mut self, name: Known, min: f64, max: f64) -> Option<f64> {
        let value = match self.take(&[name]).1 {
            Raw::Int(value) => value as f64,
            Raw::Float(value) => value,
            Raw::Absent | Raw::Null => return None,
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
    pub(crate) fn object(&mut self, names: &[Known]) -> (&'static str, Vec<(Cow<'a, str>, Raw<'a>)>) {
        let (name, value) = self.take(names);
        match value {
            Raw::Object(members) => return (name, members),
            Raw::Absent | Raw::Null => {}
            other => self.problem(name, format!("Must be an object, not {}", other.kind())),
        }
        (name, Vec::new())
    }
}

/// Whether the first byte of `text` is that of a byte order mark.
fn may_begin_with_mark(text: &str) -> bool {
    text.as_bytes().first() == Some(&0xef)
}

/// Whether `text` has fewer than `chars` characters. A text has at least a fourth as many characters as bytes.
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
    use proptest::prelude::*;

    fn message(body: &[u8]) -> String {
        let refusal = parse(body, 2, &mut Mends::default()).unwrap_err();
        assert_eq!(refusal.reason, RefusalReason::InvalidJson);
        refusal.message
    }

    /// S4 "Bad Request": a trailing comma. SECURITY I6, I7, I10.
    #[test]
    fn what_is_not_json_is_told_in_words() {
        assert_eq!(
            message(br#"{ "name": "Test", }"#),
            "The body is not valid JSON: trailing comma at line 1 column 19"
        );
        assert_eq!(message(b""), "The body is empty; send a JSON object");
        assert_eq!(message(b"{\"a\":\"\xff\"}"), "The body is not UTF-8: byte 6 is wrong");
        assert!(message(br#"{"url":"https://exa"#).starts_with("The JSON ends too early"));
        assert!(message(br#"{"a":"\ud80"}"#).contains("not valid JSON"));
        assert!(message(b"{} {}").contains("trailing characters"));
        for open in ["[", "{\"a\":"] {
            assert_eq!(message(open.repeat(100_000).as_bytes()), "The JSON is nested too deep");
        }
    }

    /// A batch of 4 MB has room for more than a million empty objects; they must not take a gigabyte.
    #[test]
    fn small_values_take_little_memory() {
        let many = "{},".repeat(2 * ITEMS_MAX);
        for name in ["a", "\\u0061"] {
            let body = format!(r#"{{"{name}":[{many}{{}}]}}"#);
            let Raw::Object(members) = parse(body.as_bytes(), 3, &mut Mends::default()).unwrap() else { panic!() };
            let Raw::Array(items) = &members[0].1 else { panic!() };
            assert_eq!(items.len(), ITEMS_MAX);
            assert!(items.iter().all(|item| matches!(item, Raw::Object(members) if members.capacity() == 0)), "{name}");
        }
    }

    /// Hundreds of thousands of members, each there twice, are read like few. Sabotage: keep or note all of them.
    #[test]
    fn many_members_take_little_memory() {
        let many: String = (0..MEMBERS_MAX).map(|n| format!(r#""{n}":1,"{n}":1,"#)).collect();
        for name in ["a", "\\u0061"] {
            let body = format!(r#"{{"{name}":1,{many}"url":"/"}}"#);
            let Raw::Object(members) = parse(body.as_bytes(), 2, &mut Mends::default()).unwrap() else { panic!() };
            assert_eq!(members.len(), MEMBERS_MAX, "{name}");
            let mut members = Members::empty("");
            members.read(body.as_bytes(), 2).unwrap();
            assert_eq!((members.unknown.len(), members.problems.len()), (MEMBERS_MAX, MEMBERS_MAX / 2 - 1), "{name}");
            assert_eq!(members.take(&[Known::Url]).1, Raw::Absent, "what is behind them is not looked at");
        }
    }

    #[test]
    fn members_given_twice_are_noted() {
        for extra in [0, 40] {
            let more: String = (0..extra).map(|i| format!(r#""x{i}":1,"#)).collect();
            let body = format!(r#"{{{more}"a":1,"b":2,"a":3}}"#);
            let Raw::Object(members) = parse(body.as_bytes(), 1, &mut Mends::default()).unwrap() else { panic!() };
            let problems = Members::new("p.", members).problems;
            assert_eq!(problems.into_keys().collect::<Vec<_>>(), ["p.a"]);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&body, 2, &mut Mends::default());
        }

        #[test]
        fn lengths_count_characters(text in "[aé€😀]{0,12}", limit in 0usize..14) {
            prop_assert_eq!(longer_than(&text, limit), text.chars().count() > limit);
            prop_assert_eq!(shorter_than(&text, limit), text.chars().count() < limit);
        }
    }
}
