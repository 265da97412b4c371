//! Builds the crate again when z.js was built since: what is embedded is read at compile time.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../../tracker/dist");
}
