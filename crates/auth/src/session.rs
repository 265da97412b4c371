//! How long somebody who signed in stays signed in, and how often they may try.

use zenovay_domain::Timestamp;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A session ends when it was not used for so many milliseconds: 7 days.
pub const SESSION_IDLE_MS: i64 = 7 * DAY_MS;
/// A session ends so many milliseconds after the sign-in, used or not: 30 days.
pub const SESSION_MAX_MS: i64 = 30 * DAY_MS;
/// The second factor has to follow the password within so many milliseconds: 10 minutes.
pub const SECOND_FACTOR_MS: i64 = 10 * MINUTE_MS;
/// The secret of a session is replaced at the first use after so many milliseconds: an hour.
pub const SESSION_ROTATION_MS: i64 = HOUR_MS;
/// So many milliseconds the secret before the present one is taken beside it, for requests that were on their way: a minute.
pub const SESSION_OVERLAP_MS: i64 = MINUTE_MS;

/// How far a sign-in has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a sign-in is half way or complete")]
pub enum SignInStage {
    /// The password was right; the second factor is missing. Nobody is signed in.
    SecondFactor,
    /// Signed in.
    Complete,
}

impl SignInStage {
    /// All stages.
    pub const ALL: [Self; 2] = [Self::SecondFactor, Self::Complete];

    /// The name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SecondFactor => "second_factor",
            Self::Complete => "complete",
        }
    }
}

/// The instants of a session that decide about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionTimes {
    /// When somebody signed in.
    pub created_at: Timestamp,
    /// When it was used last, to a minute.
    pub last_seen_at: Timestamp,
    /// When it got its present secret.
    pub rotated_at: Timestamp,
    /// When its present secret came back for the first time; `None` until then.
    pub confirmed_at: Option<Timestamp>,
}

impl SessionTimes {
    /// The instants of a session that was used last at `last_seen_at`, and got the secret that is its present one at
    /// `rotated_at`, which has come back for the first time at `confirmed_at`.
    pub const fn new(
        created_at: Timestamp,
        last_seen_at: Timestamp,
        rotated_at: Timestamp,
        confirmed_at: Option<Timestamp>,
    ) -> Self {
        Self { created_at, last_seen_at, rotated_at, confirmed_at }
    }

    /// Whether the session has ended at `now`.
    pub fn is_over(&self, stage: SignInStage, now: Timestamp) -> bool {
        match stage {
            SignInStage::SecondFactor => now.millis_since(self.created_at) >= SECOND_FACTOR_MS,
            SignInStage::Complete => {
                now.millis_since(self.created_at) >= SESSION_MAX_MS
                    || now.millis_since(self.last_seen_at) >= SESSION_IDLE_MS
            }
        }
    }

    /// Whether the secret is to be replaced at `now`.
    pub fn is_due_for_rotation(&self, now: Timestamp) -> bool {
        now.millis_since(self.rotated_at) >= SESSION_ROTATION_MS
    }

    /// Whether the secret before the present one still stands for the session at `now`. It does until the present one was
    /// used for a minute: an answer that got lost on its way signs nobody out. Whoever shows it later has a copy, and it
    /// is not known which of the two is the thief.
    pub fn admits_previous_secret(&self, now: Timestamp) -> bool {
        self.confirmed_at.is_none_or(|at| now.millis_since(at) < SESSION_OVERLAP_MS)
    }
}

/// So many failed tries in a row are free.
pub const FREE_FAILURES: u32 = 10;
/// Failures are forgotten so many milliseconds after the last one: a day.
pub const FAILURES_KEPT_MS: i64 = DAY_MS;

/// The pauses after the last free failure, and after each further one.
const PAUSES_MS: [i64; 4] = [5 * MINUTE_MS, 15 * MINUTE_MS, 30 * MINUTE_MS, HOUR_MS];

/// The instant until which nothing is tried after `failures` in a row, the last one at `last_at`; `None` when the next try
/// is free. It holds for what was tried, whether it exists or not, so it tells nothing.
pub fn paused_until(failures: u32, last_at: Timestamp) -> Option<Timestamp> {
    let beyond = failures.checked_sub(FREE_FAILURES)?;
    let place = usize::try_from(beyond).unwrap_or(usize::MAX).min(PAUSES_MS.len() - 1);
    Some(last_at.plus_millis(PAUSES_MS[place]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_781_352_000_000);

    fn times() -> SessionTimes {
        SessionTimes { created_at: START, last_seen_at: START, rotated_at: START, confirmed_at: None }
    }

    #[test]
    fn a_session_ends_when_it_is_idle_and_when_it_is_old() {
        let complete = |times: SessionTimes, now| times.is_over(SignInStage::Complete, now);
        assert!(!complete(times(), START.plus_millis(SESSION_IDLE_MS - 1)));
        assert!(complete(times(), START.plus_millis(SESSION_IDLE_MS)));
        let used = SessionTimes { last_seen_at: START.plus_millis(SESSION_MAX_MS - 1), ..times() };
        assert!(!complete(used, START.plus_millis(SESSION_MAX_MS - 1)));
        assert!(complete(used, START.plus_millis(SESSION_MAX_MS)));
        assert!(!times().is_over(SignInStage::SecondFactor, START.plus_millis(SECOND_FACTOR_MS - 1)));
        assert!(times().is_over(SignInStage::SecondFactor, START.plus_millis(SECOND_FACTOR_MS)));
    }

    #[test]
    fn the_secret_before_holds_until_the_present_one_was_used_for_a_minute() {
        let late = START.plus_millis(10 * DAY_MS);
        assert!(times().admits_previous_secret(late), "its answer got lost");
        let confirmed = SessionTimes { confirmed_at: Some(late), ..times() };
        assert!(confirmed.admits_previous_secret(late.plus_millis(SESSION_OVERLAP_MS - 1)));
        assert!(!confirmed.admits_previous_secret(late.plus_millis(SESSION_OVERLAP_MS)));
        assert!(!times().is_due_for_rotation(START.plus_millis(SESSION_ROTATION_MS - 1)));
        assert!(times().is_due_for_rotation(START.plus_millis(SESSION_ROTATION_MS)));
    }

    #[test]
    fn pauses_begin_after_ten_failures_and_grow_to_an_hour() {
        let minutes = |failures| paused_until(failures, START).map(|until| until.millis_since(START) / MINUTE_MS);
        assert_eq!([0, 1, 9].map(minutes), [None; 3]);
        assert_eq!([10, 11, 12, 13, 14, u32::MAX].map(minutes), [5, 15, 30, 60, 60, 60].map(Some));
    }
}
