//! Nodes that lose Redis and find it again in any order, by a clock that the test moves: never more than the limit in any minute.

use std::collections::BTreeMap;

use proptest::prelude::*;
use zenovay_limits::{Counts, Rule, UnixTime};

use super::*;
use crate::link::Opened;
use crate::{Fallback, RedisCounts};

const MINUTE_MS: i64 = 60_000;
/// 2026-06-13T00:00:00.000Z.
const START_MS: i64 = 1_781_308_800_000;

#[derive(Debug, Clone)]
enum Step {
    /// Time goes on by so many milliseconds.
    Wait(u16),
    /// To so many milliseconds around the end of the minute.
    WaitForEdge(i16),
    /// A node is asked so many times for a key.
    Charge {
        node: usize,
        key: u64,
        times: u8,
    },
    /// Whatever a node sends goes nowhere.
    Cut(usize),
    Mend(usize),
    /// Redis hears a beat, and the node not that it was heard.
    LoseAnswer(usize),
    /// Redis forgets everything.
    Flush,
    /// Redis is another one, with what the first had.
    FailOver,
    /// One more node.
    Join,
    /// A node ends and says so.
    Leave(usize),
    /// A node dies and begins anew at once.
    Restart(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let node = || 0..4_usize;
    let step = prop_oneof![
        4 => (0..15_000_u16).prop_map(Step::Wait),
        3 => (-2_000..2_000_i16).prop_map(Step::WaitForEdge),
        12 => (node(), 0..2_u64, 1..12_u8).prop_map(|(node, key, times)| Step::Charge { node, key, times }),
        3 => node().prop_map(Step::Cut),
        3 => node().prop_map(Step::Mend),
        1 => node().prop_map(Step::LoseAnswer),
        1 => Just(Step::Flush),
        1 => Just(Step::FailOver),
        1 => Just(Step::Join),
        1 => node().prop_map(Step::Leave),
        1 => node().prop_map(Step::Restart),
    ];
    prop::collection::vec(step, 1..120)
}

struct Node {
    redis: Redis,
    counts: RedisCounts<u64>,
    opened: Option<Opened>,
}

impl Node {
    fn new(before: Before<'_>, server: &Server, at: &Arc<AtomicI64>) -> Self {
        let redis = node_after(before, server, "m:", at);
        let counts =
            RedisCounts::of_ids(&redis, "keys", Fallback::Exact, |n: &u64, bytes| bytes.extend(n.to_be_bytes()));
        Self { redis, counts, opened: None }
    }

    fn is_cut(&self) -> bool {
        self.redis.shared.link.is_cut.load(Ordering::Relaxed)
    }

    fn cut(&mut self, cut: bool) {
        self.redis.shared.link.is_cut.store(cut, Ordering::Relaxed);
        self.opened = None;
    }

    /// What its thread does.
    fn beat(&mut self, before: Option<&str>) {
        let shared = &self.redis.shared;
        let beaten = match &mut self.opened {
            Some(opened) if !shared.is_away() => shared.beat(opened),
            opened => shared.connect(before).map(|new| *opened = Some(new)),
        };
        if let Err(away) = beaten {
            self.opened = None;
            shared.lose(&away);
        }
    }
}

struct World<'a> {
    server: &'a Server,
    at: Arc<AtomicI64>,
    nodes: Vec<Node>,
    rule: Rule,
    passed: BTreeMap<(i64, u64), u32>,
}

impl<'a> World<'a> {
    fn new(server: &'a Server, nodes: usize, limit: u32) -> Self {
        let () = answer(server, &["FLUSHALL"]);
        let at = Arc::new(AtomicI64::new(START_MS));
        let nodes = (0..nodes).map(|_| Node::new(Before::Nothing, server, &at)).collect();
        let mut world = Self { server, at, nodes, rule: Rule::per_minute(limit), passed: BTreeMap::new() };
        world.wait(15_000);
        world
    }

    fn now(&self) -> i64 {
        self.at.load(Ordering::Relaxed)
    }

