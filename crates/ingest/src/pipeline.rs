//! The way of a hit: checked, allowed, named, enriched (DESIGN §3).

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use zenovay_domain::{
    Dimension, Dimensions, Event, EventFlags, EventKind, HostRefusal, InvalidSetting, SessionId, Timestamp, VisitorId,
    Website, WebsiteId, WebsiteRules,
};

use crate::agent::{Agent, AgentDigest, AgentParser};
use crate::batch::BatchItem;
use crate::bots::{self, BotClass, BotReason, Verdict};
use crate::dropped::{Dropped, DroppedAgent};
use crate::geo::GeoDatabase;
use crate::hints::ClientHints;
use crate::hit::{HitFields, Referrer};
use crate::identity::VisitorHasher;
use crate::json::Members;
use crate::language::first_language;
use crate::rules::{RulesCache, allows_bot};
use crate::sessions::{Client, Marks, Report, Restored, Sessions, Step, Visit};
use crate::source::{Channel, Origin, attribute_from};
use crate::text::trim;
use crate::{DropReason, Mends, Refusal, RefusalReason, Rejected, WebUrl};

/// How far in the past a client's time on `/e` is believed (DESIGN §3).
pub const BELIEVED_PAST_MS: i64 = 72 * 3_600_000;

/// How far in the future a client's time is believed: clocks differ.
pub const BELIEVED_FUTURE_MS: i64 = 60_000;

/// A hit or heartbeat as it arrived. Header values are as sent; `None` when the header is absent.
#[derive(Debug, Clone, Copy)]
pub struct Hit<'a> {
    /// The body, decoded by [`crate::decode_body`].
    pub body: &'a [u8],
    /// When it arrived.
    pub received_at: Timestamp,
    /// The same by the steady reading of the clock ([`zenovay_domain::Reading`]): the day whose salt names the visitor, and
    /// what open sessions are forgotten by.
    pub steady_at: Timestamp,
    /// The client's address, found by [`crate::client_ip`].
    pub ip: IpAddr,
    /// `Origin`.
    pub origin: Option<&'a str>,
    /// `Referer`.
    pub referer: Option<&'a str>,
    /// `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// `Accept-Language`.
    pub accept_language: Option<&'a str>,
    /// `Sec-GPC`.
    pub sec_gpc: Option<&'a str>,
    /// `DNT`.
    pub dnt: Option<&'a str>,
    /// `Sec-Purpose`, else `Purpose`.
    pub purpose: Option<&'a str>,
    /// `Sec-CH-UA` and its kind. They speak of `user_agent`.
    pub hints: ClientHints<'a>,
}

impl<'a> Hit<'a> {
    /// A hit without headers, from a clock that is believed.
    pub fn new(body: &'a [u8], ip: IpAddr, received_at: Timestamp) -> Self {
        Self {
            body,
            received_at,
            steady_at: received_at,
            ip,
            origin: None,
            referer: None,
            user_agent: None,
            accept_language: None,
            sec_gpc: None,
            dnt: None,
            purpose: None,
            hints: ClientHints::default(),
        }
    }

    /// The page that sent it. `Origin: null` names no page; `Referer` may.
    fn page(&self) -> Option<&'a str> {
        let given = |header: Option<&'a str>| header.map(trim).filter(|text| !text.is_empty() && *text != "null");
        given(self.origin).or_else(|| given(self.referer))
    }
}

/// An event that is to be stored.
#[derive(Debug, Clone, PartialEq)]
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

/// Turns hits into events. One for the whole server; all methods may be called from any thread.
#[derive(Debug)]
pub struct Pipeline {
    hasher: VisitorHasher,
    sessions: Sessions,
    agents: AgentParser,
    dropped: Dropped,
    geo: GeoDatabase,
    rules: RulesCache,
}

impl Pipeline {
    /// A pipeline that names visitors with `hasher` and places them with `geo`. Compiles the rules for user agents, which takes
    /// about a tenth of a second, so that the first hit need not.
    pub fn new(hasher: VisitorHasher, geo: GeoDatabase) -> Self {
        let agents = AgentParser::new();
        agents.parse("warm-up");
        let (sessions, dropped, rules) = (Sessions::new(), Dropped::default(), RulesCache::default());
        Self { hasher, sessions, agents, dropped, geo, rules }
    }

