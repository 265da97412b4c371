//! Teams and invitations, by roles, and what becomes of keys when somebody leaves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use actix_web::http::Method;
use common::{Reply, TestApp, TestCall, TestSession, TestTeam};
use serde_json::{Value, json};
use zenovay_auth::KeyKind;
use zenovay_domain::{Plan, Role, UserId};

const DAY_MS: i64 = 24 * 3_600_000;

fn patch<'a>(app: &'a TestApp, path: &str) -> TestCall<'a> {
    app.request(Method::PATCH, path)
}

fn delete<'a>(app: &'a TestApp, path: &str) -> TestCall<'a> {
    app.request(Method::DELETE, path)
}

async fn invite(app: &TestApp, team: TestTeam<'_>, by: &TestSession, body: Value) -> Reply {
    app.post(&format!("/api/teams/{}/invitations", team.id)).session(by).json(&body).send().await
}

/// The secret at the end of the link of an invitation.
fn token(reply: &Reply) -> String {
    let url = reply.data()["url"].as_str().unwrap().to_owned();
    url.rsplit_once("/invite/").expect("a link").1.to_owned()
}

fn email_of(app: &TestApp, user: UserId) -> String {
    app.state.store.user(user).unwrap().unwrap().email
}

#[actix_web::test]
async fn a_team_is_made_shown_renamed_and_deleted() {
    let app = TestApp::start().await;
    let mine = app.sign_in(app.user());
    let reply = app.post("/api/teams").session(&mine).json(&json!({ "name": "  Studio " })).send().await.expect(201);
    let team = reply.data();
    let path = format!("/api/teams/{}", team["id"].as_str().unwrap());
    assert_eq!(reply.header("location"), Some(path.as_str()));
    assert_eq!(
        (&team["name"], &team["plan"], &team["role"], &team["key_policy"]),
        (&json!("Studio"), &json!("enterprise"), &json!("owner"), &json!("all_members"))
    );
    let body = json!({ "name": "Agency", "key_policy": "no_one", "plan": "free", "id": "x" });
    let changed = patch(&app, &path).session(&mine).json(&body).send().await.expect(200).data();
    let wanted = (json!("Agency"), json!("no_one"), json!("enterprise"));
    assert_eq!((changed["name"].clone(), changed["key_policy"].clone(), changed["plan"].clone()), wanted);
    let long = json!({ "name": "x".repeat(101) });
    let reply = patch(&app, &path).session(&mine).json(&long).send().await.expect(422);
    assert_eq!(reply.code(), "UNPROCESSABLE_ENTITY");
    assert_eq!(reply.json()["details"], json!({ "name": "Name too long (max 100 characters)" }));
    patch(&app, &path).session(&mine).json(&json!({ "key_policy": "everybody" })).send().await.expect(400);
    delete(&app, &path).session(&mine).send().await.expect(204);
    app.get(&path).session(&mine).send().await.expect(404);
}

#[actix_web::test]
async fn an_invitation_by_link_makes_a_member_once() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    let owner = app.sign_in(team.owner);
    let reply = invite(&app, team, &owner, json!({ "role": "editor" })).await.expect(201);
    let path = format!("/api/invitations/{}", token(&reply));
    let facts = app.get(&path).send().await.expect(200).data();
    assert_eq!((&facts["team"], &facts["role"], facts.get("email")), (&json!("Team"), &json!("editor"), None));
    assert_eq!(facts["invited_by"], email_of(&app, team.owner));
    let listed = app.get(&format!("/api/teams/{}/invitations", team.id)).session(&owner).send().await.expect(200);
    assert!(!listed.text().contains(path.rsplit_once('/').unwrap().1), "the link is not shown again");

    app.post(&path).send().await.expect(401);
    let (first, second) = (app.sign_in(app.user()), app.sign_in(app.user()));
    let joined = app.post(&path).session(&first).send().await.expect(200).data();
    assert_eq!(joined, json!({ "team_id": team.id.to_string(), "name": "Team", "role": "editor" }));
    app.post(&path).session(&second).send().await.expect(404);
    app.get(&path).send().await.expect(404);
    app.get(&format!("/api/teams/{}", team.id)).session(&first).send().await.expect(200);
    app.get(&format!("/api/teams/{}", team.id)).session(&second).send().await.expect(404);
}

