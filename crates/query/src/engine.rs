//! For who makes a store: the columns that are lent to the kernels, and the kernels. Who asks questions needs nothing of it.
//!
//! [`columns_needed`] and [`time_needed`] say what a query reads; [`answer`] computes it over a [`Dataset`] of [`Chunk`]s,
//! whose session tables [`session_parts`] makes. [`answer_by_sections`] computes it over more rows than fit in memory,
//! [`Section`] by section; for totals without a filter a section that lies in the range whole needs only its [`Digest`], and for
//! what asks for nothing of single events its [`Visits`].

pub use crate::chunk::{Chunk, Column};
pub use crate::columns::{ColumnSet, Dataset, Dictionary};
pub use crate::derived::Derived;
pub use crate::kernels::{
    Digest, RowColumns, RowNeeds, Section, SectionDigest, Sections, SessionShare, Span, VisitColumn, VisitNeeds,
    VisitTimes, Visits, answer, answer_by_sections, breakdown, events, live, overview, series, visitors,
};
pub use crate::list::{CodeSet, List, ListRef};
pub use crate::needs::{columns_needed, time_needed};
pub use crate::parts::{EventRows, HeartbeatRows, NO_ROW, SessionPart, session_parts};
