//! The Kafka protocol as data: message tables, bounded decoding, segmented encoding, the API catalogue.
