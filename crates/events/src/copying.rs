//! A copy of the store of one moment, while it goes on.
//!
//! The moment is taken on the thread that commits, between two commits: everything is in the database file of the log then, and
//! that stays as it is until it is copied, because nothing but a checkpoint writes to it. Segment files never change, and
//! none goes away until they are copied, because whoever replaces segments waits.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{channel, sync_channel};

use xxhash_rust::xxh3::xxh3_64;
use zenovay_domain::{Timestamp, WebsiteId};

use crate::codec::Record;
use crate::inner::Inner;
use crate::log::{Log, Opened, Purpose};
use crate::maintenance::MaintenanceError;
use crate::queue::Task;
use crate::segment::{SegmentMeta, encode_meta, file_name};
use crate::state::State;
use crate::{AppendError, Copier, Moment, OpenError, SegmentFile, WebsiteRows, codec, log, segment};

/// The versions of everything that this program writes into a store. Programs of which this differs do not write the same.
pub fn formats() -> String {
    let [entry, digest, visits, codes] = segment::VERSIONS;
    let (log, batch) = (log::FORMAT, codec::VERSION);
    format!("log {log}, batch {batch}, segment {entry}, digest {digest}, visits {visits}, codes {codes}")
}

impl Inner {
    /// The files of `state`.
    pub(crate) fn segment_files(&self, state: &State) -> Vec<SegmentFile> {
        let metas = state.segments.iter().map(|segment| &segment.meta);
        let file = |meta: &SegmentMeta| {
            let name = file_name(meta.id);
            // What cannot be written down has no checksum, and is told by its length.
            let content = encode_meta(meta).map_or(meta.bytes, |entry| xxh3_64(&entry));
            SegmentFile { path: self.segments_dir.join(&name), name, bytes: meta.bytes, content, rows: meta.rows }
        };
        metas.map(file).collect()
    }

    /// See [`crate::EventStore::copy`].
    pub(crate) fn copy(&self, copier: &mut dyn Copier) -> Result<(), MaintenanceError> {
        let Some(file) = &self.log_file else { return Err(io::Error::from(io::ErrorKind::Unsupported).into()) };
        let _rewriting = self.rewriting.lock();
        let held = Held::begin(self, copier)?;
        let copied = copier.log(&mut FromStart { file, at: 0 });
        let moment = held.moment.clone();
        // Before segments are copied, which takes long: what was committed meanwhile is copied into the file in one go.
        drop(held);
        copied?;
        copier.segments(&moment)?;
        Ok(())
    }
}

/// While it lives the database file of the log does not change.
struct Held<'a> {
    inner: &'a Inner,
    moment: Moment,
}

impl<'a> Held<'a> {
    fn begin(inner: &'a Inner, copier: &mut dyn Copier) -> Result<Self, MaintenanceError> {
        // Segments that are registered have their names.
        let _sealing = inner.sealing.lock();
        // While that and the caller's lock are held no segment comes or goes, so commits need not wait for what is told of them.
        let state = inner.state();
        let segments = inner.segment_files(&state);
        let mut sites = Sites::of_segments(state.segments.iter().map(|segment| &segment.meta));
        drop(state);
        // Dropped after what lets the writer go on.
        let mut held_now = Self { inner, moment: Moment::default() };
        let (held, is_held) = sync_channel(1);
        let (go_on, waits) = channel::<()>();
        let done = inner.queue.begin(Task::Hold { held, go_on: waits })?;
        if is_held.recv().is_err() {
            return Err(done
                .recv()
                .unwrap_or(Err(AppendError::ShuttingDown))
                .err()
                .unwrap_or(AppendError::Busy)
                .into());
        }
        sites.add_head(&inner.state());
        held_now.moment = Moment { store: inner.store.to_string(), segments, websites: sites.rows() };
        let taken = copier.moment(&held_now.moment);
        drop(go_on);
        taken?;
        Ok(held_now)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // It fails only when the writer has ended, and then nothing is written any more.
        let _ = self.inner.queue.run(Task::Release);
    }
}

/// Rows, first and last time by website.
#[derive(Default)]
pub(crate) struct Sites(BTreeMap<WebsiteId, (u64, i64, i64)>);

impl Sites {
    pub(crate) fn of_segments<'a>(metas: impl Iterator<Item = &'a SegmentMeta>) -> Self {
        let mut sites = Self::default();
        for range in metas.flat_map(|meta| &meta.sites) {
            sites.add(range.website, range.rows.into(), range.min_at, range.max_at);
        }
        sites
    }

    /// Adds what is in no segment of `state` yet.
    pub(crate) fn add_head(&mut self, state: &State) {
        for generation in state.generations() {
            for website in generation.websites() {
                let Some(site) = generation.site(website) else { continue };
                let site = site.lock();
                if let (Some(first), Some(last)) = (site.at.iter().min(), site.at.iter().max()) {
                    self.add(website, site.at.len() as u64, *first, *last);
                }
            }
        }
    }

    fn add(&mut self, website: WebsiteId, rows: u64, first: i64, last: i64) {
        let site = self.0.entry(website).or_insert((0, i64::MAX, i64::MIN));
        *site = (site.0 + rows, site.1.min(first), site.2.max(last));
    }

    pub(crate) fn rows(self) -> Vec<WebsiteRows> {
        let at = Timestamp::from_millis;
        let site =
            |(website, (rows, first, last))| WebsiteRows { website, rows, first_at: at(first), last_at: at(last) };
        self.0.into_iter().map(site).collect()
    }
}

/// How much is stored of each website in the store in `dir`, by its id. Changes nothing, and reads no segment. Needs the store for
/// itself, like [`crate::EmbeddedStore::open`]; it may be of an older format.
///
/// # Errors
/// When the store is in use, of a newer format, or its log is damaged.
pub fn stored_rows(dir: &Path) -> Result<Vec<WebsiteRows>, OpenError> {
    let Opened { log, named, .. } = Log::open(dir, Purpose::Look)?;
    let mut sites = Sites::of_segments(named.segments.iter());
    log.replay(|_, record| {
        if let Record::Events(events) = record {
            for (website, event) in events {
                sites.add(website, 1, event.at.as_millis(), event.at.as_millis());
            }
        }
    })?;
    Ok(sites.rows())
}

/// A file from its first byte on, whoever else reads it.
struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(bytes, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
