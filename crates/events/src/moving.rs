//! What is sealed, for whoever moves it into another store.
//!
//! Segments have a place, which stays when one is written anew because something in it was erased, and rows in the order of their arrival
//! where their time is the same. So whoever takes segments by their places, each from its first row to its last, takes all rows in an order
//! that gives the same answers. While [`EmbeddedStore::keep_segments`] says so, nothing but an erasure takes rows out of a segment, and no
//! two become one.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::params;
use zenovay_domain::{Event, Timestamp, WebsiteId};

use crate::copying::Sites;
use crate::export::piece;
use crate::ledger::Ledger;
use crate::log::{KeyRow, Log, LogFailure, Opened, Purpose};
use crate::segment::Segment;
use crate::{AppendError, ChangeError, EmbeddedStore, IdempotencyKey, OpenError, WebsiteRows};

/// So many keys are copied at a time.
const KEYS_AT_ONCE: i64 = 5_000;

/// A segment: a file of rows that never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sealed {
    /// Its place among all, in the order of arrival. What an erasure leaves of it has the same.
    pub position: u64,
    /// Which file it is. What an erasure leaves of it has another one.
    pub id: u64,
    /// Its rows.
    pub rows: u64,
}

/// Some rows of a segment, which follow each other.
pub type Piece = Vec<(WebsiteId, Event)>;

/// An idempotency key of a website, and when its event arrived.
pub type StoredKey = (WebsiteId, IdempotencyKey, Timestamp);

impl EmbeddedStore {
    /// Whether segments stay as they are from now on but for erasures: none is merged, and what is hidden for long enough stays hidden. Waits
    /// for a merge that is under way.
    #[doc(hidden)]
    pub fn keep_segments(&self, are_kept: bool) {
        self.inner.keeps_segments.store(are_kept, Ordering::SeqCst);
        drop(self.inner.rewriting.lock());
    }

    /// The segments in the order of arrival. What is not in one yet gets there by [`seal`](crate::EventStore::seal).
    #[doc(hidden)]
    pub fn sealed(&self) -> Vec<Sealed> {
        let sealed = |segment: &Arc<Segment>| {
            let meta = &segment.meta;
            Sealed { position: meta.position, id: meta.id, rows: meta.rows }
        };
        self.inner.state().segments.iter().map(sealed).collect()
    }

    /// Rows of the segment `id` from its row `from` on, up to `rows_max` of them: fewer at the end of a part of the file, none at its end.
    /// Hidden rows are among them. `None` when there is no such segment any more.
    ///
    /// # Errors
    /// When the file is damaged or cannot be read.
    #[doc(hidden)]
    pub fn read_sealed(&self, id: u64, from: u64, rows_max: usize) -> Result<Option<Piece>, ChangeError> {
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

    /// What is hidden, and since when.
    #[doc(hidden)]
    pub fn ledger(&self) -> Ledger {
        Ledger::clone(&self.inner.state().ledger)
    }

    /// How many rows there are of each website, hidden ones too.
    #[doc(hidden)]
    pub fn stored(&self) -> Vec<WebsiteRows> {
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
