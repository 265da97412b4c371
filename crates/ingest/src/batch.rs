//! The server batch, `POST /api/v1/events`.

use std::borrow::Cow;
use std::net::IpAddr;

use zenovay_domain::{EventKind, TrackingCode};

use crate::hit::{HitFields, TITLE_MAX_CHARS, cut, kind_and_name, referrer, timestamp, url};
use crate::json::{self, ITEMS_MAX, JsonValue, MemberName, Members, Problems, StringRule};
use crate::outcome::{Mend, Mends};
use crate::properties::Properties;
use crate::web_url::{WebUrl, clean};
use crate::{Refusal, RefusalReason};

/// The most events of a batch.
pub const BATCH_MAX_EVENTS: usize = 1_000;

const _: () = assert!(BATCH_MAX_EVENTS < ITEMS_MAX, "too many events are noticed");

/// The most characters of `idempotencyKey`.
pub const IDEMPOTENCY_KEY_MAX_CHARS: usize = 255;

/// A batch. Each event is valid or refused by itself.
#[derive(Debug)]
#[non_exhaustive]
pub struct BatchRequest<'a> {
    /// Whose events they are.
    pub tracking_code: TrackingCode,
    /// The events, in order: 1 to [`BATCH_MAX_EVENTS`].
    pub events: Vec<Result<BatchRow<'a>, Refusal>>,
    /// What was changed in the body before it could be read.
    pub mends: Mends,
}

/// One valid event of a batch.
#[derive(Debug)]
pub struct BatchRow<'a> {
    pub(crate) fields: HitFields<'a>,
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) accept_language: Option<Cow<'a, str>>,
}

/// Parses the decoded body of a batch.
///
/// # Errors
/// When the body as a whole is wrong: not JSON, no tracking code, no events or too many.
pub fn parse_batch(body: &[u8]) -> Result<BatchRequest<'_>, Refusal> {
    // Body, events, event, props or serverContext.
    let mut mends = Mends::default();
    let JsonValue::Object(members) = json::parse(body, 4, &mut mends)? else {
        return Err(Refusal::new(RefusalReason::InvalidJson, "The body must be a JSON object"));
    };
    let mut members = Members::new("", members).strict();
    let code =
        members.string(&[MemberName::BatchTrackingCode, MemberName::TrackingCode], text("Tracking code", true, 1, 100));
    let code = code.and_then(|code| {
        code.parse::<TrackingCode>()
            .map_err(|_| members.problem("trackingCode", "Is not a tracking code such as ZV_…"))
            .ok()
    });
    let events = match members.remove(&[MemberName::Events]).1 {
        JsonValue::Array(events) => events.into_vec(),
        JsonValue::Absent | JsonValue::Null => {
            members.problem("events", "Is required");
            Vec::new()
        }
        other => {
            members.problem("events", format!("Must be an array, not {}", other.kind()));
            Vec::new()
        }
    };
    if events.is_empty() || events.len() > BATCH_MAX_EVENTS {
        members.problem("events", "Must hold 1 to 1000 events");
    }
    match code {
        Some(tracking_code) if members.problems.is_empty() => {
            Ok(BatchRequest { tracking_code, events: events.into_iter().map(row).collect(), mends })
        }
        _ => Err(Refusal::fields(members.problems)),
    }
}

const fn text(label: &'static str, required: bool, min_chars: usize, max_chars: usize) -> StringRule {
    StringRule { label, required, min_chars, max_chars, cut: None }
}

