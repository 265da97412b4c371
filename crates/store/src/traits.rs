//! What a store does, one trait per kind of data, and [`Store`] for all of them.

use zenovay_auth::{Credential, KeyDigest, PasswordHash};
use zenovay_domain::{
    ClockMemory, Dimension, KeyId, KeyPolicy, Plan, PlanTable, Role, TeamId, Timestamp, TrackingCode, UserId, Website,
    WebsiteId,
};

use crate::{
    Activity, Charge, DroppedHits, Folded, GoalStore, KeyEdit, KeyRecord, Member, NewKey, NewWebsite, Result,
    ShareStore, Team, Usage, User, UserTeam,
};

/// Everything that a back end of the metadata does. Whoever uses a store asks for this or for one of its parts, never for a
/// back end by name.
///
/// Every method is one transaction. "Not found" is `Ok(None)` where something is looked up, and
/// [`NotFound`](crate::StoreError::NotFound) where something is to be changed.
///
/// A back end is done when `conformance_tests!` (feature `conformance`) passes for it.
///
/// # Blocking
///
/// **Every method of this trait and of its parts may block**: it may wait for a disk, for a network or for somebody else's
/// change. Call them outside an async executor's workers, as with `tokio::task::spawn_blocking`. Only
/// [`own_changes`](DataVersion::own_changes) waits for nothing.
///
/// # Errors
///
/// Every method, beside what it says itself, fails with
///
/// - [`Unavailable`](crate::StoreError::Unavailable) when the store cannot be used now, as when it is locked for too long;
/// - [`Damaged`](crate::StoreError::Damaged) when its file is not what was written;
/// - [`Decode`](crate::StoreError::Decode) when a row does not hold what it must;
/// - [`DiskFull`](crate::StoreError::DiskFull) when it changes something and there is no space.
pub trait Store:
    UserStore
    + TeamStore
    + WebsiteStore
    + KeyStore
    + UsageStore
    + DroppedAgentStore
    + GoalStore
    + ShareStore
    + ClockStore
    + DataVersion
{
    /// Reads everything, to find damage before a request does. Empty when all is well, otherwise one line for each fault.
    /// Works while other processes use the store.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn check(&self) -> Result<Vec<String>>;
}

/// User accounts.
///
/// ```
/// use zenovay_store::auth::PasswordHash;
/// use zenovay_store::domain::{Timestamp, UserId};
/// use zenovay_store::{SqliteStore, User, UserStore};
///
/// let store = SqliteStore::in_memory()?;
/// let now = Timestamp::from_millis(1_781_308_800_000);
/// let hash = PasswordHash::from_stored("$argon2id$…".to_owned());
/// let ann = User::new(UserId::from_random_bytes([1; 16]), "ann@example.com", "Ann", hash, now);
/// store.create_user(&ann)?;
/// let edited = store.edit_user(ann.id, &mut |user| {
///     user.name = "Ann B.".to_owned();
///     Ok(())
/// })?;
/// assert_eq!(store.user_by_email("ANN@example.com")?, Some(edited));
/// # Ok::<(), zenovay_store::StoreError>(())
/// ```
pub trait UserStore: Send + Sync {
    /// Creates an account.
    ///
    /// # Errors
    ///
    /// `Invalid` for an address or a name that cannot be one, `Conflict("email")` when the address, in any case, has an
    /// account.
    fn create_user(&self, user: &User) -> Result<()>;

    /// The account `id`.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn user(&self, id: UserId) -> Result<Option<User>>;

    /// The account with this address; upper and lower case are the same.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn user_by_email(&self, email: &str) -> Result<Option<User>>;

    /// All accounts, the oldest first.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn users(&self) -> Result<Vec<User>>;

    /// Hands the account to `edit` and stores what it makes of it: address and name; everything else stays. Nobody else
    /// changes it in between: when somebody did, `edit` is called again with what there is then. It may use the store. Returns
    /// it as stored.
    ///
    /// # Errors
    ///
    /// `NotFound("user")`, `Invalid` and `Conflict("email")` as for [`create_user`](Self::create_user), and what `edit`
    /// returns; then nothing is changed.
    fn edit_user(&self, id: UserId, edit: &mut dyn FnMut(&mut User) -> Result<()>) -> Result<User>;

