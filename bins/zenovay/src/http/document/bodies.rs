//! The bodies that requests may have, as the API document describes them. What reads them is in `zenovay-ingest`; a test
//! compares the bounds given here with those that hold.

use std::future::{Ready, ready};
use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::{Error, FromRequest, HttpRequest, web};
use serde::Serialize;
use serde_json::json;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use zenovay_domain::{ErrorCode, Timestamp};
use zenovay_ingest::DropReason;

use super::{Header, Operation, Parameter};
use crate::http::handler::{Argument, Shape};
use crate::http::values::Instant;

/// What a body is like.
pub trait RequestBody: ToSchema + 'static {
    /// Adds to `operation`, which has the body, what else comes with it.
    fn describe(operation: &mut Operation);
}

/// The body of a request, not read yet: its handler says how much of it, and for how long.
pub struct Body<T> {
    payload: web::Payload,
    body: PhantomData<T>,
}

impl<T> Body<T> {
    /// What to read it from.
    pub fn into_payload(self) -> web::Payload {
        self.payload
    }
}

impl<T: 'static> FromRequest for Body<T> {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let payload = web::Payload::from_request(req, payload).into_inner();
        ready(payload.map(|payload| Self { payload, body: PhantomData }))
    }
}

impl<T: RequestBody> Argument for Body<T> {
    fn describe(operation: &mut Operation) {
        let schema = operation.schema::<T>();
        operation.body.insert("application/json", schema);
        let encoding = "How the body is packed: `gzip`, or not at all. In any case.";
        let schema = json!({ "type": "string", "pattern": "^(gzip|x-gzip|identity)?$" });
        operation.reads([Parameter::header("Content-Encoding", encoding, "").schema(schema).example("identity")]);
        operation.refuses([
            ErrorCode::ValidationError,
            ErrorCode::RequestTimeout,
            ErrorCode::PayloadTooLarge,
            ErrorCode::UnsupportedMediaType,
        ]);
        T::describe(operation);
    }
}

