//! Copies of a store that goes on. Each test names the sabotage that turns it red.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tempfile::TempDir;
use zenovay_domain::{ManualClock, Timestamp};
use zenovay_events::conformance::{pageview, store_all, values, website};
use zenovay_events::domain::Dimension;
use zenovay_events::{Copier, EmbeddedConfig, EmbeddedStore, EventStore, Moment, verify};

const NOW_MS: i64 = 1_774_746_000_000;

fn open(dir: &Path) -> EmbeddedStore {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW_MS)));
    EmbeddedStore::open(EmbeddedConfig::new(dir).with(|config| config.seal_rows = 64), clock).unwrap()
}

/// Copies into a directory, and does something in between.
struct Into<'a> {
    dir: PathBuf,
    acknowledged: &'a AtomicU64,
    at_moment: u64,
    after_moment: &'a dyn Fn(),
    moment: Moment,
}

impl Copier for Into<'_> {
    fn moment(&mut self, moment: &Moment) -> io::Result<()> {
        self.at_moment = self.acknowledged.load(Ordering::SeqCst);
        self.moment = moment.clone();
        Ok(())
    }

    fn log(&mut self, bytes: &mut dyn Read) -> io::Result<()> {
        (self.after_moment)();
        io::copy(bytes, &mut File::create(self.dir.join("events.db"))?)?;
        Ok(())
    }

    fn segments(&mut self, moment: &Moment) -> io::Result<()> {
        (self.after_moment)();
        fs::create_dir(self.dir.join("segments"))?;
        for file in &moment.segments {
            assert_eq!(fs::copy(&file.path, self.dir.join("segments").join(&file.name))?, file.bytes);
        }
        Ok(())
    }
}

/// Sabotage: let checkpoints go on while the log is copied; or take the moment while a commit is under way; or let merges go on
/// while segments are copied.
#[test]
fn a_copy_has_what_was_acknowledged_at_its_moment_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let (acknowledged, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for writer in 0..3_u64 {
            let (store, acknowledged, is_over) = (&store, &acknowledged, &is_over);
            scope.spawn(move || {
                for number in 0.. {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    let (id, path) = (writer * 1_000_000 + number, format!("/{writer}/{number}"));
                    store_all(store, website(writer as u8), &[pageview(NOW_MS, id, id, &path)]);
                    acknowledged.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let wait_for_more = || {
            let goal = acknowledged.load(Ordering::SeqCst) + 100;
            while acknowledged.load(Ordering::SeqCst) < goal {
                std::thread::yield_now();
            }
        };
        for _ in 0..5 {
            wait_for_more();
            let copy = TempDir::new().unwrap();
            let mut into = Into {
                dir: copy.path().to_owned(),
                acknowledged: &acknowledged,
                at_moment: 0,
                after_moment: &wait_for_more,
                moment: Moment::default(),
            };
            store.copy(&mut into).unwrap();
            // Of each writer one may be committed and not counted yet.
            let rows = into.moment.rows();
            assert!((into.at_moment..=into.at_moment + 3).contains(&rows), "{rows} of {}", into.at_moment);
            let found = verify(copy.path()).unwrap();
            assert_eq!((found.damages, found.segment_rows + found.log_rows), (Vec::new(), rows));
            let copied = open(copy.path());
            for site in &into.moment.websites {
                let paths = values(&copied, site.website, Dimension::Path);
                assert_eq!(paths.len() as u64, site.rows);
                let writer = (0..3_u8).find(|writer| website(*writer) == site.website).unwrap();
                for number in 0..site.rows {
                    assert!(paths.contains(&(format!("/{writer}/{number}"), 1)), "{writer}: {number}");
                }
            }
        }
        is_over.store(true, Ordering::SeqCst);
    });
    store.shutdown();
}

struct Failing(u32);

impl Copier for Failing {
    fn moment(&mut self, _: &Moment) -> io::Result<()> {
        if self.0 == 0 { Err(io::Error::other("at the moment")) } else { Ok(()) }
    }

    fn log(&mut self, _: &mut dyn Read) -> io::Result<()> {
        if self.0 == 1 { Err(io::Error::other("at the log")) } else { Ok(()) }
    }

    fn segments(&mut self, _: &Moment) -> io::Result<()> {
        if self.0 == 2 { Err(io::Error::other("at the segments")) } else { Ok(()) }
    }
}

/// Sabotage: leave the log held when the copier fails: it grows for ever.
#[test]
fn a_copy_that_fails_leaves_the_store_as_it_was() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    for step in 0..3 {
        let error = store.copy(&mut Failing(step)).unwrap_err();
        let words = format!("{}", std::error::Error::source(&error).unwrap());
        assert!(words.contains("at the"), "{words}");
    }
    store_all(&store, website(1), &[pageview(NOW_MS, 1, 1, "/a")]);
    store.erase_visitor(website(1), zenovay_domain::VisitorId(1)).unwrap();
    assert_eq!(fs::metadata(dir.path().join("events.db-wal")).unwrap().len(), 0, "checkpoints go on");
    store.shutdown();
}
