//! No input of a public function panics: parameters that strangers send, days beyond all calendars, and answers that a back end
//! made up.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use proptest::prelude::*;
use zenovay_domain::{
    Event, EventKind, FunnelStep, Goal, GoalId, GoalTarget, Interval, MatchType, PageMatch, SessionId, TimeRange,
    Timestamp, VisitorId, WebsiteId, Zone,
};
use zenovay_query::random::Sessions;
use zenovay_query::{
    Answer, Breakdown, BreakdownRow, Budget, Filter, LiveCount, MemoryDataset, Overview, Query, QueryError, Question,
    RowPlace,
};
use zenovay_stats::serde_json::{Value, json};
use zenovay_stats::{
    Ask, CodeStep, Cursor, Dates, Dialect, Filters, Goal as NamedGoal, Groups, Metric, Number, Period, Property,
    Totals, code_step_filter, country_name, filters_of_json, filters_of_view, goals_filter, is_reached_by, parse_date,
    parse_filters, step_filter,
};

const SESSIONS: Sessions = Sessions { count: 4, hours_apart: 5, visitors: 3 };
const WORDS: &str = "(and|or|not|is|has_done|matches|contains|event:page|event:goal|visit:country_name|event:props:p|goal|case_sensitive|level)";

/// Any string, often one that is nearly right.
fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        "(.|\\n|\\x00){0,30}",
        WORDS,
        "(event:page|visit:os|event:goal|event:props:p|type|goal|prop\\.a)(==|!=|:is:|:matches:)[a-zé*|\\\\;/]{0,12}",
        "[\\[\\]\"a-z,;|=!*(){}\\\\]{0,30}",
        "[0-9]{1,5}-[0-9]{1,3}-[0-9]{1,3}",
        Just("a".repeat(20_000)),
    ]
}

/// Trees that are nearly filters.
fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        WORDS.prop_map(Value::from),
        string().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (WORDS, WORDS, string()).prop_map(|(is, of, value)| json!([is, of, [value]])),
    ];
    leaf.prop_recursive(13, 40, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            (WORDS, inner.clone()).prop_map(|(word, inner)| json!([word, inner])),
            (WORDS, inner).prop_map(|(word, inner)| json!({ word: inner })),
        ]
    })
}

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -3i64..3].prop_map(Timestamp::from_millis)
}

fn day() -> impl Strategy<Value = i32> {
    prop_oneof![any::<i32>(), Just(i32::MIN), Just(i32::MAX), -800_000..3_000_000, Just(95_000_000)]
}

fn goal(name: &str, is_event: bool) -> Goal {
    let pages = GoalTarget::Page(PageMatch::new(MatchType::Regex, name));
    let target = if is_event { GoalTarget::Event { name: name.to_owned() } } else { pages };
    Goal::new(GoalId::from_bytes([1; 16]), WebsiteId::from_bytes([1; 16]), name, target, Timestamp::from_millis(0))
}

