//! `zenovay health`: whether the server of this configuration is ready, for containers, which have no other program to ask it.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use httparse::{EMPTY_HEADER, Response, Status};
use serde_json::{Value, json};

use super::output::{Failure, Output, lines};
use crate::config::Config;

/// How long the server may take to be reached, and to send anything.
const WITHIN: Duration = Duration::from_secs(5);
/// The longest answer; it names damaged files.
const ANSWER_MAX_BYTES: u64 = 1 << 20;
/// More headers than the server has.
const HEADERS_MAX: usize = 32;

pub(super) fn run(config: &Config, output: &mut Output) -> Result<(), Failure> {
    let address = reached_at(config.listen);
    let answer = ask(address).map_err(|error| Failure::new(format_args!("no answer from {address}: {error}")))?;
    let (status, body) = read(&answer)
        .ok_or_else(|| Failure::new(format_args!("what answers at {address} is not a server of zenovay")))?;
    if status != 200 {
        let why = body["message"].as_str().unwrap_or_default();
        return Err(Failure::new(format_args!(
            "the server at {address} is not ready ({status}): {}",
            why.escape_debug()
        )));
    }
    let value = json!({ "address": address.to_string(), "status": body["status"] });
    output.result(&value, || lines(&value));
    Ok(())
}

/// Where this machine reaches a server that listens on `listen`, which may be every address that it has.
fn reached_at(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn ask(address: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, WITHIN)?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX_BYTES).read_to_end(&mut answer)?;
    Ok(answer)
}

/// Status and body of an answer in JSON.
fn read(answer: &[u8]) -> Option<(u16, Value)> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut response = Response::new(&mut headers);
    let Ok(Status::Complete(head)) = response.parse(answer) else { return None };
    let body = serde_json::from_slice(answer.get(head..)?).ok()?;
    Some((response.code?, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_reached_at_this_machine() {
        let at = |listen: &str| reached_at(listen.parse().expect("an address")).to_string();
        assert_eq!(at("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(at("[::]:8080"), "[::1]:8080");
        assert_eq!(at("192.0.2.7:80"), "192.0.2.7:80");
    }

    #[test]
    fn only_an_answer_in_json_counts() {
        assert_eq!(read(b"HTTP/1.1 200 OK\r\n\r\n{\"status\":\"ready\"}"), Some((200, json!({ "status": "ready" }))));
        assert_eq!(read(b"HTTP/1.1 200 OK\r\n\r\n<html>"), None);
        assert_eq!(read(b"SSH-2.0-OpenSSH_9.2\r\n"), None);
        assert_eq!(read(b"HTTP/1.1 200"), None);
        assert_eq!(read(b""), None);
    }
}
