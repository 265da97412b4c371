//! Step: when it happened.

use std::collections::BTreeMap;

use zenovay_domain::Timestamp;

use crate::Refusal;
use crate::arrival::{Arrival, Sender};
use crate::capture::CaptureFields;

/// How far in the past a client's time on `/e` is believed.
pub const BELIEVED_PAST_MS: i64 = 72 * 3_600_000;

/// How far in the future a client's time is believed: clocks differ.
pub const BELIEVED_FUTURE_MS: i64 = 60_000;

/// The time of a record, and whether the client's was not believed and the time of arrival stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordTime {
    pub(super) at: Timestamp,
    pub(super) is_corrected: bool,
}

/// The time of a record that gives `client_ms` as its own. Who has a key may tell of any time in the past.
///
/// # Errors
/// When the holder of a key tells of the future.
pub(super) fn settle(client_ms: Option<i64>, arrival: &Arrival<'_>) -> Result<RecordTime, Refusal> {
    let received_at = arrival.received_at;
    let Some(at) = client_ms.map(Timestamp::from_millis) else {
        return Ok(RecordTime { at: received_at, is_corrected: false });
    };
    let ahead = at.millis_since(received_at);
    let is_future = ahead > BELIEVED_FUTURE_MS;
    match arrival.sender {
        Sender::Anybody(_) if is_future || ahead < -BELIEVED_PAST_MS => {
            Ok(RecordTime { at: received_at, is_corrected: true })
        }
        Sender::KeyHolder(_) if is_future => {
            Err(Refusal::fields(BTreeMap::from([("ts".to_owned(), "Must not be in the future".to_owned())])))
        }
        Sender::Anybody(_) | Sender::KeyHolder(_) => Ok(RecordTime { at, is_corrected: false }),
    }
}

/// When something happened of which a capture with `fields` tells, at `at_ms` by the browser's clock. That need not be right: what
/// counts is how long before sending it was. What is not told, or cannot be believed, is of when it arrived.
pub fn capture_time(fields: &CaptureFields<'_>, at_ms: Option<i64>, arrival: &Arrival<'_>) -> Timestamp {
    let received = arrival.received_at;
    let sent = fields.sent_at_ms.unwrap_or(received.as_millis());
    match at_ms.and_then(|at| sent.checked_sub(at)) {
        Some(before) if (0..=BELIEVED_PAST_MS).contains(&before) => received.plus_millis(-before),
        _ => received,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::tests::{arrival, at, row};

    #[test]
    fn a_clients_time_is_believed_within_bounds_and_a_key_holders_past_always() {
        let received = at(0).as_millis();
        for (ahead_ms, is_corrected, of_row) in [
            (0, false, true),
            (BELIEVED_FUTURE_MS, false, true),
            (BELIEVED_FUTURE_MS + 1, true, false),
            (-BELIEVED_PAST_MS, false, true),
            (-BELIEVED_PAST_MS - 1, true, true),
            (i64::MAX - received, true, false),
        ] {
            let sent = received.saturating_add(ahead_ms);
            let time = settle(Some(sent), &arrival()).unwrap();
            assert_eq!(time.is_corrected, is_corrected, "{ahead_ms}");
            assert_eq!(time.at.as_millis(), if is_corrected { received } else { sent });
            let row = settle(Some(sent), &row());
            assert_eq!(row.as_ref().ok().map(|time| time.at.as_millis()), of_row.then_some(sent), "{ahead_ms}");
            assert!(row.err().is_none_or(|refusal| refusal.fields.contains_key("ts")));
        }
        assert_eq!(settle(None, &arrival()).unwrap(), RecordTime { at: at(0), is_corrected: false });
    }
}
