//! The real binary as a process: started on a directory of its own, driven over HTTP and the command line, killed.
#![allow(dead_code, reason = "every test file uses a part of this")]
#![allow(unreachable_pub, reason = "shared by the test files")]

pub mod memory_group;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use zenovay::config::{CommonFlags, Config, ServerFlags};

/// The settings of a server on this directory, for a test that opens what is in it.
pub fn settings(data_dir: &Path) -> Config {
    let common = CommonFlags { data_dir: Some(data_dir.display().to_string()), ..CommonFlags::default() };
    Config::load(&common, &ServerFlags::default(), []).expect("settings")
}

/// The library that gives a process another time.
pub const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_zenovay");

/// How long a request may take before the test gives up on it. Only ever reached when something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a machine that cannot run a test must fail it: on CI nothing is skipped.
pub fn not_possible_here(test: &str, why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{test} cannot run on this CI machine: {why}");
    eprintln!("{test}: NOT RUN, {why}");
}

/// Waits for what comes within `most`; `what` names it.
pub fn until(what: &str, most: Duration, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < most, "{what}: not within {most:?}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// A data directory and what was created in it by the command line.
pub struct Site {
    pub data_dir: PathBuf,
    pub config: PathBuf,
    pub website_id: String,
    pub tracking_code: String,
    pub key: String,
}

impl Site {
    /// The same website in another data directory, which is not made.
    pub fn at(&self, data_dir: PathBuf) -> Self {
        let Self { data_dir: _, config, website_id, tracking_code, key } = self;
        Self {
            data_dir,
            config: config.clone(),
            website_id: website_id.clone(),
            tracking_code: tracking_code.clone(),
            key: key.clone(),
        }
    }

    /// A team with one website that accepts `example.com`, and a key that reads it as often as it likes.
    /// `settings` are lines of `zenovay.toml`.
    pub fn create(data_dir: &Path, config_dir: &Path, settings: &str) -> Self {
        let config = config_dir.join("zenovay.toml");
        std::fs::write(
            &config,
            format!("{settings}\n[plans.enterprise]\nrequests_per_minute = 1000000\nrequests_per_month = 100000000\n"),
        )
        .expect("the configuration can be written");
        let mut site = Self {
            data_dir: data_dir.to_owned(),
            config,
            website_id: String::new(),
            tracking_code: String::new(),
            key: String::new(),
        };
        let user = site.cli_with_input(
            &["user", "create", "--email", "owner@example.com", "--name", "Owner", "--password-stdin"],
            "a long enough passphrase\n",
        );
        assert!(user["id"].is_string(), "{user}");
        let team =
            site.cli(&["team", "create", "--name", "Team", "--owner", "owner@example.com", "--plan", "enterprise"]);
        let team = team["id"].as_str().expect("a team id").to_owned();
        let website = site.cli(&["website", "create", "--team", &team, "--domain", "example.com", "--name", "Example"]);
        site.website_id = website["id"].as_str().expect("a website id").to_owned();
        site.tracking_code = website["tracking_code"].as_str().expect("a tracking code").to_owned();
        let key = site.cli(&[
            "key",
            "create",
            "--user",
            "owner@example.com",
            "--name",
            "reader",
            "--scopes",
            "full_access",
            "--teams",
            "all",
        ]);
        site.key = key["key"].as_str().expect("a key").to_owned();
        site
    }

    /// Another website of the same team: `(id, tracking_code)`.
    pub fn create_website(&self, domain: &str) -> (String, String) {
        let website = self.cli(&["website", "show", &self.website_id]);
        let team = website["team_id"].as_str().expect("a team id").to_owned();
        let website = self.cli(&["website", "create", "--team", &team, "--domain", domain, "--name", domain]);
        (
            website["id"].as_str().expect("an id").to_owned(),
            website["tracking_code"].as_str().expect("a code").to_owned(),
        )
    }

    /// Runs a command on this data directory and returns the JSON it prints.
    pub fn cli(&self, arguments: &[&str]) -> serde_json::Value {
        self.cli_with_input(arguments, "")
    }

    fn cli_with_input(&self, arguments: &[&str], input: &str) -> serde_json::Value {
        let output = self.run(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", String::from_utf8_lossy(&output.stdout)))
    }

    /// Runs a command on this data directory.
    pub fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(BINARY)
            .args(arguments)
            .arg("--json")
            .arg("--config")
            .arg(&self.config)
            .arg("--data-dir")
            .arg(&self.data_dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        child.stdin.take().expect("stdin is piped").write_all(input.as_bytes()).expect("stdin is read");
        child.wait_with_output().expect("the binary ends")
    }

    /// Starts the server and waits until it listens.
    pub fn serve(&self) -> Server {
        self.serve_with(&[], &[])
    }

    /// Starts the server under `wrapper` (a program and its arguments, such as `strace …`) with `environment`.
    pub fn serve_with(&self, wrapper: &[&str], environment: &[(&str, &str)]) -> Server {
        self.start(wrapper, environment, "127.0.0.0/8", "127.0.0.1:0")
    }

    /// Starts the server, which believes the proxies in `networks`.
    pub fn serve_trusting(&self, networks: &str) -> Server {
        self.start(&[], &[], networks, "127.0.0.1:0")
    }

    /// Starts the server at an address that others know.
    pub fn serve_at(&self, address: &str) -> Server {
        self.start(&[], &[], "127.0.0.0/8", address)
    }

    fn start(&self, wrapper: &[&str], environment: &[(&str, &str)], trusted_proxies: &str, listen: &str) -> Server {
        let mut words = wrapper.to_vec();
        words.push(BINARY);
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args(["serve", "--listen", listen, "--trusted-proxies", trusted_proxies])
            .args(["--metrics-listen", "127.0.0.1:0", "--config"])
            .arg(&self.config)
            .arg("--data-dir")
            .arg(&self.data_dir)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Server::start(command)
    }
}

/// A running server.
pub struct Server {
    child: Child,
    pub address: String,
    log: Arc<Mutex<String>>,
    /// Ends when nobody writes to the log any more.
    reader: Option<JoinHandle<()>>,
}

impl Server {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the server starts");
        let log = Arc::new(Mutex::new(String::new()));
        let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let lines = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            while stderr.read_line(&mut line).is_ok_and(|read| read > 0) {
                lines.lock().expect("no reader panics").push_str(&line);
                line.clear();
            }
        });
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        let address = loop {
            line.clear();
            let read = stdout.read_line(&mut line).expect("stdout is text");
            if read == 0 {
                let status = child.wait().expect("it ended");
                panic!("the server ended before it listened: {status}\n{}", log.lock().expect("no reader panics"));
            }
            if let Some(address) = line.trim().strip_prefix("listening on http://") {
                break address.to_owned();
            }
        };
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        Self { child, address, log, reader: Some(reader) }
    }

    /// What the server wrote to stderr so far, as far as it was read: a line of just now may not be in it yet.
    pub fn log(&self) -> String {
        self.log.lock().expect("no reader panics").clone()
    }

    /// The same, once `words` are in it.
    pub fn log_with(&self, words: &str) -> String {
        let started = Instant::now();
        loop {
            let log = self.log();
            if log.contains(words) {
                return log;
            }
            assert!(started.elapsed() < PATIENCE, "never logged: {words}\n{log}");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// SIGTERM, then waits for the end: how it was, and everything that was written to stderr.
    pub fn terminate_with_log(mut self) -> (ExitStatus, String) {
        self.signal("TERM");
        let status = self.child.wait().expect("it ended");
        self.reader.take().expect("nobody waited for it").join().expect("no reader panics");
        (status, self.log())
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: no code of the server runs after this.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ended");
    }

    /// SIGTERM, then waits for the end.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().expect("it ended")
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().expect("kill runs");
        assert!(status.success());
    }

    /// Waits for the end.
    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("it ended")
    }

    /// A connection that is kept alive.
    pub fn connect(&self) -> Connection {
        Connection::open(&self.address)
    }

    /// One GET with a key, which must be answered 200; the body as JSON.
    pub fn get(&self, path: &str, key: &str) -> serde_json::Value {
        let response = self.connect().request("GET", path, &[("X-API-Key", key)], "").expect("an answer");
        assert_eq!(response.status, 200, "{path}: {}", response.body);
        serde_json::from_str(&response.body).expect("JSON")
    }

    /// The address that the log names.
    pub fn metrics_address(&self) -> String {
        loop {
            // It is written before the address that the start waited for.
            if let Some((_, rest)) = self.log().split_once("metrics are on http://") {
                return rest.split('/').next().unwrap_or_default().to_owned();
            }
            std::thread::yield_now();
        }
    }

    /// The `/metrics` page.
    pub fn metrics(&self) -> String {
        let response =
            Connection::open(&self.metrics_address()).request("GET", "/metrics", &[], "").expect("an answer");
        assert_eq!(response.status, 200, "{}", response.body);
        response.body
    }

    /// How often each path was viewed, over the last year and every page of the list.
    pub fn views_by_path(&self, website_id: &str, key: &str) -> HashMap<String, u64> {
        let mut views = HashMap::new();
        let mut connection = self.connect();
        loop {
            let path =
                format!("/api/external/v1/analytics/{website_id}/pages?range=1y&limit=100&offset={}", views.len());
            let response = connection.request("GET", &path, &[("X-API-Key", key)], "").expect("an answer");
            assert_eq!(response.status, 200, "{}", response.body);
            let body: serde_json::Value = serde_json::from_str(&response.body).expect("JSON");
            for page in body["data"]["pages"].as_array().expect("pages") {
                let path = page["url"].as_str().expect("a path").to_owned();
                let count = page["views"].as_u64().expect("a count");
                assert_eq!(views.insert(path, count), None, "a path stands in the list twice");
            }
            if body["data"]["pagination"]["has_more"] != true {
                return views;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that failed must not leave a server behind. Both fail when it has ended already.
        if self.child.kill().is_ok() && self.child.wait().is_err() {
            eprintln!("a server was left behind");
        }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: String,
}

/// A kept-alive HTTP/1.1 connection.
pub struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Connection {
    /// Connects to `address`.
    pub fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("nodelay can be set");
        Self { stream: BufReader::new(stream), host: address.to_owned() }
    }

    /// Sends one request and reads its answer.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> std::io::Result<Response> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        head.push_str(body);
        self.stream.get_mut().write_all(head.as_bytes())?;
        self.read_response()
    }

    fn read_response(&mut self) -> std::io::Result<Response> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        let mut headers = HashMap::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim().split_once(':') {
                Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
                None => break,
            };
        }
        let length = headers.get("content-length").and_then(|value: &String| value.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Response { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

/// Clients that send pageviews, each with a path of its own, until they are told to stop or the server goes away.
pub struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<String>>>,
    sent: Arc<Mutex<Vec<String>>>,
    refused: Arc<AtomicU32>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts `clients` clients. `label` makes their paths different from those of other loads.
    pub fn start(server: &Server, tracking_code: &str, domain: &str, label: &str, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let sent = Arc::new(Mutex::new(Vec::new()));
        let refused = Arc::new(AtomicU32::new(0));
        let threads = (0..clients)
            .map(|client| {
                let (stop, acknowledged, sent, refused) =
                    (Arc::clone(&stop), Arc::clone(&acknowledged), Arc::clone(&sent), Arc::clone(&refused));
                let (address, code, domain, label) =
                    (server.address.clone(), tracking_code.to_owned(), domain.to_owned(), label.to_owned());
                std::thread::spawn(move || {
                    let mut connection = Connection::open(&address);
                    for number in 0_usize.. {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let path = format!("/{label}/{client}/{number}");
                        sent.lock().expect("no client panics").push(path.clone());
                        // A new address every 30 events, so that no per-address limit is met.
                        let address =
                            format!("10.{}.{}.{}", client % 256, (number / 30) / 250 % 256, (number / 30) % 250);
                        let body = pageview(&domain, &path, &format!("session-{label}-{client}-{}", number / 7));
                        let Ok(response) =
                            connection.request("POST", &format!("/e/{code}"), &[("X-Forwarded-For", &address)], &body)
                        else {
                            break;
                        };
                        match response.status {
                            200 => acknowledged.lock().expect("no client panics").push(path),
                            503 => {
                                assert!(response.headers.contains_key("retry-after"), "a 503 says when to come back");
                                refused.fetch_add(1, Ordering::Relaxed);
                            }
                            other => panic!("{other}: {}", response.body),
                        }
                    }
                })
            })
            .collect();
        Self { stop, acknowledged, sent, refused, threads }
    }

    /// What was acknowledged so far.
    pub fn acknowledged(&self) -> Vec<String> {
        self.acknowledged.lock().expect("no client panics").clone()
    }

    /// How many requests were answered 503 so far.
    pub fn refused(&self) -> u32 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The counter behind [`Load::refused`], which goes on until the clients have stopped.
    pub fn refused_counter(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.refused)
    }

    /// Waits until `enough(self)` holds; a load that makes no progress for a long time fails the test.
    pub fn wait_until(&self, what: &str, enough: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !enough(self) {
            assert!(started.elapsed() < PATIENCE * 3, "never happened: {what}");
            std::thread::yield_now();
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// Stops the clients: `(acknowledged, sent)`.
    pub fn finish(self) -> (Vec<String>, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("no client panics");
        }
        let take = |list: &Mutex<Vec<String>>| std::mem::take(&mut *list.lock().expect("no client panics"));
        (take(&self.acknowledged), take(&self.sent))
    }
}

/// The body of the server example of S4, for another page and session.
pub fn pageview(domain: &str, path: &str, session: &str) -> String {
    serde_json::json!({
        "event_type": "pageview",
        "url": format!("https://{domain}{path}"),
        "session_id": session,
        "user_agent": "MyServer/1.0",
        "device_type": "desktop",
        "browser": "Server",
        "os": "Linux",
    })
    .to_string()
}

/// Asserts that acknowledged ⊆ stored ⊆ sent and that everything is stored once.
pub fn assert_exactly_once(acknowledged: &[String], stored: &HashMap<String, u64>, sent: &[String]) {
    let lost: Vec<_> = acknowledged.iter().filter(|path| !stored.contains_key(*path)).collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged events are lost, such as {:?}",
        lost.len(),
        acknowledged.len(),
        lost[0]
    );
    let sent: std::collections::HashSet<_> = sent.iter().collect();
    for (path, count) in stored {
        assert!(sent.contains(path), "{path} was never sent");
        assert_eq!(*count, 1, "{path} is stored more than once");
    }
}
