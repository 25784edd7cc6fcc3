//! The controller's behaviour, seen from outside: commands in, image out.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod brokers;
mod cluster;
mod configs;
mod disks;
mod disruption;
mod disruption_properties;
mod isr;
mod properties;
mod reassignment;
mod shutdown;
mod topics;
