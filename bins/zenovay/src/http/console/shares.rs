//! Public links: a dashboard that is read without signing in, by whoever has the link, with a password if it has one. It shows
//! numbers and changes nothing, whatever `public_dashboard` says.

use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use zenovay_auth::{Action, Secret, decide_plan, verify_password};
use zenovay_domain::{ErrorCode, ShareId, Timestamp, Website};
use zenovay_store::{Share, StoreError};
use zeroize::Zeroizing;

use super::queries::QuestionOwner;
use super::reader::WebsiteReader;
use super::sites::last_event;
use super::{Console, Created, JsonBody, NoContent, Rules, changing};
use crate::http::address_limit::{self, AddressClass};
use crate::http::client_ip;
use crate::http::document::{Answer, Operation};
use crate::http::envelope::{ApiError, Details, Success};
use crate::http::guard::{Attempt, EditWebsite, PathValues, ReadWebsite};
use crate::http::handler::{Access, Caller, Described, Shape};
use crate::http::long_questions::Asker;
use crate::http::state::AppState;
use crate::http::turns::Asking;
use crate::http::values::{Id, Instant};

/// How long a password need not be typed again, milliseconds.
const UNLOCKED_FOR_MS: i64 = 24 * 3_600_000;
/// The cookie of whoever typed the password.
const PROOF: &str = "zenovay_share";
/// The name of a link that was given none.
const NAMELESS: &str = "Public link";

/// The links of a website.
#[derive(Debug, Serialize, ToSchema)]
pub struct Shares {
    /// The oldest first.
    shares: Vec<ShownShare>,
}

/// A public link.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownShare {
    /// Its id.
    id: Id,
    /// The name people see.
    #[schema(examples("For the agency"))]
    name: String,
    /// Whether it asks for a password.
    has_password: bool,
    /// Whether pages of other websites may show it in a frame.
    embed: bool,
    /// When it was created.
    created_at: Instant,
}

impl From<&Share> for ShownShare {
    fn from(share: &Share) -> Self {
        Self {
            id: share.id.into(),
            name: share.name.clone(),
            has_password: share.password.is_some(),
            embed: share.may_be_embedded,
            created_at: Instant(share.created_at),
        }
    }
}

/// The public links of a website, without what opens them.
pub async fn list(key: Console<ReadWebsite>, state: web::Data<AppState>) -> Result<Success<Shares>, ApiError> {
    let id = key.resource.id;
    let shares = changing(&state, move |state| state.store.shares(id)).await?;
    let shares = shares.iter().map(ShownShare::from).collect();
    Ok(Success::new(Shares { shares }, state.clock.now()))
}

/// A public link to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShareBody {
    /// The name people see, at most 100 characters.
    #[schema(examples("For the agency"))]
    name: Option<String>,
    /// A password that is asked for, at least 12 characters and not a common one.
    #[schema(examples("correct horse battery"))]
    password: Option<String>,
    /// Whether pages of other websites may show it in a frame; not when it is absent.
    embed: Option<bool>,
}

/// A public link that was made just now.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewShare {
    #[serde(flatten)]
    share: ShownShare,
    /// What opens it. It is told this once: the server keeps its digest alone.
    #[schema(examples("Qm7vX2bT9cLr4KpW8sYf3HnD6gJzA1eU5oRiVtCkBqM"))]
    token: String,
    /// The path of the page that it opens.
    #[schema(examples("/share/Qm7vX2bT9cLr4KpW8sYf3HnD6gJzA1eU5oRiVtCkBqM"))]
    path: String,
}

