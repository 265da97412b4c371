//! The body of a hit or heartbeat: parsed, and every wrong field named at once.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use chrono::DateTime;
use zenovay_domain::{EventKind, parse_host};

use crate::Refusal;
use crate::json::{JsonValue, MemberName, Members, Problems, StringRule};
use crate::marks::Marks;
use crate::outcome::{Mend, Mends};
use crate::properties::Properties;
use crate::source::Origin;
use crate::web_url::{Campaign, UTM_MAX_CHARS, WebUrl, clean};

/// The fewest characters of `session_id`.
pub const SESSION_ID_MIN_CHARS: usize = 8;

/// The most visible time that one report adds: a heartbeat comes every 30 s, and a page asleep for longer reports once.
pub(crate) const ENGAGEMENT_MAX_MS: f64 = 600_000.0;

/// The most characters of `title`.
pub(crate) const TITLE_MAX_CHARS: usize = 512;

/// The names of the tracking code, the documented one first.
const TRACKING_CODE: [MemberName; 3] = [MemberName::TrackingCode, MemberName::BatchTrackingCode, MemberName::Code];

/// Of a string that is refused when it is too long.
const fn rule(label: &'static str, max_chars: usize) -> StringRule {
    StringRule { label, required: false, min_chars: 0, max_chars, cut: None }
}

const fn required(label: &'static str, min_chars: usize, max_chars: usize) -> StringRule {
    StringRule { label, required: true, min_chars, max_chars, cut: None }
}

/// Of an optional string, which is cut when it is too long.
pub(crate) const fn cut(label: &'static str, max_chars: usize, cut: Mend) -> StringRule {
    StringRule { label, required: false, min_chars: 0, max_chars, cut: Some(cut) }
}

/// Of a string that must be there, but may be cut.
const fn described(label: &'static str) -> StringRule {
    StringRule { label, required: true, min_chars: 0, max_chars: 100, cut: Some(Mend::Description) }
}

/// A body that is JSON. What it says is not checked yet.
#[derive(Debug)]
pub struct ParsedHit<'a>(Members<'a, 'static>);

/// Levels of the body that mean something: its members, and those of its properties.
const DEPTH: u8 = 2;

/// Parses the decoded body of a hit or heartbeat.
///
/// # Errors
/// [`InvalidJson`](crate::RefusalReason::InvalidJson) when it is not UTF-8, not JSON, nested too deep, or not an object.
pub fn parse_hit(body: &[u8]) -> Result<ParsedHit<'_>, Refusal> {
    let mut parsed = ParsedHit::empty();
    parsed.read(body)?;
    Ok(parsed)
}

impl<'a> ParsedHit<'a> {
    pub(crate) fn empty() -> Self {
        Self(Members::empty(""))
    }

    /// Puts in one member of a hit that does not come as a body.
    pub(crate) fn put(&mut self, name: MemberName, value: JsonValue<'a>) {
        self.0.put(name, value);
    }

    /// Reads `body` into what is empty: it is not moved once it is read.
    pub(crate) fn read(&mut self, body: &'a [u8]) -> Result<(), Refusal> {
        self.0.read(body, DEPTH)
    }

    /// The tracking code in the body, for the aliases without one in their path.
    pub fn tracking_code(&self) -> Option<&str> {
        self.0.first_string(&TRACKING_CODE)
    }

    /// Checks the body as what `fields` are empty of, a hit or a heartbeat, and moves what it says to them.
    ///
    /// # Errors
    /// [`InvalidField`](crate::RefusalReason::InvalidField) with every wrong field and what is wrong with it.
    pub fn validate(&mut self, fields: &mut HitFields<'a>) -> Result<(), Refusal> {
        let members = &mut self.0;
        if fields.kind == EventKind::Heartbeat {
            heartbeat(members, fields);
        } else {
            hit(members, fields);
        }
        fields.mends = members.mends;
        if members.problems.is_empty() { Ok(()) } else { Err(Refusal::fields(std::mem::take(&mut members.problems))) }
    }
}

/// The scheme of referrers that are Android apps.
const APP_SCHEME: &str = "android-app://";

/// Who referred to the page.
#[derive(Debug)]
pub(crate) enum Referrer<'a> {
    /// Another page.
    Page(WebUrl<'a>),
    /// An Android app, as [`APP_SCHEME`] and its name.
    App(String),
}

