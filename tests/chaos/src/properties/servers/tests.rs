//! Each property of the servers with something that breaks it.

use super::*;

fn look(node: i32, epoch: i64, positions: [i64; 5]) -> Look {
    let [purged, snapshot, applied, committed, log] = positions;
    Look { node, epoch, purged, snapshot, applied, committed, log }
}

#[test]
fn a_committed_position_or_an_epoch_that_falls_is_noticed() {
    let first = look(1, 3, [0, 0, 9, 9, 9]);
    assert_eq!(s04_nothing_goes_back::check(&[first, look(2, 1, [0; 5]), first]), Ok(()));
    assert!(s04_nothing_goes_back::check(&[first, look(1, 3, [0, 0, 8, 8, 9])]).is_err());
    assert!(s04_nothing_goes_back::check(&[first, look(1, 2, [0, 0, 9, 9, 9])]).is_err());
}

#[test]
fn positions_out_of_order_are_noticed() {
    assert_eq!(s05_positions_in_order::check(&[look(1, 1, [0, 3, 5, 5, 8])]), Ok(()));
    for at in 0..4 {
        let mut positions = [10; 5];
        positions[at] = 11;
        assert!(s05_positions_in_order::check(&[look(1, 1, positions)]).is_err(), "{positions:?}");
    }
}

#[test]
fn a_panic_is_noticed() {
    assert_eq!(s09_no_panic::check("INFO all is well"), Ok(()));
    assert!(s09_no_panic::check("thread 'main' panicked at src/a.rs:1:1:").is_err());
}

#[test]
fn what_a_controller_says_is_understood() {
    let text = "# TYPE klamm_metadata_epoch gauge\nklamm_metadata_epoch 4\n\
        klamm_metadata_log_end_offset{position=\"purged\"} 1\nklamm_metadata_log_end_offset{position=\"snapshot\"} 2\n\
        klamm_metadata_log_end_offset{position=\"applied\"} 3\nklamm_metadata_log_end_offset{position=\"committed\"} 4\n\
        klamm_metadata_log_end_offset{position=\"log\"} 5\n";
    assert_eq!(Look::parse(1, text).expect("well formed"), Some(look(1, 4, [1, 2, 3, 4, 5])));
    assert_eq!(Look::parse(1, "klamm_partitions 3\n").expect("well formed"), None);
    assert!(Look::parse(1, "klamm_metadata_epoch 4\n").is_err());
}
