//! No input of a public function panics: whatever a request says, at whatever time, it is an event or is refused. Each parser
//! has such a test beside it; this one calls what stands before and after them, at times that no clock should tell.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::net::{IpAddr, Ipv6Addr};
use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use zenovay_domain::{SessionId, VisitorId};
use zenovay_ingest::{
    Accepted, Arrival, BatchEvent, Campaign, CaptureFields, CaptureKind, DailySalt, EventKind, GeoDatabase, Hit, Marks,
    MemorySalts, MemorySessions, OpenSession, OpenVisit, Pipeline, Reading, Rejected, SaltStore, Secret, Sender,
    SessionKind, SessionPart, SessionStore, Timestamp, VisitorHasher, WebUrl, WebsiteId, WebsiteRules, WebsiteSettings,
    attribute, capture_time, check_batch_privacy, client_ip, decode_body, known_host, language_tag, parse_agent,
    parse_batch, parse_capture, parse_hit,
};

/// One for all cases, without countries: opening their database takes longer than all cases. Its clock goes every way.
static PIPELINE: LazyLock<Pipeline> = LazyLock::new(|| {
    let hasher = VisitorHasher::in_memory(Timestamp::from_millis(0)).unwrap();
    Pipeline::new(hasher, MemorySessions::default(), GeoDatabase::none())
});

/// Any string, often one that is nearly right.
fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        "(.|\\n|\\x00){0,40}",
        "https?://(www\\.)?(example\\.com|google\\.com|\\[::1\\])[/?#a-z=&%+;é]{0,30}",
        "(Mozilla/5\\.0 )?\\(?[A-Za-z0-9/.;: )]{0,60}",
        "(session-|visitor-)[0-9]{1,2}",
        "[a-z]{2}([-_,;q=.0-9A-Z]){0,12}",
        "\"[A-Za-z ]{0,12}\";v=\"[0-9.]{0,12}\"",
        Just("é".repeat(3_000)),
    ]
}

/// Bodies that are nearly right.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        string().prop_map(|text| serde_json::json!(text)),
        any::<f64>().prop_map(|number| serde_json::json!(number)),
        any::<i64>().prop_map(|number| serde_json::json!(number)),
        Just(serde_json::json!({ "a": [1, null, { "b": true }] })),
    ];
    let name = "(event_type|url|session_id|sessionId|visitor_id|timestamp|referrer|title|properties|user_agent|device_type|browser|os|event_name|value|currency|screen_width|duration|events|trackingCode|type|clientIp)";
    let object = prop::collection::btree_map(name, value, 0..9).prop_map(|members| serde_json::json!(members));
    let batch = prop::collection::vec(object.clone(), 0..3)
        .prop_map(|events| serde_json::json!({ "trackingCode": "ZV_abcdefghijk", "events": events }));
    prop_oneof![
        4 => object.prop_map(|object| object.to_string().into_bytes()),
        2 => batch.prop_map(|batch| batch.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..80),
    ]
}

/// Any time, mostly at the ends of what there is.
fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -3i64..3, 1_781_308_800_000i64..1_781_395_200_000]
        .prop_map(Timestamp::from_millis)
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
        any::<u128>().prop_map(|bits| Ipv6Addr::from(bits).into())
    ]
}

/// What a request says of itself.
#[derive(Debug, Clone)]
struct Request {
    sender: Sender,
    times: [Timestamp; 2],
    headers: [Option<String>; 8],
}

fn request() -> impl Strategy<Value = Request> {
    let sender = (address(), any::<bool>(), any::<bool>()).prop_map(|(address, is_anybody, is_known)| {
        if is_anybody { Sender::Anybody(address) } else { Sender::KeyHolder(is_known.then_some(address)) }
    });
    (sender, [time(), time()], prop::array::uniform8(prop::option::of(string())))
        .prop_map(|(sender, times, headers)| Request { sender, times, headers })
}

impl Request {
    fn arrival(&self) -> Arrival<'_> {
        let [agent, origin, referer, language, gpc, purpose, brands, platform] =
            self.headers.each_ref().map(Option::as_deref);
        let mut arrival = Arrival::new(self.sender, self.times[0]);
        arrival.steady_at = self.times[1];
        (arrival.user_agent, arrival.origin, arrival.referer) = (agent, origin, referer);
        (arrival.accept_language, arrival.sec_gpc, arrival.purpose) = (language, gpc, purpose);
        (arrival.hints.brands, arrival.hints.platform) = (brands, platform);
        arrival
    }
}

fn rules(way: u8) -> WebsiteRules {
    let settings = WebsiteSettings::default().with(|settings| {
        settings.cookieless = way.is_multiple_of(2);
        settings.opt_out_on_gpc = way.is_multiple_of(3);
        settings.time_zone = ["UTC", "Pacific/Apia", "America/St_Johns"][usize::from(way % 3)].to_owned();
        settings.errors = !way.is_multiple_of(5);
    });
    WebsiteRules::new(WebsiteId::from_bytes([way % 4; 16]), "example.com", &settings).unwrap()
}

