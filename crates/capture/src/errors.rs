//! Errors of pages, as their bodies tell them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::members::Members;
use crate::stack::{Frame, STACK_MAX_BYTES, cut, is_extension, parse_stack};
use crate::vitals::id;
use crate::{Problems, without_secrets};

/// The most errors of one body.
pub const ERRORS_MAX: usize = 20;
/// The most characters of a type.
const TYPE_MAX_BYTES: usize = 100;
/// The most bytes of a message.
const MESSAGE_MAX_BYTES: usize = 1_000;
/// The most bytes of the name of a release.
pub(crate) const RELEASE_MAX_BYTES: usize = 100;
/// The most properties, and bytes of a name and of a value.
const PROPERTIES_MAX: usize = 20;
const PROPERTY_MAX_BYTES: usize = 200;
/// The most things that are told to have happened before.
const BREADCRUMBS_MAX: usize = 20;
const BREADCRUMB_MAX_BYTES: usize = 100;
/// What happened before is one of these.
const BREADCRUMB_KINDS: [&str; 5] = ["view", "click", "rage", "error", "event"];
/// The most that one error stands for.
const COUNT_MAX: i64 = 1_000;

/// Something that happened before an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breadcrumb {
    /// When, in milliseconds before the error.
    pub before_ms: u32,
    /// `view`, `click`, `rage`, `error` or `event`.
    pub kind: String,
    /// A path, a selector, a label or a name.
    pub text: String,
}

/// One error of a body.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ErrorFields {
    /// The page's id of it.
    pub id: String,
    /// When it happened by the browser's clock, milliseconds since 1970.
    pub at_ms: Option<i64>,
    /// The type, such as `TypeError`.
    pub kind: String,
    /// The message without secrets.
    pub message: String,
    /// The frames, the innermost first.
    pub frames: Vec<Frame>,
    /// `uncaught`, `rejection` or `manual`.
    pub source: String,
    /// How often it happened, at least once.
    pub count: u32,
    /// What the page tells beside it.
    pub properties: Vec<(String, String)>,
    /// What happened before, the oldest first.
    pub breadcrumbs: Vec<Breadcrumb>,
}

/// The errors of a body.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ErrorsFields {
    /// The release of the page; empty when it does not say.
    pub release: String,
    /// Ids of files by their addresses, from the bundler.
    pub debug_ids: Vec<(String, String)>,
    /// The errors. Those of extensions of the browser are left out, and those of which the browser does not tell the page.
    pub errors: Vec<ErrorFields>,
}

/// Reads the members of a body.
///
/// # Errors
/// When there is no list of errors, too many, or one without an id, or a member is of another type.
pub fn read_errors(members: &Map<String, Value>) -> Result<ErrorsFields, Problems> {
    let mut problems = Problems::default();
    let mut body = Members::of_body(members, &mut problems);
    let (release, debug_ids) = (clean(body.string("release"), RELEASE_MAX_BYTES), body.object("debug_ids"));
    let list = body.array("errors");
    if !(1..=ERRORS_MAX).contains(&list.len()) {
        body.problem("errors", &format!("Must be an array of 1 to {ERRORS_MAX} errors"));
        return Err(problems);
    }
    let mut errors = Vec::with_capacity(list.len());
    for (at, value) in list.iter().enumerate() {
        let place = format!("errors[{at}]");
        let Some(error) = value.as_object() else {
            problems.0.insert(place, "Must be an object".to_owned());
            continue;
        };
        match id(error, "id", "") {
            Ok(id) => errors.extend(Some(read(id, &place, error, &mut problems)).filter(is_of_the_page)),
            Err(problem) => {
                problems.0.insert(format!("{place}.id"), problem.to_owned());
            }
        }
    }
    if !problems.0.is_empty() {
        return Err(problems);
    }
    let debug_ids = debug_ids.into_iter().flatten().take(ERRORS_MAX).filter_map(|(file, id)| {
        let id = id.as_str().filter(|id| id.len() <= 64)?;
        Some((cut(file.split(['?', '#']).next().unwrap_or(""), 500).to_owned(), id.to_owned()))
    });
    Ok(ErrorsFields { release, debug_ids: debug_ids.collect(), errors })
}

