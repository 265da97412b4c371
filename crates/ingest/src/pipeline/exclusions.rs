//! Step: what the website does not want.

use zenovay_domain::{EventKind, WebsiteRules};

use crate::arrival::Arrival;
use crate::hit::CommonFields;
use crate::{DropReason, WebUrl};

/// A website that is paused, an address, a path or a kind of event that it does not want.
///
/// # Errors
/// The first of these.
pub(super) fn check(
    arrival: &Arrival<'_>,
    kind: EventKind,
    common: &CommonFields<'_>,
    rules: &WebsiteRules,
) -> Result<(), DropReason> {
    let settings = rules.settings();
    if !settings.is_active {
        return Err(DropReason::Paused);
    }
    if arrival.sender.visitor_address().is_some_and(|address| rules.excludes_address(address)) {
        return Err(DropReason::ExcludedIp);
    }
    if rules.excludes_path(common.url.as_ref().map_or("", WebUrl::path)) {
        return Err(DropReason::ExcludedPath);
    }
    let is_wanted = match kind {
        EventKind::OutboundLink => settings.track_outbound_links,
        EventKind::FileDownload => settings.track_downloads,
        _ => true,
    };
    if is_wanted { Ok(()) } else { Err(DropReason::EventKindDisabled) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::tests::{arrival, row};
    use crate::rules::tests::rules;
    use zenovay_domain::WebsiteSettings;

    #[test]
    fn each_exclusion_has_its_reason_and_the_cheapest_comes_first() {
        let url = Some(WebUrl::parse("https://example.com/p").unwrap());
        let common = CommonFields { url, ..CommonFields::default() };
        let paused = |settings: &mut WebsiteSettings| settings.is_active = false;
        let address = |settings: &mut WebsiteSettings| settings.excluded_ips = vec!["8.8.8.0/24".into()];
        let path = |settings: &mut WebsiteSettings| settings.excluded_paths = vec!["/p*".into()];
        let kind = |settings: &mut WebsiteSettings| settings.track_downloads = false;
        type Change = fn(&mut WebsiteSettings);
        let changes: [(Change, DropReason); 4] = [
            (kind, DropReason::EventKindDisabled),
            (path, DropReason::ExcludedPath),
            (address, DropReason::ExcludedIp),
            (paused, DropReason::Paused),
        ];
        let mut all = WebsiteSettings::default();
        for (change, expected) in changes {
            let mut alone = WebsiteSettings::default();
            change(&mut alone);
            change(&mut all);
            for settings in [alone, all.clone()] {
                let found = check(&arrival(), EventKind::FileDownload, &common, &rules(settings));
                assert_eq!(found, Err(expected));
            }
        }
        assert_eq!(check(&row(), EventKind::Pageview, &common, &rules(WebsiteSettings::default())), Ok(()));
    }
}
