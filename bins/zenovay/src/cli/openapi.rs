//! `zenovay openapi`.

use super::output::{Failure, Output};
use crate::http::document;

pub(super) fn run(output: &mut Output) -> Result<(), Failure> {
    let (value, text) = (document::document().map_err(Failure::new)?, document::text().map_err(Failure::new)?);
    output.result(value, || text);
    Ok(())
}
