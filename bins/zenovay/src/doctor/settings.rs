//! Settings that do nothing.

use std::path::Path;

use super::{Patient, Problem, Seen, counted, some};
use crate::config::{Config, DEFAULT_FILES, Effective, Origin};

/// Settings that do something only beside another one.
const NEEDS: [(&str, &str); 8] = [
    ("alert_webhook_secret", "alert_webhook_url"),
    ("mail_from", "smtp_url"),
    ("backup_schedule", "backup_dir"),
    ("backup_keep", "backup_dir"),
    ("replay_bucket_region", "replay_bucket"),
    ("replay_bucket_address", "replay_bucket"),
    ("replay_bucket_http", "replay_bucket"),
    ("replay_bucket_timeout_seconds", "replay_bucket"),
];

pub(super) fn configuration(patient: &Patient<'_>) -> Seen {
    let config = patient.config;
    let written = match config.file.as_deref().map(Config::of_file).transpose() {
        Ok(written) => written,
        Err(error) => return Seen::problem(Problem::FileUnreadable, format!("{error}.")),
    };
    let written = written.as_ref().map_or(&[][..], Config::effective);
    let changed = changed(config.effective(), written);
    if !changed.is_empty() {
        return Seen::problem(Problem::FileChanged, format!("{} in the file.", some(&changed)));
    }
    let other_file = Path::new(DEFAULT_FILES[1]);
    let is_shadowed = config.file.as_deref() == Some(Path::new(DEFAULT_FILES[0])) && other_file.exists();
    let shadowed = is_shadowed.then(|| format!("{}, because {} is read", other_file.display(), DEFAULT_FILES[0]));
    let variables =
        config.unknown_variables.iter().map(|name| format!("{}, which is not a setting", name.escape_debug()));
    let unused: Vec<String> = lonely(config.effective()).into_iter().chain(variables).chain(shadowed).collect();
    if !unused.is_empty() {
        return Seen::problem(Problem::SettingUnused, format!("{}.", some(&unused)));
    }
    let overridden = overridden(config.effective(), written);
    if !overridden.is_empty() {
        return Seen::problem(Problem::SettingOverridden, format!("{}.", some(&overridden)));
    }
    let set = config.effective().iter().filter(|one| one.origin != Origin::Default).count();
    Seen::ok(format!("{} set, each with effect.", counted(set as u64, "setting")))
}

fn find<'a>(effective: &'a [Effective], name: &str) -> Option<&'a Effective> {
    effective.iter().find(|one| one.name == name)
}

/// Settings that are set, without the one that they need.
fn lonely(effective: &[Effective]) -> Vec<String> {
    let is_set = |name: &str| find(effective, name).is_some_and(|one| one.origin != Origin::Default);
    let lonely = NEEDS.iter().filter(|(name, needed)| is_set(name) && !is_set(needed));
    lonely.map(|(name, needed)| format!("{name} without {needed}")).collect()
}

/// Settings for which the file was right when the server started, and that it gives another value now.
fn changed(effective: &[Effective], written: &[Effective]) -> Vec<String> {
    let is_of_file = |one: &Effective| matches!(one.origin, Origin::File(_) | Origin::Default);
    let changed = written
        .iter()
        .filter(|now| find(effective, &now.name).is_some_and(|one| is_of_file(one) && one.value != now.value));
    changed.map(|now| format!("{} is {} now", now.name, now.value)).collect()
}

/// Settings that the file sets, and something else sets otherwise.
fn overridden(effective: &[Effective], written: &[Effective]) -> Vec<String> {
    let overridden = written.iter().filter(|now| matches!(now.origin, Origin::File(_))).filter_map(|now| {
        let one = find(effective, &now.name)?;
        let is_other = matches!(one.origin, Origin::Environment(_) | Origin::Flag(_)) && one.value != now.value;
        is_other.then(|| format!("{} by {}", one.name, one.origin))
    });
    overridden.collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::{Value, json};

    use super::*;

    fn one(name: &str, value: Value, origin: Origin) -> Effective {
        Effective { name: name.to_owned(), value, origin }
    }

    fn file() -> Origin {
        Origin::File(PathBuf::from("zenovay.toml"))
    }

    /// Sabotage: compare what a flag sets, too.
    #[test]
    fn what_the_file_says_now_is_compared_with_what_came_from_it() {
        let flag = || Origin::Flag("--listen".to_owned());
        let effective = [one("a", json!(1), file()), one("b", json!(2), flag()), one("c", json!(3), Origin::Default)];
        assert_eq!(changed(&effective, &effective[..1]), [] as [&str; 0]);
        let written = [one("a", json!(5), file()), one("b", json!(6), file()), one("c", json!(3), Origin::Default)];
        assert_eq!(changed(&effective, &written), ["a is 5 now"]);
        assert_eq!(overridden(&effective, &written), ["b by flag --listen"]);
        let written = [one("a", json!(9), Origin::Default), one("b", json!(2), file()), one("c", json!(4), file())];
        assert_eq!(changed(&effective, &written), ["a is 9 now", "c is 4 now"], "taken out, and put in");
        assert_eq!(overridden(&effective, &written), [] as [&str; 0], "the same value twice");
    }

    #[test]
    fn a_setting_that_needs_another_one_is_told() {
        let alone = [one("backup_keep", json!(3), file()), one("backup_dir", Value::Null, Origin::Default)];
        assert_eq!(lonely(&alone), ["backup_keep without backup_dir"]);
        let both = [one("backup_keep", json!(3), file()), one("backup_dir", json!("b"), file())];
        assert_eq!(lonely(&both), [] as [&str; 0]);
        let names: Vec<&str> = Config::defaults().iter().map(|(name, _)| *name).collect();
        assert!(NEEDS.iter().all(|(name, needed)| names.contains(name) && names.contains(needed)));
    }
}
