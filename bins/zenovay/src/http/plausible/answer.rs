//! Answers and errors as Plausible writes them.

use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError, web};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use utoipa::ToSchema;
use zenovay_domain::{ErrorCode, Timestamp, Website, Zone};
use zenovay_query::QueryError;
use zenovay_stats::{Metric, Number, Property, Totals, country_name};

use crate::http::document::{Answer, Operation};
use crate::http::envelope::ApiError;
use crate::http::guard::{Authorized, ReadStats};
use crate::http::handler::Reply;
use crate::http::queries::QuerySession;
use crate::http::state::AppState;
use crate::http::turns::Asking;

/// An error: a status and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    status: StatusCode,
    error: String,
    retry_after_s: Option<u64>,
}

/// The body of an error.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlausibleError {
    /// What is wrong, for people.
    #[schema(examples("Missing site ID. Please provide the required site_id parameter with your request."))]
    error: String,
}

const NO_KEY: &str = "Missing API key. Please use a valid Plausible API key as a Bearer Token.";
const NO_ACCESS: &str = "Invalid API key or site ID. Please make sure you're using a valid API key with access to the site \
                         you've requested.";
const NO_SITE: &str = "Missing site ID. Please provide the required site_id parameter with your request.";

impl Refused {
    /// A 400.
    pub fn invalid(error: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error: error.into(), retry_after_s: None }
    }
}

/// Whatever is refused elsewhere, in the words of this API. A website that is not there and one that the key does not reach
/// are the same.
impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        let (status, text) = match error.code() {
            ErrorCode::Unauthorized if error.is_without_key() => (StatusCode::UNAUTHORIZED, NO_KEY.to_owned()),
            ErrorCode::Unauthorized | ErrorCode::Forbidden | ErrorCode::NotFound => {
                (StatusCode::UNAUTHORIZED, NO_ACCESS.to_owned())
            }
            ErrorCode::ApiPaidPlanRequired => (StatusCode::PAYMENT_REQUIRED, error.message().to_owned()),
            ErrorCode::RateLimitExceeded | ErrorCode::MonthlyLimitExceeded => {
                (StatusCode::TOO_MANY_REQUESTS, format!("Too many API requests. {}", error.message()))
            }
            _ => (error.status_code(), error.message().to_owned()),
        };
        Self { status, error: text, retry_after_s: error.retry_after_s() }
    }
}

/// What is answered, or why not.
#[derive(Debug)]
pub struct Answered<T>(Result<T, Refused>);

impl<T> From<Result<T, Refused>> for Answered<T> {
    fn from(result: Result<T, Refused>) -> Self {
        Self(result)
    }
}

impl<T: Serialize> Responder for Answered<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        match self.0 {
            Ok(answer) => HttpResponse::Ok().json(answer),
            Err(Refused { status, error, retry_after_s }) => {
                let mut response = HttpResponse::build(status);
                if let Some(seconds) = retry_after_s {
                    response.insert_header((RETRY_AFTER, seconds));
                }
                if status == StatusCode::UNAUTHORIZED {
                    response.insert_header(("WWW-Authenticate", "Bearer"));
                }
                response.json(PlausibleError { error })
            }
        }
    }
}

impl<T: Serialize + ToSchema + 'static> Reply for Answered<T> {
    fn describe(operation: &mut Operation) {
        // All others are refused in the words of this API.
        let elsewhere = [ErrorCode::HeadersTooLarge, ErrorCode::InternalError];
        operation.refusals.retain(|code| elsewhere.contains(code));
        operation.answers_json::<T>(200, false);
        let schema = operation.schema::<PlausibleError>();
        for (status, words) in [
            (400, "A parameter is wrong."),
            (401, "No key, or one that is not valid, or a website that it does not reach."),
            (402, "The team of the website has no API."),
            (408, "The body took too long to arrive."),
            (413, "The body is too large."),
            (429, "Too many requests."),
            (503, "Not now."),
        ] {
            operation.answer(status, Answer::new(words).content("application/json", schema.clone()));
        }
    }
}

/// A question about a website.
pub struct Question {
    /// The state of the server.
    pub state: web::Data<AppState>,
    /// The website.
    pub website: Arc<Website>,
    /// Its zone, in which days are cut.
    pub zone: Zone,
    /// When it was asked.
    pub now: Timestamp,
    asking: Asking,
}

impl Question {
    /// Finds the website that is asked about, if the key reaches it.
    ///
    /// # Errors
    /// A 400 without a website, a 401 for one that the key does not reach.
    pub async fn about(
        key: Authorized<ReadStats>,
        state: web::Data<AppState>,
        site: Option<&str>,
    ) -> Result<Self, Refused> {
        let site = site.map(str::trim).filter(|site| !site.is_empty()).ok_or_else(|| Refused::invalid(NO_SITE))?;
        let now = state.clock.now();
        let (website, asking) = key.website(&state, site.to_owned()).await.map_err(ApiError::from)?;
        // Settings are checked when they are stored.
        let zone = website.settings.time_zone.parse().unwrap_or_else(|_unknown| Zone::utc());
        Ok(Self { state, website, zone, now, asking })
    }

