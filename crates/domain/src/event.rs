//! The event as it is stored: typed, enriched, and the same for every store.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::names::named;
use crate::{Timestamp, normal_path};

/// Names a visitor of one website: a keyed hash, never anything a person sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[expect(clippy::exhaustive_structs, reason = "it is this number")]
pub struct VisitorId(pub u64);

/// Names a session of one website: what one visitor did at one go. A session has one visitor, and from its first to its last
/// event it is no longer than [`SESSION_MAX_MS`](crate::SESSION_MAX_MS): numbers of sessions are wrong else. The surest way
/// is to make the id of the visitor, of what the client calls the session, and of the civil day, so that a session ends at
/// midnight; [`SessionSpan`](crate::SessionSpan) tells whether an event can belong to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[expect(clippy::exhaustive_structs, reason = "it is this number")]
pub struct SessionId(pub u64);

/// 16 lower-case hexadecimal digits.
impl fmt::Display for VisitorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// 16 lower-case hexadecimal digits.
impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// What an event reports. The number is the code in files and never changes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum EventKind { $($(#[$doc])* #[serde(rename = $name)] $variant = $number,)* }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name on the wire, `event_type`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The kind with this file code.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($number => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

event_kinds! {
    /// A page was shown. The only kind that counts as a pageview.
    Pageview = 0, "pageview";
    /// Activity without an event: extends its session, counts nowhere else.
    Heartbeat = 1, "heartbeat";
    /// A custom event, named by [`Dimension::EventName`].
    Custom = 2, "custom";
    /// A goal was reached.
    Goal = 3, "goal";
    /// Money was made.
    Revenue = 4, "revenue";
    /// A visitor was identified.
    Identify = 5, "identify";
    /// A click that the script captured.
    Click = 6, "click";
    /// A form was sent.
    FormSubmission = 7, "form_submission";
    /// A file was chosen for upload.
    FileUpload = 8, "file_upload";
    /// A video reached a milestone.
    VideoProgress = 9, "video_progress";
    /// A scroll milestone was reached.
    ScrollDepth = 10, "scroll_depth";
    /// A link to another host was followed.
    OutboundLink = 11, "outbound_link";
    /// A file was downloaded.
    FileDownload = 12, "file_download";
    /// The consent banner was answered.
    Consent = 13, "consent";
    /// A script error happened.
    Error = 14, "error";
    /// A page was left.
    PageExit = 15, "page_exit";
}

impl EventKind {
    /// Whether the kind is an event at all; heartbeats are not.
    pub const fn is_event(self) -> bool {
        !matches!(self, Self::Heartbeat)
    }
}

/// Whether a dimension tells something about one event or about the whole session it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are events and sessions")]
pub enum DimensionLevel {
    /// The value belongs to the event: a path, a name, a property.
    Event,
    /// The value of the session's first event stands for the session: a source, a country, a device.
    Session,
}

macro_rules! dimensions {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $level:ident;)*) => {
        /// A string column of an event. An absent value is the empty string.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Dimension { $($(#[$doc])* #[serde(rename = $name)] $variant,)* }

        impl Dimension {
            /// Every dimension, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// How many dimensions there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name in queries, answers and files.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whether the value is the event's or the session's.
            pub const fn level(self) -> DimensionLevel {
                match self { $(Self::$variant => DimensionLevel::$level,)* }
            }
        }
    };
}

// The log names dimensions by their numbers: a new one is added at the end.
dimensions! {
    /// The path of the page, without query and fragment, starting with `/`.
    Path, "page", Event;
    /// The title of the page.
    Title, "title", Event;
    /// The host of the page, lower case, without port.
    Hostname, "hostname", Event;
    /// The name of a custom event or goal.
    EventName, "event_name", Event;
    /// The event's properties: a JSON object with sorted keys and scalar values; empty when there are none.
    Properties, "properties", Event;
    /// The referring URL, without query and fragment; empty for direct visits and for the website's own pages.
    Referrer, "referrer", Session;
    /// Where the visit came from: a name such as `Google`, or the referring host.
    Source, "source", Session;
    /// The channel, such as `Direct` or `Organic Search`. Never empty on an event.
    Channel, "channel", Session;
    /// The campaign parameter `utm_source`.
    UtmSource, "utm_source", Session;
    /// The campaign parameter `utm_medium`.
    UtmMedium, "utm_medium", Session;
    /// The campaign parameter `utm_campaign`.
    UtmCampaign, "utm_campaign", Session;
    /// The campaign parameter `utm_term`.
    UtmTerm, "utm_term", Session;
    /// The campaign parameter `utm_content`.
    UtmContent, "utm_content", Session;
    /// The country, ISO 3166-1 alpha-2, upper case.
    Country, "country", Session;
    /// The region, when the geo database knows it.
    Region, "region", Session;
    /// The city, when the geo database knows it.
    City, "city", Session;
    /// The browser's name.
    Browser, "browser", Session;
    /// The browser's version.
    BrowserVersion, "browser_version", Session;
    /// The operating system's name.
    Os, "os", Session;
    /// The operating system's version.
    OsVersion, "os_version", Session;
    /// `desktop`, `mobile` or `tablet`.
    Device, "device", Session;
    /// The width of the screen as a class: `xs`, `sm`, `md`, `lg` or `xl`.
    ScreenClass, "screen_class", Session;
    /// The language, a BCP 47 tag such as `en-GB`.
    Language, "language", Session;
}

