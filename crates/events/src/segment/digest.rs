//! Digests: what totals need of a row group without reading its rows.
//!
//! Behind each row group that one website has for itself stands its digest, in bytes of the file that Parquet readers pass
//! over: counts, totals of the sessions that are in no other row group of the segment, the shares of those that are and where these stand
//! among the visits, and the visitors of the dictionary that have heartbeats only. The visitors themselves are the dictionary page of their
//! column. The catalog knows the digest's place and checksum, as it does of columns.
//!
//! A digest says nothing of other segments: whether a session goes on in one of them is found when a query asks. Nor does it
//! say in which ranges a session counts: of one that is in this row group alone all events are where the row group is, and
//! of others it has the share.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use serde::{Deserialize, Serialize};
use zenovay_domain::SESSION_MAX_MS;
use zenovay_query::MetricValues;
use zenovay_query::engine::{Digest, SessionShare, VisitTimes};

use crate::intern::IdMap;
use crate::rows::{Ids, LoadedChunk};

/// A website with more sessions than this in [`SESSION_MAX_MS`] gets no digests from there on: merging it would hold too
/// many sessions. About 1.4 million events a day.
const PENDING_SESSIONS_MAX: usize = 1 << 19;

/// What the catalog says of a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DigestMeta {
    /// Where it begins in the file.
    pub(crate) offset: u64,
    /// How long it is.
    pub(crate) bytes: u32,
    /// XXH3-64 of its bytes.
    pub(crate) hash: u64,
    /// XXH3-64 of the dictionary page of `visitor_id`, so that it can be read alone.
    pub(crate) visitors_hash: u64,
    /// The same of `session_id`.
    pub(crate) sessions_hash: u64,
}

/// A digest as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredDigest {
    pub(crate) digest: Digest,
    /// Codes in the visitors' dictionary of those without an event, ascending.
    pub(crate) heartbeat_only: Vec<u32>,
    /// Of each open session its position among the visits, and when events of it were. Empty in those of earlier versions.
    pub(crate) open_places: Vec<(u32, VisitTimes)>,
}

/// What digests begin with that tell their version in the next byte. Those of version 1 do not: they begin with a number, which
/// is never written like this, so a program that knows no versions fails to read it instead of reading another number.
const MARK: [u8; 10] = [0xff; 10];
/// The version that is written: behind what version 2 has it has [`EncodedPlace`]s.
pub(super) const VERSION: u8 = 3;
/// It has what version 1 has.
const MARKED_VERSION: u8 = 2;

/// The members of a digest, in postcard: numbers only, in an order that is never changed.
#[derive(Serialize, Deserialize)]
struct Encoded {
    visitors: u64,
    pageviews: u64,
    events: u64,
    sessions: u64,
    bounces: u64,
    duration_ms: u64,
    value_score: u64,
    heartbeat_only: Vec<u32>,
    open: Vec<EncodedShare>,
}

/// Session, first, last, pageviews, other events, engagement.
type EncodedShare = (u64, i64, i64, u32, u32, u64);

/// Of an open session its position among the visits, and after its first event the first pageview, the last one, and the last event.
type EncodedPlace = (u32, u32, u32, u32);

