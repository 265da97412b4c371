//! Places in lists.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;
use zenovay_domain::{TimeRange, Timestamp};
use zenovay_query::RowPlace;

use crate::Problem;

/// The longest cursor, in bytes: room for two values of the greatest length.
pub const CURSOR_MAX_BYTES: usize = 12_000;

/// The place after a row, and the instants that the list is of. It holds for the question it came from, so that the pages of
/// one list are always of the same list, also while time goes on. It gives no access: whoever makes one up reads what may be
/// read anyway.
///
/// ```
/// use zenovay_stats::Cursor;
/// use zenovay_stats::domain::TimeRange;
/// use zenovay_stats::query::RowPlace;
///
/// let cursor = Cursor::new(TimeRange::ALL, RowPlace::new(17, "/pricing", None));
/// let string = cursor.encode("pages of a website");
/// assert_eq!(Cursor::decode(&string, "pages of a website"), Ok(cursor));
/// assert!(Cursor::decode(&string, "another question").is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cursor {
    /// The instants that the list is of.
    pub range: TimeRange,
    /// The row that the next one comes after.
    pub after: RowPlace,
}

/// What stands in the string.
#[derive(Serialize, Deserialize)]
struct Members(u64, i64, i64, u64, String, Option<String>);

impl Cursor {
    /// The place after `after`, in a list that is of `range`.
    pub fn new(range: TimeRange, after: RowPlace) -> Self {
        Self { range, after }
    }

    /// As a string, for a client to give back. `question` is everything that decides which list it is.
    pub fn encode(&self, question: &str) -> String {
        let Self { range, after } = self;
        let (from, to) = (range.from.as_millis(), range.to.as_millis());
        let members =
            Members(xxh3_64(question.as_bytes()), from, to, after.count, after.value.clone(), after.and.clone());
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&members).unwrap_or_default())
    }

    /// Reads a string that [`Cursor::encode`] made for the same question.
    ///
    /// # Errors
    /// [`Problem`]: it is not such a string, or it is that of another question.
    pub fn decode(text: &str, question: &str) -> Result<Self, Problem> {
        let unknown = || Problem::new("use a cursor as it came in the answer before");
        if text.len() > CURSOR_MAX_BYTES {
            return Err(unknown());
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_error| unknown())?;
        let Members(asked, from, to, count, value, and) = serde_json::from_slice(&bytes).map_err(|_error| unknown())?;
        if asked != xxh3_64(question.as_bytes()) {
            return Err(Problem::new(
                "this cursor came with an answer to another question; repeat the other parameters as they were",
            ));
        }
        if from > to {
            return Err(unknown());
        }
        let range = TimeRange::new(Timestamp::from_millis(from), Timestamp::from_millis(to));
        Ok(Self { range, after: RowPlace::new(count, value, and) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_back_for_its_question_only(
            from in any::<i64>(),
            length in 0i64..1_000_000_000,
            count in any::<u64>(),
            value in "\\PC{0,50}",
            and in prop::option::of("\\PC{0,50}"),
        ) {
            let from = Timestamp::from_millis(from);
            let range = TimeRange::new(from, from.plus_millis(length));
            let cursor = Cursor { range, after: RowPlace::new(count, value, and) };
            let text = cursor.encode("one");
            prop_assert_eq!(Cursor::decode(&text, "one"), Ok(cursor));
            prop_assert!(Cursor::decode(&text, "other").is_err());
        }

        #[test]
        fn any_string_is_a_cursor_or_refused(text in "[A-Za-z0-9_-]{0,60}|\\PC{0,30}") {
            prop_assert!(Cursor::decode(&text, "one").is_err());
        }
    }

    #[test]
    fn the_longest_values_fit() {
        let value = "\u{10FFFF}".repeat(1_000);
        let range = TimeRange::new(Timestamp::default(), Timestamp::default());
        let cursor = Cursor { range, after: RowPlace::new(u64::MAX, value.clone(), Some(value)) };
        let text = cursor.encode("one");
        assert!(text.len() <= CURSOR_MAX_BYTES, "{}", text.len());
        assert_eq!(Cursor::decode(&text, "one"), Ok(cursor));
    }
}
