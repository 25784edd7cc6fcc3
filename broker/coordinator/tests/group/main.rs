//! What clients of a group shard can rely on, one module per request, and a simulation of many clients.

mod admin;
mod clients;
mod commit;
mod driver;
mod expire;
mod heartbeat;
mod join;
mod leave;
mod loading;
mod rebalance;
mod simulation;
mod static_members;
mod sync;
