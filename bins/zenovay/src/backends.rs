//! The back ends of a server. Nothing else names one: everything else works with [`Metadata`] and [`EventStore`], whatever is
//! behind them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use zenovay_capture::{Blobs, CaptureError, CaptureOptions, Captures, ReplayLimits};
use zenovay_domain::{Clock, WebsiteId};
use zenovay_events::{EmbeddedConfig, EmbeddedStore, EventStore, OpenError, has_database, stored_rows};
#[cfg(feature = "clickhouse")]
use zenovay_events_clickhouse::{Acknowledged, ClickHouseStore, SpoolConfig};
use zenovay_store::{Metadata, SqliteStore, StoreError};
#[cfg(feature = "postgres")]
use zenovay_store::{
    PostgresCluster, PostgresSnapshot, PostgresStore, ServerClaim, copy_to_postgres, wait_for_postgres,
};

#[cfg(feature = "clickhouse")]
mod shared;

use crate::backup::{BackupError, Source};
use crate::bucket::{Bucket, BucketError};
#[cfg(feature = "clickhouse")]
use crate::config::EventsAck;
use crate::config::{Config, EventsUrl, PostgresUrl};
use crate::data_dir;
use crate::files::Way;
use crate::moving;
use crate::telemetry::StoreObserver;

/// Opens the metadata of `config`; makes them when there are none.
///
/// # Errors
/// When they cannot be opened, or are of a newer program; when they are in PostgreSQL, and the database is not the one that knows the
/// events in the data directory.
pub fn open_metadata(config: &Config) -> Result<Arc<dyn Metadata>, StoreError> {
    let Some(url) = config.postgres_url() else { return Ok(Arc::new(SqliteStore::open(config.sqlite_path())?)) };
    let store = open_postgres(url)?;
    if data_dir::has_events(&config.data_dir) && !store.has_users()? {
        let directory = config.data_dir.display();
        let cause = format!(
            "the PostgreSQL database has no account, and the data directory {directory} has events: their websites would belong to \
             nobody. Name the database that they belong to; `zenovay move` copies the metadata of SQLite to this one"
        );
        return Err(StoreError::Unavailable(cause.into()));
    }
    Ok(store)
}

#[cfg(feature = "postgres")]
fn open_postgres(url: &PostgresUrl) -> Result<Arc<dyn Metadata>, StoreError> {
    Ok(Arc::new(PostgresStore::open(url.expose())?))
}

/// No setting names a PostgreSQL database.
#[cfg(not(feature = "postgres"))]
fn open_postgres(_url: &PostgresUrl) -> Result<Arc<dyn Metadata>, StoreError> {
    Err(StoreError::Unavailable(WITHOUT_POSTGRES.into()))
}

/// Waits as long as `patience` for the PostgreSQL server of `config` when it cannot be reached yet.
///
/// # Errors
/// When it cannot be used, or not in time.
pub fn wait_for_metadata(config: &Config, patience: Duration) -> Result<(), StoreError> {
    config.postgres_url().map_or(Ok(()), |url| wait_for(url, patience))
}

#[cfg(feature = "postgres")]
fn wait_for(url: &PostgresUrl, patience: Duration) -> Result<(), StoreError> {
    wait_for_postgres(url.expose(), patience, &mut |cause| tracing::warn!(cause, "PostgreSQL is waited for"))
}

#[cfg(not(feature = "postgres"))]
fn wait_for(_url: &PostgresUrl, _patience: Duration) -> Result<(), StoreError> {
    Err(StoreError::Unavailable(WITHOUT_POSTGRES.into()))
}

#[cfg(not(feature = "postgres"))]
const WITHOUT_POSTGRES: &str = "this zenovay was built without PostgreSQL";

/// Who holds the claim on metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// This server, and others where they share everything.
    Here {
        /// Whether this one does what one of them does.
        leads: bool,
    },
    /// Another one, which is there.
    By(String),
}

/// What makes, and makes sure of, the claim of this server on its metadata. Blocks.
pub type HoldClaim = Box<dyn FnMut() -> Result<Held, StoreError> + Send>;

/// How the claim of a server on the metadata of `config` is held; `None` where nobody else can reach them: the data directory has a
/// lock of its own.
///
/// # Errors
/// When their address cannot be used.
pub fn claim(config: &Config) -> Result<Option<HoldClaim>, StoreError> {
    config.postgres_url().map(|url| claim_of(url, config.is_of_several())).transpose()
}

