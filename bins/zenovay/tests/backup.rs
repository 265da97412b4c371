//! Backups and restores of the real binary: of one moment, under load, killed, damaged, with erasures that came later. Each test
//! names the sabotage that turns it red.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

#[path = "common/disk.rs"]
mod disk;
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use process::{BINARY, Load, Server, Site, assert_exactly_once, pageview};
use serde_json::Value;

/// Only ever reached when something is broken.
const PATIENCE: Duration = Duration::from_secs(60);
const SEAL_OFTEN: &str = "seal_rows = 200";

struct Place {
    directory: tempfile::TempDir,
    site: Site,
    backups: PathBuf,
}

impl Place {
    fn new(settings: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = format!("tracking_requests_per_10s = 1000000\ntracking_requests_per_hour = 1000000\n{settings}");
        let site = Site::create(&directory.path().join("data"), directory.path(), &settings);
        let backups = directory.path().join("backups");
        Self { directory, site, backups }
    }

    /// For a website with a recording and 50 events, all in one segment, which is merged with none.
    fn with_one_segment() -> Self {
        let place = Self::new("");
        let site = &place.site;
        record(site);
        let server = site.serve();
        send_recording(&server, site, 0);
        (0..50).for_each(|number| send(&server, site, &format!("/{number}"), "somebody"));
        assert!(server.terminate().success());
        place
    }

    fn backup(&self) -> Value {
        self.site.cli(&["backup", text(&self.backups)])
    }

    /// The same website in another data directory, which is not made.
    fn elsewhere(&self, name: &str) -> Site {
        self.site.at(self.directory.path().join(name))
    }

    /// Restores the newest backup to a new data directory.
    fn restore(&self, name: &str) -> Site {
        let restored = self.elsewhere(name);
        restored.cli(&["restore", text(&self.backups)]);
        restored
    }

