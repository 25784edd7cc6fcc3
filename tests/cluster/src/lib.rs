//! Tests of whole clusters of real processes: see `tests/`, one file a concern.
