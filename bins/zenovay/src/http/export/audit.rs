//! Who took data out of the server: one line in the log for each export, and a metric.

use actix_web::HttpRequest;
use zenovay_auth::Credential;
use zenovay_domain::WebsiteId;

/// The kinds of exports, for the metric.
pub const KINDS: [&str; 2] = ["events", "traits"];

/// Notes that `key` took `what` of `website`.
pub fn note(key: &Credential, website: WebsiteId, kind: &'static str, what: &str, req: &HttpRequest) {
    metrics::counter!("zenovay_exports_total", "kind" => kind).increment(1);
    tracing::info!(
        target: "audit",
        action = "export",
        kind,
        key = %key.key_id,
        website = %website,
        what,
        method = %req.method(),
        "audit: data was exported"
    );
}
