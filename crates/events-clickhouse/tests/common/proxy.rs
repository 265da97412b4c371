//! Something between whoever asks and a server that loses what it was told to lose.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What is lost of the bytes that come next.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// The connection ends after so many bytes of a question.
    Question(usize),
    /// It ends after so many bytes of an answer.
    Answer(usize),
    /// The answer does not come, and the connection stays.
    Silence,
}

/// Listens on a port of its own for as long as the process lives.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) url: String,
    faults: Arc<Mutex<VecDeque<Fault>>>,
}

impl Proxy {
    /// In front of the server at `url`.
    pub(crate) fn before(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self { url: format!("http://{}", listener.local_addr().unwrap()), faults: Arc::default() };
        let (server, made) = (url.strip_prefix("http://").unwrap().to_owned(), proxy.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // One whose server is away is closed at once.
                let Ok(server) = TcpStream::connect(&server) else { continue };
                let (proxy, other) = (made.clone(), (client.try_clone().unwrap(), server.try_clone().unwrap()));
                std::thread::spawn(move || proxy.pass_on(client, server, true));
                let proxy = made.clone();
                std::thread::spawn(move || proxy.pass_on(other.1, other.0, false));
            }
        });
        proxy
    }

    /// Loses this next, after what it was told before.
    pub(crate) fn lose(&self, fault: Fault) {
        self.faults.lock().unwrap().push_back(fault);
    }

    /// Loses nothing more.
    pub(crate) fn lose_nothing(&self) {
        self.faults.lock().unwrap().clear();
    }

    fn pass_on(&self, mut from: TcpStream, mut to: TcpStream, is_question: bool) {
        let mut bytes = [0; 16_384];
        while let Ok(read) = from.read(&mut bytes) {
            if read == 0 {
                break;
            }
            let fault =
                self.faults.lock().unwrap().pop_front_if(|fault| matches!(fault, Fault::Question(_)) == is_question);
            match fault {
                Some(Fault::Silence) => {
                    // Until whoever waits gives up.
                    while from.read(&mut bytes).is_ok_and(|read| read > 0) {}
                    return;
                }
                Some(Fault::Question(left) | Fault::Answer(left)) => {
                    let _ = to.write_all(&bytes[..left.min(read)]);
                    break;
                }
                None if to.write_all(&bytes[..read]).is_err() => break,
                None => {}
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
