//! What a message must be before it is given to the protocol's library: one object of JSON-RPC. The library would tell what is
//! wrong in the words of its parser; here a client is told in those of the protocol.

use serde_json::{Map, Value, json};

/// What is wrong with a message, as JSON-RPC numbers it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    code: i64,
    words: &'static str,
    /// The id of the request, if it has one that can be told.
    id: Value,
}

const NOT_JSON: i64 = -32700;
/// What stands for something that is no message of the protocol.
pub(super) const NOT_A_MESSAGE: i64 = -32600;

impl Malformed {
    const fn new(code: i64, words: &'static str) -> Self {
        Self { code, words, id: Value::Null }
    }

    /// The answer.
    pub(super) fn answer(&self) -> Value {
        refusal(self.code, self.words, &self.id)
    }
}

/// An answer that refuses in `words` what has the id `id`.
pub(super) fn refusal(code: i64, words: &str, id: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": words } })
}

/// The message in `bytes`, written anew: what was looked at is what is read on, also of members that came twice.
///
/// # Errors
/// When it is not one message.
pub(super) fn read(bytes: &[u8]) -> Result<String, Malformed> {
    let message = match serde_json::from_slice(bytes) {
        Ok(Value::Object(message)) => message,
        // One revision of the protocol had them.
        Ok(Value::Array(_)) => {
            let words = "Send one message at a time: batches are not part of the protocol any more";
            return Err(Malformed::new(NOT_A_MESSAGE, words));
        }
        Ok(_) => return Err(Malformed::new(NOT_A_MESSAGE, "A message is an object")),
        Err(_) => return Err(Malformed::new(NOT_JSON, "The body is not JSON, or is nested too deeply")),
    };
    if let Some(words) = problem(&message) {
        let id = message.get("id").filter(|id| is_id(id)).cloned().unwrap_or_default();
        return Err(Malformed { id, ..Malformed::new(NOT_A_MESSAGE, words) });
    }
    Ok(Value::Object(message).to_string())
}

fn problem(message: &Map<String, Value>) -> Option<&'static str> {
    if message.get("jsonrpc").is_none_or(|version| version != "2.0") {
        return Some("jsonrpc must be \"2.0\"");
    }
    if message.get("id").is_some_and(|id| !is_id(id)) {
        return Some("id must be a string or a whole number");
    }
    match message.get("method") {
        Some(Value::String(_)) => {}
        Some(_) => return Some("method must be a string"),
        None if message.contains_key("result") || message.contains_key("error") => {
            return Some("Nothing was asked here that could be answered");
        }
        None => return Some("method is missing"),
    }
    if message.contains_key("result") || message.contains_key("error") {
        return Some("A request has no result and no error");
    }
    match message.get("params") {
        None => None,
        Some(Value::Object(params)) if params.get("_meta").is_none_or(Value::is_object) => None,
        Some(Value::Object(_)) => Some("params._meta must be an object"),
        Some(_) => Some("params must be an object"),
    }
}

fn is_id(id: &Value) -> bool {
    id.is_string() || id.is_i64()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(message: &str) -> (i64, Value) {
        let malformed = read(message.as_bytes()).unwrap_err();
        (malformed.code, malformed.id)
    }

    /// Sabotage: pass on whatever is JSON.
    #[test]
    fn what_is_not_one_message_is_told_in_the_words_of_the_protocol() {
        let deep =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{}1{}}}"#, "[".repeat(500), "]".repeat(500));
        for broken in ["", "{", "\u{feff}{}", "{} {}", &deep, r#"{"jsonrpc":"2.0","id":"\ud800","method":"m"}"#] {
            assert_eq!(refused(broken), (NOT_JSON, Value::Null), "{broken}");
        }
        for (message, id) in [
            ("null", Value::Null),
            ("5", Value::Null),
            ("[]", Value::Null),
            (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, Value::Null),
            ("{}", Value::Null),
            (r#"{"id":1,"method":"ping"}"#, json!(1)),
            (r#"{"jsonrpc":"1.0","id":"a","method":"ping"}"#, json!("a")),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, Value::Null),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, Value::Null),
            (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, Value::Null),
            (r#"{"jsonrpc":"2.0","id":9223372036854775808,"method":"ping"}"#, Value::Null),
            (r#"{"jsonrpc":"2.0","id":1}"#, json!(1)),
            (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, json!(1)),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, json!(1)),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":5}}"#, json!(1)),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":[]}}"#, json!(1)),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, json!(1)),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#, json!(1)),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","error":{}}"#, json!(1)),
        ] {
            assert_eq!(refused(message), (NOT_A_MESSAGE, id), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_message_is_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..200), method: String, id: i64) {
            let _ = read(&bytes);
            let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": {} });
            let again: Value = serde_json::from_str(&read(message.to_string().as_bytes()).unwrap()).unwrap();
            prop_assert_eq!(again, message);
        }
    }

    #[test]
    fn a_member_that_comes_twice_counts_once() {
        let twice = br#"{"jsonrpc":"2.0","id":-1,"method":"ping","method":"tools/list"}"#;
        let read: Value = serde_json::from_str(&read(twice).unwrap()).unwrap();
        assert_eq!(read, json!({ "jsonrpc": "2.0", "id": -1, "method": "tools/list" }));
    }
}
