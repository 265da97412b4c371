use zenovay_domain::{TeamId, Timestamp, WebsiteId};

use crate::Result;

/// Where the events of a month of a team are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EventMonth {
    /// The websites whose stored events count: those of the team, and those that were deleted and are not counted yet.
    pub websites: Vec<WebsiteId>,
    /// Events of websites that were deleted and counted.
    pub removed: u64,
}

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

    /// Notes that the owners are told of `percent` of what the plan includes in the month. `None` when they were told of it, or
    /// of more, before; otherwise what they were told of so far. Of two at the same time one is to tell.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn begin_telling(&self, team: TeamId, month: Timestamp, percent: u8) -> Result<Option<u8>>;

    /// Notes that telling of `percent` failed, after `before`: it is to be done again.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn end_telling(&self, team: TeamId, month: Timestamp, percent: u8, before: u8) -> Result<()>;
}
