//! A machine that loses power after any of the store's operations on files. A workload runs once under `strace`, which
//! records every write, sync, rename and removal with its bytes; then the directory is built as the disk may hold it after
//! each prefix of them, opened, and asked: what was acknowledged is there, each event once, and what was removed is not.
//!
//! Three disks are simulated at each moment. The process alone died: all that was written is there. Power was lost on a
//! disk that kept nothing but what was synced: contents by `fsync` of the file, names by `fsync` of the directory. Power
//! was lost on a disk that kept some of the rest: of each file any of the writes since its last sync, the last perhaps torn,
//! and of each directory a beginning of the changes since its last sync.
//!
//! `SIMULATED_CRASHES` says how many of the moments are tried, spread evenly; by default 300.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use zenovay_domain::{Dimension, ManualClock, Timestamp, VisitorId};
use zenovay_events::conformance::{append, pageview, values, website};
use zenovay_events::{AppendOutcome, EmbeddedConfig, EmbeddedStore, EventStore, IdempotencyKey, NewEvent};

const NOW_MS: i64 = 1_774_746_000_000;

/// Where the child finds its directory, and by which it knows that it is the child.
const DIRECTORY: &str = "SIMULATED_CRASH_DIRECTORY";

/// Websites of the workload; the last one is deleted.
const WEBSITES: u8 = 3;

fn open(dir: &Path) -> EmbeddedStore {
    let config = EmbeddedConfig::new(dir).with(|config| {
        config.merge_fan_in = 2;
        config.group_rows = 64;
    });
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW_MS)));
    EmbeddedStore::open(config, clock).unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
}

/// The event with this number: a path of its own, on one website, by one of a few visitors.
fn numbered(number: usize) -> NewEvent {
    let visitor = visitor_of(number);
    // A session is of one visitor: each has three, one after the other.
    let session = visitor * 3 + number as u64 / 15 % 3;
    let event = pageview(NOW_MS + number as i64, visitor, session, &format!("/{number}"));
    let mut key = [0; 16];
    key[..8].copy_from_slice(&(number as u64 + 1).to_le_bytes());
    NewEvent::new(website(site_of(number)), event.at, event).with_key(IdempotencyKey(key))
}

fn site_of(number: usize) -> u8 {
    (number % usize::from(WEBSITES)) as u8
}

fn visitor_of(number: usize) -> u64 {
    number as u64 / 3 % 5
}

/// What the child says as it goes, each in one write to its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// All events below this number are acknowledged.
    Acknowledged(usize),
    /// A visitor of website 0 is about to be erased.
    Erasing(u64),
    /// The visitor is erased; events from this number on came later.
    Erased(u64, usize),
    /// The last website is about to be deleted.
    Deleting,
    /// It is deleted.
    Deleted(usize),
}

impl Said {
    fn say(self) {
        let line = match self {
            Self::Acknowledged(until) => format!("acknowledged {until}\n"),
            Self::Erasing(visitor) => format!("erasing {visitor}\n"),
            Self::Erased(visitor, until) => format!("erased {visitor} {until}\n"),
            Self::Deleting => "deleting\n".to_owned(),
            Self::Deleted(until) => format!("deleted {until}\n"),
        };
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()).expect("the output is read");
    }

    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words.get(at)?.parse::<usize>().ok();
        match *words.first()? {
            "acknowledged" => Some(Self::Acknowledged(number(1)?)),
            "erasing" => Some(Self::Erasing(number(1)? as u64)),
            "erased" => Some(Self::Erased(number(1)? as u64, number(2)?)),
            "deleting" => Some(Self::Deleting),
            "deleted" => Some(Self::Deleted(number(1)?)),
            _ => None,
        }
    }
}

