//! Which visit a hit or heartbeat belongs to, and whose that is: the visits that may still go on (SPEC E3).

use std::collections::HashMap;

use parking_lot::{Mutex, RwLock};
use zenovay_domain::{SESSION_GAP_MS, SessionId, Timestamp, VisitorId, WebsiteId};

use crate::identity::Names;

const SHARDS: usize = 16;

/// Entries kept in memory, all shards together: about 50 MB. A visit of a visitor with an id has one; one that the server
/// stitches has one more for each page.
const ENTRIES_MAX: usize = 458_752;

/// Parts of one visit that are remembered behind the latest, for events that come late.
const EARLIER_MAX: usize = 8;

/// Parts that are tried when a visit is recognised after a restart.
const PARTS_TRIED: u16 = 16;

/// What can begin a new visit, each as a number; 0 where there is none. See [`Marks::ANY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Marks {
    /// `utm_source`, `utm_medium` and `utm_campaign`.
    pub(crate) campaign: u32,
    /// The id of a click on an advertisement.
    pub(crate) click: u32,
    /// The site that referred, when it is another one and none that people only pass through.
    pub(crate) referrer: u32,
}

impl Marks {
    /// Stands in a visit that was restored for a mark that is not stored: every mark is taken for it.
    pub(crate) const ANY: u32 = u32::MAX;

    /// The number of `text`; 0 of the empty one.
    pub(crate) fn number(text: &str) -> u32 {
        if text.is_empty() { 0 } else { (xxhash_rust::xxh3::xxh3_64(text.as_bytes()) as u32).clamp(1, Self::ANY - 1) }
    }

    /// Whether a page with these marks comes from elsewhere than a visit that began with `first`.
    fn begin_another_visit(self, first: Self) -> bool {
        let differs = |new: u32, old: u32| new != 0 && old != Self::ANY && new != old;
        differs(self.campaign, first.campaign)
            || differs(self.click, first.click)
            || differs(self.referrer, first.referrer)
    }
}

/// What reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activity {
    /// A page was shown: only these begin a new visit by their marks.
    Pageview,
    /// Any other event.
    Event,
    /// Activity, which begins nothing.
    Heartbeat,
}

/// What a hit says that decides which visit it belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) activity: Activity,
    /// When it happened.
    pub(crate) at: Timestamp,
    /// When it arrived, by the steady reading of the clock.
    pub(crate) received_at: Timestamp,
    /// The civil day of `at` in the website's zone.
    pub(crate) day: i32,
    pub(crate) marks: Marks,
}

/// A client's names as one hit gives them.
#[derive(Clone, Copy)]
pub(crate) struct Client<'a> {
    pub(crate) names: &'a Names,
    pub(crate) site: WebsiteId,
    /// `session_id`.
    pub(crate) session_id: &'a str,
}

impl Client<'_> {
    /// The key of the session id, of which the lowest bits are in the ids of its visits, see [`Names::session`].
    fn key(&self) -> u64 {
        self.names.client_key(self.site, self.session_id)
    }

    fn session(&self, visitor: VisitorId, day: i32, part: u16) -> SessionId {
        self.names.session(self.site, visitor, self.session_id, day, part)
    }

    fn stitched(&self, visitor: VisitorId, began_at: Timestamp) -> SessionId {
        self.names.stitched_session(self.site, visitor, self.session_id, began_at)
    }
}

/// Whose a hit is, and in which visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visit {
    pub(crate) visitor: VisitorId,
    pub(crate) session: SessionId,
    /// Whether the visitor is known by an id of the client's.
    pub(crate) is_known: bool,
}

/// A visit that was open when the last process ended.
#[derive(Debug, Clone)]
pub(crate) struct Restored {
    pub(crate) site: WebsiteId,
    pub(crate) visit: Visit,
    pub(crate) began_at: Timestamp,
    pub(crate) last_at: Timestamp,
    /// The civil day in the website's zone.
    pub(crate) day: i32,
    pub(crate) marks: Marks,
}

/// One part of what a client calls one session: a visit.
#[derive(Debug, Clone, Copy)]
struct Part {
    began_at: Timestamp,
    session: SessionId,
    marks: Marks,
}

/// How an entry came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The client names the session; the visitor has an id.
    Known,
    /// The client names the session; the visitor is told by address and agent.
    Anonymous,
    /// The server stitches; under the visitor's id.
    Stitched,
    /// The server stitches; under the client's session id, only the visitor counts.
    Alias,
}

