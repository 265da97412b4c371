use zenovay_ingest::*;
fn rss() -> u64 {
    let s = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let f = |n: &str| {
        s.lines().find(|l| l.starts_with(n)).unwrap().split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    println!("   anon {} KB rss {}", f("Anonymous:"), f("Rss:"));
    f("Anonymous:")
}
fn main() {
    rss();
    let g = GeoDatabase::embedded().unwrap();
    rss();
    let t = std::time::Instant::now();
    parse_agent("x");
    println!("agents {:?}", t.elapsed());
    rss();
    for a in [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    ] {
        let t = std::time::Instant::now();
        parse_agent(a);
        println!("agent {:?}", t.elapsed());
    }
    let text =
        String::from_utf8(zstd::decode_all(&include_bytes!("../data/bot-examples.txt.zst")[..]).unwrap()).unwrap();
    let mut worst = std::time::Duration::ZERO;
    for a in text.lines() {
        let t = std::time::Instant::now();
        parse_agent(a);
        worst = worst.max(t.elapsed());
    }
    println!("worst {worst:?}");
    rss();
    drop(g);
}
