#![doc = include_str!("../README.md")]
// What may grow can grow without breaking who uses it; what cannot says why.
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]
// The queries are written once, and compiled for each database.
#![cfg_attr(feature = "postgres", allow(clippy::duplicate_mod, reason = "`sql` is compiled for each database"))]

#[cfg(not(unix))]
compile_error!("zenovay-store runs on Unix only: its files are for their owner alone");

#[cfg(feature = "conformance")]
pub mod conformance;
mod directory;
mod error;
mod goals;
mod grants;
mod grants_schema;
mod model;
mod month;
pub mod people;
mod people_schema;
#[cfg(feature = "postgres")]
mod postgres;
mod schema;
mod shares;
mod sqlite;
mod status;
mod status_schema;
mod traits;

pub use directory::{CachedDirectory, RememberedWebsite};
pub use error::{Result, StoreError};
pub use goals::{FUNNELS_MAX, GOALS_MAX, GoalStore};
pub use grants::{
    ACCESS_TOKEN_MS, CODE_MS, CODE_REMEMBERED_MS, CODES_MAX, Consent, Exchange, ExchangeRefusal, GRANT_MS, GRANTS_MAX,
    GrantClient, GrantStore, GrantedAccess, Issued, McpGrant, NewCode, NewTokens, REFRESH_GRACE_MS, REFRESH_TOKEN_MS,
    REFRESHES_IN_GRACE_MAX, RegisteredClient, TOKENS_MAX, UNUSED_CLIENT_KEPT_MS, UNUSED_CLIENT_MS, UNUSED_CLIENTS_MAX,
};
pub use model::{
    Activity, ActivityCounts, Charge, Folded, KeyEdit, KeyRecord, Member, NewKey, NewWebsite, Team, Usage, User,
    UserTeam,
};
pub use model::{DROPPED_AGENTS_DAYS, DROPPED_AGENTS_MAX, DroppedHits, OWNERS_MAX};
pub use people::{
    AGENT_MAX_BYTES, AUDIT_MAX, ActingStore, AssistantAccount, AssistantCharge, AssistantStore, AssistantUsage,
    AuditEntry, AuditStore, CodeSecret, DELETED_ACCOUNT, EventMonth, EventMonthStore, HALF_WAY_MAX, INVITATIONS_MAX,
    Invitation, KEY_REQUESTS_MAX, KeyHistoryStore, KeyRequest, LinkPurpose, MemberFacts, MembershipStore, Metadata,
    NewAuditEntry, NewInvitation, NewSession, OPERATOR, PASSKEYS_MAX, Passkey, PasskeyStore, PeopleStore, Profile,
    ProfileStore, SESSIONS_MAX, SecondFactorStore, Session, SignInGround, SignInMeans, SignInStore, Standing,
    TELLING_MS, Theme, UsedSession,
};
#[cfg(feature = "postgres")]
pub use postgres::{
    ClusterErasure, CopiedRows, CopyError, KeyClaim, PostgresCluster, PostgresSnapshot, PostgresStore, ServerClaim,
    check_postgres_url, copy_to_postgres, end_postgres, wait_for_postgres,
};
pub use shares::{SHARES_MAX, Share, ShareStore};
pub use sqlite::{SqliteStore, formats};
pub use status::{
    INCIDENT_MESSAGE_MAX, INCIDENT_UPDATES_MAX, INCIDENTS_MAX, Incident, IncidentUpdate, STATUS_DAYS, STATUS_GAP_MS,
    StatusChecks, StatusSpan, StatusStore,
};
pub use traits::{
    ClockStore, DataVersion, DroppedAgentStore, KeyStore, Store, TeamStore, UsageStore, UserStore, WebsiteStore,
};
/// The crate of keys, passwords and decisions that the interface speaks of. Passwords are made and checked with the feature
/// `password`.
pub use zenovay_auth as auth;
/// The crate of ids, plans, roles and times that the interface speaks of.
pub use zenovay_domain as domain;
