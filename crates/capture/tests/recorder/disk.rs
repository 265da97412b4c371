//! What is in the files of a directory.

#![allow(dead_code, reason = "every test file uses a part of this")]
#![allow(unreachable_pub, reason = "shared by the test files")]

use std::path::{Path, PathBuf};

/// All files below `directory`.
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
pub fn has(bytes: &[u8], needle: &str) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// Whether `needle` is in a file below `directory`.
pub fn is_on_disk(directory: &Path, needle: &str) -> bool {
    files(directory).iter().any(|path| has(&std::fs::read(path).unwrap(), needle))
}
