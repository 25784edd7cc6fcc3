//! The controller's behaviour, seen from outside: commands in, image out.

mod brokers;
mod cluster;
mod configs;
mod isr;
mod properties;
mod shutdown;
mod topics;
