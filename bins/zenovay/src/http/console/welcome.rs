//! The first run: whoever has the link that the first start printed makes the account that it created their own.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zenovay_auth::{Secret, SignInStage};
use zenovay_domain::{TrackingCode, UserId, Website, WebsiteId};
use zenovay_store::{NewWebsite, StoreError};
use zeroize::Zeroizing;

use super::session::{Ground, SignInState, start};
use super::{Created, JsonBody, Rules, changing};
use crate::bootstrap::FIRST_DOMAIN;
use crate::http::audit;
use crate::http::envelope::ApiError;
use crate::http::guard::Attempt;
use crate::http::state::AppState;
use crate::http::values::Id;

/// `POST /api/welcome`.
pub async fn take_over(
    _: Attempt,
    req: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<Welcome>,
) -> Result<Created<WelcomeAnswer>, ApiError> {
    let Welcome { token, email, name, password, website } = body.read().await?;
    let mut rules = Rules::default();
    let (email, name) = (rules.email("email", &email), rules.name("name", &name));
    rules.password("password", &password);
    let website = website.map(|FirstWebsite { domain, name }| {
        let domain = rules.domain("website.domain", &domain);
        let name = name.map_or_else(|| domain.clone(), |name| rules.name("website.name", &name));
        (domain, name)
    });
    rules.check()?;
    let ended = || ApiError::not_found("This link does not work any more");
    let digest = Secret::parse(&token).map_err(|_malformed| ended())?.digest();
    let (now, told) = (state.clock.reading().steady, email.clone());
    let hash = state.hashing.hash(&state, Zeroizing::new(password)).await?;
    let user = changing(&state, move |state| state.store.use_welcome_link(&digest, &email, &name, &hash, now));
    let user = user.await?.ok_or_else(ended)?;
    let website = match website {
        None => None,
        Some((domain, name)) => changing(&state, move |state| first_website(state, user, domain, name)).await?,
    };
    audit::begin_for(&req, user, told);
    start(&req, &state, user, SignInStage::Complete, Ground::Given, now).await?;
    let website = website.map(|website| WelcomeWebsite {
        id: website.id.into(),
        domain: website.domain,
        tracking_code: website.tracking_code.to_string(),
    });
    let answer = WelcomeAnswer { state: SignInState::SignedIn, website };
    Ok(Created::at("/api/session".to_owned(), answer, now))
}

/// Gives the website of the first start its domain and name; makes one when that is gone or has a domain already. `None` when
/// the team is gone.
fn first_website(state: &AppState, user: UserId, domain: String, name: String) -> Result<Option<Website>, StoreError> {
    let teams = state.store.teams_of(user)?;
    let Some(team) = teams.first().map(|membership| membership.team.id) else { return Ok(None) };
    let websites = state.store.websites()?;
    if let Some(first) = websites.iter().find(|website| website.team_id == team && website.domain == FIRST_DOMAIN) {
        let mut edit = |website: &mut Website| {
            website.domain.clone_from(&domain);
            website.name.clone_from(&name);
            Ok(())
        };
        return state.store.edit_website(first.id, &mut edit).map(Some);
    }
    let code = TrackingCode::from_random_bytes(state.random_bytes());
    let mut new = NewWebsite::new(WebsiteId::from_random_bytes(state.random_bytes()), team, domain, code);
    (new.name, new.user_id, new.settings.allow_localhost) = (name, Some(user), true);
    state.store.create_website(&new, &state.plans, state.clock.now()).map(Some)
}

/// What the first account is to be.
#[derive(Deserialize, ToSchema)]
pub struct Welcome {
    /// What stands behind the `#` of the link that the first start printed.
    #[schema(examples("Qm7vX2bT9cLr4KpW8sYf3HnD6gJzA1eU5oRiVtCkBqM"))]
    token: String,
    /// The address of the account.
    #[schema(examples("owner@example.com"))]
    email: String,
    /// The name people see.
    #[schema(examples("Ada"))]
    name: String,
    /// The password: at least 12 characters, not a common one.
    #[schema(examples("correct horse battery staple"))]
    password: String,
    /// The first website, if there is one already.
    website: Option<FirstWebsite>,
}

/// The first website.
#[derive(Deserialize, ToSchema)]
pub struct FirstWebsite {
    /// Its domain.
    #[schema(examples("shop.example.com"))]
    domain: String,
    /// The name people see; the domain when it is absent.
    #[schema(examples("Shop"))]
    name: Option<String>,
}

/// The account is taken over, and its owner is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct WelcomeAnswer {
    state: SignInState,
    /// The first website.
    #[serde(skip_serializing_if = "Option::is_none")]
    website: Option<WelcomeWebsite>,
}

/// The first website.
#[derive(Debug, Serialize, ToSchema)]
pub struct WelcomeWebsite {
    id: Id,
    /// Its domain, as it is stored.
    #[schema(examples("shop.example.com"))]
    domain: String,
    /// What its tag and its events name it by.
    #[schema(examples("ZV_abc123XYZ09"))]
    tracking_code: String,
}
