//! Moves the events of a store in a directory into the tables, while that store goes on.
//!
//! Segments are taken one by one, in the order of arrival, each in batches that are the same whenever they are sent. How far it is stands in
//! a file, written before and after each batch: whoever goes on, after whatever death, sends the batch of which nobody knows anew, under
//! its token, without the rows that are there already. Meanwhile the store merges nothing, so that a segment has all its rows or none behind
//! the place that was reached.
//!
//! An erasure takes rows out of the store at once. Before it does, it is noted in the file together with the number below which everything
//! stands that was moved, or begun, by then: rows of that visitor below it are removed from the tables later. Rows that the same visitor
//! sends afterwards are in later segments, and have higher numbers. A segment that an erasure wrote anew while it was half moved is moved
//! anew, under new numbers, after what was moved of it is removed.
//!
//! The database is taken for the move, with a mark in it: no server uses it meanwhile, and no move begins into one that a server has used.
//!
//! At the end, when nobody appends any more, numbers of both are compared. Only when all are equal is the ledger of retention put into the
//! file, and with that the move is decided: what is left, [`Mover::switch`], is done again until it is done.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use zenovay_domain::{Event, Interval, TimeRange, Timestamp, VisitorId, WebsiteId, Zone};
use zenovay_events::engine::{Movable, Sealed, StoredKey, copy_keys};
use zenovay_events::{ChangeError, NewEvent};
use zenovay_query::{Answer, Budget, MetricValues, Query, QueryError, Question};

use crate::shared::{Claim, Shared, SharedError};
use crate::tables::Claimed;
use crate::{Config, OpenError, ServerError, Tables};

