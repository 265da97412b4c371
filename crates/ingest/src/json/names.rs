//! The member names that hits, heartbeats and batches know, as numbers: a body's members are found once, while it is read.

macro_rules! names {
    ($($variant:ident = $text:literal,)*) => {
        /// A member name that means something somewhere.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum MemberName { $($variant,)* }

        impl MemberName {
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
    OptedOut = "opted_out",
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
/// Enough places that every name has one of its own.
const TABLE_LEN: usize = 256;
const EMPTY: u8 = u8::MAX;

/// The names as numbers, see [`words`], in the order of [`MemberName::ALL`].
static WORDS: [(u64, u64); MemberName::COUNT] = {
    let mut all = [(0, 0); MemberName::COUNT];
    let mut number = 0;
    while number < MemberName::COUNT {
        all[number] = words(MemberName::ALL[number].as_str().as_bytes());
        number += 1;
    }
    all
};

/// The first eight bytes of a name and its last eight, which may be the same ones: with its length they are the name when that
/// has 16 bytes at most. Shorter names have them of four bytes or of one.
const fn words(name: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
        (u32::from_le_bytes(*first) as u64, u32::from_le_bytes(*last) as u64)
    } else if let [first, .., last] = name {
        // Two or three: the middle of a name of three.
        (*first as u64 | (name[1] as u64) << 8, *last as u64)
    } else if let [only] = name {
        (*only as u64, 0)
    } else {
        (0, 0)
    }
}

/// Chosen so that every name has a place of its own.
const FACTOR: u64 = 0xa917_2a05_1e3b_25e5;

/// The place where the search for a name begins.
const fn slot(len: usize, (first, last): (u64, u64)) -> usize {
    // The highest bits are a place.
    ((first ^ last.rotate_left(23) ^ len as u64).wrapping_mul(FACTOR) >> (64 - TABLE_LEN.ilog2())) as usize
}

const fn table() -> [u8; TABLE_LEN] {
    let mut table = [EMPTY; TABLE_LEN];
    let mut number = 0;
    while number < MemberName::COUNT {
        let name = MemberName::ALL[number].as_str();
        assert!(name.len() <= 16, "longer names are more than two words");
        let mut at = slot(name.len(), words(name.as_bytes()));
        while table[at] != EMPTY {
            at = (at + 1) % TABLE_LEN;
        }
        table[at] = number as u8;
        number += 1;
    }
    table
}

impl MemberName {
    /// The name that `text` is.
    #[inline(always)]
    pub(crate) fn find(text: &str) -> Option<Self> {
        let words = words(text.as_bytes());
        let mut at = slot(text.len(), words);
        // Ends at an empty place, of which the table has four for each name.
        loop {
            let number = usize::from(TABLE[at]);
            let name = *Self::ALL.get(number)?;
            if WORDS[number] == words && name.as_str().len() == text.len() {
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
        for (number, &name) in MemberName::ALL.iter().enumerate() {
            assert_eq!(MemberName::find(name.as_str()), Some(name));
            let first = slot(name.as_str().len(), words(name.as_str().as_bytes()));
            longest = longest.max((0..).find(|step| TABLE[(first + step) % TABLE_LEN] == number as u8).unwrap());
        }
        assert_eq!(longest, 0, "every name has a place of its own");
        for other in ["", "x", "URL", "urls", "Session_id", "constructor"] {
            assert_eq!(MemberName::find(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_name_or_not(text in "[a-z_]{0,14}|.{0,20}|(url|title|os)[a-z]?|user_(agent|prop[a-z]rties|id)|session(_id|Id).?") {
            let expected = MemberName::ALL.iter().copied().find(|name| name.as_str() == text);
            prop_assert_eq!(MemberName::find(&text), expected);
        }
    }
}