impl StoredDigest {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        let metrics = &self.digest.metrics;
        let share = |share: &SessionShare| {
            let SessionShare { session, first_at, last_at, pageviews, other_events, engagement_ms } = *share;
            (session, first_at, last_at, pageviews, other_events, engagement_ms)
        };
        // Of an earlier version they are not known.
        let has_places = self.open_places.len() == self.digest.open.len();
        let mut bytes = MARK.to_vec();
        bytes.push(if has_places { VERSION } else { MARKED_VERSION });
        let encoded = Encoded {
            visitors: metrics.visitors,
            pageviews: metrics.pageviews,
            events: metrics.events,
            sessions: metrics.sessions,
            bounces: metrics.bounces,
            duration_ms: metrics.duration_ms,
            value_score: metrics.value_score,
            heartbeat_only: self.heartbeat_only.clone(),
            open: self.digest.open.iter().map(share).collect(),
        };
        let bytes = postcard::to_extend(&encoded, bytes)?;
        if !has_places {
            return Ok(bytes);
        }
        let place = |&(position, times): &(u32, VisitTimes)| -> EncodedPlace {
            (position, times.entry_ms, times.exit_ms, times.last_event_ms)
        };
        postcard::to_extend(&self.open_places.iter().map(place).collect::<Vec<_>>(), bytes)
    }

    /// The digest that was written as `bytes`; `None` when a newer version wrote it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Option<Self>, postcard::Error> {
        let (version, members) = match bytes.strip_prefix(&MARK) {
            Some([version @ MARKED_VERSION..=VERSION, members @ ..]) => (*version, members),
            Some([] | [..=VERSION, ..]) => return Err(postcard::Error::DeserializeUnexpectedEnd),
            Some(_) => return Ok(None),
            None => (1, bytes),
        };
        let (encoded, mut rest): (Encoded, _) = postcard::take_from_bytes(members)?;
        let mut places: Vec<EncodedPlace> = Vec::new();
        if version == VERSION {
            (places, rest) = postcard::take_from_bytes(rest)?;
        }
        if !rest.is_empty() || (version == VERSION && places.len() != encoded.open.len()) {
            return Err(postcard::Error::DeserializeBadEncoding);
        }
        let place =
            |(position, entry_ms, exit_ms, last_event_ms)| (position, VisitTimes { entry_ms, exit_ms, last_event_ms });
        let open_places = places.into_iter().map(place).collect();
        let share = |(session, first_at, last_at, pageviews, other_events, engagement_ms): EncodedShare| SessionShare {
            session,
            first_at,
            last_at,
            pageviews,
            other_events,
            engagement_ms,
        };
        let mut metrics = MetricValues::default();
        metrics.visitors = encoded.visitors;
        metrics.pageviews = encoded.pageviews;
        metrics.events = encoded.events;
        metrics.sessions = encoded.sessions;
        metrics.bounces = encoded.bounces;
        metrics.duration_ms = encoded.duration_ms;
        metrics.value_score = encoded.value_score;
        let open = encoded.open.into_iter().map(share).collect();
        Ok(Some(Self { digest: Digest { metrics, open }, heartbeat_only: encoded.heartbeat_only, open_places }))
    }
}

/// Makes the digests of one website's row groups in one segment, given in the order of time. A digest is ready when no
/// later row group can have a session of it.
#[derive(Default)]
pub(super) struct Digester {
    pending: VecDeque<Pending>,
    /// The sessions of pending row groups.
    sessions: IdMap<Holders>,
    /// Sessions in `pending`.
    count: usize,
    is_given_up: bool,
}

struct Pending {
    group: u32,
    hashes: DictionaryHashes,
    max_at: i64,
    visitors: u64,
    heartbeat_only: Vec<u32>,
    sessions: Vec<SessionShare>,
    /// When events of each were.
    times: Vec<VisitTimes>,
}

/// XXH3-64 of dictionary pages.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DictionaryHashes {
    pub(super) visitors: u64,
    pub(super) sessions: u64,
}

/// A digest that can be written.
pub(super) struct Ready {
    pub(super) group: u32,
    pub(super) hashes: DictionaryHashes,
    pub(super) digest: StoredDigest,
}

struct Holders {
    last: u32,
    are_several: bool,
}

