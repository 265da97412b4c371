//! Client hints: what browsers say of themselves beside a user agent that says less each year.

use crate::agent::Agent;
use crate::bots::{BotClass, BotReason, Verdict};

/// The most bytes of a user agent and its hints together; longer hints are not looked at.
const KEY_MAX_BYTES: usize = 1_024;

/// The headers `Sec-CH-UA…` as sent; `None` when a header is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientHints<'a> {
    /// `Sec-CH-UA`: brands with the first number of their versions.
    pub brands: Option<&'a str>,
    /// `Sec-CH-UA-Full-Version-List`: brands with whole versions.
    pub full_versions: Option<&'a str>,
    /// `Sec-CH-UA-Mobile`: `?1` or `?0`.
    pub mobile: Option<&'a str>,
    /// `Sec-CH-UA-Platform`: the operating system.
    pub platform: Option<&'a str>,
    /// `Sec-CH-UA-Platform-Version`: its version.
    pub platform_version: Option<&'a str>,
    /// `Sec-CH-UA-Form-Factors`: kinds of device.
    pub form_factors: Option<&'a str>,
}

/// A user agent with its hints, as they are remembered.
pub(crate) struct Key {
    bytes: [u8; KEY_MAX_BYTES],
    len: usize,
}

impl Key {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn push(&mut self, text: &str) -> Option<()> {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Some(())
    }
}

/// Brands by the names under which browsers are counted.
const BRANDS: [(&str, &str); 20] = [
    ("Arc", "Arc"),
    ("Avast Secure Browser", "Avast Secure Browser"),
    ("AVG Secure Browser", "AVG Secure Browser"),
    ("Brave", "Brave"),
    ("CCleaner Browser", "CCleaner Browser"),
    ("CocCoc", "Coc Coc"),
    ("DuckDuckGo", "DuckDuckGo"),
    ("Ecosia", "Ecosia"),
    ("HuaweiBrowser", "Huawei Browser"),
    ("Microsoft Edge", "Edge"),
    ("Naver Whale", "Whale"),
    ("NAVER Whale", "Whale"),
    ("Oculus Browser", "Oculus Browser"),
    ("Opera", "Opera"),
    ("Opera Air", "Opera Air"),
    ("Opera GX", "Opera GX"),
    ("Samsung Internet", "Samsung Internet"),
    ("Vivaldi", "Vivaldi"),
    ("Whale", "Whale"),
    ("YaBrowser", "Yandex Browser"),
];

/// The brand of a browser that no person looks at.
const HEADLESS: &str = "HeadlessChrome";

impl<'a> ClientHints<'a> {
    fn all(&self) -> [Option<&'a str>; 6] {
        [self.brands, self.full_versions, self.mobile, self.platform, self.platform_version, self.form_factors]
    }

    /// What stands for `agent` with these hints; `None` when there are none, or too many.
    pub(crate) fn key(&self, agent: &str) -> Option<Key> {
        let hints = self.all();
        if hints.iter().all(Option::is_none) {
            return None;
        }
        let mut key = Key { bytes: [0; KEY_MAX_BYTES], len: 0 };
        key.push(agent)?;
        for hint in hints {
            // No header has this byte.
            key.push("\n")?;
            key.push(hint.unwrap_or(""))?;
        }
        Some(key)
    }

    /// `agent` with what the hints know better. A browser that the user agent names stays; only what it is built on gives
    /// way.
    pub(crate) fn refine(&self, agent: &Agent) -> Agent {
        let mut refined = agent.clone();
        if brands(self.brands).chain(brands(self.full_versions)).any(|(name, _)| name == HEADLESS)
            && agent.bot.class != BotClass::Crawler
        {
            refined.bot = Verdict::crawler(BotReason::Listed, HEADLESS);
        }
        if ["", "Chrome", "Opera"].contains(&agent.browser.as_str())
            && let Some((browser, version)) = self.browser()
            && browser != agent.browser
        {
            refined.browser = browser.to_owned();
            refined.browser_version = two_numbers(version);
        }
        self.refine_system(&mut refined);
        if let Some(device) = self.device(agent) {
            refined.device = device;
        }
        refined
    }

    /// The browser that a brand names, with its version.
    fn browser(&self) -> Option<(&'static str, &'a str)> {
        let known = |(brand, version): (&str, &'a str)| {
            BRANDS.iter().find(|(known, _)| *known == brand).map(|(_, name)| (*name, version))
        };
        brands(self.full_versions).chain(brands(self.brands)).find_map(known)
    }

