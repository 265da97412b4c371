//! The data that are part of the program.

use std::io;

/// Unpacks zstd that says how large its content is, as `data/pack.py` writes it: into exactly as much memory.
pub(crate) fn unpack(packed: &[u8]) -> io::Result<Vec<u8>> {
    let len = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten();
    let len =
        len.and_then(|len| usize::try_from(len).ok()).ok_or_else(|| io::Error::other("the data name no length"))?;
    zstd::bulk::decompress(packed, len)
}
