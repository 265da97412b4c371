//! Every operator at every level on every field, and the top values of every field: kernels and oracle agree, and the
//! answers are of some events but not of all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation, reason = "a test fails loudly")]

use zenovay_domain::{Dimension, Event, EventKind, SessionId, TimeRange, Timestamp, VisitorId};
use zenovay_query::{
    Answer, Budget, Condition, DatasetBuilder, Field, Filter, FilterLevel, GroupBy, MemoryDataset, Metric, Operator,
    Query, Question, oracle,
};

const LEVELS: [Option<FilterLevel>; 4] =
    [None, Some(FilterLevel::Event), Some(FilterLevel::Session), Some(FilterLevel::Visitor)];

/// All fields there are: every string of an event, the two of a session, and a property.
fn fields() -> Vec<Field> {
    let texts = Dimension::ALL.iter().filter(|dimension| **dimension != Dimension::Properties);
    let mut fields: Vec<Field> = texts.copied().map(Field::Dimension).collect();
    fields.extend([Field::EntryPage, Field::ExitPage, Field::Property("plan".to_owned())]);
    fields
}

/// The names by which people know them.
#[test]
fn there_is_a_field_for_everything_that_is_reported() {
    let names: Vec<String> = fields()
        .iter()
        .map(|field| match field {
            Field::Dimension(dimension) => dimension.to_string(),
            Field::EntryPage => "entry page".to_owned(),
            Field::ExitPage => "exit page".to_owned(),
            Field::Property(name) => format!("property {name}"),
            other => panic!("{other:?} has no name here"),
        })
        .collect();
    for name in [
        "page",
        "entry page",
        "exit page",
        "title",
        "hostname",
        "referrer",
        "source",
        "channel",
        "utm_source",
        "utm_medium",
        "utm_campaign",
        "utm_term",
        "utm_content",
        "country",
        "region",
        "city",
        "browser",
        "browser_version",
        "os",
        "os_version",
        "device",
        "screen_class",
        "language",
        "event_name",
        "property plan",
    ] {
        assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
    }
    assert_eq!(names.len(), 25);
}

const RANGE: (i64, i64) = (100, 1_000);

/// Nine visitors with four sessions of up to five events each; values change from event to event, so first events, other
/// events and events outside the range differ.
fn events() -> Vec<Event> {
    let values = ["/a", "/a/b", "x/b", "", "/ü/b", "other"];
    let mut events = Vec::new();
    for visitor in 0..9u64 {
        for session in 0..4u64 {
            let id = visitor * 4 + session;
            for step in 0..1 + (id * 7 + visitor) % 5 {
                let at = Timestamp::from_millis((session * 400 + visitor * 37 + step * 53) as i64);
                let kind = if visitor < 6 && (id + step) % 6 == 5 { EventKind::Custom } else { EventKind::Pageview };
                let mut event = Event::new(kind, at, VisitorId(visitor), SessionId(id));
                for (number, &dimension) in Dimension::ALL.iter().enumerate() {
                    let changing = (id as usize * 5 + step as usize * 2 + number) % values.len();
                    // Three visitors never change: conditions on visitors choose some and leave some out.
                    let value = match visitor {
                        6 => "",
                        7 => "/a/b",
                        8 => "other",
                        _ => values[changing],
                    };
                    match dimension {
                        Dimension::Properties => event.dimensions.set(dimension, &format!(r#"{{"plan":"{value}"}}"#)),
                        _ => event.dimensions.set(dimension, value),
                    }
                }
                events.push(event);
            }
        }
    }
    events
}

fn datasets(events: &[Event]) -> [MemoryDataset; 2] {
    let mut builder = DatasetBuilder::default();
    for chunk in events.chunks(17) {
        chunk.iter().for_each(|event| builder.push(event));
        builder.end_chunk();
    }
    [MemoryDataset::new(events), builder.finish()]
}

fn agreed(events: &[Event], datasets: &[MemoryDataset], filter: Filter, question: Question) -> Answer {
    let range = TimeRange::new(Timestamp::from_millis(RANGE.0), Timestamp::from_millis(RANGE.1));
    let query = Query::new(range, question).filter(filter);
    let answer = oracle::answer(events, &query);
    for dataset in datasets {
        assert_eq!(dataset.answer(&query, &Budget::unlimited()).as_ref(), Ok(&answer), "{query:?}");
    }
    answer
}

fn counted(answer: &Answer) -> u64 {
    match answer {
        Answer::Overview(overview) => overview.metrics.events,
        other => panic!("{other:?}"),
    }
}

fn by(field: Field, and: Option<Field>) -> Question {
    let mut by = GroupBy::by(field).metrics([Metric::Sessions, Metric::Title, Metric::TimeOnPage]).limit(4);
    by.and = and;
    Question::Breakdown(by)
}

#[test]
fn every_operator_at_every_level_on_every_field_chooses_like_the_oracle() {
    let events = events();
    let datasets = datasets(&events);
    let all = counted(&agreed(&events, &datasets, Filter::default(), Question::Overview));
    for field in fields() {
        for &operator in Operator::ALL {
            let values: &[&str] = match operator {
                Operator::Is | Operator::IsNot => &["/a/b", "other"],
                Operator::Contains | Operator::DoesNotContain => &["/b"],
                Operator::StartsWith => &["/ü", "o"],
                Operator::EndsWith => &["/b"],
                Operator::Matches | Operator::DoesNotMatch => &["/*b", "o*r"],
                Operator::MatchesRegex | Operator::DoesNotMatchRegex => &["^/.+/b$", "^o"],
                other => panic!("{other:?} has no values here"),
            };
            let mut chosen = Vec::new();
            for level in LEVELS {
                let filter = Filter::Is(Condition::new(field.clone(), operator, values.iter().copied()).at(level));
                let count = counted(&agreed(&events, &datasets, filter.clone(), Question::Overview));
                assert!(0 < count && count < all, "{field:?} {operator:?} {level:?} says nothing: {count} of {all}");
                chosen.push(count);
                agreed(&events, &datasets, filter, by(field.clone(), None));
            }
            // The levels mean different things, but the default is one of them.
            let [default, event, session, visitor] = chosen[..] else { panic!("four levels") };
            let own = if field.level() == FilterLevel::Event { event } else { session };
            assert_eq!(default, own, "{field:?} {operator:?}");
            assert!(visitor >= own, "{field:?} {operator:?}: what a visitor did is at least what matched");
        }
    }
}

#[test]
fn the_top_values_of_every_field_and_of_every_pair_are_the_oracles() {
    let events = events();
    let datasets = datasets(&events);
    for field in fields() {
        let Answer::Breakdown(rows) = agreed(&events, &datasets, Filter::default(), by(field.clone(), None)) else {
            panic!("a breakdown")
        };
        assert_eq!((rows.rows.len(), rows.total_rows), (4, 6), "{field:?}");
        for and in fields() {
            agreed(&events, &datasets, Filter::default(), by(field.clone(), Some(and)));
        }
    }
}