/// A visit that may go on.
#[derive(Debug, Clone)]
struct Open {
    visitor: VisitorId,
    last_at: Timestamp,
    latest: Part,
    /// The parts before the latest, oldest first. Nearly always none.
    earlier: Vec<Part>,
    day: i32,
    /// How many parts there were.
    parts: u16,
    kind: Kind,
    /// The key of the visitor id that hits of this visit name; 0 while none does.
    named: u64,
}

/// Keys are hashes with a secret seed: nobody can make many that meet.
type Entries = HashMap<u64, Open, foldhash::fast::RandomState>;

/// The visits that may still go on.
#[derive(Debug)]
pub(crate) struct Sessions {
    shards: [Mutex<Entries>; SHARDS],
    max_per_shard: usize,
    restored: RwLock<AllRestored>,
}

/// The visits of the last process that nobody has asked for.
#[derive(Debug, Default)]
struct AllRestored {
    /// By website and the lowest bits of the client's key.
    by_place: HashMap<(WebsiteId, u16), Vec<Restored>>,
    /// How many were taken in.
    count: usize,
}

/// Another key for a second visitor of one session id, in the same shard.
fn beside(key: u64, named: u64) -> u64 {
    key ^ (named << 16)
}

/// The key beside that of a session id for a visitor who asked not to be known while one with an id has it.
const UNKNOWN: u64 = 1;

impl Sessions {
    pub(crate) fn new() -> Self {
        Self::with_capacity(ENTRIES_MAX)
    }

