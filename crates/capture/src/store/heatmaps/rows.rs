//! Page views as columns: what a block of them is in the file.
//!
//! A block has the views of one page and class of devices. Strings and elements are numbers in a list of the block's own;
//! each column is a run of numbers of fixed width, and the whole is compressed.

use std::collections::HashMap;
use std::hash::Hash;

use serde::{Deserialize, Serialize};

use crate::heatmap::HEAT_BANDS;
use crate::store::Row;

/// The version of a block that is written.
pub(in crate::store) const VERSION: u8 = 2;
/// The version that is read, too: its views have no marks.
const UNMARKED: u8 = 1;
const COMPRESSION: i32 = 3;
/// The most bytes that a block is believed to have, not compressed.
const BLOCK_MAX_BYTES: usize = 32 << 20;
/// The most page views of a block.
const VIEWS_MAX: usize = 16_384;
/// The most clicks, and the most moves, of a block to which something is added.
const ENTRIES_MAX: usize = 1 << 18;
/// Of a click's cell, the bit that says that it was one of many in a short time.
const RAGE: u16 = 1 << 15;
/// The bit that says that nothing happened after it.
const DEAD: u16 = 1 << 14;
/// Attention is kept in so many milliseconds.
pub(super) const ATTENTION_UNIT_MS: u32 = 100;
/// The height of a page is kept in so many pixels.
pub(super) const HEIGHT_UNIT: u16 = 8;
/// How deep a page was scrolled is kept in two hundredths of its height.
pub(super) const DEPTHS: u8 = 200;

/// With what somebody looked at a page.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub(super) struct Profile {
    pub(super) device: String,
    pub(super) browser: String,
    pub(super) browser_version: String,
    pub(super) os: String,
    pub(super) country: String,
}

impl Profile {
    /// What a filter is asked about.
    pub(super) fn row<'a>(&'a self, path: &'a str) -> Row<'a> {
        Row {
            path,
            device: &self.device,
            browser: &self.browser,
            browser_version: &self.browser_version,
            os: &self.os,
            country: &self.country,
        }
    }
}

/// Clicks in a row on an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Click {
    /// Of the table `heat_elements`; 0 for one that is not told from others.
    pub(super) element: i64,
    pub(super) cell: u16,
    pub(super) spot: u16,
    pub(super) count: u8,
    pub(super) is_rage: bool,
    pub(super) is_dead: bool,
}

/// What a block keeps of the id of a page view. With its visitor it names the view.
pub(super) const fn mark_of(view: u64) -> u32 {
    let [one, two, three, four, ..] = view.to_le_bytes();
    u32::from_le_bytes([one, two, three, four])
}

/// A page view.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct View {
    pub(super) at_ms: i64,
    pub(super) visitor: u64,
    /// By which it is found in a block when it goes on: see [`mark_of`]. 0 when it was not kept.
    pub(super) mark: u32,
    pub(super) told: Told,
}

/// What was told of a page view, in one or several bodies.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) profile: Profile,
    pub(super) dom: String,
    /// Whether its first body came. A view of which only later ones came was counted before, or is lost.
    pub(super) is_begun: bool,
    pub(super) viewport: [u16; 2],
    /// The height in units of [`HEIGHT_UNIT`].
    pub(super) page: [u16; 2],
    /// How much of the height was seen, in units of [`DEPTHS`].
    pub(super) depth: u8,
    /// In units of [`ATTENTION_UNIT_MS`].
    pub(super) attention: [u16; HEAT_BANDS],
    pub(super) clicks: Vec<Click>,
    pub(super) moves: Vec<u16>,
}

/// A list of different values in the order in which they came.
#[derive(Debug)]
struct Dictionary<T> {
    values: Vec<T>,
    places: HashMap<T, u16>,
}

impl<T: Clone + Eq + Hash> Dictionary<T> {
    fn of(values: Vec<T>) -> Self {
        let places = values.iter().cloned().zip(0..).collect();
        Self { values, places }
    }

