//! What every capture of a page says of itself, whatever was captured: whose it is, and where. A capture is something that a
//! page tells beside its events, such as how fast it was, or an error.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};
use zenovay_domain::{SessionId, VisitorId, WebsiteId, WebsiteSettings};

use crate::hit::{CommonFields, SESSION_ID_MIN_CHARS};
use crate::mend::mend;
use crate::{Refusal, RefusalReason, WebUrl};

/// The most bytes of an id that a page gives.
const ID_MAX_BYTES: usize = 255;
/// The most bytes of a user agent.
const AGENT_MAX_BYTES: usize = 2_048;

/// What is captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CaptureKind {
    /// How fast pages are.
    Vitals,
    /// Errors.
    Errors,
    /// Clicks, scrolling and moves of the pointer.
    Heatmap,
    /// Recordings of what pages show.
    Replays,
}

impl CaptureKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[Self::Vitals, Self::Errors, Self::Heatmap, Self::Replays];

    /// The name in paths.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vitals => "performance",
            Self::Errors => "error",
            Self::Heatmap => "heatmap",
            Self::Replays => "replay",
        }
    }

    /// Whether a website with these settings wants it.
    pub const fn is_wanted(self, settings: &WebsiteSettings) -> bool {
        match self {
            Self::Vitals => settings.web_vitals,
            Self::Errors => settings.errors,
            Self::Heatmap => settings.heatmaps,
            Self::Replays => settings.session_replay,
        }
    }

    /// Whether it says what somebody did, so that it is not taken from those who do not want to be followed.
    pub const fn follows(self) -> bool {
        match self {
            Self::Vitals | Self::Errors => false,
            Self::Heatmap | Self::Replays => true,
        }
    }
}

/// What the body of a capture says of whose it is.
#[derive(Debug)]
pub struct CaptureFields<'a> {
    pub(crate) common: CommonFields<'a>,
    pub(crate) device_type: &'a str,
    /// The browser's clock when it was sent.
    pub(crate) sent_at_ms: Option<i64>,
}

/// The members of a body. Half a surrogate pair is U+FFFD, and what is nested too deep or a number beyond all bounds is null, as in
/// events: one string of a page must not take the others of the body along.
///
/// # Errors
/// [`RefusalReason::InvalidJson`] when it is not JSON, or not an object.
pub fn parse_capture(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let read = serde_json::from_slice(body).or_else(|error| {
        let mended = std::str::from_utf8(body).ok().and_then(mend);
        mended.and_then(|mended| serde_json::from_str(&mended).ok()).ok_or(error)
    });
    match read {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(Refusal::new(RefusalReason::InvalidJson, "The body must be a JSON object")),
        Err(error) => Err(Refusal::new(RefusalReason::InvalidJson, format!("The body is not JSON: {error}"))),
    }
}

impl<'a> CaptureFields<'a> {
    /// Reads the members of a body.
    ///
    /// # Errors
    /// [`RefusalReason::InvalidField`] with every field that is wrong.
    pub fn read(members: &'a Map<String, Value>) -> Result<Self, Refusal> {
        // What is null is absent.
        let given = |name: &str| members.get(name).filter(|value| !value.is_null());
        let string = |name: &str| given(name).and_then(Value::as_str).unwrap_or("");
        let flag = |name: &str| given(name).and_then(Value::as_bool).unwrap_or(false);
        let mut problems = BTreeMap::new();
        let mut check = |names: &[&str], is_right: fn(&Value) -> bool, problem: &str| {
            for name in names.iter().filter(|name| given(name).is_some_and(|value| !is_right(value))) {
                problems.insert((*name).to_owned(), problem.to_owned());
            }
        };
        check(&["visitor_id", "device_type", "user_agent"], Value::is_string, "Must be a string");
        check(&["cookieless", "opted_out", "webdriver"], Value::is_boolean, "Must be true or false");
        check(&["sent_at"], Value::is_number, "Must be a number");
        let session_id = string("session_id");
        if session_id.chars().count() < SESSION_ID_MIN_CHARS || session_id.len() > ID_MAX_BYTES {
            let problem = format!("Must be a string of {SESSION_ID_MIN_CHARS} to {ID_MAX_BYTES} characters");
            problems.insert("session_id".to_owned(), problem);
        }
        let url = match WebUrl::parse(string("url")) {
            Ok(url) => Some(url),
            Err(error) => {
                problems.insert("url".to_owned(), error.to_string());
                None
            }
        };
        if !problems.is_empty() {
            return Err(Refusal::fields(problems));
        }
        let user_agent = Some(string("user_agent")).filter(|agent| !agent.is_empty() && agent.len() <= AGENT_MAX_BYTES);
        let common = CommonFields {
            url,
            session_id: Cow::Borrowed(session_id),
            visitor_id: Some(string("visitor_id")).filter(|id| !id.is_empty()).map(Cow::Borrowed),
            user_agent: user_agent.map(Cow::Borrowed),
            cookieless: flag("cookieless"),
            opted_out: flag("opted_out"),
            webdriver: flag("webdriver"),
            ..CommonFields::default()
        };
        let sent_at_ms = given("sent_at").and_then(Value::as_f64).map(milliseconds);
        Ok(Self { common, device_type: string("device_type"), sent_at_ms })
    }
}

