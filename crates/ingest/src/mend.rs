//! JSON that is nearly right: what one value does must not cost the others.

/// How deep arrays and objects are nested that are kept. Nothing that means something is nested deeper, and `serde_json`
/// refuses 128 levels.
const LEVELS_MAX: usize = 64;

/// `text` with what is mended: halves of surrogate pairs, which JavaScript writes when it cuts a string in the middle of an
/// emoji (ECMA-262, `JSON.stringify`), are U+FFFD; numbers beyond all bounds and what is nested too deep are null. `None` when
/// there is nothing to mend. What else is wrong stays wrong.
pub(crate) fn mend(text: &str) -> Option<String> {
    let mut mended = String::with_capacity(text.len());
    let (mut rest, mut levels, mut is_changed) = (text, 0_usize, false);
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '"' => string_len(rest),
            '-' | '0'..='9' => {
                rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(rest.len())
            }
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(len);
        rest = after;
        match first {
            '{' | '[' => {
                levels += 1;
                if levels == LEVELS_MAX + 1 {
                    mended.push_str("null");
                    is_changed = true;
                }
            }
            '}' | ']' => {
                levels = levels.saturating_sub(1);
                if levels >= LEVELS_MAX {
                    continue;
                }
            }
            _ => {}
        }
        if levels > LEVELS_MAX {
            continue;
        }
        match first {
            '"' => is_changed |= push_string(&mut mended, token),
            '-' | '0'..='9' if token.parse::<f64>().is_ok_and(f64::is_infinite) => {
                mended.push_str("null");
                is_changed = true;
            }
            _ => mended.push_str(token),
        }
    }
    is_changed.then_some(mended)
}

/// How long the string is with which `text` begins, quotes included; all of `text` when it does not end.
fn string_len(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Adds the string `token` with its halves of surrogate pairs replaced, and tells whether there were any.
fn push_string(mended: &mut String, token: &str) -> bool {
    let (mut rest, mut is_changed) = (token, false);
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let unit = code_unit(escape);
        let low = escape.get(6..).and_then(code_unit);
        let len = match (unit, low) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                mended.push_str("\\ufffd");
                is_changed = true;
                rest = escape.get(6..).unwrap_or("");
                continue;
            }
            (Some(_), _) => 6,
            // The backslash and what it escapes, which may be a backslash.
            (None, _) => 1 + escape.chars().nth(1).map_or(0, char::len_utf8),
        };
        let (whole, after) = escape.split_at(len.min(escape.len()));
        mended.push_str(whole);
        rest = after;
    }
    mended.push_str(rest);
    is_changed
}

/// The UTF-16 code unit of an escape such as `\ud83d` with which `text` begins.
fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    // Digits only: no sign.
    if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) { u16::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// getsentry/relay#5833, getsentry/sentry-react-native#5186.
    #[test]
    fn half_an_emoji_is_a_replacement_character() {
        for (text, mended) in [
            (r#"{"a":"cut \ud83d"}"#, Some(r#"{"a":"cut \ufffd"}"#)),
            (r#"{"a":"\uDE00 cut"}"#, Some(r#"{"a":"\ufffd cut"}"#)),
            (r#"{"a":"\ud83d\ud83d\ude00"}"#, Some(r#"{"a":"\ufffd\ud83d\ude00"}"#)),
            (r#"{"\ud83d":1}"#, Some(r#"{"\ufffd":1}"#)),
            (r#"{"a":"\ud83d\n"}"#, Some(r#"{"a":"\ufffd\n"}"#)),
            (r#"{"a":"\ud83d\ude00"}"#, None),
            (r#"{"a":"\\ud83d"}"#, None),
            (r#"{"a":"\"\\\ud83d"}"#, Some(r#"{"a":"\"\\\ufffd"}"#)),
            (r#"{"a":"\ud8"}"#, None),
            (r#"{"a":"\ud83d"#, Some(r#"{"a":"\ufffd"#)),
            (r#"{"a":1e999,"b":-1e999,"c":1e9}"#, Some(r#"{"a":null,"b":null,"c":1e9}"#)),
        ] {
            assert_eq!(mend(text).as_deref(), mended, "{text}");
        }
    }

    #[test]
    fn what_is_nested_too_deep_is_null() {
        let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(mend(&deep(LEVELS_MAX)), None);
        let mended = mend(&format!(r#"{{"a":{},"b":"x"}}"#, deep(100_000))).unwrap();
        let value: serde_json::Value = serde_json::from_str(&mended).unwrap();
        assert_eq!(value["b"], "x");
    }

    proptest! {
        #[test]
        fn what_is_right_stays_as_it_is(value in prop::collection::btree_map(".{0,5}", ".{0,9}|[0-9]{1,3}", 0..5)) {
            prop_assert_eq!(mend(&serde_json::to_string(&value).unwrap()), None);
        }

        #[test]
        fn any_text_is_mended_or_not(text in r#"([\[\]{}",:\\]|\\u[dD][89abcdABCD][0-9a-f]{2}|[0-9e.-]|.){0,40}"#) {
            if let Some(mended) = mend(&text) {
                prop_assert_eq!(mend(&mended), None);
            }
        }
    }
}