    fn with_capacity(entries: usize) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shards, max_per_shard: (entries / SHARDS).max(2), restored: RwLock::default() }
    }

    fn shard(&self, key: u64) -> &Mutex<Entries> {
        // The key is a hash: its low bits are even.
        &self.shards[key as usize % SHARDS]
    }

    /// Takes in a visit of the last process.
    pub(crate) fn restore(&self, restored: Restored) {
        if !restored.visit.is_known {
            let key = restored.visit.visitor.0;
            let mut shard = self.shard(key).lock();
            if shard.get(&key).is_none_or(|open| open.last_at < restored.last_at) {
                let open = Open { kind: Kind::Stitched, ..Open::of(&restored, 0) };
                self.insert(&mut shard, key, open, restored.last_at);
            }
        }
        let place = (restored.site, restored.visit.session.0 as u16);
        let mut all = self.restored.write();
        if all.count < self.max_per_shard * SHARDS {
            all.count += 1;
            all.by_place.entry(place).or_default().push(restored);
        }
    }

    /// The visit of the last process that `client` goes on with.
    fn recognise(&self, client: &Client<'_>, key: u64, step: Step) -> Option<Open> {
        if self.restored.read().by_place.is_empty() {
            return None;
        }
        let place = (client.site, key as u16);
        let all = &mut self.restored.write().by_place;
        let found = all.get_mut(&place)?;
        found.retain(|old| goes_on(old.last_at, step.received_at));
        let is_his = |old: &Restored| {
            if old.day != step.day || !goes_on(old.last_at, step.at) {
                return None;
            }
            let Visit { visitor, session, .. } = old.visit;
            if !old.visit.is_known && client.stitched(visitor, old.began_at) == session {
                return Some(Open { kind: Kind::Alias, ..Open::of(old, 0) });
            }
            let part = (0..PARTS_TRIED).find(|&part| client.session(visitor, old.day, part) == session)?;
            Some(Open::of(old, part))
        };
        let taken = found.iter().enumerate().find_map(|(index, old)| Some((index, is_his(old)?)));
        let open = taken.map(|(index, open)| {
            found.swap_remove(index);
            open
        });
        if found.is_empty() {
            all.remove(&place);
        }
        open
    }

    /// Forgets what was restored and is over at `now`.
    pub(crate) fn prune(&self, now: Timestamp) {
        if !self.restored.read().by_place.is_empty() {
            self.restored.write().by_place.retain(|_, found| {
                found.retain(|old| goes_on(old.last_at, now));
                !found.is_empty()
            });
        }
    }

    /// The visit of a hit that names its visitor by `id`. `joins`: it also goes on with a running visit of its session id
    /// that no visitor id was named in. `None` for a heartbeat of a visit that there is not.
    pub(crate) fn known(&self, client: &Client<'_>, id: &str, joins: bool, step: Step) -> Option<Visit> {
        let key = client.key();
        let named = client.names.client_key(client.site, id) | 1;
        let own = beside(key, named);
        let mut shard = self.shard(key).lock();
        if let Some(open) = shard.get_mut(&key)
            && open.kind == Kind::Alias
            && joins
            && (open.named == 0 || open.named == named)
            && goes_on(open.last_at, step.at)
        {
            open.named = named;
            open.last_at = open.last_at.max(step.at);
            let visitor = open.visitor;
            drop(shard);
            if let Some(visit) = self.go_on_stitching(client, visitor, step) {
                return Some(visit);
            }
            shard = self.shard(key).lock();
        }
        let is_free = |open: &Open| joins && open.named == 0 && open.kind == Kind::Anonymous;
        if let Some(open) = shard.get_mut(&key).filter(|open| open.day == step.day)
            && (goes_on(open.last_at, step.at) && is_free(open) || open.named == named && open.takes(step))
        {
            open.named = named;
            return Some(open.advance(client, step));
        }
        if let Some(open) = shard.get_mut(&own).filter(|open| open.day == step.day && open.takes(step)) {
            return Some(open.advance(client, step));
        }
        let visitor = client.names.known_visitor(client.site, id);
        if let Some(open) = self.recognise(client, key, step) {
            self.insert(&mut shard, key, open, step.received_at);
        }
        let is_running = |open: &&mut Open| goes_on(open.last_at, step.at);
        let (mut slot, mut went_on) = (key, false);
        if let Some(open) = shard.get_mut(&key).filter(is_running) {
            if open.day == step.day && (open.visitor == visitor || is_free(open)) {
                open.named = named;
                return Some(open.advance(client, step));
            }
            if open.named != named {
                slot = own;
            }
            went_on = open.named == named;
        }
        went_on |= shard.get_mut(&own).is_some_and(|open| goes_on(open.last_at, step.at));
        if step.activity == Activity::Heartbeat && !went_on {
            return None;
        }
        let open = Open::begin(visitor, Kind::Known, client.session(visitor, step.day, 0), step);
        let visit = open.visit();
        self.insert(&mut shard, slot, Open { named, ..open }, step.received_at);
        Some(visit)
    }

    /// The visit of a hit that names no visitor: the running one of its session id, else one of the visitor that `who` tells
    /// who is told whose session of this id went on before midnight, which the server stitches together when the client `stitches` none itself. `may_be_known`: the running one may be that
    /// of a visitor with an id. `None` for a heartbeat of a visit that there is not.
    ///
    /// # Errors
    /// Those of `who`.
    pub(crate) fn unnamed<E>(
        &self,
        client: &Client<'_>,
        stitches: bool,
        may_be_known: bool,
        step: Step,
        who: impl FnOnce(Option<VisitorId>) -> Result<VisitorId, E>,
    ) -> Result<Option<Visit>, E> {
        let mut key = client.key();
        let (mut alias, mut before) = (None, None);
        {
            let mut shard = self.shard(key).lock();
            if shard.get(&key).is_some_and(|open| open.kind == Kind::Known && !may_be_known) {
                key = beside(key, UNKNOWN);
            }
            if !shard.contains_key(&key)
                && let Some(open) = self.recognise(client, key, step)
                && (may_be_known || open.kind != Kind::Known)
            {
                self.insert(&mut shard, key, open, step.received_at);
            }
            if let Some(open) = shard.get_mut(&key).filter(|open| goes_on(open.last_at, step.at)) {
                before = Some(open.visitor);
                if open.kind == Kind::Alias {
                    open.last_at = open.last_at.max(step.at);
                    alias = Some(open.visitor);
                } else if open.day == step.day {
                    return Ok(Some(open.advance(client, step)));
                }
            }
        }
        if let Some(visitor) = alias
            && let Some(visit) = self.go_on_stitching(client, visitor, step)
        {
            return Ok(Some(visit));
        }
        let visitor = who(before)?;
        if stitches || alias.is_some() {
            let visit = self.stitch(client, visitor, step);
            if visit.is_some() {
                let alias = Open::begin(visitor, Kind::Alias, SessionId(0), step);
                self.insert(&mut self.shard(key).lock(), key, alias, step.received_at);
            }
            return Ok(visit);
        }
        let mut shard = self.shard(key).lock();
        if let Some(open) = shard.get_mut(&key)
            && open.day == step.day
            && (goes_on(open.last_at, step.at) || open.visitor == visitor && open.takes(step))
        {
            return Ok(Some(open.advance(client, step)));
        }
        if step.activity == Activity::Heartbeat && before.is_none() {
            return Ok(None);
        }
        let open = Open::begin(visitor, Kind::Anonymous, client.session(visitor, step.day, 0), step);
        let visit = open.visit();
        self.insert(&mut shard, key, open, step.received_at);
        Ok(Some(visit))
    }

    /// Whether the server stitches a visit of `visitor` that goes on at `at`.
    pub(crate) fn is_active(&self, visitor: VisitorId, at: Timestamp) -> bool {
        self.shard(visitor.0).lock().get(&visitor.0).is_some_and(|open| goes_on(open.last_at, at))
    }

    /// The stitched visit of `visitor` when one goes on at `step` on its day.
    fn go_on_stitching(&self, client: &Client<'_>, visitor: VisitorId, step: Step) -> Option<Visit> {
        let mut shard = self.shard(visitor.0).lock();
        let open = shard.get_mut(&visitor.0)?;
        (open.day == step.day && goes_on(open.last_at, step.at)).then(|| open.advance(client, step))
    }

    /// The stitched visit of `visitor`, begun when none goes on.
    fn stitch(&self, client: &Client<'_>, visitor: VisitorId, step: Step) -> Option<Visit> {
        let mut shard = self.shard(visitor.0).lock();
        let mut went_on = false;
        if let Some(open) = shard.get_mut(&visitor.0).filter(|open| goes_on(open.last_at, step.at)) {
            if open.day == step.day {
                return Some(open.advance(client, step));
            }
            went_on = true;
        }
        if step.activity == Activity::Heartbeat && !went_on {
            return None;
        }
        let open = Open::begin(visitor, Kind::Stitched, client.stitched(visitor, step.at), step);
        let visit = open.visit();
        self.insert(&mut shard, visitor.0, open, step.received_at);
        Some(visit)
    }

    fn insert(&self, shard: &mut Entries, key: u64, open: Open, now: Timestamp) {
        if shard.len() >= self.max_per_shard && !shard.contains_key(&key) {
            shard.retain(|_, other| goes_on(other.last_at, now));
            if shard.len() >= self.max_per_shard {
                // Still full: the half that was silent longest goes.
                let mut times: Vec<Timestamp> = shard.values().map(|other| other.last_at).collect();
                let middle = times.len() / 2;
                let (_, median, _) = times.select_nth_unstable(middle);
                let median = *median;
                shard.retain(|_, other| other.last_at > median);
            }
        }
        shard.insert(key, open);
    }
}

