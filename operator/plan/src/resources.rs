//! What goes into the planner, and how it is named in messages.

use std::fmt;

use klamm_operator_api::conditions::Reason;
use klamm_operator_api::{KafkaCluster, KafkaTopic};

/// One cluster and the topics that refer to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Resources {
    /// The cluster.
    pub cluster: KafkaCluster,
    /// Its topics. One that has a `deletionTimestamp` is on its way out.
    pub topics: Vec<KafkaTopic>,
}

/// The resource that a message is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The KafkaCluster of this name.
    Cluster(String),
    /// The KafkaTopic of this (resource) name.
    Topic(String),
}

impl Subject {
    /// `KafkaCluster` or `KafkaTopic`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cluster(_) => "KafkaCluster",
            Self::Topic(_) => "KafkaTopic",
        }
    }

    /// The name of the resource.
    pub fn name(&self) -> &str {
        match self {
            Self::Cluster(name) | Self::Topic(name) => name,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

/// Something in a resource that cannot be carried out, with the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The resource.
    pub subject: Subject,
    /// The field, as names from the root of the resource.
    pub path: Vec<String>,
    /// What is wrong, as one word.
    pub reason: Reason,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(subject: &Subject, path: &[&str], message: impl Into<String>) -> Self {
        let path = path.iter().map(|segment| (*segment).to_owned()).collect();
        Self { subject: subject.clone(), path, reason: Reason::InvalidSpec, message: message.into() }
    }

    pub(crate) fn because(self, reason: Reason) -> Self {
        Self { reason, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.subject, self.path.join("."), self.message)
    }
}
