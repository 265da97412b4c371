//! Files that backups share and that are no longer what was written, while they are as long as before. Each backup in a directory reads
//! a part of what is there anew, so that in [`PARTS`] backups all is read once; of a bucket nothing is read that nobody asked for, because it
//! looks after its objects itself and being read from costs something. `restore --verify` reads everything in both. What is found is noted in
//! the place, by name, until a backup has sent it again, or no backup needs it any more.

use std::collections::BTreeSet;
use std::io;
use std::time::Instant;

use zenovay_capture::{BlobName, is_whole_blob};

use super::place::{Place, read_whole};
use super::{BackupError, REPLAYS, SEGMENTS, segment_of};
use crate::files::{CopyError, Way};

/// The name of the list, a line for each file.
pub(super) const LIST: &str = "damaged";
/// In so many backups everything in a directory is read once.
const PARTS: u64 = 30;

/// The files of `place` that are known not to be what was written.
pub(super) fn noted(place: &dyn Place) -> io::Result<BTreeSet<String>> {
    match read_whole(place, LIST) {
        Ok(list) => {
            let list = String::from_utf8_lossy(&list);
            let is_shared =
                |name: &&str| name.split_once('/').is_some_and(|(first, _)| [SEGMENTS, REPLAYS].contains(&first));
            Ok(list.lines().filter(is_shared).map(str::to_owned).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

/// Notes that `found` are not what was written, beside what is noted.
pub(super) fn note(place: &mut dyn Place, found: &BTreeSet<String>) -> io::Result<()> {
    let mut all = noted(place)?;
    let before = all.len();
    all.extend(found.iter().cloned());
    if all.len() == before { Ok(()) } else { write(place, &all) }
}

/// Takes from what is noted that which was `mended`, and that which is gone; adds what else was `found`. Gives what is left.
pub(super) fn settle(
    place: &mut dyn Place,
    found: &BTreeSet<String>,
    mended: &BTreeSet<String>,
) -> io::Result<BTreeSet<String>> {
    let before = noted(place)?;
    let mut left = BTreeSet::new();
    for name in before.union(found).filter(|name| !mended.contains(*name)) {
        match place.read(name).map(drop) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            _ => {
                left.insert(name.clone());
            }
        }
    }
    if left != before {
        write(place, &left)?;
    }
    Ok(left)
}

fn write(place: &mut dyn Place, names: &BTreeSet<String>) -> io::Result<()> {
    if names.is_empty() {
        return place.remove(&[LIST.to_owned()]);
    }
    let lines: String = names.iter().map(|name| format!("{name}\n")).collect();
    place.put(LIST, lines.as_bytes())
}

/// Whether the file `name` is read again for the backup `number`.
fn is_due(name: &str, number: u64) -> bool {
    // The same in each process, and of no order in which names are given.
    let sum = name.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    sum % PARTS == number % PARTS
}

/// Reads the shared files of `place` whose turn it is at the backup `number`. Gives those that are not what was written.
pub(super) fn look(place: &dyn Place, number: u64, way: &Way<'_>) -> Result<BTreeSet<String>, BackupError> {
    let mut due = Vec::new();
    for folder in [SEGMENTS, REPLAYS] {
        let listed = place.files(folder, &mut |name, _| {
            if is_due(name, number) {
                due.push(name.to_owned());
            }
            Ok(())
        });
        listed.map_err(|cause| BackupError::io(&place.address().at(folder), cause))?;
    }
    let mut rotten = BTreeSet::new();
    for name in due {
        let at = place.address().at(&name);
        way.go_on().map_err(|error| BackupError::copy(&at, &at, error))?;
        if !is_whole(place, &name, way)? {
            rotten.insert(name);
        }
    }
    Ok(rotten)
}

/// Whether the file `name` has what its name says. One of another kind is nobody's, and one that cannot be read is not whole.
fn is_whole(place: &dyn Place, name: &str, way: &Way<'_>) -> Result<bool, BackupError> {
    if let Some((_, sha256)) = segment_of(name) {
        let Ok(mut from) = place.read(name) else { return Ok(false) };
        return match way.hash(&mut *from) {
            Ok(found) => Ok(found.sha256 == sha256),
            Err(CopyError::Cancelled) => Err(BackupError::Cancelled),
            Err(_) => Ok(false),
        };
    }
    let Ok(chunk) = BlobName::new(name) else { return Ok(true) };
    let started = Instant::now();
    let is_whole = read_whole(place, name).is_ok_and(|bytes| is_whole_blob(&chunk, &bytes));
    way.pause(started);
    Ok(is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::place;
    use crate::config::{BackupPlace, CommonFlags, Config, ServerFlags};

    /// Sabotage: forget what is not mended, or keep what is gone.
    #[test]
    fn what_is_damaged_is_noted_until_it_is_mended_or_gone() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::load(&CommonFlags::default(), &ServerFlags::default(), []).unwrap();
        let mut place = place::open(&BackupPlace::Dir(dir.path().to_owned()), &config, None).unwrap();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
        let [mended, left, gone, found] =
            ["segments/1-0-a.parquet", "segments/2-0-a.parquet", "segments/3-0-a.parquet", "replays/7/s1/0-1"];
        for name in [mended, left, found] {
            place.put(name, b"x").unwrap();
        }
        assert_eq!(noted(&*place).unwrap(), names(&[]));
        note(&mut *place, &names(&[mended])).unwrap();
        note(&mut *place, &names(&[mended, left, gone])).unwrap();
        assert_eq!(noted(&*place).unwrap(), names(&[mended, left, gone]));
        let settled = settle(&mut *place, &names(&[found]), &names(&[mended])).unwrap();
        assert_eq!((&settled, &noted(&*place).unwrap()), (&names(&[left, found]), &settled));
        assert_eq!(settle(&mut *place, &names(&[]), &settled).unwrap(), names(&[]));
        assert!(!dir.path().join(LIST).exists());
        // What stands there is the name of a file that is read.
        place.put(LIST, b"segments/2-0-a.parquet\n../zenovay.db\nlock\n").unwrap();
        assert_eq!(noted(&*place).unwrap(), names(&[left]));
    }

    /// Sabotage: read the same part each time.
    #[test]
    fn in_so_many_backups_every_file_is_read_once() {
        for name in (0..500).map(|number| format!("replays/7/s1/{number}")) {
            let due: Vec<u64> = (1_000..1_000 + PARTS).filter(|number| is_due(&name, *number)).collect();
            assert_eq!(due.len(), 1, "{name}");
        }
        let first = (0..500).filter(|number| is_due(&format!("segments/{number:016}-a.parquet"), 7)).count();
        assert!((1..100).contains(&first), "{first}");
    }
}
