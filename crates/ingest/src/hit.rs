//! The body of a hit or heartbeat: parsed, and every wrong field named at once.

use std::borrow::Cow;

use chrono::DateTime;
use zenovay_domain::EventKind;

use crate::Refusal;
use crate::json::{Members, Problems, Raw, TextRule};
use crate::names::Known;
use crate::properties::Properties;
use crate::web_url::{Campaign, InvalidUrl, URL_MAX_CHARS, UTM_MAX_CHARS, WebUrl, clean};

/// The fewest characters of `session_id` (SPEC E1).
pub const SESSION_ID_MIN_CHARS: usize = 8;

/// The most visible time that one report adds: a heartbeat comes every 30 s, and a page asleep for longer reports once.
pub(crate) const ENGAGEMENT_MAX_MS: f64 = 600_000.0;

const fn rule(label: &'static str, max_chars: usize) -> TextRule {
    TextRule { label, required: false, min_chars: 0, max_chars }
}

const fn required(label: &'static str, min_chars: usize, max_chars: usize) -> TextRule {
    TextRule { label, required: true, min_chars, max_chars }
}

/// A body that is JSON. What it says is not checked yet.
#[derive(Debug)]
pub struct ParsedHit<'a>(Members<'a, 'static>);

/// Levels of the body that mean something: its members, and those of its properties.
const DEPTH: u8 = 2;

/// Parses the decoded body of a hit or heartbeat.
///
/// # Errors
/// [`InvalidJson`](crate::RefusalReason::InvalidJson) when it is not UTF-8, not JSON, nested too deep, or no object.
pub fn parse_hit(body: &[u8]) -> Result<ParsedHit<'_>, Refusal> {
    let mut members = Members::empty("");
    members.read(body, DEPTH)?;
    Ok(ParsedHit(members))
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

impl Referrer<'_> {
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
}

/// What a valid hit says.
#[derive(Debug)]
pub struct HitFields<'a> {
    pub(crate) kind: EventKind,
    pub(crate) event_name: Cow<'a, str>,
    pub(crate) url: Option<WebUrl<'a>>,
    pub(crate) referrer: Option<Referrer<'a>>,
    pub(crate) session_id: Cow<'a, str>,
    pub(crate) visitor_id: Option<Cow<'a, str>>,
    pub(crate) user_agent: Option<Cow<'a, str>>,
    pub(crate) device_type: Cow<'a, str>,
    pub(crate) browser: Cow<'a, str>,
    pub(crate) os: Cow<'a, str>,
    pub(crate) title: Cow<'a, str>,
    pub(crate) language: Option<Cow<'a, str>>,
    pub(crate) screen_width: Option<f64>,
    pub(crate) campaign: Campaign,
    /// Milliseconds since 1970, as the client's clock says.
    pub(crate) at_ms: Option<i64>,
    pub(crate) idempotency_key: Option<Cow<'a, str>>,
    pub(crate) cookieless: bool,
    /// The browser asks not to be tracked, as the page saw it.
    pub(crate) opted_out: bool,
    pub(crate) webdriver: bool,
    pub(crate) engagement_ms: u32,
    pub(crate) scroll_percent: u8,
    /// JSON text.
    pub(crate) properties: String,
    /// JSON text without what names the person; what is stored under GPC.
    pub(crate) anonymous_properties: Option<String>,
}

impl<'a> HitFields<'a> {
    pub(crate) fn empty(kind: EventKind) -> Self {
        Self {
            kind,
            event_name: Cow::Borrowed(""),
            url: None,
            referrer: None,
            session_id: Cow::Borrowed(""),
            visitor_id: None,
            user_agent: None,
            device_type: Cow::Borrowed(""),
            browser: Cow::Borrowed(""),
            os: Cow::Borrowed(""),
            title: Cow::Borrowed(""),
            language: None,
            screen_width: None,
            campaign: Campaign::default(),
            at_ms: None,
            idempotency_key: None,
            cookieless: false,
            opted_out: false,
            webdriver: false,
            engagement_ms: 0,
            scroll_percent: 0,
            properties: String::new(),
            anonymous_properties: None,
        }
    }

    /// Reads and checks a body as what `self` is empty of: a heartbeat, or a hit. `members` are empty, too. Nothing is moved
    /// once it is read.
    pub(crate) fn read(&mut self, body: &'a [u8], members: &mut Members<'a, '_>) -> Result<(), Refusal> {
        members.read(body, DEPTH)?;
        self.take(members)
    }

    fn take(&mut self, members: &mut Members<'a, '_>) -> Result<(), Refusal> {
        if self.kind == EventKind::Heartbeat {
            heartbeat(members, self);
        } else {
            hit(members, self);
        }
        if members.problems.is_empty() { Ok(()) } else { Err(Refusal::fields(std::mem::take(&mut members.problems))) }
    }
}

