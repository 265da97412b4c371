//! The salts of visitors without a cookie, shared by several servers.

use std::fmt;
use std::io;
use std::ops::RangeInclusive;

use parking_lot::Mutex;
use zenovay_domain::SESSION_GAP_MS;
use zenovay_ingest::{DailySalt, SaltStore, Secret};

use crate::keeper::Redis;
use crate::link::{Away, Script};

/// How long a salt is in Redis after its day: until the sessions are over that it named, and then some time for clocks that go wrong.
const AFTER_MS: i64 = SESSION_GAP_MS + 3_600_000;

/// Keeps the secret of the installation: the one that is kept, else this one.
type Installation = dyn Fn(Secret) -> io::Result<Secret> + Send + Sync;

/// Keeps the salts of days in Redis, where each ends by itself within two hours after its day. What is destroyed is no longer in
/// the memory of Redis, and was on no disk when Redis writes to none ([`Observer::persists`](crate::Observer::persists)).
///
/// Each server has the salts that it uses in its memory as well: with them it goes on while Redis is away, and gives them back to a Redis
/// that lost them. Servers that draw a salt for a day while none of them reaches Redis give visitors different names until one of them has
/// told Redis its salt; then all have that one.
///
/// The secret of the installation is not there, for it must outlast Redis: it is kept elsewhere, for all servers.
pub struct RedisSalts {
    redis: Redis,
    installation: Box<Installation>,
    /// The oldest first.
    known: Mutex<Vec<Known>>,
}

/// A salt that this server knows.
#[derive(Clone)]
struct Known {
    salt: DailySalt,
    /// Redis was not told of it yet.
    is_new: bool,
}

impl fmt::Debug for RedisSalts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisSalts(..)")
    }
}

impl RedisSalts {
    /// Salts in `redis`. `installation` keeps the secret of the installation for all servers, and gives the one that is kept.
    pub fn new(redis: &Redis, installation: impl Fn(Secret) -> io::Result<Secret> + Send + Sync + 'static) -> Self {
        Self { redis: redis.clone(), installation: Box::new(installation), known: Mutex::default() }
    }

    /// What Redis has of `days` after it was told of `known`.
    fn exchange(&self, days: &RangeInclusive<i64>, known: &[Known]) -> Result<Vec<Known>, Away> {
        let shared = &self.redis.shared;
        let answer: Vec<Vec<u8>> = shared.ask(|opened| {
            let mut arguments = vec![
                shared.key("salt:"),
                days.start().to_string().into_bytes(),
                days.end().to_string().into_bytes(),
                AFTER_MS.to_string().into_bytes(),
            ];
            for Known { salt, is_new } in known {
                let state: &[u8] = if *is_new { b"new" } else { b"known" };
                arguments.extend([salt.day.to_string().into_bytes(), salt.salt.as_bytes().to_vec(), state.to_vec()]);
            }
            opened.run(Script::Salts, &[shared.key("salts")], arguments)
        })?;
        let read = |[day, salt]: &[Vec<u8>; 2]| {
            let day = std::str::from_utf8(day).ok()?.parse().ok()?;
            let salt = DailySalt::new(day, Secret::new(salt.as_slice().try_into().ok()?));
            Some(Known { salt, is_new: false })
        };
        let (pairs, rest) = answer.as_chunks::<2>();
        let salts = pairs.iter().map(read).collect::<Option<Vec<_>>>().filter(|_| rest.is_empty());
        salts.ok_or_else(|| Away::answer("salts were answered otherwise"))
    }
}

impl SaltStore for RedisSalts {
    fn installation(&self, fresh: Secret) -> io::Result<Secret> {
        (self.installation)(fresh)
    }

    fn keep_only(&self, days: RangeInclusive<i64>) -> io::Result<Vec<DailySalt>> {
        let mut known = self.known.lock();
        known.retain(|known| days.contains(&known.salt.day));
        if let Ok(salts) = self.exchange(&days, &known) {
            *known = salts;
        }
        Ok(known.iter().map(|known| known.salt.clone()).collect())
    }

    fn get_or_create(&self, day: i64, fresh: Secret) -> io::Result<Secret> {
        let mut known = self.known.lock();
        let of_day =
            |known: &[Known]| known.iter().find(|known| known.salt.day == day).map(|known| known.salt.salt.clone());
        if of_day(&known).is_none() {
            let place = known.partition_point(|known| known.salt.day < day);
            known.insert(place, Known { salt: DailySalt::new(day, fresh.clone()), is_new: true });
        }
        // Of other days nothing is destroyed.
        if let Ok(salts) = self.exchange(&(i64::MIN..=i64::MAX), &known) {
            *known = salts;
        }
        // Redis has one of the day: it was told of one.
        Ok(of_day(&known).unwrap_or(fresh))
    }
}
