//! A password is hashed, stored and checked.
#![allow(clippy::print_stdout)]

use zenovay_auth::{PasswordHash, check_password, hash_password, verify_password};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let password = "a sunny tuesday in may";
    check_password(password)?; // what people type when they choose one
    let stored = hash_password(password)?.as_str().to_owned();
    let hash = PasswordHash::from_stored(stored);
    println!("right: {}", verify_password(password, Some(&hash)));
    // Who has no account waits as long as who has one.
    println!("nobody's: {}", verify_password(password, None));
    Ok(())
}
