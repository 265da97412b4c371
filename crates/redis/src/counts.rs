//! Counts that several nodes share.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zenovay_limits::{
    ClientNetwork, Counts, Decision, LimiterUnavailable, MemoryCounts, Method, Network, Rule, UnixTime,
};

use crate::keeper::{Redis, Shared};
use crate::link::{Away, Script};

/// Keys at most in the database before further ones are counted together: about a gigabyte.
const KEYS_MAX: u64 = 4_000_000;
/// So many counts are shared by the keys that find no room.
const TOGETHER: u64 = 65_536;
/// How long before a window counting must have begun for its counts to be whole, in milliseconds.
const SETTLE_MS: i64 = 5_000;
/// How much longer than needed counts are kept, in milliseconds.
const SLACK_MS: i64 = 1_000;

/// What a request is judged by when Redis cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever adds one decides what it means where requests are charged")]
pub enum Fallback {
    /// By this node's share, and only where all nodes together can let no more pass than the rule says in any window. Until the window
    /// ends in which Redis was lost, nobody can tell. For rules in windows that are not months; other rules cannot be told.
    Exact,
    /// By the number of the rule divided by that of the nodes, at least one: what was counted before is not known.
    Share,
    /// By a quarter of that, at least one.
    Strict,
}

/// How a key is written.
type Write<K> = fn(&K, &mut Vec<u8>);

/// Counts requests by key in Redis, one call for each, by the clock of Redis: exact over all nodes. The time that is given with a
/// request is not used while Redis answers.
///
/// Redis is waited for at most 40 ms; then it counts as away, for all that use it, until the thread of [`Redis`] has found it again.
/// Meanwhile [`Fallback`] says what happens. A database that holds four million keys counts further ones together by their
/// hashes, which may count too much but never too little.
pub struct RedisCounts<K: ?Sized> {
    redis: Redis,
    name: String,
    write: Write<K>,
    /// Keys are hidden by a keyed hash.
    hides: bool,
    fallback: Fallback,
    keys_max: u64,
    own: MemoryCounts<K>,
}

impl RedisCounts<Network> {
    /// Counts of addresses. What is in Redis are keyed hashes of them, with a secret that the nodes share. `max_bytes` are what counts of
    /// this process may take while Redis is away.
    pub fn of_networks(redis: &Redis, name: &str, fallback: Fallback, max_bytes: usize) -> Self {
        let write: Write<Network> = |network, bytes| match network {
            Network::Client(ClientNetwork::V4(v4)) => {
                bytes.push(4);
                bytes.extend(v4.octets());
            }
            Network::Client(ClientNetwork::V6(upper)) => {
                bytes.push(6);
                bytes.extend(upper.to_be_bytes());
            }
            Network::Site(upper) => {
                bytes.push(48);
                bytes.extend(upper.to_be_bytes());
            }
        };
        let own = MemoryCounts::with_max_bytes(max_bytes);
        Self { redis: redis.clone(), name: name.to_owned(), write, hides: true, fallback, keys_max: KEYS_MAX, own }
    }
}

impl<K: ?Sized> RedisCounts<K> {
    /// Counts of keys of which there are not more than somebody made on purpose, such as API keys by their ids. `write` writes the bytes
    /// of one, which are in Redis as they are: different ones for different keys.
    pub fn of_ids(redis: &Redis, name: &str, fallback: Fallback, write: fn(&K, &mut Vec<u8>)) -> Self {
        let own = MemoryCounts::new();
        Self { redis: redis.clone(), name: name.to_owned(), write, hides: false, fallback, keys_max: 0, own }
    }

    #[cfg(test)]
    pub(crate) fn with_keys_max(self, keys_max: u64) -> Self {
        Self { keys_max, ..self }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.redis.shared
    }

    /// The keys of a charge: the counts of `key`, those of keys that find no room, the epoch, the nodes.
    fn keys(&self, key: &K) -> [Vec<u8>; 4] {
        let shared = self.shared();
        let mut id = Vec::with_capacity(16);
        (self.write)(key, &mut id);
        if self.hides {
            // HMAC takes keys of every length: the other arm is never taken, and would still hash.
            let secret = shared.secret.read();
            let mut mac =
                Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap_or_else(|_| Hmac::new(&Default::default()));
            mac.update(&id);
            id = mac.finalize().into_bytes()[..16].to_vec();
        }
        let place = id.first_chunk::<8>().map_or(0, |first| u64::from_le_bytes(*first) % TOGETHER);
        let name = &self.name;
        let mut own = shared.key(&format!("limit:{name}:"));
        own.append(&mut id);
        [own, shared.key(&format!("together:{name}:{place}")), shared.key("epoch"), shared.key("nodes")]
    }

