//! No input of a public function panics: rows of any JSON, headers that anybody sends, and tables of events that their maker
//! left with columns of different lengths.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::error::Error;

use proptest::prelude::*;
use zenovay_domain::{Dimension, Event, EventKind, SessionId, Timestamp, VisitorId};
use zenovay_export::serde_json::{Value, json};
use zenovay_export::{ByteRange, PART_COLUMNS, Sheet, Traits, parquet_part, sha256};
use zenovay_query::EventTable;

/// Any string, often one that means something to a spreadsheet or to JSON.
fn string() -> impl Strategy<Value = String> {
    prop_oneof!["(.|\\n|\\x00){0,20}", "[=+@,;\"\\r\\n\\t＝-]{0,6}", "[{\"user_id:}1]{0,20}", Just("x".repeat(70_000))]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        any::<i64>().prop_map(Value::from),
        string().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(string(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn table() -> impl Strategy<Value = EventTable> {
    let event = (any::<i64>(), prop::sample::select(EventKind::ALL), any::<(u64, u64)>(), string(), string());
    prop::collection::vec(event, 0..5).prop_map(|events| {
        let mut table = EventTable::default();
        for (at, kind, (visitor, session), path, properties) in events {
            let mut event = Event::new(kind, Timestamp::from_millis(at), VisitorId(visitor), SessionId(session));
            event.dimensions.set(Dimension::Path, &path);
            event.dimensions.set(Dimension::Properties, &properties);
            table.push(&event);
        }
        table
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_row_is_one_line(columns in prop::collection::vec(string(), 0..4), row in json_value(), same in any::<bool>()) {
        let name = columns.first().cloned().unwrap_or_default();
        let row = if same { Value::Object([(name, row)].into_iter().collect()) } else { row };
        let (csv, ndjson) = (Sheet::csv(columns), Sheet::ndjson());
        let mut lines = csv.head();
        csv.append(&row, &mut lines);
        prop_assert!(lines.ends_with(b"\r\n") && String::from_utf8(lines).is_ok());
        let mut lines = ndjson.head();
        ndjson.append(&row, &mut lines);
        prop_assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 1);
    }

    /// Sabotage: end a range with `last + 1`.
    #[test]
    fn any_header_asks_for_what_the_file_has(header in string(), units in "bytes=[0-9]{0,22}-[0-9]{0,22}", length: u64) {
        for header in [header, units] {
            if let ByteRange::Part(part) = ByteRange::parse(&header, length) {
                prop_assert!(part.start < part.end && part.end <= length);
            }
        }
        prop_assert_eq!(sha256(&length.to_le_bytes()).len(), 64);
    }

    #[test]
    fn any_table_is_a_part_or_refused(
        table in table(), column in 0..5usize, is_short in any::<bool>(), code in prop::option::of(any::<u32>()),
    ) {
        let mut events = table.clone();
        if is_short {
            let short = table.len().saturating_sub(1);
            match column {
                0 => events.at.truncate(short),
                1 => events.kind.truncate(short),
                2 => events.visitor.truncate(short),
                3 => events.session.truncate(short),
                _ => events.columns[Dimension::Properties as usize].codes.truncate(short),
            }
        }
        if let (Some(code), Some(first)) = (code, events.columns[Dimension::Path as usize].codes.first_mut()) {
            *first = code;
        }
        let is_uneven = is_short && column < 4 && !table.is_empty();
        for traits in [Traits::LeftOut, Traits::Included] {
            match parquet_part(&events, traits) {
                Ok(bytes) => prop_assert!(!is_uneven && bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1")),
                Err(error) => prop_assert!(is_uneven && error.source().is_some(), "{error}"),
            }
        }
    }
}

#[test]
fn every_column_says_what_it_is() {
    assert!(PART_COLUMNS.iter().all(|column| !column.name.is_empty() && !column.description.is_empty()));
}
