//! What SQLite says, as errors of a store.
//!
//! diesel looks at SQLite's extended result code, but passes it on for broken constraints only; of everything else it keeps
//! the message, and asking SQLite for the code is a call of C. So the messages are read: here and nowhere else. They are
//! those of the SQLite that is built into the program.

use std::error::Error;

use crate::StoreError;

const FULL: &str = "database or disk is full";
const DAMAGED: [&str; 2] = ["malformed", "file is not a database"];

/// What the message of an error tells.
pub(super) fn explained(error: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
    let error = error.into();
    let message = error.to_string();
    if message.contains(FULL) {
        StoreError::DiskFull
    } else if DAMAGED.iter().any(|words| message.contains(words)) {
        StoreError::Damaged(error)
    } else {
        StoreError::Unavailable(error)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use diesel::connection::SimpleConnection;
    use zenovay_auth::PasswordHash;
    use zenovay_domain::{Timestamp, UserId};

    use super::super::SqliteStore;
    use crate::{Result, StoreError, User, UserStore};

    fn create_user(store: &SqliteStore, n: u8) -> Result<()> {
        let id = UserId::from_random_bytes([n; 16]);
        let password_hash = PasswordHash::from_stored("x".repeat(100_000));
        let email = format!("person{n}@example.com");
        store.create_user(&User::new(id, email, "Person", password_hash, Timestamp::from_millis(0)))
    }

    /// Sabotage: another spelling of the message.
    #[test]
    fn a_full_database_is_a_full_disk() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path().join("zenovay.db")).unwrap();
        store.ask(|conn| Ok(conn.batch_execute("PRAGMA max_page_count = 60")?)).unwrap();
        let refused = (0..100).map(|n| create_user(&store, n)).find_map(Result::err).unwrap();
        assert!(matches!(refused, StoreError::DiskFull), "{refused}");
    }

    fn damaged(path: &Path, damage: impl FnOnce(&mut Vec<u8>)) -> StoreError {
        {
            let store = SqliteStore::open(path).unwrap();
            (0..20).try_for_each(|n| create_user(&store, n)).unwrap();
            store.ask(|conn| Ok(conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")?)).unwrap();
        }
        let mut bytes = std::fs::read(path).unwrap();
        damage(&mut bytes);
        std::fs::write(path, bytes).unwrap();
        SqliteStore::open(path).and_then(|store| store.users().map(|_| ())).unwrap_err()
    }

    /// Sabotage: another spelling of either message.
    #[test]
    fn damage_is_told_from_what_passes() {
        let dir = tempfile::tempdir().unwrap();
        let not_a_database = damaged(&dir.path().join("a.db"), |bytes| bytes[..16].fill(b'x'));
        assert!(matches!(not_a_database, StoreError::Damaged(_)), "{not_a_database}");
        // All pages but the first, with the schema left readable or not.
        let malformed = damaged(&dir.path().join("b.db"), |bytes| bytes[4_096..].fill(0xff));
        assert!(matches!(malformed, StoreError::Damaged(_)), "{malformed}");
        let absent = SqliteStore::open(Path::new("/nonexistent/zenovay.db")).unwrap_err();
        assert!(matches!(absent, StoreError::Unavailable(_)), "{absent}");
        for error in [not_a_database, malformed, absent] {
            let cause = std::error::Error::source(&error).expect("what SQLite or the system said");
            assert!(!error.to_string().contains(&cause.to_string()), "said twice: {error}: {cause}");
        }
    }
}
