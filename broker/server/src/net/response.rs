//! Writes a response: small buffers and shared bytes by vectored writes, file ranges by `sendfile`.

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use klamm_log::DiskFile;
use klamm_wire::Segment;
use rustix::net::{SendAncillaryBuffer, SendFlags};
use smallvec::SmallVec;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::cold::{cold_read, cold_read_if_idle};

/// Slices given to one vectored write.
const MAX_SLICES: usize = 64;

/// Bytes that are read ahead at a time.
const MAX_AHEAD: u64 = 8 << 20;

/// A range of a segment file that a response refers to.
#[derive(Clone)]
pub struct FileRange {
    /// The open file.
    pub file: Arc<dyn DiskFile>,
    /// First byte.
    pub position: u64,
    /// Number of bytes.
    pub length: usize,
    /// Who hears of it when the file does not give them.
    pub owner: Arc<dyn RangeOwner>,
}

/// Whose file a range is of.
pub trait RangeOwner: Send + Sync {
    /// The range, or what lies behind it, could not be read or sent: the error of the file or of the socket, or
    /// `UnexpectedEof` when the file ends before the range does. Must not wait for the disk.
    fn failed(&self, error: &io::Error);
}

impl FileRange {
    /// Brings a part of the file into memory; waits for the disk. Its owner hears of errors.
    fn warm(&self, position: u64, length: u64) -> io::Result<()> {
        self.file.warm(position, length).inspect_err(|error| self.owner.failed(error))
    }

    /// Whether `sendfile` will not block.
    fn is_warm(&self) -> bool {
        self.file.as_raw().is_some() && self.file.is_warm(self.position, self.length as u64)
    }
}

/// An encoded response frame, size prefix included.
#[derive(Default)]
pub struct Response {
    /// The frame in order; `Segment::External` refers to `files`.
    pub segments: Vec<Segment>,
    /// File ranges by the index of the external segments.
    pub files: Vec<FileRange>,
}

impl Response {
    /// Bytes on the wire.
    pub fn size(&self) -> usize {
        self.segments
            .iter()
            .map(|s| match s {
                Segment::Bytes(b) => b.len(),
                Segment::External { length, .. } => *length as usize,
            })
            .sum()
    }

    /// Writes the whole response.
    ///
    /// # Errors
    /// The socket's error, or `UnexpectedEof` when a file is shorter than its range.
    pub async fn write(self, stream: &TcpStream) -> io::Result<()> {
        let mut pending: SmallVec<[Bytes; 8]> = SmallVec::new();
        let mut is_cold = false;
        for segment in self.segments {
            match segment {
                Segment::Bytes(bytes) => pending.push(bytes),
                Segment::External { index, .. } => {
                    let missing = || io::Error::other("response names a file range it does not carry");
                    let range = self.files.get(index as usize).ok_or_else(missing)?;
                    let is_warm = range.is_warm();
                    if !is_warm && !is_cold {
                        is_cold = true;
                        self.files.iter().skip(index as usize + 1).for_each(warm_meanwhile);
                    }
                    match if is_warm { Sendable::Cached } else { warmed(range).await? } {
                        Sendable::Cached => {
                            read_ahead(range);
                            write_bytes(stream, &mut pending, SendFlags::MORE).await?;
                            let sent = send_file(stream, range).await;
                            sent.inspect_err(|error| range.owner.failed(error))?;
                        }
                        Sendable::Read(bytes) => pending.push(bytes),
                    }
                }
            }
        }
        write_bytes(stream, &mut pending, SendFlags::empty()).await
    }
}

/// How a file range goes out.
enum Sendable {
    /// Its pages are in memory: `sendfile` will not block.
    Cached,
    /// It has no descriptor; this is what it holds.
    Read(Bytes),
}

/// Has a cold range read by a thread that may block.
async fn warmed(range: &FileRange) -> io::Result<Sendable> {
    let range = range.clone();
    cold_read(move || match range.file.as_raw() {
        Some(_) => range.warm(range.position, range.length as u64).map(|()| Sendable::Cached),
        None => read(&range).map(Sendable::Read).inspect_err(|error| range.owner.failed(error)),
    })
    .await?
}

/// One range of an answer was cold: the disk fetches the others as well while it is waited for and sent.
fn warm_meanwhile(range: &FileRange) {
    if !range.is_warm() {
        let range = range.clone();
        cold_read_if_idle(move || drop(range.warm(range.position, range.length as u64)));
    }
}

