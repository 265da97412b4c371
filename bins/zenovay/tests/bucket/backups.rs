//! Backups in a bucket.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::process::{BINARY, Server, Site, pageview};
use super::s3::{Proxy, S3, Way};
use super::wait_for;

const PLACE: &str = "s3://recordings/of/backups";
const PREFIX: &str = "of/backups";
/// What is more than two parts of a request, and not a whole number of them.
const LONG_BYTES: u32 = (17 << 20) + 1;

struct Place {
    directory: tempfile::TempDir,
    site: Site,
}

impl Place {
    /// A website whose backups go to the bucket at `url`.
    fn new(s3: &S3, url: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = format!(
            "seal_rows = 20\ntracking_requests_per_10s = 1000000\ntracking_requests_per_hour = 1000000\nbackup_bucket_endpoint = \"{url}\"\nbackup_bucket_key_id = \"{}\"\nbackup_bucket_secret = \"{}\"\n",
            s3.key_id, s3.secret
        );
        let site = Site::create(&directory.path().join("data"), directory.path(), &settings);
        Self { directory, site }
    }

    /// The same website in another data directory, which is not made.
    fn elsewhere(&self, name: &str) -> Site {
        self.site.at(self.directory.path().join(name))
    }
}

fn send(server: &Server, site: &Site, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let body = pageview("example.com", &format!("/{number}"), &format!("session-{number}"));
        let path = format!("/e/{}", site.tracking_code);
        assert_eq!(server.connect().request("POST", &path, &[], &body).unwrap().status, 200);
    }
}

