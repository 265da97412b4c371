//! How a table of events is written with serde.

use std::fmt::Display;

use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};
use zenovay_domain::Dimension;

use crate::EventTable;

/// A list of rows: `at`, `kind`, `visitor`, `session`, and each string that is not empty by the name of its dimension.
impl Serialize for EventTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.len()))?;
        for row in 0..self.len() {
            rows.serialize_element(&EventRow { table: self, row })?;
        }
        rows.end()
    }
}

struct EventRow<'a> {
    table: &'a EventTable,
    row: usize,
}

impl Serialize for EventRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { table, row } = *self;
        let mut members = serializer.serialize_map(None)?;
        members.serialize_entry("at", &table.at.get(row))?;
        members.serialize_entry("kind", &table.kind.get(row).map(|kind| kind.as_str()))?;
        members.serialize_entry("visitor", &table.visitor.get(row).map(said))?;
        members.serialize_entry("session", &table.session.get(row).map(said))?;
        for (dimension, column) in Dimension::ALL.iter().zip(&table.columns) {
            if let Some(string) = column.get(row).filter(|string| !string.is_empty()) {
                members.serialize_entry(dimension.as_str(), string)?;
            }
        }
        members.end()
    }
}

fn said(id: &impl Display) -> String {
    id.to_string()
}
