//! Placement of new partitions: replicas on different brokers, over racks, leaders and replicas evenly spread.

use std::collections::BTreeMap;

/// A broker that may get replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) id: i32,
    pub(super) rack: Option<String>,
    /// Fenced brokers and those that shut down get replicas only when the others do not suffice, and never lead.
    pub(super) active: bool,
}

/// Replica lists for `partitions` new partitions, the leader first, next to the `existing` lists of the same topic. Needs
/// at least `replication_factor` candidates and an active one among them; with fewer, the lists are shorter.
///
/// Every choice takes the broker with the least of this topic so far; `rng` breaks ties, so that topics start anywhere and
/// followers of one leader differ.
pub(super) fn place(
    candidates: &[Candidate],
    existing: &[Vec<i32>],
    partitions: usize,
    replication_factor: usize,
    rng: &mut dyn FnMut() -> u64,
) -> Vec<Vec<i32>> {
    let mut load = Load::default();
    for replicas in existing {
        load.add(replicas);
    }
    let mut order: Vec<&Candidate> = candidates.iter().collect();
    let mut lists = Vec::with_capacity(partitions);
    for _ in 0..partitions {
        shuffle(&mut order, rng);
        let replicas = place_one(&order, &load, replication_factor);
        load.add(&replicas);
        lists.push(replicas);
    }
    while lists.iter_mut().any(|replicas| gives_one_away(replicas, &order, &mut load)) {}
    lists
}

/// A partition's leader may be the very broker that has the fewest replicas, so that one choice after the other can leave
/// a broker with two more than another: it gives one away, never to the cost of the spread over racks or of leaders.
fn gives_one_away(replicas: &mut [i32], candidates: &[&Candidate], load: &mut Load) -> bool {
    for position in 0..replicas.len() {
        let from = replicas[position];
        let Some(giver) = candidates.iter().find(|candidate| candidate.id == from) else { continue };
        let beside = |rack: &Option<String>| {
            let others = candidates.iter().filter(|other| other.id != from && replicas.contains(&other.id));
            others.filter(|other| other.rack == *rack).count()
        };
        let may_take = |to: &Candidate| {
            let is_as_good = to.active == giver.active && beside(&to.rack) <= beside(&giver.rack);
            let leads_no_more = position > 0 || load.leaders(to.id) < load.leaders(from);
            load.replicas(to.id) + 2 <= load.replicas(from) && is_as_good && leads_no_more
        };
        let free = candidates.iter().filter(|candidate| !replicas.contains(&candidate.id));
        if let Some(taker) = free.filter(|to| may_take(to)).min_by_key(|to| load.replicas(to.id)) {
            load.remove(replicas);
            replicas[position] = taker.id;
            load.add(replicas);
            return true;
        }
    }
    false
}

fn place_one(order: &[&Candidate], load: &Load, replication_factor: usize) -> Vec<i32> {
    let mut chosen: Vec<&Candidate> = Vec::with_capacity(replication_factor);
    let leader = order.iter().min_by_key(|c| (!c.active, load.leaders(c.id), load.replicas(c.id)));
    chosen.extend(leader);
    while chosen.len() < replication_factor {
        let in_rack = |c: &Candidate| chosen.iter().filter(|other| other.rack == c.rack).count();
        let free = order.iter().filter(|c| !chosen.iter().any(|other| other.id == c.id));
        match free.min_by_key(|c| (!c.active, in_rack(c), load.replicas(c.id))) {
            Some(next) => chosen.push(next),
            None => break,
        }
    }
    chosen.into_iter().map(|candidate| candidate.id).collect()
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], rng: &mut dyn FnMut() -> u64) {
    for last in (1..items.len()).rev() {
        let bound = u64::try_from(last).unwrap_or(u64::MAX).saturating_add(1);
        let other = usize::try_from(rng() % bound).unwrap_or(0);
        items.swap(last, other);
    }
}

/// How much of the topic each broker has.
#[derive(Default)]
struct Load {
    by_broker: BTreeMap<i32, (usize, usize)>,
}

impl Load {
    fn add(&mut self, replicas: &[i32]) {
        for (position, id) in replicas.iter().enumerate() {
            let (leaders, all) = self.by_broker.entry(*id).or_default();
            *leaders += usize::from(position == 0);
            *all += 1;
        }
    }

