//! Step: what a record says of page, source, place and browser, as it is stored.

use zenovay_domain::{Dimension, Dimensions, Event, WebsiteRules};

use super::Context;
use crate::capture::{CaptureFields, Captured};
use crate::geo::GeoDatabase;
use crate::hit::HitFields;
use crate::language::first_language;
use crate::source::{Origin, attribute_from};
use crate::text::trim;
use crate::{Accepted, WebUrl};

/// The site that led to the page, when it is not the website itself.
pub(super) fn source<'a>(fields: &'a HitFields<'_>, rules: &WebsiteRules) -> Origin<'a> {
    let page_host = fields.common.url.as_ref().map_or("", WebUrl::host);
    let is_foreign = |host: &str| host != page_host && !rules.is_own_host(host);
    let foreign = fields.referrer.as_ref().filter(|referrer| is_foreign(referrer.host()));
    foreign.map_or(Origin::NONE, |referrer| Origin::of(referrer.host(), referrer.address()))
}

/// The event that `fields` are.
pub(super) fn event(context: &Context<'_>, fields: &HitFields<'_>, source: &Origin<'_>, geo: &GeoDatabase) -> Accepted {
    let identity = context.identity;
    let mut event = Event::new(fields.kind, context.time.at, identity.visit.visitor, identity.visit.session);
    event.flags = identity.flags;
    event.engagement_ms = fields.engagement_ms;
    event.scroll_percent = fields.scroll_percent;
    event.dimensions = dimensions(context, fields, source, geo);
    Accepted {
        event,
        idempotency_key: identity.idempotency_key,
        clock_corrected: context.time.is_corrected,
        mends: fields.mends,
    }
}

/// Whose and where a capture is.
pub(super) fn captured(
    context: &Context<'_>,
    fields: &CaptureFields<'_>,
    rules: &WebsiteRules,
    geo: &GeoDatabase,
) -> Captured {
    let (visit, agent) = (context.identity.visit, &context.agent);
    let location = context.arrival.sender.visitor_address().map(|address| geo.lookup(address));
    Captured {
        website: rules.website(),
        visitor: visit.visitor,
        session: visit.session,
        path: fields.common.url.as_ref().map_or("", WebUrl::path).to_owned(),
        device: device_class(fields.device_type).unwrap_or(agent.device).to_owned(),
        browser: agent.browser.clone(),
        browser_version: agent.browser_version.clone(),
        os: agent.os.clone(),
        country: location.map(|location| location.country.clone()).unwrap_or_default(),
    }
}

fn dimensions(context: &Context<'_>, fields: &HitFields<'_>, source: &Origin<'_>, geo: &GeoDatabase) -> Dimensions {
    let url = fields.common.url.as_ref();
    let path = url.map_or("", WebUrl::path);
    // The other strings have some 110 bytes together.
    let mut dimensions = Dimensions::with_capacity(160 + path.len() + fields.title.len() + fields.properties.len());
    let mut set = |dimension, value: &str| {
        if !value.is_empty() {
            dimensions.set(dimension, value);
        }
    };
    set(Dimension::Path, path);
    set(Dimension::Hostname, url.map_or("", WebUrl::host));
    set(Dimension::Title, &fields.title);
    set(Dimension::EventName, &fields.event_name);
    let is_opted_out = context.privacy.is_opted_out;
    let anonymous = if is_opted_out { fields.anonymous_properties.as_deref() } else { None };
    set(Dimension::Properties, anonymous.unwrap_or(&fields.properties));

    let campaign = &fields.campaign;
    let attribution = attribute_from(source, campaign);
    set(Dimension::Referrer, source.address);
    set(Dimension::Source, attribution.source);
    set(Dimension::Channel, attribution.channel.as_str());
    set(Dimension::UtmSource, &campaign.source);
    set(Dimension::UtmMedium, &campaign.medium);
    set(Dimension::UtmCampaign, &campaign.name);
    set(Dimension::UtmTerm, &campaign.term);
    set(Dimension::UtmContent, &campaign.content);

    if let Some(address) = context.arrival.sender.visitor_address() {
        let location = geo.lookup(address);
        set(Dimension::Country, &location.country);
        set(Dimension::Region, &location.region);
        set(Dimension::City, &location.city);
    }

    let agent = &context.agent;
    let browser = specific(&fields.browser).unwrap_or(&agent.browser);
    set(Dimension::Browser, browser);
    if browser.eq_ignore_ascii_case(&agent.browser) {
        set(Dimension::BrowserVersion, &agent.browser_version);
    }
    let os = specific(&fields.os).unwrap_or(&agent.os);
    set(Dimension::Os, os);
    if os.eq_ignore_ascii_case(&agent.os) {
        set(Dimension::OsVersion, &agent.os_version);
    }
    set(Dimension::Device, device_class(&fields.device_type).unwrap_or(agent.device));
    set(Dimension::ScreenClass, fields.screen_width.map_or("", screen_class));
    let languages =
        if is_opted_out { [None, None] } else { [fields.language.as_deref(), context.arrival.accept_language] };
    set(Dimension::Language, first_language(languages).as_deref().unwrap_or(""));
    dimensions
}

