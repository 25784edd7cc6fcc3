//! The commands of Kafka images that health checks and start scripts call, as one program that looks at its name.

fn main() {}
