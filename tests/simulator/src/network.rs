//! The virtual network: who reaches whom, how late, how often.

mod connections;
mod rot;

use std::collections::BTreeMap;

use crate::message::{Message, Topic};
use crate::party::Party;
use crate::queue::{MS, Micros};
use crate::random::Random;
use connections::Connections;

/// When a message arrives; nothing means that it is lost.
pub(crate) type Arrivals = [Option<Micros>; 2];

/// What a message meets on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weather {
    /// Lost of 1,000.
    pub loss: u64,
    /// Delivered twice of 1,000.
    pub duplicates: u64,
    /// Delayed of 1,000, and by how much at most.
    pub delays: u64,
    pub longest_delay: Micros,
    /// Whether messages overtake each other freely.
    pub reorders: bool,
    /// What leaders' proposals meet.
    pub proposals: Handling,
    /// What registrations and heartbeats meet.
    pub signs_of_life: Handling,
    /// What pulls of the metadata meet.
    pub metadata: Handling,
    /// Answers to followers, of 1,000, in which a bit flips.
    pub rot: u64,
}

impl Weather {
    fn handling(&self, message: &Message) -> Handling {
        match message.topic() {
            Some(Topic::Proposal) => self.proposals,
            Some(Topic::SignOfLife) => self.signs_of_life,
            Some(Topic::Metadata) => self.metadata,
            None => Handling::default(),
        }
    }
}

/// What happens to messages of one kind alone (F14): a request waits on a connection that nobody reads, is sent again on
/// another, and comes when everybody has gone on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Handling {
    /// Requests held back of 1,000, and delivered twice of 1,000.
    pub late: u64,
    pub twice: u64,
    /// How long at most.
    pub longest: Micros,
    /// Answers lost of 1,000.
    pub unanswered: u64,
}

/// Links between parties. A link may be cut several times over; it works again when all cuts are healed.
#[derive(Default)]
pub(crate) struct Network {
    cuts: BTreeMap<(Party, Party), u32>,
    pub(crate) weather: Weather,
    pub(crate) connections: Connections,
    /// Connections of producers: when the last message arrives, or that the connection is broken.
    streams: BTreeMap<(Party, Party, u32), Option<Micros>>,
    last: BTreeMap<(Party, Party), Micros>,
    /// When the last registration arrives that has been sent.
    last_registration: Micros,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) delayed: u64,
}

impl Network {
    pub(crate) fn cut(&mut self, from: Party, to: Party) {
        *self.cuts.entry((from, to)).or_default() += 1;
    }

    pub(crate) fn mend(&mut self, from: Party, to: Party) {
        if let Some(count) = self.cuts.get_mut(&(from, to)) {
            *count -= 1;
            if *count == 0 {
                self.cuts.remove(&(from, to));
            }
        }
    }

    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
        self.weather = Weather::default();
        self.connections = Connections::default();
    }

    pub(crate) fn reaches(&self, from: Party, to: Party) -> bool {
        self.cuts.is_empty() || !self.cuts.contains_key(&(from, to))
    }

    /// When the message arrives. Requests of a producer keep their order, and so do their answers, as on a TCP connection; a lost
    /// one breaks the connection.
    pub(crate) fn send(
        &mut self,
        random: &mut Random,
        now: Micros,
        from: Party,
        to: Party,
        message: &Message,
    ) -> Arrivals {
        let handling = self.weather.handling(message);
        let is_lost = !self.reaches(from, to)
            || self.connections.swallow(now, from, to, message)
            || random.chance(self.weather.loss)
            || message.is_answer() && random.chance(handling.unanswered);
        let at = now + self.travel(random) + self.connections.lateness(to);
        let at = if self.weather.reorders { at } else { self.in_order(from, to, at) };
        let at = at + self.held_back(random, handling, message);
        if let Message::Produce { connection, .. } | Message::Produced { connection, .. } = message {
            return [self.stream((from, to, *connection), at, is_lost), None];
        }
        if is_lost {
            self.lost += 1;
            return [None, None];
        }
        // A commit or a reassignment that came again after the next one would undo it; no connection repeats a request by itself.
        let may_repeat = !matches!(message, Message::Group { .. }) && !message.is_of_administrator();
        let again = may_repeat && random.chance(self.weather.duplicates);
        let returns = !message.is_answer() && random.chance(handling.twice);
        self.duplicated += u64::from(again || returns);
        let latest = if returns { handling.longest } else { 30 * MS };
        let second = (again || returns).then(|| at + random.between(0, latest));
        if message.is_registration() {
            self.last_registration = self.last_registration.max(second.unwrap_or(at)).max(at);
        }
        [Some(at), second]
    }

    /// The connections that the two have now are dead, which nobody tells them.
    pub(crate) fn half_open(&mut self, one: Party, other: Party, last_request: u64) {
        self.connections.kill(one, other, last_request);
        self.break_streams(one, other);
    }

    /// Nothing comes any more on producers' connections between the two.
    pub(crate) fn break_streams(&mut self, one: Party, other: Party) {
        for ((from, to, _), last) in &mut self.streams {
            if (*from, *to) == (one, other) || (*from, *to) == (other, one) {
                *last = None;
            }
        }
    }

    /// Whether a registration may come that is of a process before: its broker then looks as if it had stopped uncleanly.
    pub(crate) fn holds_registrations(&self, now: Micros) -> bool {
        self.weather.signs_of_life != Handling::default() || self.last_registration >= now
    }

    fn held_back(&mut self, random: &mut Random, handling: Handling, message: &Message) -> Micros {
        if message.is_answer() || !random.chance(handling.late) {
            return 0;
        }
        self.delayed += 1;
        random.between(0, handling.longest)
    }

    fn in_order(&mut self, from: Party, to: Party, at: Micros) -> Micros {
        let last = self.last.entry((from, to)).or_insert(at);
        *last = at.max(*last + 1);
        *last
    }

    fn travel(&mut self, random: &mut Random) -> Micros {
        let usual = random.between(80, 600);
        if random.chance(self.weather.delays) {
            self.delayed += 1;
            return usual + random.between(0, self.weather.longest_delay);
        }
        usual
    }

    fn stream(&mut self, stream: (Party, Party, u32), at: Micros, is_lost: bool) -> Option<Micros> {
        let last = self.streams.entry(stream).or_insert(Some(0));
        self.lost += u64::from(is_lost);
        *last = if is_lost { None } else { last.map(|last| at.max(last + 1)) };
        *last
    }
}