/// So many rows are sent at a time at most.
const BATCH_ROWS: usize = 32_768;
/// A file of progress with more bytes than this is none.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Why events were not moved, or not all of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoveError {
    /// The file that says how far the move is cannot be read or written.
    #[error("{path} cannot be used")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The move that was begun goes into another database.
    #[error("a move to the ClickHouse database {0:?} was begun before: name that one, or give that move up first")]
    OtherDatabase(String),
    /// The store is not the one of which some was moved.
    #[error(
        "the events are not those of which some were moved before, as after a backup was restored: give that move up and begin anew"
    )]
    OtherStore,
    /// The tables have events of something else.
    #[error("the database has {0} events already: name an empty one")]
    NotEmpty(u64),
    /// A server has used the database.
    #[error("a server uses the database already: name an empty one that no server was started with")]
    Served,
    /// The database is not taken for this move.
    #[error(
        "the database is not the one that this move began with, or is taken for another move: name that one, or remove the database and begin \
         anew with an empty one"
    )]
    NotOurs,
    /// The tables have events of websites of which none was moved.
    #[error(
        "the database has {0} events of websites of which none was moved: somebody else uses it. Nothing was removed; give this move up, and begin \
         anew with an empty one"
    )]
    Strange(u64),
    /// The tables have changed since all numbers were equal.
    #[error(
        "the database had {before} events when all numbers were equal, and has {now}: somebody else uses it, or removed some"
    )]
    Changed {
        /// Then.
        before: u64,
        /// Now.
        now: u64,
    },
    /// Numbers were equal, and what is left is to be done without the store.
    #[error("all events are moved already, and what is left needs the server stopped")]
    Decided,
    /// The events cannot be read.
    #[error("the events cannot be read")]
    Store(#[from] ChangeError),
    /// The events of one of the two cannot be asked.
    #[error("the events cannot be compared")]
    Query(#[from] QueryError),
    /// The keys of the store cannot be copied.
    #[error("the idempotency keys cannot be copied")]
    Keys(#[from] zenovay_events::OpenError),
    /// What all nodes share cannot be used.
    #[error(transparent)]
    Shared(#[from] SharedError),
    /// ClickHouse did not do something.
    #[error("ClickHouse did not do it")]
    Server(#[from] ServerError),
    /// ClickHouse cannot be used.
    #[error("ClickHouse cannot be used")]
    Open(#[from] OpenError),
}

/// A segment of which some is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Current {
    position: u64,
    id: u64,
    rows: u64,
    /// The number of its first row.
    first: u64,
    /// So many of its rows are stored.
    done: u64,
    /// So many of those that follow were sent perhaps.
    in_flight: u64,
}

/// Rows of a visitor that are to be removed from the tables: those with numbers below `below`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Erased {
    website: WebsiteId,
    visitor: u64,
    below: u64,
}

/// How far a move is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// Names the batches of this move.
    id: String,
    /// The id of the store.
    store: Option<String>,
    database: String,
    /// Segments up to this place are moved.
    after: Option<u64>,
    current: Option<Current>,
    /// Every number that was given to a row so far is below.
    below: u64,
    /// Rows that are moved.
    rows: u64,
    erasures: Vec<Erased>,
    /// Whether the database is taken for this move.
    #[serde(default)]
    is_claimed: bool,
    /// The websites of which rows were sent.
    #[serde(default)]
    websites: BTreeSet<WebsiteId>,
    /// How many rows the tables had when numbers were equal.
    #[serde(default)]
    stored: Option<u64>,
    /// The ledger of retention, when numbers were equal: the move is decided.
    ledger: Option<String>,
}

impl Progress {
    fn read(path: &Path) -> Result<Option<Self>, MoveError> {
        let failed = |source| MoveError::File { path: path.to_owned(), source };
        let text = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
            Ok(found) if found.len() > FILE_BYTES_MAX => return Err(failed(io::ErrorKind::InvalidData.into())),
            Ok(_) => fs::read(path).map_err(failed)?,
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| failed(error.into()))
    }

    /// Makes sure that `database` is the one that the move goes into.
    fn is_into(&self, database: &str) -> Result<(), MoveError> {
        if self.database == database { Ok(()) } else { Err(MoveError::OtherDatabase(self.database.clone())) }
    }

    /// Durable when this returns.
    fn write(&self, path: &Path) -> Result<(), MoveError> {
        let failed = |source| MoveError::File { path: path.to_owned(), source };
        let new = path.with_extension("moving.tmp");
        let write = || {
            let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.sync_all()?;
            fs::rename(&new, path)?;
            path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
        };
        write().map_err(failed)
    }
}

/// What a file of progress says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MoveState {
    /// There is no move.
    None,
    /// Some is moved.
    UnderWay,
    /// All is moved, and [`Mover::switch`] has not ended.
    Decided,
}

/// What the file of progress `path` says.
///
/// # Errors
/// When it cannot be read.
pub fn move_state(path: &Path) -> Result<MoveState, MoveError> {
    Ok(match Progress::read(path)? {
        None => MoveState::None,
        Some(progress) if progress.ledger.is_some() => MoveState::Decided,
        Some(_) => MoveState::UnderWay,
    })
}

/// Notes in the file of progress `path`, when there is one, that `visitor` of `website` is erased from the store: before that is begun, and
/// while no step of the move is under way. Durable when this returns.
///
/// # Errors
/// When it cannot be noted.
pub fn note_erasure(path: &Path, website: WebsiteId, visitor: VisitorId) -> Result<(), MoveError> {
    let Some(mut progress) = Progress::read(path)? else { return Ok(()) };
    let erased = Erased { website, visitor: visitor.0, below: progress.below };
    if progress.erasures.contains(&erased) {
        return Ok(());
    }
    progress.erasures.push(erased);
    progress.write(path)
}

/// Gives up the move of which `path` is the file of progress. What was moved stays in the tables.
///
/// # Errors
/// When the file cannot be removed.
pub fn give_up_move(path: &Path) -> Result<(), MoveError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(MoveError::File { path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

/// How far a move is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Moved {
    /// Events and heartbeats that are moved.
    pub rows: u64,
    /// Those in segments that are not.
    pub left: u64,
}

/// One number of both stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Both<T> {
    /// Of the store in the directory.
    pub directory: T,
    /// Of ClickHouse.
    pub clickhouse: T,
}