    /// The place of `value`; `None` when the list is full.
    fn place(&mut self, value: &T) -> Option<u16> {
        if let Some(place) = self.places.get(value) {
            return Some(*place);
        }
        let place = u16::try_from(self.values.len()).ok()?;
        self.values.push(value.clone());
        self.places.insert(value.clone(), place);
        Some(place)
    }
}

/// Page views of one page and class of devices, as columns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Rows {
    pub(super) elements: Vec<i64>,
    pub(super) profiles: Vec<Profile>,
    pub(super) doms: Vec<String>,
    // Of each view.
    pub(super) at_ms: Vec<i64>,
    pub(super) visitor: Vec<u64>,
    pub(super) mark: Vec<u32>,
    pub(super) profile: Vec<u16>,
    pub(super) dom: Vec<u16>,
    pub(super) is_begun: Vec<u8>,
    pub(super) viewport: [Vec<u16>; 2],
    pub(super) page: [Vec<u16>; 2],
    pub(super) depth: Vec<u8>,
    pub(super) attention: [Vec<u16>; HEAT_BANDS],
    pub(super) clicks: Vec<u16>,
    pub(super) moves: Vec<u16>,
    // Of each click.
    pub(super) element: Vec<u16>,
    pub(super) cell: Vec<u16>,
    pub(super) spot: Vec<u16>,
    pub(super) count: Vec<u8>,
    // Of each move.
    pub(super) moved: Vec<u16>,
}

/// The cell of the element's grid in what the column `cell` has.
pub(super) const fn cell_of(stored: u16) -> u16 {
    stored & !(RAGE | DEAD)
}

/// Whether what the column `cell` has says so of many clicks, and of ones that nothing followed.
pub(super) const fn marks_of(stored: u16) -> (bool, bool) {
    (stored & RAGE != 0, stored & DEAD != 0)
}

/// Adds page views to columns.
pub(super) struct Builder {
    rows: Rows,
    elements: Dictionary<i64>,
    profiles: Dictionary<Profile>,
    doms: Dictionary<String>,
}

