//! A real S3 server, and what may happen on the way to it.
#![allow(unreachable_pub, reason = "of a test file")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// An S3 server with the bucket `recordings`.
pub struct S3 {
    server: Child,
    pub url: String,
    pub key_id: String,
    pub secret: String,
}

impl S3 {
    /// One that `words` say the kind of, see `server.py`.
    pub fn start(words: &[&str]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let dir: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("s3-server");
        let installed = Command::new(root.join("../../scripts/s3-server")).arg(&dir).output().expect("the script runs");
        let said = String::from_utf8_lossy(&installed.stderr);
        assert!(installed.status.success(), "scripts/s3-server cannot install an S3 server: {said}");
        let mut server = Command::new(dir.join("bin/python"))
            .arg(root.join("tests/bucket/server.py"))
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python starts");
        let mut line = String::new();
        BufReader::new(server.stdout.take().expect("stdout is piped")).read_line(&mut line).expect("a line");
        let told: serde_json::Value = serde_json::from_str(&line).expect("the server tells where it is");
        let word = |name: &str| told[name].as_str().expect("a string").to_owned();
        Self { server, url: word("url"), key_id: word("key_id"), secret: word("secret") }
    }
}

impl S3 {
    /// What a request of somebody who need not be known is answered, after its head: `GET /recordings/name`.
    pub fn ask(&self, request: &str, body: &[u8]) -> Vec<u8> {
        let host = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).expect("a connection");
        // Objects are for who is somebody, whoever that is.
        let who = "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let length = body.len();
        let head =
            format!("{request} HTTP/1.0\r\nHost: {host}\r\nAuthorization: {who}\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(&[head.as_bytes(), body].concat()).expect("it is sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("the end of a head");
        let status = String::from_utf8_lossy(&answer[..end]).into_owned();
        assert!(status.contains(" 200 ") || status.contains(" 204 "), "{request}: {status}");
        answer.split_off(end + 4)
    }

    /// The names of all objects that begin with `first`.
    pub fn names(&self, first: &str) -> Vec<String> {
        let list = self.ask(&format!("GET /recordings?list-type=2&prefix={first}"), b"");
        let list = String::from_utf8(list).expect("XML");
        let keys = list.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap_or_default().to_owned());
        keys.collect()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        drop(self.server.stdin.take());
        if self.server.wait().is_err() {
            eprintln!("an S3 server was left behind");
        }
    }
}

/// What happens to requests on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Nothing.
    Open,
    /// Connections are closed at once.
    Refuses,
    /// Each is answered by an error of the server.
    Fails,
    /// Each answer ends in its middle.
    Cuts,
    /// They are taken and not answered.
    Silent,
    /// One about an object whose name ends so never comes to the server, nor is answered.
    HoldsAt(&'static str),
}

/// A way to an S3 server.
pub struct Proxy {
    pub url: String,
    way: Arc<Mutex<Way>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub fn to(s3: &S3) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (way, open) = (Arc::new(Mutex::new(Way::Open)), Arc::<Mutex<Vec<TcpStream>>>::default());
        let target = s3.url.trim_start_matches("http://").to_owned();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (their_way, theirs, log) = (Arc::clone(&way), Arc::clone(&open), Arc::clone(&asked));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                theirs.lock().expect("no thread panics").push(client.try_clone().expect("a stream"));
                let way = *their_way.lock().expect("no thread panics");
                let (target, log) = (target.clone(), Arc::clone(&log));
                std::thread::spawn(move || drop(serve(client, way, &target, &log)));
            }
        });
        Self { url, way, open, asked }
    }

    /// The method and the path of all requests since this was asked the last time.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("no thread panics"))
    }

    /// From now on requests go this way, and connections that are open are closed.
    pub fn set(&self, way: Way) {
        *self.way.lock().expect("no thread panics") = way;
        for stream in self.open.lock().expect("no thread panics").drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

/// The method and the path of the request that begins with `piece`. A client that waits for each answer begins none within a piece.
fn request(piece: &[u8]) -> Option<String> {
    let line = piece.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line.get(..line.len().min(2_000))?).ok()?;
    let asked = line.strip_suffix(" HTTP/1.1")?;
    let path = asked.split_once(' ')?.1;
    path.starts_with('/').then(|| asked.to_owned())
}

/// Passes on what `client` sends, and notes what it asks for, until a request is to be held.
fn pass_on(client: &mut TcpStream, server: &mut TcpStream, way: Way, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut piece = vec![0; 65_536];
    loop {
        let read = client.read(&mut piece)?;
        if read == 0 {
            return server.shutdown(Shutdown::Write);
        }
        if let Some(asked) = request(&piece[..read]) {
            let path = asked.split('?').next().unwrap_or_default();
            let is_held = matches!(way, Way::HoldsAt(end) if path.ends_with(end));
            log.lock().expect("no thread panics").push(asked);
            if is_held {
                drop(std::io::copy(client, &mut std::io::sink()));
                return server.shutdown(Shutdown::Both);
            }
        }
        server.write_all(&piece[..read])?;
    }
}

fn serve(mut client: TcpStream, way: Way, target: &str, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    match way {
        Way::Refuses => client.shutdown(Shutdown::Both),
        Way::Silent => std::io::copy(&mut client, &mut std::io::sink()).map(drop),
        Way::Fails => {
            // To its end, so that the client reads the answer.
            let mut head = [0; 65_536];
            let read = client.read(&mut head)?;
            if read > 0 {
                client.write_all(
                    b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                )?;
                client.shutdown(Shutdown::Write)?;
                std::io::copy(&mut client, &mut std::io::sink())?;
            }
            Ok(())
        }
        Way::Open | Way::Cuts | Way::HoldsAt(_) => {
            let mut server = TcpStream::connect(target)?;
            let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
            std::thread::scope(|scope| {
                scope.spawn(move || drop(pass_on(&mut from_client, &mut to_server, way, log)));
                let answered = if way == Way::Cuts {
                    let mut some = [0; 64];
                    server.read(&mut some).and_then(|read| client.write_all(&some[..read]))
                } else {
                    std::io::copy(&mut server, &mut client).map(drop)
                };
                // Whoever passes on ends with the connections.
                drop(server.shutdown(Shutdown::Both));
                drop(client.shutdown(Shutdown::Both));
                answered
            })?;
            Ok(())
        }
    }
}
