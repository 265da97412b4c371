//! The generated traffic as one Parquet file, for engines that are not ours.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use zenovay_benches::generate::{Row, Texts, Traffic};

const SCHEMA: &str = "message events {
    required int32 website (UINT_16);
    required int64 ts;
    required int64 visitor (UINT_64);
    required int64 session (UINT_64);
    required binary path (UTF8);
    required binary referrer (UTF8);
    required binary country (UTF8);
    required binary city (UTF8);
    required binary browser (UTF8);
    required binary os (UTF8);
    required binary utm_source (UTF8);
    required binary utm_medium (UTF8);
    required binary utm_campaign (UTF8);
    required binary event (UTF8);
}";

/// Writes `traffic` to `path`, a row group a day. `ts` is in milliseconds since the epoch.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write_parquet(traffic: Traffic, path: &Path) -> Result<(), ParquetError> {
    let texts = Texts::new();
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?)).build();
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let mut writer = SerializedFileWriter::new(File::create(path)?, schema, Arc::new(properties))?;
    for day in traffic.days() {
        let mut group = writer.next_row_group()?;
        let websites: Vec<i32> = day.iter().map(|row| i32::from(row.website)).collect();
        let mut column = next_column(&mut group)?;
        column.typed::<Int32Type>().write_batch(&websites, None, None)?;
        column.close()?;
        // Unsigned ids keep their bits: Parquet stores UINT_64 in an int64.
        let numbers: [fn(&Row) -> i64; 3] =
            [|row| row.at, |row| row.visitor.cast_signed(), |row| row.session.cast_signed()];
        for number in numbers {
            let values: Vec<i64> = day.iter().map(number).collect();
            let mut column = next_column(&mut group)?;
            column.typed::<Int64Type>().write_batch(&values, None, None)?;
            column.close()?;
        }
        let names: [fn(&Texts, &Row) -> ByteArray; 10] = [
            |texts, row| texts.path(row).into(),
            |texts, row| texts.referrer(row).into(),
            |texts, row| texts.country(row).into(),
            |texts, row| texts.city(row).into(),
            |texts, row| texts.browser(row).into(),
            |texts, row| texts.os(row).into(),
            |texts, row| texts.campaign(row).0.into(),
            |texts, row| texts.campaign(row).1.into(),
            |texts, row| texts.campaign(row).2.into_bytes().into(),
            |texts, row| texts.event_name(row).into_bytes().into(),
        ];
        for name in names {
            let values: Vec<ByteArray> = day.iter().map(|row| name(&texts, row)).collect();
            let mut column = next_column(&mut group)?;
            column.typed::<ByteArrayType>().write_batch(&values, None, None)?;
            column.close()?;
        }
        group.close()?;
    }
    writer.close()?;
    Ok(())
}

fn next_column<'a>(
    group: &'a mut SerializedRowGroupWriter<'_, File>,
) -> Result<parquet::file::writer::SerializedColumnWriter<'a>, ParquetError> {
    group
        .next_column()?
        .ok_or_else(|| ParquetError::General("the schema has fewer columns than are written".to_owned()))
}