impl Builder {
    /// Goes on with `rows`.
    pub(super) fn of(mut rows: Rows) -> Self {
        Self {
            elements: Dictionary::of(std::mem::take(&mut rows.elements)),
            profiles: Dictionary::of(std::mem::take(&mut rows.profiles)),
            doms: Dictionary::of(std::mem::take(&mut rows.doms)),
            rows,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.is_full()
    }

    pub(super) fn push(&mut self, view: &View) {
        let View { at_ms, visitor, mark, told } = view;
        // A block has fewer views than a list has places, and a view fewer clicks and moves.
        let clicks: Vec<(u16, &Click)> = told
            .clicks
            .iter()
            .take(usize::from(u16::MAX))
            .filter_map(|click| Some((self.elements.place(&click.element)?, click)))
            .collect();
        let moves = &told.moves[..told.moves.len().min(usize::from(u16::MAX))];
        let rows = &mut self.rows;
        rows.at_ms.push(*at_ms);
        rows.visitor.push(*visitor);
        rows.mark.push(*mark);
        rows.profile.push(self.profiles.place(&told.profile).unwrap_or_default());
        rows.dom.push(self.doms.place(&told.dom).unwrap_or_default());
        rows.is_begun.push(u8::from(told.is_begun));
        for side in 0..2 {
            rows.viewport[side].push(told.viewport[side]);
            rows.page[side].push(told.page[side]);
        }
        rows.depth.push(told.depth);
        for (column, value) in rows.attention.iter_mut().zip(told.attention) {
            column.push(value);
        }
        rows.clicks.push(u16::try_from(clicks.len()).unwrap_or(u16::MAX));
        rows.moves.push(u16::try_from(moves.len()).unwrap_or(u16::MAX));
        for (element, click) in clicks {
            rows.element.push(element);
            let marks = if click.is_rage { RAGE } else { 0 } | if click.is_dead { DEAD } else { 0 };
            rows.cell.push(click.cell | marks);
            rows.spot.push(click.spot);
            rows.count.push(click.count);
        }
        rows.moved.extend_from_slice(moves);
    }

    pub(super) fn finish(mut self) -> Rows {
        self.rows.elements = self.elements.values;
        self.rows.profiles = self.profiles.values;
        self.rows.doms = self.doms.values;
        self.rows
    }
}

/// Damaged bytes of a block.
#[derive(Debug, thiserror::Error)]
#[error("a damaged block of a heatmap")]
pub(super) struct Damaged;

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.at_ms.len()
    }

    /// Whether nothing is added any more.
    pub(super) fn is_full(&self) -> bool {
        let Self { at_ms, element, moved, .. } = self;
        at_ms.len() >= VIEWS_MAX || element.len() >= ENTRIES_MAX || moved.len() >= ENTRIES_MAX
    }

    /// The page views, in the order in which they were added.
    pub(super) fn views(&self) -> impl Iterator<Item = View> {
        let (mut click, mut moved) = (0, 0);
        (0..self.len()).map(move |at| {
            let clicks = click..click + usize::from(self.clicks[at]);
            let moves = moved..moved + usize::from(self.moves[at]);
            (click, moved) = (clicks.end, moves.end);
            let clicks = clicks.map(|place| {
                let (is_rage, is_dead) = marks_of(self.cell[place]);
                Click {
                    element: self.elements[usize::from(self.element[place])],
                    cell: cell_of(self.cell[place]),
                    spot: self.spot[place],
                    count: self.count[place],
                    is_rage,
                    is_dead,
                }
            });
            let told = Told {
                profile: self.profiles[usize::from(self.profile[at])].clone(),
                dom: self.doms[usize::from(self.dom[at])].clone(),
                is_begun: self.is_begun[at] != 0,
                viewport: std::array::from_fn(|side| self.viewport[side][at]),
                page: std::array::from_fn(|side| self.page[side][at]),
                depth: self.depth[at],
                attention: std::array::from_fn(|band| self.attention[band][at]),
                clicks: clicks.collect(),
                moves: self.moved[moves].to_vec(),
            };
            View { at_ms: self.at_ms[at], visitor: self.visitor[at], mark: self.mark[at], told }
        })
    }

    /// The bytes of the block.
    pub(super) fn pack(&self) -> Vec<u8> {
        // Serialising into memory cannot fail; were it to, what is written would be read as damaged.
        let lists = (&self.elements, &self.profiles, &self.doms, self.element.len(), self.moved.len());
        let mut bytes = postcard::to_extend(&(self.len(), lists), vec![VERSION]).unwrap_or_default();
        let mut before = 0;
        let steps = self.at_ms.iter().map(|at| {
            let step = at.wrapping_sub(before);
            before = *at;
            ((step << 1) ^ (step >> 63)).cast_unsigned()
        });
        put_planes(&mut bytes, steps.collect());
        put(&mut bytes, &self.visitor, u64::to_le_bytes);
        put(&mut bytes, &self.mark, u32::to_le_bytes);
        for column in self.columns() {
            put(&mut bytes, column, u16::to_le_bytes);
        }
        for column in [&self.is_begun, &self.depth, &self.count] {
            bytes.extend_from_slice(column);
        }
        compress(&bytes)
    }

    /// The columns of 16 bits: those of views, then those of clicks, then that of moves.
    fn columns(&self) -> impl Iterator<Item = &Vec<u16>> {
        let of_views = [&self.profile, &self.dom, &self.clicks, &self.moves];
        let sides = self.viewport.iter().chain(&self.page).chain(&self.attention);
        of_views.into_iter().chain(sides).chain([&self.element, &self.cell, &self.spot, &self.moved])
    }

    /// Reads what [`pack`](Self::pack) wrote.
    pub(super) fn unpack(packed: &[u8]) -> Result<Self, Damaged> {
        Self::read(packed).ok_or(Damaged)
    }

    fn read(packed: &[u8]) -> Option<Self> {
        let bytes = decompress(packed)?;
        let (&version, rest) = bytes.split_first()?;
        if version != VERSION && version != UNMARKED {
            return None;
        }
        type Lists = (Vec<i64>, Vec<Profile>, Vec<String>, usize, usize);
        let ((views, lists), mut rest): ((usize, Lists), _) = postcard::take_from_bytes(rest).ok()?;
        let (elements, profiles, doms, clicks_total, moves_total) = lists;
        let rest = &mut rest;
        let mut before = 0_i64;
        let steps = take_planes(rest, views)?.into_iter().map(|step| {
            let step = (step >> 1).cast_signed() ^ -(step & 1).cast_signed();
            before = before.wrapping_add(step);
            before
        });
        let mut rows = Self { elements, profiles, doms, at_ms: steps.collect(), ..Self::default() };
        rows.visitor = take(rest, views, u64::from_le_bytes)?;
        rows.mark = if version == UNMARKED { vec![0; views] } else { take(rest, views, u32::from_le_bytes)? };
        let Self { profile, dom, clicks, moves, viewport, page, attention, element, cell, spot, moved, .. } = &mut rows;
        let of_views = [profile, dom, clicks, moves].into_iter().chain(viewport).chain(page).chain(attention);
        let of_views = of_views.map(|column| (column, views));
        let others = [(element, clicks_total), (cell, clicks_total), (spot, clicks_total), (moved, moves_total)];
        for (column, length) in of_views.chain(others) {
            *column = take(rest, length, u16::from_le_bytes)?;
        }
        for (column, length) in [(&mut rows.is_begun, views), (&mut rows.depth, views), (&mut rows.count, clicks_total)]
        {
            *column = rest.split_off(..length)?.to_vec();
        }
        (rest.is_empty() && rows.is_sound()).then_some(rows)
    }

    /// Whether all numbers are within what they are numbers of.
    fn is_sound(&self) -> bool {
        use crate::heatmap::{HEAT_BINS, PAGE_COLUMNS, PAGE_ROWS};
        let within = |column: &[u16], length: usize| column.iter().all(|number| usize::from(*number) < length);
        let total = |column: &[u16]| column.iter().map(|count| usize::from(*count)).sum::<usize>();
        let spots = usize::from(PAGE_COLUMNS * PAGE_ROWS);
        within(&self.profile, self.profiles.len())
            && within(&self.dom, self.doms.len())
            && within(&self.element, self.elements.len())
            && within(&self.spot, spots)
            && within(&self.moved, spots)
            && self.cell.iter().all(|cell| cell_of(*cell) < HEAT_BINS * HEAT_BINS)
            && self.depth.iter().all(|depth| *depth <= DEPTHS)
            && total(&self.clicks) == self.element.len()
            && total(&self.moves) == self.moved.len()
    }
}