impl Open {
    fn begin(visitor: VisitorId, kind: Kind, session: SessionId, step: Step) -> Self {
        let latest = Part { began_at: step.at, session, marks: step.marks };
        Self { visitor, last_at: step.at, latest, earlier: Vec::new(), day: step.day, parts: 0, kind, named: 0 }
    }

    fn of(restored: &Restored, part: u16) -> Self {
        let Restored { visit, began_at, last_at, day, marks, .. } = *restored;
        let kind = if visit.is_known { Kind::Known } else { Kind::Anonymous };
        let latest = Part { began_at, session: visit.session, marks };
        Self { visitor: visit.visitor, last_at, latest, earlier: Vec::new(), day, parts: part, kind, named: 0 }
    }

    /// Whether `step` is of a session that its client names, however long it was silent. A heartbeat wakes none.
    fn takes(&self, step: Step) -> bool {
        step.activity != Activity::Heartbeat || goes_on(self.last_at, step.at)
    }

    fn visit(&self) -> Visit {
        Visit { visitor: self.visitor, session: self.latest.session, is_known: self.kind == Kind::Known }
    }

    /// The visit that `step` belongs to: the part in which it happened, or a new one when a page was shown that another source
    /// led to (SPEC E3).
    fn advance(&mut self, client: &Client<'_>, step: Step) -> Visit {
        let is_late = step.at < self.latest.began_at;
        let part = if !is_late || step.activity == Activity::Heartbeat {
            self.last_at = self.last_at.max(step.at);
            self.latest
        } else {
            self.earlier(step.at)
        };
        let is_new = step.activity == Activity::Pageview && step.marks.begin_another_visit(part.marks);
        // What happened between two parts stays where it is: the visit after it has begun already.
        let begins = is_new && (!is_late || step.at < part.began_at);
        if !begins {
            if step.at < part.began_at && step.activity != Activity::Heartbeat {
                self.earliest().began_at = step.at;
            }
            return Visit { session: part.session, ..self.visit() };
        }
        self.parts = self.parts.saturating_add(1);
        let session = match self.kind {
            Kind::Stitched | Kind::Alias => client.stitched(self.visitor, step.at),
            Kind::Known | Kind::Anonymous => client.session(self.visitor, self.day, self.parts),
        };
        let fresh = Part { began_at: step.at, session, marks: step.marks };
        let earlier = &mut self.earlier;
        if is_late {
            earlier.insert(0, fresh);
        } else {
            earlier.push(std::mem::replace(&mut self.latest, fresh));
        }
        if earlier.len() > EARLIER_MAX {
            earlier.remove(0);
        }
        Visit { session, ..self.visit() }
    }

