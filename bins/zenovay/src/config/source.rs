//! Where values come from: flags, environment, file, default, in this order.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::{ConfigError, Effective, Origin};
use super::values::Setting;
use crate::spelling::nearest;

/// The environment variable that names the configuration file.
const CONFIG_VARIABLE: &str = "ZENOVAY_CONFIG";

/// Where values are looked for, apart from the flags.
pub(super) struct Source<'a> {
    /// The variables that begin with `ZENOVAY_`.
    pub(super) environment: &'a BTreeMap<String, OsString>,
    /// The configuration file.
    pub(super) file: Option<PathBuf>,
    /// What of the file was not taken yet.
    pub(super) table: toml::Table,
    /// The names of all settings but the plans.
    pub(super) settings: Vec<&'static str>,
    /// The names of the numbers of the plans.
    pub(super) plan_numbers: Vec<String>,
}

impl Source<'_> {
    /// Takes the value of the setting `name`, whose flag was given as `flag`, and notes it in `effective`.
    pub(super) fn take<T: Setting>(
        &mut self,
        name: &str,
        flag: Option<&str>,
        default: impl FnOnce() -> T,
        effective: &mut Vec<Effective>,
    ) -> Result<T, ConfigError> {
        let from_file = self.table.remove(name);
        let variable = variable_of(name);
        let (result, origin) = if let Some(text) = flag {
            (T::from_text(text), Origin::Flag(format!("--{}", name.replace('_', "-"))))
        } else if let Some(value) = self.environment.get(&variable) {
            let text = value.to_str().ok_or_else(|| "is not UTF-8".to_owned());
            (text.and_then(T::from_text), Origin::Environment(variable))
        } else if let Some(value) = from_file {
            (T::from_toml(&value), self.file_origin())
        } else {
            (Ok(default()), Origin::Default)
        };
        let value =
            result.map_err(|why| ConfigError::Invalid { name: name.to_owned(), origin: origin.clone(), why })?;
        effective.push(Effective { name: name.to_owned(), value: value.to_json(), origin });
        Ok(value)
    }

    /// The variables that are neither settings nor known to mean something else. One that resembles a setting is an
    /// error: a server that ran without it would look configured and not be.
    pub(super) fn unknown_variables(&self) -> Result<Vec<String>, ConfigError> {
        let known: Vec<String> =
            self.settings.iter().copied().map(variable_of).chain([CONFIG_VARIABLE.to_owned()]).collect();
        let mut unknown = Vec::new();
        for variable in self.environment.keys().filter(|name| !known.contains(name) && !is_of_others(name)) {
            if let Some(meant) = nearest(variable, known.iter().map(String::as_str)) {
                let meant = meant.to_owned();
                return Err(ConfigError::MisspeltVariable { variable: variable.escape_debug().to_string(), meant });
            }
            unknown.push(variable.clone());
        }
        Ok(unknown)
    }

    /// Refuses a file with keys that nobody took.
    pub(super) fn nothing_left(&self) -> Result<(), ConfigError> {
        self.table.keys().next().map_or(Ok(()), |key| Err(self.unknown(key)))
    }

    pub(super) fn file_origin(&self) -> Origin {
        Origin::File(self.file.clone().unwrap_or_default())
    }

    pub(super) fn invalid(&self, name: &str, why: &str) -> ConfigError {
        ConfigError::Invalid { name: name.to_owned(), origin: self.file_origin(), why: why.to_owned() }
    }

    pub(super) fn unknown(&self, key: &str) -> ConfigError {
        let known = self.settings.iter().copied().chain(self.plan_numbers.iter().map(String::as_str));
        ConfigError::UnknownKey {
            file: display(self.file.as_deref()),
            key: key.escape_debug().to_string(),
            meant: nearest(key, known).map(str::to_owned),
        }
    }
}

/// The environment variable of the setting `name`.
fn variable_of(name: &str) -> String {
    format!("ZENOVAY_{}", name.to_ascii_uppercase())
}

/// Whether a variable with our prefix belongs to somebody else: the key of API clients (S1), what `zenovay sourcemaps` takes, or
/// what Kubernetes sets for every container beside a service called `zenovay`.
fn is_of_others(variable: &str) -> bool {
    matches!(variable, "ZENOVAY_API_KEY" | "ZENOVAY_SERVER" | "ZENOVAY_WEBSITE" | "ZENOVAY_RELEASE")
        || variable.starts_with("ZENOVAY_SERVICE_")
        || variable.starts_with("ZENOVAY_PORT")
}

fn display(file: Option<&Path>) -> String {
    file.map(|path| path.display().to_string()).unwrap_or_default()
}

/// The configuration file as a table.
pub(super) fn read_table(path: &Path) -> Result<toml::Table, ConfigError> {
    let unreadable = |why: String| ConfigError::Unreadable { file: path.display().to_string(), why };
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    toml::Table::from_str(&text).map_err(|error| {
        let line =
            error.span().map_or(1, |span| text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1);
        unreadable(format!("line {line}: {}", error.message().replace('\n', " ")))
    })
}
