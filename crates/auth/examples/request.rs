//! A request, from the key in its header to the status of its answer: `cargo run -p zenovay-auth --example request`.
#![allow(clippy::print_stdout)]

use std::collections::HashMap;

use zenovay_auth::{Grant, KeyDigest, KeyFormat, Role, Scope, Scopes, Thing};

type Table = HashMap<KeyDigest, (Scopes, &'static str, Role)>; // a table of your database: never the keys themselves

/// The status of an answer to who sent this header, to do to that invoice what needs a scope and a role.
fn status(keys: &KeyFormat, table: &Table, header: &str, needs: (Scope, Role), invoice: u64) -> u16 {
    let key = header.strip_prefix("Bearer ").and_then(|key| keys.parse(key).ok());
    let Some((scopes, team, role)) = key.and_then(|key| table.get(&key.digest())) else { return 401 };
    let holder = Grant::key(*scopes).member(*team, *role); // `.revoked()` for a key that was taken back
    let answer = holder.may(needs, &Thing::new("invoice", invoice).of_team("accounting"));
    answer.map_or_else(|denial| denial.status(), |()| 200)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let keys = KeyFormat::new("acme_")?;
    let key = keys.generate()?;
    let table = Table::from([(key.digest(), ("read,write".parse()?, "accounting", Role::Editor))]);
    let ask = |header: &str, needs| status(&keys, &table, header, needs, 17);
    let header = format!("Bearer {}", key.expose());
    println!("{} {}", ask("Bearer acme_no", (Scope::Read, Role::Viewer)), ask(&header, (Scope::Write, Role::Editor)));
    Ok(())
}
