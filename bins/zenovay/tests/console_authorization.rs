//! Who may do what in the console: every route × roles, keys and strangers × own, foreign and unknown targets (SECURITY A1, A4,
//! A5, W6). The routes come from the application's own table; a route without an entry here fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use actix_web::http::Method;
use common::{TestApp, TestCall, TestKey, TestSession};
use zenovay::http::handler::Access;
use zenovay::http::routes::{self, Endpoint};
use zenovay_auth::{Action, KeyKind};
use zenovay_domain::{Plan, Role, Scope};

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Somebody who is signed in.
    Person,
    /// Somebody who is signed in, or a key.
    Actor,
}

/// The routes once more, with what they are to do. A new one must be entered here.
fn expected() -> Vec<(&'static str, &'static str, Who, Action)> {
    use Action::{
        ChangeRole, CreateWebsite, DeleteReplay, DeleteReplays, DeleteTeam, DeleteWebsite, EditErrors, EditFunnels,
        EditTeam, EditWebsite, EraseVisitor, InviteMember, ListWebsites, ManageAccount, ManageBilling, ManageKeys,
        ManageStatus, ReadAnalytics, ReadAudit, ReadDoctor, ReadErrors, ReadFunnels, ReadHeatmaps, ReadReplays,
        ReadTeam, ReadWebsite, RemoveMember, TransferTeam,
    };
    use Who::{Actor, Person};
    vec![
        ("GET", "/api/session", Person, ManageAccount),
        ("DELETE", "/api/session", Person, ManageAccount),
        ("POST", "/api/invitations/{token}", Person, ManageAccount),
        ("POST", "/api/teams", Person, ManageAccount),
        ("GET", "/api/teams/{team_id}", Actor, ReadTeam),
        ("PATCH", "/api/teams/{team_id}", Actor, EditTeam),
        ("DELETE", "/api/teams/{team_id}", Actor, DeleteTeam),
        ("GET", "/api/teams/{team_id}/members", Actor, ReadTeam),
        ("PATCH", "/api/teams/{team_id}/members/{user_id}", Actor, ChangeRole),
        ("DELETE", "/api/teams/{team_id}/members/{user_id}", Actor, RemoveMember),
        ("POST", "/api/teams/{team_id}/leave", Person, ReadTeam),
        ("POST", "/api/teams/{team_id}/transfer", Person, TransferTeam),
        ("GET", "/api/teams/{team_id}/invitations", Actor, InviteMember),
        ("POST", "/api/teams/{team_id}/invitations", Actor, InviteMember),
        ("DELETE", "/api/teams/{team_id}/invitations/{invitation_id}", Actor, InviteMember),
        ("GET", "/api/teams/{team_id}/keys", Actor, ManageKeys),
        ("POST", "/api/teams/{team_id}/keys", Actor, ManageKeys),
        ("GET", "/api/teams/{team_id}/plan", Actor, ReadTeam),
        ("PUT", "/api/teams/{team_id}/plan", Actor, ManageBilling),
        ("GET", "/api/teams/{team_id}/usage", Actor, ReadTeam),
        ("GET", "/api/teams/{team_id}/audit", Actor, ReadAudit),
        ("GET", "/api/account", Person, ManageAccount),
        ("PATCH", "/api/account", Person, ManageAccount),
        ("DELETE", "/api/account", Person, ManageAccount),
        ("PUT", "/api/account/password", Person, ManageAccount),
        ("GET", "/api/account/sessions", Person, ManageAccount),
        ("DELETE", "/api/account/sessions", Person, ManageAccount),
        ("DELETE", "/api/account/sessions/{session_id}", Person, ManageAccount),
        ("GET", "/api/account/mcp-clients", Person, ManageAccount),
        ("DELETE", "/api/account/mcp-clients/{grant_id}", Person, ManageAccount),
        ("GET", "/api/account/export", Person, ManageAccount),
        ("POST", "/api/account/totp", Person, ManageAccount),
        ("PUT", "/api/account/totp", Person, ManageAccount),
        ("DELETE", "/api/account/totp", Person, ManageAccount),
        ("POST", "/api/account/backup-codes", Person, ManageAccount),
        ("GET", "/api/account/passkeys", Person, ManageAccount),
        ("POST", "/api/account/passkeys/options", Person, ManageAccount),
        ("POST", "/api/account/passkeys", Person, ManageAccount),
        ("PATCH", "/api/account/passkeys/{passkey_id}", Person, ManageAccount),
        ("DELETE", "/api/account/passkeys/{passkey_id}", Person, ManageAccount),
        ("GET", "/api/account/keys", Person, ManageKeys),
        ("POST", "/api/account/keys", Person, ManageKeys),
        ("GET", "/api/keys/{key_id}", Actor, ManageKeys),
        ("PATCH", "/api/keys/{key_id}", Actor, ManageKeys),
        ("DELETE", "/api/keys/{key_id}", Actor, ManageKeys),
        ("GET", "/api/keys/{key_id}/activity", Actor, ManageKeys),
        ("GET", "/api/queries/{query_id}", Actor, ReadAnalytics),
        ("DELETE", "/api/queries/{query_id}", Actor, ReadAnalytics),
        ("GET", "/api/queries/{query_id}/events", Actor, ReadAnalytics),
        ("GET", "/api/websites", Actor, ListWebsites),
        ("POST", "/api/websites", Actor, CreateWebsite),
        ("GET", "/api/websites/{website_id}", Actor, ReadWebsite),
        ("PATCH", "/api/websites/{website_id}", Actor, EditWebsite),
        ("DELETE", "/api/websites/{website_id}", Actor, DeleteWebsite),
        ("POST", "/api/websites/{website_id}/tracking-code", Actor, EditWebsite),
        ("GET", "/api/websites/{website_id}/totals", Actor, ReadAnalytics),
        ("GET", "/api/websites/{website_id}/series", Actor, ReadAnalytics),
        ("GET", "/api/websites/{website_id}/breakdown", Actor, ReadAnalytics),
        ("GET", "/api/websites/{website_id}/properties", Actor, ReadAnalytics),
        ("GET", "/api/websites/{website_id}/values", Actor, ReadAnalytics),
        ("GET", "/api/websites/{website_id}/live", Actor, ReadAnalytics),
        ("GET", "/api/websites/{website_id}/live/events", Actor, ReadAnalytics),
        ("GET", "/api/websites/{website_id}/install", Actor, ReadAnalytics),
        ("POST", "/api/websites/{website_id}/install/allow", Actor, EditWebsite),
        ("GET", "/api/websites/{website_id}/visitors", Actor, ReadAnalytics),
        ("GET", "/api/websites/{website_id}/visitors/{visitor}", Actor, ReadAnalytics),
        ("DELETE", "/api/websites/{website_id}/visitors/{visitor}", Actor, EraseVisitor),
        ("GET", "/api/websites/{website_id}/shares", Actor, ReadWebsite),
        ("POST", "/api/websites/{website_id}/shares", Actor, EditWebsite),
        ("DELETE", "/api/websites/{website_id}/shares/{share_id}", Actor, EditWebsite),
        ("GET", "/api/websites/{website_id}/goals", Actor, ReadAnalytics),
        ("POST", "/api/websites/{website_id}/goals", Actor, EditWebsite),
        ("PATCH", "/api/websites/{website_id}/goals/{goal_id}", Actor, EditWebsite),
        ("DELETE", "/api/websites/{website_id}/goals/{goal_id}", Actor, EditWebsite),
        ("GET", "/api/websites/{website_id}/performance", Actor, ReadAnalytics),
        ("GET", "/api/websites/{website_id}/heatmaps", Actor, ReadHeatmaps),
        ("GET", "/api/websites/{website_id}/heatmaps/page", Actor, ReadHeatmaps),
        ("GET", "/api/websites/{website_id}/heatmaps/snapshot", Actor, ReadHeatmaps),
        ("GET", "/api/websites/{website_id}/replays", Actor, ReadReplays),
        ("DELETE", "/api/websites/{website_id}/replays", Actor, DeleteReplays),
        ("GET", "/api/websites/{website_id}/replays/{replay_id}", Actor, ReadReplays),
        ("DELETE", "/api/websites/{website_id}/replays/{replay_id}", Actor, DeleteReplay),
        ("GET", "/api/websites/{website_id}/replays/{replay_id}/chunks", Actor, ReadReplays),
        ("GET", "/api/websites/{website_id}/replays/{replay_id}/chunks/{seq}", Actor, ReadReplays),
        ("GET", "/api/websites/{website_id}/errors", Actor, ReadErrors),
        ("GET", "/api/websites/{website_id}/errors/{group_id}", Actor, ReadErrors),
        ("PATCH", "/api/websites/{website_id}/errors/{group_id}", Actor, EditErrors),
        ("POST", "/api/websites/{website_id}/errors/{group_id}/merge", Actor, EditErrors),
        ("POST", "/api/websites/{website_id}/errors/{group_id}/split", Actor, EditErrors),
        ("POST", "/api/errors/{website_id}/sourcemap", Actor, EditErrors),
        ("GET", "/api/errors/{website_id}/sourcemaps", Actor, ReadErrors),
        ("DELETE", "/api/errors/{website_id}/sourcemaps/{source_map_id}", Actor, EditErrors),
        ("GET", "/api/websites/{website_id}/funnels", Actor, ReadFunnels),
        ("POST", "/api/websites/{website_id}/funnels", Actor, EditFunnels),
        ("PATCH", "/api/websites/{website_id}/funnels/{funnel_id}", Actor, EditFunnels),
        ("DELETE", "/api/websites/{website_id}/funnels/{funnel_id}", Actor, EditFunnels),
        ("GET", "/api/websites/{website_id}/funnels/{funnel_id}/report", Actor, ReadFunnels),
        ("POST", "/api/status/incidents", Actor, ManageStatus),
        ("POST", "/api/status/incidents/{incident_id}/updates", Actor, ManageStatus),
        ("DELETE", "/api/status/incidents/{incident_id}", Actor, ManageStatus),
        ("GET", "/api/doctor", Actor, ReadDoctor),
        ("GET", "/api/server/activity", Actor, ReadDoctor),
    ]
}

