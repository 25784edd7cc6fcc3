//! `kafka-console-producer` and `kafka-console-consumer`: lines to records and records to lines, for a first message and
//! for a look. Without keys, groups and transactions, which clients are for.

mod consume;
mod produce;
mod topic;

pub use consume::run as consumer;
pub use produce::run as producer;
