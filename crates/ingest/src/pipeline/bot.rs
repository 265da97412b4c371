//! Step: whether a program sent it.

use std::sync::Arc;

use zenovay_domain::{Timestamp, WebsiteRules};

use crate::agent::Agent;
use crate::agents::AgentParser;
use crate::arrival::Arrival;
use crate::bots::{self, BotClass, BotReason, Verdict};
use crate::dropped::Dropped;
use crate::hit::CommonFields;
use crate::rules::allows_bot;
use crate::text::trim;

/// Reads user agents and counts what is dropped for them.
#[derive(Debug)]
pub(super) struct BotFilter {
    agents: AgentParser,
    pub(super) dropped: Dropped,
}

impl BotFilter {
    /// Compiles the rules for user agents, which takes as long as a great many hits, so that the first hit need not.
    pub(super) fn new() -> Self {
        let agents = AgentParser::new();
        agents.parse("warm-up");
        Self { agents, dropped: Dropped::default() }
    }

    /// The visitor's agent: the one that the body names, else that of the request with the client hints that came with it.
    pub(super) fn agent(&self, arrival: &Arrival<'_>, common: &CommonFields<'_>) -> Arc<Agent> {
        let user_agent = common.user_agent.as_deref().or(arrival.user_agent).unwrap_or("");
        // A server that tells the agent of its visitor has hints of its own.
        let is_senders_own = arrival.user_agent.is_some_and(|header| trim(header) == user_agent);
        if is_senders_own { self.agents.parse_with(user_agent, &arrival.hints) } else { self.agents.parse(user_agent) }
    }

    /// Whether a record is dropped as a bot's, which is counted. `agent` is [`BotFilter::agent`].
    ///
    /// A page's agent is judged in header and body, where general HTTP libraries stand for proxies in the header and for
    /// crawlers in the body. A server that sends events itself has an agent of its own choice: only crawlers' are dropped
    ///.
    pub(super) fn drops(
        &self,
        arrival: &Arrival<'_>,
        common: &CommonFields<'_>,
        agent: &Agent,
        rules: &WebsiteRules,
    ) -> bool {
        let body = common.user_agent.as_deref();
        let drops = |verdict, agent: &str| self.counts(rules, verdict, agent, arrival.received_at);
        if arrival.sender.has_key() {
            return agent.bot.class == BotClass::Crawler && drops(agent.bot, body.unwrap_or(""));
        }
        let header = arrival.user_agent.map(trim).filter(|header| !header.is_empty());
        let is_from_page = arrival.page().is_some();
        let unseen = [
            common.webdriver.then_some(BotReason::Webdriver),
            arrival.purpose.is_some_and(bots::is_prefetch).then_some(BotReason::Prefetch),
        ];
        let named = body.or(header).unwrap_or("");
        if unseen.into_iter().flatten().any(|reason| drops(Verdict::crawler(reason, ""), named)) {
            return true;
        }
        if let Some(body) = body {
            let is_library = is_from_page && agent.bot.class == BotClass::Library;
            if (is_library || agent.bot.class == BotClass::Crawler) && drops(agent.bot, body) {
                return true;
            }
            // A server's own agent says nothing of its visitor, and the same string in both places is the rule.
            if !is_from_page || header == Some(body) {
                return false;
            }
        }
        let Some(header) = header else {
            return is_from_page && drops(Verdict::crawler(BotReason::NoAgent, ""), "");
        };
        let verdict = if body.is_some() { self.agents.parse(header).bot } else { agent.bot };
        verdict.class == BotClass::Crawler && drops(verdict, header)
    }

    /// Whether a record with the user agent `agent` is dropped by `verdict`, which is counted, or is let through by the
    /// website.
    fn counts(&self, rules: &WebsiteRules, verdict: Verdict, agent: &str, at: Timestamp) -> bool {
        let drops = !allows_bot(rules, verdict, agent);
        if drops {
            self.dropped.count(rules.website(), verdict, agent, at);
        }
        drops
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::tests::{CHROME, arrival, row};
    use crate::rules::tests::rules;
    use std::borrow::Cow;
    use zenovay_domain::WebsiteSettings;

    /// Sabotage: judge a row of a batch as a page is.
    #[test]
    fn pages_servers_and_rows_of_batches_are_judged_each_by_its_own_rule() {
        let filter = BotFilter::new();
        let rules = rules(WebsiteSettings::default());
        let crawler = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
        let page = |user_agent| Arrival { user_agent, ..arrival() };
        let server = |user_agent| Arrival { origin: None, ..page(user_agent) };
        for (arrival, body, expected) in [
            (page(Some(CHROME)), CHROME, false),
            (page(Some(crawler)), CHROME, true),
            (page(Some(CHROME)), crawler, true),
            (page(Some("curl/8.5")), "curl/8.5", true),
            (page(Some("node-fetch/1.0")), CHROME, false),
            (page(None), CHROME, true),
            (server(None), "MyServer/1.0", false),
            (server(Some("curl/8.5")), "curl/8.5", false),
            (server(Some("node")), crawler, true),
            (row(), "curl/8.5", false),
            (row(), crawler, true),
            (row(), "", false),
        ] {
            let user_agent = (!body.is_empty()).then_some(Cow::Borrowed(body));
            let common = CommonFields { user_agent, ..CommonFields::default() };
            let agent = filter.agent(&arrival, &common);
            assert_eq!(filter.drops(&arrival, &common, &agent, &rules), expected, "{:?} {body}", arrival.user_agent);
        }
        let driven = CommonFields { webdriver: true, ..CommonFields::default() };
        let agent = filter.agent(&arrival(), &driven);
        assert!(filter.drops(&arrival(), &driven, &agent, &rules));
        assert!(!filter.drops(&row(), &driven, &agent, &rules), "a row has no browser of its own");
    }
}