/// A time of a browser as whole milliseconds; what no clock says is the largest there is.
#[expect(clippy::cast_possible_truncation, reason = "a float becomes an integer without wrapping, and is judged later")]
fn milliseconds(at: f64) -> i64 {
    at as i64
}

/// Whose a capture is, and where it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Captured {
    /// The website.
    pub website: WebsiteId,
    /// The visitor.
    pub visitor: VisitorId,
    /// The visit.
    pub session: SessionId,
    /// The path of the page.
    pub path: String,
    /// `desktop`, `mobile` or `tablet`; empty when it is not known.
    pub device: String,
    /// The browser's name.
    pub browser: String,
    /// The browser's version.
    pub browser_version: String,
    /// The operating system's name.
    pub os: String,
    /// The country, two capital letters; empty when it is not known.
    pub country: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Arrival, BELIEVED_PAST_MS, Timestamp, capture_time};
    use proptest::prelude::*;
    use serde_json::json;

    const RECEIVED: Timestamp = Timestamp::from_millis(1_781_352_000_000);

    fn arrival() -> Arrival<'static> {
        Arrival::from_address([8, 8, 8, 8].into(), RECEIVED)
    }

    fn members(extra: Value) -> Map<String, Value> {
        let mut members = json!({ "session_id": "session-1", "url": "https://example.com/p?x=1" });
        members.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        members.as_object().unwrap().clone()
    }

    #[test]
    fn every_wrong_field_is_named() {
        let wrong = json!({ "session_id": "short", "url": "/relative" });
        let refusal = CaptureFields::read(wrong.as_object().unwrap()).unwrap_err();
        assert_eq!(refusal.fields.keys().collect::<Vec<_>>(), ["session_id", "url"]);
        for body in [&b"[]"[..], b"{", b"\xff", b"null"] {
            assert_eq!(parse_capture(body).unwrap_err().reason, RefusalReason::InvalidJson);
        }
    }

    /// Browsers write a string that was cut in the middle of an emoji so. Sabotage: do not mend.
    #[test]
    fn half_an_emoji_costs_no_other_string() {
        let members = parse_capture(br#"{"a":"Buy \ud83d!","b":["\ud83d\ude00","\\ud83d"],"c":1e999}"#).unwrap();
        assert_eq!(Value::Object(members), json!({ "a": "Buy \u{fffd}!", "b": ["\u{1f600}", "\\ud83d"], "c": null }));
        assert_eq!(parse_capture(br#"{"a":"\ud83d" "b":1}"#).unwrap_err().reason, RefusalReason::InvalidJson);
    }

    /// Sabotage: take the browser's time as it is.
    #[test]
    fn a_wrong_clock_of_a_browser_does_no_harm() {
        let received = RECEIVED.as_millis();
        let wrong_by = 7 * 24 * 3_600_000;
        for (sent, happened, expected) in [
            (Some(received), Some(received - 500), received - 500),
            (Some(received + wrong_by), Some(received + wrong_by - 500), received - 500),
            (Some(received - wrong_by), Some(received - wrong_by - 500), received - 500),
            (None, Some(received - 500), received - 500),
            (None, Some(received + wrong_by), received),
            (Some(received), Some(i64::MIN), received),
            (Some(received), None, received),
            (Some(received), Some(received - BELIEVED_PAST_MS - 1), received),
        ] {
            let members = sent.map_or_else(|| members(json!({})), |sent| members(json!({ "sent_at": sent })));
            let fields = CaptureFields::read(&members).unwrap();
            assert_eq!(capture_time(&fields, happened, &arrival()).as_millis(), expected, "{sent:?} {happened:?}");
        }
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200), sent: i64, at_ms: i64) {
            if let Ok(members) = parse_capture(&body) {
                let _ = CaptureFields::read(&members);
            }
            let members = members(json!({ "sent_at": sent }));
            let at = capture_time(&CaptureFields::read(&members).unwrap(), Some(at_ms), &arrival());
            prop_assert!(at <= arrival().received_at);
        }
    }
}
