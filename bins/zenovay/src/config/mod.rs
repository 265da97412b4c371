//! The settings of the server and the command line: one table, from which the flags, the environment variables, the
//! keys of `zenovay.toml` and the output of `zenovay config` are made.
//!
//! A value comes from the first of: the flag, the environment variable `ZENOVAY_<NAME>`, the configuration file, the
//! default. The file is the one that `--config` or `ZENOVAY_CONFIG` names, otherwise the first of
//! [`DEFAULT_FILES`] that there is. Relative paths are relative to the working directory, wherever they are written.
//!
//! | file | what is in it |
//! |---|---|
//! | `settings.rs` | the table: name, type, default and help of every setting |
//! | `values.rs` | the types: what a value may be, and what is said when it may not |
//! | `source.rs` | the layers, and what is said of a name that is not a setting |
//! | `people.rs`, `bucket.rs`, `place.rs`, `postgres.rs`, `events.rs`, `webhook.rs` | the types of settings about people, about buckets, about where backups are, about PostgreSQL, about events in ClickHouse, and about where alerts are sent |
//! | `plans.rs` | the numbers of the plans |
//! | `error.rs` | the errors, and where an effective value comes from |
//!
//! figment also has layers, and knows which of them a value came from. It would replace `Source::take`, some twenty
//! lines. The table stays beside it, because flags, help and documentation are made from it; so do the look for misspelt
//! variables and keys, which it accepts in silence, and the rules of the types, because what serde says of a wrong value
//! (`invalid type: found string "300", expected u64`) is not what an operator should have to read.

mod bucket;
mod error;
mod events;
mod people;
mod place;
mod plans;
mod postgres;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod values;
mod webhook;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use zenovay_redis::RedisUrl;

pub use self::bucket::{BucketAddress, BucketHttp, BucketName, BucketPrefix, Secret};
pub use self::error::{ConfigError, Effective, Origin};
pub use self::events::{EventsAck, EventsUrl};
pub use self::people::{NamesIssuer, PlanChanges, SignUp, SmtpUrl, StatusPage};
pub use self::place::{BackupPlace, InvalidBackupPlace};
use self::plans::plan_number_names;
pub use self::postgres::PostgresUrl;
pub use self::settings::{CommonFlags, Config, ServerFlags};
use self::source::{Source, read_table};
pub use self::values::{DatabaseUrl, LogFormat, Number, ResetFormat};
pub use self::webhook::WebhookUrl;
use crate::machine;

/// The files of which the first that is present is read when none is named: that of the working directory, and that of the
/// machine, where the Debian package puts it.
pub const DEFAULT_FILES: [&str; 2] = ["zenovay.toml", "/etc/zenovay/zenovay.toml"];

