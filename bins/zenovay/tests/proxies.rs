//! The proxy configurations of `docs/deploy`, run by the real nginx and Caddy with TLS in front of the real server. Only
//! names of files, ports and addresses are replaced.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod process;

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use process::{Server, Site, not_possible_here, pageview};

const PATIENCE: Duration = Duration::from_secs(60);

/// One more than an address may send in 10 seconds: so many from one address would be refused.
const CLIENTS: u8 = 61;

/// A program that ends with the test.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        if self.0.kill().is_ok() && self.0.wait().is_err() {
            eprintln!("a proxy was left behind");
        }
    }
}

impl Proxy {
    /// Starts the proxy and waits until it takes connections at `port`.
    fn start(command: &mut Command, port: u16) -> Self {
        let child = command.stdin(Stdio::null()).spawn().expect("the proxy starts");
        let mut proxy = Self(child);
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(proxy.0.try_wait().expect("a status").is_none(), "the proxy ended");
            assert!(started.elapsed() < PATIENCE, "the proxy does not listen");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        proxy
    }
}

struct Place {
    directory: tempfile::TempDir,
    site: Site,
    server: Server,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let site = Site::create(&directory.path().join("data"), directory.path(), "");
        let server = site.serve_trusting("127.0.0.1");
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=stats.example.com", "-addext", "subjectAltName=DNS:stats.example.com", "-keyout"])
            .arg(directory.path().join("key.pem"))
            .arg("-out")
            .arg(directory.path().join("cert.pem"))
            .stderr(Stdio::null())
            .status();
        assert!(made.expect("openssl runs").success());
        Self { directory, site, server }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().expect("a path that is UTF-8").to_owned()
    }

    /// nginx with the documented configuration of the server at `port`, and of a website at `shop_port`.
    fn nginx(&self, port: u16, shop_port: u16) -> Proxy {
        let server = replaced(
            "nginx.conf",
            &[
                ("server 127.0.0.1:8080;", &format!("server {};", self.server.address)),
                ("listen 443 ssl;", &format!("listen 127.0.0.1:{port} ssl;")),
                ("/etc/letsencrypt/live/stats.example.com/fullchain.pem", &self.path("cert.pem")),
                ("/etc/letsencrypt/live/stats.example.com/privkey.pem", &self.path("key.pem")),
            ],
        );
        let shop = replaced(
            "nginx-first-party.conf",
            &[("https://stats.example.com;", &format!("https://127.0.0.1:{port};"))],
        );
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {};\n", self.path(what)))
            .concat();
        let whole = format!(
            "daemon off;\nmaster_process off;\npid {};\nerror_log stderr error;\nevents {{}}\nhttp {{\naccess_log off;\n\
             {temporary}{server}\nserver {{\nlisten 127.0.0.1:{shop_port};\nserver_name shop.example.com;\n{shop}\n}}\n}}\n",
            self.path("nginx.pid")
        );
        std::fs::write(self.path("nginx.conf"), whole).expect("the configuration can be written");
        Proxy::start(Command::new("nginx").args(["-e", "stderr", "-c", &self.path("nginx.conf")]), port)
    }

    fn caddy(&self, port: u16) -> Proxy {
        let site = replaced(
            "Caddyfile",
            &[
                (
                    "stats.example.com {",
                    &format!(
                        "https://stats.example.com:{port} {{\n\ttls {} {}",
                        self.path("cert.pem"),
                        self.path("key.pem")
                    ),
                ),
                ("127.0.0.1:8080", &self.server.address),
            ],
        );
        let whole = format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{site}");
        std::fs::write(self.path("Caddyfile"), whole).expect("the configuration can be written");
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config", &self.path("Caddyfile")]).stderr(Stdio::null());
        for variable in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
            command.env(variable, self.directory.path());
        }
        Proxy::start(&mut command, port)
    }

    /// The status of a GET of `path` through the proxy at `port`.
    fn status(&self, port: u16, path: &str) -> String {
        curl(&[&format!("https://stats.example.com:{port}{path}")], port)
    }

    /// A view from each of [`CLIENTS`] addresses, to `base`: all must be stored.
    fn assert_clients_have_addresses_of_their_own(&self, base: &str, port: u16) {
        for client in 2..2 + CLIENTS {
            let body = pageview("example.com", "/through", &format!("session-{port}-{client}"));
            let address = format!("127.0.0.{client}");
            let url = format!("{base}/e/{}", self.site.tracking_code);
            let status = curl(
                &["--interface", &address, "-H", "Content-Type: application/json", "--data-binary", &body, &url],
                port,
            );
            assert_eq!(status, "200", "{address} through {base}");
        }
    }
}

