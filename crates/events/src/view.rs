//! Views: what queries of one website have decoded so far, as the dense codes that the kernels want.
//!
//! A view maps the visitors, sessions and strings of its website to codes that are the same in every chunk, and keeps the
//! chunks it has decoded: columns of row groups of segments, and blocks of the head. A query takes the lock of its
//! website's view only to bring it up to date, which costs little when nothing is new, and then works on shared
//! copies: it blocks no other query while it runs, and appends never. All views together keep to a budget of bytes.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use zenovay_domain::{Dimension, TimeRange, WebsiteId};
use zenovay_query::engine::{Chunk, CodeSet, ColumnSet, Dataset, Dictionary, List, SessionPart};
use zenovay_query::{Budget, QueryError};

use crate::head::{BLOCK_ROWS, Generation, SiteHead};
use crate::intern::IdMap;
use crate::rows::{BaseRows, Ids, LoadedChunk, events_of};
use crate::segment::{Coded, ColumnId, Segment, SegmentError, SiteRange, Values, damaged};
use crate::state::State;

/// How often a query that waits for another to load looks whether it was cancelled.
const PATIENCE: Duration = Duration::from_millis(20);
/// What a row takes in the columns that every query reads, and what is found out about it once.
const ROW_BYTES: usize = 25;
/// What a session takes in the session table and its index.
const SESSION_BYTES: usize = 84;
/// What an id takes in its map and its list.
const ID_BYTES: usize = 40;
/// About what a row takes with its share of all that, when it is not known how many sessions there are.
const TYPICAL_ROW_BYTES: usize = 64;
const TEXT_BYTES: usize = 96;

/// The views of all websites.
pub(crate) struct Views {
    pub(super) entries: Mutex<Entries>,
    max_bytes: usize,
    pub(super) clock: AtomicU64,
}

#[derive(Default)]
pub(super) struct Entries {
    pub(super) views: HashMap<WebsiteId, Arc<Entry>>,
    /// What all of them take.
    bytes: usize,
}

#[derive(Default)]
pub(super) struct Entry {
    view: Mutex<View>,
    /// What the view took when it was measured last. Changed under the lock of [`Entries`] only.
    bytes: AtomicUsize,
    used: AtomicU64,
}

impl Entries {
    /// Notes that the view of `entry` takes `bytes` now, if it was not dropped meanwhile.
    fn measured(&mut self, website: WebsiteId, entry: &Arc<Entry>, bytes: usize) {
        if self.views.get(&website).is_some_and(|known| Arc::ptr_eq(known, entry)) {
            self.bytes = self.bytes - entry.bytes.swap(bytes, Ordering::Relaxed) + bytes;
            // A view without bytes is a website without rows: nothing is kept for made-up ids.
            if bytes == 0 {
                self.views.remove(&website);
            }
        }
    }

    fn bytes_of(&self, website: WebsiteId) -> usize {
        self.views.get(&website).map_or(0, |entry| entry.bytes.load(Ordering::Relaxed))
    }

    /// Removes the view that was used least recently, but not that of `website`; `false` when there is no other.
    fn remove_oldest_but(&mut self, website: WebsiteId) -> bool {
        let others = self.views.iter().filter(|(other, _)| **other != website);
        let oldest = others.min_by_key(|(_, entry)| entry.used.load(Ordering::Relaxed)).map(|(other, _)| *other);
        oldest.map(|oldest| self.remove(oldest)).is_some()
    }

    fn remove(&mut self, website: WebsiteId) {
        if let Some(entry) = self.views.remove(&website) {
            self.bytes -= entry.bytes.load(Ordering::Relaxed);
        }
    }
}

/// What a kernel needs, shared with the view it came from.
#[derive(Default)]
pub(crate) struct Prepared {
    chunks: Vec<Arc<Chunk>>,
    dictionaries: Arc<[Dictionary; Dimension::COUNT]>,
    visitor_ids: List<u64>,
    session_ids: List<u64>,
    split_sessions: Arc<CodeSet>,
    /// What the query was counted for it.
    taken_bytes: usize,
}

