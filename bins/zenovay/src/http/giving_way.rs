//! Which running queries let others go first. A query that takes long, or whose party used much of the last seconds, stops
//! on its way while a short one of somebody else runs: on a machine with few cores the short one would wait for the end of
//! its slice, which is milliseconds, at each step from one thread to the next.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::time::{ClockId, clock_gettime};
use zenovay_query::GiveWay;

use super::turns::{Asking, Party};

/// A query that computed for less than this gives way to nobody. Time in which its thread waited for a core does not count: beside others who
/// take long every query does, and would be taken for one of them.
const SHORT: Duration = Duration::from_millis(5);
/// How long a query stops at once. Then it goes on for as long as a short one takes.
const PAUSE: Duration = Duration::from_millis(25);
/// What a party may use at once, and the queries that it asks then still begin as short ones.
const BURST: Duration = Duration::from_millis(20);
/// After that it may use this part of a core.
const SHARE: u32 = 4;
/// What is remembered of a party: it begins anew after `SHARE` times this.
const REMEMBERED: Duration = Duration::from_secs(1);
/// How many parties are remembered before those are looked for that have used nothing lately.
const PARTIES: usize = 256;

/// The queries that run now.
#[derive(Debug, Default)]
pub struct RunningQueries {
    /// How many of them are short so far.
    short: AtomicUsize,
    state: Mutex<State>,
    /// One of the short ones ended, or takes long now.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    short: Vec<(u64, Asking)>,
    used: HashMap<Party, Used>,
}

/// What a party used lately, which becomes less by and by.
#[derive(Debug, Clone, Copy)]
struct Used {
    time: Duration,
    at: Instant,
}

impl Used {
    fn left(self, now: Instant) -> Duration {
        self.time.saturating_sub(now.saturating_duration_since(self.at) / SHARE)
    }
}

impl State {
    /// Whether there is a short query of somebody else.
    fn is_anybody_beside(&self, asking: Asking) -> bool {
        self.short.iter().any(|(_, other)| !other.parties().any(|party| asking.parties().any(|own| own == party)))
    }

    fn has_used_much(&self, asking: Asking, now: Instant) -> bool {
        asking.parties().any(|party| self.used.get(&party).is_some_and(|used| used.left(now) >= BURST))
    }

    fn charge(&mut self, asking: Asking, time: Duration, now: Instant) {
        if self.used.len() >= PARTIES {
            self.used.retain(|_, used| !used.left(now).is_zero());
        }
        for party in asking.parties() {
            let before = self.used.get(&party).map_or(Duration::ZERO, |used| used.left(now));
            self.used.insert(party, Used { time: (before + time).min(REMEMBERED), at: now });
        }
    }
}

impl RunningQueries {
    /// A query for `asking` begins, which may take `time`. It runs until the last that shares it is dropped. It gives way in
    /// the first half of its time.
    pub fn begin(self: &Arc<Self>, asking: Asking, time: Duration, now: Instant) -> Arc<Running> {
        let mut state = self.state.lock();
        state.next += 1;
        let number = state.next;
        let is_short = !state.has_used_much(asking, now);
        if is_short {
            state.short.push((number, asking));
            self.short.store(state.short.len(), Ordering::Relaxed);
        }
        let course = Course { is_short, goes_on_until: now, thread_began: Duration::ZERO };
        let gives_way_until = now + time / 2;
        Arc::new(Running {
            all: Arc::clone(self),
            number,
            asking,
            began: now,
            gives_way_until,
            course: Mutex::new(course),
        })
    }

    /// The query `number` ended or takes long.
    fn is_no_more_short(&self, number: u64) {
        let mut state = self.state.lock();
        state.short.retain(|(other, _)| *other != number);
        self.short.store(state.short.len(), Ordering::Relaxed);
        drop(state);
        self.changed.notify_all();
    }
}

/// One of them.
#[derive(Debug)]
pub struct Running {
    all: Arc<RunningQueries>,
    number: u64,
    asking: Asking,
    began: Instant,
    gives_way_until: Instant,
    course: Mutex<Course>,
}

#[derive(Debug)]
struct Course {
    is_short: bool,
    /// After a pause in which others did not end.
    goes_on_until: Instant,
    /// What its thread had computed when it began.
    thread_began: Duration,
}

/// How long this thread has computed.
fn thread_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

