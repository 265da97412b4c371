//! Who: keyed hashes for visitors and sessions.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use rand::rngs::{StdRng, SysRng};
use rand::{CryptoRng, SeedableRng};
use sha2::Sha256;
use xxhash_rust::xxh3::xxh3_64_with_seed;
use zenovay_domain::{SessionId, Timestamp, VisitorId, WebsiteId};
use zeroize::Zeroizing;

use crate::agent::AgentDigest;
use crate::salt_store::{DailySalt, FileSalts, MemorySalts, SaltStore, Secret};

const DAY_MS: i64 = 24 * 3_600_000;

/// How long a salt lives on after its UTC day: until the sessions that it named have ended.
const SALT_GRACE_MS: i64 = zenovay_domain::SESSION_GAP_MS;

/// How many days later than today the day of a salt may be: a clock that steps back over midnight draws no second salt.
const DAYS_AHEAD: i64 = 1;

/// The secrets of one moment, ready to hash with.
struct Keys {
    installation: Hmac<Sha256>,
    /// The salt of the present day.
    today: Hmac<Sha256>,
    /// The day of `today`, since 1970.
    day: i64,
    /// The salt of the day before, while sessions that it named may still go on.
    yesterday: Option<Hmac<Sha256>>,
    /// Of the keys by which ids of clients are found in memory.
    seed: u64,
}

fn keyed(secret: &Secret) -> Hmac<Sha256> {
    // HMAC takes keys of every length: the other arm is never taken, and would still hash.
    Hmac::new_from_slice(secret.as_bytes()).unwrap_or_else(|_| Hmac::new(&Default::default()))
}

impl Keys {
    /// Of the secret of the installation and the salts of days, the oldest first.
    fn new(installation: &Secret, salts: &[DailySalt]) -> Self {
        let installation = keyed(installation);
        let mut newest = salts.iter().rev();
        let (day, today) =
            newest.next().map_or((i64::MIN, installation.clone()), |newest| (newest.day, keyed(&newest.salt)));
        let yesterday = newest.next().map(|before| keyed(&before.salt));
        let seed = short(digest_of(&installation, Purpose::ClientKeys, &[], ""));
        Self { installation, today, day, yesterday, seed }
    }

    /// Whether they are those for hits that arrive at `now`.
    fn are_for(&self, now: Timestamp) -> bool {
        let since_midnight = now.as_millis().saturating_sub(self.day.saturating_mul(DAY_MS));
        (-DAYS_AHEAD * DAY_MS..DAY_MS).contains(&since_midnight)
            && (self.yesterday.is_none() || since_midnight < SALT_GRACE_MS)
    }
}

/// What the names are made of at the moment, and what draws more of it.
struct Drawing {
    installation: Secret,
    /// The oldest first.
    salts: Vec<DailySalt>,
    rng: Box<dyn CryptoRng + Send>,
}

/// Names visitors and sessions by keyed hashes that cannot be traced back. All servers that share a
/// [`SaltStore`] give the same names.
pub struct VisitorHasher {
    keys: ArcSwap<Keys>,
    store: Box<dyn SaltStore>,
    drawing: Mutex<Drawing>,
}

impl VisitorHasher {
    /// Keeps its secrets, which the system draws, in `store`. Salts whose time is over at `now` are destroyed.
    ///
    /// # Errors
    /// When the secrets cannot be drawn, read or kept.
    pub fn new(store: impl SaltStore + 'static, now: Timestamp) -> io::Result<Self> {
        Self::with_rng(store, now, StdRng::try_from_rng(&mut SysRng).map_err(io::Error::other)?)
    }

    /// The same with secrets that `rng` draws.
    ///
    /// # Errors
    /// When the secrets cannot be read or kept.
    pub fn with_rng(
        store: impl SaltStore + 'static,
        now: Timestamp,
        mut rng: impl CryptoRng + Send + 'static,
    ) -> io::Result<Self> {
        let installation = store.installation(random_secret(&mut rng))?;
        let keys = ArcSwap::from_pointee(Keys::new(&installation, &[]));
        let drawing = Mutex::new(Drawing { installation, salts: Vec::new(), rng: Box::new(rng) });
        let hasher = Self { keys, store: Box::new(store), drawing };
        hasher.rotate(now)?;
        Ok(hasher)
    }

