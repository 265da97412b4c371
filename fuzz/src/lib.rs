//! What the fuzz targets do with any bytes, as functions: `just fuzz` runs them under libFuzzer with the binaries in
//! `fuzz_targets`, and the tests below run them over `seeds`. None may panic, take long, or take memory out of proportion.
//! Each tells whether it accepted its input.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::OnceLock;

use rand::SeedableRng;
use rand::rngs::StdRng;
use zenovay_auth::KeyFormat;
use zenovay_auth::oauth::{
    CLIENT_DOCUMENT_MAX_BYTES, ClientDocument, ClientUrl, RedirectTarget, check_redirect, redirect_matches,
    redirect_target,
};
use zenovay_capture::{
    Capture, Context, ERRORS_MAX, ErrorCapture, FRAMES_MAX, HEAT_BINS, HeatClick, HeatTold, HeatmapCapture,
    HeatmapFields, NewChunk, PAGE_COLUMNS, PAGE_ROWS, SourceMap, Vitals, fingerprint, pack_chunk, parse_stack,
    read_errors, read_replay, unpack_chunk,
};
use zenovay_domain::{
    Dimension, EventKind, Interval, MAX_DIMENSION_TEXT_BYTES, Reading, TimeRange, Timestamp, WebsiteId, WebsiteRules,
    WebsiteSettings, Zone, parse_domain,
};
use zenovay_events::NewEvent;
use zenovay_events::fuzzing;
use zenovay_export::ByteRange;
use zenovay_ingest::{
    Accepted, Arrival, BATCH_MAX_EVENTS, CaptureFields, GeoDatabase, HIT_BODY_MAX_BYTES, HitFields, MemorySalts,
    MemorySessions, PROPERTIES_MAX_BYTES, Pipeline, Rejected, VisitorHasher, WebUrl, attribute, client_ip, decode_body,
    language_tag, parse_agent, parse_batch, parse_capture, parse_hit,
};
use zenovay_query::{Filter, RowPlace};
use zenovay_stats::{Cursor, Dialect, filters_of_view, parse_filters};

use client_answers::Wanted;

/// The reader of answers of websites that strangers name, which is a part of the server alone.
#[allow(dead_code, reason = "the server uses the rest")]
#[path = "../../bins/zenovay/src/http/oauth/answer.rs"]
pub mod client_answers;

/// The reader of messages of assistants, which is a part of the server alone, too.
#[path = "../../bins/zenovay/src/http/mcp/frame.rs"]
pub mod mcp_frames;

/// What is done with some bytes.
pub type Target = fn(&[u8]) -> bool;

/// Every target and its name, which is that of its binary and of the directory of its seeds.
pub const TARGETS: [(&str, Target); 34] = [
    ("api_key", api_key),
    ("batch", batch),
    ("body_encoding", body_encoding),
    ("byte_range", byte_range),
    ("capture", capture),
    ("capture_record", capture_record),
    ("catalog_row", fuzzing::catalog_row),
    ("client_answer", client_answer),
    ("client_document", client_document),
    ("client_ip", ip),
    ("codes", fuzzing::codes),
    ("column_chunk", fuzzing::column_chunk),
    ("cursor", cursor),
    ("dictionary_page", fuzzing::dictionary_page),
    ("digest", fuzzing::digest),
    ("filters", filters),
    ("geo", geo),
    ("hit", hit),
    ("language", language),
    ("log_batch", fuzzing::log_batch),
    ("log_rows", fuzzing::log_rows),
    ("mcp_message", mcp_message),
    ("pipeline", pipeline),
    ("redirect", redirect),
    ("replay", replay),
    ("replay_chunk", replay_chunk),
    ("settings", settings),
    ("source_map", source_map),
    ("stack", stack),
    ("time_range", time_range),
    ("url", url),
    ("user_agent", user_agent),
    ("visitor_codes", fuzzing::visitor_codes),
    ("visits", fuzzing::visits),
];

