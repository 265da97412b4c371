//! What a file says of itself: the catalog can be made of the files alone.
//!
//! | bytes | what |
//! |---|---|
//! | `PAR1` | Parquet's |
//! | column chunks, digests | what the catalog's entry gives the places and checksums of |
//! | entry | the entry itself: a version, XXH3-64, [`SegmentMeta`] in postcard |
//! | trailer, 40 bytes | `ZNVYSEG1`, id of the store, length of the entry, XXH3-64 of these 32 bytes |
//! | footer | Parquet's, with the id of the store under the key `zenovay.store` |
//!
//! Files of format 2 have neither entry nor trailer.

use std::fmt;
use std::fs::{File, Metadata};
use std::os::unix::fs::FileExt;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::{SegmentMeta, SegmentMeta2, Tail};

/// The key of the id of the store in the metadata of Parquet's footer.
pub(super) const STORE_KEY: &str = "zenovay.store";

const VERSION: u8 = 3;
/// Without origin and tail, and without the lengths of dictionaries when they are unpacked.
const OLD_VERSION: u8 = 2;
const MAGIC: &[u8; 8] = b"ZNVYSEG1";
const TRAILER_BYTES: usize = 40;
/// What Parquet puts at both ends.
pub(super) const PARQUET_MAGIC: &[u8; 4] = b"PAR1";
/// No footer and no entry is longer; a damaged length reserves no memory.
const FOOTER_BYTES_MAX: u64 = 1 << 30;

/// Tells a store from every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StoreId(pub(crate) [u8; 16]);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A row of the catalog, and the entry in a file.
pub(crate) fn encode_meta(segment: &SegmentMeta) -> std::io::Result<Vec<u8>> {
    let body = postcard::to_stdvec(segment).map_err(std::io::Error::other)?;
    let mut blob = vec![VERSION];
    blob.extend(xxh3_64(&body).to_le_bytes());
    blob.extend(body);
    Ok(blob)
}

pub(crate) fn decode_meta(blob: &[u8]) -> Option<SegmentMeta> {
    let (&version, rest) = blob.split_first()?;
    let (hash, body) = rest.split_first_chunk::<8>()?;
    if u64::from_le_bytes(*hash) != xxh3_64(body) {
        return None;
    }
    let meta = match version {
        VERSION => postcard::from_bytes(body).ok()?,
        OLD_VERSION => postcard::from_bytes::<SegmentMeta2>(body).ok()?.into(),
        _ => return None,
    };
    Some(meta).filter(SegmentMeta::is_sound)
}

/// What stands between the last row group and Parquet's footer.
pub(super) fn encode_own(meta: &SegmentMeta, store: StoreId) -> std::io::Result<Vec<u8>> {
    let mut bytes = encode_meta(meta)?;
    let mut trailer = [&MAGIC[..], &store.0, &(bytes.len() as u64).to_le_bytes()].concat();
    trailer.extend(xxh3_64(&trailer).to_le_bytes());
    bytes.extend(trailer);
    Ok(bytes)
}

/// Where the trailer of a file begins, the store it names and the length of the entry before it. `None` when it has none
/// or it is damaged.
fn read_trailer(file: &File, length: u64) -> Option<(u64, StoreId, u64)> {
    let mut end = [0; 8];
    file.read_exact_at(&mut end, length.checked_sub(8)?).ok()?;
    let footer = u64::from(u32::from_le_bytes(*end.first_chunk::<4>()?));
    if !end.ends_with(PARQUET_MAGIC) || footer > FOOTER_BYTES_MAX {
        return None;
    }
    let at = length.checked_sub(8 + footer + TRAILER_BYTES as u64)?;
    let mut trailer = [0; TRAILER_BYTES];
    file.read_exact_at(&mut trailer, at).ok()?;
    let (said, hash) = trailer.split_last_chunk::<8>()?;
    let (magic, said) = said.split_first_chunk::<8>()?;
    let (store, entry) = said.split_first_chunk::<16>()?;
    let is_whole = magic == MAGIC && u64::from_le_bytes(*hash) == xxh3_64(&trailer[..TRAILER_BYTES - 8]);
    is_whole.then_some((at, StoreId(*store), u64::from_le_bytes(*entry.first_chunk::<8>()?)))
}

/// Opens a file, and nothing that would have to be waited for.
fn open(path: &Path) -> Option<(File, u64)> {
    let length = std::fs::symlink_metadata(path).ok().filter(Metadata::is_file)?.len();
    Some((File::open(path).ok()?, length))
}

/// The store that a file names; `None` when it names none or cannot be read.
pub(crate) fn store_of(path: &Path) -> Option<StoreId> {
    let (file, length) = open(path)?;
    read_trailer(&file, length).map(|(_, store, _)| store)
}

/// What a file says of itself: its store, and the entry that a catalog would have of it. The entry is what was written; the
/// rest of the file was not read. `None` when it says nothing, or that is damaged.
pub(crate) fn read_own(path: &Path) -> Option<(StoreId, SegmentMeta)> {
    let (file, length) = open(path)?;
    let (trailer, store, entry_bytes) = read_trailer(&file, length)?;
    let at = trailer.checked_sub(entry_bytes).filter(|_| entry_bytes <= FOOTER_BYTES_MAX)?;
    let mut entry = vec![0; usize::try_from(entry_bytes).ok()?];
    file.read_exact_at(&mut entry, at).ok()?;
    let mut meta = decode_meta(&entry)?;
    meta.bytes = length;
    meta.tail = Some(Tail::read(&file, at, length).ok()?);
    meta.is_sound().then_some((store, meta))
}

impl Tail {
    /// What stands in `file` from `offset` to its end.
    pub(super) fn read(file: &File, offset: u64, length: u64) -> std::io::Result<Self> {
        let count = length.checked_sub(offset).filter(|count| *count <= 2 * FOOTER_BYTES_MAX);
        let count = count.ok_or_else(|| std::io::Error::other("impossible length"))?;
        let mut bytes = vec![0; usize::try_from(count).map_err(std::io::Error::other)?];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(Self { offset, hash: xxh3_64(&bytes) })
    }
}