    /// Keeps its secrets in the file `salts` in `dir`, see [`FileSalts`].
    ///
    /// # Errors
    /// When the file cannot be read or written, or is damaged, or the system gives no random numbers.
    pub fn open(dir: &Path, now: Timestamp) -> io::Result<Self> {
        Self::new(FileSalts::open(dir)?, now)
    }

    /// Keeps its secrets in memory only: visitors get new ids when the process ends.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn in_memory(now: Timestamp) -> io::Result<Self> {
        Self::new(MemorySalts::default(), now)
    }

    /// Draws the salt of `now`'s UTC day when there is none yet, and destroys those whose time is over, or more than a day
    /// away: a clock that was wrong drew them. Happens by itself when a hit arrives; a server calls it every minute or more often, so
    /// that a salt also goes when nobody comes, and what another server has drawn is known here. `now` is a steady reading
    /// ([`zenovay_domain::Reading`]).
    ///
    /// # Errors
    /// When the salts cannot be read, destroyed or kept. No name is made with a salt whose time is over.
    pub fn rotate(&self, now: Timestamp) -> io::Result<()> {
        let mut drawing = self.drawing.lock();
        let day = now.as_millis().div_euclid(DAY_MS);
        let oldest = now.as_millis().saturating_sub(SALT_GRACE_MS).div_euclid(DAY_MS);
        let mut salts = self.store.keep_only(oldest..=day + DAYS_AHEAD)?;
        // A clock that went back a little keeps the newest salt: two salts of one day would count its visitors twice.
        let drawn = if salts.last().is_none_or(|newest| newest.day < day) {
            let fresh = random_secret(&mut *drawing.rng);
            self.store.get_or_create(day, fresh).map(|salt| salts.push(DailySalt { day, salt }))
        } else {
            Ok(())
        };
        // Also when none could be drawn: what was destroyed is forgotten.
        if salts != drawing.salts {
            self.keys.store(Arc::new(Keys::new(&drawing.installation, &salts)));
            drawing.salts = salts;
        }
        drawn
    }

    /// Whether the names of hits that arrive at `now` can be made without asking the store: not on a day without salt, nor
    /// while yesterday's is overdue.
    pub fn is_ready(&self, now: Timestamp) -> bool {
        self.keys.load().are_for(now)
    }

    /// The secrets for hits that arrive at `now`.
    fn keys(&self, now: Timestamp) -> io::Result<arc_swap::Guard<Arc<Keys>>> {
        let keys = self.keys.load();
        if keys.are_for(now) {
            return Ok(keys);
        }
        self.rotate(now)?;
        Ok(self.keys.load())
    }

    /// The visitor who is known to `site` by `client_id`, an id that its client sent.
    pub fn known_visitor(&self, site: WebsiteId, client_id: &str) -> VisitorId {
        self.names().known_visitor(site, client_id)
    }

    /// The names that the installation gives.
    pub(crate) fn names(&self) -> Names {
        Names(self.keys.load())
    }

    /// The visitor of `site` with `address` and the agent with the digest `agent` on the UTC day of `now`, and the id of
    /// the day before while that can still be told.
    pub(crate) fn daily_visitor(
        &self,
        site: WebsiteId,
        address: IpAddr,
        agent: &AgentDigest,
        now: Timestamp,
    ) -> io::Result<(VisitorId, Option<VisitorId>)> {
        let keys = self.keys(now)?;
        let mut from = [0; 16 + 7 + 16];
        let (website, rest) = from.split_at_mut(16);
        let (network, digest) = rest.split_at_mut(7);
        website.copy_from_slice(&site.as_u128().to_le_bytes());
        network.copy_from_slice(&truncate(address));
        digest.copy_from_slice(agent);
        let named = |salt: &Hmac<Sha256>| VisitorId(short(digest_of(salt, Purpose::DailyVisitor, &from, "")));
        Ok((named(&keys.today), keys.yesterday.as_ref().map(named)))
    }
}