/// Sabotage: ask whose invitation it is when it is shown alone.
#[actix_web::test]
async fn an_invitation_for_an_address_is_for_nobody_else() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    let owner = app.sign_in(team.owner);
    let invited = app.user();
    let address = email_of(&app, invited).to_uppercase();
    let reply = invite(&app, team, &owner, json!({ "role": "viewer", "email": address })).await.expect(201);
    let path = format!("/api/invitations/{}", token(&reply));
    let other = app.sign_in(app.user());
    app.post(&path).session(&other).send().await.expect(404);
    app.post(&path).session(&app.sign_in(invited)).send().await.expect(200);
    // A member needs no other.
    let reply = invite(&app, team, &owner, json!({ "role": "viewer", "email": address })).await.expect(409);
    assert_eq!(reply.code(), "CONFLICT");
}

#[actix_web::test]
async fn invitations_end_after_seven_days_and_when_they_are_taken_back_or_renewed() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    let owner = app.sign_in(team.owner);
    let old = invite(&app, team, &owner, json!({ "role": "viewer" })).await.expect(201);
    app.clock.advance_ms(7 * DAY_MS - 1);
    let owner = app.sign_in(team.owner);
    app.get(&format!("/api/invitations/{}", token(&old))).send().await.expect(200);
    app.clock.advance_ms(1);
    app.get(&format!("/api/invitations/{}", token(&old))).send().await.expect(404);
    let somebody = app.sign_in(app.user());
    app.post(&format!("/api/invitations/{}", token(&old))).session(&somebody).send().await.expect(404);

    let open = invite(&app, team, &owner, json!({ "role": "viewer" })).await.expect(201);
    delete(&app, open.header("location").unwrap()).session(&owner).send().await.expect(204);
    app.post(&format!("/api/invitations/{}", token(&open))).session(&somebody).send().await.expect(404);

    let address = json!({ "role": "viewer", "email": "a@b.example" });
    let first = invite(&app, team, &owner, address.clone()).await.expect(201);
    invite(&app, team, &owner, address).await.expect(201);
    app.get(&format!("/api/invitations/{}", token(&first))).send().await.expect(404);
    let listed =
        app.get(&format!("/api/teams/{}/invitations", team.id)).session(&owner).send().await.expect(200).data();
    assert_eq!(listed["invitations"].as_array().unwrap().len(), 1);
}

/// SPEC G4: admins act on editors and viewers, and raise nobody to where they stand.
///
/// Sabotage: decide about the present role alone.
#[actix_web::test]
async fn an_admin_raises_nobody_and_touches_no_admin_or_owner() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    let (admin, other_admin) = (team.member(Role::Admin), team.member(Role::Admin));
    let viewer = team.member(Role::Viewer);
    let session = app.sign_in(admin);
    let member = |user: UserId| format!("/api/teams/{}/members/{user}", team.id);
    for (user, role, status) in [
        (viewer, "editor", 200),
        (viewer, "admin", 403),
        (viewer, "owner", 403),
        (admin, "owner", 403),
        (admin, "viewer", 403),
        (other_admin, "viewer", 403),
        (team.owner, "viewer", 403),
    ] {
        let call = patch(&app, &member(user)).session(&session).json(&json!({ "role": role }));
        call.send().await.expect(status);
    }
    for (user, status) in [(other_admin, 403), (team.owner, 403), (viewer, 204)] {
        delete(&app, &member(user)).session(&session).send().await.expect(status);
    }
    for (role, status) in [("viewer", 201), ("editor", 201), ("admin", 403), ("owner", 403)] {
        invite(&app, team, &session, json!({ "role": role })).await.expect(status);
    }
    // Nor does a key of theirs.
    let key = app.key(KeyKind::Personal(admin), "admin", None, None);
    let raise = patch(&app, &member(admin)).key(&key).json(&json!({ "role": "owner" }));
    raise.send().await.expect(403);
}

