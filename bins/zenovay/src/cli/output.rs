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
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self { json, text: String::new() }
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
