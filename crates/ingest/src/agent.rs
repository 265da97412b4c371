//! User agents: browser, operating system and kind of device.

use std::sync::LazyLock;

use regex::Regex;
use sha2::{Digest, Sha256};

use crate::bots::{self, AGENT_MAX_BYTES, Verdict};
#[cfg(feature = "agents")]
use named::names;

/// The first half of the SHA-256 of a user agent.
pub type AgentDigest = [u8; 16];

/// What a user agent says. Strings are empty when it does not say it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Agent {
    /// The browser's name.
    pub browser: String,
    /// The browser's version: up to two numbers, `17.5`.
    pub browser_version: String,
    /// The operating system's name.
    pub os: String,
    /// The operating system's version: up to two numbers.
    pub os_version: String,
    /// `desktop` (also televisions and consoles), `mobile` or `tablet`; empty when the agent is not a browser's.
    pub device: &'static str,
    /// Whether it is a crawler's, and why.
    pub bot: Verdict,
    /// Stands for the string in the names of visitors: with it they are hashed in one block, not in three.
    pub digest: AgentDigest,
}

/// What `agent` says, without a cache. Total; linear in the string.
///
/// ```
/// use zenovay_ingest::{BotClass, parse_agent};
///
/// assert_eq!(parse_agent("Googlebot/2.1 (+http://www.google.com/bot.html)").bot.class, BotClass::Crawler);
/// let agent = parse_agent("Mozilla/5.0 (X11; Linux x86_64; rv:139.0) Gecko/20100101 Firefox/139.0");
/// assert_eq!((agent.device, agent.bot.class), ("desktop", BotClass::None));
/// ```
pub fn parse_agent(agent: &str) -> Agent {
    let bot = bots::classify(agent);
    let digest = digest(agent);
    if agent.len() > AGENT_MAX_BYTES {
        let empty = String::new;
        return Agent {
            browser: empty(),
            browser_version: empty(),
            os: empty(),
            os_version: empty(),
            device: "",
            bot,
            digest,
        };
    }
    let Names { browser, browser_version, os } = names(agent);
    let (os, os_version) = os.unwrap_or_else(|| {
        let (os, version) = other_system(agent);
        (os.to_owned(), version)
    });
    let device = device_class(agent, &os);
    Agent { browser, browser_version, os: os_title(&os).to_owned(), os_version, device, bot, digest }
}

/// What the rules for user agents know. Strings are empty, and the system is `None`, where they do not.
#[derive(Default)]
struct Names {
    browser: String,
    browser_version: String,
    /// The system as uap-core calls it, and its version.
    os: Option<(String, String)>,
}

/// Without the feature `agents` nothing is known of browsers.
#[cfg(not(feature = "agents"))]
fn names(_agent: &str) -> Names {
    Names::default()
}

/// The rules of uap-core, and ours before them.
#[cfg(feature = "agents")]
mod named {
    use std::sync::OnceLock;

    use ua_parser::user_agent::Parser;
    use ua_parser::{Extractor, Regexes};

    use super::{Names, browser_name, version};
    use crate::data;

    static RULES: &[u8] = include_bytes!("../data/agents.json.zst");
    static APPS: &str = include_str!("../data/apps.tsv");

    pub(super) fn names(agent: &str) -> Names {
        let extractor = extractor();
        let browser = extractor.ua.extract(agent).filter(|found| found.family != "Other");
        // A Nintendo 3DS says that it is like an iPhone.
        let os = extractor.os.extract(agent).filter(|found| found.os != "Other" && !agent.contains(" like iPhone)"));
        Names {
            browser: browser.as_ref().map_or_else(String::new, |found| browser_name(&found.family).to_owned()),
            browser_version: browser.as_ref().map_or_else(String::new, |found| version(found.major, found.minor)),
            os: os.map(|os| (os.os.into_owned(), version(os.major.as_deref(), os.minor.as_deref()))),
        }
    }

    pub(super) fn extractor() -> &'static Extractor<'static> {
        static EXTRACTOR: OnceLock<Extractor<'static>> = OnceLock::new();
        EXTRACTOR.get_or_init(|| {
            // The rules are part of the program: that they compile is a fact of the build, and the tests run them.
            let json = data::unpack(RULES).unwrap_or_else(|error| panic!("data/agents.json.zst: {error}"));
            let regexes: Regexes<'static> =
                serde_json::from_slice(&json).unwrap_or_else(|error| panic!("data/agents.json.zst: {error}"));
            // The rules of uap-core are tried in their order; ours come before them.
            let regexes = Regexes { user_agent_parsers: apps().chain(regexes.user_agent_parsers).collect(), ..regexes };
            Extractor::try_from(regexes).unwrap_or_else(|error| panic!("data/agents.json.zst: {error}"))
        })
    }