/// Makes a public link.
pub async fn create(
    key: Console<EditWebsite>,
    state: web::Data<AppState>,
    body: JsonBody<ShareBody>,
) -> Result<Created<NewShare>, ApiError> {
    let ShareBody { name, password, embed } = body.read().await?;
    let mut rules = Rules::default();
    let name = name.filter(|name| !name.trim().is_empty());
    let name = rules.name("name", name.as_deref().unwrap_or(NAMELESS));
    if let Some(password) = &password {
        rules.password("password", password);
    }
    rules.check()?;
    let password = match password {
        Some(password) => Some(state.hashing.hash(&state, Zeroizing::new(password)).await?),
        None => None,
    };
    let (website, now, secret) = (key.resource.id, state.clock.now(), state.new_secret());
    let id = ShareId::from_random_bytes(state.random_bytes());
    let mut share = Share::new(id, website, secret.digest(), name, now);
    share.password = password;
    share.may_be_embedded = embed.unwrap_or(false);
    let store = key.store(&state);
    let share = changing(&state, move |_| store.create_share(&share).map(|()| ShownShare::from(&share)));
    let token = secret.expose().to_owned();
    let made = NewShare { share: share.await?, path: format!("/share/{token}"), token };
    Ok(Created::at(format!("/api/websites/{website}/shares/{id}"), made, now))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The link that a path names.
#[derive(Debug, Deserialize)]
pub struct SharePath {
    share_id: String,
}

/// Ends a public link: it opens nothing any more.
pub async fn delete(
    key: Console<EditWebsite>,
    state: web::Data<AppState>,
    path: web::Path<SharePath>,
) -> Result<NoContent, ApiError> {
    let website = key.resource.id;
    let id = path.share_id.parse().map_err(|_| ApiError::from(StoreError::NotFound("share")))?;
    let store = key.store(&state);
    changing(&state, move |_| store.delete_share(website, id)).await?;
    Ok(NoContent)
}

/// What a link opens.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenedShare {
    /// Whether a password has to be typed first.
    needs_password: bool,
    /// The website; null while a password has to be typed.
    #[schema(required = true)]
    website: Option<SharedWebsite>,
    /// Whether pages of other websites may show it in a frame.
    embed: bool,
}

/// What whoever has a link may know of the website.
#[derive(Debug, Serialize, ToSchema)]
pub struct SharedWebsite {
    /// Its domain.
    #[schema(examples("shop.example.com"))]
    domain: String,
    /// Its name.
    #[schema(examples("Shop"))]
    name: String,
    /// The zone of its days.
    #[schema(examples("Europe/Berlin"))]
    time_zone: String,
    /// The currency of its sums of money.
    #[schema(examples("EUR"))]
    currency: String,
    /// The time of its last event; null before the first one.
    #[schema(required = true)]
    last_event_at: Option<Instant>,
}

/// What nobody has a link to: the same for links that ended and for those that never were.
fn ended() -> ApiError {
    ApiError::not_found("This link does not show anything any more")
}

/// The link that `token` opens, and its website. Blocks.
fn find(state: &AppState, token: &str) -> Result<Option<(Share, Arc<Website>)>, StoreError> {
    let Ok(secret) = Secret::parse(token) else { return Ok(None) };
    let Some(share) = state.store.share_by_digest(&secret.digest())? else { return Ok(None) };
    Ok(state.directory.website(share.website)?.map(|website| (share, website)))
}

/// Whether pages of other websites may show in a frame what `token` opens.
///
/// # Errors
/// When the store cannot be asked.
pub async fn may_be_embedded(state: &web::Data<AppState>, token: String) -> Result<bool, ApiError> {
    let found = changing(state, move |state| find(state, &token)).await?;
    Ok(found.is_some_and(|(share, _)| share.may_be_embedded))
}

/// The link in the path of `req`. A link that there is not counts as a try to guess one.
async fn opened(req: &HttpRequest, state: &web::Data<AppState>) -> Result<(Share, Arc<Website>), ApiError> {
    let token = PathValues::of(req).get("token").to_owned();
    if let Some(found) = changing(state, move |state| find(state, &token)).await? {
        return Ok(found);
    }
    let client = client_ip::of(req, &state.trusted_proxies);
    address_limit::charge_async(&state.addresses, AddressClass::Auth, client, state.clock.now()).await?;
    Err(ended())
}

/// Whoever has a link, also before they typed its password.
#[derive(Debug)]
pub struct LinkVisitor {
    share: Share,
    website: Arc<Website>,
    is_unlocked: bool,
}

