//! The conformance suite on the embedded store.

use std::sync::Arc;

use tempfile::TempDir;
use zenovay_domain::{Clock, ManualClock, Timestamp};
use zenovay_events::conformance::Harness;
use zenovay_events::{EmbeddedConfig, EmbeddedStore, conformance_tests};

struct Embedded {
    dir: TempDir,
    clock: Arc<dyn Clock>,
}

impl Embedded {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_774_746_000_000)));
        Self { dir: TempDir::new().unwrap(), clock }
    }
}

impl Harness for Embedded {
    type Store = EmbeddedStore;

    fn open(&self) -> EmbeddedStore {
        EmbeddedStore::open(EmbeddedConfig::new(self.dir.path()), Arc::clone(&self.clock)).unwrap()
    }

    fn seal(&self, store: &EmbeddedStore) {
        store.seal().unwrap();
    }

    fn merge(&self, store: &EmbeddedStore) {
        store.merge().unwrap();
    }
}

conformance_tests!(Embedded::new());
