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
}

/// A way to an S3 server.
pub struct Proxy {
    pub url: String,
    way: Arc<Mutex<Way>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    pub fn to(s3: &S3) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (way, open) = (Arc::new(Mutex::new(Way::Open)), Arc::<Mutex<Vec<TcpStream>>>::default());
        let target = s3.url.trim_start_matches("http://").to_owned();
        let (their_way, theirs) = (Arc::clone(&way), Arc::clone(&open));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                theirs.lock().expect("no thread panics").push(client.try_clone().expect("a stream"));
                let way = *their_way.lock().expect("no thread panics");
                let target = target.clone();
                std::thread::spawn(move || drop(serve(client, way, &target)));
            }
        });
        Self { url, way, open }
    }

    /// From now on requests go this way, and connections that are open are closed.
    pub fn set(&self, way: Way) {
        *self.way.lock().expect("no thread panics") = way;
        for stream in self.open.lock().expect("no thread panics").drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

fn serve(mut client: TcpStream, way: Way, target: &str) -> std::io::Result<()> {
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
        Way::Open | Way::Cuts => {
            let mut server = TcpStream::connect(target)?;
            let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
            std::thread::spawn(move || {
                drop(std::io::copy(&mut from_client, &mut to_server));
                drop(to_server.shutdown(Shutdown::Write));
            });
            if way == Way::Cuts {
                let mut some = [0; 64];
                let read = server.read(&mut some)?;
                client.write_all(&some[..read])?;
            } else {
                std::io::copy(&mut server, &mut client)?;
            }
            drop(server.shutdown(Shutdown::Both));
            client.shutdown(Shutdown::Both)
        }
    }
}
