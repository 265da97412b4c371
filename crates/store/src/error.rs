//! What can go wrong.

use std::error::Error;

use zenovay_auth::KeyRefusal;

/// Why an operation on the store failed. Messages are made for people and hold no secret.
///
/// What a back end itself said is the `source()` of [`Damaged`](Self::Damaged) and [`Unavailable`](Self::Unavailable), and is
/// not repeated in their messages.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Something that must exist does not exist.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// A value breaks a rule.
    #[error("{field}: {reason}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// The rule, as a sentence.
        reason: String,
    },
    /// A value that must be unique is taken.
    #[error("{0} is already in use")]
    Conflict(&'static str),
    /// The plan of the team allows no more of these.
    #[error("the {plan} plan allows {limit} {what}")]
    PlanLimit {
        /// The plan of the team.
        plan: zenovay_domain::Plan,
        /// Of what: `websites` or `members`.
        what: &'static str,
        /// How many.
        limit: u32,
    },
    /// A team must keep an owner.
    #[error("a team needs an owner: its last owner cannot leave it, take another role or be deleted")]
    LastOwner,
    /// A team has as many owners as it can have.
    #[error("a team has at most {} owners", crate::model::OWNERS_MAX)]
    TooManyOwners,
    /// A membership is not what it was when the change of it was allowed.
    #[error("the membership changed at the same moment")]
    MembershipChanged,
    /// What somebody signed in with, or the session that they asked in, is not valid any more.
    #[error("the sign-in ended at the same moment")]
    SignedOut,
    /// What a person granted the client that asks has ended.
    #[error("what was granted to the client ended at the same moment")]
    GrantEnded,
    /// The rules about keys refuse it.
    #[error(transparent)]
    KeyRefused(#[from] KeyRefusal),
    /// A key that was revoked stays as it is.
    #[error("the key was revoked and cannot be changed")]
    KeyRevoked,
    /// A stored row does not hold what it must; the store was changed by something else or is damaged.
    #[error("the row {id} of table {table} holds no valid {column}")]
    Decode {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The id of the row.
        id: String,
    },
    /// The database was written by a newer version of the program.
    #[error("the database has the schema version {0}, which is newer than this program; use a newer zenovay")]
    NewerSchema(String),
    /// The disk has no space to write to.
    #[error("the disk is full")]
    DiskFull,
    /// The file of the database is damaged, or something else.
    #[error("the database is damaged")]
    Damaged(#[source] Box<dyn Error + Send + Sync>),
    /// The database cannot be opened, read or written now, as when it is locked for too long. Never means "no".
    #[error("the database is not available")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

/// The result of an operation on the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;
