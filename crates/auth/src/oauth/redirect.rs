//! Where people are sent back to with a code. Addresses are compared as they are written: nothing is normalised, so that two
//! programs cannot read one differently.

/// The longest address, in bytes.
const MAX_BYTES: usize = 2_000;
/// The longest name of a host, in bytes.
const HOST_MAX_BYTES: usize = 253;

/// The schemes of programs on people's machines that may be sent codes. Any program can claim any scheme, so those are named
/// that clients of today use.
pub const PRIVATE_SCHEMES: [&str; 14] = [
    "claude",
    "code-oss",
    "cursor",
    "goose",
    "jetbrains",
    "kiro",
    "lmstudio",
    "raycast",
    "trae",
    "vscode",
    "vscode-insiders",
    "vscodium",
    "windsurf",
    "zed",
];

/// Why nobody can be sent to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRedirect {
    /// It is too long, or has a character that an address cannot have.
    #[error("use an address of at most 2,000 plain ASCII characters")]
    Malformed,
    /// It has a fragment.
    #[error("leave out the fragment")]
    Fragment,
    /// It has no host, or one that is not a plain name or address with an optional port.
    #[error("name one host, without a user and without a wildcard")]
    Host,
    /// It is `http:` for another host than this computer.
    #[error("use https, or http for 127.0.0.1, [::1] or localhost")]
    Plain,
    /// Its scheme is not one of a program that is known.
    #[error("use https, http on this computer, or the scheme of a program that is known")]
    Scheme,
}

/// An address taken apart, nothing changed.
struct Parts<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<&'a str>,
    /// Path and query, as they are written; empty or with a `/` or a `?` first.
    rest: &'a str,
}

fn parts(address: &str) -> Result<Parts<'_>, InvalidRedirect> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    if address.is_empty() || address.len() > MAX_BYTES || !address.bytes().all(is_plain) {
        return Err(InvalidRedirect::Malformed);
    }
    if address.contains('#') {
        return Err(InvalidRedirect::Fragment);
    }
    let (scheme, rest) = address.split_once("://").ok_or(InvalidRedirect::Scheme)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let host_end = match authority.strip_prefix('[') {
        Some(inner) => inner.find(']').ok_or(InvalidRedirect::Host)? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(host_end);
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some(port)
            if port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0) =>
        {
            Some(port)
        }
        _ => return Err(InvalidRedirect::Host),
    };
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let is_address = |host: &str| host.parse::<std::net::Ipv6Addr>().is_ok();
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => is_address(address),
        None => host.len() <= HOST_MAX_BYTES && host.split('.').all(is_label),
    };
    if is_host { Ok(Parts { scheme, host, port, rest }) } else { Err(InvalidRedirect::Host) }
}

/// Whether a host is this computer. The three names are one: clients register one of them and send another.
fn is_loopback(host: &str) -> bool {
    matches!(host, "127.0.0.1" | "[::1]" | "localhost")
}

/// Whether a client may name `address` as one that people are sent back to: `https`, `http` on the person's own computer, or the
/// scheme of a program that is known.
///
/// ```
/// use zenovay_auth::oauth::check_redirect;
///
/// for fine in ["https://app.example/callback", "http://127.0.0.1:33418/", "cursor://anysphere.cursor-mcp/oauth/callback"] {
///     assert_eq!(check_redirect(fine), Ok(()), "{fine}");
/// }
/// for wrong in ["http://app.example/callback", "https://*.example/", "javascript:alert(1)", "https://a.example/#b"] {
///     assert!(check_redirect(wrong).is_err(), "{wrong}");
/// }
/// ```
///
/// # Errors
///
/// [`InvalidRedirect`].
pub fn check_redirect(address: &str) -> Result<(), InvalidRedirect> {
    // What has no authority, such as `javascript:` and `data:`, has no place here whatever it is.
    let parts = parts(address)?;
    match parts.scheme {
        "https" => Ok(()),
        "http" if is_loopback(parts.host) => Ok(()),
        "http" => Err(InvalidRedirect::Plain),
        scheme if PRIVATE_SCHEMES.contains(&scheme) => Ok(()),
        _ => Err(InvalidRedirect::Scheme),
    }
}

