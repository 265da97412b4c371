//! The threads on which questions are answered.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use parking_lot::{Condvar, Mutex};

type Job = Box<dyn FnOnce() + Send>;

/// As many threads as the machine has cores, at least two. Each is started when it is needed first; they end when this is
/// dropped and what was begun is done.
#[derive(Default)]
pub(crate) struct Workers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    is_closed: bool,
}

impl Workers {
    /// Runs `job` when a thread is free. Drops it when there is no thread and none can be started.
    pub(crate) fn run(&self, job: Job) {
        let threads_max = thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
        let mut state = self.0.state.lock();
        state.jobs.push_back(job);
        if state.jobs.len() > state.idle && state.threads < threads_max {
            let shared = Arc::clone(&self.0);
            match thread::Builder::new().name("events-query".to_owned()).spawn(move || shared.work()) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    tracing::error!(%error, "no thread for a query can be started");
                    state.jobs.clear();
                }
                Err(_) => {}
            }
        }
        drop(state);
        self.0.ready.notify_one();
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // Not joined: the last handle to a store may be dropped by a job.
        self.0.state.lock().is_closed = true;
        self.0.ready.notify_all();
    }
}

impl Shared {
    fn work(&self) {
        loop {
            let mut state = self.state.lock();
            state.idle += 1;
            self.ready.wait_while(&mut state, |state| state.jobs.is_empty() && !state.is_closed);
            state.idle -= 1;
            let Some(job) = state.jobs.pop_front() else { return };
            drop(state);
            // Who waits for it hears that it ended without an answer; the thread goes on with the next one.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn jobs_are_done_also_after_one_that_panicked_and_after_the_end() {
        let workers = Workers::default();
        let (done, is_done) = channel();
        for number in 0..50 {
            let done = done.clone();
            workers.run(Box::new(move || {
                assert!(number % 5 != 0, "this one panics");
                done.send(number).unwrap();
            }));
        }
        drop((workers, done));
        assert_eq!(is_done.iter().count(), 40);
    }
}
