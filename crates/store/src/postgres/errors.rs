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

/// What the back end said, when the message of an error does not repeat it.
pub(super) fn cause_of(error: &StoreError) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// What to do about what a server says to whoever opens a store on it: the first of which the message has the words.
const REMEDIES: [(&str, &str); 8] = [
    (
        "password authentication failed",
        "put the right user and password into the URL, with characters such as @ : / as %40 %3A %2F",
    ),
    ("no password supplied", "put the password into the URL, or into a file that `passfile` names"),
    ("no pg_hba.conf entry", "let this machine in: a line in pg_hba.conf of the server"),
    ("permission denied", "give the database to the user: ALTER DATABASE … OWNER TO …"),
    ("database \"", "create it: CREATE DATABASE … OWNER … ENCODING 'UTF8' TEMPLATE template0"),
    ("role \"", "create it: CREATE ROLE … LOGIN PASSWORD …"),
    ("SSL", "look at `sslmode` and `sslrootcert` in the URL"),
    ("certificate", "look at `sslmode` and `sslrootcert` in the URL"),
];

/// What a server said to whoever opens a store on it, in one line, and what to do about it.
pub(super) fn told(message: &str) -> String {
    let line = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    let remedy = REMEDIES.iter().find(|(words, _)| message.contains(words)).filter(|_| !is_starting(message));
    remedy.map_or(line.clone(), |(_, remedy)| format!("{line}: {remedy}"))
}

/// The server is there, and serves soon or again.
fn is_starting(message: &str) -> bool {
    ["the database system is", "too many clients", "remaining connection slots"]
        .iter()
        .any(|words| message.contains(words))
}

/// Whether what was said to whoever connects passes by itself: nobody answered, or the server does not serve yet.
pub(super) fn is_passing(message: &str) -> bool {
    is_starting(message) || !(message.contains("FATAL:") || message.contains("SSL") || message.contains("certificate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: wait for a password to become right, or refuse a server that starts.
    #[test]
    fn what_passes_is_waited_for_and_what_does_not_is_said_with_what_to_do() {
        let refused = "connection to server at \"10.0.0.1\", port 5432 failed: Connection refused\n\tIs the server running on that host?\n";
        assert!(is_passing(refused) && told(refused).ends_with("; Is the server running on that host?"));
        assert_eq!(told(refused).lines().count(), 1);
        let starting = "connection to server failed: FATAL:  the database system is starting up";
        assert!(is_passing(starting));
        assert_eq!(told(starting), starting);
        for (said, remedy) in [
            ("connection to server failed: FATAL:  password authentication failed for user \"z\"", "%40"),
            ("connection to server failed: FATAL:  database \"z\" does not exist", "CREATE DATABASE"),
            ("connection to server failed: FATAL:  role \"z\" does not exist", "CREATE ROLE"),
            ("connection to server failed: server does not support SSL, but SSL was required", "sslmode"),
        ] {
            assert!(!is_passing(said) && told(said).contains(remedy), "{said}");
        }
        assert!(told("permission denied for schema public").contains("OWNER TO"));
    }

    #[test]
    fn a_full_disk_and_damage_are_told_from_what_passes() {
        let full = "could not extend file \"base/5/16384\": No space left on device";
        assert!(matches!(explained(full), StoreError::DiskFull));
        let damaged = "invalid page in block 0 of relation base/5/16384";
        assert!(matches!(explained(damaged), StoreError::Damaged(_)));
        assert!(matches!(explained("server closed the connection unexpectedly"), StoreError::Unavailable(_)));
    }
}
