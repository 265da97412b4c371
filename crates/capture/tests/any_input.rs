//! No input of a public function panics, and none makes what is asked later fail: whatever a capture says, at whatever time, it is
//! kept and told, or refused. Parsers have such a test beside them; this one is of what they hand on to, also of captures that no
//! parser of ours makes.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use proptest::collection::vec;
use proptest::prelude::*;
use zenovay_capture::{
    Breadcrumb, Capture, CaptureOptions, Captures, Context, DeviceClass, ErrorCapture, Filter, GroupQuery, HEAT_BANDS,
    HeatClick, HeatFilter, HeatPagesQuery, HeatSort, HeatTold, HeatmapCapture, HeatmapQuery, Mark, MarkKind, NewChunk,
    ReplayCapture, ReplayLimits, ReplayQuery, ReplayRefused, ReplaySummary, Status, View, VitalsCapture, VitalsQuery,
    WithErrors,
};
use zenovay_domain::{SessionId, TimeRange, Timestamp, VisitorId, WebsiteId};
use zenovay_events::{BatchName, CaptureSink, Kept};

const NOW_MS: i64 = 1_781_352_000_000;

fn site() -> WebsiteId {
    WebsiteId::from_random_bytes([1; 16])
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

/// Any time in milliseconds, mostly at the ends of what there is, or near those of the others.
fn time() -> impl Strategy<Value = i64> + Clone {
    prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -3i64..3, NOW_MS..NOW_MS + 30_000]
}

/// Mostly now, so that the times of what is sent are near each other.
fn often_now() -> impl Strategy<Value = i64> + Clone {
    prop_oneof![4 => NOW_MS..NOW_MS + 30_000, 1 => time()]
}

/// Any length.
fn length() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), Just(u64::MAX), Just(i64::MAX as u64), 0u64..9]
}

fn limit() -> impl Strategy<Value = usize> {
    prop_oneof![0usize..9, Just(usize::MAX)]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => Just("/a".to_owned()), 1 => "(.|\\n|\\x00){0,9}", 1 => Just("é".repeat(900))]
}

fn context() -> impl Strategy<Value = Context> {
    // Of few, so that several captures are of one visit.
    (time(), 0u64..2, 0u64..2, text(), text()).prop_map(|(at_ms, visitor, session, path, device)| Context {
        at_ms,
        visitor: visitor.wrapping_sub(1),
        session: session.wrapping_sub(1),
        path,
        device,
        ..Context::default()
    })
}

fn mark() -> impl Strategy<Value = Mark> {
    let kind = prop_oneof![
        (any::<u64>(), any::<i32>(), prop_oneof![Just(i32::MIN), Just(i32::MAX), 0i32..9])
            .prop_map(|(node, x, y)| MarkKind::Click { node, x, y }),
        (text(), text()).prop_map(|(kind, message)| MarkKind::Error { kind, message }),
        text().prop_map(|path| MarkKind::Page { path }),
        Just(MarkKind::Pause),
    ];
    (time(), kind).prop_map(|(at_ms, kind)| Mark { at_ms, kind })
}

fn summary() -> impl Strategy<Value = ReplaySummary> {
    let view = (time(), text(), any::<u32>(), any::<u32>(), any::<bool>())
        .prop_map(|(at_ms, path, width, height, has_snapshot)| View { at_ms, path, width, height, has_snapshot });
    let active = prop::option::of((time(), time()));
    let lists = (vec(mark(), 0..6), vec(view, 0..3), vec((time(), time()), 0..4));
    (any::<u32>(), time(), time(), any::<u32>(), lists, active).prop_map(
        |(events, first_ms, last_ms, clicks, (marks, views, idle), active)| ReplaySummary {
            events,
            first_ms,
            last_ms,
            clicks,
            errors: clicks,
            pages: clicks,
            marks,
            views,
            first_active_ms: active.map(|(first, _)| first),
            last_active_ms: active.map(|(_, last)| last),
            idle,
            ..ReplaySummary::default()
        },
    )
}

fn replay() -> impl Strategy<Value = Capture> {
    let lengths = (length(), length(), length());
    let seq = prop_oneof![0u32..4, any::<u32>(), Just(u32::MAX)];
    (context(), 0u8..2, seq, time(), lengths, summary(), any::<bool>()).prop_map(
        |(context, replay, seq, clock_ms, (bytes, raw_bytes, sent_bytes), summary, is_final)| {
            Capture::Replay(ReplayCapture {
                context,
                digest: [replay; 16],
                seq,
                is_final,
                masks_inputs: is_final,
                clock_ms,
                blob: format!("replays/{}/{replay}/{seq}", site()),
                bytes,
                raw_bytes,
                sent_bytes,
                summary,
            })
        },
    )
}

