//! Faults that wait for a moment at which much depends on the order of things, and strike who is concerned then.

use super::{Family, Fault};
use crate::queue::{Event, MS};
use crate::world::World;

/// Something that happens anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A partition gets another leader.
    LeaderChange,
    /// A broker is registered.
    Registration,
    /// A leader sends a proposal.
    Proposal,
}

/// A fault that waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ambush {
    moment: Moment,
    family: Family,
}

impl World {
    /// Lets a fault wait for some moment.
    pub(super) fn lie_in_wait(&mut self, family: Family) {
        let moments = [Moment::LeaderChange, Moment::Registration, Moment::Proposal];
        if let Some(moment) = self.out.random.pick(&moments) {
            self.ambushes.push(Ambush { moment, family });
        }
    }

    /// The moment is there: one of the faults that wait for it strikes, at once or a little later.
    pub(crate) fn it_is_time(&mut self, moment: Moment, concerned: &[usize]) {
        let Some(at) = self.ambushes.iter().position(|ambush| ambush.moment == moment) else { return };
        let family = self.ambushes.swap_remove(at).family;
        let node = self.out.random.pick(concerned);
        let latest = self.out.random.pick(&[3 * MS, 80 * MS]).unwrap_or(MS);
        let pause = self.out.random.between(0, latest);
        self.queue.push(self.out.now + pause, Event::Fault(Fault::Strike { family, node }));
    }
}
