//! What one website's settings say about a hit, parsed once. Settings that cannot be parsed are refused where they are stored,
//! so that no hit meets them.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use crate::quoted::Quoted;
use crate::{
    UnknownZone, Website, WebsiteId, WebsiteSettings, Zone, has_hidden, matches_pattern, normal_path, parse_domain,
    parse_host,
};

/// The most entries of `allowed_domains`, of `excluded_paths` and of `allowed_bots`.
pub const RULES_MAX: usize = 100;

/// The most entries of `excluded_ips`.
pub const EXCLUDED_IPS_MAX: usize = 1_000;

const PATH_PATTERN_MAX_BYTES: usize = 500;

/// How long the name of a bot is, in characters. Fewer would be in nearly every agent.
const BOT_NAME_CHARS: std::ops::RangeInclusive<usize> = 3..=100;

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
#[non_exhaustive]
pub struct InvalidSetting {
    /// The name of the setting.
    pub setting: &'static str,
    /// What is wrong with it, as a sentence. A value is told with 100 characters at most.
    pub problem: String,
}

impl InvalidSetting {
    fn new(setting: &'static str, value: &str, problem: impl std::fmt::Display) -> Self {
        Self { setting, problem: format!("{} {problem}", Quoted(value)) }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum HostRule {
    /// This host.
    Exact(String),
    /// Every host that ends in this string, which begins with a dot.
    Subdomains(String),
}

impl HostRule {
    fn parse(entry: &str) -> Result<Self, InvalidSetting> {
        let rule = match entry.strip_prefix("*.") {
            Some(rest) => parse_host(rest).map(|host| Self::Subdomains(format!(".{host}"))),
            None => parse_host(entry).map(Self::Exact),
        };
        let problem = "is neither a host such as example.com nor *.example.com";
        rule.map_err(|_| InvalidSetting::new("allowed_domains", entry, problem))
    }

    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(own) => host == own,
            Self::Subdomains(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
        }
    }
}

/// A pattern of paths in the spelling in which paths are compared.
#[derive(Debug, Clone, PartialEq)]
struct PathPattern(String);

impl PathPattern {
    fn parse(entry: &str) -> Result<Self, InvalidSetting> {
        let invalid = |problem| Err(InvalidSetting::new("excluded_paths", entry, problem));
        if !entry.starts_with(['/', '*']) {
            return invalid("must begin with / or *");
        }
        if entry.len() > PATH_PATTERN_MAX_BYTES {
            return invalid("is longer than 500 bytes");
        }
        if entry.chars().any(char::is_control) {
            return invalid("has control characters");
        }
        Ok(Self(normal_path(entry).into_owned()))
    }

    fn matches(&self, path: &str) -> bool {
        matches_pattern(path, &self.0)
    }
}

/// The name of a bot, in lower case.
fn parse_bot_name(entry: &str) -> Result<String, InvalidSetting> {
    let invalid = |problem| Err(InvalidSetting::new("allowed_bots", entry, problem));
    if !BOT_NAME_CHARS.contains(&entry.chars().count()) {
        return invalid("must have 3 to 100 characters");
    }
    if entry.chars().any(char::is_control) {
        return invalid("has control characters");
    }
    Ok(entry.to_lowercase())
}

fn parse_network(entry: &str) -> Result<IpNet, InvalidSetting> {
    let network = entry.parse::<IpNet>().or_else(|_| entry.parse::<IpAddr>().map(IpNet::from));
    match network {
        Ok(IpNet::V6(v6)) if v6.prefix_len() >= 96 => Ok(match v6.network().to_ipv4_mapped() {
            Some(v4) => Ipv4Net::new(v4, v6.prefix_len() - 96).map_or(IpNet::V6(v6), IpNet::V4),
            None => IpNet::V6(v6),
        }),
        Ok(network) => Ok(network),
        Err(_) => {
            Err(InvalidSetting::new("excluded_ips", entry, "is neither an IP address nor a range such as 10.0.0.0/8"))
        }
    }
}

/// The one spelling of the addresses that an entry of `excluded_ips` excludes; `None` when it is no such entry.
///
/// ```
/// use zenovay_domain::excluded_network;
///
/// for entry in ["192.0.2.7", "192.0.2.7/32", "::ffff:192.0.2.7", "0:0:0:0:0:FFFF:C000:207"] {
///     assert_eq!(excluded_network(entry).as_deref(), Some("192.0.2.7/32"));
/// }
/// assert_eq!(excluded_network("2001:0DB8:0::1"), excluded_network("2001:db8::1/128"));
/// assert_eq!(excluded_network("10.1.2.3/8").as_deref(), Some("10.0.0.0/8"));
/// assert_eq!(excluded_network("everybody"), None);
/// ```
pub fn excluded_network(entry: &str) -> Option<String> {
    parse_network(entry).ok().map(|network| network.trunc().to_string())
}

fn check_currency(code: &str) -> Result<(), InvalidSetting> {
    if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(InvalidSetting::new("currency", code, "is not three capital letters such as EUR"))
}

fn check_percent(percent: u8) -> Result<(), InvalidSetting> {
    if (1..=100).contains(&percent) {
        return Ok(());
    }
    let percent = percent.to_string();
    Err(InvalidSetting::new("session_replay_sample_percent", &percent, "is not a number from 1 to 100"))
}

/// Reads each entry of a list setting, of `max` entries at most.
fn parse_list<T>(
    setting: &'static str,
    entries: &[String],
    max: usize,
    parse: fn(&str) -> Result<T, InvalidSetting>,
) -> Result<Vec<T>, InvalidSetting> {
    if entries.len() > max {
        return Err(InvalidSetting { setting, problem: format!("it has more than {max} entries") });
    }
    entries.iter().map(|entry| parse(entry)).collect()
}

/// Why a host may not send events to a website.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostRefusal {
    /// Not one of the website's hosts.
    #[error("the host is not one of the website's")]
    Foreign,
    /// A local host, and the website does not allow those.
    #[error("the host is a local one, which the website does not allow")]
    Local,
}