    /// Replaces the password, and ends what the earlier one opened: sessions, and links for a new password.
    ///
    /// # Errors
    ///
    /// `NotFound("user")`.
    fn set_password(&self, id: UserId, hash: &PasswordHash) -> Result<()>;

    /// Takes the password away: the account stays, and no password opens it until [`set_password`](Self::set_password) gives
    /// it one.
    ///
    /// # Errors
    ///
    /// `NotFound("user")`.
    fn delete_password(&self, id: UserId) -> Result<()>;

    /// Deletes the account with its memberships and personal keys. Websites and workspace keys that the user created stay
    /// with their teams.
    ///
    /// # Errors
    ///
    /// `NotFound("user")`, `LastOwner` when a team would be left without an owner.
    fn delete_user(&self, id: UserId) -> Result<()>;

    /// Whether there is any account. There is none before the first start.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn has_users(&self) -> Result<bool>;
}

/// Teams and their members.
///
/// ```
/// use zenovay_store::auth::PasswordHash;
/// use zenovay_store::domain::{Plan, Role, TeamId, Timestamp, UserId};
/// use zenovay_store::{SqliteStore, Team, TeamStore, User, UserStore};
///
/// # let store = SqliteStore::in_memory()?;
/// # let now = Timestamp::from_millis(1_781_308_800_000);
/// # let hash = PasswordHash::from_stored("$argon2id$…".to_owned());
/// # let ann = User::new(UserId::from_random_bytes([1; 16]), "ann@example.com", "Ann", hash, now);
/// # store.create_user(&ann)?;
/// let team = Team::new(TeamId::from_random_bytes([2; 16]), "Ann's team", Plan::Pro, now);
/// store.create_team(&team, ann.id)?;
/// assert_eq!(store.members(team.id)?[0].role, Role::Owner);
/// assert!(store.remove_member(team.id, ann.id, now).is_err(), "its last owner");
/// # Ok::<(), zenovay_store::StoreError>(())
/// ```
pub trait TeamStore: Send + Sync {
    /// Creates a team with its first owner.
    ///
    /// # Errors
    ///
    /// `Invalid` for a name that cannot be one, `NotFound("user")`.
    fn create_team(&self, team: &Team, owner: UserId) -> Result<()>;

    /// The team `id`.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn team(&self, id: TeamId) -> Result<Option<Team>>;

    /// All teams, the oldest first.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn teams(&self) -> Result<Vec<Team>>;

    /// The teams that the user is a member of, the longest standing membership first; none for a user who is not there.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn teams_of(&self, user: UserId) -> Result<Vec<UserTeam>>;

    /// Changes the name.
    ///
    /// # Errors
    ///
    /// `Invalid` for a name that cannot be one, `NotFound("team")`.
    fn rename_team(&self, id: TeamId, name: &str) -> Result<()>;

    /// Deletes the team with its memberships, websites and workspace keys, and notes that the events of the websites are to
    /// be deleted. The team and its websites are dropped from the personal keys that name them; such a key that names no
    /// other is revoked at `now`. Returns how many websites it had.
    ///
    /// # Errors
    ///
    /// `NotFound("team")`.
    fn delete_team(&self, id: TeamId, now: Timestamp) -> Result<u64>;

    /// Changes the plan. Websites and members beyond the new plan's limits stay; no more can be added.
    ///
    /// # Errors
    ///
    /// `NotFound("team")`.
    fn set_plan(&self, id: TeamId, plan: Plan) -> Result<()>;

    /// Changes who may create personal keys that reach the team. Keys that exist live on.
    ///
    /// # Errors
    ///
    /// `NotFound("team")`.
    fn set_key_policy(&self, id: TeamId, policy: KeyPolicy) -> Result<()>;

    /// The members of a team, the longest standing first.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn members(&self, id: TeamId) -> Result<Vec<Member>>;

    /// Makes the user a member, or gives a member another role.
    ///
    /// # Errors
    ///
    /// `NotFound("team")`, `NotFound("user")`, `PlanLimit` when the team is full, `LastOwner`.
    fn add_member(&self, id: TeamId, user: UserId, role: Role, plans: &PlanTable, now: Timestamp) -> Result<()>;

