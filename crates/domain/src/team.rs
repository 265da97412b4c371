//! Roles in a team, scopes of a key, and who may create keys.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::UnknownName;
use crate::names::named;

/// What a member may do in a team. The order is that of rising rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Role {
    /// Reads dashboards.
    Viewer,
    /// Also changes goals, funnels and websites.
    Editor,
    /// Also manages members and workspace keys.
    Admin,
    /// Also manages billing and the team itself.
    Owner,
}

impl Role {
    /// All roles, the weakest first.
    pub const ALL: &'static [Self] = &[Self::Viewer, Self::Editor, Self::Admin, Self::Owner];

    /// The name on the wire and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// Whether the role manages the team: owner or admin.
    pub const fn is_admin(self) -> bool {
        matches!(self, Self::Admin | Self::Owner)
    }
}

named!(Role, "role");

/// One permission of a key. Scopes are independent: `write` does not include `read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Scope {
    /// Every scope.
    FullAccess,
    /// Read the External API.
    Read,
    /// Write: send event batches, change what the API lets change.
    Write,
    /// Administrative actions; only where the owner of the key is owner or admin.
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: &'static [Self] = &[Self::FullAccess, Self::Read, Self::Write, Self::Admin];

    /// The name on the wire and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FullAccess => "full_access",
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

named!(Scope, "scope");

/// The scopes of one key: a set that is never empty.
///
/// ```
/// use zenovay_domain::{Scope, Scopes};
///
/// let scopes: Scopes = "read,write".parse()?;
/// assert!(scopes.grants(Scope::Write) && !scopes.grants(Scope::Admin));
/// assert!(Scopes::FULL_ACCESS.grants(Scope::Admin));
/// # Ok::<(), zenovay_domain::UnknownName>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scopes(u8);

impl Scopes {
    /// Every scope, the default of a new key.
    pub const FULL_ACCESS: Self = Self(1 << Scope::FullAccess as u8);

    /// The set of `scopes`; `None` when there is none.
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Option<Self> {
        let bits = scopes.into_iter().fold(0, |bits, scope| bits | 1 << scope as u8);
        (bits != 0).then_some(Self(bits))
    }

    /// Whether the set grants `scope`, by naming it or by being full access.
    pub fn grants(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8 | 1 << Scope::FullAccess as u8) != 0
    }

    /// The scopes in the set, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |scope| self.0 & (1 << *scope as u8) != 0)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, scope) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

/// Names separated by commas, such as `read,write`.
impl FromStr for Scopes {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let scopes = text.split(',').map(|name| name.trim().parse::<Scope>()).collect::<Result<Vec<_>, _>>()?;
        // Never none: what is split has a first part, which is a scope or an error.
        Self::new(scopes).ok_or_else(|| UnknownName::new(text, "scope", Scope::ALL.iter().map(|scope| scope.as_str())))
    }
}

/// Who may create personal keys that reach a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeyPolicy {
    /// Every member, the default.
    AllMembers,
    /// Owners and admins only.
    OwnersAndAdmins,
    /// Nobody.
    NoOne,
}

impl KeyPolicy {
    /// All policies.
    pub const ALL: &'static [Self] = &[Self::AllMembers, Self::OwnersAndAdmins, Self::NoOne];

    /// The name on the command line and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllMembers => "all_members",
            Self::OwnersAndAdmins => "owners_and_admins",
            Self::NoOne => "no_one",
        }
    }

    /// Whether a member with `role` may create a personal key that reaches the team.
    pub const fn allows(self, role: Role) -> bool {
        match self {
            Self::AllMembers => true,
            Self::OwnersAndAdmins => role.is_admin(),
            Self::NoOne => false,
        }
    }
}

named!(KeyPolicy, "key policy");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_independent_and_full_access_grants_all() {
        for &held in Scope::ALL {
            let set = Scopes::new([held]).unwrap();
            for &asked in Scope::ALL {
                let expected = held == asked || held == Scope::FullAccess;
                assert_eq!(set.grants(asked), expected, "{held} grants {asked}");
            }
        }
    }

    #[test]
    fn scopes_are_read_and_written_as_a_list() {
        let set: Scopes = "write, read".parse().unwrap();
        assert_eq!(set.to_string(), "read,write");
        assert!("".parse::<Scopes>().is_err());
        assert!("read,root".parse::<Scopes>().is_err());
        assert!(Scopes::new([]).is_none());
    }

    #[test]
    fn policies_decide_by_role() {
        let allowed = |policy: KeyPolicy| -> Vec<bool> { Role::ALL.iter().map(|&role| policy.allows(role)).collect() };
        assert_eq!(allowed(KeyPolicy::AllMembers), [true; 4]);
        assert_eq!(allowed(KeyPolicy::OwnersAndAdmins), [false, false, true, true]);
        assert_eq!(allowed(KeyPolicy::NoOne), [false; 4]);
    }
}
