//! Pure replication: leader and follower state of one partition.