/// The child: appends, seals, merges, erases, deletes and starts again.
fn workload(dir: &Path) {
    let mut sent = 0;
    let mut store = open(dir);
    let mut send = |store: &EmbeddedStore, events: usize| {
        let batch = (sent..sent + events).map(numbered).collect();
        assert_eq!(append(store, batch), Ok(vec![AppendOutcome::Stored; events]));
        sent += events;
        Said::Acknowledged(sent).say();
        sent
    };
    for round in 0..6 {
        for events in [1, 7, 2, 20] {
            send(&store, events);
        }
        store.seal().expect("it can be sealed");
        send(&store, 3);
        while store.merge().expect("it can be merged") {}
        let sent = send(&store, 2);
        match round {
            1 => {
                Said::Erasing(2).say();
                store.erase_visitor(website(0), VisitorId(2)).expect("a visitor can be erased");
                Said::Erased(2, sent).say();
            }
            3 => {
                Said::Deleting.say();
                store.delete_website(website(WEBSITES - 1)).expect("a website can be deleted");
                Said::Deleted(sent).say();
            }
            // Once told to stop, once dying with events in the log.
            2 => {
                store.shutdown();
                drop(store);
                store = open(dir);
            }
            4 => {
                drop(store);
                store = open(dir);
            }
            _ => {}
        }
    }
    store.shutdown();
}

/// One operation as the kernel carried it out.
#[derive(Debug)]
enum Operation {
    Create(PathBuf),
    MakeDirectory(PathBuf),
    Write { path: PathBuf, offset: usize, bytes: Vec<u8> },
    Truncate { path: PathBuf, length: usize },
    Sync(PathBuf),
    Rename { from: PathBuf, to: PathBuf },
    Remove(PathBuf),
    Say(Said),
}

/// Runs the workload under `strace` and returns what it did to `dir`, in order, with paths relative to it.
fn record(dir: &Path, trace: &Path) -> Vec<Operation> {
    let calls = "openat,open,creat,close,dup,lseek,write,pwrite64,writev,pwritev,ftruncate,truncate,fallocate,fsync,fdatasync,\
                 sync_file_range,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,\
                 symlinkat,copy_file_range,sendfile";
    let child = Command::new("strace")
        .args(["-f", "-qq", "-xx", "-s", "100000000", "-e", &format!("trace={calls}"), "-e", "signal=none", "-o"])
        .arg(trace)
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", "the_workload_of_the_simulated_machine", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .expect("strace runs");
    assert!(child.status.success(), "the workload failed: {}", String::from_utf8_lossy(&child.stderr));
    let text = fs::read_to_string(trace).expect("a trace");
    Reader { dir: dir.to_owned(), files: HashMap::new(), operations: Vec::new() }.read(&text)
}

/// An open file of the traced process.
struct OpenFile {
    path: PathBuf,
    offset: usize,
    appends: bool,
}

struct Reader {
    dir: PathBuf,
    files: HashMap<i64, OpenFile>,
    operations: Vec<Operation>,
}

