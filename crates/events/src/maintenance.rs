//! Sealing, merging and rewriting. Each ends in one transaction that registers the new files and takes the old ones, or
//! the batches that were sealed, out of the catalog:
//!
//! 1. write `<id>.tmp`, fsync it and the directory
//! 2. the transaction, which also notes the old files as replaced
//! 3. replace the state that queries see
//! 4. rename to `<id>.parquet`
//! 5. remove old files
//!
//! A death before 2 leaves a `*.tmp` that nothing names, which is removed at the next start; one after 2 a file without its
//! name, which gets it then, and old files that the catalog has noted. What neither is true of is nobody's leftover, see
//! [`crate::catalog`].

use std::fs;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;
use zenovay_domain::{VisitorId, WebsiteId};
use zenovay_query::Cause;

use crate::catalog::sync_dir;
use crate::faults::FaultPoint;
use crate::head::SiteHead;
use crate::inner::{Inner, WakeSignal};
use crate::log::CatalogChange;
use crate::merging::{Size, merge_run};
use crate::queue::Task;
use crate::segment::{
    Columns, HeadSource, Origin, Retain, Segment, SegmentMeta, Source, Target, WriteError, can_be_given, file_name,
    temporary_name, write,
};
use crate::{AppendError, ChangeError};

/// How often the background threads look whether something is due.
const PERIOD: Duration = Duration::from_secs(1);

/// How much is read through at a time, between merges: a gigabyte in four minutes.
const SCRUB_BYTES: u64 = 256 << 20;

/// How long a seal waits for whoever looks for something to merge, so that it can give codes: not as long as a merge takes.
const CODES_PATIENCE: Duration = Duration::from_millis(100);

/// Why a seal, merge or rewrite did not come about. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MaintenanceError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("cannot register: {0}")]
    Log(AppendError),
    #[error("captures are not durable where they go: {0}")]
    Captures(ChangeError),
}

impl MaintenanceError {
    /// Whether it is about the segments that were read and not about the log, the disk or the end of the process.
    fn is_of_segments(&self) -> bool {
        matches!(self, Self::Write(WriteError::Source(_) | WriteError::Parquet(_)))
    }
}

impl From<AppendError> for MaintenanceError {
    fn from(error: AppendError) -> Self {
        Self::Log(error)
    }
}

impl From<io::Error> for MaintenanceError {
    fn from(error: io::Error) -> Self {
        Self::Write(WriteError::Io(error))
    }
}

impl From<MaintenanceError> for ChangeError {
    fn from(error: MaintenanceError) -> Self {
        match error {
            MaintenanceError::Log(AppendError::DiskFull) => Self::DiskFull,
            MaintenanceError::Captures(error) => error,
            MaintenanceError::Write(WriteError::Io(error)) if error.kind() == io::ErrorKind::StorageFull => {
                Self::DiskFull
            }
            error if error.is_of_segments() => Self::Damaged(Cause::new(error.to_string(), error)),
            error => Self::Unavailable(Cause::new(error.to_string(), error)),
        }
    }
}

/// What a new segment is to be.
struct Made {
    id: u64,
    position: u64,
    origin: Origin,
}

/// The sealing thread.
pub(crate) fn run_sealer(inner: &Weak<Inner>, signal: &WakeSignal) {
    while signal.wait(PERIOD) {
        let Some(inner) = inner.upgrade() else { return };
        let state = inner.state();
        let sealed = if inner.seal_is_due(&state) {
            inner.seal()
        } else if !state.frozen.is_empty() {
            // What a failed seal left is tried again, once a period; what came since then stays in the head.
            inner.seal_frozen(&inner.sealing.lock(), None)
        } else {
            Ok(false)
        };
        if let Err(error) = sealed {
            tracing::warn!(%error, "sealing failed, will be tried again");
            drop(inner);
            if !signal.wait(PERIOD) {
                return;
            }
        }
    }
}

/// The merging thread.
pub(crate) fn run_merger(inner: &Weak<Inner>, signal: &WakeSignal) {
    let mut patience = PERIOD * 5;
    while signal.wait(patience) {
        patience = PERIOD * 60;
        let Some(inner) = inner.upgrade() else { return };
        inner.scrub(SCRUB_BYTES);
        loop {
            match inner.merge() {
                Ok(true) if !inner.is_stopping() => {}
                Ok(_) => break,
                Err(MaintenanceError::Write(WriteError::Cancelled)) => return,
                Err(error) => {
                    tracing::warn!(%error, "merging failed, will be tried again");
                    // Those that it is about are damaged or set aside: others are merged meanwhile. Else nothing can be.
                    if !error.is_of_segments() {
                        break;
                    }
                }
            }
        }
    }
}

impl Inner {
    /// Seals the head. `false` when it is empty.
    pub(crate) fn seal(&self) -> Result<bool, MaintenanceError> {
        let sealing = self.sealing.lock();
        self.queue.run(Task::Freeze)?;
        self.seal_frozen(&sealing, None)
    }