impl<T: PartialEq> Both<T> {
    fn is_equal(&self) -> bool {
        self.directory == self.clickhouse
    }
}

/// A day of a website of which the two stores do not say the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DifferentDay {
    /// When it begins.
    pub day: Timestamp,
    /// Its totals.
    pub totals: Both<MetricValues>,
}

/// What was compared of a website.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ComparedWebsite {
    /// Which.
    pub website: WebsiteId,
    /// Events and heartbeats, hidden ones too.
    pub rows: Both<u64>,
    /// The totals of all time, of what is not hidden.
    pub totals: Both<MetricValues>,
    /// The totals of how many days, in UTC, were compared.
    pub days: usize,
    /// Those that differ.
    pub different_days: Vec<DifferentDay>,
    /// Whether the new visitors of each day are the same.
    pub are_new_visitors_equal: bool,
}

impl ComparedWebsite {
    /// Whether everything that was compared is the same.
    pub fn is_equal(&self) -> bool {
        self.rows.is_equal() && self.totals.is_equal() && self.different_days.is_empty() && self.are_new_visitors_equal
    }
}

/// What was compared of all websites.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Reconciliation {
    /// Events and heartbeats of all.
    pub rows: Both<u64>,
    /// Each website with events in one of the two.
    pub websites: Vec<ComparedWebsite>,
}

impl Reconciliation {
    /// Whether everything that was compared is the same.
    pub fn is_equal(&self) -> bool {
        self.rows.is_equal() && self.websites.iter().all(ComparedWebsite::is_equal)
    }
}

/// Moves events.
pub struct Mover {
    tables: Tables,
    shared: Arc<dyn Shared>,
    path: PathBuf,
}

impl Mover {
    /// Into the database of `config`, which is made when it is missing, with numbers from `shared`; `path` is the file of progress. Blocks.
    ///
    /// # Errors
    /// When the servers cannot be used, or a move went into another database.
    pub fn open(config: Config, shared: Arc<dyn Shared>, path: impl Into<PathBuf>) -> Result<Self, MoveError> {
        let path = path.into();
        // No table is made in the wrong one.
        Progress::read(&path)?.map_or(Ok(()), |progress| progress.is_into(&config.database))?;
        Ok(Self { tables: Tables::open(config)?, shared, path })
    }

    /// Moves what is sealed in `store`, for about as long as `time`: at least one batch, when there is one. Blocks.
    ///
    /// `turn` gives something that is held for each batch: while it is held nobody erases.
    ///
    /// # Errors
    /// When something cannot be read or written. What was done stays done.
    pub fn step<T>(&self, store: &dyn Movable, turn: impl Fn() -> T, time: Duration) -> Result<Moved, MoveError> {
        let until = Instant::now() + time;
        {
            let _turn = turn();
            self.begin(store)?;
        }
        self.erase(&turn)?;
        loop {
            let _turn = turn();
            let mut progress = self.progress()?;
            let sealed = store.sealed();
            let has_more = self.move_some(store, &sealed, &mut progress)?;
            if !has_more || Instant::now() >= until {
                let done = progress.current.map(|current| (current.position, current.done));
                let left = |one: &Sealed| match done {
                    Some((position, done)) if position == one.position => one.rows.saturating_sub(done),
                    _ if progress.after.is_some_and(|after| one.position <= after) => 0,
                    _ => one.rows,
                };
                return Ok(Moved { rows: progress.rows, left: sealed.iter().map(left).sum() });
            }
        }
    }

