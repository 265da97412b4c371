//! What makes errors equal.

use std::fmt;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{Frame, normal_message};

/// So many frames of the app count.
const FRAMES: usize = 4;
/// A name that is shorter was given by a minifier, and is another one in the next build.
const NAME_MIN_CHARS: usize = 3;
/// The version of the rules below; errors of other versions are in other groups.
const VERSION: u64 = 1;

/// What equal errors have in common, as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The fingerprint of an error: of its type, the functions of its top frames of the app, and its message without what varies.
/// Lines, columns and names of files never count, so that two builds of one app give one group; neither do names that a
/// minifier gave.
pub fn fingerprint(kind: &str, message: &str, frames: &[Frame]) -> Fingerprint {
    let mut told = format!("{kind}\n{}", normal_message(message));
    let of_app = frames.iter().filter(|frame| frame.in_app);
    for name in of_app.take(FRAMES).map(|frame| stable_name(&frame.function)).filter(|name| !name.is_empty()) {
        told.push('\n');
        told.push_str(name);
    }
    Fingerprint(xxh3_64_with_seed(told.as_bytes(), VERSION))
}

/// The part of a function's name that all engines and builds give: not the class, which some leave out.
fn stable_name(function: &str) -> &str {
    let name = function.rsplit(['.', '/', '#']).next().unwrap_or("");
    let is_minified = name.chars().count() < NAME_MIN_CHARS;
    if is_minified || name.starts_with("wasm-function[") { "" } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_stack;

    fn of(kind: &str, message: &str, stack: &str) -> Fingerprint {
        fingerprint(kind, message, &parse_stack(stack))
    }

    #[test]
    fn builds_and_engines_give_one_group() {
        let first = of(
            "TypeError",
            "plan 7 is gone",
            "at total (https://example.com/app-3f2a.js:1:20)\nat t (https://example.com/app-3f2a.js:1:99)",
        );
        let later = of(
            "TypeError",
            "plan 12 is gone",
            "at total (https://example.com/app-9c1d.js:7:1)\nat e (https://example.com/app-9c1d.js:2:4)",
        );
        let firefox = of(
            "TypeError",
            "plan 9 is gone",
            "total@https://example.com/app-9c1d.js:7:1\ne@https://example.com/app-9c1d.js:2:4",
        );
        let chrome_class = of("TypeError", "plan 9 is gone", "at Cart.total (https://example.com/app-9c1d.js:7:1)");
        assert_eq!((first, first, first), (later, firefox, chrome_class));
    }

    #[test]
    fn types_functions_and_messages_tell_groups_apart() {
        let stack = "at total (https://example.com/app.js:1:20)";
        let one = of("TypeError", "x is gone", stack);
        assert_ne!(one, of("RangeError", "x is gone", stack));
        assert_ne!(one, of("TypeError", "y is gone", stack));
        assert_ne!(one, of("TypeError", "x is gone", "at price (https://example.com/app.js:1:20)"));
        let with_library = format!("at render (https://unpkg.com/react/react.js:1:1)\n{stack}");
        assert_eq!(one, of("TypeError", "x is gone", &with_library), "frames of libraries do not count");
    }
}
