//! Whose a data directory is, and what its small files are worth.

use super::*;
use crate::SimDisk;
use crate::disk::{OpenMode, read_file, write_all_at};

const PATH: &str = "/data";

fn owner(cluster_id: Option<&str>, node_id: i32) -> Owner<'_> {
    Owner { cluster_id, node_id, new_directory_id: Uuid::from_u128(7) }
}

fn open(disk: &SimDisk, owner: Owner<'_>) -> Result<LogDir, LogDirError> {
    LogDir::open(Arc::new(disk.clone()), Path::new(PATH), owner)
}

#[test]
fn an_identity_is_written_once_and_survives_power_loss() {
    let disk = SimDisk::new(3);
    let first = open(&disk, owner(Some("cluster-a"), 4)).expect("new");
    assert!(first.is_new() && !first.was_clean_shutdown());
    let text = read_file(&disk, Path::new("/data/meta.properties")).expect("there");
    let text = String::from_utf8(text).expect("text");
    assert_eq!(text, "cluster.id=cluster-a\ndirectory.id=AAAAAAAAAAAAAAAAAAAABw\nnode.id=4\nversion=1\n");
    disk.power_loss();
    let again = Owner { new_directory_id: Uuid::from_u128(9), ..owner(None, 4) };
    let again = open(&disk, again).expect("same");
    assert_eq!(
        (again.cluster_id(), again.directory_id(), again.is_new()),
        ("cluster-a", Uuid::from_u128(7), false)
    );
}

#[test]
fn a_directory_whose_creation_failed_half_way_is_durable_once_it_opens() {
    for failing in 0..3 {
        let disk = SimDisk::new(failing);
        disk.fail_syncs_after(failing as u32, 1);
        drop(open(&disk, owner(Some("cluster-a"), 4)).expect_err("a sync fails"));
        let dir = open(&disk, owner(Some("cluster-a"), 4)).expect("works again");
        dir.write_checkpoint(Checkpoint::LogStart, &Checkpoints::new()).expect("writes");
        disk.power_loss();
        assert!(!open(&disk, owner(None, 4)).expect("there").is_new(), "after {failing} syncs");
    }
}

#[test]
fn a_directory_whose_creation_failed_half_way_has_one_identity_whatever_power_loss_leaves() {
    for seed in 0..2_000 {
        let disk = SimDisk::new(seed);
        let failing = seed % 4;
        match failing {
            3 => disk.fail_writes(1),
            syncs => disk.fail_syncs_after(syncs as u32, 1),
        }
        let mut identity = None;
        for start in 0..5 {
            let new_directory_id = Uuid::from_u128(start);
            match open(&disk, Owner { new_directory_id, ..owner(Some("cluster-a"), 4) }) {
                Ok(dir) => {
                    let found = dir.directory_id();
                    assert_eq!(*identity.get_or_insert(found), found, "seed {seed}");
                }
                Err(error) => assert!(start == 0, "seed {seed}: start {start}: {error}"),
            }
            if seed >> start & 4 != 0 {
                disk.power_loss();
            }
        }
    }
}

#[test]
fn a_directory_of_another_cluster_or_node_is_refused_with_both_ids() {
    let disk = SimDisk::new(3);
    drop(open(&disk, owner(Some("cluster-a"), 4)).expect("new"));
    let cluster = open(&disk, owner(Some("cluster-b"), 4)).expect_err("other cluster").to_string();
    assert!(
        cluster.contains("cluster-a") && cluster.contains("cluster-b") && cluster.contains(PATH),
        "{cluster}"
    );
    let node = open(&disk, owner(Some("cluster-a"), 5)).expect_err("other node").to_string();
    assert!(node.contains("node id 4") && node.contains("is 5") && node.contains(PATH), "{node}");
}

#[test]
fn two_brokers_cannot_share_a_directory() {
    let disk = SimDisk::new(3);
    let first = open(&disk, owner(Some("cluster-a"), 4)).expect("new");
    assert!(matches!(open(&disk, owner(Some("cluster-a"), 4)), Err(LogDirError::Locked(_))));
    drop(first);
    assert!(open(&disk, owner(Some("cluster-a"), 4)).is_ok());
}

#[test]
fn data_without_an_owner_is_not_taken_over() {
    let disk = SimDisk::new(3);
    disk.create_dir_all(Path::new("/data/topic-0")).expect("creates");
    disk.create_dir_all(Path::new("/data/lost+found")).expect("creates");
    let refused = open(&disk, owner(Some("cluster-a"), 4));
    assert!(matches!(refused, Err(LogDirError::MissingMetaProperties { .. })));
    assert!(matches!(open(&SimDisk::new(1), owner(None, 4)), Err(LogDirError::NoClusterId(_))));
}