    fn verify(&self) -> Value {
        self.site.cli(&["restore", "--verify", text(&self.backups)])
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Every file below `dir`, by its name.
fn files(dir: &Path) -> BTreeMap<String, PathBuf> {
    let name = |path: &Path| text(path.strip_prefix(dir).expect("below")).to_owned();
    disk::files(dir).into_iter().map(|path| (name(&path), path)).collect()
}

fn segments(backups: &Path) -> BTreeMap<String, u64> {
    let files = files(&backups.join("segments")).into_iter();
    files.map(|(name, path)| (name, fs::metadata(path).expect("a file").ino())).collect()
}

/// What a command that must fail says.
fn fails(site: &Site, arguments: &[&str]) -> String {
    let output = site.run(arguments, "");
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).expect("text")
}

fn send(server: &Server, site: &Site, path: &str, visitor: &str) {
    let mut body: Value =
        serde_json::from_str(&pageview("example.com", path, &format!("session-of-{visitor}"))).unwrap();
    body["visitor_id"] = visitor.into();
    let address = format!("/e/{}", site.tracking_code);
    let answer = server.connect().request("POST", &address, &[], &body.to_string()).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn send_recording(server: &Server, site: &Site, seq: u32) {
    let at = 1_781_352_000_000_i64 + i64::from(seq);
    let body = serde_json::json!({
        "url": "https://example.com/",
        "session_id": "session-of-a-recording",
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "replay_id": "00112233445566778899aabbccddeeff",
        "seq": seq,
        "sent_at": at,
        "events": [{ "type": 4, "data": { "href": "https://example.com/" }, "timestamp": at }],
    });
    let address = format!("/api/track/{}/replay", site.tracking_code);
    let answer = server.connect().request("POST", &address, &[], &body.to_string()).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn record(site: &Site) {
    site.cli(&["website", "set", &site.website_id, "session_replay=true", "session_replay_consent=false"]);
}

/// The secrets in the file `salts`: that of the installation, and those of days.
fn secrets(data_dir: &Path) -> Vec<[u8; 32]> {
    let bytes = fs::read(data_dir.join("salts")).expect("salts");
    let (first, days) = bytes[8..].split_at(32);
    let days = days.chunks(40).map(|day| &day[8..]);
    std::iter::once(first).chain(days).map(|secret| secret.try_into().expect("32 bytes")).collect()
}

/// Sabotage: copy the database file of the log while checkpoints go on, take the moment of segments and log one after the other, or
/// copy `salts`.
#[test]
fn a_backup_under_load_is_of_one_moment_and_shares_what_does_not_change() {
    let place = Place::new(SEAL_OFTEN);
    let site = &place.site;
    record(site);
    let server = site.serve();
    send_recording(&server, site, 0);
    let load = Load::start(&server, &site.tracking_code, "example.com", "load", 8);
    load.wait_until("events", |load| load.acknowledged().len() >= 700);
    let before = load.acknowledged();
    let first = place.backup();
    let between = load.acknowledged();
    assert_eq!(first["damaged"], serde_json::json!([]), "{first}");
    let restored = place.restore("first");
    let shared = segments(&place.backups);
    assert!(!shared.is_empty());

    send_recording(&server, site, 1);
    load.wait_until("more events", |load| load.acknowledged().len() >= between.len() + 700);
    let second = place.backup();
    let (_, sent) = load.finish();
    // Merged segments may be there too; those of the first are as they were.
    let now = segments(&place.backups);
    assert!(shared.iter().all(|(name, inode)| now.get(name) == Some(inode)), "{shared:?} {now:?}");
    assert!(second["rows"].as_u64() > first["rows"].as_u64());
    let verified = place.verify();
    assert_eq!((&verified["rows"], &verified["recordings"]), (&second["rows"], &2.into()));
    assert!(server.terminate().success());

    let check = |site: &Site, made: &Value, acknowledged: &[String]| {
        site.cli(&["check"]);
        let server = site.serve();
        let stored = server.views_by_path(&site.website_id, &site.key);
        assert_exactly_once(acknowledged, &stored, &sent);
        assert_eq!(stored.len() as u64, made["rows"].as_u64().expect("rows"));
        send(&server, site, "/afterwards", "somebody");
        assert!(server.terminate().success());
    };
    check(&restored, &first, &before);
    check(&place.restore("second"), &second, &between);

    // Without a server.
    let third = place.backup();
    assert!(third["rows"].as_u64() >= second["rows"].as_u64());
    let listed = site.cli(&["backup", "--list", text(&place.backups)]);
    let listed = listed["backups"].as_array().expect("a list");
    let all: Vec<&Value> = listed.iter().map(|backup| &backup["backup"]).collect();
    assert_eq!(all, [&first["backup"], &second["backup"], &third["backup"]]);

    let secrets = secrets(&site.data_dir);
    assert!(secrets.len() >= 2, "one of the installation and one of today");
    for (name, path) in files(&place.backups) {
        let bytes = fs::read(&path).expect("a file");
        for secret in &secrets {
            let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
            let is_in = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
            assert!(!is_in(secret) && !is_in(hex.as_bytes()), "{name} has a salt");
        }
        let mode = fs::metadata(&path).expect("a file").mode();
        assert_eq!(mode & 0o077, 0, "{name} is for its owner alone");
    }
}

/// Sabotage: copy what the directory of backups has.
#[test]
fn nothing_but_the_databases_is_copied_twice() {
    let place = Place::new("");
    let server = place.site.serve();
    send(&server, &place.site, "/", "somebody");
    assert!(server.terminate().success());
    let first = place.backup();
    let second = place.backup();
    assert!(first["copied_bytes"].as_u64() > second["copied_bytes"].as_u64());
    let own: u64 = files(Path::new(second["backup"].as_str().expect("a path")))
        .iter()
        .filter(|(name, _)| *name != "manifest.json")
        .map(|(_, path)| fs::metadata(path).expect("a file").len())
        .sum();
    assert_eq!(second["copied_bytes"], own);
}

/// Sabotage: write the manifest first, or write into the former backup.
#[test]
fn a_backup_that_is_killed_leaves_the_former_ones_and_the_next_goes_on() {
    let place = Place::new("seal_rows = 20");
    let site = &place.site;
    let server = site.serve();
    for number in 0..150 {
        send(&server, site, &format!("/{number}"), &format!("visitor-{}", number / 3));
    }
    let first = place.backup();
    for number in 150..400 {
        send(&server, site, &format!("/{number}"), &format!("visitor-{}", number / 3));
    }
    assert!(server.terminate().success());
    let before = files(&place.backups).len();
    let mut unfinished = 0;
    for more in 1..14 {
        let mut child = Command::new(BINARY)
            .args(["backup", text(&place.backups), "--config", text(&site.config), "--data-dir", text(&site.data_dir)])
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        let started = Instant::now();
        while files(&place.backups).len() < before + more && child.try_wait().expect("a child").is_none() {
            assert!(started.elapsed() < PATIENCE);
        }
        // It may have ended by itself.
        let _ = child.kill();
        child.wait().expect("it ended");
        unfinished += usize::from(fs::read_dir(&place.backups).unwrap().flatten().any(|entry| {
            let name = entry.file_name().into_string().expect("UTF-8");
            name.starts_with("backup-") && name.ends_with(".tmp")
        }));
        let listed = site.cli(&["backup", "--list", text(&place.backups)]);
        assert_eq!(listed["backups"][0]["backup"], first["backup"]);
        site.cli(&["restore", "--verify", first["backup"].as_str().expect("a path")]);
    }
    eprintln!("killed with a backup begun: {unfinished}");
    let last = place.backup();
    assert_eq!(last["rows"], 400);
    assert_eq!(place.verify()["rows"], 400);
    assert!(files(&place.backups).keys().all(|name| !name.contains(".tmp")), "nothing unfinished is left");
    // What no backup needs is gone, and what the first needs is there.
    site.cli(&["restore", "--verify", first["backup"].as_str().expect("a path")]);
}

fn flip(path: &Path) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).expect("a file");
    let at = file.metadata().expect("a file").len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("a byte");
    file.write_all_at(&[byte[0] ^ 1], at).expect("it can be written");
}

/// Sabotage: do not compare hashes, or restore what is whole without being told.
#[test]
fn what_is_damaged_is_named_and_the_rest_restored_when_told() {
    let place = Place::new("seal_rows = 20");
    let site = &place.site;
    record(site);
    let server = site.serve();
    send_recording(&server, site, 0);
    for number in 0..50 {
        send(&server, site, &format!("/{number}"), "somebody");
    }
    assert!(server.terminate().success());
    let made = place.backup();
    let backup = PathBuf::from(made["backup"].as_str().expect("a path"));
    let segment = segments(&place.backups).into_keys().next().expect("a segment");
    flip(&place.backups.join("segments").join(&segment));

    let target = place.elsewhere("restored");
    for arguments in [&["restore", "--verify", text(&place.backups)][..], &["restore", text(&place.backups)]] {
        let words = fails(&target, arguments);
        assert!(words.contains(&segment) && words.contains("not what was written"), "{words}");
    }
    assert!(files(&target.data_dir).is_empty(), "nothing was restored");
    let output = target.run(&["restore", text(&backup), "--in-part"], "");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let repaired = target.run(&["repair"], "");
    assert!(matches!(repaired.status.code(), Some(0 | 3)), "{repaired:?}");
    target.cli(&["check"]);
    let server = target.serve();
    let views = server.views_by_path(&target.website_id, &target.key);
    assert!(server.terminate().success());
    assert!(views.len() <= 50, "{}", views.len());
    flip(&place.backups.join("segments").join(&segment));
    place.verify();

    // A chunk of a recording.
    let chunk = files(&place.backups.join("replays")).into_values().next().expect("a chunk");
    flip(&chunk);
    let words = fails(&place.elsewhere("recording"), &["restore", text(&backup)]);
    assert!(words.contains(chunk.file_name().expect("a name").to_str().expect("UTF-8")), "{words}");
    flip(&chunk);

    // Each file of the backup alone.
    for name in ["events.db", "captures.db", "zenovay.db", "erasures"] {
        let path = backup.join(name);
        let kept = fs::read(&path).expect("a file");
        fs::write(&path, [&kept[..], b"x"].concat()).expect("it can be written");
        let words = fails(&place.elsewhere(&format!("without-{name}")), &["restore", text(&backup)]);
        assert!(words.contains(name), "{words}");
        if name == "zenovay.db" {
            let words = fails(&place.elsewhere("nobody"), &["restore", text(&backup), "--in-part"]);
            assert!(words.contains("another backup"), "{words}");
        }
        fs::write(&path, kept).expect("it can be written");
    }
    let manifest = backup.join("manifest.json");
    let kept = fs::read_to_string(&manifest).expect("a manifest");
    fs::write(&manifest, kept.replacen("\"format\": 1", "\"format\": 3", 1)).expect("it can be written");
    let words = fails(&place.elsewhere("newer"), &["restore", text(&backup)]);
    assert!(words.contains("later version of zenovay"), "{words}");
    fs::write(&manifest, &kept[..kept.len() / 2]).expect("it can be written");
    assert!(fails(&place.elsewhere("cut"), &["restore", text(&backup)]).contains("is damaged"));
    fs::write(&manifest, kept.replacen(&format!("\"rows\": {}", made["rows"]), "\"rows\": 7", 1)).expect("written");
    assert!(fails(&place.elsewhere("rows"), &["restore", text(&backup)]).contains("it says 7 rows"));
    let others = kept.replace(&format!("\"rows\": {}", made["rows"]), "\"rows\": 7");
    fs::write(&manifest, others).expect("written");
    assert!(fails(site, &["restore", "--verify", text(&backup)]).contains("there were 7"));
    fs::write(&manifest, kept).expect("it can be written");
    place.verify();
}

/// Files that backups share and that rot where they are, with the length that they had: noticed by who verifies, or by a backup whose turn
/// it is to read them, and sent again.
///
/// Sabotage: note nothing at a verification, take what is noted for what is there, read nothing again, or let a damaged backup replace others.
#[test]
fn what_rots_in_a_place_of_backups_is_sent_again() {
    let place = Place::with_one_segment();
    let site = &place.site;
    place.backup();
    let name = segments(&place.backups).into_keys().next().expect("a segment");
    let (segment, noted) = (place.backups.join("segments").join(&name), place.backups.join("damaged"));
    let chunk = files(&place.backups.join("replays")).into_values().next().expect("a chunk");
    let chunk_name = text(chunk.strip_prefix(&place.backups).expect("below")).to_owned();
    let name = format!("segments/{name}");

    // Nobody looked yet: which part is read depends on the number of the backup and the name of the file.
    flip(&segment);
    flip(&chunk);
    let words = fails(site, &["restore", "--verify", text(&place.backups)]);
    assert!(words.contains(&name) && words.contains(&chunk_name), "{words}");
    assert!(words.contains("The next backup sends again"), "{words}");
    let made = place.backup();
    assert_eq!(
        (&made["mended"], &made["not_mended"]),
        (&serde_json::json!([chunk_name, name]), &serde_json::json!([]))
    );
    assert_eq!(place.verify()["rows"], 50);
    assert!(!noted.exists());

    flip(&segment);
    let sum = name.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let newest = PathBuf::from(made["backup"].as_str().expect("a path"));
    fs::rename(&newest, place.backups.join(format!("backup-{:06}-x", 299 + sum % 30))).expect("it can be renamed");
    let made = place.backup();
    assert_eq!(made["mended"], serde_json::json!([name]));
    assert_eq!(place.verify()["rows"], 50);

    // What the server has no more itself is told, and stays noted while a backup needs it.
    flip(&segment);
    fails(site, &["restore", "--verify", text(&place.backups)]);
    let own = site.data_dir.join("segments").join(format!("{}.parquet", &name["segments/".len()..][..16]));
    flip(&own);
    let output = site.run(&["backup", text(&place.backups), "--keep", "1"], "");
    let made: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &made["not_mended"]), (Some(3), &serde_json::json!([name])), "{made}");
    assert_eq!(made["removed"], serde_json::json!([]), "one with damage in it replaces none");
    assert!(made["damaged"][0].as_str().expect("words").contains("damaged in bytes"), "{made}");
    assert!(fs::read_to_string(&noted).expect("a list").contains(&name));
}

