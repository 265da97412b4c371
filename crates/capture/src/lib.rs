#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly"))]

mod blobs;
mod capture_error;
mod context;
mod errors;
mod fingerprint;
mod heatmap;
mod members;
mod message;
mod problems;
mod record;
mod replay;
mod secrets;
mod source_map;
mod stack;
mod store;
mod vitals;

pub use blobs::{BLOB_MAX_BYTES, BlobError, BlobName, Blobs, FileBlobs, FoundBlob, InvalidBlobName};
pub use capture_error::CaptureError;
pub use context::Context;
pub use errors::{Breadcrumb, ERRORS_MAX, ErrorFields, ErrorsFields, read_errors};
pub use fingerprint::{Fingerprint, fingerprint};
pub use heatmap::{DeviceClass, HEAT_BANDS, HEAT_BINS, HeatClick, HeatTold, HeatmapFields, PAGE_COLUMNS, PAGE_ROWS};
pub use message::{normal_message, without_secrets};
pub use problems::Problems;
pub use record::{Capture, ErrorCapture, HeatmapCapture, ReplayCapture, Unreadable, VitalsCapture};
pub use replay::{
    IDLE_MS, Mark, MarkKind, NewChunk, REPLAY_BODY_MAX_BYTES, ReplayBody, ReplayRefused, ReplaySummary,
    UnreadableChunk, View, pack_chunk, read_replay, unpack_chunk,
};
pub use source_map::{InvalidSourceMap, SOURCE_MAP_MAX_BYTES, SourceLines, SourceMap};
pub use stack::{FRAMES_MAX, Frame, STACK_MAX_BYTES, parse_stack};
pub use store::errors::{
    ErrorDetail, ErrorGroup, ErrorsIn, GroupId, GroupQuery, HistoryEntry, InvalidGroupId, Occurrence, Part,
    StackVariant, Status,
};
pub use store::export::VisitorCaptures;
pub use store::heatmaps::{
    Cell, ElementHeat, HeatFilter, HeatPage, HeatPages, HeatPagesQuery, HeatSort, HeatSortBy, Heatmap, HeatmapQuery,
    OTHER_PAGES, PageVersion, VisitorHeat, VisitorRage,
};
pub use store::maps::{KeptSourceMap, ListedSourceMap, NewSourceMap, SourceMapError};
pub use store::moments::VisitorError;
pub use store::places::{is_whole_blob, recorded_blobs};
pub use store::replays::{
    EventsAndNext, Gap, InvalidReplayId, Marker, PageSnapshot, Replay, ReplayChunk, ReplayDetail, ReplayEvents,
    ReplayId, ReplayLimits, ReplayQuery, Replays, SESSION_MAX_BYTES, SESSION_MAX_MS, WithErrors,
};
pub use store::vitals::{Bucketed, MetricSummary, Metrics, PageVitals, VitalsQuery, VitalsReport};
pub use store::{CaptureOptions, Captures, Filter, Row, formats};
pub use vitals::{Rating, Vital, Vitals};