/// What hits and heartbeats have in common.
fn describe_report(operation: &mut Operation) {
    // Beacons send it so, without a preflight.
    let as_text = json!({
        "type": "string",
        "description": "The same JSON, as beacons send it.",
        "contentMediaType": "application/json",
        "examples": [r#"{"session_id":"0190a1b2c3d44e5f","url":"https://example.com/pricing"}"#],
    });
    operation.body.insert("text/plain", as_text);
    if !operation.names_a_resource() {
        let also = "The tracking code, unless the body has it as `tracking_code`.";
        let code = super::paths::tracking_code();
        operation.reads([
            Parameter::query("tracking_code", also).schema(code.clone()),
            Parameter::query("trackingCode", "Another name of `tracking_code`.").schema(code.clone()),
            Parameter::query("code", "Another name of `tracking_code`.").schema(code),
        ]);
    }
    operation.reads([
        Parameter::header("Sec-GPC", "`1`: the visitor wants no tracking; the event is kept without ids.", "1"),
        Parameter::header("DNT", "`1` drops the event where the website says so.", "1"),
    ]);
    operation.refuses([
        ErrorCode::Unauthorized,
        ErrorCode::Forbidden,
        ErrorCode::Conflict,
        ErrorCode::RateLimitExceeded,
    ]);
}

/// An event of a page or a server. Unknown members are ignored; optional ones that cannot be kept are cut or left out.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes what the scanner of `zenovay-ingest` reads")]
pub struct HitBody {
    /// An absolute `http` or `https` URL.
    #[schema(pattern = "^[Hh][Tt][Tt][Pp][Ss]?://.+", examples("https://example.com/pricing?utm_source=news"))]
    url: String,
    /// The same during a visit.
    #[schema(min_length = 8, max_length = 255, examples("0190a1b2c3d44e5f"))]
    session_id: String,
    /// The visitor's user agent.
    #[schema(min_length = 1, max_length = 2048, examples("MyServer/1.0"))]
    user_agent: String,
    /// `desktop`, `mobile` or `tablet`.
    #[schema(examples("desktop"))]
    device_type: String,
    /// The browser.
    #[schema(examples("Firefox"))]
    browser: String,
    /// The operating system.
    #[schema(examples("Linux"))]
    os: String,
    /// What happened: `pageview` when it is absent, or `custom`, `goal`, `revenue`, `identify`, `click`,
    /// `outbound_link`, `file_download`, … `custom` and `goal` need a name.
    #[schema(max_length = 100, examples("pageview"))]
    event_type: Option<String>,
    /// The name of a custom event or goal.
    #[schema(max_length = 100, examples("signup"))]
    event_name: Option<String>,
    /// Properties: strings, numbers, true or false. Of a revenue event, `value` and `currency` are the amount and
    /// `order_id` is the order.
    event_data: Option<Properties>,
    /// Recognises a visitor again; not used for cookieless websites.
    #[schema(examples("0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
    visitor_id: Option<String>,
    /// The page that linked to it.
    #[schema(examples("https://news.example/today"))]
    referrer: Option<String>,
    /// The title of the page.
    #[schema(examples("Pricing"))]
    title: Option<String>,
    /// The language of the browser.
    #[schema(examples("en-GB"))]
    language: Option<String>,
    /// The width of the screen in pixels.
    #[schema(examples(1920))]
    screen_width: Option<f64>,
    /// The campaign's source, unless it is in the URL.
    #[schema(examples("newsletter"))]
    utm_source: Option<String>,
    /// The campaign's medium.
    #[schema(examples("email"))]
    utm_medium: Option<String>,
    /// The campaign's name.
    #[schema(examples("spring"))]
    utm_campaign: Option<String>,
    /// The campaign's term.
    #[schema(examples("analytics"))]
    utm_term: Option<String>,
    /// The campaign's content.
    #[schema(examples("button"))]
    utm_content: Option<String>,
    /// When it happened: milliseconds since 1970 or RFC 3339. Believed from 72 hours back to 60 seconds ahead.
    timestamp: Option<Moment>,
    /// The same id twice from the same visitor is stored once.
    #[schema(min_length = 1, max_length = 255, examples("order-4711"))]
    event_id: Option<String>,
    /// The server recognises the visitor, and nothing is stored in the browser.
    cookieless: Option<bool>,
    /// The visitor opted out in the browser.
    opted_out: Option<bool>,
}

/// Members of any name: strings, numbers, true or false. Others are left out.
#[derive(Debug)]
pub struct Properties;

impl PartialSchema for Properties {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("Members of any name: strings, numbers, true or false. Others are left out."))
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .examples([json!({ "url": "https://example.com/", "plan": "pro" })])
            .into()
    }
}

impl ToSchema for Properties {}

/// An instant: milliseconds since 1970, or RFC 3339.
#[derive(Debug, ToSchema)]
#[schema(examples("2026-06-13T12:00:00.000Z"))]
#[serde(untagged)]
pub enum Moment {
    /// Milliseconds since 1970.
    Millis(f64),
    /// RFC 3339.
    Written(String),
}

impl RequestBody for HitBody {
    fn describe(operation: &mut Operation) {
        describe_report(operation);
    }
}

/// Activity without an event.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes what the scanner of `zenovay-ingest` reads")]
pub struct HeartbeatBody {
    /// The session that goes on.
    #[schema(min_length = 8, max_length = 255, examples("0190a1b2c3d44e5f"))]
    session_id: String,
    /// The visitor, as in the events.
    #[schema(examples("0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
    visitor_id: Option<String>,
    /// The page.
    #[schema(examples("https://example.com/pricing"))]
    url: Option<String>,
    /// As in the events.
    cookieless: Option<bool>,
    /// Visible time since the report before, in milliseconds.
    #[schema(examples(15000))]
    engagement_ms: Option<f64>,
    /// How far the page was scrolled, 0 to 100.
    #[schema(examples(40))]
    scroll_depth: Option<f64>,
}

impl RequestBody for HeartbeatBody {
    fn describe(operation: &mut Operation) {
        describe_report(operation);
    }
}

/// The report was taken: the event is durable, or it was dropped for a reason of the website's.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Receipt {
    /// Always true.
    success: bool,
    /// False when the plan includes no more events in the month, or the website does not want what was captured; absent
    /// otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples(false))]
    accepted: Option<bool>,
    /// Why, beside `accepted`: `quota_exceeded`, or of a capture why it was dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("quota_exceeded"))]
    reason: Option<&'static str>,
    timestamp: Instant,
}

