//! Events as a Parquet file.

use std::sync::Arc;

use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};
use serde_json::{Map, Value};
use zenovay_domain::{Dimension, EventKind};
use zenovay_query::EventTable;

/// Whether what people told about themselves is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "in or out")]
pub enum Traits {
    /// It is left out: the properties of events that name a person.
    LeftOut,
    /// It is there.
    Included,
}

/// Why a part was not written.
#[derive(Debug, thiserror::Error)]
#[error("the Parquet writer failed")]
pub struct PartError(#[source] ParquetError);

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColumnKind {
    /// An instant: milliseconds since 1970, in UTC.
    Instant,
    /// A string that is always there.
    String,
    /// A string, or nothing.
    OptionalString,
}

/// A column of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartColumn {
    /// Its name.
    pub name: &'static str,
    /// What its values are.
    pub kind: ColumnKind,
    /// What they mean.
    pub description: &'static str,
    source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    At,
    Kind,
    Visitor,
    Session,
    Dimension(Dimension),
}

const fn column(name: &'static str, kind: ColumnKind, source: Source, description: &'static str) -> PartColumn {
    PartColumn { name, kind, description, source }
}

const fn text(dimension: Dimension, description: &'static str) -> PartColumn {
    column(dimension.as_str(), ColumnKind::OptionalString, Source::Dimension(dimension), description)
}

/// The columns of a part, in their order.
pub const PART_COLUMNS: &[PartColumn] = &[
    column("at", ColumnKind::Instant, Source::At, "When it happened."),
    column("event_type", ColumnKind::String, Source::Kind, "What happened, such as pageview or custom."),
    column("visitor_id", ColumnKind::String, Source::Visitor, "Who: 16 hexadecimal digits, of this website alone."),
    column("session_id", ColumnKind::String, Source::Session, "In which visit: 16 hexadecimal digits."),
    text(Dimension::Path, "The path of the page, without query and fragment."),
    text(Dimension::Title, "The title of the page."),
    text(Dimension::Hostname, "The host of the page."),
    text(Dimension::EventName, "The name of a custom event or goal."),
    text(Dimension::Properties, "The event's properties: a JSON object of strings, numbers, true and false."),
    text(Dimension::Referrer, "The referring address, without query and fragment."),
    text(Dimension::Source, "Where the visit came from."),
    text(Dimension::Channel, "The channel, such as Direct or Organic Search."),
    text(Dimension::UtmSource, "The campaign parameter utm_source."),
    text(Dimension::UtmMedium, "The campaign parameter utm_medium."),
    text(Dimension::UtmCampaign, "The campaign parameter utm_campaign."),
    text(Dimension::UtmTerm, "The campaign parameter utm_term."),
    text(Dimension::UtmContent, "The campaign parameter utm_content."),
    text(Dimension::Country, "The country, ISO 3166-1 alpha-2."),
    text(Dimension::Region, "The region, where it is known."),
    text(Dimension::City, "The city, where it is known."),
    text(Dimension::Browser, "The browser's name."),
    text(Dimension::BrowserVersion, "The browser's version."),
    text(Dimension::Os, "The operating system's name."),
    text(Dimension::OsVersion, "The operating system's version."),
    text(Dimension::Device, "desktop, mobile or tablet."),
    text(Dimension::ScreenClass, "The width of the screen as a class: xs, sm, md, lg or xl."),
    text(Dimension::Language, "The language, such as en-GB."),
];

/// Writes `events` as one Parquet file with one row group. The same events make the same bytes.
///
/// ```
/// use zenovay_export::domain::{Event, EventKind, SessionId, Timestamp, VisitorId};
/// use zenovay_export::query::EventTable;
/// use zenovay_export::{Traits, parquet_part};
///
/// let mut events = EventTable::default();
/// let at = Timestamp::from_millis(1_781_308_800_000);
/// events.push(&Event::new(EventKind::Pageview, at, VisitorId(7), SessionId(1)));
/// let bytes = parquet_part(&events, Traits::LeftOut)?;
/// assert!(bytes.starts_with(b"PAR1"));
/// # Ok::<(), zenovay_export::PartError>(())
/// ```
///
/// # Errors
/// When the writer fails: the columns of `events` are not all of one length.
pub fn parquet_part(events: &EventTable, traits: Traits) -> Result<Vec<u8>, PartError> {
    write_part(events, traits).map_err(PartError)
}

