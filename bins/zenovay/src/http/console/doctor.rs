//! `GET /api/doctor`: what `zenovay doctor` says of the server, for whoever runs it.

use actix_web::web;
use zenovay_domain::Timestamp;

use super::Console;
use crate::doctor::{self, Patient, Report};
use crate::http::document::Parameter;
use crate::http::envelope::{ApiError, Success};
use crate::http::guard::ReadDoctor;
use crate::http::lookups::blocking;
use crate::http::params::{Params, Query, QueryParams};
use crate::http::state::AppState;

/// What is to be looked at beside the server.
#[derive(Debug, Clone)]
pub struct DoctorParams {
    page: Option<String>,
}

impl QueryParams for DoctorParams {
    fn read(params: &mut Params, _: Timestamp) -> Self {
        params.declare(|| {
            let words = "A page to check the tag on. It is fetched, when it is on the public internet.";
            Parameter::query("page", words).example("https://example.com/")
        });
        Self { page: params.get("page").map(str::to_owned) }
    }
}

/// Looks at everything, one at a time.
pub async fn show(
    _: Console<ReadDoctor>,
    state: web::Data<AppState>,
    query: Query<DoctorParams>,
) -> Result<Success<Report>, ApiError> {
    let DoctorParams { page } = query.read(state.clock.now())?;
    let _turn = state.doctor_turn.lock().await;
    let report = blocking(&state, move |state| Ok(doctor::examine(&Patient::of(state, page.as_deref()))));
    Ok(Success::new(report.await?, state.clock.now()))
}