/// Sabotage: copy a segment without comparing it with its checksums, take what was sent damaged for the file itself, or leave it out; take a chunk
/// of a recording unseen; note nothing at a verification that finds what was taken for sound.
#[test]
fn what_is_damaged_in_the_data_directory_is_never_taken_for_sound() {
    let place = Place::with_one_segment();
    let site = &place.site;
    let first_of = |folder: &str| files(&site.data_dir.join(folder)).into_iter().next().expect("a file");
    let ((name, own), (_, chunk)) = (first_of("segments"), first_of("replays"));
    let backups = text(&place.backups);
    let run = |site: &Site, arguments: &[&str], status: i32| {
        let output = site.run(arguments, "");
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {output:?}");
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    flip(&own);
    flip(&chunk);
    let made = run(site, &["backup", backups], 3);
    let words = made["damaged"].to_string();
    assert!(words.contains(&format!("segments/{name}: damaged in bytes")), "{words}");
    assert!(words.contains("replays/") && words.contains("not what was written"), "{words}");
    flip(&chunk);

    // It is sent as it is, for its sound parts, and is not taken for the file itself by whoever comes later.
    let made = run(site, &["backup", backups], 3);
    assert_eq!((made["damaged"].as_array().map(Vec::len), &made["not_mended"]), (Some(1), &serde_json::json!([])));
    let words = fails(site, &["restore", "--verify", backups]);
    assert!(words.contains("damaged in") && words.contains("The next backup sends again"), "{words}");
    let target = place.elsewhere("damaged");
    let restored = run(&target, &["restore", backups], 3);
    assert_eq!(restored["damaged"], made["damaged"]);
    assert!(target.data_dir.join("segments").join(&name).exists());
    let bad = segments(&place.backups).into_keys().next().expect("a segment");

    // The sound file is put back.
    flip(&own);
    let made = run(site, &["backup", backups], 0);
    assert_eq!(
        (&made["damaged"], &made["not_mended"]),
        (&serde_json::json!([]), &serde_json::json!([format!("segments/{bad}")]))
    );
    assert_eq!(place.verify()["rows"], 50);
    place.restore("whole").cli(&["check"]);

    // A place from when nothing was compared has it as if it were sound.
    let good = segments(&place.backups).into_keys().find(|name| *name != bad).expect("the sound one");
    fs::remove_file(place.backups.join("segments").join(&good)).expect("it is there");
    fs::remove_file(place.backups.join("damaged")).expect("it is noted");
    let manifest = Path::new(made["backup"].as_str().expect("a path")).join("manifest.json");
    let sha256 = |name: &str| name[name.len() - 72..name.len() - 8].to_owned();
    let lines = fs::read_to_string(&manifest).expect("a manifest").replace(&sha256(&good), &sha256(&bad));
    fs::write(&manifest, lines).expect("it can be written");
    run(site, &["backup", backups], 0);
    assert!(fails(site, &["restore", "--verify", backups]).contains("The next backup sends again"));
    run(site, &["backup", backups], 0);
    assert_eq!(place.verify()["rows"], 50);
}

/// Sabotage: restore over what is there, or remove more than a restore made, back up into what is not a directory of backups, copy before it is known whose backups are there, or leave
/// what was begun.
#[test]
fn what_is_in_the_way_is_refused_in_words() {
    let place = Place::new("");
    let site = &place.site;
    let server = site.serve();
    send(&server, site, "/", "somebody");
    place.backup();
    let backups = text(&place.backups);
    assert!(fails(site, &["restore", backups]).contains("another server is running"));
    assert!(server.terminate().success());
    assert!(fails(site, &["restore", backups]).contains("is not empty"));
    assert!(
        fails(&place.elsewhere("x"), &["restore", text(place.directory.path())]).contains("is not a finished backup")
    );
    assert!(fails(&place.elsewhere("x"), &["backup", backups]).contains("does not exist"), "no new one is made");

    let inside = site.data_dir.join("backups");
    assert!(fails(site, &["backup", text(&inside)]).contains("in the data directory"));
    let _ = fs::remove_dir(&inside);
    assert!(fails(site, &["backup", text(place.directory.path())]).contains("is not empty"));
    let among = site.at(place.backups.join("restored"));
    assert!(fails(&among, &["restore", backups]).contains("is in the place of backups"));
    assert!(!among.data_dir.exists());
    // What is not there is no place without backups.
    let words = fails(site, &["backup", "--list", text(&place.directory.path().join("nowhere"))]);
    assert!(words.contains("nowhere is not there"), "{words}");
    assert!(fails(site, &["backup", "--list", text(place.directory.path())]).contains("not a place of backups"));
    let empty = tempfile::tempdir().expect("a directory");
    let words = fails(site, &["backup", "--list", text(empty.path())]);
    assert!(words.contains("no backup was made there: is its disk mounted"), "{words}");
    let stranger = Place::new("");
    let before = files(&place.backups);
    let server = stranger.site.serve();
    send(&server, &stranger.site, "/", "somebody");
    assert!(server.terminate().success());
    assert!(fails(&stranger.site, &["backup", backups]).contains("of another store"));
    assert_eq!(files(&place.backups), before);
    // One that fails at the end leaves nothing either that looks as if a process had died.
    let in_the_way = place.backups.join("erasures.tmp");
    fs::create_dir(&in_the_way).expect("a directory");
    fails(site, &["backup", backups]);
    fs::remove_dir(&in_the_way).expect("it is there");
    let mut names = fs::read_dir(&place.backups).expect("a directory").flatten().map(|entry| entry.path());
    assert!(names.all(|path| path.extension().is_none_or(|end| end != "tmp")));
    assert_eq!(place.verify()["rows"], 1);

    // What a restore is given in vain is looked at before anything is made.
    let begun = place.elsewhere("begun");
    let words = fails(&begun, &["restore", backups, "--old", text(&place.directory.path().join("nowhere"))]);
    assert!(words.contains("not a data directory") && !begun.data_dir.exists(), "{words}");
    // A restore that did not end: no server takes it for a data directory, and it is begun anew.
    let staging = begun.data_dir.join("zenovay.restoring");
    fs::create_dir_all(staging.join("segments")).expect("a directory");
    fs::write(staging.join("events.db"), "half of it").expect("it can be written");
    for command in [&["user", "list"][..], &["check"], &["backup", backups]] {
        assert!(fails(&begun, command).contains("has not ended"), "{command:?}");
    }
    begun.cli(&["restore", backups]);
    assert!(!staging.exists());
    // It was interrupted at the very end.
    let interrupt = |restored: &Site| {
        let staging = restored.data_dir.join("zenovay.restoring");
        let entries = fs::read_dir(&restored.data_dir).expect("a directory").flatten();
        let moved: String = entries.map(|entry| format!("{}\n", entry.path().display())).collect();
        fs::create_dir(&staging).expect("a directory");
        fs::rename(restored.data_dir.join("zenovay.db"), staging.join("zenovay.db")).expect("it is there");
        fs::write(staging.join("moved"), moved).expect("it can be written");
        staging
    };
    interrupt(&begun);
    begun.cli(&["restore", backups]);
    // What somebody put there meanwhile is theirs, and nothing is removed beside it.
    let staging = interrupt(&begun);
    fs::write(begun.data_dir.join("salts"), "of somebody").expect("it can be written");
    let before = files(&begun.data_dir);
    assert!(fails(&begun, &["restore", backups]).contains("is not empty"));
    assert_eq!(files(&begun.data_dir), before);
    fs::remove_file(begun.data_dir.join("salts")).expect("it is there");
    // Nobody else restores to it meanwhile.
    let lock = fs::File::create(begun.data_dir.join("zenovay.lock")).expect("a file");
    lock.try_lock().expect("nobody has it");
    assert!(fails(&begun, &["restore", backups]).contains("another server is running"));
    drop(lock);
    begun.cli(&["restore", backups]);
    begun.cli(&["check"]);
    assert!(!staging.exists());

    // The metadata may be somewhere else, in a folder that is not there yet; they are the last to be moved.
    for (name, database) in [("outside", "metadata/m.db"), ("inside", "inside/metadata/m.db")] {
        let restored = place.elsewhere(name);
        let database = place.directory.path().join(database);
        let url = format!("sqlite://{}", database.display());
        let arguments = ["--database-url", &url, "restore", backups];
        restored.cli(&arguments);
        restored.cli(&["--database-url", &url, "check"]);
        assert!(database.exists() && !restored.data_dir.join("zenovay.db").exists());
        assert!(fails(&restored, &arguments).contains("is not empty"));
    }
}

/// Sabotage: forget who is to be erased.
#[test]
fn who_was_erased_is_erased_again_when_what_was_damaged_is_repaired() {
    let place = Place::new("");
    let site = &place.site;
    site.cli(&["website", "set", &site.website_id, "cookieless=false"]);
    let server = site.serve();
    (0..50).for_each(|number| send(&server, site, &format!("/{number}"), "visitor-a"));
    send(&server, site, "/other", "visitor-b");
    assert!(server.terminate().success());
    let made = place.backup();
    site.cli(&["visitor", "erase", &site.website_id, "visitor-a", "--yes"]);
    place.backup();
    let backup = made["backup"].as_str().expect("a path");
    fs::remove_file(Path::new(backup).join("captures.db")).expect("it is there");
    let restored = place.elsewhere("in-part");
    let output = restored.run(&["restore", backup, "--in-part", "--old", text(&site.data_dir)], "");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&result["erased_again"], &result["to_be_erased"]),
        (&serde_json::json!(0), &serde_json::json!(1)),
        "{result}"
    );
    let pageviews = |restored: &Site| {
        let server = restored.serve();
        let total = server.get(&format!("/api/external/v1/analytics/{}?range=24h", site.website_id), &site.key);
        assert!(server.terminate().success());
        total["data"]["summary"]["total_page_views"].clone()
    };
    assert_eq!(pageviews(&restored), 1);
    assert!(!restored.data_dir.join("zenovay.erase-again").exists());
}

