//! Writing a segment: rows of several sources merged by website and time, a row group at a time, a column at a time.
//!
//! Memory is bounded by one row group of one column and the times of one row group of each source, however large the
//! segment is.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::{ColumnCloseResult, get_column_writer, get_typed_column_writer};
use parquet::data_type::Int64Type;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::types::{ColumnDescPtr, ColumnPath};
use xxhash_rust::xxh3::xxh3_64;
use zenovay_domain::WebsiteId;

use super::{
    ChunkMeta, Coded, ColumnId, DESCRIPTOR, GroupMeta, Keep, SCHEMA, SegmentError, SegmentMeta, SiteRange, Source,
    Values, hybrid, ranges_of, websites_of,
};
use crate::intern::IdMap;

/// The most rows of a row group.
const GROUP_ROWS: usize = 131_072;
/// A website with this many rows has row groups of its own.
const OWN_GROUP_ROWS: usize = 16_384;
/// Row groups that websites share are closed at this many rows: a small website is read by decoding no more than that.
const SHARED_GROUP_ROWS: usize = 32_768;
/// Rows of a data page: pages that a small website has no rows in are not unpacked.
const PAGE_ROWS: usize = 16_384;
/// Level 3 is zstd's default; level 9 saved 1 % on the benchmark's rows and took four times as long.
const ZSTD_LEVEL: i32 = 3;

/// Why a segment could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error(transparent)]
    Source(#[from] SegmentError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Parquet(ParquetError),
    #[error("cancelled")]
    Cancelled,
}

impl From<ParquetError> for WriteError {
    fn from(error: ParquetError) -> Self {
        // The writer wraps what the file said; a full disk must stay recognisable.
        match error {
            ParquetError::External(inner) => match inner.downcast::<io::Error>() {
                Ok(io) => Self::Io(*io),
                Err(inner) => Self::Parquet(ParquetError::External(inner)),
            },
            other => Self::Parquet(other),
        }
    }
}

/// Writes the rows of `sources` that `keep` keeps to a new, synced file at `path`. Rows of the same website and time stand
/// in the order of the sources. `None`, and no file, when no row is kept. `cancelled` is asked before each row group.
pub(crate) fn write(
    path: &Path,
    id: u64,
    position: u64,
    sources: &[&dyn Source],
    keep: Keep,
    cancelled: &dyn Fn() -> bool,
) -> Result<Option<SegmentMeta>, WriteError> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let schema = SCHEMA.clone().map_err(ParquetError::General)?;
    let writer = SerializedFileWriter::new(&file, schema, Arc::new(properties()))?;
    let mut groups = Groups::new(writer, sources, cancelled)?;
    for website in websites_of(sources.iter().flat_map(|source| source.sites())) {
        groups.add_website(website, keep)?;
    }
    groups.flush()?;
    let Groups { mut writer, groups, mut sites, rows, .. } = groups;
    if rows == 0 {
        drop(writer);
        std::fs::remove_file(path)?;
        return Ok(None);
    }
    writer.finish()?;
    drop(writer);
    file.sync_all()?;
    let bytes = file.metadata()?.len();
    sites.sort_by_key(|range| (range.website, range.group, range.start));
    Ok(Some(SegmentMeta { id, position, rows, bytes, groups, sites }))
}

fn properties() -> WriterProperties {
    let at = ColumnPath::from(ColumnId::At.name());
    WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_column_dictionary_enabled(at.clone(), false)
        .set_column_encoding(at, Encoding::DELTA_BINARY_PACKED)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_created_by("zenovay".to_owned())
        .build()
}

/// The row group of a source that was read last, and the times of its rows.
type Times<'a> = Option<(u32, Rc<Cow<'a, [i64]>>)>;

/// The row group that is being gathered, and the file.
struct Groups<'a, W: io::Write + Send> {
    writer: SerializedFileWriter<W>,
    sources: &'a [&'a dyn Source],
    cancelled: &'a dyn Fn() -> bool,
    times: Vec<Times<'a>>,
    pending: Pending,
    compressor: zstd::bulk::Compressor<'static>,
    groups: Vec<GroupMeta>,
    sites: Vec<SiteRange>,
    rows: u64,
}

