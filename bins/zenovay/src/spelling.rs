//! Which known name somebody meant who wrote another one.

/// As many single-character edits make one name from another at most for it to count as misspelt.
const EDITS_MAX: usize = 3;

/// The name of `known` that is nearest to `written` and within three edits of it; of several the first. An edit inserts,
/// removes or replaces a character, or swaps two neighbours. Upper and lower case are the same here.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written: Vec<char> = written.to_uppercase().chars().collect();
    known
        .into_iter()
        .map(|name| (edits(&written, &name.to_uppercase().chars().collect::<Vec<_>>()), name))
        .filter(|(edits, _)| *edits <= EDITS_MAX)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// The edits between `a` and `b`, counted exactly up to [`EDITS_MAX`].
fn edits(a: &[char], b: &[char]) -> usize {
    if a.len().abs_diff(b.len()) > EDITS_MAX {
        return EDITS_MAX + 1;
    }
    // The rows of the table for the first i - 2, i - 1 and i characters of `a`.
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &to) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(from != to)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && from == b[j - 1] && a[i - 1] == to {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_within_three_edits_is_meant() {
        let known = ["listen", "log_level", "log_format", "cache_bytes"];
        for (written, meant) in [
            ("listen", Some("listen")),
            ("LISTNE", Some("listen")),
            ("lisen", Some("listen")),
            ("loglevel", Some("log_level")),
            ("cach_byte", Some("cache_bytes")),
            ("log_forms", Some("log_format")),
            ("cache", None),
            ("", None),
            ("a_very_long_name_that_nobody_would_write_for_any_of_them", None),
        ] {
            assert_eq!(nearest(written, known), meant, "{written}");
        }
    }

    #[test]
    fn edits_are_counted() {
        let count = |a: &str, b: &str| edits(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        assert_eq!(count("", "abc"), 3);
        assert_eq!(count("abcd", "abdc"), 1, "two neighbours swapped are one edit");
        assert_eq!(count("kitten", "sitting"), 3);
        assert_eq!(count("proxy", "proxies"), 3);
    }
}