    /// The same for who holds the lock of rewriting.
    fn seal_while_rewriting(&self, rewriting: &MutexGuard<'_, ()>) -> Result<bool, MaintenanceError> {
        let sealing = self.sealing.lock();
        self.queue.run(Task::Freeze)?;
        self.seal_frozen(&sealing, Some(rewriting))
    }

    /// Seals what was frozen. `false` when nothing was.
    fn seal_frozen(
        &self,
        _sealing: &MutexGuard<'_, ()>,
        rewriting: Option<&MutexGuard<'_, ()>>,
    ) -> Result<bool, MaintenanceError> {
        let mut sealed = false;
        while let Some(frozen) = self.state().frozen.first().cloned() {
            let started = Instant::now();
            // What came in its batches was handed over before it was frozen.
            if let (true, Some(sink)) = (frozen.generation.captured() > 0, &self.config.captures) {
                sink.sync().map_err(MaintenanceError::Captures)?;
            }
            let source = HeadSource::new(&frozen.generation);
            let id = self.next_segment_id();
            let made = Made { id, position: id, origin: frozen.origin.clone() };
            // Who gives codes must be the only one until they are registered. What is sealed meanwhile gets them when it is merged.
            let own = if rewriting.is_none() { self.rewriting.try_lock_for(CODES_PATIENCE) } else { None };
            let state = self.state();
            let registered = (rewriting.is_some() || own.is_some()).then_some(&state.segments[..]);
            let segment = self.write_segment(made, &[&source], Retain::All, registered, &|| false)?;
            let rows = segment.as_ref().map_or(0, |segment| segment.rows);
            let change = CatalogChange {
                add: segment.into_iter().collect(),
                sealed_seq: Some(frozen.last_seq),
                retention: self.state().ledger.restart_late(&frozen.generation),
                ..CatalogChange::default()
            };
            self.register(change, Some(frozen.generation.id))?;
            self.config.tell(|observer| observer.sealed(rows, started.elapsed()));
            sealed = true;
        }
        self.merger.wake();
        Ok(sealed)
    }

    /// Reads through, of the segments that were not yet, as many as have `bytes` together; at least one.
    pub(crate) fn scrub(&self, bytes: u64) {
        let mut read = 0;
        while read <= bytes && !self.is_stopping() {
            // So that no file goes away meanwhile.
            let _rewriting = self.rewriting.lock();
            let state = self.state();
            let Some(segment) = state.segments.iter().find(|segment| segment.scrub()) else { return };
            read += segment.meta.bytes;
        }
    }

    /// Merges one run of segments that is due. `false` when none is. A segment that is known to be damaged is in no run, and
    /// after any other error those that it is about are set aside: the next call merges others.
    pub(crate) fn merge(&self) -> Result<bool, MaintenanceError> {
        let _rewriting = self.rewriting.lock();
        if self.keeps_segments.load(Ordering::SeqCst) {
            return Ok(false);
        }
        let state = self.state();
        let started = Instant::now();
        let mut aside = self.set_aside.lock();
        aside.forget_all_but(&state.segments);
        let may_merge = |segment: &Segment| !segment.is_damaged() && !aside.holds(segment.meta.id, started);
        let sizes: Vec<Option<Size>> = state
            .segments
            .iter()
            .map(|segment| {
                // A segment whose size cannot be read cannot be merged.
                let bytes = may_merge(segment).then(|| segment.text_bytes().ok()).flatten()?;
                Some(Size { rows: segment.meta.rows, bytes })
            })
            .collect();
        // What an earlier version wrote is written anew: it does not know all that is known of files now. So is what has no codes.
        let may_code = !self.have_codes_failed.swap(false, Ordering::Relaxed) && can_be_given(&state.segments);
        let old = || {
            let is_old = |segment: &Arc<Segment>| {
                let is_old = segment.meta.is_old() || (may_code && segment.meta.lacks_codes());
                may_merge(segment) && (is_old || segment.has_old_visits())
            };
            state.segments.iter().position(is_old).map(|at| at..at + 1)
        };
        let Some(run) = merge_run(&sizes, &self.config).or_else(old) else { return Ok(false) };
        let old = &state.segments[run];
        let rows = old.iter().map(|segment| segment.meta.rows).sum();
        // A large merge must not hold up the end of the process.
        let merged = self.rewrite(old, Retain::All, &|| self.is_stopping());
        match &merged {
            Err(MaintenanceError::Write(WriteError::Source(error))) => aside.add(&[error.segment()], started),
            Err(error) if error.is_of_segments() => {
                aside.add(&old.iter().map(|segment| segment.meta.id).collect::<Vec<_>>(), started);
            }
            _ => {}
        }
        drop(aside);
        merged?;
        self.config.tell(|observer| observer.merged(rows, started.elapsed()));
        Ok(true)
    }

