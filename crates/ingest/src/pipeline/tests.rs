use std::net::{IpAddr, Ipv4Addr};
use std::sync::OnceLock;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use zenovay_domain::{Dimension, EventFlags, WebsiteSettings};

use super::*;
use crate::hit::tests::S4_EXAMPLE;
use crate::rules::tests::rules;
use crate::{BatchEvent, ClientHints, MemorySalts, MemorySessions, parse_batch};

pub(super) const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";
const NOW: i64 = 1_781_308_800_000;

fn pipeline() -> &'static Pipeline {
    static PIPELINE: OnceLock<Pipeline> = OnceLock::new();
    PIPELINE.get_or_init(fresh_pipeline)
}

fn fresh_pipeline() -> Pipeline {
    let hasher = VisitorHasher::with_rng(MemorySalts::default(), at(0), StdRng::seed_from_u64(1)).unwrap();
    Pipeline::new(hasher, MemorySessions::default(), GeoDatabase::embedded().unwrap())
}

pub(super) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(NOW + ms)
}

pub(super) fn body(members: &str) -> String {
    format!(
        r#"{{"url":"https://example.com/p?utm_source=fb","session_id":"session-1","user_agent":"{CHROME}",
        "device_type":"","browser":"unknown","os":""{members}}}"#
    )
}

/// The address of the visitor.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8));

/// From a page of the website in a browser.
pub(super) fn arrival() -> Arrival<'static> {
    let origin = Some("https://www.example.com");
    Arrival { origin, user_agent: Some(CHROME), ..Arrival::new(Sender::Anybody(ADDRESS), at(0)) }
}

/// With the key of the website.
pub(super) fn row() -> Arrival<'static> {
    Arrival::new(Sender::KeyHolder(Some(ADDRESS)), at(0))
}

fn from(address: &str) -> Sender {
    Sender::Anybody(address.parse().unwrap())
}

fn reading() -> Reading {
    Reading::believed(at(0))
}

/// What comes at `ms`.
fn arrival_at(ms: i64) -> Arrival<'static> {
    Arrival { received_at: at(ms), steady_at: at(ms), ..arrival() }
}

fn outcome(arrival: &Arrival<'_>, body: &str, settings: WebsiteSettings) -> (&'static str, String) {
    match pipeline().track(arrival, body.as_bytes(), &rules(settings)) {
        Ok(_) => ("", String::new()),
        Err(rejected) => (rejected.outcome().reason(), rejected.to_string()),
    }
}

