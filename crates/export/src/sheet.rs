//! Lines of CSV and NDJSON.

use std::borrow::Cow;

use serde_json::Value;

/// How rows are written. Rows are JSON objects.
///
/// ```
/// use zenovay_export::Sheet;
/// use zenovay_export::serde_json::json;
///
/// let row = json!({ "page": "/a, b", "visitors": 3 });
/// let mut lines = Vec::new();
/// Sheet::csv(["page", "visitors"]).append(&row, &mut lines);
/// Sheet::ndjson().append(&row, &mut lines);
/// assert_eq!(lines, b"\"/a, b\",3\r\n{\"page\":\"/a, b\",\"visitors\":3}\n");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// The columns of CSV; `None` for NDJSON, in which every row names its members.
    columns: Option<Vec<Cow<'static, str>>>,
}

/// What makes a spreadsheet take a cell for a formula when it begins with it. Some take the full-width forms, too.
const FORMULA_STARTERS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// What some spreadsheets pass by at the beginning of a cell, and what others begin a new cell behind: where they take other
/// separators than the comma, they do not see where a quoted cell begins.
const CONTROLS: [char; 3] = ['\t', '\r', '\n'];

impl Sheet {
    /// CSV with these columns.
    pub fn csv<C: Into<Cow<'static, str>>>(columns: impl IntoIterator<Item = C>) -> Self {
        Self { columns: Some(columns.into_iter().map(Into::into).collect()) }
    }

    /// One JSON object a line.
    pub fn ndjson() -> Self {
        Self { columns: None }
    }

    /// What stands before the first row.
    pub fn head(&self) -> Vec<u8> {
        let mut head = Vec::new();
        if let Some(columns) = &self.columns {
            line(columns.iter().map(|column| harmless(column)), &mut head);
        }
        head
    }

    /// Appends `row` to `lines`. In CSV a member that is missing is an empty cell, and arrays and objects are their JSON.
    pub fn append(&self, row: &Value, lines: &mut Vec<u8>) {
        match &self.columns {
            None => {
                lines.extend_from_slice(row.to_string().as_bytes());
                lines.push(b'\n');
            }
            Some(columns) => line(columns.iter().map(|column| cell(row.get(&**column))), lines),
        }
    }
}

fn cell(value: Option<&Value>) -> Cow<'_, str> {
    match value {
        None | Some(Value::Null) => Cow::Borrowed(""),
        Some(Value::String(text)) => harmless(text),
        Some(Value::Bool(true)) => Cow::Borrowed("true"),
        Some(Value::Bool(false)) => Cow::Borrowed("false"),
        Some(Value::Number(number)) => Cow::Owned(number.to_string()),
        Some(other) => Cow::Owned(harmless(&other.to_string()).into_owned()),
    }
}

/// `text` so that no spreadsheet takes it, or what it makes a cell of, for a formula: an apostrophe stands before what could
/// begin one.
fn harmless(text: &str) -> Cow<'_, str> {
    let mut safe = String::new();
    let mut copied = 0;
    let mut begins_cell = true;
    for (place, letter) in text.char_indices() {
        if begins_cell && (FORMULA_STARTERS.contains(&letter) || (place == 0 && CONTROLS.contains(&letter))) {
            safe.push_str(&text[copied..place]);
            safe.push('\'');
            copied = place;
        }
        begins_cell = letter == ';' || CONTROLS.contains(&letter) || (begins_cell && letter == ' ');
    }
    if copied == 0 && safe.is_empty() {
        return Cow::Borrowed(text);
    }
    safe.push_str(&text[copied..]);
    Cow::Owned(safe)
}

fn line<'a>(cells: impl Iterator<Item = Cow<'a, str>>, lines: &mut Vec<u8>) {
    for (number, cell) in cells.enumerate() {
        if number > 0 {
            lines.push(b',');
        }
        if cell.contains([',', '"', ';', '\t', '\r', '\n']) {
            lines.push(b'"');
            lines.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
            lines.push(b'"');
        } else {
            lines.extend_from_slice(cell.as_bytes());
        }
    }
    lines.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn csv(row: &Value) -> String {
        let mut lines = Vec::new();
        Sheet::csv(["a", "b"]).append(row, &mut lines);
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        assert_eq!(csv(&json!({ "a": "x, y", "b": "say \"hi\"\nthere" })), "\"x, y\",\"say \"\"hi\"\"\nthere\"\r\n");
        assert_eq!(csv(&json!({ "b": null })), ",\r\n");
        assert_eq!(csv(&json!({ "a": -3.5, "b": true })), "-3.5,true\r\n");
        assert_eq!(csv(&json!({ "a": { "x": [1] }, "b": false })), "\"{\"\"x\"\":[1]}\",false\r\n");
    }

    #[test]
    fn formulas_are_harmless() {
        for starter in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx"] {
            let written = csv(&json!({ "a": starter, "b": 1 }));
            assert!(written.trim_start_matches('"').starts_with('\''), "{written:?}");
        }
        assert_eq!(csv(&json!({ "a": "a=1", "b": "'x" })), "a=1,'x\r\n");
        assert_eq!(csv(&json!({ "a": "＝1+1", "b": " =1" })), "'＝1+1, '=1\r\n");
        // Where the separator is another one.
        assert_eq!(csv(&json!({ "a": "a;=1", "b": "a\t -1" })), "\"a;'=1\",\"a\t '-1\"\r\n");
        assert_eq!(csv(&json!({ "a": ["x;@y"], "b": "a;b" })), "\"[\"\"x;'@y\"\"]\",\"a;b\"\r\n");
        assert_eq!(Sheet::csv(["=a", "b"]).head(), b"'=a,b\r\n");
    }

    #[test]
    fn every_row_of_ndjson_is_a_line() {
        let sheet = Sheet::ndjson();
        let mut lines = sheet.head();
        sheet.append(&json!({ "a": "=x\ny" }), &mut lines);
        assert_eq!(lines, b"{\"a\":\"=x\\ny\"}\n");
    }

    /// A reader of RFC 4180.
    fn read(text: &str) -> Vec<Vec<String>> {
        let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
        let mut rest = text.chars().peekable();
        let mut is_quoted = false;
        while let Some(character) = rest.next() {
            match (character, is_quoted) {
                ('"', true) if rest.next_if_eq(&'"').is_some() => cell.push('"'),
                ('"', _) => is_quoted = !is_quoted,
                (',', false) => row.push(std::mem::take(&mut cell)),
                ('\r', false) if rest.next_if_eq(&'\n').is_some() => {
                    row.push(std::mem::take(&mut cell));
                    rows.push(std::mem::take(&mut row));
                }
                (other, _) => cell.push(other),
            }
        }
        assert!(row.is_empty() && cell.is_empty() && !is_quoted);
        rows
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(cells in prop::collection::vec("(\\PC|[,;\"\t\r\n =+@-]){0,6}", 2)) {
            let rows = read(&csv(&json!({ "a": cells[0], "b": cells[1] })));
            prop_assert_eq!(rows.len(), 1);
            for (read, written) in rows[0].iter().zip(&cells) {
                for cell in read.split([';', '\t', '\r', '\n']) {
                    prop_assert!(!cell.trim_start_matches(' ').starts_with(FORMULA_STARTERS), "{read:?}");
                }
                prop_assert_eq!(read.replace('\'', ""), written.replace('\'', ""));
            }
        }
    }
}
