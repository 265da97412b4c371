//! Names of hosts: one reader for websites' domains, allowed domains and the hosts of pages.

use std::net::Ipv6Addr;

use url::Host;

/// Why a string is not a host, as a sentence for whoever typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidHost {
    /// A scheme other than `http` and `https`.
    #[error("give a host name without a scheme, such as example.com")]
    Scheme,
    /// A path, a query, or a user.
    #[error("give a host name without a path or a user, such as example.com")]
    MoreThanHost,
    /// Empty or too long.
    #[error("a host name has 1 to 253 characters")]
    Length,
    /// Anything else.
    #[error("this is not a host name such as example.com, bücher.example, 192.0.2.1 or [2001:db8::1]")]
    Format,
}

/// Reads a host: a name, also an international one in Unicode or punycode and one with underscores, an IPv4 address, or an
/// IPv6 address with or without brackets. The result is what browsers send: lower case, punycode, an IPv6 address in brackets,
/// without the dot of the root.
///
/// # Errors
/// When it is not a host.
///
/// ```
/// assert_eq!(zenovay_domain::parse_host("Bücher.example").unwrap(), "xn--bcher-kva.example");
/// assert_eq!(zenovay_domain::parse_host("my_site.example.com").unwrap(), "my_site.example.com");
/// assert_eq!(zenovay_domain::parse_host("2001:DB8::1").unwrap(), "[2001:db8::1]");
/// ```
pub fn parse_host(text: &str) -> Result<String, InvalidHost> {
    if text.contains("://") {
        return Err(InvalidHost::Scheme);
    }
    if text.contains(['/', '?', '#', '@', '\\']) {
        return Err(InvalidHost::MoreThanHost);
    }
    // A name in Unicode has at most so many bytes more than in punycode.
    if text.is_empty() || text.len() > 4 * 253 {
        return Err(InvalidHost::Length);
    }
    // The URL standard decodes escapes.
    if text.contains('%') || text.chars().any(char::is_control) {
        return Err(InvalidHost::Format);
    }
    let is_bare_v6 = text.parse::<Ipv6Addr>().is_ok();
    let parsed = if is_bare_v6 { Host::parse(&format!("[{text}]")) } else { Host::parse(text) };
    match parsed.map_err(|_| InvalidHost::Format)? {
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(&name);
            if name.is_empty() || name.len() > 253 {
                return Err(InvalidHost::Length);
            }
            if name.split('.').all(is_label) { Ok(name.to_owned()) } else { Err(InvalidHost::Format) }
        }
        address => Ok(address.to_string()),
    }
}

/// Browsers open hosts with underscores, and names with hyphens in every place but the ends.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Reads the domain of a website as people write it: `Example.com`, `https://example.com/`, `bücher.example`,
/// `localhost:3000`. The result is that of [`parse_host`]: scheme and port are not part of it.
///
/// # Errors
/// When it is not a host, or has a path.
pub fn parse_domain(text: &str) -> Result<String, InvalidHost> {
    let bare = text.trim();
    let scheme = ["https://", "http://"]
        .into_iter()
        .find(|scheme| bare.get(..scheme.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(scheme)));
    let bare = bare.get(scheme.map_or(0, str::len)..).unwrap_or("");
    let bare = bare.strip_suffix('/').unwrap_or(bare);
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let host = match bare.rsplit_once(':') {
        Some((host, port)) if is_port(port) && (!host.contains(':') || host.ends_with(']')) => host,
        _ => bare,
    };
    parse_host(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// plausible/analytics#6182 (underscores).
    #[test]
    fn hosts_are_read_as_browsers_send_them() {
        for (text, host) in [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            ("my_site.example.com", "my_site.example.com"),
            ("_dmarc.example.com", "_dmarc.example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("bu\u{308}cher.example", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
            ("faß.de", "xn--fa-hia.de"),
            ("::1", "[::1]"),
            ("[2001:DB8:0::1]", "[2001:db8::1]"),
            ("2001:db8::1", "[2001:db8::1]"),
            ("192.0.2.1", "192.0.2.1"),
            ("localhost", "localhost"),
            ("a.b-c.1a.example", "a.b-c.1a.example"),
        ] {
            assert_eq!(parse_host(text).as_deref(), Ok(host), "{text}");
            assert_eq!(parse_host(host).as_deref(), Ok(host), "its own");
            assert_eq!(parse_domain(text).as_deref(), Ok(host), "{text}");
        }
    }

    #[test]
    fn domains_are_read_as_people_write_them() {
        for (text, host) in [
            (" https://example.com/ ", "example.com"),
            ("HTTP://Example.com", "example.com"),
            ("example.com:8080", "example.com"),
            ("https://[2001:db8::1]:8443/", "[2001:db8::1]"),
            ("[::1]:3000", "[::1]"),
            ("https://my_site.example.com:444", "my_site.example.com"),
        ] {
            assert_eq!(parse_domain(text).as_deref(), Ok(host), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_host_is_refused() {
        let long = format!("{}.example.com", "a".repeat(64));
        let many = "a.".repeat(127) + "example";
        for bad in [
            "",
            " ",
            ".",
            "https://",
            "ftp://example.com",
            "example.com/path",
            "example.com?x",
            "a@example.com",
            "-example.com",
            "example-.com",
            "exa mple.com",
            "example..com",
            "*.example.com",
            "exa\0mple",
            "exa%6Dple.com",
            "example.com:",
            "example.com:x",
            "[::1",
            "1.2.3.4.5",
            "xn--a",
            "a\\b",
            &long,
            &many,
        ] {
            assert!(parse_domain(bad).is_err(), "{bad:?}");
            assert!(parse_host(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_host_or_refused(text in "([a-zA-Z0-9_üß.:\\[\\]-]|.){0,40}") {
            if let Ok(host) = parse_host(&text) {
                prop_assert!(host.is_ascii() && host == host.to_ascii_lowercase());
                prop_assert_eq!(parse_host(&host), Ok(host.clone()));
                prop_assert_eq!(parse_domain(&host), Ok(host));
            }
            let _ = parse_domain(&text);
        }
    }
}
