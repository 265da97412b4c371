//! Several servers with one PostgreSQL, one Redis and two shards of ClickHouse, all of them real, and nginx before them as `docs/deploy` has it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

#[path = "../../../crates/events-clickhouse/tests/common/servers.rs"]
#[allow(dead_code, reason = "the tests of the store use the rest")]
mod clickhouse;
#[path = "../../../crates/store/tests/common/postgres.rs"]
#[allow(dead_code, reason = "the tests of the store use the rest")]
mod postgres;
mod process;
#[path = "../../../crates/redis/src/testing.rs"]
#[allow(dead_code, reason = "the tests of the crate use the rest")]
mod redis;

use std::collections::{BTreeSet, HashMap};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use process::{Connection, Server, Site, assert_exactly_once};
use zenovay_domain::{Clock, SystemClock};
use zenovay_events_clickhouse::Config;

const WEBSITES: &str = "/api/external/v1/websites";
const MINUTE_MS: i64 = 60_000;

fn until(what: &str, is_so: impl FnMut() -> bool) {
    process::until(what, Duration::from_secs(400), is_so);
}

/// The other servers, and a website. The first server of the installation was started with them, so that nothing was counted before.
struct Place {
    directory: tempfile::TempDir,
    postgres: postgres::Server,
    redis: redis::Server,
    shards: Vec<clickhouse::Server>,
    events: Config,
    site: Site,
}

impl Place {
    /// As many servers as there are `addresses`, with `requests_per_minute` of each key.
    fn with(requests_per_minute: u32, addresses: &[String]) -> (Self, Vec<Server>) {
        let directory = tempfile::tempdir().unwrap();
        let (postgres, redis, shards) = (postgres::Server::start(), redis::Server::start(), clickhouse::start(2));
        let events = clickhouse::config_of(&shards);
        let hosts: Vec<&str> = events.shards.iter().map(|url| url.trim_start_matches("http://")).collect();
        let (user, password, database) = (&events.user, &events.password, &events.database);
        let settings = format!(
            "database_url = \"{}\"\nredis_url = \"{}\"\n\
             events_url = \"clickhouse://{user}:{password}@{}/{database}?cluster=tests\"\n\
             tracking_requests_per_10s = 1000000\ntracking_requests_per_hour = 1000000\n",
            postgres.url(),
            redis.url(),
            hosts.join(",")
        );
        // The command line needs the settings, and the first server an installation without accounts.
        let config = directory.path().join("zenovay.toml");
        std::fs::write(&config, &settings).unwrap();
        let none = String::new;
        let first = Site {
            data_dir: directory.path().join("data-0"),
            config: config.clone(),
            website_id: none(),
            tracking_code: none(),
            key: none(),
        };
        let first = first.serve_at(&addresses[0]);
        let site = Site::create(&directory.path().join("data-0"), directory.path(), &settings);
        site.cli(&["website", "set", &site.website_id, "cookieless=false"]);
        let limited = std::fs::read_to_string(&config).unwrap();
        let limited =
            limited.replace("requests_per_minute = 1000000", &format!("requests_per_minute = {requests_per_minute}"));
        std::fs::write(&config, limited).unwrap();
        assert!(first.terminate().success());
        let place = Self { directory, postgres, redis, shards, events, site };
        let servers = (0..).zip(addresses).map(|(number, address)| place.node(number).serve_at(address)).collect();
        (place, servers)
    }

    /// As many servers at addresses that nobody needs to know.
    fn with_servers(requests_per_minute: u32, count: usize) -> (Self, Vec<Server>) {
        Self::with(requests_per_minute, &vec!["127.0.0.1:0".to_owned(); count])
    }

    /// The website in the data directory of a server.
    fn node(&self, number: usize) -> Site {
        self.site.at(self.directory.path().join(format!("data-{number}")))
    }

