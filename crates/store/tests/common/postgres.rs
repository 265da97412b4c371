//! A PostgreSQL server for the tests of a process, and a database for each of them. It listens on a socket in its own directory
//! and on no port, and ends with the process, however that ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use zenovay_store::PostgresStore;

/// Runs the server until whoever started it closes its standard input, as the system does when a process is killed. Meanwhile it does
/// what it is told there, a word a line.
const RUN: &str = r#"
set -eu
bin=$1 dir=$2
server= is_ready=
finish() {
    [ -n "$is_ready" ] || cat "$dir/log" >&3
    [ -z "$server" ] || { kill -QUIT "$server" && wait "$server" || true; }
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP
"$bin/initdb" -D "$dir/data" -A trust -U postgres -E UTF8 --locale=C -N --no-instructions
start() {
    "$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c unix_socket_permissions=0777 -c max_connections=400 \
        -c fsync=off -c full_page_writes=off -c shared_buffers=32MB -c autovacuum=off &
    server=$!
    until "$bin/pg_isready" -q -h "$dir" -U postgres; do kill -0 "$server"; sleep 0.05; done
}
start
is_ready=yes
echo ready >&3
while read -r word; do
    case $word in
    crash) kill -QUIT "$server"; wait "$server" || true; server= ;;
    start) start ;;
    stop) kill -STOP "$server" $(pgrep -P "$server") ;;
    go-on) kill -CONT "$server" $(pgrep -P "$server") ;;
    esac
    echo ready >&3
done
"#;

/// A server that ends with this.
pub(crate) struct Server {
    dir: PathBuf,
    /// Its standard input is closed when the process ends.
    shell: Child,
    output: BufReader<ChildStdout>,
}

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

/// The directory of `initdb`, that of the newest version where there are several.
fn programs() -> PathBuf {
    let of_debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<PathBuf> = of_debian.map(|entry| entry.unwrap().path().join("bin")).collect();
    found.sort_by_key(|dir| dir.parent().and_then(Path::file_name)?.to_str()?.parse::<u32>().ok());
    found.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let has_all = |dir: &&PathBuf| ["initdb", "postgres", "pg_isready"].iter().all(|name| dir.join(name).exists());
    found.iter().rev().find(has_all).cloned().expect(
        "these tests need the programs of a PostgreSQL server, 15 or newer: initdb is neither on the PATH nor in \
         /usr/lib/postgresql/*/bin. scripts/setup installs them",
    )
}

impl Server {
    /// A server of a test's own, which may end before the test does.
    pub(crate) fn start() -> Self {
        // Short: the path of a socket has at most 107 bytes.
        let dir = tempfile::Builder::new().prefix("zenovay-pg-").tempdir_in("/tmp").unwrap().keep();
        let log = std::fs::File::create(dir.join("log")).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec 3>&1 >&2\n{RUN}"), "sh"]).arg(programs()).arg(&dir);
        if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
            // PostgreSQL refuses to run as root.
            let users = std::fs::read_to_string("/etc/passwd").unwrap();
            let line = users.lines().find(|line| line.starts_with("postgres:")).expect("a user `postgres`, as root");
            let ids: Vec<u32> = line.split(':').skip(2).take(2).map(|id| id.parse().unwrap()).collect();
            chown(&dir, Some(ids[0]), Some(ids[1])).unwrap();
            command.uid(ids[0]).gid(ids[1]).current_dir("/");
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let (mut output, mut answer) = (BufReader::new(child.stdout.take().unwrap()), String::new());
        output.read_line(&mut answer).unwrap();
        if answer != "ready\n" {
            output.read_to_string(&mut answer).unwrap();
            panic!("PostgreSQL did not start: {answer}");
        }
        Self { dir, shell: child, output }
    }

    /// The URL of its first database.
    pub(crate) fn url(&self) -> String {
        url_in(&self.dir, "postgres")
    }

    /// The socket that it listens on.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join(".s.PGSQL.5432")
    }

    /// Ends it as a crash does (`crash`), starts it again (`start`), stops its processes (`stop`) or lets them go on (`go-on`).
    pub(crate) fn tell(&mut self, word: &str) {
        writeln!(self.shell.stdin.as_mut().unwrap(), "{word}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        assert_eq!(answer, "ready\n", "{word}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        self.shell.wait().unwrap();
    }
}

/// The URL of a database of the server.
fn url(name: &str) -> String {
    url_in(&SERVER.dir, name)
}

fn url_in(dir: &Path, name: &str) -> String {
    format!("postgres://postgres:secret-of-nobody@/{name}?host={}", dir.display())
}

/// A connection to a database that did not come from a store.
pub(crate) fn connect(url: &str) -> PgConnection {
    PgConnection::establish(url).unwrap()
}

/// An empty database.
pub(crate) fn empty_database() -> String {
    create_database("template1")
}

/// A database with the schema of this program and nothing in it.
pub(crate) fn database() -> String {
    static WITH_SCHEMA: LazyLock<()> = LazyLock::new(|| {
        connect(&url("postgres")).batch_execute("CREATE DATABASE with_schema").unwrap();
        drop(PostgresStore::open(&url("with_schema")).unwrap());
    });
    LazyLock::force(&WITH_SCHEMA);
    create_database("with_schema")
}

fn create_database(template: &str) -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", MADE.fetch_add(1, Ordering::Relaxed));
    connect(&url("postgres")).batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).unwrap();
    url(&name)
}