/// The routes of the console with what they ask.
fn routes() -> impl Iterator<Item = (&'static Endpoint, Who, Action)> {
    routes::all().filter_map(|endpoint| match endpoint.operation.access {
        Access::Person(action) => Some((endpoint, Who::Person, action)),
        Access::Actor(action) => Some((endpoint, Who::Actor, action)),
        _ => None,
    })
}

/// Sabotage: give two handlers each other's guard.
#[test]
fn every_route_asks_for_the_action_that_it_does() {
    let mut expected = expected();
    for (endpoint, who, action) in routes() {
        let route = (endpoint.method.as_str(), endpoint.path);
        let place = expected.iter().position(|(method, path, ..)| (*method, *path) == route);
        let (.., allowed, wanted) = expected
            .swap_remove(place.unwrap_or_else(|| panic!("{endpoint:?} is not in the table: {who:?}, {action:?}")));
        assert_eq!((who, action), (allowed, wanted), "{endpoint:?}");
    }
    assert!(expected.is_empty(), "these routes are gone: {expected:?}");
}

const UNKNOWN: &str = "018f3c1e-0000-4000-8000-000000000001";

/// Something in every place that a path may name.
struct Place {
    team: String,
    website: String,
    member: String,
    key: String,
}

impl Place {
    fn unknown() -> Self {
        let id = || UNKNOWN.to_owned();
        Self { team: id(), website: id(), member: id(), key: id() }
    }

