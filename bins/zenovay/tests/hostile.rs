//! Many clients of the worst sorts against the real binary: what they cost it, and that honest clients are answered as soon
//! as without them. As many as `HOSTILE_CONNECTIONS` says, 200 without it; `just test-long` takes 2,000.

mod process;

use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use process::{Connection, Server, Site, pageview};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What one hostile connection may cost: 2,000 of them 100 MB.
const BYTES_EACH: usize = 50_000;
/// What honest requests and the measuring itself may move.
const SLACK_BYTES: usize = 8 << 20;
/// Honest requests of one measurement.
const HONEST: usize = 200;
/// How often it is measured without and with others.
const ROUNDS: usize = 3;

/// Held by tests that measure time, which would measure each other.
static MEASURING: Mutex<()> = Mutex::new(());

fn site() -> (tempfile::TempDir, Site) {
    let directory = tempfile::tempdir().expect("a directory");
    let site = Site::create(&directory.path().join("data"), directory.path(), "log_level = \"warn\"\n");
    (directory, site)
}

/// A number from the environment.
fn number(name: &str, without: usize) -> usize {
    std::env::var(name).map_or(without, |text| text.parse().expect("a number"))
}

/// How many times as long honest requests may take among others. What is promised is 1.5, for an optimised build on a
/// machine that does nothing else; this one may be busy. When pipelined requests were taken as they came it was 40.
fn ratio() -> f64 {
    std::env::var("HOSTILE_RATIO").map_or(15.0, |text| text.parse().expect("a number"))
}

fn resident_bytes(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a figure");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1_024
}

fn open_files(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("the server runs").count()
}

/// Waits until the number of the server's open files fits: nearly all of them are connections.
fn wait_for_files(server: &Server, fits: impl Fn(usize) -> bool) {
    let started = Instant::now();
    while !fits(open_files(server)) {
        assert!(started.elapsed() < Duration::from_secs(60), "{} files are open", open_files(server));
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// The 99th percentile of `asked` requests, each made by `ask` of its number; `meanwhile` is done before each.
fn p99(asked: usize, mut ask: impl FnMut(usize), mut meanwhile: impl FnMut(usize)) -> Duration {
    let mut times: Vec<Duration> = (0..asked)
        .map(|n| {
            meanwhile(n);
            let started = Instant::now();
            ask(n);
            started.elapsed()
        })
        .collect();
    times.sort();
    times[asked * 99 / 100]
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[times.len() / 2]
}

/// Asserts that the median of the measurements `among` others is not above that of those `alone` by more than may be.
fn assert_fair(what: &str, alone: &[Duration], among: &[Duration]) {
    let times = median(among).as_secs_f64() / median(alone).as_secs_f64();
    eprintln!("{what}: p99 {alone:.2?} without, {among:.2?} with: {times:.2} times");
    assert!(times <= ratio(), "{what}: the p99 of honest requests is {times:.2} times that without them");
}

/// The 99th percentile of hits, each of another address.
fn hits(server: &Server, site: &Site, meanwhile: impl FnMut(usize)) -> Duration {
    let mut connection = server.connect();
    let (path, body) = (format!("/e/{}", site.tracking_code), pageview("example.com", "/", "session-1"));
    let hit = |n: usize| {
        let address = format!("10.0.{}.{}", n / 250, n % 250);
        let answer = connection.request("POST", &path, &[("X-Forwarded-For", &address)], &body).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
    };
    p99(HONEST, hit, meanwhile)
}

/// Sabotage: decode all that is sent, take pipelined requests as fast as they come, hold longer heads, or hold the rest of
/// bodies.
#[test]
fn hostile_connections_cost_little_and_honest_clients_are_answered() {
    let _alone = MEASURING.lock().unwrap_or_else(|failed| failed.into_inner());
    let number = number("HOSTILE_CONNECTIONS", 200);
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum })
        .expect("files can be opened");
    let health = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let (_directory, site) = site();
    let post = format!("POST /e/{} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n", site.tracking_code);
    let sorts: [(&str, String, &str); 6] = [
        ("pipeline and never read", health.repeat(300), ""),
        ("send half of a second head", format!("{health}GET / HTTP/1.1\r\nHost: x\r\na: {}", "b".repeat(15_000)), ""),
        ("send a second head byte by byte", format!("{health}GET / HTTP/1.1\r\nHost: x\r\na: "), "b"),
        ("send chunks without end", format!("{post}Transfer-Encoding: chunked\r\n\r\n"), "1\r\n{\r\n"),
        ("send most of a body", format!("{post}Content-Length: 65000\r\n\r\n{}", " ".repeat(60_000)), ""),
        ("send nothing", String::new(), ""),
    ];
    for (sort, begin, trickle) in sorts {
        let server = site.serve();
        // The first hits find nothing in any cache.
        hits(&server, &site, |_| {});
        let (mut alone, mut among) = (Vec::new(), Vec::new());
        let (mut cost, files) = (0, open_files(&server));
        for _ in 0..ROUNDS {
            wait_for_files(&server, |open| open < files + 16);
            alone.push(hits(&server, &site, |_| {}));
            let before = resident_bytes(&server);
            let mut clients: Vec<TcpStream> = (0..number)
                .map(|_| {
                    let mut client = TcpStream::connect(&server.address).expect("the server accepts");
                    client.set_nonblocking(true).expect("it can be set");
                    // What the kernel does not take now is not sent: they are hostile, not patient.
                    let _sent = client.write(begin.as_bytes());
                    client
                })
                .collect();
            wait_for_files(&server, |open| open + 16 > files + number);
            // In turn, about twice each.
            among.push(hits(&server, &site, |n| {
                for client in clients.iter_mut().skip(n % (HONEST / 2)).step_by(HONEST / 2) {
                    drop(client.write(trickle.as_bytes()));
                }
                if n % 20 == 0 {
                    cost = cost.max(resident_bytes(&server).saturating_sub(before));
                }
            }));
        }
        eprintln!("{number} that {sort}: {} KB each", cost / number / 1_024);
        assert_fair(&format!("{number} that {sort}"), &alone, &among);
        assert!(cost <= BYTES_EACH * number + SLACK_BYTES, "{number} that {sort} cost {cost} bytes");
        assert!(!server.log().contains("ERROR"), "{sort}: {}", server.log());
        server.kill();
    }
}

/// Sabotage: close connections that wait for a request at once when told to stop, or leave out `Connection: close`.
#[test]
fn a_stop_cuts_no_request_of_clients_that_keep_their_connections() {
    let _alone = MEASURING.lock().unwrap_or_else(|failed| failed.into_inner());
    let (_directory, site) = site();
    for _ in 0..3 {
        let server = site.serve();
        let clients: Vec<_> = (0..12)
            .map(|_| {
                let mut connection = Connection::open(&server.address);
                let answer = connection.request("GET", "/healthz", &[], "").expect("an answer");
                assert_eq!(answer.status, 200);
                std::thread::spawn(move || {
                    loop {
                        // Whatever is sent on the connection before it was said that it closes has an answer.
                        let answer = connection.request("GET", "/healthz", &[], "").expect("an answer");
                        assert_eq!(answer.status, 200);
                        if answer.headers.get("connection").is_some_and(|value| value == "close") {
                            return;
                        }
                    }
                })
            })
            .collect();
        server.signal("TERM");
        for client in clients {
            client.join().expect("no request is cut");
        }
        assert!(server.wait().success());
    }
}
