//! A clock that does not believe every reading.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Clock, Reading, Timestamp};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A reading this near to what is expected is right: clocks are set by seconds, and summer time does not move UTC.
const TOLERANCE_MS: i64 = HOUR_MS;
/// A machine that was off for no longer than this is believed at once.
const OFF_MS: i64 = 2 * DAY_MS;
/// A doubted clock that went on without another step for this long while the process ran is believed, and nobody has to
/// do anything about it.
pub const CLOCK_CONFIRMED_MS: i64 = 6 * HOUR_MS;
/// After this long the steady reading follows a doubted clock: a machine that was paused does not name its visitors by
/// the day on which it stopped for hours.
const SETTLED_MS: i64 = 10 * MINUTE_MS;

/// What a [`GuardedClock`] knows and the next process must know, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClockMemory {
    /// The last reading that was believed.
    pub trusted_at: Option<Timestamp>,
    /// The last reading that was not, while there is doubt.
    pub doubted: Option<DoubtedReading>,
}

impl ClockMemory {
    /// What a clock that was believed at `trusted_at` and is in doubt since `doubted` remembers.
    pub fn new(trusted_at: Option<Timestamp>, doubted: Option<DoubtedReading>) -> Self {
        Self { trusted_at, doubted }
    }
}

/// A reading that is not believed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DoubtedReading {
    /// What the clock said last.
    pub at: Timestamp,
    /// For how many milliseconds it has gone on from there without a step, in this process and those before. At
    /// [`CLOCK_CONFIRMED_MS`] it is believed.
    pub confirmed_ms: i64,
}

impl DoubtedReading {
    /// A clock that said `at` and has gone on from there for `confirmed_ms` milliseconds.
    pub fn new(at: Timestamp, confirmed_ms: i64) -> Self {
        Self { at, confirmed_ms }
    }
}

/// Why a reading was not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Doubt {
    /// What the clock said.
    pub said: Timestamp,
    /// What was expected by the time that the machine has run since the clock was believed; at start, the last reading
    /// that was. `None` when nothing is known of the time before.
    pub expected: Option<Timestamp>,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { said, expected: Some(expected) } = self else {
            return write!(f, "says {}, and there is nothing to compare it with", self.said);
        };
        let ahead_ms = said.millis_since(*expected);
        let side = if ahead_ms >= 0 { "ahead of" } else { "behind" };
        let by_ms = ahead_ms.saturating_abs();
        let (count, unit) = if by_ms >= 2 * DAY_MS { (by_ms / DAY_MS, "days") } else { (by_ms / HOUR_MS, "hours") };
        write!(f, "says {said}, {count} {unit} {side} the {expected} that is known to be right")
    }
}

/// What a [`GuardedClock`] thinks of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClockStatus {
    /// The present doubt; `None` when the clock is believed.
    pub doubt: Option<Doubt>,
    /// The latest doubt of this process, which may be over.
    pub latest: Option<Doubt>,
    /// How many doubts this process has had.
    pub doubts: u64,
}

/// The one clock behind everything that removes, resets or forgets by the time: retention, salts, months of usage,
/// idempotency keys, sessions that are stitched.
///
/// A reading is believed when it is within an hour of what the machine's uptime makes of the last one that was; at a start,
/// when it is no more than an hour before and no more than two days after the last reading that the process before it
/// believed. A doubted clock that goes on without another step for [`CLOCK_CONFIRMED_MS`] is believed from then on.
///
/// ```
/// use std::sync::Arc;
/// use zenovay_domain::{Clock, GuardedClock, ManualClock, Timestamp};
///
/// let machine = Arc::new(ManualClock::new(Timestamp::from_millis(1_781_308_800_000)));
/// let clock = GuardedClock::new(machine.clone(), None);
/// // Nothing is stored yet.
/// clock.begin(None);
/// assert!(clock.reading().trusted);
/// // Somebody sets the machine a month ahead.
/// machine.step_ms(31 * 86_400_000);
/// assert!(!clock.reading().trusted);
/// ```
pub struct GuardedClock {
    clock: Arc<dyn Clock>,
    guard: Mutex<Guard>,
}

