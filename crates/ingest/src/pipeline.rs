//! The way of a record from its body to an event. The steps stand here once and in one order for whatever arrives: a
//! page's hit, a heartbeat, a row of a batch, and what else a page may send one day.
//!
//! What comes before them waits for disk or network and so is the server's: the size of the body, the tracking code, and the limit
//! of the address.

mod bot;
mod enrich;
mod exclusions;
mod origin;
mod privacy;
mod time;
mod visit;

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::sync::Arc;

use zenovay_domain::{
    Event, EventKind, InvalidSetting, Reading, SessionId, Timestamp, VisitorId, Website, WebsiteId, WebsiteRules,
};

pub use self::privacy::check_batch_privacy;
pub use self::time::{BELIEVED_FUTURE_MS, BELIEVED_PAST_MS, capture_time};

use self::bot::BotFilter;
use self::privacy::Privacy;
use self::time::RecordTime;
use self::visit::{Identity, Subject};
use crate::agent::Agent;
use crate::arrival::{Arrival, Sender};
use crate::batch::BatchRow;
use crate::capture::{CaptureFields, CaptureKind, Captured};
use crate::dropped::DroppedAgent;
use crate::geo::{GeoDatabase, GeoError};
use crate::hit::{CommonFields, HitFields, ParsedHit, Referrer};
use crate::identity::VisitorHasher;
use crate::marks::Marks;
use crate::record::Hit;
use crate::rules::RulesCache;
use crate::session_store::{MemorySessions, SessionStore, SessionStoreError};
use crate::sessions::{Activity, Restored, Sessions, Visit};
use crate::source::{Channel, Origin};
use crate::{DropReason, Mends, Rejected};

/// Why there is no [`Pipeline`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The system gives no random numbers, or the salts cannot be read or kept.
    #[error("the salts of visitors' names cannot be used")]
    Salts(#[source] io::Error),
    /// The geo database cannot be used.
    #[error("there is no geo database")]
    Geo(#[from] GeoError),
}

/// An event that is to be stored.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Accepted {
    /// The event, or heartbeat.
    pub event: Event,
    /// The digest of the client's `event_id` or `idempotencyKey`, unique within the website.
    pub idempotency_key: Option<[u8; 16]>,
    /// Whether the client's time was not believed and the time of arrival stands.
    pub clock_corrected: bool,
    /// What else was changed in it.
    pub mends: Mends,
}

/// Turns records into events. One for the whole server; all methods may be called from any thread.
///
/// ```
/// use zenovay_ingest::{Arrival, Dimension, Hit, Pipeline, Timestamp, WebsiteRules};
///
/// let now: Timestamp = "2026-06-13T12:00:00Z".parse()?;
/// let pipeline = Pipeline::in_memory(now)?;
/// let rules = WebsiteRules::for_domain("example.com")?;
/// let mut arrival = Arrival::from_address("8.8.8.8".parse()?, now);
/// arrival.user_agent = Some("MyServer/1.0");
/// let hit = Hit::pageview("https://example.com/pricing", "session-4711");
/// let event = pipeline.track_hit(&arrival, hit, &rules)?.event;
/// assert_eq!(event.dimensions.get(Dimension::Path), "/pricing");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Where it waits
/// Everything but one thing is done in memory, without waiting. **The salt of a day** is drawn by the first hit of a new UTC day,
/// or 30 minutes into it to destroy the one before: that waits for the disk where salts are kept in a file
/// ([`Pipeline::open`]), or for whatever a [`SaltStore`](crate::SaltStore) or [`SessionStore`] of your own waits for
/// ([`may_block`](Self::may_block)). In
/// asynchronous code, ask [`has_salts`](Self::has_salts) before a hit and have [`rotate_salts`](Self::rotate_salts) done on a
/// thread that may wait; a task that calls it every minute keeps hits from ever meeting it.
#[derive(Debug)]
pub struct Pipeline {
    hasher: VisitorHasher,
    sessions: Sessions,
    bots: BotFilter,
    geo: GeoDatabase,
    rules: RulesCache,
}

/// A record that the website takes: what is known of it before its visitor is named.
struct Admitted<'a> {
    arrival: &'a Arrival<'a>,
    kind: EventKind,
    common: &'a CommonFields<'a>,
    rules: &'a WebsiteRules,
    agent: Arc<Agent>,
    privacy: Privacy,
    time: RecordTime,
}

/// What every kind of record is stored with: who sent it when, with which browser, in whose visit.
struct Context<'a> {
    arrival: &'a Arrival<'a>,
    agent: Arc<Agent>,
    privacy: Privacy,
    time: RecordTime,
    identity: Identity,
}