fn heatmap() -> impl Strategy<Value = Capture> {
    let click =
        (text(), any::<[u16; 2]>(), any::<u8>(), any::<bool>()).prop_map(|(address, [cell, spot], count, is_rage)| {
            HeatClick { address, label: String::new(), cell, spot, count, is_rage, is_dead: !is_rage }
        });
    let told = (any::<[u32; 4]>(), text(), any::<u32>(), vec(click, 0..4), vec(any::<u16>(), 0..4)).prop_map(
        |([width, height, wide, high], dom, reached, clicks, moves)| HeatTold {
            viewport: [width, height],
            page: [wide, high],
            dom,
            reached,
            attention: [reached; HEAT_BANDS],
            clicks,
            moves,
        },
    );
    let class = prop_oneof![4 => 0u8..3, 1 => any::<u8>()];
    (context(), 0u64..3, any::<u32>(), class, told).prop_map(|(context, view, seq, class, told)| {
        Capture::Heatmap(HeatmapCapture { context, view, seq, class, told })
    })
}

fn capture() -> impl Strategy<Value = Capture> {
    let vitals = (context(), 0u64..3, any::<[Option<f64>; 5]>()).prop_map(|(context, view, values)| {
        Capture::Vitals(VitalsCapture { context, view, values, connection: String::new() })
    });
    let error = (context(), text(), text(), any::<u32>()).prop_map(|(context, kind, message, count)| {
        let breadcrumbs = [Breadcrumb { before_ms: count, kind: "view".to_owned(), text: kind.clone() }].to_vec();
        Capture::Error(ErrorCapture { context, kind, message, count, breadcrumbs, ..ErrorCapture::default() })
    });
    prop_oneof![4 => replay(), 2 => heatmap(), 1 => vitals, 1 => error]
}

/// Asks everything there is to ask.
fn ask(captures: &Captures, times: [i64; 2], limits: [usize; 2], lengths: [i64; 2]) {
    let range = TimeRange::new(at(times[0].min(times[1])), at(times[0].max(times[1])));
    let [offset, limit] = limits;
    for range in [range, TimeRange::ALL] {
        let filter = Filter { range, keep: None };
        let buckets = [range.from, at(NOW_MS)];
        let query = ReplayQuery {
            min_ms: lengths[0],
            max_ms: lengths[1],
            at: Some(at(times[0])),
            errors: Some(WithErrors::Any),
            ..ReplayQuery::of(filter)
        };
        captures.replays(site(), &query, offset, limit).unwrap();
        captures.vitals(site(), &VitalsQuery { filter, buckets: &buckets, pages: limit }).unwrap();
        let query = GroupQuery { filter, buckets: &buckets };
        for found in captures.errors_in(site(), None, &query).unwrap().into_iter().take(2) {
            captures.error_detail(site(), found.group.id, &query, limit).unwrap();
            captures.set_error_status(site(), found.group.id, Status::Resolved, "", at(times[1])).unwrap();
            let with = ReplayQuery { errors: Some(WithErrors::Of(found.group.id)), ..ReplayQuery::of(filter) };
            captures.replays(site(), &with, 0, 9).unwrap();
        }
        let filter = HeatFilter { range, ..HeatFilter::ALL };
        let pages = HeatPagesQuery { sort: HeatSort::default(), filter, class: None, contains: "", offset, limit };
        captures.heat_pages(site(), &pages).unwrap();
        for class in DeviceClass::ALL {
            let query = HeatmapQuery { filter, path: "/a", class, elements: limit, spots: offset };
            captures.heatmap(site(), &query).unwrap();
        }
    }
    let found = captures.replays(site(), &ReplayQuery::of(Filter { range: TimeRange::ALL, keep: None }), 0, 9).unwrap();
    for replay in found.replays {
        captures.replay(site(), replay.id).unwrap().unwrap();
        captures.replay_events(site(), replay.id, 0, limit, offset).unwrap().unwrap();
    }
    for visitor in [VisitorId(0), VisitorId(u64::MAX)] {
        captures.visitor(site(), visitor).unwrap();
        captures.replay_at(site(), SessionId(visitor.0), at(times[0])).unwrap();
    }
    captures.page_snapshot(site(), "/a", 0..u32::MAX).unwrap();
    captures.replay_damages().unwrap();
    assert_eq!(captures.damages().unwrap(), [] as [String; 0]);
}

