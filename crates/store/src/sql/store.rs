//! How all methods of a store use its connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::failed::Done;
use super::people::check_standing;
use super::usage::Owed;
use super::{Conn, SqlStore, in_write_transaction};
use crate::{ActingStore, Metadata, Result, Standing, StoreError};

/// How often a change that others got ahead of is tried.
const EDITS_TRIED: usize = 20;

/// What the process knows beside the database.
#[derive(Default)]
pub(super) struct Known {
    /// Changes made through this store.
    pub(super) own_changes: AtomicU64,
    /// What could not be counted in the database.
    pub(super) owed: Owed,
}

impl SqlStore {
    /// Runs `work`, one statement.
    pub(super) fn ask<T>(&self, work: impl FnOnce(&mut Conn) -> Done<T>) -> Result<T> {
        Ok(self.shared.pool.with(work)?)
    }

    /// Runs `work` in a transaction while nobody else changes anything, in any process.
    pub(super) fn write<T>(&self, work: impl FnOnce(&mut Conn) -> Done<T>) -> Result<T> {
        let standing = self.standing;
        let result = self.shared.pool.with(|conn| {
            in_write_transaction(conn, |conn| {
                standing.map_or(Ok(()), |standing| check_standing(conn, standing))?;
                work(conn)
            })
        });
        self.shared.known.own_changes.fetch_add(1, Ordering::Release);
        Ok(result?)
    }

    /// Changes what `load` finds to what `edit` makes of it, which `save` stores. `edit` runs outside of any transaction, so it
    /// may use this store; when somebody else made a change meanwhile, it is asked again about what there is now.
    pub(super) fn edit<T: Clone + PartialEq>(
        &self,
        load: impl Fn(&mut Conn) -> Done<T>,
        edit: &mut dyn FnMut(&mut T) -> Result<()>,
        save: impl Fn(&mut Conn, T, T) -> Done<T>,
    ) -> Result<T> {
        for _ in 0..EDITS_TRIED {
            let stored = self.read(&load)?;
            let mut wanted = stored.clone();
            edit(&mut wanted)?;
            let saved = self.write(|conn| match load(conn)? {
                present if present == stored => save(conn, stored, wanted).map(Some),
                _ => Ok(None),
            })?;
            if let Some(saved) = saved {
                return Ok(saved);
            }
        }
        Err(StoreError::Unavailable(format!("others changed it {EDITS_TRIED} times meanwhile").into()))
    }

    /// What could not be counted in the database.
    pub(super) fn owed(&self) -> &Owed {
        &self.shared.known.owed
    }
}

impl ActingStore for SqlStore {
    fn on_behalf_of(&self, standing: Standing) -> Arc<dyn Metadata> {
        Arc::new(Self { shared: Arc::clone(&self.shared), standing: Some(standing) })
    }

    fn check_standing(&self) -> Result<()> {
        self.standing.map_or(Ok(()), |standing| self.read(|conn| check_standing(conn, standing)))
    }
}
