//! What is stored, as Rust values.

use zenovay_auth::{ApiKeyToken, KeyDigest, KeyKind, PasswordHash};
use zenovay_domain::{
    Dimension, KeyId, KeyPolicy, Plan, Role, Scopes, TeamId, Timestamp, TrackingCode, UserId, WebsiteId,
    WebsiteSettings,
};

/// A user account.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// The address as it was given, at most 254 bytes.
    pub email: String,
    /// The name people see, 1 to 100 characters.
    pub name: String,
    /// The hash of the password; an empty one, which no password has, for an account without a password.
    pub password_hash: PasswordHash,
    /// When the account was created.
    pub created_at: Timestamp,
}

impl User {
    /// An account.
    pub fn new(
        id: UserId,
        email: impl Into<String>,
        name: impl Into<String>,
        password_hash: PasswordHash,
        created_at: Timestamp,
    ) -> Self {
        Self { id, email: email.into(), name: name.into(), password_hash, created_at }
    }
}

/// How many owners a team has at most.
pub const OWNERS_MAX: usize = 3;

/// A team, also called workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// The name people see, 1 to 100 characters.
    pub name: String,
    /// Its plan.
    pub plan: Plan,
    /// Who may create personal keys that reach it.
    pub key_policy: KeyPolicy,
    /// When it was created.
    pub created_at: Timestamp,
}

impl Team {
    /// A team all of whose members may create personal keys.
    pub fn new(id: TeamId, name: impl Into<String>, plan: Plan, created_at: Timestamp) -> Self {
        Self { id, name: name.into(), plan, key_policy: KeyPolicy::AllMembers, created_at }
    }
}

/// A team that a user is a member of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserTeam {
    /// The team.
    pub team: Team,
    /// The user's role in it.
    pub role: Role,
    /// When the membership began.
    pub since: Timestamp,
}

impl UserTeam {
    /// A membership, seen from the user.
    pub fn new(team: Team, role: Role, since: Timestamp) -> Self {
        Self { team, role, since }
    }
}

/// A member of a team.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// The user.
    pub user_id: UserId,
    /// The user's address.
    pub email: String,
    /// The role.
    pub role: Role,
}

impl Member {
    /// A membership, seen from the team.
    pub fn new(user_id: UserId, email: impl Into<String>, role: Role) -> Self {
        Self { user_id, email: email.into(), role }
    }
}

/// How many events of a day had a string of a column stored as `(other)`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Folded {
    /// The beginning of the UTC day on which they arrived.
    pub day: Timestamp,
    /// The column.
    pub column: Dimension,
    /// How many events.
    pub events: u64,
}

impl Folded {
    /// The count of a day.
    pub fn new(day: Timestamp, column: Dimension, events: u64) -> Self {
        Self { day, column, events }
    }
}

/// A website to be created.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewWebsite {
    /// Its id, drawn at random.
    pub id: WebsiteId,
    /// The team that will own it.
    pub team_id: TeamId,
    /// The user who creates it.
    pub user_id: Option<UserId>,
    /// The domain as it was typed; see [`parse_domain`](zenovay_domain::parse_domain).
    pub domain: String,
    /// The name people see, 1 to 100 characters.
    pub name: String,
    /// Its code, drawn at random.
    pub tracking_code: TrackingCode,
    /// Its settings.
    pub settings: WebsiteSettings,
}

impl NewWebsite {
    /// A website of that domain, which is also its name, with the settings that every website begins with.
    pub fn new(id: WebsiteId, team_id: TeamId, domain: impl Into<String>, tracking_code: TrackingCode) -> Self {
        let domain = domain.into();
        let (name, settings) = (domain.clone(), WebsiteSettings::default());
        Self { id, team_id, user_id: None, domain, name, tracking_code, settings }
    }
}

/// A key to be created.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewKey<'a> {
    /// Its id, drawn at random.
    pub id: KeyId,
    /// The key itself; only its digest and prefix are stored.
    pub token: &'a ApiKeyToken,
    /// Whose key it is.
    pub kind: KeyKind,
    /// Who creates a workspace key; `None` is the operator of the server, who may. The creator of a personal key is its
    /// owner.
    pub created_by: Option<UserId>,
    /// Its name, 1 to 64 characters.
    pub name: &'a str,
    /// What it may do.
    pub scopes: Scopes,
    /// The teams it is restricted to; `None` means all of its owner. `None` for a workspace key.
    pub team_ids: Option<Vec<TeamId>>,
    /// The websites it is restricted to; `None` means all of its teams.
    pub website_ids: Option<Vec<WebsiteId>>,
}

