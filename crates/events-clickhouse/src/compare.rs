//! Comparisons as SQL, byte by byte as [`Operator`] compares.

use std::collections::HashMap;

use zenovay_query::{Condition, Field, Filter, Operator};

use crate::sql::{Text, list};

/// What a condition with regular expressions chooses, of all values that the column has: regular expressions of ClickHouse are others than
/// ours, so it is here that they are compared.
#[derive(Debug, Default)]
pub(crate) struct Expressions(HashMap<(Field, Operator, Vec<String>), Vec<String>>);

impl Expressions {
    /// Whether what `condition` chooses is known, or need not be.
    pub(crate) fn has(&self, condition: &Condition) -> bool {
        !condition.operator.is_regex() || self.0.contains_key(&key(condition))
    }

    /// Of `values`, all that the column of the condition has, and the empty one those that pass.
    pub(crate) fn add(&mut self, condition: &Condition, values: Vec<String>) {
        let passes = |value: &String| condition.operator.matches(value, &condition.values);
        let mut passing: Vec<String> = values.into_iter().chain([String::new()]).filter(passes).collect();
        passing.sort_unstable();
        passing.dedup();
        self.0.insert(key(condition), passing);
    }

    /// Whether the value of `condition` that `expression` gives passes, as an expression that is 0 or 1.
    pub(crate) fn predicate(&self, condition: &Condition, expression: &str) -> String {
        let column = condition.field.column();
        let normal = |value: &String| column.normal(value).into_owned();
        let values: Vec<String> = match condition.operator.is_regex() {
            true => return is_any_of(expression, self.0.get(&key(condition)).map_or(&[], Vec::as_slice)),
            false => condition.values.iter().map(normal).collect(),
        };
        let any = |test: &dyn Fn(&str) -> String| match values.as_slice() {
            [] => "0".to_owned(),
            values => format!("({})", values.iter().map(|value| test(value)).collect::<Vec<_>>().join(" OR ")),
        };
        let not = |positive: String| format!("NOT {positive}");
        let contains = |part: &str| match part {
            "" => "1".to_owned(),
            part => format!("position({expression}, {}) > 0", Text(part)),
        };
        let matches = |pattern: &str| format!("{expression} LIKE {}", Text(&like(pattern)));
        match condition.operator {
            Operator::Is => is_any_of(expression, &values),
            Operator::IsNot => not(is_any_of(expression, &values)),
            Operator::Contains => any(&contains),
            Operator::DoesNotContain => not(any(&contains)),
            Operator::StartsWith => any(&|start| format!("startsWith({expression}, {})", Text(start))),
            Operator::EndsWith => any(&|end| format!("endsWith({expression}, {})", Text(end))),
            Operator::Matches => any(&matches),
            Operator::DoesNotMatch => not(any(&matches)),
            // An operator that is newer than this program: nothing is chosen, rather than something else.
            _ => "0".to_owned(),
        }
    }
}

fn key(condition: &Condition) -> (Field, Operator, Vec<String>) {
    (condition.field.clone(), condition.operator, condition.values.clone())
}

fn is_any_of(expression: &str, values: &[String]) -> String {
    match values {
        [] => "0".to_owned(),
        values => format!("({expression} IN ({}))", list(values.iter().map(|value| Text(value)))),
    }
}

/// A pattern with `*` as one of `LIKE`.
fn like(pattern: &str) -> String {
    let mut like = String::with_capacity(pattern.len());
    for letter in pattern.chars() {
        match letter {
            '*' => like.push('%'),
            '%' | '_' | '\\' => like.extend(['\\', letter]),
            other => like.push(other),
        }
    }
    like
}

/// The conditions in `filter`, at whatever depth.
pub(crate) fn conditions(filter: &Filter) -> Vec<&Condition> {
    let (mut left, mut found) = (vec![filter], Vec::new());
    while let Some(filter) = left.pop() {
        match filter {
            Filter::All(filters) | Filter::Any(filters) => left.extend(filters),
            Filter::Not(filter) | Filter::InSession(filter) => left.push(filter),
            Filter::Is(condition) => found.push(condition),
            _ => {}
        }
    }
    found
}
