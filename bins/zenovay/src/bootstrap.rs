//! The first start: an owner, a team, a website and a key, shown once.

use std::net::SocketAddr;

use rand::CryptoRng;
use serde_json::json;
use zenovay_auth::{
    ApiKeyToken, GeneratedPassword, KeyFormat, KeyKind, Secret, generate_password_with, hash_password_with,
};
use zenovay_domain::{KeyId, Plan, PlanTable, Scopes, TeamId, Timestamp, TrackingCode, UserId, Website, WebsiteId};
use zenovay_store::{LinkPurpose, Metadata, NewKey, NewWebsite, Store, StoreError, Team, User};

use crate::config::Config;

/// The address of the account that the first start creates.
pub const OWNER_EMAIL: &str = "owner@localhost";

/// How long the link works that makes the first account somebody's own: a day.
const WELCOME_MS: i64 = 24 * 3_600_000;
/// What the website of the first start is called, until its owner gives it a domain.
pub const FIRST_DOMAIN: &str = "localhost";

/// What the first start created. Holds secrets; shown once, never stored.
pub struct Account {
    password: GeneratedPassword,
    key: ApiKeyToken,
    welcome: Secret,
    /// Who owns everything.
    pub user_id: UserId,
    /// The team.
    pub team_id: TeamId,
}

/// Creates an account with a team on the enterprise plan and a key with full access, unless there is a user already, and a
/// link by which its owner gives it an address and a password of their own.
///
/// # Errors
/// When the database cannot be written.
pub fn create_account(
    store: &dyn Metadata,
    rng: &mut impl CryptoRng,
    now: Timestamp,
) -> Result<Option<Account>, StoreError> {
    if store.has_users()? {
        return Ok(None);
    }
    let password = generate_password_with(rng);
    let password_hash = hash_password_with(password.expose(), rng)
        .map_err(|rule| StoreError::Invalid { field: "password", reason: rule.to_string() })?;
    let user = User::new(UserId::from_random_bytes(random(rng)), OWNER_EMAIL, "Owner", password_hash, now);
    let team = Team::new(TeamId::from_random_bytes(random(rng)), "My workspace", Plan::Enterprise, now);
    store.create_user(&user)?;
    store.create_team(&team, user.id)?;
    let key = KeyFormat::ZENOVAY.generate_with(rng);
    let id = KeyId::from_random_bytes(random(rng));
    let new = NewKey::new(id, &key, KeyKind::Personal(user.id), "First key", Scopes::FULL_ACCESS);
    store.create_key(&new, now)?;
    let welcome = Secret::generate(rng);
    store.create_link(user.id, LinkPurpose::Welcome, &welcome.digest(), now, now.plus_millis(WELCOME_MS))?;
    Ok(Some(Account { password, key, welcome, user_id: user.id, team_id: team.id }))
}

/// Creates a website that accepts local hosts too.
///
/// # Errors
/// When the database cannot be written, or the domain or name breaks a rule.
pub fn create_website(
    store: &dyn Store,
    account: &Account,
    domain: &str,
    name: &str,
    plans: &PlanTable,
    rng: &mut impl CryptoRng,
    now: Timestamp,
) -> Result<Website, StoreError> {
    let (id, code) = (WebsiteId::from_random_bytes(random(rng)), TrackingCode::from_random_bytes(random(rng)));
    let mut new = NewWebsite::new(id, account.team_id, domain, code);
    new.user_id = Some(account.user_id);
    new.name = name.to_owned();
    new.settings.allow_localhost = true;
    store.create_website(&new, plans, now)
}

fn random<const N: usize>(rng: &mut impl CryptoRng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// Where browsers reach a server that listens on `address`, without a slash at the end.
pub fn public_url(config: &Config, address: SocketAddr) -> String {
    match &config.public_url {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None if address.ip().is_unspecified() => format!("http://127.0.0.1:{}", address.port()),
        None => format!("http://{address}"),
    }
}

/// `url` as it is to be opened by a person: passkeys need a name, and `localhost` is the one that every machine has.
pub fn for_people(url: &str) -> String {
    url.replacen("http://127.0.0.1:", "http://localhost:", 1).replacen("http://[::1]:", "http://localhost:", 1)
}

/// The link that makes the first account somebody's own. What is behind the `#` is never sent or logged.
fn welcome_url(account: &Account, url: &str) -> String {
    format!("{}/welcome#{}", for_people(url), account.welcome.expose())
}

/// A link that signs the owner in, once within a day, in place of the one that makes the account somebody's own.
///
/// # Errors
/// When the database cannot be written.
pub fn sign_in_url(
    store: &dyn Metadata,
    account: &Account,
    url: &str,
    rng: &mut impl CryptoRng,
    now: Timestamp,
) -> Result<String, StoreError> {
    let (user, secret) = (account.user_id, Secret::generate(rng));
    store.create_link(user, LinkPurpose::SignIn, &secret.digest(), now, now.plus_millis(WELCOME_MS))?;
    // One that is over from the start takes the place of the other.
    store.create_link(user, LinkPurpose::Welcome, &Secret::generate(rng).digest(), now, now)?;
    Ok(format!("{}/demo#{}", for_people(url), secret.expose()))
}

/// What a person needs who does not open the link.
pub fn login(account: &Account, url: &str) -> String {
    format!(
        "  API key       {}\n  login         {OWNER_EMAIL}\n  password      {}   (at {}/login)\n",
        account.key.expose(),
        account.password.expose(),
        for_people(url)
    )
}

/// The tag that a page of the website needs.
pub fn script_tag(url: &str, code: &TrackingCode) -> String {
    format!(r#"<script defer data-tracking-code="{code}" src="{url}/z.js"></script>"#)
}

/// What the first start prints, as one line of JSON.
pub fn welcome_json(account: &Account, website: &Website, url: &str) -> String {
    let facts = json!({ "first_start": {
        "login": OWNER_EMAIL,
        "password": account.password.expose(),
        "key": account.key.expose(),
        "team_id": account.team_id,
        "website_id": website.id,
        "tracking_code": website.tracking_code,
        "script_tag": script_tag(url, &website.tracking_code),
        "welcome_url": welcome_url(account, url),
    }});
    format!("{facts}\n")
}

/// What the first start prints.
pub fn welcome(account: &Account, website: &Website, url: &str) -> String {
    let (password, key) = (account.password.expose(), account.key.expose());
    let (id, code, domain) = (website.id, &website.tracking_code, &website.domain);
    let tag = script_tag(url, code);
    format!(
        r#"
First start: an owner, a workspace and a website were created. This is shown only once.

Open this address to make them yours. It works once, for a day:

  {welcome}

Or use them as they are:

  API key       {key}
  login         {OWNER_EMAIL}
  password      {password}   (at {people}/login)
  workspace     {team}
  website       {id}  ({domain})

Add this tag to every page of your site:

  {tag}

Or send an event:

  curl {url}/e/{code} -H 'Content-Type: application/json' -d '{{"event_type":"pageview","url":"http://{domain}/home","session_id":"first-session","user_agent":"curl","device_type":"desktop","browser":"curl","os":"Linux"}}'

And read it back:

  curl '{url}/api/external/v1/analytics/{id}?range=24h' -H 'X-API-Key: {key}'

"#,
        team = account.team_id,
        welcome = welcome_url(account, url),
        people = for_people(url),
    )
}
