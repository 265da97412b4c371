//! Visitor codes: numbers that stand for the visitors of a website in all of its segments.
//!
//! Behind each row group that one website has for itself stand the codes of its visitors, in bytes of the file that Parquet readers
//! pass over: one for each entry of the dictionary of `visitor_id`, in its order. They are dense over the website: the same visitor
//! has the same code in all segments, and no other visitor has it. So a set of visitors is a set of bits, whichever row groups they
//! are in. Who gives them, and why they stay right, is told in `codes.rs` of the crate.
//!
//! A row group without them is read by ids.
//!
//! # Format
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the version |
//! | 1 | the width of a code that is written, 1 to 32 bits |
//! | 4 | how many codes there are, little-endian |
//! | 4 | how many of them are written |
//! | a bit a code, from the lowest of each byte | whether the code is written: it is not when it is the next one after the highest before it, or 0 |
//! | the rest | those that are written, RLE/bit-packed as pages of columns are |
//!
//! A visitor who is new when the row group is written has the next code, and is two thirds of the visitors of a year: that takes a bit.

#![expect(
    clippy::cast_possible_truncation,
    reason = "what is cut off was taken before, and a row group has fewer than 2^32 visitors"
)]

use serde::{Deserialize, Serialize};

use super::hybrid;

/// The version that is written.
pub(super) const VERSION: u8 = 1;
/// What stands before the bits.
const HEADER_BYTES: usize = 10;

/// As many codes are read at a time: their bits are a byte.
const BLOCK: usize = 8;

/// No code is as large: a website that comes so far gets no further ones.
pub(super) const CODES_MAX: u32 = 1 << 31;

/// What the catalog says of the codes of a row group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CodesMeta {
    /// Where they begin in the file.
    pub(crate) offset: u64,
    /// How long they are.
    pub(crate) bytes: u32,
    /// XXH3-64 of their bytes.
    pub(crate) hash: u64,
    /// One more than the highest.
    pub(crate) end: u32,
}

/// Codes as they are written.
pub(super) fn encode(codes: &[u32]) -> Vec<u8> {
    let mut bits = vec![0_u8; codes.len().div_ceil(8)];
    let mut written = Vec::new();
    let mut next = 0;
    for (place, &code) in codes.iter().enumerate() {
        if code != next {
            bits[place / 8] |= 1 << (place % 8);
            written.push(code);
        }
        next = next.max(code.saturating_add(1));
    }
    let width = hybrid::width_for(next as usize);
    let mut bytes = vec![VERSION, width];
    bytes.extend((codes.len() as u32).to_le_bytes());
    bytes.extend((written.len() as u32).to_le_bytes());
    bytes.extend(bits);
    hybrid::encode(&written, width, &mut bytes);
    bytes
}

/// The `count` codes below `end` that were written as `bytes`. Whoever changes the format raises the version of the catalog's entries, too:
/// codes that cannot be read must not be given to others.
pub(crate) fn decode(bytes: &[u8], count: usize, end: u32) -> Result<Vec<u32>, &'static str> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Err("visitor codes end early") };
    let [version, width, numbers @ ..] = header;
    if *version != VERSION {
        return Err("visitor codes of an impossible version");
    }
    let number = |bytes: [u8; 4]| u32::from_le_bytes(bytes) as usize;
    let [a, b, c, d, e, f, g, h] = *numbers;
    let (known, written) = (number([a, b, c, d]), number([e, f, g, h]));
    if known != count || written > count {
        return Err("visitor codes of other visitors");
    }
    let (bits, rest) = rest.split_at_checked(count.div_ceil(8)).ok_or("visitor codes end early")?;
    let mut others = Vec::with_capacity(written + BLOCK);
    hybrid::decode(rest, *width, written, &mut others).map_err(|_| "malformed visitor codes")?;
    // So that there are enough to look at behind the last.
    others.resize(written + BLOCK, 0);
    let known: usize = bits.iter().map(|flags| flags.count_ones() as usize).sum();
    match join(bits, &others, count) {
        Some((codes, highest)) if known == written && highest == end => Ok(codes),
        _ => Err("visitor codes that do not fit"),
    }
}