/// Sabotage: leave it, or remove one that is in use.
#[test]
fn what_a_killed_verification_left_goes_with_the_next_backup() {
    let place = Place::new("");
    assert!(place.site.serve().terminate().success());
    place.backup();
    let [left, used] = [".verify-left", ".verify-used"].map(|name| place.backups.join(name));
    for folder in [&left, &used] {
        fs::create_dir_all(folder.join("data")).expect("a directory");
    }
    let lock = fs::File::open(&used).expect("it is there");
    lock.try_lock().expect("nobody has it");
    place.backup();
    assert!(!left.exists() && used.exists());
    drop(lock);
    place.backup();
    assert!(!used.exists());
}

/// Sabotage: restore without looking for erasures, or by the list of the place alone, copy the list of erasures after the moment, or leave
/// out a line without its line break.
#[test]
fn a_restore_erases_again_what_was_erased_after_the_backup() {
    let place = Place::new("");
    let site = &place.site;
    site.cli(&["website", "set", &site.website_id, "cookieless=false"]);
    let server = site.serve();
    for (path, visitor) in [("/a", "visitor-a"), ("/b", "visitor-b"), ("/c", "visitor-c")] {
        send(&server, site, path, visitor);
    }
    let erase = |visitor: &str| site.cli(&["visitor", "erase", &site.website_id, visitor, "--yes"]);
    let first = place.backup();
    let first = first["backup"].as_str().expect("a path");
    erase("visitor-a");
    // They came back: what they did since is no matter of the erasure.
    send(&server, site, "/again", "visitor-a");
    let second = place.backup();
    let second = second["backup"].as_str().expect("a path");
    erase("visitor-b");
    assert!(server.terminate().success());

    let paths = |arguments: &[&str], name: &str, erased: u64| {
        let restored = place.elsewhere(name);
        let result = restored.cli(&[&["restore"], arguments].concat());
        assert_eq!(result["erased_again"], erased, "{result}");
        let server = restored.serve();
        let views = server.views_by_path(&restored.website_id, &restored.key);
        assert!(server.terminate().success());
        (restored, views.into_keys().collect::<BTreeSet<_>>())
    };
    let set = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<BTreeSet<_>>();
    // The second backup knows of the first erasure; nobody but the old directory knows of the second.
    let (_, found) = paths(&[first], "a", 1);
    assert_eq!(found, set(&["/b", "/c"]));
    let (_, found) = paths(&[second], "b", 0);
    assert_eq!(found, set(&["/again", "/b", "/c"]));
    let old = text(&site.data_dir);
    // Junk in the list itself; who takes it out may use an editor that leaves out the last line break.
    let own = site.data_dir.join("erasures");
    let noted = fs::read(&own).expect("a list");
    fs::write(&own, [&noted[..], b"junk\n"].concat()).expect("it can be written");
    let anew = place.elsewhere("old");
    for arguments in [&["backup", text(&place.backups)][..], &["restore", first, "--old", old]] {
        let words = fails(if arguments[0] == "backup" { site } else { &anew }, arguments);
        let names = ["data/erasures: line 3 is not an erasure", "take it out"];
        assert!(names.iter().all(|name| words.contains(name)), "{arguments:?}: {words}");
    }
    fs::write(&own, noted.strip_suffix(b"\n").expect("a line")).expect("it can be written");
    let (restored, found) = paths(&[first, "--old", old], "c", 2);
    assert_eq!(found, set(&["/c"]));
    assert_eq!(
        fs::read(restored.data_dir.join("salts")).unwrap()[..40],
        fs::read(site.data_dir.join("salts")).unwrap()[..40]
    );
    let (_, found) = paths(&[second, "--old", old], "d", 1);
    assert_eq!(found, set(&["/again", "/c"]));
    assert!(
        fails(&place.elsewhere("e"), &["restore", first, "--old", text(place.directory.path())])
            .contains("not a data dir")
    );
    // A line that is no erasure may have been one: who verifies hears of it, and nothing comes back.
    let (list, junk) = (place.backups.join("erasures"), place.elsewhere("junk"));
    let whole = fs::read(&list).expect("a list");
    fs::write(&list, [&whole[..], b"junk \xff\n"].concat()).expect("it can be written");
    for arguments in [&["restore", first][..], &["restore", "--verify", first], &["backup", text(&place.backups)]] {
        let words = fails(if arguments[0] == "backup" { site } else { &junk }, arguments);
        assert!(words.contains("line 2 is not an erasure") && words.contains("take it out"), "{arguments:?}: {words}");
    }
    fs::write(&list, &whole).expect("it can be written");
    place.verify();
    // The list of the place is lost: that of its newest backup stands in.
    fs::remove_file(place.backups.join("erasures")).expect("it was there");
    let (_, found) = paths(&[first], "f", 1);
    assert_eq!(found, set(&["/b", "/c"]));
}

