//! The member names that hits, heartbeats and batches know, as numbers: a body's members are found once, while it is read.

macro_rules! names {
    ($($variant:ident = $text:literal,)*) => {
        /// A member name that means something somewhere.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Known { $($variant,)* }

        impl Known {
            const ALL: &[Self] = &[$(Self::$variant,)*];

            /// How many there are.
            pub(crate) const COUNT: usize = Self::ALL.len();

            /// As it stands in a body.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

names! {
    AcceptLanguage = "acceptLanguage",
    Browser = "browser",
    ClientIp = "clientIp",
    Code = "code",
    Cookieless = "cookieless",
    Currency = "currency",
    Data = "data",
    DeviceType = "device_type",
    Duration = "duration",
    EngagementMs = "engagement_ms",
    EventData = "event_data",
    EventId = "event_id",
    EventName = "event_name",
    EventType = "event_type",
    Events = "events",
    IdempotencyKey = "idempotencyKey",
    Language = "language",
    Name = "name",
    OrderId = "order_id",
    Os = "os",
    PageTitle = "page_title",
    Properties = "properties",
    Props = "props",
    // Stands for `name` in `props`, where the rule of names looks at it beside the event's `type`.
    PropsName = "props.name",
    Referrer = "referrer",
    Revenue = "revenue",
    ScreenSize = "screen_size",
    ScreenWidth = "screen_width",
    ScrollDepth = "scroll_depth",
    ServerContext = "serverContext",
    SessionId = "session_id",
    BatchSessionId = "sessionId",
    Timestamp = "timestamp",
    Title = "title",
    TrackingCode = "tracking_code",
    BatchTrackingCode = "trackingCode",
    Ts = "ts",
    Type = "type",
    Url = "url",
    UserAgent = "user_agent",
    BatchUserAgent = "userAgent",
    UserId = "user_id",
    UserProperties = "user_properties",
    UtmCampaign = "utm_campaign",
    UtmContent = "utm_content",
    UtmMedium = "utm_medium",
    UtmSource = "utm_source",
    UtmTerm = "utm_term",
    VisitorId = "visitor_id",
    BatchVisitorId = "visitorId",
    Webdriver = "webdriver",
}

/// A hash table of the names with open addressing: the number of a name, or [`EMPTY`].
static TABLE: [u8; TABLE_LEN] = table();
/// Enough places that most names are found at the first.
const TABLE_LEN: usize = 256;
const EMPTY: u8 = u8::MAX;

/// The place where the search for `name` begins: its length, first, middle and last letter tell most names apart.
const fn place(name: &[u8]) -> usize {
    let len = name.len();
    if len == 0 {
        return 0;
    }
    (len * 11 + name[0] as usize * 3 + name[len / 2] as usize * 31 + name[len - 1] as usize * 7) % TABLE_LEN
}

const fn table() -> [u8; TABLE_LEN] {
    let mut table = [EMPTY; TABLE_LEN];
    let mut number = 0;
    while number < Known::COUNT {
        let mut at = place(Known::ALL[number].as_str().as_bytes());
        while table[at] != EMPTY {
            at = (at + 1) % TABLE_LEN;
        }
        table[at] = number as u8;
        number += 1;
    }
    table
}

impl Known {
    /// The name that `text` is.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let mut at = place(text.as_bytes());
        // Ends at an empty place, of which the table has four for each name.
        loop {
            let name = *Self::ALL.get(usize::from(TABLE[at]))?;
            if name.as_str() == text {
                return Some(name);
            }
            at = (at + 1) % TABLE_LEN;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_name_is_found_and_nothing_else() {
        let mut longest = 0;
        for (number, &name) in Known::ALL.iter().enumerate() {
            assert_eq!(Known::of(name.as_str()), Some(name));
            let first = place(name.as_str().as_bytes());
            longest = longest.max((0..).find(|step| TABLE[(first + step) % TABLE_LEN] == number as u8).unwrap());
        }
        assert!(longest <= 3, "{longest}");
        for other in ["", "x", "URL", "urls", "Session_id", "constructor"] {
            assert_eq!(Known::of(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_name_or_not(text in "[a-z_]{0,14}|.{0,20}") {
            let expected = Known::ALL.iter().copied().find(|name| name.as_str() == text);
            prop_assert_eq!(Known::of(&text), expected);
        }
    }
}