impl Prepared {
    /// What is left of `budget` for the kernel.
    pub(crate) fn rest_of(&self, budget: &Budget) -> Budget {
        budget.after(self.taken_bytes)
    }

    /// Hands the data to `kernel`.
    pub(crate) fn with_dataset<T>(&self, kernel: impl FnOnce(Dataset<'_>) -> T) -> T {
        let chunks: Vec<&Chunk> = self.chunks.iter().map(|chunk| &**chunk).collect();
        kernel(Dataset {
            chunks: &chunks,
            dictionaries: &self.dictionaries,
            visitor_ids: self.visitor_ids.as_ref(),
            session_ids: self.session_ids.as_ref(),
            split_sessions: &self.split_sessions,
        })
    }
}

impl Views {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { entries: Mutex::default(), max_bytes, clock: AtomicU64::new(0) }
    }

    /// The rows of `website` in `time` with the strings of `columns`, of the state that `state` gives when the view is
    /// locked.
    pub(crate) fn prepare(
        &self,
        state: impl Fn() -> Arc<State>,
        website: WebsiteId,
        time: TimeRange,
        columns: ColumnSet,
        budget: &Budget,
    ) -> Result<Prepared, QueryError> {
        let used = self.clock.fetch_add(1, Ordering::Relaxed) + 1;
        let entry = Arc::clone(self.entries.lock().views.entry(website).or_default());
        entry.used.store(used, Ordering::Relaxed);
        let mut is_second_try = false;
        loop {
            budget.check()?;
            let Some(mut view) = entry.view.try_lock_for(PATIENCE) else { continue };
            // Taken under the lock, so that a view never goes back to an older state.
            let state = state();
            let (old_bytes, text_bytes) = (view.bytes(), view.text_bytes);
            let allowance = Allowance { views: self, website, budget, old_bytes, new_bytes: 0, text_bytes };
            let prepared = view.prepare(&state, time, columns, allowance, used);
            if prepared.as_ref().is_err_and(|error| *error == QueryError::MemoryExceeded) {
                *view = View::default();
            }
            let bytes = view.bytes();
            drop(view);
            self.make_room(website, &entry, bytes, used);
            match prepared {
                // Not under the lock, for which others wait who need little.
                Err(QueryError::MemoryInUse) => budget.wait_for_memory()?,
                // Without what only queries before it needed it may be enough.
                Err(QueryError::MemoryExceeded) if old_bytes > 0 && !is_second_try => is_second_try = true,
                prepared => return prepared,
            }
        }
    }

    /// Whether a query about `time` needs more rows of segments at once than its budget has memory for.
    pub(crate) fn is_too_much(state: &State, website: WebsiteId, time: TimeRange, budget: &Budget) -> bool {
        let rows: usize = state.ranges_in(website, time).map(|(_, range)| range.rows as usize).sum();
        rows.saturating_mul(TYPICAL_ROW_BYTES) > budget.memory_bytes()
    }

    /// How many rows of segments a query about `time` would have to load; all of them when they do not fit.
    pub(crate) fn rows_to_load(&self, state: &State, website: WebsiteId, time: TimeRange) -> usize {
        let all: usize = state.ranges_in(website, time).map(|(_, range)| range.rows as usize).sum();
        if all.saturating_mul(TYPICAL_ROW_BYTES) > self.max_bytes {
            return all;
        }
        let entry = self.entries.lock().views.get(&website).map(Arc::clone);
        // Someone who loads meanwhile is not waited for.
        let Some(view) = entry.as_ref().and_then(|entry| entry.view.try_lock()) else { return all };
        let is_loaded = |segment: &Segment, range: &SiteRange| {
            view.chunks.contains_key(&ChunkKey::Segment { segment: segment.meta.id, group: range.group })
        };
        state
            .ranges_in(website, time)
            .filter(|(segment, range)| !is_loaded(segment, range))
            .map(|(_, range)| range.rows as usize)
            .sum()
    }

    /// Drops what is kept of `website`.
    pub(crate) fn forget(&self, website: WebsiteId) {
        self.entries.lock().remove(website);
    }

