//! What a client says of itself at its own address (OAuth Client ID Metadata Documents).

use serde_json::{Map, Value};
use zenovay_domain::is_hidden;

use super::redirect::check_redirect;

/// The longest document that is read, in bytes: what the draft names.
pub const CLIENT_DOCUMENT_MAX_BYTES: usize = 5 * 1024;

/// The longest address of a document, in bytes.
const URL_MAX_BYTES: usize = 500;

/// The most addresses that a client may name to send people back to.
const REDIRECTS_MAX: usize = 20;

/// The longest name that is shown, in characters.
const NAME_MAX_CHARS: usize = 60;

/// The address of a client's document, which is its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientUrl {
    url: String,
    host_end: usize,
}

/// A string that cannot be the address of a client's document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a client_id that is an address is https with a host name and a path, without port, user, query, fragment and dots"
)]
#[non_exhaustive]
pub struct InvalidClientUrl;

const PREFIX: &str = "https://";

impl ClientUrl {
    /// Reads one: `https`, a host name of several parts, a path. There is one spelling of each: what browsers would
    /// normalise is refused, and so are addresses of machines and other ports than that of https.
    ///
    /// # Errors
    ///
    /// [`InvalidClientUrl`].
    pub fn parse(url: &str) -> Result<Self, InvalidClientUrl> {
        let rest = url.strip_prefix(PREFIX).filter(|_| url.len() <= URL_MAX_BYTES).ok_or(InvalidClientUrl)?;
        let slash = rest.find('/').ok_or(InvalidClientUrl)?;
        let (host, path) = rest.split_at(slash);
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let is_name = host.len() <= 253 && host.contains('.') && host.split('.').all(is_label);
        // A last part with a letter first is no number, so the whole is no address of a machine.
        let is_address =
            !host.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_lowercase()));
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=:@%".contains(&byte);
        let has_dots =
            path.split('/').any(|part| matches!(part, "." | "..") || part.to_ascii_lowercase().contains("%2e"));
        if !is_name || is_address || path.len() < 2 || !path.bytes().all(is_plain) || has_dots {
            return Err(InvalidClientUrl);
        }
        Ok(Self { url: url.to_owned(), host_end: PREFIX.len() + slash })
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// The host.
    pub fn host(&self) -> &str {
        self.url.get(PREFIX.len()..self.host_end).unwrap_or_default()
    }

    /// The path.
    pub fn path(&self) -> &str {
        self.url.get(self.host_end..).unwrap_or_default()
    }
}

/// What a client says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientDocument {
    /// The name, as it may be shown.
    pub name: String,
    /// Where people may be sent back to; at least one.
    pub redirect_uris: Vec<String>,
    /// Whether it wants refresh tokens.
    pub may_refresh: bool,
}

/// Why a document is not one of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidClientDocument {
    /// It is too long.
    #[error("the document is longer than 5 KB")]
    TooLong,
    /// It is not an object of JSON.
    #[error("the document is not a JSON object")]
    NotJson,
    /// It is of another client.
    #[error("client_id in the document is not its address")]
    OtherClient,
    /// It names nothing that people can be sent back to.
    #[error("redirect_uris in the document has no address that can be used")]
    NoRedirect,
    /// It wants to show who it is in ways that are not taken.
    #[error("the document's token_endpoint_auth_method is not none")]
    Authentication,
    /// It has a secret, which is none when anybody can read it.
    #[error("the document has a client secret")]
    Secret,
    /// It does not want codes.
    #[error("the document's grant_types or response_types have no authorization code")]
    Grant,
}

