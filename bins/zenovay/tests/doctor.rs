//! `zenovay doctor` on the real server and a machine of its own: a healthy system says so, and each fault is named with its remedy,
//! and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod process;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use process::{BINARY, FAKETIME, Server, Site, not_possible_here};
use rustix::fs::statvfs;
use serde_json::{Value, json};
use tempfile::TempDir;
use zenovay::doctor::{Check, Finding, Problem};

/// A day on which the data that are built in are new.
const TODAY: [(&str, &str); 3] =
    [("LD_PRELOAD", FAKETIME), ("FAKETIME", "@2026-12-01 12:00:00"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
/// One on which they are old.
const YEARS_LATER: [(&str, &str); 3] =
    [("LD_PRELOAD", FAKETIME), ("FAKETIME", "@2031-12-01 12:00:00"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];

/// How long something may take. Only ever reached when something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

const BROWSERS: [&str; 3] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
];
const BOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

/// A file system in memory, which is another disk.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(test: &str) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64m,nr_inodes=4000", "tmpfs"]).arg(directory.path());
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self(directory)),
            other => {
                not_possible_here(test, &format!("no file system can be mounted: {other:?}"));
                None
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).output();
        if !unmounted.is_ok_and(|output| output.status.success()) {
            eprintln!("a file system was left behind");
        }
    }
}

/// A server of mail that takes connections until it is told to refuse.
struct MailServer {
    url: String,
    is_refusing: Arc<AtomicBool>,
}

impl MailServer {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("smtp://{}", listener.local_addr().expect("an address"));
        let is_refusing = Arc::new(AtomicBool::new(false));
        let refuses = Arc::clone(&is_refusing);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that went away is no fault of the test.
                let _ = Self::talk(stream, refuses.load(Ordering::Relaxed));
            }
        });
        Self { url, is_refusing }
    }

    fn talk(mut stream: TcpStream, is_refusing: bool) -> std::io::Result<()> {
        if is_refusing {
            return stream.write_all(b"554 nobody is let in\r\n");
        }
        let lines = BufReader::new(stream.try_clone()?).lines();
        stream.write_all(b"220 here\r\n")?;
        let mut is_mail = false;
        for line in lines.map_while(Result::ok) {
            match (line.as_str(), is_mail) {
                (".", true) => is_mail = false,
                (_, true) => continue,
                ("DATA", false) => {
                    is_mail = true;
                    stream.write_all(b"354 go on\r\n")?;
                    continue;
                }
                _ => {}
            }
            stream.write_all(b"250 yes\r\n")?;
            if line == "QUIT" && !is_mail {
                break;
            }
        }
        Ok(())
    }
}

/// What the doctor said.
struct Visit {
    output: Output,
    report: Value,
}

impl Visit {
    fn pay(site: &Site, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let output = doctor(site, &[arguments, &["--json"]].concat(), environment);
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        Self { output, report }
    }

    fn checks(&self) -> &[Value] {
        self.report["checks"].as_array().expect("checks")
    }

    /// The names of what was found.
    fn problems(&self) -> BTreeSet<String> {
        self.checks().iter().filter_map(|check| check["problem"].as_str()).map(str::to_owned).collect()
    }

    /// Asserts that exactly these were found, each with its remedy, and that the exit status is right.
    #[track_caller]
    fn assert_finds(&self, names: &[&str]) {
        let expected: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(self.problems(), expected, "{:#}", self.report);
        let mut worst = Finding::Ok;
        for name in names {
            let problem =
                Problem::ALL.iter().find(|problem| problem.name() == *name).expect("a problem with this name");
            let check = self.checks().iter().find(|check| check["problem"] == *name).expect("a check that found it");
            assert_eq!(check["check"], problem.check().name(), "{check}");
            assert_eq!(check["remedy"], problem.remedy(), "{check}");
            assert_eq!(check["state"], problem.finding().as_str(), "{check}");
            worst = worst.max(problem.finding());
        }
        assert_eq!(self.report["state"], worst.as_str());
        let code = match worst.as_str() {
            "fault" => 1,
            "warning" => 3,
            _ => 0,
        };
        assert_eq!(self.output.status.code(), Some(code));
    }
}

fn doctor(site: &Site, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(BINARY);
    command.arg("doctor").args(arguments).arg("--config").arg(&site.config).arg("--data-dir").arg(&site.data_dir);
    command.envs(environment.iter().copied()).output().expect("the binary runs")
}

