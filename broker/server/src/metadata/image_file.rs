//! The image on the disk of a broker that is no controller: what it goes on from when it starts again.
//!
//! `<log.dir>/klamm-metadata.image`, replaced as a whole: `format(u8 = 1) cluster_id_length(u16) cluster_id node_id(i32)
//! directory_id(16 bytes) image crc32c(u32)`, big endian, the checksum over all before it. The image is a snapshot as the
//! quorum has them and begins with the offset and the leader epoch that it stands for. The file lies outside
//! `__cluster_metadata-0`: that is a controller's log, and a node that becomes a controller must not find half of one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use klamm_log::{Disk, OpenMode, read_file_if_exists, replace_file};
use klamm_metadata::{Image, SnapshotError};
use uuid::Uuid;

const NAME: &str = "klamm-metadata.image";
const TEMPORARY: &str = "klamm-metadata.image.tmp";
const FORMAT: u8 = 1;
const CHECKSUM: usize = 4;

/// Why a file is of no use; the metadata is fetched anew then.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The file system said no.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The checksum does not match, or the file is too short to have one.
    #[error("it is damaged")]
    Damaged,
    /// It begins with a byte that this version does not know.
    #[error("its format {0} is unknown")]
    Format(u8),
    /// It was written for another cluster, node or disk.
    #[error("it belongs to node {node_id} of cluster {cluster_id} on the disk {directory_id}")]
    Foreign {
        /// Cluster id in the file.
        cluster_id: String,
        /// Node id in the file.
        node_id: i32,
        /// Directory id in the file.
        directory_id: Uuid,
    },
    /// The image does not decode.
    #[error(transparent)]
    Image(#[from] SnapshotError),
}

/// Whose image it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Cluster id.
    pub cluster_id: String,
    /// Node id.
    pub node_id: i32,
    /// Id of the log directory.
    pub directory_id: Uuid,
}

/// The file of one node.
#[derive(Clone)]
pub struct ImageFile {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    owner: Owner,
}

impl ImageFile {
    /// The file in the log directory `dir`, which may not exist yet.
    pub fn new(disk: Arc<dyn Disk>, dir: &Path, owner: Owner) -> Self {
        Self { disk, dir: dir.to_owned(), owner }
    }

    /// The image, `None` if there is no file.
    ///
    /// # Errors
    /// The file is not a whole image of this owner's.
    pub fn load(&self) -> Result<Option<Image>, Unusable> {
        match read_file_if_exists(&*self.disk, &self.path())? {
            Some(bytes) => self.decode(bytes.into()).map(Some),
            None => Ok(None),
        }
    }

    /// Replaces the file durably. Waits for the disk.
    ///
    /// # Errors
    /// The file system refused; the file is the one before.
    pub fn save(&self, image: &Image) -> io::Result<()> {
        let saved = replace_file(&*self.disk, &self.path(), &self.encode(image));
        if saved.is_err() {
            // Half a file takes up space, of which there may be none left.
            drop(self.disk.remove_file(&self.dir.join(TEMPORARY)));
        }
        saved
    }

    /// Removes the file, or empties it where it cannot be removed: it is not to be used again.
    ///
    /// # Errors
    /// The file system refused both.
    pub fn remove(&self) -> io::Result<()> {
        match self.disk.remove_file(&self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => self.empty().map_err(|_| error),
            Ok(()) => self.disk.sync_dir(&self.dir),
        }
    }

    fn empty(&self) -> io::Result<()> {
        self.disk.open(&self.path(), OpenMode::Replace)?.sync_data()
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.dir.join(NAME)
    }

    fn encode(&self, image: &Image) -> Bytes {
        let snapshot = image.to_snapshot();
        let cluster_id = self.owner.cluster_id.as_bytes();
        let mut out = BytesMut::with_capacity(snapshot.len() + cluster_id.len() + 32);
        out.put_u8(FORMAT);
        // A longer one does not fit and makes the file another cluster's.
        let length = u16::try_from(cluster_id.len()).unwrap_or(u16::MAX);
        out.put_u16(length);
        out.put_slice(cluster_id.get(..usize::from(length)).unwrap_or_default());
        out.put_i32(self.owner.node_id);
        out.put_u128(self.owner.directory_id.as_u128());
        out.put_slice(&snapshot);
        let checksum = crc32c::crc32c(&out);
        out.put_u32(checksum);
        out.freeze()
    }

