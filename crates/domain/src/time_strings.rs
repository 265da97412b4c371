//! Instants as strings.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp as JiffTimestamp;

use crate::Timestamp;
use crate::quoted::Quoted;

/// A string that is not an instant, or not a date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not {expected}", Quoted(.text))]
pub struct InvalidTime {
    text: String,
    expected: &'static str,
}

impl InvalidTime {
    pub(crate) fn new(text: &str, expected: &'static str) -> Self {
        Self { text: text.to_owned(), expected }
    }
}

impl Timestamp {
    /// The same for jiff, whose years are −9999 to 9999.
    pub(crate) fn to_jiff(self) -> JiffTimestamp {
        JiffTimestamp::from_millisecond(self.as_millis()).unwrap_or(if self.as_millis() < 0 {
            JiffTimestamp::MIN
        } else {
            JiffTimestamp::MAX
        })
    }
}

/// RFC 3339: `2026-06-13T12:00:00Z`, `2026-06-13T14:00:00.250+02:00`. What is finer than a millisecond is cut off.
impl FromStr for Timestamp {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let invalid = || InvalidTime::new(text, "a time such as 2026-06-13T12:00:00Z");
        // jiff reads more than RFC 3339: years with signs, dates without hyphens, names of zones.
        let at = if is_rfc3339(text.as_bytes()) { text.parse::<JiffTimestamp>().ok() } else { None };
        let millis = at.and_then(|at| i64::try_from(at.as_nanosecond().div_euclid(1_000_000)).ok());
        millis.map(Self::from_millis).ok_or_else(invalid)
    }
}

/// Whether `text` has the shape of a time of RFC 3339.
fn is_rfc3339(text: &[u8]) -> bool {
    let Some((moment, rest)) = text.split_at_checked("2026-06-13T12:00:00".len()) else { return false };
    let fraction = match rest.strip_prefix(b".") {
        Some(digits) => 1 + digits.iter().take_while(|byte| byte.is_ascii_digit()).count(),
        None => 0,
    };
    has_shape(moment, b"0000-00-00T00:00:00")
        && match rest.get(fraction..) {
            Some(b"Z" | b"z") => true,
            Some(offset) => is_offset(offset),
            None => false,
        }
}

/// Whether `text` is the offset of a zone as RFC 3339 has it: less than a day. jiff reads longer ones.
fn is_offset(text: &[u8]) -> bool {
    let has_offset_shape = has_shape(text, b"+00:00") || has_shape(text, b"-00:00");
    has_offset_shape && &text[1..3] <= b"23" && &text[4..6] <= b"59"
}

/// Whether `text` is `shape` with digits for its zeros.
pub(crate) fn has_shape(text: &[u8], shape: &[u8]) -> bool {
    text.len() == shape.len()
        && text.iter().zip(shape).all(|(byte, wanted)| match wanted {
            b'0' => byte.is_ascii_digit(),
            b'T' => b"Tt ".contains(byte),
            other => byte == other,
        })
}

/// ISO 8601 in UTC with milliseconds and `Z`, the form on the wire.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.to_jiff())
    }
}
