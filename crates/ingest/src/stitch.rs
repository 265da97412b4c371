//! Sessions of visitors whose browser keeps no session id: the server recognises that a visit goes on.

use std::collections::HashMap;

use parking_lot::Mutex;
use zenovay_domain::{SESSION_GAP_MS, SessionId, Timestamp, VisitorId, WebsiteId};

const SHARDS: usize = 16;

/// Sessions kept in memory, all shards together: about 25 MB.
const SESSIONS_MAX: usize = 262_144;

type Key = (u128, u64);
/// Keys are keyed hashes themselves: nobody can make many that meet.
type Sessions = HashMap<Key, Open, foldhash::fast::RandomState>;

#[derive(Debug, Clone)]
struct Open {
    session: SessionId,
    last_at: Timestamp,
    campaign: u64,
    day: i32,
}

/// What a hit says that decides whether it goes on with a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) at: Timestamp,
    /// The civil day of `at` in the website's zone.
    pub(crate) day: i32,
    /// [`campaign_code`]; a step without campaign goes on with any.
    pub(crate) campaign: u64,
}

/// The sessions that may still go on, latest of each visitor.
#[derive(Debug)]
pub(crate) struct Stitcher {
    shards: [Mutex<Sessions>; SHARDS],
    max_per_shard: usize,
}

/// The campaign key of no campaign.
const NO_CAMPAIGN: &str = "\u{1f}\u{1f}";

/// A number for what [`crate::Campaign::key`] says; 0 for no campaign.
pub(crate) fn campaign_code(campaign: &str) -> u64 {
    if campaign.is_empty() || campaign == NO_CAMPAIGN { 0 } else { xxhash_rust::xxh3::xxh3_64(campaign.as_bytes()) | 1 }
}

impl Stitcher {
    pub(crate) fn new() -> Self {
        Self::with_capacity(SESSIONS_MAX)
    }

    fn with_capacity(sessions: usize) -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), max_per_shard: (sessions / SHARDS).max(2) }
    }

    fn shard(&self, key: Key) -> &Mutex<Sessions> {
        // The id is a keyed hash: its low bits are even.
        &self.shards[key.1 as usize % SHARDS]
    }

    /// Whether `visitor` had activity less than 30 minutes before `at`.
    pub(crate) fn is_active(&self, site: WebsiteId, visitor: VisitorId, at: Timestamp) -> bool {
        let key = (site.as_u128(), visitor.0);
        self.shard(key).lock().get(&key).is_some_and(|open| goes_on(open, at))
    }

    /// Goes on with the visitor's session when less than 30 minutes passed, the day is the same, and no other campaign
    /// brought the visitor back (SPEC E3); else begins the session that `begin` names.
    pub(crate) fn stitch(
        &self,
        site: WebsiteId,
        visitor: VisitorId,
        step: Step,
        begin: impl FnOnce() -> SessionId,
    ) -> SessionId {
        let campaign = step.campaign;
        let key = (site.as_u128(), visitor.0);
        let mut shard = self.shard(key).lock();
        if let Some(open) = shard.get_mut(&key)
            && goes_on(open, step.at)
            && open.day == step.day
            && (campaign == 0 || campaign == open.campaign)
        {
            open.last_at = open.last_at.max(step.at);
            return open.session;
        }
        let session = begin();
        self.insert(&mut shard, key, Open { session, last_at: step.at, campaign, day: step.day });
        session
    }

    /// Notes activity in a session that the client named, unless another session of the visitor goes on.
    pub(crate) fn touch(&self, site: WebsiteId, visitor: VisitorId, step: Step, session: SessionId) {
        let key = (site.as_u128(), visitor.0);
        let mut shard = self.shard(key).lock();
        match shard.get_mut(&key) {
            Some(open) if open.session == session => open.last_at = open.last_at.max(step.at),
            Some(open) if goes_on(open, step.at) => {}
            _ => {
                let Step { at, day, campaign } = step;
                self.insert(&mut shard, key, Open { session, last_at: at, campaign, day });
            }
        }
    }

    fn insert(&self, shard: &mut Sessions, key: Key, open: Open) {
        if shard.len() >= self.max_per_shard && !shard.contains_key(&key) {
            let now = open.last_at;
            shard.retain(|_, other| goes_on(other, now));
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

fn goes_on(open: &Open, at: Timestamp) -> bool {
    at.millis_since(open.last_at).unsigned_abs() < SESSION_GAP_MS.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> WebsiteId {
        WebsiteId::from_random_bytes([1; 16])
    }

    fn stitch(stitcher: &Stitcher, visitor: u64, minutes: i64, day: i32, campaign: &str) -> u64 {
        let at = Timestamp::from_millis(minutes * 60_000);
        let fresh = SessionId(u64::try_from(minutes).unwrap() * 1_000 + visitor);
        let step = Step { at, day, campaign: campaign_code(campaign) };
        stitcher.stitch(site(), VisitorId(visitor), step, || fresh).0
    }

    #[test]
    fn thirty_minutes_of_silence_midnight_and_a_new_campaign_begin_a_session() {
        let stitcher = Stitcher::new();
        let first = stitch(&stitcher, 1, 0, 0, "");
        assert_eq!(stitch(&stitcher, 1, 29, 0, NO_CAMPAIGN), first);
        assert_eq!(stitch(&stitcher, 1, 58, 0, ""), first, "silence counts from the last activity");
        let second = stitch(&stitcher, 1, 88, 0, "");
        assert_ne!(second, first);
        assert_ne!(stitch(&stitcher, 1, 89, 1, ""), second, "midnight");
        let campaign = stitch(&stitcher, 1, 90, 1, "a\u{1f}b\u{1f}c");
        assert_eq!(campaign, 90_001);
        assert_eq!(stitch(&stitcher, 1, 91, 1, "a\u{1f}b\u{1f}c"), campaign);
        assert_eq!(stitch(&stitcher, 1, 92, 1, ""), campaign, "own links carry no campaign");
        assert_ne!(stitch(&stitcher, 1, 93, 1, "a\u{1f}b\u{1f}d"), campaign);
        assert_ne!(stitch(&stitcher, 2, 93, 1, ""), stitch(&stitcher, 1, 93, 1, ""));
    }

    #[test]
    fn an_event_that_comes_late_stays_in_its_session() {
        let stitcher = Stitcher::new();
        let first = stitch(&stitcher, 1, 60, 0, "");
        assert_eq!(stitch(&stitcher, 1, 50, 0, ""), first);
        assert_eq!(stitch(&stitcher, 1, 85, 0, ""), first);
    }

    /// SECURITY I12.
    #[test]
    fn memory_is_bounded_and_the_latest_stay() {
        let stitcher = Stitcher::with_capacity(160);
        for visitor in 0..10_000 {
            stitch(&stitcher, visitor, i64::try_from(visitor).unwrap() / 1_000, 0, "");
        }
        let kept: usize = stitcher.shards.iter().map(|shard| shard.lock().len()).sum();
        assert!(kept <= 160, "{kept}");
        assert!(stitcher.is_active(site(), VisitorId(9_999), Timestamp::from_millis(600_000)));
    }
}