#[actix_web::test]
async fn a_team_keeps_an_owner_and_has_at_most_three() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    let owner = app.sign_in(team.owner);
    let member = |user: UserId| format!("/api/teams/{}/members/{user}", team.id);
    let leave = format!("/api/teams/{}/leave", team.id);
    app.post(&leave).session(&owner).send().await.expect(409);
    patch(&app, &member(team.owner)).session(&owner).json(&json!({ "role": "admin" })).send().await.expect(409);
    let others: Vec<UserId> = (0..3).map(|_| team.member(Role::Editor)).collect();
    for (user, status) in others.iter().zip([200, 200, 409]) {
        patch(&app, &member(*user)).session(&owner).json(&json!({ "role": "owner" })).send().await.expect(status);
    }
    app.post(&leave).session(&owner).send().await.expect(204);
    app.get(&format!("/api/teams/{}", team.id)).session(&owner).send().await.expect(404);
    // Handing over makes an admin of whoever does it.
    let second = app.sign_in(others[0]);
    let transfer = app.post(&format!("/api/teams/{}/transfer", team.id)).session(&second);
    transfer.json(&json!({ "user_id": others[2].to_string() })).send().await.expect(204);
    let members = app.get(&format!("/api/teams/{}/members", team.id)).session(&second).send().await.expect(200).data();
    let role = |user: UserId| {
        let all = members["members"].as_array().unwrap().iter();
        all.clone().find(|row| row["user_id"] == user.to_string()).unwrap()["role"].clone()
    };
    assert_eq!((role(others[0]), role(others[2])), (json!("admin"), json!("owner")));
    let stranger = app.user();
    let third = app.sign_in(others[2]);
    let transfer = app.post(&format!("/api/teams/{}/transfer", team.id)).session(&third);
    transfer.json(&json!({ "user_id": stranger.to_string() })).send().await.expect(404);
}

/// SPEC C2 #16, over HTTP and at once.
#[actix_web::test]
async fn whoever_leaves_takes_their_keys_along() {
    let app = TestApp::start().await;
    let (team, other) = (app.team(Plan::Enterprise), app.team(Plan::Enterprise));
    let (site, elsewhere) = (team.website("shop.example"), other.website("other.example"));
    let leaver = team.member(Role::Editor);
    app.state.store.add_member(other.id, leaver, Role::Viewer, &app.state.plans, app.state.clock.now()).unwrap();
    let personal = KeyKind::Personal(leaver);
    let (all, named) = (app.key(personal, "read", None, None), app.key(personal, "read", Some(vec![team.id]), None));
    let analytics = |id: zenovay_domain::WebsiteId| format!("/api/external/v1/analytics/{id}");
    for key in [&all, &named] {
        app.get(&analytics(site.id())).key(key).send().await.expect(200);
    }
    let mine = app.sign_in(leaver);
    app.post(&format!("/api/teams/{}/leave", team.id)).session(&mine).send().await.expect(204);
    app.get(&analytics(site.id())).key(&all).send().await.expect(403);
    app.get(&analytics(elsewhere.id())).key(&all).send().await.expect(200);
    app.get(&analytics(site.id())).key(&named).send().await.expect(401);
    app.get(&format!("/api/teams/{}", team.id)).session(&mine).send().await.expect(404);
}

/// What a key invites is gone with the key, and with its right to invite.
///
/// Sabotage: leave one of the triggers of the database out, or `end_invitations_of_key`.
#[actix_web::test]
async fn invitations_of_keys_end_with_them() {
    let app = TestApp::start().await;
    let (team, other) = (app.team(Plan::Enterprise), app.team(Plan::Enterprise));
    let owner = app.sign_in(team.owner);
    app.state.store.add_member(other.id, team.owner, Role::Owner, &app.state.plans, app.state.clock.now()).unwrap();
    let by_hand = token(&invite(&app, team, &owner, json!({ "role": "viewer" })).await.expect(201));
    let invited = async |key: &common::TestKey| {
        let call = app.post(&format!("/api/teams/{}/invitations", team.id)).key(key);
        let made = call.json(&json!({ "role": "viewer" })).send().await.expect(201);
        format!("/api/invitations/{}", token(&made))
    };
    let kinds = [KeyKind::Workspace(team.id), KeyKind::Personal(team.owner)];
    for kind in kinds {
        let key = app.key(kind, "admin", None, None);
        let path = invited(&key).await;
        app.get(&path).send().await.expect(200);
        delete(&app, &format!("/api/keys/{}", key.id)).session(&owner).send().await.expect(204);
        app.get(&path).send().await.expect(404);
        app.post(&path).session(&app.sign_in(app.user())).send().await.expect(404);

        let key = app.key(kind, "admin", None, None);
        let path = invited(&key).await;
        let weaker = patch(&app, &format!("/api/keys/{}", key.id)).session(&owner);
        weaker.json(&json!({ "scopes": ["read"] })).send().await.expect(200);
        app.get(&path).send().await.expect(404);
    }
    let key = app.key(KeyKind::Personal(team.owner), "admin", None, None);
    let path = invited(&key).await;
    let elsewhere = patch(&app, &format!("/api/keys/{}", key.id)).session(&owner);
    elsewhere.json(&json!({ "team_ids": [other.id.to_string()] })).send().await.expect(200);
    app.get(&path).send().await.expect(404);
    app.get(&format!("/api/invitations/{by_hand}")).send().await.expect(200);
}

