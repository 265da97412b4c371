//! Passkeys: one's own, and signing in with them, after the password or without it. What browsers read and write is the JSON of
//! WebAuthn Level 3, with its names.

use actix_web::{HttpRequest, web};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use webauthn_rs::prelude::{PublicKeyCredential, RegisterPublicKeyCredential};
use zenovay_auth::SignInStage;
use zenovay_domain::{ErrorCode, PasskeyId, SignInId, Timestamp};
use zenovay_store::{PASSKEYS_MAX, Passkey, StoreError, User};
use zeroize::Zeroizing;

use super::account::{Confirmation, confirm};
use super::session::{Ground, SignInAnswer, count, start};
use super::{Created, JsonBody, NoContent, Rules, changing, second_factor};
use crate::http::audit;
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::{AccessRefusal, Authorized, Entrant, ManageAccount, Person};
use crate::http::lookups::blocking;
use crate::http::state::AppState;
use crate::http::values::{Id, Instant};
use crate::passkeys::{PasskeyError, Passkeys};

/// The passkeys of the server, where its address allows them.
fn passkeys(state: &AppState) -> Result<&Passkeys, ApiError> {
    let message = "Passkeys need an address with a name, over HTTPS or on localhost.";
    state.passkeys.as_ref().ok_or_else(|| ApiError::new(ErrorCode::Forbidden, message))
}

/// `GET /api/account/passkeys`.
pub async fn list(
    person: Authorized<ManageAccount, Person>,
    state: web::Data<AppState>,
) -> Result<Success<OwnPasskeys>, ApiError> {
    let user = person.caller.user.id;
    let found = blocking(&state, move |state| state.store.passkeys(user)).await?;
    let passkeys = found.into_iter().map(PasskeyFacts::from).collect();
    Ok(Success::new(OwnPasskeys { passkeys }, state.clock.now()))
}

/// `POST /api/account/passkeys/options`.
pub async fn begin(
    person: Authorized<ManageAccount, Person>,
    state: web::Data<AppState>,
    body: JsonBody<Confirmation>,
) -> Result<Success<Creation>, ApiError> {
    let Confirmation { password } = body.read().await?;
    let relying_party = passkeys(&state)?;
    confirm(&state, &person.caller, Zeroizing::new(password)).await?;
    let (user, session) = (person.caller.user, person.caller.session);
    let id = user.id;
    let have = blocking(&state, move |state| state.store.passkeys(id)).await?;
    if have.len() >= PASSKEYS_MAX {
        let message = format!("An account has at most {PASSKEYS_MAX} passkeys; remove one first");
        return Err(ApiError::new(ErrorCode::Conflict, message));
    }
    let now = state.clock.reading().steady;
    let mut options = relying_party.begin_registration(&user, session, now)?;
    // Where the device can, the passkey says whose it is, so that it signs in without a password.
    options["authenticatorSelection"]["residentKey"] = json!("preferred");
    options["excludeCredentials"] = descriptors(&have);
    Ok(Success::new(Creation { public_key: read(options)? }, state.clock.now()))
}

/// `POST /api/account/passkeys`. The challenge was given to whoever knew the password.
pub async fn create(
    person: Authorized<ManageAccount, Person>,
    req: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<NewPasskey>,
) -> Result<Created<PasskeyFacts>, ApiError> {
    let NewPasskey { name, credential } = body.read().await?;
    let relying_party = passkeys(&state)?;
    let mut rules = Rules::default();
    let name = rules.name("name", &name);
    rules.check()?;
    let unreadable = || ApiError::unprocessable([("credential".to_owned(), UNREADABLE.to_owned())].into());
    let answer: RegisterPublicKeyCredential = convert(&credential).map_err(|_malformed| unreadable())?;
    let now = state.clock.reading().steady;
    let (user, session) = (person.caller.user.id, person.caller.session);
    let made = relying_party.finish_registration(session, &answer, credential.raw_id, now).map_err(|error| {
        let problem = match &error {
            PasskeyError::Ended => "That took too long. Make it once more.",
            PasskeyError::Refused(cause) => {
                tracing::info!(%cause, "a new passkey was refused");
                "The passkey was not made for this page."
            }
            PasskeyError::Unknown | PasskeyError::Copied | PasskeyError::Unusable(_) => return error.into(),
        };
        ApiError::unprocessable([("credential".to_owned(), problem.to_owned())].into())
    })?;
    let id = PasskeyId::from_random_bytes(state.random_bytes());
    person.note(&req, "name", &name);
    let passkey = Passkey::new(id, user, name, made.id, made.credential, now);
    let store = person.store(&state);
    let passkey = changing(&state, move |_| store.add_passkey(&passkey).map(|()| passkey)).await?;
    Ok(Created::at(format!("/api/account/passkeys/{id}"), passkey.into(), state.clock.now()))
}

