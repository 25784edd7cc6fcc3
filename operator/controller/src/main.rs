//! The Klamm operator: reconciles KafkaCluster and KafkaTopic on local processes.

fn main() {}
