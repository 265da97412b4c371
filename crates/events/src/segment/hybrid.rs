//! Parquet's RLE/bit-packed hybrid of small codes
//! (<https://parquet.apache.org/docs/file-format/data-pages/encodings/#run-length-encoding--bit-packing-hybrid-rle--3>),
//! straight from and to `u32` codes: the values behind them are looked up once per dictionary entry, not once per row. The
//! library has the same inside, but hands out values, a string for each row; codes are what the kernels want.

#![expect(clippy::cast_possible_truncation, reason = "packing takes the low bits, and a width is at most 32")]

/// The bits that `codes` codes need, at least 1.
pub(crate) fn width_for(codes: usize) -> u8 {
    (usize::BITS - codes.saturating_sub(1).leading_zeros()).max(1) as u8
}

/// Appends `codes`, each below `2^width`, to `out`.
pub(crate) fn encode(codes: &[u32], width: u8, out: &mut Vec<u8>) {
    // A run pays off from two groups of eight on.
    const RUN: usize = 16;
    let mut literals = 0;
    let mut at = 0;
    while at < codes.len() {
        let run = codes[at..].iter().take_while(|&&code| code == codes[at]).count();
        if run >= RUN {
            pack(&codes[literals..at], width, out);
            varint((run as u64) << 1, out);
            out.extend(&codes[at].to_le_bytes()[..usize::from(width.div_ceil(8))]);
            at += run;
            literals = at;
        } else {
            // Only whole groups may stand before a run.
            at = (at + 8).min(codes.len());
        }
    }
    pack(&codes[literals..], width, out);
}

fn pack(codes: &[u32], width: u8, out: &mut Vec<u8>) {
    if codes.is_empty() {
        return;
    }
    let groups = codes.len().div_ceil(8);
    varint((groups as u64) << 1 | 1, out);
    let mut bits = 0u64;
    let mut count = 0;
    let padding = groups * 8 - codes.len();
    for &code in codes.iter().chain(std::iter::repeat_n(&0, padding)) {
        bits |= u64::from(code) << count;
        count += width;
        while count >= 8 {
            out.push(bits as u8);
            bits >>= 8;
            count -= 8;
        }
    }
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Codes that end early, or a width above 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Appends the `count` codes that `data` holds at `width` bits to `out`.
pub(crate) fn decode(mut data: &[u8], width: u8, count: usize, out: &mut Vec<u32>) -> Result<(), Malformed> {
    if width > 32 {
        return Err(Malformed);
    }
    let end = out.len() + count;
    while out.len() < end {
        let wanted = end - out.len();
        let Run { start, end, codes } = Run::read(&mut data, width, 0)?;
        let codes_of_run = (end - start).min(wanted);
        match codes {
            RunCodes::Same(code) => out.extend(std::iter::repeat_n(code, codes_of_run)),
            RunCodes::Packed(packed) => unpack(packed, width, codes_of_run, out),
        }
    }
    Ok(())
}

/// Appends those of the `count` codes that `data` holds at `width` bits that are at `places`, which are ascending and below `count`,
/// to `out`.
pub(crate) fn decode_at(
    mut data: &[u8],
    width: u8,
    count: usize,
    places: impl Iterator<Item = usize>,
    out: &mut Vec<u32>,
) -> Result<(), Malformed> {
    if width > 32 {
        return Err(Malformed);
    }
    let mask = (1u64 << width) - 1;
    let mut run: Run<'_> = Run { start: 0, end: 0, codes: RunCodes::Same(0) };
    for place in places {
        if place >= count {
            return Err(Malformed);
        }
        while place >= run.end {
            run = Run::read(&mut data, width, run.end)?;
        }
        out.push(match run.codes {
            RunCodes::Same(code) => code,
            RunCodes::Packed(packed) => {
                let bit = (place - run.start) * usize::from(width);
                let bytes = &packed[bit / 8..];
                let window = match bytes.first_chunk::<8>() {
                    Some(window) => *window,
                    None => {
                        let mut window = [0; 8];
                        window[..bytes.len()].copy_from_slice(bytes);
                        window
                    }
                };
                (u64::from_le_bytes(window) >> (bit % 8) & mask) as u32
            }
        });
    }
    Ok(())
}

/// Appends those of the `count` codes that `data` holds at `width` bits that are not `common` to `codes`, and their places, the first of
/// which is `first`, to `places`.
pub(crate) fn decode_others(
    mut data: &[u8],
    width: u8,
    count: usize,
    common: u32,
    first: u32,
    (places, codes): (&mut Vec<u32>, &mut Vec<u32>),
) -> Result<(), Malformed> {
    if width > 32 {
        return Err(Malformed);
    }
    let (mut start, mut unpacked) = (0, Vec::new());
    while start < count {
        let run = Run::read(&mut data, width, start)?;
        let end = run.end.min(count);
        match run.codes {
            RunCodes::Same(code) if code == common => {}
            RunCodes::Same(code) => {
                places.extend((start..end).map(|place| first + place as u32));
                codes.extend(std::iter::repeat_n(code, end - start));
            }
            RunCodes::Packed(packed) => {
                unpacked.clear();
                unpack(packed, width, end - start, &mut unpacked);
                for (&code, place) in unpacked.iter().zip(first + start as u32..) {
                    if code != common {
                        places.push(place);
                        codes.push(code);
                    }
                }
            }
        }
        start = end;
    }
    Ok(())
}

/// Codes that are the same, or packed together.
struct Run<'a> {
    /// The place of the first, and of the first behind them.
    start: usize,
    end: usize,
    codes: RunCodes<'a>,
}

enum RunCodes<'a> {
    Same(u32),
    Packed(&'a [u8]),
}

