//! The real server on damaged files (SECURITY D5, D19): what is not damaged goes on, and what is damaged is named.

mod process;

use std::path::{Path, PathBuf};

use process::{Response, Server, Site, pageview};

/// The segment files of a data directory, oldest first.
fn segment_files(data_dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data_dir.join("segments")).expect("there are segments");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "parquet"));
    files.sort();
    files
}

/// Sends `count` pageviews, each of a path of its own that begins with `/label/`.
fn send(server: &Server, code: &str, domain: &str, label: &str, count: usize) {
    for number in 0..count {
        let body = pageview(domain, &format!("/{label}/{number}"), &format!("session-{label}-{number}"));
        let headers = [("X-Forwarded-For", "10.1.2.3")];
        let answer = server.connect().request("POST", &format!("/e/{code}"), &headers, &body).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

fn pages(server: &Server, website: &str, key: &str) -> Response {
    let path = format!("/api/external/v1/analytics/{website}/pages?range=1y&limit=100");
    server.connect().request("GET", &path, &[("X-API-Key", key)], "").expect("an answer")
}

/// Every damage to a segment of the last minutes, in which open sessions would be looked for. Sabotage: let
/// `restore_sessions` fail on it.
#[test]
fn a_damaged_recent_segment_stops_neither_the_start_nor_other_websites() {
    let directory = tempfile::tempdir().expect("a directory");
    let site = Site::create(&directory.path().join("data"), directory.path(), "");
    let (other, other_code) = site.create_website("other.example");
    let server = site.serve();
    send(&server, &site.tracking_code, "example.com", "a", 3);
    assert!(server.terminate().success());
    let server = site.serve();
    send(&server, &other_code, "other.example", "b", 4);
    assert!(server.terminate().success());
    let file = segment_files(&site.data_dir).remove(0);
    let whole = std::fs::read(&file).expect("it can be read");

    let mut flipped = whole.clone();
    flipped[100] ^= 4;
    let longer = [&whole[..], b"x"].concat();
    for (sent, (how, bytes)) in [
        ("a bit", Some(&flipped[..])),
        ("cut", Some(&whole[..whole.len() / 2])),
        ("empty", Some(&[][..])),
        ("longer", Some(&longer[..])),
        ("gone", None),
    ]
    .into_iter()
    .enumerate()
    {
        match bytes {
            Some(bytes) => std::fs::write(&file, bytes).expect("it can be written"),
            None => std::fs::remove_file(&file).expect("it can be removed"),
        }
        let server = site.serve();
        assert_eq!(pages(&server, &site.website_id, &site.key).status, 503, "{how}");
        send(&server, &other_code, "other.example", &format!("c{sent}"), 1);
        let views = server.views_by_path(&other, &site.key);
        assert_eq!(views.len(), 5 + sent, "{how}: {views:?}");
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let ready = server.connect().request("GET", "/readyz", &[], "").expect("an answer");
        assert!(ready.status == 200 && ready.body.contains(&name), "{how}: {}", ready.body);
        assert!(server.metrics().contains("zenovay_damaged_segments 1"), "{how}");
        assert!(server.log().contains(&name), "{how}: {}", server.log());
        assert!(server.terminate().success());
        let check = site.run(&["check"], "");
        assert!(!check.status.success(), "{how}");
        assert!(String::from_utf8_lossy(&check.stderr).contains(&name), "{how}: {check:?}");
    }

    std::fs::write(&file, whole).expect("it can be written");
    let server = site.serve();
    assert_eq!(server.views_by_path(&site.website_id, &site.key).len(), 3, "put back, it answers");
    assert!(server.metrics().contains("zenovay_damaged_segments 0"));
}
