//! Kinds of things in zenovay.

use std::fmt;

/// What kind of thing an action is done to.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TargetKind {
    /// The caller's own account.
    Account,
    /// A team.
    Team,
    /// A website.
    Website,
    /// An API key.
    Key,
    /// The membership of somebody in a team.
    Member,
    /// The invitation of somebody into a team.
    Invitation,
}

impl TargetKind {
    /// All kinds.
    pub const ALL: &'static [Self] =
        &[Self::Account, Self::Team, Self::Website, Self::Key, Self::Member, Self::Invitation];

    /// The name in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Team => "team",
            Self::Website => "website",
            Self::Key => "key",
            Self::Member => "member",
            Self::Invitation => "invitation",
        }
    }
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
