//! What a command prints, and how it fails.

use std::fmt::Display;
use std::io::Write;

use serde_json::Value;

/// A command that did not succeed: one line on stderr and an exit code.
#[derive(Debug)]
pub(super) struct Failure {
    message: String,
    exit_code: u8,
}

impl Failure {
    /// The command failed: exit code 1.
    pub(super) fn new(message: impl Display) -> Self {
        Self { message: message.to_string(), exit_code: 1 }
    }

    /// The command was called wrongly: exit code 2.
    pub(super) fn usage(message: impl Display) -> Self {
        Self { message: message.to_string(), exit_code: 2 }
    }

    /// What went wrong.
    pub(super) fn into_message(self) -> String {
        self.message
    }

    /// Prints the line and returns the exit code.
    pub(super) fn report(self) -> u8 {
        let line = self.message.split_whitespace().collect::<Vec<_>>().join(" ");
        eprintln!("zenovay: {line}");
        self.exit_code
    }
}

/// Where a command's result goes: text for people, or one JSON object.
pub(super) struct Output {
    json: bool,
    text: String,
    in_part: bool,
    failure: Option<Failure>,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self { json, text: String::new(), in_part: false, failure: None }
    }

    /// Notes that the command could not do all it was asked for, as its result says: exit code 3.
    pub(super) fn done_in_part(&mut self) {
        self.in_part = true;
    }

    /// Notes that the command failed, which is told after its result.
    pub(super) fn fail_afterwards(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }

    /// Whether it was noted that the command failed.
    pub(super) fn is_failure(&self) -> bool {
        self.failure.is_some()
    }

    /// Adds lines for people to the result.
    #[cfg(feature = "clickhouse")]
    pub(super) fn add(&mut self, text: impl FnOnce() -> String) {
        if !self.json {
            self.text += &text();
        }
    }

    /// The exit code of a command whose result was printed.
    pub(super) fn exit_code(self) -> u8 {
        match self.failure {
            Some(failure) => failure.report(),
            None if self.in_part => 3,
            None => 0,
        }
    }

    /// The result: `value` with `--json`, otherwise the lines that `text` makes.
    pub(super) fn result(&mut self, value: &Value, text: impl FnOnce() -> String) {
        self.text = if self.json { value.to_string() } else { text() };
        if !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// Prints the result.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        let printed = stdout.write_all(self.text.as_bytes()).and_then(|()| stdout.flush());
        printed.map_err(|error| Failure::new(format_args!("the result cannot be printed: {error}")))
    }
}

/// The members of a flat object as lines `name: value`, in their order. Control characters are escaped: names come from
/// whoever wrote them.
pub(super) fn lines(value: &Value) -> String {
    let Some(members) = value.as_object() else { return plain(value) };
    let width = members.keys().map(String::len).max().unwrap_or(0);
    members
        .iter()
        .map(|(name, value)| format!("{name}:{:pad$}{}\n", "", plain(value), pad = width + 1 - name.len()))
        .collect()
}

/// Objects as a table with a header: a column for each of `members`. `none` stands for an empty list.
pub(super) fn table(none: &str, members: &[&str], rows: &[Value]) -> String {
    if rows.is_empty() {
        return format!("{none}\n");
    }
    let header = members.iter().map(|member| member.replace('_', " ").to_uppercase()).collect::<Vec<_>>();
    let cells = rows.iter().map(|row| members.iter().map(|member| plain(&row[member])).collect::<Vec<_>>());
    let lines: Vec<Vec<String>> = std::iter::once(header).chain(cells).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..members.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let padded: Vec<String> = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A value on one line.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::String(text) => text.chars().flat_map(escape_control).collect(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn escape_control(c: char) -> Vec<char> {
    if c.is_control() { c.escape_default().collect() } else { vec![c] }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_have_a_header_and_columns() {
        let rows = [json!({ "id": 1, "name": "Ünï", "key_policy": null }), json!({ "id": 200, "name": "a\tb" })];
        let text = table("none", &["id", "name", "key_policy"], &rows);
        assert_eq!(text, "ID   NAME  KEY POLICY\n1    Ünï   -\n200  a\\tb  -\n");
        assert_eq!(table("no rows", &["id"], &[]), "no rows\n");
    }
}