/// More than one object has room for, of which the first chunks are lost. Sabotage: look for the first chunks again as long as there
/// are others.
#[test]
fn lost_chunks_are_looked_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let captures = Captures::open(directory.path()).unwrap();
    for seq in 0..3 {
        let lost = Capture::Replay(ReplayCapture {
            context: Context { at_ms: NOW_MS, path: "/a".to_owned(), ..Context::default() },
            digest: [1; 16],
            seq,
            is_final: false,
            masks_inputs: true,
            clock_ms: 0,
            blob: format!("replays/{}/1/{seq}", site()),
            bytes: 20 << 20,
            raw_bytes: 20 << 20,
            sent_bytes: 20 << 20,
            summary: ReplaySummary { events: 2, first_ms: NOW_MS, last_ms: NOW_MS + 9, ..ReplaySummary::default() },
        });
        captures.take(BatchName::new(1, u64::from(seq) + 1), [(site(), lost.pack())].to_vec());
    }
    captures.catch_up().unwrap();
    let quiet = at(NOW_MS + 3_600_000);
    assert_eq!(captures.merge_replays(quiet).unwrap(), 1);
    assert_eq!(captures.merge_replays(quiet).unwrap(), 0, "they are not looked at again");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Sabotage: apply a capture with its times as they are, or keep a click that is beyond the grid.
    #[test]
    fn any_capture_is_kept_and_told(
        kept in vec(capture(), 1..9),
        times in [time(), time()],
        limits in [limit(), limit()],
        lengths in [time(), time()],
        days: u32,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let options = CaptureOptions { replays: ReplayLimits { days, bytes: 1 << 40 }, ..CaptureOptions::default() };
        let captures = Captures::open_with(directory.path(), options).unwrap();
        for (number, capture) in (1..).zip(&kept) {
            captures.take(BatchName::new(1, number), [(site(), capture.pack())].to_vec());
        }
        captures.catch_up().unwrap();
        ask(&captures, times, limits, lengths);
        // What has to be done now and then, at any time that a clock says.
        for now in times.map(at) {
            captures.retain(&[Kept::new(site(), Some(at(lengths[0])))], Some(now)).unwrap();
            captures.merge_replays(now).unwrap();
            captures.remove_orphans(now).unwrap();
            captures.remove_orphans_away(now).unwrap();
            captures.limit_replays(Some(now)).unwrap();
            captures.remove_hidden().unwrap();
        }
        ask(&captures, times, limits, lengths);
        captures.erase_visitor(site(), VisitorId(u64::MAX)).unwrap();
        captures.delete_website(site()).unwrap();
        assert_eq!((captures.replay_bytes().unwrap(), captures.waiting_replay_bytes().unwrap()), (0, 0));
    }

    /// Sabotage: add what was sent to what is kept of the visit with `+`, or take the time at which a chunk was sent from that at
    /// which it came as they are.
    #[test]
    fn any_chunk_is_kept_or_refused(
        chunks in vec((0u32..3, prop::option::of(often_now()), often_now(), length(), often_now()), 1..5),
        masks_inputs: bool,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let captures = Captures::open(directory.path()).unwrap();
        for (number, &(seq, sent_at_ms, received_ms, sent_bytes, event_ms)) in (1..).zip(&chunks) {
            let events = format!(
                r#"[{{"type":3,"timestamp":{event_ms},"data":{{"source":2,"type":2,"id":{sent_bytes},"x":{event_ms},"y":-{sent_bytes}}}}}]"#
            );
            let chunk = NewChunk {
                website: site(),
                context: Context { at_ms: received_ms, visitor: 0, session: 0, ..Context::default() },
                replay_id: [1; 16],
                seq,
                is_final: false,
                masks_inputs,
                sent_at_ms,
                received_ms,
                sent_bytes,
                events: &events,
            };
            match captures.keep_replay(&chunk) {
                Ok(kept) => {
                    if let Some(kept) = kept {
                        captures.take(BatchName::new(1, number), [(site(), Capture::Replay(kept).pack())].to_vec());
                    }
                    captures.catch_up().unwrap();
                }
                Err(ReplayRefused::Duplicate | ReplayRefused::SessionFull | ReplayRefused::Wrong(_)) => {}
                Err(failed) => panic!("{failed}"),
            }
            ask(&captures, [received_ms, event_ms], [0, 9], [i64::MIN, i64::MAX]);
        }
    }
}
