//! Events that move from the data directory to ClickHouse, see docs/decisions/0044-moving-events.md.
//!
//! `zenovay.moving` says how far a move is. `moved-events` has, when it has ended, what was moved, and `report.json`, what was compared.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use zenovay_domain::{VisitorId, WebsiteId};

use crate::backends::CopyFailure;

/// The file that says how far a move is.
pub const MOVING: &str = "zenovay.moving";
/// The folder with what was moved.
pub const MOVED: &str = "moved-events";
/// What was compared, in that folder.
pub const REPORT: &str = "report.json";
/// What is set aside when all is moved.
#[cfg(feature = "clickhouse")]
const SET_ASIDE: [&str; 3] = ["events.db", "events.db-wal", "segments"];

/// Whether some of the events of the data directory `directory` are moved, and all of them must stay where they are until the rest is.
///
/// # Errors
/// When that cannot be told; when all are, and `zenovay move-events` has not ended.
pub(crate) fn is_under_way(directory: &Path) -> Result<bool, CopyFailure> {
    let path = directory.join(MOVING);
    #[cfg(feature = "clickhouse")]
    match zenovay_events_clickhouse::move_state(&path)? {
        zenovay_events_clickhouse::MoveState::None => Ok(false),
        zenovay_events_clickhouse::MoveState::UnderWay => Ok(true),
        _ => {
            Err("all events are moved to ClickHouse, and the last step has not ended: run `zenovay move-events --finish` again"
                .into())
        }
    }
    #[cfg(not(feature = "clickhouse"))]
    match path.exists() {
        false => Ok(false),
        true => {
            Err("events are moving to ClickHouse, and this zenovay was built without it: use the one that began it"
                .into())
        }
    }
}

/// Notes that a visitor is erased, where some of the events of `directory` are moved: before anything is erased.
///
/// # Errors
/// When it cannot be noted.
pub(crate) fn note_erasure(directory: &Path, website: WebsiteId, visitor: VisitorId) -> io::Result<()> {
    #[cfg(feature = "clickhouse")]
    return zenovay_events_clickhouse::note_erasure(&directory.join(MOVING), website, visitor)
        .map_err(io::Error::other);
    #[cfg(not(feature = "clickhouse"))]
    {
        let _ = (directory, website, visitor);
        Ok(())
    }
}

/// Gives up a move of which the events are in `directory`.
///
/// # Errors
/// When that cannot be noted.
pub(crate) fn give_up(directory: &Path) -> io::Result<()> {
    gone(fs::remove_file(directory.join(MOVING)))
}

/// Removes from `directory` the events that were moved, which are there for whoever wants to go back.
///
/// # Errors
/// When they cannot be removed.
pub(crate) fn remove_moved(directory: &Path) -> io::Result<()> {
    let folder = directory.join(MOVED);
    for name in ["events.db", "events.db-wal"] {
        gone(fs::remove_file(folder.join(name)))?;
    }
    gone(fs::remove_dir_all(folder.join("segments")))
}

/// The same, and what is said of websites.
///
/// # Errors
/// As [`remove_moved`].
pub(crate) fn remove_all(directory: &Path) -> io::Result<()> {
    gone(fs::remove_dir_all(directory.join(MOVED)))
}

/// What was not there is gone.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(feature = "clickhouse")]
pub(crate) use with_clickhouse::{Finished, finish, reconciled, step};

#[cfg(feature = "clickhouse")]
mod with_clickhouse {
    use std::fs;
    use std::io::{self, ErrorKind};
    use std::os::unix::fs::DirBuilderExt;
    use std::path::Path;
    use std::time::Duration;

    use zenovay_events::{EmbeddedConfig, EventStore};
    use zenovay_events_clickhouse::{MoveState, Moved, Mover, Reconciliation, move_state};

    use super::{MOVED, MOVING, REPORT, SET_ASIDE};
    use crate::backends::{self, CopyFailure, SPOOL};
    use crate::config::{Config, EventsUrl};
    use crate::data_dir;
    use crate::erasures::Erasures;
    use crate::files::{self, sync_dir};

    /// What was done at the end.
    pub(crate) enum Finished {
        /// Everything is in ClickHouse, and the data directory says so.
        Done,
        /// Nothing was to do: it was there before.
        WasThere,
    }

    fn mover(config: &Config, to: &EventsUrl) -> Result<Mover, CopyFailure> {
        let shared = backends::shared_of(config)?;
        Ok(Mover::open(to.config(), shared, config.data_dir.join(MOVING))?)
    }

    /// Moves what is sealed of `events` for about as long as `time`.
    pub(crate) fn step(
        config: &Config,
        to: &EventsUrl,
        events: &dyn EventStore,
        erasures: &Erasures,
        time: Duration,
    ) -> Result<Moved, CopyFailure> {
        let store = events.movable().ok_or("the events are in ClickHouse already")?;
        Ok(mover(config, to)?.step(store, || erasures.turn(), time)?)
    }

    /// Compares what is in both, when everything of `events` is moved and nobody else uses it, and writes it down in the data directory.
    pub(crate) fn reconciled(
        config: &Config,
        to: &EventsUrl,
        events: &dyn EventStore,
    ) -> Result<Reconciliation, CopyFailure> {
        let store = events.movable().ok_or("the events are in ClickHouse already")?;
        let compared = mover(config, to)?.reconcile(store)?;
        let folder = config.data_dir.join(MOVED);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        files::replace(&folder.join(REPORT), serde_json::to_string_pretty(&compared)?.as_bytes())?;
        Ok(compared)
    }

    /// Does what is left when everything is moved and all numbers are equal. For who has the data directory for itself, and no store open.
    pub(crate) fn finish(config: &Config, to: &EventsUrl) -> Result<Finished, CopyFailure> {
        let directory = &config.data_dir;
        if move_state(&directory.join(MOVING))? != MoveState::Decided {
            return Ok(Finished::WasThere);
        }
        let mover = mover(config, to)?;
        let kept_ms = EmbeddedConfig::new("").idempotency_ms;
        // What was set aside already has nothing that is not copied.
        if data_dir::has_own_events(directory) {
            mover.switch(directory, &directory.join(SPOOL), kept_ms)?;
        }
        data_dir::note_clickhouse(directory, to.database())?;
        set_aside(directory)?;
        mover.release()?;
        super::give_up(directory)?;
        sync_dir(directory)?;
        Ok(Finished::Done)
    }

    /// The log goes last: whoever finds it knows that not everything was done.
    fn set_aside(directory: &Path) -> io::Result<()> {
        let folder = directory.join(MOVED);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        for name in SET_ASIDE.iter().rev() {
            match fs::rename(directory.join(name), folder.join(name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        sync_dir(&folder)?;
        sync_dir(directory)
    }
}
