//! Views of what pages captured beside events: the same range and filters, as far as captures have what is filtered by.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use serde::Serialize;
use utoipa::ToSchema;
use zenovay_capture::{CaptureError, Filter as Captured, HeatFilter, Row};
use zenovay_domain::{Dimension, TimeRange, Timestamp, VisitorId};
use zenovay_query::{Condition, Field, Filter, Query as EventQuery, Question as EventQuestion};
use zenovay_stats::Filters;

use super::reader::Question;
use super::view::View;
use crate::http::envelope::ApiError;

/// The most visitors that a filter may choose, and that are asked for at once.
const VISITORS_MAX: usize = 1_000_000;
const VISITORS_AT_ONCE: usize = 20_000;
/// The most answers that are remembered of a condition.
const REMEMBERED: usize = 10_000;
/// The most buckets of a series.
const BUCKETS_MAX: usize = 10_000;
/// The dimensions that captures have.
pub(in crate::http) const CAPTURED_BY: [&str; 6] = ["page", "device", "browser", "browser_version", "os", "country"];

/// With what somebody looked at a page, and from where.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ShownDevice {
    /// The country; empty when it is not known.
    #[schema(examples("DE"))]
    pub(super) country: String,
    /// `desktop`, `mobile` or `tablet`; empty when it is not known.
    #[schema(examples("desktop"))]
    pub(super) device: String,
    /// The browser, with its version.
    #[schema(examples("Firefox 139.0"))]
    pub(super) browser: String,
    /// The operating system.
    #[schema(examples("Linux"))]
    pub(super) os: String,
}

/// Which captures count in a view.
pub(super) struct Kept {
    filter: Filter,
    range: TimeRange,
    /// What conditions said of values, by the place of the condition.
    remembered: RefCell<HashMap<(usize, String), bool>>,
}

impl Kept {
    /// Those of `view`.
    ///
    /// # Errors
    /// A 400 that names what captures cannot be filtered by.
    pub(super) fn of(view: &View) -> Result<Self, ApiError> {
        if let Some(lacking) = Lacking::of(&view.filters) {
            let (what, by) = (lacking.in_view(), CAPTURED_BY.join(", "));
            let problem = format!("{what}: heatmaps, replays, errors and page speed are filtered by {by} alone");
            return Err(ApiError::invalid("f", problem));
        }
        Ok(Self { filter: view.filters.rest.clone(), range: view.range, remembered: RefCell::default() })
    }