impl Digester {
    /// Adds row group `group` and gives the digests that are ready.
    pub(super) fn add(&mut self, group: u32, hashes: DictionaryHashes, rows: &LoadedChunk, ids: &Ids) -> Vec<Ready> {
        if self.is_given_up {
            return Vec::new();
        }
        let ready = self.take_ready(Some(rows.min_at));
        let mut has_event = vec![false; ids.visitors.len()];
        rows.chunk.visitor.iter().for_each(|&visitor| has_event[visitor as usize] = true);
        let heartbeat_only: Vec<u32> =
            (0..).zip(&has_event).filter(|(_, has_event)| !**has_event).map(|(code, _)| code).collect();
        let sessions: Vec<SessionShare> =
            rows.chunk.sessions.iter().map(|part| SessionShare::new(part, &ids.sessions)).collect();
        // Where there is none, no visits are written, and nobody asks for it.
        let times = |part| VisitTimes::of(part, &rows.chunk.at).unwrap_or_default();
        let times: Vec<VisitTimes> = rows.chunk.sessions.iter().map(times).collect();
        self.count += sessions.len();
        if self.count > PENDING_SESSIONS_MAX {
            *self = Self { is_given_up: true, ..Self::default() };
            return ready;
        }
        for share in &sessions {
            match self.sessions.entry(share.session) {
                Entry::Vacant(entry) => {
                    entry.insert(Holders { last: group, are_several: false });
                }
                Entry::Occupied(mut entry) => {
                    *entry.get_mut() = Holders { last: group, are_several: true };
                }
            }
        }
        let visitors = (ids.visitors.len() - heartbeat_only.len()) as u64;
        self.pending.push_back(Pending {
            group,
            hashes,
            max_at: rows.max_at,
            visitors,
            heartbeat_only,
            sessions,
            times,
        });
        ready
    }

    /// The digests that were not ready yet.
    pub(super) fn finish(mut self) -> Vec<Ready> {
        self.take_ready(None)
    }

