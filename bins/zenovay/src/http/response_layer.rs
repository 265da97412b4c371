//! The outermost layer of the application. Every answer passes through it: here it gets its request id, its security
//! headers, its error body, its line in the log and its place in the metrics, and here a panic becomes one 500.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse, Url};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::uri::{PathAndQuery, Uri};
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError};
use futures_util::FutureExt;
use metrics::{Counter, Histogram};
use tracing::Instrument;
use zenovay_domain::{Clock, Timestamp};

use super::audit;
use super::commitment::{Commitment, GoingOn};
use super::connection::Link;
use super::cookies::SetCookie;
use super::cors;
use super::cors::Origins;
use super::document::ErrorForm;
use super::envelope::ApiError;
use super::key_headers::KeyUsage;
use super::key_log;
use super::oauth;
use super::request_id::{self, RequestId};
use crate::config::ResetFormat;

/// What the layer needs to know.
#[derive(Clone)]
pub struct ResponseLayer {
    /// The clock of the timestamps in error bodies.
    pub clock: Arc<dyn Clock>,
    /// The host, and the port unless it is 443, under which browsers reach the server over HTTPS: there they are told to
    /// stay on it.
    pub https_host: Option<String>,
    /// How `X-RateLimit-Reset` is written.
    pub reset_format: ResetFormat,
}

/// The route that answers, left by the router for this layer.
pub struct MatchedRoute {
    pattern: &'static str,
    origins: Origins,
    error_form: ErrorForm,
    metrics: OnceLock<RouteMetrics>,
}

/// The metrics of a route, looked up once: the hot path neither hashes nor allocates.
struct RouteMetrics {
    duration: Histogram,
    requests: [Counter; STATUS_CLASSES.len()],
}

impl RouteMetrics {
    fn begin(pattern: &'static str) -> Self {
        let counter = |status| metrics::counter!("zenovay_http_requests_total", "route" => pattern, "status" => status);
        let duration = metrics::histogram!("zenovay_http_request_duration_seconds", "route" => pattern);
        Self { duration, requests: STATUS_CLASSES.map(counter) }
    }
}

/// Where requests are counted that no route answers.
static UNMATCHED: LazyLock<MatchedRoute> = LazyLock::new(|| MatchedRoute::new("unmatched", Origins::None));

impl MatchedRoute {
    /// The route with this pattern. Its metrics begin, at zero, with the first request that it answers: there are far more routes
    /// than most servers are asked for. `origins` says which pages may read it; where any may, the proxies of other
    /// websites may pass requests on to it, under paths of their own.
    pub fn new(pattern: &'static str, origins: Origins) -> Self {
        Self { pattern, origins, error_form: ErrorForm::default(), metrics: OnceLock::new() }
    }

    /// Begins the metrics of this route, and of requests that no route answers, before anybody asks.
    pub fn begin_metrics(&self) {
        self.metrics();
        UNMATCHED.metrics();
    }

    fn metrics(&self) -> &RouteMetrics {
        self.metrics.get_or_init(|| RouteMetrics::begin(self.pattern))
    }

    /// The same, which tells its errors in this form.
    #[must_use]
    pub fn telling_errors(self, error_form: ErrorForm) -> Self {
        Self { error_form, ..self }
    }

    /// The pattern of its path.
    pub fn pattern(&self) -> &'static str {
        self.pattern
    }

    /// Counts one answer.
    fn measure(&self, status: StatusCode, elapsed: Duration) {
        let metrics = self.metrics();
        metrics.requests[status_class(status)].increment(1);
        metrics.duration.record(elapsed);
    }
}

