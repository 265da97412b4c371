//! The Stats API of Plausible, versions 1 and 2, so that tools made for it work when they are pointed here: its paths, its
//! grammar, its units (percent, seconds) and its errors (`{"error":"…"}`). The numbers are ours: what each metric means is
//! said in `crates/query/README.md`, whoever asks.

pub mod answer;
pub mod queries;
pub mod sites;
pub mod v1;
pub mod v2;
pub mod v2_question;

pub use self::answer::{Answered, Refused};
pub use self::sites::{health, sites};
pub use self::v1::{aggregate, breakdown, realtime, timeseries};
pub use self::v2::query;
