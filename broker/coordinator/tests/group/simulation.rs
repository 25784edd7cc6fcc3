//! Many clients join, sync, heartbeat, commit, stall, leave and die in random order while coordinators fail: one seed, one
//! run, virtual time.
//!
//! What must hold: every member of a generation gets what the leader decided for it, and nobody else does; committed
//! offsets never go back; a coordinator loaded from the log knows what the last one knew; when nothing more happens, all
//! live clients and no dead ones are in one stable generation.

use std::collections::{BTreeMap, BTreeSet};

use klamm_coordinator::{GroupConfig, GroupReply, GroupRequest};
use klamm_wire::{ErrorCode, Str};
use proptest::prelude::*;

use crate::clients::{
    CLIENT_REBALANCE_MS, CLIENT_SESSION_MS, Client, HEARTBEAT_MS, PARTITIONS, Phase, TOPIC,
};
use crate::clients::{decode, error_of};
use crate::driver::{Driver, GROUP, commit_of};

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn delay(&mut self, ms: u64) -> i64 {
        i64::try_from(self.below(ms)).expect("a short delay")
    }
}

struct World {
    driver: Driver,
    clients: Vec<Client>,
    random: Random,
    /// The highest offset acknowledged by partition.
    committed: BTreeMap<i32, i64>,
    /// What the leaders decided, by generation and member.
    decided: BTreeMap<i32, BTreeMap<Str, Vec<i32>>>,
    /// What members were told, by generation and member.
    told: BTreeMap<i32, BTreeMap<Str, Vec<i32>>>,
    /// Whether coordinators may still fail.
    faults: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let initial_rebalance_delay_ms = if random.one_in(2) { 0 } else { 3_000 };
        let config = GroupConfig { initial_rebalance_delay_ms, ..GroupConfig::default() };
        Self {
            driver: Driver::with(config),
            clients: Vec::new(),
            random,
            committed: BTreeMap::new(),
            decided: BTreeMap::new(),
            told: BTreeMap::new(),
            faults: true,
        }
    }

    /// Sends a request. `None` if the coordinator failed with it: the records are lost, and nobody is answered.
    fn send(&mut self, version: i16, request: GroupRequest) -> Option<u64> {
        if self.faults && self.random.one_in(300) {
            self.driver.send_in_vain(version, request);
            self.fail_over();
            return None;
        }
        Some(self.driver.send(version, request))
    }

    /// Another coordinator loads the log; those who wait learn that they must look for it.
    fn fail_over(&mut self) {
        self.driver.fail_over();
        for i in 0..self.clients.len() {
            let unanswered = self.clients[i].waits_for().is_some_and(|token| self.driver.is_waiting(token));
            if unanswered {
                let wake = self.soon();
                self.clients[i].start_over(ErrorCode::NotCoordinator, wake);
            }
        }
    }

    fn soon(&mut self) -> i64 {
        self.driver.now + self.random.delay(1_000)
    }

    // ---- time --------------------------------------------------------------------------------------------------

    fn advance(&mut self, ms: i64) {
        let until = self.driver.now + ms;
        loop {
            let wakes = self.clients.iter().filter(|c| c.alive && c.waits_for().is_none()).map(|c| c.wake);
            let next = wakes.chain(self.driver.shard.next_deadline()).min().unwrap_or(i64::MAX);
            if next > until {
                break;
            }
            self.driver.advance(next.max(self.driver.now) - self.driver.now);
            self.deliver();
            for i in 0..self.clients.len() {
                let client = &self.clients[i];
                if client.alive && client.waits_for().is_none() && client.wake <= self.driver.now {
                    self.act(i);
                    self.deliver();
                }
            }
        }
        self.driver.now = until;
    }

    fn act(&mut self, i: usize) {
        let wake = self.soon();
        let client = &mut self.clients[i];
        client.wake = wake;
        let version = client.version;
        match client.phase.clone() {
            Phase::Out => {
                let request = client.join_request();
                if let Some(token) = self.send(version, request) {
                    self.clients[i].phase = Phase::Joining(token);
                }
            }
            Phase::Joined(assignments) => {
                let request = client.sync_request(&assignments);
                if let Some(token) = self.send(4, request) {
                    self.clients[i].phase = Phase::Syncing(token);
                }
            }
            Phase::Active if self.random.one_in(2) => self.commit(i),
            Phase::Active => self.heartbeat(i),
            Phase::Joining(_) | Phase::Syncing(_) => {}
        }
    }

    fn heartbeat(&mut self, i: usize) {
        let client = &self.clients[i];
        let request = klamm_wire::messages::heartbeat_request::HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: client.generation,
            member_id: client.member.clone(),
            group_instance_id: client.instance.clone(),
            ..Default::default()
        };
        let error = self.ask(4, GroupRequest::Heartbeat(request));
        self.go_on(i, error);
    }

    fn commit(&mut self, i: usize) {
        let client = &self.clients[i];
        let Some(partition) = client.assigned.first().copied() else { return self.heartbeat(i) };
        let offset = client.positions.get(&partition).map_or(1, |position| position + 1);
        let mut request = commit_of(&client.member, client.generation, TOPIC, partition, offset);
        request.group_instance_id = client.instance.clone();
        let error = self.ask(8, GroupRequest::OffsetCommit(request));
        if error == ErrorCode::None {
            let before = self.committed.insert(partition, offset).unwrap_or(0);
            assert!(before < offset, "partition {partition} went from {before} to {offset}");
            self.clients[i].positions.insert(partition, offset);
            self.clients[i].assigned.rotate_left(1);
        }
        self.go_on(i, error);
    }

    fn ask(&mut self, version: i16, request: GroupRequest) -> ErrorCode {
        match self.send(version, request) {
            Some(token) => error_of(&self.driver.replies.remove(&token).expect("answered at once")),
            None => ErrorCode::NotCoordinator,
        }
    }

    fn go_on(&mut self, i: usize, error: ErrorCode) {
        let soon = self.soon();
        let client = &mut self.clients[i];
        match error {
            // A client that finds no coordinator asks the next one the same.
            ErrorCode::NotCoordinator => client.wake = soon,
            ErrorCode::None => client.wake = self.driver.now + HEARTBEAT_MS,
            error => client.start_over(error, soon),
        }
    }

    /// Hands the replies that have come to the clients that wait for them.
    fn deliver(&mut self) {
        for i in 0..self.clients.len() {
            let Some(reply) =
                self.clients[i].waits_for().and_then(|token| self.driver.replies.remove(&token))
            else {
                continue;
            };
            let wake = self.soon();
            match reply {
                GroupReply::Join(response) => self.clients[i].on_joined(response, wake),
                GroupReply::Sync(response) => match ErrorCode::from_code(response.error_code) {
                    ErrorCode::None => self.on_synced(i, decode(response.assignment)),
                    error => self.clients[i].start_over(error, wake),
                },
                other => panic!("{other:?}"),
            }
        }
        self.check_assignments();
    }

    fn on_synced(&mut self, i: usize, assigned: Vec<i32>) {
        let positions =
            self.driver.offsets(GROUP).into_iter().map(|((_, partition), offset)| (partition, offset));
        let client = &mut self.clients[i];
        client.positions = positions.collect();
        client.phase = Phase::Active;
        client.wake = self.driver.now + HEARTBEAT_MS;
        if let Some(decision) = client.decision.take() {
            self.decided.entry(client.generation).or_insert(decision);
        }
        let told = self.told.entry(client.generation).or_default();
        if let Some(before) = told.insert(client.name(), assigned.clone()) {
            assert_eq!(
                before,
                assigned,
                "{} was told two things in generation {}",
                client.name(),
                client.generation
            );
        }
        self.clients[i].assigned = assigned;
    }

    // ---- what happens to clients -------------------------------------------------------------------------------

    fn random_event(&mut self) {
        let busy = self.clients.iter().filter(|client| client.alive).count();
        match self.random.below(100) {
            0..=59 => {
                let ms = self.random.delay(2_000);
                self.advance(ms);
            }
            60..=74 if busy < 6 => self.start(),
            75..=79 => self.with_live_client(Self::die),
            80..=84 => self.with_live_client(Self::leave),
            85..=89 => self.with_live_client(Self::stall),
            90..=93 => self.with_live_client(Self::restart),
            94..=95 => self.fail_over(),
            _ => self.check_persisted(),
        }
    }

    fn with_live_client(&mut self, event: fn(&mut Self, usize)) {
        let live: Vec<usize> = (0..self.clients.len()).filter(|i| self.clients[*i].alive).collect();
        if !live.is_empty() {
            let picked = self.random.below(live.len() as u64) as usize;
            event(self, live[picked]);
        }
    }

    fn start(&mut self) {
        let version = [3, 5, 8, 9][self.random.below(4) as usize];
        let is_static = version >= 5 && self.random.one_in(3);
        let wake = self.soon();
        self.clients.push(Client::new(self.clients.len(), version, is_static, wake));
    }

    /// The process is gone; the broker sees the connection close, or sees nothing.
    fn die(&mut self, i: usize) {
        self.disconnect(i);
        self.clients[i].alive = false;
    }

    /// The process is gone and comes back, as a static member under the same name.
    fn restart(&mut self, i: usize) {
        self.disconnect(i);
        let wake = self.soon();
        let client = &mut self.clients[i];
        client.member = Str::default();
        client.phase = Phase::Out;
        client.wake = wake;
        client.decision = None;
    }

    fn disconnect(&mut self, i: usize) {
        if let Some(token) = self.clients[i].waits_for()
            && self.random.one_in(2)
        {
            self.driver.shard.cancel(token);
        }
    }

    fn leave(&mut self, i: usize) {
        let member = self.clients[i].member.clone();
        if !member.is_empty() {
            self.driver.leave(5, &[(&member, None)]);
        }
        self.clients[i].alive = false;
    }

    /// A long pause: when it ends the client may have been taken for dead without knowing.
    fn stall(&mut self, i: usize) {
        self.clients[i].wake += self.random.delay(60_000);
    }

    // ---- invariants --------------------------------------------------------------------------------------------

    fn check_assignments(&self) {
        for (generation, told) in &self.told {
            let decided = self.decided.get(generation);
            let mut seen = BTreeSet::new();
            for (name, partitions) in told {
                // A leader that died before its response arrived cannot say what it decided.
                if let Some(decided) = decided {
                    assert_eq!(decided.get(name), Some(partitions), "{name} in generation {generation}");
                }
                for partition in partitions {
                    assert!(
                        seen.insert(*partition),
                        "partition {partition} twice in generation {generation}"
                    );
                }
            }
        }
    }

    fn check_persisted(&mut self) {
        let mut loaded = self.driver.reloaded();
        let offsets = self.driver.offsets(GROUP);
        assert_eq!(loaded.offsets(GROUP), offsets);
        let committed =
            self.committed.iter().map(|(partition, offset)| ((TOPIC.to_owned(), *partition), *offset));
        assert_eq!(offsets, committed.collect());
        let described = self.driver.describe(GROUP);
        let is_settled = described.group_state == "Stable" || described.group_state == "Empty";
        if is_settled && !described.protocol_type.is_empty() {
            assert_eq!(loaded.describe(GROUP), described);
        }
    }

    /// Nothing more happens to anybody.
    fn quiesce(&mut self) {
        self.faults = false;
        let now = self.driver.now;
        for client in &mut self.clients {
            client.wake = client.wake.min(now + i64::from(CLIENT_SESSION_MS));
        }
        let settling_ms = 4 * i64::from(CLIENT_SESSION_MS + CLIENT_REBALANCE_MS);
        self.advance(settling_ms);
        self.check_persisted();
    }

    fn check_settled(&mut self) {
        let described = self.driver.describe(GROUP);
        let live: Vec<&Client> = self.clients.iter().filter(|client| client.alive).collect();
        let members: BTreeSet<&Str> = described.members.iter().map(|member| &member.member_id).collect();
        assert_eq!(
            members,
            live.iter().map(|client| &client.member).collect(),
            "the live, and no dead, are members"
        );
        let Some(first) = live.first() else {
            assert_ne!(described.group_state, "Stable");
            return;
        };
        assert_eq!(described.group_state, "Stable");
        for client in &live {
            assert!(matches!(client.phase, Phase::Active), "{client:?}");
            assert_eq!(client.generation, first.generation);
        }
        let mut read: Vec<i32> = live.iter().flat_map(|client| client.assigned.iter().copied()).collect();
        read.sort_unstable();
        assert_eq!(read, (0..PARTITIONS).collect::<Vec<_>>(), "every partition is read by one member");
    }
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..400 {
        world.random_event();
    }
    world.quiesce();
    world.check_settled();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn groups_of_random_clients_keep_their_promises_and_settle(seed: u64) {
        run(seed);
    }
}

#[test]
fn one_seed_replays_one_run() {
    let log = |seed| {
        let mut world = World::new(seed);
        (0..200).for_each(|_| world.random_event());
        world.driver.log
    };
    assert_eq!(log(7), log(7));
    assert!(!log(7).is_empty());
}
