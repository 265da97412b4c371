//! Clients of the Model Context Protocol: assistants that ask for a person or a team.

use std::future::Future;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{FromRequest, HttpRequest, web};
use url::{Host, Url};
use zenovay_auth::{Action, ApiKeyToken, Credential, Denial, Principal, Target, TargetKind, decide};
use zenovay_domain::{ErrorCode, GrantId, KeyId, Plan, Role, TeamId, UserId, WebsiteId};
use zenovay_store::{AssistantAccount, Metadata, Standing};

use super::key::look_up;
use super::{AccessRefusal, Arrival, role_among};
use crate::http::audit::AuditActor;
use crate::http::client_ip;
use crate::http::document::Operation;
use crate::http::envelope::ApiError;
use crate::http::handler::{Access, Caller};
use crate::http::oauth::{self, BearerRefusal, McpAccess};
use crate::http::state::AppState;

/// A client that asks for somebody. It is known, and nothing more: what it may do is asked for each thing that it wants,
/// with [`may`](Self::may).
#[derive(Debug, Clone)]
pub enum Assistant {
    /// The holder of a key.
    Key(Arc<Credential>),
    /// A client that a person connected.
    Granted(Box<McpAccess>),
}

impl Assistant {
    /// Who asks, for decisions.
    pub fn principal(&self) -> Principal<'_> {
        match self {
            Self::Key(credential) => Principal::Key(credential),
            Self::Granted(access) => Principal::Person(&access.signed_in),
        }
    }

    /// Decides whether the client may do something.
    ///
    /// # Errors
    /// When it may not.
    pub fn may(&self, state: &AppState, action: Action, target: &Target) -> Result<(), AccessRefusal> {
        self.decided(state, action, target).map_err(AccessRefusal::Denied).inspect_err(AccessRefusal::count)
    }

    fn decided(&self, state: &AppState, action: Action, target: &Target) -> Result<(), Denial> {
        match self {
            Self::Key(_) => decide(self.principal(), action, target, &state.plans),
            Self::Granted(access) => access.may(state, action, target),
        }
    }

    /// Whether there can be something within its reach that it may do `action` to, by what it was granted, its role and the plan of
    /// each of its teams.
    pub(in crate::http) fn could(&self, state: &AppState, action: Action) -> bool {
        let (teams, websites) = match self {
            Self::Key(credential) => (&credential.teams, credential.website_ids.as_deref().unwrap_or_default()),
            Self::Granted(access) => (&access.signed_in.teams, [].as_slice()),
        };
        // Stands for whichever it is.
        let (id, user_id) = (WebsiteId::from_random_bytes([0; 16]), UserId::from_random_bytes([0; 16]));
        let id = websites.first().copied().unwrap_or(id);
        let may = |target: &Target| self.decided(state, action, target).is_ok();
        let of_team = |kind: TargetKind, team_id: TeamId| match kind {
            TargetKind::Team => Target::Team { id: team_id },
            TargetKind::Website => Target::Website { id, team_id },
            TargetKind::Member => Target::Member { team_id, user_id, role: Role::Viewer },
            TargetKind::Invitation => Target::Invitation { team_id, role: Role::Viewer },
            other => Target::Unknown(other),
        };
        action.targets().iter().any(|&kind| match kind {
            TargetKind::Account => may(&Target::Account),
            kind => teams.iter().any(|team| may(&of_team(kind, team.team_id))),
        })
    }

    /// For whom its questions are counted.
    pub fn account(&self) -> AssistantAccount {
        match self {
            Self::Key(credential) => AssistantAccount::of_key(credential.kind),
            Self::Granted(access) => AssistantAccount::Person(access.user.id),
        }
    }

    /// The plan that says how many questions a day has: of a key the highest that it reaches, of a connected client that of
    /// its team.
    pub fn plan(&self) -> Plan {
        match self {
            Self::Key(credential) => credential.plan().unwrap_or(Plan::Free),
            Self::Granted(access) => access.team.plan,
        }
    }

    /// The key under which its queries take turns, if it is one.
    pub fn key_id(&self) -> Option<KeyId> {
        match self {
            Self::Key(credential) => Some(credential.key_id),
            Self::Granted(_) => None,
        }
    }

    /// The grant of a connected client.
    pub fn grant(&self) -> Option<GrantId> {
        match self {
            Self::Key(_) => None,
            Self::Granted(access) => Some(access.grant),
        }
    }

    /// The store for changes in a team on the client's behalf: they are written only while the grant goes on, and the membership
    /// with its role, or the key with what `action` needs, is what it was when the client was let in.
    pub(in crate::http) fn store_in(&self, team: TeamId, action: Action, state: &AppState) -> Arc<dyn Metadata> {
        let AuditActor { user, key, .. } = self.audit_actor();
        let teams = match self {
            Self::Key(credential) => &credential.teams,
            Self::Granted(access) => &access.signed_in.teams,
        };
        let mut standing = Standing::default();
        standing.member = user.map(|user| (team, user, role_among(teams, team)));
        standing.key = key.zip(action.scope());
        standing.grant = self.grant();
        state.store.on_behalf_of(standing)
    }

    /// Who changes something, for the audit trail.
    pub(in crate::http) fn audit_actor(&self) -> AuditActor {
        match self {
            Self::Key(credential) => AuditActor::of_key(credential),
            Self::Granted(access) => AuditActor {
                user: Some(access.user.id),
                key: None,
                words: format!("{} by \u{201c}{}\u{201d}", access.user.email, access.client_name),
            },
        }
    }

    /// The holder of the key `token`, unless none of the key's teams lets keys in. Blocks.
    fn of_key(state: &AppState, token: &ApiKeyToken, arrival: Arrival) -> Result<Self, AccessRefusal> {
        let credential = look_up(state, &token.digest(), arrival.client, arrival.reading.now)?;
        match decide(Principal::Key(&credential), Action::ListWebsites, &Target::Account, &state.plans) {
            // Scopes are looked at for each tool.
            Ok(()) | Err(Denial::MissingScope(_)) => Ok(Self::Key(credential)),
            Err(denial) => Err(denial.into()),
        }
    }
}

