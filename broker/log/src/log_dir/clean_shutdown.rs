//! `.kafka_cleanshutdown`: the marker that the last broker closed every log, with its epoch (KIP-966).

use std::path::Path;

use super::LogDirError;
use crate::atomic_file;
use crate::disk::{Disk, read_file_if_exists};

const NAME: &str = ".kafka_cleanshutdown";
/// Epoch of a marker that does not name one, as brokers before KIP-966 wrote it.
const UNKNOWN_EPOCH: i64 = -1;

/// Reads and removes the marker, durably, so that no power loss brings it back. Returns the broker epoch in it.
pub(super) fn take(disk: &dyn Disk, dir: &Path) -> Result<Option<i64>, LogDirError> {
    let path = dir.join(NAME);
    let Some(contents) = read_file_if_exists(disk, &path).map_err(LogDirError::io("read", &path))? else {
        return Ok(None);
    };
    disk.remove_file(&path).map_err(LogDirError::io("remove", &path))?;
    disk.sync_dir(dir).map_err(LogDirError::io("sync", dir))?;
    Ok(Some(parse(&contents).unwrap_or(UNKNOWN_EPOCH)))
}

/// Writes the marker.
pub(super) fn write(disk: &dyn Disk, dir: &Path, broker_epoch: i64) -> Result<(), LogDirError> {
    let path = dir.join(NAME);
    let text = format!(r#"{{"version":0,"brokerEpoch":{broker_epoch}}}"#);
    atomic_file::replace(disk, &path, text.as_bytes()).map_err(LogDirError::io("write", &path))
}

/// The number behind `"brokerEpoch":`; the file is one flat JSON object of numbers.
fn parse(contents: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(contents).ok()?;
    let (_, rest) = text.split_once("\"brokerEpoch\"")?;
    let value = rest.trim_start().strip_prefix(':')?.trim_start();
    let end = value.find(|c: char| c != '-' && !c.is_ascii_digit()).unwrap_or(value.len());
    value.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_is_found_however_the_json_is_spaced() {
        assert_eq!(parse(br#"{"version":0,"brokerEpoch":42}"#), Some(42));
        assert_eq!(parse(br#"{ "brokerEpoch" : -1 , "version" : 0 }"#), Some(-1));
        assert_eq!(parse(b""), None);
        assert_eq!(parse(br#"{"brokerEpoch":"x"}"#), None);
    }
}
