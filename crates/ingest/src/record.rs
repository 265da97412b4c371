//! Hits and events of batches that are given field by field. They are made into the members that a body would have and go
//! through the same checks: there is no second set of rules.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use zenovay_domain::{EventKind, Timestamp};

use crate::Refusal;
use crate::batch::{BatchRow, row};
use crate::hit::ParsedHit;
use crate::json::{JsonValue, MemberName};

/// The value of a property, and of every other field: a string, a number, or true or false.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldValue<'a>(JsonValue<'a>);

impl<'a> From<Cow<'a, str>> for FieldValue<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        // A string that stands in a body as it is has no control characters: what has them is read as one with escapes.
        Self(match text {
            Cow::Borrowed(text) if text.bytes().all(|byte| byte >= 0x20) => JsonValue::String(text),
            text => JsonValue::Escaped(text.into()),
        })
    }
}

impl<'a> From<&'a str> for FieldValue<'a> {
    fn from(text: &'a str) -> Self {
        Cow::Borrowed(text).into()
    }
}

impl<'a> From<&'a String> for FieldValue<'a> {
    fn from(text: &'a String) -> Self {
        Cow::Borrowed(text.as_str()).into()
    }
}

impl From<String> for FieldValue<'_> {
    fn from(text: String) -> Self {
        Cow::<str>::Owned(text).into()
    }
}

impl From<bool> for FieldValue<'_> {
    fn from(value: bool) -> Self {
        Self(JsonValue::Bool(value))
    }
}

impl From<i64> for FieldValue<'_> {
    fn from(value: i64) -> Self {
        Self(JsonValue::Int(value))
    }
}

impl From<i32> for FieldValue<'_> {
    fn from(value: i32) -> Self {
        Self(JsonValue::Int(value.into()))
    }
}

impl From<u32> for FieldValue<'_> {
    fn from(value: u32) -> Self {
        Self(JsonValue::Int(value.into()))
    }
}

impl From<f64> for FieldValue<'_> {
    fn from(value: f64) -> Self {
        // As a body's number beyond all bounds.
        Self(if value.is_finite() { JsonValue::Float(value) } else { JsonValue::Null })
    }
}

/// Members with names of the sender's.
type Named<'a> = Vec<(Cow<'a, str>, JsonValue<'a>)>;

/// A hit of a page or server, field by field, for [`Pipeline::track_hit`](crate::Pipeline::track_hit). What each field means,
/// what is cut and what is refused is told in [`format`](crate::format); setting a field again replaces it.
///
/// ```
/// use zenovay_ingest::Hit;
///
/// let hit = Hit::event("signup", "https://example.com/welcome", "session-4711")
///     .user_agent("MyServer/1.0")
///     .property("plan", "pro")
///     .property("seats", 5);
/// ```
#[derive(Debug, Clone)]
#[must_use = "a hit counts when it is tracked"]
pub struct Hit<'a> {
    fields: Vec<(MemberName, JsonValue<'a>)>,
    properties: Named<'a>,
    user_properties: Named<'a>,
}

impl<'a> Hit<'a> {
    /// A page `url` was shown in the visit that the sender calls `session_id` (8 to 255 characters).
    pub fn pageview(url: impl Into<FieldValue<'a>>, session_id: impl Into<FieldValue<'a>>) -> Self {
        Self::of(EventKind::Pageview, session_id).set(MemberName::Url, url)
    }

    /// The event `name` happened on the page `url`.
    pub fn event(
        name: impl Into<FieldValue<'a>>,
        url: impl Into<FieldValue<'a>>,
        session_id: impl Into<FieldValue<'a>>,
    ) -> Self {
        Self::of(EventKind::Custom, session_id).set(MemberName::Url, url).set(MemberName::EventName, name)
    }

    /// The visit goes on: for [`Pipeline::heartbeat_hit`](crate::Pipeline::heartbeat_hit).
    pub fn heartbeat(session_id: impl Into<FieldValue<'a>>) -> Self {
        Self::of(EventKind::Heartbeat, session_id)
    }