/// What became of a record: an event, or a reason that can be told.
fn is_told(judged: Result<Accepted, Rejected>) -> bool {
    judged.map_or_else(|rejected| !rejected.to_string().is_empty() && rejected.status() >= 200, |_| true)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]

    /// Sabotage: tell with `-` whether a session goes on.
    #[test]
    fn any_request_is_an_event_or_refused(request in request(), body in body(), way: u8, peer in address()) {
        let (arrival, rules) = (request.arrival(), rules(way));
        prop_assert!(is_told(PIPELINE.track(&arrival, &body, &rules)));
        prop_assert!(is_told(PIPELINE.heartbeat(&arrival, &body, &rules)));
        if let Ok(batch) = parse_batch(&body) {
            let mut reading = Reading::believed(request.times[0]);
            (reading.steady, reading.trusted) = (request.times[1], way.is_multiple_of(2));
            for row in batch.events.into_iter().flatten() {
                prop_assert!(is_told(PIPELINE.batch_row(&row, reading, &rules)));
            }
        }
        if let Ok(members) = parse_capture(&body)
            && let Ok(fields) = CaptureFields::read(&members)
        {
            let _at = capture_time(&fields, Some(request.times[0].as_millis()), &arrival);
            for kind in CaptureKind::ALL {
                match PIPELINE.capture(&arrival, *kind, &fields, &rules) {
                    Ok(captured) => drop(PIPELINE.capture_key(&captured, "id")),
                    Err(rejected) => prop_assert!(!rejected.to_string().is_empty()),
                }
            }
        }
        let (headers, texts) = (request.headers.iter().flatten(), request.headers.iter().flatten().map(String::as_str));
        let _seen = (arrival.page_host(), client_ip(peer, texts, |address| address == peer));
        let untagged = Campaign::default();
        for text in headers {
            let agent = parse_agent(text);
            prop_assert!(agent.browser.len() <= text.len() + 64);
            let _known = (known_host(text), language_tag(text), check_batch_privacy(Some(text)), attribute(text, &untagged));
            let _decoded = decode_body(Some(text), &body, usize::from(way));
            if let Ok(url) = WebUrl::parse(text.as_str()) {
                let campaign = url.campaign();
                let _parts = (attribute(url.host(), &campaign).source, campaign.key(), url.without_query(), url.path());
            }
        }
        PIPELINE.give_back_dropped_agents([PIPELINE.take_dropped_agents(), PIPELINE.take_dropped_agents()].concat());
    }

    #[test]
    fn any_fields_are_an_event_or_refused(
        request in request(), texts in prop::array::uniform8(string()), numbers: [f64; 2], seconds: u64, way: u8,
        kind in prop::sample::select(EventKind::ALL), at in time(),
    ) {
        let (arrival, rules) = (request.arrival(), rules(way));
        let [one, two, three, four, five, six, seven, eight] = &texts;
        let hit = Hit::event(one, two, three).kind(kind).user_agent(four).browser(five).os(six).device_type(seven);
        let hit = hit.visitor_id(eight).title(one).referrer(two).language(three).screen_width(numbers[0]).at(at);
        let hit = hit.event_id(four).property(five.as_str(), six).revenue(numbers[1], seven).order_id(eight).user_id(one);
        let hit = hit.user_property(two.as_str(), numbers[0]).engagement(Duration::from_secs(seconds));
        let hit = hit.scroll_percent(numbers[1]).campaign(one, two, three);
        for hit in [hit.clone(), hit.clone().cookieless(), hit.opted_out(), Hit::heartbeat(three), Hit::pageview(two, three)] {
            prop_assert!(is_told(PIPELINE.track_hit(&arrival, hit.clone(), &rules)));
            prop_assert!(is_told(PIPELINE.heartbeat_hit(&arrival, hit, &rules)));
        }
        let row = BatchEvent::new(one, at, three, eight).url(two).referrer(two).title(one).name(four).property(five.as_str(), six);
        if let Ok(row) = row.idempotency_key(seven).user_agent(four).accept_language(three).validate() {
            prop_assert!(is_told(PIPELINE.batch_row(&row, Reading::believed(at), &rules)));
        }
        let parsed = parse_hit(one.as_bytes());
        let _code = parsed.as_ref().map(|parsed| parsed.tracking_code().is_some());
    }

    #[test]
    fn salts_and_visits_are_of_any_time(times in prop::collection::vec(time(), 1..6), texts in [string(), string(), string()], way: u8) {
        let rules = rules(way);
        let [campaign, referrer, channel] = &texts;
        let fresh = VisitorHasher::new(MemorySalts::default(), times[0]).unwrap();
        for (number, at) in (0u64..).zip(&times) {
            PIPELINE.rotate_salts(*at).unwrap();
            PIPELINE.has_salts(*at);
            let mut visit = OpenVisit::new(VisitorId(number), SessionId(number), times[0], *at);
            (visit.campaign, visit.referrer, visit.channel) = (campaign, referrer, channel);
            visit.is_known = number.is_multiple_of(2);
            PIPELINE.restore_visit(&rules, &visit).unwrap();
            fresh.rotate(*at).unwrap();
            let _known = (fresh.is_ready(*at), fresh.known_visitor(rules.website(), campaign));
        }
        let salts = MemorySalts::default();
        let day = times[0].as_millis();
        salts.installation(Secret::new([0; 32])).unwrap();
        salts.get_or_create(day, Secret::new([way; 32])).unwrap();
        prop_assert_eq!(salts.keep_only(day..=day).unwrap().len(), 1);
        prop_assert!(salts.keep_only(i64::MIN..=i64::MIN).unwrap().iter().all(|kept: &DailySalt| kept.day == i64::MIN));
        let sessions = MemorySessions::default();
        for (slot, at) in (0u64..).zip(&times) {
            let part = SessionPart::new(*at, SessionId(slot), Marks::new(way.into(), u32::MAX, 0));
            let open = OpenSession::new(VisitorId(slot), *at, part, i32::MIN, SessionKind::Stitched);
            let key = slot.wrapping_mul(u64::from(way)).wrapping_sub(1);
            sessions.update(key, times[0], &mut |slots| {
                slots.put(u64::MAX - slot, open.clone());
                assert_eq!(slots.get(u64::MAX - slot), Some(&mut open.clone()));
            }).unwrap();
        }
    }
}