fn write_part(events: &EventTable, traits: Traits) -> Result<Vec<u8>, ParquetError> {
    let properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by("zenovay".to_owned())
        .build();
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema()?, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for column in PART_COLUMNS {
        write(&mut group, events, column.source, traits)?;
    }
    group.close()?;
    writer.close()?;
    Ok(bytes)
}

fn schema() -> Result<TypePtr, ParquetError> {
    let fields = PART_COLUMNS.iter().map(|column| {
        let repetition = match column.kind {
            ColumnKind::OptionalString => Repetition::OPTIONAL,
            ColumnKind::Instant | ColumnKind::String => Repetition::REQUIRED,
        };
        let field = match column.kind {
            ColumnKind::Instant => Type::primitive_type_builder(column.name, Physical::INT64)
                .with_logical_type(Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
            ColumnKind::String | ColumnKind::OptionalString => {
                Type::primitive_type_builder(column.name, Physical::BYTE_ARRAY)
                    .with_logical_type(Some(LogicalType::String))
                    .with_converted_type(ConvertedType::UTF8)
            }
        };
        Ok(Arc::new(field.with_repetition(repetition).build()?))
    });
    let fields = fields.collect::<Result<Vec<_>, ParquetError>>()?;
    Ok(Arc::new(Type::group_type_builder("event").with_fields(fields).build()?))
}

fn write<W: std::io::Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    events: &EventTable,
    source: Source,
    traits: Traits,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("a column more than the schema has".to_owned()));
    };
    let required = |values: Vec<ByteArray>, writer: &mut ColumnWriter<'_>| match writer {
        ColumnWriter::ByteArrayColumnWriter(writer) => writer.write_batch(&values, None, None).map(drop),
        _ => Err(mismatch()),
    };
    match source {
        Source::At => {
            let values: Vec<i64> = events.at.iter().map(|at| at.as_millis()).collect();
            match column.untyped() {
                ColumnWriter::Int64ColumnWriter(writer) => writer.write_batch(&values, None, None).map(drop)?,
                _ => return Err(mismatch()),
            }
        }
        Source::Kind => {
            required(events.kind.iter().map(|kind| ByteArray::from(kind.as_str())).collect(), column.untyped())?;
        }
        Source::Visitor => {
            required(events.visitor.iter().map(|id| text_of(id.to_string())).collect(), column.untyped())?;
        }
        Source::Session => {
            required(events.session.iter().map(|id| text_of(id.to_string())).collect(), column.untyped())?;
        }
        Source::Dimension(dimension) => {
            let strings = &events.columns[dimension as usize];
            let rows = (0..events.len()).map(|row| {
                let is_private = dimension == Dimension::Properties && traits == Traits::LeftOut;
                let string = strings.get(row).unwrap_or("");
                // Columns before this one are as long as `at`: others would have ended the writing.
                if is_private && names_a_person(events.kind[row], string) { "" } else { string }
            });
            let levels: Vec<i16> = rows.clone().map(|string| i16::from(!string.is_empty())).collect();
            let values: Vec<ByteArray> = rows.filter(|string| !string.is_empty()).map(ByteArray::from).collect();
            match column.untyped() {
                ColumnWriter::ByteArrayColumnWriter(writer) => {
                    writer.write_batch(&values, Some(&levels), None).map(drop)?;
                }
                _ => return Err(mismatch()),
            }
        }
    }
    column.close()
}

fn text_of(text: String) -> ByteArray {
    ByteArray::from(text.into_bytes())
}

fn mismatch() -> ParquetError {
    ParquetError::General("a column of another type than in the schema".to_owned())
}

