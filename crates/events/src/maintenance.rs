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

use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::mpsc;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use zenovay_query::QueryError;

use crate::embedded::Inner;
use crate::log::{CatalogChange, sync_dir};
use crate::segment::{
    HeadSource, Keep, Origin, Segment, SegmentMeta, Source, Target, WriteError, file_name, temporary_name, write,
};
use crate::writer::Writer;
use crate::{AppendError, EmbeddedConfig, FaultPoint};

/// How often the background threads look whether something is due.
const PERIOD: Duration = Duration::from_secs(1);

/// How much is read through at a time, between merges: a gigabyte in four minutes.
const SCRUB_BYTES: u64 = 256 << 20;

/// Why a seal, merge or rewrite did not come about. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MaintenanceError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("cannot register: {0}")]
    Log(#[from] AppendError),
}

impl MaintenanceError {
    /// Whether it is about the segments that were read and not about the log, the disk or the end of the process.
    fn is_of_segments(&self) -> bool {
        matches!(self, Self::Write(WriteError::Source(_) | WriteError::Parquet(_)))
    }
}

impl From<io::Error> for MaintenanceError {
    fn from(error: io::Error) -> Self {
        Self::Write(WriteError::Io(error))
    }
}

impl From<MaintenanceError> for QueryError {
    fn from(error: MaintenanceError) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// What a new segment is to be.
struct Made {
    id: u64,
    position: u64,
    origin: Origin,
}

/// Wakes a background thread.
#[derive(Default)]
pub(crate) struct Bell {
    state: Mutex<BellState>,
    rung: Condvar,
}

#[derive(Default)]
struct BellState {
    rung: bool,
    stopped: bool,
}

impl Bell {
    pub(crate) fn wake(&self) {
        self.state.lock().rung = true;
        self.rung.notify_one();
    }

    pub(crate) fn stop(&self) {
        self.state.lock().stopped = true;
        self.rung.notify_one();
    }