    /// Ends a membership. The team is dropped from the user's personal keys that name it; such a key that names no other
    /// team is revoked at `now`. Keys for all teams live on. Invitations that the user made into the team end.
    ///
    /// # Errors
    ///
    /// `NotFound("member")`, `LastOwner`.
    fn remove_member(&self, id: TeamId, user: UserId, now: Timestamp) -> Result<()>;
}

/// Websites.
///
/// ```
/// use zenovay_store::auth::PasswordHash;
/// use zenovay_store::domain::{Plan, PlanTable, TeamId, Timestamp, TrackingCode, UserId, WebsiteId};
/// use zenovay_store::{NewWebsite, SqliteStore, Team, TeamStore, User, UserStore, WebsiteStore};
///
/// # let store = SqliteStore::in_memory()?;
/// # let now = Timestamp::from_millis(1_781_308_800_000);
/// # let hash = PasswordHash::from_stored("$argon2id$…".to_owned());
/// # let ann = User::new(UserId::from_random_bytes([1; 16]), "ann@example.com", "Ann", hash, now);
/// # store.create_user(&ann)?;
/// # let team = Team::new(TeamId::from_random_bytes([2; 16]), "Ann's team", Plan::Pro, now);
/// # store.create_team(&team, ann.id)?;
/// let code = TrackingCode::from_random_bytes([4; 11]);
/// let new = NewWebsite::new(WebsiteId::from_random_bytes([3; 16]), team.id, "Example.com", code.clone());
/// let website = store.create_website(&new, &PlanTable::default(), now)?;
/// assert_eq!(website.domain, "example.com");
/// assert_eq!(store.website_by_code(&code)?, Some(website));
/// # Ok::<(), zenovay_store::StoreError>(())
/// ```
pub trait WebsiteStore: Send + Sync {
    /// Creates a website and returns it as stored, with its domain normalised.
    ///
    /// # Errors
    ///
    /// `Invalid` for a domain, name or setting that breaks a rule, `NotFound("team")`, `PlanLimit` when the team has as
    /// many as its plan allows, `Conflict("tracking code")`.
    fn create_website(&self, website: &NewWebsite, plans: &PlanTable, now: Timestamp) -> Result<Website>;

    /// The website `id`.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn website(&self, id: WebsiteId) -> Result<Option<Website>>;

    /// The website with this code; codes are compared exactly.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn website_by_code(&self, code: &TrackingCode) -> Result<Option<Website>>;

    /// All websites, the oldest first.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn websites(&self) -> Result<Vec<Website>>;

    /// The websites that the credential reaches and whose own team has the External API in its plan, the oldest first.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn reachable_websites(&self, credential: &Credential, plans: &PlanTable) -> Result<Vec<Website>>;

    /// Hands the website to `edit` and stores what it makes of it: domain, name and settings; everything else stays.
    /// Nobody else changes it in between: when somebody did, `edit` is called again with what there is then. It may use the
    /// store. Returns it as stored.
    ///
    /// # Errors
    ///
    /// `NotFound("website")`, `Invalid` as for [`create_website`](Self::create_website), and what `edit` returns; then
    /// nothing is changed.
    fn edit_website(&self, id: WebsiteId, edit: &mut dyn FnMut(&mut Website) -> Result<()>) -> Result<Website>;

    /// Gives the website another tracking code. Events with the old one are refused from now on.
    ///
    /// # Errors
    ///
    /// `NotFound("website")`, `Conflict("tracking code")`.
    fn set_tracking_code(&self, id: WebsiteId, code: &TrackingCode) -> Result<Website>;

    /// The websites of these teams, the oldest first.
    ///
    /// # Errors
    ///
    /// Those of every method, see [`Store`](crate::Store).
    fn websites_of_teams(&self, teams: &[TeamId]) -> Result<Vec<Website>>;

    /// Deletes the website and notes that its events are to be deleted. It is dropped from the keys that name it; a key
    /// that names no other website is revoked at `now`.
    ///
    /// # Errors
    ///
    /// `NotFound("website")`.
    fn delete_website(&self, id: WebsiteId, now: Timestamp) -> Result<()>;

    /// The deleted websites whose events are not deleted yet.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn deleted_websites(&self) -> Result<Vec<WebsiteId>>;

