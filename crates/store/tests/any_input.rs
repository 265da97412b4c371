//! No input of a public function panics, and none makes the store unreadable: whatever strings, times and numbers it is called
//! with, in whatever order, it does what it is told or refuses it with a reason, and everything in it can be read afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

#[path = "common/any_call.rs"]
mod any_call;

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use zenovay_store::{Metadata, SqliteStore};

/// One store for all cases: what one leaves behind, the next ones meet.
static STORE: LazyLock<Arc<dyn Metadata>> = LazyLock::new(|| Arc::new(SqliteStore::in_memory().unwrap()));

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Sabotage: let a row of nobody be a database that is not available.
    #[test]
    fn any_call_is_done_or_refused_and_leaves_a_store_that_can_be_read(
        calls in prop::collection::vec(any_call::call(), 1..24), now in any_call::time(),
    ) {
        any_call::hold(&STORE, &calls, now)?;
    }
}