/// A reading and the uptime at which it was taken.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    at: Timestamp,
    uptime_ms: i64,
}

impl Anchor {
    /// What a clock that nobody sets says at `uptime_ms`.
    fn expected(self, uptime_ms: i64) -> Timestamp {
        self.at.plus_millis(uptime_ms.saturating_sub(self.uptime_ms))
    }
}

#[derive(Debug, Clone, Copy)]
struct Doubted {
    /// The first reading of it.
    since: Anchor,
    doubt: Doubt,
    /// For how long processes before this one saw the same clock go on.
    before_ms: i64,
}

#[derive(Debug, Default)]
struct Guard {
    memory: ClockMemory,
    /// A reading of this process that was believed, not much more than a day ago.
    anchor: Option<Anchor>,
    doubted: Option<Doubted>,
    latest: Option<Doubt>,
    doubts: u64,
}

fn is_near(reading: Timestamp, expected: Timestamp) -> bool {
    reading.millis_since(expected).unsigned_abs() <= TOLERANCE_MS.unsigned_abs()
}

/// Whether `reading` may be what the clock says when a process starts that saw `before` last.
fn goes_on(reading: Timestamp, before: Timestamp) -> bool {
    (-TOLERANCE_MS..=OFF_MS).contains(&reading.millis_since(before))
}

impl Guard {
    fn observe(&mut self, now: Timestamp, uptime_ms: i64) -> Reading {
        let expected = self.anchor.map(|anchor| anchor.expected(uptime_ms));
        let is_believed = match (expected, self.memory.trusted_at) {
            (Some(expected), _) => is_near(now, expected),
            (None, Some(before)) => goes_on(now, before),
            (None, None) => false,
        };
        if is_believed {
            self.believe(now, uptime_ms);
            return Reading::believed(now);
        }
        let doubted = match self.doubted {
            Some(doubted) if is_near(now, doubted.since.expected(uptime_ms)) => doubted,
            _ => self.doubt(now, uptime_ms, expected),
        };
        let here_ms = uptime_ms.saturating_sub(doubted.since.uptime_ms).max(0);
        let confirmed_ms = doubted.before_ms.saturating_add(here_ms);
        if confirmed_ms >= CLOCK_CONFIRMED_MS {
            self.anchor = None;
            self.believe(now, uptime_ms);
            return Reading::believed(now);
        }
        self.memory.doubted = Some(DoubtedReading { at: now, confirmed_ms });
        let steady = match (expected, self.memory.trusted_at) {
            _ if here_ms >= SETTLED_MS => now,
            (Some(expected), _) => expected,
            // A machine that was off is not asked to live in the past; one whose clock lost its battery does not go there.
            (None, Some(before)) => now.max(before.plus_millis(here_ms)),
            (None, None) => now,
        };
        Reading { now, steady, trusted: false }
    }

    fn believe(&mut self, now: Timestamp, uptime_ms: i64) {
        self.doubted = None;
        self.memory = ClockMemory { trusted_at: Some(now), doubted: None };
        // Kept for a day, so that a clock which runs too fast moves away from it instead of taking it along.
        if self.anchor.is_none_or(|anchor| uptime_ms.saturating_sub(anchor.uptime_ms) >= DAY_MS) {
            self.anchor = Some(Anchor { at: now, uptime_ms });
        }
    }

    fn doubt(&mut self, now: Timestamp, uptime_ms: i64, expected: Option<Timestamp>) -> Doubted {
        let doubt = Doubt { said: now, expected: expected.or(self.memory.trusted_at) };
        // What processes before this one confirmed counts when this one begins where they ended.
        let before = if self.doubts == 0 { self.memory.doubted } else { None };
        let before_ms = before.filter(|before| goes_on(now, before.at)).map_or(0, |before| before.confirmed_ms);
        let doubted = Doubted { since: Anchor { at: now, uptime_ms }, doubt, before_ms };
        self.doubts += 1;
        self.latest = Some(doubt);
        self.doubted = Some(doubted);
        doubted
    }
}

