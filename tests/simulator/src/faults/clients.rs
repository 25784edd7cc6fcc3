//! Faults of clients: one that goes on although another has its place (F30), and all of them at once (F31).

use super::Fault;
use crate::client::{Client, ClientTimer};
use crate::queue::{Event, MS};
use crate::world::World;

/// Producers at most.
const MOST: usize = 6;
/// How much more than usual producers send under overload.
const OVERLOAD: u64 = 10;

impl World {
    /// A producer's id is taken by another, and the producer goes on.
    pub(super) fn fork_producer(&mut self) -> bool {
        let client = self.clients.len();
        let producers: Vec<usize> =
            (0..client).filter(|at| matches!(self.clients[*at], Client::Producer(_))).collect();
        let Some(at) = self.out.random.pick(&producers).filter(|_| producers.len() < MOST) else {
            return false;
        };
        let Client::Producer(producer) = &mut self.clients[at] else { return false };
        let zombie = producer.fork(client, &mut self.out);
        self.clients.push(Client::Producer(Box::new(zombie)));
        self.say(|| {
            format!("client {at} takes over its producer id, client {client} goes on with the old epoch")
        });
        let pause = self.out.random.between(1, 400) * MS;
        self.out.after(pause, Event::Client { client, timer: ClientTimer::Tick });
        true
    }

    /// The administrator who deletes records does so at the next chance; false when there is none in this run.
    pub(super) fn delete_soon(&mut self) -> bool {
        let deleter = self.clients.iter_mut().find_map(|client| match client {
            Client::Deleter(deleter) => Some(deleter),
            _ => None,
        });
        deleter.is_some_and(|deleter| {
            deleter.urge();
            true
        })
    }

    /// Producers send ten times as much, consumers read everything from the beginning, and a disk may be slow.
    pub(super) fn overload(&mut self) -> bool {
        self.say(|| "overload".to_owned());
        self.set_load(OVERLOAD);
        for client in &mut self.clients {
            if let Client::Consumer(consumer) = client {
                consumer.rewind(&mut self.out);
            }
        }
        if self.out.random.chance(500) {
            let node = self.any_node();
            self.nodes[node].slow_disk = self.out.random.between(20, 300) * MS;
            self.later(300, 2_500, Fault::FastDisk { node });
        }
        self.later(300, 2_000, Fault::UsualLoad);
        true
    }

    /// How many times as much as usual producers send.
    pub(super) fn set_load(&mut self, factor: u64) {
        for client in &mut self.clients {
            if let Client::Producer(producer) = client {
                producer.set_load(factor);
            }
        }
    }
}
