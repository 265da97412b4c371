//! A reader for the JSON that clients send, faster than the general one. It only ever says yes: what is out of
//! the ordinary or wrong is left to `serde_json`, which reads it or words the refusal. What it reads, it reads as
//! `serde_json` does: a property test compares them, and so does every build with debug assertions.

use std::borrow::Cow;

use super::value::{ITEMS_MAX, JsonValue, MEMBERS_MAX, MaxDepth};

/// Deeper nesting is left to `serde_json`.
const LEVELS_MAX: u8 = 16;

/// Reads `text` as one JSON value in which `depth` levels of arrays and objects are kept, see [`crate::json::parse`].
pub(crate) fn scan(text: &str, depth: u8) -> Option<JsonValue<'_>> {
    let mut scanner = Scanner { text, at: 0 };
    let raw = scanner.value(depth, LEVELS_MAX)?;
    scanner.space();
    (scanner.at == text.len()).then_some(raw)
}

/// Takes the members of an object while they are read. They are written where they stay: a processor waits when it copies what
/// it has just written.
pub(crate) trait MemberSink<'a> {
    /// A name whose value is wanted.
    type Name: Copy;

    /// The name `string` when its value is wanted.
    fn accept(&mut self, string: &'a str) -> Option<Self::Name>;

    /// Takes a string as the value of a member.
    fn set_string(&mut self, name: Self::Name, string: &'a str);

    /// Takes the value of a member.
    fn set(&mut self, name: Self::Name, value: JsonValue<'a>);
}

/// Reads `text` as one JSON object of which `members` take what [`scan`] reads. `None`: they hold some of it.
pub(crate) fn scan_members<'a>(text: &'a str, depth: u8, members: &mut impl MemberSink<'a>) -> Option<()> {
    let mut scanner = Scanner { text, at: 0 };
    (scanner.space()? == b'{').then_some(())?;
    scanner.members(depth.checked_sub(1)?, LEVELS_MAX - 1, members)?;
    scanner.space();
    (scanner.at == text.len()).then_some(())
}

struct Scanner<'a> {
    text: &'a str,
    /// The next byte to read.
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next_two(&self) -> Option<&[u8; 2]> {
        self.text.as_bytes().get(self.at..)?.first_chunk()
    }

    /// Passes over white space and looks at what follows.
    fn space(&mut self) -> Option<u8> {
        loop {
            match self.peek()? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                other => return Some(other),
            }
        }
    }

    /// Passes over white space and `byte`.
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.space()? == byte).then(|| self.at += 1)
    }

    fn value(&mut self, depth: u8, levels: u8) -> Option<JsonValue<'a>> {
        match self.space()? {
            b'"' => self.string().map(JsonValue::String),
            b'{' => self.object(depth, levels.checked_sub(1)?),
            b'[' => self.array(depth, levels.checked_sub(1)?),
            b't' => self.word("true", JsonValue::Bool(true)),
            b'f' => self.word("false", JsonValue::Bool(false)),
            b'n' => self.word("null", JsonValue::Null),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str, value: JsonValue<'a>) -> Option<JsonValue<'a>> {
        self.text.get(self.at..)?.starts_with(word).then(|| self.at += word.len())?;
        Some(value)
    }

    fn object(&mut self, depth: u8, levels: u8) -> Option<JsonValue<'a>> {
        let mut members: Vec<(Cow<'a, str>, JsonValue<'a>)> = Vec::new();
        self.each_member(|scanner, name| {
            let value = scanner.value(depth.saturating_sub(1), levels)?;
            if depth > 0 && members.len() < MEMBERS_MAX {
                members.push((Cow::Borrowed(name), value));
            }
            Some(())
        })?;
        Some(JsonValue::Object(members))
    }

    /// An object of which the values keep `depth` levels.
    fn members(&mut self, depth: u8, levels: u8, members: &mut impl MemberSink<'a>) -> Option<()> {
        self.each_member(|scanner, name| {
            match members.accept(name) {
                Some(name) if scanner.peek() == Some(b'"') => members.set_string(name, scanner.string()?),
                Some(name) => members.set(name, scanner.value(depth, levels)?),
                None => drop(scanner.value(0, levels)?),
            }
            Some(())
        })
    }

    /// Reads an object; `value` reads the value of each member, whose name it is given.
    #[inline(always)]
    fn each_member(&mut self, mut value: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.at += 1;
        if self.space()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            if self.space()? != b'"' {
                return None;
            }
            let name = self.string()?;
            if self.next_two() == Some(b":\"") {
                self.at += 1;
            } else {
                self.expect(b':')?;
                self.space();
            }
            value(self, name)?;
            if self.next_two() == Some(b",\"") {
                self.at += 1;
                continue;
            }
            match self.space()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    fn array(&mut self, depth: u8, levels: u8) -> Option<JsonValue<'a>> {
        self.at += 1;
        let mut items = Vec::new();
        if self.space()? == b']' {
            self.at += 1;
            return Some(JsonValue::Array(items.into()));
        }
        loop {
            let item = self.value(depth.saturating_sub(1), levels)?;
            if depth > 0 && items.len() < ITEMS_MAX {
                items.push(item);
            }
            match self.space()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Some(JsonValue::Array(items.into()));
                }
                _ => return None,
            }
        }
    }

    /// A string without escapes, of which the opening quote is next.
    #[inline(always)]
    fn string(&mut self) -> Option<&'a str> {
        let start = self.at + 1;
        let end = start + plain_len(self.text.as_bytes().get(start..)?);
        if self.text.as_bytes().get(end) != Some(&b'"') {
            return None;
        }
        self.at = end + 1;
        self.text.get(start..end)
    }

    fn number(&mut self) -> Option<JsonValue<'a>> {
        let rest = self.text.get(self.at..)?;
        let len = rest.bytes().take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count();
        let digits = rest.get(..len)?;
        self.at += len;
        let is_plain =
            len <= 18 && digits.bytes().all(|b| b.is_ascii_digit()) && (len == 1 || !digits.starts_with('0'));
        if is_plain && len > 0 {
            return digits.parse().ok().map(JsonValue::Int);
        }
        MaxDepth(0).read(digits)
    }
}

