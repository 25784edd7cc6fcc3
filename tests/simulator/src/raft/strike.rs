//! When faults strike, and what they do. One in four windows is quiet.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use klamm_log::SimDisk;
use klamm_quorum::simulated::Process;
use klamm_quorum::{Quorum, api};
use tokio::time::{sleep, timeout};

use crate::disk::FusedDisk;
use crate::raft::book::kind;
use crate::raft::controller::{DISK_MS, directory, peer};
use crate::raft::faults::Fault;
use crate::raft::network::Weather;
use crate::raft::world::World;

/// The kinds of messages.
const KINDS: [i16; 6] =
    [api::APPEND, api::VOTE, api::PRE_VOTE, api::SNAPSHOT, api::TRANSFER_LEADER, api::IDENTIFY];

impl World {
    /// Lets faults strike, also while others last, until the time is over and the last of them has ended.
    pub(super) async fn strike_for_a_while(self: &Arc<Self>) {
        let mut lasting = Vec::new();
        let end = i64::try_from(self.duration.as_micros()).unwrap_or(i64::MAX);
        while self.now() < end && !self.is_over() {
            self.wait(20, 600).await;
            let fault = {
                let mut random = self.random.lock();
                let is_quiet = random.chance(250);
                random.pick(&self.faults).filter(|_| !is_quiet)
            };
            if let Some(fault) = fault {
                lasting.push(tokio::spawn(self.clone().strike(fault)));
            }
        }
        for fault in lasting {
            if fault.await.is_err() {
                self.book.lock().panicked("a fault of the simulator");
            }
        }
    }

    async fn strike(self: Arc<Self>, fault: Fault) {
        let at = self.now();
        self.book.lock().trace.event(at, kind::STRIKE, fault as u64);
        self.book.lock().say(at, format_args!("{fault:?} strikes"));
        let (one, other) = self.pair();
        let has_struck = match fault {
            Fault::Crash | Fault::Power => self.crash(&[one], fault == Fault::Power).await,
            Fault::CrashAll | Fault::PowerAll => {
                let all: Vec<usize> = (0..self.size).collect();
                self.crash(&all, fault == Fault::PowerAll).await
            }
            Fault::Isolation => {
                let rest = (0..self.size).filter(|rest| *rest != one);
                self.cut(rest.flat_map(|rest| [(one, rest), (rest, one)]).collect()).await
            }
            Fault::OneWay => self.cut(vec![(one, other)]).await,
            Fault::Bridge => self.cut(vec![(one, other), (other, one)]).await,
            Fault::Loss => self.weather(|lost| Weather { lost: lost / 2, ..Weather::default() }).await,
            Fault::Delay => {
                self.weather(|slow| Weather { slow: slow.cast_signed(), ..Weather::default() }).await
            }
            Fault::Twice => self.weather(|twice| Weather { twice, ..Weather::default() }).await,
            Fault::KindHeld | Fault::KindTwice | Fault::KindUnanswered => self.strike_kind(fault).await,
            Fault::Pause => self.pause(one).await,
            Fault::SlowDisk => self.slow_disk(one).await,
            Fault::FailedSync => self.failed_sync(one).await,
            Fault::DiskLost => self.lose_disk(one),
            Fault::Voters => self.change_voters().await,
            Fault::Transfer => self.transfer().await,
            Fault::FlippedBit | Fault::ShortFile | Fault::ZeroedBlock | Fault::OldBlock => {
                self.rot(one, fault).await
            }
        };
        if has_struck {
            *self.book.lock().strikes.entry(fault).or_default() += 1;
        }
    }

    pub(super) async fn wait(&self, low: i64, high: i64) {
        let time = self.between(low, high);
        sleep(Duration::from_millis(time)).await;
    }

    /// Two controllers, the first of which leads in one of two cases.
    fn pair(&self) -> (usize, usize) {
        let leader = self.leader().map(|(leader, ..)| leader);
        let mut random = self.random.lock();
        let one = leader.filter(|_| random.chance(500)).unwrap_or_else(|| random.index(self.size));
        let other = (one + 1 + random.index(self.size - 1)) % self.size;
        (one, other)
    }

