//! From the bytes of a body to a JSON value, or to words that say why it is not one.

use super::scan::scan;
use super::value::{JsonValue, MaxDepth};
use crate::mend::mend;
use crate::outcome::{Mend, Mends};
use crate::{Refusal, RefusalReason};

/// Parses `body` as one JSON value, in which `depth` levels of arrays and objects are kept; what is nested deeper is read
/// and left out, as are items of arrays beyond [`ITEMS_MAX`] and members of objects beyond [`MEMBERS_MAX`].
/// What had to be mended for that is added to `mends`.
pub(crate) fn parse<'a>(body: &'a [u8], depth: u8, mends: &mut Mends) -> Result<JsonValue<'a>, Refusal> {
    let text = utf8(body, mends)?;
    if let Some(raw) = scan(text, depth) {
        // For the fuzz targets.
        debug_assert_eq!(MaxDepth(depth).read(text).as_ref(), Some(&raw));
        return Ok(raw);
    }
    parse_any(text, depth, mends)
}

pub(super) fn invalid(message: String) -> Refusal {
    Refusal::new(RefusalReason::InvalidJson, message)
}

/// `body` as a string without a byte order mark.
pub(super) fn utf8<'a>(body: &'a [u8], mends: &mut Mends) -> Result<&'a str, Refusal> {
    let text = simdutf8::basic::from_utf8(body).map_err(|_| {
        let valid = std::str::from_utf8(body).map_or_else(|error| error.valid_up_to(), str::len);
        invalid(format!("The body is not UTF-8: byte {valid} is wrong"))
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => {
            mends.insert(Mend::Characters);
            rest
        }
        None => text,
    })
}

/// [`parse`] for any string.
pub(super) fn parse_any<'a>(text: &'a str, depth: u8, mends: &mut Mends) -> Result<JsonValue<'a>, Refusal> {
    let error = match MaxDepth(depth).deserialize_all(text) {
        Ok(raw) => return Ok(raw),
        Err(error) => error,
    };
    // One value that cannot be read must not take the whole body along.
    if let Some(mended) = mend(text)
        && let Some(raw) = MaxDepth(depth).read(&mended)
    {
        mends.insert(Mend::Characters);
        return Ok(raw.into_owned());
    }
    Err(invalid(match error.classify() {
        serde_json::error::Category::Eof if text.trim().is_empty() => {
            "The body is empty; send a JSON object".to_owned()
        }
        serde_json::error::Category::Eof => format!("The JSON ends too early: {error}"),
        _ if error.to_string().starts_with("recursion limit") => "The JSON is nested too deep".to_owned(),
        _ => format!("The body is not valid JSON: {error}"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::value::ITEMS_MAX;
    use proptest::prelude::*;

    fn message(body: &[u8]) -> String {
        let refusal = parse(body, 2, &mut Mends::default()).unwrap_err();
        assert_eq!(refusal.reason, RefusalReason::InvalidJson);
        refusal.message
    }

    /// Among them a trailing comma, which the published documents name.
    #[test]
    fn what_is_not_json_is_told_in_words() {
        assert_eq!(
            message(br#"{ "name": "Test", }"#),
            "The body is not valid JSON: trailing comma at line 1 column 19"
        );
        assert_eq!(message(b""), "The body is empty; send a JSON object");
        assert_eq!(message(b"{\"a\":\"\xff\"}"), "The body is not UTF-8: byte 6 is wrong");
        assert!(message(br#"{"url":"https://exa"#).starts_with("The JSON ends too early"));
        assert!(message(br#"{"a":"\ud80"}"#).contains("not valid JSON"));
        assert!(message(b"{} {}").contains("trailing characters"));
        for open in ["[", "{\"a\":"] {
            assert_eq!(message(open.repeat(100_000).as_bytes()), "The JSON is nested too deep");
        }
    }

    /// A batch of 4 MB has room for more than a million empty objects; they must not take a gigabyte.
    #[test]
    fn small_values_take_little_memory() {
        let many = "{},".repeat(2 * ITEMS_MAX);
        for name in ["a", "\\u0061"] {
            let body = format!(r#"{{"{name}":[{many}{{}}]}}"#);
            let JsonValue::Object(members) = parse(body.as_bytes(), 3, &mut Mends::default()).unwrap() else {
                panic!()
            };
            let JsonValue::Array(items) = &members[0].1 else { panic!() };
            assert_eq!(items.len(), ITEMS_MAX);
            assert!(
                items.iter().all(|item| matches!(item, JsonValue::Object(members) if members.capacity() == 0)),
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&body, 2, &mut Mends::default());
        }
    }
}
