//! Stacks of all engines, as frames.
//!
//! | engine | a line |
//! |---|---|
//! | that of Chrome, Edge and Node | `    at async Cart.total [as sum] (https://example.com/app.js:12:34)` |
//! | that of Firefox | `total/<@https://example.com/app.js:12:34` |
//! | that of Safari | `total@https://example.com/app.js:12:34`, or the address alone |
//!
//! Lines that are none of these, such as the message on top, are passed by. Reading is total, and linear in the string.

use serde::{Deserialize, Serialize};

/// The most bytes of a stack that are read.
pub const STACK_MAX_BYTES: usize = 16 * 1_024;
/// The most frames that are kept; those on top come first.
pub const FRAMES_MAX: usize = 60;
/// The most bytes of a name of a function.
const FUNCTION_MAX_BYTES: usize = 200;
/// The most bytes of a name of a file.
const FILE_MAX_BYTES: usize = 500;

/// A frame of a stack: a call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Frame {
    /// The name of the function without what engines put around it; empty when it has none.
    pub function: String,
    /// The address of the file without query and fragment; empty for what is in none.
    pub file: String,
    /// The line, from 1; 0 when it is not known.
    pub line: u32,
    /// The column, from 1; of WebAssembly the offset in the module; 0 when it is not known.
    pub column: u32,
    /// Whether it is of the app, and not of the browser, an extension or a library.
    pub in_app: bool,
}

/// The frames of `stack`, the innermost first.
///
/// ```
/// let frames = zenovay_capture::parse_stack("total@https://example.com/app.js:12:34\n[native code]");
/// assert_eq!((frames[0].function.as_str(), frames[0].line), ("total", 12));
/// ```
pub fn parse_stack(stack: &str) -> Vec<Frame> {
    let stack = cut(stack, STACK_MAX_BYTES);
    stack.lines().filter_map(|line| parse_line(line.trim())).take(FRAMES_MAX).collect()
}

/// No more than `max` bytes of `text`, and no half of a character.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn parse_line(line: &str) -> Option<Frame> {
    if let Some(call) = line.strip_prefix("at ") {
        return v8(call.trim());
    }
    if let Some((function, place)) = line.split_once('@') {
        // A message may have an at sign: then what follows it is no place.
        let is_place = place.contains(':') || place == "[native code]" || place == "[wasm code]" || place.is_empty();
        return (is_place && !function.contains(": ")).then(|| frame(function, place));
    }
    // Safari leaves the name of a function without one out.
    (line == "[native code]" || (line.contains("://") && !line.contains(' '))).then(|| frame("", line))
}

/// A call as Chrome writes it, without `at`.
fn v8(call: &str) -> Option<Frame> {
    if call.is_empty() {
        return None;
    }
    // The place is in the last pair of parentheses; the one of an eval has others in it.
    let open = call.strip_suffix(')').and_then(opening);
    let Some(open) = open else {
        let place = call.strip_prefix("async ").unwrap_or(call);
        let is_place = place.contains(':') || place == "<anonymous>" || place == "native";
        return is_place.then(|| frame("", place));
    };
    Some(frame(call[..open].trim_end(), &call[open + 1..call.len() - 1]))
}

