//! Kafka record batches (format v2): header view, stamping, building, iteration, checksums and compression.
