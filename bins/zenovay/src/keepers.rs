//! Everything that keeps data of websites and their visitors, as one list. Retention, the erasure and the export of a visitor,
//! and the deletion of a website walk it, so that what keeps a new kind of data has to say what each of them does with it.
//!
//! Each keeper names the places it answers for. A test compares them with the tables, the kinds of records and the files that
//! there are (`tests/keepers.rs`): a place that nobody answers for fails it.

use std::path::PathBuf;
use std::sync::Arc;

use zenovay_capture::{CaptureError, Captures, VisitorCaptures};
use zenovay_domain::{Event, EventKind, Timestamp, VisitorId, WebsiteId};
use zenovay_events::{ChangeError, EventStore, Kept, RecordKind, Retained};
use zenovay_query::{Budget, QueryError};
use zenovay_store::{EventMonthStore, Store, StoreError};

use crate::alerts::ALERTS;
use crate::backends::SPOOL;
use crate::data_dir::{LOCK, SOCKET};
use crate::erasures::{ERASURES, Erasures};
use crate::moving::{self, MOVED, MOVING};
use crate::upgrade::{self, FORMATS, SNAPSHOT};

/// Where data of a website or a visitor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// A table of `zenovay.db`.
    Table(&'static str),
    /// A table of `events.db`.
    EventTable(&'static str),
    /// A table of `captures.db`.
    CaptureTable(&'static str),
    /// A kind of record, in the log and wherever it goes from there.
    Records(RecordKind),
    /// Files and folders of the data directory whose names begin so.
    Files(&'static str),
}

/// Names with which files begin that hold nothing of a website or a visitor: the lock of the server and the way to it, the versions of
/// what is stored, who was told of alerts (which names websites by their ids alone, until a minute after they are deleted), and `salts`,
/// the secrets that visitors are named with, which are destroyed day by day. With Redis also `zenovay.nodes`, the names of servers.
pub const FILES_WITHOUT_DATA: [&str; 5] = [ALERTS, LOCK, SOCKET, FORMATS, "salts"];

/// Why a keeper could not do what it was told to; it did as much as it could.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The metadata cannot be read or written.
    #[error(transparent)]
    Metadata(#[from] StoreError),
    /// Events cannot be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// Events cannot be changed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// What was captured beside events cannot be read or changed.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// It cannot be noted that a visitor was erased. Everything of the visitor that can be removed is.
    #[error("the list of erasures: {0}")]
    Erasures(std::io::Error),
    /// The snapshot of before an upgrade cannot be removed.
    #[error("the snapshot of before the upgrade: {0}")]
    Snapshot(std::io::Error),
    /// What moves to ClickHouse, or was moved, cannot be told of it.
    #[error("events that move to ClickHouse: {0}")]
    Moving(std::io::Error),
}

/// Hears what retention did.
pub type Tell<'a> = &'a mut dyn FnMut(Retained);

/// All that is kept of one visitor.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VisitorData {
    /// Events and heartbeats in the order of time.
    pub events: Vec<Event>,
    /// What was captured beside them.
    pub captures: VisitorCaptures,
}

/// Something that keeps data of websites and their visitors.
pub trait Keeper: Send + Sync {
    /// The places it answers for.
    fn places(&self) -> &'static [Place];

    /// Hides what each of `kept` keeps no longer, and shows again what it keeps longer than before. `now` is the time of a
    /// clock that is believed; without it nothing is hidden. Where nothing is due it does nothing.
    ///
    /// # Errors
    /// [`KeeperError`].
    fn retain(&self, kept: &[Kept], now: Option<Timestamp>, tell: Tell<'_>) -> Result<(), KeeperError>;

    /// Removes what was hidden for long enough, and what is kept for a time of its own that is over, by a clock that is
    /// believed. Where nothing is due it does nothing.
    ///
    /// # Errors
    /// [`KeeperError`].
    fn remove_old(&self, now: Timestamp, tell: Tell<'_>) -> Result<(), KeeperError>;

    /// Removes everything of one visitor.
    ///
    /// # Errors
    /// [`KeeperError`].
    fn erase_visitor(&self, website: WebsiteId, visitor: VisitorId) -> Result<(), KeeperError>;

    /// Removes everything of a website, whose row in the metadata is gone.
    ///
    /// # Errors
    /// [`KeeperError`].
    fn delete_website(&self, website: WebsiteId) -> Result<(), KeeperError>;

    /// Adds what is kept of one visitor to `data`, without what is hidden.
    ///
    /// # Errors
    /// [`KeeperError`].
    fn export_visitor(
        &self,
        website: WebsiteId,
        visitor: VisitorId,
        budget: &Budget,
        data: &mut VisitorData,
    ) -> Result<(), KeeperError>;
}

/// The event store, and what is kept of the numbers of events that were used and are not there any more.
struct Events {
    events: Arc<dyn EventStore>,
    months: Arc<dyn EventMonthStore>,
}

impl Events {
    /// When each pageview and event of a visitor happened.
    fn used_by(&self, website: WebsiteId, visitor: VisitorId) -> Result<Vec<Timestamp>, QueryError> {
        let events = self.events.visitor_events(website, visitor, &Budget::unlimited())?;
        Ok(events.iter().filter(|event| event.kind != EventKind::Heartbeat).map(|event| event.at).collect())
    }
}

impl Keeper for Events {
    fn places(&self) -> &'static [Place] {
        &[
            Place::Records(RecordKind::Events),
            // Of events that go on to ClickHouse: their keys.
            Place::Records(RecordKind::Arrivals),
            Place::EventTable("idempotency"),
            Place::EventTable("retention"),
            Place::Files("events.db"),
            Place::Files("segments"),
            Place::Files(SPOOL),
        ]
    }

    fn retain(&self, kept: &[Kept], now: Option<Timestamp>, tell: Tell<'_>) -> Result<(), KeeperError> {
        Ok(self.events.retain(kept, now, tell)?)
    }

    fn remove_old(&self, now: Timestamp, tell: Tell<'_>) -> Result<(), KeeperError> {
        Ok(self.events.remove_hidden(now, tell)?)
    }

    fn erase_visitor(&self, website: WebsiteId, visitor: VisitorId) -> Result<(), KeeperError> {
        // They were used, and stay so. When they cannot be read nobody waits with the erasure for that.
        let used = self.used_by(website, visitor);
        self.events.erase_visitor(website, visitor)?;
        let kept = used.map_err(KeeperError::from).and_then(|used| match used.is_empty() {
            true => Ok(()),
            false => Ok(self.months.keep_erased(website, &used)?),
        });
        if let Err(error) = kept {
            tracing::warn!(%website, %error, "events of an erased visitor are not counted in their month");
        }
        Ok(())
    }

    fn delete_website(&self, website: WebsiteId) -> Result<(), KeeperError> {
        Ok(self.events.delete_website(website)?)
    }

    fn export_visitor(
        &self,
        website: WebsiteId,
        visitor: VisitorId,
        budget: &Budget,
        data: &mut VisitorData,
    ) -> Result<(), KeeperError> {
        data.events.extend(self.events.visitor_events(website, visitor, budget)?);
        Ok(())
    }
}

/// The list of erasures itself, which comes first: what is noted is done again after a backup of before was restored.
struct Erased(Arc<Erasures>);

impl Keeper for Erased {
    fn places(&self) -> &'static [Place] {
        &[Place::Files(ERASURES)]
    }

    fn retain(&self, _: &[Kept], _: Option<Timestamp>, _: Tell<'_>) -> Result<(), KeeperError> {
        Ok(())
    }

    fn remove_old(&self, _: Timestamp, _: Tell<'_>) -> Result<(), KeeperError> {
        Ok(())
    }

    fn erase_visitor(&self, website: WebsiteId, visitor: VisitorId) -> Result<(), KeeperError> {
        self.0.note(website, visitor).map_err(KeeperError::Erasures)
    }

    fn delete_website(&self, _: WebsiteId) -> Result<(), KeeperError> {
        Ok(())
    }

    fn export_visitor(&self, _: WebsiteId, _: VisitorId, _: &Budget, _: &mut VisitorData) -> Result<(), KeeperError> {
        Ok(())
    }
}

/// The snapshot of before an upgrade, which has what there was then of everybody.
struct Snapshot(PathBuf);

impl Keeper for Snapshot {
    fn places(&self) -> &'static [Place] {
        &[Place::Files(SNAPSHOT)]
    }

    fn retain(&self, _: &[Kept], _: Option<Timestamp>, _: Tell<'_>) -> Result<(), KeeperError> {
        Ok(())
    }

    fn remove_old(&self, now: Timestamp, _: Tell<'_>) -> Result<(), KeeperError> {
        upgrade::remove_old_snapshot(&self.0, now).map_err(KeeperError::Snapshot)
    }

    fn erase_visitor(&self, _: WebsiteId, _: VisitorId) -> Result<(), KeeperError> {
        upgrade::remove_snapshot(&self.0).map_err(KeeperError::Snapshot)
    }

    fn delete_website(&self, _: WebsiteId) -> Result<(), KeeperError> {
        upgrade::remove_snapshot(&self.0).map_err(KeeperError::Snapshot)
    }

    fn export_visitor(&self, _: WebsiteId, _: VisitorId, _: &Budget, _: &mut VisitorData) -> Result<(), KeeperError> {
        Ok(())
    }
}

/// Events that are moved to ClickHouse, or were, and their files of before.
struct Moving(PathBuf);

impl Keeper for Moving {
    fn places(&self) -> &'static [Place] {
        &[Place::Files(MOVING), Place::Files(MOVED)]
    }

    fn retain(&self, _: &[Kept], _: Option<Timestamp>, _: Tell<'_>) -> Result<(), KeeperError> {
        Ok(())
    }

    fn remove_old(&self, _: Timestamp, _: Tell<'_>) -> Result<(), KeeperError> {
        Ok(())
    }

    fn erase_visitor(&self, website: WebsiteId, visitor: VisitorId) -> Result<(), KeeperError> {
        moving::note_erasure(&self.0, website, visitor).map_err(KeeperError::Moving)?;
        moving::remove_moved(&self.0).map_err(KeeperError::Moving)
    }

    fn delete_website(&self, _: WebsiteId) -> Result<(), KeeperError> {
        moving::remove_all(&self.0).map_err(KeeperError::Moving)
    }

    fn export_visitor(&self, _: WebsiteId, _: VisitorId, _: &Budget, _: &mut VisitorData) -> Result<(), KeeperError> {
        Ok(())
    }
}