/// The settings of one website in the form in which hits are judged. Compiled once per version of the website.
#[derive(Debug, Clone)]
pub struct WebsiteRules {
    website: WebsiteId,
    settings: WebsiteSettings,
    hosts: Vec<HostRule>,
    excluded_ips: Vec<IpNet>,
    excluded_paths: Vec<PathPattern>,
    /// In lower case.
    allowed_bots: Vec<String>,
    zone: Zone,
}

impl WebsiteRules {
    /// The rules of a website that has nothing but its domain, `example.com` or as people write it: hits of it and its
    /// subdomains are taken, with the default settings. Its id is made from the domain, so that it is the same whenever and
    /// wherever this is called.
    ///
    /// # Errors
    /// When it is not a domain.
    ///
    /// ```
    /// let rules = zenovay_domain::WebsiteRules::for_domain("example.com")?;
    /// assert!(rules.check_host("shop.example.com").is_ok());
    /// assert!(rules.check_host("example.org").is_err());
    /// # Ok::<(), zenovay_domain::InvalidSetting>(())
    /// ```
    pub fn for_domain(domain: &str) -> Result<Self, InvalidSetting> {
        let domain = parse_own_domain(domain)?;
        Self::new(id_of_domain(&domain), &domain, &WebsiteSettings::default())
    }

    /// Parses the domain and the settings of `website`.
    ///
    /// # Errors
    /// The first one that cannot be used, with its name.
    pub fn compile(website: &Website) -> Result<Self, InvalidSetting> {
        Self::new(website.id, &website.domain, &website.settings)
    }

    /// Checks what people wrote anew: entries of lists that are not in `before` and have characters that nobody sees, and paths with a
    /// query or a fragment, which no path has. What is stored already is compiled all the same.
    ///
    /// ```
    /// use zenovay_domain::{WebsiteRules, WebsiteSettings};
    ///
    /// let old = WebsiteSettings::default().with(|settings| settings.excluded_paths = vec!["/a\u{200b}".to_owned()]);
    /// assert!(WebsiteRules::check_written(&old, &old).is_ok());
    /// let refused = WebsiteRules::check_written(&old, &WebsiteSettings::default()).unwrap_err();
    /// assert_eq!(refused.setting, "excluded_paths");
    /// // A host is found by another spelling than the one that people see.
    /// let host = WebsiteSettings::default().with(|settings| settings.allowed_domains = vec!["a\u{200b}.example".to_owned()]);
    /// assert_eq!(WebsiteRules::check_written(&host, &old).unwrap_err().setting, "allowed_domains");
    /// ```
    ///
    /// # Errors
    /// The first of them, with the name of its setting.
    pub fn check_written(settings: &WebsiteSettings, before: &WebsiteSettings) -> Result<(), InvalidSetting> {
        let lists = [
            ("allowed_domains", &settings.allowed_domains, &before.allowed_domains),
            ("excluded_paths", &settings.excluded_paths, &before.excluded_paths),
            ("allowed_bots", &settings.allowed_bots, &before.allowed_bots),
        ];
        for (setting, entries, known) in lists {
            if let Some(entry) = entries.iter().find(|entry| has_hidden(entry) && !known.contains(entry)) {
                return Err(InvalidSetting::new(setting, entry, "has characters that cannot be seen"));
            }
        }
        let is_no_path = |entry: &&String| entry.contains(['?', '#']) && !before.excluded_paths.contains(entry);
        match settings.excluded_paths.iter().find(is_no_path) {
            Some(entry) => {
                let problem =
                    "has a query or a fragment; paths are compared without: leave out what begins with ? or #";
                Err(InvalidSetting::new("excluded_paths", entry, problem))
            }
            None => Ok(()),
        }
    }

