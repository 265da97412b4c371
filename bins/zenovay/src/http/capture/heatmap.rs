//! `POST /api/track/:trackingCode/heatmap`: clicks, scrolling and moves of the pointer.

use serde_json::{Map, Value};
use zenovay_capture::{Capture, HeatmapCapture, HeatmapFields, VitalsCapture};
use zenovay_ingest::{Arrival, CaptureFields, Captured, Refusal};

use super::{Told, context, wrong};
use crate::http::state::AppState;

/// What a body tells. Each body of a view counts once.
pub(super) fn told(
    state: &AppState,
    members: &Map<String, Value>,
    fields: &CaptureFields<'_>,
    captured: &Captured,
    arrival: &Arrival<'_>,
) -> Result<Told, Refusal> {
    let read = HeatmapFields::read(members).map_err(wrong)?;
    let key = state.ingest.capture_key(captured, &format!("heatmap\0{}\0{}", read.view_id, read.seq));
    let class = read.class().number();
    let HeatmapFields { view_id, seq, told } = read;
    let view = VitalsCapture::view_of(captured.visitor, &view_id);
    let context = context(captured, fields, None, arrival);
    Ok((Some(key), Capture::Heatmap(HeatmapCapture { context, view, seq, class, told })))
}