impl Reader {
    fn read(mut self, text: &str) -> Vec<Operation> {
        // Calls of threads that overlap are told in two lines: the call counts when it is done.
        let mut unfinished: HashMap<&str, String> = HashMap::new();
        for line in text.lines() {
            let (thread, rest) = line.split_once(' ').expect("a thread");
            let rest = rest.trim_start();
            if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
                unfinished.insert(thread, begun.trim_end().to_owned());
            } else if let Some(resumed) = rest.strip_prefix("<... ") {
                let end = resumed.split_once("resumed>").expect("a resumed call").1;
                let call = unfinished.remove(thread).expect("it was begun") + end;
                self.call(&call);
            } else {
                self.call(rest);
            }
        }
        self.operations
    }

    /// The path below the directory; `None` for everything outside.
    fn inside(&self, argument: &str) -> Option<PathBuf> {
        let path = PathBuf::from(String::from_utf8(bytes(argument)).ok()?);
        path.strip_prefix(&self.dir).ok().map(Path::to_owned)
    }

    fn call(&mut self, call: &str) {
        let Some((name, rest)) = call.split_once('(') else { return };
        let Some((arguments, result)) = rest.rsplit_once(" = ") else { return };
        let Some(arguments) = arguments.trim_end().strip_suffix(')') else { return };
        let Ok(result) = result.split_whitespace().next().unwrap_or("").parse::<i64>() else { return };
        if result < 0 {
            return;
        }
        let arguments: Vec<&str> = arguments.split(", ").collect();
        let file = |at: usize| arguments.get(at).and_then(|number| number.parse::<i64>().ok());
        match name {
            "openat" => {
                let Some(path) = self.inside(arguments[1]) else { return };
                let flags = arguments[2];
                let known = self.operations.iter().rev().find_map(|operation| match operation {
                    Operation::Create(created) if *created == path => Some(true),
                    Operation::Remove(gone) if *gone == path => Some(false),
                    Operation::Rename { from, .. } if *from == path => Some(false),
                    Operation::Rename { to, .. } if *to == path => Some(true),
                    _ => None,
                });
                if flags.contains("O_CREAT") && known != Some(true) {
                    self.operations.push(Operation::Create(path.clone()));
                }
                if flags.contains("O_TRUNC") {
                    self.operations.push(Operation::Truncate { path: path.clone(), length: 0 });
                }
                self.files.insert(result, OpenFile { path, offset: 0, appends: flags.contains("O_APPEND") });
            }
            "close" => {
                self.files.remove(&file(0).expect("a file"));
            }
            "lseek" => {
                if let Some(open) = self.files.get_mut(&file(0).expect("a file")) {
                    open.offset = result as usize;
                }
            }
            "write" if file(0) == Some(1) => {
                let said = String::from_utf8(bytes(arguments[1])).unwrap_or_default();
                self.operations.extend(said.lines().filter_map(Said::parse).map(Operation::Say));
            }
            "write" | "pwrite64" => {
                let Some(open) = self.files.get_mut(&file(0).expect("a file")) else { return };
                assert!(!open.appends, "the simulation does not know appending: {call}");
                let mut written = bytes(arguments[1]);
                written.truncate(result as usize);
                let offset = if name == "write" { open.offset } else { arguments[3].parse().expect("an offset") };
                if name == "write" {
                    open.offset += written.len();
                }
                self.operations.push(Operation::Write { path: open.path.clone(), offset, bytes: written });
            }
            "ftruncate" => {
                let Some(open) = self.files.get(&file(0).expect("a file")) else { return };
                let length = arguments[1].parse().expect("a length");
                self.operations.push(Operation::Truncate { path: open.path.clone(), length });
            }
            "fsync" | "fdatasync" => {
                if let Some(open) = self.files.get(&file(0).expect("a file")) {
                    self.operations.push(Operation::Sync(open.path.clone()));
                }
            }
            "mkdir" => self.operations.extend(self.inside(arguments[0]).map(Operation::MakeDirectory)),
            "unlink" | "rmdir" => self.operations.extend(self.inside(arguments[0]).map(Operation::Remove)),
            "unlinkat" => self.operations.extend(self.inside(arguments[1]).map(Operation::Remove)),
            "rename" | "renameat" | "renameat2" => {
                let (from, to) = if name == "rename" { (0, 1) } else { (1, 3) };
                if let (Some(from), Some(to)) = (self.inside(arguments[from]), self.inside(arguments[to])) {
                    self.operations.push(Operation::Rename { from, to });
                }
            }
            other => {
                let concerned = file(0).is_some_and(|file| self.files.contains_key(&file))
                    || arguments.iter().any(|argument| self.inside(argument).is_some());
                assert!(!concerned, "the simulation does not know {other}: {call}");
            }
        }
    }
}

