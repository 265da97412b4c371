//! `zenovay sourcemaps`: source maps of a build, sent to a server from where the website is built.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use url::Url;
use zenovay_domain::WebsiteId;

use super::output::{Failure, Output, plain, table};
use super::remote::{Remote, Reply};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Send the source maps of a build to a server, so that stacks of errors are shown, and grouped, as people wrote them. Exits
    /// with 3 when the server refused some of them, or when the map of a bundle is missing.
    Upload(Box<Upload>),
}

#[derive(Debug, Args)]
pub(super) struct Upload {
    /// The directory with the bundles and their maps. Directories in it are looked through, too, but not node_modules and
    /// hidden ones.
    directory: PathBuf,
    /// The address of the server.
    #[arg(long, value_name = "URL", env = "ZENOVAY_SERVER")]
    server: String,
    /// An API key that may write. In the environment others on this machine cannot read it.
    #[arg(long, value_name = "KEY", env = "ZENOVAY_API_KEY", hide_env_values = true)]
    api_key: String,
    /// The id of the website.
    #[arg(long, value_name = "ID", env = "ZENOVAY_WEBSITE")]
    website: WebsiteId,
    /// The release of the build, as its pages tell it. Without it maps are found by their debug id, or by the name of the
    /// bundle: that suits names with a hash in them.
    #[arg(long, env = "ZENOVAY_RELEASE")]
    release: Option<String>,
    /// The address on the website below which the directory is, such as https://shop.example/assets. Needed when bundles in
    /// several directories have the same name.
    #[arg(long, value_name = "URL")]
    url_prefix: Option<String>,
}

/// What bundles end with.
const BUNDLES: [&str; 3] = ["js", "mjs", "cjs"];
/// The most that is looked at of the end of a bundle for what it says of its map, in bytes.
const TAIL_BYTES: usize = 4_096;
/// How often a server that is busy is asked again, and for how long it is waited for at most each time.
const TRIES: u32 = 10;
const WAIT_MAX_S: u64 = 120;

/// A map that was found.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// The bundle, from the directory on, with slashes.
    bundle: String,
    /// The map's file.
    map: PathBuf,
    /// The debug id that the bundle has.
    debug_id: Option<String>,
}

/// What is in a directory.
#[derive(Debug, Default, PartialEq, Eq)]
struct Build {
    maps: Vec<Found>,
    /// Bundles that say they have a map, and why it is not there.
    missing: Vec<(String, String)>,
}

/// A map that the server took, or did not take.
struct Sent {
    bundle: String,
    url: String,
    debug_id: Option<String>,
    answer: Result<(u64, u64), String>,
}

pub(super) fn run(command: Command, output: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Upload(upload) => upload.run(output),
    }
}

