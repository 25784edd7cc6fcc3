//! One partition's log on disk in Kafka's file formats, over a Disk trait.
