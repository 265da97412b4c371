//! What a dashboard shows, as files.

use serde_json::{Map, Value};
use zenovay_domain::{Timestamp, Website};
use zenovay_query::Filter;

use super::view::{View, ViewParams};
use crate::http::export::sheets::{Format, SheetName};
use crate::http::params::{Params, QueryParams};

/// A view, and whether it is wanted as a file.
#[derive(Debug, Clone)]
pub struct FileParams {
    /// The view.
    pub view: ViewParams,
    /// The file.
    pub format: Option<Format>,
}

impl QueryParams for FileParams {
    fn read(params: &mut Params, now: Timestamp) -> Self {
        Self { view: ViewParams::read(params, now), format: Format::read_file(params) }
    }
}

/// The name of a file: it says when the rows are of a part of what happened only.
pub fn sheet_name(website: &Website, list: &str, view: &View) -> SheetName {
    let is_filtered = view.filters.goals.is_some() || view.filters.rest != Filter::default();
    SheetName::of(website, &format!("{list}{}", if is_filtered { "_filtered" } else { "" }), view.range)
}

/// One flat object of the members of several, each with what its names begin with. What is not an object has no members.
pub fn flat(parts: &[(&str, &Value)]) -> Value {
    let mut members = Map::new();
    for (prefix, part) in parts {
        let part = part.as_object().into_iter().flatten();
        members.extend(part.map(|(name, value)| (format!("{prefix}{name}"), value.clone())));
    }
    Value::Object(members)
}

/// The columns of a file: those of `parts`, and if something is compared with those of `numbers` once more.
pub fn columns(parts: &[&[&str]], numbers: &[&str], compares: bool) -> Vec<String> {
    let mut columns: Vec<String> = parts.concat().into_iter().map(str::to_owned).collect();
    if compares {
        columns.extend(numbers.iter().map(|name| format!("before_{name}")));
    }
    columns
}
