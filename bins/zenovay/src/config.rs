//! The settings of the server and the command line: one table, from which the flags, the environment variables, the
//! keys of `zenovay.toml` and the output of `zenovay config` are made.
//!
//! A value comes from the first of: the flag, the environment variable `ZENOVAY_<NAME>`, the configuration file, the
//! default. The file is the one that `--config` or `ZENOVAY_CONFIG` names, otherwise `zenovay.toml` in the working
//! directory when there is one. Relative paths are relative to the working directory, wherever they are written.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use ipnet::IpNet;
use serde_json::json;
use zenovay_domain::{Plan, PlanLimits, PlanTable};

use crate::http::key_headers::ResetFormat;
use crate::machine;
use crate::spelling::nearest;

/// The environment variable that names the configuration file.
const CONFIG_VARIABLE: &str = "ZENOVAY_CONFIG";

/// The file that is read when it is present and no other is named.
pub const DEFAULT_FILE: &str = "zenovay.toml";

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
    /// The configuration file has a key that is no setting.
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

/// A whole number from `MIN` to `MAX`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Number<MIN, MAX> {
    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number where it counts things in memory.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// The number where 32 bits are wanted.
    pub fn as_u32(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

/// Where the metadata is kept: `sqlite://PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    path: PathBuf,
}

impl DatabaseUrl {
    /// The file of the database.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The form of the lines of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What a type of setting must be able to do.
trait Setting: Sized {
    /// Reads the value from a flag or the environment.
    fn from_text(text: &str) -> Result<Self, String>;

    /// Reads the value from the configuration file; a text unless the type says otherwise.
    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        value.as_str().ok_or_else(|| "must be a text".to_owned()).and_then(Self::from_text)
    }

    /// The value as JSON.
    fn to_json(&self) -> serde_json::Value;
}

impl<const MIN: u64, const MAX: u64> Setting for Number<MIN, MAX> {
    fn from_text(text: &str) -> Result<Self, String> {
        let digits: String = text.chars().filter(|c| *c != '_').collect();
        let number = digits.parse().ok().filter(|number| (MIN..=MAX).contains(number));
        number.map(Self).ok_or_else(|| format!("must be a whole number from {MIN} to {MAX}"))
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        let number = value.as_integer().ok_or_else(|| "must be a number, without quotes".to_owned())?;
        Self::from_text(&number.to_string())
    }

    fn to_json(&self) -> serde_json::Value {
        self.0.into()
    }
}

impl<T: Setting> Setting for Option<T> {
    fn from_text(text: &str) -> Result<Self, String> {
        T::from_text(text).map(Some)
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        T::from_toml(value).map(Some)
    }

    fn to_json(&self) -> serde_json::Value {
        self.as_ref().map_or(serde_json::Value::Null, Setting::to_json)
    }
}

impl Setting for SocketAddr {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "must be an address and a port, such as 127.0.0.1:8080 or [::1]:8080".to_owned())
    }

    fn to_json(&self) -> serde_json::Value {
        self.to_string().into()
    }
}

impl Setting for PathBuf {
    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("must be a path".to_owned()) } else { Ok(Self::from(text)) }
    }

    fn to_json(&self) -> serde_json::Value {
        self.to_string_lossy().into()
    }
}

impl Setting for DatabaseUrl {
    fn from_text(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self { path: PathBuf::from(path) }),
            Some(("sqlite", _)) => Err("names no file: write sqlite://PATH".to_owned()),
            Some((scheme, _)) => {
                Err(format!("`{scheme}` databases are not supported by this version: use sqlite://PATH"))
            }
            None => Err("must be sqlite://PATH".to_owned()),
        }
    }

    fn to_json(&self) -> serde_json::Value {
        format!("sqlite://{}", self.path.display()).into()
    }
}

impl Setting for url::Url {
    fn from_text(text: &str) -> Result<Self, String> {
        let rule = "must be an http or https URL without path, such as https://stats.example.com";
        let url: Self = text.parse().map_err(|_| rule.to_owned())?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if plain { Ok(url) } else { Err(rule.to_owned()) }
    }

