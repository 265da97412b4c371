//! What every number means: the naive answer over a list of events. Slow, and meant to be read. Kernels and stores are
//! tested against it.

use std::collections::{BTreeMap, BTreeSet};

use zenovay_domain::{
    BOUNCE_ENGAGEMENT_MS, Dimension, Event, EventKind, LIVE_WINDOW_MS, SessionId, TimeRange, Timestamp, VisitorId,
    value_score,
};

use crate::{
    Answer, Breakdown, BreakdownRow, Condition, EventTable, Field, Filter, FilterLevel, FunnelCounts, GroupBy,
    LiveCount, Metric, MetricValues, NewVisitors, Overview, Query, Question, RowPlace, Series, SeriesPoint,
    VisitorPage, VisitorRecord,
};

/// The answer to `query` about the website whose events and heartbeats are `events`, in the order of their arrival.
///
/// As everywhere, a session has one visitor and is no longer than [`zenovay_domain::SESSION_MAX_MS`], and filters are no deeper
/// than [`Filter::DEPTH_MAX`].
/// Paths have their one spelling, [`zenovay_domain::normal_path`]: stores read them so, however they were stored.
pub fn answer(events: &[Event], query: &Query) -> Answer {
    let website = Website::new(events);
    let chosen = Chosen::new(&website, query);
    match &query.question {
        Question::Overview => Answer::Overview(Overview { metrics: chosen.metrics(&website, query.range) }),
        Question::Series { interval, zone } => {
            let buckets = zone.buckets(chosen.closed(query.range), *interval, usize::MAX);
            let point = |bucket| SeriesPoint { bucket, metrics: chosen.metrics(&website, bucket) };
            Answer::Series(Series { points: buckets.into_iter().map(point).collect() })
        }
        Question::Breakdown(group_by) => Answer::Breakdown(breakdown(&website, &chosen, group_by)),
        Question::Live => Answer::Live(live(&website, query)),
        Question::Visitors { limit, offset, after } => {
            Answer::Visitors(visitors(&website, &chosen, *limit, *offset, *after))
        }
        Question::Funnel { steps } => Answer::Funnel(funnel(&website, &chosen, query.range, steps)),
        Question::NewVisitors { interval, zone } => {
            let buckets = match interval {
                Some(interval) => zone.buckets(chosen.closed(query.range), *interval, usize::MAX),
                None => vec![query.range],
            };
            let counts: Vec<u64> =
                buckets.iter().map(|&bucket| new_visitors(&website, &chosen, query.range, bucket)).collect();
            Answer::NewVisitors(NewVisitors::new(query.cut(), &buckets, &counts))
        }
        Question::Events { limit, offset } => {
            let mut table = Box::new(EventTable::default());
            chosen.events.iter().skip(*offset).take(*limit).for_each(|event| table.push(event));
            Answer::Events(table)
        }
    }
}

/// A session with all that was ever stored of it.
struct Session<'a> {
    visitor: VisitorId,
    /// In order of time, ties in the order of arrival; without heartbeats.
    events: Vec<&'a Event>,
    last_activity: Timestamp,
    engagement_ms: u64,
}

impl<'a> Session<'a> {
    fn first(&self) -> Option<&'a Event> {
        self.events.first().copied()
    }

    fn pageviews(&self) -> Vec<&'a Event> {
        self.events.iter().copied().filter(|event| event.kind == EventKind::Pageview).collect()
    }

    fn entry_page(&self) -> &'a str {
        self.pageviews().first().map_or("", |event| event.dimensions.get(Dimension::Path))
    }

    fn exit_page(&self) -> &'a str {
        self.pageviews().last().map_or("", |event| event.dimensions.get(Dimension::Path))
    }

    fn had_interaction(&self) -> bool {
        self.events.iter().any(|event| event.kind != EventKind::Pageview)
    }

    fn is_bounce(&self) -> bool {
        self.pageviews().len() == 1 && !self.had_interaction() && self.engagement_ms < BOUNCE_ENGAGEMENT_MS as u64
    }

    fn duration_ms(&self) -> i64 {
        self.first().map_or(0, |first| self.last_activity.millis_since(first.at))
    }

    fn value_score(&self) -> u8 {
        value_score(self.pageviews().len() as u64, self.duration_ms(), self.had_interaction())
    }

    /// The value that stands for the whole session, for fields of sessions.
    fn value(&self, field: &Field) -> String {
        match field {
            Field::EntryPage => self.entry_page().to_owned(),
            Field::ExitPage => self.exit_page().to_owned(),
            Field::Dimension(_) | Field::Property(_) => {
                self.first().map_or_else(String::new, |first| own_value(first, field))
            }
        }
    }
}