impl ClientDocument {
    /// Reads the document that is at `url`.
    ///
    /// A client that shows who it is by a key of its own, and says that it can do without, is taken as one that does. Addresses
    /// that nobody can be sent to are left out.
    ///
    /// # Errors
    ///
    /// [`InvalidClientDocument`].
    pub fn parse(url: &ClientUrl, bytes: &[u8]) -> Result<Self, InvalidClientDocument> {
        use InvalidClientDocument as Invalid;

        if bytes.len() > CLIENT_DOCUMENT_MAX_BYTES {
            return Err(Invalid::TooLong);
        }
        let members: Map<String, Value> = serde_json::from_slice(bytes).map_err(|_| Invalid::NotJson)?;
        if members.get("client_id").and_then(Value::as_str) != Some(url.as_str()) {
            return Err(Invalid::OtherClient);
        }
        if ["client_secret", "client_secret_expires_at"].iter().any(|name| members.contains_key(*name)) {
            return Err(Invalid::Secret);
        }
        let method = members.get("token_endpoint_auth_method");
        let methods = strings(members.get("token_endpoint_auth_methods_supported"));
        if method.is_some_and(|method| method != "none") && !methods.contains(&"none") {
            return Err(Invalid::Authentication);
        }
        let (grants, responses) = (members.get("grant_types"), members.get("response_types"));
        let has = |list: Option<&Value>, name| list.is_none_or(|_| strings(list).contains(&name));
        if !has(grants, "authorization_code") || !has(responses, "code") {
            return Err(Invalid::Grant);
        }
        let mut redirect_uris: Vec<String> = Vec::new();
        for address in strings(members.get("redirect_uris")) {
            if redirect_uris.len() < REDIRECTS_MAX && check_redirect(address).is_ok() {
                redirect_uris.push(address.to_owned());
            }
        }
        if redirect_uris.is_empty() {
            return Err(Invalid::NoRedirect);
        }
        let name = shown_name(members.get("client_name").and_then(Value::as_str).unwrap_or(""));
        let name = if name.is_empty() { url.host().to_owned() } else { name };
        Ok(Self { name, redirect_uris, may_refresh: has(grants, "refresh_token") })
    }
}

