//! Where a client sends a person to be asked, and where their answer goes. Nothing is sent to an address before it is known to be
//! one of the client's.

use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse, web};
use url::form_urlencoded;
use zenovay_auth::oauth::{RedirectTarget, redirect_matches, redirect_target};
use zenovay_auth::{AccessLevel, SecretDigest, ToolCategory, ToolScopes};
use zenovay_domain::{ErrorCode, SignInId, TeamId, Timestamp};
use zenovay_store::{Consent, GrantClient, NewCode, StoreError};

use super::caller::charge;
use super::clients::{self, Client, NoClient};
use super::page::{self, ConsentPage, TeamChoice};
use super::params::{Field, Fields, Form, InQuery, Params};
use super::refusal::{OAuthError, OAuthRefusal};
use super::resource::resource_of;
use super::token::record_replaced;
use crate::http::document::{Answer, ErrorForm, Operation};
use crate::http::envelope::ApiError;
use crate::http::guard::{MaybeSignedIn, Person};
use crate::http::handler::{Described, Html, Shape};
use crate::http::lookups::blocking;
use crate::http::state::AppState;

/// The longest request of a client, in bytes.
const REQUEST_MAX_BYTES: usize = 8 * 1024;

/// A page that asks, or the way elsewhere.
#[derive(Debug)]
pub struct Asking;

impl Shape for Asking {
    fn describe(operation: &mut Operation) {
        Html::describe(operation);
        operation.answer(303, Answer::new("To where people sign in, or back to the client"));
        operation.error_form = ErrorForm::Page;
        // The client may have to be looked up at its address.
        operation.refuses([ErrorCode::RateLimitExceeded]);
    }
}

/// What a client sends a person with.
pub struct Request;

impl Fields for Request {
    const FIELDS: &'static [Field] = &[
        Field::required("response_type", "What it wants: `code`.", "code"),
        Field::required("client_id", "Its id.", "https://app.example/oauth/client.json"),
        Field::optional("redirect_uri", "Where the person is sent back to.", "http://127.0.0.1:33418/callback"),
        Field::required("code_challenge", "The SHA-256 of its verifier, in base64url (RFC 7636).", CHALLENGE),
        Field::required("code_challenge_method", "How the challenge was made: `S256`.", "S256"),
        Field::optional("state", "What it gets back as it is.", "af0ifjsldkj"),
        Field::optional("scope", "What it wants to do.", "read"),
        Field::optional("resource", "Where it wants to use its tokens (RFC 8707).", "https://stats.example/mcp"),
    ];
}

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// The answer of a person.
pub struct Decision;

impl Fields for Decision {
    const FIELDS: &'static [Field] = &[
        Field::required("request", "The query with which the client sent the person.", "response_type=code"),
        Field::required("ticket", "What shows that the form is of the page that the person was shown.", "0a1b2c3d"),
        Field::required("decision", "`allow`, or anything else.", "allow"),
        Field::optional("team", "The team in which the client may act.", "7b0c5f3e-1d9a-4a53-9f7a-3f1c1d2b4a55"),
        Field::optional("analytics", "What it may do in a category: `none` or `read`.", "read"),
        Field::optional("advanced", "The same of another category.", "none"),
        Field::optional("management", "The same, or `write`.", "none"),
        Field::optional("settings", "The same, or `write`.", "none"),
    ];
}

/// What a client asks for.
struct Asked {
    client: Client,
    back: Back,
    challenge: SecretDigest,
    scopes: ToolScopes,
    resource: String,
}

/// The way back to the client.
struct Back {
    redirect_uri: String,
    target: RedirectTarget,
    /// What the client gets back as it is.
    state: Option<String>,
}

impl Back {
    /// Where the person is sent with these members in the query.
    fn address(&self, state: &AppState, members: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(members);
        if let Some(client_state) = &self.state {
            query.append_pair("state", client_state);
        }
        if state.oauth.names_issuer {
            query.append_pair("iss", &state.issuer);
        }
        let gap = if self.redirect_uri.contains('?') { '&' } else { '?' };
        format!("{}{gap}{}", self.redirect_uri, query.finish())
    }

    /// Sends the person who asked with `req` back, with these members in the query.
    fn send(&self, req: &HttpRequest, state: &AppState, members: &[(&str, &str)]) -> HttpResponse {
        let address = self.address(state, members);
        // The policy of a page says where its forms may lead, and browsers hold every redirect after them to that: also one of the
        // client's own, to another host. So a form leads to a page of this server, and that leads on.
        let is_after_form = req.method() == Method::POST;
        match self.target {
            RedirectTarget::Host(_) | RedirectTarget::ThisComputer if is_after_form => {
                page::onward(&address, &self.target)
            }
            _ => see_other(&address),
        }
    }
}

