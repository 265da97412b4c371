//! Which rows are pageviews.

use zenovay_domain::EventKind;

/// The kind of a pageview in a column of kinds.
pub(super) const PAGEVIEW: u8 = EventKind::Pageview as u8;

/// How many of `kinds` are pageviews.
pub(super) fn count_pageviews(kinds: &[u8]) -> u64 {
    // Sums of bytes over runs that cannot overflow them are what the compiler vectorises best.
    kinds.chunks(255).map(|run| u64::from(run.iter().map(|&kind| u8::from(kind == PAGEVIEW)).sum::<u8>())).sum()
}
