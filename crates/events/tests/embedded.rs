//! The conformance suite on the embedded store, as it is and with row groups of a few rows, whose digests answer every
//! question that they can.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::sync::Arc;

use tempfile::TempDir;
use zenovay_domain::{Clock, ManualClock, Timestamp};
use zenovay_events::conformance::Harness;
use zenovay_events::{EmbeddedConfig, EmbeddedStore, EventStore, conformance_tests};

struct Embedded {
    dir: TempDir,
    clock: Arc<dyn Clock>,
    change: fn(EmbeddedConfig) -> EmbeddedConfig,
}

impl Embedded {
    fn new(change: fn(EmbeddedConfig) -> EmbeddedConfig) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_774_746_000_000)));
        Self { dir: TempDir::new().unwrap(), clock, change }
    }
}

impl Harness for Embedded {
    type Store = EmbeddedStore;

    fn open(&self) -> EmbeddedStore {
        EmbeddedStore::open((self.change)(EmbeddedConfig::new(self.dir.path())), Arc::clone(&self.clock)).unwrap()
    }

    fn seal(&self, store: &EmbeddedStore) {
        store.seal().unwrap();
    }

    fn merge(&self, store: &EmbeddedStore) {
        store.merge().unwrap();
    }
}

conformance_tests!(Embedded::new(|config| config));

mod digests {
    use super::*;

    conformance_tests!(Embedded::new(|config| config.with(|config| {
        config.scan_rows_max = 0;
        config.group_rows = 16;
    })));
}
