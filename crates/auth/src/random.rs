//! Random letters.

use std::convert::Infallible;
use std::{error, fmt};

use rand_core::CryptoRng;
use zeroize::Zeroize;

pub(crate) const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The operating system gave no random bytes. Nothing secret can be made then; trying again later may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRandomness(getrandom::Error);

impl fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operating system gives no random bytes")
    }
}

impl error::Error for NoRandomness {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Fills `out` from the operating system.
#[cfg(feature = "password")]
pub(crate) fn fill_from_system(out: &mut [u8]) -> Result<(), NoRandomness> {
    getrandom::fill(out).map_err(NoRandomness)
}

/// Fills `out` with letters of the operating system's randomness.
pub(crate) fn base62_from_system(out: &mut [u8]) -> Result<(), NoRandomness> {
    draw_base62(|pool| getrandom::fill(pool).map_err(NoRandomness), out)
}

/// Fills `out` with letters of `rng`.
pub(crate) fn fill_base62(rng: &mut (impl CryptoRng + ?Sized), out: &mut [u8]) {
    let Ok(()) = draw_base62::<Infallible>(
        |pool| {
            rng.fill_bytes(pool);
            Ok(())
        },
        out,
    );
}

/// Letters are drawn evenly: six random bits at a time, drawn again when they are 62 or 63.
fn draw_base62<E>(mut draw: impl FnMut(&mut [u8]) -> Result<(), E>, out: &mut [u8]) -> Result<(), E> {
    let mut pool = [0; 64];
    let mut filled = 0;
    while filled < out.len() {
        draw(&mut pool)?;
        for letter in pool.iter().filter_map(|byte| BASE62.get(usize::from(byte & 63))) {
            let Some(place) = out.get_mut(filled) else { break };
            *place = *letter;
            filled += 1;
        }
    }
    pool.zeroize();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_gives_letters() {
        let (mut first, mut second) = ([0; 200], [0; 200]);
        base62_from_system(&mut first).unwrap();
        base62_from_system(&mut second).unwrap();
        assert_ne!(first, second);
        assert!(first.iter().all(u8::is_ascii_alphanumeric));
    }
}
