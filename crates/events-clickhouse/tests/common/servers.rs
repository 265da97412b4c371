//! Two servers of ClickHouse for the tests of a process, the two shards of a cluster, and a database for each test. They listen on
//! the loopback interface, and end with the process, however that ends.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use zenovay_events_clickhouse::Config;

/// What the cluster is called.
const CLUSTER: &str = "tests";
/// Who asks, the servers each other among them.
const USER: (&str, &str) = ("app", "secret-of-nobody");
/// For how long a server may start or do something, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Server {
    child: Child,
    dir: PathBuf,
    pub(crate) url: String,
}

/// Ends the server: its standard input is closed. One that is not dropped removes its directory when this process ends.
impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        // One that was killed left it.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Server {
    /// Ends it as a crash does.
    pub(crate) fn crash(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The time that it had on cores.
    pub(crate) fn cpu(&self) -> Duration {
        cpu(self.child.id())
    }

    /// Sends it a signal, by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Starts it again where it was.
    pub(crate) fn start_again(&mut self) {
        self.child = launch(&python(), &self.dir);
        assert!(is_ready(self), "its port was taken meanwhile");
    }
}

/// The time that a process had on cores, to a hundredth of a second.
pub(crate) fn cpu(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = [11, 12].into_iter().map(|at| fields[at].parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// The servers of all tests. What is static is never dropped: the system closes their standard inputs.
static SHARED: LazyLock<Vec<Server>> = LazyLock::new(|| start(2));

/// A database of its own on the servers of all tests, which has no tables yet.
pub(crate) fn config() -> Config {
    config_of(&SHARED)
}

/// A database of its own on these servers, which are the shards of their cluster.
pub(crate) fn config_of(servers: &[Server]) -> Config {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let database = format!("test_{}", MADE.fetch_add(1, Ordering::Relaxed));
    let urls = servers.iter().map(|server| server.url.clone());
    let mut config = Config::of_cluster(CLUSTER, urls).database(database).user(USER.0, USER.1);
    config.patience = PATIENCE;
    config
}

/// The result of a statement on a server, as lines.
pub(crate) fn execute(url: &str, statement: &str) -> String {
    let address = url.strip_prefix("http://").unwrap();
    request(address, statement).unwrap_or_else(|error| panic!("{statement}: {error}"))
}

/// The rows of each path in the database of `config`, those of all shards together.
pub(crate) fn rows_by_path(config: &Config) -> HashMap<String, u64> {
    let mut rows_by_path = HashMap::new();
    for shard in &config.shards {
        let asked = format!("SELECT page, count() FROM {}.events GROUP BY page", config.database);
        for line in execute(shard, &asked).lines() {
            let (path, rows) = line.split_once('\t').unwrap();
            *rows_by_path.entry(path.to_owned()).or_default() += rows.parse::<u64>().unwrap();
        }
    }
    rows_by_path
}

/// Starts the shards of a cluster.
pub(crate) fn start(shards: usize) -> Vec<Server> {
    let python = python();
    // Somebody else may take a port before it is used: then others are tried.
    for _ in 0..5 {
        let ports = free_ports(2 * shards);
        let (http, native) = ports.split_at(shards);
        let mut servers: Vec<Server> = http.iter().map(|&port| spawn(&python, port, http, native)).collect();
        if servers.iter_mut().all(is_ready) {
            return servers;
        }
    }
    panic!("no server of ClickHouse started");
}

/// The Python that has the package, which a script of the project installs.
fn python() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/clickhouse");
    let made = Command::new(&script).output().unwrap();
    assert!(made.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&made.stderr));
    PathBuf::from(String::from_utf8(made.stdout).unwrap().trim())
}

fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

fn spawn(python: &Path, port: u16, http: &[u16], native: &[u16]) -> Server {
    let place = http.iter().position(|&other| other == port).unwrap();
    let dir = std::env::temp_dir().join(format!("zenovay-clickhouse-{}-{port}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let path = dir.display();
    let (user, password) = USER;
    let shards: String = native
        .iter()
        .map(|port| {
            format!(
                "<shard><internal_replication>true</internal_replication><replica><host>127.0.0.1</host><port>{port}</port>\
                 <user>{user}</user><password>{password}</password></replica></shard>"
            )
        })
        .collect();
    let config = format!(
        "<clickhouse><listen_host>127.0.0.1</listen_host><http_port>{port}</http_port><tcp_port>{tcp}</tcp_port>\
         <logger><level>warning</level><log>{path}/log</log><errorlog>{path}/errors</errorlog></logger><timezone>UTC</timezone>\
         <users_config>{path}/users.xml</users_config><mark_cache_size>67108864</mark_cache_size>\
         <max_server_memory_usage>1500000000</max_server_memory_usage><max_thread_pool_size>400</max_thread_pool_size>\
         <background_pool_size>2</background_pool_size><background_schedule_pool_size>8</background_schedule_pool_size>\
         <remote_servers><{CLUSTER}>{shards}</{CLUSTER}></remote_servers><macros><port>{port}</port></macros></clickhouse>",
        tcp = native[place],
    );
    // The launcher is `default` before there is a listener.
    let users = format!(
        "<clickhouse><profiles><default><max_threads>2</max_threads></default></profiles><quotas><default/></quotas><users>\
         <default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default>\
         <{user}><password>{password}</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>\
         <quota>default</quota></{user}></users></clickhouse>"
    );
    fs::write(dir.join("config.xml"), config).unwrap();
    fs::write(dir.join("users.xml"), users).unwrap();
    Server { child: launch(python, &dir), dir, url: format!("http://127.0.0.1:{port}") }
}

fn launch(python: &Path, dir: &Path) -> Child {
    let output = fs::File::create(dir.join("output")).unwrap();
    let launcher = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/events-clickhouse/tests/common/serve.py");
    let mut command = Command::new(python);
    command.arg(launcher).arg(dir).stdin(Stdio::piped()).stderr(output.try_clone().unwrap()).stdout(output);
    command.spawn().unwrap()
}

/// Waits until the server answers, and it is this one; `false` when it ended.
fn is_ready(server: &mut Server) -> bool {
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let port = address.rsplit(':').next().unwrap().to_owned();
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(status) = server.child.try_wait().unwrap() {
            let said = fs::read_to_string(server.dir.join("output")).unwrap_or_default();
            eprintln!("a server of ClickHouse ended with {status}: {said}");
            return false;
        }
        match request(&address, "SELECT getMacro('port')") {
            Ok(answer) if answer.trim() == port => return true,
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    panic!("a server of ClickHouse did not answer within {} s", PATIENCE.as_secs());
}

fn request(address: &str, statement: &str) -> Result<String, String> {
    let fail = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(address).map_err(fail)?;
    let (user, password) = USER;
    let head = format!(
        "POST / HTTP/1.0\r\nX-ClickHouse-User: {user}\r\nX-ClickHouse-Key: {password}\r\nContent-Length: {}\r\n\r\n",
        statement.len()
    );
    stream.write_all(head.as_bytes()).map_err(fail)?;
    stream.write_all(statement.as_bytes()).map_err(fail)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(fail)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    if head.split(' ').nth(1) == Some("200") { Ok(body.to_owned()) } else { Err(body.to_owned()) }
}
