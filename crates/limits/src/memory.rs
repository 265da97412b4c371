//! Counts in the memory of this process.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::marker::PhantomData;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::rule::{Method, Rule};
use crate::sketch::{self, Sketch};
use crate::state::{Count, SLIDING_HEAP_BYTES};
use crate::{Counts, Decision, LimiterUnavailable, UnixTime};

/// The bytes that counts take at most, unless another number is given: 64 MiB.
pub const DEFAULT_MAX_BYTES: usize = 64 << 20;

/// The fewest bytes that counts take when they are full.
const LEAST_BYTES: usize = 4 << 10;
const SHARDS_MAX: usize = 64;
/// Fewer bytes than these are not worth a shard of their own.
const SHARD_BYTES: usize = 1 << 20;
/// Different times of rules whose further keys are counted together, in each shard.
const SKETCHES: usize = 4;
/// A place in the table, and the byte by which it is found.
const PLACE_BYTES: usize = size_of::<(Id, Count)>() + 1;
/// A count of a bucket or a fixed window takes a unit of the room; a sliding one takes as many as it has bytes.
const SLIDING_UNITS: usize = SLIDING_HEAP_BYTES.div_ceil(PLACE_BYTES) + 1;
/// How often counts that are over are looked for: in a shard that is full, and in one that is not.
const SWEEP_FULL_MS: i64 = 250;
const SWEEP_MS: i64 = 5_000;
/// A clock that goes back by no more than this, or by a sixth of the time of the rule if that is less, is waited for.
const TOLERANCE_MS: i64 = 600_000;

/// Counts requests by key in the memory of this process, and in bounded memory whatever keys are made up.
///
/// Each key has as many counts as it has rules. They are held in at most [`DEFAULT_MAX_BYTES`] or
/// [`with_max_bytes`](Self::with_max_bytes), in which 917,504 counts of fixed windows and buckets find room, or some 100,000
/// sliding ones; other numbers of bytes hold in proportion, down to the next power of two. **When there is no more room**,
/// a key that is held keeps its count, and further keys are counted together by their hashes, never too low: nobody escapes
/// a limit by making up keys, but a newcomer may be refused too early while so many others come. Counts that are over are
/// forgotten while others are made, at the latest after five seconds, and their memory is given back;
/// [`forget`](Self::forget) does the same when nobody comes.
///
/// Keys are not kept: of each, a hash of 128 bits with a secret of this process is. Keys that are equal must hash the same,
/// as in a [`HashMap`]; keys that hash the same count as one.
///
/// **The clock may be set.** When it goes back a little, as time synchronisation does, time stands still until it has caught
/// up. When it goes back further, what was counted goes on as if it had been counted now. Either way nothing is given
/// twice, and nobody is locked out for much longer than the time of the rule.
///
/// ```
/// use zenovay_limits::{MemoryCounts, Rule, UnixTime};
///
/// // Each plan has its rules; a key that changes its plan keeps its counts.
/// let counts = MemoryCounts::<str>::new();
/// let free = [Rule::per_second(1), Rule::per_day(100)];
/// let paid = [Rule::per_second(10), Rule::per_day(5_000)];
/// let now = UnixTime::from_millis(0);
/// assert!(counts.check("alice", &free, now).allowed);
/// assert!(!counts.check("alice", &free, now).allowed);
/// assert_eq!(counts.check("alice", &paid, now).remaining, 8);
/// assert_eq!(counts.len(), 2);
/// ```
pub struct MemoryCounts<K: ?Sized> {
    shards: Box<[Mutex<Shard>]>,
    hashers: [RandomState; 2],
    /// Units in each shard.
    room: usize,
    /// Counters in each row of a sketch.
    width: usize,
    key: PhantomData<fn(&K)>,
}

/// The hash of a key and of what tells its rules apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Id {
    high: u64,
    low: u64,
}

impl Id {
    /// The rules, each with the id of its count of the key with this id. Of rules of one time and method each has a count of
    /// its own.
    fn under(self, rules: &[Rule]) -> impl Iterator<Item = (Self, &Rule)> {
        rules.iter().enumerate().map(move |(place, rule)| {
            let same = rules[..place].iter().filter(|earlier| earlier.shape() == rule.shape()).count() as u64;
            // The shape has 34 bits. Two odd numbers without a pattern: the golden ratio and the square root of two.
            let (shape, odd) = (rule.shape() | same << 34, 0x9e37_79b9_7f4a_7c15_u64);
            let (high, low) = (shape.wrapping_mul(odd), shape.wrapping_mul(0xb504_f333_f9de_6485));
            (Self { high: self.high ^ high, low: self.low ^ low }, rule)
        })
    }
}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.low);
    }
}