    /// Waits for a ring or for `patience`. `false` when the thread shall end.
    fn wait(&self, patience: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.rung && !state.stopped {
            self.rung.wait_for(&mut state, patience);
        }
        state.rung = false;
        !state.stopped
    }
}

/// The sealing thread.
pub(crate) fn run_sealer(inner: &Weak<Inner>, bell: &Bell) {
    while bell.wait(PERIOD) {
        let Some(inner) = inner.upgrade() else { return };
        let state = inner.state();
        // What a failed seal left is tried again, once a period.
        if (inner.seal_is_due(&state) || !state.frozen.is_empty())
            && let Err(error) = inner.seal()
        {
            tracing::warn!(%error, "sealing failed, will be tried again");
            drop(inner);
            if !bell.wait(PERIOD) {
                return;
            }
        }
    }
}

/// The merging thread.
pub(crate) fn run_merger(inner: &Weak<Inner>, bell: &Bell) {
    let mut patience = PERIOD * 5;
    while bell.wait(patience) {
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
        let _sealing = self.sealing.lock();
        self.on_writer(Writer::freeze)??;
        let mut sealed = false;
        while let Some(frozen) = self.state().frozen.first().cloned() {
            let started = Instant::now();
            let source = HeadSource::new(&frozen.generation);
            let id = self.next_segment_id();
            let made = Made { id, position: id, origin: frozen.origin.clone() };
            let segment = self.write_segment(made, &[&source], Keep::All, &|| false)?;
            let rows = segment.as_ref().map_or(0, |segment| segment.rows);
            let change = CatalogChange {
                add: segment.into_iter().collect(),
                sealed_seq: Some(frozen.last_seq),
                retention: self.state().ledger.restart_late(&frozen.generation),
                ..CatalogChange::default()
            };
            self.register(change, Some(frozen.generation.id))?;
            if let Some(observer) = &self.config.observer {
                observer.sealed(rows, started.elapsed());
            }
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
        let state = self.state();
        let started = Instant::now();
        let mut aside = self.set_aside.lock();
        aside.forget_all_but(&state.segments);
        let sizes: Vec<Option<Size>> = state
            .segments
            .iter()
            .map(|segment| {
                let (id, rows) = (segment.meta.id, segment.meta.rows);
                // A segment whose size cannot be read cannot be merged.
                let is_due = !segment.is_damaged() && !aside.holds(id, started);
                let bytes = is_due.then(|| segment.text_bytes().ok()).flatten()?;
                Some(Size { rows, bytes })
            })
            .collect();
        // A file of format 2 says nothing of itself, so that only the catalog can tell what is in it: it is written anew.
        let old = || {
            let is_old =
                |(segment, size): (&Arc<Segment>, &Option<Size>)| size.is_some() && segment.meta.tail.is_none();
            state.segments.iter().zip(&sizes).position(is_old).map(|at| at..at + 1)
        };
        let Some(run) = merge_run(&sizes, &self.config).or_else(old) else { return Ok(false) };
        let old = &state.segments[run];
        let rows = old.iter().map(|segment| segment.meta.rows).sum();
        // A large merge must not hold up the end of the process.
        let merged = self.rewrite(old, Keep::All, &|| self.is_stopping());
        match &merged {
            Err(MaintenanceError::Write(WriteError::Source(error))) => aside.add(&[error.segment()], started),
            Err(error) if error.is_of_segments() => {
                aside.add(&old.iter().map(|segment| segment.meta.id).collect::<Vec<_>>(), started);
            }
            _ => {}
        }
        drop(aside);
        merged?;
        if let Some(observer) = &self.config.observer {
            observer.merged(rows, started.elapsed());
        }
        Ok(true)
    }

    /// Removes what `keep` does not keep from every file, and from the log. Rows that arrive meanwhile may stay. A damaged
    /// file stays as it is, and is the error when all others are done.
    pub(crate) fn erase(&self, keep: Keep<'_>) -> Result<(), MaintenanceError> {
        let Some(website) = keep.website() else { return Ok(()) };
        let _rewriting = self.rewriting.lock();
        self.seal()?;
        let mut damage = None;
        for segment in &self.state().segments {
            let removed = match keep.concerns(segment) {
                Ok(false) => Ok(()),
                Ok(true) => self.rewrite(std::slice::from_ref(segment), keep, &|| false),
                Err(error) => Err(WriteError::from(error).into()),
            };
            match removed {
                Err(error @ MaintenanceError::Write(WriteError::Source(_))) => damage = Some(error),
                other => other?,
            }
        }
        self.views.forget(website);
        let forget = matches!(keep, Keep::AllButWebsite(_)).then_some(website);
        self.on_writer(move |writer| writer.scrub(forget))??;
        damage.map_or(Ok(()), Err)
    }

    /// Puts one segment with the kept rows of `old` in their place, unless `cancelled` says so meanwhile.
    pub(crate) fn rewrite(
        &self,
        old: &[Arc<Segment>],
        keep: Keep<'_>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), MaintenanceError> {
        let Some(position) = old.first().map(|segment| segment.meta.position) else { return Ok(()) };
        let sources: Vec<&dyn Source> = old.iter().map(|segment| &**segment as &dyn Source).collect();
        let origin = Origin::union(old.iter().map(|segment| &segment.meta.origin));
        let made = Made { id: self.next_segment_id(), position, origin: origin.clone() };
        let segment = self.write_segment(made, &sources, keep, cancelled)?;
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
        keep: Keep<'_>,
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
        let target = Target { path: &temporary, store, id, position, origin, group_rows, group_bytes };
        let segment = write(target, sources, keep, cancelled).map_err(abandon)?;
        sync_dir(&self.segments_dir)?;
        Ok(segment)
    }

    fn register(&self, change: CatalogChange, sealed: Option<u64>) -> Result<(), MaintenanceError> {
        self.config.fault(FaultPoint::SegmentRegister)?;
        let added: Vec<u64> = change.add.iter().map(|segment| segment.id).collect();
        let registered = self.on_writer(move |writer| writer.register(&change, sealed))?;
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

    /// Runs `step` on the writer thread and waits for it.
    pub(crate) fn on_writer<T: Send + 'static>(
        &self,
        step: impl FnOnce(&mut Writer) -> T + Send + 'static,
    ) -> Result<T, AppendError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let queued = self.queue.run(Box::new(move |writer| {
            let _ = sender.send(step(writer));
        }));
        if !queued {
            return Err(AppendError::ShuttingDown);
        }
        receiver.recv().map_err(|_| AppendError::ShuttingDown)
    }
}

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    rows: u64,
    /// Its strings, unpacked.
    bytes: u64,
}

/// Of segments of these sizes, in the order of arrival, a run of neighbours to merge: at least `merge_fan_in` of them, the
/// smallest size classes first, together at most `merge_rows_max` rows and `merge_bytes_max` bytes, and none larger than the
/// others together, so that no row is rewritten before its segment at least doubles. Neighbours only, so that rows of the
/// same time keep the order of their arrival; `None` stands for one that is set aside.
fn merge_run(sizes: &[Option<Size>], config: &EmbeddedConfig) -> Option<std::ops::Range<usize>> {
    let fan_in = config.merge_fan_in.max(2);
    let class = |size: Size| size.rows.max(1).ilog(fan_in as u64);
    let mut classes: Vec<u32> = sizes.iter().flatten().map(|&size| class(size)).collect();
    classes.sort_unstable();
    classes.dedup();
    for highest in classes {
        for start in 0..sizes.len() {
            let (mut run, mut rows, mut bytes, mut largest) = (0, 0u64, 0u64, 0);
            for size in sizes[start..].iter().take(2 * fan_in) {
                let Some(size) = size.filter(|&size| class(size) <= highest) else { break };
                let more = (rows.saturating_add(size.rows), bytes.saturating_add(size.bytes));
                if more.0 > config.merge_rows_max || more.1 > config.merge_bytes_max {
                    break;
                }
                ((rows, bytes), run, largest) = (more, run + 1, largest.max(size.rows));
            }
            if run >= fan_in && largest <= rows - largest {
                return Some(start..start + run);
            }
        }
    }
    None
}