impl Dimension {
    /// `value` in the form in which values of this dimension are compared: a path has one spelling, see [`normal_path`], and hosts have
    /// no case. Everything that reads what older versions stored goes through here.
    pub fn normal(self, value: &str) -> Cow<'_, str> {
        match self {
            Self::Path => normal_path(value),
            Self::Hostname if value.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                Cow::Owned(value.to_ascii_lowercase())
            }
            _ => Cow::Borrowed(value),
        }
    }

    /// All values that events have, beside the missing one, where there are only these; `None` where there may be others. Countries
    /// are among the latter: their codes are given by others.
    ///
    /// ```
    /// use zenovay_domain::Dimension;
    ///
    /// assert_eq!(Dimension::Device.known_values(), Some(["desktop", "mobile", "tablet"].as_slice()));
    /// assert_eq!(Dimension::Browser.known_values(), None);
    /// ```
    pub const fn known_values(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Channel => Some(&[
                "Direct",
                "Organic Search",
                "Organic Social",
                "Organic Video",
                "AI Assistants",
                "Email",
                "Paid",
                "Paid Social",
                "Referral",
            ]),
            Self::Device => Some(&["desktop", "mobile", "tablet"]),
            Self::ScreenClass => Some(&["xs", "sm", "md", "lg", "xl"]),
            _ => None,
        }
    }
}

named!(Dimension, "dimension");
named!(EventKind, "kind of event");

/// All the strings of one event together never exceed this many bytes; the ingest limits keep well below it.
pub const MAX_DIMENSION_TEXT_BYTES: usize = u16::MAX as usize;

/// The strings of one event: one allocation, and an index into it per [`Dimension`]. As data they are a map of the names of
/// dimensions to their values, without those that are empty.
#[derive(Clone)]
pub struct Dimensions {
    text: String,
    spans: [(u16, u16); Dimension::COUNT],
}

impl Dimensions {
    /// No strings yet, with room for `bytes` bytes of them, [`MAX_DIMENSION_TEXT_BYTES`] at most.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes.min(MAX_DIMENSION_TEXT_BYTES)), spans: [(0, 0); Dimension::COUNT] }
    }

    /// The value of `dimension`; empty when absent.
    pub fn get(&self, dimension: Dimension) -> &str {
        let (start, len) = self.spans[dimension as usize];
        &self.text[usize::from(start)..usize::from(start) + usize::from(len)]
    }

    /// Sets `dimension` to `value`. Meant to be called once per dimension: the bytes of an earlier value are kept.
    /// When all strings together would exceed [`MAX_DIMENSION_TEXT_BYTES`], the value is cut at a character boundary.
    #[expect(clippy::cast_possible_truncation, reason = "start + len is at most MAX_DIMENSION_TEXT_BYTES")]
    pub fn set(&mut self, dimension: Dimension, value: &str) {
        let start = self.text.len();
        let mut len = value.len();
        if len > MAX_DIMENSION_TEXT_BYTES - start {
            len = value.floor_char_boundary(MAX_DIMENSION_TEXT_BYTES - start);
        }
        self.text.push_str(&value[..len]);
        self.spans[dimension as usize] = (start as u16, len as u16);
    }

    /// How many bytes the values have together, earlier ones included.
    pub fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// How many dimensions have a value.
    pub fn count(&self) -> usize {
        self.spans.iter().filter(|(_, len)| *len > 0).count()
    }

    /// The dimensions that have a value, with it, in the order of [`Dimension::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Dimension, &str)> {
        Dimension::ALL.iter().map(|&dimension| (dimension, self.get(dimension))).filter(|(_, value)| !value.is_empty())
    }
}

impl Serialize for Dimensions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.count()))?;
        for (dimension, value) in self.iter() {
            map.serialize_entry(&dimension, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Dimensions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Through `set`, so that whatever the data say, each index is inside the text.
        let values = BTreeMap::<Dimension, Cow<'de, str>>::deserialize(deserializer)?;
        let mut dimensions = Self::with_capacity(values.values().map(|value| value.len()).sum());
        for (dimension, value) in values {
            dimensions.set(dimension, &value);
        }
        Ok(dimensions)
    }
}

/// Two are equal when they have the same values, in whatever order these were set.
impl PartialEq for Dimensions {
    fn eq(&self, other: &Self) -> bool {
        Dimension::ALL.iter().all(|&dimension| self.get(dimension) == other.get(dimension))
    }
}

impl Eq for Dimensions {}

impl Default for Dimensions {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl fmt::Debug for Dimensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(dimension, value)| (dimension.as_str(), value))).finish()
    }
}

/// Facts about an event that are true or false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventFlags(u8);

