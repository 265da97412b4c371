//! The thread that delivers what is in the spool.

use std::collections::HashSet;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use zenovay_events::NewEvent;
use zenovay_events::engine::{Delivery, SpoolError};
use zenovay_query::QueryError;

use crate::inner::Inner;
use crate::row::NewRow;
use crate::shared::{Claim, Erasure, SharedError};
use crate::{OpenError, ServerError};

/// So many events are delivered at a time, but for a batch of the spool that has more.
const BATCH_ROWS: usize = 10_000;
/// How long fewer wait for others, where nobody waits for them.
pub(crate) const LINGER: Duration = Duration::from_millis(200);
/// How often is looked whether something else is due.
const PERIOD: Duration = Duration::from_secs(10);
/// From one attempt to the next: at first, and at most.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How often the log says that nothing can be delivered.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// For how long what waits is delivered when the store shuts down.
const DRAINING: Duration = Duration::from_secs(10);
/// How often old keys are forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

/// Why something was not delivered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveryError {
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Shared(#[from] SharedError),
    #[error("ClickHouse did not take it")]
    Server(#[from] ServerError),
    #[error("ClickHouse cannot be asked")]
    Query(#[from] QueryError),
    #[error(transparent)]
    Prepare(#[from] OpenError),
}

pub(crate) struct Deliverer {
    inner: Arc<Inner>,
    linger: Duration,
    told: Option<Instant>,
    pruned: Option<Instant>,
    /// When the ledger was read last.
    looked: Option<Instant>,
    /// The erasures that the servers were told of.
    erasing: HashSet<i64>,
}

impl Deliverer {
    pub(crate) fn new(inner: Arc<Inner>, linger: Duration) -> Self {
        Self { inner, linger, told: None, pruned: None, looked: None, erasing: HashSet::new() }
    }

    /// Works until the spool is closed.
    pub(crate) fn run(mut self) {
        let inner = Arc::clone(&self.inner);
        let mut pause = PAUSE;
        while inner.spool.wait(BATCH_ROWS as u64, self.linger, PERIOD) {
            match self.step() {
                Ok(_) => pause = PAUSE,
                Err(error) => {
                    self.failed(&error);
                    self.rest(pause);
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
        let until = Instant::now() + DRAINING;
        while inner.is_draining.load(Ordering::SeqCst) && Instant::now() < until {
            match self.step() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.failed(&error);
                    break;
                }
            }
        }
    }

    /// Does what is next. `false` when there was nothing to deliver.
    fn step(&mut self) -> Result<bool, DeliveryError> {
        let inner = Arc::clone(&self.inner);
        if !inner.health().is_prepared {
            prepare(&inner)?;
        }
        // Before anything else of them is delivered.
        hear(&inner)?;
        // Events are delivered also where nothing can be erased.
        let erased = self.erase();
        let mut number = |count| inner.shared.reserve(count).map_err(DeliveryError::from);
        let delivery = inner.spool.next_delivery(BATCH_ROWS, &mut number)?;
        if let Some(delivery) = &delivery {
            deliver(&inner, delivery)?;
            inner.spool.delivered(delivery)?;
        }
        self.tend()?;
        match erased {
            Ok(()) => self.worked(),
            Err(error) if delivery.is_none() => return Err(error),
            Err(error) => self.failed(&error),
        }
        if !self.erasing.is_empty() {
            self.rest(if delivery.is_some() { self.linger } else { PAUSE });
        }
        Ok(delivery.is_some())
    }

    /// Waits; what is appended meanwhile is no reason to go on earlier.
    fn rest(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && !self.inner.spool.is_closed() {
            self.inner.spool.wait_for_change(until);
        }
    }

    /// Begins what is to be erased, and notes what is. The servers take their time: events are delivered meanwhile.
    fn erase(&mut self) -> Result<(), DeliveryError> {
        let inner = Arc::clone(&self.inner);
        for erasure in inner.spool.pending_erasures() {
            if !self.erasing.contains(&erasure.id) {
                if erasure.visitor.is_none() {
                    inner.shared.forget(erasure.website)?;
                }
                inner.tables.begin_erasure(erasure.website, erasure.visitor)?;
                self.erasing.insert(erasure.id);
            } else if inner.tables.is_removed(erasure.website)? {
                if erasure.visitor.is_none() {
                    inner.forget(erasure.website)?;
                }
                inner.spans.forget(erasure.website);
                inner.count_rows();
                inner.spool.erased(erasure.id)?;
                self.erasing.remove(&erasure.id);
            }
        }
        Ok(())
    }

    /// What is due now and then.
    fn tend(&mut self) -> Result<(), DeliveryError> {
        let inner = &self.inner;
        inner.spool.tend()?;
        if self.looked.is_none_or(|looked| looked.elapsed() >= PERIOD) {
            self.looked = Some(Instant::now());
            // What another node hid, or shows again.
            inner.look_at_ledger()?;
        }
        let reading = inner.clock.reading();
        if reading.trusted && self.pruned.is_none_or(|pruned| pruned.elapsed() >= PRUNE_EVERY) {
            self.pruned = Some(Instant::now());
            inner.shared.forget_before(reading.now.plus_millis(inner.kept_ms.saturating_neg()))?;
        }
        Ok(())
    }

    fn worked(&mut self) {
        let mut health = self.inner.health();
        (health.failure, health.damage) = (None, None);
        drop(health);
        if self.told.take().is_some() {
            tracing::info!("ClickHouse takes what it is sent again");
        }
    }

    fn failed(&mut self, error: &DeliveryError) {
        let cause = with_causes(error);
        let mut health = self.inner.health();
        health.failures += 1;
        if let DeliveryError::Spool(SpoolError::Damaged(what)) = error {
            health.damage = Some(format!("the spool: {what}"));
        }
        health.failure = Some(cause.clone());
        drop(health);
        if self.told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
            self.told = Some(Instant::now());
            let batches = self.inner.spool.figures().batches;
            tracing::warn!(cause, batches, "ClickHouse does not take what it is sent: it waits in the spool");
        }
    }
}

/// Brings the tables up to date, and finds out which sessions they have.
pub(crate) fn prepare(inner: &Inner) -> Result<(), DeliveryError> {
    inner.tables.prepare_to_serve()?;
    inner.shared.raise(inner.tables.next_arrival()?)?;
    inner.spool.learn(inner.tables.known_sessions()?)?;
    inner.rows.store(inner.tables.rows()?, Ordering::Relaxed);
    inner.health().is_prepared = true;
    Ok(())
}

/// Notes in the spool what was erased, on whichever node.
pub(crate) fn hear(inner: &Inner) -> Result<(), DeliveryError> {
    loop {
        let after = inner.spool.last_erasure().unwrap_or(0);
        let erasures = inner.shared.erasures_after(after)?;
        if erasures.is_empty() {
            return Ok(());
        }
        for Erasure { id, website, visitor } in erasures {
            inner.spool.note_erasure(id, website, visitor)?;
        }
    }
}

/// Writes what is not written yet.
fn deliver(inner: &Inner, delivery: &Delivery) -> Result<(), DeliveryError> {
    inner.note_late(&delivery.events)?;
    let claim = |(arrival, new): &(u64, NewEvent)| {
        let key = new.idempotency_key?;
        Some(Claim::new(new.website, key, *arrival, new.received_at, inner.kept_ms))
    };
    let claims: Vec<Claim> = delivery.events.iter().filter_map(claim).collect();
    let held = if claims.is_empty() { Vec::new() } else { inner.shared.claim(&claims)? };
    // An event whose key another node took first is stored by that one.
    let mut left_out: HashSet<u64> =
        claims.iter().zip(held).filter(|(_, is_held)| !is_held).map(|(claim, _)| claim.arrival).collect();
    if let (true, Some((last, _))) = (delivery.may_be_stored, delivery.events.last()) {
        // The servers remember their last batches only.
        let stored: HashSet<(u64, u64, i64)> =
            inner.tables.stored_arrivals(delivery.number..=*last)?.into_iter().collect();
        // A number that was given twice, as by a database that was put back, is that of another event.
        let is_stored = |(arrival, new): &&(u64, NewEvent)| {
            stored.contains(&(*arrival, new.event.visitor.0, new.event.at.as_millis()))
        };
        left_out.extend(delivery.events.iter().filter(is_stored).map(|(arrival, _)| *arrival));
    }
    let rows = delivery.events.iter().filter(|(arrival, _)| !left_out.contains(arrival));
    let rows: Vec<NewRow> = rows.map(|(arrival, new)| NewRow::new(new, *arrival)).collect();
    let count = rows.len() as u64;
    inner.tables.write_rows(&delivery.token, rows).inspect_err(|error| {
        if error.was_sent {
            inner.spool.may_be_stored();
        }
    })?;
    inner.rows.fetch_add(count, Ordering::Relaxed);
    inner.spans.add(delivery.events.iter().map(|(_, new)| (new.website, new.event.at)));
    Ok(())
}

fn with_causes(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let said = source.to_string();
        if !told.contains(&said) {
            told = format!("{told}: {said}");
        }
        next = source.source();
    }
    told
}
