//! The pages of a column chunk. Their headers are read here and not by the library, which panics at some that are damaged
//! and stays for seconds at others.

use std::io::{BufRead, BufReader};

use bytes::{Buf, Bytes};
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use zstd::bulk::Decompressor;

/// Numbers of the format
/// (<https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>).
const DATA_PAGE: i64 = 0;
const DICTIONARY_PAGE: i64 = 2;
pub(super) const DELTA_BINARY_PACKED: i64 = 5;
pub(super) const RLE_DICTIONARY: i64 = 8;

/// The pages in the bytes of a column chunk, or of its beginning, from first to last.
pub(crate) struct Pages {
    rest: Bytes,
    decompressor: Decompressor<'static>,
}

/// A page that is not unpacked.
pub(crate) struct PackedPage {
    header: Header,
    /// How many values it has.
    pub(super) values: u32,
    bytes: Bytes,
}

/// What is read of a page's header.
#[derive(Debug, Default, PartialEq, Eq)]
struct Header {
    kind: i64,
    unpacked_bytes: i64,
    packed_bytes: i64,
    values: i64,
    encoding: i64,
}

impl PackedPage {
    pub(super) fn is_dictionary(&self) -> bool {
        self.header.kind == DICTIONARY_PAGE
    }

    /// How long it is when it is unpacked, as its header says.
    pub(super) fn unpacked_bytes(&self) -> Option<u64> {
        u64::try_from(self.header.unpacked_bytes).ok()
    }

    /// What is in it, as it is unpacked.
    pub(super) fn reader(&self) -> std::io::Result<impl BufRead> {
        Ok(BufReader::new(zstd::stream::read::Decoder::with_buffer(&self.bytes[..])?))
    }

    /// Whether it has data in the encoding with this number.
    pub(super) fn is_data(&self, encoding: i64) -> bool {
        self.header.kind == DATA_PAGE && self.header.encoding == encoding
    }
}

impl Pages {
    /// The pages in `bytes`.
    pub(crate) fn new(bytes: Vec<u8>) -> std::io::Result<Self> {
        Ok(Self { rest: bytes.into(), decompressor: Decompressor::new()? })
    }

    /// The next page; `None` at the end, and where the bytes are not those of a page.
    pub(super) fn next_packed(&mut self) -> Option<PackedPage> {
        let mut rest = &*self.rest;
        let header = Header::read(&mut rest)?;
        let header_bytes = self.rest.len() - rest.len();
        let packed_bytes = usize::try_from(header.packed_bytes).ok().filter(|&bytes| bytes <= rest.len())?;
        self.rest.advance(header_bytes);
        let bytes = self.rest.split_to(packed_bytes);
        let values = u32::try_from(header.values).ok()?;
        Some(PackedPage { header, values, bytes })
    }

    /// What is in `page`; `None` when it has another length than it says.
    pub(super) fn unpack(&mut self, page: &PackedPage) -> Option<Bytes> {
        let length = i32::try_from(page.header.unpacked_bytes).ok().and_then(|bytes| usize::try_from(bytes).ok())?;
        let bytes = self.decompressor.decompress(&page.bytes, length).ok()?;
        (bytes.len() == length).then(|| bytes.into())
    }
}

/// How long the dictionary is, unpacked, at the beginning of a column chunk; `None` when none begins there.
pub(super) fn unpacked_dictionary_bytes(mut chunk: &[u8]) -> Option<u64> {
    let header = Header::read(&mut chunk)?;
    u64::try_from(header.unpacked_bytes).ok().filter(|_| header.kind == DICTIONARY_PAGE)
}