    /// The rules by which hits of `website` are judged, compiled when its settings change.
    ///
    /// # Errors
    /// When its settings cannot be used. A store refuses such settings.
    pub fn rules(&self, website: &Arc<Website>) -> Result<Arc<WebsiteRules>, InvalidSetting> {
        self.rules.get(website)
    }

    /// Draws and destroys daily salts, see [`VisitorHasher::rotate`]. To be called every minute.
    ///
    /// # Errors
    /// When the salts cannot be written.
    pub fn rotate_salts(&self, now: Timestamp) -> io::Result<()> {
        self.sessions.prune(now);
        self.hasher.rotate(now)
    }

    /// Goes on with a visit that was open before a restart.
    pub fn restore_visit(&self, rules: &WebsiteRules, visit: &OpenVisit<'_>) {
        let referrer = Referrer::read(Cow::Borrowed(visit.referrer));
        let origin = referrer.as_ref().map_or(Origin::NONE, |referrer| Origin::of(referrer.host(), referrer.address()));
        // Of a click on an advertisement the channel is stored, its id is not.
        let is_paid = [Channel::Paid, Channel::PaidSocial].iter().any(|paid| paid.as_str() == visit.channel);
        let click = if is_paid { Marks::ANY } else { 0 };
        let campaign = Marks::number(campaign_of_key(visit.campaign));
        let marks = Marks { campaign, click, referrer: origin.mark() };
        self.sessions.restore(Restored {
            site: rules.website(),
            visit: Visit { visitor: visit.visitor, session: visit.session, is_known: visit.is_known },
            began_at: visit.began_at,
            last_at: visit.last_at,
            day: rules.zone().civil_day(visit.last_at),
            marks,
        });
    }

    /// `POST /e/:code`: the event of a page or server.
    ///
    /// # Errors
    /// The one reason why there is no event.
    pub fn track(&self, hit: &Hit<'_>, rules: &WebsiteRules) -> Result<Accepted, Rejected> {
        self.read_and_enrich(hit, EventKind::Pageview, rules)
    }

    /// `POST /e/heartbeat/:code`: activity in a session (SPEC E5).
    ///
    /// # Errors
    /// The one reason why there is no heartbeat.
    pub fn heartbeat(&self, hit: &Hit<'_>, rules: &WebsiteRules) -> Result<Accepted, Rejected> {
        self.read_and_enrich(hit, EventKind::Heartbeat, rules)
    }

    fn read_and_enrich(&self, hit: &Hit<'_>, kind: EventKind, rules: &WebsiteRules) -> Result<Accepted, Rejected> {
        let (mut members, mut fields) = (Members::empty(""), HitFields::empty(kind));
        fields.read(hit.body, &mut members)?;
        self.enrich(hit, &fields, rules)
    }