    fn refine_system(&self, agent: &mut Agent) {
        let version = unquoted(self.platform_version.unwrap_or(""));
        let (os, version) = match unquoted(self.platform.unwrap_or("")) {
            "Windows" => ("Windows", windows(version).to_owned()),
            "macOS" => ("macOS", two_numbers(version)),
            "Android" => ("Android", two_numbers(version).trim_end_matches(".0").to_owned()),
            "Chrome OS" | "Chromium OS" | "ChromeOS" => ("Chrome OS", two_numbers(version)),
            "iOS" => ("iOS", two_numbers(version)),
            // The version is the kernel's.
            "Linux" => ("Linux", String::new()),
            _ => return,
        };
        // Systems that are made of Android are named by their own agents.
        if agent.os != os && !(os == "Android" && agent.os == "HarmonyOS") {
            agent.os = os.to_owned();
            agent.os_version.clear();
        }
        if !version.is_empty() {
            agent.os_version = version;
        }
    }

    fn device(&self, agent: &Agent) -> Option<&'static str> {
        let form = brands(self.form_factors).map(|(name, _)| name).find_map(|name| match name {
            "Desktop" => Some("desktop"),
            "Mobile" => Some("mobile"),
            "Tablet" => Some("tablet"),
            _ => None,
        });
        if form.is_some() {
            return form;
        }
        let android = unquoted(self.platform.unwrap_or("")) == "Android";
        match (self.mobile.map(str::trim), agent.device) {
            (Some("?1"), "" | "desktop") if agent.os != "Android" => Some("mobile"),
            // A tablet whose browser asks for the pages that desktops get.
            (Some("?0"), "" | "desktop") if android && agent.os != "Android" => Some("tablet"),
            (Some("?0"), "") => Some("desktop"),
            _ => None,
        }
    }
}

/// The strings of a structured list (RFC 8941) with their parameter `v`; what is not a string is passed over.
fn brands(list: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = list.unwrap_or("");
    std::iter::from_fn(move || {
        let (_, from) = rest.split_once('"')?;
        let (name, after) = from.split_once('"')?;
        rest = after;
        let version = after.strip_prefix(";v=\"").and_then(|text| text.split_once('"'));
        let version = version.map_or("", |(version, after)| {
            rest = after;
            version
        });
        Some((name, version))
    })
}

fn unquoted(text: &str) -> &str {
    text.trim().trim_matches('"')
}

/// The first two numbers of `version`: `130.0` of `130.0.6723.58`. Empty when it is not a version.
fn two_numbers(version: &str) -> String {
    let numbers: Vec<_> = version.split('.').take(2).collect();
    let valid =
        numbers.iter().all(|number| (1..=6).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit()));
    if valid { numbers.join(".") } else { String::new() }
}

