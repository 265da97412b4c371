//! The store's side of `benches/peers/captures` for heatmaps: makes up clicks on a page, stores them as they come from the
//! log, and answers with the heatmap of the page as JSON lines.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Parser;
use serde::Deserialize;
use serde_json::json;
use zenovay_benches::clicks::{BROWSERS, DAYS, END_MS, PAGE, store, views};
use zenovay_benches::generate::{DAY_MS, website_id};
use zenovay_capture::{Captures, DeviceClass, HEAT_BINS, HeatFilter, HeatmapQuery, Row};
use zenovay_domain::{TimeRange, Timestamp};

/// The same allocator as the server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Cli {
    /// Where the store goes, and `clicks.csv`. What is there already is asked.
    directory: PathBuf,
    /// How many clicks.
    clicks: u64,
}

/// A question: the heatmap of the page between two instants, of one browser or of all.
#[derive(Deserialize)]
struct Ask {
    from: i64,
    to: i64,
    browser: Option<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Cli { directory, clicks } = Cli::parse();
    let website = website_id(0);
    let is_stored = directory.join("captures").exists();
    let captures = Captures::open(&directory.join("captures"))?;
    let started = Instant::now();
    if !is_stored {
        write_csv(&directory, clicks)?;
        store(&captures, website, views(clicks));
    }
    let load_s = started.elapsed().as_secs_f64();
    let mut stdout = std::io::stdout().lock();
    let from = END_MS - DAYS * DAY_MS;
    let ready = json!({ "load_s": load_s, "from": from, "to": END_MS, "browser": BROWSERS[2], "bins": HEAT_BINS });
    writeln!(stdout, "{ready}")?;
    stdout.flush()?;
    for line in std::io::stdin().lock().lines() {
        let ask: Ask = serde_json::from_str(&line?)?;
        let is_of_browser = |row: &Row<'_>| ask.browser.as_deref() == Some(row.browser);
        let filter = HeatFilter {
            range: TimeRange::new(Timestamp::from_millis(ask.from), Timestamp::from_millis(ask.to)),
            keep: if ask.browser.is_some() { Some(&is_of_browser) } else { None },
            visitors: None,
        };
        let query =
            HeatmapQuery { filter, path: PAGE, class: DeviceClass::Desktop, elements: usize::MAX, spots: usize::MAX };
        let started = Instant::now();
        let heat = captures.heatmap(website, &query)?;
        let ms = started.elapsed().as_secs_f64() * 1_000.0;
        let cells = heat.elements.iter().map(|element| element.cells.len()).sum::<usize>();
        let elements = heat.elements.iter().map(|element| {
            json!([element.address, element.cells.len(), element.clicks, element.rage_clicks, element.dead_clicks])
        });
        let rows: Vec<_> = elements.collect();
        writeln!(stdout, "{}", json!({ "ms": ms, "rows": rows, "cells": cells, "visitors": heat.visitors }))?;
        stdout.flush()?;
    }
    Ok(())
}

fn write_csv(directory: &Path, clicks: u64) -> Result<(), Box<dyn Error>> {
    let mut csv = BufWriter::new(File::create(directory.join("clicks.csv"))?);
    writeln!(csv, "at,path,class,visitor,browser,country,address,cell,spot,count,rage,dead")?;
    for view in views(clicks) {
        let context = &view.context;
        for click in &view.told.clicks {
            writeln!(
                csv,
                "{},{PAGE},desktop,{},{},{},{},{},{},{},{},{}",
                context.at_ms,
                context.visitor,
                context.browser,
                context.country,
                click.address,
                click.cell,
                click.spot,
                click.count,
                click.is_rage,
                click.is_dead
            )?;
        }
    }
    Ok(csv.flush()?)
}
