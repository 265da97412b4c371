//! What was dropped as a bot: counts by website and user agent, until somebody takes them to where they are kept.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

use parking_lot::Mutex;
use zenovay_domain::{OTHER_AGENTS, Timestamp, WebsiteId, is_hidden};

use crate::bots::{BotReason, Verdict};

/// The longest user agent that is noted, in bytes; a longer one is cut.
pub const DROPPED_AGENT_MAX_BYTES: usize = 200;

/// The memory of the counts that are not taken yet. Beyond it hits are counted under [`OTHER_AGENTS`].
const PENDING_MAX_BYTES: usize = 1 << 20;

/// What an entry weighs beside its user agent.
const ENTRY_BYTES: usize = 160;

/// Hits of a website that were dropped as a bot's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DroppedAgent {
    /// The website.
    pub website: WebsiteId,
    /// The user agent, cut and cleaned; [`OTHER_AGENTS`] for several; empty when none was sent.
    pub agent: String,
    /// Why it is a bot's.
    pub reason: BotReason,
    /// The pattern or word that matched; empty where the reason says it all.
    pub rule: &'static str,
    /// How many hits.
    pub hits: u64,
    /// When the first one came.
    pub first_at: Timestamp,
    /// When the last one came.
    pub last_at: Timestamp,
}

type Key = (WebsiteId, BotReason, String);

#[derive(Debug)]
struct Count {
    rule: &'static str,
    hits: u64,
    first_at: Timestamp,
    last_at: Timestamp,
}

/// Counts that wait to be taken.
#[derive(Debug, Default)]
pub(crate) struct Dropped(Mutex<Pending>);

#[derive(Debug, Default)]
struct Pending {
    counts: HashMap<Key, Count>,
    bytes: usize,
}

impl Dropped {
    /// Counts one hit with the user agent `agent`.
    pub(crate) fn count(&self, website: WebsiteId, verdict: Verdict, agent: &str, at: Timestamp) {
        let Verdict { reason, rule, .. } = verdict;
        let agent = noted(agent);
        self.0.lock().add(DroppedAgent { website, agent, reason, rule, hits: 1, first_at: at, last_at: at });
    }

    /// The counts since the last call.
    pub(crate) fn take(&self) -> Vec<DroppedAgent> {
        let pending = std::mem::take(&mut *self.0.lock());
        let counts = pending.counts.into_iter();
        counts
            .map(|((website, reason, agent), Count { rule, hits, first_at, last_at })| DroppedAgent {
                website,
                agent,
                reason,
                rule,
                hits,
                first_at,
                last_at,
            })
            .collect()
    }

    /// Takes back what [`take`](Self::take) gave and could not be kept.
    pub(crate) fn give_back(&self, counts: Vec<DroppedAgent>) {
        let mut pending = self.0.lock();
        counts.into_iter().for_each(|count| pending.add(count));
    }
}

impl Pending {
    fn add(&mut self, new: DroppedAgent) {
        let DroppedAgent { website, agent, reason, rule, hits, first_at, last_at } = new;
        let (mut key, mut rule) = ((website, reason, agent), rule);
        if !self.counts.contains_key(&key) && self.bytes + ENTRY_BYTES + key.2.len() > PENDING_MAX_BYTES {
            // A few for each website, so not to be bounded.
            key.2 = OTHER_AGENTS.to_owned();
            rule = "";
        }
        let len = key.2.len();
        match self.counts.entry(key) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.hits = known.hits.saturating_add(hits);
                known.first_at = known.first_at.min(first_at);
                known.last_at = known.last_at.max(last_at);
            }
            Entry::Vacant(place) => {
                place.insert(Count { rule, hits, first_at, last_at });
                self.bytes += ENTRY_BYTES + len;
            }
        }
    }
}

/// `agent` as it is noted: cut, without characters that nobody sees or that do something to a terminal, and without addresses.
fn noted(agent: &str) -> String {
    let agent = agent.trim();
    let mut end = agent.len().min(DROPPED_AGENT_MAX_BYTES);
    while !agent.is_char_boundary(end) {
        end -= 1;
    }
    let cleaned: String = agent[..end].chars().map(|c| if is_hidden(c) { '\u{fffd}' } else { c }).collect();
    let mut noted = without_addresses(&cleaned);
    while noted.len() > DROPPED_AGENT_MAX_BYTES {
        noted.pop();
    }
    noted
}

