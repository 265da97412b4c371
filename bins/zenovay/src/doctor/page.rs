//! The tag on a live page, as it is sent: what scripts add to it later is not seen.

use std::sync::Arc;

use zenovay_domain::{HostRefusal, TrackingCode, Website, WebsiteRules};
use zenovay_store::Metadata;

use super::{Patient, Problem, Seen, wait_for};
use crate::http::oauth::fetch::{self, FetchError, Place};

/// The attributes that name a website, the first that counts first.
const CODE_ATTRIBUTES: [&str; 2] = ["data-tracking-code", "data-id"];
/// How the codes begin.
const CODE_PREFIX: &str = "ZV_";
/// More attributes than a tag has.
const ATTRIBUTES_MAX: usize = 64;

pub(super) fn tag(patient: &Patient<'_>) -> Seen {
    let Some(address) = patient.page else {
        return Seen::not_checked("Name a page to check the tag on it, such as `zenovay doctor https://example.com/`.");
    };
    let Some(metadata) = patient.metadata else { return Seen::not_checked("There are no websites yet.") };
    let shown: String = address.chars().take(200).flat_map(char::escape_debug).collect();
    let Some(place) = place_of(address) else {
        return Seen::problem(Problem::PageRefused, format!("{shown} is not fetched."));
    };
    match wait_for(async { Ok(fetch::page(&place).await) }) {
        Ok(Ok(html)) => judge(&shown, place.host(), &String::from_utf8_lossy(&html), |code| website_of(metadata, code)),
        Ok(Err(error)) => refusal(&shown, error),
        Err(why) => Seen::problem(Problem::PageUnreachable, format!("{shown}: {why}.")),
    }
}

/// A page of the public internet: https, a name with a dot in it, no port, nobody's password.
fn place_of(address: &str) -> Option<Place> {
    let url = url::Url::parse(address.trim()).ok()?;
    let is_plain =
        url.scheme() == "https" && url.port().is_none() && url.username().is_empty() && url.password().is_none();
    let url::Host::Domain(host) = url.host()? else { return None };
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    (is_plain && host.contains('.')).then(|| Place::new(host, &path))
}

fn refusal(shown: &str, error: FetchError) -> Seen {
    let problem = if error == FetchError::NotPublic { Problem::PageRefused } else { Problem::PageUnreachable };
    Seen::problem(problem, format!("{shown}: {error}."))
}

/// The website with this code, if there is one.
fn website_of(metadata: &dyn Metadata, code: &str) -> Result<Option<Website>, String> {
    let Ok(code) = code.parse::<TrackingCode>() else { return Ok(None) };
    metadata.website_by_code(&code).map_err(|error| error.to_string())
}

/// What is thought of `html`, the page of `host`.
fn judge(shown: &str, host: &str, html: &str, website: impl Fn(&str) -> Result<Option<Website>, String>) -> Seen {
    let codes = codes(html);
    let Some(code) = codes.first() else {
        return Seen::problem(
            Problem::TagMissing,
            format!("{shown} has no script with a `data-tracking-code`, as it is sent."),
        );
    };
    let website = match website(code) {
        Ok(Some(website)) => Arc::new(website),
        Ok(None) => {
            let code = code.escape_debug();
            return Seen::problem(Problem::TagWrongCode, format!("{shown} has the code {code}."));
        }
        Err(error) => return Seen::not_checked(format!("The websites cannot be read: {error}.")),
    };
    let of = format!("{shown} has the tag of {} ({})", website.domain, website.id);
    if !website.settings.is_active {
        return Seen::problem(Problem::TagPaused, format!("{of}."));
    }
    let refused = WebsiteRules::compile(&website).ok().and_then(|rules| rules.check_host(host).err());
    if matches!(refused, Some(HostRefusal::Foreign)) {
        return Seen::problem(Problem::TagWrongHost, format!("{of}, which does not let {host} in."));
    }
    if codes.len() > 1 {
        return Seen::problem(Problem::TagTwice, format!("{of}, and {} more; the first counts.", codes.len() - 1));
    }
    Seen::ok(format!("{of}."))
}

/// The codes of the tags of a page, in their order; one that stands in a script for `window.ZENOVAY_TRACKER_CONFIG` is the last.
fn codes(html: &str) -> Vec<String> {
    let mut codes = Vec::new();
    let mut has_script = false;
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = rest.get(start..).unwrap_or_default();
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let is_script = rest.get(..7).is_some_and(|name| name.eq_ignore_ascii_case("<script"));
        rest = rest.get(if is_script { 7 } else { 1 }..).unwrap_or_default();
        if !is_script || !rest.starts_with(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>')) {
            continue;
        }
        let (attributes, after) = attributes(rest);
        let value = |wanted: &str| attributes.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        let code = CODE_ATTRIBUTES.iter().find_map(|name| value(name)).filter(|code| code.starts_with(CODE_PREFIX));
        codes.extend(code.map(str::to_owned));
        has_script |= value("src").is_some_and(|src| src.contains("/z.js"));
        // What is inside a script is text.
        let end = after.as_bytes().windows(8).position(|part| part.eq_ignore_ascii_case(b"</script"));
        rest = end.and_then(|end| after.get(end..)).unwrap_or_default();
    }
    if codes.is_empty() && has_script {
        codes.extend(configured_code(html));
    }
    codes
}

