//! The search tree of a MaxMind DB, with a table that answers the first 16 bits of IPv4 addresses at once: a search waits for
//! memory at every bit, and this halves the bits. What a record says is left to `maxminddb`.

use std::net::IpAddr;

use maxminddb::Metadata;

use super::Bytes;

/// Where a search ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaf {
    /// The database says nothing about the address.
    Nothing,
    /// The record with this pointer.
    Record(u32),
}

pub(super) struct Tree {
    bytes: Bytes,
    nodes: u32,
    node_bytes: usize,
    has_ipv6: bool,
    /// Where the search for an IPv4 address goes on after its first 16 bits.
    ipv4: Box<[u32]>,
}

/// The bits of an IPv4 address that the table answers.
const TABLE_BITS: u32 = 16;

impl Tree {
    /// The tree in `bytes`; `None` when it is not whole.
    pub(super) fn new(bytes: Bytes, metadata: &Metadata) -> Option<Self> {
        let node_bytes = usize::from(metadata.record_size) / 4;
        let nodes = metadata.node_count;
        let is_whole = matches!(node_bytes, 6..=8)
            && bytes.as_ref().len() >= node_bytes.checked_mul(usize::try_from(nodes).ok()?)?;
        if !is_whole {
            return None;
        }
        let mut tree = Self { bytes, nodes, node_bytes, has_ipv6: metadata.ip_version == 6, ipv4: Box::default() };
        // IPv4 addresses are the last 32 bits of ::/96.
        let root = if tree.has_ipv6 { tree.walk(0, 0, 96)? } else { 0 };
        tree.ipv4 = (0..1u128 << TABLE_BITS)
            .map(|bits| tree.walk(root, bits << (128 - TABLE_BITS), TABLE_BITS))
            .collect::<Option<_>>()?;
        Some(tree)
    }

    /// Where the search for `address` ends, and whether it ends there for the whole network of the address, a /24 of IPv4 or
    /// a /48 of IPv6. A damaged tree ends in [`Leaf::Nothing`].
    pub(super) fn find(&self, address: IpAddr) -> (Leaf, bool) {
        let (end, is_shared) = match address {
            IpAddr::V4(address) => self.find_ipv4(address.to_bits()),
            IpAddr::V6(address) if self.has_ipv6 => self.walk_on(Some(0), address.to_bits(), 48, 80),
            IpAddr::V6(_) => (None, true),
        };
        match end {
            Some(end) if end > self.nodes => (Leaf::Record(end), is_shared),
            _ => (Leaf::Nothing, is_shared),
        }
    }

    fn find_ipv4(&self, address: u32) -> (Option<u32>, bool) {
        let start = self.ipv4.get((address >> (32 - TABLE_BITS)) as usize).copied();
        self.walk_on(start, u128::from(address) << (96 + TABLE_BITS), 24 - TABLE_BITS, 8)
    }

    /// Follows the `count` highest of `bits` from `node`, and `more` when that is not the end; whether it was.
    fn walk_on(&self, node: Option<u32>, bits: u128, count: u32, more: u32) -> (Option<u32>, bool) {
        match node.and_then(|node| self.walk(node, bits, count)) {
            Some(end) if end < self.nodes => (self.walk(end, bits << count, more), false),
            end => (end, true),
        }
    }

    /// Follows the `count` highest of `bits` from `node`, or fewer to where the search ends.
    fn walk(&self, mut node: u32, mut bits: u128, count: u32) -> Option<u32> {
        for _ in 0..count {
            if node >= self.nodes {
                break;
            }
            node = self.child(node, bits >> 127 == 1)?;
            bits <<= 1;
        }
        Some(node)
    }

    fn child(&self, node: u32, right: bool) -> Option<u32> {
        let start = usize::try_from(node).ok()? * self.node_bytes;
        let node = self.bytes.as_ref().get(start..start + self.node_bytes)?;
        let number = |bytes: &[u8]| bytes.iter().fold(0u32, |number, &byte| number << 8 | u32::from(byte));
        Some(match (node, right) {
            (&[a, b, c, _, _, _], false) | (&[_, _, _, a, b, c], true) => u32::from_be_bytes([0, a, b, c]),
            // The middle byte holds the highest four bits of both.
            (&[a, b, c, high, _, _, _], false) => u32::from_be_bytes([high >> 4, a, b, c]),
            (&[_, _, _, high, a, b, c], true) => u32::from_be_bytes([high & 0xf, a, b, c]),
            (_, false) => number(node.get(..4)?),
            (_, true) => number(node.get(4..)?),
        })
    }
}
