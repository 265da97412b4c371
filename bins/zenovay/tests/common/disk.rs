//! What is in the files of a directory.
#![allow(dead_code, reason = "every test file uses a part of this")]
#![allow(unreachable_pub, reason = "shared by the test files")]

use std::path::{Path, PathBuf};

/// All files below `directory`. One that goes meanwhile may or may not be among them.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![directory.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { dirs.push(path) } else { found.push(path) }
        }
    }
    found
}

/// Whether `needle` is in `bytes`.
pub fn has(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// The first file below `directory` that has `needle` in it.
pub fn file_with(directory: &Path, needle: &[u8]) -> Option<PathBuf> {
    // What cannot be read has gone meanwhile, or is no file.
    files(directory).into_iter().find(|path| std::fs::read(path).is_ok_and(|bytes| has(&bytes, needle)))
}
