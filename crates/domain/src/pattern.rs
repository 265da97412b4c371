//! Patterns in which a star stands for anything.

/// Whether the whole of `string` matches `pattern`, in which `*` stands for any run of characters, also an empty one.
///
/// The pieces between the stars are sought from left to right, each as early as it can be: then more is left for the
/// rest, so no choice ever has to be taken back, and the time is linear in the string for each piece.
///
/// ```
/// assert!(zenovay_domain::matches_pattern("/blog/2026/june", "/blog/*/june"));
/// assert!(!zenovay_domain::matches_pattern("/blog", "/blog/*"));
/// ```
pub fn matches_pattern(string: &str, pattern: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return string == pattern;
    };
    let Some(mut left) = string.strip_prefix(head) else {
        return false;
    };
    let mut pieces = rest.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return left.ends_with(piece);
        }
        match left.split_once(piece) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(string: &[u8], pattern: &[u8]) -> bool {
        match pattern.split_first() {
            None => string.is_empty(),
            Some((b'*', rest)) => (0..=string.len()).any(|skip| naive(&string[skip..], rest)),
            Some((first, rest)) => string.first() == Some(first) && naive(&string[1..], rest),
        }
    }

    proptest! {
        #[test]
        fn patterns_match_as_the_naive_definition(string in "[/ab]{0,10}", pattern in "[/ab*]{0,8}") {
            prop_assert_eq!(matches_pattern(&string, &pattern), naive(string.as_bytes(), pattern.as_bytes()));
        }
    }
}