    fn to_json(&self) -> serde_json::Value {
        self.as_str().trim_end_matches('/').into()
    }
}

impl Setting for Vec<IpNet> {
    fn from_text(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| {
                let network = part.parse::<IpNet>().or_else(|_| part.parse::<std::net::IpAddr>().map(IpNet::from));
                network
                    .map_err(|_| format!("`{}` is no address or CIDR range, such as 10.0.0.0/8", part.escape_debug()))
            })
            .collect()
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        let rule = || "must be a list of texts, such as [\"10.0.0.0/8\"]".to_owned();
        let parts: Option<Vec<&str>> = value.as_array().ok_or_else(rule)?.iter().map(toml::Value::as_str).collect();
        Self::from_text(&parts.ok_or_else(rule)?.join(","))
    }

    fn to_json(&self) -> serde_json::Value {
        self.iter().map(ToString::to_string).collect()
    }
}

/// A setting with few values, each with a name.
macro_rules! choice {
    ($type:ty, $($value:path = $name:literal),*) => {
        impl Setting for $type {
            fn from_text(text: &str) -> Result<Self, String> {
                match text {
                    $($name => Ok($value),)*
                    _ => Err(concat!("must be one of:" $(, " ", $name)*).to_owned()),
                }
            }

            fn to_json(&self) -> serde_json::Value {
                match *self { $(v if v == $value => $name.into(),)* _ => serde_json::Value::Null }
            }
        }
    };
}

choice!(LogFormat, LogFormat::Text = "text", LogFormat::Json = "json");
choice!(ResetFormat, ResetFormat::Iso = "iso", ResetFormat::Unix = "unix");
choice!(
    tracing::Level,
    tracing::Level::ERROR = "error",
    tracing::Level::WARN = "warn",
    tracing::Level::INFO = "info",
    tracing::Level::DEBUG = "debug",
    tracing::Level::TRACE = "trace"
);