/// Takes an id as its hash, because it is one.
#[derive(Debug, Clone, Copy, Default)]
struct TakeAsHash(u64);

impl Hasher for TakeAsHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

struct Shard {
    counts: HashMap<Id, Count, BuildHasherDefault<TakeAsHash>>,
    /// The room that the counts take.
    units: usize,
    sketches: Vec<Sketch>,
    /// The latest time that was seen, in milliseconds since 1970.
    latest: i64,
    swept_at: i64,
}

/// How a key stands under a rule before a request.
struct Standing {
    room: u32,
    reset_at: i64,
    passes_at: i64,
}

impl<K: ?Sized> MemoryCounts<K> {
    /// Nothing is counted yet. At most [`DEFAULT_MAX_BYTES`] will be taken, and next to nothing at first.
    pub fn new() -> Self {
        Self::with_max_bytes(DEFAULT_MAX_BYTES)
    }

    /// The same with another number of bytes at most; fewer than 4,096 are taken as 4,096.
    pub fn with_max_bytes(bytes: usize) -> Self {
        let bytes = bytes.max(LEAST_BYTES);
        let shards = previous_power_of_two(bytes / SHARD_BYTES).clamp(1, SHARDS_MAX);
        let shard_bytes = bytes / shards;
        // A quarter is for the keys that find no room, three quarters for those that do.
        let width = shard_bytes / 4 / (SKETCHES * sketch::BYTES_OF_WIDTH);
        let room = previous_power_of_two(shard_bytes / 4 * 3 / PLACE_BYTES) / 8 * 7;
        let shard = || {
            Mutex::new(Shard {
                counts: HashMap::default(),
                units: 0,
                sketches: Vec::new(),
                latest: i64::MIN,
                swept_at: i64::MIN,
            })
        };
        Self {
            shards: std::iter::repeat_with(shard).take(shards).collect(),
            hashers: [RandomState::new(), RandomState::new()],
            room,
            width,
            key: PhantomData,
        }
    }

    /// How many counts are held: one for each key and rule that has not been forgotten. Further keys, for which there was
    /// no room, are not among them.
    pub fn len(&self) -> usize {
        self.locked().map(|shard| shard.counts.len()).sum()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes that are taken now for counts and sketches.
    pub fn bytes(&self) -> usize {
        self.locked().map(|shard| shard.bytes()).sum()
    }

    /// Forgets what is over at `now`, and gives its memory back. It happens by itself while requests are charged; call it
    /// from a timer where memory should be given back although nobody comes.
    pub fn forget(&self, now: impl Into<UnixTime>) {
        let now = now.into().as_millis();
        self.locked().for_each(|mut shard| shard.sweep(now));
    }

    /// The shards, one after the other.
    fn locked(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.shards.iter().map(lock)
    }
}

impl<K: Hash + ?Sized> MemoryCounts<K> {
    /// Counts one request of `key` at `now` if every rule has room for it, and says so; see [`Counts::charge`].
    pub fn check<Q: Hash + ?Sized>(&self, key: &Q, rules: &[Rule], now: impl Into<UnixTime>) -> Decision
    where
        K: Borrow<Q>,
    {
        self.check_hashed(self.id(key), rules, now.into().as_millis())
    }

    /// Takes back one request that was allowed; see [`Counts::refund`].
    pub fn take_back<Q: Hash + ?Sized>(&self, key: &Q, rules: &[Rule], now: impl Into<UnixTime>)
    where
        K: Borrow<Q>,
    {
        self.take_back_hashed(self.id(key), rules, now.into().as_millis());
    }
}

impl<K: ?Sized> MemoryCounts<K> {
    fn id<Q: Hash + ?Sized>(&self, key: &Q) -> Id {
        Id { high: self.hashers[0].hash_one(key), low: self.hashers[1].hash_one(key) }
    }

    /// All counts of a key are in one shard.
    #[expect(clippy::cast_possible_truncation, reason = "the low bits of a hash are enough")]
    fn shard(&self, id: Id) -> MutexGuard<'_, Shard> {
        lock(&self.shards[id.high as usize % self.shards.len()])
    }