    /// The rules of `apps.tsv`.
    fn apps() -> impl Iterator<Item = Parser<'static>> {
        let rows = APPS.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t'));
        rows.map(|(regex, name)| Parser {
            regex: regex.into(),
            family_replacement: Some(name.into()),
            ..Parser::default()
        })
    }
}

fn digest(agent: &str) -> AgentDigest {
    let whole = Sha256::digest(agent);
    let mut half = AgentDigest::default();
    half.copy_from_slice(&whole[..size_of::<AgentDigest>()]);
    half
}

fn version(major: Option<&str>, minor: Option<&str>) -> String {
    match (major, minor) {
        (Some(major), Some(minor)) => format!("{major}.{minor}"),
        (Some(major), None) => major.to_owned(),
        (None, _) => String::new(),
    }
}

/// Variants of one browser under the one name people know.
#[cfg(feature = "agents")]
fn browser_name(family: &str) -> &str {
    match family {
        "Chrome Mobile" | "Chrome Mobile iOS" | "Chrome Mobile WebView" => "Chrome",
        "Firefox Mobile" | "Firefox iOS" => "Firefox",
        "Mobile Safari" | "Mobile Safari UI/WKWebView" => "Safari",
        "Edge Mobile" => "Edge",
        "Opera Mobile" | "Opera Mini" => "Opera",
        "WeChat Browser" => "WeChat",
        other => other,
    }
}

fn os_title(name: &str) -> &str {
    match name {
        "Mac OS X" => "macOS",
        "Web0S" => "webOS",
        "Ubuntu" | "Debian" | "Fedora" | "Linux Mint" | "Arch Linux" | "Red Hat" | "SUSE" => "Linux",
        other => other,
    }
}

/// Systems that uap-core does not know.
fn other_system(agent: &str) -> (&'static str, String) {
    static HARMONY: LazyLock<Regex> = LazyLock::new(|| pattern(r"OpenHarmony[ /](\d+)(?:\.(\d+))?"));
    if let Some(found) = HARMONY.captures(agent) {
        let number = |group| found.get(group).map(|number| number.as_str());
        return ("HarmonyOS", version(number(1), number(2)));
    }
    let known = [("PlayStation", "PlayStation"), ("PLAYSTATION", "PlayStation"), ("Nintendo", "Nintendo")];
    let name = known.iter().find(|(word, _)| agent.contains(word)).map_or("", |(_, name)| name);
    (name, String::new())
}

/// A pattern of ours; that it compiles is a fact of the build, and the tests run it.
fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"))
}

