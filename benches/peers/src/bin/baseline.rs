//! What durable ingest is measured against: actix-web reads the same JSON into the same fields and answers 204. Nothing
//! is looked up, checked, enriched or stored.

use std::io::Write;
use std::net::TcpListener;

use actix_web::{App, HttpResponse, HttpServer, web};
use serde::Deserialize;

/// The same allocator as the server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The fields that `benches/load/hit.lua` sends.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only the parsing is measured")]
struct Hit {
    event_type: String,
    session_id: String,
    url: String,
    referrer: Option<String>,
    title: Option<String>,
    user_agent: String,
    device_type: String,
    browser: String,
    os: String,
    screen_width: Option<u32>,
    screen_height: Option<u32>,
    language: Option<String>,
    timezone: Option<String>,
}

async fn hit(body: web::Bytes) -> HttpResponse {
    match serde_json::from_slice::<Hit>(&body) {
        Ok(hit) => {
            std::hint::black_box(&hit);
            HttpResponse::NoContent().finish()
        }
        Err(_) => HttpResponse::BadRequest().finish(),
    }
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening on http://{}", listener.local_addr()?)?;
    stdout.flush()?;
    HttpServer::new(|| App::new().route("/e/{code}", web::post().to(hit))).listen(listener)?.run().await
}