    /// Runs the script: the time, and of each rule its room, when all of it is back, and when the next passes. `None` when it is not
    /// known what was counted.
    fn run(&self, key: &K, rules: &[Rule], now: UnixTime, action: &str) -> Result<Option<(bool, Vec<i64>)>, Away> {
        let shared = self.shared();
        let keys = self.keys(key);
        let (time, slack) = match shared.times.of_caller(now) {
            None => (String::new(), SLACK_MS),
            // Far times have no place in a double; counts end by the real clock, which does not move.
            Some(now) => (now.as_millis().clamp(-FAR_MS, FAR_MS).to_string(), FAR_SLACK_MS),
        };
        let answer = shared.ask(|opened| {
            let run = if self.fallback == Fallback::Exact { opened.run.as_str() } else { "" };
            let mut arguments = vec![
                time.clone(),
                slack.to_string(),
                self.keys_max.to_string(),
                run.to_owned(),
                SETTLE_MS.to_string(),
                action.to_owned(),
                opened.number.to_string(),
            ];
            for (place, rule) in rules.iter().enumerate() {
                arguments.extend(written(rule, &rules[..place]));
            }
            let asker = shared.asker(opened);
            let keys: Vec<_> = keys.iter().chain([&asker]).collect();
            opened.run::<Vec<i64>>(Script::Charge, &keys, arguments)
        })?;
        match answer.split_first() {
            Some((-1, _)) => Ok(None),
            Some((passes, rest)) if action == "refund" || rest.len() == 1 + 3 * rules.len() => {
                Ok(Some((*passes == 1, rest.to_vec())))
            }
            _ => {
                let away = Away::answer("a charge was answered otherwise");
                shared.lose(&away);
                Err(away)
            }
        }
    }
}

/// The farthest time that tests can move to.
const FAR_MS: i64 = 4_000_000_000_000_000;
const FAR_SLACK_MS: i64 = 3_600_000;

/// The five arguments of a rule, after these other rules.
fn written(rule: &Rule, before: &[Rule]) -> [String; 5] {
    let shape = |rule: &Rule| {
        let method = match rule.method() {
            Method::Fixed => 1,
            Method::Sliding => 2,
            Method::Bucket(_) => 3,
            // A method that is not known here would be one of a newer crate of the same workspace.
            _ => 0,
        };
        (method, rule.time().map_or(0, |time| time.as_millis()))
    };
    let (method, ms) = shape(rule);
    let same = before.iter().filter(|other| shape(other) == (method, ms)).count();
    let burst = if let Method::Bucket(burst) = rule.method() { burst } else { 0 };
    [method.to_string(), ms.to_string(), same.to_string(), rule.requests().to_string(), burst.to_string()]
}

/// The decision of the script about these rules.
fn decision(rules: &[Rule], passes: bool, answer: &[i64]) -> Decision {
    let Some((&now, rest)) = answer.split_first() else {
        return Decision::allow(u32::MAX, u32::MAX, UnixTime::default());
    };
    let now = UnixTime::from_millis(now);
    let each = rules.iter().zip(rest.as_chunks::<3>().0).map(|(rule, &[room, resets, next])| {
        let (room, resets) = (u32::try_from(room).unwrap_or(u32::MAX), UnixTime::from_millis(resets));
        if passes || room > 0 {
            // Before a refusal this is what the rule would say by itself.
            return Decision::allow(rule.limit(), if passes { room } else { room - 1 }, resets);
        }
        let wait = UnixTime::from_millis(next).since(now);
        Decision::refuse(rule.limit(), resets, wait.max(std::time::Duration::from_millis(1)))
    });
    each.reduce(Decision::tighter).unwrap_or_else(|| Decision::allow(u32::MAX, u32::MAX, now))
}

impl<K: std::hash::Hash + ?Sized> RedisCounts<K> {
    /// These rules with the numbers that this node goes by alone, and the time to count by.
    fn alone(&self, rules: &[Rule], now: UnixTime) -> Result<(Vec<Rule>, UnixTime), LimiterUnavailable> {
        let part = |rule: &Rule, of: u32, least: u32| {
            let divide = |number: u32| (number / of).max(least.min(number));
            let rule = rule.with_requests(divide(rule.requests()));
            if let Method::Bucket(burst) = rule.method() { rule.burst(divide(burst)) } else { rule }
        };
        let of = match self.fallback {
            Fallback::Share => self.shared().nodes(),
            Fallback::Strict => self.shared().nodes().saturating_mul(4),
            Fallback::Exact => return self.alone_exactly(rules),
        };
        Ok((rules.iter().map(|rule| part(rule, of, 1)).collect(), now))
    }

    fn alone_exactly(&self, rules: &[Rule]) -> Result<(Vec<Rule>, UnixTime), LimiterUnavailable> {
        let mut at = UnixTime::default();
        let mut parts = Vec::with_capacity(rules.len());
        for rule in rules {
            let window = rule.time().filter(|_| rule.method() == Method::Fixed);
            let window = window.and_then(|window| i64::try_from(window.as_millis()).ok());
            let Some(window) = window else { return Err(LimiterUnavailable::new("Redis is away")) };
            let (share, time) = self.shared().own_share(window).map_err(LimiterUnavailable::new)?;
            at = UnixTime::from_millis(time);
            parts.push(rule.with_requests(rule.requests() / share));
        }
        Ok((parts, at))
    }
}

impl<K: std::hash::Hash + ?Sized> Counts<K> for RedisCounts<K> {
    fn charge(&self, key: &K, rules: &[Rule], now: UnixTime) -> Result<Decision, LimiterUnavailable> {
        if let Ok(Some((passes, answer))) = self.run(key, rules, now, "charge") {
            return Ok(decision(rules, passes, &answer));
        }
        let (parts, at) = self.alone(rules, now)?;
        let decision = self.own.charge(key, &parts, at)?;
        Ok(decision)
    }

    fn refund(&self, key: &K, rules: &[Rule], now: UnixTime) -> Result<(), LimiterUnavailable> {
        if let Ok(Some(_)) = self.run(key, rules, now, "refund") {
            return Ok(());
        }
        let (parts, at) = self.alone(rules, now)?;
        self.own.refund(key, &parts, at)
    }

    fn may_block(&self) -> bool {
        true
    }
}
