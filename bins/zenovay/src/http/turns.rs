//! Whose query is next. There are as many turns as the machine has cores; nobody has them all, and those who wait for one
//! are served in turn, not in the order in which they came.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use zenovay_domain::{KeyId, WebsiteId};

/// For whom a query is: the website it reads, unless it is all that a key reaches, and the key that asked, unless anybody
/// may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Asking {
    /// The website.
    pub website: Option<WebsiteId>,
    /// The key.
    pub key: Option<KeyId>,
}

/// A party that may not have all turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Party {
    /// All that a website is asked.
    Website(WebsiteId),
    /// All that a key asks.
    Key(KeyId),
}

impl Asking {
    /// Who it is for.
    pub fn parties(self) -> impl Iterator<Item = Party> {
        self.website.map(Party::Website).into_iter().chain(self.key.map(Party::Key))
    }
}

/// The turns of a server.
#[derive(Debug, Clone)]
pub struct Turns(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    /// Turns that one party may have at once.
    each: usize,
    running: HashMap<Party, usize>,
    /// Those who wait, by key and website; who had a turn goes to the end.
    lanes: VecDeque<(Asking, VecDeque<oneshot::Sender<Turn>>)>,
}

impl Turns {
    /// `turns` of them, at least one. A party has all but one at once; with a single turn, that one.
    pub fn new(turns: usize) -> Self {
        let state = State {
            free: turns.max(1),
            each: turns.saturating_sub(1).max(1),
            running: HashMap::new(),
            lanes: VecDeque::new(),
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// A turn for `asking`, when there is one. Who drops the future waits no more.
    pub async fn take(&self, asking: Asking) -> Turn {
        loop {
            let (sender, receiver) = oneshot::channel();
            {
                let mut state = self.0.lock();
                match state.lanes.iter_mut().find(|(lane, _)| *lane == asking) {
                    Some((_, waiting)) => waiting.push_back(sender),
                    None => state.lanes.push_back((asking, VecDeque::from([sender]))),
                }
                self.give(&mut state);
            }
            // The sender is dropped with a turn or not at all: the loop goes round once.
            if let Ok(turn) = receiver.await {
                return turn;
            }
        }
    }

    /// Gives away what is free.
    fn give(&self, state: &mut State) {
        while state.free > 0 {
            let each = state.each;
            let may_run =
                |asking: Asking| asking.parties().all(|party| state.running.get(&party).copied().unwrap_or(0) < each);
            let Some(place) = state.lanes.iter().position(|(asking, _)| may_run(*asking)) else { return };
            let Some((asking, mut waiting)) = state.lanes.remove(place) else { return };
            let next = waiting.pop_front();
            if !waiting.is_empty() {
                state.lanes.push_back((asking, waiting));
            }
            let Some(sender) = next else { continue };
            let mut turn = Turn { turns: self.clone(), asking, is_counted: false };
            if sender.is_closed() {
                continue;
            }
            turn.is_counted = true;
            state.free -= 1;
            for party in asking.parties() {
                *state.running.entry(party).or_insert(0) += 1;
            }
            // Who left just now drops the turn, which must not be given back under the lock that is held.
            if let Err(mut turn) = sender.send(turn) {
                turn.is_counted = false;
                state.release(asking);
            }
        }
    }
}

impl State {
    fn release(&mut self, asking: Asking) {
        self.free += 1;
        for party in asking.parties() {
            if let Some(running) = self.running.get_mut(&party) {
                *running -= 1;
                if *running == 0 {
                    self.running.remove(&party);
                }
            }
        }
    }
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    turns: Turns,
    asking: Asking,
    is_counted: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_counted {
            let mut state = self.turns.0.lock();
            state.release(self.asking);
            self.turns.give(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures_util::FutureExt;

    use super::*;

    fn asking(website: u8, key: u8) -> Asking {
        Asking {
            website: Some(WebsiteId::from_random_bytes([website; 16])),
            key: (key > 0).then(|| KeyId::from_random_bytes([key; 16])),
        }
    }

    type Waiting = Pin<Box<dyn Future<Output = Turn>>>;

    /// A query that asked and waits.
    fn wait(turns: &Turns, asking: Asking) -> Waiting {
        let turns = turns.clone();
        let mut waiting: Waiting = Box::pin(async move { turns.take(asking).await });
        assert!((&mut waiting).now_or_never().is_none(), "it does not wait");
        waiting
    }

    fn now(turns: &Turns, asking: Asking) -> Turn {
        turns.take(asking).now_or_never().expect("a turn is free")
    }

    /// Sabotage: one queue for all, or no bound for a party.
    #[test]
    fn a_party_leaves_a_turn_to_others() {
        let turns = Turns::new(2);
        let first = now(&turns, asking(1, 1));
        let mut same = wait(&turns, asking(1, 1));
        let mut same_key = wait(&turns, asking(2, 1));
        let mut same_website = wait(&turns, asking(1, 2));
        let anybody = wait(&turns, asking(1, 0));
        let other = now(&turns, asking(3, 3));
        let mut later = wait(&turns, asking(4, 4));
        drop(other);
        let _later = (&mut later).now_or_never().expect("its turn");
        drop(first);
        let same = (&mut same).now_or_never().expect("its turn");
        for waiting in [&mut same_key, &mut same_website] {
            assert!(waiting.now_or_never().is_none());
        }
        drop(anybody);
        drop(same);
        let same_key = (&mut same_key).now_or_never().expect("its turn");
        assert!((&mut same_website).now_or_never().is_none(), "both turns are taken");
        drop(same_key);
        assert!((&mut same_website).now_or_never().is_some());
    }

    /// Sabotage: give the turn to who came first.
    #[test]
    fn those_who_wait_are_served_in_turn() {
        let turns = Turns::new(1);
        let mut turn = now(&turns, asking(9, 9));
        let mut many: VecDeque<Waiting> = (0..5).map(|_| wait(&turns, asking(1, 1))).collect();
        let mut few: VecDeque<Waiting> = [2, 3].into_iter().map(|n| wait(&turns, asking(n, n))).collect();
        let mut order = Vec::new();
        while !many.is_empty() || !few.is_empty() {
            drop(turn);
            let next = |from: &mut VecDeque<Waiting>| {
                let got = from.front_mut()?.now_or_never()?;
                from.pop_front();
                Some(got)
            };
            (turn, _) = match next(&mut many) {
                Some(turn) => (turn, order.push('m')),
                None => (next(&mut few).expect("somebody's turn"), order.push('f')),
            };
        }
        assert_eq!(order, ['m', 'f', 'f', 'm', 'm', 'm', 'm']);
    }

    #[test]
    fn who_leaves_takes_nothing_along() {
        let turns = Turns::new(2);
        let (first, second) = (now(&turns, asking(1, 1)), now(&turns, asking(2, 2)));
        let gone = wait(&turns, asking(3, 3));
        let mut stays = wait(&turns, asking(3, 3));
        drop(gone);
        drop(first);
        let third = (&mut stays).now_or_never().expect("its turn");
        // A turn that was given and not fetched goes on to the next.
        let unfetched = wait(&turns, asking(4, 4));
        let mut last = wait(&turns, asking(5, 5));
        drop(second);
        drop(unfetched);
        let last = (&mut last).now_or_never().expect("its turn");
        drop((third, last));
        let state = turns.0.lock();
        assert_eq!((state.free, state.running.len(), state.lanes.len()), (2, 0, 0));
    }
}
