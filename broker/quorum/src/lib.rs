//! The metadata quorum: openraft over klamm-log segments, with the metadata image as state machine.
