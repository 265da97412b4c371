//! Which visitors were erased: a backup of before still has them, and loses them again when it is put back.
//!
//! A file of the data directory, a line an erasure: when, of which website, and the id of the visitor, which is a hash. It is added
//! to before anything is removed. Lines stay for as long as the directory does: nobody knows how old the backups are that
//! somebody keeps.
//!
//! A line counts whether or not a line break follows it: whoever repairs the list may use an editor that leaves out the last. Only what
//! was cut while it was appended counts for nothing, because nothing was promised about it.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
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
/// The shape of a line, in which `0` stands for any hexadecimal digit.
const SHAPE: &[u8] = b"0000-00-00T00:00:00.000Z 00000000-0000-0000-0000-000000000000 0000000000000000";
/// The digits of the id of a visitor.
const VISITOR_DIGITS: usize = 16;

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
        // Fewer digits are those of somebody else.
        let is_id = |word: &&str| word.len() == VISITOR_DIGITS && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let digits = Some(next()?).filter(is_id).ok_or(InvalidErasure)?;
        let visitor = u64::from_str_radix(digits, 16).map_err(|_| InvalidErasure)?;
        if words.next().is_some() { Err(InvalidErasure) } else { Ok(Self { at, website, visitor: VisitorId(visitor) }) }
    }
}

/// The erasures in the file at `path`, of a data directory; none when there is no file.
///
/// # Errors
/// When it cannot be read, or a line in it is something else.
pub fn read(path: &Path) -> io::Result<BTreeSet<Erasure>> {
    let list = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        list => list?,
    };
    // What is no text is in the words about its line.
    let lines = String::from_utf8_lossy(&list[..end_of_noted(&list)]);
    parse(&lines).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The erasures in `lines`, of a file that was written whole.
///
/// # Errors
/// When a line is something else.
pub(crate) fn parse(lines: &str) -> Result<BTreeSet<Erasure>, InvalidErasures> {
    let read = |(at, line): (usize, &str)| {
        let text = || line.chars().take(TOLD_MAX).collect();
        line.parse().map_err(|_not_one: InvalidErasure| InvalidErasures { line: at + 1, text: text() })
    };
    lines.lines().enumerate().filter(|(_, line)| !line.is_empty()).map(read).collect()
}

/// Where in `list` ends what was noted: behind it is only what was cut while it was appended.
fn end_of_noted(list: &[u8]) -> usize {
    let last_line = list.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if is_cut(&list[last_line..]) { last_line } else { list.len() }
}

/// Whether `line` is the beginning of a line and no more, with zeros behind it where the machine died before all of it was on the disk.
fn is_cut(line: &[u8]) -> bool {
    let written = line.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    let fits = |(byte, shape): (&u8, &u8)| if *shape == b'0' { byte.is_ascii_hexdigit() } else { byte == shape };
    written < SHAPE.len() && line[..written].iter().zip(SHAPE).all(fits)
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
        let mut list = Vec::new();
        let is_new = !self.path.exists();
        let mut file = crate::files::append(&self.path)?;
        file.read_to_end(&mut list)?;
        let end = end_of_noted(&list);
        if end < list.len() {
            file.set_len(end as u64)?;
        }
        let is_ended = list[..end].last().is_none_or(|byte| *byte == b'\n');
        file.write_all(if is_ended { line } else { format!("\n{line}") }.as_bytes())?;
        file.sync_all()?;
        match self.path.parent() {
            Some(parent) if is_new => sync_dir(parent),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use zenovay_domain::ManualClock;

    use super::*;

    fn noted(dir: &Path) -> (Erasures, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_781_308_800_000)));
        (Erasures::new(dir, clock.clone()), clock)
    }

    fn site() -> WebsiteId {
        WebsiteId::from_random_bytes([7; 16])
    }

    /// Sabotage: write a line behind one that was cut, take for cut what is no beginning of a line, or let no zeros follow it.
    #[test]
    fn what_is_noted_is_read_also_behind_a_line_that_was_cut() {
        let dir = tempfile::tempdir().unwrap();
        let (erasures, clock) = noted(dir.path());
        let path = dir.path().join(ERASURES);
        assert!(read(&path).unwrap().is_empty());
        erasures.note(site(), VisitorId(u64::MAX)).unwrap();
        let whole = fs::read(&path).unwrap();
        assert_eq!(whole.len(), SHAPE.len() + 1);
        for cut in 0..SHAPE.len() {
            for zeros in [0, 5] {
                fs::write(&path, [&whole, &whole[..cut], &vec![0; zeros]].concat()).unwrap();
                assert_eq!(read(&path).unwrap().len(), 1, "{cut} bytes, {zeros} zeros");
            }
        }
        clock.advance_ms(1);
        erasures.note(site(), VisitorId(0)).unwrap();
        let all: Vec<Erasure> = read(&path).unwrap().into_iter().collect();
        assert_eq!(all.iter().map(|erasure| erasure.visitor).collect::<Vec<_>>(), [VisitorId(u64::MAX), VisitorId(0)]);
        assert_eq!((all[0].website, all[1].at.millis_since(all[0].at)), (site(), 1));
    }

    /// Sabotage: leave out a line that no line break follows, write the next one behind it, or take what an editor left for cut.
    #[test]
    fn the_last_line_counts_without_its_line_break() {
        let dir = tempfile::tempdir().unwrap();
        let (erasures, _) = noted(dir.path());
        let path = dir.path().join(ERASURES);
        erasures.note(site(), VisitorId(1)).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..SHAPE.len()]).unwrap();
        assert_eq!(read(&path).unwrap().len(), 1);
        erasures.note(site(), VisitorId(2)).unwrap();
        assert_eq!(read(&path).unwrap().len(), 2);
        // A line that says nothing hides nothing.
        fs::write(&path, [&whole[..], b"\n", &whole[..SHAPE.len()]].concat()).unwrap();
        assert_eq!(read(&path).unwrap().len(), 1);
    }

    /// Sabotage: take any number of digits for an id, or leave out what stands at the end.
    #[test]
    fn a_line_that_is_no_erasure_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (erasures, _) = noted(dir.path());
        let path = dir.path().join(ERASURES);
        erasures.note(site(), VisitorId(0x0123_4567_89ab_cdef)).unwrap();
        let whole = fs::read(&path).unwrap();
        let line = &whole[..SHAPE.len()];
        let refused = |what: &[u8], at: usize| {
            fs::write(&path, [&whole[..], what].concat()).unwrap();
            let words = read(&path).unwrap_err().to_string();
            assert!(words.starts_with(&format!("line {at} is not an erasure")), "{words}");
        };
        refused(b"something else\n", 2);
        refused(b"something else", 2);
        // An id that lost its last digit, or the line break that became something else.
        refused(&[&line[..line.len() - 1], b"\n", &whole].concat(), 2);
        refused(&[line, b"\x0b"].concat(), 2);
        refused(&[line, b"\x0b", &whole].concat(), 2);
        refused(&[line, b"0\n"].concat(), 2);
        // It is not taken away by the next erasure either.
        erasures.note(site(), VisitorId(1)).unwrap();
        assert!(read(&path).unwrap_err().to_string().starts_with("line 2 "));
        // A list that was written whole was not cut.
        let text = String::from_utf8(whole.clone()).unwrap();
        assert_eq!(parse(&text[..40]).unwrap_err().line, 1);
    }
}
