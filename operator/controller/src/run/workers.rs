//! Works off the queue: a few looks at a time, each bounded, with more and more time between looks that fail.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::api::ApiError;
use super::context::Context;
use super::key::Key;
use super::look::look;
use super::memory::Memory;
use super::queue::Queue;

/// How many clusters are looked at at the same time.
const AT_ONCE: usize = 4;
/// The longest that one look may take.
const LONGEST_LOOK: Duration = Duration::from_secs(120);
/// After somebody else was faster, their change is about to be seen.
const AFTER_CONFLICT: Duration = Duration::from_millis(100);

/// Starts the workers. When `stop` is cancelled each finishes its look and ends.
pub fn start(context: &Context, queue: &Arc<Queue>, stop: &CancellationToken) -> JoinSet<()> {
    let memories = Arc::new(Mutex::new(HashMap::new()));
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let worker = Worker {
            context: context.clone(),
            queue: queue.clone(),
            memories: memories.clone(),
            stop: stop.clone(),
        };
        workers.spawn(worker.run());
    }
    workers
}

struct Worker {
    context: Context,
    queue: Arc<Queue>,
    memories: Arc<Mutex<HashMap<Key, Memory>>>,
    stop: CancellationToken,
}

impl Worker {
    async fn run(self) {
        loop {
            let key = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                key = self.queue.next() => key,
            };
            self.work(&key).await;
            self.queue.done(&key);
        }
    }

    async fn work(&self, key: &Key) {
        let known = self.memories.lock().remove(key);
        let mut memory = known.unwrap_or_else(|| Memory::new((self.context.connect)()));
        let started = Instant::now();
        let outcome = timeout(LONGEST_LOOK, Box::pin(look(&self.context, key, &mut memory))).await;
        self.context.metrics.reconciled(started.elapsed());
        let again = match outcome {
            Ok(Ok(again)) => {
                memory.failures = 0;
                again
            }
            Ok(Err(error)) => Some(self.failed(key, &error, &mut memory)),
            Err(_) => {
                self.context.metrics.failed("timeout");
                warn!(cluster = %key, "a look took longer than {} s and was given up", LONGEST_LOOK.as_secs());
                Some(memory.backoff(rand::random()))
            }
        };
        if self.context.cache.lock().clusters.get(key).is_some() {
            self.memories.lock().insert(key.clone(), memory);
        }
        if let Some(again) = again {
            self.queue.add(key.clone(), Instant::now() + again);
        }
    }

    fn failed(&self, key: &Key, error: &ApiError, memory: &mut Memory) -> Duration {
        self.context.metrics.failed(error.label());
        if error.is_conflict() && memory.failures < 3 {
            memory.failures += 1;
            return AFTER_CONFLICT;
        }
        let wait = memory.backoff(rand::random());
        if error.is_farewell() {
            debug!(cluster = %key, "{error}");
        } else {
            warn!(cluster = %key, "{error}; next try in {:.1} s", wait.as_secs_f64());
        }
        wait
    }
}
