//! What is wrong with a body, by its members.

use std::collections::BTreeMap;

/// What is wrong with a body: the name of each member that is wrong, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(pub BTreeMap<String, String>);

impl Problems {
    /// One problem of one member.
    pub(crate) fn one(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self(BTreeMap::from([(name.into(), problem.into())]))
    }
}