/// What is said of an answer that no authenticator can have given.
const UNREADABLE: &str = "This is not what a browser answers";

/// `PATCH /api/account/passkeys/{passkey_id}`.
pub async fn rename(
    person: Authorized<ManageAccount, Person>,
    req: HttpRequest,
    path: web::Path<PasskeyPath>,
    state: web::Data<AppState>,
    body: JsonBody<PasskeyName>,
) -> Result<Success<PasskeyFacts>, ApiError> {
    let id = path.id()?;
    let PasskeyName { name } = body.read().await?;
    let mut rules = Rules::default();
    let name = rules.name("name", &name);
    rules.check()?;
    person.note(&req, "name", &name);
    let (user, store) = (person.caller.user.id, person.store(&state));
    let renamed = changing(&state, move |_| store.rename_passkey(user, id, &name)).await?;
    Ok(Success::new(renamed.into(), state.clock.now()))
}

/// `DELETE /api/account/passkeys/{passkey_id}`.
pub async fn remove(
    person: Authorized<ManageAccount, Person>,
    req: HttpRequest,
    path: web::Path<PasskeyPath>,
    state: web::Data<AppState>,
    body: JsonBody<Confirmation>,
) -> Result<NoContent, ApiError> {
    let id = path.id()?;
    let Confirmation { password } = body.read().await?;
    confirm(&state, &person.caller, Zeroizing::new(password)).await?;
    person.note(&req, "passkey", &id.to_string());
    let (user, store) = (person.caller.user.id, person.store(&state));
    changing(&state, move |_| store.remove_passkey(user, id)).await?;
    Ok(NoContent)
}

/// `POST /api/session/passkey/options`.
pub async fn begin_sign_in(
    entrant: Entrant,
    state: web::Data<AppState>,
    body: JsonBody<PasskeyUse>,
) -> Result<Success<Request>, ApiError> {
    let PasskeyUse { second_factor } = body.read().await?;
    let relying_party = passkeys(&state)?;
    let (owner, have) = match entrant.half_way.filter(|_| second_factor) {
        Some((session, user)) => {
            let have = blocking(&state, move |state| state.store.passkeys(user.id)).await?;
            (Some(session), have)
        }
        None if second_factor => return Err(AccessRefusal::NotHalfWay.into()),
        // Whose passkeys are on the device the server does not know.
        None => (None, Vec::new()),
    };
    if second_factor && have.is_empty() {
        return Err(ApiError::new(ErrorCode::Conflict, "This account has no passkey"));
    }
    let mut options = relying_party.begin_sign_in(owner, state.clock.reading().steady)?;
    options["allowCredentials"] = descriptors(&have);
    Ok(Success::new(Request { public_key: read(options)? }, state.clock.now()))
}

/// `POST /api/session/passkey`.
pub async fn sign_in(
    entrant: Entrant,
    req: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<UsedCredential>,
) -> Result<Success<SignInAnswer>, ApiError> {
    let used = body.read().await?;
    let asked = state.clone();
    let (now, half_way) = (state.clock.reading().steady, entrant.half_way);
    let checked = web::block(move || check(&asked, half_way, &used, now));
    let (user, ground) = checked.await.map_err(|_panicked| ApiError::internal())?.inspect_err(|_| count("wrong"))?;
    start(&req, &state, user.id, SignInStage::Complete, ground, now).await?;
    audit::begin_for(&req, user.id, user.email);
    audit::note(&req, "with", "passkey");
    count("signed_in");
    Ok(Success::new(SignInAnswer::signed_in(), state.clock.now()))
}

/// Whom `used` signs in, and what that stands on. Blocks.
fn check(
    state: &AppState,
    half_way: Option<(SignInId, User)>,
    used: &UsedCredential,
    now: Timestamp,
) -> Result<(User, Ground), ApiError> {
    let relying_party = passkeys(state)?;
    let unknown = || ApiError::from(PasskeyError::Unknown);
    let answer: PublicKeyCredential = convert(used).map_err(|_malformed| unknown())?;
    let answered = relying_party.take_sign_in(half_way.as_ref().map(|(session, _)| *session), &answer, now)?;
    let (ground, owner) = match answered.owner.and(half_way) {
        Some((session, user)) => (Ground::HalfWay(session), Some(user.id)),
        None => (Ground::Given, None),
    };
    let passkey = state.store.passkey_by_credential(&used.raw_id)?;
    let passkey = passkey.filter(|passkey| owner.is_none_or(|owner| owner == passkey.user_id)).ok_or_else(unknown)?;
    let credential = relying_party.check_sign_in(answered, &answer, &passkey)?;
    if !state.store.use_passkey(&passkey, &credential, now)? {
        return Err(unknown());
    }
    if owner.is_some() {
        state.store.forget_failures(&second_factor::subject_of(passkey.user_id))?;
    }
    Ok((state.store.user(passkey.user_id)?.ok_or_else(unknown)?, ground))
}

