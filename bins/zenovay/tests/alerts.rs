//! Alerts of what an operator must know of, told over a real connection to a webhook and a server of mail that listen here, by a clock
//! that the test moves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use actix_web::web;
use common::{TestApp, TestWebsite};
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::Sha256;
use zenovay::alerts::{self, Alerts, BACKUP_SURE_AFTER_MS, OVER_AFTER_MS};
use zenovay::config::{BackupPlace, CommonFlags, Config, ServerFlags};
use zenovay::doctor::{Patient, examine};
use zenovay::http::state::AppState;
use zenovay::mail::Mail;
use zenovay_domain::{Clock, Plan, Role};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 3_600_000;
const SECRET: &str = "a secret of both";

/// What a webhook was sent: the line of the request, its headers in small letters, and its body.
#[derive(Debug)]
struct Sent {
    line: String,
    headers: Vec<String>,
    body: String,
}

impl Sent {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|header| header.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// A place that takes alerts, and answers each with the present head of an answer.
struct Sink {
    url: String,
    answer: Arc<Mutex<&'static str>>,
    sent: Receiver<Sent>,
}

const TAKEN: &str = "204 No Content";

impl Sink {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook?token=hidden", listener.local_addr().unwrap());
        let (answer, (tell, sent)) = (Arc::new(Mutex::new(TAKEN)), channel());
        let answers = Arc::clone(&answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(sent) = Self::read(&stream) else { continue };
                let answer = *answers.lock();
                let head = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                if tell.send(sent).is_err() || (&stream).write_all(head.as_bytes()).is_err() {
                    return;
                }
            }
        });
        Self { url, answer, sent }
    }

    /// `None` when nothing is asked.
    fn read(stream: &TcpStream) -> Option<Sent> {
        let mut reader = BufReader::new(stream);
        let mut next = || {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            Some(line.trim_end().to_owned())
        };
        let line = next().filter(|line| !line.is_empty())?;
        let mut headers = Vec::new();
        while let Some(header) = next().filter(|header| !header.is_empty()) {
            let (name, value) = header.split_once(": ")?;
            headers.push(format!("{}: {value}", name.to_lowercase()));
        }
        let length = headers.iter().find_map(|header| header.strip_prefix("content-length: "))?.parse().ok()?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some(Sent { line, headers, body: String::from_utf8(body).ok()? })
    }

    /// What was sent and not yet looked at.
    fn taken(&self) -> Vec<Sent> {
        self.sent.try_iter().collect()
    }

    /// The kind and state of each.
    fn steps(&self) -> Vec<String> {
        let step = |sent: &Sent| {
            let json = sent.json();
            format!("{} {}", json["kind"].as_str().unwrap(), json["state"].as_str().unwrap())
        };
        self.taken().iter().map(step).collect()
    }
}

/// A server of mail, and what it is sent.
fn mail_server() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let (sent, mails) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut answer = stream.try_clone().unwrap();
            let mut data: Option<String> = None;
            answer.write_all(b"220 here\r\n").unwrap();
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let answered: &[u8] = match &mut data {
                    Some(text) if line == "." => {
                        let mail = std::mem::take(text).replace("=\n", "");
                        data = None;
                        if sent.send(mail).is_err() {
                            return;
                        }
                        b"250 stored\r\n"
                    }
                    Some(text) => {
                        *text += &format!("{line}\n");
                        continue;
                    }
                    None if line == "DATA" => {
                        data = Some(String::new());
                        b"354 go on\r\n"
                    }
                    None if line == "QUIT" => break,
                    None => b"250 yes\r\n",
                };
                answer.write_all(answered).unwrap();
            }
        }
    });
    (url, mails)
}

/// The settings of a server on the data in `directory` that tells `sink`.
fn settings(directory: &Path, sink: &Sink, backups: Option<&Path>) -> Config {
    let backup_dir = backups.map(|dir| dir.to_str().unwrap().to_owned());
    settings_with(directory, sink, ServerFlags { backup_dir, ..ServerFlags::default() }, &[])
}

