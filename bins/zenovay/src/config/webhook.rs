//! The setting about where alerts are sent.

/// Where alerts are sent: an https URL, or an http one on this machine.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(url::Url);

impl WebhookUrl {
    /// The URL that `text` is, if alerts may be sent there.
    pub(super) fn read(text: &str) -> Option<Self> {
        let url: url::Url = text.parse().ok()?;
        let is_here = match url.host()? {
            url::Host::Domain(name) => name == "localhost",
            url::Host::Ipv4(address) => address.is_loopback(),
            url::Host::Ipv6(address) => address.is_loopback(),
        };
        let is_scheme = url.scheme() == "https" || (url.scheme() == "http" && is_here);
        let is_plain = url.username().is_empty() && url.password().is_none();
        (is_scheme && is_plain).then_some(Self(url))
    }

    /// The name or address of the host, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default().trim_matches(['[', ']'])
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(443)
    }

    /// The host as a request names it.
    pub fn authority(&self) -> &str {
        self.0.authority()
    }

    /// The path with its query, in which there may be a secret.
    pub fn path_and_query(&self) -> &str {
        &self.0[url::Position::BeforePath..url::Position::AfterQuery]
    }

    /// Whether it is spoken to over TLS.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The same without what may be secret in it.
    pub(super) fn shown(&self) -> String {
        let origin = self.0.origin().ascii_serialization();
        if self.path_and_query() == "/" { origin } else { format!("{origin}/***") }
    }
}

impl std::fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: compare the beginning of the name, or take every http URL.
    #[test]
    fn alerts_go_over_https_or_stay_on_this_machine() {
        for text in [
            "https://hooks.example.com/services/secret?token=secret",
            "https://10.0.0.7:9443/",
            "https://[fd00::7]/",
            "http://127.0.0.1:8090/alert",
            "http://[::1]:8090/",
            "http://localhost:8090/",
        ] {
            let url = WebhookUrl::read(text).expect(text);
            assert!(!format!("{url:?}").contains("secret"), "{url:?}");
        }
        for text in [
            "",
            "hooks.example.com",
            "http://hooks.example.com/",
            "http://10.0.0.7/",
            "http://localhost.example.com/",
            "http://[::ffff:127.0.0.1]/",
            "https://user@hooks.example.com/",
            "https://user:password@hooks.example.com/",
            "ftp://localhost/",
            "file:///etc/passwd",
        ] {
            assert!(WebhookUrl::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn its_parts_are_those_of_a_request() {
        let url = WebhookUrl::read("https://[fd00::7]:9443/a/b?c=d#e").unwrap();
        assert_eq!((url.host(), url.port(), url.authority()), ("fd00::7", 9443, "[fd00::7]:9443"));
        assert_eq!((url.path_and_query(), url.is_https()), ("/a/b?c=d", true));
        assert_eq!(WebhookUrl::read("http://localhost").unwrap().shown(), "http://localhost");
    }
}