    /// Runs `ask` with them.
    pub(super) fn with<T>(&self, ask: impl FnOnce(Captured<'_>) -> T) -> T {
        self.ask(|range, keep| ask(Captured { range, keep }))
    }

    /// Runs `ask` with the range and, when there is one, the filter.
    fn ask<T>(&self, ask: impl FnOnce(TimeRange, Option<&dyn Fn(&Row<'_>) -> bool>) -> T) -> T {
        let keep = |row: &Row<'_>| self.chooses(&self.filter, row);
        ask(self.range, if self.filter == Filter::default() { None } else { Some(&keep) })
    }

    fn chooses(&self, filter: &Filter, row: &Row<'_>) -> bool {
        match filter {
            Filter::All(filters) => filters.iter().all(|filter| self.chooses(filter, row)),
            Filter::Any(filters) => filters.iter().any(|filter| self.chooses(filter, row)),
            Filter::Not(filter) => !self.chooses(filter, row),
            Filter::Is(condition) => self.holds(condition, row),
            // What `check` does not let through.
            _ => false,
        }
    }

    fn holds(&self, condition: &Condition, row: &Row<'_>) -> bool {
        let value = value(&condition.field, row).unwrap_or("");
        // Comparing may mean to compile an expression; most values come again.
        let place = std::ptr::from_ref(condition).addr();
        let mut remembered = self.remembered.borrow_mut();
        if remembered.len() > REMEMBERED {
            remembered.clear();
        }
        *remembered.entry((place, value.to_owned())).or_insert_with(|| condition.matches(value))
    }
}

/// What counts in the heatmaps of a view. What page views do not have is asked of the events: then those of the visitors count
/// who did in the range what the filter chooses.
pub(super) struct KeptHeat {
    kept: Kept,
    visitors: Option<HashSet<VisitorId>>,
}

impl KeptHeat {
    /// That of `view`, about which `question` is.
    ///
    /// # Errors
    /// When events cannot be asked, or too many visitors are chosen.
    pub(super) async fn of(question: &Question, view: &View) -> Result<Self, ApiError> {
        let conditions = match &view.filters.rest {
            Filter::All(conditions) => conditions.clone(),
            other => vec![other.clone()],
        };
        let (known, others): (Vec<_>, Vec<_>) = conditions.into_iter().partition(|filter| check(filter).is_ok());
        let others: Vec<Filter> = view.filters.goals.iter().cloned().chain(others).collect();
        let visitors = match others.is_empty() {
            true => None,
            false => Some(visitors(question, view.range, Filter::All(others)).await?),
        };
        let kept = Kept { filter: Filter::All(known), range: view.range, remembered: RefCell::default() };
        Ok(Self { kept, visitors })
    }

    /// Runs `ask` with it.
    pub(super) fn with<T>(&self, ask: impl FnOnce(HeatFilter<'_>) -> T) -> T {
        self.kept.ask(|range, keep| ask(HeatFilter { range, keep, visitors: self.visitors.as_ref() }))
    }
}

/// The visitors with something in `range` that `filter` chooses.
async fn visitors(question: &Question, range: TimeRange, filter: Filter) -> Result<HashSet<VisitorId>, ApiError> {
    let website = question.id();
    let found = question.run(move |asker| {
        let (mut found, mut after) = (HashSet::new(), None);
        while found.len() < VISITORS_MAX {
            let ask = EventQuestion::Visitors { limit: VISITORS_AT_ONCE, offset: 0, after };
            let page = asker.any(website, &EventQuery::new(range, ask).filter(filter.clone()))?.into_visitors()?;
            found.extend(page.visitors.iter().map(|record| record.visitor));
            after = page.visitors.last().map(|record| (record.visited_at, record.visitor));
            if !page.has_more {
                return Ok(Some(found));
            }
        }
        Ok(None)
    });
    found.await?.ok_or_else(|| CaptureError::TooLarge.into())
}

/// What a capture has of `field`.
fn value<'a>(field: &Field, row: &Row<'a>) -> Option<&'a str> {
    match field {
        Field::Dimension(Dimension::Path) => Some(row.path),
        Field::Dimension(Dimension::Device) => Some(row.device),
        Field::Dimension(Dimension::Browser) => Some(row.browser),
        Field::Dimension(Dimension::BrowserVersion) => Some(row.browser_version),
        Field::Dimension(Dimension::Os) => Some(row.os),
        Field::Dimension(Dimension::Country) => Some(row.country),
        _ => None,
    }
}

/// What filters can be about and captures do not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum Lacking {
    /// A goal.
    Goal,
    /// A field.
    Field(Field),
    /// What the event was, or what else a visit or a visitor did.
    Other,
}

impl Lacking {
    /// What `filters` are about and captures do not have, the first of it.
    pub(in crate::http) fn of(filters: &Filters) -> Option<Self> {
        if filters.goals.is_some() {
            return Some(Self::Goal);
        }
        check(&filters.rest).err()
    }

    /// Its name in a view.
    fn in_view(&self) -> String {
        match self {
            Self::Goal => "goal".to_owned(),
            Self::Field(Field::Dimension(dimension)) => dimension.as_str().to_owned(),
            Self::Field(Field::EntryPage) => "entry_page".to_owned(),
            Self::Field(Field::ExitPage) => "exit_page".to_owned(),
            Self::Field(Field::Property(name)) => format!("prop.{name}"),
            _ => "this".to_owned(),
        }
    }
}

/// Whether captures have everything that `filter` is about.
///
/// # Errors
/// What they do not have.
fn check(filter: &Filter) -> Result<(), Lacking> {
    match filter {
        Filter::All(filters) | Filter::Any(filters) => filters.iter().try_for_each(check),
        Filter::Not(filter) => check(filter),
        // A capture knows nothing of the rest of the visit.
        Filter::Is(condition) if condition.level.is_some_and(|level| level != condition.field.level()) => {
            Err(Lacking::Other)
        }
        Filter::Is(condition) if value(&condition.field, &Row::default()).is_some() => Ok(()),
        Filter::Is(condition) => Err(Lacking::Field(condition.field.clone())),
        _ => Err(Lacking::Other),
    }
}

/// Where the buckets of the series of `view` begin.
pub(super) fn buckets(view: &View) -> Vec<Timestamp> {
    view.zone.buckets(view.range, view.interval, BUCKETS_MAX).iter().map(|bucket| bucket.from).collect()
}
