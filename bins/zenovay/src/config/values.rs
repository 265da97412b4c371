//! The types of settings: how each is read from a string or a TOML value, and written as JSON.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use zenovay_domain::Plan;
use zenovay_redis::RedisUrl;

use super::bucket::{BucketAddress, BucketHttp, BucketName, BucketPrefix, Secret};
use super::events::{EventsAck, EventsUrl};
use super::people::{NamesIssuer, PlanChanges, SignUp, SmtpUrl, StatusPage};
use super::place::BackupPlace;
use super::postgres::PostgresUrl;
use super::webhook::WebhookUrl;
use crate::backup::BackupSchedule;

/// A whole number from `MIN` to `MAX`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number<const MIN: u64, const MAX: u64>(pub(super) u64);

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

/// Where the metadata are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite://PATH`: in this file.
    Sqlite(PathBuf),
    /// `postgres://…`: in a database of a server.
    Postgres(PostgresUrl),
}

impl DatabaseUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// What it must be. Nothing of it is repeated.
    pub fn read(text: &str) -> Result<Self, String> {
        Self::from_text(text)
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

/// How `X-RateLimit-Reset` is written (SPEC C2-8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResetFormat {
    /// `2026-06-13T12:01:00.000Z`, the form of S4.
    #[default]
    Iso,
    /// Seconds since 1970.
    Unix,
}

/// What a type of setting must be able to do.
pub(super) trait Setting: Sized {
    /// Reads the value from a flag or the environment.
    fn from_text(text: &str) -> Result<Self, String>;

    /// Reads the value from the configuration file; a string unless the type says otherwise.
    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        value.as_str().ok_or_else(|| "must be a string".to_owned()).and_then(Self::from_text)
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

impl Setting for BackupPlace {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: super::place::InvalidBackupPlace| error.to_string())
    }

    fn to_json(&self) -> serde_json::Value {
        self.to_string().into()
    }
}

impl Setting for BackupSchedule {
    fn from_text(text: &str) -> Result<Self, String> {
        let rule = "must be a time of day in UTC, such as 03:30, or a number of hours, such as 6h";
        Self::parse(text).ok_or_else(|| rule.to_owned())
    }

    fn to_json(&self) -> serde_json::Value {
        self.to_string().into()
    }
}

impl Setting for DatabaseUrl {
    fn from_text(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(PathBuf::from(path))),
            Some(("sqlite", _)) => Err("names no file: write sqlite://PATH".to_owned()),
            Some(("postgres" | "postgresql", _)) => PostgresUrl::read(text).map(Self::Postgres),
            // What stands before `://` may be anything, a password among it.
            _ => Err("must be sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE".to_owned()),
        }
    }

    fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Sqlite(path) => format!("sqlite://{}", path.display()).into(),
            Self::Postgres(url) => url.shown().into(),
        }
    }
}

impl Setting for RedisUrl {
    fn from_text(text: &str) -> Result<Self, String> {
        Self::read(text).map_err(|error| error.to_string())
    }

    fn to_json(&self) -> serde_json::Value {
        self.shown().into()
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
                network.map_err(|_| {
                    format!("`{}` is not an IP address or CIDR range, such as 10.0.0.0/8", part.escape_debug())
                })
            })
            .collect()
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        let rule = || "must be a list of strings, such as [\"10.0.0.0/8\"]".to_owned();
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

impl Setting for EventsUrl {
    fn from_text(text: &str) -> Result<Self, String> {
        Self::read(text)
    }

    fn to_json(&self) -> serde_json::Value {
        self.shown().into()
    }
}

choice!(EventsAck, EventsAck::Spooled = "spooled", EventsAck::Stored = "stored");
choice!(LogFormat, LogFormat::Text = "text", LogFormat::Json = "json");
impl Setting for SmtpUrl {
    fn from_text(text: &str) -> Result<Self, String> {
        let rule = "must be a URL such as smtps://user:password@mail.example.com or smtp://localhost:25";
        let url: url::Url = text.parse().map_err(|_| rule.to_owned())?;
        // A `/` in a password that is not written as %2F ends the name of the host, and the rest would stand in what is shown.
        let has_path = !matches!(url.path(), "" | "/");
        if has_path {
            return Err(format!("{rule}; a / in the password is written %2F, a @ %40"));
        }
        let is_one = matches!(url.scheme(), "smtp" | "smtps") && url.has_host();
        if is_one { Ok(Self(url)) } else { Err(rule.to_owned()) }
    }

    fn to_json(&self) -> serde_json::Value {
        self.shown().into()
    }
}

impl Setting for WebhookUrl {
    fn from_text(text: &str) -> Result<Self, String> {
        let rule = "must be an https URL such as https://hooks.example.com/zenovay, or an http one on this machine (127.0.0.1, [::1] or \
                    localhost), without user and password";
        Self::read(text).ok_or_else(|| rule.to_owned())
    }

    fn to_json(&self) -> serde_json::Value {
        self.shown().into()
    }
}

impl Setting for String {
    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) }
    }

    fn to_json(&self) -> serde_json::Value {
        self.as_str().into()
    }
}

impl Setting for BucketName {
    fn from_text(text: &str) -> Result<Self, String> {
        let rule = "must be the name of a bucket: 3 to 63 small letters, digits, - and .";
        Self::read(text).ok_or_else(|| rule.to_owned())
    }

    fn to_json(&self) -> serde_json::Value {
        self.as_str().into()
    }
}

impl Setting for BucketPrefix {
    fn from_text(text: &str) -> Result<Self, String> {
        let rule = "must be letters, digits, -, _ and ., with / between parts, such as zenovay/replays";
        Self::read(text).ok_or_else(|| rule.to_owned())
    }

    fn to_json(&self) -> serde_json::Value {
        self.as_str().into()
    }
}

impl Setting for Secret {
    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(Self(text.to_owned())) }
    }

    fn to_json(&self) -> serde_json::Value {
        "***".into()
    }
}

choice!(BucketAddress, BucketAddress::Path = "path", BucketAddress::Host = "host");
choice!(BucketHttp, BucketHttp::Private = "private", BucketHttp::Anywhere = "anywhere");
choice!(SignUp, SignUp::Open = "open", SignUp::Invitation = "invitation", SignUp::Closed = "closed");
choice!(PlanChanges, PlanChanges::Owners = "owners", PlanChanges::Operator = "operator");
choice!(Plan, Plan::Free = "free", Plan::Pro = "pro", Plan::Scale = "scale", Plan::Enterprise = "enterprise");
choice!(NamesIssuer, NamesIssuer::On = "on", NamesIssuer::Off = "off");
choice!(StatusPage, StatusPage::Public = "public", StatusPage::SignedIn = "signed_in", StatusPage::Off = "off");
choice!(ResetFormat, ResetFormat::Iso = "iso", ResetFormat::Unix = "unix");
choice!(
    tracing::Level,
    tracing::Level::ERROR = "error",
    tracing::Level::WARN = "warn",
    tracing::Level::INFO = "info",
    tracing::Level::DEBUG = "debug",
    tracing::Level::TRACE = "trace"
);
