//! The Stats API (SPEC B4): any metrics of a website, with filters, as totals, as a series and by the values of a property.
//!
//! What can be asked, and what it means, is in `zenovay-stats`; here it is read from the query of a request, and
//! answered.

pub mod answers;
pub mod captures;
pub mod explain;
pub mod handlers;
pub mod params;
