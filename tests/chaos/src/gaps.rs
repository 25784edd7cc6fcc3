//! How long a partition, or the controller, did without an acknowledgement.

use std::time::Duration;

use crate::clock::Moment;
use crate::history::{Change, Lines};

/// The longest time between two acknowledgements of a partition around a fault at `fault`, once a record that was sent after
/// it is acknowledged; none before that.
pub fn of_partition(history: Lines<'_>, partition: i32, fault: Moment) -> Option<Duration> {
    let mut before = None;
    let mut longest = Duration::ZERO;
    for (send, _) in history.acknowledged().filter(|(send, _)| send.partition == partition) {
        if send.end > fault {
            longest = longest.max(before.map_or(Duration::ZERO, |before| send.end.since(before)));
            if send.at > fault {
                return Some(longest);
            }
        }
        before = Some(send.end);
    }
    None
}

/// The longest time between two acknowledgements of a partition that ended after `from`.
pub fn longest_since(history: Lines<'_>, partition: i32, from: Moment) -> Duration {
    let mut before = None;
    let mut longest = Duration::ZERO;
    for (send, _) in history.acknowledged().filter(|(send, _)| send.partition == partition) {
        if send.end > from {
            longest = longest.max(before.map_or(Duration::ZERO, |before| send.end.since(before)));
        }
        before = Some(send.end);
    }
    longest
}

/// The time from a fault to the end of the first metadata change that was asked for, or still waited, then.
pub fn of_changes(history: Lines<'_>, fault: Moment) -> Option<Duration> {
    let done = |change: &&Change| change.ok && change.end > fault && change.at > fault;
    history.changes().find(done).map(|change| change.end.since(fault))
}

/// The value below which 99 % (or another share) of the samples lie: nearest rank.
pub fn percentile(samples: &[Duration], share: f64) -> Option<Duration> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Line, Send};

    fn acknowledged(partition: i32, at: i64, end: i64) -> Line {
        Line::Send(Send {
            partition,
            value: at,
            at: Moment::at(at),
            end: Moment::at(end),
            offset: Some(at),
            error: None,
            definite: false,
        })
    }

    #[test]
    fn a_gap_is_the_longest_time_between_acknowledgements_around_the_fault() {
        let mut lines = vec![acknowledged(0, 1, 10), acknowledged(1, 2, 15), acknowledged(0, 11, 25)];
        let fault = Moment::at(20);
        assert_eq!(
            of_partition(Lines(&lines), 0, fault),
            None,
            "what was sent before the fault proves nothing"
        );
        lines.push(acknowledged(0, 22, 90));
        assert_eq!(of_partition(Lines(&lines), 0, fault), Some(Duration::from_nanos(65)));
        assert_eq!(longest_since(Lines(&lines), 0, fault), Duration::from_nanos(65));
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let samples: Vec<_> = (1..=50).map(Duration::from_millis).collect();
        assert_eq!(percentile(&samples, 0.5), Some(Duration::from_millis(25)));
        assert_eq!(percentile(&samples, 0.99), Some(Duration::from_millis(50)));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
