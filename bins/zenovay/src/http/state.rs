//! What the handlers share.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header;
use ipnet::IpNet;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use zenovay_auth::Secret;
use zenovay_capture::Captures;
use zenovay_domain::{Clock, EventFlags, KeyId, PlanTable, SESSION_GAP_MS, Timestamp, Website, WebsiteRules};
use zenovay_events::EventStore;
use zenovay_ingest::{OpenVisit, Pipeline, Refusal, RefusalReason};
use zenovay_limits::{Counts, MemoryCounts};
use zenovay_redis::Redis;
use zenovay_store::{CachedDirectory, Metadata, StoreError};

use crate::activity::{Activity, SlowQuestions};
use crate::alerts::Alerts;
use crate::backup::Backups;
use crate::bootstrap;
use crate::claim::Claim;
use crate::config::{Config, ResetFormat};
use crate::erasures::Erasures;
use crate::http::address_limit::AddressLimits;
use crate::http::body::Bodies;
use crate::http::capture::CaptureLimits;
use crate::http::connection::Connections;
use crate::http::console::hub::LiveHub;
use crate::http::console::settings::PeopleSettings;
use crate::http::cookies::SessionCookie;
use crate::http::event_quota::EventQuotas;
use crate::http::export::in_hand::FilesInHand;
use crate::http::hashing::Hashing;
use crate::http::invitation_mails::InvitationMails;
use crate::http::key_log::KeyLog;
use crate::http::latest_hits::LatestHits;
use crate::http::long_questions::{LongQuestions, Waits};
use crate::http::oauth::OAuth;
use crate::http::oauth::fetch::FromWebsites;
use crate::http::queries::QueryPool;
use crate::http::response_layer::ResponseLayer;
use crate::keepers::Keepers;
use crate::mail::Mail;
use crate::passkeys::Passkeys;
use crate::status::StatusWatch;
use crate::telemetry::Metrics;

/// One running server. Built once by `main`, and by every test for itself.
pub struct AppState {
    /// The time; in a server a [`zenovay_domain::GuardedClock`].
    pub clock: Arc<dyn Clock>,
    /// Users, teams, websites, keys, and who is signed in.
    pub store: Arc<dyn Metadata>,
    /// The look-ups of every request in `store`, cached and never out of date.
    pub directory: Arc<CachedDirectory>,
    /// The events.
    pub events: Arc<dyn EventStore>,
    /// What pages told beside events.
    pub captures: Arc<Captures>,
    /// Whether any of it is taken: it is not where it would be of one of several servers.
    pub takes_captures: bool,
    /// How much of that is taken.
    pub capture_limits: CaptureLimits,
    /// How many invitations are mailed.
    pub invitation_mails: InvitationMails,
    /// From request to event.
    pub ingest: Arc<Pipeline>,
    /// Requests per key and minute.
    pub keys: Arc<dyn Counts<KeyId>>,
    /// Requests per minute of keys whose plan has no API access, each of which is refused.
    pub refused_keys: Arc<dyn Counts<KeyId>>,
    /// Requests per client address.
    pub addresses: Arc<AddressLimits>,
    /// What the connections of the main address share.
    pub connections: Arc<Connections>,
    /// How often a key whose plan has no API access is told so, per minute.
    pub refusals_per_minute: u32,
    /// The Redis that the limits are counted in, if they are.
    pub redis: Option<Redis>,
    /// That no other server uses the metadata.
    pub claim: Arc<Claim>,
    /// Whether the main address answers `/metrics` to this machine: no other address does, and no proxy is known.
    pub has_local_metrics: bool,
    /// What happens on websites at this moment, for those who watch.
    pub live: Arc<LiveHub>,
    /// Where queries run.
    pub queries: QueryPool,
    /// The questions of the console that are not answered at once.
    pub long_questions: Arc<LongQuestions>,
    /// The long files that are being made.
    pub files_in_hand: FilesInHand,
    /// The metrics of the process.
    pub metrics: Metrics,
    /// The numbers of the plans.
    pub plans: PlanTable,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The host, and the port unless it is 443, under which browsers reach the server over HTTPS.
    pub https_host: Option<String>,
    /// The origin under which clients of `/mcp` reach the server, without a slash at the end: as it is configured, or else the
    /// address that it listens on. It is the issuer of their tokens.
    pub issuer: String,
    /// What is known of clients of `/mcp`, and what they are told.
    pub oauth: OAuth,
    /// The origin under which browsers reach the server, when it is configured.
    pub public_origin: Option<String>,
    /// The cookie of people who are signed in.
    pub session_cookie: SessionCookie,
    /// Where passwords are hashed.
    pub hashing: Hashing,
    /// The requests of keys that are not stored yet.
    pub key_log: KeyLog,
    /// Passkeys, where the address of the server allows them.
    pub passkeys: Option<Passkeys>,
    /// How mail is sent, if it is.
    pub mail: Option<Arc<Mail>>,
    /// How many events teams stored in their months.
    pub event_quotas: EventQuotas,
    /// What the server did in the last hours.
    pub activity: Activity,
    /// Who was told of what is wrong with the installation.
    pub alerts: Alerts,
    /// Which visitors were erased.
    pub erasures: Arc<Erasures>,
    /// Makes backups of what is stored.
    pub backups: Arc<Backups>,
    /// How the parts of the server are.
    pub status: StatusWatch,
    /// What the operator decided about people.
    pub people: PeopleSettings,
    /// Where secrets and ids come from.
    pub random: Mutex<StdRng>,
    /// How `X-RateLimit-Reset` is written.
    pub reset_format: ResetFormat,
    /// The longest batch, decoded.
    pub batch_body_bytes: usize,
    /// The memory for bodies.
    pub bodies: Bodies,
    /// How the latest hits came.
    pub latest_hits: LatestHits,
    /// The settings, for `zenovay doctor`.
    pub config: Config,
    /// Held by who looks what is wrong with the server.
    pub doctor_turn: tokio::sync::Mutex<()>,
    /// When the server was started.
    pub started_at: Timestamp,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
}

