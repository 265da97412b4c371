//! On whose behalf something is changed.

use std::sync::Arc;

use zenovay_domain::{KeyId, Role, Scope, TeamId, UserId};

use crate::Metadata;

/// What allowed somebody to make a change a moment ago. It must hold still when the change is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Standing {
    /// The team that the change concerns.
    pub team: TeamId,
    /// The person, or the owner of the personal key, with the weakest role that does.
    pub member: Option<(UserId, Role)>,
    /// The key, with the scope that it needs.
    pub key: Option<(KeyId, Scope)>,
}

impl Standing {
    /// That of nobody yet.
    pub const fn new(team: TeamId) -> Self {
        Self { team, member: None, key: None }
    }
}

/// Changes on behalf of somebody.
pub trait ActingStore: Send + Sync {
    /// The same store. Each change that is made through it is written only while `standing` holds, which is looked at in the
    /// same transaction; otherwise it is refused with [`MembershipChanged`](crate::StoreError::MembershipChanged).
    fn on_behalf_of(&self, standing: Standing) -> Arc<dyn Metadata>;
}
