//! User agents that came lately, so that the same one is not parsed again.

use std::convert::Infallible;
use std::sync::Arc;

use moka::sync::Cache;

use crate::agent::{Agent, parse_agent};
use crate::bots::AGENT_MAX_BYTES;
use crate::hints::ClientHints;
use crate::recent::Recent;

/// The memory of the cache in front of the parser. An entry weighs about 300 bytes: some 13,000 agents.
const CACHE_MAX_BYTES: u64 = 4 << 20;

/// Places in front of the cache: several for each user agent that comes often.
const RECENT: usize = 4_096;

/// Parses user agents, remembering the latest.
#[derive(Debug)]
pub(crate) struct AgentParser {
    recent: Recent<Agent>,
    /// What agents say together with the client hints beside them.
    hinted: Recent<Agent>,
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
        Self { recent: Recent::new(RECENT), hinted: Recent::new(RECENT), cache }
    }

    /// What `agent` says when its browser also sent `hints`.
    pub(crate) fn parse_with(&self, agent: &str, hints: &ClientHints<'_>) -> Arc<Agent> {
        let Some(key) = hints.key(agent) else { return self.parse(agent) };
        let refined = || Ok::<_, Infallible>(Arc::new(hints.refine(&self.parse(agent))));
        let Ok(known) = self.hinted.get_or(key.as_bytes(), refined);
        known
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_answers_as_the_parser() {
        let parser = AgentParser::new();
        let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
        assert_eq!(*parser.parse(agent), parse_agent(agent));
        assert!(Arc::ptr_eq(&parser.parse(agent), &parser.parse(agent)));
        let hints = ClientHints { brands: Some(r#""Brave";v="130""#), ..ClientHints::default() };
        assert_eq!(*parser.parse_with(agent, &hints), hints.refine(&parse_agent(agent)));
        assert!(Arc::ptr_eq(&parser.parse_with(agent, &hints), &parser.parse_with(agent, &hints)));
        assert!(Arc::ptr_eq(&parser.parse_with(agent, &ClientHints::default()), &parser.parse(agent)));
    }
}
