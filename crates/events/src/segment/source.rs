//! Where the rows of a new segment come from: a head that is sealed, or segments that are merged or rewritten.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use zenovay_domain::{EventKind, VisitorId, WebsiteId};

use super::read::Texts;
use super::{Coded, ColumnId, Segment, SegmentError, SiteRange, TextColumn, Values};
use crate::head::{Generation, SiteHead};

/// Rows in groups; each website's rows in each group in the order of time.
pub(crate) trait Source {
    /// The rows of each website, sorted by website, then in the order of time.
    fn sites(&self) -> &[SiteRange];

    /// The times of all rows of `group`.
    fn at(&self, group: u32) -> Result<Cow<'_, [i64]>, SegmentError>;

    /// The rows of `range` in the order of time; `None` when they stand in that order.
    fn order(&self, range: &SiteRange) -> Option<&[u32]>;

    /// The codes of all rows of `group`.
    fn read(&self, group: u32, column: ColumnId) -> Result<Coded, SegmentError>;

    /// The codes of all rows of `group` in a column of strings, its dictionary not unpacked.
    fn read_texts(&self, group: u32, column: ColumnId) -> Result<TextColumn, SegmentError>;

    /// What the different strings of `column` in `group` take, at most, each with four bytes for its length.
    fn text_bytes(&self, group: u32, column: ColumnId) -> Result<usize, SegmentError>;

    /// The ids of the visitors of `group`, by the codes of the group.
    fn visitor_ids(&self, group: u32) -> Result<Vec<u64>, SegmentError>;

    /// Whether the visitors of `group` have codes that last.
    fn has_codes(&self, group: u32) -> bool;

    /// The codes of the visitors of `group`, in the order of their ids; `None` when they do not have any.
    fn visitor_codes(&self, group: u32) -> Result<Option<Vec<u32>>, SegmentError>;
}

impl Source for Segment {
    fn sites(&self) -> &[SiteRange] {
        &self.meta.sites
    }

    fn at(&self, group: u32) -> Result<Cow<'_, [i64]>, SegmentError> {
        self.read_at(group, 0..self.group_rows(group)).map(Cow::Owned)
    }

    fn order(&self, _range: &SiteRange) -> Option<&[u32]> {
        None
    }

    fn read(&self, group: u32, column: ColumnId) -> Result<Coded, SegmentError> {
        self.read(group, column, 0..self.group_rows(group))
    }

    fn read_texts(&self, group: u32, column: ColumnId) -> Result<TextColumn, SegmentError> {
        self.read_texts(group, column)
    }

    fn text_bytes(&self, group: u32, column: ColumnId) -> Result<usize, SegmentError> {
        self.unpacked_bytes(group, column)
    }

    fn visitor_ids(&self, group: u32) -> Result<Vec<u64>, SegmentError> {
        self.read_ids(group, ColumnId::Visitor)
    }

    fn has_codes(&self, group: u32) -> bool {
        self.has_codes(group)
    }

    fn visitor_codes(&self, group: u32) -> Result<Option<Vec<u32>>, SegmentError> {
        self.read_codes(group)
    }
}

/// A frozen head: a group per website, heartbeats folded to one a session.
pub(crate) struct HeadSource {
    sites: Vec<SiteRange>,
    groups: Vec<HeadGroup>,
}

struct HeadGroup {
    site: Arc<Mutex<SiteHead>>,
    at: Vec<i64>,
    engagement_ms: Vec<u32>,
    scroll_percent: Vec<u8>,
    order: Vec<u32>,
}

impl HeadSource {
    /// The rows of `generation`, which nobody appends to any more.
    #[expect(clippy::cast_possible_truncation, reason = "a head is sealed long before it has 2^32 rows")]
    pub(crate) fn new(generation: &Generation) -> Self {
        let mut sites = Vec::new();
        let mut groups = Vec::new();
        for website in generation.websites() {
            let Some(site) = generation.site(website) else { continue };
            let group = HeadGroup::new(site);
            let at = |row: Option<&u32>| row.map_or(0, |&row| group.at[row as usize]);
            sites.push(SiteRange {
                website,
                group: groups.len() as u32,
                start: 0,
                rows: group.order.len() as u32,
                min_at: at(group.order.first()),
                max_at: at(group.order.last()),
            });
            groups.push(group);
        }
        Self { sites, groups }
    }
}

impl HeadGroup {
    #[expect(clippy::cast_possible_truncation, reason = "a head is sealed long before it has 2^32 rows")]
    fn new(site: Arc<Mutex<SiteHead>>) -> Self {
        let head = site.lock();
        let mut at = head.at.clone();
        let mut engagement_ms = head.engagement_ms.clone();
        let mut scroll_percent = head.scroll_percent.clone();
        let mut order = Vec::with_capacity(at.len());
        let mut folded: HashMap<u32, usize> = HashMap::new();
        for row in 0..at.len() {
            if head.kind[row] == EventKind::Heartbeat as u8 {
                let first = *folded.entry(head.session[row]).or_insert(row);
                if first != row {
                    at[first] = at[first].max(at[row]);
                    engagement_ms[first] = engagement_ms[first].saturating_add(engagement_ms[row]);
                    scroll_percent[first] = scroll_percent[first].max(scroll_percent[row]);
                    continue;
                }
            }
            order.push(row as u32);
        }
        // Stable: rows of the same time keep the order of their arrival.
        order.sort_by_key(|&row| at[row as usize]);
        drop(head);
        Self { site, at, engagement_ms, scroll_percent, order }
    }
}

impl Source for HeadSource {
    fn sites(&self) -> &[SiteRange] {
        &self.sites
    }

