//! Why settings cannot be used, and where a value comes from.

use std::fmt;
use std::path::PathBuf;

/// A setting that cannot be used: says which one, where it was written, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The configuration file cannot be read.
    #[error("configuration file {file}: {why}")]
    Unreadable {
        /// The file.
        file: String,
        /// What went wrong.
        why: String,
    },
    /// The configuration file has a key that is not a setting.
    #[error("configuration file {file}: unknown setting `{key}`{}", did_you_mean(meant.as_deref()))]
    UnknownKey {
        /// The file.
        file: String,
        /// The key.
        key: String,
        /// The setting it resembles.
        meant: Option<String>,
    },
    /// An environment variable looks like a misspelt setting.
    #[error("environment variable {variable} is not a setting; did you mean {meant}?")]
    MisspeltVariable {
        /// The variable.
        variable: String,
        /// The variable of the setting it resembles.
        meant: String,
    },
    /// A value breaks the rules of its setting.
    #[error("setting `{name}` ({origin}): {why}")]
    Invalid {
        /// The setting.
        name: String,
        /// Where the value was written.
        origin: Origin,
        /// The rule it breaks.
        why: String,
    },
}

fn did_you_mean(meant: Option<&str>) -> String {
    meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default()
}

/// Where an effective value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A key of the configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// An effective value, for `zenovay config`.
#[derive(Debug, Clone, PartialEq)]
pub struct Effective {
    /// The setting.
    pub name: String,
    /// Its value; null when not set and without default.
    pub value: serde_json::Value,
    /// Where it comes from.
    pub origin: Origin,
}