impl<'a> Referrer<'a> {
    /// Reads what a client calls its referrer: the address of a page, `android-app://` and the name of an app, or a bare host.
    /// `None` when it is anything else: nothing is made up.
    pub(crate) fn read(text: Cow<'a, str>) -> Option<Self> {
        if let Some(app) = text.strip_prefix(APP_SCHEME) {
            let name = app.split(['/', '?', '#']).next().unwrap_or("").to_ascii_lowercase();
            let valid = name.split('.').count() > 1
                && name.split('.').all(|part| !part.is_empty() && part.bytes().all(is_app_byte));
            return valid.then(|| Self::App(format!("{APP_SCHEME}{name}")));
        }
        let is_web = ["https://", "http://"]
            .iter()
            .any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
        if is_web {
            let page = WebUrl::parse(text.clone()).ok()?;
            // Browsers write an address with all four numbers: others are what a URL parser makes of junk.
            let is_made_up = page.host().parse::<Ipv4Addr>().is_ok() && !text.contains(page.host());
            return (!is_made_up).then_some(Self::Page(page));
        }
        let host = text.split(['/', '?', '#']).next().unwrap_or("");
        let host = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        is_bare_host(host).then(|| WebUrl::parse(format!("https://{text}")).ok()).flatten().map(Self::Page)
    }

    /// The host, or the app's name.
    pub(crate) fn host(&self) -> &str {
        match self {
            Self::Page(url) => url.host(),
            Self::App(app) => app.strip_prefix(APP_SCHEME).unwrap_or(""),
        }
    }

    /// What is stored: no query.
    pub(crate) fn address(&self) -> &str {
        match self {
            Self::Page(url) => url.without_query(),
            Self::App(app) => app,
        }
    }

    fn is_cut(&self) -> bool {
        matches!(self, Self::Page(url) if url.is_cut())
    }
}

fn is_app_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// Whether `text` is the name of a host that somebody typed without a scheme: a name under a public suffix, and not that of
/// an app, which is written the other way round.
fn is_bare_host(text: &str) -> bool {
    let Ok(host) = parse_host(text) else { return false };
    let is_known = psl::suffix(host.as_bytes()).is_some_and(|suffix| suffix.is_known());
    let is_app =
        host.split('.').count() > 2 && ["com.", "org.", "net.", "io."].iter().any(|first| host.starts_with(first));
    is_known && !is_app && host.contains('.') && psl::domain_str(&host).is_some()
}

/// What every kind of record says of where, when and in whose visit it happened.
#[derive(Debug, Default)]
pub(crate) struct CommonFields<'a> {
    pub(crate) url: Option<WebUrl<'a>>,
    pub(crate) session_id: Cow<'a, str>,
    pub(crate) visitor_id: Option<Cow<'a, str>>,
    pub(crate) user_agent: Option<Cow<'a, str>>,
    /// Milliseconds since 1970, as the client's clock says.
    pub(crate) at_ms: Option<i64>,
    pub(crate) idempotency_key: Option<Cow<'a, str>>,
    /// The client keeps no session: the server stitches its visits.
    pub(crate) cookieless: bool,
    /// The browser asks not to be tracked, as the page saw it.
    pub(crate) opted_out: bool,
    /// A program drives the browser.
    pub(crate) webdriver: bool,
}

/// What a valid hit says.
#[derive(Debug)]
pub struct HitFields<'a> {
    pub(crate) kind: EventKind,
    pub(crate) common: CommonFields<'a>,
    pub(crate) event_name: Cow<'a, str>,
    pub(crate) referrer: Option<Referrer<'a>>,
    pub(crate) device_type: Cow<'a, str>,
    pub(crate) browser: Cow<'a, str>,
    pub(crate) os: Cow<'a, str>,
    pub(crate) title: Cow<'a, str>,
    pub(crate) language: Option<Cow<'a, str>>,
    pub(crate) screen_width: Option<f64>,
    pub(crate) campaign: Campaign,
    pub(crate) engagement_ms: u32,
    pub(crate) scroll_percent: u8,
    /// What was changed in it.
    pub(crate) mends: Mends,
    /// A JSON object, or empty.
    pub(crate) properties: String,
    /// The same without what names the person; what is stored under GPC.
    pub(crate) anonymous_properties: Option<String>,
}

impl HitFields<'_> {
    /// The fields of a hit, or of a heartbeat when that is the `kind`, of which none is known yet.
    pub fn empty(kind: EventKind) -> Self {
        Self {
            kind,
            common: CommonFields::default(),
            event_name: Cow::Borrowed(""),
            referrer: None,
            device_type: Cow::Borrowed(""),
            browser: Cow::Borrowed(""),
            os: Cow::Borrowed(""),
            title: Cow::Borrowed(""),
            language: None,
            screen_width: None,
            campaign: Campaign::default(),
            engagement_ms: 0,
            scroll_percent: 0,
            mends: Mends::default(),
            properties: String::new(),
            anonymous_properties: None,
        }
    }

    /// What of it can begin a new visit, when `source` led to the page.
    pub(crate) fn marks(&self, source: &Origin<'_>) -> Marks {
        if self.kind == EventKind::Heartbeat {
            return Marks::default();
        }
        let campaign = if self.campaign.is_tagged() { Marks::number(&self.campaign.key()) } else { 0 };
        Marks { campaign, click: self.campaign.click, referrer: source.mark() }
    }
}

