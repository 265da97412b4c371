use zenovay_auth::{PasswordHash, SecretDigest, SessionTimes, SignInStage, TeamAccess};
use zenovay_domain::{SignInId, Timestamp, UserId};

use crate::{Result, User};

/// How many sessions an account has at most; beyond it the one that was not used for the longest time ends.
pub const SESSIONS_MAX: usize = 50;

/// The most sign-ins of an account that wait for the second factor.
pub const HALF_WAY_MAX: usize = 5;

/// The longest user agent that is kept of a session, in bytes; longer ones are cut.
pub const AGENT_MAX_BYTES: usize = 512;

/// A session to be created.
#[derive(Debug, Clone)]
pub struct NewSession<'a> {
    /// Its id, drawn at random.
    pub id: SignInId,
    /// Whose it is.
    pub user_id: UserId,
    /// The digest of its secret.
    pub digest: SecretDigest,
    /// How far the sign-in has come.
    pub stage: SignInStage,
    /// The user agent.
    pub agent: &'a str,
}

/// A session, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SignInId,
    /// Whose it is.
    pub user_id: UserId,
    /// How far the sign-in has come.
    pub stage: SignInStage,
    /// The user agent, at most [`AGENT_MAX_BYTES`].
    pub agent: String,
    /// When it began and was used.
    pub times: SessionTimes,
}

/// What a secret of a session stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedSession {
    /// The session.
    pub session: Session,
    /// Whether it was the present secret, and not the one before.
    pub is_present_secret: bool,
    /// Whose session it is.
    pub user: User,
    /// The teams of the user now, with the role in each.
    pub teams: Vec<TeamAccess>,
}

/// The ways beside the password in which an account is signed in to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignInMeans {
    /// Whether codes of an app are asked for after the password.
    pub has_codes: bool,
    /// How many backup codes are left.
    pub backup_codes: usize,
    /// How many passkeys there are.
    pub passkeys: usize,
}

/// What a link that works once is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPurpose {
    /// A new password.
    Reset,
    /// Taking over the first account.
    Welcome,
    /// Signing in without a password.
    SignIn,
}

impl LinkPurpose {
    /// The name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Welcome => "welcome",
            Self::SignIn => "sign_in",
        }
    }
}

/// Signing in.
pub trait SignInStore: Send + Sync {
    /// Begins a session at `now`. Of an account with more than [`SESSIONS_MAX`] those end that were not used for the
    /// longest time; of those that wait for the second factor there are [`HALF_WAY_MAX`] beside them.
    ///
    /// # Errors
    ///
    /// `NotFound("user")`.
    fn begin_session(&self, session: &NewSession<'_>, now: Timestamp) -> Result<()>;

    /// The session with this secret, present or [admitted](SessionTimes::admits_previous_secret); `None` when there is none or
    /// it is over. Notes that it was used, at most once a minute. A session whose earlier secret comes back too late is
    /// ended, because somebody has a copy.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn use_session(&self, digest: &SecretDigest, now: Timestamp) -> Result<Option<UsedSession>>;

    /// Replaces the secret `present` of a session by `next`. `false` when somebody else has replaced it before.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn rotate_session(&self, id: SignInId, present: &SecretDigest, next: &SecretDigest, now: Timestamp)
    -> Result<bool>;

    /// The complete sessions of a user that are not over, the one that was used last first.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>>;

    /// Ends one session of a user. `false` when there is none.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn end_session(&self, user: UserId, id: SignInId) -> Result<bool>;

    /// Ends all sessions of a user but `keep`, and returns how many complete ones that were.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn end_sessions(&self, user: UserId, keep: Option<SignInId>) -> Result<usize>;

    /// Replaces the password, ends all sessions but `keep` and takes back the links for a new password.
    ///
    /// # Errors
    ///
    /// `NotFound("user")`.
    fn change_password(&self, user: UserId, hash: &PasswordHash, keep: Option<SignInId>) -> Result<()>;

    /// Replaces the hash of the same password, and nothing else.
    ///
    /// # Errors
    ///
    /// `NotFound("user")`.
    fn rehash_password(&self, user: UserId, hash: &PasswordHash) -> Result<()>;

    /// The ways beside the password in which the account is signed in to.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn sign_in_means(&self, user: UserId) -> Result<SignInMeans>;

    /// How often in a row trying `subject` failed, and when last; nothing when that is longer ago than
    /// [`FAILURES_KEPT_MS`](zenovay_auth::FAILURES_KEPT_MS).
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn failures(&self, subject: &SecretDigest, now: Timestamp) -> Result<Option<(u32, Timestamp)>>;

    /// Counts a failed try of `subject`, and returns how many that are in a row. As durable as
    /// [`charge_request`](crate::UsageStore::charge_request). Of very many subjects the oldest are forgotten.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn note_failure(&self, subject: &SecretDigest, now: Timestamp) -> Result<u32>;

    /// Forgets the failed tries of `subject`.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn forget_failures(&self, subject: &SecretDigest) -> Result<()>;

    /// Makes a link that works once until `expires_at`. It takes the place of an earlier one of the user for the same
    /// purpose.
    ///
    /// # Errors
    ///
    /// `NotFound("user")`.
    fn create_link(
        &self,
        user: UserId,
        purpose: LinkPurpose,
        digest: &SecretDigest,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<()>;

    /// Whether a link for this purpose works at `now`.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn has_link(&self, purpose: LinkPurpose, now: Timestamp) -> Result<bool>;

    /// Uses a link for a new password: sets it, ends all sessions and takes back all links of the user. `None` when the
    /// link does not work; of two at the same time one does.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn use_reset_link(&self, digest: &SecretDigest, hash: &PasswordHash, now: Timestamp) -> Result<Option<UserId>>;

    /// Uses the link to the first account: gives it an address, a name and a password, and takes back all its links and
    /// sessions. `None` when the link does not work; of two at the same time one does.
    ///
    /// # Errors
    ///
    /// `Invalid` and `Conflict("email")` as for [`create_user`](crate::UserStore::create_user); then the link stays.
    fn use_welcome_link(
        &self,
        digest: &SecretDigest,
        email: &str,
        name: &str,
        hash: &PasswordHash,
        now: Timestamp,
    ) -> Result<Option<UserId>>;

    /// Uses a link for signing in, and takes it back. `None` when the link does not work; of two at the same time one does.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn use_sign_in_link(&self, digest: &SecretDigest, now: Timestamp) -> Result<Option<UserId>>;

    /// Forgets sessions, links, failures and invitations that are over.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn forget_what_is_over(&self, now: Timestamp) -> Result<()>;
}