impl<'a> NewKey<'a> {
    /// A key that reaches all that its kind lets it reach.
    pub fn new(id: KeyId, token: &'a ApiKeyToken, kind: KeyKind, name: &'a str, scopes: Scopes) -> Self {
        Self { id, token, kind, created_by: None, name, scopes, team_ids: None, website_ids: None }
    }
}

/// A change of a key; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct KeyEdit {
    /// The new name.
    pub name: Option<String>,
    /// The new scopes.
    pub scopes: Option<Scopes>,
    /// The new team access: `Some(None)` means all teams.
    pub team_ids: Option<Option<Vec<TeamId>>>,
    /// The new website access: `Some(None)` means all websites.
    pub website_ids: Option<Option<Vec<WebsiteId>>>,
}

/// A stored key: everything but the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyRecord {
    /// Its id.
    pub id: KeyId,
    /// Its digest.
    pub digest: KeyDigest,
    /// What is shown of it, to tell it from others: the prefix of its format and a few characters.
    pub prefix: String,
    /// Its name.
    pub name: String,
    /// Whose key it is.
    pub kind: KeyKind,
    /// What it may do.
    pub scopes: Scopes,
    /// The teams it is restricted to; `None` means all of its owner.
    pub team_ids: Option<Vec<TeamId>>,
    /// The websites it is restricted to; `None` means all of its teams.
    pub website_ids: Option<Vec<WebsiteId>>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

impl KeyRecord {
    /// A key that reaches all that its kind lets it reach, is not revoked and was not used.
    pub fn new(
        id: KeyId,
        digest: KeyDigest,
        prefix: impl Into<String>,
        name: impl Into<String>,
        kind: KeyKind,
        scopes: Scopes,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            digest,
            prefix: prefix.into(),
            name: name.into(),
            kind,
            scopes,
            team_ids: None,
            website_ids: None,
            created_at,
            revoked_at: None,
            last_used_at: None,
        }
    }
}

/// The use of a key in a month and since its creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Requests counted in the month.
    pub monthly_used: u64,
    /// Requests counted since the key was created.
    pub total_used: u64,
    /// The start of the next month, 00:00:00.000Z of the 1st.
    pub resets_at: Timestamp,
}

impl Usage {
    /// A usage as of the month that ends at `resets_at`.
    pub fn new(monthly_used: u64, total_used: u64, resets_at: Timestamp) -> Self {
        Self { monthly_used, total_used, resets_at }
    }
}

/// The answer to a request that wants to be counted: there is no third one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it was counted, or it was too much")]
pub enum Charge {
    /// It was counted; the usage includes it.
    Counted(Usage),
    /// The month is used up; it was not counted.
    Exhausted(Usage),
}

/// Counts of one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ActivityCounts {
    /// Requests that were counted.
    pub requests: u64,
    /// Events of batches that were accepted.
    pub accepted_events: u64,
}

impl Activity {
    /// The counts of the three periods.
    pub fn new(last_24_hours: ActivityCounts, last_7_days: ActivityCounts, all_time: ActivityCounts) -> Self {
        Self { last_24_hours, last_7_days, all_time }
    }
}

impl ActivityCounts {
    /// The counts of one period.
    pub fn new(requests: u64, accepted_events: u64) -> Self {
        Self { requests, accepted_events }
    }
}

/// What a key did. Periods are counted by whole UTC hours, the running one included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Activity {
    /// In the last 24 hours.
    pub last_24_hours: ActivityCounts,
    /// In the last 7 days.
    pub last_7_days: ActivityCounts,
    /// Ever.
    pub all_time: ActivityCounts,
}

/// How many user agents of a website are kept one by one; the rest is counted under
/// [`OTHER_AGENTS`](zenovay_domain::OTHER_AGENTS).
pub const DROPPED_AGENTS_MAX: usize = 100;

/// How many days after its last hit a dropped user agent is forgotten.
pub const DROPPED_AGENTS_DAYS: i64 = 30;

/// Hits of a website that were dropped as a bot's, by user agent and reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DroppedHits {
    /// The website.
    pub website: WebsiteId,
    /// The user agent; empty when none was sent.
    pub agent: String,
    /// Why it is a bot's.
    pub reason: String,
    /// The pattern or word that matched; empty where the reason says it all.
    pub rule: String,
    /// How many hits.
    pub hits: u64,
    /// When the first one came.
    pub first_at: Timestamp,
    /// When the last one came.
    pub last_at: Timestamp,
}

impl DroppedHits {
    /// Hits of one agent that were dropped for one reason.
    pub fn new(
        website: WebsiteId,
        agent: impl Into<String>,
        reason: impl Into<String>,
        rule: impl Into<String>,
        hits: u64,
        first_at: Timestamp,
        last_at: Timestamp,
    ) -> Self {
        Self { website, agent: agent.into(), reason: reason.into(), rule: rule.into(), hits, first_at, last_at }
    }
}
