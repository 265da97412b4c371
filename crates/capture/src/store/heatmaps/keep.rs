//! Heatmaps of a visitor, and the removal of what is not kept.

use std::collections::{BTreeSet, HashSet};

use rusqlite::{Connection, Statement, Transaction, params};
use zenovay_domain::{TimeRange, Timestamp};

use super::rows::{Builder, Rows, View};
use super::tally::Sums;
use super::{Result, cuts, damaged, read_view, told_of, visitors_of, write_block};

/// A page view of a visitor whose clicks are known.
#[derive(Debug, Clone, PartialEq)]
pub struct VisitorHeat {
    /// When.
    pub at: Timestamp,
    /// On which page: its path.
    pub path: String,
    /// How much of the height of the page was seen, in percent.
    pub depth_percent: f64,
    /// What was clicked, and how often: the address and the label of the element.
    pub clicks: Vec<(String, String, u64)>,
}

/// Clicks in a rage of a visitor, as heatmaps have them: on what, but not in which visit, nor when exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisitorRage {
    /// When the page view began that they are of, or what came of it first.
    pub at: Timestamp,
    /// On which page: its path.
    pub path: String,
    /// What the element is called; empty when it has no name that may be known.
    pub label: String,
    /// How many clicks in a row.
    pub count: u64,
}

/// The pages of a website with their paths.
fn pages_of(connection: &Connection, website: &[u8; 16]) -> Result<Vec<(i64, String)>> {
    let mut select = connection.prepare("SELECT id, path FROM heat_pages WHERE website = ?1 ORDER BY id")?;
    select.query_map(params![website], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Whether there may be something of `website` from `from_ms` on that is before `before_ms`.
pub(crate) fn has_between(connection: &Connection, website: &[u8; 16], from_ms: i64, before_ms: i64) -> Result<bool> {
    connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM heat_pages p JOIN heat_views v ON v.page = p.id
                            WHERE p.website = ?1 AND v.at >= ?2 AND v.at < ?3)
             OR EXISTS (SELECT 1 FROM heat_pages p JOIN heat_blocks b ON b.page = p.id
                            WHERE p.website = ?1 AND b.to_at >= ?2 AND b.from_at < ?3)",
        params![website, from_ms, before_ms],
        |row| row.get(0),
    )
}

/// Removes what is of `website` from before `before_ms`.
pub(crate) fn remove_before(transaction: &Transaction<'_>, website: &[u8; 16], before_ms: i64) -> Result<u64> {
    let mut removed = 0;
    for (page, _) in pages_of(transaction, website)? {
        let mut of_page = transaction
            .prepare("DELETE FROM heat_views WHERE page = ?1 AND at < ?2")?
            .execute(params![page, before_ms])? as u64;
        of_page += rewrite(transaction, page, "from_at < ?2", before_ms, |view| view.at_ms >= before_ms)?;
        if of_page > 0 {
            tidy(transaction, page)?;
        }
        removed += of_page;
    }
    Ok(removed)
}

/// Removes what is of `visitor`.
pub(crate) fn erase_visitor(transaction: &Transaction<'_>, website: &[u8; 16], visitor: i64) -> Result<u64> {
    let mut removed = 0;
    for (page, _) in pages_of(transaction, website)? {
        let mut of_page = transaction
            .prepare("DELETE FROM heat_views WHERE visitor = ?2 AND page = ?1")?
            .execute(params![page, visitor])? as u64;
        for id in blocks_with(transaction, page, visitor)? {
            of_page += rewrite(transaction, page, "id = ?2", id, |view| view.visitor != visitor.cast_unsigned())?;
        }
        if of_page > 0 {
            tidy(transaction, page)?;
        }
        removed += of_page;
    }
    Ok(removed)
}

