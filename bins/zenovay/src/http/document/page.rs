//! The pages for people, without a script: the API document and what changed. Everything that is not written here is
//! escaped, and the policy of the pages lets nothing be loaded but the style.

use std::fmt::{self, Write};

use pulldown_cmark::{Event, Parser, html};
use serde_json::Value;

use crate::http::html::Escaped;

/// CommonMark as HTML. HTML in it is shown as text, and links lead nowhere but to the web and to this server.
fn markdown(source: &str) -> String {
    let events = Parser::new(source).map(|event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(pulldown_cmark::Tag::Link { dest_url, .. }) if !is_safe(&dest_url) => {
            Event::Start(pulldown_cmark::Tag::Emphasis)
        }
        // Nothing is loaded from elsewhere.
        Event::Start(pulldown_cmark::Tag::Image { title, .. }) => Event::Text(title),
        Event::End(pulldown_cmark::TagEnd::Image) => Event::Text("".into()),
        event => event,
    });
    let mut rendered = String::new();
    html::push_html(&mut rendered, events);
    rendered
}

fn is_safe(url: &str) -> bool {
    ["https://", "http://", "/", "#"].iter().any(|start| url.starts_with(start))
}

fn frame(title: &str, navigation: &str, main: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title} – zenovay</title>\n<link rel=\"stylesheet\" href=\"/docs/style.css\">\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the text</a>\n\
         <header class=\"top\"><a class=\"brand\" href=\"/\">zenovay</a><nav aria-label=\"Documents\">\
         <a href=\"/docs/api\">API</a><a href=\"/docs/changelog\">Changes</a>\
         <a href=\"/api/external/v1/openapi.json\">OpenAPI</a></nav></header>\n\
         <div class=\"columns\">\n{navigation}<main id=\"main\">\n{main}</main>\n</div>\n</body>\n</html>\n"
    )
}

/// The page of the changelog.
pub(super) fn changelog(source: &str) -> String {
    frame("Changes", "", &format!("<article class=\"prose\">\n{}</article>\n", markdown(source)))
}

/// The page of the API document.
pub(super) fn reference(document: &Value) -> String {
    let mut page = Reference { document, main: String::new(), contents: String::new() };
    // Strings take everything.
    let _ = page.write();
    let navigation = format!(
        "<nav class=\"contents\" aria-label=\"Operations\"><details open><summary>Contents</summary>\n{}</details></nav>\n",
        page.contents
    );
    frame("API", &navigation, &page.main)
}

struct Reference<'a> {
    document: &'a Value,
    main: String,
    contents: String,
}

