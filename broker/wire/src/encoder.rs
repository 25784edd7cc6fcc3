//! Writes Kafka's types in one pass: small values into one buffer, large ones as segments that are never copied.

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use crate::records::{Part, Records};
use crate::{EncodeError, Str};

/// Bytes of at least this size become a segment of their own.
pub const SEGMENT_THRESHOLD: usize = 1024;

/// A piece of an encoded frame, to be sent in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Segment {
    /// Bytes in memory.
    Bytes(Bytes),
    /// `length` bytes that the sender takes from elsewhere; see [`Part::External`].
    External {
        /// The sender's name for the range.
        index: u32,
        /// Bytes.
        length: u32,
    },
}

impl Segment {
    /// Bytes on the wire.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::External { length, .. } => usize::try_from(*length).unwrap_or(usize::MAX),
        }
    }

    /// Whether the piece holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The frame being written.
#[derive(Debug, Default)]
pub struct Encoder {
    /// Everything small, contiguous; lengths in front of it can be patched until the end.
    buffer: BytesMut,
    /// Everything large, each with the place in `buffer` before which it belongs.
    inserted: Vec<(usize, Segment)>,
    inserted_len: usize,
}

impl Encoder {
    /// An empty frame.
    pub fn new() -> Self {
        Self::with_capacity(256)
    }