/// The bytes of a string that strace wrote as `"\x61\x62"`.
fn bytes(argument: &str) -> Vec<u8> {
    let hex = argument.trim_start_matches('"').trim_end_matches('"');
    hex.split("\\x").skip(1).filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

/// A change of a file's content since it was synced.
#[derive(Clone)]
enum Change {
    Write(usize, Arc<Vec<u8>>),
    Truncate(usize),
}

#[derive(Clone, Default)]
struct Content {
    synced: Vec<u8>,
    since: Vec<Change>,
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(offset, bytes) => {
            if content.len() < offset + bytes.len() {
                content.resize(offset + bytes.len(), 0);
            }
            content[*offset..offset + bytes.len()].copy_from_slice(bytes);
        }
        Change::Truncate(length) => content.resize(*length, 0),
    }
}

/// A change of names since their directory was synced.
#[derive(Clone)]
enum Naming {
    Add(PathBuf, Entry),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    Directory,
    File(usize),
}

type Names = BTreeMap<PathBuf, Entry>;

fn rename(names: &mut Names, naming: &Naming) {
    match naming {
        Naming::Add(path, entry) => {
            names.insert(path.clone(), *entry);
        }
        Naming::Remove(path) => {
            names.remove(path);
        }
        Naming::Rename(from, to) => {
            if let Some(entry) = names.remove(from) {
                names.insert(to.clone(), entry);
            }
        }
    }
}

/// What of a disk's writes reached it.
enum Disk<'a> {
    All,
    Synced,
    Some(&'a mut StdRng),
}

/// A disk after some operations.
#[derive(Default)]
struct Machine {
    contents: Vec<Content>,
    /// The names that the process sees.
    names: Names,
    /// The names that are synced, and the changes since, by directory.
    synced_names: Names,
    since: BTreeMap<PathBuf, Vec<Naming>>,
}

impl Machine {
    fn content(&mut self, path: &Path) -> &mut Content {
        match self.names.get(path) {
            Some(Entry::File(number)) => &mut self.contents[*number],
            _ => panic!("{} is not a file", path.display()),
        }
    }

    fn name(&mut self, naming: Naming) {
        let path = match &naming {
            Naming::Add(path, _) | Naming::Remove(path) => path,
            Naming::Rename(from, to) => {
                assert_eq!(from.parent(), to.parent(), "renames stay in a directory");
                to
            }
        };
        let parent = path.parent().unwrap_or(Path::new("")).to_owned();
        rename(&mut self.names, &naming);
        self.since.entry(parent).or_default().push(naming);
    }

    fn carry_out(&mut self, operation: &Operation) {
        match operation {
            Operation::Create(path) => {
                self.contents.push(Content::default());
                self.name(Naming::Add(path.clone(), Entry::File(self.contents.len() - 1)));
            }
            Operation::MakeDirectory(path) if path.as_os_str().is_empty() => {}
            Operation::MakeDirectory(path) => self.name(Naming::Add(path.clone(), Entry::Directory)),
            Operation::Write { path, offset, bytes } => {
                let change = Change::Write(*offset, Arc::new(bytes.clone()));
                self.content(path).since.push(change);
            }
            Operation::Truncate { path, length } => self.content(path).since.push(Change::Truncate(*length)),
            Operation::Sync(path) => {
                if let Some(Entry::File(number)) = self.names.get(path) {
                    let content = &mut self.contents[*number];
                    for change in content.since.drain(..) {
                        apply(&mut content.synced, &change);
                    }
                } else {
                    for naming in self.since.remove(path).unwrap_or_default() {
                        rename(&mut self.synced_names, &naming);
                    }
                }
            }
            Operation::Rename { from, to } => self.name(Naming::Rename(from.clone(), to.clone())),
            Operation::Remove(path) => self.name(Naming::Remove(path.clone())),
            Operation::Say(_) => {}
        }
    }

