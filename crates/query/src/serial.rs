//! How questions and answers are written with serde, where that is not what derive makes of them: by the names that they have
//! everywhere else.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zenovay_domain::{EventKind, Timestamp, VisitorId};

/// An [`EventKind`] by its name.
pub(crate) mod kind {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(kind: &EventKind, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(kind.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EventKind, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = EventKind::ALL.iter().find(|kind| kind.as_str() == name);
        known.copied().ok_or_else(|| D::Error::custom(format_args!("{name:?} is not a kind of event")))
    }
}

/// A [`VisitorId`] as everywhere outside: 16 hexadecimal digits.
pub(crate) mod visitor {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(visitor: &VisitorId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(visitor)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<VisitorId, D::Error> {
        let digits = String::deserialize(deserializer)?;
        let is_hex = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = u64::from_str_radix(&digits, 16).ok().filter(|_| is_hex);
        id.map(VisitorId).ok_or_else(|| D::Error::custom("a visitor has 16 hexadecimal digits"))
    }
}

/// A place in a list of visitors.
pub(crate) mod place {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Place {
        visited_at: Timestamp,
        #[serde(with = "visitor")]
        visitor: VisitorId,
    }

    pub(crate) fn serialize<S: Serializer>(
        place: &Option<(Timestamp, VisitorId)>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        place.map(|(visited_at, visitor)| Place { visited_at, visitor }).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<(Timestamp, VisitorId)>, D::Error> {
        let place: Option<Place> = Deserialize::deserialize(deserializer)?;
        Ok(place.map(|place| (place.visited_at, place.visitor)))
    }
}

/// A limit that is not there when there is none.
pub(crate) fn unlimited() -> usize {
    usize::MAX
}

/// What is so when nothing is said.
pub(crate) fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
pub(crate) fn is_unlimited(limit: &usize) -> bool {
    *limit == usize::MAX
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}