    /// Everything after validation: origin, exclusions, privacy, identity, enrichment.
    ///
    /// # Errors
    /// The one reason why there is no event.
    pub fn enrich(&self, hit: &Hit<'_>, fields: &HitFields<'_>, rules: &WebsiteRules) -> Result<Accepted, Rejected> {
        check_origin(hit, fields, rules)?;
        let path = fields.url.as_ref().map_or("", WebUrl::path);
        check_exclusions(rules, Some(hit.ip), fields.kind, path)?;
        let user_agent = fields.user_agent.as_deref().or(hit.user_agent).unwrap_or("");
        // A server that tells the agent of its visitor has hints of its own.
        let from_header = hit.user_agent.is_some_and(|header| trim(header) == user_agent);
        let agent =
            if from_header { self.agents.parse_with(user_agent, &hit.hints) } else { self.agents.parse(user_agent) };
        let is_heartbeat = fields.kind == EventKind::Heartbeat;
        if !is_heartbeat && self.is_bot(hit, fields, &agent, rules) {
            return Err(DropReason::Bot.into());
        }
        // Pages see Do Not Track, too, and may choose to ignore it: then only the header says it. GPC they cannot ignore.
        let gpc = fields.opted_out || hit.sec_gpc.map(trim) == Some("1");
        if rules.settings().opt_out_on_gpc && (gpc || hit.dnt.map(trim) == Some("1")) {
            return Err(DropReason::GpcOptedOut.into());
        }
        let (at, clock_corrected) = believed(fields.at_ms, hit.received_at);
        let origin = origin(fields, rules);
        let step = step(fields, &origin, at, hit.steady_at, rules);
        let (site, names) = (rules.website(), self.hasher.names());
        let client = Client { names: &names, site, session_id: &fields.session_id };
        let known = fields.visitor_id.as_deref().filter(|_| !rules.settings().cookieless && !fields.cookieless && !gpc);
        let visit = match known {
            Some(id) => self.sessions.known(&client, id, true, step),
            None => self.sessions.unnamed(&client, fields.cookieless, !gpc, step, |before| {
                self.daily_visitor(site, hit, &agent.digest, at, before)
            })?,
        };
        let Some(Visit { visitor, session, is_known }) = visit else {
            // Only heartbeats have none. A crawler's page was dropped, and so it has none either.
            let is_bot = self.is_bot(hit, fields, &agent, rules);
            return Err(if is_bot { DropReason::Bot } else { DropReason::NoSession }.into());
        };
        let mut event = Event::new(fields.kind, at, visitor, session);
        if gpc {
            event.flags = event.flags.with(EventFlags::GPC_OPTED_OUT);
        }
        if !is_known {
            event.flags = event.flags.with(EventFlags::COOKIELESS);
        }
        let languages = if gpc { [None, None] } else { [fields.language.as_deref(), hit.accept_language] };
        let idempotency_key = fields.idempotency_key.as_deref().map(|id| names.event_id(visitor, id));
        let context = Context { ip: Some(hit.ip), agent: &agent, language: first_language(languages), gpc };
        self.describe(&mut event, fields, &origin, &context);
        Ok(Accepted { event, idempotency_key, clock_corrected, mends: fields.mends })
    }

    /// One event of a batch (SPEC E11), under the rules of its website. The caller has checked the key, and refused the batch
    /// by [`check_batch_privacy`] when the request says so.
    ///
    /// # Errors
    /// The one reason why there is no event.
    pub fn batch_event(
        &self,
        item: &BatchItem<'_>,
        rules: &WebsiteRules,
        received_at: Timestamp,
    ) -> Result<Accepted, Rejected> {
        let fields = &item.fields;
        let at = fields.at_ms.map_or(received_at, Timestamp::from_millis);
        if at.millis_since(received_at) > BELIEVED_FUTURE_MS {
            let problem = ("ts".to_owned(), "Must not be in the future".to_owned());
            return Err(Refusal::fields([problem].into()).into());
        }
        check_exclusions(rules, item.client_ip, fields.kind, fields.url.as_ref().map_or("", WebUrl::path))?;
        let user_agent = fields.user_agent.as_deref().unwrap_or("");
        let agent = self.agents.parse(user_agent);
        if agent.bot.class == BotClass::Crawler && self.drops_bot(rules, agent.bot, user_agent, received_at) {
            return Err(DropReason::Bot.into());
        }
        let (site, names) = (rules.website(), self.hasher.names());
        let origin = origin(fields, rules);
        let step = step(fields, &origin, at, received_at, rules);
        let client = Client { names: &names, site, session_id: &fields.session_id };
        let visit = self.sessions.known(&client, fields.visitor_id.as_deref().unwrap_or(""), false, step);
        let Some(Visit { visitor, session, .. }) = visit else { return Err(DropReason::NoSession.into()) };
        let mut event = Event::new(fields.kind, at, visitor, session);
        event.flags = EventFlags::SERVER_SENT;
        let language = first_language([item.accept_language.as_deref(), None]);
        self.describe(
            &mut event,
            fields,
            &origin,
            &Context { ip: item.client_ip, agent: &agent, language, gpc: false },
        );
        let idempotency_key = fields.idempotency_key.as_deref().map(|key| names.idempotency_key(site, key));
        Ok(Accepted { event, idempotency_key, clock_corrected: false, mends: fields.mends })
    }