    /// Compares what the two stores have, when all is sealed and moved, and nobody appends or erases. Websites that are not in `store` any
    /// more are removed from the tables first, when some of them was moved. When all is equal the move is decided. Blocks.
    ///
    /// # Errors
    /// When one of them cannot be asked, or somebody else has written into the tables.
    pub fn reconcile(&self, store: &dyn Movable) -> Result<Reconciliation, MoveError> {
        self.confirm(&self.progress()?)?;
        self.erase(&|| ())?;
        let mut progress = self.progress()?;
        let here: BTreeMap<WebsiteId, u64> = store.stored().iter().map(|site| (site.website, site.rows)).collect();
        let mut gone = self.tables.websites()?;
        gone.retain(|(website, _)| !here.contains_key(website));
        let strange = gone.iter().filter(|(website, _)| !progress.websites.contains(website));
        match strange.map(|(_, rows)| rows).sum() {
            0 => {}
            rows => return Err(MoveError::Strange(rows)),
        }
        for (website, _) in gone {
            self.tables.delete_website(website)?;
        }
        let there: BTreeMap<WebsiteId, u64> = self.tables.websites()?.into_iter().collect();
        let ledger = store.ledger();
        let all: BTreeSet<WebsiteId> = here.keys().chain(there.keys()).copied().collect();
        let hidden = ledger.boundaries();
        let rows_of = |of: &BTreeMap<WebsiteId, u64>, website| of.get(website).copied().unwrap_or(0);
        let websites = all
            .iter()
            .map(|website| {
                let rows = Both { directory: rows_of(&here, website), clickhouse: rows_of(&there, website) };
                self.compare(store, *website, rows, hidden.get(website).copied())
            })
            .collect::<Result<Vec<_>, _>>()?;
        let rows = Both { directory: here.values().sum(), clickhouse: there.values().sum() };
        let compared = Reconciliation { rows, websites };
        if compared.is_equal() {
            progress.stored = Some(rows.clickhouse);
            progress.ledger = Some(serde_json::to_string(&ledger).map_err(SharedError::new)?);
            progress.write(&self.path)?;
        }
        Ok(compared)
    }

    /// Gives what all nodes share what it has to know of the events of the store in `dir`, which is closed, and the idempotency keys to the
    /// spool in `spool`: after this the tables may be appended to. The same again does no harm. A key is kept for `kept_ms` milliseconds.
    /// Blocks.
    ///
    /// # Errors
    /// When the move is not decided, went into another database, or somebody else has written into this one since; when something cannot be
    /// written.
    pub fn switch(&self, dir: &Path, spool: &Path, kept_ms: i64) -> Result<(), MoveError> {
        let progress = self.progress()?;
        self.confirm(&progress)?;
        let ledger = progress.ledger.ok_or(MoveError::OtherStore)?;
        let now = self.tables.rows()?;
        if let Some(before) = progress.stored.filter(|before| *before != now) {
            return Err(MoveError::Changed { before, now });
        }
        self.shared.raise(self.tables.next_arrival()?)?;
        let before = self.shared.retention()?;
        if !self.shared.replace_retention(before.as_deref(), &ledger)? {
            return Err(SharedError::new("a server changed how long events are kept at the same moment").into());
        }
        copy_keys(dir, spool, &mut |keys: &[StoredKey]| {
            // The keys are held by numbers that no row has.
            let first = self.shared.reserve(keys.len() as u64)?;
            let claim =
                |(number, &(website, key, at)): (u64, &StoredKey)| Claim::new(website, key, number, at, kept_ms);
            let claims: Vec<Claim> = (first..).zip(keys).map(claim).collect();
            self.shared.claim(&claims)?;
            Ok::<(), MoveError>(())
        })
    }

    /// Lets servers use the database, when [`Mover::switch`] has ended. The same again does no harm.
    ///
    /// # Errors
    /// When the move went into another database, or a server does not do it.
    pub fn release(&self) -> Result<(), MoveError> {
        let progress = self.progress()?;
        progress.is_into(&self.tables.config().database)?;
        Ok(self.tables.release(&progress.id)?)
    }

    /// Makes sure that the database is the one of the move.
    fn confirm(&self, progress: &Progress) -> Result<(), MoveError> {
        progress.is_into(&self.tables.config().database)?;
        if progress.is_claimed && !self.tables.is_claimed(&progress.id)? {
            return Err(MoveError::NotOurs);
        }
        Ok(())
    }