/// Names that do not change with the day.
pub(crate) struct Names(arc_swap::Guard<Arc<Keys>>);

impl Names {
    /// The visitor who sent `client_id` to `site`: the same id gives the same visitor for ever, and unrelated ones on two sites.
    pub(crate) fn known_visitor(&self, site: WebsiteId, client_id: &str) -> VisitorId {
        VisitorId(short(self.digest(Purpose::KnownVisitor, &site.as_u128().to_le_bytes(), client_id)))
    }

    /// The key by which `client_id` of `site` is found in memory. Not a name: keys of two ids may be equal.
    #[expect(clippy::cast_possible_truncation, reason = "both halves of the id are taken")]
    pub(crate) fn client_key(&self, site: WebsiteId, client_id: &str) -> u64 {
        let site = site.as_u128();
        xxh3_64_with_seed(client_id.as_bytes(), self.0.seed ^ (site >> 64) as u64 ^ site as u64)
    }

    /// Part `part` of the session of `visitor` that a client calls `client_id`, on civil day `day`. The visitor is part of it,
    /// because a session has one visitor everywhere else: an id that two visitors send is two sessions. Its lowest 16 bits are
    /// those of [`Names::client_key`], so that it can be found by its client's id after a restart.
    pub(crate) fn session(
        &self,
        site: WebsiteId,
        visitor: VisitorId,
        client_id: &str,
        day: i32,
        part: u16,
    ) -> SessionId {
        let mut from = [0; 8 + 4 + 2];
        let (id, rest) = from.split_at_mut(8);
        let (civil_day, number) = rest.split_at_mut(4);
        id.copy_from_slice(&visitor.0.to_le_bytes());
        civil_day.copy_from_slice(&day.to_le_bytes());
        number.copy_from_slice(&part.to_le_bytes());
        let digest = self.digest(Purpose::Session, &from, client_id);
        self.marked(digest, site, client_id)
    }

    /// The session that `visitor` begins at `at` on a page that calls it `client_id`. Its lowest bits are as those of
    /// [`Names::session`].
    pub(crate) fn stitched_session(
        &self,
        site: WebsiteId,
        visitor: VisitorId,
        client_id: &str,
        at: Timestamp,
    ) -> SessionId {
        let mut from = [0; 8 + 8];
        let (id, time) = from.split_at_mut(8);
        id.copy_from_slice(&visitor.0.to_le_bytes());
        time.copy_from_slice(&at.as_millis().to_le_bytes());
        let digest = self.digest(Purpose::StitchedSession, &from, client_id);
        self.marked(digest, site, client_id)
    }

    fn marked(&self, digest: [u8; 32], site: WebsiteId, client_id: &str) -> SessionId {
        const MARK: u64 = 0xffff;
        SessionId(short(digest) & !MARK | self.client_key(site, client_id) & MARK)
    }

    /// The digest of an idempotency key that the holder of a key of `site` sends.
    pub(crate) fn idempotency_key(&self, site: WebsiteId, key: &str) -> [u8; 16] {
        half(self.digest(Purpose::IdempotencyKey, &site.as_u128().to_le_bytes(), key))
    }

    /// The digest of an event id that anybody may send as `visitor`, whose name differs from website to website: what one
    /// visitor sends takes neither another's ids nor those of [`Names::idempotency_key`].
    pub(crate) fn event_id(&self, visitor: VisitorId, id: &str) -> [u8; 16] {
        half(self.digest(Purpose::EventId, &visitor.0.to_le_bytes(), id))
    }

    fn digest(&self, purpose: Purpose, fixed: &[u8], text: &str) -> [u8; 32] {
        digest_of(&self.0.installation, purpose, fixed, text)
    }
}

impl std::fmt::Debug for VisitorHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VisitorHasher(..)")
    }
}

fn random_secret(rng: &mut dyn CryptoRng) -> Secret {
    let mut bytes = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut *bytes);
    Secret::new(*bytes)
}

/// The /24 of an IPv4 address or the /48 of an IPv6 address.
fn truncate(address: IpAddr) -> [u8; 7] {
    let mut network = [0; 7];
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            network[0] = 4;
            network[1..4].copy_from_slice(&v4.octets()[..3]);
        }
        IpAddr::V6(v6) => {
            network[0] = 6;
            network[1..7].copy_from_slice(&v6.octets()[..6]);
        }
    }
    network
}