    /// The visitor by today's salt, or by yesterday's while the session that it named goes on over midnight: one that the
    /// server stitches, or that of the visitor `before`.
    fn daily_visitor(
        &self,
        site: WebsiteId,
        hit: &Hit<'_>,
        agent: &AgentDigest,
        at: Timestamp,
        before: Option<VisitorId>,
    ) -> Result<VisitorId, Rejected> {
        let named = self.hasher.daily_visitor(site, hit.ip, agent, hit.steady_at);
        let (today, yesterday) = named.map_err(|_| {
            Refusal::new(RefusalReason::StoreUnavailable, "The daily salt cannot be written; try again soon")
        })?;
        let goes_on = |&visitor: &VisitorId| before == Some(visitor) || self.sessions.is_active(visitor, at);
        Ok(yesterday.filter(goes_on).unwrap_or(today))
    }

    /// A page's agent is judged in header and body, where general HTTP libraries stand for proxies in the header and for
    /// crawlers in the body. A server that sends events itself has an agent of its own choice: only crawlers' are dropped
    /// (S4). `agent` is what the body's agent says or, when it has none, the header's.
    fn is_bot(&self, hit: &Hit<'_>, fields: &HitFields<'_>, agent: &Agent, rules: &WebsiteRules) -> bool {
        let body = fields.user_agent.as_deref();
        let header = hit.user_agent.map(trim).filter(|header| !header.is_empty());
        let from_page = hit.page().is_some();
        let drops = |verdict, agent: &str| self.drops_bot(rules, verdict, agent, hit.received_at);
        let unseen = [
            fields.webdriver.then_some(BotReason::Webdriver),
            hit.purpose.is_some_and(bots::is_prefetch).then_some(BotReason::Prefetch),
        ];
        let told = body.or(header).unwrap_or("");
        if unseen.into_iter().flatten().any(|reason| drops(Verdict::crawler(reason, ""), told)) {
            return true;
        }
        if let Some(body) = body {
            let library = from_page && agent.bot.class == BotClass::Library;
            if (library || agent.bot.class == BotClass::Crawler) && drops(agent.bot, body) {
                return true;
            }
            // A server's own agent says nothing of its visitor, and the same text in both places is the rule.
            if !from_page || header == Some(body) {
                return false;
            }
        }
        let Some(header) = header else {
            return from_page && drops(Verdict::crawler(BotReason::NoAgent, ""), "");
        };
        let verdict = if body.is_some() { self.agents.parse(header).bot } else { agent.bot };
        verdict.class == BotClass::Crawler && drops(verdict, header)
    }

    /// Whether a hit with the user agent `agent` is dropped by `verdict`, which is counted, or is let through by the
    /// website.
    fn drops_bot(&self, rules: &WebsiteRules, verdict: Verdict, agent: &str, at: Timestamp) -> bool {
        let drops = !allows_bot(rules, verdict, agent);
        if drops {
            self.dropped.count(rules.website(), verdict, agent, at);
        }
        drops
    }

    /// What was dropped as a bot since the last call. Counts that cannot be kept are to be handed to
    /// [`give_back`](Self::give_back_dropped_agents).
    pub fn take_dropped_agents(&self) -> Vec<DroppedAgent> {
        self.dropped.take()
    }

    /// Takes counts back until the next [`take`](Self::take_dropped_agents).
    pub fn give_back_dropped_agents(&self, counts: Vec<DroppedAgent>) {
        self.dropped.give_back(counts);
    }