/// What pages captured beside events. The log that it came through is overwritten by [`Events`], which comes after it and seals
/// the log first whenever it has captures.
struct Captured {
    captures: Arc<Captures>,
}

impl Keeper for Captured {
    fn places(&self) -> &'static [Place] {
        &[
            Place::Records(RecordKind::Captures),
            Place::CaptureTable("aliases"),
            Place::CaptureTable("doomed_blobs"),
            Place::CaptureTable("groups"),
            Place::CaptureTable("group_visitors"),
            Place::CaptureTable("heat_pages"),
            Place::CaptureTable("heat_views"),
            Place::CaptureTable("hidden"),
            Place::CaptureTable("occurrence_blocks"),
            Place::CaptureTable("occurrences"),
            Place::CaptureTable("replay_chunks"),
            Place::CaptureTable("replay_objects"),
            Place::CaptureTable("replay_views"),
            Place::CaptureTable("replays"),
            Place::CaptureTable("source_maps"),
            Place::CaptureTable("variants"),
            Place::CaptureTable("vitals"),
            Place::Files("captures.db"),
            Place::Files("replays"),
        ]
    }

    fn retain(&self, kept: &[Kept], now: Option<Timestamp>, _: Tell<'_>) -> Result<(), KeeperError> {
        self.captures.retain(kept, now)?;
        let replays = self.captures.limit_replays(now)?;
        if replays > 0 {
            tracing::info!(replays, "recordings that were too old, or too many, are removed");
        }
        Ok(())
    }

    fn remove_old(&self, now: Timestamp, _: Tell<'_>) -> Result<(), KeeperError> {
        let chunks = self.captures.remove_orphans(now)?;
        if chunks > 0 {
            tracing::info!(chunks, "chunks of recordings that nothing knows of are removed");
        }
        let rows = self.captures.remove_hidden()?;
        if rows > 0 {
            tracing::info!(rows, "captures that were hidden for long enough are removed");
        }
        Ok(())
    }

    fn erase_visitor(&self, website: WebsiteId, visitor: VisitorId) -> Result<(), KeeperError> {
        self.captures.erase_visitor(website, visitor)?;
        Ok(())
    }

    fn delete_website(&self, website: WebsiteId) -> Result<(), KeeperError> {
        Ok(self.captures.delete_website(website)?)
    }

    fn export_visitor(
        &self,
        website: WebsiteId,
        visitor: VisitorId,
        _: &Budget,
        data: &mut VisitorData,
    ) -> Result<(), KeeperError> {
        data.captures = self.captures.visitor(website, visitor)?;
        Ok(())
    }
}