/// The fields of a hit.
fn hit<'a>(m: &mut Members<'a, '_>, fields: &mut HitFields<'a>) {
    common(m, fields);
    fields.common.url = url(m, MemberName::Url, true);
    fields.common.user_agent = m.string(&[MemberName::UserAgent], required("User agent", 1, 2048));
    fields.device_type = m.string(&[MemberName::DeviceType], described("Device type")).unwrap_or_default();
    fields.browser = m.string(&[MemberName::Browser], described("Browser")).unwrap_or_default();
    fields.os = m.string(&[MemberName::Os], described("OS")).unwrap_or_default();
    kind_and_name(m, fields, &[MemberName::EventType, MemberName::Type], &[MemberName::EventName, MemberName::Name]);
    let title = cut("Title", TITLE_MAX_CHARS, Mend::Title);
    fields.title = m.string(&[MemberName::Title, MemberName::PageTitle], title).map(clean).unwrap_or_default();
    fields.referrer = referrer(m, MemberName::Referrer);
    fields.language = m.string(&[MemberName::Language], cut("Language", 100, Mend::Description));
    fields.screen_width = screen_width(m);
    campaign(m, fields);
    fields.common.at_ms = own_time(m);
    fields.common.idempotency_key = m.string(&[MemberName::EventId], required_if_there("Event id"));
    properties(m, fields);
}

/// The fields of a heartbeat.
fn heartbeat<'a>(m: &mut Members<'a, '_>, fields: &mut HitFields<'a>) {
    common(m, fields);
    fields.common.url = url(m, MemberName::Url, false);
    fields.common.user_agent = m.string(&[MemberName::UserAgent], rule("User agent", 2048));
    fields.common.at_ms = own_time(m);
}

const fn required_if_there(label: &'static str) -> StringRule {
    StringRule { label, required: false, min_chars: 1, max_chars: 255, cut: None }
}

/// What hits and heartbeats share.
#[expect(clippy::cast_possible_truncation, reason = "both are bounded before, and fractions do not count")]
fn common<'a>(m: &mut Members<'a, '_>, fields: &mut HitFields<'a>) {
    fields.common.session_id =
        m.string(&[MemberName::SessionId], required("Session id", SESSION_ID_MIN_CHARS, 255)).unwrap_or_default();
    // Only its digest is kept.
    fields.common.visitor_id =
        m.string(&[MemberName::VisitorId], rule("Visitor id", usize::MAX)).filter(|id| !id.is_empty());
    m.compare(&TRACKING_CODE);
    fields.common.cookieless = m.flag(MemberName::Cookieless);
    fields.common.opted_out = m.flag(MemberName::OptedOut);
    fields.common.webdriver = m.flag(MemberName::Webdriver);
    let milliseconds = m.number(MemberName::EngagementMs, 0.0, f64::MAX);
    let seconds = m.number(MemberName::Duration, 0.0, f64::MAX).filter(|_| fields.kind == EventKind::Heartbeat);
    if milliseconds.zip(seconds).is_some_and(|(ms, s)| ms != s * 1000.0) {
        m.mends.insert(Mend::Spelling);
    }
    // In range by `min`; a float becomes an integer without wrapping.
    fields.engagement_ms = milliseconds.or(seconds.map(|s| s * 1000.0)).unwrap_or(0.0).min(ENGAGEMENT_MAX_MS) as u32;
    fields.scroll_percent = m.number(MemberName::ScrollDepth, 0.0, 100.0).unwrap_or(0.0) as u8;
}

pub(crate) fn url<'a>(m: &mut Members<'a, '_>, name: MemberName, is_required: bool) -> Option<WebUrl<'a>> {
    let min_chars = usize::from(is_required);
    let rule = StringRule { label: "URL", required: is_required, min_chars, max_chars: usize::MAX, cut: None };
    let text = m.string(&[name], rule).filter(|text| !text.is_empty())?;
    match WebUrl::parse(text) {
        Ok(url) => {
            if url.is_cut() {
                m.mends.insert(Mend::Url);
            }
            Some(url)
        }
        Err(error) if is_required => {
            m.problem(name.as_str(), error.to_string());
            None
        }
        Err(_) => {
            m.mends.insert(Mend::Value);
            None
        }
    }
}