    /// The answers to a question of each shard, a line each.
    fn asked(&self, question: &str) -> Vec<String> {
        let ask = |shard: &String| {
            clickhouse::execute(shard, &question.replace("EVENTS", &format!("{}.events", self.events.database)))
        };
        self.events.shards.iter().flat_map(|shard| ask(shard).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// The rows of each path.
    fn stored(&self) -> HashMap<String, u64> {
        clickhouse::rows_by_path(&self.events)
    }
}

/// A pageview with an id of its own, as pages send it.
fn pageview(path: &str, more: serde_json::Value) -> String {
    let mut body = serde_json::json!({
        "event_type": "pageview",
        "url": format!("https://example.com{path}"),
        "session_id": format!("session-of{path}"),
        "event_id": format!("event-of{path}"),
        "user_agent": "MyServer/1.0",
        "device_type": "desktop",
        "browser": "Server",
        "os": "Linux",
    });
    let members = body.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    body.to_string()
}

fn hit(server: &Server, site: &Site, path: &str, more: serde_json::Value) -> u16 {
    let to = format!("/e/{}", site.tracking_code);
    server.connect().request("POST", &to, &[], &pageview(path, more)).unwrap().status
}

fn status(server: &Server, path: &str, key: &str) -> u16 {
    let answer = server.connect().request("GET", path, &[("X-API-Key", key)], "");
    let answer = answer.unwrap_or_else(|error| panic!("{path}: {error}\n{}", server.log()));
    assert!(answer.status != 503 || answer.headers.contains_key("retry-after"), "a 503 says when to come back");
    answer.status
}

fn metric(server: &Server, name: &str) -> f64 {
    let page = server.metrics();
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("{name}: {page}"));
    line.parse().unwrap()
}

fn delivered(servers: &[Server]) {
    for server in servers {
        until("delivery", || metric(server, "zenovay_spool_batches") == 0.0);
    }
}

/// Asks each server `each` times at once within one minute: how many were answered how. A minute in which a limit could not be checked, because
/// the machine was too busy for Redis to answer in time, is let pass: fewer requests than the limit may pass in it.
fn within_a_minute(servers: &[Server], key: &str, each: usize) -> HashMap<u16, usize> {
    let minute = || SystemClock.now().as_millis() / MINUTE_MS;
    let mut minutes = 0;
    loop {
        minutes += 1;
        let began = minute();
        let answers = Mutex::new(HashMap::new());
        std::thread::scope(|scope| {
            for server in servers {
                scope.spawn(|| {
                    for _ in 0..each {
                        *answers.lock().unwrap().entry(status(server, WEBSITES, key)).or_default() += 1;
                    }
                });
            }
        });
        let answers = answers.into_inner().unwrap();
        if minute() == began && (minutes == 5 || !answers.contains_key(&503)) {
            return answers;
        }
        // The next one has all its time before it.
        let next = minute() + 1;
        until("the next minute", || minute() >= next);
    }
}

/// Sabotage: claim the database for each, count by itself, keep sessions in the process, or remember keys.
#[test]
fn several_servers_are_one() {
    let (place, servers) = Place::with_servers(30, 3);
    let site = &place.site;
    assert!(servers.iter().all(|server| server.get("/readyz", "")["degraded"] == serde_json::json!([])));
    until("all are known", || servers.iter().all(|server| metric(server, "zenovay_redis_servers") == 3.0));
    let leads: f64 = servers.iter().map(|server| metric(server, "zenovay_leads")).sum();
    assert!((leads - 1.0).abs() < f64::EPSILON, "one does what one does: {leads}");

    // One that lacks something would not be one of them.
    let settings = std::fs::read_to_string(&site.config).unwrap();
    let alone = place.directory.path().join("alone.toml");
    std::fs::write(&alone, settings.replace("redis_url", "# redis_url")).unwrap();
    let refused = Site { config: alone, ..site.at(place.directory.path().join("data-alone")) };
    let refused = refused.run(&["serve", "--listen", "127.0.0.1:0"], "");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("this one has no redis_url"), "{told}");

    // A limit is one of all.
    let answers = within_a_minute(&servers, &site.key, 20);
    assert_eq!(answers, HashMap::from([(200, 30), (429, 30)]), "30 of 60");