impl Upload {
    fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let prefix = self.url_prefix.as_deref().map(base).transpose()?;
        let remote = Remote::new(&self.server, &self.api_key)?;
        let shown = self.directory.display();
        let build = look_through(&self.directory).map_err(|error| Failure::new(format_args!("{shown}: {error}")))?;
        if build.maps.is_empty() && build.missing.is_empty() {
            return Err(Failure::new(format_args!("there is no source map in {shown}: let the build write them")));
        }
        let ambiguous = same_names(&build.maps);
        let mut sent = Vec::new();
        for found in &build.maps {
            sent.push(self.send(&remote, prefix.as_ref(), found, &ambiguous)?);
        }
        sent.extend(build.missing.into_iter().map(|(bundle, why)| {
            let url = url_of(prefix.as_ref(), &bundle);
            Sent { bundle, url, debug_id: None, answer: Err(why) }
        }));
        self.tell(&sent, output)
    }

    /// Sends one map. Fails when others would fare no better.
    fn send(
        &self,
        remote: &Remote,
        prefix: Option<&Url>,
        found: &Found,
        ambiguous: &BTreeSet<String>,
    ) -> Result<Sent, Failure> {
        let url = url_of(prefix, &found.bundle);
        let name = name_of(&found.bundle);
        let refused = |debug_id, why: String| {
            Ok(Sent { bundle: found.bundle.clone(), url: url.clone(), debug_id, answer: Err(why) })
        };
        let (map, debug_id) = match read_map(found) {
            Ok(read) => read,
            Err(why) => return refused(None, why),
        };
        if prefix.is_none() && debug_id.is_none() && ambiguous.contains(name) {
            return refused(None, "another bundle has the same name: give --url-prefix".to_owned());
        }
        let body = json!({ "fileName": name, "fileUrl": url, "release": self.release, "mapContent": map });
        let packed = gzip(&body).map_err(Failure::new)?;
        let path = format!("/api/errors/{}/sourcemap", self.website);
        let reply = patiently(|| remote.post(&path, &packed)).map_err(|error| {
            let server = self.server.escape_debug();
            Failure::new(format_args!("{server} cannot be asked ({error})"))
        })?;
        let told: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        match reply.status {
            200 if told["success"] == true => {
                let count = |name: &str| told["data"][name].as_u64().unwrap_or(0);
                let answer = Ok((count("stacks"), count("groups")));
                Ok(Sent { bundle: found.bundle.clone(), url, debug_id, answer })
            }
            // About this map.
            400 | 413 | 422 => refused(debug_id, why(&reply, &told)),
            _ => Err(Failure::new(format_args!("{}: {}", self.server.escape_debug(), why(&reply, &told)))),
        }
    }

    fn tell(&self, sent: &[Sent], output: &mut Output) -> Result<(), Failure> {
        let taken = sent.iter().filter(|sent| sent.answer.is_ok()).count();
        if taken == 0 {
            let first = sent.first().map(|sent| format!("{}: {}", sent.bundle, why_not(sent))).unwrap_or_default();
            let count = sent.len();
            return Err(Failure::new(format_args!("none of {count} source maps was taken; {first}")));
        }
        let row = |sent: &Sent| {
            let Sent { bundle, url, debug_id, answer } = sent;
            match answer {
                Ok((stacks, groups)) => {
                    json!({ "file": bundle, "url": url, "debug_id": debug_id, "stacks": stacks, "groups": groups })
                }
                Err(why) => json!({ "file": bundle, "url": url, "why": why }),
            }
        };
        let rows = |is_taken: bool| -> Vec<Value> {
            sent.iter().filter(|sent| sent.answer.is_ok() == is_taken).map(row).collect()
        };
        let result = json!({
            "website": self.website, "release": self.release, "taken": rows(true), "refused": rows(false),
        });
        output.result(&result, || {
            let refused = rows(false);
            let mut text = table("", &["file", "debug_id", "stacks", "groups"], &rows(true));
            if !refused.is_empty() {
                text.push('\n');
                text.push_str(&table("", &["file", "why"], &refused));
            }
            text.push_str(&format!("\nsource maps: {taken} taken, {} refused\n", refused.len()));
            text
        });
        if taken < sent.len() {
            output.done_in_part();
        }
        Ok(())
    }
}

fn why_not(sent: &Sent) -> &str {
    sent.answer.as_ref().err().map_or("", String::as_str)
}

/// What a server says of what it refused.
fn why(reply: &Reply, told: &Value) -> String {
    let Reply { status, location, .. } = reply;
    if let Some(location) = location.as_deref().filter(|_| (300..400).contains(status)) {
        return format!("the server sends us to {}: give that address", location.escape_debug());
    }
    let details = match &told["details"] {
        Value::Object(fields) => {
            let each = fields.iter().map(|(name, problem)| format!("{name} {}", problem.as_str().unwrap_or_default()));
            each.collect::<Vec<_>>().join(", ")
        }
        Value::String(text) => text.clone(),
        _ => String::new(),
    };
    if !told["message"].is_string() {
        return format!("the answer has status {status}, and is not of zenovay");
    }
    let message = plain(&told["message"]);
    if details.is_empty() {
        format!("{message} ({status})")
    } else {
        format!("{message}: {} ({status})", plain(&Value::String(details)))
    }
}

/// Asks until the server is not busy any more, or has been for too long.
fn patiently(ask: impl Fn() -> io::Result<Reply>) -> io::Result<Reply> {
    for _ in 1..TRIES {
        let reply = ask()?;
        match reply.retry_after_s {
            Some(seconds) if matches!(reply.status, 429 | 503) && seconds <= WAIT_MAX_S => {
                std::thread::sleep(Duration::from_secs(seconds));
            }
            _ => return Ok(reply),
        }
    }
    ask()
}

/// The address below which the files of the build are.
fn base(prefix: &str) -> Result<Url, Failure> {
    let wrong = || {
        let shown = prefix.escape_debug();
        Failure::usage(format_args!("--url-prefix {shown}: write an address such as https://shop.example/assets"))
    };
    let mut url = Url::parse(prefix).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong());
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// The address of a bundle; without a prefix its place in the directory stands for it.
fn url_of(prefix: Option<&Url>, bundle: &str) -> String {
    let Some(prefix) = prefix else { return bundle.to_owned() };
    let mut url = prefix.clone();
    // One with a host has a path.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(bundle.split('/'));
    }
    url.to_string()
}

fn name_of(bundle: &str) -> &str {
    bundle.rsplit('/').next().unwrap_or(bundle)
}

/// The names that several bundles have.
fn same_names(maps: &[Found]) -> BTreeSet<String> {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for found in maps {
        *counts.entry(name_of(&found.bundle)).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count > 1).map(|(name, _)| name.to_owned()).collect()
}

fn gzip(body: &Value) -> io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(body.to_string().as_bytes())?;
    packed.finish()
}