pub(crate) fn row(raw: JsonValue<'_>) -> Result<BatchRow<'_>, Refusal> {
    let JsonValue::Object(members) = raw else {
        return Err(Refusal::new(
            RefusalReason::InvalidField,
            format!("An event must be an object, not {}", raw.kind()),
        ));
    };
    let mut members = Members::new("", members).strict();
    let m = &mut members;
    let mut fields = HitFields::empty(EventKind::Pageview);
    let has_type = m.string(&[MemberName::Type], text("Type", true, 1, 100));
    match timestamp(m, MemberName::Ts) {
        Ok(Some(ms)) if ms < 0 => m.problem("ts", "Must not be before 1970"),
        Ok(Some(ms)) => fields.common.at_ms = Some(ms),
        Ok(None) => m.problem("ts", "Is required"),
        Err(problem) => m.problem("ts", problem),
    }
    fields.common.visitor_id = m.string(&[MemberName::BatchVisitorId], text("Visitor id", true, 1, 255));
    fields.common.session_id =
        m.string(&[MemberName::BatchSessionId], text("Session id", true, 1, 255)).unwrap_or_default();
    fields.common.idempotency_key =
        m.string(&[MemberName::IdempotencyKey], text("Idempotency key", false, 1, IDEMPOTENCY_KEY_MAX_CHARS));
    let (_, context) = m.object(&[MemberName::ServerContext]);
    let (_, props) = m.object(&[MemberName::Props]);
    let mut problems = std::mem::take(&mut m.problems);
    fields.mends = m.mends;
    let (client_ip, accept_language) = server_context(context, &mut fields, &mut problems);
    take_props(props, has_type, &mut fields, &mut problems);
    if problems.is_empty() {
        Ok(BatchRow { fields, client_ip, accept_language })
    } else {
        Err(Refusal::fields(problems))
    }
}

fn server_context<'a>(
    context: Vec<(Cow<'a, str>, JsonValue<'a>)>,
    fields: &mut HitFields<'a>,
    problems: &mut Problems,
) -> (Option<IpAddr>, Option<Cow<'a, str>>) {
    let mut members = Members::new("serverContext.", context).strict();
    let address = members.string(&[MemberName::ClientIp], text("Client IP", false, 1, 45)).and_then(|address| {
        address.parse::<IpAddr>().map_err(|_| members.problem("clientIp", "Is not an IP address")).ok()
    });
    fields.common.user_agent = members
        .string(&[MemberName::BatchUserAgent], text("User agent", false, 0, 2048))
        .filter(|agent| !agent.is_empty());
    let language = members.string(&[MemberName::AcceptLanguage], cut("Accept-Language", 500, Mend::Description));
    fields.mends.extend(members.mends);
    problems.append(&mut members.problems);
    (address.map(|address| address.to_canonical()), language)
}

