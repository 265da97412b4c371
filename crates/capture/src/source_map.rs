//! Source maps: from a position in a bundle to the function, file and line that people wrote.
//!
//! A map is outside input: its length, its tokens and the strings that it names are bounded, and reading it is total.

use serde::Deserialize;

use crate::Frame;
use crate::stack::{cut, is_in_app};

/// The most bytes of a source map.
pub const SOURCE_MAP_MAX_BYTES: usize = 32 << 20;
/// The most tokens of a map.
const TOKENS_MAX: usize = 4_000_000;
/// The most sections of a map that has some, each with a map of its own.
const SECTIONS_MAX: usize = 1_000;
/// The most lines around a frame that are shown, before it and after it.
const AROUND: usize = 2;
/// The most characters of a line that are shown.
const LINE_MAX_CHARS: usize = 200;
/// How far the source is looked through for the head of a function, in bytes.
const LOOKED_THROUGH: usize = 64 * 1_024;

/// Why a source map cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSourceMap(String);

fn invalid<T>(problem: impl Into<String>) -> Result<T, InvalidSourceMap> {
    Err(InvalidSourceMap(problem.into()))
}

#[derive(Deserialize)]
struct Raw {
    version: u32,
    #[serde(default)]
    sources: Vec<Option<String>>,
    #[serde(default, rename = "sourceRoot")]
    root: Option<String>,
    #[serde(default, rename = "sourcesContent")]
    contents: Vec<Option<String>>,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    mappings: String,
    // Some tools write it under both names.
    #[serde(default)]
    debug_id: Option<String>,
    #[serde(default, rename = "debugId")]
    debug_id_of_draft: Option<String>,
    #[serde(default)]
    sections: Vec<Section>,
}

#[derive(Deserialize)]
struct Section {
    offset: Offset,
    map: Box<Raw>,
}

#[derive(Deserialize)]
struct Offset {
    line: u32,
    column: u32,
}

/// What a position in the bundle is in the sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Token {
    /// The position in the bundle, both from 0.
    line: u32,
    column: u32,
    source: u32,
    source_line: u32,
    source_column: u32,
    /// `u32::MAX` without.
    name: u32,
}

/// Lines of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLines {
    /// The number of the first, from 1.
    pub first: u32,
    /// The lines, without what ends them; a long one is cut.
    pub lines: Vec<String>,
}

/// A source map that can be asked.
#[derive(Debug)]
pub struct SourceMap {
    tokens: Vec<Token>,
    sources: Vec<String>,
    contents: Vec<Option<String>>,
    names: Vec<String>,
    debug_id: Option<String>,
}