/// A server that runs as another user than root gets by with a backup that root made; where nobody else can be given a file, everything is of
/// whoever runs this.
///
/// Sabotage: leave to root what it makes, the place itself, or what a verification notes.
#[test]
fn what_root_makes_in_a_place_of_backups_is_the_servers() {
    let place = Place::new("");
    let site = &place.site;
    record(site);
    let server = site.serve();
    send_recording(&server, site, 0);
    send(&server, site, "/", "somebody");
    assert!(server.terminate().success());
    // Fails for who is not root.
    let _ = std::os::unix::fs::chown(&site.data_dir, Some(65_534), Some(65_534));
    let owner = fs::metadata(&site.data_dir).expect("a directory").uid();
    let is_theirs = || {
        let mut all: Vec<PathBuf> = files(&place.backups).into_values().collect();
        all.extend(all.clone().iter().flat_map(|path| path.ancestors()).map(Path::to_owned));
        let below = all.iter().filter(|path| path.starts_with(&place.backups));
        below.for_each(|path| assert_eq!(fs::metadata(path).expect("a file").uid(), owner, "{}", path.display()));
    };
    place.backup();
    is_theirs();
    let segment = segments(&place.backups).into_keys().next().expect("a segment");
    flip(&place.backups.join("segments").join(&segment));
    fails(site, &["restore", "--verify", text(&place.backups)]);
    assert!(place.backups.join("damaged").exists());
    is_theirs();
    place.backup();
    is_theirs();
}

