//! The rules of websites, compiled once for each version of a website.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use zenovay_domain::{InvalidSetting, Website, WebsiteId, WebsiteRules};

use crate::bots::Verdict;

/// The memory of compiled rules, in bytes. What ten thousand websites with ordinary settings take is a third of it.
const MEMORY_MAX: usize = 32 << 20;

/// What the rules of a website take beside its settings' strings, and each of these strings beside its bytes.
const RULES_BYTES: usize = 800;
const STRING_BYTES: usize = 64;

/// Whether hits with the user agent `agent` are stored although `verdict` says that they are a bot's: one of the website's
/// `allowed_bots` is in the agent or in the rule, or is the reason where there is no rule.
pub(crate) fn allows_bot(rules: &WebsiteRules, verdict: Verdict, agent: &str) -> bool {
    let names = rules.allowed_bots();
    if names.is_empty() {
        return false;
    }
    let (agent, rule) = (agent.to_lowercase(), verdict.rule.to_lowercase());
    let is_reason = |name: &str| rule.is_empty() && name == verdict.reason.as_str();
    names.iter().any(|name| agent.contains(name) || rule.contains(name) || is_reason(name))
}

/// Remembers the rules of websites as long as their settings stay what they were.
#[derive(Debug, Default)]
pub(crate) struct RulesCache(RwLock<Compiled>);

#[derive(Debug, Default)]
struct Compiled {
    by_website: HashMap<WebsiteId, Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    compiled_from: Arc<Website>,
    rules: Arc<WebsiteRules>,
}

impl RulesCache {
    /// The rules of `website`.
    ///
    /// # Errors
    /// When its settings cannot be used. A store refuses such settings.
    pub(crate) fn get(&self, website: &Arc<Website>) -> Result<Arc<WebsiteRules>, InvalidSetting> {
        if let Some(Entry { compiled_from, rules }) = self.0.read().by_website.get(&website.id)
            && (Arc::ptr_eq(compiled_from, website) || compiled_from == website)
        {
            return Ok(Arc::clone(rules));
        }
        let rules = Arc::new(WebsiteRules::compile(website)?);
        let entry = Entry { compiled_from: Arc::clone(website), rules: Arc::clone(&rules) };
        self.0.write().insert(entry, MEMORY_MAX);
        Ok(rules)
    }
}

