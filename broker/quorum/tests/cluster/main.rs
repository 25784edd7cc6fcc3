//! Voters in one process, over a network and disks in memory.

mod harness;

mod disks;
mod elections;
mod recovery;
mod snapshots;
mod voters;
mod writes;
