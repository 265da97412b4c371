//! What a heatmap adds up: of page views one by one, or of a block of them that was added up when it was written.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::rows::{ATTENTION_UNIT_MS, DEPTHS, Rows, View, cell_of, marks_of};
use crate::heatmap::{HEAT_BANDS, HEAT_BINS, PAGE_COLUMNS, PAGE_ROWS};

/// The cells of the grid of an element.
pub(super) const CELLS: usize = (HEAT_BINS * HEAT_BINS) as usize;
/// The cells of the grid of a page.
pub(super) const SPOTS: usize = (PAGE_COLUMNS * PAGE_ROWS) as usize;

/// What is added up of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ElementTally {
    pub(super) clicks: u64,
    pub(super) rage: u64,
    pub(super) dead: u64,
    /// The sums of the columns and of the rows of the page's grid, of all clicks.
    pub(super) places: [u64; 2],
    pub(super) cells: Box<[u32; CELLS]>,
}

impl Default for ElementTally {
    fn default() -> Self {
        Self { clicks: 0, rage: 0, dead: 0, places: [0; 2], cells: Box::new([0; CELLS]) }
    }
}

/// What is added up of a structure of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DomTally {
    pub(super) views: u64,
    pub(super) first_ms: i64,
    pub(super) last_ms: i64,
}

impl DomTally {
    fn add(&mut self, more: Self) {
        self.views += more.views;
        self.first_ms = self.first_ms.min(more.first_ms);
        self.last_ms = self.last_ms.max(more.last_ms);
    }
}

/// What is added up of page views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) views: u64,
    pub(super) last_ms: i64,
    /// By the number of the element; 0 for those that are not told from each other.
    pub(super) elements: HashMap<i64, ElementTally>,
    pub(super) spots: Vec<u64>,
    pub(super) moves: Vec<u64>,
    /// In milliseconds.
    pub(super) attention: [u64; HEAT_BANDS],
    /// How many views were scrolled so deep.
    pub(super) depths: [u64; DEPTHS as usize + 1],
    /// How often windows and pages have which width and height.
    pub(super) sizes: [BTreeMap<u16, u64>; 4],
    pub(super) doms: HashMap<String, DomTally>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            views: 0,
            last_ms: i64::MIN,
            elements: HashMap::new(),
            spots: vec![0; SPOTS],
            moves: vec![0; SPOTS],
            attention: [0; HEAT_BANDS],
            depths: [0; DEPTHS as usize + 1],
            sizes: Default::default(),
            doms: HashMap::new(),
        }
    }
}

/// What a block adds up to, as it is stored: only what is not zero.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sums {
    pub(super) views: u64,
    pub(super) last_ms: i64,
    elements: Vec<ElementSums>,
    spots: Vec<(u16, u64)>,
    pub(super) moves: Vec<(u16, u64)>,
    attention: [u64; HEAT_BANDS],
    pub(super) depths: Vec<(u16, u64)>,
    sizes: [Vec<(u16, u64)>; 4],
    doms: Vec<(String, DomTally)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ElementSums {
    element: i64,
    clicks: u64,
    rage: u64,
    dead: u64,
    places: [u64; 2],
    cells: Vec<(u16, u32)>,
}

impl Sums {
    /// Reads what [`Tally::pack`] wrote; `None` when it is damaged.
    pub(super) fn unpack(bytes: &[u8]) -> Option<Self> {
        let sums: Self = postcard::from_bytes(bytes).ok()?;
        let within = |list: &[(u16, u64)], length: usize| list.iter().all(|(place, _)| usize::from(*place) < length);
        let is_sound = within(&sums.spots, SPOTS)
            && within(&sums.moves, SPOTS)
            && within(&sums.depths, usize::from(DEPTHS) + 1)
            && sums.elements.iter().all(|sums| sums.cells.iter().all(|(cell, _)| usize::from(*cell) < CELLS));
        is_sound.then_some(sums)
    }

    /// The sums of clicks, of those of many in a short time, and of those that nothing followed.
    pub(super) fn clicks(&self) -> [u64; 3] {
        self.elements
            .iter()
            .fold([0; 3], |[clicks, rage, dead], sums| [clicks + sums.clicks, rage + sums.rage, dead + sums.dead])
    }

    /// The elements that were clicked.
    pub(super) fn elements(&self) -> impl Iterator<Item = i64> {
        self.elements.iter().map(|sums| sums.element)
    }
}

impl Tally {
    /// Adds a page view.
    pub(super) fn add_view(&mut self, view: &View) {
        let told = &view.told;
        self.add_about(view.at_ms, told.is_begun, told.depth, &told.dom, [told.viewport, told.page]);
        for (sum, value) in self.attention.iter_mut().zip(told.attention) {
            *sum += u64::from(value) * u64::from(ATTENTION_UNIT_MS);
        }
        for click in &told.clicks {
            let element = self.elements.entry(click.element).or_default();
            element.add(click.cell, click.spot, click.count, (click.is_rage, click.is_dead));
            self.spots[usize::from(click.spot)] += u64::from(click.count);
        }
        for spot in &told.moves {
            self.moves[usize::from(*spot)] += 1;
        }
    }

