//! Load generator and benchmarks beside Apache Kafka.

fn main() {}
