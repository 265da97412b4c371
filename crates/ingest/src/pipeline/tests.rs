use std::sync::OnceLock;

use rand::SeedableRng;
use rand::rngs::StdRng;
use zenovay_domain::WebsiteSettings;

use super::*;
use crate::hit::tests::S4_EXAMPLE;
use crate::parse_batch;
use crate::rules::tests::website;

const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";
const NOW: i64 = 1_781_308_800_000;

fn pipeline() -> &'static Pipeline {
    static PIPELINE: OnceLock<Pipeline> = OnceLock::new();
    PIPELINE.get_or_init(fresh_pipeline)
}

fn fresh_pipeline() -> Pipeline {
    let hasher = VisitorHasher::in_memory(at(0), StdRng::seed_from_u64(1)).unwrap();
    Pipeline::new(hasher, GeoDatabase::embedded().unwrap())
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(NOW + ms)
}

fn rules(settings: WebsiteSettings) -> SiteRules {
    SiteRules::compile(&website("example.com", settings)).unwrap()
}

fn body(members: &str) -> String {
    format!(
        r#"{{"url":"https://example.com/p?utm_source=fb","session_id":"session-1","user_agent":"{CHROME}",
        "device_type":"","browser":"unknown","os":""{members}}}"#
    )
}

/// A hit from a page of the website in a browser.
fn page(body: &str) -> Hit<'_> {
    Hit {
        origin: Some("https://www.example.com"),
        user_agent: Some(CHROME),
        ..Hit::new(body.as_bytes(), "8.8.8.8".parse().unwrap(), at(0))
    }
}

fn outcome(hit: &Hit<'_>, settings: WebsiteSettings) -> (&'static str, String) {
    match pipeline().track(hit, &rules(settings)) {
        Ok(_) => ("", String::new()),
        Err(rejected) => (rejected.outcome().reason(), rejected.to_string()),
    }
}

fn reason(hit: &Hit<'_>, settings: WebsiteSettings) -> &'static str {
    outcome(hit, settings).0
}

/// S4 "Server-Side API Calls": sent by node's fetch, without Origin.
#[test]
fn the_server_example_of_s4_is_counted() {
    let hit = Hit { user_agent: Some("node"), ..Hit::new(S4_EXAMPLE.as_bytes(), "8.8.8.8".parse().unwrap(), at(0)) };
    let event = pipeline().track(&hit, &rules(WebsiteSettings::default())).unwrap().event;
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
        let hit = Hit { origin, referer, ..page(body) };
        assert_eq!(outcome(&hit, settings()), (expected, message.to_owned()), "{origin:?} {referer:?}");
    }
    let hit = Hit { origin: Some("http://localhost:3000"), ..page(&plain) };
    assert_eq!(reason(&hit, WebsiteSettings { allow_localhost: true, ..settings() }), "");
}

#[test]
fn exclusions_drop_with_their_reason() {
    let body = body("");
    let default = WebsiteSettings::default;
    for (settings, expected) in [
        (WebsiteSettings { is_active: false, ..default() }, "paused"),
        (WebsiteSettings { excluded_ips: vec!["8.8.8.0/24".into()], ..default() }, "excluded_ip"),
        (WebsiteSettings { excluded_paths: vec!["/p*".into()], ..default() }, "excluded_path"),
    ] {
        assert_eq!(reason(&page(&body), settings), expected);
    }
}

