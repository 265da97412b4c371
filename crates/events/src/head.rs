//! The head: what is not in a segment yet, in memory, by website, in columns of codes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use zenovay_domain::{Dimension, Event, WebsiteId};

use crate::intern::{IdInterner, TextInterner};

/// Rows of a website's head are handed to queries in blocks of this many: only the last block changes, so a query
/// copies at most this many rows of each column.
pub(crate) const BLOCK_ROWS: usize = 8_192;

/// What a row takes in the columns and the maps of ids, about.
const ROW_BYTES: usize = 150;
/// What a website takes, about, before its first row.
const SITE_BYTES: usize = 4_096;
/// What a new text takes beside its bytes, about.
const TEXT_BYTES: usize = 96;

/// The rows of the log between two seals. One generation is active, the others wait to become segments.
pub(crate) struct Generation {
    pub(crate) id: u64,
    sites: RwLock<HashMap<WebsiteId, Arc<Mutex<SiteHead>>>>,
    rows: AtomicU64,
    bytes: AtomicU64,
    /// Arrival of the first row, milliseconds; `i64::MAX` without rows.
    since: AtomicI64,
}

impl Generation {
    pub(crate) fn new(id: u64) -> Self {
        Self {
            id,
            sites: RwLock::default(),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            since: AtomicI64::new(i64::MAX),
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes that the rows and their texts take, about.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Arrival of the first row, milliseconds; `i64::MAX` without rows.
    pub(crate) fn since(&self) -> i64 {
        self.since.load(Ordering::Relaxed)
    }

    pub(crate) fn site(&self, website: WebsiteId) -> Option<Arc<Mutex<SiteHead>>> {
        self.sites.read().get(&website).map(Arc::clone)
    }

    pub(crate) fn websites(&self) -> Vec<WebsiteId> {
        let mut websites: Vec<_> = self.sites.read().keys().copied().collect();
        websites.sort_unstable();
        websites
    }

    /// Adds rows in the order of their arrival. Only the writer thread calls this: a website's rows of one call become
    /// visible together.
    pub(crate) fn append<'a>(&self, now_ms: i64, events: impl Iterator<Item = (WebsiteId, &'a Event)>) {
        let mut by_site: HashMap<WebsiteId, Vec<&Event>> = HashMap::new();
        for (website, event) in events {
            by_site.entry(website).or_default().push(event);
        }
        for (website, events) in by_site {
            let site = self.site(website).unwrap_or_else(|| {
                self.bytes.fetch_add(SITE_BYTES as u64, Ordering::Relaxed);
                Arc::clone(self.sites.write().entry(website).or_default())
            });
            let mut site = site.lock();
            let bytes: usize = events.iter().map(|event| site.push(event)).sum();
            self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            self.rows.fetch_add(events.len() as u64, Ordering::Relaxed);
            self.since.fetch_min(now_ms, Ordering::Relaxed);
        }
    }
}

/// One website's rows in the order of their arrival, heartbeats among them.
#[derive(Default)]
pub(crate) struct SiteHead {
    pub(crate) at: Vec<i64>,
    pub(crate) kind: Vec<u8>,
    pub(crate) flags: Vec<u8>,
    pub(crate) engagement_ms: Vec<u32>,
    pub(crate) scroll_percent: Vec<u8>,
    pub(crate) visitor: Vec<u32>,
    pub(crate) session: Vec<u32>,
    /// Codes by dimension; shorter than `at` when the last rows have no value.
    pub(crate) dimensions: [Vec<u32>; Dimension::COUNT],
    pub(crate) visitors: IdInterner,
    pub(crate) sessions: IdInterner,
    pub(crate) texts: [TextInterner; Dimension::COUNT],
}

impl SiteHead {
    pub(crate) fn len(&self) -> usize {
        self.at.len()
    }

    /// Adds a row and tells how many bytes that takes, about.
    fn push(&mut self, event: &Event) -> usize {
        let row = self.at.len();
        let mut bytes = ROW_BYTES;
        self.at.push(event.at.as_millis());
        self.kind.push(event.kind as u8);
        self.flags.push(event.flags.bits());
        self.engagement_ms.push(event.engagement_ms);
        self.scroll_percent.push(event.scroll_percent);
        self.visitor.push(self.visitors.code(event.visitor.0));
        self.session.push(self.sessions.code(event.session.0));
        for (dimension, text) in event.dimensions.iter() {
            let column = &mut self.dimensions[dimension as usize];
            column.resize(row, 0);
            let interner = &mut self.texts[dimension as usize];
            let known = interner.texts().len();
            column.push(interner.code(text));
            if interner.texts().len() > known {
                bytes += text.len() + TEXT_BYTES;
            }
        }
        bytes
    }

    /// The codes of `dimension` in `rows`.
    pub(crate) fn dimension(&self, dimension: Dimension, rows: std::ops::Range<usize>) -> Vec<u32> {
        let column = &self.dimensions[dimension as usize];
        let mut codes = column.get(rows.start..rows.end.min(column.len())).unwrap_or_default().to_vec();
        codes.resize(rows.len(), 0);
        codes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenovay_domain::{EventKind, SessionId, Timestamp, VisitorId};

    #[test]
    fn absent_texts_are_code_zero_in_every_row() {
        let website = WebsiteId::from_random_bytes([1; 16]);
        let generation = Generation::new(1);
        let mut events = Vec::new();
        for (n, city) in ["", "Oslo", "", "Rome", "Oslo", ""].into_iter().enumerate() {
            let mut event =
                Event::new(EventKind::Pageview, Timestamp::from_millis(n as i64), VisitorId(9), SessionId(n as u64));
            event.dimensions.set(Dimension::City, city);
            events.push(event);
        }
        generation.append(7, events.iter().map(|event| (website, event)));
        let site = generation.site(website).unwrap();
        let site = site.lock();
        assert_eq!(site.dimension(Dimension::City, 0..6), [0, 1, 0, 2, 1, 0]);
        assert_eq!(site.dimension(Dimension::City, 5..6), [0]);
        assert_eq!(site.dimension(Dimension::Os, 2..4), [0, 0]);
        assert_eq!((site.visitors.ids().len(), site.sessions.ids().len()), (1, 6));
        assert_eq!((generation.rows(), generation.since()), (6, 7));
    }
}
