//! The page on which a person is asked. It is written here, works without scripts, and lets none run: the person's answer must not
//! depend on anything but what they see.

use std::fmt::Write as _;
use std::sync::LazyLock;

use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use zenovay_auth::oauth::RedirectTarget;
use zenovay_auth::{AccessLevel, ToolCategory, ToolScopes};
use zenovay_domain::TeamId;
use zenovay_store::Theme;

use super::clients::Client;
use crate::http::document::Css;
use crate::http::envelope::ApiError;
use crate::http::guard::Public;
use crate::http::handler::Described;
use crate::http::html::Escaped;
use crate::http::packed::Packed;

/// The look of the pages of the web application, and what this page has beside.
const STYLE: &str = concat!(
    include_str!("../../../../../web/src/styles/tokens.css"),
    include_str!("../../../../../web/src/styles/base.css"),
    include_str!("../../../../../web/src/styles/gate.css"),
    include_str!("consent.css"),
);

static PACKED: LazyLock<Option<Packed>> =
    LazyLock::new(|| Packed::new(STYLE.as_bytes().to_vec(), "text/css; charset=utf-8"));

/// `GET /oauth/style.css`.
pub async fn style(_: Public, req: HttpRequest) -> Result<Described<Css>, ApiError> {
    let packed = PACKED.as_ref().ok_or_else(ApiError::internal)?;
    Ok(packed.respond(&req, "public, max-age=300, must-revalidate").into())
}

/// A team that can be chosen.
pub struct TeamChoice {
    /// Its id.
    pub id: TeamId,
    /// Its name.
    pub name: String,
}

/// What the page shows.
pub struct ConsentPage<'a> {
    /// The host of this server.
    pub host: &'a str,
    /// Who is signed in.
    pub email: &'a str,
    /// The colours that they want.
    pub theme: Theme,
    /// Who asks.
    pub client: &'a Client,
    /// Who gets the code.
    pub target: &'a RedirectTarget,
    /// The teams of the person.
    pub teams: &'a [TeamChoice],
    /// The one that is chosen.
    pub team: Option<TeamId>,
    /// What is chosen.
    pub scopes: ToolScopes,
    /// What the client asks for.
    pub wanted: ToolScopes,
    /// The client's request, as it came.
    pub request: &'a str,
    /// What shows that the form is of this page.
    pub ticket: &'a str,
    /// What they are told before.
    pub note: Option<&'a str>,
}

/// Who gets the code, in words.
pub fn told_target(target: &RedirectTarget) -> String {
    match target {
        RedirectTarget::Host(host) => host.clone(),
        RedirectTarget::ThisComputer => "this computer".to_owned(),
        RedirectTarget::Program(scheme) => format!("the program for {scheme}: links"),
    }
}

/// The name of a category, what can be read in it, and what can be changed.
const fn words(category: ToolCategory) -> (&'static str, &'static str, &'static str) {
    match category {
        ToolCategory::Analytics => ("Analytics", "Visitors, pages, sources, countries, devices", ""),
        ToolCategory::Advanced => (
            "Advanced",
            "Goals, funnels, recordings, heatmaps, errors, page speed",
            "Resolve, ignore and reopen errors",
        ),
        ToolCategory::AiInsights => ("Insights", "Findings about your numbers", ""),
        ToolCategory::Management => {
            ("Management", "", "Add, change and delete goals and funnels; change and delete websites")
        }
        ToolCategory::Settings => ("Settings", "", "Change exclusions, invite and remove members"),
        ToolCategory::Webhooks => ("Webhooks", "", "Change webhooks"),
    }
}

const MARK: &str = "<svg width=\"20\" height=\"20\" viewBox=\"0 0 20 20\" aria-hidden=\"true\"><path fill=\"currentColor\" \
    d=\"M4 0h12a4 4 0 0 1 4 4v12a4 4 0 0 1-4 4H4a4 4 0 0 1-4-4V4a4 4 0 0 1 4-4Z\"/><path class=\"stroke\" \
    d=\"M4.6 6h10.2L5.2 14h10.2\" fill=\"none\" stroke-width=\"2.1\" stroke-linecap=\"round\" stroke-linejoin=\"round\"/></svg>";

