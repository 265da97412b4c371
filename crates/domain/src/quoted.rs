//! How errors name the string that they refuse.

use std::fmt;

/// How much of a string is told, in characters.
const TOLD_CHARS: usize = 100;

/// A string in quotation marks, with control characters and marks escaped; of a long one the beginning.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(TOLD_CHARS) {
            Some((end, _)) => write!(f, "{:?}…", self.0.get(..end).unwrap_or("")),
            None => write!(f, "{:?}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_strings_are_told_by_their_beginning() {
        assert_eq!(Quoted("a\"\n").to_string(), r#""a\"\n""#);
        assert_eq!(Quoted(&"é".repeat(100)).to_string(), format!("\"{}\"", "é".repeat(100)));
        assert_eq!(Quoted(&"é".repeat(101)).to_string(), format!("\"{}\"…", "é".repeat(100)));
    }
}