struct Website<'a> {
    /// Without heartbeats, in order of time, ties in the order of arrival.
    events: Vec<&'a Event>,
    sessions: BTreeMap<SessionId, Session<'a>>,
}

impl<'a> Website<'a> {
    fn new(all: &'a [Event]) -> Self {
        let mut events: Vec<&Event> = all.iter().filter(|event| event.kind.is_event()).collect();
        events.sort_by_key(|event| event.at);
        let mut sessions: BTreeMap<SessionId, Session<'_>> = BTreeMap::new();
        for event in all {
            let session = sessions.entry(event.session).or_insert_with(|| Session {
                visitor: event.visitor,
                events: Vec::new(),
                last_activity: event.at,
                engagement_ms: 0,
            });
            session.last_activity = session.last_activity.max(event.at);
            session.engagement_ms += u64::from(event.engagement_ms);
        }
        for event in &events {
            if let Some(session) = sessions.get_mut(&event.session) {
                session.events.push(event);
            }
        }
        Self { events, sessions }
    }

    /// The value that a filter of events looks at: the event's own, or its session's entry or exit page.
    fn value(&self, event: &Event, field: &Field) -> String {
        match field {
            Field::EntryPage | Field::ExitPage => self.sessions[&event.session].value(field),
            Field::Dimension(_) | Field::Property(_) => own_value(event, field),
        }
    }

    /// The row of a breakdown that an event belongs to: for fields of sessions that of its session.
    fn row(&self, event: &Event, field: &Field) -> String {
        match field.level() {
            FilterLevel::Session => self.sessions[&event.session].value(field),
            _ => own_value(event, field),
        }
    }

    /// Whether `filter` chooses `event`.
    fn chooses(&self, filter: &Filter, range: TimeRange, event: &Event) -> bool {
        match filter {
            Filter::All(filters) => filters.iter().all(|filter| self.chooses(filter, range, event)),
            Filter::Any(filters) => filters.iter().any(|filter| self.chooses(filter, range, event)),
            Filter::Not(filter) => !self.chooses(filter, range, event),
            Filter::InSession(filter) => {
                self.sessions[&event.session].events.iter().any(|event| self.chooses(filter, range, event))
            }
            Filter::Kind(kind) => event.kind == *kind,
            Filter::Is(condition) => {
                let level = condition.level.unwrap_or(condition.field.level());
                self.chooses_at(condition, level, range, event)
            }
        }
    }

    fn chooses_at(&self, condition: &Condition, level: FilterLevel, range: TimeRange, event: &Event) -> bool {
        // Events are as they are stored: their strings are in the form of the values already.
        let values = condition.normal_values();
        let passes = |text: &str| condition.operator.matches(text, &values);
        match level {
            FilterLevel::Event => passes(&self.value(event, &condition.field)),
            FilterLevel::Session => {
                let session = &self.sessions[&event.session];
                match condition.field.level() {
                    FilterLevel::Event => {
                        session.events.iter().any(|event| passes(&self.value(event, &condition.field)))
                    }
                    _ => passes(&session.value(&condition.field)),
                }
            }
            FilterLevel::Visitor => self.events.iter().any(|other| {
                other.visitor == event.visitor
                    && range.contains(other.at)
                    && self.chooses_at(condition, condition.field.level(), range, other)
            }),
        }
    }
}

/// The event's own value of a field of events.
fn own_value(event: &Event, field: &Field) -> String {
    match field {
        Field::Dimension(dimension) => event.dimensions.get(*dimension).to_owned(),
        Field::Property(name) => {
            let properties = event.dimensions.get(Dimension::Properties);
            match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(properties) {
                Ok(mut members) => match members.remove(name) {
                    None | Some(serde_json::Value::Null) => String::new(),
                    Some(serde_json::Value::String(text)) => text,
                    Some(other) => other.to_string(),
                },
                Err(_) => String::new(),
            }
        }
        Field::EntryPage | Field::ExitPage => String::new(),
    }
}

/// What the range and the filter leave to be counted.
struct Chosen<'a> {
    /// The events in the range that the filter chooses, in order of time.
    events: Vec<&'a Event>,
}

impl<'a> Chosen<'a> {
    fn new(website: &Website<'a>, query: &Query) -> Self {
        let range = query.range;
        let in_range = website.events.iter().copied().filter(|event| range.contains(event.at));
        Self { events: in_range.filter(|event| website.chooses(&query.filter, range, event)).collect() }
    }

    /// `range`, where it has no end from the first or to the last event that is chosen.
    fn closed(&self, range: TimeRange) -> TimeRange {
        let first = self.events.first().map(|event| event.at);
        let last = self.events.last().map(|event| event.at.plus_millis(1));
        TimeRange::new(
            if range.from == Timestamp::MIN { first.unwrap_or(range.to) } else { range.from },
            if range.to == Timestamp::MAX { last.unwrap_or(range.from) } else { range.to },
        )
    }