/// Inputs that the program itself writes, as names of targets and bytes, by way of a store in the empty directory `dir`.
///
/// # Panics
/// When the store does not work.
pub fn written(dir: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let mut written = fuzzing::written(dir);
    let key = KeyFormat::ZENOVAY.generate_with(&mut StdRng::seed_from_u64(1));
    let capture = Capture::Error(ErrorCapture {
        frames: parse_stack("at f (https://example.com/a.js:1:2)"),
        ..ErrorCapture::default()
    });
    written.push(("capture_record", capture.pack()));
    let clicks = vec![HeatClick { address: "main>a".to_owned(), count: 1, ..HeatClick::default() }];
    let heat = Capture::Heatmap(HeatmapCapture {
        told: HeatTold { clicks, moves: vec![7], ..HeatTold::default() },
        ..HeatmapCapture::default()
    });
    written.push(("capture_record", heat.pack()));
    written.push(("replay_chunk", pack_chunk("[{\"type\":4,\"data\":{},\"timestamp\":1}]").expect("memory")));
    written.push(("api_key", key.expose().as_bytes().to_vec()));
    let range = TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(1));
    let after = RowPlace::new(7, "/a", Some(String::new()));
    written.push(("cursor", Cursor::new(range, after).encode("question").into_bytes()));
    written
}