    fn decode(&self, mut bytes: Bytes) -> Result<Image, Unusable> {
        let checksum = bytes.split_off(bytes.len().checked_sub(CHECKSUM).ok_or(Unusable::Damaged)?);
        if crc32c::crc32c(&bytes).to_be_bytes() != checksum.as_ref() {
            return Err(Unusable::Damaged);
        }
        let found = take_owner(&mut bytes)?;
        if found != self.owner {
            let Owner { cluster_id, node_id, directory_id } = found;
            return Err(Unusable::Foreign { cluster_id, node_id, directory_id });
        }
        Ok(Image::from_snapshot(bytes)?)
    }
}

fn take_owner(bytes: &mut Bytes) -> Result<Owner, Unusable> {
    let damaged = |_| Unusable::Damaged;
    let format = bytes.try_get_u8().map_err(damaged)?;
    if format != FORMAT {
        return Err(Unusable::Format(format));
    }
    let length = usize::from(bytes.try_get_u16().map_err(damaged)?);
    if bytes.len() < length {
        return Err(Unusable::Damaged);
    }
    let cluster_id = String::from_utf8(bytes.split_to(length).to_vec()).map_err(|_| Unusable::Damaged)?;
    let node_id = bytes.try_get_i32().map_err(damaged)?;
    let directory_id = Uuid::from_u128(bytes.try_get_u128().map_err(damaged)?);
    Ok(Owner { cluster_id, node_id, directory_id })
}

#[cfg(test)]
mod tests {
    use klamm_log::{DirEntry, DiskFile, DiskSpace, SimDisk};
    use klamm_metadata::Record;
    use klamm_wire::messages::topic_record::TopicRecord;

    use super::*;

    const DIR: &str = "/data";

    fn owner() -> Owner {
        Owner { cluster_id: "cluster".to_owned(), node_id: 1, directory_id: Uuid::from_u128(5) }
    }

    fn file_of(disk: &SimDisk, owner: Owner) -> ImageFile {
        disk.create_dir_all(Path::new(DIR)).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        ImageFile::new(Arc::new(disk.clone()), Path::new(DIR), owner)
    }

    /// The image after `topics` topics.
    fn image(topics: u128) -> Image {
        let mut image = Image::empty();
        for n in 1..=topics {
            let topic_id = Uuid::from_u128(n);
            let topic = TopicRecord { name: format!("t{n}").into(), topic_id, ..TopicRecord::default() };
            image.apply(n as i64 * 3, 2, &[Record::from(topic)]);
        }
        image
    }

    fn names(disk: &SimDisk) -> Vec<String> {
        disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect()
    }

    #[test]
    fn an_image_comes_back_with_its_offset_and_epoch() {
        let disk = SimDisk::new(1);
        let file = file_of(&disk, owner());
        assert!(file.load().unwrap().is_none());
        file.save(&image(4)).unwrap();
        disk.power_loss();
        let loaded = file.load().unwrap().unwrap();
        assert_eq!((loaded.offset(), loaded.epoch()), (12, 2));
        assert_eq!(loaded, image(4));
        file.remove().unwrap();
        file.remove().unwrap();
        assert!(file.load().unwrap().is_none());
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_refused() {
        let file = file_of(&SimDisk::new(1), owner());
        let bytes = file.encode(&image(2));
        assert_eq!(file.decode(bytes.clone()).unwrap(), image(2));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(file.decode(flipped.into()), Err(Unusable::Damaged)), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(file.decode(bytes.slice(..length)).is_err(), "cut to {length} bytes");
        }
    }

    #[test]
    fn a_file_of_another_cluster_node_or_disk_is_refused() {
        let others = [
            Owner { cluster_id: "other".to_owned(), ..owner() },
            Owner { node_id: 2, ..owner() },
            Owner { directory_id: Uuid::from_u128(6), ..owner() },
        ];
        let disk = SimDisk::new(1);
        for other in others {
            file_of(&disk, other.clone()).save(&image(1)).unwrap();
            let refused = file_of(&disk, owner()).load().unwrap_err();
            assert!(matches!(&refused, Unusable::Foreign { .. }), "{other:?}: {refused}");
        }
    }

