//! The life of a server: it takes the data directory, opens what is stored, listens, and leaves everything on disk when
//! it is told to stop.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpResponse, HttpServer, web};
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use zenovay_capture::Captures;
use zenovay_domain::{Clock, GuardedClock, SystemClock};
use zenovay_events::{EventStore, OpenError};
use zenovay_ingest::{GeoDatabase, GeoError, MemorySessions, Pipeline, VisitorHasher};
use zenovay_redis::RedisSessions;
use zenovay_store::{Metadata, StoreError};

use crate::backends::{OpenCapturesError, OpenEventsError};
use crate::backup::{self, BackupError, Scheduled};
use crate::causes::with_causes;
use crate::claim::Claim;
use crate::config::{Config, EventsUrl, PostgresUrl, SmtpUrl};
use crate::control::Control;
use crate::data_dir::{self, DataDirError, ServerLock};
use crate::erasures::Erasures;
use crate::http::connection::{self, Connections};
use crate::http::state::AppState;
use crate::keepers::Keepers;
use crate::mail::{Mail, MailError};
use crate::maintenance::Maintenance;
use crate::passkeys::Passkeys;
use crate::process_figures::free_bytes;
use crate::recordings::Recordings;
use crate::shared_limits::SharedLimits;
use crate::upgrade::{self, UpgradeError};
use crate::{alerts, backends, bootstrap, http, outages, quota_mail, shared_visitors, telemetry};

/// Connections that wait to be accepted. More than the kernel's default limit of 4,096 has no effect on Linux.
const BACKLOG: u32 = 4_096;

/// What the kernel keeps for a client that does not take it. It counts about twice as much, and without a bound lets it grow
/// to megabytes for each connection.
const SEND_BUFFER_BYTES: usize = 64 * 1_024;

