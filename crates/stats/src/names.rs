//! The names of metrics and properties on the wire.

use std::fmt;
use std::str::FromStr;

use zenovay_domain::{Dimension, EventKind};
use zenovay_query::{Condition, Field, Filter, FilterLevel, Operator, Order};

use crate::traits;

/// A name that stands for nothing. Whoever looked it up tells which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown name")]
#[non_exhaustive]
pub struct UnknownName;

/// Why a name stands for no property that can be asked for. The text goes behind the name that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PropertyError {
    /// There is none with the name.
    #[error("is unknown")]
    Unknown,
    /// It says who somebody is.
    #[error("is not available")]
    Withheld,
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $id:literal;)*) => {
        /// A number that can be asked for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Metric { $($(#[$doc])* $variant,)* }

        impl Metric {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Names its definition. A metric that is ever counted in another way gets another one.
            pub const fn definition(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }
        }
    };
}

metrics! {
    /// Distinct visitors.
    Visitors, "visitors", "visitors.distinct.v1";
    /// Visitors whose first event of all that are kept is in the range, or in the bucket.
    NewVisitors, "new_visitors", "new_visitors.first_kept_event.v1";
    /// Visits: sessions with a counted event.
    Visits, "visits", "visits.with_event.v1";
    /// Events of kind pageview.
    Pageviews, "pageviews", "pageviews.v1";
    /// Events of every kind but heartbeats.
    Events, "events", "events.without_heartbeats.v1";
    /// Pageviews a visit.
    ViewsPerVisit, "views_per_visit", "views_per_visit.in_range.v1";
    /// Visits with one pageview, no other event and under 10 s of engagement, as a part of the visits: 0 to 1.
    BounceRate, "bounce_rate", "bounce_rate.whole_visits.v1";
    /// Mean time from the first event of a visit to its last activity.
    VisitDuration, "visit_duration", "visit_duration.whole_visits.v1";
    /// Mean value score of the visits, 0 to 100.
    ValueScore, "value_score", "value_score.whole_visits.v1";
    /// Mean time on page.
    TimeOnPage, "time_on_page", "time_on_page.to_next_view.v1";
    /// Visits with a conversion as a part of the visits: 0 to 1.
    ConversionRate, "conversion_rate", "conversion_rate.per_visit.v1";
    /// Visitors of a row as a part of the visitors of all rows: 0 to 1.
    Percentage, "percentage", "percentage.of_visitors.v1";
}

impl Metric {
    /// Whether it tells what visits were like, and not what happened in them.
    pub fn is_of_visits(self) -> bool {
        matches!(self, Self::ViewsPerVisit | Self::BounceRate | Self::VisitDuration | Self::ValueScore)
    }

    /// Whether the sessions of a row must be counted for it.
    pub(crate) fn needs_sessions(self) -> bool {
        self.is_of_visits() || matches!(self, Self::Visits | Self::ConversionRate)
    }

    /// The order of rows that are sorted by it; `None` when rows cannot be.
    pub fn order(self) -> Option<Order> {
        match self {
            Self::Visitors => Some(Order::Visitors),
            Self::Visits => Some(Order::Sessions),
            Self::Pageviews => Some(Order::Pageviews),
            Self::Events => Some(Order::Events),
            _ => None,
        }
    }
}

impl FromStr for Metric {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL.iter().copied().find(|metric| metric.as_str() == name).ok_or(UnknownName)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What rows are of, and conditions are about.
///
/// ```
/// use zenovay_stats::Property;
///
/// let page = Property::parse("event:page", false)?;
/// assert_eq!(Property::parse("page", true)?, page);
/// assert!(page.is_page() && Property::parse("event:props:plan", false)?.is_custom());
/// # Ok::<(), zenovay_stats::PropertyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Property {
    /// The name of an event that is a goal; in filters also a page.
    Goal,
    /// A field.
    Field(Field),
    /// The country, which filters call by its English name. Rows hold its code.
    CountryName,
}

/// Every property but those of events: the name with its prefix, the other names it is known by, and what it is.
const NAMES: &[(&str, &[&str], Property)] = &[
    ("event:goal", &[], Property::Goal),
    ("event:page", &["event:path", "path"], of(Dimension::Path)),
    ("event:title", &[], of(Dimension::Title)),
    ("event:hostname", &[], of(Dimension::Hostname)),
    ("event:name", &["event_name"], of(Dimension::EventName)),
    ("visit:entry_page", &["event:entry_page"], Property::Field(Field::EntryPage)),
    ("visit:exit_page", &["event:exit_page"], Property::Field(Field::ExitPage)),
    ("visit:source", &[], of(Dimension::Source)),
    ("visit:referrer", &[], of(Dimension::Referrer)),
    ("visit:channel", &[], of(Dimension::Channel)),
    ("visit:utm_source", &[], of(Dimension::UtmSource)),
    ("visit:utm_medium", &["visit:medium"], of(Dimension::UtmMedium)),
    ("visit:utm_campaign", &["visit:campaign"], of(Dimension::UtmCampaign)),
    ("visit:utm_term", &["visit:term"], of(Dimension::UtmTerm)),
    ("visit:utm_content", &["visit:content"], of(Dimension::UtmContent)),
    ("visit:country", &[], of(Dimension::Country)),
    ("visit:country_name", &[], Property::CountryName),
    ("visit:region", &["visit:region_name"], of(Dimension::Region)),
    ("visit:city", &["visit:city_name"], of(Dimension::City)),
    ("visit:browser", &[], of(Dimension::Browser)),
    ("visit:browser_version", &[], of(Dimension::BrowserVersion)),
    ("visit:os", &["visit:operating_system"], of(Dimension::Os)),
    ("visit:os_version", &[], of(Dimension::OsVersion)),
    ("visit:device", &[], of(Dimension::Device)),
    ("visit:screen", &["screen_class"], of(Dimension::ScreenClass)),
    ("visit:language", &[], of(Dimension::Language)),
];