    /// Notes that the events of a deleted website are deleted. Doing it twice does no harm.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn mark_events_deleted(&self, id: WebsiteId) -> Result<()>;

    /// Adds to the counts of the UTC day of `now`: how many events of a website had a string of a column stored as
    /// `(other)`. Counts older than 30 days go. A website that is not there is passed over.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn add_folded(&self, folded: &[(WebsiteId, Dimension, u64)], now: Timestamp) -> Result<()>;

    /// What [`add_folded`](Self::add_folded) counted for a website, the latest day first, by column.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn folded(&self, id: WebsiteId) -> Result<Vec<Folded>>;
}

/// API keys.
///
/// ```
/// use zenovay_store::auth::{KeyFormat, KeyKind, PasswordHash};
/// use zenovay_store::domain::{KeyId, Plan, TeamId, Timestamp, UserId};
/// use zenovay_store::{KeyStore, NewKey, SqliteStore, Team, TeamStore, User, UserStore};
///
/// # let store = SqliteStore::in_memory()?;
/// # let now = Timestamp::from_millis(1_781_308_800_000);
/// # let hash = PasswordHash::from_stored("$argon2id$…".to_owned());
/// # let ann = User::new(UserId::from_random_bytes([1; 16]), "ann@example.com", "Ann", hash, now);
/// # store.create_user(&ann)?;
/// # let team = Team::new(TeamId::from_random_bytes([2; 16]), "Ann's team", Plan::Pro, now);
/// # store.create_team(&team, ann.id)?;
/// let token = KeyFormat::new("acme_")?.generate()?; // shown once
/// let id = KeyId::from_random_bytes([5; 16]);
/// store.create_key(&NewKey::new(id, &token, KeyKind::Personal(ann.id), "ci", "read".parse()?), now)?;
/// assert_eq!(store.credential(&token.digest())?.unwrap().name, "ci");
/// store.revoke_key(id, now)?;
/// assert!(store.credential(&token.digest())?.unwrap().revoked);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait KeyStore: Send + Sync {
    /// Creates a key, if the rules of [`zenovay_auth::may_create_key`] let its creator, and returns it.
    ///
    /// # Errors
    ///
    /// `KeyRefused`, `NotFound` for an unknown user, team or website, `Conflict("key")`.
    fn create_key(&self, key: &NewKey<'_>, now: Timestamp) -> Result<KeyRecord>;

    /// The key `id`, also when it is revoked.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn key(&self, id: KeyId) -> Result<Option<KeyRecord>>;

    /// All keys, the oldest first, also revoked ones.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn keys(&self) -> Result<Vec<KeyRecord>>;

    /// Changes a key, if the rules of [`zenovay_auth::may_edit_key`] let its owner, and returns it.
    ///
    /// # Errors
    ///
    /// `NotFound`, `KeyRefused`, `KeyRevoked`.
    fn edit_key(&self, id: KeyId, edit: &KeyEdit) -> Result<KeyRecord>;

    /// Revokes a key for good, also on a full disk. When this returns, no process accepts the key any more. Doing it twice
    /// does no harm; the first time counts.
    ///
    /// # Errors
    ///
    /// `NotFound("key")`.
    fn revoke_key(&self, id: KeyId, now: Timestamp) -> Result<()>;

    /// The credential behind a digest, with its owner's memberships and the plans of the teams as they are now, also
    /// when it is revoked; `None` when nobody holds such a key.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn credential(&self, digest: &KeyDigest) -> Result<Option<Credential>>;

    /// The digests of the keys that are not revoked, at most `limit` of them, the newest first.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn valid_keys(&self, limit: usize) -> Result<Vec<KeyDigest>>;
}

