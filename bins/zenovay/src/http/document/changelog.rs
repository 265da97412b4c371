//! What changed: the file at the top of the project.

/// `CHANGELOG.md`.
pub(super) const TEXT: &str = include_str!("../../../../../CHANGELOG.md");
