//! The network between controllers: messages are lost, late, doubled or overtaken, and ways are cut in one direction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use klamm_quorum::{Parcel, Peer, Transport, TransportError};
use tokio::sync::oneshot;

use crate::history::hash;
use crate::raft::book::kind;
use crate::raft::world::World;
use crate::random::Random;

/// What messages meet at the moment: each fault's weather, until that very fault is over.
pub(super) struct Network {
    random: Random,
    weathers: BTreeMap<u64, Weather>,
    faults: u64,
}

/// What one fault does to messages.
#[derive(Default)]
pub(super) struct Weather {
    /// From whom to whom nothing arrives.
    pub(super) cut: BTreeSet<(usize, usize)>,
    /// The requests that it is for, with their answers; all if none are named.
    pub(super) only: Option<i16>,
    /// Of 1,000 messages so many are lost, and so many come twice.
    pub(super) lost: u64,
    pub(super) twice: u64,
    /// Of 1,000 answers so many are lost.
    pub(super) unanswered: u64,
    /// Milliseconds of a message's way, at most, where that is more than usual.
    pub(super) slow: i64,
    /// Whether any message has met it.
    pub(super) is_met: bool,
}

impl Weather {
    fn is_for(&self, api: i16) -> bool {
        self.only.is_none_or(|only| only == api)
    }
}

/// One way of a request or its answer.
#[derive(Clone, Copy)]
struct Leg {
    from: usize,
    to: usize,
    api: i16,
    is_answer: bool,
}

/// Milliseconds of a message's way when nothing is slow.
const USUAL: i64 = 3;

impl Network {
    pub(super) fn new(random: Random) -> Self {
        Self { random, weathers: BTreeMap::new(), faults: 0 }
    }

    pub(super) fn begin(&mut self, weather: Weather) -> u64 {
        self.faults += 1;
        self.weathers.insert(self.faults, weather);
        self.faults
    }

    /// That fault is over; whether any message has met it.
    pub(super) fn end(&mut self, fault: u64) -> bool {
        self.weathers.remove(&fault).is_some_and(|weather| weather.is_met)
    }

    pub(super) fn heal(&mut self) {
        self.weathers.clear();
    }

    /// How long the way takes; nothing if the message never arrives.
    fn way(&mut self, leg: Leg) -> Option<Duration> {
        let Leg { from, to, api, is_answer } = leg;
        let losses = |weather: &Weather| weather.lost.max(if is_answer { weather.unanswered } else { 0 });
        let slow = self.most(api, |weather| weather.slow).max(USUAL);
        let late = self.random.between(0, slow);
        let lost = self.most(api, losses);
        let is_lost = self.random.chance(lost);
        let is_cut = self.meet(api, |weather| weather.cut.contains(&(from, to)));
        self.meet(api, |weather| is_lost && losses(weather) > 0);
        self.meet(api, |weather| late > USUAL && weather.slow >= late);
        (!is_lost && !is_cut).then(|| Duration::from_millis(late.unsigned_abs()))
    }

    fn comes_twice(&mut self, api: i16) -> bool {
        let twice = self.most(api, |weather| weather.twice);
        let comes_twice = self.random.chance(twice);
        self.meet(api, |weather| comes_twice && weather.twice > 0);
        comes_twice
    }

    fn most<T: Ord + Default>(&self, api: i16, of: impl Fn(&Weather) -> T) -> T {
        self.weathers.values().filter(|weather| weather.is_for(api)).map(of).max().unwrap_or_default()
    }

    /// A message meets all such weather; whether there is any.
    fn meet(&mut self, api: i16, is_such: impl Fn(&Weather) -> bool) -> bool {
        let mut is_any = false;
        for weather in self.weathers.values_mut().filter(|weather| weather.is_for(api) && is_such(weather)) {
            (weather.is_met, is_any) = (true, true);
        }
        is_any
    }
}

/// The way out of one process.
pub(super) struct Wire {
    pub(super) world: Arc<World>,
    pub(super) from: usize,
    pub(super) process: u32,
}

impl Transport for Wire {
    async fn call(
        &self,
        peer: Peer,
        api: i16,
        request: Parcel,
        _: Duration,
    ) -> Result<Parcel, TransportError> {
        let to = World::index_of(peer.id);
        let (answer, answered) = oneshot::channel();
        if self.world.speaks(self.from, self.process) {
            let message = Message {
                from: self.from,
                process: self.process,
                to,
                api,
                request,
                world: self.world.clone(),
            };
            // What was sent arrives, whether or not somebody still waits for the answer.
            if self.world.network.lock().comes_twice(api) {
                let (unheard, _) = oneshot::channel();
                tokio::spawn(message.clone().carry(unheard));
            }
            tokio::spawn(message.carry(answer));
        }
        match answered.await {
            Ok(answer) => answer,
            // Nobody says that a message was lost: whoever waits has a deadline.
            Err(_) => std::future::pending().await,
        }
    }
}

