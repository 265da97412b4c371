//! Messages of errors: what must not be stored is taken out, and what varies between equal errors.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::secrets::has_card;

/// Stands for what was taken out.
const REMOVED: &str = "[removed]";

/// Compiles a pattern of this file.
#[expect(clippy::expect_used, reason = "the patterns are constants, and every test compiles them")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

/// E-mail addresses; tokens; queries and fragments of addresses of pages.
static SECRETS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?P<mail>[\w.+%-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8})",
        r"|(?P<query>[?#][^\s'\x22()<>]*)",
        r"|(?P<jwt>eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?)",
        r"|(?P<bearer>(?i:bearer|basic)\s+[\w.~+/=-]{8,})",
        r"|(?P<token>[A-Za-z0-9_+/=-]{32,})",
        r"|(?P<digits>\d(?:[\s+-]?\d){12,})",
    ))
});

/// `text` without e-mail addresses, card numbers, tokens, and the queries and fragments of addresses.
///
/// ```
/// let told = zenovay_capture::without_secrets("no user jo@example.com at https://example.com/reset?token=abc");
/// assert_eq!(told, "no user [removed] at https://example.com/reset");
/// ```
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    SECRETS.replace_all(text, |found: &Captures<'_>| {
        let whole = &found[0];
        if let Some(query) = found.name("query") {
            let start = query.start();
            // A question mark that ends a sentence is not a query.
            let is_of_address =
                text[..start].rsplit([' ', '\n', '\'', '"', '(']).next().is_some_and(|word| word.contains('/'));
            return if is_of_address && whole.len() > 1 { String::new() } else { mask_rest(whole) };
        }
        if found.name("digits").is_some() && !has_card(whole) {
            return whole.to_owned();
        }
        // A long name of letters alone is a word, such as that of a class or a path.
        if found.name("token").is_some() && (!whole.bytes().any(|byte| byte.is_ascii_digit()) || whole.contains('/')) {
            return whole.to_owned();
        }
        REMOVED.to_owned()
    })
}

/// What follows a question mark or a hash that belongs to no address is looked at by itself.
fn mask_rest(text: &str) -> String {
    match text.split_at_checked(1) {
        Some((mark, rest)) if !rest.is_empty() => format!("{mark}{}", without_secrets(rest)),
        _ => text.to_owned(),
    }
}

/// What varies between equal errors: addresses, ids, hashes and numbers.
static VARIES: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?P<address>(?:https?|wss?|blob|file|webpack)://?[^\s'\x22()<>]+)",
        r"|(?P<id>[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})",
        r"|(?P<file>[\w.-]+\.(?:m?js|css|wasm|json)\b)",
        r"|(?P<number>\d+(?:[.,:]\d+)*\b)",
        r"|(?P<hex>\b0x[0-9a-fA-F]+\b|\b[0-9a-fA-F]*[0-9][0-9a-fA-F]*\b)",
        r"|\d+",
    ))
});

/// `message` without what varies between equal errors: addresses, names of files, ids and numbers are `*`.
///
/// ```
/// use zenovay_capture::normal_message;
///
/// assert_eq!(normal_message("Loading chunk 7 failed. (https://example.com/7.3f2a.js)"), "Loading chunk * failed. (*)");
/// assert_eq!(normal_message("x is not defined"), "x is not defined");
/// ```
pub fn normal_message(message: &str) -> String {
    let first = message.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
    let without = VARIES.replace_all(first, "*");
    without.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_are_taken_out() {
        for (text, expected) in [
            ("mail jo.doe+x@mail.example.com now", "mail [removed] now"),
            ("card 4111 1111 1111 1111 refused", "card [removed] refused"),
            ("card 4111 1111 1111 1111 12/27 refused", "card [removed]/27 refused"),
            ("order 4111 1111 1111 1112 refused", "order 4111 1111 1111 1112 refused"),
            ("GET https://example.com/a?token=secret#x failed", "GET https://example.com/a failed"),
            ("Bearer abcdefgh12345678", "[removed]"),
            ("eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl", "[removed]"),
            ("key 0123456789abcdef0123456789abcdef!", "key [removed]!"),
            ("Really? Yes", "Really? Yes"),
            ("what?jo@example.com", "what?[removed]"),
            ("AbstractSingletonProxyFactoryBeanNotFound", "AbstractSingletonProxyFactoryBeanNotFound"),
            ("node_modules/some/long/path/of/a/package/index", "node_modules/some/long/path/of/a/package/index"),
        ] {
            assert_eq!(without_secrets(text), expected);
        }
    }

    #[test]
    fn what_varies_is_a_star() {
        for (message, expected) in [
            (
                "Cannot read properties of undefined (reading 'plan')",
                "Cannot read properties of undefined (reading 'plan')",
            ),
            ("user 4711 not found", "user * not found"),
            ("id 2f1c8a5e-0b7d-4a57-9d64-2f1c8a5e0b7d", "id *"),
            ("hash deadbeef01 and 0xff", "hash * and *"),
            ("no module app-3f2a9.js", "no module *"),
            ("  two\n lines", "two"),
            ("took 1.5 s at 12:30", "took * s at *"),
        ] {
            assert_eq!(normal_message(message), expected);
        }
        assert_eq!(normal_message("item 1 of 9"), normal_message("item 27 of 31"));
    }

    proptest! {
        #[test]
        fn no_address_gets_through(name in "[a-z]{1,9}", host in "[a-z]{1,9}\\.[a-z]{2,3}", before in "[ -~]{0,20}") {
            let mail = format!("{name}@{host}");
            let text = format!("{before} {mail} after");
            prop_assert!(!without_secrets(&text).contains(&mail), "{}", without_secrets(&text));
        }

        #[test]
        fn any_string_is_taken(text in "\\PC{0,200}") {
            let once = normal_message(&text);
            prop_assert_eq!(normal_message(&once), once.clone());
            let _ = without_secrets(&text);
        }
    }
}
