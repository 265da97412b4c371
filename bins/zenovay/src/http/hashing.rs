//! Where passwords are hashed: each hash takes 19 MiB and tens of milliseconds, so a few at a time, away from the threads that
//! answer requests, and with a bounded queue.

use std::sync::Arc;

use actix_web::web;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::Semaphore;
use zenovay_auth::{PasswordHash, hash_password_with};
use zeroize::Zeroizing;

use super::envelope::ApiError;
use super::errors::SOON_S;
use super::state::AppState;

/// How many passwords are hashed at the same time.
const AT_ONCE: usize = 2;
/// How many more may wait for their turn; whoever comes then is told to come back.
const WAITING: usize = 32;

/// The turns for hashing passwords.
#[derive(Debug)]
pub struct Hashing {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Default for Hashing {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)), places: Arc::new(Semaphore::new(AT_ONCE + WAITING)) }
    }
}

impl Hashing {
    /// The hash of a password that [`check_password`](zenovay_auth::check_password) accepts.
    ///
    /// # Errors
    /// A 503 when too many wait already.
    pub async fn hash(
        &self,
        state: &web::Data<AppState>,
        password: Zeroizing<String>,
    ) -> Result<PasswordHash, ApiError> {
        let state = state.clone();
        self.run(move || {
            // A generator of its own: others draw from that of the server while this works.
            let mut rng = StdRng::from_rng(&mut *state.random.lock());
            hash_password_with(&password, &mut rng)
                .map_err(|_weak| ApiError::invalid("password", "use at least 12 characters that are not common"))
        })
        .await
    }

    /// Runs `work`, which hashes a password, when it is its turn.
    ///
    /// # Errors
    /// A 503 when too many wait already, and what `work` says.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let busy = || ApiError::unavailable("Too many people sign in at this moment", SOON_S);
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_full| busy())?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_closed| busy())?;
        let span = tracing::Span::current();
        let done = web::block(move || {
            // Given back when the work is done, also when nobody waits for it any more.
            let _held = (place, turn);
            span.in_scope(work)
        });
        done.await.map_err(|_panicked| ApiError::internal())?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use actix_web::ResponseError;
    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use parking_lot::Mutex;

    use super::*;

    /// Sabotage: hash without a turn.
    #[actix_web::test]
    async fn two_hash_at_once_a_few_wait_and_the_rest_is_told_to_come_back() {
        let hashing = Hashing::default();
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        // None is done before all have come.
        let (all_came, coming) = mpsc::channel::<()>();
        let coming = Arc::new(Mutex::new(coming));
        let (mut answers, mut waiting) = (Vec::new(), Vec::new());
        for _ in 0..50 {
            let (now, most, coming) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&coming));
            let mut call = Box::pin(hashing.run(move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                coming.lock().recv().unwrap_err();
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }));
            match call.as_mut().now_or_never() {
                Some(answer) => answers.push(answer),
                None => waiting.push(call),
            }
        }
        drop(all_came);
        answers.extend(join_all(waiting).await);
        let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
        assert_eq!(refused.map(|error| error.status_code().as_u16()).collect::<Vec<_>>(), [503; 16]);
        assert!(most.load(Ordering::SeqCst) <= AT_ONCE, "{most:?}");
        assert!(hashing.run(|| Ok(())).await.is_ok(), "places are given back");
    }
}
