//! Mail, to a server of mail that listens here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use actix_web::http::Method;
use common::{TestApp, TestWebsite};
use serde_json::json;
use zenovay::config::{CommonFlags, Config, ServerFlags};
use zenovay::mail::{Mail, MailError};
use zenovay::quota_mail;
use zenovay_domain::{Clock, Plan, Role};
use zenovay_store::TELLING_MS;

/// How long a mail may take to get here. Only ever reached when something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server of mail: its URL, and what it is sent.
fn server() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let (sent, mails) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut answer = stream.unwrap();
            let lines = BufReader::new(answer.try_clone().unwrap()).lines();
            let mut data: Option<String> = None;
            answer.write_all(b"220 here\r\n").unwrap();
            for line in lines.map_while(Result::ok) {
                match &mut data {
                    Some(text) if line == "." => {
                        sent.send(std::mem::take(text)).unwrap();
                        data = None;
                        answer.write_all(b"250 stored\r\n").unwrap();
                    }
                    Some(text) => *text += &format!("{line}\n"),
                    None if line == "DATA" => {
                        data = Some(String::new());
                        answer.write_all(b"354 go on\r\n").unwrap();
                    }
                    None if line == "QUIT" => break,
                    None => answer.write_all(b"250 yes\r\n").unwrap(),
                }
            }
        }
    });
    (url, mails)
}

/// The next mail, while the application goes on.
async fn next(mails: &Receiver<String>) -> String {
    let began = Instant::now();
    loop {
        match mails.try_recv() {
            Ok(mail) => return mail.replace("=\n", ""),
            Err(TryRecvError::Empty) if began.elapsed() < PATIENCE => tokio::task::yield_now().await,
            Err(error) => panic!("no mail: {error}"),
        }
    }
}

async fn with_mail(app: &TestApp, url: &str) -> TestApp {
    let mail = Mail::over(url, "zenovay <stats@example.com>", "https://stats.example/").unwrap();
    app.changed(|state| {
        state.people.has_mail = true;
        state.mail = Some(Arc::new(mail));
    })
    .await
}

/// Sabotage: make the link from the host that the request names.
#[actix_web::test]
async fn a_lost_password_is_set_anew_by_a_mailed_link() {
    let app = TestApp::start().await;
    app.user_with_password("ada@example.com", "correct horse battery staple");
    let (url, mails) = server();
    let app = with_mail(&app, &url).await;
    let ask = async |email: &str| {
        let call = app.post("/api/password-resets").header("host", "evil.example").json(&json!({ "email": email }));
        call.send().await.expect(200).data()
    };
    assert_eq!(ask("nobody@example.com").await, json!({ "mail": true }));
    assert_eq!(ask("ADA@example.com").await, json!({ "mail": true }));
    let mail = next(&mails).await;
    assert!(mail.contains("To: ada@example.com"), "the first mail is for the address that has an account: {mail}");
    assert!(mail.contains("Subject: Choose a new password") && mail.contains("for one hour"), "{mail}");
    let token = mail.split("https://stats.example/reset/").nth(1).expect(&mail).lines().next().unwrap();
    let put = app.request(Method::PUT, &format!("/api/password-resets/{token}"));
    put.json(&json!({ "password": "another horse battery staple" })).send().await.expect(204);
    // Nobody's mailbox is flooded: one mail a minute.
    ask("ada@example.com").await;
    app.clock.advance_ms(60_000);
    ask("ada@example.com").await;
    let second = next(&mails).await;
    assert!(second.contains("/reset/") && !second.contains(token));
    assert!(mails.try_recv().is_err(), "one was held back");
}

#[actix_web::test]
async fn an_invitation_for_an_address_is_mailed() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    let owner = app.sign_in(team.owner);
    let (url, mails) = server();
    let app = with_mail(&app, &url).await;
    let body = json!({ "role": "viewer", "email": "new@example.com" });
    let call = app.post(&format!("/api/teams/{}/invitations", team.id)).session(&owner).json(&body);
    let made = call.send().await.expect(201).data();
    let mail = next(&mails).await;
    let path = made["url"].as_str().unwrap().rsplit_once("/invite/").unwrap().1;
    assert!(
        mail.contains(&format!("https://stats.example/invite/{path}")) && mail.contains("To: new@example.com"),
        "{mail}"
    );
}