    // A visitor has one visit, wherever the hits come: named by the page, and by network and browser.
    for (number, server) in (0..9).zip(servers.iter().cycle()) {
        let named = serde_json::json!({ "session_id": "session-of-a-page", "visitor_id": "somebody" });
        assert_eq!(hit(server, site, &format!("/named/{number}"), named), 200);
        let stitched = serde_json::json!({ "cookieless": true });
        assert_eq!(hit(server, site, &format!("/stitched/{number}"), stitched), 200);
    }
    // The same event at two of them is one.
    for server in &servers {
        assert_eq!(hit(server, site, "/once", serde_json::json!({ "visitor_id": "somebody" })), 200);
    }
    delivered(&servers);
    for kind in ["named", "stitched"] {
        let asked = format!(
            "SELECT count(), uniqExact(visitor), uniqExact(session) FROM EVENTS WHERE page LIKE '/{kind}/%' HAVING count() > 0"
        );
        assert_eq!(place.asked(&asked), ["9\t1\t1"], "{kind}");
    }
    assert_eq!(place.stored()["/once"], 1);
    // All of them answer with all events, and know who is there now.
    let mut live = BTreeSet::new();
    for server in &servers {
        live.insert(server.get(&format!("/e/live/{}", site.tracking_code), "")["liveCount"].to_string());
    }
    assert_eq!(live.len(), 1, "{live:?}");

    // A key that is revoked, or a website that is gone, is so for the next request at each: what each knew of it was asked for before.
    let key = place.node(0).cli(&[
        "key",
        "create",
        "--user",
        "owner@example.com",
        "--name",
        "b",
        "--scopes",
        "full_access",
        "--teams",
        "all",
    ]);
    let (id, key) = (key["id"].as_str().unwrap().to_owned(), key["key"].as_str().unwrap().to_owned());
    for server in &servers {
        assert_eq!(status(server, WEBSITES, &key), 200);
    }
    // By another process, on another data directory.
    place.node(1).cli(&["key", "revoke", &id]);
    for server in &servers {
        assert_eq!(status(server, WEBSITES, &key), 401, "on the next request");
    }
    let (website, code) = site.create_website("gone.example");
    let gone = Site { tracking_code: code, ..site.at(site.data_dir.clone()) };
    let of_gone = serde_json::json!({ "url": "https://gone.example/" });
    for server in &servers {
        assert_eq!(hit(server, &gone, "/", of_gone.clone()), 200);
    }
    place.node(1).cli(&["website", "delete", &website, "--yes"]);
    for server in &servers {
        until("hits are refused", || hit(server, &gone, "/again", of_gone.clone()) != 200);
    }
    until("its events are gone", || {
        place.asked(&format!("SELECT count() FROM EVENTS WHERE website = '{website}' HAVING count() > 0")).is_empty()
    });
    for server in servers {
        let (ended, log) = server.terminate_with_log();
        assert!(ended.success() && !log.contains("secret-of-nobody"), "{log}");
    }
}

/// Sabotage: erase where it was asked for alone, or forget what was erased when a server is started again.
#[test]
fn who_is_erased_at_one_server_is_in_no_spool() {
    let (mut place, mut servers) = Place::with_servers(1_000, 3);
    let visitor = |id: &str| serde_json::json!({ "visitor_id": id, "session_id": format!("session-of-{id}") });
    for (number, server) in servers.iter().enumerate() {
        assert_eq!(hit(server, &place.site, &format!("/before/{number}"), visitor("somebody")), 200);
    }
    delivered(&servers);
    assert_eq!(place.stored().len(), 3);
    place.shards.iter_mut().for_each(clickhouse::Server::crash);
    for (number, server) in servers.iter().enumerate() {
        for (path, id) in [("waits", "somebody"), ("other", "another")] {
            assert_eq!(hit(server, &place.site, &format!("/{path}/{number}"), visitor(id)), 200);
        }
    }
    // One is not there when it is asked for.
    servers.pop().unwrap().kill();
    let erased = place.node(0).run(&["visitor", "erase", "--yes", &place.site.website_id, "somebody"], "");
    let told = String::from_utf8_lossy(&erased.stderr).into_owned();
    assert!(!erased.status.success() && told.contains("it is noted"), "{told}");
    place.shards.iter_mut().for_each(clickhouse::Server::start_again);
    servers.push(place.node(2).serve());
    delivered(&servers);
    let others = ["/other/0", "/other/1", "/other/2"];
    until("nothing is left", || place.stored() == others.map(|path| (path.to_owned(), 1)).into());
    // Who comes back is somebody else, wherever and whenever a server is started.
    assert_eq!(hit(&servers[1], &place.site, "/back", visitor("somebody")), 200);
    delivered(&servers);
    servers.pop().unwrap().kill();
    servers.push(place.node(2).serve());
    assert_eq!(hit(&servers[2], &place.site, "/back-there", visitor("somebody")), 200);
    delivered(&servers);
    let stored = place.stored();
    assert_eq!((stored.get("/back"), stored.get("/back-there")), (Some(&1), Some(&1)), "{stored:?}");
    // As it is asked for while everything is there.
    let erased = place.node(1).cli(&["visitor", "erase", "--yes", &place.site.website_id, "somebody"]);
    assert_eq!(erased["erased"].as_array().unwrap().len(), 1, "{erased}");
    assert_eq!(place.stored(), others.map(|path| (path.to_owned(), 1)).into());
}