/// What a browser is told of passkeys.
fn descriptors(passkeys: &[Passkey]) -> Value {
    passkeys.iter().map(|passkey| json!({ "type": "public-key", "id": passkey.credential_id })).collect()
}

/// The members of `options` that are described.
fn read<T: DeserializeOwned>(options: Value) -> Result<T, PasskeyError> {
    Ok(serde_json::from_value(options)?)
}

/// The same as the library has it: base64url becomes bytes.
fn convert<T: DeserializeOwned>(answer: &impl Serialize) -> Result<T, serde_json::Error> {
    serde_json::from_value(serde_json::to_value(answer)?)
}

/// The path of a passkey.
#[derive(Debug, Deserialize)]
pub struct PasskeyPath {
    passkey_id: String,
}

impl PasskeyPath {
    fn id(&self) -> Result<PasskeyId, ApiError> {
        self.passkey_id.parse().map_err(|_malformed| StoreError::NotFound("passkey").into())
    }
}

/// One's own passkeys, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnPasskeys {
    passkeys: Vec<PasskeyFacts>,
}

/// A passkey.
#[derive(Debug, Serialize, ToSchema)]
pub struct PasskeyFacts {
    id: Id,
    /// The name that its owner gave it.
    #[schema(examples("Phone"))]
    name: String,
    created_at: Instant,
    /// When it signed its owner in last; null before the first time.
    #[schema(required = true)]
    last_used_at: Option<Instant>,
}

impl From<Passkey> for PasskeyFacts {
    fn from(passkey: Passkey) -> Self {
        Self {
            id: passkey.id.into(),
            name: passkey.name,
            created_at: Instant(passkey.created_at),
            last_used_at: passkey.last_used_at.map(Instant),
        }
    }
}

/// Another name of a passkey.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PasskeyName {
    /// 1 to 100 characters.
    #[schema(examples("Phone"))]
    name: String,
}

/// What a passkey is to be used for.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PasskeyUse {
    /// Whether it follows the password; otherwise it is all that is given.
    second_factor: bool,
}

/// What a browser is asked to make.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PasskeyCreation)]
pub struct Creation {
    #[serde(rename = "publicKey")]
    public_key: CreationOptions,
}

/// `PublicKeyCredentialCreationOptionsJSON` of WebAuthn.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreationOptions {
    rp: RelyingParty,
    user: PasskeyUser,
    /// Random bytes, base64url. They are answered once, within five minutes, in the same session.
    #[schema(examples("Qm7vX2bT9cLr4KpW8sYf3HnD6gJzA1eU5oRiVtCkBqM"))]
    challenge: String,
    pub_key_cred_params: Vec<KeyAlgorithm>,
    /// How long the browser may take, in milliseconds.
    #[schema(examples(300_000))]
    timeout: u32,
    exclude_credentials: Vec<Descriptor>,
    authenticator_selection: AuthenticatorSelection,
    /// What is to be told of the make of the device: `none`.
    #[schema(examples("none"))]
    attestation: String,
    extensions: CreationExtensions,
}

/// The server, as authenticators know it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RelyingParty {
    /// The host of its public address.
    #[schema(examples("stats.example.com"))]
    id: String,
    #[schema(examples("zenovay"))]
    name: String,
}

/// The account, as authenticators show it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasskeyUser {
    /// The bytes of its id, base64url.
    #[schema(examples("AZChssPUTl-Kawx9ng8aLw"))]
    id: String,
    /// The address of the account.
    #[schema(examples("owner@example.com"))]
    name: String,
    /// The name people see.
    #[schema(examples("Ada"))]
    display_name: String,
}

/// A way to sign that is accepted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct KeyAlgorithm {
    /// `public-key`.
    #[serde(rename = "type")]
    #[schema(examples("public-key"))]
    kind: String,
    /// The number of the algorithm in the registry of COSE.
    #[schema(examples(-7))]
    alg: i64,
}