    fn remove(&mut self, replicas: &[i32]) {
        for (position, id) in replicas.iter().enumerate() {
            let (leaders, all) = self.by_broker.entry(*id).or_default();
            *leaders -= usize::from(position == 0);
            *all -= 1;
        }
    }

    fn leaders(&self, id: i32) -> usize {
        self.by_broker.get(&id).map_or(0, |(leaders, _)| *leaders)
    }

    fn replicas(&self, id: i32) -> usize {
        self.by_broker.get(&id).map_or(0, |(_, all)| *all)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn brokers(racks: &[(i32, Option<&str>, bool)]) -> Vec<Candidate> {
        let candidate = |(id, rack, active): &(i32, Option<&str>, bool)| Candidate {
            id: *id,
            rack: rack.map(str::to_owned),
            active: *active,
        };
        racks.iter().map(candidate).collect()
    }

    fn seeded(mut state: u64) -> impl FnMut() -> u64 {
        move || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state >> 16
        }
    }

    /// By how many the broker with most exceeds the one with least.
    fn spread(lists: &[Vec<i32>], brokers: usize, of: impl Fn(&Vec<i32>) -> Vec<i32>) -> usize {
        let mut counts = vec![0; brokers];
        for id in lists.iter().flat_map(of) {
            counts[id as usize] += 1;
        }
        counts.iter().max().unwrap() - counts.iter().min().unwrap()
    }

    #[test]
    fn leaders_and_replicas_are_even_and_distinct_for_every_seed() {
        let shapes = (2..8).flat_map(|brokers| (1..=brokers.min(4)).map(move |factor| (brokers, factor)));
        for (count, factor) in shapes {
            let racks: Vec<_> = (0..count).map(|id| (id as i32, None, true)).collect();
            for (partitions, seed) in
                (1..40).flat_map(|partitions| (0..32).map(move |seed| (partitions, seed)))
            {
                let lists = place(&brokers(&racks), &[], partitions, factor, &mut seeded(seed));
                let shape = format!("{partitions} x {factor} on {count}, seed {seed}: {lists:?}");
                assert!(spread(&lists, count, |list| vec![list[0]]) <= 1, "leaders of {shape}");
                assert!(spread(&lists, count, Clone::clone) <= 1, "replicas of {shape}");
                for list in &lists {
                    assert_eq!(list.iter().collect::<BTreeSet<_>>().len(), factor, "{list:?}");
                }
            }
        }
    }

    #[test]
    fn replicas_are_spread_over_racks() {
        let racks = [("a", 0), ("a", 1), ("b", 2), ("b", 3), ("c", 4), ("c", 5)];
        let six = brokers(&racks.map(|(rack, id)| (id, Some(rack), true)));
        let rack_of = |id: i32| racks.iter().find(|(_, other)| *other == id).unwrap().0;
        let lists = place(&six, &[], 24, 3, &mut seeded(1));
        assert!(spread(&lists, 6, Clone::clone) <= 1, "{lists:?}");
        for list in lists {
            assert_eq!(list.iter().map(|id| rack_of(*id)).collect::<BTreeSet<_>>().len(), 3, "{list:?}");
        }
    }

    #[test]
    fn a_fenced_broker_comes_last_and_never_leads() {
        let three = brokers(&[(0, None, true), (1, None, false), (2, None, true)]);
        for list in place(&three, &[], 8, 3, &mut seeded(2)) {
            assert_eq!(list[2], 1);
        }
        assert!(place(&three, &[], 8, 2, &mut seeded(3)).iter().all(|list| !list.contains(&1)));
    }

    #[test]
    fn new_partitions_fill_up_what_existing_ones_left_out() {
        let three = brokers(&[(0, None, true), (1, None, true), (2, None, true)]);
        let lists = place(&three, &[vec![0], vec![1]], 1, 1, &mut seeded(4));
        assert_eq!(lists, [[2]]);
    }

    #[test]
    fn the_start_depends_on_the_seed() {
        let three = brokers(&[(0, None, true), (1, None, true), (2, None, true)]);
        let leaders: BTreeSet<i32> =
            (0..32).map(|seed| place(&three, &[], 1, 1, &mut seeded(seed))[0][0]).collect();
        assert_eq!(leaders.len(), 3);
    }
}
