//! Reading everything that is stored, to find damage before a query does.

use std::path::Path;
use std::sync::Arc;

use crate::OpenError;
use crate::catalog::{segments_dir, strangers};
use crate::codes::{agree, disagreement, websites_with_codes};
use crate::log::{Log, Opened, Purpose};
use crate::repair::rows_of;
use crate::segment::{Segment, file_name};

/// What was read, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Verified {
    /// Segment files.
    pub segments: u64,
    /// Their rows.
    pub segment_rows: u64,
    /// Their bytes.
    pub segment_bytes: u64,
    /// Events and heartbeats in the log that are in no segment yet.
    pub log_rows: u64,
    /// Each damage, with the file it is in. Empty when everything is as it was written.
    pub damages: Vec<String>,
    /// The names of the segment files among these, in the folder `segments`.
    pub damaged_segments: Vec<String>,
}

/// Reads the log and every column of every segment of the store in `dir` and compares them with their checksums. Changes
/// nothing that is stored. Needs the store for itself, like [`crate::EmbeddedStore::open`].
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// use zenovay_events::{Store, verify};
///
/// drop(Store::open(dir)?);
/// assert!(verify(dir)?.damages.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the store is in use, of a newer format, or its log is so damaged that nothing can be said about segments.
pub fn verify(dir: &Path) -> Result<Verified, OpenError> {
    let Opened { log, named, .. } = Log::open(dir, Purpose::Look)?;
    let mut verified = Verified { damages: log.integrity_faults(), ..Verified::default() };
    match log.replay(|_, record| verified.log_rows += rows_of(record)) {
        Ok(()) => {}
        Err(error @ OpenError::Newer { .. }) => return Err(error),
        Err(damage) => verified.damages.push(damage.to_string()),
    }
    let segments_dir = segments_dir(dir);
    verified.damages.extend(strangers(&segments_dir, &named)?);
    let segments = named.segments.into_iter().map(|meta| Arc::new(Segment::new(&segments_dir, meta)));
    let segments: Vec<Arc<Segment>> = segments.collect();
    for segment in &segments {
        verified.segments += 1;
        verified.segment_rows += segment.meta.rows;
        verified.segment_bytes += segment.meta.bytes;
        if let Err(damage) = segment.verify() {
            verified.damages.push(damage.to_string());
            verified.damaged_segments.push(file_name(segment.meta.id));
        }
    }
    for website in websites_with_codes(&segments) {
        // What cannot be read was told above.
        if agree(&segments, website).is_ok_and(|agree| !agree) {
            verified.damages.push(format!("{}: a repair has them given anew", disagreement(website)));
        }
    }
    Ok(verified)
}

#[cfg(test)]
mod tests {
    use zenovay_domain::{Dimension, Event, EventKind, ManualClock, SessionId, Timestamp, VisitorId, WebsiteId};

    use super::*;
    use crate::{EmbeddedConfig, EmbeddedStore, EventStore, NewEvent};

    fn fill(dir: &Path) {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000)));
        let store = EmbeddedStore::open(EmbeddedConfig::new(dir), clock).unwrap();
        for round in 0..2_u64 {
            let event = |number: u64| {
                let mut event = Event::new(
                    EventKind::Pageview,
                    Timestamp::from_millis(number as i64),
                    VisitorId(number % 11 % 7),
                    SessionId(number % 11),
                );
                event.dimensions.set(Dimension::Path, &format!("/{round}/{number}"));
                NewEvent::new(WebsiteId::from_random_bytes([1; 16]), event.at, event)
            };
            assert!(store.append((0..50).map(event).collect()).wait().is_ok());
            if round == 0 {
                store.seal().unwrap();
            }
        }
    }

    #[test]
    fn every_changed_byte_of_a_column_is_found() {
        let directory = tempfile::tempdir().unwrap();
        fill(directory.path());
        let segments = directory.path().join("segments");
        let path = std::fs::read_dir(segments).unwrap().next().unwrap().unwrap().path();
        let original = std::fs::read(&path).unwrap();
        let Opened { log, named, .. } = Log::open(directory.path(), Purpose::Look).unwrap();
        drop(log);
        let chunks: Vec<_> = named.segments[0].groups.iter().flat_map(|group| group.chunks.clone()).collect();
        assert!(chunks.len() > 20);
        for chunk in chunks {
            for offset in [0, u64::from(chunk.bytes) / 2, u64::from(chunk.bytes) - 1] {
                let mut damaged = original.clone();
                damaged[usize::try_from(chunk.offset + offset).unwrap()] ^= 0x10;
                std::fs::write(&path, &damaged).unwrap();
                assert_eq!(verify(directory.path()).unwrap().damages.len(), 1, "byte {}", chunk.offset + offset);
            }
        }
        std::fs::write(&path, &original[..original.len() - 1]).unwrap();
        assert_eq!(verify(directory.path()).unwrap().damages.len(), 1, "a byte is missing");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(verify(directory.path()).unwrap().damages.len(), 1, "the file is missing");
    }

    /// Sabotage: leave a part out, forget where a part began that came in pieces, or do not compare the length.
    #[test]
    fn whoever_copies_a_file_finds_every_changed_byte_whatever_pieces_it_comes_in() {
        let directory = tempfile::tempdir().unwrap();
        fill(directory.path());
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000)));
        let store = EmbeddedStore::open(EmbeddedConfig::new(directory.path()), clock).unwrap();
        let file = store.segment_files().remove(0);
        let mut bytes = std::fs::read(&file.path).unwrap();
        let problem = |bytes: &[u8], piece: usize| {
            let mut check = store.segment_check(&file).unwrap();
            bytes.chunks(piece).for_each(|piece| check.see(piece));
            check.problem()
        };
        for piece in [1, 7, 64, bytes.len()] {
            assert_eq!(problem(&bytes, piece), None, "in pieces of {piece}");
        }
        for at in 0..bytes.len() {
            bytes[at] ^= 0x10;
            let words = problem(&bytes, 97).unwrap_or_else(|| panic!("byte {at}"));
            let (from, to) = words.strip_prefix("damaged in bytes ").unwrap().split_once("..").unwrap();
            assert!((from.parse().unwrap()..to.parse().unwrap()).contains(&at), "byte {at}: {words}");
            bytes[at] ^= 0x10;
        }
        assert!(problem(&bytes[..bytes.len() - 1], 97).unwrap().contains("instead of"));
        assert!(problem(&[&bytes[..], b"x"].concat(), 97).unwrap().contains("instead of"));
        let mut gone = file.clone();
        gone.name = "00000000000000ff.parquet".to_owned();
        assert!(store.segment_check(&gone).is_none());
    }

    #[test]
    fn a_healthy_store_is_counted_and_not_changed() {
        let directory = tempfile::tempdir().unwrap();
        fill(directory.path());
        let verified = verify(directory.path()).unwrap();
        assert_eq!((verified.segments, verified.segment_rows, verified.log_rows), (1, 50, 50));
        assert_eq!(verified.damages, Vec::<String>::new());
        assert_eq!(verify(directory.path()).unwrap(), verified);
    }

    #[test]
    fn a_store_in_use_is_not_verified() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let _store = EmbeddedStore::open(EmbeddedConfig::new(directory.path()), clock).unwrap();
        assert!(matches!(verify(directory.path()), Err(OpenError::InUse(_))));
    }
}
