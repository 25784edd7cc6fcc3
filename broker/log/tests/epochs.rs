//! Leader epochs lie outside a batch's checksum: what the epoch checkpoint says of them is believed, and no flipped bit.

mod support;

use std::path::Path;
use std::sync::Arc;

use klamm_log::{Disk, Log, OpenMode, OpenOptions, SimDisk};
use klamm_records::batches;
use support::{DIR, batch, open, read_all, sim_disk, small_config, write_all};

/// Leader epochs of the batches of [`deleted_log`], one record each.
const EPOCHS: [i32; 8] = [0, 0, 2, 2, 2, 4, 4, 4];
const SEGMENT: &str = "00000000000000000000.log";
/// Where a batch has its leader epoch.
const EPOCH_AT: u64 = 12;

/// A log that lost its process when it had deleted its first three records and stored the epochs, but not yet that.
fn deleted_log() -> (SimDisk, Arc<dyn Disk>) {
    let sim = sim_disk(5);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let (mut log, _) = open(&disk, small_config(), OpenOptions::default());
    for (index, epoch) in EPOCHS.into_iter().enumerate() {
        log.append_as_leader(batch(1, 40, index as i64), epoch, 0).expect("appends");
        if index == 3 {
            write_all(&mut log);
            log.advance_start_offset(3).expect("inside");
        }
    }
    log.flush().expect("disk works");
    sim.crash();
    (sim, disk)
}

/// Where each batch of the only segment begins.
fn positions(disk: &Arc<dyn Disk>) -> Vec<u64> {
    let file = disk.open(&Path::new(DIR).join(SEGMENT), OpenMode::Read).expect("opens");
    let mut contents = vec![0; file.len().expect("length") as usize];
    file.read_at(&mut contents, 0).expect("reads");
    let mut at = 0;
    batches(contents.into())
        .map(|batch| {
            let position = at;
            at += batch.expect("sound").bytes.len() as u64;
            position
        })
        .collect()
}

fn epochs(log: &Log) -> Vec<(i32, i64)> {
    log.epochs().iter().map(|entry| (entry.epoch, entry.start_offset)).collect()
}

#[test]
fn what_comes_back_from_before_the_stored_epochs_has_its_own() {
    let (_, disk) = deleted_log();
    let (log, report) = open(&disk, small_config(), OpenOptions::default());
    assert_eq!((log.start_offset(), log.end_offset(), report.cut), (0, 8, None));
    assert_eq!(epochs(&log), [(0, 0), (2, 2), (4, 5)]);
}

#[test]
fn no_flipped_bit_of_a_leader_epoch_is_believed_although_the_stored_epochs_begin_later() {
    let positions = positions(&deleted_log().1);
    for (index, bit) in (0..EPOCHS.len()).flat_map(|index| (0..32_usize).map(move |bit| (index, bit))) {
        let (sim, disk) = deleted_log();
        let path = Path::new(DIR).join(SEGMENT);
        let (byte, flip) = (bit / 8, 1 << (bit % 8));
        sim.corrupt(&path, positions[index] + EPOCH_AT + byte as u64, flip).expect("flips");
        let (log, _) = open(&disk, small_config(), OpenOptions::default());
        let name = format!("bit {bit} of the epoch of batch {index}");
        assert!(log.latest_epoch() <= Some(4), "{name}: {:?}", epochs(&log));
        let known = read_all(&log, 0, 1).into_iter().skip(3).map(|batch| batch.header.leader_epoch);
        let expected = &EPOCHS[3..];
        assert!(known.zip(expected).all(|(found, expected)| found == *expected), "{name}");
        let mut wrong = EPOCHS[index].to_be_bytes();
        wrong[byte] ^= flip;
        if index >= 3 || !(0..=2).contains(&i32::from_be_bytes(wrong)) {
            assert_eq!(log.end_offset(), index as i64, "{name}: cut before it");
        }
    }
}