impl Running {
    /// Does `work`, which is the query, on this thread, and charges those who asked with what it computes.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        let began = thread_time();
        self.course.lock().thread_began = began;
        self.charging_from(began, work)
    }

    /// Does `work` on this thread, which had computed for `began`, and charges those who asked with what it computes.
    fn charging_from<T>(&self, began: Duration, work: impl FnOnce() -> T) -> T {
        let done = work();
        let used = thread_time().saturating_sub(began);
        self.all.state.lock().charge(self.asking, used, Instant::now());
        done
    }

    /// The query takes long: it gives way from now on.
    fn takes_long(&self, course: &mut Course) {
        if std::mem::take(&mut course.is_short) {
            self.all.is_no_more_short(self.number);
        }
    }

    /// Whether it has to let others go first at `now`, when its thread has computed for `thread_time`.
    fn must_give_way(&self, now: Instant, thread_time: impl FnOnce() -> Duration) -> bool {
        let mut course = self.course.lock();
        if course.is_short {
            // The thread is asked only when it can have computed for so long.
            if now.saturating_duration_since(self.began) < SHORT
                || thread_time().saturating_sub(course.thread_began) < SHORT
            {
                return false;
            }
            self.takes_long(&mut course);
        }
        self.all.short.load(Ordering::Relaxed) > 0
            && now >= course.goes_on_until
            && now < self.gives_way_until
            && self.all.state.lock().is_anybody_beside(self.asking)
    }

    /// Waits until those that go first are through, or long enough.
    fn pause(&self, until: Instant) {
        let mut state = self.all.state.lock();
        let mut is_over = false;
        while !is_over && state.is_anybody_beside(self.asking) {
            is_over = self.all.changed.wait_until(&mut state, until).timed_out();
        }
        drop(state);
        if is_over {
            self.course.lock().goes_on_until = Instant::now() + SHORT;
        }
    }
}

impl GiveWay for Running {
    fn give_way(&self) {
        let now = Instant::now();
        let must_give_way = self.must_give_way(now, thread_time);
        if must_give_way {
            self.pause(now + PAUSE);
        } else if !self.course.lock().is_short {
            // A short one that gave up its core would have it back when the one that has it then gives it up, or at the next tick of the
            // kernel, which is 4 ms.
            std::thread::yield_now();
        }
    }

