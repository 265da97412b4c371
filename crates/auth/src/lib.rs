#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::cast_possible_truncation, reason = "the numbers of tests are small"))]

mod action;
mod decision;
mod governance;
mod password;
mod principal;
mod token;

pub use action::{Action, TargetKind};
pub use decision::{Denial, Target, decide};
pub use governance::{
    InvalidKeyName, KEY_NAME_MAX_CHARS, KeyDraft, KeyRefusal, Membership, admits_keys_since, check_key_name,
    may_create_key, may_edit_key,
};
pub use password::{
    PASSWORD_MAX_BYTES, PASSWORD_MIN_CHARS, PasswordHash, WeakPassword, check_password, generate_password,
    hash_password, needs_rehash, verify_password,
};
pub use principal::{Credential, KeyKind, Principal, SignedIn, TeamAccess};
pub use token::{ApiKeyToken, KeyDigest, MalformedKey};