/// The beginning of `bytes` that is UTF-8.
fn text(bytes: &[u8]) -> &str {
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

/// An API key: what parses is written the same way again.
pub fn api_key(bytes: &[u8]) -> bool {
    let text = text(bytes);
    let Ok(token) = KeyFormat::ZENOVAY.parse(text) else { return false };
    assert_eq!(token.expose(), text);
    true
}

/// The body of a batch: any bytes are at most 1,000 items, each an event, which is enriched, or a refusal of its own.
pub fn batch(body: &[u8]) -> bool {
    let Ok(batch) = parse_batch(body) else { return false };
    assert!((1..=BATCH_MAX_EVENTS).contains(&batch.events.len()));
    let reading = Reading::believed(NOW);
    let judged = batch.events.into_iter().map(|row| server().batch_row(&row?, reading, rules(false)));
    judged.map(is_event).fold(false, |any, is_event| any | is_event)
}

/// A compressed body: never more than the cap comes out of it.
pub fn body_encoding(body: &[u8]) -> bool {
    assert!(decode_body(Some("gzip"), body, 100).map_or(0, |decoded| decoded.len()) <= 100);
    let Ok(decoded) = decode_body(Some("gzip"), body, HIT_BODY_MAX_BYTES) else { return false };
    assert!(decoded.len() <= HIT_BODY_MAX_BYTES);
    true
}

/// The header `Range`: any string asks for bytes that the file has, or for none, or says nothing.
pub fn byte_range(header: &[u8]) -> bool {
    match ByteRange::parse(text(header), 1_000) {
        ByteRange::Part(part) => {
            assert!(part.start < part.end && part.end <= 1_000);
            true
        }
        ByteRange::All | ByteRange::OutOfFile => false,
    }
}

/// A place in a list: what is accepted is written again as something that is accepted.
pub fn cursor(bytes: &[u8]) -> bool {
    let Ok(cursor) = Cursor::decode(text(bytes), "question") else { return false };
    assert_eq!(Cursor::decode(&cursor.encode("question"), "question").as_ref(), Ok(&cursor));
    true
}

/// Filters, as a string, a tree, or lines of a view: any are filters of a bounded size, or a problem with a place.
pub fn filters(bytes: &[u8]) -> bool {
    let [own, plausible] = [Dialect::Own, Dialect::Plausible].map(|dialect| parse_filters(text(bytes), dialect));
    let read = [own, plausible, filters_of_view(text(bytes).lines(), &[])];
    let problems = read.iter().filter_map(|read| read.as_ref().err());
    assert!(problems.into_iter().all(|problem| !problem.problem.is_empty()));
    read.iter().any(|read| read.as_ref().is_ok_and(|filters| filters.all() != Filter::default()))
}

/// What a website answers that a client's id names, whole or not: any bytes are a document of a bounded size, none yet, or a
/// refusal, and what is read of the whole is what is read as soon as there is something. The same bytes are a page or none.
pub fn client_answer(bytes: &[u8]) -> bool {
    let page = client_answers::read(bytes, true, &Wanted::PAGE);
    if let Ok(Some(page)) = page {
        assert!(page.body.len() <= bytes.len());
    }
    let early = client_answers::read(bytes, false, &Wanted::DOCUMENT);
    let whole = client_answers::read(bytes, true, &Wanted::DOCUMENT);
    if let Ok(Some(answer)) = &early {
        assert!(whole.as_ref().is_ok_and(|whole| whole.as_ref() == Some(answer)));
    }
    assert!(!matches!(whole, Ok(None)), "nothing follows");
    let Ok(Some(answer)) = whole else { return false };
    assert!(answer.body.len() <= CLIENT_DOCUMENT_MAX_BYTES && bytes.len() >= answer.body.len());
    let _ = answer.max_age_s;
    true
}

/// The address of a client on the first line, and its document: any are a client with addresses that people can be sent to, or
/// a refusal.
pub fn client_document(bytes: &[u8]) -> bool {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (url, document) = bytes.split_at(end);
    let Ok(url) = ClientUrl::parse(text(url)) else { return false };
    assert!(url.host().parse::<IpAddr>().is_err());
    let Ok(client) = ClientDocument::parse(&url, document) else { return false };
    assert!(!client.name.is_empty() && !client.name.chars().any(char::is_control));
    assert!(!client.redirect_uris.is_empty() && client.redirect_uris.iter().all(|one| check_redirect(one).is_ok()));
    true
}

/// An address that a client registered on the first line, and one that it asks for: what matches is the same, or another port of
/// the person's own computer.
pub fn redirect(bytes: &[u8]) -> bool {
    let (registered, asked) = text(bytes).split_once('\n').unwrap_or_default();
    if !redirect_matches(registered, asked) {
        return false;
    }
    assert_eq!(redirect_target(registered), redirect_target(asked));
    assert!(registered == asked || redirect_target(asked) == Some(RedirectTarget::ThisComputer));
    true
}

/// `X-Forwarded-For` of a trusted proxy: any text gives one address, and that of an untrusted peer says nothing.
pub fn ip(header: &[u8]) -> bool {
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let is_inside = |address: IpAddr| matches!(address, IpAddr::V4(v4) if v4.is_private()) || address.is_loopback();
    assert_eq!(client_ip(peer, text(header).lines(), |_| false), peer);
    client_ip(peer, text(header).lines(), is_inside) != peer
}

/// A message of an assistant: any bytes are one message, which is read the same way again, or an error with a code of JSON-RPC.
pub fn mcp_message(bytes: &[u8]) -> bool {
    match mcp_frames::read(bytes) {
        Ok(message) => {
            assert_eq!(mcp_frames::read(message.as_bytes()).as_ref(), Ok(&message));
            true
        }
        Err(malformed) => {
            assert!(matches!(malformed.answer()["error"]["code"].as_i64(), Some(-32700 | -32600)));
            false
        }
    }
}

/// A file of a geo database: any bytes are refused, or every address is in a country of two letters or in none.
pub fn geo(file: &[u8]) -> bool {
    let Ok(database) = GeoDatabase::from_bytes(file.to_vec(), "places.mmdb") else { return false };
    let addresses = ["8.8.8.8", "1.2.3.4", "255.255.255.255", "2001:db8::1", "::1", "::ffff:8.8.8.8"];
    for address in addresses.map(|address| address.parse().expect("an address")) {
        let place = database.lookup(address);
        assert!(matches!(place.country.len(), 0 | 2));
        assert_eq!(database.lookup(address), place);
    }
    true
}

/// The body of a tracking hit: any bytes are fields or a refusal, and a refusal names what is wrong.
pub fn hit(body: &[u8]) -> bool {
    let validated = [EventKind::Pageview, EventKind::Heartbeat].map(|kind| {
        let mut fields = HitFields::empty(kind);
        parse_hit(body)?.validate(&mut fields)
    });
    let messages = validated.iter().filter_map(|fields| Some(&fields.as_ref().err()?.message));
    assert!(messages.into_iter().all(|message| !message.is_empty()));
    validated.iter().any(Result::is_ok)
}

/// The body of a capture: whose it is, how fast a page was, and errors.
pub fn capture(body: &[u8]) -> bool {
    let Ok(members) = parse_capture(body) else { return false };
    let fields = CaptureFields::read(&members);
    if let Ok(errors) = read_errors(&members) {
        assert!(errors.errors.len() <= ERRORS_MAX);
        for error in errors.errors {
            let _ = fingerprint(&error.kind, &error.message, &error.frames);
            let (kind, message, frames) = (error.kind, error.message, error.frames);
            let capture = Capture::Error(ErrorCapture { kind, message, frames, ..ErrorCapture::default() });
            assert_eq!(Capture::unpack(&capture.pack()), Ok(capture));
        }
    }
    if let Ok(HeatmapFields { told, .. }) = HeatmapFields::read(&members) {
        let spots = PAGE_COLUMNS * PAGE_ROWS;
        assert!(told.moves.iter().all(|spot| *spot < spots));
        for HeatClick { cell, spot, .. } in &told.clicks {
            assert!(*cell < HEAT_BINS * HEAT_BINS && *spot < spots);
        }
        let capture = Capture::Heatmap(HeatmapCapture { told, ..HeatmapCapture::default() });
        assert_eq!(Capture::unpack(&capture.pack()), Ok(capture));
    }
    let _ = Vitals::read(&members);
    fields.is_ok()
}

/// A capture as the log keeps it: what can be read is written the same way again.
pub fn capture_record(bytes: &[u8]) -> bool {
    let Ok(capture) = Capture::unpack(bytes) else { return false };
    let again = Capture::unpack(&capture.pack()).expect("what was written");
    // A number that is none is not itself.
    assert_eq!(format!("{again:?}"), format!("{capture:?}"));
    true
}

/// The body of a chunk of a recording: what is kept of its events is JSON, and is taken when it comes again.
pub fn replay(body: &[u8]) -> bool {
    let Ok(read) = read_replay(body) else { return false };
    let events = std::str::from_utf8(&body[read.events.clone()]).expect("a part of a string");
    let mut kept = None;
    for masks_inputs in [true, false] {
        let chunk = |events| NewChunk {
            website: WebsiteId::from_random_bytes([1; 16]),
            context: Context::default(),
            replay_id: read.replay_id,
            seq: read.seq,
            is_final: read.is_final,
            masks_inputs,
            sent_at_ms: read.sent_at_ms,
            received_ms: 1_781_352_000_000,
            sent_bytes: 1,
            events,
        };
        let Ok(masked) = chunk(events).masked() else { return false };
        let again = format!("{{\"replay_id\":\"{:032}\",\"seq\":0,\"events\":{masked}}}", 0);
        assert_eq!(again[read_replay(again.as_bytes()).expect("JSON").events], masked);
        assert!(chunk(&masked).masked().is_ok());
        kept = Some(masked);
    }
    kept.is_some_and(|kept| kept.len() > "[]".len())
}

/// A chunk of a recording as it is kept.
pub fn replay_chunk(bytes: &[u8]) -> bool {
    unpack_chunk(bytes).is_ok()
}

/// A source map.
pub fn source_map(bytes: &[u8]) -> bool {
    SourceMap::parse(bytes).is_ok()
}

/// A stack of any engine.
pub fn stack(bytes: &[u8]) -> bool {
    let frames = parse_stack(text(bytes));
    assert!(frames.len() <= FRAMES_MAX);
    !frames.is_empty()
}

/// `Accept-Language`: any text is a tag, which is its own tag, or nothing.
pub fn language(bytes: &[u8]) -> bool {
    let Some(tag) = language_tag(text(bytes)) else { return false };
    assert_eq!(language_tag(&tag).as_ref(), Some(&tag));
    true
}

/// A request of a page, lines of headers, an empty line and a body, on the way to an event and into the log.
pub fn pipeline(request: &[u8]) -> bool {
    let at = request.windows(2).position(|pair| pair == b"\n\n").unwrap_or(request.len());
    let (headers, body) = request.split_at(at);
    let header = |name: &str| {
        let of_name = |line: &&str| line.split_once(": ").is_some_and(|(given, _)| given == name);
        text(headers).lines().find(of_name).and_then(|line| line.get(name.len() + 2..))
    };
    let mut arrival = Arrival::from_address(IpAddr::from([8, 8, 8, 8]), NOW);
    arrival.origin = header("Origin");
    arrival.referer = header("Referer");
    arrival.user_agent = header("User-Agent");
    arrival.accept_language = header("Accept-Language");
    arrival.sec_gpc = header("Sec-GPC");
    arrival.dnt = header("DNT");
    arrival.purpose = header("Sec-Purpose");
    arrival.hints.brands = header("Sec-CH-UA");
    arrival.hints.full_versions = header("Sec-CH-UA-Full-Version-List");
    arrival.hints.mobile = header("Sec-CH-UA-Mobile");
    arrival.hints.platform = header("Sec-CH-UA-Platform");
    arrival.hints.platform_version = header("Sec-CH-UA-Platform-Version");
    arrival.hints.form_factors = header("Sec-CH-UA-Form-Factors");
    is_event(server().track(&arrival, body, rules(true))) | is_event(server().heartbeat(&arrival, body, rules(false)))
}

/// The domain of a website on the first line, and on each further one a host, a path and a network that are its settings:
/// what is accepted when it is set can be compiled, and any page can be judged by it.
pub fn settings(lines: &[u8]) -> bool {
    let mut lines = text(lines).lines();
    let Ok(domain) = parse_domain(lines.next().unwrap_or("")) else { return false };
    assert_eq!(parse_domain(&domain).as_ref(), Ok(&domain));
    let mut settings = WebsiteSettings::default().with(|s| s.time_zone = lines.next().unwrap_or("UTC").to_owned());
    for line in lines {
        let mut words = line.split('\t');
        settings.allowed_domains.extend(words.next().map(str::to_owned));
        settings.excluded_paths.extend(words.next().map(str::to_owned));
        settings.excluded_ips.extend(words.next().map(str::to_owned));
    }
    let paths = settings.excluded_paths.clone();
    let Ok(rules) = WebsiteRules::new(WebsiteId::from_bytes([7; 16]), &domain, &settings) else { return false };
    for path in paths {
        rules.excludes_path(&path);
        // A pattern excludes itself, as a URL writes it.
        if path.starts_with('/') && !path.contains(['?', '#', '%', '.', '\\']) && !path.ends_with(' ') {
            let url = WebUrl::parse(format!("https://example.com{path}")).expect("a URL");
            assert!(rules.excludes_path(url.path()), "{path}");
        }
    }
    let _ = rules.check_host(&domain);
    rules.excludes_address(IpAddr::from([10, 0, 0, 1]));
    true
}

/// A zone of the IANA database, and two times in milliseconds, each on its line: the intervals of the time between tile it,
/// and the period before ends where it begins at the latest.
pub fn time_range(lines: &[u8]) -> bool {
    let mut lines = text(lines).lines();
    let Ok(zone) = lines.next().unwrap_or("").parse::<Zone>() else { return false };
    let mut time = || lines.next().and_then(|line| line.parse().ok()).map(Timestamp::from_millis);
    let (Some(from), Some(to)) = (time(), time()) else { return false };
    let range = TimeRange::new(from, to);
    for interval in [Interval::Hour, Interval::Day, Interval::Week, Interval::Month] {
        let buckets = zone.buckets(range, interval, 1_000);
        assert!(buckets.len() <= 1_000);
        assert!(buckets.iter().all(|bucket| bucket.from < bucket.to), "{interval:?}");
        assert!(buckets.is_sorted_by(|one, next| one.to == next.from), "{interval:?}");
    }
    assert!(zone.period_before(range).to <= range.from || range.duration_ms() == 0);
    zone.year_before(range);
    zone.format_date(from);
    !from.to_string().is_empty()
}

/// A URL, its campaign and its referrer: every input has exactly one channel.
pub fn url(bytes: &[u8]) -> bool {
    let Ok(url) = WebUrl::parse(text(bytes)) else { return false };
    assert!(url.path().starts_with('/'));
    assert!(url.without_query().starts_with(url.origin()));
    let campaign = url.campaign();
    !attribute(url.host(), &campaign).channel.as_str().is_empty()
}

/// A user agent: any text is classified, in bounded time.
pub fn user_agent(bytes: &[u8]) -> bool {
    !parse_agent(text(bytes)).browser.is_empty()
}

/// 2026-06-13T00:00:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_781_308_800_000);

/// A website with a visitor's cookie, or without.
fn rules(cookieless: bool) -> &'static WebsiteRules {
    static RULES: OnceLock<[WebsiteRules; 2]> = OnceLock::new();
    let rules = RULES.get_or_init(|| {
        [false, true].map(|cookieless| {
            let settings = WebsiteSettings::default().with(|s| s.cookieless = cookieless);
            WebsiteRules::new(WebsiteId::from_bytes([7; 16]), "example.com", &settings).expect("rules")
        })
    });
    &rules[usize::from(cookieless)]
}

