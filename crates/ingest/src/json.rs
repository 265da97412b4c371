//! Bodies as JSON: `parse` and `members` read them, with `scan` in front of `serde_json`.

mod members;
mod names;
mod parse;
mod scan;
mod value;

pub(crate) use members::{Members, Problems, StringRule, longer_than, note_duplicates};
pub(crate) use names::MemberName;
pub(crate) use parse::parse;
pub(crate) use value::{ITEMS_MAX, JsonValue};