    /// The rules of the website `website` with this domain and these settings.
    ///
    /// # Errors
    /// The first one that cannot be used, with its name.
    pub fn new(website: WebsiteId, domain: &str, settings: &WebsiteSettings) -> Result<Self, InvalidSetting> {
        let own_hosts = default_hosts(domain)?;
        check_currency(&settings.currency)?;
        check_percent(settings.session_replay_sample_percent)?;
        let allowed = parse_list("allowed_domains", &settings.allowed_domains, RULES_MAX, HostRule::parse)?;
        Ok(Self {
            website,
            hosts: if allowed.is_empty() { own_hosts } else { allowed },
            excluded_ips: parse_list("excluded_ips", &settings.excluded_ips, EXCLUDED_IPS_MAX, parse_network)?,
            excluded_paths: parse_list("excluded_paths", &settings.excluded_paths, RULES_MAX, PathPattern::parse)?,
            allowed_bots: parse_list("allowed_bots", &settings.allowed_bots, RULES_MAX, parse_bot_name)?,
            zone: parse_zone(&settings.time_zone)?,
            settings: settings.clone(),
        })
    }

    /// Whose rules these are.
    pub fn website(&self) -> WebsiteId {
        self.website
    }

    /// The zone in which sessions are cut at midnight.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The settings they were compiled from.
    pub fn settings(&self) -> &WebsiteSettings {
        &self.settings
    }

    /// Whether events may come from `host`, which is lower case and punycode.
    ///
    /// # Errors
    /// When they may not.
    pub fn check_host(&self, host: &str) -> Result<(), HostRefusal> {
        if is_local_host(host) {
            return if self.settings.allow_localhost { Ok(()) } else { Err(HostRefusal::Local) };
        }
        if self.is_own_host(host) { Ok(()) } else { Err(HostRefusal::Foreign) }
    }

    /// Whether `host` is one of the website's, local or not.
    pub fn is_own_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|rule| rule.matches(host))
    }

    /// Whether hits from `address` are dropped.
    pub fn excludes_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.excluded_ips.iter().any(|network| network.contains(&address))
    }

    /// Whether hits on `path`, percent-encoded, are dropped.
    pub fn excludes_path(&self, path: &str) -> bool {
        self.excluded_paths.iter().any(|pattern| pattern.matches(path))
    }

    /// The names of bots whose hits are stored all the same, in lower case.
    pub fn allowed_bots(&self) -> &[String] {
        &self.allowed_bots
    }
}

fn parse_zone(name: &str) -> Result<Zone, InvalidSetting> {
    name.parse().map_err(|problem: UnknownZone| InvalidSetting { setting: "time_zone", problem: problem.to_string() })
}

fn parse_own_domain(domain: &str) -> Result<String, InvalidSetting> {
    parse_domain(domain).map_err(|problem| InvalidSetting { setting: "domain", problem: problem.to_string() })
}

/// An id for a website that has none but its domain: the FNV-1a hash of 128 bits.
fn id_of_domain(domain: &str) -> WebsiteId {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let hash = domain.bytes().fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    WebsiteId::from_random_bytes(hash.to_be_bytes())
}

/// The hosts of a website that names none: its domain and every subdomain; when its domain begins with `www.`, also the
/// domain without.
fn default_hosts(domain: &str) -> Result<Vec<HostRule>, InvalidSetting> {
    let domain = parse_own_domain(domain)?;
    let mut hosts = vec![HostRule::Subdomains(format!(".{domain}"))];
    if let Some(bare) = domain.strip_prefix("www.") {
        hosts.push(HostRule::Exact(bare.to_owned()));
    }
    hosts.push(HostRule::Exact(domain));
    Ok(hosts)
}