    /// Takes the database for the move, once.
    fn claim(&self, mut progress: Progress) -> Result<(), MoveError> {
        match self.tables.claim(&progress.id)? {
            Claimed::Here => {
                progress.is_claimed = true;
                progress.write(&self.path)
            }
            refused => {
                // Nothing was moved.
                if progress.below == 0 {
                    give_up_move(&self.path)?;
                }
                Err(if refused == Claimed::Served { MoveError::Served } else { MoveError::NotOurs })
            }
        }
    }

    fn progress(&self) -> Result<Progress, MoveError> {
        Progress::read(&self.path)?.ok_or(MoveError::OtherStore)
    }

    /// Begins a move, or makes sure that this goes on with one.
    fn begin(&self, store: &dyn Movable) -> Result<(), MoveError> {
        let found = Progress::read(&self.path)?;
        if let Some(progress) = &found {
            self.confirm(progress)?;
        }
        match found {
            Some(progress) if progress.store != store.store_id() => return Err(MoveError::OtherStore),
            Some(progress) if progress.ledger.is_some() => return Err(MoveError::Decided),
            Some(progress) if progress.is_claimed => {}
            Some(progress) => self.claim(progress)?,
            None => {
                let rows = self.tables.rows()?;
                if rows > 0 {
                    return Err(MoveError::NotEmpty(rows));
                }
                // A batch of an earlier attempt is another one.
                let id = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
                let progress = Progress {
                    id,
                    store: store.store_id(),
                    database: self.tables.config().database.clone(),
                    after: None,
                    current: None,
                    below: 0,
                    rows: 0,
                    erasures: Vec::new(),
                    is_claimed: false,
                    websites: BTreeSet::new(),
                    stored: None,
                    ledger: None,
                };
                progress.write(&self.path)?;
                self.claim(progress)?;
            }
        }
        store.keep_segments(true);
        Ok(())
    }

    /// Removes from the tables what was erased from the store.
    fn erase<T>(&self, turn: &impl Fn() -> T) -> Result<(), MoveError> {
        let pending = self.progress()?.erasures;
        if pending.is_empty() {
            return Ok(());
        }
        let mut of: BTreeMap<WebsiteId, Vec<(VisitorId, u64)>> = BTreeMap::new();
        for erased in &pending {
            of.entry(erased.website).or_default().push((VisitorId(erased.visitor), erased.below));
        }
        for (website, visitors) in of {
            self.tables.erase_below(website, &visitors)?;
        }
        let _turn = turn();
        // Others may have been noted meanwhile.
        let mut progress = self.progress()?;
        progress.erasures.retain(|erased| !pending.contains(erased));
        progress.write(&self.path)
    }