/// `name` when it says something.
fn specific(name: &str) -> Option<&str> {
    let name = trim(name);
    let vague = ["", "unknown", "other", "undefined", "null", "n/a", "-"];
    (!vague.iter().any(|word| name.eq_ignore_ascii_case(word)) && !name.chars().any(char::is_control)).then_some(name)
}

/// All classes of devices. That there are no others is seen when this is compiled: without the list every device would be unknown.
const DEVICE_CLASSES: &[&str] = match Dimension::Device.known_values() {
    Some(classes) => classes,
    None => panic!("the classes of devices are known"),
};

fn device_class(name: &str) -> Option<&'static str> {
    let name = trim(name);
    DEVICE_CLASSES.iter().copied().find(|class| name.eq_ignore_ascii_case(class))
}

/// The class of a screen `width` pixels wide; the bounds are those that CSS frameworks made common.
fn screen_class(width: f64) -> &'static str {
    match width {
        w if w < 1.0 => "",
        w if w < 576.0 => "xs",
        w if w < 768.0 => "sm",
        w if w < 992.0 => "md",
        w if w < 1200.0 => "lg",
        _ => "xl",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hit::tests::validated;
    use crate::pipeline::tests::body;
    use crate::rules::tests::rules;
    use zenovay_domain::{EventKind, WebsiteSettings};

    #[test]
    fn the_website_is_not_its_own_source() {
        let rules = rules(WebsiteSettings::default());
        for (referrer, host) in [
            ("https://blog.partner.example/a?secret=1", "blog.partner.example"),
            ("https://shop.example.com/x", ""),
            ("https://example.com/", ""),
        ] {
            let text = body(&format!(r#","referrer":"{referrer}""#));
            let fields = validated(&text, EventKind::Pageview).unwrap();
            assert_eq!(source(&fields, &rules).host, host, "{referrer}");
        }
    }

    #[test]
    fn a_name_that_says_nothing_gives_way_to_the_user_agent() {
        for vague in ["", " ", "Unknown", "other", "N/A", "a\u{7}"] {
            assert_eq!(specific(vague), None, "{vague:?}");
        }
        assert_eq!(specific(" Firefox "), Some("Firefox"));
        assert_eq!(["Desktop", "TABLET", "watch"].map(device_class), [Some("desktop"), Some("tablet"), None]);
        assert_eq!([0.0, 390.0, 576.0, 2560.0].map(screen_class), ["", "xs", "sm", "xl"]);
    }

    /// What filters refuse is what no event can have. Sabotage: leave a channel out of the values.
    #[test]
    fn values_are_those_that_are_known() {
        let channels = crate::Channel::ALL.map(crate::Channel::as_str);
        assert_eq!(Dimension::Channel.known_values(), Some(channels.as_slice()));
        let screens = [1.0, 600.0, 800.0, 1000.0, 2000.0].map(screen_class);
        assert_eq!(Dimension::ScreenClass.known_values(), Some(screens.as_slice()));
    }
}
