//! Keys and decisions of a program that has invoices: its own prefix, its own actions, its own ids.
#![allow(clippy::print_stdout)]

use zenovay_auth::{Grant, KeyFormat, Policy, Role, Scope, Thing};

#[derive(Debug, Clone, Copy)]
enum Act {
    Read,
    Pay,
    Close,
}

impl Policy for Act {
    fn scope(&self) -> Option<Scope> {
        match self {
            Self::Read => Some(Scope::Read),
            Self::Pay => Some(Scope::Write),
            Self::Close => None,
        }
    }

    fn role(&self) -> Role {
        match self {
            Self::Read => Role::Viewer,
            Self::Pay => Role::Editor,
            Self::Close => Role::Owner,
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = KeyFormat::new("acme_")?.generate()?;
    println!("shown once: {}…, stored: its digest of {} bytes", key.prefix(), key.digest().as_bytes().len());

    let holder = Grant::key("read,write".parse()?).member("accounting", Role::Viewer).only_things(vec![17]);
    let person = Grant::person().member("accounting", Role::Owner);
    for act in [Act::Read, Act::Pay, Act::Close] {
        for id in [17, 18] {
            let invoice = Thing::new("invoice", id).of_team("accounting");
            for (who, grant) in [("key", &holder), ("owner", &person)] {
                match grant.may(act, &invoice) {
                    Ok(()) => println!("{who:<6} {act:?} invoice {id}: allowed"),
                    Err(denial) => println!("{who:<6} {act:?} invoice {id}: {} {denial}", denial.status()),
                }
            }
        }
    }
    Ok(())
}
