//! All that is kept of one visitor.

use rusqlite::params;
use zenovay_domain::{TimeRange, Timestamp, VisitorId, WebsiteId};

use super::Captures;
use super::heatmaps::{self, VisitorHeat};
use super::replays::{self, ReplayDetail};
use super::schema::shown;
use crate::CaptureError;
use crate::vitals::Vital;

/// What was captured of one visitor.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VisitorCaptures {
    /// Page views whose speed was measured, in the order of time: when, on which page, and the values of [`Vital::ALL`].
    pub vitals: Vec<(Timestamp, String, [Option<f64>; 5])>,
    /// Errors, in the order of time: when, on which page, of which type, and with which message.
    pub errors: Vec<(Timestamp, String, String, String)>,
    /// Page views that are in heatmaps, in the order of time.
    pub heatmaps: Vec<VisitorHeat>,
    /// Recordings, in the order of time.
    pub replays: Vec<ReplayDetail>,
}

impl Captures {
    /// What was captured of `visitor` and is not hidden.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn visitor(&self, website: WebsiteId, visitor: VisitorId) -> Result<VisitorCaptures, CaptureError> {
        self.catch_up()?;
        self.read(|connection| {
            let range = shown(connection, website.as_bytes(), TimeRange::ALL)?;
            let (website, visitor) = (website.as_bytes(), visitor.0.cast_signed());
            let named = params![website, visitor, range.from.as_millis()];
            let mut vitals = connection.prepare(
                "SELECT at, path, lcp, cls, inp, fcp, ttfb FROM vitals WHERE website = ?1 AND visitor = ?2 AND at >= ?3
                     ORDER BY at",
            )?;
            let vitals = vitals.query_map(named, |row| {
                let mut values = [None; 5];
                for vital in Vital::ALL {
                    let at = vital as usize;
                    values[at] =
                        row.get::<_, Option<i64>>(at + 2)?.map(|stored| super::vitals::value_of(vital, stored));
                }
                Ok((Timestamp::from_millis(row.get(0)?), row.get(1)?, values))
            })?;
            let vitals = vitals.collect::<Result<_, _>>()?;
            let mut errors = connection.prepare(
                "SELECT o.at, o.path, v.kind, v.message FROM occurrences o JOIN variants v ON v.id = o.variant
                     WHERE o.website = ?1 AND o.visitor = ?2 AND o.at >= ?3 ORDER BY o.at",
            )?;
            let errors = errors.query_map(named, |row| {
                Ok((Timestamp::from_millis(row.get(0)?), row.get(1)?, row.get(2)?, row.get(3)?))
            })?;
            let errors = errors.collect::<Result<_, _>>()?;
            let heatmaps = heatmaps::of_visitor(connection, website, visitor, range)?;
            let replays = replays::of_visitor(connection, website, visitor, range, self.shared.limits)?;
            Ok(VisitorCaptures { vitals, errors, heatmaps, replays })
        })
    }
}
