//! Files of one small value: `format(u8 = 1) value crc32c(u32)`. Whatever the format, the checksum over all before it ends the file.

use std::io::{self, ErrorKind};
use std::path::Path;

use bytes::{BufMut, Bytes, BytesMut};
use klamm_log::Disk;

use crate::QuorumError;
use crate::codec::Reader;
use crate::files;

const FORMAT: u8 = 1;

/// The bytes of a file with the value that `put` writes.
pub(crate) fn seal(put: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::with_capacity(32);
    out.put_u8(FORMAT);
    put(&mut out);
    let crc = crc32c::crc32c(&out);
    out.put_u32(crc);
    out.freeze()
}

/// The value of a file; `None` if the file does not exist.
///
/// # Errors
/// `InvalidData` if it is damaged, `Unsupported` if a newer version wrote it.
pub(crate) fn read<V>(
    disk: &dyn Disk,
    path: &Path,
    value: impl FnOnce(&mut Reader) -> Result<V, QuorumError>,
) -> io::Result<Option<V>> {
    let Some(bytes) = files::read(disk, path)? else { return Ok(None) };
    let mut reader = open(bytes, path)?;
    let value = value(&mut reader).map_err(|_| damaged(path))?;
    reader.finish().map_err(|_| damaged(path))?;
    Ok(Some(value))
}

/// What lies between the format and the checksum of a file.
///
/// # Errors
/// As those of [`read`].
pub(crate) fn open(bytes: Bytes, path: &Path) -> io::Result<Reader> {
    let mut reader = Reader::new(files::strip_checksum(bytes).ok_or_else(|| damaged(path))?);
    match reader.u8().map_err(|_| damaged(path))? {
        FORMAT => Ok(reader),
        found => Err(unknown(QuorumError::UnknownFormat {
            what: path.display().to_string(),
            found: found.into(),
            known: FORMAT.into(),
        })),
    }
}

pub(crate) fn unknown(error: QuorumError) -> io::Error {
    io::Error::new(ErrorKind::Unsupported, error)
}

pub(crate) fn damaged(path: &Path) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("{} is damaged", path.display()))
}