/// Whether it is an error of the page: the code of extensions is not, and of a script of another site the browser tells
/// nothing.
fn is_of_the_page(error: &ErrorFields) -> bool {
    let top = error.frames.iter().find(|frame| !frame.file.is_empty());
    let is_silent = error.frames.is_empty() && error.message.trim_end_matches('.').eq_ignore_ascii_case("script error");
    !is_silent && !top.is_some_and(|frame| is_extension(&frame.file))
}

fn read(id: String, place: &str, error: &Map<String, Value>, problems: &mut Problems) -> ErrorFields {
    let mut members = Members::at(place, error, problems);
    let at_ms = members.number("at").map(whole);
    let mut frames = parse_stack(cut(members.string("stack"), STACK_MAX_BYTES));
    let (file, [line, column]) = (members.string("file"), ["line", "column"].map(|name| members.whole(name)));
    if frames.is_empty() && !file.is_empty() {
        let number = |told: Option<f64>| told.and_then(|told| u32::try_from(whole(told)).ok()).unwrap_or(0);
        // As a browser writes it in a stack.
        frames = parse_stack(&format!("@{}:{}:{}", cut(file, 1_000), number(line), number(column)));
    }
    let (kind, message) = (members.string("type"), members.string("message"));
    let source = members.string("kind");
    let source = ["uncaught", "rejection", "manual"].into_iter().find(|known| *known == source).unwrap_or("uncaught");
    let count = members.whole("count").map_or(1, whole).clamp(1, COUNT_MAX);
    let properties = properties(members.object("properties"));
    let crumbs = members.array("breadcrumbs");
    let kind = clean(kind, TYPE_MAX_BYTES);
    ErrorFields {
        id,
        at_ms,
        kind: if kind.is_empty() { "Error".to_owned() } else { kind },
        message: clean(message, MESSAGE_MAX_BYTES),
        frames,
        source: source.to_owned(),
        count: u32::try_from(count).unwrap_or(1),
        properties,
        breadcrumbs: breadcrumbs(crumbs, place, at_ms, problems),
    }
}

/// A number of a body, such as a time, as a whole one; what is larger than any is the largest there is.
#[expect(clippy::cast_possible_truncation, reason = "a float becomes an integer without wrapping, and is judged later")]
fn whole(number: f64) -> i64 {
    number as i64
}

/// A string without secrets, no longer than `max` bytes.
fn clean(text: &str, max: usize) -> String {
    // Cut before, so that no pattern looks at more, and after, since what is put in has a length, too.
    let text = without_secrets(cut(text.trim(), max * 4));
    cut(&text.replace('\0', ""), max).to_owned()
}

fn properties(given: Option<&Map<String, Value>>) -> Vec<(String, String)> {
    let told = given.into_iter().flatten().filter_map(|(name, value)| {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => return None,
        };
        Some((clean(name, PROPERTY_MAX_BYTES), clean(&value, PROPERTY_MAX_BYTES)))
    });
    told.take(PROPERTIES_MAX).collect()
}