macro_rules! settings {
    (
        common { $($(#[$common_doc:meta])* $common:ident: $common_type:ty = $common_default:expr, $common_value:literal;)* }
        server { $($(#[$doc:meta])* $name:ident: $type:ty = $default:expr, $value:literal;)* }
    ) => {
        /// The effective settings.
        #[derive(Debug, Clone)]
        pub struct Config {
            $($(#[$common_doc])* pub $common: $common_type,)*
            $($(#[$doc])* pub $name: $type,)*
            /// The plans and their limits: the table of `zenovay_domain` with the numbers of `[plans.<name>]`.
            pub plans: PlanTable,
            /// The configuration file that was read.
            pub file: Option<PathBuf>,
            /// Environment variables that begin with `ZENOVAY_` and have no meaning here, by name.
            pub unknown_variables: Vec<String>,
            effective: Vec<Effective>,
        }

        /// The flags that every command takes.
        #[derive(Debug, Clone, Default, Args)]
        pub struct CommonFlags {
            /// The configuration file. Without it: zenovay.toml in the working directory, when there is one.
            #[arg(long, global = true, value_name = "FILE", env = "ZENOVAY_CONFIG")]
            pub config: Option<PathBuf>,
            $($(#[$common_doc])* #[arg(long, global = true, value_name = $common_value)] pub $common: Option<String>,)*
        }

        /// The flags of the server.
        #[derive(Debug, Clone, Default, Args)]
        pub struct ServerFlags {
            $($(#[$doc])* #[arg(long, value_name = $value)] pub $name: Option<String>,)*
        }

        impl ServerFlags {
            /// Puts the flags of `other` beside these, which win.
            #[must_use]
            pub fn or(self, other: Self) -> Self {
                Self { $($name: self.$name.or(other.$name),)* }
            }

            /// Whether none was given.
            pub fn is_empty(&self) -> bool {
                true $(&& self.$name.is_none())*
            }
        }

        impl Config {
            /// Every setting, with its default as JSON; null where there is none.
            pub fn defaults() -> Vec<(&'static str, serde_json::Value)> {
                vec![
                    $((stringify!($common), <$common_type>::to_json(&$common_default)),)*
                    $((stringify!($name), <$type>::to_json(&$default)),)*
                ]
            }

            fn build(mut source: Source<'_>, common: &CommonFlags, server: &ServerFlags) -> Result<Self, ConfigError> {
                let mut effective = Vec::new();
                $(let $common: $common_type = source.take(stringify!($common), common.$common.as_deref(), || $common_default, &mut effective)?;)*
                $(let $name: $type = source.take(stringify!($name), server.$name.as_deref(), || $default, &mut effective)?;)*
                let plans = source.take_plans(&mut effective)?;
                source.nothing_left()?;
                let unknown_variables = source.unknown_variables()?;
                Ok(Self { $($common,)* $($name,)* plans, file: source.file, unknown_variables, effective })
            }
        }
    };
}

/// One second to an hour.
type Seconds = Number<1, 3_600>;
/// 1 KiB to 1 TiB.
type Bytes = Number<1_024, 0x100_0000_0000>;
/// How many requests a limit allows.
type Requests = Number<1, 1_000_000_000>;

settings! {
    common {
        /// Directory for all stored data; created with mode 0700 if it does not exist [default: ./data]
        data_dir: PathBuf = PathBuf::from("data"), "DIR";
        /// Database of users, teams, websites and keys: sqlite://PATH [default: zenovay.db in the data directory]
        database_url: Option<DatabaseUrl> = None, "URL";
    }
    server {
        /// Address and port to listen on; port 0 picks a free one [default: 127.0.0.1:8080]
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)), "ADDRESS:PORT";
        /// URL under which browsers reach the server: for the script tag; with https, browsers are told to use HTTPS alone [default: the listening address]
        public_url: Option<url::Url> = None, "URL";
        /// Proxies whose X-Forwarded-For header is trusted: addresses and CIDR ranges, separated by commas [default: none]
        trusted_proxies: Vec<IpNet> = Vec::new(), "CIDR,…";
        /// A second address that serves /metrics alone. Without it, and without public_url and trusted_proxies, the main one answers it to this machine [default: none]
        metrics_listen: Option<SocketAddr> = None, "ADDRESS:PORT";
        /// A geo database in MaxMind's format; city and region are used when it has them [default: the embedded countries]
        geo_database: Option<PathBuf> = None, "FILE";
        /// Format of the log on stderr: text or json [default: text]
        log_format: LogFormat = LogFormat::Text, "FORMAT";
        /// Minimum severity to log: error, warn, info, debug or trace [default: info]
        log_level: tracing::Level = tracing::Level::INFO, "LEVEL";
        /// Format of the X-RateLimit-Reset header: iso or unix (seconds) [default: iso]
        ratelimit_reset_format: ResetFormat = ResetFormat::Iso, "FORMAT";
        /// Tracking requests per client address in 10 seconds [default: 60]
        tracking_requests_per_10s: Requests = Number(60), "N";
        /// Tracking requests per client address in an hour [default: 5000]
        tracking_requests_per_hour: Requests = Number(5_000), "N";
        /// Requests per client address and minute to the public endpoints, such as the live count [default: 30]
        public_requests_per_minute: Requests = Number(30), "N";
        /// Requests with an invalid key per client address and minute [default: 30]
        auth_requests_per_minute: Requests = Number(30), "N";
        /// Maximum size of a batch request body after decompression, in bytes [default: 4194304, 4 MiB]
        batch_body_bytes: Number<1_024, 67_108_864> = Number(4 << 20), "BYTES";
        /// How long the head or the body of a request may take to arrive, in seconds [default: 10]
        request_timeout_seconds: Seconds = Number(10), "SECONDS";
        /// Time that a client may take nothing of its answer while something waits, in seconds [default: 30]
        write_timeout_seconds: Seconds = Number(30), "SECONDS";
        /// Time that an idle connection is kept open, in seconds [default: 30]
        keep_alive_seconds: Seconds = Number(30), "SECONDS";
        /// Maximum connections per processor core; further ones wait to be accepted [default: 10000]
        max_connections_per_core: Number<1, 1_000_000> = Number(10_000), "N";
        /// Maximum connections of one client address, an IPv4 address or an IPv6 /64; this machine and trusted proxies have no limit [default: 256]
        max_connections_per_address: Number<1, 1_000_000> = Number(256), "N";
        /// Time that requests in flight have to finish after SIGTERM, in seconds [default: 15]
        shutdown_timeout_seconds: Seconds = Number(15), "SECONDS";
        /// Maximum time of one query, in seconds [default: 30]
        query_timeout_seconds: Seconds = Number(30), "SECONDS";
        /// Memory that one query may take: about 64 bytes for each row of the website in its range, and its strings [default: an eighth of the memory, at most 1 GiB]
        query_memory_bytes: Option<Bytes> = None, "BYTES";
        /// Decoded columns that are kept in memory for the next query, in bytes [default: an eighth of the memory, at most 160 MiB]
        cache_bytes: Option<Bytes> = None, "BYTES";
        /// Different strings of one column that are kept for a website and UTC day; further ones are stored as (other) [default: 100000]
        distinct_values_per_day: Number<1, 10_000_000> = Number(100_000), "N";
        /// Number of recent events that are held in memory before they are written into a segment file [default: 131072]
        seal_rows: Number<1, 262_144> = Number(131_072), "N";
        /// Age at which recent events are written into a segment file even when they are few, in seconds [default: 3600]
        seal_age_seconds: Number<1, 604_800> = Number(3_600), "SECONDS";
    }
}

impl Config {
    /// The effective settings, from flags, `environment` and the configuration file.
    ///
    /// # Errors
    /// When the file cannot be read, has a key that is no setting, or a value breaks the rules of its setting.
    pub fn load(
        common: &CommonFlags,
        server: &ServerFlags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let file = common.config.clone().or_else(|| {
            let default = PathBuf::from(DEFAULT_FILE);
            default.exists().then_some(default)
        });
        let mut table = toml::Table::new();
        if let Some(path) = &file {
            table = read_table(path)?;
        }
        let environment = environment
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with("ZENOVAY_"))
            .collect();
        Self::build(Source { environment: &environment, file, table }, common, server)
    }

    /// Every effective value and where it comes from, in the order of the documentation, plans last.
    pub fn effective(&self) -> &[Effective] {
        &self.effective
    }

    /// Memory that one query may take, in bytes.
    pub fn query_memory_bytes(&self) -> usize {
        self.query_memory_bytes.map_or_else(|| machine::memory_share(8, 1 << 30), Number::as_usize)
    }

    /// Memory of the cache between queries, in bytes.
    pub fn cache_bytes(&self) -> usize {
        self.cache_bytes.map_or_else(|| machine::memory_share(8, 160 << 20), Number::as_usize)
    }

    /// The file of the metadata.
    pub fn database_path(&self) -> PathBuf {
        self.database_url.as_ref().map_or_else(|| self.data_dir.join("zenovay.db"), |url| url.path().to_owned())
    }
}

/// Where values are looked for, but for the flags.
struct Source<'a> {
    environment: &'a BTreeMap<String, OsString>,
    file: Option<PathBuf>,
    /// What of the file was not taken yet.
    table: toml::Table,
}

impl Source<'_> {
    fn take<T: Setting>(
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

    /// The numbers of `[plans.<name>]` over the default table.
    fn take_plans(&mut self, effective: &mut Vec<Effective>) -> Result<PlanTable, ConfigError> {
        let mut plans = PlanTable::default();
        let mut tables = match self.table.remove("plans") {
            None => toml::Table::new(),
            Some(toml::Value::Table(tables)) => tables,
            Some(_) => return Err(self.invalid("plans", "must be tables, such as [plans.pro]")),
        };
        for plan in Plan::ALL {
            let mut overrides = match tables.remove(plan.as_str()) {
                None => toml::Table::new(),
                Some(toml::Value::Table(overrides)) => overrides,
                Some(_) => return Err(self.invalid(&format!("plans.{plan}"), "must be a table")),
            };
            for (number, field) in PLAN_NUMBERS {
                let name = format!("plans.{plan}.{number}");
                let origin = match overrides.remove(*number) {
                    None => Origin::Default,
                    Some(value) => {
                        let limit = read_limit(&value).map_err(|why| self.invalid(&name, why))?;
                        field.set(plans.limits_mut(plan), limit).map_err(|why| self.invalid(&name, why))?;
                        self.file_origin()
                    }
                };
                effective.push(Effective { name, value: field.get(plans.limits(plan)), origin });
            }
            if let Some(key) = overrides.keys().next() {
                return Err(self.unknown(&format!("plans.{plan}.{key}")));
            }
        }
        match tables.keys().next() {
            Some(key) => Err(self.unknown(&format!("plans.{key}"))),
            None => Ok(plans),
        }
    }

    /// The variables that are neither settings nor known to mean something else. One that resembles a setting is an
    /// error: a server that ran without it would look configured and not be.
    fn unknown_variables(&self) -> Result<Vec<String>, ConfigError> {
        let known: Vec<String> = setting_names().map(variable_of).chain([CONFIG_VARIABLE.to_owned()]).collect();
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

    fn nothing_left(&self) -> Result<(), ConfigError> {
        self.table.keys().next().map_or(Ok(()), |key| Err(self.unknown(key)))
    }

    fn file_origin(&self) -> Origin {
        Origin::File(self.file.clone().unwrap_or_default())
    }

    fn invalid(&self, name: &str, why: &str) -> ConfigError {
        ConfigError::Invalid { name: name.to_owned(), origin: self.file_origin(), why: why.to_owned() }
    }

    fn unknown(&self, key: &str) -> ConfigError {
        let plan_numbers = Plan::ALL
            .into_iter()
            .flat_map(|plan| PLAN_NUMBERS.iter().map(move |(number, _)| format!("plans.{plan}.{number}")));
        let known: Vec<String> = setting_names().map(str::to_owned).chain(plan_numbers).collect();
        ConfigError::UnknownKey {
            file: display(self.file.as_deref()),
            key: key.escape_debug().to_string(),
            meant: nearest(key, known.iter().map(String::as_str)).map(str::to_owned),
        }
    }
}

/// The environment variable of the setting `name`.
fn variable_of(name: &str) -> String {
    format!("ZENOVAY_{}", name.to_ascii_uppercase())
}

/// The names of all settings but the plans.
fn setting_names() -> impl Iterator<Item = &'static str> {
    Config::defaults().into_iter().map(|(name, _)| name)
}

/// Whether a variable with our prefix belongs to somebody else: the key of API clients (S1), or what Kubernetes sets for
/// every container beside a service called `zenovay`.
fn is_of_others(variable: &str) -> bool {
    variable == "ZENOVAY_API_KEY" || variable.starts_with("ZENOVAY_SERVICE_") || variable.starts_with("ZENOVAY_PORT")
}

fn display(file: Option<&Path>) -> String {
    file.map(|path| path.display().to_string()).unwrap_or_default()
}

fn read_table(path: &Path) -> Result<toml::Table, ConfigError> {
    let unreadable = |why: String| ConfigError::Unreadable { file: path.display().to_string(), why };
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    toml::Table::from_str(&text).map_err(|error| {
        let line =
            error.span().map_or(1, |span| text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1);
        unreadable(format!("line {line}: {}", error.message().replace('\n', " ")))
    })
}

/// A number of a plan; `None` stands for `"unlimited"`.
fn read_limit(value: &toml::Value) -> Result<Option<u64>, &'static str> {
    match value {
        toml::Value::Integer(number) => u64::try_from(*number).map(Some).map_err(|_| "must not be negative"),
        toml::Value::String(text) if text == "unlimited" => Ok(None),
        _ => Err("must be a whole number or \"unlimited\""),
    }
}

/// One number of a plan: how to read and write it.
enum PlanNumber {
    PerMinute,
    PerMonth,
    Events,
    Websites,
    Members,
    Retention,
}

const PLAN_NUMBERS: &[(&str, PlanNumber)] = &[
    ("requests_per_minute", PlanNumber::PerMinute),
    ("requests_per_month", PlanNumber::PerMonth),
    ("events_per_month", PlanNumber::Events),
    ("websites", PlanNumber::Websites),
    ("members", PlanNumber::Members),
    ("retention_days", PlanNumber::Retention),
];

impl PlanNumber {
    fn set(&self, limits: &mut PlanLimits, limit: Option<u64>) -> Result<(), &'static str> {
        const TOO_LARGE: &str = "is too large";
        const NEEDED: &str = "must be a number";
        let narrow = |limit: Option<u64>| limit.map(u32::try_from).transpose().map_err(|_| TOO_LARGE);
        match self {
            Self::PerMinute => limits.requests_per_minute = narrow(limit)?.ok_or(NEEDED)?,
            Self::PerMonth => limits.requests_per_month = limit.ok_or(NEEDED)?,
            Self::Events => limits.events_per_month = limit,
            Self::Websites => limits.websites = narrow(limit)?,
            Self::Members => limits.members = narrow(limit)?,
            Self::Retention => {
                if limit == Some(0) {
                    return Err("must be at least 1");
                }
                limits.retention_days = narrow(limit)?;
            }
        }
        Ok(())
    }

    fn get(&self, limits: &PlanLimits) -> serde_json::Value {
        let number = match self {
            Self::PerMinute => Some(u64::from(limits.requests_per_minute)),
            Self::PerMonth => Some(limits.requests_per_month),
            Self::Events => limits.events_per_month,
            Self::Websites => limits.websites.map(u64::from),
            Self::Members => limits.members.map(u64::from),
            Self::Retention => limits.retention_days.map(u64::from),
        };
        number.map_or_else(|| json!("unlimited"), |number| json!(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: Option<&str>, environment: &[(&str, &str)], server: ServerFlags) -> Result<Config, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("z.toml");
        std::fs::write(&path, file.unwrap_or("")).unwrap();
        let common = CommonFlags { config: Some(path), ..CommonFlags::default() };
        let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let text = |error: ConfigError| error.to_string().replace(directory.path().to_str().unwrap(), "");
        Config::load(&common, &server, environment).map_err(text)
    }

    fn origin(config: &Config, name: &str) -> String {
        let origin = &config.effective().iter().find(|value| value.name == name).unwrap().origin;
        origin.to_string().split('/').next().unwrap().to_owned()
    }

    #[test]
    fn unknown_keys_are_named_with_the_file() {
        for (text, key) in [
            ("listne = 1", "`listne`; did you mean `listen`?"),
            ("colour = 1", "`colour`"),
            ("[plans.gold]\nwebsites = 1", "`plans.gold`"),
            ("[plans.pro]\nrequests = 1", "`plans.pro.requests`"),
            ("[plans.pro]\nretention_day = 1", "`plans.pro.retention_day`; did you mean `plans.pro.retention_days`?"),
            ("[server]\nlisten = \"127.0.0.1:1\"", "`server`"),
        ] {
            let error = load(Some(text), &[], ServerFlags::default()).unwrap_err();
            assert_eq!(error, format!("configuration file /z.toml: unknown setting {key}"));
        }
    }

    #[test]
    fn broken_files_are_named_with_the_line() {
        let error = load(Some("seal_rows = 1\nlisten = \n"), &[], ServerFlags::default()).unwrap_err();
        assert!(error.starts_with("configuration file /z.toml: line 2: "), "{error}");
        assert!(!error.contains('\n'), "{error}");
        let common = CommonFlags { config: Some("/nonexistent/z.toml".into()), ..CommonFlags::default() };
        let error = Config::load(&common, &ServerFlags::default(), []).unwrap_err().to_string();
        assert!(error.starts_with("configuration file /nonexistent/z.toml: "), "{error}");
    }

    #[test]
    fn wrong_values_name_the_setting_and_where_it_was_written() {
        for (file, name) in [
            ("seal_rows = \"300\"", "seal_rows"),
            ("seal_rows = 0", "seal_rows"),
            ("seal_rows = -5", "seal_rows"),
            ("listen = 8080", "listen"),
            ("listen = \"localhost\"", "listen"),
            ("trusted_proxies = \"10.0.0.0/8\"", "trusted_proxies"),
            ("trusted_proxies = [\"10.0.0.0/33\"]", "trusted_proxies"),
            ("public_url = \"https://example.com/path\"", "public_url"),
            ("public_url = \"ftp://example.com\"", "public_url"),
            ("log_level = \"loud\"", "log_level"),
            ("database_url = \"postgres://db/z\"", "database_url"),
            ("data_dir = \"\"", "data_dir"),
            ("plans = 3", "plans"),
            ("[plans.pro]\nrequests_per_minute = \"unlimited\"", "plans.pro.requests_per_minute"),
            ("[plans.pro]\nwebsites = -1", "plans.pro.websites"),
            ("[plans.pro]\nretention_days = 0", "plans.pro.retention_days"),
            ("[plans.pro]\nmembers = 5000000000", "plans.pro.members"),
        ] {
            let error = load(Some(file), &[], ServerFlags::default()).unwrap_err();
            assert!(error.starts_with(&format!("setting `{name}` (file /z.toml): ")), "{file}: {error}");
        }
        let error = load(None, &[("ZENOVAY_SEAL_ROWS", "many")], ServerFlags::default()).unwrap_err();
        assert!(error.starts_with("setting `seal_rows` (environment ZENOVAY_SEAL_ROWS): "), "{error}");
        let flags = ServerFlags { listen: Some("nowhere".to_owned()), ..ServerFlags::default() };
        let error = load(None, &[], flags).unwrap_err();
        assert!(error.starts_with("setting `listen` (flag --listen): "), "{error}");
    }

    #[test]
    fn other_databases_are_refused_with_a_hint() {
        let error =
            load(None, &[("ZENOVAY_DATABASE_URL", "postgres://u:secret@h/d")], ServerFlags::default()).unwrap_err();
        assert!(error.contains("sqlite://PATH"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
        let file = Some("seal_rows = 300\ncache_bytes = 4096\nkeep_alive_seconds = 7\n");
        let environment = [("ZENOVAY_SEAL_ROWS", "200"), ("ZENOVAY_CACHE_BYTES", "8_192")];
        let flags = ServerFlags { seal_rows: Some("100".to_owned()), ..ServerFlags::default() };
        let config = load(file, &environment, flags).unwrap();
        assert_eq!((config.seal_rows.get(), origin(&config, "seal_rows").as_str()), (100, "flag --seal-rows"));
        assert_eq!(
            (config.cache_bytes() as u64, origin(&config, "cache_bytes").as_str()),
            (8_192, "environment ZENOVAY_CACHE_BYTES")
        );
        assert_eq!((config.keep_alive_seconds.get(), origin(&config, "keep_alive_seconds").as_str()), (7, "file "));
        assert_eq!((config.query_timeout_seconds.get(), origin(&config, "listen").as_str()), (30, "default"));
    }

    #[test]
    fn a_value_that_is_not_used_may_be_wrong_but_a_key_may_not() {
        // The flag decides; but a file with a key that is no setting is a mistake whatever the flags say.
        let flags = ServerFlags { seal_rows: Some("1".to_owned()), ..ServerFlags::default() };
        assert!(load(Some("seal_row = 1"), &[], flags).is_err());
    }

    #[test]
    fn plans_are_overridden_number_by_number() {
        let file =
            "[plans.free]\nrequests_per_minute = 10\nwebsites = \"unlimited\"\n[plans.pro]\nrequests_per_month = 5\n";
        let config = load(Some(file), &[], ServerFlags::default()).unwrap();
        assert_eq!(config.plans.limits(Plan::Free).requests_per_minute, 10);
        assert_eq!(config.plans.limits(Plan::Free).websites, None);
        assert_eq!(config.plans.limits(Plan::Free).members, Some(2));
        assert_eq!(config.plans.limits(Plan::Pro).requests_per_month, 5);
        assert_eq!(config.plans.limits(Plan::Pro).requests_per_minute, 30);
        assert_eq!(origin(&config, "plans.free.websites"), "file ");
        assert_eq!(origin(&config, "plans.free.members"), "default");
    }

    #[test]
    fn lists_and_addresses_are_read_from_every_place() {
        let config = load(Some("trusted_proxies = [\"10.0.0.0/8\", \"::1\"]"), &[], ServerFlags::default()).unwrap();
        assert_eq!(config.trusted_proxies.len(), 2);
        let flags = ServerFlags { trusted_proxies: Some("192.0.2.1, 10.0.0.0/8".to_owned()), ..ServerFlags::default() };
        let config = load(None, &[], flags).unwrap();
        assert_eq!(config.trusted_proxies[0].to_string(), "192.0.2.1/32");
    }

    /// Sabotage: look at the variables of settings alone.
    #[test]
    fn a_misspelt_variable_is_an_error_that_names_the_setting() {
        for (variable, meant) in [
            ("ZENOVAY_TRUSTED_PROXY", "ZENOVAY_TRUSTED_PROXIES"),
            ("ZENOVAY_TRUSTED_PROXYS", "ZENOVAY_TRUSTED_PROXIES"),
            ("ZENOVAY_LISTNE", "ZENOVAY_LISTEN"),
            ("ZENOVAY_DATADIR", "ZENOVAY_DATA_DIR"),
            ("ZENOVAY_PUBLIC_URI", "ZENOVAY_PUBLIC_URL"),
            ("ZENOVAY_CONFG", "ZENOVAY_CONFIG"),
            ("ZENOVAY_listen", "ZENOVAY_LISTEN"),
        ] {
            let error = load(None, &[(variable, "x")], ServerFlags::default()).unwrap_err();
            assert_eq!(error, format!("environment variable {variable} is not a setting; did you mean {meant}?"));
        }
    }

    #[test]
    fn variables_of_others_are_ignored_and_the_rest_is_told() {
        let others = [
            "ZENOVAY_API_KEY",
            "ZENOVAY_SERVICE_HOST",
            "ZENOVAY_SERVICE_PORT_HTTP",
            "ZENOVAY_PORT",
            "ZENOVAY_PORT_8080_TCP",
        ];
        let environment: Vec<_> =
            others.into_iter().chain(["ZENOVAY_REGION", "OTHER_LISTNE"]).map(|name| (name, "tcp://10.0.0.1")).collect();
        let config = load(None, &environment, ServerFlags::default()).unwrap();
        assert_eq!(config.unknown_variables, ["ZENOVAY_REGION"]);
    }

    #[test]
    fn the_metadata_is_in_the_data_directory_unless_a_url_says_otherwise() {
        assert_eq!(load(None, &[], ServerFlags::default()).unwrap().database_path(), Path::new("data/zenovay.db"));
        let config = load(None, &[("ZENOVAY_DATABASE_URL", "sqlite:///srv/meta.db")], ServerFlags::default()).unwrap();
        assert_eq!(config.database_path(), Path::new("/srv/meta.db"));
    }
}