/// The same with the flags `server`, and the variables `environment`.
fn settings_with(directory: &Path, sink: &Sink, server: ServerFlags, environment: &[(&str, &str)]) -> Config {
    let common = CommonFlags { data_dir: directory.to_str().map(str::to_owned), ..CommonFlags::default() };
    let server = ServerFlags {
        alert_webhook_url: Some(sink.url.clone()),
        alert_webhook_secret: Some(SECRET.to_owned()),
        ..server
    };
    Config::load(&common, &server, environment.iter().map(|(name, value)| (name.into(), value.into()))).unwrap()
}

/// A disk that cannot be looked at: alerts of the one that the test runs on would be others on each machine.
const NO_DISK: &str = "/nowhere";
/// A file system without any room.
const FULL_DISK: &str = "/proc";

/// Another process on the data of `app`, which tells `sink`, and owners by mail over `smtp`.
async fn process(app: &TestApp, sink: &Sink, smtp: Option<&str>, backups: Option<&Path>) -> TestApp {
    process_on(NO_DISK, app, sink, smtp, backups).await
}

/// The same, whose data seem to be on `disk`.
async fn process_on(disk: &str, app: &TestApp, sink: &Sink, smtp: Option<&str>, backups: Option<&Path>) -> TestApp {
    process_with(disk, app, settings(app.directory.path(), sink, backups), smtp).await
}

/// The same with the settings `config`.
async fn process_with(disk: &str, app: &TestApp, mut config: Config, smtp: Option<&str>) -> TestApp {
    app.changed(|state| {
        state.alerts = Alerts::open(&config);
        config.data_dir = disk.into();
        state.config = config;
        state.mail = smtp
            .map(|url| Arc::new(Mail::over(url, "stats@example.com", "https://stats.example").expect("an address")));
    })
    .await
}

/// A disk that is full has no room for another file: who was told of it is known all the same.
///
/// Sabotage: write a new file alone, or write over it without the room for more.
#[actix_web::test]
async fn a_full_disk_is_told_once_though_nothing_new_can_be_written() {
    let app = TestApp::start().await;
    let sink = Sink::start();
    let process = async || process_on(FULL_DISK, &app, &sink, None, None).await;
    let first = process().await;
    first.state.alerts.save().unwrap();
    let known = app.directory.path().join(alerts::ALERTS);
    let length = std::fs::metadata(&known).unwrap().len();
    // What is in the way of the new file.
    std::fs::create_dir(app.directory.path().join("zenovay.alerts.tmp")).unwrap();
    look(&first).await;
    assert_eq!(sink.steps(), ["disk_low began", "disk_full began"]);
    let next = process().await;
    look_for(&next, OVER_AFTER_MS).await;
    assert_eq!(sink.steps(), [""; 0], "told before");
    assert_eq!(std::fs::metadata(&known).unwrap().len(), length);
}

async fn look(app: &TestApp) {
    alerts::look(&web::Data::from(app.state.clone())).await;
}

/// Looks so often as a server that runs for so long.
async fn look_for(app: &TestApp, ms: i64) {
    for _ in 0..ms / (10 * MINUTE_MS) {
        app.clock.advance_ms(10 * MINUTE_MS);
        look(app).await;
    }
}

/// An event of `site` on each of `days` days, the last one now.
async fn visit_daily(app: &TestApp, site: &TestWebsite<'_>, days: i64) {
    for day in 0..days {
        if day > 0 {
            app.clock.advance_ms(DAY_MS);
        }
        visit(app, site).await;
    }
}

async fn visit(app: &TestApp, site: &TestWebsite<'_>) {
    let session = format!("session-{}", app.clock.now().as_millis());
    site.send(&site.hit("/", &session)).send().await.expect(200);
}

