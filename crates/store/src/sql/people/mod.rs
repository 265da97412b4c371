//! People, in the same file.

mod account;
mod assistants;
mod audit;
mod event_months;
mod failures;
mod keys;
mod links;
mod passkeys;
mod second_factor;
mod sessions;
mod teams;

pub(super) use sessions::set_password;
pub(super) use teams::{check_standing, end_all_invitations, end_invitations, end_invitations_of_key, rename_inviter};
