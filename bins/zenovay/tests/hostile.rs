//! Many clients of the worst sorts against the real binary: what they cost it, and that honest clients are answered. As many
//! as `HOSTILE_CONNECTIONS` says, 200 without it; `just test-long` takes 2,000.

mod process;

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use process::{Connection, Server, Site};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What one hostile connection may cost: 2,000 of them 100 MB.
const BYTES_EACH: usize = 50_000;
/// What honest requests and the measuring itself may move.
const SLACK_BYTES: usize = 8 << 20;
const HONEST: usize = 400;

fn site() -> (tempfile::TempDir, Site) {
    let directory = tempfile::tempdir().expect("a directory");
    let site = Site::create(&directory.path().join("data"), directory.path(), "log_level = \"warn\"\n");
    (directory, site)
}

fn resident_bytes(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a figure");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1_024
}

/// The 99th percentile of honest requests, while `meanwhile` is done between them.
fn honest(server: &Server, mut meanwhile: impl FnMut()) -> Duration {
    let mut connection = Connection::open(&server.address);
    let mut times: Vec<Duration> = (0..HONEST)
        .map(|n| {
            if n % 20 == 0 {
                meanwhile();
            }
            let started = Instant::now();
            let answer = connection.request("GET", "/healthz", &[], "").expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.body);
            started.elapsed()
        })
        .collect();
    times.sort();
    times[HONEST * 99 / 100]
}

/// Sabotage: decode all that is sent, hold longer heads, or hold the rest of bodies.
#[test]
fn hostile_connections_cost_little_and_honest_clients_are_answered() {
    let number = std::env::var("HOSTILE_CONNECTIONS").map_or(200, |text| text.parse().expect("a number"));
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
        let alone = honest(&server, || {});
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
        let mut most = 0;
        let among = honest(&server, || {
            clients.iter_mut().for_each(|client| drop(client.write(trickle.as_bytes())));
            most = most.max(resident_bytes(&server));
        });
        let cost = most.saturating_sub(before);
        eprintln!("{number} that {sort}: {} KB each, p99 {alone:?} without, {among:?} with", cost / number / 1_024);
        assert!(cost <= BYTES_EACH * number + SLACK_BYTES, "{number} that {sort} cost {cost} bytes");
        assert!(!server.log().contains("ERROR"), "{sort}: {}", server.log());
        drop(clients);
        server.kill();
    }
}

/// Sabotage: close connections that wait for a request at once when told to stop, or leave out `Connection: close`.
#[test]
fn a_stop_cuts_no_request_of_clients_that_keep_their_connections() {
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
