//! `/api/websites/:websiteId/live`: who is here at this moment, once or as a stream.

use std::time::Duration;

use actix_web::http::Method;
use actix_web::{HttpRequest, web};
use futures_util::stream;
use serde::Serialize;
use serde_json::json;
use tokio::time::{Instant as Moment, Interval, MissedTickBehavior, interval};
use utoipa::ToSchema;
use zenovay_domain::{LIVE_WINDOW_MS, TimeRange, Timestamp, VisitorId};
use zenovay_query::GroupBy;

use super::audience::{NewestVisit, VISIT_COLUMNS};
use super::files::columns;
use super::hub::{Happening, Watch, Watcher};
use super::reader::{Question, WebsiteReader};
use super::sites::WebsiteState;
use super::sse::{EventStream, Frames, PULSE, response};
use crate::http::client_ip;
use crate::http::envelope::{ApiError, Success};
use crate::http::errors::SOON_S;
use crate::http::export::sheets::{Accept, Exported, Format, Listed, SheetName, values};
use crate::http::external::analytics::GEO_NOTICE;
use crate::http::guard::Shown;
use crate::http::handler::Described;
use crate::http::long_questions::Asker;
use crate::http::params::{Params, Query, QueryParams};
use crate::http::state::AppState;
use crate::http::values::Instant;

/// The most visitors and pages that are told.
const TOLD: usize = 50;
/// How often a stream tells what happened.
const TICK: Duration = Duration::from_millis(500);
/// How often it counts visitors, in ticks.
const COUNT_TICKS: u32 = 4;
/// The most events that are told at once: the latest.
const EVENTS_PER_TICK: usize = 10;

/// Who is here.
#[derive(Debug, Serialize, ToSchema)]
pub struct Live {
    /// Visitors with activity in the last five minutes.
    #[schema(examples(4))]
    visitors: u64,
    /// Some of them, the newest visit first.
    people: Vec<NewestVisit>,
    /// The pages that they viewed in this time, by visitors.
    pages: Vec<LivePage>,
    /// The time of the website's last event; null before the first one.
    #[schema(required = true)]
    last_event_at: Option<Instant>,
    /// What the website is doing.
    state: WebsiteState,
}

/// A page that is being viewed.
#[derive(Debug, Serialize, ToSchema)]
pub struct LivePage {
    /// The page.
    #[schema(examples("/pricing"))]
    page: String,
    /// Visitors who viewed it.
    #[schema(examples(2))]
    visitors: u64,
}

/// Who is here at this moment.
pub async fn show<R: WebsiteReader>(
    reader: R,
    state: web::Data<AppState>,
    query: Query<LiveParams>,
    accept: Accept,
) -> Result<Exported<Success<Live>>, ApiError> {
    let question = Question::of(&reader, &state);
    let file = accept.file(query.read(question.now)?.0);
    let (id, now) = (question.id(), question.now);
    let range = TimeRange::new(now.plus_millis(-LIVE_WINDOW_MS), now.plus_millis(1));
    let live = question.at_once(move |asker| {
        let visitors = asker.live(id, now)?;
        let people = asker.visitors(id, range, TOLD, 0, None::<(_, VisitorId)>)?.visitors;
        let by = GroupBy::by(zenovay_domain::Dimension::Path).limit(TOLD).without_empty();
        Ok((visitors, people, asker.pages(id, range, by)?.rows))
    });
    let (visitors, people, pages) = live.await?;
    let span = state.events.span(id);
    let answer = Live {
        visitors,
        people: people.into_iter().map(NewestVisit::from).collect(),
        pages: pages.into_iter().map(|row| LivePage { page: row.value, visitors: row.metrics.visitors }).collect(),
        last_event_at: super::sites::last_event(span),
        state: WebsiteState::of(&question.website, span, now),
    };
    if let Some(format) = file {
        let name = SheetName::of(&question.website, "live", range);
        let columns = columns(&[&VISIT_COLUMNS], &[], false);
        let sheet = Listed::sheet(format, &name, columns, &values(&answer.people));
        return Ok(sheet.with_link(Some(GEO_NOTICE)));
    }
    Ok(Listed::Json(Success::new(answer, now)))
}

/// Whether those who are here are wanted as a file.
#[derive(Debug, Clone, Copy)]
pub struct LiveParams(Option<Format>);

impl QueryParams for LiveParams {
    fn read(params: &mut Params, _: Timestamp) -> Self {
        Self(Format::read_file(params))
    }
}

