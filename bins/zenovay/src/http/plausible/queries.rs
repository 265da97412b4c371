//! The queries of version 1, as strings, and what the API document says of them. They are read by hand, because what is
//! wrong with them is told in other words than elsewhere.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use crate::http::document::{Operation, Parameter};
use crate::http::envelope::ApiError;
use crate::http::handler::Argument;

/// Name, description and example of each parameter.
const PARAMETERS: [(&str, &str, &str); 12] = [
    ("site_id", "The domain of the website, or its id.", "example.com"),
    (
        "period",
        "`day`, `7d`, `30d`, `month`, `6mo`, `12mo` or `custom`, in the zone of the website; `30d` when absent.",
        "7d",
    ),
    ("date", "The day that the period ends with or has; of `custom` two with a comma.", "2026-06-13"),
    ("metrics", "With commas; `visitors` when absent.", "visitors,pageviews,bounce_rate"),
    ("filters", "Conditions with `;` between them.", "event:page==/blog/**;visit:source==Google|Bing"),
    ("compare", "`previous_period`: each value also has its change.", "previous_period"),
    ("interval", "`day` or `month`.", "day"),
    ("property", "What the rows are of.", "visit:source"),
    ("limit", "How many rows at most: 1 to 1,000; 100 when absent.", "100"),
    ("page", "The page, from 1.", "1"),
    ("after", "The place after the last website of the page before.", "0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"),
    ("before", "The place before the first website of the page after.", "0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"),
];

macro_rules! queries {
    ($($(#[$doc:meta])* $name:ident: $($parameter:literal)*;)*) => { $(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(pub String);

        impl FromRequest for $name {
            type Error = ApiError;
            type Future = Ready<Result<Self, ApiError>>;

            fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
                ready(Ok(Self(req.query_string().to_owned())))
            }
        }

        impl Argument for $name {
            fn describe(operation: &mut Operation) {
                const NAMES: &[&str] = &[$($parameter),*];
                let known = PARAMETERS.iter().filter(|(name, ..)| NAMES.contains(name));
                operation.reads(known.map(|&(name, words, example)| {
                    let parameter = Parameter::query(name, words).example(example);
                    if matches!(name, "site_id" | "property") { parameter.required() } else { parameter }
                }));
            }
        }
    )* };
}

queries! {
    /// The query of totals.
    AggregateQuery: "site_id" "period" "date" "metrics" "filters" "compare";
    /// The query of a series.
    TimeseriesQuery: "site_id" "period" "date" "metrics" "filters" "interval";
    /// The query of rows.
    BreakdownQuery: "site_id" "period" "date" "metrics" "filters" "property" "limit" "page";
    /// A query that names a website.
    SiteQuery: "site_id";
    /// The query of a list of websites.
    SitesQuery: "limit" "after" "before";
}