impl Caller for LinkVisitor {
    const ACCESS: Access = Access::Public;

    fn describe(operation: &mut Operation) {
        operation.refuses([ErrorCode::NotFound, ErrorCode::RateLimitExceeded]);
    }
}

impl FromRequest for LinkVisitor {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let req = req.clone();
        Box::pin(async move {
            let state = req.app_data::<web::Data<AppState>>().cloned().ok_or_else(ApiError::internal)?;
            let (share, website) = opened(&req, &state).await?;
            let is_unlocked = is_unlocked(&share, req.headers(), state.clock.now());
            Ok(Self { share, website, is_unlocked })
        })
    }
}

/// What a link opens, as far as whoever asks may know.
pub async fn show(visitor: LinkVisitor, state: web::Data<AppState>) -> Result<Success<OpenedShare>, ApiError> {
    let LinkVisitor { share, website, is_unlocked } = visitor;
    let opened = OpenedShare {
        needs_password: !is_unlocked,
        website: is_unlocked.then(|| SharedWebsite {
            domain: website.domain.clone(),
            name: website.name.clone(),
            time_zone: website.settings.time_zone.clone(),
            currency: website.settings.currency.clone(),
            last_event_at: last_event(state.events.span(website.id)),
        }),
        embed: share.may_be_embedded,
    };
    Ok(Success::new(opened, state.clock.now()))
}

/// The path of a link.
#[derive(Debug, Deserialize)]
pub struct TokenPath {
    token: String,
}

/// A password that was typed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Unlock {
    /// The password.
    #[schema(examples("correct horse battery"))]
    password: String,
}

/// The answer to the right password: a cookie.
#[derive(Debug)]
pub struct Unlocked;

impl Shape for Unlocked {
    fn describe(operation: &mut Operation) {
        operation.answer(204, Answer::new("The password is right; a cookie says so for a day"));
    }
}

/// Takes the password of a link. Tries count as tries to sign in do.
pub async fn unlock(
    _: Attempt,
    state: web::Data<AppState>,
    path: web::Path<TokenPath>,
    body: JsonBody<Unlock>,
) -> Result<Described<Unlocked>, ApiError> {
    let typed = Zeroizing::new(body.read().await?.password);
    let token = path.into_inner().token;
    let (asked, now) = (state.clone(), state.clock.now());
    let checked = state.hashing.run(move || {
        let Some((share, _)) = find(&asked, &token)? else { return Err(ended()) };
        let is_right = share.password.is_some() && verify_password(&typed, share.password.as_ref());
        Ok(is_right.then_some((share, token)))
    });
    let Some((share, token)) = checked.await? else {
        return Err(ApiError::new(ErrorCode::Forbidden, "The password is wrong"));
    };
    let until = now.plus_millis(UNLOCKED_FOR_MS);
    let proof = proof(&share, until).unwrap_or_default();
    let where_to = match (state.https_host.is_some(), share.may_be_embedded) {
        // In a frame of another website it is sent only so.
        (true, true) => "SameSite=None; Secure; Partitioned",
        (true, false) => "SameSite=Lax; Secure",
        (false, _) => "SameSite=Lax",
    };
    let cookie = format!(
        "{PROOF}={:x}.{proof}; Path=/api/shares/{token}; Max-Age={}; HttpOnly; {where_to}",
        until.as_millis(),
        UNLOCKED_FOR_MS / 1_000,
    );
    let mut cookie = HeaderValue::try_from(cookie).map_err(|_invalid| ApiError::internal())?;
    cookie.set_sensitive(true);
    Ok(HttpResponse::NoContent().insert_header((SET_COOKIE, cookie)).finish().into())
}

/// What only this server can say of a link whose password was typed: it depends on the stored hash, so that a new password
/// needs to be typed anew.
fn proof(share: &Share, until: Timestamp) -> Option<String> {
    let secret = share.password.as_ref()?.as_str();
    let mut inner = Sha256::new();
    inner.update(secret.as_bytes());
    inner.update(share.digest.as_bytes());
    inner.update(until.as_millis().to_be_bytes());
    let mut outer = Sha256::new();
    outer.update(secret.as_bytes());
    outer.update(inner.finalize());
    Some(hex(&outer.finalize()))
}