/// A string of the document; empty when it is not there.
fn string(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

impl<'a> Reference<'a> {
    fn write(&mut self) -> fmt::Result {
        let info = &self.document["info"];
        write!(
            self.main,
            "<article class=\"prose intro\"><h1>{} <small>{}</small></h1>\n{}</article>\n",
            Escaped(string(&info["title"])),
            Escaped(string(&info["version"])),
            markdown(string(&info["description"]))
        )?;
        for tag in self.document["tags"].as_array().into_iter().flatten() {
            let name = string(&tag["name"]);
            let id = name.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
            write!(
                self.main,
                "<section class=\"tag\" id=\"tag-{id}\"><h2>{}</h2>\n<div class=\"prose\">{}</div>\n",
                Escaped(name),
                markdown(string(&tag["description"]))
            )?;
            write!(self.contents, "<p><a href=\"#tag-{id}\">{}</a></p>\n<ul>\n", Escaped(name))?;
            for (path, item) in members(&self.document["paths"]) {
                for (method, operation) in members(item).filter(|(_, operation)| operation["tags"][0] == name) {
                    self.operation(path, method, operation)?;
                }
            }
            self.contents.push_str("</ul>\n");
            self.main.push_str("</section>\n");
        }
        Ok(())
    }

    fn operation(&mut self, path: &str, method: &str, operation: &'a Value) -> fmt::Result {
        let (id, summary) = (string(&operation["operationId"]), Escaped(string(&operation["summary"])));
        let (method, verb) = (Escaped(method).to_string(), Escaped(&method.to_ascii_uppercase()).to_string());
        writeln!(
            self.contents,
            "<li><a href=\"#{id}\"><span class=\"verb {method}\">{verb}</span> {summary}</a></li>",
            id = Escaped(id)
        )?;
        writeln!(
            self.main,
            "<section class=\"operation\" id=\"{id}\"><div class=\"about\"><h3><a href=\"#{id}\">{summary}</a></h3>\n\
             <p class=\"route\"><span class=\"verb {method}\">{verb}</span> <code>{}</code></p>\n{}",
            Escaped(path).to_string().replace('/', "<wbr>/"),
            markdown(string(&operation["description"])),
            id = Escaped(id),
        )?;
        self.parameters(operation)?;
        let body = &operation["requestBody"]["content"];
        if let Some((media_type, content)) = members(body).next() {
            writeln!(self.main, "<h4>Body <small>{}</small></h4>", Escaped(media_type))?;
            self.schema(&content["schema"], false)?;
        }
        self.answers(operation)?;
        self.main.push_str("</div>\n<div class=\"samples\">\n");
        self.samples(path, &verb, operation)?;
        self.main.push_str("</div></section>\n");
        Ok(())
    }

    fn parameters(&mut self, operation: &'a Value) -> fmt::Result {
        let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        self.main.push_str("<h4>Parameters</h4>\n<dl class=\"fields\">\n");
        let document = self.document;
        for parameter in parameters.iter().map(|parameter| resolve(document, parameter)) {
            let required = if parameter["required"] == true { "<b class=\"required\">required</b>" } else { "" };
            writeln!(
                self.main,
                "<div><dt><code>{}</code> <small>{}</small>{required}</dt><dd>{}<p class=\"rule\">{}</p></dd></div>",
                Escaped(string(&parameter["name"])),
                Escaped(string(&parameter["in"])),
                markdown(string(&parameter["description"])),
                Escaped(&self.rule(&parameter["schema"])),
            )?;
        }
        self.main.push_str("</dl>\n");
        Ok(())
    }

    fn answers(&mut self, operation: &'a Value) -> fmt::Result {
        self.main.push_str("<h4>Answers</h4>\n");
        for (status, response) in members(&operation["responses"]) {
            let is_refusal = status.starts_with(['4', '5']);
            let response = resolve(self.document, response);
            let kind = if is_refusal { "refusal" } else { "success" };
            let open = if status == "200" { " open" } else { "" };
            let description = string(&response["description"]);
            let heading = description.split("\n\n").map(|line| line.split(':').next().unwrap_or(""));
            let heading: Vec<&str> = if is_refusal { heading.collect() } else { vec![description] };
            writeln!(
                self.main,
                "<details class=\"answer {kind}\"{open}><summary><b>{}</b> {}</summary>",
                Escaped(status),
                heading.iter().map(|line| inline(line)).collect::<Vec<_>>().join(", "),
            )?;
            if is_refusal {
                self.main.push_str(&markdown(description));
            }
            if let Some((_, content)) = members(&response["content"]).next().filter(|_| !is_refusal) {
                self.schema(&content["schema"], true)?;
            }
            self.headers(&response["headers"])?;
            self.main.push_str("</details>\n");
        }
        Ok(())
    }

    fn headers(&mut self, headers: &'a Value) -> fmt::Result {
        self.main.push_str("<p class=\"rule\">Headers:</p><dl class=\"fields small\">\n");
        for (name, header) in members(headers) {
            let header = resolve(self.document, header);
            writeln!(
                self.main,
                "<div><dt><code>{}</code></dt><dd>{}</dd></div>",
                Escaped(name),
                inline(string(&header["description"]))
            )?;
        }
        self.main.push_str("</dl>\n");
        Ok(())
    }

    /// The members of a schema, and those below them, as a list of paths. What is remarkable is told: a member of an answer
    /// that may be absent, and a member of a body that must not be.
    fn schema(&mut self, schema: &'a Value, is_answer: bool) -> fmt::Result {
        let mut rows = Vec::new();
        self.rows("", schema, true, 0, &mut rows);
        self.main.push_str("<dl class=\"fields\">\n");
        for Row { path, schema, is_required } in rows {
            let optional = match (is_answer, is_required) {
                (true, false) => "<small>optional</small>",
                (false, true) => "<b class=\"required\">required</b>",
                _ => "",
            };
            writeln!(
                self.main,
                "<div><dt><code>{}</code> {optional}</dt><dd>{}<p class=\"rule\">{}</p></dd></div>",
                Escaped(&path),
                markdown(string(&schema["description"])),
                Escaped(&self.rule(schema)),
            )?;
        }
        self.main.push_str("</dl>\n");
        Ok(())
    }

    fn rows(&self, path: &str, schema: &'a Value, is_required: bool, depth: usize, rows: &mut Vec<Row<'a>>) {
        let target = resolve(self.document, schema);
        if !path.is_empty() {
            // What stands beside a reference is about this place, what stands behind it about the type.
            let about =
                if schema["description"].is_string() && !target["properties"].is_object() { schema } else { target };
            rows.push(Row { path: path.to_owned(), schema: about, is_required });
        }
        if depth > 6 {
            return;
        }
        if let Some(parts) = target["allOf"].as_array() {
            for part in parts {
                self.rows_of(path, resolve(self.document, part), depth, rows);
            }
        }
        self.rows_of(path, target, depth, rows);
        if target["items"].is_object() {
            self.rows_of(&format!("{path}[]"), resolve(self.document, &target["items"]), depth, rows);
        }
    }

    fn rows_of(&self, path: &str, schema: &'a Value, depth: usize, rows: &mut Vec<Row<'a>>) {
        let required = &schema["required"];
        for (name, member) in members(&schema["properties"]) {
            let is_required = required.as_array().is_some_and(|names| names.iter().any(|one| one == name));
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            self.rows(&path, member, is_required, depth + 1, rows);
        }
    }

    /// What a value may be, in a few words.
    fn rule(&self, schema: &'a Value) -> String {
        let schema = resolve(self.document, schema);
        for alternatives in ["oneOf", "anyOf"] {
            if let Some(several) = schema[alternatives].as_array() {
                return several.iter().map(|one| self.rule(one)).collect::<Vec<_>>().join(" or ");
            }
        }
        let mut rule = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().map(string).collect::<Vec<_>>().join(" or "),
            kind => string(kind).to_owned(),
        };
        if let Some(format) = schema["format"].as_str().filter(|format| !format.starts_with("int")) {
            rule = format!("{rule}, {format}");
        }
        if schema["items"].is_object() {
            rule = format!("{rule} of {}", self.rule(&schema["items"]));
        }
        if let Some(values) = schema["enum"].as_array() {
            let values: Vec<String> = values.iter().map(|value| string(value).to_owned()).collect();
            rule = format!("one of {}", values.join(", "));
        }
        for (name, word) in [
            ("pattern", "matches"),
            ("minimum", "from"),
            ("maximum", "to"),
            ("minLength", "from characters"),
            ("maxLength", "to characters"),
            ("minItems", "from items"),
            ("maxItems", "to items"),
            ("x-lowered-to", "counts as at most"),
            ("default", "default"),
            ("const", "always"),
        ] {
            let value = &schema[name];
            let goes_without_saying = name == "minimum" && schema["type"] == "integer" && *value == 0;
            if !value.is_null() && !goes_without_saying {
                let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let (before, after) = word.split_once(' ').unwrap_or((word, ""));
                let after = if after == "characters" || after == "items" { format!(" {after}") } else { String::new() };
                let before = if after.is_empty() { word } else { before };
                let _ = write!(rule, ", {before} {shown}{after}");
            }
        }
        rule
    }

    fn samples(&mut self, path: &str, verb: &str, operation: &'a Value) -> fmt::Result {
        let mut command = String::from("curl");
        if verb != "GET" {
            let _ = write!(command, " -X {verb}");
        }
        let mut target = path.to_owned();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let example = string(&parameter["schema"]["examples"][0]);
            if parameter["in"] == "path" {
                target = target.replace(&format!("{{{}}}", string(&parameter["name"])), example);
            }
        }
        let _ = write!(command, " \"http://127.0.0.1:8080{target}\"");
        if operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty()) {
            command.push_str(" \\\n  -H 'X-API-Key: zv_YOUR_API_KEY'");
        }
        if let Some((media_type, content)) = members(&operation["requestBody"]["content"]).next() {
            let body = serde_json::to_string_pretty(&content["example"]).unwrap_or_default().replace('\'', "'\\''");
            let _ = write!(command, " \\\n  -H 'Content-Type: {media_type}' -d '{body}'");
        }
        write!(self.main, "<h4>Request</h4>\n<pre tabindex=\"0\">{}</pre>\n", Escaped(&command))?;
        let answer = &operation["responses"]["200"]["content"];
        if let Some((_, content)) = members(answer).next() {
            let example = &content["example"];
            let shown = match example {
                Value::String(text) => text.clone(),
                other => serde_json::to_string_pretty(other).unwrap_or_default(),
            };
            write!(self.main, "<h4>Answer</h4>\n<pre tabindex=\"0\">{}</pre>\n", Escaped(&shown))?;
        }
        Ok(())
    }
}

