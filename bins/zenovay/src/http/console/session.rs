//! Signing in and out.

use actix_web::http::header::USER_AGENT;
use actix_web::{HttpRequest, web};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zenovay_auth::{
    Action, FREE_FAILURES, PasswordHash, Principal, Secret, SecretDigest, SignInStage, Target, decide,
    hash_password_with, needs_rehash, paused_until, verify_password,
};
use zenovay_domain::{ErrorCode, SignInId, Timestamp, UserId};
use zenovay_store::{Metadata, NewSession, Profile, SignInGround, SignInMeans, StoreError, User};

use super::{JsonBody, NoContent};
use crate::config::StatusPage;
use crate::http::audit;
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{Attempt, Authorized, ManageAccount, Person};
use crate::http::key_headers::seconds_until;
use crate::http::lookups::blocking;
use crate::http::state::AppState;
use crate::http::values::{FeatureName, Id, PlanName, RoleName, ThemeName};

/// How a try to sign in ended, as the label `outcome` of `zenovay_sign_ins_total`.
pub const OUTCOMES: [&str; 4] = ["signed_in", "second_factor", "wrong", "paused"];

/// Counts a try to sign in.
pub(super) fn count(outcome: &'static str) {
    metrics::counter!("zenovay_sign_ins_total", "outcome" => outcome).increment(1);
}

/// `GET /api/session`.
pub async fn show(
    person: Authorized<ManageAccount, Person>,
    state: web::Data<AppState>,
) -> Result<Success<SignedInSession>, ApiError> {
    let now = state.clock.reading().steady;
    let person = person.caller;
    let session = blocking(&state, move |state| {
        let id = person.user.id;
        let mut teams = Vec::with_capacity(person.signed_in.teams.len());
        for access in &person.signed_in.teams {
            // A team that was deleted a moment ago is left out.
            let Some(team) = state.store.team(access.team_id)? else { continue };
            teams.push(SessionTeam {
                id: team.id.into(),
                name: team.name,
                plan: PlanName(access.plan),
                role: RoleName(access.role),
                api_access: state.plans.has_api(access.plan),
                features: state.plans.limits(access.plan).features.iter().copied().map(FeatureName).collect(),
            });
        }
        let status_page = state.people.status_page != StatusPage::Off;
        let (profile, means) = (state.store.profile(id)?, state.store.sign_in_means(id)?);
        let operators = state.store.operators()?;
        let may = |action: Action| {
            let decided = |id| decide(Principal::Person(&person.signed_in), action, &Target::Team { id }, &state.plans);
            operators.is_some_and(|id| decided(id).is_ok())
        };
        Ok(SignedInSession {
            user: SessionUser::new(&person.user, profile, means),
            teams,
            operator: may(Action::ManageStatus),
            server_health: may(Action::ReadDoctor),
            status_page,
        })
    });
    Ok(Success::new(session.await?, now))
}

/// `POST /api/session`.
pub async fn begin(
    _: Attempt,
    req: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<Credentials>,
) -> Result<Success<SignInAnswer>, ApiError> {
    let Credentials { email, password } = body.read().await?;
    let now = state.clock.reading().steady;
    let (checking, tried) = (state.clone(), email.clone());
    // The pause is looked up when it is its turn: of many tries at the same time no more pass than are free.
    let (user, hash, means) = state.hashing.run(move || check(&checking, &tried, &password, now)).await?;
    let stage = if means.has_codes { SignInStage::SecondFactor } else { SignInStage::Complete };
    start(&req, &state, user, stage, Ground::Password(hash), now).await?;
    audit::begin_for(&req, user, email.clone());
    let (outcome, answer) = match stage {
        SignInStage::Complete => ("signed_in", SignInAnswer::signed_in()),
        SignInStage::SecondFactor => ("second_factor", SignInAnswer::second_factor(means)),
    };
    count(outcome);
    Ok(Success::new(answer, now))
}

/// `POST /api/session/link`.
pub async fn by_link(
    _: Attempt,
    req: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<SignInLink>,
) -> Result<Success<SignInAnswer>, ApiError> {
    let SignInLink { token } = body.read().await?;
    let ended = || ApiError::not_found("This link does not work any more");
    let digest = Secret::parse(&token).map_err(|_malformed| ended())?.digest();
    let now = state.clock.reading().steady;
    let user = blocking(&state, move |state| {
        let user = state.store.use_sign_in_link(&digest, now)?;
        Ok(user.map(|id| state.store.user(id)).transpose()?.flatten())
    });
    let user = user.await?.ok_or_else(ended)?;
    start(&req, &state, user.id, SignInStage::Complete, Ground::Given, now).await?;
    audit::begin_for(&req, user.id, user.email);
    count("signed_in");
    Ok(Success::new(SignInAnswer::signed_in(), now))
}