/// What a digest is the name of: its first byte, so that two kinds of names never come from the same input.
#[derive(Clone, Copy)]
enum Purpose {
    DailyVisitor = 1,
    KnownVisitor = 2,
    Session = 3,
    StitchedSession = 4,
    IdempotencyKey = 5,
    EventId = 6,
    ClientKeys = 7,
}

/// HMAC over the purpose, bytes whose number the purpose decides, and a string, which may have any length because it is
/// last: no two inputs read the same. Ids of up to 36 characters, as UUIDs are, leave it one block to hash.
fn digest_of(key: &Hmac<Sha256>, purpose: Purpose, fixed: &[u8], text: &str) -> [u8; 32] {
    let mut mac = key.clone();
    mac.update(&[purpose as u8]);
    mac.update(fixed);
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

/// The first 128 bits.
fn half(digest: [u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    half
}

/// The first 64 bits.
fn short(digest: [u8; 32]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const DAY: i64 = 20_000;

    fn at(day: i64, ms: i64) -> Timestamp {
        Timestamp::from_millis(day * DAY_MS + ms)
    }

    fn site(byte: u8) -> WebsiteId {
        WebsiteId::from_random_bytes([byte; 16])
    }

    fn open(dir: &Path, now: Timestamp, rng: StdRng) -> io::Result<VisitorHasher> {
        VisitorHasher::with_rng(FileSalts::open(dir)?, now, rng)
    }

    fn rng() -> StdRng {
        StdRng::seed_from_u64(1)
    }

    fn visitor(hasher: &VisitorHasher, address: &str, now: Timestamp) -> VisitorId {
        hasher.daily_visitor(site(1), address.parse().unwrap(), &[7; 16], now).unwrap().0
    }

    #[test]
    fn a_visitor_is_known_for_a_day_and_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = visitor(&open(dir.path(), at(DAY, 0), rng()).unwrap(), "203.0.113.7", at(DAY, 1));
        let hasher = open(dir.path(), at(DAY, 5), StdRng::seed_from_u64(2)).unwrap();
        assert_eq!(visitor(&hasher, "203.0.113.99", at(DAY, DAY_MS - 1)), first, "same /24");
        assert_ne!(visitor(&hasher, "203.0.114.7", at(DAY, 5)), first);
        let (today, yesterday) =
            hasher.daily_visitor(site(1), "203.0.113.7".parse().unwrap(), &[7; 16], at(DAY + 1, 1)).unwrap();
        assert_ne!(today, first);
        assert_eq!(yesterday, Some(first), "a session may go on over midnight");
        let late = hasher.daily_visitor(site(1), "203.0.113.7".parse().unwrap(), &[7; 16], at(DAY + 1, SALT_GRACE_MS));
        assert_eq!(late.unwrap(), (today, None));
    }

    #[test]
    fn a_clock_that_goes_back_over_midnight_draws_no_second_salt() {
        let hasher = VisitorHasher::with_rng(MemorySalts::default(), at(DAY, 0), rng()).unwrap();
        let first = visitor(&hasher, "203.0.113.7", at(DAY, 0));
        assert_eq!(visitor(&hasher, "203.0.113.7", at(DAY - 1, 0)), first);
        hasher.rotate(at(DAY - 1, 0)).unwrap();
        assert_eq!(visitor(&hasher, "203.0.113.7", at(DAY, 1)), first);
    }

    /// One moment with a clock that is years ahead. Sabotage: keep salts of days to come.
    #[test]
    fn a_clock_that_was_wrong_freezes_no_salt() {
        let dir = tempfile::tempdir().unwrap();
        let wrong = DAY + 9 * 365;
        drop(open(dir.path(), at(wrong, 0), rng()).unwrap());
        let hasher = open(dir.path(), at(DAY, 0), StdRng::seed_from_u64(2)).unwrap();
        let days = || -> Vec<i64> { hasher.drawing.lock().salts.iter().map(|salt| salt.day).collect() };
        assert_eq!(days(), [DAY]);
        let first = visitor(&hasher, "203.0.113.7", at(DAY, 1));
        assert_ne!(visitor(&hasher, "203.0.113.7", at(DAY + 1, SALT_GRACE_MS)), first, "a new salt each day");
        // While it runs.
        hasher.rotate(at(wrong, 0)).unwrap();
        visitor(&hasher, "203.0.113.7", at(DAY + 1, DAY_MS - 1));
        assert_eq!(days(), [DAY + 1]);
    }

    /// Sabotage: give up when there is no room for a new file.
    #[test]
    fn old_salts_go_without_room_for_another_file() {
        let dir = tempfile::tempdir().unwrap();
        let hasher = open(dir.path(), at(DAY, 0), rng()).unwrap();
        let salt = hasher.drawing.lock().salts[0].salt.clone();
        hasher.rotate(at(DAY + 1, 0)).unwrap();
        // Stands where the new file would be.
        fs::create_dir(dir.path().join("salts.new")).unwrap();
        let path = dir.path().join("salts");
        assert_eq!(fs::metadata(&path).unwrap().len(), 120);
        hasher.rotate(at(DAY + 1, SALT_GRACE_MS)).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.len() == 80 && !bytes.windows(32).any(|window| window == salt.as_bytes()));
        hasher.rotate(at(DAY + 2, 0)).unwrap();
        let known = visitor(&hasher, "203.0.113.7", at(DAY + 2, 0));
        let next = open(dir.path(), at(DAY + 2, 0), StdRng::seed_from_u64(2)).unwrap();
        assert_eq!(visitor(&next, "203.0.113.7", at(DAY + 2, 0)), known);
        // Interrupted before the zeros were cut off.
        let padded = [fs::read(&path).unwrap(), vec![0; 40]].concat();
        fs::write(&path, padded).unwrap();
        let next = open(dir.path(), at(DAY + 2, 0), StdRng::seed_from_u64(3)).unwrap();
        assert_eq!(visitor(&next, "203.0.113.7", at(DAY + 2, 0)), known);
    }

    /// Sabotage: leave out the `retain` in `rotate`.
    #[test]
    fn a_salt_whose_time_is_over_is_nowhere_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let hasher = open(dir.path(), at(DAY, 0), rng()).unwrap();
        let salt = hasher.drawing.lock().salts[0].salt.clone();
        let on_disk = || {
            let files = fs::read_dir(dir.path()).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
            files.filter(|bytes| bytes.windows(32).any(|window| window == salt.as_bytes())).count()
        };
        assert_eq!(on_disk(), 1);
        hasher.rotate(at(DAY + 1, SALT_GRACE_MS - 1)).unwrap();
        assert_eq!(on_disk(), 1);
        // A hard link keeps the old file's blocks in sight: they must have been overwritten.
        fs::hard_link(dir.path().join("salts"), dir.path().join("old")).unwrap();
        hasher.rotate(at(DAY + 1, SALT_GRACE_MS)).unwrap();
        assert_eq!(on_disk(), 0);
        assert!(dir.path().join("old").exists());
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let impossible_day = [&b"ZVSALTS1"[..], &[7; 32], &i64::MAX.to_le_bytes(), &[8; 32]].concat();
        for damaged in [b"ZVSALTS1short".as_slice(), &impossible_day] {
            fs::write(dir.path().join("salts"), damaged).unwrap();
            let error = open(dir.path(), at(DAY, 0), rng()).unwrap_err();
            assert!(error.to_string().contains("salts: it is damaged"), "{error}");
        }
    }

    #[test]
    fn the_same_person_has_unrelated_ids_on_two_sites() {
        let hasher = VisitorHasher::with_rng(MemorySalts::default(), at(DAY, 0), rng()).unwrap();
        let address = "203.0.113.7".parse().unwrap();
        let daily = |s| hasher.daily_visitor(site(s), address, &[7; 16], at(DAY, 0)).unwrap().0;
        assert_ne!(daily(1), daily(2));
        assert_ne!(hasher.names().known_visitor(site(1), "v"), hasher.names().known_visitor(site(2), "v"));
        let session = |visitor, day| hasher.names().session(site(1), VisitorId(visitor), "s", day, 0);
        assert_ne!(session(1, 1), session(2, 1), "another visitor, as the same person is on another website");
        assert_ne!(session(1, 1), session(1, 2), "another day");
        assert_ne!(session(1, 1), hasher.names().session(site(1), VisitorId(1), "s", 1, 1), "another part");
        assert_ne!(hasher.names().idempotency_key(site(1), "k"), hasher.names().idempotency_key(site(2), "k"));
    }

    /// Anybody may send event ids: they take neither another visitor's nor those of a batch.
    #[test]
    fn event_ids_and_idempotency_keys_are_apart() {
        let hasher = VisitorHasher::with_rng(MemorySalts::default(), at(DAY, 0), rng()).unwrap();
        let names = hasher.names();
        let visitor = names.known_visitor(site(1), "v");
        assert_eq!(names.event_id(visitor, "order-1"), names.event_id(visitor, "order-1"));
        assert_ne!(names.event_id(visitor, "order-1"), names.event_id(VisitorId(2), "order-1"));
        assert_ne!(names.event_id(visitor, "order-1"), names.idempotency_key(site(1), "order-1"));
    }

    /// Two people would be counted where one is. Sabotage: draw a salt without asking for the one that is there.
    #[test]
    fn servers_that_share_salts_give_the_same_names() {
        let store = Arc::new(MemorySalts::default());
        let server =
            |seed| VisitorHasher::with_rng(Arc::clone(&store), at(DAY, 0), StdRng::seed_from_u64(seed)).unwrap();
        let (one, other) = (server(1), server(2));
        let known = |hasher: &VisitorHasher| hasher.names().known_visitor(site(1), "v");
        assert_eq!(known(&one), known(&other));
        for now in [at(DAY, 1), at(DAY + 1, 0), at(DAY + 1, SALT_GRACE_MS), at(DAY + 5, 0)] {
            assert_eq!(visitor(&one, "203.0.113.7", now), visitor(&other, "203.0.113.7", now), "{now}");
        }
        // Its clock is a little ahead: over midnight both have the newest salt, and the one before.
        one.rotate(at(DAY + 6, 0)).unwrap();
        other.rotate(at(DAY + 5, DAY_MS - 1)).unwrap();
        let address = "203.0.113.7".parse().unwrap();
        let names = |hasher: &VisitorHasher, now| hasher.daily_visitor(site(1), address, &[7; 16], now).unwrap();
        assert_eq!(names(&one, at(DAY + 6, 0)), names(&other, at(DAY + 5, DAY_MS - 1)));
    }

    /// Sabotage: go on with the secrets that were there.
    #[test]
    fn no_name_is_made_with_a_salt_that_is_destroyed_when_none_can_be_drawn() {
        #[derive(Debug, Default)]
        struct Full(MemorySalts, std::sync::atomic::AtomicBool);

        impl SaltStore for Full {
            fn installation(&self, fresh: Secret) -> io::Result<Secret> {
                self.0.installation(fresh)
            }

            fn keep_only(&self, days: std::ops::RangeInclusive<i64>) -> io::Result<Vec<DailySalt>> {
                self.0.keep_only(days)
            }

            fn get_or_create(&self, day: i64, fresh: Secret) -> io::Result<Secret> {
                if self.1.load(std::sync::atomic::Ordering::Relaxed) {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                self.0.get_or_create(day, fresh)
            }
        }

        let store = Arc::new(Full::default());
        let hasher = VisitorHasher::with_rng(Arc::clone(&store), at(DAY, 0), rng()).unwrap();
        assert!(hasher.is_ready(at(DAY, 1)) && !hasher.is_ready(at(DAY + 2, 0)));
        store.1.store(true, std::sync::atomic::Ordering::Relaxed);
        let address = "203.0.113.7".parse().unwrap();
        assert!(hasher.daily_visitor(site(1), address, &[7; 16], at(DAY + 2, 0)).is_err());
        assert!(hasher.drawing.lock().salts.is_empty(), "what is destroyed is forgotten");
    }
}