#[derive(Default)]
struct Pending {
    /// Source and row group.
    parts: Vec<(usize, u32)>,
    part_of: HashMap<(usize, u32), u32>,
    /// Part and row, in the order of the file.
    rows: Vec<(u32, u32)>,
    at: Vec<i64>,
    sites: Vec<SiteRange>,
}

/// What is left of one website in one source.
struct Cursor<'a> {
    source: usize,
    ranges: std::slice::Iter<'a, SiteRange>,
    group: u32,
    at: Rc<Cow<'a, [i64]>>,
    rows: std::vec::IntoIter<u32>,
    next: Option<(i64, u32)>,
}

impl<'a> Cursor<'a> {
    fn advance(
        &mut self,
        sources: &'a [&'a dyn Source],
        times: &mut [Times<'a>],
        keep: Keep,
    ) -> Result<(), SegmentError> {
        loop {
            if let Some(row) = self.rows.next() {
                self.next = Some((self.at[row as usize], row));
                return Ok(());
            }
            let Some(range) = self.ranges.next() else {
                self.next = None;
                return Ok(());
            };
            let source = sources[self.source];
            self.group = range.group;
            self.at = match &times[self.source] {
                Some((group, at)) if *group == range.group => Rc::clone(at),
                _ => {
                    let at = Rc::new(source.at(range.group)?);
                    times[self.source] = Some((range.group, Rc::clone(&at)));
                    at
                }
            };
            let rows = match source.order(range) {
                Some(order) => order.to_vec(),
                None => (range.start..range.start + range.rows).collect(),
            };
            self.rows = keep.select(source, range, &self.at, rows)?.into_iter();
        }
    }
}