fn reason(arrival: &Arrival<'_>, body: &str, settings: WebsiteSettings) -> &'static str {
    outcome(arrival, body, settings).0
}

/// The published example of a call from a server: sent by node's fetch, without Origin.
#[test]
fn the_server_example_of_s4_is_counted() {
    let server = Arrival { user_agent: Some("node"), origin: None, ..arrival() };
    let event = pipeline().track(&server, S4_EXAMPLE.as_bytes(), &rules(WebsiteSettings::default())).unwrap().event;
    let texts: Vec<_> = event.dimensions.iter().map(|(dimension, value)| (dimension.as_str(), value)).collect();
    assert_eq!(
        texts,
        [
            ("page", "/home"),
            ("hostname", "example.com"),
            ("channel", "Direct"),
            ("country", "US"),
            ("browser", "Server"),
            ("os", "Linux"),
            ("device", "desktop"),
        ]
    );
    assert_eq!((event.kind, event.at), (EventKind::Pageview, at(0)));
}

#[test]
fn foreign_missing_and_local_origins_are_refused() {
    let plain = body("");
    let foreign = body("").replace("example.com", "evil.com");
    let settings = WebsiteSettings::default;
    for (body, origin, referer, expected, message) in [
        (
            &plain,
            Some("https://evil.com"),
            None,
            "domain_not_authorized",
            "Domain not authorized for this tracking code",
        ),
        (
            &plain,
            Some("https://example.com.evil.com"),
            None,
            "domain_not_authorized",
            "Domain not authorized for this tracking code",
        ),
        (
            &plain,
            Some("https://evil.com"),
            Some("https://example.com/"),
            "domain_not_authorized",
            "Domain not authorized for this tracking code",
        ),
        (&plain, Some("rubbish"), None, "domain_not_authorized", "Domain not authorized for this tracking code"),
        (
            &plain,
            Some("http://localhost:3000"),
            None,
            "localhost_not_allowed",
            "Domain not authorized for this tracking code",
        ),
        (&foreign, None, None, "origin_missing", "Missing request origin"),
        (&plain, None, Some("https://shop.example.com/x"), "", ""),
        (&plain, Some("null"), None, "", ""),
        (&foreign, Some("https://example.com:8443"), None, "", ""),
    ] {
        let arrival = Arrival { origin, referer, ..arrival() };
        assert_eq!(outcome(&arrival, body, settings()), (expected, message.to_owned()), "{origin:?} {referer:?}");
    }
    let local = Arrival { origin: Some("http://localhost:3000"), ..arrival() };
    assert_eq!(reason(&local, &plain, settings().with(|s| s.allow_localhost = true)), "");
}

#[test]
fn exclusions_drop_with_their_reason() {
    let body = body("");
    let default = WebsiteSettings::default;
    for (settings, expected) in [
        (default().with(|s| s.is_active = false), "paused"),
        (default().with(|s| s.excluded_ips = vec!["8.8.8.0/24".into()]), "excluded_ip"),
        (default().with(|s| s.excluded_paths = vec!["/p*".into()]), "excluded_path"),
    ] {
        assert_eq!(reason(&arrival(), &body, settings), expected);
    }
}

#[test]
fn a_website_can_do_without_outbound_links_and_downloads() {
    for (kind, settings) in [
        ("outbound_link", WebsiteSettings::default().with(|s| s.track_outbound_links = false)),
        ("file_download", WebsiteSettings::default().with(|s| s.track_downloads = false)),
    ] {
        let event = format!(r#","event_type":"{kind}""#);
        assert_eq!(reason(&arrival(), &body(&event), settings), "kind_off", "{kind}");
        assert_eq!(reason(&arrival(), &body(&event), WebsiteSettings::default()), "", "{kind}");
        assert_eq!(reason(&arrival(), &body(""), WebsiteSettings::default().with(|s| s.track_downloads = false)), "");
    }
}

#[test]
fn bots_are_dropped_and_own_servers_are_not() {
    let crawler = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    for (header, agent, origin, expected) in [
        (Some(CHROME), CHROME, true, ""),
        (Some(crawler), CHROME, true, "bot"),
        (Some(CHROME), crawler, true, "bot"),
        (Some("curl/8.5"), "curl/8.5", true, "bot"),
        (Some("node-fetch/1.0"), CHROME, true, ""),
        (None, CHROME, true, "bot"),
        (Some(""), CHROME, true, "bot"),
        (None, "MyServer/1.0", false, ""),
        (Some("python-requests/2.32"), "python-requests/2.32", false, ""),
        (Some("node"), crawler, false, "bot"),
    ] {
        let body = body("").replace(CHROME, agent);
        let origin = origin.then_some("https://example.com");
        let arrival = Arrival { origin, user_agent: header, ..arrival() };
        assert_eq!(reason(&arrival, &body, WebsiteSettings::default()), expected, "{header:?} {agent} {origin:?}");
    }
    let prefetch = Arrival { purpose: Some("prefetch;prerender"), ..arrival() };
    assert_eq!(reason(&prefetch, &body(""), WebsiteSettings::default()), "bot");
    assert_eq!(reason(&arrival(), &body(r#","webdriver":true"#), WebsiteSettings::default()), "bot");
}

/// What is dropped is counted by agent and reason; a website lets through what it names.
#[test]
fn dropped_bots_are_counted_and_allowed_ones_are_stored() {
    let pipeline = fresh_pipeline();
    let monitor = "Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0.0.0 Safari/537.36 OurMonitor/1.0 203.0.113.7";
    let monitored = (Arrival { user_agent: Some(monitor), ..arrival() }, body("").replace(CHROME, monitor));
    let driven = (arrival(), body(r#","webdriver":true"#));
    let silent = (Arrival { user_agent: None, ..arrival() }, body(""));
    let plain = rules(WebsiteSettings::default());
    for (arrival, body) in [&monitored, &monitored, &driven, &silent] {
        assert_eq!(pipeline.track(arrival, body.as_bytes(), &plain), Err(DropReason::Bot.into()));
    }
    let mut counts = pipeline.take_dropped_agents();
    counts.sort_by_key(|count| count.reason);
    let told: Vec<_> =
        counts.iter().map(|count| (count.reason.as_str(), count.rule, count.agent.as_str(), count.hits)).collect();
    let noted = monitor.replace("203.0.113.7", "[address]");
    assert_eq!(
        told,
        [("names_itself", "work", noted.as_str(), 2), ("no_agent", "", "", 1), ("webdriver", "", CHROME, 1)]
    );
    assert!(counts.iter().all(|count| count.last_at == at(0)));
    let allowed_bots = vec!["ourmonitor".to_owned(), "webdriver".to_owned()];
    let open = rules(WebsiteSettings::default().with(|s| s.allowed_bots = allowed_bots));
    for (arrival, body) in [&monitored, &driven] {
        pipeline.track(arrival, body.as_bytes(), &open).unwrap();
    }
    assert_eq!(pipeline.take_dropped_agents(), []);
}

/// Client hints speak of the browser that sent the request, not of the one that a server tells about.
#[test]
fn client_hints_refine_the_agent_they_came_with() {
    let brands = r#""Chromium";v="130", "Brave";v="130", "Not?A_Brand";v="99""#;
    let hints = ClientHints {
        brands: Some(brands),
        platform: Some("\"Windows\""),
        platform_version: Some("\"15.0.0\""),
        ..ClientHints::default()
    };
    let body = body("");
    let names = |user_agent| {
        let arrival = Arrival { user_agent: Some(user_agent), hints, ..arrival() };
        let event = pipeline().track(&arrival, body.as_bytes(), &rules(WebsiteSettings::default())).unwrap().event;
        let name = |dimension| event.dimensions.get(dimension).to_owned();
        [Dimension::Browser, Dimension::Os, Dimension::OsVersion, Dimension::Device].map(name)
    };
    assert_eq!(names(CHROME), ["Brave", "Windows", "11", "desktop"]);
    assert_eq!(names("node-fetch/1.0"), ["Chrome", "Windows", "10", "desktop"]);
    let headless = ClientHints { brands: Some(r#""HeadlessChrome";v="130""#), ..ClientHints::default() };
    assert_eq!(reason(&Arrival { hints: headless, ..arrival() }, &body, WebsiteSettings::default()), "bot");
}

/// Signals × site option.
#[test]
fn privacy_signals_thin_out_or_drop() {
    let body = body(r#","language":"de-DE","visitor_id":"v","user_id":"u@example.com","event_data":{"plan":"pro"}"#);
    let open = || WebsiteSettings::default().with(|s| s.cookieless = false);
    let strict = || open().with(|s| s.opt_out_on_gpc = true);
    let gpc = Arrival { sec_gpc: Some("1"), ..arrival() };
    let dnt = Arrival { dnt: Some("1"), ..arrival() };
    assert_eq!(reason(&gpc, &body, strict()), "gpc_opted_out");
    assert_eq!(reason(&dnt, &body, strict()), "gpc_opted_out");
    assert_eq!(reason(&arrival(), &body, strict()), "");
    let thin = pipeline().track(&gpc, body.as_bytes(), &rules(open())).unwrap().event;
    assert!(thin.flags.contains(EventFlags::GPC_OPTED_OUT.with(EventFlags::COOKIELESS)));
    assert_eq!(thin.dimensions.get(Dimension::Language), "");
    assert_eq!(thin.dimensions.get(Dimension::Properties), r#"{"plan":"pro"}"#);
    // What the script saw in the browser is as good as the header; a page that ignores Do Not Track does not say it.
    let said = body.replacen('{', r#"{"opted_out":true,"#, 1);
    let quiet = pipeline().track(&dnt, said.as_bytes(), &rules(open())).unwrap().event;
    assert_eq!((&quiet.dimensions, quiet.flags), (&thin.dimensions, thin.flags));
    assert_eq!(reason(&dnt, &said, strict()), "gpc_opted_out");
    let full = pipeline().track(&dnt, body.as_bytes(), &rules(open())).unwrap().event;
    assert!(!full.flags.contains(EventFlags::GPC_OPTED_OUT));
    assert_eq!(full.dimensions.get(Dimension::Language), "de-DE");
    assert_eq!(full.dimensions.get(Dimension::Properties), r#"{"plan":"pro","user_id":"u@example.com"}"#);
}

#[test]
fn a_hit_is_enriched() {
    let body = body(
        r#","referrer":"https://blog.partner.example/a?secret=1","screen_width":390,"title":" Hi ","event_id":"e-1","utm_medium":"cpc""#,
    );
    let accepted = pipeline().track(&arrival(), body.as_bytes(), &rules(WebsiteSettings::default())).unwrap();
    let get = |dimension| accepted.event.dimensions.get(dimension);
    for (dimension, value) in [
        (Dimension::Path, "/p"),
        (Dimension::Title, "Hi"),
        (Dimension::Referrer, "https://blog.partner.example/a"),
        (Dimension::Source, "Facebook"),
        (Dimension::Channel, "Paid Social"),
        (Dimension::UtmSource, "fb"),
        (Dimension::UtmMedium, "cpc"),
        (Dimension::Browser, "Chrome"),
        (Dimension::BrowserVersion, "130.0"),
        (Dimension::Os, "Windows"),
        (Dimension::OsVersion, "10"),
        (Dimension::Device, "desktop"),
        (Dimension::ScreenClass, "xs"),
    ] {
        assert_eq!(get(dimension), value, "{dimension}");
    }
    assert!(accepted.idempotency_key.is_some());
    let own = self::body(r#","referrer":"https://shop.example.com/x""#).replace("?utm_source=fb", "");
    let event = pipeline().track(&arrival(), own.as_bytes(), &rules(WebsiteSettings::default())).unwrap().event;
    assert_eq!((event.dimensions.get(Dimension::Referrer), event.dimensions.get(Dimension::Channel)), ("", "Direct"));
}

#[test]
fn visitors_are_told_apart_by_id_where_the_website_allows_it() {
    let visitor = |id: &str, settings: WebsiteSettings| {
        let body = body(&format!(r#","visitor_id":"{id}""#));
        pipeline().track(&arrival(), body.as_bytes(), &rules(settings)).unwrap().event.visitor
    };
    let cookies = || WebsiteSettings::default().with(|s| s.cookieless = false);
    assert_ne!(visitor("a", cookies()), visitor("b", cookies()));
    assert_eq!(visitor("a", cookies()), visitor("a", cookies()));
    assert_eq!(visitor("a", WebsiteSettings::default()), visitor("b", WebsiteSettings::default()));
}

/// Also heartbeats, whatever session id they carry.
#[test]
fn cookieless_hits_and_heartbeats_share_a_session() {
    let pipeline = fresh_pipeline();
    let rules = rules(WebsiteSettings::default());
    let hit = |ms: i64, session: &str| {
        let body = body(r#","cookieless":true"#).replace("session-1", session).replace("?utm_source=fb", "");
        pipeline.track(&arrival_at(ms), body.as_bytes(), &rules).unwrap().event.session
    };
    let beat = |ms: i64| {
        let body = r#"{"session_id":"other-session","cookieless":true,"engagement_ms":30000,"scroll_depth":50}"#;
        let event = pipeline.heartbeat(&arrival_at(ms), body.as_bytes(), &rules).unwrap().event;
        assert_eq!((event.kind, event.engagement_ms, event.scroll_percent), (EventKind::Heartbeat, 30_000, 50));
        event.session
    };
    let minute = 60_000;
    let first = hit(0, "page-load-1");
    assert_eq!(beat(minute), first);
    assert_eq!(hit(2 * minute, "page-load-2"), first);
    assert_eq!(beat(31 * minute), first);
    assert_ne!(hit(62 * minute, "page-load-3"), first);
}

#[test]
fn named_sessions_are_cut_at_the_websites_midnight() {
    let rules = rules(WebsiteSettings::default().with(|s| s.time_zone = "Europe/Berlin".into()));
    let session = |received_at| {
        let body = body("");
        pipeline()
            .track(&Arrival { received_at, steady_at: received_at, ..arrival() }, body.as_bytes(), &rules)
            .unwrap()
            .event
            .session
    };
    // 2026-06-13 begins at 22:00 UTC of the day before.
    let midnight = rules.zone().day_start(rules.zone().civil_day(at(0)));
    assert_ne!(session(midnight.plus_millis(-1)), session(midnight));
    assert_eq!(session(midnight), session(midnight.plus_millis(3_600_000)));
}

#[test]
fn batch_events_take_any_past_time_and_no_future() {
    let event = |ts: i64| {
        format!(
            r#"{{"trackingCode":"ZV_test","events":[{{"type":"purchase","ts":{ts},"visitorId":"v","sessionId":"s",
            "props":{{"url":"https://example.com/x","amount":5}},"serverContext":{{"clientIp":"8.8.8.8"}}}}]}}"#
        )
    };
    let track = |ts: i64| {
        let body = event(ts);
        let request = parse_batch(body.as_bytes()).unwrap();
        pipeline().batch_row(request.events[0].as_ref().unwrap(), reading(), &rules(WebsiteSettings::default()))
    };
    let old = track(1).unwrap().event;
    assert_eq!((old.at.as_millis(), old.kind, old.flags), (1, EventKind::Revenue, EventFlags::SERVER_SENT));
    assert_eq!(old.dimensions.get(Dimension::Country), "US");
    assert_eq!(old.dimensions.get(Dimension::Properties), r#"{"amount":5}"#);
    assert!(track(NOW + BELIEVED_FUTURE_MS).is_ok());
    let Err(Rejected::Refused(refusal)) = track(NOW + BELIEVED_FUTURE_MS + 1) else { panic!() };
    assert!(refusal.fields.contains_key("ts"));
}

/// A website with cookies and one without, where nobody names a visitor.
fn cookies() -> WebsiteRules {
    rules(WebsiteSettings::default().with(|s| s.cookieless = false))
}

/// Who sent what: `session`, further members, the address, and when.
struct Sent<'a>(&'a str, &'a str, &'a str, i64);

fn track(pipeline: &Pipeline, rules: &WebsiteRules, Sent(session, members, ip, ms): Sent<'_>) -> Event {
    let body = body(members).replace("session-1", session).replace("?utm_source=fb", "");
    let arrival = Arrival { sender: from(ip), ..arrival_at(ms) };
    pipeline.track(&arrival, body.as_bytes(), rules).unwrap().event
}

fn beat(
    pipeline: &Pipeline,
    rules: &WebsiteRules,
    Sent(session, members, ip, ms): Sent<'_>,
) -> Result<Event, Rejected> {
    let body = format!(r#"{{"session_id":"{session}","engagement_ms":15000{members}}}"#);
    // As a CDN sends it that names itself.
    let arrival = Arrival { user_agent: Some("Amazon CloudFront"), ..Arrival::new(from(ip), at(ms)) };
    pipeline.heartbeat(&arrival, body.as_bytes(), rules).map(|accepted| accepted.event)
}

fn ids(event: &Event) -> (VisitorId, SessionId) {
    (event.visitor, event.session)
}

const PHONE: &str = "198.51.100.7";
const OFFICE: &str = "2001:db8:1::7";

/// matomo-org/tracker-proxy#94.
#[test]
fn a_visit_has_one_visitor_whatever_address_and_agent_it_comes_with() {
    for rules in [rules(WebsiteSettings::default()), cookies()] {
        for flag in ["", r#","cookieless":true"#] {
            let pipeline = fresh_pipeline();
            let first = track(&pipeline, &rules, Sent("session-a", flag, PHONE, 0));
            assert_eq!(ids(&track(&pipeline, &rules, Sent("session-a", flag, OFFICE, 1_000))), ids(&first));
            assert_eq!(ids(&beat(&pipeline, &rules, Sent("session-a", flag, OFFICE, 2_000)).unwrap()), ids(&first));
            assert_eq!(ids(&beat(&pipeline, &rules, Sent("session-a", "", OFFICE, 3_000)).unwrap()), ids(&first));
            let other = track(&pipeline, &rules, Sent("session-b", flag, OFFICE, 4_000));
            assert_ne!(other.visitor, first.visitor, "another session id from another address");
        }
    }
}

/// The published body, sent with many visitor ids.
#[test]
fn another_visitor_id_is_another_visit_on_a_website_with_cookies() {
    let count = |rules: &WebsiteRules| {
        let pipeline = fresh_pipeline();
        let mut seen = std::collections::HashSet::new();
        for round in 0..2 {
            for number in 0..50 {
                let id = format!(r#","visitor_id":"v-{number}""#);
                seen.insert(ids(&track(&pipeline, rules, Sent("srv-session-abcdef", &id, PHONE, round))));
            }
        }
        seen.len()
    };
    assert_eq!(count(&cookies()), 50);
    assert_eq!(count(&rules(WebsiteSettings::default())), 1, "without cookies ids say nothing");
}

#[test]
fn a_visitor_id_that_comes_during_a_visit_does_not_split_it_and_identify_merges_nobody() {
    let (pipeline, rules) = (fresh_pipeline(), cookies());
    let (one, two) = (r#","visitor_id":"v-1""#, r#","visitor_id":"v-2""#);
    let first = track(&pipeline, &rules, Sent("session-a", "", PHONE, 0));
    let consent = track(&pipeline, &rules, Sent("session-a", one, PHONE, 1));
    assert_eq!(ids(&consent), ids(&first));
    assert_ne!(ids(&track(&pipeline, &rules, Sent("session-a", two, PHONE, 2))), ids(&first));
    assert_eq!(ids(&track(&pipeline, &rules, Sent("session-a", "", OFFICE, 3))), ids(&first));
    let later = track(&pipeline, &rules, Sent("session-b", one, PHONE, 4));
    assert_ne!(later.visitor, first.visitor, "nobody is merged with the visitor before");
    for (number, id) in [(5, one), (6, two)] {
        let identify = format!(r#"{id},"event_type":"identify","user_id":"me@example.com""#);
        let event = track(&pipeline, &rules, Sent(&format!("session-{number}"), &identify, PHONE, number));
        let page = track(&pipeline, &rules, Sent(&format!("session-{number}"), id, PHONE, number));
        assert_eq!(ids(&event), ids(&page));
    }
    let visitor = |id| track(&pipeline, &rules, Sent("session-c", id, PHONE, 9)).visitor;
    assert_ne!(visitor(one), visitor(two));
}

/// matomo-org/matomo#11605.
#[test]
fn a_new_source_begins_a_new_visit_also_with_a_clients_session() {
    let url = |query: &str, more: &str| {
        format!(
            r#"{{"url":"https://example.com/{query}","session_id":"session-1","visitor_id":"v","user_agent":"{CHROME}",
            "device_type":"","browser":"","os":""{more}}}"#
        )
    };
    let referrer = |url: &str| format!(r#","referrer":"{url}""#);
    let visits = |pages: &[(&str, String)]| {
        let (pipeline, rules) = (fresh_pipeline(), cookies());
        let mut seen = Vec::new();
        for (second, (query, more)) in (0..).zip(pages) {
            let body = url(query, more);
            let event = pipeline.track(&arrival_at(second * 1_000), body.as_bytes(), &rules).unwrap().event;
            assert!(seen.first().is_none_or(|&(visitor, _)| visitor == event.visitor));
            if !seen.contains(&ids(&event)) {
                seen.push(ids(&event));
            }
            let beat = beat(&pipeline, &rules, Sent("session-1", r#","visitor_id":"v""#, PHONE, second * 1_000 + 1));
            assert_eq!(ids(&beat.unwrap()), ids(&event), "heartbeats go to the latest part");
        }
        seen.len()
    };
    let none = String::new;
    assert_eq!(visits(&[("?utm_campaign=one", none()), ("", none()), ("?utm_campaign=two", none())]), 2);
    assert_eq!(visits(&[("?gclid=1", none()), ("?gclid=1", none()), ("?gclid=2", none())]), 2);
    let (google, other) = (referrer("https://www.google.com/"), referrer("https://blog.partner.example/x"));
    assert_eq!(visits(&[("", google.clone()), ("", referrer("https://www.google.de/")), ("", other.clone())]), 2);
    assert_eq!(visits(&[("", none()), ("", other)]), 2);
    for passed in [
        "https://www.paypal.com/checkout",
        "https://accounts.google.com/",
        "https://login.microsoftonline.com/x",
        "https://shop.example.com/cart",
        "chrome-extension://abc/x",
    ] {
        assert_eq!(visits(&[("", google.clone()), ("", referrer(passed)), ("", none())]), 1, "{passed}");
    }
}

/// Heartbeats make nobody live who has no event.
#[test]
fn a_heartbeat_counts_only_for_a_session_with_an_event() {
    for (rules, members) in [
        (rules(WebsiteSettings::default()), ""),
        (rules(WebsiteSettings::default()), r#","cookieless":true"#),
        (cookies(), r#","visitor_id":"v""#),
        (cookies(), ""),
    ] {
        let pipeline = fresh_pipeline();
        let sent = |ms| Sent("made-up-session", members, PHONE, ms);
        assert_eq!(beat(&pipeline, &rules, sent(0)), Err(DropReason::NoSession.into()));
        track(&pipeline, &rules, sent(1));
        assert!(beat(&pipeline, &rules, sent(2)).is_ok());
        assert!(beat(&pipeline, &rules, sent(29 * 60_000)).is_ok());
        assert_eq!(beat(&pipeline, &rules, sent(3 * 3_600_000)), Err(DropReason::NoSession.into()), "{members}");
    }
    let bot = Arrival { user_agent: Some("Googlebot/2.1"), ..arrival() };
    let body = br#"{"session_id":"made-up-session"}"#;
    assert_eq!(fresh_pipeline().heartbeat(&bot, body, &cookies()), Err(DropReason::Bot.into()));
}

/// What the store gives back of `event` after a restart.
fn restore(pipeline: &Pipeline, rules: &WebsiteRules, event: &Event) {
    let text = |dimension| event.dimensions.get(dimension);
    let utm = [Dimension::UtmSource, Dimension::UtmMedium, Dimension::UtmCampaign].map(text).join("\u{1f}");
    let restored = pipeline.restore_visit(
        rules,
        &OpenVisit {
            visitor: event.visitor,
            session: event.session,
            is_known: !event.flags.contains(EventFlags::COOKIELESS),
            began_at: event.at,
            last_at: event.at,
            campaign: &utm,
            referrer: text(Dimension::Referrer),
            channel: text(Dimension::Channel),
        },
    );
    restored.unwrap();
}

#[test]
fn a_visit_goes_on_after_a_restart() {
    for (rules, members) in [
        (rules(WebsiteSettings::default()), ""),
        (rules(WebsiteSettings::default()), r#","cookieless":true"#),
        (cookies(), r#","visitor_id":"v""#),
        (cookies(), ""),
    ] {
        let source = format!(r#"{members},"utm_campaign":"one","referrer":"https://www.google.com/""#);
        let first = track(&fresh_pipeline(), &rules, Sent("session-a", &source, PHONE, 0));
        let other = track(&fresh_pipeline(), &rules, Sent("session-b", "", PHONE, 0));
        let pipeline = fresh_pipeline();
        restore(&pipeline, &rules, &first);
        restore(&pipeline, &rules, &other);
        assert_eq!(
            ids(&beat(&pipeline, &rules, Sent("session-a", "", OFFICE, 1_000)).unwrap()),
            ids(&first),
            "{members}"
        );
        assert_eq!(ids(&track(&pipeline, &rules, Sent("session-a", &source, OFFICE, 2_000))), ids(&first), "{members}");
        let changed = source.replace("one", "two");
        let part = track(&pipeline, &rules, Sent("session-a", &changed, OFFICE, 3_000));
        assert_eq!((part.visitor, part.session == first.session), (first.visitor, false), "{members}");
        let restarted = fresh_pipeline();
        restore(&restarted, &rules, &part);
        assert_eq!(ids(&beat(&restarted, &rules, Sent("session-a", members, OFFICE, 4_000)).unwrap()), ids(&part));
        assert!(beat(&restarted, &rules, Sent("session-x", "", OFFICE, 4_000)).is_err());
    }
}

#[test]
fn who_asks_not_to_be_known_is_in_no_visit_of_a_visitor_with_an_id() {
    let (pipeline, rules) = (fresh_pipeline(), cookies());
    let known = track(&pipeline, &rules, Sent("session-a", r#","visitor_id":"v""#, PHONE, 0));
    let body = body(r#","visitor_id":"v""#).replace("session-1", "session-a");
    let gpc = pipeline.track(&Arrival { sec_gpc: Some("1"), ..arrival() }, body.as_bytes(), &rules).unwrap().event;
    assert_ne!(gpc.visitor, known.visitor);
}

/// An order number that a stranger sends first takes nothing from who sells.
#[test]
fn event_ids_of_visitors_and_keys_of_batches_are_apart() {
    let (pipeline, rules) = (fresh_pipeline(), cookies());
    let key = |visitor: &str, session: &str| {
        let body = body(&format!(r#","event_id":"order-1","visitor_id":"{visitor}""#)).replace("session-1", session);
        pipeline.track(&arrival(), body.as_bytes(), &rules).unwrap().idempotency_key.unwrap()
    };
    let batch = |visitor: &str| {
        let body = format!(
            r#"{{"trackingCode":"ZV_test","events":[{{"type":"purchase","ts":{NOW},"visitorId":"{visitor}",
            "sessionId":"session-1","props":{{}},"idempotencyKey":"order-1"}}]}}"#
        );
        let request = parse_batch(body.as_bytes()).unwrap();
        let event = pipeline.batch_row(request.events[0].as_ref().unwrap(), reading(), &rules).unwrap();
        event.idempotency_key.unwrap()
    };
    assert_eq!(key("a", "session-1"), key("a", "session-2"), "the same visitor's again");
    assert_ne!(key("a", "session-1"), key("b", "session-3"));
    assert_ne!(key("a", "session-1"), batch("a"));
    assert_eq!(batch("a"), batch("b"), "a key is the holder's");
}

/// Behind a load balancer each hit may come to another server.
#[test]
fn servers_that_share_salts_and_sessions_count_one_person_once() {
    let (salts, sessions) = (Arc::new(MemorySalts::default()), Arc::new(MemorySessions::default()));
    let servers = [1, 2].map(|seed| {
        let hasher = VisitorHasher::with_rng(Arc::clone(&salts), at(0), StdRng::seed_from_u64(seed)).unwrap();
        Pipeline::new(hasher, Arc::clone(&sessions), GeoDatabase::embedded().unwrap())
    });
    for (number, (rules, members)) in (0..).zip([
        (rules(WebsiteSettings::default()), ""),
        (rules(WebsiteSettings::default()), r#","cookieless":true"#),
        (cookies(), r#","visitor_id":"v""#),
        (cookies(), ""),
    ]) {
        let session = format!("session-{number}");
        let [one, other] = &servers;
        let first = track(one, &rules, Sent(&session, members, PHONE, 0));
        assert_eq!(ids(&track(other, &rules, Sent(&session, members, OFFICE, 1_000))), ids(&first), "{members}");
        assert_eq!(
            ids(&beat(other, &rules, Sent(&session, members, OFFICE, 2_000)).unwrap()),
            ids(&first),
            "{members}"
        );
    }
}

/// All instants, and more often those where something ends.
fn any_instant() -> impl Strategy<Value = Timestamp> {
    let ends = vec![i64::MIN, -62_167_219_200_000, 0, NOW, 253_402_300_800_000, i64::MAX];
    let near = (prop::sample::select(ends), -200_000_000i64..200_000_000);
    prop_oneof![any::<i64>(), near.prop_map(|(end, by)| end.saturating_add(by))].prop_map(Timestamp::from_millis)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.min(64), ..ProptestConfig::default() })]

    /// Clocks that are wrong by all there is, and pages that say anything. Sabotage: add or subtract times without
    /// saturating.
    #[test]
    fn no_time_and_no_text_is_too_strange(
        times in prop::array::uniform5(any_instant()),
        texts in prop::array::uniform6("(\\PC|[\0-\x1f]){0,24}"),
        numbers in prop::array::uniform3(any::<f64>()),
        address in any::<u128>(),
        zone in prop::sample::select(vec!["UTC", "Etc/GMT-14", "Pacific/Apia"]),
    ) {
        let [received_at, steady_at, at, began_at, last_at] = times;
        let [session, name, text, agent, header, language] = &texts;
        let rules = rules(WebsiteSettings::default().with(|s| s.time_zone = zone.to_owned()));
        let pipeline = Pipeline::in_memory(steady_at).unwrap();
        for sender in [Sender::Anybody(IpAddr::V6(address.into())), Sender::KeyHolder(None)] {
            let mut arrival = Arrival::new(sender, received_at);
            arrival.steady_at = steady_at;
            arrival.user_agent = Some(agent);
            arrival.accept_language = Some(language);
            for (origin, dnt) in [(None, None), (Some(header.as_str()), Some("1"))] {
                (arrival.origin, arrival.dnt) = (origin, dnt);
                let hit = Hit::event(name, format!("https://example.com/{text}"), format!("session-{session}"));
                let hit = hit.at(at).property(name, text).screen_width(numbers[0]).scroll_percent(numbers[1]);
                let hit = hit.revenue(numbers[2], text).referrer(header).language(language).user_agent("MyServer/1.0");
                let _ = pipeline.track_hit(&arrival, hit, &rules);
                let _ = pipeline.heartbeat_hit(&arrival, Hit::heartbeat(format!("session-{session}")).at(last_at), &rules);
            }
        }
        let mut reading = Reading::believed(at);
        (reading.steady, reading.trusted) = (last_at, false);
        if let Ok(row) = BatchEvent::new(name, began_at, session, text).url(header).validate() {
            let _ = pipeline.batch_row(&row, reading, &rules);
        }
        let mut visit = OpenVisit::new(VisitorId(1), SessionId(2), began_at, last_at);
        (visit.campaign, visit.referrer, visit.channel) = (text, header, language);
        let _ = pipeline.restore_visit(&rules, &visit);
        for now in times {
            pipeline.has_salts(now);
            pipeline.rotate_salts(now).unwrap();
        }
        let (url, campaign) = (crate::WebUrl::parse(text.as_str()), crate::Campaign::default());
        let _ = (url.map(|url| url.campaign()), crate::attribute(header, &campaign), crate::known_host(text));
        let _ = (crate::parse_agent(agent), crate::language_tag(language), crate::decode_body(Some(header), text.as_bytes(), 64));
        let _ = (rules.check_host(text), rules.excludes_path(text), rules.excludes_address(IpAddr::V6(address.into())));
    }
}