    fn help(&self, work: &mut dyn FnMut()) {
        // Only what takes long is done on several threads.
        self.takes_long(&mut self.course.lock());
        self.charging_from(thread_time(), work);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.course.get_mut().is_short {
            self.all.is_no_more_short(self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use zenovay_domain::{KeyId, WebsiteId};

    use super::*;

    const TIME: Duration = Duration::from_secs(3_600);

    /// The time of a thread that waited for nothing since its query began.
    fn computed() -> Duration {
        TIME
    }

    fn asking(website: u8, key: u8) -> Asking {
        Asking {
            website: Some(WebsiteId::from_random_bytes([website; 16])),
            key: (key > 0).then(|| KeyId::from_random_bytes([key; 16])),
        }
    }

    /// Sabotage: give way to nobody, to one's own, or for ever.
    #[test]
    fn a_long_query_gives_way_to_a_short_one_of_somebody_else() {
        let (all, now) = (Arc::new(RunningQueries::default()), Instant::now());
        let long = all.begin(asking(1, 1), TIME, now);
        let own_website = all.begin(asking(1, 0), TIME, now);
        let own_key = all.begin(asking(2, 1), TIME, now);
        assert!(!long.must_give_way(now + SHORT, computed), "to its own");
        let other = all.begin(asking(3, 3), TIME, now);
        assert!(long.must_give_way(now + SHORT, computed));
        assert!(!other.must_give_way(now, computed), "it is short");
        assert!(!long.must_give_way(now + TIME / 2, computed), "it must end some day");
        drop(other);
        assert!(!long.must_give_way(now + SHORT, computed), "nobody is there");
        // Of two that are long neither is short.
        let other = all.begin(asking(3, 3), TIME, now);
        assert!(other.must_give_way(now + SHORT, computed), "to those of the first website and key");
        assert!(!long.must_give_way(now + SHORT, computed));
        drop((own_website, own_key));
        assert!(!other.must_give_way(now + SHORT, computed));
        let state = all.state.lock();
        assert_eq!((state.short.len(), all.short.load(Ordering::Relaxed)), (0, 0));
    }

    /// Sabotage: count the time in which it waits for a core, or what others compute.
    #[test]
    fn who_waits_has_used_nothing() {
        let (all, now) = (Arc::new(RunningQueries::default()), Instant::now());
        let _other = all.begin(asking(1, 1), TIME, now);
        let slow = all.begin(asking(2, 2), TIME, now);
        let began = slow.run(|| slow.course.lock().thread_began);
        assert!(!slow.must_give_way(now + TIME / 4, || began), "it computed nothing");
        assert!(!all.state.lock().has_used_much(asking(2, 2), now));
        assert!(slow.must_give_way(now + TIME / 4, || began + SHORT));
        slow.run(|| while thread_time() < began + BURST * 2 {});
        assert!(all.state.lock().has_used_much(asking(2, 9), Instant::now()), "it computed twice what it may");
    }

    /// Sabotage: count what the first thread computed alone, or take a query on several threads for a short one.
    #[test]
    fn what_other_threads_of_a_query_compute_is_counted() {
        let (all, now) = (Arc::new(RunningQueries::default()), Instant::now());
        let _other = all.begin(asking(1, 1), TIME, now);
        let query = all.begin(asking(2, 2), TIME, now);
        query.run(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let began = thread_time();
                    query.help(&mut || while thread_time() < began + BURST * 2 {});
                });
            });
        });
        assert!(all.state.lock().has_used_much(asking(2, 9), Instant::now()));
        assert!(query.must_give_way(now, || Duration::ZERO), "it takes long");
    }

    /// Sabotage: leave out what was used before.
    #[test]
    fn who_used_much_begins_as_one_that_gives_way() {
        let (all, now) = (Arc::new(RunningQueries::default()), Instant::now());
        all.state.lock().charge(asking(1, 1), BURST, now);
        let other = all.begin(asking(2, 2), TIME, now);
        for again in [asking(1, 0), asking(9, 1)] {
            assert!(all.begin(again, TIME, now).must_give_way(now, computed), "{again:?}");
        }
        assert!(!all.begin(asking(8, 8), TIME, now).must_give_way(now, computed));
        // Nothing is held against anybody for long, however much it was.
        all.state.lock().charge(asking(1, 1), TIME, now);
        let later = now + REMEMBERED * SHARE * 2;
        assert!(!all.begin(asking(1, 1), TIME, later).must_give_way(later, computed));
        drop(other);
    }

    /// By the order of what happens: the long one goes on only after the short one ended. Sabotage: do not wait.
    #[test]
    fn a_pause_ends_with_the_last_short_one_or_after_a_while() {
        let all = Arc::new(RunningQueries::default());
        let began = Instant::now();
        let long = all.begin(asking(1, 1), TIME, began);
        let others = [all.begin(asking(2, 2), TIME, began), all.begin(asking(3, 0), TIME, began)];
        let (sender, order) = mpsc::channel();
        let waiting = std::thread::spawn({
            let (sender, long) = (sender.clone(), Arc::clone(&long));
            move || {
                sender.send("stops").unwrap();
                long.pause(began + TIME);
                sender.send("goes on").unwrap();
            }
        });
        assert_eq!(order.recv().unwrap(), "stops");
        for other in others {
            sender.send("another ends").unwrap();
            drop(other);
        }
        waiting.join().unwrap();
        let order: Vec<_> = order.try_iter().collect();
        assert_eq!(order, ["another ends", "another ends", "goes on"]);

        // One that does not end is not waited for longer than a pause, and then not at once again.
        let stuck = all.begin(asking(4, 4), TIME, began);
        let now = began + SHORT;
        assert!(long.must_give_way(now, computed));
        long.pause(now);
        let goes_on_until = long.course.lock().goes_on_until;
        assert!(!long.must_give_way(goes_on_until - Duration::from_nanos(1), computed));
        assert!(long.must_give_way(goes_on_until, computed));
        drop(stuck);
    }

    #[test]
    fn parties_that_used_nothing_lately_are_forgotten() {
        let (all, now) = (RunningQueries::default(), Instant::now());
        let mut state = all.state.lock();
        for number in 0..2 * PARTIES {
            let website = Some(WebsiteId::from_random_bytes([(number % 251) as u8; 16]));
            let key = Some(KeyId::from_random_bytes([(number / 251) as u8; 16]));
            state.charge(Asking { website, key }, SHORT, now + SHORT * SHARE * number as u32);
        }
        assert!(state.used.len() <= PARTIES + 1, "{}", state.used.len());
    }
}