impl<'a, W: io::Write + Send> Groups<'a, W> {
    fn new(
        writer: SerializedFileWriter<W>,
        sources: &'a [&'a dyn Source],
        cancelled: &'a dyn Fn() -> bool,
    ) -> io::Result<Self> {
        Ok(Self {
            writer,
            sources,
            cancelled,
            times: sources.iter().map(|_| None).collect(),
            pending: Pending::default(),
            compressor: zstd::bulk::Compressor::new(ZSTD_LEVEL)?,
            groups: Vec::new(),
            sites: Vec::new(),
            rows: 0,
        })
    }

    fn add_website(&mut self, website: WebsiteId, keep: Keep) -> Result<(), WriteError> {
        let ranges = self.sources.iter().map(|source| ranges_of(source.sites(), website));
        let total: usize = ranges.clone().flatten().map(|range| range.rows as usize).sum();
        let own = total >= OWN_GROUP_ROWS;
        if own {
            self.flush()?;
        }
        let limit = if own { GROUP_ROWS } else { SHARED_GROUP_ROWS };
        let mut cursors = Vec::new();
        for (source, ranges) in ranges.enumerate() {
            let mut cursor = Cursor {
                source,
                ranges: ranges.iter(),
                group: 0,
                at: Rc::new(Cow::Borrowed(&[])),
                rows: Vec::new().into_iter(),
                next: None,
            };
            cursor.advance(self.sources, &mut self.times, keep)?;
            cursors.push(cursor);
        }
        // Ties go to the earlier source: its rows arrived earlier.
        while let Some(cursor) =
            cursors.iter_mut().filter(|cursor| cursor.next.is_some()).min_by_key(|cursor| cursor.next.map(|(at, _)| at))
        {
            let Some((at, row)) = cursor.next else { break };
            if self.pending.rows.len() >= limit {
                let (source, group) = (cursor.source, cursor.group);
                self.flush()?;
                self.pending.push(website, (source, group), row, at);
            } else {
                self.pending.push(website, (cursor.source, cursor.group), row, at);
            }
            cursor.advance(self.sources, &mut self.times, keep)?;
        }
        if own {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes the gathered rows as a row group.
    fn flush(&mut self) -> Result<(), WriteError> {
        if self.pending.rows.is_empty() {
            return Ok(());
        }
        if (self.cancelled)() {
            return Err(WriteError::Cancelled);
        }
        let pending = std::mem::take(&mut self.pending);
        let descriptor = DESCRIPTOR.as_ref().map_err(|error| ParquetError::General(error.clone()))?;
        let mut chunks = Vec::new();
        let mut group = self.writer.next_row_group()?;
        for column in ColumnId::all() {
            let descriptor = descriptor.column(column.index());
            let encoded = match column {
                ColumnId::At => encode_times(&pending.at, descriptor)?,
                ColumnId::Website => {
                    let (codes, dictionary) = pending.websites();
                    encode_codes(&codes, &dictionary, pending.sites.len(), descriptor, &mut self.compressor)?
                }
                _ => {
                    let gathered = gather(self.sources, &pending, column)?;
                    let Gathered { codes, dictionary, values } = gathered;
                    encode_codes(&codes, &dictionary, values, descriptor, &mut self.compressor)?
                }
            };
            let (bytes, close) = encoded;
            chunks.push(ChunkMeta {
                offset: 0,
                bytes: u32::try_from(bytes.len()).map_err(io::Error::other)?,
                dictionary_bytes: if column == ColumnId::At { 0 } else { close.metadata.data_page_offset() as u32 },
                hash: xxh3_64(&bytes),
            });
            group.append_column(&bytes, close)?;
        }
        let written = group.close()?;
        for (chunk, column) in chunks.iter_mut().zip(written.columns()) {
            chunk.offset = column.byte_range().0;
        }
        let number = self.groups.len() as u32;
        self.sites.extend(pending.sites.iter().map(|range| SiteRange { group: number, ..*range }));
        self.rows += pending.rows.len() as u64;
        self.groups.push(GroupMeta { rows: pending.rows.len() as u32, chunks });
        Ok(())
    }
}

impl Pending {
    fn push(&mut self, website: WebsiteId, part: (usize, u32), row: u32, at: i64) {
        let parts = &mut self.parts;
        let part = *self.part_of.entry(part).or_insert_with(|| {
            parts.push(part);
            parts.len() as u32 - 1
        });
        let start = self.rows.len() as u32;
        self.rows.push((part, row));
        self.at.push(at);
        match self.sites.last_mut() {
            Some(range) if range.website == website => {
                range.rows += 1;
                range.max_at = at;
            }
            _ => self.sites.push(SiteRange { website, group: 0, start, rows: 1, min_at: at, max_at: at }),
        }
    }

    fn websites(&self) -> (Vec<u32>, Vec<u8>) {
        let mut codes = Vec::with_capacity(self.rows.len());
        let mut dictionary = Vec::new();
        for (code, range) in self.sites.iter().enumerate() {
            codes.extend(std::iter::repeat_n(code as u32, range.rows as usize));
            dictionary.extend(range.website.as_u128().to_be_bytes());
        }
        (codes, dictionary)
    }
}

/// A column of a row group over its own dictionary, in the order of first appearance.
struct Gathered {
    codes: Vec<u32>,
    /// The dictionary's values, PLAIN.
    dictionary: Vec<u8>,
    values: usize,
}

fn gather(sources: &[&dyn Source], pending: &Pending, column: ColumnId) -> Result<Gathered, SegmentError> {
    let parts: Vec<Coded> =
        pending.parts.iter().map(|&(source, group)| sources[source].read(group, column)).collect::<Result<_, _>>()?;
    let mut dictionary = Dictionary::default();
    // The new code of each old one, plus one; 0 where there is none yet.
    let mut renamed: Vec<Vec<u32>> = parts.iter().map(|part| vec![0; part.values.len()]).collect();
    let mut codes = Vec::with_capacity(pending.rows.len());
    for &(part, row) in &pending.rows {
        let old = parts[part as usize].codes[row as usize];
        let new = &mut renamed[part as usize][old as usize];
        if *new == 0 {
            *new = dictionary.code(&parts[part as usize].values, old) + 1;
        }
        codes.push(*new - 1);
    }
    Ok(Gathered { codes, dictionary: dictionary.plain, values: dictionary.values })
}

#[derive(Default)]
struct Dictionary<'a> {
    ids: IdMap<u32>,
    texts: HashMap<&'a str, u32>,
    plain: Vec<u8>,
    values: usize,
}