/// Asks for all that there is of what `filters` leave.
fn asked(filters: Filters, range: TimeRange, by: Property, answer: impl Fn(&Query) -> Result<Answer, QueryError>) {
    let ask = Ask::new(range, filters, Metric::ALL);
    let _series = ask.timeseries(Interval::Day, &Zone::utc(), &answer);
    let _more = (ask.property_sets(usize::MAX, &answer), ask.code_funnels(&answer));
    let groups = Groups::by(by.clone()).and(by).limit(usize::MAX).offset(1).after(RowPlace::new(u64::MAX, "", None));
    let rows = ask.breakdown(&groups.values(vec![(String::new(), None)]), &answer);
    let totals = rows.ok().into_iter().flat_map(|rows| rows.rows).map(|row| row.totals);
    for totals in totals.chain(ask.aggregate(&answer)).chain([Totals::default()]) {
        for metric in Metric::ALL {
            if let Number::Rate(Some(number)) | Number::Mean(Some(number)) = totals.number(*metric) {
                assert!(number.is_finite());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_parameters_are_read_or_refused(
        text in string(), other in string(), tree in tree(), events in prop::collection::vec(SESSIONS.any_event(), 0..6),
        from in time(), to in time(), is_event in any::<bool>(),
    ) {
        let memory = MemoryDataset::new(&events);
        let goals = [goal(&text, is_event), goal(&other, !is_event)];
        let names = (text.parse::<Metric>(), Property::parse(&text, true), Period::parse(&text), parse_date(&text));
        if let Ok(property) = &names.1 {
            let named = Property::parse(&property.name(), false);
            prop_assert_eq!(named.as_ref(), Ok(property), "by its own name");
        }
        let by = names.1.unwrap_or(Property::Goal);
        let _other = (Cursor::decode(&text, &other), country_name(&text), Property::keys_of(&[&text, &other]));
        let mut read = vec![filters_of_json(&tree, Dialect::Own), filters_of_json(&json!([tree]), Dialect::Plausible)];
        read.push(parse_filters(&text, Dialect::Own));
        read.push(parse_filters(&tree.to_string(), Dialect::Own));
        read.push(filters_of_view([text.as_str(), &other], &goals));
        for filters in read {
            match filters {
                Ok(filters) => asked(filters, TimeRange::new(from, to), by.clone(), |query| {
                    memory.answer(query, &Budget::new(std::time::Duration::from_secs(5), 4 << 20))
                }),
                Err(problem) => prop_assert!(!problem.to_string().is_empty()),
            }
        }
        // What a goal chooses is what it is reached by.
        let event = Event::new(EventKind::Pageview, from, VisitorId(1), SessionId(1));
        let is_chosen = goals.iter().any(|goal| is_reached_by(&goal.target, &event));
        let filter = goals_filter(goals.iter().map(|goal| &goal.target)).unwrap();
        let query = Query::new(TimeRange::ALL, Question::Overview).filter(filter);
        let found = MemoryDataset::new(std::slice::from_ref(&event)).answer(&query, &Budget::unlimited()).unwrap().into_overview();
        prop_assert_eq!(found.unwrap().metrics.events > 0, is_chosen && from < Timestamp::MAX);
        for step in [FunnelStep::Event { name: text.clone() }, FunnelStep::Goal { id: GoalId::from_bytes([9; 16]) }] {
            step_filter(&step, &goals);
        }
        let _step = (code_step_filter(&text, &CodeStep::new(&other, &text)), NamedGoal::parse(&text));
    }

    /// Sabotage: count days in an `i32`.
    #[test]
    fn no_day_and_no_time_is_too_far_away(day in day(), last in day(), at in time(), count: u32) {
        let zone: Zone = "America/St_Johns".parse().unwrap();
        let named = Period::NAMES.iter().map(|(_, period)| *period);
        for period in named.chain([Period::Days(count), Period::Months(count), Period::Days(0), Period::Months(0)]) {
            for dates in [period.dates(day), period.dates_at(at, &zone)].into_iter().flatten() {
                prop_assert!(dates.count() >= 1);
                dates.range(&zone);
            }
        }
        let dates = Dates { first: day, last };
        let _any = (dates.count(), dates.range(&zone));
    }
}

#[test]
fn a_filter_of_any_depth_is_asked() {
    let memory = MemoryDataset::new(&[]);
    for (depth, is_goal) in [(1, true), (50, false), (51, true), (20_000, true), (20_000, false)] {
        let deep = (0..depth).fold(Filter::Kind(EventKind::Click), |filter, _| Filter::Not(Box::new(filter)));
        let mut filters = Filters::default();
        if is_goal {
            filters.goals = Some(deep);
        } else {
            filters.rest = deep;
        }
        asked(filters, TimeRange::ALL, Property::Goal, |query| memory.answer(query, &Budget::unlimited()));
    }
}

/// Sabotage: add up what rows tell with `sum`.
#[test]
fn what_a_back_end_makes_up_is_told_or_refused() {
    let row = || {
        let mut row = BreakdownRow::default();
        (row.time_on_page_ms, row.timed_pageviews) = (u64::MAX, u64::MAX);
        row.metrics.visitors = u64::MAX;
        row
    };
    let rows = || {
        let mut rows = Breakdown::default();
        rows.rows = vec![row(), row()];
        Ok(Answer::Breakdown(rows))
    };
    let all_rows = |query: &Query| match &query.question {
        Question::Breakdown(_) => rows(),
        _ => Ok(Answer::Overview(Overview::default())),
    };
    asked(Filters::default(), TimeRange::ALL, Property::CountryName, all_rows);
    asked(Filters::default(), TimeRange::ALL, Property::Goal, |_| Ok(Answer::Live(LiveCount::default())));
    asked(Filters::default(), TimeRange::ALL, Property::Goal, |_| Err(QueryError::Cancelled));
    let ask = Ask::new(TimeRange::ALL, Filters::default(), [Metric::TimeOnPage]);
    assert_eq!(ask.aggregate(all_rows).unwrap().time_on_page_ms, u64::MAX);
}