    /// The totals of a part of the range.
    fn metrics(&self, website: &Website<'_>, part: TimeRange) -> MetricValues {
        totals(website, self.events.iter().copied().filter(|event| part.contains(event.at)))
    }
}

/// The totals of `events` and of the sessions that they belong to, each of which counts as a whole.
fn totals<'a>(website: &Website<'_>, events: impl Iterator<Item = &'a Event>) -> MetricValues {
    let mut metrics = MetricValues::default();
    let mut visitors = BTreeSet::new();
    let mut sessions = BTreeSet::new();
    for event in events {
        visitors.insert(event.visitor);
        sessions.insert(event.session);
        metrics.events += 1;
        metrics.pageviews += u64::from(event.kind == EventKind::Pageview);
    }
    metrics.visitors = visitors.len() as u64;
    metrics.sessions = sessions.len() as u64;
    for session in sessions.iter().map(|id| &website.sessions[id]) {
        metrics.bounces += u64::from(session.is_bounce());
        metrics.duration_ms += session.duration_ms().max(0) as u64;
        metrics.value_score += u64::from(session.value_score());
    }
    metrics
}

/// The value of a field, and of the second field when there is one.
type Key = (String, Option<String>);

fn breakdown(website: &Website<'_>, chosen: &Chosen<'_>, group_by: &GroupBy) -> Breakdown {
    let key = |event: &Event| -> Key {
        (website.row(event, &group_by.field), group_by.and.as_ref().map(|field| website.row(event, field)))
    };
    let shown = |key: &Key| group_by.include_empty || !key.0.is_empty();
    let mut events: BTreeMap<Key, Vec<&Event>> = BTreeMap::new();
    for event in chosen.events.iter().copied() {
        events.entry(key(event)).or_default().push(event);
    }
    events.retain(|key, _| shown(key));
    let is_path = group_by.field == Field::Dimension(Dimension::Path);
    let mut rows: Vec<BreakdownRow> = Vec::new();
    for (key, events) in &events {
        let metrics = totals(website, events.iter().copied());
        let without_sessions = MetricValues {
            visitors: metrics.visitors,
            pageviews: metrics.pageviews,
            events: metrics.events,
            ..MetricValues::default()
        };
        let mut row = BreakdownRow {
            value: key.0.clone(),
            and: key.1.clone(),
            metrics: if group_by.wants_sessions() { metrics } else { without_sessions },
            ..BreakdownRow::default()
        };
        if is_path && group_by.metrics.contains(&Metric::Title) {
            let mut titles = events.iter().map(|event| event.dimensions.get(Dimension::Title));
            row.title = titles.rfind(|title| !title.is_empty()).map(str::to_owned);
        }
        if is_path && group_by.metrics.contains(&Metric::TimeOnPage) {
            for time_ms in events.iter().filter_map(|event| time_on_page_ms(website, event)) {
                row.time_on_page_ms += time_ms as u64;
                row.timed_pageviews += 1;
            }
        }
        rows.push(row);
    }
    // Keys come in ascending order, and the sort is stable.
    rows.sort_by_key(|row| std::cmp::Reverse(group_by.order.count(&row.metrics)));
    let shown_visitors: BTreeSet<VisitorId> = events.values().flatten().map(|event| event.visitor).collect();
    let total_rows = rows.len();
    rows.retain(|row| {
        group_by.values.as_ref().is_none_or(|values| values.contains(&(row.value.clone(), row.and.clone())))
    });
    if let Some(after) = &group_by.after {
        let place = |place: &RowPlace| (std::cmp::Reverse(place.count), place.value.clone(), place.and.clone());
        rows.retain(|row| place(&RowPlace::of(row, group_by.order)) > place(after));
    }
    Breakdown {
        total_rows,
        total_visitors: shown_visitors.len() as u64,
        rows: rows.into_iter().skip(group_by.offset).take(group_by.limit).collect(),
    }
}

/// From a pageview to the next one of its session, or from the last one to a later last activity.
fn time_on_page_ms(website: &Website<'_>, event: &Event) -> Option<i64> {
    let session = &website.sessions[&event.session];
    let pageviews = session.pageviews();
    let position = pageviews.iter().position(|pageview| std::ptr::eq(*pageview, event))?;
    match pageviews.get(position + 1) {
        Some(next) => Some(next.at.millis_since(event.at)),
        None => Some(session.last_activity.millis_since(event.at)).filter(|&time_ms| time_ms > 0),
    }
}

