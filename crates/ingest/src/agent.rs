//! User agents: browser, operating system and kind of device.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use moka::sync::Cache;
use sha2::{Digest, Sha256};
use ua_parser::{Extractor, Regexes};

use crate::bots::{self, BotClass};
use crate::data;
use crate::recent::Recent;

/// The longest user agent that is looked at; a longer one is a crawler's.
pub const AGENT_MAX_BYTES: usize = 2048;

/// The memory of the cache in front of the parser. An entry weighs about 300 bytes: some 13,000 agents.
const CACHE_MAX_BYTES: u64 = 4 << 20;

/// Places in front of the cache: several for each user agent that comes often.
const RECENT: usize = 4_096;

static RULES: &[u8] = include_bytes!("../data/agents.json.zst");

/// The first half of the SHA-256 of a user agent.
pub type AgentDigest = [u8; 16];

/// What a user agent says. Texts are empty when it does not say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// The browser's name.
    pub browser: String,
    /// The browser's version: up to two numbers, `17.5`.
    pub browser_version: String,
    /// The operating system's name.
    pub os: String,
    /// The operating system's version: up to two numbers.
    pub os_version: String,
    /// `desktop`, `mobile` or `tablet`; empty when the agent is no browser's.
    pub device: &'static str,
    /// Whether it is a crawler's.
    pub bot: BotClass,
    /// Stands for the text in the names of visitors: with it they are hashed in one block, not in three.
    pub digest: AgentDigest,
}

/// Parses user agents, remembering the latest.
#[derive(Debug)]
pub(crate) struct AgentParser {
    recent: Recent<Agent>,
    cache: Cache<String, Arc<Agent>>,
}

impl AgentParser {
    pub(crate) fn new() -> Self {
        let cache = Cache::builder()
            .max_capacity(CACHE_MAX_BYTES)
            .weigher(|key: &String, agent: &Arc<Agent>| {
                let texts = agent.browser.len() + agent.browser_version.len() + agent.os.len() + agent.os_version.len();
                u32::try_from(key.len() + texts + 200).unwrap_or(u32::MAX)
            })
            .build();
        Self { recent: Recent::new(RECENT), cache }
    }

    /// What `agent` says. An agent longer than [`AGENT_MAX_BYTES`] says nothing.
    pub(crate) fn parse(&self, agent: &str) -> Arc<Agent> {
        if agent.len() > AGENT_MAX_BYTES {
            return Arc::new(parse_agent(agent));
        }
        let Ok(known) = self.recent.get_or(agent.as_bytes(), || Ok::<_, Infallible>(self.look_up(agent)));
        known
    }

    fn look_up(&self, agent: &str) -> Arc<Agent> {
        if let Some(known) = self.cache.get(agent) {
            return known;
        }
        let parsed = Arc::new(parse_agent(agent));
        self.cache.insert(agent.to_owned(), Arc::clone(&parsed));
        parsed
    }
}

/// What `agent` says, without a cache. Total; linear in the text.
pub fn parse_agent(agent: &str) -> Agent {
    let bot = bots::list().classify(agent);
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
    let extractor = extractor();
    let browser = extractor.ua.extract(agent).filter(|found| found.family != "Other");
    let os = extractor.os.extract(agent).filter(|found| found.os != "Other");
    let os_name = os.as_ref().map_or("", |os| &*os.os);
    let device = device_class(agent, os_name);
    Agent {
        browser: browser.as_ref().map_or_else(String::new, |found| browser_name(&found.family).to_owned()),
        browser_version: browser.as_ref().map_or_else(String::new, |found| version(found.major, found.minor)),
        os: os_title(os_name).to_owned(),
        os_version: os
            .as_ref()
            .map_or_else(String::new, |found| version(found.major.as_deref(), found.minor.as_deref())),
        device,
        bot,
        digest,
    }
}

fn digest(agent: &str) -> AgentDigest {
    let whole = Sha256::digest(agent);
    let mut half = AgentDigest::default();
    half.copy_from_slice(&whole[..size_of::<AgentDigest>()]);
    half
}