    fn at(&self, group: u32) -> Result<Cow<'_, [i64]>, SegmentError> {
        Ok(Cow::Borrowed(&self.groups[group as usize].at))
    }

    fn order(&self, range: &SiteRange) -> Option<&[u32]> {
        Some(&self.groups[range.group as usize].order)
    }

    fn read(&self, group: u32, column: ColumnId) -> Result<Coded, SegmentError> {
        let group = &self.groups[group as usize];
        let head = group.site.lock();
        Ok(match column {
            ColumnId::Visitor => {
                Coded { codes: head.visitor.clone(), values: Values::Ids(head.visitors.ids().to_vec()) }
            }
            ColumnId::Session => {
                Coded { codes: head.session.clone(), values: Values::Ids(head.sessions.ids().to_vec()) }
            }
            ColumnId::Kind => Coded {
                codes: head.kind.iter().map(|&kind| u32::from(kind)).collect(),
                values: Values::Texts(Texts::Owned(
                    EventKind::ALL.iter().map(|kind| Arc::from(kind.as_str())).collect(),
                )),
            },
            ColumnId::Flags => numbers(head.flags.iter().map(|&flags| u32::from(flags))),
            ColumnId::ScrollPercent => numbers(group.scroll_percent.iter().map(|&percent| u32::from(percent))),
            ColumnId::EngagementMs => numbers(group.engagement_ms.iter().copied()),
            ColumnId::Dimension(dimension) => Coded {
                codes: head.dimension(dimension, 0..head.len()),
                values: Values::Texts(Texts::Owned(head.texts[dimension as usize].texts().to_vec())),
            },
            ColumnId::Website | ColumnId::At => Coded { codes: Vec::new(), values: Values::Numbers(Vec::new()) },
        })
    }

    fn read_texts(&self, group: u32, column: ColumnId) -> Result<TextColumn, SegmentError> {
        let Coded { codes, values } = self.read(group, column)?;
        Ok(TextColumn::unpacked(codes, values))
    }

    fn text_bytes(&self, group: u32, column: ColumnId) -> Result<usize, SegmentError> {
        Ok(match column {
            ColumnId::Dimension(dimension) => {
                let head = self.groups[group as usize].site.lock();
                let texts = &head.texts[dimension as usize];
                texts.bytes() + 4 * texts.texts().len()
            }
            _ => 0,
        })
    }

    fn visitor_ids(&self, group: u32) -> Result<Vec<u64>, SegmentError> {
        Ok(self.groups[group as usize].site.lock().visitors.ids().to_vec())
    }

    fn has_codes(&self, _group: u32) -> bool {
        false
    }

    fn visitor_codes(&self, _group: u32) -> Result<Option<Vec<u32>>, SegmentError> {
        Ok(None)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a head is sealed long before it has 2^32 rows")]
fn numbers(column: impl Iterator<Item = u32>) -> Coded {
    let mut map = HashMap::new();
    let mut values = Vec::new();
    let codes = column
        .map(|number| {
            *map.entry(number).or_insert_with(|| {
                values.push(number);
                values.len() as u32 - 1
            })
        })
        .collect();
    Coded { codes, values: Values::Numbers(values) }
}

/// Which rows a rewrite keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retain<'a> {
    /// Every row.
    All,
    /// All but those of one visitor.
    WithoutVisitor(WebsiteId, VisitorId),
    /// All but those of one website.
    WithoutWebsite(WebsiteId),
    /// All but those of some websites before an instant of each, milliseconds.
    Since(&'a HashMap<WebsiteId, i64>),
}

impl Retain<'_> {
    /// Whether a segment has rows that would go. Reads the visitors of a row group when it has to.
    pub(crate) fn concerns(self, segment: &Segment) -> Result<bool, SegmentError> {
        let ranges_of = |website| super::ranges_of(&segment.meta.sites, website);
        match self {
            Self::All => Ok(false),
            Self::WithoutWebsite(website) => Ok(!ranges_of(website).is_empty()),
            Self::Since(instants) => Ok(segment
                .meta
                .sites
                .iter()
                .any(|range| instants.get(&range.website).is_some_and(|before| range.min_at < *before))),
            Self::WithoutVisitor(website, visitor) => {
                for range in ranges_of(website) {
                    let rows = range.start as usize..(range.start + range.rows) as usize;
                    let coded = segment.read(range.group, ColumnId::Visitor, rows)?;
                    if let Some(code) = code_of(&coded.values, visitor)
                        && coded.codes.contains(&code)
                    {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// Of the rows of `range` in the order of time, those that stay. `at` are the times of the group.
    pub(crate) fn select(
        self,
        source: &dyn Source,
        range: &SiteRange,
        at: &[i64],
        rows: Vec<u32>,
    ) -> Result<Vec<u32>, SegmentError> {
        Ok(match self {
            Self::WithoutWebsite(website) if website == range.website => Vec::new(),
            Self::Since(instants) => match instants.get(&range.website) {
                Some(before) => rows.into_iter().filter(|&row| at[row as usize] >= *before).collect(),
                None => rows,
            },
            Self::WithoutVisitor(website, visitor) if website == range.website => {
                let coded = source.read(range.group, ColumnId::Visitor)?;
                match code_of(&coded.values, visitor) {
                    Some(code) => rows.into_iter().filter(|&row| coded.codes[row as usize] != code).collect(),
                    None => rows,
                }
            }
            Self::All | Self::WithoutVisitor(..) | Self::WithoutWebsite(_) => rows,
        })
    }
}

fn code_of(values: &Values, visitor: VisitorId) -> Option<u32> {
    match values {
        Values::Ids(ids) => ids.iter().zip(0..).find(|(id, _)| **id == visitor.0).map(|(_, code)| code),
        _ => None,
    }
}
