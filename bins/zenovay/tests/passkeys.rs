//! Passkeys, with an authenticator in software: they are made, sign in after the password and without it, and nothing but a fresh
//! answer of the right one to the right page is taken.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

mod common;

use actix_web::http::Method;
use common::{Reply, TestApp, TestCall, TestSession};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zenovay::config::ServerFlags;
use zenovay::passkeys::CHALLENGE_MS;
use zenovay_domain::{Role, UserId};
use zenovay_store::PASSKEYS_MAX;

const PASSWORD: &str = "correct horse battery staple";
const ORIGIN: &str = "http://localhost:8080";

const PRESENT: u8 = 1;
const VERIFIED: u8 = 4;
const WITH_KEY: u8 = 0x40;

/// Base64url without padding.
fn encoded(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = chunk.iter().enumerate().fold(0_u32, |all, (n, byte)| all | u32::from(*byte) << (16 - 8 * n));
        for n in 0..=chunk.len() {
            text.push(char::from(LETTERS[(number >> (18 - 6 * n) & 63) as usize]));
        }
    }
    text
}

/// An authenticator with one key, and the browser around it.
#[derive(Clone)]
struct Authenticator {
    key: SigningKey,
    id: Vec<u8>,
    /// Whose key it is, once it is made.
    user: Option<String>,
    counter: u32,
    /// Whether it has a counter; many have none.
    counts: bool,
    // What the browser says, or what somebody makes it say.
    origin: String,
    rp: String,
    flags: u8,
    kind: Option<&'static str>,
    challenge: Option<String>,
}

impl Authenticator {
    fn new(n: u8) -> Self {
        Self {
            key: SigningKey::from_slice(&[n; 32]).unwrap(),
            id: vec![n; 16],
            user: None,
            counter: 0,
            counts: true,
            origin: ORIGIN.to_owned(),
            rp: "localhost".to_owned(),
            flags: PRESENT | VERIFIED,
            kind: None,
            challenge: None,
        }
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let challenge = self.challenge.as_deref().unwrap_or_else(|| options["challenge"].as_str().unwrap());
        let kind = self.kind.unwrap_or(kind);
        let data = json!({ "type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false });
        data.to_string().into_bytes()
    }

    fn head(&self, flags: u8) -> Vec<u8> {
        let mut data = Sha256::digest(self.rp.as_bytes()).to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// What `navigator.credentials.create` gives.
    fn make(&mut self, options: &Value) -> Value {
        self.user = options["user"]["id"].as_str().map(str::to_owned);
        let mut data = self.head(self.flags | WITH_KEY);
        data.extend([0; 16]);
        data.extend((self.id.len() as u16).to_be_bytes());
        data.extend(&self.id);
        let point = self.key.verifying_key().to_sec1_point(false);
        // COSE: EC2, ES256, P-256, and the two coordinates.
        data.extend([0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32]);
        data.extend(&point.as_bytes()[1..33]);
        data.extend([0x22, 0x58, 32]);
        data.extend(&point.as_bytes()[33..]);
        let mut object = vec![0xa3];
        object.extend(b"\x63fmt\x64none\x67attStmt\xa0\x68authData\x58");
        object.push(data.len() as u8);
        object.extend(data);
        let client_data = self.client_data("webauthn.create", options);
        json!({
            "id": encoded(&self.id), "rawId": encoded(&self.id), "type": "public-key", "clientExtensionResults": {},
            "response": {
                "attestationObject": encoded(&object), "clientDataJSON": encoded(&client_data), "transports": ["internal"],
            },
        })
    }

    /// What `navigator.credentials.get` gives.
    fn sign(&mut self, options: &Value) -> Value {
        if self.counts {
            self.counter += 1;
        }
        let data = self.head(self.flags);
        let client_data = self.client_data("webauthn.get", options);
        let mut signed = data.clone();
        signed.extend(Sha256::digest(&client_data));
        let signature: Signature = self.key.sign(&signed);
        json!({
            "id": encoded(&self.id), "rawId": encoded(&self.id), "type": "public-key", "clientExtensionResults": {},
            "response": {
                "authenticatorData": encoded(&data), "clientDataJSON": encoded(&client_data),
                "signature": encoded(signature.to_der().as_bytes()), "userHandle": self.user,
            },
        })
    }
}

async fn start() -> TestApp {
    TestApp::with(ServerFlags { public_url: Some(ORIGIN.to_owned()), ..ServerFlags::default() }).await
}

fn call<'a>(app: &'a TestApp, method: &str, path: &str) -> TestCall<'a> {
    app.request(Method::from_bytes(method.as_bytes()).unwrap(), path)
}

struct Person<'a> {
    app: &'a TestApp,
    id: UserId,
    session: TestSession,
}

