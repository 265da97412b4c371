//! The server as it is configured, on a socket of its own in this process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use serde_json::Value;
use zenovay::config::{CommonFlags, Config, ServerFlags};
use zenovay::http::connection::Connections;
use zenovay::http::state::AppState;
use zenovay::runtime::main_server;
use zenovay_domain::Clock;
use zenovay_events::EventStore;

use super::TestApp;

/// Only ever reached when something is broken.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server with settings of its own over the stores of `app`, answering queries from `events`.
pub struct Running {
    pub address: SocketAddr,
    pub connections: Arc<Connections>,
    pub handle: ServerHandle,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Running {
    /// Over the stores of `app`, answering queries from `events`.
    pub fn start(app: &TestApp, events: Arc<dyn EventStore>, flags: &ServerFlags) -> Self {
        Self::changed(app, events, flags, |_, _| {})
    }

    /// The same with a state that `change` has changed.
    pub fn changed(
        app: &TestApp,
        events: Arc<dyn EventStore>,
        flags: &ServerFlags,
        change: impl FnOnce(&Config, &mut AppState),
    ) -> Self {
        let data_dir = app.directory.path().display().to_string();
        let common = CommonFlags { data_dir: Some(data_dir), ..CommonFlags::default() };
        let config = Config::load(&common, flags, []).unwrap();
        let clock: Arc<dyn Clock> = app.clock.clone();
        let mut state = AppState::new(
            &config,
            clock,
            app.state.store.clone(),
            events,
            app.state.captures.clone(),
            app.state.ingest.clone(),
        );
        change(&config, &mut state);
        let state = Arc::new(state);
        let connections = Arc::clone(&state.connections);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, handle) = channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let server = main_server(&config, listener, state)?;
                sender.send(server.handle()).unwrap();
                server.await
            })
        });
        Self { address, connections, handle: handle.recv_timeout(PATIENCE).unwrap(), thread: Some(thread) }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends these bytes and reads an answer: its status and body.
    pub fn exchange(&self, request: &str) -> (u16, Value, String) {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        answer(stream)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(Ok(())))) || std::thread::panicking());
    }
}

/// The status, the body as JSON (null when it is none) and the head of an answer.
pub fn answer(stream: TcpStream) -> (u16, Value, String) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "the connection ended: {head:?}");
    }
    let head = head.to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default(), head)
}