/// Where the parenthesis opens that ends behind `text`.
fn opening(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate().rev() {
        match byte {
            b')' => depth += 1,
            b'(' if depth == 0 => return Some(at),
            b'(' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn frame(function: &str, place: &str) -> Frame {
    let place = place.trim();
    // Of code that an eval made: where that was called, which is the innermost of what Chrome tells.
    let place = match place.strip_prefix("eval at ") {
        Some(told) => {
            let start = told.rfind('(').map_or(0, |open| open + 1);
            let innermost = &told[start..];
            innermost.split(')').next().unwrap_or(innermost)
        }
        None => place,
    };
    let (file, line, column) = position(place);
    let (file, from_file) = match file.split_once(":wasm-function") {
        // The name of the function stands in the place when the module does not tell it.
        Some((module, number)) => (module, format!("wasm-function{number}")),
        None => (file, String::new()),
    };
    let mut name = function_name(function);
    if name.is_empty() {
        name = cut(&from_file, FUNCTION_MAX_BYTES).to_owned();
    }
    let file = file_name(file);
    let in_app = is_in_app(&file);
    Frame { function: name, file, line, column, in_app }
}

/// File, line and column of a place: `file:line:column`, `file:line`, `file line 3 > eval:1:2`, `module:0x1a2b`.
fn position(place: &str) -> (&str, u32, u32) {
    // Firefox tells of evals where they were called, then where in what they made.
    for kind in [" > eval", " > Function"] {
        if let Some(at) = place.find(kind) {
            let outer = &place[..at];
            if let Some((file, line)) = outer.rsplit_once(" line ") {
                return (file, line.parse().unwrap_or(0), 0);
            }
            return position(outer);
        }
    }
    if let Some((file, offset)) = place.rsplit_once(":0x")
        && let Ok(offset) = u32::from_str_radix(offset, 16)
    {
        return (file, 0, offset);
    }
    let number = |text: &str| -> Option<u32> {
        (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().unwrap_or(u32::MAX))
    };
    let Some((rest, last)) = place.rsplit_once(':').and_then(|(rest, last)| Some((rest, number(last)?))) else {
        return (place, 0, 0);
    };
    match rest.rsplit_once(':').and_then(|(file, line)| Some((file, number(line)?))) {
        Some((file, line)) => (file, line, last),
        None => (rest, last, 0),
    }
}

/// The name of a function without what engines put around it: the same function has the same name in each.
fn function_name(text: &str) -> String {
    let mut name = text.trim();
    // `async*f`, `setTimeout handler*f`, `promise callback*f`.
    if let Some((_, after)) = name.rsplit_once('*') {
        name = after;
    }
    for before in ["async ", "new ", "get ", "set "] {
        name = name.strip_prefix(before).unwrap_or(name);
    }
    if let Some((before, _)) = name.split_once(" [as ") {
        name = before;
    }
    // Firefox calls the functions in `f` `f/<` and `f/g`; the ones in those once more.
    name = name.trim_end_matches("/<");
    let nameless =
        ["anonymous", "<anonymous>", "?", "global code", "module code", "eval code", "eval", "<unknown>", "<"];
    if nameless.contains(&name) {
        return String::new();
    }
    let segments: Vec<&str> = name.split('.').filter(|segment| !nameless.contains(segment)).collect();
    let mut name = segments.join(".");
    for receiver in ["Object.", "Module.", "Window.", "window.", "Function.", "HTMLDocument."] {
        if let Some(rest) = name.strip_prefix(receiver) {
            name = rest.to_owned();
        }
    }
    if ["Object", "Module", "Window", "Function"].contains(&name.as_str()) && segments.len() == 1 && text.contains('.')
    {
        name.clear();
    }
    cut(&name, FUNCTION_MAX_BYTES).to_owned()
}

/// A file without query and fragment; empty for what is in none.
fn file_name(place: &str) -> String {
    let place = place.split(['?', '#']).next().unwrap_or("").trim();
    let is_of_none = matches!(place, "<anonymous>" | "native" | "[native code]" | "[wasm code]" | "anonymous" | "");
    // `Promise.all (index 0)`.
    if is_of_none || place.starts_with("index ") {
        return String::new();
    }
    if place.starts_with("data:") || place.starts_with("blob:") {
        // What follows is content, or random.
        return place.split(':').next().unwrap_or("").to_owned() + ":";
    }
    cut(place, FILE_MAX_BYTES).to_owned()
}

/// Folders and names of files that are of libraries and bundlers.
const LIBRARIES: [&str; 8] = [
    "/node_modules/",
    "webpack/runtime",
    "webpack/bootstrap",
    "(webpack)",
    "/bower_components/",
    "/vendor/",
    "/cdn-cgi/",
    "/polyfills",
];
/// Hosts of which pages load libraries.
const LIBRARY_HOSTS: [&str; 7] = [
    "cdn.jsdelivr.net",
    "unpkg.com",
    "cdnjs.cloudflare.com",
    "ajax.googleapis.com",
    "www.googletagmanager.com",
    "esm.sh",
    "code.jquery.com",
];

/// Whether `file` is of the app.
pub(crate) fn is_in_app(file: &str) -> bool {
    if file.is_empty() || is_extension(file) || file.starts_with("node:") {
        return false;
    }
    let host = file.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or(""));
    !LIBRARY_HOSTS.contains(&host)
        && !LIBRARIES.iter().any(|part| file.contains(part))
        && !file.starts_with("node_modules/")
}

/// Whether `file` is of an extension of the browser.
pub(crate) fn is_extension(file: &str) -> bool {
    let schemes =
        ["chrome-extension:", "moz-extension:", "safari-extension:", "safari-web-extension:", "chrome:", "resource:"];
    schemes.iter().any(|scheme| file.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(stack: &str) -> Vec<String> {
        let frames = parse_stack(stack);
        frames.iter().map(|f| format!("{}|{}|{}|{}", f.function, f.file, f.line, f.column)).collect()
    }

    #[test]
    fn chrome() {
        let stack = "TypeError: Cannot read properties of undefined (reading 'plan')\n    \
            at total (https://example.com/app-3f2a.js:1:2345)\n    \
            at Cart.sum [as total] (https://example.com/app.js?v=3:12:34)\n    \
            at new Cart (https://example.com/app.js:2:3)\n    \
            at async Promise.all (index 0)\n    \
            at async load (https://example.com/app.js:5:6)\n    \
            at async https://example.com/app.js:7:8\n    \
            at Object.<anonymous> (https://example.com/app.js:9:1)\n    \
            at Array.map (<anonymous>)\n    \
            at https://example.com/app.js:1:2\n    \
            at eval (eval at run (https://example.com/eval.js:21:17), <anonymous>:1:30)\n    \
            at eval (eval at a (eval at b (https://example.com/deep.js:3:4), <anonymous>:1:1), <anonymous>:2:2)\n    \
            at main.go (wasm://wasm/main-8a2b:wasm-function[12]:0x1a2b)\n    \
            at wasm://wasm/8a2b:wasm-function[3]:0xff\n    \
            at f (file with (parens).js:3:4)\n    \
            at native";
        assert_eq!(
            told(stack),
            [
                "total|https://example.com/app-3f2a.js|1|2345",
                "Cart.sum|https://example.com/app.js|12|34",
                "Cart|https://example.com/app.js|2|3",
                "Promise.all||0|0",
                "load|https://example.com/app.js|5|6",
                "|https://example.com/app.js|7|8",
                "|https://example.com/app.js|9|1",
                "Array.map||0|0",
                "|https://example.com/app.js|1|2",
                "|https://example.com/eval.js|21|17",
                "|https://example.com/deep.js|3|4",
                "main.go|wasm://wasm/main-8a2b|0|6699",
                "wasm-function[3]|wasm://wasm/8a2b|0|255",
                "f|file with (parens).js|3|4",
                "||0|0",
            ]
        );
    }

    #[test]
    fn firefox() {
        let stack = "total@https://example.com/app.js:12:34\n\
            total/<@https://example.com/app.js:13:1\n\
            @https://example.com/app.js:1:1\n\
            async*load@https://example.com/app.js:5:6\n\
            setTimeout handler*start@https://cdn.jsdelivr.net/npm/vue@3.2/vue.js:7:8\n\
            run@https://example.com/e.js line 26 > eval:2:96\n\
            anonymous@https://example.com/e.js line 9 > Function:1:1\n\
            go@https://example.com/a.wasm:wasm-function[12]:0x1a2b\n\
            @https://example.com/a.wasm:wasm-function[3]:0xff\n";
        assert_eq!(
            told(stack),
            [
                "total|https://example.com/app.js|12|34",
                "total|https://example.com/app.js|13|1",
                "|https://example.com/app.js|1|1",
                "load|https://example.com/app.js|5|6",
                "start|https://cdn.jsdelivr.net/npm/vue@3.2/vue.js|7|8",
                "run|https://example.com/e.js|26|0",
                "|https://example.com/e.js|9|0",
                "go|https://example.com/a.wasm|0|6699",
                "wasm-function[3]|https://example.com/a.wasm|0|255",
            ]
        );
        assert!(!parse_stack(stack)[4].in_app, "of a library");
    }

    #[test]
    fn safari() {
        let stack = "total@https://example.com/app.js:12:34\n\
            https://example.com/app.js:1:2\n\
            global code@https://example.com/app.js:3:4\n\
            module code@https://example.com/m.js:5:6\n\
            map@[native code]\n\
            [native code]\n\
            eval code@\n\
            <?>.wasm-function[12]@[wasm code]\n\
            async load@https://example.com/app.js:7:8";
        assert_eq!(
            told(stack),
            [
                "total|https://example.com/app.js|12|34",
                "|https://example.com/app.js|1|2",
                "|https://example.com/app.js|3|4",
                "|https://example.com/m.js|5|6",
                "map||0|0",
                "||0|0",
                "||0|0",
                "<?>.wasm-function[12]||0|0",
                "load|https://example.com/app.js|7|8",
            ]
        );
    }

    #[test]
    fn what_is_not_a_stack_has_no_frames() {
        for text in
            ["", "TypeError: x", "mail me@example.com", "Error: a@b: c", "at", "at ", "one\ntwo", "see https://x.y z"]
        {
            assert_eq!(told(text), [] as [&str; 0], "{text:?}");
        }
    }

    #[test]
    fn what_is_of_the_app() {
        for (file, expected) in [
            ("https://example.com/assets/app-3f2a.js", true),
            ("webpack://shop/./src/total.ts", true),
            ("../../src/total.ts", true),
            ("webpack://shop/./node_modules/react-dom/index.js", false),
            ("node_modules/react/index.js", false),
            ("chrome-extension://abc/content.js", false),
            ("https://unpkg.com/react@18/umd/react.js", false),
            ("", false),
        ] {
            assert_eq!(is_in_app(file), expected, "{file}");
        }
    }

    proptest! {
        #[test]
        fn any_string_is_read(text in "\\PC{0,400}") {
            prop_assert!(parse_stack(&text).len() <= FRAMES_MAX);
        }

        #[test]
        fn strings_like_stacks_are_read(
            lines in prop::collection::vec("(at |async |@|)[a-z.<>/*]{0,9}( \\(|@|)(eval at |)[a-z:/?#() ]{0,20}(:[0-9x]{0,12}){0,3}\\)?", 0..30),
        ) {
            for frame in parse_stack(&lines.join("\n")) {
                prop_assert!(frame.function.len() <= FUNCTION_MAX_BYTES && frame.file.len() <= FILE_MAX_BYTES + 1);
                prop_assert!(!frame.file.contains(['?', '#']));
            }
        }

        #[test]
        fn every_engine_tells_the_same_call(name in "[a-z]{1,9}", line in 1..9_999_u32, column in 1..9_999_u32) {
            let place = format!("https://example.com/app.js:{line}:{column}");
            let engines = [format!("    at {name} ({place})"), format!("{name}@{place}")];
            for stack in engines {
                let frames = parse_stack(&stack);
                prop_assert_eq!(frames.len(), 1);
                prop_assert_eq!((&frames[0].function, frames[0].line, frames[0].column), (&name, line, column));
            }
        }
    }
}