/// A link that signs in, once, such as `zenovay demo` prints.
#[derive(Deserialize, ToSchema)]
pub struct SignInLink {
    /// What the link has behind its `#`.
    #[schema(examples("Qm7vX2bT9cLr4KpW8sYf3HnD6gJzA1eU5oRiVtCkBqM"))]
    token: String,
}

/// Checks an address and a password, and returns the hash that it fits. What is done and said is the same for an address that
/// nobody has. Blocks.
fn check(
    state: &AppState,
    email: &str,
    password: &str,
    now: Timestamp,
) -> Result<(UserId, PasswordHash, SignInMeans), ApiError> {
    let subject = subject_of(email);
    refuse_when_paused(&*state.store, &subject, now)?;
    let user = state.store.user_by_email(email)?;
    let hash = user.as_ref().map(|user| &user.password_hash);
    let is_right = verify_password(password, hash);
    let Some(mut user) = user.filter(|_| is_right) else {
        return Err(failed(state, &subject, "E-mail or password is wrong.", now)?);
    };
    state.store.forget_failures(&subject)?;
    if needs_rehash(&user.password_hash) {
        // A password that is accepted no longer, such as one that became common, keeps the hash it has.
        let mut rng = StdRng::from_rng(&mut *state.random.lock());
        if let Ok(hash) = hash_password_with(password, &mut rng)
            && state.store.rehash_password(user.id, &user.password_hash, &hash)?
        {
            user.password_hash = hash;
        }
    }
    Ok((user.id, user.password_hash, state.store.sign_in_means(user.id)?))
}

/// Under which tries to sign in with an address are counted.
pub(super) fn subject_of(email: &str) -> SecretDigest {
    SecretDigest::of(format!("email {}", email.to_lowercase()).as_bytes())
}

/// Refuses a try while there is a pause.
///
/// # Errors
/// A 429 that says when the next try is free.
pub(super) fn refuse_when_paused(store: &dyn Metadata, subject: &SecretDigest, now: Timestamp) -> Result<(), ApiError> {
    let until = store.failures(subject, now)?.and_then(|(failures, at)| paused_until(failures, at));
    match until.filter(|until| *until > now) {
        None => Ok(()),
        Some(until) => {
            count("paused");
            let seconds = seconds_until(until, now);
            let message = format!("Too many tries. Next one in {}.", in_words(seconds));
            Err(ApiError::new(ErrorCode::RateLimitExceeded, message).with_retry_after(seconds))
        }
    }
}

/// Counts a failed try, and makes the 401 that says how many are left.
pub(super) fn failed(
    state: &AppState,
    subject: &SecretDigest,
    what: &str,
    now: Timestamp,
) -> Result<ApiError, StoreError> {
    let failures = state.store.note_failure(subject, now)?;
    count("wrong");
    let rest = match (FREE_FAILURES.saturating_sub(failures), paused_until(failures, now)) {
        (_, Some(until)) => format!("Next try in {}.", in_words(seconds_until(until, now))),
        (1, None) => "1 more try, then a short pause.".to_owned(),
        (left, None) => format!("{left} more tries, then a short pause."),
    };
    Ok(ApiError::new(ErrorCode::Unauthorized, format!("{what} {rest}")).with_sign_in_challenge())
}

/// Seconds as people read them: `12s`, `4m`.
fn in_words(seconds: u64) -> String {
    if seconds < 60 { format!("{seconds}s") } else { format!("{}m", seconds.div_ceil(60)) }
}

/// What a session stands on: see [`SignInGround`].
pub(super) enum Ground {
    Given,
    Password(PasswordHash),
    HalfWay(SignInId),
}

impl Ground {
    fn as_stored(&self) -> SignInGround<'_> {
        match self {
            Self::Given => SignInGround::Given,
            Self::Password(hash) => SignInGround::Password(hash),
            Self::HalfWay(id) => SignInGround::HalfWay(*id),
        }
    }
}

