//! What clients of OAuth 2.1 send that is decided about without any look-up: where people may be sent back to, and what a
//! client says of itself.

mod address;
mod document;
mod redirect;

pub use address::is_public_address;
pub use document::{
    CLIENT_DOCUMENT_MAX_BYTES, ClientDocument, ClientUrl, InvalidClientDocument, InvalidClientUrl, shown_name,
};
pub use redirect::{
    InvalidRedirect, PRIVATE_SCHEMES, RedirectTarget, check_redirect, redirect_matches, redirect_target,
};
