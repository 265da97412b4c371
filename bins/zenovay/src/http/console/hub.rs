//! What happens on websites at this moment, for whoever watches. Nobody watches most websites most of the time, and then an
//! event costs one look at a counter. What watchers did not take is dropped, so that memory does not depend on them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::broadcast::{self, Receiver, Sender};
use utoipa::ToSchema;
use zenovay_domain::{Dimension, Event, HostRefusal, KeyId, Timestamp, UserId, WebsiteId};
use zenovay_limits::ClientNetwork;

use crate::http::values::Instant;

/// The most streams at a time, of all websites.
const WATCHERS_MAX: usize = 500;
/// The most streams at a time of one person or key, and of an address over all public links.
const WATCHERS_OF_ONE_MAX: usize = 20;
/// The most streams at a time of all who have a public link to a website.
const PUBLIC_WATCHERS_MAX: usize = 100;
/// What a website holds back for slow watchers: what is older is dropped.
const KEPT: usize = 32;
/// The longest string of what is told of an event, in bytes.
const TOLD_MAX_BYTES: usize = 300;

/// The most websites of which refused hosts are remembered.
const REFUSING_WEBSITES_MAX: usize = 1_000;
/// The most refused hosts of a website.
const REFUSED_HOSTS_MAX: usize = 20;
/// How long a refused host is remembered.
pub const REFUSED_FOR_MS: i64 = 24 * 3_600_000;

/// Something that happened on a website.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// An event was stored.
    Event(LiveEvent),
    /// An event was refused because of the host that it came from.
    Refused(Arc<str>),
}

/// An event, as it is shown to somebody who watches.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LiveEvent {
    /// When it happened.
    pub at: Instant,
    /// What happened.
    #[schema(examples("pageview"))]
    pub r#type: &'static str,
    /// The name of a custom event.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(examples("signup"))]
    pub name: String,
    /// The page, without its query.
    #[schema(examples("/pricing"))]
    pub page: String,
    /// The country, ISO 3166-1 alpha-2; empty when unknown.
    #[schema(examples("DE"))]
    pub country: String,
    /// The city; empty when unknown.
    #[schema(examples("Berlin"))]
    pub city: String,
    /// The device.
    #[schema(examples("desktop"))]
    pub device: String,
    /// The browser.
    #[schema(examples("Firefox"))]
    pub browser: String,
    /// Where the visit came from; empty when direct.
    #[schema(examples("Google"))]
    pub source: String,
    /// The visitor's id.
    #[schema(examples("5f2d0c9b7a416e38"))]
    pub visitor: String,
}

impl LiveEvent {
    /// What is shown of `event`; heartbeats are not shown.
    pub fn of(event: &Event) -> Option<Self> {
        let text = |dimension| {
            let text = event.dimensions.get(dimension);
            let mut end = text.len().min(TOLD_MAX_BYTES);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text[..end].to_owned()
        };
        event.kind.is_event().then(|| Self {
            at: Instant(event.at),
            r#type: event.kind.as_str(),
            name: text(Dimension::EventName),
            page: text(Dimension::Path),
            country: text(Dimension::Country),
            city: text(Dimension::City),
            device: text(Dimension::Device),
            browser: text(Dimension::Browser),
            source: text(Dimension::Source),
            visitor: event.visitor.to_string(),
        })
    }
}

/// A host whose events were refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedHost {
    /// The host.
    pub host: Arc<str>,
    /// Whether it is a local one, and not another website's.
    pub refusal: HostRefusal,
    /// How many events.
    pub events: u64,
    /// When the last one came.
    pub last_at: Timestamp,
}

/// Who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Watcher {
    /// A person, with all their browsers.
    Person(UserId),
    /// A key.
    Key(KeyId),
    /// Somebody at this address who has a public link to a website.
    Public(WebsiteId, ClientNetwork),
}

/// Whose streams are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Counted {
    Person(UserId),
    Key(KeyId),
    Links(WebsiteId),
    Address(ClientNetwork),
}

