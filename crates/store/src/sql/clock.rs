//! What a server remembers of its clock.

use diesel::prelude::*;
use zenovay_domain::{ClockMemory, DoubtedReading, Timestamp};

use super::SqlStore;
use crate::schema::server_clock;
use crate::{ClockStore, Result};

impl ClockStore for SqlStore {
    fn clock_memory(&self) -> Result<Option<ClockMemory>> {
        let row: Option<(Option<i64>, Option<i64>, i64)> = self.ask(|conn| {
            let row = server_clock::table
                .find(1)
                .select((server_clock::trusted_at, server_clock::doubted_at, server_clock::confirmed_ms))
                .first(conn);
            Ok(row.optional()?)
        })?;
        Ok(row.map(|(trusted_at, doubted_at, confirmed_ms)| {
            let doubted = doubted_at.map(|at| DoubtedReading::new(Timestamp::from_millis(at), confirmed_ms));
            ClockMemory::new(trusted_at.map(Timestamp::from_millis), doubted)
        }))
    }

    fn remember_clock(&self, memory: &ClockMemory) -> Result<()> {
        let (trusted_at, doubted_at) =
            (memory.trusted_at.map(Timestamp::as_millis), memory.doubted.map(|doubted| doubted.at.as_millis()));
        let confirmed_ms = memory.doubted.map_or(0, |doubted| doubted.confirmed_ms);
        let values = (
            server_clock::trusted_at.eq(trusted_at),
            server_clock::doubted_at.eq(doubted_at),
            server_clock::confirmed_ms.eq(confirmed_ms),
        );
        self.count(|conn| {
            diesel::insert_into(server_clock::table)
                .values((server_clock::id.eq(1), values))
                .on_conflict(server_clock::id)
                .do_update()
                .set(values)
                .execute(conn)?;
            Ok(())
        })
    }
}