/// Passes `req` on and completes the answer.
///
/// # Errors
/// Only after a panic; the error's response is complete.
pub async fn run<B: MessageBody + 'static>(
    layer: Arc<ResponseLayer>,
    mut req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let id = RequestId::from_headers(req.headers());
    trim_trailing_slash(&mut req);

    let method = req.method().clone();
    let link = req.conn_data::<Rc<Link>>().cloned();
    let span = tracing::info_span!("request", request_id = id.as_str());
    // Events change nothing that the audit trail tells of, and there are many.
    let may_change = !method.is_safe() && !req.path().starts_with("/e/");
    let commitment = Commitment::default();
    if may_change {
        req.extensions_mut().insert(commitment.clone());
    }
    let within = span.clone();
    let answering = async move {
        let outcome = AssertUnwindSafe(next.call(req)).catch_unwind().instrument(within.clone()).await;
        if let Ok(Ok(response)) = &outcome {
            key_log::note(response, started.elapsed());
            audit::record(response).instrument(within).await;
        }
        outcome
    };
    let outcome = if may_change { GoingOn::new(answering, commitment).await } else { answering.await };
    let _in_span = span.enter();
    let response = match outcome {
        Ok(Ok(response)) => response.map_into_boxed_body(),
        failed => {
            if let Some(link) = &link {
                link.answered();
            }
            let failure = match failed {
                Ok(Err(error)) => Failure::new(&layer, method, id, "a layer failed", &error),
                _ => {
                    log(
                        &method,
                        &MatchedRoute::new("panic", Origins::None),
                        StatusCode::INTERNAL_SERVER_ERROR,
                        started,
                    );
                    Failure::new(&layer, method, id, "a handler panicked", &"see the panic message above")
                }
            };
            return Err(failure.into());
        }
    };

    let mut response = complete(&layer, &method, response, &id);
    if let Some(link) = &link {
        // An upgrade is never taken: the answer must not say that it is.
        if link.must_close() || response.request().head().connection_type() == ConnectionType::Upgrade {
            response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        }
        response = response.map_body(|_, body| link.answer(body));
    }
    let route = response.request().app_data::<MatchedRoute>().unwrap_or(&UNMATCHED);
    log(&method, route, response.status(), started);
    Ok(response)
}