/// The metadata. What it counts of a website has no visitor, and goes with the row of the website.
struct Metadata(Arc<dyn Store>);

impl Keeper for Metadata {
    fn places(&self) -> &'static [Place] {
        &[
            Place::Table("deleted_websites"),
            Place::Table("dropped_agents"),
            Place::Table("folded_strings"),
            Place::Table("funnels"),
            Place::Table("goals"),
            Place::Table("shares"),
            Place::Files("zenovay.db"),
        ]
    }

    fn retain(&self, _: &[Kept], _: Option<Timestamp>, _: Tell<'_>) -> Result<(), KeeperError> {
        Ok(())
    }

    fn remove_old(&self, now: Timestamp, _: Tell<'_>) -> Result<(), KeeperError> {
        // To count nothing forgets what was counted too long ago.
        Ok(self.0.count_dropped_agents(&[], now)?)
    }

    fn erase_visitor(&self, _: WebsiteId, _: VisitorId) -> Result<(), KeeperError> {
        Ok(())
    }

    fn delete_website(&self, _: WebsiteId) -> Result<(), KeeperError> {
        Ok(())
    }

    fn export_visitor(&self, _: WebsiteId, _: VisitorId, _: &Budget, _: &mut VisitorData) -> Result<(), KeeperError> {
        Ok(())
    }
}

