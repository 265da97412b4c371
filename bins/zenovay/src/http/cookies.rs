//! The cookie that says who is signed in. It is read and written here alone.

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};
use zenovay_auth::{SESSION_MAX_MS, Secret};

/// What the cookie of a session is called where the server is not known to be reached over HTTPS.
const PLAIN: &str = "zenovay_session";
/// What it is called where it is: browsers take a cookie of this name from the very host alone, over HTTPS alone, so that
/// neither a sibling host nor somebody on the line can put one in its place.
const OVER_HTTPS: &str = "__Host-zenovay_session";

/// How the cookie is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionCookie {
    /// Whether browsers reach the server over HTTPS.
    pub is_over_https: bool,
}

/// A `Set-Cookie` that the outermost layer puts on the answer.
#[derive(Debug, Clone)]
pub struct SetCookie(HeaderValue);

impl SetCookie {
    /// The header's value.
    pub fn into_value(self) -> HeaderValue {
        self.0
    }
}

impl SessionCookie {
    /// Its name.
    pub const fn name(self) -> &'static str {
        if self.is_over_https { OVER_HTTPS } else { PLAIN }
    }

    /// The secret in the cookie of a request. Two cookies of the name are none: it is not known which was set by this server.
    pub fn read(self, headers: &HeaderMap) -> Option<Secret> {
        let lines = headers.get_all(header::COOKIE).filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut found = pairs.filter(|(name, _)| *name == self.name()).map(|(_, value)| value);
        match (found.next(), found.next()) {
            (Some(value), None) => Secret::parse(value).ok(),
            _ => None,
        }
    }

    /// Hands `secret` to the browser with the answer to `req`.
    pub fn set(self, req: &HttpRequest, secret: &Secret) {
        self.write(req, secret.expose(), SESSION_MAX_MS / 1_000);
    }

    /// Takes the cookie from the browser with the answer to `req`.
    pub fn clear(self, req: &HttpRequest) {
        self.write(req, "", 0);
    }

    fn write(self, req: &HttpRequest, value: &str, max_age_s: i64) {
        let secure = if self.is_over_https { "; Secure" } else { "" };
        let cookie = format!("{}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}", self.name());
        // Letters, digits and the attributes above are a valid value.
        if let Ok(mut value) = HeaderValue::try_from(cookie) {
            value.set_sensitive(true);
            req.extensions_mut().insert(SetCookie(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use rand::SeedableRng;

    use super::*;

    const HTTPS: SessionCookie = SessionCookie { is_over_https: true };
    const HTTP: SessionCookie = SessionCookie { is_over_https: false };

    fn secret() -> Secret {
        Secret::generate(&mut rand::rngs::StdRng::seed_from_u64(3))
    }

    fn read(cookie: SessionCookie, lines: &[String]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_str(line).unwrap());
        }
        cookie.read(&headers).is_some_and(|found| found.digest() == secret().digest())
    }

    #[test]
    fn one_cookie_of_the_very_name_is_read() {
        let value = secret().expose().to_owned();
        let plain = format!("a=b; zenovay_session={value}; c=d");
        let hosted = format!("__Host-zenovay_session={value}");
        assert!(read(HTTP, std::slice::from_ref(&plain)) && read(HTTPS, std::slice::from_ref(&hosted)));
        assert!(!read(HTTPS, std::slice::from_ref(&plain)), "anybody on the line could have set it");
        assert!(!read(HTTP, std::slice::from_ref(&hosted)));
        assert!(!read(HTTP, &[plain.clone(), plain.clone()]), "twice");
        for bad in ["zenovay_session=", "zenovay_session", "Zenovay_Session=a", &format!("zenovay_session=\"{value}\"")]
        {
            assert!(!read(HTTP, &[(*bad).to_owned()]), "{bad}");
        }
    }

    #[test]
    fn the_cookie_is_closed_to_scripts_and_other_websites() {
        for (cookie, expected) in [
            (HTTP, "zenovay_session=S; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax"),
            (HTTPS, "__Host-zenovay_session=S; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure"),
        ] {
            let req = TestRequest::default().to_http_request();
            cookie.set(&req, &secret());
            let SetCookie(value) = req.extensions_mut().remove::<SetCookie>().unwrap();
            assert_eq!(value.to_str().unwrap().replace(secret().expose(), "S"), expected);
            assert!(value.is_sensitive());
            cookie.clear(&req);
            let SetCookie(value) = req.extensions_mut().remove::<SetCookie>().unwrap();
            assert!(value.to_str().unwrap().contains("=; Path=/; Max-Age=0; "));
        }
    }
}