/// `text` with every IP address replaced. A version after a slash is not an address, although `130.0.0.0` looks like one.
fn without_addresses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let is_part = |c: char| c.is_ascii_hexdigit() || c == '.' || c == ':';
    while let Some(start) = rest.find(is_part) {
        let (before, from) = rest.split_at(start);
        let (part, after) = from.split_at(from.find(|c| !is_part(c)).unwrap_or(from.len()));
        out.push_str(before);
        let bare = part.trim_matches(['.', ':']);
        let with_port = bare.rsplit_once(':').map_or("", |(host, _)| host);
        let is_address = |text: &str| text.parse::<IpAddr>().is_ok();
        let is_version = before.ends_with('/') || out.ends_with(|c: char| c.is_ascii_alphanumeric());
        if !is_version
            && part.contains(|c: char| c.is_ascii_digit())
            && [part, bare, with_port].into_iter().any(is_address)
        {
            out.push_str("[address]");
        } else {
            out.push_str(part);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_781_308_800_000);

    fn site(n: u8) -> WebsiteId {
        WebsiteId::from_random_bytes([n; 16])
    }

    fn bot() -> Verdict {
        Verdict::crawler(BotReason::NamesItself, "bot")
    }

    #[test]
    fn hits_are_counted_by_website_reason_and_agent() {
        let dropped = Dropped::default();
        dropped.count(site(1), bot(), "a bot", NOW);
        dropped.count(site(1), bot(), "a bot", NOW.plus_millis(5));
        dropped.count(site(1), Verdict::crawler(BotReason::Webdriver, ""), "a bot", NOW);
        dropped.count(site(2), bot(), "a bot", NOW);
        let mut taken = dropped.take();
        taken.sort_by_key(|count| (count.website, count.reason));
        let counts: Vec<_> = taken.iter().map(|count| (count.website, count.reason, count.hits)).collect();
        assert_eq!(
            counts,
            [
                (site(1), BotReason::NamesItself, 2),
                (site(1), BotReason::Webdriver, 1),
                (site(2), BotReason::NamesItself, 1)
            ]
        );
        assert_eq!((taken[0].last_at, taken[0].rule), (NOW.plus_millis(5), "bot"));
        assert_eq!(dropped.take(), []);
        dropped.count(site(1), bot(), "a bot", NOW);
        dropped.give_back(taken);
        let sum: u64 = dropped.take().iter().map(|count| count.hits).sum();
        assert_eq!(sum, 5);
    }

    /// Sabotage: without the bound a flood of agents takes any memory.
    #[test]
    fn memory_is_bounded_and_every_hit_is_counted() {
        let dropped = Dropped::default();
        let hits = 20_000;
        for n in 0..hits {
            dropped.count(site(1), bot(), &format!("bot {n} {}", "x".repeat(300)), NOW);
        }
        assert!(dropped.0.lock().bytes <= PENDING_MAX_BYTES + ENTRY_BYTES + OTHER_AGENTS.len());
        let taken = dropped.take();
        assert!(taken.len() < 4_000 && taken.iter().all(|count| count.agent.len() <= DROPPED_AGENT_MAX_BYTES));
        assert_eq!(taken.iter().map(|count| count.hits).sum::<u64>(), hits);
        assert!(taken.iter().any(|count| count.agent == OTHER_AGENTS && count.rule.is_empty()));
    }

    #[test]
    fn what_is_noted_is_cut_and_cleaned_and_has_no_address() {
        for (agent, expected) in [
            ("  Bot/1.0 ", "Bot/1.0"),
            ("Bot\u{1b}[31m\nx\u{202e}y", "Bot\u{fffd}[31m\u{fffd}x\u{fffd}y"),
            ("Bot (from 203.0.113.7)", "Bot (from [address])"),
            ("Bot 203.0.113.7:8080, x", "Bot [address], x"),
            ("Bot [2001:db8::1]", "Bot [[address]]"),
            ("Bot 2001:db8::1.", "Bot [address]"),
            ("Chrome/130.0.0.0 Bot", "Chrome/130.0.0.0 Bot"),
            ("LWP::Simple/6.0 at 12:30:45", "LWP::Simple/6.0 at 12:30:45"),
            ("", ""),
        ] {
            assert_eq!(noted(agent), expected);
        }
        assert_eq!(noted(&"ü".repeat(300)).len(), DROPPED_AGENT_MAX_BYTES);
    }

    proptest! {
        #[test]
        fn any_agent_can_be_noted(agent in ".{0,300}|[0-9a-f.: /]{0,60}") {
            let text = noted(&agent);
            prop_assert!(text.len() <= DROPPED_AGENT_MAX_BYTES && !text.chars().any(is_hidden));
        }
    }
}
