//! How a command reaches the server that holds the data directory: a socket in it, which only the owner of the directory can
//! open. A request is one line of JSON, its answer another; then the connection ends. Requests are answered one by one, but for
//! backups, the doctor, moving events and tests of alerts, which take long.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::runtime::Builder;
use zenovay_domain::{VisitorId, WebsiteId};
use zenovay_query::Budget;

use crate::alerts;
use crate::causes::with_causes;
use crate::config::{BackupPlace, Config, EventsUrl};
use crate::data_dir::SOCKET;
use crate::doctor::{self, Patient};
use crate::http::external::visitors::VisitorExport;
use crate::http::state::AppState;
use crate::keepers::{KeeperError, Keepers, VisitorData};
use crate::moving;
use crate::visitors::{self, VisitorName};

/// No request is longer.
const REQUEST_BYTES_MAX: usize = 1 << 20;
/// How long a command may take to send its request.
const REQUEST_TIME: Duration = Duration::from_secs(2);
/// How long a command may take to take each part of its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a server may take to look what is wrong: longer than all that it waits for.
const DOCTOR_TIME: Duration = Duration::from_secs(60);
/// A longer path cannot be given to the kernel.
const PATH_BYTES_MAX: usize = 100;

/// What a command asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// To erase visitors.
    Erase {
        /// Of which website.
        website: WebsiteId,
        /// As people name them, see [`VisitorName`].
        visitors: Vec<String>,
    },
    /// To export a visitor.
    Export {
        /// Of which website.
        website: WebsiteId,
        /// As people name one.
        visitor: String,
    },
    /// To make a backup.
    Backup {
        /// The place of backups; a directory by an absolute path.
        dir: BackupPlace,
        /// How many are kept; without it all.
        keep: Option<usize>,
    },
    /// To be told what is wrong with the installation.
    Doctor {
        /// A page to check the tag on.
        page: Option<String>,
    },
    /// To move some of the events to ClickHouse, or to give that up.
    MoveEvents {
        /// Where to; `None` gives up what was begun.
        to: Option<EventsUrl>,
    },
    /// To send a test alert over every channel.
    TestAlert,
}

/// What it hears.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is done, with this result.
    Done(Value),
    /// It is not, in words.
    Failed(String),
}

/// Does what `request` asks for visitors. `known` gives the id of a visitor by the one that a client sent.
pub fn answer(
    request: &Request,
    keepers: &Keepers,
    budget: &Budget,
    known: &dyn Fn(WebsiteId, &str) -> VisitorId,
) -> Answer {
    const BY: &str = "command";
    let named = |website, visitor: &str| {
        let parsed = VisitorName::parse(visitor).ok_or_else(|| "the id of a visitor is empty".to_owned());
        parsed.map(|parsed| parsed.id(|sent| known(website, sent)))
    };
    let words = |error: KeeperError| with_causes(&error);
    let done = match request {
        Request::Erase { website, visitors } => {
            let (mut erased, mut not_found): (Vec<String>, Vec<&String>) = Default::default();
            let ids: Result<Vec<VisitorId>, String> = visitors.iter().map(|visitor| named(*website, visitor)).collect();
            let all = ids.and_then(|ids| {
                visitors.iter().zip(ids).try_for_each(|(visitor, id)| {
                    // Whoever cannot be read is erased all the same.
                    if keepers.export_visitor(*website, id, budget).is_ok_and(|data| data == VisitorData::default()) {
                        not_found.push(visitor);
                    }
                    visitors::erase(keepers, *website, id, BY).map_err(words)?;
                    erased.push(id.to_string());
                    Ok(())
                })
            });
            let so_far = |why: String| match erased.len() {
                0 => why,
                count => format!("{why}; {count} of {} visitors were erased before", visitors.len()),
            };
            let done = all.map_err(so_far);
            done.map(|()| serde_json::json!({ "website_id": website, "erased": erased, "not_found": not_found }))
        }
        Request::Export { website, visitor } => named(*website, visitor).and_then(|id| {
            let data = visitors::export(keepers, *website, id, budget, BY).map_err(words)?;
            serde_json::to_value(VisitorExport::new(*website, id, &data)).map_err(|error| error.to_string())
        }),
        Request::Backup { .. } | Request::Doctor { .. } | Request::MoveEvents { .. } | Request::TestAlert => {
            Err("that is not about visitors".to_owned())
        }
    };
    done.map_or_else(Answer::Failed, Answer::Done)
}