    /// Time goes on, and every second each node says that it is there.
    fn wait(&mut self, mut ms: i64) {
        while ms > 0 {
            let step = ms.min(1_000);
            self.at.fetch_add(step, Ordering::Relaxed);
            ms -= step;
            self.nodes.iter_mut().for_each(|node| node.beat(None));
        }
    }

    fn wait_for_edge(&mut self, around_ms: i64) {
        let ends = (self.now().div_euclid(MINUTE_MS) + 1) * MINUTE_MS;
        self.wait(ends + around_ms - self.now());
    }

    /// How many of `times` requests pass.
    fn charge(&mut self, node: usize, key: u64, times: u32) -> u32 {
        let now = self.now();
        let charge = |counts: &RedisCounts<u64>| counts.charge(&key, &[self.rule], UnixTime::from_millis(now));
        let passed =
            (0..times).filter(|_| charge(&self.nodes[node].counts).is_ok_and(|decision| decision.allowed)).count();
        let passed = u32::try_from(passed).unwrap();
        *self.passed.entry((now.div_euclid(MINUTE_MS), key)).or_default() += passed;
        passed
    }

    fn take(&mut self, step: &Step) {
        let place = |node: usize| node % self.nodes.len();
        match *step {
            Step::Wait(ms) => self.wait(ms.into()),
            Step::WaitForEdge(around) => self.wait_for_edge(around.into()),
            Step::Charge { node, key, times } => {
                self.charge(place(node), key, times.into());
            }
            Step::Cut(node) => {
                let node = place(node);
                self.nodes[node].cut(true);
            }
            Step::Mend(node) => {
                let node = place(node);
                self.nodes[node].cut(false);
            }
            Step::LoseAnswer(node) => {
                let node = place(node);
                let Node { redis, opened, .. } = &mut self.nodes[node];
                if let Some(mut opened) = opened.take() {
                    redis.shared.beat_unheard(&mut opened);
                }
            }
            Step::Flush => {
                let () = answer(self.server, &["FLUSHALL"]);
            }
            Step::FailOver => {
                let () = answer(self.server, &["SET", "m:epoch", "another 1"]);
            }
            // Of one that is the only one to reach a Redis without data, when it never was there before, nothing is promised.
            Step::Join if self.nodes.len() < 4 && self.nodes.iter().any(|node| !node.is_cut()) => {
                self.wait(1);
                let mut node = Node::new(Before::Others, self.server, &self.at);
                node.beat(None);
                self.nodes.push(node);
            }
            Step::Leave(node) if self.nodes.len() > 1 => {
                let mut node = self.nodes.remove(place(node));
                if let Some(opened) = &mut node.opened {
                    let _ = node.redis.shared.leave(opened);
                }
            }
            Step::Restart(node) => {
                let node = place(node);
                let before = self.nodes[node].redis.shared.written();
                let is_cut = self.nodes[node].is_cut();
                self.nodes[node] = Node::new(Before::Run(&before), self.server, &self.at);
                self.nodes[node].cut(is_cut);
                self.nodes[node].beat(before.split(' ').next());
            }
            Step::Join | Step::Leave(_) => {}
        }
    }
}

/// Sabotage: use the share in the window in which Redis was lost; hold nothing back for nodes whose lease is over, or that came
/// back; count as if nothing had been before an epoch.
#[test]
fn never_more_than_the_limit_in_any_minute_whatever_fails() {
    let server = Server::start();
    // Some seconds, or as many as are wanted.
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 96 };
    let config =
        ProptestConfig { failure_persistence: None, cases, max_shrink_iters: 2_000, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let run = runner.run(&(1..4_usize, 1..20_u32, steps()), |(nodes, limit, steps)| {
        let mut world = World::new(&server, nodes, limit);
        for step in &steps {
            world.take(step);
            for (&(minute, key), &passed) in &world.passed {
                prop_assert!(passed <= limit, "{passed} of {limit} in minute {minute} of key {key}, after {step:?}");
            }
        }
        Ok(())
    });
    if let Err(error) = run {
        panic!("{error}");
    }
}