    /// Bytes that are kept, about.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.lock().bytes
    }

    /// Drops views of others than `website`, those used least recently first, until they keep to `max_bytes`. What `website`
    /// has is counted as what its query holds.
    fn make_room_beside(&self, website: WebsiteId, max_bytes: usize) {
        let mut entries = self.entries.lock();
        while entries.bytes - entries.bytes_of(website) > max_bytes && entries.remove_oldest_but(website) {}
    }

    /// Notes that the view of `website` takes `bytes`, and drops views, those used least recently first, until all keep to
    /// the budget: first others, then the chunks of this one that its last query did not need, then this one.
    fn make_room(&self, website: WebsiteId, entry: &Arc<Entry>, bytes: usize, used: u64) {
        let mut entries = self.entries.lock();
        entries.measured(website, entry, bytes);
        while entries.bytes > self.max_bytes && entries.remove_oldest_but(website) {}
        if entries.bytes > self.max_bytes
            && let Some(mut view) = entry.view.try_lock()
        {
            view.drop_unused(used);
            entries.measured(website, entry, view.bytes());
        }
        if entries.bytes > self.max_bytes {
            entries.remove(website);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ChunkKey {
    Segment { segment: u64, group: u32 },
    Head { generation: u64, block: usize },
}

struct CachedChunk {
    chunk: Arc<Chunk>,
    /// The rows of the source that are events, in the order of the chunk; `None` when that is all rows as they stand.
    events: Option<Vec<u32>>,
    /// Rows of the source when it was read: a block of the head grows.
    rows: usize,
    min_at: i64,
    max_at: i64,
    /// Whether rows are left out because they were hidden when it was read.
    is_cut: bool,
    used: u64,
}

/// What is known of one generation of the head: the website's code of each local code.
#[derive(Default)]
struct HeadCodes {
    visitors: Vec<u32>,
    sessions: Vec<u32>,
    texts: [Vec<u32>; Dimension::COUNT],
}

#[derive(Default)]
struct View {
    /// The state that the chunks were compared with last.
    version: u64,
    /// What was hidden then: rows before this time, milliseconds.
    hidden_before: i64,
    chunks: HashMap<ChunkKey, CachedChunk>,
    heads: HashMap<u64, HeadCodes>,
    visitors: IdMap<u32>,
    visitor_ids: List<u64>,
    sessions: IdMap<u32>,
    session_ids: List<u64>,
    /// How many chunks each session has a part in.
    session_parts: Vec<u16>,
    /// Those with parts in several.
    split_sessions: Arc<CodeSet>,
    texts: [HashMap<Arc<str>, u32>; Dimension::COUNT],
    dictionaries: Arc<[Dictionary; Dimension::COUNT]>,
    text_bytes: usize,
}

impl View {
    fn prepare(
        &mut self,
        state: &State,
        time: TimeRange,
        columns: ColumnSet,
        mut allowance: Allowance<'_>,
        used: u64,
    ) -> Result<Prepared, QueryError> {
        let Allowance { website, budget, .. } = allowance;
        self.drop_stale(state, website);
        let (from, to) = (time.from.as_millis(), time.to.as_millis());
        let overlaps = |min_at: i64, max_at: i64| max_at >= from && min_at < to;
        let needed: Vec<(&Segment, &SiteRange)> = state.ranges_in(website, time).collect();
        for (segment, range) in &needed {
            allowance.new_bytes += self.bytes_to_load(segment, range, columns).map_err(damaged)?;
        }
        for generation in state.generations() {
            let Some(site) = generation.site(website) else { continue };
            let head = site.lock();
            let known = self.heads.get(&generation.id);
            let [visitors, sessions] = known.map_or([0; 2], |codes| [codes.visitors.len(), codes.sessions.len()]);
            let visitors = head.visitors.ids().len() - visitors;
            let sessions = head.sessions.ids().len() - sessions;
            // A block that has grown is read anew.
            let rows = if known.is_none() { head.len() } else { head.len().min(BLOCK_ROWS) };
            allowance.new_bytes += row_bytes(rows, columns, visitors, sessions);
        }
        allowance.check(self, 0)?;

        let mut keys = Vec::with_capacity(needed.len() + 1);
        budget.expect_parts(needed.len() as u64);
        for (segment, range) in needed {
            let key = ChunkKey::Segment { segment: segment.meta.id, group: range.group };
            if !self.has(key, range.rows as usize, columns) {
                self.load_segment(key, segment, range, columns, &allowance)?;
            }
            budget.part_done();
            keys.push(key);
        }
        for generation in state.generations() {
            let Some(site) = generation.site(website) else { continue };
            budget.check()?;
            keys.extend(self.load_head(generation, &site, columns, &allowance)?);
        }

        // In the order of arrival, as a dataset wants them: segments by position, then the head.
        let mut chunks = Vec::with_capacity(keys.len());
        for key in keys {
            let Some(loaded) = self.chunks.get_mut(&key) else { continue };
            // All of it may be hidden.
            let is_empty = loaded.chunk.sessions.is_empty();
            if !is_empty && overlaps(loaded.min_at, loaded.max_at) {
                loaded.used = used;
                chunks.push(Arc::clone(&loaded.chunk));
            }
        }
        Ok(Prepared {
            chunks,
            dictionaries: Arc::clone(&self.dictionaries),
            visitor_ids: self.visitor_ids.clone(),
            session_ids: self.session_ids.clone(),
            split_sessions: Arc::clone(&self.split_sessions),
            taken_bytes: allowance.taken(self),
        })
    }

    /// What is still to load of the rows of `range` with `columns`, but for strings.
    fn bytes_to_load(&self, segment: &Segment, range: &SiteRange, columns: ColumnSet) -> Result<usize, SegmentError> {
        let (rows, group) = (range.rows as usize, range.group);
        if let Some(loaded) = self.chunks.get(&ChunkKey::Segment { segment: segment.meta.id, group }) {
            let missing = columns.iter().filter(|dimension| loaded.chunk.columns[*dimension as usize].is_none());
            return Ok(4 * rows * missing.count());
        }
        // As many as its websites have together.
        let ids = |column| match segment.unpacked_bytes(group, column)? / size_of::<u64>() {
            0 => Ok(rows),
            ids => Ok(ids.min(rows)),
        };
        Ok(row_bytes(rows, columns, ids(ColumnId::Visitor)?, ids(ColumnId::Session)?))
    }

    /// Whether a chunk of `rows` rows is loaded with `columns`.
    fn has(&self, key: ChunkKey, rows: usize, columns: ColumnSet) -> bool {
        self.chunks.get(&key).is_some_and(|loaded| {
            loaded.rows == rows && columns.iter().all(|dimension| loaded.chunk.columns[dimension as usize].is_some())
        })
    }

    /// Drops chunks whose segment or generation is gone, and those of which other rows are hidden now.
    fn drop_stale(&mut self, state: &State, website: WebsiteId) {
        if self.version == state.version {
            return;
        }
        self.version = state.version;
        let hidden_before = state.hidden_before(website);
        if hidden_before != self.hidden_before {
            self.hidden_before = hidden_before;
            self.drop_chunks(|_, loaded| !loaded.is_cut && loaded.min_at >= hidden_before);
        }
        let segments: HashSet<u64> = state.segments.iter().map(|segment| segment.meta.id).collect();
        let generations: HashSet<u64> = state.generations().map(|generation| generation.id).collect();
        self.heads.retain(|generation, _| generations.contains(generation));
        self.drop_chunks(|key, _| match key {
            ChunkKey::Segment { segment, .. } => segments.contains(segment),
            ChunkKey::Head { generation, .. } => generations.contains(generation),
        });
    }

    fn drop_unused(&mut self, used: u64) {
        self.drop_chunks(|_, loaded| loaded.used == used);
    }

    fn drop_chunks(&mut self, keep: impl Fn(&ChunkKey, &CachedChunk) -> bool) {
        let dropped: Vec<ChunkKey> =
            self.chunks.iter().filter(|(key, loaded)| !keep(key, loaded)).map(|(key, _)| *key).collect();
        for key in dropped {
            if let Some(loaded) = self.chunks.remove(&key) {
                self.count_parts(&loaded.chunk.sessions, -1);
            }
        }
    }

    fn count_parts(&mut self, parts: &[SessionPart], by: i16) {
        self.session_parts.resize(self.session_ids.len(), 0);
        for part in parts {
            let count = &mut self.session_parts[part.session as usize];
            *count = count.saturating_add_signed(by);
            let is_split = *count >= 2;
            if self.split_sessions.contains(part.session) != is_split {
                Arc::make_mut(&mut self.split_sessions).set(part.session, is_split);
            }
        }
    }

    fn insert(&mut self, key: ChunkKey, loaded: CachedChunk) {
        // Counted before those of the chunk that it replaces are taken out: most sessions of both are the same, and stay what
        // they are, so that the set need not change, which is a copy when a query holds it.
        self.count_parts(&loaded.chunk.sessions, 1);
        if let Some(old) = self.chunks.insert(key, loaded) {
            self.count_parts(&old.chunk.sessions, -1);
        }
    }

    fn load_segment(
        &mut self,
        key: ChunkKey,
        segment: &Segment,
        range: &SiteRange,
        columns: ColumnSet,
        allowance: &Allowance<'_>,
    ) -> Result<(), QueryError> {
        let rows = range.start as usize..(range.start + range.rows) as usize;
        let budget = allowance.budget;
        budget.check()?;
        if !self.chunks.contains_key(&key) {
            let base = self.read_base(segment, range.group, rows.clone()).map_err(damaged)?;
            budget.check()?;
            self.insert(key, CachedChunk::new(base.into_chunk(self.hidden_before), range.rows as usize));
        }
        for dimension in columns.iter() {
            let Some(loaded) = self.chunks.get(&key) else { break };
            if loaded.chunk.columns[dimension as usize].is_none() {
                budget.check()?;
                let column = ColumnId::Dimension(dimension);
                allowance.check(self, segment.unpacked_bytes(range.group, column).map_err(damaged)?)?;
                let coded = segment.read(range.group, column, rows.clone()).map_err(damaged)?;
                let codes = self.text_codes(dimension, coded);
                self.set_column(key, dimension, &codes);
                allowance.check(self, 0)?;
            }
        }
        Ok(())
    }

    fn set_column(&mut self, key: ChunkKey, dimension: Dimension, codes: &[u32]) {
        let Some(loaded) = self.chunks.get_mut(&key) else { return };
        let column = events_of(loaded.events.as_deref(), codes);
        // Cheap: a chunk is made of shared columns.
        Arc::make_mut(&mut loaded.chunk).columns[dimension as usize] = Some(column);
    }

    fn read_base(&mut self, segment: &Segment, group: u32, rows: Range<usize>) -> Result<BaseRows, SegmentError> {
        let (mut base, Ids { visitors, sessions }) = segment.read_base::<SegmentError>(group, rows, || Ok(()))?;
        rename_ids(&mut base.visitor, &visitors, &mut self.visitors, &mut self.visitor_ids);
        rename_ids(&mut base.session, &sessions, &mut self.sessions, &mut self.session_ids);
        Ok(base)
    }

    /// Brings the blocks of a website's head up to date and gives their keys.
    fn load_head(
        &mut self,
        generation: &Generation,
        site: &Mutex<SiteHead>,
        columns: ColumnSet,
        allowance: &Allowance<'_>,
    ) -> Result<Vec<ChunkKey>, QueryError> {
        let mut codes = self.heads.remove(&generation.id).unwrap_or_default();
        let mut keys = Vec::new();
        let mut block = 0;
        loop {
            let head = site.lock();
            let rows = block * BLOCK_ROWS..((block + 1) * BLOCK_ROWS).min(head.len());
            if rows.is_empty() {
                break;
            }
            let key = ChunkKey::Head { generation: generation.id, block };
            keys.push(key);
            block += 1;
            if self.has(key, rows.len(), columns) {
                continue;
            }
            // Under the lock nothing but copies: the writer may be waiting.
            let fresh = self.chunks.get(&key).is_none_or(|loaded| loaded.rows != rows.len());
            let base = fresh.then(|| BaseRows {
                at: head.at[rows.clone()].to_vec(),
                kind: head.kind[rows.clone()].to_vec(),
                visitor: head.visitor[rows.clone()].to_vec(),
                session: head.session[rows.clone()].to_vec(),
                engagement_ms: head.engagement_ms[rows.clone()].to_vec(),
            });
            let new_visitors = head.visitors.ids()[codes.visitors.len()..].to_vec();
            let new_sessions = head.sessions.ids()[codes.sessions.len()..].to_vec();
            let missing = |dimension: &Dimension| {
                fresh || self.chunks.get(&key).is_none_or(|loaded| loaded.chunk.columns[*dimension as usize].is_none())
            };
            let texts: Vec<(Dimension, Vec<u32>, Vec<Arc<str>>)> = columns
                .iter()
                .filter(missing)
                .map(|dimension| {
                    let known = codes.texts[dimension as usize].len();
                    let new_texts = head.texts[dimension as usize].texts()[known..].to_vec();
                    (dimension, head.dimension(dimension, rows.clone()), new_texts)
                })
                .collect();
            drop(head);
            let text_bytes = texts.iter().flat_map(|(.., new)| new).map(|text| text.len() + TEXT_BYTES).sum();
            if let Err(error) = allowance.check(self, text_bytes) {
                self.heads.insert(generation.id, codes);
                return Err(error);
            }

            codes.visitors.extend(id_codes(new_visitors, &mut self.visitors, &mut self.visitor_ids));
            codes.sessions.extend(id_codes(new_sessions, &mut self.sessions, &mut self.session_ids));
            if let Some(mut base) = base {
                rename(&mut base.visitor, &codes.visitors);
                rename(&mut base.session, &codes.sessions);
                self.insert(key, CachedChunk::new(base.into_chunk(self.hidden_before), rows.len()));
            }
            for (dimension, mut column, new_texts) in texts {
                let names = &mut codes.texts[dimension as usize];
                for text in new_texts {
                    names.push(self.text_code(dimension, text));
                }
                rename(&mut column, names);
                self.set_column(key, dimension, &column);
            }
        }
        self.heads.insert(generation.id, codes);
        Ok(keys)
    }

    fn text_codes(&mut self, dimension: Dimension, coded: Coded) -> Vec<u32> {
        let Coded { mut codes, values } = coded;
        match values {
            Values::Texts(texts) => {
                rename_lazily(&mut codes, texts.len(), |code| self.text_code(dimension, texts.get(code)));
            }
            _ => codes.fill(0),
        }
        codes
    }

    /// The code of a string, which is kept when it has none. One that the head has is shared with it.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a view is bounded by its bytes long before it has 2^32 strings"
    )]
    fn text_code(&mut self, dimension: Dimension, text: impl AsRef<str> + Into<Arc<str>>) -> u32 {
        if text.as_ref().is_empty() {
            return 0;
        }
        if let Cow::Owned(normal) = dimension.normal(text.as_ref()) {
            return self.text_code(dimension, normal);
        }
        let map = &mut self.texts[dimension as usize];
        if let Some(&code) = map.get(text.as_ref()) {
            return code;
        }
        let texts = &mut Arc::make_mut(&mut self.dictionaries)[dimension as usize].texts;
        let code = texts.len() as u32;
        let text: Arc<str> = text.into();
        self.text_bytes += text.len() + TEXT_BYTES;
        map.insert(Arc::clone(&text), code);
        texts.push(text);
        code
    }

    /// About what the view takes; 0 when it holds no rows.
    fn bytes(&self) -> usize {
        let chunks: usize = self.chunks.values().map(CachedChunk::bytes).sum();
        if chunks == 0 {
            return 0;
        }
        chunks + self.text_bytes + ID_BYTES * (self.visitor_ids.len() + self.session_ids.len()) + size_of::<Self>()
    }
}

