//! The client of `rmcp` is given the address of a server and nothing else: it finds out who authorizes, registers, lets the
//! program in `BROWSER` ask the person, takes tokens, refreshes them, calls tools, and gives its tokens back. `rmcp-peer URL`.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Command;

use rmcp::ServiceExt;
use rmcp::model::CallToolRequestParams;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{AuthClient, AuthorizationRequest, OAuthState};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address: Url = std::env::args().nth(1).ok_or("rmcp-peer URL")?.parse()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let redirect = format!("http://{}/callback", listener.local_addr()?);

    let mut state = OAuthState::new(address.as_str(), None).await?;
    state.start_authorization(AuthorizationRequest::new(&redirect).with_client_name("rmcp")).await?;
    let page = state.get_authorization_url().await?;
    let mut browser = Command::new(std::env::var("BROWSER")?).arg(page).spawn()?;
    let answer = called_back(&listener)?;
    check(browser.wait()?.success(), "the person could not answer")?;
    // It compares `state` and `iss`.
    state.handle_callback_url(Url::parse(&redirect)?.join(&answer)?.as_str()).await?;
    let manager = state.into_authorization_manager().ok_or("it is not authorized")?;

    let first = manager.get_access_token().await?;
    manager.refresh_token().await?;
    let access = manager.get_access_token().await?;
    check(first != access, "a refresh gave the same token")?;
    let (client_id, tokens) = manager.get_credentials().await?;
    let tokens = serde_json::to_value(tokens)?;
    let refresh = tokens["refresh_token"].as_str().ok_or("there is no refresh token")?;

    let http = reqwest::Client::new();
    let config = StreamableHttpClientTransportConfig::with_uri(address.as_str());
    let transport = StreamableHttpClientTransport::with_client(AuthClient::new(http.clone(), manager), config);
    let client = ().serve(transport).await?;
    let tools = client.list_all_tools().await?;
    check(tools.first().is_some_and(|tool| tool.name == "list_websites"), "list_websites is not the first tool")?;
    let call = async |name: &'static str, arguments: Value| {
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        client.call_tool(CallToolRequestParams::new(name).with_arguments(arguments)).await
    };
    let listed = call("list_websites", json!({})).await?.structured_content.unwrap_or_default();
    let website = listed["websites"][0]["website_id"].clone();
    let visitors = call("get_visitors", json!({ "website_id": website })).await?.structured_content.unwrap_or_default();
    check(visitors["totals"]["visitors"].as_u64().is_some_and(|visitors| visitors > 0), "there are no numbers")?;
    let failed = call("get_visitors", json!({ "website_id": "nothing.example" })).await?;
    check(failed.is_error == Some(true), "a website that is not there has numbers")?;
    client.cancel().await?;

    let metadata: Value =
        http.get(address.join("/.well-known/oauth-authorization-server")?).send().await?.json().await?;
    let revocation = metadata["revocation_endpoint"].as_str().ok_or("tokens cannot be given back")?;
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("token", refresh), ("client_id", &client_id)])
        .finish();
    let revoke = http.post(revocation).header("content-type", "application/x-www-form-urlencoded").body(form);
    check(revoke.send().await?.status() == 200, "a token could not be given back")?;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let gone = http.post(address).bearer_auth(access).json(&list).send().await?;
    check(gone.status() == 401, "a token holds that was given back")?;
    println!("ok");
    Ok(())
}

fn check(holds: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(otherwise) }
}

/// The path, with the query, that a browser is sent back to.
fn called_back(listener: &TcpListener) -> Result<String, Box<dyn Error>> {
    loop {
        let (mut stream, _) = listener.accept()?;
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")?;
        let target = line.split(' ').nth(1).unwrap_or_default();
        if target.starts_with("/callback?") {
            return Ok(target.to_owned());
        }
    }
}
