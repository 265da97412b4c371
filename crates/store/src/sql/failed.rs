//! Why work on a connection failed. The errors of diesel end here: none is in the interface of the crate.

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use zenovay_auth::KeyRefusal;

use super::errors::explained;
use crate::StoreError;

/// The result of work on a connection.
pub(super) type Done<T> = Result<T, Failed>;

/// Why work on a connection failed.
#[derive(Debug)]
pub(super) struct Failed(StoreError);

impl Failed {
    /// Whether the disk has no space for the work.
    pub(super) fn is_disk_full(&self) -> bool {
        matches!(self.0, StoreError::DiskFull)
    }
}

impl From<DieselError> for Failed {
    /// Values that must be unique are looked for before they are written, so that the refusal can name them. Whose a row is to
    /// be may not be there, or not any more.
    fn from(error: DieselError) -> Self {
        Self(match error {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => StoreError::Conflict("id"),
            DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _) => {
                StoreError::NotFound("user, team, website or key")
            }
            other => explained(other),
        })
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self(error)
    }
}

impl From<KeyRefusal> for Failed {
    fn from(refusal: KeyRefusal) -> Self {
        Self(refusal.into())
    }
}

impl From<Failed> for StoreError {
    fn from(failed: Failed) -> Self {
        failed.0
    }
}