    /// Who leads by its own knowledge.
    pub(super) fn leader(&self) -> Option<(usize, Arc<Process>, Quorum)> {
        (0..self.size).find_map(|controller| {
            let (_, process, quorum) = self.running(controller)?;
            let is_active = quorum.status().borrow().is_active;
            is_active.then_some((controller, process, quorum))
        })
    }

    async fn crash(&self, those: &[usize], power: bool) -> bool {
        let mut fuses = Vec::new();
        for controller in those {
            let calls = self.between(0, 12);
            if let Some(running) = &mut self.controllers.lock()[*controller].running
                && !running.fuse.is_burnt()
            {
                running.power |= power;
                running.fuse.burn_after(calls);
                fuses.push(running.fuse.clone());
            }
        }
        self.wait(1, 300).await;
        // These very processes: others may have been started meanwhile.
        fuses.iter().for_each(|fuse| fuse.burn_after(0));
        !fuses.is_empty()
    }

    /// Starts the controller after a while, and lets some of those that followed it know that it is gone.
    pub(super) fn start_later(self: &Arc<Self>, controller: usize) {
        let world = self.clone();
        tokio::spawn(async move {
            world.wait(5, 30).await;
            world.hint(controller);
            world.wait(30, 1_200).await;
            world.start(controller);
        });
    }

    fn hint(&self, gone: usize) {
        for controller in 0..self.size {
            let is_told = self.random.lock().chance(500);
            let Some((_, process, quorum)) = self.running(controller).filter(|_| is_told) else { continue };
            if quorum.status().borrow().leader == Some(peer(gone).id) && self.running(gone).is_none() {
                tokio::spawn(process.run(async move { quorum.hint_leader_gone() }));
            }
        }
    }

    async fn cut(&self, ways: Vec<(usize, usize)>) -> bool {
        self.meets(Weather { cut: ways.into_iter().collect(), ..Weather::default() }).await
    }

    async fn weather(&self, of: impl Fn(u64) -> Weather) -> bool {
        let amount = self.between(20, 400);
        self.meets(of(amount)).await
    }

    /// Messages of one kind are struck, far worse than weather that is for all of them can be.
    async fn strike_kind(&self, fault: Fault) -> bool {
        let only = self.random.lock().pick(&KINDS);
        let amount = self.between(300, 1_000);
        let slow = amount.cast_signed() * 3;
        self.meets(match fault {
            Fault::KindHeld => Weather { only, slow, ..Weather::default() },
            Fault::KindTwice => Weather { only, slow, twice: amount, ..Weather::default() },
            _ => Weather { only, unanswered: amount, ..Weather::default() },
        })
        .await
    }

    async fn meets(&self, weather: Weather) -> bool {
        let fault = self.network.lock().begin(weather);
        self.wait(50, 2_000).await;
        self.network.lock().end(fault)
    }

    async fn pause(&self, controller: usize) -> bool {
        let Some((process, ..)) = self.begin(controller, Fault::Pause) else { return false };
        process.stop();
        self.wait(50, 2_000).await;
        process.go_on();
        self.over(controller, Fault::Pause);
        true
    }

    async fn slow_disk(&self, controller: usize) -> bool {
        let Some((process, ..)) = self.begin(controller, Fault::SlowDisk) else { return false };
        let most = Duration::from_millis(self.between(20, 250));
        process.set_disk_time(Duration::from_millis(5), most);
        self.wait(100, 2_000).await;
        process.set_disk_time(Duration::ZERO, Duration::from_millis(DISK_MS));
        self.over(controller, Fault::SlowDisk);
        true
    }

    async fn failed_sync(&self, controller: usize) -> bool {
        let Some((_, fuse, disk)) = self.begin(controller, Fault::FailedSync) else { return false };
        let before = fuse.failed_syncs();
        disk.fail_syncs_after(self.between(0, 6) as u32, 1);
        self.wait(100, 600).await;
        disk.fail_syncs(0);
        self.over(controller, Fault::FailedSync);
        fuse.failed_syncs() > before
    }