impl Caller for Assistant {
    const ACCESS: Access = Access::Assistant;

    fn describe(operation: &mut Operation) {
        operation.refuses([
            ErrorCode::Unauthorized,
            ErrorCode::ApiPaidPlanRequired,
            ErrorCode::Forbidden,
            ErrorCode::RateLimitExceeded,
        ]);
    }
}

impl FromRequest for Assistant {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let req = req.clone();
        Box::pin(async move {
            let state = req.app_data::<web::Data<AppState>>().cloned().ok_or_else(ApiError::internal)?;
            Asked::of(req.headers())
                .check(&state.issuer, state.public_origin.is_some())
                .inspect_err(AccessRefusal::count)?;
            match oauth::bearer(&req).await {
                Ok(access) => Ok(Self::Granted(Box::new(access))),
                Err(BearerRefusal::Key(token)) => match of_key(&state, &req, token.clone()).await {
                    Ok(client) => Ok(client),
                    Err(AccessRefusal::InvalidKey) => Err(oauth::challenge(&state, BearerRefusal::Key(token))),
                    Err(refusal) => {
                        refusal.count();
                        Err(refusal.into())
                    }
                },
                Err(refusal) => Err(oauth::challenge(&state, refusal)),
            }
        })
    }
}

/// Whoever holds the key `token`.
async fn of_key(
    state: &web::Data<AppState>,
    req: &HttpRequest,
    token: ApiKeyToken,
) -> Result<Assistant, AccessRefusal> {
    let arrival = Arrival { client: client_ip::of(req, &state.trusted_proxies), reading: state.clock.reading() };
    let (state, span) = (state.clone(), tracing::Span::current());
    let found = web::block(move || span.in_scope(|| Assistant::of_key(&state, &token, arrival)));
    found.await.map_err(|_panicked| AccessRefusal::Failed)?
}