#[actix_web::test]
async fn a_full_team_takes_nobody_and_the_invitation_stays() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Free);
    let owner = app.sign_in(team.owner);
    let reply = invite(&app, team, &owner, json!({ "role": "viewer" })).await.expect(201);
    let path = format!("/api/invitations/{}", token(&reply));
    let member = team.member(Role::Viewer);
    let reply = app.post(&path).session(&app.sign_in(app.user())).send().await.expect(403);
    assert_eq!(reply.json()["message"], "The free plan allows 2 members: an owner of the team can change the plan");
    app.state.store.remove_member(team.id, member, app.state.clock.now()).unwrap();
    app.post(&path).session(&app.sign_in(app.user())).send().await.expect(200);
}

/// SECURITY A17.
#[actix_web::test]
async fn of_many_who_accept_at_the_same_time_one_does() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    let owner = app.sign_in(team.owner);
    let reply = invite(&app, team, &owner, json!({ "role": "viewer" })).await.expect(201);
    let path = format!("/api/invitations/{}", token(&reply));
    let sessions: Vec<TestSession> = (0..20).map(|_| app.sign_in(app.user())).collect();
    let calls = sessions.iter().map(|session| app.post(&path).session(session).send());
    let statuses: Vec<u16> = futures_util::future::join_all(calls).await.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(app.state.store.members(team.id).unwrap().len(), 2);
}

/// Sabotage: let invitations outlive the right to make them, or let them go with an address.
#[actix_web::test]
async fn invitations_end_with_the_right_to_make_them() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    let owner = app.sign_in(team.owner);
    let member = |user: UserId| format!("/api/teams/{}/members/{user}", team.id);
    let removed = async |user: UserId| {
        delete(&app, &member(user)).session(&owner).send().await.expect(204);
    };
    let demoted = async |user: UserId| {
        patch(&app, &member(user)).session(&owner).json(&json!({ "role": "editor" })).send().await.expect(200);
    };
    let left = async |user: UserId| {
        app.post(&format!("/api/teams/{}/leave", team.id)).session(&app.sign_in(user)).send().await.expect(204);
    };
    let kept = invite(&app, team, &owner, json!({ "role": "viewer" })).await.expect(201);
    for way in 0..5 {
        let admin = team.member(Role::Admin);
        let made = if way == 4 {
            let key = app.key(KeyKind::Personal(admin), "admin", None, None);
            let call = app.post(&format!("/api/teams/{}/invitations", team.id)).key(&key);
            call.json(&json!({ "role": "editor" })).send().await.expect(201)
        } else {
            invite(&app, team, &app.sign_in(admin), json!({ "role": "editor" })).await.expect(201)
        };
        let path = format!("/api/invitations/{}", token(&made));
        if way == 3 {
            let mut rename = |user: &mut zenovay_store::User| {
                user.email = "another@example.com".to_owned();
                Ok(())
            };
            app.state.store.edit_user(admin, &mut rename).unwrap();
        }
        app.get(&path).send().await.expect(200);
        match way {
            0 => demoted(admin).await,
            1 => left(admin).await,
            _ => removed(admin).await,
        }
        app.get(&path).send().await.expect(404);
        app.post(&path).session(&app.sign_in(admin)).send().await.expect(404);
    }
    app.get(&format!("/api/invitations/{}", token(&kept))).send().await.expect(200);

    // Whoever hands the team over is an admin, who invites no owners.
    let high = invite(&app, team, &owner, json!({ "role": "owner" })).await.expect(201);
    let next = team.member(Role::Admin);
    let transfer = app.post(&format!("/api/teams/{}/transfer", team.id)).session(&owner);
    transfer.json(&json!({ "user_id": next.to_string() })).send().await.expect(204);
    app.get(&format!("/api/invitations/{}", token(&high))).send().await.expect(404);
    app.get(&format!("/api/invitations/{}", token(&kept))).send().await.expect(200);
}