/// Whether the properties of an event are what somebody told about themselves: those of `identify`, and of events that carry
/// the id of a person.
fn names_a_person(kind: EventKind, properties: &str) -> bool {
    // Looked for before it is parsed: few events have one.
    kind == EventKind::Identify
        || (properties.contains("user_id")
            && serde_json::from_str::<Map<String, Value>>(properties).map_or(true, |all| all.contains_key("user_id")))
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Row;
    use zenovay_domain::{Event, SessionId, Timestamp, VisitorId};

    use super::*;

    fn events() -> EventTable {
        let event = |kind, at, texts: &[(Dimension, &str)]| {
            let mut event = Event::new(kind, Timestamp::from_millis(at), VisitorId(7), SessionId(9));
            texts.iter().for_each(|(dimension, text)| event.dimensions.set(*dimension, text));
            event
        };
        let mut table = EventTable::default();
        for event in [
            event(EventKind::Pageview, 1, &[(Dimension::Path, "/ü"), (Dimension::Country, "DE")]),
            event(EventKind::Custom, 2, &[(Dimension::Path, "/"), (Dimension::Properties, r#"{"plan":"pro"}"#)]),
            event(EventKind::Identify, 3, &[(Dimension::Properties, r#"{"email":"a@example.com"}"#)]),
            event(EventKind::Custom, 4, &[(Dimension::Properties, r#"{"email":"x","user_id":"u-1"}"#)]),
            event(EventKind::Custom, 5, &[(Dimension::Properties, r#"{"of":"user_id"}"#)]),
        ] {
            table.push(&event);
        }
        table
    }

    fn rows(bytes: &[u8]) -> Vec<Row> {
        let reader = SerializedFileReader::new(bytes::Bytes::copy_from_slice(bytes)).unwrap();
        reader.get_row_iter(None).unwrap().collect::<Result<_, _>>().unwrap()
    }

    fn value(row: &Row, name: &str) -> String {
        let found = row.get_column_iter().find(|(column, _)| *column == name);
        found.map(|(_, value)| value.to_string()).unwrap()
    }

    #[test]
    fn a_part_has_a_row_an_event_and_the_same_bytes_again() {
        let bytes = parquet_part(&events(), Traits::Included).unwrap();
        assert_eq!(parquet_part(&events(), Traits::Included).unwrap(), bytes);
        let rows = rows(&bytes);
        assert_eq!(rows.len(), 5);
        assert_eq!(value(&rows[0], "page"), "\"/ü\"");
        assert_eq!(value(&rows[0], "visitor_id"), "\"0000000000000007\"");
        assert_eq!(value(&rows[0], "event_type"), "\"pageview\"");
        assert_eq!(value(&rows[0], "title"), "null");
        assert!(value(&rows[0], "at").starts_with("1970-01-01 00:00:00"), "{}", value(&rows[0], "at"));
        assert_eq!(value(&rows[2], "properties"), r#""{"email":"a@example.com"}""#);
    }

    #[test]
    fn what_people_told_about_themselves_is_left_out_unless_asked_for() {
        let bytes = parquet_part(&events(), Traits::LeftOut).unwrap();
        let told: Vec<String> = rows(&bytes).iter().map(|row| value(row, "properties")).collect();
        assert_eq!(told, ["null", r#""{"plan":"pro"}""#, "null", "null", r#""{"of":"user_id"}""#]);
        let plain = String::from_utf8_lossy(&bytes);
        assert!(!plain.contains("example.com"));
    }

    #[test]
    fn nothing_is_a_file_without_rows() {
        assert!(rows(&parquet_part(&EventTable::default(), Traits::LeftOut).unwrap()).is_empty());
    }

    #[test]
    fn every_dimension_is_a_column() {
        let of_dimensions = PART_COLUMNS.iter().filter(|column| matches!(column.source, Source::Dimension(_)));
        assert_eq!(of_dimensions.count(), Dimension::COUNT);
    }
}
