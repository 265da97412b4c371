//! Errors with what caused them, in one line.

use std::error::Error;

/// What the error says, and after it what each of its causes says, which it does not repeat itself.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        told = format!("{told}: {cause}");
        next = cause.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use zenovay_store::StoreError;

    use super::*;

    #[test]
    fn each_cause_is_told_once() {
        let error = StoreError::Unavailable("database is locked".into());
        assert_eq!(with_causes(&error), "the database is not available: database is locked");
        assert_eq!(with_causes(&StoreError::DiskFull), "the disk is full");
    }
}
