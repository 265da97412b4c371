//! How many different strings a column may have: beyond a number for one website and UTC day, new ones are stored as
//! [`OTHER`]. Decided by the writer, before the log.
//!
//! A day with no more rows than the number cannot have more strings, so nothing is looked at before. Then the strings that
//! are stored of that day are read once, from the head and from segments, and from there on the hash of each string is
//! looked up. What is known is what is stored: after a restart it is the same.
//!
//! The hashes of all days together keep to a bound. Those of the days that had no events for longest are dropped first, and
//! read again when they are needed, but not within a minute: meanwhile the strings of such a day are stored as they are.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64_with_seed;
use zenovay_domain::{Dimension, Dimensions, WebsiteId};

use crate::NewEvent;
use crate::head::SiteHead;
use crate::intern::IdSet;
use crate::segment::{ColumnId, Segment, SegmentError, SiteRange, ranges_of};
use crate::state::State;

/// What stands for the strings that are too many.
pub(crate) const OTHER: &str = "(other)";
/// The same where a column holds JSON.
const OTHER_JSON: &str = "\"(other)\"";

const DAY_MS: i64 = 86_400_000;
/// The strings of a day may take so many bytes for each that there may be.
const STRING_BYTES: usize = 256;
const PROPERTIES_BYTES: usize = 640;
/// What the hashes of all days may take.
const HASHES_BYTES_MAX: usize = 32 << 20;
/// What a hash takes in its set, about.
const HASH_BYTES: usize = 10;
/// How long a day whose hashes were dropped is left alone.
const PAUSE: Duration = Duration::from_secs(60);
/// Days that are remembered without hashes.
const DAYS_MAX: usize = 16_384;

/// Of each website and UTC day, which strings are known.
pub(crate) struct Cardinality {
    max: usize,
    bytes_max: usize,
    /// Nobody outside can choose strings whose hashes meet.
    seed: u64,
    days: HashMap<(WebsiteId, i64), Day>,
    /// Counts commits.
    clock: u64,
}

struct Day {
    /// What is stored, at most.
    rows: usize,
    /// What its strings take, at most.
    bytes: usize,
    used: u64,
    known: Known,
}

/// An event some of whose strings became `(other)`.
pub(crate) struct Folded {
    /// The columns of these strings.
    pub(crate) columns: Vec<Dimension>,
    /// All its strings as they came.
    pub(crate) before: Dimensions,
}

enum Known {
    /// There cannot be too many yet.
    Unneeded,
    Columns(Box<[Column; Dimension::COUNT]>),
    /// Not looked for before this moment.
    Dropped(Instant),
}

#[derive(Default)]
struct Column {
    hashes: IdSet,
    bytes: usize,
}

impl Cardinality {
    /// At most `max` different strings of a column for a website and day.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, bytes_max: HASHES_BYTES_MAX, seed: RandomState::new().hash_one(0), days: HashMap::new(), clock: 0 }
    }

    /// Called before a commit: finds out what `state` knows of the days of `events`, where that may be needed.
    pub(crate) fn prepare<'a>(&mut self, state: &State, events: impl Iterator<Item = &'a NewEvent>, now: Instant) {
        self.clock += 1;
        let mut read_any = false;
        let mut wanted = Vec::new();
        for new in events {
            let key = key_of(new);
            let day = self.days.entry(key).or_insert_with(|| Day::stored(state, key));
            day.rows = day.rows.saturating_add(1);
            day.bytes = day.bytes.saturating_add(new.event.dimensions.text_bytes());
            day.used = self.clock;
            let is_large = day.rows > self.max || day.bytes > self.max.saturating_mul(STRING_BYTES);
            let is_due = match day.known {
                Known::Unneeded => is_large,
                Known::Columns(_) => false,
                Known::Dropped(until) => now >= until,
            };
            if is_due && !wanted.contains(&key) {
                wanted.push(key);
            }
        }
        for key in wanted {
            let columns = self.read(state, key);
            if let Some(day) = self.days.get_mut(&key) {
                day.known = Known::Columns(columns);
            }
            read_any = true;
        }
        if read_any || self.clock.is_multiple_of(64) {
            self.make_room(now);
        }
    }

    /// Replaces the strings of `new` that are too many. They are few, or there would be more days than one.
    pub(crate) fn fold(&mut self, new: &mut NewEvent) -> Option<Folded> {
        let Some(Day { known: Known::Columns(columns), .. }) = self.days.get_mut(&key_of(new)) else {
            return None;
        };
        let (max, seed) = (self.max, self.seed);
        let is_folded = |(dimension, text): (Dimension, &str)| {
            let fits = columns[dimension as usize].add(dimension, text, seed, max);
            (!fits).then_some(dimension)
        };
        let columns: Vec<Dimension> = new.event.dimensions.iter().filter_map(is_folded).collect();
        if columns.is_empty() {
            return None;
        }
        let old = &new.event.dimensions;
        let mut dimensions = Dimensions::with_capacity(old.text_bytes());
        for (dimension, text) in old.iter() {
            let is_folded = columns.contains(&dimension);
            dimensions.set(dimension, if is_folded { other(dimension) } else { text });
        }
        let before = std::mem::replace(&mut new.event.dimensions, dimensions);
        Some(Folded { columns, before })
    }

    /// Forgets what is known of a website: it was deleted, or what was about to be stored is not.
    pub(crate) fn forget(&mut self, website: WebsiteId) {
        self.days.retain(|(known, _), _| *known != website);
    }

    /// The strings that are stored of a day.
    fn read(&self, state: &State, (website, day): (WebsiteId, i64)) -> Box<[Column; Dimension::COUNT]> {
        let mut columns = Box::<[Column; Dimension::COUNT]>::default();
        let mut add = |dimension: Dimension, text: &str| {
            columns[dimension as usize].add(dimension, text, self.seed, usize::MAX);
        };
        for (segment, range) in ranges_of_day(state, website, day) {
            // A damaged segment is named in the log, and its strings count as new.
            let _ = read_segment(segment, range, day, &mut add);
        }
        for generation in state.generations() {
            if let Some(site) = generation.site(website) {
                read_head(&site.lock(), day, &mut add);
            }
        }
        columns
    }

    fn make_room(&mut self, now: Instant) {
        let mut bytes: usize = self.days.values().map(Day::hash_bytes).sum();
        while bytes > self.bytes_max {
            let kept = self.days.values_mut().filter(|day| day.hash_bytes() > 0);
            let Some(oldest) = kept.min_by_key(|day| day.used) else { break };
            bytes -= oldest.hash_bytes();
            oldest.known = Known::Dropped(now + PAUSE);
        }
        if self.days.len() > DAYS_MAX {
            let clock = self.clock;
            self.days.retain(|_, day| day.used == clock || matches!(day.known, Known::Columns(_)));
        }
    }
}

