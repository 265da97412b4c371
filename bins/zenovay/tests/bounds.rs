//! What strangers and key holders send is bounded: different strings by day, answers by the length of what was asked, and
//! memory while it arrives.

mod process;

use std::collections::BTreeMap;

use process::{Server, Site, pageview};
use serde_json::Value;

/// Sends a pageview.
fn view(server: &Server, site: &Site, path: &str) {
    let headers = [("X-Forwarded-For", "192.0.2.7")];
    let body = pageview("example.com", path, &format!("session of {path}"));
    let response = server.connect().request("POST", &format!("/e/{}", site.tracking_code), &headers, &body);
    let response = response.expect("an answer");
    assert_eq!(response.status, 200, "{}", response.body);
}

fn pages(server: &Server, site: &Site) -> BTreeMap<String, u64> {
    server.views_by_path(&site.website_id, &site.key).into_iter().collect()
}

/// What `website show` tells of folded strings, when it is of `events` events. It is written now and then.
fn wait_until_told(site: &Site, events: u64) -> Vec<Value> {
    let started = std::time::Instant::now();
    loop {
        let shown = site.cli(&["website", "show", &site.website_id]);
        let folded = shown["folded"].as_array().expect("a list").clone();
        let count: u64 = folded.iter().filter_map(|line| line["events"].as_u64()).sum();
        if count >= events {
            assert_eq!(count, events, "{folded:?}");
            return folded;
        }
        assert!(started.elapsed() < std::time::Duration::from_secs(60), "never told: {folded:?}");
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
}

/// Beyond the number of different paths of a day, further ones are `(other)`: the same before and after a death, a restart
/// and a seal; totals stay exact, the metric counts, and `website show` tells. Sabotage: begin anew after a restart.
#[test]
fn too_many_different_paths_are_other_and_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let settings = "distinct_values_per_day = 10\ntracking_requests_per_10s = 100000\n";
    let site = Site::create(&dir.path().join("data"), dir.path(), settings);
    let server = site.serve();
    (0..15).for_each(|number| view(&server, &site, &format!("/{number}")));
    let known: BTreeMap<_, _> =
        (0..10).map(|number| (format!("/{number}"), 1)).chain([("(other)".to_owned(), 5)]).collect();
    assert_eq!(pages(&server, &site), known);
    wait_until_told(&site, 5);
    server.kill();

    let server = site.serve();
    view(&server, &site, "/3");
    view(&server, &site, "/12");
    assert!(server.terminate().success());
    let server = site.serve();
    view(&server, &site, "/3");
    view(&server, &site, "/14");
    let mut expected = known;
    expected.insert("/3".to_owned(), 3);
    expected.insert("(other)".to_owned(), 7);
    assert_eq!(pages(&server, &site), expected);
    let told = wait_until_told(&site, 7);
    assert!(
        told.iter().all(|line| line["column"] == "page" && line["day"].as_str().is_some_and(|day| day.len() == 10))
    );
    let counted = r#"zenovay_folded_strings_total{column="page"} 1"#;
    assert!(server.metrics().contains(counted), "of this process");
}

/// An answer is no longer than what was asked, whatever is wrong with it. Sabotage: tell all.
#[test]
fn many_mistakes_are_told_in_few_words() {
    let dir = tempfile::tempdir().expect("a directory");
    let site = Site::create(&dir.path().join("data"), dir.path(), "");
    let server = site.serve();
    let twice: String = (0..280).map(|name| format!(r#""n{name:03}":1,"n{name:03}":1,"#)).collect();

    let body = format!(r#"{{"event_type":"pageview",{twice}"url":"https://example.com/"}}"#);
    let response =
        server.connect().request("POST", &format!("/e/{}", site.tracking_code), &[], &body).expect("an answer");
    assert_eq!(response.status, 400, "{}", response.body);
    let answer: Value = serde_json::from_str(&response.body).expect("JSON");
    assert_eq!(answer["details"].as_object().map(serde_json::Map::len), Some(20));
    let message = answer["message"].as_str().expect("a message");
    assert!(message.starts_with("Some fields are not valid: 20 of them, and 26"), "{message}");

    let event = format!(
        r#"{{"type":"pageview","ts":1,"visitorId":"v","sessionId":"s","props":{{{twice}"url":"https://example.com/"}}}}"#
    );
    let rows = (4 << 20) / (event.len() + 1) - 1;
    let events = vec![event.as_str(); rows].join(",");
    let body = format!(r#"{{"trackingCode":"{}","events":[{events}]}}"#, site.tracking_code);
    let response =
        server.connect().request("POST", "/api/v1/events", &[("X-API-Key", &site.key)], &body).expect("an answer");
    assert_eq!(response.status, 200, "{}", response.body);
    let answer: Value = serde_json::from_str(&response.body).expect("JSON");
    let errors = answer["data"]["errors"].as_array().expect("errors");
    assert_eq!((errors.len(), answer["data"]["rejected"].as_u64()), (rows, Some(rows as u64)), "each row is told");
    assert!(errors.iter().zip(0..).all(|(error, index)| error["index"] == index), "by its index");
    assert_eq!(errors.iter().filter(|error| error.get("details").is_some()).count(), 20);
    assert!(response.body.len() < body.len() / 10, "{} bytes for {}", response.body.len(), body.len());
}
