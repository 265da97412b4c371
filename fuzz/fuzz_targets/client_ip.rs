//! `X-Forwarded-For` of a trusted proxy: any text gives one address.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use zenovay_ingest::client_ip;

fuzz_target!(|header: &str| {
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let trusted = ["127.0.0.0/8".parse().expect("a network")];
    client_ip(peer, header.lines(), &trusted);
});
