//! Where a visit came from: the referring host and the campaign, read into one source and one channel.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use foldhash::fast::FixedState;

use crate::marks::Marks;
use crate::web_url::{AdClick, Campaign};

/// How a visit came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Channel {
    /// No referrer and no campaign.
    Direct,
    /// A search engine's own results.
    OrganicSearch,
    /// A link in a social network.
    OrganicSocial,
    /// A link on a video platform.
    OrganicVideo,
    /// A link in the answer of an AI assistant.
    AiAssistants,
    /// A link in a mail.
    Email,
    /// An advertisement outside social networks.
    Paid,
    /// An advertisement in a social network.
    PaidSocial,
    /// A link on any other site.
    Referral,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 9] = [
        Self::Direct,
        Self::OrganicSearch,
        Self::OrganicSocial,
        Self::OrganicVideo,
        Self::AiAssistants,
        Self::Email,
        Self::Paid,
        Self::PaidSocial,
        Self::Referral,
    ];

    /// The name in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "Direct",
            Self::OrganicSearch => "Organic Search",
            Self::OrganicSocial => "Organic Social",
            Self::OrganicVideo => "Organic Video",
            Self::AiAssistants => "AI Assistants",
            Self::Email => "Email",
            Self::Paid => "Paid",
            Self::PaidSocial => "Paid Social",
            Self::Referral => "Referral",
        }
    }
}

/// What kind of site a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SourceKind {
    /// A search engine.
    Search,
    /// A social network or forum.
    Social,
    /// A video platform.
    Video,
    /// A web mail service or mailing service.
    Email,
    /// An AI assistant.
    Ai,
}

/// A source that the table knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownSource {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: SourceKind,
}

/// Who sent a visit, and how it came.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attribution<'a> {
    /// A name such as `Google`, else `utm_source` as it was sent, else the referring host without `www.`; empty for direct visits.
    pub source: &'a str,
    /// The one channel.
    pub channel: Channel,
}

/// The site that referred to a page, read once: what attribution and the beginning of visits go by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    /// Its host, lower case, or the name of an app; empty when there is none.
    pub(crate) host: &'a str,
    /// What is stored of its address.
    pub(crate) address: &'a str,
    site: Option<Site>,
}

impl<'a> Origin<'a> {
    /// No site, or the website itself.
    pub(crate) const NONE: Self = Self { host: "", address: "", site: None };

    pub(crate) fn of(host: &'a str, address: &'a str) -> Self {
        Self { host, address, site: look_up(host) }
    }

    fn known(&self) -> Option<KnownSource> {
        match self.site {
            Some(Site::Source(known)) => Some(known),
            Some(Site::Passage) | None => None,
        }
    }

    /// What tells it apart from another source, see [`Marks::referrer`].
    pub(crate) fn mark(&self) -> u32 {
        match self.site {
            Some(Site::Passage) => 0,
            Some(Site::Source(known)) => Marks::number(known.name),
            None => Marks::number(without_www(self.host)),
        }
    }
}

fn without_www(host: &str) -> &str {
    host.strip_prefix("www.").unwrap_or(host)
}

/// Attributes a visit from `referrer_host` (lower case; empty when there is none or it is the website itself) with
/// `campaign`. Total and pure: every input has exactly one channel.
///
/// ```
/// use zenovay_ingest::{Campaign, Channel, attribute};
///
/// let campaign = Campaign::default();
/// assert_eq!(attribute("www.google.com", &campaign).channel, Channel::OrganicSearch);
/// assert_eq!(attribute("", &campaign).channel, Channel::Direct);
/// ```
pub fn attribute<'a>(referrer_host: &'a str, campaign: &'a Campaign) -> Attribution<'a> {
    attribute_from(&Origin::of(referrer_host, ""), campaign)
}

