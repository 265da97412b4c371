//! Strings as clients send them.

/// `text` without white space around it, as [`str::trim`] has it, which reads characters where nearly every string needs a look
/// at two bytes.
#[inline]
pub(crate) fn trim(text: &str) -> &str {
    match text.as_bytes() {
        [b'!'..=b'~'] | [b'!'..=b'~', .., b'!'..=b'~'] => text,
        _ => text.trim(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn white_space_is_what_the_standard_library_says(text in "[ \t\u{85}\u{a0}\u{3000}]{0,2}.{0,3}[ \r\u{1c}\u{2009}]{0,2}") {
            prop_assert_eq!(trim(&text), text.trim());
        }
    }
}
