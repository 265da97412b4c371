//! For who makes a store: the columns that are lent to the kernels, and the kernels. Who asks questions needs nothing of it.
//!
//! [`columns_needed`] and [`time_needed`] say what a query reads; [`answer`] computes it over a [`Dataset`] of [`Chunk`]s,
//! whose session tables [`session_parts`] makes. [`TotalsJoin`] computes overviews and series over more rows than fit in
//! memory, [`Section`] by section; without a filter a section that lies in the range whole needs only its [`Digest`].

pub use crate::chunk::{Chunk, Column};
pub use crate::columns::{ColumnSet, Dataset, Dictionary};
pub use crate::derived::Derived;
pub use crate::kernels::{
    Digest, Section, SessionShare, Span, Totals, TotalsJoin, answer, breakdown, events, is_totals, live, overview,
    series, totals_answer, totals_buckets, visitors,
};
pub use crate::list::{CodeSet, List, ListRef};
pub use crate::needs::{columns_needed, time_needed};
pub use crate::parts::{EventRows, HeartbeatRows, NO_ROW, SessionPart, session_parts};
