//! Speaking to the servers: what blocks here waits for a thread that does not.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use clickhouse::{Client, RowOwned, RowRead};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use zenovay_query::{Budget, QueryError};

use crate::error::ServerError;
use crate::sql::Text;
use crate::{Config, OpenError};

/// What is found here holds for every question, whatever the profile of the user says: no server may leave out rows, and none may
/// understand an expression differently.
const SETTINGS: &[(&str, &str)] = &[
    ("skip_unavailable_shards", "0"),
    ("max_rows_to_read", "0"),
    ("max_rows_to_group_by", "0"),
    ("max_result_rows", "0"),
    ("join_use_nulls", "0"),
    ("group_by_use_nulls", "0"),
    ("transform_null_in", "0"),
    ("aggregate_functions_null_for_empty", "0"),
    ("max_query_size", "67108864"),
    ("max_ast_elements", "10000000"),
    ("max_expanded_ast_elements", "10000000"),
    ("max_ast_depth", "10000"),
    ("max_parser_depth", "10000"),
];

/// Less memory than this no server is given for a question: it would not get along with it.
const MEMORY_MIN_BYTES: usize = 64 << 20;
/// How often whoever waits looks whether it still has to.
const LOOK: Duration = Duration::from_millis(20);

/// The servers of all shards.
pub(crate) struct Servers {
    pub(crate) config: Config,
    /// One a shard.
    clients: Vec<Client>,
    handle: Handle,
    /// Ends the thread when it is dropped.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// What queries are named by, with a number behind it.
    name: String,
    asked: AtomicU64,
}

