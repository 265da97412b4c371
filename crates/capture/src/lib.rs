#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly"))]

mod errors;
mod fingerprint;
mod heatmap;
mod members;
mod message;
mod problems;
mod record;
mod source_map;
mod stack;
mod store;
mod vitals;

pub use errors::{Breadcrumb, ERRORS_MAX, ErrorFields, ErrorsFields, read_errors};
pub use fingerprint::{Fingerprint, fingerprint};
pub use heatmap::{DeviceClass, HEAT_BANDS, HEAT_BINS, HeatClick, HeatmapFields, PAGE_COLUMNS, PAGE_ROWS};
pub use message::{normal_message, without_secrets};
pub use problems::Problems;
pub use record::{Capture, Context, ErrorCapture, HeatmapCapture, Unreadable, VitalsCapture};
pub use source_map::{InvalidSourceMap, SOURCE_MAP_MAX_BYTES, SourceLines, SourceMap};
pub use stack::{FRAMES_MAX, Frame, STACK_MAX_BYTES, parse_stack};
pub use store::errors::{
    ErrorDetail, ErrorGroup, ErrorsIn, GroupId, GroupQuery, HistoryEntry, InvalidGroupId, Occurrence, Part,
    StackVariant, Status,
};
pub use store::export::VisitorCaptures;
pub use store::heatmaps::{
    Cell, ElementHeat, HeatFilter, HeatPage, HeatPages, HeatPagesQuery, Heatmap, HeatmapQuery, PageVersion, VisitorHeat,
};
pub use store::maps::{KeptSourceMap, ListedSourceMap, NewSourceMap, SourceMapError};
pub use store::vitals::{Bucketed, MetricSummary, Metrics, PageVitals, VitalsQuery, VitalsReport};
pub use store::{CaptureError, Captures, Filter, Row};
pub use vitals::{Rating, Vital, Vitals};