/// Whether a client that named `registered` may have people sent to `asked`: the same to the byte, but that a program on the
/// person's own computer listens on whichever port is free there (RFC 8252 §7.3).
///
/// ```
/// use zenovay_auth::oauth::redirect_matches;
///
/// assert!(redirect_matches("http://localhost/callback", "http://127.0.0.1:51234/callback"));
/// assert!(!redirect_matches("http://localhost/callback", "http://127.0.0.1:51234/other"));
/// assert!(!redirect_matches("https://app.example/callback", "https://app.example:8443/callback"));
/// ```
pub fn redirect_matches(registered: &str, asked: &str) -> bool {
    if check_redirect(registered).is_err() || check_redirect(asked).is_err() {
        return false;
    }
    if registered == asked {
        return true;
    }
    let (Ok(registered), Ok(asked)) = (parts(registered), parts(asked)) else { return false };
    let path = |rest: &str| if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    let both = |is: fn(&Parts<'_>) -> bool| is(&registered) && is(&asked);
    both(|parts| parts.scheme == "http" && is_loopback(parts.host)) && path(registered.rest) == path(asked.rest)
}

/// Who gets a code that is sent to an address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "who asks people what they agree to has to tell each")]
pub enum RedirectTarget {
    /// A website: its host, and its port when one is written.
    Host(String),
    /// A program that listens on the person's own computer.
    ThisComputer,
    /// The program on the person's computer that has this scheme.
    Program(String),
}

/// Who gets a code that is sent to `address`; `None` when nobody can be sent there.
pub fn redirect_target(address: &str) -> Option<RedirectTarget> {
    check_redirect(address).ok()?;
    let parts = parts(address).ok()?;
    Some(match parts.scheme {
        "https" => RedirectTarget::Host(match parts.port {
            Some(port) => format!("{}:{port}", parts.host),
            None => parts.host.to_owned(),
        }),
        "http" => RedirectTarget::ThisComputer,
        scheme => RedirectTarget::Program(scheme.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What clients of today register (public issues of their projects).
    const FINE: [&str; 10] = [
        "https://claude.ai/api/mcp/auth_callback",
        "https://chatgpt.com/connector/oauth/abc123",
        "https://vscode.dev/redirect",
        "http://localhost:8787/callback",
        "http://localhost/callback",
        "http://127.0.0.1/",
        "http://127.0.0.1:33418/",
        "http://[::1]:9000/oauth/callback?source=cli",
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "vscode-insiders://vscode.mcp/callback",
    ];

    #[test]
    fn addresses_of_clients_are_taken_and_match_themselves() {
        for address in FINE {
            assert_eq!(check_redirect(address), Ok(()), "{address}");
            assert!(redirect_matches(address, address), "{address}");
        }
    }

    #[test]
    fn addresses_that_send_codes_elsewhere_are_refused() {
        use InvalidRedirect::{Fragment, Host, Malformed, Plain, Scheme};
        let long = format!("https://a.example/{}", "a".repeat(MAX_BYTES));
        let long_host = format!("https://{}example/", "a.".repeat(130));
        for (address, expected) in [
            ("", Malformed),
            (long.as_str(), Malformed),
            ("https://a.example/\u{e9}", Malformed),
            ("https://a.example/a b", Malformed),
            ("https://a.example\\@evil.example/", Malformed),
            ("https://a.example/#token", Fragment),
            ("https://user@a.example/", Host),
            ("https://a.example:80@evil.example/", Host),
            ("https://*.example/", Host),
            ("https:///callback", Host),
            ("https://a.example./", Host),
            ("https://.example/", Host),
            ("https://a..example/", Host),
            (long_host.as_str(), Host),
            ("https://a.example:/", Host),
            ("https://a.example:0/", Host),
            ("https://a.example:65536/", Host),
            ("https://[::1/", Host),
            ("https://[a]/", Host),
            ("http://a.example/", Plain),
            ("http://127.0.0.2/", Plain),
            ("http://localhost.evil.example/", Plain),
            ("http://127.0.0.1.evil.example/", Plain),
            ("http://0.0.0.0/", Plain),
            ("javascript:alert(1)", Scheme),
            ("javascript://127.0.0.1/%0aalert(1)", Scheme),
            ("data:text/html,a", Scheme),
            ("file:///etc/passwd", Host),
            ("urn:ietf:wg:oauth:2.0:oob", Scheme),
            ("evil://a/b", Scheme),
            ("HTTPS://a.example/", Scheme),
            ("//a.example/", Scheme),
            ("/callback", Scheme),
        ] {
            assert_eq!(check_redirect(address), Err(expected), "{address}");
            assert!(!redirect_matches(address, address), "{address}");
        }
    }

    /// Sabotage: compare hosts, or beginnings.
    #[test]
    fn only_the_port_of_this_computer_may_differ() {
        for (registered, asked, expected) in [
            ("http://localhost/callback", "http://localhost:41234/callback", true),
            ("http://localhost:8787/callback", "http://127.0.0.1:1/callback", true),
            ("http://127.0.0.1/", "http://[::1]:33418/", true),
            ("http://127.0.0.1/", "http://127.0.0.1:33418", true),
            ("http://localhost/callback", "http://localhost:41234/callback/", false),
            ("http://localhost/callback", "http://localhost:41234/Callback", false),
            ("http://localhost/callback", "http://localhost:41234/callback?a=b", false),
            ("http://localhost/callback", "http://localhost:41234/%63allback", false),
            ("http://localhost/callback", "http://localhost:41234/a/../callback", false),
            ("http://localhost/callback", "https://localhost/callback", false),
            ("http://localhost/callback", "http://localhost:41234@evil.example/callback", false),
            ("https://a.example/callback", "https://a.example:443/callback", false),
            ("https://a.example/callback", "https://A.example/callback", false),
            ("https://a.example/callback", "https://a.example/callback?next=https://evil.example", false),
            ("https://a.example/callback", "https://a.example/callback/../open", false),
            ("https://a.example/callback", "https://a.example.evil.example/callback", false),
            ("https://a.example/callback", "https://evil.example/callback", false),
            ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor://other/oauth/callback", false),
            ("cursor://a/callback", "vscode://a/callback", false),
        ] {
            assert_eq!(redirect_matches(registered, asked), expected, "{registered} {asked}");
        }
    }

    #[test]
    fn people_are_told_who_gets_the_code() {
        let told = |address| redirect_target(address).unwrap();
        assert_eq!(told("https://claude.ai/api"), RedirectTarget::Host("claude.ai".to_owned()));
        assert_eq!(told("https://a.example:8443/"), RedirectTarget::Host("a.example:8443".to_owned()));
        assert_eq!(told("http://localhost:8787/callback"), RedirectTarget::ThisComputer);
        assert_eq!(told("cursor://a/b"), RedirectTarget::Program("cursor".to_owned()));
        assert_eq!(redirect_target("https://a@b.example/"), None);
    }

    proptest! {
        /// What is matched leads to the host that was registered, whatever is written in between.
        ///
        /// Sabotage: let `redirect_matches` look at the beginning alone.
        #[test]
        fn what_matches_is_the_same_or_this_computer(place in 0..FINE.len(), asked in "[ -~]{0,60}", cut in 0..60_usize) {
            let registered = FINE[place];
            let mixed = format!("{}{asked}", &registered[..cut.min(registered.len())]);
            for asked in [asked.as_str(), mixed.as_str()] {
                if redirect_matches(registered, asked) {
                    prop_assert!(asked == registered || redirect_target(asked) == Some(RedirectTarget::ThisComputer));
                    prop_assert_eq!(redirect_target(asked), redirect_target(registered));
                    prop_assert!(check_redirect(asked).is_ok());
                }
            }
        }

        #[test]
        fn any_port_of_this_computer_will_do(port in 1..=u16::MAX, host in 0..3_usize) {
            let asked = format!("http://{}:{port}/callback", ["127.0.0.1", "[::1]", "localhost"][host]);
            prop_assert!(redirect_matches("http://localhost/callback", &asked));
        }
    }
}
