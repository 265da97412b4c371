//! Step: whether the page or server that sent it may send to this website.

use zenovay_domain::{EventKind, HostRefusal, WebsiteRules};

use crate::arrival::Arrival;
use crate::hit::CommonFields;
use crate::{Refusal, RefusalReason, WebUrl};

/// A request that names no page is judged by the `url` in its body, so that servers can send events. A key is enough.
///
/// # Errors
/// Why it may not.
pub(super) fn check(
    arrival: &Arrival<'_>,
    kind: EventKind,
    common: &CommonFields<'_>,
    rules: &WebsiteRules,
) -> Result<(), Refusal> {
    if arrival.sender.has_key() {
        return Ok(());
    }
    let Some(page) = arrival.page() else {
        return match &common.url {
            Some(url) if rules.check_host(url.host()).is_ok() => Ok(()),
            // A heartbeat extends a session of this website or none: its session id is hashed with the website.
            None if kind == EventKind::Heartbeat => Ok(()),
            _ => Err(Refusal::new(RefusalReason::OriginMissing, "Missing request origin")),
        };
    };
    // Nearly every page reports itself: its host is read already.
    if let Some(url) = common.url.as_ref().filter(|url| url.origin() == page)
        && rules.check_host(url.host()).is_ok()
    {
        return Ok(());
    }
    let host = WebUrl::parse(page);
    let refused = match host.as_ref().map(|url| rules.check_host(url.host())) {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(HostRefusal::Local)) => RefusalReason::LocalhostNotAllowed,
        Ok(Err(_)) | Err(_) => RefusalReason::DomainNotAuthorized,
    };
    Err(Refusal::new(refused, "Domain not authorized for this tracking code"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::tests::{arrival, row};
    use crate::rules::tests::rules;
    use zenovay_domain::WebsiteSettings;

    fn refused(kind: EventKind, url: Option<&str>, arrival: &Arrival<'_>) -> Option<RefusalReason> {
        let url = url.map(|url| WebUrl::parse(url).unwrap());
        let common = CommonFields { url, ..CommonFields::default() };
        check(arrival, kind, &common, &rules(WebsiteSettings::default())).err().map(|refusal| refusal.reason)
    }

    #[test]
    fn the_page_says_who_sends_and_else_the_url_in_the_body() {
        let own = Some("https://example.com/p");
        let foreign = Some("https://evil.com/p");
        let silent = Arrival { origin: None, ..arrival() };
        let from = |origin| Arrival { origin: Some(origin), ..arrival() };
        use EventKind::{Heartbeat, Pageview};
        for (kind, url, arrival, expected) in [
            (Pageview, own, from("https://www.example.com"), None),
            (Pageview, own, from("https://evil.com"), Some(RefusalReason::DomainNotAuthorized)),
            (Pageview, own, from("rubbish"), Some(RefusalReason::DomainNotAuthorized)),
            (Pageview, own, from("http://localhost:3000"), Some(RefusalReason::LocalhostNotAllowed)),
            (Pageview, own, from("null"), None),
            (Pageview, own, silent, None),
            (Pageview, foreign, silent, Some(RefusalReason::OriginMissing)),
            (Pageview, None, silent, Some(RefusalReason::OriginMissing)),
            (Heartbeat, None, silent, None),
            (Heartbeat, foreign, silent, Some(RefusalReason::OriginMissing)),
            (Pageview, foreign, row(), None),
        ] {
            assert_eq!(refused(kind, url, &arrival), expected, "{kind:?} {url:?} {:?}", arrival.origin);
        }
    }
}
