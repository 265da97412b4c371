//! No input of a public function panics: strings of any kind, and times that no clock should tell.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

use std::sync::Arc;

use proptest::prelude::*;
use zenovay_domain::{
    Clock, ClockMemory, Dimension, Dimensions, DoubtedReading, ErrorCode, Event, EventFlags, EventKind, Feature,
    GuardedClock, Interval, ManualClock, MatchType, Plan, Reading, Role, Scopes, SessionId, SessionSpan, TimeRange,
    Timestamp, TrackingCode, VisitorId, WebsiteId, WebsiteRules, WebsiteSettings, Zone, matches_pattern, parse_date,
    parse_domain, parse_host, value_score,
};

/// Any string, often one that is nearly right.
fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        "(.|\\n|\\x00){0,60}",
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{0,26}",
        "(Europe|America|Etc|posix|\\.\\.)?[/A-Za-z_+-]{0,24}",
        "ZV_[A-Za-z0-9]{0,14}",
        "(xn--|www\\.|\\[)?[a-z0-9.:ß%\\]-]{0,30}",
        "[+-]?[0-9]{1,9}-[0-9]{1,3}-[0-9]{1,3}(T[0-9:.]{0,14})?",
    ]
}

/// Any time, mostly at the ends of what there is.
fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -3i64..3, 1_700_000_000_000i64..1_900_000_000_000]
        .prop_map(Timestamp::from_millis)
}

proptest! {
    #[test]
    fn strings_are_read_or_refused(text in string(), name in string()) {
        let _names = (
            text.parse::<Role>(), text.parse::<Plan>(), text.parse::<Scopes>(), text.parse::<Dimension>(),
            text.parse::<ErrorCode>(), text.parse::<EventKind>(), text.parse::<Feature>(), text.parse::<Interval>(),
            text.parse::<MatchType>(), text.parse::<WebsiteId>(), text.parse::<Timestamp>(),
        );
        if let Ok(code) = text.parse::<TrackingCode>() {
            prop_assert_eq!(code.as_str(), &text);
        }
        if let Ok(zone) = text.parse::<Zone>() {
            prop_assert_eq!(&zone.name().parse::<Zone>().unwrap(), &zone, "a zone is found by its name");
        }
        if let Ok(day) = parse_date(&text) {
            Zone::utc().day_start(day);
        }
        // What a host or a domain is read as is read as itself.
        if let Ok(domain) = parse_domain(&text) {
            prop_assert_eq!(&parse_domain(&domain).unwrap(), &domain);
        }
        if let Ok(host) = parse_host(&text) {
            prop_assert_eq!(&parse_host(&host).unwrap(), &host);
        }
        matches_pattern(&name, &text);
        for dimension in Dimension::ALL {
            let normal = dimension.normal(&text).into_owned();
            prop_assert_eq!(&dimension.normal(&normal), &normal, "what is normal stays so");
            let mut dimensions = Dimensions::with_capacity(8);
            dimensions.set(*dimension, &name);
            dimensions.set(*dimension, &text);
            prop_assert_eq!(dimensions.get(*dimension), &text);
        }
        let settings = WebsiteSettings::default().with(|settings| {
            settings.allowed_domains = vec![name.clone()];
            settings.excluded_paths = vec![text.clone()];
        });
        let website = WebsiteId::from_bytes([1; 16]);
        for rules in [WebsiteRules::for_domain(&text), WebsiteRules::new(website, "example.com", &settings)] {
            let Ok(rules) = rules else { continue };
            let _hosts = (rules.check_host(&name), rules.is_own_host(&name), rules.excludes_path(&name));
        }
    }

    #[test]
    fn any_json_is_an_event_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..120), number: i64, flags: u8, code: u8, text in string(),
    ) {
        let _events = (serde_json::from_slice::<Event>(&bytes), serde_json::from_slice::<WebsiteSettings>(&bytes));
        let _range = serde_json::from_value::<TimeRange>(serde_json::json!({ "from": number, "to": flags }));
        let _zone = serde_json::from_value::<Zone>(serde_json::json!(text));
        let _kind = EventKind::from_code(code);
        let flags = EventFlags::from_bits(flags);
        prop_assert!(flags.with(EventFlags::COOKIELESS).contains(EventFlags::COOKIELESS));
    }

    #[test]
    fn no_number_is_too_large(views: u64, duration: i64, interaction: bool) {
        prop_assert!(value_score(views, duration, interaction) <= 100);
    }

    #[test]
    fn no_range_is_too_long(from in time(), to in time(), at in time(), millis: i64, limit in 0..50usize) {
        let range = TimeRange::new(from, to);
        let _range = (range.contains(at), range.duration_ms(), at.plus_millis(millis), at.millis_since(from));
        let zone: Zone = "America/St_Johns".parse().unwrap();
        for interval in Interval::ALL {
            prop_assert!(zone.buckets(range, *interval, limit).len() <= limit);
        }
        let _before = (zone.period_before(range), zone.year_before(range), zone.format_with_offset(at));
    }

    #[test]
    fn a_session_takes_or_refuses_any_event(times in prop::collection::vec((time(), 0..2u64), 1..6)) {
        let event =
            |&(at, visitor): &(Timestamp, u64)| Event::new(EventKind::Pageview, at, VisitorId(visitor), SessionId(1));
        let mut span = SessionSpan::of(&event(&times[0]));
        for time in &times[1..] {
            let before = span;
            if span.add(&event(time)).is_err() {
                prop_assert_eq!(span, before, "what is refused changes nothing");
            }
            prop_assert!(span.first_at <= span.last_at);
            let _with = span.with(time.0);
        }
    }

    #[test]
    fn a_guarded_clock_survives_every_clock(
        start in time(), trusted in prop::option::of(time()), doubted in prop::option::of((time(), any::<i64>())),
        newest in prop::option::of(time()), steps in prop::collection::vec((any::<i64>(), time()), 0..6),
    ) {
        let manual = Arc::new(ManualClock::new(start));
        let doubted = doubted.map(|(at, confirmed_ms)| DoubtedReading::new(at, confirmed_ms));
        let memory = ClockMemory::new(trusted, doubted);
        let guarded = GuardedClock::new(Arc::clone(&manual) as Arc<dyn Clock>, Some(memory));
        guarded.begin(newest);
        for (millis, at) in steps {
            manual.step_ms(millis);
            let _step = (guarded.now(), guarded.reading(), guarded.status());
            manual.advance_ms(millis);
            manual.set(at);
            let _memory = (guarded.reading(), guarded.memory(), Reading::believed(at));
        }
    }
}
