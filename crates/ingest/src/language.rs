//! Language tags.

use std::borrow::Cow;

use crate::text::trim;

/// The first language of `text`, a BCP 47 tag or an `Accept-Language` list, as language, script and region in their usual
/// case: `en-GB`, `zh-Hant-TW`. `None` when it holds no tag.
pub fn language_tag(text: &str) -> Option<Cow<'_, str>> {
    let first = text.split([',', ';']).next().map_or("", trim);
    if is_usual(first.as_bytes()) {
        return Some(Cow::Borrowed(first));
    }
    if first.len() > 35 {
        return None;
    }
    let mut parts = first.split(['-', '_']);
    let language = parts.next().filter(|part| matches!(part.len(), 2 | 3) && is_alpha(part))?;
    let mut tag = language.to_ascii_lowercase();
    let mut script = None;
    let mut region = None;
    for part in parts {
        if part.is_empty() || part.len() > 8 || !part.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        if part.len() == 1 {
            break;
        }
        if script.is_none() && region.is_none() && part.len() == 4 && is_alpha(part) {
            script = Some(title_case(part));
        } else if region.is_none() && part.len() == 2 && is_alpha(part) {
            region = Some(part.to_ascii_uppercase());
        } else if region.is_none() && part.len() == 3 && part.bytes().all(|b| b.is_ascii_digit()) {
            region = Some(part.to_owned());
        }
    }
    for part in [script, region].into_iter().flatten() {
        tag.push('-');
        tag.push_str(&part);
    }
    Some(Cow::Owned(tag))
}

/// Whether `tag` is what nearly every browser sends: a language, or language and country, in their usual case.
fn is_usual(tag: &[u8]) -> bool {
    match tag {
        [a, b] => [a, b].iter().all(|byte| byte.is_ascii_lowercase()),
        [a, b, b'-', c, d] => {
            [a, b].iter().all(|byte| byte.is_ascii_lowercase()) && [c, d].iter().all(|byte| byte.is_ascii_uppercase())
        }
        _ => false,
    }
}

fn is_alpha(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphabetic())
}

fn title_case(text: &str) -> String {
    let mut text = text.to_ascii_lowercase();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

/// [`language_tag`] of the first of `candidates` that has one.
pub(crate) fn first_language<'a>(candidates: [Option<&'a str>; 2]) -> Option<Cow<'a, str>> {
    candidates.into_iter().flatten().find_map(language_tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tags_get_their_usual_case() {
        for (text, tag) in [
            ("en", Some("en")),
            ("EN-gb", Some("en-GB")),
            ("pt_BR", Some("pt-BR")),
            ("zh-hant-tw", Some("zh-Hant-TW")),
            ("es-419", Some("es-419")),
            ("de-DE-u-co-phonebk", Some("de-DE")),
            ("fr-CH, fr;q=0.9, en;q=0.8, *;q=0.5", Some("fr-CH")),
            ("", None),
            ("*", None),
            ("e", None),
            ("english", None),
            ("en-<b>", None),
            ("en\0", None),
        ] {
            assert_eq!(language_tag(text).as_deref(), tag, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_tag_is_its_own_tag(text in "[a-zA-Z]{1,4}([-_][a-zA-Z0-9]{0,9}){0,4}|.{0,40}") {
            if let Some(tag) = language_tag(&text) {
                prop_assert_eq!(language_tag(&tag), Some(Cow::Borrowed(&*tag)));
            }
        }
    }
}