impl SourceMap {
    /// Reads a map of version 3 (ECMA-426), also one of sections.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidSourceMap> {
        if json.len() > SOURCE_MAP_MAX_BYTES {
            return invalid(format!("is longer than {SOURCE_MAP_MAX_BYTES} bytes"));
        }
        // Some servers put this before JSON so that no page can run it.
        let json = json.strip_prefix(b")]}'").unwrap_or(json);
        let raw: Raw =
            serde_json::from_slice(json).map_err(|error| InvalidSourceMap(format!("is not a source map: {error}")))?;
        let mut map = Self {
            tokens: Vec::new(),
            sources: Vec::new(),
            contents: Vec::new(),
            names: Vec::new(),
            debug_id: raw.debug_id.clone().or_else(|| raw.debug_id_of_draft.clone()),
        };
        map.add(raw, 0, 0, 0)?;
        map.tokens.sort_unstable();
        if map.tokens.is_empty() {
            return invalid("has no mappings");
        }
        Ok(map)
    }

    /// The id that the bundler gave the file, if it did.
    pub fn debug_id(&self) -> Option<&str> {
        self.debug_id.as_deref()
    }

    fn add(&mut self, raw: Raw, line: u32, column: u32, depth: u8) -> Result<(), InvalidSourceMap> {
        if raw.version != 3 {
            return invalid(format!("has version {}, and 3 is read", raw.version));
        }
        if !raw.sections.is_empty() {
            if depth > 0 || raw.sections.len() > SECTIONS_MAX {
                return invalid("has too many sections");
            }
            for Section { offset, map } in raw.sections {
                self.add(*map, offset.line, offset.column, depth + 1)?;
            }
            return Ok(());
        }
        let (sources_before, names_before) = (self.sources.len(), self.names.len());
        let root = raw.root.unwrap_or_default();
        let root = if root.is_empty() || root.ends_with('/') { root } else { format!("{root}/") };
        self.sources.extend(raw.sources.into_iter().map(|source| format!("{root}{}", source.unwrap_or_default())));
        self.contents.resize(sources_before, None);
        self.contents.extend(raw.contents);
        self.contents.resize(self.sources.len(), None);
        self.names.extend(raw.names);
        self.add_mappings(&raw.mappings, (line, column), sources_before, names_before)
    }

    fn add_mappings(
        &mut self,
        mappings: &str,
        (first_line, first_column): (u32, u32),
        sources_before: usize,
        names_before: usize,
    ) -> Result<(), InvalidSourceMap> {
        let (mut source, mut source_line, mut source_column, mut name) = (0_i64, 0_i64, 0_i64, 0_i64);
        for (number, line) in mappings.split(';').enumerate() {
            let Ok(number) = u32::try_from(number) else { return invalid("has too many lines") };
            let mut column = if number == 0 { i64::from(first_column) } else { 0 };
            for segment in line.split(',').filter(|segment| !segment.is_empty()) {
                let mut fields = [0_i64; 5];
                let count = fields_of(segment, &mut fields)?;
                column = column.saturating_add(fields[0]);
                if count < 4 {
                    continue;
                }
                source = source.saturating_add(fields[1]);
                source_line = source_line.saturating_add(fields[2]);
                source_column = source_column.saturating_add(fields[3]);
                if count == 5 {
                    name = name.saturating_add(fields[4]);
                }
                let number_of = |value: i64, before: usize, length: usize| -> Option<u32> {
                    let value = usize::try_from(value).ok()?.checked_add(before)?;
                    if value < length { u32::try_from(value).ok() } else { None }
                };
                let (Some(source), Ok(source_line), Ok(source_column), Ok(column)) = (
                    number_of(source, sources_before, self.sources.len()),
                    u32::try_from(source_line),
                    u32::try_from(source_column),
                    u32::try_from(column),
                ) else {
                    return invalid("has a mapping to where nothing is");
                };
                let name = if count == 5 { number_of(name, names_before, self.names.len()) } else { None };
                if self.tokens.len() == TOKENS_MAX {
                    return invalid(format!("has more than {TOKENS_MAX} mappings"));
                }
                let line = first_line.saturating_add(number);
                self.tokens.push(Token {
                    line,
                    column,
                    source,
                    source_line,
                    source_column,
                    name: name.unwrap_or(u32::MAX),
                });
            }
        }
        Ok(())
    }

    /// What is at a position of the bundle: line and column from 1, as stacks have them.
    fn token(&self, line: u32, column: u32) -> Option<&Token> {
        let place = (line.checked_sub(1)?, column.saturating_sub(1));
        let after = self.tokens.partition_point(|token| (token.line, token.column) <= place);
        let token = self.tokens.get(after.checked_sub(1)?)?;
        (token.line == place.0).then_some(token)
    }

    /// `frames` of this map's bundle as frames of the sources. `called` is what the frame below calls at its position, which the
    /// bundle may have renamed; a name that only the source has comes from its text.
    pub(crate) fn frame(&self, frame: &Frame, caller: Option<(&Self, &Frame)>) -> Option<Frame> {
        let token = self.token(frame.line, frame.column)?;
        let file = clean_path(self.sources.get(token.source as usize)?);
        let from_text = self.contents.get(token.source as usize).and_then(Option::as_deref);
        let from_text = from_text.and_then(|text| enclosing_function(text, token.source_line, token.source_column));
        let from_caller = || {
            let (map, caller) = caller?;
            let token = map.token(caller.line, caller.column)?;
            map.names.get(token.name as usize).cloned()
        };
        let function = from_text.or_else(from_caller).unwrap_or_else(|| frame.function.clone());
        let in_app = is_in_app(&file);
        Some(Frame {
            function,
            file,
            line: token.source_line.saturating_add(1),
            column: token.source_column.saturating_add(1),
            in_app,
        })
    }

    /// The source around a frame of this map's bundle; `None` when the map does not have it.
    pub(crate) fn around(&self, frame: &Frame) -> Option<SourceLines> {
        let token = self.token(frame.line, frame.column)?;
        let text = self.contents.get(token.source as usize)?.as_deref()?;
        let line = token.source_line as usize;
        let first = line.saturating_sub(AROUND);
        let lines: Vec<String> = text
            .lines()
            .skip(first)
            .take(line - first + 1 + AROUND)
            .map(|line| line.chars().take(LINE_MAX_CHARS).collect())
            .collect();
        // A map may name a line that its source does not have.
        (first + lines.len() > line)
            .then_some(SourceLines { first: u32::try_from(first).ok()?.saturating_add(1), lines })
    }
}

