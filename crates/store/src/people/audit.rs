use zenovay_domain::{KeyId, TeamId, Timestamp, UserId};

use crate::Result;

/// How many entries of a team are kept; beyond it the oldest go. Of somebody's own account it is as many.
pub const AUDIT_MAX: usize = 10_000;

/// Who made a change on the machine itself, in words.
pub const OPERATOR: &str = "command line";

/// Who made a change whose account is gone, in words.
pub const DELETED_ACCOUNT: &str = "a deleted account";

/// An entry to be stored.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewAuditEntry<'a> {
    /// When it happened.
    pub at: Timestamp,
    /// The team that it concerns; `None` when it concerns an account alone.
    pub team_id: Option<TeamId>,
    /// The person who did it, the owner of the key that did, or whose account the operator changed.
    pub user_id: Option<UserId>,
    /// The key that did it.
    pub key_id: Option<KeyId>,
    /// Who that was, in words.
    pub actor: &'a str,
    /// What was done, such as `teams.edit`.
    pub action: &'a str,
    /// What it was done to, in words.
    pub target: &'a str,
    /// More about it: a JSON object of strings, never a secret.
    pub details: &'a str,
}

impl<'a> NewAuditEntry<'a> {
    /// What `actor` did, without the ids of whom and what it concerns.
    pub const fn new(at: Timestamp, actor: &'a str, action: &'a str, target: &'a str, details: &'a str) -> Self {
        Self { at, team_id: None, user_id: None, key_id: None, actor, action, target, details }
    }
}

/// An entry of the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditEntry {
    /// Its place in the trail; later ones have greater numbers.
    pub id: i64,
    /// When it happened.
    pub at: Timestamp,
    /// The team that it concerns.
    pub team_id: Option<TeamId>,
    /// The person who did it, the owner of the key that did, or whose account the operator changed.
    pub user_id: Option<UserId>,
    /// The key that did it.
    pub key_id: Option<KeyId>,
    /// Who that was, in words.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// What it was done to, in words.
    pub target: String,
    /// More about it: a JSON object.
    pub details: String,
}

impl AuditEntry {
    /// What `actor` did, without the ids of whom and what it concerns.
    pub fn new(
        id: i64,
        at: Timestamp,
        actor: impl Into<String>,
        action: impl Into<String>,
        target: impl Into<String>,
        details: impl Into<String>,
    ) -> Self {
        Self {
            id,
            at,
            team_id: None,
            user_id: None,
            key_id: None,
            actor: actor.into(),
            action: action.into(),
            target: target.into(),
            details: details.into(),
        }
    }
}

/// The trail of what people and keys changed. It is only ever added to.
pub trait AuditStore: Send + Sync {
    /// Adds an entry. One about a team that is gone is not kept.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn record_audit(&self, entry: &NewAuditEntry<'_>) -> Result<()>;

    /// The entries of a team before the one with the id `before`, the newest first, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn audit(&self, team: TeamId, before: Option<i64>, limit: usize) -> Result<Vec<AuditEntry>>;

    /// What a person did, the newest first, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn audit_of_user(&self, user: UserId, limit: usize) -> Result<Vec<AuditEntry>>;
}
