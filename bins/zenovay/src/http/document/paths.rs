//! The parts of paths that are parameters.

use serde_json::{Value, json};

use super::Parameter;

/// The schema of a tracking code.
pub(super) fn tracking_code() -> Value {
    json!({ "type": "string", "pattern": "^ZV_[0-9A-Za-z]{1,61}$", "examples": ["ZV_abc123XYZ09"] })
}

/// The parameter `{name}` of a path; `None` when nobody knows it.
fn parameter(name: &str) -> Option<Parameter> {
    let uuid = json!({ "type": "string", "format": "uuid", "examples": ["0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"] });
    Some(match name {
        "website_id" => Parameter::path("website_id", "The website's id.", uuid),
        "team_id" => Parameter::path("team_id", "The team's id.", uuid),
        "user_id" => Parameter::path("user_id", "The user's id.", uuid),
        "key_id" => Parameter::path("key_id", "The key's id.", uuid),
        "session_id" => Parameter::path("session_id", "The session's id.", uuid),
        "passkey_id" => Parameter::path("passkey_id", "The id of the passkey.", uuid),
        "invitation_id" => Parameter::path("invitation_id", "The invitation's id.", uuid),
        "token" => Parameter::path(
            "token",
            "The secret at the end of the link.",
            json!({ "type": "string", "pattern": "^[0-9A-Za-z]{43}$", "examples": ["Qm7vX2bT9cLr4KpW8sYf3HnD6gJzA1eU5oRiVtCkBqM"] }),
        ),
        "code" => Parameter::path("code", "The website's tracking code.", tracking_code()),
        "query_id" => Parameter::path(
            "query_id",
            "The id of the question, as the 202 tells it.",
            json!({ "type": "string", "pattern": "^[0-9a-f]{32}$", "examples": ["5f2d0c9b7a416e385f2d0c9b7a416e38"] }),
        ),
        "grant_id" => Parameter::path("grant_id", "The id of what was granted.", uuid),
        "client_id" => Parameter::path(
            "client_id",
            "The client's id.",
            json!({ "type": "string", "pattern": "^zvc_[0-9A-Za-z]{43}$", "examples": ["zvc_Qm7vX2bT9cLr4KpW8sYf3HnD6gJzA1eU5oRiVtCkBqM"] }),
        ),
        "share_id" => Parameter::path("share_id", "The id of the public link.", uuid),
        "incident_id" => Parameter::path("incident_id", "The id of the incident.", uuid),
        "goal_id" => Parameter::path("goal_id", "The goal's id.", uuid),
        "funnel_id" => Parameter::path(
            "funnel_id",
            "The funnel's id; of one that code made, `auto-` and 16 hexadecimal digits.",
            json!({ "type": "string", "minLength": 1, "examples": ["0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"] }),
        ),
        "group_id" => Parameter::path(
            "group_id",
            "The id of the group of errors.",
            json!({ "type": "string", "pattern": "^eg_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "examples": ["eg_0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"] }),
        ),
        "source_map_id" => Parameter::path(
            "source_map_id",
            "The id of the source map.",
            json!({ "type": "integer", "minimum": 1, "examples": [12] }),
        ),
        "replay_id" => Parameter::path(
            "replay_id",
            "The id of the recording.",
            json!({ "type": "string", "pattern": "^sr_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "examples": ["sr_0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b"] }),
        ),
        "seq" => Parameter::path("seq", "The number of the chunk.", json!({ "type": "integer", "minimum": 0 })),
        "visitor" => Parameter::path(
            "visitor",
            "The id that answers have, 16 hexadecimal digits, or the id that the client sent, also with `client:` before it.",
            json!({ "type": "string", "minLength": 1, "examples": ["5f2d0c9b7a416e38"] }),
        ),
        "part" => Parameter::path(
            "part",
            "The name of a part, as the manifest tells it.",
            json!({
                "type": "string",
                "pattern": r"^\d{4}-\d{2}-\d{2}\.\d+\.parquet$",
                "examples": ["2026-06-13.0.parquet"],
            }),
        ),
        "script" => Parameter::path(
            "script",
            "Which of the scripts that are loaded after `z.js`.",
            json!({ "type": "string", "enum": crate::http::assets::PARTS, "examples": ["more"] }),
        ),
        "file" => Parameter::path(
            "file",
            "The name of a file of the web application, as its pages tell it.",
            json!({ "type": "string", "pattern": r"^[A-Za-z0-9_-]+\.(js|css)$", "examples": ["main-4C6L6QJY.js"] }),
        ),
        _ => return None,
    })
}

/// The names of the parameters of `path`, in its order.
pub(super) fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|part| part.split('}').next())
}

/// The parameters of a path.
///
/// # Errors
/// The name of one that is not known here.
pub(super) fn parameters(path: &str) -> Result<Vec<Parameter>, &str> {
    names(path).map(|name| parameter(name).ok_or(name)).collect()
}