/// Sabotage: let keys in by memory, refuse hits, or give each server the whole limit.
#[test]
fn what_is_away_costs_what_it_has_to() {
    const LIMIT: usize = 30;
    let (mut place, servers) = Place::with_servers(LIMIT as u32, 3);
    until("each has a part", || servers.iter().all(|server| metric(server, "zenovay_redis_parts") == 3.0));
    let site = place.node(0);
    assert!(servers.iter().all(|server| status(server, WEBSITES, &site.key) == 200));
    let hits = |path: &str| {
        for (number, server) in servers.iter().enumerate() {
            assert_eq!(hit(server, &site, &format!("/{path}/{number}"), serde_json::json!({})), 200);
        }
    };
    hits("before");

    place.postgres.tell("crash");
    hits("without-postgres");
    assert!(servers.iter().all(|server| status(server, WEBSITES, &site.key) == 503));
    place.postgres.tell("start");
    until("keys are asked for again", || servers.iter().all(|server| status(server, WEBSITES, &site.key) != 503));

    place.redis.tell("crash");
    until("it is told", || {
        servers.iter().all(|server| server.get("/readyz", "")["degraded"] == serde_json::json!(["redis"]))
    });
    hits("without-redis");
    assert!(servers.iter().all(|server| status(server, WEBSITES, &site.key) == 503), "the minute is nobody's");
    until("each has its part", || servers.iter().all(|server| status(server, WEBSITES, &site.key) != 503));
    let answers = within_a_minute(&servers, &site.key, LIMIT);
    assert!(answers.get(&200).is_none_or(|passed| *passed <= LIMIT), "{answers:?}");
    assert!(answers.keys().all(|code| [200, 429].contains(code)), "{answers:?}");
    place.redis.tell("start");
    until("it is back", || servers.iter().all(|server| server.get("/readyz", "")["degraded"] == serde_json::json!([])));
    hits("after");
    delivered(&servers);
    let paths = ["before", "without-postgres", "without-redis", "after"];
    let expected = paths.iter().flat_map(|path| (0..3).map(move |number| (format!("/{path}/{number}"), 1)));
    assert_eq!(place.stored(), expected.collect());
}

/// nginx before servers at these addresses, as `docs/deploy` has it, which ends with the test.
struct Balancer {
    nginx: Child,
    address: String,
}

impl Balancer {
    fn start(directory: &Path, servers: &[String]) -> Self {
        let [address] = free_addresses();
        let documented = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/deploy/nginx-several.conf");
        let mut text = std::fs::read_to_string(documented).unwrap();
        for (from, to) in [
            ("listen 443 ssl;", format!("listen {address};")),
            ("    ssl_certificate     /etc/letsencrypt/live/stats.example.com/fullchain.pem;\n", String::new()),
            ("    ssl_certificate_key /etc/letsencrypt/live/stats.example.com/privkey.pem;\n", String::new()),
        ] {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, &to);
        }
        for (number, server) in servers.iter().enumerate() {
            let documented = format!("server 10.0.0.{}:8080", number + 1);
            assert!(text.contains(&documented), "{documented}");
            text = text.replace(&documented, &format!("server {server}"));
        }
        let path = |name: &str| directory.join(name).display().to_string();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {};\n", path(what)))
            .concat();
        let whole = format!(
            "daemon off;\nmaster_process off;\npid {};\nerror_log stderr crit;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{text}\n}}\n",
            path("nginx.pid")
        );
        std::fs::write(path("nginx.conf"), whole).unwrap();
        let mut command = Command::new("nginx");
        let nginx = command.args(["-e", "stderr", "-c", &path("nginx.conf")]).stdin(Stdio::null()).spawn();
        let mut balancer = Self { nginx: nginx.expect("nginx, which scripts/setup installs"), address };
        until("nginx listens", || {
            assert!(balancer.nginx.try_wait().unwrap().is_none(), "nginx ended");
            std::net::TcpStream::connect(&balancer.address).is_ok()
        });
        balancer
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        if self.nginx.kill().is_ok() && self.nginx.wait().is_err() {
            eprintln!("nginx was left behind");
        }
    }
}

