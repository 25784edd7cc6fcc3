//! Reads length-prefixed frames without trusting the length.

use std::io;

use bytes::{Buf, BufMut, BytesMut};
use tokio::net::TcpStream;

/// Bytes read from the socket at a time while the size of the next frame is unknown.
const READ_AHEAD: usize = 8 * 1024;
/// Memory reserved at once for a frame whose bytes have not arrived yet.
const MAX_RESERVE: usize = 1 << 20;

/// Splits the bytes of one connection into frames.
///
/// Every frame gets an allocation of its own, so that its owner may write into it (the leader stamps offsets into a
/// produced batch in place) and so that keeping a slice of it pins nothing else. A frame that claims to be large is
/// only given memory as its bytes arrive.
#[derive(Debug)]
pub struct FrameReader {
    head: BytesMut,
    frame: BytesMut,
    missing: usize,
    max_frame: usize,
}

impl FrameReader {
    /// A reader that refuses frames larger than `max_frame` bytes.
    pub fn new(max_frame: usize) -> Self {
        Self { head: BytesMut::new(), frame: BytesMut::new(), missing: 0, max_frame }
    }

    /// Whether part of a frame has been read.
    pub fn is_mid_frame(&self) -> bool {
        self.missing > 0 || !self.head.is_empty()
    }

    /// The next frame without its size prefix; `None` when the peer closed between frames. Cancel safe.
    ///
    /// # Errors
    /// `InvalidData` for a size that is negative or too large, `UnexpectedEof` for a close inside a frame.
    pub async fn next(&mut self, stream: &TcpStream) -> io::Result<Option<BytesMut>> {
        loop {
            if self.missing == 0
                && let Some(size) = self.take_size()?
            {
                self.start_frame(size);
                if self.missing == 0 {
                    return Ok(Some(std::mem::take(&mut self.frame)));
                }
            }
            if !self.fill(stream).await? {
                return if self.is_mid_frame() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(None) };
            }
            if self.missing == 0 && !self.frame.is_empty() {
                return Ok(Some(std::mem::take(&mut self.frame)));
            }
        }
    }

    /// Takes the size prefix when its four bytes are there.
    fn take_size(&mut self) -> io::Result<Option<usize>> {
        if self.head.len() < 4 {
            return Ok(None);
        }
        let size = self.head.get_i32();
        match usize::try_from(size) {
            Ok(size) if size <= self.max_frame && size > 0 => Ok(Some(size)),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("frame size {size} is outside 1..={}", self.max_frame),
            )),
        }
    }

    fn start_frame(&mut self, size: usize) {
        let have = size.min(self.head.len());
        self.frame = BytesMut::with_capacity(size.min(MAX_RESERVE.max(have)));
        self.frame.put_slice(self.head.get(..have).unwrap_or_default());
        self.head.advance(have);
        self.missing = size - have;
    }

    /// Reads once; false at the end of the stream.
    async fn fill(&mut self, stream: &TcpStream) -> io::Result<bool> {
        loop {
            stream.readable().await?;
            let read = if self.missing > 0 {
                if self.frame.capacity() == self.frame.len() {
                    self.frame.reserve(self.missing.min(self.frame.len().max(READ_AHEAD)));
                }
                stream.try_read_buf(&mut (&mut self.frame).limit(self.missing))
            } else {
                self.head.reserve(READ_AHEAD);
                stream.try_read_buf(&mut self.head)
            };
            match read {
                Ok(0) => return Ok(false),
                Ok(n) => {
                    self.missing = self.missing.saturating_sub(n);
                    return Ok(true);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn frames_of_any_size_come_out_whole_and_in_order() {
        let (mut client, server) = pair().await;
        let sizes = [1usize, 3, 5000, 8192, 300_000, 7, 2_500_000, 1];
        let writer = tokio::spawn(async move {
            for size in sizes {
                client.write_all(&(size as u32).to_be_bytes()).await.unwrap();
                client.write_all(&vec![size as u8; size]).await.unwrap();
            }
        });
        let mut reader = FrameReader::new(4 << 20);
        for size in sizes {
            let frame = reader.next(&server).await.unwrap().unwrap();
            assert_eq!(frame.len(), size);
            assert!(frame.iter().all(|b| *b == size as u8));
        }
        assert!(reader.next(&server).await.unwrap().is_none());
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn lying_sizes_are_refused_without_memory() {
        for lie in [-1i32, 0, i32::MAX, 1025] {
            let (mut client, server) = pair().await;
            client.write_all(&lie.to_be_bytes()).await.unwrap();
            let error = FrameReader::new(1024).next(&server).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{lie}");
        }
    }

    #[tokio::test]
    async fn a_close_inside_a_frame_is_an_error() {
        let (mut client, server) = pair().await;
        client.write_all(&[0, 0, 0, 9, 1]).await.unwrap();
        drop(client);
        let error = FrameReader::new(1024).next(&server).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
