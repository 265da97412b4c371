//! On whose behalf something is changed.

use std::sync::Arc;

use zenovay_domain::{GrantId, KeyId, Role, Scope, SignInId, TeamId, UserId};

use crate::{Metadata, Result};

/// What allowed somebody to make a change a moment ago. All of it must hold still when the change is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Standing {
    /// The session in which somebody asks.
    pub session: Option<SignInId>,
    /// The person, or the owner of the personal key, in the team that the change concerns, with the weakest role that does.
    pub member: Option<(TeamId, UserId, Role)>,
    /// The key, with the scope that it needs.
    pub key: Option<(KeyId, Scope)>,
    /// What a person granted the client that asks.
    pub grant: Option<GrantId>,
}

/// Changes on behalf of somebody.
pub trait ActingStore: Send + Sync {
    /// The same store. Each change that is made through it is written only while `standing` holds, which is looked at in the
    /// same transaction; otherwise it is refused with [`SignedOut`](crate::StoreError::SignedOut) when the session has ended,
    /// with [`GrantEnded`](crate::StoreError::GrantEnded) when the grant has, and with
    /// [`MembershipChanged`](crate::StoreError::MembershipChanged) when a right was lost.
    fn on_behalf_of(&self, standing: Standing) -> Arc<dyn Metadata>;

    /// Looks whether it holds, for a change that is written elsewhere. Always so for the program's own store.
    ///
    /// # Errors
    ///
    /// `SignedOut`, `GrantEnded`, `MembershipChanged`.
    fn check_standing(&self) -> Result<()>;
}