const fn of(dimension: Dimension) -> Property {
    Property::Field(Field::Dimension(dimension))
}

/// What names of custom properties begin with.
pub(crate) const CUSTOM: &str = "event:props:";
/// The same in the words of the dashboard.
pub(crate) const CUSTOM_OF_VIEW: &str = "prop.";

/// The name of a property, or of the kind of an event, as it is in a view.
pub(crate) fn bare(name: &'static str) -> &'static str {
    match name.rsplit(':').next().unwrap_or(name) {
        // There are other names and types, too.
        "name" => "event_name",
        "type" => "event_type",
        bare => bare,
    }
}

/// As long as the name of a property of an event can be, in characters.
pub(crate) const CUSTOM_NAME_MAX: usize = 100;

impl Property {
    /// The property with this name; when `is_bare`, also without `event:` or `visit:` before it.
    ///
    /// # Errors
    /// When there is none, or when nobody may ask for it.
    pub fn parse(name: &str, is_bare: bool) -> Result<Self, PropertyError> {
        let bare = |full: &str| is_bare && full.split_once(':').is_some_and(|(_, bare)| bare == name);
        let known = NAMES.iter().find(|(full, others, _)| {
            *full == name
                || bare(full)
                || others.iter().any(|other| (*other == name && (is_bare || other.contains(':'))) || bare(other))
        });
        if let Some((_, _, property)) = known {
            return Ok(property.clone());
        }
        let custom = name.strip_prefix(CUSTOM).or_else(|| name.strip_prefix("props:").filter(|_| is_bare));
        match custom {
            Some(name) if traits::is_withheld(name) => Err(PropertyError::Withheld),
            Some(name) if !name.is_empty() && name.chars().count() <= CUSTOM_NAME_MAX => {
                Ok(Self::Field(Field::Property(name.to_owned())))
            }
            _ => Err(PropertyError::Unknown),
        }
    }

    /// The name with its prefix.
    pub fn name(&self) -> String {
        if let Self::Field(Field::Property(name)) = self {
            return format!("{CUSTOM}{name}");
        }
        let known = NAMES.iter().find(|(_, _, property)| property == self);
        known.map_or_else(String::new, |(name, ..)| (*name).to_owned())
    }

    /// The names of all but the custom ones, with their prefixes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, ..)| *name)
    }

    /// The members of a row that the values of properties stand in, by the names these were asked by: the last part of
    /// each. A custom property that is called like something else in a row is there by its full name.
    pub fn keys_of(names: &[&str]) -> Vec<String> {
        fn custom_of(name: &str) -> Option<&str> {
            name.strip_prefix(CUSTOM).or_else(|| name.strip_prefix("props:"))
        }
        let last_part = |name: &str| name.rsplit(':').next().unwrap_or(name).to_owned();
        let others: Vec<String> =
            names.iter().filter(|name| custom_of(name).is_none()).map(|name| last_part(name)).collect();
        let is_taken = |custom: &str| {
            let compared = |prefix| custom.strip_prefix(prefix).unwrap_or(custom);
            let is_metric = |name: &str| name.parse::<Metric>().is_ok();
            matches!(custom, "title" | "comparison" | "change")
                || is_metric(custom)
                || is_metric(compared("comparison_"))
                || is_metric(compared("change_"))
                || custom.starts_with(CUSTOM)
                || others.iter().any(|other| other == custom)
        };
        let key = |name: &&str| match custom_of(name) {
            None => last_part(name),
            Some(custom) if is_taken(custom) => format!("{CUSTOM}{custom}"),
            Some(custom) => custom.to_owned(),
        };
        names.iter().map(key).collect()
    }

    /// What is looked at.
    pub fn field(&self) -> Field {
        match self {
            Self::Goal => Field::Dimension(Dimension::EventName),
            Self::Field(field) => field.clone(),
            Self::CountryName => Field::Dimension(Dimension::Country),
        }
    }

    /// Whether it is a property that the website gave its events.
    pub fn is_custom(&self) -> bool {
        matches!(self, Self::Field(Field::Property(_)))
    }

    /// Whether it is the page of an event.
    pub fn is_page(&self) -> bool {
        matches!(self, Self::Field(Field::Dimension(Dimension::Path)))
    }

    /// Whether it tells what an event was, and not where: rows by it have no visits of their own in Plausible's grammar.
    pub fn is_of_events_only(&self) -> bool {
        match self {
            Self::Goal => true,
            Self::Field(field) => matches!(field, Field::Dimension(Dimension::EventName) | Field::Property(_)),
            Self::CountryName => false,
        }
    }

    /// Whether its values are of where a visitor was.
    pub fn is_place(&self) -> bool {
        match self {
            Self::Field(Field::Dimension(dimension)) => {
                matches!(dimension, Dimension::Country | Dimension::Region | Dimension::City)
            }
            Self::CountryName => true,
            _ => false,
        }
    }

    /// Whether it is of whole visits.
    pub fn is_of_visits(&self) -> bool {
        self.field().level() == FilterLevel::Session
    }

    /// What its rows are of, beside what the filter leaves: a page is listed when it was viewed.
    pub(crate) fn counted(&self) -> Option<Filter> {
        match self {
            Self::Field(Field::Dimension(Dimension::Path | Dimension::Title)) => {
                Some(Filter::Kind(EventKind::Pageview))
            }
            _ => None,
        }
    }

    /// Events with a value of it.
    pub fn has_value(&self) -> Filter {
        let (field, values) = (self.field(), vec![String::new()]);
        Filter::Is(Condition::new(field, Operator::IsNot, values))
    }

    /// Whether the row of the missing value is left out: an event without a name is not a goal, and a page has a path.
    pub fn has_no_empty_row(&self) -> bool {
        match self {
            Self::Goal => true,
            Self::Field(Field::Dimension(dimension)) => {
                matches!(dimension, Dimension::EventName | Dimension::Path | Dimension::Title)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        for name in Property::names() {
            let property = Property::parse(name, false).unwrap();
            assert_eq!(property.name(), name);
            let (_, bare) = name.split_once(':').unwrap();
            assert_eq!(Property::parse(bare, true), Ok(property), "{bare}");
            assert_eq!(Property::parse(bare, false), Err(PropertyError::Unknown), "{bare}");
        }
        for metric in Metric::ALL {
            assert_eq!(metric.as_str().parse(), Ok(*metric));
        }
        assert_eq!("".parse::<Metric>(), Err(UnknownName));
    }

    #[test]
    fn every_dimension_of_an_event_has_a_name() {
        for &dimension in Dimension::ALL {
            // Properties are asked for one by one.
            let expected = dimension != Dimension::Properties;
            assert_eq!(Property::parse(dimension.as_str(), true).is_ok(), expected, "{dimension}");
        }
    }

    #[test]
    fn properties_of_events_have_the_name_that_was_sent() {
        let plan = Property::Field(Field::Property("plan: x".to_owned()));
        assert_eq!(Property::parse("event:props:plan: x", false), Ok(plan.clone()));
        assert_eq!(Property::parse("props:plan: x", true), Ok(plan.clone()));
        assert_eq!(plan.name(), "event:props:plan: x");
        for bad in ["event:props:", "props:a", "visit:props:a", "event:", "visit:page", "event:country", "Event:page"] {
            assert_eq!(Property::parse(bad, false), Err(PropertyError::Unknown), "{bad}");
        }
        let long = format!("event:props:{}", "x".repeat(101));
        assert_eq!(Property::parse(&long, false), Err(PropertyError::Unknown));
        assert_eq!(Property::parse("event:props:user_id", false), Err(PropertyError::Withheld));
        assert_eq!(Property::parse("props:user_id", true), Err(PropertyError::Withheld));
    }

    #[test]
    fn the_key_of_a_row_is_the_last_part_of_the_name() {
        assert_eq!(Property::keys_of(&["visit:source"]), ["source"]);
        assert_eq!(Property::keys_of(&["event:props:method"]), ["method"]);
        assert_eq!(Property::keys_of(&["event:props:a:b"]), ["a:b"]);
        assert_eq!(Property::keys_of(&["country"]), ["country"]);
    }

    #[test]
    fn a_custom_property_takes_no_key_of_anything_else() {
        for name in ["visitors", "title", "comparison", "change", "comparison_visits", "change_bounce_rate"] {
            let full = format!("event:props:{name}");
            assert_eq!(Property::keys_of(&[&full]), [full.as_str()]);
            assert_eq!(Property::keys_of(&[&format!("props:{name}")]), [full.as_str()]);
        }
        assert_eq!(Property::keys_of(&["event:page", "event:props:page"]), ["page", "event:props:page"]);
        assert_eq!(Property::keys_of(&["props:page", "page"]), ["event:props:page", "page"]);
        assert_eq!(Property::keys_of(&["event:props:page"]), ["page"]);
        let odd = ["event:props:visitors", "event:props:event:props:visitors"];
        assert_eq!(Property::keys_of(&odd), ["event:props:visitors", "event:props:event:props:visitors"]);
    }
}
