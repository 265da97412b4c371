//! What a file says of itself: the catalog can be made of the files alone.
//!
//! | bytes | what |
//! |---|---|
//! | `PAR1` | Parquet's |
//! | column chunks, digests, visits, codes | what the catalog's entry gives the places and checksums of |
//! | entry | the entry itself: a version, XXH3-64, the names of the columns and [`SegmentMeta`] in postcard |
//! | trailer, 40 bytes | `ZNVYSEG1`, id of the store, length of the entry, XXH3-64 of these 32 bytes |
//! | footer | Parquet's, with the id of the store under the key `zenovay.store` |
//!
//! Files of version 2 have neither entry nor trailer.
//!
//! Entries of the versions from [`OLDEST_VERSION`] to [`VERSION`] are read, and written as [`VERSION`]. A file of a later
//! version, or with a column that this program does not know, is refused and left alone.

use std::fmt;
use std::fs::{File, Metadata};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::Deserialize;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::{BlockMeta, ChunkMeta, Columns, DigestMeta, GroupMeta, Origin, SegmentMeta, SiteRange, Tail};

/// The key of the id of the store in the metadata of Parquet's footer.
pub(super) const STORE_KEY: &str = "zenovay.store";

/// The version that is written.
pub(super) const VERSION: u8 = 6;
/// The first whose checksum is of the version, too, and that names the columns.
const NAMING_VERSION: u8 = 4;
/// The oldest that is read.
const OLDEST_VERSION: u8 = 2;
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

/// Why an entry cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EntryError {
    /// It is not what was written.
    #[error("damaged")]
    Damaged,
    /// The same, and it says that it is of a version that this program does not know.
    #[error(
        "damaged, or of a later version: its checksum is wrong, and it says version {0}, while this version reads {OLDEST_VERSION} to {VERSION}"
    )]
    DamagedVersion(u8),
    /// A later version of this program wrote it.
    #[error("{0}")]
    Newer(String),
}

/// The checksum of what follows it in an entry. Since [`NAMING_VERSION`] the version is in it.
pub(crate) fn checksum(version: u8, body: &[u8]) -> u64 {
    xxh3_64_with_seed(body, if version < NAMING_VERSION { 0 } else { version.into() })
}

/// A row of the catalog, and the entry in a file.
pub(crate) fn encode_meta(segment: &SegmentMeta) -> std::io::Result<Vec<u8>> {
    let names: Vec<&str> = segment.columns.iter().map(super::ColumnId::name).collect();
    let body = postcard::to_stdvec(&(names, segment)).map_err(std::io::Error::other)?;
    let mut blob = vec![VERSION];
    blob.extend(checksum(VERSION, &body).to_le_bytes());
    blob.extend(body);
    Ok(blob)
}

pub(crate) fn decode_meta(blob: &[u8]) -> Result<SegmentMeta, EntryError> {
    let (version, hash, body) = blob
        .split_first()
        .and_then(|(version, rest)| rest.split_first_chunk::<8>().map(|(hash, body)| (*version, hash, body)))
        .ok_or(EntryError::Damaged)?;
    if u64::from_le_bytes(*hash) != checksum(version, body) {
        let is_known = (OLDEST_VERSION..=VERSION).contains(&version);
        return Err(if is_known { EntryError::Damaged } else { EntryError::DamagedVersion(version) });
    }
    let damaged = |_| EntryError::Damaged;
    let meta = match version {
        OLDEST_VERSION => {
            postcard::from_bytes::<OldSegment<OldGroup<OldChunk<()>>, ()>>(body).map_err(damaged)?.upgraded()
        }
        3 => postcard::from_bytes::<OldSegment<OldGroup<OldChunk<Option<u32>>>, (Origin, Option<Tail>)>>(body)
            .map_err(damaged)?
            .upgraded(),
        NAMING_VERSION => {
            let (names, meta): (Vec<&str>, FourthSegment) = postcard::from_bytes(body).map_err(damaged)?;
            meta.named(columns_of(&names)?)
        }
        5 => {
            let (names, meta): (Vec<&str>, FifthSegment) = postcard::from_bytes(body).map_err(damaged)?;
            meta.named(columns_of(&names)?)
        }
        VERSION => {
            let (names, mut meta): (Vec<&str>, SegmentMeta) = postcard::from_bytes(body).map_err(damaged)?;
            meta.columns = columns_of(&names)?;
            meta
        }
        later if later > VERSION => {
            let words = format!("has version {later}, this version reads {OLDEST_VERSION} to {VERSION}");
            return Err(EntryError::Newer(words));
        }
        _ => return Err(EntryError::Damaged),
    };
    if meta.is_sound() { Ok(meta) } else { Err(EntryError::Damaged) }
}

/// The columns with these names.
fn columns_of(names: &[&str]) -> Result<Columns, EntryError> {
    let unknown = |name| EntryError::Newer(format!("has a column {name:?}, which this version does not know"));
    Columns::named(names).map_err(unknown)
}

/// [`SegmentMeta`] as versions 2 to 5 have it, versions 2 and 3 without columns and pages. `Rest` is what version 3 has at the end.
#[derive(Deserialize)]
struct OldSegment<Group, Rest> {
    id: u64,
    position: u64,
    rows: u64,
    bytes: u64,
    groups: Vec<Group>,
    sites: Vec<SiteRange>,
    rest: Rest,
}

