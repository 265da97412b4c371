//! The rules for stores of sessions.

use zenovay_domain::{SESSION_GAP_MS, SessionId, Timestamp, VisitorId};

use super::Sessions;
use crate::{Marks, OpenSession, SessionKind, SessionPart, SessionStore};

const NOW: Timestamp = Timestamp::from_millis(1_781_308_800_000);

fn part(number: u64) -> SessionPart {
    let marks = Marks { campaign: 1, click: Marks::ANY, referrer: 3 };
    SessionPart { began_at: NOW, session: SessionId(u64::MAX - number), marks }
}

fn session(visitor: u64) -> OpenSession {
    OpenSession {
        visitor: VisitorId(visitor),
        last_at: NOW,
        latest: part(0),
        earlier: vec![part(1), part(2)],
        day: -7,
        parts: 65_535,
        kind: SessionKind::Known,
        named: u64::MAX,
    }
}

fn put(store: &dyn SessionStore, key: u64, slot: u64, session: &OpenSession) {
    store.update(key, NOW, &mut |slots| slots.put(slot, session.clone())).unwrap();
}

fn get(store: &dyn SessionStore, key: u64, slot: u64) -> Option<OpenSession> {
    let mut found = None;
    store.update(key, NOW, &mut |slots| found = slots.get(slot).cloned()).unwrap();
    found
}

/// Every member, with the values at the ends of its range.
pub fn what_is_put_is_found_with_all_of_it(make: Sessions<'_>) {
    let store = make();
    assert_eq!(get(&*store, 1, 0), None);
    for kind in [SessionKind::Known, SessionKind::Anonymous, SessionKind::Stitched, SessionKind::Alias] {
        let session = OpenSession { kind, ..session(u64::MAX) };
        put(&*store, 1, 0, &session);
        assert_eq!(get(&*store, 1, 0), Some(session));
    }
}

/// A session in one slot, or under one key, is in no other.
pub fn keys_and_slots_are_apart(make: Sessions<'_>) {
    let store = make();
    let places: Vec<(u64, u64)> =
        [7, 23, u64::MAX].into_iter().flat_map(|key| [0, 1, 77].map(|slot| (key, slot))).collect();
    for (number, &(key, slot)) in (0..).zip(&places) {
        put(&*store, key, slot, &session(number));
    }
    for (number, &(key, slot)) in (0..).zip(&places) {
        assert_eq!(get(&*store, key, slot), Some(session(number)), "{key} {slot}");
    }
    assert_eq!(get(&*store, 7, 2), None);
}

/// Two servers go on with one session.
pub fn what_one_server_changes_the_next_sees(make: Sessions<'_>) {
    let (one, other) = (make(), make());
    put(&*one, 1, 0, &session(1));
    let change = &mut |slots: &mut dyn crate::Slots| {
        if let Some(open) = slots.get(0) {
            open.parts = 2;
            open.earlier.clear();
        }
    };
    other.update(1, NOW, change).unwrap();
    assert_eq!(get(&*one, 1, 0), Some(OpenSession { parts: 2, earlier: Vec::new(), ..session(1) }));
}

/// No change is lost when several servers make them at once.
pub fn changes_of_one_key_follow_each_other(make: Sessions<'_>) {
    const SERVERS: u16 = 4;
    const CHANGES: u16 = 250;
    put(&*make(), 1, 0, &OpenSession { parts: 0, ..session(1) });
    std::thread::scope(|scope| {
        for _ in 0..SERVERS {
            let store = make();
            scope.spawn(move || {
                for _ in 0..CHANGES {
                    let change = &mut |slots: &mut dyn crate::Slots| {
                        if let Some(open) = slots.get(0) {
                            open.parts += 1;
                        }
                    };
                    store.update(1, NOW, change).unwrap();
                }
            });
        }
    });
    assert_eq!(get(&*make(), 1, 0).map(|open| open.parts), Some(SERVERS * CHANGES));
}

/// What goes on is not forgotten for what is over.
pub fn what_goes_on_is_kept(make: Sessions<'_>) {
    let store = make();
    put(&*store, 1, 0, &OpenSession { last_at: NOW.plus_millis(1 - SESSION_GAP_MS), ..session(1) });
    for key in 2..1_000 {
        put(&*store, key, 0, &OpenSession { last_at: NOW.plus_millis(-2 * SESSION_GAP_MS), ..session(key) });
    }
    assert_eq!(get(&*store, 1, 0).map(|open| open.visitor), Some(VisitorId(1)));
}