/// The `count` codes of which those with a bit in `bits` are `written`, and others the next one after the highest before them; and the
/// code after the highest. Behind those that are written there are as many as a block has.
pub(super) fn join(bits: &[u8], written: &[u32], count: usize) -> Option<(Vec<u32>, u32)> {
    let mut codes = vec![0; count.next_multiple_of(BLOCK)];
    let (mut next, mut place) = (0_u32, 0);
    let (blocks, _) = codes.as_chunks_mut::<BLOCK>();
    let whole = count / BLOCK;
    for (block, &flags) in blocks[..whole].iter_mut().zip(bits) {
        if flags == 0 && next < CODES_MAX {
            block.iter_mut().zip(next..).for_each(|(code, new)| *code = new);
            next += BLOCK as u32;
            continue;
        }
        let (met, end) = join_block(block, flags, written.get(place..)?.first_chunk()?, next);
        (place, next) = (place + met, end);
    }
    let (last, rest) = (&mut codes[whole * BLOCK..], bits.get(whole));
    if let Some(&flags) = rest {
        next = join_slowly(&mut last[..count % BLOCK], flags, written.get(place..)?.first_chunk()?, next).1;
    }
    codes.truncate(count);
    Some((codes, next))
}

/// Fills `codes`, which are written as `flags` tell: as the first of `others`. Gives how many of them were, and the code after the
/// highest.
#[inline]
fn join_block(codes: &mut [u32; BLOCK], flags: u8, others: &[u32; BLOCK], next: u32) -> (usize, u32) {
    // Who came before has a lower code than the next one, nearly always: then nothing here waits for anything.
    let (mut new, mut met, mut highest) = (next, 0, 0);
    for (at, code) in codes.iter_mut().enumerate() {
        let is_written = u32::from(flags >> at & 1);
        let other = others[met % BLOCK] & is_written.wrapping_neg();
        *code = other | (new & is_written.wrapping_sub(1));
        highest = highest.max(other);
        new = new.wrapping_add(1 - is_written);
        met += is_written as usize;
    }
    if highest >= next || new < next { join_slowly(codes, flags, others, next) } else { (met, new) }
}

/// The same of at most eight `codes`.
#[cold]
fn join_slowly(codes: &mut [u32], flags: u8, others: &[u32; BLOCK], next: u32) -> (usize, u32) {
    let (mut new, mut met) = (next, 0);
    for (at, code) in codes.iter_mut().enumerate() {
        let is_written = flags >> at & 1 == 1;
        *code = if is_written { others[met % BLOCK] } else { new };
        new = new.max(code.saturating_add(1));
        met += usize::from(is_written);
    }
    (met, new)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn end(codes: &[u32]) -> u32 {
        codes.iter().max().map_or(0, |highest| highest + 1)
    }

    #[test]
    fn new_visitors_take_a_bit() {
        let codes: Vec<u32> = (0..8_000).collect();
        assert_eq!(encode(&codes).len(), HEADER_BYTES + 1_000);
        let codes: Vec<u32> = (500_000..508_000).collect();
        // Eight codes of 19 bits, as the encoding packs them.
        assert_eq!(encode(&codes).len(), HEADER_BYTES + 1_000 + 20, "all but the first are next");
    }

    /// Sabotage: do not write a code that is lower than the next one.
    #[test]
    fn the_format_is_what_is_told() {
        let bytes = encode(&[0, 1, 7, 8, 3]);
        assert_eq!(bytes, [1, 4, 5, 0, 0, 0, 2, 0, 0, 0, 0b0001_0100, 3, 0x37, 0, 0, 0]);
        assert_eq!(decode(&bytes, 5, 9), Ok(vec![0, 1, 7, 8, 3]));
        let later = [&[2], &bytes[1..]].concat();
        let wrong: [(&[u8], usize, u32); 6] =
            [(&bytes, 4, 9), (&bytes, 5, 8), (&bytes[..9], 5, 9), (&bytes[..12], 5, 9), (&[], 0, 0), (&later, 5, 9)];
        for (bytes, count, end) in wrong {
            assert!(decode(bytes, count, end).is_err(), "{bytes:?} {count} {end}");
        }
    }

    proptest! {
        #[test]
        fn codes_are_read_as_they_were_written(runs in prop::collection::vec((0..CODES_MAX - 50, 1..50_u32), 0..40)) {
            let codes: Vec<u32> = runs.iter().flat_map(|&(first, count)| first..first + count).collect();
            prop_assert_eq!(decode(&encode(&codes), codes.len(), end(&codes)), Ok(codes));
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..100), count in 0..300_u32, written in 0..300_u32) {
            if bytes.len() > HEADER_BYTES {
                bytes[0] = 1;
                bytes[2..6].copy_from_slice(&count.to_le_bytes());
                bytes[6..10].copy_from_slice(&written.to_le_bytes());
            }
            let _ = decode(&bytes, count as usize, 17);
        }
    }
}
