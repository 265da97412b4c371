//! `zenovay doctor`: what is wrong with the installation, and what to do about it.

use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};
use zenovay_store::Metadata;

use super::context;
use super::output::{Failure, Output, plain};
use crate::backends;
use crate::causes::with_causes;
use crate::config::Config;
use crate::control::{self, Answer, Request};
use crate::data_dir;
use crate::doctor::{self, Finding, Patient};

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// A page to check the tag on, such as https://example.com/. It is fetched, when it is on the public internet.
    #[arg(value_name = "URL")]
    page: Option<String>,
    /// Look at the ClickHouse servers of events_url instead: versions, tables, cluster; writes some rows of no website through each of
    /// them, twice, and removes them.
    #[arg(long, conflicts_with = "page")]
    events: bool,
}

pub(super) fn run(args: DoctorArgs, config: &Config, output: &mut Output) -> Result<(), Failure> {
    if args.events {
        return examine_events(config, output);
    }
    let is_held = data_dir::refuse_held(&config.data_dir).is_err();
    let asked = is_held.then(|| control::ask(&config.data_dir, &Request::Doctor { page: args.page.clone() }));
    let report = match asked {
        Some(Ok(Answer::Done(report))) => report,
        Some(Ok(Answer::Failed(why))) => return Err(Failure::new(why)),
        Some(Err(_)) | None => alone(config, is_held, args.page.as_deref())?,
    };
    output.result(&report, || text(&report));
    let faults = names(&report, Finding::Fault);
    if !faults.is_empty() {
        output.fail_afterwards(Failure::new(format_args!("{}: {}", number(faults.len(), "fault"), faults.join(", "))));
    } else if !names(&report, Finding::Warning).is_empty() {
        output.done_in_part();
    }
    Ok(())
}

/// Looks at the servers that events are in.
fn examine_events(config: &Config, output: &mut Output) -> Result<(), Failure> {
    let Some(url) = &config.events_url else {
        return Err(Failure::usage("--events looks at the servers of events_url, which is not set"));
    };
    let examined = backends::examine_clickhouse(url).map_err(|error| Failure::new(with_causes(&*error)))?;
    let checks: Vec<Value> = examined
        .iter()
        .map(|one| json!({ "check": one.check, "state": if one.is_well { "ok" } else { "fault" }, "seen": one.seen }))
        .collect();
    output.result(&json!({ "checks": checks }), || {
        let line = |one: &backends::Examined| {
            format!("  {:5}  {}: {}\n", if one.is_well { "ok" } else { "fault" }, one.check, one.seen)
        };
        examined.iter().map(line).collect()
    });
    let faults = examined.iter().filter(|one| !one.is_well).count();
    if faults > 0 {
        output.fail_afterwards(Failure::new(number(faults, "fault")));
    }
    Ok(())
}

/// What can be known without a server. `is_held` when there is one that does not answer.
fn alone(config: &Config, is_held: bool, page: Option<&str>) -> Result<Value, Failure> {
    let opened = open_metadata(config);
    let (metadata, metadata_error) = match &opened {
        Ok(metadata) => (metadata.as_deref(), None),
        Err(why) => (None, Some(why.as_str())),
    };
    let patient = Patient { config, metadata, metadata_error, server: None, is_held, page };
    serde_json::to_value(doctor::examine(&patient)).map_err(Failure::new)
}

/// The metadata, when there are some.
fn open_metadata(config: &Config) -> Result<Option<Arc<dyn Metadata>>, String> {
    let path = config.database_path();
    data_dir::expect_metadata(config).map_err(|error| error.to_string())?;
    if path.is_some_and(|path| !path.exists()) {
        return Ok(None);
    }
    context::open_upgraded(config).map(Some).map_err(Failure::into_message)
}

fn checks(report: &Value) -> impl Iterator<Item = &Value> {
    report["checks"].as_array().into_iter().flatten()
}

/// The names of the checks that ended so.
fn names(report: &Value, finding: Finding) -> Vec<String> {
    checks(report).filter(|check| check["state"] == json!(finding)).map(|check| plain(&check["check"])).collect()
}

/// The report for people: the checks by group, under each what to do, and how many there are of each kind.
fn text(report: &Value) -> String {
    let width = |member: &str| checks(report).map(|check| plain(&check[member]).len()).max().unwrap_or(0);
    let (states, checks_width) = (width("state"), width("check"));
    let mut text = String::new();
    let mut group = &Value::Null;
    for check in checks(report) {
        if &check["group"] != group {
            group = &check["group"];
            text += &format!("{}{}\n", if text.is_empty() { "" } else { "\n" }, plain(group));
        }
        let [state, name, seen] = ["state", "check", "seen"].map(|member| plain(&check[member]));
        text += &format!("  {state:states$}  {name:checks_width$}  {seen}\n");
        if !check["remedy"].is_null() {
            text += &format!("  {:states$}  {:checks_width$}  -> {}\n", "", "", plain(&check["remedy"]));
        }
    }
    text + &format!("\n{}\n", summary(report))
}

/// One line about all checks.
fn summary(report: &Value) -> String {
    let counted = [
        (Finding::Fault, "fault"),
        (Finding::Warning, "warning"),
        (Finding::Note, "note"),
        (Finding::NotChecked, "not checked"),
    ]
    .map(|(finding, what)| (names(report, finding), what));
    let is_healthy = counted[..2].iter().all(|(names, _)| names.is_empty());
    let verdict = if is_healthy { "healthy" } else { "not healthy" };
    let told = counted.iter().filter(|(names, what)| !names.is_empty() || matches!(*what, "fault" | "warning"));
    let told = told.map(|(names, what)| match *what {
        "not checked" => format!("{} {what}", names.len()),
        what => number(names.len(), what),
    });
    let all = number(checks(report).count(), "check");
    format!("{verdict}: {all}, {}", told.collect::<Vec<_>>().join(", "))
}

fn number(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(group: &str, name: &str, state: &str, remedy: Option<&str>) -> Value {
        json!({ "group": group, "check": name, "state": state, "seen": format!("Seen {name}."), "remedy": remedy })
    }

    #[test]
    fn the_report_is_aligned_and_says_what_to_do() {
        let report = json!({ "checks": [
            check("Server", "server", "ok", None),
            check("Machine", "disk", "warning", Some("Make space.")),
            check("Machine", "open_files", "not_checked", None),
        ]});
        let expected = "Server\n  ok           server      Seen server.\n\nMachine\n  warning      disk        Seen disk.\n\
            \u{20}                          -> Make space.\n  not_checked  open_files  Seen open_files.\n\n\
            not healthy: 3 checks, 0 faults, 1 warning, 1 not checked\n";
        assert_eq!(text(&report), expected);
        let healthy = json!({ "checks": [check("Server", "server", "note", Some("Nothing."))] });
        assert_eq!(summary(&healthy), "healthy: 1 check, 0 faults, 0 warnings, 1 note");
    }
}
