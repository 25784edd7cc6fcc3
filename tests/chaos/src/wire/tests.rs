//! Packets that are lost, late, doubled and out of order, as a link decides.

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::link::Link;

fn fates(link: Link) -> Vec<Vec<Duration>> {
    let mut random = StdRng::seed_from_u64(7);
    (0..10_000).map(|_| link.copies(&mut random)).collect()
}

#[test]
fn a_cut_link_takes_nothing_and_a_whole_one_all_at_once() {
    assert!(fates(Link::CUT).iter().all(Vec::is_empty));
    assert!(fates(Link::default()).iter().all(|copies| *copies == [Duration::ZERO]));
}

#[test]
fn shares_of_packets_are_lost_and_doubled() {
    let all = fates(Link { loss: 0.05, duplicates: 0.02, ..Link::default() });
    let of = |count: usize| all.iter().filter(|copies| copies.len() == count).count();
    assert!((400..600).contains(&of(0)), "{} of 10000 lost", of(0));
    assert!((130..260).contains(&of(2)), "{} of 10000 doubled", of(2));
}

#[test]
fn jitter_lets_packets_overtake_each_other_within_its_bounds() {
    let link =
        Link { delay: Duration::from_millis(50), jitter: Duration::from_millis(20), ..Link::default() };
    let delays: Vec<Duration> = fates(link).concat();
    let bounds = Duration::from_millis(30)..=Duration::from_millis(70);
    assert!(delays.iter().all(|delay| bounds.contains(delay)));
    assert!(delays.windows(2).any(|pair| pair[1] < pair[0]));
}
