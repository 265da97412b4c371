//! Plans and their limits: the one table of numbers, editable by the operator.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::names::named;

/// What a team pays for. Self-hosters choose it freely per team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Plan {
    /// No External API.
    Free,
    /// External API at 30 requests a minute.
    Pro,
    /// External API at 60 requests a minute.
    Scale,
    /// External API at 120 requests a minute.
    Enterprise,
}

impl Plan {
    /// All plans, the smallest first.
    pub const ALL: &'static [Self] = &[Self::Free, Self::Pro, Self::Scale, Self::Enterprise];

    /// The name on the wire, in the configuration and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Pro => "pro",
            Self::Scale => "scale",
            Self::Enterprise => "enterprise",
        }
    }
}

named!(Plan, "plan");

/// Something that some plans include and others do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Feature {
    /// Funnels: steps in order, and how far visits get.
    Funnels,
    /// Where visitors click.
    Heatmaps,
    /// Recorded sessions.
    Replays,
    /// Errors that visitors met.
    Errors,
}

impl Feature {
    /// All features.
    pub const ALL: &'static [Self] = &[Self::Funnels, Self::Heatmaps, Self::Replays, Self::Errors];

    /// The name on the wire and in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Funnels => "funnels",
            Self::Heatmaps => "heatmaps",
            Self::Replays => "replays",
            Self::Errors => "errors",
        }
    }
}

named!(Feature, "feature");

/// The numbers of one plan. `None` means without limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PlanLimits {
    /// External API requests per key and UTC minute; 0 means no access to the External API at all.
    pub requests_per_minute: u32,
    /// External API requests per key and UTC calendar month.
    pub requests_per_month: u64,
    /// Pageviews and events a UTC month that are stored; what comes beyond them is not.
    pub events_per_month: Option<u64>,
    /// Websites a team may have.
    pub websites: Option<u32>,
    /// Members a team may have.
    pub members: Option<u32>,
    /// Days for which events are kept.
    pub retention_days: Option<u32>,
    /// What the plan includes.
    pub features: BTreeSet<Feature>,
    /// Questions of assistants (MCP) per account and UTC day.
    pub mcp_queries_per_day: Option<u64>,
}

impl PlanLimits {
    /// So many External API requests a minute and a month, all features, and no other limit.
    pub fn new(requests_per_minute: u32, requests_per_month: u64) -> Self {
        Self {
            requests_per_minute,
            requests_per_month,
            events_per_month: None,
            websites: None,
            members: None,
            retention_days: None,
            features: Feature::ALL.iter().copied().collect(),
            mcp_queries_per_day: None,
        }
    }
}

/// The limits of every plan.
///
/// ```
/// use zenovay_domain::{Feature, Plan, PlanTable};
///
/// let mut plans = PlanTable::default();
/// plans.limits_mut(Plan::Pro).requests_per_minute = 120;
/// plans.limits_mut(Plan::Free).features.remove(&Feature::Funnels);
/// assert_eq!(plans.limits("pro".parse()?).requests_per_minute, 120);
/// assert!(!plans.includes(Plan::Free, Feature::Funnels));
/// # Ok::<(), zenovay_domain::UnknownName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanTable(BTreeMap<Plan, PlanLimits>);

impl PlanTable {
    /// The limits of `plan`.
    pub fn limits(&self, plan: Plan) -> &PlanLimits {
        &self.0[&plan]
    }

    /// The limits of `plan`, to be changed by the operator's configuration.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "every plan has a row from the start, and none is removed"
    )]
    pub fn limits_mut(&mut self, plan: Plan) -> &mut PlanLimits {
        self.0.get_mut(&plan).expect("every plan has a row")
    }

    /// Whether `plan` includes `feature`.
    pub fn includes(&self, plan: Plan, feature: Feature) -> bool {
        self.limits(plan).features.contains(&feature)
    }

    /// Whether `plan` includes the External API.
    pub fn has_api(&self, plan: Plan) -> bool {
        self.limits(plan).requests_per_minute > 0
    }
}

impl Default for PlanTable {
    /// The published plans of Zenovay.
    fn default() -> Self {
        let row = |api: (u32, u64), events_per_month, websites, members, retention_days, mcp_queries_per_day| {
            let retention_days = Some(retention_days);
            let mcp_queries_per_day = Some(mcp_queries_per_day);
            // A plan without the API has none of the features.
            let features = Feature::ALL.iter().copied().filter(|_| api.0 > 0).collect();
            let limits = PlanLimits::new(api.0, api.1);
            PlanLimits { events_per_month, websites, members, retention_days, features, mcp_queries_per_day, ..limits }
        };
        Self(BTreeMap::from([
            (Plan::Free, row((0, 0), Some(10_000), Some(1), Some(2), 365, 25)),
            (Plan::Pro, row((30, 10_000), None, Some(5), Some(5), 730, 250)),
            (Plan::Scale, row((60, 100_000), None, Some(10), Some(25), 1_460, 1_000)),
            (Plan::Enterprise, row((120, 1_000_000), None, None, None, 1_460, 5_000)),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_plans() {
        let table = PlanTable::default();
        let api = |plan| (table.limits(plan).requests_per_minute, table.limits(plan).requests_per_month);
        let api: Vec<_> = Plan::ALL.iter().copied().map(api).collect();
        assert_eq!(api, [(0, 0), (30, 10_000), (60, 100_000), (120, 1_000_000)]);
        let of_assistants = Plan::ALL.iter().map(|plan| table.limits(*plan).mcp_queries_per_day);
        assert_eq!(of_assistants.collect::<Vec<_>>(), [25, 250, 1_000, 5_000].map(Some));
        assert!(!table.has_api(Plan::Free));
        for feature in Feature::ALL {
            assert!(!table.includes(Plan::Free, *feature) && table.includes(Plan::Pro, *feature), "{feature}");
        }
    }
}
