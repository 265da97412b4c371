//! The latest requests of keys: noted when they are answered, kept in memory for some seconds, and then in the store.

use std::collections::VecDeque;
use std::time::Duration;

use actix_web::dev::ServiceResponse;
use actix_web::{HttpMessage, HttpRequest, web};
use parking_lot::Mutex;
use zenovay_domain::KeyId;
use zenovay_store::{KeyRequest, Metadata, StoreError};

use super::response_layer::MatchedRoute;
use super::state::AppState;

/// So many requests are held until they are stored; of more, the oldest are forgotten. About 4 MB.
const HELD_MAX: usize = 20_000;

/// Requests that are not stored yet.
#[derive(Debug, Default)]
pub struct KeyLog(Mutex<VecDeque<KeyRequest>>);

/// Says in a request with which key it was made.
struct MadeWith(KeyId);

/// Says in a request what became of the events of a batch.
struct BatchEvents(u64, u64);

impl KeyLog {
    fn push(&self, request: KeyRequest) {
        let mut held = self.0.lock();
        if held.len() >= HELD_MAX {
            held.pop_front();
        }
        held.push_back(request);
    }

    /// Stores what is held. Blocks. At an error it is held for the next time.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn store(&self, store: &dyn Metadata) -> Result<(), StoreError> {
        let held: Vec<KeyRequest> = std::mem::take(&mut *self.0.lock()).into();
        if held.is_empty() {
            return Ok(());
        }
        store.add_key_requests(&held).inspect_err(|_| {
            let mut now = self.0.lock();
            for request in held.into_iter().rev() {
                if now.len() < HELD_MAX {
                    now.push_front(request);
                }
            }
        })
    }
}

/// Notes with which key a request was made.
pub(super) fn made_with(req: &HttpRequest, key: KeyId) {
    req.extensions_mut().insert(MadeWith(key));
}

/// Notes how many events of a batch were accepted and rejected.
pub(super) fn batch(req: &HttpRequest, accepted: u64, rejected: u64) {
    req.extensions_mut().insert(BatchEvents(accepted, rejected));
}

/// Puts an answered request into the log, if it was made with a key.
pub(super) fn note<B>(response: &ServiceResponse<B>, elapsed: Duration) {
    let req = response.request();
    let extensions = req.extensions();
    let Some(MadeWith(key)) = extensions.get::<MadeWith>() else { return };
    let (Some(state), Some(route)) = (req.app_data::<web::Data<AppState>>(), req.app_data::<MatchedRoute>()) else {
        return;
    };
    let (status, elapsed_ms) = (response.status().as_u16(), u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
    let mut request =
        KeyRequest::new(*key, state.clock.now(), req.method().as_str(), route.pattern(), status, elapsed_ms);
    request.events = extensions.get::<BatchEvents>().map(|BatchEvents(accepted, rejected)| (*accepted, *rejected));
    state.key_log.push(request);
}
