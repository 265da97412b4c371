//! What is wrong, since when, and who was told: one begin and one end of each episode, over each channel, also across restarts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zenovay_domain::{Timestamp, WebsiteId};

use super::Channel;

/// All has to be well for so long before an alert is over: what comes and goes within the hour is one alert.
pub const OVER_AFTER_MS: i64 = 3_600_000;
/// After so long nobody is told any more of what is over.
const GIVEN_UP_AFTER_MS: i64 = 7 * 24 * 3_600_000;
/// The most that is remembered; beyond it what begins is not noted before something else is over.
const EPISODES_MAX: usize = 4_096;
/// The first pause after a delivery that failed, which doubles, and the longest.
const PAUSES_MS: (i64, i64) = (60_000, 3_600_000);

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// The disk will be full.
    DiskLow,
    /// The disk is full.
    DiskFull,
    /// There is no good backup of late.
    Backup,
    /// Websites have no events any more.
    NoEvents,
    /// The clock is not believed.
    Clock,
}

impl AlertKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::DiskLow, Self::DiskFull, Self::Backup, Self::NoEvents, Self::Clock];

    /// The name on the wire, which does not change.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DiskLow => "disk_low",
            Self::DiskFull => "disk_full",
            Self::Backup => "backup",
            Self::NoEvents => "no_events",
            Self::Clock => "clock",
        }
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wrong {
    /// With which website; `None` for the whole installation. Websites are named by their id alone, so that nothing of one that is
    /// deleted stays.
    pub(super) website: Option<WebsiteId>,
    /// What it is, in general.
    pub(super) what: String,
    /// What was seen of it.
    pub(super) seen: String,
    /// What to do about it.
    pub(super) remedy: String,
}

/// What a look at one kind found.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    /// The kind.
    pub(super) kind: AlertKind,
    /// All that is wrong; `None` when it could not be looked at, and everything stays as it was.
    pub(super) wrong: Option<Vec<Wrong>>,
}

/// The part of an episode that somebody is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// It began.
    Began,
    /// It is over.
    Ended,
}

/// Something wrong, from its begin to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Episode {
    kind: AlertKind,
    #[serde(flatten)]
    wrong: Wrong,
    began_at: Timestamp,
    ended_at: Option<Timestamp>,
    /// The last step that was told, by channel.
    told: BTreeMap<Channel, Step>,
    /// Since when it was seen no more. Not kept across restarts: then the hour begins anew.
    #[serde(skip)]
    well_since: Option<Timestamp>,
}

impl Episode {
    /// What is to be told over `channel` next.
    fn next(&self, channel: Channel) -> Option<Step> {
        match self.told.get(&channel) {
            None => Some(Step::Began),
            Some(Step::Began) if self.ended_at.is_some() => Some(Step::Ended),
            Some(_) => None,
        }
    }

    fn is_of(&self, kind: AlertKind, website: Option<WebsiteId>) -> bool {
        self.kind == kind && self.wrong.website == website
    }

    fn is_told(&self, channels: &[Channel]) -> bool {
        self.ended_at.is_some() && channels.iter().all(|channel| self.told.get(channel) == Some(&Step::Ended))
    }
}

/// What somebody is told at once: a step of an episode, or of all websites at the same step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    /// What it is about.
    pub(super) kind: AlertKind,
    /// Which part of it.
    pub(super) step: Step,
    /// When it began, for the first of several websites.
    pub(super) since: Timestamp,
    /// When it was over, for the first of several websites.
    pub(super) ended_at: Option<Timestamp>,
    /// What is wrong, with what was seen last. Of websites without their names.
    pub(super) wrong: Wrong,
    /// The websites; none when it is about the installation.
    pub(super) websites: Vec<WebsiteId>,
    episodes: Vec<(Option<WebsiteId>, Timestamp)>,
}

impl Notice {
    /// The same for the same step of the same episode, also when it is told again because nobody knows whether it arrived.
    pub(super) fn id(&self) -> String {
        let (at, step) = match self.step {
            Step::Began => (self.since, "began"),
            Step::Ended => (self.ended_at.unwrap_or(self.since), "ended"),
        };
        format!("{}-{}-{step}", self.kind.as_str(), at.as_millis())
    }
}

/// How deliveries over a channel go.
#[derive(Debug, Clone, Default)]
struct Line {
    failures: u32,
    next_try: Option<Timestamp>,
    why: String,
}

/// All episodes that somebody has still to be told of.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Book {
    episodes: Vec<Episode>,
    #[serde(skip)]
    lines: BTreeMap<Channel, Line>,
}

