//! What a program does before it exits: a process of its own, for nothing is asked afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

#[path = "common/faults.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod faults;
#[path = "common/postgres.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod postgres;

use std::time::{Duration, Instant};

use faults::{Behind, Fault, FaultyProxy};
use zenovay_store::{DataVersion, PostgresStore, ServerClaim, StoreError, UserStore, end_postgres};

/// Sabotage: let those who wait go on waiting, those who open a connection go on opening it, or anybody begin.
#[test]
fn whoever_exits_waits_for_no_server() {
    let server = postgres::Server::start();
    let proxy = FaultyProxy::before(Behind::Unix(server.socket()));
    let url = format!("postgres://postgres@{}/postgres", proxy.address);
    let store = PostgresStore::open(&url).unwrap();
    assert!(!store.has_users().unwrap());
    let mut claim = ServerClaim::new(&url).unwrap();
    assert_eq!(claim.hold().unwrap(), None);
    proxy.set(Fault::Silence);
    std::thread::scope(|scope| {
        let asks = scope.spawn(|| store.has_users().map(drop));
        let opens = scope.spawn(|| PostgresStore::open(&url).map(drop));
        let holds = scope.spawn(|| claim.hold().map(drop));
        // Each is in libpq, or will be refused to enter it.
        std::thread::park_timeout(Duration::from_millis(200));
        let began = Instant::now();
        end_postgres();
        for waits in [asks, opens, holds] {
            assert!(matches!(waits.join().unwrap(), Err(StoreError::Unavailable(_))));
        }
        assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
    });
    proxy.set(Fault::None);
    assert!(matches!(store.data_version(), Err(StoreError::Unavailable(_))));
    assert!(matches!(PostgresStore::open(&url), Err(StoreError::Unavailable(_))));
}
