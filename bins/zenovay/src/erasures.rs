//! Which visitors were erased: a backup of before still has them, and loses them again when it is put back.
//!
//! A file of the data directory, a line an erasure: when, of which website, and the id of the visitor, which is a hash. It is added
//! to before anything is removed. Lines stay for as long as the directory does: nobody knows how old the backups are that
//! somebody keeps.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use zenovay_domain::{Clock, Timestamp, VisitorId, WebsiteId};

use crate::files::sync_dir;

/// The name of the file.
pub const ERASURES: &str = "erasures";
/// What of a line that is no erasure is told at most, in characters.
const TOLD_MAX: usize = 80;

/// One visitor was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Erasure {
    /// When.
    pub at: Timestamp,
    /// Of which website.
    pub website: WebsiteId,
    /// Who.
    pub visitor: VisitorId,
}

impl fmt::Display for Erasure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.at, self.website, self.visitor)
    }
}

/// A line that is no erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a line of erasures")]
pub struct InvalidErasure;

/// A list with a line that is no erasure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not an erasure: {text:?}")]
pub struct InvalidErasures {
    /// Which line, from 1.
    pub line: usize,
    /// What stands there, cut when it is long.
    pub text: String,
}

impl FromStr for Erasure {
    type Err = InvalidErasure;

    fn from_str(line: &str) -> Result<Self, InvalidErasure> {
        let mut words = line.split(' ');
        let mut next = || words.next().ok_or(InvalidErasure);
        let at = next()?.parse().map_err(|_| InvalidErasure)?;
        let website = next()?.parse().map_err(|_| InvalidErasure)?;
        let visitor = u64::from_str_radix(next()?, 16).map_err(|_| InvalidErasure)?;
        if words.next().is_some() { Err(InvalidErasure) } else { Ok(Self { at, website, visitor: VisitorId(visitor) }) }
    }
}

/// The erasures in the file at `path`; none when there is no file. The end of a line that was not written whole is not one.
///
/// # Errors
/// When it cannot be read, or a line in it is something else.
pub fn read(path: &Path) -> io::Result<BTreeSet<Erasure>> {
    let lines = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        lines => lines?,
    };
    // What is no text is in the words about its line.
    parse(&String::from_utf8_lossy(&lines)).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The erasures in `lines`, of a file.
///
/// # Errors
/// When a line is something else.
pub(crate) fn parse(lines: &str) -> Result<BTreeSet<Erasure>, InvalidErasures> {
    let whole = lines.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let read = |(at, line): (usize, &str)| {
        let text = || line.chars().take(TOLD_MAX).collect();
        line.parse().map_err(|_not_one: InvalidErasure| InvalidErasures { line: at + 1, text: text() })
    };
    whole.lines().enumerate().map(read).collect()
}

/// Writes `erasures` to `path`, in the place of what is there.
///
/// # Errors
/// When it cannot be written; what was there stays.
pub fn write(path: &Path, erasures: &BTreeSet<Erasure>) -> io::Result<()> {
    crate::files::replace(path, lines(erasures).as_bytes())
}

/// `erasures` as lines of a file.
pub(crate) fn lines(erasures: &BTreeSet<Erasure>) -> String {
    erasures.iter().map(|erasure| format!("{erasure}\n")).collect()
}

/// The erasures of a data directory.
pub struct Erasures {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    /// Held while a visitor is erased.
    turn: Mutex<()>,
}

impl Erasures {
    /// Those of the data directory `directory`.
    pub fn new(directory: &Path, clock: Arc<dyn Clock>) -> Self {
        Self { path: directory.join(ERASURES), clock, turn: Mutex::default() }
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// While what this gives lives, no erasure is under way but that of its owner.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock()
    }

    /// Notes that a visitor is erased from now on: durable when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note(&self, website: WebsiteId, visitor: VisitorId) -> io::Result<()> {
        let line = format!("{}\n", Erasure { at: self.clock.now(), website, visitor });
        let is_new = !self.path.exists();
        let mut file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(&self.path)?;
        crate::files::end_last_line(&file)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()?;
        match self.path.parent() {
            Some(parent) if is_new => sync_dir(parent),
            _ => Ok(()),
        }
    }

    /// All of them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn all(&self) -> io::Result<BTreeSet<Erasure>> {
        read(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use zenovay_domain::ManualClock;

    use super::*;

    /// Sabotage: write a line behind one that was cut.
    #[test]
    fn what_is_noted_is_read_also_behind_a_line_that_was_cut() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_781_308_800_000)));
        let erasures = Erasures::new(dir.path(), clock.clone());
        assert!(erasures.all().unwrap().is_empty());
        let (website, visitor) = (WebsiteId::from_random_bytes([7; 16]), VisitorId(u64::MAX));
        erasures.note(website, visitor).unwrap();
        let path = dir.path().join(ERASURES);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole, &whole[..40]].concat()).unwrap();
        assert_eq!(erasures.all().unwrap().len(), 1);
        clock.advance_ms(1);
        erasures.note(website, VisitorId(0)).unwrap();
        let all: Vec<Erasure> = erasures.all().unwrap().into_iter().collect();
        assert_eq!(all.iter().map(|erasure| erasure.visitor).collect::<Vec<_>>(), [visitor, VisitorId(0)]);
        assert_eq!((all[0].website, all[1].at.millis_since(all[0].at)), (website, 1));
        fs::write(&path, "something else\n").unwrap();
        fs::write(&path, [&whole[..], b"something else\n"].concat()).unwrap();
        let error = erasures.all().unwrap_err();
        assert_eq!(error.to_string(), "line 2 is not an erasure: \"something else\"");
    }
}