/// What changed at a look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// What began.
    pub(super) began: Vec<(AlertKind, Wrong)>,
    /// What is over.
    pub(super) ended: Vec<(AlertKind, Wrong)>,
    /// Episodes that are over, of which somebody could not be told.
    pub(super) given_up: usize,
}

impl Book {
    /// Notes what a look at `now` found.
    pub(super) fn note(&mut self, sights: &[Sight], now: Timestamp, channels: &[Channel]) -> Changes {
        let mut changes = Changes::default();
        for Sight { kind, wrong } in sights {
            let Some(wrong) = wrong else { continue };
            for episode in self.episodes.iter_mut().filter(|one| one.kind == *kind && one.ended_at.is_none()) {
                if let Some(wrong) = wrong.iter().find(|wrong| wrong.website == episode.wrong.website) {
                    episode.wrong.clone_from(wrong);
                    episode.well_since = None;
                    continue;
                }
                let since = *episode.well_since.get_or_insert(now);
                if now.millis_since(since) >= OVER_AFTER_MS {
                    episode.ended_at = Some(since);
                    changes.ended.push((*kind, episode.wrong.clone()));
                }
            }
            for wrong in wrong {
                let is_open = |one: &Episode| one.is_of(*kind, wrong.website) && one.ended_at.is_none();
                if self.episodes.iter().any(is_open) || self.episodes.len() >= EPISODES_MAX {
                    continue;
                }
                changes.began.push((*kind, wrong.clone()));
                self.episodes.push(Episode {
                    kind: *kind,
                    wrong: wrong.clone(),
                    began_at: now,
                    ended_at: None,
                    told: BTreeMap::new(),
                    well_since: None,
                });
            }
        }
        self.forget(|episode| episode.is_told(channels));
        let is_late =
            |episode: &Episode| episode.ended_at.is_some_and(|ended| now.millis_since(ended) >= GIVEN_UP_AFTER_MS);
        changes.given_up = self.forget(is_late);
        changes
    }

    /// Forgets what was wrong with websites that are not there any more: nobody has to be told that it is over. How many episodes
    /// that are.
    pub(super) fn keep_websites(&mut self, is_there: impl Fn(WebsiteId) -> bool) -> usize {
        self.forget(|episode| episode.wrong.website.is_some_and(|website| !is_there(website)))
    }

    fn forget(&mut self, which: impl Fn(&Episode) -> bool) -> usize {
        let before = self.episodes.len();
        self.episodes.retain(|episode| !which(episode));
        before - self.episodes.len()
    }

    /// How many episodes of `kind` go on.
    pub(super) fn open(&self, kind: AlertKind) -> usize {
        self.episodes.iter().filter(|episode| episode.kind == kind && episode.ended_at.is_none()).count()
    }

    /// What is to be told over `channel` at `now`; `None` when there is nothing, or the channel failed not long ago.
    pub(super) fn due(&self, channel: Channel, now: Timestamp) -> Option<Notice> {
        if self.lines.get(&channel).and_then(|line| line.next_try).is_some_and(|next| now < next) {
            return None;
        }
        let mut waiting = self.episodes.iter().filter_map(|episode| Some((episode, episode.next(channel)?)));
        let (first, step) = waiting.next()?;
        let mut notice = Notice {
            kind: first.kind,
            step,
            since: first.began_at,
            ended_at: first.ended_at,
            wrong: first.wrong.clone(),
            websites: first.wrong.website.into_iter().collect(),
            episodes: vec![(first.wrong.website, first.began_at)],
        };
        if first.wrong.website.is_some() {
            for (episode, _) in waiting.filter(|(episode, next)| episode.kind == first.kind && *next == step) {
                notice.since = notice.since.min(episode.began_at);
                notice.ended_at = notice.ended_at.min(episode.ended_at);
                notice.websites.extend(episode.wrong.website);
                notice.episodes.push((episode.wrong.website, episode.began_at));
            }
        }
        Some(notice)
    }

    /// Notes that `notice` was delivered over `channel`.
    pub(super) fn told(&mut self, channel: Channel, notice: &Notice, channels: &[Channel]) {
        self.lines.remove(&channel);
        for episode in self.episodes.iter_mut().filter(|episode| episode.kind == notice.kind) {
            let is_meant = notice.episodes.contains(&(episode.wrong.website, episode.began_at));
            if is_meant && episode.next(channel) == Some(notice.step) {
                episode.told.insert(channel, notice.step);
            }
        }
        self.forget(|episode| episode.is_told(channels));
    }