/// A website that had events every day is missed after two days without one; one that had few is not. Owners and the webhook are told
/// once, also across restarts, and once when it is over.
///
/// Sabotage: forget at a restart who was told, tell whenever somebody looks, miss every silent website, or sign another body.
#[actix_web::test]
async fn everybody_is_told_once_that_no_events_come_and_once_that_they_come_again() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    let second = team.member(Role::Owner);
    let (shop, blog) = (team.website("shop.example"), team.website("blog.example"));
    visit(&app, &blog).await;
    visit_daily(&app, &shop, 7).await;
    let (sink, (smtp, mails)) = (Sink::start(), mail_server());
    let process = async || process(&app, &sink, Some(&smtp), None).await;
    let first = process().await;
    look_for(&first, 2 * DAY_MS).await;
    assert_eq!(sink.steps(), [""; 0], "not yet two days");

    look_for(&first, 10 * MINUTE_MS).await;
    let told = sink.taken();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].line, "POST /hook?token=hidden HTTP/1.1");
    let body = told[0].json();
    let since = body["since"].as_str().unwrap().to_owned();
    assert_eq!((body["kind"].clone(), body["state"].clone()), (json!("no_events"), json!("began")));
    assert_eq!(body["websites"], json!([{ "id": shop.id(), "domain": "shop.example" }]));
    assert!(body["message"].as_str().unwrap().ends_with("none for two days: shop.example."), "{body}");
    assert!(body["remedy"].as_str().unwrap().contains("zenovay doctor"), "{body}");
    let mut code = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    code.update(told[0].body.as_bytes());
    let code: String = code.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(told[0].header("x-zenovay-signature"), Some(format!("sha256={code}").as_str()));
    assert_eq!(told[0].header("content-type"), Some("application/json"));
    let mailed = || mails.try_iter().collect::<Vec<String>>();
    let all = mailed();
    assert_eq!(all.len(), 2, "each owner: {all:?}");
    for owner in [team.owner, second] {
        assert!(all.iter().any(|mail| mail.contains(&format!("To: {owner}@example.com"))), "{all:?}");
    }
    assert!(all.iter().all(|mail| mail.contains("Subject: Alert: no events arrive")), "{all:?}");
    assert!(all.iter().all(|mail| mail.contains("shop.example.") && mail.contains("What to do:")), "{all:?}");

    // It goes on, also in the next process.
    look_for(&first, DAY_MS).await;
    let next = process().await;
    look_for(&next, DAY_MS).await;
    assert_eq!((sink.steps(), mailed()), (Vec::<String>::new(), Vec::<String>::new()), "told before");

    visit(&app, &shop).await;
    look_for(&next, OVER_AFTER_MS).await;
    assert_eq!(sink.steps(), [""; 0], "an hour has to go by");
    let next = process().await;
    look_for(&next, OVER_AFTER_MS + 10 * MINUTE_MS).await;
    let told = sink.taken();
    assert_eq!(told.len(), 1, "{told:?}");
    let body = told[0].json();
    assert_eq!((body["state"].clone(), body["since"].clone()), (json!("ended"), json!(since)));
    assert!(body["ended_at"].is_string(), "{body}");
    let all = mailed();
    assert_eq!(all.iter().filter(|mail| mail.contains("Subject: Over: no events arrive")).count(), 2, "{all:?}");
    look_for(&process().await, 2 * OVER_AFTER_MS).await;
    assert_eq!((sink.steps(), mailed()), (Vec::<String>::new(), Vec::<String>::new()), "nothing more");
}

/// A webhook that does not take an alert is asked again after pauses that grow, and is told all in the end; the doctor says why
/// meanwhile. A redirect is not followed.
///
/// Sabotage: take every answer for a success, ask again each minute, or follow the redirect.
#[actix_web::test]
async fn what_is_not_taken_is_sent_again_later() {
    let app = TestApp::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let backups = elsewhere.path().join("backups");
    let sink = Sink::start();
    let process = async || process(&app, &sink, None, Some(&backups)).await;
    let first = process().await;
    let alerts_found = |app: &TestApp| found(app, "alerts");
    assert_eq!(alerts_found(&first).0, None);
    *sink.answer.lock() = "307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/";
    let mut asked = Vec::new();
    for minute in 0..40 {
        look(&first).await;
        asked.extend(sink.steps().into_iter().map(|step| (minute, step)));
        app.clock.advance_ms(MINUTE_MS);
    }
    assert_eq!(asked.iter().map(|(minute, _)| *minute).collect::<Vec<_>>(), [0, 1, 3, 7, 15, 31]);
    assert!(asked.iter().all(|(_, step)| step == "backup began"), "{asked:?}");
    let (problem, seen) = alerts_found(&first);
    assert_eq!(problem, Some("alerts_fail"));
    assert!(seen.contains("it answers 307, and redirects are not followed"), "{seen}");
    assert!(!seen.contains("hidden"), "{seen}");

    // It is over before anybody heard of it, and the next process tells both.
    first.state.backups.make_told(&BackupPlace::Dir(backups.clone()), None, false).unwrap();
    look_for(&first, OVER_AFTER_MS + 10 * MINUTE_MS).await;
    drop(sink.taken());
    *sink.answer.lock() = TAKEN;
    let next = process().await;
    look(&next).await;
    assert_eq!(sink.steps(), ["backup began", "backup ended"]);
    assert_eq!(alerts_found(&next).0, None);
}