/// A path by which the socket in `directory` can be used, and what must stay open for it: the kernel takes short paths only.
fn socket_path(directory: &Path) -> io::Result<(PathBuf, Option<File>)> {
    let path = directory.join(SOCKET);
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return Ok((path, None));
    }
    let opened = File::open(directory)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd())).join(SOCKET);
    Ok((path, Some(opened)))
}

/// Asks the server that holds `directory`, and waits for its answer.
///
/// # Errors
/// When it does not answer: what was asked for may be done, or not.
pub fn ask(directory: &Path, request: &Request) -> io::Result<Answer> {
    let (path, _opened) = socket_path(directory)?;
    let mut stream = UnixStream::connect(path)?;
    if matches!(request, Request::Doctor { .. }) {
        // That a server hangs is what it may have to tell.
        stream.set_read_timeout(Some(DOCTOR_TIME))?;
    }
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(serde_json::from_slice(&answer)?)
}

/// The thread that answers.
pub struct Control {
    path: PathBuf,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    _opened: Option<File>,
}

impl Control {
    /// Listens in the data directory of `config`, which this process holds.
    ///
    /// # Errors
    /// When the machine gives no socket or no thread.
    pub fn start(config: &Config, state: Arc<AppState>) -> io::Result<Self> {
        let config = config.clone();
        let (query_time, memory_bytes) =
            (Duration::from_secs(config.query_timeout_seconds.get()), config.query_memory_bytes());
        let (path, opened) = socket_path(&config.data_dir)?;
        // What a server that was killed left behind.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        let stopping = Arc::new(AtomicBool::new(false));
        let is_stopping = Arc::clone(&stopping);
        let work = move || {
            // A command that went away, or sent nothing that can be read, is told nothing.
            let tell = |error: io::Error| tracing::warn!(%error, "a command on {SOCKET} was not answered");
            std::thread::scope(|scope| {
                for stream in listener.incoming() {
                    if is_stopping.load(Ordering::Relaxed) {
                        return;
                    }
                    let budget = Budget::new(query_time, memory_bytes);
                    let served = stream.and_then(|stream| match read(&stream)? {
                        // They take long, and others are not kept waiting.
                        Request::Backup { dir, keep } => {
                            let state = &state;
                            let make = move || back_up(&stream, state, &dir, keep).unwrap_or_else(tell);
                            std::thread::Builder::new().spawn_scoped(scope, make).map(drop)
                        }
                        Request::Doctor { page } => {
                            let state = &state;
                            let look = move || examine(&stream, state, page.as_deref()).unwrap_or_else(tell);
                            std::thread::Builder::new().spawn_scoped(scope, look).map(drop)
                        }
                        Request::TestAlert => {
                            let state = Arc::clone(&state);
                            let try_it = move || test_alert(&stream, state).unwrap_or_else(tell);
                            std::thread::Builder::new().spawn_scoped(scope, try_it).map(drop)
                        }
                        Request::MoveEvents { to } => {
                            let (state, config) = (&state, &config);
                            let go = move || move_events(&stream, state, config, to.as_ref()).unwrap_or_else(tell);
                            std::thread::Builder::new().spawn_scoped(scope, go).map(drop)
                        }
                        request => serve(&stream, &state, &budget, &request),
                    });
                    served.unwrap_or_else(tell);
                }
            });
        };
        let thread = std::thread::Builder::new().name("control".to_owned()).spawn(work)?;
        Ok(Self { path, stopping, thread, _opened: opened })
    }

    /// Finishes what is being done and ends the thread.
    pub fn stop(self) {
        self.stopping.store(true, Ordering::Relaxed);
        // Wakes the thread; it cannot be woken only when it has ended.
        let _ = UnixStream::connect(&self.path);
        if self.thread.join().is_err() {
            tracing::error!("{SOCKET} was not answered any more");
        }
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, "{SOCKET} cannot be removed; the next server does");
        }
    }
}