/// A page with `body` in its card.
fn frame(title: &str, theme: Theme, host: &str, body: &str) -> String {
    let theme = match theme {
        Theme::System => String::new(),
        chosen => format!(" data-theme=\"{}\"", chosen.as_str()),
    };
    format!(
        "<!doctype html>\n<html lang=\"en\"{theme}>\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"robots\" content=\"noindex\">\n\
         <title>{title} · zenovay</title>\n<link rel=\"stylesheet\" href=\"/oauth/style.css\">\n</head>\n<body>\n\
         <div class=\"gate\">\n<main class=\"main-col\">\n<a class=\"brand\" href=\"/\">{MARK}<span>zenovay</span></a>\n\
         <div class=\"card consent\">\n{body}</div>\n</main>\n<footer class=\"foot\"><span>{host}</span></footer>\n</div>\n\
         </body>\n</html>\n",
        title = Escaped(title),
        host = Escaped(host),
    )
}

/// The page that asks.
pub fn consent(page: &ConsentPage<'_>) -> HttpResponse {
    let title = format!("Allow {}?", page.client.name);
    let html = frame(&title, page.theme, page.host, &form(page));
    respond(HttpResponse::Ok(), html, &form_action(page.target))
}

/// The page that leads back to the client after the form, at once or by hand.
pub fn onward(address: &str, target: &RedirectTarget) -> HttpResponse {
    let body = format!(
        "<div class=\"box\">\n<h1>Back to where you came from</h1>\n<p class=\"mid\">You are sent to <b>{target}</b>.</p>\n\
         <a class=\"btn primary block\" href=\"{address}\">Go on</a>\n</div>\n",
        target = Escaped(&told_target(target)),
        address = Escaped(address),
    );
    let mut response = HttpResponse::Ok();
    response.insert_header((header::REFRESH, format!("0;url={address}")));
    respond(response, frame("Back to where you came from", Theme::System, "", &body), "'none'")
}

fn form(page: &ConsentPage<'_>) -> String {
    let (name, target) = (Escaped(&page.client.name), told_target(page.target));
    let source = match &page.client.host {
        Some(host) => format!("<b>{}</b>", Escaped(host)),
        None => "nobody: it registered itself".to_owned(),
    };
    let note = page
        .note
        .map_or_else(String::new, |note| format!("<p class=\"note warn\" role=\"alert\">{}</p>\n", Escaped(note)));
    let caution = match (&page.client.host, page.target) {
        (Some(host), RedirectTarget::Host(target)) if host == target => String::new(),
        _ => "<p class=\"note\">Go on only if you have just started this in that program yourself.</p>\n".to_owned(),
    };
    if page.teams.is_empty() {
        return format!(
            "<div class=\"box\">\n<h1>{name} wants to read your numbers</h1>\n\
             <p class=\"mid\">You are in no team, so there is nothing that it could read. <a href=\"/\">To zenovay</a></p>\n</div>\n"
        );
    }
    format!(
        "<form class=\"box\" method=\"post\" action=\"/oauth/consent\">\n{note}<h1>Let {name} act for you?</h1>\n\
         <p class=\"mid\">It will use zenovay as <b>{email}</b>, within what you allow here, and never do more than you may \
         yourself.</p>\n\
         <dl class=\"vouching\">\n<div><dt>Its name is vouched for by</dt><dd>{source}</dd></div>\n\
         <div><dt>Afterwards you are sent to</dt><dd><b>{target}</b></dd></div>\n</dl>\n{caution}\
         {teams}{levels}\
         <input type=\"hidden\" name=\"request\" value=\"{request}\">\n\
         <input type=\"hidden\" name=\"ticket\" value=\"{ticket}\">\n\
         <div class=\"actions\">\n<button class=\"btn primary block\" name=\"decision\" value=\"allow\">Allow</button>\n\
         <button class=\"btn block\" name=\"decision\" value=\"deny\">Cancel</button>\n</div>\n\
         <p class=\"hint\">You can end this at any time under Settings, Account, Security &amp; access.</p>\n</form>\n",
        email = Escaped(page.email),
        target = Escaped(&target),
        teams = teams(page),
        levels = levels(page),
        request = Escaped(page.request),
        ticket = Escaped(page.ticket),
    )
}