/// Who reads a file mostly goes on: if what comes two ranges later is not in memory yet, it is fetched from the disk while this
/// range and the next one are sent. Once the kernel reads ahead by itself there is nothing to do, nor at the end of the file;
/// behind others' reads nobody waits.
fn read_ahead(range: &FileRange) {
    let (end, length) = (range.position + range.length as u64, range.length as u64);
    if matches!(range.file.try_read_at(&mut [0u8; 1], end + length), Ok(Some(_))) {
        return;
    }
    let range = range.clone();
    // Whoever needs the bytes meets the error, too.
    cold_read_if_idle(move || drop(range.warm(end, (2 * length).min(MAX_AHEAD))));
}

fn read(range: &FileRange) -> io::Result<Bytes> {
    let mut buffer = vec![0; range.length];
    if range.file.read_at(&mut buffer, range.position)? < range.length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(buffer.into())
}

/// Sends what is pending; with `SendFlags::MORE` it shares its last packet with what comes next.
async fn write_bytes(
    stream: &TcpStream,
    pending: &mut SmallVec<[Bytes; 8]>,
    flags: SendFlags,
) -> io::Result<()> {
    let mut first = 0;
    while first < pending.len() {
        let attempt = {
            let slices: SmallVec<[IoSlice<'_>; 16]> =
                pending.iter().skip(first).take(MAX_SLICES).map(|b| IoSlice::new(b)).collect();
            stream.try_io(Interest::WRITABLE, || send(stream, &slices, flags))
        };
        let mut written = match attempt {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                stream.writable().await?;
                continue;
            }
            Err(e) => return Err(e),
        };
        while let Some(bytes) = pending.get_mut(first) {
            let n = written.min(bytes.len());
            bytes.advance(n);
            written -= n;
            if !bytes.is_empty() {
                break;
            }
            first += 1;
        }
    }
    pending.clear();
    Ok(())
}

fn send(stream: &TcpStream, slices: &[IoSlice<'_>], flags: SendFlags) -> io::Result<usize> {
    let mut control = SendAncillaryBuffer::default();
    Ok(rustix::net::sendmsg(stream, slices, &mut control, flags | SendFlags::NOSIGNAL)?)
}

async fn send_file(stream: &TcpStream, range: &FileRange) -> io::Result<()> {
    let Some(file) = range.file.as_raw() else {
        return Err(io::Error::other("file range without a descriptor"));
    };
    let mut offset = range.position;
    let end = range.position + range.length as u64;
    while offset < end {
        let count = usize::try_from(end - offset).unwrap_or(usize::MAX);
        let sent = stream.try_io(Interest::WRITABLE, || {
            rustix::fs::sendfile(stream, file, Some(&mut offset), count).map_err(io::Error::from)
        });
        match sent {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use klamm_log::{Disk, OpenMode, RealDisk};
    use parking_lot::Mutex;
    use tokio::net::TcpListener;

    use super::*;

    #[derive(Default)]
    struct Complaints(Mutex<Vec<io::ErrorKind>>);

    impl RangeOwner for Complaints {
        fn failed(&self, error: &io::Error) {
            self.0.lock().push(error.kind());
        }
    }

    #[tokio::test]
    async fn a_file_that_ends_before_its_range_is_told_to_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        std::fs::write(&path, [7; 10_000]).unwrap();
        let file = RealDisk.open(&path, OpenMode::Read).unwrap();
        let complaints = Arc::new(Complaints::default());
        let owner: Arc<dyn RangeOwner> = Arc::<Complaints>::clone(&complaints);
        let range = FileRange { file, position: 1_000, length: 8_000, owner };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_peer, _) = listener.accept().await.unwrap();
        let answer = || Response {
            segments: vec![Segment::External { index: 0, length: 8_000 }],
            files: vec![range.clone()],
        };
        answer().write(&stream).await.expect("all of it is there");
        assert!(complaints.0.lock().is_empty());
        std::fs::File::options().write(true).open(&path).unwrap().set_len(5_000).unwrap();
        answer().write(&stream).await.expect_err("half of it is gone");
        assert_eq!(*complaints.0.lock(), [io::ErrorKind::UnexpectedEof]);
    }
}