    /// The path of an endpoint about this.
    fn path(&self, endpoint: &Endpoint) -> String {
        let path = endpoint.path.replace("{team_id}", &self.team).replace("{website_id}", &self.website);
        let path = path.replace("{user_id}", &self.member).replace("{key_id}", &self.key);
        // Whatever is below one of these is looked up through it.
        let mut filled = String::new();
        for part in path.split('/').skip(1) {
            filled.push('/');
            filled.push_str(if part.starts_with('{') { UNKNOWN } else { part });
        }
        filled
    }
}

/// Whether the path names something of a team, so that others than its members are kept away.
fn names_a_team(endpoint: &Endpoint) -> bool {
    ["{team_id}", "{website_id}", "{key_id}"].iter().any(|name| endpoint.path.contains(name))
}

/// Whether it is for the team that runs the server, which no path names.
fn is_of_operators(action: Action) -> bool {
    matches!(action, Action::ManageStatus | Action::ReadDoctor)
}

/// Whether an allowed request, which has no body here, would change something.
fn would_change(endpoint: &Endpoint) -> bool {
    endpoint.method != Method::GET && endpoint.operation.body.is_empty()
}

struct World {
    own: Place,
    foreign: Place,
    members: Vec<(Role, TestSession)>,
    keys: Vec<(Vec<Scope>, TestKey)>,
    /// Of the owner, who is in no other team.
    owner: TestSession,
}

impl World {
    fn build(app: &TestApp) -> Self {
        let place = |team: common::TestTeam<'_>| Place {
            team: team.id.to_string(),
            website: team.website(&format!("{}.example", team.id)).id().to_string(),
            member: team.member(Role::Viewer).to_string(),
            key: team.workspace_key(None).id.to_string(),
        };
        let team = app.team(Plan::Enterprise);
        // The oldest team runs the server.
        app.clock.advance_ms(1);
        let other = app.team(Plan::Enterprise);
        let owner = app.sign_in(team.owner);
        let mut members = vec![(Role::Owner, owner.clone())];
        for role in [Role::Admin, Role::Editor, Role::Viewer] {
            members.push((role, app.sign_in(team.member(role))));
        }
        let scopes = [vec![Scope::FullAccess], vec![Scope::Read], vec![Scope::Write], vec![Scope::Admin]];
        let keys = scopes.map(|scopes| {
            let names: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
            let key = app.key(KeyKind::Personal(team.owner), &names.join(","), None, None);
            (scopes, key)
        });
        Self { own: place(team), foreign: place(other), members, keys: keys.into(), owner }
    }
}

