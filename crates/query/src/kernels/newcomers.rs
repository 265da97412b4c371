//! Visitors who are new.

use zenovay_domain::TimeRange;

use super::select::{Scan, Test};
use crate::QueryError;

/// When visitors came first, and in which bucket that is.
pub(super) struct Newcomers {
    /// The first event of each visitor, milliseconds; `i64::MAX` of those who had none.
    first_at: Vec<i64>,
}

/// Where a visitor's first event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// Before the range.
    Before,
    /// In the bucket at this position.
    In(u32),
    /// Behind the range, or nowhere.
    Never,
}

impl Newcomers {
    /// Where the first event of the visitor with this code is, among `inside`, what of each bucket is in the range.
    pub(super) fn first(&self, visitor: u32, inside: &[TimeRange]) -> First {
        let at = self.first_at[visitor as usize];
        First::at(at, inside.partition_point(|bucket| bucket.to.as_millis() <= at), inside)
    }
}

impl First {
    /// That of a first event at `at`, milliseconds, when `position` is that of the first bucket that ends after it.
    pub(super) fn at(at: i64, position: usize, inside: &[TimeRange]) -> Self {
        match inside.get(position) {
            Some(bucket) if bucket.from.as_millis() <= at => Self::In(position as u32),
            // Buckets follow each other without a gap.
            Some(_) if position == 0 => Self::Before,
            _ => Self::Never,
        }
    }
}

/// What of each bucket is in the range.
pub(super) fn inside(buckets: &[TimeRange], range: TimeRange) -> Vec<TimeRange> {
    buckets.iter().map(|bucket| TimeRange::new(bucket.from.max(range.from), bucket.to.min(range.to))).collect()
}

impl Scan<'_> {
    /// When each visitor of the dataset came first.
    pub(super) fn newcomers(&self) -> Result<Newcomers, QueryError> {
        let mut first_at = self.work.filled(i64::MAX, self.dataset.visitor_ids.len())?;
        for chunk in self.dataset.chunks {
            self.work.for_each_block(0..chunk.at.len(), |block| {
                for (&visitor, &at) in chunk.visitor[block.clone()].iter().zip(&chunk.at[block]) {
                    let first_at = &mut first_at[visitor as usize];
                    *first_at = at.min(*first_at);
                }
            })?;
        }
        Ok(Newcomers { first_at })
    }

    /// Calls `visit` once with each visitor with a selected event in the bucket of their first event, and with its position.
    pub(super) fn for_each_new(
        &self,
        test: &Test,
        newcomers: &Newcomers,
        inside: &[TimeRange],
        mut visit: impl FnMut(u32, u32),
    ) -> Result<(), QueryError> {
        let mut seen = self.visitor_bits()?;
        for selected in self.select(test)? {
            let visitors = selected.visitor();
            self.work.for_each_block(0..visitors.len(), |block| {
                for position in block {
                    let visitor = visitors[position];
                    if seen.contains(visitor) {
                        continue;
                    }
                    let at = selected.chunk.at[selected.row(position)];
                    if let First::In(bucket) = newcomers.first(visitor, inside)
                        && at < inside[bucket as usize].to.as_millis()
                    {
                        seen.insert(visitor);
                        visit(visitor, bucket);
                    }
                }
            })?;
        }
        Ok(())
    }

    pub(super) fn new_visitors(&self, test: &Test, buckets: &[TimeRange]) -> Result<Vec<u64>, QueryError> {
        let mut counts = vec![0; buckets.len()];
        let newcomers = self.newcomers()?;
        self.for_each_new(test, &newcomers, &inside(buckets, self.range), |_, bucket| counts[bucket as usize] += 1)?;
        Ok(counts)
    }
}