fn teams(page: &ConsentPage<'_>) -> String {
    let mut html =
        "<div class=\"field\">\n<label for=\"team\">Team</label>\n<select class=\"input\" id=\"team\" name=\"team\">\n"
            .to_owned();
    for team in page.teams {
        let selected = if page.team == Some(team.id) { " selected" } else { "" };
        // Writing to a string does not fail.
        let _ = writeln!(html, "<option value=\"{}\"{selected}>{}</option>", team.id, Escaped(&team.name));
    }
    html + "</select>\n</div>\n"
}

fn levels(page: &ConsentPage<'_>) -> String {
    let mut html = String::new();
    for category in ToolCategory::ALL {
        if category.offered() == AccessLevel::None {
            continue;
        }
        let (name, read, write) = words(category);
        let id = category.as_str();
        let _ = writeln!(html, "<fieldset class=\"level\" aria-describedby=\"{id}-words\">\n<legend>{name}</legend>");
        let _ = writeln!(html, "<div class=\"how-much\">");
        for level in AccessLevel::ALL.into_iter().filter(|level| category.offers(*level)) {
            let checked = if page.scopes.level(category) == level { " checked" } else { "" };
            let label = match level {
                AccessLevel::None => "None",
                AccessLevel::Read => "Read",
                AccessLevel::Write => "Write",
            };
            let level = level.as_str();
            let _ = writeln!(
                html,
                "<label><input type=\"radio\" name=\"{id}\" value=\"{level}\"{checked}> <span>{label}</span></label>"
            );
        }
        let _ = writeln!(html, "</div>\n<p class=\"hint\" id=\"{id}-words\">");
        if category.offers(AccessLevel::Read) {
            let _ = writeln!(html, "{read}.");
        }
        if category.offers(AccessLevel::Write) {
            let asked = if page.wanted.allows(category, AccessLevel::Write) { " The client asks for it." } else { "" };
            let _ = writeln!(html, "<b>Write:</b> {write}.{asked}");
        }
        let _ = writeln!(html, "</p>\n</fieldset>");
    }
    html
}

/// What stands above why nobody is asked.
const TITLE: &str = "This client cannot be connected";

/// The page that says why nobody is asked.
pub fn problem(words: &str) -> HttpResponse {
    not_asked(HttpResponse::BadRequest(), words)
}

/// The page that says what is wrong with the request of `client`, which the client learns when the person goes to `address`.
pub fn not_for_client(client: &Client, words: &str, address: &str, target: &RedirectTarget) -> HttpResponse {
    let vouched = match &client.host {
        Some(host) => format!("which <b>{}</b> vouches for", Escaped(host)),
        None => "which registered itself here, so that nobody vouches for it".to_owned(),
    };
    let body = format!(
        "<div class=\"box\">\n<h1>{TITLE}</h1>\n<p class=\"note bad\">{words}</p>\n\
         <p class=\"mid\">You were sent here by a client that calls itself <b>{name}</b>, {vouched}. Nothing was allowed. Go back \
         to <b>{target}</b> only if you have just started this there yourself: it is not a part of zenovay.</p>\n\
         <a class=\"btn block\" href=\"{address}\" rel=\"noreferrer\">Go back to {target}</a>\n\
         <a class=\"btn block\" href=\"/\">To zenovay</a>\n</div>\n",
        words = Escaped(words),
        name = Escaped(&client.name),
        target = Escaped(&told_target(target)),
        address = Escaped(address),
    );
    respond(HttpResponse::BadRequest(), frame(TITLE, Theme::System, "", &body), "'none'")
}

