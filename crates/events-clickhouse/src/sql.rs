//! Values as they stand in SQL.

use std::fmt::{self, Display};

use zenovay_domain::{TimeRange, WebsiteId};

/// A string, whatever is in it.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        for letter in self.0.chars() {
            match letter {
                '\\' | '\'' => write!(f, "\\{letter}")?,
                '\0' => f.write_str("\\0")?,
                other => write!(f, "{other}")?,
            }
        }
        f.write_str("'")
    }
}

/// Values with commas between them.
pub(crate) fn list<T: Display>(values: impl IntoIterator<Item = T>) -> String {
    values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join(", ")
}

/// An instant or another number with a sign, as `Int64` whatever its size.
pub(crate) fn int64(number: i64) -> String {
    format!("toInt64({number})")
}

/// The id of a website.
pub(crate) fn uuid(website: WebsiteId) -> String {
    format!("toUUID('{website}')")
}

/// Whether `column` is in `range`.
pub(crate) fn within(column: &str, range: TimeRange) -> String {
    let (from, to) = (range.from.as_millis(), range.to.as_millis());
    let mut parts = Vec::new();
    if from != i64::MIN {
        parts.push(format!("{column} >= {}", int64(from)));
    }
    // The last millisecond that can be told is in no range.
    parts.push(format!("{column} < {}", int64(to)));
    format!("({})", parts.join(" AND "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_ends_where_it_ends() {
        assert_eq!(Text(r"a'b\").to_string(), r"'a\'b\\'");
        assert_eq!(Text("é\0\n").to_string(), "'é\\0\n'");
    }
}