/// The last of what happened before. What is of no kind that is known is left out.
fn breadcrumbs(given: &[Value], place: &str, at_ms: Option<i64>, problems: &mut Problems) -> Vec<Breadcrumb> {
    let mut told = Vec::new();
    for (number, value) in given.iter().enumerate() {
        let place = format!("{place}.breadcrumbs[{number}]");
        let Some(crumb) = value.as_object() else {
            problems.0.insert(place, "Must be an object".to_owned());
            continue;
        };
        let mut members = Members::at(place, crumb, problems);
        let (at, kind, text) = (members.number("at"), members.string("kind"), members.string("text"));
        if kind.is_empty() {
            members.problem("kind", "Must be a string");
        }
        let before = at.map(whole).zip(at_ms).map_or(0, |(at, error)| error.saturating_sub(at).max(0));
        told.extend(BREADCRUMB_KINDS.into_iter().find(|known| *known == kind).map(|kind| (before, kind, text)));
    }
    let last = told.split_off(told.len().saturating_sub(BREADCRUMBS_MAX));
    let kept = last.into_iter().map(|(before, kind, text)| Breadcrumb {
        before_ms: u32::try_from(before).unwrap_or(u32::MAX),
        kind: kind.to_owned(),
        text: clean(text, BREADCRUMB_MAX_BYTES),
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn errors(body: Value) -> Result<ErrorsFields, Problems> {
        read_errors(body.as_object().unwrap())
    }

    #[test]
    fn an_error_is_read_without_secrets_and_within_its_bounds() {
        let body = json!({ "release": "2.14.0", "debug_ids": { "https://example.com/a.js?x": "abc", "b": 1 }, "errors": [{
            "id": "error-0001", "at": 1_000_500.7, "type": "TypeError", "message": "no jo@example.com", "count": 3,
            "kind": "manual", "stack": "at total (https://example.com/a.js?token=1:1:2)",
            "properties": { "plan": "pro", "seats": 3, "deep": {} },
            "breadcrumbs": [{ "at": 1_000_000, "kind": "click", "text": "a".repeat(200) }, { "kind": "typed" }],
        }, { "id": "error-0002", "file": "https://example.com/b.js", "line": 3, "column": 4, "message": "x" }] });
        let read = errors(body).unwrap();
        assert_eq!((read.release.as_str(), read.debug_ids.len()), ("2.14.0", 1));
        let first = &read.errors[0];
        assert_eq!((first.kind.as_str(), first.message.as_str(), first.count), ("TypeError", "no [removed]", 3));
        assert_eq!(first.frames[0].file, "https://example.com/a.js");
        assert_eq!(first.properties, [("plan".into(), "pro".into()), ("seats".into(), "3".into())]);
        assert_eq!(first.breadcrumbs.len(), 1);
        assert_eq!((first.breadcrumbs[0].before_ms, first.breadcrumbs[0].text.len()), (500, 100));
        let second = &read.errors[1];
        assert_eq!((second.frames[0].line, second.frames[0].column, second.kind.as_str()), (3, 4, "Error"));
    }

    #[test]
    fn what_is_not_of_the_page_is_left_out_and_what_is_wrong_is_named() {
        let extension = json!({ "id": "error-0001", "stack": "at x (chrome-extension://abc/c.js:1:1)" });
        let silent = json!({ "id": "error-0002", "message": "Script error." });
        assert_eq!(errors(json!({ "errors": [extension, silent] })).unwrap().errors, []);
        let wrong = errors(json!({ "errors": [{ "id": "x" }, 7] })).unwrap_err();
        assert_eq!(wrong.0.keys().collect::<Vec<_>>(), ["errors[0].id", "errors[1]"]);
        // What is of another type is named, wherever it is; null is absent.
        for (place, value) in [
            ("at", json!("now")),
            ("type", json!(1)),
            ("message", json!({})),
            ("stack", json!([])),
            ("line", json!(1.5)),
            ("count", json!("2")),
            ("properties", json!([])),
            ("breadcrumbs", json!({})),
            ("breadcrumbs[0]", json!([7])),
            ("breadcrumbs[0].kind", json!([{ "text": "x" }])),
            ("breadcrumbs[1].text", json!([{ "kind": "click" }, { "kind": "view", "text": 1 }])),
        ] {
            let name = place.split('[').next().unwrap();
            let mut error = json!({ "id": "error-0001" });
            error[name] = value;
            let wrong = errors(json!({ "errors": [error] })).unwrap_err();
            assert_eq!(wrong.0.keys().collect::<Vec<_>>(), [&format!("errors[0].{place}")]);
            let mut error = json!({ "id": "error-0001" });
            error[name] = Value::Null;
            assert!(errors(json!({ "errors": [error] })).is_ok(), "{name}");
        }
        for name in ["release", "debug_ids"] {
            let mut body = json!({ "errors": [{ "id": "error-0001" }] });
            body[name] = json!(7);
            assert!(errors(body).unwrap_err().0.contains_key(name));
        }
        for body in [json!({}), json!({ "errors": [] }), json!({ "errors": vec![json!({}); ERRORS_MAX + 1] })] {
            assert!(errors(body).unwrap_err().0.contains_key("errors"));
        }
    }

    proptest! {
        #[test]
        fn strings_never_exceed_their_bounds(message in "\\PC{0,600}", kind in "\\PC{0,200}") {
            let read = errors(json!({ "errors": [{ "id": "error-0001", "message": message, "type": kind }] })).unwrap();
            for error in read.errors {
                prop_assert!(error.message.len() <= MESSAGE_MAX_BYTES && error.kind.len() <= TYPE_MAX_BYTES);
            }
        }
    }
}
