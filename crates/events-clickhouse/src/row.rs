//! A row of the table.

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use zenovay_domain::{Dimension, Dimensions, Event, EventFlags, EventKind, SessionId, Timestamp, VisitorId, WebsiteId};
use zenovay_events::NewEvent;
use zenovay_query::{Cause, QueryError};

macro_rules! rows {
    ($($column:ident: $dimension:ident,)*) => {
        /// A row on its way into the table. What it is called there, its members are called.
        #[derive(Debug, Clone, Row, Serialize)]
        pub(crate) struct NewRow {
            website: (u64, u64),
            at: i64,
            visitor: u64,
            session: u64,
            arrival: u64,
            received_at: i64,
            kind: u8,
            flags: u8,
            engagement_ms: u32,
            scroll_percent: u8,
            property_values: Vec<(String, String)>,
            $($column: String,)*
        }

        impl NewRow {
            /// `new`, the `arrival`-th of all rows.
            pub(crate) fn new(new: &NewEvent, arrival: u64) -> Self {
                let event = &new.event;
                let text = |dimension: Dimension| dimension.normal(event.dimensions.get(dimension)).into_owned();
                Self {
                    website: halves(new.website),
                    at: event.at.as_millis(),
                    visitor: event.visitor.0,
                    session: event.session.0,
                    arrival,
                    received_at: new.received_at.as_millis(),
                    kind: event.kind as u8,
                    flags: event.flags.bits(),
                    engagement_ms: event.engagement_ms,
                    scroll_percent: event.scroll_percent,
                    property_values: property_values(event.dimensions.get(Dimension::Properties)),
                    $($column: text(Dimension::$dimension),)*
                }
            }
        }

        /// A row as it is read back.
        #[derive(Debug, Clone, Row, Deserialize)]
        pub(crate) struct StoredRow {
            pub(crate) at: i64,
            pub(crate) visitor: u64,
            pub(crate) session: u64,
            pub(crate) kind: u8,
            pub(crate) flags: u8,
            pub(crate) engagement_ms: u32,
            pub(crate) scroll_percent: u8,
            $($column: String,)*
        }

        impl StoredRow {
            /// The columns that are read, as they stand in a `SELECT`.
            pub(crate) const COLUMNS: &str = concat!(
                "at, visitor, session, kind, flags, engagement_ms, scroll_percent",
                $(", CAST(", stringify!($column), " AS String) AS ", stringify!($column),)*
            );
            /// The same without the types, for what is read out of a subquery.
            pub(crate) const NAMES: &str = concat!(
                "at, visitor, session, kind, flags, engagement_ms, scroll_percent",
                $(", ", stringify!($column),)*
            );

            /// The string of a dimension; empty for one that this program does not know.
            pub(crate) fn text(&self, dimension: Dimension) -> &str {
                match dimension {
                    $(Dimension::$dimension => &self.$column,)*
                    _ => "",
                }
            }
        }

        #[cfg(test)]
        const COLUMNS: &[(&str, Dimension)] = &[$((stringify!($column), Dimension::$dimension),)*];
    };
}

rows! {
    page: Path,
    title: Title,
    hostname: Hostname,
    event_name: EventName,
    properties: Properties,
    referrer: Referrer,
    source: Source,
    channel: Channel,
    utm_source: UtmSource,
    utm_medium: UtmMedium,
    utm_campaign: UtmCampaign,
    utm_term: UtmTerm,
    utm_content: UtmContent,
    country: Country,
    region: Region,
    city: City,
    browser: Browser,
    browser_version: BrowserVersion,
    os: Os,
    os_version: OsVersion,
    device: Device,
    screen_class: ScreenClass,
    language: Language,
}

impl StoredRow {
    /// Its strings, and what else is held of it beside its own size.
    pub(crate) fn text_bytes(&self) -> usize {
        Dimension::ALL.iter().map(|&dimension| self.text(dimension).len()).sum()
    }

    /// What happened.
    ///
    /// # Errors
    /// When a newer program wrote it.
    pub(crate) fn kind(&self) -> Result<EventKind, QueryError> {
        EventKind::from_code(self.kind)
            .ok_or_else(|| QueryError::damaged(Cause::from(format!("an event has the unknown kind {}", self.kind))))
    }

    /// The event.
    ///
    /// # Errors
    /// As [`StoredRow::kind`].
    pub(crate) fn event(&self) -> Result<Event, QueryError> {
        let (at, visitor, session) =
            (Timestamp::from_millis(self.at), VisitorId(self.visitor), SessionId(self.session));
        let mut event = Event::new(self.kind()?, at, visitor, session);
        event.flags = EventFlags::from_bits(self.flags);
        event.engagement_ms = self.engagement_ms;
        event.scroll_percent = self.scroll_percent;
        event.dimensions = Dimensions::with_capacity(self.text_bytes());
        for &dimension in Dimension::ALL {
            match self.text(dimension) {
                "" => {}
                text => event.dimensions.set(dimension, text),
            }
        }
        Ok(event)
    }
}

/// The two numbers that ClickHouse writes a UUID as.
#[expect(clippy::cast_possible_truncation, reason = "it is cut in two")]
fn halves(website: WebsiteId) -> (u64, u64) {
    let id = website.as_u128();
    ((id >> 64) as u64, id as u64)
}

/// The website whose id was written so.
pub(crate) fn website_of((high, low): (u64, u64)) -> WebsiteId {
    WebsiteId::from_bytes((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
}

/// The members of the JSON object `properties` as questions compare them: a string as it is, numbers and truth values as JSON writes
/// them, without what is null. None when it is no object.
fn property_values(properties: &str) -> Vec<(String, String)> {
    let members = match properties {
        "" => return Vec::new(),
        text => serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).unwrap_or_default(),
    };
    let text = |value| match value {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    members.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: leave a column out.
    #[test]
    fn every_dimension_has_the_column_of_its_name() {
        assert_eq!(COLUMNS.len(), Dimension::COUNT);
        for (column, dimension) in COLUMNS {
            assert_eq!(*column, dimension.as_str());
        }
    }

    #[test]
    fn properties_are_strings_and_what_is_no_object_has_none() {
        let values = property_values(r#"{"a":"x","b":1.50,"c":true,"d":null,"b":2}"#);
        let found: Vec<_> = values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, [("a", "x"), ("b", "2"), ("c", "true")]);
        assert_eq!((property_values("[]"), property_values("")), (vec![], vec![]));
    }
}
