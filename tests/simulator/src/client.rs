//! The clients: idempotent producers with acks=all, consumers that commit their positions, administrators.

mod admin;
mod batch;
mod consumer;
mod deleter;
mod group;
mod producer;
mod routing;

use crate::message::Message;
use crate::outbox::Outbox;
use crate::party::Party;
use crate::queue::{Event, Micros};

pub(crate) use admin::{Admin, Wish};
pub(crate) use consumer::Consumer;
pub(crate) use deleter::Deleter;
pub(crate) use producer::Producer;

/// Something of a client that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientTimer {
    /// Looks at what to send, to repeat, to give up.
    Tick,
}

/// A client.
pub(crate) enum Client {
    Producer(Box<Producer>),
    Consumer(Box<Consumer>),
    Deleter(Box<Deleter>),
}

impl Client {
    pub(crate) fn receive(&mut self, from: Party, message: Message, out: &mut Outbox) {
        match self {
            Self::Producer(producer) => producer.receive(from, message, out),
            Self::Consumer(consumer) => consumer.receive(from, message, out),
            Self::Deleter(deleter) => deleter.receive(message, out),
        }
    }

    /// The connection to this node is gone, which a client is told that has requests under way there.
    pub(crate) fn connection_lost(&mut self, node: usize) {
        if let Self::Producer(producer) = self {
            producer.connection_lost(node);
        }
    }

    pub(crate) fn timer(&mut self, timer: ClientTimer, out: &mut Outbox) {
        match (self, timer) {
            (Self::Producer(producer), ClientTimer::Tick) => producer.tick(out),
            (Self::Consumer(consumer), ClientTimer::Tick) => consumer.tick(out),
            (Self::Deleter(deleter), ClientTimer::Tick) => deleter.tick(out),
        }
    }
}

fn tick_after(client: usize, pause: Micros, out: &mut Outbox) {
    out.after(pause, Event::Client { client, timer: ClientTimer::Tick });
}