/// The length of `bytes`, and `bytes` compressed.
pub(in crate::store) fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut packed = (bytes.len() as u64).to_le_bytes().to_vec();
    packed.extend(zstd::bulk::compress(bytes, COMPRESSION).unwrap_or_default());
    packed
}

/// What [`compress`] made shorter; `None` when it is damaged.
pub(in crate::store) fn decompress(packed: &[u8]) -> Option<Vec<u8>> {
    let (length, packed) = packed.split_first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let bytes = zstd::bulk::decompress(packed, length.min(BLOCK_MAX_BYTES)).ok()?;
    (bytes.len() == length).then_some(bytes)
}

fn put<T: Copy, const N: usize>(bytes: &mut Vec<u8>, column: &[T], as_bytes: fn(T) -> [u8; N]) {
    bytes.reserve(column.len() * N);
    for value in column {
        bytes.extend_from_slice(&as_bytes(*value));
    }
}

fn take<T, const N: usize>(bytes: &mut &[u8], length: usize, of_bytes: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
    let column = bytes.split_off(..length.checked_mul(N)?)?;
    Some(column.as_chunks().0.iter().map(|value| of_bytes(*value)).collect())
}

/// The first bytes of all values, then the second ones, and so on: most of them are zero.
fn put_planes(bytes: &mut Vec<u8>, column: Vec<u64>) {
    for plane in 0..8 {
        bytes.extend(column.iter().map(|value| value.to_le_bytes()[plane]));
    }
}