impl Pipeline {
    /// A pipeline that keeps everything in memory, for one process: visitors without an id of their own are strangers after
    /// it ends. Countries are those of the embedded database, where the feature `countries` is on.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn in_memory(now: Timestamp) -> Result<Self, SetupError> {
        let hasher = VisitorHasher::in_memory(now).map_err(SetupError::Salts)?;
        Ok(Self::new(hasher, MemorySessions::default(), GeoDatabase::of_this_build()?))
    }

    /// The same with its salts in a file in `dir`, see [`FileSalts`](crate::FileSalts): visitors keep their names when the
    /// process starts anew. Reads and writes the file; waits for the disk.
    ///
    /// # Errors
    /// When the file cannot be read or written or is damaged, or the system gives no random numbers.
    pub fn open(dir: &Path, now: Timestamp) -> Result<Self, SetupError> {
        let hasher = VisitorHasher::open(dir, now).map_err(SetupError::Salts)?;
        Ok(Self::new(hasher, MemorySessions::default(), GeoDatabase::of_this_build()?))
    }

    /// A pipeline that names visitors with `hasher`, keeps their open sessions in `sessions` and finds their countries in `geo`.
    /// Compiles the rules for user agents, which takes as long as a great many hits, so that the first hit need not.
    pub fn new(hasher: VisitorHasher, sessions: impl SessionStore + 'static, geo: GeoDatabase) -> Self {
        Self { hasher, sessions: Sessions::new(sessions), bots: BotFilter::new(), geo, rules: RulesCache::default() }
    }

    /// The rules by which hits of `website` are judged, compiled when its settings change.
    ///
    /// # Errors
    /// When its settings cannot be used. A store refuses such settings.
    pub fn rules(&self, website: &Arc<Website>) -> Result<Arc<WebsiteRules>, InvalidSetting> {
        self.rules.get(website)
    }

    /// Whether hits that arrive at `now`, a steady reading, find the salt of their day; otherwise
    /// [`rotate_salts`](Self::rotate_salts), which waits for the disk, is due before the next one is judged.
    pub fn has_salts(&self, now: Timestamp) -> bool {
        self.hasher.is_ready(now)
    }

    /// Draws and destroys daily salts, see [`VisitorHasher::rotate`]. To be called every minute. Waits for the disk where salts
    /// are kept in a file.
    ///
    /// # Errors
    /// When the salts cannot be written.
    pub fn rotate_salts(&self, now: Timestamp) -> io::Result<()> {
        self.sessions.prune(now);
        self.hasher.rotate(now)
    }

    /// Whether each hit may wait, as for sessions in another process; then hits are not judged on a thread that serves others.
    pub fn may_block(&self) -> bool {
        self.sessions.may_block()
    }

    /// The visitor who is known to `site` by `client_id`, an id that its client sent.
    pub fn known_visitor(&self, site: WebsiteId, client_id: &str) -> VisitorId {
        self.hasher.known_visitor(site, client_id)
    }

    /// The event of a page or server, from its body ([`format`](crate::format)), decoded by [`crate::decode_body`]. May wait
    /// for the disk once a day, see [the type](Self#where-it-waits).
    ///
    /// # Errors
    /// The one reason why there is no event, with the fields that are to blame.
    pub fn track(&self, arrival: &Arrival<'_>, body: &[u8], rules: &WebsiteRules) -> Result<Accepted, Rejected> {
        let mut parsed = ParsedHit::empty();
        parsed.read(body)?;
        self.track_parsed(arrival, &mut parsed, rules)
    }

    /// The event of a page or server, field by field instead of as a body.
    ///
    /// # Errors
    /// Those of [`Pipeline::track`].
    pub fn track_hit<'a>(
        &self,
        arrival: &Arrival<'a>,
        hit: Hit<'a>,
        rules: &WebsiteRules,
    ) -> Result<Accepted, Rejected> {
        self.track_parsed(arrival, &mut hit.parsed(arrival.user_agent), rules)
    }

    /// The same for a body that was parsed already, to find its tracking code.
    ///
    /// # Errors
    /// Those of [`Pipeline::track`].
    pub fn track_parsed(
        &self,
        arrival: &Arrival<'_>,
        parsed: &mut ParsedHit<'_>,
        rules: &WebsiteRules,
    ) -> Result<Accepted, Rejected> {
        self.validate_and_accept(arrival, EventKind::Pageview, parsed, rules)
    }

    /// Activity in a session, from its body ([`format`](crate::format)).
    ///
    /// # Errors
    /// The one reason why there is no heartbeat.
    pub fn heartbeat(&self, arrival: &Arrival<'_>, body: &[u8], rules: &WebsiteRules) -> Result<Accepted, Rejected> {
        let mut parsed = ParsedHit::empty();
        parsed.read(body)?;
        self.heartbeat_parsed(arrival, &mut parsed, rules)
    }

    /// Activity in a session, field by field: [`Hit::heartbeat`].
    ///
    /// # Errors
    /// Those of [`Pipeline::heartbeat`].
    pub fn heartbeat_hit<'a>(
        &self,
        arrival: &Arrival<'a>,
        hit: Hit<'a>,
        rules: &WebsiteRules,
    ) -> Result<Accepted, Rejected> {
        self.heartbeat_parsed(arrival, &mut hit.parsed(arrival.user_agent), rules)
    }

    /// The same for a body that was parsed already, to find its tracking code.
    ///
    /// # Errors
    /// Those of [`Pipeline::heartbeat`].
    pub fn heartbeat_parsed(
        &self,
        arrival: &Arrival<'_>,
        parsed: &mut ParsedHit<'_>,
        rules: &WebsiteRules,
    ) -> Result<Accepted, Rejected> {
        self.validate_and_accept(arrival, EventKind::Heartbeat, parsed, rules)
    }

    fn validate_and_accept(
        &self,
        arrival: &Arrival<'_>,
        kind: EventKind,
        parsed: &mut ParsedHit<'_>,
        rules: &WebsiteRules,
    ) -> Result<Accepted, Rejected> {
        let mut fields = HitFields::empty(kind);
        parsed.validate(&mut fields)?;
        self.accept(arrival, &fields, rules)
    }

    /// One event of a batch, under the rules of its website. The caller has checked the key, and refused the batch
    /// by [`check_batch_privacy`] when the request says so.
    ///
    /// # Errors
    /// The one reason why there is no event.
    pub fn batch_row(&self, row: &BatchRow<'_>, reading: Reading, rules: &WebsiteRules) -> Result<Accepted, Rejected> {
        let arrival = Arrival {
            steady_at: reading.steady,
            accept_language: row.accept_language.as_deref(),
            ..Arrival::new(Sender::KeyHolder(row.client_ip), reading.now)
        };
        self.accept(&arrival, &row.fields, rules)
    }

    /// Everything after validation.
    ///
    /// # Errors
    /// The one reason why there is no event.
    pub fn accept(
        &self,
        arrival: &Arrival<'_>,
        fields: &HitFields<'_>,
        rules: &WebsiteRules,
    ) -> Result<Accepted, Rejected> {
        let admitted = self.admit(arrival, fields.kind, &fields.common, rules)?;
        let source = enrich::source(fields, rules);
        let context = self.identify(admitted, fields.marks(&source))?;
        Ok(enrich::event(&context, fields, &source, &self.geo))
    }

    /// Whose a capture of a page is, by what its body says: it goes the way of an event, and belongs to the visit of one. May
    /// wait for the disk once a day, see [the type](Self#where-it-waits).
    ///
    /// # Errors
    /// The one reason why it is not taken.
    pub fn capture(
        &self,
        arrival: &Arrival<'_>,
        kind: CaptureKind,
        fields: &CaptureFields<'_>,
        rules: &WebsiteRules,
    ) -> Result<Captured, Rejected> {
        if !kind.is_wanted(rules.settings()) {
            return Err(DropReason::EventKindDisabled.into());
        }
        // An error is an event of a page; so is what its speed was.
        let admitted = self.admit(arrival, EventKind::Error, &fields.common, rules)?;
        if kind.follows() && privacy::objects(arrival, admitted.privacy) {
            return Err(DropReason::GpcOptedOut.into());
        }
        let context = self.identify(admitted, Marks::default())?;
        Ok(enrich::captured(&context, fields, rules, &self.geo))
    }

    /// The digest of the id that a page gave a capture of `captured`.
    pub fn capture_key(&self, captured: &Captured, id: &str) -> [u8; 16] {
        self.hasher.names().event_id(captured.visitor, &format!("capture\0{}\0{id}", captured.website))
    }

    /// The steps that refuse or drop a record by what it says. A heartbeat of a bot has no visit, so nothing looks at its agent
    /// before that is known.
    fn admit<'a>(
        &self,
        arrival: &'a Arrival<'a>,
        kind: EventKind,
        common: &'a CommonFields<'a>,
        rules: &'a WebsiteRules,
    ) -> Result<Admitted<'a>, Rejected> {
        let time = time::settle(common.at_ms, arrival)?;
        origin::check(arrival, kind, common, rules)?;
        exclusions::check(arrival, kind, common, rules)?;
        let agent = self.bots.agent(arrival, common);
        if kind != EventKind::Heartbeat && self.bots.drops(arrival, common, &agent, rules) {
            return Err(DropReason::Bot.into());
        }
        let privacy = privacy::check(arrival, common, rules.settings())?;
        Ok(Admitted { arrival, kind, common, rules, agent, privacy, time })
    }

    /// Names the visitor and the visit of a record, which `marks` may begin.
    fn identify<'a>(&self, admitted: Admitted<'a>, marks: Marks) -> Result<Context<'a>, Rejected> {
        let Admitted { arrival, kind, common, rules, agent, privacy, time } = admitted;
        let activity = match kind {
            EventKind::Heartbeat => Activity::Heartbeat,
            EventKind::Pageview => Activity::Pageview,
            _ => Activity::Event,
        };
        let subject = Subject { arrival, common, agent: &agent.digest, privacy, at: time.at };
        match visit::identify(&self.hasher, &self.sessions, subject, (activity, marks), rules)? {
            Some(identity) => Ok(Context { arrival, agent, privacy, time, identity }),
            // Only heartbeats have none. A crawler's page was dropped, and so it has none either.
            None if self.bots.drops(arrival, common, &agent, rules) => Err(DropReason::Bot.into()),
            None => Err(DropReason::NoSession.into()),
        }
    }

    /// What was dropped as a bot since the last call. Counts that cannot be kept are to be handed to
    /// [`give_back`](Self::give_back_dropped_agents).
    pub fn take_dropped_agents(&self) -> Vec<DroppedAgent> {
        self.bots.dropped.take()
    }

    /// Takes counts back until the next [`take`](Self::take_dropped_agents).
    pub fn give_back_dropped_agents(&self, counts: Vec<DroppedAgent>) {
        self.bots.dropped.give_back(counts);
    }

    /// Goes on with a visit that was open before a restart.
    ///
    /// # Errors
    /// When the open sessions cannot be kept.
    pub fn restore_visit(&self, rules: &WebsiteRules, visit: &OpenVisit<'_>) -> Result<(), SessionStoreError> {
        let referrer = Referrer::read(Cow::Borrowed(visit.referrer));
        let source = referrer.as_ref().map_or(Origin::NONE, |referrer| Origin::of(referrer.host(), referrer.address()));
        // Of a click on an advertisement the channel is stored, its id is not.
        let is_paid = [Channel::Paid, Channel::PaidSocial].iter().any(|paid| paid.as_str() == visit.channel);
        let click = if is_paid { Marks::ANY } else { 0 };
        let campaign = Marks::number(campaign_of_key(visit.campaign));
        let marks = Marks { campaign, click, referrer: source.mark() };
        self.sessions.restore(Restored {
            site: rules.website(),
            visit: Visit { visitor: visit.visitor, session: visit.session, is_known: visit.is_known },
            began_at: visit.began_at,
            last_at: visit.last_at,
            day: rules.zone().civil_day(visit.last_at),
            marks,
        })
    }
}

