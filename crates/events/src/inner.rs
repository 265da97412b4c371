//! What the threads of an embedded store share.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, RwLock};
use zenovay_domain::{Clock, Dimension, WebsiteId};

use crate::EmbeddedConfig;
use crate::codes::TemporaryCodes;
use crate::merging::SetAside;
use crate::queue::Queue;
use crate::segment::StoreId;
use crate::slot::LogOwner;
use crate::state::State;
use crate::view::Views;

pub(crate) struct Inner {
    pub(crate) config: EmbeddedConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) segments_dir: PathBuf,
    pub(crate) queue: Queue,
    pub(crate) views: Views,
    pub(crate) temporary: TemporaryCodes,
    pub(crate) sealer: Arc<WakeSignal>,
    pub(crate) merger: Arc<WakeSignal>,
    /// Held while the head is sealed, and while the ledger of retention changes.
    pub(crate) sealing: Mutex<()>,
    /// Held while registered segments are replaced.
    pub(crate) rewriting: Mutex<()>,
    /// Whether visitor codes could not be given: then nothing is written anew for them until the next round of merges.
    pub(crate) have_codes_failed: AtomicBool,
    /// Whether segments stay as they are but for erasures, see [`crate::engine::Movable::keep_segments`].
    pub(crate) keeps_segments: AtomicBool,
    /// Segments whose merge failed.
    pub(crate) set_aside: Mutex<SetAside>,
    /// Strings that were stored as `(other)` and not told yet.
    pub(crate) folded: Mutex<HashMap<(WebsiteId, Dimension), u64>>,
    pub(crate) poisoned: AtomicBool,
    pub(crate) disk_full: AtomicBool,
    state: RwLock<Arc<State>>,
    /// The database file of the log, see [`crate::log::Opened`].
    pub(crate) log_file: Option<File>,
    pub(crate) store: StoreId,
    segment_ids: AtomicU64,
}

impl Inner {
    pub(crate) fn new(
        config: EmbeddedConfig,
        clock: Arc<dyn Clock>,
        segments_dir: PathBuf,
        state: State,
        store: StoreId,
        next_segment: u64,
        log_file: Option<File>,
    ) -> Self {
        Self {
            queue: Queue::new(config.queue_rows, config.queue_bytes, config.commit_bytes),
            views: Views::new(config.cache_bytes),
            temporary: TemporaryCodes::default(),
            segments_dir,
            clock,
            sealer: Arc::default(),
            merger: Arc::default(),
            sealing: Mutex::default(),
            rewriting: Mutex::default(),
            have_codes_failed: AtomicBool::new(false),
            keeps_segments: AtomicBool::new(config.keeps_segments),
            set_aside: Mutex::default(),
            folded: Mutex::default(),
            poisoned: AtomicBool::new(false),
            disk_full: AtomicBool::new(false),
            state: RwLock::new(Arc::new(state)),
            log_file,
            store,
            segment_ids: AtomicU64::new(next_segment),
            config,
        }
    }

    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read())
    }

    /// Only the writer thread calls this, so no two states are made from one.
    pub(crate) fn set_state(&self, state: State) {
        *self.state.write() = Arc::new(state);
    }

    pub(crate) fn next_segment_id(&self) -> u64 {
        self.segment_ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn seal_is_due(&self, state: &State) -> bool {
        let active = &state.active;
        // A clock that was put back makes the head look young: it is sealed by rows or bytes then.
        let age_ms = self.clock.now().as_millis().saturating_sub(active.since());
        active.rows() >= self.config.seal_rows
            || active.bytes() >= self.config.seal_bytes
            || active.captured() >= self.config.seal_bytes
            || (!active.is_empty() && age_ms >= self.config.seal_age_ms)
    }

    pub(crate) fn damaged_segments(&self) -> u64 {
        self.state().segments.iter().filter(|segment| segment.is_damaged()).count() as u64
    }

    /// Counts strings of an event that were stored as `(other)`.
    pub(crate) fn note_folded(&self, website: WebsiteId, columns: &[Dimension]) {
        let mut folded = self.folded.lock();
        for &column in columns {
            *folded.entry((website, column)).or_default() += 1;
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        !self.queue.is_open()
    }

    /// Notes that something was written.
    pub(crate) fn has_space(&self) {
        if self.disk_full.swap(false, Ordering::Relaxed) {
            tracing::info!("there is space on the disk again");
        }
    }

    pub(crate) fn head_is_full(&self, state: &State) -> bool {
        state.head_rows() >= self.config.head_rows_max || state.head_bytes() >= self.config.head_bytes_max
    }
}

impl LogOwner for Inner {
    fn lacks_space(&self) {
        if !self.disk_full.swap(true, Ordering::Relaxed) {
            tracing::warn!("the disk is full: appends are refused until there is space again");
        }
    }

    fn log_failed(&self, reason: &str) {
        tracing::error!(%reason, "the event log failed: nothing is stored until restart");
        self.poisoned.store(true, Ordering::Relaxed);
        self.queue.tell_room();
    }
}

/// Wakes a background thread.
#[derive(Default)]
pub(crate) struct WakeSignal {
    state: Mutex<WakeState>,
    woken: Condvar,
}

#[derive(Default)]
struct WakeState {
    is_woken: bool,
    is_stopped: bool,
}

impl WakeSignal {
    pub(crate) fn wake(&self) {
        self.state.lock().is_woken = true;
        self.woken.notify_one();
    }

    pub(crate) fn stop(&self) {
        self.state.lock().is_stopped = true;
        self.woken.notify_one();
    }

    /// Waits to be woken or for `patience`. `false` when the thread shall end.
    pub(crate) fn wait(&self, patience: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.is_woken && !state.is_stopped {
            self.woken.wait_for(&mut state, patience);
        }
        state.is_woken = false;
        !state.is_stopped
    }
}