impl GuardedClock {
    /// Guards `clock`, with what the process before remembered. Without a memory nothing is believed before
    /// [`GuardedClock::begin`].
    pub fn new(clock: Arc<dyn Clock>, memory: Option<ClockMemory>) -> Self {
        let guard = Guard { memory: memory.unwrap_or_default(), ..Guard::default() };
        Self { clock, guard: Mutex::new(guard) }
    }

    /// Tells a clock without a memory the time of the newest event that is stored. With `None` nothing is stored that
    /// could be lost, and the clock is believed as it is. Does nothing when there is a memory.
    pub fn begin(&self, newest: Option<Timestamp>) {
        let mut guard = self.guard();
        if guard.memory.trusted_at.is_some() {
            return;
        }
        match newest {
            Some(newest) => guard.memory.trusted_at = Some(newest),
            None => {
                let (now, uptime_ms) = self.clock.now_and_uptime();
                guard.believe(now, uptime_ms);
            }
        }
    }

    /// Reads the clock and tells what is thought of it.
    pub fn status(&self) -> ClockStatus {
        self.reading();
        let guard = self.guard();
        let doubt = guard.doubted.map(|doubted| doubted.doubt);
        ClockStatus { doubt, latest: guard.latest, doubts: guard.doubts }
    }

    /// What the next process must know, as of the last reading.
    pub fn memory(&self) -> ClockMemory {
        self.guard().memory
    }

    /// The guard is plain numbers, whole after every statement: a panic elsewhere does not spoil it.
    fn guard(&self) -> MutexGuard<'_, Guard> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for GuardedClock {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn now_and_uptime(&self) -> (Timestamp, i64) {
        self.clock.now_and_uptime()
    }

    fn reading(&self) -> Reading {
        // Taken under the lock, so that readings are judged in their order.
        let mut guard = self.guard();
        let (now, uptime_ms) = self.clock.now_and_uptime();
        guard.observe(now, uptime_ms)
    }
}