/// Sabotage: trust the role that was looked up before the change.
#[actix_web::test]
async fn a_change_is_made_to_the_role_that_it_was_allowed_for() {
    use zenovay_store::StoreError::{MembershipChanged, NotFound};
    let app = TestApp::start().await;
    let (team, now) = (app.team(Plan::Enterprise), app.state.clock.now());
    let store = &app.state.store;
    let editor = team.member(Role::Editor);
    // An owner makes an owner of somebody whom an admin acts on at the same moment.
    store.change_role(team.id, editor, Role::Editor, Role::Owner).unwrap();
    let demoted = store.change_role(team.id, editor, Role::Editor, Role::Viewer);
    assert!(matches!(demoted, Err(MembershipChanged)), "{demoted:?}");
    let removed = store.end_membership(team.id, editor, Role::Editor, now);
    assert!(matches!(removed, Err(MembershipChanged)), "{removed:?}");
    assert_eq!(store.role_in(team.id, editor).unwrap(), Some(Role::Owner));
    store.end_membership(team.id, editor, Role::Owner, now).unwrap();
    let back = store.change_role(team.id, editor, Role::Owner, Role::Viewer);
    assert!(matches!(back, Err(NotFound("member"))), "{back:?}");
    assert_eq!(store.role_in(team.id, editor).unwrap(), None);
    let other = team.member(Role::Admin);
    assert!(matches!(store.transfer_team(team.id, other, team.owner), Err(MembershipChanged)));
}

/// A body takes its time to arrive, and its sender is let in before it does.
///
/// Sabotage: give `Authorized::store` back as it is.
#[actix_web::test]
async fn what_somebody_was_let_in_to_change_is_not_changed_when_they_lost_the_right() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    let site = team.website("shop.example");
    let (admin, viewer) = (team.member(Role::Admin), team.member(Role::Viewer));
    let session = app.sign_in(admin);
    let personal = app.key(KeyKind::Personal(admin), "full_access", None, None);
    let workspace = team.workspace_key(None);
    let website = format!("/api/websites/{}", site.id());
    let routes = [
        ("PATCH", format!("/api/teams/{}", team.id), json!({ "name": "Theirs" })),
        ("POST", format!("/api/teams/{}/invitations", team.id), json!({ "role": "viewer" })),
        ("POST", format!("/api/teams/{}/keys", team.id), json!({ "name": "Theirs" })),
        ("PATCH", format!("/api/teams/{}/members/{viewer}", team.id), json!({ "role": "editor" })),
        ("POST", "/api/websites".to_owned(), json!({ "team_id": team.id, "domain": "theirs.example" })),
        ("PATCH", website.clone(), json!({ "name": "Theirs" })),
        ("POST", format!("{website}/goals"), json!({ "name": "Theirs", "type": "event", "value": "signup" })),
        ("POST", format!("{website}/shares"), json!({ "name": "Theirs" })),
        ("POST", format!("{website}/install/allow"), json!({ "host": "theirs.example" })),
        ("DELETE", website, json!({ "domain": "shop.example" })),
    ];
    let store = app.state.store.clone();
    let demote = |from, to| {
        let (store, team) = (store.clone(), team.id);
        move || store.change_role(team, admin, from, to).unwrap()
    };
    for (method, path, body) in &routes {
        let call = || app.request(actix_web::http::Method::from_bytes(method.as_bytes()).unwrap(), path).json(body);
        let late = async |call: TestCall<'_>| call.send_after(demote(Role::Admin, Role::Viewer)).await;
        for call in [call().session(&session), call().key(&personal)] {
            let reply = late(call).await;
            assert_eq!(reply.status, 409, "{method} {path}: {}", reply.text());
            demote(Role::Viewer, Role::Admin)();
        }
    }
    let (now, id) = (app.state.clock.now(), workspace.id);
    let call = patch(&app, &format!("/api/teams/{}", team.id)).key(&workspace).json(&json!({ "name": "Theirs" }));
    let revoking = store.clone();
    call.send_after(move || revoking.revoke_key(id, now).unwrap()).await.expect(409);
    assert!(!store.teams().unwrap().iter().any(|team| team.name == "Theirs"));
    assert_eq!(store.websites().unwrap().len(), 1);
}
