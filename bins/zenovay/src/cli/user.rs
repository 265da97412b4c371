//! `zenovay user`.

use std::io::Read;

use clap::Subcommand;
use serde_json::json;
use zenovay_auth::{PASSWORD_MAX_BYTES, hash_password};
use zenovay_domain::UserId;
use zenovay_store::{User, UserStore};

use super::context;
use super::output::{Failure, Output, lines};
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a user account.
    Create {
        /// The address to log in with.
        #[arg(long)]
        email: String,
        /// The name people see, 1 to 100 characters.
        #[arg(long)]
        name: String,
        /// Read the password from stdin: 12 characters or more. The line end is not part of it.
        #[arg(long, required = true)]
        password_stdin: bool,
    },
}

pub(super) fn run(command: Command, config: &Config, output: &mut Output) -> Result<(), Failure> {
    let Command::Create { email, name, password_stdin: _ } = command;
    let password = read_password(std::io::stdin().lock())?;
    let mut rng = rand::rng();
    let user = User {
        id: UserId::from_random_bytes(rand::random()),
        email,
        name,
        password_hash: hash_password(&password, &mut rng).map_err(Failure::new)?,
        created_at: context::now(),
    };
    context::open_or_create(config)?.create_user(&user)?;
    let result = json!({ "id": user.id, "email": user.email });
    output.result(&result, || format!("user created\n{}", lines(&result)));
    Ok(())
}

/// Everything up to the end of the input, without one line end.
fn read_password(input: impl Read) -> Result<String, Failure> {
    let mut password = String::new();
    let limit = PASSWORD_MAX_BYTES as u64 + 3;
    input.take(limit).read_to_string(&mut password).map_err(|_| Failure::new("the password on stdin is not UTF-8"))?;
    let line_end = if password.ends_with("\r\n") { 2 } else { usize::from(password.ends_with('\n')) };
    password.truncate(password.len() - line_end);
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_cut_off() {
        for (input, password) in
            [("secret", "secret"), ("secret\n", "secret"), ("secret\r\n", "secret"), ("a \n\n", "a \n")]
        {
            assert_eq!(read_password(input.as_bytes()).unwrap(), password);
        }
        assert!(read_password(&b"\xff\xfe"[..]).is_err());
    }
}
