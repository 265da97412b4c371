//! The one spelling of a path.

use std::borrow::Cow;

/// Brings a path, or a part or pattern of one, into the form in which paths are stored and compared (RFC 3986 §6.2.2.1 and
/// §6.2.2.2): escapes in capitals, nothing escaped that need not be, and escaped what must be, as UTF-8. Borrows when it is
/// in this form already.
///
/// - The hexadecimal digits of escapes are upper case: `/%e6` is `/%E6`.
/// - Letters, digits, `-`, `.`, `_` and `~` are not escaped: `/%7Euser` is `/~user`.
/// - Everything that is neither these nor one of `/:@!$&'()*+,;=` is escaped: `/ü` is `/%C3%BC`, `/a b` is `/a%20b`, and a
///   `%` that begins no escape is `%25`.
///
/// An escape of one of `/:@!$&'()*+,;=` is kept: `/a%2Fb` is another path than `/a/b`. Upper and lower case, final and
/// doubled slashes make different paths, too.
///
/// ```
/// assert_eq!(zenovay_domain::normal_path("/%e6%a9%9f/%7Ex/ü"), "/%E6%A9%9F/~x/%C3%BC");
/// ```
pub fn normal_path(path: &str) -> Cow<'_, str> {
    let bytes = path.as_bytes();
    let mut at = 0;
    while let Some(len) = normal_len(bytes.get(at..).unwrap_or(&[])) {
        at += len;
    }
    if at >= bytes.len() {
        return Cow::Borrowed(path);
    }
    let mut normal = String::with_capacity(bytes.len() + 16);
    // Everything so far is ASCII.
    normal.push_str(path.get(..at).unwrap_or(""));
    while let Some((&byte, rest)) = bytes.get(at..).and_then(<[u8]>::split_first) {
        match escaped(byte, rest) {
            Some(decoded) => {
                at += 3;
                if is_unreserved(decoded) {
                    normal.push(char::from(decoded));
                } else {
                    push_escaped(&mut normal, decoded);
                }
            }
            None => {
                at += 1;
                if is_plain(byte) { normal.push(char::from(byte)) } else { push_escaped(&mut normal, byte) }
            }
        }
    }
    Cow::Owned(normal)
}

/// The beginning of a path in the form of [`normal_path`] that has at most `max_bytes` bytes and ends with a whole character: not within an
/// escape, nor between two that are one character.
///
/// ```
/// assert_eq!(zenovay_domain::cut_path("/a%C3%BC", 7), "/a");
/// ```
pub fn cut_path(path: &str, max_bytes: usize) -> &str {
    let Some(mut cut) = path.get(..max_bytes) else { return path };
    if cut.len() == path.len() {
        return path;
    }
    // Not within an escape, and not before one that goes on with a character.
    if let Some(escape) = cut.len().checked_sub(2).and_then(|last| cut.get(last..)?.find('%').map(|at| last + at)) {
        cut = cut.get(..escape).unwrap_or("");
    }
    let goes_on = |rest: &str| matches!(rest.as_bytes(), [b'%', b'8' | b'9' | b'A' | b'B', ..]);
    while path.get(cut.len()..).is_some_and(goes_on)
        && let Some(before) = cut.len().checked_sub(3).and_then(|at| cut.get(..at))
        && cut.get(before.len()..).is_some_and(|escape| escape.starts_with('%'))
    {
        cut = before;
    }
    cut
}

/// How many bytes the next character or escape has; `None` when it is not normal, or there is none.
fn normal_len(bytes: &[u8]) -> Option<usize> {
    let (&byte, rest) = bytes.split_first()?;
    if is_plain(byte) {
        return Some(1);
    }
    let decoded = escaped(byte, rest)?;
    let has_capitals = rest.iter().take(2).all(|digit| !digit.is_ascii_lowercase());
    (has_capitals && !is_unreserved(decoded)).then_some(3)
}

/// The byte that an escape stands for, of which `byte` is the first and `rest` what follows.
fn escaped(byte: u8, rest: &[u8]) -> Option<u8> {
    let digit = |place: usize| char::from(*rest.get(place)?).to_digit(16);
    if byte == b'%' { u8::try_from(digit(0)? * 16 + digit(1)?).ok() } else { None }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Whether `byte` may stand in a path as it is.
fn is_plain(byte: u8) -> bool {
    is_unreserved(byte) || b"/:@!$&'()*+,;=".contains(&byte)
}

fn push_escaped(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 15)]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// matomo-org/matomo#7209, and RFC 3986 §6.2.2.
    #[test]
    fn one_page_has_one_spelling() {
        for (path, normal) in [
            ("/%e6%a9%9f", "/%E6%A9%9F"),
            ("/機", "/%E6%A9%9F"),
            ("/%7Euser/%41%2D%5f%2e", "/~user/A-_."),
            ("/a b\"<>`{}|^[]\\", "/a%20b%22%3C%3E%60%7B%7D%7C%5E%5B%5D%5C"),
            ("/100%", "/100%25"),
            ("/100%25", "/100%25"),
            ("/%zz%4", "/%25zz%254"),
            ("/a%2Fb", "/a%2Fb"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%2C*b", "/a%2C*b"),
            ("/%ff", "/%FF"),
            ("/%00", "/%00"),
            ("/%2541", "/%2541"),
            ("", ""),
        ] {
            assert_eq!(normal_path(path), normal, "{path}");
        }
        for different in [("/a", "/A"), ("/a", "/a/"), ("/a/b", "/a//b"), ("/a%2Fb", "/a/b"), ("/a%2Cb", "/a,b")] {
            assert_ne!(normal_path(different.0), normal_path(different.1), "{different:?}");
        }
    }

    #[test]
    fn what_is_normal_is_borrowed() {
        for path in ["/", "/A/b-c_d~e.html", "/%E6%A9%9F", "/shop/p,1;v=2/@me/(x)!$&'*+:"] {
            assert!(matches!(normal_path(path), Cow::Borrowed(_)), "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_normal_path_is_its_own(path in "(/|[ -~é機]|%[0-9a-fA-F]{2}|%){0,30}") {
            let normal = normal_path(&path).into_owned();
            prop_assert!(normal.is_ascii());
            prop_assert!(matches!(normal_path(&normal), Cow::Borrowed(_)), "{}", normal);
        }
    }
}