fn live(website: &Website<'_>, query: &Query) -> LiveCount {
    let now = query.range.to;
    let is_live = |session: &&Session<'_>| {
        let window = now.plus_millis(-LIVE_WINDOW_MS)..now.plus_millis(LIVE_WINDOW_MS);
        window.start < session.last_activity && session.last_activity < window.end
    };
    let passes = |session: &&Session<'_>| {
        query.filter == Filter::default()
            || session.events.iter().any(|event| website.chooses(&query.filter, query.range, event))
    };
    let visitors: BTreeSet<VisitorId> =
        website.sessions.values().filter(is_live).filter(passes).map(|session| session.visitor).collect();
    LiveCount { visitors: visitors.len() as u64 }
}

/// Of each session the furthest that its chosen events lead, whichever are taken for steps.
fn funnel(website: &Website<'_>, chosen: &Chosen<'_>, range: TimeRange, steps: &[Filter]) -> FunnelCounts {
    fn furthest(events: &[&Event], steps: &[Filter], is_step: &dyn Fn(&Filter, &Event) -> bool) -> usize {
        let Some((step, later)) = steps.split_first() else { return 0 };
        let taken = events.iter().position(|event| is_step(step, event));
        taken.map_or(0, |place| 1 + furthest(&events[place + 1..], later, is_step))
    }
    let mut sessions: BTreeMap<SessionId, Vec<&Event>> = BTreeMap::new();
    for event in &chosen.events {
        sessions.entry(event.session).or_default().push(event);
    }
    let mut reached: Vec<(BTreeSet<VisitorId>, u64)> = vec![Default::default(); steps.len()];
    for (id, events) in &sessions {
        let far = furthest(events, steps, &|step, event| website.chooses(step, range, event));
        for (visitors, sessions) in &mut reached[..far] {
            visitors.insert(website.sessions[id].visitor);
            *sessions += 1;
        }
    }
    FunnelCounts {
        visitors: reached.iter().map(|(visitors, _)| visitors.len() as u64).collect(),
        sessions: reached.iter().map(|(_, sessions)| *sessions).collect(),
    }
}

/// The visitors with a chosen event in the bucket, whose first event of all is in it, as far as it is in the range.
fn new_visitors(website: &Website<'_>, chosen: &Chosen<'_>, range: TimeRange, bucket: TimeRange) -> u64 {
    let inside = TimeRange::new(bucket.from.max(range.from), bucket.to.min(range.to));
    let events = chosen.events.iter().filter(|event| inside.contains(event.at));
    let visitors: BTreeSet<VisitorId> = events.map(|event| event.visitor).collect();
    let first = |visitor: &VisitorId| website.events.iter().find(|event| event.visitor == *visitor);
    visitors.iter().filter(|visitor| first(visitor).is_some_and(|first| inside.contains(first.at))).count() as u64
}

fn visitors(
    website: &Website<'_>,
    chosen: &Chosen<'_>,
    limit: usize,
    offset: usize,
    after: Option<(Timestamp, VisitorId)>,
) -> VisitorPage {
    // Of each visitor the newest session with a chosen event; of two that began together the one with the lower id.
    let mut newest: BTreeMap<VisitorId, (Timestamp, &Session<'_>)> = BTreeMap::new();
    let ids: BTreeSet<SessionId> = chosen.events.iter().map(|event| event.session).collect();
    for session in ids.iter().map(|id| &website.sessions[id]) {
        let Some(first) = session.first() else { continue };
        let newest = newest.entry(session.visitor).or_insert((first.at, session));
        if first.at > newest.0 {
            *newest = (first.at, session);
        }
    }
    let mut records: Vec<VisitorRecord> = newest.into_values().filter_map(|(_, session)| record(session)).collect();
    let place = |visited_at: Timestamp, visitor: VisitorId| (std::cmp::Reverse(visited_at), visitor);
    records.sort_by_key(|record| place(record.visited_at, record.visitor));
    if let Some((visited_at, visitor)) = after {
        records.retain(|record| place(record.visited_at, record.visitor) > place(visited_at, visitor));
    }
    let has_more = records.len() > offset.saturating_add(limit);
    VisitorPage { visitors: records.into_iter().skip(offset).take(limit).collect(), has_more }
}

fn record(session: &Session<'_>) -> Option<VisitorRecord> {
    let first = session.first()?;
    let text = |dimension| first.dimensions.get(dimension).to_owned();
    Some(VisitorRecord {
        visitor: session.visitor,
        visited_at: first.at,
        landing_page: session.entry_page().to_owned(),
        referrer: text(Dimension::Referrer),
        country: text(Dimension::Country),
        city: text(Dimension::City),
        device: text(Dimension::Device),
        browser: text(Dimension::Browser),
        os: text(Dimension::Os),
        pageviews: session.pageviews().len() as u64,
        duration_ms: session.duration_ms().max(0) as u64,
        had_interaction: session.had_interaction(),
        value_score: session.value_score(),
    })
}
