#![doc = include_str!("../README.md")]
// What may grow can grow without breaking who uses it; what cannot says why.
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod answer;
mod ask;
mod budget;
mod chunk;
mod columns;
mod comparison;
mod derived;
pub mod engine;
mod error;
mod event_rows;
mod field_names;
mod filter;
mod kernels;
mod list;
mod matching;
mod memory;
mod memory_pool;
mod needs;
pub mod oracle;
mod parts;
mod progress;
mod question;
#[cfg(feature = "random")]
pub mod random;
mod serial;

pub use answer::{
    Answer, Breakdown, BreakdownRow, EventTable, FunnelCounts, LiveCount, MetricValues, NewVisitors, NewVisitorsPoint,
    Overview, Series, SeriesPoint, StringColumn, VisitorPage, VisitorRecord,
};
pub use ask::{Answering, Answers, AnswersLater, Ask, Asked};
pub use budget::{Budget, GiveWay};
pub(crate) use chunk::{Chunk, Column};
pub(crate) use columns::{ColumnSet, Dataset, Dictionary};
pub use comparison::{Baseline, Change, Compared, ComparedBreakdown, ComparedSeries, Comparison, MetricChanges};
pub(crate) use derived::Derived;
pub use error::{Cause, QueryError};
pub use field_names::UnknownField;
pub use filter::{Condition, Field, Filter, FilterLevel, Operator, contains, is, is_any_of, is_not};
pub(crate) use list::{CodeSet, List, ListRef};
pub use matching::{InvalidRegex, check_regex, regex_ignoring_case};
pub use memory::{DatasetBuilder, MemoryDataset};
pub use memory_pool::MemoryPool;

pub(crate) use parts::{EventRows, HeartbeatRows, NO_ROW, SessionPart, session_parts};
pub use progress::Progress;
pub use question::{GroupBy, Metric, Order, Query, Question, RowPlace, by};
#[doc(no_inline)]
pub use serde_json;
#[doc(no_inline)]
pub use zenovay_domain as domain;
