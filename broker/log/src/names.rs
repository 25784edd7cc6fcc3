//! The names of the files in a partition's directory.

use std::path::{Path, PathBuf};

pub(crate) const LOG: &str = "log";
pub(crate) const OFFSET_INDEX: &str = "index";
pub(crate) const TIME_INDEX: &str = "timeindex";
pub(crate) const TXN_INDEX: &str = "txnindex";
/// Everything that belongs to one segment.
pub(crate) const SEGMENT_EXTENSIONS: [&str; 4] = [LOG, OFFSET_INDEX, TIME_INDEX, TXN_INDEX];
pub(crate) const SNAPSHOT: &str = "snapshot";
/// Appended to the name of a file that retention has given up.
pub(crate) const DELETED_SUFFIX: &str = ".deleted";
/// Appended to the name of a file that compaction is writing.
pub(crate) const CLEANED_SUFFIX: &str = ".cleaned";
/// Appended to the name of a finished file that is about to replace others.
pub(crate) const SWAP_SUFFIX: &str = ".swap";
/// Appended to the name of a file that is about to be renamed into place.
pub(crate) const TMP_SUFFIX: &str = ".tmp";
pub(crate) const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";
pub(crate) const PARTITION_METADATA: &str = "partition.metadata";

/// `<20-digit base offset>.<extension>`.
pub(crate) fn segment_file(base_offset: i64, extension: &str) -> String {
    format!("{base_offset:020}.{extension}")
}

/// Base offset and extension of a name made by [`segment_file`]; `None` for any other name.
pub(crate) fn parse_segment_file(name: &str) -> Option<(i64, &str)> {
    let (digits, extension) = name.split_once('.')?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((digits.parse().ok()?, extension))
}

/// The path with something appended to the last name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segment_names_have_twenty_digits() {
        assert_eq!(segment_file(1234, LOG), "00000000000000001234.log");
        assert_eq!(parse_segment_file("00000000000000001234.log"), Some((1234, LOG)));
        assert_eq!(parse_segment_file("00000000000000001234.log.swap"), Some((1234, "log.swap")));
        assert_eq!(parse_segment_file("1234.log"), None);
        assert_eq!(parse_segment_file("99999999999999999999.log"), None);
        assert_eq!(parse_segment_file("leader-epoch-checkpoint"), None);
    }
}