/// Sends `count` pageviews of pages on `host`, through `proxy` from as many addresses, by several browsers; returns how the last
/// one was answered.
fn send(server: &Server, code: &str, host: &str, count: u8, agents: &[&str], header: Option<&str>) -> u16 {
    let mut status = 0;
    for number in 0..count {
        let (url, session) = (format!("https://{host}/{number}"), format!("session-{host}-{number}"));
        let agent = agents[usize::from(number) % agents.len()];
        let body = json!({
            "event_type": "pageview",
            "url": url,
            "session_id": session,
            "user_agent": agent,
            "device_type": "desktop",
            "browser": "Some",
            "os": "Linux",
        });
        let (origin, client) = (format!("https://{host}"), format!("203.0.113.{number}"));
        let mut headers = vec![("Origin", origin.as_str()), ("User-Agent", agent)];
        headers.extend(header.map(|name| (name, client.as_str())));
        // One that is refused before its body has come ends its connection.
        let answer = server.connect().request("POST", &format!("/e/{code}"), &headers, &body.to_string());
        status = answer.expect("an answer").status;
    }
    status
}

const FORWARDED: Option<&str> = Some("X-Forwarded-For");

/// Waits for the backup that the server makes when it starts; its manifest.
fn first_backup(backups: &Path) -> PathBuf {
    let started = Instant::now();
    loop {
        let folders = fs::read_dir(backups).into_iter().flatten().map_while(Result::ok).map(|entry| entry.path());
        let finished = folders.filter(|folder| folder.extension().is_none_or(|end| end != "tmp"));
        if let Some(manifest) = finished.map(|folder| folder.join("manifest.json")).find(|manifest| manifest.exists()) {
            return manifest;
        }
        assert!(started.elapsed() < PATIENCE, "no backup was made");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Each fault is injected into a healthy system and is found, with its remedy, and nothing else; when it is gone it is not found any
/// more, but for what is counted since the start.
///
/// Sabotage: take any check out of the list, or let one find something always.
#[test]
fn a_healthy_system_says_so_and_each_fault_is_named_alone() {
    const TEST: &str = "the doctor";
    if !Path::new(FAKETIME).exists() {
        not_possible_here(TEST, "libfaketime is not installed");
        return;
    }
    let (Some(data), Some(elsewhere)) = (SmallDisk::mount(TEST), SmallDisk::mount(TEST)) else { return };
    let backups = elsewhere.path("backups");
    let mail = MailServer::start();
    let settings = format!(
        "backup_dir = {:?}\nsmtp_url = {:?}\nmail_from = \"stats@example.com\"\npublic_url = \"https://localhost\"\n",
        backups.to_str().expect("a path that is text"),
        mail.url
    );
    let directory = tempfile::tempdir().expect("a directory");
    let site = Site::create(&data.path("data"), directory.path(), &settings);
    let server = site.serve_with(&[], &TODAY);
    send(&server, &site.tracking_code, "example.com", 30, &BROWSERS, FORWARDED);
    let manifest = first_backup(&backups);
    let find = |names: &[&str]| Visit::pay(&site, &[], &TODAY).assert_finds(names);

    // A healthy system.
    let healthy = Visit::pay(&site, &[], &TODAY);
    healthy.assert_finds(&[]);
    let names: Vec<&str> = healthy.checks().iter().map(|check| check["check"].as_str().expect("a name")).collect();
    assert_eq!(names, Check::ALL.iter().map(|check| check.name()).collect::<Vec<_>>());
    for check in healthy.checks() {
        let expected = if check["check"] == "tag" { "not_checked" } else { "ok" };
        assert_eq!(check["state"], expected, "{check}");
    }
    let shown = String::from_utf8(doctor(&site, &[], &TODAY).stdout).expect("text");
    assert!(shown.ends_with("healthy: 21 checks, 0 faults, 0 warnings, 1 not checked\n"), "{shown}");

    // The configuration.
    let written = fs::read_to_string(&site.config).expect("the configuration");
    fs::write(&site.config, format!("seal_rows = 5\n{written}")).expect("it can be written");
    find(&["file_changed"]);
    // The command reads the same file and says it itself.
    fs::write(&site.config, &written).expect("it can be written");

    // Mail.
    mail.is_refusing.store(true, Ordering::Relaxed);
    find(&["mail_fails"]);
    mail.is_refusing.store(false, Ordering::Relaxed);

    // Backups.
    let begun = backups.join("backup-9-20261201T000000Z.tmp");
    fs::create_dir(&begun).expect("a directory");
    find(&["backup_unfinished"]);
    fs::remove_dir(&begun).expect("it can be removed");
    let whole = fs::read_to_string(&manifest).expect("the manifest");
    fs::write(&manifest, whole.replace("\"2026-12-01T", "\"2026-11-28T")).expect("it can be written");
    find(&["backup_old"]);
    fs::write(
        &manifest,
        whole.replace("\"damaged\": []", "\"damaged\": [\"a\"]").replace("\"damaged\":[]", "\"damaged\":[\"a\"]"),
    )
    .expect("it can be written");
    find(&["backup_damaged"]);
    let later = backups.join("backup-999999-2026-12-01T120000.000Z");
    fs::create_dir(&later).expect("a directory");
    fs::write(later.join("manifest.json"), &whole[..40]).expect("it can be written");
    find(&["backup_broken"]);
    fs::remove_dir_all(&later).expect("it can be removed");
    fs::write(&manifest, "").expect("it can be written");
    find(&["backup_missing"]);
    fs::write(&manifest, whole).expect("it can be written");
    let aside = elsewhere.path("aside");
    fs::rename(&backups, &aside).expect("it can be renamed");
    fs::write(&backups, "").expect("it can be written");
    find(&["backup_unreadable"]);
    fs::remove_file(&backups).expect("it can be removed");
    fs::rename(&aside, &backups).expect("it can be renamed");

    // The disk.
    let filler = data.path("filler");
    for (left, problem) in [(5, "disk_low"), (1, "disk_full")] {
        let disk = statvfs(data.0.path()).expect("a disk");
        let bytes = (disk.f_bavail - disk.f_blocks * left / 100) * disk.f_frsize;
        fs::write(&filler, vec![1; bytes as usize]).expect("there is room");
        find(&[problem]);
        fs::remove_file(&filler).expect("it can be removed");
    }
    let folder = data.path("folder");
    for (left, problem) in [(5, "inodes_low"), (1, "inodes_used_up")] {
        fs::create_dir(&folder).expect("a directory");
        let disk = statvfs(data.0.path()).expect("a disk");
        let files = disk.f_favail - disk.f_files * left / 100;
        (0..files).for_each(|number| fs::write(folder.join(number.to_string()), "").expect("a file"));
        find(&[problem]);
        fs::remove_dir_all(&folder).expect("it can be removed");
    }

    // A page.
    Visit::pay(&site, &["https://127.0.0.1/"], &TODAY).assert_finds(&["page_refused"]);
    Visit::pay(&site, &["https://zenovay.invalid/"], &TODAY).assert_finds(&["page_unreachable"]);
    find(&[]);

    // What comes in. From here on it stays.
    assert_eq!(send(&server, &site.tracking_code, "copied.example", 1, &BROWSERS, FORWARDED), 403);
    find(&["other_host_refused"]);
    assert_eq!(send(&server, &site.tracking_code, "moved.example", 9, &BROWSERS, FORWARDED), 403);
    find(&["host_refused"]);
    assert_eq!(send(&server, "ZV_00000000000", "example.com", 10, &BROWSERS, FORWARDED), 401);
    find(&["host_refused", "unknown_code"]);
    send(&server, &site.tracking_code, "example.com", 40, &[BOT], FORWARDED);
    find(&["host_refused", "unknown_code", "many_bots"]);
    let (quiet, _) = site.create_website("quiet.example");
    find(&["host_refused", "unknown_code", "many_bots", "no_events"]);
    site.cli(&["website", "delete", &quiet, "--yes"]);

    // A damaged file.
    assert!(server.terminate().success());
    let mut files =
        fs::read_dir(site.data_dir.join("segments")).expect("segments").map(|file| file.expect("a file").path());
    let file = files.find(|file| file.extension().is_some_and(|end| end == "parquet")).expect("a segment");
    let bytes = fs::read(&file).expect("it can be read");
    fs::write(&file, &bytes[..bytes.len() / 2]).expect("it can be written");
    let server = site.serve_with(&[], &TODAY);
    let path = format!("/api/external/v1/analytics/{}/pages?range=1y", site.website_id);
    assert_eq!(server.connect().request("GET", &path, &[("X-API-Key", &site.key)], "").expect("an answer").status, 503);
    find(&["segment_damaged"]);
    // A server that does not answer commands.
    fs::remove_file(site.data_dir.join("zenovay.sock")).expect("it can be removed");
    find(&["no_answer"]);
    server.kill();

    // No server, a clock that is years ahead, and what is old by it.
    find(&["no_server"]);
    let later = Visit::pay(&site, &[], &YEARS_LATER);
    later.assert_finds(&["no_server", "clock_wrong", "backup_old", "countries_old", "agents_old"]);
    let stderr = String::from_utf8_lossy(&later.output.stderr).into_owned();
    assert_eq!(stderr, "zenovay: 2 faults: server, clock\n");
    fs::write(site.data_dir.join("zenovay.db"), "no database").expect("it can be written");
    assert!(Visit::pay(&site, &[], &TODAY).problems().contains("metadata_unreadable"));
}

/// Sabotage: believe the header of anybody, or look at one hit alone.
#[test]
fn a_server_that_is_set_up_wrong_is_told_what() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = "backup_keep = 3\nlisten = \"127.0.0.1:1\"\npublic_url = \"http://127.0.0.1:8080\"\n\
                    smtp_url = \"smtp://user:canary@mail.invalid:25\"\nmail_from = \"stats@example.com\"\n";
    let site = Site::create(&directory.path().join("data"), directory.path(), settings);
    let few = ["bash", "-c", "ulimit -n 400; exec \"$@\"", "few files"];
    let server = site.serve_with(&few, &[("ZENOVAY_COLOUR", "blue")]);
    let log = server.log();
    assert!(
        log.contains("the password of smtp_url goes over the network without TLS") && !log.contains("canary"),
        "{log}"
    );
    let visit = Visit::pay(&site, &[], &[]);
    let always = ["setting_unused", "backup_not_set", "name_unknown", "mail_fails", "open_files_few"];
    let found = visit.problems();
    let missing: Vec<_> = always.iter().filter(|name| !found.contains(**name)).collect();
    assert!(missing.is_empty(), "{missing:?}: {found:?}");
    let unused = visit.checks().iter().find(|check| check["problem"] == "setting_unused").expect("it was found");
    let seen = unused["seen"].as_str().expect("words");
    assert!(seen.contains("backup_keep without backup_dir") && seen.contains("ZENOVAY_COLOUR"), "{seen}");
    server.kill();

    for (trusted, header, expected) in [
        ("10.9.9.9", FORWARDED, &["proxy_not_trusted", "one_address"][..]),
        ("10.9.9.9", Some("X-Real-IP"), &["proxy_other_header", "one_address"]),
        ("127.0.0.1", None, &["proxy_says_nothing", "one_address"]),
        ("10.9.9.9", None, &["proxy_unused", "one_address"]),
        ("0.0.0.0/0", FORWARDED, &["everybody_trusted"]),
    ] {
        let server = site.serve_trusting(trusted);
        send(&server, &site.tracking_code, "example.com", 24, &BROWSERS, header);
        let found = Visit::pay(&site, &[], &[]).problems();
        let proxies = ["proxy_", "one_address", "everybody_"];
        let found: BTreeSet<&str> = found
            .iter()
            .map(String::as_str)
            .filter(|name| proxies.iter().any(|begin| name.starts_with(begin)))
            .collect();
        assert_eq!(found, expected.iter().copied().collect(), "{trusted} {header:?}");
        server.kill();
    }
}

#[test]
fn files_that_cannot_be_used_are_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("countries.mmdb");
    fs::write(&file, "no database").expect("it can be written");
    let settings = format!("geo_database = {:?}\n", file.to_str().expect("a path that is text"));
    let site = Site::create(&directory.path().join("data"), directory.path(), &settings);
    let found = Visit::pay(&site, &[], &[]).problems();
    assert!(found.contains("countries_unusable") && found.contains("no_server"), "{found:?}");
}

/// The documentation says of every check and of all that it may find what the program says.
#[test]
fn every_check_is_documented() {
    let documentation = include_str!("../../../docs/doctor.md");
    let mut expected = String::new();
    for check in Check::ALL {
        let problems = Problem::ALL.iter().filter(|problem| problem.check() == *check);
        expected += &format!(
            "### {}\n\n{}\n\n| found | | what it is | what to do |\n|---|---|---|---|\n",
            check.name(),
            check.about()
        );
        for problem in problems {
            let (name, finding) = (problem.name(), problem.finding().as_str());
            expected += &format!("| `{name}` | {finding} | {} | {} |\n", problem.when(), problem.remedy());
        }
        expected.push('\n');
    }
    let (_, found) = documentation.split_once("## The checks\n\n").expect("a section on the checks");
    assert!(found.trim() == expected.trim(), "docs/doctor.md should end with:\n\n{expected}");
}