/// Segments that are not merged for a while, because that failed.
#[derive(Default)]
pub(crate) struct SetAside(HashMap<u64, Failed>);

struct Failed {
    times: u32,
    until: Instant,
}

impl SetAside {
    /// The pause after the first failure; doubled by each further one, up to about a day.
    const PAUSE: Duration = Duration::from_secs(60);
    const DOUBLINGS_MAX: u32 = 10;

    fn add(&mut self, ids: &[u64], now: Instant) {
        for &id in ids {
            let failed = self.0.entry(id).or_insert(Failed { times: 0, until: now });
            failed.until = now + Self::PAUSE * (1 << failed.times.min(Self::DOUBLINGS_MAX));
            failed.times += 1;
        }
    }

    fn holds(&self, id: u64, now: Instant) -> bool {
        self.0.get(&id).is_some_and(|failed| now < failed.until)
    }

    fn forget_all_but(&mut self, segments: &[Arc<Segment>]) {
        self.0.retain(|id, _| segments.iter().any(|segment| segment.meta.id == *id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge_run(rows: &[u64], merge_fan_in: usize, merge_rows_max: u64) -> Option<std::ops::Range<usize>> {
        let config = EmbeddedConfig { merge_fan_in, merge_rows_max, ..EmbeddedConfig::new("") };
        let size = |&rows: &u64| (rows < u64::MAX).then_some(Size { rows, bytes: 100 });
        let sizes: Vec<_> = rows.iter().map(size).collect();
        super::merge_run(&sizes, &config)
    }

    /// Sabotage: count rows alone.
    #[test]
    fn long_strings_end_a_run_and_what_is_set_aside_is_passed_over() {
        let config = EmbeddedConfig { merge_bytes_max: 1_000, ..EmbeddedConfig::new("") };
        let size = |bytes| Some(Size { rows: 10, bytes });
        assert_eq!(super::merge_run(&[size(250); 8], &config), Some(0..4));
        assert_eq!(super::merge_run(&[size(251); 8], &config), None);
        let sizes = [size(600), size(600), size(1), size(1), size(1), size(1)];
        assert_eq!(super::merge_run(&sizes, &config), Some(1..6));
        assert_eq!(super::merge_run(&[size(1), size(1), None, size(1), size(1), size(1)], &config), None);
        let sizes = [size(1), None, size(1), size(1), size(1), size(1)];
        assert_eq!(super::merge_run(&sizes, &config), Some(2..6));
    }

    #[test]
    fn a_pause_grows_with_each_failure_and_has_an_end() {
        let (mut aside, start) = (SetAside::default(), Instant::now());
        let minutes = |minutes: u64| start + Duration::from_secs(60 * minutes);
        aside.add(&[7], start);
        assert!(aside.holds(7, minutes(0)) && !aside.holds(7, minutes(1)) && !aside.holds(8, minutes(0)));
        aside.add(&[7, 8], minutes(1));
        assert!(aside.holds(7, minutes(2)) && !aside.holds(7, minutes(3)) && !aside.holds(8, minutes(2)));
        for _ in 0..100 {
            aside.add(&[7], start);
        }
        assert!(aside.holds(7, minutes(1_023)) && !aside.holds(7, minutes(1_024)));
        aside.forget_all_but(&[]);
        assert!(!aside.holds(7, start));
    }

    #[test]
    fn neighbours_of_one_size_are_merged() {
        assert_eq!(merge_run(&[], 4, 1_000_000), None);
        assert_eq!(merge_run(&[100; 3], 4, 1_000_000), None);
        assert_eq!(merge_run(&[100; 4], 4, 1_000_000), Some(0..4));
        assert_eq!(merge_run(&[90_000, 100, 100, 100, 100], 4, 1_000_000), Some(1..5));
        assert_eq!(merge_run(&[90_000, 100, 100, 100], 4, 1_000_000), None);
        // A small one between large ones does not keep them apart for ever.
        assert_eq!(merge_run(&[90_000, 100, 90_000, 90_000], 4, 1_000_000), Some(0..4));
    }

    #[test]
    fn segments_stop_growing_at_the_limit() {
        assert_eq!(merge_run(&[300_000; 4], 4, 1_000_000), None);
        assert_eq!(merge_run(&[300_000, 300_000, 10, 10, 10, 10], 4, 500_000), Some(2..6));
        // What cannot be merged with anything parts its neighbours.
        assert_eq!(merge_run(&[10, 10, u64::MAX, 10, 10], 3, 500_000), None);
        assert_eq!(merge_run(&[10, u64::MAX, 10, 10, 10], 3, 500_000), Some(2..5));
    }
}
