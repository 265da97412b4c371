//! Everything that speaks HTTP: one application, built here for `main` and for the tests.

#![expect(clippy::missing_errors_doc, reason = "what a route refuses is in the description of the API")]

pub mod address_limit;
pub mod application;
pub mod assets;
pub mod audit;
pub mod batch;
pub mod body;
pub mod capture;
pub mod capture_replay;
pub mod client_ip;
mod commitment;
pub mod connection;
pub mod console;
pub mod cookies;
pub mod cors;
pub mod document;
pub mod envelope;
pub mod errors;
pub mod event_quota;
pub mod export;
pub mod external;
pub mod giving_way;
pub mod guard;
pub mod handler;
pub mod hashing;
mod html;
pub mod invitation_mails;
pub mod json_value;
pub mod key_headers;
pub mod key_log;
pub mod latest_hits;
pub mod local;
pub mod long_questions;
pub mod lookups;
pub mod mcp;
mod media_type;
pub mod oauth;
pub mod operations;
pub mod outcomes;
pub mod packed;
pub mod params;
pub mod plausible;
pub mod public;
pub mod queries;
pub mod request_id;
pub mod response_layer;
pub mod routes;
pub mod same_origin;
pub mod state;
pub mod stats;
pub mod tracking;
pub mod turns;
pub mod values;
pub mod website_settings;

use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::{App, Error, web};
use zenovay_ingest::{Mend, Outcome};
use zenovay_store::ExchangeRefusal;

use self::guard::AccessRefusal;
use self::response_layer::MatchedRoute;
use self::state::AppState;

/// The application. Bodies reach the handlers as they came: nothing is decompressed on the way, so that the handlers'
/// limits hold (SECURITY §0-8).
pub fn app(
    state: Arc<AppState>,
) -> App<
    impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse<BoxBody>, Error = Error, InitError = ()>,
> {
    begin_metrics();
    let layer = Arc::new(state.response_layer());
    App::new()
        .app_data(web::Data::from(state))
        .configure(|config| {
            for resource in routes::resources() {
                config.service(resource);
            }
        })
        .default_service(web::to(application::fallback))
        .wrap(from_fn(move |req, next| response_layer::run(Arc::clone(&layer), req, next)))
}

/// Where events come in: the requests whose first failure must be seen as a rise.
pub(crate) const EVENT_ROUTES: [&str; 2] = ["/e/{code}", "/api/v1/events"];

/// Puts the counts of requests on the page of metrics at zero, so that the first of each can be seen as a rise. Counts that
/// have begun stay. Those of other routes begin with the first request: a page of all of them has thousands of lines.
fn begin_metrics() {
    for outcome in Outcome::all() {
        outcomes::counter(outcome).absolute(0);
    }
    for &mend in Mend::ALL {
        outcomes::mends(mend).absolute(0);
    }
    for kind in export::audit::KINDS {
        metrics::counter!("zenovay_exports_total", "kind" => kind).absolute(0);
    }
    for outcome in console::session::OUTCOMES {
        metrics::counter!("zenovay_sign_ins_total", "outcome" => outcome).absolute(0);
    }
    for outcome in oauth::token::OUTCOMES.into_iter().chain(ExchangeRefusal::ALL.map(ExchangeRefusal::as_str)) {
        oauth::token::counter(outcome).absolute(0);
    }
    for outcome in oauth::clients::DOCUMENT_OUTCOMES {
        oauth::clients::document_counter(outcome).absolute(0);
    }
    for reason in AccessRefusal::REASONS {
        AccessRefusal::counter(reason).absolute(0);
    }
    for endpoint in routes::all().filter(|endpoint| EVENT_ROUTES.contains(&endpoint.path)) {
        MatchedRoute::new(endpoint.path, endpoint.origins).begin_metrics();
    }
}
