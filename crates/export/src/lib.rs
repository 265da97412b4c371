#![doc = include_str!("../README.md")]
// What may grow can grow without breaking who uses it; what cannot says why.
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod part;
mod range;
mod sheet;

pub use part::{ColumnKind, PART_COLUMNS, PartColumn, PartError, Traits, parquet_part};
pub use range::ByteRange;
#[doc(no_inline)]
pub use serde_json;
pub use sheet::Sheet;
#[doc(no_inline)]
pub use zenovay_domain as domain;
#[doc(no_inline)]
pub use zenovay_query as query;

use sha2::{Digest, Sha256};

/// The SHA-256 of `bytes`, as 64 lower-case hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_digest_is_that_of_the_standard() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(super::sha256(b"abc"), expected);
    }
}
