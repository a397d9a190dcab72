//! The one connection that writes: callers queue, and those that wait share a commit.
//!
//! A durable commit costs a flush of the disk, whatever is in it. So the writer takes everything
//! that waits (up to [`BATCH_MAX`]), gives each piece of work a savepoint of its own within one
//! transaction, commits, and only then answers: under load one flush serves many callers, and a
//! lone caller waits for nobody.
//!
//! Invariant: work is answered with success only after the commit that holds it; work that fails
//! is undone alone; a caller that goes away never leaves the connection inside a transaction,
//! because the work belongs to this task and not to the caller.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::{Connection, SqliteConnection};
use tertulia_storage::StorageError;
use tokio::sync::{mpsc, oneshot};

use crate::fault::{Fault, Tried};

/// How much work shares a commit at most.
const BATCH_MAX: usize = 64;

/// How many callers may queue before the next one waits at the door.
const QUEUE_MAX: usize = 1024;

/// Hands work to the writer.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    orders: mpsc::Sender<Order>,
}

enum Order {
    Work(Work),
    EmptyLog(oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

type Work = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Done> + Send>;

/// Work that ran and waits for its commit.
struct Done {
    keep: bool,
    answer: Box<dyn FnOnce(Result<(), CommitLost>) + Send>,
}

/// The transaction around the work did not come to its commit.
#[derive(Clone, Debug, thiserror::Error)]
#[error("nothing was committed: {0}")]
struct CommitLost(Arc<sqlx::Error>);

// === impl Writer ===

impl Writer {
    /// Starts the task that owns the connection, and `held` until the connection is closed.
    ///
    /// The task ends when the last writer is dropped or [`Self::close`] was called.
    pub(crate) fn start(connection: SqliteConnection, held: impl Send + 'static) -> Self {
        let (orders, queue) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(serve(connection, queue, held));
        Self { orders }
    }

    /// Does this within a transaction; durable when it returns.
    ///
    /// When the future is dropped the work happens whole or not at all.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Tried<T>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel::<Result<T, StorageError>>();
        let work: Work = Box::new(move |connection| {
            Box::pin(async move {
                let result = match AssertUnwindSafe(work(connection)).catch_unwind().await {
                    Ok(result) => result,
                    Err(_) => Err(Fault::inconsistent("a write panicked")),
                };
                Done {
                    keep: result.is_ok(),
                    answer: Box::new(move |committed| {
                        let result = match (result, committed) {
                            (Ok(value), Ok(())) => Ok(value),
                            (Ok(_), Err(lost)) => Err(StorageError::Unavailable(Box::new(lost))),
                            (Err(fault), _) => Err(fault.into()),
                        };
                        // A caller that went away does not need to know.
                        let _ = answer.send(result);
                    }),
                }
            })
        });
        self.orders
            .send(Order::Work(work))
            .await
            .map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Writes everything into the file itself and cuts the log to nothing.
    ///
    /// A reader that is in the middle of it can prevent that; then the log goes with later work.
    pub(crate) async fn empty_log(&self) {
        let (emptying, emptied) = oneshot::channel();
        if self.orders.send(Order::EmptyLog(emptying)).await.is_ok() {
            let _ = emptied.await;
        }
    }

    /// Finishes what is queued, then closes the connection.
    pub(crate) async fn close(&self) {
        let (closing, closed) = oneshot::channel();
        if self.orders.send(Order::Close(closing)).await.is_ok() {
            let _ = closed.await;
        }
    }
}

fn closed() -> StorageError {
    StorageError::Unavailable("the store is closed, or closed its transaction".into())
}

async fn serve(
    mut connection: SqliteConnection,
    mut queue: mpsc::Receiver<Order>,
    held: impl Send + 'static,
) {
    let mut closing = Vec::new();
    let mut emptying = Vec::new();
    let mut orders = Vec::new();
    while queue.recv_many(&mut orders, BATCH_MAX).await > 0 {
        let mut batch = Vec::with_capacity(orders.len());
        for order in orders.drain(..) {
            match order {
                Order::Work(work) => batch.push(work),
                Order::EmptyLog(answer) => emptying.push(answer),
                Order::Close(answer) => {
                    queue.close();
                    closing.push(answer);
                }
            }
        }
        if !batch.is_empty() {
            commit_together(&mut connection, batch).await;
        }
        if !emptying.is_empty() {
            let emptied = execute(&mut connection, "PRAGMA wal_checkpoint(TRUNCATE)").await;
            if let Err(error) = emptied {
                tracing::debug!(%error, "the log was not emptied");
            }
            for answer in emptying.drain(..) {
                let _: Result<(), ()> = answer.send(());
            }
        }
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "the database did not close cleanly");
    }
    drop(held);
    for answer in closing {
        let _ = answer.send(());
    }
}

/// Runs the batch in one transaction and answers every piece of it.
async fn commit_together(connection: &mut SqliteConnection, batch: Vec<Work>) {
    let mut done = Vec::with_capacity(batch.len());
    let committed = run(connection, batch, &mut done).await.map_err(|error| {
        tracing::warn!(%error, "a write was not committed");
        CommitLost(Arc::new(error))
    });
    if committed.is_err() {
        // Harmless when there is no transaction any more; the next one needs a clean start.
        let _ = execute(connection, "ROLLBACK").await;
    }
    for piece in done {
        (piece.answer)(committed.clone());
    }
}

async fn run(
    connection: &mut SqliteConnection,
    batch: Vec<Work>,
    done: &mut Vec<Done>,
) -> Result<(), sqlx::Error> {
    let alone = batch.len() == 1;
    let mut work = batch.into_iter();
    let mut result = execute(connection, "BEGIN IMMEDIATE").await;
    while result.is_ok() {
        let Some(piece) = work.next() else { break };
        result = run_piece(connection, piece, alone, done).await;
    }
    match result {
        Ok(()) if alone && done.iter().all(|piece| !piece.keep) => {
            // Its failure may have ended the transaction already.
            let _ = execute(connection, "ROLLBACK").await;
            Ok(())
        }
        Ok(()) => execute(connection, "COMMIT").await,
        // What did not run is dropped, and its callers are told to try again.
        Err(error) => Err(error),
    }
}

async fn run_piece(
    connection: &mut SqliteConnection,
    piece: Work,
    alone: bool,
    done: &mut Vec<Done>,
) -> Result<(), sqlx::Error> {
    if alone {
        done.push(piece(connection).await);
        return Ok(());
    }
    execute(connection, "SAVEPOINT piece").await?;
    let ran = piece(connection).await;
    let keep = ran.keep;
    done.push(ran);
    if !keep {
        execute(connection, "ROLLBACK TO piece").await?;
    }
    execute(connection, "RELEASE piece").await
}

async fn execute(
    connection: &mut SqliteConnection,
    statement: &'static str,
) -> Result<(), sqlx::Error> {
    sqlx::query(statement).execute(connection).await.map(|_| ())
}
