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

/// Whether a name that a person gives has characters that nobody sees or that change how others are read. Beside
/// [`is_hidden`] that leaves joiners and selectors of variants to those that need them: between two characters of which none is
/// ASCII, as in Persian words and families of emoji, and after a character that has variants.
///
/// ```
/// use zenovay_domain::has_hidden;
///
/// assert!(has_hidden("Shop\u{202e}gpj") && has_hidden("pay\u{200d}pal") && has_hidden("\u{200b}"));
/// assert!(!has_hidden("می\u{200c}خواهم") && !has_hidden("👩\u{200d}💻 ❤\u{fe0f} 1\u{fe0f}\u{20e3}"));
/// ```
pub fn has_hidden(name: &str) -> bool {
    let mut characters = name.chars().peekable();
    // The last one that is seen.
    let mut before: Option<char> = None;
    while let Some(c) = characters.next() {
        let is_in_place = match c {
            '\u{200c}' | '\u{200d}' => {
                before.is_some_and(is_joined) && characters.peek().is_some_and(|next| is_joined(*next))
            }
            '\u{fe00}'..='\u{fe0f}' => {
                before.is_some_and(|c| is_joined(c) || c.is_ascii_digit() || matches!(c, '#' | '*'))
                    && !characters.peek().is_some_and(|next| matches!(next, '\u{fe00}'..='\u{fe0f}'))
            }
            _ => !is_hidden(c),
        };
        if !is_in_place {
            return true;
        }
        if !is_hidden(c) {
            before = Some(c);
        }
    }
    false
}

/// Whether a character may stand beside a joiner.
const fn is_joined(c: char) -> bool {
    !c.is_ascii() && !is_hidden(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: let joiners stand anywhere, or nowhere.
    #[test]
    fn joiners_stand_where_writing_needs_them_alone() {
        for name in [
            "Shop",
            "Übersicht – „Preise“",
            "日本語",
            "עברית",
            "क्\u{200d}ष",
            "می\u{200c}خواهم",
            "👨\u{200d}👩\u{200d}👧 ❤\u{fe0f}\u{200d}🔥",
            "3\u{fe0f}\u{20e3} #\u{fe0f}\u{20e3}",
        ] {
            assert!(!has_hidden(name), "{name:?}");
        }
        for name in [
            "a\u{0}",
            "a\nb",
            "Shop\u{202e}gpj",
            "\u{2066}x\u{2069}",
            "a\u{200b}b",
            "日\u{200b}本",
            "a\u{200d}b",
            "a\u{200d}",
            "\u{200d}日",
            "日\u{200d}\u{200d}本",
            "日\u{200d}",
            "a\u{fe0f}",
            "\u{fe0f}",
            "❤\u{fe0f}\u{fe0f}",
            "x\u{e0041}",
            "\u{feff}x",
            "x\u{ad}y",
        ] {
            assert!(has_hidden(name), "{name:?}");
        }
    }

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
