//! Who a producer is: its id and epoch, of which nobody gets the same twice, as a coordinator hands them out (KIP-360).

use super::{Producer, Sent, State};
use crate::history::ClientEvent;
use crate::outbox::Outbox;

impl Producer {
    /// The application starts anew under its old producer id: a new epoch, and nothing is known of what was under way.
    pub(super) fn start_anew(&mut self, out: &mut Outbox) {
        let identity = (self.id, out.next_epoch(self.id));
        self.become_another(identity, out);
    }

    fn become_another(&mut self, identity: (i64, i16), out: &mut Outbox) {
        (self.id, self.epoch) = identity;
        self.connections.iter_mut().for_each(|connection| *connection += 1);
        self.forget(out);
    }

    /// Gives up all that was not acknowledged.
    fn forget(&mut self, out: &mut Outbox) {
        self.sent.clear();
        for (partition, stream) in self.streams.iter_mut().enumerate() {
            stream.next_sequence = 0;
            stream.is_known = false;
            for pending in std::mem::take(&mut stream.unacked) {
                let is_sent = matches!(pending.state, State::Sent(_));
                if pending.only_refused && !is_sent {
                    let failed = |value| ClientEvent::Failed { partition, value };
                    out.history.extend(pending.values.into_iter().map(failed));
                }
            }
        }
    }

    /// Somebody takes this producer's id with the next epoch. The one that has been returned goes on as before, as another client
    /// and with all that is under way, until it is fenced: then its end has come, or it takes an identity of its own.
    pub(crate) fn fork(&mut self, client: usize, out: &mut Outbox) -> Self {
        let mut fresh = Self::new(self.client, self.connections.len(), self.streams.len(), self.rate);
        (fresh.id, fresh.epoch) = (self.id, out.next_epoch(self.id));
        fresh.connections = self.connections.iter().map(|connection| connection + 1).collect();
        let mut zombie = std::mem::replace(self, fresh);
        zombie.client = client;
        zombie.ends_when_fenced = out.random.chance(500);
        zombie
    }

    /// A partition knows a newer epoch. The batch was refused before it was appended.
    pub(super) fn fenced(&mut self, sent: &Sent, id: u64, out: &mut Outbox) {
        let (client, producer, epoch) = (self.client, self.id, self.epoch);
        out.note(|| format!("client {client}, producer {producer} of epoch {epoch}, is fenced"));
        if let Some(pending) = self.pending(sent.key, sent.sequence, id) {
            pending.state = State::Ready;
        }
        if self.ends_when_fenced {
            self.is_stopped = true;
            self.forget(out);
        } else if out.random.chance(500) {
            self.start_anew(out);
        } else {
            let identity = (out.producer_id(), 0);
            self.become_another(identity, out);
        }
    }
}
