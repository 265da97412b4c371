//! Values that have a name on the wire, in files and on the command line.

use crate::quoted::Quoted;

/// A string that is not one of the names allowed at its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a {what}: use one of {allowed}", Quoted(.name))]
pub struct UnknownName {
    name: String,
    what: &'static str,
    /// Separated by commas.
    allowed: String,
}

impl UnknownName {
    pub(crate) fn new<'n>(name: &str, what: &'static str, allowed: impl Iterator<Item = &'n str>) -> Self {
        Self { name: name.to_owned(), what, allowed: allowed.collect::<Vec<_>>().join(", ") }
    }
}

/// Writes a value as its name and reads it from there.
macro_rules! named {
    ($type:ty, $what:literal) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::UnknownName;

            fn from_str(name: &str) -> Result<Self, $crate::UnknownName> {
                let known = Self::ALL.iter().copied().find(|value| value.as_str() == name);
                let names = || Self::ALL.iter().map(|value| value.as_str());
                known.ok_or_else(|| $crate::UnknownName::new(name, $what, names()))
            }
        }
    };
}

pub(crate) use named;

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::fmt::Display;
    use std::str::FromStr;

    use crate::{
        Dimension, ErrorCode, EventKind, Feature, IncidentPhase, Interval, KeyPolicy, MatchType, Plan, Role, Scope,
        Scopes, StatusComponent, StatusState,
    };

    fn check<T: Copy + Display + FromStr<Err: Error> + PartialEq + std::fmt::Debug>(all: &[T]) {
        for value in all {
            assert_eq!(value.to_string().parse::<T>().unwrap(), *value);
        }
        for bad in ["", "Nobody\n", &"x".repeat(1_000)] {
            let error = bad.parse::<T>().unwrap_err().to_string();
            assert!(error.contains(" is not a ") && error.contains(&all[0].to_string()), "{error}");
            assert!(error.starts_with('"') && error.len() < 600, "{error}");
        }
    }

    #[test]
    fn names_are_read_and_others_are_told() {
        check(Plan::ALL);
        check(Role::ALL);
        check(Scope::ALL);
        check(KeyPolicy::ALL);
        check(MatchType::ALL);
        check(Dimension::ALL);
        check(EventKind::ALL);
        check(ErrorCode::ALL);
        check(Interval::ALL);
        check(Feature::ALL);
        check(StatusState::ALL);
        check(StatusComponent::ALL);
        check(IncidentPhase::ALL);
        assert_eq!(
            "Pro".parse::<Plan>().unwrap_err().to_string(),
            r#""Pro" is not a plan: use one of free, pro, scale, enterprise"#
        );
        let error = "read,root".parse::<Scopes>().unwrap_err().to_string();
        assert_eq!(error, r#""root" is not a scope: use one of full_access, read, write, admin"#);
    }
}