/// Why a person is not asked.
enum NotAsked {
    /// They are told, and stay here: it is not known where they may be sent.
    Told(String),
    /// It is for the client to know, at its own address.
    ForClient { client: Box<Client>, back: Back, refusal: OAuthRefusal },
    /// It cannot be found out.
    Failed(Box<ApiError>),
}

/// `GET /oauth/authorize`.
pub async fn ask(
    MaybeSignedIn(person): MaybeSignedIn,
    req: HttpRequest,
    state: web::Data<AppState>,
    asks: InQuery<Request>,
) -> Result<Described<Asking>, ApiError> {
    let request = asks.query;
    let Some(person) = person else { return Ok(to_sign_in(&request).into()) };
    let shown = show(&req, &state, &person, &request, &Chosen::default(), None).await?;
    Ok(shown.into())
}

/// What somebody chose before the page was shown again.
#[derive(Default)]
struct Chosen {
    team: Option<TeamId>,
    scopes: Option<ToolScopes>,
}

async fn show(
    req: &HttpRequest,
    state: &web::Data<AppState>,
    person: &Person,
    request: &str,
    chosen: &Chosen,
    note: Option<&'static str>,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.reading().steady;
    let asked = match examine(req, state, request, now).await {
        Ok(asked) => asked,
        Err(not_asked) => return answer_not_asked(req, state, person, not_asked).await,
    };
    let ids: Vec<TeamId> = person.signed_in.teams.iter().map(|team| team.team_id).collect();
    let user = person.user.id;
    let (teams, theme) = blocking(state, move |state| {
        let mut teams = Vec::with_capacity(ids.len());
        for id in ids {
            teams.extend(state.store.team(id)?.map(|team| TeamChoice { id, name: team.name }));
        }
        Ok((teams, state.store.profile(user)?.theme))
    })
    .await?;
    Ok(page::consent(&ConsentPage {
        host: state.issuer.split_once("://").map_or("", |(_, host)| host),
        email: &person.user.email,
        theme,
        client: &asked.client,
        target: &asked.back.target,
        teams: &teams,
        team: chosen.team.or_else(|| teams.first().map(|team| team.id)),
        scopes: chosen.scopes.unwrap_or_else(|| preselected(asked.scopes)),
        wanted: asked.scopes,
        request,
        ticket: &ticket(state, person.session, request),
        note,
    }))
}

/// What is chosen before anybody chose: to read what is asked for, or everything where nothing is named that there is. To change
/// something is never chosen for anybody, nor to read where nothing is read.
fn preselected(asked: ToolScopes) -> ToolScopes {
    let readable = ToolCategory::ALL.into_iter().filter(|category| category.offers(AccessLevel::Read));
    let read = readable.fold(ToolScopes::NONE, |scopes, category| scopes.with(category, AccessLevel::Read));
    let is_nothing = asked.intersection(ToolScopes::everywhere(AccessLevel::Write)).is_empty();
    if is_nothing { read } else { asked.intersection(read) }
}

/// Looks at what a client asks for.
async fn examine(
    req: &HttpRequest,
    state: &web::Data<AppState>,
    request: &str,
    now: Timestamp,
) -> Result<Asked, NotAsked> {
    let told = |refusal: OAuthRefusal| NotAsked::Told(refusal.description.into_owned());
    if request.len() > REQUEST_MAX_BYTES {
        return Err(NotAsked::Told("the request is too long".to_owned()));
    }
    let params = Params::parse(request.as_bytes());
    let client_id = params.required("client_id").map_err(told)?;
    let client = clients::find(state, client_id, now, charge(req)).await.map_err(|error| match error {
        NoClient::Because(words) => NotAsked::Told(format!("the client is not known: {words}")),
        NoClient::Failed(error) => NotAsked::Failed(Box::new(error)),
    })?;
    let redirect_uri = match (params.one("redirect_uri").map_err(told)?, &client.redirect_uris[..]) {
        (Some(asked), registered) if registered.iter().any(|one| redirect_matches(one, asked)) => asked.to_owned(),
        (Some(_), _) => return Err(NotAsked::Told("redirect_uri is not one of the client's".to_owned())),
        (None, [only]) => only.clone(),
        (None, _) => return Err(NotAsked::Told("redirect_uri is missing".to_owned())),
    };
    let target = redirect_target(&redirect_uri)
        .ok_or_else(|| NotAsked::Told("redirect_uri is not one that people can be sent to".to_owned()))?;
    // From here on what is wrong is for the client to know.
    let mut back = Back { redirect_uri, target, state: None };
    match params.all("state") {
        [] => {}
        [state] => back.state = Some(state.clone()),
        _ => {
            let refusal = OAuthRefusal::new(OAuthError::InvalidRequest, "state is there more than once");
            return Err(NotAsked::ForClient { client: Box::new(client), back, refusal });
        }
    }
    match parameters(state, &params) {
        Ok((challenge, resource, scopes)) => Ok(Asked { client, back, challenge, scopes, resource }),
        Err(refusal) => Err(NotAsked::ForClient { client: Box::new(client), back, refusal }),
    }
}