/// A backup that fails is an alert until one is made, a test is sent whatever failed before, and the page of metrics counts both.
///
/// Sabotage: count a test that was not taken for delivered, or tell of a backup that fails at the first look.
#[actix_web::test]
async fn a_backup_that_fails_is_told_and_a_test_says_whether_anybody_hears_it() {
    let app = TestApp::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let backups = elsewhere.path().join("backups");
    let sink = Sink::start();
    let process = process(&app, &sink, None, Some(&backups)).await;
    process.state.backups.make_told(&BackupPlace::Dir(backups.clone()), None, false).unwrap();
    look(&process).await;
    assert_eq!(sink.steps(), [""; 0], "there is one");
    std::fs::write(backups.join("zenovay-backups"), "another thing").unwrap();
    let why = process
        .state
        .backups
        .make_told(&BackupPlace::Dir(backups.clone()), None, false)
        .map(drop)
        .unwrap_err()
        .to_string();
    look(&process).await;
    assert_eq!(sink.steps(), [""; 0], "the next try may be well");
    app.clock.advance_ms(BACKUP_SURE_AFTER_MS);
    look(&process).await;
    let told = sink.taken();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].json()["message"].as_str().unwrap().contains(&why), "{told:?}");

    let state = web::Data::from(process.state.clone());
    *sink.answer.lock() = "500 No";
    let tried = serde_json::to_value(alerts::test(&state).await).unwrap();
    let expected = json!([{ "channel": "webhook", "delivered": false, "error": "it answers 500" }]);
    assert_eq!(tried, expected);
    *sink.answer.lock() = TAKEN;
    let tried = serde_json::to_value(alerts::test(&state).await).unwrap();
    assert_eq!(tried, json!([{ "channel": "webhook", "delivered": true, "error": null }]));
    assert_eq!(sink.steps(), ["test test"; 2]);
    let page = process.state.metrics.render(&*process.state.events);
    for outcome in ["delivered", "failed"] {
        let begin = format!("zenovay_alert_deliveries_total{{channel=\"webhook\",outcome=\"{outcome}\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&begin)).expect(&begin);
        assert!(line.parse::<u64>().unwrap() >= 1, "{begin}{line}");
    }
}

/// What the check `name` of the doctor found. It waits for what is outside, on a thread of its own as in a server.
fn found(app: &TestApp, name: &str) -> (Option<&'static str>, String) {
    let state: &AppState = &app.state;
    let report = std::thread::scope(|scope| scope.spawn(|| examine(&Patient::of(state, None))).join().unwrap());
    let found = report.checks.iter().find(|check| check.check == name).unwrap();
    (found.problem, found.seen.clone())
}

/// A backup that is being made may be the one that is missing, and one on the disk of the data is for the doctor to note.
///
/// Sabotage: tell of a missing backup while one is made, take what is begun for what was left, or wake somebody for the disk.
#[actix_web::test]
async fn a_backup_that_is_being_made_or_is_on_the_same_disk_is_no_alert() {
    let app = TestApp::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let backups = elsewhere.path().join("backups");
    let sink = Sink::start();
    let process = process_on(elsewhere.path().to_str().unwrap(), &app, &sink, None, Some(&backups)).await;
    // The disk may be the one that is full here.
    let told = || sink.steps().into_iter().filter(|step| !step.starts_with("disk")).collect::<Vec<String>>();
    let state = Arc::clone(&process.state);
    let place = BackupPlace::Dir(backups.clone());
    let begun = || {
        let folders = std::fs::read_dir(&backups).into_iter().flatten().flatten();
        folders
            .map(|entry| entry.file_name().into_string().unwrap())
            .any(|name| name.ends_with(".tmp") && name.starts_with("backup-"))
    };
    // It waits for who erases, which is a thread until it is told to end.
    let ((holds, held), (end, ends)) = (channel::<()>(), channel::<()>());
    let theirs = Arc::clone(&state);
    let erasing = std::thread::spawn(move || {
        let _turn = theirs.erasures.turn();
        holds.send(()).unwrap();
        // The test that fails tells nothing more.
        let _ = ends.recv();
    });
    held.recv().unwrap();
    let (theirs, to) = (Arc::clone(&state), place.clone());
    let made = std::thread::spawn(move || theirs.backups.make_told(&to, None, false).map(drop));
    let started = std::time::Instant::now();
    while !begun() {
        assert!(started.elapsed() < std::time::Duration::from_secs(60), "no backup is begun");
        std::thread::yield_now();
    }
    look(&process).await;
    assert_eq!(told(), [""; 0], "it is being made");
    let (problem, seen) = found(&process, "backup");
    assert!(problem == Some("backup_missing") && seen.contains("none in"), "{seen}");
    drop(end);
    erasing.join().unwrap();
    made.join().unwrap().unwrap();
    assert_eq!(found(&process, "backup").0, Some("backup_same_disk"));
    look(&process).await;
    assert_eq!(told(), [""; 0]);
}

