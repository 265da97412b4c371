use zenovay_domain::{TeamId, Timestamp, WebsiteId};

use crate::Result;

/// Where the events of a month of a team are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EventMonth {
    /// The websites whose stored events count: those of the team, and those that were deleted and are not counted yet.
    pub websites: Vec<WebsiteId>,
    /// Events of websites that were deleted and counted, and events that were erased.
    pub removed: u64,
    /// The highest part of what the plan includes, in percent, that owners were told of.
    pub told: u8,
}

/// Whoever began to tell owners something has so many milliseconds for it, ten minutes; then it is for others to do.
pub const TELLING_MS: i64 = 600_000;

/// What a UTC month of a team has beside the events that are stored of its websites. A month is named by any time in it.
pub trait EventMonthStore: Send + Sync {
    /// Where the events of the month are.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn event_month(&self, team: TeamId, month: Timestamp) -> Result<EventMonth>;

    /// Of which team a deleted website was whose events are not counted yet; `None` when there is nothing to count, because the
    /// team is gone or it was done.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn uncounted_team(&self, website: WebsiteId) -> Result<Option<TeamId>>;

    /// Keeps how many events a deleted website had in each of `months`, for its team. Done once, however often it is called.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn keep_counts(&self, website: WebsiteId, months: &[(Timestamp, u64)]) -> Result<()>;

    /// Keeps that events of a website were erased, one for each of `events`, which is when it happened: they were used.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn keep_erased(&self, website: WebsiteId, events: &[Timestamp]) -> Result<()>;

    /// Whether it is for the caller to tell the owners of `percent` of what the plan includes in the month, at `now`: they were
    /// not told of it, or of more, and nobody else began to within [`TELLING_MS`]. Of two at the same time one is to tell.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn begin_telling(&self, team: TeamId, month: Timestamp, percent: u8, now: Timestamp) -> Result<bool>;

    /// Notes what the owners were told of by whoever began to; `None` when that failed, and is to be done again.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn end_telling(&self, team: TeamId, month: Timestamp, told: Option<u8>) -> Result<()>;
}
