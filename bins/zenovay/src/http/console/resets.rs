//! A new password for whoever lost theirs: by a link that works once, for an hour.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zenovay_auth::{Secret, SecretDigest};
use zenovay_domain::{Timestamp, UserId};
use zenovay_store::{LinkPurpose, Metadata, StoreError};
use zeroize::Zeroizing;

use super::session::subject_of;
use super::{JsonBody, NoContent, Rules, changing};
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::Attempt;
use crate::http::lookups::blocking;
use crate::http::state::AppState;

/// How long a link works: an hour.
const LINK_MS: i64 = 3_600_000;
/// How often somebody is mailed a link at most: once a minute.
const MAIL_EVERY_MS: i64 = 60_000;

/// Makes the link of a user; returns its path. An earlier one works no more.
///
/// # Errors
/// When the store cannot be written.
pub fn make_link(store: &dyn Metadata, user: UserId, secret: &Secret, now: Timestamp) -> Result<String, StoreError> {
    store.create_link(user, LinkPurpose::Reset, &secret.digest(), now, now.plus_millis(LINK_MS))?;
    Ok(format!("/reset/{}", secret.expose()))
}

/// `POST /api/password-resets`. What is answered is the same whether there is such an account, and so is the time.
pub async fn ask(
    _: Attempt,
    state: web::Data<AppState>,
    body: JsonBody<LostPassword>,
) -> Result<Success<ResetAsked>, ApiError> {
    let LostPassword { email } = body.read().await?;
    // After the answer, which takes the same time whoever asks.
    let asked = state.clone();
    actix_web::rt::spawn(async move { mail_link(&asked, email).await });
    let mail = state.people.has_mail;
    Ok(Success::new(ResetAsked { mail }, state.clock.now()))
}

/// Mails a link to whoever has an account with the address, at most one a minute; without mail, tells the operator.
async fn mail_link(state: &web::Data<AppState>, email: String) {
    let (now, secret) = (state.clock.reading().steady, state.new_secret());
    let has_mail = state.mail.is_some();
    let made = blocking(state, move |state| {
        let Some(user) = state.store.user_by_email(&email)? else { return Ok(None) };
        if !has_mail {
            tracing::info!(user = %user.id, "somebody asks for a new password: `zenovay user reset-link` prints a link");
            return Ok(None);
        }
        let subject = SecretDigest::of(format!("reset mail {}", user.id).as_bytes());
        if state.store.failures(&subject, now)?.is_some_and(|(_, last)| now.millis_since(last) < MAIL_EVERY_MS) {
            return Ok(None);
        }
        state.store.note_failure(&subject, now)?;
        Ok(Some((make_link(&*state.store, user.id, &secret, now)?, user.email)))
    });
    if let (Ok(Some((path, to))), Some(mail)) = (made.await, &state.mail) {
        mail.reset(&to, &path).await;
    }
}

/// `PUT /api/password-resets/{token}`.
pub async fn finish(
    _: Attempt,
    token: web::Path<String>,
    state: web::Data<AppState>,
    body: JsonBody<ResetPassword>,
) -> Result<NoContent, ApiError> {
    let ResetPassword { password } = body.read().await?;
    let mut rules = Rules::default();
    rules.password("password", &password);
    rules.check()?;
    let ended = || ApiError::not_found("This link does not work any more");
    let digest = Secret::parse(&token).map_err(|_malformed| ended())?.digest();
    let now = state.clock.reading().steady;
    let hash = state.hashing.hash(&state, Zeroizing::new(password)).await?;
    let user = changing(&state, move |state| {
        let user = state.store.use_reset_link(&digest, &hash, now)?;
        // Whoever has the link need not wait until others' guesses are forgotten.
        if let Some(user) = user.map(|id| state.store.user(id)).transpose()?.flatten() {
            state.store.forget_failures(&subject_of(&user.email))?;
        }
        Ok(user)
    });
    user.await?.ok_or_else(ended)?;
    Ok(NoContent)
}

/// Whose password is lost.
#[derive(Deserialize, ToSchema)]
pub struct LostPassword {
    /// The address of the account.
    #[schema(examples("owner@example.com"))]
    email: String,
}

/// If the address has an account, and the server sends mail, a link is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResetAsked {
    /// Whether the server sends mail; otherwise its operator prints a link with `zenovay user reset-link`.
    mail: bool,
}

/// The new password.
#[derive(Deserialize, ToSchema)]
pub struct ResetPassword {
    /// At least 12 characters, not a common one.
    #[schema(examples("another horse battery staple"))]
    password: String,
}