    /// Fills in the texts.
    fn describe(&self, event: &mut Event, fields: &HitFields<'_>, origin: &Origin<'_>, context: &Context<'_>) {
        let dimensions = &mut event.dimensions;
        let path = fields.url.as_ref().map_or("", WebUrl::path);
        // The other texts have some 110 bytes together.
        *dimensions = Dimensions::with_capacity(160 + path.len() + fields.title.len() + fields.properties.len());
        let mut set = |dimension, value: &str| {
            if !value.is_empty() {
                dimensions.set(dimension, value);
            }
        };
        let page_host = fields.url.as_ref().map_or("", WebUrl::host);
        set(Dimension::Path, path);
        set(Dimension::Hostname, page_host);
        set(Dimension::Title, &fields.title);
        set(Dimension::EventName, &fields.event_name);
        let anonymous = if context.gpc { fields.anonymous_properties.as_deref() } else { None };
        set(Dimension::Properties, anonymous.unwrap_or(&fields.properties));

        let attribution = attribute_from(origin, &fields.campaign);
        set(Dimension::Referrer, origin.address);
        set(Dimension::Source, attribution.source);
        set(Dimension::Channel, attribution.channel.as_str());
        let campaign = &fields.campaign;
        set(Dimension::UtmSource, &campaign.source);
        set(Dimension::UtmMedium, &campaign.medium);
        set(Dimension::UtmCampaign, &campaign.name);
        set(Dimension::UtmTerm, &campaign.term);
        set(Dimension::UtmContent, &campaign.content);

        if let Some(ip) = context.ip {
            let place = self.geo.lookup(ip);
            set(Dimension::Country, &place.country);
            set(Dimension::Region, &place.region);
            set(Dimension::City, &place.city);
        }

        let agent = context.agent;
        let browser = specific(&fields.browser).unwrap_or(&agent.browser);
        set(Dimension::Browser, browser);
        if browser.eq_ignore_ascii_case(&agent.browser) {
            set(Dimension::BrowserVersion, &agent.browser_version);
        }
        let os = specific(&fields.os).unwrap_or(&agent.os);
        set(Dimension::Os, os);
        if os.eq_ignore_ascii_case(&agent.os) {
            set(Dimension::OsVersion, &agent.os_version);
        }
        set(Dimension::Device, device_class(&fields.device_type).unwrap_or(agent.device));
        set(Dimension::ScreenClass, fields.screen_width.map_or("", screen_class));
        set(Dimension::Language, context.language.as_deref().unwrap_or(""));

        event.engagement_ms = fields.engagement_ms;
        event.scroll_percent = fields.scroll_percent;
    }
}

/// Refuses a whole batch that came with `Sec-GPC: 1` (SPEC E4).
///
/// # Errors
/// [`RefusalReason::GpcOptedOut`].
pub fn check_batch_privacy(sec_gpc: Option<&str>) -> Result<(), Refusal> {
    if sec_gpc.map(trim) == Some("1") {
        return Err(Refusal::new(RefusalReason::GpcOptedOut, "gpc_opted_out"));
    }
    Ok(())
}

/// A visit that was open when the last process ended, as it is stored.
#[derive(Debug, Clone, Copy)]
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

/// The site that referred to a page, when it is not the website itself.
fn origin<'a>(fields: &'a HitFields<'_>, rules: &WebsiteRules) -> Origin<'a> {
    let page_host = fields.url.as_ref().map_or("", WebUrl::host);
    let is_foreign = |host: &str| host != page_host && !rules.is_own_host(host);
    let foreign = fields.referrer.as_ref().filter(|referrer| is_foreign(referrer.host()));
    foreign.map_or(Origin::NONE, |referrer| Origin::of(referrer.host(), referrer.address()))
}

/// What `fields` say about the visit they belong to.
fn step(
    fields: &HitFields<'_>,
    origin: &Origin<'_>,
    at: Timestamp,
    received_at: Timestamp,
    rules: &WebsiteRules,
) -> Step {
    let (report, marks) = match fields.kind {
        EventKind::Heartbeat => (Report::Heartbeat, Marks::default()),
        kind => {
            let report = if kind == EventKind::Pageview { Report::Pageview } else { Report::Event };
            let campaign = &fields.campaign;
            let named = if campaign.is_tagged() { Marks::number(&campaign.key()) } else { 0 };
            (report, Marks { campaign: named, click: campaign.click, referrer: origin.mark() })
        }
    };
    Step { report, at, received_at, day: rules.zone().civil_day(at), marks }
}

