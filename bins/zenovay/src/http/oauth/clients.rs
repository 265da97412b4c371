//! Which client it is: one that registered itself, or one whose id is the address of its metadata.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::web;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use zenovay_auth::oauth::{ClientDocument, ClientUrl};
use zenovay_auth::{Secret, SecretDigest};
use zenovay_domain::Timestamp;
use zenovay_store::RegisteredClient;

use super::fetch::ClientDocuments;
use super::given_out::GivenOut;
use crate::config::{Config, NamesIssuer};
use crate::http::envelope::ApiError;
use crate::http::lookups::blocking;
use crate::http::state::AppState;

/// The most documents that are kept.
const KEPT_MAX: usize = 256;
/// The most documents that are asked for at the same time.
const FETCHES_MAX: usize = 4;
/// A document is kept for so many milliseconds at least: 5 minutes.
const KEPT_LEAST_MS: i64 = 5 * 60_000;
/// A document is kept for so many milliseconds when nothing else is said: an hour.
const KEPT_MS: i64 = 60 * 60_000;
/// A document is kept for so many milliseconds at most: a day.
const KEPT_MOST_MS: i64 = 24 * 60 * 60_000;
/// It is kept for so many milliseconds that there is none: a minute.
const FAILURE_KEPT_MS: i64 = 60_000;

/// How reading a document ends, as the label `outcome` of `zenovay_oauth_client_documents_total`.
pub const DOCUMENT_OUTCOMES: [&str; 2] = ["read", "failed"];

/// The counter of an outcome.
pub fn document_counter(outcome: &'static str) -> metrics::Counter {
    metrics::counter!("zenovay_oauth_client_documents_total", "outcome" => outcome)
}

type Read = Result<Arc<ClientDocument>, String>;

/// What the server knows of clients and tells them.
pub struct OAuth {
    /// Where documents come from.
    pub documents: Arc<dyn ClientDocuments>,
    /// Whether answers name the issuer.
    pub names_issuer: bool,
    /// What tickets of the page of consent are made with.
    pub(super) ticket_key: [u8; 32],
    /// The refresh tokens that were given out here.
    pub(super) refreshes: GivenOut,
    kept: Mutex<HashMap<ClientUrl, (Read, Timestamp)>>,
    fetches: Semaphore,
}

impl OAuth {
    /// With the settings `config`, documents from `documents`, and a secret that nobody else has.
    pub fn new(config: &Config, documents: Arc<dyn ClientDocuments>, ticket_key: [u8; 32]) -> Self {
        Self {
            documents,
            names_issuer: config.oauth_iss == NamesIssuer::On,
            ticket_key,
            refreshes: GivenOut::default(),
            kept: Mutex::default(),
            fetches: Semaphore::new(FETCHES_MAX),
        }
    }

    fn remembered(&self, url: &ClientUrl, now: Timestamp) -> Option<Read> {
        self.kept.lock().get(url).filter(|(_, until)| *until > now).map(|(read, _)| read.clone())
    }

    fn remember(&self, url: ClientUrl, read: Read, until: Timestamp) {
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT_MAX && !kept.contains_key(&url) {
            // The one that would go first anyway.
            let first = kept.iter().min_by_key(|(_, (_, until))| *until).map(|(url, _)| url.clone());
            if let Some(first) = first {
                kept.remove(&first);
            }
        }
        kept.insert(url, (read, until));
    }

    /// What the client at `url` says of itself. `may_ask` is called before anybody is asked.
    async fn document(
        &self,
        url: &ClientUrl,
        now: Timestamp,
        may_ask: impl Future<Output = Result<(), ApiError>>,
    ) -> Result<Read, ApiError> {
        if let Some(read) = self.remembered(url, now) {
            return Ok(read);
        }
        may_ask.await?;
        let Ok(_permit) = self.fetches.try_acquire() else {
            return Err(ApiError::unavailable("Too many clients are looked up at this moment", 1));
        };
        let (read, kept_ms) = match self.documents.fetch(url).await {
            Ok(answer) => {
                let kept_ms = answer.max_age_s.map_or(KEPT_MS, |seconds| {
                    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000).clamp(KEPT_LEAST_MS, KEPT_MOST_MS)
                });
                match ClientDocument::parse(url, &answer.body) {
                    Ok(document) => (Ok(Arc::new(document)), kept_ms),
                    Err(error) => (Err(error.to_string()), FAILURE_KEPT_MS),
                }
            }
            Err(error) => (Err(format!("its metadata cannot be read: {error}")), FAILURE_KEPT_MS),
        };
        document_counter(DOCUMENT_OUTCOMES[usize::from(read.is_err())]).increment(1);
        self.remember(url.clone(), read.clone(), now.plus_millis(kept_ms));
        Ok(read)
    }
}