/// `props`: the page and the name, and every other scalar as a property.
fn take_props<'a>(
    mut props: Vec<(Cow<'a, str>, JsonValue<'a>)>,
    event_type: Option<Cow<'a, str>>,
    fields: &mut HitFields<'a>,
    problems: &mut Problems,
) {
    let is_own = |name: &str| matches!(name, "url" | "referrer" | "title" | "name");
    let own: Vec<_> = props.extract_if(.., |(name, _)| is_own(name)).collect();
    let mut properties = Properties::default();
    properties.extend("props", props, problems, &mut fields.mends);
    let mut members = Members::new("props.", own).strict();
    let m = &mut members;
    fields.common.url = url(m, MemberName::Url, event_type.as_deref() == Some("pageview"));
    fields.campaign = fields.common.url.as_ref().map(WebUrl::campaign).unwrap_or_default();
    if fields.campaign.is_cut {
        m.mends.insert(Mend::Campaign);
    }
    fields.referrer = referrer(m, MemberName::Referrer);
    fields.title =
        m.string(&[MemberName::Title], cut("Title", TITLE_MAX_CHARS, Mend::Title)).map(clean).unwrap_or_default();
    let name = m.string(&[MemberName::Name], text("Name", false, 0, 100));
    fields.mends.extend(m.mends);
    problems.append(&mut m.problems);
    let mut type_and_name = Members::new("", Vec::new());
    if let Some(event_type) = event_type {
        type_and_name = Members::new(
            "",
            vec![
                (Cow::Borrowed("type"), JsonValue::from(event_type)),
                (Cow::Borrowed("props.name"), name.map_or(JsonValue::Absent, JsonValue::from)),
            ],
        );
        kind_and_name(&mut type_and_name, fields, &[MemberName::Type], &[MemberName::PropsName]);
    }
    problems.append(&mut type_and_name.problems);
    if fields.kind == EventKind::Revenue {
        properties.settle_money(&mut fields.mends);
    }
    fields.properties = properties.into_json(&mut fields.mends);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVENT: &str = r#"{"type":"pageview","ts":1781308800000,"visitorId":"0190a8c2-0000-7000-8000-000000000001",
        "sessionId":"0190a8c2-0000-7000-8000-000000000002","props":{"url":"https://example.com/?utm_source=x","plan":"pro"},
        "idempotencyKey":"k1","serverContext":{"clientIp":"8.8.8.8","userAgent":"MyServer/1.0","acceptLanguage":"de"}}"#;

    fn batch(events: &str) -> String {
        format!(r#"{{"trackingCode":"ZV_test","events":[{events}]}}"#)
    }

    #[test]
    fn events_are_judged_one_by_one() {
        let bad = r#"{"type":1,"ts":"soon","visitorId":"","props":{"url":"javascript:x","p":1,"p":2},"serverContext":{"clientIp":"x"}}"#;
        let body = batch(&format!("{EVENT},{bad},7"));
        let request = parse_batch(body.as_bytes()).unwrap();
        let first = request.events[0].as_ref().unwrap();
        assert_eq!(first.fields.common.at_ms, Some(1_781_308_800_000));
        assert_eq!(first.fields.properties, r#"{"plan":"pro"}"#);
        assert_eq!(first.fields.campaign.source, "x");
        let fields = &request.events[1].as_ref().unwrap_err().fields;
        let names: Vec<_> = fields.keys().map(String::as_str).collect();
        assert_eq!(names, ["props.p", "serverContext.clientIp", "sessionId", "ts", "type", "visitorId"]);
        assert_eq!(request.events[2].as_ref().unwrap_err().reason, RefusalReason::InvalidField);
    }

    /// getsentry/sentry-react-native#5186, getsentry/relay#5837.
    #[test]
    fn one_bad_event_never_takes_its_batch_along() {
        let deep = format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000));
        let long = "x".repeat(5_000);
        for (bad, is_kept) in [
            (EVENT.replace(r#""plan":"pro""#, r#""title":"cut \ud83d""#), true),
            (EVENT.replace(r#""plan":"pro""#, r#""\udead":1"#), true),
            (EVENT.replace(r#""plan":"pro""#, r#""plan":1e999"#), true),
            (EVENT.replace(r#""plan":"pro""#, &format!(r#""plan":{deep}"#)), true),
            (
                EVENT.replace(r#""plan":"pro""#, &format!(r#""title":"{long}","referrer":"{long}","plan":"{long}""#)),
                true,
            ),
            (EVENT.replace("1781308800000", "1e999"), false),
            (EVENT.replace("pageview", &long), false),
            (deep.clone(), false),
        ] {
            let body = batch(&format!("{bad},{EVENT},{EVENT}"));
            let request = parse_batch(body.as_bytes()).unwrap();
            let kept: Vec<bool> = request.events.iter().map(Result::is_ok).collect();
            assert_eq!(kept, [is_kept, true, true], "{bad}");
        }
    }

    #[test]
    fn two_spellings_that_differ_are_wrong() {
        let body = |code: &str| format!(r#"{{"trackingCode":"ZV_test","tracking_code":"{code}","events":[{EVENT}]}}"#);
        assert!(parse_batch(body("ZV_test").as_bytes()).is_ok());
        let refusal = parse_batch(body("ZV_other").as_bytes()).unwrap_err();
        assert_eq!(refusal.fields["tracking_code"], "Differs from trackingCode");
    }

    #[test]
    fn a_pageview_needs_its_url_and_a_custom_event_its_name() {
        let body = batch(&format!(
            "{},{}",
            EVENT.replace(r#""url":"https://example.com/?utm_source=x","#, ""),
            EVENT.replace("pageview", "custom")
        ));
        let request = parse_batch(body.as_bytes()).unwrap();
        assert!(request.events[0].as_ref().unwrap_err().fields.contains_key("props.url"));
        assert!(request.events[1].as_ref().unwrap_err().fields.contains_key("props.name"));
    }

    #[test]
    fn a_batch_that_is_wrong_as_a_whole_is_refused() {
        let many = batch(&vec!["1"; BATCH_MAX_EVENTS + 1].join(","));
        for (body, field) in [
            ("{}", "trackingCode"),
            ("{}", "events"),
            (r#"{"trackingCode":"nope","events":[1]}"#, "trackingCode"),
            (r#"{"trackingCode":"ZV_test","events":{}}"#, "events"),
            (r#"{"trackingCode":"ZV_test","events":[1],"events":[1]}"#, "events"),
            (&batch(""), "events"),
            (&many, "events"),
        ] {
            assert!(parse_batch(body.as_bytes()).unwrap_err().fields.contains_key(field), "{field}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_batch(&body);
        }
    }
}
