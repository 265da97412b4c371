//! What was looked up lately.

use std::sync::Arc;

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

/// A key and what was found under it.
type Found<V> = Option<(Box<[u8]>, Arc<V>)>;

/// Remembers answers in a fixed number of places: each key has one place, and the latest key of a place has it. A hit is one
/// hash, one comparison and no counting, a tenth of what a cache costs that knows what to keep; a server's few hundred
/// different user agents, or records of a country database, hardly ever meet. Keys that do only cost the look-up behind.
pub(crate) struct Recent<V> {
    places: Box<[Mutex<Found<V>>]>,
}

impl<V> Recent<V> {
    /// So many places, a power of two.
    pub(crate) fn new(places: usize) -> Self {
        Self { places: (0..places).map(|_| Mutex::default()).collect() }
    }

    /// What was found under `key`, else what `look_up` finds. Not looked up under the lock: a slow answer delays nobody.
    #[expect(clippy::cast_possible_truncation, reason = "the low bits of a hash are enough")]
    pub(crate) fn get_or<E>(&self, key: &[u8], look_up: impl FnOnce() -> Result<Arc<V>, E>) -> Result<Arc<V>, E> {
        let place = xxh3_64(key) as usize & self.places.len().wrapping_sub(1);
        let Some(place) = self.places.get(place) else { return look_up() };
        if let Some((known, value)) = &*place.lock()
            && **known == *key
        {
            return Ok(Arc::clone(value));
        }
        let value = look_up()?;
        *place.lock() = Some((key.into(), Arc::clone(&value)));
        Ok(value)
    }
}

impl<V> std::fmt::Debug for Recent<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recent({} places)", self.places.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found under `key`, and how often it was looked up.
    fn get(recent: &Recent<String>, key: &str) -> (String, u32) {
        let mut asked = 0;
        let look_up = || {
            asked += 1;
            Ok::<_, ()>(Arc::new(key.to_uppercase()))
        };
        let found = recent.get_or(key.as_bytes(), look_up).unwrap();
        (String::clone(&found), asked)
    }

    #[test]
    fn the_latest_of_a_place_is_remembered_and_no_other_is_taken_for_it() {
        for places in [0, 1, 8] {
            let recent = Recent::new(places);
            for key in ["a", "b", "a", "", "long enough for another hash function"] {
                assert_eq!(get(&recent, key).0, key.to_uppercase());
                let again = u32::from(places == 0);
                assert_eq!(get(&recent, key), (key.to_uppercase(), again), "{places} places");
            }
        }
    }

    #[test]
    fn a_failed_look_up_is_not_remembered() {
        let recent: Recent<String> = Recent::new(1);
        assert_eq!(recent.get_or(b"a", || Err("no")), Err("no"));
        assert_eq!(get(&recent, "a"), ("A".to_owned(), 1));
    }
}
