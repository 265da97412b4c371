#![doc = include_str!("../README.md")]
// What may grow can grow without breaking who uses it; what cannot says why.
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]
#![cfg_attr(test, allow(clippy::cast_possible_truncation, reason = "the numbers of tests are small"))]

mod action;
mod decision;
mod governance;
mod grant;
#[cfg(feature = "oauth")]
pub mod oauth;
#[cfg(feature = "password")]
mod password;
mod password_hash;
mod principal;
mod random;
mod secret;
mod session;
mod target_kind;
mod token;
mod tool_scopes;

pub use rand_core;
pub use zenovay_domain as domain;
pub use zenovay_domain::{
    KeyId, KeyPolicy, Plan, PlanTable, Role, Scope, Scopes, TeamId, Timestamp, UnknownName, UserId, WebsiteId,
};

pub use action::Action;
pub use decision::{Target, decide, decide_plan};
pub use governance::{
    InvalidKeyName, KEY_NAME_MAX_CHARS, KeyDraft, KeyRefusal, Membership, admits_keys_since, check_key_name,
    may_create_key, may_edit_key,
};
pub use grant::{Denial, Grant, Policy, Thing};
#[cfg(feature = "password")]
pub use password::{
    GeneratedPassword, HashError, PASSWORD_MAX_BYTES, PASSWORD_MIN_CHARS, WeakPassword, check_password,
    generate_password, generate_password_with, hash_password, hash_password_with, needs_rehash, verify_password,
};
pub use password_hash::PasswordHash;
pub use principal::{Credential, KeyKind, Principal, SignedIn, TeamAccess};
pub use random::NoRandomness;
pub use secret::{MalformedSecret, Secret, SecretDigest};
pub use session::{
    FAILURES_KEPT_MS, FREE_FAILURES, SECOND_FACTOR_MS, SESSION_IDLE_MS, SESSION_MAX_MS, SESSION_OVERLAP_MS,
    SESSION_ROTATION_MS, SessionTimes, SignInStage, paused_until,
};
pub use target_kind::TargetKind;
pub use token::{ApiKeyToken, InvalidPrefix, KEY_PREFIX_MAX_CHARS, KeyDigest, KeyFormat, MalformedKey};
pub use tool_scopes::{AccessLevel, ToolCategory, ToolScopes};