/// Whether `host`, lower case, is the machine of whoever typed it: `localhost`, `*.localhost`, `*.local`,
/// `127.0.0.0/8`, `::1`.
fn is_local_host(host: &str) -> bool {
    host == "localhost"
        || host == "[::1]"
        || host.ends_with(".localhost")
        || host.ends_with(".local")
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compile(domain: &str, settings: &WebsiteSettings) -> Result<WebsiteRules, InvalidSetting> {
        WebsiteRules::new(WebsiteId::from_bytes([7; 16]), domain, settings)
    }

    fn rules(domain: &str, settings: WebsiteSettings) -> WebsiteRules {
        compile(domain, &settings).unwrap()
    }

    #[test]
    fn a_domain_is_enough() {
        let rules = WebsiteRules::for_domain("https://Example.com/").unwrap();
        assert_eq!(rules.website(), WebsiteRules::for_domain("example.com").unwrap().website());
        assert_ne!(rules.website(), WebsiteRules::for_domain("example.org").unwrap().website());
        assert_eq!(rules.check_host("www.example.com"), Ok(()));
        assert_eq!(WebsiteRules::for_domain("exa mple").unwrap_err().setting, "domain");
    }

    #[test]
    fn settings_that_mean_nothing_are_refused_by_name() {
        type Set = fn(&mut WebsiteSettings, String);
        const TOO_LONG: &str =
            "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789x";
        let cases: [(&str, Set, &[&str]); 5] = [
            (
                "allowed_domains",
                |s, v| s.allowed_domains = vec![v],
                &["", "*", "*.", "a*.com", "https://example.com", "exa mple.com", "a/b", "example.com:80", "a..b"],
            ),
            (
                "excluded_ips",
                |s, v| s.excluded_ips = vec![v],
                &["", "1.2.3", "1.2.3.4/33", "10.0.0.*", "::/129", "host"],
            ),
            ("excluded_paths", |s, v| s.excluded_paths = vec![v], &["", "admin", "https://example.com/", "/a\n"]),
            ("allowed_bots", |s, v| s.allowed_bots = vec![v], &["", "ab", "bot\n", TOO_LONG]),
            ("time_zone", |s, v| s.time_zone = v, &["", "Mars/Olympus", "../UTC"]),
        ];
        for (name, set, values) in cases {
            for value in values {
                let mut settings = WebsiteSettings::default();
                set(&mut settings, (*value).to_owned());
                let error = compile("example.com", &settings).unwrap_err();
                assert_eq!(error.setting, name, "{value:?}");
                let told = Quoted(value).to_string();
                assert!(error.problem.starts_with(&told) && !error.problem[told.len()..].contains(&told), "{error}");
            }
        }
        for percent in [0, 101] {
            let settings = WebsiteSettings { session_replay_sample_percent: percent, ..Default::default() };
            assert_eq!(compile("example.com", &settings).unwrap_err().setting, "session_replay_sample_percent");
        }
        let many = WebsiteSettings { excluded_paths: vec!["/".into(); RULES_MAX + 1], ..Default::default() };
        assert_eq!(compile("example.com", &many).unwrap_err().setting, "excluded_paths");
    }

    /// Sabotage: look at what was there before, or refuse an escaped `?`, which paths have.
    #[test]
    fn a_path_that_no_page_has_is_refused_when_it_is_written() {
        let with = |paths: &[&str]| WebsiteSettings {
            excluded_paths: paths.iter().map(|&path| path.to_owned()).collect(),
            ..Default::default()
        };
        let old = with(&["/old?x=1"]);
        for written in [&["/cart?step=*"][..], &["/a", "/b#c"]] {
            let refused = WebsiteRules::check_written(&with(written), &old).unwrap_err();
            assert_eq!(refused.setting, "excluded_paths");
            assert!(refused.problem.contains("has a query or a fragment"), "{refused}");
        }
        for written in [&["/old?x=1", "/a%3Fb"][..], &[]] {
            assert_eq!(WebsiteRules::check_written(&with(written), &old), Ok(()));
        }
        assert!(compile("example.com", &old).is_ok());
    }

    #[test]
    fn the_domain_and_its_subdomains_are_the_websites() {
        let site = rules("example.com", WebsiteSettings::default());
        for host in ["example.com", "www.example.com", "a.b.example.com"] {
            assert_eq!(site.check_host(host), Ok(()), "{host}");
        }
        for host in ["evil.com", "notexample.com", "example.com.evil.com", "example.co", ".example.com", "", "com"] {
            assert_eq!(site.check_host(host), Err(HostRefusal::Foreign), "{host:?}");
        }
        let www = rules("www.example.com", WebsiteSettings::default());
        assert_eq!(www.check_host("example.com"), Ok(()));
        assert_eq!(www.check_host("shop.example.com"), Err(HostRefusal::Foreign));
    }

    #[test]
    fn allowed_domains_replace_the_domain() {
        let allowed_domains = ["Shop.Example", "*.example.org", "bücher.example", "[2001:DB8::1]", "my_shop.example"];
        let allowed_domains = allowed_domains.map(String::from).to_vec();
        let site = rules("example.com", WebsiteSettings { allowed_domains, ..Default::default() });
        for host in [
            "shop.example",
            "a.example.org",
            "a.b.example.org",
            "xn--bcher-kva.example",
            "[2001:db8::1]",
            "my_shop.example",
        ] {
            assert_eq!(site.check_host(host), Ok(()), "{host}");
        }
        for host in ["example.com", "www.example.com", "www.shop.example", "example.org", "badexample.org"] {
            assert_eq!(site.check_host(host), Err(HostRefusal::Foreign), "{host}");
        }
    }

    #[test]
    fn local_hosts_need_the_setting() {
        let hosts = ["localhost", "app.localhost", "printer.local", "127.0.0.1", "127.9.9.9", "[::1]"];
        let closed = rules("localhost", WebsiteSettings::default());
        let open = rules("example.com", WebsiteSettings { allow_localhost: true, ..Default::default() });
        for host in hosts {
            assert_eq!(closed.check_host(host), Err(HostRefusal::Local), "{host}");
            assert_eq!(open.check_host(host), Ok(()), "{host}");
        }
        for host in ["localhost.evil.com", "128.0.0.1", "notlocal", "local"] {
            assert_eq!(open.check_host(host), Err(HostRefusal::Foreign), "{host}");
        }
    }

    #[test]
    fn addresses_are_excluded_alone_and_by_range() {
        let excluded_ips = ["203.0.113.7", "10.0.0.0/8", "2001:db8::/32", "::ffff:192.0.2.0/120"];
        let excluded_ips = excluded_ips.map(String::from).to_vec();
        let site = rules("example.com", WebsiteSettings { excluded_ips, ..Default::default() });
        for address in ["203.0.113.7", "::ffff:203.0.113.7", "10.255.0.1", "2001:db8:1::1", "192.0.2.9"] {
            assert!(site.excludes_address(address.parse().unwrap()), "{address}");
        }
        for address in ["203.0.113.8", "11.0.0.1", "2001:db9::1", "192.0.3.1"] {
            assert!(!site.excludes_address(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn path_patterns_match_whole_paths() {
        for (pattern, matching, other) in [
            ("/admin", &["/admin"][..], &["/admin/", "/admin/x", "/a"][..]),
            ("/admin/*", &["/admin/", "/admin/x/y"], &["/admin", "/x/admin/"]),
            ("*.php", &["/x.php"], &["/x.php/y"]),
            ("/a*b*c", &["/abc", "/a--b--c", "/abcbc"], &["/acb", "/ab", "/ac"]),
            ("/*/edit", &["/x/edit", "/x/y/edit"], &["/edit"]),
            ("*", &["/", "/x"], &[]),
            ("/ü*", &["/%C3%BCber"], &["/u"]),
            ("/%c3%bc*", &["/%C3%BCber"], &["/u"]),
            ("/%7Eme/*", &["/~me/x"], &["/me/x"]),
            ("/aa*aa", &["/aaaa"], &["/aaa"]),
        ] {
            let pattern = PathPattern::parse(pattern).unwrap();
            for path in matching {
                assert!(pattern.matches(path), "{pattern:?} {path}");
            }
            for path in other {
                assert!(!pattern.matches(path), "{pattern:?} {path}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_setting_is_parsed_or_refused(text in ".{0,60}") {
            let _ = (HostRule::parse(&text), parse_network(&text), PathPattern::parse(&text));
        }
    }
}