#[test]
fn the_clean_shutdown_marker_is_used_once() {
    let disk = SimDisk::new(3);
    let dir = open(&disk, owner(Some("cluster-a"), 4)).expect("new");
    dir.mark_clean_shutdown(42).expect("writes");
    let marker = read_file(&disk, Path::new("/data/.kafka_cleanshutdown")).expect("there");
    assert_eq!(marker, br#"{"version":0,"brokerEpoch":42}"#);
    disk.power_loss();
    let dir = open(&disk, owner(None, 4)).expect("same");
    assert_eq!(dir.previous_broker_epoch(), Some(42));
    disk.power_loss();
    assert!(!open(&disk, owner(None, 4)).expect("same").was_clean_shutdown());
}

#[test]
fn checkpoints_are_kafkas_text_and_damage_says_nothing() {
    let disk = SimDisk::new(3);
    let dir = open(&disk, owner(Some("cluster-a"), 4)).expect("new");
    let offsets = Checkpoints::from([(TopicPartition::new("a.b", 1), 10), (TopicPartition::new("a", 0), 7)]);
    let read = || dir.read_checkpoint(Checkpoint::RecoveryPoint).map(|read| (read.offsets, read.seal));
    assert_eq!(read().expect("reads"), (Checkpoints::new(), Seal::Sound));
    dir.write_checkpoint(Checkpoint::RecoveryPoint, &offsets).expect("writes");
    let path = Path::new("/data/recovery-point-offset-checkpoint");
    assert_eq!(read_file(&disk, path).expect("there"), b"0\n2\na 0 7\na.b 1 10\n");
    assert_eq!(read().expect("reads"), (offsets, Seal::Sound));
    disk.remove_file(Path::new("/data/recovery-point-offset-checkpoint.crc32c")).expect("as Kafka has it");
    let file = disk.open(path, OpenMode::Replace).expect("opens");
    write_all_at(&*file, &[b"0\n3\na 0 7\n"], 0).expect("writes");
    assert_eq!(read().expect("reads"), (Checkpoints::new(), Seal::Broken));
}

#[test]
fn deleted_partitions_are_told_from_live_ones() {
    let disk = SimDisk::new(3);
    let dir = open(&disk, owner(Some("cluster-a"), 4)).expect("new");
    for name in
        ["orders-0", "orders-12", "with-dash-3", "__cluster_metadata-0", "lost+found", "no-partition-x"]
    {
        disk.create_dir_all(&dir.path().join(name)).expect("creates");
    }
    let renamed = dir.rename_for_delete("orders", 12, Uuid::from_u128(5)).expect("renames");
    assert_eq!(renamed, Path::new("/data/orders-12.00000000000000000000000000000005-delete"));
    let mut found: Vec<_> =
        dir.partitions().expect("lists").into_iter().map(|p| (p.partition, p.state)).collect();
    found.sort();
    let expected = [
        (TopicPartition::new("__cluster_metadata", 0), PartitionDirState::Live),
        (TopicPartition::new("orders", 0), PartitionDirState::Live),
        (TopicPartition::new("orders", 12), PartitionDirState::Deleting),
        (TopicPartition::new("with-dash", 3), PartitionDirState::Live),
    ];
    assert_eq!(found, expected);
    dir.remove(&renamed).expect("removes");
    dir.remove(&renamed).expect("gone already");
    assert_eq!(dir.partitions().expect("lists").len(), 3);
}

#[test]
fn no_flipped_bit_of_a_checkpoint_is_believed() {
    let disk = SimDisk::new(3);
    let dir = open(&disk, owner(Some("cluster-a"), 4)).expect("new");
    let offsets = Checkpoints::from([(TopicPartition::new("a", 0), 107), (TopicPartition::new("b", 1), 9)]);
    for kind in
        [Checkpoint::RecoveryPoint, Checkpoint::LogStart, Checkpoint::HighWatermark, Checkpoint::Cleaner]
    {
        dir.write_checkpoint(kind, &offsets).expect("writes");
        let path = dir.path().join(kind.file_name());
        let length = read_file(&disk, &path).expect("there").len() as u64;
        for bit in 0..length * 8 {
            disk.corrupt(&path, bit / 8, 1 << (bit % 8)).expect("flips");
            let read = dir.read_checkpoint(kind).expect("not an error");
            assert_eq!((read.seal, read.offsets.len()), (Seal::Broken, 0), "bit {bit} of {kind:?}");
            disk.corrupt(&path, bit / 8, 1 << (bit % 8)).expect("flips back");
        }
        dir.write_checkpoint(kind, &offsets).expect("writes");
        assert_eq!(dir.read_checkpoint(kind).expect("reads").seal, Seal::Sound);
    }
}

#[test]
fn a_checkpoint_costs_two_syncs() {
    let disk = SimDisk::new(3);
    let dir = open(&disk, owner(Some("cluster-a"), 4)).expect("new");
    let before = disk.sync_count();
    dir.write_checkpoint(Checkpoint::LogStart, &Checkpoints::new()).expect("writes");
    assert_eq!(disk.sync_count() - before, 2, "of the file and of the directory");
}

#[test]
fn no_flipped_bit_of_an_identity_is_believed() {
    let disk = SimDisk::new(3);
    drop(open(&disk, owner(Some("cluster-a"), 4)).expect("new"));
    let path = Path::new("/data/meta.properties");
    let length = read_file(&disk, path).expect("there").len() as u64;
    for bit in 0..length * 8 {
        disk.corrupt(path, bit / 8, 1 << (bit % 8)).expect("flips");
        let refused = open(&disk, owner(Some("cluster-a"), 4));
        assert!(matches!(refused, Err(LogDirError::Malformed { .. })), "bit {bit}");
        disk.corrupt(path, bit / 8, 1 << (bit % 8)).expect("flips back");
    }
    assert_eq!(open(&disk, owner(None, 4)).expect("sound").identity_seal(), Seal::Sound);
    disk.corrupt(Path::new("/data/meta.properties.crc32c"), 3, 1).expect("flips");
    assert_eq!(open(&disk, owner(None, 4)).expect("believed").identity_seal(), Seal::Renewed);
    assert_eq!(open(&disk, owner(None, 4)).expect("sound").identity_seal(), Seal::Sound);
}