/// Nobody makes this server send mail to strangers. Sabotage: charge in one of the two places alone, or make the invitation first.
#[actix_web::test]
async fn so_many_invitations_are_mailed_and_no_more() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    let (url, mails) = server();
    let app = with_mail(&app, &url).await;
    let owner = app.sign_in(team.owner);
    let path = format!("/api/teams/{}/invitations", team.id);
    let invite = |body: serde_json::Value| app.post(&path).session(&owner).json(&body).send();
    for _ in 0..3 {
        // Each takes the place of the one before; the mail goes out each time.
        invite(json!({ "role": "viewer", "email": "eve@example.com" })).await.expect(201);
    }
    let refused = invite(json!({ "role": "viewer", "email": "EVE@example.com" })).await.expect(429);
    assert_eq!(refused.code(), "RATE_LIMIT_EXCEEDED");
    let retry: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3_800).contains(&retry), "{retry}");
    assert!(refused.text().contains("3 invitations an hour"), "{}", refused.text());
    for _ in 0..3 {
        assert!(next(&mails).await.contains("To: eve@example.com"));
    }
    // A link that is not mailed is no mail, and neither is an invitation that is refused.
    let member = app.state.store.user(team.member(Role::Viewer)).unwrap().unwrap().email;
    for _ in 0..31 {
        invite(json!({ "role": "viewer", "email": member })).await.expect(409);
    }
    for _ in 0..5 {
        invite(json!({ "role": "viewer" })).await.expect(201);
    }
    for number in 0..27 {
        invite(json!({ "role": "viewer", "email": format!("{number}@example.com") })).await.expect(201);
    }
    let before = app.state.store.invitations(team.id, app.clock.now()).unwrap().len();
    let refused = invite(json!({ "role": "viewer", "email": "a@example.com" })).await.expect(429);
    assert!(refused.text().contains("You may mail 30 invitations an hour"), "{}", refused.text());
    assert_eq!(app.state.store.invitations(team.id, app.clock.now()).unwrap().len(), before, "nothing is made");
    // Assistants invite by the same rule.
    let key = app.key(zenovay_auth::KeyKind::Personal(team.owner), "full_access", None, None);
    let arguments = json!({ "team_id": team.id.to_string(), "email": "a@example.com", "role": "viewer" });
    let params = json!({ "name": "invite_team_member", "arguments": arguments });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let told = app.post("/mcp").bearer(&key).json(&message).send().await.expect(200).json();
    assert_eq!(told["result"]["isError"], true);
    let told = told["result"]["content"][0]["text"].as_str().unwrap();
    assert!(told.contains("30 invitations an hour") && told.contains("Try again in"), "{told}");
    // An hour later there is room again.
    app.clock.advance_ms(2 * 3_600_000);
    let owner = app.sign_in(team.owner);
    let body = json!({ "role": "viewer", "email": "eve@example.com" });
    app.post(&path).session(&owner).json(&body).send().await.expect(201);
    let sent: Vec<String> = mails.try_iter().collect();
    assert!(sent.len() <= 28, "{}", sent.len());
}

#[test]
fn mail_needs_an_address_of_the_server_and_a_sender() {
    let config = |public_url: Option<&str>, mail_from: Option<&str>| {
        let flags = ServerFlags {
            smtp_url: Some("smtps://user:opensesame@mail.example".to_owned()),
            public_url: public_url.map(str::to_owned),
            mail_from: mail_from.map(str::to_owned),
            ..ServerFlags::default()
        };
        Config::load(&CommonFlags::default(), &flags, []).unwrap()
    };
    let (url, from) = (Some("https://stats.example"), Some("stats@example.com"));
    assert!(matches!(Mail::new(&config(None, from)), Err(MailError::Needs("public_url"))));
    assert!(matches!(Mail::new(&config(url, None)), Err(MailError::Needs("mail_from"))));
    assert!(matches!(Mail::new(&config(url, Some("nobody"))), Err(MailError::From)));
    assert!(Mail::new(&config(url, from)).unwrap().is_some());
    let shown = format!("{:?}", config(url, from).effective());
    assert!(!shown.contains("opensesame") && shown.contains("mail.example"), "{shown}");
}

/// Another process on the data of `app`, with ten events a month for free teams, that mails over `url`.
async fn limited(app: &TestApp, url: &str) -> TestApp {
    let mail = Mail::over(url, "stats@example.com", "https://stats.example").unwrap();
    app.changed(|state| {
        state.plans.limits_mut(Plan::Free).events_per_month = Some(10);
        state.mail = Some(Arc::new(mail));
    })
    .await
}