/// The page of [`problem`] for what any request may meet.
pub fn refuse(error: &ApiError) -> HttpResponse {
    not_asked(error.answer(), error.message())
}

fn not_asked(response: HttpResponseBuilder, words: &str) -> HttpResponse {
    let body = format!(
        "<div class=\"box\">\n<h1>{TITLE}</h1>\n<p class=\"note bad\">{}</p>\n\
         <p class=\"mid\">You were sent here with a request that cannot be answered, so nothing was allowed. Start again in \
         the program that you came from.</p>\n<a class=\"btn block\" href=\"/\">To zenovay</a>\n</div>\n",
        Escaped(words)
    );
    respond(response, frame(TITLE, Theme::System, "", &body), "'none'")
}

/// Where the form may lead: here, and from here to a program, which opens nothing else by itself.
fn form_action(target: &RedirectTarget) -> String {
    match target {
        RedirectTarget::Host(_) | RedirectTarget::ThisComputer => "'self'".to_owned(),
        RedirectTarget::Program(scheme) => format!("'self' {scheme}:"),
    }
}

fn respond(mut response: HttpResponseBuilder, html: String, form_action: &str) -> HttpResponse {
    let policy = format!(
        "default-src 'none'; style-src 'self'; form-action {form_action}; base-uri 'none'; frame-ancestors 'none'"
    );
    response
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .insert_header((header::X_FRAME_OPTIONS, "DENY"))
        // With none at all, a browser would not say where the form comes from.
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .insert_header((HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
        .body(html)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client {
            id: "https://app.example/client.json".to_owned(),
            name: "<b>\"App\"</b>".to_owned(),
            host: Some("app.example".to_owned()),
            redirect_uris: Vec::new(),
            may_refresh: true,
        }
    }

    /// Sabotage: write a name as it is.
    #[test]
    fn what_strangers_wrote_is_text() {
        let client = client();
        let teams = [TeamChoice { id: TeamId::from_random_bytes([1; 16]), name: "<i>'Team'</i>".to_owned() }];
        let page = ConsentPage {
            host: "stats.example",
            email: "\"><script>@example.com",
            theme: Theme::Dark,
            client: &client,
            target: &RedirectTarget::Host("app.example".to_owned()),
            teams: &teams,
            team: None,
            scopes: ToolScopes::everywhere(AccessLevel::Read),
            wanted: ToolScopes::NONE,
            request: "state=\"><script>&amp",
            ticket: "0",
            note: None,
        };
        let html = form(&page);
        for raw in ["<script", "<i>", "\"App\"", "'Team'"] {
            assert!(!html.contains(raw), "{raw}");
        }
        assert!(html.contains("value=\"state=&quot;&gt;&lt;script&gt;&amp;amp\""));
        assert!(frame("<a>", Theme::Dark, "b", "").contains("<title>&lt;a&gt;"));
        // What is not read is not offered to be read. Sabotage: offer every level below the strongest.
        assert_eq!((html.matches("value=\"read\" checked").count(), html.matches("value=\"read\"").count()), (2, 2));
        for category in ToolCategory::ALL {
            let (_, read, write) = words(category);
            for (level, words) in [(AccessLevel::Read, read), (AccessLevel::Write, write)] {
                assert!(!category.offers(level) || !words.is_empty(), "{category:?}");
            }
        }
        assert!(!html.contains("value=\"write\" checked"));
    }

    #[test]
    fn a_form_leads_here_or_to_its_program_alone() {
        for (redirect, expected) in [
            ("https://claude.ai/api/callback", "'self'"),
            ("http://127.0.0.1:4000/callback?a=b", "'self'"),
            ("cursor://a/b", "'self' cursor:"),
        ] {
            assert_eq!(form_action(&zenovay_auth::oauth::redirect_target(redirect).unwrap()), expected);
        }
    }
}
