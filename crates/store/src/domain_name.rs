//! The domain of a website.

use crate::{Result, StoreError};

/// Brings a domain into the form in which it is stored: lower case, without a final dot.
///
/// Accepted are host names of 1 to 253 bytes in ASCII (international names in their `xn--` form), whose labels have 1 to
/// 63 letters, digits or hyphens and neither begin nor end with a hyphen.
///
/// # Errors
///
/// [`StoreError::Invalid`] with the field `domain`; a scheme, a port or a path is named as what is wrong.
pub fn normalize_domain(text: &str) -> Result<String> {
    let refuse = |reason: &str| Err(StoreError::Invalid { field: "domain", reason: reason.to_owned() });
    let domain = text.trim();
    if domain.contains("://") {
        return refuse("give the domain without a scheme, such as example.com");
    }
    if domain.contains(['/', '?', '#', '@']) {
        return refuse("give the domain without a path or a user, such as example.com");
    }
    if domain.contains(':') {
        return refuse("give the domain without a port, such as example.com");
    }
    let domain = domain.strip_suffix('.').unwrap_or(domain).to_ascii_lowercase();
    if domain.is_empty() || domain.len() > 253 {
        return refuse("a domain has 1 to 253 characters");
    }
    let valid_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if !domain.split('.').all(valid_label) {
        return refuse("use letters, digits, hyphens and dots only, such as example.com");
    }
    Ok(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_bare_domain_is_refused() {
        let long = format!("{}.example.com", "a".repeat(64));
        for bad in [
            "",
            " ",
            ".",
            "https://example.com",
            "example.com/",
            "example.com:8080",
            "example.com?x",
            "a@example.com",
            "-example.com",
            "example-.com",
            "exa mple.com",
            "example..com",
            "münchen.de",
            "*.example.com",
            &long,
        ] {
            assert!(matches!(normalize_domain(bad), Err(StoreError::Invalid { field: "domain", .. })), "{bad}");
        }
    }

    #[test]
    fn domains_are_lower_case_without_a_final_dot() {
        assert_eq!(normalize_domain(" WWW.Example.COM. ").unwrap(), "www.example.com");
        assert_eq!(normalize_domain("localhost").unwrap(), "localhost");
        assert_eq!(normalize_domain("xn--mnchen-3ya.de").unwrap(), "xn--mnchen-3ya.de");
    }
}
