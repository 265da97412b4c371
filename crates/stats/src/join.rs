//! Filters that must all hold.

use zenovay_query::Filter;

/// All of `filters`, without those that match everything.
pub(crate) fn and(mut filters: Vec<Filter>) -> Filter {
    filters.retain(|filter| *filter != Filter::default());
    if filters.len() == 1 { filters.swap_remove(0) } else { Filter::All(filters) }
}
