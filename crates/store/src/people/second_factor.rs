use zenovay_auth::SecretDigest;
use zenovay_domain::{Timestamp, UserId};
use zeroize::Zeroizing;

use crate::Result;

/// What codes of an app are made from.
#[derive(Clone)]
#[non_exhaustive]
pub struct CodeSecret {
    secret: Zeroizing<Vec<u8>>,
    /// Whether codes are asked for; before, the first code is waited for.
    pub is_enabled: bool,
    /// The latest step of 30 seconds since 1970 whose code was used.
    pub last_step: i64,
}

impl CodeSecret {
    /// This shared secret, which is wiped from memory.
    pub fn new(secret: Vec<u8>, is_enabled: bool, last_step: i64) -> Self {
        Self { secret: Zeroizing::new(secret), is_enabled, last_step }
    }

    /// The shared secret.
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }
}

impl std::fmt::Debug for CodeSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeSecret").field("is_enabled", &self.is_enabled).finish_non_exhaustive()
    }
}

/// The second factor.
pub trait SecondFactorStore: Send + Sync {
    /// Stores a secret that is not asked for yet, in the place of an earlier such one.
    ///
    /// # Errors
    ///
    /// `NotFound("user")`, `Conflict("second factor")` when codes are asked for already.
    fn prepare_codes(&self, user: UserId, secret: &[u8]) -> Result<()>;

    /// The secret of a user.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn code_secret(&self, user: UserId) -> Result<Option<CodeSecret>>;

    /// Asks for codes from now on: the code of `step` was right for `secret`. Replaces the backup codes. `false` when another
    /// secret, or none, waits for its first code, as when codes are asked for already.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn enable_codes(
        &self,
        user: UserId,
        secret: &[u8],
        step: i64,
        backup: &[SecretDigest],
        now: Timestamp,
    ) -> Result<bool>;

    /// Uses up the code of `step`. `false` when it, or a later one, was used before: of two at the same time one is
    /// accepted.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn use_step(&self, user: UserId, step: i64) -> Result<bool>;

    /// Uses up a backup code. `false` when there is none like it.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn use_backup_code(&self, user: UserId, code: &SecretDigest) -> Result<bool>;

    /// Replaces the backup codes.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn replace_backup_codes(&self, user: UserId, codes: &[SecretDigest]) -> Result<()>;

    /// Asks for no codes any more, and forgets the secret and the backup codes. `false` when none were asked for.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn remove_codes(&self, user: UserId) -> Result<bool>;
}