#[cfg(feature = "postgres")]
fn claim_of(url: &PostgresUrl, is_of_several: bool) -> Result<HoldClaim, StoreError> {
    let make = if is_of_several { ServerClaim::together } else { ServerClaim::new };
    let mut claim = make(url.expose())?;
    Ok(Box::new(move || match claim.hold()? {
        Some(other) => Ok(Held::By(other)),
        None => Ok(Held::Here { leads: claim.leads()? }),
    }))
}

/// Keeps the secret that visitors are named with for all servers of `config`, whose metadata are in PostgreSQL: gives the one that is kept, or
/// `fresh`, which is kept from then on.
///
/// # Errors
/// When it cannot be read or kept.
pub fn shared_secret(config: &Config, fresh: &[u8; 32]) -> Result<[u8; 32], StoreError> {
    #[cfg(feature = "postgres")]
    if let Some(url) = config.postgres_url() {
        return PostgresCluster::open(url.expose())?.secret(fresh);
    }
    let _ = (config, fresh);
    Err(StoreError::Unavailable("the metadata are not in PostgreSQL".into()))
}

#[cfg(not(feature = "postgres"))]
fn claim_of(_url: &PostgresUrl, _is_of_several: bool) -> Result<HoldClaim, StoreError> {
    Err(StoreError::Unavailable(WITHOUT_POSTGRES.into()))
}

/// Ends what waits for a database, before the process exits: what its library uses is taken away then.
pub fn leave() {
    #[cfg(feature = "postgres")]
    zenovay_store::end_postgres();
}

/// Why metadata were not moved or copied.
pub type CopyFailure = Box<dyn std::error::Error + Send + Sync>;

/// What was moved.
#[derive(Debug)]
pub struct Moved {
    /// The tables, and how many rows each has.
    pub tables: Vec<(String, u64)>,
    /// Whether all of it was there already, and nothing was written.
    pub was_there: bool,
}

/// Copies the metadata in the SQLite file `from` to the PostgreSQL database at `to`, all or none.
///
/// # Errors
/// When one of them cannot be used, the database has other rows, or a row is not the same after it was copied.
pub fn move_metadata(from: &Path, to: &PostgresUrl) -> Result<Moved, CopyFailure> {
    #[cfg(feature = "postgres")]
    return Ok(copy_to_postgres(from, to.expose())
        .map(|copied| Moved { tables: copied.tables, was_there: copied.was_there })?);
    #[cfg(not(feature = "postgres"))]
    return Err(format!("{} cannot be moved to {to:?}: {WITHOUT_POSTGRES}", from.display()).into());
}

/// The metadata as they are at one moment, for a copy of them.
pub(crate) enum MetadataSource {
    Sqlite(Source),
    #[cfg(feature = "postgres")]
    Postgres(PostgresSnapshot),
}

impl MetadataSource {
    /// Those of `config`, which were opened before.
    pub(crate) fn open(config: &Config) -> Result<Self, BackupError> {
        match config.postgres_url() {
            None => {
                let path = config.sqlite_path();
                Source::open(&path).map(Self::Sqlite).map_err(|cause| BackupError::sqlite(&path, cause))
            }
            #[cfg(feature = "postgres")]
            Some(url) => PostgresSnapshot::open(url.expose())
                .map(Self::Postgres)
                .map_err(|cause| BackupError::Metadata(cause.into())),
            #[cfg(not(feature = "postgres"))]
            Some(_) => Err(BackupError::Metadata(WITHOUT_POSTGRES.into())),
        }
    }

    /// From now on this sees what is in them now.
    pub(crate) fn take_moment(&mut self, from: &Path) -> Result<(), BackupError> {
        match self {
            Self::Sqlite(source) => source.take_moment().map_err(|cause| BackupError::sqlite(from, cause)),
            #[cfg(feature = "postgres")]
            Self::Postgres(snapshot) => snapshot.take_moment().map_err(|cause| BackupError::Metadata(cause.into())),
        }
    }

    /// Writes them to a new SQLite file `to`: durable when this returns.
    pub(crate) fn copy(self, from: &Path, to: &Path, way: &Way<'_>) -> Result<(), BackupError> {
        match self {
            Self::Sqlite(source) => source.copy(to, way).map_err(|error| BackupError::database(from, to, error)),
            #[cfg(feature = "postgres")]
            Self::Postgres(snapshot) => {
                snapshot.write(to).map_err(|cause| BackupError::Metadata(cause.into()))?;
                let synced = std::fs::File::open(to).and_then(|file| file.sync_all());
                synced.map_err(|cause| BackupError::io(to, cause))
            }
        }
    }
}