    /// The part in which something happened at `at`, before the latest; the first when it was before all.
    fn earlier(&self, at: Timestamp) -> Part {
        let containing = self.earlier.iter().rev().find(|part| part.began_at <= at);
        *containing.or(self.earlier.first()).unwrap_or(&self.latest)
    }

    fn earliest(&mut self) -> &mut Part {
        self.earlier.first_mut().unwrap_or(&mut self.latest)
    }
}

fn goes_on(last_at: Timestamp, at: Timestamp) -> bool {
    at.millis_since(last_at).unsigned_abs() < SESSION_GAP_MS.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VisitorHasher;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    const MINUTE_MS: i64 = 60_000;

    fn site() -> WebsiteId {
        WebsiteId::from_random_bytes([1; 16])
    }

    fn hasher() -> VisitorHasher {
        VisitorHasher::in_memory(Timestamp::from_millis(0), StdRng::seed_from_u64(1)).unwrap()
    }

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(minutes * MINUTE_MS)
    }

    fn marks(campaign: &str) -> Marks {
        Marks { campaign: Marks::number(campaign), ..Marks::default() }
    }

    fn step(activity: Activity, minutes: i64, day: i32, marks: Marks) -> Step {
        Step { activity, at: at(minutes), received_at: at(minutes), day, marks }
    }

    /// The stitched visit of `visitor`, whose pages have a session id each.
    fn stitch(sessions: &Sessions, visitor: u64, minutes: i64, day: i32, campaign: &str) -> u64 {
        let hasher = hasher();
        let (names, page) = (hasher.names(), format!("page {visitor} {minutes}"));
        let client = Client { names: &names, site: site(), session_id: &page };
        let step = step(Activity::Pageview, minutes, day, marks(campaign));
        let visit = sessions.unnamed(&client, true, true, step, |_| Ok::<_, ()>(VisitorId(visitor)));
        visit.unwrap().unwrap().session.0
    }

    #[test]
    fn thirty_minutes_of_silence_midnight_and_a_new_campaign_begin_a_stitched_visit() {
        let sessions = Sessions::new();
        let first = stitch(&sessions, 1, 0, 0, "");
        assert_eq!(stitch(&sessions, 1, 29, 0, ""), first);
        assert_eq!(stitch(&sessions, 1, 58, 0, ""), first, "silence counts from the last activity");
        let second = stitch(&sessions, 1, 88, 0, "");
        assert_ne!(second, first);
        assert_ne!(stitch(&sessions, 1, 89, 1, ""), second, "midnight");
        let campaign = stitch(&sessions, 1, 90, 1, "a");
        assert_eq!(stitch(&sessions, 1, 91, 1, "a"), campaign);
        assert_eq!(stitch(&sessions, 1, 92, 1, ""), campaign, "own links carry no campaign");
        assert_ne!(stitch(&sessions, 1, 93, 1, "b"), campaign);
        assert_ne!(stitch(&sessions, 2, 93, 1, ""), stitch(&sessions, 1, 93, 1, ""));
    }

    #[test]
    fn a_stitched_event_that_comes_late_stays_in_its_visit() {
        let sessions = Sessions::new();
        let first = stitch(&sessions, 1, 60, 0, "");
        assert_eq!(stitch(&sessions, 1, 50, 0, ""), first);
        assert_eq!(stitch(&sessions, 1, 85, 0, ""), first);
    }

    /// The visits of the reports of one client session, as their numbers in the order of their first reports.
    fn visits(reports: &[(Activity, i64, Marks)]) -> Vec<usize> {
        let (sessions, hasher) = (Sessions::new(), hasher());
        let names = hasher.names();
        let client = Client { names: &names, site: site(), session_id: "session" };
        let mut seen = Vec::new();
        let number = |&(activity, minutes, marks): &(Activity, i64, Marks)| {
            let visit = sessions.known(&client, "visitor", true, step(activity, minutes, 0, marks)).unwrap();
            seen.iter().position(|&known| known == visit.session).unwrap_or_else(|| {
                seen.push(visit.session);
                seen.len() - 1
            })
        };
        reports.iter().map(number).collect()
    }

    #[test]
    fn a_new_source_begins_a_new_visit_of_a_clients_session() {
        use Activity::{Event, Heartbeat, Pageview};
        let none = Marks::default();
        let (one, two) = (marks("one"), marks("two"));
        assert_eq!(visits(&[(Pageview, 0, one), (Pageview, 1, none), (Pageview, 2, two)]), [0, 0, 1]);
        assert_eq!(visits(&[(Pageview, 0, one), (Pageview, 1, two), (Pageview, 2, one)]), [0, 1, 2]);
        assert_eq!(visits(&[(Pageview, 0, none), (Pageview, 1, one), (Pageview, 2, one)]), [0, 1, 1]);
        let click = |id| Marks { click: Marks::number(id), ..none };
        assert_eq!(
            visits(&[(Pageview, 0, click("a")), (Pageview, 1, click("a")), (Pageview, 2, click("b"))]),
            [0, 0, 1]
        );
        let from = |host| Marks { referrer: Marks::number(host), ..none };
        assert_eq!(visits(&[(Pageview, 0, from("a")), (Pageview, 1, from("a")), (Pageview, 2, from("b"))]), [0, 0, 1]);
        let both = Marks { referrer: Marks::number("a"), ..one };
        assert_eq!(visits(&[(Pageview, 0, both), (Pageview, 1, from("a")), (Pageview, 2, one)]), [0, 0, 0]);
        assert_eq!(visits(&[(Pageview, 0, one), (Pageview, 1, two), (Heartbeat, 2, none)]), [0, 1, 1]);
        assert_eq!(visits(&[(Pageview, 0, one), (Event, 1, two), (Heartbeat, 2, none)]), [0, 0, 0]);
    }

    #[test]
    fn what_comes_late_goes_where_it_happened() {
        use Activity::{Heartbeat, Pageview};
        let none = Marks::default();
        let (one, two) = (marks("one"), marks("two"));
        let again = [(Pageview, 0, one), (Pageview, 1, none), (Pageview, 2, two)];
        assert_eq!(visits(&[again, again].concat()), [0, 0, 1, 0, 0, 1]);
        let mut backwards = again;
        backwards.reverse();
        assert_eq!(visits(&backwards), [0, 0, 1]);
        assert_eq!(
            visits(&[(Pageview, 0, one), (Pageview, 5, two), (Pageview, 3, one), (Heartbeat, 3, none)]),
            [0, 1, 0, 1]
        );
    }

    /// SECURITY I12.
    #[test]
    fn memory_is_bounded_and_the_latest_stay() {
        let sessions = Sessions::with_capacity(160);
        for visitor in 0..10_000 {
            stitch(&sessions, visitor, i64::try_from(visitor).unwrap() / 1_000, 0, "");
        }
        let kept: usize = sessions.shards.iter().map(|shard| shard.lock().len()).sum();
        assert!(kept <= 160, "{kept}");
        assert!(sessions.is_active(VisitorId(9_999), at(10)));
    }

    /// Sabotage: prune by the time of the event.
    #[test]
    fn an_old_event_does_not_drop_running_visits() {
        let sessions = Sessions::with_capacity(640);
        for visitor in 0..60 {
            stitch(&sessions, visitor, 10_000, 0, "");
        }
        let hasher = hasher();
        let names = hasher.names();
        for number in 0..1_000 {
            let id = format!("old {number}");
            let client = Client { names: &names, site: site(), session_id: &id };
            let old = Step { at: at(0), ..step(Activity::Pageview, 10_001, 0, Marks::default()) };
            sessions.known(&client, &id, false, old);
        }
        let running = (0..60).filter(|&visitor| sessions.is_active(VisitorId(visitor), at(10_001))).count();
        assert_eq!(running, 60);
    }
}