impl<'a> Run<'a> {
    /// The next run of `data`, which begins at the place `start`.
    fn read(data: &mut &'a [u8], width: u8, start: usize) -> Result<Self, Malformed> {
        let header = read_varint(data)?;
        let length = usize::try_from(header >> 1).unwrap_or(usize::MAX);
        let (bytes, places) = match header & 1 {
            0 => (usize::from(width.div_ceil(8)), length),
            _ => (length.checked_mul(usize::from(width)).ok_or(Malformed)?, length.saturating_mul(8)),
        };
        let (codes, rest) = data.split_at_checked(bytes).ok_or(Malformed)?;
        if places == 0 {
            return Err(Malformed);
        }
        *data = rest;
        let codes = match header & 1 {
            0 => RunCodes::Same(codes.iter().rev().fold(0, |sum, &byte| sum << 8 | u32::from(byte))),
            _ => RunCodes::Packed(codes),
        };
        Ok(Self { start, end: start.saturating_add(places), codes })
    }
}

fn unpack(packed: &[u8], width: u8, count: usize, out: &mut Vec<u32>) {
    let width = usize::from(width);
    let mask = (1u64 << width) - 1;
    let start = out.len();
    out.resize(start + count, 0);
    let out = &mut out[start..];
    // Whole bytes, as most columns have, and bytes that have several codes whole.
    match width {
        1 => return unpack_small::<1>(packed, out),
        2 => return unpack_small::<2>(packed, out),
        4 => return unpack_small::<4>(packed, out),
        8 => return out.iter_mut().zip(packed).for_each(|(code, &byte)| *code = byte.into()),
        16 => {
            let pairs = packed.as_chunks::<2>().0;
            return out.iter_mut().zip(pairs).for_each(|(code, &pair)| *code = u16::from_le_bytes(pair).into());
        }
        _ => {}
    }
    // Eight bytes at a time as long as there are eight: a code and its offset in a byte need at most 39 bits.
    let whole = packed.len().checked_sub(8).map_or(0, |last| count.min(last * 8 / width + 1));
    let (with_window, last) = out.split_at_mut(whole);
    for (row, code) in with_window.iter_mut().enumerate() {
        let bit = row * width;
        let Some(&window) = packed[bit / 8..].first_chunk::<8>() else { break };
        *code = (u64::from_le_bytes(window) >> (bit % 8) & mask) as u32;
    }
    for (code, row) in last.iter_mut().zip(whole..) {
        let bit = row * width;
        let mut window = [0; 8];
        for (to, from) in window.iter_mut().zip(&packed[bit / 8..]) {
            *to = *from;
        }
        *code = (u64::from_le_bytes(window) >> (bit % 8) & mask) as u32;
    }
}

/// Codes of `WIDTH` bits, which divide a byte.
fn unpack_small<const WIDTH: usize>(packed: &[u8], out: &mut [u32]) {
    let mask = (1_u8 << WIDTH) - 1;
    for (codes, &byte) in out.chunks_mut(8 / WIDTH).zip(packed) {
        for (at, code) in codes.iter_mut().enumerate() {
            *code = (byte >> (at * WIDTH) & mask).into();
        }
    }
}

fn read_varint(data: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = data.split_first().ok_or(Malformed)?;
        *data = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn widths() {
        assert_eq!([0, 1, 2, 3, 4, 5, 256, 257].map(width_for), [1, 1, 1, 2, 2, 3, 8, 9]);
    }

    #[test]
    fn the_example_of_the_format() {
        // Numbers 0 to 7 at three bits, from the format's description.
        let mut out = Vec::new();
        encode(&[0, 1, 2, 3, 4, 5, 6, 7], 3, &mut out);
        assert_eq!(out, [3, 0b1000_1000, 0b1100_0110, 0b1111_1010]);
    }

    proptest! {
        #[test]
        fn codes_survive_the_round_trip(
            runs in prop::collection::vec((any::<u32>(), 1usize..50), 0..60),
            width in 1u8..=32,
            every in 1usize..100,
        ) {
            let codes: Vec<u32> = runs
                .iter()
                .flat_map(|&(code, run)| std::iter::repeat_n((u64::from(code) & ((1 << width) - 1)) as u32, run))
                .collect();
            let mut data = Vec::new();
            encode(&codes, width, &mut data);
            let mut read = Vec::new();
            decode(&data, width, codes.len(), &mut read).unwrap();
            prop_assert_eq!(&read, &codes);
            let mut some = Vec::new();
            decode_at(&data, width, codes.len(), (0..codes.len()).step_by(every), &mut some).unwrap();
            prop_assert_eq!(some, codes.iter().copied().step_by(every).collect::<Vec<_>>());
            let common = codes.first().copied().unwrap_or(0);
            let (mut places, mut others) = (Vec::new(), Vec::new());
            decode_others(&data, width, codes.len(), common, 7, (&mut places, &mut others)).unwrap();
            let expected = (7..).zip(codes).filter(|(_, code)| *code != common).unzip();
            prop_assert_eq!((places, others), expected);
        }

        #[test]
        fn no_bytes_make_it_panic(data in prop::collection::vec(any::<u8>(), 0..100), width in 0u8..=40, count in 0usize..2_000) {
            let mut read = Vec::new();
            if decode(&data, width, count, &mut read).is_ok() {
                prop_assert_eq!(read.len(), count);
            }
            let mut some = Vec::new();
            let places = (0..count).step_by(7);
            if decode_at(&data, width, count, places.clone(), &mut some).is_ok() {
                prop_assert_eq!(some.len(), places.len());
            }
            let (mut places, mut others) = (Vec::new(), Vec::new());
            if decode_others(&data, width, count, 0, 0, (&mut places, &mut others)).is_ok() {
                prop_assert!(places.len() == others.len() && places.len() <= count);
            }
        }
    }
}
