//! Look-ups on the path of every request, from memory, and never out of date.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use moka::sync::Cache;
use parking_lot::Mutex;
use zenovay_auth::{Credential, KeyDigest};
use zenovay_domain::{Plan, TeamId, Timestamp, TrackingCode, Website, WebsiteId};

use crate::{DataVersion, KeyStore, Result, Store, StoreError, TeamStore, WebsiteStore};

/// For how long a version that was read serves hits, in milliseconds.
const VERSION_SERVES_MS: u64 = 5;

/// From what age on, in milliseconds, one hit has the version read anew, while the others need not wait for that.
const VERSION_IS_RENEWED_MS: u64 = 2;

/// Entries of each cache, also those that say "there is none": what strangers ask for cannot fill the memory.
const CAPACITY: usize = 20_000;

/// Credentials by digest and websites by id and code, cached in memory.
///
/// An answer is used again only while the store's [data version](crate::DataVersion) is the one it was read at, which is asked
/// at every look-up: a revoked key, a changed plan, a lost membership or a changed setting holds for the next request,
/// whichever process made the change. That question is one statement of one row; only
/// [`website_of_hit`](Self::website_of_hit) does not ask it every time, and goes on with what it knows while the store is not available.
///
/// It stands before any back end of keys, websites and their [`DataVersion`]; `CachedDirectory` alone is one before an
/// `Arc<dyn Store>`.
///
/// The look-ups block as the store does when memory is not enough for the answer, which is one question to the store at
/// least; [`remembered_website_of_hit`](Self::remembered_website_of_hit) and [`was_valid`](Self::was_valid) never do.
///
/// ```
/// use std::sync::Arc;
/// use zenovay_store::{CachedDirectory, SqliteStore};
///
/// let directory = CachedDirectory::new(Arc::new(SqliteStore::in_memory()?));
/// let nobody = zenovay_store::domain::WebsiteId::from_random_bytes([1; 16]);
/// assert!(directory.website(nobody)?.is_none());
/// # Ok::<(), zenovay_store::StoreError>(())
/// ```
pub struct CachedDirectory<S: ?Sized = dyn Store> {
    store: Arc<S>,
    credentials: Cache<KeyDigest, Entry<Credential>>,
    /// Keys that were valid when they were looked up last.
    valid: Cache<KeyDigest, ()>,
    websites: Cache<WebsiteId, Entry<Website>>,
    codes: Cache<TrackingCode, Entry<Website>>,
    plans: Cache<TeamId, Entry<Plan>>,
    version_of_hits: Mutex<Option<VersionAt>>,
    is_being_renewed: AtomicBool,
}

/// What memory knows of the website of a hit.
#[derive(Debug)]
#[non_exhaustive]
pub struct RememberedWebsite {
    /// The website; `None` when nobody has the code.
    pub website: Option<Arc<Website>>,
    /// Whether the caller is the one to call [`CachedDirectory::renew_version`], on a thread that may wait.
    pub must_renew: bool,
}

/// A version, and when it was read.
#[derive(Debug, Clone, Copy)]
struct VersionAt {
    at: Timestamp,
    /// The own changes of the store before the version was read.
    own_changes: u64,
    version: i64,
}

impl<S: ?Sized> std::fmt::Debug for CachedDirectory<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CachedDirectory").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Entry<T> {
    version: i64,
    value: Option<Arc<T>>,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self { version: self.version, value: self.value.clone() }
    }
}

impl<S: KeyStore + WebsiteStore + DataVersion + ?Sized> CachedDirectory<S> {
    /// A directory over `store` that has cached nothing.
    pub fn new(store: Arc<S>) -> Self {
        Self {
            store,
            credentials: Cache::new(CAPACITY as u64),
            valid: Cache::new(CAPACITY as u64),
            websites: Cache::new(CAPACITY as u64),
            codes: Cache::new(CAPACITY as u64),
            plans: Cache::new(CAPACITY as u64),
            version_of_hits: Mutex::new(None),
            is_being_renewed: AtomicBool::new(false),
        }
    }

