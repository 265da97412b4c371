//! A JSON value, and how `serde_json` makes one.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// One value of a JSON object. Kept small, and apart what is on the heap: a body has many.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum JsonValue<'a> {
    /// The member is not there.
    #[default]
    Absent,
    Null,
    Bool(bool),
    Int(i64),
    /// Any number that is no `i64`.
    Float(f64),
    /// A string as it stands in the body.
    String(&'a str),
    /// A string that has escapes in the body.
    Escaped(Box<str>),
    Array(Box<[JsonValue<'a>]>),
    Object(Vec<(Cow<'a, str>, JsonValue<'a>)>),
}

impl<'a> From<Cow<'a, str>> for JsonValue<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::String(text),
            Cow::Owned(text) => Self::Escaped(text.into()),
        }
    }
}

impl<'a> JsonValue<'a> {
    /// The string that it is, else itself.
    pub(super) fn into_string(self) -> Result<Cow<'a, str>, Self> {
        match self {
            Self::String(text) => Ok(Cow::Borrowed(text)),
            Self::Escaped(text) => Ok(Cow::Owned(text.into())),
            other => Err(other),
        }
    }

    /// A copy that needs no body.
    pub(super) fn into_owned<'b>(self) -> JsonValue<'b> {
        match self {
            Self::Absent => JsonValue::Absent,
            Self::Null => JsonValue::Null,
            Self::Bool(value) => JsonValue::Bool(value),
            Self::Int(value) => JsonValue::Int(value),
            Self::Float(value) => JsonValue::Float(value),
            Self::String(text) => JsonValue::Escaped(text.into()),
            Self::Escaped(text) => JsonValue::Escaped(text),
            Self::Array(items) => JsonValue::Array(items.into_iter().map(JsonValue::into_owned).collect()),
            Self::Object(members) => JsonValue::Object(
                members.into_iter().map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned())).collect(),
            ),
        }
    }

    /// The string that it is.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            Self::Escaped(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is a string with a NUL: JSON has control characters as escapes only.
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
            Self::String(_) | Self::Escaped(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

/// How many items of an array are kept: one more than any array that is read may have, so that too many are noticed.
pub(crate) const ITEMS_MAX: usize = 1_001;

/// How many members of an object are kept: twenty times as many as are used. The names of more are not noted, not even
/// when they are given twice: a batch has room for 700,000.
pub(crate) const MEMBERS_MAX: usize = 1_000;

/// Keeps this many levels of arrays and objects. serde_json itself refuses more than 127 levels, before recursion matters.
#[derive(Clone, Copy)]
pub(crate) struct MaxDepth(pub(crate) u8);

impl MaxDepth {
    pub(super) fn deserialize_all(self, text: &str) -> Result<JsonValue<'_>, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        self.deserialize(&mut deserializer).and_then(|raw| deserializer.end().map(|()| raw))
    }

    /// `text` as `serde_json` reads it.
    pub(crate) fn read(self, text: &str) -> Option<JsonValue<'_>> {
        self.deserialize_all(text).ok()
    }
}

impl<'de> DeserializeSeed<'de> for MaxDepth {
    type Value = JsonValue<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<JsonValue<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MaxDepth {
    type Value = JsonValue<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<JsonValue<'de>, E> {
        Ok(JsonValue::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<JsonValue<'de>, E> {
        Ok(JsonValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<JsonValue<'de>, E> {
        Ok(JsonValue::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<JsonValue<'de>, E> {
        Ok(i64::try_from(value).map_or(JsonValue::Float(value as f64), JsonValue::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<JsonValue<'de>, E> {
        Ok(JsonValue::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<JsonValue<'de>, E> {
        Ok(JsonValue::String(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<JsonValue<'de>, E> {
        Ok(JsonValue::Escaped(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<JsonValue<'de>, A::Error> {
        let mut kept = Vec::new();
        let inner = Self(self.0.saturating_sub(1));
        while let Some(item) = items.next_element_seed(inner)? {
            if self.0 > 0 && kept.len() < ITEMS_MAX {
                kept.push(item);
            }
        }
        Ok(JsonValue::Array(kept.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<JsonValue<'de>, A::Error> {
        // Grows with its members: a body may have a million empty objects.
        let mut kept = Vec::new();
        let inner = Self(self.0.saturating_sub(1));
        while let Some(name) = members.next_key_seed(Self(0))? {
            let Ok(name) = name.into_string() else { return Err(A::Error::custom("member names are strings")) };
            let value = members.next_value_seed(inner)?;
            if self.0 > 0 && kept.len() < MEMBERS_MAX {
                kept.push((name, value));
            }
        }
        Ok(JsonValue::Object(kept))
    }
}
