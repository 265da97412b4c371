use std::fmt;

use zenovay_domain::{PasskeyId, Timestamp, UserId};

use crate::Result;

/// The most passkeys of an account.
pub const PASSKEYS_MAX: usize = 20;

/// A passkey: what an authenticator signs in with. The key itself never leaves the authenticator.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Passkey {
    /// Its id, by which it is managed.
    pub id: PasskeyId,
    /// Whose it is.
    pub user_id: UserId,
    /// The name people see, 1 to 100 characters.
    pub name: String,
    /// What the authenticator calls it, as browsers write it (base64url); no two passkeys have the same.
    pub credential_id: String,
    /// What its signatures are checked with, as whoever checks them wrote it.
    pub credential: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it signed somebody in last.
    pub last_used_at: Option<Timestamp>,
}

impl Passkey {
    /// A passkey that was not used yet.
    pub fn new(
        id: PasskeyId,
        user_id: UserId,
        name: String,
        credential_id: String,
        credential: String,
        created_at: Timestamp,
    ) -> Self {
        Self { id, user_id, name, credential_id, credential, created_at, last_used_at: None }
    }
}

impl fmt::Debug for Passkey {
    /// Without what the authenticator said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passkey").field("id", &self.id).field("user_id", &self.user_id).finish_non_exhaustive()
    }
}

/// Passkeys. They go with their account.
pub trait PasskeyStore: Send + Sync {
    /// Adds a passkey.
    ///
    /// # Errors
    ///
    /// `NotFound("user")`, `Conflict("passkey")` when somebody has it already, `Invalid` for a name that cannot be one and when
    /// the account has [`PASSKEYS_MAX`].
    fn add_passkey(&self, passkey: &Passkey) -> Result<()>;

    /// The passkeys of a user, the oldest first.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn passkeys(&self, user: UserId) -> Result<Vec<Passkey>>;

    /// The passkey that an authenticator calls so, whosever it is.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn passkey_by_credential(&self, credential_id: &str) -> Result<Option<Passkey>>;

    /// Notes that a passkey signed somebody in, and what is to be known of it from now on. `false` when it is gone, or is not
    /// what it was: of two uses at the same time that both change it, one is accepted.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn use_passkey(&self, used: &Passkey, credential: &str, now: Timestamp) -> Result<bool>;

    /// Gives a passkey of a user another name.
    ///
    /// # Errors
    ///
    /// `NotFound("passkey")`, `Invalid` for a name that cannot be one.
    fn rename_passkey(&self, user: UserId, id: PasskeyId, name: &str) -> Result<Passkey>;

    /// Removes a passkey of a user.
    ///
    /// # Errors
    ///
    /// `NotFound("passkey")`.
    fn remove_passkey(&self, user: UserId, id: PasskeyId) -> Result<()>;

    /// Removes all passkeys of a user, and returns how many there were.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn remove_passkeys(&self, user: UserId) -> Result<usize>;
}