fn parameters(state: &AppState, params: &Params) -> Result<(SecretDigest, String, ToolScopes), OAuthRefusal> {
    let wrong = |words: &'static str| Err(OAuthRefusal::new(OAuthError::InvalidRequest, words));
    match params.required("response_type")? {
        "code" => {}
        _ => return Err(OAuthRefusal::new(OAuthError::UnsupportedResponseType, "response_type: use code")),
    }
    if params.one("response_mode")?.is_some_and(|mode| mode != "query") {
        return wrong("response_mode: use query");
    }
    let challenge = params.required("code_challenge")?;
    // Without a method it would be `plain`.
    if params.one("code_challenge_method")? != Some("S256") {
        return wrong("code_challenge_method: use S256");
    }
    let Some(challenge) = challenge_of(challenge) else { return wrong("code_challenge: not a SHA-256 in base64url") };
    let resource = resource_of(state, params)?.unwrap_or_else(|| state.mcp_url());
    Ok((challenge, resource, params.one("scope")?.map(ToolScopes::parse_lenient).unwrap_or_default()))
}

/// Reads 32 bytes in base64url without padding (RFC 4648 §5), of which there is one spelling.
fn challenge_of(string: &str) -> Option<SecretDigest> {
    let mut bytes = [0; 32];
    if string.len() != 43 {
        return None;
    }
    let (mut bits, mut count, mut place) = (0_u32, 0, 0);
    for letter in string.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            let byte = (bits >> count) & 0xff;
            *bytes.get_mut(place)? = u8::try_from(byte).ok()?;
            bits &= (1 << count) - 1;
            place += 1;
        }
    }
    (place == 32 && bits == 0).then(|| SecretDigest::from_bytes(bytes))
}

/// What shows that a form is of the page that this session was shown for this request, and of no other.
fn ticket(state: &AppState, session: SignInId, request: &str) -> String {
    let mut bytes = state.oauth.ticket_key.to_vec();
    bytes.extend_from_slice(session.as_bytes());
    bytes.extend_from_slice(SecretDigest::of(request.as_bytes()).as_bytes());
    // Hashed twice, so that what is told of one says nothing of a longer one.
    let digest = SecretDigest::of(SecretDigest::of(&bytes).as_bytes());
    digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The way of somebody who must sign in first, and come back.
fn to_sign_in(request: &str) -> HttpResponse {
    let next = form_urlencoded::Serializer::new(String::new())
        .append_pair("next", &format!("/oauth/authorize?{request}"))
        .finish();
    see_other(&format!("/login?{next}"))
}

fn see_other(location: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, location))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish()
}

/// Anybody can register a client with any address, and send people here with a request that is wrong on purpose. Who is sent on from
/// here without a word believes that this server led there (RFC 9700 §4.11.2). So only who let the client act for them, with an
/// answer to the same place, is sent back at once; everybody else is told what is wrong and where it would lead, and goes on by
/// themselves.
async fn answer_not_asked(
    req: &HttpRequest,
    state: &web::Data<AppState>,
    person: &Person,
    not_asked: NotAsked,
) -> Result<HttpResponse, ApiError> {
    match not_asked {
        NotAsked::Told(words) => Ok(page::problem(&words)),
        NotAsked::ForClient { client, back, refusal } => {
            let members = [("error", refusal.error.as_str()), ("error_description", &*refusal.description)];
            if is_trusted(state, person, &client, &back.target).await? {
                return Ok(back.send(req, state, &members));
            }
            Ok(page::not_for_client(&client, &refusal.description, &back.address(state, &members), &back.target))
        }
        NotAsked::Failed(error) => Err(*error),
    }
}

