//! How ids are found in what has codes, and who has which: see `codes.rs` of the crate.

use std::sync::Arc;

use zenovay_domain::WebsiteId;

use super::{CODES_MAX, ColumnId, Segment, SegmentError, SiteRange, Source, WriteError, ranges_of};

/// Stands for a code that is not known.
pub(crate) const UNKNOWN: u32 = u32::MAX;

/// A bijection that spreads ids over their high bits, also the small numbers of tests.
pub(crate) fn spread(id: u64) -> u64 {
    id.wrapping_mul(SPREAD)
}

const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// Its inverse.
const UNSPREAD: u64 = 0xf1de_83e1_9937_733d;
const _: () = assert!(SPREAD.wrapping_mul(UNSPREAD) == 1);

/// So many more bits are looked at to tell that an id is not there.
const FILTER_BITS: u32 = 5;

/// Ids with a code each, some 24 bytes an id.
#[derive(Debug, Default)]
pub(crate) struct CodeMap {
    /// The ids, spread, ascending.
    ids: Vec<u64>,
    codes: Vec<u32>,
    /// Where the ids with each value of the highest bits begin.
    starts: Vec<u32>,
    /// The other bits.
    shift: u32,
    /// A bit for each value of some more of the highest bits that an id has: of most ids that are not here, that tells it.
    may_be: Vec<u64>,
    /// The bits beside these.
    may_be_shift: u32,
}

impl CodeMap {
    /// Of `ids`, whose codes are not known.
    #[expect(clippy::cast_possible_truncation, reason = "a segment and a head have fewer than 2^32 rows")]
    pub(crate) fn new(mut ids: Vec<u64>) -> Self {
        ids.iter_mut().for_each(|id| *id = spread(*id));
        ids.sort_unstable();
        ids.dedup();
        ids.shrink_to_fit();
        let bits = (usize::BITS - ids.len().leading_zeros()).clamp(1, 24);
        let shift = u64::BITS - bits;
        let mut starts = Vec::with_capacity((1 << bits) + 1);
        let mut at = 0;
        for high in 0..1_u64 << bits {
            starts.push(at as u32);
            at += ids[at..].iter().take_while(|&&id| id >> shift == high).count();
        }
        starts.push(at as u32);
        let may_be_shift = shift - FILTER_BITS;
        let mut may_be = vec![0; 1 << (bits + FILTER_BITS - u64::BITS.ilog2())];
        for id in &ids {
            let bit = id >> may_be_shift;
            may_be[(bit / 64) as usize] |= 1 << (bit % 64);
        }
        Self { may_be, may_be_shift, codes: vec![UNKNOWN; ids.len()], ids, starts, shift }
    }

    /// Where `id` stands; `None` when it does not.
    pub(crate) fn place(&self, id: u64) -> Option<usize> {
        let id = spread(id);
        let bit = id.checked_shr(self.may_be_shift)?;
        if self.may_be.get(usize::try_from(bit / 64).ok()?)? >> (bit % 64) & 1 == 0 {
            return None;
        }
        let high = usize::try_from(id.checked_shr(self.shift)?).ok()?;
        let (start, end) = (*self.starts.get(high)? as usize, *self.starts.get(high + 1)? as usize);
        self.ids[start..end].iter().position(|&own| own == id).map(|place| start + place)
    }

