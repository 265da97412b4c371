//! Something between a program and a server it depends on, which does to the connections what networks and servers do.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What becomes of what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It arrives.
    None,
    /// It is lost, and nobody is told; also later, on a connection on which something was lost.
    Silence,
    /// It arrives so much later.
    Slow(Duration),
    /// So many bytes of each answer arrive, and nothing after them on that connection, which stays.
    HalfAnswers(usize),
    /// So many bytes of each answer arrive, and the connection is closed.
    CutAnswers(usize),
    /// Connections are closed, old and new ones.
    Closed,
}

/// Where the server is.
#[derive(Debug, Clone)]
pub(crate) enum Behind {
    Tcp(String),
    Unix(PathBuf),
}

/// Listens on a port of its own for as long as the process lives.
#[derive(Clone)]
pub(crate) struct FaultyProxy {
    pub(crate) address: SocketAddr,
    fault: Arc<Mutex<Fault>>,
    open: Arc<Mutex<Vec<Stream>>>,
}

/// One end of a connection.
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn connect(behind: &Behind) -> std::io::Result<Self> {
        match behind {
            Behind::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
            Behind::Unix(path) => UnixStream::connect(path).map(Self::Unix),
        }
    }

    fn copy(&self) -> Self {
        match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone().unwrap()),
            Self::Unix(stream) => Self::Unix(stream.try_clone().unwrap()),
        }
    }

    fn close(&self) {
        // It fails when the other side was quicker.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }

    fn read(&mut self, bytes: &mut [u8]) -> usize {
        let read = match self {
            Self::Tcp(stream) => stream.read(bytes),
            Self::Unix(stream) => stream.read(bytes),
        };
        read.unwrap_or(0)
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        let written = match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            Self::Unix(stream) => stream.write_all(bytes),
        };
        written.is_ok()
    }
}

impl FaultyProxy {
    /// In front of a server.
    pub(crate) fn before(behind: Behind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Self { address, fault: Arc::new(Mutex::new(Fault::None)), open: Arc::default() };
        let made = proxy.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                client.set_nodelay(true).unwrap();
                // One whose server is away is closed at once.
                let Ok(server) = Stream::connect(&behind) else { continue };
                made.pass_both_ways(Stream::Tcp(client), server);
            }
        });
        proxy
    }

    /// From now on.
    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
        if fault == Fault::Closed {
            self.open.lock().unwrap().drain(..).for_each(|stream| stream.close());
        }
    }

    fn pass_both_ways(&self, client: Stream, server: Stream) {
        if *self.fault.lock().unwrap() == Fault::Closed {
            client.close();
            return;
        }
        self.open.lock().unwrap().extend([client.copy(), server.copy()]);
        let lost = Arc::new(Mutex::new(false));
        let ways = [(client.copy(), server.copy(), false), (server, client, true)];
        for (from, to, is_answer) in ways {
            let (proxy, lost) = (self.clone(), Arc::clone(&lost));
            std::thread::spawn(move || proxy.pass_on(from, to, is_answer, &lost));
        }
    }

    fn pass_on(&self, mut from: Stream, mut to: Stream, is_answer: bool, lost: &Mutex<bool>) {
        let mut bytes = [0; 16_384];
        loop {
            let read = from.read(&mut bytes);
            if read == 0 {
                break;
            }
            let fault = *self.fault.lock().unwrap();
            let mut lost = lost.lock().unwrap();
            let arrive = match fault {
                _ if *lost => 0,
                Fault::Silence => 0,
                Fault::HalfAnswers(most) | Fault::CutAnswers(most) if is_answer => read.min(most),
                _ => read,
            };
            *lost |= arrive < read;
            drop(lost);
            if let Fault::Slow(late) = fault {
                std::thread::sleep(late);
            }
            if !to.write(&bytes[..arrive]) || (arrive < read && matches!(fault, Fault::CutAnswers(_))) {
                break;
            }
        }
        from.close();
        to.close();
    }
}