/// Type and name; a type that is not known is the name of a custom event.
pub(crate) fn kind_and_name<'a>(
    m: &mut Members<'a, '_>,
    fields: &mut HitFields<'a>,
    type_names: &[MemberName],
    name_names: &[MemberName],
) {
    let event_type = m.string(type_names, rule("Event type", 100)).filter(|text| !text.is_empty());
    let name = m.string(name_names, rule("Name", 100)).map(clean).filter(|text| !text.is_empty());
    let known = match event_type.as_deref() {
        None if name.is_some() => Some(EventKind::Custom),
        None => Some(EventKind::Pageview),
        Some("event") => Some(EventKind::Custom),
        Some("purchase") => Some(EventKind::Revenue),
        Some(text) => EventKind::ALL.iter().copied().find(|kind| kind.as_str() == text),
    };
    match known {
        Some(kind) => {
            fields.kind = kind;
            if name.is_none() && matches!(kind, EventKind::Custom | EventKind::Goal) {
                let field = name_names.first().map_or("name", |name| name.as_str());
                m.problem(field, format!("Is required for {} events", kind.as_str()));
            }
            fields.event_name = name.unwrap_or_default();
        }
        None => {
            fields.kind = EventKind::Custom;
            fields.event_name = name.or(event_type.map(clean)).unwrap_or_default();
        }
    }
}

/// Who referred. A string that names nobody says nothing.
pub(crate) fn referrer<'a>(m: &mut Members<'a, '_>, name: MemberName) -> Option<Referrer<'a>> {
    // What follows its path may have any length.
    let text =
        m.string(&[name], cut("Referrer", usize::MAX, Mend::Referrer)).map(clean).filter(|text| !text.is_empty())?;
    let referrer = Referrer::read(text);
    match &referrer {
        Some(page) if page.is_cut() => m.mends.insert(Mend::ReferrerLength),
        Some(_) => {}
        None => m.mends.insert(Mend::Referrer),
    }
    referrer
}

fn screen_width(m: &mut Members<'_, '_>) -> Option<f64> {
    let width = m.number(MemberName::ScreenWidth, 0.0, 100_000.0);
    let size = m.string(&[MemberName::ScreenSize], cut("Screen size", 20, Mend::Description));
    width.or_else(|| size?.split(['x', 'X', '×']).next()?.trim().parse::<u32>().ok().map(f64::from))
}

/// The campaign of the URL, in which what the body says stands.
pub(crate) fn campaign<'a>(m: &mut Members<'a, '_>, fields: &mut HitFields<'a>) {
    fields.campaign = fields.common.url.as_ref().map(WebUrl::campaign).unwrap_or_default();
    if fields.campaign.is_cut {
        m.mends.insert(Mend::Campaign);
    }
    let campaign = &mut fields.campaign;
    for (name, slot) in [
        (MemberName::UtmSource, &mut campaign.source),
        (MemberName::UtmMedium, &mut campaign.medium),
        (MemberName::UtmCampaign, &mut campaign.name),
        (MemberName::UtmTerm, &mut campaign.term),
        (MemberName::UtmContent, &mut campaign.content),
    ] {
        if let Some(text) = m
            .string(&[name], cut(name.as_str(), UTM_MAX_CHARS, Mend::Campaign))
            .map(clean)
            .filter(|text| !text.is_empty())
        {
            *slot = text.into_owned();
        }
    }
}

/// The time that a hit or heartbeat gives of itself. Where it cannot be read, the time of arrival stands.
fn own_time(m: &mut Members<'_, '_>) -> Option<i64> {
    match timestamp(m, MemberName::Timestamp) {
        Ok(at) => at,
        Err(_) => {
            m.mends.insert(Mend::Value);
            None
        }
    }
}

/// Milliseconds since 1970, or an RFC 3339 string. A value of another type is noted.
///
/// # Errors
/// What is wrong with a number or string that is not a time.
#[expect(clippy::cast_possible_truncation, reason = "the float is less than 2^53")]
pub(crate) fn timestamp(m: &mut Members<'_, '_>, name: MemberName) -> Result<Option<i64>, &'static str> {
    let value = m.remove(&[name]).1;
    if let Some(text) = value.as_str() {
        let at = DateTime::parse_from_rfc3339(text)
            .map_err(|_| "Must be milliseconds since 1970 or text such as 2026-06-13T12:00:00Z")?;
        return Ok(Some(at.timestamp_millis()));
    }
    match value {
        JsonValue::Int(ms) => Ok(Some(ms)),
        JsonValue::Float(ms) if ms.abs() < 9e15 => Ok(Some(ms as i64)),
        JsonValue::Float(_) => Err("Must be milliseconds since 1970"),
        JsonValue::Absent | JsonValue::Null => Ok(None),
        other => {
            m.problem(name.as_str(), format!("Must be milliseconds since 1970, not {}", other.kind()));
            Ok(None)
        }
    }
}

