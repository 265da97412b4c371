//! The body of a chunk: a few members that say whose it is, and long events, which are not looked into here.

use std::ops::Range;

use serde_json::{Map, Value};

use super::json::{Scanner, unquoted};
use crate::Problems;

/// The most bytes of a body, decoded.
pub const REPLAY_BODY_MAX_BYTES: usize = 32 << 20;
/// The most bytes of a member beside the events, as it is written.
const MEMBER_MAX_BYTES: usize = 64 * 1_024;
/// The most members.
const MEMBERS_MAX: usize = 100;
/// The highest number of a chunk.
const SEQ_MAX: u64 = 1_000_000;

/// A chunk of a recording as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayBody {
    /// The members of the body that are strings, numbers and the like.
    pub members: Map<String, Value>,
    /// Which recording of the browser it is of.
    pub replay_id: [u8; 16],
    /// Its number in the recording, from 0.
    pub seq: u32,
    /// Whether the page was left.
    pub is_final: bool,
    /// Whether the visitor agreed to be recorded.
    pub has_consent: bool,
    /// When it was sent, by the browser's clock, in milliseconds since 1970.
    pub sent_at_ms: Option<i64>,
    /// Where in the body the events are.
    pub events: Range<usize>,
}

/// Reads the body of a chunk. Of its events only that they are an array of JSON is looked at.
///
/// # Errors
/// The members that are wrong; `body` when it is not a JSON object.
pub fn read_replay(body: &[u8]) -> Result<ReplayBody, Problems> {
    let not_json = |at: usize| Problems::one("body", format!("not a JSON object: something is wrong at byte {at}"));
    let text = std::str::from_utf8(body).map_err(|error| not_json(error.valid_up_to()))?;
    let mut scanner = Scanner::new(text);
    let (mut members, mut events) = (Map::new(), None);
    let malformed = |error: super::json::Malformed| not_json(error.at);
    scanner.begin_object().map_err(malformed)?;
    while let Some(name) = scanner.member().map_err(malformed)? {
        let value = scanner.raw_value().map_err(malformed)?;
        if name == "events" {
            let from = value.as_ptr().addr() - text.as_ptr().addr();
            events = Some(from..from + value.len());
        } else if !value.starts_with(['{', '[']) && value.len() <= MEMBER_MAX_BYTES && members.len() < MEMBERS_MAX {
            // Half a surrogate pair is U+FFFD; a number that no parser takes is as if it were not there.
            let read = if value.starts_with('"') {
                Some(Value::String(unquoted(value).into_owned()))
            } else {
                serde_json::from_str(value).ok()
            };
            members.extend(read.map(|value| (name.into_owned(), value)));
        }
    }
    scanner.next().map_err(malformed)?;
    let string = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or("");
    let mut problems = Problems::default();
    let replay_id = hex16(string("replay_id"));
    if replay_id.is_none() {
        problems.0.insert("replay_id".to_owned(), "Must be 32 hexadecimal digits".to_owned());
    }
    let seq = members.get("seq").and_then(Value::as_u64).filter(|seq| *seq <= SEQ_MAX);
    if seq.is_none() {
        problems.0.insert("seq".to_owned(), format!("Must be a whole number from 0 to {SEQ_MAX}"));
    }
    if !events.as_ref().is_some_and(|events: &Range<usize>| text[events.clone()].starts_with('[')) {
        problems.0.insert("events".to_owned(), "Must be an array".to_owned());
    }
    let (Some(replay_id), Some(seq), Some(events)) = (replay_id, seq.and_then(|seq| u32::try_from(seq).ok()), events)
    else {
        return Err(problems);
    };
    if !problems.0.is_empty() {
        return Err(problems);
    }
    let is_final = members.get("final").and_then(Value::as_bool).unwrap_or(false);
    let has_consent = string("consent") == "granted";
    let sent_at_ms = members.get("sent_at").and_then(Value::as_i64);
    Ok(ReplayBody { replay_id, seq, is_final, has_consent, sent_at_ms, events, members })
}

fn hex16(text: &str) -> Option<[u8; 16]> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "00112233445566778899aabbccddeeff";

    #[test]
    fn members_are_read_and_events_stay_where_they_are() {
        let body = format!(
            "{{\"events\": [{{\"a\":\"]\"}}] ,\"replay_id\":\"{ID}\",\"seq\":3,\"final\":true,\"consent\":\"granted\",
              \"deep\":{{\"x\":1}},\"half\":\"cut \\ud800\",\"vast\":1e999,\"sent_at\":12,\"url\":\"https://example.com/\"}}"
        );
        let read = read_replay(body.as_bytes()).unwrap();
        assert_eq!(&body[read.events.clone()], "[{\"a\":\"]\"}]");
        assert_eq!((read.seq, read.is_final, read.has_consent, read.sent_at_ms), (3, true, true, Some(12)));
        assert_eq!((read.replay_id[0], read.replay_id[15]), (0, 0xff));
        assert_eq!(read.members["url"], "https://example.com/");
        assert_eq!(read.members["half"], "cut \u{fffd}");
        assert!(!read.members.contains_key("deep") && !read.members.contains_key("vast"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let named = |body: &str| read_replay(body.as_bytes()).unwrap_err().0.into_keys().collect::<Vec<_>>();
        assert_eq!(named("{}"), ["events", "replay_id", "seq"]);
        assert_eq!(named(&format!("{{\"replay_id\":\"{ID}\",\"seq\":-1,\"events\":{{}}}}")), ["events", "seq"]);
        assert_eq!(named(&format!("{{\"replay_id\":\"+{}\",\"seq\":0,\"events\":[]}}", &ID[1..])), ["replay_id"]);
        for body in ["", "[]", "{", "{\"events\":[1,]}", "{} {}"] {
            assert_eq!(named(body), ["body"], "{body}");
        }
        assert!(read_replay(b"{\"a\":\"\xff\"}").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_replay(&body);
        }
    }
}