    /// Asks.
    ///
    /// # Errors
    /// Those of queries.
    pub async fn run<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&QuerySession<'_>) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, Refused> {
        Ok(self.state.queries.run(self.asking, ask).await?)
    }
}

/// A number in the units of this API: rates in percent, times in seconds, as whole as they are there.
pub fn value(totals: &Totals, metric: Metric) -> Value {
    let rounded = |value: f64, digits: i32| {
        let scale = 10_f64.powi(digits);
        (value * scale).round() / scale
    };
    match (metric, totals.number(metric)) {
        (_, Number::Count(count)) => json!(count),
        (_, Number::Rate(None) | Number::Mean(None)) => Value::Null,
        (Metric::BounceRate, Number::Rate(Some(rate))) => whole(rate * 100.0),
        (_, Number::Rate(Some(rate))) => json!(rounded(rate * 100.0, 2)),
        (Metric::VisitDuration | Metric::TimeOnPage, Number::Mean(Some(millis))) => whole(millis / 1_000.0),
        (_, Number::Mean(Some(mean))) => json!(rounded(mean, 2)),
        _ => Value::Null,
    }
}

/// A number without decimal places.
fn whole(value: f64) -> Value {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a rounded number of seconds or percent; `as` keeps it at the ends"
    )]
    let rounded = value.round() as i64;
    json!(rounded)
}

/// How much a number changed, in whole percent; of rates in percentage points. Something after nothing is 100.
pub fn change(current: &Value, earlier: &Value, metric: Metric) -> Value {
    let (Some(current), Some(earlier)) = (current.as_f64(), earlier.as_f64()) else { return Value::Null };
    if matches!(metric, Metric::BounceRate | Metric::ConversionRate | Metric::Percentage) {
        return whole(current - earlier);
    }
    if earlier == 0.0 {
        return json!(if current == 0.0 { 0 } else { 100 });
    }
    whole((current - earlier) / earlier * 100.0)
}

/// A value of a property as Plausible shows it.
pub fn shown(property: &Property, stored: &str) -> String {
    use zenovay_domain::Dimension::{Device, Referrer, Source};
    use zenovay_query::Field;
    match (property, stored) {
        (Property::Field(Field::Dimension(Source | Referrer)), "") => "(Direct / None)".to_owned(),
        (Property::Field(Field::Property(_)), "") => "(none)".to_owned(),
        (_, "") => "(not set)".to_owned(),
        (Property::CountryName, code) => country_name(code).to_owned(),
        (Property::Field(Field::Dimension(Device)), device) => {
            let mut letters = device.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        }
        (_, value) => value.to_owned(),
    }
}

/// An object whose members stand in this order: tools take the first one for the property.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Members(pub Vec<(String, Value)>);

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenovay_query::MetricValues;

    #[test]
    fn rates_are_percent_and_times_seconds() {
        let mut metrics = MetricValues::default();
        (metrics.sessions, metrics.bounces, metrics.duration_ms, metrics.pageviews) = (3, 1, 4_600, 4);
        let mut totals = Totals::default();
        (totals.metrics, totals.visits) = (metrics, 9);
        let values = [Metric::BounceRate, Metric::VisitDuration, Metric::ViewsPerVisit, Metric::ConversionRate];
        let values = values.map(|metric| value(&totals, metric));
        assert_eq!(values, [json!(33), json!(2), json!(1.33), json!(33.33)]);
        assert_eq!(value(&Totals::default(), Metric::BounceRate), Value::Null);
    }

    #[test]
    fn changes_are_percent_and_of_rates_points() {
        for (current, earlier, metric, expected) in [
            (json!(3), json!(2), Metric::Visitors, json!(50)),
            (json!(3), json!(0), Metric::Visitors, json!(100)),
            (json!(0), json!(0), Metric::Visitors, json!(0)),
            (json!(0), json!(4), Metric::Visitors, json!(-100)),
            (json!(40), json!(50), Metric::BounceRate, json!(-10)),
            (Value::Null, json!(50), Metric::BounceRate, Value::Null),
        ] {
            assert_eq!(change(&current, &earlier, metric), expected, "{current} {earlier}");
        }
    }

    #[test]
    fn values_are_shown_as_tools_expect_them() {
        let property = |name| Property::parse(name, false).unwrap();
        for (name, stored, expected) in [
            ("visit:source", "", "(Direct / None)"),
            ("visit:source", "Google", "Google"),
            ("visit:device", "desktop", "Desktop"),
            ("visit:country_name", "DE", "Germany"),
            ("visit:browser", "", "(not set)"),
            ("event:props:plan", "", "(none)"),
        ] {
            assert_eq!(shown(&property(name), stored), expected, "{name} {stored}");
        }
    }
}