    fn of(kind: EventKind, session_id: impl Into<FieldValue<'a>>) -> Self {
        let hit = Self { fields: Vec::with_capacity(12), properties: Vec::new(), user_properties: Vec::new() };
        hit.kind(kind).set(MemberName::SessionId, session_id)
    }

    fn set(mut self, name: MemberName, value: impl Into<FieldValue<'a>>) -> Self {
        let FieldValue(value) = value.into();
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.fields.push((name, value)),
        }
        self
    }

    /// Another kind than that of the constructor: [`EventKind::Goal`], [`EventKind::Revenue`], …
    pub fn kind(self, kind: EventKind) -> Self {
        self.set(MemberName::EventType, kind.as_str())
    }

    /// The name of the event.
    pub fn name(self, name: impl Into<FieldValue<'a>>) -> Self {
        self.set(MemberName::EventName, name)
    }

    /// The visitor's user agent. Without it that of the [`Arrival`](crate::Arrival) stands.
    pub fn user_agent(self, agent: impl Into<FieldValue<'a>>) -> Self {
        self.set(MemberName::UserAgent, agent)
    }

    /// The browser's name, where it is known better than from the user agent.
    pub fn browser(self, name: impl Into<FieldValue<'a>>) -> Self {
        self.set(MemberName::Browser, name)
    }

    /// The name of the operating system, where it is known better than from the user agent.
    pub fn os(self, name: impl Into<FieldValue<'a>>) -> Self {
        self.set(MemberName::Os, name)
    }

    /// `desktop`, `mobile` or `tablet`, where it is known better than from the user agent.
    pub fn device_type(self, class: impl Into<FieldValue<'a>>) -> Self {
        self.set(MemberName::DeviceType, class)
    }

    /// An id by which the visitor is recognised, where the website's settings allow it.
    pub fn visitor_id(self, id: impl Into<FieldValue<'a>>) -> Self {
        self.set(MemberName::VisitorId, id)
    }

    /// The title of the page.
    pub fn title(self, title: impl Into<FieldValue<'a>>) -> Self {
        self.set(MemberName::Title, title)
    }

    /// The page that led here.
    pub fn referrer(self, url: impl Into<FieldValue<'a>>) -> Self {
        self.set(MemberName::Referrer, url)
    }

    /// The language of the visitor, such as `en-GB`.
    pub fn language(self, tag: impl Into<FieldValue<'a>>) -> Self {
        self.set(MemberName::Language, tag)
    }

    /// The width of the screen in pixels of CSS.
    pub fn screen_width(self, pixels: f64) -> Self {
        self.set(MemberName::ScreenWidth, pixels)
    }

    /// When it happened, by the sender's clock. Believed from 72 hours back to 60 seconds ahead.
    pub fn at(self, at: Timestamp) -> Self {
        self.set(MemberName::Timestamp, at.as_millis())
    }

    /// An id under which the event is stored once.
    pub fn event_id(self, id: impl Into<FieldValue<'a>>) -> Self {
        self.set(MemberName::EventId, id)
    }

    /// A property of the event.
    pub fn property(mut self, name: impl Into<Cow<'a, str>>, value: impl Into<FieldValue<'a>>) -> Self {
        put(&mut self.properties, name.into(), value.into());
        self
    }

    /// The money of a revenue event, `9.99` and `EUR`.
    pub fn revenue(self, amount: f64, currency: impl Into<FieldValue<'a>>) -> Self {
        self.set(MemberName::Revenue, amount).set(MemberName::Currency, currency)
    }

    /// The order of a revenue event, which is counted once.
    pub fn order_id(self, id: impl Into<FieldValue<'a>>) -> Self {
        self.set(MemberName::OrderId, id)
    }

    /// Who the visitor is to you, of an identify event.
    pub fn user_id(self, id: impl Into<FieldValue<'a>>) -> Self {
        self.set(MemberName::UserId, id)
    }

    /// What you know of the visitor. Left out where the visitor opted out.
    pub fn user_property(mut self, name: impl Into<Cow<'a, str>>, value: impl Into<FieldValue<'a>>) -> Self {
        put(&mut self.user_properties, name.into(), value.into());
        self
    }

    /// For how long the page was visible since the last report.
    pub fn engagement(self, visible: Duration) -> Self {
        self.set(MemberName::EngagementMs, visible.as_secs_f64() * 1_000.0)
    }

    /// How far the page was scrolled, 0 to 100.
    pub fn scroll_percent(self, percent: f64) -> Self {
        self.set(MemberName::ScrollDepth, percent)
    }

    /// The campaign that led here, where it does not stand in the URL.
    pub fn campaign(
        self,
        source: impl Into<FieldValue<'a>>,
        medium: impl Into<FieldValue<'a>>,
        name: impl Into<FieldValue<'a>>,
    ) -> Self {
        let hit = self.set(MemberName::UtmSource, source).set(MemberName::UtmMedium, medium);
        hit.set(MemberName::UtmCampaign, name)
    }

    /// The sender keeps no session: the visitor is told by network (IPv4 /24, IPv6 /48) and user agent,
    /// and visits by the times of their events.
    pub fn cookieless(self) -> Self {
        self.set(MemberName::Cookieless, true)
    }

    /// The visitor does not want to be tracked.
    pub fn opted_out(self) -> Self {
        self.set(MemberName::OptedOut, true)
    }

    /// The hit as a body that was read. `user_agent` stands where it names none; what a body must say of the device, and this
    /// may leave to the user agent, is empty.
    pub(crate) fn parsed(self, user_agent: Option<&'a str>) -> ParsedHit<'a> {
        let mut parsed = ParsedHit::empty();
        for name in [MemberName::DeviceType, MemberName::Browser, MemberName::Os] {
            parsed.put(name, JsonValue::String(""));
        }
        if let Some(agent) = user_agent {
            parsed.put(MemberName::UserAgent, FieldValue::from(agent).0);
        }
        for (name, value) in self.fields {
            parsed.put(name, value);
        }
        for (name, members) in
            [(MemberName::EventData, self.properties), (MemberName::UserProperties, self.user_properties)]
        {
            if !members.is_empty() {
                parsed.put(name, JsonValue::Object(members));
            }
        }
        parsed
    }
}