impl<'a> Dictionary<'a> {
    fn code(&mut self, values: &'a Values, code: u32) -> u32 {
        let next = self.values as u32;
        let known = match values {
            Values::Ids(ids) => *self.ids.entry(ids[code as usize]).or_insert(next),
            Values::Numbers(numbers) => *self.ids.entry(u64::from(numbers[code as usize])).or_insert(next),
            Values::Texts(texts) => *self.texts.entry(texts.get(code)).or_insert(next),
        };
        if known == next {
            self.values += 1;
            match values {
                Values::Ids(ids) => self.plain.extend(ids[code as usize].to_le_bytes()),
                Values::Numbers(numbers) => self.plain.extend(numbers[code as usize].to_le_bytes()),
                Values::Texts(texts) => {
                    let text = texts.get(code);
                    self.plain.extend((text.len() as u32).to_le_bytes());
                    self.plain.extend(text.as_bytes());
                }
            }
        }
        known
    }
}

/// A column chunk of a dictionary page and pages of codes.
fn encode_codes(
    codes: &[u32],
    dictionary: &[u8],
    values: usize,
    descriptor: ColumnDescPtr,
    compressor: &mut zstd::bulk::Compressor<'_>,
) -> Result<(Bytes, ColumnCloseResult), WriteError> {
    let mut sink = TrackedWrite::new(Vec::new());
    let mut uncompressed = 0;
    let mut dictionary_bytes = 0;
    let mut pages = SerializedPageWriter::new(&mut sink);
    let mut write = |page: Page, size: usize| -> Result<u64, ParquetError> {
        let spec = pages.write_page(CompressedPage::new(page, size))?;
        uncompressed += spec.uncompressed_size as i64;
        Ok(spec.bytes_written)
    };
    let page = Page::DictionaryPage {
        buf: compressor.compress(dictionary)?.into(),
        num_values: values as u32,
        encoding: Encoding::PLAIN,
        is_sorted: false,
    };
    dictionary_bytes += write(page, dictionary.len())?;
    let width = hybrid::width_for(values);
    let mut packed = Vec::new();
    for codes in codes.chunks(PAGE_ROWS) {
        packed.clear();
        packed.push(width);
        hybrid::encode(codes, width, &mut packed);
        let page = Page::DataPage {
            buf: compressor.compress(&packed)?.into(),
            num_values: codes.len() as u32,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        write(page, packed.len())?;
    }
    let bytes = Bytes::from(sink.into_inner()?);
    let metadata = ColumnChunkMetaData::builder(descriptor)
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
        .set_total_compressed_size(bytes.len() as i64)
        .set_total_uncompressed_size(uncompressed)
        .set_num_values(codes.len() as i64)
        .set_dictionary_page_offset(Some(0))
        .set_data_page_offset(dictionary_bytes as i64)
        .build()?;
    let close = ColumnCloseResult {
        bytes_written: bytes.len() as u64,
        rows_written: codes.len() as u64,
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    Ok((bytes, close))
}

fn encode_times(at: &[i64], descriptor: ColumnDescPtr) -> Result<(Bytes, ColumnCloseResult), WriteError> {
    let mut sink = TrackedWrite::new(Vec::new());
    let pages = Box::new(SerializedPageWriter::new(&mut sink));
    let mut writer = get_typed_column_writer::<Int64Type>(get_column_writer(descriptor, Arc::new(properties()), pages));
    writer.write_batch(at, None, None)?;
    let mut close = writer.close()?;
    // One row group's times are indexed by nothing: the statistics of the chunk are enough.
    close.column_index = None;
    close.offset_index = None;
    Ok((Bytes::from(sink.into_inner()?), close))
}