/// The names under which a request asks for this server. Pages of others reach servers that are not meant for them by names
/// that they let point there (DNS rebinding); such a name is none of this server's.
struct Asked<'a> {
    hosts: Vec<&'a str>,
    origins: Vec<&'a str>,
}

impl<'a> Asked<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let all = |name| headers.get_all(name).map(|value| value.to_str().unwrap_or("?")).collect();
        Self { hosts: all(header::HOST), origins: all(header::ORIGIN) }
    }

    /// Whether every name is this server's: that of its URL, or one that means this machine. Where no URL is configured,
    /// also an address, which is not a name.
    fn check(&self, url: &str, is_configured: bool) -> Result<(), AccessRefusal> {
        let public = Url::parse(url).ok();
        let is_public = |url: &Url| {
            let is_same = |public: &Url| {
                (url.host(), url.port_or_known_default()) == (public.host(), public.port_or_known_default())
            };
            public.as_ref().is_some_and(is_same)
        };
        let is_address = |url: &Url| !is_configured && !matches!(url.host(), Some(Host::Domain(_)) | None);
        let is_ours = |url: &Url| is_this_machine(url) || is_public(url) || is_address(url);
        // A host says nothing of the scheme, which a proxy may have changed; nor does it name the port of the scheme.
        let scheme = public.as_ref().map_or("http", Url::scheme);
        let host = |host: &str| {
            let url = Url::parse(&format!("{scheme}://{host}"));
            url.is_ok_and(|url| is_ours(&url) && !host.contains(['/', '@', '?', '#']))
        };
        if !self.hosts.iter().all(|name| host(name)) {
            return Err(AccessRefusal::ForeignHost);
        }
        let origin = |origin: &&str| {
            Url::parse(origin).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && is_ours(&url))
        };
        if self.origins.iter().all(origin) { Ok(()) } else { Err(AccessRefusal::CrossSite) }
    }
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => address == Ipv6Addr::LOCALHOST,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(host: &str, origin: Option<&str>, public: Option<&str>) -> Result<(), &'static str> {
        let asked = Asked { hosts: vec![host], origins: origin.into_iter().collect() };
        let url = public.unwrap_or("http://127.0.0.1:3000");
        asked.check(url, public.is_some()).map_err(|refusal| refusal.reason())
    }

    /// Sabotage: compare the beginnings of names, or take the name that is asked for as the server's own.
    #[test]
    fn only_names_of_this_server_are_answered() {
        let public = Some("https://stats.example");
        for host in ["stats.example", "STATS.example", "stats.example:443", "localhost:3000", "127.0.0.1", "[::1]:9"] {
            assert_eq!(asks(host, None, public), Ok(()), "{host}");
        }
        for host in
            ["evil.example.com", "stats.example.evil.example", "stats.example:8443", "192.168.1.5", "a@b", "", "x/y"]
        {
            assert_eq!(asks(host, None, public), Err("foreign_host"), "{host}");
        }
        for origin in ["https://stats.example", "http://localhost:6274", "http://127.0.0.1:1"] {
            assert_eq!(asks("stats.example", Some(origin), public), Ok(()), "{origin}");
        }
        for origin in ["http://stats.example", "https://evil.example", "null", "", "https://stats.example.evil.example"]
        {
            assert_eq!(asks("stats.example", Some(origin), public), Err("cross_site"), "{origin}");
        }
        assert_eq!(asks("192.168.1.5:3000", None, None), Ok(()), "an address is no name that somebody lets point here");
        assert_eq!(asks("box.lan:3000", None, None), Err("foreign_host"));
        assert_eq!(asks("localhost", Some("https://evil.example"), None), Err("cross_site"));
    }
}