/// What one query may load.
struct Allowance<'a> {
    views: &'a Views,
    website: WebsiteId,
    budget: &'a Budget,
    /// What the view took before it.
    old_bytes: usize,
    /// What the rows take that it loads.
    new_bytes: usize,
    /// What the strings of the view took before it.
    text_bytes: usize,
}

impl Allowance<'_> {
    /// What the query holds with what it took so far: the view, the rows that it loads and their strings.
    fn taken(&self, view: &View) -> usize {
        self.old_bytes + self.new_bytes + (view.text_bytes - self.text_bytes)
    }

    /// Called before strings of up to `bytes` are loaded. What is kept of other websites makes room for them.
    fn check(&self, view: &View, bytes: usize) -> Result<(), QueryError> {
        self.budget.check_memory_at_once(self.taken(view).saturating_add(bytes))?;
        self.views.make_room_beside(self.website, self.budget.spare_memory_bytes());
        Ok(())
    }
}

impl CachedChunk {
    fn new(made: LoadedChunk, rows: usize) -> Self {
        let LoadedChunk { chunk, events, min_at, max_at, is_cut } = made;
        Self { chunk: Arc::new(chunk), events, rows, min_at, max_at, is_cut, used: 0 }
    }

    fn bytes(&self) -> usize {
        let columns = self.chunk.columns.iter().flatten().count();
        let events = self.events.as_ref().map_or(0, Vec::len);
        let sessions = size_of_val(&*self.chunk.sessions) + self.chunk.derived.bytes();
        self.chunk.at.len() * (17 + 4 * columns) + 4 * events + sessions + size_of::<Self>()
    }
}