/// The strings of a list.
fn strings(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// What a client calls itself, as it may be shown: on one line, short, without characters that are not seen or that turn what
/// follows around.
pub fn shown_name(name: &str) -> String {
    let spaced: String = name.chars().map(|c| if c.is_control() || c.is_whitespace() { ' ' } else { c }).collect();
    let words: Vec<&str> = spaced.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().filter(|c| !is_hidden(*c)).take(NAME_MAX_CHARS).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const URL: &str = "https://app.example/oauth/client.json";

    fn url() -> ClientUrl {
        ClientUrl::parse(URL).unwrap()
    }

    fn read(document: &Value) -> Result<ClientDocument, InvalidClientDocument> {
        ClientDocument::parse(&url(), document.to_string().as_bytes())
    }

    fn document() -> Value {
        json!({
            "client_id": URL,
            "client_name": "App",
            "redirect_uris": ["http://127.0.0.1/callback", "https://app.example/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        })
    }

    #[test]
    fn an_address_has_one_spelling() {
        let read = url();
        assert_eq!((read.as_str(), read.host(), read.path()), (URL, "app.example", "/oauth/client.json"));
        for fine in [
            "https://claude.ai/oauth/mcp-oauth-client-metadata",
            "https://vscode.dev/oauth/client-metadata.json",
            "https://chatgpt.com/oauth/abc/client.json",
            "https://xn--bcher-kva.example/a",
        ] {
            assert!(ClientUrl::parse(fine).is_ok(), "{fine}");
        }
        for wrong in [
            "",
            "https://",
            "https:///a",
            "https://app.example",
            "https://app.example/",
            "http://app.example/a",
            "HTTPS://app.example/a",
            "https://App.example/a",
            "https://app.example:443/a",
            "https://app.example:8443/a",
            "https://user@app.example/a",
            "https://app.example/a#b",
            "https://app.example/a?b",
            "https://app.example/a/../b",
            "https://app.example/./a",
            "https://app.example/%2E%2e/a",
            "https://app.example/a b",
            "https://app.example\\a/b",
            "https://localhost/a",
            "https://127.0.0.1/a",
            "https://2130706433/a",
            "https://0x7f.1/a",
            "https://[::1]/a",
            "https://127.0.0.1.0x1/a",
            "https://app..example/a",
            "https://.example/a",
            "https://app.example./a",
            "https://-app.example/a",
            "https://b\u{fc}cher.example/a",
        ] {
            assert_eq!(ClientUrl::parse(wrong), Err(InvalidClientUrl), "{wrong}");
        }
    }

    #[test]
    fn a_document_is_read() {
        let expected = ClientDocument {
            name: "App".to_owned(),
            redirect_uris: vec!["http://127.0.0.1/callback".to_owned(), "https://app.example/callback".to_owned()],
            may_refresh: true,
        };
        assert_eq!(read(&document()), Ok(expected));
        let least = json!({ "client_id": URL, "redirect_uris": ["https://app.example/callback"] });
        let least = read(&least).unwrap();
        assert_eq!((least.name.as_str(), least.may_refresh), ("app.example", true));
        let mut without = document();
        without["grant_types"] = json!(["authorization_code"]);
        assert!(!read(&without).unwrap().may_refresh);
        // As a client of today has it: a key of its own, and it can do without.
        let mut key = document();
        key["token_endpoint_auth_method"] = json!("private_key_jwt");
        assert_eq!(read(&key), Err(InvalidClientDocument::Authentication));
        key["token_endpoint_auth_methods_supported"] = json!(["private_key_jwt", "none"]);
        assert!(read(&key).is_ok());
        let mut some = document();
        some["redirect_uris"] = json!(["http://evil.example/", 1, null, "https://app.example/callback"]);
        assert_eq!(read(&some).unwrap().redirect_uris, ["https://app.example/callback"]);
    }

    #[test]
    fn other_documents_are_refused() {
        use InvalidClientDocument as Invalid;
        for (member, value, expected) in [
            ("client_id", json!("https://app.example/oauth/client.json/"), Invalid::OtherClient),
            ("client_id", json!(["https://app.example/oauth/client.json"]), Invalid::OtherClient),
            ("redirect_uris", json!([]), Invalid::NoRedirect),
            ("redirect_uris", json!("https://app.example/callback"), Invalid::NoRedirect),
            ("redirect_uris", json!(["javascript:alert(1)"]), Invalid::NoRedirect),
            ("token_endpoint_auth_method", json!("client_secret_post"), Invalid::Authentication),
            ("client_secret", json!("secret"), Invalid::Secret),
            ("grant_types", json!(["client_credentials"]), Invalid::Grant),
            ("response_types", json!(["token"]), Invalid::Grant),
        ] {
            let mut document = document();
            document[member] = value.clone();
            assert_eq!(read(&document), Err(expected), "{member} {value}");
        }
        for wrong in ["", "[]", "null", "\"a\"", "{", "<html>"] {
            assert_eq!(ClientDocument::parse(&url(), wrong.as_bytes()), Err(Invalid::NotJson), "{wrong}");
        }
        let long = " ".repeat(CLIENT_DOCUMENT_MAX_BYTES) + &document().to_string();
        assert_eq!(ClientDocument::parse(&url(), long.as_bytes()), Err(Invalid::TooLong));
    }

    #[test]
    fn names_are_shown_on_one_line() {
        assert_eq!(shown_name("  Claude\n\tCode  "), "Claude Code");
        assert_eq!(shown_name("evil\u{202e}txt\u{200b}"), "eviltxt");
        assert_eq!(shown_name("\u{200b}\u{feff}\u{3164}\u{2800}\u{e000}"), "");
        assert_eq!(shown_name(&"a".repeat(1_000)).chars().count(), 60);
    }

    proptest! {
        /// Sabotage: take a document that names another client.
        #[test]
        fn no_document_is_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..400), name in any::<String>()) {
            let _ = ClientDocument::parse(&url(), &bytes);
            let mut odd = document();
            odd["client_name"] = json!(name);
            let read = read(&odd);
            if let Ok(read) = &read {
                prop_assert!(!read.name.is_empty() && read.name.chars().count() <= NAME_MAX_CHARS);
                prop_assert!(!read.name.chars().any(char::is_control));
            }
            prop_assert!(read.is_ok() || odd.to_string().len() > CLIENT_DOCUMENT_MAX_BYTES);
        }

        #[test]
        fn no_address_is_too_odd(url in "(https://)?[ -~]{0,60}") {
            if let Ok(read) = ClientUrl::parse(&url) {
                prop_assert_eq!(format!("https://{}{}", read.host(), read.path()), url);
                prop_assert!(read.host().parse::<std::net::IpAddr>().is_err());
            }
        }
    }
}
