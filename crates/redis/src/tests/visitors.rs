//! Salts and sessions that two servers share.

use std::sync::Mutex;

use zenovay_domain::Timestamp;
use zenovay_ingest::{
    Marks, OpenSession, SaltStore, Secret, SessionKind, SessionPart, SessionStore, VisitorHasher,
    salt_store_conformance_tests, session_store_conformance_tests,
};

use super::*;
use crate::{RedisSalts, RedisSessions};

/// Two nodes of a world of their own.
fn nodes(server: &Server) -> [Redis; 2] {
    let prefix = prefix();
    [(); 2].map(|()| node(server, &prefix, &Arc::default()))
}

/// A secret of an installation that all have.
fn installation() -> impl Fn(Secret) -> std::io::Result<Secret> + Clone + Send + Sync + 'static {
    let kept: Arc<Mutex<Option<Secret>>> = Arc::default();
    move |fresh| Ok(kept.lock().unwrap().get_or_insert(fresh).clone())
}

mod shared_salts {
    use super::*;

    salt_store_conformance_tests!(|| {
        let (nodes, keep, next) = (nodes(&SERVER), installation(), AtomicU32::new(0));
        move || -> Arc<dyn SaltStore> {
            let node = &nodes[next.fetch_add(1, Ordering::Relaxed) as usize % 2];
            Arc::new(RedisSalts::new(node, keep.clone()))
        }
    });
}

mod shared_sessions {
    use super::*;

    session_store_conformance_tests!(|| {
        let (nodes, next) = (nodes(&SERVER), AtomicU32::new(0));
        move || -> Arc<dyn SessionStore> {
            Arc::new(RedisSessions::new(&nodes[next.fetch_add(1, Ordering::Relaxed) as usize % 2]))
        }
    });
}

const DAY: i64 = 20_000;

fn at(hours: i64) -> Timestamp {
    Timestamp::from_millis(DAY * 86_400_000 + hours * 3_600_000)
}

fn salts(store: &RedisSalts) -> Vec<Secret> {
    store.keep_only(DAY - 1..=DAY + 1).unwrap().into_iter().map(|salt| salt.salt).collect()
}

/// Sabotage: let nobody be named while Redis is away, or draw another salt when it comes back without the first.
#[test]
fn salts_go_on_without_redis_and_come_back_to_it() {
    let server = Server::start();
    let [one, other] = nodes(&server);
    let keep = installation();
    let [first, second] = [&one, &other].map(|node| Arc::new(RedisSalts::new(node, keep.clone())));
    VisitorHasher::new(Arc::clone(&first), at(1)).unwrap();
    let drawn = salts(&first);
    assert_eq!(drawn.len(), 1);
    assert_eq!(salts(&second), drawn);
    for key in server.keys("*salt:*") {
        let left: i64 = answer(&server, &["PTTL", &key]);
        assert!((1..=2 * 86_400_000).contains(&left), "{left}");
    }
    // Redis forgets, and is told again.
    let () = answer(&server, &["FLUSHALL"]);
    assert_eq!((salts(&first), salts(&second)), (drawn.clone(), drawn.clone()));
    // It is away over midnight: each draws its own, until both can ask again.
    for node in [&one, &other] {
        node.shared.link.is_cut.store(true, Ordering::Relaxed);
    }
    for (store, byte) in [(&first, 1), (&second, 2)] {
        store.get_or_create(DAY + 1, Secret::new([byte; 32])).unwrap();
    }
    assert_ne!(salts(&first)[1], salts(&second)[1]);
    for node in [&one, &other] {
        node.shared.link.is_cut.store(false, Ordering::Relaxed);
        node.shared.connect(None).unwrap();
    }
    assert_eq!(salts(&first), salts(&second));
    // What is destroyed does not come back from a server that knew it.
    assert!(first.keep_only(DAY + 2..=DAY + 3).unwrap().is_empty());
    assert!(second.keep_only(DAY + 2..=DAY + 3).unwrap().is_empty());
    assert!(server.keys("*salt:*").is_empty(), "{:?}", server.keys("*"));
}

fn session(visitor: u64, last_at: Timestamp) -> OpenSession {
    let part = SessionPart::new(last_at, zenovay_domain::SessionId(visitor), Marks::new(1, 2, 3));
    OpenSession::new(zenovay_domain::VisitorId(visitor), last_at, part, 7, SessionKind::Stitched)
}

fn get(store: &RedisSessions) -> Option<OpenSession> {
    let mut found = None;
    store.update(7, at(0), &mut |slots| found = slots.get(0).cloned()).unwrap();
    found
}

/// Sabotage: forget a session with the Redis that had it, or fail without one.
#[test]
fn sessions_go_on_without_redis_and_come_back_to_it() {
    let server = Server::start();
    let [one, other] = nodes(&server);
    let [first, second] = [&one, &other].map(RedisSessions::new);
    let open = session(1, at(0));
    first.update(7, at(0), &mut |slots| slots.put(0, open.clone())).unwrap();
    assert_eq!(get(&second), Some(open.clone()), "a visitor whose hits come to two servers has one visit");
    let keys = server.keys("*session:*");
    let left: i64 = answer(&server, &["PTTL", &keys[0]]);
    assert!((1..=1_800_000).contains(&left), "{left}");
    let () = answer(&server, &["FLUSHALL"]);
    assert_eq!(get(&first), Some(open.clone()));
    one.shared.link.is_cut.store(true, Ordering::Relaxed);
    let later = session(1, at(0).plus_millis(1_000));
    first.update(7, at(0), &mut |slots| slots.put(0, later.clone())).unwrap();
    assert_eq!((get(&first), get(&second)), (Some(later), Some(open)));
}