fn server() -> &'static Pipeline {
    static SERVER: OnceLock<Pipeline> = OnceLock::new();
    SERVER.get_or_init(|| {
        let hasher = VisitorHasher::with_rng(MemorySalts::default(), NOW, StdRng::seed_from_u64(1)).expect("memory");
        Pipeline::new(hasher, MemorySessions::default(), GeoDatabase::embedded().expect("the database"))
    })
}

/// Whether there is an event; it has its texts whole and is the same when it is read from the log again. A refusal says why.
fn is_event(judged: Result<Accepted, Rejected>) -> bool {
    let event = match judged {
        Ok(accepted) => accepted.event,
        Err(rejected) => {
            assert!(!rejected.to_string().is_empty());
            return false;
        }
    };
    assert!(event.dimensions.text_bytes() < MAX_DIMENSION_TEXT_BYTES);
    let properties = event.dimensions.get(Dimension::Properties);
    assert!(properties.len() <= PROPERTIES_MAX_BYTES);
    if !properties.is_empty() {
        serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(properties).expect("an object");
    }
    let website = rules(false).website();
    fuzzing::log_event(NewEvent::new(website, NOW, event));
    true
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;

    use super::*;

    fn in_crate(dir: &str) -> impl Iterator<Item = fs::DirEntry> + use<> {
        fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(dir)).unwrap().map(Result::unwrap)
    }

    fn name(entry: &fs::DirEntry) -> String {
        entry.file_name().into_string().unwrap()
    }

    fn seeds() -> BTreeMap<String, Vec<Vec<u8>>> {
        let mut seeds: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for target in in_crate("seeds") {
            let files = in_crate(&format!("seeds/{}", name(&target)));
            seeds.insert(name(&target), files.map(|file| fs::read(file.path()).unwrap()).collect());
        }
        for (target, seed) in written(tempfile::tempdir().unwrap().path()) {
            seeds.entry(target.to_owned()).or_default().push(seed);
        }
        seeds
    }

    #[test]
    fn every_target_has_its_binary_and_seeds() {
        let targets: BTreeSet<_> = TARGETS.map(|(name, _)| name.to_owned()).into();
        let binaries: BTreeSet<_> =
            in_crate("fuzz_targets").map(|file| name(&file).trim_end_matches(".rs").to_owned()).collect();
        assert_eq!(binaries, targets);
        assert_eq!(seeds().into_keys().collect::<BTreeSet<_>>(), targets);
    }

    /// A target that refuses all of its seeds at some first check would find nothing behind it.
    #[test]
    fn every_target_accepts_a_seed_and_panics_at_no_beginning_of_one() {
        let seeds = seeds();
        for (name, target) in TARGETS {
            let seeds = &seeds[name];
            assert!(seeds.iter().any(|seed| target(seed)), "{name}");
            for seed in seeds {
                for len in 0..seed.len() {
                    target(&seed[..len]);
                }
            }
        }
    }
}