fn put<'a>(members: &mut Named<'a>, name: Cow<'a, str>, FieldValue(value): FieldValue<'a>) {
    match members.iter_mut().find(|(known, _)| *known == name) {
        Some((_, known)) => *known = value,
        None => members.push((name, value)),
    }
}

/// An event of a batch, field by field: what the holder of a key reports of others. What each field means is told in
/// [`format`](crate::format); setting a field again replaces it.
///
/// ```
/// use zenovay_domain::Timestamp;
/// use zenovay_ingest::BatchEvent;
///
/// let at: Timestamp = "2026-06-13T12:00:00Z".parse()?;
/// let row = BatchEvent::new("signup", at, "visitor-1", "session-1")
///     .url("https://example.com/welcome")
///     .client_ip("8.8.8.8".parse()?)
///     .property("plan", "pro")
///     .validate()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "an event counts when it is validated and judged"]
pub struct BatchEvent<'a> {
    fields: Named<'a>,
    context: Named<'a>,
    properties: Named<'a>,
}

impl<'a> BatchEvent<'a> {
    /// `event_type` happened at `at` to `visitor_id` in `session_id`. A type that is not the name of a [`EventKind`] is the
    /// name of an event of your own.
    pub fn new(
        event_type: impl Into<FieldValue<'a>>,
        at: Timestamp,
        visitor_id: impl Into<FieldValue<'a>>,
        session_id: impl Into<FieldValue<'a>>,
    ) -> Self {
        let event = Self { fields: Vec::with_capacity(8), context: Vec::new(), properties: Vec::new() };
        let event = event.field(MemberName::Type, event_type).field(MemberName::Ts, at.as_millis());
        event.field(MemberName::BatchVisitorId, visitor_id).field(MemberName::BatchSessionId, session_id)
    }

    fn field(mut self, name: MemberName, value: impl Into<FieldValue<'a>>) -> Self {
        put(&mut self.fields, Cow::Borrowed(name.as_str()), value.into());
        self
    }

