//! What this node knows of the others, and whether it may let somebody pass by itself when it cannot reach Redis.
//!
//! Each node has a lease, which every beat makes longer, and a share of each limit. While a lease lasts, its node lets nobody pass
//! by itself, and the others have the whole limit. A node whose lease was over before a window began may use its share in that
//! window, because Redis holds that share back from everybody for the whole of it. Both sides go by the same numbers: the end of a lease
//! is reckoned from when a beat was sent, not from when it came.

use std::time::Duration;

/// For how long after a beat a node lets nobody pass by itself, in milliseconds.
pub(crate) const LEASE_MS: i64 = 3_000;
/// For how long Redis remembers a node that says nothing, after its lease.
pub(crate) const MEMORY_MS: i64 = 3_600_000;
/// So much earlier a node that cannot reach Redis gives its share up.
const FORGOTTEN_MS: i64 = MEMORY_MS - 60_000;
/// How much two clocks go apart at most: one part in so many.
const DRIFT: i64 = 5_000;

/// Another node, as Redis told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Other {
    pub(crate) name: String,
    pub(crate) lease: i64,
    pub(crate) share: u32,
}

/// What a beat brought back.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// The time of Redis, in milliseconds since 1970.
    pub(crate) time: i64,
    pub(crate) epoch: String,
    pub(crate) share: u32,
    pub(crate) others: Vec<Other>,
}

/// A reading of Redis' clock, and the times of ours around it.
#[derive(Debug, Clone, Copy)]
struct Reading {
    time: i64,
    asked: Duration,
    heard: Duration,
}

impl Reading {
    /// The time of Redis at `tick`, at least and at most.
    fn at(&self, tick: Duration) -> (i64, i64) {
        let since = |earlier: Duration| i64::try_from(tick.saturating_sub(earlier).as_millis()).unwrap_or(i64::MAX / 2);
        let (least, most) = (since(self.heard), since(self.asked));
        // Milliseconds are cut.
        (self.time + least - least / DRIFT - 1, self.time + most + most / DRIFT + 2)
    }
}

/// Why a node cannot let anybody pass by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoShare {
    #[error("no Redis server was reached since this one started")]
    Never,
    #[error(
        "nobody knows what was counted in this window before Redis was lost; the next is counted by this server's share"
    )]
    Mixed,
    #[error("this server has no share of the limit yet")]
    None,
    #[error("no Redis server was reached for an hour, and the others may have forgotten this one")]
    Forgotten,
}

/// What this node knows.
#[derive(Debug, Default)]
pub(crate) struct Membership {
    reading: Option<Reading>,
    /// When its lease ends, by the clock of Redis; `None` before the first beat.
    lease: Option<i64>,
    /// The last time without a lease: from then, until then.
    away: Option<(i64, i64)>,
    /// It has one part in so many; 0 for none.
    share: u32,
    epoch: String,
    others: Vec<Other>,
    answered: u64,
}

impl Membership {
    /// Of a node whose earlier run wrote `nodes`, see [`written`](Self::written).
    pub(crate) fn after(nodes: &str) -> Self {
        let mut words = nodes.split_whitespace().skip(1);
        let mut others = Vec::new();
        while let (Some(name), Some(share)) = (words.next(), words.next().and_then(|share| share.parse().ok())) {
            // Until when they had leases is not known: until the clock is read.
            others.push(Other { name: name.to_owned(), lease: i64::MIN, share });
        }
        Self { others, ..Self::default() }
    }

    /// The nodes and their shares, for a later run.
    pub(crate) fn written(&self, name: &str) -> String {
        let mut others: Vec<_> = self.others.iter().map(|other| format!(" {} {}", other.name, other.share)).collect();
        others.sort_unstable();
        format!("{name}{}", others.concat())
    }

    /// Whether only one beat was answered.
    pub(crate) const fn is_first_beat(&self) -> bool {
        self.answered == 1
    }

    /// Redis' clock was read: asked at `asked`, heard at `heard`, of a clock that only goes on.
    pub(crate) fn read(&mut self, time: i64, asked: Duration, heard: Duration) {
        self.reading = Some(Reading { time, asked, heard });
        self.others.iter_mut().filter(|other| other.lease == i64::MIN).for_each(|other| other.lease = time);
    }

