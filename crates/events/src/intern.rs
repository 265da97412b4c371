//! Maps from values to dense codes.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, LazyLock};

/// Hashes 64-bit ids, which are keyed hashes already: nobody outside can choose them to collide. One multiplication
/// spreads the small numbers that tests use.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        let mixed = (self.0 ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

pub(crate) type IdMap<V> = HashMap<u64, V, BuildHasherDefault<IdHasher>>;
pub(crate) type IdSet = HashSet<u64, BuildHasherDefault<IdHasher>>;

/// 64-bit ids by code, in order of their first appearance.
#[derive(Default)]
pub(crate) struct IdInterner {
    map: IdMap<u32>,
    ids: Vec<u64>,
}

impl IdInterner {
    pub(crate) fn with_capacity(ids: usize) -> Self {
        Self { map: IdMap::with_capacity_and_hasher(ids, BuildHasherDefault::default()), ids: Vec::with_capacity(ids) }
    }

    pub(crate) fn code(&mut self, id: u64) -> u32 {
        match self.map.entry(id) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                let code = self.ids.len() as u32;
                entry.insert(code);
                self.ids.push(id);
                code
            }
        }
    }

    pub(crate) fn ids(&self) -> &[u64] {
        &self.ids
    }
}

/// Texts by code, in order of their first appearance; the empty text is code 0. Texts come from strangers, so the map
/// keeps the standard library's keyed hash.
pub(crate) struct TextInterner {
    map: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
    bytes: usize,
}

/// The empty string, one for all: a head has an interner per website and dimension.
pub(crate) fn empty_string() -> Arc<str> {
    static EMPTY: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(""));
    Arc::clone(&EMPTY)
}

impl Default for TextInterner {
    fn default() -> Self {
        Self { map: HashMap::new(), texts: vec![empty_string()], bytes: 0 }
    }
}

impl TextInterner {
    pub(crate) fn code(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(&code) = self.map.get(text) {
            return code;
        }
        let code = self.texts.len() as u32;
        let text: Arc<str> = Arc::from(text);
        self.bytes += text.len();
        self.map.insert(Arc::clone(&text), code);
        self.texts.push(text);
        code
    }

    /// The bytes of all texts.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn texts(&self) -> &[Arc<str>] {
        &self.texts
    }
}
