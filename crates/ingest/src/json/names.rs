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

            /// The name that `string` is.
            #[inline]
            pub(crate) fn find(string: &str) -> Option<Self> {
                match string {
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_name_is_found_and_nothing_else() {
        for &name in MemberName::ALL {
            assert_eq!(MemberName::find(name.as_str()), Some(name));
        }
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
