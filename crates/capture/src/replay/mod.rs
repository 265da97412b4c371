//! Recordings of what pages show: read from a body, masked again, packed. A recording comes in chunks of events as
//! `@rrweb/record` makes them; where they are kept and what is known of them is in `store/replays.rs`.

mod body;
mod chunk;
pub(crate) mod fields;
mod filter;
mod json;
mod labels;
mod snapshot;
mod summary;

pub use body::{REPLAY_BODY_MAX_BYTES, ReplayBody, read_replay};
pub use chunk::{NewChunk, ReplayRefused, UnreadableChunk, pack_chunk, unpack_chunk};
pub(crate) use chunk::{VERSION as CHUNK_VERSION, bounded};
pub(crate) use snapshot::snapshot_of;
pub(crate) use summary::milliseconds_of;
pub use summary::{IDLE_MS, Mark, MarkKind, ReplaySummary, View};
