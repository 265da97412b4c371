use std::fmt;

use zenovay_auth::KeyKind;
use zenovay_domain::{Plan, TeamId, Timestamp, UserId};

use crate::Result;

/// For whom assistants ask: all their questions of a day are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AssistantAccount {
    /// A person, whichever of their clients or keys asks.
    Person(UserId),
    /// A team, by keys of its own.
    Team(TeamId),
}

impl AssistantAccount {
    /// That of whoever holds a key.
    pub const fn of_key(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Personal(owner) => Self::Person(owner),
            KeyKind::Workspace(team) => Self::Team(team),
        }
    }
}

impl fmt::Display for AssistantAccount {
    /// As it is stored: `user:` or `team:` and the id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(id) => write!(f, "user:{id}"),
            Self::Team(id) => write!(f, "team:{id}"),
        }
    }
}

/// What was asked in a UTC day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AssistantUsage {
    /// Questions that were counted; some count several times.
    pub used: u64,
    /// The end of the day, 00:00:00.000Z.
    pub resets_at: Timestamp,
}

impl AssistantUsage {
    /// So many questions of the day that ends at `resets_at`.
    pub const fn new(used: u64, resets_at: Timestamp) -> Self {
        Self { used, resets_at }
    }
}

/// The answer to a question that wants to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it was counted, or it was too much")]
pub enum AssistantCharge {
    /// It was counted; the usage includes it.
    Counted(AssistantUsage),
    /// It does not fit into the day any more; it was not counted.
    Exhausted(AssistantUsage),
}

/// What assistants ask.
pub trait AssistantStore: Send + Sync {
    /// Counts a question of `account` that is as dear as `cost` others in the UTC day of `now`, unless more than `limit`
    /// would be counted there under `plan`; without a limit it always fits. Under any number of concurrent callers, in any
    /// number of processes, never more than `limit` are counted. The count survives the death of the process as soon as this
    /// returns; a power cut may take the questions since the last write of another kind. A clock that goes back over
    /// midnight by less than an hour does not open a day a second time; a day further ahead was counted by a clock that was
    /// wrong, and ends. On a full disk it is counted in memory, and written with the next question that can be.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn charge_assistant(
        &self,
        account: AssistantAccount,
        plan: Plan,
        cost: u64,
        limit: Option<u64>,
        now: Timestamp,
    ) -> Result<AssistantCharge>;

    /// What was counted for `account` under `plan`, as of `now`.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn assistant_usage(&self, account: AssistantAccount, plan: Plan, now: Timestamp) -> Result<AssistantUsage>;
}
