//! When granted disruptions end by themselves: soft state that a new controller starts anew.

use std::collections::BTreeMap;

use super::ended;
use crate::controller::draft::Draft;
use crate::{Disruption, Image};

/// The time that is left to each granted disruption.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::controller) struct Disruptions {
    /// By grant id, in Unix milliseconds.
    deadlines: BTreeMap<i64, i64>,
}

impl Disruptions {
    /// Every grant of the image gets its full time.
    pub(in crate::controller) fn inherit(image: &Image, now_ms: i64) -> Disruptions {
        let mut disruptions = Disruptions::default();
        for granted in image.disruptions() {
            disruptions.start(granted, now_ms);
        }
        disruptions
    }

    /// The time of a grant begins now, also when it had begun before.
    pub(super) fn start(&mut self, granted: &Disruption, now_ms: i64) {
        self.deadlines.insert(granted.id, now_ms.saturating_add(i64::from(granted.duration_ms)));
    }

    /// Milliseconds that a grant has left, never negative.
    pub(super) fn left_ms(&self, granted: &Disruption, now_ms: i64) -> i32 {
        let left = self.deadlines.get(&granted.id).map_or(0, |deadline| deadline.saturating_sub(now_ms));
        i32::try_from(left.max(0)).unwrap_or(i32::MAX)
    }

    /// Ends the grants whose time is over.
    pub(in crate::controller) fn expire(&mut self, draft: &mut Draft<'_>, now_ms: i64) {
        let image = draft.image();
        self.deadlines.retain(|id, _| image.disruptions().any(|granted| granted.id == *id));
        let late = image.disruptions().filter(|granted| self.left_ms(granted, now_ms) == 0);
        let late: Vec<_> = late.map(|granted| ended(granted.node, granted.id)).collect();
        late.into_iter().for_each(|record| draft.push(record));
    }

    /// When the next grant ends.
    pub(in crate::controller) fn next_expiry(&self) -> Option<i64> {
        self.deadlines.values().copied().min()
    }
}