    fn add_about(&mut self, at_ms: i64, is_begun: bool, depth: u8, dom: &str, [viewport, page]: [[u16; 2]; 2]) {
        self.last_ms = self.last_ms.max(at_ms);
        if !is_begun {
            return;
        }
        self.views += 1;
        self.depths[usize::from(depth.min(DEPTHS))] += 1;
        for (sizes, size) in self.sizes.iter_mut().zip(viewport.into_iter().chain(page)) {
            *sizes.entry(size).or_default() += 1;
        }
        self.add_dom(dom, DomTally { views: 1, first_ms: at_ms, last_ms: at_ms });
    }

    fn add_dom(&mut self, dom: &str, more: DomTally) {
        if let Some(found) = self.doms.get_mut(dom) {
            found.add(more);
        } else {
            self.doms.insert(dom.to_owned(), more);
        }
    }

    /// Adds those of `rows` for which `chosen` says so.
    pub(super) fn add_rows(&mut self, rows: &Rows, chosen: &[bool]) {
        self.add_columns(rows, chosen);
        // Elements by their places in the block, so that a click needs no search.
        let mut elements: Vec<Option<ElementTally>> = Vec::new();
        elements.resize_with(rows.elements.len(), || None);
        let (mut click, mut moved) = (0, 0);
        for (at, is_chosen) in chosen.iter().enumerate() {
            let clicks = click..click + usize::from(rows.clicks[at]);
            let moves = moved..moved + usize::from(rows.moves[at]);
            (click, moved) = (clicks.end, moves.end);
            if !is_chosen {
                continue;
            }
            for place in clicks {
                let element = elements[usize::from(rows.element[place])].get_or_insert_default();
                let (cell, spot, count) = (rows.cell[place], rows.spot[place], rows.count[place]);
                element.add(cell_of(cell), spot, count, marks_of(cell));
                self.spots[usize::from(spot)] += u64::from(count);
            }
            for place in moves {
                self.moves[usize::from(rows.moved[place])] += 1;
            }
        }
        for (number, found) in rows.elements.iter().zip(elements) {
            let Some(found) = found else { continue };
            match self.elements.get_mut(number) {
                Some(element) => element.add_all(&found),
                None => drop(self.elements.insert(*number, found)),
            }
        }
    }

    /// Adds what is of page views as such, column by column.
    fn add_columns(&mut self, rows: &Rows, chosen: &[bool]) {
        for (sum, column) in self.attention.iter_mut().zip(&rows.attention) {
            let units: u64 = column.iter().zip(chosen).map(|(units, is)| if *is { u64::from(*units) } else { 0 }).sum();
            *sum += units * u64::from(ATTENTION_UNIT_MS);
        }
        let places = || chosen.iter().zip(0..).filter(|(is_chosen, _)| **is_chosen).map(|(_, at): (_, usize)| at);
        self.last_ms = places().map(|at| rows.at_ms[at]).fold(self.last_ms, i64::max);
        let begun: Vec<usize> = places().filter(|at| rows.is_begun[*at] != 0).collect();
        self.views += begun.len() as u64;
        let mut doms: Vec<Option<DomTally>> = vec![None; rows.doms.len()];
        for &at in &begun {
            self.depths[usize::from(rows.depth[at].min(DEPTHS))] += 1;
            let at_ms = rows.at_ms[at];
            let dom =
                doms[usize::from(rows.dom[at])].get_or_insert(DomTally { views: 0, first_ms: at_ms, last_ms: at_ms });
            dom.add(DomTally { views: 1, first_ms: at_ms, last_ms: at_ms });
        }
        for (dom, found) in rows.doms.iter().zip(doms) {
            if let Some(found) = found {
                self.add_dom(dom, found);
            }
        }
        for (sizes, column) in self.sizes.iter_mut().zip(rows.viewport.iter().chain(&rows.page)) {
            // There are few different ones, which come one after another then.
            let mut sorted: Vec<u16> = begun.iter().map(|at| column[*at]).collect();
            sorted.sort_unstable();
            for same in sorted.chunk_by(|one, next| one == next) {
                *sizes.entry(same[0]).or_default() += same.len() as u64;
            }
        }
    }

    /// Adds what a block adds up to.
    pub(super) fn add_sums(&mut self, sums: &Sums) {
        self.views += sums.views;
        self.last_ms = self.last_ms.max(sums.last_ms);
        for sums in &sums.elements {
            let element = self.elements.entry(sums.element).or_default();
            element.clicks += sums.clicks;
            element.rage += sums.rage;
            element.dead += sums.dead;
            for (sum, more) in element.places.iter_mut().zip(sums.places) {
                *sum += more;
            }
            for (cell, count) in &sums.cells {
                element.cells[usize::from(*cell)] += count;
            }
        }
        for (all, more) in [(&mut self.spots, &sums.spots), (&mut self.moves, &sums.moves)] {
            for (spot, count) in more {
                all[usize::from(*spot)] += count;
            }
        }
        for (sum, more) in self.attention.iter_mut().zip(sums.attention) {
            *sum += more;
        }
        for (depth, count) in &sums.depths {
            self.depths[usize::from(*depth)] += count;
        }
        for (sizes, more) in self.sizes.iter_mut().zip(&sums.sizes) {
            for (size, count) in more {
                *sizes.entry(*size).or_default() += count;
            }
        }
        for (dom, more) in &sums.doms {
            self.add_dom(dom, *more);
        }
    }