/// The blocks of a page that have something of `visitor`.
fn blocks_with(connection: &Connection, page: i64, visitor: i64) -> Result<Vec<i64>> {
    let mut select = connection.prepare("SELECT id, visitors FROM heat_blocks WHERE page = ?1")?;
    let mut rows = select.query([page])?;
    let mut blocks = Vec::new();
    while let Some(row) = rows.next()? {
        if visitors_of(row.get_ref(1)?.as_blob()?).any(|one| one == visitor.cast_unsigned()) {
            blocks.push(row.get(0)?);
        }
    }
    Ok(blocks)
}

/// Writes the blocks of a page of which `condition` is true with the views that `keeps` keeps.
/// Gives how many it removed.
fn rewrite(
    transaction: &Transaction<'_>,
    page: i64,
    condition: &str,
    value: i64,
    keeps: impl Fn(&View) -> bool,
) -> Result<u64> {
    let select = format!("SELECT id, class FROM heat_blocks WHERE page = ?1 AND {condition}");
    let mut select = transaction.prepare(&select)?;
    let blocks = select.query_map(params![page, value], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut removed = 0;
    for (id, class) in blocks.collect::<Result<Vec<(i64, u8)>>>()? {
        let rows = rows_of(transaction, id)?;
        let mut builder = Builder::of(Rows::default());
        rows.views().filter(|view| keeps(view)).for_each(|view| builder.push(&view));
        let kept = builder.finish();
        if kept.len() < rows.len() {
            removed += (rows.len() - kept.len()) as u64;
            write_block(transaction, Some(id), page, class, &kept)?;
        }
    }
    Ok(removed)
}

/// The columns of a block.
pub(super) fn rows_of(connection: &Connection, id: i64) -> Result<Rows> {
    connection
        .prepare("SELECT rows FROM heat_blocks WHERE id = ?1")?
        .query_row([id], |row| Rows::unpack(row.get_ref(0)?.as_blob()?).map_err(damaged))
}

/// Removes the elements of a page that nothing is of any more, and the page when it has nothing.
fn tidy(transaction: &Transaction<'_>, page: i64) -> Result<()> {
    let mut used: HashSet<i64> = HashSet::new();
    let mut is_any = false;
    let mut select = transaction.prepare("SELECT told FROM heat_views WHERE page = ?1")?;
    let mut rows = select.query([page])?;
    while let Some(row) = rows.next()? {
        is_any = true;
        used.extend(told_of(row.get_ref(0)?.as_blob()?)?.clicks.iter().map(|click| click.element));
    }
    let mut select = transaction.prepare("SELECT sums FROM heat_blocks WHERE page = ?1")?;
    let mut rows = select.query([page])?;
    while let Some(row) = rows.next()? {
        is_any = true;
        let sums = Sums::unpack(row.get_ref(0)?.as_blob()?).ok_or_else(|| damaged(super::rows::Damaged))?;
        used.extend(sums.elements());
    }
    let mut select = transaction.prepare("SELECT id FROM heat_elements WHERE page = ?1")?;
    let elements: BTreeSet<i64> = select.query_map([page], |row| row.get(0))?.collect::<Result<_>>()?;
    for element in elements.iter().filter(|element| !used.contains(element)) {
        transaction.prepare("DELETE FROM heat_elements WHERE id = ?1")?.execute([element])?;
    }
    if !is_any {
        transaction.execute("DELETE FROM heat_pages WHERE id = ?1", [page])?;
    }
    Ok(())
}

/// Removes everything of `website`.
pub(crate) fn delete_website(transaction: &Transaction<'_>, website: &[u8; 16]) -> Result<u64> {
    cuts::delete_website(transaction, website)?;
    let mut removed = 0;
    for table in ["heat_elements", "heat_views", "heat_blocks"] {
        let delete = format!("DELETE FROM {table} WHERE page IN (SELECT id FROM heat_pages WHERE website = ?1)");
        removed += transaction.execute(&delete, params![website])?;
    }
    removed += transaction.execute("DELETE FROM heat_pages WHERE website = ?1", params![website])?;
    Ok(removed as u64)
}

/// The page views of `visitor` in `range`, with the paths of their pages, in the order of time.
fn views_of_visitor(
    connection: &Connection,
    website: &[u8; 16],
    visitor: i64,
    range: TimeRange,
) -> Result<Vec<(String, View)>> {
    let (from_ms, to_ms) = (range.from.as_millis(), range.to.as_millis());
    let mut select = connection.prepare(
        "SELECT v.at, v.visitor, v.told, v.view, p.path FROM heat_views v JOIN heat_pages p ON p.id = v.page
             WHERE v.visitor = ?2 AND p.website = ?1 AND v.at >= ?3 AND v.at < ?4",
    )?;
    let found =
        select.query_map(params![website, visitor, from_ms, to_ms], |row| Ok((row.get(4)?, read_view(row)?)))?;
    let mut views = found.collect::<Result<Vec<(String, View)>>>()?;
    let mut select = connection.prepare(
        "SELECT b.id, p.path, b.visitors FROM heat_blocks b JOIN heat_pages p ON p.id = b.page
             WHERE p.website = ?1 AND b.to_at >= ?2 AND b.from_at < ?3",
    )?;
    let mut blocks = select.query(params![website, from_ms, to_ms])?;
    while let Some(block) = blocks.next()? {
        if !visitors_of(block.get_ref(2)?.as_blob()?).any(|one| one == visitor.cast_unsigned()) {
            continue;
        }
        let path: String = block.get(1)?;
        let is_asked = |view: &View| view.visitor == visitor.cast_unsigned() && (from_ms..to_ms).contains(&view.at_ms);
        let rows = rows_of(connection, block.get(0)?)?;
        views.extend(rows.views().filter(is_asked).map(|view| (path.clone(), view)));
    }
    views.sort_by_key(|(_, view)| view.at_ms);
    Ok(views)
}

/// What is told of the page views of `visitor` in `range`, in the order of time.
pub(crate) fn of_visitor(
    connection: &Connection,
    website: &[u8; 16],
    visitor: i64,
    range: TimeRange,
) -> Result<Vec<VisitorHeat>> {
    let views = views_of_visitor(connection, website, visitor, range)?.into_iter();
    let mut select = connection.prepare(SELECT_ELEMENT)?;
    let told = views.map(|(path, view)| {
        let clicks = view.told.clicks.iter().map(|click| {
            let (address, label) = element(&mut select, click.element)?;
            Ok((address, label, u64::from(click.count)))
        });
        Ok(VisitorHeat {
            at: Timestamp::from_millis(view.at_ms),
            path,
            depth_percent: f64::from(view.told.depth) * 100.0 / f64::from(super::DEPTHS),
            clicks: clicks.collect::<Result<_>>()?,
        })
    });
    told.collect()
}

/// The clicks in a rage of `visitor` on page views in `range`, in the order of time.
pub(crate) fn rage_of_visitor(
    connection: &Connection,
    website: &[u8; 16],
    visitor: i64,
    range: TimeRange,
) -> Result<Vec<VisitorRage>> {
    let mut found = Vec::new();
    let mut select = connection.prepare(SELECT_ELEMENT)?;
    for (path, view) in views_of_visitor(connection, website, visitor, range)? {
        for click in view.told.clicks.iter().filter(|click| click.is_rage) {
            let (_, label) = element(&mut select, click.element)?;
            let (at, path) = (Timestamp::from_millis(view.at_ms), path.clone());
            found.push(VisitorRage { at, path, label, count: u64::from(click.count) });
        }
    }
    Ok(found)
}

/// Finds elements for [`element`].
pub(super) const SELECT_ELEMENT: &str = "SELECT address, label FROM heat_elements WHERE id = ?1";

/// The address and the label of an element; empty for those that are not told from each other.
pub(super) fn element(select: &mut Statement<'_>, id: i64) -> Result<(String, String)> {
    let mut rows = select.query([id])?;
    match rows.next()? {
        Some(row) => Ok((row.get(0)?, row.get(1)?)),
        None => Ok(Default::default()),
    }
}