/// A visit that was open when the last process ended, as it is stored.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct OpenVisit<'a> {
    /// Whose it is.
    pub visitor: VisitorId,
    /// Which it is.
    pub session: SessionId,
    /// Whether the visitor is known by an id of the client's.
    pub is_known: bool,
    /// When its first event happened.
    pub began_at: Timestamp,
    /// Its last activity.
    pub last_at: Timestamp,
    /// `utm_source`, `utm_medium` and `utm_campaign` of its first event, see [`Campaign::key`](crate::Campaign::key).
    pub campaign: &'a str,
    /// The referrer of its first event; empty when there is none.
    pub referrer: &'a str,
    /// The channel of its first event.
    pub channel: &'a str,
}

impl OpenVisit<'_> {
    /// The visit `session` of `visitor`, who is known by no id of the client's and was led here by nobody.
    pub fn new(visitor: VisitorId, session: SessionId, began_at: Timestamp, last_at: Timestamp) -> Self {
        Self { visitor, session, is_known: false, began_at, last_at, campaign: "", referrer: "", channel: "" }
    }
}

/// What [`Campaign::key`](crate::Campaign::key) says; empty for no campaign.
fn campaign_of_key(key: &str) -> &str {
    if key.bytes().all(|byte| byte == 0x1f) { "" } else { key }
}

#[cfg(test)]
mod tests;
