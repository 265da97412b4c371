//! The table of all settings, from which everything else is made: one line a setting.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use ipnet::IpNet;
use zenovay_domain::{Plan, PlanTable};
use zenovay_redis::RedisUrl;

use super::bucket::{BucketAddress, BucketHttp, BucketName, BucketPrefix, Secret};
use super::error::{ConfigError, Effective};
use super::events::{EventsAck, EventsUrl};
use super::people::{NamesIssuer, PlanChanges, SignUp, SmtpUrl, StatusPage};
use super::place::BackupPlace;
use super::plans::read_plans;
use super::source::Source;
use super::values::{DatabaseUrl, LogFormat, Number, ResetFormat, Setting};
use super::webhook::WebhookUrl;
use crate::backup::BackupSchedule;

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
            pub(super) effective: Vec<Effective>,
        }

        /// The flags that every command takes.
        #[derive(Debug, Clone, Default, Args)]
        pub struct CommonFlags {
            /// The configuration file. Without it: zenovay.toml in the working directory, or else /etc/zenovay/zenovay.toml, when there
            /// is one.
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

            pub(super) fn build(mut source: Source<'_>, common: &CommonFlags, server: &ServerFlags) -> Result<Self, ConfigError> {
                let mut effective = Vec::new();
                $(let $common: $common_type = source.take(stringify!($common), common.$common.as_deref(), || $common_default, &mut effective)?;)*
                $(let $name: $type = source.take(stringify!($name), server.$name.as_deref(), || $default, &mut effective)?;)*
                let plans = read_plans(&mut source, &mut effective)?;
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
        /// Database of users, teams, websites and keys: sqlite://PATH, or postgres://USER:PASSWORD@HOST/DATABASE, best set as a variable or in the file [default: zenovay.db in the data directory]
        database_url: Option<DatabaseUrl> = None, "URL";
        /// ClickHouse servers that events are in: clickhouse://USER:PASSWORD@HOST:8123/DATABASE; needs database_url in PostgreSQL; best set as a variable or in the file [default: none, the data directory]
        events_url: Option<EventsUrl> = None, "URL";
    }
    server {
        /// Redis (7 or newer) or Valkey (8 or newer) that counts the limits of all servers: redis://USER:PASSWORD@HOST, rediss:// over TLS or unix:///PATH; needs a database_url of PostgreSQL; best set as a variable or in the file [default: none, counted in the process]
        redis_url: Option<RedisUrl> = None, "URL";
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
        /// Requests with an invalid key, and tries to sign in, per client address and minute [default: 30]
        auth_requests_per_minute: Requests = Number(30), "N";
        /// Who may make an account: open (anybody), invitation (whoever was invited into a team) or closed (nobody: accounts are made by the command line) [default: invitation]
        sign_up: SignUp = SignUp::Invitation, "WHO";
        /// Server that mail is sent over: smtps://USER:PASSWORD@HOST or smtp://HOST?tls=required; needs public_url and mail_from; best set as a variable or in the file [default: none, no mail]
        smtp_url: Option<SmtpUrl> = None, "URL";
        /// Address that mail comes from [default: none]
        mail_from: Option<String> = None, "ADDRESS";
        /// Plan of the teams that people make: free, pro, scale or enterprise [default: enterprise]
        new_team_plan: Plan = Plan::Enterprise, "PLAN";
        /// Who may change the plan of a team: owners, or operator (by the command line alone) [default: owners]
        plan_changes: PlanChanges = PlanChanges::Owners, "WHO";
        /// Who may see the status page: public, signed_in or off [default: public]
        status_page: StatusPage = StatusPage::Public, "WHO";
        /// Whether answers to MCP clients name the issuer (RFC 9207): on, or off for clients that refuse them then [default: on]
        oauth_iss: NamesIssuer = NamesIssuer::On, "ON|OFF";
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
        /// Memory that all queries may take together, in bytes; with less, questions about large websites take longer [default: an eighth of the memory, at most 64 MiB]
        query_memory_bytes: Option<Bytes> = None, "BYTES";
        /// Decoded columns that are kept in memory for the next query, in bytes [default: an eighth of the memory, at most 64 MiB]
        cache_bytes: Option<Bytes> = None, "BYTES";
        /// Different strings of one column that are kept for a website and UTC day; further ones are stored as (other) [default: 100000]
        distinct_values_per_day: Number<1, 10_000_000> = Number(100_000), "N";
        /// Days after which recordings of sessions are removed, if they are not removed before with everything else of that time; 0 for no such limit [default: 30]
        replay_days: Number<0, 3_650> = Number(30), "DAYS";
        /// Maximum size of all recordings of sessions, in bytes; beyond it the oldest are removed [default: 10737418240, 10 GiB]
        replay_bytes: Number<1_048_576, 0x4_0000_0000_0000> = Number(10 << 30), "BYTES";
        /// S3-compatible bucket for recordings of sessions that are over; needs a key [default: none, they stay in the data directory]
        replay_bucket: Option<BucketName> = None, "NAME";
        /// Where the bucket is, without its name [default: Amazon S3 in that region]
        replay_bucket_endpoint: Option<url::Url> = None, "URL";
        /// Region of the bucket [default: us-east-1]
        replay_bucket_region: String = "us-east-1".to_owned(), "REGION";
        /// What the names of all objects begin with, such as zenovay/replays [default: none]
        replay_bucket_prefix: Option<BucketPrefix> = None, "PREFIX";
        /// Where in an address the name of the bucket stands: path or host [default: path]
        replay_bucket_address: BucketAddress = BucketAddress::Path, "WHERE";
        /// Where the bucket may be spoken to by http: private (this machine and private addresses) or anywhere [default: private]
        replay_bucket_http: BucketHttp = BucketHttp::Private, "WHERE";
        /// Id of the key that reads, writes, deletes and lists objects of the bucket [default: none]
        replay_bucket_key_id: Option<String> = None, "ID";
        /// Secret of that key; best set as a variable or in the file [default: none]
        replay_bucket_secret: Option<Secret> = None, "SECRET";
        /// A file with that secret, instead [default: none]
        replay_bucket_secret_file: Option<PathBuf> = None, "FILE";
        /// Maximum time of one request to the bucket, in seconds [default: 30]
        replay_bucket_timeout_seconds: Number<1, 600> = Number(30), "SECONDS";
        /// Maximum size of chunks that wait to be moved to the bucket, in bytes; beyond it chunks are refused [default: 1073741824, 1 GiB]
        replay_waiting_bytes: Number<1_048_576, 0x100_0000_0000> = Number(1 << 30), "BYTES";
        /// Where the server makes backups by itself: a directory, on another disk if there is one, or s3://BUCKET/PREFIX [default: none, no backups]
        backup_dir: Option<BackupPlace> = None, "DIR";
        /// When it makes them: a time of day in UTC, such as 03:30, or a number of hours, such as 6h [default: 03:30]
        backup_schedule: BackupSchedule = BackupSchedule::Daily(12_600_000), "WHEN";
        /// Number of backups that it keeps; older ones are removed [default: 7]
        backup_keep: Number<1, 10_000> = Number(7), "N";
        /// Where the bucket of backups is, without its name [default: as for recordings, see replay_bucket_endpoint]
        backup_bucket_endpoint: Option<url::Url> = None, "URL";
        /// Region of the bucket of backups [default: as for recordings]
        backup_bucket_region: Option<String> = None, "REGION";
        /// Where in an address its name stands: path or host [default: as for recordings]
        backup_bucket_address: Option<BucketAddress> = None, "WHERE";
        /// Where it may be spoken to by http: private (this machine and private addresses) or anywhere [default: as for recordings]
        backup_bucket_http: Option<BucketHttp> = None, "WHERE";
        /// Id of the key that reads, writes, deletes and lists its objects [default: the key for recordings]
        backup_bucket_key_id: Option<String> = None, "ID";
        /// Secret of that key; best set as a variable or in the file [default: none]
        backup_bucket_secret: Option<Secret> = None, "SECRET";
        /// A file with that secret, instead [default: none]
        backup_bucket_secret_file: Option<PathBuf> = None, "FILE";
        /// Maximum time of one request to it, of 8 MiB at most, in seconds [default: as for recordings]
        backup_bucket_timeout_seconds: Option<Number<1, 600>> = None, "SECONDS";
        /// Where alerts are sent as JSON: an https URL, or an http one on this machine; best set as a variable or in the file [default: none]
        alert_webhook_url: Option<WebhookUrl> = None, "URL";
        /// Secret with which they are signed; best set as a variable or in the file [default: none, they are not signed]
        alert_webhook_secret: Option<Secret> = None, "SECRET";
        /// When events that go to ClickHouse are acknowledged: spooled (on the disk of this machine) or stored (ClickHouse has them) [default: spooled]
        events_ack: EventsAck = EventsAck::Spooled, "WHEN";
        /// Maximum size of events that wait for ClickHouse, in bytes; beyond it events are refused with 503 [default: 10737418240, 10 GiB]
        spool_bytes: Number<1_048_576, 0x4_0000_0000_0000> = Number(10 << 30), "BYTES";
        /// Number of recent events that are held in memory before they are written into a segment file [default: 131072]
        seal_rows: Number<1, 262_144> = Number(131_072), "N";
        /// Age at which recent events are written into a segment file even when they are few, in seconds [default: 3600]
        seal_age_seconds: Number<1, 604_800> = Number(3_600), "SECONDS";
    }
}