/// What keys are used for.
///
/// ```
/// use zenovay_store::auth::{KeyFormat, KeyKind, PasswordHash};
/// use zenovay_store::domain::{KeyId, Plan, TeamId, Timestamp, UserId};
/// use zenovay_store::{Charge, KeyStore, NewKey, SqliteStore, Team, TeamStore, UsageStore, User, UserStore};
///
/// # let store = SqliteStore::in_memory()?;
/// # let now = Timestamp::from_millis(1_781_308_800_000);
/// # let hash = PasswordHash::from_stored("$argon2id$…".to_owned());
/// # let ann = User::new(UserId::from_random_bytes([1; 16]), "ann@example.com", "Ann", hash, now);
/// # store.create_user(&ann)?;
/// # let team = Team::new(TeamId::from_random_bytes([2; 16]), "Ann's team", Plan::Pro, now);
/// # store.create_team(&team, ann.id)?;
/// # let token = KeyFormat::new("acme_")?.generate()?; // shown once
/// # let id = KeyId::from_random_bytes([5; 16]);
/// # store.create_key(&NewKey::new(id, &token, KeyKind::Personal(ann.id), "ci", "read".parse()?), now)?;
/// // Two requests a month.
/// for _ in 0..2 {
///     assert!(matches!(store.charge_request(id, 2, now)?, Charge::Counted(_)));
/// }
/// assert!(matches!(store.charge_request(id, 2, now)?, Charge::Exhausted(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait UsageStore: Send + Sync {
    /// Counts one request of the key in the UTC month of `now`, unless `monthly_limit` requests are counted there. Under
    /// any number of concurrent callers, in any number of processes, exactly `monthly_limit` are counted. The count
    /// survives the death of the process as soon as this returns; a power cut may take the requests since the last write
    /// of another kind. A clock that goes back over the end of a month does not open a month a second time: the later month
    /// goes on. A month that is later than the next one was counted by a clock that was wrong, and ends. Also notes
    /// the hour's activity and, at most once a minute, the time of last use.
    ///
    /// # Errors
    ///
    /// `NotFound("key")`.
    fn charge_request(&self, id: KeyId, monthly_limit: u64, now: Timestamp) -> Result<Charge>;

    /// The usage of the key as of `now`.
    ///
    /// # Errors
    ///
    /// `NotFound("key")`.
    fn usage(&self, id: KeyId, now: Timestamp) -> Result<Usage>;

    /// Adds accepted events of a batch to the activity of the key. As durable as [`charge_request`](Self::charge_request).
    ///
    /// # Errors
    ///
    /// `NotFound("key")`.
    fn record_accepted_events(&self, id: KeyId, events: u64, now: Timestamp) -> Result<()>;

    /// What the key did, as of `now`.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn activity(&self, id: KeyId, now: Timestamp) -> Result<Activity>;
}

/// What was dropped as a bot.
pub trait DroppedAgentStore: Send + Sync {
    /// Adds hits to the counts. Websites that are gone are passed over. Of each website the [`DROPPED_AGENTS_MAX`](crate::DROPPED_AGENTS_MAX) agents
    /// with the most hits stay; the hits of others are counted under [`OTHER_AGENTS`](zenovay_domain::OTHER_AGENTS), by reason. An agent that did not
    /// come for [`DROPPED_AGENTS_DAYS`](crate::DROPPED_AGENTS_DAYS) days before `now` is forgotten, whatever `counts` hold. Survives the death of the
    /// process; a power cut may take the latest.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn count_dropped_agents(&self, counts: &[DroppedHits], now: Timestamp) -> Result<()>;

    /// The agents that were dropped in the last [`DROPPED_AGENTS_DAYS`](crate::DROPPED_AGENTS_DAYS) days, the most frequent first.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn dropped_agents(&self, id: WebsiteId, now: Timestamp) -> Result<Vec<DroppedHits>>;
}

/// What a server remembers of its clock.
pub trait ClockStore: Send + Sync {
    /// What [`remember_clock`](Self::remember_clock) stored last; `None` before the first time.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn clock_memory(&self) -> Result<Option<ClockMemory>>;

    /// Stores `memory` for the next server. As durable as [`UsageStore::charge_request`]. It does not move the
    /// [`DataVersion`].
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn remember_clock(&self, memory: &ClockMemory) -> Result<()>;
}

/// A number that moves with every change of users' memberships, teams, websites or keys.
pub trait DataVersion: Send + Sync {
    /// The present version. A change made by any process, and finished before this is called, is in it. What is read after
    /// this has returned is at least as new.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::StoreError::Unavailable), [`Damaged`](crate::StoreError::Damaged) or
    /// [`Decode`](crate::StoreError::Decode), as of [every method](Store#errors).
    fn data_version(&self) -> Result<i64>;

    /// How many changes were made through this very store, by memory alone. A change that is finished is counted.
    fn own_changes(&self) -> u64;
}
