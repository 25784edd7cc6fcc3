//! What a forgetful disk keeps and what it forgets: in the store, and through the kernel where this runs as root.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::store::{FailingSyncs, File, Folder, Loss, Node, ROOT, Refused, Store};
use super::*;

fn random() -> StdRng {
    StdRng::seed_from_u64(1)
}

fn name(name: &str) -> &OsStr {
    OsStr::new(name)
}

/// A file with content and a durable name.
fn with_file(content: &[u8]) -> (Store, u64) {
    let mut store = Store::default();
    let file = store.create(ROOT, name("0.log"), Node::File(File::default())).unwrap();
    store.write(file, 0, content).unwrap();
    store.sync(file).unwrap();
    store.sync_folder(ROOT).unwrap();
    (store, file)
}

#[test]
fn what_was_synced_survives_and_what_was_not_does_not() {
    let (mut store, file) = with_file(b"synced");
    store.write(file, 6, b" and not").unwrap();
    assert_eq!(store.read(file, 0, 100).unwrap(), b"synced and not");
    store.lose_power(Loss::Everything, &mut random());
    assert_eq!(store.read(file, 0, 100).unwrap(), b"synced");
    assert_eq!(store.counts.forgotten, 1);
}

#[test]
fn a_name_is_durable_only_once_its_folder_is_synced() {
    let (mut store, _) = with_file(b"old");
    let new = store.create(ROOT, name("new"), Node::File(File::default())).unwrap();
    store.sync(new).unwrap();
    store.rename((ROOT, name("0.log")), (ROOT, name("1.log"))).unwrap();
    store.lose_power(Loss::Everything, &mut random());
    assert_eq!(store.lookup(ROOT, name("new")), Err(Refused::Missing));
    assert_eq!(store.lookup(ROOT, name("1.log")), Err(Refused::Missing));
    let file = store.lookup(ROOT, name("0.log")).unwrap();
    assert_eq!(store.read(file, 0, 100).unwrap(), b"old");
}

#[test]
fn a_rename_in_a_synced_folder_survives_and_replaces() {
    let (mut store, old) = with_file(b"old");
    let new = store.create(ROOT, name("tmp"), Node::File(File::default())).unwrap();
    store.write(new, 0, b"new").unwrap();
    store.sync(new).unwrap();
    store.rename((ROOT, name("tmp")), (ROOT, name("0.log"))).unwrap();
    store.sync_folder(ROOT).unwrap();
    store.lose_power(Loss::Everything, &mut random());
    assert_eq!(store.list(ROOT).unwrap(), [(new, name("0.log").to_owned())]);
    assert_eq!(store.node(old).map(Node::len), Err(Refused::Missing));
}

#[test]
fn some_loss_keeps_whole_sectors_and_never_touches_what_was_synced() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let (mut store, file) = with_file(&[1; 512]);
        store.write(file, 512, &[2; 2_048]).unwrap();
        store.lose_power(Loss::Some, &mut StdRng::seed_from_u64(seed));
        let left = store.read(file, 0, 10_000).unwrap();
        assert!(left[..512].iter().all(|byte| *byte == 1));
        assert!(left[512..].iter().all(|byte| *byte == 2));
        lengths.insert(left.len());
    }
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [512, 1_024, 1_536, 2_048, 2_560]);
}

#[test]
fn what_a_failed_sync_left_out_is_not_made_durable_by_the_next() {
    let (mut store, file) = with_file(b"kept");
    store.failing = Some(FailingSyncs { ending: ".log", remaining: 1 });
    store.write(file, 4, b" lost").unwrap();
    assert_eq!(store.sync(file), Err(Refused::Broken));
    assert_eq!(store.sync(file), Ok(()));
    assert_eq!(store.read(file, 0, 100).unwrap(), b"kept lost");
    store.lose_power(Loss::Everything, &mut random());
    assert_eq!(store.read(file, 0, 100).unwrap(), b"kept");
}

#[test]
fn folders_that_are_not_empty_stay() {
    let mut store = Store::default();
    let folder = store.create(ROOT, name("a"), Node::Folder(Folder::default())).unwrap();
    store.create(folder, name("b"), Node::File(File::default())).unwrap();
    assert_eq!(store.remove(ROOT, name("a")), Err(Refused::NotEmpty));
    store.remove(folder, name("b")).unwrap();
    assert_eq!(store.remove(ROOT, name("a")), Ok(()));
}

#[test]
fn the_kernel_sees_a_disk_that_forgets() {
    if !rustix::process::geteuid().is_root() || !Path::new("/dev/fuse").exists() {
        eprintln!("skipped: this needs root and FUSE");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("disk");
    let mut disk = ForgetfulDisk::mount(&at).unwrap();
    fs::create_dir(at.join("orders-0")).unwrap();
    fs::File::open(&at).unwrap().sync_all().unwrap();
    let path = at.join("orders-0/0.log");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(b"synced").unwrap();
    file.sync_data().unwrap();
    fs::File::open(at.join("orders-0")).unwrap().sync_all().unwrap();
    file.write_all(b" and not").unwrap();
    fs::write(at.join("orders-0/index"), b"never").unwrap();
    fs::rename(&path, at.join("orders-0/1.log")).unwrap();
    drop(file);
    assert_eq!(fs::read(at.join("orders-0/1.log")).unwrap(), b"synced and not");
    disk.lose_power(Loss::Everything, &mut random()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"synced");
    let left: Vec<_> = fs::read_dir(at.join("orders-0")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["0.log"]);
    disk.store().failing = Some(FailingSyncs { ending: ".log", remaining: 1 });
    let file = fs::File::options().append(true).open(&path).unwrap();
    assert_eq!(file.sync_all().unwrap_err().raw_os_error(), Some(5));
    file.sync_all().unwrap();
}