    /// Writes what `disk` holds into the empty directory `target`.
    fn write(&self, target: &Path, mut disk: Disk<'_>) {
        let mut names = if matches!(disk, Disk::All) { self.names.clone() } else { self.synced_names.clone() };
        if let Disk::Some(rng) = &mut disk {
            for namings in self.since.values() {
                let kept = rng.random_range(0..=namings.len());
                namings[..kept].iter().for_each(|naming| rename(&mut names, naming));
            }
        }
        for (path, entry) in &names {
            // A name in a directory that did not reach the disk is not there either.
            let parent = path.parent().unwrap_or(Path::new(""));
            if !parent.as_os_str().is_empty() && names.get(parent) != Some(&Entry::Directory) {
                continue;
            }
            match entry {
                Entry::Directory => fs::create_dir(target.join(path)).expect("a directory"),
                Entry::File(number) => {
                    let content = self.contents[*number].hold(&mut disk);
                    fs::write(target.join(path), content).expect("a file");
                }
            }
        }
    }
}

impl Content {
    fn hold(&self, disk: &mut Disk<'_>) -> Vec<u8> {
        let mut content = self.synced.clone();
        match disk {
            Disk::Synced => {}
            Disk::All => self.since.iter().for_each(|change| apply(&mut content, change)),
            Disk::Some(rng) => {
                // A share of its own for each file: almost nothing, about half, almost all.
                let share = rng.random_range(0.0..1.0);
                for (at, change) in self.since.iter().enumerate() {
                    if !rng.random_bool(share) {
                        continue;
                    }
                    match change {
                        // The last write may be torn at a sector.
                        Change::Write(offset, bytes) if at + 1 == self.since.len() && bytes.len() > 512 => {
                            let sectors = bytes.len().div_ceil(512);
                            let kept = (rng.random_range(1..=sectors) * 512).min(bytes.len());
                            apply(&mut content, &Change::Write(*offset, Arc::new(bytes[..kept].to_vec())));
                        }
                        change => apply(&mut content, change),
                    }
                }
            }
        }
        content
    }
}

/// What the child had said at a moment.
#[derive(Default, Clone)]
struct Promises {
    acknowledged: usize,
    /// Of erasures and the deletion: whether they were begun, and the events before which they were done.
    erasing: Option<u64>,
    erased: Option<(u64, usize)>,
    deleting: bool,
    deleted: Option<usize>,
}

impl Promises {
    fn hear(&mut self, said: Said) {
        match said {
            Said::Acknowledged(until) => self.acknowledged = until,
            Said::Erasing(visitor) => self.erasing = Some(visitor),
            Said::Erased(visitor, until) => self.erased = Some((visitor, until)),
            Said::Deleting => self.deleting = true,
            Said::Deleted(until) => self.deleted = Some(until),
        }
    }

    /// How often the event may be stored.
    fn bounds(&self, number: usize) -> (u64, u64) {
        let is_of = |visitor: u64| site_of(number) == 0 && visitor_of(number) == visitor;
        let in_deleted = site_of(number) == WEBSITES - 1;
        let is_gone = self.erased.is_some_and(|(visitor, until)| is_of(visitor) && number < until)
            || self.deleted.is_some_and(|until| in_deleted && number < until);
        if is_gone {
            return (0, 0);
        }
        let may_go = self.erasing.is_some_and(is_of) || (self.deleting && in_deleted);
        (u64::from(number < self.acknowledged && !may_go), 1)
    }

    fn assert_kept(&self, store: &EmbeddedStore, moment: &str) {
        let mut stored = HashMap::new();
        for site in 0..WEBSITES {
            for (path, count) in values(store, website(site), Dimension::Path) {
                let number: usize = path.trim_start_matches('/').parse().expect("a path of the workload");
                assert_eq!(site_of(number), site, "{moment}: {path} is of another website");
                stored.insert(number, count);
            }
        }
        let last = stored.keys().copied().max().unwrap_or(0).max(self.acknowledged);
        for number in 0..=last {
            let count = stored.get(&number).copied().unwrap_or(0);
            let (least, most) = self.bounds(number);
            assert!((least..=most).contains(&count), "{moment}: event {number} is stored {count} times");
        }
    }
}

/// Where simulated disks are kept: in memory when there is such a place, for speed.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a directory")
}

