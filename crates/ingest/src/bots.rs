//! Crawlers (SPEC K10): the published list of crawler-user-agents in one automaton, and what it cannot know.

use std::sync::OnceLock;

use aho_corasick::AhoCorasick;
use regex::RegexSet;

use crate::agent::AGENT_MAX_BYTES;

static LIST: &str = include_str!("../data/bots.txt");

/// What the list says of a user agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BotClass {
    /// Looks like a browser or an application.
    None,
    /// A general HTTP library such as `curl` or `python-requests`.
    Library,
    /// A crawler, a monitor, a preview or an automated browser.
    Crawler,
}

/// Finds crawlers by their user agent, in one pass over it.
#[derive(Debug)]
pub(crate) struct BotList {
    texts: AhoCorasick,
    text_is_library: Vec<bool>,
    regexes: RegexSet,
    regex_is_library: Vec<bool>,
}

impl BotList {
    fn new() -> Self {
        let (mut texts, mut text_is_library, mut regexes, mut regex_is_library) = (vec![], vec![], vec![], vec![]);
        for line in LIST.lines().filter(|line| !line.starts_with('#')) {
            let mut parts = line.splitn(3, ' ');
            let library = parts.next() == Some("library");
            match (parts.next(), parts.next()) {
                (Some("text"), Some(pattern)) => {
                    texts.push(pattern);
                    text_is_library.push(library);
                }
                (_, Some(pattern)) => {
                    regexes.push(pattern);
                    regex_is_library.push(library);
                }
                (_, None) => {}
            }
        }
        // The list is part of the program: that it compiles is a fact of the build, and the tests run it.
        let texts = AhoCorasick::new(texts).unwrap_or_else(|error| panic!("data/bots.txt: {error}"));
        let regexes = RegexSet::new(regexes).unwrap_or_else(|error| panic!("data/bots.txt: {error}"));
        Self { texts, text_is_library, regexes, regex_is_library }
    }

    /// What the list says of `agent`. An agent longer than 2 KB is a crawler's: no browser sends one.
    pub(crate) fn classify(&self, agent: &str) -> BotClass {
        if agent.len() > AGENT_MAX_BYTES {
            return BotClass::Crawler;
        }
        let texts = self
            .texts
            .find_overlapping_iter(agent)
            .map(|found| self.text_is_library.get(found.pattern().as_usize()).copied().unwrap_or(false));
        let regexes = self
            .regexes
            .matches(agent)
            .into_iter()
            .map(|index| self.regex_is_library.get(index).copied().unwrap_or(false));
        let mut class = BotClass::None;
        for library in texts.chain(regexes) {
            if !library {
                return BotClass::Crawler;
            }
            class = BotClass::Library;
        }
        class
    }
}

pub(crate) fn list() -> &'static BotList {
    static BOTS: OnceLock<BotList> = OnceLock::new();
    BOTS.get_or_init(BotList::new)
}

/// Whether `Sec-Purpose` or `Purpose` says that the page was loaded ahead and may never be seen.
pub(crate) fn is_prefetch(purpose: &str) -> bool {
    purpose
        .split([',', ';', ' '])
        .any(|word| ["prefetch", "prerender", "preview"].iter().any(|known| word.trim().eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples that the list's publishers give for their patterns.
    #[test]
    fn every_published_example_is_found() {
        let text = zstd::decode_all(&include_bytes!("../data/bot-examples.txt.zst")[..]).unwrap();
        let text = String::from_utf8(text).unwrap();
        let missed: Vec<_> = text.lines().filter(|agent| list().classify(agent) == BotClass::None).collect();
        assert!(text.lines().count() > 2_000);
        assert_eq!(missed, Vec::<&str>::new());
    }

    #[test]
    fn browsers_and_own_servers_are_not_crawlers() {
        for agent in [
            "MyServer/1.0",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 \
             Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            "Mozilla/5.0 (Linux; Android 10; CUBOT_X18_Plus) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120 Mobile Safari/537.36",
        ] {
            assert_eq!(list().classify(agent), BotClass::None, "{agent}");
        }
    }

    #[test]
    fn libraries_are_told_from_crawlers() {
        assert_eq!(list().classify("curl/8.5.0"), BotClass::Library);
        assert_eq!(list().classify("python-requests/2.32"), BotClass::Library);
        assert_eq!(list().classify("Mozilla/5.0 (compatible; Googlebot/2.1)"), BotClass::Crawler);
        assert_eq!(list().classify("Mozilla/5.0 HeadlessChrome/130.0.0.0"), BotClass::Crawler);
        assert_eq!(list().classify(&"a".repeat(AGENT_MAX_BYTES + 1)), BotClass::Crawler);
    }

    #[test]
    fn prefetches_are_seen() {
        for purpose in ["prefetch", "prefetch;prerender", "preview", "PREFETCH, x"] {
            assert!(is_prefetch(purpose), "{purpose}");
        }
        assert!(!is_prefetch("") && !is_prefetch("navigate"));
    }
}