/// For the library's decoder of times.
impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let damaged = || ParquetError::General("is not a page of times".to_owned());
        let Some(page) = self.next_packed() else { return Ok(None) };
        if !page.is_data(DELTA_BINARY_PACKED) {
            return Err(damaged());
        }
        Ok(Some(Page::DataPage {
            buf: self.unpack(&page).ok_or_else(damaged)?,
            num_values: page.values,
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

/// Thrift's compact protocol (<https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>), as far
/// as headers of pages need it: no lists, no floating point.
impl Header {
    fn read(data: &mut &[u8]) -> Option<Self> {
        const DATA_PAGE_HEADER: i64 = 5;
        const DICTIONARY_PAGE_HEADER: i64 = 7;
        let mut header = Self::default();
        let mut id = 0;
        while let Some(kind) = field(data, &mut id)? {
            match id {
                1 => header.kind = number(data, kind)?,
                2 => header.unpacked_bytes = number(data, kind)?,
                3 => header.packed_bytes = number(data, kind)?,
                DATA_PAGE_HEADER | DICTIONARY_PAGE_HEADER if kind == STRUCT => {
                    let mut id = 0;
                    while let Some(kind) = field(data, &mut id)? {
                        match id {
                            1 => header.values = number(data, kind)?,
                            2 => header.encoding = number(data, kind)?,
                            _ => skip(data, kind, 1)?,
                        }
                    }
                }
                _ => skip(data, kind, 2)?,
            }
        }
        Some(header)
    }
}

const BOOLEANS: std::ops::RangeInclusive<u8> = 1..=2;
const BYTE: u8 = 3;
const INTEGERS: std::ops::RangeInclusive<u8> = 4..=6;
const BINARY: u8 = 8;
const STRUCT: u8 = 12;

/// The type of the next field, whose number becomes `id`; `Some(None)` at the end of the structure.
fn field(data: &mut &[u8], id: &mut i64) -> Option<Option<u8>> {
    let first = byte(data)?;
    if first == 0 {
        return Some(None);
    }
    let ahead = i64::from(first >> 4);
    *id = if ahead == 0 { signed(varint(data)?) } else { id.checked_add(ahead)? };
    Some(Some(first & 0xf))
}

fn number(data: &mut &[u8], kind: u8) -> Option<i64> {
    INTEGERS.contains(&kind).then(|| varint(data).map(signed))?
}

/// Passes over a value, in which are at most `levels` levels of structures.
fn skip(data: &mut &[u8], kind: u8, levels: u8) -> Option<()> {
    match kind {
        kind if BOOLEANS.contains(&kind) => Some(()),
        BYTE => byte(data).map(drop),
        kind if INTEGERS.contains(&kind) => varint(data).map(drop),
        BINARY => {
            let length = usize::try_from(varint(data)?).ok()?;
            *data = data.get(length..)?;
            Some(())
        }
        STRUCT => {
            let levels = levels.checked_sub(1)?;
            let mut id = 0;
            while let Some(kind) = field(data, &mut id)? {
                skip(data, kind, levels)?;
            }
            Some(())
        }
        _ => None,
    }
}

fn byte(data: &mut &[u8]) -> Option<u8> {
    let (&first, rest) = data.split_first()?;
    *data = rest;
    Some(first)
}

fn varint(data: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let next = byte(data)?;
        value |= u64::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// ZigZag: 0, −1, 1, −2, …
fn signed(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page header of 48 bytes at which the library stays for seconds, and one at which it panics.
    #[test]
    fn headers_that_the_library_cannot_read_are_refused() {
        let slow =
            b"\x15\x04\x22\x75\x8c\x92\x9a\x92\x9b\xa0\x96\x83\x6d\x22\x3a\xff\x15\x00\x15\x06\x15\x18\x2c\x15\x02\x15\
                     \x6d\x15\x06\x04\x15\x10\x15\x00\x00\x19\x2f\xfd\x01\x2d\x01\x03\x00";
        assert_eq!(Header::read(&mut &slow[..]), None);
        // A data page without the header of data pages.
        let mut headless = &b"\x15\x00\x15\x06\x15\x18\x00"[..];
        let expected = Header { kind: DATA_PAGE, unpacked_bytes: 3, packed_bytes: 12, values: 0, encoding: 0 };
        assert_eq!(Header::read(&mut headless), Some(expected));
        assert_eq!(Header::read(&mut &[0x1c; 100_000][..]), None, "structures in structures");
        assert_eq!(Header::read(&mut &b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"[..]), None, "a long text");
    }

    #[test]
    fn numbers_have_signs() {
        assert_eq!([0, 1, 2, 3, u64::MAX].map(signed), [0, -1, 1, -2, i64::MIN]);
    }
}
