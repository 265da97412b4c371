//! A page out of a recording.

use super::filter::{each_member, kind, path_of};
use super::json::{Malformed, Scanner, unquoted};

/// The document of the last snapshot in `events` that is of the page `path`: JSON as the recorder writes a node.
pub(crate) fn snapshot_of(events: &str, path: &str) -> Option<String> {
    find(events, path).ok().flatten().map(str::to_owned)
}

fn find<'a>(events: &'a str, path: &str) -> Result<Option<&'a str>, Malformed> {
    let mut scanner = Scanner::new(events);
    scanner.begin_array()?;
    let (mut is_of_page, mut found) = (false, None);
    while let Some(event) = scanner.element()? {
        let (mut of, mut data) = (None, "");
        each_member(event, |name, value| match name {
            "type" => of = value.parse::<u64>().ok(),
            "data" => data = value,
            _ => {}
        })?;
        match of {
            Some(kind::META) => {
                is_of_page = false;
                each_member(data, |name, value| {
                    if name == "href" && value.starts_with('"') {
                        is_of_page = path_of(&unquoted(value)) == path;
                    }
                })?;
            }
            Some(kind::FULL) if is_of_page => each_member(data, |name, value| {
                if name == "node" {
                    found = Some(value);
                }
            })?,
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_snapshot_of_the_page_is_found() {
        let meta = |href: &str| format!("{{\"type\":4,\"data\":{{\"href\":\"{href}\"}},\"timestamp\":1}}");
        let full = |id: u32| format!("{{\"type\":2,\"data\":{{\"node\":{{\"id\":{id}}}}},\"timestamp\":1}}");
        let (a, b) = (meta("https://example.com/a"), meta("https://example.com/b"));
        let events = format!("[{a},{},{b},{},{a},{},{b},{}]", full(1), full(2), full(3), full(4));
        assert_eq!(snapshot_of(&events, "/a").as_deref(), Some("{\"id\":3}"));
        assert_eq!(snapshot_of(&events, "/b").as_deref(), Some("{\"id\":4}"));
        assert_eq!(snapshot_of(&events, "/c"), None);
        assert_eq!(snapshot_of("[", "/a"), None);
    }
}
