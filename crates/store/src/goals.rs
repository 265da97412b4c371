//! Goals and funnels.

use zenovay_domain::{Funnel, FunnelId, Goal, GoalId, WebsiteId};

use crate::Result;

/// The most goals of a website.
pub const GOALS_MAX: usize = 100;
/// The most funnels of a website.
pub const FUNNELS_MAX: usize = 100;

/// The goals and funnels of websites. They go with their website.
pub trait GoalStore: Send + Sync {
    /// Adds a goal.
    ///
    /// # Errors
    ///
    /// `NotFound("website")`, `Conflict("name")` when the website has a goal of this name, `Invalid` for a name that cannot
    /// be one and when the website has [`GOALS_MAX`] goals.
    fn create_goal(&self, goal: &Goal) -> Result<()>;

    /// The goals of a website, the oldest first.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn goals(&self, website: WebsiteId) -> Result<Vec<Goal>>;

    /// Replaces the name and the target of a goal of a website.
    ///
    /// # Errors
    ///
    /// `NotFound("goal")`, `Conflict("name")`, `Invalid`.
    fn replace_goal(&self, goal: &Goal) -> Result<()>;

    /// Removes a goal of a website.
    ///
    /// # Errors
    ///
    /// `NotFound("goal")`; `Conflict("goal")` while it is a step of a funnel.
    fn delete_goal(&self, website: WebsiteId, id: GoalId) -> Result<()>;

    /// Adds a funnel.
    ///
    /// # Errors
    ///
    /// `NotFound("website")`, `NotFound("goal")` when a step is a goal that the website does not have, `Conflict("name")`,
    /// `Invalid` for a name that cannot be one, for too few or too many steps, and when the website has [`FUNNELS_MAX`]
    /// funnels.
    fn create_funnel(&self, funnel: &Funnel) -> Result<()>;

    /// The funnels of a website, the oldest first.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn funnels(&self, website: WebsiteId) -> Result<Vec<Funnel>>;

    /// Replaces the name and the steps of a funnel of a website.
    ///
    /// # Errors
    ///
    /// `NotFound("funnel")`, and as [`create_funnel`](Self::create_funnel).
    fn replace_funnel(&self, funnel: &Funnel) -> Result<()>;

    /// Removes a funnel of a website.
    ///
    /// # Errors
    ///
    /// `NotFound("funnel")`.
    fn delete_funnel(&self, website: WebsiteId, id: FunnelId) -> Result<()>;
}