/// A file of `docs/deploy` with each of the replacements made; a string that is not there any more fails.
fn replaced(name: &str, replacements: &[(&str, &str)]) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/deploy").join(name);
    let mut text = std::fs::read_to_string(path).expect("the documented configuration");
    for (from, to) in replacements {
        assert!(text.contains(from), "{name} has no {from}");
        text = text.replace(from, to);
    }
    text
}

/// Runs curl, which takes the names of the test to be this machine, and returns the status it was answered.
fn curl(arguments: &[&str], port: u16) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--insecure", "--output", "/dev/null", "--write-out", "%{http_code}"])
        .args(["--resolve", &format!("stats.example.com:{port}:127.0.0.1")])
        .args(["--resolve", &format!("shop.example.com:{port}:127.0.0.1")])
        .args(arguments)
        .output()
        .expect("curl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A port on which nobody listens. It is none of those that the kernel gives to whoever asks for any, as the other tests do
/// at the same time, and no two calls are given the same one.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + (std::process::id() % 10_000) as u16;
    let mut ports = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed)).take(1_000);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a port")
}

fn missing(program: &str) -> bool {
    let found = Command::new(program).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_err() {
        not_possible_here("proxies", &format!("{program} is not installed"));
    }
    found.is_err()
}

/// Sabotage: leave X-Forwarded-For out of `docs/deploy/nginx.conf`.
#[test]
fn nginx_as_documented() {
    if missing("nginx") || missing("curl") || missing("openssl") {
        return;
    }
    let place = Place::new();
    let (port, shop_port) = (free_port(), free_port());
    let _nginx = place.nginx(port, shop_port);
    assert_eq!(place.status(port, "/healthz"), "200");
    assert_eq!(place.status(port, "/metrics"), "404");
    place.assert_clients_have_addresses_of_their_own(&format!("https://stats.example.com:{port}"), port);
    place.assert_clients_have_addresses_of_their_own(&format!("http://shop.example.com:{shop_port}/api/_z"), shop_port);
    let script = curl(&[&format!("http://shop.example.com:{shop_port}/api/_z/z.js")], shop_port);
    assert!(script == "200" || script == "503", "a server that was built without the script says so: {script}");
    let stored = place.server.views_by_path(&place.site.website_id, &place.site.key);
    assert_eq!(stored.get("/through"), Some(&(2 * u64::from(CLIENTS))));
}

/// Sabotage: let the server trust nobody.
#[test]
fn caddy_as_documented() {
    if missing("caddy") || missing("curl") || missing("openssl") {
        return;
    }
    let place = Place::new();
    let port = free_port();
    let _caddy = place.caddy(port);
    assert_eq!(place.status(port, "/healthz"), "200");
    assert_eq!(place.status(port, "/metrics"), "404");
    place.assert_clients_have_addresses_of_their_own(&format!("https://stats.example.com:{port}"), port);
    let stored = place.server.views_by_path(&place.site.website_id, &place.site.key);
    assert_eq!(stored.get("/through"), Some(&u64::from(CLIENTS)));
}

/// Sabotage: say nothing, or say it for every request.
#[test]
fn a_proxy_that_is_not_trusted_is_told_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let site = Site::create(&directory.path().join("data"), directory.path(), "");
    let server = site.serve_trusting("192.0.2.1");
    let hit = |address: &str| {
        let body = pageview("example.com", "/a", "a-session");
        let path = format!("/e/{}", site.tracking_code);
        let answer = server.connect().request("POST", &path, &[("X-Forwarded-For", address)], &body);
        assert_eq!(answer.expect("an answer").status, 200);
    };
    hit("198.51.100.7");
    hit("198.51.100.8");
    let (status, log) = server.terminate_with_log();
    assert!(status.success(), "{status}");
    assert_eq!(log.matches("--trusted-proxies").count(), 1, "{log}");
    assert!(!log.contains("198.51.100"), "{log}");
}
