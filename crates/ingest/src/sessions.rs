//! Which visit a hit or heartbeat belongs to, and whose that is: the visits that may still go on. The rules stand here;
//! where open sessions are kept is [`SessionStore`]'s business.

use std::collections::HashMap;

use parking_lot::RwLock;
use zenovay_domain::{SessionId, Timestamp, VisitorId, WebsiteId};

use crate::identity::Names;
use crate::marks::Marks;
use crate::session_store::{OpenSession, SessionKind, SessionPart, SessionStore, SessionStoreError, Slots, goes_on};

/// Parts of one visit that are remembered behind the latest, for events that come late.
const EARLIER_MAX: usize = 8;

/// Parts that are tried when a visit is recognised after a restart.
const PARTS_TRIED: u16 = 16;

/// Visits of the last process that are remembered.
const RESTORED_MAX: usize = 458_752;

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

/// The slot of the first visitor of a session id, and of what the server stitches for a visitor. The slot of another visitor of
/// the same session id is the key of that visitor's id.
const MAIN: u64 = 0;

/// The slot of a visitor who asked not to be known while one with an id has the first.
const UNKNOWN: u64 = 1;

/// The visits that may still go on.
#[derive(Debug)]
pub(crate) struct Sessions {
    store: Box<dyn SessionStore>,
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

/// The lowest bits of a key, which are those of the ids of its visits.
fn mark_of(key: u64) -> u16 {
    let [low, high, ..] = key.to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// A visit of the last process, looked for once however often the store calls a change.
struct Recognised<'a, 'c> {
    sessions: &'a Sessions,
    client: &'a Client<'c>,
    step: Step,
    found: Option<OpenSession>,
}

impl Recognised<'_, '_> {
    fn get(&mut self) -> Option<OpenSession> {
        if self.found.is_none() {
            self.found = self.sessions.recognise(self.client, self.step);
        }
        self.found.clone()
    }
}

impl Sessions {
    pub(crate) fn new(store: impl SessionStore + 'static) -> Self {
        Self { store: Box::new(store), restored: RwLock::default() }
    }

    /// See [`SessionStore::may_block`].
    pub(crate) fn may_block(&self) -> bool {
        self.store.may_block()
    }

    /// Takes in a visit of the last process.
    pub(crate) fn restore(&self, restored: Restored) -> Result<(), SessionStoreError> {
        let Restored { visit, last_at, .. } = restored;
        if !visit.is_known {
            let stitched = OpenSession { kind: SessionKind::Stitched, ..open_of(&restored, 0) };
            self.store.remember(visit.visitor.0, last_at, &mut |slots| {
                if slots.get(MAIN).is_none_or(|open| open.last_at < last_at) {
                    slots.put(MAIN, stitched.clone());
                }
            })?;
        }
        let place = (restored.site, mark_of(visit.session.0));
        let mut all = self.restored.write();
        if all.count < RESTORED_MAX {
            all.count += 1;
            all.by_place.entry(place).or_default().push(restored);
        }
        Ok(())
    }

    /// The visit of the last process that `client` goes on with.
    fn recognise(&self, client: &Client<'_>, step: Step) -> Option<OpenSession> {
        if self.restored.read().by_place.is_empty() {
            return None;
        }
        let place = (client.site, mark_of(client.key()));
        let all = &mut self.restored.write().by_place;
        let found = all.get_mut(&place)?;
        found.retain(|old| goes_on(old.last_at, step.received_at));
        let is_his = |old: &Restored| {
            if old.day != step.day || !goes_on(old.last_at, step.at) {
                return None;
            }
            let Visit { visitor, session, .. } = old.visit;
            if !old.visit.is_known && client.stitched(visitor, old.began_at) == session {
                return Some(OpenSession { kind: SessionKind::Alias, ..open_of(old, 0) });
            }
            let part = (0..PARTS_TRIED).find(|&part| client.session(visitor, old.day, part) == session)?;
            Some(open_of(old, part))
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
    pub(crate) fn known(
        &self,
        client: &Client<'_>,
        id: &str,
        joins: bool,
        step: Step,
    ) -> Result<Option<Visit>, SessionStoreError> {
        let key = client.key();
        let named = client.names.client_key(client.site, id) | 1;
        let mut recognised = Recognised { sessions: self, client, step, found: None };
        let (mut stitched_for, mut visit) = (None, None);
        self.store.update(key, step.received_at, &mut |slots| {
            stitched_for = if joins { join_alias(slots, named, step) } else { None };
            if stitched_for.is_none() {
                visit = visit_of_known(slots, &mut recognised, (id, named), joins);
            }
        })?;
        let Some(visitor) = stitched_for else { return Ok(visit) };
        if let Some(visit) = self.go_on_stitching(client, visitor, step)? {
            return Ok(Some(visit));
        }
        self.store.update(key, step.received_at, &mut |slots| {
            visit = visit_of_known(slots, &mut recognised, (id, named), joins);
        })?;
        Ok(visit)
    }

    /// The visit of a hit that names no visitor: the running one of its session id, else one of the visitor that `who` tells
    /// who is told whose session of this id went on before midnight, which the server stitches together when the client
    /// `stitches` none itself. `may_be_known`: the running one may be that of a visitor with an id. `None` for a heartbeat of a
    /// visit that there is not.
    ///
    /// # Errors
    /// Those of `who`, and of the store.
    pub(crate) fn unnamed<E: From<SessionStoreError>>(
        &self,
        client: &Client<'_>,
        stitches: bool,
        may_be_known: bool,
        step: Step,
        who: impl FnOnce(Option<VisitorId>) -> Result<VisitorId, E>,
    ) -> Result<Option<Visit>, E> {
        let key = client.key();
        let mut recognised = Recognised { sessions: self, client, step, found: None };
        let mut running = Running::default();
        self.store.update(key, step.received_at, &mut |slots| {
            running = running_of_unnamed(slots, &mut recognised, may_be_known);
        })?;
        if running.visit.is_some() {
            return Ok(running.visit);
        }
        if let Some(visitor) = running.stitched_for
            && let Some(visit) = self.go_on_stitching(client, visitor, step)?
        {
            return Ok(Some(visit));
        }
        let visitor = who(running.visitor)?;
        let slot = running.slot;
        if stitches || running.stitched_for.is_some() {
            let visit = self.stitch(client, visitor, step)?;
            if visit.is_some() {
                let alias = begin(visitor, SessionKind::Alias, SessionId(0), step);
                self.store.update(key, step.received_at, &mut |slots| slots.put(slot, alias.clone()))?;
            }
            return Ok(visit);
        }
        let mut visit = None;
        self.store.update(key, step.received_at, &mut |slots| {
            visit = match slots.get(slot) {
                Some(open)
                    if open.day == step.day
                        && (goes_on(open.last_at, step.at) || open.visitor == visitor && takes(open, step)) =>
                {
                    Some(advance(open, client, step))
                }
                _ if step.activity == Activity::Heartbeat && running.visitor.is_none() => None,
                _ => {
                    let open = begin(visitor, SessionKind::Anonymous, client.session(visitor, step.day, 0), step);
                    let visit = visit_of(&open);
                    slots.put(slot, open);
                    Some(visit)
                }
            };
        })?;
        Ok(visit)
    }

    /// Whether the server stitches a visit of `visitor` that goes on at `at`.
    pub(crate) fn is_active(&self, visitor: VisitorId, at: Timestamp) -> Result<bool, SessionStoreError> {
        let mut is_active = false;
        self.store.update(visitor.0, at, &mut |slots| {
            is_active = slots.get(MAIN).is_some_and(|open| goes_on(open.last_at, at));
        })?;
        Ok(is_active)
    }

    /// The stitched visit of `visitor` when one goes on at `step` on its day.
    fn go_on_stitching(
        &self,
        client: &Client<'_>,
        visitor: VisitorId,
        step: Step,
    ) -> Result<Option<Visit>, SessionStoreError> {
        let mut visit = None;
        self.store.update(visitor.0, step.received_at, &mut |slots| {
            let open = slots.get(MAIN).filter(|open| open.day == step.day && goes_on(open.last_at, step.at));
            visit = open.map(|open| advance(open, client, step));
        })?;
        Ok(visit)
    }

    /// The stitched visit of `visitor`, begun when none goes on.
    fn stitch(&self, client: &Client<'_>, visitor: VisitorId, step: Step) -> Result<Option<Visit>, SessionStoreError> {
        let mut visit = None;
        self.store.update(visitor.0, step.received_at, &mut |slots| {
            let running = slots.get(MAIN).filter(|open| goes_on(open.last_at, step.at));
            let went_on = running.is_some();
            visit = match running {
                Some(open) if open.day == step.day => Some(advance(open, client, step)),
                _ if step.activity == Activity::Heartbeat && !went_on => None,
                _ => {
                    let open = begin(visitor, SessionKind::Stitched, client.stitched(visitor, step.at), step);
                    let visit = visit_of(&open);
                    slots.put(MAIN, open);
                    Some(visit)
                }
            };
        })?;
        Ok(visit)
    }
}

/// Names the visitor of a running session that the server stitches, when no other one is named, and tells who it is.
fn join_alias(slots: &mut dyn Slots, named: u64, step: Step) -> Option<VisitorId> {
    let open = slots.get(MAIN).filter(|open| {
        open.kind == SessionKind::Alias && (open.named == 0 || open.named == named) && goes_on(open.last_at, step.at)
    })?;
    open.named = named;
    open.last_at = open.last_at.max(step.at);
    Some(open.visitor)
}

/// The visit of a visitor with an id, and the key of that, see [`Sessions::known`].
fn visit_of_known(
    slots: &mut dyn Slots,
    recognised: &mut Recognised<'_, '_>,
    (id, named): (&str, u64),
    joins: bool,
) -> Option<Visit> {
    let (client, step) = (recognised.client, recognised.step);
    let is_free = |open: &OpenSession| joins && open.named == 0 && open.kind == SessionKind::Anonymous;
    if let Some(open) = slots.get(MAIN).filter(|open| open.day == step.day)
        && (goes_on(open.last_at, step.at) && is_free(open) || open.named == named && takes(open, step))
    {
        open.named = named;
        return Some(advance(open, client, step));
    }
    if let Some(open) = slots.get(named).filter(|open| open.day == step.day && takes(open, step)) {
        return Some(advance(open, client, step));
    }
    let visitor = client.names.known_visitor(client.site, id);
    if let Some(open) = recognised.get() {
        slots.put(MAIN, open);
    }
    let is_running = |open: &&mut OpenSession| goes_on(open.last_at, step.at);
    let (mut slot, mut went_on) = (MAIN, false);
    if let Some(open) = slots.get(MAIN).filter(is_running) {
        if open.day == step.day && (open.visitor == visitor || is_free(open)) {
            open.named = named;
            return Some(advance(open, client, step));
        }
        if open.named != named {
            slot = named;
        }
        went_on = open.named == named;
    }
    went_on |= slots.get(named).is_some_and(|open| goes_on(open.last_at, step.at));
    if step.activity == Activity::Heartbeat && !went_on {
        return None;
    }
    let open = begin(visitor, SessionKind::Known, client.session(visitor, step.day, 0), step);
    let visit = visit_of(&open);
    slots.put(slot, OpenSession { named, ..open });
    Some(visit)
}

/// What is running under the session id of a hit that names no visitor.
#[derive(Debug, Default)]
struct Running {
    /// The slot that is the hit's.
    slot: u64,
    /// The visit that it goes on with.
    visit: Option<Visit>,
    /// Whose visits the server stitches under this session id.
    stitched_for: Option<VisitorId>,
    /// Whose session it is, also when it went on before midnight.
    visitor: Option<VisitorId>,
}

fn running_of_unnamed(slots: &mut dyn Slots, recognised: &mut Recognised<'_, '_>, may_be_known: bool) -> Running {
    let (client, step) = (recognised.client, recognised.step);
    let is_taken = slots.get(MAIN).is_some_and(|open| open.kind == SessionKind::Known && !may_be_known);
    let slot = if is_taken { UNKNOWN } else { MAIN };
    if slots.get(slot).is_none()
        && let Some(open) = recognised.get()
        && (may_be_known || open.kind != SessionKind::Known)
    {
        slots.put(slot, open);
    }
    let mut running = Running { slot, ..Running::default() };
    if let Some(open) = slots.get(slot).filter(|open| goes_on(open.last_at, step.at)) {
        running.visitor = Some(open.visitor);
        if open.kind == SessionKind::Alias {
            open.last_at = open.last_at.max(step.at);
            running.stitched_for = Some(open.visitor);
        } else if open.day == step.day {
            running.visit = Some(advance(open, client, step));
        }
    }
    running
}

fn begin(visitor: VisitorId, kind: SessionKind, session: SessionId, step: Step) -> OpenSession {
    let latest = SessionPart { began_at: step.at, session, marks: step.marks };
    OpenSession { visitor, last_at: step.at, latest, earlier: Vec::new(), day: step.day, parts: 0, kind, named: 0 }
}

fn open_of(restored: &Restored, parts: u16) -> OpenSession {
    let Restored { visit, began_at, last_at, day, marks, .. } = *restored;
    let kind = if visit.is_known { SessionKind::Known } else { SessionKind::Anonymous };
    let latest = SessionPart { began_at, session: visit.session, marks };
    OpenSession { visitor: visit.visitor, last_at, latest, earlier: Vec::new(), day, parts, kind, named: 0 }
}

/// Whether `step` is of a session that its client names, however long it was silent. A heartbeat wakes none, and an alias has no
/// visit of its own: its session is the visitor's.
fn takes(open: &OpenSession, step: Step) -> bool {
    open.kind != SessionKind::Alias && (step.activity != Activity::Heartbeat || goes_on(open.last_at, step.at))
}

fn visit_of(open: &OpenSession) -> Visit {
    Visit { visitor: open.visitor, session: open.latest.session, is_known: open.kind == SessionKind::Known }
}

/// The visit that `step` belongs to: the part in which it happened, or a new one when a page was shown that another source
/// led to.
fn advance(open: &mut OpenSession, client: &Client<'_>, step: Step) -> Visit {
    let is_late = step.at < open.latest.began_at;
    let part = if !is_late || step.activity == Activity::Heartbeat {
        open.last_at = open.last_at.max(step.at);
        open.latest
    } else {
        earlier_part(open, step.at)
    };
    let is_new = step.activity == Activity::Pageview && step.marks.begin_another_visit(part.marks);
    // What happened between two parts stays where it is: the visit after it has begun already.
    let begins = is_new && (!is_late || step.at < part.began_at);
    if !begins {
        if step.at < part.began_at && step.activity != Activity::Heartbeat {
            open.earlier.first_mut().unwrap_or(&mut open.latest).began_at = step.at;
        }
        return Visit { session: part.session, ..visit_of(open) };
    }
    open.parts = open.parts.saturating_add(1);
    let session = match open.kind {
        SessionKind::Stitched | SessionKind::Alias => client.stitched(open.visitor, step.at),
        SessionKind::Known | SessionKind::Anonymous => client.session(open.visitor, open.day, open.parts),
    };
    let fresh = SessionPart { began_at: step.at, session, marks: step.marks };
    let earlier = &mut open.earlier;
    if is_late {
        earlier.insert(0, fresh);
    } else {
        earlier.push(std::mem::replace(&mut open.latest, fresh));
    }
    if earlier.len() > EARLIER_MAX {
        earlier.remove(0);
    }
    Visit { session, ..visit_of(open) }
}

/// The part in which something happened at `at`, before the latest; the first when it was before all.
fn earlier_part(open: &OpenSession, at: Timestamp) -> SessionPart {
    let containing = open.earlier.iter().rev().find(|part| part.began_at <= at);
    *containing.or(open.earlier.first()).unwrap_or(&open.latest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemorySessions, VisitorHasher};
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use std::sync::Arc;

    const MINUTE_MS: i64 = 60_000;

    fn site() -> WebsiteId {
        WebsiteId::from_random_bytes([1; 16])
    }

    fn hasher() -> VisitorHasher {
        VisitorHasher::with_rng(crate::MemorySalts::default(), Timestamp::from_millis(0), StdRng::seed_from_u64(1))
            .unwrap()
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
        let visit = sessions.unnamed(&client, true, true, step, |_| Ok::<_, SessionStoreError>(VisitorId(visitor)));
        visit.unwrap().unwrap().session.0
    }

    #[test]
    fn thirty_minutes_of_silence_midnight_and_a_new_campaign_begin_a_stitched_visit() {
        let sessions = Sessions::new(MemorySessions::default());
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

    /// A page that is cookieless until its visitor agrees, and pauses. Sabotage: let an alias take what comes after silence.
    #[test]
    fn what_was_stitched_under_a_session_id_gives_no_visit_its_id() {
        let hasher = hasher();
        let names = hasher.names();
        let client = Client { names: &names, site: site(), session_id: "page" };
        let view = |minutes| step(Activity::Pageview, minutes, 0, marks(""));
        for pause in [10, 30, 31, 600] {
            let sessions = Sessions::new(MemorySessions::default());
            let unnamed = |stitches, minutes| {
                let ann = |_| Ok::<_, SessionStoreError>(VisitorId(1));
                sessions.unnamed(&client, stitches, true, view(minutes), ann).unwrap().unwrap()
            };
            let stitched = unnamed(true, 0);
            let own = unnamed(false, pause);
            assert_ne!(own.session, SessionId(0), "after {pause} minutes");
            assert_eq!(own.session == stitched.session, pause < 30, "after {pause} minutes");
            assert_eq!(unnamed(false, pause + 1).session, own.session);

            let sessions = Sessions::new(MemorySessions::default());
            let ann = |_| Ok::<_, SessionStoreError>(VisitorId(1));
            let stitched = sessions.unnamed(&client, true, true, view(0), ann).unwrap().unwrap();
            let known = |minutes| sessions.known(&client, "ann", true, view(minutes)).unwrap().unwrap();
            assert_eq!(known(1).session, stitched.session, "it joins what goes on");
            let own = known(1 + pause);
            assert_ne!(own.session, SessionId(0), "after {pause} minutes");
            assert_eq!(known(2 + pause).session, own.session);
        }
    }

    #[test]
    fn a_stitched_event_that_comes_late_stays_in_its_visit() {
        let sessions = Sessions::new(MemorySessions::default());
        let first = stitch(&sessions, 1, 60, 0, "");
        assert_eq!(stitch(&sessions, 1, 50, 0, ""), first);
        assert_eq!(stitch(&sessions, 1, 85, 0, ""), first);
    }

    /// The visits of the reports of one client session, as their numbers in the order of their first reports.
    fn visits(reports: &[(Activity, i64, Marks)]) -> Vec<usize> {
        let (sessions, hasher) = (Sessions::new(MemorySessions::default()), hasher());
        let names = hasher.names();
        let client = Client { names: &names, site: site(), session_id: "session" };
        let mut seen = Vec::new();
        let number = |&(activity, minutes, marks): &(Activity, i64, Marks)| {
            let visit = sessions.known(&client, "visitor", true, step(activity, minutes, 0, marks)).unwrap().unwrap();
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

    #[test]
    fn memory_is_bounded_and_the_latest_stay() {
        let store = Arc::new(MemorySessions::with_capacity(160));
        let sessions = Sessions::new(Arc::clone(&store));
        for visitor in 0..10_000 {
            stitch(&sessions, visitor, i64::try_from(visitor).unwrap() / 1_000, 0, "");
        }
        assert!(store.len() <= 160, "{}", store.len());
        assert!(sessions.is_active(VisitorId(9_999), at(10)).unwrap());
    }

    /// Sabotage: prune by the time of the event.
    #[test]
    fn an_old_event_does_not_drop_running_visits() {
        let sessions = Sessions::new(MemorySessions::with_capacity(640));
        for visitor in 0..60 {
            stitch(&sessions, visitor, 10_000, 0, "");
        }
        let hasher = hasher();
        let names = hasher.names();
        for number in 0..1_000 {
            let id = format!("old {number}");
            let client = Client { names: &names, site: site(), session_id: &id };
            let old = Step { at: at(0), ..step(Activity::Pageview, 10_001, 0, Marks::default()) };
            sessions.known(&client, &id, false, old).unwrap();
        }
        let running = (0..60).filter(|&visitor| sessions.is_active(VisitorId(visitor), at(10_001)).unwrap()).count();
        assert_eq!(running, 60);
    }
}