/// What a command that must fail says.
fn fails(site: &Site, arguments: &[&str]) -> String {
    let output = site.run(arguments, "");
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn listed(site: &Site) -> Vec<Value> {
    site.cli(&["backup", PLACE, "--list"])["backups"].as_array().unwrap().clone()
}

/// The names of the objects that were written since this was asked the last time.
fn written(proxy: &Proxy) -> Vec<String> {
    let puts = proxy.asked().into_iter().filter_map(|asked| {
        let path = asked.strip_prefix(&format!("PUT /recordings/{PREFIX}/"))?.to_owned();
        Some(path.split('?').next().unwrap_or_default().to_owned())
    });
    puts.collect()
}

/// Sabotage: send what is there, cut a long object after its first part, remove what a kept backup needs, or write the manifest first.
#[test]
fn a_bucket_has_backups_that_share_what_does_not_change_and_those_that_are_kept_restore() {
    let s3 = S3::start(&[]);
    let proxy = Proxy::to(&s3);
    let place = Place::new(&s3, &proxy.url);
    let site = &place.site;
    site.cli(&["website", "set", &site.website_id, "session_replay=true", "session_replay_consent=false"]);
    let database = rusqlite::Connection::open(site.data_dir.join("zenovay.db")).unwrap();
    database.execute("CREATE TABLE long (bytes BLOB)", []).unwrap();
    database.execute("INSERT INTO long VALUES (randomblob(?1))", [LONG_BYTES]).unwrap();
    drop(database);
    let server = site.serve();
    assert_eq!(super::send(&server, site, &super::chunk(0, "a recording")).status, 200);
    send(&server, site, 0..50);
    let sealed = || std::fs::read_dir(site.data_dir.join("segments")).into_iter().flatten().count();
    wait_for("a segment", || sealed() > 0);
    // What `zenovay check` leaves behind with a key that may not delete is nobody else's.
    s3.ask(&format!("PUT /recordings/{PREFIX}/zenovay-probe-x"), b"x");
    assert!(fails(site, &["backup", PLACE]).contains("is not empty"));
    s3.ask(&format!("DELETE /recordings/{PREFIX}/zenovay-probe-x"), b"");
    s3.ask(&format!("PUT /recordings/{PREFIX}/zenovay-probe-4711"), b"zenovay");
    assert!(fails(site, &["backup", PLACE, "--list"]).contains("no backup was made there"));
    written(&proxy);
    let first = site.cli(&["backup", PLACE]);
    assert_eq!((&first["rows"], &first["damaged"]), (&50.into(), &json!([])), "{first}");
    let puts = written(&proxy);
    assert!(puts.iter().any(|name| name.starts_with("segments/")), "{puts:?}");
    assert!(puts.iter().any(|name| name.starts_with("replays/")), "{puts:?}");
    let of_database = puts.iter().filter(|name| name.ends_with("/zenovay.db")).count();
    assert_eq!(of_database, 3, "in parts, {puts:?}");
    assert!(puts.last().unwrap().ends_with("/manifest.json"), "{puts:?}");

    // What is there is not sent again. Of what is merged meanwhile the name is another one.
    let shared = |puts: &[String]| -> BTreeSet<String> {
        let is_shared = |name: &&String| name.starts_with("segments/") || name.starts_with("replays/");
        puts.iter().filter(is_shared).cloned().collect()
    };
    let before = shared(&puts);
    let second = site.cli(&["backup", PLACE]);
    let after = shared(&written(&proxy));
    assert!(before.is_disjoint(&after), "{before:?} {after:?}");
    send(&server, site, 50..100);
    let third = site.cli(&["backup", PLACE]);
    assert!(before.is_disjoint(&shared(&written(&proxy))));
    let paths: Vec<Value> = listed(site).into_iter().map(|backup| backup["backup"].clone()).collect();
    assert_eq!(paths, [&first, &second, &third].map(|made| made["backup"].clone()));
    assert!(first["backup"].as_str().unwrap().starts_with("s3://recordings/of/backups/backup-000001-"), "{first}");

    // The newest, and one by its name.
    let restored = place.elsewhere("newest");
    assert_eq!(restored.cli(&["restore", PLACE])["rows"], 100);
    let expected = server.views_by_path(&site.website_id, &site.key);
    assert_eq!(expected.len(), 100);
    let there = restored.serve();
    assert_eq!(there.views_by_path(&site.website_id, &site.key), expected);
    assert!(there.terminate().success());
    let verified = site.cli(&["restore", "--verify", first["backup"].as_str().unwrap()]);
    assert_eq!((&verified["rows"], &verified["recordings"]), (&50.into(), &1.into()));

    // Of what is removed nothing is left, and of what is kept nothing is gone, also where only its index says what it needs.
    let list = format!("{}/recordings", third["backup"].as_str().unwrap().strip_prefix("s3:/").unwrap());
    s3.ask(&format!("DELETE {list}"), b"");
    let fourth = site.cli(&["backup", PLACE, "--keep", "2"]);
    assert_eq!(fourth["removed"].as_array().unwrap().len(), 2, "{fourth}");
    let left = s3.names(PREFIX);
    let folders: BTreeSet<&str> = left
        .iter()
        .filter_map(|name| name.strip_prefix("of/backups/")?.split_once('/'))
        .map(|(folder, _)| folder)
        .collect();
    let kept = [&third, &fourth].map(|made| made["backup"].as_str().unwrap().rsplit('/').next().unwrap());
    assert_eq!(folders, kept.into_iter().chain(["replays", "segments"]).collect::<BTreeSet<_>>());
    let verified = site.cli(&["restore", "--verify", third["backup"].as_str().unwrap()]);
    assert_eq!((&verified["rows"], &verified["recordings"]), (&100.into(), &1.into()));
    assert!(server.terminate().success());
    s3.ask(&format!("PUT /recordings/{PREFIX}/segments/unneeded-0-0.parquet"), b"x");
    site.cli(&["backup", PLACE]);
    assert!(!s3.names(PREFIX).iter().any(|name| name.contains("unneeded")), "what no backup needs is removed");
}

/// Sabotage: write the manifest first, leave what was begun where it is, do not compare hashes, or send again nothing that is there.
#[test]
fn a_backup_in_a_bucket_that_is_cut_short_or_damaged_is_not_restored() {
    let s3 = S3::start(&[]);
    let proxy = Proxy::to(&s3);
    let place = Place::new(&s3, &proxy.url);
    let site = &place.site;
    let server = site.serve();
    send(&server, site, 0..50);
    assert!(server.terminate().success());
    proxy.set(Way::HoldsAt("manifest.json"));
    let mut killed = Command::new(BINARY)
        .args(["backup", PLACE, "--config", site.config.to_str().unwrap()])
        .arg("--data-dir")
        .arg(&site.data_dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut asked = Vec::new();
    wait_for("the manifest is all that is missing", || {
        asked.extend(written(&proxy));
        asked.iter().any(|name| name.ends_with("manifest.json"))
    });
    killed.kill().unwrap();
    killed.wait().unwrap();
    proxy.set(Way::Open);
    let begun = s3.names(&format!("{PREFIX}/backup-"));
    assert!(begun.iter().any(|name| name.ends_with("/zenovay.db")), "{begun:?}");
    assert_eq!(listed(site), [] as [Value; 0]);
    let target = place.elsewhere("restored");
    let by_name = format!("s3://recordings/{}", begun[0].rsplit_once('/').unwrap().0);
    for backup in [PLACE, by_name.as_str()] {
        assert!(fails(&target, &["restore", backup]).contains("is not a finished backup"), "{backup}");
    }
    assert!(!target.data_dir.exists());

    // The next takes over what was sent, and removes what was begun.
    written(&proxy);
    let made = site.cli(&["backup", PLACE]);
    let puts = written(&proxy);
    let again = asked.iter().find(|name| name.starts_with("segments/") && puts.contains(name));
    assert!(asked.iter().any(|name| name.starts_with("segments/")) && again.is_none(), "{again:?}");
    let left = s3.names(&format!("{PREFIX}/backup-"));
    assert!(begun.iter().all(|name| !left.contains(name)), "{left:?}");
    assert!(!site.data_dir.join("zenovay.backup").exists(), "nothing waits to be sent");

    // Each object that is damaged or missing is named, and nothing restored.
    let segment = s3.names(&format!("{PREFIX}/segments/")).remove(0);
    let path = format!("/recordings/{segment}");
    let whole = s3.ask(&format!("GET {path}"), b"");
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    s3.ask(&format!("PUT {path}"), &damaged);
    for arguments in [&["restore", PLACE][..], &["restore", "--verify", PLACE]] {
        let words = fails(&target, arguments);
        assert!(words.contains(segment.strip_prefix("of/backups/").unwrap()), "{words}");
        assert!(words.contains("its content is not what was written"), "{words}");
    }
    s3.ask(&format!("DELETE {path}"), b"");
    let words = fails(&target, &["restore", PLACE]);
    assert!(words.contains(segment.strip_prefix("of/backups/").unwrap()), "{words}");
    assert!(words.contains("has no such object") && words.contains("1 file of the backup"), "{words}");
    let is_empty = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().count() == 0;
    assert!(is_empty(&target.data_dir), "nothing was restored");
    let output = target.run(&["restore", PLACE, "--in-part"], "");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    s3.ask(&format!("PUT {path}"), &whole);

    // A bucket that does not answer is no damage: nothing is restored in part.
    let target = place.elsewhere("away");
    proxy.set(Way::Fails);
    let words = fails(&target, &["restore", PLACE, "--in-part"]);
    assert!(words.contains("cannot be reached"), "{words}");
    assert!(fails(site, &["backup", PLACE]).contains("cannot be reached"));
    proxy.set(Way::HoldsAt(".parquet"));
    let output = Command::new(BINARY)
        .args(["restore", PLACE, "--in-part", "--config", site.config.to_str().unwrap()])
        .arg("--data-dir")
        .arg(&target.data_dir)
        .env("ZENOVAY_BACKUP_BUCKET_TIMEOUT_SECONDS", "1")
        .output()
        .unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("no answer within 1 seconds") && is_empty(&target.data_dir), "{words}");
    proxy.set(Way::Open);
    assert_eq!(target.cli(&["restore", PLACE])["backup"], made["backup"]);

    // What was found to be damaged is sent again, and nothing is read from the bucket to find it.
    s3.ask(&format!("PUT {path}"), &damaged);
    proxy.asked();
    let mended = site.cli(&["backup", PLACE]);
    assert_eq!(mended["mended"], json!([segment.strip_prefix("of/backups/").unwrap()]));
    let read =
        proxy.asked().into_iter().filter(|asked| asked.starts_with("GET ") && asked.contains(".parquet")).count();
    assert_eq!((read, s3.ask(&format!("GET {path}"), b"") == whole), (0, true));
    assert_eq!(site.cli(&["restore", "--verify", PLACE])["rows"], 50);
    assert!(!s3.names(PREFIX).iter().any(|name| name.ends_with("/damaged")));
}

/// Sabotage: leave the key of recordings out, print a secret, tell the doctor of directories alone, or let it take a backup that is being
/// made for one that was left.
#[test]
fn a_server_backs_up_to_a_bucket_by_itself_and_what_is_wrong_is_told_in_words() {
    let directory = tempfile::tempdir().unwrap();
    // The endpoint and the key are those of recordings.
    let settings = |s3: &S3, url: &str, secret: &str| {
        let lines = super::lines(s3, url, "").replace(&format!("\"{}\"", s3.secret), &format!("\"{secret}\""));
        format!(
            "{lines}backup_dir = \"{PLACE}\"\nbackup_schedule = \"1h\"\nbackup_keep = 1\nbackup_bucket_timeout_seconds = 600\n"
        )
    };
    let s3 = S3::start(&["KEYS"]);
    let refused = settings(&s3, &s3.url, "canary-of-a-secret");
    let site = Site::create(&directory.path().join("data"), directory.path(), &refused);
    for arguments in [&["backup"][..], &["restore", "--verify", PLACE], &["backup", "--list"], &["check"]] {
        let words = fails(&site, arguments);
        assert!(words.contains("SignatureDoesNotMatch") && words.contains("bucket recordings at"), "{words}");
        assert!(!words.contains("canary-of-a-secret"), "{words}");
    }
    let output = site.run(&["backup", "s3://Recordings"], "");
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && words.contains("s3://BUCKET/PREFIX"), "{words}");
    drop(s3);

    let s3 = S3::start(&[]);
    let proxy = Proxy::to(&s3);
    let taken = settings(&s3, &proxy.url, "canary-of-a-secret");
    std::fs::write(&site.config, &taken).unwrap();
    assert_eq!(site.cli(&["check"])["backup_bucket"], "ok");
    let words = fails(&site, &["backup", "s3://not-there/x"]);
    assert!(words.contains("bucket not-there at") && words.contains("does not exist"), "{words}");
    let server = site.serve();
    wait_for("a backup is made", || server.log().contains("backup made"));
    let metrics = server.metrics();
    assert!(metrics.contains("zenovay_backups_total{outcome=\"made\"} 1\n"), "{metrics}");
    let first = listed(&site);
    assert_eq!(first.len(), 1);
    site.cli(&["backup", "--keep", "1"]);
    let second = listed(&site);
    assert!(second.len() == 1 && second != first, "{second:?}");
    let doctor = || {
        let output = site.run(&["doctor"], "");
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = found["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|found| found["check"] == "backup").unwrap()
    };
    let seen = doctor();
    assert!(seen["problem"].is_null() && seen["seen"].as_str().unwrap().contains("1 backup;"), "{seen}");
    assert!(!server.log().contains("canary-of-a-secret"));

    // Of what some objects are there and others on their way, only the server that makes it knows that it is being made.
    proxy.set(Way::HoldsAt("/zenovay.db"));
    written(&proxy);
    let mut begun = Command::new(BINARY)
        .args(["backup", "--config", site.config.to_str().unwrap(), "--data-dir", site.data_dir.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("its last database is on its way", || written(&proxy).iter().any(|name| name.ends_with("/zenovay.db")));
    let objects = s3.names(&format!("{PREFIX}/backup-"));
    let folders: BTreeSet<&str> = objects.iter().map(|name| name.rsplit_once('/').unwrap().0).collect();
    assert_eq!(folders.len(), 2, "{objects:?}");
    let seen = doctor();
    assert!(seen["problem"].is_null() && seen["seen"].as_str().unwrap().contains("1 backup;"), "{seen}");
    server.kill();
    assert!(!begun.wait().unwrap().success());
    proxy.set(Way::Open);
    let seen = doctor();
    assert_eq!(seen["problem"], "backup_unfinished", "{seen}");
    let stranger = directory.path().join("other");
    let stranger = Site::create(&stranger, directory.path(), &taken);
    assert!(fails(&stranger, &["backup"]).contains("of another store"));
    assert!(fails(&stranger, &["backup", "s3://recordings/of"]).contains("is not empty"));
    proxy.set(Way::Refuses);
    let seen = doctor();
    assert_eq!(seen["problem"], "backup_unreadable", "{seen}");
}
