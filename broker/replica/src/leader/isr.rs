//! The in-sync replicas as the leader knows them: committed, or with one change under way.

/// State of the ISR. A change is proposed to the controller and holds only when it has committed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IsrState {
    /// What the controller committed.
    Committed {
        /// In-sync replicas, the leader included.
        isr: Vec<i32>,
    },
    /// A replica's addition is proposed.
    PendingExpand {
        /// Committed in-sync replicas.
        isr: Vec<i32>,
        /// The replica that joins.
        adding: i32,
    },
    /// Removals are proposed.
    PendingShrink {
        /// Committed in-sync replicas.
        isr: Vec<i32>,
        /// The replicas that leave.
        removing: Vec<i32>,
    },
}

impl IsrState {
    /// The ISR that the controller committed.
    pub fn committed(&self) -> &[i32] {
        match self {
            Self::Committed { isr } | Self::PendingExpand { isr, .. } | Self::PendingShrink { isr, .. } => {
                isr
            }
        }
    }

    /// Whether a replica is in the maximal ISR: committed, or about to be added. A removal counts only once committed.
    pub fn maximal_contains(&self, replica: i32) -> bool {
        self.committed().contains(&replica)
            || matches!(self, Self::PendingExpand { adding, .. } if *adding == replica)
    }

    /// Whether no change is proposed.
    pub fn is_committed(&self) -> bool {
        matches!(self, Self::Committed { .. })
    }

    /// The ISR as it will be when the proposal is committed; `None` without a proposal.
    pub fn proposed(&self) -> Option<Vec<i32>> {
        match self {
            Self::Committed { .. } => None,
            Self::PendingExpand { isr, adding } => Some(isr.iter().copied().chain([*adding]).collect()),
            Self::PendingShrink { isr, removing } => {
                Some(isr.iter().copied().filter(|id| !removing.contains(id)).collect())
            }
        }
    }

    /// Drops the proposal.
    pub(super) fn revert(&mut self) {
        *self = Self::Committed { isr: self.take() };
    }

    pub(super) fn expand(&mut self, adding: i32) {
        *self = Self::PendingExpand { isr: self.take(), adding };
    }

    pub(super) fn shrink(&mut self, removing: Vec<i32>) {
        *self = Self::PendingShrink { isr: self.take(), removing };
    }

    fn take(&mut self) -> Vec<i32> {
        match self {
            Self::Committed { isr } | Self::PendingExpand { isr, .. } | Self::PendingShrink { isr, .. } => {
                std::mem::take(isr)
            }
        }
    }
}