/// Renders errors, then writes the headers that every answer has.
fn complete(
    layer: &ResponseLayer,
    method: &Method,
    response: ServiceResponse<BoxBody>,
    id: &RequestId,
) -> ServiceResponse<BoxBody> {
    let mut response = if response.status().is_client_error() || response.status().is_server_error() {
        render_error(response, layer.clock.now(), id)
    } else {
        response
    };
    let usage = response.request().extensions().get::<KeyUsage>().copied();
    let cookie = response.request().extensions_mut().remove::<SetCookie>();
    let stays_on_https = stays_on_https(layer, response.request());
    let origins = response.request().app_data::<MatchedRoute>().map_or(Origins::None, |route| route.origins);
    let asking_origin = match origins {
        Origins::Asking | Origins::Clients => response.request().headers().get(header::ORIGIN).cloned(),
        Origins::None | Origins::Any => None,
    };
    let headers = response.headers_mut();
    if let Some(usage) = usage {
        usage.put(headers, layer.clock.now(), layer.reset_format);
    }
    if let Some(cookie) = cookie {
        headers.append(header::SET_COOKIE, cookie.into_value());
        // Also to other methods than `GET`: it is for one browser alone.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    put_common_headers(method, headers, id);
    match origins {
        Origins::None => {}
        Origins::Asking | Origins::Clients => {
            cors::echo_origin(asking_origin.as_ref(), headers, origins);
            // A cache that keeps an answer for one of them gives it to no other.
            if origins == Origins::Clients && (method == Method::GET || method == Method::HEAD) {
                headers.insert(header::VARY, HeaderValue::from_static("origin"));
            }
        }
        Origins::Any => cors::any_origin(headers),
    }
    if stays_on_https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}

/// Whether a browser that reads the answer to `req` may be told to use HTTPS alone from now on. That holds for the whole
/// host that the browser sees: so only when it is the server's own, and not where the proxy of another website may stand
/// in between, whose host would be meant.
fn stays_on_https(layer: &ResponseLayer, req: &actix_web::HttpRequest) -> bool {
    let Some(own) = &layer.https_host else { return false };
    let asked = req.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    let asked = asked.strip_suffix(":443").unwrap_or(asked);
    asked.eq_ignore_ascii_case(own)
        && req.app_data::<MatchedRoute>().is_some_and(|route| route.origins == Origins::None)
}

/// Replaces the answer of an [`ApiError`], and any refusal that has no body of its own, by the error body.
fn render_error(response: ServiceResponse<BoxBody>, now: Timestamp, id: &RequestId) -> ServiceResponse<BoxBody> {
    let has_own_body = response.headers().contains_key(header::CONTENT_TYPE);
    let error = match response.response().error().and_then(|error| error.as_error::<ApiError>()) {
        Some(error) => error.clone(),
        None if has_own_body && response.response().error().is_none() => return response,
        None => ApiError::of_status(response.status()),
    };
    let form = response.request().app_data::<MatchedRoute>().map_or(ErrorForm::Body, |route| route.error_form);
    let mut rendered = match form {
        ErrorForm::Body => error.render(now, id.as_str()),
        ErrorForm::OAuth => oauth::refuse_client(&error),
        ErrorForm::Page => oauth::refuse_person(&error),
    };
    let (request, previous) = response.into_parts();
    // Headers that the handler set, such as those of CORS, stay.
    for (name, value) in previous.headers() {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH && !rendered.headers().contains_key(name) {
            rendered.headers_mut().append(name.clone(), value.clone());
        }
    }
    ServiceResponse::new(request, rendered)
}

/// The answer to a client that sent no request.
pub fn refusal(layer: &ResponseLayer, error: &ApiError, id: &RequestId) -> HttpResponse {
    let mut response = error.render(layer.clock.now(), id.as_str());
    put_common_headers(&Method::GET, response.headers_mut(), id);
    response
}

fn put_common_headers(method: &Method, headers: &mut HeaderMap, id: &RequestId) {
    headers.insert(request_id::HEADER, id.header_value());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    put_default(
        headers,
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    );
    // Caches keep answers to other methods only when told to (RFC 9110 §9.3), and these are not pages with links: a hit,
    // of which there are many, is spared two headers.
    if method == Method::GET || method == Method::HEAD {
        put_default(headers, header::REFERRER_POLICY, "no-referrer");
        put_default(headers, header::CACHE_CONTROL, "no-store");
    }
}

fn put_default(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    if !headers.contains_key(&name) {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// `/usage/` is `/usage` (SPEC K21). One slash only: `/usage//` is another path, and unknown.
fn trim_trailing_slash(req: &mut ServiceRequest) {
    let path = req.uri().path();
    let Some(trimmed) = path.strip_suffix('/').filter(|trimmed| !trimmed.is_empty()) else { return };
    let target = match req.uri().query() {
        Some(query) => format!("{trimmed}?{query}"),
        None => trimmed.to_owned(),
    };
    let mut parts = req.uri().clone().into_parts();
    let Ok(target) = PathAndQuery::try_from(target) else { return };
    parts.path_and_query = Some(target);
    let Ok(uri) = Uri::from_parts(parts) else { return };
    req.match_info_mut().set(Url::new(uri.clone()));
    req.head_mut().uri = uri;
}

fn log(method: &Method, route: &MatchedRoute, status: StatusCode, started: Instant) {
    let elapsed = started.elapsed();
    route.measure(status, elapsed);
    tracing::info!(
        %method,
        route = route.pattern,
        status = status.as_u16(),
        duration_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
        "request"
    );
}

/// The values of a label with few of them.
const STATUS_CLASSES: [&str; 10] = ["2xx", "3xx", "4xx", "401", "403", "404", "413", "429", "5xx", "503"];

/// The place of a status in [`STATUS_CLASSES`].
fn status_class(status: StatusCode) -> usize {
    match status.as_u16() {
        200..=299 => 0,
        300..=399 => 1,
        401 => 3,
        403 => 4,
        404 => 5,
        413 => 6,
        429 => 7,
        400..=499 => 2,
        503 => 9,
        _ => 8,
    }
}

/// An answer that must be made without its request: the handler that held it panicked.
struct Failure {
    layer: ResponseLayer,
    method: Method,
    id: RequestId,
}

impl Failure {
    fn new(layer: &ResponseLayer, method: Method, id: RequestId, what: &'static str, cause: &dyn fmt::Display) -> Self {
        tracing::error!(%cause, "{what}");
        Self { layer: layer.clone(), method, id }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failure({})", self.id.as_str())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("internal error")
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        StatusCode::INTERNAL_SERVER_ERROR
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = ApiError::internal().render(self.layer.clock.now(), self.id.as_str());
        put_common_headers(&self.method, response.headers_mut(), &self.id);
        // What became of the request's body is not known.
        response.head_mut().set_connection_type(ConnectionType::Close);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::middleware::from_fn;
    use actix_web::{App, test, web};
    use zenovay_domain::ManualClock;

    fn layer(https: bool) -> Arc<ResponseLayer> {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_781_308_800_000)));
        let https_host = https.then(|| "stats.example.com".to_owned());
        Arc::new(ResponseLayer { clock, https_host, reset_format: ResetFormat::Iso })
    }

    macro_rules! app {
        ($https:expr) => {{
            let layer = layer($https);
            test::init_service(
                App::new()
                    .wrap(from_fn(move |req, next| run(layer.clone(), req, next)))
                    .route("/", web::get().to(HttpResponse::Ok))
                    .route("/ok", web::get().to(HttpResponse::Ok))
                    .route("/ok", web::post().to(HttpResponse::Ok))
                    .route(
                        "/query",
                        web::get().to(|req: actix_web::HttpRequest| async move { req.query_string().to_owned() }),
                    )
                    .route(
                        "/panic",
                        web::get().to(|req: actix_web::HttpRequest| async move {
                            assert_eq!(req.path(), "/elsewhere", "on purpose");
                            HttpResponse::Ok().finish()
                        }),
                    )
                    .route("/refused", web::get().to(|| async { Err::<HttpResponse, _>(ApiError::invalid("a", "b")) }))
                    .route("/bare", web::get().to(HttpResponse::ImATeapot)),
            )
            .await
        }};
    }

    #[actix_web::test]
    async fn every_answer_has_the_security_headers_and_an_id() {
        let app = app!(true);
        for path in ["/ok", "/missing", "/refused", "/bare"] {
            let response = test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
            let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"), "{path}");
            assert_eq!(header("referrer-policy").as_deref(), Some("no-referrer"), "{path}");
            assert_eq!(header("cache-control").as_deref(), Some("no-store"), "{path}");
            assert!(header("content-security-policy").unwrap().contains("default-src 'none'"), "{path}");
            assert_eq!(header("x-request-id").unwrap().len(), 36, "{path}");
        }
    }

    #[actix_web::test]
    async fn answers_that_no_cache_keeps_need_not_forbid_it() {
        let app = app!(true);
        for path in ["/ok", "/missing"] {
            let response = test::call_service(&app, test::TestRequest::post().uri(path).to_request()).await;
            let has = |name: &str| response.headers().contains_key(name);
            assert!(has("x-request-id") && has("x-content-type-options"), "{path}");
            assert!(has("content-security-policy"), "{path}");
            assert!(!has("cache-control") && !has("referrer-policy"), "{path}");
        }
    }

    /// Sabotage: tell it on every host, or on forwarded routes.
    #[actix_web::test]
    async fn browsers_are_told_to_stay_on_https_on_the_servers_own_host_alone() {
        for (https, host, path, told) in [
            (true, "stats.example.com", "/own", true),
            (true, "STATS.example.com:443", "/own", true),
            (true, "shop.example.com", "/own", false),
            (true, "stats.example.com:8443", "/own", false),
            (true, "stats.example.com", "/forwarded", false),
            (true, "stats.example.com", "/missing", false),
            (false, "stats.example.com", "/own", false),
        ] {
            let layer = layer(https);
            let resource = |path: &'static str, forwarded| {
                web::resource(path).app_data(MatchedRoute::new(path, forwarded)).to(HttpResponse::Ok)
            };
            let app = App::new()
                .wrap(from_fn(move |req, next| run(layer.clone(), req, next)))
                .service(resource("/own", Origins::None))
                .service(resource("/forwarded", Origins::Any));
            let app = test::init_service(app).await;
            let request = test::TestRequest::get().uri(path).insert_header((header::HOST, host)).to_request();
            let response = test::call_service(&app, request).await;
            assert_eq!(response.headers().contains_key("strict-transport-security"), told, "{host}{path}");
        }
    }

    #[actix_web::test]
    async fn a_panic_is_one_500_with_the_error_body() {
        let app = app!(false);
        let request = test::TestRequest::get().uri("/panic").insert_header(("x-request-id", "mine")).to_request();
        let error = test::try_call_service(&app, request).await.expect_err("the panic is an error");
        let response = error.error_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers().get("x-request-id").unwrap(), "mine");
        assert_eq!(response.headers().get("x-content-type-options").unwrap(), "nosniff");
        let Ok(body) = response.into_body().try_into_bytes() else { panic!("a body in memory") };
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error"]["code"], "INTERNAL_ERROR");
        assert_eq!(body["error"]["request_id"], "mine");
        let response = test::call_service(&app, test::TestRequest::get().uri("/ok").to_request()).await;
        assert_eq!(response.status(), StatusCode::OK);
    }

    #[actix_web::test]
    async fn refusals_without_a_body_get_one() {
        let app = app!(false);
        for (path, code) in [("/missing", "NOT_FOUND"), ("/refused", "VALIDATION_ERROR"), ("/bare", "VALIDATION_ERROR")]
        {
            let response = test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
            let body: serde_json::Value = test::read_body_json(response).await;
            assert_eq!(body["success"], false, "{path}");
            assert_eq!(body["error"]["code"], code, "{path}");
        }
    }

    #[actix_web::test]
    async fn one_trailing_slash_is_tolerated_and_the_query_kept() {
        let app = app!(false);
        for (path, status) in [("/ok/", 200), ("/ok//", 404), ("/", 200)] {
            let response = test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
            assert_eq!(response.status().as_u16(), status, "{path}");
        }
        let response = test::call_service(&app, test::TestRequest::get().uri("/query/?a=1&b=%2F").to_request()).await;
        assert_eq!(test::read_body(response).await, "a=1&b=%2F");
    }
}
