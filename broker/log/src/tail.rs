//! The newest part of the log in memory: what no file has yet, and what readers are about to ask for.

use std::collections::VecDeque;

use bytes::Bytes;
use klamm_records::BatchHeader;

/// Some batches that were appended together, the very bytes.
#[derive(Clone, Debug)]
pub(crate) struct TailChunk {
    pub(crate) base_offset: i64,
    pub(crate) next_offset: i64,
    pub(crate) bytes: Bytes,
}

/// The tail of the log: written chunks up to a limit, then all those that wait to be written.
#[derive(Debug)]
pub(crate) struct Tail {
    chunks: VecDeque<TailChunk>,
    /// How many of the first chunks are in the file.
    written: usize,
    bytes: usize,
    limit: usize,
}

/// What a read of the tail found.
#[derive(Debug, Default)]
pub(crate) struct TailRead {
    pub(crate) chunks: Vec<Bytes>,
    pub(crate) next_offset: Option<i64>,
}

impl Tail {
    pub(crate) fn new(limit: usize) -> Self {
        Self { chunks: VecDeque::new(), written: 0, bytes: 0, limit }
    }

    /// First offset in memory.
    pub(crate) fn start(&self) -> Option<i64> {
        self.chunks.front().map(|chunk| chunk.base_offset)
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, chunk: TailChunk) {
        self.bytes += chunk.bytes.len();
        self.chunks.push_back(chunk);
    }

    /// The chunks that wait to be written.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &TailChunk> {
        self.chunks.range(self.written..)
    }

    pub(crate) fn has_pending(&self) -> bool {
        self.written < self.chunks.len()
    }

    /// The chunks before `end` are in the file now.
    pub(crate) fn mark_written(&mut self, end: i64) {
        while self.chunks.get(self.written).is_some_and(|chunk| chunk.next_offset <= end) {
            self.written += 1;
        }
        self.evict();
    }

    pub(crate) fn set_limit(&mut self, bytes: usize) {
        self.limit = bytes;
        self.evict();
    }

    fn evict(&mut self) {
        while self.bytes > self.limit && self.written > 0 {
            let Some(chunk) = self.chunks.pop_front() else { break };
            self.bytes -= chunk.bytes.len();
            self.written -= 1;
        }
        if self.chunks.is_empty() {
            self.chunks = VecDeque::new();
        } else if self.chunks.capacity() > 64 && self.chunks.len() * 4 < self.chunks.capacity() {
            self.chunks.shrink_to(self.chunks.len() * 2);
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.limit);
    }

    /// Drops every batch that reaches beyond `end`; a chunk is cut between batches.
    pub(crate) fn truncate(&mut self, end: i64) {
        while let Some(chunk) = self.chunks.back().filter(|chunk| chunk.next_offset > end) {
            let kept =
                batch_headers(&chunk.bytes).take_while(|(_, header)| header.next_offset() <= end).last();
            let mut chunk = chunk.clone();
            self.chunks.pop_back();
            self.bytes -= chunk.bytes.len();
            if let Some((at, header)) = kept {
                chunk.bytes.truncate(at + header.size_in_bytes());
                chunk.next_offset = header.next_offset();
                self.push(chunk);
            }
        }
        self.written = self.written.min(self.chunks.len());
    }

    /// Drops the chunks before `start`, as far as they are written.
    pub(crate) fn drop_before(&mut self, start: i64) {
        while self.written > 0 && self.chunks.front().is_some_and(|chunk| chunk.next_offset <= start) {
            if let Some(chunk) = self.chunks.pop_front() {
                self.bytes -= chunk.bytes.len();
                self.written -= 1;
            }
        }
    }

    /// Whole batches from the one that contains `from` on, up to `max_bytes` but at least one, none reaching beyond
    /// `upper`.
    pub(crate) fn read(&self, from: i64, max_bytes: usize, upper: i64) -> TailRead {
        let mut read = TailRead::default();
        let mut left = max_bytes;
        let first = self.chunks.partition_point(|chunk| chunk.next_offset <= from);
        for chunk in self.chunks.range(first..) {
            if chunk.base_offset >= upper {
                break;
            }
            let part = chunk.part(from, left, upper, read.chunks.is_empty());
            let Some((bytes, next_offset)) = part else { break };
            left = left.saturating_sub(bytes.len());
            read.chunks.push(bytes);
            read.next_offset = Some(next_offset);
            if next_offset < chunk.next_offset {
                break;
            }
        }
        read
    }

    /// The batches in memory from the one that contains `from` on.
    pub(crate) fn batches(&self, from: i64) -> impl Iterator<Item = (Bytes, BatchHeader)> {
        let first = self.chunks.partition_point(|chunk| chunk.next_offset <= from);
        let inside = |chunk: &TailChunk| {
            let bytes = chunk.bytes.clone();
            batch_headers(&chunk.bytes)
                .map(move |(at, header)| (bytes.slice(at..at + header.size_in_bytes()), header))
                .collect::<Vec<_>>()
        };
        self.chunks.range(first..).flat_map(inside).filter(move |(_, header)| header.next_offset() > from)
    }
}

impl TailChunk {
    /// The part of the chunk that a read takes, and the offset behind it.
    fn part(&self, from: i64, left: usize, upper: i64, at_least_one: bool) -> Option<(Bytes, i64)> {
        if from <= self.base_offset && self.bytes.len() <= left && self.next_offset <= upper {
            return Some((self.bytes.clone(), self.next_offset));
        }
        let (mut start, mut end, mut next_offset) = (0, 0, None);
        for (at, header) in batch_headers(&self.bytes) {
            if header.next_offset() <= from {
                (start, end) = (at + header.size_in_bytes(), at + header.size_in_bytes());
                continue;
            }
            let first = at_least_one && next_offset.is_none();
            let fits = first || end - start + header.size_in_bytes() <= left;
            if !fits || header.next_offset() > upper {
                break;
            }
            end = at + header.size_in_bytes();
            next_offset = Some(header.next_offset());
        }
        next_offset.map(|next| (self.bytes.slice(start..end), next))
    }
}

/// Position and header of each batch in bytes that were checked when they were appended.
fn batch_headers(bytes: &[u8]) -> impl Iterator<Item = (usize, BatchHeader)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let header = BatchHeader::parse(bytes.get(at..)?).ok()?;
        let start = at;
        at += header.size_in_bytes();
        (at <= bytes.len()).then_some((start, header))
    })
}