/// How many bytes come before the first quote, backslash or control character: eight at a time.
#[inline(always)]
fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    const QUOTES: u64 = ONES * b'"' as u64;
    const BACKSLASHES: u64 = ONES * b'\\' as u64;
    const SPACES: u64 = ONES * b' ' as u64;
    /// The high bit of the lowest byte that is zero, and maybe of bytes above it.
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(SPACES) & !word;
        let found = (zeros(word ^ QUOTES) | zeros(word ^ BACKSLASHES) | control) & HIGHS;
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | ..0x20);
    words.len() * 8 + rest.iter().take_while(is_plain).count()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_clients_send_is_read_here() {
        for text in [
            crate::hit::tests::S4_EXAMPLE,
            r#" { "a" : [ 1 , true, null,false ] , "é" : "x'y/" , "f":-1.5e3, "n":0 } "#,
            "[]",
            "{}",
            "0",
        ] {
            assert!(scan(text, 2).is_some(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_or_has_escapes_is_left_alone() {
        for text in [
            "",
            " ",
            "{",
            "[",
            "\"",
            "{\"a\"}",
            "{\"a\":1,}",
            "[1,]",
            "{a:1}",
            "{} {}",
            "01",
            "-",
            "1.",
            "1e999",
            "+1",
            "nul",
            "truex",
            "\"\t\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\ud800\"",
            "\"\\\"",
            "\"a\\",
            "{\"a\":}",
            ",",
            "--1",
        ] {
            assert_eq!(scan(text, 2), None, "{text}");
        }
        assert_eq!(scan(&"[".repeat(100_000), 2), None);
    }

    /// JSON as [`serde_json`] never writes it, and strings that are nearly JSON.
    pub(crate) fn json() -> impl Strategy<Value = String> {
        let space = "[ \n\t\r]{0,2}";
        let scalar = prop_oneof![
            r#""[^"\\]{0,20}""#,
            r#""([a-z"\\é/]|\\["\\/bfnrtu]|\\u[0-9a-fd]{4}){0,9}""#,
            "-?[0-9]{1,20}(\\.[0-9]{1,3})?([eE][-+]?[0-9]{1,3})?",
            "true|false|null|[-+.0-9eE]{1,4}",
        ];
        let value = (space, scalar, space).prop_map(|(before, value, after)| format!("{before}{value}{after}"));
        value.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec((r#""[a-c]{0,2}(\\n)?"|x"#, inner), 0..4).prop_map(|members| {
                    let members: Vec<_> = members.into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn what_is_read_is_what_serde_json_reads(text in json(), depth in 0u8..4, cut in any::<prop::sample::Index>(), whole in any::<bool>()) {
            let cut = if whole { text.len() } else { text.floor_char_boundary(cut.index(text.len() + 1)) };
            let text = &text[..cut];
            if let Some(raw) = scan(text, depth) {
                prop_assert_eq!(Some(raw), MaxDepth(depth).read(text));
            }
        }

        #[test]
        fn plain_texts_end_where_they_should(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'a'), Just(b'a')], 0..40)) {
            let expected = bytes.iter().position(|b| matches!(b, b'"' | b'\\' | ..0x20)).unwrap_or(bytes.len());
            prop_assert_eq!(plain_len(&bytes), expected);
        }
    }
}
