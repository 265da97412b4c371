//! A user with a team and a key, which is found by its digest and revoked: `cargo run -p zenovay-store --example accounts`.
#![allow(clippy::print_stdout)]

use zenovay_store::auth::{KeyFormat, KeyKind, PasswordHash};
use zenovay_store::domain::{Clock, KeyId, Plan, Scopes, SystemClock, TeamId, UserId};
use zenovay_store::{KeyStore, NewKey, SqliteStore, Team, TeamStore, User, UserStore};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = SqliteStore::in_memory()?;
    let (ann, team, now) = (UserId::from_random_bytes([1; 16]), TeamId::from_random_bytes([2; 16]), SystemClock.now());
    let hash = PasswordHash::from_stored("$argon2id$…".to_owned());
    store.create_user(&User::new(ann, "ann@example.com", "Ann", hash, now))?;
    store.create_team(&Team::new(team, "Ann's team", Plan::Pro, now), ann)?;
    let token = KeyFormat::new("acme_")?.generate()?;
    let id = KeyId::from_random_bytes([3; 16]);
    store.create_key(&NewKey::new(id, &token, KeyKind::Personal(ann), "reports", Scopes::FULL_ACCESS), now)?;
    let revoked = || store.credential(&token.digest()).map(|key| key.map(|key| key.revoked));
    println!("revoked: {:?}", revoked()?);
    store.revoke_key(id, now)?;
    println!("revoked: {:?}", revoked()?);
    Ok(())
}
