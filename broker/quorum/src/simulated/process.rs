//! One simulated process: the tasks that belong to it, its random numbers, and the time that its disk takes.

use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Process>>> = const { RefCell::new(None) };
}

/// A process of a simulation. Whatever it starts is part of it.
#[derive(Debug)]
pub struct Process {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: u64,
    is_stopped: bool,
    is_dead: bool,
    /// Tasks that would have run since the process was stopped.
    held: Vec<Waker>,
    /// Bounds of the time that one step of the disk takes.
    disk_time: (Duration, Duration),
    panicked: Option<String>,
}

impl Process {
    /// A process whose random numbers follow from `seed`.
    pub fn new(seed: u64) -> Arc<Process> {
        let state = State {
            random: seed,
            is_stopped: false,
            is_dead: false,
            held: Vec::new(),
            disk_time: (Duration::ZERO, Duration::ZERO),
            panicked: None,
        };
        Arc::new(Process { state: Mutex::new(state) })
    }

    /// `future` as a part of this process.
    pub fn run<F: Future>(self: &Arc<Self>, future: F) -> Within<F> {
        Within { process: Arc::clone(self), future: Box::pin(future) }
    }

    /// Stops it where it stands; time goes on.
    pub fn stop(&self) {
        self.state.lock().is_stopped = true;
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        let held = {
            let mut state = self.state.lock();
            state.is_stopped = false;
            std::mem::take(&mut state.held)
        };
        held.into_iter().for_each(Waker::wake);
    }

    /// Ends it where it stands; none of its tasks takes another step.
    pub fn kill(&self) {
        self.state.lock().is_dead = true;
    }

    /// How long one step of its disk takes, from and to.
    pub fn set_disk_time(&self, from: Duration, to: Duration) {
        self.state.lock().disk_time = (from, to);
    }

    /// What the first task that panicked said.
    pub fn panicked(&self) -> Option<String> {
        self.state.lock().panicked.clone()
    }

    /// The process that the running task belongs to.
    pub(super) fn current() -> Option<Arc<Process>> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// The next number of the sequence that its seed determines (SplitMix64).
    pub(super) fn random(&self) -> u64 {
        let mut state = self.state.lock();
        state.random = state.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) async fn disk_time(&self) {
        let (from, to) = self.state.lock().disk_time;
        let span = u64::try_from(to.saturating_sub(from).as_millis()).unwrap_or(0);
        let time = from + Duration::from_millis(self.random() % (span + 1));
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
    }

    /// Whether a task may take a step; one that has to wait is woken later, if ever.
    fn admits(&self, task: &Waker) -> bool {
        let mut state = self.state.lock();
        if state.is_stopped && !state.is_dead {
            state.held.push(task.clone());
        }
        !state.is_stopped && !state.is_dead
    }
}

/// A future that belongs to a process.
pub struct Within<F> {
    process: Arc<Process>,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if !self.process.admits(context.waker()) {
            return Poll::Pending;
        }
        let before = CURRENT.replace(Some(Arc::clone(&self.process)));
        let polled = catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(context)));
        CURRENT.set(before);
        polled.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text =
                text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without text");
            self.process.state.lock().panicked.get_or_insert_with(|| text.to_owned());
            resume_unwind(panic)
        })
    }
}
