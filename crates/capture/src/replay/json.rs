//! JSON token by token. Recordings are long and hostile: what is made of them at once must not be many times as long, and a page
//! may be nested deeper than a parser that calls itself can go. So nothing is built: tokens are slices of the body.

use std::borrow::Cow;

/// How deep arrays and objects may be in each other: two of them for each level of a page.
const DEPTH_MAX: usize = 4_096;

/// It is not JSON, or is nested too deep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// Where, in bytes.
    pub(crate) at: usize,
}

/// A piece of JSON. Strings are as they are written, with their quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    BeginObject,
    EndObject,
    BeginArray,
    EndArray,
    /// The name of a member; its value follows.
    Name(&'a str),
    String(&'a str),
    Number(&'a str),
    /// `true`, `false` or `null`.
    Word(&'a str),
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// A value.
    Value,
    /// The first value of an array, or its end.
    FirstOrEnd,
    /// The name of the first member of an object, or its end.
    NameOrEnd,
    /// What follows a value, in an array, in an object, or after all.
    After,
}

/// Reads tokens. What it gave is JSON up to there; at the end all is closed.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'a> {
    json: &'a str,
    at: usize,
    /// Whether what is open is an object; otherwise it is an array.
    open: Vec<bool>,
    next: Next,
}

impl<'a> Scanner<'a> {
    /// Reads one value, with nothing but white space around it.
    pub(crate) fn new(json: &'a str) -> Self {
        Self { json, at: 0, open: Vec::new(), next: Next::Value }
    }

    /// The next token; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Token<'a>>, Malformed> {
        loop {
            self.skip_space();
            let Some(&byte) = self.json.as_bytes().get(self.at) else {
                let is_whole = self.open.is_empty() && self.next == Next::After;
                return if is_whole { Ok(None) } else { Err(self.malformed()) };
            };
            match (self.next, byte) {
                (Next::After, b',') => {
                    let is_object = *self.open.last().ok_or_else(|| self.malformed())?;
                    self.at += 1;
                    self.skip_space();
                    if is_object {
                        return self.name().map(Some);
                    }
                    self.next = Next::Value;
                }
                (Next::After | Next::FirstOrEnd, b']') if self.open.last() == Some(&false) => {
                    return Ok(Some(self.close(Token::EndArray)));
                }
                (Next::After | Next::NameOrEnd, b'}') if self.open.last() == Some(&true) => {
                    return Ok(Some(self.close(Token::EndObject)));
                }
                (Next::NameOrEnd, _) => return self.name().map(Some),
                (Next::Value | Next::FirstOrEnd, _) => return self.value(byte).map(Some),
                (Next::After, _) => return Err(self.malformed()),
            }
        }
    }

    /// What comes next, to the end.
    pub(crate) fn rest(&mut self) -> &'a str {
        self.skip_space();
        &self.json[self.at..]
    }

    /// The value that comes next, as it is written.
    pub(crate) fn raw_value(&mut self) -> Result<&'a str, Malformed> {
        self.skip_space();
        let (from, depth) = (self.at, self.open.len());
        loop {
            self.next()?.ok_or_else(|| self.malformed())?;
            if self.open.len() <= depth && self.next == Next::After {
                return Ok(&self.json[from..self.at]);
            }
        }
    }

    /// Begins to read the members of the object that comes next.
    pub(crate) fn begin_object(&mut self) -> Result<(), Malformed> {
        match self.next()? {
            Some(Token::BeginObject) => Ok(()),
            _ => Err(self.malformed()),
        }
    }

    /// The name of the next member of an object, whose value has to be read then; `None` at the end of the object.
    pub(crate) fn member(&mut self) -> Result<Option<Cow<'a, str>>, Malformed> {
        match self.next()? {
            Some(Token::Name(name)) => Ok(Some(unquoted(name))),
            Some(Token::EndObject) => Ok(None),
            _ => Err(self.malformed()),
        }
    }

    /// Begins to read the values of the array that comes next.
    pub(crate) fn begin_array(&mut self) -> Result<(), Malformed> {
        match self.next()? {
            Some(Token::BeginArray) => Ok(()),
            _ => Err(self.malformed()),
        }
    }

    /// The next value of an array as it is written; `None` at its end.
    pub(crate) fn element(&mut self) -> Result<Option<&'a str>, Malformed> {
        self.skip_space();
        let may_end = matches!(self.next, Next::After | Next::FirstOrEnd) && self.open.last() == Some(&false);
        if may_end && self.json.as_bytes().get(self.at) == Some(&b']') {
            self.next()?;
            return Ok(None);
        }
        if self.next == Next::After {
            // Past the comma.
            if self.json.as_bytes().get(self.at) != Some(&b',') {
                return Err(self.malformed());
            }
            self.at += 1;
            self.next = Next::Value;
        }
        self.raw_value().map(Some)
    }

    fn malformed(&self) -> Malformed {
        Malformed { at: self.at }
    }

    fn skip_space(&mut self) {
        let bytes = self.json.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn close(&mut self, token: Token<'a>) -> Token<'a> {
        self.at += 1;
        self.open.pop();
        self.next = Next::After;
        token
    }

    fn name(&mut self) -> Result<Token<'a>, Malformed> {
        let name = self.string()?;
        self.skip_space();
        if self.json.as_bytes().get(self.at) != Some(&b':') {
            return Err(self.malformed());
        }
        self.at += 1;
        self.next = Next::Value;
        Ok(Token::Name(name))
    }

    fn value(&mut self, byte: u8) -> Result<Token<'a>, Malformed> {
        let opened = match byte {
            b'{' => Some((true, Next::NameOrEnd, Token::BeginObject)),
            b'[' => Some((false, Next::FirstOrEnd, Token::BeginArray)),
            _ => None,
        };
        if let Some((is_object, next, token)) = opened {
            if self.open.len() >= DEPTH_MAX {
                return Err(self.malformed());
            }
            self.at += 1;
            self.open.push(is_object);
            self.next = next;
            return Ok(token);
        }
        let token = match byte {
            b'"' => Token::String(self.string()?),
            b'-' | b'0'..=b'9' => Token::Number(self.number()?),
            _ => {
                let rest = &self.json[self.at..];
                let word = ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word));
                let word = word.ok_or_else(|| self.malformed())?;
                self.at += word.len();
                Token::Word(word)
            }
        };
        self.next = Next::After;
        Ok(token)
    }

    fn string(&mut self) -> Result<&'a str, Malformed> {
        let (bytes, from) = (self.json.as_bytes(), self.at);
        if bytes.get(from) != Some(&b'"') {
            return Err(self.malformed());
        }
        self.at += 1;
        loop {
            let rest = &bytes[self.at..];
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
            self.at += plain.ok_or_else(|| self.malformed())?;
            match bytes[self.at] {
                b'"' => {
                    self.at += 1;
                    return Ok(&self.json[from..self.at]);
                }
                b'\\' => match bytes.get(self.at + 1) {
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
                    Some(b'u') => {
                        let digits = bytes.get(self.at + 2..self.at + 6).ok_or_else(|| self.malformed())?;
                        if !digits.iter().all(u8::is_ascii_hexdigit) {
                            return Err(self.malformed());
                        }
                        self.at += 6;
                    }
                    _ => return Err(self.malformed()),
                },
                _ => return Err(self.malformed()),
            }
        }
    }

    fn number(&mut self) -> Result<&'a str, Malformed> {
        let (bytes, from) = (self.json.as_bytes(), self.at);
        let digits = |at: usize| bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut at = from + usize::from(bytes[from] == b'-');
        let whole = digits(at);
        if whole == 0 || (whole > 1 && bytes[at] == b'0') {
            return Err(self.malformed());
        }
        at += whole;
        if bytes.get(at) == Some(&b'.') {
            let part = digits(at + 1);
            if part == 0 {
                return Err(self.malformed());
            }
            at += 1 + part;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let exponent = if at + 1 + sign <= bytes.len() { digits(at + 1 + sign) } else { 0 };
            if exponent == 0 {
                return Err(self.malformed());
            }
            at += 1 + sign + exponent;
        }
        self.at = at;
        Ok(&self.json[from..at])
    }
}