impl AppState {
    /// The state of a server with the settings `config` over these stores.
    pub fn new(
        config: &Config,
        clock: Arc<dyn Clock>,
        store: Arc<dyn Metadata>,
        events: Arc<dyn EventStore>,
        captures: Arc<Captures>,
        ingest: Arc<Pipeline>,
    ) -> Self {
        let query_time = Duration::from_secs(config.query_timeout_seconds.get());
        let https_host = config.public_url.as_ref().filter(|url| url.scheme() == "https").map(|url| {
            let host = url.host_str().unwrap_or_default();
            url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
        });
        let reset_format = config.ratelimit_reset_format;
        let layer = ResponseLayer { clock: Arc::clone(&clock), https_host: https_host.clone(), reset_format };
        let erasures = Arc::new(Erasures::new(&config.data_dir, Arc::clone(&clock)));
        let backups =
            Backups::new(config, Arc::clone(&clock), Arc::clone(&events), Arc::clone(&captures), Arc::clone(&erasures));
        let started_at = clock.reading().steady;
        let mut waits = Waits::default();
        if config.is_of_several() {
            // Another server would be asked for the answer.
            waits.at_once = query_time.saturating_mul(2);
        }
        let slow = Arc::new(SlowQuestions::new(Arc::clone(&clock)));
        Self {
            clock,
            directory: Arc::new(CachedDirectory::new(store.clone())),
            store,
            queries: QueryPool::new(Arc::clone(&events), query_time, config.query_memory_bytes(), slow),
            events,
            captures,
            takes_captures: !config.is_of_several(),
            capture_limits: CaptureLimits::default(),
            invitation_mails: InvitationMails::default(),
            ingest,
            live: Arc::default(),
            long_questions: Arc::new(LongQuestions::new(waits)),
            files_in_hand: FilesInHand::default(),
            keys: Arc::new(MemoryCounts::new()),
            refused_keys: Arc::new(MemoryCounts::new()),
            addresses: Arc::new(AddressLimits::new(config, |class| {
                Arc::new(MemoryCounts::with_max_bytes(class.max_bytes()))
            })),
            metrics: Metrics::install(&config.data_dir),
            // Its gauge is on the page from the start: after the line above.
            connections: Arc::new(Connections::new(config, layer)),
            refusals_per_minute: config.auth_requests_per_minute.as_u32(),
            redis: None,
            claim: Arc::default(),
            has_local_metrics: config.metrics_listen.is_none()
                && config.public_url.is_none()
                && config.trusted_proxies.is_empty(),
            plans: config.plans.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
            session_cookie: SessionCookie { is_over_https: https_host.is_some() },
            oauth: OAuth::new(config, Arc::new(FromWebsites), rand::random()),
            issuer: bootstrap::public_url(config, config.listen),
            public_origin: config.public_url.as_ref().map(|url| url.origin().ascii_serialization()),
            hashing: Hashing::default(),
            key_log: KeyLog::default(),
            passkeys: config.public_url.as_ref().and_then(Passkeys::at),
            mail: None,
            activity: Activity::default(),
            alerts: Alerts::open(config),
            erasures,
            backups: Arc::new(backups),
            status: StatusWatch::default(),
            event_quotas: EventQuotas::default(),
            people: PeopleSettings::new(config),
            random: Mutex::new(StdRng::from_rng(&mut rand::rng())),
            https_host,
            reset_format,
            batch_body_bytes: config.batch_body_bytes.as_usize(),
            bodies: Bodies::default(),
            latest_hits: LatestHits::default(),
            config: config.clone(),
            doctor_turn: tokio::sync::Mutex::default(),
            started_at,
            body_timeout: Duration::from_secs(config.request_timeout_seconds.get()),
        }
    }

