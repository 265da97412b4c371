//! The pages of a column chunk. The catalog has their lengths, so that nothing of Parquet's headers is read: the library's
//! reader of them panics at some that are damaged and stays for seconds at others.

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageMetadata, PageReader, PageWriteSpec, PageWriter};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Decompressor;

use super::{ColumnId, Columns, PageMeta};

/// The pages in the bytes of a column chunk, or of its beginning, from first to last.
pub(crate) struct Pages {
    rest: Bytes,
    pages: std::vec::IntoIter<PageMeta>,
}

thread_local! {
    /// It takes 150 KB: a question that made one for each page would be busy clearing memory.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// What was packed as `bytes` and has at most `length` bytes.
pub(super) fn unpack(bytes: &[u8], length: usize) -> std::io::Result<Vec<u8>> {
    let mut unpacked = Vec::with_capacity(length);
    unpack_into(bytes, &mut unpacked, length)?;
    Ok(unpacked)
}

/// Has what was packed as `bytes` in `unpacked`, which has room for `length` bytes.
pub(super) fn unpack_into(bytes: &[u8], unpacked: &mut Vec<u8>, length: usize) -> std::io::Result<()> {
    DECOMPRESSOR.with_borrow_mut(|own| {
        let decompressor = match own {
            Some(decompressor) => decompressor,
            None => own.insert(Decompressor::new()?),
        };
        unpacked.reserve_exact(length.saturating_sub(unpacked.len()));
        decompressor.decompress_to_buffer(bytes, unpacked).map(drop)
    })
}

/// A page that is not unpacked.
pub(crate) struct PackedPage {
    pub(super) meta: PageMeta,
    bytes: Bytes,
}

impl PackedPage {
    /// What is in it; `None` when that has another length than the catalog says.
    pub(super) fn unpack(&self) -> Option<Bytes> {
        // No page of Parquet is longer, and a damaged length reserves no memory.
        let length = i32::try_from(self.meta.unpacked_bytes).ok().and_then(|bytes| usize::try_from(bytes).ok())?;
        let bytes = unpack(&self.bytes, length).ok()?;
        (bytes.len() == length).then(|| bytes.into())
    }

    /// What is in it, as it is unpacked.
    pub(super) fn reader(&self) -> std::io::Result<impl BufRead> {
        Ok(BufReader::new(zstd::stream::read::Decoder::with_buffer(&self.bytes[..])?))
    }
}

impl Pages {
    /// The pages in `bytes`, with these lengths.
    pub(crate) fn new(bytes: Bytes, pages: Vec<PageMeta>) -> Self {
        Self { rest: bytes, pages: pages.into_iter() }
    }

    /// The next page; `None` at the end, and where the bytes end before it does.
    pub(super) fn next_packed(&mut self) -> Option<PackedPage> {
        let meta = self.pages.next()?;
        let (header, packed) = (meta.header_bytes as usize, meta.packed_bytes as usize);
        if self.rest.len() < header.checked_add(packed)? {
            return None;
        }
        self.rest.advance(header);
        Some(PackedPage { meta, bytes: self.rest.split_to(packed) })
    }
}

/// For the library's decoder of times.
impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let Some(page) = self.next_packed() else { return Ok(None) };
        Ok(Some(Page::DataPage {
            buf: page.unpack().ok_or_else(|| ParquetError::General("has a damaged page".to_owned()))?,
            num_values: page.meta.values,
            encoding: Encoding::DELTA_BINARY_PACKED,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        }))
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        Ok(None)
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.next_packed();
        Ok(())
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

/// A writer of pages that notes their lengths.
pub(super) struct NotingWriter<'a, W> {
    pub(super) inner: W,
    pub(super) pages: &'a mut Vec<PageMeta>,
}

impl<W: PageWriter> PageWriter for NotingWriter<'_, W> {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec> {
        let length = |bytes: usize| u32::try_from(bytes).map_err(|error| ParquetError::General(error.to_string()));
        let (packed, unpacked) = (length(page.compressed_size())?, length(page.uncompressed_size())?);
        let values = page.num_values();
        let spec = self.inner.write_page(page)?;
        let bytes = u32::try_from(spec.bytes_written).map_err(|error| ParquetError::General(error.to_string()))?;
        self.pages.push(PageMeta {
            header_bytes: bytes.saturating_sub(packed),
            packed_bytes: packed,
            unpacked_bytes: unpacked,
            values,
        });
        Ok(spec)
    }

    fn close(&mut self) -> Result<()> {
        self.inner.close()
    }
}

/// The pages in `chunk`, a chunk of `column` that an earlier version wrote, or its beginning: the library's reader tells
/// where it finds them. Only for bytes that are what was written.
pub(super) fn listed(column: ColumnId, chunk: &Bytes, has_dictionary: bool) -> Result<Vec<PageMeta>> {
    let bytes = chunk.len();
    let length = i64::try_from(bytes).map_err(|error| ParquetError::General(error.to_string()))?;
    let metadata = ColumnChunkMetaData::builder(column.descriptor()?)
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_total_compressed_size(length)
        .set_data_page_offset(0)
        .set_dictionary_page_offset(has_dictionary.then_some(0))
        .build()?;
    let seen = Arc::new(Seen { chunk: chunk.clone(), places: Mutex::default() });
    let mut reader = SerializedPageReader::new(Arc::clone(&seen), &metadata, 0, None)?;
    let mut unpacked = Vec::new();
    while let Some(page) = reader.get_next_page()? {
        unpacked.push((page.buffer().len(), page.num_values()));
    }
    let number = |number: usize| u32::try_from(number).map_err(|error| ParquetError::General(error.to_string()));
    let (mut pages, mut end) = (Vec::new(), 0);
    for (&(start, packed), (unpacked, values)) in seen.places.lock().iter().zip(unpacked) {
        let (header_bytes, packed_bytes) = (number(start - end)?, number(packed)?);
        end = start + packed;
        pages.push(PageMeta { header_bytes, packed_bytes, unpacked_bytes: number(unpacked)?, values });
    }
    if end == bytes { Ok(pages) } else { Err(ParquetError::General("does not end with a page".to_owned())) }
}

impl ColumnId {
    /// How the library reads the column.
    pub(super) fn descriptor(self) -> Result<ColumnDescPtr> {
        Ok(Columns(vec![self]).schema()?.column(0))
    }
}

/// The bytes of a chunk, and the places of the pages that were read from it.
struct Seen {
    chunk: Bytes,
    /// Where each begins behind its header, and its length.
    places: Mutex<Vec<(usize, usize)>>,
}

impl Length for Seen {
    fn len(&self) -> u64 {
        self.chunk.len() as u64
    }
}

impl ChunkReader for Seen {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        self.chunk.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = self.chunk.get_bytes(start, length)?;
        let start = usize::try_from(start).map_err(|error| ParquetError::General(error.to_string()))?;
        self.places.lock().push((start, length));
        Ok(bytes)
    }
}