/// The kind of device. Televisions and consoles have a large screen that nobody touches: they count as desktops.
fn device_class(agent: &str, os: &str) -> &'static str {
    /// Consoles to hold in the hand.
    static HANDHELD: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(?i)PlayStation (?:Vita|Portable)|Nintendo (?:3DS|DSi?\b)|\bPSP\b"));
    /// What has a large screen.
    static SCREEN: LazyLock<Regex> = LazyLock::new(|| {
        const SAYS: [&str; 6] = [
            // Televisions that say so, and systems and makers of televisions.
            r"\b(?:smart|google|apple|android|hbb|net|i|web|opera|mi|fire)[-_ .]?tv\b|\bA?TV\b|\bA?TV[-_/\d]",
            r"[a-z\d]TV[;)/ ]",
            r"smart-?tv|webos\.?tv|web0s|netcast|inettv|bravia|\bviera|vidaa|vizio|roku|\bdtv|\bSTV-|\bLED\d",
            // Sticks and boxes beside them.
            r"crkey|chromecast|\bAFT[A-Z\d]|\bADT-\d|set-?top|\bSTB\b|\bOTT\b|mibox|[a-z]box\b|smart box|[_ -]box[;) _]",
            r"\bMAG\d|kodi/|\b(?:[HX]96|MXQ|T95)|\b(?:4K|UHD)",
            // Consoles and laptops.
            r"playstation|\bPS3\b|xbox|nintendo|\bouya\b|gamepad|chromebook|pixelbook",
        ];
        pattern(&format!("(?i){}", SAYS.join("|")))
    });
    static TABLET: LazyLock<Regex> = LazyLock::new(|| {
        const SAYS: [&str; 2] = [
            r"iPad|Tablet\b|Kindle|Silk/|PlayBook|hp-tablet|TouchPad|\bKF[A-Z]{2,}\b|\bKobo\b|Nexus (?:7|9|10)\b",
            r"\bSM-[TX]\d{3}|\bGT-P\d{4}|\bTB-?[X\d]|\b(?i:tab|pad)\b",
        ];
        pattern(&SAYS.join("|"))
    });
    if HANDHELD.is_match(agent) {
        return "mobile";
    }
    if SCREEN.is_match(agent) {
        return "desktop";
    }
    let has = |text: &str| agent.contains(text);
    let mobile = has("Mobile") || has("Mobi");
    if has("Windows CE") || has("IEMobile") || has("Lumia") {
        return "mobile";
    }
    match os {
        // A component of Windows is named `Tablet PC`.
        "Windows" => "desktop",
        "iOS" if !has("iPad") => "mobile",
        _ if TABLET.is_match(agent) && !has("Fire Phone") => "tablet",
        "Android" | "HarmonyOS" if !mobile && !has("Opera Mini") && !has("Phone") && !has("Dalvik/") => "tablet",
        "iOS" | "Android" | "HarmonyOS" | "KaiOS" | "Firefox OS" | "Bada" | "Tizen" | "MeeGo" | "Maemo" | "WatchOS"
        | "webOS" | "Brew" | "BREW" => "mobile",
        "" if mobile || has("MIDP") || has("Phone") => "mobile",
        "" => "",
        _ if ["Windows Phone", "Windows Mobile", "Windows CE", "BlackBerry", "Symbian", "Nokia"]
            .iter()
            .any(|phone| os.starts_with(phone)) =>
        {
            "mobile"
        }
        "Mac OS X" => "desktop",
        _ if mobile => "mobile",
        _ => "desktop",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Televisions and consoles are desktops, in-app browsers have the names of their applications.
    #[test]
    fn browsers_systems_and_devices() {
        let rows = include_str!("../data/tests/names.tsv").lines().filter(|line| !line.starts_with('#'));
        let mut checked = 0;
        for row in rows {
            let [expected, report, agent] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
            let a = parse_agent(agent);
            let found = [&a.browser, &a.browser_version, &a.os, &a.os_version, a.device].join("|");
            match expected.strip_prefix("*|") {
                Some(device) => assert_eq!(a.device, device, "{report} {agent}"),
                None => assert_eq!(found, expected, "{report} {agent}"),
            }
            checked += 1;
        }
        assert!(checked > 40);
        assert_eq!(parse_agent("").browser, "");
    }

    /// uap-core's own tests of browsers and systems, by its rules with ours before them.
    #[test]
    fn the_published_tests_pass() {
        /// Agent, family, first and second number of the version.
        type Case = (String, String, Option<String>, Option<String>);
        let json = crate::data::unpack(include_bytes!("../data/tests/uap-core.json.zst")).unwrap();
        let tests: std::collections::HashMap<String, Vec<Case>> = serde_json::from_slice(&json).unwrap();
        let extractor = named::extractor();
        for (part, least) in [("browsers", 1_500), ("systems", 450)] {
            let cases = &tests[part];
            assert!(cases.len() >= least);
            let mut wrong = Vec::new();
            for (agent, family, major, minor) in cases {
                let owned = |text: Option<&str>| text.map(str::to_owned);
                let (found, first, second) = if part == "browsers" {
                    extractor.ua.extract(agent).map_or(("Other".to_owned(), None, None), |ua| {
                        (ua.family.into_owned(), owned(ua.major), owned(ua.minor))
                    })
                } else {
                    extractor.os.extract(agent).map_or(("Other".to_owned(), None, None), |os| {
                        (os.os.into_owned(), owned(os.major.as_deref()), owned(os.minor.as_deref()))
                    })
                };
                if (&found, &first, &second) != (family, major, minor) {
                    wrong.push((agent, family, found, first, second));
                }
            }
            assert!(wrong.len() * 100 <= cases.len(), "{part}: {} of {}: {wrong:#?}", wrong.len(), cases.len());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_agent_is_parsed(agent in "(Mozilla/5\\.0 )?.{0,150}") {
            let parsed = parse_agent(&agent);
            prop_assert!(["", "desktop", "mobile", "tablet"].contains(&parsed.device));
        }
    }
}