fn call<'a>(app: &'a TestApp, endpoint: &Endpoint, place: &Place) -> TestCall<'a> {
    app.request(endpoint.method.clone(), &place.path(endpoint))
}

/// Sabotage: load a resource without asking whose it is.
#[actix_web::test]
async fn every_route_answers_every_role_key_and_stranger_as_expected() {
    let app = TestApp::start().await;
    let world = World::build(&app);
    let stranger = app.sign_in(app.team(Plan::Enterprise).owner);
    let mut cells = 0;
    for (endpoint, who, action) in routes() {
        let own = || call(&app, endpoint, &world.own);
        own().send().await.expect(401);
        own().cookie(&"A".repeat(43)).send().await.expect(401);
        own().cookie("not a secret").send().await.expect(401);
        let unknown_key = app.unknown_key();
        let reply = own().header("x-api-key", &unknown_key).send().await;
        assert_eq!(reply.status, if who == Who::Person { 403 } else { 401 }, "{endpoint:?}");

        // Members, by role.
        for (role, session) in &world.members {
            // The team of the first members is the oldest one: it runs the server.
            let in_a_team = names_a_team(endpoint) || is_of_operators(action);
            let needed = if in_a_team { action.role() } else { Role::Viewer };
            if endpoint.path.contains("{invitation_id}") {
                own().session(session).send().await.expect(404);
            } else if *role < needed {
                let reply = own().session(session).send().await.expect(403);
                assert_eq!(reply.code(), "FORBIDDEN", "{endpoint:?}, {role}");
            } else if !would_change(endpoint) {
                let reply = own().session(session).send().await;
                assert!(![401, 403, 500].contains(&reply.status), "{endpoint:?}, {role}: {}", reply.text());
                if names_a_team(endpoint) {
                    assert!(reply.status != 404 || endpoint.path.matches('{').count() > 1, "{endpoint:?}, {role}");
                }
            }
            if names_a_team(endpoint) {
                for place in [&world.foreign, &Place::unknown()] {
                    let reply = call(&app, endpoint, place).session(session).send().await.expect(404);
                    assert_eq!(reply.code(), "NOT_FOUND", "{endpoint:?}, {role}");
                }
            }
            cells += 3;
        }
        if is_of_operators(action) {
            let reply = own().session(&stranger).send().await.expect(404);
            assert_eq!(reply.code(), "NOT_FOUND", "{endpoint:?}: another team runs no server");
        }
        if names_a_team(endpoint) {
            let (theirs, nobodys) = (own(), call(&app, endpoint, &Place::unknown()));
            let told = [
                theirs.session(&stranger).send().await.expect(404),
                nobodys.session(&stranger).send().await.expect(404),
            ];
            assert_eq!(told[0].json()["message"], told[1].json()["message"], "{endpoint:?}: it tells what there is");
        }

        // Keys, by scope.
        for (scopes, key) in &world.keys {
            let reply = own().key(key);
            let has_scope = action
                .scope()
                .is_some_and(|needed| scopes.iter().any(|held| *held == needed || *held == Scope::FullAccess));
            if who == Who::Person || !has_scope {
                let reply = reply.send().await.expect(403);
                assert_eq!(reply.code(), "FORBIDDEN", "{endpoint:?}, {scopes:?}");
            } else if endpoint.path.contains("{invitation_id}") {
                reply.send().await.expect(404);
            } else if !would_change(endpoint) {
                let reply = reply.send().await;
                assert!(![401, 403, 500].contains(&reply.status), "{endpoint:?}, {scopes:?}: {}", reply.text());
            }
            if who == Who::Actor && names_a_team(endpoint) && has_scope {
                let reply = call(&app, endpoint, &world.foreign).key(key).send().await;
                assert!([403, 404].contains(&reply.status), "{endpoint:?}, {scopes:?}: {}", reply.text());
            }
            cells += 2;
        }

        // Pages of other websites, with the cookie of somebody who may.
        if endpoint.method != Method::GET {
            for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
                let reply = own().cookie(&world.owner.secret).header(name, value).send().await.expect(403);
                assert_eq!(
                    reply.json()["details"],
                    "The request was not made by a page of this server",
                    "{endpoint:?}"
                );
            }
        }
        app.clock.advance_ms(60_000);
    }
    assert!(cells >= expected().len() * 20, "{cells}");
}