/// All keepers.
pub struct Keepers {
    list: Vec<Box<dyn Keeper>>,
    erasures: Arc<Erasures>,
}

impl Keepers {
    /// The list. What keeps a new kind of data is added here.
    pub fn new(
        metadata: Arc<dyn zenovay_store::Metadata>,
        events: Arc<dyn EventStore>,
        captures: Arc<Captures>,
        erasures: Arc<Erasures>,
    ) -> Self {
        let months: Arc<dyn EventMonthStore> = metadata.clone();
        let list: Vec<Box<dyn Keeper>> = vec![
            Box::new(Erased(Arc::clone(&erasures))),
            Box::new(Snapshot(erasures.directory().to_owned())),
            Box::new(Moving(erasures.directory().to_owned())),
            Box::new(Captured { captures }),
            Box::new(Events { events, months }),
            Box::new(Metadata(metadata)),
        ];
        Self { list, erasures }
    }

    /// The places that are answered for.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.list.iter().flat_map(|keeper| keeper.places()).copied()
    }

    /// [`Keeper::retain`] of all.
    ///
    /// # Errors
    /// The first error, when all others did their part.
    pub fn retain(&self, kept: &[Kept], now: Option<Timestamp>, tell: Tell<'_>) -> Result<(), KeeperError> {
        self.each(|keeper| keeper.retain(kept, now, &mut *tell))
    }

    /// [`Keeper::remove_old`] of all.
    ///
    /// # Errors
    /// As [`Keepers::retain`].
    pub fn remove_old(&self, now: Timestamp, tell: Tell<'_>) -> Result<(), KeeperError> {
        self.each(|keeper| keeper.remove_old(now, &mut *tell))
    }

    /// [`Keeper::erase_visitor`] of all.
    ///
    /// # Errors
    /// As [`Keepers::retain`].
    pub fn erase_visitor(&self, website: WebsiteId, visitor: VisitorId) -> Result<(), KeeperError> {
        // A backup knows of an erasure when it has nothing of the visitor.
        let _turn = self.erasures.turn();
        self.each(|keeper| keeper.erase_visitor(website, visitor))
    }

    /// [`Keeper::delete_website`] of all.
    ///
    /// # Errors
    /// As [`Keepers::retain`].
    pub fn delete_website(&self, website: WebsiteId) -> Result<(), KeeperError> {
        self.each(|keeper| keeper.delete_website(website))
    }

    /// What all keep of one visitor.
    ///
    /// # Errors
    /// [`KeeperError`]: never a part of it.
    pub fn export_visitor(
        &self,
        website: WebsiteId,
        visitor: VisitorId,
        budget: &Budget,
    ) -> Result<VisitorData, KeeperError> {
        let mut data = VisitorData::default();
        for keeper in &self.list {
            keeper.export_visitor(website, visitor, budget, &mut data)?;
        }
        Ok(data)
    }

    fn each(&self, mut step: impl FnMut(&dyn Keeper) -> Result<(), KeeperError>) -> Result<(), KeeperError> {
        let mut all_done = Ok(());
        for keeper in &self.list {
            let done = step(keeper.as_ref());
            all_done = all_done.and(done);
        }
        all_done
    }
}