/// The code that follows `trackingCode` in a script.
fn configured_code(html: &str) -> Option<String> {
    let (_, after) = html.split_once("trackingCode")?;
    let (between, code) = after.split_once(CODE_PREFIX)?;
    let length = code.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(code.len());
    (between.len() <= 8).then(|| format!("{CODE_PREFIX}{}", code.get(..length).unwrap_or_default()))
}

/// The attributes of a tag whose name was read, with their values, and what follows the tag. Names are as they are written.
fn attributes(mut rest: &str) -> (Vec<(&str, &str)>, &str) {
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() || attributes.len() >= ATTRIBUTES_MAX {
            return (attributes, rest);
        }
        if let Some(after) = rest.strip_prefix('>') {
            return (attributes, after);
        }
        // At least one character, so that it goes on.
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let is_end = |c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/');
        let length = rest.get(first..).and_then(|more| more.find(is_end)).map_or(rest.len(), |more| first + more);
        let (name, after) = rest.split_at(length);
        let Some(value) = after.trim_start().strip_prefix('=').map(str::trim_start) else {
            attributes.push((name, ""));
            rest = after;
            continue;
        };
        let quoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.split_once(quote));
        let (value, after) = quoted.unwrap_or_else(|| {
            let end = value.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(value.len());
            value.split_at(end)
        });
        attributes.push((name, value));
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use zenovay_domain::{TeamId, Timestamp, WebsiteId};

    use super::*;

    const CODE: &str = "ZV_0123456789a";

    fn website(domain: &str) -> Website {
        let id = WebsiteId::from_random_bytes([1; 16]);
        let team = TeamId::from_random_bytes([2; 16]);
        Website::new(id, team, domain, CODE.parse().unwrap(), Timestamp::from_millis(0))
    }

    fn problem(html: &str, host: &str, change: impl FnOnce(&mut Website)) -> Option<Problem> {
        let mut website = website("example.com");
        change(&mut website);
        judge("it", host, html, |code| Ok((code == CODE).then(|| website.clone()))).problem
    }

    fn page(tags: &str) -> String {
        format!("<!doctype html><html><head><title>A page</title>{tags}</head><body><p>Hello</body></html>")
    }

    /// Sabotage: take the code from a comment, or judge the page by its last tag.
    #[test]
    fn every_fault_of_a_tag_is_named() {
        let tag =
            format!(r#"<script defer data-tracking-code="{CODE}" src="https://stats.example.com/z.js"></script>"#);
        let other = tag.replace(CODE, "ZV_00000000000");
        let same = |_: &mut Website| {};
        assert_eq!(problem(&page(&tag), "example.com", same), None);
        assert_eq!(problem(&page(&tag), "www.example.com", same), None);
        assert_eq!(problem(&page(""), "example.com", same), Some(Problem::TagMissing));
        assert_eq!(problem(&page(&format!("<!-- {tag} -->")), "example.com", same), Some(Problem::TagMissing));
        let text = format!("<script>document.write('{}')</script>", tag.replace("</script>", ""));
        assert_eq!(problem(&page(&text), "example.com", same), Some(Problem::TagMissing));
        assert_eq!(problem(&page(&other), "example.com", same), Some(Problem::TagWrongCode));
        assert_eq!(problem(&page(&format!("{other}{tag}")), "example.com", same), Some(Problem::TagWrongCode));
        assert_eq!(problem(&page(&tag), "other.example", same), Some(Problem::TagWrongHost));
        assert_eq!(problem(&page(&format!("{tag}{tag}")), "example.com", same), Some(Problem::TagTwice));
        let pause = |website: &mut Website| website.settings.is_active = false;
        assert_eq!(problem(&page(&tag), "example.com", pause), Some(Problem::TagPaused));
    }

    #[test]
    fn tags_are_found_however_they_are_written() {
        for tag in [
            format!("<SCRIPT async data-id={CODE} src=/stats/z.js></SCRIPT>"),
            format!("<script\n  src='/z.js'\n  data-tracking-code = '{CODE}'\n></script>"),
            format!("<script data-tracking-code={CODE}>"),
            format!("<script>var a = '<p>'; if (1 < 2) b()</script><script src=x data-tracking-code={CODE}></script>"),
            format!(
                "<script>window.ZENOVAY_TRACKER_CONFIG = {{ trackingCode: '{CODE}' }}</script><script src=/z.js></script>"
            ),
        ] {
            assert_eq!(codes(&page(&tag)), [CODE], "{tag}");
        }
        for none in [
            "<script",
            "<script data-tracking-code",
            "<scripts data-id=ZV_1>",
            "<!-- <script data-id=ZV_1>",
            "<\u{fc}<",
        ] {
            assert_eq!(codes(none), [] as [&str; 0], "{none}");
        }
    }

    /// Sabotage: take every URL.
    #[test]
    fn only_pages_of_the_public_internet_are_fetched() {
        let place = |address: &str| place_of(address).map(|place| (place.host().to_owned(), place.path().to_owned()));
        let at = |host: &str, path: &str| Some((host.to_owned(), path.to_owned()));
        assert_eq!(place("https://Example.com"), at("example.com", "/"));
        assert_eq!(place(" https://example.com:443/a b?c=d#e "), at("example.com", "/a%20b?c=d"));
        for refused in [
            "",
            "example.com",
            "http://example.com/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "https://localhost/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://[::1]/",
            "https://example.com:8443/",
            "https://user:password@example.com/",
        ] {
            assert_eq!(place(refused), None, "{refused}");
        }
    }
}
