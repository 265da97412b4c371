//! How many long files are made at once. What is counted for one and not sent yet is some megabytes, and a slow client takes them
//! slowly: with this the memory for all of them is bounded.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::envelope::ApiError;
use crate::http::errors::SOON_S;

/// The most files at once.
const FILES_MAX: usize = 8;
/// How long a file may wait for its turn.
const TURN: Duration = Duration::from_secs(30);

/// The files that are being made.
#[derive(Debug, Clone)]
pub struct FilesInHand(Arc<Semaphore>);

impl Default for FilesInHand {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(FILES_MAX)))
    }
}

impl FilesInHand {
    /// A turn, until it is dropped.
    ///
    /// # Errors
    /// A 503 when none comes in time.
    pub async fn take(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let turn = tokio::time::timeout(TURN, Arc::clone(&self.0).acquire_owned()).await;
        // It is never closed.
        turn.ok().and_then(Result::ok).ok_or_else(|| ApiError::unavailable("Too many files are made at once", SOON_S))
    }
}