impl Watcher {
    /// Under what a stream is counted, and how many there may be.
    fn counted(self) -> impl Iterator<Item = (Counted, usize)> + Clone {
        let [first, second] = match self {
            Self::Person(user) => [Some((Counted::Person(user), WATCHERS_OF_ONE_MAX)), None],
            Self::Key(key) => [Some((Counted::Key(key), WATCHERS_OF_ONE_MAX)), None],
            Self::Public(website, address) => [
                Some((Counted::Links(website), PUBLIC_WATCHERS_MAX)),
                Some((Counted::Address(address), WATCHERS_OF_ONE_MAX)),
            ],
        };
        first.into_iter().chain(second)
    }
}

/// The websites that are watched, and the hosts that they refuse.
#[derive(Debug, Default)]
pub struct LiveHub {
    watched: Mutex<HashMap<WebsiteId, Watched>>,
    watchers: AtomicUsize,
    /// How many streams each reader has.
    of_one: Mutex<HashMap<Counted, usize>>,
    refused: Mutex<Refused>,
}

#[derive(Debug)]
struct Watched {
    sender: Sender<Happening>,
    watchers: usize,
}

#[derive(Debug, Default)]
struct Refused {
    /// The host refused last stands last.
    hosts: HashMap<WebsiteId, Vec<RefusedHost>>,
    /// The websites in the order in which they came.
    order: VecDeque<WebsiteId>,
}

