//! `zenovay user`.

use std::fmt::Display;

use clap::Subcommand;
use serde_json::{Value, json};
use zenovay_auth::{Secret, Target};
use zenovay_domain::UserId;
use zenovay_store::{Metadata, User};

use super::context;
use super::output::{Failure, Output, lines, table};
use super::password;
use crate::config::Config;
use crate::http::console::resets;
use crate::{bootstrap, data_dir};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a user account. Asks for the password when stdin is a terminal.
    Create {
        /// The email address to sign in with.
        #[arg(long)]
        email: String,
        /// The name people see, 1 to 100 characters.
        #[arg(long)]
        name: String,
        /// Read the password, 12 characters or more, from stdin; one line end is cut off.
        #[arg(long)]
        password_stdin: bool,
    },
    /// List all user accounts.
    List,
    /// Give a user a new password. Asks for it when stdin is a terminal.
    SetPassword {
        /// The email address of the user.
        #[arg(long)]
        email: String,
        /// Read the password, 12 characters or more, from stdin; one line end is cut off.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Print a link by which a user sets a new password. It works once, for an hour.
    ResetLink {
        /// The email address of the user.
        #[arg(long)]
        email: String,
    },
    /// Ask a user for no codes of an app any more, as when the phone is lost. The password is asked for still.
    RemoveCodes {
        /// The email address of the user.
        #[arg(long)]
        email: String,
    },
    /// Remove all passkeys of a user, as when the devices are lost. The password is asked for still.
    RemovePasskeys {
        /// The email address of the user.
        #[arg(long)]
        email: String,
    },
    /// Delete a user account with its memberships and personal API keys.
    Delete {
        /// The email address of the user.
        #[arg(long)]
        email: String,
        /// Confirm; this cannot be undone.
        #[arg(long, required = true)]
        yes: bool,
    },
}

pub(super) fn run(command: Command, config: &Config, output: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Create { email, name, password_stdin } => {
            let (id, hash) = (UserId::from_random_bytes(rand::random()), password::read_new(password_stdin)?);
            let user = User::new(id, email, name, hash, context::now());
            let store = context::open_or_create(config)?;
            store.create_user(&user)?;
            account_changed(&*store, "users.sign_up", user.id, &[("email", &user.email)])?;
            done("user created", &json!({ "id": user.id, "email": user.email }), output);
        }
        Command::List => list(config, output)?,
        Command::SetPassword { email, password_stdin } => {
            let store = context::open(config)?;
            let id = context::user_id(&*store, &email)?;
            store.set_password(id, &password::read_new(password_stdin)?)?;
            account_changed(&*store, "account.change_password", id, &[])?;
            done("password changed", &json!({ "id": id, "email": email }), output);
        }
        Command::ResetLink { email } => {
            let store = context::open(config)?;
            let id = context::user_id(&*store, &email)?;
            let path = resets::make_link(&*store, id, &Secret::generate(&mut rand::rng()), context::now())?;
            account_changed(&*store, "resets.ask", id, &[])?;
            let url = format!("{}{path}", bootstrap::for_people(&data_dir::server_url(config)));
            let result = json!({ "email": email, "url": url });
            output.result(&result, || format!("a link that works once, for an hour\n{}", lines(&result)));
        }
        Command::RemoveCodes { email } => {
            let store = context::open(config)?;
            let id = context::user_id(&*store, &email)?;
            let removed = store.remove_codes(id)?;
            if removed {
                account_changed(&*store, "second_factor.disable", id, &[])?;
            }
            let what = if removed { "codes removed" } else { "there were no codes" };
            done(what, &json!({ "id": id, "email": email, "removed": removed }), output);
        }
        Command::RemovePasskeys { email } => {
            let store = context::open(config)?;
            let id = context::user_id(&*store, &email)?;
            let removed = store.remove_passkeys(id)?;
            if removed > 0 {
                account_changed(&*store, "passkeys.remove", id, &[("passkeys", &removed)])?;
            }
            let what = if removed > 0 { "passkeys removed" } else { "there were no passkeys" };
            done(what, &json!({ "id": id, "email": email, "removed": removed }), output);
        }
        Command::Delete { email, yes: _ } => {
            let store = context::open(config)?;
            let id = context::user_id(&*store, &email)?;
            let teams = context::teams_of(&*store, id)?;
            store.delete_account(id)?;
            // Of whom is not noted: nothing is left of them.
            context::record(&*store, "account.delete", Target::Account, None, teams, &[])?;
            done("user deleted", &json!({ "id": id, "email": email }), output);
        }
    }
    Ok(())
}

/// Notes a change of somebody's account, which they find in their own data.
fn account_changed(
    store: &dyn Metadata,
    action: &str,
    user: UserId,
    details: &[(&'static str, &dyn Display)],
) -> Result<(), Failure> {
    context::record(store, action, Target::Account, Some(user), Vec::new(), details)
}

fn done(what: &str, result: &Value, output: &mut Output) {
    output.result(result, || format!("{what}\n{}", lines(result)));
}

fn list(config: &Config, output: &mut Output) -> Result<(), Failure> {
    let users = context::open(config)?.users()?;
    let users: Vec<Value> = users
        .iter()
        .map(|user| {
            json!({
                "id": user.id,
                "email": user.email,
                "name": user.name,
                "created_at": user.created_at.to_string(),
            })
        })
        .collect();
    output.result(&json!({ "users": users }), || table("no users", &["id", "email", "name", "created_at"], &users));
    Ok(())
}