/// Sabotage: leave out of the list what cannot be read, count it among those that are kept, or keep it when it is older than they are.
#[test]
fn a_backup_that_cannot_be_read_is_told_and_takes_the_place_of_none() {
    let place = Place::new("");
    let site = &place.site;
    let backups = text(&place.backups);
    let names: Vec<String> = (0..3).map(|_| place.backup()["backup"].as_str().expect("a path").to_owned()).collect();
    let manifest = Path::new(&names[1]).join("manifest.json");
    let whole = fs::read(&manifest).expect("a manifest");
    fs::write(&manifest, &whole[..whole.len() / 2]).expect("it can be written");
    let list = |status: i32| {
        let output = site.run(&["backup", "--list", backups], "");
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        let listed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let row = |row: &Value| (row["backup"].as_str().expect("a path").to_owned(), row["problem"].is_string());
        listed["backups"].as_array().expect("a list").iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(list(3), [(names[0].clone(), false), (names[1].clone(), true), (names[2].clone(), false)]);
    // The first is the second that can be read, and then the third.
    assert_eq!(site.cli(&["backup", backups, "--keep", "3"])["removed"], serde_json::json!([]));
    let made = site.cli(&["backup", backups, "--keep", "3"]);
    let gone: Vec<&str> = names[..2].iter().map(|name| name.rsplit_once('/').expect("a path").1).collect();
    assert_eq!(made["removed"], serde_json::json!(gone));
    assert_eq!(list(0).len(), 3);
    let newest = Path::new(made["backup"].as_str().expect("a path")).join("manifest.json");
    fs::write(&newest, "{").expect("it can be written");
    let words = fails(&place.elsewhere("x"), &["restore", backups]);
    assert!(words.contains("manifest.json is damaged") && words.contains("take another backup"), "{words}");
}

/// Sabotage: do not look whether one is due, or remove the newest instead of the oldest.
#[test]
fn the_server_makes_backups_by_itself_and_keeps_so_many() {
    let directory = tempfile::tempdir().expect("a directory");
    let backups = directory.path().join("backups");
    let settings = format!("backup_dir = {backups:?}\nbackup_schedule = \"1h\"\nbackup_keep = 2\n");
    let site = Site::create(&directory.path().join("data"), directory.path(), &settings);
    let server = site.serve();
    send(&server, &site, "/", "somebody");
    let listed = || {
        let listed = site.cli(&["backup", "--list"]);
        listed["backups"].as_array().expect("a list").clone()
    };
    let started = Instant::now();
    // The log is written after the backup has its name.
    while !server.log().contains("backup made") {
        assert!(started.elapsed() < PATIENCE, "{}", server.log());
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let metrics = server.metrics();
    assert!(metrics.contains("zenovay_backups_total{outcome=\"made\"} 1\n"), "{metrics}");
    assert!(metrics.contains("\nzenovay_last_backup_timestamp_seconds 1"), "{metrics}");
    let first = listed()[0].clone();
    // The next is due in an hour, and a server that starts knows of the last.
    assert!(server.terminate().success());
    let server = site.serve();
    for _ in 0..2 {
        site.cli(&["backup", "--keep", "2"]);
    }
    let left = listed();
    assert_eq!(left.len(), 2);
    assert!(!left.contains(&first) && !Path::new(first["backup"].as_str().unwrap()).exists(), "{left:?}");
    site.cli(&["restore", "--verify", text(&backups)]);
    assert!(server.metrics().contains("zenovay_backups_total{outcome=\"made\"} 2\n"), "{}", server.metrics());
    // One that cannot be made is told, and the server goes on.
    let words = fails(&site, &["backup", text(&site.config)]);
    assert!(words.contains("zenovay.toml"), "{words}");
    assert!(server.metrics().contains("zenovay_backups_total{outcome=\"failed\"} 1\n"));
    assert!(server.terminate().success());

    // A disk that is not mounted is not taken for a place without backups, until somebody says so.
    fs::rename(&backups, directory.path().join("elsewhere")).expect("it is there");
    let server = site.serve();
    let started = Instant::now();
    while !server.log().contains("no backup was made") {
        assert!(started.elapsed() < PATIENCE, "{}", server.log());
        std::thread::park_timeout(Duration::from_millis(5));
    }
    assert!(server.log().contains("is its disk mounted") && !backups.exists(), "{}", server.log());
    site.cli(&["backup"]);
    assert_eq!(listed().len(), 1);
    assert!(server.terminate().success());
}