/// What so many rows take with `columns`, but for strings.
fn row_bytes(rows: usize, columns: ColumnSet, visitors: usize, sessions: usize) -> usize {
    rows * (ROW_BYTES + 4 * columns.iter().count()) + sessions * SESSION_BYTES + (visitors + sessions) * ID_BYTES
}

/// The code of each of `ids`; those without one get the next.
fn id_codes(ids: Vec<u64>, map: &mut IdMap<u32>, known: &mut List<u64>) -> Vec<u32> {
    let mut new = NewIds::new(map, known);
    ids.into_iter().map(|id| new.code(id)).collect()
}

/// Replaces codes that stand for `values` by those of the view.
fn rename_ids(codes: &mut [u32], values: &[u64], map: &mut IdMap<u32>, known: &mut List<u64>) {
    // Once instead of by doubling: most of a row group's ids are new to the view. Of a row group that many websites share,
    // `values` are those of all.
    map.reserve(values.len().min(codes.len()));
    let mut new = NewIds::new(map, known);
    rename_lazily(codes, values.len(), |code| new.code(values[code as usize]));
}

/// How many ids [`NewIds`] gathers.
const NEW_IDS: usize = 1_024;

/// Ids that are given codes, some gathered before they are added to their list: adding is a look at who shares it. All are
/// in it when this is dropped.
struct NewIds<'a> {
    map: &'a mut IdMap<u32>,
    known: &'a mut List<u64>,
    new: Vec<u64>,
    next: u32,
}