/// SPEC E1.
fn hit<'a>(m: &mut Members<'a, '_>, fields: &mut HitFields<'a>) {
    common(m, fields);
    fields.url = url(m, Known::Url, true);
    fields.user_agent = m.text(&[Known::UserAgent], required("User agent", 1, 2048));
    fields.device_type = m.text(&[Known::DeviceType], required("Device type", 0, 100)).unwrap_or_default();
    fields.browser = m.text(&[Known::Browser], required("Browser", 0, 100)).unwrap_or_default();
    fields.os = m.text(&[Known::Os], required("OS", 0, 100)).unwrap_or_default();
    kind_and_name(m, fields, &[Known::EventType, Known::Type], &[Known::EventName, Known::Name]);
    fields.title = m.text(&[Known::Title, Known::PageTitle], rule("Title", 512)).map(clean).unwrap_or_default();
    fields.referrer = referrer(m, Known::Referrer);
    fields.language = m.text(&[Known::Language], rule("Language", 100));
    fields.screen_width = screen_width(m);
    campaign(m, fields);
    fields.at_ms = timestamp(m, Known::Timestamp);
    fields.idempotency_key = m.text(&[Known::EventId], required_if_there("Event id"));
    properties(m, fields);
}

/// SPEC E5.
fn heartbeat<'a>(m: &mut Members<'a, '_>, fields: &mut HitFields<'a>) {
    common(m, fields);
    fields.url = url(m, Known::Url, false);
    fields.user_agent = m.text(&[Known::UserAgent], rule("User agent", 2048));
    fields.at_ms = timestamp(m, Known::Timestamp);
}

impl<'a> ParsedHit<'a> {
    /// Checks a hit (SPEC E1).
    ///
    /// # Errors
    /// [`InvalidField`](crate::RefusalReason::InvalidField) with every wrong field and what is wrong with it.
    pub fn validate(mut self) -> Result<HitFields<'a>, Refusal> {
        let mut fields = HitFields::empty(EventKind::Pageview);
        fields.take(&mut self.0)?;
        Ok(fields)
    }

    /// Checks a heartbeat (SPEC E5).
    ///
    /// # Errors
    /// As [`ParsedHit::validate`].
    pub fn validate_heartbeat(mut self) -> Result<HitFields<'a>, Refusal> {
        let mut fields = HitFields::empty(EventKind::Heartbeat);
        fields.take(&mut self.0)?;
        Ok(fields)
    }

    /// The tracking code in the body, for the aliases without one in their path (SPEC A2).
    pub fn tracking_code(&self) -> Option<&str> {
        self.0.tracking_code()
    }
}

const fn required_if_there(label: &'static str) -> TextRule {
    TextRule { label, required: false, min_chars: 1, max_chars: 255 }
}

/// What hits and heartbeats share.
fn common<'a>(m: &mut Members<'a, '_>, fields: &mut HitFields<'a>) {
    fields.session_id =
        m.text(&[Known::SessionId], required("Session id", SESSION_ID_MIN_CHARS, 255)).unwrap_or_default();
    fields.visitor_id = m.text(&[Known::VisitorId], rule("Visitor id", 255)).filter(|id| !id.is_empty());
    fields.cookieless = m.flag(Known::Cookieless);
    fields.opted_out = m.flag(Known::OptedOut);
    fields.webdriver = m.flag(Known::Webdriver);
    let milliseconds = m.number(Known::EngagementMs, 0.0, f64::MAX);
    let seconds = m.number(Known::Duration, 0.0, f64::MAX).filter(|_| fields.kind == EventKind::Heartbeat);
    // In range by `min`; a float becomes an integer without wrapping.
    fields.engagement_ms = milliseconds.or(seconds.map(|s| s * 1000.0)).unwrap_or(0.0).min(ENGAGEMENT_MAX_MS) as u32;
    fields.scroll_percent = m.number(Known::ScrollDepth, 0.0, 100.0).unwrap_or(0.0) as u8;
}

pub(crate) fn url<'a>(m: &mut Members<'a, '_>, name: Known, is_required: bool) -> Option<WebUrl<'a>> {
    let rule =
        TextRule { label: "URL", required: is_required, min_chars: usize::from(is_required), max_chars: URL_MAX_CHARS };
    let text = m.text(&[name], rule).filter(|text| !text.is_empty())?;
    WebUrl::parse(text).map_err(|error| m.problem(name.as_str(), error.to_string())).ok()
}

