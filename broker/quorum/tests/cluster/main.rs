//! Voters in one process, over a network and disks in memory.

mod harness;
mod link;

mod damage;
mod disks;
mod elections;
mod foundings;
mod recovery;
mod slow_links;
mod snapshots;
mod voters;
mod writes;