impl Servers {
    /// Speaks to nobody yet.
    ///
    /// # Errors
    /// When the configuration cannot be, or no thread can be started.
    pub(crate) fn new(config: Config) -> Result<Self, OpenError> {
        config.check()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(OpenError::Threads)?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("clickhouse".to_owned())
            .spawn(move || {
                // An error says that the sender was dropped.
                let _ = runtime.block_on(ended);
            })
            .map_err(OpenError::Threads)?;
        let client = |url: &String| {
            Client::default()
                .with_url(url)
                .with_user(&config.user)
                .with_password(&config.password)
                .with_database(&config.database)
        };
        let clients = config.shards.iter().map(client).collect();
        let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
        let name = format!("zenovay-{random:016x}");
        Ok(Self { config, clients, handle, end: Some(end), thread: Some(thread), name, asked: AtomicU64::new(0) })
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> usize {
        self.clients.len()
    }

    /// Runs a statement on a shard. `in_database` is false for the one that makes the database.
    ///
    /// # Errors
    /// What the server said, or that it said nothing in time.
    pub(crate) fn execute(&self, shard: usize, statement: &str, options: &[(&str, &str)]) -> Result<(), ServerError> {
        let mut query = self.client(shard)?.query_raw(statement);
        for (name, value) in options {
            query = query.with_setting(*name, *value);
        }
        self.in_time(query.execute())
    }

    /// All rows that a statement that is no question of anybody gives.
    ///
    /// # Errors
    /// As [`Servers::execute`].
    pub(crate) fn rows<T>(&self, shard: usize, statement: &str, options: &[(&str, &str)]) -> Result<Vec<T>, ServerError>
    where
        T: RowOwned + RowRead + Send + 'static,
    {
        let mut query = self.client(shard)?.query_raw(statement);
        for (name, value) in options {
            query = query.with_setting(*name, *value);
        }
        self.in_time(query.fetch_all())
    }

    /// Writes one batch of rows, as one block. The same `token` again does nothing where it was written before.
    ///
    /// # Errors
    /// As [`Servers::execute`]; then nobody knows what was written.
    pub(crate) fn insert<T>(&self, table: &str, token: &str, rows: Vec<T>) -> Result<(), ServerError>
    where
        T: clickhouse::RowOwned + clickhouse::RowWrite + Send + Sync + 'static,
    {
        let (client, table, token) = (self.client(0)?.clone(), table.to_owned(), token.to_owned());
        let patience = self.config.patience;
        self.in_time(async move {
            let mut insert = client
                .insert::<T>(&table)
                .await?
                .with_timeouts(Some(patience), Some(patience))
                .with_setting("insert_deduplication_token", token)
                // The answer comes when every shard has the rows on its disk.
                .with_setting("distributed_foreground_insert", "1")
                .with_setting("async_insert", "0")
                .with_setting("insert_deduplicate", "1")
                .with_setting("max_partitions_per_insert_block", "0")
                .with_setting("max_insert_block_size", "1048576");
            for row in &rows {
                insert.write(row).await?;
            }
            insert.end().await
        })
    }

    /// The rows that a question gives. Waits for no longer than `budget` allows, and ends the question on the servers when nobody
    /// waits any more. Rows are counted against the memory of the budget, `bytes` says how much each takes.
    ///
    /// # Errors
    /// When the budget is used up or the servers give no answer.
    pub(crate) fn ask<T>(
        &self,
        statement: &str,
        budget: &Budget,
        bytes: impl Fn(&T) -> usize + Send + Sync + 'static,
    ) -> Result<Vec<T>, QueryError>
    where
        T: RowOwned + RowRead + Send + 'static,
    {
        budget.check()?;
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number}", self.name);
        let memory_bytes = budget.memory_bytes();
        let mut query = self.client(0).map_err(ServerError::into_query_error)?.query_raw(statement);
        for (name, value) in SETTINGS {
            query = query.with_setting(*name, *value);
        }
        query = query.with_setting("query_id", &id);
        if memory_bytes != usize::MAX {
            query = query.with_setting("max_memory_usage", memory_bytes.max(MEMORY_MIN_BYTES).to_string());
        }
        if let Some(left) = budget.time_left() {
            // A thousandth more, so that it is this budget that says that the time is over.
            query = query.with_setting("max_execution_time", format!("{:.3}", left.as_secs_f64() + 0.001));
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        let task = self.handle.spawn(async move {
            let answer = async {
                let (mut rows, mut taken_bytes) = (Vec::new(), 0usize);
                let mut cursor = query.fetch::<T>().map_err(|error| ServerError::from(error).into_query_error())?;
                while let Some(row) =
                    cursor.next().await.map_err(|error| ServerError::from(error).into_query_error())?
                {
                    taken_bytes = taken_bytes.saturating_add(size_of::<T>() + bytes(&row));
                    if taken_bytes > memory_bytes {
                        return Err(QueryError::MemoryExceeded);
                    }
                    rows.push(row);
                }
                Ok((rows, taken_bytes))
            };
            // Whoever waited may be gone.
            let _ = sender.send(answer.await);
        });
        let answer = loop {
            match receiver.recv_timeout(LOOK) {
                Ok(answer) => break answer,
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(over) = budget.check() {
                        task.abort();
                        break Err(over);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    break Err(QueryError::unavailable("the thread that speaks to ClickHouse is gone"));
                }
            }
        };
        if let Err(QueryError::Cancelled | QueryError::TimeExceeded | QueryError::MemoryExceeded) = answer {
            self.kill(&id);
        }
        let (rows, taken_bytes) = answer?;
        budget.check_memory(taken_bytes)?;
        Ok(rows)
    }

    /// The one row of a statement that always has one. Blocks.
    ///
    /// # Errors
    /// As [`Servers::ask`]; also when there is none, for a missing number is not 0.
    pub(crate) fn ask_one<T>(&self, statement: &str, budget: &Budget) -> Result<T, QueryError>
    where
        T: RowOwned + RowRead + Send + 'static,
    {
        let rows: Vec<T> = self.ask(statement, budget, |_| 0)?;
        rows.into_iter().next().ok_or_else(|| QueryError::unavailable("ClickHouse gave no row of totals"))
    }

    /// Ends a question on the first server, which ends it on the others. Nobody waits for it.
    fn kill(&self, id: &str) {
        let Ok(client) = self.client(0) else { return };
        let query = client.query_raw(&format!("KILL QUERY WHERE query_id = {} ASYNC", Text(id)));
        self.handle.spawn(async move {
            // What cannot be ended ends by itself when its time is over.
            let _ = query.execute().await;
        });
    }

    fn client(&self, shard: usize) -> Result<&Client, ServerError> {
        self.clients.get(shard).ok_or_else(|| ServerError::silent(format!("there is no shard {shard}")))
    }

    /// Waits for what is no question, for as long as the configuration says.
    fn in_time<T: Send + 'static>(
        &self,
        work: impl Future<Output = clickhouse::error::Result<T>> + Send + 'static,
    ) -> Result<T, ServerError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let task = self.handle.spawn(async move {
            // Whoever waited may be gone.
            let _ = sender.send(work.await);
        });
        match receiver.recv_timeout(self.config.patience) {
            Ok(result) => result.map_err(ServerError::from),
            Err(_) => {
                task.abort();
                Err(ServerError::silent(format!("no answer within {} s", self.config.patience.as_secs_f64())))
            }
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // It does not panic, and if it did there would be nobody to tell.
            let _ = thread.join();
        }
    }
}
