//! The threads on which queries are planned and run: apart from those that answer connections, so
//! that a heavy query delays no other answer, and with stacks that deep plans fit into.

use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::task::{Poll, ready};

use datafusion::arrow::array::RecordBatch;
use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::{Error, Result};

const STACK: usize = 16 << 20;
/// Threads beyond the number of processors, so that a query that holds on to its threads for long
/// leaves some to the others.
const SPARE: usize = 6;
/// Batches that are ready and not yet taken.
const READY: usize = 2;

/// One pool for the process. It lives as long as the process does.
static POOL: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(2, NonZeroUsize::get);
    let threads = processors + SPARE;
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("query")
        .thread_stack_size(STACK)
        .enable_all()
        .build()
});

/// Stops its task when dropped.
#[derive(Debug)]
pub(super) struct Stop(AbortHandle);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn pool() -> Result<&'static Runtime> {
    POOL.as_ref()
        .map_err(|error| Error::Engine(format!("no threads for queries: {error}")))
}

/// Runs work on the query threads; dropping the future stops it.
pub(super) async fn run<T: Send + 'static>(work: BoxFuture<'static, Result<T>>) -> Result<T> {
    let task = pool()?.spawn(work);
    let _stop = Stop(task.abort_handle());
    match task.await {
        Ok(result) => result,
        Err(error) => Err(Error::Engine(format!("the query ended at once: {error}"))),
    }
}

pub(super) type Batches = futures::stream::BoxStream<'static, Result<RecordBatch>>;

/// Reads a stream on the query threads, until the deadline at the latest; dropping what is returned
/// stops it. The slot is free again once the work has ended, however slowly the rows are taken.
pub(super) fn read(
    mut batches: Batches,
    until: Instant,
    slot: OwnedSemaphorePermit,
) -> Result<(Batches, Stop)> {
    let (sender, mut receiver) = mpsc::channel(READY);
    let task = pool()?.spawn(async move {
        let _slot = slot;
        let work = async {
            while let Some(batch) = batches.next().await {
                if sender.send(Some(batch)).await.is_err() {
                    return;
                }
            }
            // Without this mark the rows are not complete.
            drop(sender.send(None).await);
        };
        drop(tokio::time::timeout_at(until, work).await);
    });
    let stop = Stop(task.abort_handle());
    let mut ended = false;
    let received = futures::stream::poll_fn(move |context| {
        if ended {
            return Poll::Ready(None);
        }
        let next = ready!(receiver.poll_recv(context));
        ended = !matches!(next, Some(Some(_)));
        Poll::Ready(
            next.unwrap_or_else(|| Some(Err(Error::Engine("the query ended at once".to_string())))),
        )
    });
    Ok((Box::pin(received), stop))
}
