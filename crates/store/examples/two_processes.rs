//! Two stores on one file, as a server and its command line: what one changes, the other sees at once.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::sync::Arc;

use zenovay_store::auth::{KeyFormat, KeyKind, hash_password};
use zenovay_store::domain::{Clock, KeyId, Plan, Scopes, SystemClock, TeamId, UserId};
use zenovay_store::{CachedDirectory, KeyStore, NewKey, SqliteStore, Team, TeamStore, UsageStore, User, UserStore};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::temp_dir().join(format!("zenovay-example-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let path = dir.join("zenovay.db");
    let server = Arc::new(SqliteStore::open(&path)?);
    let command_line = SqliteStore::open(&path)?;
    let now = SystemClock.now();

    let owner = UserId::from_random_bytes([1; 16]);
    let hash = hash_password("correct horse battery")?;
    command_line.create_user(&User::new(owner, "owner@example.com", "Owner", hash, now))?;
    let id = TeamId::from_random_bytes([2; 16]);
    command_line.create_team(&Team::new(id, "Team", Plan::Pro, now), owner)?;
    let token = KeyFormat::ZENOVAY.generate()?;
    let new =
        NewKey::new(KeyId::from_random_bytes([3; 16]), &token, KeyKind::Workspace(id), "reports", Scopes::FULL_ACCESS);
    let key = command_line.create_key(&new, now)?;

    let directory = CachedDirectory::new(server);
    let revoked = || directory.credential(&token.digest()).map(|found| found.map(|credential| credential.revoked));
    println!("the server finds the key {}…, revoked: {:?}", key.prefix, revoked()?);
    command_line.revoke_key(key.id, now)?;
    println!("after the command line revoked it, revoked: {:?}", revoked()?);
    let start = std::time::Instant::now();
    for _ in 0..10_000 {
        revoked()?;
    }
    println!("a look-up takes {:?}", start.elapsed() / 10_000);
    let start = std::time::Instant::now();
    for _ in 0..2_000 {
        command_line.charge_request(key.id, 1_000_000, now)?;
    }
    println!("counting a request takes {:?}", start.elapsed() / 2_000);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
