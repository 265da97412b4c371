//! A key with a prefix of one's own, and who may pay an invoice: `cargo run -p zenovay-auth --example key`.
#![allow(clippy::print_stdout)]

use zenovay_auth::{Grant, KeyFormat, Policy, Role, Scope, Thing};

struct PayInvoice; // or an enum of all that can be done

impl Policy for PayInvoice {
    fn scope(&self) -> Option<Scope> {
        Some(Scope::Write) // what a key needs
    }
    fn role(&self) -> Role {
        Role::Editor // what its owner needs, in the team of the invoice
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let keys = KeyFormat::new("acme_")?;
    let key = keys.generate()?; // shown once; stored, and looked up by, is its digest
    println!("{}… is known again: {}", key.prefix(), keys.parse(key.expose())?.digest() == key.digest());
    let holder = Grant::key("read".parse()?).member("accounting", Role::Editor);
    let answer = holder.may(PayInvoice, &Thing::new("invoice", 17).of_team("accounting"));
    println!("{:?}", answer.map_err(|denial| (denial.status(), denial.to_string())));
    Ok(())
}