    /// How many ids there are.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Looks for the ids in the row groups `coded`, and notes the codes that they have there. Stops when `go_on` fails.
    pub(crate) fn find<'a, E: From<SegmentError>>(
        &mut self,
        coded: impl Iterator<Item = (&'a Segment, &'a SiteRange)>,
        mut go_on: impl FnMut() -> Result<(), E>,
    ) -> Result<(), E> {
        let mut missing = self.codes.iter().filter(|&&code| code == UNKNOWN).count();
        let mut found: Vec<(usize, usize)> = Vec::new();
        for (segment, range) in coded {
            if missing == 0 {
                break;
            }
            go_on()?;
            found.clear();
            for (number, &id) in segment.read_ids(range.group, ColumnId::Visitor)?.iter().enumerate() {
                if let Some(place) = self.place(id)
                    && self.codes[place] == UNKNOWN
                {
                    found.push((number, place));
                }
            }
            if found.is_empty() {
                continue;
            }
            let Some(codes) = segment.read_codes(range.group)? else { continue };
            for &(number, place) in &found {
                self.codes[place] = codes[number];
            }
            missing -= found.len();
        }
        Ok(())
    }

    /// The ids with their codes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u32)> {
        self.ids.iter().map(|&id| id.wrapping_mul(UNSPREAD)).zip(self.codes.iter().copied())
    }

    /// Gives codes from `next` on to the ids that do not have one; the next one after them.
    pub(crate) fn give_rest(&mut self, mut next: u32) -> u32 {
        for code in self.codes.iter_mut().filter(|code| **code == UNKNOWN) {
            *code = next;
            next = next.saturating_add(1);
        }
        next
    }
}

/// The row groups of `website` in `segments` that have codes.
pub(crate) fn coded_groups<'a>(
    segments: impl IntoIterator<Item = &'a Arc<Segment>>,
    website: WebsiteId,
) -> impl Iterator<Item = (&'a Segment, &'a SiteRange)> {
    let ranges = move |segment: &'a Arc<Segment>| {
        ranges_of(&segment.meta.sites, website).iter().map(move |range| (&**segment, range))
    };
    segments.into_iter().flat_map(ranges).filter(|(segment, range)| segment.has_codes(range.group))
}

/// One more than the highest code of `website` in `segments`.
pub(crate) fn end_of_codes<'a>(segments: impl IntoIterator<Item = &'a Arc<Segment>>, website: WebsiteId) -> u32 {
    coded_groups(segments, website).map(|(segment, range)| segment.end_of_codes(range.group)).max().unwrap_or(0)
}

/// Whether those rows in `segments` that do not have codes can get them.
pub(crate) fn can_be_given(segments: &[Arc<Segment>]) -> bool {
    segments.iter().all(|segment| {
        let is_below = |group| segment.end_of_codes(group) < CODES_MAX;
        !segment.is_damaged() && (0..).take(segment.meta.groups.len()).all(is_below)
    })
}

/// Gives codes to the visitors of one website while a segment is written.
#[derive(Debug)]
pub(crate) struct Coder {
    /// Those of the sources whose visitors have no stored codes there.
    ids: CodeMap,
    next: u32,
}

impl Coder {
    /// For what `sources` have of `website`, beside the registered `segments`. `None` when no codes can be given.
    pub(crate) fn new(
        segments: &[Arc<Segment>],
        sources: &[&dyn Source],
        website: WebsiteId,
    ) -> Result<Option<Self>, WriteError> {
        let mut ids = Vec::new();
        for source in sources {
            for range in ranges_of(source.sites(), website) {
                if !source.has_codes(range.group) {
                    ids.append(&mut source.visitor_ids(range.group)?);
                }
            }
        }
        let mut coder = Self { ids: CodeMap::new(ids), next: end_of_codes(segments, website) };
        let is_damaged = || coded_groups(segments, website).any(|(segment, _)| segment.is_damaged());
        if coder.next >= CODES_MAX || (coder.ids.len() > 0 && is_damaged()) {
            return Ok(None);
        }
        // From the newest on: who comes again has mostly been here lately.
        let found = coder.ids.find(coded_groups(segments.iter().rev(), website), || Ok(()));
        found.map_err(WriteError::Codes)?;
        Ok(Some(coder))
    }

    /// The code of a visitor of the sources, a new one when there is none. `None` for other ids, and when there are no more codes.
    pub(crate) fn code(&mut self, id: u64) -> Option<u32> {
        let place = self.ids.place(id)?;
        let code = &mut self.ids.codes[place];
        if *code == UNKNOWN {
            if self.next >= CODES_MAX {
                return None;
            }
            *code = self.next;
            self.next += 1;
        }
        Some(*code)
    }
}
