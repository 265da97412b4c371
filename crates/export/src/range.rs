//! Parts of a file, as the header `Range` asks for them (RFC 9110 §14).

use std::ops::Range;

/// What a header `Range` asks for.
///
/// ```
/// use zenovay_export::ByteRange;
///
/// assert_eq!(ByteRange::parse("bytes=0-499", 10_000), ByteRange::Part(0..500));
/// assert_eq!(ByteRange::parse("bytes=-1", 10_000), ByteRange::Part(9_999..10_000));
/// assert_eq!(ByteRange::parse("bytes=10000-", 10_000), ByteRange::OutOfFile);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "all, a part, or none of a file")]
pub enum ByteRange {
    /// All of the file: the header says nothing that must be followed.
    All,
    /// These bytes, of which there is at least one.
    Part(Range<u64>),
    /// Bytes that the file does not have.
    OutOfFile,
}

impl ByteRange {
    /// Reads the header for a file of `length` bytes. Several ranges at once are answered with the whole file.
    pub fn parse(header: &str, length: u64) -> Self {
        let Some((unit, ranges)) = header.split_once('=') else { return Self::All };
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return Self::All;
        }
        let Some((first, last)) = ranges.trim().split_once('-') else { return Self::All };
        match (number(first), number(last)) {
            (Some(Some(first)), Some(last)) => {
                let end = last.map_or(length, |last| last.saturating_add(1).min(length));
                match last {
                    Some(last) if last < first => Self::All,
                    _ if first >= length => Self::OutOfFile,
                    _ => Self::Part(first..end),
                }
            }
            (Some(None), Some(Some(count))) => match count.min(length) {
                0 => Self::OutOfFile,
                count => Self::Part(length - count..length),
            },
            _ => Self::All,
        }
    }
}

/// A number of digits alone, nothing for an empty string, `None` for anything else.
fn number(text: &str) -> Option<Option<u64>> {
    match text.trim() {
        "" => Some(None),
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => Some(Some(text.parse().unwrap_or(u64::MAX))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_range_is_read() {
        for (header, expected) in [
            ("bytes=0-0", ByteRange::Part(0..1)),
            ("bytes=2-", ByteRange::Part(2..10)),
            ("Bytes = 2-4", ByteRange::Part(2..5)),
            ("bytes=2-100", ByteRange::Part(2..10)),
            ("bytes=-3", ByteRange::Part(7..10)),
            ("bytes=-30", ByteRange::Part(0..10)),
            ("bytes=10-", ByteRange::OutOfFile),
            ("bytes=99999999999999999999999-", ByteRange::OutOfFile),
            ("bytes=-0", ByteRange::OutOfFile),
            ("bytes=4-2", ByteRange::All),
            ("bytes=0-1,3-4", ByteRange::All),
            ("bytes=-", ByteRange::All),
            ("bytes=+1-2", ByteRange::All),
            ("rows=0-1", ByteRange::All),
            ("", ByteRange::All),
        ] {
            assert_eq!(ByteRange::parse(header, 10), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn what_is_answered_is_in_the_file(header in "\\PC{0,20}|bytes=[0-9]{0,22}-[0-9]{0,22}", length in any::<u64>()) {
            if let ByteRange::Part(part) = ByteRange::parse(&header, length) {
                prop_assert!(part.start < part.end && part.end <= length);
            }
        }
    }
}