/// Why what pages captured beside events cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenCapturesError {
    /// The database cannot.
    #[error("captures: {0}")]
    Captures(#[from] CaptureError),
    /// The bucket of recordings cannot.
    #[error("recordings: {0}")]
    Bucket(#[from] BucketError),
}

/// Opens what pages captured beside events; makes an empty database when there is none. A bucket that does not answer now may later;
/// one that answers no is an error.
///
/// # Errors
/// When it cannot be opened, is damaged, or is of a newer program; when the bucket of `config` cannot be used.
pub fn open_captures(config: &Config) -> Result<Arc<Captures>, OpenCapturesError> {
    let bucket = Bucket::open(config)?;
    match bucket.as_ref().map_or(Ok(()), Bucket::probe) {
        Err(error @ BucketError::Unreachable { .. }) => {
            tracing::warn!(%error, "recordings wait until their bucket can be reached");
        }
        done => done?,
    }
    let options = CaptureOptions {
        bucket: bucket.map(|bucket| Arc::new(bucket) as Arc<dyn Blobs>),
        waiting_max_bytes: config.replay_waiting_bytes.get(),
        replays: ReplayLimits { days: config.replay_days.as_u32(), bytes: config.replay_bytes.get() },
        ..CaptureOptions::default()
    };
    Ok(Captures::open_with(&config.data_dir, options).map(Arc::new)?)
}

/// Why events cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenEventsError {
    /// Those of the data directory.
    #[error(transparent)]
    DataDir(#[from] OpenError),
    /// Those of ClickHouse.
    #[error("events in ClickHouse: {}", crate::causes::with_causes(&**.0))]
    ClickHouse(CopyFailure),
    /// There are some where the settings do not look for them.
    #[error("{0}")]
    Elsewhere(String),
}

/// Opens the events of `config`; makes an empty store when there are none. `clock` tells when what is held in memory is due, and
/// `captures` takes what pages captured beside events.
///
/// # Errors
/// When they cannot be opened, are damaged, or are of a newer program; when the data directory has events and the settings say that they
/// are in ClickHouse, or the other way round.
pub fn open_events(
    config: &Config,
    clock: Arc<dyn Clock>,
    captures: Arc<Captures>,
) -> Result<Arc<dyn EventStore>, OpenEventsError> {
    let spool = config.data_dir.join(SPOOL);
    if let Some(url) = &config.events_url {
        refuse_events_in(&config.data_dir)?;
        refuse_other_database(&config.data_dir, url)?;
        let events = open_clickhouse(config, url, &spool, clock, captures)?;
        data_dir::note_clickhouse(&config.data_dir, url.database()).map_err(|error| {
            OpenEventsError::Elsewhere(format!("the data directory cannot say where its events go: {error}"))
        })?;
        return Ok(events);
    }
    if let Some(database) = noted_database(&config.data_dir)? {
        let directory = config.data_dir.display();
        return Err(OpenEventsError::Elsewhere(format!(
            "the events of the data directory {directory} are in the ClickHouse database {database:?}, and events_url is not set: set it; to \
             begin without them, remove {}",
            config.data_dir.join(data_dir::IN_CLICKHOUSE).display()
        )));
    }
    if has_database(&spool.join("events.db")) {
        let spool = spool.display();
        return Err(OpenEventsError::Elsewhere(format!(
            "{spool} has events that were on their way to ClickHouse, and events_url is not set: set it, or move the folder away, with \
             what is in it"
        )));
    }
    let is_moving = moving::is_under_way(&config.data_dir)
        .map_err(|error| OpenEventsError::Elsewhere(crate::causes::with_causes(&*error)))?;
    refuse_metadata_of_clickhouse(config)?;
    let settings = EmbeddedConfig::new(&config.data_dir).with(|settings| {
        settings.keeps_segments = is_moving;
        settings.cache_bytes = config.cache_bytes();
        settings.seal_rows = config.seal_rows.get();
        settings.distinct_strings = config.distinct_values_per_day.as_usize();
        settings.seal_age_ms = i64::try_from(config.seal_age_seconds.get()).unwrap_or(i64::MAX).saturating_mul(1_000);
        settings.captures = Some(captures);
        settings.observer = Some(Arc::new(StoreObserver));
    });
    Ok(Arc::new(EmbeddedStore::open(settings, clock)?))
}

/// The folder of the data directory with events on their way to ClickHouse.
pub(crate) const SPOOL: &str = "spool";

/// The ClickHouse database that the events of a data directory are in, where it says so.
fn noted_database(data_dir: &Path) -> Result<Option<String>, OpenEventsError> {
    data_dir::clickhouse_database(data_dir).map_err(|error| {
        OpenEventsError::Elsewhere(format!(
            "{} cannot be read: {error}",
            data_dir.join(data_dir::IN_CLICKHOUSE).display()
        ))
    })
}

/// Refuses events in the data directory where the metadata are of events in ClickHouse, as with a copy of the directory of before a move: nodes
/// keep the ledger of retention in PostgreSQL, from the moment of a move on.
fn refuse_metadata_of_clickhouse(config: &Config) -> Result<(), OpenEventsError> {
    #[cfg(feature = "postgres")]
    if let Some(url) = config.postgres_url() {
        let failed = |error: StoreError| OpenEventsError::Elsewhere(crate::causes::with_causes(&error));
        if PostgresCluster::open(url.expose()).and_then(|cluster| cluster.ledger()).map_err(failed)?.is_some() {
            return Err(OpenEventsError::Elsewhere(
                "the PostgreSQL database says that the events of its websites are in ClickHouse, and events_url is not set: set it. What is in this \
                 data directory is of before; docs/operations/clickhouse.md says how to go back to it"
                    .to_owned(),
            ));
        }
    }
    let _ = config;
    Ok(())
}

/// Refuses a ClickHouse database that is not the one that the events and the erasures of a data directory are for.
fn refuse_other_database(data_dir: &Path, url: &EventsUrl) -> Result<(), OpenEventsError> {
    match noted_database(data_dir)? {
        Some(noted) if noted != url.database() => Err(OpenEventsError::Elsewhere(format!(
            "the events of the data directory {} are in the ClickHouse database {noted:?}, and events_url names {:?}: what waits and what is to \
             be erased would go to the wrong one. Name the first; if it was renamed, remove {}",
            data_dir.display(),
            url.database(),
            data_dir.join(data_dir::IN_CLICKHOUSE).display()
        ))),
        _ => Ok(()),
    }
}

/// Refuses a data directory with events of its own.
fn refuse_events_in(data_dir: &Path) -> Result<(), OpenEventsError> {
    if !data_dir::has_own_events(data_dir) {
        return Ok(());
    }
    let rows: u64 = stored_rows(data_dir)?.iter().map(|site| site.rows).sum();
    if rows == 0 {
        return Ok(());
    }
    let directory = data_dir.display();
    Err(OpenEventsError::Elsewhere(format!(
        "the data directory {directory} has {rows} events and heartbeats, which are in no answer while events_url is set: move them with \
         `zenovay move-events`, take events_url out again, or name another data directory"
    )))
}

#[cfg(feature = "clickhouse")]
fn open_clickhouse(
    config: &Config,
    url: &EventsUrl,
    spool: &Path,
    clock: Arc<dyn Clock>,
    captures: Arc<Captures>,
) -> Result<Arc<dyn EventStore>, OpenEventsError> {
    let failed = |error: CopyFailure| OpenEventsError::ClickHouse(error);
    let shared = shared_of(config).map_err(failed)?;
    let mut settings = SpoolConfig::new(spool);
    settings.bytes_max = config.spool_bytes.get();
    settings.acknowledged = match config.events_ack {
        EventsAck::Spooled => Acknowledged::WhenSpooled,
        EventsAck::Stored => Acknowledged::WhenDelivered,
    };
    settings.captures = Some(captures);
    settings.observer = Some(Arc::new(StoreObserver));
    tracing::info!(url = url.shown(), "events are in ClickHouse");
    let store = ClickHouseStore::open(url.config(), shared, settings, clock);
    Ok(Arc::new(store.map_err(|error| failed(error.into()))?))
}

/// No setting names servers of ClickHouse.
#[cfg(not(feature = "clickhouse"))]
fn open_clickhouse(
    _config: &Config,
    _url: &EventsUrl,
    _spool: &Path,
    _clock: Arc<dyn Clock>,
    _captures: Arc<Captures>,
) -> Result<Arc<dyn EventStore>, OpenEventsError> {
    Err(OpenEventsError::ClickHouse(WITHOUT_CLICKHOUSE.into()))
}

/// What is shared by nodes whose events are in ClickHouse, in the PostgreSQL database of `config`.
#[cfg(feature = "clickhouse")]
pub(crate) fn shared_of(config: &Config) -> Result<Arc<dyn zenovay_events_clickhouse::Shared>, CopyFailure> {
    let metadata = config.postgres_url().ok_or("database_url is not a PostgreSQL database")?;
    Ok(Arc::new(shared::InPostgres::open(metadata)?))
}

/// What is shared by nodes whose events are in ClickHouse, in the PostgreSQL database at `url`, which was opened before: for tests of it.
///
/// # Errors
/// When its address cannot be used.
#[cfg(feature = "clickhouse")]
pub fn shared_in(url: &str) -> Result<impl zenovay_events_clickhouse::Shared + use<>, StoreError> {
    shared::InPostgres::at(url)
}

/// How many events and heartbeats are in the ClickHouse of `config`; `None` when its tables are not made yet. Changes nothing.
///
/// # Errors
/// When it cannot be asked.
pub fn count_in_clickhouse(url: &EventsUrl) -> Result<Option<u64>, CopyFailure> {
    #[cfg(feature = "clickhouse")]
    return Ok(zenovay_events_clickhouse::count_all(url.config())?);
    #[cfg(not(feature = "clickhouse"))]
    return Err(format!("{url:?} cannot be asked: {WITHOUT_CLICKHOUSE}").into());
}

/// How many events and heartbeats ClickHouse has, and whether the metadata know their websites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RowsInClickHouse {
    /// All.
    pub rows: u64,
    /// Those of websites that the metadata do not have: in no answer.
    pub of_unknown_websites: u64,
}