/// What a command sends: a line. A client that sends it slowly, or not at all, holds up other commands and the stop of the
/// server no longer than `within`.
fn read_line(mut stream: &UnixStream, within: Duration) -> io::Result<Vec<u8>> {
    let started = Instant::now();
    let mut line = Vec::new();
    let mut piece = [0; 4_096];
    while !line.ends_with(b"\n") {
        let left = within.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let read = stream.read(&mut piece)?;
        line.extend_from_slice(&piece[..read]);
        if read == 0 {
            break;
        }
        if line.len() > REQUEST_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without an end"));
        }
    }
    Ok(line)
}

fn read(stream: &UnixStream) -> io::Result<Request> {
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(serde_json::from_slice(&read_line(stream, REQUEST_TIME)?)?)
}

fn serve(mut stream: &UnixStream, state: &AppState, budget: &Budget, request: &Request) -> io::Result<()> {
    let known = |website, sent: &str| state.ingest.known_visitor(website, sent);
    let answer = answer(request, &state.keepers(), budget, &known);
    stream.write_all(&serde_json::to_vec(&answer)?)
}

fn back_up(mut stream: &UnixStream, state: &AppState, dir: &BackupPlace, keep: Option<usize>) -> io::Result<()> {
    let made = state.backups.make_told(dir, keep, true);
    let answer = made.map_or_else(|error| Answer::Failed(error.to_string()), |made| Answer::Done(made.json()));
    stream.write_all(&serde_json::to_vec(&answer)?)
}

fn examine(mut stream: &UnixStream, state: &AppState, page: Option<&str>) -> io::Result<()> {
    let answer = Answer::Done(serde_json::to_value(doctor::examine(&Patient::of(state, page)))?);
    stream.write_all(&serde_json::to_vec(&answer)?)
}

/// For how long events are moved for one request.
#[cfg(feature = "clickhouse")]
const MOVE_TIME: Duration = Duration::from_secs(5);

#[cfg(feature = "clickhouse")]
fn move_events(mut stream: &UnixStream, state: &AppState, config: &Config, to: Option<&EventsUrl>) -> io::Result<()> {
    let moved = match to {
        Some(to) => moving::step(config, to, &*state.events, &state.erasures, MOVE_TIME).map(|moved| json!(moved)),
        None => give_up(state, config).map(|()| json!({})).map_err(Into::into),
    };
    let answer = moved.map_or_else(|error| Answer::Failed(with_causes(&*error)), Answer::Done);
    stream.write_all(&serde_json::to_vec(&answer)?)
}

/// No command has a URL without ClickHouse.
#[cfg(not(feature = "clickhouse"))]
fn move_events(mut stream: &UnixStream, state: &AppState, config: &Config, to: Option<&EventsUrl>) -> io::Result<()> {
    let answer = match to {
        Some(to) => Answer::Failed(format!("{to:?} cannot be used: this zenovay was built without ClickHouse")),
        None => {
            give_up(state, config).map_or_else(|error| Answer::Failed(error.to_string()), |()| Answer::Done(json!({})))
        }
    };
    stream.write_all(&serde_json::to_vec(&answer)?)
}

/// Gives a move up: segments are merged again.
fn give_up(state: &AppState, config: &Config) -> io::Result<()> {
    let _turn = state.erasures.turn();
    moving::give_up(&config.data_dir)?;
    if let Some(store) = state.events.movable() {
        store.keep_segments(false);
    }
    Ok(())
}

fn test_alert(mut stream: &UnixStream, state: Arc<AppState>) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let tried = runtime.block_on(alerts::test(&web::Data::from(state)));
    stream.write_all(&serde_json::to_vec(&Answer::Done(serde_json::to_value(tried)?))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: give each read the whole time again.
    #[test]
    fn a_client_that_sends_no_line_is_not_waited_for() {
        let (mut client, server) = UnixStream::pair().unwrap();
        assert!(read_line(&server, Duration::from_millis(1)).is_err());
        let trickle = std::thread::spawn(move || while client.write_all(b" ").is_ok() {});
        let error = read_line(&server, Duration::from_millis(20)).unwrap_err();
        assert!(matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::InvalidData), "{error}");
        drop(server);
        trickle.join().unwrap();
    }

    #[test]
    fn a_line_that_comes_in_pieces_is_read() {
        let (mut client, server) = UnixStream::pair().unwrap();
        client.write_all(b"{\"a\":").unwrap();
        client.write_all(b"1}\n").unwrap();
        assert_eq!(read_line(&server, REQUEST_TIME).unwrap(), b"{\"a\":1}\n");
    }
}