impl EventFlags {
    /// The browser sent `Sec-GPC: 1`.
    pub const GPC_OPTED_OUT: Self = Self(1);
    /// A server sent the event through the batch API.
    pub const SERVER_SENT: Self = Self(2);
    /// The visitor was recognised without anything stored in the browser.
    pub const COOKIELESS: Self = Self(4);

    /// The flags as they stand in files.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The flags with this file code; unknown bits are kept.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Whether every flag of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets of flags together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One stored event, or one heartbeat.
///
/// Whoever makes events makes their sessions: one has one visitor, and lasts
/// [`SESSION_MAX_MS`](crate::SESSION_MAX_MS) at most, see [`SessionId`].
///
/// ```
/// use zenovay_domain::{Dimension, Event, EventKind, SessionId, Timestamp, VisitorId};
///
/// let at = Timestamp::from_millis(1_781_308_800_000);
/// let mut event = Event::new(EventKind::Pageview, at, VisitorId(7), SessionId(1));
/// event.dimensions.set(Dimension::Path, "/pricing");
/// event.scroll_percent = 60;
/// assert_eq!(event.dimensions.get(Dimension::Country), "");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// Who did it.
    pub visitor: VisitorId,
    /// In which session.
    pub session: SessionId,
    /// Facts about it.
    pub flags: EventFlags,
    /// Time with the page visible, in milliseconds, since the last report of the session: the sum over a session is its
    /// engagement. 0 where the kind does not report it.
    pub engagement_ms: u32,
    /// How far the page was scrolled, in percent, 0 to 100. 0 where the kind does not report it.
    pub scroll_percent: u8,
    /// Its strings.
    pub dimensions: Dimensions,
}

impl Event {
    /// An event without flags, engagement or strings.
    pub fn new(kind: EventKind, at: Timestamp, visitor: VisitorId, session: SessionId) -> Self {
        Self {
            at,
            kind,
            visitor,
            session,
            flags: EventFlags::default(),
            engagement_ms: 0,
            scroll_percent: 0,
            dimensions: Dimensions::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_dimensions_are_read_from_their_codes_and_names() {
        for &kind in EventKind::ALL {
            assert_eq!(EventKind::from_code(kind as u8), Some(kind));
        }
        assert_eq!(EventKind::from_code(200), None);
        for (number, &dimension) in Dimension::ALL.iter().enumerate() {
            assert_eq!(dimension as usize, number);
            assert_eq!(dimension.as_str().parse(), Ok(dimension));
        }
    }

    #[test]
    fn texts_are_equal_whatever_the_order_in_which_they_were_set() {
        let texts = |texts: &[(Dimension, &str)]| {
            let mut dimensions = Dimensions::default();
            texts.iter().for_each(|&(dimension, text)| dimensions.set(dimension, text));
            dimensions
        };
        let (page, city) = ((Dimension::Path, "/"), (Dimension::City, "Rome"));
        assert_eq!(texts(&[page, city]), texts(&[city, page]));
        assert_eq!(texts(&[page, (Dimension::City, "Oslo"), city]), texts(&[page, city]));
        assert_ne!(texts(&[page, city]), texts(&[page, (Dimension::City, "Oslo")]));
        assert_ne!(texts(&[page]), texts(&[(Dimension::Title, "/")]));
    }

    /// Sabotage: derive `Deserialize` for the index.
    #[test]
    fn an_event_is_written_and_read_as_names_and_values() {
        let mut event = Event::new(EventKind::FormSubmission, Timestamp::from_millis(5), VisitorId(1), SessionId(2));
        event.dimensions.set(Dimension::Path, "/old");
        event.dimensions.set(Dimension::Country, "CA");
        event.dimensions.set(Dimension::Path, "/a\"b");
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["kind"], "form_submission");
        assert_eq!(json["dimensions"], serde_json::json!({ "page": "/a\"b", "country": "CA" }));
        assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
        for wrong in [r#"{"text":"","spans":[[9,9]]}"#, r#"{"nothing":"x"}"#, "[]", r#"{"page":1}"#] {
            assert!(serde_json::from_str::<Dimensions>(wrong).is_err(), "{wrong}");
        }
        let long = serde_json::json!({ "page": "é".repeat(40_000), "title": "x" }).to_string();
        assert_eq!(serde_json::from_str::<Dimensions>(&long).unwrap().text_bytes(), MAX_DIMENSION_TEXT_BYTES);
    }

    #[test]
    fn texts_are_cut_at_a_character_when_they_do_not_fit() {
        let mut dimensions = Dimensions::default();
        dimensions.set(Dimension::Path, &"a".repeat(MAX_DIMENSION_TEXT_BYTES - 3));
        dimensions.set(Dimension::Title, "éé");
        assert_eq!(dimensions.get(Dimension::Title), "é");
        dimensions.set(Dimension::City, "b");
        assert_eq!(dimensions.get(Dimension::City), "b");
        dimensions.set(Dimension::Region, "c");
        assert_eq!(dimensions.get(Dimension::Region), "");
        assert_eq!((dimensions.iter().count(), dimensions.count()), (3, 3));
    }
}
