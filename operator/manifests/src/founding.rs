//! The facts that a cluster was founded with. Its claims carry them, so that a resource that is deleted and created
//! again finds its data.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The annotation that holds the cluster id.
pub const CLUSTER_ID: &str = "klamm.dev/cluster-id";
/// The annotation that holds the voters, as `0,1,2`.
pub const VOTERS: &str = "klamm.dev/voters";

/// The facts that a cluster was founded with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founding {
    /// The id that the cluster got.
    pub cluster_id: String,
    /// The voters of its controller quorum.
    pub voters: BTreeSet<i32>,
}

impl Founding {
    /// The facts as annotations.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let voters = self.voters.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        [(CLUSTER_ID.to_owned(), self.cluster_id.clone()), (VOTERS.to_owned(), voters)].into()
    }

    /// The facts that annotations carry, if they carry all of them and can be understood.
    pub fn from_annotations(annotations: &BTreeMap<String, String>) -> Option<Self> {
        let cluster_id = annotations.get(CLUSTER_ID).filter(|id| !id.is_empty())?.clone();
        let voters = annotations.get(VOTERS)?.split(',').map(|id| id.parse().ok()).collect::<Option<_>>()?;
        Some(Self { cluster_id, voters })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_annotated_is_read() {
        let founding = Founding { cluster_id: "abc".into(), voters: [0, 1, 2].into() };
        assert_eq!(Founding::from_annotations(&founding.annotations()), Some(founding));
    }

    #[test]
    fn half_of_the_facts_is_none() {
        let annotations = [(CLUSTER_ID.to_owned(), "abc".to_owned())];
        assert_eq!(Founding::from_annotations(&annotations.clone().into()), None);
        let [id] = annotations;
        let annotations = [id, (VOTERS.to_owned(), "0,x".to_owned())];
        assert_eq!(Founding::from_annotations(&annotations.into()), None);
    }
}
