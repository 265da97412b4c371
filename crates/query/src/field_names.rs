//! Fields by their names.

use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Field;

/// What the name of a [`Field::Property`] begins with.
const PROPERTY: &str = "props:";

impl Field {
    /// The name in questions: that of the dimension, `entry_page`, `exit_page`, or `props:` and the name of the property.
    pub fn name(&self) -> String {
        match self {
            Self::Dimension(dimension) => dimension.as_str().to_owned(),
            Self::EntryPage => "entry_page".to_owned(),
            Self::ExitPage => "exit_page".to_owned(),
            Self::Property(name) => format!("{PROPERTY}{name}"),
        }
    }
}

/// A string that does not name a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not the name of a field")]
#[non_exhaustive]
pub struct UnknownField {
    /// The string.
    pub name: String,
}

impl FromStr for Field {
    type Err = UnknownField;

    fn from_str(name: &str) -> Result<Self, UnknownField> {
        match name {
            "entry_page" => Ok(Self::EntryPage),
            "exit_page" => Ok(Self::ExitPage),
            _ => match name.strip_prefix(PROPERTY) {
                Some(property) => Ok(Self::Property(property.to_owned())),
                None => match name.parse() {
                    Ok(dimension) => Ok(Self::Dimension(dimension)),
                    Err(_) => Err(UnknownField { name: name.to_owned() }),
                },
            },
        }
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
