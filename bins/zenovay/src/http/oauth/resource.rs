//! What tokens are made for: `/mcp` of this server and nothing else (RFC 8707).

use super::params::Params;
use super::refusal::{OAuthError, OAuthRefusal};
use crate::http::state::AppState;

/// Whether `asked` means the one resource of the server at `issuer`: the path or the whole server, with a slash at the end or
/// without. Clients write all four.
fn is_ours(issuer: &str, asked: &str) -> bool {
    let asked = asked.strip_suffix('/').unwrap_or(asked);
    asked.strip_prefix(issuer).is_some_and(|rest| matches!(rest, "" | "/mcp"))
}

/// The resource that a request names: the one spelling that is published; `None` when it names none.
///
/// # Errors
/// When it names another one.
pub(super) fn resource_of(state: &AppState, params: &Params) -> Result<Option<String>, OAuthRefusal> {
    // One without a value is as if it were not there (RFC 6749 §3.1).
    let asked: Vec<_> = params.all("resource").iter().filter(|asked| !asked.is_empty()).collect();
    if !asked.iter().all(|asked| is_ours(&state.issuer, asked)) {
        let description = format!("resource must be {}", state.mcp_url());
        return Err(OAuthRefusal::new(OAuthError::InvalidTarget, description));
    }
    Ok((!asked.is_empty()).then(|| state.mcp_url()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_spellings_are_one_resource() {
        for issuer in ["https://stats.example", "http://127.0.0.1:8080"] {
            for tail in ["", "/", "/mcp", "/mcp/"] {
                assert!(is_ours(issuer, &format!("{issuer}{tail}")), "{issuer}{tail}");
            }
            for tail in
                ["//", "/mcp//", "/mcp/a", "/MCP", "/api", ".evil.example", ":1", "@evil.example", "/mcp?a", "#"]
            {
                assert!(!is_ours(issuer, &format!("{issuer}{tail}")), "{issuer}{tail}");
            }
        }
        assert!(!is_ours("https://stats.example", "https://evil.example/mcp"));
        assert!(!is_ours("https://stats.example", ""));
    }
}
