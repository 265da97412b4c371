//! Crawlers: the published list of crawler-user-agents in one automaton, a general rule for agents that say
//! what they are, and what neither can know.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use regex::{Regex, RegexSet};

#[cfg(feature = "bots")]
use list::listed;

/// The longest user agent that is looked at; a longer one is a crawler's.
pub const AGENT_MAX_BYTES: usize = 2048;

/// The day on which the lists of browsers and bots in this crate were last made from what others publish, as `2026-11-28`.
pub const AGENTS_AS_OF: &str = include_str!("../data/agents-as-of.txt").trim_ascii();

/// What the list says of a user agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BotClass {
    /// Looks like a browser or an application.
    None,
    /// A general HTTP library such as `curl` or `python-requests`.
    Library,
    /// A crawler, a monitor, a preview or an automated browser.
    Crawler,
}

/// Why a hit is a bot's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum BotReason {
    /// A pattern of the list of known bots matches the agent.
    Listed,
    /// The agent says that it is a bot, or what work it does, or names an address for questions.
    NamesItself,
    /// The agent is longer than any browser's.
    TooLong,
    /// A page sent no agent at all.
    NoAgent,
    /// The page was only fetched ahead.
    Prefetch,
    /// The browser says that a program drives it.
    Webdriver,
}

impl BotReason {
    /// Every reason.
    pub const ALL: &'static [Self] =
        &[Self::Listed, Self::NamesItself, Self::TooLong, Self::NoAgent, Self::Prefetch, Self::Webdriver];

    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::NamesItself => "names_itself",
            Self::TooLong => "too_long",
            Self::NoAgent => "no_agent",
            Self::Prefetch => "prefetch",
            Self::Webdriver => "webdriver",
        }
    }
}

impl fmt::Display for BotReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of a user agent: its class, and what decided that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// The class.
    pub class: BotClass,
    /// Why it is that class; means nothing for [`BotClass::None`].
    pub reason: BotReason,
    /// The pattern or word that matched; empty for [`BotClass::None`].
    pub rule: &'static str,
}

impl Verdict {
    const NONE: Self = Self { class: BotClass::None, reason: BotReason::Listed, rule: "" };

    pub(crate) const fn crawler(reason: BotReason, rule: &'static str) -> Self {
        Self { class: BotClass::Crawler, reason, rule }
    }
}

/// What is known of `agent`. An agent longer than 2 KB is a crawler's: no browser sends one.
pub(crate) fn classify(agent: &str) -> Verdict {
    if agent.len() > AGENT_MAX_BYTES {
        return Verdict::crawler(BotReason::TooLong, "");
    }
    let verdict = listed(agent);
    if verdict.class == BotClass::Crawler {
        return verdict;
    }
    match names_itself(agent) {
        named if verdict.class == BotClass::None || named.class == BotClass::Crawler => named,
        _ => verdict,
    }
}

/// Without the feature `bots` only those are known that name themselves.
#[cfg(not(feature = "bots"))]
fn listed(_agent: &str) -> Verdict {
    Verdict::NONE
}

/// The published list, in one pass over the agent.
#[cfg(feature = "bots")]
mod list {
    use std::sync::OnceLock;

    use aho_corasick::AhoCorasick;
    use regex::RegexSet;

    use super::{BotClass, BotReason, Verdict};

    pub(super) static LIST: &str = include_str!("../data/bots.txt");

    /// A pattern of the list.
    #[derive(Clone, Copy)]
    struct Listed {
        class: BotClass,
        pattern: &'static str,
    }

    struct BotList {
        texts: AhoCorasick,
        listed_texts: Vec<Listed>,
        regexes: RegexSet,
        listed_regexes: Vec<Listed>,
    }