    /// A beat is about to be sent at `tick`. When it is sent, by Redis' clock and at the earliest; `None` when that is not known.
    pub(crate) fn begin_beat(&mut self, tick: Duration) -> Option<i64> {
        let (least, most) = self.reading?.at(tick);
        if let Some(lease) = self.lease
            && self.share > 0
            && lease <= most
        {
            self.away = Some((lease, least));
            if most >= lease.saturating_add(FORGOTTEN_MS) {
                self.share = 0;
            }
        }
        self.lease = Some(self.lease.unwrap_or(i64::MIN).max(least.saturating_add(LEASE_MS)));
        Some(least)
    }

    /// What the beat brought back that was sent last.
    pub(crate) fn end_beat(&mut self, heard: Heard) {
        (self.share, self.epoch, self.others) = (heard.share, heard.epoch, heard.others);
        self.answered += 1;
    }

    /// How many nodes there are, this one among them.
    pub(crate) fn nodes(&self) -> u32 {
        u32::try_from(self.others.len()).unwrap_or(u32::MAX - 1) + 1
    }

    pub(crate) const fn share(&self) -> u32 {
        self.share
    }

    pub(crate) fn epoch(&self) -> &str {
        &self.epoch
    }

    pub(crate) fn others(&self) -> &[Other] {
        &self.others
    }

    /// As what part of a limit in windows of `window_ms` this node may let pass at `tick` by itself (one in so many), and at what time
    /// of Redis.
    pub(crate) fn own_share(&self, tick: Duration, window_ms: i64) -> Result<(u32, i64), NoShare> {
        let (Some(reading), Some(lease)) = (self.reading, self.lease) else { return Err(NoShare::Never) };
        let (least, most) = reading.at(tick);
        let began = least.div_euclid(window_ms) * window_ms;
        if self.share == 0 {
            return Err(NoShare::None);
        }
        if most >= lease.saturating_add(FORGOTTEN_MS) {
            return Err(NoShare::Forgotten);
        }
        let was_away = self.away.is_some_and(|(from, until)| from <= began && began <= until);
        // At the edge nobody can tell which window it is.
        if most.div_euclid(window_ms) * window_ms != began || !(lease <= began || was_away) {
            return Err(NoShare::Mixed);
        }
        Ok((self.share, least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn tick(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Redis' clock is ours and ten minutes.
    fn member(share: u32) -> Membership {
        let mut member = Membership::default();
        member.read(600_000, tick(0), tick(0));
        member.begin_beat(tick(0)).unwrap();
        member.end_beat(Heard { time: 600_000, epoch: "run 0".to_owned(), share, others: Vec::new() });
        member
    }

    /// Sabotage: use the share in the window in which Redis was lost.
    #[test]
    fn the_share_is_used_from_the_next_window_on() {
        let member = member(2);
        let share = |ms| member.own_share(tick(ms), MINUTE).map(|(share, _)| share);
        assert_eq!(share(10_000), Err(NoShare::Mixed));
        assert_eq!(share(59_900), Err(NoShare::Mixed));
        assert_eq!(share(60_100), Ok(2));
        assert_eq!(share(119_900), Ok(2));
        assert_eq!(share(120_000), Err(NoShare::Mixed), "at the edge of two minutes");
        assert_eq!(share(121_000), Ok(2));
        assert_eq!(share(3_600_000), Err(NoShare::Forgotten));
        assert_eq!(Membership::default().own_share(tick(0), MINUTE), Err(NoShare::Never));
        assert_eq!(self::member(0).own_share(tick(70_000), MINUTE), Err(NoShare::None));
    }

    /// Sabotage: forget, when a beat is sent, what this node let pass before.
    #[test]
    fn a_share_that_was_begun_lasts_until_the_window_ends() {
        let mut member = member(2);
        member.read(600_000 + 80_000, tick(80_000), tick(80_000));
        member.begin_beat(tick(80_000)).unwrap();
        assert!(member.own_share(tick(90_000), MINUTE).is_ok());
        assert_eq!(member.own_share(tick(121_000), MINUTE), Ok((2, 600_000 + 121_000 - 1 - 8)), "its lease is over");
        member.begin_beat(tick(119_000)).unwrap();
        assert_eq!(member.own_share(tick(121_000), MINUTE), Err(NoShare::Mixed), "the lease covers the beginning");
    }
}
