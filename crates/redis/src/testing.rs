//! A Redis server for tests. It listens on a socket in its own directory and on no port, and ends with the process, however that ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// Runs the server until whoever started it closes its standard input, as the system does when a process is killed. Meanwhile it does
/// what it is told there, a word a line.
const RUN: &str = r#"
set -eu
dir=$1
server= is_ready=
finish() {
    [ -n "$is_ready" ] || cat "$dir/log" >&3
    [ -z "$server" ] || { kill -KILL "$server" && wait "$server" || true; }
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP
start() {
    redis-server --port 0 --unixsocket "$dir/redis.sock" --dir "$dir" --save '' --appendonly no &
    server=$!
    until redis-cli -s "$dir/redis.sock" ping | grep -q PONG; do kill -0 "$server"; sleep 0.02; done
}
start
is_ready=yes
echo ready >&3
while read -r word; do
    case $word in
    crash) kill -KILL "$server"; wait "$server" || true; server= ;;
    start) start ;;
    stop) kill -STOP "$server" ;;
    go-on) kill -CONT "$server" ;;
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

impl Server {
    /// A server of a test's own, which may end before the test does.
    pub(crate) fn start() -> Self {
        // Short: the path of a socket has at most 107 bytes.
        let dir = tempfile::Builder::new().prefix("zenovay-redis-").tempdir_in("/tmp").unwrap().keep();
        let log = std::fs::File::create(dir.join("log")).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec 3>&1 >&2\n{RUN}"), "sh"]).arg(&dir);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let (mut output, mut answer) = (BufReader::new(child.stdout.take().unwrap()), String::new());
        output.read_line(&mut answer).unwrap();
        if answer != "ready\n" {
            output.read_to_string(&mut answer).unwrap();
            panic!("these tests need redis-server and redis-cli, which scripts/setup installs: {answer}");
        }
        Self { dir, shell: child, output }
    }

    /// The URL of its database.
    pub(crate) fn url(&self) -> String {
        format!("unix://{}/redis.sock", self.dir.display())
    }

    /// The names of its keys like this, with what is no text left out.
    pub(crate) fn keys(&self, pattern: &str) -> Vec<String> {
        let mut asked = Command::new("redis-cli");
        asked.arg("-s").arg(self.dir.join("redis.sock")).args(["--raw", "keys", pattern]);
        let asked = asked.output().unwrap();
        String::from_utf8_lossy(&asked.stdout).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// Ends it as a crash does (`crash`), starts it again (`start`), stops its process (`stop`) or lets it go on (`go-on`).
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
