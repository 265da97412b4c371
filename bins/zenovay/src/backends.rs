//! The back ends of a server. Nothing else names one: everything else works with [`Metadata`] and [`EventStore`], whatever is
//! behind them.

use std::sync::Arc;

use zenovay_capture::{Blobs, CaptureError, CaptureOptions, Captures, ReplayLimits};
use zenovay_domain::Clock;
use zenovay_events::{EmbeddedConfig, EmbeddedStore, EventStore, OpenError};
use zenovay_store::{Metadata, SqliteStore, StoreError};

use crate::bucket::{Bucket, BucketError};
use crate::config::Config;
use crate::telemetry::StoreObserver;

/// Opens the metadata of `config`; makes them when there are none.
///
/// # Errors
/// When they cannot be opened, or are of a newer program.
pub fn open_metadata(config: &Config) -> Result<Arc<dyn Metadata>, StoreError> {
    Ok(Arc::new(SqliteStore::open(config.database_path())?))
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

/// Opens the events of `config`; makes an empty store when there are none. `clock` tells when what is held in memory is due, and
/// `captures` takes what pages captured beside events.
///
/// # Errors
/// When they cannot be opened, are damaged, or are of a newer program.
pub fn open_events(
    config: &Config,
    clock: Arc<dyn Clock>,
    captures: Arc<Captures>,
) -> Result<Arc<dyn EventStore>, OpenError> {
    let settings = EmbeddedConfig::new(&config.data_dir).with(|settings| {
        settings.cache_bytes = config.cache_bytes();
        settings.seal_rows = config.seal_rows.get();
        settings.distinct_strings = config.distinct_values_per_day.as_usize();
        settings.seal_age_ms = i64::try_from(config.seal_age_seconds.get()).unwrap_or(i64::MAX).saturating_mul(1_000);
        settings.captures = Some(captures);
        settings.observer = Some(Arc::new(StoreObserver));
    });
    Ok(Arc::new(EmbeddedStore::open(settings, clock)?))
}