    /// All that keeps data of websites and visitors.
    pub fn keepers(&self) -> Keepers {
        let (events, captures) = (Arc::clone(&self.events), Arc::clone(&self.captures));
        Keepers::new(self.store.clone(), events, captures, Arc::clone(&self.erasures))
    }

    /// Where browsers reach the server, without a slash at the end: as it is configured, or else as whoever asks does. Only for
    /// answers to those who asked.
    pub fn url_of(&self, req: &HttpRequest) -> String {
        self.public_origin.clone().unwrap_or_else(|| {
            let host = req.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
            format!("http://{host}")
        })
    }

    /// The one resource that tokens are made for.
    pub fn mcp_url(&self) -> String {
        format!("{}/mcp", self.issuer)
    }

    /// Where it is said how to get a token for it (RFC 9728).
    pub fn resource_metadata_url(&self) -> String {
        format!("{}/.well-known/oauth-protected-resource/mcp", self.issuer)
    }

    /// A new secret.
    pub fn new_secret(&self) -> Secret {
        Secret::generate(&mut *self.random.lock())
    }

    /// Random bytes, for an id or a hash.
    pub fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.lock().fill_bytes(&mut bytes);
        bytes
    }

    /// The outermost layer of the application.
    pub fn response_layer(&self) -> ResponseLayer {
        ResponseLayer {
            clock: Arc::clone(&self.clock),
            https_host: self.https_host.clone(),
            reset_format: self.reset_format,
        }
    }

    /// The rules by which hits of `website` are judged.
    ///
    /// # Errors
    /// `Internal` when the stored settings cannot be used; the store refuses such settings.
    pub fn rules(&self, website: &Arc<Website>) -> Result<Arc<WebsiteRules>, Refusal> {
        self.ingest.rules(website).map_err(|error| {
            tracing::error!(website = %website.id, %error, "settings that cannot be used");
            Refusal::new(RefusalReason::Internal, "The website's settings cannot be used")
        })
    }

    /// Lets the sessions that were open when the last process ended go on: a visit is not counted anew because of
    /// a restart. To be called once, before the first request.
    ///
    /// # Errors
    /// When websites cannot be read.
    pub fn restore_sessions(&self) -> Result<(), StoreError> {
        let since = self.clock.reading().steady.plus_millis(-SESSION_GAP_MS);
        for session in self.events.recent_sessions(since) {
            let Some(rules) = self.directory.website(session.website)?.and_then(|website| self.rules(&website).ok())
            else {
                continue;
            };
            let mut visit = OpenVisit::new(session.visitor, session.session, session.began_at, session.last_at);
            visit.is_known = !session.flags.contains(EventFlags::COOKIELESS);
            visit.campaign = &session.campaign;
            visit.referrer = &session.referrer;
            visit.channel = &session.channel;
            let restored = self.ingest.restore_visit(&rules, &visit);
            restored.map_err(|error| StoreError::Unavailable(error.into()))?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for AppState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppState").finish_non_exhaustive()
    }
}