    /// Whatever a power loss leaves of a save that failed at any step is the old image or the new one.
    #[test]
    fn a_torn_save_leaves_the_old_image_or_the_new_one() {
        let faults: [fn(&SimDisk); 6] = [
            |disk| disk.fail_writes(1),
            |disk| disk.set_short_writes(true),
            |disk| disk.fail_syncs(1),
            |disk| disk.fail_syncs_after(1, 1),
            |disk| disk.set_capacity(disk.used() + 20),
            |_| {},
        ];
        for seed in 0..50 {
            for (number, fault) in faults.iter().enumerate() {
                let disk = SimDisk::new(seed);
                let file = file_of(&disk, owner());
                file.save(&image(2)).unwrap();
                fault(&disk);
                let saved = file.save(&image(5));
                disk.power_loss();
                let loaded = file.load().unwrap().unwrap();
                assert!(loaded == image(2) || loaded == image(5), "seed {seed}, fault {number}");
                assert!(saved.is_err() || loaded == image(5), "seed {seed}, fault {number}: it was durable");
                disk.set_capacity(u64::MAX);
                file.save(&image(6)).unwrap();
                assert_eq!(file.load().unwrap().unwrap(), image(6), "seed {seed}, fault {number}");
            }
        }
    }

    #[test]
    fn a_full_disk_is_left_with_the_old_image_and_nothing_else() {
        let disk = SimDisk::new(1);
        let file = file_of(&disk, owner());
        file.save(&image(2)).unwrap();
        disk.set_capacity(disk.used() + 20);
        file.save(&image(50)).unwrap_err();
        assert_eq!(names(&disk), [NAME]);
        assert_eq!(file.load().unwrap().unwrap(), image(2));
    }

    /// A disk that removes nothing.
    #[derive(Debug)]
    struct Clinging(SimDisk);

    impl Disk for Clinging {
        fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
            self.0.open(path, mode)
        }
        fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
            self.0.list(dir)
        }
        fn exists(&self, path: &Path) -> io::Result<bool> {
            self.0.exists(path)
        }
        fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
            self.0.create_dir_all(dir)
        }
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.0.rename(from, to)
        }
        fn remove_file(&self, _: &Path) -> io::Result<()> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
        fn remove_dir_all(&self, _: &Path) -> io::Result<()> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
        fn sync_dir(&self, dir: &Path) -> io::Result<()> {
            self.0.sync_dir(dir)
        }
        fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
            self.0.lock(path)
        }
        fn space(&self, dir: &Path) -> io::Result<DiskSpace> {
            self.0.space(dir)
        }
    }

    #[test]
    fn an_image_that_cannot_be_removed_is_not_used_again() {
        let disk = SimDisk::new(1);
        file_of(&disk, owner()).save(&image(2)).unwrap();
        let file = ImageFile::new(Arc::new(Clinging(disk.clone())), Path::new(DIR), owner());
        file.remove().unwrap();
        disk.power_loss();
        assert!(matches!(file.load(), Err(Unusable::Damaged)));
        file.save(&image(3)).unwrap();
        assert_eq!(file.load().unwrap().unwrap(), image(3));
    }

    #[test]
    fn a_disk_that_neither_removes_nor_empties_the_image_says_why() {
        let disk = SimDisk::new(1);
        file_of(&disk, owner()).save(&image(2)).unwrap();
        let file = ImageFile::new(Arc::new(Clinging(disk.clone())), Path::new(DIR), owner());
        disk.fail_syncs(1);
        assert_eq!(file.remove().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn bytes_that_are_no_file_of_ours_are_refused() {
        let disk = SimDisk::new(1);
        let file = file_of(&disk, owner());
        let mut bytes = BytesMut::from(&[9_u8, 1, 2][..]);
        bytes.put_u32(crc32c::crc32c(&[9, 1, 2]));
        let written = disk.open(&Path::new(DIR).join(NAME), OpenMode::Replace).unwrap();
        written.write_at(&[io::IoSlice::new(&bytes)], 0).unwrap();
        assert!(matches!(file.load(), Err(Unusable::Format(9))));
    }
}
