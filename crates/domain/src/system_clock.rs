//! The clock of the machine.

use std::time::SystemTime;

use rustix::time::{ClockId, clock_gettime};

use crate::{Clock, Timestamp};

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "the machine has one")]
pub struct SystemClock;

/// Goes on while the machine sleeps where the system has such a clock.
#[cfg(target_os = "linux")]
const UPTIME: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const UPTIME: ClockId = ClockId::Monotonic;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::from(SystemTime::now())
    }

    fn now_and_uptime(&self) -> (Timestamp, i64) {
        let uptime = clock_gettime(UPTIME);
        (self.now(), uptime.tv_sec.saturating_mul(1_000).saturating_add(uptime.tv_nsec / 1_000_000))
    }
}