/// A bucket that does not answer is looked at each five minutes, and is an alert after a quarter of an hour.
///
/// Sabotage: look each minute, wait for an hour, or tell at the first look.
#[actix_web::test]
async fn backups_in_a_bucket_are_looked_at_seldom_and_sooner_in_doubt() {
    let app = TestApp::start().await;
    let bucket = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", bucket.local_addr().unwrap());
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counts = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in bucket.incoming().map_while(Result::ok) {
            counts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            // To its end, so that the client reads the answer.
            let head = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            assert!(head.count() > 0, "nothing was asked");
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    let sink = Sink::start();
    let environment = [
        ("ZENOVAY_BACKUP_BUCKET_ENDPOINT", endpoint.as_str()),
        ("ZENOVAY_BACKUP_BUCKET_KEY_ID", "id"),
        ("ZENOVAY_BACKUP_BUCKET_SECRET", "secret"),
    ];
    let flags = ServerFlags { backup_dir: Some("s3://backups/x".to_owned()), ..ServerFlags::default() };
    let config = settings_with(app.directory.path(), &sink, flags, &environment);
    let process = process_with(NO_DISK, &app, config, None).await;
    let (mut looked, mut told) = (Vec::new(), Vec::new());
    for minute in 0..=20 {
        let before = asked.load(std::sync::atomic::Ordering::Relaxed);
        look(&process).await;
        if asked.load(std::sync::atomic::Ordering::Relaxed) > before {
            looked.push(minute);
        }
        told.extend(sink.steps().into_iter().map(|step| (minute, step)));
        app.clock.advance_ms(MINUTE_MS);
    }
    assert_eq!((looked, told), (vec![0, 5, 10, 15, 20], vec![(15, "backup began".to_owned())]));
}

/// A clock that is not believed is told, and what depends on it is not concluded from it.
///
/// Sabotage: look for silent websites by a clock that is years ahead.
#[actix_web::test]
async fn a_clock_that_is_years_ahead_makes_no_website_silent() {
    let app = TestApp::start().await;
    let team = app.team(Plan::Enterprise);
    visit_daily(&app, &team.website("shop.example"), 7).await;
    let sink = Sink::start();
    let process = process(&app, &sink, None, None).await;
    look(&process).await;
    assert_eq!(sink.steps(), [""; 0]);
    app.clock.step_ms(5 * 365 * DAY_MS);
    look(&process).await;
    assert_eq!(sink.steps(), ["clock began"]);
}

/// A disk that is full is nearly full, too, and one that cannot be looked at any more stays what it was.
///
/// Sabotage: take what is not known for well, or tell of the worse alone.
#[actix_web::test]
async fn a_full_disk_is_told_and_is_not_over_because_nobody_can_look() {
    let app = TestApp::start().await;
    let sink = Sink::start();
    look(&process_on(FULL_DISK, &app, &sink, None, None).await).await;
    assert_eq!(sink.steps(), ["disk_low began", "disk_full began"]);
    let next = process(&app, &sink, None, None).await;
    look_for(&next, 2 * OVER_AFTER_MS).await;
    assert_eq!(sink.steps(), [""; 0]);
}