    fn check_hashed(&self, id: Id, rules: &[Rule], now: i64) -> Decision {
        let mut shard = self.shard(id);
        shard.arrive(now);
        let mut decision: Option<Decision> = None;
        for (id, rule) in id.under(rules) {
            let t = shard.time(rule, now);
            let standing = self.standing(&mut shard, id, rule, t, now);
            let next = if standing.room > 0 {
                Decision::allow(rule.limit(), standing.room - 1, UnixTime::from_millis(standing.reset_at))
            } else {
                let wait = UnixTime::from_millis(standing.passes_at).since(UnixTime::from_millis(now));
                // Where time ends, nobody waits for anything.
                let retry_after = wait.max(Duration::from_millis(1));
                Decision::refuse(rule.limit(), UnixTime::from_millis(standing.reset_at), retry_after)
            };
            decision = Some(decision.map_or(next, |decision| decision.tighter(next)));
        }
        let Some(decision) = decision else { return Decision::allow(u32::MAX, u32::MAX, UnixTime::from_millis(now)) };
        if !decision.allowed {
            return decision;
        }
        let mut tightest: Option<Decision> = None;
        for (id, rule) in id.under(rules) {
            let t = shard.time(rule, now);
            let (room, reset_at) = self.add(&mut shard, id, rule, t, now);
            let next = Decision::allow(rule.limit(), room, UnixTime::from_millis(reset_at));
            tightest = Some(tightest.map_or(next, |tightest| tightest.tighter(next)));
        }
        tightest.unwrap_or(decision)
    }

    /// How the count `id` stands, held or not.
    fn standing(&self, shard: &mut Shard, id: Id, rule: &Rule, t: i64, now: i64) -> Standing {
        if let Some(count) = shard.counts.get_mut(&id) {
            count.settle(rule, t);
            return Standing {
                room: count.room(rule),
                reset_at: count.reset_at(rule, t),
                passes_at: count.passes_at(rule, t),
            };
        }
        let (limit, used) = match shard.has_room(rule, self.room, now) {
            true => (rule.limit(), shard.estimate(id, rule, t)),
            // What is counted together has windows of the clock, whatever the rule: this and the last together hold no
            // more than the rule lets pass at once.
            false => match shard.sketch(rule, self.width, now) {
                Some(_) => (rule.limit().min(rule.requests), shard.estimate(id, rule, t)),
                None => (0, 0),
            },
        };
        let over = if used > 0 { over_together(rule, t) } else { Count::new(rule, 0, t).passes_at(rule, t) };
        Standing { room: limit.saturating_sub(used), reset_at: over, passes_at: over }
    }

    /// Counts one more, for which there is room. The room that is left, and when all of it is back.
    fn add(&self, shard: &mut Shard, id: Id, rule: &Rule, t: i64, now: i64) -> (u32, i64) {
        if let Some(count) = shard.counts.get_mut(&id) {
            count.add(rule, t);
            return (count.room(rule), count.reset_at(rule, t));
        }
        let used = shard.estimate(id, rule, t);
        if shard.has_room(rule, self.room, now) {
            // A key that was counted together with others enters with that count, so nothing is given twice.
            let mut count = Count::new(rule, used, t);
            count.add(rule, t);
            let left = (count.room(rule), count.reset_at(rule, t));
            shard.units += units(rule);
            shard.counts.insert(id, count);
            return left;
        }
        let room = rule.limit().min(rule.requests).saturating_sub(used.saturating_add(1));
        if let Some(sketch) = shard.sketch(rule, self.width, now) {
            sketch.add(id.low, t);
        }
        (room, over_together(rule, t))
    }

    fn take_back_hashed(&self, id: Id, rules: &[Rule], now: i64) {
        let mut shard = self.shard(id);
        shard.arrive(now);
        for (id, rule) in id.under(rules) {
            let t = shard.time(rule, now);
            if let Some(count) = shard.counts.get_mut(&id) {
                count.settle(rule, t);
                count.take_back(rule);
            }
        }
    }
}

/// When nothing is counted any more of a key that is counted together with others.
fn over_together(rule: &Rule, t: i64) -> i64 {
    let ends = rule.period.end_of_window(t);
    if rule.method == Method::Fixed { ends } else { ends.saturating_add(rule.period.length_ms()) }
}

/// Counts are whole after a panic: nothing that panics runs while a shard is locked.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

const fn previous_power_of_two(n: usize) -> usize {
    if n == 0 { 0 } else { 1 << n.ilog2() }
}