/// The numbers of a segment of mappings, as base 64 VLQ.
fn fields_of(segment: &str, fields: &mut [i64; 5]) -> Result<usize, InvalidSourceMap> {
    let (mut count, mut value, mut shift) = (0, 0_i64, 0_u32);
    for byte in segment.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return invalid("has mappings that are not base 64"),
        };
        if shift > 30 || count == fields.len() {
            return invalid("has a mapping that is too long");
        }
        value |= i64::from(digit & 31) << shift;
        shift += 5;
        if digit & 32 == 0 {
            fields[count] = if value & 1 == 1 { -(value >> 1) } else { value >> 1 };
            count += 1;
            (value, shift) = (0, 0);
        }
    }
    if shift > 0 || !matches!(count, 1 | 4 | 5) {
        return invalid("has a mapping that is cut off");
    }
    Ok(count)
}

/// The path of a source without what bundlers put before it.
fn clean_path(source: &str) -> String {
    let path = source.split(['?', '#']).next().unwrap_or("");
    let path = match path.split_once("://") {
        // `webpack://shop/./src/total.ts`, `webpack:///src/total.ts`.
        Some((scheme, rest)) if !scheme.starts_with("http") => rest.split_once('/').map_or(rest, |(_, path)| path),
        _ => path,
    };
    let mut path = path;
    while let Some(rest) = path.strip_prefix("./").or_else(|| path.strip_prefix("../")) {
        path = rest;
    }
    cut(path, 500).to_owned()
}

/// The name of the function around a position of a source, from its text: a name is what stands before the brace that is open there.
/// `None` at the top of a file, and where it has no name.
fn enclosing_function(text: &str, line: u32, column: u32) -> Option<String> {
    let start = text.split_inclusive('\n').take(line as usize).map(str::len).sum::<usize>();
    let in_line = text.get(start..)?.split('\n').next()?;
    // Columns count UTF-16 units.
    let mut units = column as usize;
    let mut end = start;
    for letter in in_line.chars() {
        if units < letter.len_utf16() {
            break;
        }
        units -= letter.len_utf16();
        end += letter.len_utf8();
    }
    let mut from = end.saturating_sub(LOOKED_THROUGH);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let before = &text[from..end];
    // From the inside out: the head of each block that is open here.
    let mut open: Vec<usize> = Vec::new();
    for (at, byte) in before.bytes().enumerate() {
        match byte {
            b'{' => open.push(at),
            b'}' => {
                open.pop();
            }
            _ => {}
        }
    }
    if let Some(name) = arrow_name(before.rsplit(['\n', ';', '{', '}']).next().unwrap_or("")) {
        return Some(name);
    }
    open.iter().rev().find_map(|at| head_name(&before[..*at]))
}