/// What a string says. Halves of characters, which JavaScript has and Rust has not, become U+FFFD.
pub(crate) fn unquoted(quoted: &str) -> Cow<'_, str> {
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or("");
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut units: Vec<u16> = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            units.extend(char.encode_utf16(&mut [0; 2]).iter());
            continue;
        }
        let unit = match chars.next() {
            Some('b') => 8,
            Some('f') => 12,
            Some('n') => 10,
            Some('r') => 13,
            Some('t') => 9,
            Some('u') => {
                let digits = chars.as_str().get(..4).unwrap_or("");
                let unit = u16::from_str_radix(digits, 16).unwrap_or(0xfffd);
                chars = chars.as_str().get(4..).unwrap_or("").chars();
                unit
            }
            Some(other) => u16::try_from(u32::from(other)).unwrap_or(0xfffd),
            None => break,
        };
        units.push(unit);
    }
    Cow::Owned(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_json(text: &str) -> bool {
        let mut scanner = Scanner::new(text);
        loop {
            match scanner.next() {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Sabotage: let a comma stand before an end.
    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "",
            "[",
            "]",
            "{",
            "[1,]",
            "[,1]",
            "{\"a\":1,}",
            "{\"a\"}",
            "{\"a\":}",
            "{1:2}",
            "01",
            "1.",
            "1e",
            "-",
            "+1",
            "\"a",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\n\"",
            "tru",
            "nul",
            "[1 2]",
            "[1]2",
            "{\"a\":1]",
            "[}",
            "1,2",
            "NaN",
        ] {
            assert!(!is_json(text), "{text}");
        }
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(is_json(&deep(DEPTH_MAX)) && !is_json(&deep(DEPTH_MAX + 1)));
    }

    #[test]
    fn members_and_elements_are_slices() {
        let mut scanner = Scanner::new(" { \"a\" : [ 1 , {\"x\":[]} ] , \"\\u0062\":\"\\\"\" } ");
        scanner.begin_object().unwrap();
        assert_eq!(scanner.member().unwrap().as_deref(), Some("a"));
        assert_eq!(scanner.raw_value().unwrap(), "[ 1 , {\"x\":[]} ]");
        assert_eq!(scanner.member().unwrap().as_deref(), Some("b"));
        assert_eq!(unquoted(scanner.raw_value().unwrap()), "\"");
        assert_eq!(scanner.member().unwrap(), None);
        assert_eq!(scanner.next(), Ok(None));
        let mut scanner = Scanner::new("[ 1 ,{\"x\":[]}, \"]\" ]");
        scanner.begin_array().unwrap();
        let mut found = Vec::new();
        while let Some(element) = scanner.element().unwrap() {
            found.push(element);
        }
        assert_eq!((found, scanner.next()), (vec!["1", "{\"x\":[]}", "\"]\""], Ok(None)));
        assert_eq!(unquoted("\"\\ud83d\\ude00 \\ud83d\""), "😀 \u{fffd}");
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "\\PC{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::Array),
                prop::collection::vec(("\\PC{0,5}", inner), 0..6)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_takes_what_a_parser_takes(value in value(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert!(is_json(&text), "{}", text);
            let mut scanner = Scanner::new(&text);
            prop_assert_eq!(scanner.raw_value().unwrap(), text.trim());
        }

        #[test]
        fn and_refuses_what_a_parser_refuses(text in "[\\[\\]{}:, \"\\\\au01.e-]{0,12}") {
            // serde_json refuses halves of characters and numbers that are too large, too.
            if serde_json::from_str::<serde_json::Value>(&text).is_ok() {
                prop_assert!(is_json(&text), "{}", text);
            } else if !text.contains("\\u") && !text.contains(['e']) {
                prop_assert!(!is_json(&text), "{}", text);
            }
        }

        #[test]
        fn a_string_says_what_it_says(text in "\\PC{0,20}") {
            let quoted = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(unquoted(&quoted), text);
        }
    }
}