    /// Takes note of the keys that are valid now, the newest when they are very many.
    ///
    /// # Errors
    ///
    /// As for [`credential`](Self::credential).
    pub fn remember_valid_keys(&self) -> Result<()> {
        for digest in self.store.valid_keys(CAPACITY)? {
            self.valid.insert(digest, ());
        }
        Ok(())
    }

    /// Whether the key was valid when it was looked up last, by memory alone. It says nothing about what the key may do
    /// now: that is for [`credential`](Self::credential).
    pub fn was_valid(&self, digest: &KeyDigest) -> bool {
        self.valid.contains_key(digest)
    }

    /// The credential behind a digest, also when it is revoked; `None` when nobody holds such a key.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError) when the store cannot be asked; an answer that may be old is never given.
    pub fn credential(&self, digest: &KeyDigest) -> Result<Option<Arc<Credential>>> {
        let credential = self.look_up(&self.credentials, digest, |store, digest| store.credential(digest))?;
        let is_valid = credential.as_ref().is_some_and(|credential| !credential.revoked);
        if is_valid != self.valid.contains_key(digest) {
            if is_valid {
                self.valid.insert(*digest, ());
            } else {
                self.valid.invalidate(digest);
            }
        }
        Ok(credential)
    }

    /// The website `id`.
    ///
    /// # Errors
    ///
    /// As for [`credential`](Self::credential).
    pub fn website(&self, id: WebsiteId) -> Result<Option<Arc<Website>>> {
        self.look_up(&self.websites, &id, |store, id| store.website(*id))
    }

    /// The website with this code.
    ///
    /// # Errors
    ///
    /// As for [`credential`](Self::credential).
    pub fn website_by_code(&self, code: &TrackingCode) -> Result<Option<Arc<Website>>> {
        self.look_up(&self.codes, code, |store, code| store.website_by_code(code))
    }

    /// The website with this code, for a hit that came at `now`. Hits of the same millisecond ask once whether something
    /// changed.
    ///
    /// While the store is not available, a website is as it was when the store was: what visitors do is not lost for that.
    ///
    /// # Errors
    ///
    /// As for [`credential`](Self::credential), for a website that memory does not know.
    pub fn website_of_hit(&self, code: &TrackingCode, now: Timestamp) -> Result<Option<Arc<Website>>> {
        let known = self.version_of_hits(self.store.own_changes());
        let version = match known.filter(|known| known.at == now) {
            Some(known) => Ok(known.version),
            None => self.read_version_of_hits(now),
        };
        let load = |store: &S, code: &TrackingCode| store.website_by_code(code);
        let found = version.and_then(|version| self.look_up_at(version, &self.codes, code, load));
        self.or_remembered(found, &self.codes, code)
    }

    /// `found`, or what was found before when the store is not available.
    fn or_remembered<K: Hash + Eq + Send + Sync + 'static, T: Send + Sync + 'static>(
        &self,
        found: Result<Option<Arc<T>>>,
        cache: &Cache<K, Entry<T>>,
        key: &K,
    ) -> Result<Option<Arc<T>>> {
        match found {
            Err(StoreError::Unavailable(cause)) => match cache.get(key).and_then(|entry| entry.value) {
                Some(value) => Ok(Some(value)),
                None => Err(StoreError::Unavailable(cause)),
            },
            found => found,
        }
    }

    /// What [`website_of_hit`](Self::website_of_hit) answers when memory is enough for it; `None` when the store has to be
    /// asked. Waits for nothing. What another process changes holds after five milliseconds, what was changed through the
    /// store of this directory at once.
    pub fn remembered_website_of_hit(&self, code: &TrackingCode, now: Timestamp) -> Option<RememberedWebsite> {
        let known = self.version_of_hits(self.store.own_changes())?;
        // The clock may have been set back.
        let age_ms = now.millis_since(known.at).unsigned_abs();
        let entry = self.codes.get(code).filter(|entry| entry.version == known.version)?;
        let website = entry.value;
        if age_ms > VERSION_SERVES_MS {
            return None;
        }
        let must_renew = age_ms >= VERSION_IS_RENEWED_MS && !self.is_being_renewed.swap(true, Ordering::AcqRel);
        Some(RememberedWebsite { website, must_renew })
    }