/// Whether the person let the client act for them, and its answers led to the same place.
async fn is_trusted(
    state: &web::Data<AppState>,
    person: &Person,
    client: &Client,
    target: &RedirectTarget,
) -> Result<bool, ApiError> {
    let (user, now) = (person.user.id, state.clock.reading().steady);
    let (id, place) = (client.id.clone(), page::told_target(target));
    blocking(state, move |state| {
        let mut granted = state.store.grants_of(user, now)?.into_iter().map(|grant| grant.consent.client);
        Ok(granted.any(|client| client.id == id && client.redirect_host == place))
    })
    .await
}

/// `POST /oauth/consent`: the answer of the person.
pub async fn answer(
    MaybeSignedIn(person): MaybeSignedIn,
    req: HttpRequest,
    state: web::Data<AppState>,
    form: Form<Decision>,
) -> Result<Described<Asking>, ApiError> {
    let form = form.read().await?;
    let value = |name: &str| form.all(name).first().map_or("", String::as_str);
    let request = value("request").to_owned();
    let Some(person) = person else { return Ok(to_sign_in(&request).into()) };
    let scopes = ToolCategory::ALL.into_iter().fold(ToolScopes::NONE, |scopes, category| {
        let asked = value(category.as_str());
        let levels = AccessLevel::ALL.into_iter().filter(|level| category.offers(*level));
        let level = levels.filter(|level| level.as_str() == asked).max().unwrap_or_default();
        scopes.with(category, level)
    });
    let team = value("team").parse().ok().filter(|id| person.signed_in.teams.iter().any(|team| team.team_id == *id));
    let chosen = Chosen { team, scopes: Some(scopes) };
    let again = |note| show(&req, &state, &person, &request, &chosen, Some(note));
    let expected = SecretDigest::of(ticket(&state, person.session, &request).as_bytes());
    if SecretDigest::of(value("ticket").as_bytes()) != expected {
        return again("This page was open for too long. Look again, and decide.").await.map(Described::from);
    }
    let now = state.clock.reading().steady;
    let asked = match examine(&req, &state, &request, now).await {
        Ok(asked) => asked,
        Err(not_asked) => return answer_not_asked(&req, &state, &person, not_asked).await.map(Described::from),
    };
    if value("decision") != "allow" {
        let members = [("error", OAuthError::AccessDenied.as_str())];
        return Ok(asked.back.send(&req, &state, &members).into());
    }
    let Some(team_id) = team else { return again("Choose the team.").await.map(Described::from) };
    if scopes.is_empty() {
        return again("Choose at least one thing that it may do, or cancel.").await.map(Described::from);
    }
    let code = state.new_secret();
    let (shown, redirect_host) = (asked.client, page::told_target(&asked.back.target));
    let client = GrantClient::new(shown.id, shown.name, shown.host, redirect_host, shown.may_refresh);
    let consent = Consent::new(person.user.id, team_id, client, scopes, asked.resource);
    let new = NewCode::new(code.digest(), consent, asked.back.redirect_uri.clone(), asked.challenge);
    let created = blocking(&state, move |state| match state.store.create_code(&new, now) {
        // Left the team since the page was asked for.
        Err(StoreError::NotFound(_)) => Ok(false),
        Err(other) => Err(other),
        Ok(ended) => record_replaced(state, &ended, now).map(|()| true),
    });
    if !created.await? {
        return again("You are not in this team any more.").await.map(Described::from);
    }
    Ok(asked.back.send(&req, &state, &[("code", code.expose())]).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    #[test]
    fn a_challenge_is_the_digest_of_its_verifier() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert_eq!(challenge_of(challenge), Some(SecretDigest::of(verifier.as_bytes())));
        for wrong in [
            "",
            &challenge[1..],
            &format!("{challenge}="),
            &challenge.replace('-', "+"),
            &challenge.replace("cM", "cN"),
        ] {
            assert_eq!(challenge_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn to_read_is_chosen_before_and_to_change_is_not() {
        for (asked, chosen) in [
            ("", "analytics:read advanced:read"),
            ("read", "analytics:read advanced:read"),
            ("write", "analytics:read advanced:read"),
            ("offline_access", "analytics:read advanced:read"),
            // There are none.
            ("webhooks:write", "analytics:read advanced:read"),
            ("analytics:read management:write", "analytics:read"),
            // What is there to be changed alone.
            ("management:write settings:read", ""),
        ] {
            assert_eq!(preselected(ToolScopes::parse_lenient(asked)).to_string(), chosen, "{asked}");
        }
    }
}
