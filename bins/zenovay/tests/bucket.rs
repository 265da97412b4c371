//! Recordings, and backups, in an S3-compatible bucket: a real server, a way to it that fails in every manner, and the real binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

#[path = "bucket/backups.rs"]
mod backups;
#[path = "common/disk.rs"]
mod disk;
mod process;
#[path = "bucket/s3.rs"]
mod s3;

use std::path::Path;
use std::time::{Duration, Instant};

use process::{FAKETIME, Site, not_possible_here};
use s3::{Proxy, S3, Way};
use serde_json::{Value, json};
use zenovay::bucket::{Bucket, BucketError};
use zenovay::config::{CommonFlags, Config, ServerFlags};
use zenovay_capture::{BlobError, BlobName, Blobs};
use zenovay_domain::{Clock, SystemClock};

const LATER: [(&str, &str); 3] = [("LD_PRELOAD", FAKETIME), ("FAKETIME", "+1h"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
/// How long something may take to come about. Only ever reached when something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lines of a configuration with the bucket at `url`.
fn lines(s3: &S3, url: &str, more: &str) -> String {
    format!(
        "replay_bucket = \"recordings\"\nreplay_bucket_endpoint = \"{url}\"\nreplay_bucket_prefix = \"of/tests\"\n\
         replay_bucket_key_id = \"{}\"\nreplay_bucket_secret = \"{}\"\n{more}",
        s3.key_id, s3.secret
    )
}

fn config(lines: &str) -> Config {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("zenovay.toml");
    std::fs::write(&file, lines).unwrap();
    let common = CommonFlags { config: Some(file), ..CommonFlags::default() };
    Config::load(&common, &ServerFlags::default(), []).unwrap()
}

fn bucket(lines: &str) -> Bucket {
    Bucket::open(&config(lines)).unwrap().unwrap()
}

fn name(name: &str) -> BlobName {
    BlobName::new(name).unwrap()
}

fn all(bucket: &Bucket, first: &str) -> Vec<String> {
    let mut found = Vec::new();
    bucket
        .list(first, &mut |blob| {
            assert!(blob.is_blob && blob.written_ms > 0);
            found.push(blob.name);
            true
        })
        .unwrap();
    found.sort();
    found
}

/// Sabotage: leave the prefix out, read a part from the beginning, take a missing object for an error, or list the first page alone.
#[test]
fn what_is_put_in_a_bucket_is_there_until_it_is_deleted_and_a_way_that_fails_is_told_in_bounded_time() {
    let s3 = S3::start(&[]);
    let proxy = Proxy::to(&s3);
    let hasty = bucket(&lines(&s3, &proxy.url, "replay_bucket_timeout_seconds = 1\n"));
    let bucket = bucket(&lines(&s3, &proxy.url, ""));
    bucket.probe().unwrap();
    let (a, b) = (name("replays/7/s1/a"), name("replays/7/s1/b"));
    let long: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    assert_eq!(bucket.get(&a), Err(BlobError::Missing { name: a.to_string() }));
    bucket.put(&a, &long).unwrap();
    bucket.put(&a, &long).unwrap();
    bucket.put(&b, b"two").unwrap();
    bucket.put(&name("replays/8/s1/c"), b"").unwrap();
    assert!(bucket.get(&a).unwrap() == long && bucket.get(&b).unwrap() == b"two");
    assert_eq!(bucket.get_part(&a, 1_000, 5).unwrap(), &long[1_000..1_005]);
    assert!(matches!(bucket.get_part(&b, 1, 9), Err(BlobError::Unavailable { .. })));
    assert_eq!(all(&bucket, "replays/7"), [a.to_string(), b.to_string()]);
    assert!(!format!("{bucket:?}").contains(&s3.secret));

    for way in [Way::Refuses, Way::Fails, Way::Cuts, Way::Silent] {
        proxy.set(way);
        let began = Instant::now();
        let patient = &bucket;
        // Only who is not answered has to wait.
        let bucket = if way == Way::Silent { &hasty } else { patient };
        let put = bucket.put(&name("replays/7/s1/late"), b"late").unwrap_err().to_string();
        assert!(put.contains("bucket recordings at http://127.0.0.1"), "{way:?}: {put}");
        // What is deleted may be gone although the answer does not come.
        let deleted = bucket.delete(&name("replays/7/s1/late"));
        for failed in [bucket.get(&a).map(drop), bucket.get_part(&a, 0, 9).map(drop), deleted] {
            assert!(matches!(failed, Err(BlobError::Unavailable { .. })), "{way:?}: {failed:?}");
        }
        assert!(bucket.list("replays", &mut |_| true).is_err(), "{way:?}");
        assert!(matches!(bucket.probe(), Err(BucketError::Unreachable { .. })), "{way:?}");
        assert!(began.elapsed() < PATIENCE, "{way:?}");
        proxy.set(Way::Open);
        assert_eq!(patient.get(&b).unwrap(), b"two", "{way:?}");
    }
    for one in all(&bucket, "replays") {
        bucket.delete(&name(&one)).unwrap();
        bucket.delete(&name(&one)).unwrap();
    }
    assert_eq!(all(&bucket, "replays"), [] as [String; 0]);
}

/// Sabotage: sign nothing, or start with a key that is wrong.
#[test]
fn a_bucket_that_will_not_do_is_told_in_words_at_the_start() {
    let s3 = S3::start(&["KEYS"]);
    bucket(&lines(&s3, &s3.url, "")).probe().unwrap();
    let refused = |lines: &str| {
        let refused = bucket(lines).probe().unwrap_err();
        assert!(matches!(refused, BucketError::Refused { .. }), "{refused}");
        refused.to_string()
    };
    let right = lines(&s3, &s3.url, "");
    let words = refused(&right.replace(&s3.secret, "wrong"));
    assert!(words.contains("403") && words.contains("SignatureDoesNotMatch"), "{words}");
    let words = refused(&right.replace("\"recordings\"", "\"not-there\""));
    assert!(words.contains("there is no such bucket") && words.contains("bucket not-there at"), "{words}");
    let public = bucket(&right.replace(&s3.url, "http://8.8.8.8:9")).probe().unwrap_err().to_string();
    assert!(public.contains("http is spoken to this machine and to private addresses alone"), "{public}");

    // The server, too, says so and does not start; `check` says the same.
    let directory = tempfile::tempdir().unwrap();
    let site = Site::create(&directory.path().join("data"), directory.path(), &right.replace(&s3.secret, "wrong"));
    for words in [&["serve", "--listen", "127.0.0.1:0"][..], &["check"]] {
        let output = site.run(words, "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && said.contains("recordings: bucket recordings at"), "{words:?}: {said}");
        assert!(said.contains("SignatureDoesNotMatch") && !said.contains(&s3.secret), "{words:?}: {said}");
    }
    // As its variable, and as a file.
    std::fs::write(&site.config, right.replace("replay_bucket_secret =", "# ")).unwrap();
    let output = site.run(&["check"], "");
    assert!(String::from_utf8_lossy(&output.stderr).contains("replay_bucket_secret_file"));
    let secret = directory.path().join("secret");
    std::fs::write(&secret, format!("{}\n", s3.secret)).unwrap();
    let as_file = format!("replay_bucket_secret_file = \"{}\"\n", secret.display());
    std::fs::write(&site.config, as_file + &right.replace("replay_bucket_secret =", "# ")).unwrap();
    assert_eq!(site.cli(&["check"])["replay_bucket"], "ok");
}

/// Sabotage: let any of these through.
#[test]
fn settings_that_do_not_go_together_are_refused_by_name() {
    let key = "replay_bucket_key_id = \"k\"\n";
    for (lines, words) in [
        ("replay_bucket = \"recordings\"\n".to_owned(), "replay_bucket needs replay_bucket_key_id"),
        (format!("replay_bucket = \"recordings\"\n{key}"), "replay_bucket_secret or replay_bucket_secret_file"),
        (format!("replay_bucket = \"recordings\"\n{key}replay_bucket_secret_file = \"/nowhere\"\n"), "/nowhere"),
        (
            format!(
                "replay_bucket = \"recordings\"\n{key}replay_bucket_secret = \"s\"\nreplay_bucket_secret_file = \"f\"\n"
            ),
            "both set",
        ),
        (key.to_owned(), "replay_bucket_key_id is set, and replay_bucket is not"),
    ] {
        let error = Bucket::open(&config(&lines)).unwrap_err();
        assert!(error.to_string().contains(words), "{lines}: {error}");
    }
    let at = |more: &str| {
        let config = config(&format!("replay_bucket = \"recordings\"\n{key}replay_bucket_secret = \"canary\"\n{more}"));
        assert!(!format!("{config:?} {:?}", config.effective()).contains("canary"));
        format!("{:?}", Bucket::open(&config).unwrap().unwrap())
    };
    assert!(at("replay_bucket_region = \"eu-west-3\"\n").contains("at https://s3.eu-west-3.amazonaws.com"));
    assert!(at("replay_bucket_prefix = \"/a/b/\"\n").contains("a/b/"));
}

fn chunk(seq: u32, text: &str) -> Value {
    let now = SystemClock.now().as_millis();
    let meta = json!({ "type": 4, "data": { "href": "https://example.com/p", "width": 800, "height": 600 }, "timestamp": now });
    let text = json!({ "type": 3, "textContent": text, "id": 3 });
    let body = json!({ "type": 2, "tagName": "body", "attributes": {}, "childNodes": [text], "id": 2 });
    let node = json!({ "type": 0, "childNodes": [body], "id": 1 });
    let full =
        json!({ "type": 2, "data": { "node": node, "initialOffset": { "top": 0, "left": 0 } }, "timestamp": now });
    json!({
        "url": "https://example.com/p", "session_id": "session-0001", "visitor_id": "2f1c8a5e-0b7d-4a57-9d64-2f1c8a5e0b7d",
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "replay_id": "00112233445566778899aabbccddeeff", "seq": seq, "sent_at": now, "events": [meta, full],
    })
}

fn send(server: &process::Server, site: &Site, body: &Value) -> process::Response {
    let path = format!("/api/track/{}/replay", site.tracking_code);
    server.connect().request("POST", &path, &[], &body.to_string()).expect("an answer")
}

/// Whether `needle` is in what `bytes` unpack to.
fn has(bytes: &[u8], needle: &str) -> bool {
    let begins = bytes.windows(4).enumerate().filter(|(_, window)| *window == [0x28, 0xb5, 0x2f, 0xfd]);
    begins.into_iter().any(|(at, _)| {
        let mut events = Vec::new();
        let decoder = zstd::Decoder::new(&bytes[at..]).unwrap().single_frame();
        std::io::copy(&mut { decoder }, &mut events).is_ok() && String::from_utf8_lossy(&events).contains(needle)
    })
}

/// The objects in the bucket.
fn objects(bucket: &Bucket) -> Vec<Vec<u8>> {
    all(bucket, "replays").iter().map(|one| bucket.get(&name(one)).unwrap()).collect()
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn chunks_here(data_dir: &Path) -> usize {
    disk::files(&data_dir.join("replays")).len()
}

/// Sabotage: acknowledge beyond the bound, leave the object of who was erased, or say that it is gone when it is not.
#[test]
fn recordings_that_are_over_go_to_the_bucket_are_played_from_it_and_are_erased_in_it() {
    if !Path::new(FAKETIME).exists() {
        return not_possible_here("recordings in a bucket", "libfaketime is not installed");
    }
    let s3 = S3::start(&[]);
    let proxy = Proxy::to(&s3);
    let reader = bucket(&lines(&s3, &s3.url, ""));
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    let site = Site::create(&data_dir, directory.path(), &lines(&s3, &proxy.url, "replay_waiting_bytes = 1048576\n"));
    site.cli(&[
        "website",
        "set",
        &site.website_id,
        "cookieless=false",
        "session_replay=true",
        "session_replay_consent=false",
    ]);

    // Without a bucket that answers it starts, and keeps chunks here until too much waits.
    proxy.set(Way::Refuses);
    let server = site.serve();
    wait_for("it is told", || server.log().contains("recordings wait until their bucket can be reached"));
    assert_eq!(send(&server, &site, &chunk(0, "canary-of-the-bucket")).status, 200);
    let noise: String = (0..2_400_000_u64)
        .scan(7_u64, |state, _| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Some(char::from(b'!' + ((*state >> 33) % 90) as u8))
        })
        .collect();
    assert_eq!(send(&server, &site, &chunk(1, &noise)).status, 200);
    let list = format!("/api/websites/{}/replays?range=24h", site.website_id);
    let listed = server.get(&list, &site.key);
    assert_eq!(listed["data"]["replays"][0]["chunks"], 2);
    let refused = send(&server, &site, &chunk(2, "refused"));
    assert_eq!((refused.status, refused.headers.contains_key("retry-after")), (503, true), "{}", refused.body);
    let is_counted = |name: &str, label: &str| {
        let is_it = |line: &str| line.starts_with(name) && line.contains(label) && !line.ends_with(" 0");
        server.metrics().lines().any(is_it)
    };
    assert!(is_counted("zenovay_ingest_outcomes_total", "reason=\"store_unavailable\""));
    wait_for("what failed is counted", || is_counted("zenovay_replay_bucket_requests_total", "outcome=\"failed\""));
    // Everything else goes on.
    assert_eq!(server.connect().request("GET", "/healthz", &[], "").unwrap().status, 200);
    assert!(server.terminate().success());
    assert_eq!((chunks_here(&data_dir), objects(&reader).len()), (2, 0));

    // It answers again, and the recording is over.
    proxy.set(Way::Open);
    let server = site.serve_with(&[], &LATER);
    wait_for("the recording is moved", || objects(&reader).len() == 1 && chunks_here(&data_dir) == 0);
    assert!(has(&objects(&reader)[0], "canary-of-the-bucket"));
    let id = listed["data"]["replays"][0]["id"].as_str().unwrap();
    let path = format!("/api/websites/{}/replays/{id}/chunks?limit=1", site.website_id);
    let played = server.get(&path, &site.key);
    assert!(played.to_string().contains("canary-of-the-bucket") && played["data"]["next"] == 1, "{played}");
    assert_eq!(send(&server, &site, &chunk(0, "canary-of-the-bucket")).status, 200);
    assert_eq!(send(&server, &site, &chunk(2, "canary-that-is-late")).status, 200);

    // Who erases somebody while it does not answer is told that it is not done yet.
    proxy.set(Way::Fails);
    let visitor = listed["data"]["replays"][0]["visitor"].as_str().unwrap();
    let erase = format!("/api/websites/{}/visitors/{visitor}", site.website_id);
    let key = [("X-API-Key", site.key.as_str())];
    let told = server.connect().request("DELETE", &erase, &key, "").unwrap();
    assert_eq!(told.status, 503, "{}", told.body);
    assert!(told.body.contains("cannot be deleted now where they are kept"), "{}", told.body);
    assert_eq!(server.get(&list, &site.key)["data"]["total"], 0);
    // What came last may have been on its way there, too.
    assert!(!objects(&reader).is_empty() && chunks_here(&data_dir) == 0);
    server.kill();

    // The next process deletes it, and nobody has to ask again.
    proxy.set(Way::Open);
    let server = site.serve();
    wait_for("the object is deleted", || objects(&reader).is_empty());
    assert_eq!(server.connect().request("DELETE", &erase, &key, "").unwrap().status, 204);
    assert!(server.terminate().success());
    assert_eq!(site.cli(&["check"])["replay_bucket"], "ok");
}