/// Type and name; a type that is not known is the name of a custom event (SPEC K4).
pub(crate) fn kind_and_name<'a>(
    m: &mut Members<'a, '_>,
    fields: &mut HitFields<'a>,
    type_names: &[Known],
    name_names: &[Known],
) {
    let event_type = m.text(type_names, rule("Event type", 100)).filter(|text| !text.is_empty());
    let name = m.text(name_names, rule("Name", 100)).map(clean).filter(|text| !text.is_empty());
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

/// The page that referred, of which its query is not kept. A bare host is taken; other text that is no URL says nothing; a
/// scheme that no page has is refused.
pub(crate) fn referrer<'a>(m: &mut Members<'a, '_>, name: Known) -> Option<Referrer<'a>> {
    let text = m.text(&[name], rule("Referrer", URL_MAX_CHARS)).filter(|text| !text.is_empty())?;
    if let Some(app) = text.strip_prefix(APP_SCHEME) {
        let host = app.split('/').next().unwrap_or("").to_ascii_lowercase();
        let valid = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        return valid.then(|| Referrer::App(format!("{APP_SCHEME}{host}")));
    }
    let page = match WebUrl::parse(text.clone()) {
        Err(InvalidUrl::Format) => WebUrl::parse(format!("https://{text}")),
        Err(InvalidUrl::Scheme) => {
            m.problem(name.as_str(), InvalidUrl::Scheme.to_string());
            return None;
        }
        other => other,
    };
    page.ok().map(Referrer::Page)
}

fn screen_width(m: &mut Members<'_, '_>) -> Option<f64> {
    let width = m.number(Known::ScreenWidth, 0.0, 100_000.0);
    let size = m.text(&[Known::ScreenSize], rule("Screen size", 20));
    width.or_else(|| size?.split(['x', 'X', '×']).next()?.trim().parse::<u32>().ok().map(f64::from))
}

/// The campaign of the URL, in which what the body says stands.
pub(crate) fn campaign<'a>(m: &mut Members<'a, '_>, fields: &mut HitFields<'a>) {
    fields.campaign = fields.url.as_ref().map(WebUrl::campaign).unwrap_or_default();
    let campaign = &mut fields.campaign;
    for (name, slot) in [
        (Known::UtmSource, &mut campaign.source),
        (Known::UtmMedium, &mut campaign.medium),
        (Known::UtmCampaign, &mut campaign.name),
        (Known::UtmTerm, &mut campaign.term),
        (Known::UtmContent, &mut campaign.content),
    ] {
        if let Some(text) =
            m.text(&[name], rule(name.as_str(), UTM_MAX_CHARS)).map(clean).filter(|text| !text.is_empty())
        {
            *slot = text.into_owned();
        }
    }
}

/// Milliseconds since 1970, or RFC 3339 text.
pub(crate) fn timestamp(m: &mut Members<'_, '_>, name: Known) -> Option<i64> {
    let value = m.take(&[name]).1;
    if let Some(text) = value.as_text() {
        match DateTime::parse_from_rfc3339(text) {
            Ok(at) => return Some(at.timestamp_millis()),
            Err(_) => m.problem(name.as_str(), "Must be milliseconds since 1970 or text such as 2026-06-13T12:00:00Z"),
        }
        return None;
    }
    match value {
        Raw::Int(ms) => return Some(ms),
        Raw::Float(ms) if ms.abs() < 9e15 => return Some(ms as i64),
        Raw::Absent | Raw::Null => {}
        Raw::Float(_) => m.problem(name.as_str(), "Must be milliseconds since 1970"),
        other => m.problem(name.as_str(), format!("Must be milliseconds since 1970, not {}", other.kind())),
    }
    None
}

