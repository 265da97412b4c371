//! Step: what the visitor asks for.

use zenovay_domain::WebsiteSettings;

use crate::arrival::Arrival;
use crate::hit::CommonFields;
use crate::text::trim;
use crate::{DropReason, Refusal, RefusalReason};

/// Whether Global Privacy Control thins out what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Privacy {
    pub(super) is_opted_out: bool,
}

/// Reads the privacy signals of a request. Pages see Do Not Track, too, and may choose to ignore it: then only the header says
/// it. Global Privacy Control they cannot ignore.
///
/// # Errors
/// When the website honours the signal with a full opt-out.
pub(super) fn check(
    arrival: &Arrival<'_>,
    common: &CommonFields<'_>,
    settings: &WebsiteSettings,
) -> Result<Privacy, DropReason> {
    let is_opted_out = common.opted_out || arrival.sec_gpc.map(trim) == Some("1");
    if settings.opt_out_on_gpc && (is_opted_out || arrival.dnt.map(trim) == Some("1")) {
        return Err(DropReason::GpcOptedOut);
    }
    Ok(Privacy { is_opted_out })
}

/// Whether somebody does not want to be followed on a page: by Global Privacy Control or Do Not Track, whatever the page says.
pub(super) fn objects(arrival: &Arrival<'_>, privacy: Privacy) -> bool {
    privacy.is_opted_out || arrival.dnt.map(trim) == Some("1")
}

/// Refuses a whole batch that came with `Sec-GPC: 1`.
///
/// # Errors
/// [`RefusalReason::GpcOptedOut`].
pub fn check_batch_privacy(sec_gpc: Option<&str>) -> Result<(), Refusal> {
    if sec_gpc.map(trim) == Some("1") {
        return Err(Refusal::new(RefusalReason::GpcOptedOut, "gpc_opted_out"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::tests::arrival;

    /// Signals × site option.
    #[test]
    fn a_signal_thins_out_or_drops() {
        let strict = WebsiteSettings::default().with(|s| s.opt_out_on_gpc = true);
        let (open, dropped) = (WebsiteSettings::default(), Err(DropReason::GpcOptedOut));
        let gpc = Arrival { sec_gpc: Some(" 1"), ..arrival() };
        let dnt = Arrival { dnt: Some("1"), ..arrival() };
        let said = CommonFields { opted_out: true, ..CommonFields::default() };
        let silent = CommonFields::default();
        for (arrival, common, thinned, when_strict) in [
            (&arrival(), &silent, false, Ok(Privacy { is_opted_out: false })),
            (&gpc, &silent, true, dropped),
            (&dnt, &silent, false, dropped),
            (&arrival(), &said, true, dropped),
        ] {
            assert_eq!(check(arrival, common, &open), Ok(Privacy { is_opted_out: thinned }));
            assert_eq!(check(arrival, common, &strict), when_strict);
        }
        assert!(check_batch_privacy(Some("1")).is_err() && check_batch_privacy(Some("0")).is_ok());
    }
}