/// The name in an arrow function without a block: `const total = (cart) => …`.
fn arrow_name(line: &str) -> Option<String> {
    let (head, _) = line.split_once("=>")?;
    assigned_name(head)
}

/// What a function expression is assigned to: `const total = async (cart)`, `total: (cart)`.
fn assigned_name(head: &str) -> Option<String> {
    let at = head.find([':', '=']).filter(|at| head.as_bytes().get(at + 1) != Some(&b'='))?;
    let parenthesis = head.find('(').unwrap_or(head.len());
    if at > parenthesis {
        return None;
    }
    last_word(&head[..at])
}

/// The name of the function whose block follows `head`. `None` when it is none, such as a loop, or has no name.
fn head_name(head: &str) -> Option<String> {
    let head = head.trim_end();
    if let Some(arrow) = head.strip_suffix("=>") {
        let statement = arrow.rsplit(['\n', ';', '{', '}']).next().unwrap_or("");
        return assigned_name(statement);
    }
    // A type may stand between the parameters and the block: `total(cart: Cart): number`.
    let close = head.rfind(')')?;
    let between = head[close + 1..].trim();
    if !(between.is_empty() || between.starts_with(':')) || between.contains(['\n', ';', '=']) {
        return None;
    }
    let mut depth = 0_usize;
    let open = head[..close].bytes().enumerate().rev().find_map(|(at, byte)| match byte {
        b')' => {
            depth += 1;
            None
        }
        b'(' if depth == 0 => Some(at),
        b'(' => {
            depth -= 1;
            None
        }
        _ => None,
    })?;
    let before = head[..open].trim_end();
    // Parameters of types.
    let before = match before.strip_suffix('>').and_then(|generic| generic.rfind('<')) {
        Some(at) => &before[..at],
        None => before,
    };
    let name = last_word(before)?;
    let is_statement =
        ["if", "for", "while", "switch", "catch", "with", "return", "await", "of", "in"].contains(&name.as_str());
    if is_statement {
        return None;
    }
    if name == "function" {
        // Without a name of its own: what it is assigned to.
        let statement = before.rsplit(['\n', ';', '{', '}']).next().unwrap_or("");
        return assigned_name(statement);
    }
    Some(name)
}