/// Sends `app` a hit of `site` for each of these visits.
async fn visit(app: &TestApp, site: &TestWebsite<'_>, visits: std::ops::Range<usize>) {
    for number in visits {
        let call = app.post(&format!("/e/{}", site.code())).header("origin", "https://shop.example");
        let call = call.header("user-agent", common::CHROME).json(&site.hit("/", &format!("session-{number}")));
        call.send().await.expect(200);
    }
}

/// Sabotage: tell whenever somebody looks, forget at a restart who was told, or count a mail that was not sent.
#[actix_web::test]
async fn owners_are_told_once_when_most_and_all_of_a_month_is_used() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Free);
    let second = team.member(Role::Owner);
    let site = team.website("shop.example");
    let limited = async |url: &str| limited(&app, url).await;
    let send = async |app: &TestApp, visits| visit(app, &site, visits).await;
    let tell = async |app: &TestApp| quota_mail::tell(&actix_web::web::Data::from(app.state.clone())).await;
    let (url, mails) = server();
    let told = || {
        let mut all: Vec<String> = mails.try_iter().map(|mail| mail.replace("=\n", "")).collect();
        all.sort();
        all
    };
    let first = limited(&url).await;
    send(&first, 0..7).await;
    tell(&first).await;
    assert_eq!(told(), [""; 0], "seven of ten");

    // Nobody takes the mail: it is tried again.
    let closed = limited("smtp://127.0.0.1:1").await;
    send(&closed, 7..8).await;
    tell(&closed).await;
    let first = limited(&url).await;
    send(&first, 8..9).await;
    tell(&first).await;
    let all = told();
    assert_eq!(all.len(), 2, "each owner: {all:?}");
    for owner in [team.owner, second] {
        let to = format!("To: {owner}@example.com");
        assert!(all.iter().any(|mail| mail.contains(&to)), "{all:?}");
    }
    assert!(all.iter().all(|mail| mail.contains("has used 80 % of the 10 events")), "{all:?}");
    tell(&first).await;
    let again = limited(&url).await;
    send(&again, 9..10).await;
    tell(&first).await;
    assert_eq!(told(), [""; 0], "told before");

    tell(&again).await;
    send(&again, 10..12).await;
    tell(&again).await;
    let all = told();
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all.iter().all(|mail| mail.contains("has used 100 % of the 10 events")), "{all:?}");
    // The next month begins anew.
    again.clock.advance_ms(18 * 24 * 3_600_000);
    send(&again, 20..28).await;
    tell(&again).await;
    assert_eq!(told().len(), 2);
}

/// A process may end at any moment. Sabotage: note that owners were told before they are, look at what this process counted alone,
/// or begin again while somebody is at it.
#[actix_web::test]
async fn what_a_process_did_not_tell_the_next_one_does() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Free);
    let site = team.website("shop.example");
    let (url, mails) = server();
    let process = async || limited(&app, &url).await;
    let send = async |app: &TestApp, visits| visit(app, &site, visits).await;
    let tell_all = async |app: &TestApp| quota_mail::tell_all(&actix_web::web::Data::from(app.state.clone())).await;
    let told = || mails.try_iter().map(|mail| mail.replace("=\n", "")).collect::<Vec<String>>();
    // It ends before it looks, and nobody visits the website any more.
    send(&process().await, 0..8).await;
    tell_all(&process().await).await;
    let all = told();
    assert_eq!(all.len(), 1);
    assert!(all[0].contains("has used 80 % of the 10 events"), "{all:?}");
    tell_all(&process().await).await;
    assert_eq!(told(), [""; 0], "told before");

    // It ends while it sends.
    let dying = process().await;
    send(&dying, 8..10).await;
    let now = app.state.clock.now();
    assert!(dying.state.store.begin_telling(team.id, now, 100, now).unwrap());
    let next = process().await;
    tell_all(&next).await;
    assert_eq!(told(), [""; 0], "somebody is at it");
    app.clock.advance_ms(TELLING_MS);
    tell_all(&next).await;
    let all = told();
    assert_eq!(all.len(), 1);
    assert!(all[0].contains("has used 100 % of the 10 events"), "{all:?}");
    tell_all(&next).await;
    assert_eq!(told(), [""; 0]);
    // Of two at the same time one tells.
    app.clock.advance_ms(18 * 24 * 3_600_000);
    let (one, other) = (process().await, process().await);
    send(&one, 20..28).await;
    futures_util::future::join(tell_all(&one), tell_all(&other)).await;
    assert_eq!(told().len(), 1);
}
