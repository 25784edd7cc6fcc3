//! Who waits for an offset: producers for the flush or the high watermark, who deletes records for the low watermark.

use std::collections::VecDeque;

use klamm_wire::ErrorCode;
use smallvec::SmallVec;
use tokio::sync::oneshot;

/// `Acks` of a Produce request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// 0: no answer.
    None,
    /// 1: stored on the leader.
    Leader,
    /// -1: stored on every in-sync replica.
    All,
}

impl Acks {
    /// From the number in the request.
    ///
    /// # Errors
    /// `INVALID_REQUIRED_ACKS` for any other number.
    pub fn from_wire(acks: i16) -> Result<Self, ErrorCode> {
        match acks {
            0 => Ok(Self::None),
            1 => Ok(Self::Leader),
            -1 => Ok(Self::All),
            _ => Err(ErrorCode::InvalidRequiredAcks),
        }
    }
}

/// What a producer, or who deletes records, waits for.
pub type Ack = oneshot::Receiver<Result<(), ErrorCode>>;

/// Answers to send when no lock is held.
pub(super) type Released = SmallVec<[(oneshot::Sender<Result<(), ErrorCode>>, Result<(), ErrorCode>); 4]>;

struct Waiter {
    /// The offset that is waited for.
    next_offset: i64,
    done: oneshot::Sender<Result<(), ErrorCode>>,
}

/// Who waits at one partition.
#[derive(Default)]
pub(super) struct AckQueue {
    stored: VecDeque<Waiter>,
    replicated: VecDeque<Waiter>,
    deleted: VecDeque<Waiter>,
}

/// Length beyond which those that gave up are dropped from a queue that does not move.
const SWEEP: usize = 1_024;

impl AckQueue {
    /// Waits until everything below `next_offset` counts on the leader.
    pub(super) fn wait_stored(&mut self, next_offset: i64) -> Ack {
        wait(&mut self.stored, next_offset)
    }

    /// Waits until the high watermark reaches `next_offset`.
    pub(super) fn wait_replicated(&mut self, next_offset: i64) -> Ack {
        wait(&mut self.replicated, next_offset)
    }

    /// Waits until the low watermark reaches `start`.
    pub(super) fn wait_deleted(&mut self, start: i64) -> Ack {
        wait(&mut self.deleted, start)
    }

    pub(super) fn stored(&mut self, end: i64, released: &mut Released) {
        release(&mut self.stored, end, Ok(()), released);
    }

    pub(super) fn replicated(
        &mut self,
        high_watermark: i64,
        result: Result<(), ErrorCode>,
        released: &mut Released,
    ) {
        release(&mut self.replicated, high_watermark, result, released);
    }

    pub(super) fn deleted(&mut self, low_watermark: i64, released: &mut Released) {
        release(&mut self.deleted, low_watermark, Ok(()), released);
    }

    /// Nobody gets what he waits for.
    pub(super) fn fail(&mut self, error: ErrorCode, released: &mut Released) {
        for queue in [&mut self.stored, &mut self.replicated, &mut self.deleted] {
            release(queue, i64::MAX, Err(error), released);
        }
    }
}

/// A repeated batch waits for an older offset, so the place is looked for from the back.
fn wait(queue: &mut VecDeque<Waiter>, next_offset: i64) -> Ack {
    if queue.len() >= SWEEP && queue.len().is_power_of_two() {
        queue.retain(|waiter| !waiter.done.is_closed());
    }
    let (done, ack) = oneshot::channel();
    let behind = queue.iter().rev().take_while(|waiter| waiter.next_offset > next_offset).count();
    queue.insert(queue.len() - behind, Waiter { next_offset, done });
    ack
}

fn release(queue: &mut VecDeque<Waiter>, upto: i64, result: Result<(), ErrorCode>, released: &mut Released) {
    while queue.front().is_some_and(|waiter| waiter.next_offset <= upto) {
        if let Some(waiter) = queue.pop_front() {
            released.push((waiter.done, result));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(released: Released) {
        released.into_iter().for_each(|(done, result)| done.send(result).unwrap());
    }

    #[test]
    fn producers_are_released_in_order_up_to_the_offset() {
        let mut queue = AckQueue::default();
        let (mut later, mut repeated, mut first) =
            (queue.wait_replicated(30), queue.wait_replicated(15), queue.wait_replicated(20));
        let mut released = Released::new();
        queue.replicated(20, Ok(()), &mut released);
        send(released);
        assert_eq!((first.try_recv(), repeated.try_recv()), (Ok(Ok(())), Ok(Ok(()))));
        assert!(later.try_recv().is_err());
        let mut released = Released::new();
        queue.fail(ErrorCode::NotLeaderOrFollower, &mut released);
        send(released);
        assert_eq!(later.try_recv(), Ok(Err(ErrorCode::NotLeaderOrFollower)));
    }

    #[test]
    fn a_stuck_queue_drops_producers_that_gave_up() {
        let mut queue = AckQueue::default();
        for offset in 0..10 * SWEEP as i64 {
            drop(queue.wait_replicated(offset));
        }
        assert!(queue.replicated.len() <= SWEEP);
    }
}