impl<'a> NewIds<'a> {
    #[expect(clippy::cast_possible_truncation, reason = "a view is bounded by its bytes long before it has 2^32 ids")]
    fn new(map: &'a mut IdMap<u32>, known: &'a mut List<u64>) -> Self {
        let next = known.len() as u32;
        Self { map, known, new: Vec::new(), next }
    }

    fn code(&mut self, id: u64) -> u32 {
        let code = *self.map.entry(id).or_insert(self.next);
        // Those that were given before are lower.
        if code == self.next {
            self.new.push(id);
            self.next += 1;
            if self.new.len() == NEW_IDS {
                self.flush();
            }
        }
        code
    }

    fn flush(&mut self) {
        self.known.extend_from_slice(&self.new);
        self.new.clear();
    }
}

impl Drop for NewIds<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Renames `codes`, asking for the name of each of `known` codes only when it is met.
fn rename_lazily(codes: &mut [u32], known: usize, mut name: impl FnMut(u32) -> u32) {
    let mut names = vec![u32::MAX; known];
    for code in codes {
        let new = &mut names[*code as usize];
        if *new == u32::MAX {
            *new = name(*code);
        }
        *code = *new;
    }
}

fn rename(codes: &mut [u32], names: &[u32]) {
    for code in codes {
        *code = names[*code as usize];
    }
}