    /// An empty frame with room for `capacity` bytes of small values.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { buffer: BytesMut::with_capacity(capacity), inserted: Vec::new(), inserted_len: 0 }
    }

    /// Bytes written so far, segments included.
    pub fn len(&self) -> usize {
        self.buffer.len() + self.inserted_len
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The frame in order. The small pieces are slices of one buffer.
    pub fn into_segments(self) -> Vec<Segment> {
        let small = self.buffer.freeze();
        let mut segments = Vec::with_capacity(2 * self.inserted.len() + 1);
        let mut from = 0;
        for (at, segment) in self.inserted {
            if at > from {
                segments.push(Segment::Bytes(small.slice(from..at)));
            }
            segments.push(segment);
            from = at;
        }
        if from < small.len() {
            segments.push(Segment::Bytes(small.slice(from..)));
        }
        segments
    }

    /// The frame as contiguous bytes; refused if a part of it is elsewhere.
    pub fn into_bytes(self) -> Result<Bytes, EncodeError> {
        if self.inserted.is_empty() {
            return Ok(self.buffer.freeze());
        }
        let mut whole = BytesMut::with_capacity(self.len());
        for segment in self.into_segments() {
            match segment {
                Segment::Bytes(bytes) => whole.put_slice(&bytes),
                Segment::External { .. } => return Err(EncodeError::External),
            }
        }
        Ok(whole.freeze())
    }

    fn insert(&mut self, segment: Segment) {
        self.inserted_len += segment.len();
        self.inserted.push((self.buffer.len(), segment));
    }

    /// Writes one byte, 0 or 1.
    pub fn bool(&mut self, value: bool) {
        self.buffer.put_u8(u8::from(value));
    }

    /// Writes an `int8`.
    pub fn int8(&mut self, value: i8) {
        self.buffer.put_i8(value);
    }

    /// Writes an `int16`.
    pub fn int16(&mut self, value: i16) {
        self.buffer.put_i16(value);
    }

    /// Writes a `uint16`.
    pub fn uint16(&mut self, value: u16) {
        self.buffer.put_u16(value);
    }

    /// Writes an `int32`.
    pub fn int32(&mut self, value: i32) {
        self.buffer.put_i32(value);
    }

    /// Writes an `int64`.
    pub fn int64(&mut self, value: i64) {
        self.buffer.put_i64(value);
    }

    /// Writes a `uuid`.
    pub fn uuid(&mut self, value: &Uuid) {
        self.buffer.put_slice(value.as_bytes());
    }

    /// Writes an unsigned varint in its shortest encoding.
    pub fn unsigned_varint(&mut self, mut value: u32) {
        while value > 0x7f {
            self.buffer.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.buffer.put_u8(value as u8);
    }

    /// Writes a length; null is -1, or 0 when compact.
    fn length(&mut self, field: &'static str, flex: bool, length: Option<usize>) -> Result<(), EncodeError> {
        let value = match length {
            None => -1,
            Some(length) => i32::try_from(length).map_err(|_| EncodeError::TooLong { field, length })?,
        };
        match flex {
            // `i32::MAX + 1` fits an unsigned varint, and null becomes 0.
            true => self.unsigned_varint(value.wrapping_add(1) as u32),
            false => self.int32(value),
        }
        Ok(())
    }

    /// Writes a `string`, or null if `nullable`.
    pub fn nullable_string(
        &mut self,
        field: &'static str,
        flex: bool,
        nullable: bool,
        value: Option<&Str>,
    ) -> Result<(), EncodeError> {
        let length = match value {
            None if !nullable => return Err(EncodeError::UnexpectedNull(field)),
            None => -1,
            Some(text) => {
                i16::try_from(text.len()).map_err(|_| EncodeError::TooLong { field, length: text.len() })?
            }
        };
        match flex {
            true => self.unsigned_varint(u32::from(length.wrapping_add(1) as u16)),
            false => self.int16(length),
        }
        self.buffer.put_slice(value.map_or(&[], |text| text.as_bytes()));
        Ok(())
    }

    /// Writes a `string`.
    pub fn string(&mut self, field: &'static str, flex: bool, value: &Str) -> Result<(), EncodeError> {
        self.nullable_string(field, flex, false, Some(value))
    }

    /// Writes `bytes` or request `records`, or null if `nullable`.
    pub fn nullable_bytes(
        &mut self,
        field: &'static str,
        flex: bool,
        nullable: bool,
        value: Option<&Bytes>,
    ) -> Result<(), EncodeError> {
        if value.is_none() && !nullable {
            return Err(EncodeError::UnexpectedNull(field));
        }
        self.length(field, flex, value.map(Bytes::len))?;
        if let Some(bytes) = value {
            self.raw(bytes);
        }
        Ok(())
    }

    /// Writes `bytes`.
    pub fn bytes(&mut self, field: &'static str, flex: bool, value: &Bytes) -> Result<(), EncodeError> {
        self.nullable_bytes(field, flex, false, Some(value))
    }

    /// Writes the value of a tagged field after its size.
    pub(crate) fn bytes_after_size(&mut self, value: &Bytes) -> Result<(), EncodeError> {
        let length = value.len();
        let size =
            u32::try_from(length).map_err(|_| EncodeError::TooLong { field: "tagged field", length })?;
        self.unsigned_varint(size);
        self.raw(value);
        Ok(())
    }

    fn raw(&mut self, bytes: &Bytes) {
        if bytes.len() >= SEGMENT_THRESHOLD {
            self.insert(Segment::Bytes(bytes.clone()));
        } else {
            self.buffer.put_slice(bytes);
        }
    }

    /// Writes the `records` of a response.
    pub fn records(
        &mut self,
        field: &'static str,
        flex: bool,
        nullable: bool,
        value: &Records,
    ) -> Result<(), EncodeError> {
        match value {
            Records::Null => self.nullable_bytes(field, flex, nullable, None),
            Records::Bytes(bytes) => self.bytes(field, flex, bytes),
            Records::Parts(parts) => {
                self.length(field, flex, Some(value.len()))?;
                parts.iter().filter(|part| !part.is_empty()).for_each(|part| match part {
                    Part::Bytes(bytes) => self.raw(bytes),
                    Part::External { index, length } => {
                        self.insert(Segment::External { index: *index, length: *length });
                    }
                });
                Ok(())
            }
        }
    }

    /// Writes an array, or null if `nullable`.
    pub fn nullable_array<T>(
        &mut self,
        field: &'static str,
        flex: bool,
        nullable: bool,
        values: Option<&[T]>,
        write: impl Fn(&mut Self, &T) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        if values.is_none() && !nullable {
            return Err(EncodeError::UnexpectedNull(field));
        }
        self.length(field, flex, values.map(<[T]>::len))?;
        values.unwrap_or_default().iter().try_for_each(|value| write(self, value))
    }

    /// Writes an array.
    pub fn array<T>(
        &mut self,
        field: &'static str,
        flex: bool,
        values: &[T],
        write: impl Fn(&mut Self, &T) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.nullable_array(field, flex, false, Some(values), write)
    }

    /// Writes a struct, or -1 for null if `nullable`.
    pub fn nullable_nested<T>(
        &mut self,
        field: &'static str,
        nullable: bool,
        value: Option<&T>,
        write: impl FnOnce(&mut Self, &T) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        match value {
            None if !nullable => Err(EncodeError::UnexpectedNull(field)),
            None => {
                self.int8(-1);
                Ok(())
            }
            Some(value) => {
                self.int8(1);
                write(self, value)
            }
        }
    }

    /// Writes a struct.
    pub fn nested<T>(
        &mut self,
        _field: &'static str,
        value: &T,
        write: impl FnOnce(&mut Self, &T) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        write(self, value)
    }

    /// Writes the size of everything after `frame_start` into the four bytes reserved there.
    pub(crate) fn patch_size(&mut self, frame_start: usize) -> Result<(), EncodeError> {
        let length = self.len().saturating_sub(frame_start + 4);
        let size = i32::try_from(length).map_err(|_| EncodeError::TooLong { field: "frame", length })?;
        if let Some(reserved) = self.buffer.get_mut(frame_start..frame_start + 4) {
            reserved.copy_from_slice(&size.to_be_bytes());
        }
        Ok(())
    }

    /// Writes `value` after its size as an unsigned varint. One byte is reserved for the size; a longer size moves
    /// the value, which is rare because tagged fields are small.
    pub(crate) fn sized(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let size_at = self.buffer.len();
        let before = self.len();
        self.buffer.put_u8(0);
        write(self)?;
        let length = self.len() - before - 1;
        let size =
            u32::try_from(length).map_err(|_| EncodeError::TooLong { field: "tagged field", length })?;
        if size <= 0x7f {
            if let Some(reserved) = self.buffer.get_mut(size_at) {
                *reserved = size as u8;
            }
            return Ok(());
        }
        let value = self.buffer.split_off(size_at + 1);
        self.buffer.truncate(size_at);
        self.unsigned_varint(size);
        let shift = self.buffer.len() - size_at - 1;
        self.buffer.put_slice(&value);
        self.inserted.iter_mut().rev().take_while(|(at, _)| *at > size_at).for_each(|(at, _)| *at += shift);
        Ok(())
    }
}