fn take_planes(bytes: &mut &[u8], length: usize) -> Option<Vec<u64>> {
    let planes = bytes.split_off(..length.checked_mul(8)?)?;
    let value = |at: usize| std::array::from_fn(|plane| planes[plane * length + at]);
    Some((0..length).map(|at| u64::from_le_bytes(value(at))).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_click() -> impl Strategy<Value = Click> {
        let places = (prop::sample::select(vec![0_i64, 3, 7, 4_000]), 0..1_024_u16, 0..16_384_u16, 1..=255_u8);
        (places, any::<[bool; 2]>()).prop_map(|((element, cell, spot, count), [is_rage, is_dead])| Click {
            element,
            cell,
            spot,
            count,
            is_rage,
            is_dead,
        })
    }

    pub(in crate::store::heatmaps) fn any_view() -> impl Strategy<Value = View> {
        let who = (0..1_000_000_i64, 0..6_u64, prop::sample::select(vec!["DE", "CH", ""]));
        let sizes = (any::<[u16; 2]>(), any::<[u16; 2]>(), 0..=DEPTHS, any::<bool>());
        let lists = (prop::collection::vec(any_click(), 0..6), prop::collection::vec(0..16_384_u16, 0..5));
        (who, sizes, lists, any::<[u16; HEAT_BANDS]>()).prop_map(|(who, sizes, (clicks, moves), attention)| {
            let (at_ms, visitor, country) = who;
            let mark = mark_of(at_ms.unsigned_abs());
            let (viewport, page, depth, is_begun) = sizes;
            let profile = Profile { country: country.to_owned(), ..Profile::default() };
            let dom = format!("{}", visitor % 2);
            let told = Told { profile, dom, is_begun, viewport, page, depth, attention, clicks, moves };
            View { at_ms, visitor, mark, told }
        })
    }

    pub(in crate::store::heatmaps) fn rows_of(views: &[View]) -> Rows {
        let mut builder = Builder::of(Rows::default());
        for view in views {
            builder.push(view);
        }
        builder.finish()
    }

    proptest! {
        #[test]
        fn a_block_comes_back_as_it_was(views in prop::collection::vec(any_view(), 0..40), more in any_view()) {
            let rows = rows_of(&views);
            let read = Rows::unpack(&rows.pack()).unwrap();
            prop_assert_eq!(&read, &rows);
            let mut builder = Builder::of(read);
            builder.push(&more);
            let all: Vec<View> = views.into_iter().chain([more]).collect();
            prop_assert_eq!(builder.finish().views().collect::<Vec<_>>(), all);
        }

        /// Sabotage: expect marks in every block.
        #[test]
        fn a_block_without_marks_is_read(views in prop::collection::vec(any_view(), 0..10)) {
            let rows = rows_of(&views);
            let mut bytes = decompress(&rows.pack()).unwrap();
            let after = 2 * rows.columns().map(Vec::len).sum::<usize>() + 2 * rows.len() + rows.count.len();
            let end = bytes.len() - after;
            bytes.drain(end - 4 * rows.len()..end);
            bytes[0] = UNMARKED;
            let read = Rows::unpack(&compress(&bytes)).unwrap();
            prop_assert_eq!(read, Rows { mark: vec![0; rows.len()], ..rows });
        }

        /// Sabotage: believe a number of a column without comparing it with the length of its list.
        #[test]
        fn damaged_bytes_are_an_error(
            views in prop::collection::vec(any_view(), 1..5),
            at: prop::sample::Index,
            value: u8,
            cut: prop::sample::Index,
        ) {
            let mut bytes = decompress(&rows_of(&views).pack()).unwrap();
            let place = at.index(bytes.len());
            bytes[place] = value;
            if let Ok(rows) = Rows::unpack(&compress(&bytes)) {
                prop_assert_eq!(rows.views().count(), rows.len());
            }
            bytes.truncate(cut.index(bytes.len()));
            prop_assert!(Rows::unpack(&compress(&bytes)).is_err());
            prop_assert!(Rows::unpack(&bytes).is_err());
        }
    }
}