impl Column {
    /// Whether `text` is known, or becomes known because there are not too many yet.
    fn add(&mut self, dimension: Dimension, text: &str, seed: u64, max: usize) -> bool {
        if text == other(dimension) {
            return true;
        }
        let hash = xxh3_64_with_seed(text.as_bytes(), seed);
        if self.hashes.contains(&hash) {
            return true;
        }
        let of_each = if dimension == Dimension::Properties { PROPERTIES_BYTES } else { STRING_BYTES };
        if self.hashes.len() >= max || self.bytes + text.len() > max.saturating_mul(of_each) {
            return false;
        }
        self.bytes += text.len();
        self.hashes.insert(hash)
    }
}

impl Day {
    /// What there can be at most, without reading it.
    fn stored(state: &State, (website, day): (WebsiteId, i64)) -> Self {
        let (mut rows, mut bytes) = (0, 0usize);
        for (segment, range) in ranges_of_day(state, website, day) {
            rows += range.rows as usize;
            for &dimension in Dimension::ALL {
                let column = ColumnId::Dimension(dimension);
                bytes = bytes.saturating_add(segment.unpacked_bytes(range.group, column).unwrap_or(0));
            }
        }
        for generation in state.generations() {
            if let Some(site) = generation.site(website) {
                let head = site.lock();
                rows += head.len();
                bytes = bytes.saturating_add(head.texts.iter().map(|texts| texts.bytes()).sum());
            }
        }
        Self { rows, bytes, used: 0, known: Known::Unneeded }
    }

    fn hash_bytes(&self) -> usize {
        match &self.known {
            Known::Columns(columns) => columns.iter().map(|column| column.hashes.capacity() * HASH_BYTES).sum(),
            Known::Unneeded | Known::Dropped(_) => 0,
        }
    }
}

fn key_of(new: &NewEvent) -> (WebsiteId, i64) {
    (new.website, new.event.at.as_millis().div_euclid(DAY_MS))
}

fn other(dimension: Dimension) -> &'static str {
    if dimension == Dimension::Properties { OTHER_JSON } else { OTHER }
}

fn ranges_of_day(state: &State, website: WebsiteId, day: i64) -> impl Iterator<Item = (&Segment, &SiteRange)> {
    let (from, to) = (day.saturating_mul(DAY_MS), (day + 1).saturating_mul(DAY_MS));
    state
        .segments
        .iter()
        .flat_map(move |segment| ranges_of(&segment.meta.sites, website).iter().map(move |range| (&**segment, range)))
        .filter(move |(_, range)| range.max_at >= from && range.min_at < to)
}

fn read_segment(
    segment: &Segment,
    range: &SiteRange,
    day: i64,
    add: &mut impl FnMut(Dimension, &str),
) -> Result<(), SegmentError> {
    /// A dictionary of nothing but the empty string.
    const EMPTY_BYTES: usize = 4;
    let at = segment.read_at(range.group, range.start as usize..(range.start + range.rows) as usize)?;
    let first = range.start as usize + at.partition_point(|at| at.div_euclid(DAY_MS) < day);
    let end = range.start as usize + at.partition_point(|at| at.div_euclid(DAY_MS) <= day);
    for &dimension in Dimension::ALL {
        let column = ColumnId::Dimension(dimension);
        if segment.unpacked_bytes(range.group, column)? <= EMPTY_BYTES {
            continue;
        }
        let texts = segment.read_texts(range.group, column)?;
        let mut is_used = vec![false; texts.len()];
        texts.codes[first..end].iter().for_each(|&code| is_used[code as usize] = true);
        let read = texts.each(|code, text| {
            if is_used[code as usize] && !text.is_empty() {
                add(dimension, text);
            }
        });
        read.map_err(|error| segment.error(error))?;
    }
    Ok(())
}

fn read_head(head: &SiteHead, day: i64, add: &mut impl FnMut(Dimension, &str)) {
    for &dimension in Dimension::ALL {
        let texts = head.texts[dimension as usize].texts();
        let mut is_used = vec![false; texts.len()];
        for (&code, at) in head.dimensions[dimension as usize].iter().zip(&head.at) {
            is_used[code as usize] |= at.div_euclid(DAY_MS) == day;
        }
        for (text, _) in texts.iter().zip(is_used).filter(|(text, is_used)| *is_used && !text.is_empty()) {
            add(dimension, text);
        }
    }
}
