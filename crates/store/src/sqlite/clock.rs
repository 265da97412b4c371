//! What a server remembers of its clock.

use diesel::prelude::*;
use zenovay_domain::{ClockMemory, DoubtedReading, Timestamp};

use super::SqliteStore;
use crate::Result;
use crate::schema::server_clock;

impl SqliteStore {
    /// What [`SqliteStore::remember_clock`] stored last; `None` before the first time.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`](crate::StoreError::Unavailable).
    pub fn clock_memory(&self) -> Result<Option<ClockMemory>> {
        let row: Option<(Option<i64>, Option<i64>, i64)> = server_clock::table
            .find(1)
            .select((server_clock::trusted_at, server_clock::doubted_at, server_clock::confirmed_ms))
            .first(&mut self.connection()?)
            .optional()?;
        Ok(row.map(|(trusted_at, doubted_at, confirmed_ms)| ClockMemory {
            trusted_at: trusted_at.map(Timestamp::from_millis),
            doubted: doubted_at.map(|at| DoubtedReading { at: Timestamp::from_millis(at), confirmed_ms }),
        }))
    }

    /// Stores `memory` for the next server. As durable as the counting of requests.
    ///
    /// # Errors
    ///
    /// [`StoreError::DiskFull`](crate::StoreError::DiskFull), [`StoreError::Unavailable`](crate::StoreError::Unavailable).
    pub fn remember_clock(&self, memory: &ClockMemory) -> Result<()> {
        diesel::replace_into(server_clock::table)
            .values((
                server_clock::id.eq(1),
                server_clock::trusted_at.eq(memory.trusted_at.map(Timestamp::as_millis)),
                server_clock::doubted_at.eq(memory.doubted.map(|doubted| doubted.at.as_millis())),
                server_clock::confirmed_ms.eq(memory.doubted.map_or(0, |doubted| doubted.confirmed_ms)),
            ))
            .execute(&mut self.counting.lock().conn)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DataVersion;

    #[test]
    fn the_next_server_knows_what_the_last_one_knew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("zenovay.db");
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(store.clock_memory().unwrap(), None);
        let version = store.data_version().unwrap();
        let trusted_at = Some(Timestamp::from_millis(1));
        let doubted = Some(DoubtedReading { at: Timestamp::from_millis(-5), confirmed_ms: 7 });
        for memory in [
            ClockMemory { trusted_at, doubted },
            ClockMemory { trusted_at: None, doubted },
            ClockMemory { trusted_at, doubted: None },
        ] {
            store.remember_clock(&memory).unwrap();
            assert_eq!(SqliteStore::open(&path).unwrap().clock_memory().unwrap(), Some(memory));
        }
        assert_eq!(store.data_version().unwrap(), version, "caches stay");
    }
}