/// [`GroupMeta`] as versions 2 to 4 have it: without visits.
#[derive(Deserialize)]
struct OldGroup<Chunk> {
    rows: u32,
    chunks: Vec<Chunk>,
    digest: Option<DigestMeta>,
}

/// [`GroupMeta`] as version 5 has it: without codes.
#[derive(Deserialize)]
struct FifthGroup {
    rows: u32,
    chunks: Vec<ChunkMeta>,
    digest: Option<DigestMeta>,
    visits: Option<BlockMeta>,
}

impl From<OldGroup<ChunkMeta>> for GroupMeta {
    fn from(OldGroup { rows, chunks, digest }: OldGroup<ChunkMeta>) -> Self {
        Self { rows, chunks, digest, visits: None, codes: None }
    }
}

impl From<FifthGroup> for GroupMeta {
    fn from(FifthGroup { rows, chunks, digest, visits }: FifthGroup) -> Self {
        Self { rows, chunks, digest, visits, codes: None }
    }
}

/// [`ChunkMeta`] as versions 2 and 3 have it. `Unpacked` is how long the dictionary is when it is unpacked, which version 3
/// has.
#[derive(Deserialize)]
struct OldChunk<Unpacked> {
    offset: u64,
    bytes: u32,
    dictionary_bytes: u32,
    _unpacked_bytes: Unpacked,
    hash: u64,
}

/// What old versions have at the end.
trait Rest {
    /// The origin and the tail of segment `id`.
    fn origin_and_tail(self, id: u64) -> (Origin, Option<Tail>);
}

impl Rest for () {
    fn origin_and_tail(self, id: u64) -> (Origin, Option<Tail>) {
        (Origin::of_old(id), None)
    }
}

impl Rest for (Origin, Option<Tail>) {
    fn origin_and_tail(self, _id: u64) -> Self {
        self
    }
}

impl<Unpacked, R: Rest> OldSegment<OldGroup<OldChunk<Unpacked>>, R> {
    fn upgraded(self) -> SegmentMeta {
        let chunk = |OldChunk { offset, bytes, dictionary_bytes, hash, .. }: OldChunk<Unpacked>| ChunkMeta {
            offset,
            bytes,
            dictionary_bytes,
            pages: Vec::new(),
            hash,
        };
        let group = |OldGroup { rows, chunks, digest }: OldGroup<OldChunk<Unpacked>>| OldGroup {
            rows,
            chunks: chunks.into_iter().map(chunk).collect(),
            digest,
        };
        let Self { id, position, rows, bytes, groups, sites, rest } = self;
        let columns = Columns::of_old(groups.first().map_or(usize::MAX, |group| group.chunks.len()));
        let groups = groups.into_iter().map(group).collect::<Vec<OldGroup<ChunkMeta>>>();
        OldSegment { id, position, rows, bytes, groups, sites, rest: rest.origin_and_tail(id) }.named(columns)
    }
}

/// As version 4 has it, behind the names of the columns.
type FourthSegment = OldSegment<OldGroup<ChunkMeta>, (Origin, Option<Tail>)>;
/// The same of version 5.
type FifthSegment = OldSegment<FifthGroup, (Origin, Option<Tail>)>;

impl<Group: Into<GroupMeta>> OldSegment<Group, (Origin, Option<Tail>)> {
    /// With `columns`, which versions 4 and 5 name.
    fn named(self, columns: Columns) -> SegmentMeta {
        let Self { id, position, rows, bytes, groups, sites, rest: (origin, tail) } = self;
        let groups = groups.into_iter().map(Into::into).collect();
        SegmentMeta { id, position, rows, bytes, columns, groups, sites, origin, tail }
    }
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
///
/// # Errors
/// In words, when a later version wrote it.
pub(crate) fn read_own(path: &Path) -> Result<Option<(StoreId, SegmentMeta)>, String> {
    let Some((file, length)) = open(path) else { return Ok(None) };
    let Some((store, at, entry)) = read_entry(&file, length) else { return Ok(None) };
    let mut meta = match decode_meta(&entry) {
        Ok(meta) => meta,
        Err(EntryError::Damaged | EntryError::DamagedVersion(_)) => return Ok(None),
        Err(EntryError::Newer(what)) => return Err(what),
    };
    meta.bytes = length;
    meta.tail = Tail::read(&file, at, length).ok();
    Ok(Some((store, meta)).filter(|(_, meta)| meta.tail.is_some() && meta.is_sound()))
}

/// The store that a file names, and the entry in it with its place.
fn read_entry(file: &File, length: u64) -> Option<(StoreId, u64, Vec<u8>)> {
    let (trailer, store, entry_bytes) = read_trailer(file, length)?;
    let at = trailer.checked_sub(entry_bytes).filter(|_| entry_bytes <= FOOTER_BYTES_MAX)?;
    let mut entry = vec![0; usize::try_from(entry_bytes).ok()?];
    file.read_exact_at(&mut entry, at).ok()?;
    Some((store, at, entry))
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