#[test]
fn a_website_can_do_without_outbound_links_and_downloads() {
    for (kind, settings) in [
        ("outbound_link", WebsiteSettings { track_outbound_links: false, ..WebsiteSettings::default() }),
        ("file_download", WebsiteSettings { track_downloads: false, ..WebsiteSettings::default() }),
    ] {
        let event = format!(r#","event_type":"{kind}""#);
        assert_eq!(reason(&page(&body(&event)), settings), "kind_off", "{kind}");
        assert_eq!(reason(&page(&body(&event)), WebsiteSettings::default()), "", "{kind}");
        assert_eq!(
            reason(&page(&body("")), WebsiteSettings { track_downloads: false, ..WebsiteSettings::default() }),
            ""
        );
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
        let hit = Hit { origin, user_agent: header, ..page(&body) };
        assert_eq!(reason(&hit, WebsiteSettings::default()), expected, "{header:?} {agent} {origin:?}");
    }
    let body_text = body("");
    let hit = Hit { purpose: Some("prefetch;prerender"), ..page(&body_text) };
    assert_eq!(reason(&hit, WebsiteSettings::default()), "bot");
    assert_eq!(reason(&page(&body(r#","webdriver":true"#)), WebsiteSettings::default()), "bot");
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
        let hit = Hit { user_agent: Some(user_agent), hints, ..page(&body) };
        let event = pipeline().track(&hit, &rules(WebsiteSettings::default())).unwrap().event;
        let name = |dimension| event.dimensions.get(dimension).to_owned();
        [Dimension::Browser, Dimension::Os, Dimension::OsVersion, Dimension::Device].map(name)
    };
    assert_eq!(names(CHROME), ["Brave", "Windows", "11", "desktop"]);
    assert_eq!(names("node-fetch/1.0"), ["Chrome", "Windows", "10", "desktop"]);
    let headless = ClientHints { brands: Some(r#""HeadlessChrome";v="130""#), ..ClientHints::default() };
    assert_eq!(reason(&Hit { hints: headless, ..page(&body) }, WebsiteSettings::default()), "bot");
}

/// SECURITY P7: signals × site option.
#[test]
fn privacy_signals_thin_out_or_drop() {
    let body = body(r#","language":"de-DE","visitor_id":"v","user_id":"u@example.com","event_data":{"plan":"pro"}"#);
    let open = || WebsiteSettings { cookieless: false, ..Default::default() };
    let strict = || WebsiteSettings { opt_out_on_gpc: true, ..open() };
    let gpc = Hit { sec_gpc: Some("1"), ..page(&body) };
    let dnt = Hit { dnt: Some("1"), ..page(&body) };
    assert_eq!(reason(&gpc, strict()), "gpc_opted_out");
    assert_eq!(reason(&dnt, strict()), "gpc_opted_out");
    assert_eq!(reason(&page(&body), strict()), "");
    let thin = pipeline().track(&gpc, &rules(open())).unwrap().event;
    assert!(thin.flags.contains(EventFlags::GPC_OPTED_OUT.with(EventFlags::COOKIELESS)));
    assert_eq!(thin.dimensions.get(Dimension::Language), "");
    assert_eq!(thin.dimensions.get(Dimension::Properties), r#"{"plan":"pro"}"#);
    // What the script saw in the browser is as good as the header; a page that ignores Do Not Track does not say it.
    let said = body.replacen('{', r#"{"opted_out":true,"#, 1);
    let said = Hit { dnt: Some("1"), ..page(&said) };
    let quiet = pipeline().track(&said, &rules(open())).unwrap().event;
    assert_eq!((&quiet.dimensions, quiet.flags), (&thin.dimensions, thin.flags));
    assert_eq!(reason(&said, strict()), "gpc_opted_out");
    let full = pipeline().track(&dnt, &rules(open())).unwrap().event;
    assert!(!full.flags.contains(EventFlags::GPC_OPTED_OUT));
    assert_eq!(full.dimensions.get(Dimension::Language), "de-DE");
    assert_eq!(full.dimensions.get(Dimension::Properties), r#"{"plan":"pro","user_id":"u@example.com"}"#);
    assert!(check_batch_privacy(Some("1")).is_err() && check_batch_privacy(Some("0")).is_ok());
}

#[test]
fn a_hit_is_enriched() {
    let body = body(
        r#","referrer":"https://blog.partner.example/a?secret=1","screen_width":390,"title":" Hi ","event_id":"e-1","utm_medium":"cpc""#,
    );
    let accepted = pipeline().track(&page(&body), &rules(WebsiteSettings::default())).unwrap();
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
    let event = pipeline().track(&page(&own), &rules(WebsiteSettings::default())).unwrap().event;
    assert_eq!((event.dimensions.get(Dimension::Referrer), event.dimensions.get(Dimension::Channel)), ("", "Direct"));
}

/// SECURITY I27.
#[test]
fn client_time_is_believed_within_bounds() {
    for (ahead_ms, corrected) in [
        (0, false),
        (BELIEVED_FUTURE_MS, false),
        (BELIEVED_FUTURE_MS + 1, true),
        (-BELIEVED_PAST_MS, false),
        (-BELIEVED_PAST_MS - 1, true),
        (i64::MAX - NOW, true),
        (i64::MIN + NOW, true),
    ] {
        let sent = NOW.saturating_add(ahead_ms);
        let body = body(&format!(r#","timestamp":{sent}"#));
        let accepted = pipeline().track(&page(&body), &rules(WebsiteSettings::default())).unwrap();
        assert_eq!(accepted.clock_corrected, corrected, "{ahead_ms}");
        assert_eq!(accepted.event.at.as_millis(), if corrected { NOW } else { sent });
    }
}

#[test]
fn visitors_are_told_apart_by_id_where_the_website_allows_it() {
    let visitor = |id: &str, settings: WebsiteSettings| {
        let body = body(&format!(r#","visitor_id":"{id}""#));
        pipeline().track(&page(&body), &rules(settings)).unwrap().event.visitor
    };
    let cookies = || WebsiteSettings { cookieless: false, ..Default::default() };
    assert_ne!(visitor("a", cookies()), visitor("b", cookies()));
    assert_eq!(visitor("a", cookies()), visitor("a", cookies()));
    assert_eq!(visitor("a", WebsiteSettings::default()), visitor("b", WebsiteSettings::default()));
}

/// DESIGN §3: also heartbeats, whatever session id they carry.
#[test]
fn cookieless_hits_and_heartbeats_share_a_session() {
    let pipeline = fresh_pipeline();
    let rules = rules(WebsiteSettings::default());
    let hit = |ms: i64, session: &str| {
        let body = body(r#","cookieless":true"#).replace("session-1", session).replace("?utm_source=fb", "");
        pipeline.track(&Hit { received_at: at(ms), ..page(&body) }, &rules).unwrap().event.session
    };
    let beat = |ms: i64| {
        let body = r#"{"session_id":"other-session","cookieless":true,"engagement_ms":30000,"scroll_depth":50}"#;
        let event = pipeline.heartbeat(&Hit { received_at: at(ms), ..page(body) }, &rules).unwrap().event;
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
    let rules = rules(WebsiteSettings { time_zone: "Europe/Berlin".into(), ..Default::default() });
    let session = |received_at| {
        let body = body("");
        pipeline().track(&Hit { received_at, ..page(&body) }, &rules).unwrap().event.session
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
        pipeline().batch_event(request.events[0].as_ref().unwrap(), &rules(WebsiteSettings::default()), at(0))
    };
    let old = track(1).unwrap().event;
    assert_eq!((old.at.as_millis(), old.kind, old.flags), (1, EventKind::Revenue, EventFlags::SERVER_SENT));
    assert_eq!(old.dimensions.get(Dimension::Country), "US");
    assert_eq!(old.dimensions.get(Dimension::Properties), r#"{"amount":5}"#);
    assert!(track(NOW + BELIEVED_FUTURE_MS).is_ok());
    let Err(Rejected::Refused(refusal)) = track(NOW + BELIEVED_FUTURE_MS + 1) else { panic!() };
    assert!(refusal.fields.contains_key("ts"));
}