/// [`attribute`] for a site that is looked up already.
pub(crate) fn attribute_from<'a>(origin: &Origin<'a>, campaign: &'a Campaign) -> Attribution<'a> {
    let referrer = origin.known();
    let tagged = if campaign.source.is_empty() { None } else { known_tag(&campaign.source) };
    let source = match (tagged, referrer) {
        (Some(known), _) => known.name,
        (None, _) if !campaign.source.is_empty() => &campaign.source,
        (None, Some(known)) => known.name,
        (None, None) => without_www(origin.host),
    };
    let kind = tagged.or(if campaign.source.is_empty() { referrer } else { None }).map(|known| known.kind);
    Attribution { source, channel: channel(!origin.host.is_empty(), referrer.map(|known| known.kind), kind, campaign) }
}

/// The table of channels, first match wins. `kind` is that of the source, `referrer_kind` that of the referring host alone.
fn channel(
    has_referrer: bool,
    referrer_kind: Option<SourceKind>,
    kind: Option<SourceKind>,
    campaign: &Campaign,
) -> Channel {
    let medium = Medium::read(&campaign.medium);
    let kind = kind.or(referrer_kind);
    match (medium, campaign.ad_click, kind) {
        (Some(Medium::PaidSocial), _, _) => Channel::PaidSocial,
        (Some(Medium::Paid), _, Some(SourceKind::Social)) => Channel::PaidSocial,
        (Some(Medium::Paid), Some(AdClick::Social), _) => Channel::PaidSocial,
        (Some(Medium::Paid), _, _) => Channel::Paid,
        (Some(Medium::Email), None, _) => Channel::Email,
        (Some(Medium::Social), None, _) => Channel::OrganicSocial,
        (Some(Medium::Video), None, _) => Channel::OrganicVideo,
        (Some(Medium::Organic), None, _) => Channel::OrganicSearch,
        (Some(Medium::Referral), None, _) => Channel::Referral,
        (_, Some(AdClick::Social), _) => Channel::PaidSocial,
        (_, Some(AdClick::Search | AdClick::Other), _) => Channel::Paid,
        (_, None, Some(SourceKind::Search)) => Channel::OrganicSearch,
        (_, None, Some(SourceKind::Social)) => Channel::OrganicSocial,
        (_, None, Some(SourceKind::Video)) => Channel::OrganicVideo,
        (_, None, Some(SourceKind::Email)) => Channel::Email,
        (_, None, Some(SourceKind::Ai)) => Channel::AiAssistants,
        (_, None, None) => {
            if has_referrer || campaign.is_tagged() {
                Channel::Referral
            } else {
                Channel::Direct
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Medium {
    Paid,
    PaidSocial,
    Email,
    Social,
    Video,
    Organic,
    Referral,
}

impl Medium {
    fn read(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let text = text.to_ascii_lowercase().replace(['_', ' '], "-");
        Some(match text.as_str() {
            "paid-social" | "paidsocial" | "social-paid" | "cpc-social" => Self::PaidSocial,
            "paid" | "cpc" | "ppc" | "cpm" | "cpv" | "cpa" | "cpp" | "paid-search" | "paidsearch" | "sem"
            | "display" | "banner" | "retargeting" | "remarketing" | "ads" | "ad" | "paid-video" | "shopping" => {
                Self::Paid
            }
            "email" | "e-mail" | "mail" | "newsletter" => Self::Email,
            "social" | "social-network" | "social-media" | "sm" | "organic-social" => Self::Social,
            "video" => Self::Video,
            "organic" | "organic-search" | "search" => Self::Organic,
            "referral" | "affiliate" | "partner" | "link" => Self::Referral,
            _ => return None,
        })
    }
}

/// The source that `host` belongs to, by the table in `data/sources.tsv`.
pub fn known_host(host: &str) -> Option<KnownSource> {
    match look_up(host)? {
        Site::Source(known) => Some(known),
        Site::Passage => None,
    }
}

/// What the table says of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Site {
    Source(KnownSource),
    /// People are sent through it and come back: to pay, or to sign in.
    Passage,
}

fn look_up(host: &str) -> Option<Site> {
    if host.is_empty() {
        return None;
    }
    let table = table();
    let bare = without_prefix(host);
    if let Some((site, _)) = table.hosts.get(host).or_else(|| table.hosts.get(bare)) {
        return Some(*site);
    }
    let mut rest = host;
    while let Some((_, parent)) = rest.split_once('.') {
        if let Some((site, true)) = table.hosts.get(parent) {
            return Some(*site);
        }
        rest = parent;
    }
    let (first, _) = host.split_once('.')?;
    if table.passages.contains(first) {
        return Some(Site::Passage);
    }
    // `google.*` stands for Google under every public suffix.
    let domain = psl::domain_str(bare)?;
    let (label, _) = domain.split_once('.')?;
    let below = bare.strip_suffix(domain)?.trim_end_matches('.');
    let entries = table.labels.get(label)?;
    entries.iter().find(|(of, _)| *of == below).map(|(_, site)| *site)
}

/// `host` without the prefix under which many sites answer as well.
fn without_prefix(host: &str) -> &str {
    host.strip_prefix("www.").or_else(|| host.strip_prefix("m.")).unwrap_or(host)
}

/// The source that a `utm_source` names: by a short name such as `fb`, or by a host.
fn known_tag(tag: &str) -> Option<KnownSource> {
    let lower = tag.trim().to_ascii_lowercase();
    table().tags.get(lower.as_str()).copied().or_else(|| if lower.contains('.') { known_host(&lower) } else { None })
}

/// See `data/sources.tsv`. What is in it is known, so nobody can make its keys collide.
#[derive(Default)]
struct Table {
    /// Hosts, and whether all below them belong to the same site.
    hosts: HashMap<&'static str, (Site, bool), FixedState>,
    /// Names under every public suffix: what stands before them, and the site.
    labels: HashMap<&'static str, Vec<(&'static str, Site)>, FixedState>,
    /// First labels of hosts that people pass through.
    passages: HashSet<&'static str, FixedState>,
    tags: HashMap<String, KnownSource, FixedState>,
}

const SOURCES: &str = include_str!("../data/sources.tsv");

/// The rows of the table: kind, name and entries.
fn rows() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    SOURCES.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (kind, rest) = line.split_once('\t')?;
        let (name, entries) = rest.split_once('\t')?;
        Some((kind, name, entries))
    })
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table::default();
        for (kind, name, entries) in rows() {
            let kind = match kind {
                "search" => Some(SourceKind::Search),
                "social" => Some(SourceKind::Social),
                "video" => Some(SourceKind::Video),
                "email" => Some(SourceKind::Email),
                "ai" => Some(SourceKind::Ai),
                _ => None,
            };
            let known = kind.map(|kind| KnownSource { name, kind });
            let site = known.map_or(Site::Passage, Site::Source);
            if let Some(known) = known {
                table.tags.insert(name.to_ascii_lowercase(), known);
            }
            for entry in entries.split(' ') {
                match (entry.strip_suffix(".*"), entry.strip_prefix('.'), known) {
                    (Some(label), _, _) if name.ends_with(" pages") => {
                        table.passages.insert(label);
                    }
                    (Some(named), _, _) => {
                        let (below, label) = named.rsplit_once('.').unwrap_or(("", named));
                        table.labels.entry(label).or_default().push((below, site));
                    }
                    (None, Some(host), _) => {
                        table.hosts.insert(host, (site, true));
                    }
                    (None, None, Some(known)) if !entry.contains('.') => {
                        table.tags.insert(entry.to_owned(), known);
                    }
                    (None, None, _) => {
                        table.hosts.insert(entry, (site, false));
                    }
                }
            }
        }
        table
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn campaign(query: &str) -> Campaign {
        crate::WebUrl::parse(format!("https://e.com/?{query}")).unwrap().campaign()
    }

    #[test]
    fn sources_and_channels() {
        for (host, query, source, channel) in [
            ("", "", "", Channel::Direct),
            ("www.google.co.uk", "", "Google", Channel::OrganicSearch),
            ("google.com", "gclid=1", "Google", Channel::Paid),
            ("duckduckgo.com", "", "DuckDuckGo", Channel::OrganicSearch),
            ("mail.google.com", "", "Gmail", Channel::Email),
            ("gemini.google.com", "", "Gemini", Channel::AiAssistants),
            ("chatgpt.com", "utm_source=chatgpt.com", "ChatGPT", Channel::AiAssistants),
            ("", "utm_source=chatgpt.com", "ChatGPT", Channel::AiAssistants),
            ("l.facebook.com", "", "Facebook", Channel::OrganicSocial),
            ("l.facebook.com", "fbclid=1", "Facebook", Channel::PaidSocial),
            ("", "ttclid=1", "", Channel::PaidSocial),
            ("", "gclid=1&utm_medium=email", "", Channel::Paid),
            ("www.google.com", "gclid=1&utm_medium=organic", "Google", Channel::Paid),
            ("", "x=1&msclkid=2", "", Channel::Paid),
            ("t.co", "", "X", Channel::OrganicSocial),
            ("m.youtube.com", "", "YouTube", Channel::OrganicVideo),
            ("news.ycombinator.com", "", "Hacker News", Channel::OrganicSocial),
            ("blog.partner.example", "", "blog.partner.example", Channel::Referral),
            ("www.partner.example", "", "partner.example", Channel::Referral),
            ("notgoogle.com", "", "notgoogle.com", Channel::Referral),
            ("google.com.evil.example", "", "google.com.evil.example", Channel::Referral),
            ("", "utm_source=newsletter", "Newsletter", Channel::Email),
            ("", "utm_source=spring&utm_medium=email", "spring", Channel::Email),
            ("", "utm_source=google&utm_medium=cpc", "Google", Channel::Paid),
            ("", "utm_source=fb&utm_medium=ppc", "Facebook", Channel::PaidSocial),
            ("", "utm_source=x&utm_medium=Paid_Social", "X", Channel::PaidSocial),
            ("www.google.com", "utm_source=partner", "partner", Channel::OrganicSearch),
            ("", "utm_source=partner", "partner", Channel::Referral),
            ("", "utm_campaign=spring", "", Channel::Referral),
            ("", "utm_medium=social", "", Channel::OrganicSocial),
        ] {
            let campaign = campaign(query);
            let found = attribute(host, &campaign);
            assert_eq!((found.source, found.channel), (source, channel), "{host:?} {query:?}");
        }
    }

    /// A test for each entry of each row: it is found as itself, its neighbours as what the kind of entry says.
    #[test]
    fn every_row_is_found_under_its_own_name_and_no_entry_is_there_twice() {
        let mut seen = HashSet::new();
        for (kind, name, entries) in rows() {
            let expected = |found: Option<Site>| match (kind, found) {
                ("payment" | "login", found) => found == Some(Site::Passage),
                (_, Some(Site::Source(known))) => known.name == name,
                (_, Some(Site::Passage) | None) => false,
            };
            for entry in entries.split(' ') {
                assert!(seen.insert(entry), "{entry} is there twice");
                assert_eq!(entry, entry.trim().to_ascii_lowercase());
                if let Some(host) = entry.strip_prefix('.') {
                    for host in [host, &format!("below.{host}")] {
                        assert!(expected(look_up(host)), "{entry} {host}");
                    }
                } else if let Some(named) = entry.strip_suffix(".*") {
                    for host in [format!("{named}.com"), format!("{named}.co.uk")] {
                        assert!(expected(look_up(&host)), "{entry} {host}");
                    }
                } else if entry.contains('.') {
                    assert!(expected(look_up(entry)), "{entry}");
                    assert!(entry.starts_with("com.") || !expected(look_up(&format!("not{entry}"))), "{entry}");
                } else {
                    assert_eq!(known_tag(entry).map(|known| known.name), Some(name), "{entry}");
                }
            }
            assert!(["search", "social", "video", "email", "ai", "payment", "login"].contains(&kind), "{kind}");
        }
        assert!(seen.len() > 600, "{}", seen.len());
    }

    /// pug-sh/pug#81.
    #[test]
    fn what_a_search_company_offers_beside_its_search_is_a_referral_under_its_own_name() {
        for host in [
            "accounts.google.com",
            "docs.google.com",
            "classroom.google.com",
            "search.google.com",
            "ads.google.com",
            "drive.google.com",
            "sites.google.com",
            "calendar.google.com",
            "news.google.com",
            "translate.google.de",
            "accounts.google.co.uk",
            "disk.yandex.ru",
            "metrika.yandex.com",
            "pan.baidu.com",
            "finance.yahoo.com",
            "login.yahoo.co.jp",
            "blog.naver.com",
            "webmaster.bing.com",
            "sites.google",
        ] {
            let none = Campaign::default();
            let found = attribute(host, &none);
            assert_eq!((found.source, found.channel), (host, Channel::Referral), "{host}");
        }
        for (host, source, channel) in [
            ("google.com", "Google", Channel::OrganicSearch),
            ("www.google.com.br", "Google", Channel::OrganicSearch),
            ("images.google.fr", "Google", Channel::OrganicSearch),
            ("m.baidu.com", "Baidu", Channel::OrganicSearch),
            ("de.search.yahoo.com", "Yahoo!", Channel::OrganicSearch),
            ("mail.google.com", "Gmail", Channel::Email),
            ("mail.yandex.ru", "Yandex Mail", Channel::Email),
            ("mail.yahoo.com", "Yahoo! Mail", Channel::Email),
            ("com.google.android.googlequicksearchbox", "Google", Channel::OrganicSearch),
            ("com.google.android.gm", "Gmail", Channel::Email),
            ("com.whatsapp", "WhatsApp", Channel::OrganicSocial),
            ("com.example.app", "com.example.app", Channel::Referral),
            ("gemini.google.com", "Gemini", Channel::AiAssistants),
            ("copilot.microsoft.com", "Copilot", Channel::AiAssistants),
            ("www.perplexity.ai", "Perplexity", Channel::AiAssistants),
        ] {
            let none = Campaign::default();
            let found = attribute(host, &none);
            assert_eq!((found.source, found.channel), (source, channel), "{host}");
        }
    }

    #[test]
    fn people_only_pass_through_sites_for_payment_and_sign_in() {
        for host in [
            "www.paypal.com",
            "checkout.stripe.com",
            "accounts.google.com",
            "login.microsoftonline.com",
            "tenant.eu.auth0.com",
            "login.bank.example",
            "pay.klarna.com",
            "appleid.apple.com",
        ] {
            assert_eq!(Origin::of(host, "").mark(), 0, "{host}");
            let none = Campaign::default();
            assert_eq!(attribute(host, &none).channel, Channel::Referral, "{host}");
        }
        for host in ["www.google.com", "partner.example", "paypal.com.evil.example", "loginpage.example"] {
            assert_ne!(Origin::of(host, "").mark(), 0, "{host}");
        }
        assert_eq!(Origin::of("www.google.de", "").mark(), Origin::of("google.com", "").mark());
    }

    #[test]
    fn channels_have_their_own_names() {
        let names: std::collections::HashSet<_> = Channel::ALL.iter().map(|channel| channel.as_str()).collect();
        assert_eq!(names.len(), Channel::ALL.len());
    }

    proptest! {
        #[test]
        fn every_input_has_one_channel(
            host in "([a-z0-9-]{0,8}\\.){0,3}(com|google\\.de|co\\.uk|t\\.co)?|.{0,30}",
            source in ".{0,12}",
            medium in "cpc|email|.{0,12}",
            ad_click in prop::option::of(prop::sample::select(vec![AdClick::Search, AdClick::Social, AdClick::Other])),
        ) {
            let campaign = Campaign { source, medium, ad_click, ..Default::default() };
            let found = attribute(&host, &campaign);
            let nothing = host.is_empty() && campaign == Campaign::default();
            prop_assert_eq!(found.channel == Channel::Direct, nothing);
            prop_assert_eq!(attribute(&host, &campaign), found);
        }
    }
}