/// Why the server did not start, or ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The metadata cannot be used.
    #[error("metadata: {}", told_about_metadata(.0))]
    Metadata(#[from] StoreError),
    /// Another server has the metadata.
    #[error(
        "another zenovay server has the PostgreSQL database of database_url ({other}): stop it first. {}; that of a machine that is gone is \
         forgotten after 15 seconds",
        why_alone(.missing)
    )]
    Claimed {
        /// Where it is.
        other: String,
        /// The settings that this one lacks to be one of several.
        missing: Vec<&'static str>,
    },
    /// The event store cannot be opened.
    #[error("event store: {cause}{hint}", cause = with_causes(.0), hint = what_to_do(.0))]
    Events(#[from] OpenError),
    /// Events are in ClickHouse and cannot be used, or are elsewhere than the settings say.
    #[error("{0}")]
    EventsElsewhere(OpenEventsError),
    /// What pages captured beside events cannot be used.
    #[error(transparent)]
    Captures(#[from] OpenCapturesError),
    /// The salts that visitors are named with cannot be used.
    #[error("salts: {0}")]
    Salts(std::io::Error),
    /// Redis refuses what is asked of it.
    #[error("redis_url: {0}")]
    Redis(#[from] zenovay_redis::OpenError),
    /// The geo database cannot be used.
    #[error("geo database: {0}{cause}", cause = cause_of(.0))]
    Geo(#[from] GeoError),
    /// Mail cannot be sent as it is configured.
    #[error("mail: {0}")]
    Mail(#[from] MailError),
    /// Backups cannot be made as it is configured.
    #[error("backups: {0}")]
    Backups(Box<BackupError>),
    /// What an earlier version stored cannot be kept before it is changed.
    #[error("before the upgrade: {0}")]
    Upgrade(UpgradeError),
    /// The address is taken or not of this machine.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        cause: std::io::Error,
    },
    /// The machine refused something a server needs.
    #[error("the server failed: {0}")]
    Io(#[from] std::io::Error),
}

impl From<OpenEventsError> for ServeError {
    fn from(error: OpenEventsError) -> Self {
        match error {
            OpenEventsError::DataDir(error) => Self::Events(error),
            error => Self::EventsElsewhere(error),
        }
    }
}

impl From<UpgradeError> for ServeError {
    fn from(error: UpgradeError) -> Self {
        match error {
            UpgradeError::Events(error) => Self::Events(error),
            UpgradeError::DataDir(error) => Self::DataDir(error),
            error => Self::Upgrade(error),
        }
    }
}

/// With less than this on the disk of the data directory it is full for a server that starts.
const START_BYTES: u64 = 4 << 20;

impl ServeError {
    /// What is told of it when the server with the settings `config` did not start: where nothing is free on the disk of its data also
    /// that, for SQLite calls it an I/O error.
    pub fn told(&self, config: &Config) -> String {
        let is_of_disk = match self {
            Self::DataDir(DataDirError::Unusable { .. })
            | Self::Metadata(_)
            | Self::Events(_)
            | Self::Captures(_)
            | Self::Salts(_)
            | Self::Upgrade(_)
            | Self::Io(_) => true,
            Self::DataDir(_)
            | Self::Claimed { .. }
            | Self::EventsElsewhere(_)
            | Self::Redis(_)
            | Self::Geo(_)
            | Self::Mail(_)
            | Self::Backups(_)
            | Self::Listen { .. } => false,
        };
        let free = free_bytes(&config.data_dir).filter(|_| is_of_disk);
        told_of_start(self, free, &config.data_dir)
    }
}

fn told_of_start(error: &ServeError, free_bytes: Option<u64>, data_dir: &Path) -> String {
    match free_bytes {
        Some(..START_BYTES) => {
            let directory = data_dir.display();
            format!(
                "{error}. The disk of {directory} is full: make room and start it again; `df -h {directory}` says how much is free. \
                 Nothing that was acknowledged is lost"
            )
        }
        _ => error.to_string(),
    }
}

/// Why the metadata cannot be used, and what to do about it.
pub(crate) fn told_about_metadata(error: &StoreError) -> String {
    let what_to_do = match error {
        StoreError::Damaged(_) => ". Put a copy of zenovay.db back; `zenovay check` says whether it is whole",
        _ => "",
    };
    with_causes(error) + what_to_do
}

/// Why two servers cannot have the same database.
fn why_alone(missing: &[&str]) -> String {
    if missing.is_empty() {
        return "It has no events_url or no redis_url, and with that it has to be alone".to_owned();
    }
    let missing = missing.join(" and ");
    format!("Several servers at a time need database_url, events_url and redis_url, and this one has no {missing}")
}

/// What is wrong with the geo database, after its name.
fn cause_of(error: &GeoError) -> String {
    std::error::Error::source(error).map_or_else(String::new, |cause| format!(": {cause}"))
}

/// The end of the line that says why the event store cannot be opened.
fn what_to_do(error: &OpenError) -> &'static str {
    match error {
        OpenError::Damaged { .. } | OpenError::NoCatalog { .. } | OpenError::Strangers { .. } => {
            ". Nothing was changed: put the right file back, or run `zenovay repair`"
        }
        _ => "",
    }
}

/// How long a server that starts waits for a PostgreSQL server that does not answer yet, as where both start with the machine.
const METADATA_PATIENCE: Duration = Duration::from_secs(30);

/// The stores of a server, and the lock that makes it the only one on them.
pub struct Stores {
    /// Users, teams, websites, keys.
    pub metadata: Arc<dyn Metadata>,
    /// Events.
    pub events: Arc<dyn EventStore>,
    /// What pages captured beside events.
    pub captures: Arc<Captures>,
    /// Which visitors were erased.
    pub erasures: Arc<Erasures>,
    /// The clock that both are kept by.
    pub clock: Arc<GuardedClock>,
    /// That no other server uses the metadata.
    pub claim: Arc<Claim>,
    lock: ServerLock,
}

impl Stores {
    /// Takes the data directory of `config` and opens what is in it; what is missing is made, what is old is migrated.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn open(config: &Config) -> Result<Self, ServeError> {
        data_dir::create(&config.data_dir)?;
        let lock = ServerLock::acquire(&config.data_dir)?;
        data_dir::expect_metadata(config)?;
        let prepared = upgrade::prepare(config)?;
        match Self::open_with(config, lock) {
            Ok(stores) => {
                prepared.finish()?;
                if let Err(error) = backup::erase_again(&stores) {
                    tracing::error!(%error, "visitors who were erased after the backup that was restored are there until this is mended");
                }
                Ok(stores)
            }
            Err(error) => {
                // It is opened first: nothing was changed.
                if matches!(error, ServeError::Metadata(StoreError::NewerSchema(_))) {
                    prepared.give_up()?;
                }
                Err(error)
            }
        }
    }

    /// The same for what was just restored.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn open_restored(config: &Config) -> Result<Self, ServeError> {
        Self::open_with(config, ServerLock::acquire(&config.data_dir)?)
    }

    /// All that keeps data of websites and visitors.
    pub fn keepers(&self) -> Keepers {
        let (events, captures) = (Arc::clone(&self.events), Arc::clone(&self.captures));
        Keepers::new(self.metadata.clone(), events, captures, Arc::clone(&self.erasures))
    }

    fn open_with(config: &Config, lock: ServerLock) -> Result<Self, ServeError> {
        // Before the database is brought up to date: another server may use it.
        backends::wait_for_metadata(config, METADATA_PATIENCE)?;
        let claim = Arc::new(Claim::make(config)?);
        let metadata = backends::open_metadata(config)?;
        if let Some(url) = config.postgres_url()
            && let Err(error) = data_dir::note_postgres(&config.data_dir, url)
        {
            tracing::warn!(%error, "the data directory does not say that its metadata are in PostgreSQL");
        }
        let clock = Arc::new(GuardedClock::new(Arc::new(SystemClock), metadata.clock_memory()?));
        let captures = backends::open_captures(config)?;
        let events = backends::open_events(config, clock.clone(), Arc::clone(&captures))?;
        clock.begin(events.newest());
        let erasures = Arc::new(Erasures::new(&config.data_dir, clock.clone()));
        Ok(Self { metadata, events, captures, erasures, clock, claim, lock })
    }
}

/// How long a thread of a server runs while another one waits for its core. With the kernel's own 1.4 to 3 ms whoever asked for
/// little waited six times as long beside somebody who asked for much (docs/decisions/0012-queries-give-way.md).
const SLICE: Duration = Duration::from_micros(100);

/// Has the kernel share the cores out in short pieces. Called before any thread is started, for those that are started have the same.
pub(crate) fn take_short_slices() {
    match zenovay_slice::ask_for(SLICE) {
        Ok(Some(_)) => {}
        Ok(None) => tracing::debug!(
            "this kernel has slices of one length for all threads: 6.12 or newer gives servers shorter ones"
        ),
        Err(error) => tracing::debug!(%error, "the kernel does not give shorter slices"),
    }
}

/// Runs the server with the settings `config` until it is told to stop. Prints JSON, one object a line, when `json` says so.
///
/// # Errors
/// [`ServeError`] when it cannot start.
pub fn serve(config: &Config, json: bool) -> Result<(), ServeError> {
    telemetry::start_log(config.log_format, config.log_level);
    for name in &config.unknown_variables {
        tracing::warn!(name, "this environment variable is not a setting and has no effect");
    }
    take_short_slices();
    let stores = Stores::open(config)?;
    run(config, stores, json, |stores, url| {
        let (mut rng, now) = (rand::rng(), SystemClock.now());
        let Some(account) = bootstrap::create_account(&*stores.metadata, &mut rng, now)? else {
            return Ok(String::new());
        };
        let website = bootstrap::create_website(
            &*stores.metadata,
            &account,
            bootstrap::FIRST_DOMAIN,
            "My website",
            &config.plans,
            &mut rng,
            now,
        )?;
        Ok(if json {
            bootstrap::welcome_json(&account, &website, url)
        } else {
            bootstrap::welcome(&account, &website, url)
        })
    })
}

/// Listens, prints what `prepare` makes of the stores and the server's URL, says `listening on http://ADDR` (`json`: the
/// same as an object), and serves until SIGTERM or SIGINT. Then requests in flight are answered and the event store is shut down.
///
/// # Errors
/// [`ServeError`] when it cannot start.
pub fn run(
    config: &Config,
    stores: Stores,
    json: bool,
    prepare: impl FnOnce(&Stores, &str) -> Result<String, ServeError>,
) -> Result<(), ServeError> {
    let listener = listen(config.listen)?;
    let metrics_listener = config.metrics_listen.map(listen).transpose()?;
    if let Some(listener) = &metrics_listener {
        tracing::info!("metrics are on http://{}/metrics", listener.local_addr()?);
    }
    let address = listener.local_addr()?;
    let redis = SharedLimits::open(config, !stores.metadata.has_users()?)?;
    let ingest = Arc::new(pipeline(config, &stores.clock, redis.as_ref())?);
    let mut state = AppState::new(
        config,
        stores.clock.clone(),
        Arc::clone(&stores.metadata),
        Arc::clone(&stores.events),
        Arc::clone(&stores.captures),
        ingest,
    );
    state.claim = Arc::clone(&stores.claim);
    state.claim.tell();
    if config.postgres_url().is_some_and(PostgresUrl::is_in_plain) {
        tracing::warn!(
            "what is sent to the database of database_url may go over the network without TLS, where others may read it: add \
             sslmode=verify-full to the URL"
        );
    }
    if config.events_url.as_ref().is_some_and(EventsUrl::is_in_plain) {
        tracing::warn!(
            "what is sent to the servers of events_url, the password among it, goes over the network without TLS, where others may read \
             it: use a network of their own, or a proxy for TLS on this machine"
        );
    }
    for setting in config.passwords_in_flags() {
        let variable = setting.to_uppercase();
        tracing::warn!(
            "the password of {setting} is in a flag, where everybody on this machine can read it: set ZENOVAY_{variable}, or {setting} in the \
             configuration file"
        );
    }
    if let Some(redis) = &redis {
        redis.count_in(&mut state);
    }
    if config.is_of_several() {
        tracing::info!(
            "this is one of several servers: recordings, errors, clicks and web vitals are not taken, for they would be of one of them"
        );
    }
    state.mail = Mail::new(config)?.map(Arc::new);
    if config.smtp_url.as_ref().is_some_and(SmtpUrl::is_password_in_plain) {
        tracing::warn!(
            "the password of smtp_url goes over the network without TLS, where others may read it: write smtps://…, or \
             smtp://…?tls=required"
        );
    }
    state.people.has_mail = state.mail.is_some();
    let url = bootstrap::public_url(config, address);
    // Under the address that is printed for people, never under one that a request names.
    state.passkeys = bootstrap::for_people(&url).parse().ok().as_ref().and_then(Passkeys::at);
    state.issuer.clone_from(&url);
    let state = Arc::new(state);
    state.restore_sessions()?;
    state.directory.remember_valid_keys()?;
    if let Err(error) = state.alerts.save() {
        tracing::error!(%error, "who is told of alerts cannot be written down: after a restart they are told again");
    }

    // Only now, when nothing is left that is likely to fail: what it prints is not printed again.
    stores.lock.note_url(&url)?;
    print(&prepare(&stores, &url)?)?;
    let maintenance = Maintenance::start(Arc::clone(&state), Arc::clone(&stores.clock))?;
    let recordings = Recordings::start(Arc::clone(&state.captures), Arc::clone(&state.clock))?;
    let scheduled = Scheduled::start(config, &state.backups, state.clock.clone())?;
    let control = start_control(config, &state);
    let is_at_home = address.ip().is_loopback() && config.trusted_proxies.is_empty();
    if !state.session_cookie.is_over_https && !is_at_home {
        tracing::warn!(
            "public_url is not an https URL: people sign in over a connection that others may read, and their cookie is not \
             held to this host"
        );
    }
    if !http::assets::are_built() || !http::application::is_built() {
        tracing::warn!("built without its assets: run `just assets` and build again");
    }
    let served = actix_web::rt::System::new().block_on(async {
        let server = main_server(config, listener, Arc::clone(&state))?;
        let metrics_server =
            metrics_listener.map(|listener| metrics_server(listener, Arc::clone(&state))).transpose()?;
        let mut handles = vec![server.handle()];
        if let Some(server) = &metrics_server {
            handles.push(server.handle());
        }
        stop_on_signal(Arc::clone(&state.connections), handles)?;
        let listening = format!("http://{address}");
        print(&if json {
            format!("{}\n", serde_json::json!({ "listening": listening }))
        } else {
            format!("listening on {listening}\n")
        })?;
        if let Some(server) = metrics_server {
            actix_web::rt::spawn(server);
        }
        actix_web::rt::spawn(alerts::watch(Arc::clone(&state)));
        actix_web::rt::spawn(outages::watch(Arc::clone(&state)));
        if state.mail.is_some() {
            actix_web::rt::spawn(quota_mail::watch(Arc::clone(&state)));
        }
        server.await
    });

    // The workers are gone: nobody appends any more, and everything that was answered is durable.
    state.backups.cancel();
    if let Some(scheduled) = scheduled {
        scheduled.stop();
    }
    if let Some(control) = control {
        control.stop();
    }
    recordings.stop();
    maintenance.stop();
    if let Some(redis) = redis {
        redis.stop();
    }
    stores.events.shutdown();
    tracing::info!("stopped");
    Ok(served?)
}

/// Where the machine gives no socket the server does without: only the commands that need it fail.
fn start_control(config: &Config, state: &Arc<AppState>) -> Option<Control> {
    let started = Control::start(config, Arc::clone(state));
    started.inspect_err(|error| tracing::warn!(%error, "no command on visitors can be answered")).ok()
}

fn pipeline(config: &Config, clock: &GuardedClock, redis: Option<&SharedLimits>) -> Result<Pipeline, ServeError> {
    let now = clock.reading().steady;
    let geo = match &config.geo_database {
        Some(path) => GeoDatabase::open(path)?,
        None => GeoDatabase::embedded()?,
    };
    match redis.filter(|_| config.is_of_several()) {
        Some(redis) => {
            let hasher = shared_visitors::hasher(config, redis.server(), now).map_err(ServeError::Salts)?;
            Ok(Pipeline::new(hasher, RedisSessions::new(redis.server()), geo))
        }
        None => {
            let hasher = VisitorHasher::open(&config.data_dir, now).map_err(ServeError::Salts)?;
            Ok(Pipeline::new(hasher, MemorySessions::default(), geo))
        }
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).map_err(|cause| ServeError::Listen { address, cause })
}

/// The server of the application `state` on `listener`, with the limits of `config` on connections and on the time that
/// clients may take. Its future must be awaited.
///
/// # Errors
/// When the listener cannot be used.
pub fn main_server(
    config: &Config,
    listener: TcpListener,
    state: Arc<AppState>,
) -> std::io::Result<actix_web::dev::Server> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let connections = connections_per_worker(config.max_connections_per_core.as_usize(), cores);
    // Accepted connections inherit it.
    set_socket_send_buffer_size(&listener, SEND_BUFFER_BYTES)?;
    let server = Server::build()
        .workers(cores)
        .backlog(BACKLOG)
        .max_concurrent_connections(connections)
        .shutdown_timeout(config.shutdown_timeout_seconds.get())
        .disable_signals()
        .listen("main", listener, move || {
            connection::serve(Arc::clone(&state.connections), http::app(Arc::clone(&state)))
        })?;
    Ok(server.run())
}