impl Receipt {
    /// What is answered at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { success: true, accepted: None, reason: None, timestamp: Instant(now) }
    }

    /// The same for a capture that the website does not want, for this `reason`: the page sends no more of its kind.
    pub fn unwanted(now: Timestamp, reason: &'static str) -> Self {
        Self { accepted: Some(false), reason: Some(reason), ..Self::at(now) }
    }

    /// The same for what was not stored because the month is used up: pages see no error for it (SPEC E1).
    pub fn beyond_quota(now: Timestamp) -> Self {
        Self { accepted: Some(false), reason: Some(DropReason::QuotaExceeded.as_str()), ..Self::at(now) }
    }
}

/// What every capture of a page says, whatever was captured.
macro_rules! capture_body {
    ($(#[$doc:meta])* $name:ident { $($(#[$meta:meta])* $member:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, ToSchema)]
        #[expect(dead_code, reason = "describes what `zenovay-ingest` and `zenovay-capture` read")]
        pub struct $name {
            /// The page that it is of: an absolute `http` or `https` URL. Its path is stored.
            #[schema(pattern = "^[Hh][Tt][Tt][Pp][Ss]?://.+", examples("https://example.com/pricing"))]
            url: String,
            /// The visit, as in the events.
            #[schema(min_length = 8, max_length = 255, examples("0190a1b2c3d44e5f"))]
            session_id: String,
            /// The visitor, as in the events.
            #[schema(examples("0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
            visitor_id: Option<String>,
            /// `desktop`, `mobile` or `tablet`.
            #[schema(examples("desktop"))]
            device_type: Option<String>,
            /// The user agent, where that of the request is not the visitor's. One of more than 2,048 bytes is passed over.
            #[schema(examples("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"))]
            user_agent: Option<String>,
            /// The browser's clock when this was sent, in milliseconds since 1970: other times are compared with it.
            #[schema(examples(1781352000000_i64))]
            sent_at: Option<f64>,
            /// As in the events.
            cookieless: Option<bool>,
            /// The visitor opted out in the browser.
            opted_out: Option<bool>,
            $($(#[$meta])* $member: $kind,)*
        }

        impl RequestBody for $name {
            fn describe(operation: &mut Operation) {
                describe_report(operation);
            }
        }
    };
}

capture_body! {
    /// How fast a page was: at least one of the five values. Values that cannot be are left out.
    VitalsBody {
        /// The view of the page: what comes again of one view takes the place of what came before.
        #[schema(pattern = "^[0-9A-Za-z_-]{8,64}$", examples("7c8d9e0f1a2b"))]
        view_id: String,
        /// Largest contentful paint, in milliseconds.
        #[schema(examples(1843.2))]
        lcp: Option<f64>,
        /// Cumulative layout shift, without a unit.
        #[schema(examples(0.03))]
        cls: Option<f64>,
        /// Interaction to next paint, in milliseconds.
        #[schema(examples(96))]
        inp: Option<f64>,
        /// First contentful paint, in milliseconds.
        #[schema(examples(900))]
        fcp: Option<f64>,
        /// Time to first byte, in milliseconds.
        #[schema(examples(210))]
        ttfb: Option<f64>,
        /// The kind of connection: `slow-2g`, `2g`, `3g` or `4g`.
        #[schema(examples("4g"))]
        connection: Option<String>,
    }
}

capture_body! {
    /// Errors of a page.
    ErrorsBody {
        /// The release of the page; cut after 100 bytes.
        #[schema(examples("2.14.0"))]
        release: Option<String>,
        /// Ids of scripts by their addresses, where the bundler put them on the page; what is not a string is passed over.
        debug_ids: Option<Properties>,
        /// The errors.
        #[schema(min_items = 1, max_items = 20)]
        errors: Vec<ErrorBody>,
    }
}

capture_body! {
    /// Clicks, scrolling and moves of the pointer on a page since the body before.
    HeatmapBody {
        /// The view of the page.
        #[schema(pattern = "^[0-9A-Za-z_-]{8,64}$", examples("7c8d9e0f1a2b"))]
        view_id: String,
        /// Which body of the view it is: each is stored once.
        #[schema(maximum = 100_000, examples(0))]
        seq: u32,
        /// The width and the height of the window, in pixels.
        #[schema(min_items = 2, max_items = 2, examples(1440))]
        viewport: Vec<f64>,
        /// The width and the height of the page, in pixels.
        #[schema(min_items = 2, max_items = 2, examples(1440))]
        page: Vec<f64>,
        /// A hash of the structure of the page.
        #[schema(max_length = 32, examples("9f2c41d07ab3e580"))]
        dom: Option<String>,
        /// Clicks.
        #[schema(max_items = 500)]
        clicks: Option<Vec<ClickBody>>,
        /// Scrolling.
        scroll: Option<ScrollBody>,
        /// Places of the pointer on the page, in pixels.
        #[schema(max_items = 500, examples(640))]
        moves: Option<Vec<Vec<f64>>>,
    }
}

/// One or several clicks in a row at one place.
#[derive(Debug, ToSchema)]
#[schema(as = PageClick)]
#[expect(dead_code, reason = "describes what `zenovay-capture` reads")]
pub struct ClickBody {
    /// Where on the page, in pixels.
    #[schema(examples(640))]
    x: f64,
    /// Where on the page, in pixels.
    #[schema(examples(1210))]
    y: f64,
    /// The address of the element, by which the dashboard finds it again. What is longer is cut.
    #[schema(min_length = 1, max_length = 512, examples("#offers>li:nth-of-type(2)>button|f=1f9d0a2c"))]
    s: String,
    /// Where in the element, 0 to 1 from the left.
    #[schema(examples(0.5))]
    ox: f64,
    /// Where in the element, 0 to 1 from the top.
    #[schema(examples(0.5))]
    oy: f64,
    /// The name of a link or a button. Never what somebody typed.
    #[schema(examples("Start free"))]
    label: Option<String>,
    /// Whether they were many in a short time.
    rage: Option<bool>,
    /// Whether nothing happened after them.
    dead: Option<bool>,
    /// How many clicks in a row these were.
    #[schema(minimum = 1, examples(1))]
    n: Option<u32>,
}

/// How a page was scrolled.
#[derive(Debug, ToSchema)]
#[schema(as = PageScroll)]
#[expect(dead_code, reason = "describes what `zenovay-capture` reads")]
pub struct ScrollBody {
    /// How far down the page was seen so far in the view, in pixels.
    #[schema(examples(1800))]
    max: Option<f64>,
    /// For how many milliseconds each twentieth of the height of the page was in the window since the body before.
    #[schema(max_items = 20, examples(1500))]
    attention: Option<Vec<f64>>,
}

capture_body! {
    /// A chunk of a recording of what a page shows: events of `@rrweb/record`. What is typed into fields is masked again.
    ReplayChunkBody {
        /// Names the recording: 32 hexadecimal digits, of one visit at most.
        #[schema(pattern = "^[0-9A-Fa-f]{32}$", examples("0190a1b2c3d44e5f8a6b7c8d9e0f1a2b"))]
        replay_id: String,
        /// The number of the chunk in the recording. The same number again is stored once.
        #[schema(minimum = 0, maximum = 1000000, examples(0))]
        seq: u32,
        /// The events.
        events: Vec<RecordedEvent>,
        /// Whether the page was left.
        r#final: Option<bool>,
        /// `granted` when the visitor agreed to be recorded.
        #[schema(examples("granted"))]
        consent: Option<String>,
    }
}

/// An event of `@rrweb/record`.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes what the recorder makes")]
pub struct RecordedEvent {
    /// Its kind.
    #[schema(examples(3))]
    r#type: u8,
    /// What there is to it.
    #[schema(value_type = Object)]
    data: (),
    /// When, in milliseconds since 1970 by the browser's clock.
    #[schema(examples(1781352000000_i64))]
    timestamp: i64,
}

/// An error of a page. Strings that are too long are cut; e-mail addresses, tokens and card numbers are taken out.
#[derive(Debug, ToSchema)]
#[schema(as = PageError)]
#[expect(dead_code, reason = "describes what `zenovay-capture` reads")]
pub struct ErrorBody {
    /// The same id twice from the same visitor is stored once.
    #[schema(pattern = "^[0-9A-Za-z_-]{8,64}$", examples("1a2b3c4d5e6f"))]
    id: String,
    /// When it happened by the browser's clock, in milliseconds since 1970.
    #[schema(examples(1781352000000_i64))]
    at: Option<f64>,
    /// Its type: `error.name`.
    #[schema(examples("TypeError"))]
    r#type: Option<String>,
    /// Its message.
    #[schema(examples("cart.plan is undefined"))]
    message: Option<String>,
    /// Its stack, as the browser tells it.
    #[schema(examples("at total (https://example.com/app.js:1:2345)"))]
    stack: Option<String>,
    /// Where it happened, when there is no stack.
    #[schema(examples("https://example.com/app.js"))]
    file: Option<String>,
    /// The line there, from 1; others are taken as not known.
    #[schema(examples(1))]
    line: Option<i64>,
    /// The column there, from 1; others are taken as not known.
    #[schema(examples(2345))]
    column: Option<i64>,
    /// `uncaught`, `rejection`, or `manual` when the page reports it itself; others are taken as `uncaught`.
    #[schema(examples("uncaught"))]
    kind: Option<String>,
    /// How often it happened: from 1 to 1,000; the nearest of these is taken for others.
    #[schema(examples(1))]
    count: Option<i64>,
    /// What the page tells beside it; the first 20 are kept.
    properties: Option<Properties>,
    /// What happened before, the oldest first; the last 20 are kept.
    breadcrumbs: Option<Vec<BreadcrumbBody>>,
}

/// Something that happened before an error.
#[derive(Debug, ToSchema)]
#[schema(as = PageBreadcrumb)]
#[expect(dead_code, reason = "describes what `zenovay-capture` reads")]
pub struct BreadcrumbBody {
    /// When, by the browser's clock, in milliseconds since 1970.
    #[schema(examples(1781351990000_i64))]
    at: Option<f64>,
    /// `view`, `click`, `rage`, `error` or `event`; what is of another kind is passed over.
    #[schema(min_length = 1, examples("click"))]
    kind: String,
    /// A path, a selector, a label or a name. Never what somebody typed.
    #[schema(examples("Start free"))]
    text: Option<String>,
}

impl Shape for Receipt {
    fn describe(operation: &mut Operation) {
        operation.answers_json::<Self>(200, false);
        if let Some(answer) = operation.answers.get_mut(&200) {
            answer.headers.push(Header {
                name: "X-Zenovay-Outcome",
                description: "What became of the report: `stored`, or why it was dropped.",
                example: "stored",
            });
        }
    }
}

/// Events of one website with their own timestamps.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes what the scanner of `zenovay-ingest` reads")]
pub struct BatchBody {
    /// The website's tracking code.
    #[serde(rename = "trackingCode")]
    #[schema(pattern = "^ZV_[0-9A-Za-z]{1,61}$", examples("ZV_abc123XYZ09"))]
    tracking_code: String,
    /// Each is judged by itself: one that breaks a rule is in `errors` of the answer.
    #[schema(min_items = 1, max_items = 1000)]
    events: Vec<BatchEvent>,
}

/// An event of a batch.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the scanner of `zenovay-ingest` reads")]
pub struct BatchEvent {
    /// What happened, as `event_type` of a hit.
    #[schema(min_length = 1, max_length = 100, examples("pageview"))]
    r#type: String,
    /// When it happened.
    ts: Moment,
    /// The visitor.
    #[schema(min_length = 1, max_length = 255, examples("0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"))]
    visitor_id: String,
    /// The visit.
    #[schema(min_length = 1, max_length = 255, examples("0190a1b2c3d44e5f"))]
    session_id: String,
    /// `url`, which a pageview needs, `referrer`, `title`, `name`, and properties.
    props: Option<Properties>,
    /// The same key twice is stored once.
    #[schema(min_length = 1, max_length = 255, examples("import-1"))]
    idempotency_key: Option<String>,
    /// What the server knows of the visitor.
    server_context: Option<ServerContext>,
}

/// What a server knows of a visitor.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the scanner of `zenovay-ingest` reads")]
pub struct ServerContext {
    /// The visitor's address, for the country; it is not stored.
    #[schema(max_length = 45, examples("192.0.2.7"))]
    client_ip: Option<String>,
    /// The visitor's user agent.
    #[schema(max_length = 2048, examples("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"))]
    user_agent: Option<String>,
    /// The visitor's languages.
    #[schema(examples("de-CH,de;q=0.9"))]
    accept_language: Option<String>,
}

impl RequestBody for BatchBody {
    fn describe(operation: &mut Operation) {
        operation.reads([Parameter::header("Sec-GPC", "`1`: the whole batch is refused.", "0")]);
        operation.refuses([ErrorCode::NotFound]);
    }
}
