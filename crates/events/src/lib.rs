#![doc = include_str!("../README.md")]
// What may grow can grow without breaking who uses it; what cannot says why.
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]
#![cfg_attr(test, allow(clippy::cast_possible_truncation, reason = "the numbers of tests are small"))]

mod append;
mod capture;
mod cardinality;
mod catalog;
mod codec;
mod codes;
mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
mod copying;
mod embedded;
mod export;
mod faults;
#[cfg(test)]
mod format_tests;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod head;
mod inner;
mod intern;
mod ledger;
mod log;
mod maintenance;
mod merging;
mod moment;
mod moving;
mod open_error;
mod queue;
mod receipt;
mod recent;
mod repair;
mod retention;
mod rows;
mod sections;
mod segment;
mod sessions;
mod slot;
mod spool;
mod state;
mod store;
mod verify;
mod view;
mod workers;
mod writer;

pub use append::{AppendError, AppendOutcome, EventFault, IdempotencyKey, NewCapture, NewEvent};
pub use capture::{BatchName, CaptureSink};
pub use codec::RecordKind;
pub use config::{EmbeddedConfig, Observer};
pub use copying::{formats, stored_rows};
pub use embedded::EmbeddedStore;
pub use handle::{NewEvents, Site, Store};
pub use ledger::{Kept, RETENTION_GRACE_DAYS, Retained};
pub use log::has_database;
pub use moment::{Copier, Moment, SegmentFile, WebsiteRows};
pub use open_error::OpenError;
pub use receipt::{Acknowledge, Append, AppendReceipt, AppendRefused};
pub use repair::{RepairError, Repaired, repair};
pub use segment::SegmentCheck;
pub use store::{ChangeError, DeliveryStats, EventStore, RecentSession, StoreStats};
pub use verify::{Verified, verify};
#[doc(no_inline)]
pub use zenovay_domain as domain;
#[doc(no_inline)]
pub use zenovay_domain::{
    Clock, Dimension, Event, EventKind, Interval, SessionFault, SessionId, SystemClock, TimeRange, Timestamp,
    VisitorId, WebsiteId, Zone,
};
#[doc(no_inline)]
pub use zenovay_query as query;

/// What other stores share with this one. Changes without notice.
#[doc(hidden)]
pub mod engine {
    pub use crate::ledger::{Ledger, Removal};
    pub use crate::moving::{StoredKey, copy_keys};
    pub use crate::spool::{Acknowledged, Delivery, PendingErasure, Spool, SpoolConfig, SpoolError, SpoolFigures};
    pub use crate::store::{Movable, Piece, Sealed};
}

/// What tests and benches of the store itself take hold of. Changes without notice.
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod testing {
    pub use crate::faults::{FaultPoint, Faults};
    use crate::{NewEvent, codec};

    /// Packs events as the log does.
    pub struct BatchEncoder(codec::Encoder);

    impl BatchEncoder {
        /// An encoder.
        ///
        /// # Errors
        /// When the compressor cannot be made.
        pub fn new() -> std::io::Result<Self> {
            codec::Encoder::new().map(Self)
        }

        /// The batch of `events`.
        ///
        /// # Errors
        /// When they are more than 1 GiB.
        pub fn encode<'a>(
            &mut self,
            events: impl ExactSizeIterator<Item = &'a NewEvent> + Clone,
        ) -> std::io::Result<Vec<u8>> {
            self.0.encode(events, [].iter())
        }
    }
}
