//! What the plans include, from `[plans.<name>]`.

use std::collections::BTreeSet;

use serde_json::json;
use zenovay_domain::{Feature, Plan, PlanLimits, PlanTable};

use super::error::{ConfigError, Effective, Origin};
use super::source::Source;

/// The list of what a plan includes beside its numbers.
const FEATURES: &str = "features";

/// The names of all numbers and lists, such as `plans.pro.websites`.
pub(super) fn plan_number_names() -> Vec<String> {
    let names = |plan: Plan| {
        let numbers = PLAN_NUMBERS.iter().map(|(number, _)| *number).chain([FEATURES]);
        numbers.map(move |number| format!("plans.{plan}.{number}"))
    };
    Plan::ALL.iter().copied().flat_map(names).collect()
}

/// The numbers of `[plans.<name>]` over the default table.
pub(super) fn read_plans(source: &mut Source<'_>, effective: &mut Vec<Effective>) -> Result<PlanTable, ConfigError> {
    let mut plans = PlanTable::default();
    let mut tables = match source.table.remove("plans") {
        None => toml::Table::new(),
        Some(toml::Value::Table(tables)) => tables,
        Some(_) => return Err(source.invalid("plans", "must be tables, such as [plans.pro]")),
    };
    for &plan in Plan::ALL {
        let mut overrides = match tables.remove(plan.as_str()) {
            None => toml::Table::new(),
            Some(toml::Value::Table(overrides)) => overrides,
            Some(_) => return Err(source.invalid(&format!("plans.{plan}"), "must be a table")),
        };
        for (number, field) in PLAN_NUMBERS {
            let name = format!("plans.{plan}.{number}");
            let origin = match overrides.remove(*number) {
                None => Origin::Default,
                Some(value) => {
                    let limit = read_limit(&value).map_err(|why| source.invalid(&name, why))?;
                    field.set(plans.limits_mut(plan), limit).map_err(|why| source.invalid(&name, why))?;
                    source.file_origin()
                }
            };
            effective.push(Effective { name, value: field.get(plans.limits(plan)), origin });
        }
        let name = format!("plans.{plan}.{FEATURES}");
        let origin = match overrides.remove(FEATURES) {
            None => Origin::Default,
            Some(value) => {
                let features = read_features(&value).map_err(|why| source.invalid(&name, &why))?;
                plans.limits_mut(plan).features = features;
                source.file_origin()
            }
        };
        let features = &plans.limits(plan).features;
        effective.push(Effective { name, value: json!(features), origin });
        if let Some(key) = overrides.keys().next() {
            return Err(source.unknown(&format!("plans.{plan}.{key}")));
        }
    }
    match tables.keys().next() {
        Some(key) => Err(source.unknown(&format!("plans.{key}"))),
        None => Ok(plans),
    }
}

/// A number of a plan; `None` stands for `"unlimited"`.
fn read_limit(value: &toml::Value) -> Result<Option<u64>, &'static str> {
    match value {
        toml::Value::Integer(number) => u64::try_from(*number).map(Some).map_err(|_| "must not be negative"),
        toml::Value::String(text) if text == "unlimited" => Ok(None),
        _ => Err("must be a whole number or \"unlimited\""),
    }
}

/// What a plan includes, by name.
fn read_features(value: &toml::Value) -> Result<BTreeSet<Feature>, String> {
    let list = value.as_array().ok_or("must be a list of strings")?;
    let read = |name: &toml::Value| {
        let name = name.as_str().ok_or("must be a list of strings")?;
        name.parse().map_err(|error: zenovay_domain::UnknownName| error.to_string())
    };
    list.iter().map(read).collect()
}

/// One number of a plan: how to read and write it.
enum PlanNumber {
    PerMinute,
    PerMonth,
    Events,
    Websites,
    Members,
    Retention,
    McpPerDay,
}

const PLAN_NUMBERS: &[(&str, PlanNumber)] = &[
    ("requests_per_minute", PlanNumber::PerMinute),
    ("requests_per_month", PlanNumber::PerMonth),
    ("events_per_month", PlanNumber::Events),
    ("websites", PlanNumber::Websites),
    ("members", PlanNumber::Members),
    ("retention_days", PlanNumber::Retention),
    ("mcp_queries_per_day", PlanNumber::McpPerDay),
];

impl PlanNumber {
    fn set(&self, limits: &mut PlanLimits, limit: Option<u64>) -> Result<(), &'static str> {
        const TOO_LARGE: &str = "is too large";
        const NEEDED: &str = "must be a number";
        let narrow = |limit: Option<u64>| limit.map(u32::try_from).transpose().map_err(|_| TOO_LARGE);
        match self {
            Self::PerMinute => limits.requests_per_minute = narrow(limit)?.ok_or(NEEDED)?,
            Self::PerMonth => limits.requests_per_month = limit.ok_or(NEEDED)?,
            Self::Events => limits.events_per_month = limit,
            Self::Websites => limits.websites = narrow(limit)?,
            Self::Members => limits.members = narrow(limit)?,
            Self::Retention => {
                if limit == Some(0) {
                    return Err("must be at least 1");
                }
                limits.retention_days = narrow(limit)?;
            }
            Self::McpPerDay => limits.mcp_queries_per_day = limit,
        }
        Ok(())
    }

    fn get(&self, limits: &PlanLimits) -> serde_json::Value {
        let number = match self {
            Self::PerMinute => Some(u64::from(limits.requests_per_minute)),
            Self::PerMonth => Some(limits.requests_per_month),
            Self::Events => limits.events_per_month,
            Self::Websites => limits.websites.map(u64::from),
            Self::Members => limits.members.map(u64::from),
            Self::Retention => limits.retention_days.map(u64::from),
            Self::McpPerDay => limits.mcp_queries_per_day,
        };
        number.map_or_else(|| json!("unlimited"), |number| json!(number))
    }
}