impl RowsInClickHouse {
    /// Whether all that is there is of others.
    pub fn are_of_others(&self) -> bool {
        self.rows > 0 && self.of_unknown_websites == self.rows
    }
}

/// What is in the ClickHouse of `url`, where `known` are the websites that the metadata know; `None` when its tables are not made yet.
/// Changes nothing.
///
/// # Errors
/// When it cannot be asked.
pub fn rows_in_clickhouse(
    url: &EventsUrl,
    known: &BTreeSet<WebsiteId>,
) -> Result<Option<RowsInClickHouse>, CopyFailure> {
    #[cfg(feature = "clickhouse")]
    {
        let Some(websites) = zenovay_events_clickhouse::count_by_website(url.config())? else { return Ok(None) };
        let rows = |is_counted: &dyn Fn(&WebsiteId) -> bool| {
            websites.iter().filter(|(website, _)| is_counted(website)).map(|(_, rows)| rows).sum::<u64>()
        };
        Ok(Some(RowsInClickHouse { rows: rows(&|_| true), of_unknown_websites: rows(&|id| !known.contains(id)) }))
    }
    #[cfg(not(feature = "clickhouse"))]
    return Err(format!("{url:?} cannot be asked about {} websites: {WITHOUT_CLICKHOUSE}", known.len()).into());
}

/// What was looked at of servers of ClickHouse.
#[derive(Debug)]
pub struct Examined {
    /// What.
    pub check: String,
    /// Whether all is well.
    pub is_well: bool,
    /// What was seen.
    pub seen: String,
}

/// Looks whether the servers at `url` do what is relied on: writes some rows of a website that nobody has, and removes them.
///
/// # Errors
/// When they cannot be looked at.
pub fn examine_clickhouse(url: &EventsUrl) -> Result<Vec<Examined>, CopyFailure> {
    #[cfg(feature = "clickhouse")]
    {
        let nobody = zenovay_domain::WebsiteId::from_random_bytes(rand::random());
        let examined = zenovay_events_clickhouse::examine(url.config(), nobody)?.into_iter();
        Ok(examined.map(|one| Examined { check: one.check, is_well: one.is_well, seen: one.seen }).collect())
    }
    #[cfg(not(feature = "clickhouse"))]
    return Err(format!("{url:?} cannot be looked at: {WITHOUT_CLICKHOUSE}").into());
}

#[cfg(not(feature = "clickhouse"))]
const WITHOUT_CLICKHOUSE: &str = "this zenovay was built without ClickHouse";
