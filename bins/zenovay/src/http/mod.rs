//! Everything that speaks HTTP.

pub mod client_ip;
pub mod cors;
pub mod countries;
pub mod envelope;
pub mod key_headers;
pub mod params;
pub mod request_id;
pub mod shell;
