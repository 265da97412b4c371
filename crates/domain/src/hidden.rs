//! Characters that nobody sees.

/// Whether a character is seen by nobody, or changes how others are read: controls, marks of direction, joiners and spaces
/// without width, fillers and blanks, tags, selectors of variants, and what is not a character. Strings of strangers are shown
/// without them: a name that is made of them looks like none, and a text may say something else than it seems to.
///
/// ```
/// use zenovay_domain::is_hidden;
///
/// assert!(['\0', '\u{202e}', '\u{200b}', '\u{2800}', '\u{e0041}'].into_iter().all(is_hidden));
/// assert!(!"Preise – 日本 👍".chars().any(is_hidden));
/// ```
pub const fn is_hidden(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}'
        | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        | '\u{f0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_control_is_hidden() {
        assert!(('\0'..=char::MAX).filter(|c| c.is_control()).all(is_hidden));
    }

    #[test]
    fn what_people_write_is_not() {
        for text in ["a b\u{a0}c", "Übersicht – „Preise“", "日本語", "עברית", "हिन्दी", "👍🏽", "¼ ½ ™", "\u{fffd}"]
        {
            assert!(!text.chars().any(is_hidden), "{text}");
        }
    }
}