/// A server with one page.
fn metrics_server(listener: TcpListener, state: Arc<AppState>) -> std::io::Result<actix_web::dev::Server> {
    let page = async |state: web::Data<AppState>| {
        let text = state.metrics.render(&*state.events);
        HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
    };
    let server = HttpServer::new(move || {
        App::new().app_data(web::Data::from(Arc::clone(&state))).route("/metrics", web::get().to(page))
    });
    Ok(server.workers(1).max_connections(64).disable_signals().listen(listener)?.run())
}

/// File descriptors that connections must leave for segments, databases and the log.
const RESERVED_FILES: usize = 256;

/// As many connections as are wanted, but never so many that the process runs out of file descriptors. The limit is
/// raised as far as the machine lets a process raise it.
fn connections_per_worker(wanted: usize, workers: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    if setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).is_err() {
        tracing::warn!("the limit on open files cannot be raised");
    }
    let Some(files) = getrlimit(Resource::Nofile).current else { return wanted };
    let possible = possible_connections(files, workers);
    if possible < wanted {
        tracing::info!(
            possible,
            wanted,
            "the limit on open files (ulimit -n) allows fewer connections per core than are configured"
        );
    }
    wanted.min(possible)
}

/// What `files` open files leave for the connections of each worker; at least a few, whatever the limit.
pub(crate) fn possible_connections(files: u64, workers: usize) -> usize {
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    (files.saturating_sub(RESERVED_FILES) / workers).max(16)
}

/// Prints to stdout, where scripts wait for the last line.
fn print(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Listens for SIGTERM and SIGINT on a thread of its own, because sealing keeps the main thread busy. The first signal
/// stops the servers after their requests; the second ends the process: what was acknowledged is on disk already.
fn stop_on_signal(connections: Arc<Connections>, handles: Vec<ServerHandle>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _inside = runtime.enter();
        [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?]
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(next(&mut signals));
        tracing::info!("shutting down: finishing requests and writing recent events; signal again to exit now");
        connections.drain();
        for handle in handles {
            // The command is sent by the call; the end of the server is awaited elsewhere.
            drop(handle.stop(true));
        }
        runtime.block_on(next(&mut signals));
        backends::leave();
        std::process::exit(1);
    })?;
    Ok(())
}

async fn next([terminate, interrupt]: &mut [Signal; 2]) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_stores() {
        assert_eq!(possible_connections(1_024, 2), 384);
        assert_eq!(possible_connections(100, 2), 16);
        assert_eq!(possible_connections(u64::MAX, 1), usize::MAX - RESERVED_FILES);
    }
}