/// The Windows that reports `version` as its platform version, see
/// <https://learn.microsoft.com/microsoft-edge/web-platform/how-to-detect-win11>.
fn windows(version: &str) -> &'static str {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(0)), Some(Ok(1))) => "7",
        (Some(Ok(0)), Some(Ok(2))) => "8",
        (Some(Ok(0)), Some(Ok(3))) => "8.1",
        (Some(Ok(1..=12)), _) => "10",
        (Some(Ok(13..)), _) => "11",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::parse_agent;
    use proptest::prelude::*;

    const WINDOWS: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";
    const LINUX: &str =
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";
    const PHONE: &str = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 \
                         Mobile Safari/537.36";
    const TV: &str = "Mozilla/5.0 (Linux; Android 12; BRAVIA 4K VH2 Build/STT2) AppleWebKit/537.36 (KHTML, like Gecko) \
                      Chrome/120.0.0.0 Safari/537.36";

    fn refined(agent: &str, hints: ClientHints<'_>) -> String {
        let agent = hints.refine(&parse_agent(agent));
        [&agent.browser, &agent.browser_version, &agent.os, &agent.os_version, agent.device].join("|")
    }

    #[test]
    fn hints_name_what_the_agent_hides() {
        let chrome = r#""Chromium";v="130", "Google Chrome";v="130", "Not?A_Brand";v="99""#;
        let brave = r#""Chromium";v="130", "Brave";v="130", "Not?A_Brand";v="99""#;
        let gx = r#""Opera GX";v="114", "Chromium";v="128", "Not;A=Brand";v="24""#;
        let edge = r#""Chromium";v="130.0.6723.70", "Microsoft Edge";v="130.0.2849.56", "Not?A_Brand";v="99.0.0.0""#;
        let none = ClientHints::default();
        let mobile = |mobile, hints| ClientHints { mobile: Some(mobile), ..hints };
        let platform = |name, version| ClientHints { platform: Some(name), platform_version: Some(version), ..none };
        for (agent, hints, expected) in [
            (WINDOWS, none, "Chrome|130.0|Windows|10|desktop"),
            (WINDOWS, ClientHints { brands: Some(chrome), ..none }, "Chrome|130.0|Windows|10|desktop"),
            (WINDOWS, ClientHints { brands: Some(brave), ..none }, "Brave|130|Windows|10|desktop"),
            (WINDOWS, ClientHints { brands: Some(gx), ..none }, "Opera GX|114|Windows|10|desktop"),
            (WINDOWS, ClientHints { full_versions: Some(edge), ..none }, "Edge|130.0|Windows|10|desktop"),
            (WINDOWS, platform("\"Windows\"", "\"15.0.0\""), "Chrome|130.0|Windows|11|desktop"),
            (WINDOWS, platform("\"Windows\"", "\"10.0.0\""), "Chrome|130.0|Windows|10|desktop"),
            (WINDOWS, platform("\"Windows\"", "\"0.3.0\""), "Chrome|130.0|Windows|8.1|desktop"),
            (WINDOWS, platform("\"Windows\"", "\"\""), "Chrome|130.0|Windows|10|desktop"),
            (PHONE, platform("\"Android\"", "\"14.0.0\""), "Chrome|130.0|Android|14|mobile"),
            (PHONE, mobile("?1", platform("\"Android\"", "")), "Chrome|130.0|Android|10|mobile"),
            (LINUX, mobile("?0", platform("\"Android\"", "\"14\"")), "Chrome|130.0|Android|14|tablet"),
            (LINUX, mobile("?1", platform("\"Android\"", "\"14\"")), "Chrome|130.0|Android|14|mobile"),
            (LINUX, ClientHints { form_factors: Some("\"Tablet\""), ..none }, "Chrome|130.0|Linux||tablet"),
            (LINUX, platform("\"Chrome OS\"", "\"15699.85.0\""), "Chrome|130.0|Chrome OS|15699.85|desktop"),
            (TV, mobile("?0", platform("\"Android\"", "\"12\"")), "Chrome|120.0|Android|12|desktop"),
            (WINDOWS, platform("\"<script>\"", "\"x\""), "Chrome|130.0|Windows|10|desktop"),
        ] {
            assert_eq!(refined(agent, hints), expected, "{agent} {hints:?}");
        }
    }

    #[test]
    fn a_browser_that_its_agent_names_stays() {
        let agent = format!("{WINDOWS} Vivaldi/7.0");
        let hints = ClientHints { brands: Some(r#""Microsoft Edge";v="130""#), ..ClientHints::default() };
        assert_eq!(refined(&agent, hints), "Vivaldi|7.0|Windows|10|desktop");
    }

    #[test]
    fn a_headless_browser_says_so_in_its_brands() {
        let hints = ClientHints { brands: Some(r#""HeadlessChrome";v="130""#), ..ClientHints::default() };
        assert_eq!(hints.refine(&parse_agent(WINDOWS)).bot, Verdict::crawler(BotReason::Listed, HEADLESS));
    }

    #[test]
    fn no_hints_and_too_long_ones_have_no_key() {
        assert!(ClientHints::default().key("a").is_none());
        let long = "x".repeat(KEY_MAX_BYTES);
        assert!(ClientHints { brands: Some(&long), ..ClientHints::default() }.key("a").is_none());
        let key = |mobile| ClientHints { mobile: Some(mobile), ..ClientHints::default() }.key("a").unwrap();
        assert_ne!(key("?0").as_bytes(), key("?1").as_bytes());
    }

    proptest! {
        #[test]
        fn any_hint_is_read(list in ".{0,60}", version in "[\"0-9.]{0,12}|.{0,12}") {
            let hints = ClientHints {
                brands: Some(&list), full_versions: Some(&list), platform: Some(&list), platform_version: Some(&version),
                form_factors: Some(&list), mobile: Some(&version),
            };
            let agent = hints.refine(&parse_agent(WINDOWS));
            prop_assert!(["desktop", "mobile", "tablet"].contains(&agent.device));
            prop_assert!(agent.os_version.len() <= 13 && agent.browser_version.len() <= 13);
        }
    }
}