    impl BotList {
        fn new() -> Self {
            let (mut listed_texts, mut listed_regexes) = (vec![], vec![]);
            for line in LIST.lines().filter(|line| !line.starts_with('#')) {
                let mut parts = line.splitn(3, ' ');
                let class = if parts.next() == Some("library") { BotClass::Library } else { BotClass::Crawler };
                match (parts.next(), parts.next()) {
                    (Some("text"), Some(pattern)) => listed_texts.push(Listed { class, pattern }),
                    (_, Some(pattern)) => listed_regexes.push(Listed { class, pattern }),
                    (_, None) => {}
                }
            }
            // The list is part of the program: that it compiles is a fact of the build, and the tests run it.
            let texts = AhoCorasick::new(listed_texts.iter().map(|listed| listed.pattern))
                .unwrap_or_else(|error| panic!("data/bots.txt: {error}"));
            let regexes = RegexSet::new(listed_regexes.iter().map(|listed| listed.pattern))
                .unwrap_or_else(|error| panic!("data/bots.txt: {error}"));
            Self { texts, listed_texts, regexes, listed_regexes }
        }
    }

    /// What the list says of `agent`: a crawler before a library.
    pub(super) fn listed(agent: &str) -> Verdict {
        static BOTS: OnceLock<BotList> = OnceLock::new();
        let list = BOTS.get_or_init(BotList::new);
        let texts = list
            .texts
            .find_overlapping_iter(agent)
            .filter_map(|found| list.listed_texts.get(found.pattern().as_usize()));
        let regexes = list.regexes.matches(agent).into_iter().filter_map(|index| list.listed_regexes.get(index));
        let mut verdict = Verdict::NONE;
        for &Listed { class, pattern } in texts.chain(regexes) {
            verdict = Verdict { class, reason: BotReason::Listed, rule: pattern };
            if class == BotClass::Crawler {
                break;
            }
        }
        verdict
    }
}

/// Words by which agents say what they are, each with the name of its rule. Checked against the agents of some 60,000 real
/// browsers and devices; `tests` repeats the part of it that may be given away.
static NAMES: [(&str, BotClass, &str); 8] = [
    // As the end of a word, or before a word with a capital: not in `Abbott`, `bottom`, `Caboto`.
    (r"(?i:bot)s?(?:[^A-Za-z]|$)|[bB]ots?[A-Z]|^(?i:bot)|(?i:robot)", BotClass::Crawler, "bot"),
    (r"(?i)crawl", BotClass::Crawler, "crawl"),
    (r"(?i)spider", BotClass::Crawler, "spider"),
    (r"(?i)\+ ?(?:https?:|www\.|mailto:)|\+ ?[\w.-]+@[\w-]+\.", BotClass::Crawler, "+http"),
    // A driven browser is not a server's agent.
    (r"(?i)headless", BotClass::Crawler, "headless"),
    // A program's work, or an address without the plus: a bot's when a page sends it; a server may say so of itself.
    (r"(?i)monitor|synthetic|scrap(?:er|y|ing)|preview|validator|analy[sz]er", BotClass::Library, "work"),
    (r"(?i)archiver|\bprobe|inspector|(?:check|fetch)er|scanner", BotClass::Library, "work"),
    (r"(?i)https?://", BotClass::Library, "http"),
];

/// Whether `agent` says that it is a bot. What it says of the model of a phone does not count.
fn names_itself(agent: &str) -> Verdict {
    static SET: LazyLock<RegexSet> = LazyLock::new(|| {
        RegexSet::new(NAMES.iter().map(|(pattern, ..)| pattern)).unwrap_or_else(|error| panic!("NAMES: {error}"))
    });
    // Nearly every agent says nothing of the kind, with its model or without.
    if !SET.is_match(agent) {
        return Verdict::NONE;
    }
    let found = SET.matches(&without_models(agent));
    match found.iter().next().and_then(|index| NAMES.get(index)) {
        Some((_, BotClass::Library, _)) if is_in_app(agent) => Verdict::NONE,
        Some(&(_, class, rule)) => Verdict { class, reason: BotReason::NamesItself, rule },
        None => Verdict::NONE,
    }
}

/// Whether `agent` is that of the browser in an application on somebody's phone. Its name may say what the application is for:
/// one that scans codes or shows what a sensor monitors.
fn is_in_app(agent: &str) -> bool {
    static APPLE: LazyLock<Regex> = LazyLock::new(|| {
        // Safari itself has a version before `Mobile`.
        Regex::new(r"^Mozilla/5\.0 \(iP(?:hone|ad|od)[^)]*\) AppleWebKit/[\d.]+ \(KHTML, like Gecko\) Mobile/")
            .unwrap_or_else(|error| panic!("APPLE: {error}"))
    });
    agent.contains("; wv)") || APPLE.is_match(agent)
}