    /// Takes the row groups that share no session with one that begins at `min_at` or later; all when none will.
    fn take_ready(&mut self, min_at: Option<i64>) -> Vec<Ready> {
        let is_ready =
            |pending: &mut Pending| min_at.is_none_or(|at| pending.max_at.saturating_add(SESSION_MAX_MS) < at);
        let mut ready = Vec::new();
        while let Some(pending) = self.pending.pop_front_if(is_ready) {
            let are_several = |share: &SessionShare| self.sessions[&share.session].are_several;
            let digest = Digest::new(pending.visitors, pending.sessions.iter().copied(), are_several);
            let open_places = (0..).zip(&pending.times).zip(&pending.sessions);
            let open_places = open_places.filter(|(_, share)| are_several(share));
            let open_places = open_places.map(|((position, times), _)| (position, *times)).collect();
            self.count -= pending.sessions.len();
            for share in &pending.sessions {
                if self.sessions.get(&share.session).is_some_and(|holders| holders.last == pending.group) {
                    self.sessions.remove(&share.session);
                }
            }
            let digest = StoredDigest { digest, heartbeat_only: pending.heartbeat_only, open_places };
            ready.push(Ready { group: pending.group, hashes: pending.hashes, digest });
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use zenovay_domain::EventKind;

    use super::*;
    use crate::rows::BaseRows;

    const HOUR_MS: i64 = 3_600_000;

    /// A row group with one pageview in each of `sessions`, the first at `at`.
    fn group(at: i64, sessions: std::ops::Range<u64>) -> (BaseRows, Ids) {
        let ids = Ids { visitors: vec![7, 8], sessions: sessions.collect() };
        let count = ids.sessions.len();
        let rows = BaseRows {
            at: (0..count as i64).map(|number| at + number).collect(),
            kind: vec![EventKind::Pageview as u8; count],
            visitor: vec![1; count],
            session: (0..count as u32).collect(),
            engagement_ms: vec![0; count],
        };
        (rows, ids)
    }

    fn add(digester: &mut Digester, number: u32, at: i64, sessions: std::ops::Range<u64>) -> Vec<u32> {
        let (rows, ids) = group(at, sessions);
        let ready = digester.add(number, DictionaryHashes::default(), &rows.into_chunk(i64::MIN), &ids);
        ready.iter().map(|ready| ready.group).collect()
    }

    #[test]
    fn a_digest_waits_for_the_row_groups_that_its_sessions_can_reach() {
        let mut digester = Digester::default();
        assert!(add(&mut digester, 0, 0, 0..5).is_empty());
        assert!(add(&mut digester, 1, SESSION_MAX_MS, 4..8).is_empty());
        assert_eq!(add(&mut digester, 2, SESSION_MAX_MS + HOUR_MS, 7..9), [0]);
        let rest = digester.finish();
        let open = |ready: &Ready| ready.digest.digest.open.iter().map(|share| share.session).collect::<Vec<_>>();
        assert_eq!(rest.iter().map(open).collect::<Vec<_>>(), [vec![4, 7], vec![7]]);
        let digest = &rest[0].digest;
        assert_eq!((digest.digest.metrics.events, digest.digest.metrics.sessions), (4, 2));
        assert_eq!((digest.digest.metrics.visitors, &digest.heartbeat_only[..]), (1, &[0][..]));
        assert_eq!(StoredDigest::decode(&digest.encode().unwrap()), Ok(Some(digest.clone())));
    }

    /// Sabotage: leave the mark away, or the look at what is left.
    #[test]
    fn a_digest_tells_its_version_and_one_that_does_not_is_of_the_first() {
        let share = SessionShare {
            session: u64::MAX,
            first_at: i64::MAX,
            last_at: -1,
            pageviews: 0,
            other_events: 0,
            engagement_ms: 300,
        };
        let mut metrics = MetricValues::default();
        (metrics.visitors, metrics.pageviews, metrics.events, metrics.sessions) = (3, 200, 201, 4);
        (metrics.bounces, metrics.duration_ms, metrics.value_score) = (1, 5, 6);
        let digest = Digest { metrics, open: vec![share] };
        let mut digest = StoredDigest { digest, heartbeat_only: vec![7], open_places: Vec::new() };
        let max = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        let last_max = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        let first: Vec<u8> =
            [&[3, 200, 1, 201, 1, 4, 1, 5, 6, 1, 7, 1][..], &max, &last_max, &[1, 0, 0, 172, 2]].concat();
        assert_eq!(StoredDigest::decode(&first), Ok(Some(digest.clone())));
        assert_eq!(StoredDigest::decode(&[&[0xff; 10][..], &[2], &first].concat()), Ok(Some(digest.clone())));
        digest.open_places = vec![(9, VisitTimes { entry_ms: 1, exit_ms: 2, last_event_ms: 3 })];
        let written = digest.encode().unwrap();
        assert_eq!(written, [&[0xff; 10][..], &[3], &first, &[1, 9, 1, 2, 3]].concat());
        assert_eq!(StoredDigest::decode(&written), Ok(Some(digest)));
        let without_places = [&[0xff; 10][..], &[3], &first, &[0]].concat();
        assert!(StoredDigest::decode(&without_places).is_err(), "an open session without a place");
        assert!(postcard::from_bytes::<Encoded>(&written).is_err(), "unreadable where versions are not known");

        assert_eq!(StoredDigest::decode(&[&[0xff; 10][..], &[4, 1, 2]].concat()), Ok(None), "a newer one");
        for version in [0, 1] {
            assert!(StoredDigest::decode(&[&[0xff; 10][..], &[version], &first].concat()).is_err(), "{version}");
        }
        for bytes in [&written[..10], &written[..written.len() - 1], &first[..5], &[&first[..], &[0]].concat()] {
            assert!(StoredDigest::decode(bytes).is_err(), "{bytes:?}");
        }
    }

    /// Sabotage: count sessions up only.
    #[test]
    fn too_many_sessions_at_a_time_end_the_digests_of_a_website() {
        let many = PENDING_SESSIONS_MAX as u64 - 2;
        let mut digester = Digester::default();
        assert!(add(&mut digester, 0, 0, 0..many).is_empty());
        // Far enough apart they are not held together.
        assert_eq!(add(&mut digester, 1, 30 * HOUR_MS, 0..many), [0]);
        assert_eq!(add(&mut digester, 2, 90 * HOUR_MS, 0..many), [1]);
        assert!(add(&mut digester, 3, 91 * HOUR_MS, 0..3).is_empty());
        assert!(add(&mut digester, 4, 190 * HOUR_MS, 0..3).is_empty());
        assert!(digester.finish().is_empty());
    }
}