    /// Moves the next batch, or does what comes before it. `false` when there is nothing to move.
    fn move_some(&self, store: &dyn Movable, sealed: &[Sealed], progress: &mut Progress) -> Result<bool, MoveError> {
        let Some(mut current) = progress.current else {
            let next = sealed.iter().find(|one| progress.after.is_none_or(|after| one.position > after));
            let Some(&Sealed { position, id, rows, .. }) = next else { return Ok(false) };
            let first = self.shared.reserve(rows)?;
            progress.current = Some(Current { position, id, rows, first, done: 0, in_flight: 0 });
            progress.below = progress.below.max(first + rows);
            progress.write(&self.path)?;
            return Ok(true);
        };
        let Some(piece) = store.read_sealed(current.id, current.done, BATCH_ROWS)? else {
            // It was written anew without somebody, or nothing was left of it.
            self.tables.remove_numbers(current.first..current.first + current.rows)?;
            progress.rows -= current.done;
            progress.current = None;
            progress.write(&self.path)?;
            return Ok(true);
        };
        if piece.is_empty() {
            progress.after = Some(current.position);
            progress.current = None;
            progress.write(&self.path)?;
            return Ok(true);
        }
        let (count, from) = (piece.len() as u64, current.first + current.done);
        let stored: HashSet<u64> = if current.in_flight > 0 {
            let stored = self.tables.stored_arrivals(from..=from + count - 1)?;
            stored.into_iter().map(|(number, ..)| number).collect()
        } else {
            current.in_flight = count;
            progress.current = Some(current);
            progress.websites.extend(piece.iter().map(|(website, _)| *website));
            progress.write(&self.path)?;
            HashSet::new()
        };
        // When it arrived is known of no sealed row, and asked by nobody.
        let new = |(website, event): (WebsiteId, Event)| NewEvent::new(website, event.at, event);
        let rows = (from..).zip(piece).filter(|(number, _)| !stored.contains(number));
        let rows: Vec<(u64, NewEvent)> = rows.map(|(number, row)| (number, new(row))).collect();
        let token = format!("zenovay-move-{}-{}-{}", progress.id, current.id, current.done);
        self.tables.write_numbered(&token, &rows)?;
        (current.done, current.in_flight) = (current.done + count, 0);
        progress.rows += count;
        progress.current = Some(current);
        progress.write(&self.path)?;
        Ok(true)
    }

    fn compare(
        &self,
        store: &dyn Movable,
        website: WebsiteId,
        rows: Both<u64>,
        since: Option<Timestamp>,
    ) -> Result<ComparedWebsite, MoveError> {
        let range = store.span(website).unwrap_or(TimeRange::ALL);
        let ask = |question| {
            let (query, budget) = (Query::new(range, question), Budget::unlimited());
            let directory = store.query(website, &query, &budget)?;
            let clickhouse = self.tables.query(website, since, &query, &budget)?;
            Ok::<_, QueryError>(Both { directory, clickhouse })
        };
        let totals = match ask(Question::Overview)? {
            Both { directory: Answer::Overview(here), clickhouse: Answer::Overview(there) } => {
                Both { directory: here.metrics, clickhouse: there.metrics }
            }
            _ => return Err(QueryError::unavailable("an answer is to another question").into()),
        };
        let (interval, zone) = (Interval::Day, Zone::utc());
        let series = match ask(Question::Series { interval, zone: zone.clone() })? {
            Both { directory: Answer::Series(here), clickhouse: Answer::Series(there) } => [here.points, there.points],
            _ => return Err(QueryError::unavailable("an answer is to another question").into()),
        };
        let mut days: BTreeMap<Timestamp, [MetricValues; 2]> = BTreeMap::new();
        for (side, points) in series.into_iter().enumerate() {
            for point in points {
                days.entry(point.bucket.from).or_default()[side] = point.metrics;
            }
        }
        let different = |(day, [here, there]): (&Timestamp, &[MetricValues; 2])| {
            let totals = Both { directory: *here, clickhouse: *there };
            (!totals.is_equal()).then_some(DifferentDay { day: *day, totals })
        };
        Ok(ComparedWebsite {
            website,
            rows,
            totals,
            days: days.len(),
            different_days: days.iter().filter_map(different).collect(),
            are_new_visitors_equal: ask(Question::NewVisitors { interval: Some(interval), zone })?.is_equal(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: take a file that cannot be read for one that is not there.
    #[test]
    fn a_file_of_progress_that_cannot_be_read_is_no_missing_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("zenovay.moving");
        assert_eq!(move_state(&path).unwrap(), MoveState::None);
        note_erasure(&path, WebsiteId::from_random_bytes([7; 16]), VisitorId(1)).unwrap();
        assert!(!path.exists());
        fs::write(&path, "{").unwrap();
        assert!(move_state(&path).is_err());
        assert!(note_erasure(&path, WebsiteId::from_random_bytes([7; 16]), VisitorId(1)).is_err());
        give_up_move(&path).unwrap();
        give_up_move(&path).unwrap();
        assert_eq!(move_state(&path).unwrap(), MoveState::None);
    }
}