    /// Notes that nothing can be delivered over `channel` at `now`, and `why`: it is tried again after a pause that doubles.
    pub(super) fn failed(&mut self, channel: Channel, now: Timestamp, why: String) {
        let (first, longest) = PAUSES_MS;
        let line = self.lines.entry(channel).or_default();
        let pause = first.saturating_mul(1_i64.checked_shl(line.failures.min(30)).unwrap_or(i64::MAX)).min(longest);
        *line = Line { failures: line.failures.saturating_add(1), next_try: Some(now.plus_millis(pause)), why };
    }

    /// Notes that something was delivered over `channel`, which was no alert.
    pub(super) fn works(&mut self, channel: Channel) {
        self.lines.remove(&channel);
    }

    /// Why the last delivery over `channel` failed, if it did.
    pub(super) fn trouble(&self, channel: Channel) -> Option<&str> {
        self.lines.get(&channel).map(|line| line.why.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE_MS: i64 = 60_000;
    const BOTH: [Channel; 2] = [Channel::Mail, Channel::Webhook];

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_millis(minute * MINUTE_MS)
    }

    fn website(number: u8) -> WebsiteId {
        WebsiteId::from_random_bytes([number; 16])
    }

    fn wrong(website: Option<WebsiteId>) -> Wrong {
        Wrong { website, what: "it is".to_owned(), seen: "5 %.".to_owned(), remedy: "Do it.".to_owned() }
    }

    fn disk(is_low: bool) -> Sight {
        Sight { kind: AlertKind::DiskLow, wrong: Some(if is_low { vec![wrong(None)] } else { Vec::new() }) }
    }

    fn silent(websites: &[u8]) -> Sight {
        let wrong = websites.iter().map(|number| wrong(Some(website(*number)))).collect();
        Sight { kind: AlertKind::NoEvents, wrong: Some(wrong) }
    }

    /// The ids of what is told over `channel` at `minute`, by a channel that works.
    fn tell(book: &mut Book, channel: Channel, minute: i64) -> Vec<String> {
        let mut ids = Vec::new();
        while let Some(notice) = book.due(channel, at(minute)) {
            ids.push(notice.id());
            book.told(channel, &notice, &BOTH);
        }
        ids
    }

    fn restarted(book: &Book) -> Book {
        serde_json::from_str(&serde_json::to_string(book).unwrap()).unwrap()
    }

    /// Sabotage: end an episode at the first look that finds nothing, or begin the hour at its begin.
    #[test]
    fn what_comes_and_goes_within_the_hour_is_one_alert() {
        let mut book = Book::default();
        for minute in 0..300 {
            book.note(&[disk(minute % 50 == 0)], at(minute), &BOTH);
        }
        assert_eq!(tell(&mut book, Channel::Mail, 300), ["disk_low-0-began"]);
        assert_eq!(book.open(AlertKind::DiskLow), 1);
        // The last look that found it was the one at 250.
        book.note(&[disk(false)], at(310), &BOTH);
        assert_eq!(book.note(&[disk(false)], at(311), &BOTH).ended.len(), 1);
        assert_eq!(tell(&mut book, Channel::Mail, 311), ["disk_low-15060000-ended"]);
        assert_eq!(tell(&mut book, Channel::Webhook, 311), ["disk_low-0-began", "disk_low-15060000-ended"]);
        assert_eq!(book.episodes, []);
    }

    /// Sabotage: take what could not be looked at for well.
    #[test]
    fn what_cannot_be_looked_at_stays_as_it_was() {
        let mut book = Book::default();
        book.note(&[disk(true)], at(0), &BOTH);
        for minute in 1..500 {
            book.note(&[Sight { kind: AlertKind::DiskLow, wrong: None }], at(minute), &BOTH);
        }
        assert_eq!(book.open(AlertKind::DiskLow), 1);
    }

    /// Sabotage: tell of each website by itself, or of one that is deleted.
    #[test]
    fn websites_are_told_of_together_and_not_when_they_are_gone() {
        let mut book = Book::default();
        book.note(&[silent(&[1, 2])], at(0), &BOTH);
        book.note(&[silent(&[1, 2, 3])], at(1), &BOTH);
        let notice = book.due(Channel::Mail, at(1)).unwrap();
        assert_eq!((notice.websites.len(), notice.since), (3, at(0)));
        book.told(Channel::Mail, &notice, &BOTH);
        book.note(&[silent(&[1, 2, 3, 4])], at(2), &BOTH);
        let notice = book.due(Channel::Mail, at(2)).unwrap();
        assert_eq!((notice.websites, notice.since), (vec![website(4)], at(2)));
        assert_eq!(book.keep_websites(|id| id != website(4)), 1);
        assert_eq!(book.due(Channel::Mail, at(3)), None);
        assert_eq!(book.open(AlertKind::NoEvents), 3);
    }

    /// Sabotage: begin with the longest pause, double without end, or forget the failures when it fails again.
    #[test]
    fn a_channel_that_fails_is_tried_again_after_longer_pauses() {
        let mut book = Book::default();
        book.note(&[disk(true)], at(0), &BOTH);
        let (mut tries, mut now) = (Vec::new(), at(0));
        while tries.len() < 10 {
            if book.due(Channel::Webhook, now).is_some() {
                tries.push(now.as_millis() / MINUTE_MS);
                book.failed(Channel::Webhook, now, "no".to_owned());
            }
            now = now.plus_millis(MINUTE_MS);
        }
        assert_eq!(tries, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
        assert_eq!((book.trouble(Channel::Webhook), book.trouble(Channel::Mail)), (Some("no"), None));
        assert_eq!(tell(&mut book, Channel::Mail, 0), ["disk_low-0-began"], "the other one goes on");
        assert_eq!(tell(&mut book, Channel::Webhook, 400), ["disk_low-0-began"]);
        assert_eq!(book.trouble(Channel::Webhook), None);
    }

    #[test]
    fn nobody_is_told_of_what_was_over_a_week_ago() {
        let mut book = Book::default();
        book.note(&[disk(true)], at(0), &BOTH);
        book.note(&[disk(false)], at(1), &BOTH);
        assert_eq!(book.note(&[disk(false)], at(61), &BOTH).ended.len(), 1);
        let week = 7 * 24 * 60;
        assert_eq!(book.note(&[disk(false)], at(week), &BOTH).given_up, 0);
        assert_eq!(book.note(&[disk(false)], at(week + 1), &BOTH).given_up, 1);
        assert_eq!(book.due(Channel::Mail, at(week + 1)), None);
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut book = Book::default();
        let many = (0..5_000_u16).map(|number| {
            let [high, low] = number.to_be_bytes();
            wrong(Some(WebsiteId::from_random_bytes([[high, low]; 8].as_flattened().try_into().unwrap())))
        });
        book.note(&[Sight { kind: AlertKind::NoEvents, wrong: Some(many.collect()) }], at(0), &BOTH);
        assert_eq!(book.episodes.len(), EPISODES_MAX);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever happens, with restarts at any time and channels that fail, each channel hears of each episode once that it began
        /// and once, after that, that it is over.
        ///
        /// Sabotage: forget at a restart who was told, tell of the end of what nobody heard of, or note a step before it is told.
        #[test]
        fn each_episode_is_told_once_when_it_begins_and_once_when_it_ends(
            looks in prop::collection::vec((0..3_u8, 0..40_i64, any::<bool>(), any::<[bool; 2]>()), 1..200),
        ) {
            let mut book = Book::default();
            let (mut began, mut ended, mut minute) = (0_usize, 0_usize, 0);
            let mut heard: BTreeMap<Channel, Vec<String>> = BTreeMap::new();
            let hear = |book: &mut Book, heard: &mut BTreeMap<Channel, Vec<String>>, minute, works: [bool; 2]| {
                for (channel, works) in BOTH.into_iter().zip(works) {
                    if works {
                        heard.entry(channel).or_default().extend(tell(book, channel, minute));
                    } else if book.due(channel, at(minute)).is_some() {
                        book.failed(channel, at(minute), "no".to_owned());
                    }
                }
            };
            for (sight, minutes, restarts, works) in looks {
                minute += minutes;
                let sight = match sight {
                    0 => disk(false),
                    1 => disk(true),
                    _ => Sight { kind: AlertKind::DiskLow, wrong: None },
                };
                let changes = book.note(&[sight], at(minute), &BOTH);
                began += changes.began.len();
                ended += changes.ended.len();
                hear(&mut book, &mut heard, minute, works);
                if restarts {
                    book = restarted(&book);
                }
            }
            // In the end everything is well, and every channel works.
            for _ in 0..3 {
                minute += 61;
                ended += book.note(&[disk(false)], at(minute), &BOTH).ended.len();
                hear(&mut book, &mut heard, minute, [true; 2]);
            }
            prop_assert_eq!(began, ended);
            prop_assert!(book.episodes.is_empty());
            for channel in BOTH {
                let heard = heard.remove(&channel).unwrap_or_default();
                let steps: Vec<&str> = heard.iter().filter_map(|id| id.rsplit('-').next()).collect();
                prop_assert_eq!(steps, ["began", "ended"].repeat(began));
                let mut ids = heard.clone();
                ids.sort();
                ids.dedup();
                prop_assert_eq!(ids.len(), heard.len());
            }
        }
    }
}