/// Whether the link needs no password, or `headers` have the proof that it was typed.
fn is_unlocked(share: &Share, headers: &HeaderMap, now: Timestamp) -> bool {
    if share.password.is_none() {
        return true;
    }
    let lines = headers.get_all(COOKIE).filter_map(|line| line.to_str().ok());
    let cookies = lines.flat_map(|line| line.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    cookies.filter(|(name, _)| *name == PROOF).any(|(_, value)| {
        let Some((until, shown)) = value.split_once('.') else { return false };
        let Ok(until) = i64::from_str_radix(until, 16).map(Timestamp::from_millis) else { return false };
        let Some(expected) = proof(share, until) else { return false };
        // As long for every wrong one: the time tells nothing of the right one.
        let differs = expected.len() != shown.len()
            || expected.bytes().zip(shown.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) != 0;
        !differs && now < until
    })
}

/// Whoever has a public link, and typed its password if it has one: they may read the numbers of its website.
#[derive(Debug)]
pub struct LinkHolder {
    share: ShareId,
    website: Arc<Website>,
    queries: String,
}

impl QuestionOwner for LinkHolder {
    fn asker(&self) -> Asker {
        Asker::Link(self.share)
    }

    fn queries(&self) -> String {
        self.queries.clone()
    }
}

impl WebsiteReader for LinkHolder {
    fn website(&self) -> &Arc<Website> {
        &self.website
    }

    fn asking(&self) -> Asking {
        Asking { website: Some(self.website.id), key: None }
    }

    fn knows_refusals(&self) -> bool {
        false
    }
}

impl Caller for LinkHolder {
    const ACCESS: Access = Access::Public;

    fn describe(operation: &mut Operation) {
        operation.refuses([ErrorCode::NotFound, ErrorCode::Forbidden, ErrorCode::RateLimitExceeded]);
    }
}

impl FromRequest for LinkHolder {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let visitor = LinkVisitor::from_request(req, payload);
        let queries = format!("/api/shares/{}/queries", PathValues::of(req).get("token"));
        Box::pin(async move {
            let LinkVisitor { share, website, is_unlocked } = visitor.await?;
            if is_unlocked {
                return Ok(Self { share: share.id, website, queries });
            }
            let error = ApiError::new(ErrorCode::Forbidden, "This link asks for a password");
            Err(error.with_details(Details::Text("needs_password".into())))
        })
    }
}

/// The same, where the plan of the website's team includes funnels.
#[derive(Debug)]
pub struct FunnelLinkHolder(LinkHolder);

impl WebsiteReader for FunnelLinkHolder {
    fn website(&self) -> &Arc<Website> {
        self.0.website()
    }

    fn asking(&self) -> Asking {
        self.0.asking()
    }

    fn knows_refusals(&self) -> bool {
        self.0.knows_refusals()
    }
}

impl QuestionOwner for FunnelLinkHolder {
    fn asker(&self) -> Asker {
        self.0.asker()
    }

    fn queries(&self) -> String {
        self.0.queries.clone()
    }
}

impl Caller for FunnelLinkHolder {
    const ACCESS: Access = LinkHolder::ACCESS;

    fn describe(operation: &mut Operation) {
        LinkHolder::describe(operation);
    }
}

impl FromRequest for FunnelLinkHolder {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, holder) = (req.clone(), LinkHolder::from_request(req, payload));
        Box::pin(async move {
            let holder = holder.await?;
            let state = req.app_data::<web::Data<AppState>>().ok_or_else(ApiError::internal)?;
            let team = holder.website.team_id;
            let team = changing(state, move |state| state.store.team(team)).await?.ok_or_else(ended)?;
            decide_plan(team.plan, Action::ReadFunnels, &state.plans)?;
            Ok(Self(holder))
        })
    }
}
