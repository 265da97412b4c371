//! From the bytes on the wire to the bytes of the JSON: content encodings, with a cap on what comes out.

use std::borrow::Cow;
use std::io::Read;

use flate2::bufread::GzDecoder;

use crate::{Refusal, RefusalReason};

/// The most bytes that the body of a hit or heartbeat may have, decoded.
pub const HIT_BODY_MAX_BYTES: usize = 64 * 1024;

/// Undoes the `Content-Encoding` of a body: none, `identity`, or `gzip`. The result has at most `max_bytes` bytes; never
/// more than that plus one is decoded, whatever the body claims to hold.
///
/// ```
/// use zenovay_ingest::{HIT_BODY_MAX_BYTES, RefusalReason, decode_body};
///
/// assert_eq!(*decode_body(None, b"{}", HIT_BODY_MAX_BYTES)?, *b"{}");
/// let refusal = decode_body(Some("br"), b"{}", HIT_BODY_MAX_BYTES).unwrap_err();
/// assert_eq!((refusal.reason, refusal.reason.status()), (RefusalReason::UnsupportedEncoding, 415));
/// # Ok::<(), zenovay_ingest::Refusal>(())
/// ```
///
/// # Errors
/// [`RefusalReason::UnsupportedEncoding`] for any other encoding and for several; [`RefusalReason::BodyTooLarge`];
/// [`RefusalReason::InvalidEncoding`] for gzip that is damaged, cut off, or followed by other data.
pub fn decode_body<'a>(encoding: Option<&str>, body: &'a [u8], max_bytes: usize) -> Result<Cow<'a, [u8]>, Refusal> {
    let encoding = encoding.unwrap_or("").trim();
    if encoding.is_empty() || encoding.eq_ignore_ascii_case("identity") {
        return if body.len() > max_bytes { Err(too_large(max_bytes)) } else { Ok(Cow::Borrowed(body)) };
    }
    if !encoding.eq_ignore_ascii_case("gzip") && !encoding.eq_ignore_ascii_case("x-gzip") {
        return Err(Refusal::new(
            RefusalReason::UnsupportedEncoding,
            "Content-Encoding must be gzip or absent, and given once",
        ));
    }
    let mut decoder = GzDecoder::new(body);
    // So that it does not grow, and be there twice, while it is decoded.
    let mut decoded = Vec::with_capacity(max_bytes.min(told_length(body)));
    let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
    (&mut decoder).take(limit).read_to_end(&mut decoded).map_err(|_| damaged("is cut off or damaged"))?;
    if decoded.len() > max_bytes {
        return Err(too_large(max_bytes));
    }
    if !decoder.into_inner().is_empty() {
        return Err(damaged("has data after its end"));
    }
    Ok(Cow::Owned(decoded))
}

/// How long gzip says at its end that it is when it is decoded (RFC 1952, ISIZE). What it is not is found on the way: too
/// little costs reallocations, and of too much no byte is touched.
fn told_length(gzip: &[u8]) -> usize {
    let length = gzip.last_chunk().map_or(0, |length| u32::from_le_bytes(*length));
    usize::try_from(length).unwrap_or(usize::MAX)
}

fn too_large(max_bytes: usize) -> Refusal {
    Refusal::new(RefusalReason::BodyTooLarge, format!("The body is larger than {max_bytes} bytes"))
}

fn damaged(problem: &str) -> Refusal {
    Refusal::new(RefusalReason::InvalidEncoding, format!("The gzip body {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn reason(encoding: &str, body: &[u8], max: usize) -> RefusalReason {
        decode_body(Some(encoding), body, max).unwrap_err().reason
    }

    #[test]
    fn other_encodings_are_refused() {
        for encoding in ["br", "zstd", "deflate", "gzip,gzip", "gzip, identity", "gzip;q=1", "gzi\0p"] {
            assert_eq!(reason(encoding, &gzip(b"{}"), 100), RefusalReason::UnsupportedEncoding, "{encoding:?}");
        }
    }

    #[test]
    fn the_cap_holds_to_the_byte_for_plain_and_packed_bodies() {
        let data = vec![b' '; 1_000];
        assert_eq!(&*decode_body(None, &data, 1_000).unwrap(), &data[..]);
        assert_eq!(decode_body(None, &data, 999).unwrap_err().reason, RefusalReason::BodyTooLarge);
        assert_eq!(&*decode_body(Some("GZIP"), &gzip(&data), 1_000).unwrap(), &data[..]);
        assert_eq!(reason("gzip", &gzip(&data), 999), RefusalReason::BodyTooLarge);
    }

    /// Sabotage: read to the end without `take`, and the allocation below is 64 MB.
    #[test]
    fn a_bomb_is_refused_after_the_cap() {
        let bomb = gzip(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000);
        assert_eq!(reason("gzip", &bomb, HIT_BODY_MAX_BYTES), RefusalReason::BodyTooLarge);
    }

    #[test]
    fn cut_damaged_and_followed_gzip_is_refused() {
        let good = gzip(br#"{"url":"https://example.com/"}"#);
        for len in 0..good.len() {
            assert_eq!(reason("gzip", &good[..len], 1_000), RefusalReason::InvalidEncoding, "cut at {len}");
        }
        let mut damaged = good.clone();
        let crc = damaged.len() - 8;
        damaged[crc] ^= 1;
        assert_eq!(reason("gzip", &damaged, 1_000), RefusalReason::InvalidEncoding);
        for tail in [&b"x"[..], &good[..]] {
            assert_eq!(reason("gzip", &[&good[..], tail].concat(), 1_000), RefusalReason::InvalidEncoding);
        }
    }

    /// Sabotage: begin with another capacity.
    #[test]
    fn what_is_decoded_takes_no_more_than_its_length() {
        let data = vec![b'x'; 1_000_000];
        let decoded = decode_body(Some("gzip"), &gzip(&data), 2_000_000).unwrap().into_owned();
        assert_eq!((decoded.len(), decoded.capacity()), (data.len(), data.len()));
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_out(data in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let packed = gzip(&data);
            prop_assert_eq!(&*decode_body(Some("gzip"), &packed, 2_000).unwrap(), &data[..]);
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(data in prop::collection::vec(any::<u8>(), 0..500)) {
            let _ = decode_body(Some("gzip"), &data, 100);
        }
    }
}
