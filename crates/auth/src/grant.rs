//! Who may do what, over the actions and things of any program. Everything that is not allowed here is refused.

use std::borrow::Cow;

use zenovay_domain::{Role, Scope, Scopes};

/// What an action needs: the policy of a program as one table. Implement it for the `enum` of what can be done there. A pair
/// of a scope and a role, such as `(Scope::Write, Role::Editor)`, is a policy, too.
///
/// ```
/// use zenovay_auth::{Policy, Role, Scope};
///
/// #[derive(Clone, Copy)]
/// enum Act {
///     ReadInvoice,
///     PayInvoice,
///     CloseAccount,
/// }
///
/// impl Policy for Act {
///     fn scope(&self) -> Option<Scope> {
///         match self {
///             Self::ReadInvoice => Some(Scope::Read),
///             Self::PayInvoice => Some(Scope::Write),
///             Self::CloseAccount => None, // no key may do this
///         }
///     }
///
///     fn role(&self) -> Role {
///         match self {
///             Self::ReadInvoice => Role::Viewer,
///             Self::PayInvoice => Role::Editor,
///             Self::CloseAccount => Role::Owner,
///         }
///     }
/// }
/// ```
pub trait Policy {
    /// The scope that a key needs; `None` when no key may do it, whatever its scopes.
    fn scope(&self) -> Option<Scope>;

    /// The role that a person, or the owner of a key, needs in the team that the thing belongs to. Stronger roles will do
    /// too. What is done to one's own account needs no role.
    fn role(&self) -> Role;
}

impl Policy for (Scope, Role) {
    fn scope(&self) -> Option<Scope> {
        Some(self.0)
    }

    fn role(&self) -> Role {
        self.1
    }
}

impl<P: Policy + ?Sized> Policy for &P {
    fn scope(&self) -> Option<Scope> {
        (**self).scope()
    }

    fn role(&self) -> Role {
        (**self).role()
    }
}

/// Something that an action is aimed at: what kind of thing it is, whose, and which.
///
/// `T` is how the program names teams, `R` how it names the things that a key can be restricted to, `K` how it names
/// kinds of things in messages; strings, numbers and types of its own will do. A thing of nobody, which is how it starts,
/// is out of everybody's reach.
///
/// ```
/// use zenovay_auth::{Role, Thing};
///
/// type Anything = Thing<&'static str, u64, &'static str>;
///
/// let invoice: Anything = Thing::new("invoice", 17).of_team("accounting");
/// // Keys that are restricted to some invoices have no part in these.
/// let member: Anything = Thing::unnamed("member").of_team("accounting").concerning(Role::Admin);
/// let profile: Anything = Thing::unnamed("profile").of_caller();
/// // Somebody asked for invoice 18, which there is not.
/// let missing: Anything = Thing::missing("invoice");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thing<T, R, K> {
    kind: K,
    owner: Owner<T>,
    id: Option<R>,
    concerns: Option<Role>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner<T> {
    /// Whoever asks.
    Caller,
    /// A team.
    Team(T),
    /// Somebody else.
    Other,
    /// There is no such thing.
    Missing,
}

impl<T, R, K> Thing<T, R, K> {
    /// The thing `id`.
    pub const fn new(kind: K, id: R) -> Self {
        Self { kind, owner: Owner::Other, id: Some(id), concerns: None }
    }

    /// A thing that keys cannot be restricted to, such as a team itself or one of its members. A key that is restricted to
    /// some things has no part in it.
    pub const fn unnamed(kind: K) -> Self {
        Self { kind, owner: Owner::Other, id: None, concerns: None }
    }

    /// Something that was asked for and does not exist.
    pub const fn missing(kind: K) -> Self {
        Self { kind, owner: Owner::Missing, id: None, concerns: None }
    }

    /// It belongs to a team.
    #[must_use]
    pub fn of_team(self, team: T) -> Self {
        Self { owner: Owner::Team(team), ..self }
    }

    /// It belongs to whoever asks, such as their own account: no role is asked for.
    #[must_use]
    pub fn of_caller(self) -> Self {
        Self { owner: Owner::Caller, ..self }
    }

    /// The action raises, lowers or removes somebody with this role, or gives it. Owners do this to everybody, admins to
    /// those below their own rank: nobody raises themselves or others to where they do not stand.
    #[must_use]
    pub fn concerning(self, role: Role) -> Self {
        Self { concerns: Some(role), ..self }
    }
}