impl<'a> Person<'a> {
    fn new(app: &'a TestApp, email: &str) -> Self {
        let id = app.user_with_password(email, PASSWORD);
        Self { app, id, session: app.sign_in(id) }
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Reply {
        call(self.app, method, path).session(&self.session).json(&body).send().await
    }

    async fn options(&self) -> Value {
        let body = json!({ "password": PASSWORD });
        self.send("POST", "/api/account/passkeys/options", body).await.expect(200).data()["publicKey"].take()
    }

    async fn add(&self, name: &str, credential: &Value) -> Reply {
        self.send("POST", "/api/account/passkeys", json!({ "name": name, "credential": credential })).await
    }

    async fn with_passkey(&self, n: u8) -> Authenticator {
        let mut authenticator = Authenticator::new(n);
        let made = authenticator.make(&self.options().await);
        self.add("Phone", &made).await.expect(201);
        authenticator
    }

    async fn list(&self) -> Vec<Value> {
        let data = self.app.get("/api/account/passkeys").session(&self.session).send().await.expect(200).data();
        data["passkeys"].as_array().unwrap().clone()
    }

    /// Asks for codes from now on.
    fn with_codes(&self) {
        self.app.state.store.prepare_codes(self.id, &[7; 20]).unwrap();
        assert!(self.app.state.store.enable_codes(self.id, &[7; 20], 0, &[], self.app.state.clock.now()).unwrap());
    }

    /// Gives the password, and returns the half-way session.
    async fn half_way(&self, email: &str) -> (String, Value) {
        let body = json!({ "email": email, "password": PASSWORD });
        let reply = self.app.post("/api/session").json(&body).send().await.expect(200);
        (reply.new_secret().unwrap(), reply.data())
    }
}

/// What is asked of a browser that signs in without a password.
async fn asked(app: &TestApp) -> Value {
    let body = json!({ "second_factor": false });
    app.post("/api/session/passkey/options").json(&body).send().await.expect(200).data()["publicKey"].take()
}

async fn sign_in(app: &TestApp, answer: &Value) -> Reply {
    app.post("/api/session/passkey").json(answer).send().await
}

#[actix_web::test]
async fn a_passkey_is_made_named_listed_and_removed() {
    let app = start().await;
    let (ada, bob) = (Person::new(&app, "ada@example.com"), Person::new(&app, "bob@example.com"));
    assert_eq!(app.get("/api/instance").send().await.expect(200).data()["passkeys"], true);
    assert!(ada.list().await.is_empty());
    // An open browser alone does not do.
    ada.send("POST", "/api/account/passkeys/options", json!({ "password": "wrong password" })).await.expect(401);
    ada.send("POST", "/api/account/passkeys/options", json!({})).await.expect(400);

    let options = ada.options().await;
    assert_eq!(options["rp"], json!({ "id": "localhost", "name": "zenovay" }));
    assert_eq!(options["user"]["name"], "ada@example.com");
    assert_eq!(options["user"]["id"], encoded(ada.id.as_bytes()));
    let selection = &options["authenticatorSelection"];
    assert_eq!((&selection["residentKey"], &selection["userVerification"]), (&json!("preferred"), &json!("required")));
    let mut phone = Authenticator::new(1);
    let made = phone.make(&options);
    ada.add("", &made).await.expect(422);
    let reply = ada.add(" Phone ", &made).await.expect(201);
    let (id, location) =
        (reply.data()["id"].as_str().unwrap().to_owned(), reply.header("location").unwrap().to_owned());
    assert_eq!(location, format!("/api/account/passkeys/{id}"));
    let rows = ada.list().await;
    assert_eq!((&rows[0]["name"], &rows[0]["last_used_at"]), (&json!("Phone"), &Value::Null));
    let session = app.get("/api/session").session(&ada.session).send().await.expect(200).data();
    assert_eq!(session["user"]["passkeys"], 1);
    // The next time the browser is told which there are; one that does not look is refused, whoever asks.
    let options = ada.options().await;
    assert_eq!(options["excludeCredentials"], json!([{ "type": "public-key", "id": encoded(&phone.id) }]));
    ada.add("Again", &phone.clone().make(&options)).await.expect(409);
    bob.add("Mine", &phone.clone().make(&bob.options().await)).await.expect(409);

    assert_eq!(
        ada.send("PATCH", &location, json!({ "name": "Old phone" })).await.expect(200).data()["name"],
        "Old phone"
    );
    ada.send("PATCH", &location, json!({ "name": "" })).await.expect(422);
    for (method, body) in [("PATCH", json!({ "name": "Mine" })), ("DELETE", json!({ "password": PASSWORD }))] {
        bob.send(method, &location, body.clone()).await.expect(404);
        ada.send(method, "/api/account/passkeys/x", body).await.expect(404);
    }
    let own = app.get("/api/account/export").session(&ada.session).send().await.expect(200).json();
    assert_eq!(own["passkeys"][0]["name"], "Old phone");
    assert!(!own.to_string().contains(&encoded(&phone.id)), "no part of the key");

    ada.send("DELETE", &location, json!({ "password": "wrong password" })).await.expect(401);
    ada.send("DELETE", &location, json!({ "password": PASSWORD })).await.expect(204);
    assert!(ada.list().await.is_empty());
    sign_in(&app, &phone.sign(&asked(&app).await)).await.expect(401);
    let own = app.get("/api/account/export").session(&ada.session).send().await.expect(200).json();
    let actions: Vec<&str> =
        own["auditTrail"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    for action in ["passkeys.create", "passkeys.rename", "passkeys.remove"] {
        assert!(actions.contains(&action), "{action} is not in {actions:?}");
    }
}

#[actix_web::test]
async fn an_account_has_twenty_at_most_and_takes_them_along() {
    let app = start().await;
    let ada = Person::new(&app, "ada@example.com");
    let team = app.team(zenovay_domain::Plan::Pro);
    app.state.store.add_member(team.id, ada.id, Role::Viewer, &app.state.plans, app.state.clock.now()).unwrap();
    let mut last = Authenticator::new(200);
    let late = last.make(&ada.options().await);
    for n in 1..=PASSKEYS_MAX {
        ada.with_passkey(n as u8).await;
    }
    ada.send("POST", "/api/account/passkeys/options", json!({ "password": PASSWORD })).await.expect(409);
    ada.add("One more", &late).await.expect(422);
    let id = encoded(&[1; 16]);
    assert!(app.state.store.passkey_by_credential(&id).unwrap().is_some());
    ada.send("DELETE", "/api/account", json!({ "password": PASSWORD })).await.expect(204);
    assert!(app.state.store.passkey_by_credential(&id).unwrap().is_none());
}

/// Sabotage: keep the challenge when it was answered.
#[actix_web::test]
async fn a_passkey_signs_in_without_a_password_and_each_answer_once() {
    let app = start().await;
    let ada = Person::new(&app, "ada@example.com");
    // What is asked for beside the password is in the passkey: whoever holds it showed who they are.
    ada.with_codes();
    let mut phone = ada.with_passkey(1).await;
    let options = asked(&app).await;
    assert_eq!((&options["rpId"], &options["userVerification"]), (&json!("localhost"), &json!("required")));
    assert_eq!(options["allowCredentials"], json!([]), "nobody is told of anybody's passkeys");
    let answer = phone.sign(&options);
    let reply = sign_in(&app, &answer).await.expect(200);
    assert_eq!(reply.data(), json!({ "state": "signed_in" }));
    let session = app.get("/api/session").cookie(&reply.new_secret().unwrap()).send().await.expect(200).data();
    assert_eq!(session["user"]["email"], "ada@example.com");
    assert!(ada.list().await[0]["last_used_at"].is_string());
    let again = sign_in(&app, &answer).await.expect(401);
    assert_eq!(again.json()["message"], "That took too long. Use the passkey once more.");
    assert!(again.new_secret().is_none());
    let own = app.get("/api/account/export").session(&ada.session).send().await.expect(200).json();
    assert!(own["auditTrail"].to_string().contains("passkeys.sign_in"), "{}", own["auditTrail"]);
}

#[actix_web::test]
async fn a_passkey_is_a_second_factor_of_whose_it_is() {
    let app = start().await;
    let (ada, bob) = (Person::new(&app, "ada@example.com"), Person::new(&app, "bob@example.com"));
    let (mut phone, mut other) = (ada.with_passkey(1).await, bob.with_passkey(2).await);
    app.clock.advance_ms(1);
    // A key that does not keep whose it is.
    let mut stick = Authenticator::new(3);
    let made = stick.make(&ada.options().await);
    ada.add("Stick", &made).await.expect(201);
    stick.user = None;
    ada.with_codes();
    let options = async |secret: &str| {
        let body = json!({ "second_factor": true });
        let call = app.post("/api/session/passkey/options").cookie(secret).json(&body);
        call.send().await.expect(200).data()["publicKey"].take()
    };
    let send =
        async |secret: &str, answer: &Value| app.post("/api/session/passkey").cookie(secret).json(answer).send().await;
    // Nobody gave a password.
    app.post("/api/session/passkey/options").json(&json!({ "second_factor": true })).send().await.expect(401);
    let body = json!({ "second_factor": true });
    app.post("/api/session/passkey/options").cookie(&ada.session.secret).json(&body).send().await.expect(401);

    let (secret, answer) = ada.half_way("ada@example.com").await;
    assert_eq!(answer["methods"], json!(["totp", "passkey"]));
    let asked = options(&secret).await;
    let ids: Vec<&Value> = asked["allowCredentials"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, [&json!(encoded(&phone.id)), &json!(encoded(&stick.id))]);
    send(&secret, &other.sign(&asked)).await.expect(401);
    // The challenge was used up; and those of one half-way session are nothing to others, or without one.
    send(&secret, &phone.sign(&asked)).await.expect(401);
    let (elsewhere, _) = ada.half_way("ada@example.com").await;
    let asked = options(&secret).await;
    let answer = phone.sign(&asked);
    send(&elsewhere, &answer).await.expect(401);
    sign_in(&app, &answer).await.expect(401);
    let reply = send(&secret, &answer).await.expect(200);
    let session = app.get("/api/session").cookie(&reply.new_secret().unwrap()).send().await.expect(200).data();
    assert_eq!(session["user"]["email"], "ada@example.com");
    app.get("/api/session").cookie(&secret).send().await.expect(401);

    let (secret, _) = ada.half_way("ada@example.com").await;
    let answer = stick.sign(&options(&secret).await);
    send(&secret, &answer).await.expect(200);
    // Without a password it does not say whose it is.
    sign_in(&app, &stick.sign(&self::asked(&app).await)).await.expect(401);
    // After the password of one account the passkey of another signs in to that other alone, as without a password.
    let (secret, _) = ada.half_way("ada@example.com").await;
    let answer = other.sign(&self::asked(&app).await);
    let reply = send(&secret, &answer).await.expect(200);
    let session = app.get("/api/session").cookie(&reply.new_secret().unwrap()).send().await.expect(200).data();
    assert_eq!(session["user"]["email"], "bob@example.com");
}

type Change = (&'static str, Box<dyn Fn(&mut Authenticator)>);

/// What a page or a key elsewhere, or somebody in between, would make of an answer.
fn changes() -> Vec<Change> {
    let change = |what, change: fn(&mut Authenticator)| -> Change { (what, Box::new(change)) };
    vec![
        change("another website", |it| it.origin = "https://evil.example".to_owned()),
        change("another port of this machine", |it| it.origin = "http://localhost:8081".to_owned()),
        change("another scheme", |it| it.origin = "https://localhost:8080".to_owned()),
        change("a page below the name", |it| it.origin = "http://a.localhost:8080".to_owned()),
        change("a key for another name", |it| it.rp = "evil.example".to_owned()),
        change("nobody made sure who holds it", |it| it.flags = PRESENT),
        change("nobody touched it", |it| it.flags = VERIFIED),
        change("another challenge", |it| it.challenge = Some(encoded(&[9; 32]))),
        change("no challenge", |it| it.challenge = Some(String::new())),
    ]
}

/// Sabotage: any one of the checks of `Passkeys`.
#[actix_web::test]
async fn no_other_answer_signs_in() {
    let app = start().await;
    let (ada, bob) = (Person::new(&app, "ada@example.com"), Person::new(&app, "bob@example.com"));
    let phone = ada.with_passkey(1).await;
    let mut changes = changes();
    let handle = encoded(bob.id.as_bytes());
    changes.push(("an answer about a new key", Box::new(|it| it.kind = Some("webauthn.create"))));
    changes.push(("another key", Box::new(|it| it.key = SigningKey::from_slice(&[2; 32]).unwrap())));
    changes.push(("a key that nobody has", Box::new(|it| it.id = vec![2; 16])));
    changes.push(("somebody else's", Box::new(move |it| it.user = Some(handle.clone()))));
    changes.push(("nobody's", Box::new(|it| it.user = None)));
    for (n, (what, change)) in changes.into_iter().enumerate() {
        let options = asked(&app).await;
        let mut changed = phone.clone();
        change(&mut changed);
        let from = format!("198.51.100.{n}");
        let reply = app.post("/api/session/passkey").from(&from).json(&changed.sign(&options)).send().await;
        assert_eq!((reply.status, reply.new_secret()), (401, None), "{what}: {}", reply.text());
    }
    // Of an answer on its way nothing can be changed.
    for part in ["authenticatorData", "signature", "clientDataJSON"] {
        let mut answer = phone.clone().sign(&asked(&app).await);
        let text = answer["response"][part].as_str().unwrap();
        let other = if text.as_bytes()[10] == b'A' { "B" } else { "A" };
        answer["response"][part] = json!(format!("{}{other}{}", &text[..10], &text[11..]));
        sign_in(&app, &answer).await.expect(401);
        answer["response"][part] = json!("%%%");
        sign_in(&app, &answer).await.expect(401);
    }
    // Too late.
    let answer = phone.clone().sign(&asked(&app).await);
    app.clock.advance_ms(CHALLENGE_MS);
    sign_in(&app, &answer).await.expect(401);
    for body in
        [json!({}), json!([]), json!({ "id": 1 }), json!({ "id": "a", "rawId": "a", "type": "b", "response": [] })]
    {
        app.post("/api/session/passkey").from("203.0.113.7").json(&body).send().await.expect(400);
    }
    let good = phone.clone().sign(&asked(&app).await);
    sign_in(&app, &good).await.expect(200);
}

/// Sabotage: store nothing of a use.
#[actix_web::test]
async fn a_copy_of_a_key_shows_by_its_counter() {
    let app = start().await;
    let ada = Person::new(&app, "ada@example.com");
    let mut phone = ada.with_passkey(1).await;
    let mut copy = phone.clone();
    let answer = phone.sign(&asked(&app).await);
    sign_in(&app, &answer).await.expect(200);
    let reply = sign_in(&app, &copy.sign(&asked(&app).await)).await.expect(401);
    let told = "There may be a copy of that passkey. Sign in without it, and remove it.";
    assert_eq!(reply.json()["message"], told);
    let answer = phone.sign(&asked(&app).await);
    sign_in(&app, &answer).await.expect(200);
    // Those without one stay at zero.
    let mut synced = ada.with_passkey(2).await;
    synced.counts = false;
    for _ in 0..2 {
        let answer = synced.sign(&asked(&app).await);
        sign_in(&app, &answer).await.expect(200);
    }
}

/// Sabotage: any one of the checks of `Passkeys`.
#[actix_web::test]
async fn nothing_else_becomes_a_passkey() {
    let app = start().await;
    let ada = Person::new(&app, "ada@example.com");
    let mut changes = changes();
    changes.push(("an answer about a known key", Box::new(|it| it.kind = Some("webauthn.get"))));
    for (what, change) in changes {
        let options = ada.options().await;
        let mut phone = Authenticator::new(1);
        change(&mut phone);
        let reply = ada.add("Phone", &phone.make(&options)).await;
        assert_eq!(reply.status, 422, "{what}: {}", reply.text());
        assert!(reply.json()["details"]["credential"].is_string(), "{what}: {}", reply.text());
    }
    let mut phone = Authenticator::new(1);
    // In another session, after its time, and for another purpose.
    let made = phone.make(&ada.options().await);
    let elsewhere = Person { app: &app, id: ada.id, session: app.sign_in(ada.id) };
    elsewhere.add("Phone", &made).await.expect(422);
    app.clock.advance_ms(CHALLENGE_MS);
    ada.add("Phone", &made).await.expect(422);
    let mut options = asked(&app).await;
    options["user"] = json!({ "id": encoded(ada.id.as_bytes()) });
    ada.add("Phone", &phone.make(&options)).await.expect(422);
    // One that says it is called otherwise than it signs.
    let mut made = phone.make(&ada.options().await);
    made["rawId"] = json!(encoded(&[9; 16]));
    ada.add("Phone", &made).await.expect(422);
    for (part, garbage) in [("attestationObject", "%%%"), ("attestationObject", "oA"), ("clientDataJSON", "e30")] {
        let mut made = phone.make(&ada.options().await);
        made["response"][part] = json!(garbage);
        ada.add("Phone", &made).await.expect(422);
    }
    let mut deep = phone.make(&ada.options().await);
    deep["response"]["attestationObject"] = json!(encoded(&[0x81; 30_000]));
    ada.add("Phone", &deep).await.expect(422);
    let made = phone.make(&ada.options().await);
    ada.add("Phone", &made).await.expect(201);
    ada.add("Again", &made).await.expect(422);
    assert_eq!(ada.list().await.len(), 1);
}

#[actix_web::test]
async fn addresses_try_thirty_times_a_minute_and_from_this_server_alone() {
    let app = start().await;
    let body = json!({ "second_factor": false });
    for n in 0..30 {
        let path = if n % 2 == 0 { "/api/session/passkey/options" } else { "/api/session/passkey" };
        let reply = app.post(path).from("203.0.113.9").json(&body).send().await;
        assert!([200, 400].contains(&reply.status), "{}", reply.text());
    }
    for path in ["/api/session/passkey/options", "/api/session/passkey"] {
        app.post(path).from("203.0.113.9").json(&body).send().await.expect(429);
        let call = app.post(path).header("origin", "https://evil.example").header("sec-fetch-site", "cross-site");
        call.json(&body).send().await.expect(403);
    }
}

/// The name is that of the configured address, whatever a request says.
#[actix_web::test]
async fn a_server_without_a_name_has_no_passkeys() {
    let app = TestApp::start().await;
    let ada = Person::new(&app, "ada@example.com");
    assert_eq!(app.get("/api/instance").send().await.expect(200).data()["passkeys"], false);
    let body = json!({ "password": PASSWORD });
    let call = app.post("/api/account/passkeys/options").session(&ada.session).header("host", "localhost:8080");
    call.json(&body).send().await.expect(403);
    app.post("/api/session/passkey/options").json(&json!({ "second_factor": false })).send().await.expect(403);

    let app = start().await;
    let body = json!({ "second_factor": false });
    let call = app.post("/api/session/passkey/options").header("host", "evil.example");
    let options = call.header("sec-fetch-site", "same-origin").json(&body).send().await.expect(200).data();
    assert_eq!(options["publicKey"]["rpId"], "localhost");
}