fn extractor() -> &'static Extractor<'static> {
    static EXTRACTOR: OnceLock<Extractor<'static>> = OnceLock::new();
    EXTRACTOR.get_or_init(|| {
        // The rules are part of the program: that they compile is a fact of the build, and the tests run them.
        let json = data::unpack(RULES).unwrap_or_else(|error| panic!("data/agents.json.zst: {error}"));
        let regexes: Regexes<'static> =
            serde_json::from_slice(&json).unwrap_or_else(|error| panic!("data/agents.json.zst: {error}"));
        // The device rules name models, which nobody asks for: the class comes from system and form factor.
        let regexes = Regexes { device_parsers: Vec::new(), ..regexes };
        Extractor::try_from(regexes).unwrap_or_else(|error| panic!("data/agents.json.zst: {error}"))
    })
}

fn version(major: Option<&str>, minor: Option<&str>) -> String {
    match (major, minor) {
        (Some(major), Some(minor)) => format!("{major}.{minor}"),
        (Some(major), None) => major.to_owned(),
        (None, _) => String::new(),
    }
}

/// Variants of one browser under the one name people know.
fn browser_name(family: &str) -> &str {
    match family {
        "Chrome Mobile" | "Chrome Mobile iOS" | "Chrome Mobile WebView" => "Chrome",
        "Firefox Mobile" | "Firefox iOS" => "Firefox",
        "Mobile Safari" | "Mobile Safari UI/WKWebView" => "Safari",
        "Edge Mobile" => "Edge",
        "Opera Mobile" | "Opera Mini" => "Opera",
        other => other,
    }
}

fn os_title(name: &str) -> &str {
    match name {
        "Mac OS X" => "macOS",
        "Ubuntu" | "Debian" | "Fedora" | "Linux Mint" | "Arch Linux" | "Red Hat" | "SUSE" => "Linux",
        other => other,
    }
}

fn device_class(agent: &str, os: &str) -> &'static str {
    let has = |text: &str| agent.contains(text);
    if has("iPad") || has("Tablet") || has("Kindle") || has("Silk/") || has("PlayBook") {
        return "tablet";
    }
    match os {
        "Android" | "HarmonyOS" if !has("Mobile") && !has("Mobi") => "tablet",
        "iOS" | "Android" | "HarmonyOS" | "Windows Phone" | "BlackBerry OS" | "KaiOS" | "Firefox OS" => "mobile",
        "" if has("Mobile") || has("Mobi") => "mobile",
        "" => "",
        _ => "desktop",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn browsers_systems_and_devices() {
        let chrome = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0";
        for (agent, expected) in [
            (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {chrome} Safari/537.36"), "Chrome 130.0 Windows 10 desktop"),
            (format!("Mozilla/5.0 (Linux; Android 10; K) {chrome} Mobile Safari/537.36"), "Chrome 130.0 Android 10 mobile"),
            (format!("Mozilla/5.0 (Linux; Android 13; SM-X900) {chrome} Safari/537.36"), "Chrome 130.0 Android 13 tablet"),
            (
                format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {chrome} Safari/537.36 Edg/130.0.2849.46"),
                "Edge 130.0 Windows 10 desktop",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 \
                 Mobile/15E148 Safari/604.1"
                    .to_owned(),
                "Safari 17.5 iOS 17.5 mobile",
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 \
                 Mobile/15E148 Safari/604.1"
                    .to_owned(),
                "Safari 16.6 iOS 16.6 tablet",
            ),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0".to_owned(), "Firefox 128.0 Linux  desktop"),
            ("MyServer/1.0".to_owned(), "    "),
            (String::new(), "    "),
        ] {
            let a = parse_agent(&agent);
            let found = [&a.browser, &a.browser_version, &a.os, &a.os_version, a.device].join(" ");
            assert_eq!(found, expected, "{agent}");
        }
    }

    #[test]
    fn the_cache_answers_as_the_parser() {
        let parser = AgentParser::new();
        let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
        assert_eq!(*parser.parse(agent), parse_agent(agent));
        assert!(Arc::ptr_eq(&parser.parse(agent), &parser.parse(agent)));
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