/// Why somebody may not do what they asked for.
///
/// ```
/// use zenovay_auth::{Denial, Role};
///
/// let denial: Denial<&str> = Denial::MissingRole(Role::Admin);
/// assert_eq!((denial.status(), denial.as_str()), (403, "missing_role"));
/// assert_eq!(Denial::Unknown("invoice").to_string(), "there is no such invoice");
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Denial<K = crate::TargetKind> {
    /// The key was revoked.
    #[error("the key was revoked")]
    Revoked,
    /// The key names a team, or all teams, but its owner is not a member now.
    #[error("the owner of the key is no longer a member")]
    MembershipLost,
    /// No team that the key reaches lets keys in, or the team that owns the target does not; such as a team whose plan
    /// includes no API.
    #[error("the plan of the team lets no keys in")]
    PlanRequired,
    /// The plan of the team that owns the target does not include what this needs.
    #[error("the plan of the team does not include {0}")]
    NotInPlan(&'static str),
    /// No key may do this.
    #[error("this cannot be done with a key")]
    NotForKeys,
    /// The key lacks a scope.
    #[error("the key lacks the scope {0}")]
    MissingScope(Scope),
    /// The person, or the owner of the key, lacks a role in the team.
    #[error("this needs the role {0}")]
    MissingRole(Role),
    /// There is no such thing; also said of what a person has no part in.
    #[error("there is no such {0}")]
    Unknown(K),
    /// It is outside the teams or things of the key.
    #[error("the {0} is outside the reach of the key")]
    NotReachable(K),
    /// The action cannot be done to such a thing: a mistake of the program.
    #[error("this cannot be done to such a {0}")]
    WrongTarget(K),
}

impl<K> Denial<K> {
    /// The names of all denials.
    pub const REASONS: &'static [&'static str] = &[
        "revoked",
        "membership_lost",
        "plan_required",
        "not_in_plan",
        "not_for_keys",
        "missing_scope",
        "missing_role",
        "unknown",
        "not_reachable",
        "wrong_target",
    ];

    /// A name for logs and metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::MembershipLost => "membership_lost",
            Self::PlanRequired => "plan_required",
            Self::NotInPlan(_) => "not_in_plan",
            Self::NotForKeys => "not_for_keys",
            Self::MissingScope(_) => "missing_scope",
            Self::MissingRole(_) => "missing_role",
            Self::Unknown(_) => "unknown",
            Self::NotReachable(_) => "not_reachable",
            Self::WrongTarget(_) => "wrong_target",
        }
    }

    /// The HTTP status of the answer: 401 for a key that was revoked, 404 for what does not exist, 500 for a mistake of the
    /// program, 403 for everything else.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Revoked => 401,
            Self::MembershipLost
            | Self::PlanRequired
            | Self::NotInPlan(_)
            | Self::NotForKeys
            | Self::MissingScope(_)
            | Self::MissingRole(_)
            | Self::NotReachable(_) => 403,
            Self::Unknown(_) => 404,
            Self::WrongTarget(_) => 500,
        }
    }
}

/// What somebody holds at the time of the request: the teams they are in, with their role in each, and, for a key, its
/// scopes and restrictions.
///
/// `T` is how the program names teams and `R` how it names things: the same types as those of the [`Thing`]s that are asked
/// about, so a team that is a `String` here is one there.
///
/// ```
/// use zenovay_auth::{Denial, Grant, Policy, Role, Scope, Thing};
///
/// struct Pay;
///
/// impl Policy for Pay {
///     fn scope(&self) -> Option<Scope> {
///         Some(Scope::Write)
///     }
///     fn role(&self) -> Role {
///         Role::Editor
///     }
/// }
///
/// let invoice = Thing::new("invoice", 17).of_team("accounting");
///
/// let person = Grant::person().member("accounting", Role::Editor);
/// assert_eq!(person.may(Pay, &invoice), Ok(()));
///
/// let key = Grant::key("read".parse()?).member("accounting", Role::Editor);
/// let denial = key.may(Pay, &invoice).unwrap_err();
/// assert_eq!(denial, Denial::MissingScope(Scope::Write));
/// assert_eq!(denial.status(), 403);
///
/// let key = Grant::key("read,write".parse()?).member("accounting", Role::Editor).only_things(vec![18]);
/// assert_eq!(key.may(Pay, &invoice), Err(Denial::NotReachable("invoice")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Grant<'a, T: Clone, R: Clone> {
    key: Option<KeyLimits<'a, T, R>>,
    memberships: Vec<Membership<T>>,
}

#[derive(Debug, Clone)]
struct KeyLimits<'a, T: Clone, R: Clone> {
    scopes: Scopes,
    revoked: bool,
    teams: Option<Cow<'a, [T]>>,
    things: Option<Cow<'a, [R]>>,
}

#[derive(Debug, Clone)]
struct Membership<T> {
    team: T,
    role: Role,
    lets_keys_in: bool,
}

impl<'a, T: Clone + PartialEq, R: Clone + PartialEq> Grant<'a, T, R> {
    /// A person, who is in no team yet.
    pub const fn person() -> Self {
        Self { key: None, memberships: Vec::new() }
    }

    /// A key with these scopes, whose owner is in no team yet.
    pub const fn key(scopes: Scopes) -> Self {
        Self { key: Some(KeyLimits { scopes, revoked: false, teams: None, things: None }), memberships: Vec::new() }
    }

