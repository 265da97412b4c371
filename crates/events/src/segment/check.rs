//! Whether the bytes of a file are those that were written, while somebody reads them for something else.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::entry::PARQUET_MAGIC;
use super::{GroupMeta, SegmentMeta, Tail};

/// A part of a file: where it begins, how long it is, and the XXH3-64 of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
    pub(crate) hash: u64,
}

impl Part {
    fn end(&self) -> u64 {
        self.offset.saturating_add(self.bytes.into())
    }
}

impl GroupMeta {
    /// All that stands in the file of this row group.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        let part = |offset, bytes, hash| Part { offset, bytes, hash };
        let chunks = self.chunks.iter().map(move |chunk| part(chunk.offset, chunk.bytes, chunk.hash));
        let digest = self.digest.map(|digest| part(digest.offset, digest.bytes, digest.hash));
        let visits = self.visits.map(|visits| part(visits.offset, visits.bytes, visits.hash));
        let codes = self.codes.map(|codes| part(codes.offset, codes.bytes, codes.hash));
        chunks.chain(digest).chain(visits).chain(codes)
    }
}

/// Compares the bytes of a segment file with their checksums, all of them, as they come by from the first to the last: so a file is verified
/// while it is copied, without being read again.
pub struct SegmentCheck {
    /// The length of the file.
    bytes: u64,
    /// The parts that are still to come, the last first.
    parts: Vec<Part>,
    /// How much has come by.
    at: u64,
    /// Of what has come by of the next part.
    hash: Xxh3,
    /// The first part that is not what was written.
    damaged: Option<Part>,
}

impl SegmentCheck {
    pub(crate) fn new(meta: &SegmentMeta) -> Self {
        let magic = Part { offset: 0, bytes: 4, hash: xxh3_64(PARQUET_MAGIC) };
        // No footer is so long that it would not fit.
        let bytes_of = |tail: Tail| u32::try_from(meta.bytes.saturating_sub(tail.offset)).unwrap_or(u32::MAX);
        let tail = |tail: Tail| Part { offset: tail.offset, bytes: bytes_of(tail), hash: tail.hash };
        let groups = meta.groups.iter().flat_map(GroupMeta::parts);
        let all = [magic].into_iter().chain(groups).chain(meta.tail.map(tail));
        let mut parts: Vec<Part> = all.filter(|part| part.bytes > 0).collect();
        parts.sort_unstable_by_key(|part| std::cmp::Reverse(part.offset));
        Self { bytes: meta.bytes, parts, at: 0, hash: Xxh3::new(), damaged: None }
    }

    /// Takes the next `bytes` of the file.
    pub fn see(&mut self, mut bytes: &[u8]) {
        while let Some(part) = self.parts.last().copied().filter(|_| !bytes.is_empty()) {
            let is_before = self.at < part.offset;
            let count = (if is_before { part.offset } else { part.end() }).saturating_sub(self.at);
            let (these, rest) =
                bytes.split_at(usize::try_from(count).map_or(bytes.len(), |count| count.min(bytes.len())));
            if !is_before {
                self.hash.update(these);
            }
            self.at += these.len() as u64;
            bytes = rest;
            if self.at >= part.end() {
                if self.hash.digest() != part.hash {
                    self.damaged.get_or_insert(part);
                }
                self.hash.reset();
                self.parts.pop();
            }
        }
        self.at += bytes.len() as u64;
    }

    /// What is wrong with the file that has come by; `None` when it is what was written.
    pub fn problem(self) -> Option<String> {
        let Self { bytes, at, damaged, .. } = self;
        if at != bytes {
            return Some(format!("has {at} bytes instead of {bytes}"));
        }
        damaged.map(|part| format!("damaged in bytes {:?}", part.offset..part.end()))
    }
}

impl std::fmt::Debug for SegmentCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentCheck").field("at", &self.at).field("damaged", &self.damaged).finish_non_exhaustive()
    }
}
