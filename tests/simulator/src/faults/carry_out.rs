//! What each fault does.

use super::{Family, Fault};
use crate::network::{Handling, Weather};
use crate::party::Party;
use crate::queue::{Event, MS, Micros};
use crate::topology::CONTROLLERS;
use crate::world::World;

impl World {
    pub(crate) fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::Strike { family, node } => {
                self.focus = node;
                let has_struck = self.out.now < self.faults_end && self.strike(family);
                self.strikes.count(family, has_struck);
            }
            Fault::Resume { node } => self.resume(node),
            Fault::Mend { from, to } => self.network.mend(from, to),
            Fault::Reset { one, other, left } => {
                if self.out.now < self.faults_end {
                    self.reset(one, other, left);
                }
            }
            Fault::Speaks { party } => self.network.connections.unmute(party),
            Fault::ReadsOn { party } => self.network.connections.speed_up(party),
            Fault::Calm => self.network.weather = Weather::default(),
            Fault::FastDisk { node } => self.nodes[node].slow_disk = 0,
            Fault::UsualLoad => self.set_load(1),
            Fault::CopyDisk { node } => self.nodes[node].copy_disk(&mut self.out),
            Fault::Spoil { family, node, looks } => self.spoil_when_stopped(family, node, looks),
            Fault::SpaceAgain { node } => self.nodes[node].disk.set_capacity(u64::MAX),
            Fault::WholeWrites { node } => self.nodes[node].disk.set_short_writes(false),
            Fault::MajorityAgain => self.quorum.is_stalled = false,
            Fault::VoterCatchesUp { voter } => self.quorum.set_lagging(voter, false),
            Fault::VoterGoesOn { voter } => self.controller_goes_on(voter),
        }
    }

    pub(super) fn later(&mut self, low_ms: i64, high_ms: i64, fault: Fault) {
        let pause: Micros = self.out.random.between(low_ms, high_ms) * MS;
        self.queue.push(self.out.now + pause, Event::Fault(fault));
    }

    /// Who is concerned more often than not, when the fault has waited for somebody.
    pub(super) fn any_node(&mut self) -> usize {
        match self.focus {
            Some(node) if self.out.random.chance(750) => node,
            _ => self.out.random.index(self.nodes.len()),
        }
    }

    /// A leader more often than not.
    fn any_node_up(&mut self) -> Option<usize> {
        if let Some(node) = self.focus.filter(|node| self.nodes[*node].is_up())
            && self.out.random.chance(750)
        {
            return Some(node);
        }
        let leaders: Vec<usize> = (0..self.nodes.len()).filter(|node| self.leads_anything(*node)).collect();
        let up: Vec<usize> = (0..self.nodes.len()).filter(|node| self.nodes[*node].is_up()).collect();
        let among = if self.out.random.chance(600) && !leaders.is_empty() { leaders } else { up };
        self.out.random.pick(&among)
    }

    fn leads_anything(&self, node: usize) -> bool {
        let mut keys = 0..self.topology.partitions();
        keys.any(|key| {
            self.nodes[node].replica(key).is_some_and(|replica| replica.role.led_epoch().is_some())
        })
    }

    /// Does it; false when there was nothing to strike.
    fn strike(&mut self, family: Family) -> bool {
        if self.flipped.is_some() && family.stops_nodes() {
            return false;
        }
        match family {
            Family::Crash => self.on_node_up(|world, node| world.kill(node)),
            Family::Power => self.on_node_up(|world, node| world.cut_power(node)),
            Family::PowerAll => {
                (0..self.nodes.len()).for_each(|node| self.cut_power(node));
                true
            }
            Family::CrashLoop => self.on_node_up(|world, node| {
                world.nodes[node].dies_in_start = Some(world.out.random.below(60));
                if world.out.random.chance(500) { world.kill(node) } else { world.cut_power(node) }
            }),
            Family::Shutdown => self.on_node_up(|world, node| world.nodes[node].begin_stop(&mut world.out)),
            Family::OlderVersion => self.on_node_up(|world, node| {
                let is_older = world.out.random.chance(600);
                world.say(|| {
                    format!(
                        "node {node} is to return as {} version",
                        if is_older { "the older" } else { "this" }
                    )
                });
                world.nodes[node].is_older = is_older;
                world.nodes[node].begin_stop(&mut world.out);
            }),
            Family::Deletions => self.delete_soon(),
            Family::Pause => self.on_node_up(|world, node| {
                world.nodes[node].is_paused = true;
                world.later(40, 3_000, Fault::Resume { node });
            }),
            Family::Cut => self.cut_off(true),
            Family::OneWay => self.cut_off(false),
            Family::NoController => self.cut_from_controllers(),
            Family::Bridge => self.bridge(),
            Family::HalfOpen | Family::Resets | Family::Mute | Family::SlowReader => self.connections(family),
            Family::Loss
            | Family::Delay
            | Family::Reorder
            | Family::Duplicate
            | Family::Proposals
            | Family::SignsOfLife
            | Family::Metadata
            | Family::WireRot => self.weather(family),
            Family::SlowDisk => {
                let node = self.any_node();
                self.nodes[node].slow_disk = self.out.random.between(20, 900) * MS;
                self.later(100, 2_500, Fault::FastDisk { node });
                true
            }
            Family::SyncError | Family::WriteError | Family::ShortWrites | Family::DiskFull => {
                self.disk(family)
            }
            Family::BitFlip => self.flip_bit(),
            Family::Rot | Family::Truncated | Family::Zeroed | Family::StaleBlock => self.spoil_file(family),
            Family::DiskLost => self.lose_disk(),
            Family::OldDisk => self.put_old_disk(),
            Family::ZombieProducer => self.fork_producer(),
            Family::Overload => self.overload(),
            Family::Clock | Family::ClockHour => self.clock(family),
            Family::Controller | Family::ZombieController => {
                let winner = self.out.random.index(CONTROLLERS);
                self.elect(winner, family == Family::ZombieController);
                true
            }
            Family::Reassignment => self.reassign(),
            Family::ControllerPause | Family::NoMajority | Family::LaggingVoter => self.strike_voters(family),
        }
    }

    fn on_node_up(&mut self, act: impl FnOnce(&mut World, usize)) -> bool {
        let node = self.any_node_up();
        node.is_some_and(|node| {
            act(self, node);
            true
        })
    }

    fn kill(&mut self, node: usize) {
        self.nodes[node].kill(&mut self.out);
        self.say(|| format!("node {node} is killed"));
        let pause = self.out.random.between(1, 12) * MS;
        self.out.after(pause, Event::Probe { node });
        self.start_later(node);
    }

    fn cut_power(&mut self, node: usize) {
        if self.nodes[node].is_up() {
            self.nodes[node].lose_power(&mut self.out);
            self.say(|| format!("node {node} loses power"));
            self.start_later(node);
        }
    }

    fn start_later(&mut self, node: usize) {
        let slow = self.out.random.chance(250);
        let pause =
            if slow { self.out.random.between(1_000, 3_500) } else { self.out.random.between(20, 500) };
        self.nodes[node].start_after(pause * MS, &mut self.out);
    }

    pub(super) fn any_party(&mut self) -> Party {
        if let Some(node) = self.focus
            && self.out.random.chance(500)
        {
            return Party::Node(node);
        }
        let (nodes, clients) = (self.nodes.len(), self.clients.len());
        match self.out.random.index(nodes * 2 + CONTROLLERS + clients) {
            at if at < 2 * nodes => Party::Node(at % nodes),
            at if at < 2 * nodes + CONTROLLERS => Party::Controller(at - 2 * nodes),
            at => Party::Client(at - 2 * nodes - CONTROLLERS),
        }
    }

    fn everybody(&self) -> Vec<Party> {
        let nodes = (0..self.nodes.len()).map(Party::Node);
        let controllers = (0..CONTROLLERS).map(Party::Controller);
        let clients = (0..self.clients.len()).map(Party::Client);
        nodes.chain(controllers).chain(clients).collect()
    }

    pub(super) fn cut_for(&mut self, from: Party, to: Party, pause: Micros) {
        self.network.cut(from, to);
        self.queue.push(self.out.now + pause, Event::Fault(Fault::Mend { from, to }));
    }

    /// Cuts one party from another or from all.
    fn cut_off(&mut self, both_ways: bool) -> bool {
        let one = self.any_party();
        let leader = self.out.random.index(self.topology.partitions());
        let leader = self.leader(leader).filter(|_| self.focus.is_some() && self.out.random.chance(500));
        let other = leader.map_or_else(|| self.any_party(), Party::Node);
        let from_all = self.out.random.chance(400);
        let others: Vec<Party> = match from_all {
            true => self.everybody().into_iter().filter(|party| *party != one).collect(),
            false => vec![other],
        };
        if one == other && !from_all {
            return false;
        }
        let hears = self.out.random.chance(500);
        let pause = self.out.random.between(100, 3_000) * MS;
        for other in others {
            for (from, to) in [(one, other), (other, one)] {
                if both_ways || (from == one) == hears {
                    self.cut_for(from, to, pause);
                }
            }
        }
        self.say(|| {
            format!("{one:?} is cut from {}", if from_all { "all".to_owned() } else { format!("{other:?}") })
        });
        true
    }

    /// Cuts a node from the controllers alone: it serves clients, who cannot know.
    fn cut_from_controllers(&mut self) -> bool {
        let Some(node) = self.any_node_up() else { return false };
        let pause = self.out.random.between(800, 3_000) * MS;
        for controller in (0..CONTROLLERS).map(Party::Controller) {
            for (from, to) in [(Party::Node(node), controller), (controller, Party::Node(node))] {
                self.cut_for(from, to, pause);
            }
        }
        self.say(|| format!("node {node} is cut from the controllers"));
        true
    }

    fn weather(&mut self, family: Family) -> bool {
        let handling = Handling {
            late: self.out.random.between(100, 1_000) as u64,
            twice: self.out.random.between(0, 500) as u64,
            longest: self.out.random.between(50, 3_000) * MS,
            unanswered: self.out.random.between(0, 500) as u64,
        };
        let weather = &mut self.network.weather;
        match family {
            Family::Loss => weather.loss = self.out.random.between(10, 200) as u64,
            Family::Reorder => weather.reorders = true,
            Family::Proposals => weather.proposals = handling,
            Family::SignsOfLife => weather.signs_of_life = handling,
            Family::Metadata => weather.metadata = handling,
            Family::WireRot => weather.rot = self.out.random.between(50, 500) as u64,
            Family::Duplicate => weather.duplicates = self.out.random.between(20, 300) as u64,
            _ => {
                weather.delays = self.out.random.between(50, 700) as u64;
                weather.longest_delay = self.out.random.between(5, 500) * MS;
            }
        }
        self.later(100, 1_500, Fault::Calm);
        true
    }

    fn disk(&mut self, family: Family) -> bool {
        let node = self.any_node();
        let disk = self.nodes[node].disk.clone();
        match family {
            Family::SyncError => disk.fail_syncs_after(self.out.random.below(12) as u32, 1),
            Family::WriteError => disk.fail_writes(1),
            Family::ShortWrites => {
                disk.set_short_writes(true);
                self.later(100, 1_500, Fault::WholeWrites { node });
            }
            _ => {
                let left = self.out.random.pick(&[0, 2_000]).unwrap_or(0);
                disk.set_capacity(disk.used() + self.out.random.below(left));
                let shortest = self.out.random.pick(&[5, 200]).unwrap_or(200);
                self.later(shortest, 2_500, Fault::SpaceAgain { node });
            }
        }
        true
    }

    fn clock(&mut self, family: Family) -> bool {
        let node = self.any_node();
        let jump = match family {
            Family::ClockHour => self.out.random.pick(&[-3_600_000, 3_600_000]).unwrap_or(0),
            _ => self.out.random.between(-2_000, 2_000),
        };
        self.nodes[node].skew_ms += jump;
        self.say(|| format!("the clock of node {node} jumps by {jump} ms"));
        true
    }

    fn strike_voters(&mut self, family: Family) -> bool {
        match (family, self.quorum.leader) {
            (Family::NoMajority, _) => {
                self.quorum.is_stalled = true;
                self.later(50, 1_500, Fault::MajorityAgain);
            }
            (Family::ControllerPause, Some(voter)) => {
                self.quorum.pause(voter, self.out.now_ms());
                self.later(50, 2_500, Fault::VoterGoesOn { voter });
            }
            (Family::LaggingVoter, _) => {
                let voter = self.out.random.index(CONTROLLERS);
                self.quorum.set_lagging(voter, true);
                self.later(300, 4_000, Fault::VoterCatchesUp { voter });
            }
            _ => return false,
        }
        true
    }
}