    fn context(mut self, name: MemberName, value: impl Into<FieldValue<'a>>) -> Self {
        put(&mut self.context, Cow::Borrowed(name.as_str()), value.into());
        self
    }

    /// The page, which a pageview needs.
    pub fn url(self, url: impl Into<FieldValue<'a>>) -> Self {
        self.property(MemberName::Url.as_str(), url)
    }

    /// The page that led there.
    pub fn referrer(self, url: impl Into<FieldValue<'a>>) -> Self {
        self.property(MemberName::Referrer.as_str(), url)
    }

    /// The title of the page.
    pub fn title(self, title: impl Into<FieldValue<'a>>) -> Self {
        self.property(MemberName::Title.as_str(), title)
    }

    /// The name of an event of the type `custom` or `goal`.
    pub fn name(self, name: impl Into<FieldValue<'a>>) -> Self {
        self.property(MemberName::Name.as_str(), name)
    }

    /// A property of the event.
    pub fn property(mut self, name: impl Into<Cow<'a, str>>, value: impl Into<FieldValue<'a>>) -> Self {
        put(&mut self.properties, name.into(), value.into());
        self
    }

    /// A key under which the event is stored once.
    pub fn idempotency_key(self, key: impl Into<FieldValue<'a>>) -> Self {
        self.field(MemberName::IdempotencyKey, key)
    }

    /// The visitor's address: the country comes from it, and it is not kept.
    pub fn client_ip(self, address: IpAddr) -> Self {
        self.context(MemberName::ClientIp, address.to_string())
    }

    /// The visitor's user agent.
    pub fn user_agent(self, agent: impl Into<FieldValue<'a>>) -> Self {
        self.context(MemberName::BatchUserAgent, agent)
    }

    /// The visitor's `Accept-Language`.
    pub fn accept_language(self, languages: impl Into<FieldValue<'a>>) -> Self {
        self.context(MemberName::AcceptLanguage, languages)
    }

    /// Checks it as [`parse_batch`](crate::parse_batch) checks an event, for
    /// [`Pipeline::batch_row`](crate::Pipeline::batch_row).
    ///
    /// # Errors
    /// [`InvalidField`](crate::RefusalReason::InvalidField) with every wrong field by its name in a body.
    pub fn validate(self) -> Result<BatchRow<'a>, Refusal> {
        let mut members = self.fields;
        for (name, object) in [(MemberName::Props, self.properties), (MemberName::ServerContext, self.context)] {
            if !object.is_empty() {
                members.push((Cow::Borrowed(name.as_str()), JsonValue::Object(object)));
            }
        }
        row(JsonValue::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RefusalReason;
    use crate::hit::HitFields;
    use crate::hit::tests::validated;
    use proptest::prelude::*;

    fn fields(hit: Hit<'_>) -> Result<HitFields<'_>, Refusal> {
        let mut fields = HitFields::empty(EventKind::Pageview);
        hit.parsed(None).validate(&mut fields).map(|()| fields)
    }

    /// Sabotage: leave out a setter's field, or check typed hits by rules of their own.
    #[test]
    fn a_typed_hit_says_what_its_body_says() {
        let typed = Hit::event("signup", "https://example.com/a?utm_term=x", "session-1")
            .user_agent("A/1")
            .browser("B")
            .os("O")
            .device_type("mobile")
            .visitor_id("visitor")
            .title("T\n2")
            .referrer("https://news.example/")
            .language("de")
            .screen_width(390.0)
            .at(Timestamp::from_millis(5))
            .event_id("e1")
            .property("plan", "pro")
            .property("plan", "free")
            .property("seats", 5)
            .property("big", f64::INFINITY)
            .user_property("tier", true)
            .engagement(Duration::from_millis(1_500))
            .scroll_percent(40.0)
            .campaign("s", "m", "c")
            .cookieless()
            .opted_out();
        let body = r#"{"event_type":"custom","event_name":"signup","url":"https://example.com/a?utm_term=x",
            "session_id":"session-1","user_agent":"A/1","browser":"B","os":"O","device_type":"mobile","visitor_id":"visitor",
            "title":"T\n2","referrer":"https://news.example/","language":"de","screen_width":390.0,"timestamp":5,
            "event_id":"e1","event_data":{"plan":"free","seats":5,"big":null},"user_properties":{"tier":true},
            "engagement_ms":1500,"scroll_depth":40.0,"utm_source":"s","utm_medium":"m","utm_campaign":"c",
            "cookieless":true,"opted_out":true}"#;
        assert_eq!(
            format!("{:?}", fields(typed).unwrap()),
            format!("{:?}", validated(body, EventKind::Pageview).unwrap())
        );
        let order = Hit::pageview("https://example.com/", "session-1").kind(EventKind::Revenue).user_agent("A/1");
        let order = order.name("order").revenue(9.99, "eur").order_id("o-1").user_id("u");
        let body = r#"{"event_type":"revenue","event_name":"order","url":"https://example.com/","session_id":"session-1",
            "user_agent":"A/1","browser":"","os":"","device_type":"","revenue":9.99,"currency":"eur","order_id":"o-1",
            "user_id":"u"}"#;
        assert_eq!(
            format!("{:?}", fields(order).unwrap()),
            format!("{:?}", validated(body, EventKind::Pageview).unwrap())
        );
    }