    /// The bytes that [`Sums::unpack`] reads.
    pub(super) fn pack(&self) -> Vec<u8> {
        let some = |counts: &[u64]| -> Vec<(u16, u64)> {
            (0..).zip(counts.iter().copied()).filter(|(_, count)| *count > 0).collect()
        };
        let mut elements: Vec<ElementSums> = self.elements.iter().map(ElementTally::sums).collect();
        elements.sort_unstable_by_key(|sums| sums.element);
        let mut doms: Vec<(String, DomTally)> = self.doms.iter().map(|(dom, tally)| (dom.clone(), *tally)).collect();
        doms.sort_unstable_by(|(dom, _), (other, _)| dom.cmp(other));
        let sums = Sums {
            views: self.views,
            last_ms: self.last_ms,
            elements,
            spots: some(&self.spots),
            moves: some(&self.moves),
            attention: self.attention,
            depths: some(&self.depths),
            sizes: std::array::from_fn(|at| self.sizes[at].iter().map(|(size, count)| (*size, *count)).collect()),
            doms,
        };
        // Serialising into memory cannot fail; were it to, what is written would be read as damaged.
        postcard::to_allocvec(&sums).unwrap_or_default()
    }

    /// The sums of clicks, of those of many in a short time, and of those that nothing followed.
    pub(super) fn clicks(&self) -> [u64; 3] {
        self.elements.values().fold([0; 3], |[clicks, rage, dead], element| {
            [clicks + element.clicks, rage + element.rage, dead + element.dead]
        })
    }

    /// The sum of how deep views were scrolled, in units of [`DEPTHS`].
    pub(super) fn depth_sum(&self) -> u64 {
        (0..).zip(&self.depths).map(|(depth, views): (u64, _)| depth * views).sum()
    }
}

impl ElementTally {
    fn add(&mut self, cell: u16, spot: u16, count: u8, (is_rage, is_dead): (bool, bool)) {
        let clicks = u64::from(count);
        self.clicks += clicks;
        self.rage += if is_rage { clicks } else { 0 };
        self.dead += if is_dead { clicks } else { 0 };
        self.places[0] += u64::from(spot % PAGE_COLUMNS) * clicks;
        self.places[1] += u64::from(spot / PAGE_COLUMNS) * clicks;
        self.cells[usize::from(cell)] += u32::from(count);
    }

    fn add_all(&mut self, more: &Self) {
        self.clicks += more.clicks;
        self.rage += more.rage;
        self.dead += more.dead;
        for (sum, more) in self.places.iter_mut().zip(more.places) {
            *sum += more;
        }
        for (sum, more) in self.cells.iter_mut().zip(more.cells.iter()) {
            *sum += more;
        }
    }

    fn sums((element, tally): (&i64, &Self)) -> ElementSums {
        let Self { clicks, rage, dead, places, cells } = tally;
        let cells = (0..).zip(cells.iter().copied()).filter(|(_, count)| *count > 0).collect();
        ElementSums { element: *element, clicks: *clicks, rage: *rage, dead: *dead, places: *places, cells }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::tests::{any_view, rows_of};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Sabotage: forget a member in one of the three ways.
        #[test]
        fn blocks_columns_and_views_add_up_to_the_same(
            views in prop::collection::vec(any_view(), 0..30),
            parts in 1..4_usize,
            visitor in 0..6_u64,
        ) {
            let (mut one_by_one, mut by_columns, mut by_sums) = (Tally::default(), Tally::default(), Tally::default());
            for part in views.chunks(views.len().div_ceil(parts).max(1)) {
                let chosen: Vec<View> = part.iter().filter(|view| view.visitor != visitor).cloned().collect();
                chosen.iter().for_each(|view| one_by_one.add_view(view));
                let are_chosen: Vec<bool> = part.iter().map(|view| view.visitor != visitor).collect();
                by_columns.add_rows(&rows_of(part), &are_chosen);
                let mut of_part = Tally::default();
                of_part.add_rows(&rows_of(&chosen), &vec![true; chosen.len()]);
                by_sums.add_sums(&Sums::unpack(&of_part.pack()).unwrap());
            }
            prop_assert_eq!(&by_columns, &one_by_one);
            prop_assert_eq!(&by_sums, &one_by_one);
        }

        #[test]
        fn any_bytes_are_sums_or_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(sums) = Sums::unpack(&bytes) {
                prop_assert!(sums.elements.len() <= bytes.len());
            }
        }
    }
}
