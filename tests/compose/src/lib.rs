//! Compose files written for other Kafka images, run on a real Docker daemon.
