//! `partition.metadata`: the id of the topic that a directory belongs to.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::{Log, RecoveryReport};
use crate::disk::{Disk, OpenMode, write_all_at};
use crate::sums::{self, Seal, Sealed};
use crate::{LogError, names};

impl Log {
    /// Compares the directory's topic id with the expected one; a directory without one gets it, and so does one whose file
    /// is broken, if its checksum says that this is what was in it.
    pub(super) fn check_topic_id(
        &mut self,
        expected: Option<Uuid>,
        report: &mut RecoveryReport,
    ) -> Result<(), LogError> {
        let path = self.dir.join(names::PARTITION_METADATA);
        let file = read(&*self.disk, &self.dir)?;
        if let Some(file) = &file {
            report.note(file.seal, &path);
        }
        let found = file.as_ref().and_then(topic_id_in);
        self.topic_id = found.or(expected);
        match (found, expected, file) {
            (Some(found), Some(expected), _) if found != expected => {
                Err(LogError::TopicIdMismatch { dir: self.dir.to_path_buf(), found, expected })
            }
            (None, Some(expected), Some(file))
                if file.seal == Seal::Broken && !file.was_once(&text(expected)) =>
            {
                let found = parse(&file.contents).unwrap_or_default();
                Err(LogError::TopicIdMismatch { dir: self.dir.to_path_buf(), found, expected })
            }
            (None, Some(expected), _) => self.write_topic_id(expected),
            _ => Ok(()),
        }
    }

    fn write_topic_id(&mut self, topic_id: Uuid) -> Result<(), LogError> {
        let path = self.dir.join(names::PARTITION_METADATA);
        let text = text(topic_id);
        sums::announce(&*self.disk, &path, &text).map_err(LogError::io("write", &sums::path_of(&path)))?;
        let file = self.disk.open(&path, OpenMode::Replace).map_err(LogError::io("create", &path))?;
        write_all_at(&*file, &[&text], 0).map_err(LogError::io("write", &path))?;
        self.unsynced_names.inside = true;
        self.unsynced_names.partition_metadata = true;
        Ok(())
    }
}

/// The topic id in `partition.metadata`; `None` if the file is missing, broken, or was torn before its first sync.
pub(crate) fn read_topic_id(disk: &dyn Disk, dir: &Path) -> Result<Option<Uuid>, LogError> {
    Ok(read(disk, dir)?.as_ref().and_then(topic_id_in))
}

fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Sealed>, LogError> {
    let path = dir.join(names::PARTITION_METADATA);
    sums::read_if(disk, &path, |contents| parse(contents).is_some()).map_err(LogError::io("read", &path))
}

fn topic_id_in(file: &Sealed) -> Option<Uuid> {
    if file.seal == Seal::Broken { None } else { parse(&file.contents) }
}

fn text(topic_id: Uuid) -> Vec<u8> {
    format!("version: 0\ntopic_id: {}\n", URL_SAFE_NO_PAD.encode(topic_id.as_bytes())).into_bytes()
}

/// Reads the two lines "version: 0" and "topic_id: <base64>".
fn parse(contents: &[u8]) -> Option<Uuid> {
    let mut lines = std::str::from_utf8(contents).ok()?.lines().filter_map(|line| line.split_once(':'));
    let (version, id) = (lines.next()?, lines.next()?);
    if (version.0.trim(), version.1.trim(), id.0.trim()) != ("version", "0", "topic_id") {
        return None;
    }
    Uuid::from_slice(&URL_SAFE_NO_PAD.decode(id.1.trim()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::SimDisk;
    use crate::{LogConfig, OpenOptions};

    #[test]
    fn no_second_loss_of_power_makes_a_new_directory_another_topics() {
        let (topic_id, dir) = (Uuid::from_u128(7), Path::new("/data/topic-0"));
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
        disk.create_dir_all(dir).expect("creates");
        let path = dir.join(names::PARTITION_METADATA);
        let put = |path: &Path, contents: &[u8]| {
            let file = disk.open(path, OpenMode::Replace).expect("opens");
            write_all_at(&*file, &[contents], 0).expect("writes");
        };
        let whole = text(topic_id);
        // The first tears the file and its checksum, neither of which was synced.
        put(&path, &[&[0; 20], &whole[20..]].concat());
        put(&sums::path_of(&path), b"a2ca4a5e a2c\0\0\0\0\0");
        assert_eq!(read_topic_id(&*disk, dir).expect("readable"), None);
        // The next process writes both anew. The second brings back the checksum that lay there before, and tears the file.
        put(&path, &whole[..whole.len() - 5]);
        assert_eq!(read_topic_id(&*disk, dir).expect("readable"), None);
        let options = OpenOptions { topic_id: Some(topic_id), ..OpenOptions::default() };
        let (log, _) =
            Log::open(disk.clone(), dir.into(), LogConfig::default(), options).expect("its topic's");
        assert_eq!(log.topic_id, Some(topic_id));
        assert_eq!(read_topic_id(&*disk, dir).expect("readable"), Some(topic_id));
    }
}