/// The map as it is sent, and its debug id.
fn read_map(found: &Found) -> Result<(String, Option<String>), String> {
    let text = fs::read_to_string(&found.map).map_err(|error| format!("its map cannot be read: {error}"))?;
    // Some servers put a line before JSON so that no page can run it.
    let json = text.strip_prefix(")]}'").unwrap_or(&text);
    let mut map: Value = serde_json::from_str(json).map_err(|error| format!("its map is not JSON: {error}"))?;
    let of_map = ["debug_id", "debugId"].iter().find_map(|name| map[name].as_str()).map(str::to_owned);
    if of_map.is_some() {
        return Ok((text, of_map));
    }
    if let (Some(id), Some(members)) = (&found.debug_id, map.as_object_mut()) {
        // The bundle alone has it: the server looks at the map.
        members.insert("debug_id".to_owned(), json!(id));
        return Ok((map.to_string(), Some(id.clone())));
    }
    Ok((text, None))
}

/// The bundles with maps in `directory`, in the order of their names.
fn look_through(directory: &Path) -> io::Result<Build> {
    let mut files = BTreeSet::new();
    collect(directory, "", &mut files)?;
    let mut build = Build::default();
    let mut used = BTreeSet::new();
    for bundle in files.iter().filter(|file| is_bundle(file)) {
        let end = tail(&directory.join(bundle))?;
        let debug_id = last_comment(&end, "debugId").map(str::to_owned);
        let beside = format!("{bundle}.map");
        let named = last_comment(&end, "sourceMappingURL");
        let map = match named {
            Some(url) if url.starts_with("data:") => {
                let why = "its map is in the bundle itself, for every visitor: let the build write a file".to_owned();
                build.missing.push((bundle.clone(), why));
                continue;
            }
            Some(url) => place_of(bundle, url).filter(|place| files.contains(place)),
            None => None,
        };
        match map.or_else(|| files.contains(&beside).then_some(beside)) {
            Some(map) => {
                build.maps.push(Found { bundle: bundle.clone(), map: directory.join(&map), debug_id });
                used.insert(map);
            }
            None => {
                let why = named.map(|url| format!("its map {url} is not in the directory"));
                build.missing.extend(why.map(|why| (bundle.clone(), why)));
            }
        }
    }
    // Where bundles were taken away already: a map is called as its bundle.
    for map in files.iter().filter(|file| !used.contains(*file)) {
        if let Some(bundle) = map.strip_suffix(".map").filter(|bundle| is_bundle(bundle)) {
            let found = Found { bundle: bundle.to_owned(), map: directory.join(map), debug_id: None };
            build.maps.push(found);
        }
    }
    build.maps.sort_by(|one, other| one.bundle.cmp(&other.bundle));
    Ok(build)
}

fn is_bundle(file: &str) -> bool {
    file.rsplit_once('.').is_some_and(|(name, end)| !name.is_empty() && BUNDLES.contains(&end))
}

/// Adds the files below `directory`, of which `above` is the place. Links are not followed: they may lead in a circle.
fn collect(directory: &Path, above: &str, files: &mut BTreeSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        // A name that is not UTF-8 is in no address.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let place = if above.is_empty() { name.clone() } else { format!("{above}/{name}") };
        if kind.is_dir() && !name.starts_with('.') && name != "node_modules" {
            collect(&entry.path(), &place, files)?;
        } else if kind.is_file() {
            files.insert(place);
        }
    }
    Ok(())
}

/// The end of a file.
fn tail(path: &Path) -> io::Result<String> {
    let bytes = fs::read(path)?;
    Ok(String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]).into_owned())
}

/// What the last comment `//# NAME=` of a bundle says.
fn last_comment<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let told = ["//# ", "//@ "].iter().filter_map(|mark| text.rfind(&format!("{mark}{name}="))).max()?;
    let value = &text[told + "//# ".len() + name.len() + "=".len()..];
    value.split_whitespace().next()
}

/// The place in the directory that `url` in `bundle` names; `None` when it is outside.
fn place_of(bundle: &str, url: &str) -> Option<String> {
    // On a server of its own it is beside the bundle here, if anywhere.
    let base = Url::parse("file:///").ok()?.join(&escaped(bundle)).ok()?;
    let found = base.join(url).ok()?;
    let path = if found.scheme() == "file" { found.path() } else { return beside(bundle, &found) };
    let place = percent_decoded(path.trim_start_matches('/'))?;
    Some(place)
}

fn beside(bundle: &str, url: &Url) -> Option<String> {
    let name = percent_decoded(url.path_segments()?.next_back()?)?;
    Some(bundle.rsplit_once('/').map_or(name.clone(), |(above, _)| format!("{above}/{name}")))
}