/// Properties from `event_data` and what revenue and identify events carry beside it.
fn properties<'a>(m: &mut Members<'a, '_>, fields: &mut HitFields<'a>) {
    let mut problems = Problems::new();
    let mut anonymous = Properties::default();
    let mut beside = Vec::new();
    if let Some(amount) = m.number(Known::Revenue, f64::MIN, f64::MAX) {
        beside.push(("revenue", Raw::Float(amount)));
    }
    for (name, label) in [(Known::Currency, "Currency"), (Known::OrderId, "Order id")] {
        if let Some(text) = m.text(&[name], rule(label, 255)) {
            beside.push((name.as_str(), Raw::from(text)));
        }
    }
    let user_id = m.text(&[Known::UserId], rule("User id", 255));
    let (_, user) = m.object(&[Known::UserProperties]);
    let (field, data) = m.object(&[Known::EventData, Known::Data, Known::Properties]);
    let names_person = user_id.is_some() || !user.is_empty() || fields.kind == EventKind::Identify;
    if !names_person && data.is_empty() && beside.is_empty() {
        return;
    }
    let mut all = Properties::default();
    if names_person {
        if fields.kind != EventKind::Identify {
            anonymous.extend(field, data.clone(), &mut Problems::new());
        }
        for (name, value) in &beside {
            anonymous.set(name, value.clone());
        }
        fields.anonymous_properties = Some(anonymous.into_json(field, &mut Problems::new()));
    }
    all.extend(field, data, &mut problems);
    all.extend("user_properties", user, &mut problems);
    for (name, value) in beside.into_iter().chain(user_id.map(|id| ("user_id", Raw::from(id)))) {
        all.set(name, value);
    }
    fields.properties = all.into_json(field, &mut problems);
    for (name, problem) in problems {
        m.problem(&name, problem);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::RefusalReason;
    use proptest::prelude::*;

    /// S4 "Server-Side API Calls", as printed there.
    pub(crate) const S4_EXAMPLE: &str = r#"{
        "event_type": "pageview", "url": "https://example.com/home", "session_id": "srv-session-abcdef",
        "user_agent": "MyServer/1.0", "device_type": "desktop", "browser": "Server", "os": "Linux" }"#;

    fn with(member: &str) -> String {
        format!("{},{member}}}", S4_EXAMPLE.trim_end().trim_end_matches('}'))
    }

    fn problems(body: &str) -> Problems {
        parse_hit(body.as_bytes()).unwrap().validate().unwrap_err().fields
    }

    #[test]
    fn every_required_field_is_named_at_once() {
        let fields = problems("{}");
        let names: Vec<_> = fields.keys().map(String::as_str).collect();
        assert_eq!(names, ["browser", "device_type", "os", "session_id", "url", "user_agent"]);
        assert!(fields.values().all(|problem| problem == "Is required"));
    }

    /// SECURITY I11.
    #[test]
    fn every_wrong_type_is_named_at_once() {
        let wrong = "{\"session_id\":1,\"url\":[],\"user_agent\":true,\"device_type\":{},\"browser\":null,\"os\":1.5,\
                     \"event_type\":1,\"event_name\":{},\"event_data\":[],\"visitor_id\":[],\"title\":1,\"referrer\":1,\
                     \"language\":1,\"screen_width\":\"1\",\"timestamp\":{},\"event_id\":1,\"cookieless\":\"yes\",\
                     \"utm_source\":1,\"revenue\":\"1\",\"engagement_ms\":\"1\",\"scroll_depth\":101}";
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
                "utm_source",
                "visitor_id"
            ]
        );
        assert_eq!(fields["session_id"], "Must be a string, not a number");
    }

    /// S4 "Unprocessable Entity": the two messages printed there.
    #[test]
    fn messages_are_those_of_s4() {
        let fields = problems(&with(&format!(r#""event_name":"{}""#, "n".repeat(101))));
        assert_eq!(fields["event_name"], "Name too long (max 100 characters)");
        let body = S4_EXAMPLE.replace("https://example.com/home", "not a url");
        assert_eq!(problems(&body)["url"], "Invalid URL format");
        let body = S4_EXAMPLE.replace("srv-session-abcdef", "short");
        assert_eq!(problems(&body)["session_id"], "Session id too short (min 8 characters)");
    }

    #[test]
    fn limits_and_bad_values_are_refused_by_name() {
        for (member, field) in [
            (format!(r#""title":"{}""#, "t".repeat(513)), "title"),
            (r#""title":"a\u0000b""#.to_owned(), "title"),
            (r#""referrer":"javascript:alert(1)""#.to_owned(), "referrer"),
            (r#""event_type":"custom""#.to_owned(), "event_type"),
            (r#""timestamp":"yesterday""#.to_owned(), "timestamp"),
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
            let fields = parse_hit(body.as_bytes()).unwrap().validate().unwrap();
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
        let parse = |body: &'static str| parse_hit(body.as_bytes()).unwrap().validate_heartbeat();
        let beat = parse(r#"{"session_id":"12345678","engagement_ms":30000,"scroll_depth":70}"#).unwrap();
        assert_eq!((beat.engagement_ms, beat.scroll_percent), (30_000, 70));
        assert_eq!(parse(r#"{"session_id":"12345678","duration":15}"#).unwrap().engagement_ms, 15_000);
        assert_eq!(parse(r#"{"session_id":"12345678","engagement_ms":1e300}"#).unwrap().engagement_ms, 600_000);
        for (body, field) in [
            ("{}", "session_id"),
            (r#"{"session_id":"1234567"}"#, "session_id"),
            (r#"{"session_id":"12345678","engagement_ms":-1}"#, "engagement_ms"),
            (r#"{"session_id":"12345678","scroll_depth":101}"#, "scroll_depth"),
            (r#"{"session_id":"12345678","url":"/home"}"#, "url"),
        ] {
            assert!(parse(body).unwrap_err().fields.contains_key(field), "{body}");
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
            if let Err(refusal) = parse_hit(text.as_bytes()).unwrap().validate() {
                prop_assert!(!refusal.fields.is_empty());
            }
        }
    }
}