    /// The person, or the owner of the key, has this role in a team.
    #[must_use]
    pub fn member(self, team: T, role: Role) -> Self {
        self.joined(Membership { team, role, lets_keys_in: true })
    }

    /// The same, in a team that no key gets into, such as one whose plan includes no API. People do not notice.
    #[must_use]
    pub fn member_without_keys(self, team: T, role: Role) -> Self {
        self.joined(Membership { team, role, lets_keys_in: false })
    }

    fn joined(mut self, membership: Membership<T>) -> Self {
        self.memberships.push(membership);
        self
    }

    /// The key reaches no other teams than these. Says nothing of a person.
    #[must_use]
    pub fn only_teams(mut self, teams: impl Into<Cow<'a, [T]>>) -> Self {
        if let Some(key) = &mut self.key {
            key.teams = Some(teams.into());
        }
        self
    }

    /// The key reaches no other things than these. Says nothing of a person.
    #[must_use]
    pub fn only_things(mut self, things: impl Into<Cow<'a, [R]>>) -> Self {
        if let Some(key) = &mut self.key {
            key.things = Some(things.into());
        }
        self
    }

    /// The key was revoked: it may nothing any more. Says nothing of a person.
    #[must_use]
    pub fn revoked(mut self) -> Self {
        if let Some(key) = &mut self.key {
            key.revoked = true;
        }
        self
    }

    /// Whether they may do `action` to `thing`.
    ///
    /// The checks of a key come in this order: revoked, its owner is in a team that it reaches, one of these lets keys in,
    /// the scope, the thing, the thing's own team, the role. So a key without the right scope learns nothing about which
    /// things exist. A person learns nothing about teams that they are not in: whatever belongs to these is unknown.
    ///
    /// The scope `admin` counts only where the owner of the key is owner or admin.
    ///
    /// # Errors
    ///
    /// The [`Denial`] with the first check that failed.
    pub fn may<K: Clone>(&self, action: impl Policy, thing: &Thing<T, R, K>) -> Result<(), Denial<K>> {
        match &self.key {
            Some(key) => self.key_may(key, &action, thing),
            None => self.person_may(&action, thing),
        }
    }

    fn key_may<K: Clone>(
        &self,
        key: &KeyLimits<'a, T, R>,
        action: &impl Policy,
        thing: &Thing<T, R, K>,
    ) -> Result<(), Denial<K>> {
        if key.revoked {
            return Err(Denial::Revoked);
        }
        let names_team = |team: &T| key.teams.as_ref().is_none_or(|teams| teams.contains(team));
        let mut reached = self.memberships.iter().filter(|membership| names_team(&membership.team)).peekable();
        reached.peek().ok_or(Denial::MembershipLost)?;
        if !reached.any(|membership| membership.lets_keys_in) {
            return Err(Denial::PlanRequired);
        }
        let scope = action.scope().ok_or(Denial::NotForKeys)?;
        if !key.scopes.grants(scope) {
            return Err(Denial::MissingScope(scope));
        }
        let out_of_reach = || Denial::NotReachable(thing.kind.clone());
        let team = match &thing.owner {
            Owner::Caller => return Ok(()),
            Owner::Missing => return Err(Denial::Unknown(thing.kind.clone())),
            Owner::Other => return Err(out_of_reach()),
            Owner::Team(team) => team,
        };
        let covers = |things: &Cow<'_, [R]>| thing.id.as_ref().is_some_and(|id| things.contains(id));
        if !key.things.as_ref().is_none_or(covers) || !names_team(team) {
            return Err(out_of_reach());
        }
        let lost = || if key.teams.is_some() { Denial::MembershipLost } else { out_of_reach() };
        let membership = self.membership(team).ok_or_else(lost)?;
        if !membership.lets_keys_in {
            return Err(Denial::PlanRequired);
        }
        let needed = if scope == Scope::Admin { action.role().max(Role::Admin) } else { action.role() };
        check_role(membership.role, needed, thing)
    }

    fn person_may<K: Clone>(&self, action: &impl Policy, thing: &Thing<T, R, K>) -> Result<(), Denial<K>> {
        let unknown = || Denial::Unknown(thing.kind.clone());
        let team = match &thing.owner {
            Owner::Caller => return Ok(()),
            Owner::Missing | Owner::Other => return Err(unknown()),
            Owner::Team(team) => team,
        };
        check_role(self.membership(team).ok_or_else(unknown)?.role, action.role(), thing)
    }

    fn membership(&self, team: &T) -> Option<&Membership<T>> {
        self.memberships.iter().find(|membership| membership.team == *team)
    }
}

fn check_role<T, R, K>(own: Role, needed: Role, thing: &Thing<T, R, K>) -> Result<(), Denial<K>> {
    if own < needed {
        return Err(Denial::MissingRole(needed));
    }
    match thing.concerns {
        Some(role) if role.is_admin() && own != Role::Owner => Err(Denial::MissingRole(Role::Owner)),
        _ => Ok(()),
    }
}
