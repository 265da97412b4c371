"""A real server on a directory of its own, for the scripts that measure over HTTP."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOMAIN = "load.example"
# Limits that measuring must not meet; everything else is as shipped.
SETTINGS = ["--trusted-proxies", "127.0.0.0/8", "--tracking-requests-per-10s", "1000000000",
            "--tracking-requests-per-hour", "1000000000", "--public-requests-per-minute", "1000000000", "--log-level", "error"]
# For measuring without a limit on memory.
MUCH_QUERY_MEMORY = ["--query-memory-bytes", "8589934592"]
PLAN = "[plans.enterprise]\nrequests_per_minute = 1000000000\nrequests_per_month = 1000000000\n"


def build(package, binary, *words, root=ROOT):
    """Builds a release binary of the checkout `root`, with `words` for cargo, and returns its path. `package` may be None."""
    where = ["-p", package] if package else ["--workspace"]
    command = ["cargo", "build", "--release", "--locked", *where, "--bin", binary, "--message-format=json", *words]
    output = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=True).stdout
    for line in output.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == binary:
            return message["executable"]
    raise SystemExit(f"cargo built no {binary}")


class Connection:
    """A connection that is kept open. Python's own client takes 0.1 ms more for a request, a quarter of a short one; this one
    sends and receives, and reads of the head what it must."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.host = address
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path, headers):
        """The body of a GET that must succeed."""
        lines = [f"GET {path} HTTP/1.1", f"Host: {self.host}", *(f"{name}: {value}" for name, value in headers.items())]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        received = self.receive()
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self.receive()
        head = received[:end].lower()
        length = int(head.split(b"\r\ncontent-length:", 1)[1].split(b"\r\n", 1)[0])
        body = received[end + 4:]
        while len(body) < length:
            body += self.receive()
        if not head.startswith(b"http/1.1 200 ") or len(body) != length:
            raise SystemExit(f"GET {path}: {head[:500]!r} {body[:500]!r}")
        return body

    def receive(self):
        received = self.socket.recv(1 << 16)
        if not received:
            raise SystemExit("the server hung up")
        return received

    def close(self):
        self.socket.close()


class Process:
    """A server process that prints `listening on http://ADDRESS` when it is ready."""

    def __init__(self, command, env=None):
        started = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
        self.address = None
        for line in self.process.stdout:
            if line.startswith("listening on http://"):
                self.address = line.removeprefix("listening on http://").strip()
                break
        if self.address is None:
            raise SystemExit(f"{command[0]} ended with {self.process.wait()} before it listened")
        self.start_s = time.perf_counter() - started

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mb(self, field="VmRSS"):
        """Resident memory; with `VmHWM` the most there ever was."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
        raise SystemExit("the server has ended")

    def get(self, path, headers=None, connection=None):
        """The body of a GET that must succeed, over `connection` when it is given."""
        own = connection or self.connect()
        body = own.get(path, headers or {})
        if connection is None:
            own.close()
        return body

    def connect(self):
        """A connection for `Connection.get`."""
        return Connection(self.address)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Zenovay:
    """A data directory with a user, a team, websites and a key, and the server on it."""

    def __init__(self, binary, directory, domains=(DOMAIN,)):
        self.binary, self.directory = binary, pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.data = self.directory / "data"
        self.config = self.directory / "zenovay.toml"
        self.config.write_text(PLAN)
        # Settings of the caller's environment are not what is measured.
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("ZENOVAY_")}
        email = "owner@load.example"
        self.command("user", "create", "--email", email, "--name", "Owner", "--password-stdin",
                     given="correct horse battery staple 42")
        team = self.command("team", "create", "--name", "Load", "--owner", email, "--plan", "enterprise")["id"]
        self.websites = [self.command("website", "create", "--team", team, "--domain", domain, "--name", domain)
                         for domain in domains]
        self.key = self.command("key", "create", "--user", email, "--name", "load")["key"]
        self.process = None

    def command(self, *words, given=None):
        command = [self.binary, *words, "--config", self.config, "--data-dir", self.data, "--json"]
        done = subprocess.run(command, input=given, capture_output=True, text=True, env=self.env)
        if done.returncode != 0:
            raise SystemExit(f"zenovay {' '.join(words)}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def start(self, settings=MUCH_QUERY_MEMORY):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.metrics_address = f"127.0.0.1:{free.getsockname()[1]}"
        self.process = Process([self.binary, "serve", "--config", self.config, "--data-dir", self.data, "--listen",
                                "127.0.0.1:0", "--metrics-listen", self.metrics_address, *SETTINGS, *settings], self.env)
        return self.process

    def ask(self, path, connection=None):
        """`data` of an External API answer."""
        body = self.process.get(f"/api/external/v1{path}", {"X-API-Key": self.key}, connection)
        return json.loads(body)["data"]

    def stored(self):
        """Hits that ended as stored, by the server's own accounting."""
        total = 0.0
        connection = Connection(self.metrics_address)
        for line in connection.get("/metrics", {}).decode().splitlines():
            if line.startswith("zenovay_ingest_outcomes_total{") and 'outcome="stored"' in line:
                total += float(line.rsplit(" ", 1)[1])
        return int(total)