    #[test]
    fn a_typed_hit_is_refused_by_the_names_of_its_fields() {
        let refusal = fields(Hit::event("", "javascript:1", "s\0")).unwrap_err();
        assert_eq!(refusal.reason, RefusalReason::InvalidField);
        let names: Vec<_> = refusal.fields.keys().map(String::as_str).collect();
        assert_eq!(names, ["event_name", "session_id", "url", "user_agent"]);
    }

    #[test]
    fn a_typed_event_says_what_its_row_says() {
        let at = Timestamp::from_millis(1_781_308_800_000);
        let typed = BatchEvent::new("goal", at, "v", "s")
            .name("bought")
            .url("https://example.com/?utm_source=x")
            .referrer("https://news.example/")
            .title("T")
            .property("plan", "pro")
            .idempotency_key("k1")
            .client_ip(IpAddr::from([8, 8, 8, 8]))
            .user_agent("MyServer/1.0")
            .accept_language("de");
        let body = r#"{"trackingCode":"ZV_test","events":[{"type":"goal","ts":1781308800000,"visitorId":"v","sessionId":"s",
            "props":{"name":"bought","url":"https://example.com/?utm_source=x","referrer":"https://news.example/","title":"T",
            "plan":"pro"},"idempotencyKey":"k1","serverContext":{"clientIp":"8.8.8.8","userAgent":"MyServer/1.0",
            "acceptLanguage":"de"}}]}"#;
        let batch = crate::parse_batch(body.as_bytes()).unwrap();
        let row = batch.events[0].as_ref().unwrap();
        assert_eq!(format!("{:?}", typed.validate().unwrap()), format!("{row:?}"));
        let refusal = BatchEvent::new("pageview", at, "", "s").validate().unwrap_err();
        assert_eq!(refusal.fields.keys().collect::<Vec<_>>(), ["props.url", "visitorId"]);
    }

    proptest! {
        #[test]
        fn any_strings_are_taken_or_refused(texts in prop::array::uniform8("(\\PC|[\0-\x1f]){0,20}"), number in any::<f64>()) {
            let [url, session, agent, title, id, name, value, kind] = &texts;
            let hit = Hit::event(name, url, session).user_agent(agent).title(title).event_id(id).referrer(value);
            let hit = hit.property(name, value).property(value, number).screen_width(number).scroll_percent(number);
            let hit = hit.revenue(number, value).user_property(kind, title).at(Timestamp::from_millis(i64::MIN));
            let _ = fields(hit);
            let event = BatchEvent::new(kind, Timestamp::from_millis(i64::MAX), id, session).url(url).name(name);
            let _ = event.property(title, value).user_agent(agent).idempotency_key(id).validate();
        }
    }
}
