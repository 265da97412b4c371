//! What PostgreSQL says, as errors of a store.
//!
//! diesel passes the code of an error on for broken constraints and lost connections only; of everything else it keeps the
//! message. So the messages are read: here and nowhere else. On a server that speaks another language than English a full disk
//! and damage are `Unavailable`, with what the server said.

use std::error::Error;

use crate::StoreError;

const FULL: [&str; 2] = ["No space left on device", "could not extend file"];
const DAMAGED: [&str; 4] =
    ["invalid page in block", "could not read block", "missing chunk number", "contains unexpected zero page"];
const NUL: &str = "invalid byte sequence for encoding \"UTF8\": 0x00";

/// What the message of an error tells.
pub(super) fn explained(error: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
    let error = error.into();
    let message = error.to_string();
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    if says(&FULL) {
        StoreError::DiskFull
    } else if says(&DAMAGED) {
        StoreError::Damaged(error)
    } else if says(&[NUL]) {
        let reason = "it contains the character U+0000, which PostgreSQL does not store".to_owned();
        StoreError::Invalid { field: "text", reason }
    } else {
        StoreError::Unavailable(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_damage_are_told_from_what_passes() {
        let full = "could not extend file \"base/5/16384\": No space left on device";
        assert!(matches!(explained(full), StoreError::DiskFull));
        let damaged = "invalid page in block 0 of relation base/5/16384";
        assert!(matches!(explained(damaged), StoreError::Damaged(_)));
        assert!(matches!(explained("server closed the connection unexpectedly"), StoreError::Unavailable(_)));
    }
}