/// A passkey, as the authenticator calls it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PasskeyDescriptor)]
pub struct Descriptor {
    /// `public-key`.
    #[serde(rename = "type")]
    #[schema(examples("public-key"))]
    kind: String,
    /// Base64url.
    #[schema(examples("PK7xYw0bT2eLq4KpW8sYfw"))]
    id: String,
}

/// What the authenticator must be able to do.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthenticatorSelection {
    /// Whether it keeps whose the passkey is: `preferred`.
    #[schema(examples("preferred"))]
    resident_key: String,
    /// The same for older browsers.
    require_resident_key: bool,
    /// Whether it makes sure who holds it: `required`.
    #[schema(examples("required"))]
    user_verification: String,
}

/// What is asked beyond the passkey itself.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreationExtensions {
    /// When the authenticator tells that it has the passkey.
    #[schema(examples("userVerificationRequired"))]
    credential_protection_policy: String,
    /// Whether one that cannot do that is refused.
    enforce_credential_protection_policy: bool,
    /// Whether to tell if the passkey says whose it is.
    cred_props: bool,
}

/// What a browser is asked to sign.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PasskeyRequest)]
pub struct Request {
    #[serde(rename = "publicKey")]
    public_key: RequestOptions,
}

/// `PublicKeyCredentialRequestOptionsJSON` of WebAuthn.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestOptions {
    /// Random bytes, base64url. They are answered once, within five minutes.
    #[schema(examples("Qm7vX2bT9cLr4KpW8sYf3HnD6gJzA1eU5oRiVtCkBqM"))]
    challenge: String,
    /// How long the browser may take, in milliseconds.
    #[schema(examples(300_000))]
    timeout: u32,
    /// The host of the public address of the server.
    #[schema(examples("stats.example.com"))]
    rp_id: String,
    /// The passkeys of the account; none when it is not known whose account it is.
    allow_credentials: Vec<Descriptor>,
    /// Whether the authenticator makes sure who holds it: `required`.
    #[schema(examples("required"))]
    user_verification: String,
}

/// A passkey that was made, and the name that its owner gives it.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewPasskey {
    /// 1 to 100 characters.
    #[schema(examples("Phone"))]
    name: String,
    credential: MadeCredential,
}

/// `RegistrationResponseJSON` of WebAuthn.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MadeCredential {
    /// The same as `rawId`.
    #[schema(examples("PK7xYw0bT2eLq4KpW8sYfw"))]
    id: String,
    /// What the authenticator calls it, base64url.
    #[schema(examples("PK7xYw0bT2eLq4KpW8sYfw"))]
    raw_id: String,
    /// `public-key`.
    #[serde(rename = "type")]
    #[schema(examples("public-key"))]
    kind: String,
    response: MadeResponse,
}

/// What an authenticator says of a passkey that it made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct MadeResponse {
    /// Base64url.
    #[serde(rename = "attestationObject")]
    #[schema(examples("o2NmbXRkbm9uZWdhdHRTdG10oGhhdXRoRGF0YVg"))]
    attestation_object: String,
    /// Base64url.
    #[serde(rename = "clientDataJSON")]
    #[schema(examples("eyJ0eXBlIjoid2ViYXV0aG4uY3JlYXRlIn0"))]
    client_data_json: String,
}

/// `AuthenticationResponseJSON` of WebAuthn.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsedCredential {
    /// The same as `rawId`.
    #[schema(examples("PK7xYw0bT2eLq4KpW8sYfw"))]
    id: String,
    /// What the authenticator calls the passkey, base64url.
    #[schema(examples("PK7xYw0bT2eLq4KpW8sYfw"))]
    raw_id: String,
    /// `public-key`.
    #[serde(rename = "type")]
    #[schema(examples("public-key"))]
    kind: String,
    response: UsedResponse,
}

/// What an authenticator signed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct UsedResponse {
    /// Base64url.
    #[serde(rename = "authenticatorData")]
    #[schema(examples("SZYN5YgOjGh0NBcPZHZgW4_krrmihjLHmVzzuoMdl2MFAAAAAQ"))]
    authenticator_data: String,
    /// Base64url.
    #[serde(rename = "clientDataJSON")]
    #[schema(examples("eyJ0eXBlIjoid2ViYXV0aG4uZ2V0In0"))]
    client_data_json: String,
    /// Base64url.
    #[schema(examples("MEUCIQDx2v8mS7n4"))]
    signature: String,
    /// Whose passkey it is, if the authenticator knows: the bytes of the id of the account, base64url.
    #[serde(rename = "userHandle")]
    #[schema(examples("AZChssPUTl-Kawx9ng8aLw"))]
    user_handle: Option<String>,
}