    /// The process and the disk of a controller that this fault strikes; none if it does not run or the same fault is not over
    /// yet, whose end would end this one, too.
    fn begin(&self, controller: usize, fault: Fault) -> Option<(Arc<Process>, FusedDisk, SimDisk)> {
        let mut controllers = self.controllers.lock();
        let one = &mut controllers[controller];
        let running = one.running.as_ref()?;
        let struck = (running.process.clone(), running.fuse.clone(), one.disk.clone());
        one.struck_by.insert(fault).then_some(struck)
    }

    fn over(&self, controller: usize, fault: Fault) {
        self.controllers.lock()[controller].struck_by.remove(&fault);
    }

    /// Whether a disk may go, since what is on the others is enough: all voters are there, whole, and none is still the disk of
    /// before. Nor is it one that may be about to become a voter.
    pub(super) fn is_spare(&self, controller: usize) -> bool {
        let Some((_, _, quorum)) = self.leader() else { return false };
        let status = quorum.status().borrow().clone();
        let controllers = self.controllers.lock();
        let is_here = |id: i32, of: uuid::Uuid| {
            let at = Self::index_of(id);
            let one = controllers.get(at);
            one.is_some_and(|one| one.running.is_some() && directory(at, one.number) == of)
        };
        let are_here = status.voters.iter().all(|voter| is_here(voter.id, voter.directory_id));
        let votes = status.voters.iter().any(|voter| voter.id == peer(controller).id);
        let may_join = self.auto_join && !votes;
        let are_whole = controllers.iter().all(|one| one.rotten.is_none());
        let is_enough = are_here && are_whole && status.voters.len() >= 3;
        is_enough && !may_join && !self.is_changing.load(Ordering::Relaxed)
    }

    /// Replaces a disk with an empty one.
    fn lose_disk(self: &Arc<Self>, controller: usize) -> bool {
        if !self.is_spare(controller) {
            return false;
        }
        let seed = self.random.lock().next();
        self.look_for_panic(controller);
        self.controllers.lock()[controller].wipe(seed);
        self.start_later(controller);
        true
    }

    /// Adds a voter if somebody observes, or else removes one if more than three are left.
    async fn change_voters(&self) -> bool {
        // Where disks are lost a change that is still under way might count on one of them.
        if self.has_lost_disks() {
            return false;
        }
        let Some((leader, process, quorum)) = self.leader() else { return false };
        let status = quorum.status().borrow().clone();
        let votes = |controller: usize| status.voters.iter().any(|voter| voter.id == peer(controller).id);
        let number = |controller: usize| self.controllers.lock()[controller].number;
        let observer = (0..self.size).find(|one| !votes(*one));
        let gone = self.random.lock().index(self.size);
        let limit = Duration::from_secs(2);
        let change = async {
            match observer {
                Some(one) => quorum.add_voter(peer(one), directory(one, number(one)), limit).await,
                None => quorum.remove_voter(peer(gone).id, directory(gone, number(gone)), limit).await,
            }
        };
        if observer.is_none() && status.voters.len() <= 3 {
            return false;
        }
        // From before it begins, as nobody knows what comes of one that gets no answer.
        self.is_changing.store(true, Ordering::Relaxed);
        let outcome = timeout(limit * 2, process.run(change)).await;
        self.book.lock().say(self.now(), format_args!("voters changed by {leader}: {outcome:?}"));
        matches!(outcome, Ok(Ok(())))
    }

    /// In one run either disks are lost or voters are changed on purpose: whichever comes first.
    fn has_lost_disks(&self) -> bool {
        self.controllers.lock().iter().any(|one| one.number > 0 || one.rotten.is_some())
    }

    async fn transfer(&self) -> bool {
        let Some((_, process, quorum)) = self.leader() else { return false };
        let transfer = async { quorum.transfer_leadership().await.is_ok() };
        timeout(Duration::from_secs(2), process.run(transfer)).await.unwrap_or(false)
    }
}
