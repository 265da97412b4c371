//! Very many keys.

use zenovay_limits::{ClientNetwork, Counts, Network, Rule, UnixTime};

use super::*;
use crate::{Fallback, RedisCounts};

fn network(n: u32) -> Network {
    Network::Client(ClientNetwork::V4(n.into()))
}

/// Sabotage: give a key that finds no room a count of its own, or none; begin at nothing when there is room again.
#[test]
fn keys_that_find_no_room_are_counted_together_and_free_nobody() {
    let server = Server::start();
    let at = Arc::default();
    let redis = node(&server, "z:", &at);
    let counts = RedisCounts::of_networks(&redis, "t", Fallback::Share, 1 << 20).with_keys_max(100);
    let (rule, now) = (Rule::per_minute(3), UnixTime::from_millis(1_781_308_800_000));
    let passes = |n| counts.charge(&network(n), &[rule], now).unwrap().allowed;
    assert!(passes(0));
    for n in 1..3_000 {
        passes(n);
    }
    let keys: u64 = answer(&server, &["DBSIZE"]);
    let own: Vec<Vec<u8>> = answer(&server, &["KEYS", "z:limit:*"]);
    // The other is the number of the last charge.
    assert_eq!(own.len(), 99);
    assert!(keys <= 3_000);
    assert_eq!((0..5).filter(|_| passes(0)).count(), 2, "who is known keeps the count");
    let late = (0..5).filter(|_| passes(2_999)).count();
    assert!(late <= 2);
    // There is room again, and what was counted together stays counted.
    for key in &own {
        let mut connection = RedisUrl::read(&server.url()).unwrap().client().unwrap().get_connection().unwrap();
        let _: i64 = redis::cmd("DEL").arg(key).query(&mut connection).unwrap();
    }
    assert!(!passes(2_999));
    let together = &server.keys("z:together:*")[0];
    let lasting: i64 = answer(&server, &["PTTL", together]);
    assert!(lasting > 0, "every count ends by itself");
}

/// Sabotage: write the bytes of an address as they are.
#[test]
fn no_address_is_in_redis() {
    let server = Server::start();
    let redis = node(&server, "z:", &Arc::default());
    let counts = RedisCounts::of_networks(&redis, "t", Fallback::Share, 1 << 20);
    let v4: std::net::IpAddr = "203.0.113.77".parse().unwrap();
    let v6: std::net::IpAddr = "2001:db8:77::77".parse().unwrap();
    for address in [v4, v6] {
        let _ =
            counts.charge(&Network::Client(address.into()), &[Rule::per_hour(3)], UnixTime::from_millis(0)).unwrap();
    }
    let keys: Vec<Vec<u8>> = answer(&server, &["KEYS", "*"]);
    // The third is the number of the last charge.
    assert_eq!(keys.len(), 3);
    for hidden in [&b"203.0.113.77"[..], &[203, 0, 113, 77], &[0x20, 0x01, 0x0d, 0xb8, 0, 0x77], b"2001:db8"] {
        assert!(keys.iter().all(|key| !key.windows(hidden.len()).any(|part| part == hidden)), "{hidden:?}");
    }
}