    /// Removes the rows of `visitor` of `website`, or of the whole website, from every file, and from the log. Looks before it
    /// acts: where there is no such row nothing is sealed, written or forgotten. Rows that arrive meanwhile may stay. A damaged
    /// file stays as it is, and is the error when all others are done.
    pub(crate) fn erase(&self, website: WebsiteId, visitor: Option<VisitorId>) -> Result<(), MaintenanceError> {
        let retain = match visitor {
            Some(visitor) => Retain::WithoutVisitor(website, visitor),
            None => Retain::WithoutWebsite(website),
        };
        let rewriting = self.rewriting.lock();
        let mut state = self.state();
        let has_row = |site: &SiteHead| visitor.is_none_or(|visitor| site.visitors.ids().contains(&visitor.0));
        let mut is_any =
            state.generations().filter_map(|generation| generation.site(website)).any(|site| has_row(&site.lock()));
        // Whose captures are in the log only their sink knows.
        if is_any || state.generations().any(|generation| generation.captured() > 0) {
            self.seal_while_rewriting(&rewriting)?;
            state = self.state();
        }
        let mut damage = None;
        for segment in &state.segments {
            let removed = match retain.concerns(segment) {
                Ok(false) => Ok(()),
                Ok(true) => {
                    is_any = true;
                    self.rewrite(std::slice::from_ref(segment), retain, &|| false)
                }
                Err(error) => Err(WriteError::from(error).into()),
            };
            match removed {
                Err(error @ MaintenanceError::Write(WriteError::Source(_))) => damage = Some(error),
                other => other?,
            }
        }
        if is_any {
            self.views.forget(website);
            self.temporary.forget(website);
        }
        // Also without a row: an erasure that died after it had written its files anew is completed.
        self.queue.run(Task::Scrub { forget: visitor.is_none().then_some(website) })?;
        damage.map_or(Ok(()), Err)
    }

    /// Puts one segment with the kept rows of `old` in their place, unless `cancelled` says so meanwhile. Only for who holds the lock of
    /// rewriting.
    pub(crate) fn rewrite(
        &self,
        old: &[Arc<Segment>],
        retain: Retain<'_>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), MaintenanceError> {
        let Some(position) = old.first().map(|segment| segment.meta.position) else { return Ok(()) };
        let sources: Vec<&dyn Source> = old.iter().map(|segment| &**segment as &dyn Source).collect();
        let origin = Origin::union(old.iter().map(|segment| &segment.meta.origin));
        let made = Made { id: self.next_segment_id(), position, origin: origin.clone() };
        let segment = self.write_segment(made, &sources, retain, Some(&self.state().segments), cancelled)?;
        let change = CatalogChange {
            erased: segment.is_none().then_some(origin),
            add: segment.into_iter().collect(),
            remove: old.iter().map(|segment| segment.meta.id).collect(),
            ..CatalogChange::default()
        };
        self.register(change, None)?;
        self.config.fault(FaultPoint::SegmentCleanup)?;
        for segment in old {
            segment.remove_file()?;
        }
        Ok(sync_dir(&self.segments_dir)?)
    }

    fn write_segment(
        &self,
        made: Made,
        sources: &[&dyn Source],
        retain: Retain<'_>,
        registered: Option<&[Arc<Segment>]>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<SegmentMeta>, MaintenanceError> {
        let Made { id, position, origin } = made;
        let temporary = self.segments_dir.join(temporary_name(id));
        self.config.fault(FaultPoint::SegmentWrite)?;
        let abandon = |error: WriteError| {
            // Space for others; what cannot be removed now is swept at the next start.
            let _ = fs::remove_file(&temporary);
            error
        };
        let (store, group_rows, group_bytes) = (self.store, self.config.group_rows, self.config.group_bytes);
        let columns = Columns::default();
        let target = Target { path: &temporary, store, id, position, origin, columns, group_rows, group_bytes };
        let segment = match write(target.clone(), sources, retain, registered, cancelled) {
            // Another segment is the reason, and codes are no reason to keep rows where they are.
            Err(WriteError::Codes(error)) => {
                tracing::warn!(%error, "a segment is written without visitor codes");
                self.have_codes_failed.store(true, Ordering::Relaxed);
                write(target, sources, retain, None, cancelled)
            }
            written => written,
        };
        let segment = segment.map_err(abandon)?;
        sync_dir(&self.segments_dir)?;
        Ok(segment)
    }

    fn register(&self, change: CatalogChange, sealed: Option<u64>) -> Result<(), MaintenanceError> {
        self.config.fault(FaultPoint::SegmentRegister)?;
        let added: Vec<u64> = change.add.iter().map(|segment| segment.id).collect();
        let registered = self.queue.run(Task::Register { change: Box::new(change), sealed });
        if registered == Err(AppendError::DiskFull) || registered == Err(AppendError::Busy) {
            // Certainly not registered. After a failed log nobody knows: the next start finds out.
            for id in &added {
                let _ = fs::remove_file(self.segments_dir.join(temporary_name(*id)));
            }
        }
        registered?;
        self.config.fault(FaultPoint::SegmentRename)?;
        for id in added {
            match fs::rename(self.segments_dir.join(temporary_name(id)), self.segments_dir.join(file_name(id))) {
                // Merged and removed already.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                renamed => renamed?,
            }
        }
        Ok(())
    }
}