impl LiveHub {
    /// Whether anybody watches `website`.
    pub fn is_watched(&self, website: WebsiteId) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0 && self.watched.lock().contains_key(&website)
    }

    /// Tells those who watch `website`.
    pub fn tell(&self, website: WebsiteId, happening: Happening) {
        if let Some(watched) = self.watched.lock().get(&website) {
            // Nobody is left to hear it when this fails.
            let _ = watched.sender.send(happening);
        }
    }

    /// Watches `website` from now on; `None` when too many watch already, or `watcher` too often.
    pub fn watch(self: &Arc<Self>, website: WebsiteId, watcher: Watcher) -> Option<Watch> {
        let mut of_one = self.of_one.lock();
        let has = |counted: &Counted| of_one.get(counted).copied().unwrap_or_default();
        if watcher.counted().any(|(counted, most)| has(&counted) >= most) {
            return None;
        }
        if self.watchers.fetch_add(1, Ordering::Relaxed) >= WATCHERS_MAX {
            self.watchers.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        for (counted, _) in watcher.counted() {
            *of_one.entry(counted).or_default() += 1;
        }
        drop(of_one);
        let mut all = self.watched.lock();
        let watched = all.entry(website).or_insert_with(|| Watched { sender: broadcast::channel(KEPT).0, watchers: 0 });
        watched.watchers += 1;
        let receiver = watched.sender.subscribe();
        drop(all);
        Some(Watch { hub: Arc::clone(self), website, watcher, receiver })
    }

    /// Counts an event of `website` that was refused because it came from `host`.
    pub fn refuse(&self, website: WebsiteId, host: &str, refusal: HostRefusal, now: Timestamp) {
        let host: Arc<str> = Arc::from(host);
        self.refused.lock().count(website, Arc::clone(&host), refusal, now);
        if self.is_watched(website) {
            self.tell(website, Happening::Refused(host));
        }
    }

    /// The hosts whose events `website` refused lately, the last one first.
    pub fn refused(&self, website: WebsiteId, now: Timestamp) -> Vec<RefusedHost> {
        let refused = self.refused.lock();
        let hosts = refused.hosts.get(&website).map(Vec::as_slice).unwrap_or_default();
        let is_recent = |host: &&RefusedHost| now.millis_since(host.last_at) < REFUSED_FOR_MS;
        hosts.iter().rev().filter(is_recent).cloned().collect()
    }

    /// The same of all websites.
    pub fn refused_by_all(&self, now: Timestamp) -> Vec<(WebsiteId, RefusedHost)> {
        let websites: Vec<WebsiteId> = self.refused.lock().order.iter().copied().collect();
        let of = |id: WebsiteId| self.refused(id, now).into_iter().map(move |host| (id, host));
        websites.into_iter().flat_map(of).collect()
    }

    /// Forgets that `website` refused `host`.
    pub fn forget_refused(&self, website: WebsiteId, host: &str) {
        if let Some(hosts) = self.refused.lock().hosts.get_mut(&website) {
            hosts.retain(|refused| &*refused.host != host);
        }
    }

    fn leave(&self, website: WebsiteId, watcher: Watcher) {
        let mut of_one = self.of_one.lock();
        for (counted, _) in watcher.counted() {
            if let Some(streams) = of_one.get_mut(&counted) {
                *streams -= 1;
                if *streams == 0 {
                    of_one.remove(&counted);
                }
            }
        }
        drop(of_one);
        let mut all = self.watched.lock();
        if let Some(watched) = all.get_mut(&website) {
            watched.watchers -= 1;
            if watched.watchers == 0 {
                all.remove(&website);
            }
        }
        self.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Refused {
    fn count(&mut self, website: WebsiteId, host: Arc<str>, refusal: HostRefusal, now: Timestamp) {
        if !self.hosts.contains_key(&website) {
            if self.order.len() >= REFUSING_WEBSITES_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.hosts.remove(&oldest);
            }
            self.order.push_back(website);
        }
        let hosts = self.hosts.entry(website).or_default();
        let mut entry = match hosts.iter().position(|known| known.host == host) {
            Some(place) => hosts.remove(place),
            None => RefusedHost { host, refusal, events: 0, last_at: now },
        };
        if hosts.len() >= REFUSED_HOSTS_MAX {
            hosts.remove(0);
        }
        entry.events = entry.events.saturating_add(1);
        (entry.refusal, entry.last_at) = (refusal, now);
        hosts.push(entry);
    }
}

/// Somebody who watches a website, until this is dropped.
#[derive(Debug)]
pub struct Watch {
    hub: Arc<LiveHub>,
    website: WebsiteId,
    watcher: Watcher,
    receiver: Receiver<Happening>,
}

impl Watch {
    /// What happened since the last call, the oldest first; what was too much is left out.
    pub fn take(&mut self) -> Vec<Happening> {
        let mut taken = Vec::new();
        loop {
            match self.receiver.try_recv() {
                Ok(happening) => taken.push(happening),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return taken,
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.hub.leave(self.website, self.watcher);
    }
}

#[cfg(test)]
mod tests {
    use zenovay_domain::{EventKind, SessionId, VisitorId};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_781_352_000_000);

    fn site(n: u32) -> WebsiteId {
        let mut bytes = [7; 16];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        WebsiteId::from_random_bytes(bytes)
    }

    fn one(n: u32) -> Watcher {
        let mut bytes = [7; 16];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        Watcher::Person(UserId::from_random_bytes(bytes))
    }

    fn event(page: &str) -> Happening {
        let mut event = Event::new(EventKind::Pageview, NOW, VisitorId(1), SessionId(1));
        event.dimensions.set(Dimension::Path, page);
        Happening::Event(LiveEvent::of(&event).unwrap())
    }

    /// Sabotage: keep the entry of a website that nobody watches any more.
    #[test]
    fn only_those_who_watch_hear_and_nothing_is_left_of_those_who_leave() {
        let hub = Arc::new(LiveHub::default());
        assert!(!hub.is_watched(site(1)));
        hub.tell(site(1), event("/before"));
        let (mut one, mut other) = (hub.watch(site(1), one(1)).unwrap(), hub.watch(site(1), one(1)).unwrap());
        assert!(hub.is_watched(site(1)) && !hub.is_watched(site(2)));
        hub.tell(site(1), event("/a"));
        hub.tell(site(2), event("/elsewhere"));
        assert_eq!(one.take(), [event("/a")]);
        assert_eq!(one.take(), []);
        drop(one);
        assert_eq!(other.take(), [event("/a")]);
        drop(other);
        assert!(!hub.is_watched(site(1)) && hub.watched.lock().is_empty() && hub.of_one.lock().is_empty());
    }

    /// Sabotage: keep everything for slow watchers.
    #[test]
    fn memory_is_bounded() {
        let hub = Arc::new(LiveHub::default());
        let mut slow = hub.watch(site(1), one(1)).unwrap();
        for n in 0..10_000 {
            hub.tell(site(1), event(&format!("/{n}/{}", "x".repeat(2_000))));
        }
        let taken = slow.take();
        assert!(taken.len() <= KEPT, "{}", taken.len());
        let Some(Happening::Event(last)) = taken.last() else { panic!("an event") };
        assert!(last.page.starts_with("/9999/") && last.page.len() <= TOLD_MAX_BYTES);
        let mine: Vec<Watch> = std::iter::from_fn(|| hub.watch(site(2), one(2))).collect();
        assert_eq!(mine.len(), WATCHERS_OF_ONE_MAX, "nobody takes the streams of all");
        let at = |n: u8| ClientNetwork::from(std::net::IpAddr::from([192, 0, 2, n]));
        let visitor = |site: WebsiteId, n: u8| hub.watch(site, Watcher::Public(site, at(n)));
        let mut public: Vec<Watch> = std::iter::from_fn(|| visitor(site(2), 1)).collect();
        assert_eq!(public.len(), WATCHERS_OF_ONE_MAX, "one address takes not all streams of a website");
        assert!(visitor(site(3), 1).is_none(), "nor those of other websites");
        public.extend((2..=255).filter_map(|n| visitor(site(2), n)));
        assert_eq!(public.len(), PUBLIC_WATCHERS_MAX);
        assert!(visitor(site(3), 101).is_some());
        drop(public);
        assert!(hub.of_one.lock().len() == 2, "of those who left nothing is counted");
        let others = (3..1_000).filter_map(|n| hub.watch(site(2), one(n)));
        let all: Vec<Watch> = mine.into_iter().chain(others).collect();
        assert_eq!(all.len(), WATCHERS_MAX - 1);
        drop(all);
        assert!(hub.watch(site(2), one(2)).is_some());

        for n in 0..5_000 {
            hub.refuse(site(n), "a.example", HostRefusal::Foreign, NOW);
        }
        for n in 0..100 {
            hub.refuse(site(5_000), &format!("host-{n}.example"), HostRefusal::Foreign, NOW);
        }
        let refused = hub.refused.lock();
        assert_eq!((refused.hosts.len(), refused.order.len()), (REFUSING_WEBSITES_MAX, REFUSING_WEBSITES_MAX));
        assert!(refused.hosts.values().all(|hosts| hosts.len() <= REFUSED_HOSTS_MAX));
    }

    #[test]
    fn refused_hosts_are_counted_and_forgotten() {
        let hub = LiveHub::default();
        hub.refuse(site(1), "a.example", HostRefusal::Foreign, NOW);
        hub.refuse(site(1), "localhost", HostRefusal::Local, NOW.plus_millis(1));
        hub.refuse(site(1), "a.example", HostRefusal::Foreign, NOW.plus_millis(2));
        let told: Vec<(String, u64)> =
            hub.refused(site(1), NOW.plus_millis(2)).iter().map(|host| (host.host.to_string(), host.events)).collect();
        assert_eq!(told, [("a.example".to_owned(), 2), ("localhost".to_owned(), 1)]);
        assert_eq!(hub.refused(site(1), NOW.plus_millis(REFUSED_FOR_MS + 1)).len(), 1);
        hub.forget_refused(site(1), "a.example");
        assert_eq!(hub.refused(site(1), NOW).len(), 1);
    }
}