impl Compiled {
    /// Keeps `entry`. Where there is no room for it, all others go: compiling them again costs less than noting which of them
    /// are of use.
    fn insert(&mut self, entry: Entry, memory_max: usize) {
        let (id, bytes) = (entry.compiled_from.id, bytes_of(&entry.compiled_from));
        if let Some(old) = self.by_website.remove(&id) {
            self.bytes -= bytes_of(&old.compiled_from);
        }
        if self.bytes + bytes > memory_max {
            self.by_website.clear();
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.by_website.insert(id, entry);
    }
}

/// What the rules of `website` take, about: its settings, what was compiled from them, and the copy that they keep.
fn bytes_of(website: &Website) -> usize {
    let settings = &website.settings;
    let lists = [&settings.allowed_domains, &settings.excluded_ips, &settings.excluded_paths, &settings.allowed_bots];
    let strings = lists.into_iter().flatten().map(|string| STRING_BYTES + string.len());
    RULES_BYTES + 3 * strings.sum::<usize>()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::bots::BotReason;
    use zenovay_domain::{TeamId, Timestamp, WebsiteSettings};

    fn website(domain: &str, settings: WebsiteSettings) -> Website {
        let (id, team) = (WebsiteId::from_bytes([7; 16]), TeamId::from_bytes([8; 16]));
        Website::new(id, team, domain, "ZV_test".parse().unwrap(), Timestamp::from_millis(0)).with_settings(settings)
    }

    pub(crate) fn rules(settings: WebsiteSettings) -> WebsiteRules {
        WebsiteRules::new(WebsiteId::from_bytes([7; 16]), "example.com", &settings).unwrap()
    }

    #[test]
    fn rules_are_compiled_once_for_each_version_of_a_website() {
        let cache = RulesCache::default();
        let site = Arc::new(website("example.com", WebsiteSettings::default()));
        let first = cache.get(&site).unwrap();
        assert!(Arc::ptr_eq(&cache.get(&site).unwrap(), &first));
        let read_again = Arc::new(Website::clone(&site));
        assert!(Arc::ptr_eq(&cache.get(&read_again).unwrap(), &first), "nothing changed");
        let paused = WebsiteSettings::default().with(|s| s.is_active = false);
        assert!(!cache.get(&Arc::new(website("example.com", paused))).unwrap().settings().is_active);
        assert_eq!(cache.0.read().by_website.len(), 1);
    }

    /// Sabotage: leave the bound out.
    #[test]
    fn the_memory_of_compiled_rules_is_bounded() {
        let mut compiled = Compiled::default();
        let excluded_ips = vec!["192.0.2.1".to_owned(); 100];
        let settings = WebsiteSettings::default().with(|s| s.excluded_ips = excluded_ips);
        for number in 0..100 {
            let id = WebsiteId::from_random_bytes([number; 16]);
            let mut compiled_from = website("example.com", settings.clone());
            compiled_from.id = id;
            let compiled_from = Arc::new(compiled_from);
            let rules = Arc::new(WebsiteRules::compile(&compiled_from).unwrap());
            for _ in 0..2 {
                let entry = Entry { compiled_from: Arc::clone(&compiled_from), rules: Arc::clone(&rules) };
                compiled.insert(entry, 200_000);
            }
            let bytes: usize = compiled.by_website.values().map(|entry| bytes_of(&entry.compiled_from)).sum();
            assert_eq!(compiled.bytes, bytes);
            assert!(bytes <= 200_000 && compiled.by_website.contains_key(&id));
        }
        assert!(compiled.by_website.len() > 1);
    }

    #[test]
    fn a_bot_is_allowed_by_a_part_of_its_agent_or_by_its_rule() {
        let allowed = |names: &[&str], verdict, agent| {
            let allowed_bots = names.iter().map(|&name| name.to_owned()).collect();
            allows_bot(&rules(WebsiteSettings::default().with(|s| s.allowed_bots = allowed_bots)), verdict, agent)
        };
        let listed = Verdict::crawler(BotReason::Listed, "Pingdom");
        let driven = Verdict::crawler(BotReason::Webdriver, "");
        let agent = "Mozilla/5.0 (compatible; MyMonitor/1.0)";
        for (names, verdict, expected) in [
            (&["mymonitor"][..], listed, true),
            (&["other", "MYMONITOR/1"], listed, true),
            (&["PINGDOM"], listed, true),
            (&["mymonitor"], driven, true),
            (&["webdriver"], driven, true),
            // A reason alone would let every listed bot through.
            (&["listed"], listed, false),
            (&["webdriver"], listed, false),
            (&["other"], driven, false),
            (&[], listed, false),
        ] {
            assert_eq!(allowed(names, verdict, agent), expected, "{names:?} {verdict:?}");
        }
    }

    /// Sabotage: escape fewer characters than the URL standard does, and a pattern with one of them never matches.
    #[test]
    fn a_pattern_is_written_as_the_path_of_a_url_is() {
        for c in (b'!'..=b'~').map(char::from).chain([' ', 'é']).filter(|c| !"#%*./?\\".contains(*c)) {
            let path = format!("/a{c}b");
            let url = crate::WebUrl::parse(format!("https://example.com{path}")).unwrap();
            let site = rules(WebsiteSettings::default().with(|s| s.excluded_paths = vec![path.clone()]));
            assert!(site.excludes_path(url.path()), "{path} {}", url.path());
        }
    }
}