/// Begins a session and hands it to the browser. The session that the browser had before ends: nobody can have put it there
/// to share what comes now.
pub(super) async fn start(
    req: &HttpRequest,
    state: &web::Data<AppState>,
    user: UserId,
    stage: SignInStage,
    ground: Ground,
    now: Timestamp,
) -> Result<SignInId, ApiError> {
    let agent = req.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("").to_owned();
    let before = state.session_cookie.read(req.headers());
    let secret = state.new_secret();
    let (id, digest) = (SignInId::from_random_bytes(state.random_bytes()), secret.digest());
    blocking(state, move |state| {
        let mut new = NewSession::new(id, user, digest, stage, &agent);
        new.ground = ground.as_stored();
        state.store.begin_session(&new, now)?;
        end_session_of(&*state.store, before.as_ref(), now)
    })
    .await?;
    state.session_cookie.set(req, &secret);
    Ok(id)
}

fn end_session_of(store: &dyn Metadata, secret: Option<&Secret>, now: Timestamp) -> Result<(), StoreError> {
    if let Some(used) = secret.map(|secret| store.use_session(&secret.digest(), now)).transpose()?.flatten() {
        store.end_session(used.user.id, used.session.id)?;
    }
    Ok(())
}

/// `DELETE /api/session`.
pub async fn end(
    person: Authorized<ManageAccount, Person>,
    req: HttpRequest,
    state: web::Data<AppState>,
) -> Result<NoContent, ApiError> {
    let (user, session) = (person.caller.user.id, person.caller.session);
    blocking(&state, move |state| state.store.end_session(user, session)).await?;
    state.session_cookie.clear(&req);
    Ok(NoContent)
}

/// An address and a password.
#[derive(Deserialize, ToSchema)]
pub struct Credentials {
    /// The address of the account, in any case.
    #[schema(examples("owner@example.com"))]
    email: String,
    /// The password.
    #[schema(examples("correct horse battery staple"))]
    password: String,
}

/// How far signing in has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignInState {
    /// Done.
    SignedIn,
    /// The second factor is missing; it has to follow within ten minutes.
    SecondFactor,
}

/// A second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecondFactor {
    /// A code of an app.
    Totp,
    /// A backup code.
    Backup,
    /// A passkey.
    Passkey,
}

/// How a sign-in went.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignInAnswer {
    state: SignInState,
    /// What may follow, when something is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    methods: Option<Vec<SecondFactor>>,
}

impl SignInAnswer {
    pub(super) fn signed_in() -> Self {
        Self { state: SignInState::SignedIn, methods: None }
    }

    fn second_factor(means: SignInMeans) -> Self {
        let offered = [
            (SecondFactor::Totp, means.has_codes),
            (SecondFactor::Backup, means.backup_codes > 0),
            (SecondFactor::Passkey, means.passkeys > 0),
        ];
        let methods = offered.into_iter().filter(|(_, is_there)| *is_there).map(|(method, _)| method).collect();
        Self { state: SignInState::SecondFactor, methods: Some(methods) }
    }
}

/// Whoever is signed in, and their teams.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignedInSession {
    user: SessionUser,
    /// The teams, with the role in each.
    teams: Vec<SessionTeam>,
    /// Whether they run the server and write on its status page.
    operator: bool,
    /// Whether they may read what is wrong with the server.
    server_health: bool,
    /// Whether the server has a status page.
    status_page: bool,
}

/// Whoever is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionUser {
    id: Id,
    /// The address of the account.
    #[schema(examples("owner@example.com"))]
    email: String,
    /// The name people see.
    #[schema(examples("Ada"))]
    name: String,
    /// The language tag in which numbers and dates are written; null follows the browser.
    #[schema(required = true, examples("en-GB"))]
    locale: Option<String>,
    theme: ThemeName,
    /// The time zone of keys and accounts; null follows the browser.
    #[schema(required = true, examples("Europe/Vienna"))]
    time_zone: Option<String>,
    /// Whether single keys are shortcuts.
    single_keys: bool,
    /// Whether codes of an app are asked for after the password.
    totp: bool,
    /// How many passkeys there are.
    #[schema(examples(1))]
    passkeys: usize,
}

impl SessionUser {
    pub(super) fn new(user: &User, profile: Profile, means: SignInMeans) -> Self {
        Self {
            id: user.id.into(),
            email: user.email.clone(),
            name: user.name.clone(),
            locale: profile.locale,
            theme: ThemeName(profile.theme),
            time_zone: profile.time_zone,
            single_keys: profile.single_keys,
            totp: means.has_codes,
            passkeys: means.passkeys,
        }
    }
}

/// A team of whoever is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionTeam {
    id: Id,
    /// The name people see.
    #[schema(examples("Studio"))]
    name: String,
    plan: PlanName,
    role: RoleName,
    /// Whether the plan has the External API.
    api_access: bool,
    /// What the plan includes beside.
    features: Vec<FeatureName>,
}
