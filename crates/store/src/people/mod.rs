//! People: how they sign in, what they set for themselves, whom they invite, and what was changed by whom. Beside
//! [`Store`], so that a service with accounts of its own needs none of it.

mod account;
mod assistants;
mod audit;
mod event_months;
mod keys;
mod passkeys;
mod second_factor;
mod sign_in;
mod standing;
mod teams;

pub use account::{Profile, ProfileStore, Theme};
pub use assistants::{AssistantAccount, AssistantCharge, AssistantStore, AssistantUsage};
pub use audit::{AUDIT_MAX, AuditEntry, AuditStore, DELETED_ACCOUNT, NewAuditEntry, OPERATOR};
pub use event_months::{EventMonth, EventMonthStore, TELLING_MS};
pub use keys::{KEY_REQUESTS_MAX, KeyHistoryStore, KeyRequest};
pub use passkeys::{PASSKEYS_MAX, Passkey, PasskeyStore};
pub use second_factor::{CodeSecret, SecondFactorStore};
pub use sign_in::{
    AGENT_MAX_BYTES, HALF_WAY_MAX, LinkPurpose, NewSession, SESSIONS_MAX, Session, SignInGround, SignInMeans,
    SignInStore, UsedSession,
};
pub use standing::{ActingStore, Standing};
pub use teams::{INVITATIONS_MAX, Invitation, MemberFacts, MembershipStore, NewInvitation};

use crate::{GrantStore, StatusStore, Store};

/// Everything that is kept of people.
pub trait PeopleStore:
    SignInStore
    + ProfileStore
    + MembershipStore
    + AuditStore
    + EventMonthStore
    + AssistantStore
    + KeyHistoryStore
    + SecondFactorStore
    + PasskeyStore
{
}

impl<T> PeopleStore for T where
    T: SignInStore
        + ProfileStore
        + MembershipStore
        + AuditStore
        + EventMonthStore
        + AssistantStore
        + KeyHistoryStore
        + SecondFactorStore
        + PasskeyStore
{
}

/// All metadata of a server.
pub trait Metadata: Store + PeopleStore + StatusStore + ActingStore + GrantStore {}

impl<T: Store + PeopleStore + StatusStore + ActingStore + GrantStore> Metadata for T {}