/// The identifier at the end of `text`.
fn last_word(text: &str) -> Option<String> {
    let text = text.trim_end().trim_end_matches('?');
    let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '$');
    let start = text.char_indices().rev().take_while(|(_, letter)| is_part(*letter)).last()?.0;
    let word = &text[start..];
    (!word.starts_with(|letter: char| letter.is_ascii_digit())).then(|| cut(word, 200).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const SOURCE: &str = "\
export interface Cart { plan?: { price: number }; items: string[] }

export function total(cart: Cart): number {
  const items = cart.items.filter((i) => i !== '');
  if (items.length > 0) {
    return items.length * cart.plan!.price;
  }
  return 0;
}

class Summary {
  render<T>(cart: T) {
    for (const one of [cart]) {
      return total(one as never);
    }
  }
}
export const onPlanChange = async (cart: Cart) => {
  return new Summary().render(cart);
};
const short = (cart: Cart) => total(cart);
";

    #[test]
    fn the_function_around_a_position_is_the_one_that_people_wrote() {
        for (line, column, expected) in [
            (5, 11, Some("total")),
            (3, 2, Some("total")),
            (13, 13, Some("render")),
            (18, 9, Some("onPlanChange")),
            (20, 30, Some("short")),
            (0, 3, None),
            (900, 3, None),
        ] {
            assert_eq!(enclosing_function(SOURCE, line, column).as_deref(), expected, "{line}:{column}");
        }
    }

    /// One line of a bundle: column 0 is line 5 of the source, column 10 is line 13.
    fn map(more: serde_json::Value) -> Vec<u8> {
        let mut map = json!({ "version": 3, "sources": ["webpack://shop/./src/total.ts"], "names": ["total"],
            "mappings": "AAKWA,UAQEA" });
        map.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        map.to_string().into_bytes()
    }

    fn frame(column: u32) -> Frame {
        Frame { function: "t".into(), file: "https://example.com/app.js".into(), line: 1, column, in_app: true }
    }

    #[test]
    fn frames_of_a_bundle_become_frames_of_its_sources() {
        let with_text = SourceMap::parse(&map(json!({ "sourcesContent": [SOURCE] }))).unwrap();
        let found = with_text.frame(&frame(5), None).unwrap();
        assert_eq!((found.function.as_str(), found.file.as_str(), found.line), ("total", "src/total.ts", 6));
        assert_eq!(with_text.frame(&frame(11), None).unwrap().function, "render");
        // Without the text of the source, what the caller calls tells the name.
        let bare = SourceMap::parse(&map(json!({}))).unwrap();
        assert_eq!(bare.frame(&frame(5), Some((&bare, &frame(11)))).unwrap().function, "total");
        assert_eq!(bare.frame(&frame(5), None).unwrap().function, "t");
        assert_eq!(bare.frame(&Frame { line: 2, ..frame(5) }, None), None);
        let library = SourceMap::parse(&map(json!({ "sources": ["../node_modules/react/index.js"] }))).unwrap();
        assert!(!library.frame(&frame(5), None).unwrap().in_app);
    }

    #[test]
    fn a_debug_id_has_two_names() {
        for (members, expected) in [
            (json!({}), None),
            (json!({ "debug_id": "a-1" }), Some("a-1")),
            (json!({ "debugId": "a-1" }), Some("a-1")),
            (json!({ "debug_id": "a-1", "debugId": "a-1" }), Some("a-1")),
        ] {
            assert_eq!(SourceMap::parse(&map(members.clone())).unwrap().debug_id(), expected, "{members}");
        }
    }

    #[test]
    fn what_is_no_map_is_refused_in_words() {
        for (wrong, word) in [
            (json!({ "version": 4 }), "version"),
            (json!({ "mappings": "A!" }), "base 64"),
            (json!({ "mappings": "AA" }), "cut off"),
            (json!({ "mappings": "AZAA" }), "where nothing is"),
            (json!({ "mappings": "AACCCCCCCC" }), "too long"),
            (json!({ "mappings": "" }), "no mappings"),
            (json!({ "mappings": 7 }), "not a source map"),
        ] {
            let error = SourceMap::parse(&map(wrong.clone())).unwrap_err().to_string();
            assert!(error.contains(word), "{wrong}: {error}");
        }
        let inner = json!({ "version": 3, "sources": ["b.ts"], "mappings": "AAAA" });
        let of_sections = json!({ "version": 3, "sections": [{ "offset": { "line": 1, "column": 4 }, "map": inner }] });
        let map = SourceMap::parse(of_sections.to_string().as_bytes()).unwrap();
        assert_eq!(map.frame(&Frame { line: 2, ..frame(5) }, None).unwrap().file, "b.ts");
    }

    proptest! {
        #[test]
        fn any_map_is_read_or_refused(mappings in "[A-Za-z0-9+/,;]{0,80}", line in 0..5_u32, column in 0..50_u32, text in "\\PC{0,200}") {
            let map = map(json!({ "mappings": mappings, "sourcesContent": [text] }));
            if let Ok(map) = SourceMap::parse(&map) {
                let _ = map.frame(&Frame { line, ..frame(column) }, None);
            }
        }

        #[test]
        fn any_text_has_a_function_or_none(text in "[a-z(){}=>:;\n. é]{0,200}", line in 0..8_u32, column in 0..40_u32) {
            let _ = enclosing_function(&text, line, column);
        }
    }
}
