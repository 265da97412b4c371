//! What every store of sessions and salts must do, as tests that run on any of them. A harness makes handles of one store, as
//! several servers have them.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test fails loudly")]

use std::sync::Arc;

use crate::{SaltStore, SessionStore};

pub mod salts;
pub mod sessions;

/// A handle of one and the same store at each call.
pub type Sessions<'a> = &'a dyn Fn() -> Arc<dyn SessionStore>;

/// A handle of one and the same store at each call.
pub type Salts<'a> = &'a dyn Fn() -> Arc<dyn SaltStore>;

/// Makes a `#[test]` of every rule for stores of sessions. `$make` makes a store that is empty, as a function that gives a handle
/// of it at each call.
#[macro_export]
macro_rules! session_store_conformance_tests {
    ($make:expr) => {
        $crate::conformance_tests_of! { sessions, $make;
            what_is_put_is_found_with_all_of_it,
            keys_and_slots_are_apart,
            what_one_server_changes_the_next_sees,
            changes_of_one_key_follow_each_other,
            what_goes_on_is_kept,
        }
    };
}

/// Makes a `#[test]` of every rule for stores of salts. `$make` is as for
/// [`session_store_conformance_tests!`](crate::session_store_conformance_tests).
#[macro_export]
macro_rules! salt_store_conformance_tests {
    ($make:expr) => {
        $crate::conformance_tests_of! { salts, $make;
            the_secret_of_the_installation_is_drawn_once,
            all_servers_have_one_salt_of_a_day,
            salts_of_other_days_are_destroyed_for_all,
            salts_come_oldest_first,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests_of {
    ($suite:ident, $make:expr; $($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                $crate::conformance::$suite::$name(&($make)());
            }
        )*
    };
}
