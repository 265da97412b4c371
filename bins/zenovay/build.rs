//! Builds the crate again when z.js or the web application was built since: what is embedded is read at compile time.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../../tracker/dist");
    println!("cargo:rerun-if-changed=../../web/dist");
}
