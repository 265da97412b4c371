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
#[non_exhaustive]
pub struct NewSession<'a> {
    /// Its id, drawn at random.
    pub id: SignInId,
    /// Whose it is.
    pub user_id: UserId,
    /// The digest of its secret.
    pub digest: SecretDigest,
    /// How far the sign-in has come.
    pub stage: SignInStage,
    /// What it stands on, which must hold still when it begins.
    pub ground: SignInGround<'a>,
    /// The user agent.
    pub agent: &'a str,
}

impl<'a> NewSession<'a> {
    /// A session of `user_id` that began on this agent, and stands on what was given.
    pub const fn new(id: SignInId, user_id: UserId, digest: SecretDigest, stage: SignInStage, agent: &'a str) -> Self {
        Self { id, user_id, digest, stage, ground: SignInGround::Given, agent }
    }
}

/// What a session stands on. Somebody may take it away between the check of it and the begin of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignInGround<'a> {
    /// What was used up by its check, such as a link, or is written with it.
    Given,
    /// The password with this hash.
    Password(&'a PasswordHash),
    /// The sign-in that waited for the second factor. It ends with this.
    HalfWay(SignInId),
}

/// A session, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
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

impl Session {
    /// A session of `user_id` on this agent.
    pub fn new(
        id: SignInId,
        user_id: UserId,
        stage: SignInStage,
        agent: impl Into<String>,
        times: SessionTimes,
    ) -> Self {
        Self { id, user_id, stage, agent: agent.into(), times }
    }
}

/// What a secret of a session stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
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

impl UsedSession {
    /// What a secret of `session` stands for.
    pub const fn new(session: Session, is_present_secret: bool, user: User, teams: Vec<TeamAccess>) -> Self {
        Self { session, is_present_secret, user, teams }
    }
}

/// The ways beside the password in which an account is signed in to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
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
#[non_exhaustive]
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
///
/// ```
/// use zenovay_store::auth::{PasswordHash, SecretDigest, SignInStage};
/// use zenovay_store::domain::{SignInId, Timestamp, UserId};
/// use zenovay_store::people::{NewSession, SignInStore};
/// use zenovay_store::{SqliteStore, User, UserStore};
///
/// # let store = SqliteStore::in_memory()?;
/// # let now = Timestamp::from_millis(1_781_308_800_000);
/// # let hash = PasswordHash::from_stored("$argon2id$…".to_owned());
/// # let ann = User::new(UserId::from_random_bytes([1; 16]), "ann@example.com", "Ann", hash, now);
/// # store.create_user(&ann)?;
/// let digest = SecretDigest::of(b"what the cookie holds");
/// let id = SignInId::from_random_bytes([6; 16]);
/// store.begin_session(&NewSession::new(id, ann.id, digest, SignInStage::Complete, "Firefox"), now)?;
/// assert_eq!(store.use_session(&digest, now)?.unwrap().user, ann);
/// assert!(store.end_session(ann.id, id)?);
/// assert!(store.use_session(&digest, now)?.is_none());
/// # Ok::<(), zenovay_store::StoreError>(())
/// ```
pub trait SignInStore: Send + Sync {
    /// Begins a session at `now`. Of an account with more than [`SESSIONS_MAX`] those end that were not used for the
    /// longest time; of those that wait for the second factor there are [`HALF_WAY_MAX`] beside them.
    ///
    /// # Errors
    ///
    /// `NotFound("user")`, `SignedOut` when the ground of the session does not hold any more.
    fn begin_session(&self, session: &NewSession<'_>, now: Timestamp) -> Result<()>;

    /// The session with this secret, present or [admitted](SessionTimes::admits_previous_secret); `None` when there is none or
    /// it is over. Notes that it was used, at most once a minute. A session whose earlier secret comes back too late is
    /// ended, because somebody has a copy.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn use_session(&self, digest: &SecretDigest, now: Timestamp) -> Result<Option<UsedSession>>;

    /// Replaces the secret `present` of a session by `next`. `false` when somebody else has replaced it before.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn rotate_session(&self, id: SignInId, present: &SecretDigest, next: &SecretDigest, now: Timestamp)
    -> Result<bool>;

    /// The complete sessions of a user that are not over, the one that was used last first.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>>;

    /// Ends one session of a user. `false` when there is none.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn end_session(&self, user: UserId, id: SignInId) -> Result<bool>;

    /// Ends all sessions of a user but `keep`, and returns how many complete ones that were.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn end_sessions(&self, user: UserId, keep: Option<SignInId>) -> Result<usize>;

    /// Replaces the password, ends all sessions but `keep` and takes back the links for a new password.
    ///
    /// # Errors
    ///
    /// `NotFound("user")`.
    fn change_password(&self, user: UserId, hash: &PasswordHash, keep: Option<SignInId>) -> Result<()>;

    /// Replaces the hash `from` by another one of the same password, and nothing else. `false` when the account has another
    /// password now, which stays.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn rehash_password(&self, user: UserId, from: &PasswordHash, to: &PasswordHash) -> Result<bool>;

    /// The ways beside the password in which the account is signed in to.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn sign_in_means(&self, user: UserId) -> Result<SignInMeans>;

    /// How often in a row trying `subject` failed, and when last; nothing when that is longer ago than
    /// [`FAILURES_KEPT_MS`](zenovay_auth::FAILURES_KEPT_MS).
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn failures(&self, subject: &SecretDigest, now: Timestamp) -> Result<Option<(u32, Timestamp)>>;

    /// Counts a failed try of `subject`, and returns how many that are in a row. As durable as
    /// [`charge_request`](crate::UsageStore::charge_request). Of very many subjects the oldest are forgotten.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn note_failure(&self, subject: &SecretDigest, now: Timestamp) -> Result<u32>;

    /// Forgets the failed tries of `subject`.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
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
    /// Those of every method, see [`Store`](crate::Store).
    fn has_link(&self, purpose: LinkPurpose, now: Timestamp) -> Result<bool>;

    /// Uses a link for a new password: sets it, ends all sessions and takes back all links of the user. `None` when the
    /// link does not work; of two at the same time one does.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
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
    /// Those of every method, see [`Store`](crate::Store).
    fn use_sign_in_link(&self, digest: &SecretDigest, now: Timestamp) -> Result<Option<UserId>>;

    /// Forgets sessions, links, failures and invitations that are over.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn forget_what_is_over(&self, now: Timestamp) -> Result<()>;
}