impl fmt::Debug for GuardedClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedClock").field("guard", &*self.guard()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ManualClock;

    const NOW: Timestamp = Timestamp::from_millis(1_781_308_800_000);
    const YEAR_MS: i64 = 365 * DAY_MS;

    struct Machine {
        clock: Arc<ManualClock>,
        guarded: GuardedClock,
    }

    impl Machine {
        /// A machine whose clock says `now`, with what `memory` has of the time before.
        fn start(now: Timestamp, memory: Option<ClockMemory>) -> Self {
            let clock = Arc::new(ManualClock::new(now));
            let guarded = GuardedClock::new(clock.clone(), memory);
            guarded.begin(None);
            Self { clock, guarded }
        }

        /// The next process, `off_ms` later by the clock.
        fn restart(&self, off_ms: i64) -> Self {
            Self::start(self.clock.now().plus_millis(off_ms), Some(self.guarded.memory()))
        }

        fn is_trusted(&self) -> bool {
            self.guarded.reading().trusted
        }

        /// Runs for `ms` milliseconds and reads the clock every minute, as a server does.
        fn run(&self, ms: i64) {
            self.guarded.reading();
            for _ in 0..ms / MINUTE_MS {
                self.clock.advance_ms(MINUTE_MS);
                self.guarded.reading();
            }
        }
    }

    #[test]
    fn a_clock_that_goes_on_is_believed_whatever_happens() {
        let machine = Machine::start(NOW, None);
        for _ in 0..100 {
            machine.clock.advance_ms(DAY_MS);
            assert!(machine.is_trusted());
            machine.clock.step_ms(-2_000);
            assert!(machine.is_trusted(), "set by seconds");
        }
        let next = machine.restart(40 * HOUR_MS);
        assert!(next.is_trusted(), "off over a day");
        assert_eq!(next.guarded.status(), ClockStatus::default());
    }

    /// Sabotage: believe every reading, or move the anchor with one that is doubted.
    #[test]
    fn a_step_while_running_is_doubted_and_heals_at_once() {
        for step_ms in [5 * YEAR_MS, -5 * YEAR_MS, 2 * HOUR_MS, -2 * HOUR_MS] {
            let machine = Machine::start(NOW, None);
            machine.run(HOUR_MS);
            let right = machine.clock.now();
            machine.clock.step_ms(step_ms);
            let reading = machine.guarded.reading();
            assert_eq!((reading.now, reading.trusted), (right.plus_millis(step_ms), false));
            assert_eq!(reading.steady, right, "the time that the machine has run decides");
            machine.run(5 * MINUTE_MS);
            assert_eq!(machine.guarded.reading().steady, right.plus_millis(5 * MINUTE_MS));
            assert_eq!(machine.guarded.memory().trusted_at, Some(right));
            let doubt = machine.guarded.status().doubt.unwrap();
            assert_eq!(doubt.said.millis_since(doubt.expected.unwrap()), step_ms);

            machine.clock.step_ms(-step_ms);
            assert!(machine.is_trusted());
            let status = machine.guarded.status();
            assert_eq!((status.doubt, status.latest, status.doubts), (None, Some(doubt), 1));
            assert_eq!(machine.guarded.memory().doubted, None);
        }
    }

    #[test]
    fn a_step_that_stays_is_believed_after_hours_and_followed_after_minutes() {
        let machine = Machine::start(NOW, None);
        machine.guarded.reading();
        machine.clock.step_ms(10 * DAY_MS);
        machine.guarded.reading();
        machine.run(SETTLED_MS);
        let reading = machine.guarded.reading();
        assert_eq!((reading.steady, reading.trusted), (reading.now, false));
        machine.run(CLOCK_CONFIRMED_MS - SETTLED_MS - MINUTE_MS);
        assert!(!machine.is_trusted());
        machine.run(MINUTE_MS);
        assert!(machine.is_trusted());
        machine.clock.step_ms(-10 * DAY_MS);
        assert!(!machine.is_trusted(), "now this is the step");
    }

    /// Sabotage: count the hours of a doubted clock although it was set meanwhile.
    #[test]
    fn a_clock_that_is_set_again_and_again_is_not_confirmed() {
        let machine = Machine::start(NOW, None);
        for _ in 0..100 {
            machine.clock.step_ms(3 * DAY_MS);
            machine.run(HOUR_MS);
            assert!(!machine.is_trusted());
        }
    }

    /// Sabotage: move the anchor with every reading that is believed.
    #[test]
    fn a_clock_that_runs_too_fast_is_not_believed_for_long() {
        let machine = Machine::start(NOW, None);
        let mut trusted_minutes = 0;
        for _ in 0..3 * 24 * 60 {
            machine.clock.advance_ms(MINUTE_MS);
            machine.clock.step_ms(9 * MINUTE_MS);
            trusted_minutes += i32::from(machine.is_trusted());
        }
        assert!(trusted_minutes < 10, "{trusted_minutes}");
    }

    #[test]
    fn a_wrong_clock_at_start_is_doubted_and_forgotten_when_it_was_right_again() {
        let machine = Machine::start(NOW, None);
        machine.guarded.reading();
        let wrong = machine.restart(9 * YEAR_MS);
        assert!(!wrong.is_trusted());
        wrong.run(HOUR_MS);
        assert_eq!(wrong.guarded.memory().trusted_at, Some(NOW));
        let right = Machine::start(NOW.plus_millis(2 * HOUR_MS), Some(wrong.guarded.memory()));
        assert!(right.is_trusted());
        assert_eq!(right.guarded.memory().doubted, None);
    }

    #[test]
    fn a_clock_that_lost_its_battery_does_not_go_back_in_time() {
        let machine = Machine::start(NOW, None);
        machine.guarded.reading();
        let wrong = machine.restart(-20 * YEAR_MS);
        wrong.guarded.reading();
        wrong.run(2 * MINUTE_MS);
        let reading = wrong.guarded.reading();
        assert_eq!((reading.steady, reading.trusted), (NOW.plus_millis(2 * MINUTE_MS), false));
        wrong.clock.step_ms(20 * YEAR_MS);
        assert!(wrong.is_trusted(), "the network told the time");
    }

    /// Sabotage: wait for an operator, or begin to count anew in every process.
    #[test]
    fn a_machine_that_was_off_for_weeks_is_believed_after_hours_in_several_runs() {
        let mut machine = Machine::start(NOW, None);
        machine.guarded.reading();
        machine = machine.restart(40 * DAY_MS);
        let reading = machine.guarded.reading();
        assert_eq!((reading.steady, reading.trusted), (reading.now, false), "it works, and removes nothing");
        for _ in 0..2 {
            machine.run(2 * HOUR_MS);
            assert!(!machine.is_trusted());
            machine = machine.restart(20 * HOUR_MS);
        }
        machine.run(2 * HOUR_MS);
        assert!(machine.is_trusted());
    }

    #[test]
    fn a_wrong_time_that_was_confirmed_heals_by_itself() {
        let machine = Machine::start(NOW.plus_millis(9 * YEAR_MS), None);
        assert!(machine.is_trusted(), "the first start has nothing to lose");
        let right = machine.restart(-9 * YEAR_MS);
        assert!(!right.is_trusted());
        right.run(CLOCK_CONFIRMED_MS);
        assert!(right.is_trusted());
        assert_eq!(right.guarded.memory().trusted_at, Some(right.clock.now()));
    }

    #[test]
    fn without_a_memory_the_newest_event_is_what_is_known() {
        let start = |newest: Timestamp| {
            let guarded = GuardedClock::new(Arc::new(ManualClock::new(NOW)), None);
            assert!(!guarded.reading().trusted, "not before it is known what is stored");
            guarded.begin(Some(newest));
            guarded.reading().trusted
        };
        assert!(start(NOW.plus_millis(-HOUR_MS)));
        assert!(!start(NOW.plus_millis(-5 * YEAR_MS)));
        assert!(!start(NOW.plus_millis(5 * YEAR_MS)));
    }

    #[test]
    fn a_doubt_is_told_in_words() {
        let told = |by_ms| Doubt { said: NOW.plus_millis(by_ms), expected: Some(NOW) }.to_string();
        assert!(told(5 * DAY_MS).ends_with("5 days ahead of the 2026-06-13T00:00:00.000Z that is known to be right"));
        assert!(told(-3 * HOUR_MS).contains("3 hours behind the 2026-06-13T00:00:00.000Z"));
    }

    /// Sabotage: negate what the clock is behind.
    #[test]
    fn no_reading_is_too_far_away() {
        let ends = [i64::MIN, -1, 0, NOW.as_millis(), i64::MAX].map(Timestamp::from_millis);
        for (memory, said) in ends.into_iter().flat_map(|memory| ends.map(|said| (memory, said))) {
            let _ = Doubt { said, expected: Some(memory) }.to_string();
            let doubted = Some(DoubtedReading { at: memory, confirmed_ms: said.as_millis() });
            let clock = Arc::new(ManualClock::new(memory));
            let guarded = GuardedClock::new(clock.clone(), Some(ClockMemory { trusted_at: Some(memory), doubted }));
            for now in [said, memory, said] {
                guarded.reading();
                clock.set(now);
                clock.step_ms(now.as_millis());
                guarded.status();
            }
        }
    }
}
