//! Maps from values to dense codes.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use foldhash::fast::RandomState;

pub(crate) type IdMap<V> = HashMap<u64, V, RandomState>;
pub(crate) type IdSet = HashSet<u64, RandomState>;

/// 64-bit ids by code, in order of their first appearance.
#[derive(Default)]
pub(crate) struct IdInterner {
    map: IdMap<u32>,
    ids: Vec<u64>,
}

impl IdInterner {
    pub(crate) fn with_capacity(ids: usize) -> Self {
        Self { map: IdMap::with_capacity_and_hasher(ids, RandomState::default()), ids: Vec::with_capacity(ids) }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a head is sealed long before it has 2^32 ids")]
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

/// Strings by code, in order of their first appearance; the empty string is code 0. Strings come from strangers, so the map
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
    #[expect(clippy::cast_possible_truncation, reason = "a head is sealed long before it has 2^32 strings")]
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

    /// The bytes of all strings.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn texts(&self) -> &[Arc<str>] {
        &self.texts
    }
}