/// A place as a path of an address.
fn escaped(place: &str) -> String {
    place.replace('%', "%25").replace('?', "%3F").replace('#', "%23")
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &Path, file: &str, text: &str) {
        let path = directory.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Sabotage: look at names alone, follow links, or go on into node_modules.
    #[test]
    fn maps_are_found_where_bundles_say_or_beside_them() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        for (file, text) in [
            ("a-1.js", "x\n//# sourceMappingURL=a-1.js.map"),
            ("a-1.js.map", "{}"),
            ("deep/b.mjs", "x\n//# debugId=0001-02\n//# sourceMappingURL=../maps/b%20b.json\n"),
            ("maps/b b.json", "{}"),
            ("hidden.js", "no word of it"),
            ("hidden.js.map", "{}"),
            ("cdn.js", "//# sourceMappingURL=https://cdn.example/x/cdn.js.map?v=1"),
            ("cdn.js.map", "{}"),
            ("gone.js.map", "{}"),
            ("lost.js", "//# sourceMappingURL=lost.js.map"),
            ("outside.js", "//# sourceMappingURL=../../../etc/passwd"),
            ("inline.js", "//# sourceMappingURL=data:application/json;base64,e30="),
            ("plain.js", "const text = 'sourceMappingURL';"),
            ("style.css", "a{}\n/*# sourceMappingURL=style.css.map */"),
            ("style.css.map", "{}"),
            ("node_modules/x/x.js.map", "{}"),
            (".cache/y.js.map", "{}"),
        ] {
            write(at, file, text);
        }
        std::os::unix::fs::symlink(at, at.join("loop")).unwrap();
        let build = look_through(at).unwrap();
        let found = |bundle: &str, map: &str, debug_id: Option<&str>| Found {
            bundle: bundle.to_owned(),
            map: at.join(map),
            debug_id: debug_id.map(str::to_owned),
        };
        assert_eq!(
            build.maps,
            [
                found("a-1.js", "a-1.js.map", None),
                found("cdn.js", "cdn.js.map", None),
                found("deep/b.mjs", "maps/b b.json", Some("0001-02")),
                found("gone.js", "gone.js.map", None),
                found("hidden.js", "hidden.js.map", None),
            ]
        );
        let missing: Vec<&str> = build.missing.iter().map(|(bundle, _)| bundle.as_str()).collect();
        assert_eq!(missing, ["inline.js", "lost.js", "outside.js"]);
    }

    #[test]
    fn a_bundle_has_an_address_below_the_prefix() {
        let prefix = |text: &str| base(text).unwrap();
        for text in ["https://shop.example/assets", "https://shop.example/assets/", "https://shop.example/assets?x#y"] {
            assert_eq!(url_of(Some(&prefix(text)), "a/b c.js"), "https://shop.example/assets/a/b%20c.js", "{text}");
        }
        assert_eq!(url_of(Some(&prefix("http://localhost:3000")), "x.js"), "http://localhost:3000/x.js");
        assert_eq!(url_of(None, "a/b c.js"), "a/b c.js");
        assert!(base("/assets").is_err() && base("shop.example").is_err());
    }

    #[test]
    fn a_debug_id_that_only_the_bundle_has_goes_into_the_map() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "a.map", r#"{"version":3}"#);
        let found = |debug_id: Option<&str>| Found {
            bundle: "a.js".to_owned(),
            map: directory.path().join("a.map"),
            debug_id: debug_id.map(str::to_owned),
        };
        let (map, id) = read_map(&found(Some("x-1"))).unwrap();
        assert_eq!(
            (serde_json::from_str::<Value>(&map).unwrap()["debug_id"].as_str(), id.as_deref()),
            (Some("x-1"), Some("x-1"))
        );
        assert_eq!(read_map(&found(None)).unwrap(), (r#"{"version":3}"#.to_owned(), None));
        write(directory.path(), "a.map", r#"{"version":3,"debugId":"y-2"}"#);
        assert_eq!(read_map(&found(Some("x-1"))).unwrap().1.as_deref(), Some("y-2"));
        write(directory.path(), "a.map", "<html>");
        assert!(read_map(&found(None)).unwrap_err().contains("not JSON"));
    }

    #[test]
    fn a_busy_server_is_asked_again_and_others_are_not() {
        let asked = std::cell::Cell::new(0);
        let reply = |status, retry_after_s| Reply { status, retry_after_s, location: None, body: Vec::new() };
        let answer = |status, after| {
            asked.set(0);
            let told = patiently(|| {
                asked.set(asked.get() + 1);
                Ok(reply(status, after))
            });
            (told.unwrap().status, asked.get())
        };
        assert_eq!(answer(200, None), (200, 1));
        assert_eq!(answer(503, None), (503, 1));
        assert_eq!(answer(429, Some(WAIT_MAX_S + 1)), (429, 1), "nobody waits that long");
    }
}