/// Properties from `event_data` and what revenue and identify events carry beside it.
fn properties<'a>(m: &mut Members<'a, '_>, fields: &mut HitFields<'a>) {
    let mut problems = Problems::new();
    let mut anonymous = Properties::default();
    let mut beside = Vec::new();
    if let Some(amount) = m.number(MemberName::Revenue, f64::MIN, f64::MAX) {
        beside.push(("revenue", JsonValue::Float(amount)));
    }
    let value = |label| cut(label, 255, Mend::PropertyValue);
    for (name, label) in [(MemberName::Currency, "Currency"), (MemberName::OrderId, "Order id")] {
        if let Some(text) = m.string(&[name], value(label)) {
            beside.push((name.as_str(), JsonValue::from(text)));
        }
    }
    let user_id = m.string(&[MemberName::UserId], value("User id"));
    let (_, user) = m.object(&[MemberName::UserProperties]);
    let (field, data) = m.object(&[MemberName::EventData, MemberName::Data, MemberName::Properties]);
    let names_person = user_id.is_some() || !user.is_empty() || fields.kind == EventKind::Identify;
    if !names_person && data.is_empty() && beside.is_empty() {
        return;
    }
    let mut all = Properties::default();
    for (name, value) in beside {
        if names_person {
            anonymous.set(name, value.clone());
        }
        all.set(name, value);
    }
    if let Some(id) = user_id {
        all.set("user_id", JsonValue::from(id));
    } else if !user.is_empty() {
        // It says whose the properties are: somebody's, whose id was not told. Readers leave out what names a person by it.
        all.set("user_id", JsonValue::from(Cow::Borrowed("")));
    }
    if names_person {
        if fields.kind != EventKind::Identify {
            anonymous.extend(field, data.clone(), &mut Problems::new(), &mut m.mends);
        }
        if fields.kind == EventKind::Revenue {
            anonymous.settle_money(&mut m.mends);
        }
        fields.anonymous_properties = Some(anonymous.into_json(&mut m.mends));
    }
    all.extend(field, data, &mut problems, &mut m.mends);
    all.extend("user_properties", user, &mut problems, &mut m.mends);
    if fields.kind == EventKind::Revenue {
        all.settle_money(&mut m.mends);
        // An order is the same under any id of the event.
        if let Some(order) = all.order_id() {
            fields.common.idempotency_key = Some(Cow::Owned(format!("order:{order}")));
        }
    }
    fields.properties = all.into_json(&mut m.mends);
    for (name, problem) in problems {
        m.problem(&name, problem);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::RefusalReason;
    use proptest::prelude::*;

    /// The published example of a call from a server.
    pub(crate) const S4_EXAMPLE: &str = r#"{
        "event_type": "pageview", "url": "https://example.com/home", "session_id": "srv-session-abcdef",
        "user_agent": "MyServer/1.0", "device_type": "desktop", "browser": "Server", "os": "Linux" }"#;

    fn with(member: &str) -> String {
        format!("{},{member}}}", S4_EXAMPLE.trim_end().trim_end_matches('}'))
    }

    pub(crate) fn validated(body: &str, kind: EventKind) -> Result<HitFields<'_>, Refusal> {
        let mut fields = HitFields::empty(kind);
        parse_hit(body.as_bytes())?.validate(&mut fields)?;
        Ok(fields)
    }

    fn hit_fields(body: &str) -> Result<HitFields<'_>, Refusal> {
        validated(body, EventKind::Pageview)
    }

    fn problems(body: &str) -> Problems {
        hit_fields(body).unwrap_err().fields
    }

    #[test]
    fn every_required_field_is_named_at_once() {
        let fields = problems("{}");
        let names: Vec<_> = fields.keys().map(String::as_str).collect();
        assert_eq!(names, ["browser", "device_type", "os", "session_id", "url", "user_agent"]);
        assert!(fields.values().all(|problem| problem == "Is required"));
    }

    #[test]
    fn every_wrong_type_is_named_at_once() {
        assert_eq!(problems(&with(r#""visitor_id":[]"#))["visitor_id"], "Must be a string, not an array");
        let wrong = "{\"session_id\":1,\"url\":[],\"user_agent\":true,\"device_type\":{},\"browser\":null,\"os\":1.5,\
                     \"event_type\":1,\"event_name\":{},\"event_data\":[],\"title\":1,\"referrer\":1,\
                     \"language\":1,\"screen_width\":\"1\",\"timestamp\":{},\"event_id\":1,\"cookieless\":\"yes\",\
                     \"utm_source\":1,\"revenue\":\"1\",\"engagement_ms\":\"1\",\"scroll_depth\":\"101\"}";
        let fields = problems(wrong);
        let names: Vec<_> = fields.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "browser",
                "cookieless",
                "device_type",
                "engagement_ms",
                "event_data",
                "event_id",
                "event_name",
                "event_type",
                "language",
                "os",
                "referrer",
                "revenue",
                "screen_width",
                "scroll_depth",
                "session_id",
                "timestamp",
                "title",
                "url",
                "user_agent",
                "utm_source"
            ]
        );
        assert_eq!(fields["session_id"], "Must be a string, not a number");
    }

    /// The two messages that the published documents print.
    #[test]
    fn messages_are_those_of_s4() {
        let fields = problems(&with(&format!(r#""event_name":"{}""#, "n".repeat(101))));
        assert_eq!(fields["event_name"], "Name too long (max 100 characters)");
        let body = S4_EXAMPLE.replace("https://example.com/home", "not a url");
        assert_eq!(problems(&body)["url"], "Invalid URL format");
        let body = S4_EXAMPLE.replace("srv-session-abcdef", "short");
        assert_eq!(problems(&body)["session_id"], "Session id too short (min 8 characters)");
    }

    /// Of the right type, and of no use: the event is kept without it.
    #[test]
    fn what_cannot_be_read_of_an_optional_field_is_left_out() {
        for member in [
            r#""timestamp":"yesterday""#,
            r#""timestamp":"""#,
            r#""timestamp":"2026-06-13""#,
            r#""timestamp":1e18"#,
            r#""screen_width":-1"#,
            r#""screen_width":1e9"#,
            r#""engagement_ms":-0.5"#,
            r#""scroll_depth":100.5"#,
        ] {
            let body = with(member);
            let fields = hit_fields(&body).unwrap();
            assert_eq!((fields.common.at_ms, fields.screen_width), (None, None), "{member}");
            assert_eq!((fields.engagement_ms, fields.scroll_percent), (0, 0), "{member}");
            assert_eq!(fields.mends.iter().collect::<Vec<_>>(), [Mend::Value], "{member}");
        }
    }

    /// A byte order mark before a string comes of files that are read line by line.
    #[test]
    fn a_byte_order_mark_before_a_string_is_left_out() {
        let body = S4_EXAMPLE.replace(r#": ""#, ": \"\u{feff}");
        let fields = hit_fields(&body).unwrap();
        assert_eq!(fields.kind, EventKind::Pageview);
        assert_eq!(fields.common.url.unwrap().without_query(), "https://example.com/home");
        assert_eq!(&*fields.common.session_id, "srv-session-abcdef");
        assert_eq!(fields.common.user_agent.as_deref(), Some("MyServer/1.0"));
    }

    #[test]
    fn limits_and_bad_values_are_refused_by_name() {
        for (member, field) in [
            (r#""event_id":"a\u0000b""#.to_owned(), "event_id"),
            (r#""event_type":"custom""#.to_owned(), "event_type"),
            (r#""timestamp":true"#.to_owned(), "timestamp"),
            (r#""url":"https://example.com/other""#.to_owned(), "url"),
            (r#""event_data":{"a":1,"a":2}"#.to_owned(), "event_data.a"),
            (r#""x":1,"x":2"#.to_owned(), "x"),
        ] {
            let found = problems(&with(&member));
            assert_eq!(found.len(), 1, "{member}: {found:?}");
            assert!(found.contains_key(field), "{member}: {found:?}");
        }
        let body = S4_EXAMPLE.replace("https://example.com/home", "javascript:alert(1)");
        assert!(problems(&body).contains_key("url"));
    }

    fn fields_of(member: &str, check: impl FnOnce(&HitFields<'_>)) {
        let body = with(member);
        check(&hit_fields(&body).unwrap_or_else(|error| panic!("{member}: {error:?}")));
    }

    #[test]
    fn an_order_is_known_by_its_id() {
        for (kind, members, key, properties) in [
            (
                "revenue",
                r#""event_id":"e","event_data":{"order_id":7,"value":"12.50","currency":"eur"}"#,
                Some("order:7"),
                r#"{"currency":"EUR","order_id":7,"value":12.5}"#,
            ),
            ("purchase", r#""order_id":"a-1","revenue":3"#, Some("order:a-1"), r#"{"order_id":"a-1","revenue":3.0}"#),
            (
                "revenue",
                r#""event_id":"e","event_data":{"order_id":"","value":"abc"}"#,
                Some("e"),
                r#"{"order_id":""}"#,
            ),
            ("click", r#""event_data":{"order_id":7,"value":"abc"}"#, None, r#"{"order_id":7,"value":"abc"}"#),
        ] {
            let body = with(members).replacen("pageview", kind, 1);
            let fields = hit_fields(&body).unwrap();
            assert_eq!((fields.common.idempotency_key.as_deref(), &*fields.properties), (key, properties), "{body}");
        }
    }

    fn mended(fields: &HitFields<'_>) -> Vec<&'static str> {
        fields.mends.iter().map(Mend::as_str).collect()
    }

    /// umami-software/umami#2260 (a long referrer), getsentry/relay#5833 (half an emoji).
    #[test]
    fn a_hit_is_not_lost_for_an_optional_field() {
        let long = "é".repeat(3_000);
        for (member, mend) in [
            (format!(r#""title":"{long}""#), "title"),
            (format!(r#""referrer":"https://a.example/{long}""#), "referrer_length"),
            (format!(r#""utm_source":"{long}""#), "campaign"),
            (format!(r#""language":"{long}""#), "description"),
            (format!(r#""event_data":{{"a":"{long}","b":1}}"#), "property_value"),
            (format!(r#""event_data":{{"{long}":1,"b":1}}"#), "property"),
            (format!(r#""user_id":"{long}""#), "property_value"),
            (r#""title":"a\u0000b""#.to_owned(), "characters"),
            (r#""title":"cut \ud83d""#.to_owned(), "characters"),
            (r#""event_data":{"a":1e999,"b":1}"#.to_owned(), "characters"),
            (r#""referrer":"javascript:alert(1)""#.to_owned(), "referrer"),
            (r#""title":"one","page_title":"two""#.to_owned(), "spelling"),
            (r#""code":"ZV_a","tracking_code":"ZV_b""#.to_owned(), "spelling"),
        ] {
            fields_of(&member, |fields| assert_eq!(mended(fields), [mend], "{member}"));
        }
        fields_of(&format!(r#""title":"{long}""#), |fields| assert_eq!(fields.title.chars().count(), TITLE_MAX_CHARS));
        fields_of(r#""title":"cut \ud83d""#, |fields| assert_eq!(fields.title, "cut \u{fffd}"));
        fields_of(r#""title":"one","page_title":"two""#, |fields| assert_eq!(fields.title, "one"));
        fields_of(r#""title":"one","page_title":"one""#, |fields| assert_eq!(mended(fields), [""; 0]));
        fields_of(&format!(r#""event_data":{{"a":"{long}","b":1}}"#), |fields| {
            let kept: serde_json::Value = serde_json::from_str(&fields.properties).unwrap();
            assert_eq!(kept["a"].as_str().unwrap().chars().count(), 1_000);
            assert_eq!(kept["b"], 1);
        });
        let body = with(r#""code":"ZV_a","tracking_code":"ZV_b""#);
        assert_eq!(parse_hit(body.as_bytes()).unwrap().tracking_code(), Some("ZV_b"), "the documented name");
        let body = format!("\u{feff}{S4_EXAMPLE}");
        assert_eq!(mended(&hit_fields(&body).unwrap()), ["characters"]);
    }

    #[test]
    fn a_long_url_is_cut_and_its_campaign_read_first() {
        let long = "a".repeat(3_000);
        let url =
            |rest: &str| S4_EXAMPLE.replace("https://example.com/home", &format!("https://example.com/home{rest}"));
        for rest in [format!("#id_token={long}"), format!("?facets={long}&utm_source=x#{long}")] {
            let body = url(&rest);
            let fields = hit_fields(&body).unwrap();
            assert_eq!(fields.common.url.as_ref().unwrap().path(), "/home");
            assert_eq!(fields.campaign.source, if rest.contains("utm") { "x" } else { "" });
            assert_eq!(mended(&fields), ["url"]);
        }
        let body = url(&format!("/{}?utm_source=x", "%C3%A9".repeat(1_000)));
        let fields = hit_fields(&body).unwrap();
        let path = fields.common.url.as_ref().unwrap().path();
        assert!((2_000..=2_048).contains(&path.len()) && path.ends_with("%C3%A9"), "{path}");
        assert_eq!((fields.campaign.source.as_str(), mended(&fields)), ("x", vec!["url"]));
    }

    /// plausible/analytics#3715 (other schemes), ionic-team/capacitor-plugins#1729 (junk).
    #[test]
    fn a_referrer_that_is_not_a_page_is_none_and_never_a_made_up_site() {
        for junk in [
            "chrome-extension://abcdefghijklmnop/page.html",
            "2//com.example.app",
            "javascript:alert(1)",
            "file:///home/me/x.html",
            "about:blank",
            "data:text/html,x",
            "capacitor://localhost",
            "com.example.app",
            "android-app://",
            "android-app://a b",
            "(direct)",
            "null",
            "undefined",
            "/home",
            "//",
            "https://",
            "https://2//com.example.app",
            "http://0x7f.1/",
            "1.2",
            "localhost",
            "word",
            "a b.example.com",
        ] {
            fields_of(&format!(r#""referrer":"{junk}""#), |fields| {
                assert!(fields.referrer.is_none(), "{junk}: {:?}", fields.referrer);
                assert_eq!(mended(fields), ["referrer"], "{junk}");
            });
        }
        for (text, host, address) in [
            ("https://a.example/p?q#f", "a.example", "https://a.example/p"),
            ("HTTPS://A.example", "a.example", "https://a.example/"),
            ("http://192.0.2.1/x", "192.0.2.1", "http://192.0.2.1/x"),
            ("http://intranet/x", "intranet", "http://intranet/x"),
            ("news.ycombinator.com", "news.ycombinator.com", "https://news.ycombinator.com/"),
            ("example.co.uk:8080/x?y", "example.co.uk", "https://example.co.uk:8080/x"),
            (
                "android-app://com.Google.android.gm/https/x",
                "com.google.android.gm",
                "android-app://com.google.android.gm",
            ),
        ] {
            fields_of(&format!(r#""referrer":"{text}""#), |fields| {
                let referrer = fields.referrer.as_ref().unwrap_or_else(|| panic!("{text}"));
                assert_eq!((referrer.host(), referrer.address()), (host, address));
                assert_eq!(mended(fields), [""; 0], "{text}");
            });
        }
    }

    #[test]
    fn aliases_and_unknown_types_are_custom_events() {
        let kinds = [
            (r#""type":"event","name":"signup","data":{"plan":"pro"}"#, EventKind::Custom, "signup"),
            (r#""event_type":"video_progress""#, EventKind::VideoProgress, ""),
            (r#""event_type":"checkout""#, EventKind::Custom, "checkout"),
            (r#""event_type":"checkout","event_name":"paid""#, EventKind::Custom, "paid"),
            (r#""event_type":"goal","event_name":"lead""#, EventKind::Goal, "lead"),
        ];
        for (member, kind, name) in kinds {
            let body = with(member).replace(r#""event_type": "pageview","#, "");
            let fields = hit_fields(&body).unwrap();
            assert_eq!((fields.kind, &*fields.event_name), (kind, name), "{member}");
        }
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        for body in ["[]", "1", "null", "\"x\""] {
            assert_eq!(parse_hit(body.as_bytes()).unwrap_err().reason, RefusalReason::InvalidJson, "{body}");
        }
    }

    #[test]
    fn heartbeats_need_a_session_only() {
        let parse = |body| validated(body, EventKind::Heartbeat);
        let beat = parse(r#"{"session_id":"12345678","engagement_ms":30000,"scroll_depth":70}"#).unwrap();
        assert_eq!((beat.engagement_ms, beat.scroll_percent), (30_000, 70));
        assert_eq!(parse(r#"{"session_id":"12345678","duration":15}"#).unwrap().engagement_ms, 15_000);
        assert_eq!(parse(r#"{"session_id":"12345678","engagement_ms":1e300}"#).unwrap().engagement_ms, 600_000);
        for (body, field) in [
            ("{}", "session_id"),
            (r#"{"session_id":"1234567"}"#, "session_id"),
            (r#"{"session_id":"12345678","engagement_ms":"1"}"#, "engagement_ms"),
            (r#"{"session_id":"12345678","url":7}"#, "url"),
        ] {
            assert!(parse(body).unwrap_err().fields.contains_key(field), "{body}");
        }
        for body in [
            r#"{"session_id":"12345678","engagement_ms":-1}"#,
            r#"{"session_id":"12345678","scroll_depth":101}"#,
            r#"{"session_id":"12345678","url":"/home"}"#,
            r#"{"session_id":"12345678","url":"about:srcdoc"}"#,
        ] {
            let beat = parse(body).unwrap();
            assert_eq!((beat.engagement_ms, beat.scroll_percent, beat.common.url.is_none()), (0, 0, true), "{body}");
            assert_eq!(beat.mends.iter().collect::<Vec<_>>(), [Mend::Value], "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_member_is_taken_or_refused(
            name in prop::sample::select(vec!["url", "title", "referrer", "event_data", "timestamp", "screen_size", "utm_source"]),
            value in prop_oneof![".{0,40}".prop_map(|t| serde_json::json!(t)), any::<f64>().prop_map(|n| serde_json::json!(n)),
                Just(serde_json::json!({"a": {"b": 1}})), Just(serde_json::json!(null))],
        ) {
            let mut body: serde_json::Value = serde_json::from_str(S4_EXAMPLE).unwrap();
            body[name] = value;
            let text = body.to_string();
            if let Err(refusal) = hit_fields(&text) {
                prop_assert!(!refusal.fields.is_empty());
            }
        }
    }
}