/// Addresses of this machine that nobody listens at.
fn free_addresses<const N: usize>() -> [String; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().to_string())
}

/// What clients of the balancer sent while `work` was done, and what of it was acknowledged: `(acknowledged, sent, refused)`. `work` is handed how
/// many were acknowledged so far.
fn under_load(
    balancer: &Balancer,
    site: &Site,
    label: &str,
    work: impl FnOnce(&AtomicUsize),
) -> (Vec<String>, Vec<String>, usize) {
    const CLIENTS: usize = 4;
    let (acknowledged, sent) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let (count, refused, stop) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (acknowledged, sent, count, refused, stop) = (&acknowledged, &sent, &count, &refused, &stop);
            scope.spawn(move || {
                let mut connection = Connection::open(&balancer.address);
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    let path = format!("/{label}/{client}/{number}");
                    sent.lock().unwrap().push(path.clone());
                    let session =
                        serde_json::json!({ "session_id": format!("session-{label}-{client}-{}", number / 7) });
                    let to = format!("/e/{}", site.tracking_code);
                    match connection.request("POST", &to, &[], &pageview(&path, session)) {
                        Ok(answer) if answer.status == 200 => {
                            acknowledged.lock().unwrap().push(path);
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(answer) => {
                            assert!([502, 503, 504].contains(&answer.status), "{}: {}", answer.status, answer.body);
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(_) => connection = Connection::open(&balancer.address),
                    }
                }
            });
        }
        work(&count);
        stop.store(true, Ordering::Relaxed);
    });
    (acknowledged.into_inner().unwrap(), sent.into_inner().unwrap(), refused.into_inner())
}

/// Sabotage: end with requests in flight, acknowledge before the spool has it, store an event where each server has it, or forget the spool of
/// one that was killed.
#[test]
fn servers_come_and_go_under_load_and_every_event_is_stored_once() {
    let addresses: [String; 3] = free_addresses();
    let (place, servers) = Place::with(1_000_000, &addresses);
    let balancer = Balancer::start(place.directory.path(), &addresses);
    let mut servers: Vec<Option<Server>> = servers.into_iter().map(Some).collect();
    let more = |count: &AtomicUsize, hits: usize| {
        let from = count.load(Ordering::Relaxed);
        until("hits", || count.load(Ordering::Relaxed) >= from + hits);
    };
    // One after the other.
    let (mut acknowledged, mut sent, refused) = under_load(&balancer, &place.site, "rolling", |count| {
        for number in 0..servers.len() {
            more(count, 50);
            assert!(servers[number].take().unwrap().terminate().success());
            more(count, 50);
            servers[number] = Some(place.node(number).serve_at(&addresses[number]));
        }
        more(count, 50);
    });
    assert_eq!(refused, 0, "nobody who sends is told of it");
    assert!(acknowledged.len() >= 350);
    // Two at once, without a word.
    let (of_kill, sent_of_kill, refused) = under_load(&balancer, &place.site, "killed", |count| {
        for round in 0..3 {
            more(count, 50);
            let (one, other) = (round % 3, (round + 1) % 3);
            servers[one].take().unwrap().kill();
            servers[other].take().unwrap().kill();
            more(count, 50);
            for number in [one, other] {
                servers[number] = Some(place.node(number).serve_at(&addresses[number]));
            }
        }
        more(count, 50);
    });
    assert_eq!(refused, 0, "another server takes what one did not answer");
    acknowledged.extend(of_kill);
    sent.extend(sent_of_kill);
    let servers: Vec<Server> = servers.into_iter().flatten().collect();
    delivered(&servers);
    assert_exactly_once(&acknowledged, &place.stored(), &sent);
    assert_eq!(servers[1].views_by_path(&place.site.website_id, &place.site.key), place.stored());
}
