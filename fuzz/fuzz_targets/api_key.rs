//! An API key: what parses is written the same way again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zenovay_auth::ApiKeyToken;

fuzz_target!(|text: &str| {
    if let Ok(token) = ApiKeyToken::parse(text) {
        assert_eq!(token.expose(), text);
    }
});