/// `agent` without the names that would be misread: the model of an Android device, which may be any word, the makers and
/// applications whose names end like a bot's, and the addresses that browsers carry.
fn without_models(agent: &str) -> Cow<'_, str> {
    static MODEL: LazyLock<Regex> = LazyLock::new(|| {
        let system = r"(?i)(?P<kept>\bAndroid(?: \d[\d.]*)?; (?:[a-z]{2}(?:[-_][a-z]{2})?; )?)";
        let model = r"[^;()/]*?(?P<end>[;)]| Build/)";
        let names = r"\bcubot|camscanner|https?://(?:bsalsa\.com|www\.xbmc\.org)";
        Regex::new(&format!("{system}{model}|{names}")).unwrap_or_else(|error| panic!("MODEL: {error}"))
    });
    MODEL.replace_all(agent, "$kept$end")
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

    fn corpus(packed: &[u8]) -> Vec<String> {
        let text = String::from_utf8(crate::data::unpack(packed).unwrap()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn is_bot(agent: &str) -> bool {
        classify(agent).class != BotClass::None
    }

    /// The agents of `corpus` that are taken for bots, or with `bots` those that are not.
    fn wrong(corpus: &[String], bots: bool) -> Vec<&str> {
        corpus.iter().map(String::as_str).filter(|agent| is_bot(agent) != bots).collect()
    }

    /// Real browsers: isbot's, those that npm's `user-agents` saw, and the devices of uap-core's tests.
    #[test]
    fn people_are_not_bots() {
        let mut isbot = corpus(include_bytes!("../data/tests/isbot-browsers.txt.zst"));
        // A scanner, on which the public lists disagree: `cases.tsv` has it as a bot.
        isbot.retain(|agent| !agent.contains("Assetnote/"));
        let seen = corpus(include_bytes!("../data/tests/user-agents.txt.zst"));
        let devices = corpus(include_bytes!("../data/tests/uap-core-devices.txt.zst"));
        assert!(isbot.len() > 500 && seen.len() > 900 && devices.len() > 15_000);
        assert_eq!(wrong(&isbot, false), Vec::<&str>::new());
        assert_eq!(wrong(&seen, false), Vec::<&str>::new());
        let wrong = wrong(&devices, false);
        assert!(wrong.len() * 1_000 <= devices.len(), "{} of {}: {wrong:#?}", wrong.len(), devices.len());
    }

    /// isbot's crawlers: nearly all, and every one that calls itself a bot.
    #[test]
    fn bots_are_not_people() {
        let isbot = corpus(include_bytes!("../data/tests/isbot-crawlers.txt.zst"));
        assert!(isbot.len() > 600);
        let missed = wrong(&isbot, true);
        assert!(missed.len() * 100 <= isbot.len() * 5, "{} of {}: {missed:#?}", missed.len(), isbot.len());
        let named = missed.iter().filter(|agent| {
            let agent = agent.to_ascii_lowercase();
            ["bot", "crawl", "spider", "+http"].iter().any(|word| agent.contains(word))
        });
        assert_eq!(named.collect::<Vec<_>>(), Vec::<&&str>::new());
    }

    /// The examples that crawler-user-agents gives for its patterns. Those that are not found are people's by a row of
    /// `bot-decisions.tsv`.
    #[test]
    fn published_examples_are_found_unless_they_are_peoples() {
        let examples = corpus(include_bytes!("../data/tests/crawler-user-agents.txt.zst"));
        assert!(examples.len() > 2_000);
        let out = include_str!("../data/bot-decisions.tsv").lines().filter_map(|row| row.strip_prefix("out\t"));
        let out = RegexSet::new(out.filter_map(|row| row.split('\t').next())).unwrap();
        let missed: Vec<_> = wrong(&examples, true).into_iter().filter(|agent| !out.is_match(agent)).collect();
        assert_eq!(missed, Vec::<&str>::new());
    }

    /// Agents of public lists, each with the list it comes from.
    #[test]
    fn agents_of_public_lists_are_judged_right() {
        let cases = include_str!("../data/tests/cases.tsv");
        assert!(cases.lines().count() > 40);
        for line in cases.lines().filter(|line| !line.starts_with('#')) {
            let [who, source, agent] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let expected = match who {
                "bot" => true,
                "person" => false,
                _ => panic!("{line}"),
            };
            assert_eq!(is_bot(agent), expected, "{source}: {agent}: {:?}", classify(agent));
        }
    }

    #[test]
    fn the_list_is_what_the_decisions_made_of_it() {
        let listed: Vec<_> = list::LIST.lines().filter_map(|line| line.splitn(3, ' ').nth(2)).collect();
        for row in include_str!("../data/bot-decisions.tsv").lines().filter(|line| !line.starts_with('#')) {
            let [action, old, new, why] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
            assert!(!why.is_empty(), "{row}");
            let plain = old.replace('\\', "");
            if action != "add" {
                assert!(!listed.contains(&old) && !listed.contains(&plain.as_str()), "{row}");
            }
            if action != "out" {
                let plain = new.replace('\\', "");
                assert!(listed.contains(&new) || listed.contains(&plain.as_str()), "{row}");
            }
        }
    }

    #[test]
    fn who_names_itself_is_a_bot_and_a_phone_of_that_name_is_not() {
        for (agent, rule) in [
            ("Mozilla/5.0 (compatible; NeverSeenBot/1.0)", "bot"),
            ("NeverSeenRobot", "bot"),
            ("BotOfMine", "bot"),
            ("some-bots/2", "bot"),
            ("Mozilla/5.0 (Linux; Android 10; NeverSeenBot/1.0) Chrome/120", "bot"),
            ("Mozilla/5.0 (Linux; Android 10; Nexus 5X) Chrome/120 (compatible; NeverSeenbot)", "bot"),
            ("never seen crawler", "crawl"),
            ("NeverSeenSpider", "spider"),
            ("NeverSeen/1 (+https://example.com)", "+http"),
            ("Headless NeverSeen/1", "headless"),
        ] {
            let expected = Verdict::crawler(BotReason::NamesItself, rule);
            assert_eq!(classify(agent), expected, "{agent}");
        }
        for (agent, rule) in [("Shop/1.0 (https://shop.example)", "http"), ("NeverSeenMonitor/1", "work")] {
            let own = Verdict { class: BotClass::Library, reason: BotReason::NamesItself, rule };
            assert_eq!(classify(agent), own, "{agent}");
        }
        let chrome = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120 Mobile Safari/537.36";
        for agent in [
            "MyServer/1.0",
            "Mozilla/5.0 (Linux; Android 10; CUBOT_X18_Plus) {}",
            "Mozilla/5.0 (Linux; Android 10; Cubot) {}",
            "Mozilla/5.0 (Linux; Android 10; Robot 5 Build/X) {}",
            "Mozilla/5.0 (Linux; U; Android 10; en-us; Spider 8) {}",
            "Mozilla/5.0 (Windows NT 10.0) {} Abbott Botswana",
            "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 5.1; Embedded Web Browser from: http://bsalsa.com/)",
            "XBMC/12.0 Git:20130127-fb595f2 (Windows NT 6.1;WOW64;Win64;x64; http://www.xbmc.org)",
        ] {
            let agent = agent.replace("{}", chrome);
            assert_eq!(classify(&agent), Verdict::NONE, "{agent}");
        }
    }

    #[test]
    fn libraries_are_told_from_crawlers() {
        let class = |agent: &str| classify(agent).class;
        assert_eq!(class("curl/8.5.0"), BotClass::Library);
        assert_eq!(class("python-requests/2.32"), BotClass::Library);
        assert_eq!(class("Mozilla/5.0 (compatible; Googlebot/2.1)"), BotClass::Crawler);
        assert_eq!(class("Mozilla/5.0 HeadlessChrome/130.0.0.0"), BotClass::Crawler);
        let long = classify(&"a".repeat(AGENT_MAX_BYTES + 1));
        assert_eq!(long, Verdict::crawler(BotReason::TooLong, ""));
    }

    #[test]
    fn prefetches_are_seen() {
        for purpose in ["prefetch", "prefetch;prerender", "preview", "PREFETCH, x"] {
            assert!(is_prefetch(purpose), "{purpose}");
        }
        assert!(!is_prefetch("") && !is_prefetch("navigate"));
    }
}