impl std::fmt::Debug for OAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OAuth").finish_non_exhaustive()
    }
}

/// A client that asks for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// What it calls itself.
    pub name: String,
    /// The host of its metadata; `None` when it registered itself.
    pub host: Option<String>,
    /// Where people may be sent back to.
    pub redirect_uris: Vec<String>,
    /// Whether it gets refresh tokens.
    pub may_refresh: bool,
}

/// Why there is no such client.
#[derive(Debug)]
pub enum NoClient {
    /// In words, for the person whom it sent here.
    Because(String),
    /// It could not be found out.
    Failed(ApiError),
}

/// The client with this id. `may_ask` is called before another website is asked.
///
/// # Errors
/// [`NoClient`].
pub async fn find(
    state: &web::Data<AppState>,
    id: &str,
    now: Timestamp,
    may_ask: impl Future<Output = Result<(), ApiError>>,
) -> Result<Client, NoClient> {
    if id.contains("://") {
        let url = ClientUrl::parse(id).map_err(|error| NoClient::Because(error.to_string()))?;
        let read = state.oauth.document(&url, now, may_ask).await.map_err(NoClient::Failed)?;
        let document = read.map_err(NoClient::Because)?;
        return Ok(Client {
            id: id.to_owned(),
            name: document.name.clone(),
            host: Some(url.host().to_owned()),
            redirect_uris: document.redirect_uris.clone(),
            may_refresh: document.may_refresh,
        });
    }
    let found = registered(state, id, now).await.map_err(NoClient::Failed)?;
    let found = found.ok_or_else(|| NoClient::Because("it is not registered here, or not any more".to_owned()))?;
    let RegisteredClient { id, name, redirect_uris, may_refresh, .. } = found;
    Ok(Client { id, name, host: None, redirect_uris, may_refresh })
}

/// The client that registered itself with this id.
pub(super) async fn registered(
    state: &web::Data<AppState>,
    id: &str,
    now: Timestamp,
) -> Result<Option<RegisteredClient>, ApiError> {
    let id = id.to_owned();
    blocking(state, move |state| state.store.registered_client(&id, now)).await
}

/// Whether whoever sent `id` and `secret` is that client. A client that is known by its address has no secret, and neither has one
/// that asked for none.
///
/// # Errors
/// When the store cannot be asked.
pub(super) async fn is_client(
    state: &web::Data<AppState>,
    id: &str,
    secret: Option<&str>,
    now: Timestamp,
) -> Result<bool, ApiError> {
    if id.contains("://") {
        return Ok(secret.is_none() && ClientUrl::parse(id).is_ok());
    }
    let Some(client) = registered(state, id, now).await? else { return Ok(false) };
    Ok(shows_secret(client.secret, secret))
}

/// Whether `shown` is the secret with the digest `expected`, or neither is there. A client without a secret that sends an empty one
/// sends none.
fn shows_secret(expected: Option<SecretDigest>, shown: Option<&str>) -> bool {
    let shown = shown.filter(|secret| !secret.is_empty());
    match (expected, shown) {
        (None, None) => true,
        (Some(expected), Some(shown)) => Secret::parse(shown).is_ok_and(|secret| secret.digest() == expected),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_needed_where_there_is_one() {
        let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(1);
        let (secret, other) = (Secret::generate(&mut rng), Secret::generate(&mut rng));
        let expected = Some(secret.digest());
        assert!(
            shows_secret(expected, Some(secret.expose())) && shows_secret(None, None) && shows_secret(None, Some(""))
        );
        for shown in [None, Some(""), Some(other.expose()), Some("a")] {
            assert!(!shows_secret(expected, shown), "{shown:?}");
        }
        assert!(!shows_secret(None, Some(other.expose())));
    }
}
