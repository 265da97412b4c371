//! What a store does, one trait per kind of data, and [`Store`] for all of them. Every method is one transaction. "Not found" is `Ok(None)` where
//! something is looked up, and [`StoreError::NotFound`](crate::StoreError::NotFound) where something is to be changed.
//! All methods fail with [`StoreError::Unavailable`](crate::StoreError::Unavailable) when the database cannot be used,
//! and with [`StoreError::Decode`](crate::StoreError::Decode) when a row is damaged. All may block: call them outside an
//! async executor's workers.

use zenovay_auth::{Credential, KeyDigest, PasswordHash};
use zenovay_domain::{
    ClockMemory, Dimension, KeyId, KeyPolicy, Plan, PlanTable, Role, TeamId, Timestamp, TrackingCode, UserId, Website,
    WebsiteId,
};

use crate::{
    Activity, Charge, DroppedHits, Folded, KeyEdit, KeyRecord, Member, NewKey, NewWebsite, Result, Team, Usage, User,
};

/// Everything that a back end of the metadata does. Whoever uses a store asks for this or for one of its parts, never for a
/// back end by name.
///
/// A back end is done when `conformance_tests!` passes for it.
pub trait Store:
    UserStore + TeamStore + WebsiteStore + KeyStore + UsageStore + DroppedAgentStore + ClockStore + DataVersion
{
    /// Reads everything, to find damage before a request does. Empty when all is well, otherwise one line for each fault.
    /// Works while other processes use the store.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn check(&self) -> Result<Vec<String>>;
}

/// User accounts.
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
    /// Those of the module.
    fn user(&self, id: UserId) -> Result<Option<User>>;

    /// The account with this address; upper and lower case are the same.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn user_by_email(&self, email: &str) -> Result<Option<User>>;

    /// All accounts, the oldest first.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn users(&self) -> Result<Vec<User>>;

    /// Replaces the password.
    ///
    /// # Errors
    ///
    /// `NotFound("user")`.
    fn set_password(&self, id: UserId, hash: &PasswordHash) -> Result<()>;

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
    /// Those of the module.
    fn has_users(&self) -> Result<bool>;
}

/// Teams and their members.
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
    /// Those of the module.
    fn team(&self, id: TeamId) -> Result<Option<Team>>;

    /// All teams, the oldest first.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn teams(&self) -> Result<Vec<Team>>;

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
    /// Those of the module.
    fn members(&self, id: TeamId) -> Result<Vec<Member>>;

    /// Makes the user a member, or gives a member another role.
    ///
    /// # Errors
    ///
    /// `NotFound("team")`, `NotFound("user")`, `PlanLimit` when the team is full, `LastOwner`.
    fn add_member(&self, id: TeamId, user: UserId, role: Role, plans: &PlanTable, now: Timestamp) -> Result<()>;

    /// Ends a membership. The team is dropped from the user's personal keys that name it; such a key that names no other
    /// team is revoked at `now`. Keys for all teams live on (SPEC C2 row 16).
    ///
    /// # Errors
    ///
    /// `NotFound("member")`, `LastOwner`.
    fn remove_member(&self, id: TeamId, user: UserId, now: Timestamp) -> Result<()>;
}

/// Websites.
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
    /// Those of the module.
    fn website(&self, id: WebsiteId) -> Result<Option<Website>>;

    /// The website with this code; codes are compared exactly.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn website_by_code(&self, code: &TrackingCode) -> Result<Option<Website>>;

    /// All websites, the oldest first.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn websites(&self) -> Result<Vec<Website>>;

    /// The websites that the credential reaches and whose own team has the External API in its plan, the oldest first.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn reachable_websites(&self, credential: &Credential, plans: &PlanTable) -> Result<Vec<Website>>;

    /// Hands the website to `edit` and stores what it makes of it: domain, name and settings; everything else stays.
    /// Nobody else changes it in between. Returns it as stored.
    ///
    /// # Errors
    ///
    /// `NotFound("website")`, `Invalid` as for [`create_website`](Self::create_website), and what `edit` returns; then
    /// nothing is changed.
    fn edit_website(&self, id: WebsiteId, edit: &mut dyn FnMut(&mut Website) -> Result<()>) -> Result<Website>;

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
    /// Those of the module.
    fn deleted_websites(&self) -> Result<Vec<WebsiteId>>;

    /// Notes that the events of a deleted website are deleted. Doing it twice does no harm.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn mark_events_deleted(&self, id: WebsiteId) -> Result<()>;

    /// Adds to the counts of the UTC day of `now`: how many events of a website had a string of a column stored as
    /// `(other)`. Counts older than 30 days go. A website that is not there is passed over.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn add_folded(&self, folded: &[(WebsiteId, Dimension, u64)], now: Timestamp) -> Result<()>;

    /// What [`add_folded`](Self::add_folded) counted for a website, the latest day first, by column.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn folded(&self, id: WebsiteId) -> Result<Vec<Folded>>;
}

/// API keys.
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
    /// Those of the module.
    fn key(&self, id: KeyId) -> Result<Option<KeyRecord>>;

    /// All keys, the oldest first, also revoked ones.
    ///
    /// # Errors
    ///
    /// Those of the module.
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
    /// Those of the module.
    fn credential(&self, digest: &KeyDigest) -> Result<Option<Credential>>;

    /// The digests of the keys that are not revoked, at most `limit` of them, the newest first.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn valid_keys(&self, limit: usize) -> Result<Vec<KeyDigest>>;
}

/// What keys are used for.
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
    /// Those of the module.
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
    /// Those of the module.
    fn count_dropped_agents(&self, counts: &[DroppedHits], now: Timestamp) -> Result<()>;

    /// The agents that were dropped in the last [`DROPPED_AGENTS_DAYS`](crate::DROPPED_AGENTS_DAYS) days, the most frequent first.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn dropped_agents(&self, id: WebsiteId, now: Timestamp) -> Result<Vec<DroppedHits>>;
}

/// What a server remembers of its clock.
pub trait ClockStore: Send + Sync {
    /// What [`remember_clock`](Self::remember_clock) stored last; `None` before the first time.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn clock_memory(&self) -> Result<Option<ClockMemory>>;

    /// Stores `memory` for the next server. As durable as [`UsageStore::charge_request`]. It does not move the
    /// [`DataVersion`].
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn remember_clock(&self, memory: &ClockMemory) -> Result<()>;
}

/// A number that moves with every change of users' memberships, teams, websites or keys.
pub trait DataVersion: Send + Sync {
    /// The present version. A change made by any process, and finished before this is called, is in it. What is read after
    /// this has returned is at least as new.
    ///
    /// # Errors
    ///
    /// Those of the module.
    fn data_version(&self) -> Result<i64>;

    /// How many changes were made through this very store, by memory alone. A change that is finished is counted.
    fn own_changes(&self) -> u64;
}