/// What is promised besides: the whole limit while Redis is there, shares from the minute after it was lost, and the whole limit from the
/// minute after it is back. Sabotage: let nobody pass.
#[test]
fn shares_are_given_out_and_taken_back() {
    let server = Server::start();
    let mut world = World::new(&server, 3, 9);
    assert_eq!(world.charge(0, 1, 5) + world.charge(1, 1, 5) + world.charge(2, 1, 5), 9);
    assert_eq!(world.nodes.iter().map(|node| node.redis.status().share).collect::<Vec<_>>(), [3, 3, 3]);
    // One is cut off: in this minute nobody can tell what it may do.
    world.nodes[0].cut(true);
    assert_eq!((world.charge(0, 2, 5), world.charge(1, 2, 4)), (0, 4));
    world.wait_for_edge(1_000);
    assert_eq!((world.charge(0, 1, 5), world.charge(1, 1, 9), world.charge(2, 1, 9)), (3, 6, 0));
    // It is back in the middle: what was held back for it stays until the minute ends.
    world.nodes[0].cut(false);
    world.wait(2_000);
    assert_eq!((world.charge(0, 2, 9), world.charge(0, 1, 9)), (6, 0));
    world.wait_for_edge(1_000);
    assert_eq!(world.charge(0, 1, 20), 9);
    // All are cut off.
    world.nodes.iter_mut().for_each(|node| node.cut(true));
    world.wait_for_edge(1_000);
    assert_eq!([0, 1, 2].map(|node| world.charge(node, 1, 20)), [3, 3, 3]);
    world.wait_for_edge(30_000);
    assert_eq!([0, 1, 2].map(|node| world.charge(node, 1, 20)), [3, 3, 3]);
    // It comes back with nothing in it, and counts again from the next minute on.
    let () = answer(&server, &["FLUSHALL"]);
    world.nodes.iter_mut().for_each(|node| node.cut(false));
    world.wait(2_000);
    assert_eq!([0, 1, 2].map(|node| world.charge(node, 1, 20)), [0, 0, 0]);
    world.wait_for_edge(1_000);
    assert_eq!(world.charge(2, 1, 20), 9);
    // It forgets: nobody can tell until the minute ends.
    let () = answer(&server, &["FLUSHALL"]);
    world.wait(1_000);
    assert_eq!([0, 1, 2].map(|node| world.charge(node, 1, 20)), [0, 0, 0]);
    world.wait_for_edge(1_000);
    assert_eq!(world.charge(0, 1, 20), 9);
}

/// Sabotage: forget a node that died, or remember one that left.
#[test]
fn shares_follow_the_number_of_nodes() {
    let server = Server::start();
    let mut world = World::new(&server, 2, 12);
    let shares = |world: &World<'_>| world.nodes.iter().map(|node| node.redis.status().share).collect::<Vec<_>>();
    assert_eq!(shares(&world), [2, 2]);
    world.take(&Step::Join);
    world.wait(5_000);
    assert_eq!(shares(&world), [3, 3, 3]);
    world.take(&Step::Leave(0));
    world.wait(125_000);
    assert_eq!(shares(&world), [2, 2]);
    // One dies and begins anew under another name.
    world.take(&Step::Restart(0));
    world.wait(125_000);
    assert_eq!(shares(&world), [2, 2]);
    // One dies for good: an hour later the other is alone.
    world.nodes.pop();
    world.wait(10_000);
    assert_eq!(world.charge(0, 1, 20), 12);
    world.wait_for_edge(1_000);
    assert_eq!(world.charge(0, 1, 20), 6, "it might be cut off");
    world.at.fetch_add(3_590_000, Ordering::Relaxed);
    world.wait(125_000);
    assert_eq!((shares(&world), world.nodes[0].redis.status().nodes), (vec![1], 1));
}
