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
/// A website with so many rows gets columns of the same length in the next generation at once: growing them copies them
/// over and over, and every time the kernel clears pages that the last copy gave back.
const LARGE_ROWS: usize = 4_096;
/// What a new string takes beside its bytes, about.
const TEXT_BYTES: usize = 96;

/// The rows of the log between two seals. One generation is active, the others wait to become segments.
pub(crate) struct Generation {
    pub(crate) id: u64,
    sites: RwLock<HashMap<WebsiteId, Arc<Mutex<SiteHead>>>>,
    /// Lengths of the large websites of the generation before.
    expected: HashMap<WebsiteId, Lengths>,
    rows: AtomicU64,
    bytes: AtomicU64,
    /// Bytes of captures in the batches of this generation, which are not held here.
    captured: AtomicU64,
    /// Arrival of the first row, milliseconds; `i64::MAX` without rows.
    since: AtomicI64,
}

impl Generation {
    /// The first generation of a store.
    pub(crate) fn first() -> Self {
        Self::new(1, HashMap::new())
    }

    /// The generation after this one, which is not appended to any more.
    pub(crate) fn next(&self) -> Self {
        let sites = self.sites.read();
        let lengths = sites.iter().map(|(website, site)| (*website, site.lock().lengths()));
        Self::new(self.id + 1, lengths.filter(|(_, lengths)| lengths.rows >= LARGE_ROWS).collect())
    }

    fn new(id: u64, expected: HashMap<WebsiteId, Lengths>) -> Self {
        Self {
            id,
            sites: RwLock::default(),
            expected,
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            captured: AtomicU64::new(0),
            since: AtomicI64::new(i64::MAX),
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes that the rows and their strings take, about.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of captures that came with the rows, and are not among [`bytes`](Self::bytes).
    pub(crate) fn captured(&self) -> u64 {
        self.captured.load(Ordering::Relaxed)
    }

    /// Whether nothing came.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows() == 0 && self.captured() == 0
    }

    /// Notes that so many bytes of captures are in a batch of this generation.
    pub(crate) fn note_captured(&self, now_ms: i64, bytes: u64) {
        self.captured.fetch_add(bytes, Ordering::Relaxed);
        self.since.fetch_min(now_ms, Ordering::Relaxed);
    }

    /// Arrival of the first row or capture, milliseconds; `i64::MAX` without.
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
                let head = self.expected.get(&website).map_or_else(SiteHead::default, SiteHead::with_room);
                let head = Arc::new(Mutex::new(head));
                self.sites.write().insert(website, Arc::clone(&head));
                head
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

/// How long the columns and maps of a [`SiteHead`] are.
struct Lengths {
    rows: usize,
    visitors: usize,
    sessions: usize,
    dimensions: [usize; Dimension::COUNT],
}

impl SiteHead {
    fn with_room(lengths: &Lengths) -> Self {
        let rows = lengths.rows;
        Self {
            at: Vec::with_capacity(rows),
            kind: Vec::with_capacity(rows),
            flags: Vec::with_capacity(rows),
            engagement_ms: Vec::with_capacity(rows),
            scroll_percent: Vec::with_capacity(rows),
            visitor: Vec::with_capacity(rows),
            session: Vec::with_capacity(rows),
            dimensions: lengths.dimensions.map(Vec::with_capacity),
            visitors: IdInterner::with_capacity(lengths.visitors),
            sessions: IdInterner::with_capacity(lengths.sessions),
            texts: Default::default(),
        }
    }

    fn lengths(&self) -> Lengths {
        Lengths {
            rows: self.len(),
            visitors: self.visitors.ids().len(),
            sessions: self.sessions.ids().len(),
            dimensions: self.dimensions.each_ref().map(Vec::len),
        }
    }

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
            // Hostnames, languages and systems mostly repeat: comparing with the row before costs less than hashing.
            if let Some(&last) = column.last()
                && &*interner.texts()[last as usize] == text
            {
                column.push(last);
                continue;
            }
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
        let generation = Generation::first();
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

    #[test]
    fn a_large_website_has_room_for_as_much_in_the_next_generation() {
        let (large, small) = (WebsiteId::from_random_bytes([1; 16]), WebsiteId::from_random_bytes([2; 16]));
        let events: Vec<_> = (0..LARGE_ROWS as u64)
            .map(|n| {
                let at = Timestamp::from_millis(n as i64);
                let mut event = Event::new(EventKind::Pageview, at, VisitorId(n / 2), SessionId(n));
                event.dimensions.set(Dimension::City, "Oslo");
                event
            })
            .collect();
        let first = Generation::first();
        first.append(7, events.iter().map(|event| (large, event)).chain([(small, &events[0])]));
        let next = first.next();
        assert_eq!((next.id, next.rows(), next.websites().len()), (2, 0, 0), "it holds nothing yet");
        next.append(8, [(large, &events[0]), (small, &events[0])].into_iter());
        let room = |website| {
            let site = next.site(website).unwrap();
            let site = site.lock();
            let city = Dimension::City as usize;
            (site.len(), site.at.capacity() >= LARGE_ROWS, site.dimensions[city].capacity() >= LARGE_ROWS)
        };
        assert_eq!(room(large), (1, true, true));
        assert_eq!(room(small), (1, false, false));
    }
}
