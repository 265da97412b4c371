//! Idempotency keys under a clock that is wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::sync::Arc;

use tempfile::TempDir;
use zenovay_domain::{Clock, GuardedClock, ManualClock, Timestamp};
use zenovay_events::conformance::{append, arriving, pageview, website};
use zenovay_events::{AppendOutcome, EmbeddedConfig, EmbeddedStore, IdempotencyKey, NewEvent};

const NOW: Timestamp = Timestamp::from_millis(1_774_746_000_000);
const DAY_MS: i64 = 86_400_000;

struct Machine {
    clock: Arc<ManualClock>,
    guarded: Arc<GuardedClock>,
    store: EmbeddedStore,
    _dir: TempDir,
}

impl Machine {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let clock = Arc::new(ManualClock::new(NOW));
        let guarded = Arc::new(GuardedClock::new(clock.clone(), None));
        guarded.begin(None);
        let store = EmbeddedStore::open(EmbeddedConfig::new(dir.path()), guarded.clone()).unwrap();
        Self { clock, guarded, store, _dir: dir }
    }

    /// What becomes of the event with the key `key`, which arrived `at`.
    fn send(&self, key: u8, at: Timestamp) -> AppendOutcome {
        let event = NewEvent::new(website(1), at, pageview(0, 1, 1, "/")).with_key(IdempotencyKey([key; 16]));
        append(&self.store, vec![event]).unwrap()[0]
    }

    /// Commits so often that old keys are looked for.
    fn commit_often(&self) {
        for _ in 0..600 {
            append(&self.store, vec![arriving(website(2), pageview(0, 1, 1, "/"))]).unwrap();
        }
    }
}

/// Sabotage: prune by the clock as it is.
#[test]
fn a_jump_ahead_drops_no_key() {
    let machine = Machine::new();
    assert_eq!(machine.send(1, NOW), AppendOutcome::Stored);
    machine.clock.step_ms(5 * 365 * DAY_MS);
    machine.commit_often();
    assert!(!machine.guarded.reading().trusted);
    machine.clock.step_ms(-5 * 365 * DAY_MS);
    machine.commit_often();
    assert_eq!(machine.send(1, NOW), AppendOutcome::Duplicate);
    machine.clock.advance_ms(8 * DAY_MS + 1);
    machine.commit_often();
    assert_eq!(machine.send(1, machine.clock.now()), AppendOutcome::Stored, "its eight days are over");
}

/// Sabotage: leave keys of days to come alone.
#[test]
fn a_key_that_a_wrong_clock_dated_is_not_kept_for_years() {
    let machine = Machine::new();
    assert_eq!(machine.send(1, NOW.plus_millis(5 * 365 * DAY_MS)), AppendOutcome::Stored);
    machine.commit_often();
    machine.clock.advance_ms(7 * DAY_MS);
    machine.commit_often();
    assert_eq!(machine.send(1, NOW), AppendOutcome::Duplicate);
    machine.clock.advance_ms(DAY_MS + 1);
    machine.commit_often();
    assert_eq!(machine.send(1, NOW), AppendOutcome::Stored);
}