    /// Asks the store for its version, for hits that come from `now` on. Until it is asked with success, hits that find the
    /// known version too old ask it themselves.
    ///
    /// # Errors
    ///
    /// As for [`credential`](Self::credential).
    pub fn renew_version(&self, now: Timestamp) -> Result<()> {
        self.read_version_of_hits(now).map(drop)
    }

    fn read_version_of_hits(&self, now: Timestamp) -> Result<i64> {
        // Before the version: a change between the two makes the next call ask again.
        let own_changes = self.store.own_changes();
        let version = self.store.data_version();
        self.is_being_renewed.store(false, Ordering::Release);
        let version = version?;
        *self.version_of_hits.lock() = Some(VersionAt { at: now, own_changes, version });
        Ok(version)
    }

    /// The last version that was read, when nothing was changed through this store since.
    fn version_of_hits(&self, own_changes: u64) -> Option<VersionAt> {
        self.version_of_hits.lock().filter(|known| known.own_changes == own_changes)
    }

    fn look_up<K: Hash + Eq + Clone + Send + Sync + 'static, T: Send + Sync + 'static>(
        &self,
        cache: &Cache<K, Entry<T>>,
        key: &K,
        load: impl FnOnce(&S, &K) -> Result<Option<T>>,
    ) -> Result<Option<Arc<T>>> {
        self.look_up_at(self.store.data_version()?, cache, key, load)
    }

    /// What was read after the version is at least as new as it. So an entry may be newer than its version says, which costs
    /// another reading, but it is never older.
    fn look_up_at<K: Hash + Eq + Clone + Send + Sync + 'static, T: Send + Sync + 'static>(
        &self,
        version: i64,
        cache: &Cache<K, Entry<T>>,
        key: &K,
        load: impl FnOnce(&S, &K) -> Result<Option<T>>,
    ) -> Result<Option<Arc<T>>> {
        if let Some(entry) = cache.get(key).filter(|entry| entry.version == version) {
            return Ok(entry.value);
        }
        let value = load(&*self.store, key)?.map(Arc::new);
        cache.insert(key.clone(), Entry { version, value: value.clone() });
        Ok(value)
    }
}

impl<S: KeyStore + WebsiteStore + TeamStore + DataVersion + ?Sized> CachedDirectory<S> {
    /// The plan of a team; `None` when there is no such team.
    ///
    /// # Errors
    ///
    /// As for [`credential`](Self::credential).
    pub fn plan(&self, team: TeamId) -> Result<Option<Plan>> {
        let plan = self.look_up(&self.plans, &team, |store, id| Ok(store.team(*id)?.map(|team| team.plan)))?;
        Ok(plan.map(|plan| *plan))
    }

    /// The same for hits: while the store is not available, the plan is what it was when the store was.
    ///
    /// # Errors
    ///
    /// As for [`credential`](Self::credential), for a team that memory does not know.
    pub fn plan_of_hit(&self, team: TeamId) -> Result<Option<Plan>> {
        let found = self.look_up(&self.plans, &team, |store, id| Ok(store.team(*id)?.map(|team| team.plan)));
        Ok(self.or_remembered(found, &self.plans, &team)?.map(|plan| *plan))
    }

    /// What [`plan_of_hit`](Self::plan_of_hit) answers for a hit that came at `now`, when memory is enough for it; `None` when the store has to
    /// be asked. Waits for nothing, and is as new as [`remembered_website_of_hit`](Self::remembered_website_of_hit).
    pub fn remembered_plan_of_hit(&self, team: TeamId, now: Timestamp) -> Option<Option<Plan>> {
        let known = self.version_of_hits(self.store.own_changes())?;
        let is_new = now.millis_since(known.at).unsigned_abs() <= VERSION_SERVES_MS;
        let entry = self.plans.get(&team).filter(|entry| is_new && entry.version == known.version)?;
        Some(entry.value.map(|plan| *plan))
    }
}
