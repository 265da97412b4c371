//! Sums in SQL.

/// The sum of a column of counts and what is added to it, or the greatest number there is: PostgreSQL refuses a greater sum, and
/// SQLite would store it as a number with a fraction. Neither is negative.
macro_rules! capped_sum {
    ($count:expr, $more:expr) => {
        diesel::dsl::case_when(
            ($count - i64::MAX + $more).gt(0_i64),
            diesel::IntoSql::into_sql::<diesel::sql_types::BigInt>(i64::MAX),
        )
        .otherwise($count + $more)
    };
}

pub(super) use capped_sum;