/// Only ever does something as the child of the test below.
#[test]
fn the_workload_of_the_simulated_machine() {
    if let Some(dir) = std::env::var_os(DIRECTORY) {
        workload(Path::new(&dir));
    }
}

/// Sabotage: leave out a sync of a segment, of its directory or of the log; register a segment before it is synced; remove
/// old files before the new ones are registered.
#[test]
fn power_lost_at_any_moment_loses_and_doubles_nothing() {
    if let Err(error) = Command::new("strace").args(["-e", "trace=none", "true"]).status() {
        assert!(std::env::var_os("CI").is_none(), "strace is needed: {error}");
        return eprintln!("NOT RUN: strace is needed: {error}");
    }
    let recorded = tempfile::tempdir().expect("a directory");
    let dir = recorded.path().join("store");
    fs::create_dir(&dir).expect("a directory");
    let operations = record(&dir, &recorded.path().join("trace"));
    let changes = operations.iter().filter(|operation| !matches!(operation, Operation::Say(_))).count();
    assert!(changes > 200, "only {changes} operations were recorded");
    let syncs = operations.iter().filter(|operation| matches!(operation, Operation::Sync(_))).count();
    let renames = operations.iter().filter(|operation| matches!(operation, Operation::Rename { .. })).count();
    assert!(syncs > 40 && renames > 8, "{syncs} syncs, {renames} renames");

    let wanted: usize =
        std::env::var("SIMULATED_CRASHES").map_or(300, |number| number.parse().expect("a number of crashes"));
    let each = wanted.div_ceil(operations.len()).max(3);
    let step = (operations.len() * each / wanted).max(1);
    let mut machine = Machine::default();
    let mut promises = Promises::default();
    let mut tried = 0;
    for (at, operation) in operations.iter().enumerate() {
        machine.carry_out(operation);
        if let Operation::Say(said) = operation {
            promises.hear(*said);
        }
        if at % step != 0 && at + 1 != operations.len() {
            continue;
        }
        for crash in 0..each {
            let mut rng = StdRng::seed_from_u64((at * each + crash) as u64);
            let target = scratch();
            let disk = match crash {
                0 => Disk::All,
                1 => Disk::Synced,
                _ => Disk::Some(&mut rng),
            };
            machine.write(target.path(), disk);
            let moment = format!("after operation {at} of {}, disk {crash} ({operation:.60?})", operations.len());
            let told = Told(&moment);
            survive(target.path(), &promises, &moment);
            drop(told);
            tried += 1;
        }
    }
    eprintln!("{tried} crashes at {} operations", operations.len());
}

/// Tells the moment of a panic from below.
struct Told<'a>(&'a str);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

/// Opens what the disk holds, and goes on with it.
fn survive(dir: &Path, promises: &Promises, moment: &str) {
    let store = open(dir);
    promises.assert_kept(&store, moment);
    // A client that was not answered sends again: what it sent is there once, whatever was stored before.
    let again = promises.acknowledged;
    let repeated: Vec<NewEvent> = (again..again + 3).map(numbered).collect();
    let outcomes = append(&store, repeated).expect("it can be stored");
    assert!(
        outcomes.iter().all(|outcome| matches!(outcome, AppendOutcome::Stored | AppendOutcome::Duplicate)),
        "{moment}: {outcomes:?}"
    );
    let mut now = promises.clone();
    now.acknowledged = again + 3;
    let may_be_gone = |number: usize| promises.bounds(number) == (0, 0);
    if !(again..again + 3).any(may_be_gone) && promises.erasing.is_none() && !promises.deleting {
        now.assert_kept(&store, &format!("{moment}, sent again"));
    }
    store.shutdown();
    drop(store);
    let store = open(dir);
    while store.merge().unwrap_or_else(|error| panic!("{moment}: {error}")) {}
    promises.assert_kept(&store, &format!("{moment}, sealed and merged"));
}
