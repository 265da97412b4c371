//! The log of a thread that commits, as long as it can be written.

use crate::AppendError;
use crate::log::{Hindrance, Log, LogFailure, PoisonedLog};

/// The log of a writer.
pub(crate) enum Slot {
    Open(Log),
    /// Nothing can be appended: there is no log to append to. Kept so that nobody else opens the directory.
    Poisoned {
        _log: PoisonedLog,
    },
    /// Only while an operation has the log.
    Taken,
}

/// Who has a log, and is told what keeps it from being written.
pub(crate) trait LogOwner {
    /// Nothing can be written until there is space.
    fn lacks_space(&self);

    /// It failed with `reason`, and is closed until restart.
    fn log_failed(&self, reason: &str);
}

impl Slot {
    /// Does `step` with the log of `owner`.
    pub(crate) fn with<T>(
        &mut self,
        owner: &impl LogOwner,
        step: impl FnOnce(Log) -> Result<(Log, T), LogFailure>,
    ) -> Result<T, AppendError> {
        let log = match std::mem::replace(self, Self::Taken) {
            Self::Open(log) => log,
            other => {
                *self = other;
                return Err(AppendError::Poisoned);
            }
        };
        match step(log) {
            Ok((log, done)) => {
                *self = Self::Open(log);
                Ok(done)
            }
            Err(LogFailure::Refused(log, hindrance)) => {
                *self = Self::Open(log);
                if hindrance == Hindrance::DiskFull {
                    owner.lacks_space();
                }
                Err(hindrance.into())
            }
            Err(LogFailure::Poisoned(log)) => {
                owner.log_failed(&log.reason);
                *self = Self::Poisoned { _log: log };
                Err(AppendError::Poisoned)
            }
        }
    }
}
