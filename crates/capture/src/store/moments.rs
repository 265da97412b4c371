//! What happened to one visitor beside their events: the errors they met, and where they clicked in a rage.

use rusqlite::params;
use zenovay_domain::{SessionId, TimeRange, Timestamp, VisitorId, WebsiteId};

use super::Captures;
use super::errors::GroupId;
use super::heatmaps::{self, VisitorRage};
use super::replays::{self, ReplayDetail};
use super::schema::shown;
use crate::CaptureError;

/// An error that a visitor met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisitorError {
    /// When.
    pub at: Timestamp,
    /// In which visit.
    pub session: SessionId,
    /// On which page: its path.
    pub path: String,
    /// Its group.
    pub group: GroupId,
    /// Its type.
    pub kind: String,
    /// Its message.
    pub message: String,
    /// How often at that moment.
    pub count: u64,
}

impl Captures {
    /// The last errors that `visitor` met in `range`, `limit` of them at most, in the order of time.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn visitor_errors(
        &self,
        website: WebsiteId,
        visitor: VisitorId,
        range: TimeRange,
        limit: usize,
    ) -> Result<Vec<VisitorError>, CaptureError> {
        self.catch_up()?;
        self.read(|connection| {
            let range = shown(connection, website.as_bytes(), range)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut select = connection.prepare(
                "SELECT o.at, o.session, o.path, g.uuid, v.kind, v.message, o.count FROM occurrences o
                     JOIN variants v ON v.id = o.variant JOIN groups g ON g.id = v.grp
                     WHERE o.website = ?1 AND o.visitor = ?2 AND o.at >= ?3 AND o.at < ?4
                     ORDER BY o.at DESC, o.id DESC LIMIT ?5",
            )?;
            let named = params![
                website.as_bytes(),
                visitor.0.cast_signed(),
                range.from.as_millis(),
                range.to.as_millis(),
                limit
            ];
            let found = select.query_map(named, |row| {
                Ok(VisitorError {
                    at: Timestamp::from_millis(row.get(0)?),
                    session: SessionId(row.get::<_, i64>(1)?.cast_unsigned()),
                    path: row.get(2)?,
                    group: GroupId::from_bytes(row.get(3)?),
                    kind: row.get(4)?,
                    message: row.get(5)?,
                    count: row.get::<_, i64>(6)?.cast_unsigned(),
                })
            })?;
            let mut errors = found.collect::<Result<Vec<_>, _>>()?;
            errors.reverse();
            Ok(errors)
        })
    }

    /// Where `visitor` clicked in a rage, on pages that were looked at in `range`, in the order of time.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn visitor_rage_clicks(
        &self,
        website: WebsiteId,
        visitor: VisitorId,
        range: TimeRange,
    ) -> Result<Vec<VisitorRage>, CaptureError> {
        self.catch_up()?;
        self.read(|connection| {
            let range = shown(connection, website.as_bytes(), range)?;
            heatmaps::rage_of_visitor(connection, website.as_bytes(), visitor.0.cast_signed(), range)
        })
    }

    /// The recordings of `visitor` that began in `range`, in the order of time.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn visitor_replays(
        &self,
        website: WebsiteId,
        visitor: VisitorId,
        range: TimeRange,
    ) -> Result<Vec<ReplayDetail>, CaptureError> {
        self.catch_up()?;
        self.read(|connection| {
            let range = shown(connection, website.as_bytes(), range)?;
            let (visitor, limits) = (visitor.0.cast_signed(), self.shared.limits);
            replays::of_visitor(connection, website.as_bytes(), visitor, range, limits)
        })
    }
}
