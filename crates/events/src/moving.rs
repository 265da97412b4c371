//! What is sealed, for whoever moves it into another store.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::params;
use zenovay_domain::{Timestamp, WebsiteId};

use crate::copying::Sites;
use crate::export::piece;
use crate::ledger::Ledger;
use crate::log::{KeyRow, Log, LogFailure, Opened, Purpose};
use crate::segment::Segment;
use crate::store::{Movable, Piece, Sealed};
use crate::{AppendError, ChangeError, EmbeddedStore, IdempotencyKey, OpenError, WebsiteRows};

/// So many keys are copied at a time.
const KEYS_AT_ONCE: i64 = 5_000;

/// An idempotency key of a website, and when its event arrived.
pub type StoredKey = (WebsiteId, IdempotencyKey, Timestamp);

impl Movable for EmbeddedStore {
    fn keep_segments(&self, are_kept: bool) {
        self.inner.keeps_segments.store(are_kept, Ordering::SeqCst);
        drop(self.inner.rewriting.lock());
    }

    fn merge(&self) -> Result<bool, ChangeError> {
        EmbeddedStore::merge(self)
    }

    fn sealed(&self) -> Vec<Sealed> {
        let sealed = |segment: &Arc<Segment>| {
            let meta = &segment.meta;
            Sealed { position: meta.position, id: meta.id, rows: meta.rows }
        };
        self.inner.state().segments.iter().map(sealed).collect()
    }

    fn read_sealed(&self, id: u64, from: u64, rows_max: usize) -> Result<Option<Piece>, ChangeError> {
        let state = self.inner.state();
        let Some(segment) = state.segments.iter().find(|segment| segment.meta.id == id) else { return Ok(None) };
        let mut first = usize::try_from(from).unwrap_or(usize::MAX);
        for group in (0..).take(segment.meta.groups.len()) {
            let rows = segment.group_rows(group);
            if first < rows {
                return Ok(Some(piece(segment, group, first..rows.min(first.saturating_add(rows_max)))?));
            }
            first -= rows;
        }
        Ok(Some(Vec::new()))
    }

    fn ledger(&self) -> Ledger {
        Ledger::clone(&self.inner.state().ledger)
    }

    fn stored(&self) -> Vec<WebsiteRows> {
        let state = self.inner.state();
        let mut sites = Sites::of_segments(state.segments.iter().map(|segment| &segment.meta));
        sites.add_head(&state);
        sites.rows()
    }
}

/// Copies the idempotency keys of the store in `from` into the log of a spool in `to`, which is made when it is missing, and hands them to
/// `take` as well. The same again does no harm. Needs both for itself. Blocks.
///
/// # Errors
/// When one of them cannot be used, with the error of `take` when that is it.
pub fn copy_keys<E: From<OpenError>>(
    from: &Path,
    to: &Path,
    take: &mut dyn FnMut(&[StoredKey]) -> Result<(), E>,
) -> Result<(), E> {
    let damaged = |dir: &Path, what: String| OpenError::Damaged { dir: dir.to_owned(), what };
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(to);
    made.map_err(|error| OpenError::io(to, error))?;
    let Opened { log: source, .. } = Log::open(from, Purpose::Look)?;
    let Opened { log: mut target, file: _file, .. } = Log::open(to, Purpose::Serve)?;
    let mut after = (Vec::new(), Vec::new());
    loop {
        let rows = source.keys(&after, KEYS_AT_ONCE).map_err(|error| damaged(from, error.to_string()))?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = (last.website.to_vec(), last.key.clone());
        let written = target.change(None, |connection| {
            let mut insert = connection.prepare(
                "INSERT OR IGNORE INTO idempotency (website, key, body, received_at) VALUES (?1, ?2, ?3, ?4)",
            )?;
            for row in &rows {
                insert.execute(params![row.website, row.key, row.body, row.received_at])?;
            }
            Ok(())
        });
        target = match written {
            Ok((log, ())) => log,
            Err(LogFailure::Refused(_, hindrance)) => {
                return Err(damaged(to, AppendError::from(hindrance).to_string()).into());
            }
            Err(LogFailure::Poisoned(log)) => return Err(damaged(to, log.reason).into()),
        };
        let key = |row: &KeyRow| {
            let key = IdempotencyKey(row.key.as_slice().try_into().ok()?);
            Some((WebsiteId::from_bytes(row.website), key, Timestamp::from_millis(row.received_at)))
        };
        let keys: Vec<StoredKey> = rows.iter().filter_map(key).collect();
        take(&keys)?;
    }
}
