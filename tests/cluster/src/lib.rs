//! Tests of whole clusters of real processes, with real clients.
