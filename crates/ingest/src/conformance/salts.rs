//! The rules for stores of salts.

use super::Salts;
use crate::{DailySalt, Secret};

fn secret(byte: u8) -> Secret {
    Secret::new([byte; 32])
}

/// Whatever each server brings along, all have the secret of the first.
pub fn the_secret_of_the_installation_is_drawn_once(make: Salts<'_>) {
    let first = make().installation(secret(1)).unwrap();
    assert_eq!(first, secret(1));
    assert_eq!(make().installation(secret(2)).unwrap(), first);
}

/// The first that comes draws it.
pub fn all_servers_have_one_salt_of_a_day(make: Salts<'_>) {
    let (one, other) = (make(), make());
    one.installation(secret(1)).unwrap();
    assert_eq!(one.get_or_create(20_000, secret(2)).unwrap(), secret(2));
    assert_eq!(other.get_or_create(20_000, secret(3)).unwrap(), secret(2));
    assert_eq!(other.get_or_create(20_001, secret(4)).unwrap(), secret(4));
    assert_eq!(one.get_or_create(20_001, secret(5)).unwrap(), secret(4));
}

/// Of days before and of days that a clock that was wrong has drawn.
pub fn salts_of_other_days_are_destroyed_for_all(make: Salts<'_>) {
    let (one, other) = (make(), make());
    one.installation(secret(1)).unwrap();
    for (day, byte) in [(19_998, 2), (19_999, 3), (20_000, 4), (30_000, 5)] {
        one.get_or_create(day, secret(byte)).unwrap();
    }
    let kept = [DailySalt { day: 19_999, salt: secret(3) }, DailySalt { day: 20_000, salt: secret(4) }];
    assert_eq!(other.keep_only(19_999..=20_001).unwrap(), kept);
    assert_eq!(one.keep_only(0..=100_000).unwrap(), kept);
    assert_eq!(one.get_or_create(19_998, secret(6)).unwrap(), secret(6), "what is destroyed does not come back");
    assert_eq!(one.installation(secret(9)).unwrap(), secret(1), "it is for no day");
}

/// In whichever order they were drawn.
pub fn salts_come_oldest_first(make: Salts<'_>) {
    let store = make();
    store.installation(secret(1)).unwrap();
    for day in [3, 1, 2] {
        store.get_or_create(day, secret(0)).unwrap();
    }
    let days: Vec<i64> = store.keep_only(0..=9).unwrap().into_iter().map(|salt| salt.day).collect();
    assert_eq!(days, [1, 2, 3]);
}