/// A stream that goes on.
struct Streaming {
    question: Question,
    asker: Asker,
    watch: Watch,
    ticks: Interval,
    number: u32,
    /// The version of memberships, keys and websites when whoever reads was let in.
    version: i64,
    count: Option<u64>,
    /// Whether the website had an event before.
    had_events: bool,
    knows_refusals: bool,
    told_at: Moment,
}

/// What happens on a website: `count` when the number of visitors changes, `event` for events, `first_event` for the first one
/// ever, `refused` for an event that its host kept out. It ends with the session that it was opened with, and when what the
/// reader may do could have changed; browsers then connect anew, and are asked again who they are.
pub async fn events<R: WebsiteReader>(
    reader: R,
    req: HttpRequest,
    state: web::Data<AppState>,
) -> Result<Described<EventStream>, ApiError> {
    if req.method() == Method::HEAD {
        return Ok(response(stream::empty()).into());
    }
    let question = Question::of(&reader, &state);
    let asker = reader.asker();
    let watcher = match asker {
        Asker::Known(Shown::Session { user, .. }) => Watcher::Person(user),
        Asker::Known(Shown::Key(key)) => Watcher::Key(key),
        Asker::Link(_) => Watcher::Public(question.id(), client_ip::of(&req, &state.trusted_proxies).into()),
    };
    let too_many = || ApiError::unavailable("Too many people watch at once", SOON_S);
    let watch = state.live.watch(question.id(), watcher).ok_or_else(too_many)?;
    let had_events = state.events.span(question.id()).is_some();
    let version = super::changing(&state, |state| state.store.data_version()).await?;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (knows_refusals, count, told_at) = (reader.knows_refusals(), None, Moment::now());
    let streaming =
        Streaming { question, asker, watch, ticks, number: 0, version, count, had_events, knows_refusals, told_at };
    let begin = Some(Frames::begin().into_bytes());
    let stream = stream::unfold((streaming, begin), |(mut streaming, begin)| async move {
        let bytes = match begin {
            Some(bytes) => bytes,
            None => streaming.next().await?,
        };
        Some((Ok(bytes), (streaming, None)))
    });
    Ok(response(stream).into())
}

impl Streaming {
    /// What is told next; `None` ends the stream.
    async fn next(&mut self) -> Option<web::Bytes> {
        loop {
            self.ticks.tick().await;
            if self.question.state.connections.are_draining() {
                return None;
            }
            let mut frames = Frames::default();
            self.add_happenings(&mut frames);
            if self.number.is_multiple_of(COUNT_TICKS) && !self.add_count(&mut frames).await {
                return None;
            }
            self.number = self.number.wrapping_add(1);
            if frames.is_empty() && self.told_at.elapsed() >= PULSE {
                frames.pulse();
            }
            if !frames.is_empty() {
                self.told_at = Moment::now();
                return Some(frames.into_bytes());
            }
        }
    }

    fn add_happenings(&mut self, frames: &mut Frames) {
        let happenings = self.watch.take();
        let late = happenings.len().saturating_sub(EVENTS_PER_TICK);
        for (number, happening) in happenings.into_iter().enumerate() {
            match happening {
                Happening::Event(event) => {
                    if !std::mem::replace(&mut self.had_events, true) {
                        frames.event("first_event", &json!({ "at": event.at, "path": event.page }));
                    }
                    if number >= late {
                        frames.event("event", &event);
                    }
                }
                Happening::Refused(host) if self.knows_refusals => {
                    frames.event("refused", &json!({ "host": &*host }));
                }
                Happening::Refused(_) => {}
            }
        }
    }

    /// Whether the stream may go on.
    async fn add_count(&mut self, frames: &mut Frames) -> bool {
        let (id, state) = (self.question.id(), self.question.state.clone());
        let (asker, now) = (self.asker, state.clock.now());
        let asked = self.question.at_once(move |ask| {
            // Keys and links have part in the version, sessions do not: they change with every sign-in of anybody.
            let is_open = match asker {
                Asker::Known(Shown::Key(_)) | Asker::Link(_) => true,
                Asker::Known(Shown::Session { user, session }) => {
                    let open = state.store.sessions(user, state.clock.reading().steady);
                    open.is_ok_and(|open| open.iter().any(|open| open.id == session))
                }
            };
            let version = state.store.data_version().ok().filter(|_| is_open);
            Ok((ask.live(id, now)?, version))
        });
        let Ok((visitors, version)) = asked.await else { return false };
        if version != Some(self.version) {
            return false;
        }
        if self.count.replace(visitors) != Some(visitors) {
            frames.event("count", &json!({ "visitors": visitors }));
        }
        true
    }
}
