//! Files of one small value: `format(u8 = 1) value crc32c(u32)`.

use std::io;
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

/// The value of a file; `None` if the file does not exist, `InvalidData` if it is damaged.
pub(crate) fn read<V>(
    disk: &dyn Disk,
    path: &Path,
    value: impl FnOnce(&mut Reader) -> Result<V, QuorumError>,
) -> io::Result<Option<V>> {
    let Some(bytes) = files::read(disk, path)? else { return Ok(None) };
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged", path.display()));
    let mut reader = Reader::new(files::strip_checksum(bytes).ok_or_else(damaged)?);
    if reader.u8().map_err(|_| damaged())? != FORMAT {
        return Err(damaged());
    }
    let value = value(&mut reader).map_err(|_| damaged())?;
    reader.finish().map_err(|_| damaged())?;
    Ok(Some(value))
}