const fn units(rule: &Rule) -> usize {
    match rule.method {
        Method::Sliding => SLIDING_UNITS,
        Method::Fixed | Method::Bucket(_) => 1,
    }
}

impl Shard {
    /// A request comes at `now`. Follows a clock that went back far, and forgets what is over from time to time.
    fn arrive(&mut self, now: i64) {
        if self.latest == i64::MIN || now >= self.latest {
            self.latest = now;
        } else if self.latest.saturating_sub(now) > TOLERANCE_MS {
            self.counts.values_mut().for_each(|count| count.bring_back(now));
            (self.latest, self.swept_at) = (now, self.swept_at.min(now));
        }
        if self.swept_at == i64::MIN {
            self.swept_at = now;
        } else if now.saturating_sub(self.swept_at) >= SWEEP_MS {
            self.sweep(now);
        }
    }

    /// The time by which a rule counts: that of the clock, or the latest when the clock went back a little.
    fn time(&self, rule: &Rule, now: i64) -> i64 {
        let tolerance = (rule.period.length_ms() / 6).min(TOLERANCE_MS);
        if now < self.latest && self.latest.saturating_sub(now) <= tolerance { self.latest } else { now }
    }

    /// Whether one more count finds room, after a look at which are over.
    fn has_room(&mut self, rule: &Rule, room: usize, now: i64) -> bool {
        if self.units + units(rule) > room && now.saturating_sub(self.swept_at) >= SWEEP_FULL_MS {
            self.sweep(now);
        }
        self.units + units(rule) <= room
    }

    /// What is counted of a key that is not held.
    fn estimate(&mut self, id: Id, rule: &Rule, t: i64) -> u32 {
        let sketch = self.sketches.iter_mut().find(|sketch| sketch.period() == rule.period);
        sketch.map_or(0, |sketch| sketch.estimate(id.low, rule.method != Method::Fixed, t))
    }

    /// The sketch for the time of a rule, if there is one or may be one more.
    fn sketch(&mut self, rule: &Rule, width: usize, now: i64) -> Option<&mut Sketch> {
        let place = self.sketches.iter().position(|sketch| sketch.period() == rule.period);
        let place = match place {
            Some(place) => place,
            None => {
                if self.sketches.len() == SKETCHES {
                    self.sketches.retain_mut(|sketch| sketch.is_live(now));
                }
                if self.sketches.len() == SKETCHES {
                    return None;
                }
                self.sketches.push(Sketch::new(rule.period, width));
                self.sketches.len() - 1
            }
        };
        self.sketches.get_mut(place)
    }

    /// Forgets what is over at `now`, and gives its memory back.
    fn sweep(&mut self, now: i64) {
        self.swept_at = now;
        let mut units = 0;
        self.counts.retain(|_, count| {
            let is_held = count.idle_at() > now;
            units += usize::from(is_held) * if count.heap_bytes() > 0 { SLIDING_UNITS } else { 1 };
            is_held
        });
        self.units = units;
        if self.counts.is_empty() {
            self.counts = HashMap::default();
        } else if self.counts.capacity() > 4 * self.counts.len().max(16) {
            self.counts.shrink_to(2 * self.counts.len());
        }
        self.sketches.retain_mut(|sketch| sketch.is_live(now));
    }

    fn bytes(&self) -> usize {
        // A table is at most seven eighths full.
        let places = self.counts.capacity().div_ceil(7) * 8;
        let heap: usize = self.counts.values().map(Count::heap_bytes).sum();
        places * PLACE_BYTES + heap + self.sketches.iter().map(Sketch::heap_bytes).sum::<usize>()
    }
}

impl<K: Hash + ?Sized> Counts<K> for MemoryCounts<K> {
    fn charge(&self, key: &K, rules: &[Rule], now: UnixTime) -> Result<Decision, LimiterUnavailable> {
        Ok(self.check_hashed(self.id(key), rules, now.as_millis()))
    }

    fn refund(&self, key: &K, rules: &[Rule], now: UnixTime) -> Result<(), LimiterUnavailable> {
        self.take_back_hashed(self.id(key), rules, now.as_millis());
        Ok(())
    }

    fn may_block(&self) -> bool {
        false
    }
}

impl<K: ?Sized> Default for MemoryCounts<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: ?Sized> fmt::Debug for MemoryCounts<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCounts").field("len", &self.len()).finish_non_exhaustive()
    }
}
