//! Rows as CSV, of which a spreadsheet runs nothing: `cargo run -p zenovay-export --example sheet`.
#![allow(clippy::print_stdout)]

use zenovay_export::Sheet;
use zenovay_export::serde_json::json;

fn main() {
    let sheet = Sheet::csv(["page", "visitors"]);
    let mut csv = sheet.head();
    for (page, visitors) in [("/", 12), ("/pricing", 5), ("=HYPERLINK(1)", 3)] {
        sheet.append(&json!({ "page": page, "visitors": visitors }), &mut csv);
    }
    print!("{}", String::from_utf8_lossy(&csv));
}