impl Config {
    /// The effective settings, from flags, `environment` and the configuration file.
    ///
    /// # Errors
    /// When the file cannot be read, has a key that is not a setting, or a value breaks the rules of its setting.
    pub fn load(
        common: &CommonFlags,
        server: &ServerFlags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let default = || DEFAULT_FILES.map(PathBuf::from).into_iter().find(|file| file.exists());
        let file = common.config.clone().or_else(default);
        let mut table = toml::Table::new();
        if let Some(path) = &file {
            table = read_table(path)?;
        }
        let environment = environment
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with("ZENOVAY_"))
            .collect();
        let settings = Self::defaults().into_iter().map(|(name, _)| name).collect();
        let source = Source { environment: &environment, file, table, settings, plan_numbers: plan_number_names() };
        let config = Self::build(source, common, server)?;
        config.check_places()?;
        Ok(config)
    }

    /// What the configuration file `file` says by itself.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn of_file(file: &Path) -> Result<Self, ConfigError> {
        let common = CommonFlags { config: Some(file.to_owned()), ..CommonFlags::default() };
        Self::load(&common, &ServerFlags::default(), [])
    }

    /// Every effective value and where it comes from, in the order of the documentation, plans last.
    pub fn effective(&self) -> &[Effective] {
        &self.effective
    }

    /// Memory that all queries may take together, in bytes.
    pub fn query_memory_bytes(&self) -> usize {
        self.query_memory_bytes.map_or_else(|| machine::memory_share(8, 64 << 20), Number::as_usize)
    }

    /// Memory of the cache between queries, in bytes.
    pub fn cache_bytes(&self) -> usize {
        self.cache_bytes.map_or_else(|| machine::memory_share(8, 64 << 20), Number::as_usize)
    }

    /// The file of the metadata; `None` when they are in PostgreSQL.
    pub fn database_path(&self) -> Option<PathBuf> {
        self.postgres_url().is_none().then(|| self.sqlite_path())
    }

    /// The file that metadata are in, or would be: what a restore puts there, and what is moved to PostgreSQL.
    pub fn sqlite_path(&self) -> PathBuf {
        match &self.database_url {
            Some(DatabaseUrl::Sqlite(path)) => path.clone(),
            Some(DatabaseUrl::Postgres(_)) | None => self.data_dir.join("zenovay.db"),
        }
    }

    /// The PostgreSQL database that the metadata are in, if they are in one.
    pub fn postgres_url(&self) -> Option<&PostgresUrl> {
        match &self.database_url {
            Some(DatabaseUrl::Postgres(url)) => Some(url),
            Some(DatabaseUrl::Sqlite(_)) | None => None,
        }
    }

    /// Whether all is shared that has to be, so that any number of servers with these settings may run at a time: metadata, events, and what is
    /// counted and remembered for minutes.
    pub fn is_of_several(&self) -> bool {
        self.missing_for_several().is_empty()
    }

    /// The settings that would have to be there for that, too.
    pub fn missing_for_several(&self) -> Vec<&'static str> {
        let is_there = [
            ("database_url", self.postgres_url().is_some()),
            ("events_url", self.events_url.is_some()),
            ("redis_url", self.redis_url.is_some()),
        ];
        is_there.into_iter().filter(|(_, is_there)| !is_there).map(|(name, _)| name).collect()
    }

    /// The settings with a password that is in the list of processes, where everybody on the machine can read it: one in a flag.
    pub fn passwords_in_flags(&self) -> Vec<&'static str> {
        let is_a_flag =
            |name: &str| self.effective.iter().any(|one| one.name == name && matches!(one.origin, Origin::Flag(_)));
        let has_password = [
            ("database_url", self.postgres_url().is_some_and(PostgresUrl::has_password)),
            ("events_url", self.events_url.as_ref().is_some_and(EventsUrl::has_password)),
            ("redis_url", self.redis_url.as_ref().is_some_and(RedisUrl::has_password)),
        ];
        has_password.into_iter().filter(|(name, is_in)| *is_in && is_a_flag(name)).map(|(name, _)| name).collect()
    }

    /// Where what is stored may be together.
    ///
    /// | metadata | events | |
    /// |---|---|---|
    /// | SQLite | data directory | one machine |
    /// | PostgreSQL | data directory | one machine, and a database that others look after |
    /// | PostgreSQL | ClickHouse | the same, for more events than one machine holds; with Redis any number of servers |
    /// | SQLite | ClickHouse | refused: what ClickHouse cannot keep is in PostgreSQL |
    fn check_places(&self) -> Result<(), ConfigError> {
        let refuse = |name: &str, why: &str| {
            let origin = self.effective.iter().find(|one| one.name == name).map(|one| one.origin.clone());
            let (name, origin) = (name.to_owned(), origin.unwrap_or(Origin::Default));
            Err(ConfigError::Invalid { name, origin, why: why.to_owned() })
        };
        if self.redis_url.is_some() && self.postgres_url().is_none() {
            let why = "is for servers that share their metadata: set database_url to a PostgreSQL database as well";
            return refuse("redis_url", why);
        }
        if self.events_url.is_none() {
            return Ok(());
        }
        if self.postgres_url().is_none() {
            let why = "events in ClickHouse need metadata in PostgreSQL: set database_url to postgres://…";
            return refuse("events_url", why);
        }
        Ok(())
    }
}