#[derive(Clone)]
struct Message {
    from: usize,
    process: u32,
    to: usize,
    api: i16,
    request: Parcel,
    world: Arc<World>,
}

type Answer = Result<Parcel, TransportError>;

impl Message {
    async fn carry(self, answer: oneshot::Sender<Answer>) {
        let Some(there) = self.way(false) else { return };
        tokio::time::sleep(there).await;
        let Some(outcome) = self.arrive().await else { return };
        let Some(back) = self.way(true) else { return };
        tokio::time::sleep(back).await;
        let size = outcome.as_ref().map_or(0, |answer| answer.payload.len()) as u64;
        self.note(u64::from(outcome.is_ok()) << 32 | size);
        // A process that has died waits for nothing.
        drop(answer.send(outcome));
    }

    fn way(&self, is_answer: bool) -> Option<Duration> {
        let (from, to) = if is_answer { (self.to, self.from) } else { (self.from, self.to) };
        self.world.network.lock().way(Leg { from, to, api: self.api, is_answer })
    }

    /// The answer of whoever runs there now; none if its process dies over it.
    async fn arrive(&self) -> Option<Answer> {
        self.note(hash(&self.request.payload));
        let Some((number, process, quorum)) = self.world.running(self.to) else {
            return Some(Err(TransportError::Unreachable("connection refused".to_owned())));
        };
        let answered = process.run(quorum.handle_rpc(self.api, self.request.clone())).await;
        let outcome = answered.map_err(|error| TransportError::Failed(error.to_string()));
        self.world.speaks(self.to, number).then_some(outcome)
    }

    fn note(&self, what: u64) {
        let at = self.world.now();
        let mut book = self.world.book.lock();
        let way = (self.from as u64) << 24 | (self.to as u64) << 16 | self.api.unsigned_abs() as u64;
        book.trace.event(at, kind::MESSAGE, way);
        book.trace.mix(what);
        book.say(at, format_args!("{} ({}) -> {}: {} {what:x}", self.from, self.process, self.to, self.api));
    }
}

#[cfg(test)]
mod tests {
    use klamm_quorum::api;

    use super::*;

    fn request(from: usize, to: usize) -> Leg {
        Leg { from, to, api: api::VOTE, is_answer: false }
    }

    fn cut(ways: &[(usize, usize)]) -> Weather {
        Weather { cut: ways.iter().copied().collect(), ..Weather::default() }
    }

    #[test]
    fn a_way_is_cut_until_the_last_fault_that_cuts_it_is_over() {
        let mut network = Network::new(Random::new(1));
        let (both, one) = (network.begin(cut(&[(0, 1), (1, 0)])), network.begin(cut(&[(0, 1)])));
        assert_eq!(network.way(request(0, 1)), None);
        assert!(network.end(both));
        assert_eq!(network.way(request(0, 1)), None);
        assert!(network.way(request(1, 0)).is_some());
        assert!(network.end(one));
        assert!(network.way(request(0, 1)).is_some());
    }

    #[test]
    fn weather_that_ends_leaves_what_other_faults_do() {
        let mut network = Network::new(Random::new(1));
        let lossy = network.begin(Weather { lost: 1_000, ..Weather::default() });
        let twice = network.begin(Weather { twice: 1_000, ..Weather::default() });
        assert!(network.comes_twice(api::VOTE));
        assert!(network.end(twice));
        assert!(!network.comes_twice(api::VOTE));
        assert_eq!(network.way(request(0, 1)), None);
        assert!(network.end(lossy));
        assert!(network.way(request(0, 1)).is_some());
    }

    #[test]
    fn weather_for_the_answers_of_one_kind_lets_all_else_through() {
        let mut network = Network::new(Random::new(1));
        let weather = Weather { only: Some(api::VOTE), unanswered: 1_000, ..Weather::default() };
        let fault = network.begin(weather);
        let append = Leg { from: 1, to: 0, api: api::APPEND, is_answer: true };
        assert!(network.way(append).is_some());
        assert!(network.way(request(0, 1)).is_some());
        assert!(!network.weathers[&fault].is_met);
        assert_eq!(network.way(Leg { api: api::VOTE, ..append }), None);
        assert!(network.end(fault));
    }

    #[test]
    fn weather_that_no_message_has_met_has_not_struck() {
        let mut network = Network::new(Random::new(1));
        let unmet = network.begin(cut(&[(0, 1)]));
        assert!(network.way(request(1, 0)).is_some());
        assert!(!network.end(unmet));
    }
}
