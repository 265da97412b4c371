//! Fields that are for secrets, and numbers of cards.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// The digits that a number of a card has.
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// So many digits in a row may become the number of a card: of one that is typed no more is known than may stand on a receipt.
const BEGINNING_DIGITS: usize = 11;

/// What fields for secrets are called. The recorder has the same words.
#[expect(clippy::expect_used, reason = "the pattern is a constant, and tests compile it")]
static WORDS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)passw|passphrase|pwd|secret|one-time-code|(?:^|[^a-z])(?:cc|cvc|cvv|csc|iban|ssn|otp|pin|tan)(?:$|[^a-z])",
        r"|card.?(?:num|no(?:$|\W)|holder|cvc|cvv|code|exp)|credit.?card|(?:security|social).?(?:code|security)",
        r"|account.?num|routing.?num|kennwort|mot.?de.?passe|contrase|senha|wachtwoord|has[lł]o|пароль|密[码碼]|パスワード|비밀번호",
        r"|kreditkart|karten.?num|prüf(?:ziffer|num)|sicherheits(?:code|num)|carte.bancaire|n[uú]m.{2,9}(?:carte|tarjeta)",
    ))
    .expect("a pattern")
});

/// Whether a name, a label or a hint says that a field is for a password, a card, a code or the like.
pub(crate) fn is_secret_name(text: &str) -> bool {
    if WORDS.is_match(text) {
        return true;
    }
    // Names such as `cardPin` are of several words.
    let mut apart = String::with_capacity(text.len() + 8);
    let mut was_small = false;
    for char in text.chars() {
        if was_small && char.is_ascii_uppercase() {
            apart.push(' ');
        }
        was_small = char.is_ascii_lowercase();
        apart.push(char);
    }
    apart.len() > text.len() && WORDS.is_match(&apart)
}

/// Whether there are so many digits in a row in `text` that they are the number of a card, or may become one.
pub(crate) fn may_become_card(text: &str) -> bool {
    runs(text).any(|run| digits(&text[run]).count() >= BEGINNING_DIGITS)
}

/// `text` without numbers of cards.
pub(crate) fn without_cards(text: &str) -> Cow<'_, str> {
    let mut kept = String::new();
    let mut from = 0;
    // What stands behind a point is a part of a number.
    for run in runs(text).filter(|run| !text[..run.start].ends_with('.') && has_card(&text[run.clone()])) {
        kept.push_str(&text[from..run.start]);
        kept.push_str("[card]");
        from = run.end;
    }
    if from == 0 { Cow::Borrowed(text) } else { Cow::Owned(kept + &text[from..]) }
}

/// Whether some of the groups of digits in `run` are together the number of a card, by its check digit. What is written beside a card,
/// such as the month in which it expires, is a group of its own.
pub(crate) fn has_card(run: &str) -> bool {
    let groups: Vec<&str> = run.split(|char: char| !char.is_ascii_digit()).filter(|group| !group.is_empty()).collect();
    (0..groups.len()).any(|first| {
        let mut number = String::new();
        for group in &groups[first..] {
            number.push_str(group);
            if number.len() > *CARD_DIGITS.end() {
                return false;
            }
            if is_card(&number) {
                return true;
            }
        }
        false
    })
}

fn is_card(number: &str) -> bool {
    let sum: u32 = (number.bytes().rev().map(|digit| u32::from(digit - b'0')).enumerate())
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => digit,
            (_, twice) => twice / 10 + twice % 10,
        })
        .sum();
    let is_one_digit = number.bytes().all(|digit| number.starts_with(char::from(digit)));
    CARD_DIGITS.contains(&number.len()) && !is_one_digit && sum.is_multiple_of(10)
}

fn digits(run: &str) -> impl Iterator<Item = u8> {
    run.bytes().filter(u8::is_ascii_digit)
}

/// Where there are digits in a row, with one space of any kind, plus or hyphen between two of them at most.
fn runs(text: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let from = at + bytes.get(at..)?.iter().position(u8::is_ascii_digit)?;
        at = from + 1;
        loop {
            let next = text.get(at..).and_then(|rest| rest.chars().next());
            let gap = next.filter(|char| char.is_whitespace() || matches!(char, '+' | '-')).map_or(0, char::len_utf8);
            if !bytes.get(at + gap).is_some_and(u8::is_ascii_digit) {
                return Some(from..at);
            }
            at += gap + 1;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The recorder is tested with the same names. Sabotage: take out a word.
    #[test]
    fn fields_for_secrets_are_known_by_their_names() {
        let names: serde_json::Value = serde_json::from_str(include_str!("../tests/secret-names.json")).unwrap();
        for (kind, is_secret) in [("secret", true), ("plain", false)] {
            for name in names[kind].as_array().unwrap() {
                assert_eq!(is_secret_name(name.as_str().unwrap()), is_secret, "{name}");
            }
        }
    }

    #[test]
    fn numbers_of_cards_are_found_in_what_is_around_them() {
        for (text, kept) in [
            ("pay 4111 1111 1111 1111 now", "pay [card] now"),
            ("4111-1111-1111-1111", "[card]"),
            ("4111\u{a0}1111\u{a0}1111\u{a0}1111", "[card]"),
            ("4111 1111 1111 1111 12/27", "[card]/27"),
            ("4111111111111111 123, 378282246310005", "[card], [card]"),
            ("4111 1111 1111 1112", "4111 1111 1111 1112"),
            ("0.4111111111111111", "0.4111111111111111"),
            ("0000 0000 0000 0000", "0000 0000 0000 0000"),
            ("no digits", "no digits"),
        ] {
            assert_eq!(without_cards(text), kept);
        }
        assert!(may_become_card("a 4111 1111 111 b") && may_become_card("12345678901"));
        assert!(
            !may_become_card("4111 1111 11")
                && !may_become_card("2026-11-30 03:27")
                && !may_become_card("192.168.100.200")
        );
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in "[0-9 +.\\-\u{a0}é]{0,60}") {
            let kept = without_cards(&text);
            let again = without_cards(&kept);
            prop_assert_eq!(&*again, &*kept);
            prop_assert!(may_become_card(&text) || matches!(kept, Cow::Borrowed(_)));
            let _ = is_secret_name(&text);
        }
    }
}