/// What `value` is, or what it refers to.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target = value["$ref"].as_str().and_then(|path| document.pointer(path.trim_start_matches('#')));
    target.unwrap_or(value)
}

struct Row<'a> {
    path: String,
    schema: &'a Value,
    is_required: bool,
}

/// CommonMark in a line.
fn inline(source: &str) -> String {
    let rendered = markdown(source);
    rendered.trim().trim_start_matches("<p>").trim_end_matches("</p>").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_text_comes_out_of_text() {
        let page = changelog(
            "# <script>alert(1)</script>\n\n[x](javascript:alert(1)) ![p](https://a.example/p.png)\n<b onclick=x>",
        );
        for bad in ["<script", "javascript:", "<img", "<b "] {
            assert!(!page.contains(bad), "{bad}: {page}");
        }
        assert!(page.contains("&lt;script&gt;"));
        let document = serde_json::json!({
            "info": { "title": "<i>", "description": "<i>" },
            "tags": [{ "name": "<i>" }],
            "paths": { "/<i>": { "get": { "tags": ["<i>"], "operationId": "\"<i>", "summary": "<i>",
                "parameters": [{ "name": "<i>", "in": "<i>", "schema": { "pattern": "<i>" } }],
                "responses": { "200": { "description": "<i>", "content": { "a/b": { "example": "<i>" } } } } } } },
        });
        assert!(!reference(&document).contains("<i>"));
    }
}
