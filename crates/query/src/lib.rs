#![doc = include_str!("../README.md")]

mod answer;
mod budget;
mod chunk;
mod columns;
mod comparison;
mod derived;
mod error;
mod filter;
pub mod kernels;
mod list;
mod matching;
mod memory;
mod memory_pool;
mod needs;
pub mod oracle;
mod parts;
mod question;
#[cfg(feature = "random")]
pub mod random;

pub use answer::{
    Answer, Breakdown, BreakdownRow, EventTable, LiveCount, MetricValues, Overview, Series, SeriesPoint, StringColumn,
    VisitorPage, VisitorRecord,
};
pub use budget::{Budget, GiveWay};
pub use chunk::{Chunk, Column};
pub use columns::{ColumnSet, Dataset, Dictionary};
pub use comparison::{Baseline, Change, Compared, ComparedBreakdown, ComparedSeries, Comparison, MetricChanges};
pub use derived::Derived;
pub use error::QueryError;
pub use filter::{Condition, Field, Filter, FilterLevel, Operator};
pub use list::{CodeSet, List, ListRef};
pub use matching::{check_regex, regex_ignoring_case};
pub use memory::{DatasetBuilder, MemoryDataset};
pub use memory_pool::MemoryPool;
pub use needs::{columns_needed, time_needed};
pub use parts::{EventRows, HeartbeatRows, NO_ROW, SessionPart, session_parts};
pub use question::{GroupBy, Metric, Order, Query, Question, RowPlace};
