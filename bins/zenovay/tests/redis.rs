//! The program with its limits in a real Redis, beside a real PostgreSQL.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

#[path = "../../../crates/store/tests/common/postgres.rs"]
#[allow(dead_code, reason = "the tests of the store use the rest")]
mod postgres;
mod process;
#[path = "../../../crates/redis/src/testing.rs"]
#[allow(dead_code, reason = "the tests of the crate use the rest")]
mod redis;

use process::{Server, Site, pageview};

const WEBSITES: &str = "/api/external/v1/websites";

fn until(is_so: impl FnMut() -> bool) {
    process::until("it", std::time::Duration::from_secs(120), is_so);
}

fn status(server: &Server, path: &str, key: &str) -> u16 {
    let answer = server.connect().request("GET", path, &[("X-API-Key", key)], "").unwrap();
    let says_when = answer.headers.contains_key("retry-after");
    assert!(answer.status != 503 || says_when, "a 503 says when to come back");
    answer.status
}

/// What a server that is ready does without.
fn degraded(server: &Server) -> String {
    server.get("/readyz", "")["degraded"].to_string()
}

fn hit(server: &Server, site: &Site) -> u16 {
    let path = format!("/e/{}", site.tracking_code);
    server.connect().request("POST", &path, &[], &pageview("example.com", "/", "session-1")).unwrap().status
}

/// Sabotage: count in the process; let keys pass, or refuse hits, while Redis is away; never look for it again; show the password.
#[test]
fn limits_are_counted_in_redis_and_go_on_without_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut redis = redis::Server::start();
    let settings = format!(
        "database_url = \"{}\"\nredis_url = \"{}?pass=secret-of-nobody\"",
        postgres::empty_database(),
        redis.url()
    );
    // Nobody asks Redis for a password here: one that is given all the same is an error.
    let site = Site::create(&directory.path().join("data"), directory.path(), &settings);
    let refused = site.run(&["serve", "--listen", "127.0.0.1:0"], "");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("redis_url: the Redis server cannot be used") && !told.contains("secret-of"), "{told}");
    let shown = String::from_utf8_lossy(&site.run(&["config"], "").stdout).into_owned();
    assert!(shown.contains("pass=***") && !shown.contains("secret-of"), "{shown}");

    let settings = std::fs::read_to_string(&site.config).unwrap().replace("?pass=secret-of-nobody", "");
    std::fs::write(&site.config, settings).unwrap();
    let server = site.serve();
    assert_eq!(degraded(&server), "[]");
    assert_eq!(hit(&server, &site), 200);
    let metrics = server.metrics();
    assert!(metrics.contains("zenovay_redis_available 1") && metrics.contains("zenovay_redis_servers 1"), "{metrics}");
    let keys = redis.keys("zenovay:limit:*");
    assert!(keys.iter().any(|key| key.starts_with("zenovay:limit:tracking:")), "{keys:?}");
    // The installation is older than this Redis, so its first minute is nobody's.
    assert!(matches!(status(&server, WEBSITES, &site.key), 200 | 503));

    redis.tell("crash");
    until(|| degraded(&server) == "[\"redis\"]");
    assert_eq!(hit(&server, &site), 200);
    assert_eq!(status(&server, WEBSITES, &site.key), 503);
    assert!(server.metrics().contains("zenovay_redis_available 0"));
    redis.tell("start");
    until(|| degraded(&server) == "[]");
    assert_eq!(hit(&server, &site), 200);
    assert!(redis.keys("zenovay:limit:*").iter().any(|key| key.starts_with("zenovay:limit:tracking:")));

    let (ended, log) = server.terminate_with_log();
    assert!(ended.success(), "{log}");
    let lines = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    assert_eq!((lines("Redis is of no use"), lines("Redis counts the limits again")), (1, 1), "{log}");
    assert_eq!(lines("a limit could not be checked"), 0, "{log}");
    assert!(site.data_dir.join("zenovay.nodes").exists());
}

/// Sabotage: take one without the other.
#[test]
fn redis_alone_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::create(&directory.path().join("data"), directory.path(), "");
    let told = |url: &str| {
        let output = site.run(&["serve", "--listen", "127.0.0.1:0", "--redis-url", url], "");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let alone = told("redis://:secret-of-nobody@redis.example.com");
    assert!(alone.contains("database_url") && !alone.contains("secret-of"), "{alone}");
    let other = told("memcached://secret-of-nobody");
    assert!(other.contains("setting `redis_url`") && !other.contains("secret-of"), "{other}");
}
