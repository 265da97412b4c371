//! Look-ups on the path of every request, from memory, and never out of date.

use std::hash::Hash;
use std::sync::Arc;

use diesel::SqliteConnection;
use moka::sync::Cache;
use zenovay_auth::{Credential, KeyDigest};
use zenovay_domain::{Timestamp, TrackingCode, Website, WebsiteId};

use crate::sqlite::{load_credential, load_valid_digests, load_website, load_website_by_code};
use crate::{DataVersion, Result, SqliteStore};

/// Entries of each cache, also those that say "there is none": what strangers ask for cannot fill the memory.
const CAPACITY: u64 = 20_000;

/// Credentials by digest and websites by id and code, cached in memory.
///
/// An answer is used again only while the store's [data version](DataVersion) is the one it was read at, which is asked
/// at every look-up: a revoked key, a changed plan, a lost membership or a changed setting holds for the next request,
/// whichever process made the change. That question is one small read of a file in memory; only
/// [`website_of_hit`](Self::website_of_hit) does not ask it every time.
pub struct CachedDirectory {
    store: Arc<SqliteStore>,
    credentials: Cache<KeyDigest, Entry<Credential>>,
    /// Keys that were valid when they were looked up last.
    valid: Cache<KeyDigest, ()>,
    websites: Cache<WebsiteId, Entry<Website>>,
    codes: Cache<TrackingCode, Entry<Website>>,
}

impl std::fmt::Debug for CachedDirectory {
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

impl CachedDirectory {
    /// A directory over `store` that has cached nothing.
    pub fn new(store: Arc<SqliteStore>) -> Self {
        Self {
            store,
            credentials: Cache::new(CAPACITY),
            valid: Cache::new(CAPACITY),
            websites: Cache::new(CAPACITY),
            codes: Cache::new(CAPACITY),
        }
    }

    /// Takes note of the keys that are valid now, the newest when they are very many.
    ///
    /// # Errors
    ///
    /// As for [`credential`](Self::credential).
    pub fn remember_valid_keys(&self) -> Result<()> {
        let limit = i64::try_from(CAPACITY).unwrap_or(i64::MAX);
        let (_version, digests) = self.store.read_versioned(|conn| load_valid_digests(conn, limit))?;
        for digest in digests {
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
        let credential = self.look_up(&self.credentials, digest, load_credential)?;
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
        self.look_up(&self.websites, &id, |conn, id| load_website(conn, *id))
    }

    /// The website with this code.
    ///
    /// # Errors
    ///
    /// As for [`credential`](Self::credential).
    pub fn website_by_code(&self, code: &TrackingCode) -> Result<Option<Arc<Website>>> {
        self.look_up(&self.codes, code, load_website_by_code)
    }

    /// The website with this code, for a hit that came at `now`. Hits of the same millisecond ask once whether something
    /// changed: what another process changes holds from the next millisecond on.
    ///
    /// # Errors
    ///
    /// As for [`credential`](Self::credential).
    pub fn website_of_hit(&self, code: &TrackingCode, now: Timestamp) -> Result<Option<Arc<Website>>> {
        self.look_up_at(self.store.momentary_version(now)?, &self.codes, code, load_website_by_code)
    }

    fn look_up<K: Hash + Eq + Clone + Send + Sync + 'static, T: Send + Sync + 'static>(
        &self,
        cache: &Cache<K, Entry<T>>,
        key: &K,
        load: impl FnOnce(&mut SqliteConnection, &K) -> Result<Option<T>>,
    ) -> Result<Option<Arc<T>>> {
        self.look_up_at(self.store.data_version()?, cache, key, load)
    }

    fn look_up_at<K: Hash + Eq + Clone + Send + Sync + 'static, T: Send + Sync + 'static>(
        &self,
        version: i64,
        cache: &Cache<K, Entry<T>>,
        key: &K,
        load: impl FnOnce(&mut SqliteConnection, &K) -> Result<Option<T>>,
    ) -> Result<Option<Arc<T>>> {
        if let Some(entry) = cache.get(key).filter(|entry| entry.version == version) {
            return Ok(entry.value);
        }
        let (version, value) = self.store.read_versioned(|conn| load(conn, key))?;
        let value = value.map(Arc::new);
        cache.insert(key.clone(), Entry { version, value: value.clone() });
        Ok(value)
    }
}