/// What [`Campaign::key`](crate::Campaign::key) says; empty for no campaign.
fn campaign_of_key(key: &str) -> &str {
    if key.bytes().all(|byte| byte == 0x1f) { "" } else { key }
}

/// What is known of an event beside its fields.
struct Context<'a> {
    ip: Option<IpAddr>,
    agent: &'a Agent,
    language: Option<Cow<'a, str>>,
    gpc: bool,
}

/// SPEC E2. A request that names no page is judged by the `url` in its body, so that servers can send events (S4).
fn check_origin(hit: &Hit<'_>, fields: &HitFields<'_>, rules: &WebsiteRules) -> Result<(), Refusal> {
    let Some(page) = hit.page() else {
        return match &fields.url {
            Some(url) if rules.check_host(url.host()).is_ok() => Ok(()),
            // A heartbeat extends a session of this website or none: its session id is hashed with the website.
            None if fields.kind == EventKind::Heartbeat => Ok(()),
            _ => Err(Refusal::new(RefusalReason::OriginMissing, "Missing request origin")),
        };
    };
    // Nearly every page reports itself: its host is read already.
    if let Some(url) = fields.url.as_ref().filter(|url| url.origin() == page)
        && rules.check_host(url.host()).is_ok()
    {
        return Ok(());
    }
    let host = WebUrl::parse(page);
    let refused = match host.as_ref().map(|url| rules.check_host(url.host())) {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(HostRefusal::Local)) => RefusalReason::LocalhostNotAllowed,
        Ok(Err(HostRefusal::Foreign)) | Err(_) => RefusalReason::DomainNotAuthorized,
    };
    Err(Refusal::new(refused, "Domain not authorized for this tracking code"))
}

fn check_exclusions(rules: &WebsiteRules, ip: Option<IpAddr>, kind: EventKind, path: &str) -> Result<(), Rejected> {
    if !rules.settings().is_active {
        return Err(DropReason::Paused.into());
    }
    if ip.is_some_and(|ip| rules.excludes_address(ip)) {
        return Err(DropReason::ExcludedIp.into());
    }
    if rules.excludes_path(path) {
        return Err(DropReason::ExcludedPath.into());
    }
    let wanted = match kind {
        EventKind::OutboundLink => rules.settings().track_outbound_links,
        EventKind::FileDownload => rules.settings().track_downloads,
        _ => true,
    };
    if wanted { Ok(()) } else { Err(DropReason::KindOff.into()) }
}

/// The time of an event, and whether the client's was not believed.
fn believed(client_ms: Option<i64>, received_at: Timestamp) -> (Timestamp, bool) {
    let Some(at) = client_ms.map(Timestamp::from_millis) else { return (received_at, false) };
    let ahead = at.millis_since(received_at);
    if (-BELIEVED_PAST_MS..=BELIEVED_FUTURE_MS).contains(&ahead) { (at, false) } else { (received_at, true) }
}

/// `text` when it says something.
fn specific(text: &str) -> Option<&str> {
    let text = trim(text);
    let vague = ["", "unknown", "other", "undefined", "null", "n/a", "-"];
    (!vague.iter().any(|word| text.eq_ignore_ascii_case(word)) && !text.chars().any(char::is_control)).then_some(text)
}

fn device_class(text: &str) -> Option<&'static str> {
    let text = trim(text);
    ["desktop", "mobile", "tablet"].into_iter().find(|class| text.eq_ignore_ascii_case(class))
}

/// The class of a screen `width` pixels wide; the bounds are those that CSS frameworks made common.
fn screen_class(width: f64) -> &'static str {
    match width {
        w if w < 1.0 => "",
        w if w < 576.0 => "xs",
        w if w < 768.0 => "sm",
        w if w < 992.0 => "md",
        w if w < 1200.0 => "lg",
        _ => "xl",
    }
}

#[cfg(test)]
mod tests;
